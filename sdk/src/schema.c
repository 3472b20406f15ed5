/* Arrow schemas: building, copying, metadata, comparing. */
#include "sluice/schema.h"

#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "sluice/array.h"

/* What one node owns. Children live in one array; each can be moved out by a consumer, since its
 * own private data frees what hangs below it. */
struct schema_private {
    struct ArrowSchema *children;
    struct ArrowSchema **child_pointers;
    char *strings; /* format, name and metadata in one allocation */
    struct ArrowSchema *dictionary;
};

static void schema_release(struct ArrowSchema *schema)
{
    struct schema_private *p = schema->private_data;
    for (int64_t i = 0; i < schema->n_children; i++) {
        struct ArrowSchema *child = schema->children[i];
        if (child->release != NULL) {
            child->release(child);
        }
    }
    if (p->dictionary != NULL) {
        if (p->dictionary->release != NULL) {
            p->dictionary->release(p->dictionary);
        }
        free(p->dictionary);
    }
    free(p->children);
    free(p->child_pointers);
    free(p->strings);
    free(p);
    schema->private_data = NULL;
    schema->release = NULL;
}

void sluice_schema_release(struct ArrowSchema *schema)
{
    if (schema != NULL && schema->release != NULL) {
        schema->release(schema);
    }
}

/* Makes *schema a node with `n` zeroed children. `metadata` are encoded bytes or NULL. */
static sluice_status node_make(struct ArrowSchema *schema, const char *format, const char *name,
                               const char *metadata, uint64_t metadata_size, int64_t flags,
                               int64_t n, struct sluice_error *err)
{
    memset(schema, 0, sizeof *schema);
    if (n < 0 || n > SLUICE_MAX_COLUMNS) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "%lld columns; at most %d are allowed",
                                (long long)n, SLUICE_MAX_COLUMNS);
    }
    name = name != NULL ? name : "";
    uint64_t format_size = strlen(format) + 1;
    uint64_t name_size = strlen(name) + 1;
    struct schema_private *p = calloc(1, sizeof *p);
    if (p == NULL) {
        goto nomem;
    }
    /* Metadata first: its integers are then aligned. */
    p->strings = malloc(metadata_size + format_size + name_size);
    if (p->strings == NULL) {
        goto nomem;
    }
    if (n > 0) {
        p->children = calloc((size_t)n, sizeof *p->children);
        p->child_pointers = calloc((size_t)n, sizeof(struct ArrowSchema *));
        if (p->children == NULL || p->child_pointers == NULL) {
            goto nomem;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        p->child_pointers[i] = &p->children[i];
    }
    if (metadata_size > 0) {
        memcpy(p->strings, metadata, metadata_size);
        schema->metadata = p->strings;
    }
    memcpy(p->strings + metadata_size, format, format_size);
    memcpy(p->strings + metadata_size + format_size, name, name_size);
    schema->format = p->strings + metadata_size;
    schema->name = p->strings + metadata_size + format_size;
    schema->flags = flags;
    schema->n_children = n;
    schema->children = p->child_pointers;
    schema->private_data = p;
    schema->release = schema_release;
    return SLUICE_OK;
nomem:
    if (p != NULL) {
        free(p->children);
        free(p->child_pointers);
        free(p->strings);
        free(p);
    }
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a schema of %lld columns",
                            (long long)n);
}

static sluice_status node_make_unset(struct ArrowSchema *schema, const char *format,
                                     const char *name, int64_t flags, int64_t n,
                                     struct sluice_error *err)
{
    SLUICE_TRY(node_make(schema, format, name, NULL, 0, flags, n, err));
    for (int64_t i = 0; i < n; i++) {
        sluice_status st =
            node_make(schema->children[i], "n", "", NULL, 0, ARROW_FLAG_NULLABLE, 0, err);
        if (st < 0) {
            sluice_schema_release(schema);
            return st;
        }
    }
    return SLUICE_OK;
}

sluice_status sluice_schema_init(struct ArrowSchema *schema, int64_t n, struct sluice_error *err)
{
    return node_make_unset(schema, "+s", "", 0, n, err);
}

