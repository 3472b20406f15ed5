/* Dates, times and intervals as java.time prints them, and the integers of time_precision_mode. */
#include "lake/debezium.h"
#include "lake/digits.h"

#define MILLION INT64_C(1000000)
#define BILLION INT64_C(1000000000)
#define DAY_SECONDS INT64_C(86400)
#define DAY_US (DAY_SECONDS * MILLION)

/* What Debezium writes for infinities: values of its JDBC driver, and dates made from them. */
#define INFINITE_TIMESTAMP INT64_C(9223372036825200000)
#define MINUS_INFINITE_TIMESTAMP INT64_C(-9223372036832400000)
#define INFINITE_DATE INT64_C(-2147472692)
#define MINUS_INFINITE_DATE INT64_C(-2147472691)

enum { FRACTION_MINIMAL = -1, MICRO_DIGITS = 6, MILLI_DIGITS = 3 };

#define MOMENT(name)                                                                           \
    static uint8_t *name(struct sluice_lake_dbz *enc, const struct sluice_lake_dbz_cell *cell, \
                         int64_t v, uint8_t *p)

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b < 0 ? q - 1 : q;
}

/* ---------------------------------------------------------------- the calendar --------------- */

static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2 ? 1 : 0;
    int64_t era = floor_div(year, 400);
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* ISO_LOCAL_DATE: four digits, or a sign and more; year 0 is 1 BC. */
static uint8_t *put_date(uint8_t *p, int64_t days)
{
    int64_t z = days + 719468;
    int64_t era = floor_div(z, 146097);
    int64_t of_era = z - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * of_year + 2) / 153;
    uint32_t day = (uint32_t)(of_year - (153 * shifted + 2) / 5 + 1);
    uint32_t month = (uint32_t)(shifted + (shifted < 10 ? 3 : -9));
    int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
    if (year < 0 || year > 9999) {
        *p++ = year < 0 ? (uint8_t)'-' : (uint8_t)'+';
        year = year < 0 ? -year : year;
    }
    if (year <= 9999) {
        p = sluice_lake_put_pair(p, (uint32_t)year / 100u);
        p = sluice_lake_put_pair(p, (uint32_t)year % 100u);
    }
    else {
        p = sluice_lake_put_i64(p, year);
    }
    *p++ = '-';
    p = sluice_lake_put_pair(p, month);
    *p++ = '-';
    return sluice_lake_put_pair(p, day);
}

/* `13:14:15.12`; `digits` of the fraction, or as many as it needs. 0 … 24 hours. */
static uint8_t *put_time(uint8_t *p, int64_t us, int32_t digits)
{
    uint32_t seconds = (uint32_t)(us / MILLION);
    uint32_t fraction = (uint32_t)(us % MILLION);
    p = sluice_lake_put_pair(p, seconds / 3600u);
    *p++ = ':';
    p = sluice_lake_put_pair(p, seconds / 60u % 60u);
    *p++ = ':';
    p = sluice_lake_put_pair(p, seconds % 60u);
    if (digits == FRACTION_MINIMAL && fraction == 0) {
        return p;
    }
    *p++ = '.';
    sluice_lake_fill_digits(p + MICRO_DIGITS, fraction, MICRO_DIGITS);
    if (digits != FRACTION_MINIMAL) {
        return p + digits;
    }
    p += MICRO_DIGITS;
    while (p[-1] == '0') {
        p--;
    }
    return p;
}

static uint8_t *put_timestamp(uint8_t *p, int64_t us, int32_t digits)
{
    int64_t clock = us % DAY_US;
    *p++ = '"';
    p = put_date(p, floor_div(us, DAY_US));
    *p++ = 'T';
    p = put_time(p, clock < 0 ? clock + DAY_US : clock, digits);
    return SLUICE_LAKE_DBZ_PUT(p, "Z\"");
}

/* ---------------------------------------------------------------- modes ---------------------- */

static int64_t finite_date(int64_t days)
{
    return days == INT32_MAX ? INFINITE_DATE : days == INT32_MIN ? MINUS_INFINITE_DATE : days;
}

MOMENT(date_days)
{
    (void)enc;
    (void)cell;
    return sluice_lake_put_i64(p, finite_date(v));
}

MOMENT(date_iso)
{
    (void)enc;
    (void)cell;
    *p++ = '"';
    p = put_date(p, finite_date(v));
    return SLUICE_LAKE_DBZ_PUT(p, "Z\"");
}

