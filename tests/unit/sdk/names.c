/* Patterns of names, and the canonical text of values. */
#include "test_sdk.h"

#include "sluice/pattern.h"
#include "sluice/text.h"

static void globs_match(void **state)
{
    (void)state;
    static const struct {
        const char *glob;
        const char *text;
        int32_t expected;
    } cases[] = {{"", "", 1},
                 {"*", "", 1},
                 {"*", "abc", 1},
                 {"a*c", "abbbc", 1},
                 {"a*c", "abbb", 0},
                 {"a?c", "abc", 1},
                 {"a?c", "ac", 0},
                 {"[a-c]x", "bx", 1},
                 {"[!a-c]x", "bx", 0},
                 {"[]x]", "]", 1},
                 {"[a", "[a", 1},
                 {"[a-]", "-", 1},
                 {"*a*b*", "xxaxxbxx", 1},
                 {"*a*b*", "xxbxxaxx", 0},
                 {"abc", "abcd", 0},
                 {"abc*", "abc", 1},
                 {"**", "x", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(sluice_pattern_match(cases[i].glob, cases[i].text), cases[i].expected);
    }
    char text[2001];
    memset(text, 'a', 2000);
    text[2000] = '\0';
    assert_int_equal(sluice_pattern_match("*a*a*a*a*a*a*a*a*b", text), 0);
}

static void column_patterns_split_at_the_last_dot(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *stream;
        const char *column;
        int32_t table;
        int32_t matches;
    } cases[] = {{"ssn", "public.emp", "ssn", 1, 1},
                 {"s*", "public.emp", "ssn", 1, 1},
                 {"public.emp.ssn", "public.emp", "ssn", 1, 1},
                 {"public.emp.ssn", "public.empx", "ssn", 0, 1},
                 {"public.emp_*.ssn", "public.emp_a", "sn", 1, 0},
                 {"*.ssn", "public.emp", "ssn", 1, 1},
                 {"public.emp.\"a.b\"", "public.emp", "a.b", 1, 1},
                 {"\"a\"\"b\"", "public.emp", "a\"b", 1, 1},
                 {"\"a*\"", "public.emp", "ab", 1, 0},
                 {"public.\"T.x\".c", "public.\"T.x\"", "c", 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sluice_column_pattern p;
        assert_int_equal(sluice_column_pattern_parse(cases[i].pattern, &p, NULL), SLUICE_OK);
        assert_int_equal(sluice_column_pattern_table(&p, cases[i].stream), cases[i].table);
        assert_int_equal(sluice_column_pattern_column(&p, cases[i].column), cases[i].matches);
    }
    static const char *const bad[] = {"", "a.", ".a", "\"a", "\"\"", "a.\"b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sluice_column_pattern p;
        assert_int_equal(sluice_column_pattern_parse(bad[i], &p, NULL), SLUICE_E_INVALID);
    }
}

/* The text of one value given as its bytes. */
static void expect_text(const char *format, const void *value, int32_t special, const char *text)
{
    static const struct sluice_pair meta = {"sluice:special", "1"};
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    struct sluice_view v;
    struct sluice_type type;
    char buffer[SLUICE_TEXT_MAX];
    struct sluice_bytes got;
    assert_int_equal(sluice_type_parse(format, &type, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_init(&schema, 1, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&schema, 0, "c", &type, 0, &meta, special ? 1 : 0, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_rows_init(&rows, &schema, 1, NULL), SLUICE_OK);
    sluice_column_put_fixed(&rows.columns[0], value);
    sluice_rows_end_row(&rows);
    assert_int_equal(sluice_rows_finish(&rows, &array, NULL), SLUICE_OK);
    assert_int_equal(sluice_views_init(&schema, &array, &v, NULL), SLUICE_OK);
    assert_int_equal(sluice_view_text(&v, 0, buffer, &got, NULL), SLUICE_OK);
    buffer[got.size] = '\0';
    assert_string_equal(buffer, text);
    sluice_array_release(&array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

static void expect_i64(const char *format, int64_t value, int32_t special, const char *text)
{
    expect_text(format, &value, special, text);
}

static void expect_i32(const char *format, int32_t value, int32_t special, const char *text)
{
    expect_text(format, &value, special, text);
}

static void expect_f64(double value, const char *text)
{
    expect_text("g", &value, 0, text);
}

static void expect_decimal(const char *format, uint64_t low, uint64_t high, int32_t special,
                           const char *text)
{
    uint64_t w[4] = {low, high, high >> 63 ? UINT64_MAX : 0, high >> 63 ? UINT64_MAX : 0};
    expect_text(format, w, special, text);
}

static void values_have_one_text(void **state)
{
    (void)state;
    expect_i64("l", INT64_MIN, 0, "-9223372036854775808");
    expect_i64("L", -1, 0, "18446744073709551615");
    expect_i64("l", 0, 0, "0");
    expect_i32("i", -7, 0, "-7");
    expect_f64(0.1, "0.1");
    expect_f64(1e300, "1e+300");
    expect_f64(1.0 / 3.0, "0.3333333333333333");
    expect_f64(-0.0, "-0");
    float f = 0.1f;
    expect_text("f", &f, 0, "0.1");
    expect_i32("tdD", 0, 0, "1970-01-01");
    expect_i32("tdD", 19723, 0, "2024-01-01");
    expect_i32("tdD", -719528, 0, "0001-01-01 BC");
    expect_i32("tdD", -719162, 0, "0001-01-01");
    expect_i32("tdD", INT32_MAX, 1, "infinity");
    expect_i32("tdD", INT32_MIN, 1, "-infinity");
    expect_i64("ttu", 0, 0, "00:00:00");
    expect_i64("ttu", 86400000000, 0, "24:00:00");
    expect_i64("ttu", 3723450000, 0, "01:02:03.45");
    expect_i64("tsu:", 0, 0, "1970-01-01T00:00:00");
    expect_i64("tsu:UTC", -1, 0, "1969-12-31T23:59:59.999999+00:00");
    expect_i64("tsu:", INT64_MAX, 1, "infinity");
    expect_i64("tsu:", INT64_MIN, 1, "-infinity");
    expect_decimal("d:5,2", 1230, 0, 0, "12.30");
    expect_decimal("d:5,2", 5, 0, 0, "0.05");
    expect_decimal("d:5,2", 0, 0, 0, "0.00");
    expect_decimal("d:5,0", (uint64_t)-42, UINT64_MAX, 0, "-42");
    expect_decimal("d:5,-3", 12, 0, 0, "12000");
    expect_decimal("d:5,-3", 0, 0, 0, "0");
    expect_decimal("d:38,0", 0x098a223fffffffffu, 0x4b3b4ca85a86c47au, 0,
                   "99999999999999999999999999999999999999");
    expect_decimal("d:60,1,256", 10, 1, 0, "1844674407370955162.6");
    expect_decimal("d:38,10", 0, (uint64_t)1 << 63, 1, "NaN");
    const int32_t span[4] = {14, 3, 0, 0};
    expect_text("tin", span, 0, "P1Y2M3D");
    const int32_t none[4] = {0, 0, 0, 0};
    expect_text("tin", none, 0, "PT0S");
    struct {
        int32_t months;
        int32_t days;
        int64_t ns;
    } mixed = {-1, 0, -3723450000000};
    expect_text("tin", &mixed, 0, "P-1MT-1H-2M-3.45S");
    mixed.months = 0;
    mixed.ns = 500000000;
    expect_text("tin", &mixed, 0, "PT0.5S");
}

int run_name_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globs_match),
        cmocka_unit_test(column_patterns_split_at_the_last_dot),
        cmocka_unit_test(values_have_one_text),
    };
    return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
