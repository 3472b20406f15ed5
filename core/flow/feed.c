/*
 * The feed's own thread: reads the source, hands over to the lanes, tells the source what is durable,
 * and begins again after failures that may pass.
 */
#include "flow/feed.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "log/log.h"
#include "sluice/array.h"
#include "sluice/position.h"

#define READ_TIMEOUT_US 200000 /* how long a stop or an ack may wait in reader_next */
#define ABANDON_US \
    1000000             /* for lanes to commit before their source is opened anew: without it a
                              load that is lost again and again would starve the others */
#define IDLE_US 1000000 /* between two signs of life while lanes finish */
#define BUDGET_WAIT_US 200000 /* then go on: what holds the budget may be ours */
#define BUDGET_RETRY_US 10000 /* once that was in vain */

static int64_t now_us(void)
{
    return sluice_now_us(SLUICE_CLOCK_MONOTONIC);
}

static sluice_status stopped(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "stopped");
}

static int must_stop(struct sluice_feed *feed)
{
    return atomic_load(&feed->stop) != FEED_GO || sluice_cancel_raised(&feed->engine->cancel);
}

/* ---- one try: opening and closing ---- */

/* The smallest position of the lanes; lanes that have none yet take the whole feed. */
int sluice_feed_smallest(struct sluice_feed *feed, struct sluice_feed_position *out)
{
    int ok = 1;
    *out = (struct sluice_feed_position){0};
    for (size_t i = 0; i < feed->lane_count && ok; i++) {
        struct sluice_feed_lane *lane = &feed->lanes[i];
        pthread_mutex_lock(&lane->mutex);
        struct sluice_bytes at = sluice_feed_position_bytes(&lane->committed);
        if (i == 0 || sluice_position_compare(at, sluice_feed_position_bytes(out)) < 0) {
            ok = sluice_feed_position_set(out, at);
        }
        pthread_mutex_unlock(&lane->mutex);
    }
    return ok;
}

static sluice_status open_try(struct sluice_feed *feed, struct sluice_error *err)
{
    struct sluice_feed_position resume = {0};
    const struct sluice_source_api *api = feed->source->api;
    for (size_t i = 0; i < feed->lane_count; i++) {
        SLUICE_TRY(sluice_feed_lane_settle(&feed->lanes[i], err));
    }
    /* A source may take the position that it is opened at for one that it may forget. */
    SLUICE_TRY(sluice_feed_checkpoint(feed, err));
    feed->told.size = 0;
    for (size_t i = 0; i < feed->stream_count; i++) {
        sluice_feed_stream_reset(feed->streams[i]);
    }
    feed->touched = NULL;
    SLUICE_TRY(sluice_failpoint_error("flow.feed_before_open", err));
    sluice_status status =
        sluice_feed_smallest(feed, &resume)
            ? SLUICE_OK
            : sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
    feed->reader_desc = feed->desc;
    if (status >= 0) {
        status = api->reader_open(feed->source->src, &feed->reader_desc,
                                  sluice_feed_position_bytes(&resume), &feed->reader, err);
    }
    for (size_t i = 0; i < feed->lane_count && status >= 0; i++) {
        status = sluice_feed_lane_open(&feed->lanes[i], err);
    }
    sluice_feed_position_free(&resume);
    return status;
}

static void close_try(struct sluice_feed *feed)
{
    if (feed->reader != NULL) { /* first: the server shall not wait for our sinks */
        feed->source->api->reader_close(feed->reader);
        feed->reader = NULL;
    }
    for (size_t i = 0; i < feed->lane_count; i++) {
        sluice_feed_lane_abort(&feed->lanes[i]);
    }
}

/* The same may succeed later. CANCELLED that nobody asked for counts among it. */
static int passes(const struct sluice_error *err)
{
    return ((err->flags & SLUICE_ERROR_RETRYABLE) != 0 || err->status == SLUICE_E_CANCELLED) &&
           (err->flags & SLUICE_ERROR_FATAL) == 0;
}

/* ---- reading ---- */

