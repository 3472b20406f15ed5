/* plugins/common/tds without a server: types, values in db-lib's forms, quoting, configuration, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sybfront.h>

#include <sybdb.h>

#include "sluice/array.h"
#include "sluice/view.h"
#include "tds/column.h"
#include "tds/conn.h"
#include "tests.h"

struct made {
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    struct sluice_view view;
    struct sluice_tds_decoder decoder;
};

static void begin(struct made *m, const char *type, int32_t length, int32_t precision,
                  int32_t scale, int32_t fine)
{
    struct sluice_tds_column column = {
        .name = "c", .max_length = length, .precision = precision, .scale = scale, .nullable = 1};
    memset(m, 0, sizeof *m);
    (void)snprintf(column.type, sizeof column.type, "%s", type);
    assert_int_equal(
        sluice_tds_decoder_make(&column, &(struct sluice_tds_rules){fine, 0}, &m->decoder, NULL),
        SLUICE_OK);
    assert_int_equal(sluice_schema_init(&m->schema, 1, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&m->schema, 0, "c", &m->decoder.type, 1, NULL, 0, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_rows_init(&m->rows, &m->schema, 16, NULL), SLUICE_OK);
}

static sluice_status put(struct made *m, const void *data, uint64_t size, struct sluice_error *err)
{
    const sluice_status status =
        m->decoder.decode(&m->decoder, (struct sluice_bytes){data, size}, &m->rows.columns[0], err);
    if (status >= 0) {
        sluice_rows_end_row(&m->rows);
    }
    return status;
}

static void finish(struct made *m)
{
    assert_int_equal(sluice_rows_finish(&m->rows, &m->array, NULL), SLUICE_OK);
    assert_int_equal(sluice_views_init(&m->schema, &m->array, &m->view, NULL), SLUICE_OK);
}

static void end(struct made *m)
{
    if (m->array.release != NULL) {
        m->array.release(&m->array);
    }
    sluice_rows_free(&m->rows);
    sluice_schema_release(&m->schema);
}

static void text_is(const struct made *m, int64_t row, const char *want)
{
    const struct sluice_bytes b = sluice_view_bytes(&m->view, row);
    assert_int_equal(b.size, strlen(want));
    assert_memory_equal(b.data, want, b.size);
}

static void decimals(void **state)
{
    /* precision, scale, sign, then the magnitude: 12345.67 in five bytes, -10^38 + 1 in sixteen. */
    static const uint8_t small[35] = {9, 2, 0, 0x00, 0x12, 0xd6, 0x87};
    static const uint8_t large[35] = {38,   0,    1,    0x4b, 0x3b, 0x4c, 0xa8, 0x5a, 0x86, 0xc4,
                                      0x7a, 0x09, 0x8a, 0x22, 0x3f, 0xff, 0xff, 0xff, 0xff};
    struct made m;
    uint64_t words[2];
    (void)state;
    begin(&m, "decimal", 5, 9, 2, 0);
    assert_string_equal(m.decoder.native, "decimal(9,2)");
    assert_int_equal(put(&m, small, sizeof small, NULL), SLUICE_OK);
    assert_int_equal(put(&m, small, 2, NULL), SLUICE_E_DATA);
    finish(&m);
    memcpy(words, sluice_view_fixed(&m.view, 0), 16);
    assert_int_equal(words[0], 1234567);
    assert_int_equal(words[1], 0);
    end(&m);
    begin(&m, "numeric", 17, 38, 0, 0);
    assert_int_equal(put(&m, large, sizeof large, NULL), SLUICE_OK);
    finish(&m);
    memcpy(words, sluice_view_fixed(&m.view, 0), 16);
    /* 10^38 - 1 = 0x4b3b4ca85a86c47a098a223fffffffff, negated */
    assert_true(words[0] == 0u - 0x098a223fffffffffu);
    assert_true(words[1] == ~UINT64_C(0x4b3b4ca85a86c47a));
    end(&m);
}

