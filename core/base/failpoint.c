/* Failpoints: a short fixed table, written before threads start, counted atomically after. */
#include "base/failpoint.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/failpoint_names.h"

#define FAILPOINTS_MAX 128
#define FAILPOINT_NAME_MAX 64

enum { ACTION_ERROR = 1, ACTION_FATAL = 2, ACTION_CRASH = 3, ACTION_SLEEP = 4, ACTION_TORN = 5 };

struct failpoint {
    char name[FAILPOINT_NAME_MAX];
    int action;
    long sleep_ms;
    int64_t from; /* passage from which it acts; 0 = each */
    int and_on;   /* also all later ones */
    int64_t passed;
};

int32_t sluice_failpoints_armed;
static struct failpoint points[FAILPOINTS_MAX];
static int point_count;

/* Reads a positive number; moves *p behind it. */
static int number_read(const char **p, long *out)
{
    long value = 0;
    const char *at = *p;
    while (*at >= '0' && *at <= '9' && value < 100000000L) {
        value = value * 10 + (*at - '0');
        at++;
    }
    if (at == *p) {
        return 0;
    }
    *p = at;
    *out = value;
    return 1;
}

static int action_read(const char **p, struct failpoint *point)
{
    static const struct {
        const char *word;
        int action;
    } words[] = {{"error", ACTION_ERROR},
                 {"fatal", ACTION_FATAL},
                 {"crash", ACTION_CRASH},
                 {"torn", ACTION_TORN},
                 {"sleep:", ACTION_SLEEP}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t size = strlen(words[i].word);
        if (strncmp(*p, words[i].word, size) == 0) {
            *p += size;
            point->action = words[i].action;
            return point->action != ACTION_SLEEP || number_read(p, &point->sleep_ms);
        }
    }
    return 0;
}

/* One name=action[@n[+]], up to ',' or the end. */
static int point_read(const char **p, struct failpoint *point)
{
    const char *equals = strchr(*p, '=');
    if (equals == NULL || equals == *p || equals - *p >= FAILPOINT_NAME_MAX) {
        return 0;
    }
    size_t size = (size_t)(equals - *p);
    memcpy(point->name, *p, size);
    point->name[size] = '\0';
    *p = equals + 1;
    if (!action_read(p, point)) {
        return 0;
    }
    if (**p == '@') {
        long from = 0;
        (*p)++;
        if (!number_read(p, &from) || from == 0) {
            return 0;
        }
        point->from = from;
        if (**p == '+') {
            point->and_on = 1;
            (*p)++;
        }
    }
    return **p == ',' || **p == '\0';
}

sluice_status sluice_failpoints_arm(const char *spec, struct sluice_error *err)
{
    sluice_atomic_store_i32(&sluice_failpoints_armed, 0);
    point_count = 0;
    const char *p = spec != NULL ? spec : "";
    while (*p != '\0') {
        const char *start = p;
        if (point_count == FAILPOINTS_MAX) {
            return sluice_error_set(err, SLUICE_E_LIMIT, 0, "failpoints: more than %d",
                                    FAILPOINTS_MAX);
        }
        struct failpoint *point = &points[point_count];
        memset(point, 0, sizeof *point);
        if (!point_read(&p, point)) {
            point_count = 0;
            return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                    "failpoints: cannot read \"%.80s\"; write "
                                    "name=error|fatal|crash|torn|sleep:MS[@n[+]],…",
                                    start);
        }
        point_count++;
        p += *p == ',' ? 1 : 0;
    }
    sluice_atomic_store_i32(&sluice_failpoints_armed, point_count > 0);
    return SLUICE_OK;
}

static void sleep_ms(long ms)
{
    struct timespec left = {ms / 1000, (ms % 1000) * 1000000L};
    while (nanosleep(&left, &left) != 0) {
    }
}

void sluice_failpoint_crash(void)
{
    (void)kill(getpid(), SIGKILL);
    abort();
}

/* The action that is due at this passage, after crash and sleep; 0 = none. */
static int point_act(const char *name)
{
    int due = 0;
    for (int i = 0; i < point_count; i++) {
        struct failpoint *point = &points[i];
        if (strcmp(point->name, name) != 0) {
            continue;
        }
        int64_t nth = sluice_atomic_add_relaxed_i64(&point->passed, 1);
        if (point->from != 0 && nth != point->from && !(point->and_on && nth > point->from)) {
            continue;
        }
        if (point->action == ACTION_CRASH) {
            sluice_failpoint_crash();
        }
        else if (point->action == ACTION_SLEEP) {
            sleep_ms(point->sleep_ms);
        }
        else {
            due = point->action;
        }
    }
    return due;
}

static int is_failure(int action)
{
    return action == ACTION_ERROR || action == ACTION_FATAL;
}

int sluice_failpoint_pass(const char *name)
{
    return is_failure(point_act(name));
}

sluice_status sluice_failpoint_pass_error(const char *name, struct sluice_error *err)
{
    int action = point_act(name);
    if (!is_failure(action)) {
        return SLUICE_OK;
    }
    return sluice_error_set(err, SLUICE_E_IO, action == ACTION_FATAL ? 0 : SLUICE_ERROR_RETRYABLE,
                            "failpoint %s: asked to fail here", name);
}

int32_t sluice_failpoint_pass_torn(const char *name)
{
    return point_act(name) == ACTION_TORN;
}

const struct sluice_failpoint_name *sluice_failpoint_names(size_t *count)
{
#define NAME_ENTRY(name, kind, what) {name, SLUICE_FAILPOINT_##kind, what},
    static const struct sluice_failpoint_name names[] = {SLUICE_FAILPOINT_NAMES(NAME_ENTRY)};
#undef NAME_ENTRY
    *count = sizeof names / sizeof names[0];
    return names;
}

const char *sluice_failpoint_kind_text(int kind)
{
    static const char *const texts[] = {"stops", "fails", "tears"};
    return kind >= 0 && kind < 3 ? texts[kind] : "unknown";
}
