/*
 * What the state says when a run begins: how far the load came, and the feeds.
 */
#include <string.h>

#include "base/alloc.h"
#include "flow/feed.h"
#include "log/log.h"

static int known_key(struct sluice_str *key, const char *source, const char *stream,
                     const char *sink)
{
    sluice_str_printf(key, "%s\x1f%s\x1f%s", source, stream, sink);
    return !key->failed;
}

/* What the map of known streams points to: one constant for each status. */
static const int32_t known_statuses[] = {SLUICE_STATE_STREAM_PENDING, SLUICE_STATE_STREAM_LOADING,
                                         SLUICE_STATE_STREAM_COMPLETE, SLUICE_STATE_STREAM_FAILED};

static sluice_status keep_known(void *ctx, const struct sluice_state_stream *stream)
{
    struct sluice_engine *engine = ctx;
    if (stream->status < 0 || stream->status > SLUICE_STATE_STREAM_FAILED) {
        return SLUICE_OK; /* of a newer version: read anew */
    }
    struct sluice_str key = SLUICE_STR_INIT;
    int ok = known_key(&key, stream->source, stream->stream, stream->sink) &&
             sluice_map_put(&engine->known, key.data,
                            (void *)(uintptr_t)&known_statuses[stream->status]);
    if (ok && stream->position_size > 0) {
        struct sluice_feed_position *at = sluice_alloc_zero(1, sizeof *at);
        struct sluice_bytes from = {stream->position, stream->position_size};
        ok = at != NULL && sluice_feed_position_set(at, from) &&
             sluice_map_put(&engine->known_positions, key.data, at);
        if (!ok && at != NULL) {
            sluice_feed_position_free(at);
            sluice_free(at);
        }
    }
    sluice_str_free(&key);
    return ok ? SLUICE_OK : SLUICE_E_NOMEM;
}

int32_t sluice_flow_known(const struct sluice_engine *engine, const char *source,
                          const char *stream, const char *sink)
{
    struct sluice_str key = SLUICE_STR_INIT;
    const int32_t *found =
        known_key(&key, source, stream, sink) ? sluice_map_get(&engine->known, key.data) : NULL;
    sluice_str_free(&key);
    return found != NULL ? *found : -1;
}

const struct sluice_feed_position *sluice_flow_known_position(const struct sluice_engine *engine,
                                                              const char *source,
                                                              const char *stream, const char *sink)
{
    struct sluice_str key = SLUICE_STR_INIT;
    const struct sluice_feed_position *found =
        known_key(&key, source, stream, sink) ? sluice_map_get(&engine->known_positions, key.data)
                                              : NULL;
    sluice_str_free(&key);
    return found;
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
    for (size_t i = 0; i < engine->known_positions.count; i++) {
        struct sluice_feed_position *at = engine->known_positions.entries[i].value;
        sluice_feed_position_free(at);
        sluice_free(at);
    }
    sluice_map_free(&engine->known_positions);
    sluice_map_free(&engine->known);
}

sluice_status sluice_flow_known_read(struct sluice_engine *engine, struct sluice_error *err)
{
    return sluice_state_streams(engine->state, engine->load.load_id, keep_known, engine, err);
}

sluice_status sluice_flow_kept_feeds_read(struct sluice_engine *engine, struct sluice_error *err)
{
    return sluice_state_feeds(engine->state, keep_feed, engine, err);
}

/* Streams that the pipeline no longer follows: what was loaded of them gets old from here on, so they
 * are loaded anew if they ever come back. */
sluice_status sluice_flow_forget_left(struct sluice_flow_source *source, struct sluice_error *err)
{
    struct sluice_engine *engine = source->engine;
    sluice_status status = SLUICE_OK;
    for (size_t i = 0; engine->state != NULL && i < engine->known.count && status >= 0; i++) {
        const struct sluice_map_entry *entry = &engine->known.entries[i];
        char *source_id = sluice_alloc_string(entry->key);
        char *stream = source_id != NULL ? strchr(source_id, '\x1f') : NULL;
        char *sink = stream != NULL ? strchr(stream + 1, '\x1f') : NULL;
        if (sink == NULL) {
            sluice_free(source_id);
            return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
        }
        *stream++ = '\0';
        *sink++ = '\0';
        const struct sluice_flow_stream *found = sluice_flow_source_stream(source, stream);
        if (*(const int32_t *)entry->value == SLUICE_STATE_STREAM_COMPLETE &&
            strcmp(source_id, source->node->id) == 0 && (found == NULL || !found->follows)) {
            char none[] = "";
            struct sluice_state_stream row = {.source = source_id,
                                              .stream = stream,
                                              .sink = sink,
                                              .run = none,
                                              .status = SLUICE_STATE_STREAM_PENDING};
            sluice_log_line(SLUICE_LOG_INFO, source->node->id,
                            "no longer followed; it is loaded anew if it is chosen again stream=%s",
                            stream);
            status = sluice_state_stream_put(engine->state, engine->load.load_id, &row, err);
        }
        sluice_free(source_id);
    }
    return status;
}
