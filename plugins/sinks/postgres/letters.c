/* Dead letters: listed, and written again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_internal.h"
#include "reject.h"

enum { PAGE = 500 };

/* Connected, and the plan taken over. */
static sluice_status ready(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                           struct sluice_pg_conn **out, struct sluice_error *err)
{
    char *exists = NULL;
    const char *const params[] = {sink->options.state_schema};
    SLUICE_TRY(sluice_pgsink_plan(sink, plan, err));
    SLUICE_TRY(sluice_pgsink_ctl(sink, out, err));
    SLUICE_TRY(sluice_pgsink_value(*out, "look for letters",
                                   "SELECT pg_catalog.to_regclass(pg_catalog.format('%I.letters', "
                                   "$1::text)) IS NOT NULL",
                                   1, params, &exists, err));
    const int has = exists[0] == 't';
    free(exists);
    return has ? SLUICE_OK
               : sluice_error_set(
                     err, SLUICE_E_NOT_FOUND, 0,
                     "the target has no letters: this pipeline has not run into it yet");
}

static const char *text_of(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

static sluice_status visit_page(const PGresult *result, sluice_letter_visit visit, void *vctx,
                                uint64_t *last, struct sluice_error *err)
{
    sluice_status status = SLUICE_OK;
    for (int i = 0; i < PQntuples(result) && status == SLUICE_OK; i++) {
        const struct sluice_letter letter = {
            .struct_size = sizeof letter,
            .id = strtoull(PQgetvalue(result, i, 0), NULL, 10),
            .stream = PQgetvalue(result, i, 1),
            .op = PQgetvalue(result, i, 2),
            .position = text_of(result, i, 3),
            .sqlstate = text_of(result, i, 4),
            .error = PQgetvalue(result, i, 5),
            .row = PQgetvalue(result, i, 6),
            .key = text_of(result, i, 7),
            .rejected_us = strtoll(PQgetvalue(result, i, 8), NULL, 10),
            .replayed_us = strtoll(PQgetvalue(result, i, 9), NULL, 10)};
        *last = letter.id;
        status = visit(vctx, &letter);
    }
    if (status < 0) {
        return sluice_error_set(err, status, 0, "a letter was not taken");
    }
    return status;
}

sluice_status sluice_pgsink_letters(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                    const char *stream, uint64_t from, sluice_letter_visit visit,
                                    void *vctx, struct sluice_error *err)
{
    struct sluice_pg_conn *conn = NULL;
    struct sluice_pg_text sql = {0};
    sluice_status status = ready(sink, plan, &conn, err);
    if (status == SLUICE_E_NOT_FOUND) {
        return SLUICE_OK;
    }
    SLUICE_TRY(status);
    sluice_pg_text_format(
        &sql,
        "SELECT id, stream, op, position, sqlstate, error, row, key, (extract(epoch FROM "
        "rejected_at) "
        "* 1000000)::bigint, coalesce((extract(epoch FROM replayed_at) * 1000000)::bigint, 0) FROM "
        "%s.letters WHERE pipeline = $1 AND sink = $2 AND ($3::text IS NULL OR stream = $3) AND id "
        ">= "
        "$4::bigint ORDER BY id LIMIT %d",
        sink->state, PAGE);
    status = sluice_pg_text_check(&sql, err);
    for (int rows = PAGE; rows == PAGE && status == SLUICE_OK;) {
        char start[24];
        uint64_t last = from;
        PGresult *result = NULL;
        (void)snprintf(start, sizeof start, "%llu", (unsigned long long)from);
        const char *const params[] = {sink->pipeline, sink->node, stream, start};
        status = sluice_pg_query(conn, "read letters", sql.data, 4, params, &result, err);
        rows = status >= 0 ? PQntuples(result) : 0;
        if (status >= 0) {
            status = visit_page(result, visit, vctx, &last, err);
        }
        PQclear(result);
        from = last + 1;
    }
    sluice_pg_text_free(&sql);
    return status < 0 ? sluice_pgsink_hint(sink, err, status) : SLUICE_OK;
}

/* ---- writing one again ---- */

struct letter {
    char *op;
    char *target;
    char *row;
    char *key; /* "" = none */
    char *how; /* see put_how in reject.c */
};

static void letter_free(struct letter *letter)
{
    free(letter->op);
    free(letter->target);
    free(letter->row);
    free(letter->key);
    free(letter->how);
}

static sluice_status take_letter(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                 const char *id, struct letter *out, struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    const char *const params[] = {sink->pipeline, sink->node, id};
    sluice_pg_text_format(
        &sql,
        "SELECT op, target, row, coalesce(key::text, ''), replayed_at IS NOT NULL, how "
        "FROM %s.letters WHERE pipeline = $1 AND sink = $2 AND id = $3::bigint FOR "
        "UPDATE",
        sink->state);
    sluice_status status = sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status = sluice_pg_query(conn, "take a letter", sql.data, 3, params, &result, err);
    }
    if (status >= 0 && PQntuples(result) == 0) {
        status =
            sluice_error_set(err, SLUICE_E_NOT_FOUND, 0,
                             "there is no letter %s of this pipeline (hint: sluice dlq list)", id);
    }
    else if (status >= 0 && PQgetvalue(result, 0, 4)[0] == 't') {
        status = sluice_error_set(err, SLUICE_E_STATE, 0, "letter %s was replayed already", id);
    }
    else if (status >= 0) {
        out->op = strdup(PQgetvalue(result, 0, 0));
        out->target = strdup(PQgetvalue(result, 0, 1));
        out->row = strdup(PQgetvalue(result, 0, 2));
        out->key = strdup(PQgetvalue(result, 0, 3));
        out->how = strdup(PQgetvalue(result, 0, 5));
        status = out->op != NULL && out->target != NULL && out->row != NULL && out->key != NULL &&
                         out->how != NULL
                     ? SLUICE_OK
                     : sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                        "out of memory for a letter");
    }
    PQclear(result);
    sluice_pg_text_free(&sql);
    return status;
}

