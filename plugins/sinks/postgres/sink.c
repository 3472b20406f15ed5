/* The instance: created, connected, told of streams, destroyed. */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "changes.h"
#include "checkpoint.h"
#include "load.h"
#include "pg/error.h"
#include "sluice/log.h"

/* ---- life ---- */

static void write_free(struct sluice_pgsink_write *write)
{
    for (uint32_t i = 0; write->target != NULL && i < write->write.target_count; i++) {
        free(write->target[i]);
    }
    free((void *)write->target);
    free(write->keys);
    free(write->soft_column);
    free(write->prefix);
    *write = (struct sluice_pgsink_write){0};
}

static void stream_free(struct sluice_pgsink_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    sluice_stream_desc_free(stream->desc);
    write_free(&stream->write);
    sluice_pgsink_table_free(stream->table);
    free(stream->run);
    free(stream->shadow);
    free(stream->primary_key);
    free(stream);
}

void sluice_pgsink_destroy(struct sluice_sink *sink)
{
    if (sink == NULL) {
        return;
    }
    sluice_pg_close(sink->ctl);
    for (uint32_t i = 0; i < sink->idle_count; i++) {
        sluice_pg_close(sink->idle[i]);
    }
    while (sink->streams != NULL) {
        struct sluice_pgsink_stream *next = sink->streams->next;
        stream_free(sink->streams);
        sink->streams = next;
    }
    sluice_apply_tallies_free(&sink->tallies);
    sluice_pg_registry_destroy(sink->registry);
    (void)pthread_mutex_destroy(&sink->mutex);
    free(sink->pipeline);
    free(sink->node);
    free(sink->load_id);
    free(sink->advance_sql);
    free(sink->state);
    free(sink);
}

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a sink");
}

static void make_owner(struct sluice_sink *sink)
{
    uint8_t random[16] = {0};
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        int64_t now = sink->host->now_us(sink->host->ctx, SLUICE_CLOCK_WALL);
        memcpy(random, &now, sizeof now);
    }
    for (size_t i = 0; i < sizeof random; i++) {
        (void)snprintf(sink->owner + 2 * i, 3, "%02x", random[i]);
    }
}

sluice_status sluice_pgsink_create(const struct sluice_host *host, struct sluice_sink **out,
                                   struct sluice_error *err)
{
    struct sluice_sink *sink = calloc(1, sizeof *sink);
    struct sluice_pg_text state = {0};
    if (sink == NULL || pthread_mutex_init(&sink->mutex, NULL) != 0 ||
        sluice_apply_tallies_init(&sink->tallies, err) < 0) {
        free(sink);
        return nomem(err);
    }
    sink->host = host;
    sink->failpoints = sluice_failpoints_of(host);
    make_owner(sink);
    sink->registry = sluice_pg_registry_create();
    sluice_status status =
        sink->registry != NULL ? sluice_pgsink_options_bind(host, &sink->options, err) : nomem(err);
    if (status >= 0) {
        sluice_pg_text_ident(&state, sink->options.state_schema);
        sink->state = sluice_pg_text_take(&state);
        status = sink->state != NULL ? SLUICE_OK : nomem(err);
    }
    if (status < 0) {
        sluice_pgsink_destroy(sink);
        return status;
    }
    *out = sink;
    return SLUICE_OK;
}

void sluice_pgsink_cancel(struct sluice_sink *sink)
{
    sluice_pg_registry_cancel(sink->registry);
}

uint64_t sluice_pgsink_bytes_written(struct sluice_sink *sink)
{
    return atomic_load_explicit(&sink->bytes, memory_order_relaxed);
}

/* ---- connections ---- */

/* Functions of the target's triggers expect an ordinary search_path; all that we send is qualified. Our
 * transactions wait for the source at times, but a session that hangs must not hold its locks for ever. */
