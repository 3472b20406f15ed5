#include "lake/decimals.h"

__extension__ typedef unsigned __int128 u128;

enum { LIMBS = 4, GROUP_DIGITS = 19, GROUPS = 5 };

uint32_t sluice_lake_decimal_max(int32_t scale)
{
    uint32_t extra = (uint32_t)(scale < 0 ? -scale : scale);
    return (uint32_t)SLUICE_LAKE_DECIMAL_DIGITS + extra + 4u;
}

int32_t sluice_lake_decimal_is_nan(const uint8_t *value, int32_t width)
{
    if (value[width - 1] != 0x80) {
        return 0;
    }
    for (int32_t i = 0; i < width - 1; i++) {
        if (value[i] != 0) {
            return 0;
        }
    }
    return 1;
}

/* Divides the limbs by 10^19 and returns the remainder. */
static uint64_t divide_group(uint64_t *limb, int32_t n)
{
    const uint64_t ten19 = sluice_lake_pow10[GROUP_DIGITS];
    u128 rest = 0;
    for (int32_t i = n - 1; i >= 0; i--) {
        rest = rest << 64 | limb[i];
        limb[i] = (uint64_t)(rest / ten19);
        rest %= ten19;
    }
    return (uint64_t)rest;
}

/* All digits of the limbs (destroyed), without leading zeros; "0" for 0. Returns the count. */
static uint32_t limb_digits(uint64_t *limb, int32_t n, uint8_t digits[GROUPS * GROUP_DIGITS])
{
    uint8_t *end = digits + GROUPS * GROUP_DIGITS;
    uint8_t *start = end;
    for (int32_t i = 0; i < GROUPS; i++) {
        sluice_lake_fill_digits(start, divide_group(limb, n), GROUP_DIGITS);
        start -= GROUP_DIGITS;
    }
    while (start < end - 1 && *start == '0') {
        start++;
    }
    uint32_t count = (uint32_t)(end - start);
    memmove(digits, start, count);
    return count;
}

/* Negates the limbs if they are negative; returns 1 if they were. */
static int32_t make_positive(uint64_t *limb, int32_t n)
{
    if ((limb[n - 1] >> 63) == 0) {
        return 0;
    }
    uint64_t carry = 1;
    for (int32_t i = 0; i < n; i++) {
        limb[i] = ~limb[i] + carry;
        carry = carry && limb[i] == 0 ? 1 : 0;
    }
    return 1;
}

static uint8_t *put_zeros(uint8_t *p, uint32_t n)
{
    memset(p, '0', n);
    return p + n;
}

uint8_t *sluice_lake_put_decimal(uint8_t *p, const uint8_t *value, int32_t width, int32_t scale)
{
    uint64_t limb[LIMBS] = {0};
    int32_t n = width / 8;
    memcpy(limb, value, (size_t)width);
    uint64_t sign = limb[0] >> 63 ? UINT64_MAX : 0;
    int32_t small = 1;
    for (int32_t i = 1; i < n; i++) {
        small &= limb[i] == sign;
    }
    if (small && scale >= 0 && scale <= 18) {
        return sluice_lake_put_decimal64(p, (int64_t)limb[0], (uint32_t)scale);
    }
    if (make_positive(limb, n)) {
        *p++ = '-';
    }
    uint8_t digits[GROUPS * GROUP_DIGITS];
    uint32_t count = limb_digits(limb, n, digits);
    if (scale <= 0) {
        memcpy(p, digits, count);
        p += count;
        return digits[0] == '0' ? p : put_zeros(p, (uint32_t)-scale);
    }
    uint32_t behind = (uint32_t)scale;
    if (count <= behind) {
        *p++ = '0';
        *p++ = '.';
        p = put_zeros(p, behind - count);
        memcpy(p, digits, count);
        return p + count;
    }
    memcpy(p, digits, count - behind);
    p += count - behind;
    *p++ = '.';
    memcpy(p, digits + count - behind, behind);
    return p + behind;
}