/* The statement that writes the letter's row, made by the server out of the columns that the JSON names and
 * the table's primary key: $1 target, $2 row, $3 key, $4 op, $5 the column of soft deletes. */
static const char make_statement[] =
    "WITH c AS (SELECT a.attname n, pg_catalog.quote_ident(a.attname) q, coalesce(a.attnum = "
    "ANY(i.indkey), false) AS pk FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_index i ON "
    "i.indrelid = a.attrelid AND i.indisprimary WHERE a.attrelid = $1::regclass AND a.attnum > 0 "
    "AND "
    "NOT a.attisdropped AND a.attgenerated = ''), "
    "s AS (SELECT c.* FROM c JOIN pg_catalog.json_object_keys($2::json) k ON k = c.n), "
    "w AS (SELECT pg_catalog.string_agg(pg_catalog.format('t.%s IS NOT DISTINCT FROM k.%s', q, q), "
    "' "
    "AND ') j FROM c JOIN pg_catalog.json_object_keys($3::json) k ON k = c.n WHERE pk OR NOT "
    "EXISTS "
    "(SELECT FROM c WHERE pk)) "
    "SELECT CASE $4 WHEN 'D' THEN pg_catalog.format('DELETE FROM %1$s t USING "
    "pg_catalog.json_populate_record(NULL::%1$s, %3$L::json) k WHERE %2$s', $1, w.j, $3) "
    "WHEN 'S' THEN pg_catalog.format('UPDATE %1$s t SET %4$I = true FROM "
    "pg_catalog.json_populate_record(NULL::%1$s, %3$L::json) k WHERE %2$s', $1, w.j, $3, $5::text) "
    "WHEN 'U' THEN pg_catalog.format('UPDATE %1$s t SET %4$s FROM "
    "pg_catalog.json_populate_record(NULL::%1$s, %5$L::json) r, "
    "pg_catalog.json_populate_record(NULL::%1$s, %3$L::json) k WHERE %2$s', $1, w.j, $3, (SELECT "
    "pg_catalog.string_agg(pg_catalog.format('%s = r.%s', q, q), ', ') FROM s), $2) "
    "ELSE pg_catalog.format('INSERT INTO %1$s (%2$s) SELECT %3$s FROM "
    "pg_catalog.json_populate_record(NULL::%1$s, %4$L::json) r', $1, (SELECT "
    "pg_catalog.string_agg(q, ', ') FROM s), (SELECT pg_catalog.string_agg('r.' || q, ', ') FROM "
    "s), "
    "$2) END FROM w";

