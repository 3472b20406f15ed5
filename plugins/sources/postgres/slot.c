/* The replication slot: reading it, judging it, making it, and the checks of every connect. */
#include <stdio.h>
#include <stdlib.h>

#include "setup.h"
#include "sluice/position.h"

/* How often we say what the making of a slot waits for. */
#define WAIT_REPORT_US 5000000

static uint64_t get_lsn(const PGresult *r, int row, int column)
{
    uint64_t lsn = 0;
    if (PQgetisnull(r, row, column) ||
        sluice_lsn_parse(PQgetvalue(r, row, column), &lsn, NULL) < 0) {
        return 0;
    }
    return lsn;
}

sluice_status pg_slot_read(struct sluice_pg_conn *conn, const char *name, struct pg_slot *out,
                           struct sluice_error *err)
{
    int version = conn->server_version;
    struct sluice_pg_text sql = {0};
    PGresult *r = NULL;
    memset(out, 0, sizeof *out);
    sluice_pg_text_format(&sql,
                          "SELECT slot_type = 'logical', temporary, %s, coalesce(active_pid, 0), "
                          "coalesce(plugin, ''),"
                          " coalesce(database, ''), %s, %s, confirmed_flush_lsn, restart_lsn, %s"
                          " FROM pg_catalog.pg_replication_slots WHERE slot_name = ",
                          version >= PG_SINCE_FAILOVER ? "failover" : "false",
                          version >= PG_SINCE_FAILOVER ? "coalesce(invalidation_reason, '')"
                          : version >= PG_SINCE_STANDBY
                              ? "CASE WHEN conflicting THEN 'conflict with recovery' ELSE '' "
                                "END"
                              : "''",
                          version >= PG_SINCE_ROOTS ? "coalesce(wal_status, '')" : "''",
                          version >= PG_SINCE_ROOTS ? "coalesce(safe_wal_size, -1)" : "-1");
    sluice_pg_text_literal(&sql, name);
    sluice_status st = sluice_pg_text_check(&sql, err);
    if (st >= 0) {
        st = sluice_pg_query(conn, "read the replication slot", sql.data, 0, NULL, &r, err);
    }
    sluice_pg_text_free(&sql);
    SLUICE_TRY(st);
    if (PQntuples(r) == 1) {
        out->exists = 1;
        out->logical = PQgetvalue(r, 0, 0)[0] == 't';
        out->temporary = PQgetvalue(r, 0, 1)[0] == 't';
        out->failover = PQgetvalue(r, 0, 2)[0] == 't';
        out->active_pid = (int32_t)strtol(PQgetvalue(r, 0, 3), NULL, 10);
        (void)snprintf(out->plugin, sizeof out->plugin, "%s", PQgetvalue(r, 0, 4));
        (void)snprintf(out->database, sizeof out->database, "%s", PQgetvalue(r, 0, 5));
        (void)snprintf(out->lost, sizeof out->lost, "%s", PQgetvalue(r, 0, 6));
        (void)snprintf(out->wal_status, sizeof out->wal_status, "%s", PQgetvalue(r, 0, 7));
        out->confirmed = get_lsn(r, 0, 8);
        out->restart = get_lsn(r, 0, 9);
        out->safe_bytes = strtoll(PQgetvalue(r, 0, 10), NULL, 10);
        if (strcmp(out->wal_status, "lost") == 0 && out->lost[0] == '\0') {
            (void)snprintf(out->lost, sizeof out->lost, "wal_removed");
        }
    }
    PQclear(r);
    return SLUICE_OK;
}

