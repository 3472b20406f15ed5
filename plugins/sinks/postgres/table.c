/* Target tables: looked up, matched with a stream. */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg/text.h"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a table");
}

void sluice_pgsink_table_free(struct sluice_pgsink_table *table)
{
    if (table == NULL) {
        return;
    }
    for (uint32_t i = 0; i < table->column_count; i++) {
        free(table->columns[i].name);
        free(table->columns[i].quoted);
        free(table->columns[i].type);
        free(table->columns[i].cast);
    }
    free(table->columns);
    free(table->fields);
    free(table->keys);
    free(table->schema);
    free(table->name);
    free(table->quoted);
    free(table);
}

void sluice_pgsink_table_list(const struct sluice_pgsink_table *table, const unsigned char *wanted,
                              const char *prefix, struct sluice_pg_text *out)
{
    int first = 1;
    for (uint32_t i = 0; i < table->column_count; i++) {
        if (wanted != NULL && !wanted[i]) {
            continue;
        }
        sluice_pg_text_format(out, "%s%s%s", first ? "" : ", ", prefix, table->columns[i].quoted);
        first = 0;
    }
}

static char *quote(const char *name)
{
    struct sluice_pg_text text = {0};
    sluice_pg_text_ident(&text, name);
    return sluice_pg_text_take(&text);
}

/* ---- the catalog ---- */

/* NOT_FOUND: no such relation. */
static sluice_status read_relation(struct sluice_pg_conn *conn, struct sluice_pgsink_table *table,
                                   struct sluice_error *err)
{
    const char *const params[] = {table->schema, table->name};
    PGresult *result = NULL;
    SLUICE_TRY(sluice_pg_query(
        conn, "look up the target table",
        "SELECT c.oid, c.relkind, EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = "
        "c.oid AND NOT t.tgisinternal) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
        "ON "
        "n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
        2, params, &result, err));
    sluice_status status = SLUICE_OK;
    if (PQntuples(result) == 0) {
        status = sluice_error_set(err, SLUICE_E_NOT_FOUND, 0,
                                  "the target has no table %s (hint: option auto_create makes it)",
                                  table->quoted);
    }
    else {
        char kind = PQgetvalue(result, 0, 1)[0];
        table->oid = (uint32_t)strtoul(PQgetvalue(result, 0, 0), NULL, 10);
        table->partitioned = kind == 'p';
        table->has_triggers = PQgetvalue(result, 0, 2)[0] == 't';
        if (kind != 'r' && kind != 'p' && kind != 'f') {
            status = sluice_error_set(err, SLUICE_E_SCHEMA, 0,
                                      "%s is at the target, but is no table that takes rows (%s)",
                                      table->quoted,
                                      kind == 'v'   ? "a view"
                                      : kind == 'm' ? "a materialized view"
                                                    : "another kind of relation");
        }
    }
    PQclear(result);
    return status;
}

/* Columns: 0 name, 1 base type's oid, 2 its typtype, 3 the column's type as text, 4 typmod, 5 not null, 6 has a
 * default or identity, 7 generated, 8 identity, 9 has equality, 10 base type without modifiers */
static sluice_status read_columns(struct sluice_pg_conn *conn,
                                  const struct sluice_pgsink_table *table, PGresult **out,
                                  struct sluice_error *err)
{
    char oid[16];
    const char *const params[] = {oid};
    (void)snprintf(oid, sizeof oid, "%u", table->oid);
    return sluice_pg_query(
        conn, "read the columns of the target table",
        "WITH RECURSIVE d(n, t, m) AS (SELECT a.attnum, a.atttypid, a.atttypmod FROM "
        "pg_catalog.pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT "
        "a.attisdropped UNION ALL SELECT d.n, y.typbasetype, y.typtypmod FROM d JOIN "
        "pg_catalog.pg_type y ON y.oid = d.t WHERE y.typtype = 'd') "
        "SELECT a.attname, y.oid, y.typtype, pg_catalog.format_type(a.atttypid, a.atttypmod), d.m, "
        "a.attnotnull, a.atthasdef OR a.attidentity <> '', a.attgenerated, a.attidentity, "
        "y.typtype <> 'c' AND coalesce(nullif(y.typelem, 0), y.oid) <> ALL "
        "('{114,142,600,601,602,603,604,628,718,4072}'), pg_catalog.format_type(y.oid, -1) "
        "FROM pg_catalog.pg_attribute a JOIN d ON d.n = a.attnum JOIN pg_catalog.pg_type y ON "
        "y.oid "
        "= d.t AND y.typtype <> 'd' WHERE a.attrelid = $1::oid ORDER BY a.attnum",
        1, params, out, err);
}

