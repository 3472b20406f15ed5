#include "lake/index.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lake/manifest.h"
#include "lake/object.h"

static sluice_status no_memory(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                            "out of memory for the files of a lake");
}

/* ---- what one manifest says ---- */

static const char *text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? json_string_value(value) : NULL;
}

static uint64_t number_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) && json_integer_value(value) > 0
               ? (uint64_t)json_integer_value(value)
               : 0;
}

/* Takes a copy; 0 = out of memory. */
static int keep(char **out, const char *text)
{
    free(*out);
    *out = text != NULL ? strdup(text) : NULL;
    return text == NULL || *out != NULL;
}

static int grow(void **items, size_t *cap, size_t count, size_t size)
{
    if (count < *cap) {
        return 1;
    }
    const size_t more = *cap > 0 ? *cap * 2 : 16;
    void *grown = realloc(*items, more * size);
    if (grown == NULL) {
        return 0;
    }
    *items = grown;
    *cap = more;
    return 1;
}

static struct sluice_lake_index_stream *stream_of(struct sluice_lake_index *index, const char *name)
{
    for (size_t i = 0; i < index->stream_count; i++) {
        if (strcmp(index->streams[i].name, name) == 0) {
            return &index->streams[i];
        }
    }
    if (!grow((void **)&index->streams, &index->stream_cap, index->stream_count,
              sizeof *index->streams)) {
        return NULL;
    }
    struct sluice_lake_index_stream *stream = &index->streams[index->stream_count];
    *stream = (struct sluice_lake_index_stream){0};
    if (!keep(&stream->name, name)) {
        return NULL;
    }
    index->stream_count++;
    return stream;
}

static void forget_keys(struct sluice_lake_index_stream *stream)
{
    for (uint32_t i = 0; i < stream->key_count; i++) {
        free(stream->keys[i]);
    }
    free(stream->keys);
    stream->keys = NULL;
    stream->key_count = 0;
}

static int take_keys(struct sluice_lake_index_stream *stream, const json_t *columns)
{
    const json_t *column = NULL;
    size_t i = 0;
    forget_keys(stream);
    stream->keys = calloc(json_array_size(columns) + 1, sizeof *stream->keys);
    if (stream->keys == NULL) {
        return 0;
    }
    json_array_foreach(columns, i, column)
    {
        const char *name = text_of(column, "name");
        if (name != NULL && json_is_true(json_object_get(column, "key"))) {
            if (!keep(&stream->keys[stream->key_count], name)) {
                return 0;
            }
            stream->key_count++;
        }
    }
    stream->has_changes = 1;
    return 1;
}

static int take_streams(struct sluice_lake_index *index, const json_t *root, const char *kind)
{
    const json_t *item = NULL;
    size_t i = 0;
    json_array_foreach(json_object_get(root, "streams"), i, item)
    {
        const char *name = text_of(item, "name");
        struct sluice_lake_index_stream *stream = name != NULL ? stream_of(index, name) : NULL;
        if (name != NULL && stream == NULL) {
            return 0;
        }
        if (stream != NULL && strcmp(kind, "complete") == 0 &&
            (!keep(&stream->run, text_of(item, "run")) ||
             !keep(&stream->position, text_of(item, "position")))) {
            return 0;
        }
        if (stream != NULL && strcmp(kind, "cdc") == 0 &&
            !take_keys(stream, json_object_get(item, "columns"))) {
            return 0;
        }
    }
    return 1;
}

static void file_clear(struct sluice_lake_indexed *file)
{
    free(file->key);
    free(file->stream);
    free(file->run);
    free(file->last_pos);
}

static int take_files(struct sluice_lake_index *index, const json_t *root, const char *kind)
{
    const json_t *item = NULL;
    size_t i = 0;
    json_array_foreach(json_object_get(root, "files"), i, item)
    {
        const char *key = text_of(item, "key");
        const char *stream = text_of(item, "stream");
        const char *sha256 = text_of(item, "sha256");
        struct sluice_lake_indexed file = {.rows = number_of(item, "rows"),
                                           .bytes = number_of(item, "bytes")};
        if (key == NULL || stream == NULL) {
            continue;
        }
        if (sha256 != NULL && strlen(sha256) == 64) {
            memcpy(file.sha256, sha256, sizeof file.sha256);
        }
        int ok =
            keep(&file.key, key) && keep(&file.stream, stream) &&
            keep(&file.run, strcmp(kind, "cdc") != 0 ? text_of(root, "run") : NULL) &&
            keep(&file.last_pos, text_of(item, "last_pos")) &&
            grow((void **)&index->files, &index->file_cap, index->file_count, sizeof *index->files);
        if (!ok) {
            file_clear(&file);
            return 0;
        }
        index->files[index->file_count++] = file;
    }
    return 1;
}

