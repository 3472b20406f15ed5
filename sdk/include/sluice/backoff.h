/*
 * Exponential backoff with full jitter. SDK; [any], one owner per struct.
 */
#ifndef SLUICE_BACKOFF_H
#define SLUICE_BACKOFF_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sluice_backoff {
    int64_t base_us; /* the first wait is random in [base/2, base] */
    int64_t cap_us;  /* no wait is longer */
    uint32_t attempt;
    uint32_t max_attempts; /* 0 = no limit */
    uint64_t seed;
};

void sluice_backoff_init(struct sluice_backoff *b, int64_t base_us, int64_t cap_us,
                         uint32_t max_attempts, uint64_t seed);
/* The next wait in microseconds, or -1 when max_attempts are used up. */
int64_t sluice_backoff_next(struct sluice_backoff *b);
/* After success. */
void sluice_backoff_reset(struct sluice_backoff *b);

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_BACKOFF_H */
