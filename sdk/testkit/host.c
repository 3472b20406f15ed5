/* A host table without an engine. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "testkit.h"

#define LOG_CAP (1 << 20)
#define METRIC_MAX 64

struct sluice_metric {
    char name[80];
    _Atomic int64_t value;
};

/* One option with its value. */
struct host_option {
    const struct sluice_option *option;
    int32_t is_set;
    int64_t number;
    const char *string;
    uint32_t count;
    const char **items;
    struct sluice_pair *pairs;
};

struct sluice_testkit_host {
    struct sluice_host table;
    struct host_option *options;
    uint32_t option_count;
    char **strings; /* copies that values point to */
    uint32_t string_count;
    _Atomic int32_t cancelled;
    int pipe[2];
    _Atomic int64_t memory;
    struct sluice_metric metrics[METRIC_MAX];
    uint32_t metric_count;
    pthread_mutex_t lock; /* log */
    char *log;
    uint64_t log_size;
};

/* ------------------------------------------------------------ values ------------------------- */

static char *keep(struct sluice_testkit_host *h, const char *text, size_t size)
{
    char **grown = realloc(h->strings, (h->string_count + 1) * sizeof(char *));
    char *copy = malloc(size + 1);
    if (grown != NULL) {
        h->strings = grown;
    }
    if (grown == NULL || copy == NULL) {
        free(copy);
        return NULL;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    h->strings[h->string_count++] = copy;
    return copy;
}

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {{"us", 1},       {"ms", 1000},      {"s", 1000000},
                                             {"m", 60000000}, {"h", 3600000000}, {"d", 86400000000},
                                             {NULL, 0}};
static const struct unit size_units[] = {{"", 1},          {"B", 1},           {"KB", 1000},
                                         {"MB", 1000000},  {"GB", 1000000000}, {"KiB", 1 << 10},
                                         {"MiB", 1 << 20}, {"GiB", 1 << 30},   {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static int parse_number(const char *text, const struct unit *units, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || errno != 0) {
        return 0;
    }
    for (; units->name != NULL; units++) {
        if (strcmp(units->name, end) == 0) {
            *out = (int64_t)v * units->factor;
            return v <= INT64_MAX / units->factor && v >= INT64_MIN / units->factor;
        }
    }
    return 0;
}

static int parse_scalar(const struct sluice_option *o, const char *text, int64_t *out)
{
    switch (o->type) {
    case SLUICE_OPTION_INT:
        return parse_number(text, no_units, out);
    case SLUICE_OPTION_DURATION:
        return parse_number(text, duration_units, out);
    case SLUICE_OPTION_SIZE:
        return parse_number(text, size_units, out);
    case SLUICE_OPTION_BOOL:
        *out = strcmp(text, "true") == 0;
        return *out || strcmp(text, "false") == 0;
    default:
        for (int64_t i = 0; o->choices != NULL && o->choices[i] != NULL; i++) {
            if (strcmp(o->choices[i], text) == 0) {
                *out = i;
                return 1;
            }
        }
        return 0;
    }
}

/* Adds `text` to the value of an option. */
static int set_option(struct sluice_testkit_host *h, struct host_option *v, const char *text)
{
    const struct sluice_option *o = v->option;
    v->is_set = 1;
    if (o->type == SLUICE_OPTION_LIST || o->type == SLUICE_OPTION_MAP) {
        const char *equals = strchr(text, '=');
        const char **items = realloc(v->items, (v->count + 1) * sizeof(const char *));
        struct sluice_pair *pairs = realloc(v->pairs, (v->count + 1) * sizeof *pairs);
        v->items = items != NULL ? items : v->items;
        v->pairs = pairs != NULL ? pairs : v->pairs;
        if (items == NULL || pairs == NULL || (o->type == SLUICE_OPTION_MAP && equals == NULL)) {
            return 0;
        }
        v->items[v->count] = keep(h, text, strlen(text));
        if (o->type == SLUICE_OPTION_MAP) {
            v->pairs[v->count].key = keep(h, text, (size_t)(equals - text));
            v->pairs[v->count].value = keep(h, equals + 1, strlen(equals + 1));
        }
        v->count++;
        return 1;
    }
    v->string = keep(h, text, strlen(text));
    if (o->type == SLUICE_OPTION_STRING) {
        return 1;
    }
    int64_t n = 0;
    if (!parse_scalar(o, text, &n)) {
        return 0;
    }
    v->number = n;
    int bounded = o->max >= o->min && (o->min != 0 || o->max != 0) &&
                  o->type != SLUICE_OPTION_BOOL && o->type != SLUICE_OPTION_ENUM;
    return !bounded || (n >= o->min && n <= o->max);
}

static struct host_option *find_option(struct sluice_testkit_host *h, const char *key)
{
    for (uint32_t i = 0; i < h->option_count; i++) {
        if (strcmp(h->options[i].option->key, key) == 0) {
            return &h->options[i];
        }
    }
    return NULL;
}

static sluice_status set_all(struct sluice_testkit_host *h, const struct sluice_pair *set,
                             uint32_t count, struct sluice_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        struct host_option *v = find_option(h, set[i].key);
        if (v == NULL || !set_option(h, v, set[i].value)) {
            return sluice_error_set(err, SLUICE_E_INVALID, 0, "option %s: %s", set[i].key,
                                    v == NULL ? "not known" : "the value does not fit");
        }
    }
    for (uint32_t i = 0; i < h->option_count; i++) {
        struct host_option *v = &h->options[i];
        if (!v->is_set && v->option->default_value != NULL) {
            if (!set_option(h, v, v->option->default_value)) {
                return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                        "option %s: its own default does not fit", v->option->key);
            }
        }
        else if (!v->is_set && (v->option->flags & SLUICE_OPTION_REQUIRED) != 0) {
            return sluice_error_set(err, SLUICE_E_INVALID, 0, "option %s is required",
                                    v->option->key);
        }
    }
    return SLUICE_OK;
}

