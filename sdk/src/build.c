/* Building Arrow arrays column by column. */
#include "sluice/build.h"

#include <stdlib.h>

#include "build_store.h"
#include "internal.h"

/* Below this a data buffer doubles; above it grows by what is needed, so that one huge value does
 * not cost twice its size. */
#define DOUBLING_MAX (16 << 20)
#define GROW_STEP (1 << 20)
/* Enough for every use, and small enough that rows * width cannot overflow. */
#define MAX_ROWS (1 << 26)

static void columns_free(struct sluice_column *columns, int64_t n)
{
    for (int64_t i = 0; columns != NULL && i < n; i++) {
        columns_free(columns[i].children, columns[i].child_count);
    }
    free(columns);
}

static sluice_status columns_make(const struct ArrowSchema *schema, int64_t max_rows, int depth,
                                  struct sluice_column **out, struct sluice_error *err)
{
    if (depth > SLUICE_MAX_DEPTH || schema->n_children > SLUICE_MAX_COLUMNS) {
        return sluice_error_set(
            err, SLUICE_E_LIMIT, 0,
            "schema has %lld columns at depth %d; at most %d and %d are allowed",
            (long long)schema->n_children, depth, SLUICE_MAX_COLUMNS, SLUICE_MAX_DEPTH);
    }
    int64_t n = schema->n_children;
    struct sluice_column *columns = calloc((size_t)n + 1, sizeof *columns);
    if (columns == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for %lld column builders",
                                (long long)n);
    }
    sluice_status st = SLUICE_OK;
    for (int64_t i = 0; i < n && st >= 0; i++) {
        const struct ArrowSchema *field = schema->children[i];
        struct sluice_column *col = &columns[i];
        st = sluice_type_parse(field->format, &col->type, err);
        if (st >= 0 && (sluice_type_is_large(&col->type) || field->dictionary != NULL)) {
            st = sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                  "large and dictionary columns cannot be built");
        }
        if (st >= 0 && col->type.id == SLUICE_TYPE_LIST && field->n_children != 1) {
            st = sluice_error_set(err, SLUICE_E_INVALID, 0, "a list has %lld children",
                                  (long long)field->n_children);
        }
        if (st < 0) {
            (void)sluice_error_wrap(err, "column %s", field->name != NULL ? field->name : "");
            break;
        }
        col->nullable = (field->flags & ARROW_FLAG_NULLABLE) != 0;
        col->max_rows = max_rows;
        if (field->n_children > 0) {
            st = columns_make(field, max_rows, depth + 1, &col->children, err);
            col->child_count = st >= 0 ? (int32_t)field->n_children : 0;
        }
    }
    if (st < 0) {
        columns_free(columns, n);
        return st;
    }
    *out = columns;
    return SLUICE_OK;
}

sluice_status sluice_rows_init(struct sluice_rows *rows, const struct ArrowSchema *schema,
                               int64_t max_rows, struct sluice_error *err)
{
    memset(rows, 0, sizeof *rows);
    if (max_rows < 1 || max_rows > MAX_ROWS) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "max_rows %lld; 1 to %d are allowed",
                                (long long)max_rows, MAX_ROWS);
    }
    SLUICE_TRY(columns_make(schema, max_rows, 0, &rows->columns, err));
    rows->column_count = schema->n_children;
    rows->max_rows = max_rows;
    rows->pool = sluice_rows_pool_new();
    rows->batch = rows->pool != NULL
                      ? sluice_rows_batch_take(rows->pool, rows->columns, rows->column_count)
                      : NULL;
    if (rows->batch == NULL) {
        sluice_rows_free(rows);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0,
                                "out of memory for %lld rows of %lld columns", (long long)max_rows,
                                (long long)schema->n_children);
    }
    sluice_rows_batch_attach(rows->batch, rows->columns);
    return SLUICE_OK;
}

void sluice_rows_free(struct sluice_rows *rows)
{
    if (rows == NULL) {
        return;
    }
    if (rows->batch != NULL) {
        sluice_rows_batch_detach(rows->batch, rows->columns);
        sluice_rows_batch_free(rows->batch);
    }
    sluice_rows_pool_unref(rows->pool);
    columns_free(rows->columns, rows->column_count);
    memset(rows, 0, sizeof *rows);
}

