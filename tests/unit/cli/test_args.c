/* The command line: words, options, mistakes and what is said about them. */
#include "test_cli.h"

#include "base/alloc.h"
#include "cli/args.h"

#define WORDS_MOST 24

struct parsed {
    struct sluice_cli_args args;
    struct sluice_cli_usage usage;
    int fine;
};

/* Parses words divided by one blank each. */
static void parse(struct parsed *p, const char *line)
{
    static char copy[512];
    static char *argv[WORDS_MOST + 1];
    int argc = 0;
    size_t size = strlen(line);
    assert_true(size < sizeof copy);
    memcpy(copy, line, size + 1);
    for (char *word = copy; word != NULL && argc < WORDS_MOST;) {
        char *blank = strchr(word, ' ');
        if (blank != NULL) {
            *blank = '\0';
        }
        argv[argc++] = word;
        word = blank != NULL ? blank + 1 : NULL;
    }
    argv[argc] = NULL;
    p->fine = sluice_cli_args_parse(&p->args, argc, argv, sluice_cli_commands, &p->usage);
}

static void done(struct parsed *p)
{
    sluice_cli_args_free(&p->args);
    sluice_cli_usage_free(&p->usage);
}

static void expect_mistake(const char *line, const char *message, const char *hint)
{
    struct parsed p;
    parse(&p, line);
    assert_false(p.fine);
    assert_string_equal(sluice_str_text(&p.usage.message), message);
    assert_string_equal(sluice_str_text(&p.usage.hint), hint);
    done(&p);
}

static void options_stand_anywhere(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "sluice --no-color run a.yaml --limit 5 -j 3 b.yaml --once --progress=log");
    assert_true(p.fine);
    assert_string_equal(p.args.command->name, "run");
    assert_int_equal(p.args.words.count, 2);
    assert_string_equal(p.args.words.items[0], "a.yaml");
    assert_string_equal(p.args.words.items[1], "b.yaml");
    assert_int_equal(sluice_cli_args_number(&p.args, SLUICE_OPT_LIMIT, 0), 5);
    assert_int_equal(sluice_cli_args_number(&p.args, SLUICE_OPT_PARALLELISM, 0), 3);
    assert_true(sluice_cli_args_has(&p.args, SLUICE_OPT_ONCE));
    assert_true(sluice_cli_args_has(&p.args, SLUICE_OPT_NO_COLOR));
    assert_false(sluice_cli_args_has(&p.args, SLUICE_OPT_JSON));
    assert_string_equal(p.args.value[SLUICE_OPT_PROGRESS], "log");
    done(&p);
}

static void commands_of_two_words(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "sluice state show --state /var/lib/x pipe");
    assert_true(p.fine);
    assert_string_equal(p.args.command->name, "state show");
    assert_int_equal(p.args.words.count, 1);
    assert_string_equal(p.args.words.items[0], "pipe");
    done(&p);
    parse(&p, "sluice plugin list");
    assert_true(p.fine);
    assert_string_equal(p.args.command->name, "plugin list");
    done(&p);
}

static void lists_are_collected(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "sluice run f --tables a,b,,c --tables re:x{1,2} --tables \"q,r\" --set a.b=1,2 "
              "--set c=d");
    assert_true(p.fine);
    assert_int_equal(p.args.tables.count, 5);
    assert_string_equal(p.args.tables.items[0], "a");
    assert_string_equal(p.args.tables.items[2], "c");
    assert_string_equal(p.args.tables.items[3], "re:x{1,2}");
    assert_string_equal(p.args.tables.items[4], "\"q,r\"");
    assert_int_equal(p.args.sets.count, 2);
    assert_string_equal(p.args.sets.items[0], "a.b=1,2");
    done(&p);
}

static void two_dashes_end_options(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "sluice validate -- --odd.yaml -q");
    assert_true(p.fine);
    assert_int_equal(p.args.words.count, 2);
    assert_string_equal(p.args.words.items[0], "--odd.yaml");
    done(&p);
}

static void help_needs_nothing_else(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "sluice run --help");
    assert_true(p.fine);
    assert_true(sluice_cli_args_has(&p.args, SLUICE_OPT_HELP));
    done(&p);
    parse(&p, "sluice state --help");
    assert_true(p.fine);
    assert_null(p.args.command);
    assert_int_equal(p.args.words.count, 1);
    done(&p);
    parse(&p, "sluice");
    assert_true(p.fine);
    assert_null(p.args.command);
    done(&p);
}

