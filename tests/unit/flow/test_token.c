#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "flow/token.h"
#include "flow/tree.h"
#include "tests.h"

static struct sluice_str encoded(void)
{
    struct sluice_token token = {.kind = SLUICE_TOKEN_LANE,
                                 .epoch = 7,
                                 .rows = 9,
                                 .pipeline = {"p", 1},
                                 .load_id = {"l1", 2},
                                 .name = {"shard", 5},
                                 .position = {"\0\1\2", 3}};
    struct sluice_str out = SLUICE_STR_INIT;
    assert_int_equal(sluice_token_encode(&token, &out, NULL), SLUICE_OK);
    return out;
}

static void test_round_trip(void **unused)
{
    (void)unused;
    struct sluice_str bytes = encoded();
    struct sluice_token token;
    struct sluice_bytes b = {bytes.data, bytes.size};
    assert_int_equal(sluice_token_decode(b, &token, NULL), SLUICE_OK);
    assert_int_equal(token.epoch, 7);
    assert_int_equal(token.rows, 9);
    assert_true(sluice_token_field_is(token.pipeline, "p"));
    assert_true(sluice_token_field_is(token.load_id, "l1"));
    assert_true(sluice_token_field_is(token.name, "shard"));
    assert_int_equal(token.position.size, 3);
    assert_memory_equal(token.position.data, "\0\1\2", 3);
    sluice_str_free(&bytes);
}

/* Every cut and every changed byte is refused or read within bounds (the sanitizers watch). */
static void test_damaged(void **unused)
{
    (void)unused;
    struct sluice_str bytes = encoded();
    for (size_t cut = 0; cut < bytes.size; cut++) {
        struct sluice_token token;
        struct sluice_bytes b = {bytes.data, cut};
        assert_int_equal(sluice_token_decode(b, &token, NULL), SLUICE_E_DATA);
    }
    for (size_t i = 0; i < bytes.size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct sluice_token token;
            struct sluice_bytes b = {bytes.data, bytes.size};
            bytes.data[i] = (char)(bytes.data[i] ^ (1 << bit));
            (void)!sluice_token_decode(b, &token, NULL);
            bytes.data[i] = (char)(bytes.data[i] ^ (1 << bit));
        }
    }
    sluice_str_free(&bytes);
}

static void test_too_large(void **unused)
{
    (void)unused;
    static char big[70000];
    struct sluice_token token = {.kind = SLUICE_TOKEN_LANE, .position = {big, sizeof big}};
    struct sluice_str out = SLUICE_STR_INIT;
    assert_int_equal(sluice_token_encode(&token, &out, NULL), SLUICE_E_LIMIT);
    sluice_str_free(&out);
}

int test_token(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}

/* ---- trees ---- */

static void test_diamond(void **unused)
{
    (void)unused;
    size_t in0[] = {0};
    size_t in12[] = {1, 2};
    struct sluice_pipeline_node nodes[] = {
        {.kind = SLUICE_SOURCE, .id = (char *)(uintptr_t) "s"},
        {.kind = SLUICE_TRANSFORM, .id = (char *)(uintptr_t) "x", .inputs = in0, .input_count = 1},
        {.kind = SLUICE_TRANSFORM, .id = (char *)(uintptr_t) "y", .inputs = in0, .input_count = 1},
        {.kind = SLUICE_SINK, .id = (char *)(uintptr_t) "k", .inputs = in12, .input_count = 2}};
    struct sluice_pipeline p = {.name = (char *)(uintptr_t) "p", .nodes = nodes, .node_count = 4};
    struct sluice_tree tree;
    assert_int_equal(sluice_tree_build(&p, 0, &tree, NULL), SLUICE_OK);
    assert_int_equal(tree.count, 5); /* s, x, y, k under x, k under y */
    assert_int_equal(tree.leaf_count, 2);
    assert_int_equal(tree.nodes[tree.leaves[0]].node, 3);
    assert_int_equal(tree.nodes[tree.leaves[1]].node, 3);
    sluice_tree_free(&tree);
}

static void test_too_many_ways(void **unused)
{
    (void)unused;
    /* ten layers of two transforms, each reading both of the layer above: 2^10 ways */
    struct sluice_pipeline_node nodes[21] = {
        {.kind = SLUICE_SOURCE, .id = (char *)(uintptr_t) "s"}};
    size_t inputs[21][2];
    for (size_t i = 1; i < 21; i++) {
        size_t above = i <= 2 ? 0 : (i - 1) / 2 * 2 - 1;
        inputs[i][0] = above;
        inputs[i][1] = above + 1;
        nodes[i] = (struct sluice_pipeline_node){.kind = SLUICE_TRANSFORM,
                                                 .id = (char *)(uintptr_t) "t",
                                                 .inputs = inputs[i],
                                                 .input_count = i <= 2 ? 1 : 2};
    }
    struct sluice_pipeline p = {.name = (char *)(uintptr_t) "p", .nodes = nodes, .node_count = 21};
    struct sluice_tree tree;
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_tree_build(&p, 0, &tree, &err), SLUICE_E_LIMIT);
}

int test_tree(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_diamond),
        cmocka_unit_test(test_too_many_ways),
    };
    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
