/*
 * Shape `columns`: the row with _op, _pos, _seq, _commit_ts, _tx, _unchanged in front of its columns.
 *
 * The columns of `after` and of `before` have an encoder each (a part: every column begins with a
 * comma); the metadata is written by hand. An update that moves a row (its key changes, or the stream
 * has no key and sends full old rows) becomes two rows: D of the old, I of the new.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lake/change.h"
#include "lake/digits.h"
#include "lake/escape.h"
#include "lake/times.h"
#include "sluice/position.h"

enum { META_OP, META_POS, META_SEQ, META_TS, META_TX, META_UNCHANGED, META_COUNT };
/* Children of the envelope. */
enum { E_OP, E_POS, E_SEQ, E_TS, E_TX, E_BEFORE, E_AFTER, E_UNCHANGED, E_COUNT, E_TRUNCATE = 5 };

enum {
    TX_SHORT = 64,                 /* up to here a transaction id is copied as it is looked at */
    META_BOUND = 6 * 96 + 6 * 16 + /* keys, whole blocks */
                 2 * SLUICE_LAKE_POSITION_MAX + SLUICE_LAKE_TIMESTAMP_MAX + TX_SHORT + 64
};

static const char *const meta_names[META_COUNT] = {"op",        "pos", "seq",
                                                   "commit_ts", "tx",  "unchanged"};

/* A name as it stands in the array of unchanged columns. */
struct name {
    uint8_t *data;
    size_t size;
};

struct columns {
    const struct sluice_stream_desc *desc; /* borrowed */
    int32_t format;
    int32_t kind; /* of the batch that is bound */
    struct ArrowSchema envelope;
    struct ArrowSchema truncate; /* its first five columns, borrowed from it */
    struct sluice_view views[E_COUNT];
    struct sluice_view root;         /* ROWS */
    struct sluice_lake_cell meta[6]; /* the keys alone */
    struct sluice_lake_encoder *row; /* columns of `after` */
    struct sluice_lake_encoder *old; /* columns of `before` */
    uint32_t *old_of;                /* for each column its place in `old`, or UINT32_MAX */
    struct name *names;
    uint8_t *header; /* CSV */
    size_t header_size;
    char load_pos[2 * SLUICE_LAKE_POSITION_MAX + 1]; /* "" = none */
    int64_t load_us;
    /* Rows of one transaction stand together: their texts are made once. */
    int64_t last_us;
    uint64_t last_pos;
    int32_t has_last_us;
    int32_t has_last_pos;
    uint8_t last_ts[SLUICE_LAKE_TIMESTAMP_MAX];
    uint32_t last_ts_size;
    char last_pos_text[17];
};

static sluice_status no_memory(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for an encoder");
}

static void columns_free(void *enc)
{
    struct columns *c = enc;
    if (c == NULL) {
        return;
    }
    for (uint32_t i = 0; i < META_COUNT; i++) {
        free(c->meta[i].key);
    }
    if (c->names != NULL) {
        for (int64_t i = 0; i < c->desc->schema->n_children; i++) {
            free(c->names[i].data);
        }
    }
    sluice_lake_encoder_free(c->row);
    sluice_lake_encoder_free(c->old);
    if (c->envelope.release != NULL) {
        c->envelope.release(&c->envelope);
    }
    free(c->names);
    free(c->old_of);
    free(c->header);
    free(c);
}

/* ---------------------------------------------------------------- making one ----------------- */

static sluice_status make_meta(struct columns *c, const char *prefix, struct sluice_error *err)
{
    const struct ArrowSchema *schema = c->desc->schema;
    for (uint32_t i = 0; i < META_COUNT; i++) {
        char name[SLUICE_LAKE_PREFIX_MAX + 16];
        (void)snprintf(name, sizeof name, "%s%s", prefix, meta_names[i]);
        for (int64_t k = 0; k < schema->n_children; k++) {
            if (strcmp(schema->children[k]->name, name) == 0) {
                return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                        "column \"%s\" has the name that change files give to "
                                        "their own column: set metadata_prefix to something else "
                                        "than \"%s\"",
                                        name, prefix);
            }
        }
        SLUICE_TRY(sluice_lake_json_key(&c->meta[i], name, i == 0 ? '{' : ',', err));
    }
    return SLUICE_OK;
}

