#include "tds/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lake/celltext.h"
#include "lake/rowsum.h"
#include "sluice/array.h"
#include "sluice/schema.h"

enum { BATCH_ROWS = 2048, BATCH_BYTES = 4 << 20, CELL_PAIRS = 4 };
static const char what[] = "read rows to compare";

struct digest {
    struct sluice_tds_conn *conn;
    const struct sluice_tds_digest_from *from;
    const struct sluice_digest_ask *ask;
    uint32_t count;
    struct sluice_tds_digest_column *columns;
    struct ArrowSchema schema; /* of what is read */
    struct sluice_rows rows;
    struct sluice_lake_celltext *text;
    struct sluice_lake_rowsum *sum;
};

static sluice_status no_memory(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                            "out of memory to compare rows");
}

static const struct sluice_tds_column *find_column(const struct digest *d, const char *name)
{
    for (uint32_t i = 0; i < d->from->count; i++) {
        if (strcmp(d->from->columns[i].name, name) == 0) {
            return &d->from->columns[i];
        }
    }
    return NULL;
}

/* The field's metadata that say how its values are printed. */
static sluice_status set_field(struct digest *d, uint32_t i, struct sluice_error *err)
{
    static const char *const keys[CELL_PAIRS] = {"sluice:text", "ARROW:extension:name",
                                                 "sluice:native_type", "sluice:special"};
    const struct ArrowSchema *field = d->ask->desc->schema->children[i];
    char values[CELL_PAIRS][512];
    struct sluice_pair pairs[CELL_PAIRS];
    uint32_t count = 0;
    for (int k = 0; k < CELL_PAIRS; k++) {
        const struct sluice_bytes v = sluice_schema_metadata(field, keys[k]);
        if (k == 0 && d->columns[i].number) {
            (void)snprintf(values[count], sizeof values[count], "n");
        }
        else if (v.size > 0 && v.size < sizeof values[count]) {
            (void)snprintf(values[count], sizeof values[count], "%.*s", (int)v.size,
                           (const char *)v.data);
        }
        else if (v.size > 0) {
            return sluice_error_set(err, SLUICE_E_LIMIT, 0,
                                    "column %.128s: its type is too long to compare", field->name);
        }
        else {
            continue;
        }
        pairs[count] = (struct sluice_pair){keys[k], values[count]};
        count++;
    }
    return sluice_schema_set(&d->schema, i, field->name, &d->columns[i].type, 1, pairs, count, err);
}

static sluice_status make_columns(struct digest *d, struct sluice_error *err)
{
    d->columns = calloc(d->count + 1u, sizeof *d->columns);
    if (d->columns == NULL) {
        return no_memory(err);
    }
    SLUICE_TRY(sluice_schema_init(&d->schema, d->count, err));
    for (uint32_t i = 0; i < d->count; i++) {
        const struct ArrowSchema *field = d->ask->desc->schema->children[i];
        const struct sluice_tds_column *column = find_column(d, field->name);
        if (column == NULL) {
            return sluice_error_set(err, SLUICE_E_SCHEMA, 0, "%.300s has no column %.128s",
                                    d->from->text, field->name);
        }
        SLUICE_TRY(
            sluice_tds_digest_column_make(column, field, &d->from->rules, &d->columns[i], err));
        SLUICE_TRY(set_field(d, i, err));
    }
    return SLUICE_OK;
}

static sluice_status begin(struct digest *d, struct sluice_error *err)
{
    size_t size = strlen(d->from->text) + 32;
    for (uint32_t i = 0; i < d->count; i++) {
        size += strlen(d->columns[i].select) + 2;
    }
    char *sql = malloc(size);
    if (sql == NULL) {
        return no_memory(err);
    }
    size_t n = (size_t)snprintf(sql, size, "SELECT ");
    for (uint32_t i = 0; i < d->count; i++) {
        n += (size_t)snprintf(sql + n, size - n, "%s%s", i > 0 ? ", " : "", d->columns[i].select);
    }
    (void)snprintf(sql + n, size - n, "%s FROM %s", d->count == 0 ? "1" : "", d->from->text);
    const sluice_status status = sluice_tds_query(d->conn, what, sql, err);
    free(sql);
    return status;
}