/* ------------------------------------------------------------ table -------------------------- */

static void host_log(void *ctx, int32_t level, const char *message, uint64_t size)
{
    static const char *const levels[] = {"?", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};
    struct sluice_testkit_host *h = ctx;
    const char *name = level >= 1 && level <= 5 ? levels[level] : levels[0];
    pthread_mutex_lock(&h->lock);
    if (h->log_size + size + 16 < LOG_CAP) {
        h->log_size += (uint64_t)snprintf(h->log + h->log_size, 16, "%s ", name);
        memcpy(h->log + h->log_size, message, size);
        h->log_size += size;
        h->log[h->log_size++] = '\n';
        h->log[h->log_size] = '\0';
    }
    pthread_mutex_unlock(&h->lock);
}

static int32_t host_log_enabled(void *ctx, int32_t level)
{
    (void)ctx;
    (void)level;
    return 1;
}

static sluice_status host_config_get(void *ctx, const char *key, struct sluice_value *out)
{
    struct host_option *v = find_option(ctx, key);
    if (v == NULL) {
        return SLUICE_E_NOT_FOUND;
    }
    struct sluice_value value;
    memset(&value, 0, sizeof value);
    value.struct_size = out->struct_size;
    value.type = v->option->type;
    value.is_set = v->is_set;
    value.count = v->count;
    value.number = v->number;
    value.string = v->string;
    value.string_size = v->string != NULL ? strlen(v->string) : 0;
    value.items = v->items;
    value.pairs = v->option->type == SLUICE_OPTION_MAP ? v->pairs : NULL;
    memcpy(out, &value, out->struct_size < sizeof value ? out->struct_size : sizeof value);
    return SLUICE_OK;
}

static int32_t host_cancelled(void *ctx)
{
    struct sluice_testkit_host *h = ctx;
    return atomic_load(&h->cancelled);
}

static int32_t host_cancel_fd(void *ctx)
{
    struct sluice_testkit_host *h = ctx;
    return h->pipe[0];
}

