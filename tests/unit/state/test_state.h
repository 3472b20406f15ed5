/* Shared by the tests of core/state. */
#ifndef TESTS_UNIT_STATE_TEST_STATE_H
#define TESTS_UNIT_STATE_TEST_STATE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include "state/state.h"

#define NOW 1795395154123456LL /* 2026-11-23T00:52:34Z */

/* A temporary folder per test, in *state, and its "file:…" uri. */
struct place {
    char folder[64];
    char uri[80];
};
int place_make(void **state);
int place_make_on_disk(void **state);
int place_remove(void **state);

struct sluice_state *open_run(const struct place *place, const char *pipeline);
/* Fails unless opening answers that status and the message holds the words. */
void expect_refusal(const struct place *place, int32_t how, sluice_status status,
                    const char *words);
struct sluice_state_stream stream_of(const char *name, int32_t status);
void put_stream(struct sluice_state *state, const char *load, const char *name, int32_t status);
void put_lane(struct sluice_state *state, const char *load, const char *shard, uint64_t epoch);
size_t count_streams(struct sluice_state *state, const char *load);
size_t count_lanes(struct sluice_state *state, const char *load);
sluice_status put_feed(struct sluice_state *state, const char *sink, uint64_t epoch,
                       const char *position, struct sluice_error *err);
/* Path of the file of pipeline "p", and SQL run in it from outside. */
char *db_path(const struct place *place);
void sql(const struct place *place, const char *text);
/* One of everything. */
void fill(struct sluice_state *state, struct sluice_state_load *load);

int run_store_tests(void);
int run_sharing_tests(void);
int run_place_tests(void);
int run_damage_tests(void);
int run_feed_tests(void);
int run_format_tests(void);

#endif /* TESTS_UNIT_STATE_TEST_STATE_H */
