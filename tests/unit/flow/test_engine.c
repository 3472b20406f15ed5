#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake.h"
#include "flow/engine.h"
#include "sluice/error.h"
#include "tests.h"

static char state_dir[64];

static struct sluice_state *open_state(void)
{
    struct sluice_state *state = NULL;
    struct sluice_error err = SLUICE_ERROR_INIT;
    char uri[96];
    (void)snprintf(uri, sizeof uri, "file:%s", state_dir);
    if (sluice_state_open(uri, NULL, "fake", SLUICE_STATE_RUN, &state, &err) < 0) {
        fail_msg("state: %s", err.message);
    }
    return state;
}

struct outcome {
    sluice_status status;
    struct sluice_error err;
    struct sluice_progress progress;
};

static void drain_later(struct sluice_engine *engine, pthread_t *thread);

static struct outcome run_with(uint32_t sinks, struct sluice_state *state,
                               const struct sluice_run_options *options, int drain)
{
    struct outcome out = {.err = SLUICE_ERROR_INIT};
    struct sluice_pipeline *p = fake_pipeline(sinks);
    struct sluice_engine *engine = NULL;
    out.status = sluice_engine_create(p, NULL, state, options, &engine, &out.err);
    assert_int_equal(out.status, SLUICE_OK);
    pthread_t thread;
    if (drain) {
        drain_later(engine, &thread);
    }
    out.status = sluice_engine_run(engine, &out.err);
    if (drain) {
        pthread_join(thread, NULL);
    }
    sluice_engine_progress(engine, &out.progress, NULL, NULL);
    sluice_engine_destroy(engine);
    fake_pipeline_free(p);
    assert_int_equal(atomic_load(&fake.live), 0);
    return out;
}

static struct outcome run(uint32_t sinks, struct sluice_state *state)
{
    struct sluice_run_options options = {.once = 1};
    return run_with(sinks, state, &options, 0);
}

static void assert_whole(const char *node, uint32_t streams)
{
    uint64_t rows = (uint64_t)fake.shards_per_stream * fake.rows_per_shard;
    for (uint32_t i = 0; i < streams; i++) {
        char name[32];
        struct fake_result r;
        (void)snprintf(name, sizeof name, "public.t%u", i);
        fake_result(node, name, &r);
        assert_true(r.complete);
        assert_int_equal(r.rows, rows);
        assert_int_equal(r.distinct, rows);
        assert_int_equal(r.sum, rows * (rows - 1) / 2);
    }
}

static void test_plain_load(void **unused)
{
    (void)unused;
    fake_reset();
    struct outcome out = run(1, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_complete, 3);
    assert_int_equal(out.progress.rows, 12000);
    assert_whole("a", 3);
}

