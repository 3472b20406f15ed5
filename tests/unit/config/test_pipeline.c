/* Pipeline files: the model that comes out, and every finding with its place. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"

#define HEAD "version: 1\nname: p\nmode: full_load_only\n"
#define REST "sources: {src: {plugin: generate}}\nsinks: {out: {plugin: 'null', inputs: [src]}}\n"
/* A source whose keys follow, from line 6 on. */
#define SOURCE \
    HEAD "sinks: {out: {plugin: 'null', inputs: [src]}}\nsources:\n  src:\n    plugin: generate\n"
/* The same for a sink. */
#define SINK                                                                        \
    HEAD "sources: {src: {plugin: generate}}\nsinks:\n  out:\n    plugin: 'null'\n" \
         "    inputs: [src]\n"

static void whole_model(void **state)
{
    (void)state;
    setenv("SLUICE_T_PW", "secret-pw", 1);
    struct sluice_pipeline *p = load_good(
        "version: 1\n"
        "name: department_to_s3\n"
        "mode: full_load_and_cdc\n"
        "memory: 128MiB\n"
        "parallelism: 3\n"
        "schema: freeze\n"
        "state: {uri: \"file:/var/lib/x\"}\n"
        "on_error: {retry: {max: 9, backoff: 2s}}\n"
        "sinks:\n"
        "  lake:\n"
        "    plugin: s3\n"
        "    inputs: [no_pii, other]\n"
        "    config: {bucket: company-lake, prefix: hr}\n"
        "    batch: {rows: 1000, interval: 60s, bytes: 64MiB}\n"
        "    write: {truncate: ignore}\n"
        "    on_error: {retry: {max: 0}}\n"
        "transforms:\n"
        "  no_pii: {plugin: project, inputs: hr}\n"
        "sources:\n"
        "  hr:\n"
        "    plugin: postgres\n"
        "    config: {database: hr, user: etl, password: \"${env:SLUICE_T_PW}\"}\n"
        "    tables: {include: [\"public.department\", \"public.emp_*\"], exclude: public.x}\n"
        "    snapshot: {split: 128MiB}\n"
        "    batch: {rows: 500, bytes: 1MiB}\n"
        "    on_error: {retry: {cap: 5m}}\n"
        "  other: {plugin: postgres, config: {database: d, user: u}}\n");
    assert_string_equal(p->file, "p.yaml");
    assert_string_equal(p->name, "department_to_s3");
    assert_int_equal(p->mode, SLUICE_MODE_FULL_LOAD_AND_CDC);
    assert_int_equal(p->memory_bytes, 128 << 20);
    assert_int_equal(p->parallelism, 3);
    assert_int_equal(p->schema, SLUICE_SCHEMA_FREEZE);
    assert_string_equal(p->state_uri, "file:/var/lib/x");
    assert_int_equal(p->retry.max, 9);
    assert_int_equal(p->retry.backoff_us, 2000000);
    assert_int_equal(p->retry.cap_us, 30000000);
    assert_int_equal(p->node_count, 4);

    const struct sluice_pipeline_node *hr = &p->nodes[0];
    assert_string_equal(hr->id, "hr");
    assert_int_equal(hr->kind, SLUICE_SOURCE);
    assert_string_equal(hr->plugin, "postgres");
    assert_ptr_equal(hr->component, &fake_pg);
    assert_int_equal(hr->line, 20);
    assert_int_equal(hr->column, 3);
    assert_int_equal(hr->input_count, 0);
    assert_int_equal(hr->split_bytes, 128 << 20);
    assert_int_equal(hr->batch.rows, 500);
    assert_int_equal(hr->batch.bytes, 1 << 20);
    assert_int_equal(hr->retry.max, 9);
    assert_int_equal(hr->retry.cap_us, 300000000);
    assert_int_equal(hr->tables.include_count, 2);
    assert_string_equal(hr->tables.include[1], "public.emp_*");
    assert_int_equal(hr->tables.exclude_count, 1);
    struct sluice_value value = {.struct_size = (uint32_t)sizeof value};
    assert_int_equal(sluice_config_get(hr->config, "password", &value), SLUICE_OK);
    assert_string_equal(value.string, "secret-pw");

    assert_string_equal(p->nodes[1].id, "other");
    assert_string_equal(p->nodes[2].id, "no_pii");
    assert_int_equal(p->nodes[2].input_count, 1);
    assert_int_equal(p->nodes[2].inputs[0], 0);
    const struct sluice_pipeline_node *lake = &p->nodes[3];
    assert_string_equal(lake->id, "lake");
    assert_int_equal(lake->input_count, 2);
    assert_int_equal(lake->inputs[0], 2);
    assert_int_equal(lake->inputs[1], 1);
    assert_int_equal(lake->batch.rows, 1000);
    assert_int_equal(lake->batch.bytes, 64 << 20);
    assert_int_equal(lake->batch.interval_us, 60000000);
    struct sluice_write_rule write;
    sluice_write_fold(lake, "public.t", &write);
    assert_int_equal(write.truncate, SLUICE_TRUNCATE_IGNORE);
    assert_int_equal(lake->retry.max, 0);
    assert_int_equal(lake->retry.backoff_us, 2000000);
    sluice_pipeline_free(p);
}

