/* A shard of a load on its way into its table: one COPY, or, where rows may be refused, one for each slice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lake/times.h"
#include "load.h"
#include "load_internal.h"
#include "pg/copyin.h"
#include "reject.h"
#include "sluice/array.h"
#include "sluice/position.h"

enum {
    PIECE_BYTES = 256 * 1024, /* handed to the socket at once */
    SLICE_ROWS = 4096         /* of a COPY of its own, where rows may be refused */
};

#define EPOCH_2000_US 946684800000000ll

struct sluice_pgsink_load_lane {
    struct sluice_sink *sink;
    struct sluice_pg_conn *conn; /* NULL until something is to be written */
    struct sluice_pgsink_stream *stream;
    char *shard;
    struct sluice_pg_encoder *encoders; /* as the columns of the COPY */
    uint32_t *columns;                  /* which column of the table each is */
    uint32_t count;
    struct sluice_view *views;
    struct sluice_pg_buffer buffer;
    char *copy; /* the statement */
    char what[200];
    uint8_t constants[4][64]; /* op, position, synced_at, soft */
    int copying;
    int in_tx;
    int failed;
    uint64_t rejected; /* in the open transaction */
};

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a load");
}

/* ---- opening ---- */

/* Metadata has the same value in every row. */
static sluice_status encode_constant(const struct sluice_pg_encoder *e, int64_t row,
                                     struct sluice_pg_buffer *out, struct sluice_error *err)
{
    uint8_t *p = sluice_pg_buffer_room(out, (size_t)e->width + 1);
    (void)row;
    if (p == NULL) {
        return nomem(err);
    }
    memcpy(p, e->view.values, (size_t)e->width);
    out->size += (size_t)e->width;
    return SLUICE_OK;
}

static void be64(uint8_t *p, int64_t v)
{
    for (int i = 7; i >= 0; i--) {
        *p++ = (uint8_t)((uint64_t)v >> (8 * i));
    }
}

/* 0 = the column has no value in a load: it is left to its default. */
static int constant_of(struct sluice_pgsink_load_lane *lane, const struct sluice_pgsink_column *c,
                       int text, struct sluice_pg_encoder *out)
{
    const struct sluice_bytes at = lane->stream->desc->load_position;
    uint8_t *value = lane->constants[0];
    int32_t size = 1;
    *value = 'R';
    if (c->soft) {
        value = lane->constants[3];
        *value = text ? 'f' : 0;
    }
    else if (c->meta == SLUICE_META_POSITION && at.size > 0 && at.size < 32) {
        value = lane->constants[1];
        size = (int32_t)at.size * 2;
        sluice_hex_encode(at.data, at.size, (char *)value);
    }
    else if (c->meta == SLUICE_META_SYNCED_AT) {
        int64_t now = lane->sink->host->now_us(lane->sink->host->ctx, SLUICE_CLOCK_WALL);
        value = lane->constants[2];
        if (text) {
            size = (int32_t)(sluice_lake_put_timestamp(value, now, SLUICE_LAKE_UTC) - value);
        }
        else {
            be64(value, now - EPOCH_2000_US);
            size = 8;
        }
    }
    else if (c->meta != SLUICE_META_OP) {
        return 0;
    }
    *out = (struct sluice_pg_encoder){.encode = encode_constant,
                                      .view = {.values = value},
                                      .name = c->name,
                                      .width = size,
                                      .binary = !text};
    return 1;
}

