/* `write`, `route` and `on_error.rows` of a sink: their option tables, loading, folding of rules. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "config/loader.h"
#include "sluice/option.h"

/* ---- tables ---- */

/* In the order of the ABI's numbers, which begin at 1. */
static const char *const modes[] = {"append", "upsert", "update", "replace", "history", NULL};
static const char *const deletes[] = {"hard", "soft", "ignore", NULL};
static const char *const duplicates[] = {"one", "all", "fail", NULL};
static const char *const truncates[] = {"apply", "ignore", "fail", NULL};
static const char *const row_errors[] = {"stop", "skip", "dlq", NULL};
static const char *const cases[] = {"keep", "lower", "upper", NULL};
static const char *const long_names[] = {"fail", "hash", NULL};
/* Bit i of SLUICE_META_*. */
static const char *const metadata[] = {"op", "commit_ts", "position",  "seq",
                                       "tx", "synced_at", "unchanged", NULL};

#define HELP_MODE                                                                                 \
    "upsert puts rows by key; append adds them, and stops at an update or delete; update changes" \
    " rows that are there and adds none; replace lets each load take the place of all rows at"    \
    " once, changes as upsert; history adds a row for each change, with its metadata. For sinks"  \
    " over tables."
#define HELP_KEY                                                                                \
    "What rows are found by: source is the key of the source's table, none says that rows have" \
    " none, a list names columns. For sinks over tables."
#define HELP_DELETES \
    "hard deletes rows, soft sets soft_column, ignore keeps them. For sinks over tables."
#define HELP_SOFT "Name of the boolean column that deletes: soft sets."
#define HELP_DUPLICATES                                                                          \
    "Which of several equal rows a change of a table without key is about: one of them, all, or" \
    " fail. For sinks over tables."
#define HELP_METADATA                                                                        \
    "Columns beside the row's own: op, commit_ts, position, seq, tx, synced_at, unchanged. " \
    "history"                                                                                \
    " has op, commit_ts, position, seq and unchanged in any case. For sinks over tables."
#define HELP_PREFIX "Stands before the names of metadata columns."
#define HELP_TRUNCATE                                                                              \
    "What happens when a table is truncated while its changes are followed: apply hands it on in " \
    "its place between the rows, ignore leaves it out, fail stops the pipeline there."
#define HELP_TO                                                                                 \
    "Name of the target table: {schema} and {table} stand for the source's names, {source} and" \
    " {pipeline} for ids of the file. A dot parts schema and table."
#define HELP_CASE "Letters of the target's names: keep, lower or upper."
#define HELP_ROUTE_PREFIX "Stands before the table's name."
#define HELP_SUFFIX "Stands behind the table's name."
#define HELP_LONG                                                                               \
    "Names that are too long for the target: fail refuses them, hash cuts them and puts a hash" \
    " behind."
#define HELP_MERGE "Lets several streams write into one table. Their keys must not meet."

static const struct sluice_option match = {(uint32_t)sizeof(struct sluice_option),
                                           SLUICE_OPTION_STRING,
                                           SLUICE_OPTION_REQUIRED,
                                           0,
                                           "match",
                                           NULL,
                                           0,
                                           0,
                                           NULL,
                                           "Pattern of the tables that the rule is for.",
                                           "public.log_*"};

