/* Failpoints. */
#include "test_base.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"

static void off_costs_nothing_and_fails_nothing(void **state)
{
    (void)state;
    assert_int_equal(sluice_failpoints_arm(NULL, NULL), SLUICE_OK);
    assert_int_equal(sluice_failpoint("a.b"), 0);
    assert_int_equal(sluice_failpoint_error("a.b", NULL), SLUICE_OK);
    SLUICE_FAILPOINT("a.b");
}

static void acts_at_the_nth_passage(void **state)
{
    (void)state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_failpoints_arm("a.b=error@2,c.d=fatal@3+,e.f=error", &err), SLUICE_OK);
    assert_int_equal(sluice_failpoint("a.b"), 0);
    assert_int_equal(sluice_failpoint("a.b"), 1);
    assert_int_equal(sluice_failpoint("a.b"), 0);
    assert_int_equal(sluice_failpoint("other"), 0);
    assert_int_equal(sluice_failpoint_error("c.d", &err), SLUICE_OK);
    assert_int_equal(sluice_failpoint_error("c.d", &err), SLUICE_OK);
    assert_int_equal(sluice_failpoint_error("c.d", &err), SLUICE_E_IO);
    assert_int_equal(err.flags & SLUICE_ERROR_RETRYABLE, 0);
    assert_int_equal(sluice_failpoint_error("c.d", &err), SLUICE_E_IO);
    assert_int_equal(sluice_failpoint_error("e.f", &err), SLUICE_E_IO);
    assert_int_equal(err.flags & SLUICE_ERROR_RETRYABLE, SLUICE_ERROR_RETRYABLE);
    assert_int_equal(sluice_failpoints_arm("", &err), SLUICE_OK);
    assert_int_equal(sluice_failpoint("e.f"), 0);
}

static void sleeps(void **state)
{
    (void)state;
    assert_int_equal(sluice_failpoints_arm("a=sleep:30", NULL), SLUICE_OK);
    int64_t start = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    assert_int_equal(sluice_failpoint("a"), 0);
    assert_true(sluice_now_us(SLUICE_CLOCK_MONOTONIC) - start >= 30000);
    assert_int_equal(sluice_failpoints_arm(NULL, NULL), SLUICE_OK);
}

static void crashes(void **state)
{
    (void)state;
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (sluice_failpoints_arm("a=crash@2", NULL) == SLUICE_OK) {
            SLUICE_FAILPOINT("a");
            SLUICE_FAILPOINT("a");
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void refuses_what_it_cannot_read(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "a",         "=error",    "a=",       "a=explode",  "a=sleep:",        "a=error@",
        "a=error@0", "a=error@x", "a=errorx", "a=crash@3-", "a=error b=error",
    };
    char longer[100] = "";
    struct sluice_error err = SLUICE_ERROR_INIT;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (sluice_failpoints_arm(wrong[i], &err) != SLUICE_E_INVALID) {
            fail_msg("%s", wrong[i]);
        }
        assert_int_equal(sluice_failpoint("a"), 0);
    }
    memset(longer, 'a', 70);
    memcpy(longer + 70, "=error", 7);
    assert_int_equal(sluice_failpoints_arm(longer, &err), SLUICE_E_INVALID);
    char many[129 * 8 + 1];
    for (size_t i = 0; i < 129; i++) {
        memcpy(many + i * 8, "a=error,", 9);
    }
    assert_int_equal(sluice_failpoints_arm(many, &err), SLUICE_E_LIMIT);
    assert_int_equal(sluice_failpoint("a"), 0);
}

static void tears_only_where_asked(void **state)
{
    (void)state;
    assert_int_equal(sluice_failpoints_arm("a=torn@2,b=error,c=torn", NULL), SLUICE_OK);
    assert_int_equal(sluice_failpoint_pass_torn("a"), 0);
    assert_int_equal(sluice_failpoint_pass_torn("a"), 1);
    assert_int_equal(sluice_failpoint_pass_torn("a"), 0);
    assert_int_equal(sluice_failpoint_pass_torn("b"), 0);
    assert_int_equal(sluice_failpoint("c"), 0);
    assert_int_equal(sluice_failpoint_error("c", NULL), SLUICE_OK);
    assert_int_equal(sluice_failpoints_arm(NULL, NULL), SLUICE_OK);
}

static void all_names_are_well_formed(void **state)
{
    (void)state;
    size_t count = 0;
    const struct sluice_failpoint_name *names = sluice_failpoint_names(&count);
    assert_true(count > 10);
    for (size_t i = 0; i < count; i++) {
        char spec[100];
        assert_true(i == 0 || strcmp(names[i - 1].name, names[i].name) < 0); /* sorted, unique */
        assert_true(strchr(names[i].name, '.') != NULL && names[i].what[0] != '\0');
        assert_string_not_equal(sluice_failpoint_kind_text(names[i].kind), "unknown");
        assert_true(strlen(names[i].name) < 64);
        int size = snprintf(spec, sizeof spec, "%s=crash@1", names[i].name);
        assert_true(size > 0 && (size_t)size < sizeof spec);
        assert_int_equal(sluice_failpoints_arm(spec, NULL), SLUICE_OK);
    }
    assert_int_equal(sluice_failpoints_arm(NULL, NULL), SLUICE_OK);
    assert_string_equal(sluice_failpoint_kind_text(7), "unknown");
}

int run_failpoint_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_costs_nothing_and_fails_nothing),
        cmocka_unit_test(acts_at_the_nth_passage),
        cmocka_unit_test(sleeps),
        cmocka_unit_test(crashes),
        cmocka_unit_test(refuses_what_it_cannot_read),
        cmocka_unit_test(tears_only_where_asked),
        cmocka_unit_test(all_names_are_well_formed),
    };
    return cmocka_run_group_tests_name("failpoint", tests, NULL, NULL);
}
