/* Feeds: what was wrong once, or must not go wrong at night. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fake_feed.h"
#include "tests.h"

static const struct sluice_run_options once = {.once = 1};
static const struct sluice_run_options follow = {0};

#define BOTH SLUICE_MODE_FULL_LOAD_AND_CDC

static struct flow_outcome run_as(struct sluice_pipeline *p,
                                  const struct sluice_run_options *options, int drain)
{
    struct sluice_state *state = flow_state_open();
    struct flow_outcome out = flow_run_pipeline(p, state, options, drain);
    fake_pipeline_free(p);
    sluice_state_close(state);
    return out;
}

static struct flow_outcome run(uint32_t sinks, int32_t mode)
{
    return run_as(feed_pipeline(sinks, mode), &once, 0);
}

static void expect_ok(struct flow_outcome out)
{
    if (out.status < 0) {
        fail_msg("%s", out.err.message);
    }
}

static void expect_failure(struct flow_outcome out, sluice_status status, const char *text)
{
    assert_int_equal(out.status, status);
    if (strstr(out.err.message, text) == NULL) {
        fail_msg("%s", out.err.message);
    }
}

static int64_t now_us(void)
{
    return sluice_now_us(SLUICE_CLOCK_MONOTONIC);
}

/* ---- what sinks and state say ---- */

/* The reply to a feed's first commit is lost, and other lanes of the sink have committed since. */
static void test_settling_looks_far_enough(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.commit_fail_kind = FAKE_RETRYABLE;
    feed_log.commit_fail_keeps = 1;
    feed_log.commit_fail_times = 1;
    feed_log.other_load_after = 1;
    expect_ok(run(1, BOTH));
    feed_assert_whole("a", 1);
}

/* The same, and the process dies before the state knows. */
static void test_recovery_looks_far_enough(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.commit_fail_kind = FAKE_FATAL;
    feed_log.commit_fail_keeps = 1;
    feed_log.commit_fail_times = 1;
    feed_log.other_load_after = 1;
    assert_true(run(1, BOTH).status < 0);
    expect_ok(run(1, BOTH));
    feed_assert_whole("a", 1);
}

/* Where nothing is unfinished, the newest commit of each lane is all there is to know. */
static void test_recovery_is_short(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.group_delay_us = 1000; /* many commits */
    expect_ok(run(1, BOTH));
    assert_true(feed_commit_count("a") > 5);
    atomic_store(&feed_log.recovered, 0);
    expect_ok(run(1, BOTH));
    assert_true(atomic_load(&feed_log.recovered) <= 2);
}

/* The state is lost: the sink's tokens tell where to go on, and tables are loaded anew. */
static void test_state_lost(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(1, BOTH));
    (void)flow_teardown(NULL);
    (void)flow_setup(NULL);
    (void)usleep(1100000); /* runs are named by the second, and nothing knows the old names */
    feed_log.transactions = 280;
    feed_log.load_at = 230;
    expect_ok(run(1, BOTH));
    assert_int_equal(feed_log.resumed_at, 2000);
    feed_assert_whole("a", 1);
}

/* A source may forget what a reader is opened behind: the state must have it first. */
static void test_opened_behind_the_state(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.group_delay_us = 3000;
    for (int i = 0; i < 3; i++) {
        feed_log.read_fail_at = 6;
        feed_log.read_fail_kind = FAKE_RETRYABLE;
        feed_log.transactions += 100;
        expect_ok(run(1, BOTH));
    }
    assert_false(atomic_load(&feed_log.early_open));
    feed_assert_whole("a", 1);
}

static void *unblock_main(void *unused)
{
    (void)usleep(3000000);
    atomic_store(&feed_log.write_block, 0);
    return unused;
}

