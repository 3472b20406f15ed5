/* What a night may bring: each test names the failure, and asserts that no row is lost or doubled
 * and that the state says what happened. */
#include "harness.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests.h"

static const struct sluice_run_options once = {.once = 1};

/* A call that says "cancelled" although nobody stops the run: the shard is read again. */
static void test_cancelled_by_someone_else(void **unused)
{
    (void)unused;
    fake_reset();
    fake.fail_stream = 1;
    fake.fail_kind = FAKE_CANCELLED;
    fake.fail_times = 1;
    struct flow_outcome out = flow_run(1, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_complete, 3);
    flow_assert_whole("a", 3);
}

/* The same for good: a run that leaves a stream behind is no success, and its load goes on. */
static void test_cancelled_for_ever_is_no_success(void **unused)
{
    (void)unused;
    fake_reset();
    fake.fail_stream = 1;
    fake.fail_kind = FAKE_CANCELLED;
    fake.fail_times = 1000;
    struct sluice_state *state = flow_state_open();
    struct flow_outcome out = flow_run(1, state);
    sluice_state_close(state);
    assert_true(out.status < 0);
    assert_false(flow_load_ended());
}

static void test_cancelled_completion_is_no_success(void **unused)
{
    (void)unused;
    fake_reset();
    fake.end_fail_kind = FAKE_CANCELLED;
    fake.end_fail_times = 1;
    struct sluice_state *state = flow_state_open();
    struct flow_outcome out = flow_run(1, state);
    sluice_state_close(state);
    assert_true(out.status < 0);
    assert_false(flow_load_ended());
    state = flow_state_open();
    out = flow_run(1, state);
    sluice_state_close(state);
    assert_int_equal(out.status, SLUICE_OK);
    flow_assert_whole("a", 3);
}

/* The reply to stream_end is lost, twice: asked again, and complete once. */
static void test_lost_completion_reply(void **unused)
{
    (void)unused;
    fake_reset();
    fake.end_fail_kind = FAKE_RETRYABLE;
    fake.end_fail_times = 2;
    fake.end_fail_keeps = 1;
    struct flow_outcome out = flow_run(2, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    flow_assert_whole("a", 3);
    flow_assert_whole("b", 3);
}

/* SIGTERM while a lost source is opened anew in vain: a clean stop, not a failure. */
static void test_drain_while_reopening(void **unused)
{
    (void)unused;
    fake_reset();
    fake.fail_stream = 0;
    fake.fail_kind = FAKE_SNAPSHOT_LOST;
    fake.fail_times = 1;
    fake.open_fail_kind = FAKE_RETRYABLE;
    fake.reopen_fail_times = 1000;
    fake_retry_max = 1000;
    struct sluice_state *state = flow_state_open();
    struct flow_outcome out = flow_run_with(1, state, &once, 1);
    fake_retry_max = 5;
    sluice_state_close(state);
    assert_int_equal(out.status, SLUICE_OK);
    assert_false(flow_load_ended());
}

/* Stopped when all was done already: the load is over, so the next run is not one that skips all. */
static void test_drain_after_the_last_stream(void **unused)
{
    (void)unused;
    fake_reset();
    fake.drain_in_last_end = 1;
    struct sluice_state *state = flow_state_open();
    struct flow_outcome out = flow_run_with(1, state, &once, 0);
    sluice_state_close(state);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_complete, 3);
    assert_true(flow_load_ended());
}

/* One sink refuses a table before its first row: the other gets it. */
static void test_one_sink_refuses_a_stream(void **unused)
{
    (void)unused;
    fake_reset();
    fake.begin_fail_stream = 1;
    struct flow_outcome out = flow_run(2, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_failed, 1);
    assert_int_equal(out.progress.streams_complete, 2);
    flow_assert_whole("b", 3);
    assert_int_equal(fake_complete_count("a"), 2);
}

static void test_only_sink_refuses_a_stream(void **unused)
{
    (void)unused;
    fake_reset();
    fake.begin_fail_stream = 1;
    struct flow_outcome out = flow_run(1, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_failed, 1);
    assert_int_equal(atomic_load(&fake.reader_opens), 8); /* its rows were not read in vain */
}

/* One sink refuses to complete a table: it is complete in the other all the same. */
static void test_one_sink_refuses_to_complete(void **unused)
{
    (void)unused;
    fake_reset();
    fake.streams = 1;
    fake.end_fail_kind = FAKE_STREAM;
    fake.end_fail_times = 1;
    struct flow_outcome out = flow_run(2, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_failed, 1);
    assert_int_equal(fake_complete_count("a"), 0);
    flow_assert_whole("b", 1);
}

