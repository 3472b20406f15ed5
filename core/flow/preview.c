/*
 * preview: the first rows of each stream, through the transforms, to a visitor.
 */
#include "base/alloc.h"
#include "flow/inspect.h"
#include "flow/peek.h"
#include "sluice/array.h"

#define READ_TIMEOUT_US 500000

struct preview_stream {
    struct sluice_stream_desc *desc;
    uint64_t left; /* rows still to be shown */
};

struct preview_shard {
    struct sluice_shard_desc desc; /* id and handle owned */
    uint64_t stream_id;
};

struct preview {
    const struct sluice_pipeline *pipeline;
    const struct sluice_run_options *options;
    struct sluice_cancel *cancel;
    sluice_preview_visit visit;
    void *ctx;
    struct sluice_peek peek;
    struct sluice_tree tree;
    struct sluice_chain chain;
    struct preview_stream *streams;
    size_t stream_count;
    size_t stream_cap;
    struct preview_shard *shards;
    size_t shard_count;
    size_t shard_cap;
};

static sluice_status keep_stream(void *vctx, const struct sluice_stream_desc *desc,
                                 const struct sluice_error *problem)
{
    struct preview *pv = vctx;
    if (problem != NULL) {
        return SLUICE_OK; /* check and plan tell about those */
    }
    if (!sluice_alloc_grow((void **)&pv->streams, &pv->stream_cap, pv->stream_count + 1,
                           sizeof *pv->streams)) {
        return SLUICE_E_NOMEM;
    }
    struct sluice_stream_desc *copy = sluice_stream_desc_copy(desc);
    if (copy == NULL) {
        return SLUICE_E_NOMEM;
    }
    pv->streams[pv->stream_count++] =
        (struct preview_stream){.desc = copy, .left = pv->options->row_limit};
    return SLUICE_OK;
}

static sluice_status keep_shard(void *vctx, const struct sluice_shard_desc *desc)
{
    struct preview *pv = vctx;
    if (desc->kind != SLUICE_SHARD_SNAPSHOT || desc->stream_count != 1) {
        return SLUICE_OK;
    }
    if (!sluice_alloc_grow((void **)&pv->shards, &pv->shard_cap, pv->shard_count + 1,
                           sizeof *pv->shards)) {
        return SLUICE_E_NOMEM;
    }
    struct preview_shard shard = {.desc = *desc, .stream_id = desc->stream_ids[0]};
    shard.desc.id = sluice_alloc_string(desc->id);
    shard.desc.handle.data = sluice_alloc_string_n(
        desc->handle.data != NULL ? desc->handle.data : "", desc->handle.size);
    if (shard.desc.id == NULL || shard.desc.handle.data == NULL) {
        sluice_free((void *)(uintptr_t)shard.desc.id);
        sluice_free((void *)(uintptr_t)shard.desc.handle.data);
        return SLUICE_E_NOMEM;
    }
    pv->shards[pv->shard_count++] = shard;
    return SLUICE_OK;
}

/* sluice_chain_emit */
static sluice_status emit(void *ctx, size_t leaf, struct sluice_batch *batch,
                          struct sluice_error *err)
{
    struct preview *pv = ctx;
    const char *sink = pv->pipeline->nodes[pv->tree.nodes[pv->tree.leaves[leaf]].node].id;
    sluice_status status = pv->visit(pv->ctx, sink, sluice_chain_leaf(&pv->chain, leaf), batch);
    sluice_array_release(&batch->array);
    return status < 0 ? sluice_error_set(err, status, 0, "the preview was not taken") : SLUICE_OK;
}

