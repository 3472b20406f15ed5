/* Feeds: every row of the log once in every sink, whatever fails when. */
#include "fake_feed.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "sluice/position.h"
#include "tests.h"

static const struct sluice_run_options once = {.once = 1};
static const struct sluice_run_options follow = {0};

static struct flow_outcome run(uint32_t sinks, int32_t mode,
                               const struct sluice_run_options *options, int drain)
{
    struct sluice_state *state = flow_state_open();
    struct sluice_pipeline *p = feed_pipeline(sinks, mode);
    struct flow_outcome out = flow_run_pipeline(p, state, options, drain);
    fake_pipeline_free(p);
    sluice_state_close(state);
    return out;
}

static struct flow_outcome run_both(uint32_t sinks)
{
    return run(sinks, SLUICE_MODE_FULL_LOAD_AND_CDC, &once, 0);
}

static void expect_ok(struct flow_outcome out)
{
    if (out.status < 0) {
        fail_msg("%s", out.err.message);
    }
}

static void test_load_then_changes(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run_both(2));
    feed_assert_whole("a", 1);
    feed_assert_whole("b", 1);
    assert_int_equal(atomic_load(&feed_log.loads), 3);
    assert_int_equal(atomic_load(&feed_log.acked), 2000);
    assert_false(atomic_load(&feed_log.early_ack));
    expect_ok(run_both(2)); /* nothing new: nothing loaded, nothing written */
    assert_int_equal(atomic_load(&feed_log.loads), 3);
    assert_int_equal(feed_log.resumed_at, 2000);
    feed_log.transactions = 300;
    uint32_t before = feed_commit_count("a");
    expect_ok(run_both(2));
    assert_true(feed_commit_count("a") > before);
    feed_assert_whole("a", 1);
    feed_assert_whole("b", 1);
}

static void test_changes_alone(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run(1, SLUICE_MODE_CDC_ONLY, &once, 0));
    feed_assert_whole("a", 21);
    assert_int_equal(atomic_load(&feed_log.loads), 0);
    feed_log.load_at = 200;
    expect_ok(run_both(1)); /* the load comes later; what was followed stays */
    assert_int_equal(atomic_load(&feed_log.loads), 3);
    feed_assert_whole("a", 1);
}

/* The source's log is behind what the sink has: a new load would lie beneath old changes. */
static void test_a_load_behind_the_sink(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run_both(1));
    struct sluice_state *state = flow_state_open();
    assert_int_equal(sluice_state_reset(state, NULL, NULL), SLUICE_OK);
    sluice_state_close(state);
    feed_log.transactions = 60;
    feed_log.load_at = 40;
    struct flow_outcome out = run_both(1);
    assert_int_equal(out.status, SLUICE_E_INVALID);
    assert_non_null(strstr(out.err.message, "another prefix"));
}

static void test_batches_without_boundary(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.split = 1;
    feed_log.tx_per_group = 50;
    expect_ok(run_both(1));
    feed_assert_whole("a", 1);
}

static void test_lost_connections(void **unused)
{
    (void)unused;
    for (int32_t at = 1; at < 25; at += 3) {
        feed_log_reset();
        feed_log.read_fail_at = at;
        feed_log.read_fail_kind = FAKE_RETRYABLE;
        expect_ok(run_both(2));
        assert_int_equal(atomic_load(&feed_log.opens), 2);
        feed_assert_whole("a", 1);
        feed_assert_whole("b", 1);
        (void)flow_teardown(NULL);
        (void)flow_setup(NULL);
    }
}

static void test_gap_stops(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.read_fail_at = 5;
    feed_log.read_fail_kind = FAKE_FATAL;
    struct flow_outcome out = run_both(1);
    assert_int_equal(out.status, SLUICE_E_POSITION_LOST);
    expect_ok(run_both(1));
    feed_assert_whole("a", 1);
}

static void test_commits_refused_or_unknown(void **unused)
{
    (void)unused;
    static const int32_t kinds[3][2] = {
        {FAKE_ABORTED, 0}, {FAKE_RETRYABLE, 0}, {FAKE_RETRYABLE, 1}};
    for (int i = 0; i < 3; i++) {
        feed_log_reset();
        feed_log.commit_fail_kind = kinds[i][0];
        feed_log.commit_fail_keeps = kinds[i][1];
        feed_log.commit_fail_times = 3;
        expect_ok(run_both(2));
        feed_assert_whole("a", 1);
        feed_assert_whole("b", 1);
        assert_false(atomic_load(&feed_log.early_ack));
        (void)flow_teardown(NULL);
        (void)flow_setup(NULL);
    }
}

