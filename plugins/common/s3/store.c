#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "s3/services.h"
#include "s3/store_internal.h"
#include "s3/xml.h"
#include "sluice/log.h"

/* At first contact a wrong address is likelier than an outage: say so within a second or two. */
#define PROBE_ATTEMPTS 4

/* ---------------------------------------------------------------- making one ----------------- */

/* Header values must be one line of visible characters. */
static bool is_line(const char *text)
{
    for (const char *at = text; at != NULL && *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Normalises `prefix` to "" or "a/b/". */
static sluice_status take_prefix(struct sluice_lake_store *store, const char *prefix,
                                 struct sluice_error *err)
{
    size_t size = 0;
    const char *at = prefix != NULL ? prefix : "";
    while (*at == '/') {
        at++;
    }
    while (*at != '\0') {
        const size_t segment = strcspn(at, "/");
        const bool dots =
            (segment == 1 && at[0] == '.') || (segment == 2 && at[0] == '.' && at[1] == '.');
        if (segment == 0 || dots || size + segment + 1 > SLUICE_S3_KEY_BYTES_MAX / 2) {
            return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                    "prefix: must be folders divided by single '/', none of them"
                                    " '.' or '..', at most 512 bytes");
        }
        memcpy(store->prefix + size, at, segment);
        size += segment;
        store->prefix[size++] = '/';
        at += segment + (at[segment] == '/' ? 1 : 0);
    }
    store->prefix[size] = '\0';
    if (!is_line(store->prefix)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "prefix: control characters are not allowed");
    }
    return SLUICE_OK;
}

/* `key: ${env:X:-}` leaves an empty text where nothing was meant. */
static void drop_empty(struct sluice_s3_options *options)
{
    const char **const texts[] = {
        &options->bucket,        &options->prefix,        &options->region,
        &options->endpoint,      &options->access_key_id, &options->secret_access_key,
        &options->session_token, &options->profile,       &options->ca_file,
        &options->proxy,         &options->kms_key_id,    &options->storage_class,
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (*texts[i] != NULL && (*texts[i])[0] == '\0') {
            *texts[i] = NULL;
        }
    }
}

static sluice_status check_options(const struct sluice_s3_options *options,
                                   struct sluice_error *err)
{
    if (options->bucket == NULL) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "bucket: missing");
    }
    if (options->kms_key_id != NULL && options->server_side_encryption != SLUICE_S3_SSE_KMS) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "kms_key_id: needs server_side_encryption: aws:kms");
    }
    if (!is_line(options->kms_key_id) || !is_line(options->storage_class)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "kms_key_id, storage_class: control characters are not allowed");
    }
    return SLUICE_OK;
}

static const char *own_endpoint(const struct sluice_s3_options *options)
{
    const char *endpoint = options->endpoint;
    if (endpoint == NULL) {
        endpoint = sluice_s3_env_process("AWS_ENDPOINT_URL_S3");
    }
    if (endpoint == NULL) {
        endpoint = sluice_s3_env_process("AWS_ENDPOINT_URL");
    }
    return endpoint != NULL && endpoint[0] != '\0' ? endpoint : NULL;
}

