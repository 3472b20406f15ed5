#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lake/decimals.h"
#include "lake/digits.h"
#include "lake/floats.h"
#include "support.h"

static void integers(void **state)
{
    static const uint64_t values[] = {0,   1,    9,    10,    99,          100,         101,
                                      999, 1000, 9999, 10000, 4294967295u, 4294967296u, UINT64_MAX};
    (void)state;
    uint64_t power = 1;
    for (uint32_t i = 0; i < 20; i++) {
        for (int32_t d = -1; d <= 1; d++) {
            char want[32];
            uint8_t got[32];
            uint64_t v = power + (uint64_t)(int64_t)d;
            (void)snprintf(want, sizeof want, "%llu", (unsigned long long)v);
            *sluice_lake_put_u64(got, v) = 0;
            assert_string_equal(got, want);
            (void)snprintf(want, sizeof want, "%lld", (long long)v);
            *sluice_lake_put_i64(got, (int64_t)v) = 0;
            assert_string_equal(got, want);
        }
        power *= 10u;
    }
    for (uint32_t i = 0; i < sizeof values / sizeof *values; i++) {
        char want[32];
        uint8_t got[32];
        (void)snprintf(want, sizeof want, "%llu", (unsigned long long)values[i]);
        *sluice_lake_put_u64(got, values[i]) = 0;
        assert_string_equal(got, want);
    }
    uint8_t got[32];
    *sluice_lake_put_i64(got, INT64_MIN) = 0;
    assert_string_equal(got, "-9223372036854775808");
}

static void check_f64(double v, const char *want)
{
    uint8_t got[SLUICE_LAKE_FLOAT_MAX + 1];
    *sluice_lake_put_f64(got, v) = 0;
    assert_string_equal(got, want);
}

static void check_f32(float v, const char *want)
{
    uint8_t got[SLUICE_LAKE_FLOAT_MAX + 1];
    *sluice_lake_put_f32(got, v) = 0;
    assert_string_equal(got, want);
}

/* Golden values: what PostgreSQL 15 prints. */
static void floats_golden(void **state)
{
    (void)state;
    check_f64(0.0, "0");
    check_f64(-0.0, "-0");
    check_f64(1.0, "1");
    check_f64(0.1, "0.1");
    check_f64(0.3, "0.3");
    check_f64(0.1 + 0.2, "0.30000000000000004");
    check_f64(1e14, "100000000000000");
    check_f64(1e15, "1e+15");
    check_f64(123456789012345.0, "123456789012345");
    check_f64(1234567890123456.0, "1.234567890123456e+15");
    check_f64(0.0001, "0.0001");
    check_f64(0.00001, "1e-05");
    check_f64(1e100, "1e+100");
    check_f64(5e-324, "5e-324");
    check_f64(2.2250738585072014e-308, "2.2250738585072014e-308");
    check_f64(1.7976931348623157e308, "1.7976931348623157e+308");
    check_f64(123.456, "123.456");
    check_f64(-1.5, "-1.5");
    check_f64((double)NAN, "NaN");
    check_f64((double)INFINITY, "Infinity");
    check_f64((double)-INFINITY, "-Infinity");
    check_f32(0.1f, "0.1");
    check_f32(1e5f, "100000");
    check_f32(999999.0f, "999999");
    check_f32(1e6f, "1e+06");
    check_f32(1234567.0f, "1.234567e+06");
    check_f32(3.4028235e38f, "3.4028235e+38");
    check_f32(1e-45f, "1e-45");
    check_f32(16777216.0f, "1.6777216e+07");
    check_f32(-0.0f, "-0");
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Digits of the mantissa in the text. */
static int digits_in(const char *text)
{
    int n = 0;
    for (; *text != 0 && *text != 'e'; text++) {
        n += *text >= '0' && *text <= '9';
    }
    return n;
}

/* Half way to a neighbour: PostgreSQL leaves such a short form out, since only a reader that rounds
 * ties to even gets it right. */
static int is_tie(double v, long double text)
{
    long double up = ((long double)v + (long double)nextafter(v, INFINITY)) / 2;
    long double down = ((long double)v + (long double)nextafter(v, -INFINITY)) / 2;
    return text == up || text == down;
}

static int is_tie_f32(float f, double text)
{
    double up = ((double)f + (double)nextafterf(f, INFINITY)) / 2;
    double down = ((double)f + (double)nextafterf(f, -INFINITY)) / 2;
    return text == up || text == down;
}

/* Reads back the same, and no %.Ng with fewer digits does. */
static void floats_random(void **state)
{
    uint64_t random = 88172645463325252u;
    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = next_random(&random);
        double v;
        float f;
        char text[SLUICE_LAKE_FLOAT_MAX + 1];
        char shorter[64];
        memcpy(&v, &bits, sizeof v);
        if (!sluice_lake_f64_special(v)) {
            *sluice_lake_put_f64((uint8_t *)text, v) = 0;
            assert_true(strtod(text, NULL) == v);
            if (strchr(text, 'e') != NULL && digits_in(text) > 1) {
                (void)snprintf(shorter, sizeof shorter, "%.*e", digits_in(text) - 2, v);
                assert_true(strtod(shorter, NULL) != v || is_tie(v, strtold(shorter, NULL)));
            }
        }
        uint32_t low = (uint32_t)(bits >> 32);
        memcpy(&f, &low, sizeof f);
        if (!sluice_lake_f32_special(f)) {
            *sluice_lake_put_f32((uint8_t *)text, f) = 0;
            assert_true(strtof(text, NULL) == f);
            if (strchr(text, 'e') != NULL && digits_in(text) > 1) {
                (void)snprintf(shorter, sizeof shorter, "%.*e", digits_in(text) - 2, (double)f);
                assert_true(strtof(shorter, NULL) != f || is_tie_f32(f, strtod(shorter, NULL)));
            }
        }
    }
}