/* "name" in JSON; in CSV as it stands inside a quoted field. */
static sluice_status make_names(struct columns *c, struct sluice_error *err)
{
    const struct ArrowSchema *schema = c->desc->schema;
    c->names = calloc((size_t)schema->n_children + 1, sizeof *c->names);
    if (c->names == NULL) {
        return no_memory(err);
    }
    for (int64_t i = 0; i < schema->n_children; i++) {
        const char *text = schema->children[i]->name;
        size_t n = strlen(text); /* the encoder has looked at the limit */
        uint8_t *json = malloc(6 * n + SLUICE_LAKE_SLACK);
        uint8_t *data = malloc(12 * n + SLUICE_LAKE_SLACK);
        if (json == NULL || data == NULL) {
            free(json);
            free(data);
            return no_memory(err);
        }
        uint8_t *end = json;
        *end++ = '"';
        end = sluice_lake_json_escape(end, (const uint8_t *)text, n);
        *end++ = '"';
        uint8_t *p = data;
        for (const uint8_t *s = json; s < end; s++) {
            *p++ = *s;
            if (*s == '"' && c->format == SLUICE_LAKE_CSV) {
                *p++ = '"';
            }
        }
        free(json);
        c->names[i].data = data;
        c->names[i].size = (size_t)(p - data);
    }
    return SLUICE_OK;
}

static sluice_status make_encoders(struct columns *c, int32_t binary, struct sluice_error *err)
{
    const struct sluice_stream_desc *desc = c->desc;
    const struct ArrowSchema *old = c->envelope.children[E_BEFORE];
    uint64_t n = (uint64_t)desc->schema->n_children;
    SLUICE_TRY(sluice_lake_encoder_create_part(c->envelope.children[E_AFTER], c->format, binary,
                                               &c->row, err));
    SLUICE_TRY(sluice_lake_encoder_create_part(old, c->format, binary, &c->old, err));
    c->old_of = malloc((n + 1) * sizeof *c->old_of);
    if (c->old_of == NULL) {
        return no_memory(err);
    }
    for (uint64_t i = 0; i < n; i++) {
        c->old_of[i] = desc->before == SLUICE_BEFORE_FULL ? (uint32_t)i : UINT32_MAX;
    }
    if (desc->before == SLUICE_BEFORE_KEY) {
        for (uint32_t k = 0; k < desc->key_count; k++) {
            c->old_of[desc->keys[k]] = k; /* the envelope has checked the index */
        }
    }
    return SLUICE_OK;
}

static sluice_status header_write(void *ctx, const uint8_t *data, size_t size,
                                  struct sluice_error *err)
{
    struct columns *c = ctx;
    uint8_t *grown = realloc(c->header, c->header_size + size);
    if (grown == NULL) {
        return no_memory(err);
    }
    memcpy(grown + c->header_size, data, size);
    c->header = grown;
    c->header_size += size;
    return SLUICE_OK;
}

static uint8_t *header_name(struct sluice_lake_out *out, uint8_t *p, const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || sluice_lake_csv_special((const uint8_t *)name, n)) {
        return sluice_lake_csv_quoted(out, p, (const uint8_t *)name, n);
    }
    return sluice_lake_out_bytes(out, p, name, n);
}

static sluice_status make_header(struct columns *c, const char *prefix, struct sluice_error *err)
{
    struct sluice_lake_out out;
    SLUICE_TRY(sluice_lake_out_init(&out, header_write, c, err));
    out.err = err;
    uint8_t *p = out.base;
    for (uint32_t i = 0; i < META_COUNT; i++) {
        char name[SLUICE_LAKE_PREFIX_MAX + 16];
        (void)snprintf(name, sizeof name, "%s%s", prefix, meta_names[i]);
        p = sluice_lake_out_bytes(&out, p, ",", i > 0 ? 1 : 0);
        p = header_name(&out, p, name);
    }
    for (int64_t i = 0; i < c->desc->schema->n_children; i++) {
        p = sluice_lake_out_bytes(&out, p, ",", 1);
        p = header_name(&out, p, c->desc->schema->children[i]->name);
    }
    p = sluice_lake_out_bytes(&out, p, "\n", 1);
    sluice_lake_out_flush(&out, p);
    sluice_status st = out.status;
    sluice_lake_out_free(&out);
    return st;
}

/* What needs no escape in JSON, so that the room for keys is known. */
static sluice_status check_prefix(const char *prefix, struct sluice_error *err)
{
    if (strlen(prefix) > SLUICE_LAKE_PREFIX_MAX) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "metadata_prefix has over %d bytes",
                                SLUICE_LAKE_PREFIX_MAX);
    }
    for (const char *s = prefix; *s != 0; s++) {
        if ((unsigned char)*s < 0x20 || *s == '"' || *s == '\\') {
            return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                    "metadata_prefix must not hold quotes, backslashes or control "
                                    "characters");
        }
    }
    return SLUICE_OK;
}

