/* What is remembered: loads, streams, lanes, runs, stamps, identities; batches and failures. */
#include "test_state.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "log/log.h"
#include "sluice/abi.h"
#include "state/state_internal.h"

static void loads_begin_and_finish(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_state_load load;
    struct sluice_state_load second;
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_state_load_last(s, &load, &err), SLUICE_E_NOT_FOUND);
    assert_int_equal(sluice_state_load_begin(s, NOW, 1, &load, &err), SLUICE_OK);
    assert_memory_equal(load.load_id, "20261123T005234Z-", 17);
    assert_int_equal(strlen(load.load_id), 23);
    assert_int_equal(load.finished_us, 0);
    assert_int_equal(sluice_state_load_finish(s, load.load_id, NOW + 9, &err), SLUICE_OK);
    assert_int_equal(sluice_state_load_finish(s, "unknown", NOW, &err), SLUICE_E_NOT_FOUND);
    assert_int_equal(sluice_state_load_last(s, &second, &err), SLUICE_OK);
    assert_string_equal(second.load_id, load.load_id);
    assert_int_equal(second.started_us, NOW);
    assert_int_equal(second.finished_us, NOW + 9);
    assert_int_equal(sluice_state_load_begin(s, NOW, 1, &second, &err), SLUICE_OK);
    assert_string_not_equal(second.load_id, load.load_id);
    sluice_state_close(s);
    s = open_run(*state, "p"); /* survives */
    assert_int_equal(sluice_state_load_last(s, &load, &err), SLUICE_OK);
    assert_string_equal(second.load_id, load.load_id);
    sluice_state_close(s);
    sluice_state_close(NULL);
}

static void old_loads_are_forgotten(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_state_load first;
    struct sluice_state_load load;
    struct sluice_error err = SLUICE_ERROR_INIT;
    fill(s, &first);
    assert_int_equal(count_streams(s, first.load_id), 40);
    for (int i = 0; i < STATE_LOADS_KEPT - 1; i++) {
        assert_int_equal(sluice_state_load_begin(s, NOW, 1, &load, &err), SLUICE_OK);
    }
    assert_int_equal(count_streams(s, first.load_id), 40);
    assert_int_equal(sluice_state_load_begin(s, NOW, 1, &load, &err), SLUICE_OK);
    assert_int_equal(count_streams(s, first.load_id), 0);
    assert_int_equal(count_lanes(s, first.load_id), 0);
    assert_int_equal(sluice_state_load_finish(s, first.load_id, NOW, &err), SLUICE_E_NOT_FOUND);
    sluice_state_close(s);
}

struct seen {
    char names[400];
    size_t stop_after;
    size_t count;
    struct sluice_state *state; /* to call back */
};

static sluice_status see_stream(void *ctx, const struct sluice_state_stream *stream)
{
    struct seen *seen = ctx;
    size_t used = strlen(seen->names);
    (void)snprintf(seen->names + used, sizeof seen->names - used, "%s/%s/%s:%d:%s:%s ",
                   stream->source, stream->stream, stream->sink, (int)stream->status,
                   stream->message != NULL ? stream->message : "-",
                   stream->load_position != NULL ? stream->load_position : "-");
    if (seen->state != NULL) {
        struct sluice_state_load load;
        assert_int_equal(sluice_state_load_last(seen->state, &load, NULL), SLUICE_OK);
        assert_int_equal(count_streams(seen->state, load.load_id), 2);
    }
    return ++seen->count == seen->stop_after ? SLUICE_END : SLUICE_OK;
}

static sluice_status see_and_fail(void *ctx, const struct sluice_state_stream *stream)
{
    (void)ctx;
    (void)stream;
    return SLUICE_E_CANCELLED;
}

