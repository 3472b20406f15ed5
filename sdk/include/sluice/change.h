/*
 * Row access that is the same for ROWS and CHANGES batches. SDK.
 */
#ifndef SLUICE_CHANGE_H
#define SLUICE_CHANGE_H

#include "sluice/view.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sluice_change_view {
    const struct sluice_stream_desc *desc;
    int32_t kind; /* SLUICE_BATCH_* */
    int64_t rows;
    struct sluice_view op; /* CHANGES alone from here */
    struct sluice_view commit_pos;
    struct sluice_view tx_seq;
    struct sluice_view commit_ts;
    struct sluice_view tx_id;
    struct sluice_view before;
    struct sluice_view after;
    struct sluice_view unchanged;
    struct sluice_view *columns; /* of the row (ROWS: the batch; CHANGES: `after`), n columns */
    struct sluice_view *old;     /* of `before`: BEFORE_FULL n columns, BEFORE_KEY key_count */
    int64_t column_count;
    int64_t old_count;
};

/* Prepares a view of a batch; allocates the column views once, so call free at the end. */
sluice_status sluice_change_view_init(struct sluice_change_view *cv,
                                      const struct sluice_stream_desc *desc,
                                      const struct sluice_batch *batch, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_change_view_free(struct sluice_change_view *cv);

/* 'I', 'U', 'D' or 'R'; 'R' for every row of a ROWS batch. */
int32_t sluice_change_op(const struct sluice_change_view *cv, int64_t row);

/* 1 if column `col` of `after` was not sent in this row. */
int32_t sluice_change_is_unchanged(const struct sluice_change_view *cv, int64_t row, int64_t col);

/* View and row-validity of key column k (0-based in key order): the old key when old = 1 and the
 * row has one, else the new. NULL if the row has no such key. */
const struct sluice_view *sluice_change_key(const struct sluice_change_view *cv, int64_t row,
                                            uint32_t k, int32_t old);

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_CHANGE_H */
