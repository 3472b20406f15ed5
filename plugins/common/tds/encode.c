#include "tds/encode.h"

#include <string.h>

__extension__ typedef unsigned __int128 u128;

#define DAY_US 86400000000ll
enum {
    DAYS_1900 = 25567, /* 1970-01-01 - 1900-01-01 */
    DAY_MIN = -719162, /* 0001-01-01, since 1970 */
    DAY_MAX = 2932896, /* 9999-12-31 */
    DAY_1753 = -79257, /* where datetime begins */
    OFFSET_MOST = 14 * 60,
    DIGITS = 38
};

/* ---- texts ---- */

/* Length of the UTF-8 sequence that begins at p (RFC 3629: shortest form, no surrogates), or 0; *code is its
 * character. */
static uint64_t take_character(const uint8_t *p, uint64_t left, uint32_t *code)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const uint64_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (n == 0 || n > left || p[0] > 0xf4) {
        return 0;
    }
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (uint64_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3fu);
    }
    *code = c;
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

static void put_unit(uint8_t *out, uint32_t unit)
{
    out[0] = (uint8_t)(unit & 0xff);
    out[1] = (uint8_t)(unit >> 8);
}

int32_t sluice_tds_encode_utf16(const uint8_t *text, uint64_t size, uint64_t max_units,
                                uint8_t *out, uint64_t *bytes)
{
    uint64_t units = 0;
    uint32_t code = 0;
    for (uint64_t i = 0; i < size;) {
        const uint64_t n = take_character(text + i, size - i, &code);
        const uint64_t need = code >= 0x10000 ? 2 : 1;
        if (n == 0) {
            return SLUICE_TDS_MALFORMED;
        }
        if (max_units - units < need) {
            return SLUICE_TDS_TOO_LARGE;
        }
        if (need == 2) {
            put_unit(out + 2 * units, 0xd800 + ((code - 0x10000) >> 10));
            put_unit(out + 2 * units + 2, 0xdc00 + (code & 0x3ff));
        }
        else {
            put_unit(out + 2 * units, code);
        }
        units += need;
        i += n;
    }
    *bytes = 2 * units;
    return SLUICE_TDS_FITS;
}

/* ---- decimals ---- */

static u128 power(int32_t n)
{
    u128 value = 1;
    for (int32_t i = 0; i < n; i++) {
        value *= 10;
    }
    return value;
}

/* *value · 10^n, or exactly / 10^-n. */
static int32_t rescale(u128 *value, int32_t n)
{
    if (*value == 0 || n == 0) {
        return SLUICE_TDS_FITS;
    }
    if (n > 0) {
        if (n > DIGITS || *value > (power(DIGITS) - 1) / power(n)) {
            return SLUICE_TDS_TOO_LARGE;
        }
        *value *= power(n);
        return SLUICE_TDS_FITS;
    }
    if (-n > DIGITS || *value % power(-n) != 0) {
        return SLUICE_TDS_TOO_FINE;
    }
    *value /= power(-n);
    return SLUICE_TDS_FITS;
}

int32_t sluice_tds_encode_decimal(const uint8_t value[16], int32_t from_scale, int32_t precision,
                                  int32_t scale, DBDECIMAL *out)
{
    uint64_t words[2];
    memcpy(words, value, sizeof words);
    u128 magnitude = (u128)words[1] << 64 | words[0];
    const int negative = words[1] >> 63 != 0;
    magnitude = negative ? 0 - magnitude : magnitude;
    const int32_t verdict = rescale(&magnitude, scale - from_scale);
    if (verdict != SLUICE_TDS_FITS) {
        return verdict;
    }
    if (magnitude >= power(precision)) {
        return SLUICE_TDS_TOO_LARGE;
    }
    /* Bytes that a magnitude of so many digits takes: log2(10) / 8 for each. */
    const uint32_t bytes = ((uint32_t)precision * 83241u + 200399u) / 200400u;
    memset(out, 0, sizeof *out);
    out->precision = (unsigned char)precision;
    out->scale = (unsigned char)scale;
    out->array[0] = negative ? 1 : 0;
    for (uint32_t i = bytes; i > 0; i--, magnitude >>= 8) {
        out->array[i] = (unsigned char)(magnitude & 0xff);
    }
    return SLUICE_TDS_FITS;
}

