#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/str.h"
#include "flow/feed.h"
#include "flow/token.h"
#include "flow/write.h"
#include "log/log.h"

int sluice_flow_is_stream_error(const struct sluice_error *err, int from_sink)
{
    if ((err->flags & SLUICE_ERROR_FATAL) != 0) {
        return 0;
    }
    switch (err->status) {
    case SLUICE_E_DATA:
    case SLUICE_E_SCHEMA:
    case SLUICE_E_LIMIT:
    case SLUICE_E_UNSUPPORTED:
    case SLUICE_E_INVALID:
        return 1;
    case SLUICE_E_NOT_FOUND:
    case SLUICE_E_PERMISSION:
    case SLUICE_E_TIMEOUT:
        return !from_sink; /* a bucket that is closed to us is closed for every stream */
    default:
        return 0;
    }
}

sluice_status sluice_flow_sink_open(struct sluice_engine *engine, struct sluice_flow_sink *sink,
                                    struct sluice_error *err)
{
    struct sluice_host_params params = {.node = sink->node->id,
                                        .config = sink->node->config,
                                        .cancel = &engine->cancel,
                                        .budget = &engine->budget,
                                        .metrics = engine->metrics};
    if (!sink->ctl_ready) {
        pthread_mutex_init(&sink->ctl, NULL);
        sink->ctl_ready = 1;
    }
    SLUICE_TRY(sluice_host_create(&params, &sink->host, err));
    struct sluice_sink *created = NULL;
    sluice_status status = sink->api->create(sluice_host_table(sink->host), &created, err);
    if (status < 0) {
        return sluice_error_wrap(err, "sink %s", sink->node->id);
    }
    pthread_mutex_lock(&engine->mutex);
    sink->sink = created;
    pthread_mutex_unlock(&engine->mutex);
    struct sluice_sink_plan plan = {
        .struct_size = sizeof plan,
        .mode = engine->pipeline->mode,
        .parallelism = engine->worker_count,
        .pipeline = engine->pipeline->name,
        .node = sink->node->id,
        .load_id = engine->load.load_id,
        .started_us = sluice_now_us(SLUICE_CLOCK_WALL),
        .batch_rows = sink->node->batch.rows,
        .batch_bytes = sink->node->batch.bytes,
        .batch_interval_us = sink->node->batch.interval_us,
        .on_row_error = sink->node->on_row_error,
        .on_table_error = sink->node->on_table_error,
        .max_rejected = sink->node->max_rejected,
    };
    sink->pipeline = engine->pipeline;
    status = sink->api->open(sink->sink, &plan, err);
    return status < 0 ? sluice_error_wrap(err, "sink %s", sink->node->id) : SLUICE_OK;
}

struct recover_ctx {
    struct sluice_engine *engine;
    struct sluice_flow_sink *sink;
    int streams_left; /* the state has a stream whose end it may have missed */
};

/* By the state. Completions are written to it in the sink's order, so all older ones are there too. */
static int is_known_complete(const struct recover_ctx *ctx, const char *stream)
{
    for (size_t i = 0; i < ctx->engine->source_count; i++) {
        if (sluice_flow_known(ctx->engine, ctx->engine->sources[i].node->id, stream,
                              ctx->sink->node->id) == SLUICE_STATE_STREAM_COMPLETE) {
            return 1;
        }
    }
    return 0;
}

static int is_source(const struct sluice_engine *engine, const char *id)
{
    for (size_t i = 0; i < engine->source_count; i++) {
        if (strcmp(engine->sources[i].node->id, id) == 0) {
            return 1;
        }
    }
    return 0;
}

/* 1 if the state knows a lane of this sink that has, or may have, committed, and whose token has not
 * been met yet. */
static int lanes_left(const struct recover_ctx *ctx)
{
    const struct sluice_engine *engine = ctx->engine;
    for (size_t i = 0; i < engine->kept_feed_count; i++) {
        const struct sluice_flow_kept_feed *kept = &engine->kept_feeds[i];
        if (kept->armed && strcmp(kept->sink, ctx->sink->node->id) == 0 &&
            is_source(engine, kept->source) && !sluice_map_has(&ctx->sink->lanes, kept->shard)) {
            return 1;
        }
    }
    return 0;
}

