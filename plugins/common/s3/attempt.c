/* One try of a call: signing it, and judging what came back. */
#include <stdio.h>
#include <string.h>

#include "s3/client_internal.h"
#include "s3/services.h"
#include "s3/sign.h"
#include "s3/xml.h"
#include "sluice/log.h"

#define DEFAULT_REGION "us-east-1"
/* A server that names a region may be wrong once more; then it is a loop. */
#define REGION_CHANGES_MAX 2
#define WARN_EVERY_US ((int64_t)10 * 1000000)
#define OWN_HEADERS 5

struct op_facts {
    const char *method;
    const char *name;       /* for messages */
    const char *permission; /* of IAM */
    bool whole_bucket;      /* the permission is on the bucket, not on its keys */
    bool patient;
};

static const struct op_facts facts[] = {
    [SLUICE_S3_LIST] = {"GET", "list", "s3:ListBucket", true, false},
    [SLUICE_S3_GET] = {"GET", "get", "s3:GetObject", false, false},
    [SLUICE_S3_HEAD] = {"HEAD", "head", "s3:GetObject", false, false},
    [SLUICE_S3_PUT] = {"PUT", "put", "s3:PutObject", false, false},
    [SLUICE_S3_CREATE] = {"POST", "begin upload", "s3:PutObject", false, false},
    [SLUICE_S3_PART] = {"PUT", "upload part", "s3:PutObject", false, false},
    [SLUICE_S3_COMPLETE] = {"POST", "complete upload", "s3:PutObject", false, true},
    [SLUICE_S3_ABORT] = {"DELETE", "abort upload", "s3:AbortMultipartUpload", false, false},
};

static sluice_status settle_region(struct sluice_s3_client *client, struct sluice_error *err)
{
    char region[SLUICE_S3_KEY_SIZE] = "";
    if (client->region_known) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_s3_provider_region(client->provider, region, err));
    if (region[0] != '\0' && !sluice_s3_region_valid(region)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "region: what the environment or profile says is not a region");
    }
    pthread_mutex_lock(&client->lock);
    (void)snprintf(client->region, sizeof client->region, "%.63s",
                   region[0] != '\0' ? region : DEFAULT_REGION);
    pthread_mutex_unlock(&client->lock);
    client->region_known = true;
    return SLUICE_OK;
}

/* Fills `headers` with ours and the call's; returns how many. Values are borrowed. */
static size_t gather(const struct sluice_s3_call *call, const struct sluice_s3_creds *creds,
                     const char *host, const char *timestamp, struct sluice_s3_pair *headers)
{
    size_t count = 0;
    headers[count++] = (struct sluice_s3_pair){"Host", host};
    headers[count++] = (struct sluice_s3_pair){"x-amz-date", timestamp};
    headers[count++] = (struct sluice_s3_pair){"x-amz-content-sha256", call->payload_hash};
    if (creds->session_token[0] != '\0') {
        headers[count++] = (struct sluice_s3_pair){"x-amz-security-token", creds->session_token};
    }
    for (size_t i = 0; i < call->header_count; i++) {
        headers[count++] = call->headers[i];
    }
    return count;
}

static void make_url(const struct sluice_s3_client *client, struct sluice_s3_call *call,
                     const char *host, const char *path)
{
    struct sluice_s3_buf *url = &call->url;
    sluice_s3_buf_clear(url);
    sluice_s3_buf_adds(url, client->config.target.https ? "https://" : "http://");
    sluice_s3_buf_adds(url, host);
    sluice_s3_uri_escape(url, path, strlen(path), true);
    if (call->query_count > 0) {
        sluice_s3_buf_addc(url, '?');
        sluice_s3_uri_query(url, call->query, call->query_count);
    }
}

sluice_status sluice_s3_attempt_prepare(struct sluice_s3_client *client,
                                        struct sluice_s3_call *call, struct sluice_error *err)
{
    struct sluice_s3_pair headers[SLUICE_S3_HEADER_MAX + OWN_HEADERS];
    struct sluice_s3_buf host = {0};
    struct sluice_s3_buf path = {0};
    struct sluice_s3_buf authorization = {0};
    const struct sluice_s3_creds *creds = NULL;
    char timestamp[SLUICE_S3_TIMESTAMP_SIZE];
    const struct op_facts *fact = &facts[call->op];

