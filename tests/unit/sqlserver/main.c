/* plugins/sources/sqlserver and plugins/sinks/sqlserver without a server: positions, times, values as literals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lsn.h"
#include "sluice/array.h"
#include "sluice/build.h"
#include "sqlserver/value.h"
#include "tracking.h"

/* ---- positions ---- */

static void lsn_texts(void **state)
{
    static const char text[] = "00000027:00000ac0:0002";
    struct ms_lsn lsn;
    struct ms_lsn other;
    char out[MS_LSN_TEXT];
    char literal[MS_LSN_LITERAL];
    (void)state;
    assert_true(ms_lsn_parse(text, &lsn));
    ms_lsn_format(&lsn, out);
    assert_string_equal(out, text);
    ms_lsn_literal(&lsn, literal);
    assert_string_equal(literal, "0x0000002700000ac00002");
    assert_true(ms_lsn_parse(literal, &other));
    assert_int_equal(ms_lsn_compare(&lsn, &other), 0);
    static const char *const bad[] = {"",
                                      "0x",
                                      "00000027:00000ac0:000",
                                      "00000027:00000ac0-0002",
                                      "0x0000002700000ac0000",
                                      "0x0000002700000ac0000g",
                                      "16/B374D848"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(ms_lsn_parse(bad[i], &other));
    }
}

/* Versions of change tracking: they sort as numbers, a mark stands behind its version and before the next one. */
static void versions(void **state)
{
    static const int64_t ascending[] = {0, 1, 255, 256, 4294967296, 72057594037927935};
    struct ms_lsn last = {{0}};
    struct ms_lsn other;
    int64_t version = -1;
    char text[MS_LSN_TEXT];
    (void)state;
    assert_false(ms_version_take(&last, &version));
    for (size_t i = 0; i < sizeof ascending / sizeof ascending[0]; i++) {
        struct ms_lsn at = ms_version_make(ascending[i]);
        const struct ms_instance begun = {.is_table = 1, .begin_version = ascending[i]};
        const struct ms_instance later = {.is_table = 1, .begin_version = ascending[i] + 1};
        const struct ms_instance captured = {.begin_version = ascending[i]};
        assert_true(ms_lsn_compare(&last, &at) < 0);
        ms_version_format(&at, text);
        assert_true(ms_version_parse(text, &other));
        assert_int_equal(ms_lsn_compare(&at, &other), 0);
        ms_version_mark(&at, &later);
        ms_version_mark(&at, &captured);
        assert_false(ms_version_is_marked(&at));
        ms_version_mark(&at, &begun);
        assert_true(ms_version_is_marked(&at));
        assert_true(ms_version_take(&at, &version));
        assert_int_equal(version, ascending[i]);
        ms_version_join(&last, &at);
        assert_true(i == 0 || ms_version_is_marked(&last)); /* of another version: as it was */
        ms_version_join(&other, &at);
        assert_int_equal(ms_lsn_compare(&at, &other), 0);
        last = at;
    }
    assert_true(ms_version_parse("43540000000000000900", &other));
    assert_true(ms_version_take(&other, &version));
    assert_int_equal(version, 9);
    assert_false(ms_version_parse("00000027:00000ac0:0002", &other));
    assert_false(ms_version_parse("00000027000000000900", &other));
    assert_false(ms_version_parse("", &other));
    assert_false(ms_version_parse("-1", &other));
    assert_true(ms_lsn_parse("0000002700000ac00002", &other));
    assert_false(ms_version_take(&other, &version));
}

static void lsn_neighbours(void **state)
{
    struct ms_lsn lsn;
    struct ms_lsn was;
    (void)state;
    assert_true(ms_lsn_parse("00000027:ffffffff:ffff", &lsn));
    was = lsn;
    ms_lsn_increment(&lsn);
    assert_true(ms_lsn_compare(&lsn, &was) > 0);
    char out[MS_LSN_TEXT];
    ms_lsn_format(&lsn, out);
    assert_string_equal(out, "00000028:00000000:0000");
    ms_lsn_decrement(&lsn);
    assert_int_equal(ms_lsn_compare(&lsn, &was), 0);
    lsn = (struct ms_lsn){{0}};
    ms_lsn_decrement(&lsn);
    assert_true(ms_lsn_is_zero(&lsn));
    assert_false(ms_lsn_take((struct sluice_bytes){was.bytes, 9}, &lsn));
    assert_false(ms_lsn_take((struct sluice_bytes){NULL, 0}, &lsn));
}

