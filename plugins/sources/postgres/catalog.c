/* Reading the catalog: a handful of queries for the whole database, none per table. */
#include <stdlib.h>

#include "pg/error.h"
#include "source.h"

static uint32_t get_oid(const PGresult *r, int row, int column)
{
    return (uint32_t)strtoul(PQgetvalue(r, row, column), NULL, 10);
}

static int64_t get_int(const PGresult *r, int row, int column)
{
    return (int64_t)strtoll(PQgetvalue(r, row, column), NULL, 10);
}

static int32_t get_bool(const PGresult *r, int row, int column)
{
    return PQgetvalue(r, row, column)[0] == 't';
}

sluice_status pg_catalog_keep(struct pg_catalog *catalog, PGresult *result,
                              struct sluice_error *err)
{
    if (catalog->result_count == sizeof catalog->results / sizeof catalog->results[0]) {
        PQclear(result);
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "too many catalog results");
    }
    catalog->results[catalog->result_count++] = result;
    return SLUICE_OK;
}

static sluice_status no_memory(struct sluice_error *err, int n)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for %d catalog rows", n);
}

/* The columns that relation_fill reads, over pg_class c, pg_namespace n, pg_am m, pg_class x. */
#define RELATION_COLUMNS                                                                       \
    "c.oid, n.nspname, c.relname, c.relkind, c.relispartition, c.relreplident,"                \
    " pg_catalog.has_schema_privilege(n.oid, 'USAGE'),"                                        \
    " pg_catalog.has_table_privilege(c.oid, 'SELECT'), pg_catalog.row_security_active(c.oid)," \
    " coalesce(m.amname = 'heap', false), c.relispopulated,"                                   \
    " CASE WHEN c.relpages = 0 AND c.reltuples <= 0 THEN -1 ELSE c.reltuples END, c.relpages," \
    " coalesce(x.relpages, 0), c.relpersistence,"                                              \
    " pg_catalog.pg_has_role(c.relowner, 'USAGE')"
#define RELATION_JOINS                                          \
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" \
    " LEFT JOIN pg_catalog.pg_am m ON m.oid = c.relam"          \
    " LEFT JOIN pg_catalog.pg_class x ON x.oid = c.reltoastrelid"
enum { RELATION_COLUMN_COUNT = 16, BLOCK_BYTES = 8192 };

static void relation_fill(struct pg_relation *r, const PGresult *result, int row)
{
    r->oid = get_oid(result, row, 0);
    r->schema = PQgetvalue(result, row, 1);
    r->name = PQgetvalue(result, row, 2);
    r->kind = PQgetvalue(result, row, 3)[0];
    r->is_partition = get_bool(result, row, 4);
    r->replica_identity = PQgetvalue(result, row, 5)[0];
    r->schema_usable = get_bool(result, row, 6);
    r->readable = get_bool(result, row, 7);
    r->row_security = get_bool(result, row, 8);
    r->heap = get_bool(result, row, 9);
    r->populated = get_bool(result, row, 10);
    r->row_estimate = strtod(PQgetvalue(result, row, 11), NULL);
    r->pages = get_int(result, row, 12);
    r->toast_bytes = get_int(result, row, 13) * BLOCK_BYTES;
    r->persistence = PQgetvalue(result, row, 14)[0];
    r->owned = get_bool(result, row, 15);
}

sluice_status pg_catalog_load(struct sluice_pg_conn *conn, struct pg_catalog *catalog,
                              struct sluice_error *err)
{
    static const char sql[] =
        "SELECT " RELATION_COLUMNS " FROM pg_catalog.pg_class c" RELATION_JOINS
        " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'"
        " AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY c.oid";
    PGresult *result = NULL;
    SLUICE_TRY(sluice_pg_query(conn, "read the catalog of tables", sql, 0, NULL, &result, err));
    SLUICE_TRY(pg_catalog_keep(catalog, result, err));
    int n = PQntuples(result);
    catalog->relations = calloc((size_t)n + 1, sizeof *catalog->relations);
    if (catalog->relations == NULL) {
        return no_memory(err, n);
    }
    for (int i = 0; i < n; i++) {
        relation_fill(&catalog->relations[i], result, i);
    }
    catalog->relation_count = (uint32_t)n;
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- columns, keys -------------- */

static struct pg_relation *find_relation(const struct pg_catalog *catalog, uint32_t oid)
{
    uint32_t low = 0;
    uint32_t high = catalog->relation_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (catalog->relations[mid].oid < oid) {
            low = mid + 1;
        }
        else {
            high = mid;
        }
    }
    return low < catalog->relation_count && catalog->relations[low].oid == oid
               ? &catalog->relations[low]
               : NULL;
}