static sluice_status prepare_session(const struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                     struct sluice_error *err)
{
    sluice_status status =
        sluice_pg_command(conn, "prepare a session",
                          "SET search_path = \"$user\", public; "
                          /* The source may forget what was committed here. */
                          "SELECT pg_catalog.set_config('synchronous_commit', 'on', false) WHERE "
                          "pg_catalog.current_setting('synchronous_commit') = 'off'; SET "
                          "idle_in_transaction_session_timeout = '5min'; "
                          "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 5; "
                          "SET tcp_keepalives_count = 4; SET tcp_user_timeout = '40s'",
                          err);
    if (status >= 0 && sink->options.replica_role) {
        status = sluice_pg_command(conn, "set session_replication_role",
                                   "SET session_replication_role = replica", err);
        if (status < 0 && strcmp(err->sqlstate, "42501") == 0) {
            status = sluice_error_set(
                err, SLUICE_E_PERMISSION, SLUICE_ERROR_FATAL,
                "option replica_role: the role may not set session_replication_role (hint: GRANT "
                "SET ON PARAMETER session_replication_role TO the role, from PostgreSQL 15, or "
                "leave the option out)");
        }
    }
    return status;
}

static sluice_status connect_new(struct sluice_sink *sink, struct sluice_pg_conn **out,
                                 struct sluice_error *err)
{
    struct sluice_pg_conn *conn = NULL;
    SLUICE_TRY(
        sluice_pg_connect(&sink->options.settings, sink->host, sink->registry, 0, &conn, err));
    sluice_status status =
        conn->sql_ascii
            ? sluice_error_set(err, SLUICE_E_UNSUPPORTED, SLUICE_ERROR_FATAL,
                               "the target database has no encoding (SQL_ASCII): text could not "
                               "be told from bytes (hint: make one with ENCODING 'UTF8')")
            : prepare_session(sink, conn, err);
    if (status < 0) {
        sluice_pg_close(conn);
        return status;
    }
    *out = conn;
    return SLUICE_OK;
}

static int is_usable(const struct sluice_pg_conn *conn)
{
    return PQstatus(conn->pg) == CONNECTION_OK && !atomic_load(&conn->busy) &&
           PQtransactionStatus(conn->pg) == PQTRANS_IDLE;
}

sluice_status sluice_pgsink_conn_take(struct sluice_sink *sink, struct sluice_pg_conn **out,
                                      struct sluice_error *err)
{
    struct sluice_pg_conn *conn = NULL;
    (void)pthread_mutex_lock(&sink->mutex);
    if (sink->idle_count > 0) {
        conn = sink->idle[--sink->idle_count];
    }
    (void)pthread_mutex_unlock(&sink->mutex);
    if (conn != NULL) {
        *out = conn;
        return SLUICE_OK;
    }
    return connect_new(sink, out, err);
}

void sluice_pgsink_conn_give(struct sluice_sink *sink, struct sluice_pg_conn *conn)
{
    if (conn == NULL) {
        return;
    }
    int kept = 0;
    if (is_usable(conn)) {
        (void)pthread_mutex_lock(&sink->mutex);
        if (sink->idle_count < sizeof sink->idle / sizeof sink->idle[0]) {
            sink->idle[sink->idle_count++] = conn;
            kept = 1;
        }
        (void)pthread_mutex_unlock(&sink->mutex);
    }
    if (!kept) {
        sluice_pg_close(conn);
    }
}

sluice_status sluice_pgsink_ctl(struct sluice_sink *sink, struct sluice_pg_conn **out,
                                struct sluice_error *err)
{
    if (sink->ctl != NULL && !is_usable(sink->ctl)) {
        sluice_pg_close(sink->ctl);
        sink->ctl = NULL;
    }
    if (sink->ctl == NULL) {
        SLUICE_TRY(connect_new(sink, &sink->ctl, err));
    }
    if (PQtransactionStatus(sink->ctl->pg) == PQTRANS_INERROR) {
        sluice_pgsink_rollback(sink->ctl); /* what failed before is not to fail this */
    }
    *out = sink->ctl;
    return SLUICE_OK;
}

sluice_status sluice_pgsink_long(struct sluice_pg_conn *conn, const char *what, const char *sql,
                                 struct sluice_error *err)
{
    SLUICE_TRY(sluice_pg_send(conn, what, sql, 0, NULL, err));
    sluice_status failed = SLUICE_OK; /* of the statement: what is read behind it is no answer */
    for (;;) {
        if (PQisBusy(conn->pg)) {
            SLUICE_TRY(sluice_pg_read(conn, what, 60 * 1000000ll, err));
            continue;
        }
        PGresult *result = PQgetResult(conn->pg);
        if (result == NULL) {
            break;
        }
        if (failed >= 0 && PQresultStatus(result) == PGRES_FATAL_ERROR) {
            failed = sluice_pg_error_result(err, result, what);
        }
        PQclear(result);
    }
    atomic_store(&conn->busy, 0);
    return failed;
}

