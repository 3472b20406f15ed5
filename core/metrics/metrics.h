/*
 * Named numbers: made once, then updated without locks. [any]; reading is not a snapshot.
 */
#ifndef SLUICE_METRICS_METRICS_H
#define SLUICE_METRICS_METRICS_H

#include "base/str.h"
#include "sluice/abi.h"

struct sluice_metrics; /* a registry */

struct sluice_metrics *sluice_metrics_create(void); /* NULL = out of memory */
void sluice_metrics_destroy(struct sluice_metrics *metrics);
/* The metric of that kind, name and node label; made when absent. NULL = out of memory or another
 * kind has the name. */
struct sluice_metric *sluice_metrics_get(struct sluice_metrics *metrics, int32_t kind,
                                         const char *node, const char *name, const char *unit,
                                         const char *help);
void sluice_metric_add(struct sluice_metric *metric, int64_t delta); /* NULL is ignored */
void sluice_metric_set(struct sluice_metric *metric, int64_t value);
int64_t sluice_metric_value(const struct sluice_metric *metric);
/* Prometheus text exposition of all. */
void sluice_metrics_expose(struct sluice_metrics *metrics, struct sluice_str *out);

#endif /* SLUICE_METRICS_METRICS_H */
