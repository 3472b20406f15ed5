/* check(): connection, isolation, tables. */
#include "check.h"

#include <stdio.h>

sluice_status ms_check_tell(const struct ms_check *check, int32_t severity, const char *subject,
                            const char *key, const char *what, const char *remedy)
{
    const struct sluice_finding finding = {.struct_size = (uint32_t)sizeof finding,
                                           .severity = severity,
                                           .subject = subject,
                                           .key = key,
                                           .what = what,
                                           .remedy = remedy};
    const sluice_status status = check->visit(check->vctx, &finding);
    return status < 0 ? status : SLUICE_OK;
}

static sluice_status count_table(void *vctx, const struct ms_table *table, struct sluice_error *err)
{
    uint64_t *count = vctx;
    (void)table;
    (void)err;
    (*count)++;
    return SLUICE_OK;
}

sluice_status ms_check(struct sluice_source *src, const struct sluice_source_plan *plan,
                       sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    struct sluice_tds_conn *conn = NULL;
    char what[512];
    char remedy[256];
    uint64_t tables = 0;
    int snapshot = 0;
    const struct ms_check check = {visit, vctx};
    sluice_status status = ms_connect_and_ask(src, &conn, &snapshot, err);
    if (status < 0) {
        (void)ms_check_tell(&check, SLUICE_FINDING_ERROR, "connection", "host", err->message, NULL);
        return status;
    }
    (void)snprintf(what, sizeof what, "connected to %s, database %s, %s", src->server,
                   src->options.server.database,
                   src->options.server.encrypt == SLUICE_TDS_ENCRYPT_OFF ? "not encrypted"
                   : src->options.server.encrypt == SLUICE_TDS_ENCRYPT_REQUEST
                       ? "encrypted if the server has TLS"
                       : "encrypted");
    status = ms_check_tell(&check, SLUICE_FINDING_OK, "connection", NULL, what, NULL);
    if (status >= 0 && snapshot) {
        status =
            ms_check_tell(&check, SLUICE_FINDING_OK, "isolation", NULL,
                          "SNAPSHOT is allowed: each table is read as it was at one moment", NULL);
    }
    else if (status >= 0) {
        (void)snprintf(remedy, sizeof remedy, "ALTER DATABASE [%s] SET ALLOW_SNAPSHOT_ISOLATION ON",
                       src->options.server.database);
        status = ms_check_tell(
            &check,
            src->options.isolation == MS_ISOLATION_SNAPSHOT ? SLUICE_FINDING_ERROR
                                                            : SLUICE_FINDING_WARN,
            "isolation", "isolation",
            "SNAPSHOT is not allowed: what others commit while a table is read may be in it "
            "or not, row by row",
            remedy);
    }
    if (status >= 0) {
        status = ms_catalog_tables(conn, count_table, &tables, err);
    }
    if (status >= 0) {
        (void)snprintf(what, sizeof what, "%llu tables are seen", (unsigned long long)tables);
        status = ms_check_tell(&check, tables > 0 ? SLUICE_FINDING_OK : SLUICE_FINDING_WARN,
                               "tables", NULL, what,
                               tables > 0 ? NULL : "GRANT SELECT ON SCHEMA::dbo TO the user");
    }
    if (status >= 0) {
        status = ms_check_changes(&check, plan, conn, err);
    }
    sluice_tds_close(conn);
    return status;
}