/* No older record can tell anything new about feeds. `of_load`: the record at hand is of a load. */
static int has_all_lanes(const struct recover_ctx *ctx, int of_load)
{
    const struct sluice_engine *engine = ctx->engine;
    if (!sluice_flow_has_changes(engine)) {
        return 1;
    }
    if (engine->kept_feed_count > 0) {
        return !lanes_left(ctx);
    }
    /* A state that was lost, or a first start. What stands before a load is in that load. */
    return of_load || ctx->sink->lanes.count >= engine->source_count;
}

static sluice_status keep_lane(struct recover_ctx *ctx, const char *shard,
                               const struct sluice_token *token)
{
    if (token->position.size == 0 || sluice_map_has(&ctx->sink->lanes, shard)) {
        return SLUICE_OK; /* of a load, or older */
    }
    struct sluice_flow_kept_feed *kept = sluice_alloc_zero(1, sizeof *kept);
    if (kept == NULL) {
        return SLUICE_E_NOMEM;
    }
    kept->epoch = token->epoch;
    if (!sluice_feed_position_set(&kept->position, token->position) ||
        !sluice_map_put(&ctx->sink->lanes, shard, kept)) {
        sluice_feed_position_free(&kept->position);
        sluice_free(kept);
        return SLUICE_E_NOMEM;
    }
    return SLUICE_OK;
}

static sluice_status keep_complete(struct recover_ctx *ctx, const struct sluice_recovered *found,
                                   const struct sluice_token *token)
{
    if (sluice_map_has(&ctx->sink->complete, found->stream)) {
        return SLUICE_OK;
    }
    struct sluice_flow_complete *kept = sluice_alloc_zero(1, sizeof *kept);
    if (kept == NULL) {
        return SLUICE_E_NOMEM;
    }
    kept->rows = found->rows;
    (void)snprintf(kept->run, sizeof kept->run, "%s", found->run != NULL ? found->run : "");
    if (!sluice_feed_position_set(&kept->position, token->position) ||
        !sluice_map_put(&ctx->sink->complete, found->stream, kept)) {
        sluice_feed_position_free(&kept->position);
        sluice_free(kept);
        return SLUICE_E_NOMEM;
    }
    return SLUICE_OK;
}

/* Newest first, and no further than needed: the first record of another load, or of what is known
 * already, ends the look at loads; the newest token of each lane that at feeds. */
static sluice_status keep_recovered(void *vctx, const struct sluice_recovered *found)
{
    struct recover_ctx *ctx = vctx;
    struct sluice_token token;
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (sluice_token_decode(found->token, &token, &err) < 0) {
        sluice_log_line(SLUICE_LOG_WARN, ctx->sink->node->id, "token not read: %s", err.message);
        return SLUICE_OK;
    }
    if (found->kind == SLUICE_RECOVERED_LANE && found->shard_id != NULL &&
        sluice_flow_has_changes(ctx->engine)) {
        SLUICE_TRY(keep_lane(ctx, found->shard_id, &token));
    }
    int ours = sluice_token_field_is(token.load_id, ctx->engine->load.load_id);
    int complete = found->kind == SLUICE_RECOVERED_STREAM_COMPLETE && found->stream != NULL;
    if (!ours || (complete && is_known_complete(ctx, found->stream))) {
        ctx->streams_left = 0;
    }
    if (ctx->streams_left && complete) {
        SLUICE_TRY(keep_complete(ctx, found, &token));
    }
    return !ctx->streams_left && has_all_lanes(ctx, complete || token.position.size == 0)
               ? SLUICE_END
               : SLUICE_OK;
}

