/*
 * One feed's way into one sink: a bounded queue, and the thread that writes and commits.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "flow/feed.h"
#include "flow/token.h"
#include "sluice/array.h"
#include "sluice/position.h"

#define QUEUE_MAX_BYTES (16u * 1024u * 1024u)
#define QUEUE_MIN_BYTES (512u * 1024u)
#define FULL_WAIT_US 2000 /* before a sink that is full is asked again */

/* Of sinks that do not rotate, which commit as well when nothing more is queued: for while they are behind. */
#define BEHIND_INTERVAL_US 1000000
#define ROTATE_BYTES (64u * 1024u * 1024u)

/* What a batch takes beside its bytes: structs, and buffers that are larger than what is in them. A
 * batch of one row is mostly that, and a lane that stands still may have very many of them. */
#define BATCH_OVERHEAD 1024u
#define COLUMN_OVERHEAD 1024u

static int64_t now_us(void)
{
    return sluice_now_us(SLUICE_CLOCK_MONOTONIC);
}

/* ---- positions ---- */

int sluice_feed_position_set(struct sluice_feed_position *to, struct sluice_bytes from)
{
    if (from.size > to->cap) {
        uint8_t *grown = sluice_alloc_resize(to->data, from.size, 1);
        if (grown == NULL) {
            return 0;
        }
        to->data = grown;
        to->cap = (uint32_t)from.size;
    }
    if (from.size > 0) {
        memmove(to->data, from.data, from.size);
    }
    to->size = (uint32_t)from.size;
    return 1;
}

void sluice_feed_position_free(struct sluice_feed_position *position)
{
    sluice_free(position->data);
    *position = (struct sluice_feed_position){0};
}

struct sluice_bytes sluice_feed_position_bytes(const struct sluice_feed_position *position)
{
    struct sluice_bytes bytes = {position->data, position->size};
    return bytes;
}

/* ---- life ---- */

static uint64_t choose_queue_limit(const struct sluice_engine *engine, size_t lanes)
{
    uint64_t share = engine->budget.limit / (3u * (uint64_t)lanes);
    share = share > QUEUE_MAX_BYTES ? QUEUE_MAX_BYTES : share;
    return share < QUEUE_MIN_BYTES ? QUEUE_MIN_BYTES : share;
}

sluice_status sluice_feed_lane_init(struct sluice_feed_lane *lane, struct sluice_feed *feed,
                                    size_t leaf, struct sluice_error *err)
{
    pthread_condattr_t attr;
    lane->feed = feed;
    lane->leaf = leaf;
    lane->sink = feed->source->leaf_sinks[leaf];
    lane->queue_limit = choose_queue_limit(feed->engine, feed->lane_count);
    lane->tail = &lane->head;
    if (pthread_condattr_init(&attr) != 0) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                "out of memory for a lane");
    }
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&lane->mutex, NULL);
    pthread_cond_init(&lane->changed, &attr);
    pthread_condattr_destroy(&attr);
    return SLUICE_OK;
}

static void free_item(struct sluice_feed_lane *lane, struct sluice_feed_item *item)
{
    sluice_array_release(&item->batch.array);
    sluice_stream_desc_free(item->desc);
    sluice_feed_position_free(&item->position);
    if (item->bytes > 0) {
        sluice_budget_give(&lane->feed->engine->budget, item->bytes);
    }
    sluice_free(item);
}

static void free_queue(struct sluice_feed_lane *lane)
{
    while (lane->head != NULL) {
        struct sluice_feed_item *item = lane->head;
        lane->head = item->next;
        free_item(lane, item);
    }
    lane->tail = &lane->head;
    lane->last = NULL;
    lane->queued_bytes = 0;
    lane->queued_boundaries = 0;
}

void sluice_feed_lane_free(struct sluice_feed_lane *lane)
{
    if (lane->feed == NULL) {
        return;
    }
    sluice_feed_lane_abort(lane);
    sluice_feed_position_free(&lane->committed);
    sluice_feed_position_free(&lane->reached);
    sluice_feed_position_free(&lane->start);
    pthread_mutex_destroy(&lane->mutex);
    pthread_cond_destroy(&lane->changed);
}