static struct sluice_feed_stream *stream_of(const struct sluice_feed *feed, uint64_t id)
{
    size_t low = 0;
    size_t high = feed->stream_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (feed->streams[mid]->source_stream_id < id) {
            low = mid + 1;
        }
        else {
            high = mid;
        }
    }
    return low < feed->stream_count && feed->streams[low]->source_stream_id == id
               ? feed->streams[low]
               : NULL;
}

static sluice_status push_batch(struct sluice_feed *feed, struct sluice_batch *batch,
                                struct sluice_error *err)
{
    struct sluice_feed_stream *fs = NULL;
    switch (batch->kind) {
    case SLUICE_BATCH_CHANGES:
    case SLUICE_BATCH_TRUNCATE:
        fs = stream_of(feed, batch->stream_id);
        if (fs != NULL) {
            return sluice_feed_stream_push(fs, batch, err);
        }
        sluice_array_release(&batch->array); /* of a stream that is not chosen */
        return SLUICE_OK;
    case SLUICE_BATCH_SCHEMA:
        fs = stream_of(feed, batch->stream_id);
        return fs != NULL && batch->desc != NULL ? sluice_feed_stream_announce(fs, batch->desc, err)
                                                 : SLUICE_OK;
    case SLUICE_BATCH_HEARTBEAT:
    case SLUICE_BATCH_MESSAGE: /* no sink takes them */
        sluice_array_release(&batch->array);
        return SLUICE_OK;
    default:
        sluice_array_release(&batch->array);
        return sluice_error_set(err, SLUICE_E_INTERNAL, SLUICE_ERROR_FATAL,
                                "a batch of kind %d in a feed of changes: a bug of the source's "
                                "plugin",
                                batch->kind);
    }
}

/* All rows so far end at whole transactions: lanes may commit up to here. */
static sluice_status push_boundary(struct sluice_feed *feed, struct sluice_bytes position,
                                   struct sluice_error *err)
{
    for (struct sluice_feed_stream *fs = feed->touched; fs != NULL; fs = fs->next_touched) {
        SLUICE_TRY(sluice_chain_flush(&fs->chain, err));
        fs->touched = 0;
    }
    feed->touched = NULL;
    for (size_t i = 0; i < feed->lane_count; i++) {
        SLUICE_TRY(sluice_feed_lane_put_boundary(&feed->lanes[i], position, err));
    }
    atomic_store(&feed->moved_us, now_us());
    return SLUICE_OK;
}

/* Tells the source what the last checkpoint allows. */
static sluice_status tell_source(struct sluice_feed *feed, struct sluice_error *err)
{
    struct sluice_feed_position ack = {0};
    pthread_mutex_lock(&feed->mutex);
    int news =
        feed->ack.size > 0 && sluice_position_compare(sluice_feed_position_bytes(&feed->ack),
                                                      sluice_feed_position_bytes(&feed->told)) > 0;
    int ok = !news || (sluice_feed_position_set(&ack, sluice_feed_position_bytes(&feed->ack)) &&
                       sluice_feed_position_set(&feed->told, sluice_feed_position_bytes(&ack)));
    pthread_mutex_unlock(&feed->mutex);
    sluice_status status =
        ok ? SLUICE_OK : sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a position");
    if (status >= 0 && news) {
        status = sluice_failpoint_error("flow.feed_before_ack", err);
    }
    if (status >= 0 && news) {
        status = feed->source->api->reader_ack(feed->reader, sluice_feed_position_bytes(&ack), err);
        status = status == SLUICE_E_UNSUPPORTED ? SLUICE_OK : status;
    }
    sluice_feed_position_free(&ack);
    return status;
}

static sluice_status check_lanes(struct sluice_feed *feed, struct sluice_error *err)
{
    for (size_t i = 0; i < feed->lane_count; i++) {
        SLUICE_TRY(sluice_feed_lane_check(&feed->lanes[i], err));
    }
    return SLUICE_OK;
}

/* Waits for room in the budget; the server is kept patient meanwhile. */
static sluice_status wait_budget(struct sluice_feed *feed, struct sluice_error *err)
{
    struct sluice_budget *budget = &feed->engine->budget;
    feed->starved = !sluice_budget_wait(budget, feed->starved ? BUDGET_RETRY_US : BUDGET_WAIT_US);
    if (!feed->starved) {
        return SLUICE_OK;
    }
    sluice_status status = feed->source->api->reader_idle(feed->reader, err);
    return status == SLUICE_E_UNSUPPORTED ? SLUICE_OK : status;
}

