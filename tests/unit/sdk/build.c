/* The builder: golden bytes, limits, rollback, recycling. */
#include "test_sdk.h"

#include <stdlib.h>

static void bytes_are_golden(void **state)
{
    (void)state;
    static const struct sluice_type i32 = {SLUICE_TYPE_INT32, 0, 0, 4};
    static const struct sluice_type text = {SLUICE_TYPE_UTF8, 0, 0, 0};
    static const struct sluice_type boolean = {SLUICE_TYPE_BOOL, 0, 0, 0};
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    assert_int_equal(sluice_schema_init(&schema, 3, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&schema, 0, "n", &i32, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&schema, 1, "t", &text, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&schema, 2, "b", &boolean, 0, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_init(&rows, &schema, 10, NULL), SLUICE_OK);
    static const char *const words[] = {"ab", NULL, "", "cde"};
    for (int i = 0; i < 4; i++) {
        if (i == 2) {
            assert_int_equal(sluice_column_put_null(&rows.columns[0], NULL), SLUICE_OK);
        }
        else {
            sluice_column_put_i32(&rows.columns[0], i * 0x01010101);
        }
        if (words[i] == NULL) {
            assert_int_equal(sluice_column_put_null(&rows.columns[1], NULL), SLUICE_OK);
        }
        else {
            assert_int_equal(
                sluice_column_put_bytes(&rows.columns[1], words[i], strlen(words[i]), NULL),
                SLUICE_OK);
        }
        sluice_column_put_bool(&rows.columns[2], i != 1);
        sluice_rows_end_row(&rows);
    }
    assert_true(sluice_rows_bytes(&rows) >= 16 + 16 + 5 + 1);
    assert_int_equal(sluice_rows_finish(&rows, &array, NULL), SLUICE_OK);
    assert_int_equal(array.length, 4);
    assert_int_equal(array.null_count, 0);
    assert_int_equal(array.n_buffers, 1);
    assert_null(array.buffers[0]);
    const struct ArrowArray *n = array.children[0];
    assert_int_equal(n->null_count, 1);
    assert_memory_equal(n->buffers[0], "\x0b", 1);
    assert_memory_equal(n->buffers[1], "\0\0\0\0\1\1\1\1\0\0\0\0\3\3\3\3", 16);
    const struct ArrowArray *t = array.children[1];
    assert_int_equal(t->n_buffers, 3);
    assert_memory_equal(t->buffers[0], "\x0d", 1);
    const int32_t offsets[] = {0, 2, 2, 2, 5};
    assert_memory_equal(t->buffers[1], offsets, sizeof offsets);
    assert_memory_equal(t->buffers[2], "abcde", 5);
    const struct ArrowArray *b = array.children[2];
    assert_null(b->buffers[0]);
    assert_memory_equal(b->buffers[1], "\x0d", 1);
    assert_int_equal(sluice_array_check(&schema, &array, SLUICE_CHECK_FULL, NULL), SLUICE_OK);
    sluice_array_release(&array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

static void empty_and_columnless_batches(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    assert_int_equal(sluice_schema_init(&schema, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_init(&rows, &schema, 4, NULL), SLUICE_OK);
    sluice_rows_end_row(&rows);
    sluice_rows_end_row(&rows);
    assert_int_equal(sluice_rows_finish(&rows, &array, NULL), SLUICE_OK);
    assert_int_equal(array.length, 2);
    assert_int_equal(array.n_children, 0);
    assert_int_equal(sluice_array_check(&schema, &array, SLUICE_CHECK_FULL, NULL), SLUICE_OK);
    sluice_array_release(&array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
    one_column(&schema, "u", 0);
    assert_int_equal(sluice_rows_init(&rows, &schema, 4, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_finish(&rows, &array, NULL), SLUICE_OK);
    assert_int_equal(array.length, 0);
    assert_int_equal(sluice_array_check(&schema, &array, SLUICE_CHECK_FULL, NULL), SLUICE_OK);
    struct sluice_view view;
    assert_int_equal(sluice_views_init(&schema, &array, &view, NULL), SLUICE_OK);
    sluice_array_release(&array);
    sluice_rows_free(&rows);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

static void a_missing_value_is_found_at_finish(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    struct sluice_error err = SLUICE_ERROR_INIT;
    one_column(&schema, "i", 0);
    assert_int_equal(sluice_rows_init(&rows, &schema, 4, NULL), SLUICE_OK);
    sluice_rows_end_row(&rows);
    assert_int_equal(sluice_rows_finish(&rows, &array, &err), SLUICE_E_INTERNAL);
    sluice_column_put_i32(&rows.columns[0], 5);
    assert_int_equal(sluice_rows_finish(&rows, &array, &err), SLUICE_OK);
    assert_int_equal(array.length, 1);
    sluice_array_release(&array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

static void rollback_cuts_half_rows(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    static const struct sluice_type i64 = {SLUICE_TYPE_INT64, 0, 0, 8};
    static const struct sluice_type text = {SLUICE_TYPE_UTF8, 0, 0, 0};
    assert_int_equal(sluice_schema_init(&schema, 4, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&schema, 0, "n", &i64, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&schema, 1, "t", &text, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set_nested(&schema, 2, "l", SLUICE_TYPE_LIST, 1, 1, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema.children[2], 0, "item", &text, 1, NULL, 0, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_schema_set_nested(&schema, 3, "s", SLUICE_TYPE_STRUCT, 1, 1, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema.children[3], 0, "a", &i64, 1, NULL, 0, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_rows_init(&rows, &schema, 100, NULL), SLUICE_OK);
    struct sluice_column *c = rows.columns;
    for (int64_t i = 0; i < 50; i++) {
        for (int half = 1; half >= 0; half--) {
            /* The first try appends some columns, then is thrown away; NULLs differ in it. */
            int null = (int)((i + half) % 3 == 0);
            if (null) {
                assert_int_equal(sluice_column_put_null(&c[0], NULL), SLUICE_OK);
                assert_int_equal(sluice_column_put_null(&c[1], NULL), SLUICE_OK);
            }
            else {
                sluice_column_put_i64(&c[0], i);
                assert_int_equal(sluice_column_put_bytes(&c[1], "xyz", 3, NULL), SLUICE_OK);
            }
            assert_int_equal(sluice_column_reserve(&c[2].children[0], 3, NULL), SLUICE_OK);
            assert_int_equal(sluice_column_put_bytes(&c[2].children[0], "e", 1, NULL), SLUICE_OK);
            assert_int_equal(sluice_column_put_null(&c[2].children[0], NULL), SLUICE_OK);
            if (half && i % 2 == 0) {
                sluice_column_put_i64(&c[3].children[0], 1);
                sluice_rows_rollback(&rows);
                continue;
            }
            assert_int_equal(sluice_column_end_list(&c[2], NULL), SLUICE_OK);
            if (half) {
                assert_int_equal(sluice_column_put_null(&c[3], NULL), SLUICE_OK);
                sluice_rows_rollback(&rows);
                continue;
            }
            sluice_column_put_i64(&c[3].children[0], -i);
            sluice_column_end_struct(&c[3]);
            sluice_rows_end_row(&rows);
        }
    }
    assert_int_equal(sluice_rows_finish(&rows, &array, NULL), SLUICE_OK);
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status st = sluice_array_check(&schema, &array, SLUICE_CHECK_FULL, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(st, SLUICE_OK);
    struct sluice_view v[4];
    assert_int_equal(sluice_views_init(&schema, &array, v, NULL), SLUICE_OK);
    for (int64_t i = 0; i < 50; i++) {
        assert_int_equal(sluice_view_is_null(&v[0], i), i % 3 == 0);
        assert_int_equal(sluice_view_is_null(&v[1], i), i % 3 == 0);
        if (i % 3 != 0) {
            assert_int_equal(sluice_view_i64(&v[0], i), i);
            assert_int_equal(sluice_view_bytes(&v[1], i).size, 3);
        }
        assert_int_equal(v[2].offsets[i], 2 * i);
        assert_int_equal(sluice_view_is_null(&v[3], i), 0);
    }
    assert_int_equal(array.children[2]->children[0]->null_count, 50);
    sluice_array_release(&array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

static void data_grows_and_is_limited(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    struct sluice_error err = SLUICE_ERROR_INIT;
    one_column(&schema, "z", 0);
    assert_int_equal(sluice_rows_init(&rows, &schema, 100, NULL), SLUICE_OK);
    struct sluice_column *c = rows.columns;
    static uint8_t block[1 << 20];
    for (int i = 0; i < 20; i++) {
        memset(block, i, sizeof block);
        assert_int_equal(sluice_column_put_bytes(c, block, sizeof block, &err), SLUICE_OK);
        sluice_rows_end_row(&rows);
    }
    /* Past 16 MiB a large value gets what it needs, not the double. */
    assert_int_equal(c->values_cap, 20 << 20);
    assert_null(sluice_column_room(c, (uint64_t)INT32_MAX, &err));
    assert_int_equal(err.status, SLUICE_E_LIMIT);
    assert_null(sluice_column_room(c, UINT64_MAX, &err));
    assert_int_equal(err.status, SLUICE_E_LIMIT);
    assert_int_equal(sluice_rows_finish(&rows, &array, NULL), SLUICE_OK);
    struct sluice_view v;
    assert_int_equal(sluice_views_init(&schema, &array, &v, NULL), SLUICE_OK);
    for (int i = 0; i < 20; i++) {
        struct sluice_bytes b = sluice_view_bytes(&v, i);
        assert_int_equal(b.size, sizeof block);
        assert_int_equal(((const uint8_t *)b.data)[b.size - 1], i);
    }
    sluice_array_release(&array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

static void buffers_go_round(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray a;
    struct ArrowArray b;
    one_column(&schema, "l", 1);
    assert_int_equal(sluice_rows_init(&rows, &schema, 1000, NULL), SLUICE_OK);
    const void *first = NULL;
    const void *second = NULL;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 1000; i++) {
            if (round % 2 == 0 && i % 7 == 0) {
                assert_int_equal(sluice_column_put_null(&rows.columns[0], NULL), SLUICE_OK);
            }
            else {
                sluice_column_put_i64(&rows.columns[0], i + round);
            }
            sluice_rows_end_row(&rows);
        }
        assert_int_equal(sluice_rows_finish(&rows, &a, NULL), SLUICE_OK);
        assert_int_equal(sluice_array_check(&schema, &a, SLUICE_CHECK_FULL, NULL), SLUICE_OK);
        assert_int_equal(a.children[0]->null_count, round % 2 == 0 ? 143 : 0);
        const void *values = a.children[0]->buffers[1];
        if (round == 0) {
            first = values;
        }
        else if (round == 1) {
            second = values;
        }
        else {
            assert_ptr_equal(values, round % 2 == 0 ? first : second);
        }
        sluice_array_release(&a);
        assert_null(a.release);
    }
    /* Two at once, released after the builder. */
    sluice_column_put_i64(&rows.columns[0], 1);
    sluice_rows_end_row(&rows);
    assert_int_equal(sluice_rows_finish(&rows, &a, NULL), SLUICE_OK);
    sluice_column_put_i64(&rows.columns[0], 2);
    sluice_rows_end_row(&rows);
    assert_int_equal(sluice_rows_finish(&rows, &b, NULL), SLUICE_OK);
    sluice_rows_free(&rows);
    int64_t one = 1;
    int64_t two = 2;
    assert_memory_equal(a.children[0]->buffers[1], &one, 8);
    assert_memory_equal(b.children[0]->buffers[1], &two, 8);
    sluice_array_release(&a);
    sluice_array_release(&b);
    sluice_schema_release(&schema);
}

static void whole_columns_at_once(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    one_column(&schema, "s", 1);
    assert_int_equal(sluice_rows_init(&rows, &schema, 64, NULL), SLUICE_OK);
    struct sluice_column *c = rows.columns;
    for (int k = 0; k < 4; k++) {
        uint8_t *to = sluice_column_put_many(c, 10);
        for (int i = 0; i < 10; i++) {
            int16_t v = (int16_t)(k * 10 + i);
            memcpy(to + i * 2, &v, 2);
        }
        assert_int_equal(sluice_column_make_null(c, k * 10 + k, NULL), SLUICE_OK);
        assert_int_equal(sluice_column_make_null(c, k * 10 + k, NULL), SLUICE_OK);
    }
    rows.rows = 40;
    assert_int_equal(sluice_rows_finish(&rows, &array, NULL), SLUICE_OK);
    assert_int_equal(sluice_array_check(&schema, &array, SLUICE_CHECK_FULL, NULL), SLUICE_OK);
    assert_int_equal(array.children[0]->null_count, 4);
    struct sluice_view v;
    assert_int_equal(sluice_views_init(&schema, &array, &v, NULL), SLUICE_OK);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(sluice_view_is_null(&v, i), i % 11 == 0);
        assert_int_equal(sluice_view_i16(&v, i), i % 11 == 0 ? 0 : i);
    }
    sluice_array_release(&array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

static void what_cannot_be_built_is_refused(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct sluice_error err = SLUICE_ERROR_INIT;
    one_column(&schema, "U", 1);
    assert_int_equal(sluice_rows_init(&rows, &schema, 10, &err), SLUICE_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "column c"));
    sluice_schema_release(&schema);
    assert_int_equal(sluice_schema_init(&schema, 1, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_init(&rows, &schema, 10, &err), SLUICE_E_UNSUPPORTED);
    assert_int_equal(sluice_rows_init(&rows, &schema, 0, &err), SLUICE_E_INVALID);
    assert_int_equal(sluice_rows_init(&rows, &schema, INT64_MAX, &err), SLUICE_E_INVALID);
    sluice_schema_release(&schema);
}

int run_build_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_golden),
        cmocka_unit_test(empty_and_columnless_batches),
        cmocka_unit_test(a_missing_value_is_found_at_finish),
        cmocka_unit_test(rollback_cuts_half_rows),
        cmocka_unit_test(data_grows_and_is_limited),
        cmocka_unit_test(buffers_go_round),
        cmocka_unit_test(whole_columns_at_once),
        cmocka_unit_test(what_cannot_be_built_is_refused),
    };
    return cmocka_run_group_tests_name("build", tests, NULL, NULL);
}