static void test_lost_commits_are_told(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run_both(1));
    feed_log.transactions = 250;
    feed_log.forget_commits = 1;
    uint32_t before = feed_commit_count("a");
    struct flow_outcome out = run_both(1);
    assert_int_equal(out.status, SLUICE_E_POSITION_LOST);
    assert_non_null(strstr(out.err.message, "commits are gone"));
    assert_int_equal(feed_commit_count("a"), before);
}

static void test_stop_commits(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.follow = 1;
    flow_drain_after_us = 2000000;
    struct flow_outcome out = run(2, SLUICE_MODE_FULL_LOAD_AND_CDC, &follow, 1);
    flow_drain_after_us = 30000;
    expect_ok(out);
    feed_assert_whole("a", 1);
    feed_assert_whole("b", 1);
    assert_int_equal(atomic_load(&feed_log.acked), 2000);
}

static void test_stops_at_any_moment(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.follow = 1;
    feed_log.group_delay_us = 2000;
    for (int i = 0; i < 12; i++) {
        flow_drain_after_us = 3000 + i * 9000;
        expect_ok(run(2, SLUICE_MODE_FULL_LOAD_AND_CDC, &follow, 1));
    }
    flow_drain_after_us = 30000;
    feed_log.follow = 0;
    expect_ok(run_both(2));
    feed_assert_whole("a", 1);
    feed_assert_whole("b", 1);
}

static void test_rotation_by_rows(void **unused)
{
    (void)unused;
    feed_log_reset();
    struct sluice_state *state = flow_state_open();
    struct sluice_pipeline *p = feed_pipeline(1, SLUICE_MODE_FULL_LOAD_AND_CDC);
    p->nodes[1].component = &feed_rotating_sink_component;
    p->nodes[1].batch.rows = 100;
    struct flow_outcome out = flow_run_pipeline(p, state, &once, 0);
    fake_pipeline_free(p);
    sluice_state_close(state);
    expect_ok(out);
    feed_assert_whole("a", 1);
    assert_true(feed_commit_count("a") >= 5 && feed_commit_count("a") <= 8);
}

static void test_a_sink_that_comes_later(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run_both(1));
    feed_log.transactions = 260;
    feed_log.load_at = 230;
    expect_ok(run_both(2)); /* b is loaded, a goes on */
    feed_assert_whole("a", 1);
    feed_assert_whole("b", 1);
}

static void test_versions(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.schema_at = 90;
    expect_ok(run_both(1));
    feed_assert_whole("a", 1);
    assert_int_equal(feed_schema_count("a"), 2);
}

static void test_versions_stop(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.schema_at = 90;
    struct sluice_state *state = flow_state_open();
    struct sluice_pipeline *p = feed_pipeline(1, SLUICE_MODE_FULL_LOAD_AND_CDC);
    p->schema = SLUICE_SCHEMA_STOP;
    struct flow_outcome out = flow_run_pipeline(p, state, &once, 0);
    assert_int_equal(out.status, SLUICE_E_SCHEMA);
    assert_non_null(strstr(out.err.message, "column more was added"));
    out = flow_run_pipeline(p, state, &once, 0); /* again, and nothing slips through */
    assert_int_equal(out.status, SLUICE_E_SCHEMA);
    p->schema = SLUICE_SCHEMA_EVOLVE;
    out = flow_run_pipeline(p, state, &once, 0);
    expect_ok(out);
    fake_pipeline_free(p);
    sluice_state_close(state);
    feed_assert_whole("a", 1);
}

static void test_versions_freeze(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.schema_at = 90;
    struct sluice_state *state = flow_state_open();
    struct sluice_pipeline *p = feed_pipeline(1, SLUICE_MODE_FULL_LOAD_AND_CDC);
    p->schema = SLUICE_SCHEMA_FREEZE;
    struct flow_outcome out = flow_run_pipeline(p, state, &once, 0);
    fake_pipeline_free(p);
    sluice_state_close(state);
    expect_ok(out);
    feed_assert_whole("a", 1);
    assert_int_equal(feed_schema_count("a"), 1);
}

