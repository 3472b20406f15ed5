/* The lane of a feed: collects changes, applies them, commits. */
#include "changes.h"

#include <stdlib.h>
#include <string.h>

#include "apply/run.h"
#include "ddl.h"
#include "reject.h"
#include "sluice/array.h"
#include "sluice/log.h"

enum { COMMIT_TRIES = 4, MAX_FLUSH = 512 * 1024 * 1024 };

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a lane");
}

void sluice_pgsink_blame(struct sluice_pgsink_lane *lane, const char *stream)
{
    free(lane->bad_stream);
    lane->bad_stream = strdup(stream);
}

/* ---- connections ---- */

/* Drops what hangs on the connection, and the connection. */
static void drop_connection(struct sluice_pgsink_lane *lane)
{
    sluice_pgsink_ordered_forget(lane);
    sluice_pgsink_sets_forget(lane);
    sluice_pg_close(lane->conn);
    lane->conn = NULL;
    lane->in_tx = 0;
}

/* A claim of an older connection is no claim: another engine may have written meanwhile. */
static sluice_status connect_lane(struct sluice_pgsink_lane *lane, struct sluice_error *err)
{
    if (lane->conn != NULL && PQstatus(lane->conn->pg) == CONNECTION_OK &&
        PQpipelineStatus(lane->conn->pg) == PQ_PIPELINE_OFF && !atomic_load(&lane->conn->busy)) {
        return SLUICE_OK;
    }
    drop_connection(lane);
    sluice_pgsink_claim_free(&lane->claim);
    SLUICE_TRY(sluice_pgsink_conn_take(lane->sink, &lane->conn, err));
    return sluice_pgsink_claim_take(lane->sink, lane->conn, lane->shard, &lane->claim, err);
}

sluice_status sluice_pgsink_changes_open(struct sluice_sink *sink,
                                         const struct sluice_shard_desc *shard,
                                         struct sluice_pgsink_lane **out, struct sluice_error *err)
{
    struct sluice_pgsink_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL) {
        return nomem(err);
    }
    lane->sink = sink;
    lane->log.sorted = 1;
    lane->flush_at = (size_t)sink->options.flush_bytes;
    lane->shard = strdup(shard->id);
    sluice_status status = lane->shard != NULL ? connect_lane(lane, err) : nomem(err);
    if (status < 0) {
        sluice_pgsink_changes_close(lane);
        return status;
    }
    *out = lane;
    return SLUICE_OK;
}

/* ---- streams ---- */

/* Looks the table up as it is now, within the lane's transaction if one is open. */
static sluice_status open_table(struct sluice_pgsink_lane *lane,
                                struct sluice_pgsink_stream *stream, struct sluice_error *err)
{
    char *schema = NULL;
    char *name = NULL;
    struct sluice_pgsink_table *table = NULL;
    SLUICE_TRY(sluice_pgsink_target_name(lane->sink, &stream->write, &schema, &name, err));
    sluice_status status =
        sluice_pgsink_table_open(lane->sink, lane->conn, stream, schema, name, &table, err);
    if (status >= 0) {
        sluice_pgsink_ordered_forget(lane); /* statements know tables by their address */
        sluice_pgsink_sets_forget(lane);
        sluice_pgsink_table_free(stream->table);
        stream->table = table;
        stream->run_table = 0;
        status = sluice_pgsink_apply_table(stream, err);
        struct sluice_error ignored = SLUICE_ERROR_INIT;
        if (sluice_pg_command(lane->conn, "drop statements", "DEALLOCATE ALL", &ignored) < 0) {
            status = SLUICE_OK; /* a broken connection shows at the next statement */
        }
    }
    free(schema);
    free(name);
    return status;
}

static sluice_status find_stream(struct sluice_pgsink_lane *lane, const struct sluice_batch *batch,
                                 struct sluice_pgsink_stream **out, struct sluice_error *err)
{
    struct sluice_pgsink_stream *stream =
        sluice_pgsink_stream_find(lane->sink, batch->stream_id, batch->schema_id);
    if (stream == NULL) {
        return sluice_error_set(err, SLUICE_E_STATE, SLUICE_ERROR_FATAL,
                                "changes of a stream that did not begin");
    }
    *out = stream;
    if (sluice_apply_is_aside(&lane->sink->tallies, stream->desc->name)) {
        return SLUICE_OK;
    }
    /* What the load left is of its own table, maybe a shadow. */
    if (stream->table == NULL || stream->run_table) {
        if (open_table(lane, stream, err) < 0) {
            sluice_pgsink_blame(lane, stream->desc->name);
            return sluice_error_wrap(err, "stream %s", stream->desc->name);
        }
    }
    return SLUICE_OK;
}

