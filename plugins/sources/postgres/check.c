/* check(): is what loads need there? What feeds need is in check_changes.c. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "setup.h"

void pg_check_report(struct pg_check *c, int32_t severity, const char *subject, const char *key,
                     const char *remedy, const char *format, ...)
{
    char what[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    struct sluice_finding finding = {
        (uint32_t)sizeof finding, severity, subject, key, what, remedy};
    if (c->status == SLUICE_OK) {
        c->status = c->visit(c->vctx, &finding);
    }
}

/* ---------------------------------------------------------------- server --------------------- */

static void check_connection(struct pg_check *c)
{
    PGconn *pg = c->conn->pg;
    int version = c->conn->server_version;
    const char *host = PQhost(pg);
    int local = host == NULL || sluice_pg_hosts_local(host);
    const char *protocol = PQsslInUse(pg) ? PQsslAttribute(pg, "protocol") : NULL;
    pg_check_report(c, SLUICE_FINDING_OK, "connection", NULL, NULL,
                    "connected to PostgreSQL %d.%d, database %s, as role %s, %s", version / 10000,
                    version % 10000, PQdb(pg), PQuser(pg),
                    protocol != NULL    ? protocol
                    : PQgssEncInUse(pg) ? "encrypted by GSSAPI"
                    : local             ? "not encrypted (local)"
                                        : "not encrypted");
    if (!c->conn->tls && !local) {
        pg_check_report(c, SLUICE_FINDING_WARN, "connection", "sslmode",
                        "sslmode: verify-full, and ssl = on at the server",
                        "rows and passwords travel over the network unencrypted");
    }
    if (version < 140000) {
        pg_check_report(
            c, SLUICE_FINDING_INFO, "server version", NULL, NULL,
            "large tables are read by one connection each: ranges of pages need PostgreSQL 14");
    }
    if (c->conn->sql_ascii) {
        pg_check_report(c, SLUICE_FINDING_WARN, "database encoding", NULL, NULL,
                        "SQL_ASCII: text that is not UTF-8 will fail its table");
    }
}

/* Columns of the query below, by place. */
enum { AT_RECOVERY, AT_SUPER, AT_CONNECTIONS, AT_CONNECTIONS_USED, AT_OLD_SNAPSHOT, AT_ROLE_LIMIT };

static sluice_status query_server(struct pg_check *c, PGresult **out, struct sluice_error *err)
{
    static const char sql[] =
        "SELECT pg_catalog.pg_is_in_recovery(), r.rolsuper,"
        " pg_catalog.current_setting('max_connections')::pg_catalog.int4"
        "  - pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int4,"
        " (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity"
        "  WHERE backend_type = 'client backend'),"
        " coalesce(pg_catalog.current_setting('old_snapshot_threshold', true), '-1'),"
        " r.rolconnlimit"
        " FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
    return sluice_pg_query(c->conn, "read the server's settings", sql, 0, NULL, out, err);
}

static long number(const PGresult *r, int column)
{
    return strtol(PQgetvalue(r, 0, column), NULL, 10);
}

static int yes(const PGresult *r, int column)
{
    return PQgetvalue(r, 0, column)[0] == 't';
}

