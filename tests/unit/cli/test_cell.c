/* Values as text and as JSON. */
#include "test_cli.h"

#include "cli/cell.h"
#include "sluice/array.h"
#include "sluice/build.h"

/* One column, one row. */
struct one {
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    struct sluice_view view;
    struct sluice_error err;
};

static struct sluice_column *begin(struct one *one, struct sluice_type type, const char *key,
                                   const char *value)
{
    struct sluice_pair pair = {key, value};
    memset(one, 0, sizeof *one);
    one->err.struct_size = sizeof one->err;
    assert_int_equal(sluice_schema_init(&one->schema, 1, &one->err), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&one->schema, 0, "c", &type, 1, key != NULL ? &pair : NULL,
                                       key != NULL ? 1 : 0, &one->err),
                     SLUICE_OK);
    assert_int_equal(sluice_rows_init(&one->rows, &one->schema, 4, &one->err), SLUICE_OK);
    return &one->rows.columns[0];
}

static void expect(struct one *one, const char *text, const char *json)
{
    struct sluice_str out = SLUICE_STR_INIT;
    one->rows.rows = 1;
    assert_int_equal(sluice_rows_finish(&one->rows, &one->array, &one->err), SLUICE_OK);
    assert_int_equal(sluice_views_init(&one->schema, &one->array, &one->view, &one->err),
                     SLUICE_OK);
    sluice_cli_cell_text(&one->view, 0, 0, &out);
    expect_text(&out, text);
    sluice_cli_cell_json(&one->view, 0, &out);
    expect_text(&out, json);
    sluice_array_release(&one->array);
    sluice_rows_free(&one->rows);
    sluice_schema_release(&one->schema);
}

static void integers_and_bool(void **state)
{
    (void)state;
    struct one one;
    struct sluice_column *c =
        begin(&one, (struct sluice_type){SLUICE_TYPE_INT64, 0, 0, 8}, NULL, NULL);
    sluice_column_put_i64(c, INT64_MIN);
    expect(&one, "-9223372036854775808", "-9223372036854775808");
    c = begin(&one, (struct sluice_type){SLUICE_TYPE_UINT64, 0, 0, 8}, NULL, NULL);
    sluice_column_put_u64(c, UINT64_MAX);
    expect(&one, "18446744073709551615", "18446744073709551615");
    c = begin(&one, (struct sluice_type){SLUICE_TYPE_INT8, 0, 0, 1}, NULL, NULL);
    sluice_column_put_i8(c, -128);
    expect(&one, "-128", "-128");
    c = begin(&one, (struct sluice_type){SLUICE_TYPE_BOOL, 0, 0, 0}, NULL, NULL);
    sluice_column_put_bool(c, 1);
    expect(&one, "true", "true");
    c = begin(&one, (struct sluice_type){SLUICE_TYPE_INT32, 0, 0, 4}, NULL, NULL);
    assert_int_equal(sluice_column_put_null(c, &one.err), SLUICE_OK);
    expect(&one, "NULL", "null");
}

static void floats(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
        const char *json;
    } cases[] = {{0.1, "0.1", "0.1"},
                 {1e300, "1e+300", "1e+300"},
                 {2.0 / 3, "0.6666666666666666", "0.6666666666666666"},
                 {-0.0, "-0", "-0"}};
    struct one one;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sluice_column *c =
            begin(&one, (struct sluice_type){SLUICE_TYPE_FLOAT64, 0, 0, 8}, NULL, NULL);
        sluice_column_put_f64(c, cases[i].value);
        expect(&one, cases[i].text, cases[i].json);
    }
    struct sluice_column *c =
        begin(&one, (struct sluice_type){SLUICE_TYPE_FLOAT32, 0, 0, 4}, NULL, NULL);
    sluice_column_put_f32(c, 0.1f);
    expect(&one, "0.1", "0.1");
    c = begin(&one, (struct sluice_type){SLUICE_TYPE_FLOAT64, 0, 0, 8}, NULL, NULL);
    sluice_column_put_f64(c, -(double)1e308 * 10);
    expect(&one, "-Infinity", "\"-Infinity\"");
}

static void decimals(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        int32_t scale;
        const char *text;
    } cases[] = {
        {0, 0, "0"},
        {0, 3, "0.000"},
        {1, 3, "0.001"},
        {-1, 3, "-0.001"},
        {123456, 2, "1234.56"},
        {-123456, 2, "-1234.56"},
        {12, -3, "12000"},
        {0, -3, "0"},
        {INT64_MAX, 0, "9223372036854775807"},
        {INT64_MIN, 4, "-922337203685477.5808"},
    };
    struct one one;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sluice_column *c = begin(
            &one, (struct sluice_type){SLUICE_TYPE_DECIMAL128, 38, cases[i].scale, 16}, NULL, NULL);
        sluice_column_put_decimal64(c, cases[i].value);
        expect(&one, cases[i].text, cases[i].text);
    }
}

static void wide_decimals(void **state)
{
    (void)state;
    uint8_t bytes[32];
    struct one one;
    memset(bytes, 0xff, sizeof bytes);
    bytes[31] = 0x7f; /* 2^255 - 1 */
    struct sluice_column *c =
        begin(&one, (struct sluice_type){SLUICE_TYPE_DECIMAL256, 76, 10, 32}, NULL, NULL);
    sluice_column_put_fixed(c, bytes);
    expect(&one, "5789604461865809771178549250434395392663499233282028201972879200395.6564819967",
           "5789604461865809771178549250434395392663499233282028201972879200395.6564819967");
    memset(bytes, 0, sizeof bytes);
    bytes[15] = 0x80; /* the smallest: NaN where the column says so */
    c = begin(&one, (struct sluice_type){SLUICE_TYPE_DECIMAL128, 38, 0, 16}, "sluice:special", "1");
    sluice_column_put_fixed(c, bytes);
    expect(&one, "NaN", "\"NaN\"");
    c = begin(&one, (struct sluice_type){SLUICE_TYPE_DECIMAL128, 38, 0, 16}, NULL, NULL);
    sluice_column_put_fixed(c, bytes);
    expect(&one, "-170141183460469231731687303715884105728",
           "-170141183460469231731687303715884105728");
}

