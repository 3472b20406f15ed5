/* Descriptors: each mistake is refused in words that name it. */
#include "test_plugin.h"

#include <string.h>

#include "base/alloc.h"
#include "sluice/option.h"

/* ---- a right plugin, of which each case changes one thing ---- */

static sluice_status answer(void)
{
    return SLUICE_OK;
}

/* The tables are never called here, only looked at: any function stands for any slot. */
#define ANY(type, member) .member = (__typeof__(((type *)0)->member))(void (*)(void))answer

struct fixture {
    struct sluice_option option;
    struct sluice_option choice;
    const struct sluice_option *options[3];
    struct sluice_source_api source;
    struct sluice_sink_api sink;
    struct sluice_transform_api transform;
    struct sluice_component components[3];
    const struct sluice_component *list[3];
    struct sluice_plugin plugin;
};

static const char *const choices[] = {"none", "zstd", NULL};
static const char *const no_choices[] = {NULL};

static struct sluice_component component_of(int32_t kind, const char *name, uint64_t caps)
{
    struct sluice_component component;
    memset(&component, 0, sizeof component);
    component.struct_size = (uint32_t)sizeof component;
    component.kind = kind;
    component.name = name;
    component.caps = caps;
    return component;
}

static void tables_fill(struct fixture *f)
{
    f->source = (struct sluice_source_api){.struct_size = (uint32_t)sizeof f->source,
                                           ANY(struct sluice_source_api, create),
                                           ANY(struct sluice_source_api, destroy),
                                           ANY(struct sluice_source_api, check),
                                           ANY(struct sluice_source_api, cancel),
                                           ANY(struct sluice_source_api, discover),
                                           ANY(struct sluice_source_api, open),
                                           ANY(struct sluice_source_api, shards),
                                           ANY(struct sluice_source_api, reader_open),
                                           ANY(struct sluice_source_api, reader_next),
                                           ANY(struct sluice_source_api, reader_close)};
    f->sink = (struct sluice_sink_api){
        .struct_size = (uint32_t)sizeof f->sink,
        ANY(struct sluice_sink_api, create),
        ANY(struct sluice_sink_api, destroy),
        ANY(struct sluice_sink_api, check),
        ANY(struct sluice_sink_api, cancel),
        ANY(struct sluice_sink_api, open),
        ANY(struct sluice_sink_api, recover),
        ANY(struct sluice_sink_api, stream_begin),
        ANY(struct sluice_sink_api, lane_open),
        ANY(struct sluice_sink_api, lane_write),
        ANY(struct sluice_sink_api, lane_commit),
        ANY(struct sluice_sink_api, lane_abort),
        ANY(struct sluice_sink_api, lane_close),
        ANY(struct sluice_sink_api, stream_end),
    };
    f->transform = (struct sluice_transform_api){.struct_size = (uint32_t)sizeof f->transform,
                                                 ANY(struct sluice_transform_api, create),
                                                 ANY(struct sluice_transform_api, destroy),
                                                 ANY(struct sluice_transform_api, bind),
                                                 ANY(struct sluice_transform_api, push),
                                                 ANY(struct sluice_transform_api, pull)};
}

static void fixture_fill(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->option = (struct sluice_option)SLUICE_OPT_RANGE(SLUICE_OPTION_SIZE, "part_size", "8MiB", 0,
                                                       1, INT64_MAX, "Size of a part.");
    f->choice = (struct sluice_option)SLUICE_OPT_ENUM("compression", "zstd", 0, choices, "How.");
    f->options[0] = &f->option;
    f->options[1] = &f->choice;
    tables_fill(f);
    f->components[0] = component_of(SLUICE_SOURCE, "one", SLUICE_SOURCE_LOAD);
    f->components[0].source = &f->source;
    f->components[0].options = f->options;
    f->components[1] = component_of(SLUICE_SINK, "one", SLUICE_SINK_LOAD);
    f->components[1].sink = &f->sink;
    f->components[2] = component_of(SLUICE_TRANSFORM, "one", 0);
    f->components[2].transform = &f->transform;
    for (size_t i = 0; i < 3; i++) {
        f->list[i] = &f->components[i];
    }
    f->plugin = (struct sluice_plugin){.magic = SLUICE_PLUGIN_MAGIC,
                                       .struct_size = (uint32_t)sizeof f->plugin,
                                       .abi_major = SLUICE_ABI_MAJOR,
                                       .abi_minor = SLUICE_ABI_MINOR,
                                       .abi_minor_min = 0,
                                       .envelope_version = SLUICE_ENVELOPE_VERSION,
                                       .name = "fixture",
                                       .version = "1",
                                       .component_count = 3,
                                       .components = f->list};
}

static struct sluice_registry *registry_new(void)
{
    struct sluice_registry *registry = NULL;
    assert_int_equal(sluice_registry_create(NULL, 0, &registry, NULL), SLUICE_OK);
    return registry;
}

