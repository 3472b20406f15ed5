/* --set. */
#include "fake.h"

#include <string.h>

#include "base/alloc.h"

/* The tree as flow YAML, texts in quotes if they were. */
static void print_tree(struct sluice_str *out, const struct sluice_yaml *node)
{
    if (node->kind == SLUICE_YAML_SCALAR) {
        sluice_str_printf(out, node->quoted ? "'%s'" : "%s", node->text);
        return;
    }
    sluice_str_append(out, node->kind == SLUICE_YAML_MAPPING ? "{" : "[");
    for (size_t i = 0; i < node->count; i++) {
        sluice_str_append(out, i > 0 ? "," : "");
        if (node->kind == SLUICE_YAML_MAPPING) {
            sluice_str_printf(out, "%s:", node->keys[i]->text);
        }
        print_tree(out, node->items[i]);
    }
    sluice_str_append(out, node->kind == SLUICE_YAML_MAPPING ? "}" : "]");
}

static void expect(const char *yaml, const char *assignment, const char *tree, const char *findings)
{
    struct sluice_diags diags;
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_diags_init(&diags, "p.yaml");
    struct sluice_yaml *root = sluice_yaml_parse(yaml, strlen(yaml), &diags);
    assert_non_null(root);
    int done = sluice_yaml_set(root, assignment, &diags);
    char *text = findings_text(&diags);
    print_tree(&out, root);
    if (strcmp(text, findings) != 0 || (tree != NULL && strcmp(out.data, tree) != 0)) {
        print_error("%s: %s\n%s\n", assignment, out.data, text);
    }
    assert_string_equal(text, findings);
    assert_int_equal(done, findings[0] == '\0');
    if (tree != NULL) {
        assert_string_equal(out.data, tree);
    }
    sluice_free(text);
    sluice_str_free(&out);
    sluice_yaml_free(root);
    sluice_diags_free(&diags);
}

static void assignments(void **state)
{
    (void)state;
    expect("a: 1", "a=2", "{a:2}", "");
    expect("a: 1", "b=2", "{a:1,b:2}", "");
    expect("a: {b: {c: 1}}", "a.b.c=x y", "{a:{b:{c:x y}}}", "");
    expect("a: 1", "b.c.d=2", "{a:1,b:{c:{d:2}}}", "");
    expect("a:", "a.b=2", "{a:{b:2}}", "");
    expect("a:", "a[0]=2", "{a:[2]}", "");
    expect("a: [1, 2]", "a[1]=3", "{a:[1,3]}", "");
    expect("a: [1, 2]", "a[2]=3", "{a:[1,2,3]}", "");
    expect("a: [{b: 1}]", "a[0].b=3", "{a:[{b:3}]}", "");
    expect("a: [{b: 1}]", "a[1].c[0]=3", "{a:[{b:1},{c:[3]}]}", "");
    expect("a: {b: 1}", "a[\"x.y\"]=3", "{a:{b:1,x.y:3}}", "");
    expect("a: 1", "a=[x, 'y z', {k: v}]", "{a:[x,'y z',{k:v}]}", "");
    expect("a: 1", "a={k: [1]}", "{a:{k:[1]}}", "");
    expect("a: 1", "a=\"5\"", "{a:'5'}", "");
    expect("a: 1", "a=", "{a:}", "");
    expect("a: 1", "a= x", "{a:x}", "");
    /* What would not be plain YAML is taken as it stands. */
    expect("a: 1", "a=*.tmp", "{a:*.tmp}", "");
    expect("a: 1", "a=x: y # z", "{a:x: y # z}", "");
    expect("a: 1", "a=b=c", "{a:b=c}", "");
    expect("a: {b: [1]}", "a.b=2", "{a:{b:2}}", "");
}

#define EXAMPLE " | for example --set sinks.lake.config.bucket=b\n"

