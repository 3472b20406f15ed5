#include "flow/lane.h"

#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "flow/token.h"
#include "sluice/array.h"

#define QUEUE_MAX_BYTES (8u * 1024u * 1024u)
#define QUEUE_MIN_BYTES (512u * 1024u)
#define FULL_WAIT_US 5000 /* before a sink that is full is asked again */

/* A wait on a condition of the monotonic clock; 0 = the time is up. */
static int wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_us)
{
    struct timespec ts = {.tv_sec = (time_t)(deadline_us / 1000000),
                          .tv_nsec = (long)(deadline_us % 1000000) * 1000};
    return pthread_cond_timedwait(cond, mutex, &ts) == 0 ||
           sluice_now_us(SLUICE_CLOCK_MONOTONIC) < deadline_us;
}

static int is_aborting(struct sluice_flow_lane *lane)
{
    if (!lane->threaded) {
        return 0;
    }
    pthread_mutex_lock(&lane->mutex);
    int aborting = lane->aborting;
    pthread_mutex_unlock(&lane->mutex);
    return aborting;
}

/* lane_write until it is taken; AGAIN only when the sink's buffers stayed full until the deadline. */
static sluice_status write_batch(struct sluice_flow_lane *lane, struct sluice_batch *batch,
                                 int64_t deadline_us, struct sluice_error *err)
{
    uint64_t rows = (uint64_t)batch->array.length;
    uint64_t bytes = batch->bytes;
    for (;;) {
        sluice_status status = lane->sink->api->lane_write(lane->lane, batch, err);
        if (status == SLUICE_OK) {
            lane->rows += rows;
            lane->bytes += bytes;
            return SLUICE_OK;
        }
        if (status < 0) {
            return status;
        }
        if (sluice_now_us(SLUICE_CLOCK_MONOTONIC) >= deadline_us) {
            return SLUICE_AGAIN;
        }
        if (is_aborting(lane) || sluice_flow_stopped(lane->engine) ||
            sluice_cancel_sleep(&lane->engine->cancel, FULL_WAIT_US)) {
            return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "stopped");
        }
    }
}

static void free_item(struct sluice_flow_lane *lane, struct sluice_lane_item *item)
{
    sluice_array_release(&item->batch.array);
    sluice_budget_give(&lane->engine->budget, item->bytes);
    sluice_free(item);
}

static void *lane_main(void *arg)
{
    struct sluice_flow_lane *lane = arg;
    pthread_mutex_lock(&lane->mutex);
    for (;;) {
        while (lane->head == NULL && !lane->finishing && !lane->aborting) {
            pthread_cond_wait(&lane->changed, &lane->mutex);
        }
        struct sluice_lane_item *item = lane->head;
        if (item == NULL) {
            break; /* finishing or aborting, and nothing left */
        }
        lane->head = item->next;
        if (lane->head == NULL) {
            lane->tail = &lane->head;
        }
        int skip = lane->aborting || lane->status < 0;
        pthread_mutex_unlock(&lane->mutex);
        struct sluice_error err = SLUICE_ERROR_INIT;
        sluice_status status = skip ? SLUICE_OK : write_batch(lane, &item->batch, INT64_MAX, &err);
        pthread_mutex_lock(&lane->mutex);
        lane->queued_bytes -= item->bytes;
        if (status < 0 && lane->status == SLUICE_OK) {
            lane->status = status;
            lane->err = err;
        }
        pthread_cond_broadcast(&lane->changed);
        pthread_mutex_unlock(&lane->mutex);
        free_item(lane, item);
        pthread_mutex_lock(&lane->mutex);
    }
    pthread_mutex_unlock(&lane->mutex);
    return NULL;
}

static sluice_status start_thread(struct sluice_flow_lane *lane, struct sluice_error *err)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&lane->mutex, NULL);
    pthread_cond_init(&lane->changed, &attr);
    pthread_condattr_destroy(&attr);
    lane->tail = &lane->head;
    uint64_t share = lane->engine->budget.limit / (8u * (lane->engine->worker_count + 1u));
    lane->queue_limit = share > QUEUE_MAX_BYTES ? QUEUE_MAX_BYTES : share;
    if (lane->queue_limit < QUEUE_MIN_BYTES) {
        lane->queue_limit = QUEUE_MIN_BYTES;
    }
    int rc = pthread_create(&lane->thread, NULL, lane_main, lane);
    if (rc != 0) {
        pthread_mutex_destroy(&lane->mutex);
        pthread_cond_destroy(&lane->changed);
        return sluice_error_errno(err, rc, "starting a lane thread for sink %s",
                                  lane->sink->node->id);
    }
    lane->threaded = 1;
    return SLUICE_OK;
}

sluice_status sluice_flow_lane_open(struct sluice_flow_lane *lane, struct sluice_engine *engine,
                                    struct sluice_flow_shard *shard, size_t leaf, int threaded,
                                    struct sluice_error *err)
{
    *lane = (struct sluice_flow_lane){
        .engine = engine, .stream = shard->stream, .leaf = leaf, .err = SLUICE_ERROR_INIT};
    lane->sink = shard->stream->leaves[leaf].sink;
    struct sluice_lane *opened = NULL;
    sluice_status status = lane->sink->api->lane_open(lane->sink->sink, &shard->desc, &opened, err);
    if (status < 0) {
        return sluice_error_wrap(err, "sink %s", lane->sink->node->id);
    }
    lane->lane = opened;
    if (threaded) {
        status = start_thread(lane, err);
        if (status < 0) {
            sluice_flow_lane_close(lane);
        }
    }
    return status;
}

