/* The change view over ROWS and CHANGES. */
#include "test_sdk.h"

#include "sluice/change.h"

static const struct sluice_type i64_type = {SLUICE_TYPE_INT64, 0, 0, 8};
static const struct sluice_type text_type = {SLUICE_TYPE_UTF8, 0, 0, 0};
static const uint32_t keys[] = {1};

/* Columns doc utf8, id int64 (the key). */
static void make_desc(struct sluice_stream_desc *desc, struct ArrowSchema *schema, int32_t before)
{
    assert_int_equal(sluice_schema_init(schema, 2, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema, 0, "doc", &text_type, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema, 1, "id", &i64_type, 0, NULL, 0, NULL), SLUICE_OK);
    memset(desc, 0, sizeof *desc);
    desc->struct_size = (uint32_t)sizeof *desc;
    desc->name = "public.t";
    desc->schema = schema;
    desc->before = before;
    desc->key_count = 1;
    desc->keys = keys;
}

static void put_row(struct sluice_column *c, int32_t full, const char *doc, int64_t id)
{
    struct sluice_column *id_column = c;
    if (full) {
        if (doc == NULL) {
            assert_int_equal(sluice_column_put_null(&c[0], NULL), SLUICE_OK);
        }
        else {
            assert_int_equal(sluice_column_put_bytes(&c[0], doc, strlen(doc), NULL), SLUICE_OK);
        }
        id_column = &c[1];
    }
    sluice_column_put_i64(id_column, id);
}

