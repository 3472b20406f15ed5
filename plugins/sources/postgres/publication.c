/* Publications: what they hold, what is missing, and the statements that make ours fit. */
#include <stdio.h>
#include <stdlib.h>

#include "setup.h"

static int compare_oids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int has_oid(const uint32_t *oids, uint32_t count, uint32_t oid)
{
    return count > 0 && bsearch(&oid, oids, count, sizeof oid, compare_oids) != NULL;
}

static void add_comment(struct sluice_pg_text *text, const char *pipeline)
{
    struct sluice_pg_text plain = {0};
    sluice_pg_text_format(&plain, "sluice: made for pipeline %s",
                          pipeline != NULL ? pipeline : "(none)");
    sluice_pg_text_literal(text, plain.data != NULL ? plain.data : "sluice:");
    text->failed |= plain.failed;
    sluice_pg_text_free(&plain);
}

/* ---------------------------------------------------------------- reading -------------------- */

sluice_status pg_publication_read(struct sluice_pg_conn *conn, const char *name,
                                  const char *pipeline, struct pg_publication *out,
                                  struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    PGresult *r = NULL;
    memset(out, 0, sizeof *out);
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    sluice_pg_text_add(&sql,
                       "SELECT coalesce(pg_catalog.obj_description(p.oid, 'pg_publication') = ");
    add_comment(&sql, pipeline);
    sluice_pg_text_format(&sql,
                          ", false), pg_catalog.pg_has_role(p.pubowner, 'USAGE'), p.puballtables,"
                          " p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, %s, %s"
                          " FROM pg_catalog.pg_publication p WHERE p.pubname = ",
                          conn->server_version >= PG_SINCE_ROOTS ? "p.pubviaroot" : "false",
                          conn->server_version >= PG_SINCE_GENERATED ? "p.pubgencols = 's'"
                                                                     : "false");
    sluice_pg_text_literal(&sql, name);
    sluice_status st = sluice_pg_text_check(&sql, err);
    if (st >= 0) {
        st = sluice_pg_query(conn, "read the publication", sql.data, 0, NULL, &r, err);
    }
    sluice_pg_text_free(&sql);
    SLUICE_TRY(st);
    if (PQntuples(r) == 1) {
        int32_t *const members[] = {&out->ours,      &out->owned,    &out->all_tables,
                                    &out->inserts,   &out->updates,  &out->deletes,
                                    &out->truncates, &out->via_root, &out->generated};
        out->exists = 1;
        for (int i = 0; i < (int)(sizeof members / sizeof members[0]); i++) {
            *members[i] = PQgetvalue(r, 0, i)[0] == 't';
        }
    }
    PQclear(r);
    return SLUICE_OK;
}

/* The tables that were named when the publication was made or altered, sorted. The caller frees. */
static sluice_status read_members(struct sluice_pg_conn *conn, const char *name, uint32_t **out,
                                  uint32_t *count, struct sluice_error *err)
{
    static const char sql[] =
        "SELECT r.prrelid FROM pg_catalog.pg_publication_rel r"
        " JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $1";
    const char *params[] = {name};
    PGresult *r = NULL;
    SLUICE_TRY(sluice_pg_query(conn, "read the publication", sql, 1, params, &r, err));
    int n = PQntuples(r);
    *out = calloc((size_t)n + 1, sizeof **out);
    if (*out == NULL) {
        PQclear(r);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for %d tables", n);
    }
    for (int i = 0; i < n; i++) {
        (*out)[i] = (uint32_t)strtoul(PQgetvalue(r, i, 0), NULL, 10);
    }
    *count = (uint32_t)n;
    qsort(*out, *count, sizeof **out, compare_oids);
    PQclear(r);
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- statements ----------------- */

static void add_table(struct sluice_pg_text *sql, const struct pg_relation *r, uint32_t *n)
{
    /* ONLY: tables that inherit from it are streams of their own. */
    sluice_pg_text_add(sql, *n == 0 ? "" : ", ");
    sluice_pg_text_add(sql, r->kind == 'p' ? "" : "ONLY ");
    pg_relation_ident(sql, r);
    (*n)++;
}

/* Statements lock each table that they name, and the server has few lock slots: so many at a time. */
enum { TABLES_AT_ONCE = 1000 };

/* The chosen tables of one publication from the `first` on, at most TABLES_AT_ONCE of them. */
static uint32_t add_tables(struct sluice_pg_text *sql, const struct pg_chosen *chosen,
                           uint32_t count, int insert_only, uint32_t first)
{
    uint32_t seen = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < count && n < TABLES_AT_ONCE; i++) {
        if (chosen[i].insert_only == insert_only && chosen[i].relation->kind != PG_KIND_MESSAGES &&
            seen++ >= first) {
            add_table(sql, chosen[i].relation, &n);
        }
    }
    return n;
}

