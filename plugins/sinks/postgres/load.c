/* The beginning of a load: where its rows go. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ddl.h"
#include "load_internal.h"
#include "sluice/log.h"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a load");
}

/* One value of a query of one row; 0 rows: "". Owned. */
sluice_status sluice_pgsink_value(struct sluice_pg_conn *conn, const char *what, const char *sql,
                                  int count, const char *const *params, char **out,
                                  struct sluice_error *err)
{
    PGresult *result = NULL;
    *out = NULL;
    SLUICE_TRY(sluice_pg_query(conn, what, sql, count, params, &result, err));
    *out = strdup(PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return *out != NULL ? SLUICE_OK : nomem(err);
}

static sluice_status has_rows(struct sluice_pg_conn *conn, const char *quoted, int *has,
                              struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    char *value = NULL;
    sluice_pg_text_format(&sql, "SELECT EXISTS (SELECT FROM %s)", quoted);
    sluice_status status = sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status = sluice_pgsink_value(conn, "look whether the target table is empty", sql.data, 0,
                                     NULL, &value, err);
    }
    *has = status >= 0 && value[0] == 't';
    free(value);
    sluice_pg_text_free(&sql);
    return status;
}

static sluice_status quoted_name(const char *schema, const char *name, char **out,
                                 struct sluice_error *err)
{
    struct sluice_pg_text text = {0};
    sluice_pg_text_ident(&text, schema);
    sluice_pg_text_add(&text, ".");
    sluice_pg_text_ident(&text, name);
    *out = sluice_pg_text_take(&text);
    return *out != NULL ? SLUICE_OK : nomem(err);
}

/* A name beside the target that only this stream of this pipeline uses. */
static char *shadow_name(const struct sluice_sink *sink, const char *stream, const char *name)
{
    struct sluice_pg_text key = {0};
    char *out = NULL;
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    sluice_pg_text_format(&key, "%.40s_load_of_%s_%s_%s_for_a_hash_that_is_certain_to_be_long",
                          name, sink->pipeline, sink->node, stream);
    if (!key.failed && sluice_pgsink_name_fit("the shadow", key.data, 1, &out, &ignored) < 0) {
        out = NULL;
    }
    sluice_pg_text_free(&key);
    return out;
}

/* ---- what becomes of the rows that are there ---- */

static int64_t existing_policy(const struct sluice_sink *sink, const struct sluice_write *w)
{
    if (sink->options.existing != SLUICE_PGSINK_EXISTING_AUTO) {
        return sink->options.existing;
    }
    switch (w->mode) {
    case SLUICE_WRITE_REPLACE:
        return SLUICE_PGSINK_EXISTING_REPLACE;
    case SLUICE_WRITE_APPEND:
    case SLUICE_WRITE_HISTORY:
        return SLUICE_PGSINK_EXISTING_APPEND;
    default:
        return (w->flags & SLUICE_WRITE_MERGE) != 0 ? w->key_count > 0
                                                          ? SLUICE_PGSINK_EXISTING_UPSERT
                                                          : SLUICE_PGSINK_EXISTING_APPEND
                                                    : SLUICE_PGSINK_EXISTING_REFUSE;
    }
}

/* Decides how the load gets into a table that is there. `truncate`: it is emptied now. */
struct decision {
    int publish;
    int truncate;
    int refused;
};

static void decide(const struct sluice_sink *sink, const struct sluice_pgsink_stream *stream,
                   const struct sluice_pgsink_known *known, const char *quoted, int rows,
                   struct decision *out)
{
    const struct sluice_write *w = &stream->write.write;
    const int merge = (w->flags & SLUICE_WRITE_MERGE) != 0;
    const int adds = w->mode == SLUICE_WRITE_APPEND || w->mode == SLUICE_WRITE_HISTORY;
    const int loaded = known->found && known->run[0] != '\0';
    const int direct =
        loaded && strcmp(known->status, "loading") == 0 && strcmp(known->target, quoted) == 0;
    *out = (struct decision){.publish = SLUICE_PGSINK_PUBLISH_DIRECT};
    if (merge) { /* others write there, too: only what is ours may be touched */
        out->publish =
            w->key_count > 0 ? SLUICE_PGSINK_PUBLISH_UPSERT : SLUICE_PGSINK_PUBLISH_APPEND;
        return;
    }
    if (!rows) {
        return;
    }
    if (direct) { /* an abandoned load of ours wrote into it while it was empty */
        out->truncate = 1;
        return;
    }
    if (loaded && !adds && sink->options.existing == SLUICE_PGSINK_EXISTING_AUTO) {
        out->publish = SLUICE_PGSINK_PUBLISH_REPLACE; /* all its rows are ours */
        return;
    }
    switch (existing_policy(sink, w)) {
    case SLUICE_PGSINK_EXISTING_TRUNCATE:
        out->truncate = 1;
        return;
    case SLUICE_PGSINK_EXISTING_REPLACE:
        out->publish = SLUICE_PGSINK_PUBLISH_REPLACE;
        return;
    case SLUICE_PGSINK_EXISTING_APPEND:
        out->publish = SLUICE_PGSINK_PUBLISH_APPEND;
        return;
    case SLUICE_PGSINK_EXISTING_UPSERT:
        out->publish =
            w->key_count > 0 ? SLUICE_PGSINK_PUBLISH_UPSERT : SLUICE_PGSINK_PUBLISH_APPEND;
        return;
    default:
        out->refused = 1;
        return;
    }
}

