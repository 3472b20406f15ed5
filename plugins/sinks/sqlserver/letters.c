/* Dead letters: listed, and written again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "letterrow.h"
#include "reject.h"
#include "statement.h"

enum { PAGE = 500 };

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a letter");
}

/* Connected, and the plan taken over. NOT_FOUND: there is no table of letters. */
static sluice_status ready(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                           struct sluice_tds_conn **out, struct sluice_error *err)
{
    char *found = NULL;
    struct mssink_text name = {0};
    struct mssink_text t = {0};
    SLUICE_TRY(mssink_plan(sink, plan, err));
    SLUICE_TRY(mssink_ctl(sink, out, err));
    mssink_text_table(&name, sink->options.state_schema, "letters");
    mssink_text_add(&t, "SELECT OBJECT_ID(");
    mssink_text_literal(&t, name.data);
    mssink_text_add(&t, ") AS id");
    mssink_text_free(&name);
    SLUICE_TRY(mssink_value(*out, "look for letters", &t, &found, err));
    const int has = found != NULL;
    free(found);
    return has ? SLUICE_OK
               : sluice_error_set(
                     err, SLUICE_E_NOT_FOUND, 0,
                     "the target has no letters: this pipeline has not run into it yet");
}

static void add_whose(const struct sluice_sink *sink, struct mssink_text *t)
{
    mssink_text_format(t, " FROM %s.[letters] WHERE pipeline = ", sink->state);
    mssink_text_literal(t, sink->pipeline);
    mssink_text_add(t, " AND sink = ");
    mssink_text_literal(t, sink->node);
}

/* An owned copy; NULL for NULL. */
static char *copy(const struct sluice_tds_conn *conn, int32_t i)
{
    const struct sluice_bytes v = sluice_tds_value(conn, i);
    return v.data != NULL ? strndup(v.data, (size_t)v.size) : NULL;
}

/* ---- listing ---- */

enum { L_ID, L_NUMBER, L_REJECTED, L_REPLAYED, L_TEXTS, TEXTS = 6 };

static sluice_status visit_row(const struct sluice_tds_conn *conn, sluice_letter_visit visit,
                               void *vctx, uint64_t *last, struct sluice_error *err)
{
    char number[24] = "";
    char *texts[TEXTS]; /* stream op position error row key */
    for (int32_t i = 0; i < TEXTS; i++) {
        texts[i] = copy(conn, L_TEXTS + i);
    }
    const int numbered = sluice_tds_value(conn, L_NUMBER).data != NULL;
    (void)snprintf(number, sizeof number, "%lld", (long long)sluice_tds_number(conn, L_NUMBER));
    const struct sluice_letter letter = {.struct_size = (uint32_t)sizeof letter,
                                         .id = (uint64_t)sluice_tds_number(conn, L_ID),
                                         .stream = texts[0] != NULL ? texts[0] : "",
                                         .op = texts[1] != NULL ? texts[1] : "",
                                         .position = texts[2],
                                         .sqlstate = numbered ? number : NULL,
                                         .error = texts[3] != NULL ? texts[3] : "",
                                         .row = texts[4] != NULL ? texts[4] : "{}",
                                         .key = texts[5],
                                         .rejected_us = sluice_tds_number(conn, L_REJECTED) * 1000,
                                         .replayed_us = sluice_tds_number(conn, L_REPLAYED) * 1000};
    *last = letter.id;
    const sluice_status status = visit(vctx, &letter);
    for (int32_t i = 0; i < TEXTS; i++) {
        free(texts[i]);
    }
    return status < 0 ? sluice_error_set(err, status, 0, "a letter was not taken") : status;
}

/* *rows: so many were there; END when the visitor has seen enough. */
static sluice_status visit_page(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                const char *stream, uint64_t *from, int *rows,
                                sluice_letter_visit visit, void *vctx, struct sluice_error *err)
{
    struct mssink_text t = {0};
    uint64_t last = *from;
    mssink_text_format(&t,
                       "SELECT TOP (%d) id, number, DATEDIFF_BIG(millisecond, '1970-01-01', "
                       "rejected_at) AS rejected, ISNULL(DATEDIFF_BIG(millisecond, '1970-01-01', "
                       "replayed_at), 0) AS replayed, stream, op, position, error, [row], [key]",
                       PAGE);
    add_whose(sink, &t);
    if (stream != NULL) {
        mssink_text_add(&t, " AND stream = ");
        mssink_text_literal(&t, stream);
    }
    mssink_text_format(&t, " AND id >= %llu ORDER BY id", (unsigned long long)*from);
    sluice_status status = mssink_text_check(&t, err);
    if (status >= 0) {
        status = sluice_tds_query(conn, "read letters", t.data, err);
    }
    mssink_text_free(&t);
    *rows = 0;
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        if (status != SLUICE_OK) {
            break;
        }
        ++*rows;
        status = visit_row(conn, visit, vctx, &last, err);
        if (status != SLUICE_OK) {
            *rows = 0;
            sluice_tds_cancel(conn);
        }
    }
    *from = last + 1;
    return status < 0 ? status : SLUICE_OK;
}