/* The rest of the tables, in transactions of their own. What is cut off between two of them is
 * brought in step by the next open. */
static void add_rest(struct sluice_pg_text *sql, const char *name, const struct pg_chosen *chosen,
                     uint32_t count, int insert_only)
{
    uint32_t n = TABLES_AT_ONCE;
    for (uint32_t first = TABLES_AT_ONCE; n == TABLES_AT_ONCE; first += n) {
        struct sluice_pg_text tables = {0};
        n = add_tables(&tables, chosen, count, insert_only, first);
        if (n > 0) {
            sluice_pg_text_add(sql, "COMMIT; BEGIN READ WRITE; ALTER PUBLICATION ");
            pg_name_ident(sql, name);
            sluice_pg_text_format(sql, " ADD TABLE %s; ", tables.data != NULL ? tables.data : "");
        }
        sql->failed |= tables.failed;
        sluice_pg_text_free(&tables);
    }
}

static void add_options(struct sluice_pg_text *sql, const struct sluice_source *src, int version,
                        int insert_only)
{
    sluice_pg_text_format(sql, " WITH (publish = '%s'",
                          insert_only ? "insert, truncate" : "insert, update, delete, truncate");
    if (version >= PG_SINCE_ROOTS) {
        sluice_pg_text_format(sql, ", publish_via_partition_root = %s",
                              src->options.partitions == PG_PARTITIONS_ROOT ? "true" : "false");
    }
    if (version >= PG_SINCE_GENERATED && src->options.generated == PG_GENERATED_INCLUDE) {
        sluice_pg_text_add(sql, ", publish_generated_columns = stored");
    }
    sluice_pg_text_add(sql, ")");
}

static void add_create(struct sluice_pg_text *sql, const struct sluice_source *src,
                       const struct pg_facts *facts, const char *name,
                       const struct pg_chosen *chosen, uint32_t count, int insert_only)
{
    struct sluice_pg_text tables = {0};
    sluice_pg_text_add(sql, "CREATE PUBLICATION ");
    pg_name_ident(sql, name);
    if (!insert_only && src->options.publication_mode == PG_PUBLICATION_ALL_TABLES) {
        sluice_pg_text_add(sql, " FOR ALL TABLES");
    }
    else if (add_tables(&tables, chosen, count, insert_only, 0) > 0) {
        sluice_pg_text_add(sql, " FOR TABLE ");
        sluice_pg_text_add(sql, tables.data != NULL ? tables.data : "");
    }
    sql->failed |= tables.failed;
    sluice_pg_text_free(&tables);
    add_options(sql, src, facts->version, insert_only);
}

/* Errors show statements; long ones are cut. */
static sluice_status refuse(struct sluice_error *err, sluice_status status,
                            const struct sluice_pg_text *sql, const char *what)
{
    const char *text = sql->data != NULL && !sql->failed ? sql->data : "";
    int cut = strlen(text) > PG_MESSAGE_ROOM;
    return sluice_error_set(err, status, SLUICE_ERROR_FATAL, "%s (hint: run as owner: %.*s%s)",
                            what, (int)PG_MESSAGE_ROOM, text, cut ? " …" : "");
}

