/* What is shown of feeds: the block, the summary, log lines and when they are due, JSON. */
#include "test_cli.h"

#include <stdio.h>

#include "base/alloc.h"
#include "cli/feed_view.h"
#include "cli/text.h"

#define S INT64_C(1000000)
#define MIB (INT64_C(1024) * 1024)

static const struct sluice_progress_lane lanes[] = {
    {"lake", "00000000016b3748", 7, 1200, 12288, 400000},
    {"files", "", 0, 0, 0, 0},
};

static struct sluice_progress_feed feed_of(int32_t status, uint64_t changes)
{
    struct sluice_progress_feed feed = {.source = "hr",
                                        .shard = "hr/changes",
                                        .status = status,
                                        .changes = changes,
                                        .inserts = changes,
                                        .transactions = changes / 10,
                                        .bytes = changes * 100,
                                        .last_commit_us = INT64_C(1795395154123456),
                                        .behind_us = 400000,
                                        .behind_bytes = 12288,
                                        .retained_bytes = 34 * MIB,
                                        .remaining_bytes = -1,
                                        .end = "0/16B6000",
                                        .lane_count = 2,
                                        .lanes = lanes};
    return feed;
}

static struct sluice_progress_stream stream_of(const char *name, int32_t status, uint64_t changes)
{
    struct sluice_progress_stream stream = {.source = "hr",
                                            .name = name,
                                            .status = status,
                                            .rows = 1000,
                                            .rows_estimate = 1000,
                                            .share = 1,
                                            .started_us = 1 * S,
                                            .finished_us = 3 * S,
                                            .changes = changes};
    return stream;
}

static void update(struct sluice_run_view *view, const struct sluice_progress_stream *streams,
                   size_t count, const struct sluice_progress_feed *feeds, size_t feed_count,
                   int64_t now_us)
{
    struct sluice_progress total;
    memset(&total, 0, sizeof total);
    total.phase = "following";
    total.load_id = "L1";
    total.started_us = 1 * S;
    total.now_us = now_us;
    total.streams_total = (uint32_t)count;
    sluice_run_view_begin(view);
    for (size_t i = 0; i < count; i++) {
        total.streams_complete += streams[i].status == SLUICE_PROGRESS_COMPLETE ||
                                  streams[i].status == SLUICE_PROGRESS_SKIPPED;
        total.rows += streams[i].status == SLUICE_PROGRESS_SKIPPED ? 0 : streams[i].rows;
        sluice_run_view_row(view, &streams[i]);
    }
    for (size_t i = 0; i < feed_count; i++) {
        sluice_run_view_feed(view, &feeds[i]);
    }
    sluice_run_view_end(view, &total);
}

static void block_while_following(void **state)
{
    (void)state;
    struct sluice_run_view view;
    struct sluice_cli_term term = wide_term(140, 20);
    struct sluice_str out = SLUICE_STR_INIT;
    struct sluice_progress_stream streams[] = {
        stream_of("public.few", SLUICE_PROGRESS_SKIPPED, 200),
        stream_of("public.none", SLUICE_PROGRESS_SKIPPED, 0),
        stream_of("public.many", SLUICE_PROGRESS_SKIPPED, 1000),
    };
    struct sluice_progress_feed feed = feed_of(SLUICE_FEED_FOLLOWING, 200);
    sluice_run_view_init(&view, "p");
    update(&view, streams, 3, &feed, 1, 20 * S);
    feed = feed_of(SLUICE_FEED_FOLLOWING, 1200);
    streams[2].changes = 2000;
    update(&view, streams, 3, &feed, 1, 30 * S);
    assert_int_equal(sluice_run_view_block(&view, &term, &out), 6);
    expect_text(&out,
                "p  following  3/3 tables  29.0s  memory 0 B\n"
                "  hr  following  lag 400ms, 12.0 KiB  log kept 34.0 MiB  100/s  1,200 changes  120"
                " tx\n"
                "    lake   at 00000000016b3748  lag 400ms  queued 12.0 KiB  1,200 written\n"
                "    files  at -                 lag 0s                          0 written\n"
                "  public.many  2,000 changes  100/s\n"
                "  public.few     200 changes    0/s\n");
    sluice_run_view_free(&view);
}

