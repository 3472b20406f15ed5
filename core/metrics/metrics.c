/* Metrics: a list under a mutex, values updated without it. */
#include "metrics/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/atomic.h"

struct sluice_metric {
    int64_t value; /* atomic */
    int32_t kind;
    int32_t first; /* first of its name: carries HELP and TYPE */
    char *node;
    char *name; /* full exposition name */
    char *help;
};

struct sluice_metrics {
    pthread_mutex_t mutex;
    struct sluice_metric **items; /* under the mutex; what they point to stays */
    size_t count;
    size_t cap;
};

struct sluice_metrics *sluice_metrics_create(void)
{
    struct sluice_metrics *metrics = sluice_alloc_zero(1, sizeof *metrics);
    if (metrics != NULL) {
        (void)pthread_mutex_init(&metrics->mutex, NULL);
    }
    return metrics;
}

static void metric_free(struct sluice_metric *metric)
{
    if (metric != NULL) {
        sluice_free(metric->node);
        sluice_free(metric->name);
        sluice_free(metric->help);
        sluice_free(metric);
    }
}

void sluice_metrics_destroy(struct sluice_metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    for (size_t i = 0; i < metrics->count; i++) {
        metric_free(metrics->items[i]);
    }
    sluice_free(metrics->items);
    (void)pthread_mutex_destroy(&metrics->mutex);
    sluice_free(metrics);
}

static int ends_with(const struct sluice_str *s, const char *tail)
{
    size_t size = strlen(tail);
    return s->size >= size && memcmp(s->data + s->size - size, tail, size) == 0;
}

/* Appends with '_' in place of what Prometheus does not allow in names. */
static void append_name(struct sluice_str *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        int allowed = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                      (*p >= '0' && *p <= '9') || *p == '_' || *p == ':';
        sluice_str_append_char(out, allowed ? *p : '_');
    }
}

/* sluice_<name>[_<unit>][_total], nothing twice. */
static char *full_name(int32_t kind, const char *name, const char *unit)
{
    struct sluice_str full = SLUICE_STR_INIT;
    struct sluice_str tail = SLUICE_STR_INIT;
    if (strncmp(name, "sluice_", 7) != 0) {
        sluice_str_append(&full, "sluice_");
    }
    append_name(&full, name);
    int total = kind == SLUICE_METRIC_COUNTER;
    if (unit != NULL && unit[0] != '\0') {
        sluice_str_append_char(&tail, '_');
        append_name(&tail, unit);
        if (tail.failed) {
            full.failed = 1;
        }
        else if (!full.failed && !ends_with(&full, tail.data) && !ends_with(&full, "_total")) {
            sluice_str_append(&full, tail.data);
        }
    }
    if (total && !full.failed && !ends_with(&full, "_total")) {
        sluice_str_append(&full, "_total");
    }
    sluice_str_free(&tail);
    return sluice_str_steal(&full);
}

static struct sluice_metric *metric_new(int32_t kind, const char *node, const char *name,
                                        const char *help)
{
    struct sluice_metric *metric = sluice_alloc_zero(1, sizeof *metric);
    if (metric == NULL) {
        return NULL;
    }
    metric->kind = kind;
    metric->node = sluice_alloc_string(node);
    metric->name = sluice_alloc_string(name);
    metric->help = sluice_alloc_string(help);
    if (metric->node == NULL || metric->name == NULL || metric->help == NULL) {
        metric_free(metric);
        return NULL;
    }
    return metric;
}

/* With the mutex held. */
static struct sluice_metric *metric_get(struct sluice_metrics *metrics, int32_t kind,
                                        const char *node, const char *full, const char *help)
{
    int first = 1;
    for (size_t i = 0; i < metrics->count; i++) {
        struct sluice_metric *metric = metrics->items[i];
        if (strcmp(metric->name, full) != 0) {
            continue;
        }
        if (metric->kind != kind) {
            return NULL;
        }
        if (strcmp(metric->node, node) == 0) {
            return metric;
        }
        first = 0;
    }
    if (!sluice_alloc_grow((void **)&metrics->items, &metrics->cap, metrics->count + 1,
                           sizeof(struct sluice_metric *))) {
        return NULL;
    }
    struct sluice_metric *metric = metric_new(kind, node, full, help);
    if (metric != NULL) {
        metric->first = first;
        metrics->items[metrics->count++] = metric;
    }
    return metric;
}

struct sluice_metric *sluice_metrics_get(struct sluice_metrics *metrics, int32_t kind,
                                         const char *node, const char *name, const char *unit,
                                         const char *help)
{
    if (metrics == NULL || name == NULL || name[0] == '\0' ||
        (kind != SLUICE_METRIC_COUNTER && kind != SLUICE_METRIC_GAUGE)) {
        return NULL;
    }
    char *full = full_name(kind, name, unit);
    if (full == NULL) {
        return NULL;
    }
    (void)pthread_mutex_lock(&metrics->mutex);
    struct sluice_metric *metric =
        metric_get(metrics, kind, node != NULL ? node : "", full, help != NULL ? help : "");
    (void)pthread_mutex_unlock(&metrics->mutex);
    sluice_free(full);
    return metric;
}

void sluice_metric_add(struct sluice_metric *metric, int64_t delta)
{
    if (metric != NULL) {
        (void)sluice_atomic_add_relaxed_i64(&metric->value, delta);
    }
}

void sluice_metric_set(struct sluice_metric *metric, int64_t value)
{
    if (metric != NULL) {
        sluice_atomic_store_relaxed_i64(&metric->value, value);
    }
}

int64_t sluice_metric_value(const struct sluice_metric *metric)
{
    return metric != NULL ? sluice_atomic_load_relaxed_i64(&metric->value) : 0;
}

/* Escapes for HELP text, and for label values with quotes. */
static void append_escaped(struct sluice_str *out, const char *text, int quotes)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\\') {
            sluice_str_append(out, "\\\\");
        }
        else if (*p == '\n') {
            sluice_str_append(out, "\\n");
        }
        else if (*p == '"' && quotes) {
            sluice_str_append(out, "\\\"");
        }
        else {
            sluice_str_append_char(out, *p);
        }
    }
}

static void expose_one(const struct sluice_metric *metric, struct sluice_str *out)
{
    sluice_str_append(out, metric->name);
    if (metric->node[0] != '\0') {
        sluice_str_append(out, "{node=\"");
        append_escaped(out, metric->node, 1);
        sluice_str_append(out, "\"}");
    }
    sluice_str_printf(out, " %" PRId64 "\n", sluice_metric_value(metric));
}

void sluice_metrics_expose(struct sluice_metrics *metrics, struct sluice_str *out)
{
    (void)pthread_mutex_lock(&metrics->mutex);
    for (size_t i = 0; i < metrics->count; i++) {
        const struct sluice_metric *head = metrics->items[i];
        if (!head->first) {
            continue;
        }
        if (head->help[0] != '\0') {
            sluice_str_printf(out, "# HELP %s ", head->name);
            append_escaped(out, head->help, 0);
            sluice_str_append_char(out, '\n');
        }
        sluice_str_printf(out, "# TYPE %s %s\n", head->name,
                          head->kind == SLUICE_METRIC_COUNTER ? "counter" : "gauge");
        for (size_t j = i; j < metrics->count; j++) {
            if (strcmp(metrics->items[j]->name, head->name) == 0) {
                expose_one(metrics->items[j], out);
            }
        }
    }
    (void)pthread_mutex_unlock(&metrics->mutex);
}
