/*
 * Memory of sluice_rows: batches of buffers that go round between a builder and its consumers.
 *
 * A sluice_rows_batch holds the buffers and the exported ArrowArray structs of one batch, column by
 * column. While it is filled, the builder alone knows it. Finish exports it: each exported array
 * (the root and every column) then holds one reference, so that a transform may move columns out
 * and release them one by one, on any thread. The last release puts the batch into the pool's one
 * spare place, whence the next finish takes it; what was there before is freed. The pool lives
 * until the builder and all its exported batches are gone.
 */
#ifndef SLUICE_SDK_BUILD_STORE_H
#define SLUICE_SDK_BUILD_STORE_H

#include <stdatomic.h>

#include "sluice/build.h"

struct sluice_column_store {
    struct sluice_rows_batch *batch;
    uint8_t *values;
    int64_t values_cap; /* bytes */
    int32_t *offsets;
    uint8_t *validity; /* kept over batches; made at the first NULL ever */
    int64_t rows_cap;
    int64_t touched; /* most bytes ever written: what is resident, unlike what is reserved */
    const void *buffers[3];
    struct ArrowArray *arrays; /* of the children, as exported */
    struct ArrowArray **array_pointers;
    struct sluice_column_store *children;
    int32_t child_count;
};

struct sluice_rows_pool {
    _Atomic uint64_t refs;
    _Atomic(struct sluice_rows_batch *) spare;
};

struct sluice_rows_batch {
    _Atomic uint64_t refs; /* exported arrays not yet released */
    struct sluice_rows_pool *pool;
    uint64_t nodes; /* arrays in the tree */
    struct sluice_column_store root;
};

/* First size of a variable-width column's data. */
int64_t sluice_store_data_cap(int64_t max_rows);

/* A pool with one reference, or NULL. */
struct sluice_rows_pool *sluice_rows_pool_new(void);
void sluice_rows_pool_unref(struct sluice_rows_pool *pool);

/* A batch for these columns: the pool's spare one, or a new one; NULL when out of memory. The
 * columns' present use tells how large a new one's data buffers are. */
struct sluice_rows_batch *sluice_rows_batch_take(struct sluice_rows_pool *pool,
                                                 const struct sluice_column *columns,
                                                 int64_t column_count);
void sluice_rows_batch_free(struct sluice_rows_batch *batch);

/* Points the columns to the batch's buffers, empty. */
void sluice_rows_batch_attach(struct sluice_rows_batch *batch, struct sluice_column *columns);
/* Hands the columns' buffers, which may have grown, back to the batch. */
void sluice_rows_batch_detach(struct sluice_rows_batch *batch, struct sluice_column *columns);
/* Makes *out the struct array of the detached columns. */
void sluice_rows_batch_export(struct sluice_rows_batch *batch, struct sluice_column *columns,
                              int64_t rows, struct ArrowArray *out);

#endif /* SLUICE_SDK_BUILD_STORE_H */
