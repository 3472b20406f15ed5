/* The tables of the state file, format 2. Described in README.md; old files must stay readable. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "log/log.h"
#include "state/state_internal.h"

/* What format 2 has more than format 1. */
#define TABLES_OF_2                                                                                \
    "CREATE TABLE feeds ("                                                                         \
    " source TEXT NOT NULL, shard TEXT NOT NULL, sink TEXT NOT NULL, epoch INTEGER NOT NULL,"      \
    " position BLOB NOT NULL, changes INTEGER NOT NULL, transactions INTEGER NOT NULL,"            \
    " updated_us INTEGER NOT NULL, void_epoch INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (source, "   \
    "shard, sink)) STRICT, WITHOUT ROWID;"                                                         \
    "CREATE TABLE versions ("                                                                      \
    " source TEXT NOT NULL, stream TEXT NOT NULL, id INTEGER NOT NULL, fingerprint TEXT NOT NULL," \
    " PRIMARY KEY (source, stream, id)) STRICT, WITHOUT ROWID;"                                    \
    "CREATE TABLE created (source TEXT PRIMARY KEY, created TEXT NOT NULL) STRICT, WITHOUT ROWID;"

static const char schema_sql[] =
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"
    "CREATE TABLE loads ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, load_id TEXT NOT NULL UNIQUE,"
    " started_us INTEGER NOT NULL, finished_us INTEGER NOT NULL DEFAULT 0,"
    " mode INTEGER NOT NULL DEFAULT 1) STRICT;"
    "CREATE TABLE streams ("
    " load_id TEXT NOT NULL, source TEXT NOT NULL, stream TEXT NOT NULL, sink TEXT NOT NULL,"
    " run TEXT NOT NULL, message TEXT, status INTEGER NOT NULL, rows INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, started_us INTEGER NOT NULL, finished_us INTEGER NOT NULL,"
    " load_position TEXT, position BLOB NOT NULL DEFAULT x'',"
    " PRIMARY KEY (load_id, source, stream, sink)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE stamps (stream TEXT PRIMARY KEY, base TEXT NOT NULL, n INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE TABLE lanes ("
    " load_id TEXT NOT NULL, sink TEXT NOT NULL, shard TEXT NOT NULL, epoch INTEGER NOT NULL,"
    " position BLOB NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    " updated_us INTEGER NOT NULL, PRIMARY KEY (load_id, sink, shard)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE runs ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, load_id TEXT NOT NULL, started_us INTEGER NOT NULL,"
    " finished_us INTEGER NOT NULL DEFAULT 0, outcome TEXT, message TEXT,"
    " rows INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE TABLE identities (source TEXT PRIMARY KEY, identity TEXT NOT NULL)"
    " STRICT, WITHOUT ROWID;" TABLES_OF_2
    "PRAGMA application_id = 1397511491;" /* STATE_APPLICATION_ID */
    "PRAGMA user_version = 2;";

/* From format 1, which knew full loads alone: its loads are mode 1, SLUICE_MODE_FULL_LOAD_ONLY. */
static const char upgrade_1_sql[] =
    "ALTER TABLE loads ADD COLUMN mode INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE streams ADD COLUMN position BLOB NOT NULL DEFAULT x'';" TABLES_OF_2
    "PRAGMA user_version = 2;";

_Static_assert(STATE_APPLICATION_ID == 1397511491, "the literal in schema_sql");
_Static_assert(STATE_VERSION == 2, "the literals in schema_sql and upgrade_1_sql");

/* First column of the first row as number or, with text, as text. */
static sluice_status pragma_read(struct sluice_state *state, const char *sql, int64_t *number,
                                 struct sluice_str *text, struct sluice_error *err)
{
    struct state_query query;
    sluice_status status = sluice_query_begin(state, sql, "open", &query, err);
    if (status == SLUICE_OK) {
        status = sluice_query_step(&query, err);
    }
    if (status == SLUICE_OK && number != NULL) {
        *number = sqlite3_column_int64(query.stmt, 0);
    }
    if (status == SLUICE_OK && text != NULL) {
        sluice_str_append(text, sluice_query_column(&query, 0));
        status = sluice_query_check(&query, err);
    }
    sluice_query_end(&query);
    return status;
}

