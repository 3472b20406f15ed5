/*
 * Streaming multipart uploads. The lane's thread fills a part buffer; a full one goes to the client's
 * I/O thread and comes back when S3 has it. An object that fits one part is a single PutObject.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/store_internal.h"
#include "s3/xml.h"
#include "sluice/log.h"

#define PARTS_MAX 10000 /* S3's own */
#define PARTS_PER_DOUBLING 900
#define UPLOAD_ID_MAX 2048
/* A first part's buffer begins small and doubles: most change files never fill a part. */
#define FIRST_BUFFER ((uint64_t)256 << 10)

/* A part that S3 has. */
struct part_done {
    char etag[128];
    char sum[SLUICE_S3_CHECKSUM_TEXT_SIZE];
};

/* A part on its way. Owned by the upload's list until on_part_done. */
struct part {
    struct sluice_s3_call call;
    struct sluice_lake_upload *up;
    struct sluice_s3_buffer buffer;
    uint32_t number; /* from 1 */
    char number_text[12];
    char sum[SLUICE_S3_CHECKSUM_TEXT_SIZE];
    struct part *next;
};

struct sluice_lake_upload {
    struct sluice_lake_store *store;
    char key[SLUICE_S3_KEY_BYTES_MAX + 1];
    char attempt[SLUICE_S3_ATTEMPT_SIZE];
    char *content_type;
    char *content_encoding;
    struct sluice_s3_buffer buffer; /* being filled */
    uint64_t used;
    uint64_t bytes;          /* of the object so far */
    struct sluice_s3_buf id; /* UploadId, empty = not begun */
    uint32_t parts;          /* numbers given out */

    /* Under the store's lock. */
    struct part *flying;
    struct part_done *done; /* by number - 1 */
    uint32_t done_cap;
    struct sluice_error failed; /* status < 0: a part failed for good */
};

uint64_t sluice_s3_part_size(uint64_t base, uint32_t number)
{
    uint64_t size = base;
    for (uint32_t i = 0; i < (number - 1) / PARTS_PER_DOUBLING; i++) {
        size = size > (uint64_t)SLUICE_S3_PART_MAX / 2 ? (uint64_t)SLUICE_S3_PART_MAX : size * 2;
    }
    return size;
}

/* ---------------------------------------------------------------- buffers -------------------- */

static void free_buffer(struct sluice_lake_store *store, struct sluice_s3_buffer *buffer)
{
    if (buffer->data != NULL) {
        free(buffer->data);
        (void)store->host->memory(store->host->ctx, -(int64_t)buffer->size, 0);
        *buffer = (struct sluice_s3_buffer){NULL, 0};
    }
}

void sluice_s3_buffers_drop(struct sluice_lake_store *store)
{
    while (store->spare_count > 0) {
        free_buffer(store, &store->spare[--store->spare_count]);
    }
}

/* With the lock: the buffer is no longer in use. Kept for the next part: fresh memory costs a page
 * fault for every 4 KiB. */
static void return_buffer(struct sluice_lake_store *store, struct sluice_s3_buffer *buffer)
{
    if (buffer->data == NULL) {
        return;
    }
    store->buffers--;
    if (buffer->size >= (uint64_t)store->options.part_size && store->uploads_open > 0 &&
        store->spare_count < SLUICE_S3_BUFFERS_MAX &&
        store->spare_count < (uint32_t)store->options.upload_concurrency) {
        store->spare[store->spare_count++] = *buffer;
        *buffer = (struct sluice_s3_buffer){NULL, 0};
        return;
    }
    free_buffer(store, buffer);
}

/* With the lock: a buffer without waiting, or false. `size` is a part's; the first one of an object
 * may be smaller. */
