#include "lake/floats.h"

#include <string.h>

#include "lake/digits.h"

__extension__ typedef unsigned __int128 u128;

/* digits * 10^exponent */
struct decimal {
    uint64_t digits;
    int32_t exponent;
};

enum {
    POWER_MIN = -292, /* first exponent of sluice_lake_powers */
    F64_BIAS = 1075,
    F64_BITS = 52,
    F32_BIAS = 150,
    F32_BITS = 23,
    F64_FIXED_MAX = 15, /* PostgreSQL: scientific from 1e15 (float4: 1e6) and below 1e-4 */
    F32_FIXED_MAX = 6,
    FIXED_MIN = -4
};

/* floor(log10(2^e)); with three = 1 floor(log10(3/4 * 2^e)). */
static int32_t floor_log10_pow2(int32_t e, int32_t three)
{
    return (e * 1262611 - (three ? 524031 : 0)) >> 22;
}

static int32_t floor_log2_pow10(int32_t e)
{
    return (e * 1741647) >> 19;
}

/* The product's upper part, with its lowest bit set if anything below it is not zero. */
static uint64_t round_to_odd64(struct sluice_lake_u128 g, uint64_t cp)
{
    u128 x = (u128)g.low * cp;
    u128 y = (u128)g.high * cp + (uint64_t)(x >> 64);
    return (uint64_t)(y >> 64) | ((uint64_t)y > 1u ? 1u : 0u);
}

static uint64_t round_to_odd32(uint64_t g, uint64_t cp)
{
    u128 x = (u128)g * cp;
    return (uint64_t)(x >> 64) | ((uint32_t)((uint64_t)x >> 32) > 1u ? 1u : 0u);
}

/* Picks the shortest decimal between the scaled neighbours. v* are four times the value. */
static struct decimal pick(uint64_t lower, uint64_t middle, uint64_t upper, int32_t k)
{
    /* The bounds themselves are left out: a reader may round ties the other way. */
    lower++;
    upper--;
    uint64_t s = middle / 4u;
    if (s >= 10u) {
        uint64_t sp = s / 10u;
        uint32_t down = lower <= 40u * sp ? 1u : 0u;
        uint32_t up = 40u * sp + 40u <= upper ? 1u : 0u;
        if (down != up) {
            return (struct decimal){sp + up, k + 1};
        }
    }
    uint32_t down = lower <= 4u * s ? 1u : 0u;
    uint32_t up = 4u * s + 4u <= upper ? 1u : 0u;
    if (down != up) {
        return (struct decimal){s + up, k};
    }
    uint64_t half = 4u * s + 2u;
    uint32_t round_up = middle > half || (middle == half && (s & 1u)) ? 1u : 0u;
    return (struct decimal){s + round_up, k};
}

static struct decimal shortest64(uint64_t bits)
{
    uint64_t fraction = bits & ((UINT64_C(1) << F64_BITS) - 1u);
    int32_t biased = (int32_t)((bits >> F64_BITS) & 0x7ffu);
    uint64_t c = biased != 0 ? fraction | (UINT64_C(1) << F64_BITS) : fraction;
    int32_t q = (biased != 0 ? biased : 1) - F64_BIAS;
    if (q <= 0 && -q <= F64_BITS && (c & ((UINT64_C(1) << -q) - 1u)) == 0) {
        return (struct decimal){c >> -q, 0}; /* an integer */
    }
    int32_t closer = fraction == 0 && biased > 1;
    int32_t k = floor_log10_pow2(q, closer);
    int32_t h = q + floor_log2_pow10(-k) + 1;
    struct sluice_lake_u128 g = sluice_lake_powers[-k - POWER_MIN];
    uint64_t lower = round_to_odd64(g, (4u * c - 2u + (uint64_t)closer) << h);
    uint64_t middle = round_to_odd64(g, (4u * c) << h);
    uint64_t upper = round_to_odd64(g, (4u * c + 2u) << h);
    return pick(lower, middle, upper, k);
}

