/*
 * An S3 bucket (or a prefix of one) as a store of the lake library: see lake/store.h for the calls,
 * README.md for how it works inside.
 */
#ifndef SLUICE_COMMON_S3_S3_H
#define SLUICE_COMMON_S3_S3_H

#include "lake/store.h"

enum { SLUICE_S3_SSE_NONE = 0, SLUICE_S3_SSE_AES256 = 1, SLUICE_S3_SSE_KMS = 2 };
enum {
    SLUICE_S3_CHECKSUM_AUTO = 0, /* crc32c at AWS, none elsewhere */
    SLUICE_S3_CHECKSUM_NONE = 1,
    SLUICE_S3_CHECKSUM_CRC32C = 2,
    SLUICE_S3_CHECKSUM_SHA256 = 3,
    SLUICE_S3_CHECKSUM_MD5 = 4
};

#define SLUICE_S3_PART_MIN ((int64_t)5 << 20) /* S3's own */
#define SLUICE_S3_PART_MAX ((int64_t)5 << 30)

/* Everything the options say. Strings are borrowed until the store is destroyed; NULL = not given.
 * Numbers are as sluice_options_bind leaves them. */
struct sluice_s3_options {
    const char *bucket;
    const char *prefix;
    const char *region;
    const char *endpoint;
    int64_t path_style; /* SLUICE_S3_PATH_* of target.h: auto, true, false */
    const char *access_key_id;
    const char *secret_access_key;
    const char *session_token;
    const char *profile;
    const char *ca_file;
    const char *proxy;
    int64_t part_size;
    int64_t upload_concurrency;
    int64_t server_side_encryption; /* SLUICE_S3_SSE_* */
    const char *kms_key_id;
    const char *storage_class;
    int64_t checksum;     /* SLUICE_S3_CHECKSUM_* */
    int64_t sign_payload; /* SLUICE_S3_SIGN_* of client.h: auto, always, never */
    int64_t connect_timeout;
    int64_t stall_timeout;
    int64_t request_timeout;
    int64_t retry_attempts;
    int64_t retry_timeout;
};

extern const struct sluice_lake_store_api sluice_s3_store_api;

/* Makes a store. No I/O: wrong options are INVALID and name the key. `host` and the strings of
 * `options` are borrowed until the store is destroyed. [ctl] */
sluice_status sluice_s3_store_create(const struct sluice_host *host,
                                     const struct sluice_s3_options *options,
                                     struct sluice_lake_store **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_S3_S3_H */
