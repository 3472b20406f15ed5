#include "s3/client.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/client_internal.h"
#include "s3/sign.h"
#include "sluice/log.h"

/* Cleaning up (AbortMultipartUpload) after a cancel or at the end may take so long, no longer. */
#define CLEANUP_US ((int64_t)2 * 1000000)
#define SENT_GRACE_US ((int64_t)500 * 1000) /* a server that lives has answered by then */
/* The I/O thread wakes by itself at least so often; everything else wakes it. */
#define POLL_MS_MAX 60000
#define RETRY_BASE_US ((int64_t)100 * 1000)
#define RETRY_CAP_US ((int64_t)20 * 1000000)

int64_t sluice_s3_client_now(const struct sluice_s3_client *client)
{
    return client->host->now_us(client->host->ctx, SLUICE_CLOCK_MONOTONIC);
}

bool sluice_s3_client_cancelled(const struct sluice_s3_client *client)
{
    return atomic_load(&client->cancelled) != 0 || client->host->cancelled(client->host->ctx) != 0;
}

int64_t sluice_s3_client_skew_us(const struct sluice_s3_client *client)
{
    /* Relaxed: nothing is published with it. */
    return atomic_load_explicit(&client->skew_us, memory_order_relaxed);
}

const struct sluice_s3_target *sluice_s3_client_target(const struct sluice_s3_client *client)
{
    return &client->config.target;
}

void sluice_s3_client_where(const struct sluice_s3_client *client, const char *key, char *to,
                            size_t to_size)
{
    const int size = snprintf(to, to_size, "s3://%s%s%s", client->config.target.bucket,
                              key != NULL ? "/" : "", key != NULL ? key : "");
    if (size < 0) {
        to[0] = '\0';
    }
}

void sluice_s3_client_region(struct sluice_s3_client *client, char region[SLUICE_S3_REGION_SIZE])
{
    pthread_mutex_lock(&client->lock);
    memcpy(region, client->region, sizeof client->region);
    pthread_mutex_unlock(&client->lock);
}

const char *sluice_s3_client_creds_source(struct sluice_s3_client *client)
{
    pthread_mutex_lock(&client->lock);
    const char *source = client->creds_source;
    pthread_mutex_unlock(&client->lock);
    return source != NULL ? source : "";
}

/* ---------------------------------------------------------------- calls ---------------------- */

void sluice_s3_call_init(struct sluice_s3_call *call, enum sluice_s3_op op, const char *key)
{
    memset(call, 0, sizeof *call);
    call->op = op;
    call->key = key;
    sluice_error_clear(&call->err);
    sluice_s3_reply_clear(&call->reply);
}

void sluice_s3_call_free(struct sluice_s3_call *call)
{
    sluice_s3_reply_free(&call->reply);
    sluice_s3_buf_free(&call->url);
}

void sluice_s3_call_query(struct sluice_s3_call *call, const char *name, const char *value)
{
    if (call->query_count < SLUICE_S3_QUERY_MAX) {
        call->query[call->query_count++] = (struct sluice_s3_pair){name, value};
    }
}

void sluice_s3_call_header(struct sluice_s3_call *call, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0' && call->header_count < SLUICE_S3_HEADER_MAX) {
        call->headers[call->header_count++] = (struct sluice_s3_pair){name, value};
    }
}

sluice_status sluice_s3_call_body(struct sluice_s3_client *client, struct sluice_s3_call *call,
                                  const void *body, uint64_t size, struct sluice_error *err)
{
    const int mode = client->config.sign_payload;
    const bool sign = mode == SLUICE_S3_SIGN_ALWAYS ||
                      (mode == SLUICE_S3_SIGN_AUTO && !client->config.target.https);
    call->body = body;
    call->body_size = size;
    if (!sign && size > 0) {
        memcpy(call->payload_hash, SLUICE_S3_UNSIGNED_PAYLOAD, sizeof SLUICE_S3_UNSIGNED_PAYLOAD);
        return SLUICE_OK;
    }
    return sluice_s3_sha256_hex(size > 0 ? body : "", (size_t)size, call->payload_hash, err);
}

/* ---------------------------------------------------------------- I/O thread ----------------- */

static void live_add(struct sluice_s3_client *client, struct sluice_s3_call *call)
{
    call->next = NULL;
    call->prev = client->live_last;
    if (client->live_last != NULL) {
        client->live_last->next = call;
    }
    else {
        client->live = call;
    }
    client->live_last = call;
}