static struct decimal shortest32(uint32_t bits)
{
    uint32_t fraction = bits & ((1u << F32_BITS) - 1u);
    int32_t biased = (int32_t)((bits >> F32_BITS) & 0xffu);
    uint64_t c = biased != 0 ? fraction | (1u << F32_BITS) : fraction;
    int32_t q = (biased != 0 ? biased : 1) - F32_BIAS;
    if (q <= 0 && -q <= F32_BITS && (c & ((UINT64_C(1) << -q) - 1u)) == 0) {
        return (struct decimal){c >> -q, 0};
    }
    int32_t closer = fraction == 0 && biased > 1;
    int32_t k = floor_log10_pow2(q, closer);
    int32_t h = q + floor_log2_pow10(-k) + 1;
    struct sluice_lake_u128 power = sluice_lake_powers[-k - POWER_MIN];
    uint64_t g = power.high + (power.low != 0 ? 1u : 0u);
    uint64_t lower = round_to_odd32(g, (4u * c - 2u + (uint64_t)closer) << h);
    uint64_t middle = round_to_odd32(g, (4u * c) << h);
    uint64_t upper = round_to_odd32(g, (4u * c + 2u) << h);
    return pick(lower, middle, upper, k);
}

/* d.ddde+xx */
static uint8_t *put_scientific(uint8_t *p, uint64_t digits, uint32_t count, int32_t exponent)
{
    sluice_lake_fill_digits(p + 1 + count, digits, count);
    p[0] = p[1];
    if (count > 1) {
        p[1] = '.';
        p += count + 1;
    }
    else {
        p += 1;
    }
    *p++ = 'e';
    *p++ = exponent < 0 ? '-' : '+';
    uint32_t e = (uint32_t)(exponent < 0 ? -exponent : exponent);
    if (e >= 100u) {
        *p++ = (uint8_t)('0' + e / 100u);
        e %= 100u;
    }
    return sluice_lake_put_pair(p, e);
}

static uint8_t *put_decimal(uint8_t *p, struct decimal d, int32_t fixed_max)
{
    uint64_t digits = d.digits;
    int32_t exponent = d.exponent;
    while (digits % 10u == 0) {
        digits /= 10u;
        exponent++;
    }
    uint32_t count = sluice_lake_digit_count(digits);
    int32_t point = (int32_t)count + exponent; /* digits before the decimal point */
    if (point - 1 < FIXED_MIN || point - 1 >= fixed_max) {
        return put_scientific(p, digits, count, point - 1);
    }
    if (point <= 0) { /* 0.000ddd */
        memcpy(p, "0.00000", 7);
        p += 2 - point;
        sluice_lake_fill_digits(p + count, digits, count);
        return p + count;
    }
    if (exponent >= 0) { /* ddd000 */
        sluice_lake_fill_digits(p + count, digits, count);
        p += count;
        for (int32_t i = 0; i < exponent; i++) {
            *p++ = '0';
        }
        return p;
    }
    sluice_lake_fill_digits(p + count + 1, digits, count); /* ddd.ddd */
    for (int32_t i = 0; i < point; i++) {
        p[i] = p[i + 1];
    }
    p[point] = '.';
    return p + count + 1;
}

static uint8_t *put_special(uint8_t *p, int32_t negative, int32_t nan)
{
    if (nan) {
        memcpy(p, "NaN", 3);
        return p + 3;
    }
    if (negative) {
        *p++ = '-';
    }
    memcpy(p, "Infinity", 8);
    return p + 8;
}

uint8_t *sluice_lake_put_f64(uint8_t *p, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    int32_t negative = (int32_t)(bits >> 63);
    bits &= UINT64_MAX >> 1;
    if (bits >= UINT64_C(0x7ff) << F64_BITS) {
        return put_special(p, negative, bits != UINT64_C(0x7ff) << F64_BITS);
    }
    if (negative) {
        *p++ = '-';
    }
    if (bits == 0) {
        *p++ = '0';
        return p;
    }
    return put_decimal(p, shortest64(bits), F64_FIXED_MAX);
}

uint8_t *sluice_lake_put_f32(uint8_t *p, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    int32_t negative = (int32_t)(bits >> 31);
    bits &= UINT32_MAX >> 1;
    if (bits >= UINT32_C(0xff) << F32_BITS) {
        return put_special(p, negative, bits != UINT32_C(0xff) << F32_BITS);
    }
    if (negative) {
        *p++ = '-';
    }
    if (bits == 0) {
        *p++ = '0';
        return p;
    }
    return put_decimal(p, shortest32(bits), F32_FIXED_MAX);
}