static int row_of(const PGresult *result, const char *name)
{
    for (int i = 0; i < PQntuples(result); i++) {
        if (strcmp(PQgetvalue(result, i, 0), name) == 0) {
            return i;
        }
    }
    return -1;
}

/* ---- matching ---- */

struct match {
    const struct sluice_pgsink_stream *stream;
    const PGresult *have;
    struct sluice_pgsink_table *table;
    struct sluice_pg_text missing; /* columns that the target lacks */
};

static int flag(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column)[0] == 't';
}

/* Adds one column that is there; `source` as in struct sluice_pgsink_column. */
static sluice_status add_column(struct match *m, int row, int32_t source, struct sluice_error *err)
{
    struct sluice_pgsink_table *table = m->table;
    struct sluice_pgsink_column *c = &table->columns[table->column_count++];
    const PGresult *have = m->have;
    c->source = source;
    c->name = strdup(PQgetvalue(have, row, 0));
    c->quoted = quote(PQgetvalue(have, row, 0));
    c->type = strdup(PQgetvalue(have, row, 3));
    c->cast = strdup(PQgetvalue(have, row, 10));
    if (c->name == NULL || c->quoted == NULL || c->type == NULL || c->cast == NULL) {
        return nomem(err);
    }
    c->oid = (uint32_t)strtoul(PQgetvalue(have, row, 1), NULL, 10);
    c->not_null = flag(have, row, 5);
    c->has_equality = flag(have, row, 9);
    c->identity_always = PQgetvalue(have, row, 8)[0] == 'a';
    table->overriding |= c->identity_always;
    if (source < 0) {
        return SLUICE_OK;
    }
    sluice_status status =
        sluice_pg_encoder_make(m->stream->desc->schema->children[source], c->oid,
                               (int32_t)strtol(PQgetvalue(have, row, 4), NULL, 10),
                               PQgetvalue(have, row, 2)[0], c->name, &c->encoder, err);
    table->all_binary = table->all_binary && status >= 0 && c->encoder.binary;
    return status;
}

static void lacks(struct match *m, const char *name)
{
    sluice_pg_text_format(&m->missing, "%s%s", m->missing.size > 0 ? ", " : "", name);
}

static int is_key(const struct sluice_write *w, int64_t column)
{
    for (uint32_t i = 0; i < w->key_count; i++) {
        if (w->keys[i] == (uint32_t)column) {
            return 1;
        }
    }
    return 0;
}

static sluice_status match_columns(struct match *m, struct sluice_error *err)
{
    const struct ArrowSchema *schema = m->stream->desc->schema;
    for (int64_t i = 0; i < schema->n_children; i++) {
        const char *name = schema->children[i]->name;
        int row = row_of(m->have, name);
        if (row < 0) {
            lacks(m, name);
            continue;
        }
        if (PQgetvalue(m->have, row, 7)[0] != '\0') {
            if (is_key(&m->stream->write.write, i)) {
                return sluice_error_set(err, SLUICE_E_SCHEMA, 0,
                                        "column %s of %s is generated at the target, and rows are "
                                        "found by it (hint: write.key names other columns)",
                                        name, m->table->quoted);
            }
            continue; /* the target makes it */
        }
        SLUICE_TRY(add_column(m, row, (int32_t)i, err));
    }
    return SLUICE_OK;
}

