/* A load's lane: one shard's rows by bulk load, committed with the row that says so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bulkrows.h"
#include "load.h"
#include "reject.h"
#include "sluice/array.h"
#include "sluice/position.h"
#include "sluice/view.h"
#include "state.h"

#define STAGE "#sluice_load"

struct unfit {
    int64_t row;
    struct sluice_error why;
};

struct mssink_load_lane {
    struct sluice_sink *sink;
    struct mssink_stream *stream;
    struct sluice_tds_conn *conn;
    struct sluice_tds_bulk *bulk; /* open within the transaction; NULL = none */
    char *shard;
    char *target; /* quoted */
    char what[160];
    int in_tx;
    int failed;
    int staged;    /* STAGE is there: by way of it */
    uint64_t sent; /* bytes since the last batch */
    struct mssink_encoder *encoders;
    struct sluice_view *views;
    uint8_t *row; /* values of the row at hand */
    size_t row_cap;
    struct sluice_apply_buffer ours; /* values of columns of ours: the same in each row */
    size_t *ours_at;                 /* one a column: where its value begins; SIZE_MAX = NULL */
    size_t *ours_size;
    struct unfit *unfit; /* rows of the slice at hand that cannot be encoded */
    size_t unfit_count;
    size_t unfit_cap;
    uint64_t rejected; /* in the open transaction */
};

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a load");
}

/* ---- columns of ours ---- */

static sluice_status put_ours(struct mssink_load_lane *lane, uint32_t i, struct sluice_error *err)
{
    static const struct sluice_bytes read = {"R", 1};
    char hex[130];
    const struct mssink_column *c = &lane->stream->table->columns[i];
    const struct sluice_host *host = lane->sink->host;
    const struct sluice_bytes at = lane->stream->desc->load_position;
    struct sluice_apply_meta m = {.kind = SLUICE_APPLY_META_TEXT, .text = read};
    if (c->soft) {
        m = (struct sluice_apply_meta){.kind = SLUICE_APPLY_META_BOOL};
    }
    else if (c->meta == SLUICE_META_SYNCED_AT) {
        m = (struct sluice_apply_meta){.kind = SLUICE_APPLY_META_TIME,
                                       .number = host->now_us(host->ctx, SLUICE_CLOCK_WALL)};
    }
    else if (c->meta == SLUICE_META_POSITION && at.size > 0 && at.size <= 64) {
        sluice_hex_encode(at.data, at.size, hex);
        m.text = (struct sluice_bytes){hex, at.size * 2};
    }
    else if (c->meta != SLUICE_META_OP) {
        lane->ours_at[i] = SIZE_MAX;
        return SLUICE_OK;
    }
    lane->ours_at[i] = lane->ours.size;
    SLUICE_TRY(mssink_meta_encode(c, &m, &lane->ours, err));
    lane->ours_size[i] = lane->ours.size - lane->ours_at[i];
    return SLUICE_OK;
}

static sluice_status make_buffers(struct mssink_load_lane *lane, struct sluice_error *err)
{
    const struct mssink_table *t = lane->stream->table;
    lane->encoders = calloc(t->column_count + 1u, sizeof *lane->encoders);
    lane->views = calloc((size_t)lane->stream->desc->schema->n_children + 1u, sizeof *lane->views);
    lane->ours_at = calloc(t->column_count + 1u, sizeof *lane->ours_at);
    lane->ours_size = calloc(t->column_count + 1u, sizeof *lane->ours_size);
    if (lane->encoders == NULL || lane->views == NULL || lane->ours_at == NULL ||
        lane->ours_size == NULL) {
        return nomem(err);
    }
    for (uint32_t i = 0; i < t->column_count; i++) {
        lane->encoders[i] = t->columns[i].encoder;
        if (t->columns[i].source < 0) {
            SLUICE_TRY(put_ours(lane, i, err));
        }
    }
    return SLUICE_OK;
}

/* ---- opening ---- */

