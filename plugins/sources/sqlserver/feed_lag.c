/* Clocks: how far the capture job is behind, whether it runs, and how soon the cleanup job reaches us. */
#include <stdio.h>
#include <string.h>

#include "feed.h"

#define LAG_MAX_US (MS_LAG_MAX_S * 1000000ll)
/* A scan that found nothing may have begun so long before its end. */
#define EMPTY_SCAN_US (6ll * 1000000)
/* The most that whoever asks from outside waits. */
#define ASK_US 3000000
/* Without VIEW DATABASE STATE the job is seen by what it writes, which on an idle database is a row every five minutes. */
#define STILL_MAX_US (900ll * 1000000)
#define STILL_ASK_US (5ll * 1000000)
enum { RETENTION_DEFAULT = 4320 /* minutes */ };

#define START_HINT \
    "(hint: start SQL Server Agent, then EXEC sys.sp_cdc_start_job @job_type = N'capture')"

sluice_status ms_clock_read(struct sluice_tds_conn *conn, int64_t *utc_us, int64_t *zone_us,
                            struct sluice_error *err)
{
    char text[64] = "";
    int has_zone = 0;
    SLUICE_TRY(sluice_tds_query(conn, "ask for the server's time",
                                "SELECT CAST(SYSDATETIMEOFFSET() AS nvarchar(40)) AS now", err));
    sluice_status status = sluice_tds_fetch(conn, err);
    while (status == SLUICE_OK) {
        sluice_tds_text(conn, 0, text, sizeof text);
        status = sluice_tds_fetch(conn, err);
    }
    if (status < 0) {
        return status;
    }
    if (!ms_time_parse(text, utc_us, &has_zone, zone_us) || !has_zone) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "the server's time is \"%.40s\"", text);
    }
    return SLUICE_OK;
}

sluice_status ms_ask(struct sluice_tds_conn *conn, const char *what, const char *sql, int64_t *out,
                     int32_t n, uint32_t times, struct sluice_error *err)
{
    sluice_status found = SLUICE_END;
    memset(out, 0, (size_t)n * sizeof *out);
    sluice_status status = sluice_tds_query(conn, what, sql, err);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        if (status == SLUICE_OK) {
            found = SLUICE_OK;
            for (int32_t i = 0; i < n; i++) {
                out[i] = (times >> i & 1) != 0 ? ms_datetime_us(sluice_tds_value(conn, i))
                                               : sluice_tds_number(conn, i);
            }
        }
    }
    return status < 0 ? status : found;
}

sluice_status ms_captured_until(struct sluice_tds_conn *conn, int64_t zone_us, int64_t *out_us,
                                struct sluice_error *err)
{
    int64_t row[3];
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    *out_us = 0;
    sluice_status status =
        ms_ask(conn, "ask when the log was scanned",
               "SELECT TOP (1) start_time, end_time, empty_scan_count FROM "
               "sys.dm_cdc_log_scan_sessions WHERE session_id <> 0 ORDER BY session_id DESC",
               row, 3, 3, &ignored);
    if (status == SLUICE_OK && row[1] != 0) {
        *out_us = row[2] > 0 && row[1] - EMPTY_SCAN_US > row[0] ? row[1] - EMPTY_SCAN_US : row[0];
    }
    /* Without VIEW DATABASE STATE what was captured says how far the job is. */
    status =
        ms_ask(conn, "ask when the newest change was committed",
               "SELECT TOP (1) tran_end_time FROM cdc.lsn_time_mapping ORDER BY start_lsn DESC",
               row, 1, 1, err);
    if (status == SLUICE_OK && row[0] > *out_us) {
        *out_us = row[0];
    }
    *out_us -= *out_us != 0 ? zone_us : 0;
    return status < 0 ? status : SLUICE_OK;
}

