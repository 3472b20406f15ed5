/*
 * Where feeds go on: what the sinks' tokens and the state say of each lane.
 *
 * The sink's token is the truth about data. The state's row may be ahead of it by idle progress, which
 * leaves nothing in the sink, and must never be ahead of it by an epoch: then the sink has lost
 * commits.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "flow/feed.h"
#include "flow/token.h"
#include "sluice/position.h"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                            "out of memory for a position");
}

static sluice_status lost_commits(const struct sluice_engine *engine,
                                  const struct sluice_flow_sink *sink, const char *shard,
                                  uint64_t state_epoch, uint64_t sink_epoch,
                                  struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
                            "sink %s: its newest commit of %s is number %" PRIu64
                            ", but number %" PRIu64 " was made: commits are gone from the target, "
                            "and changes with them (hint: bring them back, "
                            "or begin anew with: sluice state reset %s)",
                            sink->node->id, shard, sink_epoch, state_epoch, engine->pipeline->file);
}

sluice_status sluice_feed_resume(struct sluice_engine *engine, struct sluice_flow_sink *sink,
                                 const char *source, const char *shard,
                                 struct sluice_feed_position *out, uint64_t *epoch,
                                 struct sluice_error *err)
{
    const struct sluice_flow_kept_feed *kept =
        sluice_flow_kept_feed(engine, source, shard, sink->node->id);
    const struct sluice_flow_kept_feed *token = sluice_map_get(&sink->lanes, shard);
    struct sluice_bytes position = {NULL, 0};
    *epoch = 0;
    out->size = 0;
    if (kept != NULL) {
        *epoch = kept->epoch;
        position = sluice_feed_position_bytes(&kept->position);
    }
    if (sink->recovers && kept != NULL && kept->epoch > kept->void_epoch &&
        (token == NULL || token->epoch < kept->epoch)) {
        return lost_commits(engine, sink, shard, kept->epoch, token != NULL ? token->epoch : 0,
                            err);
    }
    if (token != NULL) {
        /* After a reset what the sink has is void. A position never goes back: the state may be ahead
         * by idle progress. */
        int counts = kept == NULL || token->epoch > kept->void_epoch;
        struct sluice_bytes at = sluice_feed_position_bytes(&token->position);
        if (counts && sluice_position_compare(at, position) > 0) {
            position = at;
        }
        *epoch = token->epoch > *epoch ? token->epoch : *epoch;
    }
    return sluice_feed_position_set(out, position) ? SLUICE_OK : nomem(err);
}

/* ---- after a commit of unknown outcome ---- */

struct settle_ctx {
    const char *shard;
    uint64_t epoch; /* of the lane's newest token; 0 = none was found */
    struct sluice_feed_position position;
};

/* The newest token of that lane, however many records of others came after it. */
static sluice_status look_for_lane(void *vctx, const struct sluice_recovered *found)
{
    struct settle_ctx *ctx = vctx;
    struct sluice_token token;
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (found->kind != SLUICE_RECOVERED_LANE || found->shard_id == NULL ||
        strcmp(found->shard_id, ctx->shard) != 0 ||
        sluice_token_decode(found->token, &token, &err) < 0 || token.position.size == 0) {
        return SLUICE_OK;
    }
    ctx->epoch = token.epoch;
    return sluice_feed_position_set(&ctx->position, token.position) ? SLUICE_END : SLUICE_E_NOMEM;
}