static void defaults(void **state)
{
    (void)state;
    struct sluice_pipeline *p = load_good(HEAD REST);
    assert_int_equal(p->mode, SLUICE_MODE_FULL_LOAD_ONLY);
    assert_int_equal(p->memory_bytes, SLUICE_DEFAULT_MEMORY);
    assert_int_equal(p->parallelism, 0);
    assert_null(p->state_uri);
    assert_int_equal(p->retry.max, 5);
    assert_int_equal(p->retry.backoff_us, 1000000);
    assert_int_equal(p->retry.cap_us, 30000000);
    assert_int_equal(p->nodes[0].tables.include_count, 0);
    assert_int_equal(p->nodes[0].batch.rows, 0);
    assert_int_equal(p->nodes[0].split_bytes, 0);
    assert_non_null(p->nodes[0].config);
    assert_int_equal(p->schema, SLUICE_SCHEMA_EVOLVE);
    struct sluice_write_rule write;
    sluice_write_fold(&p->nodes[1], "public.t", &write);
    assert_int_equal(write.truncate, SLUICE_TRUNCATE_APPLY);
    sluice_pipeline_free(p);
    /* A key without a value stands for its default. */
    p = load_good(
        HEAD
        "memory:\nparallelism:\nschema:\nstate:\non_error:\ntransforms:\nsources: {src: {plugin:"
        " generate, config: , tables: , batch: , snapshot: , on_error: }}\n"
        "sinks: {out: {plugin: 'null', inputs: [src], config: ~, write: }}\n");
    assert_int_equal(p->memory_bytes, SLUICE_DEFAULT_MEMORY);
    assert_int_equal(p->schema, SLUICE_SCHEMA_EVOLVE);
    sluice_write_fold(&p->nodes[1], "public.t", &write);
    assert_int_equal(write.truncate, SLUICE_TRUNCATE_APPLY);
    sluice_pipeline_free(p);
    sluice_pipeline_free(NULL);
}

