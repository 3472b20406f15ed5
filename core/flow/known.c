/*
 * What the state says when a run begins: how far the load came, and the feeds.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "flow/feed.h"
#include "log/log.h"

static int known_key(struct sluice_str *key, const char *source, const char *stream,
                     const char *sink)
{
    sluice_str_printf(key, "%s\x1f%s\x1f%s", source, stream, sink);
    return !key->failed;
}

static void known_free(struct sluice_flow_known *known)
{
    if (known != NULL) {
        sluice_feed_position_free(&known->position);
        sluice_free(known);
    }
}

static sluice_status keep_known(void *ctx, const struct sluice_state_stream *stream)
{
    struct sluice_engine *engine = ctx;
    if (stream->status < 0 || stream->status > SLUICE_STATE_STREAM_FAILED) {
        return SLUICE_OK; /* of a newer version: read anew */
    }
    struct sluice_str key = SLUICE_STR_INIT;
    struct sluice_bytes at = {stream->position, stream->position_size};
    struct sluice_flow_known *known = sluice_alloc_zero(1, sizeof *known);
    int ok = known != NULL && known_key(&key, stream->source, stream->stream, stream->sink);
    if (ok) {
        known->status = stream->status;
        (void)snprintf(known->run, sizeof known->run, "%s", stream->run != NULL ? stream->run : "");
        ok = sluice_feed_position_set(&known->position, at) &&
             sluice_map_put(&engine->known, key.data, known);
    }
    if (!ok) {
        known_free(known);
    }
    sluice_str_free(&key);
    return ok ? SLUICE_OK : SLUICE_E_NOMEM;
}

struct sluice_flow_known *sluice_flow_known_entry(const struct sluice_engine *engine,
                                                  const char *source, const char *stream,
                                                  const char *sink)
{
    struct sluice_str key = SLUICE_STR_INIT;
    struct sluice_flow_known *found =
        known_key(&key, source, stream, sink) ? sluice_map_get(&engine->known, key.data) : NULL;
    sluice_str_free(&key);
    return found;
}

int32_t sluice_flow_known(const struct sluice_engine *engine, const char *source,
                          const char *stream, const char *sink)
{
    const struct sluice_flow_known *found = sluice_flow_known_entry(engine, source, stream, sink);
    return found != NULL ? found->status : -1;
}

int sluice_flow_known_loading(const struct sluice_engine *engine, const char *sink)
{
    for (size_t i = 0; i < engine->known.count; i++) {
        const struct sluice_flow_known *known = engine->known.entries[i].value;
        const char *of = strrchr(engine->known.entries[i].key, '\x1f');
        if (known->status == SLUICE_STATE_STREAM_LOADING && of != NULL &&
            strcmp(of + 1, sink) == 0) {
            return 1;
        }
    }
    return 0;
}

/* What was loaded of the stream counts no more, in the state and in what we know of it: no sink's
 * token has this run. */
sluice_status sluice_flow_forget_stream(struct sluice_engine *engine, const char *source,
                                        const char *stream, const char *sink,
                                        struct sluice_error *err)
{
    char none[] = "";
    struct sluice_flow_known *known = sluice_flow_known_entry(engine, source, stream, sink);
    struct sluice_state_stream row = {.source = (char *)(uintptr_t)source,
                                      .stream = (char *)(uintptr_t)stream,
                                      .sink = (char *)(uintptr_t)sink,
                                      .run = none,
                                      .status = SLUICE_STATE_STREAM_PENDING};
    SLUICE_TRY(sluice_state_stream_put(engine->state, engine->load.load_id, &row, err));
    if (known == NULL) {
        return SLUICE_OK; /* loaded by this process */
    }
    known->status = SLUICE_STATE_STREAM_PENDING;
    known->run[0] = '\0';
    known->position.size = 0;
    return SLUICE_OK;
}

/* ---- feeds that the state knows ---- */