sluice_status mssink_letters(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                             const char *stream, uint64_t from, sluice_letter_visit visit,
                             void *vctx, struct sluice_error *err)
{
    struct sluice_tds_conn *conn = NULL;
    sluice_status status = ready(sink, plan, &conn, err);
    if (status == SLUICE_E_NOT_FOUND) {
        return SLUICE_OK;
    }
    for (int rows = PAGE; rows == PAGE && status == SLUICE_OK;) {
        status = visit_page(sink, conn, stream, &from, &rows, visit, vctx, err);
    }
    return status;
}

/* ---- writing one again ---- */

struct letter {
    char *op;
    char *target; /* "[schema].[name]" */
    char *row;
    char *key; /* NULL = none */
    char *how; /* sluice_apply_letter_how() */
    int replayed;
};

static void letter_free(struct letter *letter)
{
    free(letter->op);
    free(letter->target);
    free(letter->row);
    free(letter->key);
    free(letter->how);
}

static sluice_status take_letter(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                 uint64_t id, struct letter *out, struct sluice_error *err)
{
    int found = 0;
    struct mssink_text t = {0};
    mssink_text_add(&t, "SELECT op, target, [row], [key], how, CASE WHEN replayed_at IS NULL THEN "
                        "0 ELSE 1 END AS replayed");
    mssink_text_format(&t, " FROM %s.[letters] WITH (UPDLOCK) WHERE pipeline = ", sink->state);
    mssink_text_literal(&t, sink->pipeline);
    mssink_text_add(&t, " AND sink = ");
    mssink_text_literal(&t, sink->node);
    mssink_text_format(&t, " AND id = %llu", (unsigned long long)id);
    sluice_status status = mssink_text_check(&t, err);
    if (status >= 0) {
        status = sluice_tds_query(conn, "take a letter", t.data, err);
    }
    mssink_text_free(&t);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        if (status == SLUICE_OK && !found) {
            found = 1;
            *out = (struct letter){copy(conn, 0), copy(conn, 1), copy(conn, 2),
                                   copy(conn, 3), copy(conn, 4), sluice_tds_number(conn, 5) != 0};
        }
    }
    if (status < 0) {
        return status;
    }
    if (!found) {
        return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0,
                                "there is no letter %llu of this pipeline (hint: sluice dlq list)",
                                (unsigned long long)id);
    }
    if (out->replayed) {
        return sluice_error_set(err, SLUICE_E_STATE, 0, "letter %llu was replayed already",
                                (unsigned long long)id);
    }
    return out->op != NULL && out->target != NULL && out->row != NULL && out->how != NULL
               ? SLUICE_OK
               : nomem(err);
}

/* "[a]].b].[c]" → a].b and c. */
static int take_name(const char **p, char *out, size_t size)
{
    size_t n = 0;
    if (*(*p)++ != '[') {
        return 0;
    }
    for (; **p != '\0' && n + 1 < size; (*p)++) {
        if (**p == ']' && *++(*p) != ']') {
            out[n] = '\0';
            return 1;
        }
        out[n++] = **p;
    }
    return 0;
}

static void add_value(const struct mssink_seen_column *column, const struct mssink_letter_value *v,
                      struct mssink_text *out)
{
    if (!v->is_string) {
        mssink_text_add(out, strcmp(v->text, "true") == 0    ? "1"
                             : strcmp(v->text, "false") == 0 ? "0"
                             : strcmp(v->text, "null") == 0  ? "NULL"
                                                             : v->text);
        return;
    }
    const size_t hex = strlen(v->text) >= 2 ? strspn(v->text + 2, "0123456789abcdefABCDEF") : 0;
    if (column->type.form == MSSINK_FORM_BYTES && strncmp(v->text, "0x", 2) == 0 &&
        v->text[2 + hex] == '\0') {
        mssink_text_add(out, v->text);
        return;
    }
    mssink_text_literal(out, v->text);
}