static void money(void **state)
{
    static const uint8_t minus[8] = {0xff, 0xff, 0xff, 0xff, 0x68, 0xc5, 0xff, 0xff}; /* -1.5000 */
    static const uint8_t small[4] = {0x10, 0x27, 0, 0};                               /* 1.0000 */
    struct made m;
    int64_t low = 0;
    (void)state;
    begin(&m, "money", 8, 19, 4, 0);
    assert_int_equal(put(&m, minus, 8, NULL), SLUICE_OK);
    assert_int_equal(put(&m, small, 4, NULL), SLUICE_OK);
    assert_int_equal(put(&m, small, 3, NULL), SLUICE_E_DATA);
    finish(&m);
    memcpy(&low, sluice_view_fixed(&m.view, 0), 8);
    assert_int_equal(low, -15000);
    memcpy(&low, sluice_view_fixed(&m.view, 1), 8);
    assert_int_equal(low, 10000);
    end(&m);
}

static DBDATETIMEALL all_of(int32_t days_since_1900, uint64_t ticks, int16_t offset)
{
    DBDATETIMEALL all;
    memset(&all, 0, sizeof all);
    all.date = days_since_1900;
    all.time = ticks;
    all.offset = offset;
    return all;
}

static void times(void **state)
{
    const DBDATETIMEALL fine = all_of(45349, 452961234567u, 330); /* 2024-02-29 12:34:56.1234567 */
    const DBDATETIMEALL even = all_of(-693595, 10, 0);            /* 0001-01-01 00:00:00.000001 */
    const DBDATETIMEALL late = all_of(45349, 863990000000u, 330); /* in UTC; the next day there */
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct made m;
    (void)state;
    begin(&m, "datetime2", 8, 27, 7, SLUICE_TDS_FINE_FAIL);
    assert_int_equal(put(&m, &fine, sizeof fine, &err), SLUICE_E_DATA);
    assert_true((err.flags & SLUICE_ERROR_ROW_LEVEL) != 0);
    assert_non_null(strstr(err.message, "fine_times"));
    assert_int_equal(put(&m, &even, sizeof even, NULL), SLUICE_OK);
    finish(&m);
    assert_true(sluice_view_i64(&m.view, 0) == -62135596800000000ll + 1);
    end(&m);
    begin(&m, "datetime2", 8, 27, 7, SLUICE_TDS_FINE_TEXT);
    assert_int_equal(put(&m, &fine, sizeof fine, NULL), SLUICE_OK);
    finish(&m);
    text_is(&m, 0, "2024-02-29T12:34:56.1234567");
    end(&m);
    begin(&m, "datetimeoffset", 10, 34, 0, 0);
    assert_int_equal(put(&m, &late, sizeof late, NULL), SLUICE_OK);
    finish(&m);
    text_is(&m, 0, "2024-03-01T05:29:59+05:30");
    end(&m);
    begin(&m, "time", 5, 16, 7, SLUICE_TDS_FINE_TRUNCATE);
    assert_int_equal(put(&m, &fine, sizeof fine, NULL), SLUICE_OK);
    assert_int_equal(put(&m, &fine, 4, NULL), SLUICE_E_DATA);
    finish(&m);
    assert_true(sluice_view_i64(&m.view, 0) == 45296123456ll);
    end(&m);
}

static void datetimes(void **state)
{
    static const struct {
        uint32_t parts; /* 1/300 s */
        int64_t us;
    } cases[] = {{0, 0},     {1, 3000},     {2, 7000},
                 {3, 10000}, {299, 997000}, {25919999, 86399997000ll}};
    struct made m;
    (void)state;
    begin(&m, "datetime", 8, 23, 3, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int32_t value[2] = {25567, (int32_t)cases[i].parts}; /* 1970-01-01 */
        assert_int_equal(put(&m, value, sizeof value, NULL), SLUICE_OK);
    }
    finish(&m);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(sluice_view_i64(&m.view, (int64_t)i) == cases[i].us);
    }
    end(&m);
}

