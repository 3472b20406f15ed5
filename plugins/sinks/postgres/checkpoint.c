/* The sink's own tables: made, checked, claimed, advanced, read back. */
#include "checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/log.h"
#include "sluice/position.h"

#define STATE_FORMAT 1
#define CLAIM_TRIES 8
#define CLAIM_LOCK_MS 2000

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                            "out of memory for a checkpoint");
}

/* ---- the tables ---- */

/* Columns of each table, in the order of their names: what is compared with the catalog. */
static const struct {
    const char *table;
    const char *ddl;
    const char *columns;
} tables[] = {
    {"meta", "(format integer NOT NULL)", "format integer"},
    {"lanes",
     "(pipeline text, sink text, shard text, stream text, run text, epoch bigint NOT NULL, token "
     "bytea, position bytea, applied bytea, owner text, backend integer, backend_start timestamptz,"
     " seq bigint NOT NULL, updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(), "
     "PRIMARY KEY (pipeline, sink, shard))",
     "applied bytea,backend integer,backend_start timestamp with time zone,epoch bigint,owner text,"
     "pipeline text,position bytea,run text,seq bigint,shard text,sink text,stream text,token "
     "bytea,"
     "updated_at timestamp with time zone"},
    {"streams",
     "(pipeline text, sink text, stream text, target text NOT NULL, run text, status text NOT NULL,"
     " rows bigint, token bytea, position bytea, reason text, columns text, made boolean NOT NULL, "
     "seq bigint "
     "NOT "
     "NULL, updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(), PRIMARY KEY (pipeline, sink, "
     "stream))",
     "columns text,made boolean,pipeline text,position bytea,reason text,rows bigint,run text,seq "
     "bigint,sink "
     "text,status text,stream text,target text,token bytea,updated_at timestamp with time zone"},
    {"letters",
     "(id bigserial PRIMARY KEY, pipeline text NOT NULL, sink text NOT NULL, stream text NOT NULL, "
     "target text NOT NULL, shard text, run text, epoch bigint, op text NOT NULL, position text, "
     "seq bigint, sqlstate text, error text NOT NULL, key json, row json NOT NULL, how text NOT "
     "NULL, rejected_at "
     "timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), replayed_at timestamptz)",
     "epoch bigint,error text,how text,id bigint,key json,op text,pipeline text,position "
     "text,rejected_at "
     "timestamp with time zone,replayed_at timestamp with time zone,row json,run text,seq bigint,"
     "shard text,sink text,sqlstate text,stream text,target text"},
};
enum { TABLES = sizeof tables / sizeof tables[0] };

/* What is there, as one row per table: name, columns in the form above. */
static sluice_status read_tables(const struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                 PGresult **out, struct sluice_error *err)
{
    const char *const params[] = {sink->options.state_schema};
    return sluice_pg_query(
        conn, "look at the sink's own tables",
        "SELECT c.relname, pg_catalog.string_agg(a.attname || ' ' || "
        "pg_catalog.format_type(a.atttypid, a.atttypmod), ',' ORDER BY a.attname COLLATE \"C\") "
        "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT "
        "a.attisdropped WHERE n.nspname = $1 AND c.relkind = 'r' GROUP BY 1",
        1, params, out, err);
}

/* IF NOT EXISTS asks for the right to make it also where it is there. */
static sluice_status make_schema(const struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                 struct sluice_error *err)
{
    const char *const params[] = {sink->options.state_schema};
    struct sluice_pg_text sql = {0};
    char *missing = NULL;
    SLUICE_TRY(sluice_pgsink_value(
        conn, "look for the sink's schema",
        "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)", 1, params,
        &missing, err));
    const int make = missing[0] == 't';
    free(missing);
    if (!make) {
        return SLUICE_OK;
    }
    sluice_pg_text_format(&sql, "CREATE SCHEMA %s", sink->state);
    return sluice_pgsink_run_text(conn, "make the sink's schema", &sql, err);
}

