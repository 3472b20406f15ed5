/*
 * One HTTP exchange over libcurl: http and https only, redirects never followed, proxies only by
 * option, replies capped. The I/O thread of a client drives many transfers at once (client.c);
 * sluice_s3_http_once does a single one for credential services.
 *
 * One thread at a time per transfer.
 */
#ifndef SLUICE_COMMON_S3_HTTP_H
#define SLUICE_COMMON_S3_HTTP_H

#include <curl/curl.h>

#include "s3/buf.h"
#include "s3/uri.h"

struct sluice_s3_http_options {
    const char *ca_file; /* NULL = the system's */
    const char *proxy;   /* NULL = none, whatever the environment says */
    int64_t connect_timeout_us;
    int64_t stall_timeout_us; /* this long without a byte either way ends the request */
};

struct sluice_s3_http_request {
    const char *method;
    const char *url;
    const struct sluice_s3_pair *headers; /* values not empty, no control characters */
    size_t header_count;
    const void *body; /* borrowed until the transfer ends */
    uint64_t body_size;
    uint64_t body_max; /* of the reply; errors may always have SLUICE_S3_ERROR_BODY_MAX */
    int64_t timeout_us;
    bool patient; /* no stall timeout: the server thinks long before it answers */
};

#define SLUICE_S3_ERROR_BODY_MAX ((uint64_t)64 << 10)

struct sluice_s3_reply {
    long http_status;       /* 0 = none came */
    CURLcode curl;          /* CURLE_OK, or what broke */
    bool too_long;          /* body over its cap */
    int64_t date_us;        /* Date header, 0 = none */
    int64_t retry_after_us; /* -1 = none */
    int64_t content_length; /* -1 = unknown */
    char etag[128];
    char region[64];  /* x-amz-bucket-region */
    char attempt[64]; /* x-amz-meta-sluice-attempt */
    char request_id[64];
    char detail[CURL_ERROR_SIZE]; /* curl's own words */
    struct sluice_s3_buf body;
};

void sluice_s3_reply_clear(struct sluice_s3_reply *reply);
void sluice_s3_reply_free(struct sluice_s3_reply *reply);

struct sluice_s3_transfer {
    CURL *easy;
    struct curl_slist *headers;
    const uint8_t *body;
    uint64_t body_size;
    uint64_t body_sent;
    uint64_t body_max;
    struct sluice_s3_reply *reply;
};

/* Makes libcurl ready; the first caller initialises it. [any] */
sluice_status sluice_s3_http_init(struct sluice_error *err) SLUICE_MUST_CHECK;
/* Prepares tr->easy (made when NULL, else reused) for the request; `reply` is emptied and filled
 * while the transfer runs. */
sluice_status sluice_s3_http_prepare(struct sluice_s3_transfer *tr,
                                     const struct sluice_s3_http_options *options,
                                     const struct sluice_s3_http_request *request,
                                     struct sluice_s3_reply *reply, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Reads status and result into the reply once curl is done, and frees what prepare made, but not
 * the easy handle. */
void sluice_s3_http_finish(struct sluice_s3_transfer *tr, CURLcode result);

/* A whole exchange on the caller's thread. OK also for an error status and for a broken connection
 * (reply->curl); CANCELLED when cancel_fd (-1 = none) became readable. */
sluice_status sluice_s3_http_once(const struct sluice_s3_http_options *options,
                                  const struct sluice_s3_http_request *request, int cancel_fd,
                                  struct sluice_s3_reply *reply, struct sluice_error *err)
    SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_S3_HTTP_H */