static sluice_status version_check(struct sluice_state *state, int64_t application, int64_t version,
                                   struct sluice_error *err)
{
    if (application != STATE_APPLICATION_ID || version < 1) {
        return sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_FATAL,
                                "%s is an SQLite file of another program: set another state.uri or "
                                "move it away",
                                state->path);
    }
    if (version > STATE_VERSION) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, SLUICE_ERROR_FATAL,
                                "state %s has format %" PRId64
                                ", this sluice reads up to %d: use the sluice that wrote it or a "
                                "newer one",
                                state->path, version, STATE_VERSION);
    }
    return SLUICE_OK;
}

static sluice_status whole_check(struct sluice_state *state, struct sluice_error *err)
{
    struct sluice_str found = SLUICE_STR_INIT;
    sluice_status status = pragma_read(state, "PRAGMA quick_check(1)", NULL, &found, err);
    for (size_t i = 0; i < found.size; i++) {
        found.data[i] = found.data[i] == '\n' ? ' ' : found.data[i];
    }
    if (status == SLUICE_OK && found.failed) {
        status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "state %s: out of memory", state->path);
    }
    else if (status == SLUICE_OK && strcmp(sluice_str_text(&found), "ok") != 0) {
        status =
            sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_FATAL,
                             "state %s is damaged (%.200s): move it away (mv \"%s\" \"%s.bad\") "
                             "and run again; unfinished loads begin anew, what sinks committed "
                             "stays",
                             state->path, sluice_str_text(&found), state->path, state->path);
    }
    sluice_str_free(&found);
    return status;
}

/* A file that was renamed or copied to another pipeline's name would mix their loads. */
static sluice_status pipeline_check(struct sluice_state *state, struct sluice_error *err)
{
    struct sluice_str name = SLUICE_STR_INIT;
    sluice_status status =
        pragma_read(state, "SELECT value FROM meta WHERE key = 'pipeline'", NULL, &name, err);
    if (status == SLUICE_OK && name.failed) {
        status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "state %s: out of memory", state->path);
    }
    else if (status >= 0 && strcmp(sluice_str_text(&name), state->pipeline) != 0) {
        status = sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_FATAL,
                                  "state %s belongs to pipeline \"%.80s\", not to %s: move it away",
                                  state->path, sluice_str_text(&name), state->pipeline);
    }
    sluice_str_free(&name);
    return status;
}

static sluice_status schema_make(struct sluice_state *state, struct sluice_error *err)
{
    struct state_query query;
    SLUICE_TRY(sluice_state_write_begin(state, "create", err));
    sluice_status status = sluice_state_exec(state, schema_sql, "create", err);
    if (status == SLUICE_OK) {
        status = sluice_query_begin(state, "INSERT INTO meta VALUES ('pipeline', ?1)", "create",
                                    &query, err);
    }
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, state->pipeline);
        status = sluice_query_run(&query, err);
    }
    return sluice_state_write_end(state, status, "create", err);
}

/* In one transaction: a process that dies in it leaves a file of format 1. */
static sluice_status upgrade(struct sluice_state *state, struct sluice_error *err)
{
    SLUICE_TRY(sluice_state_write_begin(state, "upgrade", err));
    sluice_status status = sluice_state_exec(state, upgrade_1_sql, "upgrade", err);
    SLUICE_TRY(sluice_state_write_end(state, status, "upgrade", err));
    sluice_log_line(SLUICE_LOG_INFO, "state", "upgraded %s from format 1 to %d", state->path,
                    STATE_VERSION);
    state->format = STATE_VERSION;
    return SLUICE_OK;
}

sluice_status sluice_state_schema_open(struct sluice_state *state, struct sluice_error *err)
{
    int64_t application = 0;
    int64_t version = 0;
    int64_t tables = 0;
    SLUICE_TRY(pragma_read(state, "PRAGMA application_id", &application, NULL, err));
    SLUICE_TRY(pragma_read(state, "PRAGMA user_version", &version, NULL, err));
    SLUICE_TRY(pragma_read(state, "SELECT count(*) FROM sqlite_schema", &tables, NULL, err));
    if (application == 0 && version == 0 && tables == 0) {
        if (!state->writable) {
            return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0,
                                    "pipeline %s has no state yet (%s is empty)", state->pipeline,
                                    state->path);
        }
        state->format = STATE_VERSION;
        return schema_make(state, err);
    }
    SLUICE_TRY(version_check(state, application, version, err));
    SLUICE_TRY(whole_check(state, err));
    SLUICE_TRY(pipeline_check(state, err));
    state->format = version;
    return version < STATE_VERSION && state->writable ? upgrade(state, err) : SLUICE_OK;
}