static void refusals(void **state)
{
    (void)state;
    expect("a: 1", "a", NULL, "0:0 error --set: an assignment is PATH=VALUE" EXAMPLE);
    expect("a: 1", "=1", NULL, "0:0 error --set: the path is empty" EXAMPLE);
    expect("a: 1", "a..b=1", NULL, "0:0 error --set: a step of the path is empty" EXAMPLE);
    expect("a: 1", ".a=1", NULL, "0:0 error --set: a step of the path is empty" EXAMPLE);
    expect("a: 1", "a.=1", NULL, "0:0 error --set: a step of the path is empty" EXAMPLE);
    expect("a: 1", "a[x]=1", NULL, "0:0 error --set: a list index is a number in [ ]" EXAMPLE);
    expect("a: 1", "a[1=1", NULL, "0:0 error --set: a list index is a number in [ ]" EXAMPLE);
    expect("a: 1", "a[]=1", NULL, "0:0 error --set: a list index is a number in [ ]" EXAMPLE);
    expect("a: 1", "a[99999999999999999999]=1", NULL,
           "0:0 error --set: a list index is a number in [ ]" EXAMPLE);
    expect("a: 1", "a[\"x=1", NULL, "0:0 error --set: \"] is missing in the path" EXAMPLE);
    expect("a: 1", "\xff=1", NULL, "0:0 error --set: the path is not valid UTF-8" EXAMPLE);
    expect("a: 1", "a=\xff", NULL, "0:0 error --set: not valid UTF-8\n");
    expect("a: 1", "a.b=1", NULL, "0:0 error --set: a is not a mapping\n");
    expect("a: 1", "a[0]=1", NULL, "0:0 error --set: a is not a list\n");
    expect("a: [1]", "a[2]=1", NULL, "0:0 error --set: a has no such item\n");
    expect("a: 1", "[0]=1", NULL, "0:0 error --set: the file is not a list\n");
    /* The value is not repeated: it may be a secret. */
    expect(
        "a: 1", "a=[hunter2", NULL,
        "0:0 error --set: the value is not valid: the [ that begins here is not closed properly |"
        " check for a missing ] or , and quote values with { } [ ] or ,\n");
}

static void depth(void **state)
{
    struct sluice_str text = SLUICE_STR_INIT;
    (void)state;
    for (int i = 0; i < 40; i++) {
        sluice_str_append(&text, i > 0 ? ".a" : "a");
    }
    sluice_str_append(&text, "=1");
    expect("a: 1", text.data, NULL, "0:0 error --set: the path has too many steps" EXAMPLE);
    sluice_str_clear(&text);
    for (int i = 0; i < 30; i++) {
        sluice_str_append(&text, "a.");
    }
    sluice_str_append(&text, "a=");
    for (int i = 0; i < 40; i++) {
        sluice_str_append(&text, "[");
    }
    for (int i = 0; i < 40; i++) {
        sluice_str_append(&text, "]");
    }
    expect("b: 1", text.data, NULL, "0:0 error --set: nested deeper than 64 levels\n");
    sluice_str_free(&text);
}

#define HEAD "version: 1\nname: p\nmode: full_load_only\n"

/* Laid over a file, before it is checked. */
static void over_a_pipeline(void **state)
{
    static const char *const sets[] = {"sinks.out.config.bucket=b", "memory=1KB",
                                       "sources.src.tables.include[0]=re:("};
    (void)state;
    expect_findings_sets(
        HEAD "sources: {src: {plugin: generate}}\nsinks: {out: {plugin: s3, inputs: [src]}}\n",
        sets, 3,
        "0:0 error memory: memory must be between 16MiB and 1TiB, not 1KB\n"
        "0:0 error sources.src.tables.include[0]: not a valid expression: Unmatched ( or \\(:"
        " \"re:(\" | globs: * ? [a-z]; regular expressions: re:…\n");
}

const struct CMUnitTest set_tests[] = {
    cmocka_unit_test(assignments),
    cmocka_unit_test(refusals),
    cmocka_unit_test(depth),
    cmocka_unit_test(over_a_pipeline),
};
const size_t set_tests_count = sizeof set_tests / sizeof set_tests[0];
