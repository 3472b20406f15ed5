/* --until: positions and times. */
#include "test_cli.h"

#include "base/alloc.h"
#include "cli/until.h"

static void good_ones(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *out;
    } cases[] = {
        {"0/16B3748", "0/16B3748"},
        {"FFFFFFFF/FFFFFFFF", "FFFFFFFF/FFFFFFFF"},
        {"a/0", "a/0"},
        {"00000000016b3748", "00000000016b3748"},
        {"00000027:00000ac0:0002", "00000027:00000ac0:0002"},
        {"0", "0"},
        {"1234", "1234"},
        {"2026-11-23T00:52:34Z", "2026-11-23T00:52:34.000000Z"},
        {"2026-11-23 00:52:34.5z", "2026-11-23T00:52:34.500000Z"},
        {"2026-11-23T00:52:34.1234567Z", "2026-11-23T00:52:34.123456Z"},
        {"2026-11-23T00:52:34+01:00", "2026-11-22T23:52:34.000000Z"},
        {"2026-11-23T00:52:34-0930", "2026-11-23T10:22:34.000000Z"},
        {"2026-11-23T00:52:34+02", "2026-11-22T22:52:34.000000Z"},
        {"2024-02-29T23:59:59Z", "2024-02-29T23:59:59.000000Z"},
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"},
        {"2100-03-01T00:00:00Z", "2100-03-01T00:00:00.000000Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sluice_str out = SLUICE_STR_INIT;
        struct sluice_str why = SLUICE_STR_INIT;
        if (!sluice_cli_until_read(cases[i].text, &out, &why)) {
            fail_msg("%s: %s", cases[i].text, sluice_str_text(&why));
        }
        assert_string_equal(sluice_str_text(&out), cases[i].out);
        sluice_str_free(&out);
        sluice_str_free(&why);
    }
}

static void bad_ones(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"", "it wants a position"},
        {"tomorrow", "it wants a position"},
        {"16B3748", "it wants a position"}, /* which half? */
        {"0/", "it wants a position"},
        {"/1", "it wants a position"},
        {"0/123456789", "it wants a position"},
        {"0/1/2", "it wants a position"},
        {"0x16B3748", "it wants a position"},
        {"00000000016b374", "it wants a position"},
        {"00000027:00000ac0:000", "it wants a position"},
        {"00000027:0000ac0:00002", "it wants a position"},
        {"1234567890123456789", "it wants a position"},
        {"00000000016b3748g", "it wants a position"},
        {"2026-11-23", "a time is written like"},
        {"2026-11-23T00:52Z", "a time is written like"},
        {"2026-1-23T00:52:34Z", "a time is written like"},
        {"2026-11-23T00:52:34", "the time zone is missing"},
        {"2026-11-23T00:52:34 CET", "the time zone is"},
        {"2026-11-23T00:52:34+1", "the time zone is"},
        {"2026-11-23T00:52:34+16:00", "the time zone is"},
        {"2026-11-23T00:52:34Zulu", "the time zone is"},
        {"2026-02-29T00:00:00Z", "there is no such time"},
        {"2026-13-01T00:00:00Z", "there is no such time"},
        {"2026-00-01T00:00:00Z", "there is no such time"},
        {"2026-11-31T00:00:00Z", "there is no such time"},
        {"2026-11-23T24:00:00Z", "there is no such time"},
        {"2026-11-23T00:60:00Z", "there is no such time"},
        {"2026-11-23T00:52:34.Z", "there is no such time"},
        {"1969-12-31T23:59:59Z", "there is no such time"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sluice_str out = SLUICE_STR_INIT;
        struct sluice_str why = SLUICE_STR_INIT;
        if (sluice_cli_until_read(cases[i].text, &out, &why) ||
            strstr(sluice_str_text(&why), cases[i].why) != sluice_str_text(&why)) {
            fail_msg("%s: %s, %s", cases[i].text, sluice_str_text(&out), sluice_str_text(&why));
        }
        assert_int_equal(out.size, 0);
        sluice_str_free(&why);
    }
}

int run_until_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones),
        cmocka_unit_test(bad_ones),
    };
    return cmocka_run_group_tests_name("cli until", tests, NULL, NULL);
}
