/*
 * Big-endian reads of PostgreSQL's binary formats. The caller has checked the length. [any]
 */
#ifndef SLUICE_COMMON_PG_WIRE_H
#define SLUICE_COMMON_PG_WIRE_H

#include <stdint.h>
#include <string.h>

static inline uint16_t sluice_pg_get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t sluice_pg_get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t sluice_pg_get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

#endif /* SLUICE_COMMON_PG_WIRE_H */
