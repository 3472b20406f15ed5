/* Making encoders and the two row loops. The cells are in json.c and csv.c. */
#include "lake/encoder.h"

#include <stdlib.h>

#include "lake/escape.h"

static sluice_status no_memory(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for an encoder");
}

void sluice_lake_cell_clear(struct sluice_lake_cell *cell)
{
    for (uint32_t i = 0; i < cell->child_count; i++) {
        sluice_lake_cell_clear(&cell->children[i]); /* depth is bounded when it is made */
    }
    free(cell->children);
    free(cell->child_views);
    sluice_lake_class_free(cell->cls);
    free(cell->key);
    memset(cell, 0, sizeof *cell);
}

static sluice_status side_write(void *ctx, const uint8_t *data, size_t size,
                                struct sluice_error *err)
{
    struct sluice_lake_encoder *enc = ctx;
    if (size > enc->side_cap - enc->side_size) {
        uint64_t cap =
            enc->side_cap * 2 > enc->side_size + size ? enc->side_cap * 2 : enc->side_size + size;
        uint8_t *grown = realloc(enc->side_data, cap);
        if (grown == NULL) {
            return no_memory(err);
        }
        enc->side_data = grown;
        enc->side_cap = cap;
    }
    memcpy(enc->side_data + enc->side_size, data, size);
    enc->side_size += size;
    return SLUICE_OK;
}

static sluice_status make_header(struct sluice_lake_encoder *enc, const struct ArrowSchema *schema,
                                 struct sluice_error *err)
{
    struct sluice_lake_out out;
    SLUICE_TRY(sluice_lake_out_init(&out, side_write, enc, err));
    out.err = err;
    uint8_t *p = out.base;
    for (int64_t i = 0; i < schema->n_children; i++) {
        const char *name = schema->children[i]->name;
        size_t n = strlen(name);
        p = sluice_lake_out_room(&out, p, 1);
        if (i > 0) {
            *p++ = ',';
        }
        /* As COPY does it: an empty name or, alone on its line, \. would be misread. */
        if (n == 0 || sluice_lake_csv_special((const uint8_t *)name, n) ||
            (schema->n_children == 1 && strcmp(name, "\\.") == 0)) {
            p = sluice_lake_csv_quoted(&out, p, (const uint8_t *)name, n);
        }
        else {
            p = sluice_lake_out_bytes(&out, p, name, n);
        }
    }
    p = sluice_lake_out_room(&out, p, 1);
    *p++ = '\n';
    sluice_lake_out_flush(&out, p);
    sluice_status st = out.status;
    sluice_lake_out_free(&out);
    if (st >= 0) {
        enc->header = enc->side_data;
        enc->header_size = (uint32_t)enc->side_size;
        enc->side_data = NULL;
        enc->side_size = 0;
        enc->side_cap = 0;
    }
    return st;
}

static sluice_status make_cells(struct sluice_lake_encoder *enc, const struct ArrowSchema *schema,
                                int32_t part, struct sluice_error *err)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        const struct ArrowSchema *field = schema->children[i];
        struct sluice_lake_cell *cell = &enc->cells[i];
        cell->view = &enc->views[i];
        enc->cell_count++;
        sluice_status st;
        if (enc->format == SLUICE_LAKE_JSONL) {
            st = sluice_lake_json_key(cell, field->name, i == 0 && !part ? '{' : ',', err);
            if (st >= 0) {
                st = sluice_lake_json_cell(enc, field, cell, 0, err);
            }
        }
        else {
            cell->key_size = i > 0 || part ? 1 : 0; /* the comma */
            st = sluice_lake_csv_cell(enc, field, cell, err);
        }
        if (st < 0) {
            return sluice_error_wrap(err, "column \"%.200s\"", field->name);
        }
        cell->bound += cell->key_size + 32;
    }
    return SLUICE_OK;
}

/* Lists and structs are rendered aside first: only encoders that have some get the chunk for it. */
static int32_t needs_side(const struct sluice_lake_encoder *enc)
{
    for (uint32_t i = 0; i < enc->cell_count; i++) {
        if (enc->cells[i].children != NULL) {
            return enc->format == SLUICE_LAKE_CSV;
        }
    }
    return 0;
}

static sluice_status create(const struct ArrowSchema *schema, int32_t format, int32_t binary,
                            int32_t part, struct sluice_lake_encoder **out,
                            struct sluice_error *err)
{
    uint64_t n = (uint64_t)schema->n_children;
    if (n > SLUICE_LAKE_COLUMNS_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "%llu columns are over %d",
                                (unsigned long long)n, SLUICE_LAKE_COLUMNS_MAX);
    }
    struct sluice_lake_encoder *enc = calloc(1, sizeof *enc);
    if (enc == NULL) {
        return no_memory(err);
    }
    sluice_status st = SLUICE_OK;
    enc->format = format;
    enc->binary = binary;
    enc->schema = schema;
    enc->cells = calloc(n + 1, sizeof *enc->cells);
    enc->views = calloc(n + 1, sizeof *enc->views);
    if (enc->cells == NULL || enc->views == NULL) {
        st = no_memory(err);
        goto out;
    }
    st = make_cells(enc, schema, part, err);
    if (st >= 0 && format == SLUICE_LAKE_CSV && !part) {
        st = make_header(enc, schema, err);
    }
    if (st >= 0 && needs_side(enc)) {
        st = sluice_lake_out_init(&enc->side, side_write, enc, err);
    }
    if (st >= 0) {
        *out = enc;
        enc = NULL;
    }