static sluice_status make_encoders(struct sluice_pgsink_load_lane *lane, struct sluice_error *err)
{
    const struct sluice_pgsink_table *t = lane->stream->table;
    lane->encoders = calloc(t->column_count + 1u, sizeof *lane->encoders);
    lane->columns = calloc(t->column_count + 1u, sizeof *lane->columns);
    lane->views = calloc((size_t)lane->stream->desc->schema->n_children + 1, sizeof *lane->views);
    if (lane->encoders == NULL || lane->columns == NULL || lane->views == NULL) {
        return nomem(err);
    }
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct sluice_pgsink_column *c = &t->columns[i];
        struct sluice_pg_encoder *e = &lane->encoders[lane->count];
        if (c->source < 0) {
            if (!constant_of(lane, c, !t->all_binary, e)) {
                continue;
            }
        }
        else if (t->all_binary) {
            *e = c->encoder;
        }
        else {
            SLUICE_TRY(sluice_pg_encoder_make_text(lane->stream->desc->schema->children[c->source],
                                                   c->name, e, err));
            e->oid = c->oid;
        }
        lane->columns[lane->count++] = i;
    }
    return SLUICE_OK;
}

static sluice_status make_copy(struct sluice_pgsink_load_lane *lane, struct sluice_error *err)
{
    const struct sluice_pgsink_table *t = lane->stream->table;
    struct sluice_pg_text sql = {0};
    sluice_pg_text_format(&sql, "COPY %s (", t->quoted);
    for (uint32_t i = 0; i < lane->count; i++) {
        sluice_pg_text_format(&sql, "%s%s", i > 0 ? ", " : "", t->columns[lane->columns[i]].quoted);
    }
    sluice_pg_text_format(&sql, ") FROM STDIN%s", t->all_binary ? " (FORMAT binary)" : "");
    lane->copy = sluice_pg_text_take(&sql);
    (void)snprintf(lane->what, sizeof lane->what, "load %.150s", t->quoted);
    return lane->copy != NULL ? SLUICE_OK : nomem(err);
}

static struct sluice_pgsink_stream *find_stream(struct sluice_sink *sink, uint64_t id)
{
    (void)pthread_mutex_lock(&sink->mutex);
    struct sluice_pgsink_stream *s = sink->streams;
    while (s != NULL && !(s->desc->stream_id == id && s->run != NULL)) {
        s = s->next;
    }
    (void)pthread_mutex_unlock(&sink->mutex);
    return s;
}

sluice_status sluice_pgsink_load_open(struct sluice_sink *sink,
                                      const struct sluice_shard_desc *shard,
                                      struct sluice_pgsink_load_lane **out,
                                      struct sluice_error *err)
{
    struct sluice_pgsink_stream *stream =
        shard->stream_count == 1 ? find_stream(sink, shard->stream_ids[0]) : NULL;
    if (stream == NULL || stream->table == NULL) {
        return sluice_error_set(err, SLUICE_E_STATE, SLUICE_ERROR_FATAL,
                                "shard %s is of a stream whose load did not begin", shard->id);
    }
    struct sluice_pgsink_load_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL) {
        return nomem(err);
    }
    lane->sink = sink;
    lane->stream = stream;
    lane->shard = strdup(shard->id);
    sluice_status status = lane->shard != NULL ? make_encoders(lane, err) : nomem(err);
    if (status >= 0) {
        status = make_copy(lane, err);
    }
    if (status < 0) {
        sluice_pgsink_load_close(lane);
        return status;
    }
    *out = lane;
    return SLUICE_OK;
}

/* ---- copying ---- */

static sluice_status begin(struct sluice_pgsink_load_lane *lane, struct sluice_error *err)
{
    if (lane->in_tx) {
        return SLUICE_OK;
    }
    if (lane->conn == NULL) {
        SLUICE_TRY(sluice_pgsink_conn_take(lane->sink, &lane->conn, err));
    }
    SLUICE_TRY(sluice_pg_command(lane->conn, lane->what, "BEGIN", err));
    lane->in_tx = 1;
    return SLUICE_OK;
}

static sluice_status copy_begin(struct sluice_pgsink_load_lane *lane, struct sluice_error *err)
{
    if (lane->copying) {
        return SLUICE_OK;
    }
    SLUICE_TRY(begin(lane, err));
    SLUICE_TRY(sluice_pg_copyin_begin(lane->conn, lane->what, lane->copy, err));
    lane->copying = 1;
    lane->buffer.size = 0;
    if (lane->stream->table->all_binary) {
        sluice_pg_copy_header(&lane->buffer);
    }
    return SLUICE_OK;
}