/* ---- the lane's thread ---- */

static int rotates(const struct sluice_feed_lane *lane)
{
    return (lane->sink->node->component->caps & SLUICE_SINK_ROTATES) != 0;
}

static int64_t commit_interval(const struct sluice_feed_lane *lane)
{
    int64_t set = lane->sink->node->batch.interval_us;
    return set > 0 ? set : rotates(lane) ? SLUICE_FLOW_ROTATE_INTERVAL_US : BEHIND_INTERVAL_US;
}

/* Rows or bytes are reason enough to commit at the next boundary. */
static int is_full(const struct sluice_feed_lane *lane)
{
    const struct sluice_batch_rule *rule = &lane->sink->node->batch;
    uint64_t bytes = rule->bytes > 0 ? rule->bytes : rotates(lane) ? ROTATE_BYTES : 0;
    return (rule->rows > 0 && lane->dirty_rows >= rule->rows) ||
           (bytes > 0 && lane->dirty_bytes >= bytes);
}

static int is_aborting(struct sluice_feed_lane *lane)
{
    pthread_mutex_lock(&lane->mutex);
    int aborting = lane->aborting;
    pthread_mutex_unlock(&lane->mutex);
    return aborting || sluice_cancel_raised(&lane->feed->engine->cancel);
}

static sluice_status write_batch(struct sluice_feed_lane *lane, struct sluice_batch *batch,
                                 struct sluice_error *err)
{
    for (;;) {
        sluice_status status = lane->sink->api->lane_write(lane->lane, batch, err);
        if (status != SLUICE_AGAIN) {
            return status;
        }
        if (is_aborting(lane) || sluice_cancel_sleep(&lane->feed->engine->cancel, FULL_WAIT_US)) {
            return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "stopped");
        }
    }
}

/* Says which rows a failure was about: of that table, behind what is committed. */
static sluice_status wrap_rows(struct sluice_feed_lane *lane, const struct sluice_feed_item *item,
                               const char *what, struct sluice_error *err)
{
    char at[80] = "";
    if (lane->committed.size * 2u + 1 <= sizeof at) { /* only this thread changes it */
        sluice_hex_encode(lane->committed.data, lane->committed.size, at);
    }
    return sluice_error_wrap(err, "sink %s: %s of %s after position %s", lane->sink->node->id, what,
                             item->stream, at);
}

static sluice_status take_batch(struct sluice_feed_lane *lane, struct sluice_feed_item *item,
                                struct sluice_error *err)
{
    uint64_t rows = (uint64_t)item->batch.array.length;
    lane->at_boundary = 0;
    if (lane->dirty_rows == 0) {
        lane->dirty_since_us = now_us();
    }
    SLUICE_TRY(sluice_failpoint_error("flow.feed_before_write", err));
    if (write_batch(lane, &item->batch, err) < 0) {
        return wrap_rows(lane, item, "changes", err);
    }
    lane->dirty_rows += rows;
    lane->dirty_transactions += item->transactions;
    lane->dirty_bytes += item->data_bytes;
    return SLUICE_OK;
}

/* The sink learns of a stream, or of a new version of its columns, in the order of the rows. */
static sluice_status take_schema(struct sluice_feed_lane *lane, struct sluice_feed_item *item,
                                 struct sluice_error *err)
{
    struct sluice_batch batch = {.struct_size = sizeof batch,
                                 .kind = SLUICE_BATCH_SCHEMA,
                                 .stream_id = item->desc->stream_id,
                                 .schema_id = item->desc->schema_id,
                                 .desc = item->desc};
    SLUICE_TRY(sluice_failpoint_error("flow.feed_before_schema", err));
    sluice_status status =
        sluice_flow_sink_begin_changes(lane->sink, item->desc, lane->feed->source->node->id, err);
    if (status >= 0) {
        status = write_batch(lane, &batch, err);
    }
    return status < 0 ? wrap_rows(lane, item, "columns", err) : SLUICE_OK;
}