sluice_status mssink_load_open(struct sluice_sink *sink, const struct sluice_shard_desc *shard,
                               struct mssink_load_lane **out, struct sluice_error *err)
{
    struct mssink_load_lane *lane = calloc(1, sizeof *lane);
    struct mssink_text target = {0};
    if (lane == NULL) {
        return nomem(err);
    }
    lane->sink = sink;
    lane->shard = strdup(shard->id);
    (void)pthread_mutex_lock(&sink->mutex);
    lane->stream = sink->streams;
    while (lane->stream != NULL &&
           (lane->stream->desc->stream_id != shard->stream_ids[0] || !lane->stream->loading)) {
        lane->stream = lane->stream->next;
    }
    (void)pthread_mutex_unlock(&sink->mutex);
    sluice_status status = lane->shard != NULL ? SLUICE_OK : nomem(err);
    if (status >= 0 && lane->stream == NULL) {
        status = sluice_error_set(err, SLUICE_E_STATE, SLUICE_ERROR_FATAL,
                                  "shard %s is of a stream whose load did not begin", shard->id);
    }
    if (status >= 0) {
        mssink_text_table(&target, lane->stream->table->schema, lane->stream->table->name);
        status = mssink_text_check(&target, err);
        lane->target = target.data;
        (void)snprintf(lane->what, sizeof lane->what, "load into %.120s", lane->target);
    }
    if (status >= 0) {
        status = make_buffers(lane, err);
    }
    if (status >= 0) {
        status = mssink_conn_take(sink, &lane->conn, err);
    }
    if (status < 0) {
        mssink_load_close(lane);
        return status;
    }
    *out = lane;
    return SLUICE_OK;
}

static int keeps_going(const struct mssink_load_lane *lane)
{
    return lane->sink->tallies.on_row_error != SLUICE_ROWS_STOP;
}

/* Where rows may be refused, an error of one must not end the transaction. */
static sluice_status begin_tx(struct mssink_load_lane *lane, struct sluice_error *err)
{
    const struct mssink_table *t = lane->stream->table;
    struct mssink_text sql = {0};
    SLUICE_TRY(sluice_tds_run(
        lane->conn, lane->what,
        keeps_going(lane) ? "SET XACT_ABORT OFF; BEGIN TRANSACTION" : "BEGIN TRANSACTION", err));
    lane->in_tx = 1;
    if (!t->bulk_refused) {
        return SLUICE_OK;
    }
    lane->staged = 1;
    mssink_stage_text(t, STAGE, NULL, &sql);
    return mssink_run(lane->conn, lane->what, &sql, err);
}

static sluice_status begin_bulk(struct mssink_load_lane *lane, struct sluice_error *err)
{
    const struct mssink_table *t = lane->stream->table;
    uint32_t flags = lane->staged || t->is_clean_heap ? SLUICE_TDS_BULK_TABLOCK : 0u;
    if (!lane->in_tx) {
        SLUICE_TRY(begin_tx(lane, err));
        flags = lane->staged || t->is_clean_heap ? SLUICE_TDS_BULK_TABLOCK : 0u;
    }
    if (t->has_identity && !lane->staged) {
        flags |= SLUICE_TDS_BULK_IDENTITY;
    }
    return mssink_bulk_open(lane->conn, lane->what, lane->staged ? STAGE : lane->target, t,
                            lane->staged, flags, &lane->bulk, err);
}

/* ---- rows ---- */

static sluice_status send_row(struct mssink_load_lane *lane, int64_t row, struct sluice_error *err)
{
    const struct mssink_table *t = lane->stream->table;
    size_t room = 0;
    for (uint32_t i = 0; i < t->column_count; i++) {
        room += t->columns[i].source >= 0 ? mssink_encoder_room(&lane->encoders[i], row) : 0;
    }
    if (room > lane->row_cap) {
        uint8_t *grown = realloc(lane->row, room * 2);
        if (grown == NULL) {
            return nomem(err);
        }
        lane->row = grown;
        lane->row_cap = room * 2;
    }
    size_t used = 0;
    for (uint32_t i = 0; i < t->column_count; i++) {
        struct sluice_bytes value = {NULL, 0};
        if (t->columns[i].source < 0) {
            if (lane->ours_at[i] != SIZE_MAX) {
                value =
                    (struct sluice_bytes){lane->ours.data + lane->ours_at[i], lane->ours_size[i]};
            }
        }
        else if (!sluice_view_is_null(&lane->encoders[i].view, row)) {
            size_t size = 0;
            SLUICE_TRY(mssink_encode(&lane->encoders[i], row, lane->row + used, &size, err));
            value = (struct sluice_bytes){lane->row + used, size};
            used += (size + 7) & ~(size_t)7;
        }
        sluice_tds_bulk_put(lane->bulk, i, value);
    }
    lane->sent += used + 8;
    return sluice_tds_bulk_send(lane->bulk, err);
}

