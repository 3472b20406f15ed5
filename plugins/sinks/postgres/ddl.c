/* What a target needs before it can take a stream: planned as statements, then run. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ddl.h"
#include "sluice/log.h"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for DDL");
}

void sluice_pgsink_ddl_free(struct sluice_pgsink_ddl *ddl)
{
    for (uint32_t i = 0; i < ddl->count; i++) {
        free(ddl->statements[i]);
    }
    free((void *)ddl->statements);
    free(ddl->primary_key);
    free(ddl->refused);
    *ddl = (struct sluice_pgsink_ddl){0};
}

sluice_status sluice_pgsink_ddl_add(struct sluice_pgsink_ddl *ddl, struct sluice_pg_text *statement,
                                    struct sluice_error *err)
{
    char **grown = realloc((void *)ddl->statements, (ddl->count + 1u) * sizeof *grown);
    char *text = sluice_pg_text_take(statement);
    if (grown != NULL) {
        ddl->statements = grown;
    }
    if (grown == NULL || text == NULL) {
        free(text);
        return nomem(err);
    }
    ddl->statements[ddl->count++] = text;
    return SLUICE_OK;
}

sluice_status sluice_pgsink_ddl_refuse(struct sluice_pgsink_ddl *ddl, struct sluice_error *err,
                                       const char *format, ...)
{
    struct sluice_pg_text text = {0};
    char message[900];
    va_list args;
    if (ddl->refused != NULL) {
        return SLUICE_OK; /* the first reason counts */
    }
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    sluice_pg_text_add(&text, message);
    ddl->refused = sluice_pg_text_take(&text);
    return ddl->refused != NULL ? SLUICE_OK : nomem(err);
}

/* ---- types that the target may not have ---- */

/* 1 if the target knows the type's name. */
static sluice_status type_exists(struct sluice_pg_conn *conn, const char *type, int *exists,
                                 struct sluice_error *err)
{
    const char *const params[] = {type};
    PGresult *result = NULL;
    SLUICE_TRY(sluice_pg_query(conn, "look whether the target has a type",
                               "SELECT pg_catalog.to_regtype($1) IS NOT NULL", 1, params, &result,
                               err));
    *exists = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return SLUICE_OK;
}

/* CREATE SCHEMA where it is missing; `quoted` as SQL. The statement asks for rights also where it is there. */
static sluice_status plan_schema(struct sluice_pg_conn *conn, const char *quoted,
                                 struct sluice_pgsink_ddl *out, struct sluice_error *err)
{
    const char *const params[] = {quoted};
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    SLUICE_TRY(sluice_pg_query(conn, "look whether the target has a schema",
                               "SELECT pg_catalog.to_regnamespace($1) IS NOT NULL", 1, params,
                               &result, err));
    const int exists = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    if (exists) {
        return SLUICE_OK;
    }
    sluice_pg_text_format(&sql, "CREATE SCHEMA IF NOT EXISTS %s", quoted);
    return sluice_pgsink_ddl_add(out, &sql, err);
}

/* CREATE TYPE … AS ENUM of the labels in a JSON array; the element of an array type. */
static sluice_status plan_enum(struct sluice_pg_conn *conn, const char *type,
                               struct sluice_bytes labels, struct sluice_pgsink_ddl *out,
                               struct sluice_error *err)
{
    struct sluice_pg_text json = {0};
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    const size_t size = strlen(type);
    const size_t base = size > 2 && strcmp(type + size - 2, "[]") == 0 ? size - 2 : size;
    const char *dot = memchr(type, '.', base);
    sluice_pg_text_bytes(&json, labels.data, (size_t)labels.size);
    sluice_status status = sluice_pg_text_check(&json, err);
    if (status >= 0) {
        const char *const params[] = {json.data};
        status = sluice_pg_query(conn, "read the labels of an enum",
                                 "SELECT pg_catalog.string_agg(pg_catalog.quote_literal(l), ', ' "
                                 "ORDER BY n) FROM pg_catalog.json_array_elements_text($1::json) "
                                 "WITH ORDINALITY e(l, n)",
                                 1, params, &result, err);
    }
    if (status >= 0 && dot != NULL) {
        char schema[SLUICE_PGSINK_TYPE_MAX];
        (void)snprintf(schema, sizeof schema, "%.*s", (int)(dot - type), type);
        status = plan_schema(conn, schema, out, err);
    }
    if (status >= 0) {
        sluice_pg_text_format(&sql, "CREATE TYPE %.*s AS ENUM (%s)", (int)base, type,
                              PQgetvalue(result, 0, 0));
        status = sluice_pgsink_ddl_add(out, &sql, err);
    }
    PQclear(result);
    sluice_pg_text_free(&json);
    return status;
}

