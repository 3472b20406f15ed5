/* check(): can changes be followed here, and if not, which statements mend it? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "feed.h"
#include "setup.h"

struct changes {
    const struct ms_check *check;
    const struct sluice_source_plan *plan;
    struct sluice_tds_conn *conn;
    struct ms_capture capture;
};

/* ---- tables ---- */

static sluice_status check_right(const struct changes *c, const char *name,
                                 const struct ms_instance *in)
{
    char what[sizeof in->name + 128];
    char literal[3 * sizeof in->name];
    char sql[sizeof literal + 128];
    size_t n = 0;
    for (const char *p = in->name; *p != '\0' && n + 3 < sizeof literal; p++) {
        literal[n++] = *p;
        if (*p == '\'' || *p == ']') {
            literal[n++] = *p;
        }
    }
    literal[n] = '\0';
    (void)snprintf(sql, sizeof sql,
                   "SELECT HAS_PERMS_BY_NAME(N'[cdc].[%s_CT]', N'OBJECT', N'SELECT') AS may",
                   literal);
    if (ms_check_number(c->conn, sql) != 0) {
        return SLUICE_OK;
    }
    (void)snprintf(what, sizeof what, "the change table of capture instance %s may not be read",
                   in->name);
    return ms_check_tell(c->check, SLUICE_FINDING_ERROR, name, NULL, what,
                         "GRANT SELECT ON SCHEMA::cdc TO the user, or make it a member of the "
                         "instance's role");
}

static sluice_status check_columns(const struct changes *c, const char *name,
                                   const struct ms_table *table, const struct ms_instance *in)
{
    char what[512];
    size_t n = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct sluice_tds_column *column = &table->columns[i];
        if (ms_instance_column(in, column->name) < 0 && n < sizeof what - 64) {
            n += (size_t)snprintf(what + n, sizeof what - n, "%s%.60s%s", n > 0 ? ", " : "",
                                  column->name, column->computed ? " (computed)" : "");
        }
    }
    if (n == 0) {
        return SLUICE_OK;
    }
    char text[sizeof what + 64];
    (void)snprintf(text, sizeof text, "changes do not have the columns %s", what);
    return ms_check_tell(
        c->check, SLUICE_FINDING_WARN, name, NULL, text,
        "EXEC sys.sp_cdc_enable_table with another @capture_instance: it takes over "
        "by itself, and the older one can be disabled then; computed columns are "
        "never captured");
}

static sluice_status check_table(void *vctx, const struct ms_table *table, struct sluice_error *err)
{
    struct changes *c = vctx;
    char what[256];
    char start[MS_LSN_TEXT];
    struct sluice_error problem = SLUICE_ERROR_INIT;
    const struct sluice_stream_select *select = ms_check_select(c->plan, table);
    (void)err;
    if (select == NULL) {
        return SLUICE_OK;
    }
    const struct ms_instance *in = ms_capture_newest(&c->capture, table->object_id);
    if (ms_setup_check(c->check->src, select, table, in, select->name, &problem) < 0) {
        return ms_check_tell_error(c->check, select->name, &problem);
    }
    ms_lsn_format(&in->start, start);
    (void)snprintf(what, sizeof what, "captured by instance %.120s since %s", in->name, start);
    sluice_status status =
        ms_check_tell(c->check, SLUICE_FINDING_INFO, select->name, NULL, what, NULL);
    return status >= 0 ? check_columns(c, select->name, table, in) : status;
}

/* The catalog's rows must have been read before anything else is asked. */
static sluice_status check_rights(const struct changes *c)
{
    for (uint32_t i = 0; i < c->capture.count; i++) {
        const struct ms_instance *in = c->capture.instances[i];
        const struct sluice_stream_select *select = ms_check_select(c->plan, &in->table);
        if (select != NULL) {
            SLUICE_TRY(check_right(c, select->name, in));
        }
    }
    return SLUICE_OK;
}

/* ---- the capture job ---- */

static sluice_status check_agent(const struct changes *c)
{
    const int64_t running = ms_check_number(
        c->conn,
        "SELECT COUNT(*) AS n FROM sys.dm_server_services WHERE servicename LIKE N'SQL Server "
        "Agent%' AND status = 4");
    if (running == 0) {
        return ms_check_tell(c->check, SLUICE_FINDING_ERROR, "SQL Server Agent", NULL,
                             "it is not running: nothing is captured",
                             "start the service, then EXEC sys.sp_cdc_start_job @job_type = "
                             "N'capture'");
    }
    return ms_check_tell(
        c->check, running > 0 ? SLUICE_FINDING_OK : SLUICE_FINDING_INFO, "SQL Server Agent", NULL,
        running > 0 ? "it is running" : "whether it runs cannot be seen without VIEW SERVER STATE",
        NULL);
}

static sluice_status check_job(struct changes *c, struct sluice_error *err)
{
    char what[256];
    char at[MS_LSN_TEXT];
    int64_t fingerprint[MS_FINGERPRINT];
    int64_t minutes = 0;
    int64_t captured = 0;
    int64_t clock = 0;
    int64_t zone = 0;
    struct ms_lsn max;
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    SLUICE_TRY(ms_capture_max(c->conn, &max, fingerprint, err));
    SLUICE_TRY(ms_clock_read(c->conn, &clock, &zone, err));
    SLUICE_TRY(ms_captured_until(c->conn, zone, &captured, err));
    (void)ms_retention_read(c->conn, &minutes, &ignored);
    if (ms_lsn_is_zero(&max)) {
        return ms_check_tell(c->check, SLUICE_FINDING_WARN, "capture job", NULL,
                             "nothing was captured yet", "is SQL Server Agent running?");
    }
    ms_lsn_format(&max, at);
    const int64_t behind = captured > 0 && clock > captured ? (clock - captured) / 1000000 : 0;
    (void)snprintf(what, sizeof what,
                   "captured up to %s, %lld s ago; changes are kept for %lld minutes", at,
                   (long long)behind, (long long)minutes);
    return ms_check_tell(c->check, behind > MS_LAG_MAX_S ? SLUICE_FINDING_WARN : SLUICE_FINDING_OK,
                         "capture job", NULL, what,
                         behind > MS_LAG_MAX_S ? "EXEC sys.sp_cdc_start_job @job_type = N'capture'"
                                               : NULL);
}

sluice_status ms_check_changes(const struct ms_check *check, const struct sluice_source_plan *plan,
                               struct sluice_tds_conn *conn, struct sluice_error *err)
{
    int enabled = 0;
    struct changes c = {.check = check, .plan = plan, .conn = conn};
    SLUICE_TRY(ms_capture_enabled(conn, &enabled, err));
    if (!enabled) {
        SLUICE_TRY(ms_check_tell(check, SLUICE_FINDING_ERROR, "change data capture", NULL,
                                 "it is not enabled for the database",
                                 "a member of sysadmin runs EXEC sys.sp_cdc_enable_db there; then "
                                 "what follows"));
        return ms_catalog_tables(conn, check_table, &c, err); /* none is captured */
    }
    SLUICE_TRY(ms_capture_read(conn, &c.capture, err));
    sluice_status status = ms_catalog_tables(conn, check_table, &c, err);
    if (status >= 0) {
        status = check_rights(&c);
    }
    ms_capture_free(&c.capture);
    if (status >= 0) {
        status = check_agent(&c);
    }
    return status >= 0 ? check_job(&c, err) : status;
}
