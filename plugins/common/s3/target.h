/*
 * Where requests go: scheme, host and path of a bucket, for AWS or an endpoint of the user's own,
 * path-style or virtual-host style. Pure. [any]
 */
#ifndef SLUICE_COMMON_S3_TARGET_H
#define SLUICE_COMMON_S3_TARGET_H

#include "s3/buf.h"

enum { SLUICE_S3_PATH_AUTO = 0, SLUICE_S3_PATH_ALWAYS = 1, SLUICE_S3_PATH_NEVER = 2 };

#define SLUICE_S3_REGION_SIZE 64

struct sluice_s3_target {
    bool https;
    bool aws;           /* host follows from the region */
    bool virtual_host;  /* the bucket is in the host name, not in the path */
    const char *bucket; /* borrowed as long as the target */
    char endpoint[256]; /* host[:port] of an own endpoint, without the bucket */
    char base[256];     /* path that an own endpoint has before the bucket, "" or "/…" */
};

/* Checks `bucket` and `endpoint` (NULL = AWS). INVALID names the option. */
sluice_status sluice_s3_target_init(struct sluice_s3_target *target, const char *bucket,
                                    const char *endpoint, int path_style, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* True if `region` may stand in a host name: servers tell us regions, and a host made of one gets
 * signed requests. */
bool sluice_s3_region_valid(const char *region);
/* Appends the Host header's value. */
void sluice_s3_target_host(const struct sluice_s3_target *target, const char *region,
                           struct sluice_s3_buf *buf);
/* Appends the raw path of `key` (NULL = the bucket itself), from '/'. */
void sluice_s3_target_path(const struct sluice_s3_target *target, const char *key,
                           struct sluice_s3_buf *buf);

#endif /* SLUICE_COMMON_S3_TARGET_H */