static void streams_are_kept(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_state_load load;
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_state_load_begin(s, NOW, 1, &load, &err), SLUICE_OK);
    put_stream(s, load.load_id, "public.b", SLUICE_STATE_STREAM_LOADING);
    struct sluice_state_stream a = stream_of("public.a", SLUICE_STATE_STREAM_FAILED);
    char message[] = "permission denied to s3cret";
    sluice_log_secret_add(
        "s3cret"); /* the file outlives the run, and others may read copies of it */
    a.message = message;
    a.load_position = NULL;
    assert_int_equal(sluice_state_stream_put(s, load.load_id, &a, &err), SLUICE_OK);
    put_stream(s, load.load_id, "public.b", SLUICE_STATE_STREAM_COMPLETE);
    struct seen seen = {"", 0, 0, s};
    assert_int_equal(sluice_state_streams(s, load.load_id, see_stream, &seen, &err), SLUICE_OK);
    assert_string_equal(seen.names, "hr/public.a/lake:3:permission denied to ***:- "
                                    "hr/public.b/lake:2:-:00000000016b3748 ");
    struct seen one = {"", 1, 0, NULL};
    assert_int_equal(sluice_state_streams(s, load.load_id, see_stream, &one, &err), SLUICE_OK);
    assert_int_equal(one.count, 1);
    assert_int_equal(sluice_state_streams(s, load.load_id, see_and_fail, NULL, &err),
                     SLUICE_E_CANCELLED);
    assert_int_equal(count_streams(s, "other"), 0);
    sluice_log_secrets_clear();
    sluice_state_close(s);
}

static sluice_status see_lane(void *ctx, const struct sluice_state_lane *lane)
{
    struct seen *seen = ctx;
    assert_string_equal(lane->sink, "lake");
    assert_string_equal(lane->shard, "s:public.a:1");
    assert_true(lane->epoch == UINT64_MAX);
    assert_int_equal(lane->position_size, 9);
    assert_memory_equal(lane->position, "pos\0ition", 9);
    assert_int_equal(lane->rows, 7);
    assert_int_equal(lane->bytes, 70);
    assert_int_equal(lane->updated_us, NOW);
    seen->count++;
    return SLUICE_OK;
}

static void lanes_are_kept(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct seen seen = {"", 0, 0, NULL};
    put_lane(s, "l", "s:public.a:1", 1);
    put_lane(s, "l", "s:public.a:1", UINT64_MAX);
    assert_int_equal(sluice_state_lanes(s, "l", see_lane, &seen, &err), SLUICE_OK);
    assert_int_equal(seen.count, 1);
    put_lane(s, "l", "s:public.a_b:1", 1);
    put_lane(s, "l", "s:public.b:1", 1);
    put_lane(s, "m", "s:public.a:2", 1);
    /* '_' and '%' are no wildcards. */
    assert_int_equal(sluice_state_lanes_drop(s, "l", "s:public.a_", &err), SLUICE_OK);
    assert_int_equal(count_lanes(s, "l"), 2);
    assert_int_equal(sluice_state_lanes_drop(s, "l", "s:%", &err), SLUICE_OK);
    assert_int_equal(count_lanes(s, "l"), 2);
    assert_int_equal(sluice_state_lanes_drop(s, "l", "s:public.a:", &err), SLUICE_OK);
    assert_int_equal(count_lanes(s, "l"), 1);
    assert_int_equal(sluice_state_lanes_drop(s, "l", "", &err), SLUICE_OK);
    assert_int_equal(count_lanes(s, "l"), 0);
    assert_int_equal(count_lanes(s, "m"), 1);
    struct sluice_state_lane lane = {"lake", "empty", 1, NULL, 0, 0, 0, NOW};
    assert_int_equal(sluice_state_lane_put(s, "l", &lane, &err), SLUICE_OK);
    lane.position = "x";
    lane.position_size = 1u << 20;
    assert_int_equal(sluice_state_lane_put(s, "l", &lane, &err), SLUICE_E_LIMIT);
    sluice_state_close(s);
}

static sluice_status see_run(void *ctx, const struct sluice_state_run *run)
{
    struct seen *seen = ctx;
    size_t used = strlen(seen->names);
    (void)snprintf(seen->names + used, sizeof seen->names - used, "%lld:%s:%s:%s:%lld ",
                   (long long)run->id, run->load_id, run->outcome != NULL ? run->outcome : "-",
                   run->message != NULL ? run->message : "-", (long long)run->rows);
    seen->count++;
    return SLUICE_OK;
}

