/*
 * Signed S3 requests with retries. One I/O thread per client drives all of them over one curl multi
 * handle, so that connections, the CA store and the DNS cache are shared; callers submit calls and
 * wait, or go on and ask later. Retries, waiting, region discovery, clock correction and renewal of
 * credentials happen in the I/O thread.
 *
 * Threads: all functions [any], except create and destroy. A call belongs to the client from submit
 * until it is done.
 */
#ifndef SLUICE_COMMON_S3_CLIENT_H
#define SLUICE_COMMON_S3_CLIENT_H

#include "s3/creds.h"
#include "s3/http.h"
#include "s3/target.h"
#include "sluice/abi.h"
#include "sluice/backoff.h"

enum sluice_s3_op {
    SLUICE_S3_LIST = 0,
    SLUICE_S3_GET,
    SLUICE_S3_HEAD,
    SLUICE_S3_PUT,
    SLUICE_S3_CREATE,   /* CreateMultipartUpload */
    SLUICE_S3_PART,     /* UploadPart */
    SLUICE_S3_COMPLETE, /* CompleteMultipartUpload */
    SLUICE_S3_ABORT     /* AbortMultipartUpload */
};

enum { SLUICE_S3_SIGN_AUTO = 0, SLUICE_S3_SIGN_ALWAYS = 1, SLUICE_S3_SIGN_NEVER = 2 };

struct sluice_s3_client_config {
    const struct sluice_host *host;
    struct sluice_s3_target target;
    const char *region; /* NULL = from environment or profile, else us-east-1 */
    struct sluice_s3_creds_config creds;
    struct sluice_s3_http_options http;
    int64_t request_timeout_us;
    int64_t retry_timeout_us; /* after the first failure of a request nothing is tried for longer */
    uint32_t retry_attempts;  /* tries of one request, the first included */
    uint32_t parts_max;       /* part uploads on the wire at once */
    int sign_payload;         /* SLUICE_S3_SIGN_* */
};

#define SLUICE_S3_QUERY_MAX 8
#define SLUICE_S3_HEADER_MAX 24

struct sluice_s3_call {
    /* ---- the request, filled by the caller; all pointers borrowed until done ---- */
    enum sluice_s3_op op;
    const char *key; /* whole key, NULL = the bucket */
    struct sluice_s3_pair query[SLUICE_S3_QUERY_MAX];
    size_t query_count;
    struct sluice_s3_pair
        headers[SLUICE_S3_HEADER_MAX]; /* beside host, date, token, payload hash */
    size_t header_count;
    const void *body;
    uint64_t body_size;
    uint64_t body_max; /* of the reply */
    const char
        *want_root;    /* an answer 200 must have this root element, else it failed; NULL = any */
    bool after_cancel; /* may run although the client is cancelled (cleaning up) */
    bool end_if_sent; /* once sent, its answer is awaited a moment after a cancel: it made something
                          that only the answer names */
    uint32_t attempts_max; /* 0 = the client's */
    /* Called in the I/O thread, with no lock held, when it is done; NULL = none. After it returned,
     * the client no longer touches the call. */
    void (*on_done)(struct sluice_s3_call *call);
    void *owner; /* of on_done */

    /* ---- the answer ---- */
    sluice_status status; /* OK, or as in err */
    struct sluice_error err;
    struct sluice_s3_reply reply;
    char code[64];     /* <Code> of an error answer, "" = none */
    uint32_t attempts; /* tries made: over 1, an earlier one may have been carried out */

    /* ---- the client's own ---- */
    struct sluice_s3_call *next;
    struct sluice_s3_call *prev;
    struct sluice_s3_transfer transfer;
    struct sluice_backoff backoff;
    struct sluice_s3_buf url;
    char payload_hash[65];
    char region[SLUICE_S3_REGION_SIZE]; /* signed for */
    uint64_t creds_generation;
    int64_t clock_offset_us;
    int64_t due_us;
    int64_t give_up_us; /* 0 = nothing failed yet */
    uint32_t region_changes;
    uint32_t creds_changes;
    uint32_t clock_changes;
    int state;
    bool abandoned;
    bool done;
};

struct sluice_s3_client;

/* No I/O; the thread starts with the first call. Strings of the config are borrowed until destroy. */
sluice_status sluice_s3_client_create(const struct sluice_s3_client_config *config,
                                      struct sluice_s3_client **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Waits a moment for calls with after_cancel; every other call must be done. */
void sluice_s3_client_destroy(struct sluice_s3_client *client);

/* An empty call. */
void sluice_s3_call_init(struct sluice_s3_call *call, enum sluice_s3_op op, const char *key);
/* Frees what the call holds, not the call. It must be done or never submitted. */
void sluice_s3_call_free(struct sluice_s3_call *call);
void sluice_s3_call_query(struct sluice_s3_call *call, const char *name, const char *value);
/* An empty or NULL value adds nothing. */
void sluice_s3_call_header(struct sluice_s3_call *call, const char *name, const char *value);
/* Sets the body and hashes it where the payload is signed: on the caller's thread. */
sluice_status sluice_s3_call_body(struct sluice_s3_client *client, struct sluice_s3_call *call,
                                  const void *body, uint64_t size, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Hands the call over. An error means it was not taken (no thread). */
sluice_status sluice_s3_client_submit(struct sluice_s3_client *client, struct sluice_s3_call *call,
                                      struct sluice_error *err) SLUICE_MUST_CHECK;
/* Waits until a submitted call without on_done is done; copies its error to *err. */
sluice_status sluice_s3_client_wait(struct sluice_s3_client *client, struct sluice_s3_call *call,
                                    struct sluice_error *err);
/* submit and wait. */
sluice_status sluice_s3_client_run(struct sluice_s3_client *client, struct sluice_s3_call *call,
                                   struct sluice_error *err) SLUICE_MUST_CHECK;
/* Ends a submitted call soon, with CANCELLED. */
void sluice_s3_client_abandon(struct sluice_s3_client *client, struct sluice_s3_call *call);
/* Ends all calls with CANCELLED, now and later. */
void sluice_s3_client_cancel(struct sluice_s3_client *client);
bool sluice_s3_client_cancelled(const struct sluice_s3_client *client);

/* Region in use and where the credentials came from, after a call; copies. */
void sluice_s3_client_region(struct sluice_s3_client *client, char region[SLUICE_S3_REGION_SIZE]);
const char *sluice_s3_client_creds_source(struct sluice_s3_client *client);
/* The server's clock minus ours, from its last answer. */
int64_t sluice_s3_client_skew_us(const struct sluice_s3_client *client);
const struct sluice_s3_target *sluice_s3_client_target(const struct sluice_s3_client *client);
/* "s3://bucket/key" or "s3://bucket" for messages. */
void sluice_s3_client_where(const struct sluice_s3_client *client, const char *key, char *to,
                            size_t to_size);

#endif /* SLUICE_COMMON_S3_CLIENT_H */
