/* Change tracking as a way of capture: what is tracked, gaps, the order of tables, clocks. */
#include "tracking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/order.h"
#include "feed.h"
#include "text.h"

/* ---- the catalog ---- */

sluice_status ms_tracking_enabled(struct sluice_tds_conn *conn, int *enabled,
                                  struct sluice_error *err)
{
    int64_t count = 0;
    SLUICE_TRY(ms_ask(conn, "ask whether the database tracks changes",
                      "SELECT COUNT(*) AS n FROM sys.change_tracking_databases WHERE database_id = "
                      "DB_ID()",
                      &count, 1, 0, err));
    *enabled = count > 0;
    return SLUICE_OK;
}

static sluice_status disabled(const struct sluice_source *src, struct sluice_error *err)
{
    return sluice_error_set(
        err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_FATAL,
        "database %s: change tracking is not enabled (hint: ALTER DATABASE [%s] SET "
        "CHANGE_TRACKING "
        "= ON (CHANGE_RETENTION = 3 DAYS, AUTO_CLEANUP = ON); then ALTER TABLE … ENABLE "
        "CHANGE_TRACKING for each table)",
        src->options.server.database, src->options.server.database);
}

/* The last number is when one of the tables was altered last, so that its columns are read anew. */
sluice_status ms_tracking_progress(struct sluice_tds_conn *conn, struct ms_lsn *max,
                                   int64_t fingerprint[MS_FINGERPRINT], struct sluice_error *err)
{
    char text[64] = "";
    int has_zone = 0;
    int64_t zone = 0;
    int64_t version = -1;
    memset(fingerprint, 0, MS_FINGERPRINT * sizeof *fingerprint);
    sluice_status status = sluice_tds_query(
        conn, "ask for the version of change tracking",
        "SELECT CHANGE_TRACKING_CURRENT_VERSION() AS version, "
        "(SELECT COUNT(*) FROM sys.change_tracking_tables) AS tables, "
        "(SELECT SUM(CAST(object_id AS bigint)) FROM sys.change_tracking_tables) AS objects, "
        "(SELECT SUM(CAST(begin_version AS bigint)) FROM sys.change_tracking_tables) AS begun, "
        "(SELECT CONVERT(nvarchar(30), MAX(t.modify_date), 121) FROM sys.tables t JOIN "
        "sys.change_tracking_tables c ON c.object_id = t.object_id) AS altered",
        err);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        if (status == SLUICE_OK) {
            version = sluice_tds_value(conn, 0).data != NULL ? sluice_tds_number(conn, 0) : -1;
            for (int32_t i = 0; i < 3; i++) {
                fingerprint[i] = sluice_tds_number(conn, i + 1);
            }
            sluice_tds_text(conn, 4, text, sizeof text);
        }
    }
    if (status < 0) {
        return status;
    }
    (void)ms_time_parse(text, &fingerprint[3], &has_zone, &zone);
    if (version < 0) {
        return sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "change tracking is not enabled for the database any more: changes since then are lost "
            "(hint: ALTER DATABASE … SET CHANGE_TRACKING = ON, enable the tables again, then load "
            "anew: sluice state reset FILE)");
    }
    *max = ms_version_make(version);
    return SLUICE_OK;
}

/* What is tracked; the tables' columns come later. Positions begin where the next version is, so that changes behind
 * min_version are there. */
static sluice_status read_list(struct sluice_tds_conn *conn, struct ms_capture *out,
                               struct sluice_error *err)
{
    sluice_status status = sluice_tds_query(
        conn, "read what is tracked",
        "SELECT object_id, begin_version, CHANGE_TRACKING_MIN_VALID_VERSION(object_id) AS "
        "min_version FROM sys.change_tracking_tables ORDER BY object_id",
        err);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        if (status != SLUICE_OK) {
            break;
        }
        struct ms_instance *one = ms_capture_add(out, err);
        if (one == NULL) {
            sluice_tds_cancel(conn);
            return SLUICE_E_NOMEM;
        }
        one->is_table = 1;
        one->object_id = sluice_tds_number(conn, 0);
        one->table.object_id = one->object_id;
        one->begin_version = sluice_tds_number(conn, 1);
        one->min_version = sluice_tds_value(conn, 2).data != NULL ? sluice_tds_number(conn, 2) : -1;
        one->start = ms_version_make(one->min_version > 0 ? one->min_version : 0);
        ms_lsn_increment(&one->start);
    }
    return status < 0 ? status : SLUICE_OK;
}

