/*
 * Building Arrow arrays column by column. SDK; the hot path of every source.
 *
 * A sluice_rows collects rows of one schema. Capacity for `max_rows` rows is made once, so that
 * fixed-width appends are a store and a count: the caller never appends more than max_rows rows
 * between two finishes. Variable-width appends grow their data buffer (doubling, exact for large
 * values) and are checked.
 *
 * Every column of a row gets exactly one append. When a row fails half-way, sluice_rows_rollback
 * cuts all columns back to the last whole row.
 *
 * One thread at a time per builder. Finished arrays own their buffers: they may be released on any
 * thread, also after the builder is gone. The buffers of a released array go back to its builder,
 * so that a steady flow of batches allocates nothing.
 */
#ifndef SLUICE_BUILD_H
#define SLUICE_BUILD_H

#include <string.h>

#include "sluice/schema.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One column under construction. Members are for the inline functions below. */
struct sluice_column {
    struct sluice_type type;
    int32_t nullable;
    int64_t length;
    int64_t null_count;
    uint8_t *validity;   /* bit 1 = value; allocated at the first NULL, then max_rows bits */
    uint8_t *values;     /* fixed-width: max_rows * width; bool: bits; variable: data */
    int32_t *offsets;    /* variable and list: max_rows + 1 */
    int64_t values_size; /* variable: bytes used */
    int64_t values_cap;
    int64_t max_rows;
    struct sluice_column *children; /* list: 1; struct: n */
    int32_t child_count;
    int32_t reserved;
    struct sluice_column_store *store; /* where the buffers go back to; of the library */
};

struct sluice_rows {
    struct sluice_column *columns;
    int64_t column_count;
    int64_t rows; /* whole rows; the caller adds one per row with sluice_rows_end_row */
    int64_t max_rows;
    int64_t bytes;                   /* reserved, 0: see sluice_rows_bytes */
    struct sluice_rows_batch *batch; /* the buffers being filled; of the library */
    struct sluice_rows_pool *pool;   /* a released batch waits here for the next finish */
};

/* Prepares for rows of the struct `schema`. */
sluice_status sluice_rows_init(struct sluice_rows *rows, const struct ArrowSchema *schema,
                               int64_t max_rows, struct sluice_error *err) SLUICE_MUST_CHECK;
/* Frees all; a zeroed struct is allowed. */
void sluice_rows_free(struct sluice_rows *rows);

/* Moves the collected rows into *out (a struct array; the caller releases it) and starts anew with
 * buffers of like size. Also works with zero rows. On an error the rows stay. INTERNAL: a column
 * does not have rows->rows values. */
sluice_status sluice_rows_finish(struct sluice_rows *rows, struct ArrowArray *out,
                                 struct sluice_error *err) SLUICE_MUST_CHECK;

/* Cuts all columns back to rows->rows whole rows. */
void sluice_rows_rollback(struct sluice_rows *rows);

/* Approximate bytes held by the collected rows. */
int64_t sluice_rows_bytes(const struct sluice_rows *rows);

/* Slow paths of the inline functions. */
sluice_status sluice_column_grow(struct sluice_column *col, uint64_t more, struct sluice_error *err)
    SLUICE_MUST_CHECK;
