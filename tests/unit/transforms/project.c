/* Transform project. */
#include "fixture.h"

#include <stdio.h>

#define ROWS 60

static void expect_columns(const struct fixture *f, const char *const *names)
{
    int64_t n = 0;
    while (names[n] != NULL) {
        n++;
    }
    assert_int_equal(f->desc->schema->n_children, n);
    for (int64_t i = 0; i < n; i++) {
        assert_string_equal(f->desc->schema->children[i]->name, names[i]);
    }
}

static void columns_are_chosen_renamed_and_ordered(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {{"include", "id"},
                                      {"include", "public.testkit.pri*"},
                                      {"include", "note"},
                                      {"include", "number"},
                                      {"exclude", "public.*.number"},
                                      {"rename", "note=comment"},
                                      {"order", "comment"},
                                      {"order", "origin"},
                                      {"constants", "origin=eu"},
                                      {"metadata", "from=stream"},
                                      {"metadata", "schema_name=schema"},
                                      {"metadata", "table_name=table"},
                                      {"metadata", "read_at=load_time"},
                                      {"metadata", "position=load_position"},
                                      {"metadata", "kind=property:kind"},
                                      {NULL, NULL}};
    static const char *const expected[] = {"comment",  "origin",      "id",         "price",
                                           "from",     "schema_name", "table_name", "read_at",
                                           "position", "kind",        NULL};
    static const struct sluice_pair properties[] = {{"kind", "testbed"}};
    struct fixture f;
    struct sluice_testkit_table t;
    struct sluice_batch in;
    struct sluice_batch out;
    assert_int_equal(sluice_testkit_table_init(&t, SLUICE_BEFORE_KEY, NULL), SLUICE_OK);
    t.desc.properties = properties;
    t.desc.property_count = 1;
    fixture_open(&f, sluice_plugin_project_entry_v0(), set);
    assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
    expect_columns(&f, expected);
    assert_int_equal(f.desc->key_count, 1);
    assert_int_equal(f.desc->keys[0], 2);
    assert_int_equal(sluice_testkit_rows(&t, 0, ROWS, &in, NULL), SLUICE_OK);
    const void *notes = in.array.children[6]->buffers[2];
    fixture_pass(&f, &in, &out);
    assert_ptr_equal(out.array.children[0]->buffers[2], notes); /* not copied */
    struct sluice_view v[10];
    assert_int_equal(sluice_views_init(f.desc->schema, &out.array, v, NULL), SLUICE_OK);
    for (int64_t i = 0; i < ROWS; i++) {
        assert_int_equal(sluice_view_i64(&v[2], i), i);
        assert_memory_equal(sluice_view_bytes(&v[1], i).data, "eu", 2);
        assert_int_equal(sluice_view_bytes(&v[4], i).size, strlen("public.testkit"));
        assert_memory_equal(sluice_view_bytes(&v[5], i).data, "public", 6);
        assert_memory_equal(sluice_view_bytes(&v[6], i).data, "testkit", 7);
        assert_int_equal(sluice_view_i64(&v[7], i), 1700000000000000);
        assert_true(sluice_view_is_null(&v[8], i));
        assert_memory_equal(sluice_view_bytes(&v[9], i).data, "testbed", 7);
    }
    sluice_array_release(&out.array);
    fixture_close(&f);
    sluice_testkit_table_free(&t);
}