/* ---------------------------------------------------------------- ours ----------------------- */

/* May we name these tables in a publication? Only their owner may. */
static const struct pg_relation *not_owned(const struct pg_chosen *chosen, uint32_t count,
                                           int insert_only)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct pg_relation *r = chosen[i].relation;
        if (chosen[i].insert_only == insert_only && r->kind != PG_KIND_MESSAGES && !r->owned) {
            return r;
        }
    }
    return NULL;
}

/* A table that is complete and followed but no longer published: its changes since are lost. */
static int must_be_there(const struct sluice_source *src, const struct sluice_source_plan *plan,
                         const struct pg_chosen *chosen)
{
    return src->feed.resume != 0 && plan->mode == SLUICE_MODE_FULL_LOAD_AND_CDC &&
           (chosen->select->flags & SLUICE_SELECT_LOAD) == 0;
}

static sluice_status removed(const char *publication, const struct pg_chosen *chosen,
                             struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    sluice_pg_text_add(&sql, "ALTER PUBLICATION ");
    pg_name_ident(&sql, publication);
    sluice_pg_text_add(&sql, " ADD TABLE ");
    pg_relation_ident(&sql, chosen->relation);
    sluice_status st =
        sluice_error_set(err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
                         "table %s was taken out of publication %s while the pipeline followed it: "
                         "its changes since "
                         "then are lost (hint: run as owner: %s, then load it anew: sluice state "
                         "reset --stream '%s' "
                         "FILE)",
                         chosen->select->name, publication,
                         sql.data != NULL && !sql.failed ? sql.data : "", chosen->select->name);
    sluice_pg_text_free(&sql);
    return st;
}

static sluice_status plan_create(struct sluice_source *src, const struct pg_facts *facts,
                                 const struct sluice_source_plan *plan, const char *name,
                                 const struct pg_chosen *chosen, uint32_t count, int insert_only,
                                 struct sluice_pg_text *sql, struct sluice_error *err)
{
    char what[320];
    struct sluice_pg_text create = {0};
    sluice_status st = SLUICE_OK;
    for (uint32_t i = 0; i < count; i++) {
        if (chosen[i].insert_only == insert_only && chosen[i].relation->published == 0 &&
            must_be_there(src, plan, &chosen[i])) {
            return removed(name, &chosen[i], err);
        }
    }
    add_create(&create, src, facts, name, chosen, count, insert_only);
    int all = !insert_only && src->options.publication_mode == PG_PUBLICATION_ALL_TABLES;
    const struct pg_relation *other = all ? NULL : not_owned(chosen, count, insert_only);
    if (src->options.publication_mode == PG_PUBLICATION_EXISTING) {
        (void)snprintf(what, sizeof what,
                       "publication %s is not there, and publication_mode: existing makes none",
                       name);
        st = refuse(err, SLUICE_E_NOT_FOUND, &create, what);
    }
    else if (facts->recovery) {
        (void)snprintf(what, sizeof what,
                       "publication %s is not there, and a standby cannot make it: make it at the "
                       "primary",
                       name);
        st = refuse(err, SLUICE_E_NOT_FOUND, &create, what);
    }
    else if (all && !facts->superuser) {
        st = refuse(err, SLUICE_E_PERMISSION, &create,
                    "a publication of all tables needs a superuser");
    }
    else if (!facts->can_create) {
        (void)snprintf(what, sizeof what,
                       "role %s may not make publication %s: it has no CREATE right on database %s",
                       facts->role, name, facts->database);
        st = refuse(err, SLUICE_E_PERMISSION, &create, what);
    }
    else if (other != NULL) {
        (void)snprintf(what, sizeof what,
                       "role %s may not publish table %s.%s, which it does not own", facts->role,
                       other->schema, other->name);
        st = refuse(err, SLUICE_E_PERMISSION, &create, what);
    }
    sluice_pg_text_add(sql, create.data != NULL ? create.data : "");
    sluice_pg_text_add(sql, "; COMMENT ON PUBLICATION ");
    pg_name_ident(sql, name);
    sluice_pg_text_add(sql, " IS ");
    add_comment(sql, plan->pipeline);
    sluice_pg_text_add(sql, "; ");
    if (!all) {
        add_rest(sql, name, chosen, count, insert_only);
    }
    sql->failed |= create.failed;
    sluice_pg_text_free(&create);
    return st;
}

