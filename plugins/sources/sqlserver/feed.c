/* The reader of the shard of changes: its connection, its positions, polling, and what goes out. */
#include "feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sluice/failpoint.h"

/* A window's limits: `batch_rows` and `batch_bytes` of the plan may lower them. */
#define WINDOW_ROWS (64 * 1024)
#define WINDOW_BYTES (8ll * 1024 * 1024)
#define POLL_MIN_US 10000
#define NAP_US 10000
#define HEARTBEAT_US 1000000
#define ASK_US 200000
#define ZONE_US 60000000
#define LAG_US 30000000
enum { TX_FIRST = 256, TX_MAX = 4096, AGAIN_MAX = 8 };

static int64_t now_us(const struct ms_feed *feed)
{
    const struct sluice_host *host = feed->src->host;
    return host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC);
}

/* ---- open ---- */

static void set_limits(struct ms_feed *feed)
{
    const struct sluice_source *src = feed->src;
    feed->rows_max = WINDOW_ROWS;
    feed->bytes_max = WINDOW_BYTES;
    if (src->plan_batch_rows > 0 && src->plan_batch_rows < WINDOW_ROWS) {
        feed->rows_max = (int64_t)src->plan_batch_rows;
    }
    if (src->plan_batch_bytes > 0 && src->plan_batch_bytes < (uint64_t)WINDOW_BYTES) {
        feed->bytes_max = (int64_t)src->plan_batch_bytes;
    }
    feed->rows_aim = feed->rows_max;
    feed->tx_aim = TX_FIRST;
    feed->end = src->until;
    feed->until_us = src->once ? src->once_us : 0;
    if (src->until_us > 0 && (feed->until_us == 0 || src->until_us < feed->until_us)) {
        feed->until_us = src->until_us;
    }
    feed->poll_us = POLL_MIN_US;
}

/* The database forgot what was read, and new changes have positions that the feed is past? */
static sluice_status check_history(const struct ms_feed *feed, struct sluice_error *err)
{
    char at[MS_LSN_TEXT];
    char end[MS_LSN_TEXT];
    struct ms_lsn position = feed->position;
    const struct ms_capture *capture = &feed->capture;
    for (uint32_t i = 0; i < feed->stream_count; i++) {
        struct ms_lsn since;
        if (ms_lsn_take(feed->streams[i].origin->since, &since) &&
            ms_lsn_compare(&since, &position) > 0) {
            position = since;
        }
    }
    if (!feed->way->is_ahead(capture, &position)) {
        return SLUICE_OK;
    }
    feed->way->format(&position, at);
    feed->way->format(&capture->max, end);
    if (feed->src->options.server.application_intent == SLUICE_TDS_INTENT_READ_ONLY) {
        return sluice_error_set(err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
                                "this replica has changes up to %s, and they were read up to %s "
                                "from another one: it is behind",
                                end, at);
    }
    return sluice_error_set(
        err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
        "database %s: its changes end at %s, but were read up to %s: it was restored from "
        "an older backup, or a failover lost its last transactions, and the targets have rows that "
        "it does not have (hint: load all anew: sluice state reset FILE)",
        feed->src->options.server.database, end, at);
}

/* The catalog anew, and with it what each stream is read from. */
static sluice_status settle(struct ms_feed *feed, struct sluice_error *err)
{
    struct ms_capture old = feed->capture;
    SLUICE_TRY(feed->way->read(feed->conn, &feed->capture, err));
    sluice_status status = check_history(feed, err);
    if (status >= 0) {
        status = ms_feed_streams_place(feed, err);
    }
    if (status >= 0 && feed->way->arrange != NULL) {
        status = feed->way->arrange(feed, err);
    }
    ms_capture_free(&old);
    return status;
}

static sluice_status begin(struct ms_feed *feed, struct sluice_error *err)
{
    int64_t clock = 0;
    struct sluice_source *src = feed->src;
    SLUICE_TRY(sluice_tds_connect(&src->options.server, src->host, &feed->conn, err));
    SLUICE_TRY(ms_clock_read(feed->conn, &clock, &feed->zone_us, err));
    feed->zone_due_us = now_us(feed) + ZONE_US;
    SLUICE_TRY(sluice_failpoint_hit(src->failpoints, "sqlserver.feed_before_start", err));
    return settle(feed, err);
}

