/* Times and figures as people read them. */
#include "test_base.h"

#include "base/clock.h"
#include "sluice/abi.h"

#define S 1000000LL

static void times_are_utc(void **state)
{
    (void)state;
    char stamp[24];
    char iso[32];
    sluice_time_stamp(1795395154LL * S + 123456, stamp);
    assert_string_equal(stamp, "20261123T005234Z");
    sluice_time_iso(1795395154LL * S + 123456, iso);
    assert_string_equal(iso, "2026-11-23T00:52:34.123456Z");
    sluice_time_iso(0, iso);
    assert_string_equal(iso, "1970-01-01T00:00:00.000000Z");
    sluice_time_iso(-1, iso);
    assert_string_equal(iso, "1969-12-31T23:59:59.999999Z");
    /* Leap day, and clocks that are far off: still of the fixed width. */
    sluice_time_stamp(951782400LL * S, stamp);
    assert_string_equal(stamp, "20000229T000000Z");
    sluice_time_iso(INT64_MAX, iso);
    assert_int_equal(iso[26], 'Z');
    sluice_time_iso(INT64_MIN, iso);
    assert_int_equal(iso[26], 'Z');
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {-5, "0ms"},
        {0, "0ms"},
        {850000, "850ms"},
        {999999, "999ms"},
        {1000000, "1.0s"},
        {12340000, "12.3s"},
        {59940000, "59.9s"},
        {59960000, "1m00s"},
        {245 * S, "4m05s"},
        {3599 * S + 600000, "1h00m"},
        {7620 * S, "2h07m"},
        {99 * 3600 * S, "99h00m"},
        {100 * 3600 * S, "4d04h"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[24];
        sluice_duration_format(cases[i].us, out);
        assert_string_equal(out, cases[i].text);
    }
    char out[24];
    sluice_duration_format(INT64_MAX, out);
}

static void sizes_and_counts(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {
        {0, "0 B"},
        {812, "812 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {64u << 20, "64.0 MiB"},
        {(1u << 20) - 1, "1.0 MiB"},
        {UINT64_MAX, "16.0 EiB"},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char out[24];
        sluice_size_format(sizes[i].bytes, out);
        assert_string_equal(out, sizes[i].text);
    }
    static const struct {
        uint64_t n;
        const char *text;
    } counts[] = {
        {0, "0"},
        {999, "999"},
        {1000, "1,000"},
        {1234567, "1,234,567"},
        {UINT64_MAX, "18,446,744,073,709,551,615"},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        char out[32];
        sluice_count_format(counts[i].n, out);
        assert_string_equal(out, counts[i].text);
    }
}

static void clocks_run(void **state)
{
    (void)state;
    int64_t a = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    int64_t b = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    assert_true(b >= a);
    assert_true(sluice_now_us(SLUICE_CLOCK_WALL) > 1700000000LL * S);
}

int run_clock_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_utc),
        cmocka_unit_test(durations),
        cmocka_unit_test(sizes_and_counts),
        cmocka_unit_test(clocks_run),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
