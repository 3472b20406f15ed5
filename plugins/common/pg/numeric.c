/* Numeric in binary and as text. Binary: int16 ndigits, weight, sign, dscale, then ndigits base-10000 digits, big-endian.
 * The value is the sum of digit[i] * 10000^(weight - i). */
#include "pg/numeric.h"

#include <string.h>

#include "pg/wire.h"

enum { NUMERIC_POS = 0x0000, NUMERIC_NEG = 0x4000 };
enum { NUMERIC_NAN = 0xC000, NUMERIC_PINF = 0xD000, NUMERIC_NINF = 0xF000 };
enum { NUMERIC_HEADER = 8, NUMERIC_DIGITS_MAX = 40000 };

static const int64_t pow10_64[19] = {1,
                                     10,
                                     100,
                                     1000,
                                     10000,
                                     100000,
                                     1000000,
                                     10000000,
                                     100000000,
                                     1000000000,
                                     10000000000,
                                     100000000000,
                                     1000000000000,
                                     10000000000000,
                                     100000000000000,
                                     1000000000000000,
                                     10000000000000000,
                                     100000000000000000,
                                     1000000000000000000};

struct numeric {
    const uint8_t *digits;
    int32_t count;
    int32_t weight;
    uint16_t sign;
};

static sluice_status malformed(struct sluice_error *err, uint32_t size)
{
    return sluice_error_set(err, SLUICE_E_DATA, 0, "malformed binary numeric of %u bytes", size);
}

static sluice_status overflow(struct sluice_error *err, int32_t precision, int32_t scale)
{
    return sluice_error_set(err, SLUICE_E_DATA, 0, "value does not fit numeric(%d,%d)", precision,
                            scale);
}

static sluice_status numeric_parse(const uint8_t *p, uint32_t size, struct numeric *out,
                                   struct sluice_error *err)
{
    if (size < NUMERIC_HEADER) {
        return malformed(err, size);
    }
    out->count = sluice_pg_get16(p);
    out->weight = (int16_t)sluice_pg_get16(p + 2);
    out->sign = sluice_pg_get16(p + 4);
    out->digits = p + NUMERIC_HEADER;
    if (out->count > NUMERIC_DIGITS_MAX || size != NUMERIC_HEADER + (uint32_t)out->count * 2u) {
        return malformed(err, size);
    }
    switch (out->sign) {
    case NUMERIC_POS:
    case NUMERIC_NEG:
        return SLUICE_OK;
    case NUMERIC_NAN:
        return SLUICE_PG_NUMERIC_NAN;
    case NUMERIC_PINF:
    case NUMERIC_NINF:
        return SLUICE_PG_NUMERIC_INFINITE;
    default:
        return malformed(err, size);
    }
}

/* Drops zero digits at both ends, which the server never sends but the format allows. */
static sluice_status numeric_trim(struct numeric *n, struct sluice_error *err)
{
    for (int32_t i = 0; i < n->count; i++) {
        if (sluice_pg_get16(n->digits + 2 * i) > 9999) {
            return malformed(err, (uint32_t)(NUMERIC_HEADER + n->count * 2));
        }
    }
    while (n->count > 0 && sluice_pg_get16(n->digits) == 0) {
        n->digits += 2;
        n->count--;
        n->weight--;
    }
    while (n->count > 0 && sluice_pg_get16(n->digits + 2 * (n->count - 1)) == 0) {
        n->count--;
    }
    return SLUICE_OK;
}

/* acc = acc * factor + add; the carry out of the top word. */
static uint64_t words_mul_add(uint64_t *acc, int words, uint32_t factor, uint32_t add)
{
    uint64_t carry = add;
    for (int i = 0; i < words; i++) {
        uint64_t low = (acc[i] & 0xffffffffu) * factor + carry;
        uint64_t high = (acc[i] >> 32) * factor + (low >> 32);
        acc[i] = (high << 32) | (low & 0xffffffffu);
        carry = high >> 32;
    }
    return carry;
}

/* 1 if acc < 10^precision. */
static int words_fit(const uint64_t *acc, int words, int32_t precision)
{
    uint64_t limit[4] = {1, 0, 0, 0};
    for (int32_t i = 0; i < precision; i++) {
        if (words_mul_add(limit, words, 10, 0) != 0) {
            return 1; /* 10^precision is larger than the words hold */
        }
    }
    for (int i = words - 1; i >= 0; i--) {
        if (acc[i] != limit[i]) {
            return acc[i] < limit[i];
        }
    }
    return 0;
}

static void words_negate(uint64_t *acc, int words)
{
    uint64_t carry = 1;
    for (int i = 0; i < words; i++) {
        acc[i] = ~acc[i] + carry;
        carry = carry != 0 && acc[i] == 0;
    }
}