static bool try_buffer(struct sluice_lake_upload *up, uint64_t size, struct sluice_error *err)
{
    struct sluice_lake_store *store = up->store;
    const struct sluice_host *host = store->host;
    const bool must = up->flying == NULL;
    const uint32_t share = (uint32_t)store->options.upload_concurrency + store->uploads_open;
    if (!must && store->buffers >= share) {
        return false;
    }
    for (uint32_t i = 0; i < store->spare_count; i++) {
        if (store->spare[i].size == size) {
            up->buffer = store->spare[i];
            store->spare[i] = store->spare[--store->spare_count];
            store->buffers++;
            return true;
        }
    }
    if (up->parts == 0 && size > FIRST_BUFFER) {
        size = FIRST_BUFFER;
    }
    else {
        sluice_s3_buffers_drop(store); /* of another size */
    }
    if (host->memory(host->ctx, (int64_t)size, must ? 1 : 0) == 0) {
        return false;
    }
    up->buffer.data = malloc(size);
    if (up->buffer.data == NULL) {
        (void)host->memory(host->ctx, -(int64_t)size, 0);
        if (must) {
            (void)sluice_error_set(err, SLUICE_E_NOMEM, 0,
                                   "%s/%s: out of memory for a part of %llu bytes", store->location,
                                   up->key, (unsigned long long)size);
        }
        return false;
    }
    up->buffer.size = size;
    store->buffers++;
    return true;
}

/* Gets the buffer of the next part; waits for own parts to land where the budget is used up. */
static sluice_status take_buffer(struct sluice_lake_upload *up, struct sluice_error *err)
{
    struct sluice_lake_store *store = up->store;
    const uint64_t size = sluice_s3_part_size((uint64_t)store->options.part_size, up->parts + 1);
    sluice_status status = SLUICE_OK;
    struct sluice_error local = SLUICE_ERROR_INIT;
    pthread_mutex_lock(&store->lock);
    while (!try_buffer(up, size, &local)) {
        if (local.status < 0) {
            status = local.status;
            break;
        }
        pthread_cond_wait(&store->changed, &store->lock);
        if (up->failed.status < 0) {
            break;
        }
    }
    if (up->failed.status < 0) {
        local = up->failed;
        status = local.status;
    }
    pthread_mutex_unlock(&store->lock);
    if (status < 0 && err != NULL) {
        *err = local;
    }
    return status;
}

/* Doubles the buffer of a first part, up to a part's size. Counted, never refused: an upload that has
 * no part on its way must get on. */
static sluice_status grow_buffer(struct sluice_lake_upload *up, uint64_t part,
                                 struct sluice_error *err)
{
    const struct sluice_host *host = up->store->host;
    const uint64_t size = up->buffer.size * 2 < part ? up->buffer.size * 2 : part;
    const int64_t more = (int64_t)(size - up->buffer.size);
    (void)host->memory(host->ctx, more, 1);
    uint8_t *data = realloc(up->buffer.data, size);
    if (data == NULL) {
        (void)host->memory(host->ctx, -more, 1);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0,
                                "%s/%s: out of memory for a part of %llu bytes",
                                up->store->location, up->key, (unsigned long long)size);
    }
    up->buffer.data = data;
    up->buffer.size = size;
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- parts ---------------------- */

/* [I/O thread] */
static void on_part_done(struct sluice_s3_call *call)
{
    struct part *part = call->owner;
    struct sluice_lake_upload *up = part->up;
    struct sluice_lake_store *store = up->store;
    pthread_mutex_lock(&store->lock);
    struct part **at = &up->flying;
    while (*at != part) {
        at = &(*at)->next;
    }
    *at = part->next;
    if (call->status == SLUICE_OK) {
        struct part_done *done = &up->done[part->number - 1];
        memcpy(done->etag, call->reply.etag, sizeof done->etag);
        memcpy(done->sum, part->sum, sizeof done->sum);
    }
    else if (up->failed.status >= 0) {
        up->failed = call->err;
        for (struct part *other = up->flying; other != NULL; other = other->next) {
            sluice_s3_client_abandon(store->client, &other->call);
        }
    }
    return_buffer(store, &part->buffer);
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
    sluice_s3_call_free(&part->call);
    free(part);
}

