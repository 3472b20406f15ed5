/* New versions of a stream's columns, and the other questions that the feed asks the catalog. Each
 * question goes over a short-lived connection of its own: the streaming one cannot be asked. */
#include <stdlib.h>

#include "feed.h"
#include "sluice/array.h"
#include "sluice/position.h"

/* The feed answers nobody meanwhile: a catalog that is slow is asked again after a new start. */
#define LOOKUP_LIMIT "SET statement_timeout = '10s'"
enum { OID_TEXT = 25, LOOKUP_TEXT_MAX = 320 };

/* ---------------------------------------------------------------- asking --------------------- */

static sluice_status lookup_begin(struct pg_feed *feed, const char *what,
                                  struct sluice_pg_conn **out, struct sluice_error *err)
{
    struct sluice_source *src = feed->src;
    SLUICE_TRY(sluice_pg_connect(&src->options.conn, src->host, src->registry, 0, out, err));
    sluice_status st = sluice_pg_command(*out, what, LOOKUP_LIMIT, err);
    if (st < 0) {
        sluice_pg_close(*out);
        *out = NULL;
    }
    return st;
}

/* One question with text parameters. */
static sluice_status lookup(struct pg_feed *feed, const char *what, const char *sql, int count,
                            const char *const *params, PGresult **out, struct sluice_error *err)
{
    struct sluice_pg_conn *conn = NULL;
    SLUICE_TRY(lookup_begin(feed, what, &conn, err));
    sluice_status st = sluice_pg_query(conn, what, sql, count, params, out, err);
    sluice_pg_close(conn);
    return st;
}

static uint32_t get_oid(const PGresult *result, int row, int column)
{
    return (uint32_t)strtoul(PQgetvalue(result, row, column), NULL, 10);
}

sluice_status pg_feed_root_find(struct pg_feed *feed, uint32_t leaf, struct feed_stream **root,
                                struct sluice_error *err)
{
    static const char sql[] = "SELECT p.relid::pg_catalog.oid"
                              " FROM pg_catalog.pg_partition_ancestors($1::pg_catalog.oid) p";
    int partitioned = 0;
    for (uint32_t i = 0; i < feed->stream_count && !partitioned; i++) {
        partitioned = feed->streams[i].origin->relation->kind == 'p';
    }
    *root = NULL;
    if (!partitioned) {
        return SLUICE_OK;
    }
    char oid[16];
    const char *params[] = {oid};
    PGresult *result = NULL;
    (void)snprintf(oid, sizeof oid, "%u", leaf);
    SLUICE_TRY(lookup(feed, "find a partition's table", sql, 1, params, &result, err));
    for (int i = 0; i < PQntuples(result) && *root == NULL; i++) {
        const struct feed_relation *rel = pg_feed_relation_get(feed, get_oid(result, i, 0));
        *root = rel != NULL ? rel->stream : NULL;
    }
    PQclear(result);
    return SLUICE_OK;
}

sluice_status pg_feed_leaves_all(struct pg_feed *feed, uint32_t root, const char *oids, int *all,
                                 struct sluice_error *err)
{
    static const char sql[] =
        "SELECT FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) t"
        " WHERE t.isleaf AND t.relid::pg_catalog.oid <> ALL ($2::pg_catalog.oid[])";
    char oid[16];
    const char *params[] = {oid, oids};
    PGresult *result = NULL;
    (void)snprintf(oid, sizeof oid, "%u", root);
    SLUICE_TRY(lookup(feed, "find a table's partitions", sql, 2, params, &result, err));
    *all = PQntuples(result) == 0;
    PQclear(result);
    return SLUICE_OK;
}

sluice_status pg_feed_until_find(struct pg_feed *feed, uint64_t *out, struct sluice_error *err)
{
    static const char sql[] =
        "SELECT CASE WHEN pg_catalog.pg_is_in_recovery()"
        "  THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_flush_lsn() END,"
        " extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000 > $1::pg_catalog.numeric";
    char us[24];
    const char *params[] = {us};
    PGresult *result = NULL;
    (void)snprintf(us, sizeof us, "%lld", (long long)feed->until_us);
    *out = 0;
    SLUICE_TRY(lookup(feed, "find the log's end", sql, 1, params, &result, err));
    sluice_status st = SLUICE_OK;
    if (PQntuples(result) == 1 && PQgetvalue(result, 0, 1)[0] == 't') {
        st = sluice_lsn_parse(PQgetvalue(result, 0, 0), out, err);
    }
    PQclear(result);
    return st;
}

/* ---------------------------------------------------------------- columns -------------------- */