MOMENT(time_millis)
{
    (void)enc;
    (void)cell;
    return sluice_lake_put_i64(p, v / 1000);
}

MOMENT(time_micros)
{
    (void)enc;
    (void)cell;
    return sluice_lake_put_i64(p, v);
}

MOMENT(time_nanos)
{
    (void)enc;
    (void)cell;
    return sluice_lake_put_i64(p, v * 1000);
}

/* 24:00:00 is no time of java.time: it becomes 00:00:00 there. */
MOMENT(time_iso)
{
    (void)enc;
    (void)cell;
    *p++ = '"';
    p = put_time(p, v == DAY_US ? 0 : v, FRACTION_MINIMAL);
    return SLUICE_LAKE_DBZ_PUT(p, "Z\"");
}

static int32_t is_infinite(int64_t us)
{
    return us == INT64_MAX || us == INT64_MIN;
}

static int64_t finite_timestamp(int64_t us)
{
    return us == INT64_MAX ? INFINITE_TIMESTAMP : us == INT64_MIN ? MINUS_INFINITE_TIMESTAMP : us;
}

/* The sentinels are the same number in every unit but nanoseconds. */
MOMENT(timestamp_millis)
{
    (void)enc;
    (void)cell;
    return sluice_lake_put_i64(p, is_infinite(v) ? finite_timestamp(v) : floor_div(v, 1000));
}

MOMENT(timestamp_micros)
{
    (void)enc;
    (void)cell;
    return sluice_lake_put_i64(p, finite_timestamp(v));
}

MOMENT(timestamp_nanos)
{
    int64_t ns = v;
    if (!is_infinite(v) && __builtin_mul_overflow(v, INT64_C(1000), &ns)) {
        return sluice_lake_dbz_fail(enc, cell,
                                    "a timestamp outside the years 1677 to 2262 does not fit "
                                    "time_precision_mode nanoseconds (hint: microseconds)",
                                    p);
    }
    return sluice_lake_put_i64(p, ns);
}

MOMENT(timestamp_iso)
{
    (void)enc;
    (void)cell;
    return put_timestamp(p, finite_timestamp(v), FRACTION_MINIMAL);
}

MOMENT(timestamptz_iso)
{
    (void)enc;
    if (is_infinite(v)) {
        return v > 0 ? SLUICE_LAKE_DBZ_PUT(p, "\"infinity\"")
                     : SLUICE_LAKE_DBZ_PUT(p, "\"-infinity\"");
    }
    return put_timestamp(p, v, cell->digits > 0 ? cell->digits : FRACTION_MINIMAL);
}

static sluice_lake_dbz_moment_fn time_moment(int32_t mode, int32_t digits)
{
    switch (mode) {
    case SLUICE_LAKE_TIME_ADAPTIVE:
        return digits <= MILLI_DIGITS ? time_millis : time_micros;
    case SLUICE_LAKE_TIME_CONNECT:
        return time_millis;
    case SLUICE_LAKE_TIME_ISOSTRING:
        return time_iso;
    case SLUICE_LAKE_TIME_NANOSECONDS:
        return time_nanos;
    default:
        return time_micros;
    }
}

static sluice_lake_dbz_moment_fn timestamp_moment(int32_t mode, int32_t digits)
{
    switch (mode) {
    case SLUICE_LAKE_TIME_ADAPTIVE:
    case SLUICE_LAKE_TIME_ADAPTIVE_MICROSECONDS:
        return digits <= MILLI_DIGITS ? timestamp_millis : timestamp_micros;
    case SLUICE_LAKE_TIME_CONNECT:
        return timestamp_millis;
    case SLUICE_LAKE_TIME_ISOSTRING:
        return timestamp_iso;
    case SLUICE_LAKE_TIME_NANOSECONDS:
        return timestamp_nanos;
    default:
        return timestamp_micros;
    }
}

sluice_lake_dbz_moment_fn sluice_lake_dbz_moment(int32_t time_precision_mode, int32_t kind,
                                                 int32_t digits)
{
    switch (kind) {
    case SLUICE_LAKE_DBZ_DATE:
        return time_precision_mode == SLUICE_LAKE_TIME_ISOSTRING ? date_iso : date_days;
    case SLUICE_LAKE_DBZ_TIME:
        return time_moment(time_precision_mode, digits);
    case SLUICE_LAKE_DBZ_TIMESTAMP:
        return timestamp_moment(time_precision_mode, digits);
    case SLUICE_LAKE_DBZ_TIMESTAMPTZ:
        return timestamptz_iso;
    default:
        return NULL;
    }
}

