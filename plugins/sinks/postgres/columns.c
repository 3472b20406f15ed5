/* What the columns of a stream were when its table was last fitted to them: by this a rename can be told
 * from a new column, and a type that changed at the source from one that a user chose here. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"

static void add_field(struct sluice_pg_text *out, struct sluice_bytes value, char end)
{
    const char *p = value.data;
    for (uint64_t i = 0; i < value.size; i++) { /* a line and its fields stay what they are */
        char c = p[i] == '\n' || p[i] == '\t' ? ' ' : p[i];
        sluice_pg_text_bytes(out, &c, 1);
    }
    sluice_pg_text_bytes(out, &end, 1);
}

sluice_status sluice_pgsink_columns_put(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                        const struct sluice_pgsink_stream *stream, int made,
                                        struct sluice_error *err)
{
    struct sluice_pg_text columns = {0};
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    for (int64_t i = 0; i < stream->desc->schema->n_children; i++) {
        const struct ArrowSchema *field = stream->desc->schema->children[i];
        add_field(&columns, sluice_schema_metadata(field, "sluice:column_id"), '\t');
        add_field(&columns, sluice_schema_metadata(field, "sluice:native_type"), '\t');
        add_field(&columns, (struct sluice_bytes){field->name, strlen(field->name)}, '\n');
    }
    sluice_pg_text_bytes(&columns, "", 0);
    sluice_pg_text_format(
        &sql,
        "INSERT INTO %s.streams AS s (pipeline, sink, stream, target, status, columns, made, seq) "
        "VALUES ($1, $2, $3, '', 'following', $4, $5::boolean, pg_catalog.nextval('%s.seq')) ON "
        "CONFLICT (pipeline, sink, stream) DO UPDATE SET columns = excluded.columns, made = s.made "
        "OR excluded.made, updated_at = pg_catalog.now()",
        sink->state, sink->state);
    sluice_status status = sluice_pg_text_check(&columns, err);
    if (status >= 0) {
        status = sluice_pg_text_check(&sql, err);
    }
    if (status >= 0) {
        const char *const params[] = {sink->pipeline, sink->node, stream->desc->name,
                                      columns.data != NULL ? columns.data : "", made ? "t" : "f"};
        status =
            sluice_pg_query(conn, "note the columns of a table", sql.data, 5, params, &result, err);
    }
    PQclear(result);
    sluice_pg_text_free(&columns);
    sluice_pg_text_free(&sql);
    return status;
}

sluice_status sluice_pgsink_columns_get(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                        const char *stream, char **out, int *made,
                                        struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    const char *const params[] = {sink->pipeline, sink->node, stream};
    *out = NULL;
    *made = 0;
    if (sink->stateless) {
        return SLUICE_OK;
    }
    sluice_pg_text_format(&sql,
                          "SELECT columns, made FROM %s.streams WHERE pipeline = $1 AND sink = $2 "
                          "AND stream = $3",
                          sink->state);
    sluice_status status = sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status =
            sluice_pg_query(conn, "read the columns of a table", sql.data, 3, params, &result, err);
    }
    if (status >= 0 && PQntuples(result) == 1) {
        *made = PQgetvalue(result, 0, 1)[0] == 't';
        if (!PQgetisnull(result, 0, 0)) {
            *out = strdup(PQgetvalue(result, 0, 0));
            status = *out != NULL ? SLUICE_OK
                                  : sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                                     "out of memory for columns");
        }
    }
    PQclear(result);
    sluice_pg_text_free(&sql);
    return status;
}