sluice_status sluice_pgsink_run_text(struct sluice_pg_conn *conn, const char *what,
                                     struct sluice_pg_text *text, struct sluice_error *err)
{
    sluice_status status = sluice_pg_text_check(text, err);
    if (status >= 0) {
        status = sluice_pgsink_long(conn, what, text->data, err);
    }
    sluice_pg_text_free(text);
    return status;
}

void sluice_pgsink_rollback(struct sluice_pg_conn *conn)
{
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    if (PQstatus(conn->pg) == CONNECTION_OK &&
        sluice_pg_command(conn, "roll back", "ROLLBACK", &ignored) < 0) {
        return; /* the session is broken, and with it the transaction is gone */
    }
}

/* ---- opening ---- */

static sluice_status copy_plan(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                               struct sluice_error *err)
{
    free(sink->pipeline);
    free(sink->node);
    free(sink->load_id);
    sink->pipeline = strdup(plan->pipeline);
    sink->node = strdup(plan->node);
    sink->load_id = strdup(plan->load_id != NULL ? plan->load_id : "");
    sink->mode = plan->mode;
    sink->tallies.on_row_error = plan->on_row_error != 0 ? plan->on_row_error : SLUICE_ROWS_STOP;
    sink->on_table_error = plan->on_table_error != 0 ? plan->on_table_error : SLUICE_TABLES_STOP;
    sink->tallies.max_rejected = plan->max_rejected;
    return sink->pipeline != NULL && sink->node != NULL && sink->load_id != NULL ? SLUICE_OK
                                                                                 : nomem(err);
}

sluice_status sluice_pgsink_plan(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                 struct sluice_error *err)
{
    return copy_plan(sink, plan, err);
}

static sluice_status refuse_read_only(struct sluice_pg_conn *conn, struct sluice_error *err)
{
    PGresult *result = NULL;
    SLUICE_TRY(sluice_pg_query(conn, "look whether the target takes writes",
                               "SELECT pg_catalog.pg_is_in_recovery(), "
                               "pg_catalog.current_setting('transaction_read_only')",
                               0, NULL, &result, err));
    int standby = PQgetvalue(result, 0, 0)[0] == 't';
    int read_only = strcmp(PQgetvalue(result, 0, 1), "on") == 0;
    PQclear(result);
    if (standby) {
        return sluice_error_set(err, SLUICE_E_PERMISSION, SLUICE_ERROR_FATAL,
                                "the target is a standby, which takes no writes (hint: connect to "
                                "its primary)");
    }
    if (read_only) {
        return sluice_error_set(err, SLUICE_E_PERMISSION, SLUICE_ERROR_FATAL,
                                "sessions of the target are read-only (hint: ALTER ROLE … SET "
                                "default_transaction_read_only = off)");
    }
    return SLUICE_OK;
}

sluice_status sluice_pgsink_open(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                 struct sluice_error *err)
{
    struct sluice_pg_conn *conn = NULL;
    SLUICE_TRY(copy_plan(sink, plan, err));
    SLUICE_TRY(sluice_pgsink_ctl(sink, &conn, err));
    SLUICE_TRY(refuse_read_only(conn, err));
    return sluice_pgsink_hint(sink, err, sluice_pgsink_state_prepare(sink, conn, err));
}

/* ---- streams ---- */

struct sluice_pgsink_stream *sluice_pgsink_stream_find(struct sluice_sink *sink, uint64_t stream_id,
                                                       uint64_t schema_id)
{
    (void)pthread_mutex_lock(&sink->mutex);
    struct sluice_pgsink_stream *stream = sink->streams;
    while (stream != NULL &&
           (stream->desc->stream_id != stream_id || stream->desc->schema_id != schema_id)) {
        stream = stream->next;
    }
    (void)pthread_mutex_unlock(&sink->mutex);
    return stream;
}

/* Of a load: whichever version has it. */
static struct sluice_pgsink_stream *find_loading(struct sluice_sink *sink, uint64_t stream_id)
{
    (void)pthread_mutex_lock(&sink->mutex);
    struct sluice_pgsink_stream *stream = sink->streams;
    while (stream != NULL && !(stream->desc->stream_id == stream_id && stream->run != NULL)) {
        stream = stream->next;
    }
    (void)pthread_mutex_unlock(&sink->mutex);
    return stream;
}

