/* The host table of one instance. Every function is [any]. */
#include "plugin/host.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "log/log.h"
#include "sluice/failpoint.h"

struct sluice_host_instance {
    struct sluice_host table;
    char *node;
    const struct sluice_config *config;
    struct sluice_cancel *cancel;
    struct sluice_budget *budget;
    struct sluice_metrics *metrics;
    int64_t held;      /* atomic: bytes of the budget */
    int64_t allocated; /* atomic: bytes through realloc() */
};

/* In front of every block of realloc(); keeps the alignment of malloc. */
struct block {
    _Alignas(max_align_t) uint64_t size;
};

static void host_log(void *ctx, int32_t level, const char *message, uint64_t size)
{
    const struct sluice_host_instance *host = ctx;
    if (message == NULL) {
        return;
    }
    level = level < SLUICE_LOG_ERROR ? SLUICE_LOG_ERROR : level;
    level = level > SLUICE_LOG_TRACE ? SLUICE_LOG_TRACE : level;
    sluice_log_write(level, host->node, message, size);
}

static int32_t host_log_enabled(void *ctx, int32_t level)
{
    (void)ctx;
    return sluice_log_enabled(level);
}

static sluice_status host_config_get(void *ctx, const char *key, struct sluice_value *out)
{
    const struct sluice_host_instance *host = ctx;
    struct sluice_value value;
    if (key == NULL || out == NULL || out->struct_size < sizeof out->struct_size) {
        return SLUICE_E_INVALID;
    }
    if (host->config == NULL) {
        return SLUICE_E_NOT_FOUND;
    }
    memset(&value, 0, sizeof value);
    value.struct_size = (uint32_t)sizeof value;
    sluice_status status = sluice_config_get(host->config, key, &value);
    if (status < 0) {
        return status;
    }
    /* As much as the plugin's struct holds. */
    uint32_t size = out->struct_size < sizeof value ? out->struct_size : (uint32_t)sizeof value;
    value.struct_size = out->struct_size;
    memcpy(out, &value, size);
    return SLUICE_OK;
}

static int32_t host_cancelled(void *ctx)
{
    const struct sluice_host_instance *host = ctx;
    return sluice_cancel_raised(host->cancel);
}

static int32_t host_cancel_fd(void *ctx)
{
    const struct sluice_host_instance *host = ctx;
    return host->cancel->fd;
}

static int64_t host_now_us(void *ctx, int32_t clock)
{
    (void)ctx;
    return sluice_now_us(clock);
}

static void *host_realloc(void *ctx, void *p, uint64_t size)
{
    struct sluice_host_instance *host = ctx;
    struct block *block = p != NULL ? (struct block *)p - 1 : NULL;
    uint64_t old = block != NULL ? block->size : 0;
    if (size == 0) {
        (void)sluice_atomic_add_relaxed_i64(&host->allocated, -(int64_t)old);
        sluice_free(block);
        return NULL;
    }
    if (size > (uint64_t)INT64_MAX - sizeof *block) {
        return NULL;
    }
    block = sluice_alloc_resize(block, 1, (size_t)size + sizeof *block);
    if (block == NULL) {
        return NULL;
    }
    block->size = size;
    (void)sluice_atomic_add_relaxed_i64(&host->allocated, (int64_t)size - (int64_t)old);
    return block + 1;
}

/* Gives back at most what is held: a plugin that counts wrong must not free others' share. */
static void memory_give(struct sluice_host_instance *host, uint64_t bytes)
{
    int64_t held = sluice_atomic_load_relaxed_i64(&host->held);
    uint64_t given = 0;
    do {
        given = bytes < (uint64_t)held ? bytes : (uint64_t)held;
    } while (!__atomic_compare_exchange_n(&host->held, &held, held - (int64_t)given, 0,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    if (host->budget != NULL && given > 0) {
        sluice_budget_give(host->budget, given);
    }
    if (given < bytes) {
        sluice_log_line(SLUICE_LOG_WARN, host->node,
                        "plugin gives back more memory than it took; a bug of the plugin");
    }
}

static int32_t host_memory(void *ctx, int64_t delta, int32_t must)
{
    struct sluice_host_instance *host = ctx;
    if (delta < 0) {
        memory_give(host, delta == INT64_MIN ? (uint64_t)INT64_MAX : (uint64_t)-delta);
        return 1;
    }
    if (delta > 0 && host->budget != NULL &&
        !sluice_budget_take(host->budget, (uint64_t)delta, must != 0)) {
        return 0;
    }
    (void)sluice_atomic_add_relaxed_i64(&host->held, delta);
    return 1;
}

static struct sluice_metric *host_metric(void *ctx, int32_t kind, const char *name,
                                         const char *unit, const char *help)
{
    const struct sluice_host_instance *host = ctx;
    return sluice_metrics_get(host->metrics, kind, host->node, name, unit, help);
}

static sluice_status failpoint_hit(const char *name, struct sluice_error *err)
{
    return name != NULL ? sluice_failpoint_pass_error(name, err) : SLUICE_OK;
}

static int32_t failpoint_torn(const char *name)
{
    return name != NULL && sluice_failpoint_pass_torn(name);
}

static void failpoint_crash(void)
{
    sluice_failpoint_crash();
}

static const void *host_extension(void *ctx, const char *id)
{
    static const struct sluice_failpoint_extension failpoints = {
        .struct_size = (uint32_t)sizeof failpoints,
        .hit = failpoint_hit,
        .torn = failpoint_torn,
        .crash = failpoint_crash,
        .armed = &sluice_failpoints_armed,
    };
    (void)ctx;
    if (id != NULL && strcmp(id, SLUICE_EXTENSION_FAILPOINT) == 0) {
        return &failpoints;
    }
    return NULL;
}

sluice_status sluice_host_create(const struct sluice_host_params *params,
                                 struct sluice_host_instance **out, struct sluice_error *err)
{
    struct sluice_host_instance *host = sluice_alloc_zero(1, sizeof *host);
    char *node = sluice_alloc_string(params->node);
    if (host == NULL || node == NULL) {
        sluice_free(host);
        sluice_free(node);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "%s: out of memory", params->node);
    }
    host->node = node;
    host->config = params->config;
    host->cancel = params->cancel;
    host->budget = params->budget;
    host->metrics = params->metrics;
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
        .metric_add = sluice_metric_add,
        .metric_set = sluice_metric_set,
        .extension = host_extension,
    };
    *out = host;
    return SLUICE_OK;
}

void sluice_host_destroy(struct sluice_host_instance *host)
{
    if (host == NULL) {
        return;
    }
    int64_t held = sluice_atomic_load_relaxed_i64(&host->held);
    int64_t allocated = sluice_atomic_load_relaxed_i64(&host->allocated);
    if (held > 0) {
        sluice_log_line(SLUICE_LOG_WARN, host->node,
                        "plugin still held memory of the budget bytes=%" PRId64
                        "; given back; a bug of the plugin",
                        held);
        if (host->budget != NULL) {
            sluice_budget_give(host->budget, (uint64_t)held);
        }
    }
    if (allocated > 0) {
        sluice_log_line(SLUICE_LOG_WARN, host->node,
                        "plugin did not free what it allocated bytes=%" PRId64
                        "; a bug of the plugin",
                        allocated);
    }
    sluice_free(host->node);
    sluice_free(host);
}

const struct sluice_host *sluice_host_table(const struct sluice_host_instance *host)
{
    return &host->table;
}
