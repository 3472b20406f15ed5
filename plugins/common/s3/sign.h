/*
 * AWS Signature Version 4 in the Authorization header, as S3 wants it: the path encoded once and
 * not normalised. (libcurl's own signer in Debian canonicalises neither path nor query.) [any]
 */
#ifndef SLUICE_COMMON_S3_SIGN_H
#define SLUICE_COMMON_S3_SIGN_H

#include <stdint.h>

#include "s3/buf.h"
#include "s3/uri.h"

#define SLUICE_S3_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

struct sluice_s3_sign {
    const char *method;
    const char *path;                   /* raw, begins with '/' */
    const struct sluice_s3_pair *query; /* raw */
    size_t query_count;
    const struct sluice_s3_pair
        *headers; /* all that is to be signed, host and x-amz-date included */
    size_t header_count;
    const char *payload_hash; /* hex sha256 of the body, or SLUICE_S3_UNSIGNED_PAYLOAD */
    const char *timestamp;    /* 20130524T000000Z */
    const char *region;
    const char *service;
    const char *access_key;
    const char *secret_key;
};

/* Appends the canonical request; `names` gets the signed header names, joined by ';'. */
sluice_status sluice_s3_sign_canonical(const struct sluice_s3_sign *sign,
                                       struct sluice_s3_buf *canonical, struct sluice_s3_buf *names,
                                       struct sluice_error *err) SLUICE_MUST_CHECK;
/* Appends the value of the Authorization header. */
sluice_status sluice_s3_sign_authorize(const struct sluice_s3_sign *sign,
                                       struct sluice_s3_buf *authorization,
                                       struct sluice_error *err) SLUICE_MUST_CHECK;

#define SLUICE_S3_HEX_SIZE 65 /* sha256 as lower-case hex and NUL */
/* sha256 of the data as hex. */
sluice_status sluice_s3_sha256_hex(const void *data, size_t size, char out[SLUICE_S3_HEX_SIZE],
                                   struct sluice_error *err) SLUICE_MUST_CHECK;

#define SLUICE_S3_TIMESTAMP_SIZE 17
/* 20130524T000000Z of a wall clock in microseconds. */
void sluice_s3_timestamp(int64_t wall_us, char out[SLUICE_S3_TIMESTAMP_SIZE]);

#endif /* SLUICE_COMMON_S3_SIGN_H */
