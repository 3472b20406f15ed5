/* pg_wire values: every query twice, in text and in binary form. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg/decode.h"
#include "pg/types.h"
#include "sluice/array.h"
#include "wire.h"

enum { COLUMNS_MAX = 64 };

struct query {
    struct sluice_pg_conn *conn;
    const char *sql;
    PGresult *text;
    PGresult *binary; /* NULL: a column has no binary form */
    PGresult *cast;   /* what the select expressions give */
    struct sluice_pg_types *types;
    struct sluice_pg_column_plan plans[COLUMNS_MAX];
    struct sluice_pg_text select;
    int columns;
    int policy;
};

/* libpq's blocking interface will do: only the decoders are tested here. */
static PGresult *fetch(struct sluice_pg_conn *conn, const char *sql, int format)
{
    (void)PQsetnonblocking(conn->pg, 0);
    PGresult *result = PQexecParams(conn->pg, sql, 0, NULL, NULL, NULL, NULL, format);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        (void)fprintf(stderr, "%s: %s", sql, PQresultErrorMessage(result));
        PQclear(result);
        return NULL;
    }
    return result;
}

static int plan(struct query *q, struct sluice_error *err)
{
    struct sluice_pg_text oids = {0};
    q->columns = PQnfields(q->text);
    if (q->columns > COLUMNS_MAX) {
        return 1;
    }
    for (int i = 0; i < q->columns; i++) {
        sluice_pg_text_format(&oids, "%s%u", i > 0 ? "," : "{", PQftype(q->text, i));
    }
    sluice_pg_text_add(&oids, "}");
    int rc = sluice_pg_text_check(&oids, err) < 0 ||
             sluice_pg_types_load_oids(q->conn, oids.data, &q->types, err) < 0;
    sluice_pg_text_free(&oids);
    for (int i = 0; i < q->columns && rc == 0; i++) {
        struct sluice_pg_column column = {PQfname(q->text, i), PQftype(q->text, i),
                                          PQfmod(q->text, i)};
        sluice_pg_text_add(&q->select, i > 0 ? ", " : "SELECT ");
        rc = sluice_pg_column_make(q->types, &column, q->policy, 0, &q->select, &q->plans[i], err) <
             0;
    }
    return rc;
}

static int make_schema(const struct query *q, struct ArrowSchema *schema)
{
    static const struct sluice_pair special[] = {{"sluice:special", "1"}};
    if (sluice_schema_init(schema, q->columns, NULL) < 0) {
        return 1;
    }
    for (int i = 0; i < q->columns; i++) {
        if (sluice_schema_set(schema, i, PQfname(q->text, i), &q->plans[i].type, 1, special,
                              (uint32_t)q->plans[i].special, NULL) < 0) {
            sluice_schema_release(schema);
            return 1;
        }
    }
    return 0;
}

/* Decodes all rows of one form into an array. 1 = failed. */
static int decode(const struct query *q, const PGresult *from, int binary,
                  const struct ArrowSchema *schema, struct ArrowArray *out)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_rows rows = {0};
    struct sluice_pg_decoder d[COLUMNS_MAX];
    int count = PQntuples(from);
    sluice_status st = sluice_rows_init(&rows, schema, count + 1, &err);
    for (int i = 0; i < q->columns && st >= 0; i++) {
        st = (binary ? sluice_pg_decoder_init : sluice_pg_text_decoder_init)(
            &d[i], q->plans[i].decode, &rows.columns[i], PQfname(from, i), q->policy, &err);
    }
    for (int row = 0; row < count && st >= 0; row++) {
        for (int i = 0; i < q->columns && st >= 0; i++) {
            /* Without a byte behind its end, so that a read past it is seen. */
            uint32_t size = (uint32_t)PQgetlength(from, row, i);
            uint8_t *copy = malloc(size > 0 ? size : 1);
            if (copy == NULL) {
                st = SLUICE_E_NOMEM;
                break;
            }
            memcpy(copy, PQgetvalue(from, row, i), size);
            st = PQgetisnull(from, row, i) ? sluice_column_put_null(&rows.columns[i], &err)
                                           : d[i].decode(&d[i], copy, size, &err);
            free(copy);
            if (st < 0) {
                (void)fprintf(stderr, "row %d, %s, %s: ", row, PQfname(from, i),
                              binary ? "binary" : PQgetvalue(from, row, i));
            }
        }
        sluice_rows_end_row(&rows);
    }
    if (st >= 0) {
        st = sluice_rows_finish(&rows, out, &err);
    }
    sluice_rows_free(&rows);
    return st < 0 ? wire_complain(q->sql, &err) : 0;
}

