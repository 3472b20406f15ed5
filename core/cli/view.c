#include "view.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli.h"
#include "feed_view.h"
#include "log/log.h"
#include "table.h"
#include "text.h"

/* Rates are averaged over about so much time, so that they neither jump nor lag. */
#define RATE_WINDOW_US 3000000.0
#define RATE_LEAST_US 200000

/* Below this share, an estimate of the time left says nothing. */
#define ETA_LEAST_SHARE 0.02
#define ETA_LEAST_US 1000000

void sluice_run_view_init(struct sluice_run_view *view, const char *pipeline)
{
    memset(view, 0, sizeof *view);
    view->pipeline = pipeline;
    view->total.phase = "connecting";
    view->rate.per_s = -1;
    view->share = -1;
    view->eta_us = -1;
}

void sluice_run_view_free(struct sluice_run_view *view)
{
    for (size_t i = 0; i < view->feed_count; i++) {
        sluice_free(view->feeds[i]->lanes);
        sluice_free(view->feeds[i]);
    }
    sluice_free((void *)view->feeds);
    sluice_free(view->rows);
    memset(view, 0, sizeof *view);
}

void sluice_run_view_begin(struct sluice_run_view *view)
{
    view->next = 0;
    view->next_feed = 0;
}

static void row_reset(struct sluice_view_row *row)
{
    memset(row, 0, sizeof *row);
    sluice_view_rate_reset(&row->rate);
    sluice_view_rate_reset(&row->changes);
}

void sluice_run_view_row(struct sluice_run_view *view, const struct sluice_progress_stream *stream)
{
    size_t i = view->next;
    if (i == view->count) {
        if (!sluice_alloc_grow((void **)&view->rows, &view->cap, i + 1, sizeof *view->rows)) {
            view->failed = 1;
            return;
        }
        row_reset(&view->rows[i]);
        view->count++;
    }
    else if (view->rows[i].stream.name != stream->name ||
             view->rows[i].stream.source != stream->source) {
        row_reset(&view->rows[i]);
    }
    view->rows[i].stream = *stream;
    view->next++;
}

void sluice_view_rate_reset(struct sluice_view_rate *rate)
{
    *rate = (struct sluice_view_rate){-1, 0, 0};
}

/* An exponential average over RATE_WINDOW_US. */
void sluice_view_rate_update(struct sluice_view_rate *rate, uint64_t count, int64_t now_us)
{
    if (rate->us == 0 || count < rate->count) {
        rate->us = now_us;
        rate->count = count;
        return;
    }
    int64_t passed = now_us - rate->us;
    if (passed < RATE_LEAST_US) {
        return;
    }
    double now = (double)(count - rate->count) * 1e6 / (double)passed;
    double weight = (double)passed / RATE_WINDOW_US;
    weight = weight < 1 ? weight : 1;
    rate->per_s = rate->per_s < 0 ? now : rate->per_s + (now - rate->per_s) * weight;
    rate->us = now_us;
    rate->count = count;
}

static int is_over(int32_t status)
{
    return status == SLUICE_PROGRESS_COMPLETE || status == SLUICE_PROGRESS_FAILED ||
           status == SLUICE_PROGRESS_SKIPPED || status == SLUICE_PROGRESS_STOPPED ||
           status == SLUICE_PROGRESS_FOLLOWING;
}

/* Share of everything: each stream weighs as many rows as it is believed to have. */
static void update_share(struct sluice_run_view *view)
{
    double weights = 0;
    double done = 0;
    for (size_t i = 0; i < view->count; i++) {
        const struct sluice_progress_stream *s = &view->rows[i].stream;
        double weight = s->rows_estimate > 0 ? (double)s->rows_estimate : 1;
        if (s->status == SLUICE_PROGRESS_SKIPPED || s->status == SLUICE_PROGRESS_FOLLOWING) {
            continue;
        }
        weights += weight;
        if (is_over(s->status)) {
            done += weight;
        }
        else if (s->status == SLUICE_PROGRESS_RUNNING && s->share > 0) {
            done += weight * (s->share < 1 ? s->share : 1);
        }
    }
    view->share = weights > 0 ? done / weights : -1;
}