static sluice_status write_copy(const struct sluice_write *from, const struct sluice_stream_desc *d,
                                struct sluice_pgsink_write *out, struct sluice_error *err)
{
    /* What an engine that says nothing means. */
    const struct sluice_write plain = {.mode = SLUICE_WRITE_UPSERT,
                                       .deletes = SLUICE_DELETES_HARD,
                                       .duplicates = SLUICE_DUPLICATES_ONE,
                                       .key_count = d->key_count,
                                       .keys = d->keys,
                                       .target_count = d->part_count > 2 ? 2 : d->part_count,
                                       .target =
                                           d->parts + (d->part_count > 2 ? d->part_count - 2 : 0),
                                       .soft_column = "_sluice_deleted",
                                       .metadata_prefix = "_sluice_"};
    const struct sluice_write *w = from != NULL ? from : &plain;
    out->write = *w;
    out->keys = calloc(w->key_count + 1u, sizeof *out->keys);
    out->target = (char **)calloc(w->target_count + 1u, sizeof *out->target);
    out->soft_column = strdup(w->soft_column);
    out->prefix = strdup(w->metadata_prefix);
    int ok =
        out->keys != NULL && out->target != NULL && out->soft_column != NULL && out->prefix != NULL;
    for (uint32_t i = 0; ok && i < w->key_count; i++) {
        out->keys[i] = w->keys[i];
    }
    for (uint32_t i = 0; ok && i < w->target_count; i++) {
        out->target[i] = strdup(w->target[i]);
        ok = out->target[i] != NULL;
    }
    out->write.keys = out->keys;
    out->write.target = (const char *const *)out->target;
    out->write.soft_column = out->soft_column;
    out->write.metadata_prefix = out->prefix;
    return ok ? SLUICE_OK : nomem(err);
}

sluice_status sluice_pgsink_stream_make(const struct sluice_stream_begin *begin,
                                        struct sluice_pgsink_stream **out, struct sluice_error *err)
{
    struct sluice_pgsink_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        return nomem(err);
    }
    const struct sluice_write *write =
        begin->struct_size >= offsetof(struct sluice_stream_begin, write) + sizeof begin->write
            ? begin->write
            : NULL;
    stream->desc = sluice_stream_desc_copy(begin->desc);
    sluice_status status =
        stream->desc != NULL ? write_copy(write, begin->desc, &stream->write, err) : nomem(err);
    if (status >= 0 && (begin->flags & SLUICE_BEGIN_LOAD) != 0) {
        stream->run = strdup(begin->run);
        status = stream->run != NULL ? SLUICE_OK : nomem(err);
    }
    if (status < 0) {
        stream_free(stream);
        return status;
    }
    *out = stream;
    return SLUICE_OK;
}

void sluice_pgsink_stream_free(struct sluice_pgsink_stream *stream)
{
    stream_free(stream);
}

static void add_stream(struct sluice_sink *sink, struct sluice_pgsink_stream *stream)
{
    (void)pthread_mutex_lock(&sink->mutex);
    stream->next = sink->streams;
    sink->streams = stream;
    (void)pthread_mutex_unlock(&sink->mutex);
}

static int is_key_of_source(const struct sluice_stream_desc *desc, uint32_t column)
{
    for (uint32_t i = 0; i < desc->key_count; i++) {
        if (desc->keys[i] == column) {
            return 1;
        }
    }
    return 0;
}

/* What rows are found by must come with updates and deletes. */
static sluice_status check_key(const struct sluice_pgsink_stream *stream, struct sluice_error *err)
{
    const struct sluice_write *w = &stream->write.write;
    const struct sluice_stream_desc *d = stream->desc;
    int inserts = (d->flags & SLUICE_STREAM_INSERT_ONLY) != 0 || w->mode == SLUICE_WRITE_HISTORY ||
                  w->mode == SLUICE_WRITE_APPEND;
    if (inserts || d->before == SLUICE_BEFORE_FULL) {
        return SLUICE_OK;
    }
    if (w->key_count == 0) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "stream %s has no key, and its updates and deletes come without the old row (hint: "
            "give it a primary key, or ALTER TABLE … REPLICA IDENTITY FULL, or write it with "
            "write.mode: append or history)",
            d->name);
    }
    for (uint32_t i = 0; i < w->key_count; i++) {
        if (!is_key_of_source(d, w->keys[i])) {
            return sluice_error_set(
                err, SLUICE_E_INVALID, 0,
                "stream %s: write.key has column %s, whose old value does not come with updates "
                "and deletes (hint: ALTER TABLE … REPLICA IDENTITY FULL at the source, or use "
                "columns of its key)",
                d->name, d->schema->children[w->keys[i]]->name);
        }
    }
    return SLUICE_OK;
}

