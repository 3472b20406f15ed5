#include "s3/http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* One header line of ours: names are short, the longest values are session tokens. */
#define HEADER_LINE_MAX ((size_t)32 << 10)
/* Fewer, larger writes: curl copies a body through this buffer. */
#define UPLOAD_BUFFER_BYTES (512L << 10)

static pthread_once_t init_once = PTHREAD_ONCE_INIT;
static CURLcode init_result = CURLE_OK;

static void init_curl(void)
{
    init_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

sluice_status sluice_s3_http_init(struct sluice_error *err)
{
    if (pthread_once(&init_once, init_curl) != 0 || init_result != CURLE_OK) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "s3: libcurl does not start: %s",
                                curl_easy_strerror(init_result));
    }
    return SLUICE_OK;
}

void sluice_s3_reply_clear(struct sluice_s3_reply *reply)
{
    struct sluice_s3_buf body = reply->body;
    sluice_s3_buf_clear(&body);
    memset(reply, 0, sizeof *reply);
    reply->body = body;
    reply->retry_after_us = -1;
    reply->content_length = -1;
}

void sluice_s3_reply_free(struct sluice_s3_reply *reply)
{
    sluice_s3_buf_free(&reply->body);
}

static size_t on_read(char *to, size_t size, size_t count, void *vctx)
{
    struct sluice_s3_transfer *tr = vctx;
    uint64_t room = (uint64_t)size * count;
    const uint64_t left = tr->body_size - tr->body_sent;
    if (room > left) {
        room = left;
    }
    if (room > 0) {
        memcpy(to, tr->body + tr->body_sent, room);
        tr->body_sent += room;
    }
    return (size_t)room;
}

static int on_seek(void *vctx, curl_off_t offset, int origin)
{
    struct sluice_s3_transfer *tr = vctx;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > tr->body_size) {
        return CURL_SEEKFUNC_FAIL;
    }
    tr->body_sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t on_write(char *data, size_t size, size_t count, void *vctx)
{
    struct sluice_s3_transfer *tr = vctx;
    struct sluice_s3_buf *body = &tr->reply->body;
    const size_t bytes = size * count;
    long http_status = 0;
    curl_easy_getinfo(tr->easy, CURLINFO_RESPONSE_CODE, &http_status);
    uint64_t max = tr->body_max;
    if ((http_status >= 300 || max == 0) && max < SLUICE_S3_ERROR_BODY_MAX) {
        max = SLUICE_S3_ERROR_BODY_MAX;
    }
    body->max = (size_t)max;
    sluice_s3_buf_add(body, data, bytes);
    if (body->failed) {
        tr->reply->too_long = body->too_long;
        return 0;
    }
    return bytes;
}

