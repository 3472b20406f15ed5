/* Errors of targets: other hints than those of sources, and who is in the way. */
#include <stdio.h>
#include <string.h>

#include "sink.h"

static const struct {
    const char *sqlstate; /* or its beginning */
    const char *hint;
} hints[] = {
    {"25006", "the target is a standby, or default_transaction_read_only is on there"},
    {"42501", "the role needs USAGE on the schema and SELECT, INSERT, UPDATE, DELETE, TRUNCATE on "
              "the table, and CREATE on the schema where tables are made: sluice check says which"},
    {"42601", NULL},
    {"42P01", "the table is gone: sluice state resync FILE --stream TABLE loads it anew"},
    {"42703", "a column is gone at the target: add it again, or load the table anew"},
    {"42", NULL},
    {"22P02", "the value's text is not one of the column's type"},
    {"22001", "the target's column is shorter than the source's"},
    {"22003", "the target's column holds smaller numbers than the source's"},
    {"22", NULL},
    {"23502", "drop NOT NULL at the target, or give the column a default"},
    {"23503", "load parents first, make the key deferrable, or set replica_role: true"},
    {"23505", "another row of the target has that value already"},
    {"23514", "a CHECK of the target refuses the row"},
    {"40001", NULL},
    {"53100", "the target's disk is full"},
    {"55P03", "another session holds a lock; option lock_timeout says how long is waited"},
    {"P0001", "a trigger of the target raised it"},
};

/* Other sessions with locks on tables, the strongest lock first: the one that was waited for is among them
 * as long as it is held. Sessions of our own role and name are not told: they may be this process's. */
static void blockers(const struct sluice_sink *sink, char *out, size_t size)
{
    struct sluice_pg_conn *conn = NULL;
    struct sluice_error err = SLUICE_ERROR_INIT;
    PGresult *result = NULL;
    out[0] = '\0';
    if (sluice_pg_connect(&sink->options.settings, sink->host, sink->registry, 0, &conn, &err) <
        0) {
        return;
    }
    if (sluice_pg_query(
            conn, "look for who holds a lock",
            "SELECT pg_catalog.string_agg(t, '; ') FROM (SELECT pg_catalog.format('pid %s, %s, "
            "user %s, %s since %s, has %s on %s', a.pid, coalesce(nullif(a.application_name, ''), "
            "'no name'), a.usename, a.state, pg_catalog.date_trunc('second', "
            "coalesce(a.xact_start, a.query_start)), l.mode, l.relation::regclass) t FROM "
            "pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid JOIN "
            "pg_catalog.pg_class c ON c.oid = l.relation WHERE l.granted AND l.locktype = "
            "'relation' AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = "
            "pg_catalog.current_database()) AND c.relkind IN ('r', 'p') AND c.relnamespace <> "
            "'pg_catalog'::regnamespace AND (a.usename, a.application_name) IS DISTINCT FROM "
            "(current_user, pg_catalog.current_setting('application_name')) AND a.backend_type = "
            "'client backend' ORDER BY pg_catalog.strpos("
            "'AccessExclusiveLock ExclusiveLock ShareRowExclusiveLock ShareLock', l.mode) = 0, "
            "a.xact_start LIMIT 3) s",
            0, NULL, &result, &err) >= 0) {
        if (PQntuples(result) == 1 && !PQgetisnull(result, 0, 0)) {
            (void)snprintf(out, size, "; with locks on tables: %.500s", PQgetvalue(result, 0, 0));
        }
        PQclear(result);
    }
    sluice_pg_close(conn);
}

sluice_status sluice_pgsink_hint(const struct sluice_sink *sink, struct sluice_error *err,
                                 sluice_status status)
{
    if (err == NULL || err->sqlstate[0] == '\0') {
        return status;
    }
    if (strcmp(err->sqlstate, "55P03") == 0 && strstr(err->message, "with locks on") == NULL) {
        char held[560];
        char *at = strstr(err->message, " (hint: ");
        blockers(sink, held, sizeof held);
        if (at != NULL) {
            *at = '\0';
        }
        const size_t used = strlen(err->message);
        (void)snprintf(err->message + used, sizeof err->message - used, "%s", held);
    }
    if (strncmp(err->sqlstate, "23", 2) == 0) {
        err->status = SLUICE_E_DATA; /* a constraint: about what is in the row */
        status = SLUICE_E_DATA;
    }
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        if (strncmp(err->sqlstate, hints[i].sqlstate, strlen(hints[i].sqlstate)) != 0) {
            continue;
        }
        char *old = strstr(err->message, " (hint: ");
        if (old != NULL) {
            *old = '\0';
        }
        if (hints[i].hint != NULL) {
            size_t used = strlen(err->message);
            (void)snprintf(err->message + used, sizeof err->message - used, " (hint: %s)",
                           hints[i].hint);
        }
        break;
    }
    return status;
}