static sluice_status columns_create(const struct sluice_stream_desc *desc,
                                    const struct sluice_lake_change_options *options, void **out,
                                    struct sluice_error *err)
{
    const char *prefix = options->metadata_prefix != NULL ? options->metadata_prefix : "_";
    SLUICE_TRY(check_prefix(prefix, err));
    struct columns *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return no_memory(err);
    }
    c->desc = desc;
    c->format = options->format;
    sluice_status st = make_meta(c, prefix, err);
    if (st >= 0) {
        st = sluice_schema_envelope(desc, &c->envelope, err);
    }
    if (st >= 0) {
        c->truncate = c->envelope;
        c->truncate.n_children = E_TRUNCATE;
        c->truncate.release = NULL;
        st = make_encoders(c, options->binary, err);
    }
    if (st >= 0) {
        st = make_names(c, err);
    }
    if (st >= 0 && c->format == SLUICE_LAKE_CSV) {
        st = make_header(c, prefix, err);
    }
    if (st < 0) {
        columns_free(c);
        return st;
    }
    *out = c;
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- binding -------------------- */

static void columns_load(void *enc, struct sluice_bytes position, int64_t time_us)
{
    struct columns *c = enc;
    c->load_us = time_us;
    c->load_pos[0] = 0;
    if (position.size <= SLUICE_LAKE_POSITION_MAX) {
        sluice_hex_encode(position.data, position.size, c->load_pos);
    }
}

static void columns_begin(void *enc, struct sluice_lake_out *out)
{
    const struct columns *c = enc;
    if (c->header_size > 0) {
        out->p = sluice_lake_out_bytes(out, out->p, c->header, c->header_size);
    }
}

static sluice_status columns_bind(void *enc, const struct sluice_batch *batch,
                                  struct sluice_error *err)
{
    struct columns *c = enc;
    c->kind = batch->kind;
    switch (batch->kind) {
    case SLUICE_BATCH_ROWS:
        SLUICE_TRY(sluice_view_init(c->envelope.children[E_AFTER], &batch->array, &c->root, err));
        return sluice_lake_encoder_bind_struct(c->row, &c->root, err);
    case SLUICE_BATCH_TRUNCATE:
        return sluice_views_init(&c->truncate, &batch->array, c->views, err);
    case SLUICE_BATCH_CHANGES:
        SLUICE_TRY(sluice_views_init(&c->envelope, &batch->array, c->views, err));
        SLUICE_TRY(sluice_lake_encoder_bind_struct(c->row, &c->views[E_AFTER], err));
        return sluice_lake_encoder_bind_struct(c->old, &c->views[E_BEFORE], err);
    default:
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0, "a batch of kind %d holds no rows",
                                batch->kind);
    }
}

/* ---------------------------------------------------------------- rows ----------------------- */

static int32_t bit_of(struct sluice_bytes bits, uint32_t i)
{
    return i / 8 < bits.size && ((((const uint8_t *)bits.data)[i / 8] >> (i % 8)) & 1);
}

/* Size 0 = all columns were sent. */
static struct sluice_bytes unchanged_of(const struct columns *c, int64_t row)
{
    static const struct sluice_bytes none = {NULL, 0};
    const struct sluice_view *v = &c->views[E_UNCHANGED];
    return sluice_view_is_null(v, row) ? none : sluice_view_bytes(v, row);
}

static uint8_t *put_pos(struct columns *c, struct sluice_lake_out *out, int64_t row, uint8_t *p)
{
    struct sluice_bytes pos = sluice_view_bytes(&c->views[E_POS], row);
    if (pos.size == sizeof c->last_pos) {
        uint64_t value;
        memcpy(&value, pos.data, sizeof value);
        if (!c->has_last_pos || value != c->last_pos) {
            sluice_hex_encode(pos.data, pos.size, c->last_pos_text);
            c->last_pos = value;
            c->has_last_pos = 1;
        }
        memcpy(p, c->last_pos_text, 16);
        return p + 16;
    }
    if (pos.size > SLUICE_LAKE_POSITION_MAX) {
        sluice_lake_out_fail(
            out, sluice_error_set(out->err, SLUICE_E_DATA, 0, "a position of %llu bytes is over %d",
                                  (unsigned long long)pos.size, SLUICE_LAKE_POSITION_MAX));
        return p;
    }
    sluice_hex_encode(pos.data, pos.size, (char *)p);
    return p + 2 * pos.size;
}

