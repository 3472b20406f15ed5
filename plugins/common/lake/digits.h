/*
 * Integers to decimal text, two digits at a time. All functions write at `p`, never more than the
 * stated number of bytes, and return the end. [any]
 */
#ifndef SLUICE_COMMON_LAKE_DIGITS_H
#define SLUICE_COMMON_LAKE_DIGITS_H

#include <stdint.h>
#include <string.h>

/* "00" "01" … "99" */
extern const char sluice_lake_pairs[201];
/* 10^0 … 10^19 */
extern const uint64_t sluice_lake_pow10[20];

static inline uint8_t *sluice_lake_put_pair(uint8_t *p, uint32_t v)
{
    memcpy(p, sluice_lake_pairs + (size_t)v * 2, 2);
    return p + 2;
}

/* Number of decimal digits; 1 for 0. */
static inline uint32_t sluice_lake_digit_count(uint64_t v)
{
    /* bits * log10(2), then one comparison */
    uint32_t bits = 64u - (uint32_t)__builtin_clzll(v | 1u);
    uint32_t t = (bits * 1233u) >> 12;
    return t + ((v | 1u) >= sluice_lake_pow10[t] ? 1u : 0u);
}

/* Exactly n digits of v, ending before `end`; v < 10^n. */
static inline void sluice_lake_fill_digits(uint8_t *end, uint64_t v, uint32_t n)
{
    while (v > UINT32_MAX) {
        end -= 2;
        n -= 2;
        memcpy(end, sluice_lake_pairs + (size_t)(v % 100u) * 2, 2);
        v /= 100u;
    }
    uint32_t w = (uint32_t)v;
    while (n >= 2) {
        end -= 2;
        n -= 2;
        memcpy(end, sluice_lake_pairs + (size_t)(w % 100u) * 2, 2);
        w /= 100u;
    }
    if (n == 1) {
        end[-1] = (uint8_t)('0' + w % 10u);
    }
}

/* At most 20 bytes. */
static inline uint8_t *sluice_lake_put_u64(uint8_t *p, uint64_t v)
{
    uint32_t n = sluice_lake_digit_count(v);
    sluice_lake_fill_digits(p + n, v, n);
    return p + n;
}

/* At most 20 bytes. */
static inline uint8_t *sluice_lake_put_i64(uint8_t *p, int64_t v)
{
    uint64_t u = (uint64_t)v;
    if (v < 0) {
        *p++ = '-';
        u = 0u - u;
    }
    return sluice_lake_put_u64(p, u);
}

#endif /* SLUICE_COMMON_LAKE_DIGITS_H */
