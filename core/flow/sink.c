#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "flow/internal.h"
#include "flow/token.h"
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
    };
    status = sink->api->open(sink->sink, &plan, err);
    return status < 0 ? sluice_error_wrap(err, "sink %s", sink->node->id) : SLUICE_OK;
}

struct recover_ctx {
    struct sluice_engine *engine;
    struct sluice_flow_sink *sink;
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

/* Newest first: the first record of another load ends the visit, as does what is known already (a
 * large load leaves very many records). */
static sluice_status keep_recovered(void *vctx, const struct sluice_recovered *found)
{
    struct recover_ctx *ctx = vctx;
    struct sluice_token token;
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (sluice_token_decode(found->token, &token, &err) < 0) {
        sluice_log_line(SLUICE_LOG_WARN, ctx->sink->node->id, "token not read: %s", err.message);
        return SLUICE_OK;
    }
    if (!sluice_token_field_is(token.load_id, ctx->engine->load.load_id)) {
        return SLUICE_END;
    }
    if (found->kind != SLUICE_RECOVERED_STREAM_COMPLETE || found->stream == NULL ||
        sluice_map_has(&ctx->sink->complete, found->stream)) {
        return SLUICE_OK;
    }
    if (is_known_complete(ctx, found->stream)) {
        return SLUICE_END;
    }
    struct sluice_flow_complete *kept = sluice_alloc_zero(1, sizeof *kept);
    if (kept == NULL) {
        return SLUICE_E_NOMEM;
    }
    kept->rows = found->rows;
    (void)snprintf(kept->run, sizeof kept->run, "%s", found->run != NULL ? found->run : "");
    if (!sluice_map_put(&ctx->sink->complete, found->stream, kept)) {
        sluice_free(kept);
        return SLUICE_E_NOMEM;
    }
    return SLUICE_OK;
}

sluice_status sluice_flow_sink_recover(struct sluice_engine *engine, struct sluice_flow_sink *sink,
                                       struct sluice_error *err)
{
    struct recover_ctx ctx = {.engine = engine, .sink = sink};
    sluice_status status = sink->api->recover(sink->sink, keep_recovered, &ctx, err);
    if (status == SLUICE_E_UNSUPPORTED) {
        return SLUICE_OK; /* keeps no tokens: the state alone tells */
    }
    return status < 0 ? sluice_error_wrap(err, "sink %s: recovering", sink->node->id) : SLUICE_OK;
}

sluice_status sluice_flow_sink_begin(struct sluice_flow_sink *sink,
                                     const struct sluice_stream_desc *desc, const char *source,
                                     const char *run, struct sluice_error *err)
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
    struct sluice_stream_begin begin = {
        .struct_size = sizeof begin, .flags = SLUICE_BEGIN_LOAD, .desc = desc, .run = run};
    sluice_status status = sink->api->stream_begin(sink->sink, &begin, err);
    return status < 0 ? sluice_error_wrap(err, "sink %s", sink->node->id) : SLUICE_OK;
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
            status = leaf->sink->api->stream_end(leaf->sink->sink, &end, err);
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
        sluice_free(sink->complete.entries[i].value);
    }
    sluice_map_free(&sink->complete);
    sluice_map_free(&sink->begun);
}
