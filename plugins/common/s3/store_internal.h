/*
 * Shared by store.c (small objects, lists), upload.c (streaming multipart) and check.c.
 */
#ifndef SLUICE_COMMON_S3_STORE_INTERNAL_H
#define SLUICE_COMMON_S3_STORE_INTERNAL_H

#include <pthread.h>

#include "s3/checksum.h"
#include "s3/client.h"
#include "s3/s3.h"
#include "sluice/failpoint.h"

#define SLUICE_S3_KEY_BYTES_MAX 1024 /* S3's own */
#define SLUICE_S3_LIST_BYTES_MAX ((uint64_t)16 << 20)
#define SLUICE_S3_ANSWER_BYTES_MAX ((uint64_t)256 << 10)
#define SLUICE_S3_ATTEMPT_SIZE 33 /* 32 hex digits and NUL */
#define SLUICE_S3_BUFFERS_MAX 64

/* Memory for one part, counted in the host's budget. */
struct sluice_s3_buffer {
    uint8_t *data;
    uint64_t size;
};

struct sluice_lake_store {
    const struct sluice_host *host;
    const struct sluice_failpoint_extension *failpoints;
    struct sluice_s3_options options;
    struct sluice_s3_client *client;
    int checksum;                                 /* SLUICE_S3_CHECKSUM_*, never AUTO */
    char prefix[SLUICE_S3_KEY_BYTES_MAX + 2];     /* "" or ends with '/' */
    char location[SLUICE_S3_KEY_BYTES_MAX + 300]; /* s3://bucket/prefix */

    /* Guards what follows, and the shared part of every upload. Taken before the client's lock,
     * never after it. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a part is done, or the store is cancelled */
    uint32_t uploads_open;
    uint32_t buffers; /* in use: being filled or on the wire */
    uint32_t spare_count;
    struct sluice_s3_buffer spare[SLUICE_S3_BUFFERS_MAX]; /* counted, to use again */
};

/* prefix + key. LIMIT when S3 would refuse it. */
sluice_status sluice_s3_store_key(const struct sluice_lake_store *store, const char *key,
                                  char to[SLUICE_S3_KEY_BYTES_MAX + 1], struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* 32 random hex digits. */
sluice_status sluice_s3_attempt_id(char to[SLUICE_S3_ATTEMPT_SIZE], struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Lists at most one key: reaches the bucket, settles region and credentials. */
sluice_status sluice_s3_store_probe(struct sluice_lake_store *store, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Encryption headers of PutObject and CreateMultipartUpload. */
void sluice_s3_store_encryption(const struct sluice_lake_store *store, struct sluice_s3_call *call);

/* PutObject of `size` bytes at the whole key. `is_data`: a data object, with the storage class.
 * `is_new`: CONFLICT when another object is there, OK when it is our own attempt (the reply to it was
 * lost). */
struct sluice_s3_put {
    const char *key;
    const void *data;
    uint64_t size;
    const char *content_type;
    const char *content_encoding;
    const char *attempt;
    bool is_data;
    bool is_new;
};
sluice_status sluice_s3_store_put(struct sluice_lake_store *store, const struct sluice_s3_put *put,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;
/* OK: the object at the whole key has our attempt id and `size` bytes. CONFLICT: another object.
 * NOT_FOUND: none. Else: not known. */
sluice_status sluice_s3_store_is_ours(struct sluice_lake_store *store, const char *key,
                                      const char *attempt, uint64_t size, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* upload.c */
sluice_status sluice_s3_upload_open(struct sluice_lake_store *store, const char *key,
                                    const char *content_type, const char *content_encoding,
                                    struct sluice_lake_upload **out, struct sluice_error *err);
sluice_status sluice_s3_upload_room(struct sluice_lake_upload *up, uint8_t **room, uint64_t *size,
                                    struct sluice_error *err);
sluice_status sluice_s3_upload_advance(struct sluice_lake_upload *up, uint64_t used,
                                       struct sluice_error *err);
sluice_status sluice_s3_upload_finish(struct sluice_lake_upload *up, struct sluice_error *err);
void sluice_s3_upload_abort(struct sluice_lake_upload *up);
/* Size of the part `number` (from 1): grows so that no object needs 10,000 of them. Pure. */
uint64_t sluice_s3_part_size(uint64_t base, uint32_t number);
/* Gives back memory of buffers that wait to be used again. With the lock. */
void sluice_s3_buffers_drop(struct sluice_lake_store *store);
/* Begins a multipart upload; `id` gets its UploadId. Also used by check. */
sluice_status sluice_s3_multipart_begin(struct sluice_lake_store *store,
                                        struct sluice_s3_call *call, struct sluice_s3_buf *id,
                                        struct sluice_error *err) SLUICE_MUST_CHECK;

/* check.c */
sluice_status sluice_s3_store_check(struct sluice_lake_store *store, sluice_finding_visit visit,
                                    void *vctx, struct sluice_error *err);

#endif /* SLUICE_COMMON_S3_STORE_INTERNAL_H */
