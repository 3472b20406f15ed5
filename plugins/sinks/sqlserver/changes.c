#include "changes.h"

#include <stdlib.h>
#include <string.h>

#include "apply/run.h"
#include "reject.h"
#include "sluice/array.h"
#include "sluice/log.h"
#include "sluice/position.h"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a lane");
}

void mssink_blame(struct mssink_changes *lane, const char *stream)
{
    free(lane->bad_stream);
    lane->bad_stream = strdup(stream);
}

int mssink_may_set_aside(const struct mssink_changes *lane, const struct sluice_error *err)
{
    return lane->sink->on_table_error == SLUICE_TABLES_QUARANTINE && sluice_apply_is_for_good(err);
}

/* ---- connections ---- */

static void drop_connection(struct mssink_changes *lane)
{
    mssink_conn_give(lane->sink, lane->conn, 0); /* closed: its lock and transaction end with it */
    lane->conn = NULL;
    lane->in_tx = 0;
}

/* A claim of an older connection is no claim: another engine may have written meanwhile. */
static sluice_status connect_lane(struct mssink_changes *lane, struct sluice_error *err)
{
    drop_connection(lane);
    mssink_claim_free(&lane->claim);
    SLUICE_TRY(mssink_conn_take(lane->sink, &lane->conn, err));
    const sluice_status status =
        mssink_claim_take(lane->sink, lane->conn, lane->shard, &lane->claim, err);
    if (status < 0) {
        drop_connection(lane);
    }
    return status;
}

sluice_status mssink_changes_open(struct sluice_sink *sink, const struct sluice_shard_desc *shard,
                                  struct mssink_changes **out, struct sluice_error *err)
{
    struct mssink_changes *lane = calloc(1, sizeof *lane);
    if (lane == NULL) {
        return nomem(err);
    }
    lane->sink = sink;
    lane->log.sorted = 1;
    lane->flush_at = (size_t)sink->options.flush_bytes;
    lane->shard = strdup(shard->id);
    const sluice_status status = lane->shard != NULL ? connect_lane(lane, err) : nomem(err);
    if (status < 0) {
        mssink_changes_close(lane);
        return status;
    }
    *out = lane;
    return SLUICE_OK;
}

void mssink_changes_close(struct mssink_changes *lane)
{
    if (lane != NULL) {
        drop_connection(lane);
        mssink_claim_free(&lane->claim);
        sluice_apply_log_free(&lane->log);
        mssink_careful_free(lane);
        free(lane->bad_stream);
        free(lane->shard);
        free(lane);
    }
}

void mssink_changes_abort(struct mssink_changes *lane)
{
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    sluice_apply_log_clear(&lane->log);
    sluice_apply_open_clear(&lane->refused);
    free(lane->bad_stream);
    lane->bad_stream = NULL;
    lane->flushed = 0;
    lane->redo = 0;
    lane->failed = connect_lane(lane, &ignored) < 0;
}

/* ---- streams ---- */

/* Looks the table up as it is now, within the lane's transaction if one is open. */
static sluice_status open_table(struct mssink_changes *lane, struct mssink_stream *stream,
                                struct sluice_error *err)
{
    struct mssink_table *table = NULL;
    SLUICE_TRY(mssink_table_open(lane->sink, lane->conn, stream, stream->schema, stream->name,
                                 &table, err));
    mssink_table_free(stream->table);
    stream->table = table;
    stream->run_table = 0;
    return mssink_apply_table(stream, err);
}