static sluice_status make_tables(const struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                 struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    /* Two pipelines may come at the same time: one waits for the other. */
    sluice_status status =
        sluice_pg_command(conn, "make the sink's own tables",
                          "BEGIN; SELECT pg_catalog.pg_advisory_xact_lock(7310575217001)", err);
    if (status >= 0) {
        status = make_schema(sink, conn, err);
    }
    for (int i = 0; i < TABLES; i++) {
        sluice_pg_text_format(&sql, "CREATE TABLE IF NOT EXISTS %s.%s %s;", sink->state,
                              tables[i].table, tables[i].ddl);
    }
    sluice_pg_text_format(&sql, "CREATE SEQUENCE IF NOT EXISTS %s.seq;", sink->state);
    sluice_pg_text_format(
        &sql,
        "CREATE INDEX IF NOT EXISTS letters_stream ON %s.letters (pipeline, sink, "
        "stream, id);",
        sink->state);
    sluice_pg_text_format(&sql,
                          "INSERT INTO %s.meta SELECT %d WHERE NOT EXISTS (SELECT FROM %s.meta);"
                          "COMMIT",
                          sink->state, STATE_FORMAT, sink->state);
    if (status >= 0) {
        status = sluice_pgsink_run_text(conn, "make the sink's own tables", &sql, err);
    }
    sluice_pg_text_free(&sql);
    if (status < 0) {
        sluice_pgsink_rollback(conn);
    }
    if (status < 0 && strcmp(err->sqlstate, "42501") == 0) {
        status = sluice_error_set(
            err, SLUICE_E_PERMISSION, SLUICE_ERROR_FATAL,
            "role %s may not make the sink's own tables in schema %s (hint: GRANT CREATE ON "
            "DATABASE \"%s\" TO \"%s\", or: CREATE SCHEMA %s AUTHORIZATION \"%s\")",
            PQuser(conn->pg), sink->options.state_schema, PQdb(conn->pg), PQuser(conn->pg),
            sink->state, PQuser(conn->pg));
    }
    return status;
}

/* AGAIN: some table is missing. */
static sluice_status compare_tables(const struct sluice_sink *sink, const PGresult *have,
                                    struct sluice_error *err)
{
    for (int i = 0; i < TABLES; i++) {
        int row = 0;
        while (row < PQntuples(have) && strcmp(PQgetvalue(have, row, 0), tables[i].table) != 0) {
            row++;
        }
        if (row == PQntuples(have)) {
            return SLUICE_AGAIN;
        }
        if (strcmp(PQgetvalue(have, row, 1), tables[i].columns) != 0) {
            return sluice_error_set(
                err, SLUICE_E_SCHEMA, SLUICE_ERROR_FATAL,
                "table %s.%s was altered, or is not ours: it has the columns %.300s (hint: name "
                "another schema with option state_schema, or restore the columns %.300s)",
                sink->options.state_schema, tables[i].table, PQgetvalue(have, row, 1),
                tables[i].columns);
        }
    }
    return SLUICE_OK;
}

static sluice_status check_format(const struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                  struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    sluice_pg_text_format(&sql, "SELECT max(format), count(*) FROM %s.meta", sink->state);
    sluice_status status = sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status = sluice_pg_query(conn, "read the format of the sink's own tables", sql.data, 0,
                                 NULL, &result, err);
    }
    if (status >= 0 && (strcmp(PQgetvalue(result, 0, 1), "1") != 0 ||
                        strtol(PQgetvalue(result, 0, 0), NULL, 10) != STATE_FORMAT)) {
        status =
            sluice_error_set(err, SLUICE_E_SCHEMA, SLUICE_ERROR_FATAL,
                             "the sink's own tables in schema %s have format %.10s, this "
                             "version knows %d (hint: use the version that made them)",
                             sink->options.state_schema, PQgetvalue(result, 0, 0), STATE_FORMAT);
    }
    PQclear(result);
    sluice_pg_text_free(&sql);
    return status;
}

static sluice_status read_quarantined(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                      struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    const char *const params[] = {sink->pipeline, sink->node};
    sluice_pg_text_format(&sql,
                          "SELECT stream, coalesce(reason, '') FROM %s.streams WHERE pipeline = $1 "
                          "AND sink = $2 AND status = 'quarantined'",
                          sink->state);
    sluice_status status = sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status = sluice_pg_query(conn, "read which tables are set aside", sql.data, 2, params,
                                 &result, err);
    }
    for (int i = 0; status >= 0 && i < PQntuples(result); i++) {
        sluice_apply_aside(&sink->tallies, PQgetvalue(result, i, 0), PQgetvalue(result, i, 1));
    }
    PQclear(result);
    sluice_pg_text_free(&sql);
    return status;
}

