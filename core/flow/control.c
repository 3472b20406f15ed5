#include "flow/control.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "flow/feed.h"
#include "log/log.h"

#define LOOP_US 200000 /* how late a delayed reopening may be noticed */

static int64_t now_us(void)
{
    return sluice_now_us(SLUICE_CLOCK_MONOTONIC);
}

static int is_retryable(const struct sluice_error *err)
{
    return (err->flags & SLUICE_ERROR_RETRYABLE) != 0 && (err->flags & SLUICE_ERROR_FATAL) == 0;
}

/* Waits before another try; 0 = no more tries, or stopped. */
static int wait_to_retry(struct sluice_engine *engine, struct sluice_backoff *backoff,
                         const char *scope, const struct sluice_error *err)
{
    if (!is_retryable(err) || sluice_flow_stopped(engine)) {
        return 0;
    }
    int64_t wait = sluice_backoff_next(backoff);
    if (wait < 0) {
        return 0;
    }
    char text[24];
    sluice_duration_format(wait, text);
    sluice_log_line(SLUICE_LOG_WARN, scope, "trying again in %s error=\"%s\"", text, err->message);
    atomic_fetch_add(&engine->retries, 1);
    int64_t until = now_us() + wait;
    while (!sluice_flow_stopped(engine) && now_us() < until) { /* a drain does not cancel feeds */
        int64_t left = until - now_us();
        (void)sluice_cancel_sleep(&engine->cancel, left < LOOP_US ? left : LOOP_US);
    }
    return !sluice_flow_stopped(engine);
}

/* ---- completing streams ---- */

static void complete_leaf(struct sluice_flow_stream *stream, size_t i)
{
    struct sluice_engine *engine = stream->source->engine;
    struct sluice_flow_leaf *leaf = &stream->leaves[i];
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_backoff backoff;
    const struct sluice_retry *retry = &leaf->sink->node->retry;
    sluice_flow_backoff_init(&backoff, retry);
    sluice_status status = SLUICE_OK;
    do { /* repeating is harmless: the run is the same */
        sluice_error_clear(&err);
        status = sluice_flow_sink_end(engine, stream, leaf, &err);
    } while (status < 0 && wait_to_retry(engine, &backoff, leaf->sink->node->id, &err));
    if (status < 0) {
        if (sluice_flow_stopped(engine)) {
            return; /* loaded anew by the next run */
        }
        if (sluice_flow_is_stream_error(&err, 1)) {
            sluice_flow_leaf_fail(stream, i, &err);
        }
        else {
            sluice_flow_fail(engine, &err);
        }
        return;
    }
    leaf->complete = 1;
    leaf->needed = 0;
    if (sluice_flow_stream_remember(stream, i, SLUICE_STATE_STREAM_COMPLETE, NULL, &err) < 0) {
        sluice_flow_fail(engine, &err);
    }
    SLUICE_FAILPOINT("flow.after_complete_state");
}

static void settle_stream(struct sluice_flow_stream *stream)
{
    for (size_t i = 0; i < stream->source->tree.leaf_count; i++) {
        const struct sluice_flow_leaf *leaf = &stream->leaves[i];
        if (leaf->needed && !atomic_load(&leaf->failed) && leaf->shards_left == 0) {
            complete_leaf(stream, i);
        }
    }
    int32_t status = atomic_load(&stream->status);
    if (sluice_flow_stream_open(stream) || atomic_load(&stream->abandoned) ||
        status == SLUICE_PROGRESS_COMPLETE) {
        return;
    }
    /* Got on: the next trouble has all its tries. */
    sluice_flow_backoff_init(&stream->source->backoff, &stream->source->node->retry);
    atomic_store(&stream->finished_us, now_us());
    if (status == SLUICE_PROGRESS_FAILED) {
        return; /* in some sink, and told then */
    }
    atomic_store(&stream->status, SLUICE_PROGRESS_COMPLETE);
    sluice_log_line(SLUICE_LOG_INFO, stream->source->node->id,
                    "stream complete stream=%s rows=%llu run=%s", stream->name,
                    (unsigned long long)atomic_load(&stream->rows), stream->run);
}

/* ---- shards that came back ---- */

