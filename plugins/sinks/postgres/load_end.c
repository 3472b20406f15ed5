/* The end of a load: published, keyed, noted, in one transaction. */
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "load_internal.h"

/* INSERT INTO target (…) SELECT … FROM shadow, by key or not. */
static sluice_status add_rows(struct sluice_pg_conn *conn,
                              const struct sluice_pgsink_stream *stream, const char *target,
                              int upsert, struct sluice_error *err)
{
    const struct sluice_pgsink_table *t = stream->table; /* of the shadow: the same columns */
    struct sluice_pg_text sql = {0};
    sluice_pg_text_format(&sql, "INSERT INTO %s (", target);
    sluice_pgsink_table_list(t, NULL, "", &sql);
    sluice_pg_text_format(&sql, ") %sSELECT ", t->overriding ? "OVERRIDING SYSTEM VALUE " : "");
    sluice_pgsink_table_list(t, NULL, "", &sql);
    sluice_pg_text_format(&sql, " FROM %s", t->quoted);
    if (upsert) {
        int sets = 0;
        sluice_pg_text_add(&sql, " ON CONFLICT (");
        for (uint32_t k = 0; k < t->key_count; k++) {
            sluice_pg_text_format(&sql, "%s%s", k > 0 ? ", " : "", t->columns[t->keys[k]].quoted);
        }
        sluice_pg_text_add(&sql, ") DO ");
        for (uint32_t i = 0; i < t->column_count; i++) {
            if (!t->columns[i].key) {
                sluice_pg_text_format(&sql, "%s%s = excluded.%s", sets++ > 0 ? ", " : "UPDATE SET ",
                                      t->columns[i].quoted, t->columns[i].quoted);
            }
        }
        sluice_pg_text_add(&sql, sets == 0 ? "NOTHING" : "");
    }
    return sluice_pgsink_run_text(conn, "add the load to the table", &sql, err);
}

static sluice_status publish(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                             const struct sluice_pgsink_stream *stream, const char *schema,
                             const char *name, const char *target, struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    int swaps = 0;
    if (stream->shadow == NULL) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_failpoint_hit(sink->failpoints, "pgsink.before_swap", err));
    if (stream->publish == SLUICE_PGSINK_PUBLISH_REPLACE) {
        SLUICE_TRY(sluice_pgsink_swap_possible(conn, target, &swaps, err));
        if (swaps) {
            return sluice_pgsink_swap(conn, schema, name, stream->shadow, err);
        }
        /* Whoever reads it sees all of the old rows, then all of the new. */
        sluice_pg_text_format(&sql, "DELETE FROM %s", target);
        SLUICE_TRY(sluice_pgsink_run_text(conn, "remove the old rows", &sql, err));
    }
    SLUICE_TRY(
        add_rows(conn, stream, target, stream->publish == SLUICE_PGSINK_PUBLISH_UPSERT, err));
    sluice_pg_text_format(&sql, "DROP TABLE %s", stream->table->quoted);
    return sluice_pgsink_run_text(conn, "drop the table of the load", &sql, err);
}

/* Sequences of the table go on behind the greatest value that is there. */
static sluice_status set_sequences(struct sluice_pg_conn *conn, const char *target,
                                   struct sluice_error *err)
{
    const char *const params[] = {target};
    char *statements = NULL;
    sluice_status status = sluice_pgsink_value(
        conn, "look for sequences of the table",
        "SELECT pg_catalog.string_agg(pg_catalog.format('SELECT pg_catalog.setval(%L::regclass, m) "
        "FROM (SELECT max(%I)::bigint m FROM %s) s WHERE m IS NOT NULL AND m >= (SELECT seqmin "
        "FROM "
        "pg_catalog.pg_sequence WHERE seqrelid = %L::regclass)', q.s, q.c, $1, q.s), '; ') FROM "
        "(SELECT a.attname c, pg_catalog.pg_get_serial_sequence($1, a.attname) s FROM "
        "pg_catalog.pg_attribute a WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT "
        "a.attisdropped AND (a.attidentity <> '' OR a.atthasdef) AND a.attgenerated = '') q WHERE "
        "q.s "
        "IS NOT NULL",
        1, params, &statements, err);
    if (status >= 0 && statements[0] != '\0') {
        status = sluice_pgsink_long(conn, "set the table's sequences", statements, err);
    }
    free(statements);
    return status;
}