static sluice_status take_table(void *vctx, const struct ms_table *table, struct sluice_error *err)
{
    struct ms_capture *capture = vctx;
    for (uint32_t i = 0; i < capture->count; i++) {
        struct ms_instance *one = capture->instances[i];
        if (one->object_id != table->object_id || one->table.columns != NULL) {
            continue;
        }
        const size_t count = table->count;
        one->table = *table;
        one->table.cap = table->count;
        one->table.columns = malloc((count + 1) * sizeof *table->columns);
        one->table.key_ordinals = malloc((count + 1) * sizeof *table->key_ordinals);
        one->lob = calloc(count + 1, 1);
        if (one->table.columns == NULL || one->table.key_ordinals == NULL || one->lob == NULL) {
            return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for tracked tables");
        }
        memcpy(one->table.columns, table->columns, count * sizeof *table->columns);
        memcpy(one->table.key_ordinals, table->key_ordinals, count * sizeof *table->key_ordinals);
        (void)snprintf(one->name, sizeof one->name, "%s", table->table_name);
    }
    return SLUICE_OK;
}

sluice_status ms_tracking_read(struct sluice_tds_conn *conn, struct ms_capture *out,
                               struct sluice_error *err)
{
    *out = (struct ms_capture){0};
    /* Asked first: what changes meanwhile is seen as a change. */
    SLUICE_TRY(ms_tracking_progress(conn, &out->max, out->fingerprint, err));
    sluice_status status = read_list(conn, out, err);
    if (status >= 0) {
        status = ms_catalog_tables(conn, take_table, out, err);
    }
    if (status < 0) {
        ms_capture_free(out);
    }
    return status;
}

sluice_status ms_tracking_admit(const struct sluice_stream_select *select,
                                const struct ms_table *table, const struct ms_instance *tracked,
                                const char *name, struct sluice_error *err)
{
    char statement[MS_TRACKING_ENABLE_MAX];
    (void)select;
    for (uint32_t i = 0; tracked == NULL && i <= table->count; i++) {
        if (i == table->count) {
            return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                    "table %s has no primary key, which change tracking needs "
                                    "(hint: give it one, or use capture: cdc)",
                                    name);
        }
        if (table->key_ordinals[i] > 0) {
            break;
        }
    }
    if (tracked == NULL) {
        ms_tracking_enable(table->schema_name, table->table_name, statement, sizeof statement);
        return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "table %s is not tracked (hint: %s)",
                                name, statement);
    }
    if (tracked->min_version < 0) {
        char schema[sizeof table->schema_name * 2];
        char quoted[sizeof table->table_name * 2];
        (void)sluice_tds_quote(table->schema_name, schema, sizeof schema);
        (void)sluice_tds_quote(table->table_name, quoted, sizeof quoted);
        return sluice_error_set(err, SLUICE_E_PERMISSION, 0,
                                "table %s: what is tracked of it may not be read (hint: GRANT VIEW "
                                "CHANGE TRACKING ON %s.%s TO the user)",
                                name, schema, quoted);
    }
    return SLUICE_OK;
}

static int owns(const struct ms_lsn *position)
{
    int64_t version = 0;
    return ms_version_take(position, &version);
}

static int is_ahead(const struct ms_capture *capture, const struct ms_lsn *position)
{
    int64_t at = 0;
    int64_t end = 0;
    return ms_version_take(position, &at) && ms_version_take(&capture->max, &end) && at > end;
}

