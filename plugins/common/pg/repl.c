/* The stream of a walsender: starting it, taking messages, answering. */
#include "pg/repl.h"

#include <poll.h>
#include <string.h>

#include "pg/conn_internal.h"
#include "pg/error.h"
#include "pg/wire.h"

/* From 2000-01-01, PostgreSQL's zero, back to 1970-01-01. */
#define EPOCH_US 946684800000000ll
/* START_REPLICATION answers at once: a server that does not is not well. */
#define START_LIMIT_US (60 * 1000000ll)
/* How long feedback waits for a socket that is full. */
#define FEEDBACK_WAIT_US 100000
enum { DATA_HEADER = 25, KEEPALIVE_SIZE = 18, FEEDBACK_SIZE = 34 };

sluice_status sluice_pg_repl_connect(const struct sluice_pg_settings *settings,
                                     const struct sluice_host *host,
                                     struct sluice_pg_registry *registry, uint32_t receive_bytes,
                                     struct sluice_pg_conn **out, struct sluice_error *err)
{
    return sluice_pg_conn_open(settings, host, registry, receive_bytes, 1, out, err);
}

/* ---------------------------------------------------------------- starting ------------------- */

/* Takes the results that wait until the connection is free again. */
static void drain(struct sluice_pg_conn *conn)
{
    while (!PQisBusy(conn->pg)) {
        PGresult *more = PQgetResult(conn->pg);
        if (more == NULL) {
            return;
        }
        PQclear(more);
    }
}

sluice_status sluice_pg_repl_start(struct sluice_pg_conn *conn, const char *what, const char *sql,
                                   struct sluice_error *err)
{
    SLUICE_TRY(sluice_pg_send(conn, what, sql, 0, NULL, err));
    int64_t deadline = sluice_pg_conn_now(conn) + START_LIMIT_US;
    while (PQisBusy(conn->pg)) {
        int64_t left = deadline - sluice_pg_conn_now(conn);
        if (left <= 0) {
            return sluice_error_set(err, SLUICE_E_TIMEOUT, SLUICE_ERROR_RETRYABLE,
                                    "%s: no answer within %lld s", what, START_LIMIT_US / 1000000);
        }
        SLUICE_TRY(sluice_pg_read(conn, what, left, err));
    }
    /* A stream ends when its connection does: no request to cancel it, which could come before the
     * last status update. */
    atomic_store(&conn->busy, 0);
    conn->stream_over = 0;
    PGresult *result = PQgetResult(conn->pg);
    sluice_status st = SLUICE_OK;
    if (result == NULL) {
        st = sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
    }
    else if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
        st = sluice_pg_error_replication(err, sluice_pg_error_result(err, result, what));
        drain(conn);
    }
    else if (PQresultStatus(result) != PGRES_COPY_BOTH) {
        st = sluice_error_set(err, SLUICE_E_INTERNAL, 0, "%s: the server does not stream", what);
        drain(conn);
    }
    PQclear(result);
    return st;
}

/* ---------------------------------------------------------------- messages ------------------- */

static sluice_status malformed(struct sluice_error *err, const char *what, uint8_t kind, int size)
{
    return sluice_error_set(err, SLUICE_E_DATA, 0,
                            "%s: malformed replication message: kind 0x%02x of %d bytes", what,
                            kind, size);
}

static sluice_status message_take(const uint8_t *p, int size, const char *what,
                                  struct sluice_pg_repl_message *out, struct sluice_error *err)
{
    memset(out, 0, sizeof *out);
    if (size < 1) {
        return malformed(err, what, 0, size);
    }
    out->kind = p[0];
    if (p[0] == SLUICE_PG_REPL_DATA && size >= DATA_HEADER) {
        out->start = sluice_pg_get64(p + 1);
        out->end = sluice_pg_get64(p + 9);
        out->clock_us = (int64_t)(sluice_pg_get64(p + 17) + (uint64_t)EPOCH_US);
        out->data = p + DATA_HEADER;
        out->size = (size_t)(size - DATA_HEADER);
        return SLUICE_OK;
    }
    if (p[0] == SLUICE_PG_REPL_KEEPALIVE && size == KEEPALIVE_SIZE && p[17] <= 1) {
        out->end = sluice_pg_get64(p + 1);
        out->clock_us = (int64_t)(sluice_pg_get64(p + 9) + (uint64_t)EPOCH_US);
        out->reply = p[17];
        return SLUICE_OK;
    }
    return malformed(err, what, p[0], size);
}

