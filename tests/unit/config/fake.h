/* Components that exist only as tables, and helpers that turn findings into text. */
#ifndef TEST_CONFIG_FAKE_H
#define TEST_CONFIG_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include "config/pipeline.h"

extern const struct sluice_component fake_pg;        /* source: load and changes */
extern const struct sluice_component fake_generate;  /* source: load alone */
extern const struct sluice_component fake_mask;      /* transform: rows alone */
extern const struct sluice_component fake_project;   /* transform: rows and changes */
extern const struct sluice_component fake_s3;        /* sink: load and changes */
extern const struct sluice_component fake_null;      /* sink: load alone, no options */
extern const struct sluice_component fake_tables;    /* sink over tables, no options */
extern const struct sluice_component fake_all_types; /* source with an option of each type */
extern const struct sluice_component *const fake_components[];
extern const size_t fake_component_count;
extern const struct sluice_component_lookup fake_lookup;

/* Findings as lines "4:7 error PATH: MESSAGE | HINT"; free with sluice_free. */
char *findings_text(const struct sluice_diags *diags);
/* Loads `yaml` and compares all findings with `expected`. */
void expect_findings_sets(const char *yaml, const char *const *sets, size_t set_count,
                          const char *expected);
void expect_findings(const char *yaml, const char *expected);
/* Loads what must be right; free with sluice_pipeline_free. */
struct sluice_pipeline *load_good(const char *yaml);

#define TEST_LIST(name)                    \
    extern const struct CMUnitTest name[]; \
    extern const size_t name##_count

TEST_LIST(scalar_tests);
TEST_LIST(yaml_tests);
TEST_LIST(expand_tests);
TEST_LIST(set_tests);
TEST_LIST(option_tests);
TEST_LIST(pipeline_tests);
TEST_LIST(graph_tests);
TEST_LIST(table_tests);
TEST_LIST(write_tests);
TEST_LIST(schema_tests);
TEST_LIST(memory_tests);

#endif /* TEST_CONFIG_FAKE_H */