/* The position at the end of the batch is the reader's until its next call, which may come while the
 * batch is handed over. */
static sluice_status keep_boundary(struct sluice_feed *feed, const struct sluice_batch *batch,
                                   struct sluice_error *err)
{
    if (batch->position.size == 0 || batch->position.size > SLUICE_LIMIT_POSITION_BYTES) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, SLUICE_ERROR_FATAL,
                                "a boundary with a position of %llu bytes: a bug of the source's "
                                "plugin",
                                (unsigned long long)batch->position.size);
    }
    return sluice_feed_position_set(&feed->boundary, batch->position)
               ? SLUICE_OK
               : sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                  "out of memory for a position");
}

/* Hands one batch over; consumes it. */
static sluice_status take_batch(struct sluice_feed *feed, struct sluice_batch *batch,
                                struct sluice_error *err)
{
    int ends = (batch->flags & SLUICE_BATCH_COMMIT_BOUNDARY) != 0;
    if (batch->source_time_us != 0) {
        atomic_store(&feed->last_commit_us, batch->source_time_us);
    }
    sluice_status status = sluice_failpoint_error("flow.feed_after_batch", err);
    if (status >= 0 && ends) {
        status = keep_boundary(feed, batch, err);
    }
    if (status < 0) {
        sluice_array_release(&batch->array);
        return status;
    }
    SLUICE_TRY(push_batch(feed, batch, err));
    return ends ? push_boundary(feed, sluice_feed_position_bytes(&feed->boundary), err) : SLUICE_OK;
}

/* Until END (answered), a stop (CANCELLED) or a failure. */
static sluice_status read_all(struct sluice_feed *feed, struct sluice_error *err)
{
    for (;;) {
        if (must_stop(feed)) {
            return stopped(err);
        }
        SLUICE_TRY(check_lanes(feed, err));
        SLUICE_TRY(tell_source(feed, err));
        SLUICE_TRY(wait_budget(feed, err));
        struct sluice_batch batch = {.struct_size = sizeof batch};
        sluice_status status =
            feed->source->api->reader_next(feed->reader, READ_TIMEOUT_US, &batch, err);
        if (status == SLUICE_END) {
            return SLUICE_END;
        }
        SLUICE_TRY(status);
        if (!feed->streamed) {
            feed->streamed = 1;
            sluice_log_line(SLUICE_LOG_INFO, feed->source->node->id,
                            "following changes shard=%s tables=%zu", feed->desc.id,
                            feed->stream_count);
        }
        atomic_store(&feed->status, SLUICE_FEED_FOLLOWING);
        if (status != SLUICE_AGAIN) {
            SLUICE_TRY(take_batch(feed, &batch, err));
        }
    }
}

/* ---- ending a try ---- */

/* Waits for one lane; the server is kept patient meanwhile. *deadline_us: INT64_MAX until a stop is
 * asked for. */
static sluice_status finish_lane(struct sluice_feed *feed, struct sluice_feed_lane *lane,
                                 int64_t *deadline_us, struct sluice_error *err)
{
    for (;;) {
        int64_t now = now_us();
        int abandons = atomic_load(&feed->stop) == FEED_ABANDON;
        if (*deadline_us == INT64_MAX && must_stop(feed)) {
            *deadline_us = now + (abandons ? ABANDON_US : feed->engine->finish_us);
        }
        int64_t pause = *deadline_us == INT64_MAX ? READ_TIMEOUT_US : IDLE_US;
        int64_t until = now + pause < *deadline_us ? now + pause : *deadline_us;
        sluice_status status = sluice_feed_lane_finish(lane, until, err);
        if (status != SLUICE_AGAIN) {
            return status;
        }
        if (sluice_cancel_raised(&feed->engine->cancel)) {
            return stopped(err);
        }
        if (now_us() >= *deadline_us && (abandons || !must_stop(feed))) {
            return stopped(err); /* what else goes on is not held up for this */
        }
        if (now_us() >= *deadline_us) {
            sluice_log_line(SLUICE_LOG_WARN, lane->sink->node->id,
                            "not committed in time; the next run goes on from the last commit");
            sluice_flow_cancel_all(feed->engine); /* else it would hold up the end */
            return stopped(err);
        }
        if (now_us() - feed->idle_us >= IDLE_US) {
            feed->idle_us = now_us();
            if (feed->source->api->reader_idle(feed->reader, err) < 0) {
                sluice_error_clear(err); /* told later, if it matters */
            }
        }
    }
}

