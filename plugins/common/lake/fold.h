/*
 * What a table is after its changes (docs/object-layout.md, "Reading a table with its changes"): all changes
 * first, in order; then the rows of the load, one by one; then what is left. Holds the rows that changed, and
 * no others. One thread at a time.
 */
#ifndef SLUICE_COMMON_LAKE_FOLD_H
#define SLUICE_COMMON_LAKE_FOLD_H

#include "lake/cellrow.h"

struct sluice_lake_fold;

/* A row of the table; `cells` until the call returns. */
typedef sluice_status (*sluice_lake_fold_visit)(void *vctx, const struct sluice_bytes *cells,
                                                struct sluice_error *err);

/* `keys`: the columns that changes find rows by; none = by all of them. */
sluice_status sluice_lake_fold_create(uint32_t columns, const uint32_t *keys, uint32_t key_count,
                                      struct sluice_lake_fold **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_lake_fold_free(struct sluice_lake_fold *fold);

/* LIMIT: more has changed than we are ready to hold. */
sluice_status sluice_lake_fold_change(struct sluice_lake_fold *fold,
                                      const struct sluice_lake_row *row, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Visits the row of the load unless it changed. */
sluice_status sluice_lake_fold_base(struct sluice_lake_fold *fold,
                                    const struct sluice_lake_row *row, sluice_lake_fold_visit visit,
                                    void *vctx, struct sluice_error *err) SLUICE_MUST_CHECK;
/* Visits the rows that changed and are there. */
sluice_status sluice_lake_fold_rest(struct sluice_lake_fold *fold, sluice_lake_fold_visit visit,
                                    void *vctx, struct sluice_error *err) SLUICE_MUST_CHECK;

/* 64 bits of a text, to find it by. */
uint64_t sluice_lake_hash(const void *data, size_t size);

#endif /* SLUICE_COMMON_LAKE_FOLD_H */
