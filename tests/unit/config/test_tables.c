/* Choosing tables: patterns, include and exclude, rules. */
#include "fake.h"

#include <stdio.h>
#include <string.h>

#include "config/internal.h"

#define HEAD "version: 1\nname: p\nmode: full_load_only\n"
#define SOURCE \
    HEAD "sinks: {out: {plugin: 'null', inputs: [src]}}\nsources:\n  src:\n    plugin: generate\n"
#define PATTERN_HINT " | globs: * ? [a-z]; regular expressions: re:…\n"

static void patterns(void **state)
{
    static const struct {
        const char *pattern;
        const char *stream;
        int matches;
    } cases[] = {
        {"public.a", "public.a", 1},
        {"public.a", "public.ab", 0},
        {"public.a", "xpublic.a", 0},
        {"public.*", "public.a", 1},
        {"public.*", "publica", 0},
        {"*", "public.a", 1},
        {"*.a", "x.y.a", 1},
        {"public.emp_?", "public.emp_1", 1},
        {"public.emp_[0-9]", "public.emp_7", 1},
        {"public.emp_[0-9]", "public.emp_x", 0},
        {"public.\"Odd Name\"", "public.\"Odd Name\"", 1},
        {"public.*", "public.\"Odd Name\"", 1},
        {"public.Odd*", "public.\"Odd Name\"", 0},
        {"*\"*", "public.\"a.b\"", 1},
        {"re:public\\.(a|b)", "public.a", 1},
        {"re:public\\.(a|b)", "public.ab", 0},
        {"re:a|b", "a", 1},
        {"re:a|b", "b", 1},
        {"re:a|b", "xb", 0},
        {"re:a|b", "ax", 0},
        {"re:.*_[0-9]{4}", "public.x_2026", 1},
        {"re:.*_[0-9]{4}", "public.x_20261", 0},
        {"re:x\\{2000}", "x{2000}", 1},
        {"re:^public\\.a$", "public.a", 1},
        {"re:(", "(", 0},
        {"re:a)(b", "ab", 0},
        {"re:[)]x", ")x", 1},
        {"re:(a{1000}){1000}", "a", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (sluice_config_pattern_match(cases[i].pattern, cases[i].stream) != cases[i].matches) {
            print_error("%s on %s\n", cases[i].pattern, cases[i].stream);
            fail();
        }
    }
}

static void pattern_checks(void **state)
{
    char why[256];
    char large[1100];
    (void)state;
    memset(large, 'a', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    assert_false(sluice_config_pattern_check(large, why, sizeof why));
    assert_string_equal(why, "the pattern is longer than 1024 bytes");
    assert_false(sluice_config_pattern_check("re:", why, sizeof why));
    assert_string_equal(why, "the pattern is empty");
    assert_false(sluice_config_pattern_check("re:a{1001}", why, sizeof why));
    assert_string_equal(why, "{…} repeats more than 1000 times in all");
    assert_false(sluice_config_pattern_check("re:((a{20}){20}){20}", why, sizeof why));
    assert_false(sluice_config_pattern_check("re:(a{1,32767}){2}", why, sizeof why));
    assert_false(sluice_config_pattern_check("re:(a{99999999999999999999})", why, sizeof why));
    assert_true(sluice_config_pattern_check("re:(a{10}){10,100}", why, sizeof why));
    assert_false(sluice_config_pattern_check("re:a)|(b", why, sizeof why));
    assert_string_equal(why, "a ) has no (");
    assert_false(sluice_config_pattern_check("re:[a", why, sizeof why));
    assert_false(sluice_config_pattern_check("re:*a\\", why, sizeof why));
    assert_true(sluice_config_pattern_check("re:[]()]+", why, sizeof why));
    assert_true(sluice_config_pattern_check("re:[^])]+", why, sizeof why));
}

static void choice(void **state)
{
    (void)state;
    struct sluice_pipeline *p = load_good(
        SOURCE "    tables: {include: [\"public.*\", \"re:hr[.].+\"], exclude: [\"*.tmp_*\","
               " public.log]}\n");
    const struct sluice_tables *tables = &p->nodes[0].tables;
    assert_true(sluice_tables_match(tables, "public.a"));
    assert_true(sluice_tables_match(tables, "hr.x"));
    assert_false(sluice_tables_match(tables, "other.x"));
    assert_false(sluice_tables_match(tables, "public.log"));
    assert_false(sluice_tables_match(tables, "hr.tmp_1"));
    sluice_pipeline_free(p);
    p = load_good(SOURCE "    tables: {exclude: x.*}\n");
    assert_true(sluice_tables_match(&p->nodes[0].tables, "public.a"));
    assert_false(sluice_tables_match(&p->nodes[0].tables, "x.a"));
    sluice_pipeline_free(p);
    p = load_good(SOURCE);
    assert_true(sluice_tables_match(&p->nodes[0].tables, "public.a"));
    sluice_pipeline_free(p);
}

static void rules(void **state)
{
    (void)state;
    struct sluice_pipeline *p = load_good(
        SOURCE "    tables:\n"
               "      rules:\n"
               "        - {match: \"public.*\", where: a > 1}\n"
               "        - {match: public.b, columns: {include: [id, x]}}\n"
               "        - {match: \"re:public.[bc]\", where: \"\", columns: {exclude: []}}\n"
               "      defaults: {where: \"1 = 1\", columns: {exclude: secret}}\n");
    const struct sluice_tables *tables = &p->nodes[0].tables;
    struct sluice_table_rule rule;
    assert_int_equal(tables->rule_count, 4);
    assert_null(tables->rules[0].match);
    sluice_tables_rule(tables, "other.x", &rule);
    assert_string_equal(rule.where, "1 = 1");
    assert_int_equal(rule.exclude_count, 1);
    assert_string_equal(rule.exclude_columns[0], "secret");
    assert_int_equal(rule.include_count, 0);
    sluice_tables_rule(tables, "public.a", &rule);
    assert_string_equal(rule.where, "a > 1");
    assert_int_equal(rule.exclude_count, 1);
    /* Members are laid over one by one; an empty one lifts what was set before. */
    sluice_tables_rule(tables, "public.b", &rule);
    assert_null(rule.where);
    assert_int_equal(rule.include_count, 2);
    assert_string_equal(rule.include_columns[1], "x");
    assert_int_equal(rule.exclude_count, 0);
    sluice_pipeline_free(p);
}

static void schema_rules(void **state)
{
    (void)state;
    struct sluice_pipeline *p = load_good(
        "schema: stop\n" SOURCE "    tables:\n"
        "      defaults: {schema: freeze}\n"
        "      rules: [{match: public.a, schema: evolve}, {match: public.*, where: x}]\n");
    struct sluice_table_rule rule;
    assert_int_equal(p->schema, SLUICE_SCHEMA_STOP);
    sluice_tables_rule(&p->nodes[0].tables, "public.a", &rule);
    assert_int_equal(rule.schema, SLUICE_SCHEMA_EVOLVE);
    sluice_tables_rule(&p->nodes[0].tables, "public.b", &rule);
    assert_int_equal(rule.schema, SLUICE_SCHEMA_FREEZE);
    sluice_pipeline_free(p);
    p = load_good(SOURCE);
    sluice_tables_rule(&p->nodes[0].tables, "public.b", &rule);
    assert_int_equal(rule.schema, 0); /* the pipeline's holds */
    sluice_pipeline_free(p);
    expect_findings(SOURCE "    tables: {schema: stop, rules: [{match: a, schema: 5}]}\n",
                    "8:14 error sources.src.tables.schema: unknown key \"schema\" | known here:"
                    " include, exclude, defaults, rules\n"
                    "8:55 error sources.src.tables.rules[0].schema: schema wants evolve, freeze or"
                    " stop, not \"5\"\n");
}

static void add_unmatched(void *ctx, const char *at, const char *pattern)
{
    sluice_str_printf((struct sluice_str *)ctx, "%s %s\n", at, pattern);
}

static void patterns_without_tables(void **state)
{
    (void)state;
    struct sluice_pipeline *p = load_good(SOURCE "    tables:\n"
                                                 "      include: [public.a, \"x.*\", public.log]\n"
                                                 "      exclude: public.log\n"
                                                 "      defaults: {where: \"1 = 1\"}\n"
                                                 "      rules:\n"
                                                 "        - {match: public.log, where: not taken}\n"
                                                 "        - {match: \"re:public.a+\", where: b}\n");
    const struct sluice_tables *tables = &p->nodes[0].tables;
    unsigned char seen[8] = {0};
    struct sluice_str out = SLUICE_STR_INIT;
    assert_int_equal(sluice_tables_patterns(tables), 6);
    sluice_tables_unmatched(tables, seen, add_unmatched, &out);
    assert_string_equal(out.data, "include[0] public.a\ninclude[1] x.*\ninclude[2] public.log\n"
                                  "rules[0].match public.log\nrules[1].match re:public.a+\n");
    sluice_str_clear(&out);
    sluice_tables_note(tables, "public.log", seen);
    sluice_tables_note(tables, "public.other", seen);
    sluice_tables_note(tables, "public.a", seen);
    sluice_tables_unmatched(tables, seen, add_unmatched, &out);
    assert_string_equal(out.data, "include[1] x.*\nrules[0].match public.log\n");
    sluice_str_free(&out);
    sluice_pipeline_free(p);
    p = load_good(SOURCE);
    assert_int_equal(sluice_tables_patterns(&p->nodes[0].tables), 0);
    sluice_pipeline_free(p);
}

static void findings(void **state)
{
    (void)state;
    expect_findings(
        SOURCE "    tables: [public.a]\n",
        "8:13 error sources.src.tables: tables wants a mapping, not a list | write tables:"
        " {include: [...]}\n");
    expect_findings(SOURCE "    tables: public.a\n",
                    "8:13 error sources.src.tables: wants a mapping, not text\n");
    expect_findings(
        SOURCE "    tables: {include: []}\n",
        "8:23 error sources.src.tables.include: include is empty | leave it out to take all"
        " tables\n");
    expect_findings(SOURCE "    tables: {exclude: []}\n", "");
    expect_findings(
        SOURCE "    tables: {includes: [a], route: x}\n",
        "8:14 error sources.src.tables.includes: unknown key \"includes\" | did you mean"
        " include?\n"
        "8:29 error sources.src.tables.route: \"route\" is not available in this"
        " version\n");
    expect_findings(
        SOURCE "    tables: {include: [\"re:(\", '', [x], 're:a{1,5000}'], exclude:"
               " 're:[z-a]'}\n",
        "8:24 error sources.src.tables.include[0]: not a valid expression: Unmatched ( or"
        " \\(: \"re:(\"" PATTERN_HINT
        "8:32 error sources.src.tables.include[1]: the pattern is empty: \"\"" PATTERN_HINT
        "8:36 error sources.src.tables.include[2]: include wants text here, not a list\n"
        "8:41 error sources.src.tables.include[3]: {…} repeats more than 1000 times in all:"
        " \"re:a{1,5000}\"" PATTERN_HINT
        "8:67 error sources.src.tables.exclude: not a valid expression: Invalid range end:"
        " \"re:[z-a]\"" PATTERN_HINT);
    expect_findings(
        SOURCE "    tables:\n"
               "      defaults: {match: x, where: [a]}\n"
               "      rules:\n"
               "        - {where: x}\n"
               "        - {match: \"\"}\n"
               "        - {match: \"re:a)b\", columns: a}\n"
               "        - {match: a, columns: {includ: [b], exclude: [[c]]}}\n"
               "        - {match: a, write: {mode: append}}\n"
               "        - public.a\n",
        "9:18 error sources.src.tables.defaults.match: unknown key \"match\" | known here:"
        " where, schema, columns\n"
        "9:35 error sources.src.tables.defaults.where: where wants text, not a list\n"
        "11:11 error sources.src.tables.rules[0].match: match is required | for example"
        " match: public.orders*\n"
        "12:19 error sources.src.tables.rules[1].match: match must not be empty | for"
        " example match: public.orders*\n"
        "13:19 error sources.src.tables.rules[2].match: a ) has no (:"
        " \"re:a)b\"" PATTERN_HINT
        "13:38 error sources.src.tables.rules[2].columns: wants a mapping, not text\n"
        "14:32 error sources.src.tables.rules[3].columns.includ: unknown key \"includ\" |"
        " did you mean include?\n"
        "14:55 error sources.src.tables.rules[3].columns.exclude[0]: exclude wants text"
        " here, not a list\n"
        "15:22 error sources.src.tables.rules[4].write: \"write\" is not available in this"
        " version\n"
        "16:11 error sources.src.tables.rules[5]: wants a mapping, not text\n");
    expect_findings(SOURCE "    tables: {rules: {match: x}, defaults: [a]}\n",
                    "8:21 error sources.src.tables.rules: rules wants a list, not a mapping | for"
                    " example [{match: \"public.orders*\", where: …}]\n"
                    "8:43 error sources.src.tables.defaults: wants a mapping, not a list\n");
}

const struct CMUnitTest table_tests[] = {
    cmocka_unit_test(patterns),     cmocka_unit_test(pattern_checks),
    cmocka_unit_test(choice),       cmocka_unit_test(rules),
    cmocka_unit_test(findings),     cmocka_unit_test(patterns_without_tables),
    cmocka_unit_test(schema_rules),
};
const size_t table_tests_count = sizeof table_tests / sizeof table_tests[0];
