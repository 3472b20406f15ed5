/*
 * Look-ups inside a set of types. Of this folder alone.
 */
#ifndef SLUICE_COMMON_PG_TYPES_INTERNAL_H
#define SLUICE_COMMON_PG_TYPES_INTERNAL_H

#include "pg/types.h"

/* NULL if the set does not have it. */
const struct sluice_pg_type_row *sluice_pg_types_find(const struct sluice_pg_types *types,
                                                      uint32_t oid);
/* The attributes of a composite's relation; NULL and 0 if it has none. */
const struct sluice_pg_attribute_row *sluice_pg_types_attributes(
    const struct sluice_pg_types *types, uint32_t relation, uint32_t *count);

#endif /* SLUICE_COMMON_PG_TYPES_INTERNAL_H */