static uint8_t *put_ts(struct columns *c, int64_t us, uint8_t *p)
{
    if (!c->has_last_us || us != c->last_us) {
        c->last_ts_size = (uint32_t)(sluice_lake_put_utc(c->last_ts, us) - c->last_ts);
        c->last_us = us;
        c->has_last_us = 1;
    }
    memcpy(p, c->last_ts, sizeof c->last_ts);
    return p + c->last_ts_size;
}

static uint8_t *put_null(uint8_t *p)
{
    memcpy(p, "null", 4);
    return p + 4;
}

static uint8_t *put_quoted(uint8_t *p, const char *text)
{
    size_t n = strlen(text);
    *p++ = '"';
    memcpy(p, text, n);
    p[n] = '"';
    return p + n + 1;
}

/* The names of columns that were not sent, without brackets. */
static uint8_t *put_names(const struct columns *c, struct sluice_lake_out *out, uint8_t *p,
                          struct sluice_bytes unchanged)
{
    int32_t any = 0;
    for (uint32_t i = 0; i < c->row->cell_count; i++) {
        if (bit_of(unchanged, i)) {
            p = sluice_lake_out_bytes(out, p, ",", any ? 1 : 0);
            p = sluice_lake_out_bytes(out, p, c->names[i].data, c->names[i].size);
            any = 1;
        }
    }
    return p;
}

static uint8_t *put_json_tx(const struct columns *c, struct sluice_lake_out *out, int64_t row,
                            uint8_t *p)
{
    const struct sluice_view *v = &c->views[E_TX];
    if (c->kind == SLUICE_BATCH_ROWS || sluice_view_is_null(v, row)) {
        return put_null(p);
    }
    struct sluice_bytes tx = sluice_view_bytes(v, row);
    *p++ = '"';
    if (tx.size <= TX_SHORT && sluice_lake_json_copy_clean(p, tx.data, tx.size)) {
        p += tx.size;
    }
    else {
        p = sluice_lake_json_text(out, p, tx.data, tx.size);
    }
    p = sluice_lake_out_room(out, p, META_BOUND);
    *p++ = '"';
    return p;
}

static uint8_t *put_json_meta(struct columns *c, struct sluice_lake_out *out, char op, int64_t row,
                              struct sluice_bytes unchanged, uint8_t *p)
{
    const int32_t load = c->kind == SLUICE_BATCH_ROWS;
    p = sluice_lake_out_room(out, p, META_BOUND);
    p = sluice_lake_put_key(p, &c->meta[META_OP]);
    *p++ = '"';
    *p++ = (uint8_t)op;
    *p++ = '"';
    p = sluice_lake_put_key(p, &c->meta[META_POS]);
    if (load) {
        p = c->load_pos[0] != 0 ? put_quoted(p, c->load_pos) : put_null(p);
    }
    else {
        *p++ = '"';
        p = put_pos(c, out, row, p);
        *p++ = '"';
    }
    p = sluice_lake_put_key(p, &c->meta[META_SEQ]);
    p = sluice_lake_put_i64(p, load ? 0 : sluice_view_i64(&c->views[E_SEQ], row));
    p = sluice_lake_put_key(p, &c->meta[META_TS]);
    if (!load && sluice_view_is_null(&c->views[E_TS], row)) {
        p = put_null(p);
    }
    else {
        *p++ = '"';
        p = put_ts(c, load ? c->load_us : sluice_view_i64(&c->views[E_TS], row), p);
        *p++ = '"';
    }
    p = sluice_lake_put_key(p, &c->meta[META_TX]);
    p = put_json_tx(c, out, row, p);
    p = sluice_lake_put_key(p, &c->meta[META_UNCHANGED]);
    *p++ = '[';
    if (unchanged.size > 0) {
        p = put_names(c, out, p, unchanged);
        p = sluice_lake_out_room(out, p, 1);
    }
    *p++ = ']';
    return p;
}

