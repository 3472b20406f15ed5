/* What the server can tell of updated and deleted rows: replica identities, and what publications
 * hold. */
#include <stdio.h>
#include <stdlib.h>

#include "setup.h"

int pg_relation_capturable(const struct pg_relation *relation, int server_version)
{
    if (relation->persistence != 'p') {
        return 0; /* unlogged: nothing of it is in the log */
    }
    return relation->kind == 'r' || relation->kind == PG_KIND_MESSAGES ||
           (relation->kind == 'p' && server_version >= PG_SINCE_ROOTS);
}

/* "{1,2,3}" of the chosen relations' and all leaves' oids. */
static void add_oids(const struct pg_catalog *catalog, const uint32_t *chosen, uint32_t count,
                     struct sluice_pg_text *out)
{
    sluice_pg_text_add(out, "{");
    for (uint32_t i = 0; i < count; i++) {
        sluice_pg_text_format(out, "%s%u", i > 0 ? "," : "", catalog->relations[chosen[i]].oid);
    }
    for (uint32_t i = 0; i < catalog->leaf_count; i++) {
        sluice_pg_text_format(out, "%s%u", out->size > 1 ? "," : "", catalog->leaves[i].oid);
    }
    sluice_pg_text_add(out, "}");
}

/* "3 1 2" */
static uint32_t read_numbers(const char *text, int16_t *out, uint32_t cap)
{
    uint32_t n = 0;
    char *end = NULL;
    for (const char *p = text; *p != '\0' && n < cap; p = end) {
        long value = strtol(p, &end, 10);
        if (end == p) {
            break;
        }
        out[n++] = (int16_t)value;
    }
    return n;
}

static void set_identity(struct pg_relation *r, const PGresult *result, int row)
{
    r->identity = 0;
    r->identity_count = 0;
    r->identity_names = "";
    if (r->replica_identity == 'f') {
        r->identity = PG_IDENTITY_FULL_ROW;
    }
    else if (!PQgetisnull(result, row, 1)) {
        r->identity = PG_IDENTITY_COLUMNS;
        r->identity_count = read_numbers(PQgetvalue(result, row, 1), r->identity_keys,
                                         sizeof r->identity_keys / sizeof r->identity_keys[0]);
        r->identity_names = PQgetvalue(result, row, 2);
    }
    r->identity_index = PQgetvalue(result, row, 3);
    r->identity_primary = PQgetvalue(result, row, 4)[0] == 't';
}

sluice_status pg_catalog_load_identity(struct sluice_pg_conn *conn, struct pg_catalog *catalog,
                                       const uint32_t *chosen, uint32_t count,
                                       struct sluice_error *err)
{
    /* As RelationGetIndexList() of the server decides. `candidate`: what could serve instead. */
    static const char sql[] =
        "SELECT c.oid,"
        " (SELECT pg_catalog.string_agg(k.attnum::pg_catalog.text, ' ' ORDER BY k.place)"
        "  FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, place)"
        "  WHERE k.place <= i.indnkeyatts),"
        " (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ',' ORDER BY a.attname)"
        "  FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, place)"
        "  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum"
        "  WHERE k.place <= i.indnkeyatts),"
        " coalesce(n.name, ''), coalesce(n.indisprimary, false)"
        " FROM pg_catalog.pg_class c"
        " LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisvalid"
        "  AND i.indisunique AND i.indimmediate AND i.indpred IS NULL"
        "  AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident"
        "   ELSE false END"
        " LEFT JOIN LATERAL (SELECT x.relname::pg_catalog.text AS name, u.indisprimary"
        "  FROM pg_catalog.pg_index u JOIN pg_catalog.pg_class x ON x.oid = u.indexrelid"
        "  WHERE u.indrelid = c.oid AND u.indisvalid AND u.indisunique AND u.indimmediate"
        "   AND u.indpred IS NULL AND u.indexprs IS NULL AND NOT EXISTS (SELECT"
        "    FROM pg_catalog.unnest(u.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, "
        "place)"
        "    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum"
        "    WHERE k.place <= u.indnkeyatts AND NOT a.attnotnull)"
        "  ORDER BY u.indisprimary DESC, u.indnkeyatts, x.relname LIMIT 1) n ON true"
        " WHERE c.oid = ANY($1::pg_catalog.oid[])";
    struct sluice_pg_text oids = {0};
    PGresult *result = NULL;
    add_oids(catalog, chosen, count, &oids);
    sluice_status st = sluice_pg_text_check(&oids, err);
    if (st >= 0) {
        const char *params[] = {oids.data};
        st = sluice_pg_query(conn, "read the replica identities", sql, 1, params, &result, err);
    }
    sluice_pg_text_free(&oids);
    SLUICE_TRY(st);
    SLUICE_TRY(pg_catalog_keep(catalog, result, err));
    for (int i = 0; i < PQntuples(result); i++) {
        struct pg_relation *r =
            pg_catalog_find(catalog, (uint32_t)strtoul(PQgetvalue(result, i, 0), NULL, 10));
        if (r != NULL) {
            set_identity(r, result, i);
        }
    }
    return SLUICE_OK;
}

