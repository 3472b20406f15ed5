#include "describe.h"

#include <inttypes.h>
#include <string.h>

#include "cli.h"
#include "help.h"
#include "text.h"

struct cap {
    int32_t kind;
    uint64_t bit;
    const char *text;
};

static const struct cap caps[] = {
    {SLUICE_SOURCE, SLUICE_SOURCE_LOAD, "full load"},
    {SLUICE_SOURCE, SLUICE_SOURCE_CHANGES, "change data capture"},
    {SLUICE_SOURCE, SLUICE_SOURCE_SNAPSHOT_EXACT, "exact load position"},
    {SLUICE_SOURCE, SLUICE_SOURCE_DEFERRED_LOAD, "tables loaded anew while changes flow"},
    {SLUICE_SINK, SLUICE_SINK_LOAD, "full load"},
    {SLUICE_SINK, SLUICE_SINK_CHANGES, "change data capture"},
    {SLUICE_SINK, SLUICE_SINK_TRANSACTIONAL, "transactional: exactly once"},
    {SLUICE_SINK, SLUICE_SINK_IDEMPOTENT, "idempotent: effectively once"},
    {SLUICE_SINK, SLUICE_SINK_NEEDS_FULL_ROW, "needs whole rows"},
    {SLUICE_SINK, SLUICE_SINK_DISCARDS, "keeps nothing"},
    {SLUICE_TRANSFORM, SLUICE_TRANSFORM_STATELESS, "stateless"},
    {SLUICE_TRANSFORM, SLUICE_TRANSFORM_ROW_PRESERVING, "one row out for each row in"},
    {SLUICE_TRANSFORM, SLUICE_TRANSFORM_CHANGES, "understands changes"},
};

const char *sluice_cli_describe_cap(const struct sluice_component *component, size_t i)
{
    for (size_t k = 0; k < sizeof caps / sizeof caps[0]; k++) {
        if (caps[k].kind == component->kind && (component->caps & caps[k].bit) != 0 && i-- == 0) {
            return caps[k].text;
        }
    }
    return NULL;
}

static const char *type_name(int32_t type)
{
    static const char *const names[] = {"?",    "string", "integer", "boolean", "duration",
                                        "size", "enum",   "list",    "map"};
    return type > 0 && type < (int32_t)(sizeof names / sizeof names[0]) ? names[type] : names[0];
}

void sluice_cli_describe_type(const struct sluice_option *option, struct sluice_str *out)
{
    if (option->type != SLUICE_OPTION_ENUM || option->choices == NULL) {
        sluice_str_append(out, type_name(option->type));
        return;
    }
    for (size_t i = 0; option->choices[i] != NULL; i++) {
        sluice_str_printf(out, "%s%s", i > 0 ? " | " : "", option->choices[i]);
    }
}

/* A number in the largest unit that divides it, as one would write it. */
static void bound(const struct sluice_option *option, int64_t value, struct sluice_str *out)
{
    static const struct {
        int64_t size;
        const char *name;
    } times[] = {{INT64_C(86400000000), "d"},
                 {INT64_C(3600000000), "h"},
                 {60000000, "m"},
                 {1000000, "s"},
                 {1000, "ms"},
                 {1, "us"}},
      sizes[] = {
          {INT64_C(1) << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, ""}};
    if (option->type == SLUICE_OPTION_DURATION || option->type == SLUICE_OPTION_SIZE) {
        int is_time = option->type == SLUICE_OPTION_DURATION;
        for (size_t i = 0; value != 0; i++) {
            int64_t size = is_time ? times[i].size : sizes[i].size;
            if (value % size == 0) {
                sluice_str_printf(out, "%" PRId64 "%s", value / size,
                                  is_time ? times[i].name : sizes[i].name);
                return;
            }
        }
    }
    sluice_str_printf(out, "%" PRId64, value);
}

