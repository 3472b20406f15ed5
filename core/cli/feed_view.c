#include "feed_view.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli.h"
#include "table.h"
#include "text.h"

#define LINE_EVERY_US 10000000
#define IDLE_LINE_EVERY_US 60000000
#define TABLES_MOST 12

const char *sluice_feed_view_status(int32_t status)
{
    switch (status) {
    case SLUICE_FEED_WAITING:
        return "waiting";
    case SLUICE_FEED_CONNECTING:
        return "connecting";
    case SLUICE_FEED_FOLLOWING:
        return "following";
    case SLUICE_FEED_IDLE:
        return "idle";
    case SLUICE_FEED_STALLED:
        return "stalled";
    case SLUICE_FEED_RETRYING:
        return "retrying";
    case SLUICE_FEED_ENDED:
        return "ended";
    default:
        return "?";
    }
}

/* ---------------------------------------------------------------- updates -------------------- */

static void copy_text(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text != NULL ? text : "");
}

static struct sluice_view_feed *feed_at(struct sluice_run_view *view, size_t i)
{
    if (i < view->feed_count) {
        return view->feeds[i];
    }
    if (!sluice_alloc_grow((void **)&view->feeds, &view->feed_cap, i + 1, sizeof(void *))) {
        return NULL;
    }
    struct sluice_view_feed *feed = sluice_alloc_zero(1, sizeof *feed);
    if (feed != NULL) {
        sluice_view_rate_reset(&feed->changes);
        sluice_view_rate_reset(&feed->transactions);
        feed->told_status = -1;
        view->feeds[view->feed_count++] = feed;
    }
    return feed;
}

void sluice_run_view_feed(struct sluice_run_view *view, const struct sluice_progress_feed *from)
{
    struct sluice_view_feed *feed = feed_at(view, view->next_feed);
    if (feed == NULL || !sluice_alloc_grow((void **)&feed->lanes, &feed->lane_cap,
                                           from->lane_count + 1, sizeof *feed->lanes)) {
        view->failed = 1;
        return;
    }
    view->next_feed++;
    copy_text(feed->source, sizeof feed->source, from->source);
    copy_text(feed->shard, sizeof feed->shard, from->shard);
    copy_text(feed->end, sizeof feed->end, from->end);
    feed->feed = *from;
    feed->feed.source = NULL;
    feed->feed.shard = NULL;
    feed->feed.end = NULL;
    feed->feed.lanes = NULL;
    feed->lane_count = from->lane_count;
    for (size_t i = 0; i < from->lane_count; i++) {
        const struct sluice_progress_lane *lane = &from->lanes[i];
        struct sluice_view_lane *to = &feed->lanes[i];
        copy_text(to->sink, sizeof to->sink, lane->sink);
        copy_text(to->position, sizeof to->position, lane->position);
        to->epoch = lane->epoch;
        to->changes = lane->changes;
        to->queued_bytes = lane->queued_bytes;
        to->behind_us = lane->behind_us;
    }
}

/* ---------------------------------------------------------------- the live block ------------- */

static int status_style(int32_t status)
{
    switch (status) {
    case SLUICE_FEED_FOLLOWING:
        return SLUICE_STYLE_GOOD;
    case SLUICE_FEED_STALLED:
        return SLUICE_STYLE_BAD;
    case SLUICE_FEED_RETRYING:
        return SLUICE_STYLE_WARN;
    default:
        return SLUICE_STYLE_NONE;
    }
}

static void behind_text(int64_t us, int64_t bytes, struct sluice_str *out)
{
    char text[24];
    if (us < 0 && bytes < 0) {
        return;
    }
    sluice_str_append(out, "lag");
    if (us >= 0) {
        sluice_duration_format(us, text);
        sluice_str_printf(out, " %s", us > 0 ? text : "0s");
    }
    if (bytes >= 0) {
        sluice_size_format((uint64_t)bytes, text);
        sluice_str_printf(out, "%s %s", us >= 0 ? "," : "", text);
    }
}

static void retained_text(const struct sluice_progress_feed *feed, struct sluice_str *out)
{
    char text[24];
    if (feed->retained_bytes >= 0) {
        sluice_size_format((uint64_t)feed->retained_bytes, text);
        sluice_str_printf(out, "log kept %s", text);
    }
    if (feed->remaining_bytes >= 0) {
        sluice_size_format((uint64_t)feed->remaining_bytes, text);
        sluice_str_printf(out, "%s%s left", feed->retained_bytes >= 0 ? ", " : "", text);
    }
}