static void top_level(void **state)
{
    (void)state;
    expect_findings("a: 1\n",
                    "1:1 error a: unknown key \"a\" | known here: version, name, mode, memory,"
                    " parallelism, schema, sources, transforms, sinks, state, on_error\n"
                    "1:1 error version: version is required\n"
                    "1:1 error name: name is required | for example name: departments_to_s3\n"
                    "1:1 error mode: mode is required | for example mode: full_load_only\n"
                    "1:1 error sources: a pipeline needs a source\n"
                    "1:1 error sinks: a pipeline needs a sink\n");
    expect_findings("hello\n",
                    "1:1 error a pipeline file is a mapping of keys to values, this is text"
                    " | it begins with version: 1\n");
    expect_findings("- a\n", "1:1 error a pipeline file is a mapping of keys to values, this is a"
                             " list | it begins with version: 1\n");
    expect_findings("version: 2\nname: p\nmode: full_load_only\n" REST,
                    "1:10 error version: version must be 1, not 2\n");
    expect_findings("version: one\nname: p\nmode: full_load_only\n" REST,
                    "1:10 error version: version wants a whole number, not \"one\"\n");
    expect_findings("version: 1\nname: p\nmode: fulload_only\n" REST,
                    "3:7 error mode: mode wants full_load_only, cdc_only or full_load_and_cdc, not"
                    " \"fulload_only\" | did you mean full_load_only?\n");
    expect_findings(HEAD "schema: evolv\n" REST,
                    "4:9 error schema: schema wants evolve, freeze or stop, not \"evolv\" | did you"
                    " mean evolve?\n");
    expect_findings(HEAD "memroy: 1GB\n" REST,
                    "4:1 error memroy: unknown key \"memroy\" | did you mean memory?\n");
    expect_findings(HEAD "memory: 1MiB\nparallelism: 65\n" REST,
                    "4:9 error memory: memory must be between 16MiB and 1TiB, not 1MiB\n"
                    "5:14 error parallelism: parallelism must be between 1 and 64, not 65\n");
    expect_findings(HEAD "schedule: daily\ntests: []\ninclude: [a]\nsecrets: {}\n" REST,
                    "4:1 error schedule: \"schedule\" is not available in this version\n"
                    "5:1 error tests: \"tests\" is not available in this version\n"
                    "6:1 error include: \"include\" is not available in this version\n"
                    "7:1 error secrets: \"secrets\" is not available in this version\n");
}

#define NAME_HINT                                                                                \
    " is no name for a pipeline | lower-case letters, digits, _ . and -, at most 63, and not . " \
    "or -"                                                                                       \
    " first\n"

static void names(void **state)
{
    static const char *const good[] = {"a", "0", "_x", "a.b-c_d", "007"};
    static const char *const bad[] = {"A", ".a", "-a", "a b", "a/b", "ä"};
    char yaml[512];
    char expected[256];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        (void)snprintf(yaml, sizeof yaml, "version: 1\nname: %s\nmode: full_load_only\n" REST,
                       good[i]);
        struct sluice_pipeline *p = load_good(yaml);
        assert_string_equal(p->name, good[i]);
        sluice_pipeline_free(p);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(yaml, sizeof yaml, "version: 1\nname: '%s'\nmode: full_load_only\n" REST,
                       bad[i]);
        (void)snprintf(expected, sizeof expected, "2:7 error name: \"%s\"" NAME_HINT, bad[i]);
        expect_findings(yaml, expected);
    }
    (void)snprintf(yaml, sizeof yaml, "version: 1\nname: %064d\nmode: full_load_only\n" REST, 0);
    expect_findings(yaml,
                    "2:7 error name: \"0000000000000000000000000000000000000000…\"" NAME_HINT);
    expect_findings(
        "version: 1\nname: ''\nmode: full_load_only\n" REST,
        "2:7 error name: name must not be empty | for example name: departments_to_s3\n");
    /* What came out of a variable is not shown. */
    setenv("SLUICE_T_V", "Hidden Name", 1);
    expect_findings("version: 1\nname: ${env:SLUICE_T_V}\nmode: full_load_only\n" REST,
                    "2:7 error name: the value" NAME_HINT);
}