sluice_status sluice_s3_multipart_begin(struct sluice_lake_store *store,
                                        struct sluice_s3_call *call, struct sluice_s3_buf *id,
                                        struct sluice_error *err)
{
    char text[UPLOAD_ID_MAX];
    call->body_max = SLUICE_S3_ANSWER_BYTES_MAX;
    call->want_root = "InitiateMultipartUploadResult";
    call->end_if_sent = true; /* without its id the upload could not be aborted */
    sluice_s3_call_query(call, "uploads", "");
    sluice_s3_store_encryption(store, call);
    SLUICE_TRY(sluice_s3_client_run(store->client, call, err));
    if (!sluice_s3_xml_find(sluice_s3_buf_text(&call->reply.body), call->reply.body.size,
                            "UploadId", text, sizeof text) ||
        text[0] == '\0' || strlen(text) + 1 == sizeof text) {
        return sluice_error_set(err, SLUICE_E_DATA, 0,
                                "%s: the server began an upload without a usable id",
                                store->location);
    }
    sluice_s3_buf_adds(id, text);
    return id->failed ? sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory") : SLUICE_OK;
}

static sluice_status begin_multipart(struct sluice_lake_upload *up, struct sluice_error *err)
{
    struct sluice_lake_store *store = up->store;
    struct sluice_s3_call call;
    const struct sluice_s3_checksum_kind *facts = sluice_s3_checksum_facts(store->checksum);
    sluice_s3_call_init(&call, SLUICE_S3_CREATE, up->key);
    sluice_s3_call_header(&call, "Content-Type", up->content_type);
    sluice_s3_call_header(&call, "Content-Encoding", up->content_encoding);
    sluice_s3_call_header(&call, "x-amz-meta-sluice-attempt", up->attempt);
    sluice_s3_call_header(&call, "x-amz-storage-class", store->options.storage_class);
    if (facts != NULL) {
        sluice_s3_call_header(&call, "x-amz-checksum-algorithm", facts->algorithm);
    }
    const sluice_status status = sluice_s3_multipart_begin(store, &call, &up->id, err);
    sluice_s3_call_free(&call);
    return status;
}

/* With the lock. */
static bool reserve_done(struct sluice_lake_upload *up, uint32_t number)
{
    if (number <= up->done_cap) {
        return true;
    }
    const uint32_t cap = up->done_cap == 0 ? 16 : up->done_cap * 2;
    struct part_done *done = realloc(up->done, cap * sizeof *done);
    if (done == NULL) {
        return false;
    }
    memset(done + up->done_cap, 0, (cap - up->done_cap) * sizeof *done);
    up->done = done;
    up->done_cap = cap;
    return true;
}

static sluice_status prepare_part(struct part *part, struct sluice_error *err)
{
    struct sluice_lake_upload *up = part->up;
    struct sluice_lake_store *store = up->store;
    struct sluice_s3_call *call = &part->call;
    const struct sluice_s3_checksum_kind *facts = sluice_s3_checksum_facts(store->checksum);
    sluice_s3_call_init(call, SLUICE_S3_PART, up->key);
    (void)snprintf(part->number_text, sizeof part->number_text, "%u", part->number);
    sluice_s3_call_query(call, "partNumber", part->number_text);
    sluice_s3_call_query(call, "uploadId", up->id.data);
    call->on_done = on_part_done;
    call->owner = part;
    if (facts != NULL) {
        SLUICE_TRY(
            sluice_s3_checksum_text(store->checksum, up->buffer.data, up->used, part->sum, err));
        sluice_s3_call_header(call, facts->header, part->sum);
    }
    return sluice_s3_call_body(store->client, call, up->buffer.data, up->used, err);
}

