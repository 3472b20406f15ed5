/* Hash map from strings: entries in order of insertion, open addressing over their indexes. */
#include "base/map.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

/* FNV-1a, mixed at the end because slots take the low bits. */
static size_t hash(const char *key)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const unsigned char *p = (const unsigned char *)key; *p != '\0'; p++) {
        h = (h ^ *p) * 0x100000001b3u;
    }
    h ^= h >> 32;
    return (size_t)h;
}

/* The slot that holds the key, or the free one where it belongs. */
static size_t slot_find(const struct sluice_map *map, const char *key)
{
    size_t mask = map->slot_count - 1;
    size_t at = hash(key) & mask;
    while (map->slots[at] != 0 && strcmp(map->entries[map->slots[at] - 1].key, key) != 0) {
        at = (at + 1) & mask;
    }
    return at;
}

/* Keeps at least half of the slots free. */
static int slots_grow(struct sluice_map *map)
{
    if (map->slot_count / 2 > map->count) {
        return 1;
    }
    size_t count = map->slot_count > 0 ? map->slot_count * 2 : 16;
    size_t *slots = sluice_alloc_zero(count, sizeof *slots);
    if (slots == NULL) {
        return 0;
    }
    sluice_free(map->slots);
    map->slots = slots;
    map->slot_count = count;
    for (size_t i = 0; i < map->count; i++) {
        slots[slot_find(map, map->entries[i].key)] = i + 1;
    }
    return 1;
}

int sluice_map_put(struct sluice_map *map, const char *key, void *value)
{
    if (!slots_grow(map) || !sluice_alloc_grow((void **)&map->entries, &map->entries_cap,
                                               map->count + 1, sizeof *map->entries)) {
        return 0;
    }
    size_t at = slot_find(map, key);
    if (map->slots[at] != 0) {
        map->entries[map->slots[at] - 1].value = value;
        return 1;
    }
    char *copy = sluice_alloc_string(key);
    if (copy == NULL) {
        return 0;
    }
    map->entries[map->count] = (struct sluice_map_entry){copy, value};
    map->slots[at] = ++map->count;
    return 1;
}

static const struct sluice_map_entry *entry_find(const struct sluice_map *map, const char *key)
{
    if (map->count == 0) {
        return NULL;
    }
    size_t index = map->slots[slot_find(map, key)];
    return index != 0 ? &map->entries[index - 1] : NULL;
}

void *sluice_map_get(const struct sluice_map *map, const char *key)
{
    const struct sluice_map_entry *entry = entry_find(map, key);
    return entry != NULL ? entry->value : NULL;
}

int sluice_map_has(const struct sluice_map *map, const char *key)
{
    return entry_find(map, key) != NULL;
}

void sluice_map_free(struct sluice_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        sluice_free(map->entries[i].key);
    }
    sluice_free(map->entries);
    sluice_free(map->slots);
    *map = (struct sluice_map)SLUICE_MAP_INIT;
}