#define PAIR(name_, type_, default_, help_)                                                  \
    static const struct sluice_option name_ = SLUICE_OPT(type_, #name_, default_, 0, help_); \
    static const struct sluice_option name_##_rule = SLUICE_OPT(type_, #name_, NULL, 0, help_)
#define ENUM_PAIR(var_, key_, default_, choices_, help_)                                          \
    static const struct sluice_option var_ = SLUICE_OPT_ENUM(key_, default_, 0, choices_, help_); \
    static const struct sluice_option var_##_rule = SLUICE_OPT_ENUM(key_, NULL, 0, choices_, help_)

ENUM_PAIR(o_mode, "mode", "upsert", modes, HELP_MODE);
ENUM_PAIR(o_deletes, "deletes", "hard", deletes, HELP_DELETES);
ENUM_PAIR(o_duplicates, "duplicates", "one", duplicates, HELP_DUPLICATES);
ENUM_PAIR(o_truncate, "truncate", "apply", truncates, HELP_TRUNCATE);
PAIR(key, SLUICE_OPTION_LIST, "source", HELP_KEY);
PAIR(soft_column, SLUICE_OPTION_STRING, "_sluice_deleted", HELP_SOFT);
static const struct sluice_option o_metadata = {(uint32_t)sizeof(struct sluice_option),
                                                SLUICE_OPTION_LIST,
                                                0,
                                                0,
                                                "metadata",
                                                NULL,
                                                0,
                                                0,
                                                NULL,
                                                HELP_METADATA,
                                                "[op, commit_ts]"};
PAIR(metadata_prefix, SLUICE_OPTION_STRING, "_sluice_", HELP_PREFIX);

const struct sluice_option *const sluice_engine_write[] = {
    &o_mode,          &key,        &o_deletes, &soft_column, &o_duplicates, &o_metadata,
    &metadata_prefix, &o_truncate, NULL};
const struct sluice_option *const sluice_engine_write_rule[] = {&match,
                                                                &o_mode_rule,
                                                                &key_rule,
                                                                &o_deletes_rule,
                                                                &soft_column_rule,
                                                                &o_duplicates_rule,
                                                                &o_metadata,
                                                                &metadata_prefix_rule,
                                                                &o_truncate_rule,
                                                                NULL};

PAIR(to, SLUICE_OPTION_STRING, "{schema}.{table}", HELP_TO);
ENUM_PAIR(o_case, "case", "keep", cases, HELP_CASE);
ENUM_PAIR(o_long_names, "long_names", "fail", long_names, HELP_LONG);
PAIR(prefix, SLUICE_OPTION_STRING, NULL, HELP_ROUTE_PREFIX);
PAIR(suffix, SLUICE_OPTION_STRING, NULL, HELP_SUFFIX);
PAIR(merge, SLUICE_OPTION_BOOL, "false", HELP_MERGE);

const struct sluice_option *const sluice_engine_route[] = {&to,           &o_case, &prefix, &suffix,
                                                           &o_long_names, &merge,  NULL};
const struct sluice_option *const sluice_engine_route_rule[] = {
    &match,       &to_rule,           &o_case_rule, &prefix_rule,
    &suffix_rule, &o_long_names_rule, &merge_rule,  NULL};

static const struct sluice_option rows = SLUICE_OPT_ENUM(
    "rows", "stop", 0, row_errors,
    "What becomes of a row that the target refuses for what is in it: stop ends the run, skip"
    " counts it and goes on, dlq keeps it as a dead letter in the target. For sinks over tables.");
static const struct sluice_option max_rejected =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "max_rejected", NULL, 0, 1, 1000000000000LL,
                     "Stops the run once so many rows were refused. Default: no bound.");
const struct sluice_option *const sluice_engine_sink_error[] = {&rows, &max_rejected, NULL};

/* ---- loading ---- */

static int32_t choice(const struct sluice_config *config, const char *name)
{
    struct sluice_value value = sluice_config_value(config, name);
    return value.is_set ? (int32_t)value.number + 1 : 0;
}

static char *text(struct sluice_loader *ld, const struct sluice_config *config, const char *name)
{
    struct sluice_value value = sluice_config_value(config, name);
    return value.is_set ? sluice_load_copy(ld, value.string) : NULL;
}

static void load_key(struct sluice_loader *ld, const struct sluice_yaml *map,
                     const struct sluice_config *config, struct sluice_write_rule *out)
{
    const struct sluice_yaml *node = sluice_yaml_get(map, "key");
    struct sluice_value value = sluice_config_value(config, "key");
    if (sluice_yaml_is_null(node) || !value.is_set) {
        return;
    }
    if (node->kind == SLUICE_YAML_SCALAR && strcmp(node->text, "source") == 0) {
        out->key = SLUICE_KEY_SOURCE;
        return;
    }
    if (node->kind == SLUICE_YAML_SCALAR && strcmp(node->text, "none") == 0) {
        out->key = SLUICE_KEY_NONE;
        return;
    }
    out->key = SLUICE_KEY_COLUMNS;
    out->key_columns = sluice_load_copy_list(ld, &value, &out->key_count);
    if (value.count == 0) {
        size_t mark = sluice_path_push(&ld->path, "key");
        sluice_load_error(ld, node, "write key: none if rows have none", "key names no column");
        sluice_path_pop(&ld->path, mark);
    }
}

