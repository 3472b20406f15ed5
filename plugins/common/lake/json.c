/* Cells of JSON lines that are not of fixed width, and keys. */
#include <stdlib.h>

#include "lake/cells.h"
#include "lake/escape.h"

enum {
    SHORT_TEXT = 64,  /* up to here: copied first, looked at on the way */
    PLAIN_TEXT = 2048 /* up to here: the room for the worst case is made at once */
};

sluice_status sluice_lake_json_key(struct sluice_lake_cell *cell, const char *name, char open,
                                   struct sluice_error *err)
{
    size_t n = strlen(name);
    if (n > SLUICE_LAKE_NAME_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "the name has %zu bytes, over %d", n,
                                SLUICE_LAKE_NAME_MAX);
    }
    cell->key = calloc(1, n * 6 + SLUICE_LAKE_SLACK);
    if (cell->key == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a key");
    }
    uint8_t *p = cell->key;
    *p++ = (uint8_t)open;
    *p++ = '"';
    p = sluice_lake_json_escape(p, (const uint8_t *)name, n);
    *p++ = '"';
    *p++ = ':';
    cell->key_size = (uint32_t)(p - cell->key);
    return SLUICE_OK;
}

static uint8_t *put_text(struct sluice_lake_out *out, uint8_t *p, const uint8_t *s, size_t n)
{
    if (n <= PLAIN_TEXT) {
        p = sluice_lake_out_room(out, p, n * 6 + SLUICE_LAKE_SLACK);
        *p++ = '"';
        if (n <= SHORT_TEXT && sluice_lake_json_copy_clean(p, s, n)) {
            p += n;
        }
        else {
            p = sluice_lake_json_escape(p, s, n);
        }
        *p++ = '"';
        return p;
    }
    p = sluice_lake_out_room(out, p, 1);
    *p++ = '"';
    p = sluice_lake_json_text(out, p, s, n);
    p = sluice_lake_out_room(out, p, 1);
    *p++ = '"';
    return p;
}

static uint8_t *json_text(struct sluice_lake_encoder *enc, const struct sluice_lake_cell *cell,
                          int64_t row, uint8_t *p)
{
    struct sluice_bytes b = sluice_view_bytes(cell->view, row);
    return put_text(enc->out, p, b.data, b.size);
}

static uint8_t *json_large_text(struct sluice_lake_encoder *enc,
                                const struct sluice_lake_cell *cell, int64_t row, uint8_t *p)
{
    struct sluice_bytes b = sluice_lake_cell_bytes(cell->view, row);
    return put_text(enc->out, p, b.data, b.size);
}

static uint8_t *json_json(struct sluice_lake_encoder *enc, const struct sluice_lake_cell *cell,
                          int64_t row, uint8_t *p)
{
    struct sluice_bytes b = sluice_lake_cell_bytes(cell->view, row);
    return sluice_lake_json_verbatim(enc->out, p, b.data, b.size);
}

static uint8_t *json_class(struct sluice_lake_encoder *enc, const struct sluice_lake_cell *cell,
                           int64_t row, uint8_t *p)
{
    struct sluice_bytes b = sluice_lake_cell_bytes(cell->view, row);
    int32_t failed = enc->out->status < 0;
    p = sluice_lake_class_json(cell->cls, enc->binary == SLUICE_LAKE_HEX, &enc->scratch, enc->out,
                               p, b.data, b.size);
    if (!failed && enc->out->status < 0 && enc->out->err != NULL) {
        enc->out->err->row = row;
    }
    return p;
}

static uint8_t *put_binary(struct sluice_lake_encoder *enc, uint8_t *p, const uint8_t *s, size_t n)
{
    p = sluice_lake_out_room(enc->out, p, 4);
    *p++ = '"';
    if (enc->binary == SLUICE_LAKE_HEX) {
        memcpy(p, "\\\\x", 3);
        p = sluice_lake_put_hex(enc->out, p + 3, s, n);
    }
    else {
        p = sluice_lake_put_base64(enc->out, p, s, n);
    }
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '"';
    return p;
}

static uint8_t *json_binary(struct sluice_lake_encoder *enc, const struct sluice_lake_cell *cell,
                            int64_t row, uint8_t *p)
{
    struct sluice_bytes b = sluice_lake_cell_bytes(cell->view, row);
    return put_binary(enc, p, b.data, b.size);
}

static uint8_t *json_fixed_binary(struct sluice_lake_encoder *enc,
                                  const struct sluice_lake_cell *cell, int64_t row, uint8_t *p)
{
    return put_binary(enc, p, sluice_view_fixed(cell->view, row), (uint64_t)cell->view->type.width);
}

uint8_t *sluice_lake_json_value(struct sluice_lake_encoder *enc,
                                const struct sluice_lake_cell *cell, int64_t row, uint8_t *p)
{
    p = sluice_lake_out_room(enc->out, p, cell->bound);
    if (cell->key_size > 0) {
        p = sluice_lake_put_key(p, cell);
    }
    if (sluice_view_is_null(cell->view, row)) {
        memcpy(p, "null", 4);
        return p + 4;
    }
    return cell->fn(enc, cell, row, p);
}