sluice_status sluice_rows_finish(struct sluice_rows *rows, struct ArrowArray *out,
                                 struct sluice_error *err)
{
    for (int64_t i = 0; i < rows->column_count; i++) {
        if (rows->columns[i].length != rows->rows) {
            return sluice_error_set(
                err, SLUICE_E_INTERNAL, 0, "column %lld has %lld values, but there are %lld rows",
                (long long)i, (long long)rows->columns[i].length, (long long)rows->rows);
        }
    }
    /* The next batch first: when there is no memory for it, nothing has happened yet. */
    struct sluice_rows_batch *next =
        sluice_rows_batch_take(rows->pool, rows->columns, rows->column_count);
    if (next == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0,
                                "out of memory for %lld rows of %lld columns",
                                (long long)rows->max_rows, (long long)rows->column_count);
    }
    sluice_rows_batch_detach(rows->batch, rows->columns);
    sluice_rows_batch_export(rows->batch, rows->columns, rows->rows, out);
    rows->batch = next;
    rows->rows = 0;
    sluice_rows_batch_attach(next, rows->columns);
    return SLUICE_OK;
}

static void rollback_column(struct sluice_column *col, int64_t to)
{
    if (col->length <= to) {
        return;
    }
    if (col->validity != NULL) {
        int64_t cut = col->length - to;
        col->null_count -= cut - sluice_bits_count(col->validity, to, cut);
        /* Appends only set bits, so those behind the end must be 0. */
        int64_t first = (to + 7) / 8;
        memset(col->validity + first, 0, (size_t)((col->length + 7) / 8 - first));
        if ((to & 7) != 0) {
            col->validity[to >> 3] = (uint8_t)(col->validity[to >> 3] & ((1u << (to & 7)) - 1u));
        }
    }
    col->length = to;
    if (sluice_type_is_variable(&col->type)) {
        col->values_size = col->offsets[to];
    }
    else if (col->type.id == SLUICE_TYPE_LIST) {
        rollback_column(&col->children[0], col->offsets[to]);
    }
}

static void rollback_tree(struct sluice_column *col, int64_t to)
{
    rollback_column(col, to);
    if (col->type.id == SLUICE_TYPE_STRUCT) {
        for (int32_t i = 0; i < col->child_count; i++) {
            rollback_tree(&col->children[i], to);
        }
    }
    else if (col->type.id == SLUICE_TYPE_LIST) {
        /* Elements of a list that was not ended hang behind the last offset. */
        rollback_tree(&col->children[0], col->offsets[col->length]);
    }
}

void sluice_rows_rollback(struct sluice_rows *rows)
{
    for (int64_t i = 0; i < rows->column_count; i++) {
        rollback_tree(&rows->columns[i], rows->rows);
    }
}

static int64_t column_bytes(const struct sluice_column *col)
{
    int64_t n = col->validity != NULL ? (col->length + 7) / 8 : 0;
    n += col->offsets != NULL               ? col->values_size + col->length * 4
         : col->type.id == SLUICE_TYPE_BOOL ? (col->length + 7) / 8
                                            : col->length * col->type.width;
    for (int32_t i = 0; i < col->child_count; i++) {
        n += column_bytes(&col->children[i]);
    }
    return n;
}

int64_t sluice_rows_bytes(const struct sluice_rows *rows)
{
    int64_t n = 0;
    for (int64_t i = 0; i < rows->column_count; i++) {
        n += column_bytes(&rows->columns[i]);
    }
    return n;
}

sluice_status sluice_column_grow(struct sluice_column *col, uint64_t more, struct sluice_error *err)
{
    if (more > (uint64_t)(INT32_MAX - col->values_size)) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0,
                                "a value of %llu bytes makes a column of one batch pass 2 GiB "
                                "(%lld bytes are there): use smaller batches",
                                (unsigned long long)more, (long long)col->values_size);
    }
    int64_t need = col->values_size + (int64_t)more;
    int64_t cap = need;
    if (need <= DOUBLING_MAX) {
        cap = col->values_cap * 2 > need ? col->values_cap * 2 : need;
    }
    else if (more < GROW_STEP) {
        /* Small values on top of large ones: in steps, else each would copy all. */
        cap = need < INT32_MAX - need / 8 - GROW_STEP ? need + need / 8 + GROW_STEP : INT32_MAX;
    }
    uint8_t *values = realloc(col->values, (size_t)cap);
    if (values == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for %lld bytes of a column",
                                (long long)cap);
    }
    col->values = values;
    col->values_cap = cap;
    return SLUICE_OK;
}

/* Makes the validity bitmap, all values so far valid. */
static sluice_status validity_make(struct sluice_column *col, struct sluice_error *err)
{
    if (col->validity != NULL) {
        return SLUICE_OK;
    }
    uint64_t bytes = ((uint64_t)col->max_rows + 7) / 8;
    uint8_t *bits = col->store->validity;
    if (bits == NULL) {
        bits = malloc(bytes > 0 ? bytes : 1);
        if (bits == NULL) {
            return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a validity bitmap");
        }
        col->store->validity = bits;
    }
    int64_t whole = col->length / 8;
    memset(bits, 0xff, (size_t)whole);
    memset(bits + whole, 0, (size_t)((int64_t)bytes - whole));
    if ((col->length & 7) != 0) {
        bits[whole] = (uint8_t)((1u << (col->length & 7)) - 1u);
    }
    col->validity = bits;
    return SLUICE_OK;
}

