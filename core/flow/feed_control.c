/*
 * What the controller does about feeds: when they may begin, what the state keeps of them, how far
 * they are behind, and how they end.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "flow/feed.h"
#include "log/log.h"
#include "sluice/position.h"

#define CHECKPOINT_US 1000000 /* between two durable notes of positions */
#define MEASURE_US 5000000
#define FINISH_GRACE_US 2000000 /* for a feed to notice that its lanes had their time */
#define STALL_US 60000000       /* nothing moved for so long, and there is more: stalled */

static int64_t now_us(void)
{
    return sluice_now_us(SLUICE_CLOCK_MONOTONIC);
}

/* ---- checkpoints ---- */

static sluice_status keep_lane(struct sluice_feed *feed, struct sluice_feed_lane *lane,
                               struct sluice_feed_position *at, struct sluice_error *err)
{
    struct sluice_engine *engine = feed->engine;
    struct sluice_state_feed row = {.source = feed->source->node->id,
                                    .sink = lane->sink->node->id,
                                    .shard = feed->desc.id,
                                    .updated_us = sluice_now_us(SLUICE_CLOCK_WALL)};
    pthread_mutex_lock(&lane->mutex);
    row.epoch = lane->epoch;
    row.changes = (int64_t)(lane->base_changes + lane->changes);
    row.transactions = (int64_t)(lane->base_transactions + lane->transactions);
    int ok = sluice_feed_position_set(at, sluice_feed_position_bytes(&lane->committed));
    lane->moved = 0;
    pthread_mutex_unlock(&lane->mutex);
    if (!ok) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                "out of memory for a position");
    }
    row.position = at->data;
    row.position_size = at->size;
    if (at->size == 0) {
        return SLUICE_OK; /* no position yet: a row without one means that it was reset */
    }
    return engine->state != NULL ? sluice_state_feed_put(engine->state, &row, err) : SLUICE_OK;
}

static int has_moved(struct sluice_feed *feed)
{
    int moved = 0;
    for (size_t i = 0; i < feed->lane_count; i++) {
        pthread_mutex_lock(&feed->lanes[i].mutex);
        moved |= feed->lanes[i].moved;
        pthread_mutex_unlock(&feed->lanes[i].mutex);
    }
    return moved;
}

/* What was taken for kept was not: the next checkpoint takes it again. */
static void mark_moved(struct sluice_feed *feed)
{
    for (size_t i = 0; i < feed->lane_count; i++) {
        pthread_mutex_lock(&feed->lanes[i].mutex);
        feed->lanes[i].moved = 1;
        pthread_mutex_unlock(&feed->lanes[i].mutex);
    }
}

static sluice_status keep_all(struct sluice_feed *feed, struct sluice_feed_position *smallest,
                              struct sluice_error *err)
{
    struct sluice_feed_position at = {0};
    struct sluice_state *state = feed->engine->state;
    sluice_status status = state != NULL ? sluice_state_batch_begin(state, err) : SLUICE_OK;
    if (status < 0) {
        return status;
    }
    for (size_t i = 0; i < feed->lane_count && status >= 0; i++) {
        status = keep_lane(feed, &feed->lanes[i], &at, err);
        if (status >= 0 &&
            (i == 0 || sluice_position_compare(sluice_feed_position_bytes(&at),
                                               sluice_feed_position_bytes(smallest)) < 0) &&
            !sluice_feed_position_set(smallest, sluice_feed_position_bytes(&at))) {
            status = sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
        }
    }
    struct sluice_error end_err = SLUICE_ERROR_INIT;
    if (state != NULL && sluice_state_batch_end(state, &end_err) < 0 && status >= 0) {
        *err = end_err;
        status = end_err.status;
    }
    sluice_feed_position_free(&at);
    return status;
}