static void state_and_retry(void **state)
{
    (void)state;
    expect_findings(
        HEAD "state: {uri: \"postgresql://h/d\"}\n" REST,
        "4:14 error state.uri: state is kept in files alone in this version | for example"
        " file:/var/lib/sluice\n");
    expect_findings(HEAD "state: {uri: \"file:\"}\n" REST,
                    "4:14 error state.uri: the folder is missing | for example"
                    " file:/var/lib/sluice\n");
    expect_findings(
        HEAD "state: {uri: \"file://host/x\"}\n" REST,
        "4:14 error state.uri: after file:// stands the name of a host; state is kept on"
        " this one | for example file:/var/lib/sluice\n");
    sluice_pipeline_free(load_good(HEAD "state: {uri: \"file:///var/lib/x\"}\n" REST));
    expect_findings(HEAD "state: {url: x}\n" REST,
                    "4:1 error state.uri: uri is required | for example uri: file:/var/lib/sluice\n"
                    "4:9 error state.url: unknown key \"url\" | did you mean uri?\n");
    expect_findings(HEAD "state: file:/x\n" REST, "4:8 error state: wants a mapping, not text\n");
    expect_findings(HEAD "on_error: {retry: {max: -1, backoff: 0, cap: 2d}, dlq: x}\n" REST,
                    "4:25 error on_error.retry.max: max must be between 0 and 1000000, not -1\n"
                    "4:38 error on_error.retry.backoff: backoff must be between 1ms and 1h, not 0\n"
                    "4:46 error on_error.retry.cap: cap must be between 1ms and 1d, not 2d\n"
                    "4:51 error on_error.dlq: \"dlq\" is not available in this version\n");
    expect_findings(HEAD "on_error: {retry: {backoff: 1m}}\n" REST,
                    "4:12 error on_error.retry: cap, the longest wait, is shorter than backoff, the"
                    " first | give both backoff and cap\n");
    expect_findings(HEAD "on_error: {retry: 5}\n" REST,
                    "4:19 error on_error.retry: wants a mapping, not text\n");
    expect_findings(HEAD "on_error: retry\n" REST,
                    "4:11 error on_error: wants a mapping, not text\n");
}

static void plugins(void **state)
{
    (void)state;
    expect_findings(
        HEAD "sources: {src: {plugin: postgress}}\n"
             "sinks: {out: {plugin: 'null', inputs: [src]}}\n",
        "4:25 error sources.src.plugin: unknown source plugin \"postgress\" | did you mean"
        " postgres? there are: postgres, generate, all_types\n");
    expect_findings(HEAD "sources: {src: {plugin: oracle}}\n"
                         "sinks: {out: {plugin: 'null', inputs: [src]}}\n",
                    "4:25 error sources.src.plugin: unknown source plugin \"oracle\" | there are:"
                    " postgres, generate, all_types\n");
    expect_findings(
        HEAD "sources: {src: {plugin: s3}}\n"
             "sinks: {out: {plugin: mask, inputs: [src]}}\n",
        "4:25 error sources.src.plugin: \"s3\" is a sink, not a source | `sluice plugin"
        " list` shows what there is\n"
        "5:23 error sinks.out.plugin: \"mask\" is a transform, not a sink | `sluice plugin"
        " list` shows what there is\n");
    expect_findings(
        HEAD "sources: {src: {plugin: generate@1}}\n"
             "sinks: {out: {plugin: 'null', inputs: [src]}}\n",
        "4:25 error sources.src.plugin: plugin versions cannot be chosen in this version |"
        " write the name alone\n");
    expect_findings(HEAD "sources: {src: {config: {a: b}}}\n"
                         "sinks: {out: {plugin: [x], inputs: [src]}}\n",
                    "4:11 error sources.src.plugin: plugin is required\n"
                    "5:23 error sinks.out.plugin: plugin wants text, not a list\n");
    /* `plugin: null` is nothing for YAML, but here it is the sink of that name. */
    struct sluice_pipeline *p = load_good(HEAD "sources: {src: {plugin: generate}}\n"
                                               "sinks: {out: {plugin: null, inputs: [src]}}\n");
    assert_ptr_equal(p->nodes[1].component, &fake_null);
    sluice_pipeline_free(p);
    expect_findings(HEAD "sources: {src: {plugin: }}\n"
                         "sinks: {out: {plugin: '', inputs: [src]}}\n",
                    "4:25 error sources.src.plugin: plugin must not be empty\n"
                    "5:23 error sinks.out.plugin: plugin must not be empty\n");
}