out:
    sluice_lake_encoder_free(enc);
    return st;
}

sluice_status sluice_lake_encoder_create(const struct ArrowSchema *schema, int32_t format,
                                         int32_t binary, struct sluice_lake_encoder **out,
                                         struct sluice_error *err)
{
    if (schema->n_children == 0 && format == SLUICE_LAKE_CSV) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "a table without columns cannot be written as CSV: use format "
                                "jsonl or exclude it");
    }
    return create(schema, format, binary, 0, out, err);
}

sluice_status sluice_lake_encoder_create_part(const struct ArrowSchema *schema, int32_t format,
                                              int32_t binary, struct sluice_lake_encoder **out,
                                              struct sluice_error *err)
{
    return create(schema, format, binary, 1, out, err);
}

void sluice_lake_encoder_free(struct sluice_lake_encoder *enc)
{
    if (enc == NULL) {
        return;
    }
    for (uint32_t i = 0; i < enc->cell_count; i++) {
        sluice_lake_cell_clear(&enc->cells[i]);
    }
    sluice_lake_scratch_free(&enc->scratch);
    sluice_lake_out_free(&enc->side);
    free(enc->side_data);
    free(enc->header);
    free(enc->cells);
    free(enc->views);
    free(enc);
}

void sluice_lake_encoder_begin(struct sluice_lake_encoder *enc, struct sluice_lake_out *out)
{
    out->p = sluice_lake_out_bytes(out, out->p, enc->header, enc->header_size);
}

static sluice_status bind_children(const struct sluice_lake_cell *cell, struct sluice_error *err)
{
    const struct sluice_view *v = cell->view;
    if (cell->child_count == 0) {
        return SLUICE_OK;
    }
    if (v->type.id == SLUICE_TYPE_STRUCT) {
        SLUICE_TRY(sluice_view_children(v, cell->child_views, err));
    }
    else {
        SLUICE_TRY(sluice_view_init(v->schema->children[0], v->array->children[0],
                                    cell->child_views, err));
    }
    for (uint32_t i = 0; i < cell->child_count; i++) {
        SLUICE_TRY(bind_children(&cell->children[i], err));
    }
    return SLUICE_OK;
}

sluice_status sluice_lake_encoder_bind(struct sluice_lake_encoder *enc,
                                       const struct ArrowArray *array, struct sluice_error *err)
{
    SLUICE_TRY(sluice_views_init(enc->schema, array, enc->views, err));
    for (uint32_t i = 0; i < enc->cell_count; i++) {
        SLUICE_TRY(bind_children(&enc->cells[i], err));
    }
    return SLUICE_OK;
}

sluice_status sluice_lake_encoder_bind_struct(struct sluice_lake_encoder *enc,
                                              const struct sluice_view *view,
                                              struct sluice_error *err)
{
    SLUICE_TRY(sluice_view_children(view, enc->views, err));
    for (uint32_t i = 0; i < enc->cell_count; i++) {
        SLUICE_TRY(bind_children(&enc->cells[i], err));
    }
    return SLUICE_OK;
}

static uint8_t *json_row(struct sluice_lake_encoder *enc, int64_t row, uint8_t *p)
{
    const struct sluice_lake_cell *cell = enc->cells;
    const struct sluice_lake_cell *end = cell + enc->cell_count;
    for (; cell < end; cell++) {
        p = sluice_lake_json_member(enc, cell, row, p);
    }
    p = sluice_lake_out_room(enc->out, p, 3);
    if (enc->cell_count == 0) {
        *p++ = '{';
    }
    *p++ = '}';
    *p++ = '\n';
    return p;
}

static uint8_t *csv_row(struct sluice_lake_encoder *enc, int64_t row, uint8_t *p)
{
    const struct sluice_lake_cell *cell = enc->cells;
    const struct sluice_lake_cell *end = cell + enc->cell_count;
    for (; cell < end; cell++) {
        p = sluice_lake_csv_field(enc, cell, row, p);
    }
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '\n';
    return p;
}

void sluice_lake_encoder_trim(struct sluice_lake_encoder *enc)
{
    enc->out = NULL;
    if (enc->scratch.cap > SLUICE_LAKE_KEEP_MAX) {
        sluice_lake_scratch_free(&enc->scratch);
    }
    if (enc->side_cap > SLUICE_LAKE_KEEP_MAX) {
        free(enc->side_data);
        enc->side_data = NULL;
        enc->side_cap = 0;
    }
}

void sluice_lake_encoder_rows(struct sluice_lake_encoder *enc, int64_t from, int64_t to,
                              struct sluice_lake_out *out)
{
    uint8_t *p = out->p;
    enc->out = out;
    if (enc->format == SLUICE_LAKE_JSONL) {
        for (int64_t row = from; row < to && out->status >= 0; row++) {
            p = json_row(enc, row, p);
        }
    }
    else {
        for (int64_t row = from; row < to && out->status >= 0; row++) {
            p = csv_row(enc, row, p);
        }
    }
    out->p = p;
    sluice_lake_encoder_trim(enc);
}
