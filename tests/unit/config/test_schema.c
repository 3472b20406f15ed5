/* The JSON Schema as text; tests/integration/test_config_schema.py validates with it. */
#include "fake.h"

#include <jansson.h>
#include <string.h>

#include "base/alloc.h"

static json_t *schema;

static int load_schema(void **state)
{
    (void)state;
    char *text = sluice_pipeline_schema(fake_components, fake_component_count);
    assert_non_null(text);
    schema = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    sluice_free(text);
    return schema == NULL;
}

static int drop_schema(void **state)
{
    (void)state;
    json_decref(schema);
    return 0;
}

static json_t *at(json_t *value, const char *path)
{
    char key[64];
    while (value != NULL && *path != '\0') {
        size_t size = strcspn(path, "/");
        memcpy(key, path, size);
        key[size] = '\0';
        value = json_is_array(value) ? json_array_get(value, (size_t)(key[0] - '0'))
                                     : json_object_get(value, key);
        path += size + (path[size] == '/');
    }
    return value;
}

/* Every $ref leads somewhere. */
static void check_references(json_t *value)
{
    const char *key = NULL;
    size_t i = 0;
    json_t *item = NULL;
    json_object_foreach(value, key, item)
    {
        if (strcmp(key, "$ref") == 0) {
            const char *target = json_string_value(item);
            assert_memory_equal(target, "#/$defs/", 8);
            assert_non_null(json_object_get(json_object_get(schema, "$defs"), target + 8));
        }
        check_references(item);
    }
    json_array_foreach(value, i, item)
    {
        check_references(item);
    }
}

static void shape(void **state)
{
    (void)state;
    assert_string_equal(json_string_value(json_object_get(schema, "$schema")),
                        "https://json-schema.org/draft/2020-12/schema");
    check_references(schema);
    static const char *const properties[] = {"version",     "name",     "mode",       "memory",
                                             "parallelism", "sources",  "transforms", "sinks",
                                             "state",       "on_error", "schema"};
    assert_int_equal(json_object_size(json_object_get(schema, "properties")), 11);
    for (size_t i = 0; i < 11; i++) {
        assert_non_null(json_object_get(json_object_get(schema, "properties"), properties[i]));
    }
    assert_int_equal(json_array_size(json_object_get(schema, "required")), 5);
}

static void options(void **state)
{
    (void)state;
    json_t *pg = at(schema, "$defs/source.postgres");
    assert_int_equal(json_array_size(at(pg, "required")), 2);
    assert_int_equal(json_integer_value(at(pg, "properties/port/default")), 5432);
    assert_int_equal(json_integer_value(at(pg, "properties/port/maximum")), 65535);
    assert_true(json_is_true(at(pg, "properties/password/writeOnly")));
    assert_string_equal(json_string_value(at(pg, "properties/host/description")), "Server.");
    assert_true(json_is_true(at(schema, "$defs/sink.s3/properties/acl/deprecated")));
    json_t *list = at(schema, "$defs/source.all_types/properties/list/default");
    assert_string_equal(json_string_value(at(list, "1")), "b c");
    json_t *map = at(schema, "$defs/source.all_types/properties/map/default");
    assert_string_equal(json_string_value(at(map, "x")), "y");
    json_t *all = at(schema, "$defs/source.all_types/properties");
    assert_true(json_is_false(at(all, "bool/default")));
    /* auto, on, true, off, false, null */
    assert_int_equal(json_array_size(at(all, "switch/anyOf/0/enum")), 6);
    assert_string_equal(json_string_value(at(pg, "properties/database/examples/0")), "hr");
    /* No value where there must be one. */
    assert_int_equal(json_array_size(at(pg, "properties/database/type")), 3);
    assert_int_equal(json_array_size(at(pg, "properties/host/type")), 4);
}

static void no_components(void **state)
{
    (void)state;
    char *text = sluice_pipeline_schema(NULL, 0);
    assert_non_null(text);
    json_t *empty = json_loads(text, 0, NULL);
    assert_non_null(empty);
    json_decref(empty);
    sluice_free(text);
}

static void no_memory(void **state)
{
    (void)state;
    sluice_alloc_fail_at(1, 1);
    char *text = sluice_pipeline_schema(fake_components, fake_component_count);
    sluice_alloc_fail_at(0, 0);
    assert_null(text);
}

const struct CMUnitTest schema_tests[] = {
    cmocka_unit_test_setup_teardown(shape, load_schema, drop_schema),
    cmocka_unit_test_setup_teardown(options, load_schema, drop_schema),
    cmocka_unit_test(no_components),
    cmocka_unit_test(no_memory),
};
const size_t schema_tests_count = sizeof schema_tests / sizeof schema_tests[0];