static sluice_status plan_alter(struct sluice_source *src, const struct pg_facts *facts,
                                const struct sluice_source_plan *plan,
                                const struct pg_publication *publication,
                                const struct pg_catalog *catalog, const struct pg_chosen *chosen,
                                uint32_t count, int insert_only, struct sluice_pg_text *sql,
                                struct sluice_error *err)
{
    struct sluice_pg_text add = {0};
    struct sluice_pg_text drop = {0};
    struct sluice_pg_text own = {0};
    uint32_t *members = NULL;
    uint32_t *wanted = calloc(count + 1u, sizeof *wanted);
    uint32_t member_count = 0;
    uint32_t wanted_count = 0;
    uint32_t added = 0;
    uint32_t dropped = 0;
    const struct pg_relation *other = NULL;
    int root = src->options.partitions == PG_PARTITIONS_ROOT;
    sluice_status st = wanted != NULL ? SLUICE_OK
                                      : sluice_error_set(err, SLUICE_E_NOMEM, 0,
                                                         "out of memory for %u tables", count);
    if (st >= 0) {
        st = read_members(src->control, publication->name, &members, &member_count, err);
    }
    for (uint32_t i = 0; i < count && st >= 0; i++) {
        const struct pg_relation *r = chosen[i].relation;
        if (chosen[i].insert_only != insert_only || r->kind == PG_KIND_MESSAGES) {
            continue;
        }
        wanted[wanted_count++] = r->oid;
        if (has_oid(members, member_count, r->oid)) {
            continue;
        }
        if (must_be_there(src, plan, &chosen[i]) && r->published == 0) {
            st = removed(publication->name, &chosen[i], err);
        }
        other = r->owned ? other : r;
        add_table(&add, r, &added);
    }
    if (st < 0) {
        goto out;
    }
    qsort(wanted, wanted_count, sizeof *wanted, compare_oids);
    for (uint32_t i = 0; i < member_count; i++) {
        const struct pg_relation *r =
            has_oid(wanted, wanted_count, members[i]) ? NULL : pg_catalog_find(catalog, members[i]);
        if (r != NULL) {
            add_table(&drop, r, &dropped);
        }
    }
    if (dropped > 0) {
        sluice_pg_text_add(&own, "ALTER PUBLICATION ");
        pg_name_ident(&own, publication->name);
        sluice_pg_text_format(&own, " DROP TABLE %s; ", drop.data != NULL ? drop.data : "");
    }
    if (added > 0) {
        sluice_pg_text_add(&own, "ALTER PUBLICATION ");
        pg_name_ident(&own, publication->name);
        sluice_pg_text_format(&own, " ADD TABLE %s; ", add.data != NULL ? add.data : "");
    }
    if (facts->version >= PG_SINCE_ROOTS && publication->via_root != root) {
        sluice_pg_text_add(&own, "ALTER PUBLICATION ");
        pg_name_ident(&own, publication->name);
        sluice_pg_text_format(&own, " SET (publish_via_partition_root = %s); ",
                              root ? "true" : "false");
    }
    if (own.size > 0 && (!publication->owned || other != NULL || facts->recovery)) {
        char what[320];
        (void)snprintf(what, sizeof what, "role %s may not alter publication %s, or a table in it",
                       facts->role, publication->name);
        st = refuse(err, SLUICE_E_PERMISSION, &own, what);
    }
    if (own.size > 0) {
        sluice_pg_text_add(sql, own.data);
    }
    sql->failed |= own.failed || add.failed || drop.failed;
out:
    free(members);
    free(wanted);
    sluice_pg_text_free(&add);
    sluice_pg_text_free(&drop);
    sluice_pg_text_free(&own);
    return st;
}

