/*
 * Floating-point numbers as PostgreSQL prints them with extra_float_digits >= 1: the shortest
 * decimal that reads back as the same value under any rounding of ties, the nearest of those.
 *
 * Algorithm: Schubfach (R. Giulietti, "The Schubfach way to render doubles"), with the bounds of
 * the rounding interval left out as PostgreSQL does. Powers of ten are a table made by
 * gen_powers.py. [any]
 */
#ifndef SLUICE_COMMON_LAKE_FLOATS_H
#define SLUICE_COMMON_LAKE_FLOATS_H

#include <stdint.h>

struct sluice_lake_u128 {
    uint64_t high;
    uint64_t low;
};

extern const struct sluice_lake_u128 sluice_lake_powers[617];

enum { SLUICE_LAKE_FLOAT_MAX = 32 /* bytes that a rendered float takes at most */ };

/* Finite values; 1 for NaN and infinities. */
static inline int32_t sluice_lake_f64_special(double v)
{
    return !(v - v == 0.0);
}

static inline int32_t sluice_lake_f32_special(float v)
{
    return !(v - v == 0.0f);
}

/* Any value: digits, or NaN, Infinity, -Infinity. */
uint8_t *sluice_lake_put_f64(uint8_t *p, double v);
uint8_t *sluice_lake_put_f32(uint8_t *p, float v);

#endif /* SLUICE_COMMON_LAKE_FLOATS_H */
