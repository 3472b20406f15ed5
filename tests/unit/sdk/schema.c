/* Types, schemas, stream descriptions. */
#include "test_sdk.h"

static void formats_round_trip(void **state)
{
    (void)state;
    static const char *const formats[] = {
        "b",    "c",       "s",      "i",       "l",  "C", "S",    "I",          "L",
        "f",    "g",       "d:12,2", "d:38,-5", "u",  "z", "w:16", "tdD",        "ttu",
        "tsu:", "tsu:UTC", "tin",    "+l",      "+s", "U", "Z",    "d:76,10,256"};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        struct sluice_type type;
        char back[32];
        char name[48];
        assert_int_equal(sluice_type_parse(formats[i], &type, NULL), SLUICE_OK);
        sluice_type_format(&type, back);
        assert_string_equal(back, formats[i]);
        sluice_type_name(&type, name);
        assert_true(strlen(name) > 0);
    }
    struct sluice_type type;
    assert_int_equal(sluice_type_parse("tsu:Europe/Paris", &type, NULL), SLUICE_OK);
    assert_int_equal(type.id, SLUICE_TYPE_TIMESTAMP_US_UTC);
    assert_int_equal(sluice_type_parse("d:5,2,128", &type, NULL), SLUICE_OK);
    assert_int_equal(type.id, SLUICE_TYPE_DECIMAL128);
    char name[48];
    sluice_type_name(&type, name);
    assert_string_equal(name, "decimal128(5,2)");
}

static void bad_formats_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",     "n",        "d:",     "d:39,0", "d:77,0,256", "d:0,0",      "d:5",
        "d:5,", "d:5,2,64", "d:5,2x", "w:0",    "w:",         "w:-1",       "w:99999999999",
        "tss:", "ttn",      "+m",     "+L",     "uu",         "d:5,9999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sluice_type type;
        struct sluice_error err = SLUICE_ERROR_INIT;
        assert_int_equal(sluice_type_parse(bad[i], &type, &err), SLUICE_E_UNSUPPORTED);
    }
    assert_int_equal(sluice_type_parse(NULL, &(struct sluice_type){0, 0, 0, 0}, NULL),
                     SLUICE_E_INVALID);
}

