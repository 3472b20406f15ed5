/*
 * Shared inside core/state: the handle, SQL helpers, places.
 */
#ifndef SLUICE_STATE_STATE_INTERNAL_H
#define SLUICE_STATE_STATE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "base/str.h"
#include "state/state.h"

#define STATE_APPLICATION_ID 0x534c5543 /* "SLUC" */
#define STATE_VERSION 2
#define STATE_SUFFIX ".sluice.db"
#define STATE_CACHE 56      /* prepared statements kept */
#define STATE_GROUP_MAX 64  /* writers of one commit */
#define STATE_LOADS_KEPT 30 /* older ones are forgotten when a new one begins */
#define STATE_RUNS_KEPT 1000
#define STATE_TEXT_MAX 65536 /* longer texts in the file are damage */
#define STATE_FINGERPRINT_MAX 1048576

struct state_cached {
    const char *sql; /* a literal: compared by address */
    sqlite3_stmt *stmt;
};

/* A writer that waits for the commit of its group; on its own stack. */
struct state_waiter {
    struct state_waiter *next;
    int done;
    sluice_status status;
    struct sluice_error err;
};

struct sluice_state {
    pthread_mutex_t mutex; /* recursive: visitors may call back */
    sqlite3 *db;
    int lock_fd; /* -1 = READ */
    int writable;
    int64_t format;  /* what the tables were when opened: less than STATE_VERSION only for READ */
    int lock_depth;  /* of the thread that holds the mutex */
    int batch_depth; /* of writes and batches begun by that thread */
    int batch_failed;
    int savepoint;    /* the write stands on others' that wait for the commit */
    int64_t entering; /* atomic: writers between asking for the mutex and having it */
    size_t group_size;
    struct state_waiter *group; /* writers whose work is done and waits for the commit */
    pthread_cond_t committed;
    char *path;
    char *pipeline;
    struct state_cached cache[STATE_CACHE];
};

/* ---- place.c ---- */

/* Folder of `uri` or the default one, without a trailing '/'. Free with sluice_free. */
sluice_status sluice_state_folder(const char *uri, const char *default_dir, char **out,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;
/* Makes the folder and what lacks above it, 0700. */
sluice_status sluice_state_folder_make(const char *folder, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* "{folder}/{pipeline}{suffix}"; INVALID when the name could leave the folder. */
sluice_status sluice_state_file(const char *folder, const char *pipeline, const char *suffix,
                                char **out, struct sluice_error *err) SLUICE_MUST_CHECK;

/* ---- lock.c ---- */

/* Takes the lock at `path`; CONFLICT tells who holds it. The descriptor is the lock. */
sluice_status sluice_state_lock(const char *path, const char *pipeline, int *fd,
                                struct sluice_error *err) SLUICE_MUST_CHECK;

/* ---- schema.c ---- */

/* Makes the tables of an empty file, or checks that an existing one is ours, whole and not newer. An
 * older one is brought to today's format when the handle may write, and read as it is otherwise. */
sluice_status sluice_state_schema_open(struct sluice_state *state, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* ---- sql.c: all with the mutex held ---- */

/* Turns SQLite's last error into ours. */
sluice_status sluice_state_error(struct sluice_state *state, int rc, const char *what,
                                 struct sluice_error *err);
sluice_status sluice_state_exec(struct sluice_state *state, const char *sql, const char *what,
                                struct sluice_error *err) SLUICE_MUST_CHECK;

/* One statement being run. Binding failures are latched and come out of step. */
struct state_query {
    struct sluice_state *state;
    sqlite3_stmt *stmt;
    const char *what;
    int rc;
    int cached;
};

/* `sql` must be a literal; `what` names the operation in errors. A query that failed to begin may be
 * ended too. */
sluice_status sluice_query_begin(struct sluice_state *state, const char *sql, const char *what,
                                 struct state_query *query, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_query_text(struct state_query *query, int index, const char *text); /* NULL = null */
/* A message from outside: without secrets that it may hold. */
void sluice_query_message(struct state_query *query, int index, const char *text);
void sluice_query_int(struct state_query *query, int index, int64_t value);
void sluice_query_blob(struct state_query *query, int index, const void *data, uint64_t size);
/* SLUICE_OK = a row, SLUICE_END = no more. */
sluice_status sluice_query_step(struct state_query *query, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_query_end(struct state_query *query);
/* Column as text, "" for null; borrowed until the next step. Failures are latched for check. The
 * text is not const because the public structs are filled by callers too: nobody writes to it. */
char *sluice_query_column(struct state_query *query, int column);
/* The same, NULL for null. */
char *sluice_query_column_or_null(struct state_query *query, int column);
const void *sluice_query_column_blob(struct state_query *query, int column, uint64_t *size);
/* After the columns of a row were read: out of memory or damage on the way. */
sluice_status sluice_query_check(struct state_query *query, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Runs a bound statement that gives no rows and ends it. */
sluice_status sluice_query_run(struct state_query *query, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* ---- txn.c ---- */

/* Locks, and refuses when the handle is READ. Each write begins and ends with these; a transaction
 * spans all between. `status` is the outcome so far; end returns the final one. */
sluice_status sluice_state_write_begin(struct sluice_state *state, const char *what,
                                       struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status sluice_state_write_end(struct sluice_state *state, sluice_status status,
                                     const char *what, struct sluice_error *err) SLUICE_MUST_CHECK;
void sluice_state_read_begin(struct sluice_state *state);
void sluice_state_read_end(struct sluice_state *state);

/* The answer of a visitor: 1 = go on; otherwise *status is what the visit returns. */
int sluice_visit_goes_on(sluice_status answer, sluice_status *status, const char *what,
                         struct sluice_error *err);

#endif /* SLUICE_STATE_STATE_INTERNAL_H */
