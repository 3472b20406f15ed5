/* check(): is what we need there, and what would change capture need. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "source.h"

struct check {
    struct sluice_source *src;
    struct sluice_pg_conn *conn;
    const struct sluice_source_plan *plan; /* may be NULL */
    sluice_finding_visit visit;
    void *vctx;
    sluice_status status;       /* of the visitor: OK, END, or an error */
    struct sluice_pg_text role; /* quoted */
    struct pg_catalog catalog;
    uint32_t keyless; /* tables whose updates and deletes could not be captured */
};

enum { KEYLESS_SHOWN = 20 };

SLUICE_PRINTF(6, 7)
static void report(struct check *c, int32_t severity, const char *subject, const char *key,
                   const char *remedy, const char *format, ...)
{
    char what[768];
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

static void check_connection(struct check *c)
{
    PGconn *pg = c->conn->pg;
    int version = c->conn->server_version;
    const char *host = PQhost(pg);
    int local = host == NULL || sluice_pg_hosts_local(host);
    const char *protocol = PQsslInUse(pg) ? PQsslAttribute(pg, "protocol") : NULL;
    report(c, SLUICE_FINDING_OK, "connection", NULL, NULL,
           "connected to PostgreSQL %d.%d, database %s, as role %s, %s", version / 10000,
           version % 10000, PQdb(pg), PQuser(pg),
           protocol != NULL    ? protocol
           : PQgssEncInUse(pg) ? "encrypted by GSSAPI"
           : local             ? "not encrypted (local)"
                               : "not encrypted");
    if (!c->conn->tls && !local) {
        report(c, SLUICE_FINDING_WARN, "connection", "sslmode",
               "sslmode: verify-full, and ssl = on at the server",
               "rows and passwords travel over the network unencrypted");
    }
    if (version < 140000) {
        report(c, SLUICE_FINDING_INFO, "server version", NULL, NULL,
               "large tables are read by one connection each: ranges of pages need PostgreSQL 14");
    }
    if (c->conn->sql_ascii) {
        report(c, SLUICE_FINDING_WARN, "database encoding", NULL, NULL,
               "SQL_ASCII: text that is not UTF-8 will fail its table");
    }
}

/* Columns of the query below, by place. */
enum {
    AT_WAL_LEVEL,
    AT_SLOTS,
    AT_SLOTS_USED,
    AT_SENDERS,
    AT_RECOVERY,
    AT_SUPER,
    AT_REPLICATION,
    AT_CONNECTIONS,
    AT_CONNECTIONS_USED,
    AT_OLD_SNAPSHOT,
    AT_ROLE_LIMIT
};

static sluice_status query_server(struct check *c, PGresult **out, struct sluice_error *err)
{
    /* A replication right may also come by membership at managed services (rds_replication …). */
    static const char sql[] =
        "SELECT pg_catalog.current_setting('wal_level'),"
        " pg_catalog.current_setting('max_replication_slots'),"
        " (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots),"
        " pg_catalog.current_setting('max_wal_senders'), pg_catalog.pg_is_in_recovery(),"
        " r.rolsuper, r.rolreplication OR r.rolsuper OR EXISTS ("
        "  SELECT FROM pg_catalog.pg_roles g WHERE g.rolname IN"
        "   ('rds_replication', 'rdsadmin', 'cloudsqlsuperuser', 'azure_pg_admin')"
        "   AND pg_catalog.pg_has_role(r.oid, g.oid, 'USAGE')),"
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

static void check_load(struct check *c, const PGresult *r)
{
    long readers = c->plan != NULL && c->plan->parallelism > 0 ? (long)c->plan->parallelism : 1;
    long free_slots = number(r, AT_CONNECTIONS) - number(r, AT_CONNECTIONS_USED);
    long role_limit = number(r, AT_ROLE_LIMIT);
    if (free_slots < readers) {
        report(c, SLUICE_FINDING_WARN, "max_connections", "parallelism",
               "ALTER SYSTEM SET max_connections = …; or lower parallelism",
               "%ld connections are free, %ld more are needed", free_slots, readers);
    }
    if (role_limit >= 0 && role_limit < readers + 1) {
        char remedy[256];
        (void)snprintf(remedy, sizeof remedy, "ALTER ROLE %.120s CONNECTION LIMIT %ld",
                       c->role.data, readers + 1);
        report(c, SLUICE_FINDING_ERROR, "role", "parallelism", remedy,
               "the role may have %ld connections, %ld are needed", role_limit, readers + 1);
    }
    if (yes(r, AT_RECOVERY)) {
        report(c, SLUICE_FINDING_WARN, "standby", NULL,
               "ALTER SYSTEM SET hot_standby_feedback = on",
               "the server is a standby: a long load may be cancelled by conflicts with recovery");
    }
    if (strncmp(PQgetvalue(r, 0, AT_OLD_SNAPSHOT), "-1", 2) != 0) {
        report(c, SLUICE_FINDING_WARN, "old_snapshot_threshold", NULL,
               "ALTER SYSTEM SET old_snapshot_threshold = -1",
               "is %s: a load that lasts longer fails", PQgetvalue(r, 0, AT_OLD_SNAPSHOT));
    }
    if (yes(r, AT_SUPER)) {
        report(c, SLUICE_FINDING_INFO, "role", "user", NULL,
               "the role is a superuser; SELECT on the tables would be enough");
    }
}

static void check_changes(struct check *c, const PGresult *r)
{
    char remedy[256];
    int possible = 1;
    if (strcmp(PQgetvalue(r, 0, AT_WAL_LEVEL), "logical") != 0) {
        possible = 0;
        report(c, SLUICE_FINDING_INFO, "wal_level", NULL,
               "ALTER SYSTEM SET wal_level = logical; then restart the server",
               "is %s; change capture needs logical", PQgetvalue(r, 0, AT_WAL_LEVEL));
    }
    if (number(r, AT_SLOTS_USED) >= number(r, AT_SLOTS)) {
        possible = 0;
        report(c, SLUICE_FINDING_INFO, "max_replication_slots", NULL,
               "ALTER SYSTEM SET max_replication_slots = …; then restart the server",
               "%ld of %ld slots are taken; change capture needs one", number(r, AT_SLOTS_USED),
               number(r, AT_SLOTS));
    }
    if (number(r, AT_SENDERS) == 0) {
        possible = 0;
        report(c, SLUICE_FINDING_INFO, "max_wal_senders", NULL,
               "ALTER SYSTEM SET max_wal_senders = 10; then restart the server",
               "is 0; change capture needs one");
    }
    if (!yes(r, AT_REPLICATION)) {
        possible = 0;
        (void)snprintf(remedy, sizeof remedy, "ALTER ROLE %.200s REPLICATION", c->role.data);
        report(c, SLUICE_FINDING_INFO, "role", "user", remedy,
               "has no replication right; change capture needs it");
    }
    if (yes(r, AT_RECOVERY) && c->conn->server_version < 160000) {
        possible = 0;
        report(c, SLUICE_FINDING_INFO, "standby", NULL, "connect to the primary",
               "change capture from a standby needs PostgreSQL 16");
    }
    report(c, possible ? SLUICE_FINDING_OK : SLUICE_FINDING_INFO, "change capture", NULL, NULL,
           possible ? "the server is ready for it" : "not possible as the server is now");
}

/* ---------------------------------------------------------------- tables --------------------- */

static void table_remedy(struct check *c, const struct pg_stream *stream, char *out, size_t cap)
{
    const struct pg_relation *r = stream->relation;
    struct sluice_pg_text text = {0};
    if (stream->problem.status == SLUICE_E_PERMISSION && !r->schema_usable) {
        sluice_pg_text_add(&text, "GRANT USAGE ON SCHEMA ");
        sluice_pg_text_ident(&text, r->schema);
        sluice_pg_text_format(&text, " TO %s", c->role.data);
    }
    else if (stream->problem.status == SLUICE_E_PERMISSION) {
        sluice_pg_text_add(&text, "GRANT SELECT ON ");
        sluice_pg_text_ident(&text, r->schema);
        sluice_pg_text_add(&text, ".");
        sluice_pg_text_ident(&text, r->name);
        sluice_pg_text_format(&text, " TO %s", c->role.data);
    }
    else if (!r->populated) {
        sluice_pg_text_add(&text, "REFRESH MATERIALIZED VIEW ");
        sluice_pg_text_ident(&text, r->schema);
        sluice_pg_text_add(&text, ".");
        sluice_pg_text_ident(&text, r->name);
    }
    (void)snprintf(out, cap, "%s", text.data != NULL && !text.failed ? text.data : "");
    sluice_pg_text_free(&text);
}

/* Updates and deletes can be captured only of rows that have an identity. */
static void check_identity(struct check *c, const struct pg_stream *stream)
{
    const struct pg_relation *r = stream->relation;
    int has = r->replica_identity == 'f' || r->replica_identity == 'i' ||
              (r->replica_identity == 'd' && r->key_count > 0);
    if ((r->kind != 'r' && r->kind != 'p') || has) {
        return;
    }
    if (c->keyless++ < KEYLESS_SHOWN) {
        char remedy[400];
        struct sluice_pg_text name = {0};
        sluice_pg_text_ident(&name, r->schema);
        sluice_pg_text_add(&name, ".");
        sluice_pg_text_ident(&name, r->name);
        (void)snprintf(remedy, sizeof remedy,
                       "add a primary key, or: ALTER TABLE %s REPLICA IDENTITY FULL",
                       name.data != NULL ? name.data : "");
        sluice_pg_text_free(&name);
        report(c, SLUICE_FINDING_INFO, stream->name, NULL, remedy,
               "has no replica identity: change capture would see its inserts alone");
    }
}

static void check_table(struct check *c, const struct pg_stream *stream)
{
    const struct pg_relation *r = stream->relation;
    char remedy[400];
    if (stream->problem.status < 0) {
        table_remedy(c, stream, remedy, sizeof remedy);
        report(c, SLUICE_FINDING_ERROR, stream->name, NULL, remedy[0] != '\0' ? remedy : NULL, "%s",
               stream->problem.message);
        return;
    }
    if (r->row_security) {
        (void)snprintf(remedy, sizeof remedy, "ALTER ROLE %.200s BYPASSRLS", c->role.data);
        report(c, SLUICE_FINDING_WARN, stream->name, NULL, remedy,
               "row security applies to the role: only the rows that its policies show are loaded");
    }
    if (r->row_estimate < 0 && r->kind != 'v' && r->kind != 'p' && r->kind != 'f') {
        (void)snprintf(remedy, sizeof remedy, "ANALYZE %.300s", stream->name);
        report(c, SLUICE_FINDING_INFO, stream->name, NULL, remedy,
               "has no statistics: progress cannot say how much is left");
    }
    check_identity(c, stream);
}

static const struct pg_relation *find_relation(const struct pg_catalog *catalog, const char *name,
                                               uint32_t *index)
{
    for (uint32_t i = 0; i < catalog->relation_count; i++) {
        char *own = pg_stream_name(&catalog->relations[i]);
        int same = own != NULL && strcmp(own, name) == 0;
        free(own);
        if (same) {
            *index = i;
            return &catalog->relations[i];
        }
    }
    return NULL;
}

static sluice_status check_tables(struct check *c, struct sluice_error *err)
{
    const struct sluice_source_plan *plan = c->plan;
    struct pg_stream_context context = {&c->src->options,        &c->catalog,
                                        PQdb(c->conn->pg),       c->conn->sql_ascii,
                                        c->conn->server_version, 0};
    uint32_t *chosen = calloc(plan->stream_count + 1u, sizeof *chosen);
    const struct sluice_stream_select **selects = calloc(plan->stream_count + 1u, sizeof *selects);
    uint32_t count = 0;
    uint32_t sound = 0;
    sluice_status st = SLUICE_OK;
    if (chosen == NULL || selects == NULL) {
        st = sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for tables");
        goto out;
    }
    for (uint32_t i = 0; i < plan->stream_count; i++) {
        if (find_relation(&c->catalog, plan->streams[i]->name, &chosen[count]) != NULL) {
            selects[count++] = plan->streams[i];
        }
        else {
            report(c, SLUICE_FINDING_ERROR, plan->streams[i]->name, "tables", NULL,
                   "is not in the database");
        }
    }
    st = pg_catalog_load_columns(c->conn, &c->catalog, chosen, count, err);
    for (uint32_t i = 0; i < count && st >= 0; i++) {
        struct pg_stream stream;
        st = pg_stream_make(&context, &c->catalog.relations[chosen[i]], selects[i], &stream, err);
        if (st >= 0) {
            check_table(c, &stream);
            sound += stream.problem.status >= 0;
        }
        pg_stream_free(&stream);
    }
    if (st >= 0) {
        report(c, sound == plan->stream_count ? SLUICE_FINDING_OK : SLUICE_FINDING_WARN, "tables",
               "tables", NULL, "%u of %u tables can be read", sound, plan->stream_count);
        if (c->keyless > KEYLESS_SHOWN) {
            report(c, SLUICE_FINDING_INFO, "tables", NULL, NULL,
                   "%u more tables have no replica identity", c->keyless - KEYLESS_SHOWN);
        }
    }
out:
    free(chosen);
    free(selects);
    return st;
}

static sluice_status check_all(struct check *c, struct sluice_error *err)
{
    PGresult *server = NULL;
    check_connection(c);
    sluice_pg_text_ident(&c->role, PQuser(c->conn->pg));
    SLUICE_TRY(sluice_pg_text_check(&c->role, err));
    SLUICE_TRY(query_server(c, &server, err));
    if (PQntuples(server) == 1) {
        check_load(c, server);
        check_changes(c, server);
    }
    PQclear(server);
    if (c->plan != NULL && c->plan->stream_count > 0) {
        SLUICE_TRY(pg_catalog_load(c->conn, &c->catalog, err));
        SLUICE_TRY(check_tables(c, err));
    }
    return SLUICE_OK;
}

sluice_status pg_source_check(struct sluice_source *src, const struct sluice_source_plan *plan,
                              sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    struct check c = {.src = src, .plan = plan, .visit = visit, .vctx = vctx};
    struct sluice_error local = SLUICE_ERROR_INIT;
    struct sluice_error *e = err != NULL ? err : &local;
    sluice_status st = pg_control_begin(src, e);
    if (st < 0) {
        report(&c, SLUICE_FINDING_ERROR, "connection", NULL, NULL, "%s", e->message);
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
