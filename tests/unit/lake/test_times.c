#include <stdio.h>

#include "lake/times.h"
#include "support.h"

static void check_date(int32_t days, uint32_t flags, const char *want)
{
    uint8_t got[SLUICE_LAKE_DATE_MAX + 1];
    *sluice_lake_put_date(got, days, flags) = 0;
    assert_string_equal(got, want);
}

static void dates(void **state)
{
    (void)state;
    check_date(0, 0, "1970-01-01");
    check_date(-1, 0, "1969-12-31");
    check_date(19724, 0, "2024-01-02");
    check_date(11016, 0, "2000-02-29");
    check_date(2932896, 0, "9999-12-31");
    check_date(2932897, 0, "10000-01-01");
    check_date(-719162, 0, "0001-01-01");
    check_date(-719163, 0, "0001-12-31 BC");
    check_date(-735160, 0, "0044-03-15 BC");
    check_date(-2440588, 0, "4714-11-24 BC");
    check_date(2145042905, 0, "5874897-12-31");
    check_date(INT32_MAX, SLUICE_LAKE_SPECIAL, "infinity");
    check_date(INT32_MIN, SLUICE_LAKE_SPECIAL, "-infinity");
    check_date(INT32_MAX, 0, "5881580-07-11");
}

/* Every day of 800 years, against a calendar that counts. */
static void dates_counted(void **state)
{
    static const int32_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int32_t year = 1600;
    int32_t month = 1;
    int32_t day = 1;
    (void)state;
    for (int32_t days = -135140; days < -135140 + 146097 * 2; days++) {
        char want[32];
        (void)snprintf(want, sizeof want, "%04d-%02d-%02d", year, month, day);
        check_date(days, 0, want);
        int32_t leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        int32_t length = lengths[month - 1] + (month == 2 && leap ? 1 : 0);
        if (++day > length) {
            day = 1;
            if (++month > 12) {
                month = 1;
                year++;
            }
        }
    }
}

static void check_time(int64_t us, const char *want)
{
    uint8_t got[SLUICE_LAKE_TIME_MAX + 1];
    *sluice_lake_put_time(got, us) = 0;
    assert_string_equal(got, want);
}

static void times(void **state)
{
    (void)state;
    check_time(0, "00:00:00");
    check_time(1, "00:00:00.000001");
    check_time(INT64_C(11045600000), "03:04:05.6");
    check_time(INT64_C(86399999999), "23:59:59.999999");
    check_time(INT64_C(86400000000), "24:00:00");
}

static void check_timestamp(int64_t us, uint32_t flags, const char *want)
{
    uint8_t got[SLUICE_LAKE_TIMESTAMP_MAX + 1];
    *sluice_lake_put_timestamp(got, us, flags) = 0;
    assert_string_equal(got, want);
}

static void timestamps(void **state)
{
    const uint32_t xsd = SLUICE_LAKE_XSD;
    const uint32_t utc = SLUICE_LAKE_UTC;
    (void)state;
    check_timestamp(INT64_C(1704164645600000), 0, "2024-01-02 03:04:05.6");
    check_timestamp(INT64_C(1704164645600000), xsd, "2024-01-02T03:04:05.6");
    check_timestamp(INT64_C(1704164645600000), utc, "2024-01-02 03:04:05.6+00");
    check_timestamp(INT64_C(1704164645000000), utc | xsd, "2024-01-02T03:04:05+00:00");
    check_timestamp(-1, 0, "1969-12-31 23:59:59.999999");
    check_timestamp(INT64_C(-735160) * 86400000000, utc, "0044-03-15 00:00:00+00 BC");
    check_timestamp(INT64_C(-735160) * 86400000000, utc | xsd, "0044-03-15T00:00:00+00:00 BC");
    check_timestamp(INT64_MAX, 0, "294247-01-10 04:00:54.775807");
    check_timestamp(INT64_MAX, SLUICE_LAKE_SPECIAL | xsd, "infinity");
    check_timestamp(INT64_MIN, SLUICE_LAKE_SPECIAL | xsd, "-infinity");
}

static void check_interval(int32_t months, int32_t days, int64_t ns, const char *want)
{
    uint8_t got[SLUICE_LAKE_INTERVAL_MAX + 1];
    *sluice_lake_put_interval(got, months, days, ns) = 0;
    assert_string_equal(got, want);
}

static void intervals(void **state)
{
    const int64_t second = 1000000000;
    (void)state;
    check_interval(0, 0, 0, "00:00:00");
    check_interval(14, -3, 14706 * second + 700000000, "1 year 2 mons -3 days +04:05:06.7");
    check_interval(-14, 3, -second, "-1 years -2 mons +3 days -00:00:01");
    check_interval(1, 0, 0, "1 mon");
    check_interval(-1, 0, 0, "-1 mons");
    check_interval(12, 0, 0, "1 year");
    check_interval(0, 1, 0, "1 day");
    check_interval(0, 0, -500000000, "-00:00:00.5");
    check_interval(0, -1, 3600 * second, "-1 days +01:00:00");
    check_interval(0, 0, 360000 * second, "100:00:00");
    check_interval(0, 0, second * 3600 * 2562047, "2562047:00:00");
}

int run_time_tests(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(dates), cmocka_unit_test(dates_counted),
                                       cmocka_unit_test(times), cmocka_unit_test(timestamps),
                                       cmocka_unit_test(intervals)};
    return cmocka_run_group_tests_name("lake times", tests, NULL, NULL);
}