static void load_metadata(struct sluice_loader *ld, const struct sluice_yaml *map,
                          const struct sluice_config *config, struct sluice_write_rule *out)
{
    struct sluice_value value = sluice_config_value(config, "metadata");
    size_t mark = sluice_path_push(&ld->path, "metadata");
    out->metadata_set = value.is_set;
    for (uint32_t i = 0; value.is_set && i < value.count; i++) {
        size_t k = 0;
        while (metadata[k] != NULL && strcmp(metadata[k], value.items[i]) != 0) {
            k++;
        }
        if (metadata[k] == NULL) {
            struct sluice_shown shown = sluice_show(value.items[i], 0);
            sluice_load_error(ld, sluice_yaml_get(map, "metadata"),
                              "there are: op, commit_ts, position, seq, tx, synced_at, unchanged",
                              "unknown metadata column %s", shown.text);
        }
        else {
            out->metadata |= 1u << k;
        }
    }
    sluice_path_pop(&ld->path, mark);
}

static void take_write(struct sluice_loader *ld, const struct sluice_yaml *map,
                       const struct sluice_config *config, void *to_)
{
    struct sluice_write_rule *out = to_;
    out->mode = choice(config, "mode");
    out->deletes = choice(config, "deletes");
    out->duplicates = choice(config, "duplicates");
    out->truncate = choice(config, "truncate");
    out->soft_column = text(ld, config, "soft_column");
    out->metadata_prefix = text(ld, config, "metadata_prefix");
    load_key(ld, map, config, out);
    load_metadata(ld, map, config, out);
}

/* Parts of `to` outside of braces are text; between them stand known words. */
static void check_to(struct sluice_loader *ld, const struct sluice_yaml *map, const char *pattern)
{
    static const char *const words[] = {"{schema}", "{table}", "{source}", "{pipeline}"};
    const char *wrong = NULL;
    const char *p = pattern;
    while (*p != '\0' && wrong == NULL) {
        size_t size = 1;
        if (*p == '{' || *p == '}') {
            size = 0;
            for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
                size = strncmp(p, words[i], strlen(words[i])) == 0 ? strlen(words[i]) : size;
            }
            wrong = size == 0 ? p : NULL;
        }
        p += size;
    }
    const char *dot = strchr(pattern, '.');
    int dots = dot != NULL && (strchr(dot + 1, '.') != NULL || dot == pattern || dot[1] == '\0');
    if (wrong != NULL || dots || pattern[0] == '\0') {
        size_t mark = sluice_path_push(&ld->path, "to");
        sluice_load_error(ld, sluice_yaml_get(map, "to"),
                          "for example \"replica.{schema}_{table}\"; there are {schema}, {table}, "
                          "{source} and {pipeline}",
                          "to wants a table, or a schema, one dot and a table");
        sluice_path_pop(&ld->path, mark);
    }
}

static void take_route(struct sluice_loader *ld, const struct sluice_yaml *map,
                       const struct sluice_config *config, void *to_)
{
    struct sluice_route_rule *out = to_;
    struct sluice_value joined = sluice_config_value(config, "merge");
    out->to = text(ld, config, "to");
    out->letters = choice(config, "case");
    out->long_names = choice(config, "long_names");
    out->prefix = text(ld, config, "prefix");
    out->suffix = text(ld, config, "suffix");
    out->merge = joined.is_set ? (int32_t)joined.number + 1 : 0;
    if (out->to != NULL && map->kind == SLUICE_YAML_MAPPING && sluice_load_key(map, "to") != NULL) {
        check_to(ld, map, out->to);
    }
}

/* A mapping with rules, as both keys are. */
struct ruled {
    const char *key;
    const struct sluice_option *const *options;
    const struct sluice_option *const *rule_options;
    void (*take)(struct sluice_loader *ld, const struct sluice_yaml *map,
                 const struct sluice_config *config, void *out);
    size_t size; /* of a rule, whose first member is `match` */
    void **items;
    size_t *count;
};