/* "1 to 64"; nothing without bounds. */
static void bounds(const struct sluice_option *option, struct sluice_str *out)
{
    if (option->max < option->min || (option->min == 0 && option->max == 0)) {
        return;
    }
    if (option->max == INT64_MAX) {
        sluice_str_append(out, "at least ");
        bound(option, option->min, out);
        return;
    }
    bound(option, option->min, out);
    sluice_str_append(out, " to ");
    bound(option, option->max, out);
}

/* Advanced options come last, in the order of the table otherwise. */
static void each_option(const struct sluice_component *component,
                        void (*visit)(const struct sluice_option *option, void *ctx), void *ctx)
{
    for (int advanced = 0; advanced < 2; advanced++) {
        for (size_t i = 0; component->options != NULL && component->options[i] != NULL; i++) {
            const struct sluice_option *option = component->options[i];
            if (((option->flags & SLUICE_OPTION_ADVANCED) != 0) == advanced) {
                visit(option, ctx);
            }
        }
    }
}

static void flags_text(const struct sluice_option *option, const char *before,
                       struct sluice_str *out)
{
    static const struct {
        uint32_t bit;
        const char *text;
    } flags[] = {{SLUICE_OPTION_REQUIRED, "required"},
                 {SLUICE_OPTION_SECRET, "secret"},
                 {SLUICE_OPTION_ADVANCED, "advanced"},
                 {SLUICE_OPTION_DEPRECATED, "deprecated"}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if ((option->flags & flags[i].bit) != 0) {
            sluice_str_printf(out, "%s%s", before, flags[i].text);
            before = ", ";
        }
    }
}

/* ---------------------------------------------------------------- for the terminal ----------- */

struct text_ctx {
    const struct sluice_cli_term *term;
    struct sluice_str *out;
};

static void option_text(const struct sluice_option *option, void *ctx)
{
    struct text_ctx *text = ctx;
    struct sluice_str *out = text->out;
    struct sluice_str range = SLUICE_STR_INIT;
    size_t width = text->term->width > 0 && text->term->width < 100 ? text->term->width : 100;
    sluice_str_append(out, "  ");
    sluice_cli_term_append(text->term, out, SLUICE_STYLE_NAME, option->key);
    sluice_str_append(out, "  ");
    sluice_cli_describe_type(option, out);
    bounds(option, &range);
    if (range.size > 0) {
        sluice_str_printf(out, " %s", range.data);
    }
    if (option->default_value != NULL) {
        sluice_str_printf(out, ", default %s",
                          option->default_value[0] != '\0' ? option->default_value : "\"\"");
    }
    flags_text(option, ", ", out);
    sluice_str_append(out, "\n      ");
    sluice_cli_help_wrap(out, option->help != NULL ? option->help : "", 6, width);
    if (option->example != NULL) {
        sluice_str_printf(out, "\n      example: %s", option->example);
    }
    sluice_str_append_char(out, '\n');
    sluice_str_free(&range);
}

void sluice_cli_describe_text(const struct sluice_component *component,
                              const struct sluice_cli_term *term, struct sluice_str *out)
{
    struct text_ctx ctx = {term, out};
    size_t width = term->width > 0 && term->width < 100 ? term->width : 100;
    sluice_cli_term_append(term, out, SLUICE_STYLE_BOLD, component->name);
    sluice_str_printf(out, " (%s): %s\n", sluice_cli_kind_name(component->kind),
                      component->summary != NULL ? component->summary : "");
    const char *cap = NULL;
    for (size_t i = 0; (cap = sluice_cli_describe_cap(component, i)) != NULL; i++) {
        sluice_str_printf(out, "%s%s", i == 0 ? "can: " : "; ", cap);
    }
    sluice_str_append(out, "\n");
    if (component->help != NULL) {
        sluice_str_append_char(out, '\n');
        sluice_cli_help_wrap(out, component->help, 0, width);
        sluice_str_append_char(out, '\n');
    }
    sluice_str_append(out, "\noptions under config:\n");
    if (component->options == NULL || component->options[0] == NULL) {
        sluice_str_append(out, "  none\n");
    }
    each_option(component, option_text, &ctx);
}

/* ---------------------------------------------------------------- Markdown ------------------- */