void ms_tracking_enable(const char *schema_name, const char *table_name, char *out, size_t size)
{
    struct ms_text t = {0};
    ms_text_add(&t, "ALTER TABLE ");
    ms_text_add_name(&t, schema_name);
    ms_text_add(&t, ".");
    ms_text_add_name(&t, table_name);
    ms_text_add(&t, " ENABLE CHANGE_TRACKING");
    (void)snprintf(out, size, "%s", t.failed ? "ALTER TABLE … ENABLE CHANGE_TRACKING" : t.data);
    free(t.data);
}

static void unfollowed(const char *schema_name, const char *table_name, char *out, size_t size)
{
    char statement[MS_TRACKING_ENABLE_MAX];
    ms_tracking_enable(schema_name, table_name, statement, sizeof statement);
    (void)snprintf(out, size,
                   "it is not tracked, which %s mends, after ALTER DATABASE … SET CHANGE_TRACKING "
                   "= ON if the database has none yet",
                   statement);
}

/* ---- gaps ---- */

static sluice_status lost(const struct ms_feed *feed, const struct feed_stream *fs, int64_t needed,
                          const struct ms_instance *in, struct sluice_error *err)
{
    const char *name = fs->origin->name;
    if (in == NULL) {
        char statement[MS_TRACKING_ENABLE_MAX];
        ms_tracking_enable(fs->origin->schema_name, fs->origin->table_name, statement,
                           sizeof statement);
        return sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "table %s is tracked no more: its changes behind version %lld are lost (hint: %s; then "
            "load it anew: sluice state resync FILE --stream '%s')",
            name, (long long)needed, statement, name);
    }
    return sluice_error_set(
        err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
        "table %s: changes behind version %lld are needed, and change tracking has them from "
        "version %lld on, begun at %lld: they were cleaned up, the table was truncated, or its "
        "tracking was begun anew (hint: load the table anew: sluice state resync FILE --stream "
        "'%s'; if they were cleaned up, keep them for longer: ALTER DATABASE [%s] SET "
        "CHANGE_TRACKING (CHANGE_RETENTION = 7 DAYS))",
        name, (long long)needed, (long long)in->min_version, (long long)in->begin_version, name,
        feed->src->options.server.database);
}

static sluice_status choose(struct ms_feed *feed, struct feed_stream *fs,
                            const struct ms_lsn *needed, struct sluice_error *err)
{
    int64_t from = 0;
    const struct ms_instance *in =
        ms_capture_newest(&feed->capture, (int64_t)fs->origin->desc.stream_id);
    fs->instance = NULL;
    (void)ms_version_take(needed, &from);
    if (in == NULL || in->table.columns == NULL) {
        return lost(feed, fs, from, NULL, err);
    }
    if (in->min_version < 0) {
        return ms_tracking_admit(NULL, &in->table, in, fs->origin->name, err);
    }
    /* Begun at the very version where the feed is, which did not know of it: TRUNCATE, or enabled anew. */
    const int anew = (fs->begun >= 0 && fs->begun != in->begin_version) ||
                     (in->begin_version == from && !ms_version_is_marked(needed));
    if (in->min_version > from || anew) {
        return lost(feed, fs, from, in, err);
    }
    fs->begun = in->begin_version;
    fs->instance = in;
    return SLUICE_OK;
}

/* ---- the order of tables ---- */

static int64_t stream_of(const struct ms_feed *feed, int64_t object_id)
{
    for (uint32_t i = 0; i < feed->stream_count; i++) {
        if ((int64_t)feed->streams[i].origin->desc.stream_id == object_id) {
            return (int64_t)i;
        }
    }
    return -1;
}