/* Sends what is in the buffer as the next part. */
static sluice_status send_part(struct sluice_lake_upload *up, struct sluice_error *err)
{
    struct sluice_lake_store *store = up->store;
    if (up->parts == PARTS_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0,
                                "%s: an object has at most %d parts; raise `part_size`", up->key,
                                PARTS_MAX);
    }
    if (up->id.size == 0) {
        SLUICE_TRY(begin_multipart(up, err));
    }
    struct part *part = calloc(1, sizeof *part);
    if (part == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory");
    }
    part->up = up;
    part->number = up->parts + 1;
    sluice_status status = prepare_part(part, err);
    if (status == SLUICE_OK) {
        pthread_mutex_lock(&store->lock);
        if (reserve_done(up, part->number)) {
            part->buffer = up->buffer;
            part->next = up->flying;
            up->flying = part;
        }
        else {
            status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory");
        }
        pthread_mutex_unlock(&store->lock);
    }
    if (status == SLUICE_OK) {
        status = sluice_s3_client_submit(store->client, &part->call, err);
        if (status < 0) {
            pthread_mutex_lock(&store->lock);
            up->flying = part->next;
            pthread_mutex_unlock(&store->lock);
        }
    }
    if (status < 0) {
        sluice_s3_call_free(&part->call);
        free(part);
        return status;
    }
    up->buffer = (struct sluice_s3_buffer){NULL, 0};
    up->used = 0;
    up->parts++;
    return sluice_failpoint_hit(store->failpoints, "s3.mid_multipart", err);
}

/* ---------------------------------------------------------------- store calls ---------------- */

sluice_status sluice_s3_upload_open(struct sluice_lake_store *store, const char *key,
                                    const char *content_type, const char *content_encoding,
                                    struct sluice_lake_upload **out, struct sluice_error *err)
{
    struct sluice_lake_upload *up = calloc(1, sizeof *up);
    if (up == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory");
    }
    up->store = store;
    up->content_type = content_type != NULL ? strdup(content_type) : NULL;
    up->content_encoding = content_encoding != NULL ? strdup(content_encoding) : NULL;
    sluice_error_clear(&up->failed);
    sluice_status status = sluice_s3_store_key(store, key, up->key, err);
    if (status == SLUICE_OK) {
        status = sluice_s3_attempt_id(up->attempt, err);
    }
    if (status == SLUICE_OK && ((content_type != NULL && up->content_type == NULL) ||
                                (content_encoding != NULL && up->content_encoding == NULL))) {
        status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory");
    }
    if (status < 0) {
        free(up->content_type);
        free(up->content_encoding);
        free(up);
        return status;
    }
    pthread_mutex_lock(&store->lock);
    store->uploads_open++;
    pthread_mutex_unlock(&store->lock);
    *out = up;
    return SLUICE_OK;
}

sluice_status sluice_s3_upload_room(struct sluice_lake_upload *up, uint8_t **room, uint64_t *size,
                                    struct sluice_error *err)
{
    if (sluice_s3_client_cancelled(up->store->client)) {
        return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "%s: cancelled", up->key);
    }
    if (up->buffer.data != NULL && up->used == up->buffer.size) {
        const uint64_t part =
            sluice_s3_part_size((uint64_t)up->store->options.part_size, up->parts + 1);
        SLUICE_TRY(up->buffer.size < part ? grow_buffer(up, part, err) : send_part(up, err));
    }
    if (up->buffer.data == NULL) {
        SLUICE_TRY(take_buffer(up, err));
    }
    *room = up->buffer.data + up->used;
    *size = up->buffer.size - up->used;
    return SLUICE_OK;
}

sluice_status sluice_s3_upload_advance(struct sluice_lake_upload *up, uint64_t used,
                                       struct sluice_error *err)
{
    if (up->buffer.data == NULL || used > up->buffer.size - up->used) {
        return sluice_error_set(err, SLUICE_E_STATE, 0, "%s: more written than there was room",
                                up->key);
    }
    up->used += used;
    up->bytes += used;
    return SLUICE_OK;
}