/* ---- applying ---- */

static sluice_status begin_of(void *lane, struct sluice_error *err)
{
    return sluice_pgsink_tx_begin(lane, err);
}

static sluice_status ordered_of(void *lane, size_t from, size_t to,
                                const struct sluice_commit *commit, struct sluice_bytes applied,
                                struct sluice_error *err)
{
    return sluice_pgsink_ordered_apply(lane, from, to, commit, applied, err);
}

static sluice_status sets_of(void *lane, size_t from, size_t to, struct sluice_error *err)
{
    return sluice_pgsink_sets_apply(lane, from, to, err);
}

/* One source transaction is committed: only `applied` moved. */
static sluice_status settled_of(void *ctx, struct sluice_bytes position, struct sluice_error *err)
{
    struct sluice_pgsink_lane *lane = ctx;
    uint8_t *copy = malloc(position.size + 1);
    lane->in_tx = 0;
    if (copy == NULL) {
        return nomem(err);
    }
    memcpy(copy, position.data, position.size);
    free(lane->claim.applied);
    lane->claim.applied = copy;
    lane->claim.applied_size = position.size;
    return SLUICE_OK;
}

/* All that is in the log. With `commit` the transaction is ended, too. */
static sluice_status apply(struct sluice_pgsink_lane *lane, const struct sluice_commit *commit,
                           struct sluice_error *err)
{
    struct sluice_apply_log *log = &lane->log;
    const struct sluice_bytes none = {NULL, 0};
    const struct sluice_apply_run run = {.lane = lane,
                                         .log = log,
                                         .small_rows = (size_t)lane->sink->options.small_rows,
                                         .begin = begin_of,
                                         .ordered = ordered_of,
                                         .sets = sets_of,
                                         .settled = settled_of};
    SLUICE_TRY(sluice_apply_log_sort(log, err));
    if (commit != NULL && !lane->in_tx && !lane->pending &&
        lane->sink->options.apply == SLUICE_PGSINK_APPLY_TRANSACTIONAL) {
        return sluice_apply_transactions(&run, lane->claim.epoch, commit, err);
    }
    if (commit != NULL && !lane->in_tx && !lane->pending && log->count <= run.small_rows) {
        return sluice_pgsink_ordered_apply(lane, 0, log->count, commit, none, err);
    }
    sluice_status status = sluice_apply_parts(&run, err);
    if (status >= 0 && commit != NULL && lane->pending) {
        status = sluice_pgsink_quarantine_write(lane->sink, lane->conn, err);
    }
    if (status < 0) {
        err->flags |= SLUICE_ERROR_EPOCH_ABORTED;
        return status;
    }
    return commit != NULL ? sluice_pgsink_tx_commit(lane, commit, none, err) : SLUICE_OK;
}

/* ---- failures ---- */

/* The lane is of no use until abort. A table that fails for good may be set aside: the epoch comes again
 * without it. */
static sluice_status fail(struct sluice_pgsink_lane *lane, struct sluice_error *err,
                          sluice_status status)
{
    lane->failed = 1;
    if (lane->conn != NULL && strcmp(err->sqlstate, "55P03") == 0) {
        err->flags |= SLUICE_ERROR_RETRYABLE;
    }
    if (lane->bad_stream != NULL && lane->sink->on_table_error == SLUICE_TABLES_QUARANTINE &&
        sluice_apply_is_for_good(err)) {
        sluice_log(lane->sink->host, SLUICE_LOG_ERROR,
                   "the table is set aside, others go on stream=%s error=\"%s\"", lane->bad_stream,
                   err->message);
        sluice_apply_aside_plan(&lane->sink->tallies, lane->bad_stream, err->message);
        err->flags |= SLUICE_ERROR_RETRYABLE | SLUICE_ERROR_EPOCH_ABORTED;
        err->status = SLUICE_E_IO;
        return err->status;
    }
    if (lane->bad_stream == NULL &&
        PQstatus(lane->conn != NULL ? lane->conn->pg : NULL) == CONNECTION_OK) {
        return sluice_pgsink_hint(lane->sink, err, status);
    }
    return status;
}

/* ---- writing ---- */

/* Into the open transaction, so that memory stays bounded. A part that cannot stand alone (a child before its
 * parent) waits for more. */