const char *const sluice_pgsink_meta_words[] = {"op", "commit_ts", "position", "seq",
                                                "tx", "synced_at", "unchanged"};
const char *const sluice_pgsink_meta_types[] = {
    "text", "timestamp with time zone", "text",  "bigint",
    "text", "timestamp with time zone", "text[]"};

/* Metadata columns, and the one of soft deletes. */
static sluice_status match_ours(struct match *m, struct sluice_error *err)
{
    const struct sluice_write *w = &m->stream->write.write;
    for (uint32_t i = 0; i < SLUICE_PGSINK_METAS; i++) {
        char name[128];
        if ((w->metadata & (1u << i)) == 0) {
            continue;
        }
        (void)snprintf(name, sizeof name, "%s%s", w->metadata_prefix, sluice_pgsink_meta_words[i]);
        int row = row_of(m->have, name);
        if (row < 0) {
            lacks(m, name);
            continue;
        }
        SLUICE_TRY(add_column(m, row, -1, err));
        m->table->columns[m->table->column_count - 1].meta = 1u << i;
    }
    if (w->deletes == SLUICE_DELETES_SOFT && w->mode != SLUICE_WRITE_HISTORY) {
        int row = row_of(m->have, w->soft_column);
        if (row < 0) {
            lacks(m, w->soft_column);
            return SLUICE_OK;
        }
        SLUICE_TRY(add_column(m, row, -1, err));
        m->table->columns[m->table->column_count - 1].soft = 1;
    }
    return SLUICE_OK;
}

/* Columns that must have a value which nobody gives. */
static sluice_status check_others(const struct match *m, struct sluice_error *err)
{
    struct sluice_pg_text names = {0};
    for (int row = 0; row < PQntuples(m->have); row++) {
        int written = PQgetvalue(m->have, row, 7)[0] != '\0';
        for (uint32_t i = 0; i < m->table->column_count && !written; i++) {
            written = strcmp(m->table->columns[i].name, PQgetvalue(m->have, row, 0)) == 0;
        }
        if (!written && flag(m->have, row, 5) && !flag(m->have, row, 6)) {
            sluice_pg_text_format(&names, "%s%s", names.size > 0 ? ", " : "",
                                  PQgetvalue(m->have, row, 0));
        }
    }
    sluice_status status = SLUICE_OK;
    if (names.size > 0 && m->stream->write.write.mode != SLUICE_WRITE_UPDATE) {
        status =
            sluice_error_set(err, SLUICE_E_SCHEMA, 0,
                             "%s has columns that are NOT NULL, have no default and are not in "
                             "the stream: %.300s (hint: ALTER TABLE … ALTER COLUMN … SET "
                             "DEFAULT, or DROP NOT NULL)",
                             m->table->quoted, names.data);
    }
    sluice_pg_text_free(&names);
    return status;
}

static sluice_status match_keys(struct match *m, struct sluice_error *err)
{
    const struct sluice_write *w = &m->stream->write.write;
    struct sluice_pgsink_table *table = m->table;
    table->keys = calloc(w->key_count + 1u, sizeof *table->keys);
    if (table->keys == NULL) {
        return nomem(err);
    }
    for (uint32_t k = 0; k < w->key_count; k++) {
        for (uint32_t i = 0; i < table->column_count; i++) {
            if (table->columns[i].source == (int32_t)w->keys[k]) {
                table->columns[i].key = 1;
                table->keys[table->key_count++] = i;
            }
        }
    }
    return SLUICE_OK;
}