static void right_one_is_taken(void **state)
{
    (void)state;
    struct fixture f;
    struct sluice_error err = SLUICE_ERROR_INIT;
    fixture_fill(&f);
    struct sluice_registry *registry = registry_new();
    assert_int_equal(sluice_registry_add_static(registry, &f.plugin, &err), SLUICE_OK);
    assert_int_equal(sluice_registry_component_count(registry), 3);
    const struct sluice_component *source = sluice_registry_find(registry, SLUICE_SOURCE, "one");
    assert_ptr_not_equal(source, &f.components[0]);
    assert_string_equal(source->summary, "");
    assert_string_equal(source->options[0]->key, "part_size");
    assert_null(source->options[2]);
    const struct sluice_component *sink = sluice_registry_find(registry, SLUICE_SINK, "one");
    assert_null(sink->options[0]);
    assert_int_equal(sink->sink->bytes_written(NULL), 0);
    const struct sluice_component *xf = sluice_registry_find(registry, SLUICE_TRANSFORM, "one");
    assert_int_equal(xf->transform->flush(NULL, NULL), SLUICE_OK);
    xf->transform->cancel(NULL);
    /* A second time it is a duplicate of itself. */
    assert_int_equal(sluice_registry_add_static(registry, &f.plugin, &err), SLUICE_E_CONFLICT);
    assert_int_equal(sluice_registry_plugin_count(registry), 1);
    sluice_registry_destroy(registry);
}

/* A plugin of a later minor: larger structs, capabilities we do not know. */
static void newer_ones_are_taken(void **state)
{
    (void)state;
    struct {
        struct sluice_sink_api sink;
        void (*later)(void);
    } larger;
    struct fixture f;
    struct sluice_error err = SLUICE_ERROR_INIT;
    fixture_fill(&f);
    memset(&larger, 0, sizeof larger);
    larger.sink = f.sink;
    larger.sink.struct_size = (uint32_t)sizeof larger;
    f.components[1].sink = &larger.sink;
    f.components[1].caps |= 1u << 30;
    f.plugin.abi_minor = SLUICE_ABI_MINOR + 5;
    struct sluice_registry *registry = registry_new();
    assert_int_equal(sluice_registry_add_static(registry, &f.plugin, &err), SLUICE_OK);
    const struct sluice_component *sink = sluice_registry_find(registry, SLUICE_SINK, "one");
    assert_int_equal(sink->caps, SLUICE_SINK_LOAD);
    assert_int_equal(sink->sink->struct_size, sizeof(struct sluice_sink_api));
    sluice_registry_destroy(registry);
}

/* ---- wrong ones ---- */

static void expect(struct fixture *f, const char *words)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_registry *registry = registry_new();
    sluice_status status = sluice_registry_add_static(registry, &f->plugin, &err);
    if (status >= 0 || strstr(err.message, words) == NULL) {
        fail_msg("%d, \"%s\" is not in: %s", (int)status, words, err.message);
    }
    assert_int_equal(sluice_registry_plugin_count(registry), 0);
    assert_int_equal(sluice_registry_component_count(registry), 0);
    sluice_registry_destroy(registry);
    fixture_fill(f);
}

static void wrong_descriptors(void **state)
{
    (void)state;
    struct fixture f;
    fixture_fill(&f);
    f.plugin.magic = 1;
    expect(&f, "begins with 0x00000001");
    f.plugin.struct_size = 8;
    expect(&f, "struct_size 8");
    f.plugin.abi_major = 3;
    expect(&f, "wants ABI major 3, this engine offers 0");
    f.plugin.abi_minor_min = SLUICE_ABI_MINOR + 1;
    expect(&f, "wants at least ABI");
    f.plugin.envelope_version = 0;
    expect(&f, "envelope version 0");
    f.plugin.flags = 4;
    expect(&f, "flags 0x4");
    f.plugin.name = NULL;
    expect(&f, "no name or no version");
    f.plugin.name = "";
    expect(&f, "no name or no version");
    f.plugin.version = NULL;
    expect(&f, "no name or no version");
    f.plugin.component_count = 0;
    expect(&f, "offers 0 components");
    f.plugin.component_count = 1000;
    expect(&f, "offers 1000 components");
    f.plugin.components = NULL;
    expect(&f, "offers 0 components");
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_registry *registry = registry_new();
    assert_int_equal(sluice_registry_add_static(registry, NULL, &err), SLUICE_E_INVALID);
    sluice_registry_destroy(registry);
}

