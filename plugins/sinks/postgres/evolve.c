/* A table that is there, fitted to a stream: columns added, renamed, widened, NOT NULL dropped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ddl.h"

struct evolve {
    struct sluice_sink *sink;
    struct sluice_pg_conn *conn;
    const struct sluice_pgsink_stream *stream;
    const char *quoted;
    struct sluice_pgsink_ddl *out;
    PGresult *have; /* 0 name, 1 type, 2 not null, 3 generated, 4 in the primary key */
    char *before;   /* columns.c: what the stream's columns were; NULL */
    int made;       /* we made the table: its types mirror the source's */
    char **made_up; /* names that step_aside gave */
    uint32_t made_up_count;
    const char **names; /* per row of `have`: what the column is called by now; NULL = dropped */
};

static int row_of(const struct evolve *e, const char *name, size_t size)
{
    for (int i = 0; i < PQntuples(e->have); i++) {
        const char *at = e->names[i];
        if (at != NULL && strlen(at) == size && memcmp(at, name, size) == 0) {
            return i;
        }
    }
    return -1;
}

static int is_frozen(const struct evolve *e)
{
    return (e->stream->write.write.flags & SLUICE_WRITE_FROZEN) != 0;
}

static int in_stream(const struct evolve *e, const char *name, size_t size)
{
    const struct ArrowSchema *schema = e->stream->desc->schema;
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (strlen(schema->children[i]->name) == size &&
            memcmp(schema->children[i]->name, name, size) == 0) {
            return 1;
        }
    }
    return 0;
}

/* A line of `before`: identity, native type, name. 0 = no more. */
struct line {
    const char *id;
    size_t id_size;
    const char *native;
    size_t native_size;
    const char *name;
    size_t name_size;
};

static int next_line(const char **at, struct line *out)
{
    const char *p = *at;
    if (p == NULL || *p == '\0') {
        return 0;
    }
    out->id = p;
    out->id_size = strcspn(p, "\t\n");
    p += out->id_size + (p[out->id_size] == '\t');
    out->native = p;
    out->native_size = strcspn(p, "\t\n");
    p += out->native_size + (p[out->native_size] == '\t');
    out->name = p;
    out->name_size = strcspn(p, "\n");
    p += out->name_size + (p[out->name_size] == '\n');
    *at = p;
    return 1;
}

/* The column that the source's one is, by its identity: its row in `have`, else -1. *known: the identity says
 * so, whatever the name. */
static int row_by_id(const struct evolve *e, const struct ArrowSchema *field, int *known)
{
    struct sluice_bytes id = sluice_schema_metadata(field, "sluice:column_id");
    const char *at = e->before;
    struct line line;
    *known = 0;
    while (id.size > 0 && next_line(&at, &line)) {
        if (line.id_size == id.size && memcmp(line.id, id.data, line.id_size) == 0) {
            *known = 1;
            for (int i = 0; i < PQntuples(e->have); i++) { /* by the name it had then */
                const char *was = PQgetvalue(e->have, i, 0);
                if (strlen(was) == line.name_size && memcmp(was, line.name, line.name_size) == 0) {
                    return i;
                }
            }
        }
    }
    return -1;
}

/* The table's column of that name is of another column of the source, as it was before. */
static int is_of_another(const struct evolve *e, const struct ArrowSchema *field, int row)
{
    struct sluice_bytes id = sluice_schema_metadata(field, "sluice:column_id");
    const char *at = e->before;
    struct line line;
    while (id.size > 0 && next_line(&at, &line)) {
        const char *was = PQgetvalue(e->have, row, 0);
        if (line.name_size == strlen(was) && memcmp(line.name, was, line.name_size) == 0) {
            return line.id_size > 0 &&
                   (line.id_size != id.size || memcmp(line.id, id.data, line.id_size) != 0);
        }
    }
    return 0;
}

/* What the source's type was when the table was fitted last; 0 = unknown. */
static int native_before(const struct evolve *e, const char *name, struct line *out)
{
    const char *at = e->before;
    while (next_line(&at, out)) {
        if (out->name_size == strlen(name) && memcmp(out->name, name, out->name_size) == 0) {
            return 1;
        }
    }
    return 0;
}

static sluice_status add(struct evolve *e, struct sluice_pg_text *sql, struct sluice_error *err)
{
    return sluice_pgsink_ddl_add(e->out, sql, err);
}

