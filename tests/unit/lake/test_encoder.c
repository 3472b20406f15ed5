/* Whole rows: every type in both formats, nulls, offsets, nesting, wide tables. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "support.h"

static const struct test_field all_fields[] = {
    {"b", "b", {NULL}},
    {"i8", "c", {NULL}},
    {"i16", "s", {NULL}},
    {"i32", "i", {NULL}},
    {"i64", "l", {NULL}},
    {"oid", "I", {"sluice:native_type", "oid"}},
    {"u32", "I", {NULL}},
    {"u64", "L", {NULL}},
    {"f4", "f", {NULL}},
    {"f8", "g", {NULL}},
    {"num", "d:15,2", {"sluice:special", "1"}},
    {"big", "d:76,10,256", {"sluice:special", "1"}},
    {"text", "u", {NULL}},
    {"bin", "z", {NULL}},
    {"uuid", "w:16", {"ARROW:extension:name", "arrow.uuid"}},
    {"fix", "w:3", {NULL}},
    {"d", "tdD", {"sluice:special", "1"}},
    {"t", "ttu", {NULL}},
    {"ts", "tsu:", {"sluice:special", "1"}},
    {"tz", "tsu:UTC", {"sluice:special", "1"}},
    {"iv", "tin", {NULL}},
    {"js", "u", {"ARROW:extension:name", "arrow.json"}},
    {"arr", "u", {"sluice:text", "[s,]"}},
    {NULL, NULL, {NULL}}};

static void put_text(struct sluice_column *col, const char *text)
{
    assert_int_equal(sluice_column_put_bytes(col, text, strlen(text), NULL), SLUICE_OK);
}

static void put_all(struct sluice_rows *rows)
{
    struct sluice_column *c = rows->columns;
    static const uint8_t uuid[16] = {0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8,
                                     0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a, 0x11};
    uint8_t wide[32] = {0x15, 0xcd, 0x5b, 0x07};
    sluice_column_put_bool(&c[0], 1);
    sluice_column_put_i8(&c[1], -128);
    sluice_column_put_i16(&c[2], -32768);
    sluice_column_put_i32(&c[3], INT32_MIN);
    sluice_column_put_i64(&c[4], INT64_MIN);
    sluice_column_put_u32(&c[5], 4294967295u);
    sluice_column_put_u32(&c[6], 4294967295u);
    sluice_column_put_u64(&c[7], UINT64_MAX);
    sluice_column_put_f32(&c[8], 0.1f);
    sluice_column_put_f64(&c[9], 1e15);
    sluice_column_put_decimal64(&c[10], -12345);
    sluice_column_put_fixed(&c[11], wide);
    put_text(&c[12], "a \"quoted\", text\n");
    assert_int_equal(sluice_column_put_bytes(&c[13], "\xde\xad\xbe\xef", 4, NULL), SLUICE_OK);
    sluice_column_put_fixed(&c[14], uuid);
    sluice_column_put_fixed(&c[15], "\x01\x02\xff");
    sluice_column_put_i32(&c[16], 19724);
    sluice_column_put_i64(&c[17], INT64_C(86400000000));
    sluice_column_put_i64(&c[18], INT64_C(1704164645600000));
    sluice_column_put_i64(&c[19], INT64_C(1704164645000000));
    sluice_column_put_interval(&c[20], 14, -3, INT64_C(14706700000000));
    put_text(&c[21], "{\"a\":\n1.10}");
    put_text(&c[22], "{a,\"b c\",NULL}");
    sluice_rows_end_row(rows);
}

static void put_special(struct sluice_rows *rows)
{
    struct sluice_column *c = rows->columns;
    uint8_t nan[32] = {0};
    nan[15] = 0x80;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(sluice_column_put_null(&c[i], NULL), SLUICE_OK);
    }
    sluice_column_put_f32(&c[8], (float)NAN);
    sluice_column_put_f64(&c[9], (double)-INFINITY);
    sluice_column_put_fixed(&c[10], nan);
    nan[15] = 0;
    nan[31] = 0x80;
    sluice_column_put_fixed(&c[11], nan);
    put_text(&c[12], "");
    put_text(&c[13], "");
    assert_int_equal(sluice_column_put_null(&c[14], NULL), SLUICE_OK);
    assert_int_equal(sluice_column_put_null(&c[15], NULL), SLUICE_OK);
    sluice_column_put_i32(&c[16], INT32_MAX);
    sluice_column_put_i64(&c[17], 0);
    sluice_column_put_i64(&c[18], INT64_MIN);
    sluice_column_put_i64(&c[19], INT64_MAX);
    sluice_column_put_interval(&c[20], 0, 0, 0);
    assert_int_equal(sluice_column_put_null(&c[21], NULL), SLUICE_OK);
    assert_int_equal(sluice_column_put_null(&c[22], NULL), SLUICE_OK);
    sluice_rows_end_row(rows);
}

static void make_all(struct ArrowSchema *schema, struct ArrowArray *array)
{
    struct sluice_rows rows;
    test_schema(schema, all_fields);
    assert_int_equal(sluice_rows_init(&rows, schema, 2, NULL), SLUICE_OK);
    put_all(&rows);
    put_special(&rows);
    assert_int_equal(sluice_rows_finish(&rows, array, NULL), SLUICE_OK);
    sluice_rows_free(&rows);
}

static void check_all(int32_t format, int32_t binary, int32_t header, const char *want)
{
    struct ArrowSchema schema;
    struct ArrowArray array;
    struct sluice_error err = SLUICE_ERROR_INIT;
    make_all(&schema, &array);
    char *got = test_render(&schema, &array, format, binary, header, &err);
    assert_string_equal(err.message, "");
    assert_string_equal(got, want);
    free(got);
    sluice_array_release(&array);
    sluice_schema_release(&schema);
}

#define JSON_FIRST(bin, fix)                                                                     \
    "{\"b\":true,\"i8\":-128,\"i16\":-32768,\"i32\":-2147483648,\"i64\":-9223372036854775808,"   \
    "\"oid\":\"4294967295\",\"u32\":4294967295,\"u64\":18446744073709551615,\"f4\":0.1,"         \
    "\"f8\":1e+15,\"num\":-123.45,\"big\":0.0123456789,\"text\":\"a \\\"quoted\\\", text\\n\","  \
    "\"bin\":\"" bin "\",\"uuid\":\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\",\"fix\":\"" fix "\"," \
    "\"d\":\"2024-01-02\",\"t\":\"24:00:00\",\"ts\":\"2024-01-02T03:04:05.6\","                  \
    "\"tz\":\"2024-01-02T03:04:05+00:00\",\"iv\":\"1 year 2 mons -3 days +04:05:06.7\","         \
    "\"js\":{\"a\": 1.10},\"arr\":[\"a\",\"b c\",null]}\n"
#define JSON_SECOND(bin)                                                                        \
    "{\"b\":null,\"i8\":null,\"i16\":null,\"i32\":null,\"i64\":null,\"oid\":null,\"u32\":null," \
    "\"u64\":null,\"f4\":\"NaN\",\"f8\":\"-Infinity\",\"num\":\"NaN\",\"big\":\"NaN\","         \
    "\"text\":\"\",\"bin\":\"" bin "\",\"uuid\":null,\"fix\":null,\"d\":\"infinity\","          \
    "\"t\":\"00:00:00\",\"ts\":\"-infinity\",\"tz\":\"infinity\",\"iv\":\"00:00:00\","          \
    "\"js\":null,\"arr\":null}\n"

static void json_all_types(void **state)
{
    (void)state;
    check_all(SLUICE_LAKE_JSONL, SLUICE_LAKE_BASE64, 1,
              JSON_FIRST("3q2+7w==", "AQL/") JSON_SECOND(""));
    check_all(SLUICE_LAKE_JSONL, SLUICE_LAKE_HEX, 0,
              JSON_FIRST("\\\\xdeadbeef", "\\\\x0102ff") JSON_SECOND("\\\\x"));
}

static void csv_all_types(void **state)
{
    (void)state;
    check_all(SLUICE_LAKE_CSV, SLUICE_LAKE_BASE64, 1,
              "b,i8,i16,i32,i64,oid,u32,u64,f4,f8,num,big,text,bin,uuid,fix,d,t,ts,tz,iv,js,arr\n"
              "t,-128,-32768,-2147483648,-9223372036854775808,4294967295,4294967295,"
              "18446744073709551615,0.1,1e+15,-123.45,0.0123456789,\"a \"\"quoted\"\", text\n\","
              "\\xdeadbeef,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,\\x0102ff,2024-01-02,24:00:00,"
              "2024-01-02 03:04:05.6,2024-01-02 03:04:05+00,1 year 2 mons -3 days +04:05:06.7,"
              "\"{\"\"a\"\":\n1.10}\",\"{a,\"\"b c\"\",NULL}\"\n"
              ",,,,,,,,NaN,-Infinity,NaN,NaN,\"\",\\x,,,infinity,00:00:00,-infinity,infinity,"
              "00:00:00,,\n");
}

/* A batch whose arrays start in the middle of their buffers gives the same rows. */
static void offsets_apply(void **state)
{
    struct ArrowSchema schema;
    struct ArrowArray array;
    struct sluice_error err = SLUICE_ERROR_INIT;
    (void)state;
    make_all(&schema, &array);
    array.offset = 1;
    array.length = 1;
    char *got = test_render(&schema, &array, SLUICE_LAKE_JSONL, 0, 0, &err);
    assert_string_equal(got, JSON_SECOND(""));
    free(got);
    sluice_array_release(&array);
    sluice_schema_release(&schema);
}