sluice_status sluice_feed_checkpoint(struct sluice_feed *feed, struct sluice_error *err)
{
    sluice_status status = SLUICE_OK;
    pthread_mutex_lock(&feed->checkpoint_mutex);
    if (has_moved(feed)) {
        struct sluice_feed_position smallest = {0};
        status = sluice_failpoint_error("flow.feed_before_state", err);
        if (status >= 0) {
            status = keep_all(feed, &smallest, err);
        }
        if (status >= 0) {
            status = sluice_failpoint_error("flow.feed_after_state", err);
        }
        if (status >= 0) { /* durable: the source may forget */
            pthread_mutex_lock(&feed->mutex);
            int ok = sluice_feed_position_set(&feed->ack, sluice_feed_position_bytes(&smallest));
            pthread_mutex_unlock(&feed->mutex);
            status = ok ? SLUICE_OK
                        : sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                           "out of memory for a position");
        }
        if (status < 0) {
            mark_moved(feed);
            (void)sluice_error_wrap(err, "keeping the positions of %s", feed->desc.id);
        }
        sluice_feed_position_free(&smallest);
    }
    atomic_store(&feed->checkpoint_us, now_us());
    pthread_mutex_unlock(&feed->checkpoint_mutex);
    return status;
}

/* ---- how far behind ---- */

static void measure(struct sluice_feed *feed)
{
    struct sluice_flow_source *source = feed->source;
    struct sluice_source_lag lag = {
        .struct_size = sizeof lag, .behind_bytes = -1, .retained_bytes = -1, .remaining_bytes = -1};
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_feed_position at = {0};
    if (sluice_feed_smallest(feed, &at) &&
        sluice_flow_source_measure(source, sluice_feed_position_bytes(&at), &lag, &err) >= 0) {
        atomic_store(&feed->behind_bytes, lag.behind_bytes);
        atomic_store(&feed->retained_bytes, lag.retained_bytes);
        atomic_store(&feed->remaining_bytes, lag.remaining_bytes);
        pthread_mutex_lock(&feed->mutex);
        (void)snprintf(feed->end, sizeof feed->end, "%.31s", lag.end);
        pthread_mutex_unlock(&feed->mutex);
    }
    sluice_feed_position_free(&at);
}

/* ---- the step ---- */

static int loads_open(const struct sluice_flow_source *source)
{
    for (size_t i = 0; i < source->stream_count; i++) {
        if (source->streams[i]->selected && sluice_flow_stream_open(source->streams[i]) &&
            !atomic_load(&source->streams[i]->abandoned)) {
            return 1;
        }
    }
    return 0;
}

static int sinks_load_aside(const struct sluice_flow_source *source)
{
    for (size_t i = 0; i < source->tree.leaf_count; i++) {
        const struct sluice_component *sink = source->leaf_sinks[i]->node->component;
        if ((sink->caps & SLUICE_SINK_LOADS_ASIDE) == 0) {
            return 0;
        }
    }
    return 1;
}

/* A first load holds the feed back: the log waits at the source, and is shown. Streams that are
 * loaded later must not hold back those that are whole already. */
static int may_start(const struct sluice_feed *feed)
{
    const struct sluice_flow_source *source = feed->source;
    if (feed->started || atomic_load(&feed->ended) || atomic_load(&source->lost) ||
        source->src == NULL) {
        return 0;
    }
    return !loads_open(source) || (source->had_whole && sinks_load_aside(source));
}

/* Waits for the thread, and tells the run what it died of. */
static void feed_is_over(struct sluice_feed *feed)
{
    sluice_feed_join(feed);
    if (feed->err.status < 0) {
        struct sluice_error err = feed->err;
        feed->err.status = SLUICE_OK;
        (void)sluice_error_wrap(&err, "source %s", feed->source->node->id);
        sluice_flow_fail(feed->engine, &err);
    }
}

static void step_feed(struct sluice_engine *engine, struct sluice_feed *feed)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (feed->started && atomic_load(&feed->over)) {
        feed_is_over(feed);
        return;
    }
    if (may_start(feed)) {
        atomic_store(&engine->phase, "following");
        if (sluice_feed_take_streams(feed, &err) < 0 || sluice_feed_start(feed, &err) < 0) {
            sluice_flow_fail(engine, &err);
            return;
        }
    }
    int64_t now = now_us();
    if (now - atomic_load(&feed->checkpoint_us) >= CHECKPOINT_US &&
        sluice_feed_checkpoint(feed, &err) < 0) {
        sluice_flow_fail(engine, &err); /* the data is committed all the same */
        return;
    }
    if (now - feed->source->measured_us >= MEASURE_US && feed->source->src != NULL) {
        feed->source->measured_us = now;
        measure(feed);
    }
    int behind = atomic_load(&feed->behind_bytes) > 0;
    atomic_store(&feed->stalled,
                 feed->started && behind && now - atomic_load(&feed->moved_us) > STALL_US);
}

