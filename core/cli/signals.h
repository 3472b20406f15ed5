/*
 * Signals: blocked in every thread, taken by one thread of their own. The first SIGINT, SIGTERM or
 * SIGHUP asks the command to end; the second ends the process at once.
 */
#ifndef SLUICE_CLI_SIGNALS_H
#define SLUICE_CLI_SIGNALS_H

#include <pthread.h>
#include <signal.h>
#include <stdint.h>

#include "base/cancel.h"
#include "sluice/error.h"

struct sluice_signals {
    pthread_t thread;
    int started;
    int fd;      /* signalfd */
    int stop_fd; /* eventfd: the thread is to end */
    sigset_t set;
    int first;                          /* atomic: the first signal that came, 0 = none */
    void (*ask)(void *ctx, int signal); /* called once, on the signal thread */
    void *ctx;
};

/* Blocks the signals in the calling thread and all it starts from now on. Those that were ignored
 * when the process began (nohup, background jobs) stay ignored. Call before any thread starts.
 * [ctl] */
sluice_status sluice_signals_start(struct sluice_signals *signals,
                                   void (*ask)(void *ctx, int signal), void *ctx,
                                   struct sluice_error *err) SLUICE_MUST_CHECK;
/* Ends the thread; later signals stay blocked. A zeroed struct is allowed. [ctl] */
void sluice_signals_stop(struct sluice_signals *signals);
/* The first signal that came, 0 = none. [any] */
int sluice_signals_first(const struct sluice_signals *signals);
/* "SIGTERM" */
const char *sluice_signals_name(int signal);

#endif /* SLUICE_CLI_SIGNALS_H */