sluice_status ms_retention_read(struct sluice_tds_conn *conn, int64_t *minutes,
                                struct sluice_error *err)
{
    const sluice_status status = ms_ask(
        conn, "ask for the retention",
        "SELECT retention FROM msdb.dbo.cdc_jobs WHERE job_type = N'cleanup' AND database_id = "
        "DB_ID()",
        minutes, 1, 0, err);
    if (status != SLUICE_OK || *minutes <= 0) {
        *minutes = RETENTION_DEFAULT;
    }
    return status;
}

/* When what follows a position was committed (UTC); END = nothing follows. */
static sluice_status position_time(struct sluice_tds_conn *conn, const struct ms_lsn *position,
                                   int64_t zone_us, int64_t *out_us, struct sluice_error *err)
{
    char at[MS_LSN_LITERAL];
    char sql[256];
    ms_lsn_literal(position, at);
    (void)snprintf(sql, sizeof sql,
                   "SELECT TOP (1) tran_end_time FROM cdc.lsn_time_mapping WHERE start_lsn > %s "
                   "ORDER BY start_lsn",
                   at);
    const sluice_status status =
        ms_ask(conn, "ask when a change was committed", sql, out_us, 1, 1, err);
    *out_us -= *out_us != 0 ? zone_us : 0;
    return status;
}

static void look_at_job(struct ms_feed *feed, int64_t clock)
{
    int64_t captured = 0;
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (ms_captured_until(feed->conn, feed->zone_us, &captured, &err) < 0) {
        return;
    }
    const int64_t lag = clock - captured;
    if (captured == 0 && !feed->lag_told) {
        sluice_log(feed->src->host, SLUICE_LOG_WARN,
                   "the capture job has captured nothing yet: is SQL Server Agent running? (hint: "
                   "EXEC sys.sp_cdc_start_job @job_type = N'capture')");
    }
    else if (lag > LAG_MAX_US && !feed->lag_told) {
        sluice_log(feed->src->host, SLUICE_LOG_WARN,
                   "the capture job has captured nothing for %lld s: is SQL Server Agent running? "
                   "(hint: EXEC sys.sp_cdc_start_job @job_type = N'capture')",
                   (long long)(lag / 1000000));
    }
    feed->lag_told = lag > LAG_MAX_US;
}

static void look_at_retention(struct ms_feed *feed, int64_t clock)
{
    int64_t minutes = 0;
    int64_t at = 0;
    struct sluice_error err = SLUICE_ERROR_INIT;
    (void)ms_retention_read(feed->conn, &minutes, &err);
    if (position_time(feed->conn, &feed->delivered, feed->zone_us, &at, &err) != SLUICE_OK ||
        at == 0) {
        return;
    }
    const int64_t age = (clock - at) / 60000000;
    const int near = ms_lsn_compare(&feed->delivered, &feed->max) < 0 && age * 2 > minutes;
    if (near && !feed->retention_told) {
        sluice_log(feed->src->host, SLUICE_LOG_WARN,
                   "the feed is %lld minutes behind, and the cleanup job keeps changes for %lld: "
                   "what it removes is lost (hint: EXEC sys.sp_cdc_change_job @job_type = "
                   "N'cleanup', @retention = MINUTES)",
                   (long long)age, (long long)minutes);
    }
    feed->retention_told = near;
}

void ms_feed_lag_look(struct ms_feed *feed)
{
    int64_t clock = 0;
    int64_t zone = 0;
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (ms_clock_read(feed->conn, &clock, &zone, &err) < 0) {
        return; /* what is wrong with the connection, reading will tell */
    }
    look_at_job(feed, clock);
    look_at_retention(feed, clock);
}