sluice_status ms_feed_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                           struct sluice_bytes resume, struct ms_feed **out,
                           struct sluice_error *err)
{
    char at[MS_LSN_TEXT];
    if (resume.size != 0 && resume.size != MS_LSN_BYTES) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "shard %s: a position of %llu bytes is not one of this source",
                                shard->id, (unsigned long long)resume.size);
    }
    struct ms_feed *feed = calloc(1, sizeof *feed);
    if (feed == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a feed");
    }
    feed->src = src;
    feed->way = src->way;
    feed->position = src->start;
    (void)ms_lsn_take(resume, &feed->position);
    feed->delivered = feed->position;
    (void)snprintf(feed->what, sizeof feed->what, "read changes");
    set_limits(feed);
    feed->txs = calloc(TX_MAX, sizeof *feed->txs);
    sluice_status status =
        feed->txs != NULL ? ms_feed_streams_make(feed, err)
                          : sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a feed");
    if (status >= 0 && resume.size != 0 && !feed->way->owns(&feed->position)) {
        status = sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "shard %s: its position is none of %s: option capture was another (hint: set it as it "
            "was, or load anew: sluice state reset FILE)",
            shard->id, feed->way->name);
    }
    if (status >= 0 && feed->way->make != NULL) {
        status = feed->way->make(feed, err);
    }
    if (status >= 0) {
        status = begin(feed, err);
    }
    if (status < 0) {
        ms_feed_close(feed);
        return status;
    }
    feed->way->format(&feed->position, at);
    sluice_log(src->host, SLUICE_LOG_INFO, "changes flow from=%s streams=%u", at,
               feed->stream_count);
    *out = feed;
    return SLUICE_OK;
}

void ms_feed_close(struct ms_feed *feed)
{
    if (feed != NULL) {
        sluice_tds_close(feed->conn);
        ms_feed_streams_free(feed);
        if (feed->way->close != NULL) {
            feed->way->close(feed);
        }
        ms_capture_free(&feed->capture);
        free(feed->txs);
        free(feed);
    }
}

/* ---- what goes out ---- */

static void put_boundary(struct ms_feed *feed, struct sluice_batch *out)
{
    memcpy(feed->position_bytes, feed->position.bytes, MS_LSN_BYTES);
    out->flags |= SLUICE_BATCH_COMMIT_BOUNDARY;
    out->position = (struct sluice_bytes){feed->position_bytes, MS_LSN_BYTES};
    feed->delivered = feed->position;
    feed->heartbeat_due_us = now_us(feed) + HEARTBEAT_US;
}

static int64_t newest_us(const struct ms_feed *feed)
{
    return feed->tx_count > 0 ? feed->txs[feed->tx_count - 1].time_us : 0;
}

static void put_heartbeat(struct ms_feed *feed, struct sluice_batch *out)
{
    out->kind = SLUICE_BATCH_HEARTBEAT;
    out->source_time_us = newest_us(feed);
    put_boundary(feed, out);
}

/* The stream's rows as arrays of at most rows_max rows. */
static sluice_status slice(const struct ms_feed *feed, struct feed_stream *fs,
                           struct sluice_error *err)
{
    struct ArrowArray whole;
    const int64_t rows = fs->rows.rows;
    const uint32_t n = (uint32_t)((rows + feed->rows_max - 1) / feed->rows_max);
    fs->slice_bytes = (uint64_t)sluice_rows_bytes(&fs->rows) / n;
    free(fs->slices);
    fs->slice_count = 0;
    fs->slice_next = 0;
    fs->slices = calloc(n, sizeof *fs->slices);
    if (fs->slices == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for batches");
    }
    SLUICE_TRY(sluice_rows_finish(&fs->rows, &whole, err));
    fs->rows.max_rows = fs->rows.columns[0].max_rows; /* a recycled batch may have other room */
    if (n == 1) {
        sluice_array_move(&whole, &fs->slices[0]);
    }
    else {
        SLUICE_TRY(sluice_array_share(&whole, n, fs->slices, err));
    }
    fs->slice_count = n;
    for (uint32_t i = 0; n > 1 && i < n; i++) {
        const int64_t first = (int64_t)i * feed->rows_max;
        fs->slices[i].offset += first;
        fs->slices[i].length = rows - first < feed->rows_max ? rows - first : feed->rows_max;
    }
    return SLUICE_OK;
}

