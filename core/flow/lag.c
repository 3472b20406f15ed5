#include "flow/lag.h"

#include <string.h>

#include "base/alloc.h"
#include "flow/peek.h"

/* What all sinks of the pipeline have of a source's feeds: the smallest of their positions. */
struct least {
    const struct sluice_pipeline *pipeline;
    const char *source;
    unsigned char *data;
    uint64_t size;
    int nomem;
};

static int is_sink(const struct sluice_pipeline *pipeline, const char *id)
{
    for (size_t i = 0; i < pipeline->node_count; i++) {
        if (pipeline->nodes[i].kind == SLUICE_SINK && strcmp(pipeline->nodes[i].id, id) == 0) {
            return 1;
        }
    }
    return 0;
}

static int is_less(const struct sluice_state_feed *feed, const struct least *least)
{
    uint64_t size = feed->position_size < least->size ? feed->position_size : least->size;
    int order = memcmp(feed->position, least->data, size);
    return order < 0 || (order == 0 && feed->position_size < least->size);
}

static sluice_status look_at_feed(void *ctx, const struct sluice_state_feed *feed)
{
    struct least *least = ctx;
    if (strcmp(feed->source, least->source) != 0 || feed->position_size == 0 ||
        !is_sink(least->pipeline, feed->sink) || (least->data != NULL && !is_less(feed, least))) {
        return SLUICE_OK;
    }
    char *copy = sluice_alloc_string_n(feed->position, feed->position_size);
    if (copy == NULL) {
        least->nomem = 1;
        return SLUICE_END;
    }
    sluice_free(least->data);
    least->data = (unsigned char *)copy;
    least->size = feed->position_size;
    return SLUICE_OK;
}

/* What a source is told without looking at its tables. `created` is the caller's to free. */
static sluice_status plan_make(const struct sluice_pipeline *pipeline,
                               const struct sluice_pipeline_node *node, struct sluice_state *state,
                               struct sluice_source_plan *out, char **created,
                               struct sluice_error *err)
{
    *created = NULL;
    if (state != NULL) {
        sluice_status status = sluice_state_created_get(state, node->id, created, err);
        if (status < 0 && status != SLUICE_E_NOT_FOUND) {
            return status;
        }
        sluice_error_clear(err);
    }
    *out = (struct sluice_source_plan){.struct_size = sizeof *out,
                                       .mode = pipeline->mode,
                                       .parallelism = 1,
                                       .pipeline = pipeline->name,
                                       .node = node->id,
                                       .created = *created};
    return SLUICE_OK;
}

static int has_changes(const struct sluice_pipeline_node *node)
{
    return node->kind == SLUICE_SOURCE && (node->component->caps & SLUICE_SOURCE_CHANGES) != 0;
}

static sluice_status measure(const struct sluice_pipeline *pipeline,
                             const struct sluice_pipeline_node *node, struct sluice_state *state,
                             struct sluice_cancel *cancel, struct sluice_source_lag *out,
                             struct sluice_error *err)
{
    struct sluice_peek peek = {0};
    struct sluice_source_plan plan;
    struct least least = {.pipeline = pipeline, .source = node->id};
    char *created = NULL;
    sluice_status status = plan_make(pipeline, node, state, &plan, &created, err);
    if (status >= 0 && state != NULL) {
        status = sluice_state_feeds(state, look_at_feed, &least, err);
    }
    if (status >= 0 && least.nomem) {
        status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory");
    }
    if (status >= 0) {
        status = sluice_peek_open(&peek, pipeline, node, cancel, err);
    }
    if (status >= 0 && peek.source_api->measure == NULL) {
        status = SLUICE_E_UNSUPPORTED; /* a plugin of minor 1 */
    }
    if (status >= 0) {
        struct sluice_bytes position = {.data = least.data, .size = least.size};
        *out = (struct sluice_source_lag){.struct_size = sizeof *out,
                                          .behind_bytes = -1,
                                          .retained_bytes = -1,
                                          .remaining_bytes = -1};
        status = peek.source_api->measure(peek.source, &plan, position, out, err);
    }
    sluice_peek_close(&peek);
    sluice_free(least.data);
    sluice_free(created);
    return status;
}