static sluice_status find_stream(struct mssink_changes *lane, const struct sluice_batch *batch,
                                 struct mssink_stream **out, struct sluice_error *err)
{
    struct mssink_stream *stream =
        mssink_stream_find(lane->sink, batch->stream_id, batch->schema_id);
    if (stream == NULL) {
        return sluice_error_set(err, SLUICE_E_STATE, SLUICE_ERROR_FATAL,
                                "changes of a stream that did not begin");
    }
    *out = stream;
    if (sluice_apply_is_aside(&lane->sink->tallies, stream->desc->name)) {
        return SLUICE_OK;
    }
    /* What the load left is of its own table, maybe a shadow. */
    if ((stream->table == NULL || stream->run_table) && open_table(lane, stream, err) < 0) {
        mssink_blame(lane, stream->desc->name);
        return sluice_error_wrap(err, "stream %s", stream->desc->name);
    }
    return SLUICE_OK;
}

/* ---- transactions ---- */

sluice_status mssink_tx_begin(struct mssink_changes *lane, struct sluice_error *err)
{
    if (lane->in_tx) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_tds_run(lane->conn, "begin", "BEGIN TRANSACTION", err));
    lane->in_tx = 1;
    lane->stages = 0;
    return SLUICE_OK;
}

/* What is known of the outcome: an answer of the server means that nothing was kept (XACT_ABORT); a connection that
 * breaks once COMMIT was sent leaves it open. */
static sluice_status explain(struct mssink_changes *lane, int sent_commit, struct sluice_error *err)
{
    if (!sent_commit || err->native_code != 0) {
        err->flags |= SLUICE_ERROR_EPOCH_ABORTED;
    }
    if (mssink_is_fenced(lane->sink, lane->shard, err)) {
        return err->status;
    }
    const uint32_t aborted = err->flags & SLUICE_ERROR_EPOCH_ABORTED;
    const sluice_status status = mssink_ordered_explain(lane, err);
    err->flags |= aborted;
    return status;
}

/* Statements behind which the transaction is advanced and committed, all sent at once. */
static sluice_status commit_text(struct mssink_changes *lane, const struct sluice_commit *commit,
                                 struct sluice_bytes applied, struct mssink_text *sql,
                                 struct sluice_error *err)
{
    const struct sluice_bytes *last = applied.size > 0 ? &applied : &commit->position;
    mssink_text_add(sql, lane->careful ? "SET XACT_ABORT ON;\n" : "");
    mssink_advance_text(lane->sink, lane->shard, &lane->claim, applied.size > 0 ? NULL : commit,
                        *last, sql);
    mssink_text_add(sql, "\nCOMMIT TRANSACTION;");
    const sluice_status status = mssink_run(lane->conn, "commit changes", sql, err);
    if (status < 0) {
        return explain(lane, 1, err);
    }
    lane->in_tx = 0;
    return SLUICE_OK;
}

/* ---- applying ---- */

static sluice_status begin_of(void *lane, struct sluice_error *err)
{
    return mssink_tx_begin(lane, err);
}

static sluice_status ordered_of(void *ctx, size_t from, size_t to,
                                const struct sluice_commit *commit, struct sluice_bytes applied,
                                struct sluice_error *err)
{
    struct mssink_changes *lane = ctx;
    struct mssink_text sql = {0};
    SLUICE_TRY(mssink_tx_begin(lane, err));
    if (lane->careful || mssink_has_refused(&lane->log, from, to)) {
        lane->careful = 1;
        lane->only_ordered = 1;
        if (mssink_careful_apply(lane, from, to, err) < 0) {
            return explain(lane, 0, err);
        }
        return commit != NULL ? commit_text(lane, commit, applied, &sql, err) : SLUICE_OK;
    }
    sluice_status status = mssink_ordered_add(lane, from, to, &sql, err);
    if (status >= 0 && commit != NULL) {
        return commit_text(lane, commit, applied, &sql, err);
    }
    if (status >= 0 && sql.size > 0) {
        status = mssink_run(lane->conn, "write changes", &sql, err);
    }
    mssink_text_free(&sql);
    return status < 0 ? explain(lane, 0, err) : SLUICE_OK;
}

static sluice_status sets_of(void *lane, size_t from, size_t to, struct sluice_error *err)
{
    return mssink_sets_apply(lane, from, to, err);
}

