/* Sharing and selecting, also across threads. */
#include "test_sdk.h"

#include <pthread.h>
#include <stdlib.h>

#define ROWS 100

/* id int64, name utf8 (NULL on every fifth row), nested struct {x int32}. */
static void make_batch(struct ArrowSchema *schema, struct sluice_rows *rows,
                       struct ArrowArray *array)
{
    static const struct sluice_type i64 = {SLUICE_TYPE_INT64, 0, 0, 8};
    static const struct sluice_type i32 = {SLUICE_TYPE_INT32, 0, 0, 4};
    static const struct sluice_type text = {SLUICE_TYPE_UTF8, 0, 0, 0};
    assert_int_equal(sluice_schema_init(schema, 3, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema, 0, "id", &i64, 0, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema, 1, "name", &text, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set_nested(schema, 2, "s", SLUICE_TYPE_STRUCT, 1, 1, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema->children[2], 0, "x", &i32, 1, NULL, 0, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_rows_init(rows, schema, ROWS, NULL), SLUICE_OK);
    for (int i = 0; i < ROWS; i++) {
        sluice_column_put_i64(&rows->columns[0], i);
        if (i % 5 == 0) {
            assert_int_equal(sluice_column_put_null(&rows->columns[1], NULL), SLUICE_OK);
            assert_int_equal(sluice_column_put_null(&rows->columns[2], NULL), SLUICE_OK);
        }
        else {
            assert_int_equal(
                sluice_column_put_bytes(&rows->columns[1], "abcdefghij", (uint64_t)i % 10, NULL),
                SLUICE_OK);
            sluice_column_put_i32(&rows->columns[2].children[0], -i);
            sluice_column_end_struct(&rows->columns[2]);
        }
        sluice_rows_end_row(rows);
    }
    assert_int_equal(sluice_rows_finish(rows, array, NULL), SLUICE_OK);
    assert_int_equal(sluice_array_check(schema, array, SLUICE_CHECK_FULL, NULL), SLUICE_OK);
}

static void shares_read_the_same_buffers(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    struct ArrowArray shares[3];
    make_batch(&schema, &rows, &array);
    const void *values = array.children[0]->buffers[1];
    uint64_t bytes = sluice_array_bytes(&schema, &array);
    assert_true(bytes > ROWS * (8 + 4 + 4));
    assert_int_equal(sluice_array_share(&array, 3, shares, NULL), SLUICE_OK);
    assert_null(array.release);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sluice_array_check(&schema, &shares[i], SLUICE_CHECK_FULL, NULL),
                         SLUICE_OK);
        assert_ptr_equal(shares[i].children[0]->buffers[1], values);
    }
    sluice_rows_free(&rows);
    sluice_array_release(&shares[1]);
    /* A column moved out of a share outlives it. */
    struct ArrowArray column;
    sluice_array_move(shares[0].children[2], &column);
    sluice_array_release(&shares[0]);
    sluice_array_release(&shares[2]);
    struct sluice_view v;
    assert_int_equal(
        sluice_view_init(schema.children[2]->children[0], column.children[0], &v, NULL), SLUICE_OK);
    assert_int_equal(sluice_view_i32(&v, 99), -99);
    sluice_array_release(&column);
    sluice_schema_release(&schema);
}

static void share_of_none_and_one(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    struct ArrowArray one;
    struct sluice_error err = SLUICE_ERROR_INIT;
    make_batch(&schema, &rows, &array);
    assert_int_equal(sluice_array_share(&array, 1, &one, NULL), SLUICE_OK);
    assert_null(array.release);
    assert_int_equal(sluice_array_share(&one, 0, NULL, NULL), SLUICE_OK);
    assert_null(one.release);
    assert_int_equal(sluice_array_share(&one, 2, NULL, &err), SLUICE_E_STATE);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

static void *release_it(void *arg)
{
    sluice_array_release(arg);
    return NULL;
}

static void shares_are_released_on_other_threads(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    enum { N = 4 };
    struct ArrowArray shares[N];
    make_batch(&schema, &rows, &array);
    for (int round = 0; round < 50; round++) {
        assert_int_equal(sluice_array_share(&array, N, shares, NULL), SLUICE_OK);
        pthread_t threads[N];
        for (int i = 0; i < N; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, release_it, &shares[i]), 0);
        }
        /* The builder goes on meanwhile. */
        for (int i = 0; i < ROWS; i++) {
            sluice_column_put_i64(&rows.columns[0], i);
            assert_int_equal(sluice_column_put_bytes(&rows.columns[1], "x", 1, NULL), SLUICE_OK);
            assert_int_equal(sluice_column_put_null(&rows.columns[2], NULL), SLUICE_OK);
            sluice_rows_end_row(&rows);
        }
        assert_int_equal(sluice_rows_finish(&rows, &array, NULL), SLUICE_OK);
        for (int i = 0; i < N; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        }
    }
    sluice_rows_free(&rows);
    assert_int_equal(sluice_array_check(&schema, &array, SLUICE_CHECK_FULL, NULL), SLUICE_OK);
    sluice_array_release(&array);
    sluice_schema_release(&schema);
}

