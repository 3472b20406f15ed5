#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "flow/feed.h"
#include "log/log.h"
#include "sluice/position.h"
#include "sluice/struct.h"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a source");
}

sluice_status sluice_flow_source_init(struct sluice_engine *engine,
                                      struct sluice_flow_source *source, size_t node,
                                      struct sluice_error *err)
{
    source->engine = engine;
    source->node = &engine->pipeline->nodes[node];
    source->api = source->node->component->source;
    SLUICE_TRY(sluice_tree_build(engine->pipeline, node, &source->tree, err));
    source->leaf_sinks = sluice_alloc_zero(source->tree.leaf_count, sizeof *source->leaf_sinks);
    if (source->leaf_sinks == NULL) {
        return nomem(err);
    }
    for (size_t i = 0; i < source->tree.leaf_count; i++) {
        const struct sluice_pipeline_node *sink =
            &engine->pipeline->nodes[source->tree.nodes[source->tree.leaves[i]].node];
        for (size_t k = 0; k < engine->sink_count; k++) {
            if (engine->sinks[k].node == sink) {
                source->leaf_sinks[i] = &engine->sinks[k];
            }
        }
    }
    sluice_flow_backoff_init(&source->backoff, &source->node->retry);
    return SLUICE_OK;
}

void sluice_flow_source_free(struct sluice_flow_source *source)
{
    sluice_flow_source_close(source);
    sluice_feeds_free(source);
    for (size_t i = 0; i < source->stream_count; i++) {
        sluice_flow_stream_free(source->streams[i]);
    }
    sluice_free(source->streams);
    sluice_map_free(&source->by_name);
    sluice_free(source->leaf_sinks);
    sluice_tree_free(&source->tree);
}

void sluice_flow_source_close(struct sluice_flow_source *source)
{
    pthread_mutex_lock(&source->engine->mutex);
    struct sluice_source *src = source->src;
    source->src = NULL;
    pthread_mutex_unlock(&source->engine->mutex);
    if (src != NULL) {
        source->api->destroy(src);
    }
    sluice_host_destroy(source->host);
    source->host = NULL;
}

static sluice_status create_instance(struct sluice_flow_source *source, struct sluice_error *err)
{
    struct sluice_engine *engine = source->engine;
    struct sluice_host_params params = {.node = source->node->id,
                                        .config = source->node->config,
                                        .cancel = &engine->cancel,
                                        .budget = &engine->budget,
                                        .metrics = engine->metrics};
    SLUICE_TRY(sluice_host_create(&params, &source->host, err));
    struct sluice_source *src = NULL;
    SLUICE_TRY(source->api->create(sluice_host_table(source->host), &src, err));
    pthread_mutex_lock(&engine->mutex);
    source->src = src;
    pthread_mutex_unlock(&engine->mutex);
    return SLUICE_OK;
}

/* ---- the plan of what to read ---- */

struct selects {
    struct sluice_stream_select *items;
    const struct sluice_stream_select **pointers;
    uint32_t count;
};

/* What the sinks have of it that changes go on from. */
static struct sluice_bytes since(const struct sluice_flow_stream *stream)
{
    struct sluice_bytes out = {NULL, 0};
    for (size_t i = 0; i < stream->source->tree.leaf_count; i++) {
        const struct sluice_flow_leaf *leaf = &stream->leaves[i];
        const struct sluice_bytes at = {leaf->position, leaf->position_size};
        if (leaf->follows && leaf->complete && at.size > 0 && !atomic_load(&leaf->failed) &&
            (out.size == 0 || sluice_position_compare(at, out) < 0)) {
            out = at;
        }
    }
    return out;
}

static sluice_status make_selects(struct sluice_flow_source *source, struct selects *out,
                                  struct sluice_error *err)
{
    out->items = sluice_alloc_zero(source->stream_count + 1, sizeof *out->items);
    out->pointers = sluice_alloc_zero(source->stream_count + 1, sizeof *out->pointers);
    if (out->items == NULL || out->pointers == NULL) {
        return nomem(err);
    }
    for (size_t i = 0; i < source->stream_count; i++) {
        struct sluice_flow_stream *stream = source->streams[i];
        if (!stream->selected && !stream->follows) {
            continue;
        }
        struct sluice_table_rule rule = {0};
        sluice_tables_rule(&source->node->tables, stream->name, &rule);
        out->items[out->count] = (struct sluice_stream_select){
            .struct_size = sizeof out->items[0],
            .flags = (stream->selected ? SLUICE_SELECT_LOAD : 0u) |
                     (stream->follows ? SLUICE_SELECT_CHANGES : 0u),
            .name = stream->name,
            .include_count = (uint32_t)rule.include_count,
            .exclude_count = (uint32_t)rule.exclude_count,
            .include_columns = (const char *const *)rule.include_columns,
            .exclude_columns = (const char *const *)rule.exclude_columns,
            .where = rule.where,
            .since = since(stream)};
        out->pointers[out->count] = &out->items[out->count];
        out->count++;
    }
    return SLUICE_OK;
}