static sluice_status make_client(struct sluice_lake_store *store, struct sluice_error *err)
{
    const struct sluice_s3_options *options = &store->options;
    struct sluice_s3_client_config config = {
        .host = store->host,
        .region = options->region,
        .http = {.ca_file = options->ca_file,
                 .proxy = options->proxy,
                 .connect_timeout_us = options->connect_timeout,
                 .stall_timeout_us = options->stall_timeout},
        .request_timeout_us = options->request_timeout,
        .retry_timeout_us = options->retry_timeout,
        .retry_attempts = (uint32_t)options->retry_attempts,
        .parts_max = (uint32_t)options->upload_concurrency,
        .sign_payload = (int)options->sign_payload,
    };
    config.creds = (struct sluice_s3_creds_config){.access_key = options->access_key_id,
                                                   .secret_key = options->secret_access_key,
                                                   .session_token = options->session_token,
                                                   .profile = options->profile,
                                                   .env = sluice_s3_env_process,
                                                   .host = store->host,
                                                   .http = config.http};
    SLUICE_TRY(sluice_s3_target_init(&config.target, options->bucket, own_endpoint(options),
                                     (int)options->path_style, err));
    store->checksum = (int)options->checksum;
    if (store->checksum == SLUICE_S3_CHECKSUM_AUTO) {
        /* Elsewhere TLS or the signed hash of the body protect it, and not every server knows the
         * checksum headers. */
        store->checksum = config.target.aws ? SLUICE_S3_CHECKSUM_CRC32C : SLUICE_S3_CHECKSUM_NONE;
    }
    return sluice_s3_client_create(&config, &store->client, err);
}

static void store_destroy(struct sluice_lake_store *store)
{
    if (store == NULL) {
        return;
    }
    sluice_s3_client_destroy(store->client);
    sluice_s3_buffers_drop(store);
    pthread_cond_destroy(&store->changed);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

sluice_status sluice_s3_store_create(const struct sluice_host *host,
                                     const struct sluice_s3_options *options,
                                     struct sluice_lake_store **out, struct sluice_error *err)
{
    struct sluice_lake_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory");
    }
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->changed, NULL);
    store->host = host;
    store->failpoints = sluice_failpoints_of(host);
    store->options = *options;
    drop_empty(&store->options);
    sluice_status status = check_options(&store->options, err);
    if (status == SLUICE_OK) {
        status = take_prefix(store, store->options.prefix, err);
    }
    if (status == SLUICE_OK) {
        status = make_client(store, err);
    }
    if (status < 0) {
        store_destroy(store);
        return status;
    }
    const size_t prefix = strlen(store->prefix);
    (void)snprintf(store->location, sizeof store->location, "s3://%s%s%.*s", store->options.bucket,
                   prefix > 0 ? "/" : "", (int)(prefix > 0 ? prefix - 1 : 0), store->prefix);
    *out = store;
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- small objects -------------- */

sluice_status sluice_s3_store_key(const struct sluice_lake_store *store, const char *key,
                                  char to[SLUICE_S3_KEY_BYTES_MAX + 1], struct sluice_error *err)
{
    const int size = snprintf(to, SLUICE_S3_KEY_BYTES_MAX + 1, "%s%s", store->prefix, key);
    if (size < 0 || size > SLUICE_S3_KEY_BYTES_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0,
                                "%s/%.200s…: the key has %d bytes, S3 allows %d; shorten `prefix`",
                                store->location, key, size, SLUICE_S3_KEY_BYTES_MAX);
    }
    return SLUICE_OK;
}

sluice_status sluice_s3_attempt_id(char to[SLUICE_S3_ATTEMPT_SIZE], struct sluice_error *err)
{
    uint8_t bytes[(SLUICE_S3_ATTEMPT_SIZE - 1) / 2];
    static const char hex[] = "0123456789abcdef";
    size_t got = 0;
    while (got < sizeof bytes) {
        const ssize_t more = getrandom(bytes + got, sizeof bytes - got, 0);
        if (more < 0 && errno != EINTR) {
            return sluice_error_errno(err, errno, "s3: no random numbers");
        }
        got += more > 0 ? (size_t)more : 0;
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        to[2 * i] = hex[bytes[i] >> 4];
        to[2 * i + 1] = hex[bytes[i] & 15];
    }
    to[2 * sizeof bytes] = '\0';
    return SLUICE_OK;
}

void sluice_s3_store_encryption(const struct sluice_lake_store *store, struct sluice_s3_call *call)
{
    if (store->options.server_side_encryption == SLUICE_S3_SSE_AES256) {
        sluice_s3_call_header(call, "x-amz-server-side-encryption", "AES256");
    }
    else if (store->options.server_side_encryption == SLUICE_S3_SSE_KMS) {
        sluice_s3_call_header(call, "x-amz-server-side-encryption", "aws:kms");
        sluice_s3_call_header(call, "x-amz-server-side-encryption-aws-kms-key-id",
                              store->options.kms_key_id);
    }
}