static void add_condition(const struct mssink_seen_column *column,
                          const struct mssink_letter_value *v, struct mssink_text *out)
{
    const int text =
        column->type.form == MSSINK_FORM_UTF16 || column->type.form == MSSINK_FORM_CHARS;
    mssink_text_ident(out, column->name);
    if (!v->is_string && strcmp(v->text, "null") == 0) {
        mssink_text_add(out, " IS NULL");
        return;
    }
    mssink_text_add(out, text ? " COLLATE Latin1_General_100_BIN2 = " : " = ");
    add_value(column, v, out);
}

struct replayed {
    const struct letter *letter;
    struct mssink_seen seen;
    struct mssink_letter_row row;
    struct mssink_letter_row key; /* without values where the letter has none */
};

/* 1 if `name` is of the first unique index whose columns are all in the row. */
static int is_of_index(const struct replayed *r, const char *name)
{
    char *all = r->seen.unique != NULL ? strdup(r->seen.unique) : NULL;
    char *rest_of_all = NULL;
    int out = 0;
    for (char *one = all != NULL ? strtok_r(all, "\x1e", &rest_of_all) : NULL; one != NULL && !out;
         one = strtok_r(NULL, "\x1e", &rest_of_all)) {
        char *rest = NULL;
        int whole = 1;
        for (char *column = strtok_r(one, "\x1f", &rest); column != NULL;
             column = strtok_r(NULL, "\x1f", &rest)) {
            whole &= mssink_letter_row_find(&r->row, column) != NULL;
            out |= strcmp(column, name) == 0;
        }
        if (whole) {
            break;
        }
        out = 0;
    }
    free(all);
    return out;
}

static sluice_status add_where(const struct replayed *r, struct mssink_text *out,
                               struct sluice_error *err)
{
    int any = 0;
    const struct mssink_letter_row *from = r->key.count > 0 ? &r->key : &r->row;
    for (uint32_t i = 0; i < r->seen.count; i++) {
        const struct mssink_seen_column *c = &r->seen.columns[i];
        const struct mssink_letter_value *v = mssink_letter_row_find(from, c->name);
        if (v != NULL && (r->key.count > 0 || is_of_index(r, c->name))) {
            mssink_text_add(out, any ? " AND " : " WHERE ");
            add_condition(c, v, out);
            any = 1;
        }
    }
    return any ? SLUICE_OK
               : sluice_error_set(err, SLUICE_E_DATA, 0,
                                  "the letter has no value of a key of %s, so that its row is not "
                                  "found",
                                  r->letter->target);
}

static sluice_status add_insert(const struct replayed *r, struct mssink_text *out,
                                struct sluice_error *err)
{
    struct mssink_text values = {0};
    int identity = 0;
    int any = 0;
    mssink_text_format(out, "INSERT INTO %s (", r->letter->target);
    for (uint32_t i = 0; i < r->seen.count; i++) {
        const struct mssink_seen_column *c = &r->seen.columns[i];
        const struct mssink_letter_value *v = mssink_letter_row_find(&r->row, c->name);
        if (v == NULL || c->computed) {
            continue;
        }
        mssink_text_add(out, any ? ", " : "");
        mssink_text_add(&values, any ? ", " : "");
        mssink_text_ident(out, c->name);
        add_value(c, v, &values);
        identity |= c->identity;
        any = 1;
    }
    mssink_text_format(out, ") VALUES (%s)", values.data != NULL ? values.data : "");
    mssink_text_free(&values);
    if (!any) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "the letter has no column of %s",
                                r->letter->target);
    }
    if (identity) {
        struct mssink_text with = {0};
        mssink_text_format(&with, "SET IDENTITY_INSERT %s ON; %s; SET IDENTITY_INSERT %s OFF",
                           r->letter->target, out->data, r->letter->target);
        mssink_text_free(out);
        *out = with;
    }
    return SLUICE_OK;
}