void sluice_feeds_step(struct sluice_engine *engine)
{
    for (size_t i = 0; i < engine->source_count; i++) {
        for (struct sluice_feed *feed = engine->sources[i].feeds; feed != NULL; feed = feed->next) {
            step_feed(engine, feed);
        }
    }
}

int sluice_feeds_active(const struct sluice_engine *engine)
{
    for (size_t i = 0; i < engine->source_count; i++) {
        for (const struct sluice_feed *feed = engine->sources[i].feeds; feed != NULL;
             feed = feed->next) {
            if (feed->started || !atomic_load(&feed->ended)) {
                return 1;
            }
        }
    }
    return 0;
}

int sluice_feeds_run(const struct sluice_engine *engine)
{
    for (size_t i = 0; i < engine->source_count; i++) {
        for (const struct sluice_feed *feed = engine->sources[i].feeds; feed != NULL;
             feed = feed->next) {
            if (atomic_load(&feed->started) && !atomic_load(&feed->over)) {
                return 1;
            }
        }
    }
    return 0;
}

int sluice_feeds_abandon(struct sluice_flow_source *source)
{
    int over = 1;
    for (struct sluice_feed *feed = source->feeds; feed != NULL; feed = feed->next) {
        if (atomic_load(&feed->started) && !atomic_load(&feed->over)) {
            atomic_store(&feed->stop, FEED_ABANDON);
            over = 0;
        }
    }
    for (struct sluice_feed *feed = source->feeds; feed != NULL && over; feed = feed->next) {
        feed_is_over(feed);
    }
    return over;
}

/* Waits for the threads. Those that stand in a call of a plugin are cut off when the time is up. */
static void await_feeds(struct sluice_engine *engine)
{
    int64_t deadline_us = now_us() + engine->finish_us + FINISH_GRACE_US;
    struct timespec ts = {.tv_sec = (time_t)(deadline_us / 1000000),
                          .tv_nsec = (long)(deadline_us % 1000000) * 1000};
    pthread_mutex_lock(&engine->mutex);
    while (sluice_feeds_run(engine) && now_us() < deadline_us) {
        (void)pthread_cond_timedwait(&engine->events, &engine->mutex, &ts);
    }
    int late = sluice_feeds_run(engine);
    pthread_mutex_unlock(&engine->mutex);
    if (late && !sluice_cancel_raised(&engine->cancel)) {
        sluice_log_line(SLUICE_LOG_WARN, "flow",
                        "feeds have not ended in time and are cut off; the next run goes on from "
                        "the last commit");
        sluice_flow_cancel_all(engine);
    }
}

/* Whatever the run ended of: what sinks that keep no tokens have is not repeated. */
static void keep_at_end(struct sluice_feed *feed)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (sluice_feed_checkpoint(feed, &err) < 0) {
        sluice_log_line(SLUICE_LOG_WARN, feed->source->node->id, "%s", err.message);
    }
}

void sluice_feeds_stop(struct sluice_engine *engine)
{
    for (size_t i = 0; i < engine->source_count; i++) {
        for (struct sluice_feed *feed = engine->sources[i].feeds; feed != NULL; feed = feed->next) {
            atomic_store(&feed->stop, FEED_FINISH);
        }
    }
    await_feeds(engine);
    for (size_t i = 0; i < engine->source_count; i++) { /* errors only now: they cut off the rest */
        for (struct sluice_feed *feed = engine->sources[i].feeds; feed != NULL; feed = feed->next) {
            sluice_feed_join(feed);
        }
    }
    for (size_t i = 0; i < engine->source_count; i++) {
        for (struct sluice_feed *feed = engine->sources[i].feeds; feed != NULL; feed = feed->next) {
            keep_at_end(feed);
            feed_is_over(feed);
        }
    }
}