/* The reader is called while a batch is handed over: its position is no longer what it was. */
static void test_positions_are_borrowed(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.tables = 1;
    expect_ok(run(1, BOTH));
    feed_log.transactions = 8000;
    feed_log.write_block = 1;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, unblock_main, NULL), 0);
    struct sluice_pipeline *p = feed_pipeline(1, BOTH);
    p->memory_bytes = 1u * 1024 * 1024;
    p->nodes[1].batch.rows = 1; /* each boundary counts */
    expect_ok(run_as(p, &once, 0));
    (void)pthread_join(thread, NULL);
    assert_true(atomic_load(&feed_log.idles) > 0);
    assert_int_equal(atomic_load(&feed_log.acked), 80000);
    feed_assert_whole("a", 1);
}

/* ---- tables that come and go ---- */

static void test_a_table_made_anew(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(1, BOTH));
    feed_log.incarnation = 1;
    feed_log.transactions = 260;
    feed_log.load_at = 230;
    feed_log.open_fail_times = 1; /* once it was seen that the table is another one */
    expect_ok(run(1, BOTH));
    assert_int_equal(atomic_load(&feed_log.loads), 4);
    feed_assert_whole("a", 1);
}

static void test_a_table_made_anew_and_killed(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(1, BOTH));
    feed_log.incarnation = 1;
    feed_log.transactions = 260;
    feed_log.load_at = 230;
    feed_log.load_fail_table = 0;
    feed_log.load_fail_kind = FAKE_FATAL;
    assert_true(run(1, BOTH).status < 0);
    feed_log.load_fail_table = -1;
    expect_ok(run(1, BOTH));
    assert_int_equal(atomic_load(&feed_log.loads), 5);
    feed_assert_whole("a", 1);
}

/* The snapshot is lost while it is loaded again. */
static void test_a_table_made_anew_and_lost(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(1, BOTH));
    feed_log.incarnation = 1;
    feed_log.transactions = 260;
    feed_log.load_at = 230;
    feed_log.load_fail_table = 0;
    feed_log.load_fail_once = 1;
    feed_log.load_fail_kind = FAKE_SNAPSHOT_LOST;
    expect_ok(run(1, BOTH));
    assert_int_equal(atomic_load(&feed_log.loads), 5);
    feed_assert_whole("a", 1);
}

static void test_a_table_that_left_and_came_back(void **unused)
{
    (void)unused;
    for (int32_t table = 0; table < 3; table++) {
        feed_log_reset();
        expect_ok(run(1, BOTH));
        feed_log.hide_table = table;
        feed_log.transactions = 240;
        expect_ok(run(1, BOTH));
        feed_log.hide_table = -1;
        feed_log.transactions = 300;
        feed_log.load_at = 270;
        expect_ok(run(1, BOTH));
        assert_int_equal(atomic_load(&feed_log.loads), 4);
        feed_assert_whole("a", 1);
        (void)flow_teardown(NULL);
        (void)flow_setup(NULL);
    }
}

/* One sink refuses a table that another one has: there its changes go on, also after the source was
 * opened anew. */
static void test_refused_in_one_sink_followed_in_the_other(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(1, BOTH));
    feed_log.refuse_table = 1;
    feed_log.load_fail_table = 2;
    feed_log.load_fail_once = 1;
    feed_log.load_fail_kind = FAKE_SNAPSHOT_LOST;
    feed_log.load_at = 200;
    feed_log.transactions = 300;
    feed_log.group_delay_us = 5000;
    struct flow_outcome out = run(2, BOTH);
    expect_ok(out);
    assert_int_equal(out.progress.streams_failed, 1);
    feed_assert_whole("a", 1);
}

/* A table with changes in one sink cannot be read for another: its changes must not be lost. */
static void test_a_problem_of_a_table_that_is_followed(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(1, BOTH));
    feed_log.open_problem_table = 1;
    feed_log.transactions = 240;
    expect_failure(run(2, BOTH), SLUICE_E_PERMISSION, "cannot follow public.t1");
    feed_log.open_problem_table = -1;
    expect_ok(run(1, BOTH));
    feed_assert_whole("a", 1);
}

