/* The log: formats, redaction, repeated lines, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/str.h"
#include "log/log.h"
#include "log/log_internal.h"

static struct sluice_str lines;
static size_t line_count;

static void collect(void *ctx, const char *line, uint64_t size)
{
    (void)ctx;
    sluice_str_append_n(&lines, line, (size_t)size);
    sluice_str_append_char(&lines, '\n');
    line_count++;
}

static int set_up(void **state)
{
    (void)state;
    sluice_log_setup(SLUICE_LOG_INFO, SLUICE_LOG_FORMAT_TEXT, 0);
    sluice_log_redirect(collect, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sluice_log_flush();
    sluice_log_redirect(NULL, NULL);
    sluice_log_secrets_clear();
    sluice_str_free(&lines);
    line_count = 0;
    return 0;
}

static int has(const char *text)
{
    return strstr(sluice_str_text(&lines), text) != NULL;
}

static void log_text(int32_t level, const char *message)
{
    sluice_log_write(level, "t", message, strlen(message));
}

static void levels_are_kept(void **state)
{
    (void)state;
    assert_int_equal(sluice_log_level(), SLUICE_LOG_INFO);
    assert_true(sluice_log_enabled(SLUICE_LOG_INFO));
    assert_false(sluice_log_enabled(SLUICE_LOG_DEBUG));
    sluice_log_line(SLUICE_LOG_DEBUG, "flow", "hidden");
    sluice_log_line(SLUICE_LOG_INFO, "flow", "started rows=%d", 5);
    assert_int_equal(line_count, 1);
    assert_true(has("Z INFO  flow started rows=5\n"));
    assert_int_equal(lines.data[23], 'Z'); /* 2026-11-23T00:52:34.123Z */
    assert_int_equal(lines.data[10], 'T');
}

static void text_is_one_line(void **state)
{
    (void)state;
    log_text(SLUICE_LOG_INFO, "a\nb\tc\x1b[31m\x7f\xff\xc3\xa9");
    assert_true(has("a\\nb\\tc\\x1b[31m\\x7f\xef\xbf\xbd\xc3\xa9\n"));
    /* C1 controls steer terminals too, and direction marks show names as others. */
    log_text(SLUICE_LOG_INFO, "x\xc2\x9b"
                              "31m\xc2\x85\xe2\x80\xae"
                              "y\xe2\x81\xa9\xc2\xa0\xe2\x80\xa6");
    assert_true(has("x\\x9b31m\\x85\\u202ey\\u2069\xc2\xa0\xe2\x80\xa6\n"));
    sluice_log_write(SLUICE_LOG_INFO, NULL, "", 0);
    assert_int_equal(line_count, 3);
    sluice_log_setup(SLUICE_LOG_INFO, SLUICE_LOG_FORMAT_TEXT, 1);
    log_text(SLUICE_LOG_ERROR, "red");
    assert_true(has("\x1b[31mERROR\x1b[0m t red"));
}

static void json_is_escaped(void **state)
{
    (void)state;
    sluice_log_setup(SLUICE_LOG_INFO, SLUICE_LOG_FORMAT_JSON, 1);
    log_text(SLUICE_LOG_WARN, "say \"hi\" \\ \x01 \n");
    assert_true(has("\",\"level\":\"warn\",\"scope\":\"t\","
                    "\"message\":\"say \\\"hi\\\" \\\\ \\u0001 \\n\"}\n"));
    log_text(SLUICE_LOG_WARN, "\xc2\x9b\xe2\x80\xae");
    assert_true(has("\"message\":\"\\u009b\\u202e\"}\n"));
    assert_int_equal(lines.data[0], '{');
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    static char huge[100000];
    memset(huge, 1, sizeof huge - 1); /* the longest escape */
    sluice_log_setup(SLUICE_LOG_INFO, SLUICE_LOG_FORMAT_JSON, 0);
    log_text(SLUICE_LOG_INFO, huge);
    assert_true(lines.size < 60000);
    assert_true(has("\xe2\x80\xa6\"}\n"));
    sluice_log_line(SLUICE_LOG_INFO, "t", "%s", huge);
    assert_int_equal(line_count, 2);
    /* A cut in the middle of a character leaves valid UTF-8. */
    for (size_t i = 0; i + 1 < sizeof huge; i += 3) {
        memcpy(huge + i, "\xe2\x82\xac", i + 3 < sizeof huge ? 3 : 0);
    }
    for (size_t shift = 0; shift < 3; shift++) {
        sluice_str_clear(&lines);
        sluice_log_write(SLUICE_LOG_INFO, "t", huge + 3 - shift, sizeof huge - 4);
        assert_true(sluice_utf8_valid(lines.data, lines.size));
    }
}