/* Made once: every commit sends it. */
static sluice_status make_advance(struct sluice_sink *sink, struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    sluice_pg_text_format(
        &sql,
        "WITH u AS (UPDATE %s.lanes SET epoch = $6::bigint, "
        "token = CASE WHEN $7 = '' THEN token ELSE pg_catalog.decode($7, 'hex') END, "
        "position = CASE WHEN $8 = '' THEN position ELSE pg_catalog.decode($8, 'hex') END, "
        "applied = pg_catalog.decode($9, 'hex'), seq = pg_catalog.nextval('%s.seq'), "
        "updated_at = pg_catalog.now() WHERE pipeline = $1 AND sink = $2 AND shard = $3 AND "
        "owner = $4 AND epoch = $5::bigint RETURNING 1) SELECT 1 / count(*)::int FROM u",
        sink->state, sink->state);
    SLUICE_TRY(sluice_pg_text_check(&sql, err));
    free(sink->advance_sql);
    sink->advance_sql = sluice_pg_text_take(&sql);
    return sink->advance_sql != NULL ? SLUICE_OK : nomem(err);
}

sluice_status sluice_pgsink_state_prepare(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                          struct sluice_error *err)
{
    PGresult *have = NULL;
    SLUICE_TRY(make_advance(sink, err));
    SLUICE_TRY(read_tables(sink, conn, &have, err));
    sluice_status status = compare_tables(sink, have, err);
    PQclear(have);
    if (status == SLUICE_AGAIN) {
        SLUICE_TRY(make_tables(sink, conn, err));
        SLUICE_TRY(read_tables(sink, conn, &have, err));
        status = compare_tables(sink, have, err);
        PQclear(have);
        if (status == SLUICE_AGAIN) {
            status = sluice_error_set(err, SLUICE_E_INTERNAL, SLUICE_ERROR_FATAL,
                                      "the sink's own tables are not there after they were made");
        }
    }
    SLUICE_TRY(status);
    SLUICE_TRY(check_format(sink, conn, err));
    return read_quarantined(sink, conn, err);
}

/* ---- who writes a lane ---- */

/* Ends the session that claimed the lanes of this pipeline and still holds a row of them: it is of an engine
 * that hangs or is gone, or of one that is to be fenced. Its right to go on ends here anyway. */