static sluice_status encode_token(const struct sluice_feed_lane *lane, uint64_t epoch,
                                  struct sluice_str *out, struct sluice_error *err)
{
    const struct sluice_engine *engine = lane->feed->engine;
    const char *shard = lane->feed->desc.id;
    struct sluice_token token = {
        .kind = SLUICE_TOKEN_LANE,
        .epoch = epoch,
        .rows = lane->dirty_rows,
        .pipeline = {engine->pipeline->name, strlen(engine->pipeline->name)},
        .load_id = {engine->load.load_id, strlen(engine->load.load_id)},
        .name = {shard, strlen(shard)},
        .position = sluice_feed_position_bytes(&lane->reached)};
    return sluice_token_encode(&token, out, err);
}

/* When the oldest transaction in the queue was committed; 0 = none is there. With the mutex. */
static int64_t oldest_queued(const struct sluice_feed_lane *lane)
{
    const struct sluice_feed_item *item = lane->head;
    while (item != NULL && item->commit_us == 0) {
        item = item->next;
    }
    return item != NULL ? item->commit_us : 0;
}

/* Everything up to `reached` is durable, or there was nothing to write. */
static sluice_status set_committed(struct sluice_feed_lane *lane, int with_data,
                                   struct sluice_error *err)
{
    pthread_mutex_lock(&lane->mutex);
    int ok = sluice_feed_position_set(&lane->committed, sluice_feed_position_bytes(&lane->reached));
    if (ok) {
        lane->moved = 1;
        lane->transactions += lane->dirty_transactions;
        lane->oldest_us = oldest_queued(lane);
        if (with_data) {
            lane->epoch++;
            lane->changes += lane->dirty_rows;
        }
    }
    pthread_mutex_unlock(&lane->mutex);
    if (!ok) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                "out of memory for a position");
    }
    lane->sure_epoch = with_data ? lane->epoch : lane->sure_epoch;
    lane->dirty_transactions = 0;
    lane->dirty_rows = 0;
    lane->dirty_bytes = 0;
    return SLUICE_OK;
}

/* Before the first commit of all: should its reply and this process be lost, the next one looks for
 * it however many records of others came after it. */
static sluice_status arm(struct sluice_feed_lane *lane, struct sluice_error *err)
{
    struct sluice_engine *engine = lane->feed->engine;
    if (lane->armed || lane->epoch > 0 || engine->state == NULL) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_flow_arm_lane(engine, lane->feed->desc.id, lane->sink->node->id, err));
    lane->armed = 1;
    return SLUICE_OK;
}

static sluice_status commit(struct sluice_feed_lane *lane, struct sluice_error *err)
{
    struct sluice_str encoded = SLUICE_STR_INIT;
    uint64_t epoch = lane->epoch + 1; /* only this thread changes it */
    sluice_status status = encode_token(lane, epoch, &encoded, err);
    if (status >= 0) {
        status = arm(lane, err);
    }
    if (status >= 0) {
        status = sluice_failpoint_error("flow.feed_before_commit", err);
    }
    if (status < 0) {
        goto out; /* nothing was asked of the sink */
    }
    struct sluice_commit ask = {.struct_size = sizeof ask,
                                .epoch = epoch,
                                .token = {encoded.data, encoded.size},
                                .position = sluice_feed_position_bytes(&lane->reached)};
    status = lane->sink->api->lane_commit(lane->lane, &ask, err);
    if (status >= 0) { /* as if the reply were lost */
        status = sluice_failpoint_error("flow.feed_after_commit", err);
    }
    if (status < 0) {
        lane->unknown = (err->flags & SLUICE_ERROR_EPOCH_ABORTED) == 0;
        goto out;
    }
    status = set_committed(lane, 1, err);
out:
    sluice_str_free(&encoded);
    return status < 0 ? sluice_error_wrap(err, "sink %s: committing changes", lane->sink->node->id)
                      : status;
}

