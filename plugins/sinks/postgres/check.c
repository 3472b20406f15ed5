/* What `sluice check` says of a target. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "pg/error.h"

struct checker {
    struct sluice_sink *sink;
    struct sluice_pg_conn *conn;
    sluice_finding_visit visit;
    void *ctx;
    sluice_status status; /* of the visitor */
    char user[72];
};

static void tell(struct checker *c, int32_t severity, const char *subject, const char *key,
                 const char *what, const char *remedy)
{
    const struct sluice_finding finding = {.struct_size = sizeof finding,
                                           .severity = severity,
                                           .subject = subject,
                                           .key = key,
                                           .what = what,
                                           .remedy = remedy};
    if (c->status == SLUICE_OK) {
        c->status = c->visit(c->ctx, &finding);
    }
}

/* One row of values; the caller clears it. */
static sluice_status ask(const struct checker *c, const char *sql, int count,
                         const char *const *params, PGresult **out, struct sluice_error *err)
{
    return sluice_pg_query(c->conn, "check the target", sql, count, params, out, err);
}

static int is_true(const PGresult *result, int column)
{
    return PQgetvalue(result, 0, column)[0] == 't';
}

static sluice_status check_server(struct checker *c, const struct sluice_sink_plan *plan,
                                  struct sluice_error *err)
{
    PGresult *r = NULL;
    char text[240];
    SLUICE_TRY(
        ask(c,
            "SELECT current_user, pg_catalog.current_database(), pg_catalog.pg_is_in_recovery(),"
            " pg_catalog.current_setting('transaction_read_only') = 'on', "
            "pg_catalog.current_setting('server_encoding'), "
            "pg_catalog.current_setting('max_connections')::int - (SELECT count(*) FROM "
            "pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'), "
            "pg_catalog.current_setting('server_version')",
            0, NULL, &r, err));
    (void)snprintf(c->user, sizeof c->user, "%.64s", PQgetvalue(r, 0, 0));
    (void)snprintf(text, sizeof text, "connected to database %.80s as %.64s, PostgreSQL %.40s",
                   PQgetvalue(r, 0, 1), c->user, PQgetvalue(r, 0, 6));
    tell(c, SLUICE_FINDING_OK, "server", NULL, text, NULL);
    if (is_true(r, 2)) {
        tell(c, SLUICE_FINDING_ERROR, "server", "host", "it is a standby, which takes no writes",
             "connect to its primary");
    }
    else if (is_true(r, 3)) {
        (void)snprintf(text, sizeof text, "ALTER ROLE %s SET default_transaction_read_only = off",
                       c->user);
        tell(c, SLUICE_FINDING_ERROR, "server", "user", "its sessions are read-only", text);
    }
    if (strcmp(PQgetvalue(r, 0, 4), "UTF8") != 0) {
        (void)snprintf(
            text, sizeof text,
            "the database has encoding %.40s: text that it cannot hold is refused row by "
            "row",
            PQgetvalue(r, 0, 4));
        tell(c, SLUICE_FINDING_WARN, "server", "database", text,
             "use a database with ENCODING 'UTF8'");
    }
    const long room = strtol(PQgetvalue(r, 0, 5), NULL, 10);
    if (room < (long)plan->parallelism + 3) {
        (void)snprintf(text, sizeof text, "%ld connections are free, %u may be needed", room,
                       plan->parallelism + 3u);
        tell(c, SLUICE_FINDING_WARN, "max_connections", "parallelism", text,
             "raise max_connections, or lower parallelism");
    }
    PQclear(r);
    return SLUICE_OK;
}

