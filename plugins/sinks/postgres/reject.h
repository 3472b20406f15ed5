/*
 * Rows that the target refuses for what is in them: the policy, and the letters.
 */
#ifndef SLUICE_PGSINK_REJECT_H
#define SLUICE_PGSINK_REJECT_H

#include "sink.h"

/* 1 if the error is about the row alone: 22xxx, 23502 (not null), 23514 (check), 23505 (unique), 23P01,
 * 23503 (foreign key), P0001 and other errors raised by triggers, and our own ROW_LEVEL ones. */
int sluice_pgsink_is_row_error(const struct sluice_error *err);

struct sluice_pgsink_refused {
    const char *stream;
    const char *target;
    const char *shard;
    const char *run;      /* of a load; NULL */
    uint64_t epoch;       /* of changes */
    char op;              /* I U D R */
    const char *position; /* hex; NULL */
    int64_t seq;
    const char *key;                  /* JSON; NULL */
    const char *row;                  /* JSON, never NULL */
    const struct sluice_write *write; /* how it was to be written */
    uint64_t open;                    /* so many were refused before in the transaction at hand */
};

/* STOP: answers the error as it is, `err` unchanged. SKIP and DLQ: counts, writes the letter within the
 * transaction at hand, and answers OK; LIMIT | FATAL when max_rejected is passed. The transaction must
 * be usable (rolled back to a savepoint before). */
sluice_status sluice_pgsink_refuse(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                   const struct sluice_pgsink_refused *refused,
                                   struct sluice_error *err);
/* Rows of the stream were refused in a transaction that is committed now. [any] */
void sluice_pgsink_refused_settle(struct sluice_sink *sink, const char *stream, uint64_t rows);

/* sluice_sink_api.letters, .replay, .report */
sluice_status sluice_pgsink_letters(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                    const char *stream, uint64_t from, sluice_letter_visit visit,
                                    void *vctx, struct sluice_error *err);
sluice_status sluice_pgsink_replay(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                   uint64_t id, const char *row, struct sluice_error *err);
sluice_status sluice_pgsink_report(struct sluice_sink *sink, sluice_report_visit visit, void *vctx,
                                   struct sluice_error *err);

#endif /* SLUICE_PGSINK_REJECT_H */