/* ---- times ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Whether `us` of a day has no digit behind the first `scale` ones of its second. */
static int is_coarse(int64_t us, int32_t scale)
{
    int64_t step = 1;
    for (int32_t i = scale; i < 6; i++) {
        step *= 10;
    }
    return us % step == 0;
}

static int32_t fill(int64_t days, int64_t us, int32_t scale, DBDATETIMEALL *out)
{
    memset(out, 0, sizeof *out);
    if (!is_coarse(us, scale)) {
        return SLUICE_TDS_TOO_FINE;
    }
    out->date = (DBINT)(days + DAYS_1900);
    out->time = (DBUBIGINT)us * 10;
    out->time_prec = 7; /* bulk load declares every column as of seven digits */
    return SLUICE_TDS_FITS;
}

int32_t sluice_tds_encode_date(int32_t days, DBDATETIMEALL *out)
{
    if (days < DAY_MIN || days > DAY_MAX) {
        return SLUICE_TDS_TOO_LARGE;
    }
    const int32_t verdict = fill(days, 0, 0, out);
    out->has_date = 1;
    return verdict;
}

int32_t sluice_tds_encode_time(int64_t us, int32_t scale, DBDATETIMEALL *out)
{
    if (us < 0 || us > DAY_US) {
        return SLUICE_TDS_MALFORMED;
    }
    if (us == DAY_US) {
        return SLUICE_TDS_TOO_LARGE;
    }
    const int32_t verdict = fill(-DAYS_1900, us, scale, out);
    out->has_time = 1;
    return verdict;
}

int32_t sluice_tds_encode_datetime2(int64_t us, int32_t scale, DBDATETIMEALL *out)
{
    const int64_t days = floor_div(us, DAY_US);
    if (days < DAY_MIN || days > DAY_MAX) {
        return SLUICE_TDS_TOO_LARGE;
    }
    const int32_t verdict = fill(days, us - days * DAY_US, scale, out);
    out->has_date = 1;
    out->has_time = 1;
    return verdict;
}

int32_t sluice_tds_encode_datetimeoffset(int64_t us, int32_t offset, int32_t scale,
                                         DBDATETIMEALL *out)
{
    if (offset < -OFFSET_MOST || offset > OFFSET_MOST) {
        return SLUICE_TDS_MALFORMED;
    }
    /* Days are looked at first, so that adding the offset cannot overflow. */
    const int64_t shift = (int64_t)offset * 60000000;
    const int64_t days = floor_div(us, DAY_US);
    if (days < DAY_MIN || days > DAY_MAX) {
        return SLUICE_TDS_TOO_LARGE;
    }
    const int64_t local = floor_div(us + shift, DAY_US);
    if (local < DAY_MIN || local > DAY_MAX) {
        return SLUICE_TDS_TOO_LARGE;
    }
    const int32_t verdict = sluice_tds_encode_datetime2(us, scale, out);
    out->offset = (DBSMALLINT)offset;
    out->has_offset = 1;
    return verdict;
}

int32_t sluice_tds_encode_datetime(int64_t us, DBDATETIME *out)
{
    const int64_t days = floor_div(us, DAY_US);
    const int64_t rest = us - days * DAY_US;
    if (days < DAY_1753 || days > DAY_MAX) {
        return SLUICE_TDS_TOO_LARGE;
    }
    /* 1/300 s print as .000, .003, .007: the nearest one, if it prints as this. */
    const int64_t parts = (rest / 1000 * 3 + 5) / 10;
    if (rest % 1000 != 0 || (parts * 10 + 1) / 3 != rest / 1000) {
        return SLUICE_TDS_TOO_FINE;
    }
    out->dtdays = (DBINT)(days + DAYS_1900);
    out->dttime = (DBINT)parts;
    return SLUICE_TDS_FITS;
}

void sluice_tds_encode_guid(const uint8_t uuid[16], uint8_t out[16])
{
    static const uint8_t from[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int i = 0; i < 16; i++) {
        out[i] = uuid[from[i]];
    }
}
