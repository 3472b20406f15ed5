/* What is remembered of changes: feeds, load positions, modes, versions of columns, what was made. */
#include "test_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "state/state_internal.h"

struct seen {
    char text[600];
    int stop;
};

static sluice_status see_feed(void *ctx, const struct sluice_state_feed *feed)
{
    struct seen *seen = ctx;
    size_t used = strlen(seen->text);
    (void)snprintf(seen->text + used, sizeof seen->text - used, "%s/%s/%s:%llu:%.*s:%lld:%lld:%d ",
                   feed->source, feed->shard, feed->sink, (unsigned long long)feed->epoch,
                   (int)feed->position_size, (const char *)feed->position, (long long)feed->changes,
                   (long long)feed->transactions, feed->updated_us == NOW);
    return seen->stop ? SLUICE_END : SLUICE_OK;
}

static void expect_feeds(struct sluice_state *s, const char *text)
{
    struct seen seen = {"", 0};
    assert_int_equal(sluice_state_feeds(s, see_feed, &seen, NULL), SLUICE_OK);
    assert_string_equal(seen.text, text);
}

static void feeds_are_kept(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_error err = SLUICE_ERROR_INIT;
    expect_feeds(s, "");
    assert_int_equal(put_feed(s, "lake", 1, "p1", &err), SLUICE_OK);
    assert_int_equal(put_feed(s, "files", UINT64_MAX, "p3", &err), SLUICE_OK);
    assert_int_equal(put_feed(s, "lake", 2, "p2", &err), SLUICE_OK);
    sluice_state_close(s);
    s = open_run(*state, "p");
    expect_feeds(s, "hr/hr/changes/files:18446744073709551615:p3:120:30:1 "
                    "hr/hr/changes/lake:2:p2:120:30:1 ");
    struct seen one = {"", 1};
    assert_int_equal(sluice_state_feeds(s, see_feed, &one, &err), SLUICE_OK);
    assert_string_equal(one.text, "hr/hr/changes/files:18446744073709551615:p3:120:30:1 ");
    struct sluice_state_feed large = {"hr", "x", "y", 1, "", SLUICE_LIMIT_POSITION_BYTES + 1,
                                      0,    0,   NOW, 0};
    assert_int_equal(sluice_state_feed_put(s, &large, &err), SLUICE_E_LIMIT);
    assert_non_null(strstr(err.message, "a position of 65537 bytes"));
    sluice_state_close(s);
}

/* Positions of a checkpoint become durable together, or not at all. */
static void feeds_share_a_batch(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_state_batch_begin(s, &err), SLUICE_OK);
    assert_int_equal(put_feed(s, "files", 1, "a", &err), SLUICE_OK);
    assert_int_equal(put_feed(s, "lake", 1, "a", &err), SLUICE_OK);
    assert_int_equal(sluice_state_batch_end(s, &err), SLUICE_OK);
    assert_int_equal(sluice_state_batch_begin(s, &err), SLUICE_OK);
    assert_int_equal(put_feed(s, "files", 2, "b", &err), SLUICE_OK);
    assert_int_equal(sluice_state_load_finish(s, "none", NOW, &err), SLUICE_E_NOT_FOUND);
    assert_int_equal(sluice_state_batch_end(s, &err), SLUICE_E_STATE);
    expect_feeds(s, "hr/hr/changes/files:1:a:120:30:1 hr/hr/changes/lake:1:a:120:30:1 ");
    sluice_state_close(s);
}

static void modes_are_kept(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_state_load load;
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_state_load_begin(s, NOW, 2, &load, &err), SLUICE_OK);
    assert_int_equal(load.mode, 2);
    assert_int_equal(sluice_state_load_last(s, &load, &err), SLUICE_OK);
    assert_int_equal(load.mode, 2);
    assert_int_equal(sluice_state_load_set_mode(s, load.load_id, 3, &err), SLUICE_OK);
    assert_int_equal(sluice_state_load_set_mode(s, "none", 3, &err), SLUICE_E_NOT_FOUND);
    assert_int_equal(sluice_state_load_last(s, &load, &err), SLUICE_OK);
    assert_int_equal(load.mode, 3);
    assert_int_equal(load.finished_us, 0);
    sluice_state_close(s);
}

