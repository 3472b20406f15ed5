/*
 * Rows of one stream and schema to the bytes of a file. Everything that depends on a column's type
 * is chosen once, when the encoder is made: a function, the bytes in front of the value, the room
 * it needs. The row loop then only calls.
 *
 * One thread at a time per encoder.
 */
#ifndef SLUICE_COMMON_LAKE_ENCODER_H
#define SLUICE_COMMON_LAKE_ENCODER_H

#include "lake/out.h"
#include "lake/textclass.h"
#include "sluice/view.h"

/* Order of the option's choices. */
enum { SLUICE_LAKE_JSONL = 0, SLUICE_LAKE_CSV = 1 };
enum { SLUICE_LAKE_BASE64 = 0, SLUICE_LAKE_HEX = 1 };

enum {
    SLUICE_LAKE_NEST_MAX = 32,   /* lists and structs in each other */
    SLUICE_LAKE_NAME_MAX = 4096, /* bytes of a column name; PostgreSQL has 63 */
    SLUICE_LAKE_COLUMNS_MAX = 65536,
    SLUICE_LAKE_KEEP_MAX = 1 << 20 /* scratch memory kept between batches */
};

struct sluice_lake_encoder;
struct sluice_lake_cell;

/* Writes a value that is not NULL; cell->bound bytes are free at p. */
typedef uint8_t *(*sluice_lake_cell_fn)(struct sluice_lake_encoder *enc,
                                        const struct sluice_lake_cell *cell, int64_t row,
                                        uint8_t *p);

struct sluice_lake_cell {
    sluice_lake_cell_fn fn;
    const struct sluice_view *view;
    uint8_t *key; /* what stands before the value, in whole blocks of 16 bytes */
    uint32_t key_size;
    uint32_t bound; /* key, fixed part of the value and what wide stores touch */
    uint32_t flags; /* of the type: SLUICE_LAKE_SPECIAL and so on */
    int32_t scale;
    struct sluice_lake_class *cls;
    struct sluice_lake_cell *children; /* lists and structs */
    struct sluice_view *child_views;
    uint32_t child_count;
    uint32_t reserved;
};

struct sluice_lake_encoder {
    int32_t format;
    int32_t binary;
    struct sluice_lake_cell *cells;
    struct sluice_view *views;
    uint32_t cell_count;
    uint32_t header_size;
    uint8_t *header; /* CSV: the first line */
    const struct ArrowSchema *schema;
    struct sluice_lake_scratch scratch;
    struct sluice_lake_out *out; /* while rows are written; borrowed */
    struct sluice_lake_out side; /* CSV: nested values are rendered here first */
    uint8_t *side_data;
    uint64_t side_size;
    uint64_t side_cap;
};

/* `schema` (a ROWS batch) is borrowed until free. SCHEMA, UNSUPPORTED or LIMIT name the column. */
sluice_status sluice_lake_encoder_create(const struct ArrowSchema *schema, int32_t format,
                                         int32_t binary, struct sluice_lake_encoder **out,
                                         struct sluice_error *err) SLUICE_MUST_CHECK;
void sluice_lake_encoder_free(struct sluice_lake_encoder *enc);

/* What a file starts with (CSV: the header). */
void sluice_lake_encoder_begin(struct sluice_lake_encoder *enc, struct sluice_lake_out *out);

/* Takes a batch: the views borrow `array` until the next bind. */
sluice_status sluice_lake_encoder_bind(struct sluice_lake_encoder *enc,
                                       const struct ArrowArray *array, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Writes rows [from, to) of the bound batch; the outcome is in out->status. */
void sluice_lake_encoder_rows(struct sluice_lake_encoder *enc, int64_t from, int64_t to,
                              struct sluice_lake_out *out);

/* As a part of wider rows (change.h): columns of a struct, each with a comma before it. There is no
 * header and no limit to formats; rows are written by the caller, cell by cell. */
sluice_status sluice_lake_encoder_create_part(const struct ArrowSchema *schema, int32_t format,
                                              int32_t binary, struct sluice_lake_encoder **out,
                                              struct sluice_error *err) SLUICE_MUST_CHECK;
/* A part's columns are the children of a struct column, or of a batch. */
sluice_status sluice_lake_encoder_bind_struct(struct sluice_lake_encoder *enc,
                                              const struct sluice_view *view,
                                              struct sluice_error *err) SLUICE_MUST_CHECK;
/* To call behind a run of rows: gives back scratch memory that grew too large. */
void sluice_lake_encoder_trim(struct sluice_lake_encoder *enc);

/* The bytes before a value. `open` is '{' or ','. */
sluice_status sluice_lake_json_key(struct sluice_lake_cell *cell, const char *name, char open,
                                   struct sluice_error *err) SLUICE_MUST_CHECK;

/* Choose fn and bound (without the key) for a field. */
sluice_status sluice_lake_json_cell(struct sluice_lake_encoder *enc,
                                    const struct ArrowSchema *field, struct sluice_lake_cell *cell,
                                    int32_t depth, struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status sluice_lake_csv_cell(struct sluice_lake_encoder *enc, const struct ArrowSchema *field,
                                   struct sluice_lake_cell *cell, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Frees what a cell owns, not the cell. */
void sluice_lake_cell_clear(struct sluice_lake_cell *cell);

/* Value or null, without the row loop: elements of lists and structs. */
uint8_t *sluice_lake_json_value(struct sluice_lake_encoder *enc,
                                const struct sluice_lake_cell *cell, int64_t row, uint8_t *p);

/* A list or struct value as JSON. */
uint8_t *sluice_lake_json_nested(struct sluice_lake_encoder *enc,
                                 const struct sluice_lake_cell *cell, int64_t row, uint8_t *p);

/* The key in blocks of 16 bytes; up to 15 bytes behind it are touched. */
static inline uint8_t *sluice_lake_put_key(uint8_t *p, const struct sluice_lake_cell *cell)
{
    const uint8_t *key = cell->key;
    uint32_t n = cell->key_size;
    memcpy(p, key, 16);
    for (uint32_t i = 16; i < n; i += 16) {
        memcpy(p + i, key + i, 16);
    }
    return p + n;
}

/* Key and value of one column in JSON. */
static inline uint8_t *sluice_lake_json_member(struct sluice_lake_encoder *enc,
                                               const struct sluice_lake_cell *cell, int64_t row,
                                               uint8_t *p)
{
    p = sluice_lake_out_room(enc->out, p, cell->bound);
    p = sluice_lake_put_key(p, cell);
    if (sluice_view_is_null(cell->view, row)) {
        memcpy(p, "null", 4);
        return p + 4;
    }
    return cell->fn(enc, cell, row, p);
}

/* A field of CSV, with the comma before it unless it is the first. */
static inline uint8_t *sluice_lake_csv_field(struct sluice_lake_encoder *enc,
                                             const struct sluice_lake_cell *cell, int64_t row,
                                             uint8_t *p)
{
    p = sluice_lake_out_room(enc->out, p, cell->bound);
    *p = ',';
    p += cell->key_size;
    return sluice_view_is_null(cell->view, row) ? p : cell->fn(enc, cell, row, p);
}

static inline struct sluice_bytes sluice_lake_cell_bytes(const struct sluice_view *v, int64_t row)
{
    if (v->large_offsets != NULL) {
        struct sluice_bytes b = {v->values + v->large_offsets[row],
                                 (uint64_t)(v->large_offsets[row + 1] - v->large_offsets[row])};
        return b;
    }
    return sluice_view_bytes(v, row);
}

#endif /* SLUICE_COMMON_LAKE_ENCODER_H */