/* ---- watching ---- */

static int32_t shown_status(struct sluice_feed *feed)
{
    int32_t status = atomic_load(&feed->status);
    if (!feed->started && status != SLUICE_FEED_ENDED) {
        return SLUICE_FEED_WAITING;
    }
    if (status != SLUICE_FEED_FOLLOWING) {
        return status;
    }
    if (atomic_load(&feed->stalled)) {
        return SLUICE_FEED_STALLED;
    }
    return now_us() - atomic_load(&feed->moved_us) > 2 * CHECKPOINT_US &&
                   atomic_load(&feed->behind_bytes) <= 0
               ? SLUICE_FEED_IDLE
               : SLUICE_FEED_FOLLOWING;
}

/* Fills what a watcher sees of a lane; `text` is the room of its position. */
static void show_lane(struct sluice_feed_lane *lane, struct sluice_progress_lane *out, char *text,
                      size_t text_size)
{
    int64_t wall = sluice_now_us(SLUICE_CLOCK_WALL);
    pthread_mutex_lock(&lane->mutex);
    if (lane->committed.size * 2u + 1 <= text_size) {
        sluice_hex_encode(lane->committed.data, lane->committed.size, text);
    }
    int64_t behind = lane->oldest_us != 0 ? wall - lane->oldest_us : 0;
    *out = (struct sluice_progress_lane){.sink = lane->sink->node->id,
                                         .position = text,
                                         .epoch = lane->epoch,
                                         .changes = lane->changes,
                                         .queued_bytes = lane->queued_bytes,
                                         .behind_us = behind > 0 ? behind : 0};
    pthread_mutex_unlock(&lane->mutex);
}

enum { POSITION_TEXT = 80, LANES_SHOWN = 64 };

static void show_feed(struct sluice_feed *feed, sluice_progress_feed_visit visit, void *ctx)
{
    struct sluice_progress_lane lanes[LANES_SHOWN];
    char texts[LANES_SHOWN][POSITION_TEXT] = {{0}};
    char end[sizeof feed->end];
    size_t n = feed->lane_count < LANES_SHOWN ? feed->lane_count : LANES_SHOWN;
    int64_t behind = 0;
    for (size_t i = 0; i < n; i++) {
        show_lane(&feed->lanes[i], &lanes[i], texts[i], sizeof texts[i]);
        behind = lanes[i].behind_us > behind ? lanes[i].behind_us : behind;
    }
    pthread_mutex_lock(&feed->mutex);
    memcpy(end, feed->end, sizeof end);
    pthread_mutex_unlock(&feed->mutex);
    struct sluice_progress_feed view = {.source = feed->source->node->id,
                                        .shard = feed->desc.id,
                                        .status = shown_status(feed),
                                        .changes = atomic_load(&feed->changes),
                                        .inserts = atomic_load(&feed->inserts),
                                        .updates = atomic_load(&feed->updates),
                                        .deletes = atomic_load(&feed->deletes),
                                        .transactions = atomic_load(&feed->transactions),
                                        .bytes = atomic_load(&feed->bytes),
                                        .last_commit_us = atomic_load(&feed->last_commit_us),
                                        .behind_us = behind,
                                        .behind_bytes = atomic_load(&feed->behind_bytes),
                                        .retained_bytes = atomic_load(&feed->retained_bytes),
                                        .remaining_bytes = atomic_load(&feed->remaining_bytes),
                                        .end = end,
                                        .retries = atomic_load(&feed->retries),
                                        .lane_count = n,
                                        .lanes = lanes};
    visit(ctx, &view);
}

void sluice_engine_feeds(struct sluice_engine *engine, sluice_progress_feed_visit visit, void *ctx)
{
    pthread_mutex_lock(&engine->mutex);
    for (size_t i = 0; i < engine->source_count; i++) {
        for (struct sluice_feed *feed = engine->sources[i].feeds; feed != NULL; feed = feed->next) {
            show_feed(feed, visit, ctx);
        }
    }
    pthread_mutex_unlock(&engine->mutex);
}
