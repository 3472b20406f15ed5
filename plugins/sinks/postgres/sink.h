/*
 * Sink `postgres`: the instance, its options, its connections, and the streams it knows.
 *
 * Threads: [ctl] functions of the sink use `ctl`, under the caller's promise of one at a time; lanes have
 * connections of their own. `mutex` guards what lanes and [ctl] share (streams, idle connections,
 * counts) and is held for moments, never over a statement.
 */
#ifndef SLUICE_PGSINK_SINK_H
#define SLUICE_PGSINK_SINK_H

#include <pthread.h>
#include <stdatomic.h>

#include "apply/tally.h"
#include "pg/conn.h"
#include "pg/settings.h"
#include "pg/text.h"
#include "sluice/failpoint.h"
#include "sluice/schema.h"

struct sluice_pgsink_table; /* table.h */

enum { SLUICE_PGSINK_APPLY_EPOCH = 0, SLUICE_PGSINK_APPLY_TRANSACTIONAL = 1 };
/* What a load does with rows that a table has and that no load of this pipeline brought. */
enum {
    SLUICE_PGSINK_EXISTING_AUTO =
        0, /* by write.mode: replace → REPLACE, append and history → APPEND,
                                        else REFUSE */
    SLUICE_PGSINK_EXISTING_REFUSE = 1,
    SLUICE_PGSINK_EXISTING_TRUNCATE = 2, /* emptied before the first row */
    SLUICE_PGSINK_EXISTING_REPLACE = 3,  /* kept until the load is whole, then replaced at once */
    SLUICE_PGSINK_EXISTING_APPEND = 4,   /* kept; the load is added at once when it is whole */
    SLUICE_PGSINK_EXISTING_UPSERT = 5    /* kept; the load is put by key at once when it is whole */
};
enum { SLUICE_PGSINK_INDEXES_AFTER = 0, SLUICE_PGSINK_INDEXES_BEFORE = 1 };

struct sluice_pgsink_options {
    struct sluice_pg_settings settings;
    const char *state_schema; /* of our own tables; default "sluice" */
    const char *schema;       /* default "public": for streams whose name has one part */
    int64_t apply;            /* SLUICE_PGSINK_APPLY_* */
    int64_t existing;         /* SLUICE_PGSINK_EXISTING_*; key `load_into` */
    int64_t indexes;      /* key `indexes`: when a load makes the primary key of tables we create */
    int64_t unlogged;     /* tables we create are UNLOGGED during their load */
    int64_t analyze;      /* tables are analysed when their load is whole */
    int64_t auto_create;  /* 1 */
    int64_t replica_role; /* session_replication_role = replica while writing */
    int64_t small_rows;   /* at most so many changes go as single statements; advanced */
    int64_t flush_bytes;  /* of encoded changes before they are written into the open transaction */
};

/* What the end of a load does. */
enum {
    SLUICE_PGSINK_PUBLISH_DIRECT = 0, /* nothing: its rows went into the table itself */
    SLUICE_PGSINK_PUBLISH_REPLACE = 1,
    SLUICE_PGSINK_PUBLISH_APPEND = 2,
    SLUICE_PGSINK_PUBLISH_UPSERT = 3
};

/* What write: and route: say of a stream; a deep copy of struct sluice_write. */
struct sluice_pgsink_write {
    struct sluice_write write; /* pointers are into `keys`, `target`, `soft_column`, `prefix` */
    uint32_t *keys;
    char **target;
    char *soft_column;
    char *prefix;
};

/* One version of one stream. Made by stream_begin; lives until destroy. */
struct sluice_pgsink_stream {
    struct sluice_pgsink_stream *next;
    struct sluice_stream_desc *desc; /* owned */
    struct sluice_pgsink_write write;
    struct sluice_pgsink_table
        *table; /* as this version writes it; owned. For changes: NULL until the
                                          lane has opened it. Replaced by its one lane alone */
    struct sluice_apply_table apply; /* changes: how their log sees `table` */
    char *run;                       /* of the load under way; NULL */
    char *shadow;      /* load: name of the table in target schema that its rows go into; NULL = the
                                          target itself */
    char *primary_key; /* load: statement for its end; NULL = none is due */
    int run_table;     /* `table` is the load's own: changes look theirs up first */
    int publish;       /* load: SLUICE_PGSINK_PUBLISH_* */
    uint64_t load_rejected; /* under mutex: rows of this run that were refused */
    int loading;
};