static sluice_status check_index(const struct ArrowSchema *schema, int64_t i,
                                 struct sluice_error *err)
{
    if (i < 0 || i >= schema->n_children) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "column %lld of %lld", (long long)i,
                                (long long)schema->n_children);
    }
    return SLUICE_OK;
}

/* Encodes pairs as Arrow metadata: int32 count, then length and bytes of each key and value. */
static sluice_status metadata_encode(const struct sluice_pair *pairs, uint32_t count, char **out,
                                     uint64_t *out_size, struct sluice_error *err)
{
    *out = NULL;
    *out_size = 0;
    if (count == 0) {
        return SLUICE_OK;
    }
    uint64_t size = 4;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t k = strlen(pairs[i].key);
        uint64_t v = strlen(pairs[i].value);
        if (k > (1u << 20) || v > (1u << 24)) {
            return sluice_error_set(err, SLUICE_E_LIMIT, 0, "column metadata of %llu bytes",
                                    (unsigned long long)(k > v ? k : v));
        }
        size += 8 + k + v;
    }
    char *buf = malloc(size);
    if (buf == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for column metadata");
    }
    char *to = buf;
    int32_t n = (int32_t)count;
    memcpy(to, &n, 4);
    to += 4;
    for (uint32_t i = 0; i < count; i++) {
        const char *parts[2] = {pairs[i].key, pairs[i].value};
        for (int k = 0; k < 2; k++) {
            n = (int32_t)strlen(parts[k]);
            memcpy(to, &n, 4);
            memcpy(to + 4, parts[k], (uint64_t)n);
            to += 4 + n;
        }
    }
    *out = buf;
    *out_size = size;
    return SLUICE_OK;
}

/* Puts a fresh node in the place of child i. */
static void replace_child(struct ArrowSchema *schema, int64_t i, const struct ArrowSchema *node)
{
    sluice_schema_release(schema->children[i]);
    memcpy(schema->children[i], node, sizeof *node);
}

sluice_status sluice_schema_set(struct ArrowSchema *schema, int64_t i, const char *name,
                                const struct sluice_type *type, int32_t nullable,
                                const struct sluice_pair *metadata, uint32_t pair_count,
                                struct sluice_error *err)
{
    SLUICE_TRY(check_index(schema, i, err));
    if (type->id == SLUICE_TYPE_LIST || type->id == SLUICE_TYPE_STRUCT) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "column %s is nested: use sluice_schema_set_nested", name);
    }
    char format[32];
    sluice_type_format(type, format);
    char *encoded = NULL;
    uint64_t encoded_size = 0;
    SLUICE_TRY(
        metadata_encode(metadata, metadata != NULL ? pair_count : 0, &encoded, &encoded_size, err));
    struct ArrowSchema node;
    sluice_status st = node_make(&node, format, name, encoded, encoded_size,
                                 nullable ? ARROW_FLAG_NULLABLE : 0, 0, err);
    free(encoded);
    if (st >= 0) {
        replace_child(schema, i, &node);
    }
    return st;
}

sluice_status sluice_schema_set_nested(struct ArrowSchema *schema, int64_t i, const char *name,
                                       int32_t type_id, int64_t n, int32_t nullable,
                                       struct sluice_error *err)
{
    SLUICE_TRY(check_index(schema, i, err));
    if ((type_id != SLUICE_TYPE_LIST && type_id != SLUICE_TYPE_STRUCT) ||
        (type_id == SLUICE_TYPE_LIST && n != 1)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "column %s: a list has one child, a struct any number", name);
    }
    struct ArrowSchema node;
    SLUICE_TRY(node_make_unset(&node, type_id == SLUICE_TYPE_LIST ? "+l" : "+s", name,
                               nullable ? ARROW_FLAG_NULLABLE : 0, n, err));
    replace_child(schema, i, &node);
    return SLUICE_OK;
}

/* Size of encoded metadata. The bytes come from a producer that we trust as much as its pointers:
 * the format itself carries no total length. Negative lengths end the walk. */
