/* SQLite under our errors, with the mutex, kept statements and transactions. */
#include <string.h>

#include "base/alloc.h"
#include "log/log.h"
#include "state/state_internal.h"

static sluice_status damaged(struct sluice_state *state, int rc, const char *what,
                             struct sluice_error *err)
{
    return sluice_error_set(
        err, SLUICE_E_DATA, SLUICE_ERROR_FATAL,
        "state %s is damaged or no sluice state (%s: %s): move it away (mv \"%s\" "
        "\"%s.bad\") and run again; unfinished loads begin anew, what sinks "
        "committed stays",
        state->path, what, sqlite3_errstr(rc), state->path, state->path);
}

sluice_status sluice_state_error(struct sluice_state *state, int rc, const char *what,
                                 struct sluice_error *err)
{
    int extended = state->db != NULL ? sqlite3_extended_errcode(state->db) : rc;
    const char *text = state->db != NULL ? sqlite3_errmsg(state->db) : sqlite3_errstr(rc);
    sluice_status status = SLUICE_E_INTERNAL;
    switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_MISMATCH:
        status = damaged(state, rc, what, err);
        break;
    case SQLITE_NOMEM:
        status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "state %s: %s: out of memory",
                                  state->path, what);
        break;
    case SQLITE_FULL:
        status = sluice_error_set(err, SLUICE_E_LIMIT, SLUICE_ERROR_RETRYABLE,
                                  "state %s: %s: the disk is full: make room", state->path, what);
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        status = sluice_error_set(err, SLUICE_E_TIMEOUT, SLUICE_ERROR_RETRYABLE,
                                  "state %s: %s: another program keeps the file locked (%s)",
                                  state->path, what, text);
        break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
        status =
            sluice_error_set(err, SLUICE_E_PERMISSION, 0,
                             "state %s: %s: %s: file and folder must be writable by this user, or "
                             "set another state.uri",
                             state->path, what, text);
        break;
    case SQLITE_IOERR:
        status = sluice_error_set(err, SLUICE_E_IO, 0, "state %s: %s: %s (%s)", state->path, what,
                                  text, sqlite3_errstr(extended));
        break;
    default:
        status = sluice_error_set(err, SLUICE_E_INTERNAL, 0, "state %s: %s: %s", state->path, what,
                                  text);
        break;
    }
    if (err != NULL) {
        err->native_code = extended;
    }
    return status;
}