static int64_t host_now_us(void *ctx, int32_t clock)
{
    (void)ctx;
    struct timespec t;
    clock_gettime(clock == SLUICE_CLOCK_WALL ? CLOCK_REALTIME : CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void *host_realloc(void *ctx, void *p, uint64_t size)
{
    (void)ctx;
    if (size == 0) {
        free(p);
        return NULL;
    }
    return realloc(p, size);
}

static int32_t host_memory(void *ctx, int64_t delta, int32_t must)
{
    struct sluice_testkit_host *h = ctx;
    (void)must;
    atomic_fetch_add(&h->memory, delta);
    return 1;
}

static struct sluice_metric *host_metric(void *ctx, int32_t kind, const char *name,
                                         const char *unit, const char *help)
{
    struct sluice_testkit_host *h = ctx;
    (void)kind;
    (void)unit;
    (void)help;
    if (h->metric_count == METRIC_MAX) {
        return NULL;
    }
    struct sluice_metric *m = &h->metrics[h->metric_count++];
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    return m;
}

static void host_metric_add(struct sluice_metric *metric, int64_t delta)
{
    if (metric != NULL) {
        atomic_fetch_add(&metric->value, delta);
    }
}

static void host_metric_set(struct sluice_metric *metric, int64_t value)
{
    if (metric != NULL) {
        atomic_store(&metric->value, value);
    }
}

static const void *host_extension(void *ctx, const char *id)
{
    (void)ctx;
    (void)id;
    return NULL;
}

/* ------------------------------------------------------------ life --------------------------- */

struct sluice_testkit_host *sluice_testkit_host_new(const struct sluice_component *component,
                                                    const struct sluice_pair *set, uint32_t count,
                                                    struct sluice_error *err)
{
    struct sluice_testkit_host *h = calloc(1, sizeof *h);
    if (h == NULL) {
        (void)sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a test host");
        return NULL;
    }
    h->pipe[0] = -1;
    h->pipe[1] = -1;
    pthread_mutex_init(&h->lock, NULL);
    while (component->options != NULL && component->options[h->option_count] != NULL) {
        h->option_count++;
    }
    h->options = calloc((size_t)h->option_count + 1, sizeof *h->options);
    h->log = calloc(LOG_CAP, 1);
    if (h->options == NULL || h->log == NULL || pipe2(h->pipe, O_CLOEXEC) != 0) {
        (void)sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a test host");
        sluice_testkit_host_free(h);
        return NULL;
    }
    for (uint32_t i = 0; i < h->option_count; i++) {
        h->options[i].option = component->options[i];
    }
    if (set_all(h, set, count, err) < 0) {
        sluice_testkit_host_free(h);
        return NULL;
    }
    h->table = (struct sluice_host){
        .struct_size = (uint32_t)sizeof h->table,
        .abi_minor = SLUICE_ABI_MINOR,
        .ctx = h,
        .log = host_log,
        .log_enabled = host_log_enabled,
        .config_get = host_config_get,
        .cancelled = host_cancelled,
        .cancel_fd = host_cancel_fd,
        .now_us = host_now_us,
        .realloc = host_realloc,
        .memory = host_memory,
        .metric = host_metric,
        .metric_add = host_metric_add,
        .metric_set = host_metric_set,
        .extension = host_extension,
    };
    return h;
}

void sluice_testkit_host_free(struct sluice_testkit_host *h)
{
    if (h == NULL) {
        return;
    }
    for (uint32_t i = 0; h->options != NULL && i < h->option_count; i++) {
        free(h->options[i].items);
        free(h->options[i].pairs);
    }
    for (uint32_t i = 0; i < h->string_count; i++) {
        free(h->strings[i]);
    }
    for (int i = 0; i < 2; i++) {
        if (h->pipe[i] >= 0) {
            close(h->pipe[i]);
        }
    }
    pthread_mutex_destroy(&h->lock);
    free(h->strings);
    free(h->options);
    free(h->log);
    free(h);
}

const struct sluice_host *sluice_testkit_host_table(const struct sluice_testkit_host *h)
{
    return &h->table;
}

void sluice_testkit_host_cancel(struct sluice_testkit_host *h)
{
    if (atomic_exchange(&h->cancelled, 1) == 0) {
        ssize_t n = write(h->pipe[1], "x", 1);
        (void)n; /* a pipe of our own takes one byte */
    }
}

const char *sluice_testkit_host_log(struct sluice_testkit_host *h)
{
    return h->log;
}

int64_t sluice_testkit_host_metric(struct sluice_testkit_host *h, const char *name)
{
    for (uint32_t i = 0; i < h->metric_count; i++) {
        if (strcmp(h->metrics[i].name, name) == 0) {
            return atomic_load(&h->metrics[i].value);
        }
    }
    return 0;
}

int64_t sluice_testkit_host_memory(struct sluice_testkit_host *h)
{
    return atomic_load(&h->memory);
}
