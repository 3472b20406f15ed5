#include "flow/letters.h"

#include <string.h>

#include "base/clock.h"
#include "flow/peek.h"

static struct sluice_sink_plan plan_of(const struct sluice_pipeline *pipeline,
                                       const struct sluice_pipeline_node *node)
{
    const struct sluice_sink_plan plan = {.struct_size = sizeof plan,
                                          .mode = pipeline->mode,
                                          .parallelism = 1,
                                          .pipeline = pipeline->name,
                                          .node = node->id,
                                          .load_id = "dlq",
                                          .started_us = sluice_now_us(SLUICE_CLOCK_WALL)};
    return plan;
}

struct letters_ctx {
    const char *sink;
    sluice_flow_letter_visit visit;
    void *ctx;
};

static sluice_status pass(void *vctx, const struct sluice_letter *letter)
{
    const struct letters_ctx *ctx = vctx;
    return ctx->visit(ctx->ctx, ctx->sink, letter);
}

sluice_status sluice_flow_letters(const struct sluice_pipeline *pipeline, const char *stream,
                                  uint64_t from, struct sluice_cancel *cancel,
                                  sluice_flow_letter_visit visit, void *ctx, size_t *kept,
                                  struct sluice_error *err)
{
    *kept = 0;
    for (size_t i = 0; i < pipeline->node_count; i++) {
        const struct sluice_pipeline_node *node = &pipeline->nodes[i];
        if (node->kind != SLUICE_SINK || (node->component->caps & SLUICE_SINK_TABLES) == 0) {
            continue;
        }
        struct sluice_peek peek = {0};
        struct letters_ctx each = {node->id, visit, ctx};
        const struct sluice_sink_plan plan = plan_of(pipeline, node);
        sluice_status status = sluice_peek_open(&peek, pipeline, node, cancel, err);
        if (status >= 0) {
            status = peek.sink_api->letters(peek.sink, &plan, stream, from, pass, &each, err);
        }
        sluice_peek_close(&peek);
        if (status == SLUICE_E_UNSUPPORTED) {
            sluice_error_clear(err);
            continue;
        }
        if (status < 0) {
            return sluice_error_wrap(err, "sink %s", node->id);
        }
        (*kept)++;
    }
    return SLUICE_OK;
}

sluice_status sluice_flow_replay(const struct sluice_pipeline *pipeline, const char *sink,
                                 uint64_t id, const char *row, struct sluice_cancel *cancel,
                                 struct sluice_error *err)
{
    for (size_t i = 0; i < pipeline->node_count; i++) {
        const struct sluice_pipeline_node *node = &pipeline->nodes[i];
        if (node->kind != SLUICE_SINK || strcmp(node->id, sink) != 0) {
            continue;
        }
        struct sluice_peek peek = {0};
        const struct sluice_sink_plan plan = plan_of(pipeline, node);
        sluice_status status = sluice_peek_open(&peek, pipeline, node, cancel, err);
        if (status >= 0) {
            status = peek.sink_api->replay(peek.sink, &plan, id, row, err);
        }
        sluice_peek_close(&peek);
        return status;
    }
    return sluice_error_set(err, SLUICE_E_INVALID, 0, "there is no sink %s", sink);
}