/* While tables are loaded, the log that is held is shown beside them. */
static void block_while_loading(void **state)
{
    (void)state;
    struct sluice_run_view view;
    struct sluice_cli_term term = wide_term(140, 20);
    struct sluice_str out = SLUICE_STR_INIT;
    struct sluice_progress_stream stream = stream_of("public.a", SLUICE_PROGRESS_RUNNING, 0);
    struct sluice_progress_feed feed = feed_of(SLUICE_FEED_WAITING, 0);
    stream.finished_us = 0;
    stream.share = 0.5;
    feed.behind_us = -1;
    feed.behind_bytes = -1;
    feed.remaining_bytes = 2 * MIB;
    feed.lane_count = 0;
    sluice_run_view_init(&view, "p");
    update(&view, &stream, 1, &feed, 1, 11 * S);
    assert_int_equal(sluice_run_view_block(&view, &term, &out), 3);
    assert_non_null(strstr(out.data, "0/1 tables  50%  1,000 rows"));
    assert_non_null(strstr(out.data, "  hr  waiting    log kept 34.0 MiB, 2.0 MiB left  "));
    assert_non_null(strstr(out.data, "  public.a"));
    sluice_str_free(&out);
    sluice_run_view_free(&view);
}

static void trouble_is_seen(void **state)
{
    (void)state;
    struct sluice_run_view view;
    struct sluice_cli_term term = wide_term(140, 20);
    struct sluice_str out = SLUICE_STR_INIT;
    struct sluice_progress_feed feeds[] = {feed_of(SLUICE_FEED_STALLED, 1),
                                           feed_of(SLUICE_FEED_RETRYING, 0),
                                           feed_of(SLUICE_FEED_IDLE, 0)};
    feeds[1].source = "crm\033[2J";
    feeds[1].retries = 3;
    feeds[2].source = "hrm";
    sluice_run_view_init(&view, "p");
    update(&view, NULL, 0, feeds, 3, 11 * S);
    (void)sluice_run_view_block(&view, &term, &out);
    assert_non_null(strstr(out.data, "  hr          stalled "));
    assert_non_null(strstr(out.data, "  crm\\x1b[2J  retrying (3 retries) "));
    assert_non_null(strstr(out.data, "  hrm         idle "));
    assert_non_null(strstr(out.data, "  1 change  "));
    sluice_str_clear(&out);
    /* Feeds that are gone are shown no more. */
    update(&view, NULL, 0, feeds, 1, 12 * S);
    (void)sluice_run_view_block(&view, &term, &out);
    assert_null(strstr(out.data, "retrying"));
    sluice_str_free(&out);
    sluice_run_view_free(&view);
}

static void block_fits_any_window(void **state)
{
    (void)state;
    struct sluice_run_view view;
    struct sluice_progress_stream streams[60];
    struct sluice_progress_feed feeds[5];
    char names[60][32];
    for (size_t i = 0; i < 60; i++) {
        (void)snprintf(names[i], sizeof names[i], "public.table_%zu", i);
        streams[i] =
            stream_of(names[i], i % 3 == 0 ? SLUICE_PROGRESS_RUNNING : SLUICE_PROGRESS_COMPLETE, i);
    }
    for (size_t i = 0; i < 5; i++) {
        feeds[i] = feed_of(SLUICE_FEED_FOLLOWING, 1000 * i);
    }
    sluice_run_view_init(&view, "a_pipeline_with_a_long_name");
    update(&view, streams, 60, feeds, 5, 5 * S);
    for (size_t width = 1; width <= 200; width += 7) {
        for (size_t height = 1; height <= 60; height += 3) {
            struct sluice_cli_term term = wide_term(width, height);
            struct sluice_str out = SLUICE_STR_INIT;
            size_t counted = 0;
            term.color = (int)(width % 2);
            size_t lines = sluice_run_view_block(&view, &term, &out);
            assert_true(lines <= (height > 1 ? height : 2) - 1);
            char *line = out.data;
            for (char *end = strchr(line, '\n'); end != NULL; end = strchr(line, '\n'), counted++) {
                *end = '\0';
                assert_true(width == 1 || sluice_cli_text_width(line) < width);
                line = end + 1;
            }
            assert_int_equal(counted, lines);
            sluice_str_free(&out);
        }
    }
    sluice_run_view_free(&view);
}

