/* Values for bulk load: exact or refused, never cut. */
#include "tds/encode.h"

#include "tests.h"

static void is_utf16(const char *text, uint64_t max_units, int32_t want, const char *bytes,
                     uint64_t size)
{
    uint8_t out[64];
    uint64_t n = 99;
    assert_int_equal(
        sluice_tds_encode_utf16((const uint8_t *)text, strlen(text), max_units, out, &n), want);
    if (want == SLUICE_TDS_FITS) {
        assert_int_equal(n, size);
        assert_memory_equal(out, bytes, size);
    }
    else {
        assert_int_equal(n, 99);
    }
}

static void texts(void **state)
{
    static const char *const wrong[] = {
        "\xc0\x80",         "\xe0\x80\x80",     "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\x80",         "\xc3",
        "\xe2\x82",         "a\xc3(",           "\xff"};
    (void)state;
    is_utf16("", 0, SLUICE_TDS_FITS, "", 0);
    is_utf16("a\xc3\xa9", 2, SLUICE_TDS_FITS, "a\0\xe9\0", 4);
    is_utf16("\xe2\x82\xac", 1, SLUICE_TDS_FITS, "\xac\x20", 2);
    is_utf16("\xf0\x9f\x98\x80", 2, SLUICE_TDS_FITS, "\x3d\xd8\x00\xde", 4);
    is_utf16("\xf4\x8f\xbf\xbf", 2, SLUICE_TDS_FITS, "\xff\xdb\xff\xdf", 4);
    is_utf16("\xf0\x9f\x98\x80", 1, SLUICE_TDS_TOO_LARGE, NULL, 0);
    is_utf16("abc", 2, SLUICE_TDS_TOO_LARGE, NULL, 0);
    is_utf16("a", 0, SLUICE_TDS_TOO_LARGE, NULL, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        is_utf16(wrong[i], 30, SLUICE_TDS_MALFORMED, NULL, 0);
    }
}

static int32_t decimal(int64_t value, int32_t from_scale, int32_t precision, int32_t scale,
                       DBDECIMAL *out)
{
    const int64_t words[2] = {value, value < 0 ? -1 : 0};
    return sluice_tds_encode_decimal((const uint8_t *)words, from_scale, precision, scale, out);
}

static void decimals(void **state)
{
    static const uint8_t most[16] = {0xff, 0xff, 0xff, 0xff, 0x3f, 0x22, 0x8a, 0x09,
                                     0x7a, 0xc4, 0x86, 0x5a, 0xa8, 0x4c, 0x3b, 0x4b};
    static const uint8_t least[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80};
    DBDECIMAL d;
    (void)state;
    assert_int_equal(decimal(-1234567, 2, 10, 2, &d), SLUICE_TDS_FITS);
    assert_memory_equal(&d, "\x0a\x02\x01\x00\x00\x12\xd6\x87\x00",
                        9);                                      /* five bytes of magnitude */
    assert_int_equal(decimal(15, 1, 5, 3, &d), SLUICE_TDS_FITS); /* 1.5 as 1.500 */
    assert_memory_equal(&d, "\x05\x03\x00\x00\x05\xdc\x00", 7);
    assert_int_equal(decimal(1500, 3, 2, 1, &d), SLUICE_TDS_FITS);
    assert_int_equal(d.array[1], 15);
    assert_int_equal(decimal(1501, 3, 2, 1, &d), SLUICE_TDS_TOO_FINE);
    assert_int_equal(decimal(100, 0, 2, 0, &d), SLUICE_TDS_TOO_LARGE);
    assert_int_equal(decimal(-99, 0, 2, 0, &d), SLUICE_TDS_FITS);
    assert_int_equal(decimal(1, 0, 38, 38, &d), SLUICE_TDS_TOO_LARGE);
    assert_int_equal(decimal(0, -60, 38, 38, &d), SLUICE_TDS_FITS);
    assert_int_equal(decimal(1, -38, 38, 1, &d), SLUICE_TDS_TOO_LARGE);
    assert_int_equal(sluice_tds_encode_decimal(most, 0, 38, 0, &d), SLUICE_TDS_FITS);
    assert_int_equal(d.array[1], 0x4b);
    assert_int_equal(d.array[16], 0xff);
    assert_int_equal(sluice_tds_encode_decimal(most, 0, 37, 0, &d), SLUICE_TDS_TOO_LARGE);
    assert_int_equal(sluice_tds_encode_decimal(least, 0, 38, 0, &d), SLUICE_TDS_TOO_LARGE);
}