    SLUICE_TRY(settle_region(client, err));
    SLUICE_TRY(sluice_s3_creds_get(client->provider, client->region, false, &creds, err));
    pthread_mutex_lock(&client->lock);
    client->creds_source = creds->source;
    pthread_mutex_unlock(&client->lock);
    memcpy(call->region, client->region, sizeof call->region);
    call->clock_offset_us = client->clock_offset_us;
    call->creds_generation = creds->generation;

    sluice_s3_target_host(&client->config.target, call->region, &host);
    sluice_s3_target_path(&client->config.target, call->key, &path);
    sluice_s3_timestamp(client->host->now_us(client->host->ctx, SLUICE_CLOCK_WALL) +
                            client->clock_offset_us,
                        timestamp);
    size_t count = gather(call, creds, sluice_s3_buf_text(&host), timestamp, headers);
    const struct sluice_s3_sign sign = {.method = fact->method,
                                        .path = sluice_s3_buf_text(&path),
                                        .query = call->query,
                                        .query_count = call->query_count,
                                        .headers = headers,
                                        .header_count = count,
                                        .payload_hash = call->payload_hash,
                                        .timestamp = timestamp,
                                        .region = call->region,
                                        .service = "s3",
                                        .access_key = creds->access_key,
                                        .secret_key = creds->secret_key};
    make_url(client, call, sluice_s3_buf_text(&host), sluice_s3_buf_text(&path));
    sluice_status status = sluice_s3_sign_authorize(&sign, &authorization, err);
    if (status < 0) {
        goto out;
    }
    if (host.failed || path.failed || call->url.failed) {
        status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory preparing a request");
        goto out;
    }
    headers[count++] = (struct sluice_s3_pair){"Authorization", authorization.data};
    const struct sluice_s3_http_request request = {.method = fact->method,
                                                   .url = call->url.data,
                                                   .headers = headers,
                                                   .header_count = count,
                                                   .body = call->body,
                                                   .body_size = call->body_size,
                                                   .body_max = call->body_max,
                                                   .timeout_us = client->config.request_timeout_us,
                                                   .patient = fact->patient};
    status =
        sluice_s3_http_prepare(&call->transfer, &client->config.http, &request, &call->reply, err);

out:
    sluice_s3_buf_free(&authorization);
    sluice_s3_buf_free(&path);
    sluice_s3_buf_free(&host);
    return status;
}

/* ---------------------------------------------------------------- judging -------------------- */

/* Sets call->code and returns the verdict; OK in it means success. */
static struct sluice_s3_verdict look(struct sluice_s3_call *call, char *text, size_t text_size)
{
    struct sluice_s3_reply *reply = &call->reply;
    const char *body = sluice_s3_buf_text(&reply->body);
    char root[64] = "";
    call->code[0] = '\0';
    text[0] = '\0';
    if (reply->too_long) {
        (void)snprintf(text, text_size, "the answer is larger than allowed");
        return (struct sluice_s3_verdict){SLUICE_E_LIMIT, SLUICE_S3_ACT_FAIL, 0, NULL};
    }
    if (reply->curl != CURLE_OK) {
        sluice_s3_text_copy(text, text_size, reply->detail, strlen(reply->detail));
        return sluice_s3_verdict_curl(reply->curl);
    }
    const bool good = reply->http_status >= 200 && reply->http_status < 300;
    if (good && call->want_root == NULL) {
        return (struct sluice_s3_verdict){SLUICE_OK, SLUICE_S3_ACT_FAIL, 0, NULL};
    }
    (void)sluice_s3_xml_root(body, reply->body.size, root, sizeof root);
    if (good && strcmp(root, call->want_root) == 0 && sluice_s3_xml_valid(body, reply->body.size)) {
        return (struct sluice_s3_verdict){SLUICE_OK, SLUICE_S3_ACT_FAIL, 0, NULL};
    }
    (void)sluice_s3_xml_find(body, reply->body.size, "Code", call->code, sizeof call->code);
    (void)sluice_s3_xml_find(body, reply->body.size, "Message", text, text_size);
    if (reply->region[0] == '\0') {
        (void)sluice_s3_xml_find(body, reply->body.size, "Region", reply->region,
                                 sizeof reply->region);
    }
    if (reply->request_id[0] == '\0') {
        (void)sluice_s3_xml_find(body, reply->body.size, "RequestId", reply->request_id,
                                 sizeof reply->request_id);
    }
    if (reply->date_us == 0) {
        char server_time[40] = "";
        (void)sluice_s3_xml_find(body, reply->body.size, "ServerTime", server_time,
                                 sizeof server_time);
        reply->date_us = sluice_s3_iso_time_us(server_time);
    }
    if (good) {
        /* 200 whose body is an error (Complete, after minutes of blanks) or nothing we know: as if
         * the server had failed. A known code still decides for itself. */
        return sluice_s3_verdict_http(500, call->code);
    }
    if (reply->http_status == 400 && call->code[0] == '\0' && reply->region[0] != '\0' &&
        strcmp(reply->region, call->region) != 0) {
        return sluice_s3_verdict_http(301, ""); /* HEAD has no body to say so */
    }
    return sluice_s3_verdict_http(reply->http_status, call->code);
}