static sluice_status take_row(struct digest *d, int64_t *bytes, struct sluice_error *err)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const struct sluice_tds_decoder *decoder = &d->columns[i].decoder;
        struct sluice_column *column = &d->rows.columns[i];
        const struct sluice_bytes value = sluice_tds_value(d->conn, (int32_t)i);
        if (value.data == NULL) {
            SLUICE_TRY(sluice_column_put_null(column, err));
        }
        else {
            *bytes += (int64_t)value.size;
            SLUICE_TRY(decoder->decode(decoder, value, column, err));
        }
    }
    sluice_rows_end_row(&d->rows);
    return SLUICE_OK;
}

/* OK while more may follow, END behind the last row. */
static sluice_status collect(struct digest *d, struct sluice_error *err)
{
    int64_t bytes = 0;
    while (d->rows.rows < BATCH_ROWS && bytes < BATCH_BYTES) {
        sluice_status status = sluice_tds_fetch(d->conn, err);
        if (status == SLUICE_OK) {
            status = take_row(d, &bytes, err);
        }
        if (status != SLUICE_OK) {
            return status;
        }
    }
    return SLUICE_OK;
}

static sluice_status sum_batch(struct digest *d, struct sluice_error *err)
{
    struct ArrowArray array;
    const struct sluice_bytes *cells = NULL;
    const int64_t rows = d->rows.rows;
    SLUICE_TRY(sluice_rows_finish(&d->rows, &array, err));
    sluice_status status = sluice_lake_celltext_bind(d->text, &array, err);
    for (int64_t row = 0; row < rows && status >= 0; row++) {
        status = sluice_lake_celltext_row(d->text, row, &cells, err);
        if (status >= 0) {
            status = sluice_lake_rowsum_take(d->sum, cells, err);
        }
    }
    array.release(&array);
    return status < 0 ? status : SLUICE_OK;
}

static sluice_status read_all(struct digest *d, struct sluice_error *err)
{
    SLUICE_TRY(begin(d, err));
    sluice_status status = SLUICE_OK;
    while (status == SLUICE_OK) {
        status = collect(d, err);
        if (status >= 0) {
            const sluice_status summed = sum_batch(d, err);
            status = summed < 0 ? summed : status;
        }
    }
    if (status < 0) {
        sluice_tds_cancel(d->conn);
        return status;
    }
    return sluice_lake_rowsum_end(d->sum, err);
}

static sluice_status read_table(struct digest *d, struct sluice_error *err)
{
    if (!d->from->snapshot) {
        return read_all(d, err);
    }
    SLUICE_TRY(sluice_tds_run(d->conn, "take a snapshot to compare",
                              "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION", err));
    SLUICE_TRY(read_all(d, err));
    return sluice_tds_run(d->conn, "end the comparison", "COMMIT TRANSACTION", err);
}

sluice_status sluice_tds_digest(struct sluice_tds_conn *conn,
                                const struct sluice_tds_digest_from *from,
                                const struct sluice_digest_ask *ask, sluice_digest_visit visit,
                                void *vctx, struct sluice_digest_info *info,
                                struct sluice_error *err)
{
    struct digest d = {
        .conn = conn, .from = from, .ask = ask, .count = (uint32_t)ask->desc->schema->n_children};
    info->rows = 0;
    sluice_status status = make_columns(&d, err);
    if (status >= 0) {
        status = sluice_rows_init(&d.rows, &d.schema, BATCH_ROWS, err);
    }
    if (status >= 0) {
        status = sluice_lake_celltext_create(&d.schema, (ask->form & SLUICE_DIGEST_TEXTS) != 0,
                                             &d.text, err);
    }
    if (status >= 0) {
        status = sluice_lake_rowsum_create(ask, visit, vctx, info, &d.sum, err);
    }
    if (status >= 0) {
        status = read_table(&d, err);
    }
    sluice_lake_rowsum_free(d.sum);
    sluice_lake_celltext_free(d.text);
    sluice_rows_free(&d.rows);
    sluice_schema_release(&d.schema);
    free(d.columns);
    return status < 0 ? status : SLUICE_OK;
}
