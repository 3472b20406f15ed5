/* Integers and floats from text. Values are not NUL-terminated, and the locale must not matter. */
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "pg/decode_internal.h"

__extension__ typedef unsigned __int128 u128;

/* ---------------------------------------------------------------- integers ------------------- */

enum { INT64_DIGITS = 19, OID_DIGITS = 10 };

/* 1 if the text is an integer of 64 bits. */
static int parse_int(const uint8_t *p, uint32_t size, int64_t *out)
{
    uint32_t negative = size > 0 && p[0] == '-';
    uint64_t acc = 0;
    if (size - negative < 1 || size - negative > INT64_DIGITS) {
        return 0;
    }
    for (uint32_t i = negative; i < size; i++) {
        uint8_t digit = (uint8_t)(p[i] - '0');
        if (digit > 9) {
            return 0;
        }
        acc = acc * 10 + digit;
    }
    if (acc > (uint64_t)INT64_MAX + negative) {
        return 0;
    }
    *out = (int64_t)(negative ? 0 - acc : acc);
    return 1;
}

sluice_status sluice_pg_text_int16(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                   struct sluice_error *err)
{
    int64_t v = 0;
    if (!parse_int(p, size, &v) || v < INT16_MIN || v > INT16_MAX) {
        return sluice_pg_no_value(err, "smallint");
    }
    sluice_column_put_i16(d->column, (int16_t)v);
    return SLUICE_OK;
}

sluice_status sluice_pg_text_int32(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                   struct sluice_error *err)
{
    int64_t v = 0;
    if (!parse_int(p, size, &v) || v < INT32_MIN || v > INT32_MAX) {
        return sluice_pg_no_value(err, "integer");
    }
    sluice_column_put_i32(d->column, (int32_t)v);
    return SLUICE_OK;
}

sluice_status sluice_pg_text_int64(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                   struct sluice_error *err)
{
    int64_t v = 0;
    if (!parse_int(p, size, &v)) {
        return sluice_pg_no_value(err, "bigint");
    }
    sluice_column_put_i64(d->column, v);
    return SLUICE_OK;
}

/* The cell is text too, so only its one spelling will do. */
sluice_status sluice_pg_text_oid(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                 struct sluice_error *err)
{
    int64_t v = 0;
    if (size > OID_DIGITS || !parse_int(p, size, &v) || v > UINT32_MAX || p[0] == '-' ||
        (p[0] == '0' && size > 1)) {
        return sluice_pg_no_value(err, "oid");
    }
    return sluice_column_put_bytes(d->column, p, size, err);
}

/* ---------------------------------------------------------------- floats --------------------- */

/* Digits that surely fit 64 bits; the longest text of a float that the server prints is 24 bytes. */
enum { MANTISSA_DIGITS = 19, FLOAT_TEXT_MAX = 63 };
/* 10^21 leaves a quotient of 128 bits more than 53 bits; 10^19 times a mantissa fits 128 bits. */
enum { DIVIDE_MAX = 21, MULTIPLY_MAX = 19 };

/* The layout of an IEEE 754 number. */
struct layout {
    int precision; /* bits, with the one that is not stored */
    int bias;
};
static const struct layout layout32 = {24, 127};
static const struct layout layout64 = {53, 1023};

struct decimal {
    uint64_t mantissa;
    int32_t exponent; /* of ten */
    int negative;
    int exact; /* all digits are in the mantissa */
};

/* Takes digits into the mantissa; counts all of them. */
static const uint8_t *take_digits(const uint8_t *p, const uint8_t *end, struct decimal *out,
                                  int32_t step)
{
    for (; p < end && (uint8_t)(*p - '0') <= 9; p++) {
        if (out->mantissa >= UINT64_MAX / 10 - 1) {
            out->exact = 0;
            continue;
        }
        out->mantissa = out->mantissa * 10 + (uint64_t)(*p - '0');
        out->exponent -= step;
    }
    return p;
}

/* [-]digits[.digits][e[+-]digits]; 1 if the text is that. */
static int parse_decimal(const uint8_t *p, uint32_t size, struct decimal *out)
{
    const uint8_t *end = p + size;
    memset(out, 0, sizeof *out);
    out->exact = 1;
    out->negative = size > 0 && *p == '-';
    p += out->negative;
    const uint8_t *start = p;
    p = take_digits(p, end, out, 0);
    if (p == start) {
        return 0;
    }
    if (p < end && *p == '.') {
        start = ++p;
        p = take_digits(p, end, out, 1);
        if (p == start) {
            return 0;
        }
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        int minus = p < end && *p == '-';
        p += p < end && (*p == '-' || *p == '+');
        int32_t exponent = 0;
        start = p;
        for (; p < end && p - start < 4 && (uint8_t)(*p - '0') <= 9; p++) {
            exponent = exponent * 10 + (*p - '0');
        }
        if (p == start) {
            return 0;
        }
        out->exponent += minus ? -exponent : exponent;
    }
    return p == end;
}

static int width_of(u128 v)
{
    uint64_t high = (uint64_t)(v >> 64);
    uint64_t low = (uint64_t)v;
    return high != 0 ? 128 - __builtin_clzll(high) : low != 0 ? 64 - __builtin_clzll(low) : 0;
}

/* The bits of the number nearest to v * 2^exponent, ties to even; `sticky`: v was cut. 0 if it is
 * not a normal number. */