static sluice_status write_row(struct sluice_pg_conn *conn, const struct letter *letter,
                               const char *row, struct sluice_error *err)
{
    char *sql = NULL;
    PGresult *result = NULL;
    /* A put of a row that is there already is an update of it by its key. */
    const char *op = letter->op[0] == 'R' || strcmp(letter->how, "insert") == 0 ? "I" : letter->op;
    const int soft = strncmp(letter->how, "soft:", 5) == 0;
    if (op[0] == 'D' && strcmp(letter->how, "ignore") == 0) {
        return SLUICE_OK;
    }
    if (op[0] == 'D' && soft) {
        op = "S";
    }
    const char *key = letter->key[0] != '\0' ? letter->key : row;
    const char *const params[] = {letter->target, row, key, op, soft ? letter->how + 5 : ""};
    sluice_status status = sluice_pgsink_value(conn, "make the statement of a letter",
                                               make_statement, 5, params, &sql, err);
    if (status >= 0 && sql[0] == '\0') {
        status = sluice_error_set(err, SLUICE_E_DATA, 0,
                                  "the letter has no column of %s, or no value of its key",
                                  letter->target);
    }
    if (status >= 0) {
        status = sluice_pg_query(conn, "replay a letter", sql, 0, NULL, &result, err);
    }
    if (status >= 0 && op[0] == 'U' && strcmp(PQcmdTuples(result), "0") == 0) {
        status = sluice_error_set(err, SLUICE_E_DATA, 0,
                                  "%s has no row with the letter's key: there is nothing to update",
                                  letter->target);
    }
    PQclear(result);
    free(sql);
    return status;
}

static sluice_status mark(struct sluice_sink *sink, struct sluice_pg_conn *conn, const char *id,
                          struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    const char *const params[] = {id};
    sluice_pg_text_format(
        &sql, "UPDATE %s.letters SET replayed_at = pg_catalog.now() WHERE id = $1::bigint",
        sink->state);
    sluice_status status = sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status = sluice_pg_query(conn, "mark a letter", sql.data, 1, params, &result, err);
    }
    PQclear(result);
    sluice_pg_text_free(&sql);
    return status;
}

sluice_status sluice_pgsink_replay(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                   uint64_t id, const char *row, struct sluice_error *err)
{
    struct sluice_pg_conn *conn = NULL;
    struct letter letter = {0};
    char number[24];
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)id);
    SLUICE_TRY(ready(sink, plan, &conn, err));
    SLUICE_TRY(sluice_pg_command(conn, "begin", "BEGIN", err));
    sluice_status status = take_letter(sink, conn, number, &letter, err);
    if (status >= 0) {
        status = write_row(conn, &letter, row != NULL ? row : letter.row, err);
    }
    if (status >= 0) {
        status = mark(sink, conn, number, err);
    }
    if (status >= 0) {
        status = sluice_pg_command(conn, "commit", "COMMIT", err);
    }
    else {
        sluice_pgsink_rollback(conn);
    }
    letter_free(&letter);
    return status < 0 ? sluice_pgsink_hint(sink, err, status) : SLUICE_OK;
}