sluice_status sluice_flow_lag(const struct sluice_pipeline *pipeline, struct sluice_state *state,
                              struct sluice_cancel *cancel, sluice_lag_visit visit, void *ctx,
                              struct sluice_error *err)
{
    for (size_t i = 0; i < pipeline->node_count; i++) {
        const struct sluice_pipeline_node *node = &pipeline->nodes[i];
        struct sluice_source_lag lag;
        struct sluice_error problem = SLUICE_ERROR_INIT;
        if (!has_changes(node)) {
            continue;
        }
        if (sluice_cancel_raised(cancel)) {
            return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "stopped");
        }
        sluice_status status = measure(pipeline, node, state, cancel, &lag, &problem);
        if (status != SLUICE_E_UNSUPPORTED) {
            visit(ctx, node->id, status >= 0 ? &lag : NULL, status >= 0 ? NULL : &problem);
        }
    }
    return SLUICE_OK;
}

/* ---- retire ---- */

struct retire_ctx {
    const char *node;
    sluice_check_visit visit;
    void *ctx;
    size_t failed;
};

static sluice_status pass_finding(void *vctx, const struct sluice_finding *finding)
{
    struct retire_ctx *ctx = vctx;
    ctx->failed += finding->severity >= SLUICE_FINDING_ERROR;
    ctx->visit(ctx->ctx, ctx->node, finding);
    return SLUICE_OK;
}

static void retire_source(const struct sluice_pipeline *pipeline,
                          const struct sluice_pipeline_node *node, struct sluice_state *state,
                          struct sluice_cancel *cancel, struct retire_ctx *ctx)
{
    struct sluice_peek peek = {0};
    struct sluice_source_plan plan;
    struct sluice_error err = SLUICE_ERROR_INIT;
    char *created = NULL;
    size_t failed_before = ctx->failed;
    ctx->node = node->id;
    sluice_status status = plan_make(pipeline, node, state, &plan, &created, &err);
    if (status >= 0) {
        status = sluice_peek_open(&peek, pipeline, node, cancel, &err);
    }
    if (status >= 0) {
        status = peek.source_api->retire(peek.source, &plan, pass_finding, ctx, &err);
    }
    if (status == SLUICE_E_UNSUPPORTED && created == NULL) {
        status = SLUICE_OK; /* it leaves nothing behind */
    }
    if (status >= 0 && ctx->failed == failed_before && created != NULL) {
        status = sluice_state_created_put(state, node->id, NULL, &err);
    }
    if (status < 0 && ctx->failed == failed_before) {
        const struct sluice_finding finding = {.struct_size = sizeof finding,
                                               .severity = SLUICE_FINDING_ERROR,
                                               .subject = node->id,
                                               .what = err.message};
        (void)pass_finding(ctx, &finding);
    }
    sluice_peek_close(&peek);
    sluice_free(created);
}

sluice_status sluice_flow_retire(const struct sluice_pipeline *pipeline, struct sluice_state *state,
                                 struct sluice_cancel *cancel, sluice_check_visit visit, void *ctx,
                                 size_t *failed, struct sluice_error *err)
{
    struct retire_ctx retire = {.visit = visit, .ctx = ctx};
    for (size_t i = 0; i < pipeline->node_count; i++) {
        if (sluice_cancel_raised(cancel)) {
            return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "stopped");
        }
        if (has_changes(&pipeline->nodes[i])) {
            retire_source(pipeline, &pipeline->nodes[i], state, cancel, &retire);
        }
    }
    *failed = retire.failed;
    return SLUICE_OK;
}