static void runs_are_kept(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_error err = SLUICE_ERROR_INIT;
    int64_t first = 0;
    int64_t second = 0;
    sluice_log_secret_add("s3cret");
    assert_int_equal(sluice_state_run_begin(s, "l1", NOW, &first, &err), SLUICE_OK);
    assert_int_equal(sluice_state_run_begin(s, "l2", NOW, &second, &err), SLUICE_OK);
    assert_int_equal(
        sluice_state_run_finish(s, first, NOW + 1, "failed", "it broke: s3cret", 12, &err),
        SLUICE_OK);
    struct seen seen = {"", 0, 0, NULL};
    assert_int_equal(sluice_state_runs(s, 10, see_run, &seen, &err), SLUICE_OK);
    assert_string_equal(seen.names, "2:l2:-:-:0 1:l1:failed:it broke: ***:12 ");
    struct seen one = {"", 0, 0, NULL};
    assert_int_equal(sluice_state_runs(s, 1, see_run, &one, &err), SLUICE_OK);
    assert_int_equal(one.count, 1);
    sluice_log_secrets_clear();
    sluice_state_close(s);
}

static void stamps_never_come_twice(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_error err = SLUICE_ERROR_INIT;
    char stamp[40];
    static const struct {
        const char *stream;
        int64_t now_us;
        const char *stamp;
    } cases[] = {
        {"a", NOW, "20261123T005234Z"},
        {"b", NOW, "20261123T005234Z"},
        {"a", NOW, "20261123T005234Z-2"},
        {"a", NOW + 999, "20261123T005234Z-3"},
        {"a", NOW + 1000000, "20261123T005235Z"},
        /* The clock goes back: later runs still have greater stamps. */
        {"a", NOW - 3600000000LL, "20261123T005235Z-2"},
        {"a", NOW, "20261123T005235Z-3"},
        {"a", NOW + 2000000, "20261123T005236Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(sluice_state_run_stamp(s, cases[i].stream, cases[i].now_us, stamp, &err),
                         SLUICE_OK);
        assert_string_equal(stamp, cases[i].stamp);
        if (i == 3) {
            sluice_state_close(s);
            s = open_run(*state, "p");
        }
    }
    sluice_state_close(s);
}

static void identities_are_kept(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_error err = SLUICE_ERROR_INIT;
    char *identity = NULL;
    assert_int_equal(sluice_state_identity_get(s, "hr", &identity, &err), SLUICE_E_NOT_FOUND);
    assert_int_equal(sluice_state_identity_put(s, "hr", "one", &err), SLUICE_OK);
    assert_int_equal(sluice_state_identity_put(s, "hr", "two", &err), SLUICE_OK);
    assert_int_equal(sluice_state_identity_get(s, "hr", &identity, &err), SLUICE_OK);
    assert_string_equal(identity, "two");
    sluice_free(identity);
    sluice_state_close(s);
}

static void reset_forgets_the_unfinished(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_state_load load;
    struct sluice_state_load last;
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_state_reset(s, NULL, &err), SLUICE_E_NOT_FOUND);
    fill(s, &load);
    assert_int_equal(sluice_state_reset(s, "public.none", &err), SLUICE_E_NOT_FOUND);
    assert_int_equal(sluice_state_reset(s, "public.table_with_a_long_name_3", &err), SLUICE_OK);
    assert_int_equal(count_streams(s, load.load_id), 39);
    assert_int_equal(sluice_state_reset(s, NULL, &err), SLUICE_OK);
    assert_int_equal(count_streams(s, load.load_id), 0);
    assert_int_equal(count_lanes(s, load.load_id), 0);
    assert_int_equal(sluice_state_load_last(s, &last, &err), SLUICE_E_NOT_FOUND);
    fill(s, &load);
    assert_int_equal(sluice_state_load_finish(s, load.load_id, NOW, &err), SLUICE_OK);
    assert_int_equal(sluice_state_reset(s, "public.table_with_a_long_name_3", &err),
                     SLUICE_E_NOT_FOUND);
    assert_int_equal(sluice_state_reset(s, NULL, &err), SLUICE_OK); /* the feed */
    assert_int_equal(sluice_state_reset(s, NULL, &err), SLUICE_E_NOT_FOUND);
    assert_int_equal(count_streams(s, load.load_id), 40);
    sluice_state_close(s);
}