static void changes_follow_their_columns(void **state)
{
    (void)state;
    /* id goes from 0 to the end, note from 6 to 0. */
    const struct sluice_pair set[] = {
        {"include", "id"}, {"include", "note"}, {"include", "blob"},  {"rename", "id=key"},
        {"order", "note"}, {"order", "blob"},   {"constants", "c=x"}, {NULL, NULL}};
    for (int32_t kind = SLUICE_BEFORE_NONE; kind <= SLUICE_BEFORE_FULL; kind++) {
        for (int64_t offset = 0; offset < 8; offset += 7) {
            struct fixture f;
            struct sluice_testkit_table t;
            struct sluice_batch in;
            struct sluice_batch out;
            assert_int_equal(sluice_testkit_table_init(&t, kind, NULL), SLUICE_OK);
            fixture_open(&f, sluice_plugin_project_entry_v0(), set);
            assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
            static const char *const expected[] = {"note", "blob", "key", "c", NULL};
            expect_columns(&f, expected);
            assert_int_equal(f.desc->keys[0], 2);
            assert_int_equal(sluice_testkit_changes(&t, 0, ROWS, &in, NULL), SLUICE_OK);
            in.array.offset = offset;
            in.array.length = ROWS - offset;
            in.rows = (uint64_t)(ROWS - offset);
            fixture_pass(&f, &in, &out);
            struct sluice_change_view cv;
            assert_int_equal(sluice_change_view_init(&cv, f.desc, &out, NULL), SLUICE_OK);
            for (int64_t i = 0; i < ROWS - offset; i++) {
                int64_t row = i + offset;
                assert_int_equal(sluice_view_i64(&cv.tx_seq, i), row);
                assert_int_equal(sluice_change_is_unchanged(&cv, i, 0),
                                 row % 3 == 1 && row % 2 == 0);
                for (int64_t c = 1; c < 4; c++) {
                    assert_int_equal(sluice_change_is_unchanged(&cv, i, c), 0);
                }
                if (row % 3 != 2) {
                    assert_int_equal(sluice_view_i64(&cv.columns[2], i), row);
                    assert_memory_equal(sluice_view_bytes(&cv.columns[3], i).data, "x", 1);
                }
                if (row % 3 != 0 && kind != SLUICE_BEFORE_NONE) {
                    assert_int_equal(sluice_view_i64(sluice_change_key(&cv, i, 0, 1), i), row);
                }
            }
            sluice_change_view_free(&cv);
            sluice_array_release(&out.array);
            fixture_close(&f);
            sluice_testkit_table_free(&t);
        }
    }
}

static void keys_are_dropped_only_when_asked(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {{"exclude", "id"}, {NULL, NULL}};
    const struct sluice_pair asked[] = {{"exclude", "id"}, {"drop_keys", "true"}, {NULL, NULL}};
    struct fixture f;
    struct sluice_testkit_table t;
    struct sluice_batch in;
    struct sluice_batch out;
    assert_int_equal(sluice_testkit_table_init(&t, SLUICE_BEFORE_KEY, NULL), SLUICE_OK);
    fixture_open(&f, sluice_plugin_project_entry_v0(), set);
    assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
    assert_int_equal(f.desc->key_count, 0);
    assert_int_equal(f.desc->flags & SLUICE_STREAM_CAN_CHANGES, 0);
    assert_int_equal(sluice_testkit_rows(&t, 0, ROWS, &in, NULL), SLUICE_OK);
    fixture_pass(&f, &in, &out);
    sluice_array_release(&out.array);
    assert_int_equal(sluice_testkit_changes(&t, 0, ROWS, &in, NULL), SLUICE_OK);
    assert_int_equal(f.api->push(f.xf, &in, &f.err), SLUICE_E_INVALID);
    assert_non_null(strstr(f.err.message, "drop_keys"));
    assert_non_null(in.array.release);
    fixture_close(&f);
    fixture_open(&f, sluice_plugin_project_entry_v0(), asked);
    assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
    assert_int_equal(f.desc->before, SLUICE_BEFORE_NONE);
    fixture_pass(&f, &in, &out);
    sluice_array_release(&out.array);
    fixture_close(&f);
    sluice_testkit_table_free(&t);
}

static void other_tables_pass_as_they_are(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {
        {"tables", "public.emp_*"}, {"include", "nothing"}, {NULL, NULL}};
    const struct sluice_pair elsewhere[] = {{"include", "public.emp.x"}, {NULL, NULL}};
    struct fixture f;
    struct sluice_testkit_table t;
    struct sluice_batch in;
    struct sluice_batch out;
    assert_int_equal(sluice_testkit_table_init(&t, SLUICE_BEFORE_KEY, NULL), SLUICE_OK);
    for (int i = 0; i < 2; i++) {
        fixture_open(&f, sluice_plugin_project_entry_v0(), i == 0 ? set : elsewhere);
        assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
        assert_true(sluice_schema_equal(f.desc->schema, &t.schema));
        assert_int_equal(sluice_testkit_rows(&t, 0, ROWS, &in, NULL), SLUICE_OK);
        fixture_pass(&f, &in, &out);
        sluice_array_release(&out.array);
        fixture_close(&f);
    }
    sluice_testkit_table_free(&t);
}

