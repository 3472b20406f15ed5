/* Every allocation of a scenario fails once: the calls answer NOMEM, nothing leaks or crashes. The
 * binary is linked with --wrap, so that the library's allocations come by here. */
#include "test_sdk.h"

#include <stdlib.h>

#include "sluice/change.h"
#include "sluice/remap.h"

#define SCENARIO_ALLOCATIONS_MAX 5000

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);

static int64_t fail_at; /* 0 = never */
static int64_t allocations;

static int fails(void)
{
    return fail_at > 0 && ++allocations == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

static const struct sluice_type i64_type = {SLUICE_TYPE_INT64, 0, 0, 8};
static const struct sluice_type text_type = {SLUICE_TYPE_UTF8, 0, 0, 0};
static const struct sluice_pair meta[] = {{"sluice:native_type", "bigint"}};

/* What a scenario may hold; zeroed before each run and freed after it. */
struct things {
    struct ArrowSchema schema;
    struct ArrowSchema envelope;
    struct sluice_stream_desc *desc;
    struct sluice_rows rows;
    struct sluice_batch batch;
    struct ArrowArray shares[3];
    struct sluice_change_view cv;
    struct sluice_remap *remap;
};

static void free_things(struct things *t)
{
    sluice_schema_release(&t->schema);
    sluice_schema_release(&t->envelope);
    sluice_stream_desc_free(t->desc);
    sluice_rows_free(&t->rows);
    sluice_array_release(&t->batch.array);
    for (int i = 0; i < 3; i++) {
        sluice_array_release(&t->shares[i]);
    }
    sluice_change_view_free(&t->cv);
    sluice_remap_free(t->remap);
}

/* id int64 (key), doc utf8, tags list of utf8. */
static sluice_status make_desc(struct things *t, struct sluice_error *err)
{
    static const char *const parts[] = {"public", "t"};
    static const uint32_t keys[] = {0};
    SLUICE_TRY(sluice_schema_init(&t->schema, 3, err));
    SLUICE_TRY(sluice_schema_set(&t->schema, 0, "id", &i64_type, 0, meta, 1, err));
    SLUICE_TRY(sluice_schema_set(&t->schema, 1, "doc", &text_type, 1, NULL, 0, err));
    SLUICE_TRY(sluice_schema_set_nested(&t->schema, 2, "tags", SLUICE_TYPE_LIST, 1, 1, err));
    SLUICE_TRY(sluice_schema_set(t->schema.children[2], 0, "item", &text_type, 1, NULL, 0, err));
    struct sluice_stream_desc desc = {.struct_size = (uint32_t)sizeof desc,
                                      .before = SLUICE_BEFORE_KEY,
                                      .stream_id = 1,
                                      .schema_id = 1,
                                      .name = "public.t",
                                      .part_count = 2,
                                      .key_count = 1,
                                      .parts = parts,
                                      .keys = keys,
                                      .schema = &t->schema};
    t->desc = sluice_stream_desc_copy(&desc);
    if (t->desc == NULL) {
        return SLUICE_E_NOMEM;
    }
    return sluice_schema_envelope(t->desc, &t->envelope, err);
}

static sluice_status put_row(struct sluice_column *c, int64_t i, struct sluice_error *err)
{
    static const char long_text[3000] = "x";
    sluice_column_put_i64(&c[0], i);
    SLUICE_TRY(i % 3 == 0 ? sluice_column_put_null(&c[1], err)
                          : sluice_column_put_bytes(&c[1], long_text, sizeof long_text, err));
    for (int64_t k = 0; k < 3; k++) {
        SLUICE_TRY(sluice_column_reserve(&c[2].children[0], 1, err));
        SLUICE_TRY(sluice_column_put_bytes(&c[2].children[0], "tag", 3, err));
    }
    return sluice_column_end_list(&c[2], err);
}

/* Builds two batches of changes and shares, views and maps the second. */
static sluice_status put_change(struct sluice_column *c, int64_t i, struct sluice_error *err)
{
    sluice_column_put_i8(&c[0], 'U');
    SLUICE_TRY(sluice_column_put_bytes(&c[1], "pos", 3, err));
    sluice_column_put_i64(&c[2], i);
    SLUICE_TRY(sluice_column_put_null(&c[3], err));
    SLUICE_TRY(sluice_column_put_null(&c[4], err));
    SLUICE_TRY(sluice_column_put_null(&c[5], err));
    SLUICE_TRY(put_row(c[6].children, i, err));
    sluice_column_end_struct(&c[6]);
    return sluice_column_put_bytes(&c[7], "\2", 1, err);
}

static sluice_status fill(void *ctx, int64_t column, const struct sluice_view *source, int64_t rows,
                          struct sluice_column *to, struct sluice_error *err)
{
    (void)ctx;
    (void)column;
    (void)source;
    for (int64_t i = 0; i < rows; i++) {
        SLUICE_TRY(sluice_column_put_bytes(to, "made", 4, err));
    }
    return SLUICE_OK;
}

static sluice_status scenario(struct things *t, struct sluice_error *err)
{
    static const struct sluice_remap_column columns[] = {{1, 0, 0}, {-1, 1, 0}, {0, 0, 0}};
    struct ArrowSchema out;
    SLUICE_TRY(make_desc(t, err));
    SLUICE_TRY(sluice_rows_init(&t->rows, &t->envelope, 20, err));
    for (int round = 0; round < 2; round++) {
        sluice_array_release(&t->batch.array);
        for (int64_t i = 0; i < 20; i++) {
            SLUICE_TRY(put_change(t->rows.columns, i, err));
            sluice_rows_end_row(&t->rows);
        }
        SLUICE_TRY(sluice_rows_finish(&t->rows, &t->batch.array, err));
    }
    SLUICE_TRY(sluice_array_share(&t->batch.array, 3, t->shares, err));
    sluice_array_move(&t->shares[0], &t->batch.array);
    t->batch.kind = SLUICE_BATCH_CHANGES;
    t->batch.rows = 20;
    SLUICE_TRY(sluice_change_view_init(&t->cv, t->desc, &t->batch, err));
    sluice_change_view_free(&t->cv);
    SLUICE_TRY(sluice_schema_init(&out, 3, err));
    sluice_status st = sluice_schema_put(&out, 0, t->schema.children[1], "d", -1, err);
    if (st >= 0) {
        st = sluice_schema_set(&out, 1, "made", &text_type, 1, NULL, 0, err);
    }
    if (st >= 0) {
        st = sluice_schema_put(&out, 2, t->schema.children[0], NULL, -1, err);
    }
    if (st >= 0) {
        st = sluice_remap_create(t->desc, columns, 3, &out, &t->remap, err);
    }
    sluice_schema_release(&out);
    SLUICE_TRY(st);
    return sluice_remap_apply(t->remap, &t->batch, fill, NULL, err);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    for (int64_t n = 1; n < SCENARIO_ALLOCATIONS_MAX; n++) {
        struct things t;
        struct sluice_error err = SLUICE_ERROR_INIT;
        memset(&t, 0, sizeof t);
        allocations = 0;
        fail_at = n;
        sluice_status st = scenario(&t, &err);
        int64_t seen = allocations;
        fail_at = 0;
        free_things(&t);
        if (seen < n) {
            assert_int_equal(st, SLUICE_OK);
            assert_true(n > 100); /* the hook was really there */
            return;
        }
        if (st != SLUICE_E_NOMEM) {
            fail_msg("allocation %d: %s %s", (int)n, sluice_status_name(st), err.message);
        }
    }
    fail_msg("the scenario does not end");
}

int run_oom_tests(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails_once)};
    return cmocka_run_group_tests_name("oom", tests, NULL, NULL);
}