static void summary_counts_changes(void **state)
{
    (void)state;
    struct sluice_run_view view;
    struct sluice_cli_term term = plain_term();
    struct sluice_str out = SLUICE_STR_INIT;
    struct sluice_progress_stream streams[] = {
        stream_of("public.a", SLUICE_PROGRESS_COMPLETE, 1200),
        stream_of("public.b", SLUICE_PROGRESS_SKIPPED, 0),
    };
    struct sluice_progress_feed feed = feed_of(SLUICE_FEED_ENDED, 1200);
    streams[1].started_us = 0;
    feed.updates = 200;
    feed.inserts = 1000;
    sluice_run_view_init(&view, "p");
    update(&view, streams, 2, &feed, 1, 11 * S);
    sluice_run_view_summary(&view, &term, &out);
    sluice_run_view_free(&view);
    expect_text(&out,
                "table      rows   time   rate  changes  status\n"
                "public.a  1,000   2.0s  500/s    1,200  complete\n"
                "public.b      -      -      -        0  complete before\n"
                "2 tables  1,000  10.0s           1,200  2 complete\n"
                "hr: 1,200 changes in 120 transactions (1000 inserts, 200 updates, 0 deletes); lake"
                " at 00000000016b3748, files has none yet\n");
}

/* Tables with changes are listed also where there are many. */
static void summary_of_many_lists_the_changed(void **state)
{
    (void)state;
    struct sluice_run_view view;
    struct sluice_cli_term term = plain_term();
    struct sluice_str out = SLUICE_STR_INIT;
    static struct sluice_progress_stream many[300];
    struct sluice_progress_feed feed = feed_of(SLUICE_FEED_IDLE, 5);
    for (size_t i = 0; i < 300; i++) {
        many[i] = stream_of(i == 299 ? "public.changed" : "public.quiet", SLUICE_PROGRESS_SKIPPED,
                            i == 299 ? 5 : 0);
    }
    sluice_run_view_init(&view, "p");
    update(&view, many, 300, &feed, 1, 11 * S);
    sluice_run_view_summary(&view, &term, &out);
    assert_non_null(strstr(out.data, "public.changed"));
    assert_non_null(strstr(out.data, "259 more"));
    sluice_str_free(&out);
    sluice_run_view_free(&view);
}

static void lines_for_the_log(void **state)
{
    (void)state;
    struct sluice_run_view view;
    struct sluice_str out = SLUICE_STR_INIT;
    struct sluice_progress_feed feed = feed_of(SLUICE_FEED_FOLLOWING, 200);
    sluice_run_view_init(&view, "p");
    update(&view, NULL, 0, &feed, 1, 10 * S);
    feed = feed_of(SLUICE_FEED_FOLLOWING, 1200);
    feed.remaining_bytes = 5;
    feed.retries = 1;
    update(&view, NULL, 0, &feed, 1, 20 * S);
    sluice_feed_view_line(view.feeds[0], &out);
    expect_text(&out, "source=hr feed=following changes=1200 transactions=120 changes_per_s=100"
                      " behind_s=0.4 behind_bytes=12288 retained_bytes=35651584 remaining_bytes=5"
                      " retries=1 lake=00000000016b3748 lake_behind_s=0.4 lake_queued=12288 files=-"
                      " files_behind_s=0.0 files_queued=0");
    sluice_run_view_free(&view);
}