/* Foreign keys among the streams; `is_parent`: one a stream. */
static sluice_status read_edges(struct ms_feed *feed, struct sluice_apply_edge **edges,
                                size_t *count, uint8_t *is_parent, struct sluice_error *err)
{
    size_t cap = 0;
    sluice_status status = sluice_tds_query(
        feed->conn, "read the foreign keys",
        "SELECT parent_object_id, referenced_object_id FROM sys.foreign_keys", err);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(feed->conn, err);
        if (status != SLUICE_OK) {
            break;
        }
        const int64_t child = stream_of(feed, sluice_tds_number(feed->conn, 0));
        const int64_t parent = stream_of(feed, sluice_tds_number(feed->conn, 1));
        if (child < 0 || parent < 0) {
            continue;
        }
        if (*count == cap) {
            cap = cap > 0 ? cap * 2 : 32;
            struct sluice_apply_edge *grown = realloc(*edges, cap * sizeof *grown);
            if (grown == NULL) {
                sluice_tds_cancel(feed->conn);
                return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for foreign keys");
            }
            *edges = grown;
        }
        (*edges)[(*count)++] = (struct sluice_apply_edge){(uint32_t)child, (uint32_t)parent};
        is_parent[parent] = 1;
    }
    return status < 0 ? status : SLUICE_OK;
}

static sluice_status arrange(struct ms_feed *feed, struct sluice_error *err)
{
    struct ms_tracking *t = feed->tracking;
    struct sluice_apply_edge *edges = NULL;
    size_t count = 0;
    int64_t newest = 0;
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    memset(t->is_parent, 0, feed->stream_count);
    sluice_status status = read_edges(feed, &edges, &count, t->is_parent, err);
    if (status >= 0) {
        status = sluice_apply_order(edges, count, feed->stream_count, t->places, err);
    }
    free(edges);
    /* Tried here, outside of a transaction that an error might end. */
    t->timed = ms_ask(feed->conn, "ask for commit times",
                      "SELECT TOP (1) commit_ts FROM sys.dm_tran_commit_table", &newest, 1, 0,
                      &ignored) >= 0;
    return status;
}

static sluice_status make(struct ms_feed *feed, struct sluice_error *err)
{
    const size_t n = feed->stream_count + 1u;
    struct ms_tracking *t = calloc(1, sizeof *t);
    feed->tracking = t;
    if (t != NULL) {
        t->places = calloc(n, sizeof *t->places);
        t->is_parent = calloc(n, sizeof *t->is_parent);
        t->gone = calloc(n, sizeof *t->gone);
        t->passes = calloc(2 * n, sizeof *t->passes);
    }
    return t != NULL && t->places != NULL && t->is_parent != NULL && t->gone != NULL &&
                   t->passes != NULL
               ? SLUICE_OK
               : sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a feed");
}

static void close_feed(struct ms_feed *feed)
{
    if (feed->tracking != NULL) {
        free(feed->tracking->places);
        free(feed->tracking->is_parent);
        free(feed->tracking->gone);
        free(feed->tracking->passes);
        free(feed->tracking);
    }
}

/* ---- clocks ---- */

static sluice_status seen_until(struct sluice_tds_conn *conn, int64_t zone_us, int64_t *out_us,
                                struct sluice_error *err)
{
    int64_t zone = 0;
    (void)zone_us;
    return ms_clock_read(conn, out_us, &zone, err); /* versions come with the commit */
}

int64_t ms_tracking_retention(struct sluice_tds_conn *conn)
{
    static const int64_t minutes[] = {0, 1, 60, 1440};
    int64_t row[3];
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    if (ms_ask(conn, "ask for the retention",
               "SELECT retention_period, retention_period_units, is_auto_cleanup_on FROM "
               "sys.change_tracking_databases WHERE database_id = DB_ID()",
               row, 3, 0, &ignored) != SLUICE_OK ||
        row[1] < 1 || row[1] > 3) {
        return -1;
    }
    return row[2] != 0 ? row[0] * minutes[row[1]] : 0;
}

/* When what follows a position was committed, in the server's zone; 0 = it cannot be seen without VIEW DATABASE STATE,
 * or nothing follows. */
