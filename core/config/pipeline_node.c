/* Loading the nodes of a pipeline: sources, transforms, sinks. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "config/loader.h"

struct kind_rule {
    int32_t kind;
    const char *map;
    const struct sluice_option *const *options;
    const char *const *others;
};

static const char *const source_keys[] = {"config", "tables",   "snapshot",
                                          "batch",  "on_error", NULL};
static const char *const transform_keys[] = {"config", NULL};
static const char *const sink_keys[] = {"config", "batch", "write", "route", "on_error", NULL};
static const char *const reserved_keys[] = {"parallelism", NULL};

static const struct kind_rule kind_rules[] = {
    {SLUICE_SOURCE, "sources", sluice_engine_source, source_keys},
    {SLUICE_TRANSFORM, "transforms", sluice_engine_node, transform_keys},
    {SLUICE_SINK, "sinks", sluice_engine_sink, sink_keys},
};

#define SCHEMA_PLACE "schema stands at the top of the file, or in tables.defaults and tables.rules"

/* Keys that stand at the wrong kind of node, and what to say then. */
static const struct {
    int32_t kind;
    const char *key;
    const char *message;
} misplaced[] = {
    {SLUICE_SOURCE, "inputs", "a source has no inputs"},
    {SLUICE_SOURCE, "write", "write belongs to sinks"},
    {SLUICE_SOURCE, "route", "route belongs to sinks"},
    {SLUICE_SOURCE, "on_table_error", "on_table_error belongs to sinks"},
    {SLUICE_SOURCE, "schema", SCHEMA_PLACE},
    {SLUICE_TRANSFORM, "tables", "tables are chosen at sources, not at transforms"},
    {SLUICE_TRANSFORM, "snapshot", "snapshot belongs to sources"},
    {SLUICE_TRANSFORM, "batch", "batch belongs to sources and sinks"},
    {SLUICE_TRANSFORM, "on_error", "on_error belongs to sources and sinks"},
    {SLUICE_TRANSFORM, "write", "write belongs to sinks"},
    {SLUICE_TRANSFORM, "route", "route belongs to sinks"},
    {SLUICE_TRANSFORM, "on_table_error", "on_table_error belongs to sinks"},
    {SLUICE_TRANSFORM, "schema", SCHEMA_PLACE},
    {SLUICE_SINK, "tables", "tables are chosen at sources, not at sinks"},
    {SLUICE_SINK, "snapshot", "snapshot belongs to sources"},
    {SLUICE_SINK, "schema", SCHEMA_PLACE},
};
/* All keys that belong beside `config:`; also those of `misplaced`. */
static const char *const beside_keys[] = {"plugin",   "inputs", "config",         "tables",
                                          "snapshot", "batch",  "on_error",       "route",
                                          "write",    "schema", "on_table_error", NULL};

const char *sluice_kind_name(int32_t kind)
{
    switch (kind) {
    case SLUICE_SOURCE:
        return "source";
    case SLUICE_SINK:
        return "sink";
    default:
        return "transform";
    }
}

static const struct kind_rule *rule_of(int32_t kind)
{
    for (size_t i = 0; i < sizeof kind_rules / sizeof kind_rules[0]; i++) {
        if (kind_rules[i].kind == kind) {
            return &kind_rules[i];
        }
    }
    return NULL;
}

static void check_id(struct sluice_loader *ld, const struct sluice_yaml *key)
{
    size_t size = strlen(key->text);
    struct sluice_shown shown = sluice_show(key->text, 0);
    const struct sluice_yaml *first =
        (const struct sluice_yaml *)sluice_map_get(&ld->ids, key->text);
    if (size > 63 || !(key->text[0] >= 'a' && key->text[0] <= 'z') ||
        strspn(key->text, "abcdefghijklmnopqrstuvwxyz0123456789_-") != size) {
        sluice_load_error(
            ld, key, "a lower-case letter, then lower-case letters, digits, _ and -, at most 63",
            "%s is no id for a node", shown.text);
    }
    if (first != NULL) {
        struct sluice_str hint = SLUICE_STR_INIT;
        sluice_str_printf(&hint, "it was first given at %u:%u", first->line, first->column);
        sluice_load_error(ld, key, sluice_str_text(&hint),
                          "id %s is given twice; ids are unique over all nodes", shown.text);
        sluice_str_free(&hint);
    }
    else if (!sluice_map_put(&ld->ids, key->text, (void *)(uintptr_t)key)) {
        ld->no_memory = 1;
    }
}