static uint64_t metadata_size(const char *metadata)
{
    if (metadata == NULL) {
        return 0;
    }
    int32_t count = 0;
    memcpy(&count, metadata, 4);
    uint64_t size = 4;
    for (int64_t i = 0; i < 2 * (int64_t)count; i++) {
        int32_t n = 0;
        memcpy(&n, metadata + size, 4);
        if (n < 0) {
            return 0;
        }
        size += 4u + (uint64_t)n;
    }
    return size;
}

struct sluice_bytes sluice_schema_metadata(const struct ArrowSchema *field, const char *key)
{
    struct sluice_bytes none = {NULL, 0};
    if (field == NULL || field->metadata == NULL) {
        return none;
    }
    const char *at = field->metadata;
    uint64_t key_size = strlen(key);
    int32_t count = 0;
    memcpy(&count, at, 4);
    at += 4;
    for (int32_t i = 0; i < count; i++) {
        int32_t k = 0;
        int32_t v = 0;
        memcpy(&k, at, 4);
        if (k < 0) {
            return none;
        }
        memcpy(&v, at + 4 + k, 4);
        if (v < 0) {
            return none;
        }
        if ((uint64_t)k == key_size && memcmp(at + 4, key, key_size) == 0) {
            struct sluice_bytes found = {at + 8 + k, (uint64_t)v};
            return found;
        }
        at += 8 + k + v;
    }
    return none;
}

int32_t sluice_schema_metadata_is(const struct ArrowSchema *field, const char *key,
                                  const char *text)
{
    struct sluice_bytes v = sluice_schema_metadata(field, key);
    uint64_t n = strlen(text);
    return v.data != NULL && v.size == n && memcmp(v.data, text, n) == 0;
}

/* `name` NULL = the source's own. */
static sluice_status copy_node(const struct ArrowSchema *src, const char *name,
                               struct ArrowSchema *out, int depth, struct sluice_error *err)
{
    if (depth > SLUICE_MAX_DEPTH) {
        memset(out, 0, sizeof *out);
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "schema is nested deeper than %d",
                                SLUICE_MAX_DEPTH);
    }
    SLUICE_TRY(node_make(out, src->format, name != NULL ? name : src->name, src->metadata,
                         metadata_size(src->metadata), src->flags, src->n_children, err));
    sluice_status st = SLUICE_OK;
    for (int64_t i = 0; i < src->n_children && st >= 0; i++) {
        st = copy_node(src->children[i], NULL, out->children[i], depth + 1, err);
    }
    if (st >= 0 && src->dictionary != NULL) {
        struct schema_private *p = out->private_data;
        p->dictionary = calloc(1, sizeof *p->dictionary);
        st = p->dictionary != NULL
                 ? copy_node(src->dictionary, NULL, p->dictionary, depth + 1, err)
                 : sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a schema");
        out->dictionary = p->dictionary;
    }
    if (st < 0) {
        sluice_schema_release(out);
    }
    return st;
}

sluice_status sluice_schema_put(struct ArrowSchema *schema, int64_t i,
                                const struct ArrowSchema *field, const char *name, int32_t nullable,
                                struct sluice_error *err)
{
    SLUICE_TRY(check_index(schema, i, err));
    struct ArrowSchema node;
    SLUICE_TRY(copy_node(field, name, &node, 1, err));
    if (nullable >= 0) {
        node.flags = nullable ? node.flags | ARROW_FLAG_NULLABLE
                              : node.flags & ~(int64_t)ARROW_FLAG_NULLABLE;
    }
    replace_child(schema, i, &node);
    return SLUICE_OK;
}

sluice_status sluice_schema_copy(const struct ArrowSchema *src, struct ArrowSchema *out,
                                 struct sluice_error *err)
{
    return copy_node(src, NULL, out, 0, err);
}

