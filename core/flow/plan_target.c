#include "flow/plan_target.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "flow/write.h"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a plan");
}

sluice_status sluice_plan_targets_init(struct sluice_plan_targets *targets,
                                       const struct sluice_pipeline *pipeline,
                                       struct sluice_cancel *cancel, struct sluice_error *err)
{
    *targets = (struct sluice_plan_targets){.pipeline = pipeline, .cancel = cancel};
    targets->peeks = sluice_alloc_zero(pipeline->node_count + 1, sizeof *targets->peeks);
    return targets->peeks != NULL ? SLUICE_OK : nomem(err);
}

static void forget(struct sluice_plan_targets *targets)
{
    for (size_t i = 0; i < targets->count; i++) {
        sluice_free(targets->statements[i]);
    }
    targets->count = 0;
    sluice_free(targets->refused);
    targets->refused = NULL;
    targets->target[0] = '\0';
}

void sluice_plan_targets_free(struct sluice_plan_targets *targets)
{
    forget(targets);
    sluice_free((void *)targets->statements);
    for (size_t i = 0; targets->peeks != NULL && i < targets->pipeline->node_count; i++) {
        sluice_peek_close(&targets->peeks[i]);
    }
    sluice_free(targets->peeks);
    *targets = (struct sluice_plan_targets){0};
}

static sluice_status keep(void *vctx, const struct sluice_finding *finding)
{
    struct sluice_plan_targets *targets = vctx;
    char *text = sluice_alloc_string(finding->what);
    if (text == NULL) {
        return SLUICE_E_NOMEM;
    }
    if (finding->severity == SLUICE_FINDING_ERROR) {
        sluice_free(targets->refused);
        targets->refused = text;
        return SLUICE_OK;
    }
    if (!sluice_alloc_grow((void **)&targets->statements, &targets->cap, targets->count + 1,
                           sizeof *targets->statements)) {
        sluice_free(text);
        return SLUICE_E_NOMEM;
    }
    targets->statements[targets->count++] = text;
    return SLUICE_OK;
}

static void name_target(struct sluice_plan_targets *targets, const struct sluice_write *write)
{
    char *out = targets->target;
    size_t room = sizeof targets->target;
    if (write->target_count > 1) {
        (void)snprintf(out, room, "%s.%s", write->target[0], write->target[1]);
    }
    else {
        (void)snprintf(out, room, "%s", write->target[0]);
    }
}

sluice_status sluice_plan_targets_ask(struct sluice_plan_targets *targets, size_t sink,
                                      const char *source, const struct sluice_stream_desc *desc,
                                      struct sluice_error *err)
{
    const struct sluice_pipeline *pipeline = targets->pipeline;
    const struct sluice_pipeline_node *node = &pipeline->nodes[sink];
    struct sluice_peek *peek = &targets->peeks[sink];
    struct sluice_flow_write write = {0};
    forget(targets);
    if (!sluice_flow_writes_tables(node)) {
        return SLUICE_OK;
    }
    if (peek->node == NULL) {
        SLUICE_TRY(sluice_peek_open(peek, pipeline, node, targets->cancel, err));
    }
    sluice_status status = sluice_flow_write_make(pipeline, node, source, desc, &write, err);
    if (status >= 0) {
        const struct sluice_sink_plan plan = {.struct_size = sizeof plan,
                                              .mode = pipeline->mode,
                                              .parallelism = 1,
                                              .pipeline = pipeline->name,
                                              .node = node->id,
                                              .load_id = "plan",
                                              .started_us = sluice_now_us(SLUICE_CLOCK_WALL),
                                              .on_row_error = node->on_row_error,
                                              .on_table_error = node->on_table_error,
                                              .max_rejected = node->max_rejected};
        const struct sluice_stream_begin begin = {.struct_size = sizeof begin,
                                                  .flags = pipeline->mode == SLUICE_MODE_CDC_ONLY
                                                               ? SLUICE_BEGIN_CHANGES
                                                               : SLUICE_BEGIN_LOAD,
                                                  .desc = desc,
                                                  .run = "plan",
                                                  .write = &write.write};
        name_target(targets, &write.write);
        status = peek->sink_api->describe(peek->sink, &plan, &begin, keep, targets, err);
    }
    else if (status == SLUICE_E_INVALID) { /* of this stream alone */
        targets->refused = sluice_alloc_string(err->message);
        status = targets->refused != NULL ? SLUICE_OK : nomem(err);
    }
    sluice_flow_write_free(&write);
    return status < 0 ? sluice_error_wrap(err, "sink %s", node->id) : SLUICE_OK;
}
