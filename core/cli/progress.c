#include "progress.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "feed_view.h"
#include "log/log.h"
#include "text.h"

#define BAR_EVERY_US 125000
#define WATCH_EVERY_US 250000
#define JSON_EVERY_US 1000000
#define LOG_EVERY_US 10000000

int sluice_cli_progress_how(const struct sluice_cli *cli)
{
    const char *how = cli->args.value[SLUICE_OPT_PROGRESS];
    if (how != NULL && strcmp(how, "json") == 0) {
        return SLUICE_PROGRESS_HOW_JSON;
    }
    if (how != NULL && strcmp(how, "log") == 0) {
        return SLUICE_PROGRESS_HOW_LOG;
    }
    if (cli->quiet) {
        return SLUICE_PROGRESS_HOW_NONE;
    }
    return cli->err.is_terminal ? SLUICE_PROGRESS_HOW_BAR : SLUICE_PROGRESS_HOW_LOG;
}

static void visit(void *ctx, const struct sluice_progress_stream *stream)
{
    sluice_run_view_row(ctx, stream);
}

static void visit_feed(void *ctx, const struct sluice_progress_feed *feed)
{
    sluice_run_view_feed(ctx, feed);
}

static void update(struct sluice_cli_progress *p)
{
    struct sluice_progress total;
    memset(&total, 0, sizeof total);
    sluice_run_view_begin(&p->view);
    sluice_engine_progress(p->engine, &total, visit, &p->view);
    sluice_engine_feeds(p->engine, visit_feed, &p->view);
    sluice_run_view_end(&p->view, &total);
    p->view.stopping = sluice_signals_first(&p->cli->signals) != 0;
}

/* ---------------------------------------------------------------- the block ------------------ */

/* Lines that the block takes on a terminal of this width: a narrower one breaks its lines anew. */
static size_t block_height(const struct sluice_str *block, size_t width)
{
    size_t height = 0;
    const char *line = sluice_str_text(block);
    for (const char *end = strchr(line, '\n'); end != NULL; end = strchr(line, '\n')) {
        struct sluice_str one = SLUICE_STR_INIT;
        sluice_str_append_n(&one, line, (size_t)(end - line));
        size_t columns = sluice_cli_text_width(sluice_str_text(&one));
        height += columns > width && width > 0 ? (columns + width - 1) / width : 1;
        sluice_str_free(&one);
        line = end + 1;
    }
    return height;
}

/* Moves to the block's first line and clears all below it. */
static void append_erase(const struct sluice_cli_progress *p, struct sluice_str *out)
{
    if (p->lines > 0) {
        sluice_str_printf(out, "\r\033[%zuA\033[J", block_height(&p->block, p->cli->err.width));
    }
}

/* In the background (Ctrl-Z, bg) the terminal is the shell's: nothing is drawn over its lines. */
static int is_background(void)
{
    pid_t foreground = tcgetpgrp(STDERR_FILENO);
    return foreground > 0 && foreground != getpgrp();
}

/* One write for each change: a block is never seen half drawn. */
static void draw(struct sluice_cli_progress *p)
{
    struct sluice_str frame = SLUICE_STR_INIT;
    size_t width = p->cli->err.width;
    if (is_background()) {
        p->lines = 0;
        return;
    }
    sluice_cli_term_resize(&p->cli->err);
    if (p->lines > 0 && width == p->cli->err.width) {
        sluice_str_printf(&frame, "\r\033[%zuA", p->lines);
    }
    else {
        append_erase(p, &frame);
    }
    sluice_str_clear(&p->block);
    size_t lines = sluice_run_view_block(&p->view, &p->cli->err, &p->block);
    const char *line = sluice_str_text(&p->block);
    for (const char *end = strchr(line, '\n'); end != NULL; end = strchr(line, '\n')) {
        sluice_str_append_n(&frame, line, (size_t)(end - line));
        sluice_str_append(&frame, "\033[K\n");
        line = end + 1;
    }
    sluice_str_append(&frame, "\033[J");
    if (!frame.failed && !p->block.failed) {
        (void)sluice_cli_term_write(STDERR_FILENO, frame.data, frame.size);
        p->lines = lines;
    }
    sluice_str_free(&frame);
}

