/* A store in memory that can lose replies and fail on demand. */
#include <stdlib.h>

#include "support.h"

struct sluice_lake_upload {
    struct mem_store *store;
    char *key;
    uint8_t *data;
    uint64_t size;
    uint8_t *room;
};

static struct mem_store *cast(struct sluice_lake_store *store)
{
    return (struct mem_store *)(void *)store;
}

void mem_store_init(struct mem_store *store, const struct sluice_host *host)
{
    memset(store, 0, sizeof *store);
    pthread_mutex_init(&store->mutex, NULL);
    store->host = host;
    store->room = 1 << 16;
}

void mem_store_free(struct mem_store *store)
{
    assert_int_equal(store->uploads_open, 0);
    for (uint32_t i = 0; i < store->count; i++) {
        free(store->objects[i].key);
        free(store->objects[i].data);
    }
    free(store->objects);
    pthread_mutex_destroy(&store->mutex);
    memset(store, 0, sizeof *store);
}

const struct mem_object *mem_store_find(const struct mem_store *store, const char *key)
{
    for (uint32_t i = 0; i < store->count; i++) {
        if (strcmp(store->objects[i].key, key) == 0) {
            return &store->objects[i];
        }
    }
    return NULL;
}

const char *mem_store_key(const struct mem_store *store, const char *a, const char *b)
{
    for (uint32_t i = 0; i < store->count; i++) {
        if (strstr(store->objects[i].key, a) != NULL && strstr(store->objects[i].key, b) != NULL) {
            return store->objects[i].key;
        }
    }
    return NULL;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct mem_object *)a)->key, ((const struct mem_object *)b)->key);
}

void mem_store_add(struct mem_store *store, const char *key, const void *data, uint64_t size)
{
    store->objects = realloc(store->objects, (store->count + 1) * sizeof *store->objects);
    assert_non_null(store->objects);
    struct mem_object *object = &store->objects[store->count++];
    object->key = strdup(key);
    object->data = malloc(size + 1);
    assert_non_null(object->data);
    memcpy(object->data, data, size);
    object->size = size;
    qsort(store->objects, store->count, sizeof *store->objects, by_key);
}

static sluice_status mem_open(struct sluice_lake_store *store, struct sluice_error *err)
{
    (void)store;
    (void)err;
    return SLUICE_OK;
}

static sluice_status mem_check(struct sluice_lake_store *store, sluice_finding_visit visit,
                               void *vctx, struct sluice_error *err)
{
    (void)store;
    (void)visit;
    (void)vctx;
    (void)err;
    return SLUICE_OK;
}

static sluice_status mem_put(struct sluice_lake_store *store, const char *key, const void *data,
                             uint64_t size, uint32_t flags, const char *content_type,
                             struct sluice_error *err)
{
    struct mem_store *mem = cast(store);
    (void)content_type;
    if (mem->fail_put > 0) {
        mem->fail_put--;
        return sluice_error_set(err, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, "store is down");
    }
    if ((flags & SLUICE_LAKE_PUT_NEW) && mem_store_find(mem, key) != NULL) {
        return sluice_error_set(err, SLUICE_E_CONFLICT, 0, "exists");
    }
    mem_store_add(mem, key, data, size);
    if (mem->lose_reply > 0) {
        mem->lose_reply--;
        return sluice_error_set(err, mem->lost_status, SLUICE_ERROR_RETRYABLE, "reply lost");
    }
    return SLUICE_OK;
}

static sluice_status mem_get(struct sluice_lake_store *store, const char *key, uint64_t max,
                             uint8_t **out, uint64_t *out_size, struct sluice_error *err)
{
    const struct mem_object *object = mem_store_find(cast(store), key);
    (void)max;
    if (object == NULL) {
        return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "no such key");
    }
    *out = malloc(object->size + 1);
    assert_non_null(*out);
    memcpy(*out, object->data, object->size);
    *out_size = object->size;
    return SLUICE_OK;
}

static sluice_status mem_get_range(struct sluice_lake_store *store, const char *key,
                                   uint64_t offset, uint64_t size, uint8_t *out, uint64_t *got,
                                   struct sluice_error *err)
{
    const struct mem_object *object = mem_store_find(cast(store), key);
    if (object == NULL) {
        return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "no such key");
    }
    const uint64_t left = offset < object->size ? object->size - offset : 0;
    *got = size < left ? size : left;
    memcpy(out, object->data + offset, *got);
    return SLUICE_OK;
}

