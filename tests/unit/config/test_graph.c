/* Edges: inputs, circles, order, and the mode against capabilities. */
#include "fake.h"

#include <stdio.h>
#include <string.h>

#define HEAD "version: 1\nname: p\nmode: full_load_only\n"
#define UNUSED " | name it in the inputs of a transform or sink, or remove it\n"

static void ids(void **state)
{
    (void)state;
    expect_findings(
        HEAD "sources: {Src: {plugin: generate}, a b: {plugin: generate}}\n"
             "sinks: {9: {plugin: 'null', inputs: [Src, a b]}}\n",
        "4:11 error sources.Src: \"Src\" is no id for a node | a lower-case letter, then"
        " lower-case letters, digits, _ and -, at most 63\n"
        "4:36 error sources[\"a b\"]: \"a b\" is no id for a node | a lower-case letter,"
        " then lower-case letters, digits, _ and -, at most 63\n"
        "5:9 error sinks.9: \"9\" is no id for a node | a lower-case letter, then"
        " lower-case letters, digits, _ and -, at most 63\n");
    expect_findings(HEAD "sources: {x: {plugin: generate}}\n"
                         "sinks: {x: {plugin: 'null', inputs: [x]}}\n",
                    "5:9 error sinks.x: id \"x\" is given twice; ids are unique over all nodes | it"
                    " was first given at 4:11\n");
    /* Within one map it is a duplicate key. */
    expect_findings(HEAD "sources:\n  x: {plugin: generate}\n  x: {plugin: generate}\n"
                         "sinks: {y: {plugin: 'null', inputs: [x]}}\n",
                    "6:3 error sources.x: key \"x\" is given twice | it was first given at 5:3\n");
}

static void dangling(void **state)
{
    (void)state;
    expect_findings(
        HEAD "sources: {department: {plugin: generate}}\n"
             "sinks: {out: {plugin: 'null', inputs: [departmnt]}}\n",
        "5:40 error sinks.out.inputs[0]: no source or transform is called \"departmnt\" |"
        " did you mean department?\n");
    expect_findings(HEAD "sources: {department: {plugin: generate}}\n"
                         "sinks: {out: {plugin: 'null', inputs: zzz}}\n",
                    "5:39 error sinks.out.inputs: no source or transform is called \"zzz\" | there"
                    " are: department\n");
    expect_findings(HEAD "sources: {a: {plugin: generate}}\n"
                         "sinks: {out: {plugin: 'null', inputs: [a, out2]}, out2: {plugin: 'null',"
                         " inputs: [a, a]}}\n",
                    "5:43 error sinks.out.inputs[1]: \"out2\" is a sink: nothing comes out of it |"
                    " inputs are sources and transforms\n"
                    "5:86 error sinks.out2.inputs[1]: input \"a\" is given twice\n");
    expect_findings(
        HEAD "sources: {a: {plugin: generate}}\n"
             "sinks: {o1: {plugin: 'null'}, o2: {plugin: 'null', inputs: []}, o3: {plugin:"
             " 'null', inputs: [[a], ~]}, o4: {plugin: 'null', inputs: {a: b}}}\n",
        "4:11 warning sources.a: nothing takes the rows of source \"a\"" UNUSED
        "5:9 error sinks.o1.inputs: inputs is required\n"
        "5:60 error sinks.o2.inputs: inputs must not be empty\n"
        "5:95 error sinks.o3.inputs[0]: inputs wants text here, not a list\n"
        "5:100 error sinks.o3.inputs[1]: inputs wants text here, not nothing | write \"\""
        " for empty text\n"
        "5:134 error sinks.o4.inputs: inputs wants a list, not a mapping\n");
}

static void unused(void **state)
{
    (void)state;
    expect_findings(HEAD "sources: {a: {plugin: generate}, b: {plugin: generate}}\n"
                         "transforms: {t: {plugin: project, inputs: [a]}}\n"
                         "sinks: {out: {plugin: 'null', inputs: [a]}}\n",
                    "4:34 warning sources.b: nothing takes the rows of source \"b\"" UNUSED
                    "5:14 warning transforms.t: nothing takes the rows of transform \"t\"" UNUSED);
}

static void circles(void **state)
{
    (void)state;
    expect_findings(HEAD "sources: {a: {plugin: generate}}\n"
                         "transforms: {t: {plugin: project, inputs: [t, a]}}\n"
                         "sinks: {out: {plugin: 'null', inputs: [t]}}\n",
                    "5:43 error transforms.t.inputs: the inputs form a circle: t -> t\n");
    expect_findings(HEAD "sources: {a: {plugin: generate}}\n"
                         "transforms:\n"
                         "  x: {plugin: project, inputs: [z]}\n"
                         "  y: {plugin: project, inputs: [x, a]}\n"
                         "  z: {plugin: project, inputs: [y]}\n"
                         "sinks: {out: {plugin: 'null', inputs: [z]}}\n",
                    "6:32 error transforms.x.inputs: the inputs form a circle: x -> y -> z -> x\n");
    /* Two of them, and nodes that hang on one. */
    expect_findings(HEAD "sources: {a: {plugin: generate}}\n"
                         "transforms:\n"
                         "  h: {plugin: project, inputs: [p]}\n"
                         "  p: {plugin: project, inputs: [q]}\n"
                         "  q: {plugin: project, inputs: [p]}\n"
                         "  r: {plugin: project, inputs: [s]}\n"
                         "  s: {plugin: project, inputs: [r, q]}\n"
                         "sinks: {out: {plugin: 'null', inputs: [h, s, a]}}\n",
                    "7:32 error transforms.p.inputs: the inputs form a circle: p -> q -> p\n"
                    "9:32 error transforms.r.inputs: the inputs form a circle: r -> s -> r\n");
}