/* ---------------------------------------------------------------- reading -------------------- */

struct cursor {
    const uint8_t *p;
    const uint8_t *end;
};

/* 1 to `max` digits. */
static int32_t read_digits(struct cursor *cur, int32_t max, int64_t *out)
{
    int32_t n = 0;
    int64_t v = 0;
    while (n < max && cur->p < cur->end && *cur->p >= '0' && *cur->p <= '9') {
        v = v * 10 + (*cur->p++ - '0');
        n++;
    }
    *out = v;
    return n;
}

static int32_t read_byte(struct cursor *cur, uint8_t c)
{
    if (cur->p < cur->end && *cur->p == c) {
        cur->p++;
        return 1;
    }
    return 0;
}

/* `2024-02-29`; the year as it stands, before BC is known. */
static int32_t read_ymd(struct cursor *cur, int64_t ymd[3])
{
    return read_digits(cur, 9, &ymd[0]) >= 4 && read_byte(cur, '-') &&
           read_digits(cur, 2, &ymd[1]) == 2 && read_byte(cur, '-') &&
           read_digits(cur, 2, &ymd[2]) == 2 && ymd[1] >= 1 && ymd[1] <= 12 && ymd[2] >= 1 &&
           ymd[2] <= 31;
}

/* ` BC` or nothing, at the end. */
static int32_t read_era(struct cursor *cur, int64_t ymd[3])
{
    if (cur->end - cur->p == 3 && memcmp(cur->p, " BC", 3) == 0) {
        ymd[0] = 1 - ymd[0];
        return 1;
    }
    return cur->p == cur->end;
}

/* `.123` behind seconds, as `scale` digits. */
static int32_t read_fraction(struct cursor *cur, int32_t scale, int64_t *out)
{
    *out = 0;
    if (!read_byte(cur, '.')) {
        return 1;
    }
    int32_t n = read_digits(cur, scale, out);
    if (n == 0) {
        return 0;
    }
    for (; n < scale; n++) {
        *out *= 10;
    }
    return 1;
}

static int32_t read_clock(struct cursor *cur, int64_t *us)
{
    int64_t h = 0;
    int64_t m = 0;
    int64_t s = 0;
    int64_t f = 0;
    if (read_digits(cur, 2, &h) != 2 || !read_byte(cur, ':') || read_digits(cur, 2, &m) != 2 ||
        !read_byte(cur, ':') || read_digits(cur, 2, &s) != 2 ||
        !read_fraction(cur, MICRO_DIGITS, &f)) {
        return 0;
    }
    *us = ((h * 60 + m) * 60 + s) * MILLION + f;
    return h <= 24 && m < 60 && s < 60 && *us <= DAY_US;
}

/* `+02`, `-05:30:15`, or nothing. */
static int32_t read_zone(struct cursor *cur, int64_t *seconds)
{
    int64_t part[3] = {0, 0, 0};
    *seconds = 0;
    if (cur->p == cur->end || (*cur->p != '+' && *cur->p != '-')) {
        return 1;
    }
    int32_t negative = *cur->p++ == '-';
    if (read_digits(cur, 2, &part[0]) != 2) {
        return 0;
    }
    for (int32_t i = 1; i < 3 && read_byte(cur, ':'); i++) {
        if (read_digits(cur, 2, &part[i]) != 2) {
            return 0;
        }
    }
    *seconds = (part[0] * 60 + part[1]) * 60 + part[2];
    *seconds = negative ? -*seconds : *seconds;
    return 1;
}

static int32_t is_infinity(const uint8_t *s, size_t n, int32_t *negative)
{
    *negative = n == 9 && memcmp(s, "-infinity", 9) == 0;
    return *negative || (n == 8 && memcmp(s, "infinity", 8) == 0);
}