/* A log line while the block is shown: it goes above. Called with the log's lock held. */
static void write_above(void *ctx, const char *line, uint64_t size)
{
    struct sluice_cli_progress *p = ctx;
    struct sluice_str frame = SLUICE_STR_INIT;
    (void)pthread_mutex_lock(&p->mutex);
    sluice_cli_term_resize(&p->cli->err);
    append_erase(p, &frame);
    sluice_str_append_n(&frame, line, (size_t)size);
    sluice_str_append_char(&frame, '\n');
    if (p->lines > 0) {
        sluice_str_clear(&p->block);
        p->lines = sluice_run_view_block(&p->view, &p->cli->err, &p->block);
        sluice_str_append(&frame, sluice_str_text(&p->block));
    }
    if (!frame.failed) {
        (void)sluice_cli_term_write(STDERR_FILENO, frame.data, frame.size);
    }
    (void)pthread_mutex_unlock(&p->mutex);
    sluice_str_free(&frame);
}

/* ---------------------------------------------------------------- JSON ----------------------- */

static json_t *event(const struct sluice_cli_progress *p, const char *name)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "event", json_string(name));
    (void)json_object_set_new(object, "time",
                              sluice_cli_json_time(sluice_now_us(SLUICE_CLOCK_WALL)));
    (void)json_object_set_new(object, "pipeline", sluice_cli_json_text(p->view.pipeline));
    return object;
}

static void tell_rows(struct sluice_cli_progress *p)
{
    for (size_t i = 0; i < p->view.count; i++) {
        struct sluice_view_row *row = &p->view.rows[i];
        if (row->told == row->stream.status) {
            continue;
        }
        row->told = row->stream.status;
        json_t *object = event(p, "stream");
        json_t *members = sluice_run_view_row_json(row);
        (void)json_object_update(object, members);
        json_decref(members);
        sluice_cli_out_json(p->cli, object);
    }
}

/* A feed that came, or whose status is another. */
static void tell_feeds(struct sluice_cli_progress *p)
{
    for (size_t i = 0; i < p->view.feed_count; i++) {
        struct sluice_view_feed *feed = p->view.feeds[i];
        if (feed->told_status == feed->feed.status) {
            continue;
        }
        feed->told_status = feed->feed.status;
        json_t *object = event(p, "feed");
        json_t *members = sluice_feed_view_json(feed);
        (void)json_object_update(object, members);
        json_decref(members);
        sluice_cli_out_json(p->cli, object);
    }
}

static void tell_progress(struct sluice_cli_progress *p)
{
    json_t *object = event(p, "progress");
    json_t *running = json_array();
    sluice_run_view_json(&p->view, object);
    (void)json_object_set_new(object, "share",
                              p->view.share < 0 ? json_null() : json_real(p->view.share));
    (void)json_object_set_new(object, "seconds_left",
                              p->view.eta_us < 0 ? json_null()
                                                 : json_real((double)p->view.eta_us / 1e6));
    for (size_t i = 0; i < p->view.count; i++) {
        if (p->view.rows[i].stream.status == SLUICE_PROGRESS_RUNNING) {
            json_t *row = sluice_run_view_row_json(&p->view.rows[i]);
            (void)json_object_set_new(row, "rows_per_s",
                                      p->view.rows[i].rate.per_s < 0
                                          ? json_null()
                                          : json_real(p->view.rows[i].rate.per_s));
            (void)json_array_append_new(running, row);
        }
    }
    (void)json_object_set_new(object, "running", running);
    sluice_cli_out_json(p->cli, object);
}

/* ---------------------------------------------------------------- the thread ----------------- */

/* Lines that are due, each ended by a line end. */
static void log_lines(struct sluice_cli_progress *p, int64_t now, struct sluice_str *lines)
{
    if (now - p->told_us >= LOG_EVERY_US && sluice_run_view_loads(&p->view)) {
        p->told_us = now;
        sluice_run_view_line(&p->view, lines);
        sluice_str_append_char(lines, '\n');
    }
    for (size_t i = 0; i < p->view.feed_count; i++) {
        if (sluice_feed_view_due(p->view.feeds[i], now)) {
            sluice_feed_view_line(p->view.feeds[i], lines);
            sluice_str_append_char(lines, '\n');
        }
    }
}