static void wrong_components(void **state)
{
    (void)state;
    struct fixture f;
    char name[80];
    fixture_fill(&f);
    f.list[1] = NULL;
    expect(&f, "a component has struct_size 0");
    f.components[0].struct_size = 16;
    expect(&f, "a component has struct_size 16");
    f.components[0].kind = 9;
    expect(&f, "is of kind 9");
    f.components[0].name = NULL;
    expect(&f, "is named \"\"");
    f.components[0].name = "Bad-Name";
    expect(&f, "is named \"Bad-Name\"");
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    f.components[0].name = name;
    expect(&f, "at most 63");
    f.components[0].caps = 0;
    expect(&f, "neither of the caps");
    f.components[0].caps |= 1u << 30;
    expect(&f, "does not define for a source");
    f.components[0].sink = &f.sink;
    expect(&f, "has 2 api tables");
    f.components[0].source = NULL;
    expect(&f, "has 0 api tables");
    f.components[0].source = NULL;
    f.components[0].sink = &f.sink;
    expect(&f, "one is a source and has 1 api tables");
    f.components[1] = f.components[0];
    expect(&f, "offers the source one twice");
}

static void wrong_tables(void **state)
{
    (void)state;
    struct fixture f;
    fixture_fill(&f);
    f.source.struct_size = 0;
    expect(&f, "struct sluice_source_api has struct_size 0");
    f.source.struct_size = (uint32_t)offsetof(struct sluice_source_api, reader_close);
    expect(&f, "struct sluice_source_api has struct_size");
    f.source.create = NULL;
    expect(&f, "lacks the function create");
    f.source.reader_close = NULL;
    expect(&f, "lacks the function reader_close");
    f.sink.struct_size = (uint32_t)offsetof(struct sluice_sink_api, stream_end);
    expect(&f, "struct sluice_sink_api has struct_size");
    f.sink.lane_commit = NULL;
    expect(&f, "lacks the function lane_commit");
    f.transform.struct_size = 12;
    expect(&f, "struct sluice_transform_api has struct_size 12");
    f.transform.bind = NULL;
    expect(&f, "lacks the function bind");
}

static void wrong_options(void **state)
{
    (void)state;
    struct fixture f;
    const struct sluice_option *many[400];
    fixture_fill(&f);
    f.option.struct_size = 10;
    expect(&f, "option number 1 has struct_size 10");
    f.option.key = NULL;
    expect(&f, "has the key \"\"");
    f.option.key = "camelCase";
    expect(&f, "has the key \"camelCase\"");
    f.option.type = 0;
    expect(&f, "has type 0");
    f.option.type = 99;
    expect(&f, "has type 99");
    f.option.flags = 1u << 20;
    expect(&f, "flags 0x100000");
    f.option.reserved = 1;
    expect(&f, "does not know");
    f.option.flags = SLUICE_OPTION_REQUIRED;
    expect(&f, "REQUIRED and has a default");
    f.option.default_value = "8 parsecs";
    expect(&f, "default \"8 parsecs\" of option part_size");
    f.option.default_value = "0";
    expect(&f, "is outside 1");
    f.option.type = SLUICE_OPTION_INT;
    f.option.default_value = "x";
    expect(&f, "default \"x\"");
    f.option.type = SLUICE_OPTION_BOOL;
    f.option.default_value = "maybe";
    expect(&f, "default \"maybe\"");
    f.option.type = SLUICE_OPTION_DURATION;
    f.option.default_value = "soon";
    expect(&f, "default \"soon\"");
    f.choice.default_value = "brotli";
    expect(&f, "default \"brotli\" of option compression");
    f.choice.choices = NULL;
    expect(&f, "ENUM with no choices");
    f.choice.choices = no_choices;
    expect(&f, "ENUM with no choices");
    f.choice.key = f.option.key;
    expect(&f, "is there twice");
    for (size_t i = 0; i < 400; i++) {
        many[i] = &f.option;
    }
    f.components[0].options = many;
    expect(&f, "more than 256 options");
}

static void survives_failures(void **state)
{
    (void)state;
    struct fixture f;
    int done = 0;
    fixture_fill(&f);
    for (long n = 1; n < 100 && !done; n++) {
        struct sluice_registry *registry = registry_new();
        struct sluice_error err = SLUICE_ERROR_INIT;
        sluice_alloc_fail_at(n, 0);
        sluice_status status = sluice_registry_add_static(registry, &f.plugin, &err);
        sluice_alloc_fail_at(0, 0);
        done = status == SLUICE_OK;
        assert_true(done || status == SLUICE_E_NOMEM);
        assert_int_equal(sluice_registry_component_count(registry), done ? 3 : 0);
        sluice_registry_destroy(registry);
    }
    assert_true(done);
}

int run_descriptor_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_one_is_taken), cmocka_unit_test(newer_ones_are_taken),
        cmocka_unit_test(wrong_descriptors),  cmocka_unit_test(wrong_components),
        cmocka_unit_test(wrong_tables),       cmocka_unit_test(wrong_options),
        cmocka_unit_test(survives_failures),
    };
    return cmocka_run_group_tests_name("descriptor", tests, NULL, NULL);
}