static sluice_status send(struct sluice_pgsink_load_lane *lane, struct sluice_error *err)
{
    if (lane->buffer.failed) {
        return nomem(err);
    }
    SLUICE_TRY(
        sluice_pg_copyin_put(lane->conn, lane->what, lane->buffer.data, lane->buffer.size, err));
    atomic_fetch_add_explicit(&lane->sink->bytes, lane->buffer.size, memory_order_relaxed);
    lane->buffer.size = 0;
    return SLUICE_OK;
}

static sluice_status copy_end(struct sluice_pgsink_load_lane *lane, struct sluice_error *err)
{
    if (!lane->copying) {
        return SLUICE_OK;
    }
    if (lane->stream->table->all_binary) {
        sluice_pg_copy_trailer(&lane->buffer);
    }
    SLUICE_TRY(send(lane, err));
    SLUICE_TRY(sluice_failpoint_hit(lane->sink->failpoints, "pgsink.before_copy_end", err));
    lane->copying = 0;
    return sluice_pg_copyin_end(lane->conn, lane->what, NULL, err);
}

/* Encodes and sends rows [from, to) into the open COPY. *from is where it stopped. */
static sluice_status copy_rows(struct sluice_pgsink_load_lane *lane, int64_t *from, int64_t to,
                               struct sluice_error *err)
{
    while (*from < to) {
        SLUICE_TRY(lane->stream->table->all_binary
                       ? sluice_pg_encode_rows(lane->encoders, lane->count, from, to, PIECE_BYTES,
                                               &lane->buffer, err)
                       : sluice_pg_encode_lines(lane->encoders, lane->count, from, to, PIECE_BYTES,
                                                &lane->buffer, err));
        if (lane->buffer.size >= PIECE_BYTES) {
            SLUICE_TRY(send(lane, err));
        }
    }
    return SLUICE_OK;
}

/* ---- rows that are refused ---- */

static void row_json(const struct sluice_pgsink_load_lane *lane, int64_t row,
                     struct sluice_pg_text *out)
{
    struct sluice_pg_buffer value = {0};
    int first = 1;
    sluice_pg_text_add(out, "{");
    for (uint32_t i = 0; i < lane->count; i++) {
        const struct sluice_pg_encoder *e = &lane->encoders[i];
        struct sluice_error ignored = SLUICE_ERROR_INIT;
        const struct sluice_pgsink_column *c = &lane->stream->table->columns[lane->columns[i]];
        if (c->source < 0) {
            continue;
        }
        sluice_pg_text_add(out, first ? "" : ",");
        first = 0;
        sluice_pg_text_json_string(out, c->name);
        sluice_pg_text_add(out, ":");
        value.size = 0;
        if (sluice_view_is_null(&e->view, row)) {
            sluice_pg_field_json(c->oid, 0, NULL, -1, out);
        }
        else if (e->encode(e, row, &value, &ignored) >= 0) {
            sluice_pg_field_json(c->oid, e->binary, value.data, (int32_t)value.size, out);
        }
        else { /* the value itself is what cannot be stored: as its bytes */
            struct sluice_bytes raw = {NULL, 0};
            if (e->view.offsets != NULL) {
                raw = sluice_view_bytes(&e->view, row);
            }
            sluice_pg_field_json(25, 0, raw.data, (int32_t)raw.size, out);
        }
    }
    sluice_pg_text_add(out, "}");
    sluice_pg_buffer_free(&value);
}

static sluice_status refuse_row(struct sluice_pgsink_load_lane *lane, int64_t row,
                                struct sluice_error *err)
{
    struct sluice_pg_text json = {0};
    row_json(lane, row, &json);
    SLUICE_TRY(sluice_pg_text_check(&json, err));
    const struct sluice_pgsink_refused refused = {.stream = lane->stream->desc->name,
                                                  .target = lane->stream->table->quoted,
                                                  .shard = lane->shard,
                                                  .run = lane->stream->run,
                                                  .op = 'R',
                                                  .row = json.data,
                                                  .write = &lane->stream->write.write,
                                                  .open = lane->rejected};
    sluice_status status = sluice_pgsink_refuse(lane->sink, lane->conn, &refused, err);
    sluice_pg_text_free(&json);
    if (status >= 0) {
        lane->rejected++;
    }
    return status;
}

