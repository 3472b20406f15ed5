/* Writers that share a commit. Run under ThreadSanitizer too. */
#include "test_state.h"

#include <pthread.h>
#include <stdio.h>

#include "base/atomic.h"
#include "base/failpoint.h"
#include "state/state_internal.h"

#define THREADS 6
#define WRITES 15

struct writer {
    struct sluice_state *state;
    int number;
    int kept;
    int failed;
    int spoil; /* every third write of this one fails by itself */
};

static int64_t commits;
static int refuse_commits;

static int on_commit(void *ctx)
{
    (void)ctx;
    (void)sluice_atomic_add_relaxed_i64(&commits, 1);
    return refuse_commits;
}

static void *write_lanes(void *ctx)
{
    struct writer *w = ctx;
    for (int i = 0; i < WRITES; i++) {
        struct sluice_error err = SLUICE_ERROR_INIT;
        char shard[40];
        (void)snprintf(shard, sizeof shard, "t%d-%d", w->number, i);
        struct sluice_state_lane lane = {"lake", shard, 1, "x", 1, 0, 0, NOW};
        sluice_status status = SLUICE_OK;
        if (w->spoil && i % 3 == 0) {
            /* Part of a batch is written, then the batch fails: all of it must go. */
            status = sluice_state_batch_begin(w->state, &err);
            if (status == SLUICE_OK) {
                (void)sluice_state_lane_put(w->state, "l", &lane, &err);
                (void)sluice_state_load_finish(w->state, "none", NOW, &err);
                status = sluice_state_batch_end(w->state, &err);
            }
        }
        else {
            status = sluice_state_lane_put(w->state, "l", &lane, &err);
        }
        w->kept += status == SLUICE_OK;
        w->failed += status < 0;
        if (status < 0 && err.message[0] == '\0') {
            w->failed = -1000;
        }
    }
    return NULL;
}

static void run_writers(struct sluice_state *s, int spoil, struct writer writers[THREADS])
{
    pthread_t threads[THREADS];
    commits = 0;
    (void)sqlite3_commit_hook(s->db, on_commit, NULL);
    /* Slow commits, so that the others arrive meanwhile. */
    assert_int_equal(sluice_failpoints_arm("state.commit=sleep:3", NULL), SLUICE_OK);
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){s, i, 0, 0, spoil && i % 2 == 0};
        assert_int_equal(pthread_create(&threads[i], NULL, write_lanes, &writers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(sluice_failpoints_arm(NULL, NULL), SLUICE_OK);
    (void)sqlite3_commit_hook(s->db, NULL, NULL);
    assert_null(s->group);
    assert_int_equal(s->entering, 0);
    assert_int_equal(s->lock_depth, 0);
}

static void writers_share_commits(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct writer writers[THREADS];
    run_writers(s, 0, writers);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(writers[i].kept, WRITES);
    }
    print_message("%d writes in %d commits\n", THREADS * WRITES, (int)commits);
    assert_true(commits < THREADS * WRITES);
    sluice_state_close(s);
    s = open_run(*state, "p");
    assert_int_equal(count_lanes(s, "l"), THREADS * WRITES);
    sluice_state_close(s);
}

static void one_failure_spares_the_others(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct writer writers[THREADS];
    size_t kept = 0;
    run_writers(s, 1, writers);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(writers[i].failed, i % 2 == 0 ? WRITES / 3 : 0);
        kept += (size_t)writers[i].kept;
    }
    assert_int_equal(count_lanes(s, "l"), kept);
    sluice_state_close(s);
}

static void failed_commit_fails_all(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct writer writers[THREADS];
    refuse_commits = 1;
    run_writers(s, 0, writers);
    refuse_commits = 0;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(writers[i].kept, 0);
        assert_int_equal(writers[i].failed, WRITES);
    }
    assert_int_equal(count_lanes(s, "l"), 0);
    put_lane(s, "l", "again", 1);
    assert_int_equal(count_lanes(s, "l"), 1);
    sluice_state_close(s);
}

static sluice_status write_within(void *ctx, const struct sluice_state_lane *lane)
{
    struct sluice_state *s = ctx;
    (void)lane;
    put_lane(s, "m", "from a visitor", 1);
    return SLUICE_OK;
}

static void *visit_and_write(void *ctx)
{
    for (int i = 0; i < 20; i++) {
        if (sluice_state_lanes(ctx, "l", write_within, ctx, NULL) != SLUICE_OK) {
            return ctx;
        }
    }
    return NULL;
}

/* A visitor holds the mutex: its writes must not wait for others to commit. */
static void visitors_may_write(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    pthread_t threads[3];
    put_lane(s, "l", "one", 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, visit_and_write, s), 0);
    }
    for (int i = 0; i < 3; i++) {
        void *wrong = s;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_int_equal(count_lanes(s, "m"), 1);
    sluice_state_close(s);
}

int run_sharing_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writers_share_commits, place_make, place_remove),
        cmocka_unit_test_setup_teardown(one_failure_spares_the_others, place_make, place_remove),
        cmocka_unit_test_setup_teardown(failed_commit_fails_all, place_make, place_remove),
        cmocka_unit_test_setup_teardown(visitors_may_write, place_make, place_remove),
    };
    return cmocka_run_group_tests_name("sharing", tests, NULL, NULL);
}