static int64_t time_left(double share, int64_t passed_us)
{
    if (share < ETA_LEAST_SHARE || passed_us < ETA_LEAST_US) {
        return -1;
    }
    return (int64_t)((double)passed_us * (1 - share) / share);
}

/* Feeds do not end one by one; this is for engines that come without. */
static size_t feeds_cut(struct sluice_run_view *view)
{
    for (size_t i = view->next_feed; i < view->feed_count; i++) {
        sluice_free(view->feeds[i]->lanes);
        sluice_free(view->feeds[i]);
    }
    return view->next_feed < view->feed_count ? view->next_feed : view->feed_count;
}

void sluice_run_view_end(struct sluice_run_view *view, const struct sluice_progress *total)
{
    int64_t first_us = 0;
    view->count = view->next < view->count ? view->next : view->count;
    view->total = *total;
    view->several_sources = 0;
    for (size_t i = 0; i < view->count; i++) {
        struct sluice_view_row *row = &view->rows[i];
        const struct sluice_progress_stream *s = &row->stream;
        if (s->status == SLUICE_PROGRESS_RUNNING) {
            sluice_view_rate_update(&row->rate, s->rows, total->now_us);
        }
        sluice_view_rate_update(&row->changes, s->changes, total->now_us);
        if (s->started_us > 0 && (first_us == 0 || s->started_us < first_us)) {
            first_us = s->started_us;
        }
        if (i > 0 && strcmp(s->source, view->rows[0].stream.source) != 0) {
            view->several_sources = 1;
        }
    }
    sluice_view_rate_update(&view->rate, total->rows, total->now_us);
    view->feed_count = feeds_cut(view);
    for (size_t i = 0; i < view->feed_count; i++) {
        struct sluice_view_feed *feed = view->feeds[i];
        sluice_view_rate_update(&feed->changes, feed->feed.changes, total->now_us);
        sluice_view_rate_update(&feed->transactions, feed->feed.transactions, total->now_us);
    }
    update_share(view);
    view->eta_us = first_us > 0 ? time_left(view->share, total->now_us - first_us) : -1;
}

int sluice_run_view_loads(const struct sluice_run_view *view)
{
    for (size_t i = 0; i < view->count; i++) {
        if (!is_over(view->rows[i].stream.status)) {
            return 1;
        }
    }
    return view->feed_count == 0;
}

const char *sluice_run_view_status(int32_t status)
{
    switch (status) {
    case SLUICE_PROGRESS_WAITING:
        return "waiting";
    case SLUICE_PROGRESS_RUNNING:
        return "running";
    case SLUICE_PROGRESS_COMPLETE:
        return "complete";
    case SLUICE_PROGRESS_FAILED:
        return "failed";
    case SLUICE_PROGRESS_SKIPPED:
        return "skipped";
    case SLUICE_PROGRESS_STOPPED:
        return "stopped";
    case SLUICE_PROGRESS_FOLLOWING:
        return "changes only";
    default:
        return "?";
    }
}

static int64_t row_us(const struct sluice_run_view *view, const struct sluice_progress_stream *s)
{
    if (s->started_us == 0) {
        return 0;
    }
    int64_t end = s->finished_us > 0 ? s->finished_us : view->total.now_us;
    return end > s->started_us ? end - s->started_us : 0;
}

static double average(uint64_t rows, int64_t us)
{
    return us > 0 && rows > 0 ? (double)rows * 1e6 / (double)us : -1;
}

void sluice_view_rate_text(double rate, char out[40])
{
    char count[32];
    if (rate < 0) {
        memcpy(out, "-", 2);
        return;
    }
    sluice_count_format((uint64_t)(rate + 0.5), count);
    size_t size = strlen(count);
    memcpy(out, count, size);
    memcpy(out + size, "/s", 3);
}

/* Whole seconds: an estimate that shows tenths only looks exact. */
static void left_text(int64_t us, char out[40])
{
    int64_t seconds = (us + 999999) / 1000000;
    if (seconds >= 60) {
        sluice_duration_format(seconds * 1000000, out);
        return;
    }
    (void)snprintf(out, 40, "%llds", (long long)seconds);
}