sluice_status sluice_pg_numeric_decode(const uint8_t *p, uint32_t size, int32_t precision,
                                       int32_t scale, int words, uint64_t out[4],
                                       struct sluice_error *err)
{
    struct numeric n;
    sluice_status st = numeric_parse(p, size, &n, err);
    if (st != SLUICE_OK) {
        return st;
    }
    SLUICE_TRY(numeric_trim(&n, err));
    uint64_t acc[4] = {0, 0, 0, 0};
    if (n.count > 0) {
        /* Decimal places of the last digit, relative to the scaled integer's units. */
        int32_t exponent = (n.weight - (n.count - 1)) * 4 + scale;
        if (exponent <= -4 || exponent > precision + 4 || n.count > precision / 4 + 3) {
            return overflow(err, precision, scale);
        }
        int32_t whole = exponent < 0 ? n.count - 1 : n.count;
        uint64_t carry = 0;
        for (int32_t i = 0; i < whole; i++) {
            carry |= words_mul_add(acc, words, 10000, sluice_pg_get16(n.digits + 2 * i));
        }
        if (exponent < 0) {
            uint32_t cut = (uint32_t)pow10_64[-exponent];
            uint32_t digit = sluice_pg_get16(n.digits + 2 * whole);
            if (digit % cut != 0) {
                return overflow(err, precision, scale);
            }
            carry |= words_mul_add(acc, words, 10000u / cut, digit / cut);
        }
        for (; exponent > 0; exponent -= exponent >= 4 ? 4 : exponent) {
            carry |= words_mul_add(acc, words, (uint32_t)pow10_64[exponent >= 4 ? 4 : exponent], 0);
        }
        if (carry != 0 || !words_fit(acc, words, precision)) {
            return overflow(err, precision, scale);
        }
    }
    if (n.sign == NUMERIC_NEG) {
        words_negate(acc, words);
    }
    memcpy(out, acc, (size_t)words * 8u);
    return SLUICE_OK;
}

sluice_status sluice_pg_numeric_decode64(const uint8_t *p, uint32_t size, int32_t precision,
                                         int32_t scale, int64_t *out, struct sluice_error *err)
{
    if (size >= NUMERIC_HEADER) {
        uint32_t count = sluice_pg_get16(p);
        uint32_t sign = sluice_pg_get16(p + 4);
        int32_t exponent = ((int16_t)sluice_pg_get16(p + 2) - ((int32_t)count - 1)) * 4 + scale;
        /* Up to three digits (12 decimal places) and a small exponent stay below 10^18. */
        if (count <= 4 && size == NUMERIC_HEADER + count * 2u && exponent > -4 && exponent <= 2 &&
            (sign & ~(uint32_t)NUMERIC_NEG) == 0) {
            int64_t acc = 0;
            uint32_t bad = 0;
            const uint8_t *d = p + NUMERIC_HEADER;
            if (exponent < 0) {
                if (count == 0) {
                    *out = 0;
                    return SLUICE_OK;
                }
                for (uint32_t i = 0; i + 1 < count; i++, d += 2) {
                    uint32_t digit = sluice_pg_get16(d);
                    bad |= digit > 9999;
                    acc = acc * 10000 + digit;
                }
                uint32_t digit = sluice_pg_get16(d);
                uint32_t cut = exponent == -1 ? 10u : exponent == -2 ? 100u : 1000u;
                uint32_t kept = exponent == -1   ? digit / 10u
                                : exponent == -2 ? digit / 100u
                                                 : digit / 1000u;
                bad |= digit > 9999 || kept * cut != digit;
                acc = acc * (10000 / cut) + kept;
            }
            else {
                for (uint32_t i = 0; i < count; i++, d += 2) {
                    uint32_t digit = sluice_pg_get16(d);
                    bad |= digit > 9999;
                    acc = acc * 10000 + digit;
                }
                acc *= pow10_64[exponent];
            }
            if (!bad && acc < pow10_64[precision]) {
                *out = sign != 0 ? -acc : acc;
                return SLUICE_OK;
            }
        }
    }
    uint64_t words[4];
    sluice_status st = sluice_pg_numeric_decode(p, size, precision, scale, 2, words, err);
    if (st == SLUICE_OK) {
        *out = (int64_t)words[0];
    }
    return st;
}

/* ---------------------------------------------------------------- text ----------------------- */

struct digits {
    const uint8_t *whole;
    uint32_t whole_count;
    const uint8_t *fraction;
    uint32_t fraction_count;
    int negative;
};

static int text_is(const uint8_t *p, uint32_t size, const char *word)
{
    return size == strlen(word) && memcmp(p, word, size) == 0;
}

static uint32_t digit_run(const uint8_t *p, uint32_t size)
{
    uint32_t n = 0;
    while (n < size && (uint8_t)(p[n] - '0') <= 9) {
        n++;
    }
    return n;
}

