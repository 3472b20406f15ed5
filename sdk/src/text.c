/* The canonical text of a value. */
#include "sluice/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

#define US_PER_SECOND 1000000
#define US_PER_DAY 86400000000

static uint64_t put(char *to, const char *text)
{
    uint64_t n = strlen(text);
    memcpy(to, text, n);
    return n;
}

static uint64_t integer_text(const struct sluice_view *v, int64_t i, char *to)
{
    int64_t s = 0;
    uint64_t u = 0;
    switch (v->type.id) {
    case SLUICE_TYPE_INT8:
        s = sluice_view_i8(v, i);
        break;
    case SLUICE_TYPE_INT16:
        s = sluice_view_i16(v, i);
        break;
    case SLUICE_TYPE_INT32:
        s = sluice_view_i32(v, i);
        break;
    case SLUICE_TYPE_INT64:
        s = sluice_view_i64(v, i);
        break;
    case SLUICE_TYPE_UINT8:
        u = sluice_view_u8(v, i);
        break;
    case SLUICE_TYPE_UINT16:
        u = sluice_view_u16(v, i);
        break;
    case SLUICE_TYPE_UINT32:
        u = sluice_view_u32(v, i);
        break;
    default:
        u = sluice_view_u64(v, i);
        break;
    }
    return (uint64_t)(s != 0 ? snprintf(to, 24, "%" PRId64, s) : snprintf(to, 24, "%" PRIu64, u));
}

/* Plugins run under the "C" locale of the engine, so the point is a point. */
static uint64_t float_text(double value, int first, int last, int single, char *to)
{
    if (value != value) {
        return put(to, "NaN");
    }
    if (value - value != 0) {
        return put(to, value > 0 ? "Infinity" : "-Infinity");
    }
    int n = 0;
    for (int digits = first; digits <= last; digits++) {
        n = snprintf(to, 40, "%.*g", digits, value);
        int same = single ? strtof(to, NULL) == (float)value : strtod(to, NULL) == value;
        if (same) {
            break;
        }
    }
    return (uint64_t)n;
}

/* Digits of a magnitude of four words, most significant first; at most 78. Destroys it. */
static int magnitude_digits(uint64_t w[4], char digits[80])
{
    char reversed[84];
    int n = 0;
    while ((w[0] | w[1] | w[2] | w[3]) != 0) {
        uint64_t rest = 0;
        for (int k = 3; k >= 0; k--) {
            uint64_t hi = rest << 32 | w[k] >> 32;
            uint64_t lo = (hi % 1000000000u) << 32 | (w[k] & 0xffffffffu);
            w[k] = (hi / 1000000000u) << 32 | lo / 1000000000u;
            rest = lo % 1000000000u;
        }
        int more = (w[0] | w[1] | w[2] | w[3]) != 0;
        for (int d = 0; d < 9 && (more || rest != 0); d++) {
            reversed[n++] = (char)('0' + rest % 10u);
            rest /= 10u;
        }
    }
    for (int k = 0; k < n; k++) {
        digits[k] = reversed[n - 1 - k];
    }
    return n;
}

static uint64_t decimal_text(const struct sluice_view *v, int64_t i, char *to)
{
    uint64_t w[4] = {0, 0, 0, 0};
    int words = v->type.width / 8;
    memcpy(w, sluice_view_fixed(v, i), (size_t)v->type.width);
    int negative = (w[words - 1] >> 63) != 0;
    if (negative) {
        uint64_t low = 0;
        uint64_t carry = 1;
        for (int k = 0; k < words; k++) {
            low |= k < words - 1 ? w[k] : 0;
            w[k] = ~w[k] + carry;
            carry = carry != 0 && w[k] == 0;
        }
        if (low == 0 && w[words - 1] == (uint64_t)1 << 63 && v->schema != NULL &&
            sluice_schema_metadata_is(v->schema, "sluice:special", "1")) {
            return put(to, "NaN");
        }
    }
    char digits[80];
    int n = magnitude_digits(w, digits);
    int scale = v->type.scale;
    char *at = to;
    if (negative) {
        *at++ = '-';
    }
    int whole = n - scale; /* digits before the point, zeros for a negative scale included */
    if (whole <= 0 || n == 0) {
        *at++ = '0';
    }
    for (int k = 0; k < whole && n > 0; k++) {
        *at++ = k < n ? digits[k] : '0';
    }
    if (scale > 0) {
        *at++ = '.';
        for (int k = 0; k < scale; k++) {
            int from = n - scale + k;
            *at++ = from >= 0 ? digits[from] : '0';
        }
    }
    return (uint64_t)(at - to);
}

/* Proleptic Gregorian date of a day number (days since 1970-01-01). */
static void civil(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *year = yoe + era * 400 + (*month <= 2);
}

static int date_text(int64_t days, char *to, int *bc)
{
    int64_t year = 0;
    unsigned month = 0;
    unsigned day = 0;
    civil(days, &year, &month, &day);
    *bc = year <= 0;
    return snprintf(to, 40, "%04" PRId64 "-%02u-%02u", year <= 0 ? 1 - year : year, month, day);
}