/* A decimal number, -1 when it is none. */
static int64_t number(const char *text, size_t size)
{
    int64_t value = 0;
    if (size == 0 || size > 18) {
        return -1;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

static int64_t http_date_us(const char *text, size_t size)
{
    char date[64];
    sluice_s3_text_copy(date, sizeof date, text, size);
    const time_t seconds = curl_getdate(date, NULL);
    return seconds > 0 ? (int64_t)seconds * 1000000 : 0;
}

static void take_header(struct sluice_s3_reply *reply, const char *name, size_t name_size,
                        const char *value, size_t value_size)
{
    static const struct {
        const char *name;
        size_t offset;
        size_t size;
    } texts[] = {
        {"etag", offsetof(struct sluice_s3_reply, etag), sizeof reply->etag},
        {"x-amz-bucket-region", offsetof(struct sluice_s3_reply, region), sizeof reply->region},
        {"x-amz-meta-sluice-attempt", offsetof(struct sluice_s3_reply, attempt),
         sizeof reply->attempt},
        {"x-amz-request-id", offsetof(struct sluice_s3_reply, request_id),
         sizeof reply->request_id},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strlen(texts[i].name) == name_size &&
            strncasecmp(texts[i].name, name, name_size) == 0) {
            sluice_s3_text_copy((char *)reply + texts[i].offset, texts[i].size, value, value_size);
            return;
        }
    }
    if (name_size == 4 && strncasecmp(name, "date", 4) == 0) {
        reply->date_us = http_date_us(value, value_size);
    }
    else if (name_size == 14 && strncasecmp(name, "content-length", 14) == 0) {
        reply->content_length = number(value, value_size);
    }
    else if (name_size == 11 && strncasecmp(name, "retry-after", 11) == 0) {
        const int64_t seconds = number(value, value_size);
        if (seconds >= 0) {
            reply->retry_after_us = (seconds < 3600 ? seconds : 3600) * 1000000;
        }
    }
}

static size_t on_header(char *data, size_t size, size_t count, void *vctx)
{
    struct sluice_s3_transfer *tr = vctx;
    const size_t bytes = size * count;
    size_t end = bytes;
    while (end > 0 && (data[end - 1] == '\r' || data[end - 1] == '\n' || data[end - 1] == ' ')) {
        end--;
    }
    if (end >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        /* A new reply begins (after 100 Continue, or curl's own retry): forget the last one. */
        sluice_s3_reply_clear(tr->reply);
        return bytes;
    }
    const char *colon = memchr(data, ':', end);
    if (colon != NULL) {
        const char *value = colon + 1;
        while (value < data + end && (*value == ' ' || *value == '\t')) {
            value++;
        }
        take_header(tr->reply, data, (size_t)(colon - data), value, (size_t)(data + end - value));
    }
    return bytes;
}

static bool add_header(struct sluice_s3_transfer *tr, const char *line)
{
    struct curl_slist *list = curl_slist_append(tr->headers, line);
    if (list == NULL) {
        return false;
    }
    tr->headers = list;
    return true;
}

static bool add_headers(struct sluice_s3_transfer *tr, const struct sluice_s3_http_request *request)
{
    struct sluice_s3_buf line = {.max = HEADER_LINE_MAX};
    bool has_type = false;
    bool done = true;
    for (size_t i = 0; i < request->header_count && done; i++) {
        sluice_s3_buf_clear(&line);
        sluice_s3_buf_adds(&line, request->headers[i].name);
        sluice_s3_buf_adds(&line, ": ");
        sluice_s3_buf_adds(&line, request->headers[i].value);
        done = !line.failed && add_header(tr, line.data);
        has_type = has_type || strcasecmp(request->headers[i].name, "content-type") == 0;
    }
    sluice_s3_buf_wipe(&line); /* session tokens pass through it */
    /* No 100-continue (a round trip a part) and no type that curl invents. */
    return done && add_header(tr, "Expect:") && (has_type || add_header(tr, "Content-Type:"));
}

static CURLcode set_method(struct sluice_s3_transfer *tr,
                           const struct sluice_s3_http_request *request)
{
    CURL *easy = tr->easy;
    if (strcmp(request->method, "PUT") == 0) {
        const CURLcode code = curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        return code != CURLE_OK ? code
                                : curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
                                                   (curl_off_t)request->body_size);
    }
    if (strcmp(request->method, "POST") == 0) {
        CURLcode code = curl_easy_setopt(easy, CURLOPT_POST, 1L);
        if (code == CURLE_OK && request->body_size == 0) {
            code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
        }
        return code != CURLE_OK ? code
                                : curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                                   (curl_off_t)request->body_size);
    }
    if (strcmp(request->method, "HEAD") == 0) {
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    const CURLcode code = curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    return code != CURLE_OK || strcmp(request->method, "GET") == 0
               ? code
               : curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static long milliseconds(int64_t us)
{
    const int64_t ms = (us + 999) / 1000;
    return ms > 0 && ms < INT32_MAX ? (long)ms : INT32_MAX;
}

/* Keeps the first error of a chain of curl_easy_setopt. */
#define SET(option, value)                                    \
    do {                                                      \
        if (code == CURLE_OK) {                               \
            code = curl_easy_setopt(tr->easy, option, value); \
        }                                                     \
    } while (0)

static CURLcode set_options(struct sluice_s3_transfer *tr,
                            const struct sluice_s3_http_options *options,
                            const struct sluice_s3_http_request *request)
{
    CURLcode code = CURLE_OK;
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_PROXY, options->proxy != NULL ? options->proxy : "");
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (options->ca_file != NULL) {
        SET(CURLOPT_CAINFO, options->ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
#if LIBCURL_VERSION_NUM >= 0x075700
    SET(CURLOPT_QUICK_EXIT, 1L); /* a stop does not wait for a name service that is silent */
#endif
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, 30L);
    SET(CURLOPT_TCP_KEEPINTVL, 10L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options->connect_timeout_us));
    SET(CURLOPT_TIMEOUT_MS, milliseconds(request->timeout_us));
    if (!request->patient) {
        const int64_t stall_s = (options->stall_timeout_us + 999999) / 1000000;
        SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
        SET(CURLOPT_LOW_SPEED_TIME, (long)(stall_s > 0 ? stall_s : 1));
    }
    SET(CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_BYTES);
    SET(CURLOPT_READFUNCTION, on_read);
    SET(CURLOPT_READDATA, tr);
    SET(CURLOPT_SEEKFUNCTION, on_seek);
    SET(CURLOPT_SEEKDATA, tr);
    SET(CURLOPT_WRITEFUNCTION, on_write);
    SET(CURLOPT_WRITEDATA, tr);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, tr);
    SET(CURLOPT_ERRORBUFFER, tr->reply->detail);
    SET(CURLOPT_PRIVATE, tr);
    SET(CURLOPT_HTTPHEADER, tr->headers);
    SET(CURLOPT_URL, request->url);
    return code != CURLE_OK ? code : set_method(tr, request);
}

