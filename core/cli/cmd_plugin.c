/* plugin list and describe. */
#include <string.h>

#include "base/alloc.h"
#include "cli.h"
#include "describe.h"
#include "table.h"
#include "text.h"

/* ---------------------------------------------------------------- list ----------------------- */

static json_t *component_json(const struct sluice_registry *registry,
                              const struct sluice_component *component)
{
    const struct sluice_plugin *owner = sluice_registry_owner(registry, component);
    json_t *object = json_object();
    (void)json_object_set_new(object, "name", sluice_cli_json_text(component->name));
    (void)json_object_set_new(object, "kind", json_string(sluice_cli_kind_name(component->kind)));
    (void)json_object_set_new(object, "summary", sluice_cli_json_text(component->summary));
    (void)json_object_set_new(object, "plugin",
                              sluice_cli_json_text(owner != NULL ? owner->name : NULL));
    (void)json_object_set_new(object, "version",
                              sluice_cli_json_text(owner != NULL ? owner->version : NULL));
    return object;
}

static void list_json(struct sluice_cli *cli)
{
    json_t *components = json_array();
    json_t *files = json_array();
    size_t count = sluice_registry_component_count(cli->registry);
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(
            components, component_json(cli->registry, sluice_registry_component(cli->registry, i)));
    }
    count = sluice_registry_plugin_count(cli->registry);
    for (size_t i = 0; i < count; i++) {
        struct sluice_registry_plugin plugin;
        json_t *object = json_object();
        sluice_registry_plugin(cli->registry, i, &plugin);
        const struct sluice_plugin *p = plugin.plugin;
        (void)json_object_set_new(object, "path", sluice_cli_json_text(plugin.path));
        (void)json_object_set_new(object, "name", sluice_cli_json_text(p != NULL ? p->name : NULL));
        (void)json_object_set_new(object, "version",
                                  sluice_cli_json_text(p != NULL ? p->version : NULL));
        (void)json_object_set_new(object, "license",
                                  sluice_cli_json_text(p != NULL ? p->license : NULL));
        (void)json_object_set_new(object, "build",
                                  sluice_cli_json_text(p != NULL ? p->build : NULL));
        (void)json_object_set_new(object, "refusal", sluice_cli_json_text(plugin.refusal));
        (void)json_array_append_new(files, object);
    }
    (void)json_object_set_new(cli->result, "components", components);
    (void)json_object_set_new(cli->result, "files", files);
}

static void list_refused(struct sluice_cli *cli, struct sluice_str *out)
{
    size_t count = sluice_registry_plugin_count(cli->registry);
    for (size_t i = 0; i < count; i++) {
        struct sluice_registry_plugin plugin;
        sluice_registry_plugin(cli->registry, i, &plugin);
        if (plugin.refusal == NULL) {
            continue;
        }
        sluice_cli_term_append(&cli->out, out, SLUICE_STYLE_BAD, "refused:");
        sluice_str_append_char(out, ' ');
        sluice_cli_text_escape(out, plugin.path);
        sluice_str_append(out, ": ");
        sluice_cli_text_escape_lines(out, plugin.refusal, 4);
        sluice_str_append_char(out, '\n');
    }
}

int sluice_cli_plugin_list(struct sluice_cli *cli)
{
    static const char *const headers[] = {"name", "kind", "version", "summary"};
    struct sluice_cli_table table;
    struct sluice_str text = SLUICE_STR_INIT;
    int code = sluice_cli_plugins_open(cli);
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    if (cli->json) {
        list_json(cli);
        return SLUICE_EXIT_OK;
    }
    sluice_cli_table_init(&table, 4, headers, 0, 0x08);
    size_t count = sluice_registry_component_count(cli->registry);
    for (size_t i = 0; i < count; i++) {
        const struct sluice_component *c = sluice_registry_component(cli->registry, i);
        const struct sluice_plugin *owner = sluice_registry_owner(cli->registry, c);
        sluice_cli_table_add(&table, SLUICE_STYLE_NAME, c->name);
        sluice_cli_table_add(&table, SLUICE_STYLE_NONE, sluice_cli_kind_name(c->kind));
        sluice_cli_table_add(&table, SLUICE_STYLE_NONE, owner != NULL ? owner->version : NULL);
        sluice_cli_table_add(&table, SLUICE_STYLE_NONE, c->summary != NULL ? c->summary : "");
    }
    if (count > 0) {
        sluice_cli_table_render(&table, &cli->out, &text);
    }
    else {
        sluice_str_append(&text, "no plugins were found\n");
    }
    sluice_cli_table_free(&table);
    list_refused(cli, &text);
    sluice_cli_out_always(cli, &text);
    sluice_str_free(&text);
    return SLUICE_EXIT_OK;
}

