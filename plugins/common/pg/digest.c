/* One scan per question: each row as row_to_json prints it, its md5, sums of the md5s by bucket of the key. */
#include "pg/digest.h"

#include <stdlib.h>
#include <string.h>

#include "pg/text.h"
#include "sluice/schema.h"

/* Line breaks stand in what row_to_json gives only where a value of type json has them, between its parts:
 * they are no difference. */
static int may_break(const struct sluice_digest_ask *ask)
{
    for (int64_t i = 0; i < ask->desc->schema->n_children; i++) {
        const struct ArrowSchema *field = ask->desc->schema->children[i];
        const struct sluice_bytes text = sluice_schema_metadata(field, "sluice:text");
        if ((sluice_schema_metadata_is(field, "ARROW:extension:name", "arrow.json") &&
             !sluice_schema_metadata_is(field, "sluice:native_type", "jsonb")) ||
            (text.size > 0 && memchr(text.data, 'j', text.size) != NULL)) {
            return (ask->form & SLUICE_DIGEST_TEXTS) == 0;
        }
    }
    return 0;
}

/* The rows with their texts: r(k, t). */
static void add_rows(const struct sluice_digest_ask *ask, const char *from,
                     struct sluice_pg_text *sql)
{
    const struct sluice_stream_desc *d = ask->desc;
    const char *row = may_break(ask)
                          ? "pg_catalog.translate(pg_catalog.row_to_json(x.*)::pg_catalog.text, "
                            "E'\\n\\r', '  ')"
                          : "pg_catalog.row_to_json(x.*)::pg_catalog.text";
    sluice_pg_text_add(sql, "WITH r AS (SELECT ");
    if (d->key_count > 0) {
        sluice_pg_text_add(sql, "pg_catalog.json_build_array(");
        for (uint32_t k = 0; k < d->key_count; k++) {
            sluice_pg_text_add(sql, k > 0 ? ", x." : "x.");
            sluice_pg_text_ident(sql, d->schema->children[d->keys[k]]->name);
        }
        sluice_pg_text_add(sql, ")::pg_catalog.text");
    }
    else {
        sluice_pg_text_add(sql, row);
    }
    sluice_pg_text_format(sql, " AS k, %s AS t FROM (SELECT ", row);
    for (int64_t i = 0; i < d->schema->n_children; i++) {
        const char *name = d->schema->children[i]->name;
        sluice_pg_text_add(sql, i > 0 ? ", " : "");
        if ((ask->form & SLUICE_DIGEST_TEXTS) != 0) { /* what its output function gives */
            sluice_pg_text_add(sql, "CASE WHEN pg_catalog.num_nulls(");
            sluice_pg_text_ident(sql, name);
            sluice_pg_text_add(sql, ") = 0 THEN pg_catalog.format('%s', ");
            sluice_pg_text_ident(sql, name);
            sluice_pg_text_add(sql, ") END AS ");
        }
        sluice_pg_text_ident(sql, name);
    }
    sluice_pg_text_format(sql, " FROM %s) x)", from);
}

/* 32 bits of a hash, from its n-th hex digit on; 64, as a signed number. */
#define WORD(text, at) "('x' || pg_catalog.substr(" text ", " #at ", 8))::bit(32)::bigint"
#define HALF(text, at) "('x' || pg_catalog.substr(" text ", " #at ", 16))::bit(64)::bigint"

static void add_question(const struct sluice_digest_ask *ask, struct sluice_pg_text *sql)
{
    if (ask->level == SLUICE_DIGEST_SUMS) {
        /* OFFSET 0 keeps the hashes from being worked out anew wherever they are named. */
        sluice_pg_text_format(
            sql,
            ", m AS (SELECT " WORD("pg_catalog.md5(k)",
                                   1) " & %u AS b, "
                                      "pg_catalog.md5(t) AS t FROM r OFFSET 0) SELECT b, count(*), "
                                      "sum(" HALF("t", 1) ")::text, sum(" HALF("t",
                                                                               17) ")::text FROM m "
                                                                                   "GROUP BY 1",
            ask->buckets - 1u);
        return;
    }
    sluice_pg_text_format(sql, " SELECT (" WORD("pg_catalog.md5(k)", 1) " & %u) AS b, k, t FROM r",
                          ask->buckets - 1u);
    if (ask->key_count > 0) {
        sluice_pg_text_add(sql, " WHERE k = ANY($1::pg_catalog.text[])");
    }
    else if (ask->bucket_count > 0) {
        sluice_pg_text_format(sql,
                              " WHERE (" WORD("pg_catalog.md5(k)", 1) " & %u) = "
                                                                      "ANY($1::pg_catalog.int8[])",
                              ask->buckets - 1u);
    }
}

