/* The shape `debezium` of change files: one envelope a row. */
#include "lake/debezium.h"

#include <stdlib.h>

#include "lake/digits.h"
#include "lake/escape.h"
#include "sluice/array.h"

enum {
    FIELD_OP = 0,
    FIELD_POSITION,
    FIELD_SEQ,
    FIELD_TIME,
    FIELD_TX,
    FIELD_BEFORE,
    FIELD_AFTER,
    FIELD_UNCHANGED,
    HEAD_FIELDS = 5
};

/* ---------------------------------------------------------------- making --------------------- */

static void dbz_free(void *p)
{
    struct sluice_lake_dbz *enc = p;
    if (enc == NULL) {
        return;
    }
    for (uint32_t i = 0; i < enc->cell_count; i++) {
        free(enc->cells[i].key);
        free(enc->cells[i].unavailable);
    }
    for (int32_t i = 0; i < SLUICE_LAKE_DBZ_SCRATCHES; i++) {
        free(enc->scratch[i].data);
    }
    sluice_schema_release(&enc->envelope);
    free(enc->load_position.data);
    free(enc->head_text.data);
    free(enc->db_text.data);
    free(enc->name_text.data);
    free(enc->source.data);
    free(enc->source_position.data);
    free(enc->source_tx.data);
    free(enc->cells);
    free(enc->columns);
    free(enc->old);
    free(enc);
}

/* `"name":` with what stands in front of it. */
static sluice_status make_key(struct sluice_lake_dbz_cell *cell, const char *name, char open,
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
    p = SLUICE_LAKE_DBZ_PUT(p, "\":");
    cell->key_size = (uint32_t)(p - cell->key);
    return SLUICE_OK;
}

static sluice_status make_cell(struct sluice_lake_dbz *enc, uint32_t i, struct sluice_error *err)
{
    const struct ArrowSchema *field = enc->desc->schema->children[i];
    struct sluice_lake_dbz_cell *cell = &enc->cells[i];
    cell->old = enc->desc->before == SLUICE_BEFORE_FULL ? (int32_t)i : -1;
    for (uint32_t k = 0; enc->desc->before == SLUICE_BEFORE_KEY && k < enc->desc->key_count; k++) {
        if (enc->desc->keys[k] == i) {
            cell->old = (int32_t)k;
        }
    }
    SLUICE_TRY(make_key(cell, field->name, i == 0 ? '{' : ',', err));
    SLUICE_TRY(sluice_lake_dbz_cell_make(enc, field, cell, err));
    cell->bound += cell->key_size + 32;
    return SLUICE_OK;
}

static sluice_status make(struct sluice_lake_dbz *enc, struct sluice_error *err)
{
    const struct sluice_stream_desc *desc = enc->desc;
    uint64_t n = (uint64_t)desc->schema->n_children;
    if (n > SLUICE_LAKE_COLUMNS_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "%llu columns are over %d",
                                (unsigned long long)n, SLUICE_LAKE_COLUMNS_MAX);
    }
    SLUICE_TRY(sluice_schema_envelope(desc, &enc->envelope, err));
    enc->head = enc->envelope;
    enc->head.n_children = HEAD_FIELDS;
    enc->old_count = (uint32_t)enc->envelope.children[FIELD_BEFORE]->n_children;
    enc->cells = calloc(n + 1, sizeof *enc->cells);
    enc->columns = calloc(n + 1, sizeof *enc->columns);
    enc->old = calloc((size_t)enc->old_count + 1, sizeof *enc->old);
    if (enc->cells == NULL || enc->columns == NULL || enc->old == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for an encoder");
    }
    for (uint32_t k = 0; k < desc->key_count; k++) {
        if (desc->keys[k] >= n) {
            return sluice_error_set(err, SLUICE_E_INVALID, 0, "key column %u of %llu columns",
                                    desc->keys[k], (unsigned long long)n);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        enc->cell_count = i + 1;
        if (make_cell(enc, i, err) < 0) {
            return sluice_error_wrap(err, "column \"%.200s\"", desc->schema->children[i]->name);
        }
    }
    sluice_lake_dbz_envelope_bind(enc, 0);
    return sluice_lake_dbz_envelope_make(enc, err);
}