static sluice_status flush(struct sluice_pgsink_lane *lane, struct sluice_error *err)
{
    SLUICE_TRY(sluice_pgsink_tx_begin(lane, err));
    SLUICE_TRY(sluice_pg_command(lane->conn, "mark a part", "SAVEPOINT sluice_flush", err));
    sluice_status status = apply(lane, NULL, err);
    if (status >= 0) {
        SLUICE_TRY(sluice_pg_command(lane->conn, "end a part", "RELEASE sluice_flush", err));
        sluice_apply_log_clear(&lane->log);
        lane->flush_at = (size_t)lane->sink->options.flush_bytes;
        return SLUICE_OK;
    }
    const int constraint = strncmp(err->sqlstate, "23", 2) == 0;
    if (!constraint || lane->flush_at > MAX_FLUSH || PQstatus(lane->conn->pg) != CONNECTION_OK) {
        return status;
    }
    sluice_error_clear(err);
    lane->flush_at *= 2;
    sluice_pgsink_ordered_forget(lane);
    sluice_pgsink_sets_forget(lane);
    return sluice_pg_command(lane->conn, "undo a part",
                             "ROLLBACK TO sluice_flush; RELEASE sluice_flush; DEALLOCATE ALL", err);
}

static int in_log(const struct sluice_apply_log *log, const struct sluice_pgsink_stream *stream)
{
    for (uint32_t i = 0; i < log->table_count; i++) {
        if (log->tables[i]->desc->stream_id == stream->desc->stream_id) {
            return 1;
        }
    }
    return 0;
}

/* A new version of the columns: what came before it is written, then the table is fitted, all in the
 * transaction of the rows. */
static sluice_status take_schema(struct sluice_pgsink_lane *lane, const struct sluice_batch *batch,
                                 struct sluice_error *err)
{
    struct sluice_pgsink_ddl ddl = {0};
    struct sluice_pgsink_stream *stream =
        sluice_pgsink_stream_find(lane->sink, batch->stream_id, batch->schema_id);
    if (stream == NULL) {
        return sluice_error_set(err, SLUICE_E_STATE, SLUICE_ERROR_FATAL,
                                "a version of a stream that did not begin");
    }
    if (sluice_apply_is_aside(&lane->sink->tallies, stream->desc->name)) {
        return SLUICE_OK;
    }
    sluice_status status = sluice_pgsink_ddl_plan(lane->sink, lane->conn, stream, NULL, &ddl, err);
    if (status >= 0 && ddl.refused != NULL) {
        status = sluice_error_set(err, SLUICE_E_SCHEMA, 0, "%s", ddl.refused);
    }
    /* A table that comes up for the first time parts no transaction: its rows belong between those of others. */
    const int parts = lane->log.count > 0 && (ddl.count > 0 || in_log(&lane->log, stream));
    if (status >= 0 && (ddl.count > 0 || parts)) {
        status = sluice_pgsink_tx_begin(lane, err);
        if (status >= 0 && parts) {
            status = apply(lane, NULL, err);
            sluice_apply_log_clear(&lane->log);
        }
    }
    if (status >= 0 && ddl.count > 0) {
        status = sluice_pgsink_ddl_run(lane->sink, lane->conn, &ddl, stream->desc->name, err);
    }
    if (status >= 0) {
        status = sluice_pgsink_columns_put(lane->sink, lane->conn, stream, ddl.creates, err);
    }
    if (status >= 0) {
        status = open_table(lane, stream, err);
    }
    sluice_pgsink_ddl_free(&ddl);
    if (status < 0 && lane->bad_stream == NULL) {
        sluice_pgsink_blame(lane, stream->desc->name);
    }
    return status;
}

static sluice_status write_batch(struct sluice_pgsink_lane *lane, const struct sluice_batch *batch,
                                 struct sluice_error *err)
{
    struct sluice_pgsink_stream *stream = NULL;
    if (batch->kind == SLUICE_BATCH_SCHEMA) {
        return take_schema(lane, batch, err);
    }
    if (batch->kind != SLUICE_BATCH_CHANGES && batch->kind != SLUICE_BATCH_TRUNCATE) {
        return SLUICE_OK;
    }
    SLUICE_TRY(find_stream(lane, batch, &stream, err));
    if (sluice_apply_is_aside(&lane->sink->tallies, stream->desc->name)) {
        return SLUICE_OK;
    }
    const struct sluice_apply_taking taking = {
        .applied = {lane->claim.applied, lane->claim.applied_size},
        .now_us = lane->sink->host->now_us(lane->sink->host->ctx, SLUICE_CLOCK_WALL),
        .keep_refused = lane->sink->tallies.on_row_error != SLUICE_ROWS_STOP};
    if (sluice_apply_log_append(&lane->log, &stream->apply, batch, &taking, err) < 0) {
        sluice_pgsink_blame(lane, stream->desc->name);
        return err->status;
    }
    return lane->log.arena_size > lane->flush_at ? flush(lane, err) : SLUICE_OK;
}