static void node_keys(void **state)
{
    (void)state;
    expect_findings(SOURCE "    inputs: [out]\n",
                    "8:5 error sources.src.inputs: a source has no inputs\n");
    expect_findings(
        SOURCE "    tabels: {}\n",
        "8:5 error sources.src.tabels: unknown key \"tabels\" | did you mean tables?\n");
    expect_findings(SOURCE "    route: {}\n    write: {}\n    schema: {}\n    parallelism: 2\n",
                    "8:5 error sources.src.route: route belongs to sinks\n"
                    "9:5 error sources.src.write: write belongs to sinks\n"
                    "10:5 error sources.src.schema: schema stands at the top of the file, or in"
                    " tables.defaults and tables.rules\n"
                    "11:5 error sources.src.parallelism: \"parallelism\" is not available in this"
                    " version\n");
    expect_findings(
        SINK "    write: {truncate: aply, mode: upsert, x: y}\n    schema: stop\n",
        "9:23 error sinks.out.write.truncate: truncate wants apply, ignore or fail, not"
        " \"aply\" | did you mean apply?\n"
        "9:29 error sinks.out.write: mode is for sinks that keep rows in tables, which"
        " null does not | leave it out\n"
        "9:43 error sinks.out.write.x: unknown key \"x\" | known here: mode, key, deletes,"
        " soft_column, duplicates, metadata, metadata_prefix, truncate, rules\n"
        "9:43 error sinks.out.write: x is for sinks that keep rows in tables, which null"
        " does not | leave it out\n"
        "10:5 error sinks.out.schema: schema stands at the top of the file, or in"
        " tables.defaults and tables.rules\n");
    expect_findings(SINK "    write: append\n",
                    "9:12 error sinks.out.write: wants a mapping, not text\n");
    expect_findings(SINK "    tables: {}\n    snapshot: {}\n",
                    "9:5 error sinks.out.tables: tables are chosen at sources, not at sinks\n"
                    "10:5 error sinks.out.snapshot: snapshot belongs to sources\n");
    expect_findings(
        HEAD "sources: {src: {plugin: generate}}\n"
             "transforms:\n  t:\n    plugin: project\n    inputs: [src]\n    tables: {}\n"
             "    snapshot: {}\n    batch: {}\n    on_error: {}\n"
             "sinks: {out: {plugin: 'null', inputs: [t]}}\n",
        "9:5 error transforms.t.tables: tables are chosen at sources, not at transforms\n"
        "10:5 error transforms.t.snapshot: snapshot belongs to sources\n"
        "11:5 error transforms.t.batch: batch belongs to sources and sinks\n"
        "12:5 error transforms.t.on_error: on_error belongs to sources and sinks\n");
    expect_findings(
        SINK "    config: {inputs: [src]}\n    batch: {rows: 0, bytes: 1, interval: 1}\n",
        "9:14 error sinks.out.config.inputs: unknown key \"inputs\" | it belongs beside"
        " config:, not into it\n"
        "10:19 error sinks.out.batch.rows: rows must be between 1 and 1000000000000, not"
        " 0\n"
        "10:29 error sinks.out.batch.bytes: bytes must be between 1KiB and 5TiB, not 1\n"
        "10:42 error sinks.out.batch.interval: interval wants a duration like 200ms, 10s,"
        " 5m or 1h, not \"1\" | the unit is missing: us ms s m h d\n");
    expect_findings(
        SOURCE "    batch: {interval: 1s}\n    snapshot: {split: 1, mode: x}\n",
        "8:13 error sources.src.batch.interval: unknown key \"interval\" | known here:"
        " rows, bytes\n"
        "9:23 error sources.src.snapshot.split: split must be between 8KiB and 1TiB, not"
        " 1\n"
        "9:26 error sources.src.snapshot.mode: \"mode\" is not available in this"
        " version\n");
    expect_findings(SOURCE "    config: 5\n    batch: [1]\n    on_error: {retry: {max: x}}\n",
                    "8:13 error sources.src.config: wants a mapping, not text\n"
                    "9:12 error sources.src.batch: wants a mapping, not a list\n"
                    "10:29 error sources.src.on_error.retry.max: max wants a whole number, not"
                    " \"x\"\n");
}