static void batches_are_whole_or_nothing(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_state_batch_begin(s, &err), SLUICE_OK);
    put_lane(s, "l", "a", 1);
    assert_int_equal(sluice_state_batch_begin(s, &err), SLUICE_OK); /* nests */
    put_lane(s, "l", "b", 1);
    assert_int_equal(sluice_state_batch_end(s, &err), SLUICE_OK);
    assert_int_equal(sluice_state_batch_end(s, &err), SLUICE_OK);
    assert_int_equal(count_lanes(s, "l"), 2);
    /* A write that fails takes the whole batch with it. */
    assert_int_equal(sluice_state_batch_begin(s, &err), SLUICE_OK);
    put_lane(s, "l", "c", 1);
    assert_int_equal(sluice_state_load_finish(s, "none", NOW, &err), SLUICE_E_NOT_FOUND);
    struct sluice_state_lane lane = {"lake", "d", 1, "x", 1, 0, 0, NOW};
    assert_int_equal(sluice_state_lane_put(s, "l", &lane, &err), SLUICE_E_STATE);
    assert_int_equal(sluice_state_batch_end(s, &err), SLUICE_E_STATE);
    assert_int_equal(count_lanes(s, "l"), 2);
    put_lane(s, "l", "e", 1); /* and the next one works */
    assert_int_equal(count_lanes(s, "l"), 3);
    sluice_state_close(s);
}

static void failed_commits_keep_nothing(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_state_lane lane = {"lake", "a", 1, "x", 1, 0, 0, NOW};
    assert_int_equal(sluice_failpoints_arm("state.commit=error@1,state.write=fatal@2", &err),
                     SLUICE_OK);
    assert_int_equal(sluice_state_lane_put(s, "l", &lane, &err), SLUICE_E_IO);
    assert_int_equal(sluice_state_lane_put(s, "l", &lane, &err), SLUICE_E_IO);
    assert_int_equal(err.flags & SLUICE_ERROR_RETRYABLE, 0);
    assert_int_equal(sluice_failpoints_arm(NULL, &err), SLUICE_OK);
    assert_int_equal(count_lanes(s, "l"), 0);
    assert_int_equal(sluice_state_lane_put(s, "l", &lane, &err), SLUICE_OK);
    assert_int_equal(count_lanes(s, "l"), 1);
    sluice_state_close(s);
}

static void full_disks_are_told(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status status = SLUICE_OK;
    char shard[100];
    int written = 0;
    assert_int_equal(sqlite3_exec(s->db, "PRAGMA max_page_count = 40", NULL, NULL, NULL),
                     SQLITE_OK);
    for (int i = 0; i < 5000 && status == SLUICE_OK; i++) {
        (void)snprintf(shard, sizeof shard, "%090d", i);
        struct sluice_state_lane lane = {"lake", shard, 1, "x", 1, 0, 0, NOW};
        status = sluice_state_lane_put(s, "l", &lane, &err);
        written += status == SLUICE_OK;
    }
    assert_int_equal(status, SLUICE_E_LIMIT);
    assert_non_null(strstr(err.message, "disk is full"));
    assert_int_equal(err.flags & SLUICE_ERROR_RETRYABLE, SLUICE_ERROR_RETRYABLE);
    assert_int_equal(count_lanes(s, "l"), written);
    assert_int_equal(sqlite3_exec(s->db, "PRAGMA max_page_count = 100000", NULL, NULL, NULL),
                     SQLITE_OK);
    put_lane(s, "l", "room again", 1);
    sluice_state_close(s);
}

static void reading_never_writes(void **state)
{
    const struct place *place = *state;
    struct sluice_state *s = open_run(place, "p");
    struct sluice_state *reader = NULL;
    struct sluice_state_load load;
    struct sluice_error err = SLUICE_ERROR_INIT;
    fill(s, &load);
    /* While the other runs. */
    assert_int_equal(sluice_state_open(place->uri, NULL, "p", SLUICE_STATE_READ, &reader, &err),
                     SLUICE_OK);
    assert_int_equal(count_streams(reader, load.load_id), 40);
    assert_int_equal(sluice_state_reset(reader, NULL, &err), SLUICE_E_STATE);
    assert_int_equal(sluice_state_batch_begin(reader, &err), SLUICE_E_STATE);
    put_lane(s, load.load_id, "while read", 1);
    assert_int_equal(count_lanes(reader, load.load_id), 41);
    sluice_state_close(reader);
    sluice_state_close(s);
}

