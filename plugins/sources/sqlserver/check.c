/* check(): connection, isolation, tables. */
#include "check.h"

#include <stdio.h>
#include <string.h>

#include "way.h"

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

sluice_status ms_check_tell_error(const struct ms_check *check, const char *name,
                                  struct sluice_error *err)
{
    char *hint = strstr(err->message, " (hint: ");
    const char *remedy = NULL;
    if (hint != NULL) {
        err->message[strlen(err->message) - 1] = '\0';
        *hint = '\0';
        remedy = hint + strlen(" (hint: ");
    }
    return ms_check_tell(check, SLUICE_FINDING_ERROR, name, "tables", err->message, remedy);
}

const struct sluice_stream_select *ms_check_select(const struct sluice_source_plan *plan,
                                                   const struct ms_table *table)
{
    char name[sizeof table->schema_name * 4];
    const char *const parts[2] = {table->schema_name, table->table_name};
    (void)sluice_stream_name(parts, 2, name, sizeof name);
    for (uint32_t i = 0; i < plan->stream_count; i++) {
        if (strcmp(plan->streams[i]->name, name) == 0) {
            return plan->streams[i];
        }
    }
    return NULL;
}

int64_t ms_check_number(struct sluice_tds_conn *conn, const char *sql)
{
    int64_t out = -1;
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    sluice_status status = sluice_tds_query(conn, "look at the server", sql, &ignored);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, &ignored);
        if (status == SLUICE_OK && sluice_tds_value(conn, 0).data != NULL) {
            out = sluice_tds_number(conn, 0);
        }
    }
    return out;
}

struct tables {
    const struct ms_check *check;
    const struct sluice_source_plan *plan; /* NULL = none */
    uint64_t count;
};

/* Columns that would make the table fail are told before it does. */
static sluice_status look_at_table(void *vctx, const struct ms_table *table,
                                   struct sluice_error *err)
{
    struct tables *t = vctx;
    const struct ms_options *options = &t->check->src->options;
    const struct sluice_tds_rules rules = {(int32_t)options->fine_times,
                                           (int32_t)options->clr_types};
    const struct sluice_stream_select *select =
        t->plan != NULL ? ms_check_select(t->plan, table) : NULL;
    (void)err;
    t->count++;
    for (uint32_t i = 0; select != NULL && i < table->count; i++) {
        struct sluice_tds_decoder decoder;
        struct sluice_error why = SLUICE_ERROR_INIT;
        if (ms_stream_chooses(select, table->columns[i].name) &&
            sluice_tds_decoder_make(&table->columns[i], &rules, &decoder, &why) < 0) {
            SLUICE_TRY(ms_check_tell_error(t->check, select->name, &why));
        }
    }
    return SLUICE_OK;
}

/* Who may not unmask reads made-up values, and is told by nobody. Before 2016 there is no such view. */
static sluice_status check_masks(const struct ms_check *check, struct sluice_tds_conn *conn)
{
    char what[160];
    const int64_t masked =
        ms_check_number(conn, "SELECT COUNT(*) AS n FROM sys.masked_columns WHERE is_masked = 1");
    if (masked <= 0 || ms_check_number(conn, "SELECT HAS_PERMS_BY_NAME(NULL, N'DATABASE', "
                                             "N'UNMASK') AS may") != 0) {
        return SLUICE_OK;
    }
    (void)snprintf(what, sizeof what,
                   "%lld columns of the database are masked for this user: what is read of them is "
                   "not what they hold",
                   (long long)masked);
    return ms_check_tell(check, SLUICE_FINDING_WARN, "masks", NULL, what,
                         "GRANT UNMASK TO the user");
}

sluice_status ms_check(struct sluice_source *src, const struct sluice_source_plan *plan,
                       sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    struct sluice_tds_conn *conn = NULL;
    char what[512];
    char remedy[256];
    int snapshot = 0;
    const struct ms_check check = {src, visit, vctx};
    struct tables tables = {.check = &check, .plan = plan};
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
        status = ms_catalog_tables(conn, look_at_table, &tables, err);
    }
    if (status >= 0) {
        (void)snprintf(what, sizeof what, "%llu tables are seen", (unsigned long long)tables.count);
        status = ms_check_tell(&check, tables.count > 0 ? SLUICE_FINDING_OK : SLUICE_FINDING_WARN,
                               "tables", NULL, what,
                               tables.count > 0 ? NULL : "GRANT SELECT ON SCHEMA::dbo TO the user");
    }
    if (status >= 0) {
        status = check_masks(&check, conn);
    }
    if (status >= 0 && plan != NULL && plan->mode != SLUICE_MODE_FULL_LOAD_ONLY) {
        src->snapshot_allowed = snapshot != 0;
        status = src->way->check(&check, plan, conn, err);
    }
    sluice_tds_close(conn);
    return status;
}
