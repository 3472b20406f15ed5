/* A host that takes its configuration from "key=value" strings and the option table's defaults. */
#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void host_log(void *ctx, int32_t level, const char *message, uint64_t size)
{
    const struct pg_test_host *host = ctx;
    if (level <= host->log_level) {
        (void)fprintf(stderr, "log %d: %.*s\n", level, (int)size, message);
    }
}

static int32_t host_log_enabled(void *ctx, int32_t level)
{
    const struct pg_test_host *host = ctx;
    return level <= host->log_level;
}

static int64_t scaled(const char *text)
{
    static const struct {
        const char *unit;
        int64_t factor;
    } units[] = {{"ms", 1000},     {"s", 1000000},   {"min", 60000000}, {"KiB", 1024},
                 {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"us", 1},         {"", 1}};
    char *end = NULL;
    int64_t n = strtoll(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].unit) == 0) {
            return n * units[i].factor;
        }
    }
    return n;
}

static sluice_status host_config_get(void *ctx, const char *key, struct sluice_value *out)
{
    const struct pg_test_host *host = ctx;
    const struct sluice_option *option = NULL;
    for (size_t i = 0; host->options[i] != NULL && option == NULL; i++) {
        option = strcmp(host->options[i]->key, key) == 0 ? host->options[i] : NULL;
    }
    if (option == NULL) {
        return SLUICE_E_NOT_FOUND;
    }
    uint32_t struct_size = out->struct_size;
    memset(out, 0, sizeof *out);
    out->struct_size = struct_size;
    out->type = option->type;
    const char *text = option->default_value;
    for (size_t i = 0; host->given != NULL && host->given[i] != NULL; i++) {
        size_t n = strlen(key);
        if (strncmp(host->given[i], key, n) == 0 && host->given[i][n] == '=') {
            text = host->given[i] + n + 1;
        }
    }
    if (text == NULL) {
        return SLUICE_OK;
    }
    out->is_set = 1;
    out->string = text;
    out->string_size = strlen(text);
    if (option->type == SLUICE_OPTION_ENUM) {
        for (int i = 0; option->choices[i] != NULL; i++) {
            if (strcmp(option->choices[i], text) == 0) {
                out->number = i;
            }
        }
    }
    else if (option->type == SLUICE_OPTION_BOOL) {
        out->number = strcmp(text, "true") == 0;
    }
    else if (option->type != SLUICE_OPTION_STRING) {
        out->number = scaled(text);
    }
    return SLUICE_OK;
}

static int32_t host_cancelled(void *ctx)
{
    struct pg_test_host *host = ctx;
    return atomic_load(&host->cancelled);
}

static int32_t host_cancel_fd(void *ctx)
{
    const struct pg_test_host *host = ctx;
    return host->cancel_pipe[0];
}

static int64_t host_now_us(void *ctx, int32_t clock)
{
    (void)ctx;
    struct timespec ts;
    (void)clock_gettime(clock == SLUICE_CLOCK_WALL ? CLOCK_REALTIME : CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
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
    (void)ctx;
    (void)delta;
    (void)must;
    return 1;
}

static struct sluice_metric *host_metric(void *ctx, int32_t kind, const char *name,
                                         const char *unit, const char *help)
{
    (void)ctx;
    (void)kind;
    (void)name;
    (void)unit;
    (void)help;
    return NULL;
}

static void host_metric_change(struct sluice_metric *metric, int64_t value)
{
    (void)metric;
    (void)value;
}

static const void *host_extension(void *ctx, const char *id)
{
    (void)ctx;
    (void)id;
    return NULL;
}

int pg_test_host_init(struct pg_test_host *host, const struct sluice_option *const *options,
                      const char *const *given)
{
    memset(host, 0, sizeof *host);
    host->options = options;
    host->given = given;
    host->log_level = SLUICE_LOG_WARN;
    host->table = (struct sluice_host){
        .struct_size = (uint32_t)sizeof host->table,
        .abi_minor = SLUICE_ABI_MINOR,
        .ctx = host,
        .log = host_log,
        .log_enabled = host_log_enabled,
        .config_get = host_config_get,
        .cancelled = host_cancelled,
        .cancel_fd = host_cancel_fd,
        .now_us = host_now_us,
        .realloc = host_realloc,
        .memory = host_memory,
        .metric = host_metric,
        .metric_add = host_metric_change,
        .metric_set = host_metric_change,
        .extension = host_extension,
    };
    return pipe(host->cancel_pipe) == 0;
}

void pg_test_host_free(struct pg_test_host *host)
{
    (void)close(host->cancel_pipe[0]);
    (void)close(host->cancel_pipe[1]);
}

void pg_test_host_cancel(struct pg_test_host *host)
{
    atomic_store(&host->cancelled, 1);
    if (write(host->cancel_pipe[1], "x", 1) != 1) {
        (void)fprintf(stderr, "cannot write to the cancel pipe\n");
    }
}
