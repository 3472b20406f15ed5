/*
 * A scripted source and a remembering sink, so that engine tests say exactly what fails when.
 * Everything is in one global script, reset by fake_reset; counters are atomic.
 */
#ifndef SLUICE_TESTS_FLOW_FAKE_H
#define SLUICE_TESTS_FLOW_FAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "config/pipeline.h"
#include "sluice/abi.h"

#define FAKE_STREAMS_MAX 8192
#define FAKE_ROWS_MAX 100000

enum {
    FAKE_OK = 0,
    FAKE_RETRYABLE,
    FAKE_STREAM,
    FAKE_FATAL,
    FAKE_SNAPSHOT_LOST,
    FAKE_CANCELLED, /* although nobody asked for it */
    FAKE_ABORTED    /* RETRYABLE, and surely nothing was kept */
};

struct fake_script {
    /* the source: stream i is public.t<i>, with shards_per_stream shards of rows_per_shard rows whose
     * ids are unique in the stream */
    uint32_t streams;
    uint32_t shards_per_stream;
    uint32_t rows_per_shard;
    uint32_t rows_per_batch;
    /* fail reads of stream `fail_stream`, shard `fail_shard` after the first batch, n times */
    int32_t fail_stream; /* -1 = none */
    uint32_t fail_shard;
    int32_t fail_kind;
    _Atomic int32_t fail_times;
    int32_t problem_stream; /* visited by open with a problem; -1 = none */
    int32_t open_fail_kind;
    _Atomic int32_t open_fail_times;
    _Atomic int32_t reopen_fail_times; /* the same from the second open on */
    int32_t lose_after_streams;        /* one reader loses the snapshot each time so many more
                                          streams are complete in sink "a" */
    int64_t batch_delay_us;
    int32_t block_forever; /* readers wait on cancel_fd alone */
    /* the sink named "a" */
    int32_t write_fail_kind;
    _Atomic int32_t write_fail_times;
    int32_t commit_fail_kind;
    _Atomic int32_t commit_fail_times;
    int32_t commit_fail_keeps; /* the failed commit did take effect: the reply was lost */
    int64_t write_delay_us;
    _Atomic int32_t write_again_times; /* answers AGAIN so often */
    int32_t begin_fail_stream;         /* public.t<n> is refused by stream_begin; -1 = none */
    int32_t end_fail_kind;
    _Atomic int32_t end_fail_times;
    int32_t end_fail_keeps;    /* the failed call did take effect */
    int32_t drain_in_last_end; /* the run is asked to stop when the last stream is completed */
    /* all sinks */
    int64_t hold_bytes; /* memory that each lane takes, whatever the budget says */
    /* seen */
    _Atomic int32_t opens;
    _Atomic int32_t reader_opens;
    _Atomic int32_t idles;
    _Atomic int32_t ends;  /* streams completed in sink "a" */
    _Atomic int32_t ahead; /* batches read, less those sink "a" has written */
    _Atomic int32_t ahead_max;
    _Atomic int32_t live; /* instances, readers and lanes not yet freed */
};

extern struct fake_script fake;
extern uint32_t fake_retry_max; /* of the pipelines made from now on */

void fake_reset(void);

/* What sink `node` would show a reader: rows of the newest complete run of the stream. */
struct fake_result {
    int complete;
    uint64_t rows;
    uint64_t distinct;
    uint64_t sum;
};
void fake_result(const char *node, const char *stream, struct fake_result *out);
uint32_t fake_complete_count(const char *node);
/* Complete runs of the stream in the sink, by distinct names. */
uint32_t fake_run_count(const char *node, const char *stream);

struct sluice_engine;
extern struct sluice_engine *fake_engine; /* that runs now */

extern const struct sluice_component fake_source_component;
/* Like it, with streams called public.u<i>. */
extern const struct sluice_component fake_other_source_component;
/* Passes batches on and forgets how large they are. */
extern const struct sluice_component fake_transform_component;
extern const struct sluice_component fake_sink_component;

/* A pipeline of one source and `sinks` sinks called a, b, …; free with fake_pipeline_free. */
struct sluice_pipeline *fake_pipeline(uint32_t sinks);
/* Two sources, src and other, into one sink called a. */
struct sluice_pipeline *fake_pipeline_two_sources(void);
/* A source, the transform, and sinks a and b behind it. */
struct sluice_pipeline *fake_pipeline_transform(void);
void fake_pipeline_free(struct sluice_pipeline *pipeline);

#endif /* SLUICE_TESTS_FLOW_FAKE_H */
