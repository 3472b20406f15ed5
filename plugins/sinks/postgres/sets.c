/* Changes as sets: staged by COPY, then a few statements per table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/collapse.h"
#include "changes.h"
#include "order.h"
#include "pg/copyin.h"
#include "reject.h"

/* DIRECT_ROWS: fewer rows are not worth a COPY of their own. PAUSE: see struct staging. */
enum { PIECE_BYTES = 128 * 1024, DIRECT_ROWS = 32, PAUSE = 64 };

/* A temporary table that takes what is to be done to one target table. */
struct staging {
    struct staging *next;
    const struct sluice_pgsink_table *table;
    char name[32];
    char *copy;
    char *direct;   /* COPY into the target itself; NULL = never */
    uint32_t pause; /* parts for which new rows are staged, since some were there already */
    int dirty;
};

struct sets {
    struct staging *stagings;
    struct sluice_pgsink_order *order;
    struct sluice_pg_buffer buffer;
    uint32_t made;
};

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for changes");
}

void sluice_pgsink_sets_forget(struct sluice_pgsink_lane *lane)
{
    struct sets *sets = lane->sets;
    while (sets != NULL && sets->stagings != NULL) {
        struct staging *next = sets->stagings->next;
        free(sets->stagings->copy);
        free(sets->stagings->direct);
        free(sets->stagings);
        sets->stagings = next;
    }
    if (sets != NULL) {
        sluice_pgsink_order_free(sets->order);
        sets->order = NULL;
    }
}

void sluice_pgsink_sets_free(struct sluice_pgsink_lane *lane)
{
    struct sets *sets = lane->sets;
    if (sets == NULL) {
        return;
    }
    sluice_pgsink_sets_forget(lane);
    sluice_pg_buffer_free(&sets->buffer);
    free(sets);
    lane->sets = NULL;
}

static const struct sluice_pgsink_table *table_of(const struct sluice_apply_collapsed *c)
{
    return ((const struct sluice_pgsink_stream *)c->table->owner)->table;
}

/* ---- staging ---- */

static int is_binary(const struct sluice_pgsink_column *c)
{
    return c->source >= 0 && c->encoder.binary;
}

/* New rows go straight into the table where each value has a binary form. */
static sluice_status make_direct(struct staging *s, struct sluice_error *err)
{
    const struct sluice_pgsink_table *t = s->table;
    struct sluice_pg_text sql = {0};
    for (uint32_t i = 0; i < t->column_count; i++) {
        if (!is_binary(&t->columns[i])) {
            return SLUICE_OK;
        }
    }
    sluice_pg_text_format(&sql, "COPY %s (", t->quoted);
    sluice_pgsink_table_list(t, NULL, "", &sql);
    sluice_pg_text_add(&sql, ") FROM STDIN (FORMAT binary)");
    s->direct = sluice_pg_text_take(&sql);
    return s->direct != NULL ? SLUICE_OK : nomem(err);
}

static sluice_status make_staging(struct sluice_pgsink_lane *lane, struct sets *sets,
                                  const struct sluice_pgsink_table *t, struct staging **out,
                                  struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    struct staging *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return nomem(err);
    }
    s->table = t;
    (void)snprintf(s->name, sizeof s->name, "pg_temp.sluice_s%u", ++sets->made);
    sluice_pg_text_format(&sql, "CREATE TEMP TABLE %s (_k smallint NOT NULL", s->name + 8);
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct sluice_pgsink_column *c = &t->columns[i];
        sluice_pg_text_format(&sql, ", c%u %s", i, is_binary(c) ? c->cast : "text");
    }
    sluice_pg_text_add(&sql, ") ON COMMIT DELETE ROWS");
    sluice_status status = sluice_pgsink_run_text(lane->conn, "make a staging table", &sql, err);
    if (status >= 0) {
        sluice_pg_text_format(&sql, "COPY %s FROM STDIN (FORMAT binary)", s->name);
        s->copy = sluice_pg_text_take(&sql);
        status = s->copy != NULL ? make_direct(s, err) : nomem(err);
    }
    if (status < 0) {
        free(s->copy);
        free(s);
        return status;
    }
    s->next = sets->stagings;
    sets->stagings = s;
    *out = s;
    return SLUICE_OK;
}

static void put_be(uint8_t *p, uint32_t v, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        *p++ = (uint8_t)(v >> (8 * i));
    }
}

