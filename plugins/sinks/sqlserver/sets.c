/* Changes as sets: staged by bulk load, then a few statements per table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/collapse.h"
#include "apply/order.h"
#include "bulkrows.h"
#include "changes.h"
#include "statement.h"

enum { STAGE_NAME = 32 };

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for changes");
}

static const struct mssink_table *table_of(const struct sluice_apply_table *table)
{
    return ((const struct mssink_stream *)table->owner)->table;
}

/* ---- order ---- */

static int64_t index_of(const struct sluice_apply_log *log, int64_t object_id)
{
    for (uint32_t i = 0; i < log->table_count; i++) {
        if (table_of(log->tables[i])->object_id == object_id) {
            return i;
        }
    }
    return -1;
}

static sluice_status read_edges(struct mssink_changes *lane, struct sluice_apply_edge **edges,
                                size_t *count, struct sluice_error *err)
{
    size_t cap = 0;
    sluice_status status = sluice_tds_query(
        lane->conn, "read the foreign keys of the target",
        "SELECT parent_object_id, referenced_object_id FROM sys.foreign_keys", err);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(lane->conn, err);
        if (status != SLUICE_OK) {
            break;
        }
        const int64_t child = index_of(&lane->log, sluice_tds_number(lane->conn, 0));
        const int64_t parent = index_of(&lane->log, sluice_tds_number(lane->conn, 1));
        if (child < 0 || parent < 0) {
            continue;
        }
        if (!sluice_apply_grow((void **)edges, &cap, *count + 1, sizeof **edges)) {
            sluice_tds_cancel(lane->conn);
            return nomem(err);
        }
        (*edges)[(*count)++] = (struct sluice_apply_edge){(uint32_t)child, (uint32_t)parent};
    }
    return status < 0 ? status : SLUICE_OK;
}

sluice_status mssink_tables_order(struct mssink_changes *lane, uint32_t **out,
                                  struct sluice_error *err)
{
    const uint32_t n = lane->log.table_count;
    struct sluice_apply_edge *edges = NULL;
    size_t count = 0;
    *out = calloc(n + 1u, sizeof **out);
    if (*out == NULL) {
        return nomem(err);
    }
    sluice_status status = n > 1 ? read_edges(lane, &edges, &count, err) : SLUICE_OK;
    if (status >= 0) {
        status = sluice_apply_order(edges, count, n, *out, err);
    }
    free(edges);
    return status;
}

/* ---- staging ---- */

static sluice_status open_stage(struct mssink_changes *lane, const struct mssink_table *t,
                                const char *stage, struct sluice_tds_bulk **out,
                                struct sluice_error *err)
{
    struct sluice_tds_bulk_column *columns = calloc(t->column_count + 1u, sizeof *columns);
    if (columns == NULL) {
        return nomem(err);
    }
    columns[0] = (struct sluice_tds_bulk_column){1, mssink_bulk_type(MSSINK_FORM_INT4)};
    for (uint32_t i = 0; i < t->column_count; i++) {
        columns[i + 1] = (struct sluice_tds_bulk_column){(int32_t)i + 2,
                                                         mssink_bulk_type(t->columns[i].type.form)};
    }
    const sluice_status status = sluice_tds_bulk_open(lane->conn, "stage changes", stage, columns,
                                                      t->column_count + 1u, 0, out, err);
    free(columns);
    return status;
}

static sluice_status send_rows(const struct sluice_apply_log *log,
                               const struct sluice_apply_collapsed *c, struct sluice_tds_bulk *bulk,
                               struct sluice_error *err)
{
    const uint32_t n = c->table->column_count;
    struct sluice_apply_field *fields = calloc(n + 1u, sizeof *fields);
    sluice_status status = fields != NULL ? SLUICE_OK : nomem(err);
    for (size_t i = 0; i < c->count && status >= 0; i++) {
        if (c->finals[i].todo == SLUICE_APPLY_DO_NOTHING) {
            continue;
        }
        const int32_t mark = (int32_t)mssink_stage_mark(&c->finals[i]);
        sluice_tds_bulk_put(bulk, 0, (struct sluice_bytes){&mark, sizeof mark});
        sluice_apply_tuple(log, c->finals[i].tuple, n, fields);
        for (uint32_t k = 0; k < n; k++) {
            const struct sluice_bytes value = {fields[k].size < 0 ? NULL : fields[k].data,
                                               fields[k].size > 0 ? (uint64_t)fields[k].size : 0};
            sluice_tds_bulk_put(bulk, k + 1, value);
        }
        status = sluice_tds_bulk_send(bulk, err);
    }
    free(fields);
    return status;
}

static sluice_status stage(struct mssink_changes *lane, const struct sluice_apply_collapsed *c,
                           char name[STAGE_NAME], struct sluice_error *err)
{
    const struct mssink_table *t = table_of(c->table);
    struct sluice_tds_bulk *bulk = NULL;
    struct mssink_text sql = {0};
    int64_t rows = 0;
    const uint64_t wanted = c->count - c->by_todo[SLUICE_APPLY_DO_NOTHING];
    (void)snprintf(name, STAGE_NAME, "#sluice_s%u", ++lane->stages);
    mssink_stage_create(t, name, &sql);
    SLUICE_TRY(mssink_run(lane->conn, "make a staging table", &sql, err));
    SLUICE_TRY(open_stage(lane, t, name, &bulk, err));
    const sluice_status status = send_rows(&lane->log, c, bulk, err);
    if (status < 0) {
        sluice_tds_bulk_free(bulk);
        return status;
    }
    SLUICE_TRY(sluice_tds_bulk_end(bulk, &rows, err));
    return rows == (int64_t)wanted
               ? SLUICE_OK
               : sluice_error_set(err, SLUICE_E_INTERNAL, SLUICE_ERROR_FATAL,
                                  "stage changes of %s: %lld rows were sent and %llu taken",
                                  c->table->desc->name, (long long)rows,
                                  (unsigned long long)wanted);
}

