/* Loading a pipeline file: its top level. */
#include "config/pipeline.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "config/loader.h"

void sluice_load_error(struct sluice_loader *ld, const struct sluice_yaml *at, const char *hint,
                       const char *format, ...)
{
    struct sluice_error text = SLUICE_ERROR_INIT;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text.message, sizeof text.message, format, args);
    va_end(args);
    sluice_diags_add(ld->diags, SLUICE_DIAG_ERROR, at->line, at->column, sluice_str_text(&ld->path),
                     hint, "%s", text.message);
}

char *sluice_load_copy(struct sluice_loader *ld, const char *text)
{
    char *copy = sluice_alloc_string(text);
    if (copy == NULL && text != NULL) {
        ld->no_memory = 1;
    }
    return copy;
}

char **sluice_load_copy_list(struct sluice_loader *ld, const struct sluice_value *list,
                             size_t *count)
{
    *count = 0;
    if (!list->is_set) {
        return NULL;
    }
    /* Not NULL even when empty: an empty list was given, which is not the same as none. */
    char **copy = (char **)sluice_alloc_zero(list->count, sizeof *copy);
    if (copy == NULL) {
        ld->no_memory = 1;
        return NULL;
    }
    for (uint32_t i = 0; i < list->count; i++) {
        copy[i] = sluice_load_copy(ld, list->items[i]);
        if (copy[i] == NULL) {
            break;
        }
        *count = i + 1u;
    }
    return copy;
}

const struct sluice_yaml *sluice_load_key(const struct sluice_yaml *map, const char *key)
{
    for (size_t i = 0; map->kind == SLUICE_YAML_MAPPING && i < map->count; i++) {
        if (strcmp(map->keys[i]->text, key) == 0) {
            return map->keys[i];
        }
    }
    return NULL;
}

struct sluice_config *sluice_load_check(struct sluice_loader *ld, const struct sluice_yaml *map,
                                        const char *key, const struct sluice_option *const *options,
                                        const struct sluice_check *check)
{
    const struct sluice_yaml *at = sluice_load_key(map, key);
    struct sluice_check placed = *check;
    if (at == NULL) {
        return NULL;
    }
    placed.line = at->line;
    placed.column = at->column;
    size_t mark = sluice_path_push(&ld->path, key);
    struct sluice_config *config = sluice_config_check_with(
        options, sluice_yaml_get(map, key), sluice_str_text(&ld->path), &placed, ld->diags);
    sluice_path_pop(&ld->path, mark);
    return config;
}

/* What on_error of a sink says of rows. */
static void take_rows(struct sluice_pipeline_node *sink, const struct sluice_config *config)
{
    struct sluice_value rows = sluice_config_value(config, "rows");
    struct sluice_value max = sluice_config_value(config, "max_rejected");
    sink->on_row_error = rows.is_set ? (int32_t)rows.number + 1 : SLUICE_ROWS_STOP;
    sink->max_rejected = max.is_set ? (uint64_t)max.number : 0;
}

void sluice_load_on_error(struct sluice_loader *ld, const struct sluice_yaml *map,
                          const struct sluice_option *const *options, struct sluice_retry *out,
                          struct sluice_pipeline_node *sink)
{
    static const char *const others[] = {"retry", NULL};
    static const char *const reserved[] = {"dlq", "stop_after", NULL};
    const struct sluice_check outer = {.others = others, .reserved = reserved};
    const struct sluice_check inner = {0};
    const struct sluice_yaml *node = sluice_yaml_get(map, "on_error");
    struct sluice_config *own = sluice_load_check(
        ld, map, "on_error", sink != NULL ? sluice_engine_sink_error : sluice_engine_none, &outer);
    if (sink != NULL) {
        take_rows(sink, own);
    }
    sluice_config_free(own);
    if (node == NULL || node->kind != SLUICE_YAML_MAPPING) {
        return;
    }
    size_t mark = sluice_path_push(&ld->path, "on_error");
    struct sluice_config *retry = sluice_load_check(ld, node, "retry", options, &inner);
    struct sluice_value max = sluice_config_value(retry, "max");
    struct sluice_value backoff = sluice_config_value(retry, "backoff");
    struct sluice_value cap = sluice_config_value(retry, "cap");
    out->max = max.is_set ? (uint32_t)max.number : out->max;
    out->backoff_us = backoff.is_set ? backoff.number : out->backoff_us;
    out->cap_us = cap.is_set ? cap.number : out->cap_us;
    if (out->cap_us < out->backoff_us) {
        const struct sluice_yaml *at = sluice_load_key(node, "retry");
        (void)sluice_path_push(&ld->path, "retry");
        sluice_load_error(ld, at != NULL ? at : node, "give both backoff and cap",
                          "cap, the longest wait, is shorter than backoff, the first");
    }
    sluice_config_free(retry);
    sluice_path_pop(&ld->path, mark);
}