static int listed(const char *name, const struct ArrowSchema *schema)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (strcmp(schema->children[i]->name, name) == 0) {
            return 1;
        }
    }
    return 0;
}

int pg_feed_column_wanted(const struct feed_stream *fs, const char *name)
{
    const struct pg_stream *origin = fs->origin;
    if (listed(name, &origin->schema)) {
        return 1;
    }
    for (uint32_t i = 0; i < origin->relation->attribute_count; i++) {
        if (strcmp(origin->relation->attributes[i].name, name) == 0) {
            return 0; /* it was there at open() and not chosen */
        }
    }
    if (origin->columns_named) {
        return 0;
    }
    for (uint32_t i = 0; i < origin->excluded_count; i++) {
        if (strcmp(origin->excluded[i], name) == 0) {
            return 0;
        }
    }
    return 1;
}

static void attribute_free(struct pg_attribute *a)
{
    free((char *)(uintptr_t)a->name);
    free((char *)(uintptr_t)a->native);
    free((char *)(uintptr_t)a->base);
    free((char *)(uintptr_t)a->labels);
    free((char *)(uintptr_t)a->initial);
    free((char *)(uintptr_t)a->missing);
    free((char *)(uintptr_t)a->collation);
    *a = (struct pg_attribute){0};
}

void pg_feed_version_free(struct feed_version *version)
{
    if (version == NULL) {
        return;
    }
    pg_stream_free(&version->stream);
    for (uint32_t i = 0; version->attributes != NULL && i < version->relation.attribute_count;
         i++) {
        attribute_free(&version->attributes[i]);
    }
    sluice_pg_text_free(&version->published);
    free(version->attributes);
    free(version->types);
    free(version);
}

static sluice_status no_memory(const struct feed_stream *fs, struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a new version of table %s",
                            fs->origin->name);
}

/* What the catalog says today of the relation's columns, of the types that the log names, and of the
 * order of the key. */
struct facts {
    PGresult *columns;
    PGresult *formats;
    PGresult *key;
    struct sluice_pg_types *types;
};

static void facts_free(struct facts *facts)
{
    PQclear(facts->columns);
    PQclear(facts->formats);
    PQclear(facts->key);
    sluice_pg_types_free(facts->types);
}

