/*
 * What `write:` and `route:` say of one stream in one sink, made concrete for plugins. [any]
 */
#ifndef SLUICE_FLOW_WRITE_H
#define SLUICE_FLOW_WRITE_H

#include "config/pipeline.h"
#include "sluice/error.h"

struct sluice_flow_write {
    struct sluice_write write; /* pointers into the members below and into the pipeline */
    uint32_t *keys;
    char *target[2];
};

/* `desc` is the stream as it reaches `sink`, `source` the id of the node that it comes from. INVALID when
 * a key column is not there. Free with sluice_flow_write_free, whatever the answer. */
sluice_status sluice_flow_write_make(const struct sluice_pipeline *pipeline,
                                     const struct sluice_pipeline_node *sink, const char *source,
                                     const struct sluice_stream_desc *desc,
                                     struct sluice_flow_write *out, struct sluice_error *err);
void sluice_flow_write_free(struct sluice_flow_write *write);

/* 1 if the sink follows struct sluice_write. */
int sluice_flow_writes_tables(const struct sluice_pipeline_node *sink);

/* The rule for changed columns of a stream of that source, SLUICE_SCHEMA_*. */
int32_t sluice_flow_schema_policy(const struct sluice_pipeline *pipeline,
                                  const struct sluice_pipeline_node *source, const char *stream);

#endif /* SLUICE_FLOW_WRITE_H */