sluice_status pg_slot_check(const struct pg_slot *slot, const char *name, const char *database,
                            struct sluice_error *err)
{
    if (!slot->logical || strcmp(slot->plugin, "pgoutput") != 0) {
        return sluice_error_set(err, SLUICE_E_CONFLICT, SLUICE_ERROR_FATAL,
                                "replication slot %s belongs to something else: it is %s%s, not of "
                                "pgoutput (hint: name "
                                "another one in option slot)",
                                name, slot->logical ? "of plugin " : "a physical slot",
                                slot->logical ? slot->plugin : "");
    }
    if (strcmp(slot->database, database) != 0) {
        return sluice_error_set(err, SLUICE_E_CONFLICT, SLUICE_ERROR_FATAL,
                                "replication slot %s belongs to database %s, not to %s (hint: name "
                                "another one in option slot)",
                                name, slot->database, database);
    }
    if (slot->temporary) {
        return sluice_error_set(err, SLUICE_E_CONFLICT, SLUICE_ERROR_FATAL,
                                "replication slot %s is a temporary one of another session (hint: "
                                "name another one in option slot)",
                                name);
    }
    if (slot->lost[0] != '\0') {
        return sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "replication slot %s is lost: the server has given up the log that it kept (%s; "
            "max_slot_wal_keep_size and the like limit how much). Changes are missing (hint: run "
            "SELECT pg_drop_replication_slot('%s'), then begin anew: sluice state reset FILE, then "
            "sluice run FILE)",
            name, slot->lost, name);
    }
    if (slot->confirmed == 0) {
        return sluice_error_set(err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
                                "replication slot %s is still being made by another session", name);
    }
    return SLUICE_OK;
}

sluice_status pg_slot_busy(struct sluice_pg_conn *conn, const struct pg_slot *slot,
                           const char *name, struct sluice_error *err)
{
    char sql[256];
    char who[200] = "";
    PGresult *r = NULL;
    (void)snprintf(sql, sizeof sql,
                   "SELECT coalesce(usename, ''), coalesce(application_name, ''),"
                   " coalesce(client_addr::pg_catalog.text, 'local')"
                   " FROM pg_catalog.pg_stat_activity WHERE pid = %d",
                   slot->active_pid);
    if (sluice_pg_query(conn, "read who uses the replication slot", sql, 0, NULL, &r, NULL) >= 0 &&
        PQntuples(r) == 1) {
        (void)snprintf(who, sizeof who, " (role %.60s, application %.60s, from %.45s)",
                       PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1), PQgetvalue(r, 0, 2));
    }
    PQclear(r);
    return sluice_error_set(
        err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
        "replication slot %s is in use by server process %d%s: only one may read a slot (hint: if "
        "it "
        "is a dead connection, the server drops it after wal_sender_timeout; to end it at once: "
        "SELECT pg_terminate_backend(%d))",
        name, slot->active_pid, who, slot->active_pid);
}

/* ---------------------------------------------------------------- making --------------------- */

/* A slot begins once all transactions that write now have ended: says which it waits for. */
static void report_wait(struct sluice_source *src, const struct sluice_pg_conn *conn,
                        const char *name, int64_t waited_us)
{
    static const char select[] =
        "SELECT w.transactionid, coalesce(h.pid, 0), coalesce(p.gid, ''), coalesce(a.usename, ''),"
        " coalesce(a.application_name, ''), coalesce(a.state, ''),"
        " coalesce(extract(epoch FROM pg_catalog.now() - a.xact_start)::pg_catalog.int8, 0)"
        " FROM pg_catalog.pg_locks w"
        " LEFT JOIN pg_catalog.pg_locks h ON h.locktype = 'transactionid' AND h.granted"
        "  AND h.transactionid = w.transactionid"
        " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = h.pid"
        " LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = w.transactionid"
        " WHERE w.pid = %d AND NOT w.granted AND w.locktype = 'transactionid' LIMIT 1";
    char sql[1200];
    PGresult *r = NULL;
    (void)snprintf(sql, sizeof sql, select, PQbackendPID(conn->pg));
    long long seconds = (long long)(waited_us / 1000000);
    if (src->control == NULL ||
        sluice_pg_query(src->control, "read what the slot waits for", sql, 0, NULL, &r, NULL) < 0 ||
        PQntuples(r) == 0) {
        sluice_log(src->host, SLUICE_LOG_INFO,
                   "still making the replication slot slot=%s waited_s=%lld", name, seconds);
    }
    else if (PQgetvalue(r, 0, 2)[0] != '\0') {
        sluice_log(src->host, SLUICE_LOG_WARN,
                   "the replication slot waits for a prepared transaction to end slot=%s "
                   "waited_s=%lld xid=%s gid=%s",
                   name, seconds, PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 2));
    }
    else {
        sluice_log(src->host, SLUICE_LOG_WARN,
                   "the replication slot waits for an older transaction to end slot=%s "
                   "waited_s=%lld xid=%s pid=%s role=%s application=%s state=\"%s\" running_s=%s",
                   name, seconds, PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1), PQgetvalue(r, 0, 3),
                   PQgetvalue(r, 0, 4), PQgetvalue(r, 0, 5), PQgetvalue(r, 0, 6));
    }
    PQclear(r);
}

