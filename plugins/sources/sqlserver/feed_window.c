/* Which transactions are read at once: as many as fit, by the change tables' own counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"
#include "text.h"

enum { TX_MIN = 1, TX_MAX = 4096, TABLES_AT_ONCE = 200 };

/* ---- statements ---- */

static void add_table(struct ms_text *t, const struct ms_instance *instance)
{
    char name[sizeof instance->name + 4];
    (void)snprintf(name, sizeof name, "%s_CT", instance->name);
    ms_text_add(t, "[cdc].");
    ms_text_add_name(t, name);
}

/* ---- how many rows the window has in each table ---- */

static void add_count(const struct ms_feed *feed, struct ms_text *t, uint32_t i, const char *range)
{
    char number[48];
    const struct feed_stream *fs = &feed->streams[i];
    (void)snprintf(number, sizeof number, "SELECT %u AS i, COUNT(*) AS n FROM ", i);
    ms_text_add(t, number);
    add_table(t, fs->instance);
    ms_text_add(t, range);
}

static void make_range(const struct ms_feed *feed, char *out, size_t size)
{
    char from[MS_LSN_LITERAL];
    char to[MS_LSN_LITERAL];
    char part[128] = "";
    ms_lsn_literal(&feed->from, from);
    ms_lsn_literal(&feed->to, to);
    if (feed->in_parts) {
        (void)snprintf(part, sizeof part, " AND [__$command_id] > %lld AND [__$command_id] <= %lld",
                       (long long)feed->command_from, (long long)feed->command_to);
    }
    (void)snprintf(out, size, " WHERE [__$start_lsn] > %s AND [__$start_lsn] <= %s%s", from, to,
                   part);
}

static sluice_status count_some(struct ms_feed *feed, uint32_t first, uint32_t end, int64_t *total,
                                struct sluice_error *err)
{
    struct ms_text t = {0};
    char range[256];
    make_range(feed, range, sizeof range);
    for (uint32_t i = first; i < end; i++) {
        ms_text_add(&t, i > first ? " UNION ALL " : "");
        add_count(feed, &t, i, range);
    }
    sluice_status status =
        t.failed ? sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a statement")
                 : sluice_tds_query(feed->conn, "look for changes", t.data, err);
    free(t.data);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(feed->conn, err);
        if (status == SLUICE_OK) {
            const int64_t i = sluice_tds_number(feed->conn, 0);
            if (i >= first && i < end) {
                feed->counts[i] = sluice_tds_number(feed->conn, 1);
                *total += feed->counts[i];
            }
        }
    }
    return status < 0 ? status : SLUICE_OK;
}

static sluice_status count_rows(struct ms_feed *feed, int64_t *total, struct sluice_error *err)
{
    *total = 0;
    for (uint32_t i = 0; i < feed->stream_count; i += TABLES_AT_ONCE) {
        const uint32_t end =
            i + TABLES_AT_ONCE < feed->stream_count ? i + TABLES_AT_ONCE : feed->stream_count;
        SLUICE_TRY(count_some(feed, i, end, total, err));
    }
    return SLUICE_OK;
}

/* ---- transactions ---- */

static void take_tx(struct ms_feed *feed, struct feed_tx *tx)
{
    const struct sluice_bytes id = sluice_tds_value(feed->conn, 2);
    const int64_t local = ms_datetime_us(sluice_tds_value(feed->conn, 1));
    tx->time_us = local != 0 ? local - feed->zone_us : 0;
    tx->id_size = 0;
    if (id.data != NULL && id.size > 0 && id.size * 2 < FEED_TX_ID_MAX) {
        sluice_hex_encode(id.data, id.size, tx->id);
        tx->id_size = (uint32_t)id.size * 2;
    }
}