static void hostile_names(void **state)
{
    static const struct test_field fields[] = {{"a\"b", "i", {NULL}},
                                               {"c,\n\x01", "i", {NULL}},
                                               {"\xc3\xa9\xe2\x82\xac", "i", {NULL}},
                                               {NULL, NULL, {NULL}}};
    struct ArrowSchema schema;
    struct ArrowArray array;
    struct sluice_rows rows;
    struct sluice_error err = SLUICE_ERROR_INIT;
    (void)state;
    test_schema(&schema, fields);
    assert_int_equal(sluice_rows_init(&rows, &schema, 1, NULL), SLUICE_OK);
    for (int i = 0; i < 3; i++) {
        sluice_column_put_i32(&rows.columns[i], i);
    }
    sluice_rows_end_row(&rows);
    assert_int_equal(sluice_rows_finish(&rows, &array, NULL), SLUICE_OK);
    char *got = test_render(&schema, &array, SLUICE_LAKE_JSONL, 0, 0, &err);
    assert_string_equal(got, "{\"a\\\"b\":0,\"c,\\n\\u0001\":1,\"\xc3\xa9\xe2\x82\xac\":2}\n");
    free(got);
    got = test_render(&schema, &array, SLUICE_LAKE_CSV, 0, 1, &err);
    assert_string_equal(got, "\"a\"\"b\",\"c,\n\x01\",\xc3\xa9\xe2\x82\xac\n0,1,2\n");
    free(got);
    sluice_array_release(&array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

static void no_columns(void **state)
{
    static const struct test_field fields[] = {{NULL, NULL, {NULL}}};
    struct ArrowSchema schema;
    struct ArrowArray array;
    struct sluice_rows rows;
    struct sluice_error err = SLUICE_ERROR_INIT;
    (void)state;
    test_schema(&schema, fields);
    assert_int_equal(sluice_rows_init(&rows, &schema, 2, NULL), SLUICE_OK);
    sluice_rows_end_row(&rows);
    sluice_rows_end_row(&rows);
    assert_int_equal(sluice_rows_finish(&rows, &array, NULL), SLUICE_OK);
    char *got = test_render(&schema, &array, SLUICE_LAKE_JSONL, 0, 0, &err);
    assert_string_equal(got, "{}\n{}\n");
    free(got);
    assert_null(test_render(&schema, &array, SLUICE_LAKE_CSV, 0, 0, &err));
    assert_int_equal(err.status, SLUICE_E_UNSUPPORTED);
    sluice_array_release(&array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

/* 1,600 columns with long names: a row is larger than a chunk. */
static void wide_table(void **state)
{
    enum { COLUMNS = 1600, ROWS = 5 };
    static struct test_field fields[COLUMNS + 1];
    static char names[COLUMNS][128];
    struct ArrowSchema schema;
    struct ArrowArray array;
    struct sluice_rows rows;
    struct sluice_error err = SLUICE_ERROR_INIT;
    (void)state;
    for (int i = 0; i < COLUMNS; i++) {
        (void)snprintf(names[i], sizeof names[i], "%0100d", i);
        fields[i] = (struct test_field){names[i], i % 2 ? "u" : "d:38,10", {NULL}};
    }
    test_schema(&schema, fields);
    assert_int_equal(sluice_rows_init(&rows, &schema, ROWS, NULL), SLUICE_OK);
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < COLUMNS; i++) {
            if (i % 2) {
                put_text(&rows.columns[i], "x\"");
            }
            else {
                sluice_column_put_decimal64(&rows.columns[i], r);
            }
        }
        sluice_rows_end_row(&rows);
    }
    assert_int_equal(sluice_rows_finish(&rows, &array, NULL), SLUICE_OK);
    char *got = test_render(&schema, &array, SLUICE_LAKE_JSONL, 0, 0, &err);
    assert_non_null(got);
    const char *p = got;
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < COLUMNS; i++) {
            char want[256];
            int n = i % 2
                        ? snprintf(want, sizeof want, "%s\"%s\":\"x\\\"\"", i ? "," : "{", names[i])
                        : snprintf(want, sizeof want, "%s\"%s\":0.000000000%d", i ? "," : "{",
                                   names[i], r);
            assert_memory_equal(p, want, (size_t)n);
            p += n;
        }
        assert_memory_equal(p, "}\n", 2);
        p += 2;
    }
    assert_int_equal(*p, 0);
    free(got);
    sluice_array_release(&array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

/* list<struct<a int32, b utf8>> */
static void nested(void **state)
{
    struct ArrowSchema schema;
    struct ArrowArray array;
    struct sluice_rows rows;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_type i32;
    struct sluice_type utf8;
    (void)state;
    assert_int_equal(sluice_type_parse("i", &i32, NULL), SLUICE_OK);
    assert_int_equal(sluice_type_parse("u", &utf8, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_init(&schema, 2, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&schema, 0, "id", &i32, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set_nested(&schema, 1, "l", SLUICE_TYPE_LIST, 1, 1, NULL),
                     SLUICE_OK);
    struct ArrowSchema *list = schema.children[1];
    assert_int_equal(sluice_schema_set_nested(list, 0, "item", SLUICE_TYPE_STRUCT, 2, 1, NULL),
                     SLUICE_OK);
    struct ArrowSchema *item = list->children[0];
    assert_int_equal(sluice_schema_set(item, 0, "a", &i32, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(item, 1, "b", &utf8, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_init(&rows, &schema, 4, NULL), SLUICE_OK);
    struct sluice_column *c = rows.columns;
    struct sluice_column *s = &c[1].children[0];
    for (int r = 0; r < 3; r++) {
        sluice_column_put_i32(&c[0], r);
        for (int i = 0; i < r; i++) {
            if (i == 1) {
                assert_int_equal(sluice_column_put_null(s, NULL), SLUICE_OK);
                continue;
            }
            sluice_column_put_i32(&s->children[0], r * 10 + i);
            put_text(&s->children[1], "x,");
            sluice_column_end_struct(s);
        }
        assert_int_equal(sluice_column_end_list(&c[1], NULL), SLUICE_OK);
        sluice_rows_end_row(&rows);
    }
    sluice_column_put_i32(&c[0], 3);
    assert_int_equal(sluice_column_put_null(&c[1], NULL), SLUICE_OK);
    sluice_rows_end_row(&rows);
    assert_int_equal(sluice_rows_finish(&rows, &array, NULL), SLUICE_OK);
    char *got = test_render(&schema, &array, SLUICE_LAKE_JSONL, 0, 0, &err);
    assert_string_equal(got, "{\"id\":0,\"l\":[]}\n{\"id\":1,\"l\":[{\"a\":10,\"b\":\"x,\"}]}\n"
                             "{\"id\":2,\"l\":[{\"a\":20,\"b\":\"x,\"},null]}\n"
                             "{\"id\":3,\"l\":null}\n");
    free(got);
    got = test_render(&schema, &array, SLUICE_LAKE_CSV, 0, 0, &err);
    assert_string_equal(got, "0,[]\n1,\"[{\"\"a\"\":10,\"\"b\"\":\"\"x,\"\"}]\"\n"
                             "2,\"[{\"\"a\"\":20,\"\"b\"\":\"\"x,\"\"},null]\"\n3,\n");
    free(got);
    sluice_array_release(&array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

int run_encoder_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_all_types), cmocka_unit_test(csv_all_types),
        cmocka_unit_test(offsets_apply),  cmocka_unit_test(hostile_names),
        cmocka_unit_test(no_columns),     cmocka_unit_test(wide_table),
        cmocka_unit_test(nested)};
    return cmocka_run_group_tests_name("lake encoder", tests, NULL, NULL);
}