static sluice_status end_holders(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                 struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    const char *const params[] = {sink->pipeline, sink->node};
    sluice_pg_text_format(
        &sql,
        "SELECT a.pid, pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a "
        "JOIN %s.lanes l ON l.backend = a.pid AND l.backend_start = a.backend_start WHERE "
        "l.pipeline = $1 AND l.sink = $2 AND a.pid <> pg_catalog.pg_backend_pid() AND a.usename = "
        "current_user",
        sink->state);
    sluice_status status = sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status = sluice_pg_query(conn, "end a session that holds the lane", sql.data, 2, params,
                                 &result, err);
    }
    if (status >= 0 && PQntuples(result) > 0) {
        sluice_log(sink->host, SLUICE_LOG_WARN,
                   "ended a session of this pipeline that held its lane pid=%s",
                   PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    sluice_pg_text_free(&sql);
    return status;
}

/* Runs `sql` with a short lock_timeout in a transaction of its own; whoever is in the way is ended. */
static sluice_status with_lock(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                               const char *what, const char *sql, int count,
                               const char *const *params, PGresult **out, struct sluice_error *err)
{
    char begin[64];
    (void)snprintf(begin, sizeof begin, "BEGIN; SET LOCAL lock_timeout = %d", CLAIM_LOCK_MS);
    for (int tries = 0;; tries++) {
        struct sluice_error ignored = SLUICE_ERROR_INIT;
        SLUICE_TRY(sluice_pg_command(conn, what, begin, err));
        sluice_status status = sluice_pg_query(conn, what, sql, count, params, out, err);
        if (status >= 0) {
            status = sluice_pg_command(conn, what, "COMMIT", err);
            if (status < 0) {
                PQclear(*out);
                *out = NULL;
            }
            return status;
        }
        if (PQstatus(conn->pg) != CONNECTION_OK) {
            return status;
        }
        SLUICE_TRY(sluice_pg_command(conn, what, "ROLLBACK", &ignored));
        if (strcmp(err->sqlstate, "55P03") != 0 || tries == CLAIM_TRIES) {
            return status;
        }
        SLUICE_TRY(end_holders(sink, conn, &ignored));
    }
}

/* "\x…" of the server's bytea output into bytes. */
static int unhex(const PGresult *result, int row, int column, uint8_t **out, size_t *size)
{
    *out = NULL;
    *size = 0;
    if (PQgetisnull(result, row, column)) {
        return 1;
    }
    size_t n = 0;
    unsigned char *raw =
        PQunescapeBytea((const unsigned char *)PQgetvalue(result, row, column), &n);
    uint8_t *copy = raw != NULL ? malloc(n + 1) : NULL;
    if (copy != NULL) {
        memcpy(copy, raw, n);
        *out = copy;
        *size = n;
    }
    PQfreemem(raw);
    return copy != NULL;
}

sluice_status sluice_pgsink_claim_take(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                       const char *shard, struct sluice_pgsink_claim *out,
                                       struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    const char *const params[] = {sink->pipeline, sink->node, shard, sink->owner};
    *out = (struct sluice_pgsink_claim){0};
    sluice_pg_text_format(
        &sql,
        "INSERT INTO %s.lanes AS l (pipeline, sink, shard, epoch, owner, backend, backend_start, "
        "seq) SELECT $1, $2, $3, 0, $4, a.pid, a.backend_start, pg_catalog.nextval('%s.seq') FROM "
        "pg_catalog.pg_stat_activity a WHERE a.pid = pg_catalog.pg_backend_pid() "
        "ON CONFLICT (pipeline, sink, shard) DO UPDATE SET owner = excluded.owner, backend = "
        "excluded.backend, backend_start = excluded.backend_start "
        "RETURNING epoch, coalesce(applied, position)",
        sink->state, sink->state);
    sluice_status status = sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status = with_lock(sink, conn, "claim the lane", sql.data, 4, params, &result, err);
    }
    if (status >= 0) {
        out->epoch = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
        out->shard = strdup(shard);
        if (out->shard == NULL || !unhex(result, 0, 1, &out->applied, &out->applied_size)) {
            status = nomem(err);
        }
    }
    PQclear(result);
    sluice_pg_text_free(&sql);
    return sluice_pgsink_hint(sink, err, status);
}

void sluice_pgsink_claim_free(struct sluice_pgsink_claim *claim)
{
    free(claim->shard);
    free(claim->applied);
    *claim = (struct sluice_pgsink_claim){0};
}

const char *sluice_pgsink_advance_sql(struct sluice_sink *sink)
{
    return sink->advance_sql;
}

static void add_hex(struct sluice_pg_text *out, const void *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    for (size_t i = 0; i < size; i++) {
        const char pair[2] = {digits[p[i] >> 4], digits[p[i] & 15]};
        sluice_pg_text_bytes(out, pair, 2);
    }
    sluice_pg_text_bytes(out, "", 1);
}

