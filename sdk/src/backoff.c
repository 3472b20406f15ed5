/* Exponential backoff with jitter. */
#include "sluice/backoff.h"

void sluice_backoff_init(struct sluice_backoff *b, int64_t base_us, int64_t cap_us,
                         uint32_t max_attempts, uint64_t seed)
{
    b->base_us = base_us > 0 ? base_us : 1;
    b->cap_us = cap_us > b->base_us ? cap_us : b->base_us;
    b->attempt = 0;
    b->max_attempts = max_attempts;
    b->seed = seed;
}

/* splitmix64: enough for jitter, no state beyond one word. */
static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int64_t sluice_backoff_next(struct sluice_backoff *b)
{
    if (b->max_attempts != 0 && b->attempt >= b->max_attempts) {
        return -1;
    }
    int64_t top = b->base_us;
    for (uint32_t i = 0; i < b->attempt && top < b->cap_us; i++) {
        top = top > b->cap_us / 2 ? b->cap_us : top * 2;
    }
    if (b->attempt < UINT32_MAX) {
        b->attempt++;
    }
    int64_t half = top / 2;
    uint64_t span = (uint64_t)(top - half) + 1u;
    return half + (int64_t)(next_random(&b->seed) % span);
}

void sluice_backoff_reset(struct sluice_backoff *b)
{
    b->attempt = 0;
}
