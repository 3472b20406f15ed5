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
    int flushed;            /* a part of the epoch went into the open transaction before */
    int only_ordered;       /* sets failed: until the next commit all goes in order */
    int redo;               /* what failed may go when all of the log comes again */
    int careful;            /* a row was refused: until the next commit each that is so is found */
    int single;             /* careful, and no two changes are tried at once */
    uint32_t stages;        /* counts staging tables of the open transaction */
    struct mssink_bad *bad; /* careful.c */
    struct sluice_apply_open refused; /* rows in the open transaction */
    char *bad_stream;                 /* what failed is of this stream alone; NULL = not known */
};

sluice_status mssink_changes_open(struct sluice_sink *sink, const struct sluice_shard_desc *shard,
                                  struct mssink_changes **out, struct sluice_error *err);
sluice_status mssink_changes_write(struct mssink_changes *lane, struct sluice_batch *batch,
                                   struct sluice_error *err);
sluice_status mssink_changes_commit(struct mssink_changes *lane, const struct sluice_commit *commit,
                                    struct sluice_error *err);
void mssink_changes_abort(struct mssink_changes *lane);
void mssink_changes_close(struct mssink_changes *lane);

/* What fails is this stream's. */
void mssink_blame(struct mssink_changes *lane, const char *stream);
/* 1 if the table that the error is about may be set aside. */
int mssink_may_set_aside(const struct mssink_changes *lane, const struct sluice_error *err);
/* Begins the transaction unless one is open. */
sluice_status mssink_tx_begin(struct mssink_changes *lane, struct sluice_error *err);

/* ordered.c: adds changes [from, to) as statements to `out`; what has grown large is run before, in the open
 * transaction. */
sluice_status mssink_ordered_add(struct mssink_changes *lane, size_t from, size_t to,
                                 struct mssink_text *out, struct sluice_error *err);
/* Says which row an error of our own is about. */
sluice_status mssink_ordered_explain(const struct mssink_changes *lane, struct sluice_error *err);

/* sets.c: changes [from, to) as sets in the open transaction. AGAIN: sets cannot do it, and nothing was done. An error
 * with lane->redo: in order it may go. */
sluice_status mssink_sets_apply(struct mssink_changes *lane, size_t from, size_t to,
                                struct sluice_error *err);
/* Indexes into the log's tables, parents first; owned by the caller. */
sluice_status mssink_tables_order(struct mssink_changes *lane, uint32_t **out,
                                  struct sluice_error *err);

#endif /* SLUICE_MSSINK_CHANGES_H */