int32_t sluice_lake_dbz_read_date(const uint8_t *s, size_t n, int64_t *days)
{
    struct cursor cur = {s, s + n};
    int64_t ymd[3];
    int32_t negative = 0;
    if (is_infinity(s, n, &negative)) {
        *days = negative ? INT32_MIN : INT32_MAX;
        return 1;
    }
    if (!read_ymd(&cur, ymd) || !read_era(&cur, ymd)) {
        return 0;
    }
    *days = days_from_civil(ymd[0], ymd[1], ymd[2]);
    return 1;
}

int32_t sluice_lake_dbz_read_time(const uint8_t *s, size_t n, int64_t *us)
{
    struct cursor cur = {s, s + n};
    return read_clock(&cur, us) && cur.p == cur.end;
}

int32_t sluice_lake_dbz_read_timestamp(const uint8_t *s, size_t n, int64_t *us)
{
    struct cursor cur = {s, s + n};
    int64_t ymd[3];
    int64_t clock = 0;
    int64_t zone = 0;
    int64_t v = 0;
    int32_t negative = 0;
    if (is_infinity(s, n, &negative)) {
        *us = negative ? INT64_MIN : INT64_MAX;
        return 1;
    }
    if (!read_ymd(&cur, ymd) || !read_byte(&cur, ' ') || !read_clock(&cur, &clock) ||
        !read_zone(&cur, &zone) || !read_era(&cur, ymd)) {
        return 0;
    }
    if (__builtin_mul_overflow(days_from_civil(ymd[0], ymd[1], ymd[2]), DAY_US, &v) ||
        __builtin_add_overflow(v, clock - zone * MILLION, &v)) {
        return 0;
    }
    *us = v;
    return 1;
}

/* ---------------------------------------------------------------- timetz --------------------- */

uint8_t *sluice_lake_dbz_text_timetz(struct sluice_lake_dbz *enc,
                                     const struct sluice_lake_dbz_cell *cell, const uint8_t *s,
                                     size_t n, uint8_t *p)
{
    struct cursor cur = {s, s + n};
    int64_t us = 0;
    int64_t zone = 0;
    if (!read_clock(&cur, &us) || !read_zone(&cur, &zone) || cur.p != cur.end) {
        return sluice_lake_dbz_fail(enc, cell, "time with time zone expected", p);
    }
    if (us != DAY_US || zone != 0) {
        us -= zone * MILLION;
        us -= floor_div(us, DAY_US) * DAY_US;
    }
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    *p++ = '"';
    p = put_time(p, us, FRACTION_MINIMAL);
    return SLUICE_LAKE_DBZ_PUT(p, "Z\"");
}

/* ---------------------------------------------------------------- intervals ------------------ */

struct interval {
    int64_t years;
    int64_t months;
    int64_t days;
    int64_t hours;
    int64_t minutes;
    int64_t ns; /* below a minute; signed as hours and minutes are */
};

/* Days per month as Debezium has it, 365.25 / 12, and its order of operations: the results agree to
 * the last bit. */
static int64_t interval_micros(const struct interval *iv)
{
    int64_t whole = iv->ns / BILLION;
    int64_t micros = iv->ns % BILLION / 1000;
    double seconds = (double)whole + (double)micros / 1e6;
    double days = (double)(iv->years * 12 + iv->months) * (365.25 / 12.0) + (double)iv->days;
    double all = (((days * 24 + (double)iv->hours) * 60) + (double)iv->minutes) * 60 + seconds;
    double us = all * 1e6;
    if (us >= 9223372036854775807.0) {
        return INT64_MAX;
    }
    return us <= -9223372036854775808.0 ? INT64_MIN : (int64_t)us;
}

/* `6.789`, `-6`, `0` */
static uint8_t *put_seconds(uint8_t *p, int64_t ns)
{
    if (ns < 0) {
        *p++ = '-';
        ns = -ns;
    }
    p = sluice_lake_put_i64(p, ns / BILLION);
    if (ns % BILLION == 0) {
        return p;
    }
    *p++ = '.';
    sluice_lake_fill_digits(p + 9, (uint64_t)(ns % BILLION), 9);
    p += 9;
    while (p[-1] == '0') {
        p--;
    }
    return p;
}