static void live_remove(struct sluice_s3_client *client, struct sluice_s3_call *call)
{
    if (call->prev != NULL) {
        call->prev->next = call->next;
    }
    else {
        client->live = call->next;
    }
    if (call->next != NULL) {
        call->next->prev = call->prev;
    }
    else {
        client->live_last = call->prev;
    }
    call->next = NULL;
    call->prev = NULL;
}

/* Takes the easy handle out of the multi handle and ends the transfer. */
static void deactivate(struct sluice_s3_client *client, struct sluice_s3_call *call,
                       CURLcode result)
{
    curl_multi_remove_handle(client->multi, call->transfer.easy);
    sluice_s3_http_finish(&call->transfer, result);
    if (call->op == SLUICE_S3_PART) {
        client->parts_active--;
    }
    call->state = SLUICE_S3_CALL_IDLE;
}

static void put_spare(struct sluice_s3_client *client, struct sluice_s3_call *call)
{
    if (call->transfer.easy == NULL) {
        return;
    }
    if (client->spare_count < sizeof client->spare / sizeof client->spare[0]) {
        client->spare[client->spare_count++] = call->transfer.easy;
    }
    else {
        curl_easy_cleanup(call->transfer.easy);
    }
    call->transfer.easy = NULL;
}

/* The call is over: hand it back. */
static void complete(struct sluice_s3_client *client, struct sluice_s3_call *call)
{
    live_remove(client, call);
    put_spare(client, call);
    if (call->on_done != NULL) {
        call->on_done(call);
        return;
    }
    pthread_mutex_lock(&client->lock);
    call->done = true;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

static void complete_cancelled(struct sluice_s3_client *client, struct sluice_s3_call *call)
{
    char where[256];
    if (call->state == SLUICE_S3_CALL_ACTIVE) {
        deactivate(client, call, CURLE_ABORTED_BY_CALLBACK);
    }
    sluice_s3_client_where(client, call->key, where, sizeof where);
    call->status = sluice_error_set(&call->err, SLUICE_E_CANCELLED, 0, "%s: cancelled", where);
    complete(client, call);
}

static void begin(struct sluice_s3_client *client, struct sluice_s3_call *call)
{
    call->transfer.easy = client->spare_count > 0 ? client->spare[--client->spare_count] : NULL;
    call->status = sluice_s3_attempt_prepare(client, call, &call->err);
    if (call->status == SLUICE_OK &&
        curl_multi_add_handle(client->multi, call->transfer.easy) != CURLM_OK) {
        call->status =
            sluice_error_set(&call->err, SLUICE_E_NOMEM, 0, "s3: out of memory starting a request");
    }
    if (call->status < 0) {
        curl_slist_free_all(call->transfer.headers);
        call->transfer.headers = NULL;
        call->attempts++;
        if ((call->err.flags & (uint32_t)SLUICE_ERROR_RETRYABLE) != 0 &&
            sluice_s3_attempt_again(client, call)) {
            put_spare(client, call);
            return;
        }
        complete(client, call);
        return;
    }
    call->attempts++;
    call->state = SLUICE_S3_CALL_ACTIVE;
    if (call->op == SLUICE_S3_PART) {
        client->parts_active++;
    }
    client->host->metric_add(client->requests, 1);
}

/* Lets fewer parts run at once while the server complains, more again as it recovers. */
static void adapt(struct sluice_s3_client *client, const struct sluice_s3_call *call)
{
    if (call->op != SLUICE_S3_PART || call->status != SLUICE_OK) {
        return;
    }
    client->host->metric_add(client->sent_bytes, (int64_t)call->body_size);
    if (client->parts_limit < client->config.parts_max && ++client->parts_good >= 8) {
        client->parts_limit++;
        client->parts_good = 0;
    }
}

/* True when anything ended: what waited for its turn may start. */
static bool read_messages(struct sluice_s3_client *client)
{
    bool any = false;
    int left = 0;
    const CURLMsg *message = NULL;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct sluice_s3_transfer *tr = NULL;
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&tr);
        struct sluice_s3_call *call =
            (struct sluice_s3_call *)((char *)tr - offsetof(struct sluice_s3_call, transfer));
        any = true;
        deactivate(client, call, message->data.result);
        if (sluice_s3_attempt_judge(client, call)) {
            adapt(client, call);
            complete(client, call);
            continue;
        }
        client->host->metric_add(client->retries, 1);
        put_spare(client, call);
        call->state = SLUICE_S3_CALL_WAITING;
    }
    return any;
}

