/*
 * Fuzz target: pipeline files, from bytes to the checked model. A first line "#set PATH=VALUE" is laid
 * over the file as --set.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/pipeline.h"
#include "log/log.h"
#include "sluice/option.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const choices[] = {"auto", "on", "off", NULL};
static const struct sluice_option o_text =
    SLUICE_OPT(SLUICE_OPTION_STRING, "text", NULL, SLUICE_OPTION_REQUIRED, "");
static const struct sluice_option o_secret =
    SLUICE_OPT(SLUICE_OPTION_STRING, "secret", NULL, SLUICE_OPTION_SECRET, "");
static const struct sluice_option o_int =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "int", "1", 0, 1, 100, "");
static const struct sluice_option o_bool = SLUICE_OPT(SLUICE_OPTION_BOOL, "bool", "no", 0, "");
static const struct sluice_option o_wait = SLUICE_OPT(SLUICE_OPTION_DURATION, "wait", "1s", 0, "");
static const struct sluice_option o_size = SLUICE_OPT(SLUICE_OPTION_SIZE, "size", "1MiB", 0, "");
static const struct sluice_option o_enum = SLUICE_OPT_ENUM("enum", "auto", 0, choices, "");
static const struct sluice_option o_list = SLUICE_OPT(SLUICE_OPTION_LIST, "list", "[a, b]", 0, "");
static const struct sluice_option o_map = SLUICE_OPT(SLUICE_OPTION_MAP, "map", "{a: b}", 0, "");
static const struct sluice_option *const options[] = {&o_text, &o_secret, &o_int,  &o_bool, &o_wait,
                                                      &o_size, &o_enum,   &o_list, &o_map,  NULL};

static const struct sluice_component components[] = {
    {sizeof(struct sluice_component), SLUICE_SOURCE, SLUICE_SOURCE_LOAD | SLUICE_SOURCE_CHANGES,
     "a", "", NULL, options, NULL, NULL, NULL},
    {sizeof(struct sluice_component), SLUICE_TRANSFORM, 0, "b", "", NULL, options, NULL, NULL,
     NULL},
    {sizeof(struct sluice_component), SLUICE_SINK, SLUICE_SINK_LOAD, "c", "", NULL, options, NULL,
     NULL, NULL},
};
enum { COMPONENT_COUNT = sizeof components / sizeof components[0] };

static const struct sluice_component *find(void *ctx, int32_t kind, const char *name)
{
    (void)ctx;
    for (size_t i = 0; i < COMPONENT_COUNT; i++) {
        if (components[i].kind == kind && strcmp(components[i].name, name) == 0) {
            return &components[i];
        }
    }
    return NULL;
}

static size_t names(void *ctx, int32_t kind, const char **out, size_t cap)
{
    size_t count = 0;
    (void)ctx;
    for (size_t i = 0; i < COMPONENT_COUNT; i++) {
        if (components[i].kind == kind && count < cap) {
            out[count++] = components[i].name;
        }
    }
    return count;
}

static void visit(void *ctx, const char *key, const char *text, int is_default)
{
    (void)is_default;
    *(size_t *)ctx += strlen(key) + strlen(text);
}

/* Walks over all that the model points to, and asks the patterns about a name. */
static void use(const struct sluice_pipeline *p)
{
    size_t total = 0;
    for (size_t i = 0; i < p->node_count; i++) {
        const struct sluice_pipeline_node *node = &p->nodes[i];
        struct sluice_table_rule rule;
        if (node->config != NULL) {
            sluice_config_each(node->config, visit, &total);
        }
        total += (size_t)sluice_tables_match(&node->tables, "public.\"A b\"");
        sluice_tables_rule(&node->tables, "public.a", &rule);
        for (size_t k = 0; k < node->input_count; k++) {
            if (node->inputs[k] >= p->node_count) {
                abort();
            }
        }
    }
    (void)total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char mark[] = "#set ";
    static const struct sluice_component_lookup lookup = {NULL, find, names};
    struct sluice_diags diags;
    char *set = NULL;
    if (size > sizeof mark && memcmp(data, mark, sizeof mark - 1) == 0) {
        const uint8_t *text = data + sizeof mark - 1;
        const uint8_t *end = (const uint8_t *)memchr(text, '\n', size - (sizeof mark - 1));
        set = sluice_alloc_string_n((const char *)text,
                                    end != NULL ? (size_t)(end - text) : size - (sizeof mark - 1));
    }
    const char *const sets[] = {set};
    sluice_diags_init(&diags, "fuzz.yaml");
    struct sluice_pipeline *p = sluice_pipeline_parse("fuzz.yaml", (const char *)data, size, sets,
                                                      set != NULL, &lookup, &diags);
    if (p == NULL && diags.errors == 0) {
        abort();
    }
    if (p != NULL && diags.errors == 0) {
        use(p);
    }
    sluice_pipeline_free(p);
    sluice_diags_free(&diags);
    sluice_free(set);
    sluice_log_secrets_clear();
    return 0;
}