sluice_status sluice_pgsink_advance_make(const struct sluice_sink *sink,
                                         const struct sluice_pgsink_claim *claim,
                                         const struct sluice_commit *commit,
                                         struct sluice_bytes applied,
                                         struct sluice_pgsink_advance *out,
                                         struct sluice_error *err)
{
    char number[24];
    size_t at[5];
    struct sluice_pg_text *room = &out->room;
    *out = (struct sluice_pgsink_advance){0};
    at[0] = room->size;
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)claim->epoch);
    sluice_pg_text_bytes(room, number, strlen(number) + 1);
    at[1] = room->size;
    (void)snprintf(number, sizeof number, "%llu",
                   (unsigned long long)(commit != NULL ? commit->epoch : claim->epoch));
    sluice_pg_text_bytes(room, number, strlen(number) + 1);
    at[2] = room->size;
    add_hex(room, commit != NULL ? commit->token.data : NULL,
            commit != NULL ? commit->token.size : 0);
    at[3] = room->size;
    struct sluice_bytes position = commit != NULL ? commit->position : (struct sluice_bytes){0};
    add_hex(room, position.data, position.size);
    at[4] = room->size;
    const struct sluice_bytes *last = applied.size > 0 ? &applied : &position;
    add_hex(room, last->data, last->size);
    SLUICE_TRY(sluice_pg_text_check(room, err));
    out->values[0] = sink->pipeline;
    out->values[1] = sink->node;
    out->values[2] = claim->shard;
    out->values[3] = sink->owner;
    for (int i = 0; i < 5; i++) {
        out->values[4 + i] = room->data + at[i];
    }
    return SLUICE_OK;
}

void sluice_pgsink_advance_free(struct sluice_pgsink_advance *advance)
{
    sluice_pg_text_free(&advance->room);
    *advance = (struct sluice_pgsink_advance){0};
}

sluice_status sluice_pgsink_fenced(struct sluice_sink *sink, const char *shard,
                                   struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    struct sluice_pg_conn *conn = NULL;
    PGresult *result = NULL;
    char who[200] = "";
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    const char *const params[] = {sink->pipeline, sink->node, shard};
    sluice_pg_text_format(
        &sql,
        "SELECT pg_catalog.format('pid %%s, %%s, since %%s', l.backend, "
        "coalesce(a.application_name, "
        "'gone'), pg_catalog.date_trunc('second', l.backend_start)) FROM %s.lanes l LEFT JOIN "
        "pg_catalog.pg_stat_activity a ON a.pid = l.backend AND a.backend_start = l.backend_start "
        "WHERE l.pipeline = $1 AND l.sink = $2 AND l.shard = $3",
        sink->state);
    if (!sql.failed && sluice_pgsink_conn_take(sink, &conn, &ignored) >= 0) {
        if (sluice_pg_query(conn, "look who writes the lane", sql.data, 3, params, &result,
                            &ignored) >= 0 &&
            PQntuples(result) == 1) {
            (void)snprintf(who, sizeof who, ": %s", PQgetvalue(result, 0, 0));
        }
        PQclear(result);
        sluice_pgsink_conn_give(sink, conn);
    }
    sluice_pg_text_free(&sql);
    return sluice_error_set(
        err, SLUICE_E_CONFLICT, SLUICE_ERROR_FATAL | SLUICE_ERROR_EPOCH_ABORTED,
        "another engine writes pipeline %s into this database now%s; nothing of this epoch was "
        "kept (hint: let one run alone, or give this one another name)",
        sink->pipeline, who);
}

/* ---- loads ---- */

/* Runs one statement of parameters over the state's tables. %s of `format` is the state schema. */
static sluice_status run(const struct sluice_sink *sink, struct sluice_pg_conn *conn,
                         const char *what, const char *sql, int count, const char *const *params,
                         struct sluice_error *err)
{
    struct sluice_pg_text text = {0};
    PGresult *result = NULL;
    for (const char *p = sql; *p != '\0'; p++) { /* @ stands for the schema */
        if (*p == '@') {
            sluice_pg_text_add(&text, sink->state);
        }
        else {
            sluice_pg_text_bytes(&text, p, 1);
        }
    }
    sluice_status status = sluice_pg_text_check(&text, err);
    if (status >= 0) {
        status = sluice_pg_query(conn, what, text.data, count, params, &result, err);
    }
    PQclear(result);
    sluice_pg_text_free(&text);
    return status;
}