sluice_status sluice_s3_store_is_ours(struct sluice_lake_store *store, const char *key,
                                      const char *attempt, uint64_t size, struct sluice_error *err)
{
    struct sluice_s3_call call;
    char where[400];
    sluice_s3_call_init(&call, SLUICE_S3_HEAD, key);
    sluice_status status = sluice_s3_client_run(store->client, &call, err);
    if (status == SLUICE_OK &&
        (strcmp(call.reply.attempt, attempt) != 0 ||
         (call.reply.content_length >= 0 && (uint64_t)call.reply.content_length != size))) {
        sluice_s3_client_where(store->client, key, where, sizeof where);
        status = sluice_error_set(err, SLUICE_E_CONFLICT, 0,
                                  "%s: exists already, written by someone else", where);
    }
    sluice_s3_call_free(&call);
    return status;
}

/* The error of a conditional write, replaced by OK when the write was carried out after all. */
static sluice_status resolve_put(struct sluice_lake_store *store, const struct sluice_s3_put *put,
                                 sluice_status status, uint32_t attempts, struct sluice_error *err)
{
    struct sluice_error seen = SLUICE_ERROR_INIT;
    const bool exists = status == SLUICE_E_CONFLICT;
    if (!put->is_new || !(exists || attempts > 1) || status == SLUICE_E_CANCELLED) {
        return status;
    }
    const sluice_status found =
        sluice_s3_store_is_ours(store, put->key, put->attempt, put->size, &seen);
    if (found == SLUICE_OK) {
        sluice_log(store->host, SLUICE_LOG_INFO,
                   "s3 write was carried out although its reply was lost key=%s", put->key);
        return SLUICE_OK;
    }
    if (exists && found != SLUICE_E_NOT_FOUND) {
        if (err != NULL) {
            *err = seen;
        }
        return found;
    }
    return status;
}

sluice_status sluice_s3_store_put(struct sluice_lake_store *store, const struct sluice_s3_put *put,
                                  struct sluice_error *err)
{
    struct sluice_s3_call call;
    char sum[SLUICE_S3_CHECKSUM_TEXT_SIZE];
    /* A small object can afford MD5, which every server knows and some buckets demand. */
    const int kind = store->checksum == SLUICE_S3_CHECKSUM_NONE && !put->is_data &&
                             store->options.checksum == SLUICE_S3_CHECKSUM_AUTO
                         ? SLUICE_S3_CHECKSUM_MD5
                         : store->checksum;
    const struct sluice_s3_checksum_kind *facts = sluice_s3_checksum_facts(kind);
    sluice_s3_call_init(&call, SLUICE_S3_PUT, put->key);
    sluice_s3_call_header(&call, "Content-Type", put->content_type);
    sluice_s3_call_header(&call, "Content-Encoding", put->content_encoding);
    sluice_s3_call_header(&call, "x-amz-meta-sluice-attempt", put->attempt);
    if (put->is_new) {
        sluice_s3_call_header(&call, "If-None-Match", "*");
    }
    if (put->is_data) {
        sluice_s3_call_header(&call, "x-amz-storage-class", store->options.storage_class);
    }
    sluice_s3_store_encryption(store, &call);
    sluice_status status = SLUICE_OK;
    if (facts != NULL) {
        status = sluice_s3_checksum_text(kind, put->data, put->size, sum, err);
        sluice_s3_call_header(&call, facts->header, status == SLUICE_OK ? sum : NULL);
        if (status < 0 && store->options.checksum == SLUICE_S3_CHECKSUM_AUTO) {
            sluice_error_clear(err); /* nobody asked for MD5 by name */
            status = SLUICE_OK;
        }
    }
    if (status == SLUICE_OK) {
        status = sluice_s3_call_body(store->client, &call, put->data, put->size, err);
    }
    if (status == SLUICE_OK) {
        status = sluice_s3_client_run(store->client, &call, err);
    }
    if (status < 0) {
        status = resolve_put(store, put, status, call.attempts, err);
    }
    sluice_s3_call_free(&call);
    return status;
}