static void describe(const struct sluice_s3_client *client, struct sluice_s3_call *call,
                     const struct sluice_s3_verdict *verdict, const char *text)
{
    const struct sluice_s3_reply *reply = &call->reply;
    const struct op_facts *fact = &facts[call->op];
    struct sluice_s3_buf host = {0};
    char where[400];
    char status[96] = "";
    char server[320] = "";
    char hint[400] = "";
    sluice_s3_client_where(client, call->key, where, sizeof where);
    if (reply->curl != CURLE_OK) {
        sluice_s3_target_host(&client->config.target, call->region, &host);
        (void)snprintf(server, sizeof server, " at %s://%.300s",
                       client->config.target.https ? "https" : "http", sluice_s3_buf_text(&host));
        sluice_s3_buf_free(&host);
    }
    else {
        (void)snprintf(status, sizeof status, "HTTP %ld%s%s%s", reply->http_status,
                       call->code[0] != '\0' ? " " : "", call->code, text[0] != '\0' ? ": " : "");
    }
    if (verdict->hint != NULL) {
        (void)snprintf(hint, sizeof hint, "%s", verdict->hint);
    }
    else if (verdict->status == SLUICE_E_PERMISSION) {
        (void)snprintf(hint, sizeof hint, "allow %s on arn:aws:s3:::%s%s", fact->permission,
                       client->config.target.bucket, fact->whole_bucket ? "" : "/…");
    }
    if (reply->region[0] != '\0' && verdict->action == SLUICE_S3_ACT_REGION) {
        (void)snprintf(hint, sizeof hint, "the bucket is in region %s: set `region`",
                       reply->region);
    }
    char tries[48] = "";
    if (call->attempts > 1) {
        (void)snprintf(tries, sizeof tries, " (after %u tries)", call->attempts);
    }
    const bool retryable = verdict->action == SLUICE_S3_ACT_RETRY;
    call->status = sluice_error_set(
        &call->err, verdict->status, retryable ? (uint32_t)SLUICE_ERROR_RETRYABLE : 0,
        "%s: cannot %s%s: %s%.300s%s%s%s%s%s%s", where, fact->name, server, status, text, tries,
        reply->request_id[0] != '\0' ? " [request " : "", reply->request_id,
        reply->request_id[0] != '\0' ? "]" : "", hint[0] != '\0' ? "; " : "", hint);
    call->err.native_code =
        reply->curl == CURLE_OK ? (int32_t)reply->http_status : (int32_t)reply->curl;
}

static void note_retry(struct sluice_s3_client *client, const struct sluice_s3_call *call,
                       int64_t now, int64_t wait_us)
{
    client->retries_unlogged++;
    const bool warn = call->attempts >= 3 && now - client->logged_us >= WARN_EVERY_US;
    sluice_log(client->host, warn ? SLUICE_LOG_WARN : SLUICE_LOG_DEBUG,
               "s3 retry count=%llu wait_ms=%lld last=\"%s\"",
               (unsigned long long)client->retries_unlogged, (long long)(wait_us / 1000),
               call->err.message);
    if (warn) {
        client->logged_us = now;
        client->retries_unlogged = 0;
    }
}