static void test_truncate_policies(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.truncate_at = 100;
    expect_ok(run_both(1));
    (void)flow_teardown(NULL);
    (void)flow_setup(NULL);
    feed_log_reset();
    feed_log.truncate_at = 100;
    struct sluice_state *state = flow_state_open();
    struct sluice_pipeline *p = feed_pipeline(1, SLUICE_MODE_FULL_LOAD_AND_CDC);
    struct sluice_write_rule rule = {.truncate = SLUICE_TRUNCATE_FAIL};
    p->nodes[1].writes = &rule;
    p->nodes[1].write_count = 1;
    struct flow_outcome out = flow_run_pipeline(p, state, &once, 0);
    fake_pipeline_free(p);
    sluice_state_close(state);
    assert_true(out.status < 0);
    assert_non_null(strstr(out.err.message, "write.truncate: fail"));
}

static void *unblock_main(void *arg)
{
    (void)usleep(1500000);
    (void)arg;
    atomic_store(&feed_log.write_block, 0);
    return NULL;
}

/* One sink stands still: the source is told nothing beyond it, and the reader stays alive. */
static void test_a_sink_that_stalls(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run_both(2));
    feed_log.transactions = 4000;
    feed_log.rows_per_tx = 4;
    feed_log.write_block = 1;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, unblock_main, NULL), 0);
    struct sluice_state *state = flow_state_open();
    struct sluice_pipeline *p = feed_pipeline(2, SLUICE_MODE_FULL_LOAD_AND_CDC);
    p->memory_bytes = 4u * 1024 * 1024;
    struct flow_outcome out = flow_run_pipeline(p, state, &once, 0);
    fake_pipeline_free(p);
    sluice_state_close(state);
    pthread_join(thread, NULL);
    expect_ok(out);
    assert_false(atomic_load(&feed_log.early_ack));
    assert_int_equal(atomic_load(&feed_log.acked), 40000);
    feed_assert_whole("a", 1);
    feed_assert_whole("b", 1);
}

static void test_reset_begins_anew(void **unused)
{
    (void)unused;
    feed_log_reset();
    expect_ok(run_both(1));
    struct sluice_state *state = flow_state_open();
    assert_int_equal(sluice_state_reset(state, NULL, NULL), SLUICE_OK);
    sluice_state_close(state);
    feed_log.transactions = 300;
    feed_log.load_at = 250;
    expect_ok(run_both(1));
    assert_int_equal(atomic_load(&feed_log.loads), 6);
    feed_assert_whole("a", 1);
}

static void test_a_table_that_cannot_be_loaded(void **unused)
{
    (void)unused;
    feed_log_reset();
    feed_log.load_fail_table = 1;
    struct flow_outcome out = run_both(1);
    expect_ok(out);
    assert_int_equal(out.progress.streams_failed, 1);
    feed_log.load_fail_table = -1;
    feed_log.transactions = 240;
    feed_log.load_at = 220;
    expect_ok(run_both(1)); /* loaded now, the others go on */
    assert_int_equal(atomic_load(&feed_log.loads), 4);
    feed_assert_whole("a", 1);
}

int test_feed(void)
{
    static const struct CMUnitTest tests[] = {
        FLOW_TEST(test_load_then_changes),
        FLOW_TEST(test_changes_alone),
        FLOW_TEST(test_a_load_behind_the_sink),
        FLOW_TEST(test_batches_without_boundary),
        FLOW_TEST(test_lost_connections),
        FLOW_TEST(test_gap_stops),
        FLOW_TEST(test_commits_refused_or_unknown),
        FLOW_TEST(test_lost_commits_are_told),
        FLOW_TEST(test_stop_commits),
        FLOW_TEST(test_stops_at_any_moment),
        FLOW_TEST(test_rotation_by_rows),
        FLOW_TEST(test_a_sink_that_comes_later),
        FLOW_TEST(test_versions),
        FLOW_TEST(test_versions_stop),
        FLOW_TEST(test_versions_freeze),
        FLOW_TEST(test_truncate_policies),
        FLOW_TEST(test_a_sink_that_stalls),
        FLOW_TEST(test_reset_begins_anew),
        FLOW_TEST(test_a_table_that_cannot_be_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