static sluice_status store_put(struct sluice_lake_store *store, const char *key, const void *data,
                               uint64_t size, uint32_t flags, const char *content_type,
                               struct sluice_error *err)
{
    char whole[SLUICE_S3_KEY_BYTES_MAX + 1];
    char attempt[SLUICE_S3_ATTEMPT_SIZE];
    SLUICE_TRY(sluice_s3_store_key(store, key, whole, err));
    SLUICE_TRY(sluice_s3_attempt_id(attempt, err));
    const struct sluice_s3_put put = {.key = whole,
                                      .data = data,
                                      .size = size,
                                      .content_type = content_type,
                                      .attempt = attempt,
                                      .is_new = (flags & SLUICE_LAKE_PUT_NEW) != 0};
    return sluice_s3_store_put(store, &put, err);
}

static sluice_status store_get(struct sluice_lake_store *store, const char *key, uint64_t max,
                               uint8_t **out, uint64_t *out_size, struct sluice_error *err)
{
    struct sluice_s3_call call;
    char whole[SLUICE_S3_KEY_BYTES_MAX + 1];
    SLUICE_TRY(sluice_s3_store_key(store, key, whole, err));
    sluice_s3_call_init(&call, SLUICE_S3_GET, whole);
    call.body_max = max > 0 ? max : 1;
    sluice_status status = sluice_s3_client_run(store->client, &call, err);
    if (status == SLUICE_OK) {
        /* An empty body has no memory yet. */
        sluice_s3_buf_addc(&call.reply.body, '\0');
        if (call.reply.body.data == NULL) {
            status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory");
        }
    }
    if (status == SLUICE_OK) {
        *out_size = call.reply.body.size - (call.reply.body.failed ? 0 : 1);
        *out = (uint8_t *)call.reply.body.data;
        call.reply.body.data = NULL;
    }
    sluice_s3_call_free(&call);
    return status;
}

static sluice_status store_get_range(struct sluice_lake_store *store, const char *key,
                                     uint64_t offset, uint64_t size, uint8_t *out, uint64_t *got,
                                     struct sluice_error *err)
{
    struct sluice_s3_call call;
    char whole[SLUICE_S3_KEY_BYTES_MAX + 1];
    char range[64];
    SLUICE_TRY(sluice_s3_store_key(store, key, whole, err));
    (void)snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, offset, offset + size - 1);
    sluice_s3_call_init(&call, SLUICE_S3_GET, whole);
    sluice_s3_call_header(&call, "Range", range);
    call.body_max = size;
    sluice_status status = sluice_s3_client_run(store->client, &call, err);
    if (status == SLUICE_OK) {
        *got = call.reply.body.size < size ? call.reply.body.size : size;
        if (*got > 0) {
            memcpy(out, call.reply.body.data, *got);
        }
    }
    sluice_s3_call_free(&call);
    return status;
}

/* ---------------------------------------------------------------- listing -------------------- */

struct page {
    const struct sluice_lake_store *store;
    const char *start_after; /* whole key, "" = none */
    sluice_lake_list_visit visit;
    void *vctx;
    bool encoded;
    bool truncated;
    bool stopped; /* by the visitor */
    sluice_status visited;
    uint64_t size;
    int64_t modified_us;
    struct sluice_s3_buf key;
    struct sluice_s3_buf token;
};

static uint64_t read_number(const char *text)
{
    uint64_t value = 0;
    for (const char *at = text; *at >= '0' && *at <= '9' && value < UINT64_MAX / 16; at++) {
        value = value * 10 + (uint64_t)(*at - '0');
    }
    return value;
}