static void check_decimal(int64_t high, uint64_t low, int32_t width, int32_t scale,
                          const char *want)
{
    uint64_t limb[4] = {low, (uint64_t)high, high < 0 ? UINT64_MAX : 0, high < 0 ? UINT64_MAX : 0};
    uint8_t value[32];
    uint8_t got[2048];
    memcpy(value, limb, sizeof value);
    uint8_t *end = sluice_lake_put_decimal(got, value, width, scale);
    assert_true((uint32_t)(end - got) <= sluice_lake_decimal_max(scale));
    *end = 0;
    assert_string_equal(got, want);
}

static void decimals(void **state)
{
    (void)state;
    for (int32_t width = 16; width <= 32; width += 16) {
        check_decimal(0, 0, width, 0, "0");
        check_decimal(0, 0, width, 2, "0.00");
        check_decimal(0, 5, width, 2, "0.05");
        check_decimal(0, 123, width, 2, "1.23");
        check_decimal(0, 12345, width, 3, "12.345");
        check_decimal(0, 100, width, 1, "10.0");
        check_decimal(-1, (uint64_t)INT64_C(-5), width, 2, "-0.05");
        check_decimal(-1, (uint64_t)INT64_C(-12345), width, 2, "-123.45");
        check_decimal(0, 123, width, 5, "0.00123");
        check_decimal(0, 12, width, -3, "12000");
        check_decimal(0, 0, width, -3, "0");
        check_decimal(-1, (uint64_t)INT64_C(-12), width, -2, "-1200");
        check_decimal(-1, (uint64_t)INT64_MIN, width, 0, "-9223372036854775808");
        check_decimal(0, UINT64_MAX, width, 0, "18446744073709551615");
        check_decimal(0, UINT64_MAX, width, 4, "1844674407370955.1615");
        /* 10^38 - 1 */
        check_decimal(INT64_C(0x4b3b4ca85a86c47a), UINT64_C(0x098a223fffffffff), width, 0,
                      "99999999999999999999999999999999999999");
        check_decimal(INT64_C(0x4b3b4ca85a86c47a), UINT64_C(0x098a223fffffffff), width, 38,
                      "0.99999999999999999999999999999999999999");
        check_decimal(INT64_C(0x4b3b4ca85a86c47a), UINT64_C(0x098a223fffffffff), width, 10,
                      "9999999999999999999999999999.9999999999");
        check_decimal(0, 1, width, 30, "0.000000000000000000000000000001");
    }
    uint8_t smallest[32] = {0};
    smallest[15] = 0x80;
    assert_true(sluice_lake_decimal_is_nan(smallest, 16));
    assert_false(sluice_lake_decimal_is_nan(smallest, 32));
    smallest[15] = 0;
    smallest[31] = 0x80;
    assert_true(sluice_lake_decimal_is_nan(smallest, 32));
    uint8_t largest[32];
    uint8_t got[128];
    memset(largest, 0xff, sizeof largest);
    largest[31] = 0x7f;
    *sluice_lake_put_decimal(got, largest, 32, 0) = 0;
    assert_string_equal(
        got, "57896044618658097711785492504343953926634992332820282019728792003956564819967");
}

static void decimals_random(void **state)
{
    uint64_t random = 4711;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t v = next_random(&random) >> (next_random(&random) % 63u);
        int32_t scale = (int32_t)(next_random(&random) % 19u);
        char want[64];
        (void)snprintf(want, sizeof want, "%0*llu", scale + 1, (unsigned long long)v);
        size_t n = strlen(want);
        if (scale > 0) {
            memmove(want + n - (size_t)scale + 1, want + n - (size_t)scale, (size_t)scale + 1);
            want[n - (size_t)scale] = '.';
        }
        check_decimal(0, v, 16, scale, want);
    }
}

int run_number_tests(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(integers), cmocka_unit_test(floats_golden),
                                       cmocka_unit_test(floats_random), cmocka_unit_test(decimals),
                                       cmocka_unit_test(decimals_random)};
    return cmocka_run_group_tests_name("lake numbers", tests, NULL, NULL);
}
