/*
 * The memory budget of the process (`memory:`). Plugins take from it without blocking through the
 * host table; the engine waits for room at its own points. [any]
 */
#ifndef SLUICE_BASE_BUDGET_H
#define SLUICE_BASE_BUDGET_H

#include <pthread.h>
#include <stdint.h>

#include "base/cancel.h"

struct sluice_budget {
    pthread_mutex_t mutex;
    pthread_cond_t freed;
    uint64_t limit;
    uint64_t used;
    uint64_t peak;
};

/* limit 0 = no limit. */
void sluice_budget_init(struct sluice_budget *b, uint64_t limit);
void sluice_budget_free(struct sluice_budget *b);
/* Takes bytes: 1 = granted. must = 1 never refuses. */
int sluice_budget_take(struct sluice_budget *b, uint64_t bytes, int must);
/* Giving more than was taken leaves 0. */
void sluice_budget_give(struct sluice_budget *b, uint64_t bytes);
/* Waits until less than the limit is used, at most timeout_us. 1 = there is room. */
int sluice_budget_wait(struct sluice_budget *b, int64_t timeout_us);
uint64_t sluice_budget_used(struct sluice_budget *b);
uint64_t sluice_budget_peak(struct sluice_budget *b);

#endif /* SLUICE_BASE_BUDGET_H */