/* Makes the table of a stream that is followed, if it is not there. */
static sluice_status begin_changes(struct sluice_sink *sink, struct sluice_pgsink_stream *stream,
                                   struct sluice_error *err)
{
    struct sluice_pg_conn *conn = NULL;
    struct sluice_pgsink_ddl ddl = {0};
    struct sluice_pgsink_known known = {0};
    SLUICE_TRY(check_key(stream, err));
    SLUICE_TRY(sluice_pgsink_ctl(sink, &conn, err));
    sluice_status status = sluice_pgsink_known_get(sink, conn, stream->desc->name, &known, err);
    if (status >= 0) {
        status = sluice_pgsink_ddl_plan(sink, conn, stream, NULL, &ddl, err);
    }
    if (status >= 0 && ddl.creates && known.found) {
        /* Made anew it would lack all that came before. */
        status = sluice_error_set(
            err, SLUICE_E_SCHEMA, 0,
            "its table is gone from the target, and its rows with it (hint: bring it back, or have "
            "it loaded anew: sluice state resync FILE --stream %s)",
            stream->desc->name);
    }
    if (status >= 0 && ddl.refused != NULL) {
        status = sluice_error_set(err, SLUICE_E_SCHEMA, 0, "%s", ddl.refused);
    }
    if (status >= 0 && ddl.creates) {
        status = sluice_pg_command(conn, "begin", "BEGIN", err);
        if (status >= 0) {
            status = sluice_pgsink_ddl_run(sink, conn, &ddl, stream->desc->name, err);
        }
        if (status >= 0 && ddl.primary_key != NULL) {
            status = sluice_pgsink_long(conn, "add the primary key", ddl.primary_key, err);
        }
        if (status >= 0) {
            status = sluice_pgsink_columns_put(sink, conn, stream, 1, err);
        }
        if (status >= 0) {
            status = sluice_pg_command(conn, "commit", "COMMIT", err);
        }
        else {
            sluice_pgsink_rollback(conn);
        }
    }
    sluice_pgsink_ddl_free(&ddl);
    sluice_pgsink_known_free(&known);
    return sluice_pgsink_hint(sink, err, status);
}

sluice_status sluice_pgsink_stream_begin(struct sluice_sink *sink,
                                         const struct sluice_stream_begin *begin,
                                         struct sluice_error *err)
{
    int load = (begin->flags & SLUICE_BEGIN_LOAD) != 0;
    struct sluice_pgsink_stream *stream =
        sluice_pgsink_stream_find(sink, begin->desc->stream_id, begin->desc->schema_id);
    if (stream != NULL && !load) {
        return SLUICE_OK; /* the feed was opened again */
    }
    SLUICE_TRY(sluice_pgsink_stream_make(begin, &stream, err));
    if (stream->write.write.target_count == 0) {
        stream_free(stream);
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "stream %s: it has no name",
                                begin->desc->name);
    }
    sluice_status status =
        load && sink->mode != SLUICE_MODE_FULL_LOAD_ONLY ? check_key(stream, err) : SLUICE_OK;
    if (status >= 0) {
        status =
            load ? sluice_pgsink_load_begin(sink, stream, err) : begin_changes(sink, stream, err);
    }
    if (status < 0) {
        stream_free(stream);
        return sluice_error_wrap(err, "stream %s", begin->desc->name);
    }
    add_stream(sink, stream);
    return SLUICE_OK;
}

sluice_status sluice_pgsink_stream_end(struct sluice_sink *sink,
                                       const struct sluice_stream_end *end,
                                       struct sluice_error *err)
{
    struct sluice_pgsink_stream *stream = find_loading(sink, end->stream_id);
    if (stream == NULL) {
        return sluice_error_set(err, SLUICE_E_STATE, SLUICE_ERROR_FATAL,
                                "the end of a load that did not begin");
    }
    return sluice_pgsink_load_end(sink, stream, end, err);
}
