/* COPY's binary stream: framing, torn and hostile input. */
#include "pg/decode.h"

#include "sluice/array.h"
#include "sluice/view.h"
#include "tests.h"

#define HEADER               \
    "5047434f50590aff0d0a00" \
    "00000000"               \
    "00000000"

struct table {
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct sluice_pg_decoder decoders[2];
    struct sluice_pg_copy copy;
};

static void table_make(struct table *t)
{
    struct sluice_type i32 = {SLUICE_TYPE_INT32, 0, 0, 4};
    struct sluice_type utf8 = {SLUICE_TYPE_UTF8, 0, 0, 0};
    memset(t, 0, sizeof *t);
    assert_int_equal(sluice_schema_init(&t->schema, 2, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&t->schema, 0, "id", &i32, 0, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&t->schema, 1, "name", &utf8, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_init(&t->rows, &t->schema, 8, NULL), SLUICE_OK);
    const int32_t kinds[2] = {SLUICE_PG_DECODE_INT32, SLUICE_PG_DECODE_TEXT};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sluice_pg_decoder_init(&t->decoders[i], kinds[i], &t->rows.columns[i],
                                                t->schema.children[i]->name, 0, NULL),
                         SLUICE_OK);
    }
    t->copy.decoders = t->decoders;
    t->copy.count = 2;
}

static void table_free(struct table *t)
{
    sluice_rows_free(&t->rows);
    sluice_schema_release(&t->schema);
}

static sluice_status feed(struct table *t, const char *hex, struct sluice_error *err)
{
    uint8_t bytes[256];
    size_t size = pg_test_unhex(hex, bytes, sizeof bytes);
    return sluice_pg_copy_message(&t->copy, &t->rows, bytes, size, err);
}

static void whole_stream(void **state)
{
    (void)state;
    struct table t;
    struct ArrowArray array;
    struct sluice_view views[2];
    table_make(&t);
    assert_int_equal(feed(&t,
                          HEADER "0002"
                                 "00000004"
                                 "00000007"
                                 "00000002"
                                 "6869",
                          NULL),
                     SLUICE_OK);
    assert_int_equal(feed(&t,
                          "0002"
                          "00000004"
                          "fffffffe"
                          "ffffffff",
                          NULL),
                     SLUICE_OK);
    assert_int_equal(feed(&t,
                          "0002"
                          "00000004"
                          "00000000"
                          "00000000",
                          NULL),
                     SLUICE_OK);
    assert_int_equal(feed(&t, "ffff", NULL), SLUICE_END);
    assert_int_equal(t.rows.rows, 3);
    assert_int_equal(sluice_rows_finish(&t.rows, &array, NULL), SLUICE_OK);
    assert_int_equal(sluice_array_check(&t.schema, &array, SLUICE_CHECK_FULL, NULL), SLUICE_OK);
    assert_int_equal(sluice_views_init(&t.schema, &array, views, NULL), SLUICE_OK);
    assert_int_equal(sluice_view_i32(&views[0], 1), -2);
    assert_true(sluice_view_is_null(&views[1], 1));
    assert_false(sluice_view_is_null(&views[1], 2)); /* empty is not NULL */
    assert_int_equal(sluice_view_bytes(&views[1], 2).size, 0);
    sluice_array_release(&array);
    table_free(&t);
}

static void empty_stream(void **state)
{
    (void)state;
    struct table t;
    table_make(&t);
    assert_int_equal(feed(&t, HEADER "ffff", NULL), SLUICE_END);
    assert_int_equal(feed(&t, "ffff", NULL), SLUICE_E_DATA);
    table_free(&t);
    table_make(&t);
    assert_int_equal(feed(&t, HEADER, NULL), SLUICE_AGAIN);
    assert_int_equal(feed(&t, "ffff", NULL), SLUICE_END);
    table_free(&t);
    table_make(&t); /* a header extension is skipped */
    assert_int_equal(feed(&t,
                          "5047434f50590aff0d0a00"
                          "00000000"
                          "00000002"
                          "abcd"
                          "ffff",
                          NULL),
                     SLUICE_END);
    table_free(&t);
}

static void bad_streams(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        sluice_status expected;
        const char *message;
    } cases[] = {
        {"", SLUICE_E_DATA, "header"},
        {"5047434f50590aff0d0a01"
         "00000000"
         "00000000",
         SLUICE_E_DATA, "header"},
        {"5047434f50590aff0d0a00"
         "00010000"
         "00000000",
         SLUICE_E_DATA, "header"},
        {"5047434f50590aff0d0a00"
         "00000000"
         "00000001",
         SLUICE_E_DATA, "header"},
        {HEADER "00", SLUICE_E_DATA, "torn"},
        {HEADER "0001"
                "00000004"
                "00000007",
         SLUICE_E_SCHEMA, "1 columns where 2"},
        {HEADER "0003", SLUICE_E_SCHEMA, "3 columns"},
        {HEADER "0002"
                "0000",
         SLUICE_E_DATA, "torn"},
        {HEADER "0002"
                "00000004"
                "0000",
         SLUICE_E_DATA, "torn"},
        {HEADER "0002"
                "00000004"
                "00000007"
                "7fffffff"
                "61",
         SLUICE_E_DATA, "torn"},
        {HEADER "0002"
                "00000004"
                "00000007"
                "fffffffe"
                "61",
         SLUICE_E_DATA, "torn"},
        {HEADER "0002"
                "00000004"
                "00000007"
                "00000001"
                "6162",
         SLUICE_E_DATA, "after the last"},
        {HEADER "0002"
                "00000002"
                "0007"
                "ffffffff",
         SLUICE_E_DATA, "column id"},
        {HEADER "0002"
                "ffffffff"
                "ffffffff",
         SLUICE_E_DATA, "NOT NULL"},
        {HEADER "ffff"
                "00",
         SLUICE_E_DATA, "after the trailer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct table t;
        struct sluice_error err = SLUICE_ERROR_INIT;
        table_make(&t);
        assert_int_equal(feed(&t, cases[i].hex, &err), cases[i].expected);
        if (strstr(err.message, cases[i].message) == NULL) {
            fail_msg("case %zu: %s", i, err.message);
        }
        assert_int_equal(t.rows.rows, 0);
        assert_int_equal(t.rows.columns[0].length, 0);
        assert_int_equal(t.rows.columns[1].length, 0);
        table_free(&t);
    }
}

static void no_columns(void **state)
{
    (void)state;
    struct table t;
    struct ArrowArray array;
    memset(&t, 0, sizeof t);
    assert_int_equal(sluice_schema_init(&t.schema, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_init(&t.rows, &t.schema, 8, NULL), SLUICE_OK);
    t.copy.decoders = t.decoders;
    assert_int_equal(feed(&t, HEADER "0000", NULL), SLUICE_OK);
    assert_int_equal(feed(&t, "0000", NULL), SLUICE_OK);
    assert_int_equal(feed(&t, "ffff", NULL), SLUICE_END);
    assert_int_equal(sluice_rows_finish(&t.rows, &array, NULL), SLUICE_OK);
    assert_int_equal(array.length, 2);
    sluice_array_release(&array);
    table_free(&t);
}

int pg_test_copy(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole_stream),
                                       cmocka_unit_test(empty_stream),
                                       cmocka_unit_test(bad_streams), cmocka_unit_test(no_columns)};
    return cmocka_run_group_tests_name("copy", tests, NULL, NULL);
}