/* As sluice_pg_query, without a limit in time: a transaction of the application may last long. */
static sluice_status query_waiting(struct sluice_source *src, struct sluice_pg_conn *conn,
                                   const char *what, const char *name, const char *sql,
                                   PGresult **out, struct sluice_error *err)
{
    const struct sluice_host *host = src->host;
    int64_t began = host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC);
    int64_t next = began + WAIT_REPORT_US;
    SLUICE_TRY(sluice_pg_send(conn, what, sql, 0, NULL, err));
    while (PQisBusy(conn->pg)) {
        int64_t now = host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC);
        if (now >= next) {
            report_wait(src, conn, name, now - began);
            next = now + WAIT_REPORT_US;
        }
        SLUICE_TRY(sluice_pg_read(conn, what, next - now, err));
    }
    /* The answer is there, or will be in a moment: the rest is as for any statement. */
    PGresult *last = NULL;
    for (PGresult *r = PQgetResult(conn->pg); r != NULL; r = PQgetResult(conn->pg)) {
        if (last == NULL) {
            last = r;
        }
        else {
            PQclear(r);
        }
    }
    atomic_store(&conn->busy, 0);
    if (last == NULL) {
        return sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
    }
    if (PQresultStatus(last) != PGRES_TUPLES_OK) {
        sluice_status st = sluice_pg_error_result(err, last, what);
        PQclear(last);
        return st;
    }
    *out = last;
    return SLUICE_OK;
}

static void create_statement(const struct sluice_pg_conn *conn, const struct pg_slot_wish *wish,
                             char *out, size_t cap)
{
    const char *temporary = wish->temporary ? " TEMPORARY" : "";
    if (conn->server_version >= PG_SINCE_FILTERS) {
        (void)snprintf(out, cap,
                       "CREATE_REPLICATION_SLOT \"%s\"%s LOGICAL pgoutput (SNAPSHOT '%s'%s)",
                       wish->name, temporary, wish->snapshot ? "export" : "nothing",
                       wish->failover ? ", FAILOVER true" : "");
    }
    else {
        (void)snprintf(out, cap, "CREATE_REPLICATION_SLOT \"%s\"%s LOGICAL pgoutput %s", wish->name,
                       temporary, wish->snapshot ? "EXPORT_SNAPSHOT" : "NOEXPORT_SNAPSHOT");
    }
}

/* The server's own words, and what to do about the usual ones. */
static sluice_status explain_create(struct sluice_error *err, const char *name)
{
    if (strcmp(err->sqlstate, "53400") == 0) {
        return sluice_error_set(
            err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_FATAL,
            "make replication slot %s: all slots of the server are taken (hint: "
            "ALTER SYSTEM SET max_replication_slots = …, then restart it; or "
            "drop unused ones: SELECT * FROM pg_replication_slots)",
            name);
    }
    if (strcmp(err->sqlstate, "42710") == 0) {
        return sluice_error_set(err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
                                "make replication slot %s: another session made it just now", name);
    }
    return sluice_error_wrap(err, "replication slot %s", name);
}