static sluice_status add_update(const struct replayed *r, struct mssink_text *out,
                                struct sluice_error *err)
{
    int any = 0;
    mssink_text_format(out, "UPDATE %s SET ", r->letter->target);
    for (uint32_t i = 0; i < r->seen.count; i++) {
        const struct mssink_seen_column *c = &r->seen.columns[i];
        const struct mssink_letter_value *v = mssink_letter_row_find(&r->row, c->name);
        if (v != NULL && !c->computed && !c->identity) {
            mssink_text_add(out, any ? ", " : "");
            mssink_text_ident(out, c->name);
            mssink_text_add(out, " = ");
            add_value(c, v, out);
            any = 1;
        }
    }
    if (!any) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "the letter has no column of %s",
                                r->letter->target);
    }
    SLUICE_TRY(add_where(r, out, err));
    mssink_text_format(out,
                       ";\nIF @@ROWCOUNT = 0 THROW %d, N'the target has no row with the letter''s "
                       "key: there is nothing to update', 1",
                       MSSINK_THROW_MISSING);
    return SLUICE_OK;
}

static sluice_status add_statement(const struct replayed *r, struct mssink_text *out,
                                   struct sluice_error *err)
{
    const struct letter *l = r->letter;
    if (l->op[0] == 'R' || l->op[0] == 'I' || strcmp(l->how, "insert") == 0) {
        return add_insert(r, out, err);
    }
    if (l->op[0] == 'U') {
        return add_update(r, out, err);
    }
    if (strncmp(l->how, "soft:", 5) == 0) {
        mssink_text_format(out, "UPDATE %s SET ", l->target);
        mssink_text_ident(out, l->how + 5);
        mssink_text_add(out, " = 1");
    }
    else {
        mssink_text_format(out, "DELETE FROM %s", l->target);
    }
    return add_where(r, out, err);
}

static sluice_status write_row(struct sluice_tds_conn *conn, const struct letter *letter,
                               const char *row, struct sluice_error *err)
{
    char schema[600];
    char name[600];
    const char *p = letter->target;
    struct replayed r = {.letter = letter};
    struct mssink_text sql = {0};
    if (letter->op[0] == 'D' && strcmp(letter->how, "ignore") == 0) {
        return SLUICE_OK;
    }
    if (!take_name(&p, schema, sizeof schema) || *p++ != '.' || !take_name(&p, name, sizeof name)) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "the letter's target %s is no table's name",
                                letter->target);
    }
    SLUICE_TRY(mssink_seen_read(conn, schema, name, &r.seen, err));
    sluice_status status =
        r.seen.object_id != 0
            ? mssink_letter_row_parse(row, &r.row, err)
            : sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "there is no table %s", letter->target);
    if (status >= 0 && letter->key != NULL) {
        status = mssink_letter_row_parse(letter->key, &r.key, err);
    }
    if (status >= 0) {
        status = add_statement(&r, &sql, err);
    }
    if (status >= 0) {
        status = mssink_run(conn, "replay a letter", &sql, err);
    }
    mssink_text_free(&sql);
    mssink_letter_row_free(&r.row);
    mssink_letter_row_free(&r.key);
    mssink_seen_free(&r.seen);
    return status;
}

static sluice_status mark(struct sluice_sink *sink, struct sluice_tds_conn *conn, uint64_t id,
                          struct sluice_error *err)
{
    struct mssink_text t = {0};
    mssink_text_format(&t,
                       "UPDATE %s.[letters] SET replayed_at = SYSUTCDATETIME() WHERE id = %llu; "
                       "COMMIT TRANSACTION",
                       sink->state, (unsigned long long)id);
    return mssink_run(conn, "mark a letter", &t, err);
}

sluice_status mssink_replay(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                            uint64_t id, const char *row, struct sluice_error *err)
{
    struct sluice_tds_conn *conn = NULL;
    struct letter letter = {0};
    SLUICE_TRY(ready(sink, plan, &conn, err));
    SLUICE_TRY(sluice_tds_run(conn, "begin", "BEGIN TRANSACTION", err));
    sluice_status status = take_letter(sink, conn, id, &letter, err);
    if (status >= 0) {
        status = write_row(conn, &letter, row != NULL ? row : letter.row, err);
    }
    if (status >= 0) {
        status = mark(sink, conn, id, err);
    }
    if (status < 0) {
        mssink_rollback(conn);
    }
    letter_free(&letter);
    return status;
}

sluice_status mssink_report(struct sluice_sink *sink, sluice_report_visit visit, void *vctx,
                            struct sluice_error *err)
{
    return sluice_apply_report(&sink->tallies, visit, vctx, err);
}
