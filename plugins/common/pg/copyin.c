/* COPY … FROM STDIN: begun, fed, ended, without blocking. */
#include "pg/copyin.h"

#include <stdlib.h>

#include "pg/conn_internal.h"
#include "pg/error.h"

/* Waits for the next result; NULL = the command is over. */
static sluice_status next_result(struct sluice_pg_conn *conn, const char *what, PGresult **out,
                                 struct sluice_error *err)
{
    while (PQisBusy(conn->pg)) {
        SLUICE_TRY(sluice_pg_read(conn, what, 60 * 1000000ll, err));
    }
    *out = PQgetResult(conn->pg);
    return SLUICE_OK;
}

/* Takes all results; the first error counts. */
static sluice_status end_results(struct sluice_pg_conn *conn, const char *what, uint64_t *rows,
                                 struct sluice_error *err)
{
    sluice_status status = SLUICE_OK;
    for (;;) {
        PGresult *result = NULL;
        SLUICE_TRY(next_result(conn, what, &result, err));
        if (result == NULL) {
            break;
        }
        ExecStatusType kind = PQresultStatus(result);
        if (status >= 0 && kind == PGRES_COMMAND_OK && rows != NULL) {
            *rows = strtoull(PQcmdTuples(result), NULL, 10);
        }
        else if (status >= 0 && kind != PGRES_COMMAND_OK) {
            status = sluice_pg_error_result(err, result, what);
        }
        PQclear(result);
        if (kind == PGRES_COPY_IN || PQstatus(conn->pg) != CONNECTION_OK) {
            break;
        }
    }
    atomic_store(&conn->busy, 0);
    return status;
}

sluice_status sluice_pg_copyin_begin(struct sluice_pg_conn *conn, const char *what, const char *sql,
                                     struct sluice_error *err)
{
    PGresult *result = NULL;
    SLUICE_TRY(sluice_pg_send(conn, what, sql, 0, NULL, err));
    SLUICE_TRY(next_result(conn, what, &result, err));
    if (result == NULL) {
        atomic_store(&conn->busy, 0);
        return sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
    }
    if (PQresultStatus(result) == PGRES_COPY_IN) {
        PQclear(result);
        return SLUICE_OK;
    }
    sluice_status status = sluice_pg_error_result(err, result, what);
    PQclear(result);
    struct sluice_error rest = SLUICE_ERROR_INIT;
    return end_results(conn, what, NULL, &rest) < 0 && status >= 0 ? rest.status : status;
}

sluice_status sluice_pg_copyin_put(struct sluice_pg_conn *conn, const char *what, const void *data,
                                   size_t size, struct sluice_error *err)
{
    enum { PIECE = 256 * 1024 };
    const char *p = data;
    while (size > 0) {
        int n = size > PIECE ? PIECE : (int)size;
        int rc = PQputCopyData(conn->pg, p, n);
        if (rc < 0) {
            return sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
        }
        if (rc > 0) {
            p += n;
            size -= (size_t)n;
        }
        /* What libpq holds back must not grow without bound. */
        SLUICE_TRY(sluice_pg_flush(conn, what, err));
    }
    return SLUICE_OK;
}

sluice_status sluice_pg_copyin_end(struct sluice_pg_conn *conn, const char *what, uint64_t *rows,
                                   struct sluice_error *err)
{
    if (PQputCopyEnd(conn->pg, NULL) < 0) {
        return sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
    }
    SLUICE_TRY(sluice_pg_flush(conn, what, err));
    return end_results(conn, what, rows, err);
}

void sluice_pg_copyin_fail(struct sluice_pg_conn *conn)
{
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    if (PQstatus(conn->pg) != CONNECTION_OK || PQputCopyEnd(conn->pg, "given up") < 0 ||
        sluice_pg_flush(conn, "end a COPY", &ignored) < 0) {
        return; /* closing the connection ends it */
    }
    if (end_results(conn, "end a COPY", NULL, &ignored) < 0) {
        return; /* that is the answer */
    }
}
