/* Globs, UTF-8, did-you-mean. */
#include "test_base.h"

#include <string.h>

#include "base/str.h"

static void globs_match(void **state)
{
    (void)state;
    static const struct {
        const char *glob;
        const char *text;
        int matches;
    } cases[] = {
        {"", "", 1},
        {"", "a", 0},
        {"*", "", 1},
        {"*", "anything", 1},
        {"public.*", "public.a", 1},
        {"public.*", "publicxa", 0},
        {"*.emp_*", "hr.emp_tmp", 1},
        {"*a*a*b", "aaaaaaaaab", 1},
        {"*a*a*b", "aaaaaaaaac", 0},
        {"?", "", 0},
        {"?", "x", 1},
        {"a?c", "abc", 1},
        {"a?c", "ac", 0},
        {"[a-c]x", "bx", 1},
        {"[a-c]x", "dx", 0},
        {"[!a-c]x", "dx", 1},
        {"[^a-c]x", "ax", 0},
        {"[]]", "]", 1},
        {"[a-]", "-", 1},
        {"[z-a]", "m", 0},
        {"[abc", "[abc", 1},
        {"[abc", "a", 0},
        {"x[", "x[", 1},
        {"[", "[", 1},
        {"[!", "[!", 1},
        {"**", "x", 1},
        {"a**", "a", 1},
        {"\\*", "\\x", 1},
        {"a", "ab", 0},
        {"\"Q\".*", "\"Q\".t", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (sluice_glob_match(cases[i].glob, cases[i].text) != cases[i].matches) {
            fail_msg("glob %s text %s", cases[i].glob, cases[i].text);
        }
    }
}

/* Many stars over a long text must not take exponential time. */
static void globs_are_fast(void **state)
{
    (void)state;
    char text[4001];
    char glob[201];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t i = 0; i < 200; i += 2) {
        glob[i] = '*';
        glob[i + 1] = 'a';
    }
    glob[199] = 'b';
    glob[200] = '\0';
    assert_int_equal(sluice_glob_match(glob, text), 0);
}

static void utf8_is_checked(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        int valid;
    } cases[] = {
        {"", 0, 1},
        {"abc", 3, 1},
        {"a\0b", 3, 0},
        {"\xc3\xa9", 2, 1},
        {"\xc3", 1, 0},
        {"\xc0\xaf", 2, 0},         /* overlong */
        {"\xe0\x80\xaf", 3, 0},     /* overlong */
        {"\xed\xa0\x80", 3, 0},     /* surrogate */
        {"\xe2\x82\xac", 3, 1},     /* euro */
        {"\xe2\x82", 2, 0},         /* cut */
        {"\xf0\x9f\x98\x80", 4, 1}, /* emoji */
        {"\xf4\x90\x80\x80", 4, 0}, /* past U+10FFFF */
        {"\xf5\x80\x80\x80", 4, 0},
        {"\x80", 1, 0},
        {"\xff", 1, 0},
        {"ok\xe2\x28\xa1", 5, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (sluice_utf8_valid(cases[i].text, cases[i].size) != cases[i].valid) {
            fail_msg("utf8 case %zu", i);
        }
    }
}

static void words_are_guessed(void **state)
{
    (void)state;
    static const char *const choices[] = {"host", "port",        "password", "parallelism",
                                          NULL,   "compression", "s3"};
    static const struct {
        const char *word;
        const char *guess;
    } cases[] = {
        {"hsot", "host"}, /* a swap is one step */
        {"hos", "host"},
        {"HOST", "host"},
        {"pasword", "password"},
        {"paralelism", "parallelism"},
        {"compresion", "compression"},
        {"bucket", NULL},
        {"", NULL},
        {"sort", "port"},
        {"S3", "s3"},
        {"xyzzy", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *guess =
            sluice_did_you_mean(cases[i].word, choices, sizeof choices / sizeof choices[0]);
        if (cases[i].guess == NULL ? guess != NULL
                                   : guess == NULL || strcmp(guess, cases[i].guess) != 0) {
            fail_msg("%s: %s", cases[i].word, guess != NULL ? guess : "(none)");
        }
    }
    char huge[2000];
    memset(huge, 'h', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    assert_null(sluice_did_you_mean(huge, choices, 2));
    assert_null(sluice_did_you_mean("host", NULL, 0));
}

int run_text_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globs_match),
        cmocka_unit_test(globs_are_fast),
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(words_are_guessed),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
