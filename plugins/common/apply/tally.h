/*
 * What a sink does with what its target refuses: rows by the policy of `on_error`, tables that are set aside, and the counts
 * that report() tells.
 *
 * Threads: all [any]; a mutex of its own is held for moments.
 */
#ifndef SLUICE_COMMON_APPLY_TALLY_H
#define SLUICE_COMMON_APPLY_TALLY_H

#include <pthread.h>

#include "apply/log.h"

struct sluice_apply_tally;
struct sluice_apply_tallies {
    pthread_mutex_t mutex;
    struct sluice_apply_tally *first; /* one for each stream's name that has something to tell */
    uint64_t rejected;                /* rows of this process, all streams, in committed work */
    int32_t on_row_error;             /* SLUICE_ROWS_*; constant once set */
    uint64_t max_rejected;            /* 0 = any */
};

sluice_status sluice_apply_tallies_init(struct sluice_apply_tallies *tallies,
                                        struct sluice_error *err) SLUICE_MUST_CHECK;
void sluice_apply_tallies_free(struct sluice_apply_tallies *tallies);

/* ---- rows ---- */

/* What becomes of a row that was refused for `err`; `open` were refused before in the transaction at hand. STOP: the
 * error's status, `err` unchanged. SKIP: OK. DLQ: AGAIN, a letter is due. In both `err` is cleared and *why has it. LIMIT |
 * FATAL when max_rejected is passed. */
sluice_status sluice_apply_refuse(struct sluice_apply_tallies *tallies, uint64_t open,
                                  struct sluice_error *why, struct sluice_error *err);
/* Rows that were refused in a lane's open transaction, by stream: parts of an epoch are written and forgotten before it is
 * committed. Threads: the lane's. */
struct sluice_apply_open {
    struct sluice_apply_open_stream *streams; /* owned */
    uint32_t count;
};
/* A count for people: without memory it is less, the letters are exact. */
void sluice_apply_open_add(struct sluice_apply_open *open, const char *stream);
uint64_t sluice_apply_open_rows(const struct sluice_apply_open *open);
/* The transaction is gone. */
void sluice_apply_open_clear(struct sluice_apply_open *open);
/* The transaction is committed: `settle` is told of each stream, and the counts are cleared. */
void sluice_apply_open_settle(struct sluice_apply_open *open,
                              void (*settle)(void *ctx, const char *stream, uint64_t rows),
                              void *ctx);

/* So many rows were refused in a transaction that is committed now. 1 if they are the stream's first. */
int sluice_apply_refused(struct sluice_apply_tallies *tallies, const char *stream, uint64_t rows);

/* What a letter has of a change. Texts are owned. */
struct sluice_apply_letter {
    char position[132]; /* hex */
    int64_t seq;
    char op;                        /* as the source said */
    struct sluice_apply_buffer row; /* JSON, NUL-terminated */
    struct sluice_apply_buffer key; /* the same; data NULL = none */
};
/* Of a change that the target refused, or, X, that could not be encoded: then `err` is set to why. NOMEM. */
sluice_status sluice_apply_letter_make(const struct sluice_apply_log *log,
                                       const struct sluice_apply_change *change,
                                       struct sluice_apply_letter *out, struct sluice_error *err);
void sluice_apply_letter_free(struct sluice_apply_letter *letter);
/* What replaying a letter means: "insert" (a row of a history), "ignore", "hard", or "soft:COLUMN" (deletes). */
void sluice_apply_letter_how(const struct sluice_write *write, struct sluice_apply_buffer *out);

/* ---- tables that are set aside ---- */

int sluice_apply_is_aside(struct sluice_apply_tallies *tallies, const char *stream);
/* Known to be aside; NULL = it is not any more. */
void sluice_apply_aside(struct sluice_apply_tallies *tallies, const char *stream,
                        const char *reason);
/* The same, and the next commit has to write it. */
void sluice_apply_aside_plan(struct sluice_apply_tallies *tallies, const char *stream,
                             const char *reason);
int sluice_apply_aside_pending(struct sluice_apply_tallies *tallies);
/* Visits what is planned; on the lane's own thread, which alone plans. */
typedef sluice_status (*sluice_apply_aside_visit)(void *ctx, const char *stream, const char *reason,
                                                  struct sluice_error *err);
sluice_status sluice_apply_aside_each(struct sluice_apply_tallies *tallies,
                                      sluice_apply_aside_visit visit, void *ctx,
                                      struct sluice_error *err);
/* What aside_each() visited is committed; what was planned since is still to be written. */
void sluice_apply_aside_done(struct sluice_apply_tallies *tallies);
/* 1 if the error is one that comes again whenever the table is written: neither a lost connection nor the disk. */
int sluice_apply_is_for_good(const struct sluice_error *err);

/* sluice_sink_api.report */
sluice_status sluice_apply_report(struct sluice_apply_tallies *tallies, sluice_report_visit visit,
                                  void *vctx, struct sluice_error *err);

#endif /* SLUICE_COMMON_APPLY_TALLY_H */