static void guids_and_others(void **state)
{
    static const uint8_t guid[16] = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
                                     0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    static const uint8_t want[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                     0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    struct sluice_tds_column odd = {.name = "g", .type = "geography"};
    struct sluice_tds_decoder d;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct made m;
    (void)state;
    begin(&m, "uniqueidentifier", 16, 0, 0, 0);
    assert_int_equal(put(&m, guid, 16, NULL), SLUICE_OK);
    assert_int_equal(put(&m, guid, 15, NULL), SLUICE_E_DATA);
    finish(&m);
    assert_memory_equal(sluice_view_fixed(&m.view, 0), want, 16);
    end(&m);
    begin(&m, "tinyint", 1, 3, 0, 0);
    assert_int_equal(put(&m, "\xff", 1, NULL), SLUICE_OK);
    assert_int_equal(put(&m, "\xff\0", 2, NULL), SLUICE_E_DATA);
    finish(&m);
    assert_int_equal(sluice_view_i16(&m.view, 0), 255);
    end(&m);
    begin(&m, "nvarchar", 40, 0, 0, 0);
    assert_string_equal(m.decoder.native, "nvarchar(20)");
    end(&m);
    begin(&m, "varchar", -1, 0, 0, 0);
    assert_string_equal(m.decoder.native, "varchar(max)");
    end(&m);
    assert_int_equal(
        sluice_tds_decoder_make(&odd, &(struct sluice_tds_rules){0, SLUICE_TDS_CLR_FAIL}, &d, &err),
        SLUICE_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "geography"));
}

static void quoting(void **state)
{
    char out[16];
    (void)state;
    assert_int_equal(sluice_tds_quote("a]b", out, sizeof out), 6);
    assert_string_equal(out, "[a]]b]");
    assert_int_equal(sluice_tds_quote("x'; DROP", out, sizeof out), 10);
    assert_string_equal(out, "[x'; DROP]");
    assert_int_equal(sluice_tds_quote("0123456789abcdef", out, sizeof out), 18);
    assert_int_equal(strlen(out), 15);
}

static void configuration(void **state)
{
    struct sluice_tds_settings s = {.host = "db1",
                                    .port = 1433,
                                    .encrypt = SLUICE_TDS_ENCRYPT_REQUIRE,
                                    .verify_host = 1,
                                    .password = "secret"};
    struct sluice_error err = SLUICE_ERROR_INIT;
    char out[1024];
    (void)state;
    assert_int_equal(sluice_tds_settings_conf(&s, out, sizeof out, NULL), SLUICE_OK);
    assert_non_null(strstr(out, "encryption = require\nca file = system\n"));
    assert_non_null(strstr(out, "check certificate hostname = yes\n"));
    assert_non_null(strstr(out, "tds version = 7.4\n"));
    assert_non_null(strstr(out, "port = 1433\n"));
    assert_null(strstr(out, "secret"));
    s.instance = "SQLEXPRESS";
    assert_int_equal(sluice_tds_settings_conf(&s, out, sizeof out, NULL), SLUICE_OK);
    assert_non_null(strstr(out, "instance = SQLEXPRESS\n"));
    assert_null(strstr(out, "port ="));
    assert_int_equal(sluice_tds_settings_conf(&s, out, 20, &err), SLUICE_E_LIMIT);
    assert_non_null(strstr(out, "[sluice]"));
}

