/*
 * The lane of a feed: collects changes in a log, applies them as sets or in order, and commits them with the lane's
 * position in one transaction.
 */
#ifndef SLUICE_MSSINK_CHANGES_H
#define SLUICE_MSSINK_CHANGES_H

#include "apply/log.h"
#include "state.h"

struct mssink_changes {
    struct sluice_sink *sink;
    struct sluice_tds_conn *conn; /* holds the lane's lock; NULL = broken */
    char *shard;
    struct mssink_claim claim;
    struct sluice_apply_log log;
    size_t flush_at;
    int in_tx;
    int failed;
    uint32_t stages; /* counts staging tables of the open transaction */
};

sluice_status mssink_changes_open(struct sluice_sink *sink, const struct sluice_shard_desc *shard,
                                  struct mssink_changes **out, struct sluice_error *err);
sluice_status mssink_changes_write(struct mssink_changes *lane, struct sluice_batch *batch,
                                   struct sluice_error *err);
sluice_status mssink_changes_commit(struct mssink_changes *lane, const struct sluice_commit *commit,
                                    struct sluice_error *err);
void mssink_changes_abort(struct mssink_changes *lane);
void mssink_changes_close(struct mssink_changes *lane);

/* Begins the transaction unless one is open. */
sluice_status mssink_tx_begin(struct mssink_changes *lane, struct sluice_error *err);

/* ordered.c: changes [from, to) one by one in the open transaction. */
sluice_status mssink_ordered_apply(struct mssink_changes *lane, size_t from, size_t to,
                                   struct sluice_error *err);
/* sets.c: the same as sets. AGAIN: sets cannot do it; what was done is to be undone by the caller. */
sluice_status mssink_sets_apply(struct mssink_changes *lane, size_t from, size_t to,
                                struct sluice_error *err);

#endif /* SLUICE_MSSINK_CHANGES_H */
