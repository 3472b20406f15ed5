/* Pooled connections that see the exported snapshot. A connection stays in its transaction and
 * reads shard after shard. */
#include <stdio.h>

#include "pg/error.h"
#include "source.h"

/* libpq keeps its receive buffer once grown; large reads from the socket are what makes it quick. */
#define RECEIVE_BYTES (256u * 1024)
/* Table locks last until the transaction ends, and lock slots are few: begin anew now and then. */
#define USES_MAX 200

/* The server refused the snapshot: every other trouble keeps its own meaning. */
static int snapshot_refused(const struct sluice_error *err)
{
    return strcmp(err->sqlstate, "22023") == 0 || strcmp(err->sqlstate, "42704") == 0 ||
           strcmp(err->sqlstate, "55000") == 0 || strcmp(err->sqlstate, "0A000") == 0;
}

static sluice_status worker_begin(struct sluice_source *src, struct sluice_pg_conn *conn,
                                  struct sluice_error *err)
{
    char sql[512];
    PGresult *result = NULL;
    if (conn->in_transaction && conn->generation == src->generation && conn->uses < USES_MAX) {
        return SLUICE_OK;
    }
    struct sluice_error local = SLUICE_ERROR_INIT;
    struct sluice_error *e = err != NULL ? err : &local;
    (void)snprintf(sql, sizeof sql,
                   "%sBEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                   "SET TRANSACTION SNAPSHOT '%s';SELECT " PG_SNAPSHOT_MARK,
                   conn->in_transaction ? "COMMIT;" : "", src->snapshot);
    conn->in_transaction = 1;
    conn->generation = src->generation;
    conn->uses = 0;
    sluice_status st = sluice_pg_query(conn, "import the snapshot", sql, 0, NULL, &result, e);
    if (st >= 0 && strcmp(PQgetvalue(result, 0, 0), src->snapshot_mark) != 0) {
        st = sluice_error_set(e, SLUICE_E_SNAPSHOT_LOST, 0,
                              "snapshot %s is another one since the server was restarted",
                              src->snapshot);
    }
    PQclear(result);
    if (st < 0 && PQstatus(conn->pg) == CONNECTION_OK && snapshot_refused(e)) {
        (void)sluice_error_wrap(e, "the connection that held the snapshot is gone");
        e->status = SLUICE_E_SNAPSHOT_LOST;
        e->flags = 0;
        st = SLUICE_E_SNAPSHOT_LOST;
    }
    return st;
}

sluice_status pg_worker_acquire(struct sluice_source *src, struct sluice_pg_conn **out,
                                struct sluice_error *err)
{
    struct sluice_pg_conn *conn = NULL;
    (void)pthread_mutex_lock(&src->pool_lock);
    if (src->pool_count > 0) {
        conn = src->pool[--src->pool_count];
    }
    (void)pthread_mutex_unlock(&src->pool_lock);
    if (conn != NULL) {
        sluice_status st = worker_begin(src, conn, err);
        if (st >= 0) {
            *out = conn;
            return SLUICE_OK;
        }
        sluice_pg_close(conn);
        if (st == SLUICE_E_SNAPSHOT_LOST || st == SLUICE_E_CANCELLED) {
            return st;
        }
        /* It broke while idle: once more with a new one. */
        sluice_error_clear(err);
    }
    SLUICE_TRY(
        sluice_pg_connect(&src->options.conn, src->host, src->registry, RECEIVE_BYTES, &conn, err));
    sluice_status st = worker_begin(src, conn, err);
    if (st < 0) {
        sluice_pg_close(conn);
        return st;
    }
    *out = conn;
    return SLUICE_OK;
}

void pg_worker_release(struct sluice_source *src, struct sluice_pg_conn *conn, int reusable)
{
    if (conn == NULL) {
        return;
    }
    if (reusable && PQstatus(conn->pg) == CONNECTION_OK) {
        conn->uses++;
        (void)pthread_mutex_lock(&src->pool_lock);
        if (src->pool_count < sizeof src->pool / sizeof src->pool[0]) {
            src->pool[src->pool_count++] = conn;
            conn = NULL;
        }
        (void)pthread_mutex_unlock(&src->pool_lock);
    }
    sluice_pg_close(conn);
}

void pg_workers_close(struct sluice_source *src)
{
    for (;;) {
        struct sluice_pg_conn *conn = NULL;
        (void)pthread_mutex_lock(&src->pool_lock);
        if (src->pool_count > 0) {
            conn = src->pool[--src->pool_count];
        }
        (void)pthread_mutex_unlock(&src->pool_lock);
        if (conn == NULL) {
            return;
        }
        sluice_pg_close(conn);
    }
}