static sluice_status take_manifest(struct sluice_lake_index *index, const uint8_t *data,
                                   uint64_t size, struct sluice_error *err)
{
    json_error_t native;
    json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &native);
    if (root == NULL) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "not JSON: line %d: %s", native.line,
                                native.text);
    }
    const char *kind = text_of(root, "kind");
    sluice_status status = SLUICE_OK;
    if (number_of(root, "format") != SLUICE_LAKE_MANIFEST_FORMAT || kind == NULL) {
        status = sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                  "it is no manifest of a version that is known here");
    }
    else {
        int ok = take_streams(index, root, kind) && take_files(index, root, kind);
        ok = ok && (strcmp(kind, "cdc") != 0 || keep(&index->to, text_of(root, "to")));
        status = ok ? SLUICE_OK : no_memory(err);
    }
    json_decref(root);
    return status;
}

/* ---- all that came since ---- */

struct listed {
    char **keys;
    size_t count;
    size_t cap;
};

static sluice_status list_visit(void *vctx, const char *key, uint64_t size, int64_t modified_us)
{
    struct listed *listed = vctx;
    const size_t n = strlen(key);
    (void)size;
    (void)modified_us;
    if (n < 5 || strcmp(key + n - 5, ".json") != 0) {
        return SLUICE_OK; /* not ours */
    }
    if (!grow((void **)&listed->keys, &listed->cap, listed->count, sizeof *listed->keys)) {
        return SLUICE_E_NOMEM;
    }
    listed->keys[listed->count] = strdup(key);
    return listed->keys[listed->count++] != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
}

sluice_status sluice_lake_index_update(struct sluice_lake_index *index,
                                       const struct sluice_host *host,
                                       const struct sluice_lake_store_api *api,
                                       struct sluice_lake_store *store, const char *folder,
                                       struct sluice_error *err)
{
    struct listed listed = {0};
    sluice_status status = api->list(store, folder, index->last, list_visit, &listed, err);
    for (size_t i = 0; i < listed.count && status >= 0; i++) {
        uint8_t *data = NULL;
        uint64_t size = 0;
        if (host->cancelled(host->ctx)) {
            status = sluice_error_set(err, SLUICE_E_CANCELLED, 0, "cancelled");
            break;
        }
        status = api->get(store, listed.keys[i], SLUICE_LAKE_MANIFEST_MAX, &data, &size, err);
        if (status >= 0) {
            status = take_manifest(index, data, size, err);
        }
        free(data);
        if (status < 0) {
            (void)sluice_lake_error_at(err, "reading manifest", listed.keys[i]);
        }
        else if (!keep(&index->last, listed.keys[i])) {
            status = no_memory(err);
        }
    }
    for (size_t i = 0; i < listed.count; i++) {
        free(listed.keys[i]);
    }
    free(listed.keys);
    return status < 0 ? status : SLUICE_OK;
}

const struct sluice_lake_index_stream *sluice_lake_index_find(const struct sluice_lake_index *index,
                                                              const char *name)
{
    for (size_t i = 0; i < index->stream_count; i++) {
        if (strcmp(index->streams[i].name, name) == 0) {
            return &index->streams[i];
        }
    }
    return NULL;
}

void sluice_lake_index_free(struct sluice_lake_index *index)
{
    for (size_t i = 0; i < index->file_count; i++) {
        file_clear(&index->files[i]);
    }
    for (size_t i = 0; i < index->stream_count; i++) {
        forget_keys(&index->streams[i]);
        free(index->streams[i].name);
        free(index->streams[i].run);
        free(index->streams[i].position);
    }
    free(index->files);
    free(index->streams);
    free(index->to);
    free(index->last);
    *index = (struct sluice_lake_index){0};
}