/* ---------------------------------------------------------------- describe ------------------- */

struct chosen {
    const struct sluice_component **items;
    size_t count;
};

/* "postgres" or "source/postgres" */
static int is_named(const struct sluice_component *component, const char *name)
{
    const char *slash = strchr(name, '/');
    if (slash == NULL) {
        return strcmp(component->name, name) == 0;
    }
    const char *kind = sluice_cli_kind_name(component->kind);
    return strlen(kind) == (size_t)(slash - name) && strncmp(kind, name, strlen(kind)) == 0 &&
           strcmp(component->name, slash + 1) == 0;
}

static int unknown_plugin(struct sluice_cli *cli, const char *name)
{
    struct sluice_str message = SLUICE_STR_INIT;
    struct sluice_str hint = SLUICE_STR_INIT;
    size_t count = sluice_registry_component_count(cli->registry);
    const char **names = sluice_alloc_zero(count + 1, sizeof *names);
    for (size_t i = 0; names != NULL && i < count; i++) {
        names[i] = sluice_registry_component(cli->registry, i)->name;
    }
    const char *near = names != NULL ? sluice_did_you_mean(name, names, count) : NULL;
    sluice_str_printf(&message, "there is no plugin '%s'", name);
    if (near != NULL) {
        sluice_str_printf(&hint, "did you mean %s?", near);
    }
    else {
        sluice_str_append(&hint, "'sluice plugin list' lists them");
    }
    sluice_cli_error(cli, SLUICE_E_INVALID, sluice_str_text(&message), sluice_str_text(&hint));
    sluice_free(names);
    sluice_str_free(&message);
    sluice_str_free(&hint);
    return SLUICE_EXIT_CONFIG;
}

static int choose(struct sluice_cli *cli, struct chosen *chosen)
{
    const struct sluice_cli_list *words = &cli->args.words;
    int all = sluice_cli_args_has(&cli->args, SLUICE_OPT_ALL);
    size_t count = sluice_registry_component_count(cli->registry);
    chosen->count = 0;
    chosen->items = sluice_alloc_zero(count + 1, sizeof *chosen->items);
    if (chosen->items == NULL) {
        return sluice_cli_error_nomem(cli);
    }
    if (!all && words->count == 0) {
        sluice_cli_error(cli, SLUICE_E_INVALID, "no plugin named",
                         "usage: sluice plugin describe NAME… | --all");
        return SLUICE_EXIT_CONFIG;
    }
    for (size_t w = 0; w < words->count; w++) {
        size_t found = 0;
        for (size_t i = 0; i < count; i++) {
            found += is_named(sluice_registry_component(cli->registry, i), words->items[w]) != 0;
        }
        if (found == 0) {
            return unknown_plugin(cli, words->items[w]);
        }
    }
    /* By kind, so that the page does not depend on the order of files. */
    static const int32_t kinds[] = {SLUICE_SOURCE, SLUICE_TRANSFORM, SLUICE_SINK};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        size_t first = chosen->count;
        for (size_t i = 0; i < count; i++) {
            const struct sluice_component *c = sluice_registry_component(cli->registry, i);
            int wanted = all;
            for (size_t w = 0; w < words->count && !wanted; w++) {
                wanted = is_named(c, words->items[w]);
            }
            if (c->kind != kinds[k] || !wanted) {
                continue;
            }
            size_t at = chosen->count++;
            while (at > first && strcmp(chosen->items[at - 1]->name, c->name) > 0) {
                chosen->items[at] = chosen->items[at - 1];
                at--;
            }
            chosen->items[at] = c;
        }
    }
    return SLUICE_EXIT_OK;
}

static json_t *pipeline_schema(const struct chosen *chosen)
{
    char *text = sluice_pipeline_schema(chosen->items, chosen->count);
    json_t *schema = text != NULL ? json_loads(text, 0, NULL) : NULL;
    sluice_free(text);
    return schema;
}