/* Unique indexes: is there one on exactly the key, are there others. */
static sluice_status read_indexes(struct sluice_pg_conn *conn, struct sluice_pgsink_table *table,
                                  struct sluice_error *err)
{
    char oid[16];
    const char *const params[] = {oid};
    PGresult *result = NULL;
    (void)snprintf(oid, sizeof oid, "%u", table->oid);
    SLUICE_TRY(sluice_pg_query(
        conn, "read the unique indexes of the target table",
        "SELECT i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL, "
        "(SELECT pg_catalog.string_agg(a.attname, E'\\n' ORDER BY a.attname COLLATE \"C\") FROM "
        "pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k(n, place) JOIN "
        "pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n WHERE k.place <= "
        "i.indnkeyatts) FROM pg_catalog.pg_index i WHERE i.indrelid = $1::oid AND (i.indisunique "
        "OR "
        "i.indisexclusion)",
        1, params, &result, err));
    for (int row = 0; row < PQntuples(result); row++) {
        const char *names = PQgetvalue(result, row, 1);
        uint32_t count = 0;
        uint32_t found = 0;
        for (const char *p = names; *p != '\0';) { /* each name is one of the key's? */
            size_t size = strcspn(p, "\n");
            count++;
            for (uint32_t k = 0; k < table->key_count; k++) {
                const char *key = table->columns[table->keys[k]].name;
                found += strlen(key) == size && strncmp(key, p, size) == 0 ? 1u : 0u;
            }
            p += size + (p[size] == '\n');
        }
        int ours = flag(result, row, 0) && count == table->key_count && found == count && count > 0;
        table->key_unique |= ours;
        table->has_unique |= !ours;
    }
    PQclear(result);
    return SLUICE_OK;
}

static sluice_status match_all(struct sluice_pg_conn *conn, struct match *m,
                               struct sluice_error *err)
{
    const struct sluice_write *w = &m->stream->write.write;
    m->table->all_binary = 1;
    m->table->columns =
        calloc((size_t)PQntuples(m->have) + SLUICE_PGSINK_METAS + 2, sizeof *m->table->columns);
    if (m->table->columns == NULL) {
        return nomem(err);
    }
    SLUICE_TRY(match_columns(m, err));
    SLUICE_TRY(match_ours(m, err));
    if (m->missing.size > 0) {
        return sluice_error_set(
            err, SLUICE_E_SCHEMA, 0,
            "%s lacks columns of the stream: %.400s (hint: add them, leave them "
            "out at the source, or let schema: evolve add them)",
            m->table->quoted, m->missing.data);
    }
    SLUICE_TRY(match_keys(m, err));
    SLUICE_TRY(check_others(m, err));
    SLUICE_TRY(read_indexes(conn, m->table, err));
    int by_key = w->mode != SLUICE_WRITE_APPEND && w->mode != SLUICE_WRITE_HISTORY;
    if (by_key && m->table->key_count != w->key_count) {
        return sluice_error_set(err, SLUICE_E_SCHEMA, 0,
                                "%s lacks columns of the key that rows are found by",
                                m->table->quoted);
    }
    return SLUICE_OK;
}

sluice_status sluice_pgsink_table_open(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                       const struct sluice_pgsink_stream *stream,
                                       const char *schema, const char *name,
                                       struct sluice_pgsink_table **out, struct sluice_error *err)
{
    struct sluice_pg_text quoted = {0};
    PGresult *have = NULL;
    struct sluice_pgsink_table *table = calloc(1, sizeof *table);
    (void)sink;
    if (table == NULL) {
        return nomem(err);
    }
    table->schema = strdup(schema);
    table->name = strdup(name);
    sluice_pg_text_ident(&quoted, schema);
    sluice_pg_text_add(&quoted, ".");
    sluice_pg_text_ident(&quoted, name);
    table->quoted = sluice_pg_text_take(&quoted);
    struct match m = {.stream = stream, .table = table};
    sluice_status status = table->schema != NULL && table->name != NULL && table->quoted != NULL
                               ? SLUICE_OK
                               : nomem(err);
    if (status >= 0) {
        status = read_relation(conn, table, err);
    }
    if (status >= 0) {
        status = read_columns(conn, table, &have, err);
    }
    if (status >= 0) {
        m.have = have;
        status = match_all(conn, &m, err);
    }
    PQclear(have);
    sluice_pg_text_free(&m.missing);
    if (status < 0) {
        sluice_pgsink_table_free(table);
        return status;
    }
    *out = table;
    return SLUICE_OK;
}