static sluice_status dbz_create(const struct sluice_stream_desc *desc,
                                const struct sluice_lake_change_options *options, void **out,
                                struct sluice_error *err)
{
    if (options->format != SLUICE_LAKE_JSONL) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "changes: debezium goes with format jsonl alone");
    }
    struct sluice_lake_dbz *enc = calloc(1, sizeof *enc);
    if (enc == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for an encoder");
    }
    enc->desc = desc;
    enc->options = options;
    sluice_status st = make(enc, err);
    if (st < 0) {
        dbz_free(enc);
        return st;
    }
    *out = enc;
    return SLUICE_OK;
}

static void dbz_load(void *p, struct sluice_bytes position, int64_t time_us)
{
    struct sluice_lake_dbz *enc = p;
    /* Without memory for it the rows have no position; they say so by an empty _pos. */
    if (sluice_lake_dbz_buffer_set(&enc->load_position, position.data, position.size, NULL) < 0) {
        enc->load_position.size = 0;
    }
    enc->load_time_us = time_us;
}

static void dbz_begin(void *p, struct sluice_lake_out *out)
{
    (void)p;
    (void)out; /* JSON lines have no header */
}

/* ---------------------------------------------------------------- batches -------------------- */

static int64_t now_us(const struct sluice_lake_dbz *enc, const struct sluice_batch *batch)
{
    const struct sluice_host *host = enc->options->host;
    if (host != NULL) {
        return host->now_us(host->ctx, SLUICE_CLOCK_WALL);
    }
    return batch->source_time_us != 0 ? batch->source_time_us : enc->load_time_us;
}

static sluice_status dbz_bind(void *p, const struct sluice_batch *batch, struct sluice_error *err)
{
    struct sluice_lake_dbz *enc = p;
    enc->kind = batch->kind;
    sluice_lake_dbz_envelope_bind(enc, now_us(enc, batch));
    switch (batch->kind) {
    case SLUICE_BATCH_ROWS:
        return sluice_views_init(enc->desc->schema, &batch->array, enc->columns, err);
    case SLUICE_BATCH_TRUNCATE:
        return sluice_views_init(&enc->head, &batch->array, enc->fields, err);
    case SLUICE_BATCH_CHANGES:
        SLUICE_TRY(sluice_views_init(&enc->envelope, &batch->array, enc->fields, err));
        SLUICE_TRY(sluice_view_children(&enc->fields[FIELD_BEFORE], enc->old, err));
        return sluice_view_children(&enc->fields[FIELD_AFTER], enc->columns, err);
    default:
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "batches of kind %d have no rows for change files", batch->kind);
    }
}

/* ---------------------------------------------------------------- images --------------------- */

static uint8_t *put_close(struct sluice_lake_dbz *enc, uint8_t *p)
{
    p = sluice_lake_out_room(enc->out, p, 2);
    if (enc->cell_count == 0) {
        *p++ = '{';
    }
    *p++ = '}';
    return p;
}

/* The key in blocks of 16 bytes; up to 15 bytes behind it are touched. */
static inline uint8_t *put_key(uint8_t *p, const struct sluice_lake_dbz_cell *cell)
{
    memcpy(p, cell->key, 16);
    for (uint32_t i = 16; i < cell->key_size; i += 16) {
        memcpy(p + i, cell->key + i, 16);
    }
    return p + cell->key_size;
}

static inline uint8_t *put_value(struct sluice_lake_dbz *enc,
                                 const struct sluice_lake_dbz_cell *cell,
                                 const struct sluice_view *view, int64_t row, uint8_t *p)
{
    if (sluice_view_is_null(view, row)) {
        memcpy(p, "null", 4);
        return p + 4;
    }
    return cell->fn(enc, cell, view, row, p);
}

