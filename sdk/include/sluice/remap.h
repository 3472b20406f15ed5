/*
 * New columns out of old ones, for transforms: columns are kept, left out, moved, renamed or made
 * anew, in ROWS and CHANGES batches alike. SDK.
 *
 * Columns that are kept are not copied. In CHANGES the structs `before` and `after` and the bitmap
 * `unchanged` follow the columns. One owner at a time per remap: [shard].
 */
#ifndef SLUICE_REMAP_H
#define SLUICE_REMAP_H

#include "sluice/array.h"
#include "sluice/build.h"
#include "sluice/view.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One column that comes out. */
struct sluice_remap_column {
    int64_t source; /* column that it comes from, each at most once; -1 = from none */
    int32_t made;   /* 1: its values are made by the fill function; -1 needs it */
    int32_t reserved;
};

struct sluice_remap;

/* Appends exactly `rows` values of column `column` of the new schema to `to`. `source` are the
 * values of the column it comes from, or NULL. */
typedef sluice_status (*sluice_remap_fill)(void *ctx, int64_t column,
                                           const struct sluice_view *source, int64_t rows,
                                           struct sluice_column *to, struct sluice_error *err);

/* Prepares for batches of `in`; `schema` is that of the n new columns (copied). Keys follow their
 * columns; if one of them is left out, the stream has no key any more. */
sluice_status sluice_remap_create(const struct sluice_stream_desc *in,
                                  const struct sluice_remap_column *columns, int64_t n,
                                  const struct ArrowSchema *schema, struct sluice_remap **out,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;
void sluice_remap_free(struct sluice_remap *remap);

/* The stream as it comes out; lives as long as the remap. */
const struct sluice_stream_desc *sluice_remap_desc(const struct sluice_remap *remap);

/* Turns the batch into the new shape in place. ROWS, CHANGES and SCHEMA; other kinds are left as
 * they are. On an error the caller still owns the batch, which may have lost columns: it is good
 * for release alone. */
sluice_status sluice_remap_apply(struct sluice_remap *remap, struct sluice_batch *batch,
                                 sluice_remap_fill fill, void *ctx, struct sluice_error *err)
    SLUICE_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_REMAP_H */