/* One source transaction is committed: only `applied` moved. */
static sluice_status settled_of(void *ctx, struct sluice_bytes position, struct sluice_error *err)
{
    struct mssink_changes *lane = ctx;
    uint8_t *copy = malloc(position.size + 1);
    if (copy == NULL) {
        return nomem(err);
    }
    memcpy(copy, position.data, position.size);
    free(lane->claim.applied);
    lane->claim.applied = copy;
    lane->claim.applied_size = position.size;
    mssink_careful_count(lane);
    return SLUICE_OK;
}

static struct sluice_apply_run run_of(struct mssink_changes *lane)
{
    return (struct sluice_apply_run){
        .lane = lane,
        .log = &lane->log,
        .small_rows = lane->only_ordered ? SIZE_MAX : (size_t)lane->sink->options.small_rows,
        .begin = begin_of,
        .ordered = ordered_of,
        .sets = sets_of,
        .settled = settled_of};
}

/* Behind a failure: 1 if all of the log is to come again, another way. Sets that a constraint stood in the way of go in
 * order; a row that is refused, or a table that fails for good, is looked for. */
static int has_other_way(struct mssink_changes *lane, const struct sluice_error *err)
{
    const int refused =
        lane->sink->tallies.on_row_error != SLUICE_ROWS_STOP && mssink_is_row_error(err);
    const int again = lane->redo;
    lane->redo = 0;
    if (!again && (lane->careful || (!refused && !mssink_may_set_aside(lane, err)) ||
                   lane->bad_stream != NULL)) {
        return 0;
    }
    lane->careful |= !again;
    lane->only_ordered = 1;
    sluice_log(lane->sink->host, SLUICE_LOG_INFO,
               "changes go one by one until the next commit error=\"%s\"", err->message);
    return 1;
}

/* The transaction is gone, or of no use: as if nothing had been written. */
static void start_over(struct mssink_changes *lane, struct sluice_error *err)
{
    sluice_error_clear(err);
    mssink_rollback(lane->conn);
    sluice_apply_open_clear(&lane->refused);
    lane->in_tx = 0;
}

/* All of the log into the transaction; where the log is all of it, once more in another way, else the engine sends all
 * again. */
static sluice_status apply(struct mssink_changes *lane, struct sluice_error *err)
{
    for (;;) {
        const struct sluice_apply_run run = run_of(lane);
        lane->redo = 0;
        const sluice_status status = sluice_apply_parts(&run, err);
        if (status >= 0 || !has_other_way(lane, err)) {
            return status;
        }
        if (lane->flushed) {
            err->flags |= SLUICE_ERROR_RETRYABLE | SLUICE_ERROR_EPOCH_ABORTED;
            return status;
        }
        start_over(lane, err);
    }
}

/* What is in the target already goes out of the log before that goes once more: its transactions must not be ended again,
 * which would move `applied` back. The log is sorted. */
static void drop_applied(struct mssink_changes *lane)
{
    struct sluice_apply_log *log = &lane->log;
    const struct sluice_bytes applied = {lane->claim.applied, lane->claim.applied_size};
    size_t n = 0;
    while (applied.size > 0 && n < log->count &&
           sluice_position_compare(sluice_apply_change_pos(log, &log->changes[n]), applied) <= 0) {
        n++;
    }
    log->count -= n;
    memmove(log->changes, log->changes + n, log->count * sizeof *log->changes);
}

/* Each source transaction of the log by itself. */
static sluice_status apply_each(struct mssink_changes *lane, const struct sluice_commit *commit,
                                struct sluice_error *err)
{
    for (;;) {
        const struct sluice_apply_run run = run_of(lane);
        lane->redo = 0;
        const sluice_status status =
            sluice_apply_transactions(&run, lane->claim.epoch, commit, err);
        if (status >= 0 || !has_other_way(lane, err)) {
            return status;
        }
        start_over(lane, err);
        drop_applied(lane);
    }
}