/* Text within a cell of a table. */
static void cell(struct sluice_str *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '|') {
            sluice_str_append(out, "\\|");
        }
        else if (*p == '<') {
            sluice_str_append(out, "&lt;");
        }
        else {
            sluice_str_append_char(out, *p == '\n' ? ' ' : *p);
        }
    }
}

static void code(struct sluice_str *out, const char *text)
{
    sluice_str_append_char(out, '`');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '|') {
            sluice_str_append_char(out, '\\');
        }
        sluice_str_append_char(out, *p == '\n' ? ' ' : *p);
    }
    sluice_str_append_char(out, '`');
}

static void option_markdown(const struct sluice_option *option, void *ctx)
{
    struct sluice_str *out = ctx;
    struct sluice_str range = SLUICE_STR_INIT;
    sluice_str_append(out, "| ");
    code(out, option->key);
    sluice_str_append(out, " | ");
    if (option->type == SLUICE_OPTION_ENUM && option->choices != NULL) {
        for (size_t i = 0; option->choices[i] != NULL; i++) {
            sluice_str_append(out, i > 0 ? ", " : "");
            code(out, option->choices[i]);
        }
    }
    else {
        sluice_str_append(out, type_name(option->type));
    }
    bounds(option, &range);
    if (range.size > 0) {
        sluice_str_printf(out, ", %s", range.data);
    }
    sluice_str_append(out, " | ");
    if (option->default_value != NULL) {
        code(out, option->default_value[0] != '\0' ? option->default_value : "\"\"");
    }
    else if ((option->flags & SLUICE_OPTION_REQUIRED) != 0) {
        sluice_str_append(out, "**required**");
    }
    sluice_str_append(out, " | ");
    cell(out, option->help != NULL ? option->help : "");
    if (option->example != NULL) {
        sluice_str_append(out, " Example: ");
        code(out, option->example);
    }
    struct sluice_option rest = *option;
    rest.flags &= ~(uint32_t)SLUICE_OPTION_REQUIRED;
    flags_text(&rest, " *", out);
    sluice_str_append(out, rest.flags != 0 ? "* |\n" : " |\n");
    sluice_str_free(&range);
}

void sluice_cli_describe_markdown(const struct sluice_component *component, struct sluice_str *out)
{
    const char *cap = NULL;
    sluice_str_printf(out, "### %s `%s`\n\n", sluice_cli_kind_name(component->kind),
                      component->name);
    sluice_str_append(out, component->summary != NULL ? component->summary : "");
    sluice_str_append(out, "\n\n");
    for (size_t i = 0; (cap = sluice_cli_describe_cap(component, i)) != NULL; i++) {
        sluice_str_printf(out, "%s%s", i == 0 ? "Capabilities: " : "; ", cap);
    }
    sluice_str_append(out, ".\n\n");
    if (component->help != NULL) {
        sluice_str_append(out, component->help);
        sluice_str_append(out, "\n\n");
    }
    if (component->options == NULL || component->options[0] == NULL) {
        sluice_str_append(out, "It has no options.\n\n");
        return;
    }
    sluice_str_append(out, "| key | value | default | |\n|---|---|---|---|\n");
    each_option(component, option_markdown, out);
    sluice_str_append_char(out, '\n');
}

/* ---------------------------------------------------------------- JSON ----------------------- */