/* [a-z0-9_][a-z0-9_.-]{0,62} */
static int is_pipeline_name(const char *name)
{
    size_t size = strlen(name);
    return size >= 1 && size <= 63 && name[0] != '.' && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == size;
}

static void load_name(struct sluice_loader *ld, const struct sluice_yaml *root,
                      const struct sluice_value *name)
{
    if (!name->is_set || name->string[0] == '\0') {
        return;
    }
    ld->p->name = sluice_load_copy(ld, name->string);
    const struct sluice_yaml *at = sluice_yaml_get(root, "name");
    if (!is_pipeline_name(name->string)) {
        struct sluice_shown shown = sluice_show(name->string, at->secret);
        size_t mark = sluice_path_push(&ld->path, "name");
        sluice_load_error(
            ld, at, "lower-case letters, digits, _ . and -, at most 63, and not . or - first",
            "%s is no name for a pipeline", shown.text[0] != '\0' ? shown.text : "the value");
        sluice_path_pop(&ld->path, mark);
    }
}

static void load_state(struct sluice_loader *ld, const struct sluice_yaml *root)
{
    const struct sluice_check none = {0};
    if (sluice_yaml_is_null(sluice_yaml_get(root, "state"))) {
        return;
    }
    struct sluice_config *state = sluice_load_check(ld, root, "state", sluice_engine_state, &none);
    struct sluice_value uri = sluice_config_value(state, "uri");
    if (uri.is_set && uri.string[0] != '\0') {
        const struct sluice_yaml *at = sluice_yaml_get(sluice_yaml_get(root, "state"), "uri");
        size_t mark = sluice_path_push(&ld->path, "state");
        (void)sluice_path_push(&ld->path, "uri");
        if (strncmp(uri.string, "file:", 5) != 0) {
            sluice_load_error(ld, at, "for example file:/var/lib/sluice",
                              "state is kept in files alone in this version");
        }
        else if (uri.string[5] == '\0') {
            sluice_load_error(ld, at, "for example file:/var/lib/sluice", "the folder is missing");
        }
        else if (strncmp(uri.string, "file://", 7) == 0 && uri.string[7] != '/') {
            sluice_load_error(ld, at, "for example file:/var/lib/sluice",
                              "after file:// stands the name of a host; state is kept on this one");
        }
        sluice_path_pop(&ld->path, mark);
        ld->p->state_uri = sluice_load_copy(ld, uri.string);
    }
    sluice_config_free(state);
}

static void load_top(struct sluice_loader *ld, const struct sluice_yaml *root)
{
    static const char *const others[] = {"sources", "transforms", "sinks",
                                         "state",   "on_error",   NULL};
    static const char *const reserved[] = {"schedule", "tests", "include", "secrets", NULL};
    /* The first line stands for the file where something is missing. */
    const struct sluice_check check = {
        .others = others, .reserved = reserved, .line = root->line, .column = root->column};
    struct sluice_config *top =
        sluice_config_check_with(sluice_engine_top, root, "", &check, ld->diags);
    if (top == NULL) {
        return;
    }
    struct sluice_value name = sluice_config_value(top, "name");
    struct sluice_value mode = sluice_config_value(top, "mode");
    struct sluice_value memory = sluice_config_value(top, "memory");
    struct sluice_value parallelism = sluice_config_value(top, "parallelism");
    struct sluice_value schema = sluice_config_value(top, "schema");
    /* The choices stand in the order of SLUICE_MODE_*, which begins at 1. */
    ld->p->mode = mode.is_set ? (int32_t)mode.number + 1 : 0;
    ld->p->memory_bytes = memory.is_set ? (uint64_t)memory.number : SLUICE_DEFAULT_MEMORY;
    ld->p->schema = schema.is_set ? (int32_t)schema.number + 1 : SLUICE_SCHEMA_EVOLVE;
    ld->p->parallelism = parallelism.is_set ? (uint32_t)parallelism.number : 0;
    load_name(ld, root, &name);
    sluice_config_free(top);
    load_state(ld, root);
    sluice_load_on_error(ld, root, sluice_engine_retry, &ld->p->retry, NULL);
}