/* The sink's own tables: there and usable, or such that they can be made. */
static sluice_status check_state(struct checker *c, struct sluice_error *err)
{
    const char *schema = c->sink->options.state_schema;
    const char *const params[] = {schema};
    char remedy[400];
    PGresult *r = NULL;
    SLUICE_TRY(
        ask(c,
            "SELECT n.oid IS NOT NULL, CASE WHEN n.oid IS NULL THEN "
            "pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') ELSE "
            "pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND (pg_catalog.has_schema_privilege("
            "n.oid, 'CREATE') OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = "
            "n.oid AND c.relname = 'lanes')) END, coalesce((SELECT pg_catalog.bool_and("
            "CASE WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'USAGE') ELSE "
            "pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_table_privilege("
            "c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE') AND "
            "pg_catalog.has_table_privilege(c.oid, 'DELETE') END) FROM pg_catalog.pg_class c WHERE "
            "c.relnamespace = n.oid AND c.relname IN ('lanes', 'streams', 'letters', "
            "'letters_id_seq')), true), "
            "pg_catalog.quote_ident(pg_catalog.current_database()) FROM (SELECT 1) one LEFT JOIN "
            "pg_catalog.pg_namespace n ON n.nspname = $1",
            1, params, &r, err));
    if (!is_true(r, 1)) {
        (void)snprintf(remedy, sizeof remedy,
                       is_true(r, 0) ? "GRANT USAGE, CREATE ON SCHEMA %s TO %s"
                                     : "CREATE SCHEMA %s AUTHORIZATION %s",
                       c->sink->state, c->user);
        tell(c, SLUICE_FINDING_ERROR, schema, "state_schema",
             "the sink's own tables cannot be made there", remedy);
    }
    else if (!is_true(r, 2)) {
        (void)snprintf(remedy, sizeof remedy,
                       "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO %s; "
                       "GRANT USAGE ON ALL SEQUENCES IN SCHEMA %s TO %s",
                       c->sink->state, c->user, c->sink->state, c->user);
        tell(c, SLUICE_FINDING_ERROR, schema, "state_schema",
             "the sink's own tables are there, and the role may not write them", remedy);
    }
    else {
        tell(c, SLUICE_FINDING_OK, schema, "state_schema",
             is_true(r, 0) ? "the sink's own tables are, or can be, there" : "it will be made",
             NULL);
    }
    PQclear(r);
    return SLUICE_OK;
}

static sluice_status check_schema(struct checker *c, struct sluice_error *err)
{
    const struct sluice_pgsink_options *o = &c->sink->options;
    const char *const params[] = {o->schema};
    char remedy[240];
    PGresult *r = NULL;
    SLUICE_TRY(
        ask(c,
            "SELECT n.oid IS NOT NULL, coalesce(pg_catalog.has_schema_privilege(n.oid, "
            "'CREATE'), pg_catalog.has_database_privilege(pg_catalog.current_database(), "
            "'CREATE')), coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), true) FROM "
            "(SELECT 1) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1",
            1, params, &r, err));
    if (!is_true(r, 2)) {
        (void)snprintf(remedy, sizeof remedy, "GRANT USAGE ON SCHEMA \"%.63s\" TO %s", o->schema,
                       c->user);
        tell(c, SLUICE_FINDING_ERROR, o->schema, "schema", "the role may not use the schema",
             remedy);
    }
    else if (o->auto_create && !is_true(r, 1)) {
        (void)snprintf(remedy, sizeof remedy, "GRANT CREATE ON SCHEMA \"%.63s\" TO %s", o->schema,
                       c->user);
        tell(c, SLUICE_FINDING_WARN, o->schema, "auto_create",
             "tables cannot be made there: those that are missing stop the run", remedy);
    }
    PQclear(r);
    return SLUICE_OK;
}

static sluice_status check_role(struct checker *c, struct sluice_error *err)
{
    char remedy[240];
    PGresult *r = NULL;
    if (!c->sink->options.replica_role) {
        return SLUICE_OK;
    }
    SLUICE_TRY(
        ask(c,
            c->conn->server_version >= 150000
                ? "SELECT pg_catalog.has_parameter_privilege('session_replication_role', 'SET')"
                : "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user",
            0, NULL, &r, err));
    if (!is_true(r, 0)) {
        (void)snprintf(remedy, sizeof remedy,
                       c->conn->server_version >= 150000
                           ? "GRANT SET ON PARAMETER session_replication_role TO %s"
                           : "ALTER ROLE %s SUPERUSER, or leave replica_role out",
                       c->user);
        tell(c, SLUICE_FINDING_ERROR, "session_replication_role", "replica_role",
             "the role may not set it", remedy);
    }
    PQclear(r);
    return SLUICE_OK;
}

sluice_status sluice_pgsink_check(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                  sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    struct checker c = {.sink = sink, .visit = visit, .ctx = vctx};
    SLUICE_TRY(
        sluice_pg_connect(&sink->options.settings, sink->host, sink->registry, 0, &c.conn, err));
    sluice_status status = check_server(&c, plan, err);
    if (status >= 0) {
        status = check_state(&c, err);
    }
    if (status >= 0) {
        status = check_schema(&c, err);
    }
    if (status >= 0) {
        status = check_role(&c, err);
    }
    sluice_pg_close(c.conn);
    if (status >= 0 && c.status < 0) {
        return sluice_error_set(err, c.status, 0, "a finding was not taken");
    }
    return status;
}
