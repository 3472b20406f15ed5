/* Files that are not what we wrote: refused, or read without harm. */
#include "test_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

static void fresh(const struct place *place)
{
    struct sluice_state_load load;
    (void)unlink(db_path(place));
    struct sluice_state *s = open_run(place, "p");
    fill(s, &load);
    sluice_state_close(s);
}

static void write_file(const struct place *place, const void *data, size_t size)
{
    char side[220];
    (void)snprintf(side, sizeof side, "%s-wal", db_path(place));
    (void)unlink(side);
    (void)snprintf(side, sizeof side, "%s-shm", db_path(place));
    (void)unlink(side);
    int fd = open(db_path(place), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    assert_int_equal(close(fd), 0);
}

static char *read_file(const struct place *place, size_t *size)
{
    struct stat st;
    assert_int_equal(stat(db_path(place), &st), 0);
    char *data = malloc((size_t)st.st_size);
    int fd = open(db_path(place), O_RDONLY);
    assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
    assert_int_equal(close(fd), 0);
    *size = (size_t)st.st_size;
    return data;
}

static void strange_files_are_refused(void **state)
{
    const struct place *place = *state;
    fresh(place);
    sql(place, "PRAGMA user_version = 3");
    expect_refusal(place, SLUICE_STATE_RUN, SLUICE_E_UNSUPPORTED,
                   "has format 3, this sluice reads up to 2");
    expect_refusal(place, SLUICE_STATE_READ, SLUICE_E_UNSUPPORTED, "has format 3");
    sql(place, "PRAGMA user_version = 2; PRAGMA application_id = 5");
    expect_refusal(place, SLUICE_STATE_RUN, SLUICE_E_DATA, "of another program");
    fresh(place);
    sql(place, "UPDATE meta SET value = 'other'");
    expect_refusal(place, SLUICE_STATE_RUN, SLUICE_E_DATA, "belongs to pipeline \"other\"");
    sql(place, "DELETE FROM meta");
    expect_refusal(place, SLUICE_STATE_RUN, SLUICE_E_DATA, "belongs to pipeline \"\"");
    sql(place, "DROP TABLE meta");
    expect_refusal(place, SLUICE_STATE_RUN, SLUICE_E_INTERNAL, "no such table");
    static const char text[] = "this is not a database, only a text of some length\n"
                               "this is not a database, only a text of some length\n";
    write_file(place, text, sizeof text - 1);
    expect_refusal(place, SLUICE_STATE_RUN, SLUICE_E_DATA, "damaged or no sluice state");
    expect_refusal(place, SLUICE_STATE_RUN, SLUICE_E_DATA, "move it away (mv \"");
    expect_refusal(place, SLUICE_STATE_READ, SLUICE_E_DATA, "damaged or no sluice state");
    assert_int_equal(unlink(db_path(place)), 0);
    sql(place, "CREATE TABLE mine (x)");
    expect_refusal(place, SLUICE_STATE_RUN, SLUICE_E_DATA, "of another program");
}

static void cut_files_are_refused(void **state)
{
    const struct place *place = *state;
    size_t size = 0;
    fresh(place);
    char *data = read_file(place, &size);
    for (size_t keep = 4096; keep < size; keep += 4096) {
        write_file(place, data, keep);
        expect_refusal(place, SLUICE_STATE_RUN, SLUICE_E_DATA, "damaged");
    }
    write_file(place, data, 100);
    expect_refusal(place, SLUICE_STATE_RUN, SLUICE_E_DATA, "damaged");
    free(data);
}

/* ---- random damage ---- */

static uint64_t seed;

/* splitmix64: neighbouring seeds give unrelated numbers. */
static uint32_t next_random(void)
{
    seed += 0x9e3779b97f4a7c15u;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

static sluice_status look_stream(void *ctx, const struct sluice_state_stream *s)
{
    *(size_t *)ctx += strlen(s->source) + strlen(s->stream) + strlen(s->sink) + strlen(s->run) +
                      (s->message != NULL ? strlen(s->message) : 0) +
                      (s->load_position != NULL ? strlen(s->load_position) : 0);
    return SLUICE_OK;
}

static sluice_status look_lane(void *ctx, const struct sluice_state_lane *lane)
{
    const unsigned char *p = lane->position;
    for (uint64_t i = 0; i < lane->position_size; i++) {
        *(size_t *)ctx += p[i];
    }
    *(size_t *)ctx += strlen(lane->sink) + strlen(lane->shard);
    return SLUICE_OK;
}

static sluice_status look_feed(void *ctx, const struct sluice_state_feed *feed)
{
    const unsigned char *p = feed->position;
    for (uint64_t i = 0; i < feed->position_size; i++) {
        *(size_t *)ctx += p[i];
    }
    *(size_t *)ctx += strlen(feed->source) + strlen(feed->sink) + strlen(feed->shard);
    return SLUICE_OK;
}

static sluice_status look_run(void *ctx, const struct sluice_state_run *run)
{
    *(size_t *)ctx += strlen(run->load_id) + (run->outcome != NULL ? strlen(run->outcome) : 0) +
                      (run->message != NULL ? strlen(run->message) : 0);
    return SLUICE_OK;
}

/* All calls over whatever opened; only that nothing breaks is asked. */
static void use_all(struct sluice_state *s, int32_t how)
{
    struct sluice_state_load load;
    struct sluice_error err = SLUICE_ERROR_INIT;
    char stamp[40];
    char *identity = NULL;
    char *created = NULL;
    uint64_t version = 0;
    size_t sum = 0;
    int64_t run = 0;
    if (sluice_state_load_last(s, &load, &err) == SLUICE_OK) {
        (void)sluice_state_streams(s, load.load_id, look_stream, &sum, &err);
        (void)sluice_state_lanes(s, load.load_id, look_lane, &sum, &err);
    }
    (void)sluice_state_runs(s, 100, look_run, &sum, &err);
    (void)sluice_state_feeds(s, look_feed, &sum, &err);
    if (sluice_state_identity_get(s, "hr", &identity, &err) == SLUICE_OK) {
        sluice_free(identity);
    }
    if (sluice_state_created_get(s, "hr", &created, &err) == SLUICE_OK) {
        sluice_free(created);
    }
    if (how == SLUICE_STATE_RUN) {
        struct sluice_state_stream stream = stream_of("public.new", SLUICE_STATE_STREAM_LOADING);
        struct sluice_state_lane lane = {"lake", "new", 1, "x", 1, 0, 0, NOW};
        (void)sluice_state_run_stamp(s, "public.table_with_a_long_name_1", NOW, stamp, &err);
        (void)sluice_state_load_begin(s, NOW, 1, &load, &err);
        (void)sluice_state_run_begin(s, "l", NOW, &run, &err);
        (void)sluice_state_stream_put(s, "l", &stream, &err);
        (void)sluice_state_lane_put(s, "l", &lane, &err);
        (void)sluice_state_lanes_drop(s, "l", "", &err);
        (void)sluice_state_load_set_mode(s, "l", 2, &err);
        put_feed(s, "new", 5, "abc", &err);
        (void)sluice_state_schema_id(s, "hr", "public.a", "columns", &version, &err);
        (void)sluice_state_created_put(s, "hr", "slot=s", &err);
        (void)sluice_state_reset(s, NULL, &err);
    }
}

static void random_damage_does_no_harm(void **state)
{
    const struct place *place = *state;
    size_t size = 0;
    int opened = 0;
    int refused = 0;
    fresh(place);
    char *data = read_file(place, &size);
    char *changed = malloc(size);
    const char *text = getenv("SLUICE_FUZZ_ROUNDS");
    long rounds = text != NULL ? strtol(text, NULL, 10) : 300;
    for (long round = 0; round < rounds; round++) {
        seed = (uint64_t)round << 32;
        memcpy(changed, data, size);
        size_t keep = next_random() % 8 == 0 ? next_random() % (size + 1) : size;
        uint32_t flips = 1 + next_random() % 12;
        for (uint32_t i = 0; i < flips; i++) {
            /* Mostly in the first bytes of a page, where the structure is. */
            size_t at = next_random() % size;
            if (next_random() % 2 == 0) {
                at = at / 4096 * 4096 + at % 128;
            }
            changed[at] = (char)next_random();
        }
        int32_t how = round % 3 == 0 ? SLUICE_STATE_READ : SLUICE_STATE_RUN;
        struct sluice_state *s = NULL;
        struct sluice_error err = SLUICE_ERROR_INIT;
        write_file(place, changed, keep);
        if (sluice_state_open(place->uri, NULL, "p", how, &s, &err) == SLUICE_OK) {
            opened++;
            use_all(s, how);
            sluice_state_close(s);
        }
        else {
            refused++;
            assert_true(err.message[0] != '\0');
        }
    }
    print_message("damaged files: %d opened, %d refused\n", opened, refused);
    assert_true(refused > 0);
    free(changed);
    free(data);
}

int run_damage_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(strange_files_are_refused, place_make, place_remove),
        cmocka_unit_test_setup_teardown(cut_files_are_refused, place_make, place_remove),
        cmocka_unit_test_setup_teardown(random_damage_does_no_harm, place_make, place_remove),
    };
    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