static sluice_status flush(struct mssink_changes *lane, struct sluice_error *err)
{
    SLUICE_TRY(mssink_tx_begin(lane, err));
    SLUICE_TRY(sluice_apply_log_sort(&lane->log, err));
    SLUICE_TRY(apply(lane, err));
    sluice_apply_log_clear(&lane->log);
    lane->flushed = 1;
    return SLUICE_OK;
}

/* ---- writing ---- */

static int in_log(const struct sluice_apply_log *log, const struct mssink_stream *stream)
{
    for (uint32_t i = 0; i < log->table_count; i++) {
        if (log->tables[i]->desc->stream_id == stream->desc->stream_id) {
            return 1;
        }
    }
    return 0;
}

static sluice_status run_ddl(struct mssink_changes *lane, struct mssink_stream *stream,
                             struct mssink_ddl *ddl, struct sluice_error *err)
{
    if (ddl->refused != NULL) {
        return sluice_error_set(err, SLUICE_E_SCHEMA, 0, "%s", ddl->refused);
    }
    /* A table that comes up for the first time parts no transaction. */
    if (lane->log.count > 0 && (ddl->count > 0 || in_log(&lane->log, stream))) {
        SLUICE_TRY(flush(lane, err));
    }
    if (ddl->count > 0) {
        SLUICE_TRY(mssink_tx_begin(lane, err));
        lane->flushed = 1;
        SLUICE_TRY(mssink_ddl_run(lane->sink, lane->conn, ddl, stream->desc->name, err));
        if (ddl->primary_key != NULL) {
            SLUICE_TRY(sluice_tds_run(lane->conn, "make the primary key", ddl->primary_key, err));
        }
        SLUICE_TRY(mssink_fitted_put(lane->sink, lane->conn, stream, err));
    }
    return open_table(lane, stream, err);
}

/* A new version of the columns: what came before it is written, then the table is fitted, all in the transaction of the
 * rows. */
static sluice_status take_schema(struct mssink_changes *lane, const struct sluice_batch *batch,
                                 struct sluice_error *err)
{
    struct mssink_ddl ddl = {0};
    struct mssink_stream *stream =
        mssink_stream_find(lane->sink, batch->stream_id, batch->schema_id);
    if (stream == NULL) {
        return sluice_error_set(err, SLUICE_E_STATE, SLUICE_ERROR_FATAL,
                                "a version of a stream that did not begin");
    }
    if (sluice_apply_is_aside(&lane->sink->tallies, stream->desc->name)) {
        return SLUICE_OK;
    }
    sluice_status status = mssink_ddl_plan(lane->sink, lane->conn, stream, stream->name, &ddl, err);
    if (status >= 0) {
        status = run_ddl(lane, stream, &ddl, err);
    }
    mssink_ddl_free(&ddl);
    if (status < 0 && lane->bad_stream == NULL) {
        mssink_blame(lane, stream->desc->name);
    }
    return status;
}

static sluice_status write_batch(struct mssink_changes *lane, const struct sluice_batch *batch,
                                 struct sluice_error *err)
{
    struct mssink_stream *stream = NULL;
    const struct sluice_host *host = lane->sink->host;
    const struct sluice_apply_taking taking = {
        .applied = {lane->claim.applied, lane->claim.applied_size},
        .now_us = host->now_us(host->ctx, SLUICE_CLOCK_WALL),
        .keep_refused = lane->sink->tallies.on_row_error != SLUICE_ROWS_STOP};
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
    if (sluice_apply_log_append(&lane->log, &stream->apply, batch, &taking, err) < 0) {
        mssink_blame(lane, stream->desc->name);
        return sluice_error_wrap(err, "stream %s", stream->desc->name);
    }
    return lane->log.arena_size > lane->flush_at ? flush(lane, err) : SLUICE_OK;
}