/* ---- statements ---- */

static void count_class(const struct sluice_apply_collapsed *c, uint32_t class_id, uint64_t *parts,
                        uint64_t *tries)
{
    *parts = 0;
    *tries = 0;
    for (size_t i = 0; i < c->count; i++) {
        *parts += c->finals[i].todo == SLUICE_APPLY_DO_PART && c->finals[i].class_id == class_id;
        *tries += c->finals[i].todo == SLUICE_APPLY_DO_TRY && c->finals[i].class_id == class_id;
    }
}

static void add_rest(const struct sluice_apply_collapsed *c, const char *name,
                     struct mssink_text *sql)
{
    const struct mssink_table *t = table_of(c->table);
    for (uint32_t k = 0; k < c->class_count; k++) {
        uint64_t parts = 0;
        uint64_t tries = 0;
        count_class(c, k, &parts, &tries);
        if (parts > 0) {
            mssink_stage_update(t, name, 100u + k * 2u, c->classes[k], parts, sql);
        }
        if (tries > 0) {
            mssink_stage_update(t, name, 100u + k * 2u + 1u, c->classes[k], 0, sql);
        }
    }
    /* Whole rows are put: updated where they are, made where they are not. */
    static const uint32_t puts[] = {SLUICE_APPLY_DO_WHOLE, SLUICE_APPLY_DO_PUT};
    for (size_t i = 0; i < 2; i++) {
        if (c->by_todo[puts[i]] > 0) {
            mssink_stage_update(t, name, puts[i], NULL, 0, sql);
            mssink_stage_insert(t, name, puts[i], 1, sql);
        }
    }
    if (c->by_todo[SLUICE_APPLY_DO_ADD] > 0) {
        mssink_stage_insert(t, name, SLUICE_APPLY_DO_ADD, 0, sql);
    }
}

static sluice_status run_tables(struct mssink_changes *lane,
                                const struct sluice_apply_collapsed *all, const uint32_t *order,
                                char (*names)[STAGE_NAME], struct sluice_error *err)
{
    const uint32_t n = lane->log.table_count;
    struct mssink_text sql = {0};
    for (uint32_t i = n; i > 0; i--) { /* children first */
        const struct sluice_apply_collapsed *c = &all[order[i - 1]];
        if (c->by_todo[SLUICE_APPLY_DO_DELETE] > 0) {
            mssink_stage_delete(table_of(c->table), names[order[i - 1]], SLUICE_APPLY_DO_DELETE,
                                &sql);
        }
    }
    for (uint32_t i = 0; i < n; i++) { /* parents first */
        add_rest(&all[order[i]], names[order[i]], &sql);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (names[i][0] != '\0') {
            mssink_text_format(&sql, "DROP TABLE %s;\n", names[i]);
        }
    }
    if (sql.size == 0) {
        return SLUICE_OK;
    }
    return mssink_run(lane->conn, "write changes as sets", &sql, err);
}

static int may_stage(const struct sluice_apply_collapsed *all, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (all[i].count > 0 && table_of(all[i].table)->bulk_refused) {
            return 0;
        }
    }
    return 1;
}

/* What a constraint refuses may go in the source's order: it was possible there. */
static int may_go_ordered(const struct sluice_error *err)
{
    static const int64_t numbers[] = {MSSINK_THROW_MISSING, 2627, 2601, 547};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (err->native_code == numbers[i]) {
            return 1;
        }
    }
    return 0;
}

sluice_status mssink_sets_apply(struct mssink_changes *lane, size_t from, size_t to,
                                struct sluice_error *err)
{
    const uint32_t n = lane->log.table_count;
    struct sluice_apply_collapsed *all = NULL;
    uint32_t *order = NULL;
    sluice_status status = sluice_apply_collapse(&lane->log, from, to, &all, err);
    if (status != SLUICE_OK) {
        return status;
    }
    char(*names)[STAGE_NAME] = calloc(n + 1u, sizeof *names);
    status = names != NULL ? SLUICE_OK : nomem(err);
    if (status >= 0 && !may_stage(all, n)) {
        status = SLUICE_AGAIN;
    }
    else if (status >= 0) {
        status = mssink_tables_order(lane, &order, err);
        for (uint32_t i = 0; i < n && status >= 0; i++) {
            if (all[i].count > all[i].by_todo[SLUICE_APPLY_DO_NOTHING]) {
                status = stage(lane, &all[i], names[i], err);
            }
        }
        if (status >= 0) {
            status = run_tables(lane, all, order, names, err);
        }
        lane->redo = status < 0 && may_go_ordered(err);
    }
    free(order);
    free(names);
    sluice_apply_collapsed_free(all, n);
    return status;
}
