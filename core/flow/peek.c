#include "flow/peek.h"

#include "base/alloc.h"

sluice_status sluice_peek_open(struct sluice_peek *peek, const struct sluice_pipeline *pipeline,
                               const struct sluice_pipeline_node *node,
                               struct sluice_cancel *cancel, struct sluice_error *err)
{
    *peek = (struct sluice_peek){.pipeline = pipeline, .node = node, .mode = pipeline->mode};
    if (node->kind == SLUICE_TRANSFORM) {
        return SLUICE_OK;
    }
    struct sluice_host_params params = {.node = node->id, .config = node->config, .cancel = cancel};
    SLUICE_TRY(sluice_host_create(&params, &peek->host, err));
    if (node->kind == SLUICE_SOURCE) {
        peek->source_api = node->component->source;
        return peek->source_api->create(sluice_host_table(peek->host), &peek->source, err);
    }
    peek->sink_api = node->component->sink;
    return peek->sink_api->create(sluice_host_table(peek->host), &peek->sink, err);
}

void sluice_peek_close(struct sluice_peek *peek)
{
    if (peek->source != NULL) {
        peek->source_api->destroy(peek->source);
    }
    if (peek->sink != NULL) {
        peek->sink_api->destroy(peek->sink);
    }
    sluice_host_destroy(peek->host);
    *peek = (struct sluice_peek){0};
}

struct make_ctx {
    struct sluice_peek *peek;
    const struct sluice_run_options *options;
    int problems;
    struct sluice_peek_plan *out;
    size_t count;
};

/* What a run in that mode would ask of a stream. */
static uint32_t select_flags(int32_t mode)
{
    switch (mode) {
    case SLUICE_MODE_CDC_ONLY:
        return SLUICE_SELECT_CHANGES;
    case SLUICE_MODE_FULL_LOAD_AND_CDC:
        return SLUICE_SELECT_LOAD | SLUICE_SELECT_CHANGES;
    default:
        return SLUICE_SELECT_LOAD;
    }
}

static sluice_status keep_select(void *vctx, const struct sluice_stream_desc *desc,
                                 const struct sluice_error *problem)
{
    struct make_ctx *ctx = vctx;
    struct sluice_peek_plan *out = ctx->out;
    if ((problem != NULL && !ctx->problems) ||
        !sluice_flow_chooses(ctx->peek->node, ctx->options, desc)) {
        return SLUICE_OK;
    }
    if (!sluice_alloc_grow((void **)&out->items, &out->cap, ctx->count + 1, sizeof *out->items)) {
        return SLUICE_E_NOMEM;
    }
    struct sluice_table_rule rule = {0};
    sluice_tables_rule(&ctx->peek->node->tables, desc->name, &rule);
    char *name = sluice_alloc_string(desc->name);
    if (name == NULL) {
        return SLUICE_E_NOMEM;
    }
    out->items[ctx->count++] =
        (struct sluice_stream_select){.struct_size = sizeof *out->items,
                                      .flags = select_flags(ctx->peek->mode),
                                      .name = name,
                                      .include_count = (uint32_t)rule.include_count,
                                      .exclude_count = (uint32_t)rule.exclude_count,
                                      .include_columns = (const char *const *)rule.include_columns,
                                      .exclude_columns = (const char *const *)rule.exclude_columns,
                                      .where = rule.where};
    out->plan.stream_count = (uint32_t)ctx->count;
    return SLUICE_OK;
}

sluice_status sluice_peek_plan_make(struct sluice_peek *peek,
                                    const struct sluice_run_options *options, int problems,
                                    struct sluice_peek_plan *out, struct sluice_error *err)
{
    *out = (struct sluice_peek_plan){0};
    struct make_ctx ctx = {.peek = peek, .options = options, .problems = problems, .out = out};
    SLUICE_TRY(peek->source_api->discover(peek->source, keep_select, &ctx, err));
    out->pointers = sluice_alloc_zero(ctx.count + 1, sizeof *out->pointers);
    if (out->pointers == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a plan");
    }
    for (size_t i = 0; i < ctx.count; i++) {
        out->pointers[i] = &out->items[i];
    }
    out->plan = (struct sluice_source_plan){.struct_size = sizeof out->plan,
                                            .mode = peek->mode,
                                            .parallelism = 1,
                                            .pipeline = peek->pipeline->name,
                                            .node = peek->node->id,
                                            .split_bytes = peek->node->split_bytes,
                                            .row_limit = options->row_limit,
                                            .stream_count = (uint32_t)ctx.count,
                                            .streams = out->pointers};
    return SLUICE_OK;
}

void sluice_peek_plan_free(struct sluice_peek_plan *plan)
{
    for (size_t i = 0; plan->items != NULL && i < plan->plan.stream_count; i++) {
        sluice_free((void *)(uintptr_t)plan->items[i].name);
    }
    sluice_free(plan->items);
    sluice_free(plan->pointers);
    *plan = (struct sluice_peek_plan){0};
}