struct pg_relation *pg_catalog_find(const struct pg_catalog *catalog, uint32_t oid)
{
    struct pg_relation *r = find_relation(catalog, oid);
    for (uint32_t i = 0; i < catalog->leaf_count && r == NULL; i++) {
        r = catalog->leaves[i].oid == oid ? &catalog->leaves[i] : NULL;
    }
    return r;
}

/* "{1,2,3}" of the chosen relations' oids. */
static void oid_array(const struct pg_catalog *catalog, const uint32_t *chosen, uint32_t count,
                      struct sluice_pg_text *out)
{
    sluice_pg_text_add(out, "{");
    for (uint32_t i = 0; i < count; i++) {
        sluice_pg_text_format(out, "%s%u", i > 0 ? "," : "", catalog->relations[chosen[i]].oid);
    }
    sluice_pg_text_add(out, "}");
}

static const char *get_text(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

static sluice_status load_attributes(struct sluice_pg_conn *conn, struct pg_catalog *catalog,
                                     const char *oids, struct sluice_error *err)
{
    /* Not-null constraints may be "not valid" since 18: then NULLs can be there all the same. */
    static const char select[] =
        "SELECT a.attrelid, a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),"
        " a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated, a.attidentity,"
        " CASE WHEN pg_catalog.has_table_privilege(a.attrelid, 'SELECT') THEN true"
        "  ELSE pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT') END, %s,"
        " " PG_TYPE_BASE(
            "a.atttypmod") ", " PG_TYPE_LABELS ", " PG_COLUMN_DEFAULT ", " PG_COLUMN_MISSING
                           ", " PG_COLUMN_COLLATION
                           " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = "
                           "a.atttypid WHERE a.attrelid = ANY($1::pg_catalog.oid[])"
                           " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum";
    static const char not_valid[] =
        "EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = a.attrelid"
        " AND k.contype = 'n' AND NOT k.convalidated AND a.attnum = ANY(k.conkey))";
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    const char *params[] = {oids};
    sluice_pg_text_format(&sql, select, conn->server_version >= 180000 ? not_valid : "false");
    sluice_status st = sluice_pg_text_check(&sql, err);
    if (st >= 0) {
        st =
            sluice_pg_query(conn, "read the catalog of columns", sql.data, 1, params, &result, err);
    }
    sluice_pg_text_free(&sql);
    SLUICE_TRY(st);
    SLUICE_TRY(pg_catalog_keep(catalog, result, err));
    int n = PQntuples(result);
    free(catalog->attributes);
    catalog->attributes = calloc((size_t)n + 1, sizeof *catalog->attributes);
    if (catalog->attributes == NULL) {
        return no_memory(err, n);
    }
    struct pg_relation *relation = NULL;
    for (int i = 0; i < n; i++) {
        struct pg_attribute *a = &catalog->attributes[i];
        uint32_t oid = get_oid(result, i, 0);
        a->number = (int16_t)get_int(result, i, 1);
        a->name = PQgetvalue(result, i, 2);
        a->native = PQgetvalue(result, i, 3);
        a->type = get_oid(result, i, 4);
        a->typmod = (int32_t)get_int(result, i, 5);
        a->not_null = get_bool(result, i, 6) && !get_bool(result, i, 10);
        a->generated = PQgetvalue(result, i, 7)[0];
        a->identity = PQgetvalue(result, i, 8)[0];
        a->readable = get_bool(result, i, 9);
        a->base = get_text(result, i, 11);
        a->labels = get_text(result, i, 12);
        a->initial = get_text(result, i, 13);
        a->missing = get_text(result, i, 14);
        a->collation = get_text(result, i, 15);
        a->relation = oid;
        a->real = a->number;
        if (relation == NULL || relation->oid != oid) {
            relation = find_relation(catalog, oid);
            if (relation == NULL) {
                continue;
            }
            relation->attributes = a;
            relation->attribute_count = 0;
        }
        relation->attribute_count++;
    }
    return SLUICE_OK;
}

static sluice_status load_keys(struct sluice_pg_conn *conn, struct pg_catalog *catalog,
                               const char *oids, struct sluice_error *err)
{
    static const char sql[] =
        "SELECT i.indrelid, k.attnum FROM pg_catalog.pg_index i"
        " CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[])"
        "  WITH ORDINALITY AS k(attnum, place)"
        " WHERE i.indrelid = ANY($1::pg_catalog.oid[]) AND i.indisprimary AND i.indimmediate"
        " AND i.indisvalid AND k.place <= i.indnkeyatts ORDER BY i.indrelid, k.place";
    PGresult *result = NULL;
    const char *params[] = {oids};
    SLUICE_TRY(sluice_pg_query(conn, "read the catalog of keys", sql, 1, params, &result, err));
    for (int i = 0; i < PQntuples(result); i++) {
        struct pg_relation *r = find_relation(catalog, get_oid(result, i, 0));
        if (r != NULL && r->key_count < sizeof r->keys / sizeof r->keys[0]) {
            r->keys[r->key_count++] = (int16_t)get_int(result, i, 1);
        }
    }
    PQclear(result);
    return SLUICE_OK;
}

sluice_status pg_catalog_load_columns(struct sluice_pg_conn *conn, struct pg_catalog *catalog,
                                      const uint32_t *chosen, uint32_t count,
                                      struct sluice_error *err)
{
    struct sluice_pg_text oids = {0};
    oid_array(catalog, chosen, count, &oids);
    sluice_status st = sluice_pg_text_check(&oids, err);
    if (st >= 0) {
        st = load_attributes(conn, catalog, oids.data, err);
    }
    if (st >= 0) {
        st = load_keys(conn, catalog, oids.data, err);
    }
    if (st >= 0) {
        sluice_pg_types_free(catalog->types);
        catalog->types = NULL;
        st = sluice_pg_types_load(conn, oids.data, &catalog->types, err);
    }
    sluice_pg_text_free(&oids);
    return st;
}

/* ---------------------------------------------------------------- leaves, sizes -------------- */

sluice_status pg_catalog_load_leaves(struct sluice_pg_conn *conn, struct pg_catalog *catalog,
                                     const uint32_t *chosen, uint32_t count,
                                     struct sluice_error *err)
{
    /* By the catalog's rows, not pg_partition_tree(): those the snapshot sees. */
    static const char select[] =
        "WITH RECURSIVE tree(root, oid, kind) AS ("
        " SELECT c.oid, c.oid, c.relkind FROM pg_catalog.pg_class c"
        "  WHERE c.oid = ANY($1::pg_catalog.oid[]) AND c.relkind = 'p'"
        " UNION ALL"
        " SELECT t.root, c.oid, c.relkind FROM tree t"
        "  JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid %s"
        "  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE t.kind = 'p')"
        " SELECT " RELATION_COLUMNS ", t.root FROM tree t"
        " JOIN pg_catalog.pg_class c ON c.oid = t.oid" RELATION_JOINS
        " WHERE t.kind <> 'p' ORDER BY t.root, c.oid";
    struct sluice_pg_text oids = {0};
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    oid_array(catalog, chosen, count, &oids);
    sluice_pg_text_format(&sql, select,
                          conn->server_version >= 140000 ? "AND NOT i.inhdetachpending" : "");
    sluice_status st = sluice_pg_text_check(&oids, err);
    if (st >= 0) {
        st = sluice_pg_text_check(&sql, err);
    }
    if (st >= 0) {
        const char *params[] = {oids.data};
        st = sluice_pg_query(conn, "read the catalog of partitions", sql.data, 1, params, &result,
                             err);
    }
    if (st >= 0) {
        st = pg_catalog_keep(catalog, result, err);
    }
    if (st >= 0) {
        int n = PQntuples(result);
        catalog->leaves = calloc((size_t)n + 1, sizeof *catalog->leaves);
        if (catalog->leaves == NULL) {
            st = no_memory(err, n);
        }
        for (int i = 0; i < n && st >= 0; i++) {
            relation_fill(&catalog->leaves[i], result, i);
            catalog->leaves[i].root = get_oid(result, i, RELATION_COLUMN_COUNT);
            catalog->leaf_count = (uint32_t)i + 1;
        }
    }
    sluice_pg_text_free(&oids);
    sluice_pg_text_free(&sql);
    return st;
}

static void set_size(struct pg_relation *r, const PGresult *result, int row)
{
    if (r != NULL && !PQgetisnull(result, row, 1)) {
        r->pages = get_int(result, row, 1);
        r->toast_bytes = get_int(result, row, 2);
    }
}

sluice_status pg_catalog_load_sizes(struct sluice_pg_conn *conn, struct pg_catalog *catalog,
                                    const uint32_t *chosen, uint32_t count,
                                    struct sluice_error *err)
{
    static const char what[] = "read the sizes of tables";
    /* pg_relation_size takes a lock and so can wait for one: not for long, then estimates do. */
    static const char sql[] = "SELECT c.oid, pg_catalog.pg_relation_size(c.oid)"
                              " / pg_catalog.current_setting('block_size')::pg_catalog.int8,"
                              " CASE WHEN c.reltoastrelid = 0 THEN 0"
                              "  ELSE coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0) END"
                              " FROM pg_catalog.pg_class c WHERE c.oid = ANY($1::pg_catalog.oid[])"
                              " AND c.relkind IN ('r', 'm')";
    struct sluice_pg_text oids = {0};
    PGresult *result = NULL;
    oid_array(catalog, chosen, count, &oids);
    if (catalog->leaf_count > 0 && oids.size > 0) {
        oids.size--; /* reopen the literal */
        for (uint32_t i = 0; i < catalog->leaf_count; i++) {
            sluice_pg_text_format(&oids, "%s%u", oids.size > 1 ? "," : "", catalog->leaves[i].oid);
        }
        sluice_pg_text_add(&oids, "}");
    }
    sluice_status st = sluice_pg_text_check(&oids, err);
    if (st >= 0) {
        st = sluice_pg_command(conn, what, "SAVEPOINT sizes; SET LOCAL lock_timeout = '2s'", err);
    }
    if (st >= 0) {
        const char *params[] = {oids.data};
        st = sluice_pg_query(conn, what, sql, 1, params, &result, err);
        if (st == SLUICE_E_TIMEOUT || st == SLUICE_E_DATA || st == SLUICE_E_SCHEMA) {
            st = PQstatus(conn->pg) == CONNECTION_OK ? SLUICE_OK : st;
        }
    }
    if (st >= 0) {
        st = sluice_pg_command(conn, what, "ROLLBACK TO SAVEPOINT sizes", err);
    }
    for (int i = 0; st >= 0 && result != NULL && i < PQntuples(result); i++) {
        uint32_t oid = get_oid(result, i, 0);
        set_size(find_relation(catalog, oid), result, i);
        for (uint32_t k = 0; k < catalog->leaf_count; k++) {
            if (catalog->leaves[k].oid == oid) {
                set_size(&catalog->leaves[k], result, i);
            }
        }
    }
    PQclear(result);
    sluice_pg_text_free(&oids);
    return st;
}

/* ---------------------------------------------------------------- names ---------------------- */

struct name_entry {
    char *name;
    uint32_t index;
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct name_entry *)a)->name, ((const struct name_entry *)b)->name);
}

