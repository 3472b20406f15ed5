/*
 * What an answer (or a broken connection) means: which status, whether to try again, what to tell
 * the user. Pure tables. [any]
 */
#ifndef SLUICE_COMMON_S3_VERDICT_H
#define SLUICE_COMMON_S3_VERDICT_H

#include <curl/curl.h>

#include "sluice/error.h"

enum {
    SLUICE_S3_ACT_FAIL = 0,
    SLUICE_S3_ACT_RETRY = 1,  /* wait with backoff, then the same again */
    SLUICE_S3_ACT_REGION = 2, /* the bucket is in another region */
    SLUICE_S3_ACT_CLOCK = 3,  /* our clock is off: use the server's */
    SLUICE_S3_ACT_CREDS = 4   /* fetch new credentials */
};

struct sluice_s3_verdict {
    sluice_status status; /* of the error if nothing helps */
    int action;
    int slow_down;    /* the server asks for fewer requests */
    const char *hint; /* NULL = none */
};

/* `code` is the <Code> of the answer, "" when there is none (HEAD, proxies). */
struct sluice_s3_verdict sluice_s3_verdict_http(long http_status, const char *code);
struct sluice_s3_verdict sluice_s3_verdict_curl(CURLcode code);

#endif /* SLUICE_COMMON_S3_VERDICT_H */
