/* Each decoder: golden bytes, wrong widths, edges. */
#include "pg/decode.h"

#include "sluice/array.h"
#include "sluice/view.h"
#include "tests.h"

struct one {
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct sluice_pg_decoder decoder;
    struct ArrowArray array;
    struct sluice_view view;
};

static void one_make(struct one *o, int32_t kind, struct sluice_type type, int32_t policy)
{
    memset(o, 0, sizeof *o);
    assert_int_equal(sluice_schema_init(&o->schema, 1, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&o->schema, 0, "c", &type, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_init(&o->rows, &o->schema, 16, NULL), SLUICE_OK);
    assert_int_equal(
        sluice_pg_decoder_init(&o->decoder, kind, &o->rows.columns[0], "c", policy, NULL),
        SLUICE_OK);
}

static sluice_status one_put(struct one *o, const char *hex, struct sluice_error *err)
{
    uint8_t bytes[64];
    uint32_t size = (uint32_t)pg_test_unhex(hex, bytes, sizeof bytes);
    sluice_status st = o->decoder.decode(&o->decoder, bytes, size, err);
    if (st >= 0) {
        sluice_rows_end_row(&o->rows);
    }
    return st;
}

static void one_finish(struct one *o)
{
    assert_int_equal(sluice_rows_finish(&o->rows, &o->array, NULL), SLUICE_OK);
    assert_int_equal(sluice_array_check(&o->schema, &o->array, SLUICE_CHECK_FULL, NULL), SLUICE_OK);
    assert_int_equal(sluice_views_init(&o->schema, &o->array, &o->view, NULL), SLUICE_OK);
}

static void one_free(struct one *o)
{
    sluice_array_release(&o->array);
    sluice_rows_free(&o->rows);
    sluice_schema_release(&o->schema);
}

static struct sluice_type fixed(int32_t id, int32_t width)
{
    struct sluice_type type = {id, 0, 0, width};
    return type;
}

static void integers(void **state)
{
    (void)state;
    struct one o;
    one_make(&o, SLUICE_PG_DECODE_INT64, fixed(SLUICE_TYPE_INT64, 8), 0);
    assert_int_equal(one_put(&o, "8000000000000000", NULL), SLUICE_OK);
    assert_int_equal(one_put(&o, "7fffffffffffffff", NULL), SLUICE_OK);
    assert_int_equal(one_put(&o, "7fffffff", NULL), SLUICE_E_DATA);
    one_finish(&o);
    assert_int_equal(sluice_view_i64(&o.view, 0), INT64_MIN);
    assert_int_equal(sluice_view_i64(&o.view, 1), INT64_MAX);
    one_free(&o);
    one_make(&o, SLUICE_PG_DECODE_INT16, fixed(SLUICE_TYPE_INT16, 2), 0);
    assert_int_equal(one_put(&o, "fffe", NULL), SLUICE_OK);
    assert_int_equal(one_put(&o, "", NULL), SLUICE_E_DATA);
    one_finish(&o);
    assert_int_equal(sluice_view_i16(&o.view, 0), -2);
    one_free(&o);
    one_make(&o, SLUICE_PG_DECODE_OID, fixed(SLUICE_TYPE_UTF8, 0), 0);
    assert_int_equal(one_put(&o, "ffffffff", NULL), SLUICE_OK);
    assert_int_equal(one_put(&o, "00000000", NULL), SLUICE_OK);
    one_finish(&o);
    assert_int_equal(sluice_view_bytes(&o.view, 0).size, 10);
    assert_memory_equal(sluice_view_bytes(&o.view, 0).data, "4294967295", 10);
    assert_memory_equal(sluice_view_bytes(&o.view, 1).data, "0", 1);
    one_free(&o);
}

static void booleans_and_floats(void **state)
{
    (void)state;
    struct one o;
    one_make(&o, SLUICE_PG_DECODE_BOOL, fixed(SLUICE_TYPE_BOOL, 0), 0);
    assert_int_equal(one_put(&o, "01", NULL), SLUICE_OK);
    assert_int_equal(one_put(&o, "00", NULL), SLUICE_OK);
    assert_int_equal(one_put(&o, "0000", NULL), SLUICE_E_DATA);
    one_finish(&o);
    assert_true(sluice_view_bool(&o.view, 0));
    assert_false(sluice_view_bool(&o.view, 1));
    one_free(&o);
    one_make(&o, SLUICE_PG_DECODE_FLOAT64, fixed(SLUICE_TYPE_FLOAT64, 8), 0);
    assert_int_equal(one_put(&o, "3fd3333333333334", NULL), SLUICE_OK); /* 0.1 + 0.2 */
    one_finish(&o);
    assert_true(sluice_view_f64(&o.view, 0) == 0.1 + 0.2);
    one_free(&o);
}

static void timestamps(void **state)
{
    (void)state;
    struct one o;
    struct sluice_error err = SLUICE_ERROR_INIT;
    one_make(&o, SLUICE_PG_DECODE_TIMESTAMP, fixed(SLUICE_TYPE_TIMESTAMP_US, 8), 0);
    assert_int_equal(one_put(&o, "0000000000000000", &err), SLUICE_OK); /* 2000-01-01 */
    assert_int_equal(one_put(&o, "7fffffffffffffff", &err), SLUICE_OK); /* infinity */
    assert_int_equal(one_put(&o, "8000000000000000", &err), SLUICE_OK); /* -infinity */
    assert_int_equal(one_put(&o, "fd0f7cc1411fa000", &err), SLUICE_OK); /* 4713 BC */
    assert_int_equal(one_put(&o, "7ffca2fec4c81ffe", &err),
                     SLUICE_OK); /* the last that fits, less 1 */
    assert_int_equal(one_put(&o, "7ffca2fec4c81fff", &err), SLUICE_E_DATA);
    assert_non_null(strstr(err.message, "on_unrepresentable"));
    one_finish(&o);
    assert_int_equal(sluice_view_i64(&o.view, 0), 946684800000000);
    assert_int_equal(sluice_view_i64(&o.view, 1), INT64_MAX);
    assert_int_equal(sluice_view_i64(&o.view, 2), INT64_MIN);
    assert_int_equal(sluice_view_i64(&o.view, 4), INT64_MAX - 1);
    one_free(&o);
    one_make(&o, SLUICE_PG_DECODE_TIMESTAMP, fixed(SLUICE_TYPE_TIMESTAMP_US, 8),
             SLUICE_PG_UNREPRESENTABLE_NULL);
    assert_int_equal(one_put(&o, "7ffffffffffffffe", &err), SLUICE_OK);
    one_finish(&o);
    assert_true(sluice_view_is_null(&o.view, 0));
    one_free(&o);
}

static void dates_and_times(void **state)
{
    (void)state;
    struct one o;
    one_make(&o, SLUICE_PG_DECODE_DATE, fixed(SLUICE_TYPE_DATE32, 4), 0);
    assert_int_equal(one_put(&o, "00000000", NULL), SLUICE_OK);
    assert_int_equal(one_put(&o, "7fffffff", NULL), SLUICE_OK);
    assert_int_equal(one_put(&o, "80000000", NULL), SLUICE_OK);
    one_finish(&o);
    assert_int_equal(sluice_view_i32(&o.view, 0), 10957);
    assert_int_equal(sluice_view_i32(&o.view, 1), INT32_MAX);
    assert_int_equal(sluice_view_i32(&o.view, 2), INT32_MIN);
    one_free(&o);
    one_make(&o, SLUICE_PG_DECODE_TIME, fixed(SLUICE_TYPE_TIME64_US, 8), 0);
    assert_int_equal(one_put(&o, "000000141dd76000", NULL), SLUICE_OK); /* 24:00:00 */
    assert_int_equal(one_put(&o, "000000141dd76001", NULL), SLUICE_E_DATA);
    assert_int_equal(one_put(&o, "ffffffffffffffff", NULL), SLUICE_E_DATA);
    one_finish(&o);
    assert_int_equal(sluice_view_i64(&o.view, 0), 86400000000);
    one_free(&o);
}

static void texts(void **state)
{
    (void)state;
    struct one o;
    struct sluice_error err = SLUICE_ERROR_INIT;
    one_make(&o, SLUICE_PG_DECODE_JSONB, fixed(SLUICE_TYPE_UTF8, 0), 0);
    assert_int_equal(one_put(&o, "017b7d", NULL), SLUICE_OK);
    assert_int_equal(one_put(&o, "027b7d", NULL), SLUICE_E_DATA);
    assert_int_equal(one_put(&o, "", NULL), SLUICE_E_DATA);
    one_finish(&o);
    assert_memory_equal(sluice_view_bytes(&o.view, 0).data, "{}", 2);
    one_free(&o);
    one_make(&o, SLUICE_PG_DECODE_TEXT_CHECKED, fixed(SLUICE_TYPE_UTF8, 0), 0);
    assert_int_equal(one_put(&o, "c3a4", &err), SLUICE_OK);
    assert_int_equal(one_put(&o, "e4", &err), SLUICE_E_DATA); /* Latin-1 */
    assert_non_null(strstr(err.message, "SQL_ASCII"));
    one_finish(&o);
    one_free(&o);
}

static void numerics(void **state)
{
    (void)state;
    struct one o;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_type narrow = {SLUICE_TYPE_DECIMAL128, 12, 2, 16};
    struct sluice_type wide = {SLUICE_TYPE_DECIMAL256, 76, 38, 32};
    const uint8_t nan128[16] = {[15] = 0x80};
    const uint8_t nan256[32] = {[31] = 0x80};
    one_make(&o, SLUICE_PG_DECODE_NUMERIC64, narrow, 0);
    assert_int_equal(one_put(&o, "0002000040000002270f26ac", &err), SLUICE_OK);
    assert_int_equal(one_put(&o, "00000000c0000000", &err), SLUICE_OK);
    assert_int_equal(one_put(&o, "00000000d0000020", &err), SLUICE_E_DATA);
    assert_int_equal(sluice_rows_finish(&o.rows, &o.array, NULL), SLUICE_OK);
    assert_int_equal(sluice_views_init(&o.schema, &o.array, &o.view, NULL), SLUICE_OK);
    int64_t low = 0;
    memcpy(&low, sluice_view_fixed(&o.view, 0), 8);
    assert_int_equal(low, -999999);
    assert_memory_equal(sluice_view_fixed(&o.view, 1), nan128, 16);
    one_free(&o);
    one_make(&o, SLUICE_PG_DECODE_NUMERIC256, wide, 0);
    assert_int_equal(one_put(&o, "0001fff6400000260064", &err), SLUICE_OK);
    assert_int_equal(one_put(&o, "00000000c0000000", &err), SLUICE_OK);
    assert_int_equal(sluice_rows_finish(&o.rows, &o.array, NULL), SLUICE_OK);
    assert_int_equal(sluice_views_init(&o.schema, &o.array, &o.view, NULL), SLUICE_OK);
    memcpy(&low, sluice_view_fixed(&o.view, 0), 8);
    assert_int_equal(low, -1);
    assert_memory_equal(sluice_view_fixed(&o.view, 1), nan256, 32);
    one_free(&o);
}

int pg_test_decode(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),   cmocka_unit_test(booleans_and_floats),
        cmocka_unit_test(timestamps), cmocka_unit_test(dates_and_times),
        cmocka_unit_test(texts),      cmocka_unit_test(numerics)};
    return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