static void put_schema(struct feed_stream *fs, struct sluice_batch *out)
{
    out->kind = SLUICE_BATCH_SCHEMA;
    out->stream_id = fs->now->desc.stream_id;
    out->schema_id = fs->now->desc.schema_id;
    out->desc = &fs->now->desc;
    fs->announce = 0;
}

static void put_slice(struct feed_stream *fs, struct sluice_batch *out)
{
    struct ArrowArray *from = &fs->slices[fs->slice_next++];
    out->kind = SLUICE_BATCH_CHANGES;
    out->stream_id = fs->now->desc.stream_id;
    out->schema_id = fs->now->desc.schema_id;
    out->rows = (uint64_t)from->length;
    out->bytes = fs->slice_bytes;
    sluice_array_move(from, &out->array);
}

/* The last batch of the window ends it. */
static sluice_status put_next(struct ms_feed *feed, struct sluice_batch *out,
                              struct sluice_error *err)
{
    struct feed_stream *fs = feed->out[feed->out_next];
    out->source_time_us = newest_us(feed);
    if (fs->slice_next == fs->slice_count) {
        if (fs->announce) {
            put_schema(fs, out);
            return SLUICE_OK;
        }
        SLUICE_TRY(slice(feed, fs, err));
    }
    put_slice(fs, out);
    feed->out_next += fs->slice_next == fs->slice_count;
    if (feed->out_next == feed->out_count) {
        feed->out_count = 0;
        feed->out_next = 0;
        feed->parts_out = feed->in_parts;
        if (!feed->in_parts || feed->last_part) {
            feed->parts_out = 0;
            feed->position = feed->to;
            put_boundary(feed, out);
        }
    }
    return SLUICE_OK;
}

/* ---- reading ---- */

static sluice_status read_window(struct ms_feed *feed, struct sluice_error *err)
{
    const sluice_status status = feed->way->window_read(feed, err);
    if (status == SLUICE_AGAIN && feed->parts_out) {
        return sluice_error_set(
            err, SLUICE_E_SCHEMA, SLUICE_ERROR_RETRYABLE,
            "the columns of a table changed while a large transaction was read");
    }
    if (status == SLUICE_AGAIN && ++feed->again > AGAIN_MAX) {
        return sluice_error_set(err, SLUICE_E_SCHEMA, SLUICE_ERROR_RETRYABLE,
                                "%s: what its change table has is not what the catalog says",
                                feed->what);
    }
    if (status == SLUICE_AGAIN) {
        SLUICE_TRY(feed->way->window_drop(feed, err));
        return settle(feed, err);
    }
    SLUICE_TRY(status);
    feed->again = 0;
    SLUICE_TRY(ms_feed_merge(feed, err));
    SLUICE_TRY(sluice_failpoint_hit(feed->src->failpoints, "sqlserver.feed_after_window", err));
    if (feed->out_count == 0) {
        feed->position = feed->to;
        feed->parts_out = 0;
    }
    return SLUICE_OK;
}

/* Newer instances of some table begin where the feed is now: they take over. */
static sluice_status hand_over(struct ms_feed *feed, struct sluice_error *err)
{
    int due = 0;
    for (uint32_t i = 0; i < feed->stream_count; i++) {
        struct ms_lsn at = feed->streams[i].hand_over;
        if (!ms_lsn_is_zero(&at)) {
            ms_lsn_decrement(&at);
            due |= ms_lsn_compare(&at, &feed->position) <= 0;
        }
    }
    return due ? ms_feed_streams_place(feed, err) : SLUICE_OK;
}

/* OK = a window was read, or something else happened: look again. END = nothing follows for now. */
static sluice_status step(struct ms_feed *feed, struct sluice_error *err)
{
    if (!feed->in_parts || feed->last_part) {
        SLUICE_TRY(hand_over(feed, err));
    }
    const sluice_status status = feed->way->window_next(feed, err);
    return status == SLUICE_OK ? read_window(feed, err) : status;
}