static void check_load(struct pg_check *c, const PGresult *r)
{
    long readers = c->plan != NULL && c->plan->parallelism > 0 ? (long)c->plan->parallelism : 1;
    /* Beside the readers: the catalog's; with changes also the snapshot's and the feed's. */
    long others = c->plan != NULL && (c->plan->mode == SLUICE_MODE_CDC_ONLY ||
                                      c->plan->mode == SLUICE_MODE_FULL_LOAD_AND_CDC)
                      ? 3
                      : 1;
    long free_slots = number(r, AT_CONNECTIONS) - number(r, AT_CONNECTIONS_USED);
    long role_limit = number(r, AT_ROLE_LIMIT);
    if (free_slots < readers) {
        pg_check_report(c, SLUICE_FINDING_WARN, "max_connections", "parallelism",
                        "ALTER SYSTEM SET max_connections = …; or lower parallelism",
                        "%ld connections are free, %ld more are needed", free_slots, readers);
    }
    if (role_limit >= 0 && role_limit < readers + others) {
        char remedy[256];
        (void)snprintf(remedy, sizeof remedy, "ALTER ROLE %.120s CONNECTION LIMIT %ld",
                       c->role.data, readers + others);
        pg_check_report(c, SLUICE_FINDING_ERROR, "role", "parallelism", remedy,
                        "the role may have %ld connections, %ld are needed", role_limit,
                        readers + others);
    }
    if (yes(r, AT_RECOVERY)) {
        pg_check_report(
            c, SLUICE_FINDING_WARN, "standby", NULL, "ALTER SYSTEM SET hot_standby_feedback = on",
            "the server is a standby: a long load may be cancelled by conflicts with recovery");
    }
    if (strncmp(PQgetvalue(r, 0, AT_OLD_SNAPSHOT), "-1", 2) != 0) {
        pg_check_report(c, SLUICE_FINDING_WARN, "old_snapshot_threshold", NULL,
                        "ALTER SYSTEM SET old_snapshot_threshold = -1",
                        "is %s: a load that lasts longer fails", PQgetvalue(r, 0, AT_OLD_SNAPSHOT));
    }
    if (yes(r, AT_SUPER)) {
        pg_check_report(c, SLUICE_FINDING_INFO, "role", "user", NULL,
                        "the role is a superuser; SELECT on the tables would be enough");
    }
}

/* ---------------------------------------------------------------- tables --------------------- */

static void table_remedy(struct pg_check *c, const struct pg_stream *stream, char *out, size_t cap)
{
    const struct pg_relation *r = stream->relation;
    struct sluice_pg_text text = {0};
    if (stream->problem.status == SLUICE_E_PERMISSION && !r->schema_usable) {
        sluice_pg_text_add(&text, "GRANT USAGE ON SCHEMA ");
        pg_name_ident(&text, r->schema);
        sluice_pg_text_format(&text, " TO %s", c->role.data);
    }
    else if (stream->problem.status == SLUICE_E_PERMISSION) {
        sluice_pg_text_add(&text, "GRANT SELECT ON ");
        pg_relation_ident(&text, r);
        sluice_pg_text_format(&text, " TO %s", c->role.data);
    }
    else if (!r->populated) {
        sluice_pg_text_add(&text, "REFRESH MATERIALIZED VIEW ");
        pg_relation_ident(&text, r);
    }
    (void)snprintf(out, cap, "%s", text.data != NULL && !text.failed ? text.data : "");
    sluice_pg_text_free(&text);
}

static void check_table(struct pg_check *c, const struct pg_stream *stream)
{
    int changes =
        c->plan->mode == SLUICE_MODE_CDC_ONLY || c->plan->mode == SLUICE_MODE_FULL_LOAD_AND_CDC;
    const struct pg_relation *r = stream->relation;
    char remedy[400];
    if (stream->problem.status < 0) {
        table_remedy(c, stream, remedy, sizeof remedy);
        pg_check_report(c, SLUICE_FINDING_ERROR, stream->name, NULL,
                        remedy[0] != '\0' ? remedy : NULL, "%s", stream->problem.message);
        return;
    }
    if (r->row_security) {
        (void)snprintf(remedy, sizeof remedy, "ALTER ROLE %.200s BYPASSRLS", c->role.data);
        pg_check_report(
            c, changes ? SLUICE_FINDING_ERROR : SLUICE_FINDING_WARN, stream->name, NULL, remedy,
            "row security applies to the role: only the rows that its policies show are loaded");
    }
    if (r->row_estimate < 0 && r->kind != 'v' && r->kind != 'p' && r->kind != 'f') {
        (void)snprintf(remedy, sizeof remedy, "ANALYZE %.300s", stream->name);
        pg_check_report(c, SLUICE_FINDING_INFO, stream->name, NULL, remedy,
                        "has no statistics: progress cannot say how much is left");
    }
}