sluice_status sluice_pgsink_shard_put(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                      const char *shard, const char *stream, const char *run_name,
                                      const struct sluice_commit *commit, struct sluice_error *err)
{
    struct sluice_pg_text token = {0};
    char epoch[24];
    add_hex(&token, commit->token.data, commit->token.size);
    SLUICE_TRY(sluice_pg_text_check(&token, err));
    (void)snprintf(epoch, sizeof epoch, "%llu", (unsigned long long)commit->epoch);
    const char *const params[] = {sink->pipeline, sink->node, shard,      stream,
                                  run_name,       epoch,      token.data, sink->owner};
    sluice_status status =
        run(sink, conn, "note a shard of a load",
            "INSERT INTO @.lanes (pipeline, sink, shard, stream, run, epoch, token, owner, seq) "
            "VALUES ($1, $2, $3, $4, $5, $6::bigint, pg_catalog.decode($7, 'hex'), $8, "
            "pg_catalog.nextval('@.seq')) ON CONFLICT (pipeline, sink, shard) DO UPDATE SET "
            "stream = excluded.stream, run = excluded.run, epoch = excluded.epoch, token = "
            "excluded.token, owner = excluded.owner, seq = excluded.seq, updated_at = "
            "pg_catalog.now()",
            8, params, err);
    sluice_pg_text_free(&token);
    return status;
}

sluice_status sluice_pgsink_known_get(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                      const char *stream, struct sluice_pgsink_known *out,
                                      struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    const char *const params[] = {sink->pipeline, sink->node, stream};
    *out = (struct sluice_pgsink_known){0};
    if (sink->stateless) {
        return SLUICE_OK;
    }
    sluice_pg_text_format(&sql,
                          "SELECT status, coalesce(run, ''), made, target, reason FROM %s.streams "
                          "WHERE pipeline = $1 AND sink = $2 AND stream = $3",
                          sink->state);
    sluice_status status = sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status =
            sluice_pg_query(conn, "look what the stream was", sql.data, 3, params, &result, err);
    }
    if (status >= 0 && PQntuples(result) > 0) {
        out->found = 1;
        (void)snprintf(out->status, sizeof out->status, "%s", PQgetvalue(result, 0, 0));
        (void)snprintf(out->run, sizeof out->run, "%s", PQgetvalue(result, 0, 1));
        out->made = PQgetvalue(result, 0, 2)[0] == 't';
        out->target = strdup(PQgetvalue(result, 0, 3));
        out->reason = PQgetisnull(result, 0, 4) ? NULL : strdup(PQgetvalue(result, 0, 4));
        status = out->target != NULL ? SLUICE_OK : nomem(err);
    }
    PQclear(result);
    sluice_pg_text_free(&sql);
    return status;
}

void sluice_pgsink_known_free(struct sluice_pgsink_known *known)
{
    free(known->target);
    free(known->reason);
    *known = (struct sluice_pgsink_known){0};
}

sluice_status sluice_pgsink_loading_put(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                        const char *stream, const char *target,
                                        const char *run_name, int made, struct sluice_error *err)
{
    const char *const put[] = {sink->pipeline, sink->node, stream,
                               target,         run_name,   made ? "t" : "f"};
    const char *const drop[] = {sink->pipeline, sink->node, stream};
    SLUICE_TRY(
        run(sink, conn, "note that a load begins",
            "INSERT INTO @.streams (pipeline, sink, stream, target, run, status, made, seq) VALUES "
            "($1, $2, $3, $4, $5, 'loading', $6::boolean, pg_catalog.nextval('@.seq')) ON CONFLICT "
            "(pipeline, sink, stream) DO UPDATE SET target = excluded.target, run = excluded.run, "
            "status = 'loading', reason = NULL, token = NULL, rows = NULL, position = NULL, made = "
            "excluded.made OR @.streams.made, seq = excluded.seq, updated_at = pg_catalog.now()",
            6, put, err));
    SLUICE_TRY(run(sink, conn, "forget the shards of an older load",
                   "DELETE FROM @.lanes WHERE pipeline = $1 AND sink = $2 AND stream = $3", 3, drop,
                   err));
    /* Rows that an older load, or changes before this one, were about: the new load brings them again. */
    return run(sink, conn, "drop letters that the new load replaces",
               "DELETE FROM @.letters WHERE pipeline = $1 AND sink = $2 AND stream = $3", 3, drop,
               err);
}

