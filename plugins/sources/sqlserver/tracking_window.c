/*
 * A window of change tracking: the tables' net changes between the feed's position and the version that one SNAPSHOT
 * transaction sees, as of that moment ("Work with change tracking", under "Use snapshot isolation").
 *
 * One that does not fit is handed over in parts while the transaction stays open; the sink commits it as one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"
#include "text.h"

static sluice_status leave(struct ms_feed *feed, const char *how, struct sluice_error *err)
{
    feed->tracking->inside = 0;
    feed->tracking->reading = 0;
    return sluice_tds_run(feed->conn, "end a window of changes", how, err);
}

sluice_status ms_tracking_window_drop(struct ms_feed *feed, struct sluice_error *err)
{
    const int inside = feed->tracking->inside;
    if (feed->tracking->reading) {
        sluice_tds_cancel(feed->conn);
    }
    ms_feed_window_drop(feed);
    /* An error may have ended it already. */
    return inside ? leave(feed, "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION", err) : SLUICE_OK;
}

sluice_status ms_tracking_window_next(struct ms_feed *feed, struct sluice_error *err)
{
    int64_t from = 0;
    int64_t max = 0;
    (void)err;
    if (feed->in_parts && !feed->last_part) {
        return SLUICE_OK;
    }
    feed->in_parts = 0;
    feed->from = feed->position;
    (void)ms_version_take(&feed->from, &from);
    (void)ms_version_take(&feed->max, &max);
    return max > from ? SLUICE_OK : SLUICE_END;
}

/* ---- its beginning ---- */

int64_t ms_tracking_from(const struct ms_feed *feed, const struct feed_stream *fs)
{
    int64_t from = 0;
    int64_t version = 0;
    struct ms_lsn since;
    (void)ms_version_take(&feed->from, &from);
    if (ms_lsn_take(fs->origin->since, &since) && ms_version_take(&since, &version) &&
        version > from) {
        return version;
    }
    return from;
}

/* When the newest transaction that it sees was committed; 0 without VIEW DATABASE STATE. */
static int64_t commit_time(const struct ms_feed *feed, int64_t version)
{
    char sql[160];
    int64_t at = 0;
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    if (!feed->tracking->timed) {
        return 0;
    }
    (void)snprintf(sql, sizeof sql,
                   "SELECT TOP (1) commit_time FROM sys.dm_tran_commit_table WHERE commit_ts <= "
                   "%lld ORDER BY commit_ts DESC",
                   (long long)version);
    if (ms_ask(feed->conn, "ask when a change was committed", sql, &at, 1, 1, &ignored) !=
        SLUICE_OK) {
        return 0;
    }
    return at != 0 ? at - feed->zone_us : 0;
}

/* Looks at each stream's table; AGAIN = something is not as it was when its columns were read. */
static sluice_status look(struct ms_feed *feed, struct ms_lsn *to, struct sluice_error *err)
{
    uint32_t met = 0;
    int as_it_was = 1;
    sluice_status status = sluice_tds_query(
        feed->conn, "look at what is tracked",
        "SELECT CHANGE_TRACKING_CURRENT_VERSION() AS version, object_id, begin_version, "
        "CHANGE_TRACKING_MIN_VALID_VERSION(object_id) AS min_version FROM "
        "sys.change_tracking_tables",
        err);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(feed->conn, err);
        for (uint32_t i = 0; status == SLUICE_OK && i < feed->stream_count; i++) {
            const struct feed_stream *fs = &feed->streams[i];
            if ((int64_t)fs->origin->desc.stream_id != sluice_tds_number(feed->conn, 1)) {
                continue;
            }
            met++;
            *to = ms_version_make(sluice_tds_number(feed->conn, 0));
            as_it_was &= sluice_tds_value(feed->conn, 0).data != NULL &&
                         fs->begun == sluice_tds_number(feed->conn, 2) &&
                         sluice_tds_value(feed->conn, 3).data != NULL &&
                         sluice_tds_number(feed->conn, 3) <= ms_tracking_from(feed, fs);
        }
    }
    if (status < 0) {
        return status;
    }
    return met == feed->stream_count && as_it_was ? SLUICE_OK : SLUICE_AGAIN;
}