static sluice_status digits_parse(const uint8_t *p, uint32_t size, struct digits *out,
                                  struct sluice_error *err)
{
    memset(out, 0, sizeof *out);
    if (text_is(p, size, "NaN")) {
        return SLUICE_PG_NUMERIC_NAN;
    }
    if (text_is(p, size, "Infinity") || text_is(p, size, "-Infinity")) {
        return SLUICE_PG_NUMERIC_INFINITE;
    }
    out->negative = size > 0 && p[0] == '-';
    const uint8_t *end = p + size;
    out->whole = p + out->negative;
    out->whole_count = digit_run(out->whole, (uint32_t)(end - out->whole));
    const uint8_t *rest = out->whole + out->whole_count;
    int right = out->whole_count > 0;
    if (right && rest < end && *rest == '.') {
        out->fraction = rest + 1;
        out->fraction_count = digit_run(out->fraction, (uint32_t)(end - out->fraction));
        rest = out->fraction + out->fraction_count;
        right = out->fraction_count > 0;
    }
    if (!right || rest != end) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "text that is no numeric");
    }
    return SLUICE_OK;
}

/* Nine digits at a time. */
static void words_add_digits(uint64_t *acc, int words, const uint8_t *p, uint32_t count)
{
    while (count > 0) {
        uint32_t n = count < 9 ? count : 9;
        uint32_t chunk = 0;
        for (uint32_t i = 0; i < n; i++) {
            chunk = chunk * 10 + (uint32_t)(p[i] - '0');
        }
        (void)words_mul_add(acc, words, (uint32_t)pow10_64[n], chunk);
        p += n;
        count -= n;
    }
}

sluice_status sluice_pg_numeric_parse(const uint8_t *p, uint32_t size, int32_t precision,
                                      int32_t scale, int words, uint64_t out[4],
                                      struct sluice_error *err)
{
    struct digits d;
    sluice_status st = digits_parse(p, size, &d, err);
    if (st != SLUICE_OK) {
        return st;
    }
    while (d.whole_count > 0 && *d.whole == '0') {
        d.whole++;
        d.whole_count--;
    }
    while (d.fraction_count > (uint32_t)scale) {
        if (d.fraction[--d.fraction_count] != '0') {
            return overflow(err, precision, scale);
        }
    }
    /* So many digits fit the words: nothing below can overflow. */
    if (d.whole_count > (uint32_t)(precision - scale)) {
        return overflow(err, precision, scale);
    }
    uint64_t acc[4] = {0, 0, 0, 0};
    words_add_digits(acc, words, d.whole, d.whole_count);
    words_add_digits(acc, words, d.fraction, d.fraction_count);
    for (int32_t zeros = scale - (int32_t)d.fraction_count; zeros > 0; zeros -= 9) {
        (void)words_mul_add(acc, words, (uint32_t)pow10_64[zeros < 9 ? zeros : 9], 0);
    }
    if (d.negative) {
        words_negate(acc, words);
    }
    memcpy(out, acc, (size_t)words * 8u);
    return SLUICE_OK;
}

sluice_status sluice_pg_numeric_parse64(const uint8_t *p, uint32_t size, int32_t precision,
                                        int32_t scale, int64_t *out, struct sluice_error *err)
{
    enum { QUICK_SIZE = 20 }; /* at most 19 digits and a point, or 18 with a sign: below 2^64 */
    if (size > 0 && size <= QUICK_SIZE) {
        uint32_t at = p[0] == '-';
        uint32_t whole = digit_run(p + at, size - at);
        uint32_t fraction = 0;
        uint64_t acc = 0;
        for (uint32_t end = at + whole; at < end; at++) {
            acc = acc * 10 + (uint64_t)(p[at] - '0');
        }
        if (at < size && p[at] == '.') {
            at++;
            fraction = digit_run(p + at, size - at);
            for (uint32_t end = at + fraction; at < end; at++) {
                acc = acc * 10 + (uint64_t)(p[at] - '0');
            }
        }
        if (at == size && whole > 0 && whole + fraction < QUICK_SIZE && p[at - 1] != '.' &&
            fraction <= (uint32_t)scale) {
            int32_t zeros = scale - (int32_t)fraction;
            if (acc >= (uint64_t)pow10_64[precision - zeros]) {
                return overflow(err, precision, scale);
            }
            int64_t v = (int64_t)acc * pow10_64[zeros];
            *out = p[0] == '-' ? -v : v;
            return SLUICE_OK;
        }
    }
    uint64_t words[4];
    sluice_status st = sluice_pg_numeric_parse(p, size, precision, scale, 2, words, err);
    if (st == SLUICE_OK) {
        *out = (int64_t)words[0];
    }
    return st;
}