sluice_status sluice_pgsink_complete_put(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                         const char *stream, const struct sluice_stream_end *end,
                                         struct sluice_error *err)
{
    struct sluice_pg_text token = {0};
    struct sluice_pg_text position = {0};
    char rows[24];
    (void)snprintf(rows, sizeof rows, "%llu", (unsigned long long)end->rows);
    add_hex(&token, end->token.data, end->token.size);
    add_hex(&position, end->load_position.data, end->load_position.size);
    sluice_status status = sluice_pg_text_check(&token, err);
    if (status >= 0) {
        status = sluice_pg_text_check(&position, err);
    }
    const char *const params[] = {sink->pipeline, sink->node, stream,       end->run,
                                  rows,           token.data, position.data};
    const char *const drop[] = {sink->pipeline, sink->node, stream};
    if (status >= 0) {
        status = run(
            sink, conn, "note that a load is whole",
            "UPDATE @.streams SET status = 'complete', rows = $5::bigint, token = "
            "pg_catalog.decode($6, 'hex'), position = pg_catalog.decode($7, 'hex'), seq = "
            "pg_catalog.nextval('@.seq'), updated_at = pg_catalog.now() WHERE pipeline = $1 AND "
            "sink = $2 AND stream = $3 AND run = $4",
            7, params, err);
    }
    if (status >= 0) {
        status = run(sink, conn, "forget the shards of a load",
                     "DELETE FROM @.lanes WHERE pipeline = $1 AND sink = $2 AND stream = $3", 3,
                     drop, err);
    }
    sluice_pg_text_free(&token);
    sluice_pg_text_free(&position);
    return status;
}

/* ---- reading back ---- */

static sluice_status visit_row(const PGresult *result, int row, sluice_recovered_visit visit,
                               void *vctx, struct sluice_error *err)
{
    uint8_t *token = NULL;
    size_t size = 0;
    int lane = PQgetvalue(result, row, 0)[0] == 'l';
    if (!unhex(result, row, 5, &token, &size)) {
        return nomem(err);
    }
    const struct sluice_recovered found = {
        .struct_size = sizeof found,
        .kind = lane ? SLUICE_RECOVERED_LANE : SLUICE_RECOVERED_STREAM_COMPLETE,
        .shard_id = lane ? PQgetvalue(result, row, 1) : NULL,
        .stream = lane ? NULL : PQgetvalue(result, row, 1),
        .run = PQgetisnull(result, row, 2) ? NULL : PQgetvalue(result, row, 2),
        .epoch = strtoull(PQgetvalue(result, row, 3), NULL, 10),
        .rows = strtoull(PQgetvalue(result, row, 4), NULL, 10),
        .token = {token, size}};
    sluice_status status = visit(vctx, &found);
    free(token);
    if (status < 0) {
        return sluice_error_set(err, status, 0, "what the target has was not taken");
    }
    return status;
}

sluice_status sluice_pgsink_recover(struct sluice_sink *sink, sluice_recovered_visit visit,
                                    void *vctx, struct sluice_error *err)
{
    struct sluice_pg_conn *conn = NULL;
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    const char *const params[] = {sink->pipeline, sink->node};
    SLUICE_TRY(sluice_pgsink_ctl(sink, &conn, err));
    /* FOR UPDATE waits for a commit under way: before it ends nobody knows whether it took place. */
    sluice_pg_text_format(
        &sql,
        "WITH l AS MATERIALIZED (SELECT shard, run, epoch, token, seq FROM %s.lanes WHERE pipeline "
        "= $1 AND sink = $2 FOR UPDATE) "
        "SELECT 'lane', shard, run, epoch, 0, token, seq FROM l WHERE token IS NOT NULL "
        "UNION ALL SELECT 'stream', stream, run, 0, coalesce(rows, 0), token, seq FROM %s.streams "
        "WHERE pipeline = $1 AND sink = $2 AND status IN ('complete', 'quarantined') AND token IS "
        "NOT NULL ORDER BY 7 DESC",
        sink->state, sink->state);
    sluice_status status = sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status = with_lock(sink, conn, "read what is committed", sql.data, 2, params, &result, err);
    }
    for (int i = 0; status >= 0 && i < PQntuples(result); i++) {
        status = visit_row(result, i, visit, vctx, err);
        if (status == SLUICE_END) {
            break;
        }
    }
    PQclear(result);
    sluice_pg_text_free(&sql);
    return status < 0 ? sluice_pgsink_hint(sink, err, status) : SLUICE_OK;
}