static sluice_status mem_list(struct sluice_lake_store *store, const char *prefix,
                              const char *start_after, sluice_lake_list_visit visit, void *vctx,
                              struct sluice_error *err)
{
    struct mem_store *mem = cast(store);
    (void)err;
    for (uint32_t i = 0; i < mem->count; i++) {
        const char *key = mem->objects[i].key;
        if (strncmp(key, prefix, strlen(prefix)) != 0 ||
            (start_after != NULL && strcmp(key, start_after) <= 0)) {
            continue;
        }
        sluice_status st = visit(vctx, key, mem->objects[i].size, 0);
        if (st != SLUICE_OK) {
            return st < 0 ? st : SLUICE_OK;
        }
    }
    return SLUICE_OK;
}

static sluice_status mem_upload_open(struct sluice_lake_store *store, const char *key,
                                     const char *content_type, const char *content_encoding,
                                     struct sluice_lake_upload **out, struct sluice_error *err)
{
    struct sluice_lake_upload *up = calloc(1, sizeof *up);
    (void)content_type;
    (void)content_encoding;
    (void)err;
    assert_non_null(up);
    up->store = cast(store);
    up->key = strdup(key);
    pthread_mutex_lock(&up->store->mutex);
    up->store->uploads_open++;
    pthread_mutex_unlock(&up->store->mutex);
    *out = up;
    return SLUICE_OK;
}

static sluice_status mem_upload_room(struct sluice_lake_upload *up, uint8_t **room, uint64_t *size,
                                     struct sluice_error *err)
{
    (void)err;
    free(up->room); /* exact size each time, so that ASan sees what goes beyond */
    up->room = malloc(up->store->room);
    assert_non_null(up->room);
    *room = up->room;
    *size = up->store->room;
    return SLUICE_OK;
}

static sluice_status mem_upload_advance(struct sluice_lake_upload *up, uint64_t used,
                                        struct sluice_error *err)
{
    pthread_mutex_lock(&up->store->mutex);
    const int32_t fail = up->store->fail_upload > 0;
    up->store->fail_upload -= fail;
    pthread_mutex_unlock(&up->store->mutex);
    if (fail) {
        return sluice_error_set(err, SLUICE_E_IO, 0, "disk full");
    }
    up->data = realloc(up->data, up->size + used);
    assert_non_null(up->data);
    memcpy(up->data + up->size, up->room, used);
    up->size += used;
    return SLUICE_OK;
}

static void upload_free(struct sluice_lake_upload *up)
{
    pthread_mutex_lock(&up->store->mutex);
    up->store->uploads_open--;
    pthread_mutex_unlock(&up->store->mutex);
    free(up->room);
    free(up->data);
    free(up->key);
    free(up);
}

static sluice_status mem_upload_finish(struct sluice_lake_upload *up, struct sluice_error *err)
{
    struct mem_store *mem = up->store;
    pthread_mutex_lock(&mem->mutex);
    const int32_t exists = mem_store_find(mem, up->key) != NULL;
    if (!exists) {
        mem_store_add(mem, up->key, up->data != NULL ? up->data : (uint8_t *)"", up->size);
    }
    pthread_mutex_unlock(&mem->mutex);
    if (exists) {
        return sluice_error_set(err, SLUICE_E_CONFLICT, 0, "exists");
    }
    upload_free(up);
    return SLUICE_OK;
}

static void mem_upload_abort(struct sluice_lake_upload *up)
{
    if (up != NULL) {
        upload_free(up);
    }
}

static void mem_nothing(struct sluice_lake_store *store)
{
    (void)store; /* the test owns it */
}

static const char *mem_location(struct sluice_lake_store *store)
{
    (void)store;
    return "mem://test";
}

const struct sluice_lake_store_api mem_store_api = {
    .open = mem_open,
    .open_read = mem_open,
    .check = mem_check,
    .put = mem_put,
    .get = mem_get,
    .get_range = mem_get_range,
    .list = mem_list,
    .upload_open = mem_upload_open,
    .upload_room = mem_upload_room,
    .upload_advance = mem_upload_advance,
    .upload_finish = mem_upload_finish,
    .upload_abort = mem_upload_abort,
    .cancel = mem_nothing,
    .destroy = mem_nothing,
    .location = mem_location,
};