static int round_to(u128 v, int exponent, int sticky, const struct layout *l, uint64_t *out)
{
    int width = width_of(v);
    int shift = width - l->precision;
    uint64_t kept = 0;
    if (shift <= 0) {
        kept = (uint64_t)v << -shift;
    }
    else {
        u128 rest = v & (((u128)1 << shift) - 1);
        u128 half = (u128)1 << (shift - 1);
        kept = (uint64_t)(v >> shift);
        kept += rest > half || (rest == half && (sticky || (kept & 1) != 0));
        if (kept >> l->precision != 0) {
            kept >>= 1;
            width++;
        }
    }
    int biased = exponent + width - 1 + l->bias;
    if (biased < 1 || biased > 2 * l->bias) {
        return 0;
    }
    uint64_t hidden = 1ull << (l->precision - 1);
    *out = (uint64_t)biased << (l->precision - 1) | (kept & (hidden - 1));
    return 1;
}

/* Exact integer arithmetic where the decimal exponent is small: most values. 0 = not this way. */
static int float_quick(const struct decimal *n, const struct layout *l, uint64_t *out)
{
    static const uint64_t pow10[] = {1ull,
                                     10ull,
                                     100ull,
                                     1000ull,
                                     10000ull,
                                     100000ull,
                                     1000000ull,
                                     10000000ull,
                                     100000000ull,
                                     1000000000ull,
                                     10000000000ull,
                                     100000000000ull,
                                     1000000000000ull,
                                     10000000000000ull,
                                     100000000000000ull,
                                     1000000000000000ull,
                                     10000000000000000ull,
                                     100000000000000000ull,
                                     1000000000000000000ull,
                                     10000000000000000000ull};
    if (!n->exact || n->exponent < -DIVIDE_MAX || n->exponent > MULTIPLY_MAX) {
        return 0;
    }
    if (n->exponent >= 0) {
        return round_to((u128)n->mantissa * pow10[n->exponent], 0, 0, l, out);
    }
    int down = -n->exponent;
    u128 divisor =
        down <= MULTIPLY_MAX ? pow10[down] : (u128)pow10[MULTIPLY_MAX] * pow10[down - MULTIPLY_MAX];
    int shift = 128 - width_of(n->mantissa);
    u128 dividend = (u128)n->mantissa << shift;
    u128 quotient = dividend / divisor;
    return round_to(quotient, -shift, quotient * divisor != dividend, l, out);
}

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* The C library, for what is rare: far exponents and subnormal numbers. */
static int float_slow(const uint8_t *p, uint32_t size, int negative, const struct layout *l,
                      uint64_t *out)
{
    char text[FLOAT_TEXT_MAX + 1];
    char *end = NULL;
    (void)pthread_once(&c_locale_once, make_c_locale);
    if (c_locale == (locale_t)0) {
        return 0;
    }
    memcpy(text, p + negative, size - (uint32_t)negative);
    text[size - (uint32_t)negative] = '\0';
    if (l == &layout32) {
        uint32_t bits = 0;
        float v = strtof_l(text, &end, c_locale);
        memcpy(&bits, &v, sizeof bits);
        *out = bits;
    }
    else {
        double v = strtod_l(text, &end, c_locale);
        memcpy(out, &v, sizeof v);
    }
    uint64_t infinity = (uint64_t)(2 * l->bias + 1) << (l->precision - 1);
    return *end == '\0' && *out != 0 && *out < infinity;
}

static sluice_status parse_float(const uint8_t *p, uint32_t size, const struct layout *l,
                                 uint64_t *out, struct sluice_error *err)
{
    struct decimal n;
    uint64_t sign = (uint64_t)(l->bias + 1) << l->precision; /* the bit above the exponent */
    uint64_t infinity = (uint64_t)(2 * l->bias + 1) << (l->precision - 1);
    if (size <= FLOAT_TEXT_MAX && parse_decimal(p, size, &n)) {
        *out = 0;
        if ((n.mantissa == 0 && n.exact) || float_quick(&n, l, out) ||
            float_slow(p, size, n.negative, l, out)) {
            *out |= n.negative ? sign : 0;
            return SLUICE_OK;
        }
    }
    else if (size == 3 && memcmp(p, "NaN", 3) == 0) {
        *out = infinity | 1ull << (l->precision - 2);
        return SLUICE_OK;
    }
    else if (size == 8 && memcmp(p, "Infinity", 8) == 0) {
        *out = infinity;
        return SLUICE_OK;
    }
    else if (size == 9 && memcmp(p, "-Infinity", 9) == 0) {
        *out = infinity | sign;
        return SLUICE_OK;
    }
    return sluice_pg_no_value(err, l == &layout32 ? "real" : "double precision");
}

sluice_status sluice_pg_text_float32(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                     struct sluice_error *err)
{
    uint64_t bits = 0;
    SLUICE_TRY(parse_float(p, size, &layout32, &bits, err));
    sluice_column_put_i32(d->column, (int32_t)(uint32_t)bits);
    return SLUICE_OK;
}

sluice_status sluice_pg_text_float64(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                     struct sluice_error *err)
{
    uint64_t bits = 0;
    SLUICE_TRY(parse_float(p, size, &layout64, &bits, err));
    sluice_column_put_i64(d->column, (int64_t)bits);
    return SLUICE_OK;
}