static void shard_ok(struct sluice_engine *engine, struct sluice_flow_shard *shard)
{
    struct sluice_flow_stream *stream = shard->stream;
    for (size_t i = 0; i < shard->source->tree.leaf_count; i++) {
        struct sluice_flow_leaf *leaf = &stream->leaves[i];
        if (!leaf->needed || atomic_load(&leaf->failed)) {
            continue;
        }
        if (shard->leaf_failed[i]) {
            sluice_flow_leaf_fail(stream, i, &shard->leaf_err[i]);
        }
        else if (shard->committed[i]) {
            leaf->rows += shard->leaf_rows[i];
            leaf->shards_left--;
        }
    }
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status status = shard->source->api->shard_done(shard->source->src, shard->desc.id, &err);
    if (status < 0 && status != SLUICE_E_UNSUPPORTED && !sluice_flow_stopped(engine)) {
        sluice_log_line(SLUICE_LOG_WARN, shard->source->node->id, "shard_done: %s", err.message);
    }
    settle_stream(stream);
    sluice_flow_shard_free(shard);
}

static void source_lost(struct sluice_engine *engine, struct sluice_flow_source *source,
                        struct sluice_error *err)
{
    if (atomic_load(&source->lost)) {
        return;
    }
    int64_t wait = sluice_backoff_next(&source->backoff);
    if (wait < 0) {
        err->flags |= SLUICE_ERROR_FATAL;
        sluice_flow_fail(engine, err);
    }
    else {
        sluice_log_line(SLUICE_LOG_WARN, source->node->id,
                        "unfinished tables start anew under a new snapshot error=\"%s\"",
                        err->message);
        source->reopen_at_us = now_us() + wait;
        atomic_fetch_add(&engine->retries, 1);
        atomic_store(&source->lost, 1);
    }
    sluice_pool_drop(engine, source, NULL);
}

/* Puts the shard back with a delay; 0 = it has no tries left. */
static int retry_shard(struct sluice_engine *engine, struct sluice_flow_shard *shard,
                       const struct sluice_error *err)
{
    int64_t wait = is_retryable(err) ? sluice_backoff_next(&shard->backoff) : -1;
    if (wait < 0) {
        return 0;
    }
    char text[24];
    sluice_duration_format(wait, text);
    sluice_log_line(SLUICE_LOG_WARN, shard->source->node->id,
                    "shard is read again in %s shard=%s error=\"%s\"", text, shard->desc.id,
                    err->message);
    atomic_fetch_add(&shard->stream->retries, 1);
    atomic_fetch_add(&engine->retries, 1);
    shard->not_before_us = now_us() + wait;
    shard->next = NULL;
    sluice_pool_add(engine, shard);
    return 1;
}

/* A shard whose try failed: read again, given up with its stream, its source or the run. */
static void shard_failed(struct sluice_engine *engine, struct sluice_flow_shard *shard)
{
    struct sluice_flow_stream *stream = shard->stream;
    struct sluice_error err = sluice_flow_shard_error(shard);
    if (sluice_flow_stopped(engine) || atomic_load(&stream->abandoned) ||
        atomic_load(&shard->source->lost)) {
        sluice_flow_shard_free(shard); /* nothing hangs on it any more */
        return;
    }
    if (shard->status == SLUICE_E_SNAPSHOT_LOST) {
        source_lost(engine, shard->source, &err);
        sluice_flow_shard_free(shard);
        return;
    }
    if (shard->status == SLUICE_E_CANCELLED) {
        err.flags = SLUICE_ERROR_RETRYABLE; /* we did not ask for that: its rows are still due */
    }
    if (retry_shard(engine, shard, &err)) {
        return;
    }
    if (sluice_flow_is_stream_error(&err, shard->err_leaf != SIZE_MAX)) {
        sluice_flow_stream_fail(stream, &err);
        sluice_pool_drop(engine, NULL, stream);
    }
    else {
        sluice_flow_fail(engine, &err);
    }
    sluice_flow_shard_free(shard);
}

static void shards_back(struct sluice_engine *engine, struct sluice_flow_shard *list)
{
    while (list != NULL) {
        struct sluice_flow_shard *next = list->next;
        if (list->status >= 0) {
            shard_ok(engine, list);
        }
        else {
            shard_failed(engine, list);
        }
        list = next;
    }
}

/* ---- opening ---- */

static void settle_all(struct sluice_flow_source *source)
{
    for (size_t i = 0; i < source->stream_count; i++) {
        if (source->streams[i]->selected) {
            settle_stream(source->streams[i]); /* completes those without shards */
        }
    }
}

static sluice_status open_source(struct sluice_engine *engine, struct sluice_flow_source *source,
                                 struct sluice_error *err)
{
    for (;;) {
        struct sluice_flow_shard *shards = NULL;
        sluice_error_clear(err);
        sluice_status status = sluice_flow_source_open(source, &shards, err);
        if (status >= 0) {
            sluice_pool_add(engine, shards);
            settle_all(source);
            return SLUICE_OK;
        }
        while (shards != NULL) {
            struct sluice_flow_shard *next = shards->next;
            sluice_flow_shard_free(shards);
            shards = next;
        }
        sluice_flow_source_close(source);
        if (!wait_to_retry(engine, &source->backoff, source->node->id, err)) {
            return status;
        }
    }
}