static void test_fan_out(void **unused)
{
    (void)unused;
    fake_reset();
    fake.write_delay_us = 200;
    struct outcome out = run(3, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_whole("a", 3);
    assert_whole("b", 3);
    assert_whole("c", 3);
}

static void test_empty_streams(void **unused)
{
    (void)unused;
    fake_reset();
    fake.shards_per_stream = 0;
    struct outcome out = run(1, NULL);
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
    struct outcome out = run(2, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.retries, 3);
    assert_int_equal(out.progress.rows, 12000);
    assert_whole("a", 3);
    assert_whole("b", 3);
}

static void test_no_retries(void **unused)
{
    (void)unused;
    fake_reset();
    fake_retry_max = 0;
    fake.fail_stream = 0;
    fake.fail_kind = FAKE_RETRYABLE;
    fake.fail_times = 1;
    struct outcome out = run(1, NULL);
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
    struct sluice_state *state = open_state();
    struct outcome out = run(1, state);
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
    struct outcome out = run(1, NULL);
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
    struct outcome out = run(2, NULL);
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
    struct outcome out = run(1, NULL);
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
    struct outcome out = run(2, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(atomic_load(&fake.opens), 3);
    assert_int_equal(out.progress.streams_complete, 3);
    assert_whole("a", 3);
    assert_whole("b", 3);
}

static void test_lost_commit_reply_counts_once(void **unused)
{
    (void)unused;
    fake_reset();
    fake.commit_fail_kind = FAKE_RETRYABLE;
    fake.commit_fail_times = 2;
    fake.commit_fail_keeps = 1;
    struct outcome out = run(2, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_whole("a", 3);
    assert_whole("b", 3);
}

static void test_one_sink_refuses_a_row(void **unused)
{
    (void)unused;
    fake_reset();
    fake.streams = 1;
    fake.write_fail_kind = FAKE_STREAM;
    fake.write_fail_times = 1000;
    struct outcome out = run(2, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_failed, 1);
    assert_int_equal(fake_complete_count("a"), 0);
    assert_whole("b", 1);
}

static void test_fatal_sink_error(void **unused)
{
    (void)unused;
    fake_reset();
    fake.write_fail_kind = FAKE_FATAL;
    fake.write_fail_times = 1;
    struct outcome out = run(1, NULL);
    assert_int_equal(out.status, SLUICE_E_IO);
    assert_non_null(strstr(out.err.message, "fatal"));
}

static void test_open_is_retried(void **unused)
{
    (void)unused;
    fake_reset();
    fake.open_fail_kind = FAKE_RETRYABLE;
    fake.open_fail_times = 2;
    struct outcome out = run(1, NULL);
    assert_int_equal(out.status, SLUICE_OK);
    assert_whole("a", 3);
}

static void test_row_limit(void **unused)
{
    (void)unused;
    fake_reset();
    struct sluice_run_options options = {.once = 1, .row_limit = 250};
    struct outcome out = run_with(1, NULL, &options, 0);
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
    struct outcome out = run_with(1, NULL, &options, 0);
    assert_int_equal(out.status, SLUICE_OK);
    assert_int_equal(out.progress.streams_total, 1);
    assert_int_equal(fake_complete_count("a"), 1);
    const char *none[] = {"public.nothing"};
    options.tables = none;
    out = run_with(1, NULL, &options, 0);
    assert_int_equal(out.status, SLUICE_E_INVALID);
}

static useconds_t drain_after_us = 30000;

static void *drain_main(void *arg)
{
    (void)usleep(drain_after_us);
    sluice_engine_drain(arg);
    return NULL;
}

static void drain_later(struct sluice_engine *engine, pthread_t *thread)
{
    assert_int_equal(pthread_create(thread, NULL, drain_main, engine), 0);
}

static void test_drain_wakes_blocked_readers(void **unused)
{
    (void)unused;
    fake_reset();
    fake.block_forever = 1;
    struct sluice_run_options options = {.once = 1};
    struct outcome out = run_with(2, NULL, &options, 1);
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
    drain_after_us = 30000;
    for (; runs < 100 && fake_complete_count("b") + fake_complete_count("a") < 20; runs++) {
        struct sluice_state *state = open_state();
        struct outcome out = run_with(2, state, &options, 1);
        sluice_state_close(state);
        drain_after_us += 10000; /* so that slow builds get on too */
        assert_int_equal(out.status, SLUICE_OK);
        assert_true(fake_complete_count("a") >= done_before); /* complete tables stay */
        done_before = fake_complete_count("a");
    }
    assert_true(runs > 1);
    assert_whole("a", 10);
    assert_whole("b", 10);
    int32_t reads = atomic_load(&fake.reader_opens);
    fake.batch_delay_us = 0;
    struct sluice_state *state = open_state();
    struct outcome out = run(2, state);
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
        struct sluice_state *state = open_state();
        struct outcome out = run(1, state);
        sluice_state_close(state);
        assert_int_equal(out.status, SLUICE_OK);
        assert_int_equal(atomic_load(&fake.reader_opens), 12 * i);
    }
    assert_whole("a", 3);
}

static int setup(void **unused)
{
    (void)unused;
    (void)snprintf(state_dir, sizeof state_dir, "/tmp/sluice-flow-XXXXXX");
    return mkdtemp(state_dir) == NULL;
}

static int teardown(void **unused)
{
    (void)unused;
    fake_reset();
    char path[128];
    static const char *const names[] = {"fake.sluice.db",     "fake.sluice.db-journal",
                                        "fake.sluice.db-wal", "fake.sluice.db-shm",
                                        "fake.sluice.lock",   "fake.lock"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", state_dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(state_dir);
    return 0;
}

int test_engine(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