struct open_ctx {
    struct sluice_flow_source *source;
    struct sluice_chain *binder;
    struct sluice_error *err;
};

static sluice_status keep_opened(void *vctx, const struct sluice_stream_desc *desc,
                                 const struct sluice_error *problem)
{
    struct open_ctx *ctx = vctx;
    struct sluice_flow_stream *stream = sluice_flow_source_stream(ctx->source, desc->name);
    if (stream == NULL || (!stream->selected && !stream->follows)) {
        return SLUICE_OK; /* not asked for */
    }
    int must = !stream->selected || sluice_flow_stream_has_leaf(stream);
    if (problem != NULL && must) {
        return sluice_flow_refuse_to_leave(stream, problem, ctx->err);
    }
    if (problem != NULL) {
        sluice_flow_stream_fail(stream, problem);
        stream->selected = 0;
        stream->follows = 0;
        return SLUICE_OK;
    }
    sluice_status status = sluice_flow_stream_bind(stream, desc, ctx->binder, ctx->err);
    if (status < 0 && !must && (ctx->err->flags & SLUICE_ERROR_FATAL) == 0) {
        sluice_flow_stream_fail(stream, ctx->err);
        stream->selected = 0;
        stream->follows = 0;
        return SLUICE_OK;
    }
    if (status >= 0 && stream->follows) {
        sluice_stream_desc_free(stream->feed_desc);
        stream->feed_desc = sluice_stream_desc_copy(desc);
        status = stream->feed_desc != NULL ? SLUICE_OK : nomem(ctx->err);
    }
    stream->opened = 1;
    return status;
}

/* 1 if what was read from the source before is gone on with. */
static int is_bound(const struct sluice_engine *engine, const struct sluice_flow_source *source)
{
    for (size_t i = 0; i < engine->kept_feed_count; i++) {
        const struct sluice_flow_kept_feed *kept = &engine->kept_feeds[i];
        if (kept->position.size > 0 && strcmp(kept->source, source->node->id) == 0) {
            return 1; /* also in a run that only loads: the next one may follow it again */
        }
    }
    return engine->resumed;
}

static sluice_status check_identity(struct sluice_flow_source *source, const char *identity,
                                    struct sluice_error *err)
{
    struct sluice_engine *engine = source->engine;
    if (engine->state == NULL || identity == NULL) {
        return SLUICE_OK;
    }
    char *known = NULL;
    sluice_status status = sluice_state_identity_get(engine->state, source->node->id, &known, err);
    if (status < 0 && status != SLUICE_E_NOT_FOUND) {
        return status;
    }
    int same = known != NULL && strcmp(known, identity) == 0;
    if (known != NULL && !same && is_bound(engine, source)) {
        status = sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "this is another database or timeline (%s) than the one that the pipeline began with "
            "(%s): what it holds does not follow on what was read (hint: point the pipeline "
            "back at that one, or begin anew: sluice state reset %s)",
            identity, known, engine->pipeline->file);
        sluice_free(known);
        return status;
    }
    sluice_free(known);
    return same ? SLUICE_OK
                : sluice_state_identity_put(engine->state, source->node->id, identity, err);
}

/* All that the source needs to know; arrays are owned and freed by plan_free. */
struct plan {
    struct sluice_source_plan plan;
    struct selects selects;
    struct sluice_feed_resumes resumes;
    char *created;
};

static void plan_free(struct plan *plan)
{
    sluice_free(plan->selects.items);
    sluice_free(plan->selects.pointers);
    sluice_feed_resumes_free(&plan->resumes);
    sluice_free(plan->created);
}

