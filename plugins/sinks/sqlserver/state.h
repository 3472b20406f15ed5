/*
 * The sink's own tables, in schema `state_schema`: lanes (what is committed of each shard), streams (loads, and the
 * columns that a table was last fitted to) and letters (rows that were refused). A row is changed in the transaction of the data that it speaks of.
 */
#ifndef SLUICE_MSSINK_STATE_H
#define SLUICE_MSSINK_STATE_H

#include "table.h"

/* Makes the tables that are not there. [ctl] */
sluice_status mssink_state_make(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                struct sluice_error *err);

/* A lane's claim: whoever holds it may advance it. */
struct mssink_claim {
    uint64_t epoch;
    uint8_t *
        applied; /* owned; what source transactions are in the target beyond the epoch's; NULL = none */
    uint64_t applied_size;
};
/* Takes the row of a lane of changes: its former owner is fenced. CONFLICT | RETRYABLE while that one commits. */
sluice_status mssink_claim_take(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                const char *shard, struct mssink_claim *out,
                                struct sluice_error *err);
void mssink_claim_free(struct mssink_claim *claim);
/* The statement that advances it by compare-and-set, in the transaction at hand: throws 51003 when the lane is
 * another's. `commit` NULL: `applied` alone moves. */
void mssink_advance_text(const struct sluice_sink *sink, const char *shard,
                         const struct mssink_claim *claim, const struct sluice_commit *commit,
                         struct sluice_bytes applied, struct mssink_text *out);
/* 1 if the error is that of a lane which is another's; `err` then says so. */
int mssink_is_fenced(const struct sluice_sink *sink, const char *shard, struct sluice_error *err);

/* A shard of a load is whole; in the transaction at hand. */
sluice_status mssink_shard_put(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                               const char *shard, const struct mssink_stream *stream,
                               const struct sluice_commit *commit, struct sluice_error *err);

/* How far changes are applied, of the lane that is farthest; size 0 = none. Changes nothing: the state may be missing. */
sluice_status mssink_position_get(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                  uint8_t store[64], struct sluice_bytes *out,
                                  struct sluice_error *err);

struct mssink_known {
    int found;
    char status[16];
    char run[48];
    int made;      /* we made the table; loading into a shadow: the table's rows are ours */
    char *target;  /* owned: the table that rows of the run go into, quoted; NULL = none */
    char *columns; /* owned: of the version that it was last fitted to; NULL = unknown */
};
sluice_status mssink_known_get(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                               const char *stream, struct mssink_known *out,
                               struct sluice_error *err);
void mssink_known_free(struct mssink_known *known);
/* status loading: what an abandoned run left counts no more. In the transaction at hand. */
sluice_status mssink_loading_put(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                 const struct mssink_stream *stream, struct sluice_error *err);
/* status complete; the run's shards go. In the transaction at hand. */
sluice_status mssink_complete_put(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                  const struct mssink_stream *stream,
                                  const struct sluice_stream_end *end, struct sluice_error *err);
/* Notes that a table was made or fitted for changes, in the transaction at hand. */
sluice_status mssink_fitted_put(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                const struct mssink_stream *stream, struct sluice_error *err);

/* Tables that were set aside by an earlier run. [ctl] */
sluice_status mssink_aside_read(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                struct sluice_error *err);
/* Writes down which tables are set aside since the last commit. In the transaction at hand. */
sluice_status mssink_aside_write(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                 struct sluice_error *err);

sluice_status mssink_recover(struct sluice_sink *sink, sluice_recovered_visit visit, void *vctx,
                             struct sluice_error *err);

#endif /* SLUICE_MSSINK_STATE_H */
