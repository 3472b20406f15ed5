#include "connect/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/str.h"
#include "connect/cause.h"

enum { ANSWER_MAX = 64 << 20, MESSAGE_MAX = 400 };
#define PAUSE_FIRST_US 100000
#define PAUSE_MAX_US 2000000

struct sluice_connect_client {
    char *url; /* without slashes at the end */
    char *user;
    char *password;
    char *ca_file;
    int64_t timeout_us;
    struct sluice_cancel *cancel;
    CURL *easy;
};

struct reply {
    long status;
    struct sluice_str body;
    int too_large;
};

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                            "out of memory for Kafka Connect");
}

/* ---- making ---- */

static sluice_status check_url(const char *url, struct sluice_error *err)
{
    const char *host = NULL;
    if (strncasecmp(url, "http://", 7) == 0) {
        host = url + 7;
    }
    else if (strncasecmp(url, "https://", 8) == 0) {
        host = url + 8;
    }
    if (host == NULL || *host == '\0' || *host == '/' || *host == ':' ||
        strpbrk(url, " \t\r\n?#") != NULL) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "not the URL of a Kafka Connect (hint: as in http://host:8083)");
    }
    if (strchr(host, '@') != NULL && strcspn(host, "/") > strcspn(host, "@")) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "a password does not belong in the URL, where others see it (hint: "
                                "set SLUICE_CONNECT_USER and SLUICE_CONNECT_PASSWORD)");
    }
    return SLUICE_OK;
}

static int keep(char **to, const char *text)
{
    *to = text != NULL ? sluice_alloc_string(text) : NULL;
    return text == NULL || *to != NULL;
}

sluice_status sluice_connect_open(const struct sluice_connect_settings *settings,
                                  struct sluice_cancel *cancel, struct sluice_connect_client **out,
                                  struct sluice_error *err)
{
    SLUICE_TRY(check_url(settings->url, err));
    struct sluice_connect_client *client = sluice_alloc_zero(1, sizeof *client);
    if (client == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        sluice_free(client);
        return nomem(err);
    }
    client->timeout_us = settings->timeout_us;
    client->cancel = cancel;
    client->easy = curl_easy_init();
    if (client->easy == NULL || !keep(&client->url, settings->url) ||
        !keep(&client->user, settings->user) || !keep(&client->password, settings->password) ||
        !keep(&client->ca_file, settings->ca_file)) {
        sluice_connect_close(client);
        return nomem(err);
    }
    for (size_t n = strlen(client->url); n > 0 && client->url[n - 1] == '/'; n--) {
        client->url[n - 1] = '\0';
    }
    *out = client;
    return SLUICE_OK;
}

void sluice_connect_close(struct sluice_connect_client *client)
{
    if (client != NULL) {
        curl_easy_cleanup(client->easy);
        sluice_free(client->url);
        sluice_free(client->user);
        sluice_free(client->password);
        sluice_free(client->ca_file);
        sluice_free(client);
        curl_global_cleanup();
    }
}

const char *sluice_connect_url(const struct sluice_connect_client *client)
{
    return client->url;
}

char *sluice_connect_path(const char *name, const char *rest)
{
    struct sluice_str path = SLUICE_STR_INIT;
    sluice_str_append(&path, "/connectors/");
    for (const unsigned char *p = (const unsigned char *)name; *p != '\0'; p++) {
        const int plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                          (*p >= '0' && *p <= '9') || strchr("-._~", *p) != NULL;
        sluice_str_printf(&path, plain ? "%c" : "%%%02X", *p);
    }
    sluice_str_append(&path, rest);
    return sluice_str_steal(&path);
}

/* ---- one exchange ---- */

static size_t on_data(char *data, size_t size, size_t count, void *ctx)
{
    struct reply *reply = ctx;
    const size_t n = size * count;
    reply->too_large = reply->body.size + n > ANSWER_MAX;
    if (reply->too_large) {
        return 0;
    }
    sluice_str_append_n(&reply->body, data, n);
    return reply->body.failed ? 0 : n;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct sluice_connect_client *client = ctx;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return client->cancel != NULL && sluice_cancel_raised(client->cancel);
}

