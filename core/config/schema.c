/* JSON Schema (draft 2020-12) of pipeline files, from the same option tables that check them. */
#include <jansson.h>
#include <string.h>

#include "base/alloc.h"
#include "config/internal.h"
#include "config/loader.h"

/* What ${…} makes of a value is known only when the pipeline is loaded: text with one is let through
 * wherever a value may be text. The keywords below bind one JSON type each (pattern: text, minimum:
 * numbers, items: lists), so that a schema needs no alternatives and validators can say what is wrong. */
#define VARIABLE_PATTERN "\\$\\{(env|file):"
#define OR_VARIABLE "|" VARIABLE_PATTERN
#define BOOL_PATTERN "^([Tt]rue|TRUE|[Ff]alse|FALSE|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF)$"
#define DURATION_PATTERN "^(0|([0-9]+(us|ms|s|m|h|d))+)$"
#define SIZE_PATTERN "^[0-9]+ ?([Bb]|[KkMmGgTt][Ii]?[Bb])?$"
#define ID_PATTERN "^[a-z][a-z0-9_-]{0,62}$"
#define NAME_PATTERN "^[a-z0-9_][a-z0-9_.-]{0,62}$"

static json_t *reference(const char *name)
{
    return json_pack("{s:s+}", "$ref", "#/$defs/", name);
}

static void set_text(json_t *schema, const char *key, const char *text)
{
    (void)json_object_set_new(schema, key, json_string(text));
}

static void set_int(json_t *schema, const char *key, int64_t value)
{
    (void)json_object_set_new(schema, key, json_integer(value));
}

/* {"type": […]} out of "integer string" */
static json_t *typed(const char *types)
{
    json_t *list = json_array();
    for (const char *p = types; *p != '\0'; p += *p == ' ') {
        size_t size = strcspn(p, " ");
        (void)json_array_append_new(list, json_stringn(p, size));
        p += size;
    }
    return json_pack("{s:o}", "type", list);
}

static json_t *int_schema(const struct sluice_option *option)
{
    json_t *schema = typed("integer string");
    set_text(schema, "pattern", VARIABLE_PATTERN);
    if (option->max >= option->min && (option->min != 0 || option->max != 0)) {
        set_int(schema, "minimum", option->min);
        set_int(schema, "maximum", option->max);
    }
    return schema;
}

/* Words like `on` are booleans for many readers of YAML. */
static void add_booleans(json_t *choices, const char *word)
{
    int value = 0;
    size_t i = 0;
    json_t *item = NULL;
    if (!sluice_parse_bool(word, &value)) {
        return;
    }
    json_array_foreach(choices, i, item)
    {
        if (json_is_boolean(item) && json_is_true(item) == value) {
            return;
        }
    }
    (void)json_array_append_new(choices, json_boolean(value));
}

/* One of the words, or a variable. The words stand in an enum, which editors complete. */
static json_t *words_schema(json_t *words)
{
    return json_pack("{s:[{s:o},{s:s,s:s}]}", "anyOf", "enum", words, "type", "string", "pattern",
                     VARIABLE_PATTERN);
}

static json_t *enum_schema(const struct sluice_option *option)
{
    json_t *words = json_array();
    for (size_t i = 0; option->choices[i] != NULL; i++) {
        (void)json_array_append_new(words, json_string(option->choices[i]));
        add_booleans(words, option->choices[i]);
    }
    return words_schema(words);
}

static json_t *option_type(const struct sluice_option *option)
{
    json_t *schema = NULL;
    switch (option->type) {
    case SLUICE_OPTION_INT:
        return int_schema(option);
    case SLUICE_OPTION_BOOL:
        schema = typed("boolean string");
        set_text(schema, "pattern", BOOL_PATTERN OR_VARIABLE);
        return schema;
    case SLUICE_OPTION_DURATION:
        /* 0 needs no unit, and is a number for other readers. */
        schema = typed("string integer");
        set_text(schema, "pattern", DURATION_PATTERN OR_VARIABLE);
        set_int(schema, "minimum", 0);
        set_int(schema, "maximum", 0);
        return schema;
    case SLUICE_OPTION_SIZE:
        schema = typed("string integer");
        set_text(schema, "pattern", SIZE_PATTERN OR_VARIABLE);
        set_int(schema, "minimum", 0);
        return schema;
    case SLUICE_OPTION_ENUM:
        return enum_schema(option);
    case SLUICE_OPTION_LIST:
        schema = typed("array string number boolean");
        (void)json_object_set_new(schema, "items", typed("string number boolean"));
        return schema;
    case SLUICE_OPTION_MAP:
        schema = typed("object");
        (void)json_object_set_new(schema, "additionalProperties", typed("string number boolean"));
        return schema;
    default:
        return typed("string number boolean");
    }
}

