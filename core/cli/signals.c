#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

const char *sluice_signals_name(int signal)
{
    switch (signal) {
    case SIGINT:
        return "SIGINT";
    case SIGTERM:
        return "SIGTERM";
    case SIGHUP:
        return "SIGHUP";
    default:
        return "signal";
    }
}

int sluice_signals_first(const struct sluice_signals *signals)
{
    return __atomic_load_n(&signals->first, __ATOMIC_ACQUIRE);
}

static void *watch(void *arg)
{
    struct sluice_signals *signals = arg;
    struct pollfd fds[2] = {{signals->fd, POLLIN, 0}, {signals->stop_fd, POLLIN, 0}};
    for (;;) {
        struct signalfd_siginfo info;
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            return NULL;
        }
        if ((fds[1].revents & POLLIN) != 0) {
            return NULL;
        }
        if ((fds[0].revents & POLLIN) == 0 ||
            read(signals->fd, &info, sizeof info) != (ssize_t)sizeof info) {
            continue;
        }
        int signal = (int)info.ssi_signo;
        if (sluice_signals_first(signals) != 0) {
            /* Asked twice: no cleaning up, whatever hangs. What is durable is durable. */
            _exit(128 + signal);
        }
        __atomic_store_n(&signals->first, signal, __ATOMIC_RELEASE);
        signals->ask(signals->ctx, signal);
    }
}

static void choose(sigset_t *set)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP};
    sigemptyset(set);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct sigaction old;
        if (sigaction(wanted[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            sigaddset(set, wanted[i]);
        }
    }
}

sluice_status sluice_signals_start(struct sluice_signals *signals,
                                   void (*ask)(void *ctx, int signal), void *ctx,
                                   struct sluice_error *err)
{
    memset(signals, 0, sizeof *signals);
    signals->ask = ask;
    signals->ctx = ctx;
    signals->fd = -1;
    signals->stop_fd = -1;
    choose(&signals->set);
    int failure = pthread_sigmask(SIG_BLOCK, &signals->set, NULL);
    if (failure != 0) {
        return sluice_error_errno(err, failure, "cannot block signals");
    }
    signals->fd = signalfd(-1, &signals->set, SFD_CLOEXEC | SFD_NONBLOCK);
    signals->stop_fd = eventfd(0, EFD_CLOEXEC);
    failure = signals->fd < 0 || signals->stop_fd < 0 ? errno : 0;
    if (failure == 0) {
        failure = pthread_create(&signals->thread, NULL, watch, signals);
    }
    if (failure != 0) {
        sluice_signals_stop(signals);
        return sluice_error_errno(err, failure, "cannot watch for signals");
    }
    signals->started = 1;
    return SLUICE_OK;
}

void sluice_signals_stop(struct sluice_signals *signals)
{
    if (signals->ask == NULL) {
        return;
    }
    if (signals->started) {
        uint64_t one = 1;
        if (write(signals->stop_fd, &one, sizeof one) == (ssize_t)sizeof one) {
            (void)pthread_join(signals->thread, NULL);
        }
    }
    if (signals->fd >= 0) {
        (void)close(signals->fd);
    }
    if (signals->stop_fd >= 0) {
        (void)close(signals->stop_fd);
    }
    signals->started = 0;
    signals->fd = -1;
    signals->stop_fd = -1;
    signals->ask = NULL;
}