static void secrets_are_replaced(void **state)
{
    (void)state;
    sluice_log_secret_add("abc"); /* too short */
    sluice_log_secret_add(NULL);
    sluice_log_secret_add("hunter2");
    sluice_log_secret_add("hunter2-longer");
    sluice_log_secret_add("p@ss \"word\"/1");
    log_text(SLUICE_LOG_INFO, "abc hunter2 hunter2-longer hunter2-long xhunter2hunter2x");
    assert_true(has("abc *** *** ***-long x******x\n"));
    log_text(SLUICE_LOG_INFO,
             "url postgres://u:p%40ss%20%22word%22%2F1@h json \"p@ss \\\"word\\\"/1\"");
    assert_true(has("url postgres://u:***@h json \"***\"\n"));
    sluice_log_write(SLUICE_LOG_INFO, "hunter2", "scope", 5);
    assert_false(has("hunter2"));
    char text[] = "start hunter2 end hunter2";
    sluice_log_redact(text);
    assert_string_equal(text, "start *** end ***");
    sluice_log_redact(NULL);
    sluice_log_secrets_clear();
    char again[] = "hunter2";
    sluice_log_redact(again);
    assert_string_equal(again, "hunter2");
}

static void secrets_of_the_environment(void **state)
{
    (void)state;
    assert_int_equal(setenv("TEST_LOG_PASSWORD", "in-the-environment", 1), 0);
    assert_int_equal(setenv("test_log_token", "also-there", 1), 0);
    assert_int_equal(setenv("TEST_LOG_TOKEN_COUNT", "not-hidden", 1), 0);
    sluice_log_secrets_of_environment();
    char text[] = "in-the-environment also-there not-hidden";
    sluice_log_redact(text);
    assert_string_equal(text, "*** *** not-hidden");
    (void)unsetenv("TEST_LOG_PASSWORD");
    (void)unsetenv("test_log_token");
    (void)unsetenv("TEST_LOG_TOKEN_COUNT");
}

static void overlapping_secrets_leave_nothing(void **state)
{
    (void)state;
    sluice_log_secret_add("abcdef");
    sluice_log_secret_add("defghi");
    sluice_log_secret_add("abab");
    char text[] = "xabcdefghix ababab";
    sluice_log_redact(text);
    assert_string_equal(text, "x***x ***");
}

/* A message that is cut must not show the first half of a secret. */
static void cut_secrets_do_not_show(void **state)
{
    (void)state;
    static char huge[20000];
    sluice_log_secret_add("SECRETSECRETSECRET");
    for (size_t shift = 0; shift < 40; shift++) {
        memset(huge, 'x', sizeof huge - 1);
        memcpy(huge + 8192 - 30 + shift, "SECRETSECRETSECRET", 18);
        sluice_log_line(SLUICE_LOG_INFO, "t", "%s", huge);
        memset(huge, 'x', sizeof huge - 1);
        memcpy(huge + 2048 - 30 + shift, "SECRETSECRETSECRET", 18);
        sluice_log_line(SLUICE_LOG_INFO, "t", "%s", huge);
    }
    assert_false(has("SE"));
}

static void repeats_are_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        log_text(SLUICE_LOG_WARN, "retrying");
        log_text(SLUICE_LOG_INFO, "information is never held back");
    }
    log_text(SLUICE_LOG_WARN, "another");
    assert_int_equal(line_count, 52);
    sluice_log_flush();
    assert_int_equal(line_count, 53);
    assert_true(has("WARN  t retrying repeated=49\n"));
    log_text(SLUICE_LOG_WARN, "retrying"); /* forgotten by the flush: written at once */
    assert_int_equal(line_count, 54);
}