static sluice_status see_position(void *ctx, const struct sluice_state_stream *stream)
{
    struct seen *seen = ctx;
    size_t used = strlen(seen->text);
    (void)snprintf(seen->text + used, sizeof seen->text - used, "%s:%.*s ", stream->stream,
                   (int)stream->position_size,
                   stream->position_size > 0 ? (const char *)stream->position : "");
    return SLUICE_OK;
}

static void load_positions_are_bytes(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct seen seen = {"", 0};
    struct sluice_state_stream stream = stream_of("public.a", SLUICE_STATE_STREAM_COMPLETE);
    stream.position = "12345678";
    stream.position_size = 8;
    assert_int_equal(sluice_state_stream_put(s, "l", &stream, &err), SLUICE_OK);
    put_stream(s, "l", "public.b", SLUICE_STATE_STREAM_LOADING);
    assert_int_equal(sluice_state_streams(s, "l", see_position, &seen, &err), SLUICE_OK);
    assert_string_equal(seen.text, "public.a:12345678 public.b: ");
    stream.position_size = SLUICE_LIMIT_POSITION_BYTES + 1;
    assert_int_equal(sluice_state_stream_put(s, "l", &stream, &err), SLUICE_E_LIMIT);
    sluice_state_close(s);
}

static uint64_t version_of(struct sluice_state *s, const char *source, const char *stream,
                           const char *fingerprint)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    uint64_t version = 0;
    if (sluice_state_schema_id(s, source, stream, fingerprint, &version, &err) != SLUICE_OK) {
        fail_msg("%s", err.message);
    }
    return version;
}

static void versions_are_numbered(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_error err = SLUICE_ERROR_INIT;
    uint64_t version = 7;
    assert_int_equal(version_of(s, "hr", "public.a", "id"), 1);
    assert_int_equal(version_of(s, "hr", "public.a", "id, name"), 2);
    assert_int_equal(version_of(s, "hr", "public.a", "id"), 1);
    assert_int_equal(version_of(s, "hr", "public.b", "id"), 1);
    assert_int_equal(version_of(s, "crm", "public.a", "id, name"), 1);
    assert_int_equal(sluice_state_reset(s, NULL, &err), SLUICE_E_NOT_FOUND);
    sluice_state_close(s);
    s = open_run(*state, "p");
    assert_int_equal(version_of(s, "hr", "public.a", ""), 3);
    assert_int_equal(version_of(s, "hr", "public.a", "id, name"), 2);
    char *large = malloc(STATE_FINGERPRINT_MAX + 2);
    assert_non_null(large);
    memset(large, 'x', STATE_FINGERPRINT_MAX + 1);
    large[STATE_FINGERPRINT_MAX] = '\0';
    assert_int_equal(version_of(s, "hr", "public.wide", large), 1);
    assert_int_equal(version_of(s, "hr", "public.wide", large), 1);
    large[STATE_FINGERPRINT_MAX] = 'x';
    large[STATE_FINGERPRINT_MAX + 1] = '\0';
    assert_int_equal(sluice_state_schema_id(s, "hr", "public.wide", large, &version, &err),
                     SLUICE_E_LIMIT);
    assert_int_equal(version, 7);
    free(large);
    sluice_state_close(s);
    sql(*state, "UPDATE versions SET id = 9223372036854775807 WHERE stream = 'public.b'");
    s = open_run(*state, "p");
    assert_int_equal(sluice_state_schema_id(s, "hr", "public.b", "id, x", &version, &err),
                     SLUICE_E_DATA);
    sluice_state_close(s);
}

static void created_is_kept(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_error err = SLUICE_ERROR_INIT;
    char *created = NULL;
    assert_int_equal(sluice_state_created_get(s, "hr", &created, &err), SLUICE_E_NOT_FOUND);
    assert_int_equal(sluice_state_created_put(s, "hr", NULL, &err), SLUICE_OK);
    assert_int_equal(sluice_state_created_put(s, "hr", "slot=a", &err), SLUICE_OK);
    assert_int_equal(sluice_state_created_put(s, "hr", "slot=b", &err), SLUICE_OK);
    assert_int_equal(sluice_state_created_get(s, "hr", &created, &err), SLUICE_OK);
    assert_string_equal(created, "slot=b");
    sluice_free(created);
    assert_int_equal(sluice_state_created_put(s, "hr", "", &err), SLUICE_OK);
    assert_int_equal(sluice_state_created_get(s, "hr", &created, &err), SLUICE_E_NOT_FOUND);
    sluice_state_close(s);
}