static uint8_t *json_list(struct sluice_lake_encoder *enc, const struct sluice_lake_cell *cell,
                          int64_t row, uint8_t *p)
{
    const int32_t *offsets = cell->view->offsets;
    *p++ = '[';
    for (int64_t i = offsets[row]; i < offsets[row + 1] && enc->out->status >= 0; i++) {
        p = sluice_lake_out_room(enc->out, p, 1);
        *p = ',';
        p += i > offsets[row] ? 1 : 0;
        p = sluice_lake_json_value(enc, &cell->children[0], i, p);
    }
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = ']';
    return p;
}

static uint8_t *json_struct(struct sluice_lake_encoder *enc, const struct sluice_lake_cell *cell,
                            int64_t row, uint8_t *p)
{
    if (cell->child_count == 0) {
        *p++ = '{';
    }
    for (uint32_t i = 0; i < cell->child_count; i++) {
        p = sluice_lake_json_value(enc, &cell->children[i], row, p);
    }
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '}';
    return p;
}

uint8_t *sluice_lake_json_nested(struct sluice_lake_encoder *enc,
                                 const struct sluice_lake_cell *cell, int64_t row, uint8_t *p)
{
    return cell->view->type.id == SLUICE_TYPE_STRUCT ? json_struct(enc, cell, row, p)
                                                     : json_list(enc, cell, row, p);
}

static sluice_status make_children(struct sluice_lake_encoder *enc, const struct ArrowSchema *field,
                                   struct sluice_lake_cell *cell, int32_t is_struct, int32_t depth,
                                   struct sluice_error *err)
{
    uint64_t n = (uint64_t)field->n_children;
    if (depth >= SLUICE_LAKE_NEST_MAX || n > SLUICE_LAKE_COLUMNS_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "the type nests deeper than %d",
                                SLUICE_LAKE_NEST_MAX);
    }
    cell->children = calloc(n + 1, sizeof *cell->children);
    cell->child_views = calloc(n + 1, sizeof *cell->child_views);
    if (cell->children == NULL || cell->child_views == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a nested type");
    }
    for (uint32_t i = 0; i < n; i++) {
        struct sluice_lake_cell *child = &cell->children[i];
        child->view = &cell->child_views[i];
        cell->child_count++;
        if (is_struct) {
            SLUICE_TRY(
                sluice_lake_json_key(child, field->children[i]->name, i == 0 ? '{' : ',', err));
        }
        SLUICE_TRY(sluice_lake_json_cell(enc, field->children[i], child, depth + 1, err));
        child->bound += child->key_size + 32;
    }
    cell->fn = is_struct ? json_struct : json_list;
    cell->bound = 8;
    return SLUICE_OK;
}

static sluice_status text_cell(const struct ArrowSchema *field, struct sluice_lake_cell *cell,
                               int32_t large, struct sluice_error *err)
{
    struct sluice_bytes text = sluice_schema_metadata(field, "sluice:text");
    cell->bound = 16;
    if (sluice_schema_metadata_is(field, "ARROW:extension:name", "arrow.json")) {
        cell->fn = json_json;
        return SLUICE_OK;
    }
    if (text.size == 0 || (text.size == 1 && *(const char *)text.data == 's')) {
        cell->fn = large ? json_large_text : json_text;
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_lake_class_parse(text.data, text.size, &cell->cls, err));
    cell->fn = cell->cls->kind == 'j' ? json_json : json_class;
    return SLUICE_OK;
}

sluice_status sluice_lake_json_cell(struct sluice_lake_encoder *enc,
                                    const struct ArrowSchema *field, struct sluice_lake_cell *cell,
                                    int32_t depth, struct sluice_error *err)
{
    struct sluice_type type;
    int32_t found = 0;
    SLUICE_TRY(sluice_type_parse(field->format, &type, err));
    SLUICE_TRY(sluice_lake_fixed_cell(field, &type, SLUICE_LAKE_JSONL, cell, &found, err));
    if (found) {
        return SLUICE_OK;
    }
    cell->bound = 16;
    switch (type.id) {
    case SLUICE_TYPE_UTF8:
    case SLUICE_TYPE_LARGE_UTF8:
        return text_cell(field, cell, type.id == SLUICE_TYPE_LARGE_UTF8, err);
    case SLUICE_TYPE_BINARY:
    case SLUICE_TYPE_LARGE_BINARY:
        cell->fn = json_binary;
        return SLUICE_OK;
    case SLUICE_TYPE_FIXED_BINARY:
        cell->fn = json_fixed_binary;
        return SLUICE_OK;
    case SLUICE_TYPE_LIST:
        return make_children(enc, field, cell, 0, depth, err);
    case SLUICE_TYPE_STRUCT:
        return make_children(enc, field, cell, 1, depth, err);
    default:
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0, "type %s cannot be written as JSON",
                                field->format);
    }
}
