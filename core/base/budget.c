/* The memory budget: one counter under a mutex; waiters sleep on the monotonic clock. */
#include "base/budget.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"

void sluice_budget_init(struct sluice_budget *b, uint64_t limit)
{
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&b->mutex, NULL);
    (void)pthread_cond_init(&b->freed, &attr);
    (void)pthread_condattr_destroy(&attr);
    b->limit = limit;
    b->used = 0;
    b->peak = 0;
}

void sluice_budget_free(struct sluice_budget *b)
{
    (void)pthread_cond_destroy(&b->freed);
    (void)pthread_mutex_destroy(&b->mutex);
}

int sluice_budget_take(struct sluice_budget *b, uint64_t bytes, int must)
{
    (void)pthread_mutex_lock(&b->mutex);
    uint64_t sum = 0;
    if (__builtin_add_overflow(b->used, bytes, &sum)) {
        sum = UINT64_MAX;
    }
    int granted = must || b->limit == 0 || sum <= b->limit;
    if (granted) {
        b->used = sum;
        b->peak = sum > b->peak ? sum : b->peak;
    }
    (void)pthread_mutex_unlock(&b->mutex);
    return granted;
}

void sluice_budget_give(struct sluice_budget *b, uint64_t bytes)
{
    (void)pthread_mutex_lock(&b->mutex);
    b->used = bytes < b->used ? b->used - bytes : 0;
    if (b->used < b->limit) {
        (void)pthread_cond_broadcast(&b->freed);
    }
    (void)pthread_mutex_unlock(&b->mutex);
}

int sluice_budget_wait(struct sluice_budget *b, int64_t timeout_us)
{
    int64_t end = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    if (__builtin_add_overflow(end, timeout_us > 0 ? timeout_us : 0, &end)) {
        end = INT64_MAX;
    }
    struct timespec until = {(time_t)(end / 1000000), (long)(end % 1000000) * 1000};
    (void)pthread_mutex_lock(&b->mutex);
    int rc = 0;
    while (b->limit != 0 && b->used >= b->limit && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&b->freed, &b->mutex, &until);
    }
    int room = b->limit == 0 || b->used < b->limit;
    (void)pthread_mutex_unlock(&b->mutex);
    return room;
}

uint64_t sluice_budget_used(struct sluice_budget *b)
{
    (void)pthread_mutex_lock(&b->mutex);
    uint64_t used = b->used;
    (void)pthread_mutex_unlock(&b->mutex);
    return used;
}

uint64_t sluice_budget_peak(struct sluice_budget *b)
{
    (void)pthread_mutex_lock(&b->mutex);
    uint64_t peak = b->peak;
    (void)pthread_mutex_unlock(&b->mutex);
    return peak;
}
