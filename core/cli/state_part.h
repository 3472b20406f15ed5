/*
 * Parts of a pipeline's state as tables and as JSON: shared by state show and state reset.
 */
#ifndef SLUICE_CLI_STATE_PART_H
#define SLUICE_CLI_STATE_PART_H

#include "cli.h"
#include "table.h"

/* "2026-11-23 00:52:34" in UTC; "-" for 0. */
void sluice_cli_state_time(int64_t wall_us, char out[32]);

/* Streams of a load. */
struct sluice_cli_streams {
    struct sluice_cli_table table;
    json_t *list;       /* filled instead of the table when not NULL */
    const char *stream; /* only this one; NULL = all */
    int positions;      /* load positions are shown: they matter where changes follow */
    size_t found;
    size_t complete;
    size_t begun;
};
void sluice_cli_streams_init(struct sluice_cli_streams *streams, int positions, json_t *list);
sluice_status sluice_cli_streams_visit(void *ctx, const struct sluice_state_stream *stream);

/* Feeds, and what was made at their sources. */
struct sluice_cli_feeds {
    struct sluice_cli_table table;
    json_t *list;
    size_t found;
    size_t positions; /* of those, how many have one */
};
void sluice_cli_feeds_init(struct sluice_cli_feeds *feeds, json_t *list);
sluice_status sluice_cli_feeds_visit(void *ctx, const struct sluice_state_feed *feed);

/* Appends "made at SOURCE: …" for each source of the pipeline, or adds members to `object` when it is
 * not NULL. */
sluice_status sluice_cli_state_created(struct sluice_state *state,
                                       const struct sluice_pipeline *pipeline,
                                       struct sluice_str *out, json_t *object,
                                       struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_CLI_STATE_PART_H */
