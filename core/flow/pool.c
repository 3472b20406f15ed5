/*
 * Workers, and the lists between them and the controller.
 */
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "flow/internal.h"

static int64_t now_us(void)
{
    return sluice_now_us(SLUICE_CLOCK_MONOTONIC);
}

void sluice_flow_backoff_init(struct sluice_backoff *backoff, const struct sluice_retry *retry)
{
    sluice_backoff_init(backoff, retry->backoff_us, retry->cap_us, retry->max, (uint64_t)now_us());
    if (retry->max == 0) {
        backoff->max_attempts = 1;
        backoff->attempt = 1;
    }
}

static void wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_us)
{
    struct timespec ts = {.tv_sec = (time_t)(deadline_us / 1000000),
                          .tv_nsec = (long)(deadline_us % 1000000) * 1000};
    (void)pthread_cond_timedwait(cond, mutex, &ts);
}

/* Takes the first shard that is due off the ready list (it is sorted, largest first). When none is,
 * *wake_us tells when one will be, 0 = never. */
static struct sluice_flow_shard *take_ready(struct sluice_engine *engine, int64_t *wake_us)
{
    int64_t now = now_us();
    *wake_us = 0;
    for (struct sluice_flow_shard **at = &engine->ready; *at != NULL; at = &(*at)->next) {
        struct sluice_flow_shard *shard = *at;
        if (shard->not_before_us <= now) {
            *at = shard->next;
            shard->next = NULL;
            return shard;
        }
        if (*wake_us == 0 || shard->not_before_us < *wake_us) {
            *wake_us = shard->not_before_us;
        }
    }
    return NULL;
}

static void *worker_main(void *arg)
{
    struct sluice_engine *engine = arg;
    pthread_mutex_lock(&engine->mutex);
    while (!engine->stopping) {
        int64_t wake = 0;
        struct sluice_flow_shard *shard = take_ready(engine, &wake);
        if (shard == NULL) {
            if (wake != 0) {
                wait_until(&engine->work, &engine->mutex, wake);
            }
            else {
                pthread_cond_wait(&engine->work, &engine->mutex);
            }
            continue;
        }
        engine->busy++;
        shard->source->running++;
        pthread_mutex_unlock(&engine->mutex);
        sluice_flow_shard_run(engine, shard);
        pthread_mutex_lock(&engine->mutex);
        engine->busy--;
        shard->source->running--;
        shard->next = engine->finished;
        engine->finished = shard;
        pthread_cond_signal(&engine->events);
    }
    pthread_mutex_unlock(&engine->mutex);
    return NULL;
}

sluice_status sluice_pool_start(struct sluice_engine *engine, uint32_t workers,
                                struct sluice_error *err)
{
    engine->workers = sluice_alloc_zero(workers, sizeof *engine->workers);
    if (engine->workers == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                "out of memory for the workers");
    }
    engine->stopping = 0;
    for (uint32_t i = 0; i < workers; i++) {
        int rc = pthread_create(&engine->workers[i], NULL, worker_main, engine);
        if (rc != 0) {
            engine->worker_threads = i;
            sluice_pool_stop(engine);
            return sluice_error_errno(err, rc, "starting worker %u of %u", i + 1, workers);
        }
    }
    engine->worker_threads = workers;
    return SLUICE_OK;
}

void sluice_pool_stop(struct sluice_engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    engine->stopping = 1;
    pthread_cond_broadcast(&engine->work);
    pthread_mutex_unlock(&engine->mutex);
    for (uint32_t i = 0; i < engine->worker_threads; i++) {
        pthread_join(engine->workers[i], NULL);
    }
    sluice_free(engine->workers);
    engine->workers = NULL;
    engine->worker_threads = 0;
}

/* Merges two sorted lists; of equal ones those of `a` come first. */
static struct sluice_flow_shard *merge_lists(struct sluice_flow_shard *a,
                                             struct sluice_flow_shard *b)
{
    struct sluice_flow_shard *head = NULL;
    struct sluice_flow_shard **tail = &head;
    while (a != NULL && b != NULL) {
        struct sluice_flow_shard **from = a->weight >= b->weight ? &a : &b;
        *tail = *from;
        tail = &(*tail)->next;
        *from = *tail;
    }
    *tail = a != NULL ? a : b;
    return head;
}

/* Sorts a list, largest first: merge sort, since a catalog may give 100,000 shards. */
static struct sluice_flow_shard *sort_list(struct sluice_flow_shard *list)
{
    if (list == NULL || list->next == NULL) {
        return list;
    }
    struct sluice_flow_shard *slow = list;
    for (struct sluice_flow_shard *fast = list->next; fast != NULL && fast->next != NULL;
         fast = fast->next->next) {
        slow = slow->next;
    }
    struct sluice_flow_shard *b = sort_list(slow->next);
    slow->next = NULL;
    return merge_lists(sort_list(list), b);
}

void sluice_pool_add(struct sluice_engine *engine, struct sluice_flow_shard *shards)
{
    shards = sort_list(shards);
    pthread_mutex_lock(&engine->mutex);
    engine->ready = merge_lists(engine->ready, shards);
    pthread_cond_broadcast(&engine->work);
    pthread_mutex_unlock(&engine->mutex);
}

void sluice_pool_drop(struct sluice_engine *engine, const struct sluice_flow_source *source,
                      const struct sluice_flow_stream *stream)
{
    struct sluice_flow_shard *dropped = NULL;
    pthread_mutex_lock(&engine->mutex);
    for (struct sluice_flow_shard **at = &engine->ready; *at != NULL;) {
        struct sluice_flow_shard *shard = *at;
        if ((source == NULL || shard->source == source) &&
            (stream == NULL || shard->stream == stream)) {
            *at = shard->next;
            shard->next = dropped;
            dropped = shard;
        }
        else {
            at = &shard->next;
        }
    }
    pthread_mutex_unlock(&engine->mutex);
    while (dropped != NULL) {
        struct sluice_flow_shard *next = dropped->next;
        sluice_flow_shard_free(dropped);
        dropped = next;
    }
}

struct sluice_flow_shard *sluice_pool_wait(struct sluice_engine *engine, int64_t timeout_us)
{
    pthread_mutex_lock(&engine->mutex);
    if (engine->finished == NULL && timeout_us > 0) {
        wait_until(&engine->events, &engine->mutex, now_us() + timeout_us);
    }
    struct sluice_flow_shard *list = engine->finished;
    engine->finished = NULL;
    pthread_mutex_unlock(&engine->mutex);
    return list;
}

int sluice_pool_idle(struct sluice_engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    int idle = engine->ready == NULL && engine->busy == 0 && engine->finished == NULL;
    pthread_mutex_unlock(&engine->mutex);
    return idle;
}