/* `unchanged`: bits of columns that were not sent. */
static uint8_t *put_new(struct sluice_lake_dbz *enc, int64_t row, struct sluice_bytes unchanged,
                        uint8_t *p)
{
    const uint8_t *bits = unchanged.data;
    for (uint32_t i = 0; i < enc->cell_count; i++) {
        const struct sluice_lake_dbz_cell *cell = &enc->cells[i];
        p = sluice_lake_out_room(enc->out, p, cell->bound);
        p = put_key(p, cell);
        if (i / 8 < unchanged.size && (bits[i / 8] >> (i % 8) & 1)) {
            p = sluice_lake_out_bytes(enc->out, p, cell->unavailable, cell->unavailable_size);
        }
        else {
            p = put_value(enc, cell, &enc->columns[i], row, p);
        }
    }
    return put_close(enc, p);
}

/* All columns; null where the source did not send them. */
static uint8_t *put_old(struct sluice_lake_dbz *enc, int64_t row, uint8_t *p)
{
    for (uint32_t i = 0; i < enc->cell_count; i++) {
        const struct sluice_lake_dbz_cell *cell = &enc->cells[i];
        p = sluice_lake_out_room(enc->out, p, cell->bound);
        p = put_key(p, cell);
        if (cell->old < 0) {
            p = SLUICE_LAKE_DBZ_PUT(p, "null");
        }
        else {
            p = put_value(enc, cell, &enc->old[cell->old], row, p);
        }
    }
    return put_close(enc, p);
}

/* ---------------------------------------------------------------- rows ----------------------- */

static struct sluice_bytes field_bytes(const struct sluice_view *view, int64_t row)
{
    struct sluice_bytes none = {NULL, 0};
    return sluice_view_is_null(view, row) ? none : sluice_view_bytes(view, row);
}

static struct sluice_lake_dbz_stamp row_stamp(const struct sluice_lake_dbz *enc, int64_t row)
{
    const struct sluice_view *f = enc->fields;
    struct sluice_lake_dbz_stamp stamp = {.position = field_bytes(&f[FIELD_POSITION], row),
                                          .tx = field_bytes(&f[FIELD_TX], row),
                                          .seq = sluice_view_i64(&f[FIELD_SEQ], row)};
    if (!sluice_view_is_null(&f[FIELD_TIME], row)) {
        stamp.timed = 1;
        stamp.time_us = sluice_view_i64(&f[FIELD_TIME], row);
    }
    return stamp;
}

static int32_t same_value(const struct sluice_view *a, int64_t row, const struct sluice_view *b)
{
    int32_t null = sluice_view_is_null(a, row);
    if (null != sluice_view_is_null(b, row)) {
        return 0;
    }
    if (null || a->type.id == SLUICE_TYPE_LIST || a->type.id == SLUICE_TYPE_STRUCT) {
        return 1;
    }
    if (a->type.id == SLUICE_TYPE_BOOL) {
        return sluice_view_bool(a, row) == sluice_view_bool(b, row);
    }
    if (a->type.width > 0) {
        return memcmp(sluice_view_fixed(a, row), sluice_view_fixed(b, row),
                      (size_t)a->type.width) == 0;
    }
    struct sluice_bytes x = sluice_lake_cell_bytes(a, row);
    struct sluice_bytes y = sluice_lake_cell_bytes(b, row);
    return x.size == y.size && (x.size == 0 || memcmp(x.data, y.data, x.size) == 0);
}

/* An update that moves the row to another key. */
static int32_t key_changed(const struct sluice_lake_dbz *enc, int64_t row)
{
    if (enc->old_count == 0 || sluice_view_is_null(&enc->fields[FIELD_BEFORE], row)) {
        return 0;
    }
    for (uint32_t k = 0; k < enc->desc->key_count; k++) {
        uint32_t column = enc->desc->keys[k];
        const struct sluice_view *old = &enc->old[enc->cells[column].old];
        if (!same_value(old, row, &enc->columns[column])) {
            return 1;
        }
    }
    return 0;
}

