/* What is shown of a run: rates, shares, the block, the summary. */
#include "test_cli.h"

#include "cli/text.h"
#include "cli/view.h"

#define S INT64_C(1000000)

static const struct sluice_progress_stream example[] = {
    {"g", "public.done", SLUICE_PROGRESS_COMPLETE, 1000, 1000, 1, 8000, 1 * S, 3 * S, 0, NULL, 0},
    {"g", "public.busy", SLUICE_PROGRESS_RUNNING, 2500, 10000, 0.25, 20000, 2 * S, 0, 2, NULL, 0},
    {"g", "public.broken", SLUICE_PROGRESS_FAILED, 7, 100, 0.07, 70, 1 * S, 2 * S, 0,
     "no right (hint: GRANT it)", 0},
    {"g", "public.later", SLUICE_PROGRESS_WAITING, 0, 500, -1, 0, 0, 0, 0, NULL, 0},
    {"g", "public.before", SLUICE_PROGRESS_SKIPPED, 0, 100, 1, 0, 0, 0, 0, NULL, 0},
};

static void update(struct sluice_run_view *view, const struct sluice_progress_stream *streams,
                   size_t count, int64_t now_us)
{
    struct sluice_progress total;
    memset(&total, 0, sizeof total);
    total.phase = "loading";
    total.load_id = "L1";
    total.started_us = 1 * S;
    total.now_us = now_us;
    total.streams_total = (uint32_t)count;
    sluice_run_view_begin(view);
    for (size_t i = 0; i < count; i++) {
        total.rows += streams[i].rows;
        total.streams_complete += streams[i].status == SLUICE_PROGRESS_COMPLETE ||
                                  streams[i].status == SLUICE_PROGRESS_SKIPPED;
        total.streams_failed += streams[i].status == SLUICE_PROGRESS_FAILED;
        sluice_run_view_row(view, &streams[i]);
    }
    sluice_run_view_end(view, &total);
}

static void rates_follow(void **state)
{
    (void)state;
    struct sluice_run_view view;
    struct sluice_progress_stream stream = example[1];
    sluice_run_view_init(&view, "p");
    stream.rows = 0;
    update(&view, &stream, 1, 2 * S);
    assert_true(view.rows[0].rate.per_s < 0);
    for (int i = 1; i <= 20; i++) {
        stream.rows += 1000;
        update(&view, &stream, 1, 2 * S + i * S);
    }
    assert_true(view.rows[0].rate.per_s > 999 && view.rows[0].rate.per_s < 1001);
    /* It stands still: the rate falls, but not at once. */
    update(&view, &stream, 1, 23 * S);
    assert_true(view.rows[0].rate.per_s > 100 && view.rows[0].rate.per_s < 900);
    update(&view, &stream, 1, 60 * S);
    assert_true(view.rows[0].rate.per_s < 1);
    /* A table that is read anew begins at 0 rows: no negative rate. */
    stream.rows = 5;
    update(&view, &stream, 1, 62 * S);
    assert_true(view.rows[0].rate.per_s >= 0);
    sluice_run_view_free(&view);
}

static void share_weighs_by_rows(void **state)
{
    (void)state;
    struct sluice_run_view view;
    sluice_run_view_init(&view, "p");
    update(&view, example, 5, 11 * S);
    /* (1000 + 2500 + 100) of (1000 + 10000 + 100 + 500); skipped ones are not of this run. */
    assert_true(view.share > 0.310 && view.share < 0.311);
    assert_true(view.eta_us > 22 * S && view.eta_us < 23 * S);
    sluice_run_view_free(&view);
}

static void block_lines(const char *text, size_t width, size_t lines)
{
    size_t count = 0;
    char copy[8192];
    assert_true(strlen(text) < sizeof copy);
    memcpy(copy, text, strlen(text) + 1);
    for (char *line = copy; *line != '\0'; count++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        assert_true(sluice_cli_text_width(line) < width);
        line = end + 1;
    }
    assert_int_equal(count, lines);
}

static void block_shows_what_runs(void **state)
{
    (void)state;
    struct sluice_run_view view;
    struct sluice_cli_term term = wide_term(120, 20);
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_run_view_init(&view, "p\033[2J");
    update(&view, example, 5, 5 * S);
    assert_int_equal(sluice_run_view_block(&view, &term, &out), 4);
    assert_non_null(strstr(out.data, "p\\x1b[2J  loading  2/5 tables  1 failed"));
    assert_non_null(strstr(out.data, "public.busy"));
    assert_non_null(strstr(out.data, " 25%"));
    assert_non_null(strstr(out.data, "2 retries"));
    assert_non_null(strstr(out.data, "public.done"));
    assert_non_null(strstr(out.data, "complete 2.0s"));
    assert_null(strstr(out.data, "public.later"));
    assert_null(strstr(out.data, "public.before"));
    block_lines(out.data, 120, 4);
    sluice_str_free(&out);
    /* What ended long ago goes. */
    update(&view, example, 5, 60 * S);
    assert_int_equal(sluice_run_view_block(&view, &term, &out), 2);
    assert_null(strstr(out.data, "public.done"));
    sluice_str_free(&out);
    sluice_run_view_free(&view);
}