/* Without loads nothing would ever fill the hole. */
static void test_a_problem_without_loads(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(1, SLUICE_MODE_CDC_ONLY));
    feed_log.discover_problem_table = 1;
    feed_log.transactions = 240;
    expect_failure(run(1, SLUICE_MODE_CDC_ONLY), SLUICE_E_PERMISSION, "cannot follow public.t1");
    feed_log.discover_problem_table = -1;
    expect_ok(run(1, SLUICE_MODE_CDC_ONLY));
    feed_assert_whole("a", 21);
}

/* A load is newer than the feed when the mode becomes cdc_only: what it holds is not written again. */
static void test_load_positions_hold_without_loads(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.hide_table = 1;
    expect_ok(run(1, BOTH));
    feed_log.hide_table = -1;
    feed_log.load_at = 250;
    feed_log.transactions = 300;
    feed_log.group_delay_us = 200000; /* the load is complete by then */
    feed_log.read_fail_at = 1;
    feed_log.read_fail_kind = FAKE_FATAL;
    assert_true(run(1, BOTH).status < 0);
    feed_log.group_delay_us = 0;
    expect_ok(run(1, SLUICE_MODE_CDC_ONLY));
    assert_int_equal(feed_change_rows("a", 1, 2500), 0);
    feed_assert_whole("a", 1);
}

/* A full load of another database must not make the feed's positions look right there. */
static void test_another_database(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(1, BOTH));
    feed_log.identity = 2;
    expect_failure(run(1, BOTH), SLUICE_E_POSITION_LOST, "another database");
    expect_failure(run(1, SLUICE_MODE_FULL_LOAD_ONLY), SLUICE_E_POSITION_LOST, "another database");
    expect_failure(run(1, BOTH), SLUICE_E_POSITION_LOST, "another database");
}

/* A sink that was taken out comes back: it is loaded anew, the other one goes on. */
static void test_a_sink_that_left_and_came_back(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(2, BOTH));
    feed_log.transactions = 240;
    expect_ok(run(1, BOTH));
    feed_log.transactions = 300;
    feed_log.load_at = 270;
    feed_log.log_starts = 2400; /* the source let go of all that the other sink has */
    expect_ok(run(2, BOTH));
    assert_int_equal(atomic_load(&feed_log.loads), 6);
    feed_assert_whole("a", 1);
    feed_assert_whole("b", 1);
}

/* What ended before the table changed is committed, although the run dies of the change. */
static void test_commits_before_a_change_that_stops(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.schema_at = 90;
    struct sluice_pipeline *p = feed_pipeline(1, BOTH);
    p->nodes[1].component = &feed_rotating_sink_component;
    p->schema = SLUICE_SCHEMA_STOP;
    expect_failure(run_as(p, &once, 0), SLUICE_E_SCHEMA, "column more was added");
    assert_int_equal(feed_committed_up_to("a"), 890);
    expect_ok(run(1, BOTH));
    feed_assert_whole("a", 1);
}

/* ---- errors ---- */

static void test_cut_off_for_no_reason(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.read_fail_at = 4;
    feed_log.read_fail_kind = FAKE_CANCELLED;
    expect_ok(run(1, BOTH));
    feed_assert_whole("a", 1);
}

/* --once ends, whatever keeps failing. */
static void test_a_sink_that_never_commits(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.commit_fail_kind = FAKE_ABORTED;
    feed_log.commit_fail_times = 1000000;
    expect_failure(run(1, BOTH), SLUICE_E_IO, "sink a");
    atomic_store(&feed_log.commit_fail_times, 0);
    expect_ok(run(1, BOTH));
    feed_assert_whole("a", 1);
}

