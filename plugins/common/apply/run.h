/*
 * Applying a log: which part of it goes as sets, which in the source's own order, and when a transaction ends.
 *
 * The lane of a sink says how each is done; here is only the course of it, the same for every target.
 */
#ifndef SLUICE_COMMON_APPLY_RUN_H
#define SLUICE_COMMON_APPLY_RUN_H

#include "apply/log.h"

struct sluice_apply_run {
    void *lane;
    struct sluice_apply_log *log;
    size_t small_rows; /* at most so many changes go in order */
    /* Begins a transaction with the lock on the claim, unless one is open. */
    sluice_status (*begin)(void *lane, struct sluice_error *err);
    /* Changes [from, to) in order. With `commit` the transaction is also advanced and committed; without an open
     * one it is begun. `applied` of size 0: the commit's position. */
    sluice_status (*ordered)(void *lane, size_t from, size_t to, const struct sluice_commit *commit,
                             struct sluice_bytes applied, struct sluice_error *err);
    /* Changes [from, to) as sets, in the open transaction. AGAIN: sets cannot do it, and nothing was done. */
    sluice_status (*sets)(void *lane, size_t from, size_t to, struct sluice_error *err);
    /* A source transaction is committed for itself up to `position`. */
    sluice_status (*settled)(void *lane, struct sluice_bytes position, struct sluice_error *err);
};

/* Each source transaction of the sorted log by itself; all but the last one move `applied` alone and keep `epoch`. */
sluice_status sluice_apply_transactions(const struct sluice_apply_run *run, uint64_t epoch,
                                        const struct sluice_commit *commit,
                                        struct sluice_error *err);
/* The sorted log in the transaction at hand, in runs between two TRUNCATEs. */
sluice_status sluice_apply_parts(const struct sluice_apply_run *run, struct sluice_error *err);

#endif /* SLUICE_COMMON_APPLY_RUN_H */