/* Lets `key:` without a value through: it stands for the default. */
static json_t *or_null(json_t *schema)
{
    json_t *type = json_object_get(schema, "type");
    json_t *words = json_object_get(json_array_get(json_object_get(schema, "anyOf"), 0), "enum");
    if (words != NULL) {
        (void)json_array_append_new(words, json_null());
    }
    else if (json_is_array(type)) {
        (void)json_array_append_new(type, json_string("null"));
    }
    else {
        (void)json_object_set_new(schema, "type",
                                  json_pack("[s,s]", json_string_value(type), "null"));
    }
    return schema;
}

/* A tree of texts as JSON; frees it. */
static json_t *tree_as_json(struct sluice_yaml *node)
{
    json_t *out = NULL;
    if (node->kind == SLUICE_YAML_SCALAR) {
        out = json_string(node->text);
    }
    else if (node->kind == SLUICE_YAML_SEQUENCE) {
        out = json_array();
        for (size_t i = 0; i < node->count; i++) {
            (void)json_array_append_new(out, json_string(node->items[i]->text));
        }
    }
    else {
        out = json_object();
        for (size_t i = 0; i < node->count; i++) {
            (void)json_object_set_new(out, node->keys[i]->text, json_string(node->items[i]->text));
        }
    }
    sluice_yaml_free(node);
    return out;
}

/* A default or example as the JSON value that an editor would insert. */
static json_t *text_as_json(const struct sluice_option *option, const char *text)
{
    int64_t number = 0;
    int flag = 0;
    if (option->type == SLUICE_OPTION_INT && sluice_parse_int(text, &number)) {
        return json_integer(number);
    }
    if (option->type == SLUICE_OPTION_BOOL && sluice_parse_bool(text, &flag)) {
        return json_boolean(flag);
    }
    if (option->type == SLUICE_OPTION_LIST || option->type == SLUICE_OPTION_MAP) {
        struct sluice_diags ignored;
        sluice_diags_init(&ignored, NULL);
        struct sluice_yaml *node = sluice_yaml_value(text, option->key, &ignored);
        sluice_diags_free(&ignored);
        if (node != NULL) {
            return tree_as_json(node);
        }
    }
    return json_string(text);
}

static json_t *option_schema(const struct sluice_option *option)
{
    json_t *schema = option_type(option);
    const char *example = sluice_option_example(option);
    if ((option->flags & SLUICE_OPTION_REQUIRED) == 0) {
        (void)or_null(schema);
    }
    if (option->help != NULL) {
        set_text(schema, "description", option->help);
    }
    if (option->default_value != NULL) {
        (void)json_object_set_new(schema, "default", text_as_json(option, option->default_value));
    }
    if (example != NULL) {
        (void)json_object_set_new(schema, "examples",
                                  json_pack("[o]", text_as_json(option, example)));
    }
    if ((option->flags & SLUICE_OPTION_DEPRECATED) != 0) {
        (void)json_object_set_new(schema, "deprecated", json_true());
    }
    if ((option->flags & SLUICE_OPTION_SECRET) != 0) {
        (void)json_object_set_new(schema, "writeOnly", json_true());
    }
    return schema;
}

static json_t *closed_object(void)
{
    return json_pack("{s:s,s:b,s:{}}", "type", "object", "additionalProperties", 0, "properties");
}

/* A mapping of these options and nothing else; more properties may be added. */
static json_t *options_schema(const struct sluice_option *const *options)
{
    json_t *object = closed_object();
    json_t *properties = json_object_get(object, "properties");
    json_t *required = json_array();
    for (size_t i = 0; options != NULL && options[i] != NULL; i++) {
        (void)json_object_set_new(properties, options[i]->key, option_schema(options[i]));
        if ((options[i]->flags & SLUICE_OPTION_REQUIRED) != 0) {
            (void)json_array_append_new(required, json_string(options[i]->key));
        }
    }
    if (json_array_size(required) > 0) {
        (void)json_object_set(object, "required", required);
    }
    json_decref(required);
    return object;
}

