/* The growing string. */
#include "test_base.h"

#include <string.h>

#include "base/alloc.h"
#include "base/str.h"

static void appends(void **state)
{
    (void)state;
    struct sluice_str s = SLUICE_STR_INIT;
    assert_string_equal(sluice_str_text(&s), "");
    sluice_str_append(&s, "a");
    sluice_str_append_char(&s, 'b');
    sluice_str_append_n(&s, "cdxx", 2);
    sluice_str_append_n(&s, NULL, 0);
    sluice_str_printf(&s, "-%d-%s", 42, "y");
    assert_string_equal(sluice_str_text(&s), "abcd-42-y");
    assert_int_equal(s.size, strlen("abcd-42-y"));
    sluice_str_clear(&s);
    assert_string_equal(sluice_str_text(&s), "");
    for (int i = 0; i < 5000; i++) {
        sluice_str_printf(&s, "%04d", i);
    }
    assert_int_equal(s.size, 20000);
    assert_memory_equal(s.data + 4 * 4321, "4321", 4);
    char big[3000];
    memset(big, 'q', sizeof big);
    big[sizeof big - 1] = '\0';
    sluice_str_printf(&s, "%s", big);
    assert_int_equal(s.size, 22999);
    sluice_str_free(&s);
    assert_null(s.data);
}

static void steals(void **state)
{
    (void)state;
    struct sluice_str s = SLUICE_STR_INIT;
    char *text = sluice_str_steal(&s);
    assert_string_equal(text, "");
    sluice_free(text);
    sluice_str_append(&s, "x");
    text = sluice_str_steal(&s);
    assert_string_equal(text, "x");
    assert_null(s.data);
    sluice_free(text);
}

/* Whatever allocation fails: never a crash, never a half text that looks whole. */
static void latches_failure(void **state)
{
    (void)state;
    for (long n = 1; n < 50; n++) {
        struct sluice_str s = SLUICE_STR_INIT;
        sluice_alloc_fail_at(n, 0);
        for (int i = 0; i < 200; i++) {
            sluice_str_append(&s, "0123456789");
            sluice_str_printf(&s, "%0100d", i);
        }
        sluice_alloc_fail_at(0, 0);
        int failed = s.failed;
        if (failed) {
            assert_string_equal(sluice_str_text(&s), "");
        }
        char *text = sluice_str_steal(&s);
        assert_int_equal(text == NULL, failed);
        sluice_free(text);
        if (!failed) {
            return;
        }
    }
    fail();
}

int run_str_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends),
        cmocka_unit_test(steals),
        cmocka_unit_test(latches_failure),
    };
    return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