static sluice_status open_sink(struct sluice_engine *engine, struct sluice_flow_sink *sink,
                               struct sluice_error *err)
{
    struct sluice_backoff backoff;
    const struct sluice_retry *retry = &sink->node->retry;
    sluice_flow_backoff_init(&backoff, retry);
    for (;;) {
        sluice_error_clear(err);
        sluice_status status = sluice_flow_sink_open(engine, sink, err);
        if (status >= 0 && (engine->resumed || sluice_flow_has_changes(engine))) {
            status = sluice_flow_sink_recover(engine, sink, err);
        }
        if (status >= 0) {
            return SLUICE_OK;
        }
        if (!wait_to_retry(engine, &backoff, sink->node->id, err)) {
            return status;
        }
        sluice_flow_sink_close(engine, sink);
    }
}

/* A mistyped --tables among others would leave its table out in silence. */
static void warn_tables(const struct sluice_engine *engine)
{
    for (size_t p = 0; p < engine->options.table_count; p++) {
        const char *pattern = engine->options.tables[p];
        int met = 0;
        for (size_t i = 0; i < engine->source_count; i++) {
            const struct sluice_flow_source *source = &engine->sources[i];
            for (size_t k = 0; k < source->stream_count && !met; k++) {
                met = sluice_config_pattern_match(pattern, source->streams[k]->name);
            }
        }
        if (!met) {
            sluice_log_line(SLUICE_LOG_WARN, "flow", "no chosen table matches --tables %s",
                            pattern);
        }
    }
}

sluice_status sluice_control_open(struct sluice_engine *engine, struct sluice_error *err)
{
    size_t streams = 0;
    for (size_t i = 0; i < engine->sink_count; i++) {
        SLUICE_TRY(open_sink(engine, &engine->sinks[i], err));
    }
    for (size_t i = 0; i < engine->source_count; i++) {
        SLUICE_TRY(open_source(engine, &engine->sources[i], err));
        streams += engine->sources[i].stream_count;
    }
    if (streams == 0 && engine->options.table_count > 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                                "no table that the file chooses matches --tables (hint: sluice "
                                "discover FILE lists them)");
    }
    warn_tables(engine);
    return SLUICE_OK;
}

/* ---- the loop ---- */

/* Opens lost sources anew once none of their shards is read; 1 = some are still to be. */
static int reopen_lost(struct sluice_engine *engine)
{
    int waiting = 0;
    for (size_t i = 0; i < engine->source_count; i++) {
        struct sluice_flow_source *source = &engine->sources[i];
        if (!atomic_load(&source->lost)) {
            continue;
        }
        waiting = 1;
        pthread_mutex_lock(&engine->mutex);
        int running = source->running > 0 || engine->finished != NULL;
        pthread_mutex_unlock(&engine->mutex);
        if (running || now_us() < source->reopen_at_us || !sluice_feeds_abandon(source)) {
            continue;
        }
        sluice_flow_source_close(source);
        struct sluice_error err = SLUICE_ERROR_INIT;
        if (open_source(engine, source, &err) < 0 && !sluice_flow_stopped(engine)) {
            sluice_flow_fail(engine, &err);
        }
    }
    return waiting;
}

void sluice_control_loop(struct sluice_engine *engine)
{
    while (!sluice_flow_stopped(engine)) {
        shards_back(engine, sluice_pool_wait(engine, LOOP_US));
        if (sluice_flow_stopped(engine)) {
            break;
        }
        int waiting = reopen_lost(engine);
        sluice_feeds_step(engine);
        if (!waiting && sluice_pool_idle(engine) && !sluice_feeds_active(engine)) {
            break;
        }
    }
    sluice_pool_drop(engine, NULL, NULL);
}

void sluice_control_end(struct sluice_engine *engine)
{
    sluice_pool_drop(engine, NULL, NULL);
    shards_back(engine, sluice_pool_wait(engine, 0));
    sluice_pool_drop(engine, NULL, NULL);
    for (size_t i = 0; i < engine->source_count; i++) {
        for (size_t k = 0; k < engine->sources[i].stream_count; k++) {
            struct sluice_flow_stream *stream = engine->sources[i].streams[k];
            int32_t status = atomic_load(&stream->status);
            int waits = status == SLUICE_PROGRESS_RUNNING || status == SLUICE_PROGRESS_WAITING;
            engine->streams_left += waits || sluice_flow_stream_open(stream);
            if (waits) {
                atomic_store(&stream->finished_us, now_us());
                atomic_store(&stream->status, SLUICE_PROGRESS_STOPPED);
            }
        }
    }
}
