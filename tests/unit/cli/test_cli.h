/* What the parts of test_cli share. */
#ifndef TEST_CLI_H
#define TEST_CLI_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "cli/term.h"

/* Checks the text and frees it. */
static inline void expect_text(struct sluice_str *s, const char *expected)
{
    assert_false(s->failed);
    assert_string_equal(sluice_str_text(s), expected);
    sluice_str_free(s);
}

/* No terminal, no limits. */
static inline struct sluice_cli_term plain_term(void)
{
    struct sluice_cli_term term = {.fd = -1, .unicode = 1};
    return term;
}

static inline struct sluice_cli_term wide_term(size_t width, size_t height)
{
    struct sluice_cli_term term = {
        .fd = -1, .is_terminal = 1, .unicode = 1, .width = width, .height = height};
    return term;
}

int run_text_tests(void);
int run_table_tests(void);
int run_args_tests(void);
int run_help_tests(void);
int run_view_tests(void);
int run_cell_tests(void);
int run_misc_tests(void);
int run_feed_view_tests(void);
int run_until_tests(void);

#endif /* TEST_CLI_H */