void sluice_view_name(const struct sluice_run_view *view, const struct sluice_progress_stream *s,
                      int style, struct sluice_cli_table *table)
{
    struct sluice_str name = SLUICE_STR_INIT;
    if (view->several_sources) {
        sluice_str_printf(&name, "%s: ", s->source);
    }
    sluice_str_append(&name, s->name);
    sluice_cli_table_add(table, style, sluice_str_text(&name));
    table->failed = table->failed || name.failed;
    sluice_str_free(&name);
}

/* ---------------------------------------------------------------- the live block ------------- */

#define BLOCK_ROWS_MOST 24
#define BLOCK_ENDED_MOST 4
#define ENDED_SHOWN_US 10000000

/* Marks the rows to show: those that run, then those that ended last. */
static size_t choose_rows(const struct sluice_run_view *view, size_t room, size_t *chosen)
{
    size_t count = 0;
    size_t ended = 0;
    for (size_t i = 0; i < view->count && count < room; i++) {
        if (view->rows[i].stream.status == SLUICE_PROGRESS_RUNNING) {
            chosen[count++] = i;
        }
    }
    int64_t before = INT64_MAX;
    while (count < room && ended < BLOCK_ENDED_MOST) {
        size_t best = view->count;
        for (size_t i = 0; i < view->count; i++) {
            const struct sluice_progress_stream *s = &view->rows[i].stream;
            if (is_over(s->status) && s->finished_us > 0 && s->finished_us < before &&
                view->total.now_us - s->finished_us < ENDED_SHOWN_US &&
                (best == view->count || s->finished_us > view->rows[best].stream.finished_us)) {
                best = i;
            }
        }
        if (best == view->count) {
            break;
        }
        before = view->rows[best].stream.finished_us;
        chosen[count++] = best;
        ended++;
    }
    /* In the source's order, so that lines do not jump. */
    for (size_t i = 1; i < count; i++) {
        size_t value = chosen[i];
        size_t k = i;
        while (k > 0 && chosen[k - 1] > value) {
            chosen[k] = chosen[k - 1];
            k--;
        }
        chosen[k] = value;
    }
    return count;
}

/* What there is room for. */
struct block_shape {
    size_t bar; /* width of the bar, 0 = none */
    int rate;
    int retries; /* some row has some */
    size_t columns;
};

static void choose_shape(const struct sluice_run_view *view, size_t width, const size_t *chosen,
                         size_t count, struct block_shape *shape)
{
    memset(shape, 0, sizeof *shape);
    shape->bar = width >= 100 ? 24 : width >= 84 ? 12 : 0;
    shape->rate = width >= 64;
    for (size_t i = 0; i < count; i++) {
        shape->retries |= view->rows[chosen[i]].stream.retries > 0;
    }
    shape->columns = (size_t)(4 + (shape->bar > 0) + shape->rate + shape->retries);
}

/* Share, rows and rate stand to the right. */
static uint32_t block_right(const struct block_shape *shape)
{
    uint32_t numbers = shape->rate ? 0x07 : 0x03;
    return numbers << (shape->bar > 0 ? 2 : 1);
}

