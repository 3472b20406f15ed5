/* Memory of sluice_rows: see build_store.h. */
#include "build_store.h"

#include <stdlib.h>

#include "internal.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_ASAN 1
#endif
#endif
#ifdef SLUICE_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

/* A spare batch has no more than this resident: one that a huge value went through is freed. */
#define SPARE_BYTES_MAX (32 << 20)
#define DATA_CAP_MIN 64
#define DATA_CAP_FIRST_MAX (64 << 10)
#define DATA_CAP_LIKE_MAX (16 << 20)

int64_t sluice_store_data_cap(int64_t max_rows)
{
    int64_t cap = max_rows < DATA_CAP_FIRST_MAX / 8 ? max_rows * 8 : DATA_CAP_FIRST_MAX;
    return cap < DATA_CAP_MIN ? DATA_CAP_MIN : cap;
}

/* ------------------------------------------------------------ stores ------------------------- */

static void store_free(struct sluice_column_store *s)
{
    for (int32_t i = 0; i < s->child_count; i++) {
        store_free(&s->children[i]);
    }
    free(s->children);
    free(s->arrays);
    free(s->array_pointers);
    free(s->values);
    free(s->offsets);
    free(s->validity);
}

static int store_init(struct sluice_column_store *s, struct sluice_rows_batch *batch,
                      const struct sluice_column *col, const struct sluice_column *children,
                      int64_t child_count)
{
    s->batch = batch;
    batch->nodes++;
    if (child_count > 0) {
        s->children = calloc((size_t)child_count, sizeof *s->children);
        s->arrays = calloc((size_t)child_count, sizeof *s->arrays);
        s->array_pointers = calloc((size_t)child_count, sizeof(struct ArrowArray *));
        if (s->children == NULL || s->arrays == NULL || s->array_pointers == NULL) {
            return 0;
        }
    }
    for (int64_t i = 0; i < child_count; i++) {
        s->child_count = (int32_t)(i + 1);
        s->array_pointers[i] = &s->arrays[i];
        if (!store_init(&s->children[i], batch, &children[i], children[i].children,
                        children[i].child_count)) {
            return 0;
        }
    }
    if (col == NULL || col->type.id == SLUICE_TYPE_STRUCT) {
        s->rows_cap = col != NULL ? col->max_rows : 0;
        return 1;
    }
    s->rows_cap = col->max_rows;
    uint64_t rows = (uint64_t)(col->max_rows > 0 ? col->max_rows : 1);
    if (col->type.id == SLUICE_TYPE_BOOL) {
        s->values_cap = (int64_t)((rows + 7) / 8);
        s->values = calloc((size_t)s->values_cap, 1);
        return s->values != NULL;
    }
    if (sluice_type_is_variable(&col->type) || col->type.id == SLUICE_TYPE_LIST) {
        s->offsets = malloc((rows + 1) * sizeof *s->offsets);
        if (s->offsets == NULL) {
            return 0;
        }
        s->offsets[0] = 0;
        if (col->type.id == SLUICE_TYPE_LIST) {
            return 1;
        }
        int64_t first = sluice_store_data_cap(col->max_rows);
        int64_t like = col->values_size + col->values_size / 8;
        s->values_cap = like < first ? first : like < DATA_CAP_LIKE_MAX ? like : DATA_CAP_LIKE_MAX;
    }
    else {
        s->values_cap = (int64_t)rows * col->type.width;
    }
    s->values = malloc((size_t)s->values_cap);
    return s->values != NULL;
}

static int64_t store_touched(const struct sluice_column_store *s)
{
    int64_t n = s->touched;
    for (int32_t i = 0; i < s->child_count; i++) {
        n += store_touched(&s->children[i]);
    }
    return n;
}

/* A batch that waits as spare must not be touched: ASan then sees a use after release. */
static void store_poison(struct sluice_column_store *s, int poison)
{
    uint64_t sizes[3] = {(uint64_t)s->values_cap, ((uint64_t)s->rows_cap + 1) * sizeof *s->offsets,
                         ((uint64_t)s->rows_cap + 7) / 8};
    void *buffers[3] = {s->values, s->offsets, s->validity};
    for (int i = 0; i < 3; i++) {
        if (buffers[i] == NULL) {
            continue;
        }
        if (poison) {
            POISON(buffers[i], sizes[i]);
        }
        else {
            UNPOISON(buffers[i], sizes[i]);
        }
    }
    for (int32_t i = 0; i < s->child_count; i++) {
        store_poison(&s->children[i], poison);
    }
}

/* ------------------------------------------------------------ pool and batches --------------- */

struct sluice_rows_pool *sluice_rows_pool_new(void)
{
    struct sluice_rows_pool *pool = calloc(1, sizeof *pool);
    if (pool != NULL) {
        atomic_init(&pool->refs, 1);
        atomic_init(&pool->spare, NULL);
    }
    return pool;
}

void sluice_rows_pool_unref(struct sluice_rows_pool *pool)
{
    if (pool != NULL && atomic_fetch_sub(&pool->refs, 1) == 1) {
        sluice_rows_batch_free(atomic_load(&pool->spare));
        free(pool);
    }
}