static int is_planned(const struct sluice_pgsink_ddl *ddl, const char *type)
{
    char wanted[SLUICE_PGSINK_TYPE_MAX + 16];
    const size_t size = strlen(type);
    const size_t base = size > 2 && strcmp(type + size - 2, "[]") == 0 ? size - 2 : size;
    (void)snprintf(wanted, sizeof wanted, "CREATE TYPE %.*s ", (int)base, type);
    for (uint32_t i = 0; i < ddl->count; i++) {
        if (strncmp(ddl->statements[i], wanted, strlen(wanted)) == 0) {
            return 1;
        }
    }
    return 0;
}

sluice_status sluice_pgsink_ddl_type(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                     const struct sluice_stream_desc *desc,
                                     const struct ArrowSchema *field,
                                     char type[SLUICE_PGSINK_TYPE_MAX],
                                     struct sluice_pgsink_ddl *out, struct sluice_error *err)
{
    int exists = 0;
    struct sluice_bytes labels = sluice_schema_metadata(field, "sluice:enum");
    sluice_pgsink_type_of(desc, field, type);
    SLUICE_TRY(type_exists(conn, type, &exists, err));
    if (exists || is_planned(out, type)) {
        return SLUICE_OK;
    }
    if (labels.size > 0) {
        return plan_enum(conn, type, labels, out, err);
    }
    char instead[SLUICE_PGSINK_TYPE_MAX];
    sluice_pgsink_type_arrow(field, instead);
    sluice_log(sink->host, SLUICE_LOG_WARN,
               "the target does not know type %s of column %s of %s: it becomes %s", type,
               field->name, desc->name, instead);
    (void)snprintf(type, SLUICE_PGSINK_TYPE_MAX, "%s", instead);
    return SLUICE_OK;
}

/* ---- creating ---- */

static int is_key(const struct sluice_write *w, int64_t column)
{
    for (uint32_t i = 0; i < w->key_count; i++) {
        if (w->keys[i] == (uint32_t)column) {
            return 1;
        }
    }
    return 0;
}

/* Of a primary key: no column of it may be NULL. In history every row comes as it may. */
static int is_required(const struct sluice_pgsink_stream *stream, int64_t column)
{
    const struct sluice_write *w = &stream->write.write;
    const struct ArrowSchema *field = stream->desc->schema->children[column];
    if (w->mode == SLUICE_WRITE_HISTORY) {
        return 0; /* a delete has its key alone */
    }
    return is_key(w, column) || (field->flags & ARROW_FLAG_NULLABLE) == 0;
}

static void add_default(const struct ArrowSchema *field, struct sluice_pg_text *sql)
{
    struct sluice_bytes value = sluice_schema_metadata(field, "sluice:default");
    if (sluice_pgsink_default_portable(value)) {
        sluice_pg_text_format(sql, " DEFAULT %.*s", (int)value.size, (const char *)value.data);
    }
}

static void add_collation(struct sluice_pg_conn *conn, const struct ArrowSchema *field,
                          struct sluice_pg_text *sql)
{
    struct sluice_bytes value = sluice_schema_metadata(field, "sluice:collation");
    struct sluice_pg_text name = {0};
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    PGresult *result = NULL;
    if (value.size == 0) {
        return;
    }
    sluice_pg_text_bytes(&name, value.data, (size_t)value.size);
    sluice_pg_text_bytes(&name, "", 1);
    const char *const params[] = {name.data};
    if (!name.failed && conn->server_version >= 130000 &&
        sluice_pg_query(conn, "look for a collation",
                        "SELECT pg_catalog.to_regcollation($1) IS NOT NULL", 1, params, &result,
                        &ignored) >= 0 &&
        PQgetvalue(result, 0, 0)[0] == 't') {
        sluice_pg_text_format(sql, " COLLATE %s", name.data);
    }
    PQclear(result);
    sluice_pg_text_free(&name);
}

