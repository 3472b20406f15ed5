/* Formats of the file: old ones stay readable, today's is what the golden text says. */
#include "test_state.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/failpoint.h"
#include "state/state_internal.h"

static const char *golden(int version)
{
    static char text[16384];
    char path[400];
    (void)snprintf(path, sizeof path, TESTDATA "/format_%d.sql", version);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    size_t size = fread(text, 1, sizeof text - 1, in);
    text[size] = '\0';
    assert_int_equal(fclose(in), 0);
    return text;
}

static int64_t number(const struct place *place, const char *query)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    int64_t out = 0;
    assert_int_equal(sqlite3_open(db_path(place), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    out = sqlite3_column_int64(stmt, 0);
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return out;
}

static sluice_status count_feed(void *ctx, const struct sluice_state_feed *feed)
{
    (void)feed;
    (*(size_t *)ctx)++;
    return SLUICE_OK;
}

static size_t count_feeds(struct sluice_state *s)
{
    size_t count = 0;
    assert_int_equal(sluice_state_feeds(s, count_feed, &count, NULL), SLUICE_OK);
    return count;
}

static sluice_status see_position(void *ctx, const struct sluice_state_stream *stream)
{
    *(uint64_t *)ctx += stream->position_size;
    return SLUICE_OK;
}

/* What both formats hold. */
static void expect_old_part(struct sluice_state *s, int32_t mode, uint64_t position_bytes)
{
    struct sluice_state_load load;
    uint64_t bytes = 0;
    char *identity = NULL;
    assert_int_equal(sluice_state_load_last(s, &load, NULL), SLUICE_OK);
    assert_string_equal(load.load_id, "20261123T005234Z-4f2a9c");
    assert_int_equal(load.finished_us, 0);
    assert_int_equal(load.mode, mode);
    assert_int_equal(count_streams(s, load.load_id), 2);
    assert_int_equal(sluice_state_streams(s, load.load_id, see_position, &bytes, NULL), SLUICE_OK);
    assert_int_equal(bytes, position_bytes);
    assert_int_equal(count_lanes(s, load.load_id), 1);
    assert_int_equal(sluice_state_identity_get(s, "hr", &identity, NULL), SLUICE_OK);
    assert_string_equal(identity, "7301234567890123456/1");
    sluice_free(identity);
}

static void format_1_is_read(void **state)
{
    const struct place *place = *state;
    struct sluice_state *s = NULL;
    struct sluice_error err = SLUICE_ERROR_INIT;
    char *created = NULL;
    sql(place, golden(1));
    assert_int_equal(sluice_state_open(place->uri, NULL, "p", SLUICE_STATE_READ, &s, &err),
                     SLUICE_OK);
    expect_old_part(s, 1, 0);
    assert_int_equal(count_feeds(s), 0);
    assert_int_equal(sluice_state_created_get(s, "hr", &created, &err), SLUICE_E_NOT_FOUND);
    assert_int_equal(number(place, "PRAGMA user_version"), 1);
    /* And goes on being read when a run upgrades it meanwhile. */
    struct sluice_state *run = open_run(place, "p");
    expect_old_part(s, 1, 0);
    sluice_state_close(run);
    sluice_state_close(s);
    assert_int_equal(number(place, "PRAGMA user_version"), 2);
}

static void format_1_is_upgraded(void **state)
{
    const struct place *place = *state;
    struct sluice_state_load load;
    struct sluice_error err = SLUICE_ERROR_INIT;
    char stamp[40];
    uint64_t version = 0;
    sql(place, golden(1));
    for (int pass = 0; pass < 2; pass++) {
        struct sluice_state *s = open_run(place, "p");
        expect_old_part(s, 1, 0);
        assert_int_equal(count_feeds(s), (size_t)pass);
        assert_int_equal(sluice_state_schema_id(s, "hr", "public.a", "id", &version, &err),
                         SLUICE_OK);
        assert_int_equal(version, 1);
        assert_int_equal(put_feed(s, "lake", 1, "x", &err), SLUICE_OK);
        assert_int_equal(sluice_state_created_put(s, "hr", "slot=s", &err), SLUICE_OK);
        sluice_state_close(s);
        assert_int_equal(number(place, "PRAGMA user_version"), 2);
    }
    struct sluice_state *s = open_run(place, "p");
    assert_int_equal(sluice_state_run_stamp(s, "public.a", NOW, stamp, NULL), SLUICE_OK);
    assert_string_equal(stamp, "20261123T005234Z-3");
    struct sluice_state_stream stream = stream_of("public.c", SLUICE_STATE_STREAM_LOADING);
    stream.position = "12345678";
    stream.position_size = 8;
    assert_int_equal(sluice_state_stream_put(s, "20261123T005234Z-4f2a9c", &stream, &err),
                     SLUICE_OK);
    assert_int_equal(sluice_state_load_begin(s, NOW, 3, &load, &err), SLUICE_OK);
    assert_int_equal(sluice_state_load_last(s, &load, &err), SLUICE_OK);
    assert_int_equal(load.mode, 3);
    sluice_state_close(s);
}

/* A process that fails or dies while upgrading leaves format 1, and the next one does it. */
static void upgrades_are_whole_or_nothing(void **state)
{
    const struct place *place = *state;
    static const char *const points[] = {"state.write=error@1", "state.commit=error@1"};
    struct sluice_state *s = NULL;
    struct sluice_error err = SLUICE_ERROR_INIT;
    sql(place, golden(1));
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(sluice_failpoints_arm(points[i], &err), SLUICE_OK);
        assert_int_equal(sluice_state_open(place->uri, NULL, "p", SLUICE_STATE_RUN, &s, &err),
                         SLUICE_E_IO);
        assert_int_equal(sluice_failpoints_arm(NULL, &err), SLUICE_OK);
        assert_int_equal(number(place, "PRAGMA user_version"), 1);
        assert_int_equal(number(place, "SELECT count(*) FROM sqlite_schema WHERE name = 'feeds'"),
                         0);
    }
    pid_t child = fork();
    if (child == 0) {
        int armed = sluice_failpoints_arm("state.commit=crash@1", &err) == SLUICE_OK;
        if (armed && sluice_state_open(place->uri, NULL, "p", SLUICE_STATE_RUN, &s, &err) < 0) {
            _exit(1);
        }
        _exit(0);
    }
    int ended = 0;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFSIGNALED(ended) || WEXITSTATUS(ended) > 1);
    assert_int_equal(number(place, "PRAGMA user_version"), 1);
    s = open_run(place, "p");
    expect_old_part(s, 1, 0);
    sluice_state_close(s);
    assert_int_equal(number(place, "PRAGMA user_version"), 2);
}

