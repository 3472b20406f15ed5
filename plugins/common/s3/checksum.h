/*
 * Checksums of bodies as S3 headers. [any]
 */
#ifndef SLUICE_COMMON_S3_CHECKSUM_H
#define SLUICE_COMMON_S3_CHECKSUM_H

#include "s3/buf.h"

#define SLUICE_S3_CHECKSUM_TEXT_SIZE 48 /* base64 of at most 32 bytes and NUL */

struct sluice_s3_checksum_kind {
    const char *header;    /* of PutObject and UploadPart */
    const char *algorithm; /* x-amz-checksum-algorithm of CreateMultipartUpload; NULL = none */
    const char *element;   /* of a part in CompleteMultipartUpload; NULL = none */
};

/* `kind` is SLUICE_S3_CHECKSUM_* of s3.h; NULL for none. */
const struct sluice_s3_checksum_kind *sluice_s3_checksum_facts(int kind);
/* base64 of the checksum. `kind` is not none or auto. */
sluice_status sluice_s3_checksum_text(int kind, const void *data, uint64_t size,
                                      char out[SLUICE_S3_CHECKSUM_TEXT_SIZE],
                                      struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_S3_CHECKSUM_H */
