/* The catalog's types, loaded and kept. */
#include "pg/types.h"

#include <stdlib.h>
#include <string.h>

#include "pg/types_internal.h"

struct sluice_pg_types {
    struct sluice_pg_type_row *rows; /* sorted by oid */
    uint32_t count;
    struct sluice_pg_attribute_row *attributes; /* sorted by relation, then as in the type */
    uint32_t attribute_count;
};

static int compare_types(const void *a, const void *b)
{
    uint32_t x = ((const struct sluice_pg_type_row *)a)->oid;
    uint32_t y = ((const struct sluice_pg_type_row *)b)->oid;
    return (x > y) - (x < y);
}

const struct sluice_pg_type_row *sluice_pg_types_find(const struct sluice_pg_types *types,
                                                      uint32_t oid)
{
    struct sluice_pg_type_row key = {.oid = oid};
    if (types->count == 0) {
        return NULL;
    }
    return bsearch(&key, types->rows, types->count, sizeof key, compare_types);
}

const struct sluice_pg_attribute_row *sluice_pg_types_attributes(
    const struct sluice_pg_types *types, uint32_t relation, uint32_t *count)
{
    uint32_t low = 0;
    uint32_t high = types->attribute_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (types->attributes[mid].relation < relation) {
            low = mid + 1;
        }
        else {
            high = mid;
        }
    }
    uint32_t n = 0;
    while (low + n < types->attribute_count && types->attributes[low + n].relation == relation) {
        n++;
    }
    *count = n;
    return n > 0 ? &types->attributes[low] : NULL;
}

void sluice_pg_types_free(struct sluice_pg_types *types)
{
    if (types == NULL) {
        return;
    }
    for (uint32_t i = 0; i < types->count; i++) {
        free((char *)(uintptr_t)types->rows[i].output);
        free((char *)(uintptr_t)types->rows[i].cast_name);
        free((char *)(uintptr_t)types->rows[i].send);
    }
    for (uint32_t i = 0; i < types->attribute_count; i++) {
        free((char *)(uintptr_t)types->attributes[i].name);
    }
    free(types->rows);
    free(types->attributes);
    free(types);
}

sluice_status sluice_pg_types_make(const struct sluice_pg_type_row *rows, uint32_t count,
                                   const struct sluice_pg_attribute_row *attributes,
                                   uint32_t attribute_count, struct sluice_pg_types **out,
                                   struct sluice_error *err)
{
    struct sluice_pg_types *t = calloc(1, sizeof *t);
    if (t == NULL) {
        goto nomem;
    }
    t->rows = calloc(count > 0 ? count : 1, sizeof *t->rows);
    t->attributes = calloc(attribute_count > 0 ? attribute_count : 1, sizeof *t->attributes);
    if (t->rows == NULL || t->attributes == NULL) {
        goto nomem;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct sluice_pg_type_row *r = &t->rows[i];
        *r = rows[i];
        r->output = strdup(rows[i].output);
        r->cast_name = strdup(rows[i].cast_name);
        r->send = strdup(rows[i].send);
        t->count = i + 1;
        if (r->output == NULL || r->cast_name == NULL || r->send == NULL) {
            goto nomem;
        }
    }
    for (uint32_t i = 0; i < attribute_count; i++) {
        t->attributes[i] = attributes[i];
        t->attributes[i].name = strdup(attributes[i].name);
        t->attribute_count = i + 1;
        if (t->attributes[i].name == NULL) {
            goto nomem;
        }
    }
    if (t->count > 0) {
        qsort(t->rows, t->count, sizeof *t->rows, compare_types);
    }
    *out = t;
    return SLUICE_OK;
nomem:
    sluice_pg_types_free(t);
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for %u types", count);
}

/* The types of the relations' columns, their domains' bases, array elements and composite parts.
 * An array is true if get_element_type would say so: by its subscript handler since 14, by its
 * length before; both agree with typlen = -1 and an array output function. */
static const char used_by_relations[] =
    "WITH RECURSIVE used(oid) AS ("
    " SELECT DISTINCT a.atttypid FROM pg_catalog.pg_attribute a"
    "  WHERE a.attrelid = ANY($1::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped";

static const char used_by_name[] =
    "WITH RECURSIVE used(oid) AS ("
    " SELECT DISTINCT x FROM pg_catalog.unnest($1::pg_catalog.oid[]) x";

static const char closure_cte[] =
    " UNION"
    " SELECT p.oid FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid"
    "  CROSS JOIN LATERAL ("
    "   SELECT t.typelem WHERE t.typelem <> 0 AND t.typlen = -1"
    "   UNION ALL SELECT t.typbasetype WHERE t.typbasetype <> 0"
    "   UNION ALL SELECT b.atttypid FROM pg_catalog.pg_attribute b"
    "    WHERE t.typtype = 'c' AND b.attrelid = t.typrelid AND b.attnum > 0"
    "     AND NOT b.attisdropped) p(oid))";