static sluice_status plan_make(struct sluice_flow_source *source, struct plan *out,
                               struct sluice_error *err)
{
    struct sluice_engine *engine = source->engine;
    *out = (struct plan){0};
    SLUICE_TRY(make_selects(source, &out->selects, err));
    if (sluice_flow_has_changes(engine)) {
        SLUICE_TRY(sluice_feed_resumes_make(source, &out->resumes, err));
    }
    if (engine->state != NULL) {
        sluice_status status =
            sluice_state_created_get(engine->state, source->node->id, &out->created, err);
        if (status < 0 && status != SLUICE_E_NOT_FOUND) {
            return status;
        }
        sluice_error_clear(err);
    }
    out->plan = (struct sluice_source_plan){.struct_size = sizeof out->plan,
                                            .mode = engine->pipeline->mode,
                                            .flags = engine->options.once ? SLUICE_PLAN_ONCE : 0,
                                            .parallelism = engine->worker_count,
                                            .pipeline = engine->pipeline->name,
                                            .node = source->node->id,
                                            .split_bytes = source->node->split_bytes,
                                            .batch_rows = source->node->batch.rows,
                                            .batch_bytes = source->node->batch.bytes,
                                            .row_limit = engine->options.row_limit,
                                            .stream_count = out->selects.count,
                                            .resume_count = out->resumes.count,
                                            .streams = out->selects.pointers,
                                            .resumes = out->resumes.pointers,
                                            .until = engine->options.until,
                                            .created = out->created};
    return SLUICE_OK;
}

sluice_status sluice_flow_source_measure(struct sluice_flow_source *source,
                                         struct sluice_bytes position,
                                         struct sluice_source_lag *out, struct sluice_error *err)
{
    struct plan plan;
    sluice_status status = plan_make(source, &plan, err);
    if (status >= 0) {
        status = source->api->measure(source->src, &plan.plan, position, out, err);
    }
    plan_free(&plan);
    return status;
}

static sluice_status open_source(struct sluice_flow_source *source, struct sluice_chain *binder,
                                 struct sluice_error *err)
{
    struct sluice_engine *engine = source->engine;
    struct plan plan;
    sluice_status status = plan_make(source, &plan, err);
    if (status >= 0 && plan.selects.count > 0) {
        struct sluice_source_info info = {.struct_size = sizeof info};
        struct open_ctx ctx = {.source = source, .binder = binder, .err = err};
        status = source->api->open(source->src, &plan.plan, &info, keep_opened, &ctx, err);
        if (status >= 0) {
            sluice_log_line(SLUICE_LOG_INFO, source->node->id,
                            "source opened server=\"%s\" tables=%u",
                            info.server != NULL ? info.server : "", plan.selects.count);
            status = check_identity(source, info.identity, err);
        }
        if (status >= 0 && engine->state != NULL && info.created != NULL) {
            status = sluice_state_created_put(engine->state, source->node->id, info.created, err);
        }
    }
    plan_free(&plan);
    return status;
}

/* ---- beginning streams at the sinks ---- */

/* Where this load stands in the order of changes, and which version of the columns it has. */
static sluice_status place_load(struct sluice_flow_stream *stream, struct sluice_error *err)
{
    uint64_t id = 0;
    SLUICE_TRY(sluice_flow_schema_id(stream, stream->desc, &id, err));
    stream->desc->schema_id = id;
    for (size_t i = 0; i < stream->source->tree.leaf_count; i++) {
        struct sluice_flow_leaf *leaf = &stream->leaves[i];
        if (!leaf->needed) {
            continue;
        }
        leaf->desc->schema_id = id;
        SLUICE_TRY(sluice_feed_check_load(stream, leaf->sink, err));
        if (!sluice_flow_leaf_place(leaf, stream->desc->load_position)) {
            return nomem(err);
        }
    }
    return SLUICE_OK;
}

/* A fresh run for the stream; its counters start anew. */
static sluice_status stamp_stream(struct sluice_flow_stream *stream, struct sluice_error *err)
{
    struct sluice_engine *engine = stream->source->engine;
    int64_t now = sluice_now_us(SLUICE_CLOCK_WALL);
    atomic_store(&stream->rows, 0);
    atomic_store(&stream->bytes, 0);
    for (size_t i = 0; i < stream->source->tree.leaf_count; i++) {
        stream->leaves[i].rows = 0;
        stream->leaves[i].shards_left = 0;
    }
    atomic_store(&stream->limit_left, sluice_flow_row_limit(engine));
    if (sluice_flow_has_changes(engine)) {
        SLUICE_TRY(place_load(stream, err));
    }
    if (engine->stamps != NULL) {
        return sluice_state_run_stamp(engine->stamps, stream->name, now, stream->run, err);
    }
    sluice_time_stamp(now, stream->run);
    if (stream->source->generation > 1) {
        size_t used = strlen(stream->run);
        (void)snprintf(stream->run + used, sizeof stream->run - used, "-%u",
                       stream->source->generation);
    }
    return SLUICE_OK;
}

