/* Exit codes, JSON values, descriptions, terminals, writing. */
#include "test_cli.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/describe.h"
#include "log/log.h"
#include "sluice/option.h"

static void exit_codes(void **state)
{
    (void)state;
    static const struct {
        sluice_status status;
        int code;
    } cases[] = {
        {SLUICE_OK, 0},
        {SLUICE_E_INVALID, 2},
        {SLUICE_E_UNSUPPORTED, 2},
        {SLUICE_E_UNAVAILABLE, 3},
        {SLUICE_E_AUTH, 3},
        {SLUICE_E_PERMISSION, 3},
        {SLUICE_E_NOT_FOUND, 3},
        {SLUICE_E_CONFLICT, 3},
        {SLUICE_E_IO, 1},
        {SLUICE_E_DATA, 1},
        {SLUICE_E_INTERNAL, 1},
        {SLUICE_E_NOMEM, 1},
        {SLUICE_E_TIMEOUT, 1},
        {-9999, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(sluice_cli_exit_code(cases[i].status), cases[i].code);
    }
}

static void hints_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        size_t size;
        const char *hint;
    } cases[] = {{"no server (hint: start it)", 9, "start it"},
                 {"a (hint: b) c", 13, ""},
                 {"a (hint: one) (hint: two (or) three)", 13, "two (or) three"},
                 {"plain", 5, ""},
                 {"", 0, ""},
                 {"(hint: only)", 0, "only"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sluice_str hint = SLUICE_STR_INIT;
        assert_int_equal(sluice_cli_error_hint(cases[i].message, &hint), cases[i].size);
        expect_text(&hint, cases[i].hint);
    }
}

static void messages_lose_secrets(void **state)
{
    (void)state;
    sluice_log_secret_add("hunter2-secret");
    json_t *value = sluice_cli_json_message("login with hunter2-secret failed");
    assert_string_equal(json_string_value(value), "login with *** failed");
    json_decref(value);
    value = sluice_cli_json_text("bad \xff byte");
    assert_string_equal(json_string_value(value), "bad \ufffd byte");
    json_decref(value);
    value = sluice_cli_json_text("a\x1b b\xc2\x9b c\xe2\x80\xae d\x7f e\xc3\xa9");
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_cli_json_dump(value, JSON_ENCODE_ANY, &out);
    expect_text(&out, "\"a\\u001B b\\u009b c\\u202e d\\u007f e\xc3\xa9\"");
    json_decref(value);
    value = sluice_cli_json_text(NULL);
    assert_true(json_is_null(value));
    json_decref(value);
    value = sluice_cli_json_count(-1);
    assert_true(json_is_null(value));
    json_decref(value);
    sluice_log_secrets_clear();
}

static const char *const colors[] = {"red", "green", NULL};
static const struct sluice_option o_wait = SLUICE_OPT_RANGE(
    SLUICE_OPTION_DURATION, "wait", "10s", 0, 1000, INT64_C(3600000000), "How long.");
static const struct sluice_option o_room =
    SLUICE_OPT_RANGE(SLUICE_OPTION_SIZE, "room", NULL, SLUICE_OPTION_ADVANCED, 1024,
                     INT64_C(5) << 30, "How much | how <many>.");
static const struct sluice_option o_color = SLUICE_OPT_ENUM("color", "red", 0, colors, "Which.");
static const struct sluice_option o_key = SLUICE_OPT(
    SLUICE_OPTION_STRING, "key", NULL, SLUICE_OPTION_REQUIRED | SLUICE_OPTION_SECRET, "A key.");
static const struct sluice_option *const options[] = {&o_room, &o_wait, &o_color, &o_key, NULL};
static const struct sluice_component component = {
    .struct_size = sizeof component,
    .kind = SLUICE_SINK,
    .caps = SLUICE_SINK_LOAD | SLUICE_SINK_TRANSACTIONAL,
    .name = "shelf",
    .summary = "Puts rows on a shelf.",
    .options = options,
};