bool sluice_s3_attempt_again(struct sluice_s3_client *client, struct sluice_s3_call *call)
{
    const int64_t now = sluice_s3_client_now(client);
    int64_t wait_us = sluice_backoff_next(&call->backoff);
    if (call->give_up_us == 0) {
        call->give_up_us = now + client->config.retry_timeout_us;
    }
    if (call->attempts >= call->attempts_max) {
        return false;
    }
    if (call->reply.retry_after_us > wait_us) {
        /* Not all at the same moment when many were told the same. */
        wait_us = call->reply.retry_after_us + wait_us / 4;
    }
    if (now + wait_us > call->give_up_us) {
        return false;
    }
    call->due_us = now + wait_us;
    note_retry(client, call, now, wait_us);
    return true;
}

/* True: try again at once, in the region that the server named. */
static bool change_region(struct sluice_s3_client *client, struct sluice_s3_call *call)
{
    const char *region = call->reply.region;
    if (call->region_changes >= REGION_CHANGES_MAX) {
        return false;
    }
    if (strcmp(client->region, call->region) == 0) {
        if (!sluice_s3_region_valid(region) || strcmp(region, call->region) == 0) {
            return false;
        }
        sluice_log(client->host, SLUICE_LOG_WARN,
                   "s3 bucket is in another region bucket=%s region=%s configured=%s; set `region`"
                   " to save round trips",
                   client->config.target.bucket, region, client->region);
        pthread_mutex_lock(&client->lock);
        memcpy(client->region, region, strlen(region) + 1);
        pthread_mutex_unlock(&client->lock);
    }
    call->region_changes++;
    return true;
}

/* True: try again at once, with the server's clock. */
static bool change_clock(struct sluice_s3_client *client, struct sluice_s3_call *call)
{
    if (call->reply.date_us == 0 || call->clock_changes > 0) {
        return false;
    }
    call->clock_changes++;
    if (client->clock_offset_us == call->clock_offset_us) {
        client->clock_offset_us =
            call->reply.date_us - client->host->now_us(client->host->ctx, SLUICE_CLOCK_WALL);
        sluice_log(client->host, SLUICE_LOG_WARN,
                   "s3 clock is off, using the server's offset_s=%lld; set this machine's clock",
                   (long long)(client->clock_offset_us / 1000000));
    }
    return true;
}

/* True: try again at once, with other credentials. */
static bool change_creds(struct sluice_s3_client *client, struct sluice_s3_call *call)
{
    struct sluice_error error = SLUICE_ERROR_INIT;
    const struct sluice_s3_creds *creds = NULL;
    if (call->creds_changes > 0) {
        return false;
    }
    call->creds_changes++;
    if (sluice_s3_creds_get(client->provider, client->region, true, &creds, &error) < 0) {
        call->err = error; /* says more than that the old ones expired */
        call->status = error.status;
        return false;
    }
    return creds->generation != call->creds_generation;
}

bool sluice_s3_attempt_judge(struct sluice_s3_client *client, struct sluice_s3_call *call)
{
    char text[320];
    const struct sluice_s3_verdict verdict = look(call, text, sizeof text);
    if (call->reply.date_us != 0) {
        atomic_store_explicit(&client->skew_us,
                              call->reply.date_us -
                                  client->host->now_us(client->host->ctx, SLUICE_CLOCK_WALL),
                              memory_order_relaxed);
    }
    if (verdict.status == SLUICE_OK) {
        call->status = SLUICE_OK;
        return true;
    }
    describe(client, call, &verdict, text);
    call->due_us = 0;
    switch (verdict.action) {
    case SLUICE_S3_ACT_RETRY:
        if (verdict.slow_down != 0 && client->parts_limit > 1) {
            client->parts_limit = (client->parts_limit + 1) / 2;
            client->parts_good = 0;
        }
        return !sluice_s3_attempt_again(client, call);
    case SLUICE_S3_ACT_REGION:
        return !change_region(client, call);
    case SLUICE_S3_ACT_CLOCK:
        return !change_clock(client, call);
    case SLUICE_S3_ACT_CREDS:
        return !change_creds(client, call);
    default:
        return true;
    }
}