/* The plan's tables that are there: `chosen` and `selects`, `count` of them. */
static sluice_status find_tables(struct pg_check *c, uint32_t *chosen,
                                 const struct sluice_stream_select **selects, uint32_t *count,
                                 struct sluice_error *err)
{
    const struct sluice_source_plan *plan = c->plan;
    uint32_t *matched = calloc(plan->stream_count + 1u, sizeof *matched);
    if (matched == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for tables");
    }
    sluice_status st = pg_catalog_match(&c->catalog, plan, matched, err);
    for (uint32_t i = 0; i < plan->stream_count && st >= 0; i++) {
        const char *name = plan->streams[i]->name;
        if (matched[i] != UINT32_MAX) {
            chosen[*count] = matched[i];
            selects[(*count)++] = plan->streams[i];
        }
        else if (!c->src->options.messages || strcmp(name, PG_MESSAGES_STREAM) != 0) {
            pg_check_report(c, SLUICE_FINDING_ERROR, name, "tables", NULL,
                            "is not in the database");
        }
    }
    free(matched);
    return st;
}

static sluice_status check_tables(struct pg_check *c, const uint32_t *chosen,
                                  const struct sluice_stream_select *const *selects, uint32_t count,
                                  struct sluice_error *err)
{
    struct pg_stream_context context = {&c->src->options,        &c->catalog,
                                        PQdb(c->conn->pg),       c->conn->sql_ascii,
                                        c->conn->server_version, 0};
    uint32_t sound = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct pg_stream stream;
        sluice_status st =
            pg_stream_make(&context, &c->catalog.relations[chosen[i]], selects[i], &stream, err);
        if (st >= 0) {
            check_table(c, &stream);
            sound += stream.problem.status >= 0;
        }
        pg_stream_free(&stream);
        SLUICE_TRY(st);
    }
    uint32_t all = c->plan->stream_count;
    if (all > 0) {
        pg_check_report(c, sound >= count ? SLUICE_FINDING_OK : SLUICE_FINDING_WARN, "tables",
                        "tables", NULL, "%u of %u tables can be read", sound, all);
    }
    return SLUICE_OK;
}

/* The tables as loads see them, then all as feeds do. */
static sluice_status check_data(struct pg_check *c, struct sluice_error *err)
{
    uint32_t cap = c->plan != NULL ? c->plan->stream_count + 1u : 1u;
    uint32_t *chosen = calloc(cap, sizeof *chosen);
    const struct sluice_stream_select **selects = calloc(cap, sizeof *selects);
    uint32_t count = 0;
    sluice_status st = chosen != NULL && selects != NULL
                           ? SLUICE_OK
                           : sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for tables");
    if (st >= 0 && c->plan != NULL && c->plan->stream_count > 0) {
        st = pg_catalog_load(c->conn, &c->catalog, err);
        if (st >= 0) {
            st = find_tables(c, chosen, selects, &count, err);
        }
        if (st >= 0) {
            st = pg_catalog_load_columns(c->conn, &c->catalog, chosen, count, err);
        }
        if (st >= 0) {
            st = check_tables(c, chosen, selects, count, err);
        }
    }
    if (st >= 0) {
        st = pg_check_changes(c, chosen, selects, count, err);
    }
    free(chosen);
    free(selects);
    return st;
}

static sluice_status check_all(struct pg_check *c, struct sluice_error *err)
{
    PGresult *server = NULL;
    check_connection(c);
    pg_name_ident(&c->role, PQuser(c->conn->pg));
    SLUICE_TRY(sluice_pg_text_check(&c->role, err));
    SLUICE_TRY(query_server(c, &server, err));
    if (PQntuples(server) == 1) {
        check_load(c, server);
    }
    PQclear(server);
    return check_data(c, err);
}

sluice_status pg_source_check(struct sluice_source *src, const struct sluice_source_plan *plan,
                              sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    struct pg_check c = {.src = src, .plan = plan, .visit = visit, .vctx = vctx};
    struct sluice_error local = SLUICE_ERROR_INIT;
    struct sluice_error *e = err != NULL ? err : &local;
    sluice_status st = pg_control_begin(src, e);
    if (st < 0) {
        pg_check_report(&c, SLUICE_FINDING_ERROR, "connection", NULL, NULL, "%s", e->message);
        return st;
    }
    c.conn = src->control;
    st = check_all(&c, e);
    sluice_pg_text_free(&c.role);
    pg_catalog_free(&c.catalog);
    pg_control_end(src);
    if (st < 0) {
        return st;
    }
    return c.status < 0 ? c.status : SLUICE_OK;
}