/* Little room is left at the source: the next thing it does is let go. */
static int is_tight(const struct sluice_progress_feed *feed)
{
    return feed->remaining_bytes >= 0 && feed->remaining_bytes < feed->retained_bytes / 4;
}

static void add_text(struct sluice_cli_table *table, int style, struct sluice_str *text)
{
    table->failed = table->failed || text->failed;
    sluice_cli_table_add(table, style, sluice_str_text(text));
    sluice_str_free(text);
}

static void add_counted(struct sluice_cli_table *table, uint64_t n, const char *what)
{
    char text[32];
    sluice_count_format(n, text);
    sluice_cli_table_addf(table, SLUICE_STYLE_NONE, "%s %s", text, what);
}

static void feed_row(const struct sluice_view_feed *feed, struct sluice_cli_table *table)
{
    const struct sluice_progress_feed *f = &feed->feed;
    struct sluice_str lag = SLUICE_STR_INIT;
    struct sluice_str kept = SLUICE_STR_INIT;
    char text[40];
    sluice_cli_table_add(table, SLUICE_STYLE_NAME, feed->source);
    if (f->retries > 0) {
        sluice_cli_table_addf(table, status_style(f->status), "%s (%u retr%s)",
                              sluice_feed_view_status(f->status), f->retries,
                              f->retries == 1 ? "y" : "ies");
    }
    else {
        sluice_cli_table_add(table, status_style(f->status), sluice_feed_view_status(f->status));
    }
    behind_text(f->behind_us, f->behind_bytes, &lag);
    add_text(table, SLUICE_STYLE_NONE, &lag);
    retained_text(f, &kept);
    add_text(table, is_tight(f) ? SLUICE_STYLE_BAD : SLUICE_STYLE_NONE, &kept);
    sluice_view_rate_text(feed->changes.per_s, text);
    sluice_cli_table_add(table, SLUICE_STYLE_NONE, text);
    add_counted(table, f->changes, f->changes == 1 ? "change" : "changes");
    add_counted(table, f->transactions, "tx");
}

static void lane_row(const struct sluice_view_lane *lane, struct sluice_cli_table *table)
{
    struct sluice_str lag = SLUICE_STR_INIT;
    char text[24];
    sluice_cli_table_add(table, SLUICE_STYLE_NAME, lane->sink);
    sluice_cli_table_addf(table, SLUICE_STYLE_NONE, "at %s",
                          lane->position[0] != '\0' ? lane->position : "-");
    behind_text(lane->behind_us, -1, &lag);
    add_text(table, SLUICE_STYLE_NONE, &lag);
    if (lane->queued_bytes > 0) {
        sluice_size_format(lane->queued_bytes, text);
        sluice_cli_table_addf(table, SLUICE_STYLE_NONE, "queued %s", text);
    }
    else {
        sluice_cli_table_add(table, SLUICE_STYLE_NONE, "");
    }
    add_counted(table, lane->changes, "written");
}

static size_t render(struct sluice_cli_table *table, const struct sluice_cli_term *term,
                     struct sluice_str *out)
{
    size_t rows = sluice_cli_table_rows(table);
    sluice_cli_table_render(table, term, out);
    sluice_cli_table_free(table);
    return rows;
}

size_t sluice_feed_view_block(const struct sluice_run_view *view,
                              const struct sluice_cli_term *term, size_t room,
                              struct sluice_str *out)
{
    struct sluice_cli_table table;
    size_t lines = 0;
    size_t shown = view->feed_count < room ? view->feed_count : room;
    sluice_cli_table_init(&table, 7, NULL, 0x70, 0x01);
    table.indent = 2;
    for (size_t i = 0; i < shown; i++) {
        feed_row(view->feeds[i], &table);
    }
    lines += render(&table, term, out);
    sluice_cli_table_init(&table, 5, NULL, 0x10, 0x01);
    table.indent = 4;
    for (size_t i = 0; i < view->feed_count; i++) {
        const struct sluice_view_feed *feed = view->feeds[i];
        for (size_t k = 0; k < feed->lane_count && shown + sluice_cli_table_rows(&table) < room;
             k++) {
            lane_row(&feed->lanes[k], &table);
        }
    }
    lines += render(&table, term, out);
    return lines;
}

/* The rows with the most changes, most first. */
static size_t choose_tables(const struct sluice_run_view *view, size_t room, size_t *chosen)
{
    size_t count = 0;
    for (size_t i = 0; i < view->count; i++) {
        uint64_t changes = view->rows[i].stream.changes;
        if (changes == 0) {
            continue;
        }
        size_t at = count;
        while (at > 0 && view->rows[chosen[at - 1]].stream.changes < changes) {
            at--;
        }
        if (at >= room) {
            continue;
        }
        size_t last = count < room ? count : room - 1;
        memmove(&chosen[at + 1], &chosen[at], (last - at) * sizeof *chosen);
        chosen[at] = i;
        count = last + 1;
    }
    return count;
}