/* The lane is of no use until abort. A table that fails for good may be set aside: the epoch comes again without it. */
static sluice_status fail(struct mssink_changes *lane, struct sluice_error *err,
                          sluice_status status)
{
    lane->failed = 1;
    if (lane->bad_stream == NULL || !mssink_may_set_aside(lane, err)) {
        return status;
    }
    sluice_log(lane->sink->host, SLUICE_LOG_ERROR,
               "the table is set aside, others go on stream=%s error=\"%s\"", lane->bad_stream,
               err->message);
    sluice_apply_aside_plan(&lane->sink->tallies, lane->bad_stream, err->message);
    err->flags |= SLUICE_ERROR_RETRYABLE | SLUICE_ERROR_EPOCH_ABORTED;
    err->status = SLUICE_E_IO;
    return err->status;
}

static sluice_status not_usable(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_STATE,
                            SLUICE_ERROR_EPOCH_ABORTED | SLUICE_ERROR_RETRYABLE,
                            "the lane failed and was not aborted");
}

sluice_status mssink_changes_write(struct mssink_changes *lane, struct sluice_batch *batch,
                                   struct sluice_error *err)
{
    if (lane->failed || lane->conn == NULL) {
        return not_usable(err);
    }
    const sluice_status status = write_batch(lane, batch, err);
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

static sluice_status commit_all(struct mssink_changes *lane, const struct sluice_commit *commit,
                                struct sluice_error *err)
{
    const struct sluice_bytes none = {NULL, 0};
    const size_t small = run_of(lane).small_rows;
    const int pending = sluice_apply_aside_pending(&lane->sink->tallies);
    SLUICE_TRY(sluice_apply_log_sort(&lane->log, err));
    if (!lane->in_tx && !pending && lane->sink->options.apply == MSSINK_APPLY_TRANSACTIONAL) {
        return apply_each(lane, commit, err);
    }
    if (!lane->in_tx && !lane->careful && !pending && lane->log.count <= small) {
        const sluice_status status = ordered_of(lane, 0, lane->log.count, commit, none, err);
        if (status >= 0 || !has_other_way(lane, err)) {
            return status;
        }
        start_over(lane, err);
    }
    sluice_status status = apply(lane, err);
    if (status >= 0 && pending) {
        status = mssink_aside_write(lane->sink, lane->conn, err);
    }
    if (status < 0) {
        err->flags |= SLUICE_ERROR_EPOCH_ABORTED;
        return err->status;
    }
    struct mssink_text sql = {0};
    return commit_text(lane, commit, none, &sql, err);
}

sluice_status mssink_changes_commit(struct mssink_changes *lane, const struct sluice_commit *commit,
                                    struct sluice_error *err)
{
    if (lane->failed || lane->conn == NULL) {
        return not_usable(err);
    }
    sluice_status status =
        sluice_failpoint_hit(lane->sink->failpoints, "mssink.before_commit", err);
    if (status < 0) {
        err->flags |= SLUICE_ERROR_EPOCH_ABORTED;
    }
    else {
        status = commit_all(lane, commit, err);
    }
    if (status >= 0) {
        status = sluice_failpoint_hit(lane->sink->failpoints, "mssink.after_commit", err);
    }
    if (status < 0) {
        return fail(lane, err, status);
    }
    mssink_careful_settle(lane);
    sluice_apply_aside_done(&lane->sink->tallies);
    lane->claim.epoch = commit->epoch;
    free(lane->claim.applied); /* the engine sends nothing from before its own commit */
    lane->claim.applied = NULL;
    lane->claim.applied_size = 0;
    lane->flushed = 0;
    lane->only_ordered = 0;
    lane->careful = 0;
    lane->single = 0;
    atomic_fetch_add_explicit(&lane->sink->bytes, lane->log.arena_size, memory_order_relaxed);
    sluice_apply_log_clear(&lane->log);
    return SLUICE_OK;
}
