/* Dates and times from ISO text: "0044-03-15 12:00:00.5+05:30:15 BC". */
#include <string.h>

#include "pg/decode_internal.h"

/* The server's own bounds (datatype/timestamp.h): Julian day 0, and years 5874897 and 294276. */
enum { DATE_MIN = -2451545, DATE_END = 2145031949 };
#define TIMESTAMP_MIN (-211813488000000000ll)
#define TIMESTAMP_END 9223371331200000000ll
#define SECOND_US 1000000ll
enum { YEAR_DIGITS_MIN = 4, YEAR_DIGITS_MAX = 7, ZONE_HOURS_MAX = 15 };

struct text {
    const uint8_t *p;
    const uint8_t *end;
    int bad; /* sticks: one check at the end */
};

static void expect(struct text *t, char c)
{
    if (t->p == t->end || *t->p != (uint8_t)c) {
        t->bad = 1;
        return;
    }
    t->p++;
}

/* Two digits, at most `max`. */
static int32_t two(struct text *t, int32_t max)
{
    if (t->end - t->p < 2) {
        t->bad = 1;
        return 0;
    }
    uint8_t tens = (uint8_t)(t->p[0] - '0');
    uint8_t ones = (uint8_t)(t->p[1] - '0');
    int32_t v = tens * 10 + ones;
    t->bad |= tens > 9 || ones > 9 || v > max;
    t->p += 2;
    return v;
}

static int ends_with_bc(const uint8_t *p, uint32_t size)
{
    return size > 3 && memcmp(p + size - 3, " BC", 3) == 0;
}

/* 1 and the sign of it if the text is an infinity; else 0. */
static int infinite(const uint8_t *p, uint32_t size, int *negative)
{
    *negative = size == 9;
    return (size == 8 && memcmp(p, "infinity", 8) == 0) ||
           (size == 9 && memcmp(p, "-infinity", 9) == 0);
}

/* Days since 2000-01-01 of a date of the proleptic Gregorian calendar. Years are counted from March,
 * so that the leap day is the last of its year. */
static int64_t days_of(int64_t year, int32_t month, int32_t day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 730425; /* days from 0000-03-01 to 2000-01-01 */
}

static int32_t days_in_month(int64_t year, int32_t month)
{
    static const int8_t days[] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month] + (month == 2 && leap);
}

/* Days since 2000. */
static int64_t take_date(struct text *t, int bc)
{
    int64_t year = 0;
    int digits = 0;
    for (; digits < YEAR_DIGITS_MAX && t->p < t->end && (uint8_t)(*t->p - '0') <= 9; digits++) {
        year = year * 10 + (*t->p++ - '0');
    }
    expect(t, '-');
    int32_t month = two(t, 12);
    expect(t, '-');
    int32_t day = two(t, 31);
    if (t->bad || digits < YEAR_DIGITS_MIN || year < 1 || month < 1 || day < 1) {
        t->bad = 1;
        return 0;
    }
    year = bc ? 1 - year : year;
    t->bad |= day > days_in_month(year, month);
    return days_of(year, month, day);
}

/* Microseconds since midnight; 24:00:00 where `whole_day`. */
static int64_t take_time(struct text *t, int whole_day)
{
    int64_t seconds = two(t, 24) * 3600ll;
    expect(t, ':');
    seconds += two(t, 59) * 60ll;
    expect(t, ':');
    seconds += two(t, 59);
    int64_t us = 0;
    if (t->p < t->end && *t->p == '.') {
        int64_t unit = SECOND_US / 10;
        const uint8_t *start = ++t->p;
        for (; unit > 0 && t->p < t->end && (uint8_t)(*t->p - '0') <= 9; unit /= 10) {
            us += (*t->p++ - '0') * unit;
        }
        t->bad |= t->p == start;
    }
    us += seconds * SECOND_US;
    t->bad |= us > SLUICE_PG_DAY_US || (us == SLUICE_PG_DAY_US && !whole_day);
    return us;
}

/* "+05", "-03:30", "+05:30:15" in microseconds. */
static int64_t take_zone(struct text *t)
{
    if (t->p == t->end || (*t->p != '+' && *t->p != '-')) {
        t->bad = 1;
        return 0;
    }
    int negative = *t->p++ == '-';
    int64_t seconds = two(t, ZONE_HOURS_MAX) * 3600ll;
    if (t->p < t->end && *t->p == ':') {
        t->p++;
        seconds += two(t, 59) * 60ll;
        if (t->p < t->end && *t->p == ':') {
            t->p++;
            seconds += two(t, 59);
        }
    }
    return (negative ? -seconds : seconds) * SECOND_US;
}

sluice_status sluice_pg_text_date(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                  struct sluice_error *err)
{
    int negative = 0;
    int bc = ends_with_bc(p, size);
    struct text t = {p, p + size - (bc ? 3 : 0), 0};
    if (infinite(p, size, &negative)) {
        return sluice_pg_put_date(d, negative ? INT32_MIN : INT32_MAX, err);
    }
    int64_t days = take_date(&t, bc);
    if (t.bad || t.p != t.end || days < DATE_MIN || days >= DATE_END) {
        return sluice_pg_no_value(err, "date");
    }
    return sluice_pg_put_date(d, (int32_t)days, err);
}

sluice_status sluice_pg_text_time(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                  struct sluice_error *err)
{
    struct text t = {p, p + size, 0};
    int64_t us = take_time(&t, 1);
    if (t.bad || t.p != t.end) {
        return sluice_pg_no_value(err, "time");
    }
    sluice_column_put_i64(d->column, us);
    return SLUICE_OK;
}

static sluice_status timestamp(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                               int zoned, struct sluice_error *err)
{
    int negative = 0;
    int bc = ends_with_bc(p, size);
    struct text t = {p, p + size - (bc ? 3 : 0), 0};
    if (infinite(p, size, &negative)) {
        return sluice_pg_put_timestamp(d, negative ? INT64_MIN : INT64_MAX, err);
    }
    int64_t days = take_date(&t, bc);
    expect(&t, ' ');
    int64_t us = take_time(&t, 0);
    us -= zoned ? take_zone(&t) : 0;
    /* A day beyond the bounds on either side: the zone may lead back. */
    if (t.bad || t.p != t.end || days < TIMESTAMP_MIN / SLUICE_PG_DAY_US - 1 ||
        days > TIMESTAMP_END / SLUICE_PG_DAY_US) {
        return sluice_pg_no_value(err, "timestamp");
    }
    us = (int64_t)((uint64_t)us + (uint64_t)days * (uint64_t)SLUICE_PG_DAY_US);
    if (us < TIMESTAMP_MIN || us >= TIMESTAMP_END) {
        return sluice_pg_no_value(err, "timestamp");
    }
    return sluice_pg_put_timestamp(d, us, err);
}

sluice_status sluice_pg_text_timestamp(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                       struct sluice_error *err)
{
    return timestamp(d, p, size, 0, err);
}

sluice_status sluice_pg_text_timestamptz(struct sluice_pg_decoder *d, const uint8_t *p,
                                         uint32_t size, struct sluice_error *err)
{
    return timestamp(d, p, size, 1, err);
}
