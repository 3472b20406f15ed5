/*
 * Which columns of a stream the pipeline delivers, told before anything runs. [any]
 */
#ifndef SLUICE_FLOW_COLUMNS_H
#define SLUICE_FLOW_COLUMNS_H

#include "config/pipeline.h"
#include "sluice/error.h"

/* The stream as `source` delivers it: columns that `tables:` chooses, and where changes are followed none that
 * the source does not send with them. *out is the caller's (sluice_stream_desc_free). INVALID or SCHEMA when
 * what is left is no stream, a key column gone for instance. */
sluice_status sluice_flow_columns_choose(const struct sluice_pipeline *pipeline,
                                         const struct sluice_pipeline_node *source,
                                         const struct sluice_stream_desc *desc,
                                         struct sluice_stream_desc **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

#endif /* SLUICE_FLOW_COLUMNS_H */