static void add_list(const struct sluice_digest_ask *ask, struct sluice_pg_text *out)
{
    sluice_pg_text_add(out, "{");
    for (uint32_t i = 0; i < ask->key_count; i++) {
        sluice_pg_text_add(out, i > 0 ? "," : "");
        sluice_pg_text_array_item(out, ask->keys[i]);
    }
    for (uint32_t i = 0; ask->key_count == 0 && i < ask->bucket_count; i++) {
        sluice_pg_text_format(out, "%s%u", i > 0 ? "," : "", ask->bucket_list[i]);
    }
    sluice_pg_text_add(out, "}");
}

/* A decimal number of 20 digits and more, modulo 2^64. */
static uint64_t sum_of(const char *text)
{
    uint64_t v = 0;
    const int negative = *text == '-';
    for (text += negative; *text >= '0' && *text <= '9'; text++) {
        v = v * 10u + (uint64_t)(*text - '0');
    }
    return negative ? 0u - v : v;
}

static sluice_status visit_all(const PGresult *result, const struct sluice_digest_ask *ask,
                               sluice_digest_visit visit, void *vctx,
                               struct sluice_digest_info *info, struct sluice_error *err)
{
    const int sums = ask->level == SLUICE_DIGEST_SUMS;
    sluice_status status = SLUICE_OK;
    for (int i = 0; i < PQntuples(result) && status == SLUICE_OK; i++) {
        struct sluice_digest_item item = {.struct_size = sizeof item,
                                          .bucket =
                                              (uint32_t)strtoul(PQgetvalue(result, i, 0), NULL, 10),
                                          .rows = 1};
        if (sums) {
            item.rows = strtoull(PQgetvalue(result, i, 1), NULL, 10);
            item.sum_high = sum_of(PQgetvalue(result, i, 2));
            item.sum_low = sum_of(PQgetvalue(result, i, 3));
        }
        else {
            item.key = ask->desc->key_count > 0 ? PQgetvalue(result, i, 1) : NULL;
            item.text = PQgetvalue(result, i, 2);
        }
        info->rows += item.rows;
        status = visit(vctx, &item);
    }
    return status < 0 ? sluice_error_set(err, status, 0, "the digest was not taken") : SLUICE_OK;
}

static sluice_status read_position(struct sluice_pg_conn *conn, const char *sql,
                                   struct sluice_digest_info *info, uint8_t position[64],
                                   struct sluice_error *err)
{
    PGresult *result = NULL;
    SLUICE_TRY(sluice_pg_query(conn, "read the position", sql, 0, NULL, &result, err));
    if (PQntuples(result) == 1 && !PQgetisnull(result, 0, 0)) {
        const char *hex = PQgetvalue(result, 0, 0);
        size_t n = strlen(hex) / 2;
        n = n > 64 ? 64 : n;
        for (size_t i = 0; i < n; i++) {
            char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
            position[i] = (uint8_t)strtoul(pair, NULL, 16);
        }
        info->position = (struct sluice_bytes){position, n};
    }
    PQclear(result);
    return SLUICE_OK;
}

sluice_status sluice_pg_digest(struct sluice_pg_conn *conn, const char *from,
                               const char *position_sql, const struct sluice_digest_ask *ask,
                               sluice_digest_visit visit, void *vctx,
                               struct sluice_digest_info *info, uint8_t position[64],
                               struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    struct sluice_pg_text list = {0};
    PGresult *result = NULL;
    info->rows = 0;
    info->position = (struct sluice_bytes){NULL, 0};
    add_rows(ask, from, &sql);
    add_question(ask, &sql);
    add_list(ask, &list);
    sluice_status status = sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status = sluice_pg_text_check(&list, err);
    }
    if (status >= 0) {
        status = sluice_pg_command(conn, "take a snapshot to compare",
                                   "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    }
    if (status >= 0) {
        const char *const params[] = {list.data};
        const int has =
            ask->level == SLUICE_DIGEST_ROWS && (ask->key_count > 0 || ask->bucket_count > 0);
        status = sluice_pg_query(conn, "compare rows", sql.data, has ? 1 : 0, has ? params : NULL,
                                 &result, err);
    }
    if (status >= 0 && position_sql != NULL) {
        status = read_position(conn, position_sql, info, position, err);
    }
    if (status >= 0) {
        status = sluice_pg_command(conn, "end the comparison", "COMMIT", err);
    }
    if (status >= 0) {
        status = visit_all(result, ask, visit, vctx, info, err);
    }
    PQclear(result);
    sluice_pg_text_free(&sql);
    sluice_pg_text_free(&list);
    return status;
}
