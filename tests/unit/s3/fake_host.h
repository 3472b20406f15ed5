/* A host table for tests: a memory budget with a peak, a cancel descriptor, logs to stderr. */
#ifndef TEST_S3_FAKE_HOST_H
#define TEST_S3_FAKE_HOST_H

#include <stdatomic.h>

#include "sluice/abi.h"

struct fake_host {
    struct sluice_host table;
    _Atomic int64_t memory;
    _Atomic int64_t memory_peak;
    int64_t memory_max; /* 0 = no limit */
    _Atomic int cancelled;
    int event_fd;
    int log_level; /* up to this level goes to stderr; 0 = nothing */
    _Atomic int64_t counters[8];
    const char *counter_names[8];
};

void fake_host_init(struct fake_host *host);
void fake_host_cancel(struct fake_host *host);
void fake_host_free(struct fake_host *host);
int64_t fake_host_counter(struct fake_host *host, const char *name);

#endif
