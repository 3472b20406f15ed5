/* write, route, on_error.rows and on_table_error of sinks. */
#include "fake.h"

#include "base/alloc.h"

#define HEAD "version: 1\nname: t\nmode: full_load_and_cdc\n"
#define SRC "sources: {src: {plugin: postgres, config: {host: h, database: d, user: u}}}\n"
#define SINK HEAD SRC "sinks:\n  out:\n    plugin: tables\n    inputs: [src]\n"

static struct sluice_write_rule fold(const struct sluice_pipeline *p, const char *stream)
{
    struct sluice_write_rule rule;
    sluice_write_fold(&p->nodes[1], stream, &rule);
    return rule;
}

static void write_rules(void **state)
{
    (void)state;
    struct sluice_pipeline *p = load_good(SINK);
    struct sluice_write_rule rule = fold(p, "public.a");
    assert_int_equal(rule.mode, SLUICE_WRITE_UPSERT);
    assert_int_equal(rule.key, SLUICE_KEY_SOURCE);
    assert_int_equal(rule.deletes, SLUICE_DELETES_HARD);
    assert_int_equal(rule.duplicates, SLUICE_DUPLICATES_ONE);
    assert_int_equal(rule.metadata, 0);
    assert_string_equal(rule.soft_column, "_sluice_deleted");
    assert_string_equal(rule.metadata_prefix, "_sluice_");
    assert_int_equal(p->nodes[1].on_row_error, SLUICE_ROWS_STOP);
    assert_int_equal(p->nodes[1].on_table_error, SLUICE_TABLES_STOP);
    sluice_pipeline_free(p);

    p = load_good(SINK
                  "    write:\n"
                  "      deletes: soft\n"
                  "      metadata: [op, synced_at]\n"
                  "      rules:\n"
                  "        - {match: 'public.log_*', mode: history, deletes: hard}\n"
                  "        - {match: 'public.b', key: [x, y], metadata: [], soft_column: gone}\n"
                  "        - {match: 'public.c', key: none, truncate: fail}\n"
                  "    on_error: {rows: dlq, max_rejected: 7, retry: {max: 1}}\n"
                  "    on_table_error: quarantine\n");
    rule = fold(p, "public.a");
    assert_int_equal(rule.mode, SLUICE_WRITE_UPSERT);
    assert_int_equal(rule.deletes, SLUICE_DELETES_SOFT);
    assert_int_equal(rule.metadata, SLUICE_META_OP | SLUICE_META_SYNCED_AT);
    rule = fold(p, "public.log_x");
    assert_int_equal(rule.mode, SLUICE_WRITE_HISTORY);
    assert_int_equal(rule.deletes, SLUICE_DELETES_HARD);
    rule = fold(p, "public.b");
    assert_int_equal(rule.key, SLUICE_KEY_COLUMNS);
    assert_int_equal(rule.key_count, 2);
    assert_string_equal(rule.key_columns[1], "y");
    assert_int_equal(rule.metadata, 0);
    assert_string_equal(rule.soft_column, "gone");
    rule = fold(p, "public.c");
    assert_int_equal(rule.key, SLUICE_KEY_NONE);
    assert_int_equal(rule.truncate, SLUICE_TRUNCATE_FAIL);
    assert_int_equal(p->nodes[1].on_row_error, SLUICE_ROWS_DLQ);
    assert_int_equal(p->nodes[1].max_rejected, 7);
    assert_int_equal(p->nodes[1].retry.max, 1);
    assert_int_equal(p->nodes[1].on_table_error, SLUICE_TABLES_QUARANTINE);
    sluice_pipeline_free(p);
}

static void routes(void **state)
{
    (void)state;
    struct sluice_route_rule rule;
    struct sluice_pipeline *p = load_good(
        SINK "    route: {to: 'copy.{schema}_{table}', case: lower, prefix: a_, long_names: hash,"
             " rules: [{match: public.x, to: '{table}', merge: true, prefix: ''}]}\n");
    sluice_route_fold(&p->nodes[1], "public.y", &rule);
    assert_string_equal(rule.to, "copy.{schema}_{table}");
    assert_int_equal(rule.letters, SLUICE_CASE_LOWER);
    assert_string_equal(rule.prefix, "a_");
    assert_string_equal(rule.suffix, "");
    assert_int_equal(rule.long_names, SLUICE_LONG_NAMES_HASH);
    assert_int_equal(rule.merge, 1);
    sluice_route_fold(&p->nodes[1], "public.x", &rule);
    assert_string_equal(rule.to, "{table}");
    assert_string_equal(rule.prefix, "");
    assert_int_equal(rule.merge, 2);
    sluice_pipeline_free(p);
    p = load_good(SINK);
    sluice_route_fold(&p->nodes[1], "public.x", &rule);
    assert_string_equal(rule.to, "{schema}.{table}");
    sluice_pipeline_free(p);
}

static void refused(void **state)
{
    (void)state;
    expect_findings(SINK "    write: {metadata: [op, posn]}\n",
                    "9:23 error sinks.out.write.metadata: unknown metadata column \"posn\" | there"
                    " are: op, commit_ts, position, seq, tx, synced_at, unchanged\n");
    expect_findings(SINK "    write: {key: []}\n",
                    "9:18 error sinks.out.write.key: key names no column | write key: none if rows"
                    " have none\n");
    expect_findings(SINK "    write: {rules: [{mode: append}]}\n",
                    "9:21 error sinks.out.write.rules[0].match: match is required | for example"
                    " match: public.log_*\n");
    expect_findings(
        SINK "    route: {to: 'a.b.c'}\n",
        "9:17 error sinks.out.route.to: to wants a table, or a schema, one dot and a"
        " table | for example \"replica.{schema}_{table}\"; there are {schema}, {table},"
        " {source} and {pipeline}\n");
    expect_findings(
        SINK "    route: {to: '{tabel}'}\n",
        "9:17 error sinks.out.route.to: to wants a table, or a schema, one dot and a"
        " table | for example \"replica.{schema}_{table}\"; there are {schema}, {table},"
        " {source} and {pipeline}\n");
    expect_findings(SINK "    on_table_error: park\n",
                    "9:21 error sinks.out.on_table_error: on_table_error wants stop or quarantine,"
                    " not \"park\"\n");
    expect_findings(HEAD SRC "sinks: {out: {plugin: s3, inputs: [src], config: {bucket: b}, route: "
                             "{to: x}, write: {truncate: fail}, on_error: {rows: skip}}}\n",
                    "5:71 error sinks.out.route: to is for sinks that keep rows in tables, which s3"
                    " does not | leave it out\n"
                    "5:115 error sinks.out.on_error: rows is for sinks that keep rows in tables,"
                    " which s3 does not | leave it out\n");
}

const struct CMUnitTest write_tests[] = {
    cmocka_unit_test(write_rules),
    cmocka_unit_test(routes),
    cmocka_unit_test(refused),
};
const size_t write_tests_count = sizeof write_tests / sizeof write_tests[0];
