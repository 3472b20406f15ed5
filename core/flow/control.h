/*
 * The controller: the one thread that opens, retries, completes and gives up. It runs on the caller
 * of sluice_engine_run; every [ctl] call of a plugin is made here.
 */
#ifndef SLUICE_FLOW_CONTROL_H
#define SLUICE_FLOW_CONTROL_H

#include "flow/internal.h"

/* Opens sinks, then sources, with retries; queues their shards. */
sluice_status sluice_control_open(struct sluice_engine *engine, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Until all is done, failed or stopped; no shard is at a worker then. */
void sluice_control_loop(struct sluice_engine *engine);
/* After the workers ended: frees what is queued, marks streams that were cut short. */
void sluice_control_end(struct sluice_engine *engine);

#endif /* SLUICE_FLOW_CONTROL_H */