size_t sluice_feed_view_tables(const struct sluice_run_view *view,
                               const struct sluice_cli_term *term, size_t room,
                               struct sluice_str *out)
{
    struct sluice_cli_table table;
    size_t chosen[TABLES_MOST];
    char text[40];
    room = room < TABLES_MOST ? room : TABLES_MOST;
    size_t count = view->feed_count > 0 && room > 0 ? choose_tables(view, room, chosen) : 0;
    sluice_cli_table_init(&table, 3, NULL, 0x06, 0x01);
    table.indent = 2;
    for (size_t i = 0; i < count; i++) {
        const struct sluice_view_row *row = &view->rows[chosen[i]];
        sluice_view_name(view, &row->stream, SLUICE_STYLE_NAME, &table);
        add_counted(&table, row->stream.changes, row->stream.changes == 1 ? "change" : "changes");
        sluice_view_rate_text(row->changes.per_s, text);
        sluice_cli_table_add(&table, SLUICE_STYLE_NONE, text);
    }
    return render(&table, term, out);
}

/* ---------------------------------------------------------------- the summary ---------------- */

void sluice_feed_view_summary(const struct sluice_run_view *view,
                              const struct sluice_cli_term *term, struct sluice_str *out)
{
    for (size_t i = 0; i < view->feed_count; i++) {
        const struct sluice_view_feed *feed = view->feeds[i];
        const struct sluice_progress_feed *f = &feed->feed;
        char changes[32];
        char transactions[32];
        struct sluice_str name = SLUICE_STR_INIT;
        sluice_count_format(f->changes, changes);
        sluice_count_format(f->transactions, transactions);
        sluice_cli_text_escape(&name, feed->source);
        sluice_cli_term_append(term, out, SLUICE_STYLE_BOLD, sluice_str_text(&name));
        sluice_str_free(&name);
        sluice_str_printf(out, ": %s change%s in %s transaction%s", changes,
                          f->changes == 1 ? "" : "s", transactions,
                          f->transactions == 1 ? "" : "s");
        if (f->changes > 0) {
            sluice_str_printf(out, " (%llu inserts, %llu updates, %llu deletes)",
                              (unsigned long long)f->inserts, (unsigned long long)f->updates,
                              (unsigned long long)f->deletes);
        }
        for (size_t k = 0; k < feed->lane_count; k++) {
            const struct sluice_view_lane *lane = &feed->lanes[k];
            sluice_str_append(out, k == 0 ? "; " : ", ");
            sluice_cli_text_escape(out, lane->sink);
            sluice_str_append(out, lane->position[0] != '\0' ? " at " : " has none yet");
            sluice_cli_text_escape(out, lane->position);
        }
        sluice_str_append_char(out, '\n');
    }
}

/* ---------------------------------------------------------------- log and JSON --------------- */

static void line_seconds(struct sluice_str *out, const char *key, int64_t us)
{
    if (us >= 0) {
        sluice_str_printf(out, " %s=%.1f", key, (double)us / 1e6);
    }
}

static void line_number(struct sluice_str *out, const char *key, int64_t n)
{
    if (n >= 0) {
        sluice_str_printf(out, " %s=%lld", key, (long long)n);
    }
}

void sluice_feed_view_line(const struct sluice_view_feed *feed, struct sluice_str *out)
{
    const struct sluice_progress_feed *f = &feed->feed;
    sluice_str_printf(out, "source=%s feed=%s changes=%llu transactions=%llu", feed->source,
                      sluice_feed_view_status(f->status), (unsigned long long)f->changes,
                      (unsigned long long)f->transactions);
    if (feed->changes.per_s >= 0) {
        sluice_str_printf(out, " changes_per_s=%.0f", feed->changes.per_s);
    }
    line_seconds(out, "behind_s", f->behind_us);
    line_number(out, "behind_bytes", f->behind_bytes);
    line_number(out, "retained_bytes", f->retained_bytes);
    line_number(out, "remaining_bytes", f->remaining_bytes);
    if (f->retries > 0) {
        sluice_str_printf(out, " retries=%u", f->retries);
    }
    for (size_t i = 0; i < feed->lane_count; i++) {
        const struct sluice_view_lane *lane = &feed->lanes[i];
        sluice_str_printf(out, " %s=%s", lane->sink,
                          lane->position[0] != '\0' ? lane->position : "-");
        sluice_str_printf(out, " %s_behind_s=%.1f %s_queued=%llu", lane->sink,
                          (double)lane->behind_us / 1e6, lane->sink,
                          (unsigned long long)lane->queued_bytes);
    }
}