static void mistakes_are_told(void **state)
{
    (void)state;
    expect_mistake("sluice rum f", "unknown command 'rum'", "did you mean 'sluice run'?");
    expect_mistake("sluice frobnicate", "unknown command 'frobnicate'",
                   "'sluice help' lists the commands");
    expect_mistake("sluice state shwo x", "unknown command 'state shwo'",
                   "did you mean 'sluice state show'?");
    expect_mistake("sluice state", "'state' needs a command of its own: list, show, reset, resync",
                   "sluice help state");
    expect_mistake("sluice run f --limt 5", "unknown option '--limt'", "did you mean --limit?");
    expect_mistake("sluice run f --wholly-different", "unknown option '--wholly-different'",
                   "'sluice help run' lists the options");
    expect_mistake("sluice run f -z", "unknown option '-z'", "'sluice help run' lists the options");
    expect_mistake("sluice check f --once", "'sluice check' has no option --once",
                   "it belongs to: run");
    expect_mistake("sluice run", "'sluice run' needs FILE…", "sluice help run");
    expect_mistake("sluice version now", "'sluice version' does not know what to do with 'now'",
                   "usage: sluice version ");
    expect_mistake("sluice run f --limit", "--limit needs a value: --limit N", "");
    expect_mistake("sluice run f --once=yes", "--once takes no value", "");
}

static void values_are_checked(void **state)
{
    (void)state;
    expect_mistake("sluice run f --progress bra",
                   "--progress: 'bra' is none of auto, bar, log, json", "did you mean bar?");
    expect_mistake("sluice run f -j 65", "--parallelism: '65' is not a number from 1 to 64", "");
    expect_mistake("sluice run f -j 0", "--parallelism: '0' is not a number from 1 to 64", "");
    expect_mistake("sluice run f --limit x",
                   "--limit: 'x' is not a number from 1 to 9223372036854775807", "");
    expect_mistake("sluice run f --limit 9223372036854775808",
                   "--limit: '9223372036854775808' is not a number from 1 to 9223372036854775807",
                   "");
    expect_mistake("sluice run f --log-level verbose",
                   "--log-level: 'verbose' is none of error, warn, info, debug, trace", "");
}

static void out_of_memory_is_a_mistake(void **state)
{
    (void)state;
    int failures = 0;
    for (long n = 1; n < 40; n++) {
        struct parsed p;
        sluice_alloc_fail_at(n, 1);
        parse(&p, "sluice run f --tables a,b,c --set a=b --plugin-dir d --limit 3");
        sluice_alloc_fail_at(0, 0);
        failures += !p.fine;
        done(&p);
    }
    assert_true(failures > 3 && failures < 39);
}

static void tables_are_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < SLUICE_OPT_COUNT; i++) {
        const struct sluice_cli_option *option = &sluice_cli_options[i];
        assert_int_equal(option->id, (int)i);
        assert_non_null(option->name);
        assert_non_null(option->help);
        int used = (option->flags & SLUICE_CLI_GLOBAL) != 0;
        for (const struct sluice_cli_command *c = sluice_cli_commands; c->name != NULL; c++) {
            used = used || sluice_cli_command_takes(c, option);
        }
        assert_true(used);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(option->name, sluice_cli_options[k].name);
            assert_true(option->letter == 0 || option->letter != sluice_cli_options[k].letter);
        }
    }
    for (const struct sluice_cli_command *c = sluice_cli_commands; c->name != NULL; c++) {
        size_t used = 0;
        char copy[32];
        const char *words[2] = {copy, NULL};
        assert_true(strlen(c->name) < sizeof copy);
        memcpy(copy, c->name, strlen(c->name) + 1);
        char *blank = strchr(copy, ' ');
        if (blank != NULL) {
            *blank = '\0';
            words[1] = blank + 1;
        }
        assert_ptr_equal(
            sluice_cli_command_find(sluice_cli_commands, words, blank != NULL ? 2 : 1, &used), c);
        assert_non_null(c->run);
        assert_true(c->min_words <= c->max_words);
    }
}

int run_args_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere),     cmocka_unit_test(commands_of_two_words),
        cmocka_unit_test(lists_are_collected),        cmocka_unit_test(two_dashes_end_options),
        cmocka_unit_test(help_needs_nothing_else),    cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(values_are_checked),         cmocka_unit_test(tables_are_sound),
        cmocka_unit_test(out_of_memory_is_a_mistake),
    };
    return cmocka_run_group_tests_name("cli args", tests, NULL, NULL);
}