/* "name type …" of a column of the stream. */
static sluice_status add_column(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                const struct sluice_pgsink_stream *stream, int64_t column,
                                struct sluice_pg_text *sql, struct sluice_pgsink_ddl *out,
                                struct sluice_error *err)
{
    const struct ArrowSchema *field = stream->desc->schema->children[column];
    char type[SLUICE_PGSINK_TYPE_MAX];
    SLUICE_TRY(sluice_pgsink_ddl_type(sink, conn, stream->desc, field, type, out, err));
    sluice_pg_text_ident(sql, field->name);
    sluice_pg_text_format(sql, " %s", type);
    add_collation(conn, field, sql);
    if (stream->write.write.mode != SLUICE_WRITE_HISTORY) {
        add_default(field, sql);
    }
    if (is_required(stream, column)) {
        sluice_pg_text_add(sql, " NOT NULL");
    }
    return SLUICE_OK;
}

void sluice_pgsink_ddl_ours(const struct sluice_write *w, uint32_t which,
                            struct sluice_pg_text *sql)
{
    char name[128];
    if (which == SLUICE_PGSINK_METAS) {
        sluice_pg_text_ident(sql, w->soft_column);
        sluice_pg_text_add(sql, " boolean NOT NULL DEFAULT false");
        return;
    }
    (void)snprintf(name, sizeof name, "%s%s", w->metadata_prefix, sluice_pgsink_meta_words[which]);
    sluice_pg_text_ident(sql, name);
    sluice_pg_text_format(sql, " %s", sluice_pgsink_meta_types[which]);
}

int sluice_pgsink_ddl_wants(const struct sluice_write *w, uint32_t which)
{
    return which < SLUICE_PGSINK_METAS
               ? (w->metadata & (1u << which)) != 0
               : w->deletes == SLUICE_DELETES_SOFT && w->mode != SLUICE_WRITE_HISTORY;
}

/* A user's column that is called like one of ours. */
static sluice_status check_names(const struct sluice_pgsink_stream *stream,
                                 struct sluice_pgsink_ddl *out, struct sluice_error *err)
{
    const struct sluice_write *w = &stream->write.write;
    for (int64_t i = 0; i < stream->desc->schema->n_children; i++) {
        const char *name = stream->desc->schema->children[i]->name;
        if (strlen(name) > 63) {
            return sluice_pgsink_ddl_refuse(out, err,
                                            "column \"%.100s\" has %zu bytes, PostgreSQL takes 63 "
                                            "(hint: rename it with the transform project)",
                                            name, strlen(name));
        }
        for (uint32_t k = 0; k <= SLUICE_PGSINK_METAS; k++) {
            char ours[128];
            (void)snprintf(ours, sizeof ours, "%s%s",
                           k < SLUICE_PGSINK_METAS ? w->metadata_prefix : w->soft_column,
                           k < SLUICE_PGSINK_METAS ? sluice_pgsink_meta_words[k] : "");
            if (sluice_pgsink_ddl_wants(w, k) && strcmp(ours, name) == 0) {
                return sluice_pgsink_ddl_refuse(
                    out, err,
                    "the stream has a column %s, as a column of the sink's own would be called "
                    "(hint: choose another write.metadata_prefix or write.soft_column)",
                    name);
            }
        }
    }
    return SLUICE_OK;
}

sluice_status sluice_pgsink_ddl_primary_key(const struct sluice_pgsink_stream *stream,
                                            const char *quoted, char **out,
                                            struct sluice_error *err)
{
    const struct sluice_write *w = &stream->write.write;
    struct sluice_pg_text sql = {0};
    *out = NULL;
    if (w->key_count == 0) {
        return SLUICE_OK;
    }
    sluice_pg_text_format(&sql, "ALTER TABLE %s ADD PRIMARY KEY (", quoted);
    for (uint32_t k = 0; k < w->key_count; k++) {
        sluice_pg_text_add(&sql, k > 0 ? ", " : "");
        sluice_pg_text_ident(&sql, stream->desc->schema->children[w->keys[k]]->name);
    }
    sluice_pg_text_add(&sql, ")");
    *out = sluice_pg_text_take(&sql);
    return *out != NULL ? SLUICE_OK : nomem(err);
}