/* What keeps us from an answer, told apart. */
static sluice_status no_answer(const struct sluice_connect_client *client, CURLcode code,
                               const struct reply *reply, struct sluice_error *err)
{
    const char *what = curl_easy_strerror(code);
    const char *hint = "is Kafka Connect running?";
    sluice_status status = SLUICE_E_UNAVAILABLE;
    switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
        return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "%s: stopped", client->url);
    case CURLE_WRITE_ERROR:
        return reply->too_large ? sluice_error_set(err, SLUICE_E_LIMIT, 0,
                                                   "%s: the answer is larger than %d MiB",
                                                   client->url, ANSWER_MAX >> 20)
                                : nomem(err);
    case CURLE_COULDNT_RESOLVE_HOST:
        what = "no such host is known";
        hint = "check the name, and DNS";
        break;
    case CURLE_COULDNT_CONNECT:
        what = "nobody listens there";
        hint = "is Kafka Connect running, and is the port that of its REST interface (8083)?";
        break;
    case CURLE_OPERATION_TIMEDOUT:
        what = "no answer in time";
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        what = "its certificate is not trusted, or of another host";
        hint = "--ca FILE names the authority that signed it";
        status = SLUICE_E_AUTH;
        break;
    case CURLE_SSL_CONNECT_ERROR:
        what = "no TLS is spoken there";
        hint = "http:// instead of https://?";
        break;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        hint = "is that Kafka Connect's REST interface, and is it http:// or https://?";
        break;
    default:
        break;
    }
    return sluice_error_set(err, status, SLUICE_ERROR_RETRYABLE, "%s: %s (hint: %s)", client->url,
                            what, hint);
}

static CURLcode set_options(struct sluice_connect_client *client, const char *method,
                            const char *url, const char *text, struct curl_slist *headers,
                            struct reply *reply)
{
    CURL *easy = client->easy;
    CURLcode code = CURLE_OK;
    curl_easy_reset(easy);
#define SET(option, value) code = code == CURLE_OK ? curl_easy_setopt(easy, option, value) : code
    SET(CURLOPT_URL, url);
    SET(CURLOPT_CUSTOMREQUEST, method);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_TIMEOUT_MS, (long)(client->timeout_us / 1000));
    SET(CURLOPT_CONNECTTIMEOUT_MS,
        (long)(client->timeout_us / 1000 < 10000 ? client->timeout_us / 1000 : 10000));
    SET(CURLOPT_WRITEFUNCTION, on_data);
    SET(CURLOPT_WRITEDATA, reply);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, client);
    SET(CURLOPT_NOPROGRESS, 0L);
    if (text != NULL) {
        SET(CURLOPT_POSTFIELDS, text);
    }
    if (client->user != NULL) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(CURLOPT_USERNAME, client->user);
        SET(CURLOPT_PASSWORD, client->password != NULL ? client->password : "");
    }
    if (client->ca_file != NULL) {
        SET(CURLOPT_CAINFO, client->ca_file);
    }
#undef SET
    return code;
}

static sluice_status exchange(struct sluice_connect_client *client, const char *method,
                              const char *path, const char *text, struct reply *reply,
                              struct sluice_error *err)
{
    struct sluice_str url = SLUICE_STR_INIT;
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
    struct curl_slist *more = curl_slist_append(headers, "Content-Type: application/json");
    sluice_str_append(&url, client->url);
    sluice_str_append(&url, path);
    sluice_str_clear(&reply->body);
    reply->status = 0;
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (more != NULL && !url.failed) {
        code = set_options(client, method, sluice_str_text(&url), text, headers, reply);
    }
    if (code == CURLE_OK) {
        code = curl_easy_perform(client->easy);
    }
    if (code == CURLE_OK) {
        code = curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &reply->status);
    }
    curl_slist_free_all(headers);
    sluice_str_free(&url);
    return code == CURLE_OK ? SLUICE_OK : no_answer(client, code, reply, err);
}

/* ---- answers ---- */