static void dates_and_times(void **state)
{
    (void)state;
    static const struct {
        int32_t days;
        const char *text;
        const char *json;
    } dates[] = {{0, "1970-01-01", "\"1970-01-01\""},
                 {-1, "1969-12-31", "\"1969-12-31\""},
                 {11016, "2000-02-29", "\"2000-02-29\""},
                 {-719162, "0001-01-01", "\"0001-01-01\""},
                 {-719163, "0001-12-31 BC", "\"0001-12-31 BC\""},
                 {INT32_MAX, "infinity", "\"infinity\""},
                 {INT32_MIN, "-infinity", "\"-infinity\""}};
    struct one one;
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        struct sluice_column *c =
            begin(&one, (struct sluice_type){SLUICE_TYPE_DATE32, 0, 0, 4}, "sluice:special", "1");
        sluice_column_put_i32(c, dates[i].days);
        expect(&one, dates[i].text, dates[i].json);
    }
    struct sluice_column *c =
        begin(&one, (struct sluice_type){SLUICE_TYPE_TIME64_US, 0, 0, 8}, NULL, NULL);
    sluice_column_put_i64(c, INT64_C(86400000000));
    expect(&one, "24:00:00", "\"24:00:00\"");
    c = begin(&one, (struct sluice_type){SLUICE_TYPE_TIMESTAMP_US, 0, 0, 8}, NULL, NULL);
    sluice_column_put_i64(c, -1);
    expect(&one, "1969-12-31 23:59:59.999999", "\"1969-12-31 23:59:59.999999\"");
    c = begin(&one, (struct sluice_type){SLUICE_TYPE_TIMESTAMP_US_UTC, 0, 0, 8}, NULL, NULL);
    sluice_column_put_i64(c, INT64_C(1795395154120000));
    expect(&one, "2026-11-23 00:52:34.12+00", "\"2026-11-23 00:52:34.12+00\"");
    c = begin(&one, (struct sluice_type){SLUICE_TYPE_INTERVAL, 0, 0, 16}, NULL, NULL);
    sluice_column_put_interval(c, 14, -3, INT64_C(-3661500000000));
    expect(&one, "14 mons -3 days -01:01:01.5", "\"14 mons -3 days -01:01:01.5\"");
}

static void text_and_binary(void **state)
{
    (void)state;
    struct one one;
    struct sluice_column *c =
        begin(&one, (struct sluice_type){SLUICE_TYPE_UTF8, 0, 0, 0}, NULL, NULL);
    assert_int_equal(sluice_column_put_bytes(c, "a\"\\\n\x7fä", 7, &one.err), SLUICE_OK);
    expect(&one, "a\"\\\n\x7fä", "\"a\\\"\\\\\\u000a\\u007fä\"");
    c = begin(&one, (struct sluice_type){SLUICE_TYPE_BINARY, 0, 0, 0}, NULL, NULL);
    assert_int_equal(sluice_column_put_bytes(c, "\x00\xff\x10", 3, &one.err), SLUICE_OK);
    expect(&one, "\\x00ff10", "\"AP8Q\"");
    c = begin(&one, (struct sluice_type){SLUICE_TYPE_BINARY, 0, 0, 0}, NULL, NULL);
    assert_int_equal(sluice_column_put_bytes(c, "fo", 2, &one.err), SLUICE_OK);
    expect(&one, "\\x666f", "\"Zm8=\"");
    c = begin(&one, (struct sluice_type){SLUICE_TYPE_FIXED_BINARY, 0, 0, 16},
              "ARROW:extension:name", "arrow.uuid");
    sluice_column_put_fixed(c, "\x12\x34\x56\x78\x9a\xbc\xde\xf0\x11\x22\x33\x44\x55\x66\x77\x88");
    expect(&one, "12345678-9abc-def0-1122-334455667788",
           "\"12345678-9abc-def0-1122-334455667788\"");
}

static void long_text_is_cut_at_a_character(void **state)
{
    (void)state;
    struct one one;
    struct sluice_str out = SLUICE_STR_INIT;
    struct sluice_column *c =
        begin(&one, (struct sluice_type){SLUICE_TYPE_UTF8, 0, 0, 0}, NULL, NULL);
    assert_int_equal(sluice_column_put_bytes(c, "aaaä€zzz", 10, &one.err), SLUICE_OK);
    one.rows.rows = 1;
    assert_int_equal(sluice_rows_finish(&one.rows, &one.array, &one.err), SLUICE_OK);
    assert_int_equal(sluice_views_init(&one.schema, &one.array, &one.view, &one.err), SLUICE_OK);
    sluice_cli_cell_text(&one.view, 0, 7, &out);
    expect_text(&out, "aaaä…");
    sluice_array_release(&one.array);
    sluice_rows_free(&one.rows);
    sluice_schema_release(&one.schema);
}

int run_cell_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_and_bool),
        cmocka_unit_test(floats),
        cmocka_unit_test(decimals),
        cmocka_unit_test(wide_decimals),
        cmocka_unit_test(dates_and_times),
        cmocka_unit_test(text_and_binary),
        cmocka_unit_test(long_text_is_cut_at_a_character),
    };
    return cmocka_run_group_tests_name("cli cell", tests, NULL, NULL);
}