static sluice_status load_facts(struct pg_feed *feed, struct sluice_pg_conn *conn,
                                const struct feed_relation *rel, const char *what,
                                struct facts *facts, struct sluice_error *err)
{
    static const char columns_sql[] =
        "SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull AND %s, a.attgenerated,"
        " a.attidentity, " PG_COLUMN_DEFAULT ", " PG_COLUMN_MISSING
        ", a.attnum, " PG_COLUMN_COLLATION " FROM pg_catalog.pg_attribute a"
        " JOIN pg_catalog.pg_type y ON y.oid = a.atttypid"
        " WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped";
    static const char validated[] =
        "NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = a.attrelid"
        " AND k.contype = 'n' AND NOT k.convalidated AND a.attnum = ANY(k.conkey))";
    static const char formats_sql[] =
        "SELECT pg_catalog.format_type(u.t, u.m), y.oid IS NOT NULL, " PG_TYPE_BASE(
            "u.m") ", " PG_TYPE_LABELS " FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]),"
                   " pg_catalog.unnest($2::pg_catalog.int4[])) WITH ORDINALITY AS u(t, m, n)"
                   " LEFT JOIN pg_catalog.pg_type y ON y.oid = u.t ORDER BY u.n";
    /* In the index's own order, which the log does not tell. */
    static const char key_sql[] =
        "SELECT a.attname FROM pg_catalog.pg_index i"
        " CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[])"
        "  WITH ORDINALITY AS k(attnum, place)"
        " JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
        " WHERE i.indrelid = $1::pg_catalog.oid AND k.place <= i.indnkeyatts"
        " AND CASE WHEN $2 = 'i' THEN i.indisreplident ELSE i.indisprimary END ORDER BY k.place";
    char oid[16];
    char identity[2] = {(char)rel->identity, '\0'};
    struct sluice_pg_text sql = {0};
    struct sluice_pg_text types = {0};
    struct sluice_pg_text mods = {0};
    (void)snprintf(oid, sizeof oid, "%u", rel->oid);
    sluice_pg_text_format(&sql, columns_sql, feed->server_version >= 180000 ? validated : "true");
    sluice_pg_text_add(&mods, "{");
    sluice_pg_text_format(&types, "{");
    for (uint32_t c = 0; c < rel->column_count; c++) {
        sluice_pg_text_format(&types, "%s%u", c > 0 ? "," : "", rel->columns[c].type);
        sluice_pg_text_format(&mods, "%s%d", c > 0 ? "," : "", rel->columns[c].typmod);
    }
    sluice_pg_text_add(&mods, "}");
    sluice_pg_text_add(&types, "}");
    sluice_status st = sluice_pg_text_check(&sql, err);
    st = st < 0 ? st : sluice_pg_text_check(&types, err);
    st = st < 0 ? st : sluice_pg_text_check(&mods, err);
    if (st >= 0) {
        const char *of_relation[] = {oid, identity};
        const char *of_types[] = {types.data, mods.data};
        st = sluice_pg_query(conn, what, sql.data, 1, of_relation, &facts->columns, err);
        if (st >= 0) {
            st = sluice_pg_query(conn, what, formats_sql, 2, of_types, &facts->formats, err);
        }
        if (st >= 0) {
            st = sluice_pg_query(conn, what, key_sql, 2, of_relation, &facts->key, err);
        }
    }
    if (st >= 0) {
        /* Text stands in for types that were dropped since. */
        types.size--;
        sluice_pg_text_format(&types, "%s%d}", types.size > 1 ? "," : "", OID_TEXT);
        st = sluice_pg_text_check(&types, err);
    }
    if (st >= 0) {
        st = sluice_pg_types_load_oids(conn, types.data, &facts->types, err);
    }
    sluice_pg_text_free(&sql);
    sluice_pg_text_free(&types);
    sluice_pg_text_free(&mods);
    return st;
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

/* Not nullable only if it was announced so before and the catalog says so still: between the two
 * moments it may have been otherwise. */
static int32_t still_required(const struct feed_stream *fs, const char *name)
{
    for (uint32_t i = 0; i < fs->column_count; i++) {
        if (strcmp(fs->now->schema.children[i]->name, name) == 0) {
            return fs->required[i];
        }
    }
    return 0;
}

/* A copy of a value of the catalog, or NULL where it is NULL. 0 = out of memory. */
static int copy_value(const PGresult *result, int row, int column, const char **out)
{
    if (PQgetisnull(result, row, column)) {
        return 1;
    }
    *out = strdup(PQgetvalue(result, row, column));
    return *out != NULL;
}

static sluice_status fill_attribute(const struct feed_stream *fs, const struct feed_relation *rel,
                                    uint32_t c, const struct facts *facts, struct pg_attribute *a,
                                    struct sluice_error *err)
{
    const struct sluice_pgout_column *column = &rel->columns[c];
    int known = PQgetvalue(facts->formats, (int)c, 1)[0] == 't';
    int at = row_of(facts->columns, column->name);
    a->name = strdup(column->name);
    a->native = strdup(known ? PQgetvalue(facts->formats, (int)c, 0) : "unknown");
    if (a->name == NULL || a->native == NULL) {
        return no_memory(fs, err);
    }
    a->type = known ? column->type : OID_TEXT;
    a->typmod = known ? column->typmod : -1;
    a->readable = 1;
    if (at >= 0) {
        a->not_null =
            PQgetvalue(facts->columns, at, 3)[0] == 't' && still_required(fs, column->name);
        a->generated = PQgetvalue(facts->columns, at, 4)[0];
        a->identity = PQgetvalue(facts->columns, at, 5)[0];
    }
    /* The catalog is of today, the log of then: of another type, it is another column. */
    const int same = at >= 0 &&
                     strtoul(PQgetvalue(facts->columns, at, 1), NULL, 10) == column->type &&
                     strtol(PQgetvalue(facts->columns, at, 2), NULL, 10) == column->typmod;
    if (!copy_value(facts->formats, (int)c, 2, &a->base) ||
        !copy_value(facts->formats, (int)c, 3, &a->labels) ||
        (same && (!copy_value(facts->columns, at, 6, &a->initial) ||
                  !copy_value(facts->columns, at, 7, &a->missing) ||
                  !copy_value(facts->columns, at, 9, &a->collation)))) {
        return no_memory(fs, err);
    }
    if (same) {
        a->relation = rel->oid;
        a->real = (int16_t)strtol(PQgetvalue(facts->columns, at, 8), NULL, 10);
    }
    return SLUICE_OK;
}

/* The key's attribute numbers, in the catalog's order if it still has these columns, else in the
 * table's. */
static void fill_key(const struct feed_relation *rel, const struct facts *facts,
                     const int16_t *numbers, int16_t *keys, uint32_t cap, uint32_t *count)
{
    uint32_t n = 0;
    uint32_t wire = 0;
    int rows = PQntuples(facts->key);
    for (int i = 0; i < rows && n < cap; i++) {
        for (uint32_t c = 0; c < rel->column_count; c++) {
            if (strcmp(rel->columns[c].name, PQgetvalue(facts->key, i, 0)) == 0 &&
                rel->columns[c].is_key) {
                keys[n++] = numbers[c];
                break;
            }
        }
    }
    for (uint32_t c = 0; c < rel->column_count; c++) {
        wire += rel->columns[c].is_key ? 1u : 0u;
    }
    if (rel->identity != 'f' && n != wire) {
        n = 0;
        for (uint32_t c = 0; c < rel->column_count && n < cap; c++) {
            if (rel->columns[c].is_key) {
                keys[n++] = numbers[c];
            }
        }
    }
    if (rel->identity == 'f' && n != (uint32_t)rows) {
        n = 0;
    }
    *count = n;
}

/* Puts together what a stream is made of. */
static sluice_status describe(const struct feed_stream *fs, const struct feed_relation *rel,
                              const struct facts *facts, int generated, struct feed_version *v,
                              struct sluice_error *err)
{
    int16_t *numbers = calloc(rel->column_count + 1u, sizeof *numbers);
    v->attributes = calloc(rel->column_count + 1u, sizeof *v->attributes);
    v->types = calloc(rel->column_count + 1u, sizeof *v->types);
    sluice_status st = SLUICE_OK;
    if (numbers == NULL || v->attributes == NULL || v->types == NULL) {
        st = no_memory(fs, err);
    }
    v->relation = *fs->origin->relation;
    v->relation.attributes = v->attributes;
    v->relation.attribute_count = 0;
    for (uint32_t c = 0; c < rel->column_count && st >= 0; c++) {
        numbers[c] = (int16_t)(rel->column_count + c + 1); /* of none that is chosen */
        if (!pg_feed_column_wanted(fs, rel->columns[c].name)) {
            continue;
        }
        uint32_t n = v->relation.attribute_count++;
        st = fill_attribute(fs, rel, c, facts, &v->attributes[n], err);
        if (st >= 0 && v->attributes[n].generated != 0 && !generated) {
            attribute_free(&v->attributes[n]);
            v->relation.attribute_count--;
            continue;
        }
        v->types[n] = (struct feed_type){rel->columns[c].type, rel->columns[c].typmod};
        numbers[c] = (int16_t)(n + 1);
        v->attributes[n].number = numbers[c];
        sluice_pg_text_format(&v->published, "%s%u", n > 0 ? " " : "", n + 1);
    }
    if (st >= 0) {
        st = sluice_pg_text_check(&v->published, err);
    }
    if (st >= 0) {
        struct pg_relation *r = &v->relation;
        uint32_t cap = sizeof r->keys / sizeof r->keys[0];
        fill_key(rel, facts, numbers, r->keys, cap, &r->key_count);
        int columns = rel->identity != 'f' && r->key_count > 0;
        memcpy(r->identity_keys, r->keys, sizeof r->keys);
        r->identity_count = columns ? r->key_count : 0;
        r->identity = 0;
        if (rel->identity == 'f' || columns) {
            r->identity = columns ? PG_IDENTITY_COLUMNS : PG_IDENTITY_FULL_ROW;
        }
        r->replica_identity = (char)rel->identity;
        r->published_columns = v->published.data;
    }
    free(numbers);
    return st;
}

/* Values of a type without a binary form that we know: the whole feed goes on in text. */
static sluice_status turn_binary_off(struct pg_feed *feed, const struct feed_stream *fs,
                                     struct sluice_error *err)
{
    atomic_store(&feed->src->feed.binary, 0);
    return sluice_error_set(err, SLUICE_E_SCHEMA, SLUICE_ERROR_RETRYABLE,
                            "table %s has a column now whose type has no binary form here: the "
                            "feed goes on with values as text",
                            fs->origin->name);
}

static void say_changed(const struct pg_feed *feed, const struct feed_stream *fs,
                        const struct pg_stream *next)
{
    struct sluice_pg_text list = {0};
    for (int64_t i = 0; i < next->schema.n_children; i++) {
        if (!listed(next->schema.children[i]->name, &fs->now->schema)) {
            sluice_pg_text_format(&list, " +%s", next->schema.children[i]->name);
        }
    }
    for (int64_t i = 0; i < fs->now->schema.n_children; i++) {
        if (!listed(fs->now->schema.children[i]->name, &next->schema)) {
            sluice_pg_text_format(&list, " -%s", fs->now->schema.children[i]->name);
        }
    }
    sluice_log(
        feed->src->host, SLUICE_LOG_INFO,
        "a table's columns, types or key are others now stream=%s columns=%lld changed=%.400s",
        fs->origin->name, (long long)next->schema.n_children,
        list.data != NULL && !list.failed ? list.data : "");
    sluice_pg_text_free(&list);
}

sluice_status pg_feed_version_make(struct pg_feed *feed, struct feed_stream *fs,
                                   const struct feed_relation *rel, struct sluice_error *err)
{
    char what[LOOKUP_TEXT_MAX];
    struct facts facts = {0};
    struct pg_catalog catalog = {0};
    struct sluice_pg_conn *conn = NULL;
    struct feed_version *v = calloc(1, sizeof *v);
    if (v == NULL) {
        return no_memory(fs, err);
    }
    (void)snprintf(what, sizeof what, "read the new columns of table %.200s", fs->origin->name);
    sluice_status st = lookup_begin(feed, what, &conn, err);
    if (st >= 0) {
        st = load_facts(feed, conn, rel, what, &facts, err);
    }
    sluice_pg_close(conn);
    if (st >= 0) {
        int generated = feed->src->options.generated == PG_GENERATED_INCLUDE;
        st = describe(fs, rel, &facts, generated, v, err);
    }
    if (st >= 0) {
        catalog.types = facts.types;
        struct pg_stream_context context = {.options = &feed->src->options,
                                            .catalog = &catalog,
                                            .database = feed->database,
                                            .sql_ascii = feed->sql_ascii,
                                            .server_version = feed->server_version,
                                            .changes = 1};
        struct sluice_stream_select select = {.struct_size = (uint32_t)sizeof select,
                                              .flags = SLUICE_SELECT_CHANGES};
        st = pg_stream_make(&context, &v->relation, &select, &v->stream, err);
    }
    if (st >= 0 && v->stream.problem.status < 0) {
        st = v->stream.problem.status;
        if (err != NULL) {
            *err = v->stream.problem;
        }
    }
    if (st >= 0 && atomic_load(&feed->src->feed.binary) && !v->stream.binary_whole) {
        st = turn_binary_off(feed, fs, err);
    }
    facts_free(&facts);
    if (st < 0) {
        pg_feed_version_free(v);
        return st;
    }
    v->stream.desc.flags = fs->origin->desc.flags;
    say_changed(feed, fs, &v->stream);
    fs->next = v;
    feed->announcing = fs;
    return SLUICE_OK;
}

sluice_status pg_feed_version_relax(struct pg_feed *feed, struct feed_stream *fs,
                                    const uint8_t *relax, struct sluice_error *err)
{
    const struct pg_stream *now = fs->now;
    struct feed_version *v = calloc(1, sizeof *v);
    if (v == NULL) {
        return no_memory(fs, err);
    }
    struct pg_stream *s = &v->stream;
    s->relation = fs->origin->relation;
    s->desc = now->desc;
    s->name = strdup(now->name);
    s->decode = calloc(now->column_count + 1u, sizeof *s->decode);
    v->types = calloc(now->column_count + 1u, sizeof *v->types);
    sluice_status st = s->name != NULL && s->decode != NULL && v->types != NULL
                           ? sluice_schema_copy(&now->schema, &s->schema, err)
                           : no_memory(fs, err);
    if (st < 0) {
        pg_feed_version_free(v);
        return st;
    }
    memcpy(s->parts, now->parts, sizeof s->parts);
    memcpy(s->keys, now->keys, sizeof s->keys);
    memcpy(s->properties, now->properties, sizeof s->properties);
    memcpy(s->incarnation, now->incarnation, sizeof s->incarnation);
    s->properties[2].value = s->incarnation;
    memcpy(s->decode, now->decode, now->column_count * sizeof *s->decode);
    memcpy(v->types, fs->types, now->column_count * sizeof *v->types);
    s->column_count = now->column_count;
    s->insert_only = now->insert_only;
    s->binary_whole = now->binary_whole;
    s->desc.name = s->name;
    s->desc.parts = s->parts;
    s->desc.keys = s->keys;
    s->desc.properties = s->properties;
    s->desc.schema = &s->schema;
    for (uint32_t i = 0; i < now->column_count; i++) {
        if (relax[i]) {
            s->schema.children[i]->flags |= ARROW_FLAG_NULLABLE;
            sluice_log(feed->src->host, SLUICE_LOG_INFO,
                       "a column that was not null has a NULL: it is nullable from here on "
                       "stream=%s column=%s",
                       fs->origin->name, s->schema.children[i]->name);
        }
    }
    fs->next = v;
    feed->announcing = fs;
    return SLUICE_OK;
}
