/*
 * Arrow decimals to text: every digit, `scale` of them behind the point, as PostgreSQL prints a
 * numeric(p, s). [any]
 */
#ifndef SLUICE_COMMON_LAKE_DECIMALS_H
#define SLUICE_COMMON_LAKE_DECIMALS_H

#include <stdint.h>
#include <string.h>

#include "lake/digits.h"

enum {
    SLUICE_LAKE_DECIMAL_DIGITS = 78, /* of a 256-bit integer */
    SLUICE_LAKE_SCALE_MAX = 1000     /* PostgreSQL's own; larger ones are refused at the start */
};

/* Bytes that a decimal of that scale takes at most. */
uint32_t sluice_lake_decimal_max(int32_t scale);

/* `value` is `width` (16 or 32) bytes, little-endian two's complement. */
uint8_t *sluice_lake_put_decimal(uint8_t *p, const uint8_t *value, int32_t width, int32_t scale);

/* 1 if it is the smallest integer of its width, which stands for NaN where the column says so. */
int32_t sluice_lake_decimal_is_nan(const uint8_t *value, int32_t width);

/* The common case: 64 bits and a scale of 0 … 18. At most 22 bytes. */
static inline uint8_t *sluice_lake_put_decimal64(uint8_t *p, int64_t v, uint32_t scale)
{
    uint64_t u = (uint64_t)v;
    if (v < 0) {
        *p++ = '-';
        u = 0u - u;
    }
    uint32_t n = sluice_lake_digit_count(u);
    if (scale == 0) {
        sluice_lake_fill_digits(p + n, u, n);
        return p + n;
    }
    if (n <= scale) {
        n = scale + 1;
    }
    uint8_t *end = p + n + 1;
    uint64_t whole;
    if (scale == 2) { /* money, the most frequent scale: no division by a variable */
        whole = u / 100u;
        memcpy(end - 2, sluice_lake_pairs + (size_t)(u % 100u) * 2, 2);
    }
    else {
        whole = u / sluice_lake_pow10[scale];
        sluice_lake_fill_digits(end, u - whole * sluice_lake_pow10[scale], scale);
    }
    end[-(int32_t)scale - 1] = '.';
    sluice_lake_fill_digits(end - scale - 1, whole, n - scale);
    return end;
}

#endif /* SLUICE_COMMON_LAKE_DECIMALS_H */
