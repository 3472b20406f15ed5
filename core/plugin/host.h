/*
 * The host table of one component instance.
 */
#ifndef SLUICE_PLUGIN_HOST_H
#define SLUICE_PLUGIN_HOST_H

#include "base/budget.h"
#include "base/cancel.h"
#include "config/options.h"
#include "metrics/metrics.h"
#include "sluice/abi.h"

struct sluice_host_params {
    const char *node;                   /* id in the file: log scope and metric label; copied */
    const struct sluice_config *config; /* borrowed until destroy; NULL = no options */
    struct sluice_cancel *cancel;       /* borrowed until destroy */
    struct sluice_budget *budget;       /* may be NULL: everything is granted */
    struct sluice_metrics *metrics;     /* may be NULL: metric() answers NULL */
};

struct sluice_host_instance;

sluice_status sluice_host_create(const struct sluice_host_params *params,
                                 struct sluice_host_instance **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* After the plugin's destroy. Gives back budget that the plugin still held, with a warning. */
void sluice_host_destroy(struct sluice_host_instance *host);
const struct sluice_host *sluice_host_table(const struct sluice_host_instance *host);

#endif /* SLUICE_PLUGIN_HOST_H */