struct writer {
    struct sluice_state *state;
    int number;
};

static void *write_lanes(void *ctx)
{
    const struct writer *w = ctx;
    char shard[40];
    for (int i = 0; i < 50; i++) {
        (void)snprintf(shard, sizeof shard, "t%d-%d", w->number, i);
        if (i % 10 == 0) {
            assert_int_equal(sluice_state_batch_begin(w->state, NULL), SLUICE_OK);
        }
        put_lane(w->state, "l", shard, (uint64_t)i);
        if (i % 10 == 0) {
            assert_int_equal(sluice_state_batch_end(w->state, NULL), SLUICE_OK);
        }
        (void)count_lanes(w->state, "l");
    }
    return NULL;
}

static void threads_share(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    pthread_t threads[4];
    struct writer writers[4];
    for (int i = 0; i < 4; i++) {
        writers[i] = (struct writer){s, i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_lanes, &writers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(count_lanes(s, "l"), 200);
    sluice_state_close(s);
}

/* Loads of many tables, on a real disk: every write durable, and cheap enough. */
static void many_tables(void **state)
{
    struct sluice_state *s = open_run(*state, "p");
    struct sluice_state_load load;
    char name[64];
    char stamp[40];
    assert_int_equal(sluice_state_load_begin(s, NOW, 1, &load, NULL), SLUICE_OK);
    int64_t start = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof name, "public.t%d", i);
        assert_int_equal(sluice_state_run_stamp(s, name, NOW, stamp, NULL), SLUICE_OK);
        put_stream(s, load.load_id, name, SLUICE_STATE_STREAM_LOADING);
        put_lane(s, load.load_id, name, 1);
        put_stream(s, load.load_id, name, SLUICE_STATE_STREAM_COMPLETE);
    }
    int64_t alone = sluice_now_us(SLUICE_CLOCK_MONOTONIC) - start;
    start = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    assert_int_equal(sluice_state_batch_begin(s, NULL), SLUICE_OK);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "public.t%d", i);
        put_stream(s, load.load_id, name, SLUICE_STATE_STREAM_COMPLETE);
    }
    assert_int_equal(sluice_state_batch_end(s, NULL), SLUICE_OK);
    print_message("200 writes alone: %lld ms; 1000 in a batch: %lld ms\n",
                  (long long)(alone / 1000),
                  (long long)((sluice_now_us(SLUICE_CLOCK_MONOTONIC) - start) / 1000));
    assert_int_equal(count_streams(s, load.load_id), 1000);
    sluice_state_close(s);
}

static sluice_status see_feed(void *ctx, const struct sluice_state_feed *feed)
{
    (*(size_t *)ctx) += strcmp(feed->shard, "hr/changes") == 0;
    return SLUICE_OK;
}