/* Every 10 s while something moves, once a minute when nothing does, at once when it stalls. */
static void lines_are_due(void **state)
{
    (void)state;
    struct sluice_run_view view;
    static const struct {
        int64_t at_s;
        int32_t status;
        uint64_t changes;
        int due;
    } steps[] = {
        {100, SLUICE_FEED_CONNECTING, 0, 0}, {101, SLUICE_FEED_FOLLOWING, 0, 1}, /* it flows */
        {102, SLUICE_FEED_FOLLOWING, 5, 0},  {111, SLUICE_FEED_FOLLOWING, 9, 1},
        {115, SLUICE_FEED_IDLE, 9, 0},       {121, SLUICE_FEED_IDLE, 9, 1}, /* another status */
        {131, SLUICE_FEED_IDLE, 9, 0},       {180, SLUICE_FEED_IDLE, 9, 0},
        {181, SLUICE_FEED_IDLE, 9, 1}, /* a minute */
        {184, SLUICE_FEED_STALLED, 9, 1},    {190, SLUICE_FEED_STALLED, 9, 0},
        {191, SLUICE_FEED_FOLLOWING, 10, 1}, {195, SLUICE_FEED_FOLLOWING, 20, 0},
        {201, SLUICE_FEED_FOLLOWING, 20, 1},
    };
    sluice_run_view_init(&view, "p");
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct sluice_progress_feed feed = feed_of(steps[i].status, steps[i].changes);
        update(&view, NULL, 0, &feed, 1, steps[i].at_s * S);
        if (sluice_feed_view_due(view.feeds[0], steps[i].at_s * S) != steps[i].due) {
            fail_msg("step %zu", i);
        }
    }
    sluice_run_view_free(&view);
}

static void feeds_as_json(void **state)
{
    (void)state;
    struct sluice_run_view view;
    struct sluice_progress_feed feed = feed_of(SLUICE_FEED_IDLE, 200);
    feed.behind_us = -1;
    sluice_run_view_init(&view, "p");
    update(&view, NULL, 0, &feed, 1, 10 * S);
    json_t *object = json_object();
    sluice_run_view_json(&view, object);
    json_t *json = json_array_get(json_object_get(object, "feeds"), 0);
    assert_string_equal(json_string_value(json_object_get(json, "source")), "hr");
    assert_string_equal(json_string_value(json_object_get(json, "status")), "idle");
    assert_int_equal(json_integer_value(json_object_get(json, "changes")), 200);
    assert_true(json_is_null(json_object_get(json, "behind_s")));
    assert_true(json_is_null(json_object_get(json, "remaining_bytes")));
    assert_int_equal(json_integer_value(json_object_get(json, "retained_bytes")), 34 * MIB);
    assert_string_equal(json_string_value(json_object_get(json, "last_commit")),
                        "2026-11-23T00:52:34.123456Z");
    json_t *lake = json_array_get(json_object_get(json, "sinks"), 0);
    assert_string_equal(json_string_value(json_object_get(lake, "position")), "00000000016b3748");
    assert_true(json_is_null(
        json_object_get(json_array_get(json_object_get(json, "sinks"), 1), "position")));
    json_decref(object);
    sluice_run_view_free(&view);
}

static void out_of_memory_shows_less(void **state)
{
    (void)state;
    struct sluice_progress_feed feeds[] = {feed_of(SLUICE_FEED_IDLE, 1),
                                           feed_of(SLUICE_FEED_IDLE, 2)};
    for (long n = 1; n < 8; n++) {
        struct sluice_run_view view;
        sluice_run_view_init(&view, "p");
        sluice_alloc_fail_at(n, 0);
        update(&view, NULL, 0, feeds, 2, 10 * S);
        sluice_alloc_fail_at(0, 0);
        assert_true(view.feed_count <= 2);
        update(&view, NULL, 0, feeds, 2, 11 * S);
        assert_int_equal(view.feed_count, 2);
        sluice_run_view_free(&view);
    }
}

int run_feed_view_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_while_following),
        cmocka_unit_test(block_while_loading),
        cmocka_unit_test(trouble_is_seen),
        cmocka_unit_test(block_fits_any_window),
        cmocka_unit_test(summary_counts_changes),
        cmocka_unit_test(summary_of_many_lists_the_changed),
        cmocka_unit_test(lines_for_the_log),
        cmocka_unit_test(lines_are_due),
        cmocka_unit_test(feeds_as_json),
        cmocka_unit_test(out_of_memory_shows_less),
    };
    return cmocka_run_group_tests_name("cli feed view", tests, NULL, NULL);
}