/* Out of the staging table into the target, where constraints are checked and triggers run. */
static sluice_status unstage(struct mssink_load_lane *lane, struct sluice_error *err)
{
    const struct mssink_table *t = lane->stream->table;
    struct mssink_text sql = {0};
    if (t->has_identity) {
        mssink_text_format(&sql, "SET IDENTITY_INSERT %s ON; ", lane->target);
    }
    mssink_text_format(&sql, "INSERT INTO %s (", lane->target);
    mssink_table_columns(t, "", &sql);
    mssink_text_add(&sql, ") SELECT ");
    mssink_table_columns(t, "s.", &sql);
    mssink_text_format(&sql, " FROM %s AS s; TRUNCATE TABLE %s", STAGE, STAGE);
    if (t->has_identity) {
        mssink_text_format(&sql, "; SET IDENTITY_INSERT %s OFF", lane->target);
    }
    return mssink_run(lane->conn, lane->what, &sql, err);
}

static sluice_status end_bulk(struct mssink_load_lane *lane, struct sluice_error *err)
{
    int64_t rows = 0;
    struct sluice_tds_bulk *bulk = lane->bulk;
    if (bulk == NULL) {
        return SLUICE_OK;
    }
    lane->bulk = NULL;
    SLUICE_TRY(sluice_tds_bulk_end(bulk, &rows, err));
    atomic_fetch_add_explicit(&lane->sink->bytes, lane->sent, memory_order_relaxed);
    lane->sent = 0;
    return lane->staged ? unstage(lane, err) : SLUICE_OK;
}

/* ---- rows that are refused ---- */

static sluice_status row_json(const struct mssink_load_lane *lane, int64_t row,
                              struct sluice_apply_buffer *out, struct sluice_error *err)
{
    const struct mssink_table *t = lane->stream->table;
    struct mssink_text text = {0};
    struct sluice_apply_buffer value = {0};
    int any = 0;
    sluice_apply_buffer_text(out, "{");
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct mssink_encoder *e = &lane->encoders[i];
        struct sluice_error ignored = SLUICE_ERROR_INIT;
        size_t size = 0;
        if (t->columns[i].source < 0) {
            continue;
        }
        sluice_apply_buffer_text(out, any ? "," : "");
        sluice_apply_buffer_json(out, t->columns[i].name, strlen(t->columns[i].name));
        sluice_apply_buffer_text(out, ":");
        any = 1;
        if (sluice_view_is_null(&e->view, row)) {
            sluice_apply_buffer_text(out, "null");
            continue;
        }
        value.size = 0;
        uint8_t *room = sluice_apply_buffer_room(&value, mssink_encoder_room(e, row));
        if (room != NULL && mssink_encode(e, row, room, &size, &ignored) >= 0) {
            text.size = 0;
            mssink_json(&t->columns[i].type, (struct sluice_bytes){room, size}, &text);
            sluice_apply_buffer_add(out, text.data, text.size);
        }
        else { /* the value itself is what cannot be stored */
            sluice_apply_buffer_view_json(out, &e->view, row);
        }
    }
    sluice_apply_buffer_add(out, "}", 2);
    const int failed = out->failed || text.failed || value.failed;
    sluice_apply_buffer_free(&value);
    mssink_text_free(&text);
    return failed ? nomem(err) : SLUICE_OK;
}

