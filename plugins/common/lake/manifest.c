#include "lake/manifest.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lake/times.h"
#include "sluice/position.h"
#include "sluice/schema.h"

void sluice_lake_file_free(struct sluice_lake_file *file)
{
    if (file != NULL) {
        free(file->key);
        free(file->first_pos);
        free(file->last_pos);
        free(file);
    }
}

static sluice_status no_memory(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a manifest");
}

static const char *kind_text(int32_t kind)
{
    return kind == SLUICE_LAKE_KIND_FULL  ? "full"
           : kind == SLUICE_LAKE_KIND_CDC ? "cdc"
                                          : "complete";
}

static const char *mode_text(int32_t mode)
{
    return mode == SLUICE_MODE_FULL_LOAD_ONLY ? "full_load_only"
           : mode == SLUICE_MODE_CDC_ONLY     ? "cdc_only"
                                              : "full_load_and_cdc";
}

/* Each returns 0, or -1 when memory ran out or the text is not UTF-8. */
static int put_string(json_t *object, const char *key, const char *value)
{
    return json_object_set_new_nocheck(object, key, json_string(value));
}

/* A text or null. */
static int put_optional(json_t *object, const char *key, const char *value)
{
    return json_object_set_new_nocheck(object, key,
                                       value != NULL ? json_string(value) : json_null());
}

static int put_number(json_t *object, const char *key, uint64_t value)
{
    return json_object_set_new_nocheck(object, key, json_integer((json_int_t)value));
}

static int put_time(json_t *object, const char *key, int64_t us)
{
    char text[SLUICE_LAKE_TIMESTAMP_MAX + 2];
    uint8_t *end = sluice_lake_put_timestamp((uint8_t *)text, us, SLUICE_LAKE_XSD);
    *end++ = 'Z';
    *end = 0;
    return put_string(object, key, text);
}

static int put_token(json_t *object, struct sluice_bytes token)
{
    char *text = malloc(4 * ((token.size + 2) / 3) + 1);
    if (text == NULL) {
        return -1;
    }
    uint64_t n = sluice_base64_encode(token.data, token.size, text);
    int rc = json_object_set_new_nocheck(object, "token", json_stringn(text, n));
    free(text);
    return rc;
}

static int is_key(const struct sluice_stream_desc *desc, uint32_t column)
{
    for (uint32_t i = 0; i < desc->key_count; i++) {
        if (desc->keys[i] == column) {
            return 1;
        }
    }
    return 0;
}

static json_t *column_json(const struct sluice_stream_desc *desc, uint32_t i)
{
    const struct ArrowSchema *field = desc->schema->children[i];
    struct sluice_bytes native = sluice_schema_metadata(field, "sluice:native_type");
    struct sluice_type type;
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    char name[48] = "";
    if (sluice_type_parse(field->format, &type, &ignored) >= 0) {
        sluice_type_name(&type, name);
    }
    json_t *column = json_object();
    int rc = put_string(column, "name", field->name);
    rc |= put_string(column, "type", name);
    if (native.data != NULL) {
        rc |= json_object_set_new_nocheck(column, "native", json_stringn(native.data, native.size));
    }
    rc |= json_object_set_new_nocheck(column, "nullable",
                                      json_boolean((field->flags & ARROW_FLAG_NULLABLE) != 0));
    rc |= json_object_set_new_nocheck(column, "key", json_boolean(is_key(desc, i)));
    if (rc != 0) {
        json_decref(column);
        return NULL;
    }
    return column;
}

static json_t *stream_json(const struct sluice_stream_desc *desc)
{
    json_t *stream = json_object();
    json_t *columns = json_array();
    int rc = put_string(stream, "name", desc->name);
    rc |= put_number(stream, "schema_id", desc->schema_id);
    for (uint32_t i = 0; i < (uint64_t)desc->schema->n_children; i++) {
        rc |= json_array_append_new(columns, column_json(desc, i));
    }
    rc |= json_object_set_new_nocheck(stream, "columns", columns);
    if (rc != 0) {
        json_decref(stream);
        return NULL;
    }
    return stream;
}

static json_t *complete_json(const struct sluice_lake_manifest *m)
{
    json_t *stream = json_object();
    int rc = put_string(stream, "name", m->stream_name);
    rc |= put_string(stream, "run", m->run);
    rc |= put_number(stream, "rows", m->rows);
    rc |= put_optional(stream, "position", m->position);
    if (rc != 0) {
        json_decref(stream);
        return NULL;
    }
    return stream;
}

