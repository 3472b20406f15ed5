/*
 * Shared by client.c (thread and queues) and attempt.c (what one try of a call is).
 */
#ifndef SLUICE_COMMON_S3_CLIENT_INTERNAL_H
#define SLUICE_COMMON_S3_CLIENT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "s3/client.h"
#include "s3/verdict.h"

enum {
    SLUICE_S3_CALL_IDLE = 0,
    SLUICE_S3_CALL_WAITING = 1, /* for due_us */
    SLUICE_S3_CALL_ACTIVE = 2   /* in the multi handle */
};

struct sluice_s3_client {
    struct sluice_s3_client_config config;
    struct sluice_s3_provider *provider; /* I/O thread */
    const struct sluice_host *host;
    CURLM *multi;

    /* Guards all below it up to the next blank line. A leaf lock: nothing else is taken under it. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a call is done */
    struct sluice_s3_call *incoming;
    struct sluice_s3_call *incoming_last;
    bool started;
    bool stopping;
    char region[SLUICE_S3_REGION_SIZE]; /* written by the I/O thread alone */
    const char *creds_source;

    pthread_t thread;
    _Atomic int cancelled;
    _Atomic int64_t skew_us;     /* last seen; relaxed: a figure for people */
    struct sluice_s3_call *live; /* I/O thread: waiting and active calls, oldest first */
    struct sluice_s3_call *live_last;
    bool ending;    /* I/O thread: its copy of `stopping` */
    CURL *spare[8]; /* I/O thread: easy handles to use again */
    uint32_t spare_count;
    uint32_t parts_active;
    uint32_t parts_limit;    /* lowered when the server asks for it */
    uint32_t parts_good;     /* successes since the last change of the limit */
    int64_t clock_offset_us; /* I/O thread: added to our clock when signing */
    int64_t cancelled_us;    /* I/O thread: when it saw the cancel, 0 = not cancelled */
    int64_t logged_us;       /* last warning about retries */
    uint64_t retries_unlogged;
    bool region_known;

    struct sluice_metric *requests;
    struct sluice_metric *retries;
    struct sluice_metric *sent_bytes;
};

int64_t sluice_s3_client_now(const struct sluice_s3_client *client);

/* Signs the call and puts it into call->transfer, ready for the multi handle. Only local errors:
 * credentials missing, memory. [I/O thread] */
sluice_status sluice_s3_attempt_prepare(struct sluice_s3_client *client,
                                        struct sluice_s3_call *call, struct sluice_error *err);
/* Judges the reply in call->reply. True: the call is done, call->status and err say how. False: it
 * is to be tried again at call->due_us. [I/O thread] */
bool sluice_s3_attempt_judge(struct sluice_s3_client *client, struct sluice_s3_call *call);
/* After a failure that may pass: sets call->due_us, or false when the tries are used up. [I/O thread] */
bool sluice_s3_attempt_again(struct sluice_s3_client *client, struct sluice_s3_call *call);

#endif /* SLUICE_COMMON_S3_CLIENT_INTERNAL_H */
