/* Numbers as Java prints them and as Kafka Connect's Decimal packs them. */
#include <stdlib.h>

#include "lake/debezium.h"
#include "lake/decimals.h"
#include "lake/digits.h"
#include "lake/escape.h"
#include "lake/floats.h"

__extension__ typedef __int128 i128;

enum {
    FLOAT_TEXT = 40,   /* bytes of a float's text; PostgreSQL prints 24 at most */
    FLOAT_DIGITS = 24, /* significant digits; shortest forms have 17 */
    INT64_DIGITS = 18,
    INT128_DIGITS = 38,
    EXACT_POWERS = 23,
    GROUP_DIGITS = 9,
    GROUP = 1000000000,
    NUMBER_DIGITS = 200000 /* PostgreSQL's numeric has 147455 at most */
};

/* ---------------------------------------------------------------- floats --------------------- */

/* ±d.ddd × 10^exponent, without leading and trailing zeros; no digits = 0. */
struct float_parts {
    uint8_t digits[FLOAT_DIGITS];
    uint32_t count;
    int32_t exponent;
    int32_t negative;
};

static int32_t is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* `e+20` at s: adds it; 0 if it is malformed. */
static int32_t read_exponent(const uint8_t *s, const uint8_t *end, int32_t *exponent)
{
    int32_t negative = 0;
    int32_t v = 0;
    s++;
    if (s < end && (*s == '+' || *s == '-')) {
        negative = *s++ == '-';
    }
    if (s == end || end - s > 4) {
        return 0;
    }
    for (; s < end; s++) {
        if (!is_digit(*s)) {
            return 0;
        }
        v = v * 10 + (*s - '0');
    }
    *exponent += negative ? -v : v;
    return 1;
}

static int32_t read_parts(const uint8_t *s, size_t n, struct float_parts *out)
{
    const uint8_t *end = s + n;
    int32_t point = -1; /* digits before the point */
    int32_t seen = 0;   /* digits so far */
    int32_t skipped = 0;
    memset(out, 0, sizeof *out);
    if (n == 0 || n > FLOAT_TEXT) {
        return 0;
    }
    if (*s == '-') {
        out->negative = 1;
        s++;
    }
    for (; s < end && (is_digit(*s) || *s == '.'); s++) {
        if (*s == '.') {
            if (point >= 0) {
                return 0;
            }
            point = seen;
            continue;
        }
        seen++;
        if (out->count == 0 && *s == '0') {
            skipped++;
        }
        else if (out->count == FLOAT_DIGITS) {
            return 0;
        }
        else {
            out->digits[out->count++] = *s;
        }
    }
    if (seen == 0) {
        return 0;
    }
    out->exponent = (point >= 0 ? point : seen) - skipped - 1;
    if (s < end && ((*s != 'e' && *s != 'E') || !read_exponent(s, end, &out->exponent))) {
        return 0;
    }
    while (out->count > 0 && out->digits[out->count - 1] == '0') {
        out->count--;
    }
    return 1;
}

/* 0.00ddd, dd.dd or ddd00.0 */
static uint8_t *put_plain(uint8_t *p, const struct float_parts *f)
{
    int32_t whole = f->exponent + 1; /* digits before the point */
    uint32_t i = 0;
    if (whole <= 0) {
        p = SLUICE_LAKE_DBZ_PUT(p, "0.");
        for (; whole < 0; whole++) {
            *p++ = '0';
        }
        return sluice_lake_dbz_put(p, (const char *)f->digits, f->count);
    }
    for (; whole > 0; whole--) {
        *p++ = i < f->count ? f->digits[i++] : (uint8_t)'0';
    }
    *p++ = '.';
    if (i == f->count) {
        *p++ = '0';
        return p;
    }
    return sluice_lake_dbz_put(p, (const char *)f->digits + i, f->count - i);
}

static uint8_t *put_parts(uint8_t *p, const struct float_parts *f)
{
    if (f->negative) {
        *p++ = '-';
    }
    if (f->count == 0) {
        return SLUICE_LAKE_DBZ_PUT(p, "0.0");
    }
    if (f->exponent >= -3 && f->exponent < 7) {
        return put_plain(p, f);
    }
    *p++ = f->digits[0];
    *p++ = '.';
    if (f->count == 1) {
        *p++ = '0';
    }
    else {
        p = sluice_lake_dbz_put(p, (const char *)f->digits + 1, f->count - 1);
    }
    *p++ = 'E';
    return sluice_lake_put_i64(p, f->exponent);
}

static int32_t is_text(const uint8_t *s, size_t n, const char *text)
{
    return n == strlen(text) && memcmp(s, text, n) == 0;
}

static int32_t is_word(const uint8_t *s, size_t n)
{
    return is_text(s, n, "NaN") || is_text(s, n, "Infinity") || is_text(s, n, "-Infinity");
}

