/* `tables:` of a source: loading, matching, folding of rules. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "config/loader.h"

static const char *const no_keys[] = {NULL};
static const char *const tables_keys[] = {"defaults", "rules", NULL};
static const char *const rule_keys[] = {"columns", NULL};
static const char *const rule_reserved[] = {"write", "route", "key", "snapshot", NULL};

static void check_pattern(struct sluice_loader *ld, const struct sluice_yaml *node)
{
    char why[256];
    if (node->kind != SLUICE_YAML_SCALAR || node->broken || sluice_yaml_is_null(node) ||
        sluice_config_pattern_check(node->text, why, sizeof why)) {
        return;
    }
    struct sluice_shown shown = sluice_show(node->text, node->secret);
    sluice_load_error(ld, node, "globs: * ? [a-z]; regular expressions: re:…", "%s%s%s", why,
                      shown.text[0] != '\0' ? ": " : "", shown.text);
}

void sluice_load_check_patterns(struct sluice_loader *ld, const struct sluice_yaml *map,
                                const char *key, const char *if_empty)
{
    const struct sluice_yaml *node = sluice_yaml_get(map, key);
    if (sluice_yaml_is_null(node)) {
        return;
    }
    size_t mark = sluice_path_push(&ld->path, key);
    if (node->kind == SLUICE_YAML_SCALAR) {
        check_pattern(ld, node);
    }
    else if (node->kind == SLUICE_YAML_SEQUENCE && node->count == 0 && if_empty != NULL) {
        sluice_load_error(ld, node, if_empty, "%s is empty", key);
    }
    for (size_t i = 0; node->kind == SLUICE_YAML_SEQUENCE && i < node->count; i++) {
        size_t inner = sluice_path_push_index(&ld->path, i);
        check_pattern(ld, node->items[i]);
        sluice_path_pop(&ld->path, inner);
    }
    sluice_path_pop(&ld->path, mark);
}

static void load_columns(struct sluice_loader *ld, const struct sluice_yaml *map,
                         struct sluice_table_rule *out)
{
    const struct sluice_check none = {.others = no_keys};
    struct sluice_config *columns =
        sluice_load_check(ld, map, "columns", sluice_engine_columns, &none);
    struct sluice_value include = sluice_config_value(columns, "include");
    struct sluice_value exclude = sluice_config_value(columns, "exclude");
    out->include_columns = sluice_load_copy_list(ld, &include, &out->include_count);
    out->exclude_columns = sluice_load_copy_list(ld, &exclude, &out->exclude_count);
    sluice_config_free(columns);
}

/* One rule, or the defaults (has_match 0), whose mapping is `map`; its path is ld->path. */
static void load_rule(struct sluice_loader *ld, const struct sluice_yaml *map, int has_match,
                      struct sluice_table_rule *out)
{
    const struct sluice_check check = {.others = rule_keys, .reserved = rule_reserved};
    struct sluice_config *config =
        sluice_config_check_with(has_match ? sluice_engine_rule : sluice_engine_defaults, map,
                                 sluice_str_text(&ld->path), &check, ld->diags);
    struct sluice_value match = sluice_config_value(config, "match");
    struct sluice_value where = sluice_config_value(config, "where");
    struct sluice_value schema = sluice_config_value(config, "schema");
    out->match = match.is_set ? sluice_load_copy(ld, match.string) : NULL;
    out->where = where.is_set ? sluice_load_copy(ld, where.string) : NULL;
    out->schema = schema.is_set ? (int32_t)schema.number + 1 : 0;
    sluice_config_free(config);
    if (map->kind == SLUICE_YAML_MAPPING) {
        const struct sluice_yaml *node = sluice_yaml_get(map, "match");
        if (node != NULL && node->kind == SLUICE_YAML_SCALAR && node->text[0] != '\0') {
            sluice_load_check_patterns(ld, map, "match", NULL);
        }
        load_columns(ld, map, out);
    }
}

static struct sluice_table_rule *add_rule(struct sluice_loader *ld, struct sluice_tables *out,
                                          size_t *cap)
{
    if (!sluice_alloc_grow((void **)&out->rules, cap, out->rule_count + 1, sizeof *out->rules)) {
        ld->no_memory = 1;
        return NULL;
    }
    struct sluice_table_rule *rule = &out->rules[out->rule_count++];
    memset(rule, 0, sizeof *rule);
    return rule;
}

static void load_rules(struct sluice_loader *ld, const struct sluice_yaml *map,
                       struct sluice_tables *out, size_t *cap)
{
    const struct sluice_yaml *rules = sluice_yaml_get(map, "rules");
    if (sluice_yaml_is_null(rules) || rules->broken) {
        return;
    }
    size_t mark = sluice_path_push(&ld->path, "rules");
    if (rules->kind != SLUICE_YAML_SEQUENCE) {
        sluice_load_error(ld, rules, "for example [{match: \"public.orders*\", where: …}]",
                          "rules wants a list, not %s", sluice_yaml_kind_name(rules));
    }
    for (size_t i = 0; rules->kind == SLUICE_YAML_SEQUENCE && i < rules->count; i++) {
        struct sluice_table_rule *rule = add_rule(ld, out, cap);
        if (rule == NULL) {
            break;
        }
        size_t inner = sluice_path_push_index(&ld->path, i);
        load_rule(ld, rules->items[i], 1, rule);
        sluice_path_pop(&ld->path, inner);
    }
    sluice_path_pop(&ld->path, mark);
}

