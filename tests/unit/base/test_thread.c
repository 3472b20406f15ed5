/* Cancel and budget, with threads. Run under ThreadSanitizer too. */
#include "test_base.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "base/budget.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "sluice/abi.h"

#define MS 1000

static int readable(int fd)
{
    struct pollfd pfd = {fd, POLLIN, 0};
    return poll(&pfd, 1, 0) == 1;
}

static void cancel_stays_raised(void **state)
{
    (void)state;
    struct sluice_cancel c;
    assert_int_equal(sluice_cancel_init(&c, NULL), SLUICE_OK);
    assert_int_equal(sluice_cancel_raised(&c), 0);
    assert_false(readable(c.fd));
    assert_int_equal(sluice_cancel_sleep(&c, 2 * MS), 0);
    assert_int_equal(sluice_cancel_sleep(&c, -1), 0);
    errno = 77;
    sluice_cancel_raise(&c);
    sluice_cancel_raise(&c);
    assert_int_equal(errno, 77);
    assert_int_equal(sluice_cancel_raised(&c), 1);
    assert_true(readable(c.fd));
    int64_t start = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    assert_int_equal(sluice_cancel_sleep(&c, INT64_MAX), 1);
    assert_true(sluice_now_us(SLUICE_CLOCK_MONOTONIC) - start < 1000 * MS);
    sluice_cancel_free(&c);
    sluice_cancel_free(&c);
}

static struct sluice_cancel signalled;

static void on_signal(int number)
{
    (void)number;
    sluice_cancel_raise(&signalled);
}

static void cancel_from_a_signal_handler(void **state)
{
    (void)state;
    assert_int_equal(sluice_cancel_init(&signalled, NULL), SLUICE_OK);
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction old;
    assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(sluice_cancel_sleep(&signalled, 5000 * MS), 1);
    assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
    sluice_cancel_free(&signalled);
}

static void *raise_soon(void *ctx)
{
    (void)sluice_cancel_sleep(ctx, 0);
    struct sluice_cancel timer;
    if (sluice_cancel_init(&timer, NULL) == SLUICE_OK) {
        (void)sluice_cancel_sleep(&timer, 20 * MS);
        sluice_cancel_free(&timer);
    }
    sluice_cancel_raise(ctx);
    return NULL;
}

static void cancel_wakes_a_sleeper(void **state)
{
    (void)state;
    struct sluice_cancel c;
    pthread_t thread;
    assert_int_equal(sluice_cancel_init(&c, NULL), SLUICE_OK);
    assert_int_equal(pthread_create(&thread, NULL, raise_soon, &c), 0);
    assert_int_equal(sluice_cancel_sleep(&c, 20000 * MS), 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    sluice_cancel_free(&c);
}

static void budget_counts(void **state)
{
    (void)state;
    struct sluice_budget b;
    sluice_budget_init(&b, 100);
    assert_int_equal(sluice_budget_take(&b, 60, 0), 1);
    assert_int_equal(sluice_budget_take(&b, 41, 0), 0);
    assert_int_equal(sluice_budget_take(&b, 40, 0), 1);
    assert_int_equal(sluice_budget_wait(&b, 1 * MS), 0);
    assert_int_equal(sluice_budget_take(&b, 50, 1), 1);
    assert_int_equal(sluice_budget_used(&b), 150);
    sluice_budget_give(&b, 60);
    assert_int_equal(sluice_budget_wait(&b, 0), 1);
    sluice_budget_give(&b, 1000); /* more than was taken: never below zero */
    assert_int_equal(sluice_budget_used(&b), 0);
    assert_int_equal(sluice_budget_peak(&b), 150);
    assert_int_equal(sluice_budget_take(&b, UINT64_MAX, 0), 0);
    assert_int_equal(sluice_budget_take(&b, UINT64_MAX, 1), 1);
    assert_int_equal(sluice_budget_take(&b, UINT64_MAX, 1), 1); /* does not wrap */
    assert_true(sluice_budget_used(&b) == UINT64_MAX);
    sluice_budget_free(&b);
    sluice_budget_init(&b, 0); /* no limit */
    assert_int_equal(sluice_budget_take(&b, 1u << 30, 0), 1);
    assert_int_equal(sluice_budget_wait(&b, 0), 1);
    sluice_budget_free(&b);
}

struct worker {
    struct sluice_budget *budget;
    int rounds;
    int granted;
};

static void *take_and_give(void *ctx)
{
    struct worker *w = ctx;
    for (int i = 0; i < w->rounds; i++) {
        while (!sluice_budget_take(w->budget, 7, 0)) {
            (void)sluice_budget_wait(w->budget, 100 * MS);
        }
        w->granted++;
        sluice_budget_give(w->budget, 7);
    }
    return NULL;
}

static void budget_serves_threads(void **state)
{
    (void)state;
    struct sluice_budget b;
    struct worker workers[4];
    pthread_t threads[4];
    sluice_budget_init(&b, 15); /* room for two at a time */
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){&b, 2000, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].granted, 2000);
    }
    assert_int_equal(sluice_budget_used(&b), 0);
    assert_true(sluice_budget_peak(&b) <= 15);
    sluice_budget_free(&b);
}

static void *give_soon(void *ctx)
{
    struct sluice_cancel timer;
    if (sluice_cancel_init(&timer, NULL) == SLUICE_OK) {
        (void)sluice_cancel_sleep(&timer, 20 * MS);
        sluice_cancel_free(&timer);
    }
    sluice_budget_give(ctx, 10);
    return NULL;
}

static void budget_wakes_a_waiter(void **state)
{
    (void)state;
    struct sluice_budget b;
    pthread_t thread;
    sluice_budget_init(&b, 10);
    assert_int_equal(sluice_budget_take(&b, 10, 0), 1);
    assert_int_equal(pthread_create(&thread, NULL, give_soon, &b), 0);
    assert_int_equal(sluice_budget_wait(&b, 20000 * MS), 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    sluice_budget_free(&b);
}

int run_thread_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_stays_raised),    cmocka_unit_test(cancel_from_a_signal_handler),
        cmocka_unit_test(cancel_wakes_a_sleeper), cmocka_unit_test(budget_counts),
        cmocka_unit_test(budget_serves_threads),  cmocka_unit_test(budget_wakes_a_waiter),
    };
    return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
