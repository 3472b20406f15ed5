/* Shards and readers: a table, or a piece of one, read over a connection of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/array.h"
#include "sluice/position.h"
#include "source.h"

enum { BATCH_BYTES = 8 << 20, HANDLE_BYTES = 16 };

struct ms_load {
    struct sluice_source *src;
    const struct ms_stream *stream;
    uint32_t piece;
    struct sluice_tds_conn *conn;
    struct sluice_rows rows;
    int64_t batch_rows;
    int64_t batch_bytes;
    int64_t value_bytes; /* of the batch, as they came */
    int ended;
    char what[300];
};

/* "OBJECT:PIECE"; the handle is the stream's index and the piece. */
static sluice_status visit_piece(const struct ms_stream *s, uint32_t index, uint32_t piece,
                                 sluice_shard_visit visit, void *vctx)
{
    char id[40];
    uint8_t handle[HANDLE_BYTES];
    const int64_t pieces = (int64_t)s->cut_count + 1;
    (void)snprintf(id, sizeof id, "%llu:%u", (unsigned long long)s->desc.stream_id, piece);
    sluice_put_be64(handle, index);
    sluice_put_be64(handle + 8, piece);
    const struct sluice_shard_desc shard = {
        .struct_size = (uint32_t)sizeof shard,
        .kind = SLUICE_SHARD_SNAPSHOT,
        .stream_count = 1,
        .id = id,
        .stream_ids = &s->desc.stream_id,
        .rows_estimate =
            s->desc.rows_estimate > 0 ? s->desc.rows_estimate / pieces : s->desc.rows_estimate,
        .bytes_estimate =
            s->desc.bytes_estimate > 0 ? s->desc.bytes_estimate / pieces : s->desc.bytes_estimate,
        .handle = {handle, sizeof handle}};
    return visit(vctx, &shard);
}

sluice_status ms_shards(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                        struct sluice_error *err)
{
    (void)err;
    for (uint32_t i = 0; i < src->stream_count; i++) {
        const struct ms_stream *s = src->streams[i];
        for (uint32_t k = 0; (s->flags & SLUICE_SELECT_LOAD) != 0 && k <= s->cut_count; k++) {
            const sluice_status status = visit_piece(s, i, k, visit, vctx);
            if (status != SLUICE_OK) {
                return status == SLUICE_END ? SLUICE_OK : status;
            }
        }
    }
    return SLUICE_OK;
}

void ms_load_close(struct ms_load *rd)
{
    if (rd != NULL) {
        sluice_tds_close(rd->conn);
        sluice_rows_free(&rd->rows);
        free(rd);
    }
}

static sluice_status begin(struct ms_load *rd, struct sluice_error *err)
{
    SLUICE_TRY(sluice_tds_connect(&rd->src->options.server, rd->src->host, &rd->conn, err));
    if (rd->src->snapshot && !rd->stream->in_memory) {
        SLUICE_TRY(sluice_tds_run(rd->conn, rd->what,
                                  "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION",
                                  err));
    }
    char *sql = NULL;
    SLUICE_TRY(ms_cuts_select(rd->stream, rd->piece, &sql, err));
    const sluice_status status = sluice_tds_query(rd->conn, rd->what, sql, err);
    free(sql);
    SLUICE_TRY(status);
    if (sluice_tds_column_count(rd->conn) != rd->stream->schema.n_children) {
        return sluice_error_set(err, SLUICE_E_SCHEMA, 0, "%s: it has other columns than before",
                                rd->what);
    }
    return SLUICE_OK;
}