/* A whole reset: positions are void, epochs, versions and what was made stay. */
static void reset_voids_feeds(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_state_load load;
    struct sluice_error err = SLUICE_ERROR_INIT;
    char *text = NULL;
    assert_int_equal(sluice_state_load_begin(s, NOW, 3, &load, &err), SLUICE_OK);
    put_stream(s, load.load_id, "public.a", SLUICE_STATE_STREAM_COMPLETE);
    put_stream(s, load.load_id, "public.b", SLUICE_STATE_STREAM_COMPLETE);
    assert_int_equal(put_feed(s, "lake", 5, "p5", &err), SLUICE_OK);
    assert_int_equal(sluice_state_identity_put(s, "hr", "server", &err), SLUICE_OK);
    assert_int_equal(sluice_state_created_put(s, "hr", "slot=a", &err), SLUICE_OK);
    assert_int_equal(version_of(s, "hr", "public.a", "id"), 1);
    /* One stream is loaded anew; the feed goes on. */
    assert_int_equal(sluice_state_reset(s, "public.b", &err), SLUICE_OK);
    assert_int_equal(count_streams(s, load.load_id), 1);
    expect_feeds(s, "hr/hr/changes/lake:5:p5:120:30:1 ");
    assert_int_equal(sluice_state_identity_get(s, "hr", &text, &err), SLUICE_OK);
    sluice_free(text);
    /* All of it, though its load never finishes. */
    assert_int_equal(sluice_state_reset(s, NULL, &err), SLUICE_OK);
    expect_feeds(s, "hr/hr/changes/lake:5::120:30:1 ");
    assert_int_equal(count_streams(s, load.load_id), 0);
    assert_int_equal(sluice_state_load_last(s, &load, &err), SLUICE_E_NOT_FOUND);
    assert_int_equal(sluice_state_identity_get(s, "hr", &text, &err), SLUICE_E_NOT_FOUND);
    assert_int_equal(sluice_state_created_get(s, "hr", &text, &err), SLUICE_OK);
    sluice_free(text);
    assert_int_equal(version_of(s, "hr", "public.a", "id, name"), 2);
    assert_int_equal(sluice_state_reset(s, NULL, &err), SLUICE_E_NOT_FOUND);
    sluice_state_close(s);
}

/* Feeds outlive loads: also with a finished one, or none, there is something to forget. */
static void reset_needs_no_load(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_state_load load;
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(put_feed(s, "lake", 5, "p5", &err), SLUICE_OK);
    assert_int_equal(sluice_state_reset(s, NULL, &err), SLUICE_OK);
    expect_feeds(s, "hr/hr/changes/lake:5::120:30:1 ");
    assert_int_equal(sluice_state_load_begin(s, NOW, 1, &load, &err), SLUICE_OK);
    put_stream(s, load.load_id, "public.a", SLUICE_STATE_STREAM_COMPLETE);
    assert_int_equal(sluice_state_load_finish(s, load.load_id, NOW, &err), SLUICE_OK);
    assert_int_equal(put_feed(s, "lake", 6, "p6", &err), SLUICE_OK);
    assert_int_equal(sluice_state_reset(s, NULL, &err), SLUICE_OK);
    expect_feeds(s, "hr/hr/changes/lake:6::120:30:1 ");
    assert_int_equal(count_streams(s, load.load_id), 1);
    sluice_state_close(s);
}

int run_feed_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(feeds_are_kept, place_make, place_remove),
        cmocka_unit_test_setup_teardown(feeds_share_a_batch, place_make, place_remove),
        cmocka_unit_test_setup_teardown(modes_are_kept, place_make, place_remove),
        cmocka_unit_test_setup_teardown(load_positions_are_bytes, place_make, place_remove),
        cmocka_unit_test_setup_teardown(versions_are_numbered, place_make, place_remove),
        cmocka_unit_test_setup_teardown(created_is_kept, place_make, place_remove),
        cmocka_unit_test_setup_teardown(reset_voids_feeds, place_make, place_remove),
        cmocka_unit_test_setup_teardown(reset_needs_no_load, place_make, place_remove),
    };
    return cmocka_run_group_tests_name("feeds", tests, NULL, NULL);
}