/* Moves what was submitted to the live list. False: stop. */
static bool take_incoming(struct sluice_s3_client *client)
{
    pthread_mutex_lock(&client->lock);
    struct sluice_s3_call *call = client->incoming;
    client->incoming = NULL;
    client->incoming_last = NULL;
    client->ending = client->stopping;
    pthread_mutex_unlock(&client->lock);
    while (call != NULL) {
        struct sluice_s3_call *next = call->next;
        call->state = SLUICE_S3_CALL_WAITING;
        call->due_us = 0;
        live_add(client, call);
        call = next;
    }
    return !client->ending || client->live != NULL;
}

static bool is_abandoned(struct sluice_s3_client *client, const struct sluice_s3_call *call)
{
    pthread_mutex_lock(&client->lock);
    const bool abandoned = call->abandoned;
    pthread_mutex_unlock(&client->lock);
    return abandoned;
}

/* How long a call may go on once the client is cancelled; 0 = not at all. */
static int64_t grace_us(const struct sluice_s3_call *call)
{
    if (call->after_cancel) {
        return CLEANUP_US;
    }
    return call->end_if_sent && call->state == SLUICE_S3_CALL_ACTIVE ? SENT_GRACE_US : 0;
}

/* Ends what is cancelled, starts what is due. Returns milliseconds until something is due. */
static int schedule(struct sluice_s3_client *client)
{
    const int64_t now = sluice_s3_client_now(client);
    const bool cancelled = client->ending || sluice_s3_client_cancelled(client);
    int64_t wait_us = (int64_t)POLL_MS_MAX * 1000;
    if (cancelled && client->cancelled_us == 0) {
        client->cancelled_us = now;
    }
    struct sluice_s3_call *next = NULL;
    for (struct sluice_s3_call *call = client->live; call != NULL; call = next) {
        next = call->next;
        const int64_t left_us = client->cancelled_us + grace_us(call) - now;
        if (cancelled && left_us > 0 && left_us < wait_us) {
            wait_us = left_us;
        }
        if ((cancelled && left_us <= 0) || is_abandoned(client, call)) {
            complete_cancelled(client, call);
            continue;
        }
        if (call->state == SLUICE_S3_CALL_ACTIVE) {
            continue;
        }
        if (call->due_us > now) {
            wait_us = call->due_us - now < wait_us ? call->due_us - now : wait_us;
            continue;
        }
        if (call->op == SLUICE_S3_PART && client->parts_active >= client->parts_limit) {
            continue; /* a part that ends wakes the loop */
        }
        begin(client, call);
    }
    return wait_us > 0 ? (int)((wait_us + 999) / 1000) : 0;
}

static void *io_main(void *arg)
{
    struct sluice_s3_client *client = arg;
    pthread_setname_np(pthread_self(), "sluice-s3");
    while (take_incoming(client)) {
        int wait_ms = schedule(client);
        int running = 0;
        (void)curl_multi_perform(client->multi, &running);
        const bool ended = read_messages(client);
        if (ended || (client->ending && client->live == NULL)) {
            wait_ms = 0; /* there is more to do, or nothing more to wait for */
        }
        /* Once cancelled the descriptor stays readable; polling it then would spin. */
        struct curl_waitfd extra = {client->host->cancel_fd(client->host->ctx), CURL_WAIT_POLLIN,
                                    0};
        const bool watch = extra.fd >= 0 && !sluice_s3_client_cancelled(client);
        (void)curl_multi_poll(client->multi, &extra, watch ? 1 : 0, wait_ms, NULL);
    }
    return NULL;
}

/* ---------------------------------------------------------------- callers -------------------- */

/* With the lock. Signals stay with the engine's own threads. */
static sluice_status start_thread(struct sluice_s3_client *client, struct sluice_error *err)
{
    sigset_t all;
    sigset_t old;
    if (client->started) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_s3_http_init(err));
    if (client->multi == NULL) {
        client->multi = curl_multi_init();
    }
    if (client->multi == NULL ||
        curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS,
                          (long)client->config.parts_max + 4) != CURLM_OK ||
        curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) != CURLM_OK) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: libcurl does not start");
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const int failed = pthread_create(&client->thread, NULL, io_main, client);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed != 0) {
        return sluice_error_errno(err, failed, "s3: cannot start a thread");
    }
    client->started = true;
    return SLUICE_OK;
}