static void block_row(const struct sluice_run_view *view, const struct sluice_view_row *row,
                      const struct sluice_cli_term *term, const struct block_shape *shape,
                      struct sluice_cli_table *table)
{
    const struct sluice_progress_stream *s = &row->stream;
    struct sluice_str bar = SLUICE_STR_INIT;
    char text[40];
    int over = is_over(s->status);
    int bad = s->status == SLUICE_PROGRESS_FAILED;
    int style = bad                                     ? SLUICE_STYLE_BAD
                : s->status == SLUICE_PROGRESS_COMPLETE ? SLUICE_STYLE_GOOD
                                                        : SLUICE_STYLE_NONE;
    double share = s->status == SLUICE_PROGRESS_COMPLETE ? 1 : s->share;
    sluice_view_name(view, s, SLUICE_STYLE_NAME, table);
    if (shape->bar > 0) {
        sluice_cli_bar(&bar, share, shape->bar, term->unicode);
        sluice_cli_table_add(table, style, sluice_str_text(&bar));
        sluice_str_free(&bar);
    }
    if (share >= 0) {
        sluice_cli_table_addf(table, SLUICE_STYLE_NONE, "%3.0f%%", (share < 1 ? share : 1) * 100);
    }
    else {
        sluice_cli_table_add(table, SLUICE_STYLE_NONE, "");
    }
    sluice_count_format(s->rows, text);
    sluice_cli_table_addf(table, SLUICE_STYLE_NONE, "%s rows", text);
    if (shape->rate) {
        sluice_view_rate_text(over ? average(s->rows, row_us(view, s)) : row->rate.per_s, text);
        sluice_cli_table_add(table, SLUICE_STYLE_NONE, text);
    }
    if (over) {
        sluice_duration_format(row_us(view, s), text);
        sluice_cli_table_addf(table, style, "%s %s", sluice_run_view_status(s->status), text);
    }
    else {
        int64_t left = time_left(share, row_us(view, s));
        left_text(left, text);
        sluice_cli_table_addf(table, SLUICE_STYLE_NONE, "%s%s", left >= 0 ? "ETA " : "",
                              left >= 0 ? text : "");
    }
    if (shape->retries && s->retries > 0) {
        sluice_cli_table_addf(table, SLUICE_STYLE_WARN, "%u retr%s", s->retries,
                              s->retries == 1 ? "y" : "ies");
    }
    else if (shape->retries) {
        sluice_cli_table_add(table, SLUICE_STYLE_NONE, "");
    }
}

static void block_head(const struct sluice_run_view *view, const struct sluice_cli_term *term,
                       struct sluice_str *out)
{
    const struct sluice_progress *t = &view->total;
    int loads = sluice_run_view_loads(view);
    char text[40];
    struct sluice_str name = SLUICE_STR_INIT;
    sluice_cli_text_escape(&name, view->pipeline);
    sluice_cli_term_append(term, out, SLUICE_STYLE_BOLD, sluice_str_text(&name));
    sluice_str_free(&name);
    sluice_str_printf(out, "  %s  %u/%u tables", view->stopping ? "stopping" : t->phase,
                      t->streams_complete, t->streams_total);
    if (t->streams_failed > 0) {
        sluice_str_printf(out, "  %s%u failed%s", sluice_cli_term_begin(term, SLUICE_STYLE_BAD),
                          t->streams_failed, sluice_cli_term_end(term, SLUICE_STYLE_BAD));
    }
    if (loads && view->share >= 0 && t->streams_total > 0) {
        sluice_str_printf(out, "  %.0f%%", view->share * 100);
    }
    if (loads || t->rows > 0) {
        sluice_count_format(t->rows, text);
        sluice_str_printf(out, "  %s rows", text);
    }
    if (loads && view->rate.per_s >= 0) {
        sluice_view_rate_text(view->rate.per_s, text);
        sluice_str_printf(out, "  %s", text);
    }
    sluice_duration_format(t->now_us - t->started_us, text);
    sluice_str_printf(out, "  %s", text);
    if (loads && view->eta_us >= 0) {
        left_text(view->eta_us, text);
        sluice_str_printf(out, "  ETA %s", text);
    }
    if (t->bytes_written > 0) {
        sluice_size_format(t->bytes_written, text);
        sluice_str_printf(out, "  %s written", text);
    }
    sluice_size_format(t->memory_used, text);
    sluice_str_printf(out, "  memory %s", text);
    if (t->retries > 0) {
        sluice_str_printf(out, "  %s%u retr%s%s", sluice_cli_term_begin(term, SLUICE_STYLE_WARN),
                          t->retries, t->retries == 1 ? "y" : "ies",
                          sluice_cli_term_end(term, SLUICE_STYLE_WARN));
    }
    sluice_str_append_char(out, '\n');
}