/* The fields of a tuple, as COPY has them. */
static sluice_status add_fields(const struct sluice_apply_log *log,
                                const struct sluice_pgsink_table *t,
                                const struct sluice_apply_final *e, struct sluice_pg_buffer *out,
                                struct sluice_error *err)
{
    const uint8_t *p = log->arena + e->tuple;
    for (uint32_t i = 0; i < t->column_count; i++) {
        int32_t n = 0;
        memcpy(&n, p, 4);
        p += 4;
        const size_t size = n > 0 ? (size_t)n : 0;
        uint8_t *to = sluice_pg_buffer_room(out, 4 + size);
        if (to == NULL) {
            return nomem(err);
        }
        put_be(to, n < 0 ? UINT32_MAX : (uint32_t)n, 4);
        memcpy(to + 4, p, size);
        out->size += 4 + size;
        p += size;
    }
    return SLUICE_OK;
}

/* One row of the staging: what is to be done, and the tuple. */
static sluice_status stage_row(const struct sluice_apply_log *log,
                               const struct sluice_pgsink_table *t,
                               const struct sluice_apply_final *e, struct sluice_pg_buffer *out,
                               struct sluice_error *err)
{
    const uint32_t k = e->todo == SLUICE_APPLY_DO_PART || e->todo == SLUICE_APPLY_DO_TRY
                           ? 100u + e->class_id * 2u + (e->todo == SLUICE_APPLY_DO_TRY)
                           : e->todo;
    uint8_t *to = sluice_pg_buffer_room(out, 8 + 4 * (size_t)t->column_count);
    if (to == NULL) {
        return nomem(err);
    }
    put_be(to, t->column_count + 1u, 2);
    put_be(to + 2, 2, 4);
    put_be(to + 6, k, 2);
    out->size += 8;
    return add_fields(log, t, e, out, err);
}

static sluice_status target_row(const struct sluice_apply_log *log,
                                const struct sluice_pgsink_table *t,
                                const struct sluice_apply_final *e, struct sluice_pg_buffer *out,
                                struct sluice_error *err)
{
    uint8_t *to = sluice_pg_buffer_room(out, 2);
    if (to == NULL) {
        return nomem(err);
    }
    put_be(to, t->column_count, 2);
    out->size += 2;
    return add_fields(log, t, e, out, err);
}

typedef sluice_status (*row_fn)(const struct sluice_apply_log *log,
                                const struct sluice_pgsink_table *t,
                                const struct sluice_apply_final *e, struct sluice_pg_buffer *out,
                                struct sluice_error *err);

/* COPY of those that are to be treated as in `todos`, a bit each. */
static sluice_status copy_rows(struct sluice_pgsink_lane *lane, struct sets *sets, const char *copy,
                               const struct sluice_apply_collapsed *c, uint32_t todos, row_fn row,
                               struct sluice_error *err)
{
    struct sluice_pg_buffer *out = &sets->buffer;
    SLUICE_TRY(sluice_pg_copyin_begin(lane->conn, "write changes", copy, err));
    out->size = 0;
    sluice_pg_copy_header(out);
    for (size_t i = 0; i < c->count; i++) {
        if ((todos >> c->finals[i].todo & 1u) == 0) {
            continue;
        }
        SLUICE_TRY(row(&lane->log, table_of(c), &c->finals[i], out, err));
        if (out->size >= PIECE_BYTES) {
            SLUICE_TRY(
                sluice_pg_copyin_put(lane->conn, "write changes", out->data, out->size, err));
            out->size = 0;
        }
    }
    sluice_pg_copy_trailer(out);
    SLUICE_TRY(sluice_pg_copyin_put(lane->conn, "write changes", out->data, out->size, err));
    out->size = 0;
    return sluice_pg_copyin_end(lane->conn, "write changes", NULL, err);
}

#define BIT(todo) (1u << SLUICE_APPLY_DO_##todo)
#define NEW_ROWS (BIT(PUT) | BIT(ADD))
#define STAGED (BIT(DELETE) | BIT(WHOLE) | BIT(PART) | BIT(TRY))

/* Rows that were not there as far as is known. */
static uint64_t new_rows(const struct sluice_apply_collapsed *c)
{
    return c->by_todo[SLUICE_APPLY_DO_PUT] + c->by_todo[SLUICE_APPLY_DO_ADD];
}