static int64_t time_behind(struct sluice_tds_conn *conn, const struct ms_lsn *position)
{
    char sql[160];
    int64_t version = 0;
    int64_t at = 0;
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    (void)ms_version_take(position, &version);
    (void)snprintf(sql, sizeof sql,
                   "SELECT TOP (1) commit_time FROM sys.dm_tran_commit_table WHERE commit_ts > "
                   "%lld ORDER BY commit_ts",
                   (long long)version);
    return ms_ask(conn, "ask when a change was committed", sql, &at, 1, 1, &ignored) == SLUICE_OK
               ? at
               : 0;
}

static void look_at_lag(struct ms_feed *feed)
{
    int64_t clock = 0;
    int64_t zone = 0;
    const struct sluice_host *host = feed->src->host;
    struct sluice_error err = SLUICE_ERROR_INIT;
    const int64_t now = host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC);
    const int behind = ms_lsn_compare(&feed->delivered, &feed->max) < 0;
    if (feed->tracking->met_us == 0 || !behind) {
        feed->tracking->met_us = now;
    }
    if (!behind) {
        feed->retention_told = 0;
        return;
    }
    if (ms_clock_read(feed->conn, &clock, &zone, &err) < 0) {
        return; /* what is wrong with the connection, reading will tell */
    }
    const int64_t minutes = ms_tracking_retention(feed->conn);
    const int64_t at = time_behind(feed->conn, &feed->delivered);
    const int64_t age = (at != 0 ? clock - (at - zone) : now - feed->tracking->met_us) / 60000000;
    const int near = minutes > 0 && age * 2 > minutes;
    if (near && !feed->retention_told) {
        sluice_log(host, SLUICE_LOG_WARN,
                   "the feed is %lld minutes behind, and change tracking keeps changes for %lld: "
                   "what is cleaned up is lost (hint: ALTER DATABASE [%s] SET CHANGE_TRACKING "
                   "(CHANGE_RETENTION = 7 DAYS))",
                   (long long)age, (long long)minutes, feed->src->options.server.database);
    }
    feed->retention_told = near;
}

static sluice_status measure(struct sluice_tds_conn *conn, const struct ms_lsn *position,
                             struct sluice_source_lag *out, struct sluice_error *err)
{
    int64_t clock = 0;
    int64_t zone = 0;
    int64_t fingerprint[MS_FINGERPRINT];
    struct ms_lsn max;
    SLUICE_TRY(ms_tracking_progress(conn, &max, fingerprint, err));
    SLUICE_TRY(ms_clock_read(conn, &clock, &zone, err));
    ms_version_format(&max, out->end);
    if (ms_lsn_is_zero(position)) {
        return SLUICE_OK;
    }
    ms_version_format(position, out->position);
    const int64_t at = time_behind(conn, position);
    const int64_t minutes = ms_tracking_retention(conn);
    const int64_t age = at != 0 ? (clock - (at - zone)) / 60000000 : 0;
    if (minutes > 0 && age * 2 > minutes) {
        (void)snprintf(out->note, sizeof out->note,
                       "%lld minutes behind; change tracking keeps changes for %lld",
                       (long long)age, (long long)minutes);
    }
    return SLUICE_OK;
}

const struct ms_way ms_way_tracking = {
    .name = "change tracking",
    .unfollowed = unfollowed,
    .net = 1,
    .snapshots = 1,
    .enabled = ms_tracking_enabled,
    .disabled = disabled,
    .read = ms_tracking_read,
    .progress = ms_tracking_progress,
    .admit = ms_tracking_admit,
    .check = ms_tracking_check,
    .owns = owns,
    .is_ahead = is_ahead,
    .format = ms_version_format,
    .parse = ms_version_parse,
    .position_form = "a version of change tracking like 1234",
    .make = make,
    .close = close_feed,
    .choose = choose,
    .arrange = arrange,
    .prepare = ms_tracking_rows_prepare,
    .window_next = ms_tracking_window_next,
    .window_read = ms_tracking_window_read,
    .window_drop = ms_tracking_window_drop,
    .seen_until = seen_until,
    .look_at_lag = look_at_lag,
    .measure = measure,
};