size_t sluice_run_view_block(const struct sluice_run_view *view, const struct sluice_cli_term *term,
                             struct sluice_str *out)
{
    struct sluice_str raw = SLUICE_STR_INIT;
    struct sluice_cli_table table;
    struct sluice_cli_term narrow = *term;
    struct block_shape shape;
    size_t chosen[BLOCK_ROWS_MOST];
    size_t lines = 0;
    size_t height = term->height > 2 ? term->height - 2 : 0;
    /* One column stays free: a full line would make some terminals wrap. */
    narrow.width = term->width > 1 ? term->width - 1 : 1;
    block_head(view, term, &raw);
    height -= sluice_feed_view_block(view, &narrow, height, &raw);
    size_t room = height < BLOCK_ROWS_MOST ? height : BLOCK_ROWS_MOST;
    size_t count = choose_rows(view, room, chosen);
    choose_shape(view, narrow.width, chosen, count, &shape);
    sluice_cli_table_init(&table, shape.columns, NULL, block_right(&shape), 0x01);
    table.indent = 2;
    for (size_t i = 0; i < count; i++) {
        block_row(view, &view->rows[chosen[i]], term, &shape, &table);
    }
    sluice_cli_table_render(&table, &narrow, &raw);
    sluice_cli_table_free(&table);
    (void)sluice_feed_view_tables(view, &narrow, height - count, &raw);
    out->failed = out->failed || raw.failed;
    for (char *p = raw.data; p != NULL && *p != '\0' && !raw.failed;) {
        char *end = strchr(p, '\n');
        *end = '\0';
        (void)sluice_cli_text_cut(out, p, narrow.width, term->unicode);
        sluice_str_append_char(out, '\n');
        lines++;
        p = end + 1;
    }
    sluice_str_free(&raw);
    return lines;
}

/* ---------------------------------------------------------------- the summary ---------------- */

/* With more tables than this, the fine ones are counted rather than listed. */
#define SUMMARY_ROWS_MOST 40

/* Counts of the whole run; with changes where there are feeds. */
static void summary_totals(const struct sluice_run_view *view, struct sluice_cli_table *table)
{
    const struct sluice_progress *t = &view->total;
    char text[40];
    sluice_cli_table_addf(table, SLUICE_STYLE_BOLD, "%u table%s", t->streams_total,
                          t->streams_total == 1 ? "" : "s");
    sluice_cli_table_add_count(table, (int64_t)t->rows);
    sluice_duration_format(t->now_us - t->started_us, text);
    sluice_cli_table_add(table, SLUICE_STYLE_NONE, text);
    sluice_view_rate_text(average(t->rows, t->now_us - t->started_us), text);
    sluice_cli_table_add(table, SLUICE_STYLE_NONE, view->feed_count > 0 ? "" : text);
    if (view->feed_count > 0) {
        uint64_t changes = 0;
        for (size_t i = 0; i < view->count; i++) {
            changes += view->rows[i].stream.changes;
        }
        sluice_cli_table_add_count(table, (int64_t)changes);
    }
    if (t->streams_failed > 0) {
        sluice_cli_table_addf(table, SLUICE_STYLE_BAD, "%u failed", t->streams_failed);
    }
    else {
        sluice_cli_table_addf(table, SLUICE_STYLE_NONE, "%u complete", t->streams_complete);
    }
}

static void summary_row(const struct sluice_run_view *view, const struct sluice_view_row *row,
                        struct sluice_cli_table *table)
{
    const struct sluice_progress_stream *s = &row->stream;
    char text[40];
    int style = s->status == SLUICE_PROGRESS_FAILED      ? SLUICE_STYLE_BAD
                : s->status == SLUICE_PROGRESS_COMPLETE  ? SLUICE_STYLE_GOOD
                : s->status == SLUICE_PROGRESS_FOLLOWING ? SLUICE_STYLE_NONE
                                                         : SLUICE_STYLE_WARN;
    int skipped = s->status == SLUICE_PROGRESS_SKIPPED || s->status == SLUICE_PROGRESS_FOLLOWING;
    sluice_view_name(view, s, SLUICE_STYLE_NONE, table);
    sluice_cli_table_add_count(table, skipped ? -1 : (int64_t)s->rows);
    sluice_duration_format(row_us(view, s), text);
    sluice_cli_table_add(table, SLUICE_STYLE_NONE, s->started_us > 0 ? text : NULL);
    sluice_view_rate_text(average(s->rows, row_us(view, s)), text);
    sluice_cli_table_add(table, SLUICE_STYLE_NONE, text);
    if (view->feed_count > 0) {
        sluice_cli_table_add_count(table, (int64_t)s->changes);
    }
    sluice_cli_table_addf(table, style, "%s",
                          s->status == SLUICE_PROGRESS_SKIPPED ? "complete before"
                                                               : sluice_run_view_status(s->status));
}