static void report_unknown_plugin(struct sluice_loader *ld, int32_t kind,
                                  const struct sluice_yaml *at)
{
    enum { NAMES_MAX = 256 };
    const char *names[NAMES_MAX];
    struct sluice_shown shown = sluice_show(at->text, at->secret);
    struct sluice_str hint = SLUICE_STR_INIT;
    static const int32_t kinds[] = {SLUICE_SOURCE, SLUICE_TRANSFORM, SLUICE_SINK};
    for (size_t i = 0; i < 3; i++) {
        if (kinds[i] != kind && ld->lookup->find(ld->lookup->ctx, kinds[i], at->text) != NULL) {
            sluice_load_error(ld, at, "`sluice plugin list` shows what there is",
                              "%s is a %s, not a %s", shown.text, sluice_kind_name(kinds[i]),
                              sluice_kind_name(kind));
            return;
        }
    }
    if (strchr(at->text, '@') != NULL) {
        sluice_load_error(ld, at, "write the name alone",
                          "plugin versions cannot be chosen in this version");
        return;
    }
    size_t count = ld->lookup->names(ld->lookup->ctx, kind, names, NAMES_MAX);
    count = count > NAMES_MAX ? NAMES_MAX : count;
    const char *near = at->secret ? NULL : sluice_did_you_mean(at->text, names, count);
    if (near != NULL) {
        sluice_str_printf(&hint, "did you mean %s? ", near);
    }
    sluice_str_append(&hint, count == 0 ? "no plugins were found" : "there are: ");
    for (size_t i = 0; i < count; i++) {
        sluice_str_printf(&hint, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    sluice_load_error(ld, at, sluice_str_text(&hint), "unknown %s plugin %s",
                      sluice_kind_name(kind), shown.text);
    sluice_str_free(&hint);
}

static void load_plugin(struct sluice_loader *ld, struct sluice_pipeline_node *node,
                        const struct sluice_yaml *map)
{
    const struct sluice_yaml *at = sluice_yaml_get(map, "plugin");
    if (sluice_yaml_is_null(at) || at->kind != SLUICE_YAML_SCALAR || at->broken ||
        at->text[0] == '\0') {
        return;
    }
    node->plugin = sluice_load_copy(ld, at->text);
    node->component = ld->lookup->find(ld->lookup->ctx, node->kind, at->text);
    if (node->component == NULL) {
        size_t mark = sluice_path_push(&ld->path, "plugin");
        report_unknown_plugin(ld, node->kind, at);
        sluice_path_pop(&ld->path, mark);
    }
}

static void report_misplaced(struct sluice_loader *ld, int32_t kind, const struct sluice_yaml *map)
{
    for (size_t i = 0; i < sizeof misplaced / sizeof misplaced[0]; i++) {
        const struct sluice_yaml *at = sluice_load_key(map, misplaced[i].key);
        if (misplaced[i].kind != kind || at == NULL) {
            continue;
        }
        size_t mark = sluice_path_push(&ld->path, misplaced[i].key);
        sluice_load_error(ld, at, NULL, "%s", misplaced[i].message);
        sluice_path_pop(&ld->path, mark);
    }
}

static void load_config(struct sluice_loader *ld, struct sluice_pipeline_node *node,
                        const struct sluice_yaml *key, const struct sluice_yaml *map)
{
    struct sluice_check check = {.outside = beside_keys};
    if (node->component == NULL) {
        return;
    }
    if (sluice_load_key(map, "config") != NULL) {
        node->config = sluice_load_check(ld, map, "config", node->component->options, &check);
        return;
    }
    check.line = key->line;
    check.column = key->column;
    size_t mark = sluice_path_push(&ld->path, "config");
    node->config = sluice_config_check_with(node->component->options, NULL,
                                            sluice_str_text(&ld->path), &check, ld->diags);
    sluice_path_pop(&ld->path, mark);
}

static void load_batch(struct sluice_loader *ld, struct sluice_pipeline_node *node,
                       const struct sluice_yaml *map)
{
    const struct sluice_check none = {0};
    struct sluice_config *batch = sluice_load_check(
        ld, map, "batch",
        node->kind == SLUICE_SOURCE ? sluice_engine_batch_source : sluice_engine_batch_sink, &none);
    node->batch.rows = (uint64_t)sluice_config_value(batch, "rows").number;
    node->batch.bytes = (uint64_t)sluice_config_value(batch, "bytes").number;
    node->batch.interval_us = sluice_config_value(batch, "interval").number;
    sluice_config_free(batch);
}

static void load_snapshot(struct sluice_loader *ld, struct sluice_pipeline_node *node,
                          const struct sluice_yaml *map)
{
    static const char *const reserved[] = {"mode", "chunk_rows", "parallel_tables",
                                           "parallel_chunks", NULL};
    const struct sluice_check check = {.reserved = reserved};
    struct sluice_config *snapshot =
        sluice_load_check(ld, map, "snapshot", sluice_engine_snapshot, &check);
    node->split_bytes = (uint64_t)sluice_config_value(snapshot, "split").number;
    sluice_config_free(snapshot);
}

static void load_node(struct sluice_loader *ld, const struct kind_rule *rule,
                      const struct sluice_yaml *key, const struct sluice_yaml *map)
{
    size_t index = ld->p->node_count;
    struct sluice_pipeline_node *node = &ld->p->nodes[index];
    ld->p->node_count++;
    node->kind = rule->kind;
    node->line = key->line;
    node->column = key->column;
    node->retry = ld->p->retry;
    node->id = sluice_load_copy(ld, key->text);
    check_id(ld, key);
    if (map->kind != SLUICE_YAML_MAPPING) {
        if (!map->broken) {
            sluice_load_error(ld, map, "for example {plugin: …, config: {…}}",
                              "a %s wants a mapping, not %s", sluice_kind_name(rule->kind),
                              sluice_yaml_kind_name(map));
        }
        return;
    }
    load_plugin(ld, node, map);
    const struct sluice_check check = {
        .others = rule->others,
        .reserved = reserved_keys,
        .elsewhere = NULL,
        .line = key->line,
        .column = key->column,
        .nearby = node->component != NULL ? node->component->options : NULL,
        .plugin = node->plugin,
    };
    struct sluice_check known = check;
    const char *elsewhere[sizeof misplaced / sizeof misplaced[0] + 1] = {NULL};
    size_t count = 0;
    for (size_t i = 0; i < sizeof misplaced / sizeof misplaced[0]; i++) {
        if (misplaced[i].kind == rule->kind) {
            elsewhere[count++] = misplaced[i].key;
        }
    }
    known.elsewhere = elsewhere;
    sluice_config_free(sluice_config_check_with(rule->options, map, sluice_str_text(&ld->path),
                                                &known, ld->diags));
    report_misplaced(ld, rule->kind, map);
    load_config(ld, node, key, map);
    if (rule->kind != SLUICE_SOURCE) {
        ld->inputs[index] = sluice_yaml_get(map, "inputs");
    }
    if (rule->kind != SLUICE_TRANSFORM) {
        load_batch(ld, node, map);
        sluice_load_on_error(ld, map, sluice_engine_node_retry, &node->retry,
                             rule->kind == SLUICE_SINK ? node : NULL);
    }
    if (rule->kind == SLUICE_SINK) {
        sluice_load_write(ld, map, node);
    }
    if (rule->kind == SLUICE_SOURCE) {
        load_snapshot(ld, node, map);
        sluice_load_tables(ld, map, &node->tables);
    }
}

/* Room for `more` nodes. 0 = reported. */
static int reserve(struct sluice_loader *ld, const struct sluice_yaml *map)
{
    size_t count = ld->p->node_count + map->count;
    if (count > SLUICE_LIMIT_NODES) {
        sluice_load_error(ld, map, "split the pipeline", "more than %d nodes", SLUICE_LIMIT_NODES);
        return 0;
    }
    void *bigger = sluice_alloc_resize(ld->p->nodes, count, sizeof *ld->p->nodes);
    if (bigger == NULL) {
        ld->no_memory = 1;
        return 0;
    }
    ld->p->nodes = (struct sluice_pipeline_node *)bigger;
    memset(ld->p->nodes + ld->p->node_count, 0, map->count * sizeof *ld->p->nodes);
    return 1;
}

void sluice_load_nodes(struct sluice_loader *ld, const struct sluice_yaml *root, int32_t kind)
{
    const struct kind_rule *rule = rule_of(kind);
    const struct sluice_yaml *map = sluice_yaml_get(root, rule->map);
    if (map != NULL && map->broken) {
        return;
    }
    size_t mark = sluice_path_push(&ld->path, rule->map);
    if (sluice_yaml_is_null(map) || (map->kind == SLUICE_YAML_MAPPING && map->count == 0)) {
        if (kind != SLUICE_TRANSFORM) {
            sluice_load_error(ld, map != NULL ? map : root, NULL, "a pipeline needs a %s",
                              sluice_kind_name(kind));
        }
    }
    else if (map->kind != SLUICE_YAML_MAPPING) {
        sluice_load_error(ld, map, "each entry is an id and what it stands for",
                          "%s wants a mapping, not %s", rule->map, sluice_yaml_kind_name(map));
    }
    else if (reserve(ld, map)) {
        for (size_t i = 0; i < map->count && !ld->no_memory; i++) {
            size_t inner = sluice_path_push(&ld->path, map->keys[i]->text);
            load_node(ld, rule, map->keys[i], map->items[i]);
            sluice_path_pop(&ld->path, inner);
        }
    }
    sluice_path_pop(&ld->path, mark);
}