/* Waits for the parts on their way. */
static sluice_status join_parts(struct sluice_lake_upload *up, struct sluice_error *err)
{
    struct sluice_lake_store *store = up->store;
    pthread_mutex_lock(&store->lock);
    while (up->flying != NULL) {
        pthread_cond_wait(&store->changed, &store->lock);
    }
    const sluice_status status = up->failed.status;
    if (status < 0 && err != NULL) {
        *err = up->failed;
    }
    pthread_mutex_unlock(&store->lock);
    return status;
}

static void complete_body(const struct sluice_lake_upload *up, struct sluice_s3_buf *body)
{
    const struct sluice_s3_checksum_kind *facts = sluice_s3_checksum_facts(up->store->checksum);
    const char *element = facts != NULL ? facts->element : NULL;
    body->max = (size_t)4 << 20;
    sluice_s3_buf_adds(body, "<CompleteMultipartUpload"
                             " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (uint32_t i = 0; i < up->parts; i++) {
        sluice_s3_buf_addf(body, "<Part><PartNumber>%u</PartNumber><ETag>", i + 1);
        for (const char *at = up->done[i].etag; *at != '\0'; at++) {
            if (*at == '"') {
                sluice_s3_buf_adds(body, "&quot;");
            }
            else if (*at != '<' && *at != '>' && *at != '&') {
                sluice_s3_buf_addc(body, *at);
            }
        }
        sluice_s3_buf_adds(body, "</ETag>");
        if (element != NULL) {
            sluice_s3_buf_addf(body, "<%s>%s</%s>", element, up->done[i].sum, element);
        }
        sluice_s3_buf_adds(body, "</Part>");
    }
    sluice_s3_buf_adds(body, "</CompleteMultipartUpload>");
}

/* Complete failed: was it carried out all the same? */
static sluice_status resolve_complete(struct sluice_lake_upload *up,
                                      const struct sluice_s3_call *call, struct sluice_error *err)
{
    struct sluice_error seen = SLUICE_ERROR_INIT;
    const bool gone = strcmp(call->code, "NoSuchUpload") == 0;
    const bool conflict = call->reply.http_status == 409 && call->reply.curl == CURLE_OK;
    const bool exists = call->status == SLUICE_E_CONFLICT;
    if (call->status == SLUICE_E_CANCELLED || !(gone || conflict || exists || call->attempts > 1)) {
        return call->status;
    }
    const sluice_status found =
        sluice_s3_store_is_ours(up->store, up->key, up->attempt, up->bytes, &seen);
    if (found == SLUICE_OK) {
        sluice_log(up->store->host, SLUICE_LOG_INFO,
                   "s3 upload was completed although its reply was lost key=%s", up->key);
        return SLUICE_OK;
    }
    if (exists && found == SLUICE_E_CONFLICT) {
        if (err != NULL) {
            *err = seen;
        }
        return found;
    }
    if ((gone || conflict) && err != NULL) {
        /* The parts are lost: only the whole object, written anew, can help. */
        err->status = SLUICE_E_UNAVAILABLE;
        err->flags |= (uint32_t)SLUICE_ERROR_RETRYABLE | (uint32_t)SLUICE_ERROR_EPOCH_ABORTED;
        return err->status;
    }
    return call->status;
}

static sluice_status complete_multipart(struct sluice_lake_upload *up, struct sluice_error *err)
{
    struct sluice_s3_call call;
    struct sluice_s3_buf body = {0};
    complete_body(up, &body);
    sluice_s3_call_init(&call, SLUICE_S3_COMPLETE, up->key);
    call.body_max = SLUICE_S3_ANSWER_BYTES_MAX;
    call.want_root = "CompleteMultipartUploadResult";
    sluice_s3_call_query(&call, "uploadId", up->id.data);
    sluice_s3_call_header(&call, "Content-Type", "application/xml");
    sluice_s3_call_header(&call, "If-None-Match", "*");
    sluice_status status =
        body.failed ? sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory")
                    : sluice_s3_call_body(up->store->client, &call, body.data, body.size, err);
    if (status == SLUICE_OK) {
        status = sluice_s3_client_run(up->store->client, &call, err);
        if (status < 0) {
            status = resolve_complete(up, &call, err);
        }
    }
    sluice_s3_call_free(&call);
    sluice_s3_buf_free(&body);
    return status;
}