static void forget_lanes(struct sluice_flow_sink *sink)
{
    for (size_t i = 0; i < sink->lanes.count; i++) {
        struct sluice_flow_kept_feed *kept = sink->lanes.entries[i].value;
        sluice_feed_position_free(&kept->position);
        sluice_free(kept);
    }
    sluice_map_free(&sink->lanes);
}

sluice_status sluice_flow_sink_recover(struct sluice_engine *engine, struct sluice_flow_sink *sink,
                                       struct sluice_error *err)
{
    struct recover_ctx ctx = {.engine = engine,
                              .sink = sink,
                              .streams_left = engine->resumed &&
                                              sluice_flow_known_loading(engine, sink->node->id)};
    pthread_mutex_lock(&sink->ctl);
    forget_lanes(sink);
    sluice_status status = sink->api->recover(sink->sink, keep_recovered, &ctx, err);
    pthread_mutex_unlock(&sink->ctl);
    sink->recovers = status >= 0;
    if (status == SLUICE_E_UNSUPPORTED) {
        return SLUICE_OK; /* keeps no tokens: the state alone tells */
    }
    return status < 0 ? sluice_error_wrap(err, "sink %s: recovering", sink->node->id) : SLUICE_OK;
}

/* Notes who writes the stream to this sink, under its ctl mutex. */
static sluice_status note_writer(struct sluice_flow_sink *sink,
                                 const struct sluice_stream_desc *desc, const char *source,
                                 struct sluice_error *err)
{
    const char *writer = sluice_map_get(&sink->begun, desc->name);
    if (writer != NULL && strcmp(writer, source) != 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                                "sink %s: stream %s comes from both sources %s and %s; choose "
                                "distinct tables, or give each source a sink of its own",
                                sink->node->id, desc->name, writer, source);
    }
    if (writer == NULL && !sluice_map_put(&sink->begun, desc->name, (void *)(uintptr_t)source)) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
    }
    return SLUICE_OK;
}

/* Two streams into one table are an error unless that is asked for. Under the sink's ctl mutex. */
static sluice_status note_target(struct sluice_flow_sink *sink, const struct sluice_write *write,
                                 const char *stream, struct sluice_error *err)
{
    struct sluice_str name = SLUICE_STR_INIT;
    for (uint32_t i = 0; i < write->target_count; i++) {
        sluice_str_printf(&name, "%s%s", i > 0 ? "." : "", write->target[i]);
    }
    const char *other = sluice_map_get(&sink->targets, sluice_str_text(&name));
    sluice_status status = SLUICE_OK;
    if (other != NULL && strcmp(other, stream) != 0 && (write->flags & SLUICE_WRITE_MERGE) == 0) {
        status = sluice_error_set(
            err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
            "sink %s: streams %s and %s both go into table %s (hint: tell them apart with "
            "route.to, or set route.merge: true if their keys never meet)",
            sink->node->id, other, stream, sluice_str_text(&name));
    }
    else if (other == NULL) {
        char *copy = sluice_alloc_string(stream);
        if (copy == NULL || !sluice_map_put(&sink->targets, sluice_str_text(&name), copy)) {
            sluice_free(copy);
            status = sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
        }
    }
    sluice_str_free(&name);
    return status;
}

static sluice_status begin_stream(struct sluice_flow_sink *sink, const char *source,
                                  struct sluice_stream_begin *begin, struct sluice_error *err)
{
    struct sluice_flow_write write = {0};
    sluice_status status = SLUICE_OK;
    int noted = 0;
    pthread_mutex_lock(&sink->ctl);
    if (sluice_flow_writes_tables(sink->node)) {
        status =
            sluice_flow_write_make(sink->pipeline, sink->node, source, begin->desc, &write, err);
        begin->write = &write.write;
        if (status >= 0) {
            status = note_target(sink, &write.write, begin->desc->name, err);
        }
    }
    if (status >= 0) {
        status = note_writer(sink, begin->desc, source, err);
    }
    if (status >= 0) {
        noted = 1;
        status = sink->api->stream_begin(sink->sink, begin, err);
    }
    pthread_mutex_unlock(&sink->ctl);
    begin->write = NULL;
    sluice_flow_write_free(&write);
    return status < 0 && noted ? sluice_error_wrap(err, "sink %s", sink->node->id) : status;
}