static void node_config(void **state)
{
    (void)state;
    expect_findings(HEAD "sources:\n  src:\n    plugin: postgres\n    database: d\n"
                         "sinks: {out: {plugin: 'null', inputs: [src]}}\n",
                    "5:3 error sources.src.config.database: database is required | for example"
                    " database: hr\n"
                    "5:3 error sources.src.config.user: user is required\n"
                    "7:5 error sources.src.database: unknown key \"database\" | it is an option of"
                    " postgres: put it under config:\n");
    expect_findings(
        HEAD "sources:\n  src:\n    plugin: postgres\n    config:\n      database: d\n"
             "      prot: 1\n"
             "sinks: {out: {plugin: 'null', inputs: [src]}}\n",
        "7:5 error sources.src.config.user: user is required\n"
        "9:7 error sources.src.config.prot: unknown key \"prot\" | did you mean port?\n");
    expect_findings(
        HEAD "sources: {src: }\nsinks: {out: [x]}\n",

        "4:11 warning sources.src: nothing takes the rows of source \"src\" | name it in"
        " the inputs of a transform or sink, or remove it\n"
        "4:16 error sources.src: a source wants a mapping, not nothing | for example"
        " {plugin: …, config: {…}}\n"
        "5:14 error sinks.out: a sink wants a mapping, not a list | for example {plugin:"
        " …, config: {…}}\n");
    expect_findings(
        HEAD "sources: [a]\nsinks: x\ntransforms: 5\n",
        "4:10 error sources: sources wants a mapping, not a list | each entry is an id and"
        " what it stands for\n"
        "5:8 error sinks: sinks wants a mapping, not text | each entry is an id and what"
        " it stands for\n"
        "6:13 error transforms: transforms wants a mapping, not text | each entry is an id"
        " and what it stands for\n");
    expect_findings(HEAD "sources: {}\nsinks:\n", "4:10 error sources: a pipeline needs a source\n"
                                                  "5:7 error sinks: a pipeline needs a sink\n");
}

static void too_many_nodes(void **state)
{
    struct sluice_str yaml = SLUICE_STR_INIT;
    (void)state;
    sluice_str_append(&yaml, HEAD "sources:\n");
    for (int i = 0; i < SLUICE_LIMIT_NODES; i++) {
        sluice_str_printf(&yaml, "  s%d: {plugin: generate}\n", i);
    }
    sluice_str_append(&yaml, "sinks: {out: {plugin: 'null', inputs: [s0]}}\n");
    struct sluice_diags diags;
    sluice_diags_init(&diags, "p.yaml");
    struct sluice_pipeline *p =
        sluice_pipeline_parse("p.yaml", yaml.data, yaml.size, NULL, 0, &fake_lookup, &diags);
    assert_int_equal(diags.errors, 1);
    for (size_t i = 0; i < diags.count; i++) {
        if (diags.items[i].severity == SLUICE_DIAG_ERROR) {
            assert_string_equal(diags.items[i].message, "more than 256 nodes");
        }
    }
    sluice_pipeline_free(p);
    sluice_diags_free(&diags);
    sluice_str_free(&yaml);
}

/* From a file; also one that is not there. */
static void from_file(void **state)
{
    char path[] = "/tmp/sluice-test-pipeline-XXXXXX";
    struct sluice_diags diags;
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char yaml[] = HEAD REST;
    assert_int_equal(write(fd, yaml, sizeof yaml - 1), sizeof yaml - 1);
    close(fd);
    sluice_diags_init(&diags, NULL);
    struct sluice_pipeline *p = sluice_pipeline_load(path, NULL, 0, &fake_lookup, &diags);
    assert_non_null(p);
    assert_int_equal(diags.count, 0);
    assert_string_equal(diags.file, path);
    assert_string_equal(p->file, path);
    sluice_pipeline_free(p);
    unlink(path);
    assert_null(sluice_pipeline_load(path, NULL, 0, &fake_lookup, &diags));
    assert_int_equal(diags.errors, 1);
    sluice_diags_free(&diags);
}

const struct CMUnitTest pipeline_tests[] = {
    cmocka_unit_test(whole_model),     cmocka_unit_test(defaults),
    cmocka_unit_test(top_level),       cmocka_unit_test(names),
    cmocka_unit_test(state_and_retry), cmocka_unit_test(plugins),
    cmocka_unit_test(node_keys),       cmocka_unit_test(node_config),
    cmocka_unit_test(too_many_nodes),  cmocka_unit_test(from_file),
};
const size_t pipeline_tests_count = sizeof pipeline_tests / sizeof pipeline_tests[0];