static json_t *file_json(const struct sluice_lake_file *file)
{
    json_t *object = json_object();
    int rc = put_string(object, "key", file->key);
    rc |= put_string(object, "stream", file->desc->name);
    rc |= put_number(object, "schema_id", file->desc->schema_id);
    rc |= put_number(object, "rows", file->rows);
    rc |= put_number(object, "bytes", file->bytes);
    rc |= put_string(object, "sha256", file->sha256);
    if (file->first_pos != NULL) {
        rc |= put_string(object, "first_pos", file->first_pos);
        rc |= put_string(object, "last_pos", file->last_pos);
    }
    if (rc != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static int fill_streams(json_t *streams, const struct sluice_lake_manifest *m)
{
    int rc = 0;
    if (m->kind == SLUICE_LAKE_KIND_COMPLETE) {
        return json_array_append_new(streams, complete_json(m));
    }
    for (uint32_t i = 0; i < m->stream_count; i++) {
        rc |= json_array_append_new(streams, stream_json(m->streams[i]));
    }
    return rc;
}

static int fill(json_t *root, const struct sluice_lake_manifest *m)
{
    json_t *streams = json_array();
    json_t *files = json_array();
    int rc = put_number(root, "format", SLUICE_LAKE_MANIFEST_FORMAT);
    rc |= put_string(root, "pipeline", m->pipeline);
    rc |= put_string(root, "mode", mode_text(m->mode));
    rc |= put_string(root, "sink", m->sink);
    rc |= put_number(root, "seq", m->seq);
    rc |= put_string(root, "attempt", m->attempt);
    if (m->kind != SLUICE_LAKE_KIND_COMPLETE) {
        rc |= put_string(root, "shard", m->shard);
        rc |= put_number(root, "epoch", m->epoch);
    }
    rc |= put_string(root, "kind", kind_text(m->kind));
    if (m->run != NULL) {
        rc |= put_string(root, "run", m->run);
    }
    if (m->kind == SLUICE_LAKE_KIND_CDC) {
        rc |= put_optional(root, "from", m->from);
        rc |= put_optional(root, "to", m->to);
    }
    rc |= put_time(root, "committed_at", m->committed_us);
    rc |= put_token(root, m->token);
    rc |= fill_streams(streams, m);
    for (uint32_t i = 0; i < m->file_count; i++) {
        rc |= json_array_append_new(files, file_json(m->files[i]));
    }
    rc |= json_object_set_new_nocheck(root, "streams", streams);
    if (m->kind == SLUICE_LAKE_KIND_COMPLETE) {
        json_decref(files);
        return rc;
    }
    return rc | json_object_set_new_nocheck(root, "files", files);
}

sluice_status sluice_lake_manifest_write(const struct sluice_lake_manifest *m, char **out,
                                         uint64_t *size, struct sluice_error *err)
{
    json_t *root = json_object();
    if (root == NULL) {
        return no_memory(err);
    }
    char *text = fill(root, m) == 0 ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (text == NULL) {
        return sluice_error_set(err, SLUICE_E_DATA, 0,
                                "manifest %llu cannot be written: a name is not UTF-8, or no "
                                "memory is left",
                                (unsigned long long)m->seq);
    }
    *out = text;
    *size = strlen(text);
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- reading -------------------- */

static char *copy_string(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return strdup(json_is_string(value) ? json_string_value(value) : "");
}

static uint64_t get_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    json_int_t v = json_is_integer(value) ? json_integer_value(value) : 0;
    return v > 0 ? (uint64_t)v : 0;
}

static sluice_status read_token(const json_t *root, struct sluice_lake_found *found,
                                struct sluice_error *err)
{
    const json_t *value = json_object_get(root, "token");
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    size_t n = json_is_string(value) ? json_string_length(value) : 0;
    if (n > 2 * SLUICE_LAKE_TOKEN_MAX) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "token of %zu characters", n);
    }
    found->token = malloc(n + 4);
    if (found->token == NULL) {
        return no_memory(err);
    }
    found->token_size = 0;
    return n == 0 ? SLUICE_OK
                  : sluice_base64_decode(text, n, found->token, &found->token_size, err);
}

static sluice_status read_root(const json_t *root, struct sluice_lake_found *found,
                               struct sluice_error *err)
{
    uint64_t format = get_number(root, "format");
    const json_t *kind = json_object_get(root, "kind");
    const char *text = json_is_string(kind) ? json_string_value(kind) : "";
    if (!json_is_object(root) || format == 0) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "no \"format\" in it");
    }
    if (format > SLUICE_LAKE_MANIFEST_FORMAT) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, SLUICE_ERROR_FATAL,
                                "format %llu is of a newer version of sluice: update it",
                                (unsigned long long)format);
    }
    found->kind = strcmp(text, "full") == 0       ? SLUICE_LAKE_KIND_FULL
                  : strcmp(text, "cdc") == 0      ? SLUICE_LAKE_KIND_CDC
                  : strcmp(text, "complete") == 0 ? SLUICE_LAKE_KIND_COMPLETE
                                                  : 0;
    if (found->kind == 0) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "kind \"%.32s\" is not known", text);
    }
    const json_t *stream = json_array_get(json_object_get(root, "streams"), 0);
    found->seq = get_number(root, "seq");
    found->epoch = get_number(root, "epoch");
    found->rows = get_number(stream, "rows");
    found->attempt = copy_string(root, "attempt");
    found->shard = copy_string(root, "shard");
    found->run = copy_string(root, "run");
    found->stream = copy_string(stream, "name");
    found->to = copy_string(root, "to");
    if (found->attempt == NULL || found->shard == NULL || found->run == NULL ||
        found->stream == NULL || found->to == NULL) {
        return no_memory(err);
    }
    return read_token(root, found, err);
}

sluice_status sluice_lake_manifest_read(const uint8_t *data, uint64_t size,
                                        struct sluice_lake_found *out, struct sluice_error *err)
{
    json_error_t native;
    struct sluice_lake_found found = {0};
    json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &native);
    if (root == NULL) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "not JSON: line %d: %s", native.line,
                                native.text);
    }
    sluice_status st = read_root(root, &found, err);
    json_decref(root);
    if (st < 0) {
        sluice_lake_found_free(&found);
        return st;
    }
    *out = found;
    return SLUICE_OK;
}

void sluice_lake_found_free(struct sluice_lake_found *found)
{
    free(found->attempt);
    free(found->shard);
    free(found->run);
    free(found->stream);
    free(found->to);
    free(found->token);
    memset(found, 0, sizeof *found);
}