/* Those behind `from`, up to `upper`. */
static sluice_status read_txs(struct ms_feed *feed, const struct ms_lsn *upper,
                              struct sluice_error *err)
{
    char sql[512];
    char from[MS_LSN_LITERAL];
    char to[MS_LSN_LITERAL];
    ms_lsn_literal(&feed->from, from);
    ms_lsn_literal(upper, to);
    (void)snprintf(sql, sizeof sql,
                   "SELECT TOP (%u) start_lsn, tran_end_time, tran_id FROM cdc.lsn_time_mapping "
                   "WHERE start_lsn > %s AND start_lsn <= %s ORDER BY start_lsn",
                   feed->tx_aim, from, to);
    feed->tx_count = 0;
    sluice_status status = sluice_tds_query(feed->conn, "look for transactions", sql, err);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(feed->conn, err);
        if (status == SLUICE_OK && feed->tx_count < feed->tx_aim &&
            ms_lsn_take(sluice_tds_value(feed->conn, 0), &feed->txs[feed->tx_count].lsn)) {
            take_tx(feed, &feed->txs[feed->tx_count++]);
        }
    }
    return status < 0 ? status : SLUICE_OK;
}

/* Where the window must end at the latest: at a newer instance of some table, at the end that was asked for. */
static struct ms_lsn upper_of(const struct ms_feed *feed)
{
    struct ms_lsn upper = feed->max;
    for (uint32_t i = 0; i < feed->stream_count; i++) {
        struct ms_lsn at = feed->streams[i].hand_over;
        if (ms_lsn_is_zero(&at)) {
            continue;
        }
        ms_lsn_decrement(&at);
        if (ms_lsn_compare(&at, &feed->from) > 0 && ms_lsn_compare(&at, &upper) < 0) {
            upper = at;
        }
    }
    if (!ms_lsn_is_zero(&feed->end) && ms_lsn_compare(&feed->end, &upper) < 0) {
        upper = feed->end;
    }
    return upper;
}

/* What was committed later than asked for stays out; 1 = something did. */
static int cut_until(struct ms_feed *feed)
{
    uint32_t n = 0;
    while (feed->until_us > 0 && n < feed->tx_count && feed->txs[n].time_us <= feed->until_us) {
        n++;
    }
    if (feed->until_us == 0 || n == feed->tx_count) {
        return 0;
    }
    feed->tx_count = n;
    feed->end = n > 0 ? feed->txs[n - 1].lsn : feed->from;
    return 1;
}

/* ---- a transaction that is too large for one window ---- */

static int can_part(const struct ms_feed *feed)
{
    for (uint32_t i = 0; i < feed->stream_count; i++) {
        if (feed->counts[i] > 0 && !feed->streams[i].instance->has_command) {
            return 0;
        }
    }
    return 1;
}

/* The next range of command ids with rows, not too many of them. */
static sluice_status next_part(struct ms_feed *feed, struct sluice_error *err)
{
    int64_t step = feed->rows_aim;
    int64_t rows = 0;
    for (;;) {
        feed->command_to = feed->command_from + step;
        SLUICE_TRY(count_rows(feed, &rows, err));
        if (rows == 0) {
            feed->command_from = feed->command_to; /* ids that other tables' rows have */
            step = step < INT32_MAX / 2 ? step * 2 : INT32_MAX;
            if (feed->command_from > INT32_MAX) {
                return sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_RETRYABLE,
                                        "rows of a transaction went away while it was read");
            }
        }
        else if (rows > 2 * feed->rows_aim && step > 1) {
            step /= 2;
        }
        else {
            break;
        }
    }
    feed->last_part = rows >= feed->part_rows;
    feed->part_rows -= rows;
    return SLUICE_OK;
}

static sluice_status begin_parts(struct ms_feed *feed, int64_t rows, struct sluice_error *err)
{
    feed->in_parts = 1;
    feed->last_part = 0;
    feed->command_from = -1;
    feed->part_rows = rows;
    feed->tx_base = 0;
    return next_part(feed, err);
}

/* ---- the window ---- */

static void aim(struct ms_feed *feed, int64_t rows)
{
    if (rows * 2 < feed->rows_aim && feed->tx_count == feed->tx_aim && feed->tx_aim < TX_MAX) {
        feed->tx_aim *= 2;
    }
}

