/*
 * What is shown of a run: a copy of its progress with rates and shares, and its renderings. Knows
 * nothing of the engine's inside and does no I/O. One thread at a time per view.
 */
#ifndef SLUICE_CLI_VIEW_H
#define SLUICE_CLI_VIEW_H

#include <jansson.h>

#include "flow/engine.h"
#include "term.h"

/* How fast a count grows, lately. */
struct sluice_view_rate {
    double per_s; /* < 0 = not known yet */
    uint64_t count;
    int64_t us;
};

struct sluice_view_row {
    struct sluice_progress_stream stream; /* strings are the engine's */
    struct sluice_view_rate rate;         /* of rows */
    struct sluice_view_rate changes;
    int32_t told; /* status that was reported last */
};

struct sluice_view_feed;

struct sluice_run_view {
    const char *pipeline;
    struct sluice_progress total;
    struct sluice_view_row *rows;
    size_t count;
    size_t cap;
    size_t next; /* while an update is going on */
    int several_sources;
    int failed;   /* out of memory: rows are missing */
    int stopping; /* a signal came */
    struct sluice_view_rate rate;
    struct sluice_view_feed **feeds; /* each by itself, so that they stay where they are */
    size_t feed_count;
    size_t feed_cap;
    size_t next_feed;
    double share;   /* of everything; < 0 = unknown */
    int64_t eta_us; /* < 0 = unknown */
};

void sluice_run_view_init(struct sluice_run_view *view, const char *pipeline);
void sluice_run_view_free(struct sluice_run_view *view);

/* Starts anew: nothing is known. */
void sluice_view_rate_reset(struct sluice_view_rate *rate);
void sluice_view_rate_update(struct sluice_view_rate *rate, uint64_t count, int64_t now_us);
/* "1,234/s", "-" when not known. */
void sluice_view_rate_text(double per_s, char out[40]);
/* The name of a stream, with its source's where there are several; as a cell of a table. */
struct sluice_cli_table;
void sluice_view_name(const struct sluice_run_view *view, const struct sluice_progress_stream *s,
                      int style, struct sluice_cli_table *table);

/* An update: begin, then row for each stream and feed for each feed in the engine's order, then end. */
void sluice_run_view_begin(struct sluice_run_view *view);
void sluice_run_view_feed(struct sluice_run_view *view, const struct sluice_progress_feed *feed);
void sluice_run_view_row(struct sluice_run_view *view, const struct sluice_progress_stream *stream);
void sluice_run_view_end(struct sluice_run_view *view, const struct sluice_progress *total);

/* The live block: a line for the whole run, those of its feeds, one for each table that runs or has
 * just ended, and the tables with the most changes; at most term->height - 1 lines, each narrower than the terminal. Returns the number of lines. */
size_t sluice_run_view_block(const struct sluice_run_view *view, const struct sluice_cli_term *term,
                             struct sluice_str *out);
/* The table after the run. */
void sluice_run_view_summary(const struct sluice_run_view *view, const struct sluice_cli_term *term,
                             struct sluice_str *out);
/* "phase=loading tables=3/8 rows=… …": for the log. */
void sluice_run_view_line(const struct sluice_run_view *view, struct sluice_str *out);
/* Members of the whole run, added to `object`. */
void sluice_run_view_json(const struct sluice_run_view *view, json_t *object);
json_t *sluice_run_view_row_json(const struct sluice_view_row *row);
const char *sluice_run_view_status(int32_t status);
/* 1 = there is something to load, or nothing else to do: what loads show matters. */
int sluice_run_view_loads(const struct sluice_run_view *view);

#endif /* SLUICE_CLI_VIEW_H */