/* A row that a sink refuses: the error says of which table, behind which position. */
static void test_a_row_that_is_refused(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.write_fail_kind = FAKE_STREAM;
    feed_log.write_fail_times = 1;
    struct flow_outcome out = run(1, BOTH);
    expect_failure(out, SLUICE_E_DATA, "sink a: changes of public.t");
    expect_failure(out, SLUICE_E_DATA, "after position 00000000000000c8");
    expect_ok(run(1, BOTH));
    feed_assert_whole("a", 1);
}

/* A try that ends when one lane is open and the other is not. */
static void test_a_lane_that_does_not_open(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.lane_fail_kind = FAKE_RETRYABLE;
    feed_log.lane_fail_times = 2;
    expect_ok(run(2, BOTH));
    feed_log.transactions = 240;
    feed_log.lane_fail_kind = FAKE_FATAL;
    feed_log.lane_fail_times = 1;
    int64_t start = now_us();
    expect_failure(run(2, BOTH), SLUICE_E_POSITION_LOST, "source src: sink b: lane_open: gap");
    assert_true(now_us() - start < 5000000);
    expect_ok(run(2, BOTH));
    feed_assert_whole("a", 1);
    feed_assert_whole("b", 1);
}

/* ---- transforms ---- */

static void test_versions_behind_a_transform_that_holds_back(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.schema_at = 90; /* groups begin at 21 + n * 7 */
    feed_log.schema_inside = 1;
    feed_log.truncate_at = 120;
    feed_log.split = 1;
    expect_ok(run_as(feed_pipeline_holding(BOTH), &once, 0));
    feed_assert_whole("a", 1);
    feed_assert_whole("b", 1);
    assert_int_equal(feed_schema_count("a"), 2);
}

/* ---- stopping ---- */

static struct sluice_pipeline *rotating(uint32_t sinks)
{
    struct sluice_pipeline *p = feed_pipeline(sinks, BOTH);
    for (uint32_t i = 1; i <= sinks; i++) {
        p->nodes[i].component = &feed_rotating_sink_component;
    }
    return p;
}

/* All sinks have the same time to commit, not one after the other. */
static void test_stop_commits_everywhere_at_once(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(3, BOTH));
    feed_log.transactions = 240;
    feed_log.commit_delay_us = 1200000;
    flow_finish_us = 2500000;
    flow_drain_after_us = 1500000;
    expect_ok(run_as(rotating(3), &follow, 1));
    assert_int_equal(feed_committed_up_to("a"), 2400);
    assert_int_equal(feed_committed_up_to("b"), 2400);
    assert_int_equal(feed_committed_up_to("c"), 2400);
}

/* What must be known is not lost in a stop. */
static void test_stop_tells_errors(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(1, BOTH));
    feed_log.transactions = 240;
    feed_log.follow = 1;
    feed_log.commit_fail_kind = FAKE_FATAL;
    feed_log.commit_fail_times = 1;
    flow_drain_after_us = 800000;
    expect_failure(run_as(rotating(1), &follow, 1), SLUICE_E_POSITION_LOST, "sink a");
}

static void test_stop_while_a_sink_hangs(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(2, BOTH));
    feed_log.transactions = 400;
    feed_log.write_block = 1;
    flow_finish_us = 300000;
    flow_drain_after_us = 500000;
    int64_t start = now_us();
    expect_ok(run_as(feed_pipeline(2, BOTH), &once, 1)); /* it has read to the end, and waits */
    assert_true(now_us() - start < 8000000);
    feed_log.follow = 1;
    expect_ok(run_as(feed_pipeline(2, BOTH), &follow, 1));
    feed_log.follow = 0;
    atomic_store(&feed_log.write_block, 0);
    expect_ok(run(2, BOTH));
    feed_assert_whole("a", 1);
    feed_assert_whole("b", 1);
}

static void test_stop_while_the_reader_hangs(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(1, BOTH));
    feed_log.transactions = 240;
    feed_log.read_hang = 1;
    flow_finish_us = 300000;
    flow_drain_after_us = 300000;
    int64_t start = now_us();
    expect_ok(run_as(feed_pipeline(1, BOTH), &follow, 1));
    assert_true(now_us() - start < 8000000);
    atomic_store(&feed_log.read_hang, 0);
    expect_ok(run(1, BOTH));
    feed_assert_whole("a", 1);
}