sluice_status ms_load_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                           struct sluice_bytes resume, struct ms_load **out,
                           struct sluice_error *err)
{
    const uint8_t *handle = shard->handle.data;
    const int whole = shard->handle.size == HANDLE_BYTES;
    const uint64_t at = whole ? sluice_get_be64(handle) : UINT64_MAX;
    const uint64_t piece = whole ? sluice_get_be64(handle + 8) : UINT64_MAX;
    if (at >= src->stream_count || piece > src->streams[at]->cut_count || resume.size > 0) {
        return sluice_error_set(err, SLUICE_E_POSITION_LOST, 0,
                                "shard %s is none that can be gone on with", shard->id);
    }
    struct ms_load *rd = calloc(1, sizeof *rd);
    if (rd == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a reader");
    }
    rd->src = src;
    rd->stream = src->streams[at];
    rd->piece = (uint32_t)piece;
    rd->batch_rows = src->options.batch_rows;
    rd->batch_bytes = BATCH_BYTES;
    if (src->plan_batch_rows > 0 && src->plan_batch_rows < (uint64_t)rd->batch_rows) {
        rd->batch_rows = (int64_t)src->plan_batch_rows;
    }
    if (src->plan_batch_bytes > 0 && src->plan_batch_bytes < (uint64_t)rd->batch_bytes) {
        rd->batch_bytes = (int64_t)src->plan_batch_bytes;
    }
    (void)snprintf(rd->what, sizeof rd->what, "read table %.250s", rd->stream->name);
    sluice_status status = sluice_rows_init(&rd->rows, &rd->stream->schema, rd->batch_rows, err);
    if (status >= 0) {
        status = begin(rd, err);
    }
    if (status < 0) {
        ms_load_close(rd);
        return status;
    }
    *out = rd;
    return SLUICE_OK;
}

static sluice_status take_row(struct ms_load *rd, struct sluice_error *err)
{
    const int64_t count = rd->stream->schema.n_children;
    for (int32_t i = 0; i < count; i++) {
        const struct sluice_tds_decoder *d = &rd->stream->decoders[i];
        struct sluice_column *column = &rd->rows.columns[i];
        const struct sluice_bytes value = sluice_tds_value(rd->conn, i);
        if (value.data == NULL) {
            SLUICE_TRY(sluice_column_put_null(column, err));
        }
        else {
            rd->value_bytes += (int64_t)value.size;
            SLUICE_TRY(d->decode(d, value, column, err));
        }
    }
    sluice_rows_end_row(&rd->rows);
    return SLUICE_OK;
}

/* END: behind the last row, and nothing was collected. */
static sluice_status collect(struct ms_load *rd, struct sluice_error *err)
{
    while (!rd->ended && rd->rows.rows < rd->batch_rows && rd->value_bytes < rd->batch_bytes) {
        sluice_status status = sluice_tds_fetch(rd->conn, err);
        if (status == SLUICE_END) {
            rd->ended = 1;
            break;
        }
        if (status == SLUICE_OK) {
            status = take_row(rd, err);
        }
        if (status < 0) {
            return status;
        }
    }
    return rd->rows.rows > 0 ? SLUICE_OK : SLUICE_END;
}

sluice_status ms_load_next(struct ms_load *rd, int64_t timeout_us, struct sluice_batch *out,
                           struct sluice_error *err)
{
    const struct sluice_host *host = rd->src->host;
    struct ArrowArray array;
    (void)timeout_us; /* rows come as fast as the server gives them */
    const sluice_status status = collect(rd, err);
    if (status != SLUICE_OK) {
        return status < 0 && strncmp(err->message, "read table", 10) != 0
                   ? sluice_error_wrap(err, "%s", rd->what)
                   : status;
    }
    const int64_t rows = rd->rows.rows;
    const int64_t bytes = sluice_rows_bytes(&rd->rows);
    rd->value_bytes = 0;
    SLUICE_TRY(sluice_rows_finish(&rd->rows, &array, err));
    const uint32_t size = out->struct_size;
    memset(out, 0, sizeof *out);
    out->struct_size = size;
    out->kind = SLUICE_BATCH_ROWS;
    out->stream_id = rd->stream->desc.stream_id;
    out->schema_id = rd->stream->desc.schema_id;
    out->rows = (uint64_t)rows;
    out->bytes = (uint64_t)bytes;
    out->source_time_us = host->now_us(host->ctx, SLUICE_CLOCK_WALL);
    out->array = array;
    return SLUICE_OK;
}