static sluice_status take_boundary(struct sluice_feed_lane *lane, struct sluice_feed_item *item,
                                   struct sluice_error *err)
{
    /* A lane that is ahead of the others: what comes before its own position says nothing. */
    if (sluice_position_compare(sluice_feed_position_bytes(&item->position),
                                sluice_feed_position_bytes(&lane->committed)) <= 0) {
        return SLUICE_OK;
    }
    if (!sluice_feed_position_set(&lane->reached, sluice_feed_position_bytes(&item->position))) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                "out of memory for a position");
    }
    lane->at_boundary = 1;
    if (lane->dirty_rows == 0) {
        return set_committed(lane, 0, err); /* nothing to write: idle progress */
    }
    return is_full(lane) ? commit(lane, err) : SLUICE_OK;
}

static sluice_status take_item(struct sluice_feed_lane *lane, struct sluice_feed_item *item,
                               struct sluice_error *err)
{
    switch (item->kind) {
    case FEED_ITEM_BATCH:
        return take_batch(lane, item, err);
    case FEED_ITEM_SCHEMA:
        return take_schema(lane, item, err);
    default:
        return take_boundary(lane, item, err);
    }
}

static void wait_until(struct sluice_feed_lane *lane, int64_t deadline_us)
{
    struct timespec ts = {.tv_sec = (time_t)(deadline_us / 1000000),
                          .tv_nsec = (long)(deadline_us % 1000000) * 1000};
    (void)pthread_cond_timedwait(&lane->changed, &lane->mutex, &ts);
}

/* Takes the first item off the queue; with the mutex. */
static struct sluice_feed_item *pop(struct sluice_feed_lane *lane)
{
    struct sluice_feed_item *item = lane->head;
    lane->head = item->next;
    if (lane->head == NULL) {
        lane->tail = &lane->head;
        lane->last = NULL;
    }
    lane->queued_boundaries -= item->kind == FEED_ITEM_BOUNDARY;
    return item;
}

/* Waits for an item. NULL: a commit is due (1), or the thread is to end (0). Called and returns with
 * the mutex held. */
static struct sluice_feed_item *next_item(struct sluice_feed_lane *lane, int *commit_due)
{
    int64_t interval = commit_interval(lane);
    *commit_due = 0;
    for (;;) {
        int can_commit = lane->at_boundary && lane->dirty_rows > 0;
        int64_t due_us = lane->dirty_since_us + interval;
        if (lane->aborting) {
            return NULL;
        }
        if (can_commit && now_us() >= due_us) {
            *commit_due = 1; /* although more is queued: the interval is a promise */
            return NULL;
        }
        if (lane->finishing && lane->queued_boundaries == 0) {
            *commit_due = can_commit; /* what is behind the last boundary comes again */
            return NULL;
        }
        if (lane->head != NULL) {
            return pop(lane);
        }
        if (can_commit && !rotates(lane)) {
            *commit_due = 1;
            return NULL;
        }
        if (can_commit) {
            wait_until(lane, due_us);
        }
        else {
            pthread_cond_wait(&lane->changed, &lane->mutex);
        }
    }
}

static void *lane_main(void *arg)
{
    struct sluice_feed_lane *lane = arg;
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status status = SLUICE_OK;
    pthread_mutex_lock(&lane->mutex);
    while (status >= 0) {
        int commit_due = 0;
        struct sluice_feed_item *item = next_item(lane, &commit_due);
        if (item == NULL && !commit_due) {
            break;
        }
        pthread_mutex_unlock(&lane->mutex);
        status = item != NULL ? take_item(lane, item, &err) : commit(lane, &err);
        uint64_t bytes = item != NULL ? item->bytes : 0;
        if (item != NULL) {
            free_item(lane, item);
        }
        pthread_mutex_lock(&lane->mutex);
        lane->queued_bytes -= bytes;
        pthread_cond_broadcast(&lane->changed);
    }
    if (status < 0) {
        err.status = status;
        lane->status = status;
        lane->err = err;
        pthread_cond_broadcast(&lane->changed);
    }
    lane->finishing = 2; /* ended */
    pthread_cond_broadcast(&lane->changed);
    pthread_mutex_unlock(&lane->mutex);
    return NULL;
}