sluice_status sluice_column_put_null_slow(struct sluice_column *col, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Appends NULL; for any type (a struct's children get NULL too). NOMEM is the only error. */
static inline sluice_status sluice_column_put_null(struct sluice_column *col,
                                                   struct sluice_error *err)
{
    /* The validity bit is 0 already; the value below a NULL is zeroed to keep bytes reproducible. */
    if (col->validity != NULL && col->child_count == 0) {
        if (col->offsets != NULL) {
            col->null_count++;
            col->length++;
            col->offsets[col->length] = (int32_t)col->values_size;
            return SLUICE_OK;
        }
        if (col->type.width == 8) {
            memset(col->values + (uint64_t)col->length * 8u, 0, 8);
            col->null_count++;
            col->length++;
            return SLUICE_OK;
        }
    }
    return sluice_column_put_null_slow(col, err);
}

static inline void sluice_column_valid_(struct sluice_column *col)
{
    if (col->validity != NULL) {
        col->validity[col->length >> 3] =
            (uint8_t)(col->validity[col->length >> 3] | (1u << (col->length & 7)));
    }
    col->length++;
}

static inline void sluice_column_put_bool(struct sluice_column *col, int32_t v)
{
    uint8_t bit = (uint8_t)(1u << (col->length & 7));
    uint8_t *byte = &col->values[col->length >> 3];
    *byte = (uint8_t)(v ? (*byte | bit) : (*byte & (uint8_t)~bit));
    sluice_column_valid_(col);
}

#define SLUICE_COLUMN_PUT_(name, ctype)                                             \
    static inline void sluice_column_put_##name(struct sluice_column *col, ctype v) \
    {                                                                               \
        memcpy(col->values + (uint64_t)col->length * sizeof v, &v, sizeof v);       \
        sluice_column_valid_(col);                                                  \
    }
SLUICE_COLUMN_PUT_(i8, int8_t)
SLUICE_COLUMN_PUT_(i16, int16_t)
SLUICE_COLUMN_PUT_(i32, int32_t)
SLUICE_COLUMN_PUT_(i64, int64_t)
SLUICE_COLUMN_PUT_(u8, uint8_t)
SLUICE_COLUMN_PUT_(u16, uint16_t)
SLUICE_COLUMN_PUT_(u32, uint32_t)
SLUICE_COLUMN_PUT_(u64, uint64_t)
SLUICE_COLUMN_PUT_(f32, float)
SLUICE_COLUMN_PUT_(f64, double)

/* A fixed-width value of col->type.width bytes: decimals (little-endian two's complement), fixed
 * binary. */
static inline void sluice_column_put_fixed(struct sluice_column *col, const void *p)
{
    memcpy(col->values + (uint64_t)col->length * (uint64_t)col->type.width, p,
           (uint64_t)col->type.width);
    sluice_column_valid_(col);
}

/* A decimal128 from a 64-bit value. */
static inline void sluice_column_put_decimal64(struct sluice_column *col, int64_t v)
{
    int64_t w[2] = {v, v < 0 ? -1 : 0};
    memcpy(col->values + (uint64_t)col->length * 16u, w, 16);
    sluice_column_valid_(col);
}

/* Room for `size` bytes of the next variable-width value; write them there, then call
 * sluice_column_put_room with what was used. NULL: out of memory or over 2 GiB (LIMIT), err set. */
static inline uint8_t *sluice_column_room(struct sluice_column *col, uint64_t size,
                                          struct sluice_error *err)
{
    if (size > (uint64_t)(col->values_cap - col->values_size) &&
        sluice_column_grow(col, size, err) < 0) {
        return NULL;
    }
    return col->values + col->values_size;
}

static inline void sluice_column_put_room(struct sluice_column *col, uint64_t used)
{
    col->values_size += (int64_t)used;
    sluice_column_valid_(col);
    col->offsets[col->length] = (int32_t)col->values_size;
}

/* A variable-width value (utf8, binary). Text is not checked here. */
static inline sluice_status sluice_column_put_bytes(struct sluice_column *col, const void *p,
                                                    uint64_t size, struct sluice_error *err)
{
    uint8_t *to = sluice_column_room(col, size, err);
    if (to == NULL) {
        return err != NULL && err->status < 0 ? err->status : SLUICE_E_NOMEM;
    }
    if (size > 0) {
        memcpy(to, p, size);
    }
    sluice_column_put_room(col, size);
    return SLUICE_OK;
}

/* Interval: months, days, nanoseconds. */
static inline void sluice_column_put_interval(struct sluice_column *col, int32_t months,
                                              int32_t days, int64_t ns)
{
    uint8_t *to = col->values + (uint64_t)col->length * 16u;
    memcpy(to, &months, 4);
    memcpy(to + 4, &days, 4);
    memcpy(to + 8, &ns, 8);
    sluice_column_valid_(col);
}

/* Whole columns at once: `n` fixed-width values are to be written at the place returned, which is
 * valid until the next call on the column; they are counted as values. Not for bool. */
static inline uint8_t *sluice_column_put_many(struct sluice_column *col, int64_t n)
{
    uint8_t *to = col->values + (uint64_t)col->length * (uint64_t)col->type.width;
    if (col->validity == NULL) {
        col->length += n;
        return to;
    }
    for (int64_t i = 0; i < n; i++) {
        sluice_column_valid_(col);
    }
    return to;
}

/* Turns a value that was appended before into NULL; `row` < col->length. Variable-width values keep
 * their bytes below the NULL. NOMEM is the only error. */
sluice_status sluice_column_make_null(struct sluice_column *col, int64_t row,
                                      struct sluice_error *err) SLUICE_MUST_CHECK;

/* Makes sure that `more` values can be appended. Columns of a row never need it; the child of a list
 * does, since its values outnumber the rows. */
sluice_status sluice_column_reserve(struct sluice_column *col, int64_t more,
                                    struct sluice_error *err) SLUICE_MUST_CHECK;

/* List: reserve and append the elements in &col->children[0], then end the list value. Struct:
 * append each child once, then end. */
sluice_status sluice_column_end_list(struct sluice_column *col, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_column_end_struct(struct sluice_column *col);

/* Counts the row whose columns were all appended. */
static inline void sluice_rows_end_row(struct sluice_rows *rows)
{
    rows->rows++;
}

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_BUILD_H */
