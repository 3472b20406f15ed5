#include "pipe.h"

#include <stdlib.h>

#include "pg/error.h"

static sluice_status broken(struct sluice_pgsink_pipe *pipe, struct sluice_error *err)
{
    return sluice_pg_error_broken(err, "write changes", PQerrorMessage(pipe->conn->pg));
}

static sluice_status note(struct sluice_pgsink_pipe *pipe, int64_t tag, struct sluice_error *err)
{
    if (pipe->count == pipe->cap) {
        size_t cap = pipe->cap < 64 ? 64 : pipe->cap * 2;
        int64_t *grown = realloc(pipe->tags, cap * sizeof *grown);
        if (grown == NULL) {
            return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                    "out of memory for statements");
        }
        pipe->tags = grown;
        pipe->cap = cap;
    }
    pipe->tags[pipe->count++] = tag;
    return SLUICE_OK;
}

sluice_status sluice_pgsink_pipe_begin(struct sluice_pgsink_pipe *pipe, struct sluice_pg_conn *conn,
                                       struct sluice_error *err)
{
    pipe->conn = conn;
    pipe->count = 0;
    pipe->failed = SLUICE_PGSINK_TAG_OTHER;
    pipe->sent_commit = 0;
    if (PQenterPipelineMode(conn->pg) == 0) {
        return broken(pipe, err);
    }
    atomic_store(&conn->busy, 1);
    return SLUICE_OK;
}

/* Nothing is forced out for each statement: libpq sends when its buffer is full, and pipe_end the rest. What
 * the server answers meanwhile must be taken, though, or both would wait for each other. */
static sluice_status push(struct sluice_pgsink_pipe *pipe, struct sluice_error *err)
{
    return pipe->count % 64 == 0 ? sluice_pg_flush(pipe->conn, "write changes", err) : SLUICE_OK;
}

sluice_status sluice_pgsink_pipe_prepare(struct sluice_pgsink_pipe *pipe, const char *name,
                                         const char *sql, int count, const Oid *types,
                                         struct sluice_error *err)
{
    SLUICE_TRY(note(pipe, SLUICE_PGSINK_TAG_OTHER, err));
    if (PQsendPrepare(pipe->conn->pg, name, sql, count, types) == 0) {
        return broken(pipe, err);
    }
    return push(pipe, err);
}

sluice_status sluice_pgsink_pipe_run(struct sluice_pgsink_pipe *pipe, const char *name, int count,
                                     const char *const *values, const int *sizes,
                                     const int *formats, int64_t tag, struct sluice_error *err)
{
    SLUICE_TRY(note(pipe, tag, err));
    if (PQsendQueryPrepared(pipe->conn->pg, name, count, values, sizes, formats, 0) == 0) {
        return broken(pipe, err);
    }
    return push(pipe, err);
}

sluice_status sluice_pgsink_pipe_text(struct sluice_pgsink_pipe *pipe, const char *sql, int count,
                                      const char *const *values, int64_t tag,
                                      struct sluice_error *err)
{
    SLUICE_TRY(note(pipe, tag, err));
    pipe->sent_commit |= tag == SLUICE_PGSINK_TAG_COMMIT;
    if (PQsendQueryParams(pipe->conn->pg, sql, count, NULL, values, NULL, NULL, 0) == 0) {
        return broken(pipe, err);
    }
    return push(pipe, err);
}

/* Takes the answers up to the sync. */
static sluice_status collect(struct sluice_pgsink_pipe *pipe, const char *what,
                             struct sluice_error *err)
{
    PGconn *pg = pipe->conn->pg;
    sluice_status status = SLUICE_OK;
    size_t at = 0;
    for (;;) {
        while (PQisBusy(pg)) {
            sluice_status read = sluice_pg_read(pipe->conn, what, 60 * 1000000ll, err);
            if (read < 0) {
                return read;
            }
        }
        PGresult *result = PQgetResult(pg);
        if (result == NULL) {
            at++; /* the statement's answer is over */
            if (at > pipe->count + 1) {
                return broken(pipe, err);
            }
            continue;
        }
        ExecStatusType kind = PQresultStatus(result);
        if (kind == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            return status;
        }
        if (kind == PGRES_FATAL_ERROR && status >= 0) {
            status = sluice_pg_error_result(err, result, what);
            pipe->failed = at < pipe->count ? pipe->tags[at] : SLUICE_PGSINK_TAG_OTHER;
        }
        PQclear(result);
        if (PQstatus(pg) != CONNECTION_OK) {
            return status < 0 ? status : broken(pipe, err);
        }
    }
}

sluice_status sluice_pgsink_pipe_end(struct sluice_pgsink_pipe *pipe, const char *what,
                                     struct sluice_error *err)
{
    if (PQpipelineSync(pipe->conn->pg) == 0) {
        return broken(pipe, err);
    }
    SLUICE_TRY(sluice_pg_flush(pipe->conn, what, err));
    sluice_status status = collect(pipe, what, err);
    if (PQstatus(pipe->conn->pg) == CONNECTION_OK && PQexitPipelineMode(pipe->conn->pg) == 0 &&
        status >= 0) {
        status = broken(pipe, err);
    }
    atomic_store(&pipe->conn->busy, 0);
    return status;
}

void sluice_pgsink_pipe_free(struct sluice_pgsink_pipe *pipe)
{
    free(pipe->tags);
    *pipe = (struct sluice_pgsink_pipe){0};
}