/* ---- for the feed's thread ---- */

sluice_status sluice_feed_lane_open(struct sluice_feed_lane *lane, struct sluice_error *err)
{
    pthread_mutex_lock(&lane->mutex); /* watchers look at any time */
    lane->finishing = 0;
    lane->aborting = 0;
    lane->status = SLUICE_OK;
    lane->oldest_us = 0;
    pthread_mutex_unlock(&lane->mutex);
    lane->dirty_rows = 0;
    lane->dirty_bytes = 0;
    lane->at_boundary = 0;
    lane->dirty_transactions = 0;
    lane->shard = lane->feed->desc;
    if (!sluice_feed_position_set(&lane->start, sluice_feed_position_bytes(&lane->committed))) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a position");
    }
    lane->shard.start = sluice_feed_position_bytes(&lane->start);
    struct sluice_lane *opened = NULL;
    SLUICE_TRY(sluice_failpoint_error("flow.feed_before_lane", err));
    sluice_status status = lane->sink->api->lane_open(lane->sink->sink, &lane->shard, &opened, err);
    if (status < 0) {
        return sluice_error_wrap(err, "sink %s", lane->sink->node->id);
    }
    lane->lane = opened;
    int rc = pthread_create(&lane->thread, NULL, lane_main, lane);
    if (rc != 0) {
        return sluice_error_errno(err, rc, "starting the thread of a lane of sink %s",
                                  lane->sink->node->id);
    }
    lane->threaded = 1;
    return SLUICE_OK;
}

static void join(struct sluice_feed_lane *lane)
{
    if (lane->threaded) {
        pthread_join(lane->thread, NULL);
        lane->threaded = 0;
    }
}

void sluice_feed_lane_abort(struct sluice_feed_lane *lane)
{
    if (lane->threaded) {
        pthread_mutex_lock(&lane->mutex);
        lane->aborting = 1;
        pthread_cond_broadcast(&lane->changed);
        pthread_mutex_unlock(&lane->mutex);
        join(lane);
    }
    if (lane->lane != NULL) {
        lane->sink->api->lane_close(lane->lane);
        lane->lane = NULL;
    }
    pthread_mutex_lock(&lane->mutex);
    free_queue(lane);
    lane->oldest_us = 0;
    pthread_mutex_unlock(&lane->mutex);
}

void sluice_feed_lane_end(struct sluice_feed_lane *lane)
{
    pthread_mutex_lock(&lane->mutex);
    lane->finishing = lane->finishing == 2 ? 2 : 1;
    pthread_cond_broadcast(&lane->changed);
    pthread_mutex_unlock(&lane->mutex);
}

sluice_status sluice_feed_lane_finish(struct sluice_feed_lane *lane, int64_t deadline_us,
                                      struct sluice_error *err)
{
    pthread_mutex_lock(&lane->mutex);
    while (lane->finishing != 2 && now_us() < deadline_us) {
        wait_until(lane, deadline_us);
    }
    int late = lane->finishing != 2;
    sluice_status status = lane->status;
    if (status < 0) {
        *err = lane->err;
    }
    pthread_mutex_unlock(&lane->mutex);
    if (late) {
        return SLUICE_AGAIN;
    }
    sluice_feed_lane_abort(lane);
    return status;
}

/* Appends with the mutex held. */
static void append(struct sluice_feed_lane *lane, struct sluice_feed_item *item)
{
    item->next = NULL;
    *lane->tail = item;
    lane->tail = &item->next;
    lane->last = item;
    lane->queued_bytes += item->bytes;
    lane->queued_boundaries += item->kind == FEED_ITEM_BOUNDARY;
    if (item->commit_us != 0 && lane->oldest_us == 0) {
        lane->oldest_us = item->commit_us;
    }
    pthread_cond_broadcast(&lane->changed);
}

static struct sluice_feed_item *make_item(int32_t kind, struct sluice_error *err)
{
    struct sluice_feed_item *item = sluice_alloc_zero(1, sizeof *item);
    if (item == NULL) {
        (void)sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a queue");
        return NULL;
    }
    item->kind = kind;
    return item;
}

