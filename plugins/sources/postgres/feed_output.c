/* What goes out, and in which order: rows that wait, the version behind them, truncates. */
#include <stdlib.h>

#include "feed.h"
#include "sluice/array.h"
#include "sluice/position.h"

#define HEARTBEAT_US 1000000

int pg_feed_output_waits(const struct pg_feed *feed)
{
    return feed->flush || feed->announcing != NULL || feed->truncate_count > 0;
}

void pg_feed_output_flush(struct pg_feed *feed)
{
    feed->flush = feed->pending_first != NULL;
    if (feed->in_tx && feed->tx_seq > 0) {
        /* Rows of it go before its end is known: all of it keeps the position that its beginning
         * gave it. */
        feed->tx_fixed = 1;
    }
    feed->tx_streams = NULL;
}

sluice_status pg_feed_output_cut(struct pg_feed *feed, struct sluice_error *err)
{
    SLUICE_TRY(sluice_failpoint_hit(feed->src->failpoints, "postgres.feed_before_boundary", err));
    feed->flush = 1;
    feed->boundary = 1;
    return SLUICE_OK;
}

sluice_status pg_feed_output_truncate(struct pg_feed *feed, struct feed_stream *fs,
                                      struct sluice_error *err)
{
    for (uint32_t i = 0; i < feed->truncate_count; i++) {
        if (feed->truncates[i].stream == fs) {
            return SLUICE_OK; /* several leaves of one table */
        }
    }
    if (feed->truncate_count == feed->truncate_cap) {
        uint32_t cap = feed->truncate_cap == 0 ? 8 : feed->truncate_cap * 2;
        struct feed_truncate *grown = realloc(feed->truncates, cap * sizeof *grown);
        if (grown == NULL) {
            return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a TRUNCATE");
        }
        feed->truncates = grown;
        feed->truncate_cap = cap;
    }
    feed->truncates[feed->truncate_count++] = (struct feed_truncate){fs, feed->tx_seq};
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- batches -------------------- */

static void put_boundary(struct pg_feed *feed, struct sluice_batch *out)
{
    sluice_put_be64(feed->position_bytes, feed->position);
    out->flags |= SLUICE_BATCH_COMMIT_BOUNDARY;
    out->position = (struct sluice_bytes){feed->position_bytes, FEED_POSITION_BYTES};
    feed->delivered = feed->position;
    feed->boundary = 0;
    const struct sluice_host *host = feed->src->host;
    feed->heartbeat_due_us = host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC) + HEARTBEAT_US;
}

/* The next of the group's streams; the last one carries the boundary. */
static sluice_status put_rows(struct pg_feed *feed, struct sluice_batch *out,
                              struct sluice_error *err)
{
    struct feed_stream *fs = feed->pending_first;
    if (fs == NULL) {
        feed->flush = 0;
        out->kind = SLUICE_BATCH_HEARTBEAT;
        out->source_time_us = feed->tx_time_us;
        put_boundary(feed, out);
        return SLUICE_OK;
    }
    SLUICE_TRY(pg_feed_stream_finish(feed, fs, out, err));
    out->source_time_us = feed->tx_time_us;
    feed->pending_first = fs->pending_next;
    fs->pending_next = NULL;
    if (feed->pending_first == NULL) {
        feed->pending_last = NULL;
        feed->pending_rows = 0;
        feed->pending_bytes = 0;
        feed->group_us = 0;
        feed->flush = 0;
        if (feed->boundary) {
            put_boundary(feed, out);
        }
    }
    return SLUICE_OK;
}

static sluice_status put_schema(struct pg_feed *feed, struct sluice_batch *out,
                                struct sluice_error *err)
{
    struct feed_stream *fs = feed->announcing;
    SLUICE_TRY(pg_feed_stream_switch(feed, fs, err));
    feed->announcing = NULL;
    out->kind = SLUICE_BATCH_SCHEMA;
    out->stream_id = fs->now->desc.stream_id;
    out->schema_id = fs->now->desc.schema_id;
    out->source_time_us = feed->tx_time_us;
    out->desc = &fs->now->desc;
    return SLUICE_OK;
}

/* A struct of the envelope's first five columns. */
static sluice_status truncate_build(struct pg_feed *feed, struct sluice_error *err)
{
    static const struct {
        const char *name;
        struct sluice_type type;
        int32_t nullable;
    } fields[] = {{"op", {SLUICE_TYPE_INT8, 0, 0, 1}, 0},
                  {"commit_pos", {SLUICE_TYPE_BINARY, 0, 0, 0}, 0},
                  {"tx_seq", {SLUICE_TYPE_INT64, 0, 0, 8}, 0},
                  {"commit_ts", {SLUICE_TYPE_TIMESTAMP_US_UTC, 0, 0, 8}, 1},
                  {"tx_id", {SLUICE_TYPE_UTF8, 0, 0, 0}, 1}};
    enum { FIELDS = sizeof fields / sizeof fields[0] };
    struct ArrowSchema schema;
    SLUICE_TRY(sluice_schema_init(&schema, FIELDS, err));
    sluice_status st = SLUICE_OK;
    for (int64_t i = 0; i < FIELDS && st >= 0; i++) {
        st = sluice_schema_set(&schema, i, fields[i].name, &fields[i].type, fields[i].nullable,
                               NULL, 0, err);
    }
    if (st >= 0) {
        st = sluice_rows_init(&feed->truncate_rows, &schema, 1, err);
    }
    sluice_schema_release(&schema);
    feed->truncate_built = st >= 0;
    return st;
}

static sluice_status put_truncate(struct pg_feed *feed, struct sluice_batch *out,
                                  struct sluice_error *err)
{
    const struct feed_truncate *t = &feed->truncates[feed->truncate_next];
    if (!feed->truncate_built) {
        SLUICE_TRY(truncate_build(feed, err));
    }
    struct sluice_rows *rows = &feed->truncate_rows;
    sluice_column_put_i8(&rows->columns[FEED_OP], SLUICE_PGOUT_TRUNCATE);
    SLUICE_TRY(sluice_column_put_bytes(&rows->columns[FEED_COMMIT_POS], feed->tx_pos,
                                       FEED_POSITION_BYTES, err));
    sluice_column_put_i64(&rows->columns[FEED_TX_SEQ], t->tx_seq);
    sluice_column_put_i64(&rows->columns[FEED_COMMIT_TS], feed->tx_time_us);
    SLUICE_TRY(
        sluice_column_put_bytes(&rows->columns[FEED_TX_ID], feed->tx_id, feed->tx_id_size, err));
    sluice_rows_end_row(rows);
    int64_t bytes = sluice_rows_bytes(rows);
    SLUICE_TRY(sluice_rows_finish(rows, &out->array, err));
    out->kind = SLUICE_BATCH_TRUNCATE;
    out->stream_id = t->stream->now->desc.stream_id;
    out->schema_id = t->stream->now->desc.schema_id;
    out->rows = 1;
    out->bytes = (uint64_t)bytes;
    out->source_time_us = feed->tx_time_us;
    if (++feed->truncate_next == feed->truncate_count) {
        feed->truncate_count = 0;
        feed->truncate_next = 0;
    }
    return SLUICE_OK;
}

sluice_status pg_feed_output_next(struct pg_feed *feed, struct sluice_batch *out,
                                  struct sluice_error *err)
{
    uint32_t struct_size = out->struct_size;
    memset(out, 0, sizeof *out);
    out->struct_size = struct_size;
    if (feed->flush) {
        return put_rows(feed, out, err);
    }
    return feed->announcing != NULL ? put_schema(feed, out, err) : put_truncate(feed, out, err);
}
