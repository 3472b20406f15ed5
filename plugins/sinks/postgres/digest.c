/* Digests of a target table, for `sluice verify`. */
#include "pg/digest.h"

#include <stdlib.h>

#include "options.h"
#include "table.h"

static sluice_status make_from(struct sluice_sink *sink, const struct sluice_pgsink_stream *stream,
                               struct sluice_pg_text *from, struct sluice_error *err)
{
    const struct sluice_write *w = &stream->write.write;
    char *schema = NULL;
    char *name = NULL;
    SLUICE_TRY(sluice_pgsink_target_name(sink, &stream->write, &schema, &name, err));
    sluice_pg_text_ident(from, schema);
    sluice_pg_text_add(from, ".");
    sluice_pg_text_ident(from, name);
    if (w->deletes == SLUICE_DELETES_SOFT) { /* deleted as far as the source is concerned */
        sluice_pg_text_add(from, " WHERE ");
        sluice_pg_text_ident(from, w->soft_column);
        sluice_pg_text_add(from, " IS NOT TRUE");
    }
    free(schema);
    free(name);
    return sluice_pg_text_check(from, err);
}

sluice_status sluice_pgsink_digest(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                   const struct sluice_digest_ask *ask, sluice_digest_visit visit,
                                   void *vctx, struct sluice_digest_info *info,
                                   struct sluice_error *err)
{
    const struct sluice_stream_begin begin = {
        .struct_size = sizeof begin, .desc = ask->desc, .write = ask->write};
    struct sluice_pgsink_stream *stream = NULL;
    struct sluice_pg_conn *conn = NULL;
    struct sluice_pg_text from = {0};
    struct sluice_pg_text position = {0};
    if (ask->write != NULL && ask->write->mode == SLUICE_WRITE_HISTORY) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "stream %s is written as a history, which has no row for a row of "
                                "the source",
                                ask->desc->name);
    }
    SLUICE_TRY(sluice_pgsink_plan(sink, plan, err));
    SLUICE_TRY(sluice_pgsink_stream_make(&begin, &stream, err));
    sluice_status status = make_from(sink, stream, &from, err);
    if (status >= 0) {
        status =
            sluice_pg_connect(&sink->options.settings, sink->host, sink->registry, 0, &conn, err);
    }
    if (status >= 0 && plan->mode != SLUICE_MODE_FULL_LOAD_ONLY) {
        sluice_pg_text_format(&position,
                              "SELECT pg_catalog.encode(position, 'hex') FROM %s.lanes WHERE run "
                              "IS NULL AND position IS NOT NULL AND pipeline = ",
                              sink->state);
        sluice_pg_text_literal(&position, sink->pipeline);
        sluice_pg_text_add(&position, " AND sink = ");
        sluice_pg_text_literal(&position, sink->node);
        sluice_pg_text_add(&position, " ORDER BY position DESC LIMIT 1");
        status = sluice_pg_text_check(&position, err);
    }
    if (status >= 0) {
        status = sluice_pg_digest(conn, from.data, position.data, ask, visit, vctx, info,
                                  sink->digest_position, err);
    }
    sluice_pg_close(conn);
    sluice_pg_text_free(&from);
    sluice_pg_text_free(&position);
    sluice_pgsink_stream_free(stream);
    return status < 0 ? sluice_pgsink_hint(sink, err, status) : SLUICE_OK;
}