/* Every lane commits what ends at a boundary, all at the same time. The worst failure is answered:
 * one that does not pass before one that may. */
static sluice_status finish_lanes(struct sluice_feed *feed, int64_t deadline_us,
                                  struct sluice_error *err)
{
    sluice_status status = SLUICE_OK;
    for (size_t i = 0; i < feed->lane_count; i++) {
        sluice_feed_lane_end(&feed->lanes[i]);
    }
    for (size_t i = 0; i < feed->lane_count; i++) {
        struct sluice_error lane_err = SLUICE_ERROR_INIT;
        if (!feed->lanes[i].threaded) {
            continue; /* the try ended before it was opened */
        }
        sluice_status one = finish_lane(feed, &feed->lanes[i], &deadline_us, &lane_err);
        if (one < 0 && (status >= 0 || (passes(err) && !passes(&lane_err)))) {
            *err = lane_err;
            status = one;
        }
    }
    return status;
}

/* Lets the lanes commit, keeps the positions, and tells the source. */
static sluice_status finish_try(struct sluice_feed *feed, struct sluice_error *err)
{
    if (sluice_cancel_raised(&feed->engine->cancel)) {
        return stopped(err);
    }
    sluice_status status = finish_lanes(feed, INT64_MAX, err);
    struct sluice_error kept_err = SLUICE_ERROR_INIT;
    if (sluice_feed_checkpoint(feed, &kept_err) < 0 && (status >= 0 || passes(err))) {
        *err = kept_err;
        return kept_err.status;
    }
    if (status >= 0) {
        status = tell_source(feed, err);
    }
    if (status >= 0) { /* lets the status update leave */
        status = feed->source->api->reader_idle(feed->reader, err);
        status = status == SLUICE_E_UNSUPPORTED ? SLUICE_OK : status;
    }
    return status;
}

/* The run is about to die of what was read, or of one sink: what ended before it is committed, else it
 * would be read again by every run until the cause is mended. */
static void commit_before_death(struct sluice_feed *feed)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (sluice_cancel_raised(&feed->engine->cancel) || atomic_load(&feed->stop) == FEED_ABANDON) {
        return;
    }
    (void)finish_lanes(feed, now_us() + feed->engine->finish_us, &err);
}

/* ---- trying again ---- */

/* All lanes came further than when a try failed last: the next trouble has all its tries. A reader that
 * reads on while a sink fails each time is no progress. */
static void note_progress(struct sluice_feed *feed)
{
    struct sluice_feed_position at = {0};
    if (sluice_feed_smallest(feed, &at)) {
        struct sluice_bytes now = sluice_feed_position_bytes(&at);
        if (sluice_position_compare(now, sluice_feed_position_bytes(&feed->tried)) > 0 &&
            sluice_feed_position_set(&feed->tried, now)) {
            sluice_flow_backoff_init(&feed->backoff, &feed->source->node->retry);
        }
    }
    sluice_feed_position_free(&at);
}

/* 1 = try again after having waited. A feed that has worked once is tried for as long as it takes:
 * its source keeps what follows. */