static int goes_direct(const struct staging *s, const struct sluice_apply_collapsed *c)
{
    return s->direct != NULL && s->pause == 0 && new_rows(c) >= DIRECT_ROWS;
}

static sluice_status fill_staging(struct sluice_pgsink_lane *lane, struct sets *sets,
                                  struct staging *s, const struct sluice_apply_collapsed *c,
                                  uint32_t todos, struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    if (s->dirty) {
        sluice_pg_text_format(&sql, "TRUNCATE %s", s->name);
        SLUICE_TRY(sluice_pgsink_run_text(lane->conn, "empty a staging table", &sql, err));
    }
    s->dirty = 1;
    return copy_rows(lane, sets, s->copy, c, todos, stage_row, err);
}

/* ---- statements ---- */

/* The staged value of a column, as one of its type. */
static void add_value(const struct sluice_pgsink_table *t, uint32_t i, struct sluice_pg_text *sql)
{
    const struct sluice_pgsink_column *c = &t->columns[i];
    if (is_binary(c)) {
        sluice_pg_text_format(sql, "s.c%u", i);
    }
    else {
        sluice_pg_text_format(sql, "s.c%u::%s", i, c->cast);
    }
}

static void add_join(const struct sluice_pgsink_table *t, uint32_t k, struct sluice_pg_text *sql)
{
    sluice_pg_text_format(sql, " WHERE s._k = %u", k);
    for (uint32_t i = 0; i < t->key_count; i++) {
        sluice_pg_text_format(sql, " AND t.%s = ", t->columns[t->keys[i]].quoted);
        add_value(t, t->keys[i], sql);
    }
}

static sluice_status run_counted(struct sluice_pgsink_lane *lane, const char *what,
                                 struct sluice_pg_text *sql, uint64_t *rows,
                                 struct sluice_error *err)
{
    PGresult *result = NULL;
    sluice_status status = sluice_pg_text_check(sql, err);
    if (status >= 0) {
        status = sluice_pg_query(lane->conn, what, sql->data, 0, NULL, &result, err);
    }
    if (status >= 0) {
        *rows = strtoull(PQcmdTuples(result), NULL, 10);
    }
    PQclear(result);
    sluice_pg_text_free(sql);
    return status;
}

static sluice_status run_deletes(struct sluice_pgsink_lane *lane, const struct staging *s,
                                 struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    uint64_t rows = 0;
    sluice_pg_text_format(&sql, "DELETE FROM %s t USING %s s", s->table->quoted, s->name);
    add_join(s->table, SLUICE_APPLY_DO_DELETE, &sql);
    return run_counted(lane, "delete rows", &sql, &rows, err);
}

/* `mask` NULL: all columns. Key columns stay what they are. */
static sluice_status run_update(struct sluice_pgsink_lane *lane, const struct staging *s,
                                uint32_t k, const unsigned char *mask, uint64_t *rows,
                                struct sluice_error *err)
{
    const struct sluice_pgsink_table *t = s->table;
    struct sluice_pg_text sql = {0};
    int sets = 0;
    sluice_pg_text_format(&sql, "UPDATE %s t SET ", t->quoted);
    for (uint32_t i = 0; i < t->column_count; i++) {
        if ((mask == NULL || mask[i]) && !t->columns[i].key) {
            sluice_pg_text_format(&sql, "%s%s = ", sets++ > 0 ? ", " : "", t->columns[i].quoted);
            add_value(t, i, &sql);
        }
    }
    if (sets == 0) {
        sluice_pg_text_format(&sql, "%s = ", t->columns[t->keys[0]].quoted);
        add_value(t, t->keys[0], &sql);
    }
    sluice_pg_text_format(&sql, " FROM %s s", s->name);
    add_join(t, k, &sql);
    return run_counted(lane, "update rows", &sql, rows, err);
}

