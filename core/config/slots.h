/*
 * How checked options are kept: one slot an option, in the order of the table.
 */
#ifndef SLUICE_CONFIG_SLOTS_H
#define SLUICE_CONFIG_SLOTS_H

#include "config/options.h"

struct sluice_slot {
    const struct sluice_option *option; /* borrowed from the plugin, which is never unloaded */
    struct sluice_value value;          /* points into what follows */
    int32_t is_default;
    char *text;                /* scalars: as written */
    const char **items;        /* LIST */
    struct sluice_pair *pairs; /* MAP */
    size_t used;               /* items or pairs */
};

struct sluice_config {
    struct sluice_slot *slots;
    size_t count;
};

/* All slots empty; NULL = out of memory. */
struct sluice_config *sluice_config_new(const struct sluice_option *const *options);
void sluice_slot_clear(struct sluice_slot *slot);

#endif /* SLUICE_CONFIG_SLOTS_H */
