/*
 * What stands at the sources because of a pipeline: how far its feeds are behind, and dropping what
 * it has made there. Short-lived instances, no tables are asked for. All [ctl].
 */
#ifndef SLUICE_FLOW_LAG_H
#define SLUICE_FLOW_LAG_H

#include "base/cancel.h"
#include "config/pipeline.h"
#include "flow/inspect.h"
#include "state/state.h"

/* `lag` of a source's feed behind what all sinks have, or NULL and why not. */
typedef void (*sluice_lag_visit)(void *ctx, const char *source, const struct sluice_source_lag *lag,
                                 const struct sluice_error *problem);
/* Visits every source that can deliver changes. `state` may be NULL. A source that cannot be reached
 * is a problem of the visit, never of the call. */
sluice_status sluice_flow_lag(const struct sluice_pipeline *pipeline, struct sluice_state *state,
                              struct sluice_cancel *cancel, sluice_lag_visit visit, void *ctx,
                              struct sluice_error *err) SLUICE_MUST_CHECK;

/* Asks every source that can deliver changes to drop what the pipeline made there, and forgets in
 * `state` (opened RUN; may be NULL) what was dropped. Failures are findings of severity ERROR;
 * *failed counts them. */
sluice_status sluice_flow_retire(const struct sluice_pipeline *pipeline, struct sluice_state *state,
                                 struct sluice_cancel *cancel, sluice_check_visit visit, void *ctx,
                                 size_t *failed, struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_FLOW_LAG_H */