static void columns_are_selected(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct sluice_rows extra_rows;
    struct ArrowArray array;
    struct ArrowArray extra;
    struct ArrowArray out;
    struct ArrowSchema extra_schema;
    make_batch(&schema, &rows, &array);
    one_column(&extra_schema, "c", 0);
    assert_int_equal(sluice_rows_init(&extra_rows, &extra_schema, ROWS, NULL), SLUICE_OK);
    memset(sluice_column_put_many(&extra_rows.columns[0], ROWS), 7, ROWS);
    extra_rows.rows = ROWS;
    assert_int_equal(sluice_rows_finish(&extra_rows, &extra, NULL), SLUICE_OK);
    struct ArrowArray column;
    sluice_array_move(extra.children[0], &column);
    sluice_array_release(&extra);
    sluice_rows_free(&extra_rows);

    const void *names = array.children[1]->buffers[2];
    const int64_t wrong_twice[] = {1, 1};
    const int64_t wrong_index[] = {3};
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_array_select(&array, wrong_twice, 2, NULL, &out, &err),
                     SLUICE_E_INVALID);
    assert_int_equal(sluice_array_select(&array, wrong_index, 1, NULL, &out, &err),
                     SLUICE_E_INVALID);
    assert_non_null(array.release);
    const int64_t indexes[] = {1, -1, 0};
    assert_int_equal(sluice_array_select(&array, indexes, 3, &column, &out, NULL), SLUICE_OK);
    assert_null(array.release);
    assert_null(column.release);
    assert_int_equal(out.n_children, 3);
    assert_ptr_equal(out.children[0]->buffers[2], names);
    assert_int_equal(((const int8_t *)out.children[1]->buffers[1])[99], 7);
    /* Once more, on the result of a selection. */
    const int64_t again[] = {2, 0};
    struct ArrowArray out2;
    assert_int_equal(sluice_array_select(&out, again, 2, NULL, &out2, NULL), SLUICE_OK);
    sluice_rows_free(&rows);
    int64_t last = 0;
    memcpy(&last, (const int64_t *)out2.children[0]->buffers[1] + 99, 8);
    assert_int_equal(last, 99);
    sluice_array_release(&out2);
    sluice_schema_release(&schema);
    sluice_schema_release(&extra_schema);
}

static void selection_keeps_offsets_and_nulls_of_a_struct(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    struct ArrowArray out;
    make_batch(&schema, &rows, &array);
    struct ArrowArray s;
    sluice_array_move(array.children[2], &s);
    sluice_array_release(&array);
    /* Rows 3 to 52 of the struct column: offsets not at a byte. */
    s.offset = 3;
    s.length = 50;
    s.null_count = -1;
    const int64_t indexes[] = {0};
    assert_int_equal(sluice_array_select(&s, indexes, 1, NULL, &out, NULL), SLUICE_OK);
    assert_int_equal(out.offset, 0);
    assert_int_equal(out.length, 50);
    struct sluice_view self;
    struct sluice_view x;
    assert_int_equal(sluice_view_init(schema.children[2], &out, &self, NULL), SLUICE_OK);
    assert_int_equal(sluice_views_init(schema.children[2], &out, &x, NULL), SLUICE_OK);
    for (int i = 0; i < 50; i++) {
        int row = i + 3;
        assert_int_equal(sluice_view_is_null(&self, i), row % 5 == 0);
        assert_int_equal(sluice_view_is_null(&x, i), row % 5 == 0);
        if (row % 5 != 0) {
            assert_int_equal(sluice_view_i32(&x, i), -row);
        }
    }
    sluice_array_release(&out);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

int run_array_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_read_the_same_buffers),
        cmocka_unit_test(share_of_none_and_one),
        cmocka_unit_test(shares_are_released_on_other_threads),
        cmocka_unit_test(columns_are_selected),
        cmocka_unit_test(selection_keeps_offsets_and_nulls_of_a_struct),
    };
    return cmocka_run_group_tests_name("array", tests, NULL, NULL);
}