static int has_required(const struct sluice_option *const *options)
{
    for (size_t i = 0; options != NULL && options[i] != NULL; i++) {
        if ((options[i]->flags & SLUICE_OPTION_REQUIRED) != 0) {
            return 1;
        }
    }
    return 0;
}

static void set_property(json_t *object, const char *key, json_t *value, const char *description)
{
    if (description != NULL) {
        (void)json_object_set_new(value, "description", json_string(description));
    }
    (void)json_object_set_new(json_object_get(object, "properties"), key, value);
}

static json_t *on_error_schema(const struct sluice_option *const *options,
                               const struct sluice_option *const *beside)
{
    json_t *on_error = options_schema(beside);
    set_property(on_error, "retry", or_null(options_schema(options)),
                 "How often, and after what waits, an error that may pass is tried again.");
    return or_null(on_error);
}

static json_t *rule_schema(const struct sluice_option *const *options)
{
    json_t *rule = options_schema(options);
    set_property(rule, "columns", or_null(options_schema(sluice_engine_columns)),
                 "Columns to take or leave out.");
    return rule;
}

static json_t *tables_schema(void)
{
    json_t *tables = options_schema(sluice_engine_tables);
    set_property(tables, "defaults", or_null(rule_schema(sluice_engine_defaults)),
                 "What holds for every table.");
    set_property(
        tables, "rules",
        or_null(json_pack("{s:s,s:o}", "type", "array", "items", rule_schema(sluice_engine_rule))),
        "What holds for some tables; each rule is laid over those before.");
    return or_null(tables);
}

/* A mapping with more of its kind under `rules`. */
static json_t *ruled_schema(const struct sluice_option *const *options,
                            const struct sluice_option *const *rule)
{
    json_t *schema = options_schema(options);
    set_property(schema, "rules",
                 or_null(json_pack("{s:s,s:o}", "type", "array", "items", options_schema(rule))),
                 "What holds for some tables; each rule is laid over those before.");
    return or_null(schema);
}

static json_t *config_name(const struct sluice_component *component)
{
    return json_sprintf("%s.%s", sluice_kind_name(component->kind), component->name);
}

/* The plugin called null may be written without quotes, which other readers take for null. */
static void add_null(json_t *names, const char *name)
{
    if (strcmp(name, "null") == 0) {
        (void)json_array_append_new(names, json_null());
    }
}

/* What sinks that keep no tables must not be given: see refuse_without_tables in write.c. */
static void forbid_tables(json_t *then)
{
    json_t *properties = json_object_get(then, "properties");
    (void)json_object_set_new(
        properties, "write",
        json_pack("{s:{s:[s,s]}}", "propertyNames", "enum", "truncate", "rules"));
    (void)json_object_set_new(properties, "route", json_pack("{s:i}", "maxProperties", 0));
    (void)json_object_set_new(
        properties, "on_error",
        json_pack("{s:{s:b,s:b}}", "properties", "rows", 0, "max_rejected", 0));
    (void)json_object_set_new(properties, "on_table_error", json_false());
}

/* "if the plugin is NAME, config is what NAME takes" */
static json_t *config_condition(const struct sluice_component *component)
{
    json_t *name = config_name(component);
    json_t *config = reference(json_string_value(name));
    int required = has_required(component->options);
    json_t *then = json_pack("{s:{s:o}}", "properties", "config", config);
    if (required) {
        (void)json_object_set_new(then, "required", json_pack("[s]", "config"));
    }
    if (component->kind == SLUICE_SINK && (component->caps & SLUICE_SINK_TABLES) == 0) {
        forbid_tables(then);
    }
    json_decref(name);
    json_t *names = json_pack("[s]", component->name);
    add_null(names, component->name);
    return json_pack("{s:{s:{s:{s:o}},s:[s]},s:o}", "if", "properties", "plugin", "enum", names,
                     "required", "plugin", "then", then);
}