/* Grows whenever rows were read or written; an idle source moves positions alone. */
static uint64_t moved(const struct sluice_view_feed *feed)
{
    uint64_t sum = feed->feed.changes + feed->feed.retries;
    for (size_t i = 0; i < feed->lane_count; i++) {
        sum += feed->lanes[i].changes + feed->lanes[i].epoch;
    }
    return sum;
}

int sluice_feed_view_due(struct sluice_view_feed *feed, int64_t now_us)
{
    int32_t status = feed->feed.status;
    int64_t passed = now_us - feed->told_us;
    int stalls = (status == SLUICE_FEED_STALLED) != (feed->told_status == SLUICE_FEED_STALLED);
    int changed = status != feed->told_status || moved(feed) != feed->told_moved;
    if (feed->told_us == 0 && status < SLUICE_FEED_FOLLOWING) {
        return 0; /* the first line tells that it flows */
    }
    if (feed->told_us != 0 && !(stalls && passed >= 1000000) &&
        !(changed && passed >= LINE_EVERY_US) && passed < IDLE_LINE_EVERY_US) {
        return 0;
    }
    feed->told_us = now_us;
    feed->told_status = status;
    feed->told_moved = moved(feed);
    return 1;
}

static json_t *seconds(int64_t us)
{
    return us < 0 ? json_null() : json_real((double)us / 1e6);
}

static json_t *per_second(const struct sluice_view_rate *rate)
{
    return rate->per_s < 0 ? json_null() : json_real(rate->per_s);
}

static json_t *lane_json(const struct sluice_view_lane *lane)
{
    json_t *object = json_object();
    int has_position = lane->position[0] != '\0';
    (void)json_object_set_new(object, "sink", sluice_cli_json_text(lane->sink));
    (void)json_object_set_new(object, "position",
                              sluice_cli_json_text(has_position ? lane->position : NULL));
    (void)json_object_set_new(object, "epoch", json_integer((json_int_t)lane->epoch));
    (void)json_object_set_new(object, "changes", json_integer((json_int_t)lane->changes));
    (void)json_object_set_new(object, "queued_bytes", json_integer((json_int_t)lane->queued_bytes));
    (void)json_object_set_new(object, "behind_s", seconds(lane->behind_us));
    return object;
}

json_t *sluice_feed_view_json(const struct sluice_view_feed *feed)
{
    const struct sluice_progress_feed *f = &feed->feed;
    json_t *object = json_object();
    json_t *lanes = json_array();
    (void)json_object_set_new(object, "source", sluice_cli_json_text(feed->source));
    (void)json_object_set_new(object, "shard", sluice_cli_json_text(feed->shard));
    (void)json_object_set_new(object, "status", json_string(sluice_feed_view_status(f->status)));
    (void)json_object_set_new(object, "changes", json_integer((json_int_t)f->changes));
    (void)json_object_set_new(object, "inserts", json_integer((json_int_t)f->inserts));
    (void)json_object_set_new(object, "updates", json_integer((json_int_t)f->updates));
    (void)json_object_set_new(object, "deletes", json_integer((json_int_t)f->deletes));
    (void)json_object_set_new(object, "transactions", json_integer((json_int_t)f->transactions));
    (void)json_object_set_new(object, "changes_per_s", per_second(&feed->changes));
    (void)json_object_set_new(object, "transactions_per_s", per_second(&feed->transactions));
    (void)json_object_set_new(object, "bytes", json_integer((json_int_t)f->bytes));
    (void)json_object_set_new(object, "last_commit", sluice_cli_json_time(f->last_commit_us));
    (void)json_object_set_new(object, "behind_s", seconds(f->behind_us));
    (void)json_object_set_new(object, "behind_bytes", sluice_cli_json_count(f->behind_bytes));
    (void)json_object_set_new(object, "retained_bytes", sluice_cli_json_count(f->retained_bytes));
    (void)json_object_set_new(object, "remaining_bytes", sluice_cli_json_count(f->remaining_bytes));
    (void)json_object_set_new(object, "end",
                              sluice_cli_json_text(feed->end[0] != '\0' ? feed->end : NULL));
    (void)json_object_set_new(object, "retries", json_integer(f->retries));
    for (size_t i = 0; i < feed->lane_count; i++) {
        (void)json_array_append_new(lanes, lane_json(&feed->lanes[i]));
    }
    (void)json_object_set_new(object, "sinks", lanes);
    return object;
}