/* ---------------------------------------------------------------- others' -------------------- */

static sluice_status check_operations(const struct pg_publication *publication, int insert_only,
                                      struct sluice_error *err)
{
    int right =
        publication->inserts && (insert_only || (publication->updates && publication->deletes));
    if (right) {
        return SLUICE_OK;
    }
    struct sluice_pg_text sql = {0};
    char what[200];
    sluice_pg_text_add(&sql, "ALTER PUBLICATION ");
    pg_name_ident(&sql, publication->name);
    sluice_pg_text_format(&sql, " SET (publish = '%s')",
                          insert_only ? "insert, truncate" : "insert, update, delete, truncate");
    (void)snprintf(what, sizeof what, "publication %s does not publish %s", publication->name,
                   insert_only ? "inserts" : "inserts, updates and deletes");
    sluice_status st = refuse(err, SLUICE_E_NOT_FOUND, &sql, what);
    sluice_pg_text_free(&sql);
    return st;
}

/* Partitions that are published under the other name than the one we read them by. */
static sluice_status check_root(const struct pg_publication *publication,
                                const struct pg_chosen *chosen, struct sluice_error *err)
{
    const struct pg_relation *r = chosen->relation;
    int root = r->kind == 'p';
    if ((root && publication->via_root) || (!root && !(r->is_partition && publication->via_root))) {
        return SLUICE_OK;
    }
    return sluice_error_set(
        err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
        "publication %s publishes partitions under %s, but the pipeline reads %s (hint: option "
        "partitions: %s, or: ALTER PUBLICATION %s SET (publish_via_partition_root = %s))",
        publication->name, root ? "their own names" : "their root's name", chosen->select->name,
        root ? "leaves" : "root", publication->name, root ? "true" : "false");
}

/* The table without identity is in a publication of updates: its application fails already. */
static sluice_status check_harm(const struct pg_publication_plan *plan,
                                const struct pg_chosen *chosen, struct sluice_error *err)
{
    const struct pg_publication *first = &plan->publications[0];
    if (!chosen->insert_only || (chosen->relation->published & 1) == 0 || first->ours ||
        !(first->updates || first->deletes)) {
        return SLUICE_OK;
    }
    struct sluice_pg_text sql = {0};
    char what[400];
    sluice_pg_text_add(&sql, "ALTER PUBLICATION ");
    pg_name_ident(&sql, first->name);
    sluice_pg_text_add(&sql, " DROP TABLE ");
    pg_relation_ident(&sql, chosen->relation);
    (void)snprintf(
        what, sizeof what,
        "publication %s publishes updates of table %.200s, which has no replica identity:"
        " the source's own updates fail",
        first->name, chosen->select->name);
    sluice_status st = refuse(err, SLUICE_E_INVALID, &sql, what);
    sluice_pg_text_free(&sql);
    return st;
}

static int column_published(const struct pg_relation *r, int16_t number)
{
    char *end = NULL;
    for (const char *p = r->published_columns; p != NULL && *p != '\0'; p = end) {
        if (strtol(p, &end, 10) == number) {
            return 1;
        }
        if (end == p) {
            return 0;
        }
    }
    return r->published_columns == NULL;
}

/* A column list must have the identity; the server refuses updates otherwise. */
static sluice_status check_columns(const struct pg_publication *publication,
                                   const struct pg_chosen *chosen, struct sluice_error *err)
{
    const struct pg_relation *r = chosen->relation;
    int full = r->identity == PG_IDENTITY_FULL_ROW;
    uint32_t count = full ? r->attribute_count : r->identity_count;
    for (uint32_t i = 0; i < count && !chosen->insert_only; i++) {
        int16_t number = full ? r->attributes[i].number : r->identity_keys[i];
        if ((!full || r->attributes[i].generated == 0) && !column_published(r, number)) {
            return sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                                    "publication %s leaves out columns of table %s that belong to "
                                    "its replica identity: "
                                    "updates of it fail at the source (hint: add them to the "
                                    "publication's column list)",
                                    publication->name, chosen->select->name);
        }
    }
    return SLUICE_OK;
}