static void changes_are_read(void **state)
{
    (void)state;
    for (int32_t before = SLUICE_BEFORE_NONE; before <= SLUICE_BEFORE_FULL; before++) {
        struct sluice_stream_desc desc;
        struct ArrowSchema schema;
        struct ArrowSchema envelope;
        struct sluice_rows rows;
        struct sluice_batch batch;
        make_desc(&desc, &schema, before);
        assert_int_equal(sluice_schema_envelope(&desc, &envelope, NULL), SLUICE_OK);
        assert_int_equal(sluice_rows_init(&rows, &envelope, 10, NULL), SLUICE_OK);
        struct sluice_column *c = rows.columns;
        static const char ops[] = {'I', 'U', 'D'};
        for (int i = 0; i < 3; i++) {
            sluice_column_put_i8(&c[0], ops[i]);
            assert_int_equal(sluice_column_put_bytes(&c[1], "\0\0\0\1", 4, NULL), SLUICE_OK);
            sluice_column_put_i64(&c[2], i);
            sluice_column_put_i64(&c[3], 1000);
            assert_int_equal(sluice_column_put_null(&c[4], NULL), SLUICE_OK);
            if (i == 0 || before == SLUICE_BEFORE_NONE) {
                assert_int_equal(sluice_column_put_null(&c[5], NULL), SLUICE_OK);
            }
            else {
                put_row(c[5].children, before == SLUICE_BEFORE_FULL, "old", 10 + i);
                sluice_column_end_struct(&c[5]);
            }
            if (i == 2) {
                assert_int_equal(sluice_column_put_null(&c[6], NULL), SLUICE_OK);
            }
            else {
                put_row(c[6].children, 1, i == 1 ? NULL : "new", 20 + i);
                sluice_column_end_struct(&c[6]);
            }
            if (i == 1) {
                assert_int_equal(sluice_column_put_bytes(&c[7], "\1", 1, NULL), SLUICE_OK);
            }
            else {
                assert_int_equal(sluice_column_put_null(&c[7], NULL), SLUICE_OK);
            }
            sluice_rows_end_row(&rows);
        }
        memset(&batch, 0, sizeof batch);
        batch.struct_size = (uint32_t)sizeof batch;
        batch.kind = SLUICE_BATCH_CHANGES;
        assert_int_equal(sluice_rows_finish(&rows, &batch.array, NULL), SLUICE_OK);
        struct sluice_error err = SLUICE_ERROR_INIT;
        assert_int_equal(sluice_array_check(&envelope, &batch.array, SLUICE_CHECK_FULL, &err),
                         SLUICE_OK);
        struct sluice_change_view cv;
        assert_int_equal(sluice_change_view_init(&cv, &desc, &batch, &err), SLUICE_OK);
        assert_int_equal(cv.rows, 3);
        assert_int_equal(sluice_change_op(&cv, 0), 'I');
        assert_int_equal(sluice_change_op(&cv, 2), 'D');
        assert_int_equal(sluice_change_is_unchanged(&cv, 1, 0), 1);
        assert_int_equal(sluice_change_is_unchanged(&cv, 1, 1), 0);
        assert_int_equal(sluice_change_is_unchanged(&cv, 1, 100), 0);
        assert_int_equal(sluice_change_is_unchanged(&cv, 0, 0), 0);
        assert_int_equal(sluice_view_i64(sluice_change_key(&cv, 1, 0, 0), 1), 21);
        const struct sluice_view *old = sluice_change_key(&cv, 1, 0, 1);
        assert_int_equal(sluice_view_i64(old, 1), before == SLUICE_BEFORE_NONE ? 21 : 11);
        old = sluice_change_key(&cv, 2, 0, 1);
        if (before == SLUICE_BEFORE_NONE) {
            assert_null(old);
        }
        else {
            assert_int_equal(sluice_view_i64(old, 2), 12);
        }
        assert_null(sluice_change_key(&cv, 2, 0, 0));
        assert_null(sluice_change_key(&cv, 0, 1, 0));
        sluice_change_view_free(&cv);
        /* The same rows from the second on: the root's offset reaches all the way down. */
        batch.array.offset = 1;
        batch.array.length = 2;
        assert_int_equal(sluice_change_view_init(&cv, &desc, &batch, &err), SLUICE_OK);
        assert_int_equal(sluice_change_op(&cv, 0), 'U');
        assert_int_equal(sluice_change_is_unchanged(&cv, 0, 0), 1);
        assert_int_equal(sluice_view_i64(&cv.columns[1], 0), 21);
        sluice_change_view_free(&cv);
        batch.kind = SLUICE_BATCH_HEARTBEAT;
        assert_int_equal(sluice_change_view_init(&cv, &desc, &batch, &err), SLUICE_E_INVALID);
        batch.kind = SLUICE_BATCH_ROWS;
        assert_int_equal(sluice_change_view_init(&cv, &desc, &batch, &err), SLUICE_E_DATA);
        sluice_change_view_free(&cv);
        sluice_array_release(&batch.array);
        sluice_rows_free(&rows);
        sluice_schema_release(&envelope);
        sluice_schema_release(&schema);
    }
}

static void rows_are_read_the_same_way(void **state)
{
    (void)state;
    struct sluice_stream_desc desc;
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct sluice_batch batch;
    struct sluice_change_view cv;
    make_desc(&desc, &schema, SLUICE_BEFORE_KEY);
    assert_int_equal(sluice_rows_init(&rows, &schema, 10, NULL), SLUICE_OK);
    put_row(rows.columns, 1, "x", 5);
    sluice_rows_end_row(&rows);
    memset(&batch, 0, sizeof batch);
    batch.kind = SLUICE_BATCH_ROWS;
    assert_int_equal(sluice_rows_finish(&rows, &batch.array, NULL), SLUICE_OK);
    assert_int_equal(sluice_change_view_init(&cv, &desc, &batch, NULL), SLUICE_OK);
    assert_int_equal(sluice_change_op(&cv, 0), 'R');
    assert_int_equal(sluice_change_is_unchanged(&cv, 0, 0), 0);
    assert_int_equal(sluice_view_i64(sluice_change_key(&cv, 0, 0, 1), 0), 5);
    sluice_change_view_free(&cv);
    sluice_array_release(&batch.array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

int run_change_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_read),
        cmocka_unit_test(rows_are_read_the_same_way),
    };
    return cmocka_run_group_tests_name("change", tests, NULL, NULL);
}