static sluice_status refuse_rows(struct sluice_pg_conn *conn, const char *quoted,
                                 struct sluice_error *err)
{
    char *estimate = NULL;
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    const char *const params[] = {quoted};
    if (sluice_pgsink_value(
            conn, "estimate the rows of the target table",
            "SELECT CASE WHEN reltuples > 0 THEN pg_catalog.format(' (about %s rows)',"
            " reltuples::bigint) ELSE '' END FROM pg_catalog.pg_class WHERE oid = "
            "$1::regclass",
            1, params, &estimate, &ignored) < 0) {
        estimate = NULL;
    }
    sluice_status status = sluice_error_set(
        err, SLUICE_E_INVALID, 0,
        "%s is not empty%s, and this pipeline did not bring its rows (hint: load_into: truncate "
        "empties it first; replace keeps the rows until the load is whole; append and upsert keep "
        "them)",
        quoted, estimate != NULL ? estimate : "");
    free(estimate);
    return status;
}

/* ---- beginning ---- */

static sluice_status make_shadow(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                 struct sluice_pgsink_stream *stream, const char *schema,
                                 const char *name, const char *quoted, struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    int swaps = 0;
    stream->shadow = shadow_name(sink, stream->desc->name, name);
    if (stream->shadow == NULL) {
        return nomem(err);
    }
    if (stream->publish == SLUICE_PGSINK_PUBLISH_REPLACE) {
        SLUICE_TRY(sluice_pgsink_swap_possible(conn, quoted, &swaps, err));
    }
    sluice_pg_text_add(&sql, "DROP TABLE IF EXISTS ");
    sluice_pg_text_ident(&sql, schema);
    sluice_pg_text_add(&sql, ".");
    sluice_pg_text_ident(&sql, stream->shadow);
    sluice_pg_text_format(&sql, "; CREATE %sTABLE ", swaps ? "" : "UNLOGGED ");
    sluice_pg_text_ident(&sql, schema);
    sluice_pg_text_add(&sql, ".");
    sluice_pg_text_ident(&sql, stream->shadow);
    sluice_pg_text_format(&sql, " (LIKE %s INCLUDING %s)", quoted,
                          swaps ? "ALL" : "DEFAULTS INCLUDING GENERATED");
    return sluice_pgsink_run_text(conn, "make a table for the load", &sql, err);
}

static sluice_status needs_primary_key(struct sluice_pg_conn *conn, const char *quoted, int *needs,
                                       struct sluice_error *err)
{
    char *value = NULL;
    const char *const params[] = {quoted};
    SLUICE_TRY(
        sluice_pgsink_value(conn, "look for the primary key",
                            "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_index WHERE indrelid "
                            "= $1::regclass AND indisprimary)",
                            1, params, &value, err));
    *needs = value[0] == 't';
    free(value);
    return SLUICE_OK;
}

/* Within a transaction. */
static sluice_status begin_table(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                 struct sluice_pgsink_stream *stream, const char *schema,
                                 const char *name, const char *quoted, struct sluice_error *err)
{
    struct sluice_pgsink_known known = {0};
    struct sluice_pgsink_ddl ddl = {0};
    struct decision decision = {0};
    struct sluice_pg_text sql = {0};
    int rows = 0;
    int needs = 0;
    sluice_status status = sluice_pgsink_known_get(sink, conn, stream->desc->name, &known, err);
    if (status >= 0) {
        status = sluice_pgsink_ddl_plan(sink, conn, stream, NULL, &ddl, err);
    }
    if (status >= 0 && ddl.refused != NULL) {
        status = sluice_error_set(err, SLUICE_E_SCHEMA, 0, "%s", ddl.refused);
    }
    if (status >= 0) {
        status = sluice_pgsink_ddl_run(sink, conn, &ddl, stream->desc->name, err);
    }
    if (status >= 0 && !ddl.creates) {
        status = has_rows(conn, quoted, &rows, err);
        decide(sink, stream, &known, quoted, rows, &decision);
        if (status >= 0 && decision.refused) {
            status = refuse_rows(conn, quoted, err);
        }
    }
    if (status >= 0 && decision.truncate) {
        sluice_pg_text_format(&sql, "TRUNCATE %s", quoted);
        status = sluice_pgsink_run_text(conn, "empty the target table", &sql, err);
    }
    stream->publish = decision.publish;
    if (status >= 0 && decision.publish != SLUICE_PGSINK_PUBLISH_DIRECT) {
        status = make_shadow(sink, conn, stream, schema, name, quoted, err);
    }
    const int made = ddl.creates || known.made;
    if (status >= 0 && made && stream->write.write.key_count > 0) {
        status = needs_primary_key(conn, quoted, &needs, err);
    }
    if (status >= 0 && needs) {
        status = sluice_pgsink_ddl_primary_key(stream, quoted, &stream->primary_key, err);
    }
    /* Of several streams into one table, whoever is whole first finds rows by the key. */
    const int merge = (stream->write.write.flags & SLUICE_WRITE_MERGE) != 0;
    if (status >= 0 && needs && (merge || sink->options.indexes == SLUICE_PGSINK_INDEXES_BEFORE)) {
        status = sluice_pgsink_long(conn, "add the primary key", stream->primary_key, err);
        free(stream->primary_key);
        stream->primary_key = NULL;
    }
    if (status >= 0 && ddl.creates && sink->options.unlogged) {
        sluice_pg_text_format(&sql, "ALTER TABLE %s SET UNLOGGED", quoted);
        status = sluice_pgsink_run_text(conn, "set the table unlogged", &sql, err);
    }
    if (status >= 0) {
        char *into = NULL;
        status = quoted_name(schema, stream->shadow != NULL ? stream->shadow : name, &into, err);
        if (status >= 0) {
            status = sluice_pgsink_loading_put(sink, conn, stream->desc->name, into, stream->run,
                                               ddl.creates, err);
        }
        free(into);
    }
    if (status >= 0) {
        status = sluice_pgsink_columns_put(sink, conn, stream, ddl.creates, err);
    }
    sluice_pgsink_ddl_free(&ddl);
    sluice_pgsink_known_free(&known);
    return status;
}

