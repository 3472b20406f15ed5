#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests.h"

static void test_plain_load(void **unused)
{
    (void)unused;
    fake_reset();
    struct flow_outcome out = flow_run(1, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_complete, 3);
    assert_int_equal(out.progress.rows, 12000);
    flow_assert_whole("a", 3);
}

static void test_fan_out(void **unused)
{
    (void)unused;
    fake_reset();
    fake.write_delay_us = 200;
    struct flow_outcome out = flow_run(3, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    flow_assert_whole("a", 3);
    flow_assert_whole("b", 3);
    flow_assert_whole("c", 3);
}

static void test_empty_streams(void **unused)
{
    (void)unused;
    fake_reset();
    fake.shards_per_stream = 0;
    struct flow_outcome out = flow_run(1, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(fake_complete_count("a"), 3);
}

static void test_retry_of_a_shard(void **unused)
{
    (void)unused;
    fake_reset();
    fake.fail_stream = 1;
    fake.fail_shard = 2;
    fake.fail_kind = FAKE_RETRYABLE;
    fake.fail_times = 3;
    struct flow_outcome out = flow_run(2, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.retries, 3);
    assert_int_equal(out.progress.rows, 12000);
    flow_assert_whole("a", 3);
    flow_assert_whole("b", 3);
}

static void test_no_retries(void **unused)
{
    (void)unused;
    fake_reset();
    fake_retry_max = 0;
    fake.fail_stream = 0;
    fake.fail_kind = FAKE_RETRYABLE;
    fake.fail_times = 1;
    struct flow_outcome out = flow_run(1, NULL);
    fake_retry_max = 5;
    assert_int_equal(out.status, SLUICE_E_IO);
    assert_int_equal(out.progress.retries, 0);
}

static sluice_status count_failed(void *ctx, const struct sluice_state_stream *stream)
{
    int *failed = ctx;
    *failed += stream->status == SLUICE_STATE_STREAM_FAILED && stream->message != NULL;
    return SLUICE_OK;
}

static sluice_status keep_outcome(void *ctx, const struct sluice_state_run *run)
{
    (void)snprintf(ctx, 32, "%s", run->outcome != NULL ? run->outcome : "");
    return SLUICE_END;
}

/* A table that cannot be read ends its load as failed; the next run loads everything anew. */
static void test_failed_stream_is_remembered(void **unused)
{
    (void)unused;
    fake_reset();
    fake.problem_stream = 0;
    struct sluice_state *state = flow_state_open();
    struct flow_outcome out = flow_run(1, state);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_failed, 1);
    struct sluice_state_load load;
    assert_int_equal(sluice_state_load_last(state, &load, NULL), SLUICE_OK);
    assert_true(load.finished_us != 0);
    int failed = 0;
    assert_int_equal(sluice_state_streams(state, load.load_id, count_failed, &failed, NULL),
                     SLUICE_OK);
    assert_int_equal(failed, 1);
    char outcome[32] = "";
    (void)sluice_state_runs(state, 1, keep_outcome, outcome, NULL);
    assert_string_equal(outcome, "failed");
    sluice_state_close(state);
}

static void test_retries_used_up_stop_the_run(void **unused)
{
    (void)unused;
    fake_reset();
    fake.fail_stream = 0;
    fake.fail_kind = FAKE_RETRYABLE;
    fake.fail_times = 1000;
    struct flow_outcome out = flow_run(1, NULL);
    assert_int_equal(out.status, SLUICE_E_IO);
    assert_non_null(strstr(out.err.message, "connection lost"));
    assert_true(fake_complete_count("a") < 3);
}

static void test_bad_stream_leaves_others(void **unused)
{
    (void)unused;
    fake_reset();
    fake.fail_stream = 1;
    fake.fail_kind = FAKE_STREAM;
    fake.fail_times = 1000;
    struct flow_outcome out = flow_run(2, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_failed, 1);
    assert_int_equal(out.progress.streams_complete, 2);
    struct fake_result r;
    fake_result("a", "public.t1", &r);
    assert_false(r.complete);
    fake_result("b", "public.t2", &r);
    assert_true(r.complete);
}

static void test_problem_at_open(void **unused)
{
    (void)unused;
    fake_reset();
    fake.problem_stream = 0;
    struct flow_outcome out = flow_run(1, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_failed, 1);
    assert_int_equal(fake_complete_count("a"), 2);
}

static void test_snapshot_lost_starts_anew(void **unused)
{
    (void)unused;
    fake_reset();
    fake.fail_stream = 2;
    fake.fail_shard = 3;
    fake.fail_kind = FAKE_SNAPSHOT_LOST;
    fake.fail_times = 2;
    fake.batch_delay_us = 100;
    struct flow_outcome out = flow_run(2, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(atomic_load(&fake.opens), 3);
    assert_int_equal(out.progress.streams_complete, 3);
    flow_assert_whole("a", 3);
    flow_assert_whole("b", 3);
}

static void test_lost_commit_reply_counts_once(void **unused)
{
    (void)unused;
    fake_reset();
    fake.commit_fail_kind = FAKE_RETRYABLE;
    fake.commit_fail_times = 2;
    fake.commit_fail_keeps = 1;
    struct flow_outcome out = flow_run(2, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    flow_assert_whole("a", 3);
    flow_assert_whole("b", 3);
}

static void test_one_sink_refuses_a_row(void **unused)
{
    (void)unused;
    fake_reset();
    fake.streams = 1;
    fake.write_fail_kind = FAKE_STREAM;
    fake.write_fail_times = 1000;
    struct flow_outcome out = flow_run(2, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_failed, 1);
    assert_int_equal(fake_complete_count("a"), 0);
    flow_assert_whole("b", 1);
}

static void test_fatal_sink_error(void **unused)
{
    (void)unused;
    fake_reset();
    fake.write_fail_kind = FAKE_FATAL;
    fake.write_fail_times = 1;
    struct flow_outcome out = flow_run(1, NULL);
    assert_int_equal(out.status, SLUICE_E_IO);
    assert_non_null(strstr(out.err.message, "fatal"));
}

static void test_open_is_retried(void **unused)
{
    (void)unused;
    fake_reset();
    fake.open_fail_kind = FAKE_RETRYABLE;
    fake.open_fail_times = 2;
    struct flow_outcome out = flow_run(1, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    flow_assert_whole("a", 3);
}

static void test_row_limit(void **unused)
{
    (void)unused;
    fake_reset();
    struct sluice_run_options options = {.once = 1, .row_limit = 250};
    struct flow_outcome out = flow_run_with(1, NULL, &options, 0);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.rows, 750);
    struct fake_result r;
    fake_result("a", "public.t0", &r);
    assert_int_equal(r.rows, 250);
    assert_int_equal(r.distinct, 250);
}

static void test_table_choice(void **unused)
{
    (void)unused;
    fake_reset();
    const char *tables[] = {"public.t1"};
    struct sluice_run_options options = {.once = 1, .tables = tables, .table_count = 1};
    struct flow_outcome out = flow_run_with(1, NULL, &options, 0);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_total, 1);
    assert_int_equal(fake_complete_count("a"), 1);
    const char *none[] = {"public.nothing"};
    options.tables = none;
    out = flow_run_with(1, NULL, &options, 0);
    assert_int_equal(out.status, SLUICE_E_INVALID);
}

static void test_drain_wakes_blocked_readers(void **unused)
{
    (void)unused;
    fake_reset();
    fake.block_forever = 1;
    struct sluice_run_options options = {.once = 1};
    struct flow_outcome out = flow_run_with(2, NULL, &options, 1);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_complete, 0);
}

/* Stopped in the middle, over and over: the loads go on and every row is there exactly once. */
static void test_resume_after_stops(void **unused)
{
    (void)unused;
    fake_reset();
    fake.streams = 10;
    fake.batch_delay_us = 300;
    struct sluice_run_options options = {.once = 1};
    int runs = 0;
    uint32_t done_before = 0;
    flow_drain_after_us = 30000;
    for (; runs < 100 && fake_complete_count("b") + fake_complete_count("a") < 20; runs++) {
        struct sluice_state *state = flow_state_open();
        struct flow_outcome out = flow_run_with(2, state, &options, 1);
        sluice_state_close(state);
        flow_drain_after_us += 10000; /* so that slow builds get on too */
        assert_int_equal(out.status, SLUICE_OK);
        assert_true(fake_complete_count("a") >= done_before); /* complete tables stay */
        done_before = fake_complete_count("a");
    }
    assert_true(runs > 1);
    flow_assert_whole("a", 10);
    flow_assert_whole("b", 10);
    int32_t reads = atomic_load(&fake.reader_opens);
    fake.batch_delay_us = 0;
    struct sluice_state *state = flow_state_open();
    struct flow_outcome out = flow_run(2, state);
    assert_int_equal(out.status, SLUICE_OK);
    sluice_state_close(state);
    /* either the load was unfinished and all is skipped, or a new load read all again */
    int32_t more = atomic_load(&fake.reader_opens) - reads;
    assert_true(more == 0 || more == 40);
}

/* A finished load is followed by a new one that reads everything again. */
static void test_second_load_is_new(void **unused)
{
    (void)unused;
    fake_reset();
    for (int i = 1; i <= 2; i++) {
        struct sluice_state *state = flow_state_open();
        struct flow_outcome out = flow_run(1, state);
        sluice_state_close(state);
        assert_int_equal(out.status, SLUICE_OK);
        assert_int_equal(atomic_load(&fake.reader_opens), 12 * i);
    }
    flow_assert_whole("a", 3);
}

int test_engine(void)
{
#define T(name) FLOW_TEST(name)
    const struct CMUnitTest tests[] = {
        T(test_plain_load),
        T(test_fan_out),
        T(test_empty_streams),
        T(test_retry_of_a_shard),
        T(test_no_retries),
        T(test_failed_stream_is_remembered),
        T(test_retries_used_up_stop_the_run),
        T(test_bad_stream_leaves_others),
        T(test_problem_at_open),
        T(test_snapshot_lost_starts_anew),
        T(test_lost_commit_reply_counts_once),
        T(test_one_sink_refuses_a_row),
        T(test_fatal_sink_error),
        T(test_open_is_retried),
        T(test_row_limit),
        T(test_table_choice),
        T(test_drain_wakes_blocked_readers),
        T(test_resume_after_stops),
        T(test_second_load_is_new),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