static sluice_status refuse_row(struct mssink_load_lane *lane, int64_t row,
                                struct sluice_error *err)
{
    struct sluice_apply_buffer json = {0};
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    if (row_json(lane, row, &json, &ignored) < 0) {
        sluice_apply_buffer_free(&json);
        return nomem(err);
    }
    const struct mssink_refused refused = {.stream = lane->stream,
                                           .target = lane->target,
                                           .shard = lane->shard,
                                           .op = 'R',
                                           .row = (const char *)json.data,
                                           .open = lane->rejected};
    const sluice_status status = mssink_refuse(lane->sink, lane->conn, &refused, err);
    sluice_apply_buffer_free(&json);
    lane->rejected += status >= 0;
    return status;
}

/* Nothing of a row that cannot be encoded was sent: it is told once the bulk load is done with. */
static sluice_status note_unfit(struct mssink_load_lane *lane, int64_t row,
                                struct sluice_error *err)
{
    if (lane->unfit_count == lane->unfit_cap) {
        const size_t cap = lane->unfit_cap * 2 + 16;
        struct unfit *grown = realloc(lane->unfit, cap * sizeof *grown);
        if (grown == NULL) {
            return nomem(err);
        }
        lane->unfit = grown;
        lane->unfit_cap = cap;
    }
    lane->unfit[lane->unfit_count++] = (struct unfit){row, *err};
    sluice_error_clear(err);
    return SLUICE_OK;
}

/* Rows [from, to) as a bulk load of their own behind a savepoint. */
static sluice_status try_slice(struct mssink_load_lane *lane, int64_t from, int64_t to,
                               struct sluice_error *err)
{
    if (!lane->in_tx) {
        SLUICE_TRY(begin_tx(lane, err));
    }
    lane->unfit_count = 0;
    SLUICE_TRY(sluice_tds_run(lane->conn, lane->what, "SAVE TRANSACTION sluice_slice", err));
    for (int64_t row = from; row < to; row++) {
        if (lane->bulk == NULL) {
            SLUICE_TRY(begin_bulk(lane, err));
        }
        sluice_status status = send_row(lane, row, err);
        if (status < 0 && (err->flags & SLUICE_ERROR_ROW_LEVEL) != 0) {
            status = note_unfit(lane, row, err);
        }
        SLUICE_TRY(status);
    }
    SLUICE_TRY(end_bulk(lane, err));
    for (size_t i = 0; i < lane->unfit_count; i++) {
        *err = lane->unfit[i].why;
        SLUICE_TRY(refuse_row(lane, lane->unfit[i].row, err));
    }
    return SLUICE_OK;
}

/* Halves the slice until the rows at fault stand alone. */
static sluice_status store_slice(struct mssink_load_lane *lane, int64_t from, int64_t to,
                                 struct sluice_error *err)
{
    if (from >= to) {
        return SLUICE_OK;
    }
    const sluice_status status = try_slice(lane, from, to, err);
    if (status >= 0 || err->status == SLUICE_E_LIMIT || !mssink_is_row_error(err) ||
        !mssink_tx_lives(lane->conn)) {
        return status; /* an error that ends the transaction takes the rows before it along */
    }
    struct sluice_error why = *err;
    sluice_error_clear(err);
    SLUICE_TRY(sluice_tds_run(lane->conn, lane->what, "ROLLBACK TRANSACTION sluice_slice", err));
    if (to - from == 1) {
        *err = why;
        return refuse_row(lane, from, err);
    }
    const int64_t middle = from + (to - from) / 2;
    SLUICE_TRY(store_slice(lane, from, middle, err));
    return store_slice(lane, middle, to, err);
}

static sluice_status write_rows(struct mssink_load_lane *lane, const struct sluice_batch *batch,
                                struct sluice_error *err)
{
    const struct mssink_table *t = lane->stream->table;
    SLUICE_TRY(sluice_views_init(lane->stream->desc->schema, &batch->array, lane->views, err));
    for (uint32_t i = 0; i < t->column_count; i++) {
        if (t->columns[i].source >= 0) {
            lane->encoders[i].view = lane->views[t->columns[i].source];
        }
    }
    if (keeps_going(lane)) {
        return store_slice(lane, 0, batch->array.length, err);
    }
    for (int64_t row = 0; row < batch->array.length; row++) {
        if (lane->bulk == NULL) {
            SLUICE_TRY(begin_bulk(lane, err));
        }
        SLUICE_TRY(send_row(lane, row, err));
        if (lane->sent >= (uint64_t)lane->sink->options.load_bytes) {
            SLUICE_TRY(end_bulk(lane, err));
        }
    }
    return SLUICE_OK;
}

