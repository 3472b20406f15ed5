/*
 * What is shown of a run: a copy of its progress with rates and shares, and its renderings. Knows
 * nothing of the engine's inside and does no I/O. One thread at a time per view.
 */
#ifndef SLUICE_CLI_VIEW_H
#define SLUICE_CLI_VIEW_H

#include <jansson.h>

#include "flow/engine.h"
#include "term.h"

struct sluice_view_row {
    struct sluice_progress_stream stream; /* strings are the engine's */
    double rate;                          /* rows a second, lately; < 0 = not known yet */
    uint64_t rate_rows;
    int64_t rate_us;
    int32_t told; /* status that was reported last */
};

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
    double rate;
    uint64_t rate_rows;
    int64_t rate_us;
    double share;   /* of everything; < 0 = unknown */
    int64_t eta_us; /* < 0 = unknown */
};

void sluice_run_view_init(struct sluice_run_view *view, const char *pipeline);
void sluice_run_view_free(struct sluice_run_view *view);

/* An update: begin, then row for each stream in the engine's order, then end. */
void sluice_run_view_begin(struct sluice_run_view *view);
void sluice_run_view_row(struct sluice_run_view *view, const struct sluice_progress_stream *stream);
void sluice_run_view_end(struct sluice_run_view *view, const struct sluice_progress *total);

/* The live block: a line for the whole run and one for each table that runs or has just ended, at
 * most term->height - 1 lines, each narrower than the terminal. Returns the number of lines. */
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

#endif /* SLUICE_CLI_VIEW_H */
