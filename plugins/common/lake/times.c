#include "lake/times.h"

#include <string.h>

#include "lake/digits.h"

#define DAY_US INT64_C(86400000000)

struct civil {
    int64_t year; /* astronomical: 0 is 1 BC */
    uint32_t month;
    uint32_t day;
};

/* Neri and Schneider, "Euclidean affine functions and their application to calendar algorithms". */
static struct civil civil_from_days(int32_t days)
{
    /* Shift by whole 400-year cycles until every int32 is positive. */
    const uint64_t cycles = 14705;
    uint64_t n = (uint64_t)((int64_t)days + 719468 + (int64_t)(146097u * cycles));
    uint64_t n1 = 4u * n + 3u;
    uint64_t century = n1 / 146097u;
    uint32_t n2 = (uint32_t)(n1 % 146097u) / 4u * 4u + 3u;
    uint64_t p2 = UINT64_C(2939745) * n2;
    uint32_t year_of_century = (uint32_t)(p2 >> 32);
    uint32_t day_of_year = (uint32_t)p2 / 2939745u / 4u;
    uint32_t n3 = 2141u * day_of_year + 197913u;
    uint32_t month = n3 >> 16;
    uint32_t day = (n3 & 0xffffu) / 2141u;
    int64_t year = (int64_t)(100u * century + year_of_century) - (int64_t)(400u * cycles);
    if (day_of_year >= 306u) {
        year++;
        month -= 12u;
    }
    return (struct civil){year, month, day + 1u};
}

static uint8_t *put_civil(uint8_t *p, struct civil c)
{
    uint64_t year = (uint64_t)(c.year > 0 ? c.year : 1 - c.year);
    if (year <= 9999u) {
        p = sluice_lake_put_pair(p, (uint32_t)year / 100u);
        p = sluice_lake_put_pair(p, (uint32_t)year % 100u);
    }
    else {
        p = sluice_lake_put_u64(p, year);
    }
    *p++ = '-';
    p = sluice_lake_put_pair(p, c.month);
    *p++ = '-';
    return sluice_lake_put_pair(p, c.day);
}

static uint8_t *put_text(uint8_t *p, const char *text, size_t n)
{
    memcpy(p, text, n);
    return p + n;
}

static uint8_t *put_era(uint8_t *p, struct civil c)
{
    return c.year > 0 ? p : put_text(p, " BC", 3);
}

uint8_t *sluice_lake_put_date(uint8_t *p, int32_t days, uint32_t flags)
{
    if ((flags & SLUICE_LAKE_SPECIAL) && (days == INT32_MAX || days == INT32_MIN)) {
        return days > 0 ? put_text(p, "infinity", 8) : put_text(p, "-infinity", 9);
    }
    struct civil c = civil_from_days(days);
    return put_era(put_civil(p, c), c);
}

/* `.6`, `.000001`, nothing for 0; `digits` is 6 or 9. */
static uint8_t *put_fraction(uint8_t *p, uint32_t fraction, uint32_t digits)
{
    if (fraction == 0) {
        return p;
    }
    *p++ = '.';
    sluice_lake_fill_digits(p + digits, fraction, digits);
    p += digits;
    while (p[-1] == '0') {
        p--;
    }
    return p;
}

/* Below 100 hours. */
static uint8_t *put_clock(uint8_t *p, uint32_t seconds)
{
    uint32_t minutes = seconds / 60u;
    p = sluice_lake_put_pair(p, minutes / 60u);
    *p++ = ':';
    p = sluice_lake_put_pair(p, minutes % 60u);
    *p++ = ':';
    return sluice_lake_put_pair(p, seconds % 60u);
}

uint8_t *sluice_lake_put_time(uint8_t *p, int64_t us)
{
    if (us < 0 || us > DAY_US) { /* no time of day: show what is there, do not hide it */
        return sluice_lake_put_i64(p, us);
    }
    p = put_clock(p, (uint32_t)(us / 1000000));
    return put_fraction(p, (uint32_t)(us % 1000000), 6);
}

uint8_t *sluice_lake_put_timestamp(uint8_t *p, int64_t us, uint32_t flags)
{
    if ((flags & SLUICE_LAKE_SPECIAL) && (us == INT64_MAX || us == INT64_MIN)) {
        return us > 0 ? put_text(p, "infinity", 8) : put_text(p, "-infinity", 9);
    }
    int64_t days = us / DAY_US;
    int64_t rest = us % DAY_US;
    if (rest < 0) {
        rest += DAY_US;
        days--;
    }
    struct civil c = civil_from_days((int32_t)days);
    p = put_civil(p, c);
    *p++ = flags & SLUICE_LAKE_XSD ? (uint8_t)'T' : (uint8_t)' ';
    p = put_clock(p, (uint32_t)(rest / 1000000));
    p = put_fraction(p, (uint32_t)(rest % 1000000), 6);
    if (flags & SLUICE_LAKE_UTC) {
        p = flags & SLUICE_LAKE_XSD ? put_text(p, "+00:00", 6) : put_text(p, "+00", 3);
    }
    return put_era(p, c);
}

uint8_t *sluice_lake_put_utc(uint8_t *p, int64_t us)
{
    int64_t days = us / DAY_US;
    int64_t rest = us % DAY_US;
    if (rest < 0) {
        rest += DAY_US;
        days--;
    }
    p = put_civil(p, civil_from_days((int32_t)days));
    *p++ = 'T';
    p = put_clock(p, (uint32_t)(rest / 1000000));
    *p++ = '.';
    sluice_lake_fill_digits(p + 6, (uint64_t)(rest % 1000000), 6);
    p[6] = 'Z';
    return p + 7;
}

/* One part of an interval; the sign of a part shows in the next one, as PostgreSQL does it. */
static uint8_t *put_part(uint8_t *p, int32_t value, const char *unit, int32_t *first,
                         int32_t *negative)
{
    if (value == 0) {
        return p;
    }
    if (!*first) {
        *p++ = ' ';
    }
    if (*negative && value > 0) {
        *p++ = '+';
    }
    p = sluice_lake_put_i64(p, value);
    *p++ = ' ';
    p = put_text(p, unit, strlen(unit));
    if (value != 1) {
        *p++ = 's';
    }
    *negative = value < 0;
    *first = 0;
    return p;
}

uint8_t *sluice_lake_put_interval(uint8_t *p, int32_t months, int32_t days, int64_t ns)
{
    int32_t first = 1;
    int32_t negative = 0;
    p = put_part(p, months / 12, "year", &first, &negative);
    p = put_part(p, months % 12, "mon", &first, &negative);
    p = put_part(p, days, "day", &first, &negative);
    if (!first && ns == 0) {
        return p;
    }
    if (!first) {
        *p++ = ' ';
    }
    uint64_t u = (uint64_t)ns;
    if (ns < 0) {
        *p++ = '-';
        u = 0u - u;
    }
    else if (negative) {
        *p++ = '+';
    }
    uint64_t seconds = u / 1000000000u;
    uint32_t fraction = (uint32_t)(u % 1000000000u);
    uint64_t hours = seconds / 3600u;
    if (hours < 100u) {
        p = sluice_lake_put_pair(p, (uint32_t)hours);
    }
    else {
        p = sluice_lake_put_u64(p, hours);
    }
    uint32_t rest = (uint32_t)(seconds % 3600u);
    *p++ = ':';
    p = sluice_lake_put_pair(p, rest / 60u);
    *p++ = ':';
    p = sluice_lake_put_pair(p, rest % 60u);
    return put_fraction(p, fraction, 9);
}