/* Takes over what the sink says. */
static sluice_status take_token(struct sluice_feed_lane *lane, const struct settle_ctx *ctx,
                                struct sluice_error *err)
{
    int ok = 1;
    struct sluice_bytes at = sluice_feed_position_bytes(&ctx->position);
    if (ctx->epoch < lane->sure_epoch) {
        return lost_commits(lane->feed->engine, lane->sink, lane->feed->desc.id, lane->sure_epoch,
                            ctx->epoch, err);
    }
    pthread_mutex_lock(&lane->mutex);
    if (ctx->epoch > lane->epoch &&
        sluice_position_compare(at, sluice_feed_position_bytes(&lane->committed)) > 0) {
        ok = sluice_feed_position_set(&lane->committed, at); /* it did take place */
        lane->epoch = ok ? ctx->epoch : lane->epoch;
        lane->moved = 1;
    }
    pthread_mutex_unlock(&lane->mutex);
    lane->sure_epoch = ctx->epoch > lane->sure_epoch ? ctx->epoch : lane->sure_epoch;
    lane->unknown = !ok;
    return ok ? SLUICE_OK : nomem(err);
}

/* The sink's maps of what it recovered are the controller's: they are left alone. */
sluice_status sluice_feed_lane_settle(struct sluice_feed_lane *lane, struct sluice_error *err)
{
    struct sluice_flow_sink *sink = lane->sink;
    struct settle_ctx ctx = {.shard = lane->feed->desc.id};
    if (!lane->unknown) {
        return SLUICE_OK;
    }
    pthread_mutex_lock(&sink->ctl);
    sluice_status status = sink->api->recover(sink->sink, look_for_lane, &ctx, err);
    pthread_mutex_unlock(&sink->ctl);
    if (status == SLUICE_E_UNSUPPORTED) { /* it keeps no tokens: rows may be repeated */
        sluice_error_clear(err);
        lane->unknown = 0;
        status = SLUICE_OK;
    }
    else if (status >= 0) {
        status = take_token(lane, &ctx, err);
    }
    sluice_feed_position_free(&ctx.position);
    return status < 0 ? sluice_error_wrap(err, "sink %s: looking what became of the last commit",
                                          sink->node->id)
                      : SLUICE_OK;
}

/* ---- for the source's plan ---- */

static int belongs(const char *shard, const char *node)
{
    size_t size = strlen(node);
    return strncmp(shard, node, size) == 0 && shard[size] == '/';
}

sluice_status sluice_feed_check_load(const struct sluice_flow_stream *stream,
                                     const struct sluice_flow_sink *sink, struct sluice_error *err)
{
    struct sluice_bytes load = stream->desc->load_position;
    for (size_t i = 0; load.size > 0 && i < sink->lanes.count; i++) {
        const struct sluice_flow_kept_feed *token = sink->lanes.entries[i].value;
        if (token->position.size != load.size ||
            !belongs(sink->lanes.entries[i].key, stream->source->node->id) ||
            sluice_position_compare(sluice_feed_position_bytes(&token->position), load) <= 0) {
            continue;
        }
        return sluice_error_set(
            err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
            "sink %s has changes of this source from later than the source is now: it was restored "
            "from a backup, or is another one, and whoever reads the sink would take the old "
            "changes for newer than the new load (hint: give the sink another prefix or path, or "
            "the pipeline another name)",
            sink->node->id);
    }
    return SLUICE_OK;
}

/* Takes the smaller of what is there and `at`. */
static int note_shard(struct sluice_map *shards, const char *shard, struct sluice_bytes at)
{
    struct sluice_feed_position *have = sluice_map_get(shards, shard);
    if (at.size == 0) {
        return 1;
    }
    if (have == NULL) {
        have = sluice_alloc_zero(1, sizeof *have);
        if (have == NULL || !sluice_map_put(shards, shard, have)) {
            sluice_free(have);
            return 0;
        }
        return sluice_feed_position_set(have, at);
    }
    return sluice_position_compare(at, sluice_feed_position_bytes(have)) >= 0 ||
           sluice_feed_position_set(have, at);
}