static uint8_t *put_csv_meta(struct columns *c, struct sluice_lake_out *out, char op, int64_t row,
                             struct sluice_bytes unchanged, uint8_t *p)
{
    const int32_t load = c->kind == SLUICE_BATCH_ROWS;
    p = sluice_lake_out_room(out, p, META_BOUND);
    *p++ = (uint8_t)op;
    *p++ = ',';
    if (load) {
        size_t n = strlen(c->load_pos);
        memcpy(p, c->load_pos, n);
        p += n;
    }
    else {
        p = put_pos(c, out, row, p);
    }
    *p++ = ',';
    p = sluice_lake_put_i64(p, load ? 0 : sluice_view_i64(&c->views[E_SEQ], row));
    *p++ = ',';
    if (load || !sluice_view_is_null(&c->views[E_TS], row)) {
        p = put_ts(c, load ? c->load_us : sluice_view_i64(&c->views[E_TS], row), p);
    }
    *p++ = ',';
    if (!load && !sluice_view_is_null(&c->views[E_TX], row)) {
        struct sluice_bytes tx = sluice_view_bytes(&c->views[E_TX], row);
        p = tx.size == 0 || sluice_lake_csv_special(tx.data, tx.size)
                ? sluice_lake_csv_quoted(out, p, tx.data, tx.size)
                : sluice_lake_out_bytes(out, p, tx.data, tx.size);
        p = sluice_lake_out_room(out, p, 8);
    }
    *p++ = ',';
    if (unchanged.size > 0) {
        memcpy(p, "\"[", 2);
        p = put_names(c, out, p + 2, unchanged);
        p = sluice_lake_out_room(out, p, 8);
        memcpy(p, "]\"", 2);
        p += 2;
    }
    return p;
}

static uint8_t *put_meta(struct columns *c, struct sluice_lake_out *out, char op, int64_t row,
                         struct sluice_bytes unchanged, uint8_t *p)
{
    return c->format == SLUICE_LAKE_JSONL ? put_json_meta(c, out, op, row, unchanged, p)
                                          : put_csv_meta(c, out, op, row, unchanged, p);
}

static uint8_t *put_end(const struct columns *c, struct sluice_lake_out *out, uint8_t *p)
{
    p = sluice_lake_out_room(out, p, 2);
    if (c->format == SLUICE_LAKE_JSONL) {
        *p++ = '}';
    }
    *p++ = '\n';
    return p;
}

/* All columns of a row, except those that were not sent. */
static uint8_t *put_columns(const struct columns *c, int64_t row, struct sluice_bytes unchanged,
                            uint8_t *p)
{
    struct sluice_lake_encoder *enc = c->row;
    const int32_t json = c->format == SLUICE_LAKE_JSONL;
    for (uint32_t i = 0; i < enc->cell_count; i++) {
        if (unchanged.size > 0 && bit_of(unchanged, i)) {
            if (!json) {
                p = sluice_lake_out_room(enc->out, p, 1);
                *p++ = ',';
            }
        }
        else if (json) {
            p = sluice_lake_json_member(enc, &enc->cells[i], row, p);
        }
        else {
            p = sluice_lake_csv_field(enc, &enc->cells[i], row, p);
        }
    }
    return p;
}

/* What `before` has: the key, or the whole old row. */
static uint8_t *put_old(const struct columns *c, int64_t row, uint8_t *p)
{
    struct sluice_lake_encoder *enc = c->old;
    if (c->format == SLUICE_LAKE_JSONL) {
        for (uint32_t i = 0; i < enc->cell_count; i++) {
            p = sluice_lake_json_member(enc, &enc->cells[i], row, p);
        }
        return p;
    }
    for (uint32_t i = 0; i < c->row->cell_count; i++) {
        if (c->old_of[i] != UINT32_MAX) {
            p = sluice_lake_csv_field(enc, &enc->cells[c->old_of[i]], row, p);
        }
        else {
            p = sluice_lake_out_room(enc->out, p, 1);
            *p++ = ',';
        }
    }
    return p;
}

static uint8_t *put_no_columns(const struct columns *c, struct sluice_lake_out *out, uint8_t *p)
{
    for (uint32_t i = 0; i < c->row->cell_count && c->format == SLUICE_LAKE_CSV; i++) {
        p = sluice_lake_out_room(out, p, 1);
        *p++ = ',';
    }
    return p;
}