/* A commit that surely kept nothing: its shard is read again, under the same snapshot. */
static void test_commit_that_kept_nothing(void **unused)
{
    (void)unused;
    fake_reset();
    fake.commit_fail_kind = FAKE_ABORTED;
    fake.commit_fail_times = 3;
    struct flow_outcome out = flow_run(2, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(atomic_load(&fake.opens), 1);
    flow_assert_whole("a", 3);
    flow_assert_whole("b", 3);
}

/* More lost snapshots than retries, but with progress in between. */
static void test_lost_snapshots_with_progress(void **unused)
{
    (void)unused;
    fake_reset();
    fake.streams = 12;
    fake.lose_after_streams = 1; /* the snapshot is lost whenever a further stream is complete */
    fake.batch_delay_us = 1000;  /* time for the controller to complete one */
    struct sluice_run_options options = {.once = 1, .parallelism = 1};
    struct flow_outcome out = flow_run_with(1, NULL, &options, 0);
    assert_int_equal(out.status, SLUICE_OK);
    assert_true(atomic_load(&fake.opens) > 6);
    flow_assert_whole("a", 12);
}

/* A limited load whose snapshot is lost has all its rows again. */
static void test_limit_after_lost_snapshot(void **unused)
{
    (void)unused;
    fake_reset();
    fake.streams = 1;
    fake.shards_per_stream = 1;
    fake.commit_fail_kind = FAKE_RETRYABLE;
    fake.commit_fail_times = 1;
    struct sluice_run_options options = {.once = 1, .row_limit = 250};
    struct flow_outcome out = flow_run_with(1, NULL, &options, 0);
    assert_int_equal(out.status, SLUICE_OK);
    struct fake_result r;
    fake_result("a", "public.t0", &r);
    assert_int_equal(r.rows, 250);
    fake_reset();
    fake.streams = 1;
    fake.shards_per_stream = 2;
    fake.fail_stream = 0;
    fake.fail_shard = 1; /* the first has committed */
    fake.fail_kind = FAKE_SNAPSHOT_LOST;
    fake.fail_times = 1;
    options.row_limit = 1500;
    options.parallelism = 1;
    out = flow_run_with(1, NULL, &options, 0);
    assert_int_equal(out.status, SLUICE_OK);
    fake_result("a", "public.t0", &r);
    assert_int_equal(r.rows, 1500);
    assert_int_equal(r.distinct, 1500);
}

/* --tables that names tables of one source leaves the other alone. */
static void test_tables_of_one_of_two_sources(void **unused)
{
    (void)unused;
    fake_reset();
    const char *tables[] = {"public.u*"};
    struct sluice_run_options options = {.once = 1, .tables = tables, .table_count = 1};
    struct sluice_pipeline *p = fake_pipeline_two_sources();
    struct flow_outcome out = flow_run_pipeline(p, NULL, &options, 0);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_complete, 3);
    tables[0] = "public.nothing";
    out = flow_run_pipeline(p, NULL, &options, 0);
    assert_int_equal(out.status, SLUICE_E_INVALID);
    fake_pipeline_free(p);
}

static void test_two_sources(void **unused)
{
    (void)unused;
    fake_reset();
    struct sluice_pipeline *p = fake_pipeline_two_sources();
    fake.fail_stream = 1;
    fake.fail_kind = FAKE_SNAPSHOT_LOST; /* of both, one after the other */
    fake.fail_times = 2;
    struct flow_outcome out = flow_run_pipeline(p, NULL, &once, 0);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_complete, 6);
    flow_assert_whole("a", 3);
    fake_pipeline_free(p);
}

/* Runs of a part remember no load, but never use the name of a run twice. */
static void test_runs_of_a_part_have_names_of_their_own(void **unused)
{
    (void)unused;
    fake_reset();
    struct sluice_run_options options = {.once = 1, .row_limit = 10};
    for (int i = 0; i < 3; i++) {
        struct sluice_state *state = flow_state_open();
        struct flow_outcome out = flow_run_with(1, state, &options, 0);
        sluice_state_close(state);
        assert_int_equal(out.status, SLUICE_OK);
    }
    assert_int_equal(fake_run_count("a", "public.t0"), 3);
}

/* A table that was reset is read again, although the sink's tokens show it complete. */
static void test_reset_of_a_complete_stream(void **unused)
{
    (void)unused;
    fake_reset();
    fake.fail_stream = 2; /* read last */
    fake.fail_kind = FAKE_FATAL;
    fake.fail_times = 1;
    struct sluice_run_options options = {.once = 1, .parallelism = 1};
    struct sluice_state *state = flow_state_open();
    struct flow_outcome out = flow_run_with(1, state, &options, 0);
    sluice_state_close(state);
    assert_int_equal(out.status, SLUICE_E_IO);
    const char *name = "public.t0";
    assert_int_equal(fake_run_count("a", name), 1);
    struct sluice_error err = SLUICE_ERROR_INIT;
    state = flow_state_open();
    assert_int_equal(sluice_state_reset(state, name, &err), SLUICE_OK);
    out = flow_run_with(1, state, &options, 0);
    sluice_state_close(state);
    assert_int_equal(out.status, SLUICE_OK);
    flow_assert_whole("a", 3);
    assert_int_equal(fake_run_count("a", name), 2);
}

