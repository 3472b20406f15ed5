/*
 * One short-lived instance of a node, for the commands that only look. [ctl]
 */
#ifndef SLUICE_FLOW_PEEK_H
#define SLUICE_FLOW_PEEK_H

#include "flow/internal.h"

struct sluice_peek {
    const struct sluice_pipeline *pipeline;
    const struct sluice_pipeline_node *node;
    int32_t mode; /* the pipeline's; full_load_only for those that only want rows */
    struct sluice_host_instance *host;
    const struct sluice_source_api *source_api; /* one of the two is set, by the node's kind */
    struct sluice_source *source;
    const struct sluice_sink_api *sink_api;
    struct sluice_sink *sink;
};

/* Transforms are looked at through chains, so for them this makes nothing. */
sluice_status sluice_peek_open(struct sluice_peek *peek, const struct sluice_pipeline *pipeline,
                               const struct sluice_pipeline_node *node,
                               struct sluice_cancel *cancel, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_peek_close(struct sluice_peek *peek);

/* The plan of everything the pipeline chooses of a source, made by discovering; streams that cannot be
 * read are in it if `problems`. */
struct sluice_peek_plan {
    struct sluice_source_plan plan;
    struct sluice_stream_select *items;
    const struct sluice_stream_select **pointers;
    size_t cap;
    size_t pointer_cap;
};
sluice_status sluice_peek_plan_make(struct sluice_peek *peek,
                                    const struct sluice_run_options *options, int problems,
                                    struct sluice_peek_plan *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_peek_plan_free(struct sluice_peek_plan *plan);

#endif /* SLUICE_FLOW_PEEK_H */