/* Asks how far the capture job is. */
static sluice_status poll(struct ms_feed *feed, int64_t now, struct sluice_error *err)
{
    int64_t clock = 0;
    int64_t fingerprint[MS_FINGERPRINT];
    struct ms_lsn max;
    if (now >= feed->zone_due_us) {
        SLUICE_TRY(ms_clock_read(feed->conn, &clock, &feed->zone_us, err));
        feed->zone_due_us = now + ZONE_US;
    }
    SLUICE_TRY(feed->way->progress(feed->conn, &max, fingerprint, err));
    if (memcmp(fingerprint, feed->capture.fingerprint, sizeof fingerprint) != 0) {
        SLUICE_TRY(settle(feed, err));
    }
    const int moved = ms_lsn_compare(&max, &feed->max) > 0;
    feed->max = moved ? max : feed->max;
    feed->poll_us = moved ? POLL_MIN_US : feed->poll_us * 2;
    if (feed->poll_us > feed->src->options.poll_us) {
        feed->poll_us = feed->src->options.poll_us;
    }
    feed->poll_due_us = now + feed->poll_us;
    if (now >= feed->lag_due_us) {
        feed->lag_due_us = now + LAG_US;
        feed->way->look_at_lag(feed);
    }
    return SLUICE_OK;
}

/* An end that was set: has all up to there come? */
static sluice_status consider_end(struct ms_feed *feed, int64_t now, struct sluice_error *err)
{
    if (!ms_lsn_is_zero(&feed->end) && ms_lsn_compare(&feed->position, &feed->end) >= 0) {
        feed->ended = 1;
        return SLUICE_OK;
    }
    if (feed->until_us == 0 || now < feed->ask_due_us) {
        return SLUICE_OK;
    }
    int64_t captured = 0;
    struct ms_lsn max;
    int64_t fingerprint[MS_FINGERPRINT];
    feed->ask_due_us = now + ASK_US;
    SLUICE_TRY(feed->way->seen_until(feed->conn, feed->zone_us, &captured, err));
    if (captured > feed->until_us) {
        SLUICE_TRY(feed->way->progress(feed->conn, &max, fingerprint, err));
        feed->ended = ms_lsn_compare(&max, &feed->position) <= 0;
        if (feed->way->net) { /* no window is cut at a time */
            feed->end = max;
            feed->until_us = 0;
        }
        feed->max = ms_lsn_compare(&max, &feed->max) > 0 ? max : feed->max;
        return SLUICE_OK;
    }
    return ms_feed_lag_wait(feed, captured, now, err);
}

static sluice_status nap(const struct ms_feed *feed, int64_t us, struct sluice_error *err)
{
    const struct sluice_host *host = feed->src->host;
    if (host->cancelled(host->ctx)) {
        return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "%s: cancelled", feed->what);
    }
    us = us < 1000 ? 1000 : us < NAP_US ? us : NAP_US;
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = us * 1000};
    (void)nanosleep(&pause, NULL);
    return SLUICE_OK;
}

/* OK = something goes out; AGAIN = the time is up; END = all that was asked for has gone. */
static sluice_status advance(struct ms_feed *feed, int64_t deadline, struct sluice_batch *out,
                             struct sluice_error *err)
{
    for (;;) {
        if (feed->out_count > 0) {
            return put_next(feed, out, err);
        }
        int64_t now = now_us(feed);
        if (feed->ended || now >= feed->heartbeat_due_us) {
            if (ms_lsn_compare(&feed->position, &feed->delivered) > 0) {
                put_heartbeat(feed, out);
                return SLUICE_OK;
            }
            if (feed->ended) {
                return SLUICE_END;
            }
        }
        sluice_status status = step(feed, err);
        if (status == SLUICE_OK) {
            continue;
        }
        if (status < 0) {
            return status;
        }
        SLUICE_TRY(consider_end(feed, now, err));
        if (!feed->ended && now >= feed->poll_due_us) {
            SLUICE_TRY(poll(feed, now, err));
        }
        else if (!feed->ended && now < deadline) {
            const int64_t until = feed->poll_due_us < deadline ? feed->poll_due_us : deadline;
            SLUICE_TRY(nap(feed, until - now, err));
        }
        else if (!feed->ended) {
            return SLUICE_AGAIN;
        }
    }
}

sluice_status ms_feed_next(struct ms_feed *feed, int64_t timeout_us, struct sluice_batch *out,
                           struct sluice_error *err)
{
    const uint32_t size = out->struct_size;
    if (feed->failed) {
        return sluice_error_set(err, SLUICE_E_STATE, 0, "%s: this reader has failed before",
                                feed->what);
    }
    memset(out, 0, sizeof *out);
    out->struct_size = size;
    const sluice_status status = advance(feed, now_us(feed) + timeout_us, out, err);
    feed->failed = status < 0;
    return status;
}