static void order(void **state)
{
    (void)state;
    struct sluice_pipeline *p = load_good(
        HEAD "sinks: {o: {plugin: 'null', inputs: [t3, t1]}}\n"
             "transforms:\n  t3: {plugin: project, inputs: [t2]}\n  t2: {plugin: project, inputs:"
             " [t1, b]}\n  t1: {plugin: mask, inputs: [a], config: {columns: c}}\n"
             "sources: {b: {plugin: generate}, a: {plugin: generate}}\n");
    static const char *const expected[] = {"b", "a", "t1", "t2", "t3", "o"};
    assert_int_equal(p->node_count, 6);
    for (size_t i = 0; i < 6; i++) {
        const struct sluice_pipeline_node *node = &p->nodes[i];
        assert_string_equal(node->id, expected[i]);
        for (size_t k = 0; k < node->input_count; k++) {
            assert_true(node->inputs[k] < i);
        }
    }
    assert_int_equal(p->nodes[3].inputs[0], 2);
    assert_int_equal(p->nodes[3].inputs[1], 0);
    assert_int_equal(p->nodes[5].inputs[0], 4);
    assert_int_equal(p->nodes[5].inputs[1], 2);
    sluice_pipeline_free(p);
}

static void modes(void **state)
{
    (void)state;
    static const char rest[] =
        "sources: {a: {plugin: generate}}\n"
        "transforms: {m: {plugin: mask, inputs: [a], config: {columns: c}}}\n"
        "sinks: {o: {plugin: 'null', inputs: [m]}}\n";
    static const char *const modes[] = {"cdc_only", "full_load_and_cdc"};
    char yaml[512];
    char expected[512];
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(yaml, sizeof yaml, "version: 1\nname: p\nmode: %s\n%s", modes[i], rest);
        (void)snprintf(expected, sizeof expected,
                       "4:11 error sources.a: source generate cannot deliver changes, which mode %s"
                       " needs | use mode: full_load_only\n"
                       "5:14 error transforms.m: transform mask cannot take changes, which mode %s"
                       " needs | use mode: full_load_only\n"
                       "6:9 error sinks.o: sink null cannot take changes, which mode %s needs | use"
                       " mode: full_load_only\n",
                       modes[i], modes[i], modes[i]);
        expect_findings(yaml, expected);
    }
    struct sluice_pipeline *p = load_good(
        "version: 1\nname: p\nmode: cdc_only\nsources: {a: {plugin: postgres, config: {database: d,"
        " user: u}}}\ntransforms: {m: {plugin: project, inputs: [a]}}\n"
        "sinks: {o: {plugin: s3, inputs: [m], config: {bucket: b}}}\n");
    assert_int_equal(p->mode, SLUICE_MODE_CDC_ONLY);
    sluice_pipeline_free(p);
}

/* Conditions say nothing about changes. */
static void conditions(void **state)
{
    (void)state;
    static const char rest[] =
        "sources: {a: {plugin: postgres, config: {database: d, user: u}, tables: {rules: [{match: "
        "x,"
        " where: y}]}}}\nsinks: {o: {plugin: s3, inputs: [a], config: {bucket: b}}}\n";
    static const char *const says[] = {"where is for full loads: changes of all rows are followed",
                                       "where holds for the full load alone: changes of all rows"
                                       " follow"};
    static const char *const modes[] = {"cdc_only", "full_load_and_cdc"};
    char yaml[512];
    char expected[512];
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(yaml, sizeof yaml, "version: 1\nname: p\nmode: %s\n%s", modes[i], rest);
        (void)snprintf(expected, sizeof expected,
                       "4:11 warning sources.a.tables: %s | filter at the source, as PostgreSQL"
                       " does with the row filter of a publication, which holds for both\n",
                       says[i]);
        expect_findings(yaml, expected);
    }
    (void)snprintf(yaml, sizeof yaml, HEAD "%s", rest);
    sluice_pipeline_free(load_good(yaml));
}

const struct CMUnitTest graph_tests[] = {
    cmocka_unit_test(ids),        cmocka_unit_test(dangling), cmocka_unit_test(unused),
    cmocka_unit_test(circles),    cmocka_unit_test(order),    cmocka_unit_test(modes),
    cmocka_unit_test(conditions),
};
const size_t graph_tests_count = sizeof graph_tests / sizeof graph_tests[0];
