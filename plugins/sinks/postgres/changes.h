/*
 * Changes: the lane of a feed, its log of encoded changes, and the two ways of applying it.
 *
 * lane_write encodes rows into the log (plugins/common/apply), normalised by the write mode.
 * The log is applied at a commit, before a SCHEMA, and whenever it passes `flush_at` (then into the
 * transaction that stays open):
 *
 *   ordered (ordered.c)  each change as one prepared statement, in the source's own order, in a pipeline. For
 *                        small logs, apply: transactional, tables without key, and whenever sets fail
 *   sets (sets.c)        collapsed per key, staged by COPY, then one delete, update, insert per table and set
 *                        of columns, tables in the order of their foreign keys
 *
 * Sets run behind a savepoint. When a constraint stands in their way, the same log is applied ordered: the
 * source itself went that way, so it is possible. When a row is at fault, ordered finds it exactly, and
 * reject.h decides what becomes of it.
 */
#ifndef SLUICE_PGSINK_CHANGES_H
#define SLUICE_PGSINK_CHANGES_H

#include "apply/log.h"
#include "checkpoint.h"
#include "pipe.h"
#include "table.h"

struct sluice_pgsink_lane {
    struct sluice_sink *sink;
    struct sluice_pg_conn *conn; /* NULL = not there */
    struct sluice_pgsink_claim claim;
    struct sluice_apply_log log;
    struct sluice_pgsink_pipe pipe;
    char *shard;
    int in_tx;  /* BEGIN and the claim's row lock are there: later parts go into the same one */
    int failed; /* until abort */
    size_t
        flush_at; /* bytes of the log that are written out; grows when a part cannot stand alone */
    uint64_t epoch;                   /* of the commit at hand, for letters */
    int pending;                      /* the commit at hand writes what is set aside */
    struct sluice_apply_open refused; /* rows in the open transaction */
    char
        *bad_stream; /* of the last failure: the one stream that it was about; owned, NULL = none */
    void *ordered;   /* ordered.c's own: prepared statements */
    void *sets;      /* sets.c's own: staging tables, order of tables */
};

/* The lane: changes.c */
sluice_status sluice_pgsink_changes_open(struct sluice_sink *sink,
                                         const struct sluice_shard_desc *shard,
                                         struct sluice_pgsink_lane **out, struct sluice_error *err);
sluice_status sluice_pgsink_changes_write(struct sluice_pgsink_lane *lane,
                                          struct sluice_batch *batch, struct sluice_error *err);
sluice_status sluice_pgsink_changes_commit(struct sluice_pgsink_lane *lane,
                                           const struct sluice_commit *commit,
                                           struct sluice_error *err);
void sluice_pgsink_changes_abort(struct sluice_pgsink_lane *lane);
void sluice_pgsink_changes_close(struct sluice_pgsink_lane *lane);
/* Notes the stream that an error is about. */
void sluice_pgsink_blame(struct sluice_pgsink_lane *lane, const char *stream);

/* dialect.c: how values are written for PostgreSQL. A field is in the column's own form: binary if its encoder is,
 * else text; columns of ours are text. */
extern const struct sluice_apply_dialect sluice_pgsink_dialect;
/* Makes `stream->apply` of the stream's table. */
sluice_status sluice_pgsink_apply_table(struct sluice_pgsink_stream *stream,
                                        struct sluice_error *err);
static inline struct sluice_pgsink_stream *sluice_pgsink_stream_of(
    const struct sluice_apply_log *log, uint32_t table)
{
    return log->tables[table]->owner;
}
/* 1 if equal values of the column have equal bytes in the form that it is written in. */
int sluice_pgsink_has_one_form(const struct sluice_pgsink_column *column);

/* ordered.c: changes [from, to) of the sorted log. Without open transaction: one is begun; with `commit`
 * it is also advanced and committed, all in one round trip where no row may be refused. */
sluice_status sluice_pgsink_ordered_apply(struct sluice_pgsink_lane *lane, size_t from, size_t to,
                                          const struct sluice_commit *commit,
                                          struct sluice_bytes applied, struct sluice_error *err);
/* Begins a transaction with the lock on the claim's row; advances and commits it. */
sluice_status sluice_pgsink_tx_begin(struct sluice_pgsink_lane *lane, struct sluice_error *err);
sluice_status sluice_pgsink_tx_commit(struct sluice_pgsink_lane *lane,
                                      const struct sluice_commit *commit,
                                      struct sluice_bytes applied, struct sluice_error *err);
void sluice_pgsink_ordered_forget(struct sluice_pgsink_lane *lane);
void sluice_pgsink_ordered_free(struct sluice_pgsink_lane *lane);

/* sets.c: all changes of the sorted log [from, to), within the open transaction. AGAIN: sets cannot do it (a
 * constraint stood in the way, everything was rolled back to before; or a table wants order): apply it ordered. */
sluice_status sluice_pgsink_sets_apply(struct sluice_pgsink_lane *lane, size_t from, size_t to,
                                       struct sluice_error *err);
void sluice_pgsink_sets_forget(struct sluice_pgsink_lane *lane);
void sluice_pgsink_sets_free(struct sluice_pgsink_lane *lane);

#endif /* SLUICE_PGSINK_CHANGES_H */
