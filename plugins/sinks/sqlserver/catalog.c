#include "catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for the catalog");
}

void mssink_seen_free(struct mssink_seen *seen)
{
    free(seen->columns);
    free(seen->unique);
    *seen = (struct mssink_seen){0};
}

static int ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text);
    const size_t m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static sluice_status take_column(struct mssink_seen *seen, const struct sluice_tds_conn *conn,
                                 struct sluice_error *err)
{
    if (seen->count == seen->cap) {
        const uint32_t cap = seen->cap > 0 ? seen->cap * 2 : 32;
        struct mssink_seen_column *grown = realloc(seen->columns, cap * sizeof *grown);
        if (grown == NULL) {
            return nomem(err);
        }
        seen->columns = grown;
        seen->cap = cap;
    }
    struct mssink_seen_column *c = &seen->columns[seen->count++];
    memset(c, 0, sizeof *c);
    seen->object_id = sluice_tds_number(conn, 0);
    c->ordinal = (int)seen->count; /* bulk load counts the columns that there are */
    sluice_tds_text(conn, 1, c->name, sizeof c->name);
    sluice_tds_text(conn, 2, c->type_name, sizeof c->type_name);
    sluice_tds_text(conn, 10, c->collation, sizeof c->collation);
    if (strspn(c->collation, WORD) != strlen(c->collation)) {
        c->collation[0] = '\0'; /* it goes into statements */
    }
    mssink_type_make(
        c->type_name, (int32_t)sluice_tds_number(conn, 3), (int32_t)sluice_tds_number(conn, 4),
        (int32_t)sluice_tds_number(conn, 5),
        ends_with(c->collation, "_UTF8") ? 65001 : (int32_t)sluice_tds_number(conn, 11), &c->type);
    c->nullable = sluice_tds_number(conn, 6) != 0;
    c->identity = sluice_tds_number(conn, 7) != 0;
    c->computed = sluice_tds_number(conn, 8) != 0;
    c->has_default = sluice_tds_number(conn, 9) != 0;
    c->binary_collation = ends_with(c->collation, "_BIN2") || ends_with(c->collation, "_BIN") ||
                          strstr(c->collation, "_BIN2_") != NULL;
    return SLUICE_OK;
}

typedef sluice_status (*row_fn)(struct mssink_seen *seen, const struct sluice_tds_conn *conn,
                                struct sluice_error *err);

static sluice_status read_rows(struct sluice_tds_conn *conn, struct mssink_text *t, row_fn take,
                               struct mssink_seen *seen, struct sluice_error *err)
{
    sluice_status status = mssink_text_check(t, err);
    if (status >= 0) {
        status = sluice_tds_query(conn, "look at the target's table", t->data, err);
    }
    mssink_text_free(t);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        if (status == SLUICE_OK) {
            status = take(seen, conn, err);
            if (status < 0) {
                sluice_tds_cancel(conn);
            }
        }
    }
    return status < 0 ? status : SLUICE_OK;
}

/* Columns of unique indexes, index by index. */
static sluice_status take_index(struct mssink_seen *seen, const struct sluice_tds_conn *conn,
                                struct sluice_error *err)
{
    char name[132 * 4];
    const int first = sluice_tds_number(conn, 1) == 1;
    seen->index_count += first;
    if (sluice_tds_number(conn, 2) == 0 || sluice_tds_number(conn, 3) != 0) {
        return SLUICE_OK; /* not unique, or of some rows alone */
    }
    sluice_tds_text(conn, 4, name, sizeof name);
    const size_t used = seen->unique != NULL ? strlen(seen->unique) : 0;
    char *grown = realloc(seen->unique, used + strlen(name) + 4);
    if (grown == NULL) {
        return nomem(err);
    }
    seen->unique = grown;
    char *p = grown + used;
    if (first) {
        *p++ = '\x1e';
    }
    *p++ = '\x1f';
    const size_t size = strlen(name);
    memcpy(p, name, size);
    memcpy(p + size, "\x1f", 2); /* and its end */
    return SLUICE_OK;
}