static sluice_status refuse_frozen(struct evolve *e, const char *what, const char *name,
                                   struct sluice_error *err)
{
    return sluice_pgsink_ddl_refuse(e->out, err,
                                    "%s %s %s, and its schema policy does not let the table be "
                                    "altered (hint: alter it by hand, or set schema: evolve)",
                                    e->quoted, what, name);
}

/* Rows that are there already get what the source's rows of before the column have. */
static sluice_status add_column(struct evolve *e, const struct ArrowSchema *field,
                                struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    char type[SLUICE_PGSINK_TYPE_MAX];
    struct sluice_bytes missing = sluice_schema_metadata(field, "sluice:missing");
    struct sluice_bytes def = sluice_schema_metadata(field, "sluice:default");
    int history = e->stream->write.write.mode == SLUICE_WRITE_HISTORY;
    if (is_frozen(e)) {
        return refuse_frozen(e, "lacks column", field->name, err);
    }
    SLUICE_TRY(sluice_pgsink_ddl_type(e->sink, e->conn, e->stream->desc, field, type, e->out, err));
    sluice_pg_text_format(&sql, "ALTER TABLE %s ADD COLUMN ", e->quoted);
    sluice_pg_text_ident(&sql, field->name);
    sluice_pg_text_format(&sql, " %s", type);
    int portable = sluice_pgsink_default_portable(def);
    if (missing.size > 0 && !history) {
        struct sluice_pg_text value = {0};
        sluice_pg_text_bytes(&value, missing.data, (size_t)missing.size);
        sluice_pg_text_add(&sql, " DEFAULT ");
        sluice_pg_text_literal(&sql, value.data != NULL ? value.data : "");
        sluice_pg_text_format(&sql, "::%s", type);
        sluice_pg_text_free(&value);
    }
    /* NOT NULL is not taken over: rows of before may lack a value. */
    SLUICE_TRY(add(e, &sql, err));
    if (portable && !history) {
        sluice_pg_text_format(&sql, "ALTER TABLE %s ALTER COLUMN ", e->quoted);
        sluice_pg_text_ident(&sql, field->name);
        sluice_pg_text_format(&sql, " SET DEFAULT %.*s", (int)def.size, (const char *)def.data);
        return add(e, &sql, err);
    }
    if (missing.size > 0 && !history) {
        sluice_pg_text_format(&sql, "ALTER TABLE %s ALTER COLUMN ", e->quoted);
        sluice_pg_text_ident(&sql, field->name);
        sluice_pg_text_add(&sql, " DROP DEFAULT");
        return add(e, &sql, err);
    }
    return SLUICE_OK;
}

static sluice_status rename_to(struct evolve *e, int row, const char *name,
                               struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    sluice_pg_text_format(&sql, "ALTER TABLE %s RENAME COLUMN ", e->quoted);
    sluice_pg_text_ident(&sql, e->names[row]);
    sluice_pg_text_add(&sql, " TO ");
    sluice_pg_text_ident(&sql, name);
    e->names[row] = name;
    return add(e, &sql, err);
}

/* A name that stands in a column's way for a moment: two columns may have swapped theirs. */
static sluice_status step_aside(struct evolve *e, int row, struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    char **grown = realloc((void *)e->made_up, (e->made_up_count + 1u) * sizeof *grown);
    if (grown == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for DDL");
    }
    e->made_up = grown;
    sluice_pg_text_format(&sql, "sluice_renamed_%d", row);
    char *name = sluice_pg_text_take(&sql);
    if (name == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for DDL");
    }
    e->made_up[e->made_up_count++] = name;
    return rename_to(e, row, name, err);
}

/* Of a column that the source dropped, and whose name another one has now. */
static sluice_status drop_column(struct evolve *e, int row, struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    if (!e->made) {
        return sluice_pgsink_ddl_refuse(
            e->out, err,
            "the source dropped column %s and made another one of that name; %s is not a table "
            "that "
            "sluice made, and keeps the old one (hint: drop or rename it by hand)",
            e->names[row], e->quoted);
    }
    sluice_pg_text_format(&sql, "ALTER TABLE %s DROP COLUMN ", e->quoted);
    sluice_pg_text_ident(&sql, e->names[row]);
    e->names[row] = NULL;
    return add(e, &sql, err);
}

