/*
 * check, discover and plan: short-lived instances, one at a time, nothing made at either end.
 */
#include "flow/inspect.h"
#include "flow/columns.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "flow/peek.h"
#include "flow/plan_target.h"
#include "sluice/schema.h"

/* ---- check ---- */

struct check_ctx {
    const char *node;
    sluice_check_visit visit;
    void *ctx;
};

static sluice_status pass_finding(void *vctx, const struct sluice_finding *finding)
{
    struct check_ctx *ctx = vctx;
    ctx->visit(ctx->ctx, ctx->node, finding);
    return SLUICE_OK;
}

static void report_error(struct check_ctx *ctx, const struct sluice_error *err)
{
    struct sluice_finding finding = {.struct_size = sizeof finding,
                                     .severity = SLUICE_FINDING_ERROR,
                                     .subject = ctx->node,
                                     .what = err->message};
    ctx->visit(ctx->ctx, ctx->node, &finding);
}

static void check_source(struct sluice_peek *peek, struct check_ctx *ctx)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_run_options none = {0};
    struct sluice_peek_plan plan = {0};
    const struct sluice_source_plan *with = NULL;
    if (sluice_peek_plan_make(peek, &none, 1, &plan, &err) >= 0) {
        with = &plan.plan;
        if (peek->pipeline->parallelism != 0) {
            plan.plan.parallelism = peek->pipeline->parallelism;
        }
    }
    struct sluice_error discover_err = err;
    int failed = with == NULL;
    sluice_error_clear(&err);
    if (peek->source_api->check(peek->source, with, pass_finding, ctx, &err) < 0) {
        report_error(ctx, &err);
    }
    else if (failed) {
        report_error(ctx, &discover_err);
    }
    sluice_peek_plan_free(&plan);
}

static void check_sink(struct sluice_peek *peek, struct check_ctx *ctx)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_sink_plan plan = {.struct_size = sizeof plan,
                                    .mode = peek->pipeline->mode,
                                    .parallelism = 1,
                                    .pipeline = peek->pipeline->name,
                                    .node = peek->node->id,
                                    .load_id = "check",
                                    .started_us = sluice_now_us(SLUICE_CLOCK_WALL)};
    sluice_status status = peek->sink_api->check(peek->sink, &plan, pass_finding, ctx, &err);
    if (status < 0 && status != SLUICE_E_UNSUPPORTED) {
        report_error(ctx, &err);
    }
}

sluice_status sluice_flow_check(const struct sluice_pipeline *pipeline,
                                struct sluice_cancel *cancel, sluice_check_visit visit, void *ctx,
                                struct sluice_error *err)
{
    for (size_t i = 0; i < pipeline->node_count; i++) {
        const struct sluice_pipeline_node *node = &pipeline->nodes[i];
        if (sluice_cancel_raised(cancel)) {
            return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "stopped");
        }
        struct check_ctx check = {.node = node->id, .visit = visit, .ctx = ctx};
        struct sluice_peek peek = {0};
        struct sluice_error node_err = SLUICE_ERROR_INIT;
        if (sluice_peek_open(&peek, pipeline, node, cancel, &node_err) < 0) {
            report_error(&check, &node_err);
        }
        else if (node->kind == SLUICE_SOURCE) {
            check_source(&peek, &check);
        }
        else if (node->kind == SLUICE_SINK) {
            check_sink(&peek, &check);
        }
        sluice_peek_close(&peek);
    }
    return SLUICE_OK;
}

/* ---- discover ---- */

struct discover_ctx {
    const struct sluice_pipeline_node *node;
    sluice_discover_visit visit;
    void *ctx;
};

static sluice_status pass_stream(void *vctx, const struct sluice_stream_desc *desc,
                                 const struct sluice_error *problem)
{
    struct discover_ctx *ctx = vctx;
    static const struct sluice_run_options none = {0};
    int chosen = sluice_flow_chooses(ctx->node, &none, desc);
    return ctx->visit(ctx->ctx, ctx->node->id, desc, chosen, problem);
}