sluice_status sluice_feed_lane_check(struct sluice_feed_lane *lane, struct sluice_error *err)
{
    pthread_mutex_lock(&lane->mutex);
    sluice_status status = lane->status;
    if (status < 0) {
        *err = lane->err;
    }
    pthread_mutex_unlock(&lane->mutex);
    return status;
}

static uint64_t overhead(const struct ArrowArray *array)
{
    uint64_t n = COLUMN_OVERHEAD;
    for (int64_t i = 0; i < array->n_children; i++) {
        n += overhead(array->children[i]);
    }
    return n;
}

sluice_status sluice_feed_lane_put(struct sluice_feed_lane *lane, const char *stream,
                                   struct sluice_batch *batch, int64_t timeout_us,
                                   struct sluice_error *err)
{
    int64_t deadline = now_us() + timeout_us;
    struct sluice_feed_item *item = make_item(FEED_ITEM_BATCH, err);
    if (item == NULL) {
        return SLUICE_E_NOMEM;
    }
    item->stream = stream;
    item->data_bytes = batch->bytes;
    item->bytes = batch->bytes + BATCH_OVERHEAD + overhead(&batch->array);
    item->transactions = sluice_feed_transactions(batch);
    sluice_status status = SLUICE_OK;
    pthread_mutex_lock(&lane->mutex);
    while (lane->status >= 0 && lane->queued_bytes > 0 &&
           lane->queued_bytes + item->bytes > lane->queue_limit) {
        if (now_us() >= deadline) {
            status = SLUICE_AGAIN;
            break;
        }
        wait_until(lane, deadline);
    }
    if (lane->status < 0) {
        status = lane->status;
        *err = lane->err;
    }
    if (status == SLUICE_OK) {
        item->batch = *batch;
        item->batch.position = (struct sluice_bytes){NULL, 0};
        item->commit_us = batch->source_time_us;
        sluice_array_move(&batch->array, &item->batch.array);
        sluice_budget_take(&lane->feed->engine->budget, item->bytes, 1);
        append(lane, item);
        item = NULL;
    }
    pthread_mutex_unlock(&lane->mutex);
    sluice_free(item);
    return status;
}

sluice_status sluice_feed_lane_put_schema(struct sluice_feed_lane *lane, const char *stream,
                                          const struct sluice_stream_desc *desc,
                                          struct sluice_error *err)
{
    struct sluice_feed_item *item = make_item(FEED_ITEM_SCHEMA, err);
    if (item == NULL) {
        return SLUICE_E_NOMEM;
    }
    item->stream = stream;
    item->desc = sluice_stream_desc_copy(desc);
    if (item->desc == NULL) {
        sluice_free(item);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a queue");
    }
    pthread_mutex_lock(&lane->mutex);
    append(lane, item);
    pthread_mutex_unlock(&lane->mutex);
    return SLUICE_OK;
}

sluice_status sluice_feed_lane_put_boundary(struct sluice_feed_lane *lane,
                                            struct sluice_bytes position, struct sluice_error *err)
{
    sluice_status status = SLUICE_OK;
    pthread_mutex_lock(&lane->mutex);
    if (lane->last != NULL && lane->last->kind == FEED_ITEM_BOUNDARY) {
        /* The one before is still queued: a lane that stands still must not gather them. */
        if (sluice_position_compare(position, sluice_feed_position_bytes(&lane->last->position)) >
                0 &&
            !sluice_feed_position_set(&lane->last->position, position)) {
            status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a position");
        }
        pthread_mutex_unlock(&lane->mutex);
        return status;
    }
    pthread_mutex_unlock(&lane->mutex);
    struct sluice_feed_item *item = make_item(FEED_ITEM_BOUNDARY, err);
    if (item == NULL || !sluice_feed_position_set(&item->position, position)) {
        sluice_free(item);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a queue");
    }
    pthread_mutex_lock(&lane->mutex);
    append(lane, item);
    pthread_mutex_unlock(&lane->mutex);
    return SLUICE_OK;
}