static int wait_to_retry(struct sluice_feed *feed, const struct sluice_error *err)
{
    struct sluice_engine *engine = feed->engine;
    if (!passes(err) || must_stop(feed)) {
        return 0;
    }
    atomic_store(&feed->status, SLUICE_FEED_RETRYING);
    note_progress(feed);
    int64_t wait = sluice_backoff_next(&feed->backoff);
    if (wait < 0 && feed->streamed && !engine->options.once) {
        wait = feed->source->node->retry.cap_us;
    }
    if (wait < 0) {
        return 0;
    }
    char text[24];
    sluice_duration_format(wait, text);
    sluice_log_line(SLUICE_LOG_WARN, feed->source->node->id,
                    "the feed begins again in %s error=\"%s\"", text, err->message);
    atomic_fetch_add(&feed->retries, 1);
    atomic_fetch_add(&engine->retries, 1);
    int64_t until = now_us() + wait;
    while (!must_stop(feed) && now_us() < until) {
        int64_t left = until - now_us();
        (void)sluice_cancel_sleep(&engine->cancel, left < READ_TIMEOUT_US ? left : READ_TIMEOUT_US);
    }
    return !must_stop(feed);
}

/* One try. OK: over, as asked or at the source's end. */
static sluice_status run_try(struct sluice_feed *feed, struct sluice_error *err)
{
    atomic_store(&feed->status, feed->streamed ? SLUICE_FEED_RETRYING : SLUICE_FEED_CONNECTING);
    sluice_status status = open_try(feed, err);
    if (status >= 0) {
        status = read_all(feed, err);
    }
    int ended = status == SLUICE_END;
    int asked = status == SLUICE_E_CANCELLED && must_stop(feed);
    if (feed->reader != NULL && (ended || asked)) {
        sluice_error_clear(err);
        status = finish_try(feed, err);
        if (status >= 0 && ended) {
            atomic_store(&feed->ended, 1);
        }
    }
    else if (feed->reader != NULL && status < 0 && !passes(err)) {
        commit_before_death(feed);
    }
    close_try(feed);
    return status;
}

/* What the controller is to know. After a stop only what does not pass: what could not be committed
 * comes again. */
static sluice_status outcome(struct sluice_feed *feed, sluice_status status)
{
    if (status >= 0 || sluice_cancel_raised(&feed->engine->cancel)) {
        return SLUICE_OK; /* the cause is known where it was raised */
    }
    if (!must_stop(feed) || !passes(&feed->err)) {
        return status;
    }
    if (status != SLUICE_E_CANCELLED) {
        sluice_log_line(SLUICE_LOG_WARN, feed->source->node->id,
                        "not ended in order; the next run goes on from the last commit "
                        "error=\"%s\"",
                        feed->err.message);
    }
    return SLUICE_OK;
}

static void *feed_main(void *arg)
{
    struct sluice_feed *feed = arg;
    struct sluice_engine *engine = feed->engine;
    sluice_status status = SLUICE_OK;
    do {
        sluice_error_clear(&feed->err);
        status = run_try(feed, &feed->err);
        if (status < 0) {
            feed->err.status = status;
        }
    } while (status < 0 && wait_to_retry(feed, &feed->err));
    feed->err.status = outcome(feed, status);
    atomic_store(&feed->status, SLUICE_FEED_ENDED);
    pthread_mutex_lock(&engine->mutex);
    atomic_store(&feed->over, 1);
    int last = atomic_load(&engine->drained) && !sluice_feeds_run(engine);
    pthread_cond_broadcast(&engine->events);
    pthread_mutex_unlock(&engine->mutex);
    if (last) { /* all is committed: what else goes on may be cut off */
        sluice_flow_cancel_all(engine);
    }
    return NULL;
}

/* ---- life, on the controller ---- */

static void free_feed(struct sluice_feed *feed)
{
    for (size_t i = 0; i < feed->lane_count; i++) {
        sluice_feed_lane_free(&feed->lanes[i]);
    }
    for (size_t i = 0; i < feed->stream_count; i++) {
        sluice_feed_stream_free(feed->streams[i]);
    }
    sluice_free(feed->streams);
    sluice_free(feed->lanes);
    sluice_free((void *)(uintptr_t)feed->desc.id);
    sluice_free((void *)(uintptr_t)feed->desc.handle.data);
    sluice_free((void *)(uintptr_t)feed->desc.start.data);
    sluice_feed_position_free(&feed->ack);
    sluice_feed_position_free(&feed->told);
    sluice_feed_position_free(&feed->boundary);
    sluice_feed_position_free(&feed->tried);
    pthread_mutex_destroy(&feed->mutex);
    pthread_mutex_destroy(&feed->checkpoint_mutex);
    sluice_free(feed);
}