static void *add_item(struct sluice_loader *ld, const struct ruled *ruled)
{
    char *grown = sluice_alloc_resize(*ruled->items, *ruled->count + 1, ruled->size);
    if (grown == NULL) {
        ld->no_memory = 1;
        return NULL;
    }
    *ruled->items = grown;
    memset(grown + *ruled->count * ruled->size, 0, ruled->size);
    return grown + (*ruled->count)++ * ruled->size;
}

static void load_rule(struct sluice_loader *ld, const struct ruled *ruled,
                      const struct sluice_yaml *map)
{
    const struct sluice_check check = {0};
    struct sluice_config *config = sluice_config_check_with(
        ruled->rule_options, map, sluice_str_text(&ld->path), &check, ld->diags);
    void *item = config != NULL ? add_item(ld, ruled) : NULL;
    if (item != NULL && map->kind == SLUICE_YAML_MAPPING) {
        *(char **)item = text(ld, config, "match");
        ruled->take(ld, map, config, item);
        sluice_load_check_patterns(ld, map, "match", NULL);
    }
    sluice_config_free(config);
}

static void load_ruled(struct sluice_loader *ld, const struct sluice_yaml *map,
                       const struct ruled *ruled)
{
    static const char *const others[] = {"rules", NULL};
    const struct sluice_check check = {.others = others};
    const struct sluice_yaml *node = sluice_yaml_get(map, ruled->key);
    struct sluice_config *config = sluice_load_check(ld, map, ruled->key, ruled->options, &check);
    void *item = config != NULL ? add_item(ld, ruled) : NULL;
    if (item == NULL || node == NULL || node->kind != SLUICE_YAML_MAPPING) {
        sluice_config_free(config);
        return;
    }
    size_t mark = sluice_path_push(&ld->path, ruled->key);
    ruled->take(ld, node, config, item);
    sluice_config_free(config);
    const struct sluice_yaml *rules = sluice_yaml_get(node, "rules");
    if (!sluice_yaml_is_null(rules) && !rules->broken) {
        size_t inner = sluice_path_push(&ld->path, "rules");
        if (rules->kind != SLUICE_YAML_SEQUENCE) {
            sluice_load_error(ld, rules, "for example [{match: \"public.log_*\", …}]",
                              "rules wants a list, not %s", sluice_yaml_kind_name(rules));
        }
        for (size_t i = 0; rules->kind == SLUICE_YAML_SEQUENCE && i < rules->count; i++) {
            size_t each = sluice_path_push_index(&ld->path, i);
            load_rule(ld, ruled, rules->items[i]);
            sluice_path_pop(&ld->path, each);
        }
        sluice_path_pop(&ld->path, inner);
    }
    sluice_path_pop(&ld->path, mark);
}

/* Keys that only sinks over tables follow must not be given to others: they would mean nothing there. */
static void refuse_without_tables(struct sluice_loader *ld, const struct sluice_yaml *map,
                                  const struct sluice_pipeline_node *node)
{
    static const char *const places[][2] = {{"write", NULL},
                                            {"route", NULL},
                                            {"on_error", "rows"},
                                            {"on_error", "max_rejected"},
                                            {NULL, "on_table_error"}};
    if (node->component == NULL || (node->component->caps & SLUICE_SINK_TABLES) != 0) {
        return;
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const struct sluice_yaml *at =
            places[i][0] != NULL ? sluice_yaml_get(map, places[i][0]) : map;
        if (at == NULL || at->kind != SLUICE_YAML_MAPPING) {
            continue;
        }
        for (size_t k = 0; k < at->count; k++) {
            const char *name = at->keys[k]->text;
            int asked = places[i][1] != NULL ? strcmp(name, places[i][1]) == 0
                                             : strcmp(name, "truncate") != 0;
            if (asked && !(i == 0 && strcmp(name, "rules") == 0)) {
                size_t mark = ld->path.size;
                if (places[i][0] != NULL) {
                    mark = sluice_path_push(&ld->path, places[i][0]);
                }
                sluice_load_error(ld, at->keys[k], "leave it out",
                                  "%s is for sinks that keep rows in tables, which %s does not",
                                  name, node->plugin);
                sluice_path_pop(&ld->path, mark);
            }
        }
    }
}