static void markdown(const struct chosen *chosen, int all, struct sluice_str *out)
{
    if (all) {
        json_t *schema = pipeline_schema(chosen);
        sluice_str_append(
            out, "# Reference\n\n"
                 "<!-- Made by `sluice plugin describe --all --format markdown`; do not edit. -->\n"
                 "\nEvery key of a pipeline file. `config` of a source, transform or sink is its "
                 "plugin's own: see [Plugins](#plugins). A `duration` is written `500ms`, `10s`, "
                 "`5m`, `1h`; a `size` `512`, `64KiB`, `8MB`. `${env:NAME}`, "
                 "`${env:NAME:-default}` and `${file:/path}` may stand for any value. "
                 "`sluice schema` prints the same as a JSON Schema for editors.\n\n");
        if (schema == NULL) {
            out->failed = 1;
        }
        sluice_cli_describe_pipeline(schema, out);
        json_decref(schema);
        sluice_str_append(out, "## Plugins\n\n");
    }
    for (size_t i = 0; i < chosen->count; i++) {
        sluice_cli_describe_markdown(chosen->items[i], out);
    }
    /* One line end at the end of the page. */
    while (out->size > 1 && out->data[out->size - 1] == '\n' && out->data[out->size - 2] == '\n') {
        out->data[--out->size] = '\0';
    }
}

/* One component: the schema of its config. Several: that of pipeline files with just them. */
static void json_schema(const struct chosen *chosen, struct sluice_str *out)
{
    json_t *schema = pipeline_schema(chosen);
    if (chosen->count == 1 && schema != NULL) {
        json_t *alone = json_object();
        json_t *all = json_object_get(schema, "$defs");
        json_t *defs = json_object();
        const char *key = NULL;
        json_t *value = NULL;
        json_t *name = json_sprintf("%s.%s", sluice_cli_kind_name(chosen->items[0]->kind),
                                    chosen->items[0]->name);
        json_t *target = json_sprintf("#/$defs/%s", json_string_value(name));
        json_object_foreach(all, key, value)
        {
            if (strcmp(key, "source") != 0 && strcmp(key, "transform") != 0 &&
                strcmp(key, "sink") != 0) {
                (void)json_object_set(defs, key, value);
            }
        }
        (void)json_object_set(alone, "$schema", json_object_get(schema, "$schema"));
        (void)json_object_set_new(alone, "title", name);
        (void)json_object_set_new(alone, "$ref", target);
        (void)json_object_set_new(alone, "$defs", defs);
        json_decref(schema);
        schema = alone;
    }
    sluice_cli_json_dump(schema, JSON_INDENT(2), out);
    sluice_str_append_char(out, '\n');
    json_decref(schema);
}

int sluice_cli_plugin_describe(struct sluice_cli *cli)
{
    const char *format = cli->args.value[SLUICE_OPT_FORMAT];
    struct sluice_str text = SLUICE_STR_INIT;
    struct chosen chosen = {NULL, 0};
    int code = sluice_cli_plugins_open(cli);
    if (code == SLUICE_EXIT_OK) {
        code = choose(cli, &chosen);
    }
    if (code != SLUICE_EXIT_OK) {
        goto out;
    }
    if (cli->json && (format == NULL || strcmp(format, "json") == 0)) {
        json_t *list = json_array();
        for (size_t i = 0; i < chosen.count; i++) {
            (void)json_array_append_new(list, sluice_cli_describe_json(chosen.items[i]));
        }
        (void)json_object_set_new(cli->result, "components", list);
        goto out;
    }
    /* The document is the answer: no envelope around it. */
    cli->json = 0;
    if (format != NULL && strcmp(format, "json") == 0) {
        json_t *list = json_array();
        for (size_t i = 0; i < chosen.count; i++) {
            (void)json_array_append_new(list, sluice_cli_describe_json(chosen.items[i]));
        }
        sluice_cli_json_dump(list, JSON_INDENT(2), &text);
        sluice_str_append_char(&text, '\n');
        json_decref(list);
    }
    else if (format != NULL && strcmp(format, "markdown") == 0) {
        markdown(&chosen, sluice_cli_args_has(&cli->args, SLUICE_OPT_ALL), &text);
    }
    else if (format != NULL && strcmp(format, "jsonschema") == 0) {
        json_schema(&chosen, &text);
    }
    else {
        for (size_t i = 0; i < chosen.count; i++) {
            sluice_str_append(&text, i > 0 ? "\n" : "");
            sluice_cli_describe_text(chosen.items[i], &cli->out, &text);
        }
    }
    sluice_cli_out_always(cli, &text);
out:
    sluice_free(chosen.items);
    sluice_str_free(&text);
    return code;
}