/* A COPY of its own behind a savepoint. A row error leaves nothing of it. */
static sluice_status try_slice(struct sluice_pgsink_load_lane *lane, int64_t from, int64_t to,
                               int64_t *at, struct sluice_error *err)
{
    *at = from;
    SLUICE_TRY(sluice_pg_command(lane->conn, lane->what, "SAVEPOINT sluice_slice", err));
    sluice_status status = copy_begin(lane, err);
    if (status >= 0) {
        status = copy_rows(lane, at, to, err);
    }
    if (status >= 0) {
        status = copy_end(lane, err);
    }
    if (status >= 0) {
        return sluice_pg_command(lane->conn, lane->what, "RELEASE sluice_slice", err);
    }
    if (lane->copying) {
        sluice_pg_copyin_fail(lane->conn);
        lane->copying = 0;
    }
    lane->buffer.size = 0;
    if (sluice_pgsink_is_row_error(err)) {
        struct sluice_error broken = SLUICE_ERROR_INIT;
        if (sluice_pg_command(lane->conn, lane->what,
                              "ROLLBACK TO sluice_slice; RELEASE sluice_slice", &broken) < 0) {
            *err = broken;
            return broken.status;
        }
    }
    return status;
}

/* Halves the slice until the rows at fault stand alone: for each of them log2(rows) COPYs. */
static sluice_status store_slice(struct sluice_pgsink_load_lane *lane, int64_t from, int64_t to,
                                 struct sluice_error *err)
{
    int64_t at = from;
    if (from >= to) {
        return SLUICE_OK;
    }
    sluice_status status = try_slice(lane, from, to, &at, err);
    if (status >= 0 || !sluice_pgsink_is_row_error(err)) {
        return status;
    }
    if (to - from == 1) {
        return refuse_row(lane, from, err);
    }
    if ((err->flags & SLUICE_ERROR_ROW_LEVEL) != 0 && err->row >= from && err->row < to) {
        const int64_t bad = err->row; /* seen while encoding: no need to search */
        sluice_error_clear(err);
        SLUICE_TRY(store_slice(lane, from, bad, err));
        struct sluice_error again = SLUICE_ERROR_INIT;
        status = try_slice(lane, bad, bad + 1, &at, &again);
        if (status < 0 && sluice_pgsink_is_row_error(&again)) {
            *err = again;
            SLUICE_TRY(refuse_row(lane, bad, err));
        }
        else if (status < 0) {
            *err = again;
            return status;
        }
        return store_slice(lane, bad + 1, to, err);
    }
    sluice_error_clear(err);
    const int64_t middle = from + (to - from) / 2;
    SLUICE_TRY(store_slice(lane, from, middle, err));
    return store_slice(lane, middle, to, err);
}

/* ---- lane ---- */

static sluice_status set_views(struct sluice_pgsink_load_lane *lane,
                               const struct sluice_batch *batch, struct sluice_error *err)
{
    SLUICE_TRY(sluice_views_init(lane->stream->desc->schema, &batch->array, lane->views, err));
    for (uint32_t i = 0; i < lane->count; i++) {
        int32_t source = lane->stream->table->columns[lane->columns[i]].source;
        if (source >= 0) {
            sluice_pg_encoder_set_view(&lane->encoders[i], &lane->views[source]);
        }
    }
    return SLUICE_OK;
}

/* What a failure says of the rows; the transaction is lost with it. */
static sluice_status fail(struct sluice_pgsink_load_lane *lane, struct sluice_error *err,
                          sluice_status status)
{
    lane->failed = 1;
    err->flags |= SLUICE_ERROR_EPOCH_ABORTED;
    return sluice_pgsink_hint(lane->sink, err, status);
}

