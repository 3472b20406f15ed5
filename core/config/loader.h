/*
 * The state of one load of a pipeline file, shared by pipeline.c, node.c and graph.c.
 */
#ifndef SLUICE_CONFIG_LOADER_H
#define SLUICE_CONFIG_LOADER_H

#include "base/limits.h"
#include "base/map.h"
#include "config/internal.h"
#include "config/pipeline.h"

struct sluice_loader {
    struct sluice_pipeline *p;
    const struct sluice_component_lookup *lookup;
    struct sluice_diags *diags;
    struct sluice_str path;
    struct sluice_map ids;                                /* id -> its key in the file */
    const struct sluice_yaml *inputs[SLUICE_LIMIT_NODES]; /* of the node; NULL = none */
    int no_memory;
};

void sluice_load_error(struct sluice_loader *ld, const struct sluice_yaml *at, const char *hint,
                       const char *format, ...) SLUICE_PRINTF(4, 5);
/* Copies; sets no_memory on failure. */
char *sluice_load_copy(struct sluice_loader *ld, const char *text);
char **sluice_load_copy_list(struct sluice_loader *ld, const struct sluice_value *list,
                             size_t *count);
/* The key node of a mapping, or NULL. */
const struct sluice_yaml *sluice_load_key(const struct sluice_yaml *map, const char *key);
/* Checks map[key] against a table at its own path; places missing options at the key. NULL = absent
 * or out of memory. The rest of `check` is taken as given. */
struct sluice_config *sluice_load_check(struct sluice_loader *ld, const struct sluice_yaml *map,
                                        const char *key, const struct sluice_option *const *options,
                                        const struct sluice_check *check);
/* `retry` of map.on_error, laid over *out. `sink` may be NULL: else what a sink's on_error says beside. */
void sluice_load_on_error(struct sluice_loader *ld, const struct sluice_yaml *map,
                          const struct sluice_option *const *options, struct sluice_retry *out,
                          struct sluice_pipeline_node *sink);
/* `write`, `route`, `on_error.rows` and `on_table_error` of a sink. */
void sluice_load_write(struct sluice_loader *ld, const struct sluice_yaml *map,
                       struct sluice_pipeline_node *node);
void sluice_load_write_free(struct sluice_pipeline_node *node);
/* The patterns of map[key], a text or a list of texts; `if_empty` is the hint for an empty list. */
void sluice_load_check_patterns(struct sluice_loader *ld, const struct sluice_yaml *map,
                                const char *key, const char *if_empty);
void sluice_load_nodes(struct sluice_loader *ld, const struct sluice_yaml *root, int32_t kind);
void sluice_load_tables(struct sluice_loader *ld, const struct sluice_yaml *map,
                        struct sluice_tables *out);
void sluice_load_tables_free(struct sluice_tables *tables);
/* Resolves inputs, finds cycles, orders the nodes, compares mode and capabilities. */
void sluice_load_graph(struct sluice_loader *ld, const struct sluice_yaml *root);

/* "source", "transform", "sink" */
const char *sluice_kind_name(int32_t kind);

#endif /* SLUICE_CONFIG_LOADER_H */
