/* How far the feed is behind, asked by SQL. A server that hangs must not hang whoever asks. */
#include <stdio.h>
#include <stdlib.h>

#include "setup.h"
#include "sluice/position.h"

/* The most that asking takes, a new connection included. */
#define ASK_US 3000000

/* The control connection, made quickly or not at all. */
static sluice_status connect_quickly(struct sluice_source *src, struct sluice_error *err)
{
    if (src->control != NULL && PQstatus(src->control->pg) == CONNECTION_OK) {
        return SLUICE_OK;
    }
    sluice_pg_close(src->control);
    src->control = NULL;
    struct sluice_pg_settings settings = src->options.conn;
    if (settings.connect_timeout_us > ASK_US) {
        settings.connect_timeout_us = ASK_US;
    }
    return sluice_pg_connect(&settings, src->host, src->registry, 0, &src->control, err);
}

/* As sluice_pg_query, within ASK_US. After an error the connection is not to be used again. */
static sluice_status ask(struct sluice_source *src, const char *sql, PGresult **out,
                         struct sluice_error *err)
{
    static const char what[] = "read the replication slot";
    struct sluice_pg_conn *conn = src->control;
    const struct sluice_host *host = src->host;
    int64_t deadline = host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC) + ASK_US;
    SLUICE_TRY(sluice_pg_send(conn, what, sql, 0, NULL, err));
    PGresult *last = NULL;
    for (;;) {
        if (PQisBusy(conn->pg)) {
            int64_t left = deadline - host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC);
            sluice_status st = left > 0
                                   ? sluice_pg_read(conn, what, left, err)
                                   : sluice_error_set(err, SLUICE_E_TIMEOUT, SLUICE_ERROR_RETRYABLE,
                                                      "%s: no answer within %lld s", what,
                                                      (long long)(ASK_US / 1000000));
            if (st < 0) {
                PQclear(last);
                return st;
            }
            continue;
        }
        PGresult *r = PQgetResult(conn->pg);
        if (r == NULL) {
            break;
        }
        PQclear(last);
        last = r;
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

static void make_query(int version, const char *slot, struct sluice_pg_text *sql)
{
    sluice_pg_text_format(
        sql,
        "SELECT e.lsn, s.confirmed_flush_lsn, s.restart_lsn, s.slot_name IS NOT NULL,"
        " coalesce(s.active, false), %s, %s FROM (SELECT CASE WHEN pg_catalog.pg_is_in_recovery()"
        " THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END) e(lsn)"
        " LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = ",
        version >= PG_SINCE_ROOTS ? "s.wal_status" : "NULL",
        version >= PG_SINCE_ROOTS ? "s.safe_wal_size" : "NULL");
    sluice_pg_text_literal(sql, slot);
}

static uint64_t get_lsn(const PGresult *r, int column)
{
    uint64_t lsn = 0;
    if (PQgetisnull(r, 0, column) || sluice_lsn_parse(PQgetvalue(r, 0, column), &lsn, NULL) < 0) {
        return 0;
    }
    return lsn;
}

static int64_t distance(uint64_t from, uint64_t to)
{
    return from == 0 || to == 0 ? -1 : to > from ? (int64_t)(to - from) : 0;
}

static void fill(const PGresult *r, const char *slot, uint64_t position,
                 struct sluice_source_lag *out)
{
    uint64_t end = get_lsn(r, 0);
    uint64_t confirmed = get_lsn(r, 1);
    const char *status = PQgetvalue(r, 0, 5);
    int exists = PQgetvalue(r, 0, 3)[0] == 't';
    position = position != 0 ? position : confirmed;
    out->behind_bytes = distance(position, end);
    out->retained_bytes = distance(get_lsn(r, 2), end);
    if (!PQgetisnull(r, 0, 6)) {
        out->remaining_bytes = strtoll(PQgetvalue(r, 0, 6), NULL, 10);
        out->remaining_bytes = out->remaining_bytes > 0 ? out->remaining_bytes : 0;
    }
    if (position != 0) {
        sluice_lsn_format(position, out->position);
    }
    if (end != 0) {
        sluice_lsn_format(end, out->end);
    }
    if (!exists) {
        (void)snprintf(out->note, sizeof out->note, "there is no replication slot %.64s", slot);
    }
    else if (strcmp(status, "lost") == 0) {
        (void)snprintf(out->note, sizeof out->note, "replication slot %.64s is lost", slot);
    }
    else if (strcmp(status, "unreserved") == 0) {
        (void)snprintf(out->note, sizeof out->note,
                       "replication slot is about to be lost: max_slot_wal_keep_size is reached");
    }
    else if (PQgetvalue(r, 0, 4)[0] != 't') {
        (void)snprintf(out->note, sizeof out->note, "nobody reads replication slot %.63s", slot);
    }
}

/* The slot that an open feed has, or that the plan's would. */
static const char *slot_name(const struct sluice_source *src, const struct sluice_source_plan *plan,
                             struct pg_feed_setup *scratch)
{
    if (src->opened && src->feed.wanted) {
        return src->feed.slot;
    }
    pg_feed_names(src, plan != NULL ? plan->pipeline : NULL, scratch);
    return scratch->slot;
}

sluice_status pg_source_measure(struct sluice_source *src, const struct sluice_source_plan *plan,
                                struct sluice_bytes position, struct sluice_source_lag *out,
                                struct sluice_error *err)
{
    struct pg_feed_setup scratch = {0};
    struct sluice_pg_text sql = {0};
    PGresult *r = NULL;
    const char *slot = slot_name(src, plan, &scratch);
    out->flags = 0;
    out->behind_bytes = -1;
    out->retained_bytes = -1;
    out->remaining_bytes = -1;
    out->position[0] = '\0';
    out->end[0] = '\0';
    out->note[0] = '\0';
    if (position.size != 0 && position.size != 8) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "a position of %llu bytes is none of PostgreSQL",
                                (unsigned long long)position.size);
    }
    SLUICE_TRY(connect_quickly(src, err));
    make_query(src->control->server_version, slot, &sql);
    sluice_status st = sluice_pg_text_check(&sql, err);
    if (st >= 0) {
        st = ask(src, sql.data, &r, err);
    }
    sluice_pg_text_free(&sql);
    if (st < 0) {
        sluice_pg_close(src->control);
        src->control = NULL;
        return st;
    }
    fill(r, slot, position.size == 8 ? sluice_get_be64(position.data) : 0, out);
    PQclear(r);
    return SLUICE_OK;
}
