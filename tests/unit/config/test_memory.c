/* Each allocation fails once: no crash, no leak, and never a pipeline that looks right but is not. */
#include "fake.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "log/log.h"

static const char good[] =
    "version: 1\nname: p\nmode: full_load_only\nstate: {uri: \"file:/x\"}\n"
    "on_error: {retry: {max: 2}}\n"
    "sources:\n"
    "  src:\n"
    "    plugin: postgres\n"
    "    config: {database: \"$${x}\", user: u, password: \"${env:SLUICE_T_PW}\"}\n"
    "    tables: {include: [\"public.*\", \"re:a|b\"], exclude: [x], defaults: {columns: {include:"
    " [a]}}, rules: [{match: y, where: z}]}\n"
    "  all: {plugin: all_types, config: {headers: {a: bbbb}, list: [p, q]}}\n"
    "transforms: {m: {plugin: mask, inputs: [src, all], config: {columns: [c]}}}\n"
    "sinks: {out: {plugin: s3, inputs: [m], config: {bucket: b}, batch: {rows: 5}}}\n";

static const char bad[] =
    "versio: 1\nname: P\nmode: fullload_only\nname: Q\n"
    "sources: {a: {plugin: postgress, inputs: [x], config: {q: 1}}, src: {plugin: postgres, config:"
    " {port: abc, sslmode: x, hots: y, password: [p]}, tables: {include: ['re:('], rules: [{match:"
    " ''}]}}}\n"
    "transforms: {t: {plugin: project, inputs: [u]}, u: {plugin: project, inputs: [t, zz]}, src: "
    "}\n"
    "sinks: {out: {plugin: s3, inputs: [u, u, \"${env:SLUICE_T_NONE}\"], route: x}}\n";

static const char *const sets[] = {"sinks.out.batch.bytes=1MiB",
                                   "sources.src.tables.exclude[0]=[q"};

/* The number of findings; -1 = the load said out of memory. */
static long load(const char *yaml, const char *const *assignments, size_t count)
{
    struct sluice_diags diags;
    sluice_diags_init(&diags, "p.yaml");
    struct sluice_pipeline *p = sluice_pipeline_parse("p.yaml", yaml, strlen(yaml), assignments,
                                                      count, &fake_lookup, &diags);
    if (p == NULL) {
        assert_true(diags.errors > 0);
    }
    long findings = (long)(diags.errors + diags.warnings);
    sluice_pipeline_free(p);
    sluice_diags_free(&diags);
    return findings;
}

/* Loads with the n-th allocation failing, for every n there is; returns how many there are. With the
 * first failure past the last allocation of the load, it is the probe that fails. */
static long fail_each(const char *yaml, const char *const *assignments, size_t count)
{
    for (long n = 1; n < 100000; n++) {
        sluice_alloc_fail_at(n, 0);
        (void)load(yaml, assignments, count);
        void *probe = sluice_alloc(1);
        if (probe == NULL) {
            return n - 1;
        }
        sluice_free(probe);
    }
    fail();
    return 0;
}

/* The same with all later ones failing too. Returns how many loads ended without a finding. */
static long fail_from_each(const char *yaml, const char *const *assignments, size_t count,
                           long total)
{
    long silent = 0;
    for (long n = 1; n <= total; n++) {
        sluice_alloc_fail_at(n, 1);
        silent += load(yaml, assignments, count) == 0;
    }
    sluice_alloc_fail_at(0, 0);
    return silent;
}

static void failing_allocations(void **state)
{
    (void)state;
    setenv("SLUICE_T_PW", "secret-pw", 1);
    unsetenv("SLUICE_T_NONE");
    long total = fail_each(good, NULL, 0);
    assert_true(total > 200);
    /* Registering secrets cannot say that it failed: those few, and no others, are silent. */
    long silent = fail_from_each(good, NULL, 0, total);
    assert_true(silent < 10);
    total = fail_each(good, sets, 1);
    (void)fail_from_each(good, sets, 1, total);
    total = fail_each(bad, sets, 2);
    assert_true(total > 200);
    assert_int_equal(fail_from_each(bad, sets, 2, total), 0);
    sluice_alloc_fail_at(0, 0);
    sluice_log_secrets_clear();
}

const struct CMUnitTest memory_tests[] = {cmocka_unit_test(failing_allocations)};
const size_t memory_tests_count = sizeof memory_tests / sizeof memory_tests[0];
