/* Help, man page, completion: everything of the tables is in them. */
#include "test_cli.h"

#include "cli/help.h"
#include "cli/text.h"

static void wrap_breaks_at_blanks(void **state)
{
    (void)state;
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_cli_help_wrap(&out, "one two three four five six seven", 4, 24);
    expect_text(&out, "one two three four\n    five six seven");
    sluice_cli_help_wrap(&out, "a_word_that_is_wider_than_the_room b", 0, 20);
    expect_text(&out, "a_word_that_is_wider_than_the_room\nb");
}

static void every_command_is_in_the_help(void **state)
{
    (void)state;
    struct sluice_cli_term term = plain_term();
    struct sluice_str out = SLUICE_STR_INIT;
    struct sluice_str man = SLUICE_STR_INIT;
    sluice_cli_help_text(NULL, NULL, &term, &out);
    sluice_cli_help_man(&man);
    for (const struct sluice_cli_command *c = sluice_cli_commands; sluice_cli_command_shown(c);
         c++) {
        assert_non_null(strstr(sluice_str_text(&out), c->name));
        assert_non_null(strstr(sluice_str_text(&man), c->name));
    }
    for (const struct sluice_cli_exit *e = sluice_cli_exits; e->text != NULL; e++) {
        assert_non_null(strstr(sluice_str_text(&out), e->code));
    }
    sluice_str_free(&out);
    sluice_str_free(&man);
}

static void help_fits_the_width(void **state)
{
    (void)state;
    static const size_t widths[] = {60, 80, 100, 200};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        struct sluice_cli_term term = wide_term(widths[i], 24);
        for (const struct sluice_cli_command *c = sluice_cli_commands; sluice_cli_command_shown(c);
             c++) {
            struct sluice_str out = SLUICE_STR_INIT;
            sluice_cli_help_text(c, NULL, &term, &out);
            char *line = out.data;
            while (line != NULL && *line != '\0') {
                char *end = strchr(line, '\n');
                *end = '\0';
                assert_true(sluice_cli_text_width(line) <= widths[i]);
                line = end + 1;
            }
            sluice_str_free(&out);
        }
    }
}

static void a_command_shows_its_options(void **state)
{
    (void)state;
    struct sluice_cli_term term = plain_term();
    struct sluice_str out = SLUICE_STR_INIT;
    size_t used = 0;
    const char *words[] = {"validate"};
    sluice_cli_help_text(sluice_cli_command_find(sluice_cli_commands, words, 1, &used), NULL, &term,
                         &out);
    assert_non_null(strstr(out.data, "--strict"));
    assert_non_null(strstr(out.data, "--plugin-dir"));
    assert_null(strstr(out.data, "--limit"));
    sluice_str_free(&out);
    sluice_cli_help_text(NULL, "state", &term, &out);
    assert_non_null(strstr(out.data, "state reset"));
    assert_null(strstr(out.data, "plugin list"));
    sluice_str_free(&out);
    sluice_cli_help_text(NULL, "nothing", &term, &out);
    assert_int_equal(out.size, 0);
    sluice_str_free(&out);
}

/* For tests alone: found by its name, told of nowhere. */
static void hidden_commands_are_not_told(void **state)
{
    (void)state;
    struct sluice_cli_term term = plain_term();
    struct sluice_str out = SLUICE_STR_INIT;
    const char *words[] = {"failpoints"};
    size_t used = 0;
    assert_non_null(sluice_cli_command_find(sluice_cli_commands, words, 1, &used));
    sluice_cli_help_text(NULL, NULL, &term, &out);
    sluice_cli_help_man(&out);
    assert_true(sluice_cli_help_completion("bash", &out));
    assert_true(sluice_cli_help_completion("zsh", &out));
    assert_true(sluice_cli_help_completion("fish", &out));
    assert_non_null(strstr(out.data, "retire"));
    assert_null(strstr(out.data, "failpoints"));
    sluice_str_clear(&out);
    sluice_cli_help_text(sluice_cli_command_find(sluice_cli_commands, words, 1, &used), NULL, &term,
                         &out);
    assert_non_null(strstr(out.data, "For tests."));
    sluice_str_free(&out);
    int last = 0; /* they stand after all others */
    for (const struct sluice_cli_command *c = sluice_cli_commands; c->name != NULL; c++) {
        assert_false(last && sluice_cli_command_shown(c));
        last = last || !sluice_cli_command_shown(c);
    }
}

static void completions_know_commands_and_options(void **state)
{
    (void)state;
    static const char *const shells[] = {"bash", "zsh", "fish"};
    for (size_t i = 0; i < 3; i++) {
        struct sluice_str out = SLUICE_STR_INIT;
        assert_true(sluice_cli_help_completion(shells[i], &out));
        assert_non_null(strstr(out.data, "discover"));
        assert_non_null(strstr(out.data, "reset"));
        assert_non_null(strstr(out.data, "parallelism"));
        assert_non_null(strstr(out.data, "auto bar log json"));
        sluice_str_free(&out);
    }
    struct sluice_str out = SLUICE_STR_INIT;
    assert_false(sluice_cli_help_completion("tcsh", &out));
    sluice_str_free(&out);
}

static void man_page_has_no_accidental_requests(void **state)
{
    (void)state;
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_cli_help_man(&out);
    static const char *const known[] = {".TH ", ".SH ", ".SS ", ".TP",
                                        ".B ",  ".I ",  ".PP",  ".\\\""};
    for (char *line = out.data; *line != '\0';) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        if (*line == '.') {
            int found = 0;
            for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
                found = found || strncmp(line, known[i], strlen(known[i])) == 0;
            }
            assert_true(found);
        }
        line = end + 1;
    }
    sluice_str_free(&out);
}

int run_help_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrap_breaks_at_blanks),
        cmocka_unit_test(every_command_is_in_the_help),
        cmocka_unit_test(help_fits_the_width),
        cmocka_unit_test(a_command_shows_its_options),
        cmocka_unit_test(hidden_commands_are_not_told),
        cmocka_unit_test(completions_know_commands_and_options),
        cmocka_unit_test(man_page_has_no_accidental_requests),
    };
    return cmocka_run_group_tests_name("cli help", tests, NULL, NULL);
}