static sluice_status note_lane(struct sluice_flow_source *source, struct sluice_flow_sink *sink,
                               const char *shard, struct sluice_map *shards,
                               struct sluice_error *err)
{
    struct sluice_feed_position at = {0};
    uint64_t epoch = 0;
    for (struct sluice_feed *feed = source->feeds; feed != NULL; feed = feed->next) {
        if (strcmp(feed->desc.id, shard) == 0) { /* of an earlier attempt: it knows best */
            struct sluice_feed_position smallest = {0};
            int ok = sluice_feed_smallest(feed, &smallest) &&
                     note_shard(shards, shard, sluice_feed_position_bytes(&smallest));
            sluice_feed_position_free(&smallest);
            return ok ? SLUICE_OK : nomem(err);
        }
    }
    sluice_status status =
        sluice_feed_resume(source->engine, sink, source->node->id, shard, &at, &epoch, err);
    if (status >= 0 && !note_shard(shards, shard, sluice_feed_position_bytes(&at))) {
        status = nomem(err);
    }
    sluice_feed_position_free(&at);
    return status;
}

/* Every shard that the state or a sink knows for this source. */
static sluice_status collect(struct sluice_flow_source *source, struct sluice_map *shards,
                             struct sluice_error *err)
{
    struct sluice_engine *engine = source->engine;
    for (size_t i = 0; i < source->tree.leaf_count; i++) {
        struct sluice_flow_sink *sink = source->leaf_sinks[i];
        for (size_t k = 0; k < engine->kept_feed_count; k++) {
            const struct sluice_flow_kept_feed *kept = &engine->kept_feeds[k];
            if (strcmp(kept->source, source->node->id) == 0 &&
                strcmp(kept->sink, sink->node->id) == 0) {
                SLUICE_TRY(note_lane(source, sink, kept->shard, shards, err));
            }
        }
        for (size_t k = 0; k < sink->lanes.count; k++) {
            const char *shard = sink->lanes.entries[k].key;
            if (belongs(shard, source->node->id)) {
                SLUICE_TRY(note_lane(source, sink, shard, shards, err));
            }
        }
    }
    return SLUICE_OK;
}

void sluice_feed_resumes_free(struct sluice_feed_resumes *resumes)
{
    for (uint32_t i = 0; resumes->items != NULL && i < resumes->count; i++) {
        sluice_free((void *)(uintptr_t)resumes->items[i].shard_id);
        sluice_feed_position_free(&resumes->positions[i]);
    }
    sluice_free(resumes->items);
    sluice_free(resumes->pointers);
    sluice_free(resumes->positions);
    *resumes = (struct sluice_feed_resumes){0};
}

sluice_status sluice_feed_resumes_make(struct sluice_flow_source *source,
                                       struct sluice_feed_resumes *out, struct sluice_error *err)
{
    struct sluice_map shards = SLUICE_MAP_INIT;
    *out = (struct sluice_feed_resumes){0};
    sluice_status status = collect(source, &shards, err);
    if (status >= 0) {
        out->items = sluice_alloc_zero(shards.count + 1, sizeof *out->items);
        out->pointers = sluice_alloc_zero(shards.count + 1, sizeof *out->pointers);
        out->positions = sluice_alloc_zero(shards.count + 1, sizeof *out->positions);
        if (out->items == NULL || out->pointers == NULL || out->positions == NULL) {
            status = nomem(err);
        }
    }
    for (size_t i = 0; i < shards.count; i++) {
        struct sluice_feed_position *at = shards.entries[i].value;
        if (status >= 0) {
            uint32_t n = out->count;
            out->positions[n] = *at;
            *at = (struct sluice_feed_position){0};
            char *id = sluice_alloc_string(shards.entries[i].key);
            out->items[n] =
                (struct sluice_resume){.struct_size = sizeof out->items[n],
                                       .shard_id = id,
                                       .position = sluice_feed_position_bytes(&out->positions[n])};
            out->pointers[n] = &out->items[n];
            out->count++;
            status = id != NULL ? SLUICE_OK : nomem(err);
        }
        sluice_feed_position_free(at);
        sluice_free(at);
    }
    sluice_map_free(&shards);
    return status;
}
