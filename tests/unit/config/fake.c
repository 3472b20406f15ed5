#include "fake.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "sluice/option.h"

static const char *const ssl_modes[] = {"disable", "require", "verify-full", NULL};
static const char *const formats[] = {"jsonl", "csv", NULL};
static const char *const switches[] = {"auto", "on", "off", NULL};

static const struct sluice_option host =
    SLUICE_OPT(SLUICE_OPTION_STRING, "host", "localhost", 0, "Server.");
static const struct sluice_option port =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "port", "5432", 0, 1, 65535, "Port.");
static const struct sluice_option database = {(uint32_t)sizeof(struct sluice_option),
                                              SLUICE_OPTION_STRING,
                                              SLUICE_OPTION_REQUIRED,
                                              0,
                                              "database",
                                              NULL,
                                              0,
                                              0,
                                              NULL,
                                              "Database.",
                                              "hr"};
static const struct sluice_option user =
    SLUICE_OPT(SLUICE_OPTION_STRING, "user", NULL, SLUICE_OPTION_REQUIRED, "User.");
static const struct sluice_option password =
    SLUICE_OPT(SLUICE_OPTION_STRING, "password", NULL, SLUICE_OPTION_SECRET, "Password.");
static const struct sluice_option pin =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "pin", NULL, SLUICE_OPTION_SECRET, 1, 9999, "Pin.");
static const struct sluice_option sslmode =
    SLUICE_OPT_ENUM("sslmode", "verify-full", 0, ssl_modes, "TLS.");
static const struct sluice_option bucket =
    SLUICE_OPT(SLUICE_OPTION_STRING, "bucket", NULL, SLUICE_OPTION_REQUIRED, "Bucket.");
static const struct sluice_option prefix =
    SLUICE_OPT(SLUICE_OPTION_STRING, "prefix", "", 0, "Prefix of all keys.");
static const struct sluice_option format =
    SLUICE_OPT_ENUM("format", "jsonl", 0, formats, "Format.");
static const struct sluice_option part_size = SLUICE_OPT_RANGE(
    SLUICE_OPTION_SIZE, "part_size", "8MiB", 0, 5242880, 5368709120, "Size of a part.");
static const struct sluice_option old_key =
    SLUICE_OPT(SLUICE_OPTION_STRING, "acl", NULL, SLUICE_OPTION_DEPRECATED, "Use grants instead.");
static const struct sluice_option columns =
    SLUICE_OPT(SLUICE_OPTION_LIST, "columns", NULL, SLUICE_OPTION_REQUIRED, "Columns.");

static const struct sluice_option t_text = SLUICE_OPT(SLUICE_OPTION_STRING, "text", NULL, 0, "T.");
static const struct sluice_option t_int = SLUICE_OPT(SLUICE_OPTION_INT, "int", "7", 0, "I.");
static const struct sluice_option t_bool = SLUICE_OPT(SLUICE_OPTION_BOOL, "bool", "no", 0, "B.");
static const struct sluice_option t_duration =
    SLUICE_OPT_RANGE(SLUICE_OPTION_DURATION, "wait", "10s", 0, 200000, 3600000000LL, "D.");
static const struct sluice_option t_size = SLUICE_OPT(SLUICE_OPTION_SIZE, "size", "64MiB", 0, "S.");
static const struct sluice_option t_enum = SLUICE_OPT_ENUM("switch", "auto", 0, switches, "E.");
static const struct sluice_option t_list =
    SLUICE_OPT(SLUICE_OPTION_LIST, "list", "[a, \"b c\"]", 0, "L.");
static const struct sluice_option t_map =
    SLUICE_OPT(SLUICE_OPTION_MAP, "map", "{k: v, x: y}", 0, "M.");
static const struct sluice_option t_secrets =
    SLUICE_OPT(SLUICE_OPTION_MAP, "headers", NULL, SLUICE_OPTION_SECRET, "H.");

static const struct sluice_option *const pg_options[] = {&host,     &port, &database, &user,
                                                         &password, &pin,  &sslmode,  NULL};
static const struct sluice_option *const s3_options[] = {&bucket,    &prefix,  &format,
                                                         &part_size, &old_key, NULL};
static const struct sluice_option *const mask_options[] = {&columns, NULL};
static const struct sluice_option *const no_options[] = {NULL};
static const struct sluice_option *const all_options[] = {
    &t_text, &t_int, &t_bool, &t_duration, &t_size, &t_enum, &t_list, &t_map, &t_secrets, NULL};