sluice_status sluice_flow_lane_put(struct sluice_flow_lane *lane, struct sluice_batch *batch,
                                   int64_t timeout_us, struct sluice_error *err)
{
    int64_t deadline = sluice_now_us(SLUICE_CLOCK_MONOTONIC) + timeout_us;
    if (!lane->threaded) {
        return write_batch(lane, batch, deadline, err);
    }
    uint64_t bytes = batch->bytes;
    if (bytes == 0) { /* a transform did not say */
        bytes = sluice_array_bytes(lane->stream->leaves[lane->leaf].desc->schema, &batch->array);
    }
    bytes = bytes > 0 ? bytes : 1;
    struct sluice_lane_item *item = sluice_alloc_zero(1, sizeof *item);
    if (item == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a queued batch");
    }
    sluice_status status = SLUICE_OK;
    pthread_mutex_lock(&lane->mutex);
    while (lane->status == SLUICE_OK && lane->queued_bytes > 0 &&
           lane->queued_bytes + bytes > lane->queue_limit) {
        if (!wait_until(&lane->changed, &lane->mutex, deadline)) {
            status = SLUICE_AGAIN;
            break;
        }
    }
    if (lane->status < 0) {
        status = lane->status;
        *err = lane->err;
    }
    if (status == SLUICE_OK) {
        item->batch = *batch;
        sluice_array_move(&batch->array, &item->batch.array);
        item->batch.position = (struct sluice_bytes){NULL, 0}; /* valid until the next read alone */
        item->bytes = bytes;
        sluice_budget_take(&lane->engine->budget, bytes, 1);
        *lane->tail = item;
        lane->tail = &item->next;
        lane->queued_bytes += bytes;
        item = NULL;
        pthread_cond_broadcast(&lane->changed);
    }
    pthread_mutex_unlock(&lane->mutex);
    sluice_free(item);
    return status;
}

static void stop_thread(struct sluice_flow_lane *lane, int abort)
{
    pthread_mutex_lock(&lane->mutex);
    lane->finishing = 1;
    lane->aborting |= abort;
    pthread_cond_broadcast(&lane->changed);
    pthread_mutex_unlock(&lane->mutex);
    pthread_join(lane->thread, NULL);
    pthread_mutex_destroy(&lane->mutex);
    pthread_cond_destroy(&lane->changed);
    lane->threaded = 0;
}

sluice_status sluice_flow_lane_drain(struct sluice_flow_lane *lane, struct sluice_error *err)
{
    if (lane->threaded) {
        stop_thread(lane, 0);
    }
    if (lane->status < 0) {
        *err = lane->err;
    }
    return lane->status;
}

static struct sluice_bytes text_bytes(const char *text)
{
    struct sluice_bytes b = {text, strlen(text)};
    return b;
}

sluice_status sluice_flow_lane_commit(struct sluice_flow_lane *lane,
                                      const struct sluice_flow_shard *shard,
                                      struct sluice_error *err)
{
    struct sluice_engine *engine = lane->engine;
    struct sluice_token token = {.kind = SLUICE_TOKEN_LANE,
                                 .epoch = 1,
                                 .rows = lane->rows,
                                 .pipeline = text_bytes(engine->pipeline->name),
                                 .load_id = text_bytes(engine->load.load_id),
                                 .name = text_bytes(shard->desc.id)};
    struct sluice_str encoded = SLUICE_STR_INIT;
    sluice_status status = sluice_token_encode(&token, &encoded, err);
    if (status < 0) {
        goto out;
    }
    struct sluice_commit commit = {
        .struct_size = sizeof commit, .epoch = 1, .token = {encoded.data, encoded.size}};
    status = sluice_failpoint_error("flow.before_sink_commit", err);
    if (status >= 0) {
        status = lane->sink->api->lane_commit(lane->lane, &commit, err);
    }
    if (status >= 0) { /* as if the reply were lost */
        status = sluice_failpoint_error("flow.after_sink_commit", err);
    }
    if (status < 0) {
        goto out;
    }
    if (engine->state != NULL) {
        struct sluice_state_lane kept = {.sink = lane->sink->node->id,
                                         .shard = shard->desc.id,
                                         .epoch = 1,
                                         .rows = (int64_t)lane->rows,
                                         .bytes = (int64_t)lane->bytes,
                                         .updated_us = sluice_now_us(SLUICE_CLOCK_WALL)};
        struct sluice_error state_err = SLUICE_ERROR_INIT;
        if (sluice_state_lane_put(engine->state, engine->load.load_id, &kept, &state_err) < 0) {
            sluice_flow_fail(engine, &state_err); /* the data is committed all the same */
        }
        SLUICE_FAILPOINT("flow.after_lane_state");
    }
out:
    sluice_str_free(&encoded);
    return status;
}

void sluice_flow_lane_close(struct sluice_flow_lane *lane)
{
    if (lane->threaded) {
        stop_thread(lane, 1);
    }
    if (lane->lane != NULL) {
        lane->sink->api->lane_close(lane->lane);
        lane->lane = NULL;
    }
}