/* Same bytes? Nested values are never keys of a table: taken as different, which is always right. */
static int32_t same_value(const struct sluice_view *a, const struct sluice_view *b, int64_t row)
{
    const int32_t null = sluice_view_is_null(a, row);
    if (null != sluice_view_is_null(b, row)) {
        return 0;
    }
    if (null) {
        return 1;
    }
    if (a->type.id == SLUICE_TYPE_BOOL) {
        return sluice_view_bool(a, row) == sluice_view_bool(b, row);
    }
    if (a->type.id == SLUICE_TYPE_LIST || a->type.id == SLUICE_TYPE_STRUCT) {
        return 0;
    }
    if (a->offsets != NULL || a->large_offsets != NULL) {
        struct sluice_bytes x = sluice_lake_cell_bytes(a, row);
        struct sluice_bytes y = sluice_lake_cell_bytes(b, row);
        return x.size == y.size && (x.size == 0 || memcmp(x.data, y.data, x.size) == 0);
    }
    return memcmp(sluice_view_fixed(a, row), sluice_view_fixed(b, row), (size_t)a->type.width) == 0;
}

/* Does this update take a row away and put another in its place? */
static int32_t moves_row(const struct columns *c, int64_t row, struct sluice_bytes unchanged)
{
    const struct sluice_stream_desc *desc = c->desc;
    if (desc->before == SLUICE_BEFORE_NONE || sluice_view_is_null(&c->views[E_BEFORE], row)) {
        return 0;
    }
    if (desc->key_count == 0) {
        return desc->before == SLUICE_BEFORE_FULL;
    }
    for (uint32_t k = 0; k < desc->key_count; k++) {
        const uint32_t i = desc->keys[k];
        const struct sluice_view *old = &c->old->views[desc->before == SLUICE_BEFORE_FULL ? i : k];
        if (!bit_of(unchanged, i) && !same_value(old, &c->row->views[i], row)) {
            return 1;
        }
    }
    return 0;
}

static uint8_t *put_new(struct columns *c, struct sluice_lake_out *out, char op, int64_t row,
                        struct sluice_bytes unchanged, uint8_t *p)
{
    p = put_meta(c, out, op, row, unchanged, p);
    p = put_columns(c, row, unchanged, p);
    return put_end(c, out, p);
}

static uint8_t *put_gone(struct columns *c, struct sluice_lake_out *out, int64_t row, uint8_t *p)
{
    static const struct sluice_bytes none = {NULL, 0};
    p = put_meta(c, out, 'D', row, none, p);
    p = sluice_view_is_null(&c->views[E_BEFORE], row) ? put_no_columns(c, out, p)
                                                      : put_old(c, row, p);
    return put_end(c, out, p);
}

static uint8_t *put_change(struct columns *c, struct sluice_lake_out *out, int64_t row, uint8_t *p,
                           int64_t *made)
{
    const int32_t op = sluice_view_i8(&c->views[E_OP], row);
    struct sluice_bytes unchanged = unchanged_of(c, row);
    switch (op) {
    case 'D':
        return put_gone(c, out, row, p);
    case 'U':
        if (moves_row(c, row, unchanged)) {
            (*made)++;
            p = put_gone(c, out, row, p);
            return put_new(c, out, 'I', row, unchanged, p);
        }
        return put_new(c, out, 'U', row, unchanged, p);
    case 'I':
    case 'R':
        return put_new(c, out, (char)op, row, unchanged, p);
    default:
        sluice_lake_out_fail(out, sluice_error_set(out->err, SLUICE_E_DATA, 0,
                                                   "row %lld of a batch has the unknown op %d",
                                                   (long long)row, op));
        return p;
    }
}

static int64_t columns_rows(void *enc, int64_t from, int64_t to, struct sluice_lake_out *out)
{
    static const struct sluice_bytes none = {NULL, 0};
    struct columns *c = enc;
    uint8_t *p = out->p;
    int64_t made = 0;
    c->row->out = out;
    c->old->out = out;
    for (int64_t row = from; row < to && out->status >= 0; row++) {
        made++;
        if (c->kind == SLUICE_BATCH_CHANGES) {
            p = put_change(c, out, row, p, &made);
        }
        else if (c->kind == SLUICE_BATCH_TRUNCATE) {
            p = put_meta(c, out, 'T', row, none, p);
            p = put_end(c, out, put_no_columns(c, out, p));
        }
        else {
            p = put_new(c, out, 'R', row, none, p);
        }
    }
    out->p = p;
    sluice_lake_encoder_trim(c->row);
    sluice_lake_encoder_trim(c->old);
    return made;
}

const struct sluice_lake_change_shape sluice_lake_change_columns = {
    .create = columns_create,
    .free = columns_free,
    .load = columns_load,
    .begin = columns_begin,
    .bind = columns_bind,
    .rows = columns_rows,
};
