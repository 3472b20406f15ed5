/* Digests of a target table, for `sluice verify`. */
#include "tds/digest.h"

#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "state.h"

static sluice_status make_from(const struct mssink_stream *stream, struct mssink_text *from,
                               struct sluice_error *err)
{
    const struct sluice_write *w = &stream->write.write;
    mssink_text_table(from, stream->schema, stream->name);
    if (w->deletes == SLUICE_DELETES_SOFT) { /* deleted as far as the source is concerned */
        mssink_text_add(from, " WHERE COALESCE(");
        mssink_text_ident(from, w->soft_column);
        mssink_text_add(from, ", 0) = 0");
    }
    return mssink_text_check(from, err);
}

static sluice_status is_snapshot_allowed(struct sluice_tds_conn *conn, int32_t *out,
                                         struct sluice_error *err)
{
    char *state = NULL;
    struct mssink_text t = {0};
    mssink_text_add(&t, "SELECT CAST(snapshot_isolation_state AS int) FROM sys.databases WHERE "
                        "name = DB_NAME()");
    SLUICE_TRY(mssink_value(conn, "ask for the database's isolation", &t, &state, err));
    *out = state != NULL && strcmp(state, "1") == 0;
    free(state);
    return SLUICE_OK;
}

static struct sluice_tds_column *copy_columns(const struct mssink_seen *seen)
{
    struct sluice_tds_column *out = calloc(seen->count + 1u, sizeof *out);
    for (uint32_t i = 0; out != NULL && i < seen->count; i++) {
        const struct mssink_seen_column *c = &seen->columns[i];
        out[i] = (struct sluice_tds_column){.max_length = c->type.max_length,
                                            .precision = c->type.precision,
                                            .scale = c->type.scale,
                                            .nullable = c->nullable,
                                            .identity = c->identity,
                                            .computed = c->computed};
        memcpy(out[i].name, c->name, sizeof out[i].name);
        memcpy(out[i].type, c->type_name, sizeof out[i].type);
    }
    return out;
}

static sluice_status digest_table(struct sluice_tds_conn *conn, const struct mssink_stream *stream,
                                  const struct sluice_digest_ask *ask, sluice_digest_visit visit,
                                  void *vctx, struct sluice_digest_info *info,
                                  struct sluice_error *err)
{
    struct mssink_seen seen = {0};
    struct mssink_text from = {0};
    struct sluice_tds_column *columns = NULL;
    struct sluice_tds_digest_from what = {0};
    sluice_status status = mssink_seen_read(conn, stream->schema, stream->name, &seen, err);
    if (status >= 0 && seen.object_id == 0) {
        status = sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "table %s.%s is not there",
                                  stream->schema, stream->name);
    }
    if (status >= 0) {
        columns = copy_columns(&seen);
        status = columns != NULL
                     ? make_from(stream, &from, err)
                     : sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
    }
    if (status >= 0) {
        status = is_snapshot_allowed(conn, &what.snapshot, err);
    }
    if (status >= 0) {
        what.text = from.data;
        what.columns = columns;
        what.count = seen.count;
        status = sluice_tds_digest(conn, &what, ask, visit, vctx, info, err);
    }
    free(columns);
    mssink_text_free(&from);
    mssink_seen_free(&seen);
    return status < 0 ? status : SLUICE_OK;
}

sluice_status mssink_digest(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                            const struct sluice_digest_ask *ask, sluice_digest_visit visit,
                            void *vctx, struct sluice_digest_info *info, struct sluice_error *err)
{
    const struct sluice_stream_begin begin = {
        .struct_size = sizeof begin, .desc = ask->desc, .write = ask->write};
    struct mssink_stream *stream = NULL;
    struct sluice_tds_conn *conn = NULL;
    info->rows = 0;
    info->position = (struct sluice_bytes){NULL, 0};
    if (ask->write != NULL && ask->write->mode == SLUICE_WRITE_HISTORY) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "stream %s is written as a history, which has no row for a row of "
                                "the source",
                                ask->desc->name);
    }
    SLUICE_TRY(mssink_plan(sink, plan, err));
    SLUICE_TRY(mssink_stream_make(sink, &begin, &stream, err));
    sluice_status status = mssink_ctl(sink, &conn, err);
    if (status >= 0 && plan->mode != SLUICE_MODE_FULL_LOAD_ONLY) {
        /* Before the rows, which then have at least what it says. */
        status = mssink_position_get(sink, conn, sink->digest_position, &info->position, err);
    }
    if (status >= 0) {
        status = digest_table(conn, stream, ask, visit, vctx, info, err);
    }
    mssink_ctl_drop(sink); /* whatever it was left in */
    mssink_stream_free(stream);
    return status;
}