static void times(void **state)
{
    int64_t us = 0;
    int64_t zone = 0;
    int has_zone = 0;
    (void)state;
    assert_true(ms_time_parse("2026-11-27 09:20:00.1234567 +02:00", &us, &has_zone, &zone));
    assert_int_equal(us, 1795764000123456);
    assert_int_equal(zone, 7200000000);
    assert_true(has_zone);
    assert_true(ms_time_parse("2026-11-27T07:20:00Z", &us, &has_zone, &zone));
    assert_int_equal(us, 1795764000000000);
    assert_true(ms_time_parse("1970-01-01 00:00:00", &us, &has_zone, &zone));
    assert_false(has_zone);
    assert_int_equal(us, 0);
    static const char *const bad[] = {"",
                                      "2026-11-27",
                                      "2026-13-01 00:00:00",
                                      "2026-01-01 24:00:00",
                                      "yesterday",
                                      "2026-01-01 00:00:00+2",
                                      "2026-01-01 00:00:00 +15:00"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(ms_time_parse(bad[i], &us, &has_zone, &zone));
    }
    /* datetime: 1900-01-02 00:00:00.003, .007 and .997 */
    const struct {
        int32_t days;
        uint32_t ticks;
        int64_t us;
    } cases[] = {{1, 1, 3000}, {1, 2, 7000}, {1, 299, 997000}};
    for (size_t i = 0; i < 3; i++) {
        const uint32_t raw[2] = {(uint32_t)cases[i].days, cases[i].ticks};
        assert_int_equal(ms_datetime_us((struct sluice_bytes){raw, 8}),
                         -25566ll * 86400000000 + cases[i].us);
    }
}

/* ---- values ---- */

struct made {
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    struct sluice_view view;
    struct mssink_type type;
    struct mssink_encoder encoder;
};

static void begin(struct made *m, int32_t id, int32_t precision, int32_t scale, int32_t width)
{
    const struct sluice_type type = {id, precision, scale, width};
    memset(m, 0, sizeof *m);
    assert_int_equal(sluice_schema_init(&m->schema, 1, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&m->schema, 0, "c", &type, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_init(&m->rows, &m->schema, 4, NULL), SLUICE_OK);
}

static void target(struct made *m, const char *name, int32_t length, int32_t precision,
                   int32_t scale)
{
    sluice_rows_end_row(&m->rows);
    assert_int_equal(sluice_rows_finish(&m->rows, &m->array, NULL), SLUICE_OK);
    assert_int_equal(sluice_views_init(&m->schema, &m->array, &m->view, NULL), SLUICE_OK);
    mssink_type_make(name, length, precision, scale, 1252, &m->type);
    assert_int_equal(mssink_encoder_make(&m->type, "c", m->schema.children[0], &m->encoder, NULL),
                     SLUICE_OK);
    m->encoder.view = m->view;
}

static void end(struct made *m)
{
    sluice_array_release(&m->array);
    sluice_schema_release(&m->schema);
    sluice_rows_free(&m->rows);
}

/* The literal of the value, or of its refusal NULL. */
static void expect(struct made *m, const char *literal)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct mssink_text out = {0};
    size_t size = 0;
    uint8_t *room = malloc(mssink_encoder_room(&m->encoder, 0));
    assert_non_null(room);
    const sluice_status status = mssink_encode(&m->encoder, 0, room, &size, &err);
    if (literal == NULL) {
        assert_int_equal(status, SLUICE_E_DATA);
        assert_true((err.flags & SLUICE_ERROR_ROW_LEVEL) != 0);
    }
    else {
        assert_int_equal(status, SLUICE_OK);
        assert_true(size <= mssink_encoder_room(&m->encoder, 0));
        mssink_literal(&m->type, (struct sluice_bytes){room, size}, &out);
        assert_string_equal(out.data, literal);
    }
    mssink_text_free(&out);
    free(room);
    end(m);
}