static sluice_status keep_feed(void *ctx, const struct sluice_state_feed *feed)
{
    struct sluice_engine *engine = ctx;
    if (!sluice_alloc_grow((void **)&engine->kept_feeds, &engine->kept_feed_cap,
                           engine->kept_feed_count + 1, sizeof *engine->kept_feeds)) {
        return SLUICE_E_NOMEM;
    }
    struct sluice_flow_kept_feed *kept = &engine->kept_feeds[engine->kept_feed_count++];
    struct sluice_bytes position = {feed->position, feed->position_size};
    *kept = (struct sluice_flow_kept_feed){.source = sluice_alloc_string(feed->source),
                                           .shard = sluice_alloc_string(feed->shard),
                                           .sink = sluice_alloc_string(feed->sink),
                                           .epoch = feed->epoch,
                                           .void_epoch = feed->void_epoch,
                                           .changes = (uint64_t)feed->changes,
                                           .transactions = (uint64_t)feed->transactions};
    return kept->source != NULL && kept->shard != NULL && kept->sink != NULL &&
                   sluice_feed_position_set(&kept->position, position)
               ? SLUICE_OK
               : SLUICE_E_NOMEM;
}

const struct sluice_flow_kept_feed *sluice_flow_kept_feed(const struct sluice_engine *engine,
                                                          const char *source, const char *shard,
                                                          const char *sink)
{
    for (size_t i = 0; i < engine->kept_feed_count; i++) {
        const struct sluice_flow_kept_feed *kept = &engine->kept_feeds[i];
        if (strcmp(kept->source, source) == 0 && strcmp(kept->shard, shard) == 0 &&
            strcmp(kept->sink, sink) == 0) {
            return kept;
        }
    }
    return NULL;
}

void sluice_flow_known_free(struct sluice_engine *engine)
{
    for (size_t i = 0; i < engine->kept_feed_count; i++) {
        sluice_free(engine->kept_feeds[i].source);
        sluice_free(engine->kept_feeds[i].shard);
        sluice_free(engine->kept_feeds[i].sink);
        sluice_feed_position_free(&engine->kept_feeds[i].position);
    }
    sluice_free(engine->kept_feeds);
    for (size_t i = 0; i < engine->known.count; i++) {
        known_free(engine->known.entries[i].value);
    }
    sluice_map_free(&engine->known);
}

sluice_status sluice_flow_known_read(struct sluice_engine *engine, struct sluice_error *err)
{
    return sluice_state_streams(engine->state, engine->load.load_id, keep_known, engine, err);
}

/* Where the state remembers that a lane has begun to commit; an epoch in its row says it as well. */
static int armed_key(struct sluice_str *key, const char *shard, const char *sink)
{
    sluice_str_printf(key, "%s>%s", shard, sink);
    return !key->failed;
}

sluice_status sluice_flow_arm_lane(struct sluice_engine *engine, const char *shard,
                                   const char *sink, struct sluice_error *err)
{
    struct sluice_str key = SLUICE_STR_INIT;
    sluice_status status =
        armed_key(&key, shard, sink)
            ? sluice_state_identity_put(engine->state, sluice_str_text(&key), "commits", err)
            : sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
    sluice_str_free(&key);
    return status;
}

static sluice_status look_armed(struct sluice_engine *engine, struct sluice_flow_kept_feed *kept,
                                struct sluice_error *err)
{
    struct sluice_str key = SLUICE_STR_INIT;
    char *found = NULL;
    sluice_status status =
        armed_key(&key, kept->shard, kept->sink)
            ? sluice_state_identity_get(engine->state, sluice_str_text(&key), &found, err)
            : sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
    if (status == SLUICE_E_NOT_FOUND) {
        sluice_error_clear(err);
        status = SLUICE_OK;
    }
    kept->armed = found != NULL || kept->epoch > 0;
    sluice_free(found);
    sluice_str_free(&key);
    return status;
}