struct sluice_sink {
    const struct sluice_host *host;
    struct sluice_pgsink_options options;
    struct sluice_pg_registry *registry;
    struct sluice_pg_conn *ctl; /* [ctl]; NULL = not connected */
    /* of the plan; owned */
    char *pipeline;
    char *node;
    char *load_id;
    int32_t mode;
    int32_t on_table_error;
    char owner[40]; /* of this instance: random, in every row that it claims */

    pthread_mutex_t mutex;
    struct sluice_pgsink_stream *streams; /* newest first */
    struct sluice_pg_conn *idle[64];      /* connections that loads may use again */
    uint32_t idle_count;

    struct sluice_apply_tallies tallies; /* what was refused, and tables set aside */
    int stateless;                       /* [ctl] describe, before the sink's own tables are made */
    char *advance_sql;                   /* checkpoint.c */
    char *state;                         /* the state schema, quoted */
    const struct sluice_failpoint_extension *failpoints;
    uint8_t digest_position[64]; /* [ctl] */
    _Atomic uint64_t bytes;
};

/* sink.c ------------------------------------------------------------------------------------- */

/* A connection for a lane, its session prepared: session_replication_role if asked, timeouts
 * (idle_in_transaction_session_timeout, tcp_user_timeout of the server's side), role checks. [any] */
sluice_status sluice_pgsink_conn_take(struct sluice_sink *sink, struct sluice_pg_conn **out,
                                      struct sluice_error *err);
/* Gives it back for the next shard, or closes it when it is broken or in a transaction. NULL is allowed.
 * [any] */
void sluice_pgsink_conn_give(struct sluice_sink *sink, struct sluice_pg_conn *conn);
/* The control connection, made anew when it broke. [ctl] */
sluice_status sluice_pgsink_ctl(struct sluice_sink *sink, struct sluice_pg_conn **out,
                                struct sluice_error *err);
/* Takes over what the plan says; open does, and the calls that come without it. [ctl] */
sluice_status sluice_pgsink_plan(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                 struct sluice_error *err);
/* A stream that is not registered: for describe and digest. */
sluice_status sluice_pgsink_stream_make(const struct sluice_stream_begin *begin,
                                        struct sluice_pgsink_stream **out,
                                        struct sluice_error *err);
void sluice_pgsink_stream_free(struct sluice_pgsink_stream *stream);
/* The stream's version, or NULL. Lives until destroy. [any] */
struct sluice_pgsink_stream *sluice_pgsink_stream_find(struct sluice_sink *sink, uint64_t stream_id,
                                                       uint64_t schema_id);

/* A statement that may take hours (an index, a table copied): no limit but cancel and the server's own. */
sluice_status sluice_pgsink_long(struct sluice_pg_conn *conn, const char *what, const char *sql,
                                 struct sluice_error *err);
/* One value of a query, owned; "" when it gave no row. */
sluice_status sluice_pgsink_value(struct sluice_pg_conn *conn, const char *what, const char *sql,
                                  int count, const char *const *params, char **out,
                                  struct sluice_error *err);
/* Runs the statement of `text` and frees the text, whatever comes of it. */
sluice_status sluice_pgsink_run_text(struct sluice_pg_conn *conn, const char *what,
                                     struct sluice_pg_text *text, struct sluice_error *err);
/* Errors are swallowed: a connection that breaks has no transaction either. */
void sluice_pgsink_rollback(struct sluice_pg_conn *conn);
/* error.c: the hint of an error becomes one for targets (GRANT INSERT, not SELECT …). Gives `status`. */
sluice_status sluice_pgsink_hint(const struct sluice_sink *sink, struct sluice_error *err,
                                 sluice_status status);

/* quarantine.c ------------------------------------------------------------------------------- */

/* Writes down which tables are set aside since the last commit. In the transaction at hand. */
sluice_status sluice_pgsink_quarantine_write(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                             struct sluice_error *err);

#endif /* SLUICE_PGSINK_SINK_H */