static sluice_status finish(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                            const struct sluice_pgsink_stream *stream, const char *schema,
                            const char *name, const char *target,
                            const struct sluice_stream_end *end, struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    char *lacks = NULL;
    const char *const params[] = {target};
    SLUICE_TRY(publish(sink, conn, stream, schema, name, target, err));
    if (stream->primary_key != NULL) { /* it may be there: a reply that was lost */
        SLUICE_TRY(sluice_pgsink_value(conn, "look for the primary key",
                                       "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_index WHERE "
                                       "indrelid = $1::regclass AND indisprimary)",
                                       1, params, &lacks, err));
        int needs = lacks[0] == 't';
        free(lacks);
        if (needs) {
            SLUICE_TRY(sluice_pgsink_long(conn, "add the primary key", stream->primary_key, err));
        }
    }
    if (sink->options.unlogged) {
        SLUICE_TRY(
            sluice_pgsink_value(conn, "look whether the table is logged",
                                "SELECT relpersistence = 'u' FROM pg_catalog.pg_class WHERE oid "
                                "= $1::regclass",
                                1, params, &lacks, err));
        int unlogged = lacks[0] == 't';
        free(lacks);
        if (unlogged) {
            sluice_pg_text_format(&sql, "ALTER TABLE %s SET LOGGED", target);
            SLUICE_TRY(sluice_pgsink_run_text(conn, "set the table logged", &sql, err));
        }
    }
    SLUICE_TRY(set_sequences(conn, target, err));
    return sluice_pgsink_complete_put(sink, conn, stream->desc->name, end, err);
}

/* A part of the rows takes nothing's place. */
static sluice_status end_partial(struct sluice_pg_conn *conn,
                                 const struct sluice_pgsink_stream *stream,
                                 struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    if (stream->shadow == NULL) {
        return SLUICE_OK;
    }
    sluice_pg_text_format(&sql, "DROP TABLE IF EXISTS %s", stream->table->quoted);
    return sluice_pgsink_run_text(conn, "drop the table of the load", &sql, err);
}

sluice_status sluice_pgsink_load_end(struct sluice_sink *sink, struct sluice_pgsink_stream *stream,
                                     const struct sluice_stream_end *end, struct sluice_error *err)
{
    struct sluice_pg_conn *conn = NULL;
    struct sluice_pg_text target = {0};
    char *schema = NULL;
    char *name = NULL;
    SLUICE_TRY(sluice_pgsink_ctl(sink, &conn, err));
    if ((end->flags & SLUICE_STREAM_END_PARTIAL) != 0) {
        return sluice_pgsink_hint(sink, err, end_partial(conn, stream, err));
    }
    SLUICE_TRY(sluice_pgsink_target_name(sink, &stream->write, &schema, &name, err));
    sluice_pg_text_ident(&target, schema);
    sluice_pg_text_add(&target, ".");
    sluice_pg_text_ident(&target, name);
    sluice_status status = sluice_pg_text_check(&target, err);
    if (status >= 0) {
        status = sluice_pg_command(conn, "begin", "BEGIN", err);
    }
    if (status >= 0) {
        status = finish(sink, conn, stream, schema, name, target.data, end, err);
        if (status >= 0) {
            status = sluice_pg_command(conn, "commit", "COMMIT", err);
        }
        else {
            sluice_pgsink_rollback(conn);
        }
    }
    if (status >= 0) {
        stream->loading = 0;
    }
    if (status >= 0 && sink->options.analyze) {
        struct sluice_pg_text sql = {0};
        struct sluice_error ignored = SLUICE_ERROR_INIT;
        sluice_pg_text_format(&sql, "ANALYZE %s", target.data);
        /* The load is whole without it. */
        if (sluice_pgsink_run_text(conn, "analyse the table", &sql, &ignored) < 0) {
            sluice_error_clear(&ignored);
        }
    }
    sluice_pg_text_free(&target);
    free(schema);
    free(name);
    return status < 0 ? sluice_pgsink_hint(sink, err, status) : SLUICE_OK;
}