uint8_t *sluice_lake_dbz_put_float_text(uint8_t *p, const uint8_t *s, size_t n)
{
    struct float_parts parts;
    if (read_parts(s, n, &parts)) {
        return put_parts(p, &parts);
    }
    if (!is_word(s, n)) {
        return NULL;
    }
    *p++ = '"';
    p = sluice_lake_dbz_put(p, (const char *)s, n);
    *p++ = '"';
    return p;
}

uint8_t *sluice_lake_dbz_put_f64(uint8_t *p, double v)
{
    uint8_t text[SLUICE_LAKE_FLOAT_MAX + SLUICE_LAKE_SLACK];
    const uint8_t *end = sluice_lake_put_f64(text, v);
    return sluice_lake_dbz_put_float_text(p, text, (size_t)(end - text));
}

uint8_t *sluice_lake_dbz_put_f32(uint8_t *p, float v)
{
    uint8_t text[SLUICE_LAKE_FLOAT_MAX + SLUICE_LAKE_SLACK];
    const uint8_t *end = sluice_lake_put_f32(text, v);
    return sluice_lake_dbz_put_float_text(p, text, (size_t)(end - text));
}

int32_t sluice_lake_dbz_read_f64(const uint8_t *s, size_t n, double *out)
{
    struct float_parts parts;
    char text[FLOAT_DIGITS + 32];
    if (!read_parts(s, n, &parts)) {
        if (!is_word(s, n)) {
            return 0;
        }
        *out = *s == 'N' ? (double)__builtin_nan("") : __builtin_inf();
        *out = *s == '-' ? -*out : *out;
        return 1;
    }
    /* An integer and an exponent: strtod of it depends on no locale. */
    uint8_t *p = (uint8_t *)text;
    if (parts.negative) {
        *p++ = '-';
    }
    *p++ = '0';
    p = sluice_lake_dbz_put(p, (const char *)parts.digits, parts.count);
    *p++ = 'e';
    p = sluice_lake_put_i64(p, (int64_t)parts.exponent - (int64_t)parts.count + 1);
    *p = 0;
    *out = strtod(text, NULL);
    return 1;
}

/* ---------------------------------------------------------------- decimals ------------------- */

uint8_t *sluice_lake_dbz_put_unscaled(struct sluice_lake_dbz *enc, const uint8_t *value,
                                      uint32_t width, uint8_t *p)
{
    uint8_t bytes[32];
    uint8_t sign = value[width - 1] >> 7 ? 0xff : 0;
    uint32_t n = width;
    while (n > 1 && value[n - 1] == sign && (value[n - 2] >> 7) == (sign >> 7)) {
        n--;
    }
    for (uint32_t i = 0; i < n; i++) {
        bytes[i] = value[n - 1 - i];
    }
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    *p++ = '"';
    p = sluice_lake_put_base64(enc->out, p, bytes, n);
    *p++ = '"';
    return p;
}

/* Both exact as doubles, so that one division rounds as it should: nearly every value. */
static int32_t divide_exact(const uint8_t *value, int32_t width, int32_t scale, double *out)
{
    static const double powers[EXACT_POWERS] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const int64_t limit = INT64_C(1) << 53;
    int64_t v;
    memcpy(&v, value, sizeof v);
    if (scale < 0 || scale >= EXACT_POWERS || v > limit || v < -limit) {
        return 0;
    }
    for (int32_t i = 8; i < width; i++) {
        if (value[i] != (v < 0 ? 0xff : 0)) {
            return 0;
        }
    }
    *out = (double)v / powers[scale];
    return 1;
}

uint8_t *sluice_lake_dbz_put_decimal_double(const uint8_t *value, int32_t width, int32_t scale,
                                            uint8_t *p)
{
    double v;
    if (divide_exact(value, width, scale, &v)) {
        return sluice_lake_dbz_put_f64(p, v);
    }
    uint8_t text[SLUICE_LAKE_DECIMAL_DIGITS + 32 + SLUICE_LAKE_SLACK];
    uint8_t *end = sluice_lake_put_decimal(text, value, width, 0);
    *end++ = 'e';
    end = sluice_lake_put_i64(end, -(int64_t)scale);
    *end = 0;
    return sluice_lake_dbz_put_f64(p, strtod((const char *)text, NULL));
}

int32_t sluice_lake_dbz_number_read(const uint8_t *s, size_t n, struct sluice_lake_dbz_number *out)
{
    size_t point = SIZE_MAX;
    memset(out, 0, sizeof *out);
    if (n > 0 && *s == '-') {
        out->negative = 1;
        s++;
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '.' && point == SIZE_MAX) {
            point = i;
        }
        else if (!is_digit(s[i])) {
            return 0;
        }
    }
    out->s = s;
    out->n = n;
    out->digits = n - (point != SIZE_MAX ? 1 : 0);
    out->fraction = point != SIZE_MAX ? n - point - 1 : 0;
    return out->digits > 0;
}