sluice_status pg_catalog_load_published(struct sluice_pg_conn *conn, struct pg_catalog *catalog,
                                        char (*publications)[64], uint32_t count,
                                        struct sluice_error *err)
{
    static const char select[] =
        "SELECT c.oid, t.pubname = $1, %s"
        " FROM pg_catalog.pg_publication_tables t"
        " JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname"
        " JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename"
        " WHERE t.pubname IN ($1, $2)";
    static const char lists[] =
        "(SELECT pg_catalog.string_agg(a.attnum::pg_catalog.text, ' ')"
        " FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = ANY(t.attnames)),"
        " t.rowfilter";
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    if (count == 0) {
        return SLUICE_OK;
    }
    sluice_pg_text_format(&sql, select,
                          conn->server_version >= PG_SINCE_FILTERS ? lists : "NULL, NULL");
    sluice_status st = sluice_pg_text_check(&sql, err);
    if (st >= 0) {
        const char *params[] = {publications[0], publications[count - 1]};
        st = sluice_pg_query(conn, "read the publication", sql.data, 2, params, &result, err);
    }
    sluice_pg_text_free(&sql);
    SLUICE_TRY(st);
    SLUICE_TRY(pg_catalog_keep(catalog, result, err));
    for (int i = 0; i < PQntuples(result); i++) {
        struct pg_relation *r =
            pg_catalog_find(catalog, (uint32_t)strtoul(PQgetvalue(result, i, 0), NULL, 10));
        if (r != NULL) {
            r->published |= PQgetvalue(result, i, 1)[0] == 't' ? 1 : 2;
            r->published_columns = PQgetisnull(result, i, 2) ? NULL : PQgetvalue(result, i, 2);
            r->row_filter = PQgetisnull(result, i, 3) ? NULL : PQgetvalue(result, i, 3);
        }
    }
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- what can be captured ------- */

/* Adds the statement that gives `relation` an identity. */
static void add_remedy(struct pg_list *remedy, const struct pg_relation *relation, int full_row)
{
    struct sluice_pg_text text = {0};
    pg_identity_remedy(&text, relation, full_row);
    pg_list_add(remedy, "; ", text.data != NULL && !text.failed ? text.data : "");
    sluice_pg_text_free(&text);
}

/* Rows of a partition are told apart by the columns that the root's identity names: each partition
 * must log at least those. */
static int same_columns(const struct pg_relation *root, const struct pg_relation *leaf)
{
    return leaf->identity == PG_IDENTITY_COLUMNS &&
           strcmp(root->identity_names, leaf->identity_names) == 0;
}

int pg_identity_sound(const struct pg_catalog *catalog, const struct pg_relation *relation,
                      struct pg_list *remedy)
{
    int sound = relation->identity != 0;
    if (!sound) {
        add_remedy(remedy, relation, 0);
    }
    int index = relation->identity_index != NULL && relation->identity_index[0] != '\0';
    /* What the root is to have, or has. */
    int full = relation->identity == PG_IDENTITY_FULL_ROW || (relation->identity == 0 && !index);
    for (uint32_t i = 0; i < catalog->leaf_count && relation->kind == 'p'; i++) {
        const struct pg_relation *leaf = catalog->leaves[i].root == relation->oid
                                             ? pg_catalog_find(catalog, catalog->leaves[i].oid)
                                             : NULL;
        if (leaf == NULL || leaf->identity == PG_IDENTITY_FULL_ROW ||
            (!full && relation->identity == 0 && leaf->identity != 0) ||
            (!full && relation->identity != 0 && same_columns(relation, leaf))) {
            continue;
        }
        sound = 0;
        add_remedy(remedy, leaf, full || !leaf->identity_primary);
    }
    return sound;
}

static const char *why_not(const struct pg_relation *r, int version)
{
    switch (r->kind) {
    case 'v':
        return "is a view";
    case 'm':
        return "is a materialized view";
    case 'f':
        return "is a foreign table";
    case 'p':
        return version < PG_SINCE_ROOTS
                   ? "is partitioned, which needs PostgreSQL 13 (hint: partitions: leaves)"
                   : "is unlogged";
    default:
        return r->persistence == 'u' ? "is unlogged" : "is no table";
    }
}

/* Views and the like, and partitions that are such. */
static sluice_status check_kinds(const struct pg_facts *facts, const struct pg_catalog *catalog,
                                 const struct pg_chosen *chosen, uint32_t count,
                                 struct sluice_error *err)
{
    struct pg_list list = {.room = PG_MESSAGE_ROOM};
    char item[400];
    for (uint32_t i = 0; i < count; i++) {
        const struct pg_relation *r = chosen[i].relation;
        char *name = pg_stream_name(r);
        if (name != NULL && !pg_relation_capturable(r, facts->version)) {
            (void)snprintf(item, sizeof item, "%s %s", name, why_not(r, facts->version));
            pg_list_add(&list, "; ", item);
        }
        for (uint32_t k = 0; k < catalog->leaf_count && name != NULL && r->kind == 'p'; k++) {
            const struct pg_relation *leaf = &catalog->leaves[k];
            if (leaf->root == r->oid && !pg_relation_capturable(leaf, facts->version)) {
                (void)snprintf(item, sizeof item, "%s has the partition %s, which %s", name,
                               leaf->name, why_not(leaf, facts->version));
                pg_list_add(&list, "; ", item);
            }
        }
        free(name);
    }
    sluice_status st = SLUICE_OK;
    if (list.count > 0) {
        st = sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                              "%u of the chosen tables have no changes to capture: %s (hint: "
                              "exclude them under tables, or load them with mode: full_load_only)",
                              list.count, pg_list_end(&list));
    }
    pg_list_free(&list);
    return st;
}

