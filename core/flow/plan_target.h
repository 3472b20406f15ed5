/*
 * What sinks over tables would do to their target for a stream, for `plan`. All [ctl].
 */
#ifndef SLUICE_FLOW_PLAN_TARGET_H
#define SLUICE_FLOW_PLAN_TARGET_H

#include "flow/peek.h"

struct sluice_plan_targets {
    const struct sluice_pipeline *pipeline;
    struct sluice_cancel *cancel;
    struct sluice_peek *peeks; /* per node; those of sinks that were asked are open */
    /* of the stream asked for last */
    char **statements;
    size_t count;
    size_t cap;
    char *refused; /* NULL = not */
    char target[160];
};

sluice_status sluice_plan_targets_init(struct sluice_plan_targets *targets,
                                       const struct sluice_pipeline *pipeline,
                                       struct sluice_cancel *cancel, struct sluice_error *err);
void sluice_plan_targets_free(struct sluice_plan_targets *targets);
/* Asks node `sink` about the stream; what it says is in the members until the next call. A target that cannot
 * be reached is an error of the call. */
sluice_status sluice_plan_targets_ask(struct sluice_plan_targets *targets, size_t sink,
                                      const char *source, const struct sluice_stream_desc *desc,
                                      struct sluice_error *err);

#endif /* SLUICE_FLOW_PLAN_TARGET_H */
