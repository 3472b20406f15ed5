/* The scalar forms. */
#include "fake.h"

#include <string.h>

#include "config/internal.h"

struct form {
    const char *text;
    int64_t value;
};

static void ints(void **state)
{
    static const struct form good[] = {
        {"0", 0},
        {"-1", -1},
        {"+7", 7},
        {"007", 7},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775807", -INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };
    static const char *const bad[] = {"",
                                      "-",
                                      "1.0",
                                      "1e3",
                                      "0x10",
                                      " 1",
                                      "1 ",
                                      "1_000",
                                      "--1",
                                      "9223372036854775808",
                                      "-9223372036854775809"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t value = 99;
        assert_true(sluice_parse_int(good[i].text, &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t value = 99;
        assert_false(sluice_parse_int(bad[i], &value));
    }
}

static void durations(void **state)
{
    static const struct form good[] = {
        {"0", 0},           {"0s", 0},           {"500us", 500},
        {"200ms", 200000},  {"10s", 10000000},   {"5m", 300000000},
        {"1h", 3600000000}, {"1d", 86400000000}, {"1h30m", 5400000000},
        {"1m30s", 90000000}};
    static const char *const bad[] = {"",     "10",  "s",          "1w",
                                      "1.5s", "-1s", "1 s",        "1S",
                                      "1h30", "1hs", "106751992d", "99999999999999999999s"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t value = 99;
        assert_true(sluice_parse_duration(good[i].text, &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t value = 99;
        assert_false(sluice_parse_duration(bad[i], &value));
    }
}

static void sizes(void **state)
{
    static const struct form good[] = {{"0", 0},
                                       {"512", 512},
                                       {"512B", 512},
                                       {"8KB", 8000},
                                       {"64MiB", 67108864},
                                       {"64 MiB", 67108864},
                                       {"1GB", 1000000000},
                                       {"1tib", 1099511627776},
                                       {"2kib", 2048},
                                       {"3TB", 3000000000000}};
    static const char *const bad[] = {"",    "MiB",        "1.5GB", "1K",
                                      "8M",  "-1",         "1  MB", "1MB ",
                                      "1PB", "8388608TiB", "0x1",   "99999999999999999999"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t value = 99;
        assert_true(sluice_parse_size(good[i].text, &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t value = 99;
        assert_false(sluice_parse_size(bad[i], &value));
    }
}

static void booleans(void **state)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "on", "On"};
    static const char *const no[] = {"false", "False", "no", "NO", "off"};
    static const char *const bad[] = {"", "1", "0", "y", "t", "truee", "tru"};
    int value = 7;
    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        assert_true(sluice_parse_bool(yes[i], &value));
        assert_int_equal(value, 1);
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        assert_true(sluice_parse_bool(no[i], &value));
        assert_int_equal(value, 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(sluice_parse_bool(bad[i], &value));
    }
}

/* What is printed reads back as the same number, in the largest unit without a rest. */
static void exact_forms(void **state)
{
    static const struct {
        int64_t value;
        const char *duration;
        const char *size;
    } cases[] = {
        {0, "0", "0"},
        {1, "1us", "1"},
        {1000, "1ms", "1KB"},
        {1024, "1024us", "1KiB"},
        {1500, "1500us", "1500"},
        {60000000, "1m", "60MB"},
        {67108864, "67108864us", "64MiB"},
        {3600000000, "1h", "3515625KiB"},
        {86400000000, "1d", "84375000KiB"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32];
        int64_t back = -1;
        sluice_duration_exact(cases[i].value, text);
        assert_string_equal(text, cases[i].duration);
        assert_true(sluice_parse_duration(text, &back) && back == cases[i].value);
        sluice_size_exact(cases[i].value, text);
        assert_string_equal(text, cases[i].size);
        assert_true(sluice_parse_size(text, &back) && back == cases[i].value);
    }
}

static void shown_values(void **state)
{
    (void)state;
    assert_string_equal(sluice_show("abc", 0).text, "\"abc\"");
    assert_string_equal(sluice_show("abc", 1).text, "");
    assert_string_equal(sluice_show("a\tb\x7f", 0).text, "\"a b \"");
    assert_string_equal(sluice_show("0123456789012345678901234567890123456789", 0).text,
                        "\"0123456789012345678901234567890123456789\"");
    assert_string_equal(sluice_show("01234567890123456789012345678901234567890", 0).text,
                        "\"0123456789012345678901234567890123456789…\"");
    /* Cut at a whole character. */
    assert_string_equal(sluice_show("012345678901234567890123456789012345678😀x", 0).text,
                        "\"012345678901234567890123456789012345678…\"");
}

const struct CMUnitTest scalar_tests[] = {
    cmocka_unit_test(ints),     cmocka_unit_test(durations),   cmocka_unit_test(sizes),
    cmocka_unit_test(booleans), cmocka_unit_test(exact_forms), cmocka_unit_test(shown_values),
};
const size_t scalar_tests_count = sizeof scalar_tests / sizeof scalar_tests[0];