static void integers(void **state)
{
    struct made m;
    static const struct {
        int64_t value;
        const char *name;
        const char *literal;
    } cases[] = {{255, "tinyint", "255"},   {256, "tinyint", NULL},
                 {-1, "tinyint", NULL},     {-32768, "smallint", "-32768"},
                 {32768, "smallint", NULL}, {INT32_MIN, "int", "-2147483648"},
                 {2147483648, "int", NULL}, {INT64_MIN, "bigint", "-9223372036854775808"},
                 {1, "bit", "1"},           {2, "bit", NULL},
                 {-7, "nvarchar", "N'-7'"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(&m, SLUICE_TYPE_INT64, 0, 0, 8);
        sluice_column_put_i64(&m.rows.columns[0], cases[i].value);
        target(&m, cases[i].name, 40, 0, 0);
        expect(&m, cases[i].literal);
    }
}

static void decimals(void **state)
{
    struct made m;
    static const struct {
        int64_t value;
        const char *name;
        int32_t precision;
        int32_t scale;
        const char *literal;
    } cases[] = {{-12345, "decimal", 10, 2, "CAST(N'-123.45' AS decimal(10,2))"},
                 {12345, "decimal", 10, 4, "CAST(N'123.4500' AS decimal(10,4))"},
                 {12345, "decimal", 10, 1, NULL},
                 {12345, "decimal", 4, 2, NULL},
                 {0, "decimal", 38, 0, "CAST(N'0' AS decimal(38,0))"},
                 {5, "decimal", 3, 3, "CAST(N'0.050' AS decimal(3,3))"},
                 {-5, "money", 19, 4, "CAST(N'-0.0500' AS money)"},
                 {INT64_MAX, "money", 19, 4, NULL},
                 {21474836, "smallmoney", 10, 4, "CAST(N'214748.3600' AS smallmoney)"},
                 {21474837, "smallmoney", 10, 4, NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(&m, SLUICE_TYPE_DECIMAL128, 19, 2, 16);
        sluice_column_put_decimal64(&m.rows.columns[0], cases[i].value);
        target(&m, cases[i].name, 0, cases[i].precision, cases[i].scale);
        expect(&m, cases[i].literal);
    }
}

static void texts(void **state)
{
    struct made m;
    static const struct {
        const char *value;
        const char *name;
        int32_t length;
        const char *literal;
    } cases[] = {{"", "nvarchar", 40, "N''"},
                 {"it's", "nvarchar", -1, "N'it''s'"},
                 {"h\xc3\xa9\xf0\x9f\x98\x80", "nvarchar", 8, "N'h\xc3\xa9\xf0\x9f\x98\x80'"},
                 {"h\xc3\xa9\xf0\x9f\x98\x80", "nvarchar", 6, NULL},
                 {"\xff", "nvarchar", -1, NULL},
                 {"it's", "varchar", 4, "'it''s'"},
                 {"\xc3\xa9", "varchar", 1, "N'\xc3\xa9'"},
                 {"\xd0\x96", "varchar", 9, NULL}, /* not in code page 1252 */
                 {"abcde", "varchar", 4, NULL},
                 {"2024-02-29T23:59:59.1234567+05:30", "datetimeoffset", 10,
                  "CAST(N'2024-02-29T23:59:59.1234567+05:30' AS datetimeoffset(7))"},
                 {"0001-01-01 00:00:00.0000001", "datetime2", 8,
                  "CAST(N'0001-01-01T00:00:00.0000001' AS datetime2(7))"},
                 {"23:59:59.9999999", "time", 5, "CAST(N'23:59:59.9999999' AS time(7))"},
                 {"24:00:00", "time", 5, NULL},
                 {"2024-02-29", "datetime2", 8, NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(&m, SLUICE_TYPE_UTF8, 0, 0, 0);
        assert_int_equal(sluice_column_put_bytes(&m.rows.columns[0], cases[i].value,
                                                 strlen(cases[i].value), NULL),
                         SLUICE_OK);
        target(&m, cases[i].name, cases[i].length, 0, 7);
        expect(&m, cases[i].literal);
    }
    for (int wide = 0; wide < 2; wide++) {
        begin(&m, SLUICE_TYPE_UTF8, 0, 0, 0); /* a NUL ends no statement */
        assert_int_equal(sluice_column_put_bytes(&m.rows.columns[0], "a\0b", 3, NULL), SLUICE_OK);
        target(&m, wide ? "nvarchar" : "varchar", -1, 0, 0);
        expect(&m, "CAST(0x610000006200 AS nvarchar(max))");
    }
}

static void moments(void **state)
{
    struct made m;
    static const struct {
        int64_t value;
        const char *name;
        int32_t scale;
        const char *literal;
    } cases[] = {
        {-1, "datetime2", 6, "CAST(N'1969-12-31T23:59:59.999999' AS datetime2(6))"},
        {1, "datetime2", 3, NULL},
        {1000, "datetime2", 3, "CAST(N'1970-01-01T00:00:00.001' AS datetime2(3))"},
        {INT64_MAX, "datetime2", 6, NULL},
        {INT64_MIN, "datetime2", 6, NULL},
        {0, "datetimeoffset", 0, "CAST(N'1970-01-01T00:00:00+00:00' AS datetimeoffset(0))"},
        {3000, "datetime", 3, "CAST(N'1970-01-01T00:00:00.003' AS datetime)"},
        {1000, "datetime", 3, NULL},
        {-6847804800000001, "datetime", 3, NULL}, /* 1752-12-31 */
        {60000000, "smalldatetime", 0, "CAST(N'1970-01-01T00:01:00' AS smalldatetime)"},
        {1000000, "smalldatetime", 0, NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(&m, SLUICE_TYPE_TIMESTAMP_US, 0, 0, 8);
        sluice_column_put_i64(&m.rows.columns[0], cases[i].value);
        target(&m, cases[i].name, 8, 0, cases[i].scale);
        expect(&m, cases[i].literal);
    }
}

static void quoting(void **state)
{
    struct mssink_text t = {0};
    (void)state;
    mssink_text_table(&t, "x]y", "it's [z]");
    mssink_text_add(&t, " ");
    mssink_text_literal(&t, "it''s ]");
    mssink_text_add(&t, " ");
    mssink_text_bytes(&t, (struct sluice_bytes){"\0\xff", 2});
    mssink_text_add(&t, " ");
    mssink_text_literal(&t, NULL);
    assert_string_equal(t.data, "[x]]y].[it's [z]]] N'it''''s ]' 0x00ff NULL");
    mssink_text_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lsn_texts), cmocka_unit_test(lsn_neighbours), cmocka_unit_test(times),
        cmocka_unit_test(integers),  cmocka_unit_test(decimals),       cmocka_unit_test(texts),
        cmocka_unit_test(moments),   cmocka_unit_test(quoting),        cmocka_unit_test(versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