sluice_status ms_feed_lag_wait(struct ms_feed *feed, int64_t captured, int64_t now,
                               struct sluice_error *err)
{
    int64_t running = 0;
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    if (captured != feed->seen_us || feed->seen_since_us == 0) {
        feed->seen_us = captured;
        feed->seen_since_us = now;
        return SLUICE_OK;
    }
    const int64_t still = now - feed->seen_since_us;
    if (still < STILL_ASK_US) {
        return SLUICE_OK;
    }
    /* Without VIEW SERVER STATE it is not known. */
    const int seen =
        ms_ask(feed->conn, "ask whether SQL Server Agent runs",
               "SELECT COUNT(*) AS n FROM sys.dm_server_services WHERE servicename LIKE N'SQL "
               "Server Agent%' AND status = 4",
               &running, 1, 0, &ignored) == SLUICE_OK;
    if (seen && running == 0) {
        return sluice_error_set(err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_FATAL,
                                "%s: SQL Server Agent is not running: what was committed before "
                                "this run is not all captured " START_HINT,
                                feed->what);
    }
    return still <= STILL_MAX_US
               ? (sluice_status)SLUICE_OK
               : sluice_error_set(err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_FATAL,
                                  "%s: the capture job has captured nothing for %lld s, and what "
                                  "was committed before this run is not all captured " START_HINT,
                                  feed->what, (long long)(still / 1000000));
}

/* ---- for whoever asks from outside ---- */

static void note_lag(struct sluice_source_lag *out, int64_t clock, int64_t captured, int64_t at,
                     int64_t minutes)
{
    const int64_t age = at > 0 ? (clock - at) / 60000000 : 0;
    if (captured > 0 && clock - captured > LAG_MAX_US) {
        (void)snprintf(
            out->note, sizeof out->note,
            "the capture job has captured nothing for %lld s: is SQL Server Agent running?",
            (long long)((clock - captured) / 1000000));
    }
    else if (age * 2 > minutes) {
        (void)snprintf(out->note, sizeof out->note,
                       "%lld minutes behind; the cleanup job keeps changes for %lld",
                       (long long)age, (long long)minutes);
    }
}

sluice_status ms_feed_lag_measure(struct sluice_tds_conn *conn, const struct ms_lsn *position,
                                  struct sluice_source_lag *out, struct sluice_error *err)
{
    int64_t clock = 0;
    int64_t zone = 0;
    int64_t captured = 0;
    int64_t minutes = 0;
    int64_t at = 0;
    int64_t fingerprint[MS_FINGERPRINT];
    struct ms_lsn max;
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    SLUICE_TRY(ms_capture_max(conn, &max, fingerprint, err));
    SLUICE_TRY(ms_clock_read(conn, &clock, &zone, err));
    SLUICE_TRY(ms_captured_until(conn, zone, &captured, err));
    (void)ms_retention_read(conn, &minutes, &ignored);
    if (!ms_lsn_is_zero(&max)) {
        ms_lsn_format(&max, out->end);
    }
    if (!ms_lsn_is_zero(position)) {
        ms_lsn_format(position, out->position);
        SLUICE_TRY(position_time(conn, position, zone, &at, err));
    }
    note_lag(out, clock, captured, at, minutes);
    return SLUICE_OK;
}

sluice_status ms_measure(struct sluice_source *src, const struct sluice_source_plan *plan,
                         struct sluice_bytes position, struct sluice_source_lag *out,
                         struct sluice_error *err)
{
    struct ms_lsn at = {{0}};
    struct sluice_tds_settings *quick = &src->quick;
    (void)plan;
    if (position.size != 0 && (!ms_lsn_take(position, &at) || !src->way->owns(&at))) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "a position of %llu bytes is none of %s",
                                (unsigned long long)position.size, src->way->name);
    }
    out->flags = 0;
    out->behind_bytes = -1;
    out->retained_bytes = -1;
    out->remaining_bytes = -1;
    out->position[0] = '\0';
    out->end[0] = '\0';
    out->note[0] = '\0';
    if (src->asking == NULL) {
        *quick = src->options.server;
        quick->login_timeout_us =
            quick->login_timeout_us < ASK_US ? quick->login_timeout_us : ASK_US;
        quick->query_timeout_us = ASK_US;
        SLUICE_TRY(sluice_tds_connect(quick, src->host, &src->asking, err));
    }
    const sluice_status status = src->way->measure(src->asking, &at, out, err);
    if (status < 0) {
        sluice_tds_close(src->asking);
        src->asking = NULL;
    }
    return status;
}