static sluice_status fail(struct mssink_load_lane *lane, struct sluice_error *err,
                          sluice_status status)
{
    lane->failed = 1;
    err->flags |= SLUICE_ERROR_EPOCH_ABORTED;
    (void)sluice_error_wrap(err, "stream %s", lane->stream->desc->name);
    return status;
}

sluice_status mssink_load_write(struct mssink_load_lane *lane, struct sluice_batch *batch,
                                struct sluice_error *err)
{
    if (lane->failed) {
        return sluice_error_set(err, SLUICE_E_STATE, SLUICE_ERROR_EPOCH_ABORTED,
                                "the lane failed and was not aborted");
    }
    if (batch->kind == SLUICE_BATCH_ROWS) {
        const sluice_status status = write_rows(lane, batch, err);
        if (status < 0) {
            return fail(lane, err, status);
        }
    }
    sluice_array_release(&batch->array);
    return SLUICE_OK;
}

/* ---- committing ---- */

static sluice_status prepare_commit(struct mssink_load_lane *lane,
                                    const struct sluice_commit *commit, struct sluice_error *err)
{
    if (!lane->in_tx) {
        SLUICE_TRY(begin_tx(lane, err)); /* an empty shard */
    }
    SLUICE_TRY(end_bulk(lane, err));
    if (lane->staged) {
        SLUICE_TRY(sluice_tds_run(lane->conn, lane->what, "DROP TABLE " STAGE, err));
    }
    SLUICE_TRY(mssink_shard_put(lane->sink, lane->conn, lane->shard, lane->stream, commit, err));
    return sluice_failpoint_hit(lane->sink->failpoints, "mssink.before_load_commit", err);
}

sluice_status mssink_load_commit(struct mssink_load_lane *lane, const struct sluice_commit *commit,
                                 struct sluice_error *err)
{
    if (lane->failed) {
        return sluice_error_set(err, SLUICE_E_STATE, SLUICE_ERROR_EPOCH_ABORTED,
                                "the lane failed and was not aborted");
    }
    sluice_status status = prepare_commit(lane, commit, err);
    if (status < 0) {
        return fail(lane, err, status);
    }
    status = sluice_tds_run(
        lane->conn, lane->what,
        keeps_going(lane) ? "COMMIT TRANSACTION; SET XACT_ABORT ON" : "COMMIT TRANSACTION", err);
    if (status < 0) {
        lane->failed = 1; /* whether it took place, recover() finds out */
        return sluice_error_wrap(err, "stream %s", lane->stream->desc->name);
    }
    lane->in_tx = 0;
    lane->staged = 0;
    if (lane->rejected > 0) {
        mssink_refused_settle(lane->sink, lane->stream->desc->name, lane->rejected);
        lane->rejected = 0;
    }
    return sluice_failpoint_hit(lane->sink->failpoints, "mssink.after_load_commit", err);
}

static void give_up(struct mssink_load_lane *lane)
{
    sluice_tds_bulk_free(lane->bulk);
    /* Its transaction, if one is open, ends with the connection. */
    mssink_conn_give(lane->sink, lane->conn, !lane->failed && !lane->in_tx && lane->bulk == NULL);
    lane->bulk = NULL;
    lane->conn = NULL;
}

void mssink_load_abort(struct mssink_load_lane *lane)
{
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    give_up(lane);
    lane->in_tx = 0;
    lane->staged = 0;
    lane->sent = 0;
    lane->rejected = 0;
    lane->failed = mssink_conn_take(lane->sink, &lane->conn, &ignored) < 0;
}

void mssink_load_close(struct mssink_load_lane *lane)
{
    if (lane == NULL) {
        return;
    }
    give_up(lane);
    sluice_apply_buffer_free(&lane->ours);
    free(lane->ours_at);
    free(lane->ours_size);
    free(lane->unfit);
    free(lane->encoders);
    free(lane->views);
    free(lane->row);
    free(lane->shard);
    free(lane->target);
    free(lane);
}