static uint8_t *put_event(struct sluice_lake_dbz *enc, int64_t row, int32_t old, int32_t new,
                          const struct sluice_lake_dbz_stamp *stamp, char op, uint8_t *p)
{
    struct sluice_bytes unchanged = {NULL, 0};
    p = sluice_lake_out_room(enc->out, p, 32);
    p = SLUICE_LAKE_DBZ_PUT(p, "{\"before\":");
    p = old ? put_old(enc, row, p) : SLUICE_LAKE_DBZ_PUT(p, "null");
    p = sluice_lake_out_room(enc->out, p, 32);
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"after\":");
    if (new && enc->kind == SLUICE_BATCH_CHANGES) {
        unchanged = field_bytes(&enc->fields[FIELD_UNCHANGED], row);
    }
    p = new ? put_new(enc, row, unchanged, p) : SLUICE_LAKE_DBZ_PUT(p, "null");
    return sluice_lake_dbz_envelope_end(enc, stamp, op, p);
}

/* One change; *events counts what it made. */
static uint8_t *put_change(struct sluice_lake_dbz *enc, int64_t row, int64_t *events, uint8_t *p)
{
    struct sluice_lake_dbz_stamp stamp = row_stamp(enc, row);
    int8_t op = sluice_view_i8(&enc->fields[FIELD_OP], row);
    if (enc->kind == SLUICE_BATCH_TRUNCATE) {
        ++*events;
        return put_event(enc, row, 0, 0, &stamp, 't', p);
    }
    int32_t has_old = enc->old_count > 0 && !sluice_view_is_null(&enc->fields[FIELD_BEFORE], row);
    int32_t has_new = !sluice_view_is_null(&enc->fields[FIELD_AFTER], row);
    ++*events;
    switch (op) {
    case 'I':
        return put_event(enc, row, 0, has_new, &stamp, 'c', p);
    case 'R':
        stamp.load = 1;
        return put_event(enc, row, 0, has_new, &stamp, 'r', p);
    case 'D':
        return put_event(enc, row, has_old, 0, &stamp, 'd', p);
    case 'U':
        if (!key_changed(enc, row)) {
            return put_event(enc, row, has_old, has_new, &stamp, 'u', p);
        }
        ++*events;
        p = put_event(enc, row, 1, 0, &stamp, 'd', p);
        return put_event(enc, row, 0, has_new, &stamp, 'c', p);
    default:
        if (enc->out->status >= 0) {
            enc->out->status = sluice_error_set(enc->out->err, SLUICE_E_DATA, 0,
                                                "a change of unknown kind %d", op);
        }
        return p;
    }
}

static int64_t dbz_rows(void *encoder, int64_t from, int64_t to, struct sluice_lake_out *out)
{
    struct sluice_lake_dbz *enc = encoder;
    int64_t events = 0;
    uint8_t *p = out->p;
    enc->out = out;
    for (int64_t row = from; row < to && out->status >= 0; row++) {
        enc->row = row;
        if (enc->kind == SLUICE_BATCH_ROWS) {
            struct sluice_lake_dbz_stamp stamp = {
                .position = {enc->load_position.data, enc->load_position.size},
                .time_us = enc->load_time_us,
                .timed = 1,
                .load = 1};
            p = put_event(enc, row, 0, 1, &stamp, 'r', p);
            events++;
        }
        else {
            p = put_change(enc, row, &events, p);
        }
    }
    out->p = p;
    enc->out = NULL;
    for (int32_t i = 0; i < SLUICE_LAKE_DBZ_SCRATCHES; i++) {
        if (enc->scratch[i].cap > SLUICE_LAKE_KEEP_MAX) {
            free(enc->scratch[i].data);
            memset(&enc->scratch[i], 0, sizeof enc->scratch[i]);
        }
    }
    return events;
}

const struct sluice_lake_change_shape sluice_lake_change_debezium = {
    .create = dbz_create,
    .free = dbz_free,
    .load = dbz_load,
    .begin = dbz_begin,
    .bind = dbz_bind,
    .rows = dbz_rows,
};