/* The digits and zeros as an integer, when there are not too many. */
static i128 number_i128(const struct sluice_lake_dbz_number *number, size_t zeros)
{
    i128 v = 0;
    for (size_t i = 0; i < number->n; i++) {
        if (number->s[i] != '.') {
            v = v * 10 + (number->s[i] - '0');
        }
    }
    for (; zeros > 0; zeros--) {
        v *= 10;
    }
    return number->negative ? -v : v;
}

/* limbs = limbs * factor + add; returns the new count. */
static size_t multiply_add(uint32_t *limbs, size_t count, uint32_t factor, uint32_t add)
{
    uint64_t carry = add;
    for (size_t i = 0; i < count; i++) {
        carry += (uint64_t)limbs[i] * factor;
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry > 0) {
        limbs[count++] = (uint32_t)carry;
    }
    return count;
}

static size_t number_limbs(const struct sluice_lake_dbz_number *number, size_t zeros,
                           uint32_t *limbs)
{
    size_t count = 0;
    uint32_t group = 0;
    uint32_t factor = 1;
    for (size_t i = 0; i < number->n + zeros; i++) {
        if (i < number->n && number->s[i] == '.') {
            continue;
        }
        group = group * 10 + (i < number->n ? (uint32_t)(number->s[i] - '0') : 0u);
        factor *= 10;
        if (factor == GROUP) {
            count = multiply_add(limbs, count, factor, group);
            group = 0;
            factor = 1;
        }
    }
    return factor > 1 ? multiply_add(limbs, count, factor, group) : count;
}

/* Any length: schoolbook arithmetic, which is good enough for what PostgreSQL can hold. */
static uint8_t *put_long_unscaled(struct sluice_lake_dbz *enc,
                                  const struct sluice_lake_dbz_number *number, size_t zeros,
                                  uint8_t *p)
{
    size_t cap = (number->digits + zeros) / GROUP_DIGITS + 2;
    uint8_t *memory =
        sluice_lake_dbz_scratch(enc, SLUICE_LAKE_DBZ_SCRATCH_VALUE, cap * sizeof(uint32_t) * 2 + 1);
    if (memory == NULL) {
        return p;
    }
    uint32_t *limbs = (uint32_t *)(void *)memory;
    uint8_t *bytes = memory + cap * sizeof(uint32_t);
    size_t count = number_limbs(number, zeros, limbs);
    size_t n = 0;
    bytes[n++] = 0; /* room for the sign */
    for (size_t i = count; i > 0; i--) {
        for (int32_t shift = 24; shift >= 0; shift -= 8) {
            bytes[n++] = (uint8_t)(limbs[i - 1] >> shift);
        }
    }
    uint32_t carry = 1;
    for (size_t i = n; number->negative && i > 0; i--) {
        carry += (uint8_t)~bytes[i - 1];
        bytes[i - 1] = (uint8_t)carry;
        carry >>= 8;
    }
    size_t skip = 0;
    while (skip + 1 < n && bytes[skip] == (bytes[skip + 1] >> 7 ? 0xff : 0)) {
        skip++;
    }
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '"';
    p = sluice_lake_put_base64(enc->out, p, bytes + skip, n - skip);
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '"';
    return p;
}

uint8_t *sluice_lake_dbz_put_number_unscaled(struct sluice_lake_dbz *enc,
                                             const struct sluice_lake_dbz_number *number,
                                             size_t zeros, uint8_t *p)
{
    uint8_t bytes[16];
    if (number->digits > NUMBER_DIGITS || zeros > NUMBER_DIGITS) {
        sluice_lake_out_fail(enc->out,
                             sluice_error_set(enc->out->err, SLUICE_E_LIMIT, 0,
                                              "a number has more than %d digits", NUMBER_DIGITS));
        return p;
    }
    if (number->digits + zeros > INT128_DIGITS) {
        return put_long_unscaled(enc, number, zeros, p);
    }
    i128 v = number_i128(number, zeros);
    for (uint32_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(v >> (8u * i));
    }
    return sluice_lake_dbz_put_unscaled(enc, bytes, sizeof bytes, p);
}

uint8_t *sluice_lake_dbz_put_number_double(struct sluice_lake_dbz *enc,
                                           const struct sluice_lake_dbz_number *number, uint8_t *p)
{
    uint8_t *text =
        sluice_lake_dbz_scratch(enc, SLUICE_LAKE_DBZ_SCRATCH_VALUE, (uint64_t)number->n + 32);
    if (text == NULL) {
        return p;
    }
    uint8_t *end = text;
    if (number->negative) {
        *end++ = '-';
    }
    for (size_t i = 0; i < number->n; i++) {
        if (number->s[i] != '.') {
            *end++ = number->s[i];
        }
    }
    *end++ = 'e';
    end = sluice_lake_put_i64(end, -(int64_t)number->fraction);
    *end = 0;
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    return sluice_lake_dbz_put_f64(p, strtod((const char *)text, NULL));
}