static sluice_status visit_key(struct page *page)
{
    const struct sluice_lake_store *store = page->store;
    const size_t skip = strlen(store->prefix);
    const char *key = sluice_s3_buf_text(&page->key);
    /* Servers mark folders by empty keys that end in '/': no object of ours does. */
    if (page->key.size <= skip || memchr(key, '\0', page->key.size) != NULL ||
        strncmp(key, store->prefix, skip) != 0 || key[page->key.size - 1] == '/' ||
        strcmp(key, page->start_after) <= 0) {
        return SLUICE_OK;
    }
    page->visited = page->visit(page->vctx, key + skip, page->size, page->modified_us);
    page->stopped = page->visited != SLUICE_OK;
    return page->stopped ? SLUICE_END : SLUICE_OK;
}

static sluice_status visit_element(void *vctx, int event, uint32_t depth, const char *name,
                                   const char *text, size_t text_size)
{
    struct page *page = vctx;
    if (event == SLUICE_S3_XML_ENTER) {
        if (depth == 2 && strcmp(name, "Contents") == 0) {
            sluice_s3_buf_clear(&page->key);
            page->size = 0;
            page->modified_us = 0;
        }
        return SLUICE_OK;
    }
    if (depth == 2) {
        if (strcmp(name, "Contents") == 0) {
            return visit_key(page);
        }
        if (strcmp(name, "IsTruncated") == 0) {
            page->truncated = strcmp(text, "true") == 0;
        }
        else if (strcmp(name, "NextContinuationToken") == 0) {
            sluice_s3_buf_clear(&page->token);
            sluice_s3_buf_add(&page->token, text, text_size);
        }
    }
    else if (depth == 3 && strcmp(name, "Key") == 0) {
        sluice_s3_buf_clear(&page->key);
        if (page->encoded) {
            sluice_s3_uri_unescape(&page->key, text, text_size);
        }
        else {
            sluice_s3_buf_add(&page->key, text, text_size);
        }
    }
    else if (depth == 3 && strcmp(name, "Size") == 0) {
        page->size = read_number(text);
    }
    else if (depth == 3 && strcmp(name, "LastModified") == 0) {
        page->modified_us = sluice_s3_iso_time_us(text);
    }
    return SLUICE_OK;
}

/* One page; page->token is where it begins and then where the next one does. */
static sluice_status list_page(struct sluice_lake_store *store, struct page *page,
                               const char *prefix, struct sluice_error *err)
{
    struct sluice_s3_call call;
    char encoding[8] = "";
    char *token = NULL;
    sluice_s3_call_init(&call, SLUICE_S3_LIST, NULL);
    call.body_max = SLUICE_S3_LIST_BYTES_MAX;
    call.want_root = "ListBucketResult";
    sluice_s3_call_query(&call, "list-type", "2");
    sluice_s3_call_query(&call, "encoding-type", "url");
    sluice_s3_call_query(&call, "prefix", prefix);
    if (page->token.size > 0) {
        token = strdup(page->token.data);
        if (token == NULL) {
            return sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory");
        }
        sluice_s3_call_query(&call, "continuation-token", token);
    }
    else if (page->start_after[0] != '\0') {
        sluice_s3_call_query(&call, "start-after", page->start_after);
    }
    sluice_status status = sluice_s3_client_run(store->client, &call, err);
    if (status == SLUICE_OK) {
        const char *body = sluice_s3_buf_text(&call.reply.body);
        page->truncated = false;
        /* Its place in the document is not fixed, so it is looked up before the keys. */
        page->encoded = sluice_s3_xml_find(body, call.reply.body.size, "EncodingType", encoding,
                                           sizeof encoding) &&
                        strcmp(encoding, "url") == 0;
        sluice_s3_buf_clear(&page->token);
        status = sluice_s3_xml_walk(body, call.reply.body.size, visit_element, page, err);
        if (status < 0) {
            status = sluice_error_wrap(err, "%s: list", store->location);
        }
        else if (page->truncated && !page->stopped &&
                 (page->token.size == 0 ||
                  (token != NULL && strcmp(token, page->token.data) == 0))) {
            status = sluice_error_set(err, SLUICE_E_DATA, 0,
                                      "%s: list: the server promises more keys but says not where",
                                      store->location);
        }
    }
    free(token);
    sluice_s3_call_free(&call);
    return status;
}

