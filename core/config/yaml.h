/*
 * A YAML document as a tree with places, built from libyaml events under our caps (limits.h): no
 * aliases, anchors, tags or merge keys, no duplicate keys, one document, valid UTF-8.
 */
#ifndef SLUICE_CONFIG_YAML_H
#define SLUICE_CONFIG_YAML_H

#include "config/diag.h"

enum { SLUICE_YAML_SCALAR = 1, SLUICE_YAML_SEQUENCE = 2, SLUICE_YAML_MAPPING = 3 };

struct sluice_yaml {
    int32_t kind;
    uint32_t line; /* from 1 */
    uint32_t column;
    int32_t quoted; /* scalar: was quoted, so never null, number or bool */
    int32_t secret; /* scalar: came out of ${file:…} or ${env:…}: never shown in messages */
    int32_t broken; /* was reported already: not checked further */
    char *text;     /* scalar, after ${…} expansion */
    char **pieces;  /* what ${…} brought in: secrets when they land in a SECRET option */
    size_t piece_count;
    size_t count;               /* items or pairs */
    struct sluice_yaml **items; /* sequence items; mapping values */
    struct sluice_yaml **keys;  /* mapping: scalar nodes */
};

/* Parses `size` bytes. Problems go to diags; NULL when there is no usable tree. */
struct sluice_yaml *sluice_yaml_parse(const char *data, size_t size, struct sluice_diags *diags);
/* Reads and parses a file (NOT_FOUND and the like go to diags too). */
struct sluice_yaml *sluice_yaml_read(const char *path, struct sluice_diags *diags);
void sluice_yaml_free(struct sluice_yaml *node);
/* Value of a key of a mapping, or NULL. */
const struct sluice_yaml *sluice_yaml_get(const struct sluice_yaml *map, const char *key);
/* True for an empty or absent scalar: `key:`, `~`, `null`. */
int sluice_yaml_is_null(const struct sluice_yaml *node);
/* Expands ${env:X}, ${env:X:-default}, ${file:/path} in all scalars; `$${` stands for a literal
 * "${". A file must not be readable by group or others. Problems go to diags. */
void sluice_yaml_expand(struct sluice_yaml *node, struct sluice_diags *diags);
/* Applies one --set a.b=c: makes mappings on the way. The value is parsed as a YAML scalar or flow
 * collection. */
int sluice_yaml_set(struct sluice_yaml *root, const char *assignment, struct sluice_diags *diags);

#endif /* SLUICE_CONFIG_YAML_H */