sluice_status sluice_flow_discover(const struct sluice_pipeline *pipeline,
                                   struct sluice_cancel *cancel, sluice_discover_visit visit,
                                   void *ctx, struct sluice_error *err)
{
    for (size_t i = 0; i < pipeline->node_count; i++) {
        const struct sluice_pipeline_node *node = &pipeline->nodes[i];
        if (node->kind != SLUICE_SOURCE) {
            continue;
        }
        struct sluice_peek peek = {0};
        struct discover_ctx discover = {.node = node, .visit = visit, .ctx = ctx};
        sluice_status status = sluice_peek_open(&peek, pipeline, node, cancel, err);
        if (status >= 0) {
            status = peek.source_api->discover(peek.source, pass_stream, &discover, err);
        }
        sluice_peek_close(&peek);
        if (status < 0) {
            return sluice_error_wrap(err, "source %s", node->id);
        }
    }
    return SLUICE_OK;
}

/* ---- plan ---- */

struct plan_ctx {
    const struct sluice_pipeline *pipeline;
    const struct sluice_run_options *options;
    struct sluice_state *state;
    struct sluice_map done;
    int resuming;
    sluice_plan_visit visit;
    void *ctx;
    struct sluice_error *err;
    const struct sluice_pipeline_node *node;
    struct sluice_tree tree;
    struct sluice_chain chain;
    unsigned char *met; /* patterns that met a table */
    struct sluice_plan_targets targets;
};

static sluice_status keep_done(void *vctx, const struct sluice_state_stream *stream)
{
    struct plan_ctx *ctx = vctx;
    if (stream->status != SLUICE_STATE_STREAM_COMPLETE) {
        return SLUICE_OK;
    }
    struct sluice_str key = SLUICE_STR_INIT;
    sluice_str_printf(&key, "%s\x1f%s\x1f%s", stream->source, stream->stream, stream->sink);
    int ok = !key.failed && sluice_map_put(&ctx->done, key.data, ctx);
    sluice_str_free(&key);
    return ok ? SLUICE_OK : SLUICE_E_NOMEM;
}

static int is_done(const struct plan_ctx *ctx, const char *stream, const char *sink)
{
    struct sluice_str key = SLUICE_STR_INIT;
    sluice_str_printf(&key, "%s\x1f%s\x1f%s", ctx->node->id, stream, sink);
    int done = !key.failed && sluice_map_has(&ctx->done, key.data);
    sluice_str_free(&key);
    return done;
}

static sluice_status plan_refused(struct plan_ctx *ctx, const struct sluice_stream_desc *desc,
                                  const char *reason)
{
    for (size_t i = 0; i < ctx->tree.leaf_count; i++) {
        struct sluice_plan_stream out = {
            .source = ctx->node->id,
            .sink = ctx->pipeline->nodes[ctx->tree.nodes[ctx->tree.leaves[i]].node].id,
            .stream = desc->name,
            .action = SLUICE_PLAN_REFUSED,
            .reason = reason};
        SLUICE_TRY(ctx->visit(ctx->ctx, &out));
    }
    return SLUICE_OK;
}

/* What the sink would do to its target. A target that cannot be reached refuses the plan as a whole. */
static sluice_status plan_target(struct plan_ctx *ctx, size_t sink, struct sluice_plan_stream *out)
{
    SLUICE_TRY(sluice_plan_targets_ask(&ctx->targets, sink, ctx->node->id, out->desc, ctx->err));
    out->target = ctx->targets.target[0] != '\0' ? ctx->targets.target : NULL;
    out->statements = (const char *const *)ctx->targets.statements;
    out->statement_count = ctx->targets.count;
    if (ctx->targets.refused != NULL) {
        out->action = SLUICE_PLAN_REFUSED;
        out->reason = ctx->targets.refused;
    }
    return SLUICE_OK;
}

static sluice_status plan_leaves(struct plan_ctx *ctx, const struct sluice_stream_desc *desc)
{
    for (size_t i = 0; i < ctx->tree.leaf_count; i++) {
        const struct sluice_stream_desc *leaf = sluice_chain_leaf(&ctx->chain, i);
        size_t node = ctx->tree.nodes[ctx->tree.leaves[i]].node;
        const char *sink = ctx->pipeline->nodes[node].id;
        struct sluice_plan_stream out = {.source = ctx->node->id,
                                         .sink = sink,
                                         .stream = desc->name,
                                         .stream_out = leaf != NULL ? leaf->name : NULL,
                                         .desc = leaf,
                                         .action = SLUICE_PLAN_LOAD,
                                         .reason = "full load"};
        if (leaf == NULL) {
            out.action = SLUICE_PLAN_SKIP;
            out.reason = "dropped by a transform";
        }
        else if (is_done(ctx, desc->name, sink)) {
            out.action = SLUICE_PLAN_SKIP;
            out.reason = "complete since an earlier run of this load";
        }
        else if (ctx->resuming) {
            out.action = SLUICE_PLAN_RELOAD;
            out.reason = "the unfinished load goes on: read anew as a whole";
        }
        if (leaf != NULL && out.action != SLUICE_PLAN_SKIP) {
            SLUICE_TRY(plan_target(ctx, node, &out));
        }
        SLUICE_TRY(ctx->visit(ctx->ctx, &out));
    }
    return SLUICE_OK;
}

