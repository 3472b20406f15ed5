/* sluice_sink_api.describe: what plan shows of a target. */
#include <stdlib.h>
#include <string.h>

#include "ddl.h"
#include "load.h"

/* The sink's own tables may not be there yet: then nothing is known of any stream. */
static sluice_status has_state(const struct sluice_sink *sink, struct sluice_pg_conn *conn,
                               int *has, struct sluice_error *err)
{
    const char *const params[] = {sink->options.state_schema};
    PGresult *result = NULL;
    SLUICE_TRY(
        sluice_pg_query(conn, "look for the sink's own tables",
                        "SELECT count(*) FROM pg_catalog.pg_class c JOIN "
                        "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname "
                        "= $1 AND c.relname IN ('lanes', 'streams', 'letters', 'meta')",
                        1, params, &result, err));
    *has = strcmp(PQgetvalue(result, 0, 0), "4") == 0;
    PQclear(result);
    return SLUICE_OK;
}

static sluice_status tell(sluice_finding_visit visit, void *vctx, int32_t severity,
                          const char *subject, const char *what)
{
    const struct sluice_finding finding = {
        .struct_size = sizeof finding, .severity = severity, .subject = subject, .what = what};
    return visit(vctx, &finding);
}

sluice_status sluice_pgsink_describe(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                     const struct sluice_stream_begin *begin,
                                     sluice_finding_visit visit, void *vctx,
                                     struct sluice_error *err)
{
    struct sluice_pg_conn *conn = NULL;
    struct sluice_pgsink_stream *stream = NULL;
    struct sluice_pgsink_ddl ddl = {0};
    struct sluice_error why = SLUICE_ERROR_INIT;
    int has = 0;
    SLUICE_TRY(sluice_pgsink_plan(sink, plan, err));
    SLUICE_TRY(sluice_pgsink_ctl(sink, &conn, err));
    SLUICE_TRY(has_state(sink, conn, &has, err));
    SLUICE_TRY(sluice_pgsink_stream_make(begin, &stream, err));
    sink->stateless = !has;
    sluice_status status = sluice_pgsink_ddl_plan(sink, conn, stream, NULL, &ddl, &why);
    if (status < 0 && PQstatus(conn->pg) != CONNECTION_OK) {
        *err = why;
        goto out;
    }
    const char *name = begin->desc->name;
    if (status < 0 || ddl.refused != NULL) {
        status = tell(visit, vctx, SLUICE_FINDING_ERROR, name,
                      ddl.refused != NULL ? ddl.refused : why.message);
        goto out;
    }
    for (uint32_t i = 0; i < ddl.count && status >= 0; i++) {
        status = tell(visit, vctx, SLUICE_FINDING_INFO, name, ddl.statements[i]);
    }
    if (status >= 0 && ddl.primary_key != NULL) {
        status = tell(visit, vctx, SLUICE_FINDING_INFO, name, ddl.primary_key);
    }
    if (status >= 0 && (begin->flags & SLUICE_BEGIN_LOAD) != 0 && !ddl.creates) {
        struct sluice_pg_text text = {0};
        int32_t severity = SLUICE_FINDING_INFO;
        status = sluice_pgsink_load_describe(sink, conn, stream, &severity, &text, err);
        if (status >= 0 && text.size > 0) {
            status = tell(visit, vctx, severity, name, text.data);
        }
        sluice_pg_text_free(&text);
    }
out:
    sink->stateless = 0;
    sluice_pgsink_ddl_free(&ddl);
    sluice_pgsink_stream_free(stream);
    return status < 0 ? status : SLUICE_OK;
}