void sluice_rows_batch_free(struct sluice_rows_batch *batch)
{
    if (batch != NULL) {
        store_poison(&batch->root, 0);
        store_free(&batch->root);
        free(batch);
    }
}

struct sluice_rows_batch *sluice_rows_batch_take(struct sluice_rows_pool *pool,
                                                 const struct sluice_column *columns,
                                                 int64_t column_count)
{
    struct sluice_rows_batch *batch = atomic_exchange(&pool->spare, NULL);
    if (batch != NULL) {
        store_poison(&batch->root, 0);
        return batch;
    }
    batch = calloc(1, sizeof *batch);
    if (batch == NULL) {
        return NULL;
    }
    batch->pool = pool;
    atomic_init(&batch->refs, 0);
    if (!store_init(&batch->root, batch, NULL, columns, column_count)) {
        sluice_rows_batch_free(batch);
        return NULL;
    }
    return batch;
}

static void batch_unref(struct sluice_rows_batch *batch)
{
    if (atomic_fetch_sub(&batch->refs, 1) != 1) {
        return;
    }
    struct sluice_rows_pool *pool = batch->pool;
    if (store_touched(&batch->root) > SPARE_BYTES_MAX) {
        sluice_rows_batch_free(batch);
    }
    else {
        store_poison(&batch->root, 1);
        sluice_rows_batch_free(atomic_exchange(&pool->spare, batch));
    }
    sluice_rows_pool_unref(pool);
}

/* [any] */
static void node_release(struct ArrowArray *array)
{
    struct sluice_column_store *s = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++) {
        struct ArrowArray *child = array->children[i];
        if (child->release != NULL) {
            child->release(child);
        }
    }
    array->release = NULL;
    batch_unref(s->batch);
}

static void attach_column(struct sluice_column_store *s, struct sluice_column *col)
{
    col->store = s;
    col->length = 0;
    col->null_count = 0;
    col->validity = NULL;
    col->values = s->values;
    col->values_cap = s->values_cap;
    col->values_size = 0;
    col->offsets = s->offsets;
    if (s->offsets != NULL) {
        s->offsets[0] = 0;
    }
    /* Rows of a list's child may have grown in another batch; keep to this one's room. */
    col->max_rows = s->rows_cap;
    for (int32_t i = 0; i < col->child_count; i++) {
        attach_column(&s->children[i], &col->children[i]);
    }
}

void sluice_rows_batch_attach(struct sluice_rows_batch *batch, struct sluice_column *columns)
{
    for (int32_t i = 0; i < batch->root.child_count; i++) {
        attach_column(&batch->root.children[i], &columns[i]);
    }
}

static void detach_column(struct sluice_column_store *s, struct sluice_column *col)
{
    s->values = col->values;
    s->values_cap = col->values_cap;
    s->offsets = col->offsets;
    s->rows_cap = col->max_rows;
    if (col->validity != NULL) {
        s->validity = col->validity;
    }
    int64_t used =
        col->offsets != NULL ? col->values_size + col->length * 4 : col->length * col->type.width;
    s->touched = used > s->touched ? used : s->touched;
    for (int32_t i = 0; i < col->child_count; i++) {
        detach_column(&s->children[i], &col->children[i]);
    }
}

void sluice_rows_batch_detach(struct sluice_rows_batch *batch, struct sluice_column *columns)
{
    for (int32_t i = 0; i < batch->root.child_count; i++) {
        detach_column(&batch->root.children[i], &columns[i]);
    }
}

static void export_node(struct sluice_column_store *s, const struct sluice_column *col,
                        const struct sluice_column *children, int64_t rows, struct ArrowArray *out)
{
    memset(out, 0, sizeof *out);
    out->length = rows;
    out->n_buffers = 1;
    s->buffers[0] = NULL;
    if (col != NULL) {
        out->n_buffers = sluice_type_buffer_count(&col->type);
        out->null_count = col->null_count;
        s->buffers[0] = col->null_count > 0 ? col->validity : NULL;
        s->buffers[1] = col->offsets != NULL ? (const void *)col->offsets : col->values;
        s->buffers[2] = col->values;
        if (col->type.id == SLUICE_TYPE_BOOL && (rows & 7) != 0) {
            col->values[rows >> 3] = (uint8_t)(col->values[rows >> 3] & ((1u << (rows & 7)) - 1u));
        }
    }
    out->buffers = s->buffers;
    out->n_children = s->child_count;
    out->children = s->array_pointers;
    out->private_data = s;
    out->release = node_release;
    for (int32_t i = 0; i < s->child_count; i++) {
        export_node(&s->children[i], &children[i], children[i].children, children[i].length,
                    &s->arrays[i]);
    }
}

void sluice_rows_batch_export(struct sluice_rows_batch *batch, struct sluice_column *columns,
                              int64_t rows, struct ArrowArray *out)
{
    atomic_store(&batch->refs, batch->nodes);
    atomic_fetch_add(&batch->pool->refs, 1);
    export_node(&batch->root, NULL, columns, rows, out);
}
