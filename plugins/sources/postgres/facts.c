/* What feeds need to know of the server. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "setup.h"
#include "sluice/position.h"

/* Commits that are not on disk yet get there within three rounds of the server's WAL writer. */
#define FLUSH_WAIT_US 2000000
#define FLUSH_LOOK_US 20000
/* Of the server's log. */
enum { PAGE_BYTES = 8192, PAGE_HEADER = 40 };

static int32_t get_int(const PGresult *r, int column)
{
    return (int32_t)strtol(PQgetvalue(r, 0, column), NULL, 10);
}

static int32_t get_bool(const PGresult *r, int column)
{
    return PQgetvalue(r, 0, column)[0] == 't';
}

static void get_text(const PGresult *r, int column, char *out, size_t cap)
{
    (void)snprintf(out, cap, "%s", PQgetvalue(r, 0, column));
}

static uint64_t get_lsn(const PGresult *r, int column)
{
    uint64_t lsn = 0;
    if (PQgetisnull(r, 0, column) || sluice_lsn_parse(PQgetvalue(r, 0, column), &lsn, NULL) < 0) {
        return 0;
    }
    return lsn;
}

#define LOG_END                                                                         \
    "CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()" \
    " ELSE pg_catalog.pg_current_wal_lsn() END"

sluice_status pg_facts_read(struct sluice_pg_conn *conn, struct pg_facts *out,
                            struct sluice_error *err)
{
    /* A right to replicate may also come by membership at managed services. */
    static const char sql[] =
        "SELECT pg_catalog.current_setting('wal_level'), pg_catalog.pg_is_in_recovery(),"
        " r.rolsuper, r.rolreplication OR r.rolsuper OR EXISTS ("
        "  SELECT FROM pg_catalog.pg_roles g WHERE g.rolname IN"
        "   ('rds_replication', 'rdsadmin', 'cloudsqlsuperuser', 'azure_pg_admin')"
        "   AND pg_catalog.pg_has_role(r.oid, g.oid, 'USAGE')),"
        " pg_catalog.has_database_privilege(d.oid, 'CREATE'),"
        " pg_catalog.current_setting('max_replication_slots'),"
        " (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots),"
        " pg_catalog.current_setting('max_wal_senders'),"
        " (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication),"
        " (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'),"
        " coalesce((SELECT setting FROM pg_catalog.pg_settings"
        "  WHERE name = 'max_slot_wal_keep_size'), '-1')::pg_catalog.int8 * 1048576,"
        " " LOG_END ", d.oid, d.datname, r.rolname"
        " FROM pg_catalog.pg_roles r, pg_catalog.pg_database d"
        " WHERE r.rolname = current_user AND d.datname = pg_catalog.current_database()";
    PGresult *r = NULL;
    memset(out, 0, sizeof *out);
    SLUICE_TRY(sluice_pg_query(conn, "read the server's settings", sql, 0, NULL, &r, err));
    if (PQntuples(r) != 1) {
        PQclear(r);
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0,
                                "read the server's settings: role or database not found");
    }
    out->version = conn->server_version;
    get_text(r, 0, out->wal_level, sizeof out->wal_level);
    out->recovery = get_bool(r, 1);
    out->superuser = get_bool(r, 2);
    out->can_replicate = get_bool(r, 3);
    out->can_create = get_bool(r, 4);
    out->slots_max = get_int(r, 5);
    out->slots_used = get_int(r, 6);
    out->senders_max = get_int(r, 7);
    out->senders_used = get_int(r, 8);
    out->sender_timeout_ms = strtoll(PQgetvalue(r, 0, 9), NULL, 10);
    out->keep_bytes = strtoll(PQgetvalue(r, 0, 10), NULL, 10);
    out->keep_bytes = out->keep_bytes < 0 ? -1 : out->keep_bytes;
    out->end = get_lsn(r, 11);
    get_text(r, 12, out->database_oid, sizeof out->database_oid);
    get_text(r, 13, out->database, sizeof out->database);
    get_text(r, 14, out->role, sizeof out->role);
    PQclear(r);
    return SLUICE_OK;
}

sluice_status pg_system_identify(struct sluice_pg_conn *conn, struct pg_system *out,
                                 struct sluice_error *err)
{
    PGresult *r = NULL;
    memset(out, 0, sizeof *out);
    SLUICE_TRY(
        sluice_pg_query(conn, "read the server's identity", "IDENTIFY_SYSTEM", 0, NULL, &r, err));
    if (PQntuples(r) != 1 || PQnfields(r) < 3) {
        PQclear(r);
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "read the server's identity: unexpected answer");
    }
    get_text(r, 0, out->id, sizeof out->id);
    get_text(r, 1, out->timeline, sizeof out->timeline);
    out->end = get_lsn(r, 2);
    PQclear(r);
    return SLUICE_OK;
}

sluice_status pg_pause(const struct sluice_source *src, int64_t us, struct sluice_error *err)
{
    const struct sluice_host *host = src->host;
    struct pollfd fd = {host->cancel_fd(host->ctx), POLLIN, 0};
    (void)poll(&fd, fd.fd >= 0 ? 1 : 0, (int)(us / 1000));
    if (host->cancelled(host->ctx)) {
        return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "source postgres: cancelled");
    }
    return SLUICE_OK;
}

sluice_status pg_log_end(struct sluice_source *src, struct sluice_pg_conn *conn, uint64_t *out,
                         struct sluice_error *err)
{
    static const char sql[] =
        "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
        " ELSE pg_catalog.pg_current_wal_insert_lsn() END,"
        " CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
        " ELSE pg_catalog.pg_current_wal_flush_lsn() END";
    const struct sluice_host *host = src->host;
    int64_t deadline = host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC) + FLUSH_WAIT_US;
    uint64_t inserted = 0;
    for (;;) {
        PGresult *r = NULL;
        SLUICE_TRY(sluice_pg_query(conn, "read the end of the log", sql, 0, NULL, &r, err));
        inserted = inserted == 0 ? get_lsn(r, 0) : inserted;
        *out = get_lsn(r, 1);
        PQclear(r);
        /* An insert position can stand behind a page's header while all before it is flushed. */
        int at_page = *out % PAGE_BYTES == 0 && inserted > *out && inserted - *out <= PAGE_HEADER;
        if (*out >= inserted || at_page ||
            host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC) >= deadline) {
            return SLUICE_OK;
        }
        SLUICE_TRY(pg_pause(src, FLUSH_LOOK_US, err));
    }
}
