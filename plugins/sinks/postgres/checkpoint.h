/*
 * The sink's own tables, in `state_schema` of the target database: what is committed, by whom, and what
 * was refused. Rows are written in the transactions of the data they speak of.
 *
 *   meta     (format int)
 *   lanes    (pipeline, sink, shard: PK; stream, run: of a load; epoch bigint, token bytea, position bytea,
 *            applied bytea, owner text, backend int, backend_start timestamptz, seq bigint,
 *            updated_at timestamptz)
 *   streams  (pipeline, sink, stream: PK; target text, run, status, rows bigint, token bytea,
 *            position bytea, reason text, columns text (what its columns were last), made bool, seq bigint, updated_at timestamptz)
 *            status: loading | complete | quarantined. `made`: sluice created the table
 *   letters  (id bigserial PK; pipeline, sink, stream, target, shard, run, epoch, op, position text,
 *            seq bigint, sqlstate, error, key json, row json, rejected_at, replayed_at)
 *
 * seq comes of one sequence, so that recover() can visit newest first.
 */
#ifndef SLUICE_PGSINK_CHECKPOINT_H
#define SLUICE_PGSINK_CHECKPOINT_H

#include "sink.h"

/* Makes the tables where they are missing and may be made; checks their columns and format. SCHEMA or
 * PERMISSION (with the GRANT) else. [ctl] */
sluice_status sluice_pgsink_state_prepare(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                          struct sluice_error *err);

/* A lane of changes, claimed by this instance. */
struct sluice_pgsink_claim {
    char *shard;
    uint64_t epoch; /* of the last commit; 0 = none */
    uint8_t
        *applied; /* commit_pos of the newest source transaction that is in the target; NULL = as
                         the position of the commit */
    size_t applied_size;
};

/* Takes the lane over from whoever had it, in a transaction of its own: later commits of that one are
 * fenced. Waits for a commit of it that is under way; a backend of ours that holds the row for more
 * than two seconds is terminated. [lane] */
sluice_status sluice_pgsink_claim_take(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                       const char *shard, struct sluice_pgsink_claim *out,
                                       struct sluice_error *err);
void sluice_pgsink_claim_free(struct sluice_pgsink_claim *claim);

/* The compare-and-set of a lane's row, for the transaction that holds the data: first statement after
 * BEGIN, so that the row is locked. Fails the transaction with SQLSTATE 22012 when the lane is not
 * ours any more, or at another epoch. Parameters, all text: see checkpoint.c. */
enum { SLUICE_PGSINK_ADVANCE_PARAMS = 9 };
const char *sluice_pgsink_advance_sql(struct sluice_sink *sink); /* borrowed, lives as the sink */
/* Fills `values` for claim and commit; strings are owned by `room`. `applied` of size 0: the commit's
 * position. Intermediate commits (apply: transactional) keep epoch and token and move `applied`. */
struct sluice_pgsink_advance {
    const char *values[SLUICE_PGSINK_ADVANCE_PARAMS];
    struct sluice_pg_text room; /* all of them, each ended by NUL */
};
sluice_status sluice_pgsink_advance_make(const struct sluice_sink *sink,
                                         const struct sluice_pgsink_claim *claim,
                                         const struct sluice_commit *commit,
                                         struct sluice_bytes applied,
                                         struct sluice_pgsink_advance *out,
                                         struct sluice_error *err);
void sluice_pgsink_advance_free(struct sluice_pgsink_advance *advance);
/* CONFLICT | FATAL: another engine writes this pipeline, and which (backend, application, since). */
sluice_status sluice_pgsink_fenced(struct sluice_sink *sink, const char *shard,
                                   struct sluice_error *err);
/* Within the transaction at hand: a shard of a load is whole. [lane] */
sluice_status sluice_pgsink_shard_put(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                      const char *shard, const char *stream, const char *run,
                                      const struct sluice_commit *commit, struct sluice_error *err);

/* The streams row. */
struct sluice_pgsink_known {
    int found;
    char status[16];
    char run[40];
    int made;
    char *target; /* owned */
    char *reason; /* owned; NULL */
};
sluice_status sluice_pgsink_known_get(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                      const char *stream, struct sluice_pgsink_known *out,
                                      struct sluice_error *err);
void sluice_pgsink_known_free(struct sluice_pgsink_known *known);
/* status loading, in the transaction at hand: what an abandoned run left counts no more. Takes letters
 * and shards of older runs of the stream away. */
sluice_status sluice_pgsink_loading_put(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                        const char *stream, const char *target, const char *run,
                                        int made, struct sluice_error *err);
/* status complete, in the transaction at hand; the run's shard rows go. */
sluice_status sluice_pgsink_complete_put(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                         const char *stream, const struct sluice_stream_end *end,
                                         struct sluice_error *err);

/* Remembers the columns of the version that the target is made for: a line each, identity, native type, name.
 * In the transaction at hand; a stream without row gets one (status following). */
sluice_status sluice_pgsink_columns_put(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                        const struct sluice_pgsink_stream *stream, int made,
                                        struct sluice_error *err);
/* The same text, owned; NULL = none. `made`: sluice made the table. */
sluice_status sluice_pgsink_columns_get(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                        const char *stream, char **out, int *made,
                                        struct sluice_error *err);

/* recover() of the sink: lanes (waiting for commits under way, FOR UPDATE) and complete streams, newest
 * first; fills tallies of quarantined streams. [ctl] */
sluice_status sluice_pgsink_recover(struct sluice_sink *sink, sluice_recovered_visit visit,
                                    void *vctx, struct sluice_error *err);

#endif /* SLUICE_PGSINK_CHECKPOINT_H */