static const char types_select[] =
    " SELECT t.oid, t.typtype, t.typdelim,"
    "  CASE WHEN t.typlen = -1 AND o.proname = 'array_out' THEN t.typelem ELSE 0 END,"
    "  t.typbasetype, t.typtypmod, t.typrelid,"
    "  pg_catalog.has_schema_privilege(o.pronamespace, 'USAGE')"
    "   AND pg_catalog.has_function_privilege(o.oid, 'EXECUTE'),"
    "  pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(o.proname),"
    "  pg_catalog.format_type(t.oid, -1), coalesce(s.proname, '')"
    " FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid"
    "  JOIN pg_catalog.pg_proc o ON o.oid = t.typoutput"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = o.pronamespace"
    "  LEFT JOIN pg_catalog.pg_proc s ON s.oid = t.typsend ORDER BY t.oid";

static const char attributes_select[] =
    " SELECT a.attrelid, a.atttypid, a.atttypmod, a.attname"
    " FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid AND t.typtype = 'c'"
    "  JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0"
    "   AND NOT a.attisdropped"
    " ORDER BY a.attrelid, a.attnum";

static uint32_t get_oid(const PGresult *r, int row, int column)
{
    return (uint32_t)strtoul(PQgetvalue(r, row, column), NULL, 10);
}

static int32_t get_int(const PGresult *r, int row, int column)
{
    return (int32_t)strtol(PQgetvalue(r, row, column), NULL, 10);
}

static sluice_status query_closure(struct sluice_pg_conn *conn, const char *used,
                                   const char *select, const char *oids, PGresult **out,
                                   struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    sluice_pg_text_add(&sql, used);
    sluice_pg_text_add(&sql, closure_cte);
    sluice_pg_text_add(&sql, select);
    sluice_status st = sluice_pg_text_check(&sql, err);
    if (st >= 0) {
        const char *params[] = {oids};
        st = sluice_pg_query(conn, "read the catalog of types", sql.data, 1, params, out, err);
    }
    sluice_pg_text_free(&sql);
    return st;
}

static sluice_status load(struct sluice_pg_conn *conn, const char *used, const char *oids,
                          struct sluice_pg_types **out, struct sluice_error *err)
{
    PGresult *types = NULL;
    PGresult *attributes = NULL;
    struct sluice_pg_type_row *rows = NULL;
    struct sluice_pg_attribute_row *parts = NULL;
    sluice_status st = query_closure(conn, used, types_select, oids, &types, err);
    if (st >= 0) {
        st = query_closure(conn, used, attributes_select, oids, &attributes, err);
    }
    if (st < 0) {
        goto out;
    }
    int n = PQntuples(types);
    int m = PQntuples(attributes);
    rows = calloc((size_t)n + 1, sizeof *rows);
    parts = calloc((size_t)m + 1, sizeof *parts);
    if (rows == NULL || parts == NULL) {
        st = sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for %d types", n);
        goto out;
    }
    for (int i = 0; i < n; i++) {
        rows[i].oid = get_oid(types, i, 0);
        rows[i].kind = PQgetvalue(types, i, 1)[0];
        rows[i].delimiter = PQgetvalue(types, i, 2)[0];
        rows[i].element = get_oid(types, i, 3);
        rows[i].base = get_oid(types, i, 4);
        rows[i].base_typmod = get_int(types, i, 5);
        rows[i].relation = get_oid(types, i, 6);
        rows[i].output_usable = PQgetvalue(types, i, 7)[0] == 't';
        rows[i].output = PQgetvalue(types, i, 8);
        rows[i].cast_name = PQgetvalue(types, i, 9);
        rows[i].send = PQgetvalue(types, i, 10);
    }
    for (int i = 0; i < m; i++) {
        parts[i].relation = get_oid(attributes, i, 0);
        parts[i].type = get_oid(attributes, i, 1);
        parts[i].typmod = get_int(attributes, i, 2);
        parts[i].name = PQgetvalue(attributes, i, 3);
    }
    st = sluice_pg_types_make(rows, (uint32_t)n, parts, (uint32_t)m, out, err);
out:
    free(rows);
    free(parts);
    PQclear(types);
    PQclear(attributes);
    return st;
}

sluice_status sluice_pg_types_load(struct sluice_pg_conn *conn, const char *relations,
                                   struct sluice_pg_types **out, struct sluice_error *err)
{
    return load(conn, used_by_relations, relations, out, err);
}

sluice_status sluice_pg_types_load_oids(struct sluice_pg_conn *conn, const char *types,
                                        struct sluice_pg_types **out, struct sluice_error *err)
{
    return load(conn, used_by_name, types, out, err);
}
