/* Tables that are set aside, and counts of refused rows: what report() tells. */
#include <stdlib.h>
#include <string.h>

#include "reject.h"
#include "sluice/log.h"

/* With the mutex. NULL = out of memory. */
static struct sluice_pgsink_tally *tally_of(struct sluice_sink *sink, const char *stream, int make)
{
    struct sluice_pgsink_tally *tally = sink->tallies;
    while (tally != NULL && strcmp(tally->stream, stream) != 0) {
        tally = tally->next;
    }
    if (tally == NULL && make) {
        tally = calloc(1, sizeof *tally);
        if (tally != NULL) {
            tally->stream = strdup(stream);
            if (tally->stream == NULL) {
                free(tally);
                return NULL;
            }
            tally->next = sink->tallies;
            sink->tallies = tally;
        }
    }
    return tally;
}

int sluice_pgsink_is_quarantined(struct sluice_sink *sink, const char *stream)
{
    (void)pthread_mutex_lock(&sink->mutex);
    const struct sluice_pgsink_tally *tally = tally_of(sink, stream, 0);
    int is = tally != NULL && tally->reason != NULL;
    (void)pthread_mutex_unlock(&sink->mutex);
    return is;
}

static sluice_status put(struct sluice_sink *sink, struct sluice_pg_conn *conn, const char *stream,
                         const char *reason, struct sluice_error *err)
{
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
        status = sluice_pg_query(conn, "set a table aside", sql.data, 4, params, &result, err);
    }
    PQclear(result);
    sluice_pg_text_free(&sql);
    return status;
}

void sluice_pgsink_quarantine_plan(struct sluice_sink *sink, const char *stream, const char *reason)
{
    sluice_pgsink_quarantine_settle(sink, stream, reason);
    (void)pthread_mutex_lock(&sink->mutex);
    struct sluice_pgsink_tally *tally = tally_of(sink, stream, 1);
    if (tally != NULL) {
        tally->planned = 1;
    }
    (void)pthread_mutex_unlock(&sink->mutex);
}

int sluice_pgsink_quarantine_pending(struct sluice_sink *sink)
{
    int pending = 0;
    (void)pthread_mutex_lock(&sink->mutex);
    for (const struct sluice_pgsink_tally *t = sink->tallies; t != NULL; t = t->next) {
        pending |= t->planned;
    }
    (void)pthread_mutex_unlock(&sink->mutex);
    return pending;
}

/* Tallies are never freed before destroy, and their reasons change on this thread alone while planned. */
sluice_status sluice_pgsink_quarantine_write(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                             struct sluice_error *err)
{
    (void)pthread_mutex_lock(&sink->mutex);
    struct sluice_pgsink_tally *first = sink->tallies;
    (void)pthread_mutex_unlock(&sink->mutex);
    for (struct sluice_pgsink_tally *t = first; t != NULL; t = t->next) {
        if (t->planned) {
            SLUICE_TRY(put(sink, conn, t->stream, t->reason, err));
        }
    }
    return SLUICE_OK;
}

void sluice_pgsink_quarantine_done(struct sluice_sink *sink)
{
    (void)pthread_mutex_lock(&sink->mutex);
    for (struct sluice_pgsink_tally *t = sink->tallies; t != NULL; t = t->next) {
        t->planned = 0;
    }
    (void)pthread_mutex_unlock(&sink->mutex);
}

void sluice_pgsink_quarantine_settle(struct sluice_sink *sink, const char *stream,
                                     const char *reason)
{
    char *copy = reason != NULL ? strdup(reason) : NULL;
    (void)pthread_mutex_lock(&sink->mutex);
    struct sluice_pgsink_tally *tally = tally_of(sink, stream, reason != NULL);
    if (tally != NULL) {
        free(tally->reason);
        tally->reason = copy;
        copy = NULL;
    }
    (void)pthread_mutex_unlock(&sink->mutex);
    free(copy);
}

void sluice_pgsink_refused_settle(struct sluice_sink *sink, const char *stream, uint64_t rows)
{
    (void)pthread_mutex_lock(&sink->mutex);
    struct sluice_pgsink_tally *tally = tally_of(sink, stream, 1);
    const int first = tally != NULL && tally->rejected == 0;
    if (tally != NULL) {
        tally->rejected += rows;
    }
    sink->rejected += rows;
    (void)pthread_mutex_unlock(&sink->mutex);
    if (first) { /* once: who follows for weeks is to hear of it before the summary */
        sluice_log(sink->host, SLUICE_LOG_WARN,
                   "the target refuses rows stream=%s rows=%llu kept=%d", stream,
                   (unsigned long long)rows, sink->on_row_error == SLUICE_ROWS_DLQ);
    }
}

sluice_status sluice_pgsink_report(struct sluice_sink *sink, sluice_report_visit visit, void *vctx,
                                   struct sluice_error *err)
{
    sluice_status status = SLUICE_OK;
    (void)pthread_mutex_lock(&sink->mutex);
    for (const struct sluice_pgsink_tally *t = sink->tallies; t != NULL && status == SLUICE_OK;
         t = t->next) {
        const struct sluice_sink_report report = {
            .struct_size = sizeof report,
            .flags = t->reason != NULL ? SLUICE_REPORT_QUARANTINED : 0u,
            .stream = t->stream,
            .reason = t->reason,
            .rejected = t->rejected};
        if (t->reason != NULL || t->rejected > 0) {
            status = visit(vctx, &report);
        }
    }
    (void)pthread_mutex_unlock(&sink->mutex);
    return status < 0 ? sluice_error_set(err, status, 0, "the report was not taken") : SLUICE_OK;
}