static sluice_status read_shard(struct preview *pv, struct preview_shard *shard,
                                struct preview_stream *stream, struct sluice_error *err)
{
    const struct sluice_source_api *api = pv->peek.source_api;
    struct sluice_reader *rd = NULL;
    struct sluice_bytes start = {NULL, 0};
    SLUICE_TRY(sluice_chain_bind(&pv->chain, stream->desc, err));
    shard->desc.stream_ids = &shard->stream_id;
    sluice_status status = api->reader_open(pv->peek.source, &shard->desc, start, &rd, err);
    while (status >= 0 && stream->left > 0) {
        struct sluice_batch batch = {.struct_size = sizeof batch};
        status = api->reader_next(rd, READ_TIMEOUT_US, &batch, err);
        if (status == SLUICE_END) {
            break;
        }
        if (status < 0) {
            break;
        }
        if (sluice_cancel_raised(pv->cancel)) {
            sluice_array_release(&batch.array);
            status = sluice_error_set(err, SLUICE_E_CANCELLED, 0, "stopped");
            break;
        }
        if (status == SLUICE_AGAIN || batch.kind != SLUICE_BATCH_ROWS) {
            sluice_array_release(&batch.array);
            continue;
        }
        if ((uint64_t)batch.array.length > stream->left) {
            batch.array.length = (int64_t)stream->left;
        }
        batch.rows = (uint64_t)batch.array.length;
        stream->left -= batch.rows;
        status = sluice_chain_push(&pv->chain, &batch, err);
    }
    if (status >= 0) {
        status = sluice_chain_flush(&pv->chain, err);
    }
    if (rd != NULL) {
        api->reader_close(rd);
    }
    return status < 0 ? status : SLUICE_OK;
}

static sluice_status read_streams(struct preview *pv, struct sluice_error *err)
{
    for (size_t i = 0; i < pv->stream_count; i++) {
        for (size_t k = 0; k < pv->shard_count; k++) {
            if (pv->shards[k].stream_id == pv->streams[i].desc->stream_id &&
                pv->streams[i].left > 0) {
                SLUICE_TRY(read_shard(pv, &pv->shards[k], &pv->streams[i], err));
            }
        }
    }
    return SLUICE_OK;
}

static sluice_status preview_source(struct preview *pv, size_t node, struct sluice_error *err)
{
    struct sluice_flow_env env = {.pipeline = pv->pipeline, .cancel = pv->cancel};
    struct sluice_peek_plan plan = {0};
    struct sluice_source_info info = {.struct_size = sizeof info};
    sluice_status status = sluice_tree_build(pv->pipeline, node, &pv->tree, err);
    if (status >= 0) {
        status = sluice_chain_open(&pv->chain, &env, &pv->tree, emit, pv, err);
    }
    if (status >= 0) {
        status =
            sluice_peek_open(&pv->peek, pv->pipeline, &pv->pipeline->nodes[node], pv->cancel, err);
    }
    if (status >= 0) {
        /* Rows alone: nothing may be made at the source. */
        pv->peek.mode = SLUICE_MODE_FULL_LOAD_ONLY;
        status = sluice_peek_plan_make(&pv->peek, pv->options, 0, &plan, err);
    }
    if (status >= 0 && plan.plan.stream_count > 0) {
        status =
            pv->peek.source_api->open(pv->peek.source, &plan.plan, &info, keep_stream, pv, err);
        if (status >= 0) {
            status = pv->peek.source_api->shards(pv->peek.source, keep_shard, pv, err);
        }
        if (status >= 0) {
            status = read_streams(pv, err);
        }
    }
    sluice_peek_plan_free(&plan);
    sluice_peek_close(&pv->peek);
    sluice_chain_close(&pv->chain);
    sluice_tree_free(&pv->tree);
    for (size_t i = 0; i < pv->stream_count; i++) {
        sluice_stream_desc_free(pv->streams[i].desc);
    }
    for (size_t i = 0; i < pv->shard_count; i++) {
        sluice_free((void *)(uintptr_t)pv->shards[i].desc.id);
        sluice_free((void *)(uintptr_t)pv->shards[i].desc.handle.data);
    }
    pv->stream_count = 0;
    pv->shard_count = 0;
    return status < 0 ? sluice_error_wrap(err, "source %s", pv->pipeline->nodes[node].id)
                      : SLUICE_OK;
}

sluice_status sluice_flow_preview(const struct sluice_pipeline *pipeline,
                                  const struct sluice_run_options *options,
                                  struct sluice_cancel *cancel, sluice_preview_visit visit,
                                  void *ctx, struct sluice_error *err)
{
    struct sluice_run_options limited = *options;
    if (limited.row_limit == 0) {
        limited.row_limit = 10;
    }
    struct preview pv = {
        .pipeline = pipeline, .options = &limited, .cancel = cancel, .visit = visit, .ctx = ctx};
    sluice_status status = SLUICE_OK;
    for (size_t i = 0; status >= 0 && i < pipeline->node_count; i++) {
        if (pipeline->nodes[i].kind == SLUICE_SOURCE) {
            status = preview_source(&pv, i, err);
        }
    }
    sluice_free(pv.streams);
    sluice_free(pv.shards);
    return status;
}