/* After the last message: the server's reason, once it has come whole. */
static sluice_status stream_end(struct sluice_pg_conn *conn, const char *what,
                                struct sluice_error *err)
{
    if (PQisBusy(conn->pg)) {
        return SLUICE_AGAIN;
    }
    PGresult *result = PQgetResult(conn->pg);
    ExecStatusType status = PQresultStatus(result);
    sluice_status st = SLUICE_END;
    if (result != NULL && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
        status != PGRES_COPY_IN) {
        st = sluice_pg_error_replication(err, sluice_pg_error_result(err, result, what));
    }
    PQclear(result);
    return st;
}

sluice_status sluice_pg_repl_next(struct sluice_pg_conn *conn, const char *what,
                                  struct sluice_pg_repl_message *out, struct sluice_error *err)
{
    PQfreemem(conn->message);
    conn->message = NULL;
    if (conn->stream_over) {
        return stream_end(conn, what, err);
    }
    int size = PQgetCopyData(conn->pg, &conn->message, 1);
    if (size > 0) {
        return message_take((const uint8_t *)conn->message, size, what, out, err);
    }
    if (size == 0) {
        return SLUICE_AGAIN;
    }
    if (size < -1) {
        return sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
    }
    conn->stream_over = 1;
    return stream_end(conn, what, err);
}

/* ---------------------------------------------------------------- feedback ------------------- */

static void put64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

/* Lets libpq send what it holds. OK = all is gone; AGAIN = the socket stays full. */
static sluice_status flush_shortly(struct sluice_pg_conn *conn, const char *what,
                                   struct sluice_error *err)
{
    int64_t deadline = sluice_pg_conn_now(conn) + FEEDBACK_WAIT_US;
    for (;;) {
        int rc = PQflush(conn->pg);
        if (rc == 0) {
            return SLUICE_OK;
        }
        if (rc < 0) {
            return sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
        }
        int64_t left = deadline - sluice_pg_conn_now(conn);
        if (left <= 0) {
            return SLUICE_AGAIN;
        }
        /* Not for reading: a server that sends much would never let us write. */
        SLUICE_TRY(sluice_pg_conn_wait(conn, what, POLLOUT, left, err));
    }
}

sluice_status sluice_pg_repl_feedback(struct sluice_pg_conn *conn, const char *what,
                                      uint64_t received, uint64_t flush, int32_t want_reply,
                                      struct sluice_error *err)
{
    uint8_t m[FEEDBACK_SIZE] = {'r'};
    if (conn->stream_over) {
        return SLUICE_OK; /* nobody listens; the next message says why */
    }
    sluice_status st = flush_shortly(conn, what, err);
    if (st != SLUICE_OK) {
        return st;
    }
    int64_t clock = conn->host->now_us(conn->host->ctx, SLUICE_CLOCK_WALL) - EPOCH_US;
    put64(m + 1, received);
    put64(m + 9, flush);
    put64(m + 17, flush); /* applied: what the sinks hold, they show */
    put64(m + 25, (uint64_t)clock);
    m[33] = want_reply != 0;
    if (PQputCopyData(conn->pg, (const char *)m, (int)sizeof m) != 1) {
        return sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
    }
    st = flush_shortly(conn, what, err);
    return st == SLUICE_AGAIN ? SLUICE_OK : st;
}
