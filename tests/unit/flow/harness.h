/*
 * What the engine's tests share: a state in a folder of its own, runs from start to end, and the
 * check that a sink holds every row exactly once.
 */
#ifndef SLUICE_TESTS_FLOW_HARNESS_H
#define SLUICE_TESTS_FLOW_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake.h"
#include "flow/engine.h"
#include "sluice/error.h"

struct flow_outcome {
    sluice_status status;
    struct sluice_error err;
    struct sluice_progress progress;
};

/* When a run with `drain` is asked to stop. */
extern int64_t flow_drain_after_us;

/* The state of pipeline "fake" in this test's folder; fails the test if it cannot be opened. */
struct sluice_state *flow_state_open(void);
/* What the state has of a feed; UINT64_MAX without a state or row. Opens it for reading alone. */
uint64_t flow_state_feed_position(const char *shard, const char *sink);
/* How long lanes may take to commit when a run is stopped; 0 = as usual. */
extern int64_t flow_finish_us;
/* 1 if the newest load in the state has ended. */
int flow_load_ended(void);

/* Runs `pipeline` to its end; checks that nothing of the plugins is left alive. */
struct flow_outcome flow_run_pipeline(struct sluice_pipeline *pipeline, struct sluice_state *state,
                                      const struct sluice_run_options *options, int drain);
/* The same with a pipeline of one source and that many sinks. */
struct flow_outcome flow_run_with(uint32_t sinks, struct sluice_state *state,
                                  const struct sluice_run_options *options, int drain);
struct flow_outcome flow_run(uint32_t sinks, struct sluice_state *state);

/* Sink `node` holds streams public.t0 … whole, each row once. */
void flow_assert_whole(const char *node, uint32_t streams);

/* Of every test: an empty folder for the state, and its removal. */
int flow_setup(void **unused);
int flow_teardown(void **unused);

#define FLOW_TEST(name) cmocka_unit_test_setup_teardown(name, flow_setup, flow_teardown)

#endif /* SLUICE_TESTS_FLOW_HARNESS_H */
