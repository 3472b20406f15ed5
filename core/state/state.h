/*
 * What a pipeline remembers between processes: one SQLite file per pipeline,
 * {dir}/{pipeline}.sluice.db, and a lock beside it. The sinks' tokens are the truth about data; this
 * is the truth about loads, and a cache of the rest.
 *
 * A *load* is one full load of the pipeline: it begins with the first run that finds no unfinished
 * one, and ends when every chosen stream is complete in every sink (or was given up as failed).
 * A *run* is one process. Writes are durable when the call returns. [any]: calls are serialised
 * inside.
 */
#ifndef SLUICE_STATE_STATE_H
#define SLUICE_STATE_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "sluice/error.h"

struct sluice_state;

enum { SLUICE_STATE_READ = 0, SLUICE_STATE_RUN = 1 };

/* `uri` is "file:DIR" (DIR is made, 0700) or NULL for $XDG_STATE_HOME/sluice given by the caller as
 * default_dir. RUN takes the pipeline's lock: CONFLICT names the process that holds it. READ never
 * locks and answers NOT_FOUND when there is no state yet. A damaged or newer file is refused. */
sluice_status sluice_state_open(const char *uri, const char *default_dir, const char *pipeline,
                                int32_t how, struct sluice_state **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_state_close(struct sluice_state *state);
/* Path of the database file. Borrowed until close. */
const char *sluice_state_path(const struct sluice_state *state);

/* Makes many writes durable at once: what is written between begin and end by this thread becomes
 * durable together when end returns OK, or not at all. Other threads' calls wait in between, so do
 * nothing slow there. begin that failed needs no end; calls may nest. */
sluice_status sluice_state_batch_begin(struct sluice_state *state, struct sluice_error *err)
    SLUICE_MUST_CHECK;
sluice_status sluice_state_batch_end(struct sluice_state *state, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* ---- loads ---- */
struct sluice_state_load {
    char load_id[40];
    int64_t started_us;
    int64_t finished_us; /* 0 = unfinished */
    int32_t mode;        /* SLUICE_MODE_* */
};
/* The newest load, or NOT_FOUND. */
sluice_status sluice_state_load_last(struct sluice_state *state, struct sluice_state_load *out,
                                     struct sluice_error *err);
/* Begins a new one with a fresh unique id. */
sluice_status sluice_state_load_begin(struct sluice_state *state, int64_t now_us, int32_t mode,
                                      struct sluice_state_load *out, struct sluice_error *err);
/* The pipeline's mode was changed in a way that lets the load go on (cdc_only and
 * full_load_and_cdc share their feed). */
sluice_status sluice_state_load_set_mode(struct sluice_state *state, const char *load_id,
                                         int32_t mode, struct sluice_error *err);
sluice_status sluice_state_load_finish(struct sluice_state *state, const char *load_id,
                                       int64_t now_us, struct sluice_error *err);

/* ---- streams of a load, per sink ---- */
enum {
    SLUICE_STATE_STREAM_PENDING = 0,
    SLUICE_STATE_STREAM_LOADING = 1,
    SLUICE_STATE_STREAM_COMPLETE = 2,
    SLUICE_STATE_STREAM_FAILED = 3
};
struct sluice_state_stream {
    char *source; /* node ids; strings are the callee's when visiting, the caller's when putting */
    char *stream;
    char *sink;
    char *run;
    char *message; /* FAILED: why; else NULL */
    int32_t status;
    int64_t rows;
    int64_t bytes;
    int64_t started_us;
    int64_t finished_us;
    char *load_position;    /* text; NULL = none */
    const void *position;   /* the same as bytes: changes at or before it are in the load */
    uint64_t position_size; /* 0 = none */
};
sluice_status sluice_state_stream_put(struct sluice_state *state, const char *load_id,
                                      const struct sluice_state_stream *stream,
                                      struct sluice_error *err);
/* Visits the streams of a load in order (source, stream, sink). */
typedef sluice_status (*sluice_state_stream_visit)(void *ctx,
                                                   const struct sluice_state_stream *stream);
sluice_status sluice_state_streams(struct sluice_state *state, const char *load_id,
                                   sluice_state_stream_visit visit, void *ctx,
                                   struct sluice_error *err);
/* A run stamp of UTC time for that stream, never given before: 20261123T005234Z, then …-2. */
sluice_status sluice_state_run_stamp(struct sluice_state *state, const char *stream, int64_t now_us,
                                     char out[40], struct sluice_error *err);

/* ---- lanes ---- */
struct sluice_state_lane {
    const char *sink;
    const char *shard;
    uint64_t epoch;
    const void *position;
    uint64_t position_size;
    int64_t rows;
    int64_t bytes;
    int64_t updated_us;
};
sluice_status sluice_state_lane_put(struct sluice_state *state, const char *load_id,
                                    const struct sluice_state_lane *lane, struct sluice_error *err);
typedef sluice_status (*sluice_state_lane_visit)(void *ctx, const struct sluice_state_lane *lane);
sluice_status sluice_state_lanes(struct sluice_state *state, const char *load_id,
                                 sluice_state_lane_visit visit, void *ctx,
                                 struct sluice_error *err);
/* Forgets the lanes of snapshot shards of a stream that is loaded anew: ids with this prefix. */
sluice_status sluice_state_lanes_drop(struct sluice_state *state, const char *load_id,
                                      const char *shard_prefix, struct sluice_error *err);

/* ---- feeds: how far the changes of a shard came in each sink; not bound to a load ---- */
struct sluice_state_feed {
    const char *source; /* node ids */
    const char *sink;
    const char *shard;
    uint64_t epoch;       /* of the sink's last commit with data */
    const void *position; /* everything up to here is durable in the sink; also idle progress */
    uint64_t
        position_size; /* 0 = forgotten: what the sink says up to `epoch` is void from then on */
    int64_t changes;   /* written so far */
    int64_t transactions;
    int64_t updated_us;
    uint64_t void_epoch; /* read alone: up to which epoch what the sink says is void */
};
sluice_status sluice_state_feed_put(struct sluice_state *state,
                                    const struct sluice_state_feed *feed, struct sluice_error *err);
typedef sluice_status (*sluice_state_feed_visit)(void *ctx, const struct sluice_state_feed *feed);
/* In order (source, shard, sink). */
sluice_status sluice_state_feeds(struct sluice_state *state, sluice_state_feed_visit visit,
                                 void *ctx, struct sluice_error *err);

/* ---- versions of columns ---- */
/* The id of that version of the stream's columns: the one it was given before, else the next one,
 * from 1. `fingerprint` is any text that is the same for the same columns. */
sluice_status sluice_state_schema_id(struct sluice_state *state, const char *source,
                                     const char *stream, const char *fingerprint, uint64_t *out,
                                     struct sluice_error *err);

/* Looks without giving an id: *known is that version's id, 0 = it has none yet; *latest the fingerprint
 * of the version with the greatest id (free with sluice_free), NULL = the stream has none. */
sluice_status sluice_state_schema_look(struct sluice_state *state, const char *source,
                                       const char *stream, const char *fingerprint, uint64_t *known,
                                       char **latest, struct sluice_error *err);

/* ---- what a source has made for the pipeline ---- */
/* out: free with sluice_free; NOT_FOUND when there is none. */
sluice_status sluice_state_created_get(struct sluice_state *state, const char *source, char **out,
                                       struct sluice_error *err);
/* NULL or "" forgets it. */
sluice_status sluice_state_created_put(struct sluice_state *state, const char *source,
                                       const char *created, struct sluice_error *err);

/* ---- runs ---- */
struct sluice_state_run {
    int64_t id;
    int64_t started_us;
    int64_t finished_us; /* 0 = running or killed */
    char *load_id;
    char *outcome; /* "ok", "failed", "stopped", NULL */
    char *message;
    int64_t rows;
};
sluice_status sluice_state_run_begin(struct sluice_state *state, const char *load_id,
                                     int64_t now_us, int64_t *run_id, struct sluice_error *err);
sluice_status sluice_state_run_finish(struct sluice_state *state, int64_t run_id, int64_t now_us,
                                      const char *outcome, const char *message, int64_t rows,
                                      struct sluice_error *err);
typedef sluice_status (*sluice_state_run_visit)(void *ctx, const struct sluice_state_run *run);
/* Newest first, at most `limit`. */
sluice_status sluice_state_runs(struct sluice_state *state, size_t limit,
                                sluice_state_run_visit visit, void *ctx, struct sluice_error *err);

/* ---- source identity ---- */
/* out: free with sluice_free; NOT_FOUND when none is stored. */
sluice_status sluice_state_identity_get(struct sluice_state *state, const char *source, char **out,
                                        struct sluice_error *err);
sluice_status sluice_state_identity_put(struct sluice_state *state, const char *source,
                                        const char *identity, struct sluice_error *err);

/* ---- reset ---- */
/* Forgets the unfinished load (or one stream of it by name), so that it is read again. Without a
 * stream, feeds are forgotten too (their epochs are kept, their positions void) and identities: the
 * next run begins anew from the source as it is then. */
sluice_status sluice_state_reset(struct sluice_state *state, const char *stream_or_null,
                                 struct sluice_error *err);

/* Names of the pipelines that have state in the folder. */
typedef sluice_status (*sluice_state_name_visit)(void *ctx, const char *pipeline, const char *path);
sluice_status sluice_state_list(const char *uri, const char *default_dir,
                                sluice_state_name_visit visit, void *ctx, struct sluice_error *err);

#endif /* SLUICE_STATE_STATE_H */