/* {"error_code": 409, "message": "…"}; a proxy's page has no such thing. */
static sluice_status refused(const struct sluice_connect_client *client, long status,
                             const json_t *answer, struct sluice_error *err)
{
    char cause[SLUICE_CONNECT_CAUSE_MAX] = "refused";
    const char *message = json_string_value(json_object_get(answer, "message"));
    const char *remedy = NULL;
    sluice_status out = SLUICE_E_IO;
    switch (status) {
    case 400:
    case 422:
        out = SLUICE_E_INVALID;
        break;
    case 401:
    case 403:
        out = SLUICE_E_AUTH;
        remedy = "set SLUICE_CONNECT_USER and SLUICE_CONNECT_PASSWORD";
        break;
    case 404:
        out = SLUICE_E_NOT_FOUND;
        remedy = message == NULL ? "is that the URL of Kafka Connect's REST interface?" : NULL;
        break;
    case 409:
        out = SLUICE_E_CONFLICT;
        break;
    case 502:
    case 503:
    case 504:
        out = SLUICE_E_UNAVAILABLE;
        break;
    default:
        break;
    }
    /* Connect answers 500 to a class that it does not have. */
    if (message != NULL && strstr(message, "Failed to find any class") != NULL) {
        out = SLUICE_E_NOT_FOUND;
    }
    if (message != NULL) {
        const char *known = NULL;
        sluice_connect_cause(message, cause, &known);
        remedy = remedy != NULL ? remedy : known;
    }
    out = sluice_error_set(err, out, 0, "%s: %.*s (HTTP %ld)%s%s%s", client->url, MESSAGE_MAX,
                           cause, status, remedy != NULL ? " (hint: " : "",
                           remedy != NULL ? remedy : "", remedy != NULL ? ")" : "");
    if (err != NULL) {
        err->native_code = (int32_t)status;
    }
    return out;
}

static sluice_status take_answer(const struct sluice_connect_client *client,
                                 const struct reply *reply, json_t **answer,
                                 struct sluice_error *err)
{
    json_t *made = reply->body.size > 0 ? json_loadb(reply->body.data, reply->body.size,
                                                     JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL)
                                        : NULL;
    if (reply->status < 200 || reply->status > 299) {
        const sluice_status status = refused(client, reply->status, made, err);
        json_decref(made);
        return status;
    }
    if (made == NULL && reply->body.size > 0) {
        return sluice_error_set(err, SLUICE_E_DATA, 0,
                                "%s: the answer is no JSON (hint: is that the URL of Kafka "
                                "Connect's REST interface?)",
                                client->url);
    }
    if (answer != NULL) {
        *answer = made;
    }
    else {
        json_decref(made);
    }
    return SLUICE_OK;
}

/* 0 = it was cancelled, or the time is up. */
static int pause_for(struct sluice_connect_client *client, int64_t *pause_us, int64_t until)
{
    const int64_t now = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    if (now + *pause_us > until) {
        return 0;
    }
    if (client->cancel != NULL && sluice_cancel_sleep(client->cancel, *pause_us)) {
        return 0;
    }
    *pause_us = *pause_us * 2 < PAUSE_MAX_US ? *pause_us * 2 : PAUSE_MAX_US;
    return 1;
}

static int append(const char *data, size_t size, void *text)
{
    sluice_str_append_n(text, data, size);
    return ((struct sluice_str *)text)->failed ? -1 : 0;
}

sluice_status sluice_connect_call(struct sluice_connect_client *client, const char *method,
                                  const char *path, const json_t *body, json_t **answer,
                                  struct sluice_error *err)
{
    struct reply reply = {.body = SLUICE_STR_INIT};
    int64_t pause_us = PAUSE_FIRST_US;
    const int64_t until = sluice_now_us(SLUICE_CLOCK_MONOTONIC) + client->timeout_us;
    struct sluice_str text = SLUICE_STR_INIT;
    if (answer != NULL) {
        *answer = NULL;
    }
    if (body != NULL &&
        json_dump_callback(body, append, &text, JSON_COMPACT | JSON_ENCODE_ANY) != 0) {
        sluice_str_free(&text);
        return nomem(err);
    }
    sluice_status status = SLUICE_OK;
    do {
        status = exchange(client, method, path, body != NULL ? sluice_str_text(&text) : NULL,
                          &reply, err);
        /* 409 is also the answer to a name that is taken: no time mends that. */
    } while (status >= 0 && reply.status == 409 &&
             strstr(sluice_str_text(&reply.body), "already exists") == NULL &&
             pause_for(client, &pause_us, until));
    if (status >= 0) {
        status = take_answer(client, &reply, answer, err);
    }
    sluice_str_free(&reply.body);
    sluice_str_free(&text);
    return status;
}
