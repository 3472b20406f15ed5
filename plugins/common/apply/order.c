#include "apply/order.h"

#include <stdlib.h>

/* The length of the longest way from a table without parents; circles end with the number of tables. */
static void measure(const struct sluice_apply_edge *edges, size_t edge_count, uint32_t count,
                    uint32_t *depth)
{
    for (uint32_t round = 0; round < count; round++) {
        int changed = 0;
        for (size_t i = 0; i < edge_count; i++) {
            const uint32_t child = edges[i].child;
            const uint32_t parent = edges[i].parent;
            if (child != parent && depth[child] <= depth[parent] && depth[parent] < count) {
                depth[child] = depth[parent] + 1;
                changed = 1;
            }
        }
        if (!changed) {
            break;
        }
    }
}

sluice_status sluice_apply_order(const struct sluice_apply_edge *edges, size_t edge_count,
                                 uint32_t count, uint32_t *places, struct sluice_error *err)
{
    uint32_t n = 0;
    uint32_t *depth = calloc(count + 1u, sizeof *depth);
    if (depth == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                "out of memory for tables");
    }
    measure(edges, edge_count, count, depth);
    for (uint32_t d = 0; d <= count; d++) {
        for (uint32_t i = 0; i < count; i++) {
            if (depth[i] == d) {
                places[n++] = i;
            }
        }
    }
    free(depth);
    return SLUICE_OK;
}
