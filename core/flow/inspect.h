/*
 * Looking at a pipeline without running it: check, discover, plan, preview. All [ctl].
 */
#ifndef SLUICE_FLOW_INSPECT_H
#define SLUICE_FLOW_INSPECT_H

#include "base/cancel.h"
#include "config/pipeline.h"
#include "flow/engine.h"
#include "state/state.h"

/* Connects to every node and visits its findings. `node` is the id. A node that cannot be reached
 * gives a finding of severity ERROR, never an error of the call. */
typedef void (*sluice_check_visit)(void *ctx, const char *node,
                                   const struct sluice_finding *finding);
sluice_status sluice_flow_check(const struct sluice_pipeline *pipeline,
                                struct sluice_cancel *cancel, sluice_check_visit visit, void *ctx,
                                struct sluice_error *err) SLUICE_MUST_CHECK;

/* Streams of every source; `chosen` tells whether the pipeline's tables match. */
typedef sluice_status (*sluice_discover_visit)(void *ctx, const char *source,
                                               const struct sluice_stream_desc *desc, int chosen,
                                               const struct sluice_error *problem);
sluice_status sluice_flow_discover(const struct sluice_pipeline *pipeline,
                                   struct sluice_cancel *cancel, sluice_discover_visit visit,
                                   void *ctx, struct sluice_error *err) SLUICE_MUST_CHECK;

/* What a run would do with one stream in one sink. */
enum {
    SLUICE_PLAN_LOAD = 1,
    SLUICE_PLAN_RELOAD = 2,
    SLUICE_PLAN_SKIP = 3,
    SLUICE_PLAN_REFUSED = 4
};
struct sluice_plan_stream {
    const char *source;
    const char *sink;
    const char *stream;     /* at the source */
    const char *stream_out; /* as it reaches the sink (after transforms); NULL = dropped */
    int32_t action;         /* SLUICE_PLAN_* */
    const char *reason;     /* one line */
    const struct sluice_stream_desc *desc; /* as it reaches the sink; NULL = dropped or refused */
    const char *target; /* table it goes into, for sinks over tables; NULL = other sinks */
    const char *const *statements; /* that would be run at the target first */
    size_t statement_count;
};
typedef sluice_status (*sluice_plan_visit)(void *ctx, const struct sluice_plan_stream *stream);
/* `state` may be NULL (nothing remembered). Reads only; no snapshot, slot or object is made. */
sluice_status sluice_flow_plan(const struct sluice_pipeline *pipeline, struct sluice_state *state,
                               const struct sluice_run_options *options,
                               struct sluice_cancel *cancel, sluice_plan_visit visit, void *ctx,
                               struct sluice_error *err) SLUICE_MUST_CHECK;

/* The first `limit` rows of each chosen stream through source and transforms, in front of each
 * sink; batches are borrowed by the visitor. No state, no sink. */
typedef sluice_status (*sluice_preview_visit)(void *ctx, const char *sink,
                                              const struct sluice_stream_desc *desc,
                                              const struct sluice_batch *batch);
sluice_status sluice_flow_preview(const struct sluice_pipeline *pipeline,
                                  const struct sluice_run_options *options,
                                  struct sluice_cancel *cancel, sluice_preview_visit visit,
                                  void *ctx, struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_FLOW_INSPECT_H */