/* "failed: TABLE: why", and the hint beneath. */
static void failure_text(const struct sluice_progress_stream *s, const struct sluice_cli_term *term,
                         struct sluice_str *out)
{
    const char *message =
        s->message != NULL ? sluice_cli_error_about(s->message, s->name) : "no reason given";
    struct sluice_str raw = SLUICE_STR_INIT;
    struct sluice_str hint = SLUICE_STR_INIT;
    struct sluice_str text = SLUICE_STR_INIT;
    sluice_str_append_n(&raw, message, sluice_cli_error_hint(message, &hint));
    sluice_cli_text_escape(&text, s->name);
    sluice_str_append(&text, ": ");
    sluice_cli_text_escape(&text, sluice_str_text(&raw));
    if (hint.size > 0) {
        sluice_str_append(&text, "\n  hint: ");
        sluice_cli_text_escape_lines(&text, sluice_str_text(&hint), 8);
    }
    if (!text.failed) {
        sluice_log_redact(text.data);
    }
    sluice_cli_term_append(term, out, SLUICE_STYLE_BAD, "failed:");
    sluice_str_append_char(out, ' ');
    sluice_str_append(out, sluice_str_text(&text));
    sluice_str_append_char(out, '\n');
    sluice_str_free(&raw);
    sluice_str_free(&hint);
    sluice_str_free(&text);
}

static void summary_failures(const struct sluice_run_view *view, const struct sluice_cli_term *term,
                             struct sluice_str *out)
{
    for (size_t i = 0; i < view->count; i++) {
        const struct sluice_progress_stream *s = &view->rows[i].stream;
        if (s->status != SLUICE_PROGRESS_FAILED) {
            continue;
        }
        failure_text(s, term, out);
    }
}

void sluice_run_view_summary(const struct sluice_run_view *view, const struct sluice_cli_term *term,
                             struct sluice_str *out)
{
    static const char *const plain[] = {"table", "rows", "time", "rate", "status"};
    static const char *const more[] = {"table", "rows", "time", "rate", "changes", "status"};
    struct sluice_cli_table table;
    size_t left_out = 0;
    int changes = view->feed_count > 0;
    if (changes) {
        sluice_cli_table_init(&table, 6, more, 0x1e, 0x01);
    }
    else {
        sluice_cli_table_init(&table, 5, plain, 0x0e, 0x01);
    }
    for (size_t i = 0; i < view->count; i++) {
        const struct sluice_view_row *row = &view->rows[i];
        int fine = row->stream.status == SLUICE_PROGRESS_COMPLETE ||
                   row->stream.status == SLUICE_PROGRESS_SKIPPED;
        /* Those with changes are what a run that follows is about. */
        fine = fine && row->stream.changes == 0;
        if (fine && sluice_cli_table_rows(&table) >= SUMMARY_ROWS_MOST) {
            left_out++;
            continue;
        }
        summary_row(view, row, &table);
    }
    if (left_out > 0) {
        sluice_cli_table_addf(&table, SLUICE_STYLE_DIM, "%s %zu more",
                              term->unicode ? "\u2026" : "...", left_out);
        for (size_t i = 0; i < (changes ? 4 : 3); i++) {
            sluice_cli_table_add(&table, SLUICE_STYLE_NONE, "");
        }
        sluice_cli_table_add(&table, SLUICE_STYLE_GOOD, "complete");
    }
    summary_totals(view, &table);
    sluice_cli_table_render(&table, term, out);
    sluice_cli_table_free(&table);
    sluice_feed_view_summary(view, term, out);
    summary_failures(view, term, out);
}

