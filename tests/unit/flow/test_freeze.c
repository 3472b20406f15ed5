/* What `schema: freeze` leaves of a change: columns that came later are gone from before, after and
 * the bitmap, whatever `before` holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sluice/array.h"
#include "sluice/build.h"
#include "sluice/change.h"
#include "sluice/remap.h"
#include "tests.h"

static const struct sluice_type number = {.id = SLUICE_TYPE_INT64, .width = 8};

/* doc, more (came later), id (the key). */
static void make_desc(struct sluice_stream_desc *desc, struct ArrowSchema *schema, int32_t before)
{
    static const uint32_t keys[] = {2};
    assert_int_equal(sluice_schema_init(schema, 3, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema, 0, "doc", &number, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema, 1, "more", &number, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema, 2, "id", &number, 0, NULL, 0, NULL), SLUICE_OK);
    *desc = (struct sluice_stream_desc){.struct_size = sizeof *desc,
                                        .name = "public.t",
                                        .schema = schema,
                                        .before = before,
                                        .key_count = 1,
                                        .keys = keys};
}

static void put_columns(struct sluice_column *to, int all, int64_t doc, int64_t id)
{
    struct sluice_column *c = to->children;
    if (all) {
        sluice_column_put_i64(&c[0], doc);
        sluice_column_put_i64(&c[1], 777);
        sluice_column_put_i64(&c[2], id);
    }
    else {
        sluice_column_put_i64(&c[0], id);
    }
    sluice_column_end_struct(to);
}

/* Row 0: an update that did not send doc and more; row 1: one that did not send more; row 2: a delete. */
static void make_batch(const struct sluice_stream_desc *desc, const struct ArrowSchema *envelope,
                       struct sluice_batch *batch)
{
    static const char bits[2][1] = {{3}, {2}};
    struct sluice_rows rows;
    assert_int_equal(sluice_rows_init(&rows, envelope, 3, NULL), SLUICE_OK);
    struct sluice_column *c = rows.columns;
    for (int64_t i = 0; i < 3; i++) {
        sluice_column_put_i8(&c[0], i < 2 ? 'U' : 'D');
        assert_int_equal(sluice_column_put_bytes(&c[1], "\0\0\0\0\0\0\0\1", 8, NULL), SLUICE_OK);
        sluice_column_put_i64(&c[2], i + 1);
        sluice_column_put_i64(&c[3], 1000);
        assert_int_equal(sluice_column_put_null(&c[4], NULL), SLUICE_OK);
        if (desc->before == SLUICE_BEFORE_NONE) {
            assert_int_equal(sluice_column_put_null(&c[5], NULL), SLUICE_OK);
        }
        else {
            put_columns(&c[5], desc->before == SLUICE_BEFORE_FULL, 50 + i, 10 + i);
        }
        if (i == 2) {
            assert_int_equal(sluice_column_put_null(&c[6], NULL), SLUICE_OK);
            assert_int_equal(sluice_column_put_null(&c[7], NULL), SLUICE_OK);
        }
        else {
            put_columns(&c[6], 1, 60 + i, 20 + i);
            assert_int_equal(sluice_column_put_bytes(&c[7], bits[i], 1, NULL), SLUICE_OK);
        }
        sluice_rows_end_row(&rows);
    }
    *batch = (struct sluice_batch){.struct_size = sizeof *batch, .kind = SLUICE_BATCH_CHANGES};
    assert_int_equal(sluice_rows_finish(&rows, &batch->array, NULL), SLUICE_OK);
    sluice_rows_free(&rows);
}

static void check_frozen(const struct sluice_stream_desc *desc, const struct sluice_batch *batch,
                         int32_t before)
{
    struct sluice_change_view cv;
    struct ArrowSchema envelope;
    assert_int_equal(sluice_schema_envelope(desc, &envelope, NULL), SLUICE_OK);
    assert_int_equal(sluice_array_check(&envelope, &batch->array, SLUICE_CHECK_FULL, NULL),
                     SLUICE_OK);
    assert_int_equal(desc->schema->n_children, 2);
    assert_int_equal(desc->before, before);
    assert_int_equal(desc->key_count, 1);
    assert_int_equal(desc->keys[0], 1);
    assert_int_equal(sluice_change_view_init(&cv, desc, batch, NULL), SLUICE_OK);
    assert_int_equal(cv.rows, 3);
    assert_true(sluice_change_is_unchanged(&cv, 0, 0));
    assert_false(sluice_change_is_unchanged(&cv, 0, 1));
    assert_false(sluice_change_is_unchanged(&cv, 1, 0)); /* the one that was not sent is left out */
    assert_int_equal(sluice_view_i64(&cv.columns[0], 1), 61);
    assert_int_equal(sluice_view_i64(&cv.columns[1], 1), 21);
    if (before != SLUICE_BEFORE_NONE) {
        assert_int_equal(sluice_view_i64(sluice_change_key(&cv, 1, 0, 1), 1), 11);
        assert_int_equal(sluice_view_i64(sluice_change_key(&cv, 2, 0, 1), 2), 12);
    }
    sluice_change_view_free(&cv);
    envelope.release(&envelope);
}

static void test_frozen_changes(void **unused)
{
    static const struct sluice_remap_column columns[2] = {{.source = 0}, {.source = 2}};
    (void)unused;
    for (int32_t before = SLUICE_BEFORE_NONE; before <= SLUICE_BEFORE_FULL; before++) {
        struct sluice_stream_desc desc;
        struct ArrowSchema schema;
        struct ArrowSchema envelope;
        struct ArrowSchema frozen;
        struct sluice_batch batch;
        struct sluice_remap *remap = NULL;
        make_desc(&desc, &schema, before);
        assert_int_equal(sluice_schema_envelope(&desc, &envelope, NULL), SLUICE_OK);
        assert_int_equal(sluice_schema_init(&frozen, 2, NULL), SLUICE_OK);
        for (int64_t i = 0; i < 2; i++) {
            assert_int_equal(
                sluice_schema_put(&frozen, i, schema.children[columns[i].source], NULL, -1, NULL),
                SLUICE_OK);
        }
        assert_int_equal(sluice_remap_create(&desc, columns, 2, &frozen, &remap, NULL), SLUICE_OK);
        make_batch(&desc, &envelope, &batch);
        assert_int_equal(sluice_remap_apply(remap, &batch, NULL, NULL, NULL), SLUICE_OK);
        check_frozen(sluice_remap_desc(remap), &batch, before);
        sluice_array_release(&batch.array);
        sluice_remap_free(remap);
        frozen.release(&frozen);
        envelope.release(&envelope);
        schema.release(&schema);
    }
}

int test_freeze(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_frozen_changes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
