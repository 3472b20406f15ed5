/* Tables that are set aside, written down. */
#include "reject.h"
#include "sluice/log.h"

struct place {
    struct sluice_sink *sink;
    struct sluice_pg_conn *conn;
};

static sluice_status put(void *ctx, const char *stream, const char *reason,
                         struct sluice_error *err)
{
    const struct place *at = ctx;
    const struct sluice_sink *sink = at->sink;
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    const char *const params[] = {sink->pipeline, sink->node, stream, reason};
    sluice_pg_text_format(
        &sql,
        "INSERT INTO %s.streams AS s (pipeline, sink, stream, target, status, reason, made, seq) "
        "VALUES ($1, $2, $3, '', 'quarantined', $4, false, pg_catalog.nextval('%s.seq')) ON "
        "CONFLICT (pipeline, sink, stream) DO UPDATE SET status = 'quarantined', reason = "
        "excluded.reason, updated_at = pg_catalog.now()",
        sink->state, sink->state);
    sluice_status status = sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status = sluice_pg_query(at->conn, "set a table aside", sql.data, 4, params, &result, err);
    }
    PQclear(result);
    sluice_pg_text_free(&sql);
    return status;
}

sluice_status sluice_pgsink_quarantine_write(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                             struct sluice_error *err)
{
    struct place at = {sink, conn};
    return sluice_apply_aside_each(&sink->tallies, put, &at, err);
}

void sluice_pgsink_refused_settle(struct sluice_sink *sink, const char *stream, uint64_t rows)
{
    if (sluice_apply_refused(&sink->tallies, stream, rows)) {
        /* once: who follows for weeks is to hear of it before the summary */
        sluice_log(sink->host, SLUICE_LOG_WARN,
                   "the target refuses rows stream=%s rows=%llu kept=%d", stream,
                   (unsigned long long)rows, sink->tallies.on_row_error == SLUICE_ROWS_DLQ);
    }
}

sluice_status sluice_pgsink_report(struct sluice_sink *sink, sluice_report_visit visit, void *vctx,
                                   struct sluice_error *err)
{
    return sluice_apply_report(&sink->tallies, visit, vctx, err);
}
