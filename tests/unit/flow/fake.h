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

#define FAKE_STREAMS_MAX 64
#define FAKE_ROWS_MAX 100000

enum { FAKE_OK = 0, FAKE_RETRYABLE, FAKE_STREAM, FAKE_FATAL, FAKE_SNAPSHOT_LOST };

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
    int64_t batch_delay_us;
    int32_t block_forever; /* readers wait on cancel_fd alone */
    /* the sink named "a" */
    int32_t write_fail_kind;
    _Atomic int32_t write_fail_times;
    int32_t commit_fail_kind;
    _Atomic int32_t commit_fail_times;
    int32_t commit_fail_keeps; /* the failed commit did take effect: the reply was lost */
    int64_t write_delay_us;
    /* seen */
    _Atomic int32_t opens;
    _Atomic int32_t reader_opens;
    _Atomic int32_t idles;
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

extern const struct sluice_component fake_source_component;
extern const struct sluice_component fake_sink_component;

/* A pipeline of one source and `sinks` sinks called a, b, …; free with fake_pipeline_free. */
struct sluice_pipeline *fake_pipeline(uint32_t sinks);
void fake_pipeline_free(struct sluice_pipeline *pipeline);

#endif /* SLUICE_TESTS_FLOW_FAKE_H */