/* ---- how many rows it has in each table ---- */

enum { TABLES_AT_ONCE = 200 };

static void add_count(struct ms_text *t, const struct feed_stream *fs, uint32_t i, int64_t from)
{
    char number[160];
    (void)snprintf(number, sizeof number,
                   "SELECT %u AS i, COUNT(*) AS n, COUNT(CASE WHEN c.SYS_CHANGE_OPERATION = N'D' "
                   "THEN 1 END) AS gone FROM CHANGETABLE(CHANGES ",
                   i);
    ms_text_add(t, number);
    ms_text_add_name(t, fs->now->schema_name);
    ms_text_add(t, ".");
    ms_text_add_name(t, fs->now->table_name);
    (void)snprintf(number, sizeof number, ", %lld) AS c", (long long)from);
    ms_text_add(t, number);
}

static sluice_status count_some(struct ms_feed *feed, uint32_t first, uint32_t end,
                                struct sluice_error *err)
{
    struct ms_text t = {0};
    for (uint32_t i = first; i < end; i++) {
        ms_text_add(&t, i > first ? " UNION ALL " : "");
        add_count(&t, &feed->streams[i], i, ms_tracking_from(feed, &feed->streams[i]));
    }
    sluice_status status =
        t.failed ? sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a statement")
                 : sluice_tds_query(feed->conn, "look for changes", t.data, err);
    free(t.data);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(feed->conn, err);
        const int64_t i = status == SLUICE_OK ? sluice_tds_number(feed->conn, 0) : -1;
        if (i >= first && i < end) {
            feed->counts[i] = sluice_tds_number(feed->conn, 1);
            feed->tracking->gone[i] = sluice_tds_number(feed->conn, 2);
        }
    }
    return status < 0 ? status : SLUICE_OK;
}

static void add_pass(struct ms_feed *feed, uint32_t stream, int32_t gone)
{
    struct ms_tracking *t = feed->tracking;
    const int64_t rows = gone ? t->gone[stream] : feed->counts[stream] - t->gone[stream];
    if (rows > 0) {
        t->passes[t->pass_count++] = (struct ms_tracking_pass){stream, gone};
    }
}

/*
 * In which order the rows can be applied one by one. What a key went through is not known, only what became of it: rows
 * that no other table refers to are deleted first, so that what is unique to them is free; then rows are put, parents
 * first; then parents are deleted, children first, since their own children may have moved elsewhere.
 */
static void plan_passes(struct ms_feed *feed)
{
    struct ms_tracking *t = feed->tracking;
    const uint32_t n = feed->stream_count;
    t->pass_count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!t->is_parent[t->places[i]]) {
            add_pass(feed, t->places[i], 1);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        add_pass(feed, t->places[i], 0);
    }
    for (uint32_t i = n; i > 0; i--) {
        if (t->is_parent[t->places[i - 1]]) {
            add_pass(feed, t->places[i - 1], 1);
        }
    }
}

static sluice_status enter(struct ms_feed *feed, struct sluice_error *err)
{
    struct ms_lsn to = {{0}};
    int64_t version = 0;
    struct ms_tracking *t = feed->tracking;
    SLUICE_TRY(sluice_tds_run(feed->conn, "begin a window of changes",
                              "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION", err));
    t->inside = 1;
    t->next = 0;
    t->reading = 0;
    t->taken = 0;
    sluice_status status = look(feed, &to, err);
    for (uint32_t i = 0; status == SLUICE_OK && i < feed->stream_count; i += TABLES_AT_ONCE) {
        const uint32_t rest = feed->stream_count - i;
        status = count_some(feed, i, i + (rest < TABLES_AT_ONCE ? rest : TABLES_AT_ONCE), err);
    }
    if (status != SLUICE_OK) {
        return status;
    }
    plan_passes(feed);
    for (uint32_t i = 0; i < feed->stream_count; i++) {
        ms_version_mark(&to, feed->streams[i].instance);
    }
    (void)ms_version_take(&to, &version);
    feed->to = to;
    feed->tx_base = 0;
    feed->tx_count = 1;
    feed->txs[0] = (struct feed_tx){.lsn = to, .time_us = commit_time(feed, version)};
    return SLUICE_OK;
}