static sluice_status plan_stream(void *vctx, const struct sluice_stream_desc *desc,
                                 const struct sluice_error *problem)
{
    struct plan_ctx *ctx = vctx;
    sluice_tables_note(&ctx->node->tables, desc->name, ctx->met);
    if (!sluice_flow_chooses(ctx->node, ctx->options, desc)) {
        return SLUICE_OK;
    }
    if (problem != NULL) {
        return plan_refused(ctx, desc, problem->message);
    }
    struct sluice_stream_desc *chosen = NULL;
    if (sluice_flow_columns_choose(ctx->pipeline, ctx->node, desc, &chosen, ctx->err) < 0) {
        return plan_refused(ctx, desc, ctx->err->message);
    }
    sluice_status status = sluice_chain_bind(&ctx->chain, chosen, ctx->err) < 0
                               ? plan_refused(ctx, desc, ctx->err->message)
                               : plan_leaves(ctx, desc);
    sluice_stream_desc_free(chosen);
    return status;
}

static sluice_status plan_source(struct plan_ctx *ctx, size_t i, struct sluice_cancel *cancel,
                                 struct sluice_error *err)
{
    struct sluice_peek peek = {0};
    struct sluice_flow_env env = {.pipeline = ctx->pipeline, .cancel = cancel};
    ctx->node = &ctx->pipeline->nodes[i];
    ctx->met = sluice_alloc_zero(sluice_tables_patterns(&ctx->node->tables) + 1, 1);
    if (ctx->met == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory");
    }
    sluice_status status = sluice_tree_build(ctx->pipeline, i, &ctx->tree, err);
    if (status >= 0) {
        status = sluice_chain_open(&ctx->chain, &env, &ctx->tree, NULL, NULL, err);
    }
    if (status >= 0) {
        status = sluice_peek_open(&peek, ctx->pipeline, ctx->node, cancel, err);
    }
    if (status >= 0) {
        status = peek.source_api->discover(peek.source, plan_stream, ctx, err);
        if (status < 0 && ctx->err->status < 0 && err->message[0] == '\0') {
            *err = *ctx->err; /* a sink's, out of the visit */
        }
    }
    if (status >= 0) {
        sluice_flow_warn_unmatched(ctx->node, ctx->met);
    }
    sluice_free(ctx->met);
    sluice_peek_close(&peek);
    sluice_chain_close(&ctx->chain);
    sluice_tree_free(&ctx->tree);
    return status < 0 ? sluice_error_wrap(err, "source %s", ctx->node->id) : SLUICE_OK;
}

sluice_status sluice_flow_plan(const struct sluice_pipeline *pipeline, struct sluice_state *state,
                               const struct sluice_run_options *options,
                               struct sluice_cancel *cancel, sluice_plan_visit visit, void *vctx,
                               struct sluice_error *err)
{
    struct sluice_error plan_err = SLUICE_ERROR_INIT;
    struct plan_ctx ctx = {.pipeline = pipeline,
                           .options = options,
                           .state = state,
                           .visit = visit,
                           .ctx = vctx,
                           .err = &plan_err};
    sluice_status status = SLUICE_OK;
    struct sluice_state_load load = {0};
    if (state != NULL && options->table_count == 0 && options->row_limit == 0) {
        status = sluice_state_load_last(state, &load, err);
        if (status >= 0 && load.finished_us == 0) {
            ctx.resuming = 1;
            status = sluice_state_streams(state, load.load_id, keep_done, &ctx, err);
        }
        else if (status == SLUICE_E_NOT_FOUND) {
            status = SLUICE_OK;
        }
    }
    if (status >= 0) {
        status = sluice_plan_targets_init(&ctx.targets, pipeline, cancel, err);
    }
    for (size_t i = 0; status >= 0 && i < pipeline->node_count; i++) {
        if (pipeline->nodes[i].kind == SLUICE_SOURCE) {
            status = plan_source(&ctx, i, cancel, err);
        }
    }
    sluice_plan_targets_free(&ctx.targets);
    sluice_map_free(&ctx.done);
    return status < 0 ? status : SLUICE_OK;
}