void sluice_feeds_free(struct sluice_flow_source *source)
{
    while (source->feeds != NULL) {
        struct sluice_feed *feed = source->feeds;
        source->feeds = feed->next;
        free_feed(feed);
    }
}

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a feed");
}

static char *copy_bytes(struct sluice_bytes from)
{
    return sluice_alloc_string_n(from.data != NULL ? from.data : "", from.size);
}

/* Takes what may differ in a later attempt: handle and start. */
static sluice_status take_desc(struct sluice_feed *feed, const struct sluice_shard_desc *desc,
                               struct sluice_error *err)
{
    char *handle = copy_bytes(desc->handle);
    char *start = copy_bytes(desc->start);
    if (handle == NULL || start == NULL) {
        sluice_free(handle);
        sluice_free(start);
        return nomem(err);
    }
    sluice_free((void *)(uintptr_t)feed->desc.handle.data);
    sluice_free((void *)(uintptr_t)feed->desc.start.data);
    feed->desc.handle = (struct sluice_bytes){handle, desc->handle.size};
    feed->desc.start = (struct sluice_bytes){start, desc->start.size};
    return SLUICE_OK;
}

static sluice_status create_feed(struct sluice_flow_source *source,
                                 const struct sluice_shard_desc *desc, struct sluice_feed **out,
                                 struct sluice_error *err)
{
    struct sluice_feed *feed = sluice_alloc_zero(1, sizeof *feed);
    if (feed == NULL) {
        return nomem(err);
    }
    feed->engine = source->engine;
    feed->source = source;
    pthread_mutex_init(&feed->mutex, NULL);
    pthread_mutex_init(&feed->checkpoint_mutex, NULL);
    atomic_store(&feed->behind_bytes, -1);
    atomic_store(&feed->retained_bytes, -1);
    atomic_store(&feed->remaining_bytes, -1);
    sluice_flow_backoff_init(&feed->backoff, &source->node->retry);
    feed->desc = *desc;
    feed->desc.stream_count = 0;
    feed->desc.stream_ids = NULL;
    feed->desc.handle = (struct sluice_bytes){NULL, 0};
    feed->desc.start = (struct sluice_bytes){NULL, 0};
    feed->desc.id = sluice_alloc_string(desc->id);
    feed->lanes = sluice_alloc_zero(source->tree.leaf_count, sizeof *feed->lanes);
    sluice_status status = feed->desc.id != NULL && feed->lanes != NULL ? SLUICE_OK : nomem(err);
    size_t lanes = source->tree.leaf_count;
    feed->lane_count = lanes;
    for (size_t i = 0; i < lanes && status >= 0; i++) {
        status = sluice_feed_lane_init(&feed->lanes[i], feed, i, err);
    }
    if (status < 0) {
        feed->lane_count = feed->lanes != NULL ? lanes : 0;
        free_feed(feed);
        return status;
    }
    *out = feed;
    return SLUICE_OK;
}

/* Where the lanes go on. A lane that nothing is known of begins where the others are, or where the
 * source begins: what it lacks comes by the loads. */
static sluice_status place_lanes(struct sluice_feed *feed, struct sluice_error *err)
{
    struct sluice_feed_position smallest = {0};
    sluice_status status = SLUICE_OK;
    for (size_t i = 0; i < feed->lane_count && status >= 0; i++) {
        struct sluice_feed_lane *lane = &feed->lanes[i];
        status = sluice_feed_resume(feed->engine, lane->sink, feed->source->node->id, feed->desc.id,
                                    &lane->committed, &lane->epoch, err);
        const struct sluice_flow_kept_feed *token =
            sluice_map_get(&lane->sink->lanes, feed->desc.id);
        lane->sure_epoch = token != NULL ? token->epoch : 0;
        lane->moved = 1;
        const struct sluice_flow_kept_feed *kept = sluice_flow_kept_feed(
            feed->engine, feed->source->node->id, feed->desc.id, lane->sink->node->id);
        if (kept != NULL) {
            lane->base_changes = kept->changes;
            lane->base_transactions = kept->transactions;
            lane->armed = kept->armed;
        }
        struct sluice_bytes at = sluice_feed_position_bytes(&lane->committed);
        if (status >= 0 && at.size > 0 &&
            (smallest.size == 0 ||
             sluice_position_compare(at, sluice_feed_position_bytes(&smallest)) < 0) &&
            !sluice_feed_position_set(&smallest, at)) {
            status = nomem(err);
        }
    }
    struct sluice_bytes begin =
        smallest.size > 0 ? sluice_feed_position_bytes(&smallest) : feed->desc.start;
    for (size_t i = 0; i < feed->lane_count && status >= 0; i++) {
        struct sluice_feed_lane *lane = &feed->lanes[i];
        if (lane->committed.size == 0) {
            status = sluice_feed_position_set(&lane->committed, begin) ? SLUICE_OK : nomem(err);
        }
    }
    sluice_feed_position_free(&smallest);
    return status;
}