static void free_names(struct name_entry *names, uint32_t count)
{
    for (uint32_t i = 0; names != NULL && i < count; i++) {
        free(names[i].name);
    }
    free(names);
}

sluice_status pg_catalog_match(const struct pg_catalog *catalog,
                               const struct sluice_source_plan *plan, uint32_t *chosen,
                               struct sluice_error *err)
{
    struct name_entry *names = calloc(catalog->relation_count + 1u, sizeof *names);
    if (names == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for names");
    }
    uint32_t n = 0;
    for (; n < catalog->relation_count; n++) {
        names[n].name = pg_stream_name(&catalog->relations[n]);
        names[n].index = n;
        if (names[n].name == NULL) {
            free_names(names, n);
            return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for names");
        }
    }
    qsort(names, n, sizeof *names, compare_names);
    for (uint32_t i = 0; i < plan->stream_count; i++) {
        struct name_entry key = {(char *)(uintptr_t)plan->streams[i]->name, 0};
        struct name_entry *found = bsearch(&key, names, n, sizeof key, compare_names);
        chosen[i] = found != NULL ? found->index : UINT32_MAX;
    }
    free_names(names, n);
    return SLUICE_OK;
}

void pg_catalog_free(struct pg_catalog *catalog)
{
    for (uint32_t i = 0; i < catalog->result_count; i++) {
        PQclear(catalog->results[i]);
    }
    free(catalog->relations);
    free(catalog->leaves);
    free(catalog->attributes);
    sluice_pg_types_free(catalog->types);
    memset(catalog, 0, sizeof *catalog);
}