static void upload_free(struct sluice_lake_upload *up)
{
    struct sluice_lake_store *store = up->store;
    pthread_mutex_lock(&store->lock);
    store->uploads_open--;
    return_buffer(store, &up->buffer);
    if (store->uploads_open == 0) {
        sluice_s3_buffers_drop(store);
    }
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
    sluice_s3_buf_free(&up->id);
    free(up->done);
    free(up->content_type);
    free(up->content_encoding);
    free(up);
}

sluice_status sluice_s3_upload_finish(struct sluice_lake_upload *up, struct sluice_error *err)
{
    if (up->id.size == 0) {
        const struct sluice_s3_put put = {.key = up->key,
                                          .data = up->buffer.data,
                                          .size = up->used,
                                          .content_type = up->content_type,
                                          .content_encoding = up->content_encoding,
                                          .attempt = up->attempt,
                                          .is_data = true,
                                          .is_new = true};
        SLUICE_TRY(sluice_s3_store_put(up->store, &put, err));
        upload_free(up);
        return SLUICE_OK;
    }
    if (up->used > 0) {
        SLUICE_TRY(send_part(up, err));
    }
    SLUICE_TRY(join_parts(up, err));
    SLUICE_TRY(sluice_failpoint_hit(up->store->failpoints, "s3.before_complete", err));
    SLUICE_TRY(complete_multipart(up, err));
    upload_free(up);
    return SLUICE_OK;
}

/* A cleaning call lives on its own: nobody waits for it. */
struct cleanup {
    struct sluice_s3_call call;
    char key[SLUICE_S3_KEY_BYTES_MAX + 1];
    struct sluice_s3_buf id;
};

static void on_cleanup_done(struct sluice_s3_call *call)
{
    struct cleanup *cleanup = call->owner;
    sluice_s3_call_free(&cleanup->call);
    sluice_s3_buf_free(&cleanup->id);
    free(cleanup);
}

static void abort_multipart(struct sluice_lake_upload *up)
{
    struct cleanup *cleanup = calloc(1, sizeof *cleanup);
    if (cleanup == NULL) {
        return;
    }
    memcpy(cleanup->key, up->key, sizeof cleanup->key);
    cleanup->id = up->id;
    up->id = (struct sluice_s3_buf){0};
    sluice_s3_call_init(&cleanup->call, SLUICE_S3_ABORT, cleanup->key);
    sluice_s3_call_query(&cleanup->call, "uploadId", cleanup->id.data);
    cleanup->call.after_cancel = true;
    cleanup->call.attempts_max = 3;
    cleanup->call.on_done = on_cleanup_done;
    cleanup->call.owner = cleanup;
    if (sluice_s3_client_submit(up->store->client, &cleanup->call, NULL) < 0) {
        on_cleanup_done(&cleanup->call);
    }
}

void sluice_s3_upload_abort(struct sluice_lake_upload *up)
{
    if (up == NULL) {
        return;
    }
    struct sluice_lake_store *store = up->store;
    pthread_mutex_lock(&store->lock);
    for (struct part *part = up->flying; part != NULL; part = part->next) {
        sluice_s3_client_abandon(store->client, &part->call);
    }
    while (up->flying != NULL) {
        pthread_cond_wait(&store->changed, &store->lock);
    }
    pthread_mutex_unlock(&store->lock);
    if (up->id.size > 0) {
        abort_multipart(up);
    }
    upload_free(up);
}