sluice_status sluice_flow_sink_begin(struct sluice_flow_sink *sink,
                                     const struct sluice_stream_desc *desc, const char *source,
                                     const char *run, struct sluice_error *err)
{
    struct sluice_stream_begin begin = {
        .struct_size = sizeof begin, .flags = SLUICE_BEGIN_LOAD, .desc = desc, .run = run};
    return begin_stream(sink, source, &begin, err);
}

sluice_status sluice_flow_sink_begin_changes(struct sluice_flow_sink *sink,
                                             const struct sluice_stream_desc *desc,
                                             const char *source, struct sluice_error *err)
{
    struct sluice_stream_begin begin = {
        .struct_size = sizeof begin, .flags = SLUICE_BEGIN_CHANGES, .desc = desc};
    return begin_stream(sink, source, &begin, err);
}

sluice_status sluice_flow_sink_end(struct sluice_engine *engine, struct sluice_flow_stream *stream,
                                   struct sluice_flow_leaf *leaf, struct sluice_error *err)
{
    struct sluice_bytes position = stream->desc->load_position;
    const char *name = leaf->desc->name;
    struct sluice_token token = {
        .kind = SLUICE_TOKEN_COMPLETE,
        .rows = leaf->rows,
        .pipeline = {engine->pipeline->name, strlen(engine->pipeline->name)},
        .load_id = {engine->load.load_id, strlen(engine->load.load_id)},
        .name = {name, strlen(name)},
        .position = position};
    struct sluice_str encoded = SLUICE_STR_INIT;
    sluice_status status = sluice_token_encode(&token, &encoded, err);
    if (status >= 0) {
        uint32_t partial = engine->options.row_limit > 0 ? SLUICE_STREAM_END_PARTIAL : 0;
        struct sluice_stream_end end = {.struct_size = sizeof end,
                                        .flags = partial,
                                        .stream_id = leaf->desc->stream_id,
                                        .run = stream->run,
                                        .rows = leaf->rows,
                                        .token = {encoded.data, encoded.size},
                                        .load_position = position,
                                        .load_position_text = stream->desc->load_position_text};
        status = sluice_failpoint_error("flow.before_stream_end", err);
        if (status >= 0) {
            pthread_mutex_lock(&leaf->sink->ctl);
            status = leaf->sink->api->stream_end(leaf->sink->sink, &end, err);
            pthread_mutex_unlock(&leaf->sink->ctl);
        }
        if (status >= 0) { /* as if the reply were lost */
            status = sluice_failpoint_error("flow.after_stream_end", err);
        }
    }
    sluice_str_free(&encoded);
    return status < 0 ? sluice_error_wrap(err, "sink %s: completing %s", leaf->sink->node->id, name)
                      : SLUICE_OK;
}

void sluice_flow_sink_close(struct sluice_engine *engine, struct sluice_flow_sink *sink)
{
    pthread_mutex_lock(&engine->mutex);
    struct sluice_sink *instance = sink->sink;
    sink->sink = NULL;
    pthread_mutex_unlock(&engine->mutex);
    if (instance != NULL) {
        sink->api->destroy(instance);
    }
    sluice_host_destroy(sink->host);
    sink->host = NULL;
    for (size_t i = 0; i < sink->complete.count; i++) {
        struct sluice_flow_complete *kept = sink->complete.entries[i].value;
        sluice_feed_position_free(&kept->position);
        sluice_free(kept);
    }
    forget_lanes(sink);
    sluice_map_free(&sink->complete);
    sluice_map_free(&sink->begun);
    for (size_t i = 0; i < sink->targets.count; i++) {
        sluice_free(sink->targets.entries[i].value);
    }
    sluice_map_free(&sink->targets);
    if (sink->ctl_ready) {
        pthread_mutex_destroy(&sink->ctl);
        sink->ctl_ready = 0;
    }
}