static void configuration_of_choices(void **state)
{
    struct sluice_tds_settings s = {
        .host = "db1", .port = 1433, .encrypt = SLUICE_TDS_ENCRYPT_REQUEST};
    char out[1024];
    (void)state;
    assert_int_equal(sluice_tds_settings_conf(&s, out, sizeof out, NULL), SLUICE_OK);
    assert_non_null(strstr(out, "encryption = request\n"));
    assert_null(strstr(out, "ca file"));
    assert_non_null(strstr(out, "read-only intent = no\n"));
    s.ca_file = "/etc/ca.pem";
    s.application_intent = SLUICE_TDS_INTENT_READ_ONLY;
    assert_int_equal(sluice_tds_settings_conf(&s, out, sizeof out, NULL), SLUICE_OK);
    assert_non_null(strstr(out, "ca file = /etc/ca.pem\n"));
    assert_non_null(strstr(out, "read-only intent = yes\n"));
    s.encrypt = SLUICE_TDS_ENCRYPT_OFF;
    s.ca_file = NULL;
    assert_int_equal(sluice_tds_settings_conf(&s, out, sizeof out, NULL), SLUICE_OK);
    assert_non_null(strstr(out, "encryption = off\n"));
}

static void partners(void **state)
{
    static const char *const wrong[] = {
        "", ",1433", "b,", "b,0", "b,65536", "b,99999999999999999999", "b,1x"};
    struct sluice_tds_settings s = {.host = "a", .port = 1433, .instance = "X"};
    struct sluice_tds_settings p;
    char name[256];
    (void)state;
    s.failover_partner = "b";
    assert_int_equal(sluice_tds_settings_partner(&s, name, &p, NULL), SLUICE_OK);
    assert_string_equal(p.host, "b");
    assert_int_equal(p.port, 1433);
    assert_string_equal(p.instance, "X");
    s.failover_partner = "b.example,65535";
    assert_int_equal(sluice_tds_settings_partner(&s, name, &p, NULL), SLUICE_OK);
    assert_string_equal(p.host, "b.example");
    assert_int_equal(p.port, 65535);
    assert_null(p.instance);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        s.failover_partner = wrong[i];
        assert_int_equal(sluice_tds_settings_partner(&s, name, &p, NULL), SLUICE_E_INVALID);
    }
}

static void errors(void **state)
{
    static const struct {
        int32_t number;
        int32_t severity;
        sluice_status status;
        int again;
    } cases[] = {
        {18456, 14, SLUICE_E_AUTH, 0},        {4060, 11, SLUICE_E_NOT_FOUND, 0},
        {1205, 13, SLUICE_E_IO, 1},           {229, 14, SLUICE_E_PERMISSION, 0},
        {40613, 17, SLUICE_E_UNAVAILABLE, 1}, {823, 24, SLUICE_E_UNAVAILABLE, 1},
        {976, 14, SLUICE_E_UNAVAILABLE, 1},   {18487, 14, SLUICE_E_AUTH, 0},
        {49920, 16, SLUICE_E_UNAVAILABLE, 1}, {1222, 16, SLUICE_E_IO, 1},
        {50000, 16, SLUICE_E_IO, 0},          {0, 9, SLUICE_E_UNAVAILABLE, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sluice_error err = SLUICE_ERROR_INIT;
        const struct sluice_tds_message message = {
            .number = cases[i].number, .severity = cases[i].severity, .state = 1, .text = "words"};
        assert_int_equal(sluice_tds_error(&err, &message, "read table t"), cases[i].status);
        assert_int_equal((err.flags & SLUICE_ERROR_RETRYABLE) != 0, cases[i].again);
        assert_non_null(strstr(err.message, "read table t: words"));
        assert_int_equal(err.native_code, cases[i].number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals),
        cmocka_unit_test(money),
        cmocka_unit_test(times),
        cmocka_unit_test(datetimes),
        cmocka_unit_test(guids_and_others),
        cmocka_unit_test(quoting),
        cmocka_unit_test(configuration),
        cmocka_unit_test(configuration_of_choices),
        cmocka_unit_test(partners),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests_name("tds", tests, NULL, NULL) + tds_test_declare() +
           tds_test_encode();
}