static int32_t equal_node(const struct ArrowSchema *a, const struct ArrowSchema *b, int depth)
{
    const char *an = a->name != NULL ? a->name : "";
    const char *bn = b->name != NULL ? b->name : "";
    if (depth > SLUICE_MAX_DEPTH || strcmp(a->format, b->format) != 0 || strcmp(an, bn) != 0 ||
        (a->flags & ARROW_FLAG_NULLABLE) != (b->flags & ARROW_FLAG_NULLABLE) ||
        a->n_children != b->n_children || (a->dictionary == NULL) != (b->dictionary == NULL)) {
        return 0;
    }
    uint64_t am = metadata_size(a->metadata);
    uint64_t bm = metadata_size(b->metadata);
    if (am != bm || (am > 0 && memcmp(a->metadata, b->metadata, am) != 0)) {
        return 0;
    }
    for (int64_t i = 0; i < a->n_children; i++) {
        if (!equal_node(a->children[i], b->children[i], depth + 1)) {
            return 0;
        }
    }
    return a->dictionary == NULL || equal_node(a->dictionary, b->dictionary, depth + 1);
}

int32_t sluice_schema_equal(const struct ArrowSchema *a, const struct ArrowSchema *b)
{
    return equal_node(a, b, 0);
}

/* Makes child `at` of the envelope a nullable struct of the given columns of the row schema. Its
 * columns are nullable whatever the row schema says: a column that was not sent is null there. */
static sluice_status envelope_struct(struct ArrowSchema *out, int64_t at, const char *name,
                                     const struct ArrowSchema *row, const uint32_t *indexes,
                                     int64_t n, struct sluice_error *err)
{
    SLUICE_TRY(sluice_schema_set_nested(out, at, name, SLUICE_TYPE_STRUCT, n, 1, err));
    for (int64_t i = 0; i < n; i++) {
        int64_t from = indexes != NULL ? (int64_t)indexes[i] : i;
        if (from >= row->n_children) {
            return sluice_error_set(err, SLUICE_E_INVALID, 0, "key column %lld of %lld columns",
                                    (long long)from, (long long)row->n_children);
        }
        struct ArrowSchema node;
        SLUICE_TRY(copy_node(row->children[from], NULL, &node, 2, err));
        node.flags |= ARROW_FLAG_NULLABLE;
        replace_child(out->children[at], i, &node);
    }
    return SLUICE_OK;
}

sluice_status sluice_schema_envelope(const struct sluice_stream_desc *desc, struct ArrowSchema *out,
                                     struct sluice_error *err)
{
    static const struct {
        const char *name;
        struct sluice_type type;
        int32_t nullable;
    } fields[] = {
        {"op", {SLUICE_TYPE_INT8, 0, 0, 1}, 0},
        {"commit_pos", {SLUICE_TYPE_BINARY, 0, 0, 0}, 0},
        {"tx_seq", {SLUICE_TYPE_INT64, 0, 0, 8}, 0},
        {"commit_ts", {SLUICE_TYPE_TIMESTAMP_US_UTC, 0, 0, 8}, 1},
        {"tx_id", {SLUICE_TYPE_UTF8, 0, 0, 0}, 1},
    };
    static const struct sluice_type binary = {SLUICE_TYPE_BINARY, 0, 0, 0};
    const struct ArrowSchema *row = desc->schema;
    SLUICE_TRY(sluice_schema_init(out, 8, err));
    sluice_status st = SLUICE_OK;
    for (int64_t i = 0; i < 5 && st >= 0; i++) {
        st = sluice_schema_set(out, i, fields[i].name, &fields[i].type, fields[i].nullable, NULL, 0,
                               err);
    }
    if (st >= 0) {
        const uint32_t *indexes = desc->before == SLUICE_BEFORE_KEY ? desc->keys : NULL;
        int64_t n = desc->before == SLUICE_BEFORE_FULL  ? row->n_children
                    : desc->before == SLUICE_BEFORE_KEY ? (int64_t)desc->key_count
                                                        : 0;
        st = envelope_struct(out, 5, "before", row, indexes, n, err);
    }
    if (st >= 0) {
        st = envelope_struct(out, 6, "after", row, NULL, row->n_children, err);
    }
    if (st >= 0) {
        st = sluice_schema_set(out, 7, "unchanged", &binary, 1, NULL, 0, err);
    }
    if (st < 0) {
        sluice_schema_release(out);
    }
    return st;
}