sluice_status sluice_pgsink_load_begin(struct sluice_sink *sink,
                                       struct sluice_pgsink_stream *stream,
                                       struct sluice_error *err)
{
    struct sluice_pg_conn *conn = NULL;
    char *schema = NULL;
    char *name = NULL;
    char *quoted = NULL;
    SLUICE_TRY(sluice_pgsink_ctl(sink, &conn, err));
    SLUICE_TRY(sluice_pgsink_target_name(sink, &stream->write, &schema, &name, err));
    sluice_status status = quoted_name(schema, name, &quoted, err);
    if (status >= 0) {
        status = sluice_pg_command(conn, "begin", "BEGIN", err);
    }
    if (status >= 0) {
        status = begin_table(sink, conn, stream, schema, name, quoted, err);
    }
    if (status >= 0) {
        status = sluice_pgsink_table_open(sink, conn, stream, schema,
                                          stream->shadow != NULL ? stream->shadow : name,
                                          &stream->table, err);
    }
    if (status >= 0) {
        status = sluice_pg_command(conn, "commit", "COMMIT", err);
    }
    else {
        sluice_pgsink_rollback(conn);
    }
    if (status >= 0) {
        sluice_apply_aside(&sink->tallies, stream->desc->name, NULL);
        stream->loading = 1;
        stream->run_table = 1;
    }
    free(schema);
    free(name);
    free(quoted);
    return status < 0 ? sluice_pgsink_hint(sink, err, status) : SLUICE_OK;
}

sluice_status sluice_pgsink_load_describe(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                          const struct sluice_pgsink_stream *stream,
                                          int32_t *severity, struct sluice_pg_text *out,
                                          struct sluice_error *err)
{
    struct sluice_pgsink_known known = {0};
    struct decision decision = {0};
    struct sluice_error why = SLUICE_ERROR_INIT;
    char *schema = NULL;
    char *name = NULL;
    char *quoted = NULL;
    int rows = 0;
    SLUICE_TRY(sluice_pgsink_target_name(sink, &stream->write, &schema, &name, err));
    sluice_status status = quoted_name(schema, name, &quoted, err);
    if (status >= 0) {
        status = sluice_pgsink_known_get(sink, conn, stream->desc->name, &known, err);
    }
    if (status >= 0) {
        status = has_rows(conn, quoted, &rows, err);
        decide(sink, stream, &known, quoted, rows, &decision);
    }
    if (status >= 0 && decision.refused && refuse_rows(conn, quoted, &why) < 0) {
        *severity = SLUICE_FINDING_ERROR;
        sluice_pg_text_add(out, why.message);
    }
    else if (status >= 0 && decision.truncate) {
        sluice_pg_text_format(out, "TRUNCATE %s", quoted);
    }
    else if (status >= 0 && decision.publish == SLUICE_PGSINK_PUBLISH_REPLACE) {
        sluice_pg_text_format(out, "-- the load takes the place of all rows of %s once it is whole",
                              quoted);
    }
    else if (status >= 0 && rows) {
        sluice_pg_text_format(out, "-- the load is %s the rows of %s once it is whole",
                              decision.publish == SLUICE_PGSINK_PUBLISH_UPSERT ? "put by key into"
                                                                               : "added to",
                              quoted);
    }
    sluice_pgsink_known_free(&known);
    free(schema);
    free(name);
    free(quoted);
    return status;
}