sluice_status sluice_s3_client_submit(struct sluice_s3_client *client, struct sluice_s3_call *call,
                                      struct sluice_error *err)
{
    if (call->attempts_max == 0) {
        call->attempts_max = client->config.retry_attempts;
    }
    if (call->payload_hash[0] == '\0') {
        SLUICE_TRY(sluice_s3_call_body(client, call, NULL, 0, err));
    }
    sluice_backoff_init(&call->backoff, RETRY_BASE_US, RETRY_CAP_US, 0,
                        (uint64_t)(uintptr_t)call ^ (uint64_t)sluice_s3_client_now(client));
    pthread_mutex_lock(&client->lock);
    const sluice_status status = start_thread(client, err);
    if (status == SLUICE_OK) {
        call->next = NULL;
        if (client->incoming_last != NULL) {
            client->incoming_last->next = call;
        }
        else {
            client->incoming = call;
        }
        client->incoming_last = call;
    }
    pthread_mutex_unlock(&client->lock);
    if (status == SLUICE_OK) {
        curl_multi_wakeup(client->multi);
    }
    return status;
}

sluice_status sluice_s3_client_wait(struct sluice_s3_client *client, struct sluice_s3_call *call,
                                    struct sluice_error *err)
{
    pthread_mutex_lock(&client->lock);
    while (!call->done) {
        pthread_cond_wait(&client->changed, &client->lock);
    }
    pthread_mutex_unlock(&client->lock);
    if (call->status < 0 && err != NULL) {
        *err = call->err;
    }
    return call->status;
}

sluice_status sluice_s3_client_run(struct sluice_s3_client *client, struct sluice_s3_call *call,
                                   struct sluice_error *err)
{
    SLUICE_TRY(sluice_s3_client_submit(client, call, err));
    return sluice_s3_client_wait(client, call, err);
}

void sluice_s3_client_abandon(struct sluice_s3_client *client, struct sluice_s3_call *call)
{
    pthread_mutex_lock(&client->lock);
    call->abandoned = true;
    pthread_mutex_unlock(&client->lock);
    curl_multi_wakeup(client->multi);
}

void sluice_s3_client_cancel(struct sluice_s3_client *client)
{
    atomic_store(&client->cancelled, 1);
    pthread_mutex_lock(&client->lock);
    const bool started = client->started;
    pthread_mutex_unlock(&client->lock);
    if (started) {
        curl_multi_wakeup(client->multi);
    }
}

static struct sluice_metric *counter(const struct sluice_host *host, const char *name,
                                     const char *unit, const char *help)
{
    return host->metric(host->ctx, SLUICE_METRIC_COUNTER, name, unit, help);
}

sluice_status sluice_s3_client_create(const struct sluice_s3_client_config *config,
                                      struct sluice_s3_client **out, struct sluice_error *err)
{
    struct sluice_s3_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory");
    }
    client->config = *config;
    client->host = config->host;
    client->parts_limit = config->parts_max;
    if (config->region != NULL) {
        if (!sluice_s3_region_valid(config->region)) {
            free(client);
            return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                    "region: must be a name such as eu-west-1");
        }
        memcpy(client->region, config->region, strlen(config->region) + 1);
        client->region_known = true;
    }
    const sluice_status status = sluice_s3_provider_create(&config->creds, &client->provider, err);
    if (status < 0) {
        free(client);
        return status;
    }
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->changed, NULL);
    client->requests = counter(client->host, "s3_requests", "1", "HTTP requests sent to S3");
    client->retries = counter(client->host, "s3_retries", "1", "S3 requests sent again");
    client->sent_bytes =
        counter(client->host, "s3_part_bytes", "byte", "bytes of parts that S3 has taken");
    *out = client;
    return SLUICE_OK;
}

void sluice_s3_client_destroy(struct sluice_s3_client *client)
{
    if (client == NULL) {
        return;
    }
    pthread_mutex_lock(&client->lock);
    const bool started = client->started;
    client->stopping = true;
    pthread_mutex_unlock(&client->lock);
    if (started) {
        curl_multi_wakeup(client->multi);
        pthread_join(client->thread, NULL);
    }
    for (uint32_t i = 0; i < client->spare_count; i++) {
        curl_easy_cleanup(client->spare[i]);
    }
    if (client->multi != NULL) {
        curl_multi_cleanup(client->multi);
    }
    sluice_s3_provider_destroy(client->provider);
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->lock);
    free(client);
}