/* Time is given to the table, so no test waits for it. */
static void repeats_end_with_the_window(void **state)
{
    (void)state;
    const int64_t second = 1000000;
    struct log_repeat due;
    uint64_t held = 0;
    sluice_log_lock();
    sluice_repeat_clear();
    assert_int_equal(sluice_repeat_pass(SLUICE_LOG_WARN, "s", "m", 1, 0, &held), 1);
    assert_int_equal(sluice_repeat_pass(SLUICE_LOG_WARN, "s", "m", 1, second, &held), 0);
    assert_int_equal(sluice_repeat_pass(SLUICE_LOG_ERROR, "s", "m", 1, second, &held), 1);
    assert_int_equal(sluice_repeat_pass(SLUICE_LOG_WARN, "t", "m", 1, second, &held), 1);
    assert_int_equal(sluice_repeat_pass(SLUICE_LOG_WARN, "s", "m", 1, 9 * second, &held), 0);
    assert_int_equal(sluice_repeat_due(9 * second, 0, &due), 0);
    /* The line itself comes again ... */
    assert_int_equal(sluice_repeat_pass(SLUICE_LOG_WARN, "s", "m", 1, 11 * second, &held), 1);
    assert_int_equal(held, 2);
    assert_int_equal(sluice_repeat_pass(SLUICE_LOG_WARN, "s", "m", 1, 12 * second, &held), 0);
    /* ... or another line brings it out. */
    assert_int_equal(sluice_repeat_due(30 * second, 0, &due), 1);
    assert_int_equal(due.count, 1);
    assert_string_equal(due.message, "m");
    assert_int_equal(sluice_repeat_due(30 * second, 1, &due), 0);
    sluice_repeat_clear();
    sluice_log_unlock();
}

/* More distinct warnings than the table has slots. */
static void many_warnings_pass(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        sluice_log_line(SLUICE_LOG_WARN, "t", "warning %d", i);
        sluice_log_line(SLUICE_LOG_WARN, "t", "warning %d", i);
    }
    assert_true(line_count >= 100);
    assert_true(has("warning 99\n"));
    sluice_log_flush();
}

static void works_without_memory(void **state)
{
    (void)state;
    sluice_alloc_fail_at(1, 1);
    sluice_log_secret_add("lost-for-lack-of-memory");
    sluice_log_line(SLUICE_LOG_INFO, "t", "line %d", 1);
    sluice_alloc_fail_at(0, 0);
    assert_int_equal(line_count, 1);
}

static void *hammer(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < 300; i++) {
        sluice_log_line(SLUICE_LOG_INFO, "thread", "a line that must stay whole i=%d end", i);
        sluice_log_line(SLUICE_LOG_WARN, "thread", "the same");
        char text[] = "some thread-secret here";
        sluice_log_redact(text);
        if (i % 50 == 0) {
            sluice_log_secret_add("thread-secret");
        }
    }
    return NULL;
}

static void lines_stay_whole(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    size_t whole = 0;
    for (char *line = lines.data; *line != '\0';) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        whole += strstr(line, "must stay whole") != NULL && strstr(line, " end") != NULL ? 1u : 0u;
        line = end + 1;
    }
    assert_int_equal(whole, 1200);
}

/* The real thing: a child with its stderr in a pipe; what is held back comes out at exit. */
static void goes_to_stderr(void **state)
{
    (void)state;
    int fds[2];
    int status = 0;
    char text[4096];
    size_t used = 0;
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(fds[1], STDERR_FILENO);
        (void)close(fds[0]);
        (void)close(fds[1]);
        (void)fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
        sluice_log_redirect(NULL, NULL);
        errno = 42;
        sluice_log_line(SLUICE_LOG_ERROR, "child", "one errno=%d", errno);
        sluice_log_line(SLUICE_LOG_ERROR, "child", "one errno=%d", errno);
        sluice_log_line(SLUICE_LOG_ERROR, "child", "one errno=%d", errno);
        sluice_log_flush();
        _exit(0);
    }
    (void)close(fds[1]);
    for (ssize_t n = 0; (n = read(fds[0], text + used, sizeof text - 1 - used)) > 0;) {
        used += (size_t)n;
    }
    text[used] = '\0';
    (void)close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_non_null(strstr(text, "Z ERROR child one errno=42\n"));
    assert_non_null(strstr(text, "one errno=42 repeated=2\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(levels_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_is_one_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_is_escaped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_messages_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(secrets_are_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(secrets_of_the_environment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(overlapping_secrets_leave_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cut_secrets_do_not_show, set_up, tear_down),
        cmocka_unit_test_setup_teardown(repeats_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(repeats_end_with_the_window, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_warnings_pass, set_up, tear_down),
        cmocka_unit_test_setup_teardown(works_without_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_stay_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(goes_to_stderr, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