static sluice_status plan_create(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                 const struct sluice_pgsink_stream *stream, const char *schema,
                                 const char *quoted, struct sluice_pgsink_ddl *out,
                                 struct sluice_error *err)
{
    const struct sluice_write *w = &stream->write.write;
    struct sluice_pg_text sql = {0};
    out->creates = 1;
    if (!sink->options.auto_create) {
        return sluice_pgsink_ddl_refuse(
            out, err, "the target has no table %s, and auto_create is false", quoted);
    }
    sluice_pg_text_ident(&sql, schema);
    sluice_status made = sluice_pg_text_check(&sql, err);
    if (made >= 0) {
        made = plan_schema(conn, sql.data, out, err);
    }
    sluice_pg_text_free(&sql);
    SLUICE_TRY(made);
    sluice_pg_text_format(&sql, "CREATE %sTABLE %s (", "", quoted);
    for (int64_t i = 0; i < stream->desc->schema->n_children; i++) {
        sluice_pg_text_add(&sql, i > 0 ? ", " : "");
        sluice_status status = add_column(sink, conn, stream, i, &sql, out, err);
        if (status < 0) {
            sluice_pg_text_free(&sql);
            return status;
        }
    }
    for (uint32_t k = 0; k <= SLUICE_PGSINK_METAS; k++) {
        if (sluice_pgsink_ddl_wants(w, k)) {
            sluice_pg_text_add(&sql, stream->desc->schema->n_children > 0 || k > 0 ? ", " : "");
            sluice_pgsink_ddl_ours(w, k, &sql);
        }
    }
    sluice_pg_text_add(&sql, ")");
    SLUICE_TRY(sluice_pgsink_ddl_add(out, &sql, err));
    return sluice_pgsink_ddl_primary_key(stream, quoted, &out->primary_key, err);
}

/* ---- the plan ---- */

sluice_status sluice_pgsink_ddl_plan(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                     const struct sluice_pgsink_stream *stream,
                                     const struct sluice_stream_desc *old,
                                     struct sluice_pgsink_ddl *out, struct sluice_error *err)
{
    struct sluice_pg_text quoted = {0};
    PGresult *result = NULL;
    char *schema = NULL;
    char *name = NULL;
    (void)old;
    *out = (struct sluice_pgsink_ddl){0};
    SLUICE_TRY(check_names(stream, out, err));
    SLUICE_TRY(sluice_pgsink_target_name(sink, &stream->write, &schema, &name, err));
    sluice_pg_text_ident(&quoted, schema);
    sluice_pg_text_add(&quoted, ".");
    sluice_pg_text_ident(&quoted, name);
    const char *const params[] = {schema, name};
    sluice_status status = sluice_pg_text_check(&quoted, err);
    if (status >= 0) {
        status = sluice_pg_query(conn, "look up the target table",
                                 "SELECT c.oid FROM pg_catalog.pg_class c JOIN "
                                 "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE "
                                 "n.nspname = $1 AND c.relname = $2",
                                 2, params, &result, err);
    }
    if (status >= 0 && PQntuples(result) == 0) {
        status = plan_create(sink, conn, stream, schema, quoted.data, out, err);
    }
    else if (status >= 0) {
        status = sluice_pgsink_ddl_evolve(sink, conn, stream, PQgetvalue(result, 0, 0), quoted.data,
                                          out, err);
    }
    PQclear(result);
    sluice_pg_text_free(&quoted);
    free(schema);
    free(name);
    if (status < 0) {
        sluice_pgsink_ddl_free(out);
    }
    return status;
}

sluice_status sluice_pgsink_ddl_run(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                    const struct sluice_pgsink_ddl *ddl, const char *stream,
                                    struct sluice_error *err)
{
    SLUICE_TRY(sluice_failpoint_hit(sink->failpoints, "pgsink.before_ddl", err));
    for (uint32_t i = 0; i < ddl->count; i++) {
        sluice_log(sink->host, SLUICE_LOG_INFO, "at the target stream=%s statement=\"%s\"", stream,
                   ddl->statements[i]);
        if (sluice_pgsink_long(conn, "alter the target", ddl->statements[i], err) < 0) {
            return sluice_error_wrap(err, "%.200s", ddl->statements[i]);
        }
    }
    return SLUICE_OK;
}