/* ---------------------------------------------------------------- log and JSON --------------- */

void sluice_run_view_line(const struct sluice_run_view *view, struct sluice_str *out)
{
    const struct sluice_progress *t = &view->total;
    char text[32];
    sluice_str_printf(out, "phase=%s tables=%u/%u failed=%u rows=%llu", t->phase,
                      t->streams_complete, t->streams_total, t->streams_failed,
                      (unsigned long long)t->rows);
    if (view->rate.per_s >= 0) {
        sluice_str_printf(out, " rows_per_s=%.0f", view->rate.per_s);
    }
    sluice_str_printf(out, " bytes_written=%llu memory=%llu retries=%u",
                      (unsigned long long)t->bytes_written, (unsigned long long)t->memory_used,
                      t->retries);
    if (view->share >= 0 && t->streams_total > 0) {
        sluice_str_printf(out, " done=%.0f%%", view->share * 100);
    }
    if (view->eta_us >= 0) {
        sluice_duration_format(view->eta_us, text);
        sluice_str_printf(out, " eta=%s", text);
    }
}

static json_t *seconds(int64_t us)
{
    return us < 0 ? json_null() : json_real((double)us / 1e6);
}

static json_t *number_or_null(double value)
{
    return value < 0 ? json_null() : json_real(value);
}

void sluice_run_view_json(const struct sluice_run_view *view, json_t *object)
{
    const struct sluice_progress *t = &view->total;
    int64_t passed = t->now_us > t->started_us ? t->now_us - t->started_us : 0;
    (void)json_object_set_new(object, "phase", sluice_cli_json_text(t->phase));
    (void)json_object_set_new(object, "load", sluice_cli_json_text(t->load_id));
    (void)json_object_set_new(object, "seconds", seconds(passed));
    (void)json_object_set_new(object, "rows", json_integer((json_int_t)t->rows));
    (void)json_object_set_new(object, "rows_per_s", number_or_null(average(t->rows, passed)));
    (void)json_object_set_new(object, "bytes_read", json_integer((json_int_t)t->bytes_read));
    (void)json_object_set_new(object, "bytes_written", json_integer((json_int_t)t->bytes_written));
    (void)json_object_set_new(object, "memory_used", json_integer((json_int_t)t->memory_used));
    (void)json_object_set_new(object, "retries", json_integer(t->retries));
    (void)json_object_set_new(object, "streams_total", json_integer(t->streams_total));
    (void)json_object_set_new(object, "streams_complete", json_integer(t->streams_complete));
    (void)json_object_set_new(object, "streams_failed", json_integer(t->streams_failed));
    json_t *feeds = json_array();
    for (size_t i = 0; i < view->feed_count; i++) {
        (void)json_array_append_new(feeds, sluice_feed_view_json(view->feeds[i]));
    }
    (void)json_object_set_new(object, "feeds", feeds);
}

json_t *sluice_run_view_row_json(const struct sluice_view_row *row)
{
    const struct sluice_progress_stream *s = &row->stream;
    json_t *object = json_object();
    int64_t passed =
        s->finished_us > s->started_us && s->started_us > 0 ? s->finished_us - s->started_us : -1;
    (void)json_object_set_new(object, "source", sluice_cli_json_text(s->source));
    (void)json_object_set_new(object, "name", sluice_cli_json_text(s->name));
    (void)json_object_set_new(object, "status", json_string(sluice_run_view_status(s->status)));
    (void)json_object_set_new(object, "rows", json_integer((json_int_t)s->rows));
    (void)json_object_set_new(object, "changes", json_integer((json_int_t)s->changes));
    (void)json_object_set_new(object, "rows_estimate", sluice_cli_json_count(s->rows_estimate));
    (void)json_object_set_new(object, "share", number_or_null(s->share));
    (void)json_object_set_new(object, "bytes", json_integer((json_int_t)s->bytes));
    (void)json_object_set_new(object, "seconds", seconds(passed));
    (void)json_object_set_new(object, "retries", json_integer(s->retries));
    (void)json_object_set_new(object, "message", sluice_cli_json_message(s->message));
    return object;
}
