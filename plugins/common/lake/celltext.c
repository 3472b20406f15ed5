#include "lake/celltext.h"

#include <stdlib.h>
#include <string.h>

#include "lake/encoder.h"
#include "lake/escape.h"

struct buffer {
    uint8_t *data;
    size_t size;
    size_t cap;
};

struct sluice_lake_celltext {
    struct sluice_lake_encoder *enc;
    struct sluice_lake_out out;
    struct buffer raw;   /* output texts: the cell as CSV has it */
    struct buffer row;   /* the cells, one behind the other */
    struct buffer *into; /* what `out` writes to */
    size_t *ends;        /* of the cells in `row` */
    struct sluice_bytes *cells;
};

static sluice_status no_memory(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a row");
}

static uint8_t *room(struct buffer *b, size_t more)
{
    if (b->cap - b->size < more) {
        const size_t cap = (b->size + more) * 2;
        uint8_t *grown = realloc(b->data, cap);
        if (grown == NULL) {
            return NULL;
        }
        b->data = grown;
        b->cap = cap;
    }
    return b->data + b->size;
}

static sluice_status write_piece(void *ctx, const uint8_t *data, size_t size,
                                 struct sluice_error *err)
{
    struct sluice_lake_celltext *t = ctx;
    uint8_t *to = room(t->into, size);
    if (to == NULL) {
        return no_memory(err);
    }
    memcpy(to, data, size);
    t->into->size += size;
    return SLUICE_OK;
}

void sluice_lake_celltext_free(struct sluice_lake_celltext *t)
{
    if (t != NULL) {
        sluice_lake_encoder_free(t->enc);
        sluice_lake_out_free(&t->out);
        free(t->raw.data);
        free(t->row.data);
        free(t->ends);
        free(t->cells);
        free(t);
    }
}

sluice_status sluice_lake_celltext_create(const struct ArrowSchema *schema, int32_t texts,
                                          struct sluice_lake_celltext **out,
                                          struct sluice_error *err)
{
    const size_t n = (size_t)schema->n_children;
    struct sluice_lake_celltext *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return no_memory(err);
    }
    t->ends = calloc(n + 1, sizeof *t->ends);
    t->cells = calloc(n + 1, sizeof *t->cells);
    sluice_status status = t->ends != NULL && t->cells != NULL ? SLUICE_OK : no_memory(err);
    if (status >= 0) {
        /* As a part: a table without columns is one too. */
        status = sluice_lake_encoder_create_part(
            schema, texts ? SLUICE_LAKE_CSV : SLUICE_LAKE_JSONL, SLUICE_LAKE_HEX, &t->enc, err);
    }
    if (status >= 0) {
        status = sluice_lake_out_init(&t->out, write_piece, t, err);
    }
    if (status < 0) {
        sluice_lake_celltext_free(t);
        return status;
    }
    *out = t;
    return SLUICE_OK;
}

sluice_status sluice_lake_celltext_bind(struct sluice_lake_celltext *t,
                                        const struct ArrowArray *array, struct sluice_error *err)
{
    return sluice_lake_encoder_bind(t->enc, array, err);
}

/* CSV's quotes off, JSON's on. */
static sluice_status add_string(struct sluice_lake_celltext *t, struct sluice_error *err)
{
    uint8_t *raw = t->raw.data;
    size_t n = t->raw.size;
    if (n > 1 && raw[0] == '"') {
        size_t to = 0;
        for (size_t i = 1; i + 1 < n; i++) {
            raw[to++] = raw[i];
            i += raw[i] == '"'; /* the second of two */
        }
        n = to;
    }
    uint8_t *start = room(&t->row, n * 6 + SLUICE_LAKE_SLACK);
    if (start == NULL) {
        return no_memory(err);
    }
    uint8_t *p = start;
    *p++ = '"';
    p = sluice_lake_json_escape(p, raw, n);
    *p++ = '"';
    t->row.size += (size_t)(p - start);
    return SLUICE_OK;
}

static sluice_status add_cell(struct sluice_lake_celltext *t, const struct sluice_lake_cell *cell,
                              int64_t row, struct sluice_error *err)
{
    const int texts = t->enc->format == SLUICE_LAKE_CSV;
    if (sluice_view_is_null(cell->view, row)) {
        t->into = &t->row;
        return write_piece(t, (const uint8_t *)"null", 4, err);
    }
    t->raw.size = 0;
    t->into = texts ? &t->raw : &t->row;
    t->out.p = cell->fn(t->enc, cell, row, t->out.base);
    t->out.p = sluice_lake_out_flush(&t->out, t->out.p);
    if (t->out.status < 0) {
        return t->out.status;
    }
    return texts ? add_string(t, err) : SLUICE_OK;
}

sluice_status sluice_lake_celltext_row(struct sluice_lake_celltext *t, int64_t row,
                                       const struct sluice_bytes **cells, struct sluice_error *err)
{
    t->enc->out = &t->out;
    t->out.err = err;
    t->row.size = 0;
    for (uint32_t i = 0; i < t->enc->cell_count; i++) {
        SLUICE_TRY(add_cell(t, &t->enc->cells[i], row, err));
        t->ends[i] = t->row.size;
    }
    size_t from = 0;
    for (uint32_t i = 0; i < t->enc->cell_count; i++) {
        t->cells[i] = (struct sluice_bytes){t->row.data + from, t->ends[i] - from};
        from = t->ends[i];
    }
    *cells = t->cells;
    return SLUICE_OK;
}
