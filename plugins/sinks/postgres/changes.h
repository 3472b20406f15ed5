/*
 * Changes: the lane of a feed, its log of encoded changes, and the two ways of applying it.
 *
 * lane_write encodes rows into the log (log.c), normalised: soft deletes have become updates, ignored
 * deletes are gone, history has become inserts. What applies the log therefore knows I, U, D, T and X alone.
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

#include "checkpoint.h"
#include "pipe.h"
#include "table.h"

/* A tuple in the arena: for each column of the table int32 (of this machine) length and so many bytes; -1 =
 * NULL, -2 = not sent (unchanged, or not part of the old row). Bytes are in the column's own form: binary
 * if encoder.binary, else text. Columns of ours: text. */
#define SLUICE_PGSINK_NONE UINT64_MAX
enum { SLUICE_PGSINK_FIELD_NULL = -1, SLUICE_PGSINK_FIELD_UNSENT = -2 };

struct sluice_pgsink_field {
    const uint8_t *data;
    int32_t size; /* or -1, -2 */
};

struct sluice_pgsink_change {
    uint32_t table; /* in log.tables */
    uint32_t tx;    /* in log.txs */
    int64_t seq;
    uint64_t after; /* offset of a tuple; NONE for D and T. X: of a text, the row as JSON */
    uint64_t
        before; /* offset of a tuple: what the row is found by; NONE = by the key in `after`. X: of a
                           text, what is wrong (SQLSTATE first) */
    uint8_t op;         /* I U D T X; 0 = dropped */
    uint8_t key_change; /* U: `before` has another key than `after` */
    uint8_t partial;    /* `after` has columns that were not sent */
    uint8_t source_op;  /* as the source said: for letters and messages */
};

/* Rows of one source transaction; one that comes in several batches has several of these. */
struct sluice_pgsink_tx {
    uint64_t pos; /* offset in the arena of commit_pos */
    uint32_t pos_size;
    uint32_t reserved;
};

struct sluice_pgsink_log {
    uint8_t *arena;
    size_t arena_size;
    size_t arena_cap;
    struct sluice_pgsink_change *changes;
    size_t count;
    size_t cap;
    struct sluice_pgsink_tx *txs;
    size_t tx_count;
    size_t tx_cap;
    struct sluice_pgsink_stream **tables; /* borrowed; their ->table is set */
    uint32_t table_count;
    uint32_t table_cap;
    int sorted; /* changes stand in the order of (position, seq) */
};

struct sluice_pgsink_lane {
    struct sluice_sink *sink;
    struct sluice_pg_conn *conn; /* NULL = not there */
    struct sluice_pgsink_claim claim;
    struct sluice_pgsink_log log;
    struct sluice_pgsink_pipe pipe;
    char *shard;
    int in_tx;  /* BEGIN and the claim's row lock are there: later parts go into the same one */
    int failed; /* until abort */
    size_t
        flush_at; /* bytes of the log that are written out; grows when a part cannot stand alone */
    uint64_t epoch;    /* of the commit at hand, for letters */
    int pending;       /* the commit at hand writes what is set aside */
    uint64_t *refused; /* per table of the log: rows refused in the open transaction */
    uint32_t refused_cap;
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
/* A row of log.tables[table] was refused in the open transaction. */
void sluice_pgsink_count_refused(struct sluice_pgsink_lane *lane, uint32_t table);

/* log.c: appends the rows of a batch that are greater than the claim's `applied`. */
sluice_status sluice_pgsink_log_append(struct sluice_pgsink_lane *lane,
                                       struct sluice_pgsink_stream *stream,
                                       const struct sluice_batch *batch, struct sluice_error *err);
/* The changes in the order of (position, seq), which is that of the source. */
sluice_status sluice_pgsink_log_sort(struct sluice_pgsink_log *log, struct sluice_error *err);
void sluice_pgsink_log_clear(struct sluice_pgsink_log *log); /* keeps the memory, up to a bound */
void sluice_pgsink_log_free(struct sluice_pgsink_log *log);
/* Opens a tuple into `columns` fields. */
void sluice_pgsink_tuple(const struct sluice_pgsink_log *log, uint64_t tuple, uint32_t columns,
                         struct sluice_pgsink_field *out);
/* The position of a change. */
struct sluice_bytes sluice_pgsink_change_pos(const struct sluice_pgsink_log *log,
                                             const struct sluice_pgsink_change *change);
/* "public.t (id=7) at position 0000…": the row of a change for a message; keys alone, cut. */
void sluice_pgsink_change_name(const struct sluice_pgsink_log *log,
                               const struct sluice_pgsink_change *change, char *out, size_t size);
/* Appends a tuple as a JSON object of the columns that were sent; `keys_only`: of the key. */
void sluice_pgsink_tuple_json(const struct sluice_pgsink_log *log,
                              const struct sluice_pgsink_table *table, uint64_t tuple,
                              int keys_only, struct sluice_pg_text *out);

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