sluice_status sluice_state_exec(struct sluice_state *state, const char *sql, const char *what,
                                struct sluice_error *err)
{
    int rc = sqlite3_exec(state->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? SLUICE_OK : sluice_state_error(state, rc, what, err);
}

/* A kept statement that is free, or NULL; *slot is where a new one may be kept. */
static sqlite3_stmt *cache_find(struct sluice_state *state, const char *sql, int *slot)
{
    *slot = -1;
    for (int i = 0; i < STATE_CACHE; i++) {
        if (state->cache[i].sql == sql) {
            return sqlite3_stmt_busy(state->cache[i].stmt) ? NULL : state->cache[i].stmt;
        }
        if (state->cache[i].sql == NULL) {
            *slot = i;
            return NULL;
        }
    }
    return NULL;
}

sluice_status sluice_query_begin(struct sluice_state *state, const char *sql, const char *what,
                                 struct state_query *query, struct sluice_error *err)
{
    int slot = -1;
    *query = (struct state_query){state, cache_find(state, sql, &slot), what, SQLITE_OK, 1};
    if (query->stmt != NULL) {
        return SLUICE_OK;
    }
    int rc = sqlite3_prepare_v3(state->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &query->stmt, NULL);
    if (rc != SQLITE_OK) {
        query->stmt = NULL;
        return sluice_state_error(state, rc, what, err);
    }
    query->cached = slot >= 0;
    if (slot >= 0) {
        state->cache[slot] = (struct state_cached){sql, query->stmt};
    }
    return SLUICE_OK;
}

static void latch(struct state_query *query, int rc)
{
    if (query->rc == SQLITE_OK) {
        query->rc = rc;
    }
}

void sluice_query_text(struct state_query *query, int index, const char *text)
{
    latch(query, text != NULL ? sqlite3_bind_text(query->stmt, index, text, -1, SQLITE_TRANSIENT)
                              : sqlite3_bind_null(query->stmt, index));
}

void sluice_query_message(struct state_query *query, int index, const char *text)
{
    char *copy = text != NULL ? sluice_alloc_string(text) : NULL;
    if (text != NULL && copy == NULL) {
        latch(query, SQLITE_NOMEM);
        return;
    }
    sluice_log_redact(copy);
    sluice_query_text(query, index, copy);
    sluice_free(copy);
}

void sluice_query_int(struct state_query *query, int index, int64_t value)
{
    latch(query, sqlite3_bind_int64(query->stmt, index, value));
}

void sluice_query_blob(struct state_query *query, int index, const void *data, uint64_t size)
{
    /* No data is an empty blob, not null. */
    latch(query, size > 0 ? sqlite3_bind_blob64(query->stmt, index, data, size, SQLITE_TRANSIENT)
                          : sqlite3_bind_zeroblob(query->stmt, index, 0));
}

sluice_status sluice_query_step(struct state_query *query, struct sluice_error *err)
{
    int rc = query->rc != SQLITE_OK ? query->rc : sqlite3_step(query->stmt);
    if (rc == SQLITE_ROW) {
        return SLUICE_OK;
    }
    return rc == SQLITE_DONE ? SLUICE_END : sluice_state_error(query->state, rc, query->what, err);
}

void sluice_query_end(struct state_query *query)
{
    if (query->stmt == NULL) {
        return;
    }
    if (query->cached) {
        (void)sqlite3_reset(query->stmt);
        (void)sqlite3_clear_bindings(query->stmt);
    }
    else {
        (void)sqlite3_finalize(query->stmt);
    }
    query->stmt = NULL;
}

char *sluice_query_column_or_null(struct state_query *query, int column)
{
    if (sqlite3_column_type(query->stmt, column) == SQLITE_NULL) {
        return NULL;
    }
    union {
        const unsigned char *in;
        char *out;
    } text = {sqlite3_column_text(query->stmt, column)};
    if (text.in == NULL) {
        latch(query, SQLITE_NOMEM);
    }
    else if (sqlite3_column_bytes(query->stmt, column) > STATE_TEXT_MAX) {
        latch(query, SQLITE_CORRUPT);
        return NULL;
    }
    return text.out;
}

char *sluice_query_column(struct state_query *query, int column)
{
    static char none[1];
    char *text = sluice_query_column_or_null(query, column);
    return text != NULL ? text : none;
}

const void *sluice_query_column_blob(struct state_query *query, int column, uint64_t *size)
{
    const void *data = sqlite3_column_blob(query->stmt, column);
    *size = (uint64_t)sqlite3_column_bytes(query->stmt, column);
    if (data == NULL && *size > 0) {
        latch(query, SQLITE_NOMEM);
        *size = 0;
    }
    return data;
}

sluice_status sluice_query_check(struct state_query *query, struct sluice_error *err)
{
    return query->rc == SQLITE_OK ? SLUICE_OK
                                  : sluice_state_error(query->state, query->rc, query->what, err);
}

sluice_status sluice_query_run(struct state_query *query, struct sluice_error *err)
{
    sluice_status status = sluice_query_step(query, err);
    sluice_query_end(query);
    return status < 0 ? status : SLUICE_OK;
}

int sluice_visit_goes_on(sluice_status answer, sluice_status *status, const char *what,
                         struct sluice_error *err)
{
    if (answer < 0) {
        *status = sluice_error_set(err, answer, 0, "%s: the visitor stopped", what);
        return 0;
    }
    if (answer == SLUICE_END) {
        *status = SLUICE_OK;
        return 0;
    }
    return 1;
}
