/*
 * Running a pipeline. Architecture and threads: core/flow/README.md.
 */
#ifndef SLUICE_FLOW_ENGINE_H
#define SLUICE_FLOW_ENGINE_H

#include "config/pipeline.h"
#include "plugin/registry.h"
#include "state/state.h"

struct sluice_engine;

struct sluice_run_options {
    uint64_t row_limit;        /* at most so many rows a stream; 0 = all. A limited load is not
                                    remembered as a load: it has a state of its own */
    const char *const *tables; /* patterns laid over every source's choice; none = no change */
    size_t table_count;
    uint32_t parallelism; /* 0 = the pipeline's */
    int32_t once;         /* 1 = catch up with what was committed before the start, and end
                                   (full_load_only always does) */
    const char *until; /* feeds end after the last transaction at or before this position or time;
                            NULL = never. Borrowed until destroy */
    int32_t validate_batches; /* 1 = check every batch in full (debugging plugins) */
};

/* Borrows pipeline, registry and state (may be NULL: nothing is remembered) until destroy. */
sluice_status sluice_engine_create(const struct sluice_pipeline *pipeline,
                                   struct sluice_registry *registry, struct sluice_state *state,
                                   const struct sluice_run_options *options,
                                   struct sluice_engine **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_engine_destroy(struct sluice_engine *engine);

/* Works until done, stopped or failed. OK: done, or stopped by drain. Streams that failed alone do
 * not make it an error: see the summary. Errors carry what the whole run died of. */
sluice_status sluice_engine_run(struct sluice_engine *engine, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Ends the run as soon as what is started can be left in a clean state (SIGTERM). [any] */
void sluice_engine_drain(struct sluice_engine *engine);

/* ---- watching a run; all [any] while it runs and after ---- */

enum {
    SLUICE_PROGRESS_WAITING = 0,
    SLUICE_PROGRESS_RUNNING = 1,
    SLUICE_PROGRESS_COMPLETE = 2,
    SLUICE_PROGRESS_FAILED = 3,
    SLUICE_PROGRESS_SKIPPED = 4,  /* complete since an earlier run of this load */
    SLUICE_PROGRESS_STOPPED = 5,  /* drained before its end */
    SLUICE_PROGRESS_FOLLOWING = 6 /* nothing to load: its changes alone are followed */
};

struct sluice_progress_stream {
    const char *source;
    const char *name;      /* as the source names it */
    int32_t status;        /* SLUICE_PROGRESS_* */
    uint64_t rows;         /* read so far */
    int64_t rows_estimate; /* -1 = unknown */
    double share;          /* 0 … 1 of the work done; -1 = unknown */
    uint64_t bytes;        /* memory size of the batches read */
    int64_t started_us;    /* monotonic; 0 = not yet */
    int64_t finished_us;   /* monotonic; 0 = not yet */
    uint32_t retries;
    const char *message; /* FAILED: the error; NULL otherwise */
    uint64_t changes;    /* rows of the feed so far, by this process */
};

struct sluice_progress {
    const char *phase; /* "connecting", "loading", "following", "finishing", "done" */
    const char *load_id;
    int64_t started_us; /* monotonic */
    int64_t now_us;
    uint64_t rows;
    uint64_t bytes_read;
    uint64_t bytes_written; /* by all sinks */
    uint64_t memory_used;
    uint32_t streams_total;
    uint32_t streams_complete; /* includes skipped */
    uint32_t streams_failed;
    uint32_t retries;
};

/* Fills *out and visits every stream; strings are valid until the engine is destroyed. */
typedef void (*sluice_progress_visit)(void *ctx, const struct sluice_progress_stream *stream);
void sluice_engine_progress(struct sluice_engine *engine, struct sluice_progress *out,
                            sluice_progress_visit visit, void *ctx);

/* ---- feeds of changes ---- */

enum {
    SLUICE_FEED_WAITING = 0, /* for the load */
    SLUICE_FEED_CONNECTING = 1,
    SLUICE_FEED_FOLLOWING = 2, /* changes are coming in */
    SLUICE_FEED_IDLE = 3,      /* nothing has happened at the source since the last look */
    SLUICE_FEED_STALLED = 4,   /* there is more at the source, and nothing has moved for a while */
    SLUICE_FEED_RETRYING = 5,
    SLUICE_FEED_ENDED = 6
};

struct sluice_progress_lane {
    const char *sink;
    const char *position; /* as the source's log is written in manifests (hex); "" = none yet */
    uint64_t epoch;       /* last commit with data */
    uint64_t changes;     /* written by this process */
    uint64_t queued_bytes;
    int64_t
        behind_us; /* since the oldest transaction that is not durable there committed; 0 = none */
};

struct sluice_progress_feed {
    const char *source;
    const char *shard;
    int32_t status;   /* SLUICE_FEED_* */
    uint64_t changes; /* read by this process: rows */
    uint64_t inserts;
    uint64_t updates;
    uint64_t deletes;
    uint64_t transactions; /* that begin in them */
    uint64_t bytes;
    int64_t
        last_commit_us;   /* wall clock: when the newest transaction read was committed; 0 = none */
    int64_t behind_us;    /* the slowest sink's; -1 = unknown */
    int64_t behind_bytes; /* of the source's log, to the slowest sink; -1 = unknown */
    int64_t retained_bytes;  /* -1 = unknown */
    int64_t remaining_bytes; /* -1 = no limit, or unknown */
    const char *end;         /* of the source's log, as it writes it; "" = unknown */
    uint32_t retries;
    size_t lane_count;
    const struct sluice_progress_lane *lanes;
};
typedef void (*sluice_progress_feed_visit)(void *ctx, const struct sluice_progress_feed *feed);
/* Strings are valid during the visit alone. */
void sluice_engine_feeds(struct sluice_engine *engine, sluice_progress_feed_visit visit, void *ctx);

/* What sinks say of streams that are not as they should be: rows refused by this process, tables in
 * quarantine. [any], also after the run. */
typedef void (*sluice_reports_visit)(void *ctx, const char *sink,
                                     const struct sluice_sink_report *report);
void sluice_engine_reports(struct sluice_engine *engine, sluice_reports_visit visit, void *ctx);

/* The guarantee that follows from the sinks' capabilities, one sentence per sink. */
const char *sluice_guarantee_text(uint64_t sink_caps, int32_t mode);

#endif /* SLUICE_FLOW_ENGINE_H */
