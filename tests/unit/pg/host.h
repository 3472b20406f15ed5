/*
 * A host table for tests of the PostgreSQL source without the engine. [any] after init.
 */
#ifndef SLUICE_TEST_PG_HOST_H
#define SLUICE_TEST_PG_HOST_H

#include <stdatomic.h>

#include "sluice/abi.h"

struct pg_test_host {
    struct sluice_host table;
    const struct sluice_option *const *options; /* of the component */
    const char *const *given;                   /* "key=value", NULL-terminated */
    int cancel_pipe[2];
    atomic_int cancelled;
    int log_level;
};

/* `options` and `given` are borrowed. 0 = a pipe could not be made. */
int pg_test_host_init(struct pg_test_host *host, const struct sluice_option *const *options,
                      const char *const *given);
void pg_test_host_free(struct pg_test_host *host);
/* Sets the flag and makes the descriptor readable; call the source's cancel() after. */
void pg_test_host_cancel(struct pg_test_host *host);

#endif /* SLUICE_TEST_PG_HOST_H */