static int time_text(int64_t us, char *to)
{
    int64_t s = us / US_PER_SECOND;
    int n = snprintf(to, 40, "%02d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
    int fraction = (int)(us % US_PER_SECOND);
    if (fraction != 0) {
        n += snprintf(to + n, 16, ".%06d", fraction);
        while (to[n - 1] == '0') {
            n--;
        }
    }
    return n;
}

static int is_special(const struct sluice_view *v)
{
    return v->schema != NULL && sluice_schema_metadata_is(v->schema, "sluice:special", "1");
}

static uint64_t date_value_text(const struct sluice_view *v, int64_t i, char *to)
{
    int32_t days = sluice_view_i32(v, i);
    int bc = 0;
    if ((days == INT32_MAX || days == INT32_MIN) && is_special(v)) {
        return put(to, days > 0 ? "infinity" : "-infinity");
    }
    int n = date_text(days, to, &bc);
    return (uint64_t)n + (bc ? put(to + n, " BC") : 0);
}

static uint64_t timestamp_text(const struct sluice_view *v, int64_t i, char *to)
{
    int64_t us = sluice_view_i64(v, i);
    int bc = 0;
    if ((us == INT64_MAX || us == INT64_MIN) && is_special(v)) {
        return put(to, us > 0 ? "infinity" : "-infinity");
    }
    int64_t days = us / US_PER_DAY;
    int64_t rest = us % US_PER_DAY;
    if (rest < 0) {
        rest += US_PER_DAY;
        days--;
    }
    int n = date_text(days, to, &bc);
    to[n++] = 'T';
    n += time_text(rest, to + n);
    uint64_t size = (uint64_t)n;
    if (v->type.id == SLUICE_TYPE_TIMESTAMP_US_UTC) {
        size += put(to + size, "+00:00");
    }
    return size + (bc ? put(to + size, " BC") : 0);
}

/* A number and its unit, left out when 0. */
static int unit_text(char *to, int64_t n, char unit)
{
    return n == 0 ? 0 : snprintf(to, 32, "%" PRId64 "%c", n, unit);
}

static uint64_t interval_text(const struct sluice_view *v, int64_t i, char *to)
{
    const uint8_t *p = sluice_view_fixed(v, i);
    int32_t months = 0;
    int32_t days = 0;
    int64_t ns = 0;
    memcpy(&months, p, 4);
    memcpy(&days, p + 4, 4);
    memcpy(&ns, p + 8, 8);
    int n = 0;
    to[n++] = 'P';
    n += unit_text(to + n, months / 12, 'Y');
    n += unit_text(to + n, months % 12, 'M');
    n += unit_text(to + n, days, 'D');
    if (ns != 0 || n == 1) {
        int64_t s = ns / 1000000000;
        int64_t fraction = ns % 1000000000;
        to[n++] = 'T';
        n += unit_text(to + n, s / 3600, 'H');
        n += unit_text(to + n, s / 60 % 60, 'M');
        s %= 60;
        if (fraction != 0) {
            n += snprintf(to + n, 48, "%s%" PRId64 ".%09" PRId64, ns < 0 ? "-" : "", s < 0 ? -s : s,
                          fraction < 0 ? -fraction : fraction);
            while (to[n - 1] == '0') {
                n--;
            }
            to[n++] = 'S';
        }
        else if (s != 0 || ns == 0) {
            n += snprintf(to + n, 32, "%" PRId64 "S", s);
        }
    }
    return (uint64_t)n;
}

sluice_status sluice_view_text(const struct sluice_view *view, int64_t i, char *buffer,
                               struct sluice_bytes *out, struct sluice_error *err)
{
    uint64_t n = 0;
    switch (view->type.id) {
    case SLUICE_TYPE_BOOL:
        n = put(buffer, sluice_view_bool(view, i) ? "true" : "false");
        break;
    case SLUICE_TYPE_FLOAT32:
        n = float_text((double)sluice_view_f32(view, i), 6, 9, 1, buffer);
        break;
    case SLUICE_TYPE_FLOAT64:
        n = float_text(sluice_view_f64(view, i), 15, 17, 0, buffer);
        break;
    case SLUICE_TYPE_DECIMAL128:
    case SLUICE_TYPE_DECIMAL256:
        n = decimal_text(view, i, buffer);
        break;
    case SLUICE_TYPE_DATE32:
        n = date_value_text(view, i, buffer);
        break;
    case SLUICE_TYPE_TIME64_US:
        n = (uint64_t)time_text(sluice_view_i64(view, i), buffer);
        break;
    case SLUICE_TYPE_TIMESTAMP_US:
    case SLUICE_TYPE_TIMESTAMP_US_UTC:
        n = timestamp_text(view, i, buffer);
        break;
    case SLUICE_TYPE_INTERVAL:
        n = interval_text(view, i, buffer);
        break;
    case SLUICE_TYPE_UTF8:
    case SLUICE_TYPE_BINARY:
        *out = sluice_view_bytes(view, i);
        return SLUICE_OK;
    case SLUICE_TYPE_LARGE_UTF8:
    case SLUICE_TYPE_LARGE_BINARY:
        out->data = view->values + view->large_offsets[i];
        out->size = (uint64_t)(view->large_offsets[i + 1] - view->large_offsets[i]);
        return SLUICE_OK;
    case SLUICE_TYPE_FIXED_BINARY:
        out->data = sluice_view_fixed(view, i);
        out->size = (uint64_t)view->type.width;
        return SLUICE_OK;
    case SLUICE_TYPE_LIST:
    case SLUICE_TYPE_STRUCT:
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "a list or struct has no canonical text");
    default:
        n = integer_text(view, i, buffer);
        break;
    }
    out->data = buffer;
    out->size = n;
    return SLUICE_OK;
}