sluice_status sluice_pgsink_load_write(struct sluice_pgsink_load_lane *lane,
                                       struct sluice_batch *batch, struct sluice_error *err)
{
    sluice_status status = SLUICE_OK;
    if (lane->failed) {
        return sluice_error_set(err, SLUICE_E_STATE, 0, "the lane failed and was not aborted");
    }
    if (batch->kind == SLUICE_BATCH_ROWS) {
        const int64_t rows = batch->array.length;
        int64_t from = 0;
        status = set_views(lane, batch, err);
        if (status >= 0 && lane->sink->tallies.on_row_error == SLUICE_ROWS_STOP) {
            status = copy_begin(lane, err);
            if (status >= 0) {
                status = copy_rows(lane, &from, rows, err);
            }
        }
        else if (status >= 0) {
            status = begin(lane, err);
            for (; status >= 0 && from < rows; from += SLICE_ROWS) {
                status = store_slice(lane, from,
                                     from + SLICE_ROWS < rows ? from + SLICE_ROWS : rows, err);
            }
        }
    }
    if (status < 0) {
        return fail(lane, err, status);
    }
    sluice_array_release(&batch->array);
    return SLUICE_OK;
}

sluice_status sluice_pgsink_load_commit(struct sluice_pgsink_load_lane *lane,
                                        const struct sluice_commit *commit,
                                        struct sluice_error *err)
{
    if (lane->failed) {
        return sluice_error_set(err, SLUICE_E_STATE, SLUICE_ERROR_EPOCH_ABORTED,
                                "the lane failed and was not aborted");
    }
    sluice_status status = copy_end(lane, err);
    if (status >= 0) {
        status = begin(lane, err);
    }
    if (status >= 0) {
        status = sluice_pgsink_shard_put(lane->sink, lane->conn, lane->shard,
                                         lane->stream->desc->name, lane->stream->run, commit, err);
    }
    if (status >= 0) {
        status = sluice_failpoint_hit(lane->sink->failpoints, "pgsink.before_load_commit", err);
    }
    if (status < 0) {
        return fail(lane, err, status);
    }
    status = sluice_pg_command(lane->conn, lane->what, "COMMIT", err);
    if (status >= 0) {
        status = sluice_failpoint_hit(lane->sink->failpoints, "pgsink.after_load_commit", err);
    }
    if (status < 0) {
        lane->failed = 1; /* whether it took place is not known if the connection broke */
        err->flags |= err->sqlstate[0] != '\0' ? SLUICE_ERROR_EPOCH_ABORTED : 0u;
        return sluice_pgsink_hint(lane->sink, err, status);
    }
    lane->in_tx = 0;
    if (lane->rejected > 0) {
        sluice_pgsink_refused_settle(lane->sink, lane->stream->desc->name, lane->rejected);
        lane->rejected = 0;
    }
    return SLUICE_OK;
}

void sluice_pgsink_load_abort(struct sluice_pgsink_load_lane *lane)
{
    if (lane->conn != NULL && lane->copying) {
        sluice_pg_copyin_fail(lane->conn);
    }
    if (lane->conn != NULL && lane->in_tx) {
        sluice_pgsink_rollback(lane->conn);
    }
    lane->copying = 0;
    lane->in_tx = 0;
    lane->failed = 0;
    lane->rejected = 0;
    lane->buffer.size = 0;
    sluice_pgsink_conn_give(lane->sink, lane->conn); /* one that broke is closed there */
    lane->conn = NULL;
}

void sluice_pgsink_load_close(struct sluice_pgsink_load_lane *lane)
{
    if (lane == NULL) {
        return;
    }
    sluice_pgsink_load_abort(lane);
    sluice_pg_buffer_free(&lane->buffer);
    free(lane->encoders);
    free(lane->columns);
    free(lane->views);
    free(lane->copy);
    free(lane->shard);
    free(lane);
}
