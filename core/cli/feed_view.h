/*
 * What is shown of the feeds of a run, as a part of the view: no I/O, no engine calls.
 */
#ifndef SLUICE_CLI_FEED_VIEW_H
#define SLUICE_CLI_FEED_VIEW_H

#include "view.h"

/* Copies of an engine's figures, whose strings last for a visit alone. */
struct sluice_view_lane {
    char sink[64];
    char position[72];
    uint64_t epoch;
    uint64_t changes;
    uint64_t queued_bytes;
    int64_t behind_us;
};

struct sluice_view_feed {
    char source[64];
    char shard[96];
    char end[40];
    struct sluice_progress_feed feed; /* its pointers are NULL */
    struct sluice_view_lane *lanes;
    size_t lane_count;
    size_t lane_cap;
    struct sluice_view_rate changes;
    struct sluice_view_rate transactions;
    /* What was told last, by the log or as JSON. */
    int32_t told_status;
    uint64_t told_moved;
    int64_t told_us; /* monotonic; 0 = never */
};

/* Lines of the block, at most `room`: one a feed, one a lane. Returns how many were appended. */
size_t sluice_feed_view_block(const struct sluice_run_view *view,
                              const struct sluice_cli_term *term, size_t room,
                              struct sluice_str *out);
/* The tables with the most changes, at most `room` lines. */
size_t sluice_feed_view_tables(const struct sluice_run_view *view,
                               const struct sluice_cli_term *term, size_t room,
                               struct sluice_str *out);
/* After the summary's table. */
void sluice_feed_view_summary(const struct sluice_run_view *view,
                              const struct sluice_cli_term *term, struct sluice_str *out);
/* "source=hr feed=following …": for the log. */
void sluice_feed_view_line(const struct sluice_view_feed *feed, struct sluice_str *out);
/* Whether a line is due: every 10 s while something moves, once a minute when nothing does, at once
 * when it stalls or goes on after that. Remembers that it was told. */
int sluice_feed_view_due(struct sluice_view_feed *feed, int64_t now_us);
json_t *sluice_feed_view_json(const struct sluice_view_feed *feed);
const char *sluice_feed_view_status(int32_t status);

#endif /* SLUICE_CLI_FEED_VIEW_H */
