/* check(): can changes be followed by change tracking, and if not, which statements mend it? */
#include <stdio.h>

#include "check.h"
#include "tracking.h"
#include "way.h"

struct looking {
    const struct ms_check *check;
    const struct sluice_source_plan *plan;
    struct ms_capture capture;
};

static sluice_status check_table(void *vctx, const struct ms_table *table, struct sluice_error *err)
{
    const struct looking *l = vctx;
    char what[160];
    struct sluice_error problem = SLUICE_ERROR_INIT;
    const struct sluice_stream_select *select = ms_check_select(l->plan, table);
    (void)err;
    if (select == NULL) {
        return SLUICE_OK;
    }
    const struct ms_instance *in = ms_capture_newest(&l->capture, table->object_id);
    if (ms_tracking_admit(select, table, in, select->name, &problem) < 0) {
        return ms_check_tell_error(l->check, select->name, &problem);
    }
    (void)snprintf(what, sizeof what, "tracked since version %lld; changes are there from %lld on",
                   (long long)in->begin_version, (long long)in->min_version);
    return ms_check_tell(l->check, SLUICE_FINDING_INFO, select->name, NULL, what, NULL);
}

static sluice_status check_retention(const struct looking *l, struct sluice_tds_conn *conn)
{
    char what[200];
    char at[MS_LSN_TEXT];
    const int64_t minutes = ms_tracking_retention(conn);
    ms_version_format(&l->capture.max, at);
    if (minutes == 0) {
        (void)snprintf(what, sizeof what,
                       "at version %s; changes are kept for ever: AUTO_CLEANUP is off", at);
    }
    else {
        (void)snprintf(what, sizeof what, "at version %s; changes are kept for %lld minutes", at,
                       (long long)minutes);
    }
    return ms_check_tell(l->check, SLUICE_FINDING_OK, "change tracking", NULL, what, NULL);
}

static sluice_status check_database(const struct ms_check *check, struct sluice_tds_conn *conn,
                                    int *enabled, struct sluice_error *err)
{
    char remedy[320];
    const char *database = check->src->options.server.database;
    if (!check->src->snapshot_allowed) {
        (void)snprintf(remedy, sizeof remedy, "ALTER DATABASE [%s] SET ALLOW_SNAPSHOT_ISOLATION ON",
                       database);
        SLUICE_TRY(ms_check_tell(check, SLUICE_FINDING_ERROR, "change tracking", "capture",
                                 "changes are read under SNAPSHOT isolation, which the database "
                                 "does not allow: without it what is read of two tables, and a "
                                 "change and its row, would be of two moments",
                                 remedy));
    }
    SLUICE_TRY(ms_tracking_enabled(conn, enabled, err));
    if (*enabled) {
        return SLUICE_OK;
    }
    (void)snprintf(remedy, sizeof remedy,
                   "ALTER DATABASE [%s] SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 3 DAYS, "
                   "AUTO_CLEANUP = ON)",
                   database);
    return ms_check_tell(check, SLUICE_FINDING_ERROR, "change tracking", "capture",
                         "it is not enabled for the database", remedy);
}

sluice_status ms_tracking_check(const struct ms_check *check, const struct sluice_source_plan *plan,
                                struct sluice_tds_conn *conn, struct sluice_error *err)
{
    int enabled = 0;
    struct looking l = {.check = check, .plan = plan};
    SLUICE_TRY(check_database(check, conn, &enabled, err));
    if (!enabled) {
        return ms_catalog_tables(conn, check_table, &l, err); /* none is tracked */
    }
    SLUICE_TRY(ms_tracking_read(conn, &l.capture, err));
    sluice_status status = ms_catalog_tables(conn, check_table, &l, err);
    if (status >= 0) {
        status = check_retention(&l, conn);
    }
    ms_capture_free(&l.capture);
    return status;
}