static sluice_status take_guards(struct mssink_seen *seen, const struct sluice_tds_conn *conn,
                                 struct sluice_error *err)
{
    (void)err;
    seen->guards += (int)sluice_tds_number(conn, 0);
    return SLUICE_OK;
}

sluice_status mssink_seen_read(struct sluice_tds_conn *conn, const char *schema, const char *name,
                               struct mssink_seen *out, struct sluice_error *err)
{
    struct mssink_text t = {0};
    *out = (struct mssink_seen){0};
    mssink_text_add(&t, "SELECT t.object_id, c.name, COALESCE(base.name, own.name) AS type_name, "
                        "c.max_length, c.precision, c.scale, c.is_nullable, c.is_identity, "
                        "c.is_computed, c.default_object_id, c.collation_name, "
                        "CAST(COLLATIONPROPERTY(c.collation_name, 'CodePage') AS int) AS code_page "
                        "FROM sys.tables t JOIN sys.schemas s ON s.schema_id = t.schema_id "
                        "JOIN sys.columns c ON c.object_id = t.object_id "
                        "LEFT JOIN sys.types base ON base.user_type_id = c.system_type_id "
                        "LEFT JOIN sys.types own ON own.user_type_id = c.user_type_id "
                        "WHERE s.name = ");
    mssink_text_literal(&t, schema);
    mssink_text_add(&t, " AND t.name = ");
    mssink_text_literal(&t, name);
    mssink_text_add(&t, " ORDER BY c.column_id");
    SLUICE_TRY(read_rows(conn, &t, take_column, out, err));
    if (out->object_id == 0) {
        return SLUICE_OK;
    }
    mssink_text_format(
        &t,
        "SELECT i.index_id, ic.key_ordinal, i.is_unique, i.has_filter, c.name FROM "
        "sys.indexes i JOIN sys.index_columns ic ON ic.object_id = i.object_id AND "
        "ic.index_id = i.index_id JOIN sys.columns c ON c.object_id = i.object_id AND "
        "c.column_id = ic.column_id WHERE i.object_id = %lld AND i.is_disabled = 0 AND "
        "ic.key_ordinal > 0 ORDER BY i.is_primary_key DESC, i.index_id, ic.key_ordinal",
        (long long)out->object_id);
    sluice_status status = read_rows(conn, &t, take_index, out, err);
    static const char triggers[] = "sys.triggers WHERE parent_id";
    static const char foreign[] = "sys.foreign_keys WHERE parent_object_id";
    static const char checks[] = "sys.check_constraints WHERE parent_object_id";
    static const char *const guards[] = {triggers, foreign, checks};
    for (size_t i = 0; status >= 0 && i < sizeof guards / sizeof guards[0]; i++) {
        mssink_text_format(&t, "SELECT COUNT(*) AS n FROM %s = %lld AND is_disabled = 0", guards[i],
                           (long long)out->object_id);
        status = read_rows(conn, &t, take_guards, out, err);
    }
    if (status < 0) {
        mssink_seen_free(out);
    }
    return status;
}

const struct mssink_seen_column *mssink_seen_find(const struct mssink_seen *seen, const char *name)
{
    for (uint32_t i = 0; i < seen->count; i++) {
        if (strcmp(seen->columns[i].name, name) == 0) {
            return &seen->columns[i];
        }
    }
    return NULL;
}

int mssink_seen_is_unique(const struct mssink_seen *seen, const char *const *names, uint32_t count)
{
    const char *p = seen->unique;
    while (p != NULL && *p == '\x1e') {
        const char *const end = strchr(p + 1, '\x1e');
        const size_t size = end != NULL ? (size_t)(end - p) : strlen(p);
        uint32_t columns = 0;
        for (size_t i = 1; i < size; i++) {
            columns += p[i] == '\x1f';
        }
        uint32_t met = 0;
        for (uint32_t k = 0; k < count; k++) {
            char wanted[132 * 4 + 4];
            (void)snprintf(wanted, sizeof wanted, "\x1f%s\x1f", names[k]);
            met += memmem(p, size, wanted, strlen(wanted)) != NULL;
        }
        if (count > 0 && columns == count * 2 && met == count) {
            return 1;
        }
        p = end;
    }
    return 0;
}