sluice_status pg_slot_create(struct sluice_source *src, struct sluice_pg_conn *conn,
                             const struct pg_slot_wish *wish, uint64_t *point,
                             struct sluice_error *err)
{
    char sql[256];
    PGresult *r = NULL;
    struct sluice_error local = SLUICE_ERROR_INIT;
    struct sluice_error *e = err != NULL ? err : &local;
    /* It waits for locks of transactions, as long as those last. */
    SLUICE_TRY(sluice_pg_command(conn, "set timeouts", "SET lock_timeout = 0", e));
    SLUICE_TRY(sluice_pg_command(conn, "set timeouts", "SET statement_timeout = 0", e));
    create_statement(conn, wish, sql, sizeof sql);
    sluice_status st =
        query_waiting(src, conn, "make the replication slot", wish->name, sql, &r, e);
    if (st < 0) {
        return st == SLUICE_E_CANCELLED ? st : explain_create(e, wish->name);
    }
    if (PQntuples(r) != 1 || PQnfields(r) < 3 ||
        (wish->snapshot && (PQgetisnull(r, 0, 2) || PQgetvalue(r, 0, 2)[0] == '\0'))) {
        PQclear(r);
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "make replication slot %s: the server gave no snapshot (hint: a "
                                "standby cannot export one: connect to the primary)",
                                wish->name);
    }
    *point = get_lsn(r, 0, 1);
    if (wish->snapshot) {
        (void)snprintf(src->snapshot, sizeof src->snapshot, "%s", PQgetvalue(r, 0, 2));
    }
    sluice_log(src->host, SLUICE_LOG_INFO,
               "replication slot made slot=%s temporary=%d consistent_point=%s%s%s", wish->name,
               wish->temporary, PQgetvalue(r, 0, 1), wish->snapshot ? " snapshot=" : "",
               wish->snapshot ? src->snapshot : "");
    PQclear(r);
    return *point != 0
               ? SLUICE_OK
               : sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                  "make replication slot %s: no consistent point", wish->name);
}

/* ---------------------------------------------------------------- every connect -------------- */

static sluice_status verify_server(const struct pg_feed_setup *feed, const struct pg_system *system,
                                   uint64_t position, struct sluice_error *err)
{
    char ours[24];
    char theirs[24];
    if (feed->system_id[0] != '\0' && strcmp(feed->system_id, system->id) != 0) {
        return sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "this is another server (system identifier %s) than the one that the changes came from "
            "(%s) (hint: point the pipeline back at that one, or begin anew: sluice state reset "
            "FILE, then sluice run FILE)",
            system->id, feed->system_id);
    }
    if (feed->timeline[0] != '\0' && !feed->failover_slot &&
        strcmp(feed->timeline, system->timeline) != 0) {
        return sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "the server is on timeline %s, was on %s: it was promoted or restored, and its log may "
            "differ from the one that was followed (hint: begin anew: sluice state reset FILE, "
            "then "
            "sluice run FILE; failover slots, PostgreSQL 17, survive a promotion)",
            system->timeline, feed->timeline);
    }
    if (position > system->end) {
        sluice_lsn_format(position, ours);
        sluice_lsn_format(system->end, theirs);
        return sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "the server's log ends at %s, before our position %s: it was restored from a backup "
            "(hint: begin anew: sluice state reset FILE, then sluice run FILE)",
            theirs, ours);
    }
    return SLUICE_OK;
}

sluice_status pg_slot_gap(const char *name, const struct pg_slot *slot, uint64_t position,
                          struct sluice_error *err)
{
    char ours[24];
    char theirs[24];
    if (!slot->exists) {
        return sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "replication slot %s is gone: somebody dropped it, or the server was replaced. Changes "
            "are missing (hint: begin anew: sluice state reset FILE, then sluice run FILE)",
            name);
    }
    if (slot->confirmed > position) {
        sluice_lsn_format(position, ours);
        sluice_lsn_format(slot->confirmed, theirs);
        return sluice_error_set(err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
                                "replication slot %s stands at %s, after our position %s: somebody "
                                "advanced it, read it "
                                "or made it anew. The changes between are missing (hint: begin "
                                "anew: sluice state reset "
                                "FILE, then sluice run FILE)",
                                name, theirs, ours);
    }
    return SLUICE_OK;
}

/* Publications are read as they were at each place of the log: gone ones end the stream. */
static sluice_status verify_publications(const struct sluice_source *src,
                                         struct sluice_pg_conn *conn, struct sluice_error *err)
{
    const struct pg_feed_setup *feed = &src->feed;
    struct sluice_pg_text sql = {0};
    PGresult *r = NULL;
    sluice_pg_text_add(&sql, "SELECT w.name FROM pg_catalog.unnest(ARRAY[");
    for (uint32_t i = 0; i < feed->publication_count; i++) {
        sluice_pg_text_add(&sql, i > 0 ? ", " : "");
        sluice_pg_text_literal(&sql, feed->publications[i]);
    }
    sluice_pg_text_add(&sql, "]) AS w(name) WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_publication"
                             " p WHERE p.pubname = w.name)");
    sluice_status st = sluice_pg_text_check(&sql, err);
    if (st >= 0) {
        st = sluice_pg_query(conn, "read the publication", sql.data, 0, NULL, &r, err);
    }
    if (st >= 0 && PQntuples(r) > 0) {
        st = sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "publication %s is gone: the changes since then cannot be read (hint: begin anew: "
            "sluice state reset FILE, then sluice run FILE)",
            PQgetvalue(r, 0, 0));
    }
    PQclear(r);
    sluice_pg_text_free(&sql);
    return st;
}