/* Columns get the names that the source gives them now. */
static sluice_status fit_names(struct evolve *e, struct sluice_error *err)
{
    const struct ArrowSchema *schema = e->stream->desc->schema;
    int known = 0;
    for (int64_t i = 0; i < schema->n_children; i++) { /* make room */
        const struct ArrowSchema *field = schema->children[i];
        const int row = row_of(e, field->name, strlen(field->name));
        const int own = row_by_id(e, field, &known);
        if (row < 0 || row == own || !is_of_another(e, field, row)) {
            continue;
        }
        if (is_frozen(e)) {
            SLUICE_TRY(refuse_frozen(e, "has another column under the name", field->name, err));
            continue;
        }
        int kept = 0; /* does the source have that column still, under another name? */
        for (int64_t k = 0; k < schema->n_children; k++) {
            kept |= row_by_id(e, schema->children[k], &known) == row;
        }
        SLUICE_TRY(kept ? step_aside(e, row, err) : drop_column(e, row, err));
    }
    for (int64_t i = 0; i < schema->n_children; i++) {
        const struct ArrowSchema *field = schema->children[i];
        const int own = row_by_id(e, field, &known);
        if (own < 0 || e->names[own] == NULL || strcmp(e->names[own], field->name) == 0 ||
            row_of(e, field->name, strlen(field->name)) >= 0) {
            continue;
        }
        if (is_frozen(e)) {
            SLUICE_TRY(refuse_frozen(e, "lacks column", field->name, err));
            continue;
        }
        SLUICE_TRY(rename_to(e, own, field->name, err));
    }
    return SLUICE_OK;
}

static sluice_status drop_not_null(struct evolve *e, const char *name, struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    if (is_frozen(e)) {
        return refuse_frozen(e, "does not take NULL in column", name, err);
    }
    sluice_pg_text_format(&sql, "ALTER TABLE %s ALTER COLUMN ", e->quoted);
    sluice_pg_text_ident(&sql, name);
    sluice_pg_text_add(&sql, " DROP NOT NULL");
    return add(e, &sql, err);
}

/* The source's type changed, and the target still has the old one. */
static sluice_status follow_type(struct evolve *e, int row, const struct ArrowSchema *field,
                                 struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    struct line was;
    char type[SLUICE_PGSINK_TYPE_MAX];
    const char *has = PQgetvalue(e->have, row, 1);
    SLUICE_TRY(sluice_pgsink_ddl_type(e->sink, e->conn, e->stream->desc, field, type, e->out, err));
    if (strcmp(type, has) == 0) {
        return SLUICE_OK;
    }
    int known = native_before(e, PQgetvalue(e->have, row, 0), &was);
    int changed = known && (was.native_size != strlen(type) ||
                            memcmp(was.native, type, was.native_size) != 0);
    int mirrored = e->made || (known && was.native_size == strlen(has) &&
                               memcmp(was.native, has, was.native_size) == 0);
    if (!changed || !mirrored || sluice_pgsink_type_widens(type, has)) {
        return SLUICE_OK; /* a user chose that type, or it holds the new values as it is */
    }
    if (is_frozen(e)) {
        return refuse_frozen(e, "has another type in column", field->name, err);
    }
    if (!sluice_pgsink_type_widens(has, type)) {
        return sluice_pgsink_ddl_refuse(
            e->out, err,
            "column %s changed at the source from %.*s to %s; %s has %s, which cannot follow "
            "without loss (hint: alter it by hand; or DROP TABLE %s there, and sluice state resync "
            "FILE --stream %s makes and loads it anew)",
            field->name, (int)was.native_size, was.native, type, e->quoted, has, e->quoted,
            e->stream->desc->name);
    }
    sluice_pg_text_format(&sql, "ALTER TABLE %s ALTER COLUMN ", e->quoted);
    sluice_pg_text_ident(&sql, field->name);
    sluice_pg_text_format(&sql, " TYPE %s USING ", type);
    sluice_pg_text_ident(&sql, field->name);
    sluice_pg_text_format(&sql, "::%s", type);
    return add(e, &sql, err);
}

static int is_key(const struct evolve *e, int64_t column)
{
    const struct sluice_write *w = &e->stream->write.write;
    for (uint32_t i = 0; i < w->key_count; i++) {
        if (w->keys[i] == (uint32_t)column) {
            return 1;
        }
    }
    return 0;
}