static sluice_status check_given(const struct sluice_source *src,
                                 const struct sluice_source_plan *plan,
                                 const struct pg_publication *publication,
                                 const struct pg_chosen *chosen, uint32_t count, int insert_only,
                                 struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    char what[200];
    uint32_t missing = 0;
    SLUICE_TRY(check_operations(publication, insert_only, err));
    sluice_pg_text_add(&sql, "ALTER PUBLICATION ");
    pg_name_ident(&sql, publication->name);
    sluice_pg_text_add(&sql, " ADD TABLE ");
    sluice_status st = SLUICE_OK;
    for (uint32_t i = 0; i < count && st >= 0; i++) {
        const struct pg_chosen *c = &chosen[i];
        if (c->insert_only != insert_only || c->relation->kind == PG_KIND_MESSAGES) {
            continue;
        }
        if ((c->relation->published & (insert_only ? 2 : 1)) != 0) {
            st = check_columns(publication, c, err);
            continue;
        }
        st = check_root(publication, c, err);
        if (st >= 0 && must_be_there(src, plan, c)) {
            st = removed(publication->name, c, err);
        }
        sluice_pg_text_add(&sql, missing++ == 0 ? "" : ", ");
        pg_relation_ident(&sql, c->relation);
    }
    if (st >= 0 && missing > 0) {
        (void)snprintf(what, sizeof what, "publication %s lacks %u of the chosen tables",
                       publication->name, missing);
        st = refuse(err, SLUICE_E_NOT_FOUND, &sql, what);
    }
    if (st >= 0 && !publication->truncates) {
        sluice_log(src->host, SLUICE_LOG_WARN,
                   "the publication does not publish TRUNCATE: emptied tables stay as they were "
                   "publication=%s",
                   publication->name);
    }
    sluice_pg_text_free(&sql);
    return st;
}

/* ---------------------------------------------------------------- the plan ------------------- */

sluice_status pg_publication_check_all(const struct pg_catalog *catalog, struct sluice_error *err)
{
    struct pg_list remedies = {.room = PG_MESSAGE_ROOM};
    for (uint32_t i = 0; i < catalog->relation_count; i++) {
        const struct pg_relation *r = &catalog->relations[i];
        if (r->kind == 'r' && r->persistence == 'p' && r->identity == 0) {
            struct sluice_pg_text text = {0};
            pg_identity_remedy(&text, r, 0);
            pg_list_add(&remedies, "; ", text.data != NULL && !text.failed ? text.data : "");
            sluice_pg_text_free(&text);
        }
    }
    sluice_status st = SLUICE_OK;
    if (remedies.count > 0) {
        uint32_t bad = remedies.count;
        st = sluice_error_set(
            err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
            "publication_mode: all_tables: %u tables of the database have no replica identity, and "
            "their updates and deletes would fail. Nothing was created. Run: %s (hint: or publish "
            "the chosen tables alone with publication_mode: auto)",
            bad, pg_list_end(&remedies));
    }
    pg_list_free(&remedies);
    return st;
}