static sluice_status run_insert(struct sluice_pgsink_lane *lane, const struct staging *s,
                                uint32_t k, int put, struct sluice_error *err)
{
    const struct sluice_pgsink_table *t = s->table;
    struct sluice_pg_text sql = {0};
    uint64_t rows = 0;
    int sets = 0;
    sluice_pg_text_format(&sql, "INSERT INTO %s (", t->quoted);
    sluice_pgsink_table_list(t, NULL, "", &sql);
    sluice_pg_text_format(&sql, ")%s SELECT ", t->overriding ? " OVERRIDING SYSTEM VALUE" : "");
    for (uint32_t i = 0; i < t->column_count; i++) {
        sluice_pg_text_add(&sql, i > 0 ? ", " : "");
        add_value(t, i, &sql);
    }
    sluice_pg_text_format(&sql, " FROM %s s WHERE s._k = %u", s->name, k);
    if (put) {
        sluice_pg_text_add(&sql, " ON CONFLICT (");
        for (uint32_t i = 0; i < t->key_count; i++) {
            sluice_pg_text_format(&sql, "%s%s", i > 0 ? ", " : "", t->columns[t->keys[i]].quoted);
        }
        sluice_pg_text_add(&sql, ") DO ");
        for (uint32_t i = 0; i < t->column_count; i++) {
            if (!t->columns[i].key) {
                sluice_pg_text_format(&sql, "%s%s = excluded.%s", sets++ > 0 ? ", " : "UPDATE SET ",
                                      t->columns[i].quoted, t->columns[i].quoted);
            }
        }
        sluice_pg_text_add(&sql, sets == 0 ? "NOTHING" : "");
    }
    return run_counted(lane, "insert rows", &sql, &rows, err);
}

/* Straight into the table. Where a row with the key of one was there, they are staged, and put. */
static sluice_status run_direct(struct sluice_pgsink_lane *lane, struct sets *sets,
                                struct staging *s, const struct sluice_apply_collapsed *c,
                                int *stored, struct sluice_error *err)
{
    *stored = 0;
    SLUICE_TRY(sluice_pg_command(lane->conn, "write new rows", "SAVEPOINT sluice_new", err));
    sluice_status status = copy_rows(lane, sets, s->direct, c, NEW_ROWS, target_row, err);
    if (status >= 0) {
        *stored = 1;
        return sluice_pg_command(lane->conn, "write new rows", "RELEASE sluice_new", err);
    }
    if (strcmp(err->sqlstate, "23505") != 0) {
        return status;
    }
    sluice_error_clear(err);
    s->pause = PAUSE;
    SLUICE_TRY(sluice_pg_command(lane->conn, "undo new rows",
                                 "ROLLBACK TO sluice_new; RELEASE sluice_new", err));
    return fill_staging(lane, sets, s, c, NEW_ROWS, err);
}

/* AGAIN: a row that must be there is not; one by one it is found. */
static sluice_status run_rest(struct sluice_pgsink_lane *lane, struct sets *sets, struct staging *s,
                              const struct sluice_apply_collapsed *c, struct sluice_error *err)
{
    uint64_t rows = 0;
    int stored = 0;
    for (uint32_t k = 0; k < c->class_count; k++) {
        uint64_t parts = 0;
        uint64_t tries = 0;
        for (size_t i = 0; i < c->count; i++) {
            parts += c->finals[i].todo == SLUICE_APPLY_DO_PART && c->finals[i].class_id == k;
            tries += c->finals[i].todo == SLUICE_APPLY_DO_TRY && c->finals[i].class_id == k;
        }
        if (parts > 0) {
            SLUICE_TRY(run_update(lane, s, 100u + k * 2u, c->classes[k], &rows, err));
            if (rows < parts) {
                return SLUICE_AGAIN;
            }
        }
        if (tries > 0) {
            SLUICE_TRY(run_update(lane, s, 100u + k * 2u + 1u, c->classes[k], &rows, err));
        }
    }
    if (c->by_todo[SLUICE_APPLY_DO_WHOLE] > 0) {
        SLUICE_TRY(run_update(lane, s, SLUICE_APPLY_DO_WHOLE, NULL, &rows, err));
        if (rows < c->by_todo[SLUICE_APPLY_DO_WHOLE]) { /* whole rows are put where they are not */
            SLUICE_TRY(run_insert(lane, s, SLUICE_APPLY_DO_WHOLE, 1, err));
        }
    }
    if (goes_direct(s, c)) {
        SLUICE_TRY(run_direct(lane, sets, s, c, &stored, err));
    }
    s->pause -= s->pause > 0 && !stored;
    if (c->by_todo[SLUICE_APPLY_DO_PUT] > 0 && !stored) {
        SLUICE_TRY(run_insert(lane, s, SLUICE_APPLY_DO_PUT, 1, err));
    }
    if (c->by_todo[SLUICE_APPLY_DO_ADD] > 0 && !stored) {
        SLUICE_TRY(run_insert(lane, s, SLUICE_APPLY_DO_ADD, 0, err));
    }
    return SLUICE_OK;
}