static int listed(const char *name, const char *const *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(list[i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* A key column that is left out would leave updates and deletes without an address. */
static const char *missing_key(const struct sluice_stream_select *select,
                               const struct pg_relation *r, const struct pg_facts *facts,
                               const char **why)
{
    const int16_t *keys = r->identity == PG_IDENTITY_COLUMNS ? r->identity_keys : r->keys;
    uint32_t count = r->identity == PG_IDENTITY_COLUMNS ? r->identity_count : r->key_count;
    for (uint32_t i = 0; i < r->attribute_count; i++) {
        const struct pg_attribute *a = &r->attributes[i];
        int key = 0;
        for (uint32_t k = 0; k < count; k++) {
            key |= keys[k] == a->number;
        }
        if (!key) {
            continue;
        }
        *why = "is excluded";
        if ((select->include_count > 0 &&
             !listed(a->name, select->include_columns, select->include_count)) ||
            listed(a->name, select->exclude_columns, select->exclude_count)) {
            return a->name;
        }
        *why = "is generated, which the server does not send";
        if (a->generated != 0 && (facts->version < PG_SINCE_GENERATED || a->generated != 's')) {
            return a->name;
        }
    }
    return NULL;
}

static sluice_status check_keys(const struct pg_facts *facts, const struct pg_chosen *chosen,
                                uint32_t count, struct sluice_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct pg_relation *r = chosen[i].relation;
        const char *why = "";
        const char *name =
            chosen[i].insert_only ? NULL : missing_key(chosen[i].select, r, facts, &why);
        if (name != NULL) {
            return sluice_error_set(
                err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                "table %s: its key column \"%s\" %s: updates and deletes could not be told apart "
                "(hint: include it, or exclude the table)",
                chosen[i].select->name, name, why);
        }
    }
    return SLUICE_OK;
}

/* Policies would thin out the load, but not the changes. */
static sluice_status check_policies(const struct pg_facts *facts, const struct pg_chosen *chosen,
                                    uint32_t count, struct sluice_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!chosen[i].relation->row_security ||
            (chosen[i].select->flags & SLUICE_SELECT_LOAD) == 0) {
            continue;
        }
        struct sluice_pg_text role = {0};
        pg_name_ident(&role, facts->role);
        sluice_status st = sluice_error_set(
            err, SLUICE_E_PERMISSION, SLUICE_ERROR_FATAL,
            "table %s: row security applies to role %s: the load would have fewer rows than the "
            "changes are of (hint: ALTER ROLE %s BYPASSRLS)",
            chosen[i].select->name, facts->role, role.data != NULL ? role.data : "");
        sluice_pg_text_free(&role);
        return st;
    }
    return SLUICE_OK;
}

sluice_status pg_chosen_check(struct sluice_source *src, const struct pg_facts *facts,
                              const struct pg_catalog *catalog, struct pg_chosen *chosen,
                              uint32_t count, struct sluice_error *err)
{
    SLUICE_TRY(check_kinds(facts, catalog, chosen, count, err));
    struct pg_list remedies = {.room = PG_MESSAGE_ROOM};
    uint32_t bad = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (chosen[i].relation->kind == PG_KIND_MESSAGES) {
            continue;
        }
        int sound = pg_identity_sound(catalog, chosen[i].relation, &remedies);
        chosen[i].insert_only = !sound && src->options.without_identity == PG_IDENTITY_INSERT_ONLY;
        bad += !sound && !chosen[i].insert_only;
    }
    sluice_status st = SLUICE_OK;
    if (bad > 0) {
        st = sluice_error_set(
            err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
            "%u of the chosen tables have no replica identity: the source's own updates and "
            "deletes would fail once they are published. Nothing was created. Run: %s (hint: or "
            "add primary keys, or capture their inserts alone with without_identity: insert_only)",
            bad, pg_list_end(&remedies));
    }
    pg_list_free(&remedies);
    SLUICE_TRY(st);
    SLUICE_TRY(check_policies(facts, chosen, count, err));
    return check_keys(facts, chosen, count, err);
}