sluice_status sluice_pgsink_changes_write(struct sluice_pgsink_lane *lane,
                                          struct sluice_batch *batch, struct sluice_error *err)
{
    if (lane->failed || lane->conn == NULL) {
        return sluice_error_set(err, SLUICE_E_STATE, SLUICE_ERROR_EPOCH_ABORTED,
                                "the lane failed and was not aborted");
    }
    sluice_status status = write_batch(lane, batch, err);
    if (status < 0) {
        err->flags |= SLUICE_ERROR_EPOCH_ABORTED;
        return fail(lane, err, status);
    }
    if (batch->array.release != NULL) {
        sluice_array_release(&batch->array);
    }
    return SLUICE_OK;
}

/* ---- committing ---- */

static void settle_refused(void *sink, const char *stream, uint64_t rows)
{
    sluice_pgsink_refused_settle(sink, stream, rows);
}

static void settle(struct sluice_pgsink_lane *lane)
{
    sluice_apply_open_settle(&lane->refused, settle_refused, lane->sink);
    if (lane->pending) {
        sluice_apply_aside_done(&lane->sink->tallies);
    }
}

/* A deadlock, a serialisation failure: the whole epoch again, as long as all of it is at hand. */
static sluice_status commit_again(struct sluice_pgsink_lane *lane,
                                  const struct sluice_commit *commit, struct sluice_error *err)
{
    const int whole = !lane->in_tx;
    for (int tries = 0;; tries++) {
        sluice_status status = apply(lane, commit, err);
        const int again =
            status < 0 && whole && tries < COMMIT_TRIES &&
            (strcmp(err->sqlstate, "40001") == 0 || strcmp(err->sqlstate, "40P01") == 0);
        if (!again || PQstatus(lane->conn->pg) != CONNECTION_OK) {
            return status;
        }
        sluice_log(lane->sink->host, SLUICE_LOG_INFO, "the epoch is written again error=\"%s\"",
                   err->message);
        sluice_error_clear(err);
        sluice_pgsink_rollback(lane->conn);
        lane->in_tx = 0;
        sluice_pgsink_ordered_forget(lane);
        sluice_pgsink_sets_forget(lane);
        SLUICE_TRY(sluice_pg_command(lane->conn, "drop statements", "DEALLOCATE ALL", err));
        sluice_apply_open_clear(&lane->refused);
    }
}

sluice_status sluice_pgsink_changes_commit(struct sluice_pgsink_lane *lane,
                                           const struct sluice_commit *commit,
                                           struct sluice_error *err)
{
    if (lane->failed || lane->conn == NULL) {
        return sluice_error_set(err, SLUICE_E_STATE, SLUICE_ERROR_EPOCH_ABORTED,
                                "the lane failed and was not aborted");
    }
    lane->epoch = commit->epoch;
    lane->pending = sluice_apply_aside_pending(&lane->sink->tallies);
    sluice_status status = commit_again(lane, commit, err);
    if (status >= 0) {
        lane->in_tx = 0;
        status = sluice_failpoint_hit(lane->sink->failpoints, "pgsink.after_commit", err);
    }
    if (status < 0) {
        return fail(lane, err, status);
    }
    lane->claim.epoch = commit->epoch;
    free(lane->claim.applied); /* the engine sends nothing from before its own commit */
    lane->claim.applied = NULL;
    settle(lane);
    atomic_fetch_add_explicit(&lane->sink->bytes, lane->log.arena_size, memory_order_relaxed);
    sluice_apply_log_clear(&lane->log);
    return SLUICE_OK;
}

void sluice_pgsink_changes_abort(struct sluice_pgsink_lane *lane)
{
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    drop_connection(lane); /* the server rolls back what was open */
    sluice_apply_log_clear(&lane->log);
    free(lane->bad_stream);
    lane->bad_stream = NULL;
    sluice_apply_open_clear(&lane->refused);
    lane->failed = connect_lane(lane, &ignored) < 0;
}

void sluice_pgsink_changes_close(struct sluice_pgsink_lane *lane)
{
    if (lane == NULL) {
        return;
    }
    drop_connection(lane);
    sluice_pgsink_ordered_free(lane);
    sluice_pgsink_sets_free(lane);
    sluice_apply_log_free(&lane->log);
    sluice_pgsink_pipe_free(&lane->pipe);
    sluice_pgsink_claim_free(&lane->claim);
    sluice_apply_open_clear(&lane->refused);
    free(lane->bad_stream);
    free(lane->shard);
    free(lane);
}