static void markdown_of_a_component(void **state)
{
    (void)state;
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_cli_describe_markdown(&component, &out);
    expect_text(&out,
                "### sink `shelf`\n\nPuts rows on a shelf.\n\n"
                "Capabilities: full load; transactional: exactly once.\n\n"
                "| key | value | default | |\n|---|---|---|---|\n"
                "| `wait` | duration, 1ms to 1h | `10s` | How long. |\n"
                "| `color` | `red`, `green` | `red` | Which. |\n"
                "| `key` | string | **required** | A key. *secret* |\n"
                "| `room` | size, 1KiB to 5GiB |  | How much \\| how &lt;many>. *advanced* |\n\n");
}

static void text_and_json_of_a_component(void **state)
{
    (void)state;
    struct sluice_cli_term term = plain_term();
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_cli_describe_text(&component, &term, &out);
    assert_non_null(strstr(out.data, "wait  duration 1ms to 1h, default 10s"));
    assert_non_null(strstr(out.data, "key  string, required, secret"));
    assert_non_null(strstr(out.data, "color  red | green, default red"));
    sluice_str_free(&out);
    json_t *object = sluice_cli_describe_json(&component);
    assert_int_equal(json_array_size(json_object_get(object, "options")), 4);
    assert_int_equal(json_array_size(json_object_get(object, "capabilities")), 2);
    json_decref(object);
}

static void colours_follow_the_environment(void **state)
{
    (void)state;
    struct sluice_cli_term term;
    int fd = open("/dev/null", O_WRONLY);
    assert_true(fd >= 0);
    sluice_cli_term_init(&term, fd, 0);
    assert_false(term.is_terminal);
    assert_false(term.color);
    assert_int_equal(term.width, 0);
    (void)close(fd);

    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    (void)setenv("TERM", "xterm", 1);
    (void)unsetenv("NO_COLOR");
    (void)setenv("LC_ALL", "C.UTF-8", 1);
    sluice_cli_term_init(&term, slave, 0);
    assert_true(term.is_terminal && term.color && term.unicode);
    assert_int_equal(term.width, 80); /* a terminal that does not know its size */
    sluice_cli_term_init(&term, slave, 1);
    assert_false(term.color);
    (void)setenv("NO_COLOR", "1", 1);
    (void)setenv("LC_ALL", "C", 1);
    sluice_cli_term_init(&term, slave, 0);
    assert_true(term.is_terminal && !term.color && !term.unicode);
    (void)setenv("TERM", "dumb", 1);
    sluice_cli_term_init(&term, slave, 0);
    assert_false(term.is_terminal);
    (void)close(slave);
    (void)close(master);
}

static void *read_slowly(void *arg)
{
    char buffer[4096];
    size_t *total = arg;
    int fd = (int)total[1];
    ssize_t n = 0;
    while ((n = read(fd, buffer, sizeof buffer)) > 0) {
        total[0] += (size_t)n;
        (void)usleep(200);
    }
    return NULL;
}

/* A pipe that takes nothing for a while must not lose a byte. */
static void write_waits_for_room(void **state)
{
    (void)state;
    static char data[300000];
    size_t total[2] = {0, 0};
    int ends[2];
    pthread_t thread;
    assert_int_equal(pipe(ends), 0);
    total[1] = (size_t)ends[0];
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, total), 0);
    memset(data, 'x', sizeof data);
    assert_true(sluice_cli_term_write(ends[1], data, sizeof data));
    (void)close(ends[1]);
    (void)pthread_join(thread, NULL);
    assert_int_equal(total[0], sizeof data);
    (void)close(ends[0]);
    assert_false(sluice_cli_term_write(ends[1], "x", 1));
}

int run_misc_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_codes),
        cmocka_unit_test(hints_are_told_apart),
        cmocka_unit_test(messages_lose_secrets),
        cmocka_unit_test(markdown_of_a_component),
        cmocka_unit_test(text_and_json_of_a_component),
        cmocka_unit_test(colours_follow_the_environment),
        cmocka_unit_test(write_waits_for_room),
    };
    return cmocka_run_group_tests_name("cli misc", tests, NULL, NULL);
}