static struct sluice_pipeline *load_root(const struct sluice_yaml *root,
                                         const struct sluice_component_lookup *lookup,
                                         struct sluice_diags *diags)
{
    struct sluice_loader ld;
    memset(&ld, 0, sizeof ld);
    ld.lookup = lookup;
    ld.diags = diags;
    ld.p = (struct sluice_pipeline *)sluice_alloc_zero(1, sizeof *ld.p);
    if (ld.p == NULL) {
        sluice_diags_no_memory(diags);
        return NULL;
    }
    ld.p->file = sluice_load_copy(&ld, diags->file != NULL ? diags->file : "");
    ld.p->retry = (struct sluice_retry){5, 1000000, 30000000};
    load_top(&ld, root);
    sluice_load_nodes(&ld, root, SLUICE_SOURCE);
    sluice_load_nodes(&ld, root, SLUICE_TRANSFORM);
    sluice_load_nodes(&ld, root, SLUICE_SINK);
    if (!ld.no_memory) {
        sluice_load_graph(&ld, root);
    }
    if (ld.no_memory || ld.path.failed) {
        sluice_diags_no_memory(diags);
    }
    sluice_map_free(&ld.ids);
    sluice_str_free(&ld.path);
    return ld.p;
}

/* `plugin: null` is nothing for YAML, but a sink has that name: whoever writes it means the sink. */
static void accept_null_plugin(struct sluice_yaml *root)
{
    static const char *const maps[] = {"sources", "transforms", "sinks"};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        const struct sluice_yaml *map = sluice_yaml_get(root, maps[i]);
        for (size_t k = 0; map != NULL && map->kind == SLUICE_YAML_MAPPING && k < map->count; k++) {
            struct sluice_yaml *node = map->items[k];
            for (size_t n = 0; node->kind == SLUICE_YAML_MAPPING && n < node->count; n++) {
                struct sluice_yaml *value = node->items[n];
                if (strcmp(node->keys[n]->text, "plugin") == 0 &&
                    value->kind == SLUICE_YAML_SCALAR && strcmp(value->text, "null") == 0) {
                    value->quoted = 1;
                }
            }
        }
    }
}

/* Takes the tree. */
static struct sluice_pipeline *load_tree(struct sluice_yaml *root, const char *const *sets,
                                         size_t set_count,
                                         const struct sluice_component_lookup *lookup,
                                         struct sluice_diags *diags)
{
    struct sluice_pipeline *p = NULL;
    if (root != NULL && root->kind != SLUICE_YAML_MAPPING) {
        sluice_diags_add(diags, SLUICE_DIAG_ERROR, root->line, root->column, NULL,
                         "it begins with version: 1",
                         "a pipeline file is a mapping of keys to values, this is %s",
                         sluice_yaml_kind_name(root));
    }
    else if (root != NULL) {
        for (size_t i = 0; i < set_count; i++) {
            (void)sluice_yaml_set(root, sets[i], diags);
        }
        sluice_yaml_expand(root, diags);
        accept_null_plugin(root);
        p = load_root(root, lookup, diags);
    }
    sluice_yaml_free(root);
    sluice_diags_sort(diags);
    return p;
}

struct sluice_pipeline *sluice_pipeline_load(const char *path, const char *const *sets,
                                             size_t set_count,
                                             const struct sluice_component_lookup *lookup,
                                             struct sluice_diags *diags)
{
    if (diags->file == NULL) {
        diags->file = sluice_alloc_string(path);
    }
    return load_tree(sluice_yaml_read(path, diags), sets, set_count, lookup, diags);
}

struct sluice_pipeline *sluice_pipeline_parse(const char *name, const char *data, size_t size,
                                              const char *const *sets, size_t set_count,
                                              const struct sluice_component_lookup *lookup,
                                              struct sluice_diags *diags)
{
    if (diags->file == NULL) {
        diags->file = sluice_alloc_string(name);
    }
    return load_tree(sluice_yaml_parse(data, size, diags), sets, set_count, lookup, diags);
}

void sluice_pipeline_free(struct sluice_pipeline *pipeline)
{
    if (pipeline == NULL) {
        return;
    }
    for (size_t i = 0; i < pipeline->node_count; i++) {
        struct sluice_pipeline_node *node = &pipeline->nodes[i];
        sluice_config_free(node->config);
        sluice_load_tables_free(&node->tables);
        sluice_load_write_free(node);
        sluice_free(node->inputs);
        sluice_free(node->plugin);
        sluice_free(node->id);
    }
    sluice_free(pipeline->nodes);
    sluice_free(pipeline->state_uri);
    sluice_free(pipeline->name);
    sluice_free(pipeline->file);
    sluice_free(pipeline);
}