static sluice_status begin_stream(struct sluice_flow_stream *stream, struct sluice_error *err)
{
    for (size_t i = 0; i < stream->source->tree.leaf_count; i++) {
        struct sluice_flow_leaf *leaf = &stream->leaves[i];
        if (!leaf->needed) {
            continue;
        }
        sluice_status status = sluice_flow_sink_begin(leaf->sink, leaf->desc,
                                                      stream->source->node->id, stream->run, err);
        if (status < 0 && sluice_flow_is_stream_error(err, 1)) {
            sluice_flow_leaf_fail(stream, i, err);
            leaf->needed = 0; /* no shard of the stream is read yet */
            continue;
        }
        SLUICE_TRY(status);
    }
    stream->selected = sluice_flow_stream_open(stream);
    return SLUICE_OK;
}

static sluice_status remember_loading(struct sluice_flow_stream *stream, struct sluice_error *err)
{
    for (size_t i = 0; i < stream->source->tree.leaf_count; i++) {
        if (stream->leaves[i].needed) {
            SLUICE_TRY(
                sluice_flow_stream_remember(stream, i, SLUICE_STATE_STREAM_LOADING, NULL, err));
        }
    }
    return SLUICE_OK;
}

static sluice_status prepare_stream(struct sluice_flow_stream *stream, struct sluice_error *err)
{
    SLUICE_TRY(stamp_stream(stream, err));
    return remember_loading(stream, err);
}

typedef sluice_status (*stream_step)(struct sluice_flow_stream *stream, struct sluice_error *err);

static sluice_status each_selected(struct sluice_flow_source *source, stream_step step,
                                   struct sluice_error *err)
{
    for (size_t i = 0; i < source->stream_count; i++) {
        if (source->streams[i]->selected) {
            SLUICE_TRY(step(source->streams[i], err));
        }
    }
    return SLUICE_OK;
}

/* The same in one durable step of the state: a sync each would take seconds for 1,000 tables. */
static sluice_status each_in_batch(struct sluice_flow_source *source, stream_step step,
                                   struct sluice_error *err)
{
    struct sluice_state *state = source->engine->stamps;
    if (state == NULL) {
        return each_selected(source, step, err);
    }
    SLUICE_TRY(sluice_state_batch_begin(state, err));
    sluice_status status = each_selected(source, step, err);
    struct sluice_error end_err = SLUICE_ERROR_INIT;
    if (sluice_state_batch_end(state, &end_err) < 0 && status >= 0) {
        *err = end_err;
        status = end_err.status;
    }
    return status;
}

static sluice_status begin_streams(struct sluice_flow_source *source, struct sluice_error *err)
{
    for (size_t i = 0; i < source->stream_count; i++) {
        struct sluice_flow_stream *stream = source->streams[i];
        if ((stream->selected || stream->follows) && !stream->opened) {
            struct sluice_error gone = SLUICE_ERROR_INIT;
            (void)sluice_error_set(&gone, SLUICE_E_NOT_FOUND, 0,
                                   "table %s was not there when the source opened", stream->name);
            sluice_flow_stream_fail(stream, &gone);
            stream->selected = 0;
            stream->follows = 0;
        }
    }
    SLUICE_TRY(each_in_batch(source, prepare_stream, err));
    return each_selected(source, begin_stream, err);
}

/* ---- shards ---- */

void sluice_flow_shard_free(struct sluice_flow_shard *shard)
{
    if (shard == NULL) {
        return;
    }
    sluice_free((void *)(uintptr_t)shard->desc.id);
    sluice_free((void *)(uintptr_t)shard->desc.handle.data);
    sluice_free(shard->committed);
    sluice_free(shard->leaf_failed);
    sluice_free(shard->leaf_rows);
    sluice_free(shard->leaf_err);
    sluice_free(shard->err);
    sluice_free(shard);
}

static double shard_weight(const struct sluice_shard_desc *desc)
{
    if (desc->bytes_estimate > 0) {
        return (double)desc->bytes_estimate;
    }
    return desc->rows_estimate > 0 ? (double)desc->rows_estimate * 100.0 : 1.0;
}