static void mistakes_are_told(void **state)
{
    (void)state;
    struct fixture f;
    struct sluice_testkit_table t;
    assert_int_equal(sluice_testkit_table_init(&t, SLUICE_BEFORE_KEY, NULL), SLUICE_OK);
    static const struct {
        const char *key;
        const char *value;
        const char *says;
    } cases[] = {{"rename", "note=id", "two columns would be named id"},
                 {"constants", "flag=1", "two columns would be named flag"},
                 {"rename", "note=", "empty name"},
                 {"exclude", "*", "no column is left"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sluice_pair set[] = {{cases[i].key, cases[i].value}, {NULL, NULL}};
        fixture_open(&f, sluice_plugin_project_entry_v0(), set);
        assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_E_INVALID);
        assert_non_null(strstr(f.err.message, cases[i].says));
        fixture_close(&f);
    }
    const struct sluice_pair bad[] = {{"metadata", "x=nonsense"}, {NULL, NULL}};
    fixture_open_fails(&f, sluice_plugin_project_entry_v0(), bad);
    assert_non_null(strstr(f.err.message, "nonsense"));
    const struct sluice_pair unused[] = {{"rename", "typo=x"}, {"order", "gone"}, {NULL, NULL}};
    fixture_open(&f, sluice_plugin_project_entry_v0(), unused);
    assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
    f.api->destroy(f.xf);
    f.xf = NULL;
    assert_non_null(strstr(sluice_testkit_host_log(f.host), "typo"));
    assert_non_null(strstr(sluice_testkit_host_log(f.host), "gone"));
    fixture_close(&f);
    sluice_testkit_table_free(&t);
}

static void a_new_version_of_the_columns(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {{"exclude", "note"}, {NULL, NULL}};
    struct fixture f;
    struct sluice_testkit_table t;
    struct sluice_batch in;
    struct sluice_batch out;
    assert_int_equal(sluice_testkit_table_init(&t, SLUICE_BEFORE_KEY, NULL), SLUICE_OK);
    fixture_open(&f, sluice_plugin_project_entry_v0(), set);
    assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
    t.desc.schema_id = 2;
    assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
    memset(&in, 0, sizeof in);
    in.struct_size = (uint32_t)sizeof in;
    in.kind = SLUICE_BATCH_SCHEMA;
    in.stream_id = 1;
    in.schema_id = 2;
    in.desc = &t.desc;
    memset(&out, 0, sizeof out);
    out.struct_size = (uint32_t)sizeof out;
    assert_int_equal(f.api->push(f.xf, &in, &f.err), SLUICE_OK);
    assert_int_equal(f.api->pull(f.xf, &out, &f.err), SLUICE_OK);
    assert_int_equal(out.desc->schema->n_children, t.schema.n_children - 1);
    in.kind = SLUICE_BATCH_HEARTBEAT;
    in.stream_id = 0;
    assert_int_equal(f.api->push(f.xf, &in, &f.err), SLUICE_OK);
    assert_int_equal(f.api->pull(f.xf, &out, &f.err), SLUICE_OK);
    assert_int_equal(sluice_testkit_rows(&t, 0, ROWS, &in, NULL), SLUICE_OK);
    in.schema_id = 2;
    fixture_pass(&f, &in, &out);
    sluice_array_release(&out.array);
    fixture_close(&f);
    sluice_testkit_table_free(&t);
}

int run_project_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_chosen_renamed_and_ordered),
        cmocka_unit_test(changes_follow_their_columns),
        cmocka_unit_test(keys_are_dropped_only_when_asked),
        cmocka_unit_test(other_tables_pass_as_they_are),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(a_new_version_of_the_columns),
    };
    return cmocka_run_group_tests_name("project", tests, NULL, NULL);
}