static void option_json(const struct sluice_option *option, void *ctx)
{
    json_t *object = json_object();
    json_t *choices = json_null();
    int bounded = option->max >= option->min && (option->min != 0 || option->max != 0);
    if (option->choices != NULL) {
        choices = json_array();
        for (size_t i = 0; option->choices[i] != NULL; i++) {
            (void)json_array_append_new(choices, sluice_cli_json_text(option->choices[i]));
        }
    }
    (void)json_object_set_new(object, "key", sluice_cli_json_text(option->key));
    (void)json_object_set_new(object, "type", json_string(type_name(option->type)));
    (void)json_object_set_new(object, "required",
                              json_boolean((option->flags & SLUICE_OPTION_REQUIRED) != 0));
    (void)json_object_set_new(object, "secret",
                              json_boolean((option->flags & SLUICE_OPTION_SECRET) != 0));
    (void)json_object_set_new(object, "advanced",
                              json_boolean((option->flags & SLUICE_OPTION_ADVANCED) != 0));
    (void)json_object_set_new(object, "deprecated",
                              json_boolean((option->flags & SLUICE_OPTION_DEPRECATED) != 0));
    (void)json_object_set_new(object, "default", sluice_cli_json_text(option->default_value));
    (void)json_object_set_new(object, "min", bounded ? json_integer(option->min) : json_null());
    (void)json_object_set_new(object, "max", bounded ? json_integer(option->max) : json_null());
    (void)json_object_set_new(object, "choices", choices);
    (void)json_object_set_new(object, "help", sluice_cli_json_text(option->help));
    (void)json_object_set_new(object, "example", sluice_cli_json_text(option->example));
    (void)json_array_append_new(ctx, object);
}

json_t *sluice_cli_describe_json(const struct sluice_component *component)
{
    json_t *object = json_object();
    json_t *list = json_array();
    json_t *can = json_array();
    const char *cap = NULL;
    for (size_t i = 0; (cap = sluice_cli_describe_cap(component, i)) != NULL; i++) {
        (void)json_array_append_new(can, json_string(cap));
    }
    each_option(component, option_json, list);
    (void)json_object_set_new(object, "name", sluice_cli_json_text(component->name));
    (void)json_object_set_new(object, "kind", json_string(sluice_cli_kind_name(component->kind)));
    (void)json_object_set_new(object, "summary", sluice_cli_json_text(component->summary));
    (void)json_object_set_new(object, "help", sluice_cli_json_text(component->help));
    (void)json_object_set_new(object, "capabilities", can);
    (void)json_object_set_new(object, "options", list);
    return object;
}

/* ---------------------------------------------------------------- the engine's keys ---------- */

#define DEPTH_MOST 12

/* The name of a "type", the first of several: those behind it are other ways to write the same. */
static const char *first_type(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type");
    const char *name = json_string_value(json_is_array(type) ? json_array_get(type, 0) : type);
    /* Only `config` has none: it is its plugin's. */
    return name != NULL ? name : "object";
}

/* What a value is called in the tables of plugins: durations and sizes are strings with a pattern. */
static const char *value_name(const json_t *schema)
{
    static const char *const names[][2] = {
        {"array", "list"}, {"object", "map"}, {"integer", "integer"}, {"boolean", "boolean"}};
    const char *type = first_type(schema);
    const char *pattern = json_string_value(json_object_get(schema, "pattern"));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(type, names[i][0]) == 0) {
            return names[i][1];
        }
    }
    if (pattern != NULL && strstr(pattern, "(us|ms|s|m|h|d)") != NULL) {
        return "duration";
    }
    return pattern != NULL && strstr(pattern, "[KkMmGgTt]") != NULL ? "size" : type;
}

static void schema_type(const json_t *schema, struct sluice_str *out)
{
    const json_t *choices = json_object_get(schema, "enum");
    const char *type = value_name(schema);
    if (choices == NULL) {
        choices = json_object_get(json_array_get(json_object_get(schema, "anyOf"), 0), "enum");
    }
    int first = 1;
    for (size_t i = 0; i < json_array_size(choices); i++) {
        const char *choice = json_string_value(json_array_get(choices, i));
        if (choice != NULL) {
            sluice_str_append(out, first ? "" : ", ");
            code(out, choice);
            first = 0;
        }
    }
    if (choices == NULL) {
        const json_t *least = json_object_get(schema, "minimum");
        const json_t *most = json_object_get(schema, "maximum");
        sluice_str_append(out, type);
        if (strcmp(type, "integer") == 0 && least != NULL && most != NULL) {
            sluice_str_printf(out, ", %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT,
                              json_integer_value(least), json_integer_value(most));
        }
    }
}

static int is_in(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *item = json_string_value(json_array_get(list, i));
        if (item != NULL && strcmp(item, text) == 0) {
            return 1;
        }
    }
    return 0;
}

