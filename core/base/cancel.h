/*
 * A flag that stays raised, with a descriptor to poll. Raising is [any] and async-signal-safe.
 */
#ifndef SLUICE_BASE_CANCEL_H
#define SLUICE_BASE_CANCEL_H

#include <stdint.h>

#include "sluice/error.h"

struct sluice_cancel {
    int32_t raised; /* atomic */
    int fd;         /* eventfd, readable once raised */
};

sluice_status sluice_cancel_init(struct sluice_cancel *c, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_cancel_free(struct sluice_cancel *c);
void sluice_cancel_raise(struct sluice_cancel *c);
int sluice_cancel_raised(const struct sluice_cancel *c);
/* Sleeps at most `us`, less when raised. 1 = raised. */
int sluice_cancel_sleep(struct sluice_cancel *c, int64_t us);

#endif /* SLUICE_BASE_CANCEL_H */