/* ---- its rows ---- */

/* OK = the pass is over; END = there is more of it, and no room. */
static sluice_status read_pass(struct ms_feed *feed, const struct ms_tracking_pass *pass,
                               int64_t *rows, uint64_t *bytes, struct sluice_error *err)
{
    struct feed_stream *fs = &feed->streams[pass->stream];
    sluice_status status = SLUICE_OK;
    if (!feed->tracking->reading) {
        status = ms_tracking_rows_ask(feed, pass, err);
        if (status != SLUICE_OK) {
            return status;
        }
        feed->tracking->reading = 1;
    }
    while (*rows < feed->rows_max && *bytes < (uint64_t)feed->bytes_max) {
        const uint64_t before = fs->bytes_read;
        status = ms_tracking_rows_take(feed, fs, err);
        if (status != SLUICE_OK) {
            feed->tracking->reading = 0;
            return status == SLUICE_END ? SLUICE_OK : status;
        }
        ++*rows;
        *bytes += fs->bytes_read - before;
    }
    return SLUICE_END;
}

/* 1 if the tables are those that the window was made for. Asked outside of its transaction, which may not see that. */
static sluice_status is_settled(struct ms_feed *feed, int *settled, struct sluice_error *err)
{
    int64_t now[MS_FINGERPRINT];
    struct ms_lsn max;
    SLUICE_TRY(ms_tracking_progress(feed->conn, &max, now, err));
    *settled = memcmp(now, feed->capture.fingerprint, sizeof now) == 0;
    feed->max = ms_lsn_compare(&max, &feed->max) > 0 ? max : feed->max;
    return SLUICE_OK;
}

/* What a definition that changed meanwhile may bring. 3961 says so itself ("… modified by a DDL statement in another
 * concurrent transaction"); of others the catalog tells. */
static sluice_status explain(struct ms_feed *feed, sluice_status status,
                             const struct sluice_error *err)
{
    int settled = 1;
    struct sluice_error other = SLUICE_ERROR_INIT;
    const int may_be = status == SLUICE_E_NOT_FOUND || status == SLUICE_E_SCHEMA ||
                       status == SLUICE_E_DATA || err->native_code == 3961 ||
                       err->native_code == 22105;
    if (!may_be) {
        return status;
    }
    if (ms_tracking_window_drop(feed, &other) < 0 || is_settled(feed, &settled, &other) < 0) {
        return other.status == SLUICE_E_POSITION_LOST ? SLUICE_AGAIN : status;
    }
    return err->native_code == 3961 || !settled ? SLUICE_AGAIN : status;
}

static sluice_status read_passes(struct ms_feed *feed, struct sluice_error *err)
{
    int64_t rows = 0;
    uint64_t bytes = 0;
    struct ms_tracking *t = feed->tracking;
    for (; t->next < t->pass_count; t->next++) {
        const sluice_status status = read_pass(feed, &t->passes[t->next], &rows, &bytes, err);
        if (status != SLUICE_OK) {
            return status;
        }
    }
    return SLUICE_OK;
}

sluice_status ms_tracking_window_read(struct ms_feed *feed, struct sluice_error *err)
{
    int settled = 0;
    sluice_status status = feed->in_parts ? SLUICE_OK : enter(feed, err);
    if (status == SLUICE_OK) {
        status = read_passes(feed, err);
    }
    if (status == SLUICE_END) { /* a part of it */
        feed->in_parts = 1;
        feed->last_part = 0;
        return SLUICE_OK;
    }
    if (status != SLUICE_OK) {
        return status < 0 ? explain(feed, status, err) : status;
    }
    feed->last_part = feed->in_parts;
    SLUICE_TRY(leave(feed, "COMMIT TRANSACTION", err));
    SLUICE_TRY(is_settled(feed, &settled, err));
    return settled ? SLUICE_OK : SLUICE_AGAIN;
}