/* ---- all tables ---- */

static struct staging *find_staging(const struct sets *sets, const struct sluice_pgsink_table *t)
{
    struct staging *s = sets->stagings;
    while (s != NULL && s->table != t) {
        s = s->next;
    }
    return s;
}

static sluice_status run_tables(struct sluice_pgsink_lane *lane, struct sets *sets,
                                const struct sluice_apply_collapsed *all, struct sluice_error *err)
{
    const uint32_t n = lane->log.table_count;
    const uint32_t *order = sluice_pgsink_order_of(sets->order);
    for (uint32_t i = 0; i < n; i++) {
        struct staging *s = find_staging(sets, table_of(&all[i]));
        const int direct = s != NULL && goes_direct(s, &all[i]);
        const uint64_t nothing = all[i].by_todo[SLUICE_APPLY_DO_NOTHING];
        if (all[i].count > nothing + (direct ? new_rows(&all[i]) : 0)) {
            const uint32_t todos = STAGED | (direct ? 0 : NEW_ROWS);
            SLUICE_TRY(fill_staging(lane, sets, s, &all[i], todos, err));
        }
    }
    for (uint32_t i = n; i > 0; i--) { /* children first */
        const struct sluice_apply_collapsed *c = &all[order[i - 1]];
        if (c->by_todo[SLUICE_APPLY_DO_DELETE] > 0) {
            SLUICE_TRY(run_deletes(lane, find_staging(sets, table_of(c)), err));
        }
    }
    for (uint32_t i = 0; i < n; i++) { /* parents first */
        const struct sluice_apply_collapsed *c = &all[order[i]];
        if (c->count > 0) {
            sluice_status status = run_rest(lane, sets, find_staging(sets, table_of(c)), c, err);
            if (status != SLUICE_OK) {
                return status;
            }
        }
    }
    return SLUICE_OK;
}

/* Temporary tables have no statistics: rows of the target are to be found by their index. */
static const char planner[] =
    "SAVEPOINT sluice_sets; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; "
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off";

static sluice_status ready(struct sluice_pgsink_lane *lane,
                           const struct sluice_apply_collapsed *all, struct sets **out,
                           struct sluice_error *err)
{
    struct sets *sets = lane->sets;
    if (sets == NULL) {
        sets = calloc(1, sizeof *sets);
        if (sets == NULL) {
            return nomem(err);
        }
        lane->sets = sets;
    }
    for (uint32_t i = 0; i < lane->log.table_count; i++) {
        struct staging *s = find_staging(sets, table_of(&all[i]));
        if (s == NULL && all[i].count > 0) {
            SLUICE_TRY(make_staging(lane, sets, table_of(&all[i]), &s, err));
        }
    }
    *out = sets;
    return sluice_pgsink_order_ready(lane, &sets->order, err);
}

sluice_status sluice_pgsink_sets_apply(struct sluice_pgsink_lane *lane, size_t from, size_t to,
                                       struct sluice_error *err)
{
    struct sluice_apply_collapsed *all = NULL;
    struct sets *sets = NULL;
    sluice_status status = sluice_apply_collapse(&lane->log, from, to, &all, err);
    if (status != SLUICE_OK) {
        return status;
    }
    status = ready(lane, all, &sets, err);
    if (status >= 0) {
        status = sluice_pg_command(lane->conn, "write changes as sets", planner, err);
    }
    if (status >= 0) {
        status = run_tables(lane, sets, all, err);
        if (status == SLUICE_OK) {
            status =
                sluice_pg_command(lane->conn, "write changes as sets", "RELEASE sluice_sets", err);
        }
        else if (status == SLUICE_AGAIN ||
                 (sluice_pgsink_is_row_error(err) && PQstatus(lane->conn->pg) == CONNECTION_OK)) {
            sluice_error_clear(err);
            SLUICE_TRY(sluice_pg_command(lane->conn, "undo a set",
                                         "ROLLBACK TO sluice_sets; RELEASE sluice_sets", err));
            status = SLUICE_AGAIN;
        }
    }
    sluice_apply_collapsed_free(all, lane->log.table_count);
    return status;
}
