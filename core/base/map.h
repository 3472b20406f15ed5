/*
 * Hash map from strings to pointers. Keys are copied; values are the caller's. One thread at a time.
 */
#ifndef SLUICE_BASE_MAP_H
#define SLUICE_BASE_MAP_H

#include <stddef.h>

struct sluice_map_entry {
    char *key;
    void *value;
};

struct sluice_map {
    struct sluice_map_entry *entries; /* in order of insertion: iterate 0..count */
    size_t count;
    size_t entries_cap;
    size_t *slots; /* entry index + 1, 0 = free */
    size_t slot_count;
};

#define SLUICE_MAP_INIT     \
    {                       \
        NULL, 0, 0, NULL, 0 \
    }

/* Sets key to value; 0 = out of memory. */
int sluice_map_put(struct sluice_map *map, const char *key, void *value);
/* NULL if absent (or if NULL was put). */
void *sluice_map_get(const struct sluice_map *map, const char *key);
int sluice_map_has(const struct sluice_map *map, const char *key);
void sluice_map_free(struct sluice_map *map);

#endif /* SLUICE_BASE_MAP_H */