static void block_fits_any_window(void **state)
{
    (void)state;
    struct sluice_progress_stream many[100];
    struct sluice_run_view view;
    sluice_run_view_init(&view, "a_pipeline_with_a_long_name");
    for (size_t i = 0; i < 100; i++) {
        many[i] = example[1];
        many[i].name = "a.table_with_a_name_that_is_so_long_that_it_must_be_cut_日本語_日本語";
    }
    update(&view, many, 100, 5 * S);
    for (size_t width = 1; width <= 200; width += 7) {
        for (size_t height = 1; height <= 60; height += 9) {
            struct sluice_cli_term term = wide_term(width, height);
            struct sluice_str out = SLUICE_STR_INIT;
            term.color = (int)(width % 2);
            size_t lines = sluice_run_view_block(&view, &term, &out);
            assert_true(lines <= (height > 1 ? height : 2) - 1);
            if (width > 1) {
                block_lines(sluice_str_text(&out), width, lines);
            }
            sluice_str_free(&out);
        }
    }
    sluice_run_view_free(&view);
}

static void summary_tells_what_failed_and_why(void **state)
{
    (void)state;
    struct sluice_run_view view;
    struct sluice_cli_term term = plain_term();
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_run_view_init(&view, "p");
    update(&view, example, 5, 11 * S);
    sluice_run_view_summary(&view, &term, &out);
    sluice_run_view_free(&view);
    expect_text(&out, "table           rows   time   rate  status\n"
                      "public.done    1,000   2.0s  500/s  complete\n"
                      "public.busy    2,500   9.0s  278/s  running\n"
                      "public.broken      7   1.0s    7/s  failed\n"
                      "public.later       0      -      -  waiting\n"
                      "public.before      -      -      -  complete before\n"
                      "5 tables       3,507  10.0s  351/s  1 failed\n"
                      "failed: public.broken: no right\n"
                      "  hint: GRANT it\n");
}

static void summary_of_many_lists_the_failed(void **state)
{
    (void)state;
    struct sluice_progress_stream many[300];
    struct sluice_run_view view;
    struct sluice_cli_term term = plain_term();
    struct sluice_str out = SLUICE_STR_INIT;
    for (size_t i = 0; i < 300; i++) {
        many[i] = example[0];
    }
    many[299] = example[2];
    sluice_run_view_init(&view, "p");
    update(&view, many, 300, 11 * S);
    sluice_run_view_summary(&view, &term, &out);
    assert_non_null(strstr(out.data, "… 259 more"));
    assert_non_null(strstr(out.data, "public.broken"));
    size_t lines = 0;
    for (const char *p = out.data; *p != '\0'; p++) {
        lines += *p == '\n';
    }
    assert_int_equal(lines, 1 + 40 + 1 + 1 + 1 + 2);
    sluice_str_free(&out);
    sluice_run_view_free(&view);
}

static void several_sources_are_named(void **state)
{
    (void)state;
    struct sluice_progress_stream two[2] = {example[0], example[0]};
    struct sluice_run_view view;
    struct sluice_cli_term term = plain_term();
    struct sluice_str out = SLUICE_STR_INIT;
    two[1].source = "other";
    sluice_run_view_init(&view, "p");
    update(&view, two, 2, 4 * S);
    sluice_run_view_summary(&view, &term, &out);
    assert_non_null(strstr(out.data, "other: public.done"));
    sluice_str_free(&out);
    sluice_run_view_free(&view);
}

static void rows_as_json(void **state)
{
    (void)state;
    struct sluice_run_view view;
    sluice_run_view_init(&view, "p");
    update(&view, example, 5, 11 * S);
    json_t *object = json_object();
    sluice_run_view_json(&view, object);
    assert_int_equal(json_integer_value(json_object_get(object, "rows")), 3507);
    assert_int_equal(json_integer_value(json_object_get(object, "streams_failed")), 1);
    json_decref(object);
    object = sluice_run_view_row_json(&view.rows[2]);
    assert_string_equal(json_string_value(json_object_get(object, "status")), "failed");
    assert_string_equal(json_string_value(json_object_get(object, "message")),
                        "no right (hint: GRANT it)");
    json_decref(object);
    object = sluice_run_view_row_json(&view.rows[3]);
    assert_true(json_is_null(json_object_get(object, "share")));
    assert_true(json_is_null(json_object_get(object, "seconds")));
    json_decref(object);
    struct sluice_str line = SLUICE_STR_INIT;
    sluice_run_view_line(&view, &line);
    assert_non_null(strstr(line.data, "phase=loading tables=2/5 failed=1 rows=3507"));
    sluice_str_free(&line);
    sluice_run_view_free(&view);
}

int run_view_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_follow),
        cmocka_unit_test(share_weighs_by_rows),
        cmocka_unit_test(block_shows_what_runs),
        cmocka_unit_test(block_fits_any_window),
        cmocka_unit_test(summary_tells_what_failed_and_why),
        cmocka_unit_test(summary_of_many_lists_the_failed),
        cmocka_unit_test(several_sources_are_named),
        cmocka_unit_test(rows_as_json),
    };
    return cmocka_run_group_tests_name("cli view", tests, NULL, NULL);
}