/* One pass over all calls; the first failure ends it. */
static sluice_status use_all(const struct place *place, struct sluice_error *err)
{
    struct sluice_state *s = NULL;
    struct sluice_state_load load;
    struct sluice_state_stream stream = stream_of("public.a", SLUICE_STATE_STREAM_LOADING);
    struct sluice_state_lane lane = {"lake", "a", 1, "x", 1, 0, 0, NOW};
    struct seen seen = {"", 0, 0, NULL};
    char stamp[40];
    char *identity = NULL;
    char *created = NULL;
    uint64_t version = 0;
    int64_t run = 0;
    size_t feeds = 0;
    sluice_status status = sluice_state_open(place->uri, NULL, "p", SLUICE_STATE_RUN, &s, err);
    if (status < 0) {
        return status;
    }
    status = sluice_state_load_begin(s, NOW, 1, &load, err);
    status = status < 0 ? status : sluice_state_load_last(s, &load, err);
    status = status < 0 ? status : sluice_state_run_begin(s, load.load_id, NOW, &run, err);
    status = status < 0 ? status : sluice_state_run_stamp(s, "public.a", NOW, stamp, err);
    status = status < 0 ? status : sluice_state_stream_put(s, load.load_id, &stream, err);
    status = status < 0 ? status : sluice_state_lane_put(s, load.load_id, &lane, err);
    status = status < 0 ? status : sluice_state_streams(s, load.load_id, see_stream, &seen, err);
    assert_true(status < 0 || strstr(seen.names, "hr/public.a/lake:1") != NULL);
    seen.names[0] = '\0';
    status = status < 0 ? status : sluice_state_identity_put(s, "hr", "id", err);
    status = status < 0 ? status : sluice_state_identity_get(s, "hr", &identity, err);
    status = status < 0 ? status : sluice_state_run_finish(s, run, NOW, "ok", NULL, 5, err);
    status = status < 0 ? status : sluice_state_runs(s, 2, see_run, &seen, err);
    status = status < 0 ? status : sluice_state_lanes_drop(s, load.load_id, "a", err);
    status = status < 0 ? status : put_feed(s, "lake", 1, "x", err);
    status = status < 0 ? status : sluice_state_feeds(s, see_feed, &feeds, err);
    assert_true(status < 0 || feeds == 1);
    status = status < 0 ? status : sluice_state_load_set_mode(s, load.load_id, 3, err);
    status =
        status < 0 ? status : sluice_state_schema_id(s, "hr", "public.a", "cols", &version, err);
    assert_true(status < 0 || version == 1);
    status = status < 0 ? status : sluice_state_created_put(s, "hr", "slot=s", err);
    status = status < 0 ? status : sluice_state_created_get(s, "hr", &created, err);
    status = status < 0 ? status : sluice_state_reset(s, NULL, err);
    sluice_free(created);
    sluice_free(identity);
    sluice_state_close(s);
    return status;
}

static sluice_status see_name(void *ctx, const char *pipeline, const char *path)
{
    (void)path;
    (*(size_t *)ctx) += strcmp(pipeline, "p") == 0;
    return SLUICE_OK;
}

/* Every allocation fails in turn, those of SQLite too: NOMEM, and what was kept stays whole. */
static void survives_failures(void **state)
{
    const struct place *place = *state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    long n = 1;
    int done = 0;
    assert_int_equal(use_all(place, &err), SLUICE_OK);
    for (; n < 5000 && !done; n += n < 200 ? 1 : 7) {
        sluice_error_clear(&err);
        sluice_alloc_fail_at(n, 0);
        sluice_status status = use_all(place, &err);
        size_t count = 0;
        if (status == SLUICE_OK) {
            (void)sluice_state_list(place->uri, NULL, see_name, &count, &err);
        }
        sluice_alloc_fail_at(0, 0);
        done = status == SLUICE_OK && n > 1000;
        if (status < 0 && status != SLUICE_E_NOMEM && status != SLUICE_E_PERMISSION) {
            /* SQLite answers CANTOPEN for some failures while opening. */
            fail_msg("allocation %ld: %d %s", n, (int)status, err.message);
        }
    }
    assert_int_equal(use_all(place, &err), SLUICE_OK);
}

int run_store_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(loads_begin_and_finish, place_make, place_remove),
        cmocka_unit_test_setup_teardown(old_loads_are_forgotten, place_make, place_remove),
        cmocka_unit_test_setup_teardown(streams_are_kept, place_make, place_remove),
        cmocka_unit_test_setup_teardown(lanes_are_kept, place_make, place_remove),
        cmocka_unit_test_setup_teardown(runs_are_kept, place_make, place_remove),
        cmocka_unit_test_setup_teardown(stamps_never_come_twice, place_make, place_remove),
        cmocka_unit_test_setup_teardown(identities_are_kept, place_make, place_remove),
        cmocka_unit_test_setup_teardown(reset_forgets_the_unfinished, place_make, place_remove),
        cmocka_unit_test_setup_teardown(batches_are_whole_or_nothing, place_make, place_remove),
        cmocka_unit_test_setup_teardown(failed_commits_keep_nothing, place_make, place_remove),
        cmocka_unit_test_setup_teardown(full_disks_are_told, place_make, place_remove),
        cmocka_unit_test_setup_teardown(reading_never_writes, place_make, place_remove),
        cmocka_unit_test_setup_teardown(threads_share, place_make, place_remove),
        cmocka_unit_test_setup_teardown(many_tables, place_make_on_disk, place_remove),
        cmocka_unit_test_setup_teardown(survives_failures, place_make, place_remove),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