/* Each allocation fails in turn: format 1 or 2, whole in any case. */
static void upgrades_survive_failures(void **state)
{
    const struct place *place = *state;
    for (long n = 1, done = 0; n < 3000 && !done; n += n < 100 ? 1 : 11) {
        struct sluice_state *s = NULL;
        struct sluice_error err = SLUICE_ERROR_INIT;
        (void)unlink(db_path(place));
        sql(place, golden(1));
        sluice_alloc_fail_at(n, 0);
        sluice_status status = sluice_state_open(place->uri, NULL, "p", SLUICE_STATE_RUN, &s, &err);
        sluice_alloc_fail_at(0, 0);
        sluice_state_close(s);
        done = status == SLUICE_OK && n > 500;
        int64_t version = number(place, "PRAGMA user_version");
        assert_true(version == 2 || (version == 1 && status < 0));
        s = open_run(place, "p");
        expect_old_part(s, 1, 0);
        sluice_state_close(s);
    }
}

static void format_2_is_read(void **state)
{
    const struct place *place = *state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    char *created = NULL;
    uint64_t version = 0;
    sql(place, golden(2));
    for (int32_t how = SLUICE_STATE_READ; how <= SLUICE_STATE_RUN; how++) {
        struct sluice_state *s = NULL;
        assert_int_equal(sluice_state_open(place->uri, NULL, "p", how, &s, &err), SLUICE_OK);
        expect_old_part(s, 3, 8);
        assert_int_equal(count_feeds(s), 2);
        assert_int_equal(sluice_state_created_get(s, "hr", &created, &err), SLUICE_OK);
        assert_string_equal(created, "slot=sluice_p publication=sluice_p");
        sluice_free(created);
        if (how == SLUICE_STATE_RUN) {
            assert_int_equal(sluice_state_schema_id(s, "hr", "public.a",
                                                    "id integer not null, name text", &version,
                                                    &err),
                             SLUICE_OK);
            assert_int_equal(version, 2);
        }
        sluice_state_close(s);
    }
}

/* What we make today is what the golden text says. */
static void format_2_is_made(void **state)
{
    const struct place *place = *state;
    const char *text = golden(STATE_VERSION);
    struct sluice_state_load load;
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    int tables = 0;
    struct sluice_state *s = open_run(place, "p");
    fill(s, &load);
    sluice_state_close(s);
    assert_int_equal(sqlite3_open(db_path(place), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL",
                                        -1, &stmt, NULL),
                     SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *create = (const char *)sqlite3_column_text(stmt, 0);
        if (strstr(create, "sqlite_sequence") != NULL) {
            continue;
        }
        if (strstr(text, create) == NULL) {
            fail_msg("not in format_%d.sql: %s", STATE_VERSION, create);
        }
        tables++;
    }
    assert_int_equal(tables, 10);
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int run_format_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(format_1_is_read, place_make, place_remove),
        cmocka_unit_test_setup_teardown(format_1_is_upgraded, place_make, place_remove),
        cmocka_unit_test_setup_teardown(upgrades_are_whole_or_nothing, place_make, place_remove),
        cmocka_unit_test_setup_teardown(upgrades_survive_failures, place_make, place_remove),
        cmocka_unit_test_setup_teardown(format_2_is_read, place_make, place_remove),
        cmocka_unit_test_setup_teardown(format_2_is_made, place_make, place_remove),
    };
    return cmocka_run_group_tests_name("formats", tests, NULL, NULL);
}