static sluice_status store_list(struct sluice_lake_store *store, const char *prefix,
                                const char *start_after, sluice_lake_list_visit visit, void *vctx,
                                struct sluice_error *err)
{
    char whole[SLUICE_S3_KEY_BYTES_MAX + 1];
    char after[SLUICE_S3_KEY_BYTES_MAX + 1] = "";
    struct page page = {.store = store, .start_after = after, .visit = visit, .vctx = vctx};
    SLUICE_TRY(sluice_s3_store_key(store, prefix, whole, err));
    if (start_after != NULL && start_after[0] != '\0') {
        SLUICE_TRY(sluice_s3_store_key(store, start_after, after, err));
    }
    sluice_status status = SLUICE_OK;
    do {
        status = list_page(store, &page, whole, err);
    } while (status == SLUICE_OK && page.truncated && !page.stopped);
    if (status == SLUICE_OK && page.visited < 0) {
        status = page.visited;
    }
    sluice_s3_buf_free(&page.key);
    sluice_s3_buf_free(&page.token);
    return status;
}

/* ---------------------------------------------------------------- the rest ------------------- */

sluice_status sluice_s3_store_probe(struct sluice_lake_store *store, struct sluice_error *err)
{
    struct sluice_s3_call call;
    sluice_s3_call_init(&call, SLUICE_S3_LIST, NULL);
    call.body_max = SLUICE_S3_ANSWER_BYTES_MAX;
    call.want_root = "ListBucketResult";
    sluice_s3_call_query(&call, "list-type", "2");
    if (store->options.retry_attempts > PROBE_ATTEMPTS) {
        call.attempts_max = PROBE_ATTEMPTS;
    }
    sluice_s3_call_query(&call, "max-keys", "1");
    sluice_s3_call_query(&call, "encoding-type", "url");
    sluice_s3_call_query(&call, "prefix", store->prefix);
    const sluice_status status = sluice_s3_client_run(store->client, &call, err);
    sluice_s3_call_free(&call);
    return status;
}

static sluice_status store_open(struct sluice_lake_store *store, struct sluice_error *err)
{
    char region[SLUICE_S3_REGION_SIZE];
    SLUICE_TRY(sluice_s3_store_probe(store, err));
    sluice_s3_client_region(store->client, region);
    sluice_log(store->host, SLUICE_LOG_DEBUG, "s3 ready location=%s region=%s credentials=%s",
               store->location, region, sluice_s3_client_creds_source(store->client));
    return SLUICE_OK;
}

static void store_cancel(struct sluice_lake_store *store)
{
    sluice_s3_client_cancel(store->client);
    pthread_mutex_lock(&store->lock);
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
}

static const char *store_location(struct sluice_lake_store *store)
{
    return store->location;
}

const struct sluice_lake_store_api sluice_s3_store_api = {
    .open = store_open,
    .open_read = store_open, /* makes nothing */
    .check = sluice_s3_store_check,
    .put = store_put,
    .get = store_get,
    .get_range = store_get_range,
    .list = store_list,
    .upload_open = sluice_s3_upload_open,
    .upload_room = sluice_s3_upload_room,
    .upload_advance = sluice_s3_upload_advance,
    .upload_finish = sluice_s3_upload_finish,
    .upload_abort = sluice_s3_upload_abort,
    .cancel = store_cancel,
    .destroy = store_destroy,
    .location = store_location,
};
