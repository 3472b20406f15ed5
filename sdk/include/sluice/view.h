/*
 * Reading Arrow arrays without indexing buffers by hand. SDK; the hot path of every sink.
 *
 * Views borrow from the array: valid until it is released. All functions are [any].
 */
#ifndef SLUICE_VIEW_H
#define SLUICE_VIEW_H

#include <string.h>

#include "sluice/schema.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One column. `offset` of the Arrow array is already applied to values/offsets, and `validity_bit`
 * is the first bit: row i of the view is row i of the column. */
struct sluice_view {
    struct sluice_type type;
    int64_t length;
    int64_t null_count;      /* -1 = not computed */
    const uint8_t *validity; /* NULL = no NULLs */
    int64_t validity_bit;
    const uint8_t *values;        /* fixed-width values, or the data of variable-width ones */
    int64_t bool_bit;             /* BOOL: bit of row 0 in `values` */
    const int32_t *offsets;       /* variable, list: length + 1 */
    const int64_t *large_offsets; /* large variable */
    const struct ArrowArray *array;
    const struct ArrowSchema *schema;
};

/* Makes views of the children of a struct array (a ROWS batch, or `after` …); `views` has room for
 * schema->n_children. The struct's own offset and length apply. Checks counts of buffers and
 * children, not their contents: see sluice_array_check. */
sluice_status sluice_views_init(const struct ArrowSchema *schema, const struct ArrowArray *array,
                                struct sluice_view *views, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* A view of one array, e.g. a child of a list or struct column. */
sluice_status sluice_view_init(const struct ArrowSchema *schema, const struct ArrowArray *array,
                               struct sluice_view *view, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Views of the children of a struct column: row i of each belongs to row i of `view`. `children` has
 * room for view->schema->n_children. */
sluice_status sluice_view_children(const struct sluice_view *view, struct sluice_view *children,
                                   struct sluice_error *err) SLUICE_MUST_CHECK;

static inline int32_t sluice_view_is_null(const struct sluice_view *v, int64_t i)
{
    int64_t bit = v->validity_bit + i;
    return v->validity != NULL && !((v->validity[bit >> 3] >> (bit & 7)) & 1);
}

static inline int32_t sluice_view_bool(const struct sluice_view *v, int64_t i)
{
    int64_t bit = v->bool_bit + i;
    return (v->values[bit >> 3] >> (bit & 7)) & 1;
}

#define SLUICE_VIEW_GET_(name, ctype)                                              \
    static inline ctype sluice_view_##name(const struct sluice_view *v, int64_t i) \
    {                                                                              \
        ctype x;                                                                   \
        memcpy(&x, v->values + (uint64_t)i * sizeof x, sizeof x);                  \
        return x;                                                                  \
    }
SLUICE_VIEW_GET_(i8, int8_t)
SLUICE_VIEW_GET_(i16, int16_t)
SLUICE_VIEW_GET_(i32, int32_t)
SLUICE_VIEW_GET_(i64, int64_t)
SLUICE_VIEW_GET_(u8, uint8_t)
SLUICE_VIEW_GET_(u16, uint16_t)
SLUICE_VIEW_GET_(u32, uint32_t)
SLUICE_VIEW_GET_(u64, uint64_t)
SLUICE_VIEW_GET_(f32, float)
SLUICE_VIEW_GET_(f64, double)

static inline const void *sluice_view_fixed(const struct sluice_view *v, int64_t i)
{
    return v->values + (uint64_t)i * (uint64_t)v->type.width;
}

/* Bytes of a utf8 or binary value (not large). */
static inline struct sluice_bytes sluice_view_bytes(const struct sluice_view *v, int64_t i)
{
    struct sluice_bytes b = {v->values + v->offsets[i],
                             (uint64_t)(v->offsets[i + 1] - v->offsets[i])};
    return b;
}

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_VIEW_H */