sluice_status sluice_feed_make(struct sluice_flow_source *source,
                               const struct sluice_shard_desc *desc, struct sluice_error *err)
{
    struct sluice_feed *feed = source->feeds;
    while (feed != NULL && strcmp(feed->desc.id, desc->id) != 0) {
        feed = feed->next;
    }
    if (feed != NULL) {
        return take_desc(feed, desc, err); /* its lanes know where they are */
    }
    SLUICE_TRY(create_feed(source, desc, &feed, err));
    sluice_status status = take_desc(feed, desc, err);
    if (status >= 0) {
        status = place_lanes(feed, err);
    }
    if (status < 0) {
        free_feed(feed);
        return status;
    }
    pthread_mutex_lock(&source->engine->mutex);
    feed->next = source->feeds;
    source->feeds = feed;
    pthread_mutex_unlock(&source->engine->mutex);
    /* Before anything is written beside it: the state then has what the sinks said. */
    return sluice_feed_checkpoint(feed, err);
}

static int compare_streams(const void *a, const void *b)
{
    const struct sluice_feed_stream *x = *(const struct sluice_feed_stream *const *)a;
    const struct sluice_feed_stream *y = *(const struct sluice_feed_stream *const *)b;
    return (x->source_stream_id > y->source_stream_id) -
           (x->source_stream_id < y->source_stream_id);
}

sluice_status sluice_feed_take_streams(struct sluice_feed *feed, struct sluice_error *err)
{
    struct sluice_flow_source *source = feed->source;
    for (size_t i = 0; i < feed->stream_count; i++) {
        sluice_feed_stream_free(feed->streams[i]);
    }
    sluice_free(feed->streams);
    feed->stream_count = 0;
    feed->streams = sluice_alloc_zero(source->stream_count + 1, sizeof *feed->streams);
    if (feed->streams == NULL) {
        return nomem(err);
    }
    for (size_t i = 0; i < source->stream_count; i++) {
        struct sluice_flow_stream *stream = source->streams[i];
        if (!stream->follows || !stream->opened) {
            continue;
        }
        struct sluice_feed_stream *fs = sluice_alloc_zero(1, sizeof *fs);
        if (fs == NULL) {
            return nomem(err);
        }
        feed->streams[feed->stream_count++] = fs;
        SLUICE_TRY(sluice_feed_stream_init(fs, feed, stream, err));
    }
    if (feed->stream_count > 1) {
        qsort(feed->streams, feed->stream_count, sizeof *feed->streams, compare_streams);
    }
    return SLUICE_OK;
}

sluice_status sluice_feed_start(struct sluice_feed *feed, struct sluice_error *err)
{
    atomic_store(&feed->stop, FEED_GO);
    atomic_store(&feed->over, 0);
    atomic_store(&feed->moved_us, now_us());
    SLUICE_TRY(sluice_failpoint_error("flow.feed_before_start", err));
    int rc = pthread_create(&feed->thread, NULL, feed_main, feed);
    if (rc != 0) {
        return sluice_error_errno(err, rc, "starting the thread of feed %s", feed->desc.id);
    }
    feed->started = 1;
    return SLUICE_OK;
}

void sluice_feed_join(struct sluice_feed *feed)
{
    if (feed->started) {
        pthread_join(feed->thread, NULL);
        feed->started = 0;
    }
}