/* Answers log lines to write once the mutex is free, or an empty string. */
static void tick(struct sluice_cli_progress *p, struct sluice_str *lines)
{
    update(p);
    int64_t now = p->view.total.now_us;
    switch (p->how) {
    case SLUICE_PROGRESS_HOW_BAR:
        draw(p);
        break;
    case SLUICE_PROGRESS_HOW_JSON:
        tell_rows(p);
        tell_feeds(p);
        if (now - p->told_us >= JSON_EVERY_US) {
            p->told_us = now;
            tell_progress(p);
        }
        break;
    case SLUICE_PROGRESS_HOW_LOG:
        log_lines(p, now, lines);
        break;
    default:
        break;
    }
}

static void write_lines(const struct sluice_str *lines)
{
    const char *line = sluice_str_text(lines);
    for (const char *end = strchr(line, '\n'); end != NULL; end = strchr(line, '\n')) {
        sluice_log_write(SLUICE_LOG_INFO, "run", line, (uint64_t)(end - line));
        line = end + 1;
    }
}

static void *watch(void *arg)
{
    struct sluice_cli_progress *p = arg;
    struct sluice_str lines = SLUICE_STR_INIT;
    int64_t every = p->how == SLUICE_PROGRESS_HOW_BAR ? BAR_EVERY_US : WATCH_EVERY_US;
    int64_t next = sluice_now_us(SLUICE_CLOCK_MONOTONIC) + every;
    (void)pthread_mutex_lock(&p->mutex);
    while (!p->stop) {
        struct timespec until = {(time_t)(next / 1000000), (long)(next % 1000000) * 1000};
        (void)pthread_cond_timedwait(&p->wake, &p->mutex, &until);
        int64_t now = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
        if (p->stop || now < next) {
            continue;
        }
        next = now + every;
        tick(p, &lines);
        if (lines.size > 0) {
            /* The log may call us back under its lock. */
            (void)pthread_mutex_unlock(&p->mutex);
            write_lines(&lines);
            sluice_str_clear(&lines);
            (void)pthread_mutex_lock(&p->mutex);
        }
    }
    (void)pthread_mutex_unlock(&p->mutex);
    sluice_str_free(&lines);
    return NULL;
}

void sluice_cli_progress_start(struct sluice_cli_progress *progress, struct sluice_cli *cli,
                               struct sluice_engine *engine, const char *pipeline, int how)
{
    pthread_condattr_t attr;
    memset(progress, 0, sizeof *progress);
    progress->cli = cli;
    progress->engine = engine;
    progress->how = how;
    progress->told_us = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    sluice_run_view_init(&progress->view, pipeline);
    (void)pthread_mutex_init(&progress->mutex, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&progress->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (how == SLUICE_PROGRESS_HOW_NONE) {
        return;
    }
    if (how == SLUICE_PROGRESS_HOW_BAR) {
        sluice_log_redirect(write_above, progress);
    }
    int failure = pthread_create(&progress->thread, NULL, watch, progress);
    progress->started = failure == 0;
    if (failure != 0) {
        sluice_log_redirect(NULL, NULL);
        sluice_cli_warn(cli, "cannot start the thread that shows progress");
    }
}

void sluice_cli_progress_stop(struct sluice_cli_progress *progress)
{
    if (progress->started) {
        (void)pthread_mutex_lock(&progress->mutex);
        progress->stop = 1;
        (void)pthread_cond_signal(&progress->wake);
        (void)pthread_mutex_unlock(&progress->mutex);
        (void)pthread_join(progress->thread, NULL);
        progress->started = 0;
        sluice_log_redirect(NULL, NULL);
    }
    update(progress);
    if (progress->how == SLUICE_PROGRESS_HOW_BAR && progress->lines > 0) {
        struct sluice_str erase = SLUICE_STR_INIT;
        sluice_cli_term_resize(&progress->cli->err);
        append_erase(progress, &erase);
        if (!erase.failed) {
            (void)sluice_cli_term_write(STDERR_FILENO, erase.data, erase.size);
        }
        sluice_str_free(&erase);
        progress->lines = 0;
    }
    if (progress->how == SLUICE_PROGRESS_HOW_JSON) {
        tell_rows(progress);
        tell_feeds(progress);
    }
}

void sluice_cli_progress_free(struct sluice_cli_progress *progress)
{
    if (progress->cli == NULL) {
        return;
    }
    sluice_run_view_free(&progress->view);
    sluice_str_free(&progress->block);
    (void)pthread_mutex_destroy(&progress->mutex);
    (void)pthread_cond_destroy(&progress->wake);
    memset(progress, 0, sizeof *progress);
}
