/* Feeds: whatever fails, in whatever order, over many runs: at last every row is there once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_feed.h"
#include "tests.h"

#define SEEDS 24
#define RUNS 7

static uint64_t state_of_dice;

static uint32_t dice(uint32_t sides)
{
    uint64_t z = (state_of_dice += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) % sides);
}

static int32_t pick(const int32_t *kinds, uint32_t count)
{
    return kinds[dice(count)];
}

static void no_faults(void)
{
    feed_log.read_fail_at = 0;
    feed_log.load_fail_table = -1;
    feed_log.load_fail_once = 0;
    feed_log.load_delay_us = 0;
    feed_log.hide_table = -1;
    feed_log.open_fail_times = 0;
    feed_log.commit_fail_times = 0;
    feed_log.commit_good_first = 0;
    feed_log.write_fail_times = 0;
    feed_log.lane_fail_times = 0;
    feed_log.group_delay_us = 0;
    feed_log.commit_delay_us = 0;
    feed_log.follow = 0;
}

static void roll_faults(void)
{
    static const int32_t reads[] = {FAKE_RETRYABLE, FAKE_RETRYABLE, FAKE_CANCELLED, FAKE_FATAL};
    static const int32_t commits[] = {FAKE_RETRYABLE, FAKE_ABORTED, FAKE_FATAL};
    static const int32_t loads[] = {FAKE_SNAPSHOT_LOST, FAKE_RETRYABLE, FAKE_STREAM, FAKE_FATAL};
    static const int32_t writes[] = {FAKE_RETRYABLE, FAKE_STREAM, FAKE_FATAL};
    no_faults();
    if (dice(3) == 0) {
        feed_log.read_fail_at = 1 + (int32_t)dice(6);
        feed_log.read_fail_kind = pick(reads, 4);
    }
    if (dice(3) == 0) {
        feed_log.commit_fail_kind = pick(commits, 3);
        feed_log.commit_fail_keeps = feed_log.commit_fail_kind != FAKE_ABORTED && dice(2) == 0;
        feed_log.commit_good_first = (int32_t)dice(4);
        feed_log.commit_fail_times = 1 + (int32_t)dice(2);
    }
    if (dice(3) == 0) {
        feed_log.load_fail_table = (int32_t)dice(3);
        feed_log.load_fail_kind = pick(loads, 4);
        feed_log.load_fail_once = 1;
    }
    if (dice(6) == 0) {
        feed_log.write_fail_times = 1;
        feed_log.write_fail_kind = pick(writes, 3);
    }
    feed_log.hide_table = dice(4) == 0 ? (int32_t)dice(3) : -1;
    feed_log.incarnation += dice(5) == 0;
    feed_log.open_fail_times = dice(4) == 0;
    feed_log.lane_fail_times = dice(8) == 0;
    feed_log.lane_fail_kind = FAKE_RETRYABLE;
    feed_log.load_delay_us = dice(3) == 0 ? 20000 : 0;
    feed_log.group_delay_us = dice(2) == 0 ? 3000 : 0;
    feed_log.commit_delay_us = dice(4) == 0 ? 10000 : 0;
    feed_log.follow = dice(4) == 0;
}

static struct flow_outcome run(uint32_t sinks, int rotates, int drain)
{
    static const struct sluice_run_options once = {.once = 1};
    static const struct sluice_run_options follow = {0};
    struct sluice_state *state = flow_state_open();
    struct sluice_pipeline *p = feed_pipeline(sinks, SLUICE_MODE_FULL_LOAD_AND_CDC);
    for (uint32_t i = 1; i <= sinks && rotates; i++) {
        p->nodes[i].component = &feed_rotating_sink_component;
        p->nodes[i].batch.rows = 20 + dice(100);
    }
    struct flow_outcome out = flow_run_pipeline(p, state, feed_log.follow ? &follow : &once, drain);
    fake_pipeline_free(p);
    sluice_state_close(state);
    return out;
}

/* The log grows; a load sees all that any sink can have by then. */
static void grow(void)
{
    uint32_t before = feed_log.transactions;
    feed_log.transactions += 10 + dice(60);
    feed_log.load_at = before + dice(feed_log.transactions - before);
}

static void play(uint64_t seed)
{
    state_of_dice = seed;
    feed_log_reset();
    feed_log.load_at = dice(100);
    feed_log.schema_at = dice(2) == 0 ? 100 + dice(300) : 0;
    feed_log.split = (int32_t)dice(2);
    feed_log.tx_per_group = 1 + dice(12);
    for (int i = 0; i < RUNS; i++) {
        roll_faults();
        feed_log.other_load_after = i > 0 && dice(2) == 0;
        int drain = feed_log.follow || dice(3) == 0;
        flow_drain_after_us = 1000 + dice(150000);
        (void)run(1 + dice(2), (int)dice(2), drain);
        grow();
    }
    no_faults();
    for (int i = 0; i < 2; i++) { /* the second one finds nothing to do */
        struct flow_outcome out = run(2, 0, 0);
        if (out.status < 0) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, out.err.message);
        }
        assert_int_equal(out.progress.streams_failed, 0);
    }
    feed_assert_whole("a", 1);
    feed_assert_whole("b", 1);
    assert_false(atomic_load(&feed_log.early_open));
}

static void test_chaos(void **unused)
{
    const char *from = getenv("FLOW_SEED"); /* to look at one that failed, or to try others */
    const char *count = getenv("FLOW_SEEDS");
    uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1;
    uint64_t seeds = count != NULL ? strtoull(count, NULL, 10) : from != NULL ? 1 : SEEDS;
    (void)unused;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        if (from != NULL || count != NULL) {
            (void)fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        }
        play(seed);
        (void)flow_teardown(NULL);
        (void)flow_setup(NULL);
    }
}

int test_feed_chaos(void)
{
    static const struct CMUnitTest tests[] = {FLOW_TEST(test_chaos)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
