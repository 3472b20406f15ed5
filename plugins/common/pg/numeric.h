/*
 * PostgreSQL's numeric, binary (base-10000 digits) or text, into scaled integers. [any]
 */
#ifndef SLUICE_COMMON_PG_NUMERIC_H
#define SLUICE_COMMON_PG_NUMERIC_H

#include <stdint.h>

#include "sluice/error.h"

/* Answers of sluice_pg_numeric_* beside SLUICE_OK and errors. */
enum { SLUICE_PG_NUMERIC_NAN = 16, SLUICE_PG_NUMERIC_INFINITE = 17 };

/* The value times 10^scale as a little-endian two's complement integer of `words` 64-bit words
 * (2 or 4). DATA when digits would be lost, the integer has more than `precision` digits, or the
 * bytes are malformed. NAN and INFINITE leave *out alone. */
sluice_status sluice_pg_numeric_decode(const uint8_t *p, uint32_t size, int32_t precision,
                                       int32_t scale, int words, uint64_t out[4],
                                       struct sluice_error *err) SLUICE_MUST_CHECK;

/* The same for precision <= 18; quick. */
sluice_status sluice_pg_numeric_decode64(const uint8_t *p, uint32_t size, int32_t precision,
                                         int32_t scale, int64_t *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Both for text as numeric's output function prints it: digits, at most one point, "NaN",
 * "Infinity". */
sluice_status sluice_pg_numeric_parse(const uint8_t *p, uint32_t size, int32_t precision,
                                      int32_t scale, int words, uint64_t out[4],
                                      struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status sluice_pg_numeric_parse64(const uint8_t *p, uint32_t size, int32_t precision,
                                        int32_t scale, int64_t *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_PG_NUMERIC_H */