sluice_status sluice_flow_kept_feeds_read(struct sluice_engine *engine, struct sluice_error *err)
{
    SLUICE_TRY(sluice_state_feeds(engine->state, keep_feed, engine, err));
    for (size_t i = 0; i < engine->kept_feed_count; i++) {
        SLUICE_TRY(look_armed(engine, &engine->kept_feeds[i], err));
    }
    return SLUICE_OK;
}

/* ---- what the pipeline has left ---- */

static int is_leaf(const struct sluice_flow_source *source, const char *sink)
{
    for (size_t i = 0; i < source->tree.leaf_count; i++) {
        if (strcmp(source->leaf_sinks[i]->node->id, sink) == 0) {
            return 1;
        }
    }
    return 0;
}

/* `key` is one of engine->known, and is taken apart. */
static sluice_status forget_left_stream(struct sluice_flow_source *source, char *key,
                                        const struct sluice_flow_known *known,
                                        struct sluice_error *err)
{
    char *stream = strchr(key, '\x1f');
    char *sink = stream != NULL ? strchr(stream + 1, '\x1f') : NULL;
    if (sink == NULL || known->status != SLUICE_STATE_STREAM_COMPLETE) {
        return SLUICE_OK;
    }
    *stream++ = '\0';
    *sink++ = '\0';
    if (strcmp(key, source->node->id) != 0) {
        return SLUICE_OK;
    }
    const struct sluice_flow_stream *found = sluice_flow_source_stream(source, stream);
    int wired = is_leaf(source, sink);
    if (wired && found != NULL && found->follows) {
        return SLUICE_OK;
    }
    sluice_log_line(SLUICE_LOG_INFO, source->node->id,
                    "no longer followed%s%s; it is loaded anew if it comes back stream=%s",
                    wired ? "" : " into sink ", wired ? "" : sink, stream);
    return sluice_flow_forget_stream(source->engine, key, stream, sink, err);
}

/* A sink that left: the source keeps nothing for it, so its lanes begin anew when it comes back, with
 * loads. */
static sluice_status forget_left_feed(struct sluice_flow_source *source,
                                      struct sluice_flow_kept_feed *kept, struct sluice_error *err)
{
    if (kept->position.size == 0 || strcmp(kept->source, source->node->id) != 0 ||
        is_leaf(source, kept->sink)) {
        return SLUICE_OK;
    }
    struct sluice_state_feed row = {.source = kept->source,
                                    .sink = kept->sink,
                                    .shard = kept->shard,
                                    .epoch = kept->epoch,
                                    .changes = (int64_t)kept->changes,
                                    .transactions = (int64_t)kept->transactions,
                                    .updated_us = sluice_now_us(SLUICE_CLOCK_WALL)};
    kept->position.size = 0;
    return sluice_state_feed_put(source->engine->state, &row, err);
}

/* What the pipeline no longer follows gets old from here on: it is loaded anew if it ever comes back.
 * In cdc_only nothing could be loaded: there a sink's position stays, and is lost in words if so. */
sluice_status sluice_flow_forget_left(struct sluice_flow_source *source, struct sluice_error *err)
{
    struct sluice_engine *engine = source->engine;
    sluice_status status = SLUICE_OK;
    if (engine->state == NULL) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_state_batch_begin(engine->state, err));
    for (size_t i = 0; i < engine->known.count && status >= 0; i++) {
        char *key = sluice_alloc_string(engine->known.entries[i].key);
        status = key != NULL
                     ? forget_left_stream(source, key, engine->known.entries[i].value, err)
                     : sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
        sluice_free(key);
    }
    for (size_t i = 0; i < engine->kept_feed_count && status >= 0 && sluice_flow_has_load(engine);
         i++) {
        status = forget_left_feed(source, &engine->kept_feeds[i], err);
    }
    struct sluice_error end_err = SLUICE_ERROR_INIT;
    if (sluice_state_batch_end(engine->state, &end_err) < 0 && status >= 0) {
        *err = end_err;
        status = end_err.status;
    }
    return status;
}