static uint8_t *put_interval(struct sluice_lake_dbz *enc, const struct interval *iv, uint8_t *p)
{
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    if (enc->options->interval_handling_mode == SLUICE_LAKE_INTERVAL_NUMERIC) {
        return sluice_lake_put_i64(p, interval_micros(iv));
    }
    p = SLUICE_LAKE_DBZ_PUT(p, "\"P");
    p = sluice_lake_put_i64(p, iv->years);
    *p++ = 'Y';
    p = sluice_lake_put_i64(p, iv->months);
    *p++ = 'M';
    p = sluice_lake_put_i64(p, iv->days);
    p = SLUICE_LAKE_DBZ_PUT(p, "DT");
    p = sluice_lake_put_i64(p, iv->hours);
    *p++ = 'H';
    p = sluice_lake_put_i64(p, iv->minutes);
    *p++ = 'M';
    p = put_seconds(p, iv->ns);
    return SLUICE_LAKE_DBZ_PUT(p, "S\"");
}

uint8_t *sluice_lake_dbz_put_interval(struct sluice_lake_dbz *enc, int32_t months, int32_t days,
                                      int64_t ns, uint8_t *p)
{
    struct interval iv = {.years = months / 12,
                          .months = months % 12,
                          .days = days,
                          .hours = ns / (3600 * BILLION),
                          .minutes = ns / (60 * BILLION) % 60,
                          .ns = ns % (60 * BILLION)};
    return put_interval(enc, &iv, p);
}

/* `[+-]hh:mm:ss.ffffff` behind its sign; cur is at the colon, `hours` was read. */
static int32_t read_interval_clock(struct cursor *cur, int64_t hours, int32_t negative,
                                   struct interval *iv)
{
    int64_t m = 0;
    int64_t s = 0;
    int64_t f = 0;
    if (!read_byte(cur, ':') || read_digits(cur, 2, &m) != 2 || !read_byte(cur, ':') ||
        read_digits(cur, 2, &s) != 2 || !read_fraction(cur, 9, &f)) {
        return 0;
    }
    int64_t sign = negative ? -1 : 1;
    iv->hours = sign * hours;
    iv->minutes = sign * m;
    iv->ns = sign * (s * BILLION + f);
    return cur->p == cur->end;
}

/* The unit behind a number: `mons` with or without its s. NULL for none of them. */
static int64_t *read_unit(struct cursor *cur, struct interval *iv)
{
    static const char *const names[] = {"year", "mon", "day"};
    int64_t *const parts[] = {&iv->years, &iv->months, &iv->days};
    for (int32_t i = 0; i < 3; i++) {
        size_t n = strlen(names[i]);
        if ((size_t)(cur->end - cur->p) >= n && memcmp(cur->p, names[i], n) == 0) {
            cur->p += n;
            (void)read_byte(cur, 's');
            return parts[i];
        }
    }
    return NULL;
}

/* `1 year 2 mons -3 days +04:05:06.7`, as intervalstyle postgres prints it. */
static int32_t read_interval(const uint8_t *s, size_t n, struct interval *iv)
{
    struct cursor cur = {s, s + n};
    memset(iv, 0, sizeof *iv);
    for (;;) {
        int64_t v = 0;
        int32_t negative = read_byte(&cur, '-');
        if (!negative) {
            (void)read_byte(&cur, '+');
        }
        if (read_digits(&cur, 18, &v) == 0) {
            return 0;
        }
        if (cur.p < cur.end && *cur.p == ':') {
            return read_interval_clock(&cur, v, negative, iv);
        }
        int64_t *part = read_byte(&cur, ' ') ? read_unit(&cur, iv) : NULL;
        if (part == NULL || v > INT32_MAX + INT64_C(1)) {
            return 0;
        }
        *part = negative ? -v : v;
        if (cur.p == cur.end) {
            return 1;
        }
        if (!read_byte(&cur, ' ')) {
            return 0;
        }
    }
}

uint8_t *sluice_lake_dbz_text_interval(struct sluice_lake_dbz *enc,
                                       const struct sluice_lake_dbz_cell *cell, const uint8_t *s,
                                       size_t n, uint8_t *p)
{
    struct interval iv;
    int32_t negative = 0;
    if (read_interval(s, n, &iv)) {
        return put_interval(enc, &iv, p);
    }
    if (!is_infinity(s, n, &negative)) {
        return sluice_lake_dbz_fail(enc, cell, "interval expected", p);
    }
    if (enc->options->interval_handling_mode != SLUICE_LAKE_INTERVAL_NUMERIC) {
        return sluice_lake_dbz_put_string(enc, s, n, p);
    }
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    return sluice_lake_put_i64(p, negative ? INT64_MIN : INT64_MAX);
}