/* The source is opened anew while a sink of its feed hangs: the run goes on. */
static void test_reopen_while_a_sink_hangs(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.hide_table = 1;
    expect_ok(run(1, BOTH));
    feed_log.hide_table = -1;
    feed_log.transactions = 300;
    feed_log.load_at = 210;
    feed_log.load_fail_table = 1;
    feed_log.load_fail_once = 1;
    feed_log.load_fail_kind = FAKE_SNAPSHOT_LOST;
    feed_log.load_delay_us = 300000;   /* the feed runs by then */
    feed_log.commit_delay_us = 800000; /* longer than a stop waits */
    flow_finish_us = 200000;
    expect_ok(run_as(rotating(1), &once, 0));
    feed_assert_whole("a", 1);
}

/* A stop in the middle of a group commits what ended before it. */
static void test_stop_amid_a_group(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(1, BOTH));
    feed_log.transactions = 4000;
    feed_log.rows_per_tx = 40;
    feed_log.tx_per_group = 100;
    feed_log.write_delay_us = 30000;
    feed_log.split = 1;
    flow_drain_after_us = 700000;
    flow_finish_us = 8000000;
    struct sluice_pipeline *p = rotating(1);
    p->memory_bytes = 2u * 1024 * 1024;
    expect_ok(run_as(p, &follow, 1));
    assert_true(feed_committed_up_to("a") > 2000);
}

/* A sink that is always behind commits all the same. */
static void test_commits_while_behind(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(1, BOTH));
    uint32_t before = feed_commit_count("a");
    feed_log.transactions = 2300;
    feed_log.write_delay_us = 3000;
    expect_ok(run(1, BOTH));
    assert_true(feed_commit_count("a") >= before + 2);
    feed_assert_whole("a", 1);
}

int test_feed_faults(void)
{
    static const struct CMUnitTest tests[] = {
        FLOW_TEST(test_settling_looks_far_enough),
        FLOW_TEST(test_recovery_looks_far_enough),
        FLOW_TEST(test_recovery_is_short),
        FLOW_TEST(test_state_lost),
        FLOW_TEST(test_opened_behind_the_state),
        FLOW_TEST(test_positions_are_borrowed),
        FLOW_TEST(test_a_table_made_anew),
        FLOW_TEST(test_a_table_made_anew_and_killed),
        FLOW_TEST(test_a_table_made_anew_and_lost),
        FLOW_TEST(test_a_table_that_left_and_came_back),
        FLOW_TEST(test_refused_in_one_sink_followed_in_the_other),
        FLOW_TEST(test_a_problem_of_a_table_that_is_followed),
        FLOW_TEST(test_a_problem_without_loads),
        FLOW_TEST(test_load_positions_hold_without_loads),
        FLOW_TEST(test_another_database),
        FLOW_TEST(test_a_sink_that_left_and_came_back),
        FLOW_TEST(test_commits_before_a_change_that_stops),
        FLOW_TEST(test_cut_off_for_no_reason),
        FLOW_TEST(test_a_row_that_is_refused),
        FLOW_TEST(test_a_lane_that_does_not_open),
        FLOW_TEST(test_versions_behind_a_transform_that_holds_back),
        FLOW_TEST(test_stop_commits_everywhere_at_once),
        FLOW_TEST(test_stop_tells_errors),
        FLOW_TEST(test_stop_amid_a_group),
        FLOW_TEST(test_commits_while_behind),
        FLOW_TEST(test_reopen_while_a_sink_hangs),
        FLOW_TEST(test_a_sink_that_never_commits),
        FLOW_TEST(test_stop_while_a_sink_hangs),
        FLOW_TEST(test_stop_while_the_reader_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