#define COMPONENT(kind, caps, name, options)                                                    \
    {                                                                                           \
        (uint32_t)sizeof(struct sluice_component), kind, caps, name, "Made up.", NULL, options, \
            NULL, NULL, NULL                                                                    \
    }

const struct sluice_component fake_pg =
    COMPONENT(SLUICE_SOURCE, SLUICE_SOURCE_LOAD | SLUICE_SOURCE_CHANGES, "postgres", pg_options);
const struct sluice_component fake_generate =
    COMPONENT(SLUICE_SOURCE, SLUICE_SOURCE_LOAD, "generate", no_options);
const struct sluice_component fake_mask = COMPONENT(SLUICE_TRANSFORM, 0, "mask", mask_options);
const struct sluice_component fake_project =
    COMPONENT(SLUICE_TRANSFORM, SLUICE_TRANSFORM_CHANGES, "project", no_options);
const struct sluice_component fake_s3 =
    COMPONENT(SLUICE_SINK, SLUICE_SINK_LOAD | SLUICE_SINK_CHANGES, "s3", s3_options);
const struct sluice_component fake_null =
    COMPONENT(SLUICE_SINK, SLUICE_SINK_LOAD, "null", no_options);
const struct sluice_component fake_tables = COMPONENT(
    SLUICE_SINK, SLUICE_SINK_LOAD | SLUICE_SINK_CHANGES | SLUICE_SINK_TABLES, "tables", no_options);
const struct sluice_component fake_all_types =
    COMPONENT(SLUICE_SOURCE, SLUICE_SOURCE_LOAD, "all_types", all_options);

const struct sluice_component *const fake_components[] = {
    &fake_pg,      &fake_generate, &fake_all_types, &fake_mask,
    &fake_project, &fake_s3,       &fake_null,      &fake_tables};
const size_t fake_component_count = sizeof fake_components / sizeof fake_components[0];

static const struct sluice_component *find(void *ctx, int32_t kind, const char *name)
{
    (void)ctx;
    for (size_t i = 0; i < fake_component_count; i++) {
        if (fake_components[i]->kind == kind && strcmp(fake_components[i]->name, name) == 0) {
            return fake_components[i];
        }
    }
    return NULL;
}

static size_t names(void *ctx, int32_t kind, const char **out, size_t cap)
{
    size_t count = 0;
    (void)ctx;
    for (size_t i = 0; i < fake_component_count; i++) {
        if (fake_components[i]->kind == kind) {
            if (count < cap) {
                out[count] = fake_components[i]->name;
            }
            count++;
        }
    }
    return count;
}

const struct sluice_component_lookup fake_lookup = {NULL, find, names};

char *findings_text(const struct sluice_diags *diags)
{
    struct sluice_str text = SLUICE_STR_INIT;
    for (size_t i = 0; i < diags->count; i++) {
        const struct sluice_diag *d = &diags->items[i];
        sluice_str_printf(&text, "%u:%u %s %s%s%s%s%s\n", d->line, d->column,
                          d->severity == SLUICE_DIAG_ERROR ? "error" : "warning", d->path,
                          d->path[0] != '\0' ? ": " : "", d->message, d->hint != NULL ? " | " : "",
                          d->hint != NULL ? d->hint : "");
    }
    return sluice_str_steal(&text);
}

void expect_findings_sets(const char *yaml, const char *const *sets, size_t set_count,
                          const char *expected)
{
    struct sluice_diags diags;
    sluice_diags_init(&diags, "p.yaml");
    struct sluice_pipeline *p =
        sluice_pipeline_parse("p.yaml", yaml, strlen(yaml), sets, set_count, &fake_lookup, &diags);
    char *text = findings_text(&diags);
    int equal = strcmp(text, expected) == 0;
    if (!equal) {
        print_error("--- yaml\n%s\n--- expected\n%s--- found\n%s---\n", yaml, expected, text);
    }
    sluice_free(text);
    sluice_pipeline_free(p);
    sluice_diags_free(&diags);
    assert_true(equal);
}

void expect_findings(const char *yaml, const char *expected)
{
    expect_findings_sets(yaml, NULL, 0, expected);
}

struct sluice_pipeline *load_good(const char *yaml)
{
    struct sluice_diags diags;
    sluice_diags_init(&diags, "p.yaml");
    struct sluice_pipeline *p =
        sluice_pipeline_parse("p.yaml", yaml, strlen(yaml), NULL, 0, &fake_lookup, &diags);
    char *text = findings_text(&diags);
    if (diags.count > 0) {
        print_error("%s", text);
    }
    size_t count = diags.count;
    sluice_free(text);
    sluice_diags_free(&diags);
    assert_int_equal(count, 0);
    assert_non_null(p);
    return p;
}