void sluice_load_tables(struct sluice_loader *ld, const struct sluice_yaml *map,
                        struct sluice_tables *out)
{
    const struct sluice_check check = {.others = tables_keys, .reserved = rule_reserved};
    const struct sluice_yaml *tables = sluice_yaml_get(map, "tables");
    size_t cap = 0;
    if (tables == NULL || tables->broken) {
        return;
    }
    if (tables->kind == SLUICE_YAML_SEQUENCE) {
        size_t mark = sluice_path_push(&ld->path, "tables");
        sluice_load_error(ld, tables, "write tables: {include: [...]}",
                          "tables wants a mapping, not a list");
        sluice_path_pop(&ld->path, mark);
        return;
    }
    struct sluice_config *config =
        sluice_load_check(ld, map, "tables", sluice_engine_tables, &check);
    struct sluice_value include = sluice_config_value(config, "include");
    struct sluice_value exclude = sluice_config_value(config, "exclude");
    out->include = sluice_load_copy_list(ld, &include, &out->include_count);
    out->exclude = sluice_load_copy_list(ld, &exclude, &out->exclude_count);
    sluice_config_free(config);
    if (tables->kind != SLUICE_YAML_MAPPING) {
        return;
    }
    size_t mark = sluice_path_push(&ld->path, "tables");
    sluice_load_check_patterns(ld, tables, "include", "leave it out to take all tables");
    sluice_load_check_patterns(ld, tables, "exclude", NULL);
    const struct sluice_yaml *defaults = sluice_yaml_get(tables, "defaults");
    if (!sluice_yaml_is_null(defaults) && !defaults->broken) {
        struct sluice_table_rule *rule = add_rule(ld, out, &cap);
        if (rule != NULL) {
            size_t inner = sluice_path_push(&ld->path, "defaults");
            load_rule(ld, defaults, 0, rule);
            sluice_path_pop(&ld->path, inner);
        }
    }
    load_rules(ld, tables, out, &cap);
    sluice_path_pop(&ld->path, mark);
}

static void free_list(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sluice_free(list[i]);
    }
    sluice_free((void *)list);
}

void sluice_load_tables_free(struct sluice_tables *tables)
{
    for (size_t i = 0; i < tables->rule_count; i++) {
        struct sluice_table_rule *rule = &tables->rules[i];
        free_list(rule->include_columns, rule->include_count);
        free_list(rule->exclude_columns, rule->exclude_count);
        sluice_free(rule->match);
        sluice_free(rule->where);
    }
    sluice_free(tables->rules);
    free_list(tables->include, tables->include_count);
    free_list(tables->exclude, tables->exclude_count);
}

static int matches_any(char *const *patterns, size_t count, const char *stream)
{
    for (size_t i = 0; i < count; i++) {
        if (sluice_config_pattern_match(patterns[i], stream)) {
            return 1;
        }
    }
    return 0;
}

int sluice_tables_match(const struct sluice_tables *tables, const char *stream)
{
    return (tables->include_count == 0 ||
            matches_any(tables->include, tables->include_count, stream)) &&
           !matches_any(tables->exclude, tables->exclude_count, stream);
}

size_t sluice_tables_patterns(const struct sluice_tables *tables)
{
    return tables->include_count + tables->rule_count;
}

void sluice_tables_note(const struct sluice_tables *tables, const char *stream, unsigned char *seen)
{
    for (size_t i = 0; i < tables->include_count; i++) {
        seen[i] = seen[i] || sluice_config_pattern_match(tables->include[i], stream);
    }
    if (!sluice_tables_match(tables, stream)) {
        return; /* a rule says nothing about tables that are not taken */
    }
    for (size_t i = 0; i < tables->rule_count; i++) {
        unsigned char *met = &seen[tables->include_count + i];
        const char *match = tables->rules[i].match;
        *met = *met || match == NULL || sluice_config_pattern_match(match, stream);
    }
}

void sluice_tables_unmatched(const struct sluice_tables *tables, const unsigned char *seen,
                             void (*visit)(void *ctx, const char *at, const char *pattern),
                             void *ctx)
{
    char at[48];
    for (size_t i = 0; i < tables->include_count; i++) {
        if (!seen[i]) {
            (void)snprintf(at, sizeof at, "include[%zu]", i);
            visit(ctx, at, tables->include[i]);
        }
    }
    size_t rule = 0;
    for (size_t i = 0; i < tables->rule_count; i++) {
        if (tables->rules[i].match == NULL) {
            continue; /* the defaults are no rule of the list */
        }
        if (!seen[tables->include_count + i]) {
            (void)snprintf(at, sizeof at, "rules[%zu].match", rule);
            visit(ctx, at, tables->rules[i].match);
        }
        rule++;
    }
}

void sluice_tables_rule(const struct sluice_tables *tables, const char *stream,
                        struct sluice_table_rule *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < tables->rule_count; i++) {
        const struct sluice_table_rule *rule = &tables->rules[i];
        if (rule->match != NULL && !sluice_config_pattern_match(rule->match, stream)) {
            continue;
        }
        if (rule->include_columns != NULL) {
            out->include_columns = rule->include_columns;
            out->include_count = rule->include_count;
        }
        if (rule->exclude_columns != NULL) {
            out->exclude_columns = rule->exclude_columns;
            out->exclude_count = rule->exclude_count;
        }
        if (rule->where != NULL) {
            out->where = rule->where[0] != '\0' ? rule->where : NULL;
        }
        out->schema = rule->schema != 0 ? rule->schema : out->schema;
    }
}
