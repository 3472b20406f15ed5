/* A table takes another one's place. */
#include <stdlib.h>
#include <string.h>

#include "load_internal.h"

sluice_status sluice_pgsink_swap_possible(struct sluice_pg_conn *conn, const char *quoted,
                                          int *possible, struct sluice_error *err)
{
    char *value = NULL;
    const char *const params[] = {quoted};
    /* Views and rules, foreign keys either way, triggers, policies, partitions and children, publications,
     * sequences that belong to it, extended statistics, functions over its row type. */
    SLUICE_TRY(sluice_pgsink_value(
        conn, "look what hangs on the target table",
        "SELECT c.relkind = 'r' AND NOT c.relhassubclass AND NOT c.relispartition AND NOT "
        "c.relrowsecurity AND NOT c.relhasrules AND c.relreplident = 'd' "
        "AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refobjid = c.oid AND "
        "d.refclassid "
        "= 'pg_catalog.pg_class'::regclass AND (d.deptype = 'n' OR d.classid NOT IN "
        "('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_constraint'::regclass, "
        "'pg_catalog.pg_attrdef'::regclass, 'pg_catalog.pg_type'::regclass) OR (d.classid = "
        "'pg_catalog.pg_class'::regclass AND d.deptype = 'a' AND EXISTS (SELECT FROM "
        "pg_catalog.pg_class s WHERE s.oid = d.objid AND s.relkind = 'S')))) "
        "AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND "
        "(k.conrelid "
        "= c.oid OR k.confrelid = c.oid)) "
        "AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid) "
        "AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel p WHERE p.prrelid = c.oid) "
        "AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid) "
        "AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refobjid = c.reltype AND "
        "d.refclassid = 'pg_catalog.pg_type'::regclass AND d.deptype = 'n') "
        "FROM pg_catalog.pg_class c WHERE c.oid = $1::regclass",
        1, params, &value, err));
    *possible = value[0] == 't';
    free(value);
    return SLUICE_OK;
}

/* The statements that make `shadow` look like the table: owner, rights, comment. */
static sluice_status read_statements(struct sluice_pg_conn *conn, const char *quoted,
                                     const char *shadow, char **out, struct sluice_error *err)
{
    const char *const params[] = {quoted, shadow};
    return sluice_pgsink_value(
        conn, "read owner and rights of the target table",
        "SELECT pg_catalog.concat_ws('; ', "
        "(SELECT pg_catalog.string_agg(pg_catalog.format('GRANT %s ON %s TO %s%s', "
        "a.privilege_type, "
        "$2::text, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, CASE "
        "WHEN "
        "a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), '; ') FROM "
        "pg_catalog.aclexplode(c.relacl) a WHERE a.grantee <> c.relowner), "
        "CASE WHEN pg_catalog.obj_description(c.oid, 'pg_class') IS NOT NULL THEN "
        "pg_catalog.format('COMMENT ON TABLE %s IS %L', $2::text, "
        "pg_catalog.obj_description(c.oid, "
        "'pg_class')) END, "
        "CASE WHEN c.relowner <> (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = "
        "current_user) "
        "THEN pg_catalog.format('ALTER TABLE %s OWNER TO %s', $2::text, c.relowner::regrole) END) "
        "FROM pg_catalog.pg_class c WHERE c.oid = $1::regclass",
        2, params, out, err);
}

/* LIKE … INCLUDING INDEXES makes them in the order of the table's own list. */
static sluice_status read_renames(struct sluice_pg_conn *conn, const char *quoted,
                                  const char *shadow, char **out, struct sluice_error *err)
{
    const char *const params[] = {quoted, shadow};
    return sluice_pgsink_value(
        conn, "read the indexes of the target table",
        "SELECT pg_catalog.string_agg(pg_catalog.format('ALTER INDEX %s RENAME TO %I', "
        "n.indexrelid::regclass, o.relname), '; ') FROM (SELECT i.indexrelid, c.relname, "
        "pg_catalog.row_number() OVER (ORDER BY i.indexrelid) r FROM pg_catalog.pg_index i JOIN "
        "pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1::regclass) o JOIN "
        "(SELECT i.indexrelid, pg_catalog.row_number() OVER (ORDER BY i.indexrelid) r FROM "
        "pg_catalog.pg_index i WHERE i.indrelid = $2::regclass) n USING (r)",
        2, params, out, err);
}

sluice_status sluice_pgsink_swap(struct sluice_pg_conn *conn, const char *schema, const char *name,
                                 const char *shadow, struct sluice_error *err)
{
    struct sluice_pg_text from = {0};
    struct sluice_pg_text to = {0};
    struct sluice_pg_text sql = {0};
    char *rights = NULL;
    char *renames = NULL;
    sluice_pg_text_ident(&from, schema);
    sluice_pg_text_add(&from, ".");
    sluice_pg_text_ident(&from, shadow);
    sluice_pg_text_ident(&to, schema);
    sluice_pg_text_add(&to, ".");
    sluice_pg_text_ident(&to, name);
    sluice_status status = sluice_pg_text_check(&from, err);
    if (status >= 0) {
        status = sluice_pg_text_check(&to, err);
    }
    if (status >= 0) {
        status = read_statements(conn, to.data, from.data, &rights, err);
    }
    if (status >= 0) {
        status = read_renames(conn, to.data, from.data, &renames, err);
    }
    if (status >= 0) {
        sluice_pg_text_format(&sql, "LOCK TABLE %s IN ACCESS EXCLUSIVE MODE; %s%s DROP TABLE %s; ",
                              to.data, rights, rights[0] != '\0' ? ";" : "", to.data);
        sluice_pg_text_format(&sql, "%s%s ALTER TABLE %s RENAME TO ", renames,
                              renames[0] != '\0' ? ";" : "", from.data);
        sluice_pg_text_ident(&sql, name);
        status = sluice_pgsink_run_text(conn, "put the load in the table's place", &sql, err);
    }
    free(rights);
    free(renames);
    sluice_pg_text_free(&from);
    sluice_pg_text_free(&to);
    return status;
}
