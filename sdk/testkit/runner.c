/* Runs checks, each in a child process, so that one that crashes or hangs is one that failed. */
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define TIMEOUT_DEFAULT_S 60
#define TMP_TEMPLATE "/tmp/sluice-testkit-XXXXXX"

int check_say(struct check *c, int result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->message, sizeof c->message, format, args);
    va_end(args);
    return result;
}

struct sluice_testkit_host *check_host(struct check *c)
{
    struct sluice_testkit_host *host =
        sluice_testkit_host_new(c->component, c->set, c->set_count, &c->err);
    if (host == NULL) {
        (void)check_say(c, CHECK_FAIL, "%.500s", c->err.message);
    }
    return host;
}

int check_open_files(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL) {
        n++;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return n;
}

uint64_t check_memory(void)
{
    struct mallinfo2 info = mallinfo2();
    return (uint64_t)info.uordblks + (uint64_t)info.hblkhd;
}

static uint64_t hash_bytes(uint64_t hash, const void *data, uint64_t size)
{
    const uint8_t *p = data;
    for (uint64_t i = 0; i < size; i++) {
        hash = (hash ^ p[i]) * 0x100000001b3u;
    }
    return (hash ^ size) * 0x100000001b3u;
}

static uint64_t hash_value(uint64_t hash, const struct sluice_view *v, int64_t row)
{
    if (sluice_view_is_null(v, row)) {
        return hash_bytes(hash, "null", 4);
    }
    if (v->type.id == SLUICE_TYPE_BOOL) {
        return hash_bytes(hash, sluice_view_bool(v, row) ? "t" : "f", 1);
    }
    if (v->type.width > 0) {
        return hash_bytes(hash, sluice_view_fixed(v, row), (uint64_t)v->type.width);
    }
    if (v->large_offsets != NULL) {
        int64_t from = v->large_offsets[row];
        return hash_bytes(hash, v->values + from, (uint64_t)(v->large_offsets[row + 1] - from));
    }
    if (v->type.id == SLUICE_TYPE_UTF8 || v->type.id == SLUICE_TYPE_BINARY) {
        struct sluice_bytes b = sluice_view_bytes(v, row);
        return hash_bytes(hash, b.data, b.size);
    }
    return hash_bytes(hash, "nested", 6);
}

uint64_t check_row_hash(const struct sluice_view *views, int64_t n, int64_t row)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < n; i++) {
        hash = hash_value(hash, &views[i], row);
    }
    return hash;
}

/* Copies the options, with the folder of this check in the place of {tmp}. */
static void fill_sets(struct check *c)
{
    for (uint32_t i = 0; i < c->subject->set_count && i < CHECK_SETS_MAX; i++) {
        const char *value = c->subject->set[i].value;
        const char *at = strstr(value, "{tmp}");
        if (at != NULL) {
            (void)snprintf(c->values[i], sizeof c->values[i], "%.*s%s%s", (int)(at - value), value,
                           c->tmp, at + 5);
            value = c->values[i];
        }
        c->set[i].key = c->subject->set[i].key;
        c->set[i].value = value;
        c->set_count = i + 1;
    }
}

static void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry = dir != NULL ? readdir(dir) : NULL;
    while (entry != NULL) {
        char name[4096];
        int n = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && n > 0 &&
            (size_t)n < sizeof name && unlink(name) != 0) {
            remove_tree(name);
        }
        entry = readdir(dir);
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    (void)rmdir(path);
}

static int run_here(const struct check_entry *entry, struct check *c)
{
    sluice_error_clear(&c->err);
    fill_sets(c);
    return entry->run(c);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads what the child says until it ends or its time is over; 0 = time over. */
static int read_message(int fd, int64_t deadline_ms, char *text, size_t cap)
{
    size_t used = 0;
    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left = deadline_ms - now_ms();
        if (left <= 0) {
            return 0;
        }
        if (poll(&p, 1, (int)left) > 0) {
            ssize_t n = read(fd, text + used, cap - 1 - used);
            if (n == 0) {
                break;
            }
            if (n > 0) {
                used += (size_t)n;
            }
        }
    }
    text[used] = '\0';
    return 1;
}

static int run_child(const struct check_entry *entry, struct check *c)
{
    int ends[2];
    if (pipe(ends) != 0) {
        return check_say(c, CHECK_FAIL, "no pipe");
    }
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(ends[0]);
        int result = run_here(entry, c);
        ssize_t n = write(ends[1], c->message, strlen(c->message));
        (void)n;
        (void)close(ends[1]);
        exit(result); /* not _exit: sanitizers look for leaks at exit */
    }
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        return check_say(c, CHECK_FAIL, "no child process");
    }
    uint32_t timeout = c->subject->timeout_s != 0 ? c->subject->timeout_s : TIMEOUT_DEFAULT_S;
    int in_time =
        read_message(ends[0], now_ms() + (int64_t)timeout * 1000, c->message, sizeof c->message);
    if (!in_time) {
        (void)kill(pid, SIGKILL);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    (void)close(ends[0]);
    if (!in_time) {
        return check_say(c, CHECK_FAIL, "did not end within %u s", timeout);
    }
    if (WIFSIGNALED(status)) {
        return check_say(c, CHECK_FAIL, "crashed with signal %d", WTERMSIG(status));
    }
    int code = WEXITSTATUS(status);
    if (code != CHECK_PASS && code != CHECK_FAIL && code != CHECK_SKIP) {
        return check_say(c, CHECK_FAIL,
                         "ended with exit code %d (a leak or another report of a "
                         "sanitizer)",
                         code);
    }
    return code;
}

static void run_table(const struct check_entry *table, const struct sluice_testkit_subject *subject,
                      struct sluice_testkit_result *result)
{
    static const char *const words[] = {"ok  ", "FAIL", "skip"};
    for (const struct check_entry *entry = table; entry->name != NULL; entry++) {
        if (subject->only != NULL && strstr(entry->name, subject->only) == NULL) {
            continue;
        }
        struct check *c = calloc(1, sizeof *c);
        if (c == NULL) {
            result->failed++;
            return;
        }
        c->subject = subject;
        c->component = subject->component;
        (void)snprintf(c->tmp, sizeof c->tmp, "%s", TMP_TEMPLATE);
        int code = CHECK_FAIL;
        if (mkdtemp(c->tmp) == NULL) {
            (void)check_say(c, CHECK_FAIL, "no folder %s", c->tmp);
        }
        else {
            code = subject->in_process ? run_here(entry, c) : run_child(entry, c);
            remove_tree(c->tmp);
        }
        result->passed += code == CHECK_PASS;
        result->failed += code == CHECK_FAIL;
        result->skipped += code == CHECK_SKIP;
        printf("%s %-28s %s%s%s\n", words[code], entry->name, entry->what,
               c->message[0] != '\0' ? ": " : "", c->message);
        (void)fflush(stdout);
        free(c);
    }
}

void sluice_testkit_run(const struct sluice_testkit_subject *subject,
                        struct sluice_testkit_result *result)
{
    memset(result, 0, sizeof *result);
    run_table(check_plugin_entries, subject, result);
    switch (subject->component->kind) {
    case SLUICE_SOURCE:
        run_table(check_source_entries, subject, result);
        break;
    case SLUICE_SINK:
        run_table(check_sink_entries, subject, result);
        break;
    default:
        run_table(check_transform_entries, subject, result);
        break;
    }
}