/* The bytes of buffer `b` that hold values. */
static size_t buffer_size(const struct sluice_type *type, const struct ArrowArray *a, int b)
{
    size_t n = (size_t)a->length;
    if (b == 0) {
        return a->buffers[0] != NULL ? (n + 7) / 8 : 0;
    }
    if (type->id == SLUICE_TYPE_UTF8 || type->id == SLUICE_TYPE_BINARY) {
        const int32_t *offsets = a->buffers[1];
        return b == 1 ? (n + 1) * 4 : (size_t)offsets[n];
    }
    return type->width > 0 ? n * (size_t)type->width : (n + 7) / 8;
}

static int differ(const struct query *q, int column, const struct ArrowArray *a,
                  const struct ArrowArray *b)
{
    int different =
        a->length != b->length || a->null_count != b->null_count || a->n_buffers != b->n_buffers;
    for (int i = 0; i < a->n_buffers && !different; i++) {
        size_t size = buffer_size(&q->plans[column].type, a, i);
        different = size != buffer_size(&q->plans[column].type, b, i) ||
                    (size > 0 && memcmp(a->buffers[i], b->buffers[i], size) != 0);
    }
    if (different) {
        (void)fprintf(stderr, "%s: column %s: text and binary differ\n", q->sql,
                      PQfname(q->text, column));
    }
    return different;
}

static int compare_forms(const struct query *q)
{
    struct ArrowSchema schema;
    struct ArrowArray text = {0};
    struct ArrowArray binary = {0};
    if (make_schema(q, &schema) != 0) {
        return 1;
    }
    struct sluice_error err = SLUICE_ERROR_INIT;
    int rc = decode(q, q->text, 0, &schema, &text);
    if (rc == 0 && sluice_array_check(&schema, &text, SLUICE_CHECK_FULL, &err) < 0) {
        rc = wire_complain(q->sql, &err);
    }
    if (rc == 0 && q->binary != NULL) {
        rc = decode(q, q->binary, 1, &schema, &binary);
        for (int i = 0; i < q->columns && rc == 0; i++) {
            rc = differ(q, i, text.children[i], binary.children[i]);
        }
    }
    sluice_array_release(&text);
    sluice_array_release(&binary);
    sluice_schema_release(&schema);
    return rc;
}

/* Select expressions give text where there is no binary form: the same as the output function. */
static int compare_casts(const struct query *q)
{
    for (int row = 0; row < PQntuples(q->text); row++) {
        for (int i = 0; i < q->columns; i++) {
            if (PQgetisnull(q->text, row, i) != PQgetisnull(q->cast, row, i) ||
                strcmp(PQgetvalue(q->text, row, i), PQgetvalue(q->cast, row, i)) != 0) {
                (void)fprintf(stderr, "%s: row %d, column %s: %s selected as %s\n", q->sql, row,
                              PQfname(q->text, i), PQgetvalue(q->text, row, i),
                              PQgetvalue(q->cast, row, i));
                return 1;
            }
        }
    }
    return 0;
}

static int query_run(struct sluice_pg_conn *conn, const char *sql, int policy)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct query q = {.conn = conn, .sql = sql, .policy = policy, .text = fetch(conn, sql, 0)};
    int rc = 1;
    if (q.text == NULL) {
        return 1;
    }
    if (plan(&q, &err) != 0) {
        (void)wire_complain(sql, &err);
        goto out;
    }
    int whole = 1;
    for (int i = 0; i < q.columns; i++) {
        whole &= q.plans[i].binary;
    }
    if (whole) {
        q.binary = fetch(conn, sql, 1);
        if (q.binary == NULL) {
            goto out;
        }
    }
    sluice_pg_text_format(&q.select, " FROM (%s) q", sql);
    q.cast = fetch(conn, q.select.data, 0);
    rc = q.cast == NULL || compare_casts(&q) || compare_forms(&q);
    (void)printf("%s %d rows %s\n", rc == 0 ? "same" : "DIFFERENT", PQntuples(q.text),
                 whole ? "binary" : "text");
out:
    for (int i = 0; i < q.columns; i++) {
        sluice_pg_text_free(&q.plans[i].text);
    }
    sluice_pg_text_free(&q.select);
    sluice_pg_types_free(q.types);
    PQclear(q.text);
    PQclear(q.binary);
    PQclear(q.cast);
    return rc;
}

int wire_values(const struct sluice_pg_settings *settings, struct sluice_pg_registry *registry)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_pg_conn *conn = NULL;
    if (sluice_pg_connect(settings, wire_host(), registry, 0, &conn, &err) < 0) {
        return wire_complain("connect", &err);
    }
    char *line = NULL;
    size_t cap = 0;
    int failed = 0;
    ssize_t size = getline(&line, &cap, stdin);
    while (size > 0) {
        line[strcspn(line, "\n")] = '\0';
        failed |= query_run(conn, line, SLUICE_PG_UNREPRESENTABLE_FAIL);
        failed |= query_run(conn, line, SLUICE_PG_UNREPRESENTABLE_TEXT);
        size = getline(&line, &cap, stdin);
    }
    free(line);
    sluice_pg_close(conn);
    return failed;
}