void sluice_load_write(struct sluice_loader *ld, const struct sluice_yaml *map,
                       struct sluice_pipeline_node *node)
{
    void *writes = NULL;
    void *routes = NULL;
    const struct ruled write = {"write",           sluice_engine_write,  sluice_engine_write_rule,
                                take_write,        sizeof *node->writes, &writes,
                                &node->write_count};
    const struct ruled route = {"route",           sluice_engine_route,  sluice_engine_route_rule,
                                take_route,        sizeof *node->routes, &routes,
                                &node->route_count};
    load_ruled(ld, map, &write);
    load_ruled(ld, map, &route);
    node->writes = writes;
    node->routes = routes;
    const struct sluice_yaml *table_error = sluice_yaml_get(map, "on_table_error");
    node->on_table_error = table_error != NULL && table_error->kind == SLUICE_YAML_SCALAR &&
                                   strcmp(table_error->text, "quarantine") == 0
                               ? SLUICE_TABLES_QUARANTINE
                               : SLUICE_TABLES_STOP;
    refuse_without_tables(ld, map, node);
}

void sluice_load_write_free(struct sluice_pipeline_node *node)
{
    for (size_t i = 0; i < node->write_count; i++) {
        struct sluice_write_rule *rule = &node->writes[i];
        for (size_t k = 0; k < rule->key_count; k++) {
            sluice_free(rule->key_columns[k]);
        }
        sluice_free((void *)rule->key_columns);
        sluice_free(rule->match);
        sluice_free(rule->soft_column);
        sluice_free(rule->metadata_prefix);
    }
    for (size_t i = 0; i < node->route_count; i++) {
        struct sluice_route_rule *rule = &node->routes[i];
        sluice_free(rule->match);
        sluice_free(rule->to);
        sluice_free(rule->prefix);
        sluice_free(rule->suffix);
    }
    sluice_free(node->writes);
    sluice_free(node->routes);
}

/* ---- folding ---- */

#define LAY(member) out->member = rule->member != 0 ? rule->member : out->member

void sluice_write_fold(const struct sluice_pipeline_node *sink, const char *stream,
                       struct sluice_write_rule *out)
{
    static char soft_default[] = "_sluice_deleted";
    static char prefix_default[] = "_sluice_";
    *out = (struct sluice_write_rule){.mode = SLUICE_WRITE_UPSERT,
                                      .key = SLUICE_KEY_SOURCE,
                                      .deletes = SLUICE_DELETES_HARD,
                                      .duplicates = SLUICE_DUPLICATES_ONE,
                                      .truncate = SLUICE_TRUNCATE_APPLY,
                                      .soft_column = soft_default,
                                      .metadata_prefix = prefix_default};
    for (size_t i = 0; i < sink->write_count; i++) {
        const struct sluice_write_rule *rule = &sink->writes[i];
        if (rule->match != NULL && !sluice_config_pattern_match(rule->match, stream)) {
            continue;
        }
        LAY(mode);
        LAY(deletes);
        LAY(duplicates);
        LAY(truncate);
        LAY(soft_column);
        LAY(metadata_prefix);
        if (rule->key != 0) {
            out->key = rule->key;
            out->key_columns = rule->key_columns;
            out->key_count = rule->key_count;
        }
        if (rule->metadata_set) {
            out->metadata = rule->metadata;
        }
    }
}

void sluice_route_fold(const struct sluice_pipeline_node *sink, const char *stream,
                       struct sluice_route_rule *out)
{
    static char to_default[] = "{schema}.{table}";
    static char none[] = "";
    *out = (struct sluice_route_rule){.to = to_default,
                                      .letters = SLUICE_CASE_KEEP,
                                      .prefix = none,
                                      .suffix = none,
                                      .long_names = SLUICE_LONG_NAMES_FAIL,
                                      .merge = 1};
    for (size_t i = 0; i < sink->route_count; i++) {
        const struct sluice_route_rule *rule = &sink->routes[i];
        if (rule->match != NULL && !sluice_config_pattern_match(rule->match, stream)) {
            continue;
        }
        LAY(to);
        LAY(letters);
        LAY(prefix);
        LAY(suffix);
        LAY(long_names);
        LAY(merge);
    }
}