sluice_status sluice_s3_http_prepare(struct sluice_s3_transfer *tr,
                                     const struct sluice_s3_http_options *options,
                                     const struct sluice_s3_http_request *request,
                                     struct sluice_s3_reply *reply, struct sluice_error *err)
{
    if (tr->easy == NULL) {
        tr->easy = curl_easy_init();
    }
    else {
        curl_easy_reset(tr->easy);
    }
    tr->reply = reply;
    tr->body = request->body;
    tr->body_size = request->body_size;
    tr->body_sent = 0;
    tr->body_max = request->body_max;
    sluice_s3_reply_clear(reply);
    if (tr->easy == NULL || !add_headers(tr, request)) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory preparing a request");
    }
    const CURLcode code = set_options(tr, options, request);
    if (code != CURLE_OK) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "s3: libcurl refuses an option: %s",
                                curl_easy_strerror(code));
    }
    return SLUICE_OK;
}

void sluice_s3_http_finish(struct sluice_s3_transfer *tr, CURLcode result)
{
    struct sluice_s3_reply *reply = tr->reply;
    reply->curl = result;
    curl_easy_getinfo(tr->easy, CURLINFO_RESPONSE_CODE, &reply->http_status);
    if (result != CURLE_OK && reply->detail[0] == '\0') {
        const char *text = curl_easy_strerror(result);
        sluice_s3_text_copy(reply->detail, sizeof reply->detail, text, strlen(text));
    }
    curl_easy_setopt(tr->easy, CURLOPT_ERRORBUFFER, NULL);
    for (struct curl_slist *at = tr->headers; at != NULL; at = at->next) {
        explicit_bzero(at->data, strlen(at->data));
    }
    curl_slist_free_all(tr->headers);
    tr->headers = NULL;
}

static CURLcode drive(CURLM *multi, CURL *easy, int cancel_fd, bool *cancelled)
{
    int running = 1;
    for (;;) {
        if (curl_multi_perform(multi, &running) != CURLM_OK) {
            return CURLE_OUT_OF_MEMORY;
        }
        int left = 0;
        const CURLMsg *message = curl_multi_info_read(multi, &left);
        if (message != NULL && message->msg == CURLMSG_DONE && message->easy_handle == easy) {
            return message->data.result;
        }
        struct curl_waitfd extra = {cancel_fd, CURL_WAIT_POLLIN, 0};
        if (curl_multi_poll(multi, &extra, cancel_fd >= 0 ? 1 : 0, 1000, NULL) != CURLM_OK) {
            return CURLE_OUT_OF_MEMORY;
        }
        if (cancel_fd >= 0 && extra.revents != 0) {
            *cancelled = true;
            return CURLE_ABORTED_BY_CALLBACK;
        }
    }
}

sluice_status sluice_s3_http_once(const struct sluice_s3_http_options *options,
                                  const struct sluice_s3_http_request *request, int cancel_fd,
                                  struct sluice_s3_reply *reply, struct sluice_error *err)
{
    struct sluice_s3_transfer tr = {0};
    bool cancelled = false;
    CURLM *multi = NULL;
    sluice_status status = sluice_s3_http_init(err);
    if (status < 0) {
        return status;
    }
    status = sluice_s3_http_prepare(&tr, options, request, reply, err);
    if (status < 0) {
        goto out;
    }
    multi = curl_multi_init();
    if (multi == NULL || curl_multi_add_handle(multi, tr.easy) != CURLM_OK) {
        status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory starting a request");
        goto out;
    }
    const CURLcode result = drive(multi, tr.easy, cancel_fd, &cancelled);
    curl_multi_remove_handle(multi, tr.easy);
    sluice_s3_http_finish(&tr, result);
    if (cancelled) {
        status = sluice_error_set(err, SLUICE_E_CANCELLED, 0, "s3: cancelled");
    }

out:
    curl_slist_free_all(tr.headers);
    if (tr.easy != NULL) {
        curl_easy_cleanup(tr.easy);
    }
    if (multi != NULL) {
        curl_multi_cleanup(multi);
    }
    return status;
}