static void make_rich(struct ArrowSchema *schema)
{
    static const struct sluice_pair meta[] = {{"sluice:native_type", "numeric(12,2)"},
                                              {"empty", ""},
                                              {"ARROW:extension:name", "arrow.json"}};
    static const struct sluice_type dec = {SLUICE_TYPE_DECIMAL128, 12, 2, 16};
    static const struct sluice_type text = {SLUICE_TYPE_UTF8, 0, 0, 0};
    assert_int_equal(sluice_schema_init(schema, 3, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema, 0, "price", &dec, 1, meta, 3, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set_nested(schema, 1, "tags", SLUICE_TYPE_LIST, 1, 1, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema->children[1], 0, "item", &text, 0, NULL, 0, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_schema_set_nested(schema, 2, "pair", SLUICE_TYPE_STRUCT, 2, 0, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema->children[2], 0, "a", &text, 0, NULL, 0, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema->children[2], 1, "b", &dec, 1, meta, 1, NULL),
                     SLUICE_OK);
}

static void schema_is_built_copied_and_compared(void **state)
{
    (void)state;
    struct ArrowSchema a;
    struct ArrowSchema b;
    make_rich(&a);
    assert_true(sluice_schema_metadata_is(a.children[0], "sluice:native_type", "numeric(12,2)"));
    assert_true(sluice_schema_metadata_is(a.children[0], "empty", ""));
    assert_true(sluice_schema_metadata_is(a.children[0], "ARROW:extension:name", "arrow.json"));
    assert_null(sluice_schema_metadata(a.children[0], "other").data);
    assert_null(sluice_schema_metadata(a.children[1], "other").data);
    assert_int_equal(sluice_schema_copy(&a, &b, NULL), SLUICE_OK);
    assert_true(sluice_schema_equal(&a, &b));
    /* Set again: the old node is freed. */
    static const struct sluice_type text = {SLUICE_TYPE_UTF8, 0, 0, 0};
    assert_int_equal(sluice_schema_set(&b, 1, "tags", &text, 1, NULL, 0, NULL), SLUICE_OK);
    assert_false(sluice_schema_equal(&a, &b));
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_schema_set(&b, 3, "x", &text, 1, NULL, 0, &err), SLUICE_E_INVALID);
    assert_int_equal(sluice_schema_set_nested(&b, 0, "x", SLUICE_TYPE_LIST, 2, 1, &err),
                     SLUICE_E_INVALID);
    /* A child moved out outlives its parent. */
    struct ArrowSchema child = *a.children[2];
    a.children[2]->release = NULL;
    sluice_schema_release(&a);
    assert_string_equal(child.children[1]->format, "d:12,2");
    sluice_schema_release(&child);
    sluice_schema_release(&b);
    sluice_schema_release(&b);
    assert_int_equal(sluice_schema_init(&a, -1, &err), SLUICE_E_LIMIT);
    assert_int_equal(sluice_schema_init(&a, 1 << 20, &err), SLUICE_E_LIMIT);
}

static void stream_desc_is_copied(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    make_rich(&schema);
    const char *parts[] = {"public", "Odd Name"};
    const char *encodings[] = {"pg-copy-binary"};
    const struct sluice_pair properties[] = {{"comment", "a table"}};
    const uint32_t keys[] = {2, 0};
    struct sluice_stream_desc desc = {
        .struct_size = (uint32_t)sizeof desc,
        .kind = SLUICE_STREAM_TABLE,
        .before = SLUICE_BEFORE_KEY,
        .stream_id = 7,
        .schema_id = 3,
        .name = "public.\"Odd Name\"",
        .part_count = 2,
        .key_count = 2,
        .parts = parts,
        .keys = keys,
        .schema = &schema,
        .rows_estimate = 5,
        .bytes_estimate = -1,
        .load_position = {"\0\1\2", 3},
        .load_position_text = "000102",
        .encoding_count = 1,
        .property_count = 1,
        .encodings = encodings,
        .properties = properties,
    };
    struct sluice_stream_desc *copy = sluice_stream_desc_copy(&desc);
    assert_non_null(copy);
    struct ArrowSchema envelope;
    assert_int_equal(sluice_schema_envelope(copy, &envelope, NULL), SLUICE_OK);
    assert_string_equal(envelope.children[5]->children[0]->name, "pair");
    assert_string_equal(envelope.children[5]->children[1]->name, "price");
    assert_int_equal(envelope.children[6]->n_children, 3);
    /* Not sent is null there, whatever the row schema says. */
    assert_true(envelope.children[6]->children[2]->flags & ARROW_FLAG_NULLABLE);
    sluice_schema_release(&envelope);
    assert_true(sluice_schema_equal(copy->schema, &schema));
    sluice_schema_release(&schema);
    assert_string_equal(copy->name, desc.name);
    assert_string_equal(copy->parts[1], "Odd Name");
    assert_string_equal(copy->encodings[0], "pg-copy-binary");
    assert_string_equal(copy->properties[0].value, "a table");
    assert_int_equal(copy->keys[0], 2);
    assert_memory_equal(copy->load_position.data, "\0\1\2", 3);
    assert_string_equal(copy->load_position_text, "000102");
    sluice_stream_desc_free(copy);
    /* A description of an older plugin ends earlier. */
    desc.struct_size = offsetof(struct sluice_stream_desc, rows_estimate);
    desc.schema = NULL;
    copy = sluice_stream_desc_copy(&desc);
    assert_non_null(copy);
    assert_int_equal(copy->encoding_count, 0);
    assert_null(copy->load_position.data);
    sluice_stream_desc_free(copy);
    sluice_stream_desc_free(NULL);
}

static void names_are_quoted(void **state)
{
    (void)state;
    const char *parts[] = {"public", "order", "Two\"x", "", "1a", "a$", "\xc3\xa9"};
    char out[100];
    uint64_t n = sluice_stream_name(parts, 7, out, sizeof out);
    assert_string_equal(out, "public.order.\"Two\"\"x\".\"\".\"1a\".\"a$\".\"\xc3\xa9\"");
    assert_int_equal(n, strlen(out));
    char tight[10];
    assert_int_equal(sluice_stream_name(parts, 7, tight, sizeof tight), n);
    assert_int_equal(sluice_stream_name(parts, 1, NULL, 0), 6);
}

int run_schema_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_round_trip),
        cmocka_unit_test(bad_formats_are_refused),
        cmocka_unit_test(schema_is_built_copied_and_compared),
        cmocka_unit_test(stream_desc_is_copied),
        cmocka_unit_test(names_are_quoted),
    };
    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