static struct sluice_flow_shard *shard_create(struct sluice_flow_stream *stream,
                                              const struct sluice_shard_desc *desc)
{
    size_t leaves = stream->source->tree.leaf_count;
    struct sluice_flow_shard *shard = sluice_alloc_zero(1, sizeof *shard);
    if (shard == NULL) {
        return NULL;
    }
    shard->stream = stream;
    shard->source = stream->source;
    shard->generation = stream->source->generation;
    shard->weight = shard_weight(desc);
    sluice_struct_read(&shard->desc, (uint32_t)sizeof shard->desc, desc);
    shard->desc.id = sluice_alloc_string(desc->id);
    shard->desc.handle.data = sluice_alloc_string_n(
        desc->handle.data != NULL ? desc->handle.data : "", desc->handle.size);
    shard->stream_ids[0] = stream->desc->stream_id;
    shard->desc.stream_ids = shard->stream_ids;
    shard->committed = sluice_alloc_zero(leaves, 1);
    shard->leaf_failed = sluice_alloc_zero(leaves, 1);
    shard->leaf_rows = sluice_alloc_zero(leaves, sizeof *shard->leaf_rows);
    sluice_flow_backoff_init(&shard->backoff, &stream->source->node->retry);
    if (shard->desc.id == NULL || shard->desc.handle.data == NULL || shard->committed == NULL ||
        shard->leaf_failed == NULL || shard->leaf_rows == NULL) {
        sluice_flow_shard_free(shard);
        return NULL;
    }
    return shard;
}

struct shards_ctx {
    struct sluice_flow_source *source;
    struct sluice_flow_shard **tail;
    struct sluice_error *err;
    size_t at; /* of the stream found last: shards mostly come in the streams' order */
};

static struct sluice_flow_stream *stream_of(struct shards_ctx *ctx, uint64_t source_stream_id)
{
    const struct sluice_flow_source *source = ctx->source;
    for (size_t i = 0; i < source->stream_count; i++) {
        size_t at = (ctx->at + i) % source->stream_count;
        struct sluice_flow_stream *stream = source->streams[at];
        if (stream->opened && stream->source_stream_id == source_stream_id) {
            ctx->at = at;
            return stream;
        }
    }
    return NULL;
}

static sluice_status keep_shard(void *vctx, const struct sluice_shard_desc *desc)
{
    struct shards_ctx *ctx = vctx;
    if (desc->kind == SLUICE_SHARD_CHANGES && desc->id != NULL &&
        sluice_flow_has_changes(ctx->source->engine)) {
        struct sluice_shard_desc own;
        sluice_struct_read(&own, (uint32_t)sizeof own, desc);
        return sluice_feed_make(ctx->source, &own, ctx->err);
    }
    if (desc->kind != SLUICE_SHARD_SNAPSHOT || desc->stream_count != 1 || desc->id == NULL) {
        return sluice_error_set(ctx->err, SLUICE_E_INTERNAL, SLUICE_ERROR_FATAL,
                                "it gave a shard that is not of one stream's load");
    }
    struct sluice_flow_stream *stream = stream_of(ctx, desc->stream_ids[0]);
    if (stream == NULL || !stream->selected) {
        return SLUICE_OK; /* of a stream that failed meanwhile */
    }
    struct sluice_flow_shard *shard = shard_create(stream, desc);
    if (shard == NULL) {
        return nomem(ctx->err);
    }
    for (size_t i = 0; i < ctx->source->tree.leaf_count; i++) {
        stream->leaves[i].shards_left += stream->leaves[i].needed ? 1u : 0u;
    }
    *ctx->tail = shard;
    ctx->tail = &shard->next;
    return SLUICE_OK;
}

sluice_status sluice_flow_source_open(struct sluice_flow_source *source,
                                      struct sluice_flow_shard **shards, struct sluice_error *err)
{
    source->generation++;
    atomic_store(&source->lost, 0);
    source->had_whole = 0;
    for (size_t i = 0; i < source->stream_count; i++) {
        source->streams[i]->opened = 0;
    }
    struct sluice_chain binder = {0};
    sluice_status status = create_instance(source, err);
    if (status >= 0) {
        status = sluice_chain_open(&binder, &source->engine->env, &source->tree, NULL, NULL, err);
    }
    if (status >= 0) {
        status = sluice_flow_source_choose(source, &binder, err);
    }
    if (status >= 0) {
        status = open_source(source, &binder, err);
    }
    if (status >= 0 && sluice_flow_has_changes(source->engine)) {
        status = sluice_flow_forget_left(source, err);
    }
    if (status >= 0) {
        status = begin_streams(source, err);
    }
    struct shards_ctx ctx = {.source = source, .tail = shards, .err = err};
    if (status >= 0) {
        int any = 0;
        for (size_t i = 0; i < source->stream_count; i++) {
            any |= source->streams[i]->selected || source->streams[i]->follows;
        }
        status = any ? source->api->shards(source->src, keep_shard, &ctx, err) : SLUICE_OK;
    }
    if (status >= 0) {
        status = sluice_failpoint_error("flow.after_source_open", err);
    }
    sluice_chain_close(&binder);
    return status < 0 ? sluice_error_wrap(err, "source %s", source->node->id) : SLUICE_OK;
}