static sluice_status fit_columns(struct evolve *e, struct sluice_error *err)
{
    const struct ArrowSchema *schema = e->stream->desc->schema;
    for (int64_t i = 0; i < schema->n_children; i++) {
        const struct ArrowSchema *field = schema->children[i];
        const int row = row_of(e, field->name, strlen(field->name));
        if (row < 0) {
            SLUICE_TRY(add_column(e, field, err));
            continue;
        }
        if (PQgetvalue(e->have, row, 3)[0] != '\0') {
            continue;
        }
        int optional = (field->flags & ARROW_FLAG_NULLABLE) != 0 ||
                       e->stream->write.write.mode == SLUICE_WRITE_HISTORY;
        if (optional && PQgetvalue(e->have, row, 2)[0] == 't' && !is_key(e, i) &&
            PQgetvalue(e->have, row, 4)[0] != 't' && e->made) {
            SLUICE_TRY(drop_not_null(e, field->name, err));
        }
        SLUICE_TRY(follow_type(e, row, field, err));
    }
    return SLUICE_OK;
}

/* Columns that the source dropped stay; new rows have no value for them. */
static sluice_status leave_dropped(struct evolve *e, struct sluice_error *err)
{
    const char *at = e->before;
    struct line line;
    while (next_line(&at, &line)) {
        int row = row_of(e, line.name, line.name_size);
        if (row >= 0 && !in_stream(e, line.name, line.name_size) &&
            PQgetvalue(e->have, row, 2)[0] == 't' && PQgetvalue(e->have, row, 4)[0] != 't' &&
            !is_frozen(e)) {
            SLUICE_TRY(drop_not_null(e, e->names[row], err));
        }
    }
    return SLUICE_OK;
}

static sluice_status fit_ours(struct evolve *e, struct sluice_error *err)
{
    const struct sluice_write *w = &e->stream->write.write;
    for (uint32_t k = 0; k <= SLUICE_PGSINK_METAS; k++) {
        char name[128];
        if (!sluice_pgsink_ddl_wants(w, k)) {
            continue;
        }
        (void)snprintf(name, sizeof name, "%s%s",
                       k < SLUICE_PGSINK_METAS ? w->metadata_prefix : w->soft_column,
                       k < SLUICE_PGSINK_METAS ? sluice_pgsink_meta_words[k] : "");
        if (row_of(e, name, strlen(name)) >= 0) {
            continue;
        }
        if (is_frozen(e)) {
            SLUICE_TRY(refuse_frozen(e, "lacks column", name, err));
            continue;
        }
        struct sluice_pg_text sql = {0};
        sluice_pg_text_format(&sql, "ALTER TABLE %s ADD COLUMN ", e->quoted);
        sluice_pgsink_ddl_ours(w, k, &sql);
        SLUICE_TRY(add(e, &sql, err));
    }
    return SLUICE_OK;
}

sluice_status sluice_pgsink_ddl_evolve(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                       const struct sluice_pgsink_stream *stream, const char *oid,
                                       const char *quoted, struct sluice_pgsink_ddl *out,
                                       struct sluice_error *err)
{
    struct evolve e = {.sink = sink, .conn = conn, .stream = stream, .quoted = quoted, .out = out};
    const char *const params[] = {oid};
    sluice_status status = sluice_pg_query(
        conn, "read the columns of the target table",
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, "
        "a.attgenerated, EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid "
        "AND i.indisprimary AND a.attnum = ANY(i.indkey)) FROM pg_catalog.pg_attribute a WHERE "
        "a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        1, params, &e.have, err);
    if (status >= 0) {
        e.names = calloc((size_t)PQntuples(e.have) + 1, sizeof *e.names);
        for (int i = 0; e.names != NULL && i < PQntuples(e.have); i++) {
            e.names[i] = PQgetvalue(e.have, i, 0);
        }
        status = e.names != NULL ? SLUICE_OK
                                 : sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                                    "out of memory for DDL");
    }
    if (status >= 0) {
        status = sluice_pgsink_columns_get(sink, conn, stream->desc->name, &e.before, &e.made, err);
    }
    if (status >= 0) {
        status = fit_names(&e, err);
    }
    if (status >= 0) {
        status = fit_columns(&e, err);
    }
    if (status >= 0) {
        status = leave_dropped(&e, err);
    }
    if (status >= 0) {
        status = fit_ours(&e, err);
    }
    PQclear(e.have);
    free((void *)e.names);
    for (uint32_t i = 0; i < e.made_up_count; i++) {
        free(e.made_up[i]);
    }
    free((void *)e.made_up);
    free(e.before);
    return status;
}
