#include "fake_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static void on_log(void *ctx, int32_t level, const char *message, uint64_t size)
{
    const struct fake_host *host = ctx;
    if (level <= host->log_level) {
        (void)fprintf(stderr, "log %d %.*s\n", level, (int)size, message);
    }
}

static int32_t on_log_enabled(void *ctx, int32_t level)
{
    const struct fake_host *host = ctx;
    return level <= host->log_level;
}

static int32_t on_cancelled(void *ctx)
{
    struct fake_host *host = ctx;
    return atomic_load(&host->cancelled);
}

static int32_t on_cancel_fd(void *ctx)
{
    const struct fake_host *host = ctx;
    return host->event_fd;
}

static int64_t on_now_us(void *ctx, int32_t clock)
{
    struct timespec now;
    (void)ctx;
    (void)clock_gettime(clock == SLUICE_CLOCK_WALL ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int32_t on_memory(void *ctx, int64_t delta, int32_t must)
{
    struct fake_host *host = ctx;
    const int64_t before = atomic_fetch_add(&host->memory, delta);
    const int64_t after = before + delta;
    if (delta > 0 && must == 0 && host->memory_max > 0 && after > host->memory_max) {
        atomic_fetch_add(&host->memory, -delta);
        return 0;
    }
    if (after > atomic_load(&host->memory_peak)) {
        atomic_store(&host->memory_peak, after);
    }
    return 1;
}

static struct sluice_metric *on_metric(void *ctx, int32_t kind, const char *name, const char *unit,
                                       const char *help)
{
    struct fake_host *host = ctx;
    (void)kind;
    (void)unit;
    (void)help;
    for (int i = 0; i < 8; i++) {
        if (host->counter_names[i] == NULL || strcmp(host->counter_names[i], name) == 0) {
            host->counter_names[i] = name;
            return (struct sluice_metric *)&host->counters[i];
        }
    }
    return NULL;
}

static void on_metric_add(struct sluice_metric *metric, int64_t delta)
{
    if (metric != NULL) {
        atomic_fetch_add((_Atomic int64_t *)metric, delta);
    }
}

static const void *on_extension(void *ctx, const char *id)
{
    (void)ctx;
    (void)id;
    return NULL;
}

int64_t fake_host_counter(struct fake_host *host, const char *name)
{
    for (int i = 0; i < 8; i++) {
        if (host->counter_names[i] != NULL && strcmp(host->counter_names[i], name) == 0) {
            return atomic_load(&host->counters[i]);
        }
    }
    return -1;
}

void fake_host_init(struct fake_host *host)
{
    memset(host, 0, sizeof *host);
    host->event_fd = eventfd(0, EFD_CLOEXEC);
    host->table.struct_size = (uint32_t)sizeof host->table;
    host->table.ctx = host;
    host->table.log = on_log;
    host->table.log_enabled = on_log_enabled;
    host->table.cancelled = on_cancelled;
    host->table.cancel_fd = on_cancel_fd;
    host->table.now_us = on_now_us;
    host->table.memory = on_memory;
    host->table.metric = on_metric;
    host->table.metric_add = on_metric_add;
    host->table.extension = on_extension;
}

void fake_host_cancel(struct fake_host *host)
{
    const uint64_t one = 1;
    atomic_store(&host->cancelled, 1);
    if (write(host->event_fd, &one, sizeof one) != (ssize_t)sizeof one) {
        abort();
    }
}

void fake_host_free(struct fake_host *host)
{
    close(host->event_fd);
}