static json_t *node_schema(int32_t kind, const struct sluice_component *const *components,
                           size_t count)
{
    json_t *node = options_schema(kind == SLUICE_SOURCE ? sluice_engine_source
                                  : kind == SLUICE_SINK ? sluice_engine_sink
                                                        : sluice_engine_node);
    json_t *plugin = json_object_get(json_object_get(node, "properties"), "plugin");
    json_t *names = json_array();
    json_t *conditions = json_array();
    for (size_t i = 0; i < count; i++) {
        if (components[i]->kind == kind) {
            (void)json_array_append_new(names, json_string(components[i]->name));
            add_null(names, components[i]->name);
            (void)json_array_append_new(conditions, config_condition(components[i]));
        }
    }
    (void)json_object_del(plugin, "type");
    (void)json_object_update_new(plugin, words_schema(names));
    if (json_array_size(conditions) > 0) {
        (void)json_object_set(node, "allOf", conditions);
    }
    json_decref(conditions);
    set_property(node, "config", json_object(), "Options of the plugin.");
    if (kind == SLUICE_SOURCE) {
        set_property(node, "tables", tables_schema(), "Which tables are read, and how.");
        set_property(node, "snapshot", or_null(options_schema(sluice_engine_snapshot)),
                     "How the full load is read.");
        set_property(node, "batch", or_null(options_schema(sluice_engine_batch_source)),
                     "How rows are handed on.");
    }
    if (kind == SLUICE_SINK) {
        set_property(node, "batch", or_null(options_schema(sluice_engine_batch_sink)),
                     "When the sink commits and begins a new file.");
        set_property(node, "write", ruled_schema(sluice_engine_write, sluice_engine_write_rule),
                     "How rows and changes are written.");
        set_property(node, "route", ruled_schema(sluice_engine_route, sluice_engine_route_rule),
                     "Which table the rows of which table go into. For sinks over tables.");
    }
    if (kind != SLUICE_TRANSFORM) {
        set_property(node, "on_error",
                     on_error_schema(sluice_engine_node_retry, kind == SLUICE_SINK
                                                                   ? sluice_engine_sink_error
                                                                   : sluice_engine_none),
                     "Laid over the on_error of the pipeline.");
    }
    return node;
}

static json_t *node_map(const char *kind, int optional)
{
    json_t *map = json_pack("{s:s,s:{s:s},s:o}", "type", "object", "propertyNames", "pattern",
                            ID_PATTERN, "additionalProperties", reference(kind));
    if (optional) {
        return or_null(map);
    }
    (void)json_object_set_new(map, "minProperties", json_integer(1));
    return map;
}

static json_t *build_schema(const struct sluice_component *const *components, size_t count)
{
    static const struct {
        int32_t kind;
        const char *map;
        const char *help;
    } kinds[] = {
        {SLUICE_SOURCE, "sources", "Where rows come from, by id."},
        {SLUICE_TRANSFORM, "transforms", "What is done to them on the way, by id."},
        {SLUICE_SINK, "sinks", "Where they go, by id."},
    };
    json_t *root = json_pack("{s:s,s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema",
                             "title", "sluice pipeline");
    json_t *defs = json_object();
    (void)json_object_update_new(root, options_schema(sluice_engine_top));
    json_t *required = json_object_get(root, "required");
    for (size_t i = 0; i < count; i++) {
        json_t *name = config_name(components[i]);
        json_t *schema = options_schema(components[i]->options);
        if (!has_required(components[i]->options)) {
            (void)or_null(schema);
        }
        set_text(schema, "description", components[i]->summary);
        (void)json_object_set_new(defs, json_string_value(name), schema);
        json_decref(name);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const char *kind = sluice_kind_name(kinds[i].kind);
        (void)json_object_set_new(defs, kind, node_schema(kinds[i].kind, components, count));
        set_property(root, kinds[i].map, node_map(kind, kinds[i].kind == SLUICE_TRANSFORM),
                     kinds[i].help);
        if (kinds[i].kind != SLUICE_TRANSFORM) {
            (void)json_array_append_new(required, json_string(kinds[i].map));
        }
    }
    set_property(root, "state", or_null(options_schema(sluice_engine_state)),
                 "Where progress is kept.");
    set_property(root, "on_error", on_error_schema(sluice_engine_retry, sluice_engine_none),
                 "What follows on errors.");
    json_t *name = json_object_get(json_object_get(root, "properties"), "name");
    set_text(name, "pattern", NAME_PATTERN OR_VARIABLE);
    (void)json_object_set_new(root, "$defs", defs);
    return root;
}

char *sluice_pipeline_schema(const struct sluice_component *const *components, size_t count)
{
    json_t *schema = build_schema(components, count);
    char *text = json_dumps(schema, JSON_INDENT(2));
    json_decref(schema);
    /* The caller frees with our allocator. */
    char *copy = sluice_alloc_string(text);
    json_malloc_t take = NULL;
    json_free_t give = NULL;
    json_get_alloc_funcs(&take, &give);
    give(text);
    return copy;
}