static void times(void **state)
{
    const int64_t first = -62135596800000000ll; /* 0001-01-01 */
    const int64_t last = 253402300799999999ll;  /* 9999-12-31 23:59:59.999999 */
    const int64_t day = 86400000000ll;
    DBDATETIMEALL all;
    (void)state;
    assert_int_equal(sluice_tds_encode_date(-719162, &all), SLUICE_TDS_FITS);
    assert_int_equal(all.date, -693595);
    assert_int_equal(sluice_tds_encode_date(-719163, &all), SLUICE_TDS_TOO_LARGE);
    assert_int_equal(sluice_tds_encode_date(2932897, &all), SLUICE_TDS_TOO_LARGE);
    assert_int_equal(sluice_tds_encode_time(day - 1, 6, &all), SLUICE_TDS_FITS);
    assert_true(all.time == 863999999990u);
    assert_int_equal(sluice_tds_encode_time(day - 1, 5, &all), SLUICE_TDS_TOO_FINE);
    assert_int_equal(sluice_tds_encode_time(5000000, 0, &all), SLUICE_TDS_FITS);
    assert_int_equal(sluice_tds_encode_time(day, 7, &all), SLUICE_TDS_TOO_LARGE);
    assert_int_equal(sluice_tds_encode_time(-1, 7, &all), SLUICE_TDS_MALFORMED);
    assert_int_equal(sluice_tds_encode_datetime2(-1, 7, &all), SLUICE_TDS_FITS);
    assert_int_equal(all.date, 25566);
    assert_true(all.time == 863999999990u);
    assert_int_equal(sluice_tds_encode_datetime2(first, 0, &all), SLUICE_TDS_FITS);
    assert_int_equal(sluice_tds_encode_datetime2(last, 6, &all), SLUICE_TDS_FITS);
    assert_int_equal(sluice_tds_encode_datetime2(first - 1, 7, &all), SLUICE_TDS_TOO_LARGE);
    assert_int_equal(sluice_tds_encode_datetime2(last + 1, 7, &all), SLUICE_TDS_TOO_LARGE);
    assert_int_equal(sluice_tds_encode_datetime2(INT64_MAX, 7, &all), SLUICE_TDS_TOO_LARGE);
    assert_int_equal(sluice_tds_encode_datetime2(INT64_MIN, 7, &all), SLUICE_TDS_TOO_LARGE);
    assert_int_equal(sluice_tds_encode_datetimeoffset(0, -840, 7, &all), SLUICE_TDS_FITS);
    assert_int_equal(all.offset, -840);
    assert_int_equal(all.date, 25567); /* in UTC */
    assert_int_equal(sluice_tds_encode_datetimeoffset(0, 841, 7, &all), SLUICE_TDS_MALFORMED);
    assert_int_equal(sluice_tds_encode_datetimeoffset(first, -1, 7, &all), SLUICE_TDS_TOO_LARGE);
    assert_int_equal(sluice_tds_encode_datetimeoffset(last, 1, 7, &all), SLUICE_TDS_TOO_LARGE);
    assert_int_equal(sluice_tds_encode_datetimeoffset(INT64_MAX, 1, 7, &all), SLUICE_TDS_TOO_LARGE);
}

static void datetimes(void **state)
{
    DBDATETIME d;
    (void)state;
    for (int64_t parts = 0; parts < 300; parts++) { /* every one is found again by how it prints */
        assert_int_equal(sluice_tds_encode_datetime((parts * 10 + 1) / 3 * 1000, &d),
                         SLUICE_TDS_FITS);
        assert_int_equal(d.dttime, parts);
        assert_int_equal(d.dtdays, 25567);
    }
    assert_int_equal(sluice_tds_encode_datetime(1000, &d), SLUICE_TDS_TOO_FINE);
    assert_int_equal(sluice_tds_encode_datetime(999000, &d), SLUICE_TDS_TOO_FINE);
    assert_int_equal(sluice_tds_encode_datetime(3001, &d), SLUICE_TDS_TOO_FINE);
    assert_int_equal(sluice_tds_encode_datetime(-6847804800000000ll, &d),
                     SLUICE_TDS_FITS); /* 1753 */
    assert_int_equal(d.dtdays, -53690);
    assert_int_equal(sluice_tds_encode_datetime(-6847804800003000ll, &d), SLUICE_TDS_TOO_LARGE);
    assert_int_equal(sluice_tds_encode_datetime(253402300799997000ll, &d), SLUICE_TDS_FITS);
}

static void guids(void **state)
{
    static const uint8_t uuid[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                     0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    uint8_t out[16];
    (void)state;
    sluice_tds_encode_guid(uuid, out);
    assert_memory_equal(out, "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
                        16);
}

int tds_test_encode(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),     cmocka_unit_test(decimals), cmocka_unit_test(times),
        cmocka_unit_test(datetimes), cmocka_unit_test(guids),
    };
    return cmocka_run_group_tests_name("tds encode", tests, NULL, NULL);
}