/* Killed between the sink's completion and the state's: what the sink says counts. */
static void test_sink_knows_more_than_the_state(void **unused)
{
    (void)unused;
    fake_reset();
    fake.streams = 1;
    fake.end_fail_kind = FAKE_FATAL;
    fake.end_fail_times = 1;
    fake.end_fail_keeps = 1;
    struct sluice_state *state = flow_state_open();
    struct flow_outcome out = flow_run(1, state);
    assert_int_equal(out.status, SLUICE_E_IO);
    int32_t reads = atomic_load(&fake.reader_opens);
    out = flow_run(1, state);
    sluice_state_close(state);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(atomic_load(&fake.reader_opens), reads);
    assert_int_equal(fake_run_count("a", "public.t0"), 1);
    assert_true(flow_load_ended());
}

/* A sink that is full for long holds the reader back; the source hears of it. */
static void test_full_sink_keeps_the_source_awake(void **unused)
{
    (void)unused;
    fake_reset();
    fake.streams = 1;
    fake.shards_per_stream = 1;
    fake.write_again_times = 500; /* of 5 ms */
    struct flow_outcome out = flow_run(1, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_true(atomic_load(&fake.idles) > 0);
    flow_assert_whole("a", 1);
}

/* Queues are bounded also when a transform does not say how large its batches are. */
static void test_queue_of_batches_of_unknown_size(void **unused)
{
    (void)unused;
    fake_reset();
    fake.streams = 1;
    fake.shards_per_stream = 1;
    fake.rows_per_shard = 100000;
    fake.rows_per_batch = 2000;
    fake.write_delay_us = 2000;
    struct sluice_pipeline *p = fake_pipeline_transform();
    p->memory_bytes = 1024 * 1024;
    struct flow_outcome out = flow_run_pipeline(p, NULL, &once, 0);
    fake_pipeline_free(p);
    assert_int_equal(out.status, SLUICE_OK);
    flow_assert_whole("a", 1);
    flow_assert_whole("b", 1);
    assert_in_range(atomic_load(&fake.ahead_max), 2, 35); /* of 50 */
}

/* Sinks that need more than the budget slow nothing down for ever. */
static void test_budget_that_is_used_up(void **unused)
{
    (void)unused;
    fake_reset();
    fake.hold_bytes = 1 << 20;
    struct sluice_pipeline *p = fake_pipeline(1);
    p->memory_bytes = 512 * 1024;
    int64_t before = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    struct flow_outcome out = flow_run_pipeline(p, NULL, &once, 0);
    int64_t took = sluice_now_us(SLUICE_CLOCK_MONOTONIC) - before;
    fake_pipeline_free(p);
    assert_int_equal(out.status, SLUICE_OK);
    flow_assert_whole("a", 3);
    assert_true(took < 8 * 1000 * 1000); /* 120 batches; 24 s at one per full wait */
}

/* Many streams: nothing in the engine may take more than about n log n. */
static void test_five_thousand_streams(void **unused)
{
    (void)unused;
    fake_reset();
    fake.streams = 2500;
    fake.shards_per_stream = 2;
    fake.rows_per_shard = 2;
    fake.rows_per_batch = 2;
    struct sluice_pipeline *p = fake_pipeline_two_sources();
    int64_t before = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    struct flow_outcome out = flow_run_pipeline(p, NULL, &once, 0); /* a state is synced for each */
    int64_t took = sluice_now_us(SLUICE_CLOCK_MONOTONIC) - before;
    fake_pipeline_free(p);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_complete, 5000);
    assert_int_equal(out.progress.rows, 20000);
    struct fake_result r;
    fake_result("a", "public.t2499", &r);
    assert_true(r.complete);
    assert_int_equal(r.distinct, 4);
    print_message("5,000 streams, 10,000 shards: %.1f s\n", (double)took / 1e6);
    assert_true(took < 30 * 1000 * 1000); /* under a second on a free machine */
}

int test_faults(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_TEST(test_cancelled_by_someone_else),
        FLOW_TEST(test_cancelled_for_ever_is_no_success),
        FLOW_TEST(test_cancelled_completion_is_no_success),
        FLOW_TEST(test_lost_completion_reply),
        FLOW_TEST(test_drain_while_reopening),
        FLOW_TEST(test_drain_after_the_last_stream),
        FLOW_TEST(test_one_sink_refuses_a_stream),
        FLOW_TEST(test_only_sink_refuses_a_stream),
        FLOW_TEST(test_one_sink_refuses_to_complete),
        FLOW_TEST(test_commit_that_kept_nothing),
        FLOW_TEST(test_lost_snapshots_with_progress),
        FLOW_TEST(test_limit_after_lost_snapshot),
        FLOW_TEST(test_tables_of_one_of_two_sources),
        FLOW_TEST(test_two_sources),
        FLOW_TEST(test_runs_of_a_part_have_names_of_their_own),
        FLOW_TEST(test_reset_of_a_complete_stream),
        FLOW_TEST(test_sink_knows_more_than_the_state),
        FLOW_TEST(test_full_sink_keeps_the_source_awake),
        FLOW_TEST(test_queue_of_batches_of_unknown_size),
        FLOW_TEST(test_budget_that_is_used_up),
        FLOW_TEST(test_five_thousand_streams),
    };
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