static sluice_status plan_one(struct sluice_source *src, const struct pg_facts *facts,
                              const struct sluice_source_plan *plan,
                              const struct pg_catalog *catalog, const struct pg_chosen *chosen,
                              uint32_t count, struct pg_publication_plan *out, uint32_t k,
                              struct sluice_error *err)
{
    const struct pg_publication *publication = &out->publications[k];
    int insert_only = k == 1;
    if (!publication->exists) {
        if (src->feed.resume != 0 && k == 0) {
            return sluice_error_set(
                err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
                "publication %s is gone: the changes since then cannot be read (hint: begin anew: "
                "sluice state reset FILE, then sluice run FILE)",
                publication->name);
        }
        if (!insert_only && src->options.publication_mode == PG_PUBLICATION_ALL_TABLES) {
            SLUICE_TRY(pg_publication_check_all(catalog, err));
        }
        out->creates[k] = 1;
        return plan_create(src, facts, plan, publication->name, chosen, count, insert_only,
                           &out->sql, err);
    }
    if (publication->ours && !publication->all_tables &&
        src->options.publication_mode != PG_PUBLICATION_EXISTING) {
        return plan_alter(src, facts, plan, publication, catalog, chosen, count, insert_only,
                          &out->sql, err);
    }
    return check_given(src, plan, publication, chosen, count, insert_only, err);
}

sluice_status pg_publication_plan_make(struct sluice_source *src, const struct pg_facts *facts,
                                       const struct sluice_source_plan *plan,
                                       struct pg_catalog *catalog, const struct pg_chosen *chosen,
                                       uint32_t count, struct pg_publication_plan *out,
                                       struct sluice_error *err)
{
    uint32_t insert_only = 0;
    for (uint32_t i = 0; i < count; i++) {
        insert_only += chosen[i].insert_only != 0;
    }
    memset(out, 0, sizeof *out);
    for (uint32_t k = 0; k < 2; k++) {
        SLUICE_TRY(pg_publication_read(src->control, src->feed.publications[k], plan->pipeline,
                                       &out->publications[k], err));
    }
    /* The second one may hold a table that has an identity by now. */
    out->count = insert_only > 0 || out->publications[1].ours ? 2 : 1;
    SLUICE_TRY(
        pg_catalog_load_published(src->control, catalog, src->feed.publications, out->count, err));
    for (uint32_t i = 0; i < count; i++) {
        SLUICE_TRY(check_harm(out, &chosen[i], err));
        if (chosen[i].select->where != NULL && chosen[i].relation->row_filter == NULL) {
            return sluice_error_set(
                err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                "table %s: its where rule filters the load but not the changes (hint: make a "
                "publication with a row filter, CREATE PUBLICATION … FOR TABLE … WHERE (…), and "
                "name it in option publication; PostgreSQL 15 and newer)",
                chosen[i].select->name);
        }
    }
    for (uint32_t k = 0; k < out->count; k++) {
        SLUICE_TRY(plan_one(src, facts, plan, catalog, chosen, count, out, k, err));
    }
    return sluice_pg_text_check(&out->sql, err);
}

sluice_status pg_publication_plan_apply(struct sluice_source *src, struct pg_publication_plan *plan,
                                        struct sluice_error *err)
{
    if (plan->sql.size == 0) {
        return SLUICE_OK;
    }
    struct sluice_pg_text sql = {0};
    SLUICE_TRY(sluice_failpoint_hit(src->failpoints, "postgres.before_publication", err));
    sluice_pg_text_add(&sql, "BEGIN READ WRITE; ");
    sluice_pg_text_add(&sql, plan->sql.data);
    sluice_pg_text_add(&sql, "COMMIT");
    sluice_status st = sluice_pg_text_check(&sql, err);
    if (st >= 0) {
        st = sluice_pg_command(src->control, "make the publication", sql.data, err);
    }
    sluice_pg_text_free(&sql);
    if (st < 0) {
        pg_control_end(src);
        return st;
    }
    for (uint32_t k = 0; k < plan->count; k++) {
        sluice_log(src->host, SLUICE_LOG_INFO, "publication %s publication=%s",
                   plan->creates[k] ? "made" : "checked", plan->publications[k].name);
    }
    return sluice_failpoint_hit(src->failpoints, "postgres.after_publication", err);
}

void pg_publication_plan_free(struct pg_publication_plan *plan)
{
    sluice_pg_text_free(&plan->sql);
}