sluice_status ms_feed_window_next(struct ms_feed *feed, struct sluice_error *err)
{
    int64_t rows = 0;
    if (feed->in_parts && !feed->last_part) {
        feed->command_from = feed->command_to;
        return next_part(feed, err);
    }
    feed->in_parts = 0;
    feed->from = feed->position;
    const struct ms_lsn upper = upper_of(feed);
    if (ms_lsn_compare(&upper, &feed->from) <= 0) {
        return SLUICE_END;
    }
    SLUICE_TRY(read_txs(feed, &upper, err));
    const int some = feed->tx_count == feed->tx_aim;
    const int cut = cut_until(feed);
    if (cut && feed->tx_count == 0) {
        return SLUICE_END;
    }
    feed->to = some || cut ? feed->txs[feed->tx_count - 1].lsn : upper;
    if (feed->tx_count == 0) {
        memset(feed->counts, 0, feed->stream_count * sizeof *feed->counts);
        return SLUICE_OK; /* nothing was captured: the position alone moves */
    }
    for (;;) {
        SLUICE_TRY(count_rows(feed, &rows, err));
        if (rows <= feed->rows_aim || feed->tx_count == TX_MIN) {
            break;
        }
        feed->tx_count = (feed->tx_count + 1) / 2;
        feed->tx_aim = feed->tx_count;
        feed->to = feed->txs[feed->tx_count - 1].lsn;
    }
    aim(feed, rows);
    return rows > 2 * feed->rows_aim && can_part(feed) ? begin_parts(feed, rows, err) : SLUICE_OK;
}

void ms_feed_window_drop(struct ms_feed *feed)
{
    for (uint32_t i = 0; i < feed->stream_count; i++) {
        struct feed_stream *fs = &feed->streams[i];
        if (fs->built) {
            fs->rows.rows = 0;
            sluice_rows_rollback(&fs->rows);
        }
    }
    feed->in_parts = 0;
}

/* 1 if the instances are those that the window was made for. */
static sluice_status is_settled(struct ms_feed *feed, int *settled, struct sluice_error *err)
{
    int64_t now[MS_FINGERPRINT];
    struct ms_lsn max;
    SLUICE_TRY(ms_capture_max(feed->conn, &max, now, err));
    *settled = memcmp(now, feed->capture.fingerprint, sizeof now) == 0;
    feed->max = ms_lsn_compare(&max, &feed->max) > 0 ? max : feed->max;
    return SLUICE_OK;
}

sluice_status ms_feed_window_read(struct ms_feed *feed, struct sluice_error *err)
{
    uint64_t bytes = 0;
    int64_t rows = 0;
    int settled = 1;
    for (uint32_t i = 0; i < feed->stream_count; i++) {
        struct feed_stream *fs = &feed->streams[i];
        if (feed->counts[i] == 0) {
            continue;
        }
        const sluice_status status = ms_feed_rows_read(feed, fs, err);
        if (status == SLUICE_AGAIN) {
            return status;
        }
        if (status == SLUICE_E_NOT_FOUND || status == SLUICE_E_SCHEMA || status == SLUICE_E_DATA) {
            struct sluice_error other = SLUICE_ERROR_INIT;
            const sluice_status asked = is_settled(feed, &settled, &other);
            return asked >= 0 && !settled ? SLUICE_AGAIN : status;
        }
        SLUICE_TRY(status);
        bytes += fs->bytes_read;
        rows += fs->rows.rows;
    }
    if (rows == 0) {
        return SLUICE_OK;
    }
    SLUICE_TRY(is_settled(feed, &settled, err));
    if (!settled) {
        return SLUICE_AGAIN;
    }
    /* Wide rows: fewer of them next time. */
    const int64_t width = (int64_t)(bytes / (uint64_t)rows) + 64;
    const int64_t fit = feed->bytes_max / width;
    feed->rows_aim = fit < 16 ? 16 : fit > feed->rows_max ? feed->rows_max : fit;
    return SLUICE_OK;
}
