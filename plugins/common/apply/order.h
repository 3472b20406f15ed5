/*
 * In which order tables are written, so that foreign keys hold: parents before their children. [any]
 */
#ifndef SLUICE_COMMON_APPLY_ORDER_H
#define SLUICE_COMMON_APPLY_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "sluice/error.h"

/* A foreign key among the tables, by their indexes. */
struct sluice_apply_edge {
    uint32_t child;
    uint32_t parent;
};

/* Fills places[0 … count): indexes, parents first; tables in a circle come last, in no order that would help. A table
 * that refers to itself is of no matter. */
sluice_status sluice_apply_order(const struct sluice_apply_edge *edges, size_t edge_count,
                                 uint32_t count, uint32_t *places, struct sluice_error *err);

#endif /* SLUICE_COMMON_APPLY_ORDER_H */