/* Tables that are still there, but no longer published. */
static sluice_status verify_tables(const struct sluice_source *src, struct sluice_pg_conn *conn,
                                   struct sluice_error *err)
{
    const struct pg_feed_setup *feed = &src->feed;
    struct sluice_pg_text sql = {0};
    PGresult *r = NULL;
    uint32_t n = 0;
    sluice_pg_text_add(&sql, "SELECT c.relname, n.nspname FROM pg_catalog.pg_class c JOIN"
                             " pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                             " WHERE c.oid = ANY('{");
    for (uint32_t i = 0; i < src->stream_count; i++) {
        const struct pg_stream *stream = &src->streams[i];
        if (stream->problem.status >= 0 && (stream->select_flags & SLUICE_SELECT_CHANGES) != 0 &&
            stream->relation->kind != PG_KIND_MESSAGES) {
            sluice_pg_text_format(&sql, "%s%u", n++ > 0 ? "," : "", stream->relation->oid);
        }
    }
    sluice_pg_text_add(&sql,
                       "}'::pg_catalog.oid[]) AND NOT EXISTS (SELECT FROM"
                       " pg_catalog.pg_publication_tables t WHERE t.schemaname = n.nspname AND"
                       " t.tablename = c.relname AND t.pubname IN (");
    for (uint32_t i = 0; i < feed->publication_count; i++) {
        sluice_pg_text_add(&sql, i > 0 ? ", " : "");
        sluice_pg_text_literal(&sql, feed->publications[i]);
    }
    sluice_pg_text_add(&sql, ")) LIMIT 1");
    sluice_status st = sluice_pg_text_check(&sql, err);
    if (st >= 0) {
        st = sluice_pg_query(conn, "read the publication", sql.data, 0, NULL, &r, err);
    }
    if (st >= 0 && PQntuples(r) > 0) {
        struct pg_relation relation = {.schema = PQgetvalue(r, 0, 1), .name = PQgetvalue(r, 0, 0)};
        char *name = pg_stream_name(&relation);
        struct sluice_pg_text alter = {0};
        sluice_pg_text_add(&alter, "ALTER PUBLICATION ");
        pg_name_ident(&alter, feed->publications[0]);
        sluice_pg_text_add(&alter, " ADD TABLE ");
        pg_relation_ident(&alter, &relation);
        st = sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "table %s was taken out of publication %s: its changes since then are lost (hint: run "
            "as owner: %s, then load it anew: sluice state reset --stream '%s' FILE)",
            name != NULL ? name : "", feed->publications[0],
            alter.data != NULL && !alter.failed ? alter.data : "", name != NULL ? name : "");
        sluice_pg_text_free(&alter);
        free(name);
    }
    PQclear(r);
    sluice_pg_text_free(&sql);
    return st;
}

sluice_status pg_feed_verify(struct sluice_source *src, struct sluice_pg_conn *conn,
                             uint64_t position, struct sluice_error *err)
{
    const struct pg_feed_setup *feed = &src->feed;
    struct pg_system system;
    struct pg_slot slot;
    SLUICE_TRY(pg_system_identify(conn, &system, err));
    SLUICE_TRY(verify_server(feed, &system, position, err));
    SLUICE_TRY(pg_slot_read(conn, feed->slot, &slot, err));
    if (!slot.exists) {
        return pg_slot_gap(feed->slot, &slot, position, err);
    }
    SLUICE_TRY(pg_slot_check(&slot, feed->slot, PQdb(conn->pg), err));
    SLUICE_TRY(pg_slot_gap(feed->slot, &slot, position, err));
    if (slot.active_pid != 0) {
        return pg_slot_busy(conn, &slot, feed->slot, err);
    }
    SLUICE_TRY(verify_publications(src, conn, err));
    return verify_tables(src, conn, err);
}