sluice_status sluice_column_put_null_slow(struct sluice_column *col, struct sluice_error *err)
{
    SLUICE_TRY(validity_make(col, err));
    if (col->type.id == SLUICE_TYPE_STRUCT) {
        for (int32_t i = 0; i < col->child_count; i++) {
            SLUICE_TRY(sluice_column_put_null(&col->children[i], err));
        }
    }
    else if (col->type.id == SLUICE_TYPE_LIST) {
        col->offsets[col->length + 1] = (int32_t)col->children[0].length;
    }
    else if (col->offsets != NULL) {
        col->offsets[col->length + 1] = (int32_t)col->values_size;
    }
    else if (col->type.id == SLUICE_TYPE_BOOL) {
        uint8_t *byte = &col->values[col->length >> 3];
        *byte = (uint8_t)(*byte & ~(1u << (col->length & 7)));
    }
    else {
        memset(col->values + (uint64_t)col->length * (uint64_t)col->type.width, 0,
               (size_t)col->type.width);
    }
    col->null_count++;
    col->length++;
    return SLUICE_OK;
}

sluice_status sluice_column_make_null(struct sluice_column *col, int64_t row,
                                      struct sluice_error *err)
{
    SLUICE_TRY(validity_make(col, err));
    uint8_t bit = (uint8_t)(1u << (row & 7));
    uint8_t *byte = &col->validity[row >> 3];
    if ((*byte & bit) != 0) {
        *byte = (uint8_t)(*byte & ~bit);
        col->null_count++;
        if (col->type.width > 0) {
            memset(col->values + (uint64_t)row * (uint64_t)col->type.width, 0,
                   (size_t)col->type.width);
        }
    }
    return SLUICE_OK;
}

/* Grows *p to `to` bytes and zeroes what is new when asked. */
static int grow_buffer(void **p, uint64_t from, uint64_t to, int zero)
{
    uint8_t *grown = realloc(*p, to);
    if (grown == NULL) {
        return 0;
    }
    if (zero && to > from) {
        memset(grown + from, 0, to - from);
    }
    *p = grown;
    return 1;
}

sluice_status sluice_column_reserve(struct sluice_column *col, int64_t more,
                                    struct sluice_error *err)
{
    if (more < 0 || more > INT32_MAX - 1 - col->length) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "%lld more values in a column of %lld",
                                (long long)more, (long long)col->length);
    }
    int64_t need = col->length + more;
    if (need <= col->max_rows) {
        return SLUICE_OK;
    }
    int64_t rows =
        col->max_rows < INT32_MAX / 2 && need < col->max_rows * 2 ? col->max_rows * 2 : need;
    uint64_t had = (uint64_t)(col->max_rows > 0 ? col->max_rows : 1);
    void *values = col->values;
    void *offsets = col->offsets;
    void *validity = col->store->validity;
    int ok = 1;
    if (offsets != NULL) {
        ok = grow_buffer(&offsets, 0, ((uint64_t)rows + 1) * 4u, 0);
        col->offsets = offsets;
    }
    else if (col->type.id == SLUICE_TYPE_BOOL) {
        ok = grow_buffer(&values, (had + 7) / 8, ((uint64_t)rows + 7) / 8, 1);
        col->values = values;
        col->values_cap = ok ? (rows + 7) / 8 : col->values_cap;
    }
    else if (col->type.width > 0) {
        ok = grow_buffer(&values, 0, (uint64_t)rows * (uint64_t)col->type.width, 0);
        col->values = values;
        col->values_cap = ok ? rows * col->type.width : col->values_cap;
    }
    if (ok && validity != NULL) {
        ok = grow_buffer(&validity, ((uint64_t)col->max_rows + 7) / 8, ((uint64_t)rows + 7) / 8, 1);
        col->store->validity = validity;
        col->validity = col->validity != NULL ? validity : NULL;
    }
    if (!ok) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for %lld list elements",
                                (long long)rows);
    }
    for (int32_t i = 0; col->type.id == SLUICE_TYPE_STRUCT && i < col->child_count; i++) {
        SLUICE_TRY(sluice_column_reserve(&col->children[i], more, err));
    }
    col->max_rows = rows;
    return SLUICE_OK;
}

sluice_status sluice_column_end_list(struct sluice_column *col, struct sluice_error *err)
{
    int64_t end = col->children[0].length;
    if (end > INT32_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0,
                                "list elements of one batch pass 2^31: use smaller batches");
    }
    sluice_column_valid_(col);
    col->offsets[col->length] = (int32_t)end;
    return SLUICE_OK;
}

void sluice_column_end_struct(struct sluice_column *col)
{
    sluice_column_valid_(col);
}
