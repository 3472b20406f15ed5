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
    uint32_t parallelism;     /* 0 = the pipeline's */
    int32_t once;             /* 1 = catch up and end (full_load_only always does) */
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
    SLUICE_PROGRESS_SKIPPED = 4, /* complete since an earlier run of this load */
    SLUICE_PROGRESS_STOPPED = 5  /* drained before its end */
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
};

struct sluice_progress {
    const char *phase; /* "connecting", "loading", "finishing", "done" */
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

/* The guarantee that follows from the sinks' capabilities, one sentence per sink. */
const char *sluice_guarantee_text(uint64_t sink_caps, int32_t mode);

#endif /* SLUICE_FLOW_ENGINE_H */