/* A value as one would write it in YAML. */
static void value_text(const json_t *value, struct sluice_str *out)
{
    struct sluice_str text = SLUICE_STR_INIT;
    if (json_is_string(value)) {
        sluice_str_append(&text, json_string_value(value));
    }
    else {
        sluice_cli_json_dump(value, JSON_ENCODE_ANY, &text);
    }
    code(out, sluice_str_text(&text));
    sluice_str_free(&text);
}

/* `parent` is NULL where the key is needed in every file. */
static void pipeline_row(const char *path, const json_t *schema, int required, const char *parent,
                         struct sluice_str *out)
{
    const char *help = json_string_value(json_object_get(schema, "description"));
    const json_t *standard = json_object_get(schema, "default");
    const json_t *example = json_array_get(json_object_get(schema, "examples"), 0);
    sluice_str_append(out, "| ");
    code(out, path);
    sluice_str_append(out, " | ");
    schema_type(schema, out);
    sluice_str_append(out, " | ");
    if (standard != NULL) {
        value_text(standard, out);
    }
    else if (required && parent != NULL) {
        sluice_str_append(out, "required with ");
        code(out, parent);
    }
    else if (required) {
        sluice_str_append(out, "**required**");
    }
    sluice_str_append(out, " | ");
    cell(out, help != NULL ? help : "");
    if (example != NULL) {
        sluice_str_append(out, " Example: ");
        value_text(example, out);
    }
    sluice_str_append(out, " |\n");
}

static void pipeline_keys(const json_t *object, const char *prefix, int depth,
                          struct sluice_str *out)
{
    json_t *properties = json_object_get(object, "properties");
    const json_t *required = json_object_get(object, "required");
    struct sluice_str parent = SLUICE_STR_INIT;
    const char *key = NULL;
    json_t *value = NULL;
    sluice_str_append_n(&parent, prefix, strlen(prefix) - (prefix[0] != '\0'));
    json_object_foreach(properties, key, value)
    {
        struct sluice_str path = SLUICE_STR_INIT;
        const json_t *items = json_object_get(value, "items");
        sluice_str_printf(&path, "%s%s", prefix, key);
        if (depth < DEPTH_MOST && json_object_get(value, "properties") != NULL) {
            sluice_str_append_char(&path, '.');
            pipeline_keys(value, sluice_str_text(&path), depth + 1, out);
        }
        else if (depth < DEPTH_MOST && json_object_get(items, "properties") != NULL) {
            sluice_str_append(&path, "[].");
            pipeline_keys(items, sluice_str_text(&path), depth + 1, out);
        }
        else {
            pipeline_row(sluice_str_text(&path), value, is_in(required, key),
                         depth > 0 ? sluice_str_text(&parent) : NULL, out);
        }
        sluice_str_free(&path);
    }
    sluice_str_free(&parent);
}

void sluice_cli_describe_pipeline(const json_t *schema, struct sluice_str *out)
{
    static const char *const kinds[] = {"source", "transform", "sink"};
    static const char head[] = "| key | value | default | |\n|---|---|---|---|\n";
    sluice_str_append(out, "## The pipeline file\n\n");
    sluice_str_append(out, head);
    pipeline_keys(schema, "", 0, out);
    sluice_str_append_char(out, '\n');
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const json_t *node = json_object_get(json_object_get(schema, "$defs"), kinds[i]);
        char prefix[32] = "";
        struct sluice_str path = SLUICE_STR_INIT;
        if (node == NULL) {
            continue;
        }
        sluice_str_printf(&path, "%ss.ID.", kinds[i]);
        size_t size = path.size < sizeof prefix - 1 ? path.size : sizeof prefix - 1;
        memcpy(prefix, sluice_str_text(&path), size);
        sluice_str_free(&path);
        sluice_str_printf(out, "### Each %s\n\n", kinds[i]);
        sluice_str_append(out, head);
        pipeline_keys(node, prefix, 0, out);
        sluice_str_append_char(out, '\n');
    }
}
