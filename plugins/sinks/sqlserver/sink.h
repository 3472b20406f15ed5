/*
 * Sink `sqlserver`: the instance, its options, its connections, and the streams it knows.
 *
 * Threads: [ctl] functions of the sink use `ctl`, under the caller's promise of one at a time; lanes have
 * connections of their own. `mutex` guards what lanes and [ctl] share (streams, idle connections), for moments, never
 * over a statement.
 */
#ifndef SLUICE_MSSINK_SINK_H
#define SLUICE_MSSINK_SINK_H

#include <pthread.h>
#include <stdatomic.h>

#include "apply/tally.h"
#include "sluice/failpoint.h"
#include "sluice/schema.h"
#include "tds/conn.h"
#include "text.h"

struct mssink_table; /* table.h */

/* What a load does with rows that a table has and that no load of this pipeline brought: as in sink postgres. */
enum {
    MSSINK_EXISTING_AUTO =
        0, /* by write.mode: replace → REPLACE, append and history → APPEND, else REFUSE */
    MSSINK_EXISTING_REFUSE = 1,
    MSSINK_EXISTING_TRUNCATE = 2,
    MSSINK_EXISTING_REPLACE = 3,
    MSSINK_EXISTING_APPEND = 4,
    MSSINK_EXISTING_UPSERT = 5
};

enum { MSSINK_APPLY_EPOCH = 0, MSSINK_APPLY_TRANSACTIONAL = 1 };

struct mssink_options {
    struct sluice_tds_settings server;
    const char *schema;       /* default "dbo": for streams whose name has one part */
    const char *state_schema; /* of our own tables; default "sluice" */
    int64_t existing;         /* MSSINK_EXISTING_*; key `load_into` */
    int32_t auto_create;
    int64_t apply;       /* MSSINK_APPLY_* */
    int64_t small_rows;  /* at most so many changes go as single statements */
    int64_t flush_bytes; /* of encoded changes before they are written into the open transaction */
    int64_t load_bytes;  /* of a load's rows in one bulk batch */
};

/* What the end of a load does. */
enum {
    MSSINK_PUBLISH_DIRECT = 0, /* nothing: its rows went into the table itself */
    MSSINK_PUBLISH_REPLACE = 1,
    MSSINK_PUBLISH_APPEND = 2,
    MSSINK_PUBLISH_UPSERT = 3
};

/* What write: and route: say of a stream; a deep copy of struct sluice_write. */
struct mssink_write {
    struct sluice_write write; /* pointers are into the others */
    uint32_t *keys;
    char **target;
    char *soft_column;
    char *prefix;
};

/* One version of one stream. Made by stream_begin; lives until destroy. */
struct mssink_stream {
    struct mssink_stream *next;
    struct sluice_stream_desc *desc; /* owned */
    struct mssink_write write;
    char *schema; /* of the target */
    char *name;
    struct mssink_table
        *table; /* as this version writes it; owned. For changes: NULL until the lane has
                                   opened it */
    char *run;  /* of the load under way; NULL */
    char *
        shadow; /* load: name of the table in the target's schema that its rows go into; NULL = itself */
    int publish; /* load: MSSINK_PUBLISH_* */
    int made;    /* load: the table was made by it, its key is due at the end */
    int ours;    /* load beside a table: an earlier one of ours brought its rows */
    int loading;
    int run_table;                   /* `table` is the load's own: changes look theirs up first */
    struct sluice_apply_table apply; /* as the log knows `table`; filled with it */
};

struct sluice_sink {
    const struct sluice_host *host;
    const struct sluice_failpoint_extension *failpoints;
    struct mssink_options options;
    struct sluice_tds_conn *ctl; /* [ctl]; NULL = not connected */
    /* of the plan; owned */
    char *pipeline;
    char *node;
    char *load_id;
    int32_t mode;
    int32_t on_table_error;
    struct sluice_apply_tallies tallies; /* what was refused, and tables set aside */
    char owner[40];                      /* of this instance: random, in every row that it claims */
    char *state;                         /* the state schema, quoted */
    pthread_mutex_t mutex;
    struct mssink_stream *streams; /* newest first */
    struct sluice_tds_conn *idle[32];
    uint32_t idle_count;
    _Atomic uint64_t bytes;
    uint8_t digest_position[64]; /* [ctl] */
};

/* ---- sink.c ---- */

sluice_status mssink_create(const struct sluice_host *host, struct sluice_sink **out,
                            struct sluice_error *err);
void mssink_destroy(struct sluice_sink *sink);
void mssink_cancel(struct sluice_sink *sink);
sluice_status mssink_open(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                          struct sluice_error *err);
sluice_status mssink_stream_begin(struct sluice_sink *sink, const struct sluice_stream_begin *begin,
                                  struct sluice_error *err);
sluice_status mssink_stream_end(struct sluice_sink *sink, const struct sluice_stream_end *end,
                                struct sluice_error *err);
uint64_t mssink_bytes_written(struct sluice_sink *sink);
sluice_status mssink_describe(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                              const struct sluice_stream_begin *begin, sluice_finding_visit visit,
                              void *vctx, struct sluice_error *err);
/* Takes over what the plan says; open does, and the calls that come without it. [ctl] */
sluice_status mssink_plan(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                          struct sluice_error *err);
/* A connection for a lane: XACT_ABORT and the like are set. [any] */
sluice_status mssink_conn_take(struct sluice_sink *sink, struct sluice_tds_conn **out,
                               struct sluice_error *err);
/* Gives it back; `clean` = 0: it is closed, and with it whatever transaction it had. NULL is allowed. [any] */
void mssink_conn_give(struct sluice_sink *sink, struct sluice_tds_conn *conn, int clean);
/* The control connection, made anew when it broke. [ctl] */
sluice_status mssink_ctl(struct sluice_sink *sink, struct sluice_tds_conn **out,
                         struct sluice_error *err);
/* The next [ctl] call connects anew. */
void mssink_ctl_drop(struct sluice_sink *sink);
struct mssink_stream *mssink_stream_find(struct sluice_sink *sink, uint64_t stream_id,
                                         uint64_t schema_id);
/* A stream that is not registered: for describe and digest. */
sluice_status mssink_stream_make(struct sluice_sink *sink, const struct sluice_stream_begin *begin,
                                 struct mssink_stream **out, struct sluice_error *err);
void mssink_stream_free(struct mssink_stream *stream);

/* Runs the statement of `text` and frees the text, whatever comes of it. */
sluice_status mssink_run(struct sluice_tds_conn *conn, const char *what, struct mssink_text *text,
                         struct sluice_error *err);
/* One value of a query as text, owned; NULL when it gave no row or NULL. Frees the text. */
sluice_status mssink_value(struct sluice_tds_conn *conn, const char *what, struct mssink_text *text,
                           char **out, struct sluice_error *err);
/* Errors are swallowed: a connection that breaks has no transaction either. */
void mssink_rollback(struct sluice_tds_conn *conn);

/* ---- digest.c ---- */
sluice_status mssink_digest(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                            const struct sluice_digest_ask *ask, sluice_digest_visit visit,
                            void *vctx, struct sluice_digest_info *info, struct sluice_error *err);

/* ---- check.c ---- */
sluice_status mssink_check(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                           sluice_finding_visit visit, void *vctx, struct sluice_error *err);

extern const struct sluice_component mssink_component;

#endif /* SLUICE_MSSINK_SINK_H */
