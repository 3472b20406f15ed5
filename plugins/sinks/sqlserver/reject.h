/*
 * Rows that the target refuses for what is in them, tables that are set aside, and the letters.
 */
#ifndef SLUICE_MSSINK_REJECT_H
#define SLUICE_MSSINK_REJECT_H

#include "changes.h"

/* 1 if the error is about the row alone: a key or unique index (2627, 2601), a foreign key or check (547), NOT NULL (515),
 * too long (8152, 2628), out of range or no such value (220, 8115, 241, 242, 245, 8114 …), XML (94xx), what triggers throw
 * (50000 and above, 3609), and our own ROW_LEVEL ones. */
int mssink_is_row_error(const struct sluice_error *err);

struct mssink_refused {
    const struct mssink_stream *stream;
    const char *target; /* quoted */
    const char *shard;
    uint64_t epoch;       /* of changes; 0 = of a load */
    char op;              /* I U D R */
    const char *position; /* hex; NULL = of a load */
    int64_t seq;
    const char *key; /* JSON; NULL */
    const char *row; /* JSON, never NULL */
    uint64_t open;   /* so many were refused before in the transaction at hand */
};
/* By the policy (apply/tally.h); a letter is written into the transaction at hand, which must be usable. */
sluice_status mssink_refuse(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                            const struct mssink_refused *refused, struct sluice_error *err);
/* Rows of the stream were refused in a transaction that is committed now. [any] */
void mssink_refused_settle(struct sluice_sink *sink, const char *stream, uint64_t rows);
/* Behind a statement that failed under XACT_ABORT OFF: 1 if the transaction goes on. */
int mssink_tx_lives(struct sluice_tds_conn *conn);

/* ---- careful.c ---- */

/* Changes [from, to) in order, each row that is refused found and left out. With lane->redo the transaction is gone, and
 * the whole of it must come again: what took it away is known then. */
sluice_status mssink_careful_apply(struct mssink_changes *lane, size_t from, size_t to,
                                   struct sluice_error *err);
/* 1 if some change in [from, to) could not be encoded. */
int mssink_has_refused(const struct sluice_apply_log *log, size_t from, size_t to);
/* Counts what a transaction that is committed refused: others of the epoch follow. */
void mssink_careful_count(struct mssink_changes *lane);
/* The same at the epoch's end: what was known of bad rows is forgotten, too. */
void mssink_careful_settle(struct mssink_changes *lane);
void mssink_careful_free(struct mssink_changes *lane);

/* ---- letters.c: sluice_sink_api.letters, .replay, .report ---- */

sluice_status mssink_letters(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                             const char *stream, uint64_t from, sluice_letter_visit visit,
                             void *vctx, struct sluice_error *err);
sluice_status mssink_replay(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                            uint64_t id, const char *row, struct sluice_error *err);
sluice_status mssink_report(struct sluice_sink *sink, sluice_report_visit visit, void *vctx,
                            struct sluice_error *err);

#endif /* SLUICE_MSSINK_REJECT_H */
