/* A flag that stays raised, with an eventfd beside it. */
#include "base/cancel.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"

sluice_status sluice_cancel_init(struct sluice_cancel *c, struct sluice_error *err)
{
    c->raised = 0;
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->fd < 0) {
        return sluice_error_errno(err, errno, "cannot make an eventfd");
    }
    return SLUICE_OK;
}

void sluice_cancel_free(struct sluice_cancel *c)
{
    if (c->fd >= 0) {
        (void)close(c->fd);
        c->fd = -1;
    }
}

void sluice_cancel_raise(struct sluice_cancel *c)
{
    /* Called from signal handlers: only an atomic and write(2), errno kept. */
    int kept = errno;
    if (sluice_atomic_exchange_i32(&c->raised, 1) == 0 && c->fd >= 0) {
        uint64_t one = 1;
        ssize_t written = 0;
        do {
            written = write(c->fd, &one, sizeof one);
        } while (written < 0 && errno == EINTR);
    }
    errno = kept;
}

int sluice_cancel_raised(const struct sluice_cancel *c)
{
    return sluice_atomic_load_i32(&c->raised);
}

int sluice_cancel_sleep(struct sluice_cancel *c, int64_t us)
{
    int64_t end = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    if (__builtin_add_overflow(end, us > 0 ? us : 0, &end)) {
        end = INT64_MAX;
    }
    while (!sluice_cancel_raised(c)) {
        int64_t left = end - sluice_now_us(SLUICE_CLOCK_MONOTONIC);
        if (left <= 0) {
            return sluice_cancel_raised(c);
        }
        struct timespec wait = {(time_t)(left / 1000000), (long)(left % 1000000) * 1000};
        struct pollfd pfd = {c->fd, POLLIN, 0};
        (void)ppoll(&pfd, 1, &wait, NULL);
    }
    return 1;
}
