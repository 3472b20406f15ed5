#include "harness.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flow/internal.h"
#include "sluice/position.h"

static char state_dir[64];

struct sluice_state *flow_state_open(void)
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

struct feed_look {
    const char *shard;
    const char *sink;
    uint64_t position;
};

static sluice_status look_at_feed(void *ctx, const struct sluice_state_feed *feed)
{
    struct feed_look *look = ctx;
    if (strcmp(feed->shard, look->shard) == 0 && strcmp(feed->sink, look->sink) == 0) {
        look->position = feed->position_size == 8 ? sluice_get_be64(feed->position) : 0;
    }
    return SLUICE_OK;
}

uint64_t flow_state_feed_position(const char *shard, const char *sink)
{
    struct sluice_state *state = NULL;
    struct feed_look look = {shard, sink, UINT64_MAX};
    char uri[96];
    (void)snprintf(uri, sizeof uri, "file:%s", state_dir);
    if (sluice_state_open(uri, NULL, "fake", SLUICE_STATE_READ, &state, NULL) >= 0) {
        (void)sluice_state_feeds(state, look_at_feed, &look, NULL);
        sluice_state_close(state);
    }
    return look.position;
}

int flow_load_ended(void)
{
    struct sluice_state *state = flow_state_open();
    struct sluice_state_load load;
    assert_int_equal(sluice_state_load_last(state, &load, NULL), SLUICE_OK);
    sluice_state_close(state);
    return load.finished_us != 0;
}

int64_t flow_drain_after_us = 30000;
int64_t flow_finish_us;

static void *drain_main(void *arg)
{
    (void)usleep((useconds_t)flow_drain_after_us);
    sluice_engine_drain(arg);
    return NULL;
}

struct flow_outcome flow_run_pipeline(struct sluice_pipeline *pipeline, struct sluice_state *state,
                                      const struct sluice_run_options *options, int drain)
{
    struct flow_outcome out = {.err = SLUICE_ERROR_INIT};
    struct sluice_engine *engine = NULL;
    out.status = sluice_engine_create(pipeline, NULL, state, options, &engine, &out.err);
    assert_int_equal(out.status, SLUICE_OK);
    if (flow_finish_us != 0) {
        engine->finish_us = flow_finish_us;
    }
    fake_engine = engine;
    pthread_t thread;
    if (drain) {
        assert_int_equal(pthread_create(&thread, NULL, drain_main, engine), 0);
    }
    out.status = sluice_engine_run(engine, &out.err);
    if (drain) {
        pthread_join(thread, NULL);
    }
    sluice_engine_progress(engine, &out.progress, NULL, NULL);
    out.progress.load_id = NULL; /* the engine's */
    sluice_engine_destroy(engine);
    assert_int_equal(atomic_load(&fake.live), 0);
    return out;
}

struct flow_outcome flow_run_with(uint32_t sinks, struct sluice_state *state,
                                  const struct sluice_run_options *options, int drain)
{
    struct sluice_pipeline *pipeline = fake_pipeline(sinks);
    struct flow_outcome out = flow_run_pipeline(pipeline, state, options, drain);
    fake_pipeline_free(pipeline);
    return out;
}

struct flow_outcome flow_run(uint32_t sinks, struct sluice_state *state)
{
    struct sluice_run_options options = {.once = 1};
    return flow_run_with(sinks, state, &options, 0);
}

void flow_assert_whole(const char *node, uint32_t streams)
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

int flow_setup(void **unused)
{
    (void)unused;
    (void)snprintf(state_dir, sizeof state_dir, "/tmp/sluice-flow-XXXXXX");
    return mkdtemp(state_dir) == NULL;
}

int flow_teardown(void **unused)
{
    (void)unused;
    fake_reset();
    flow_finish_us = 0;
    flow_drain_after_us = 30000;
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
