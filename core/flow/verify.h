/*
 * Comparing sources with what sinks made of them: sums of hashes by buckets first, then the rows of the
 * buckets that differ, then, while changes flow, the rows that differ again until they agree or have stood
 * still. Short-lived instances; nothing is written. [ctl]
 */
#ifndef SLUICE_FLOW_VERIFY_H
#define SLUICE_FLOW_VERIFY_H

#include "base/cancel.h"
#include "config/pipeline.h"
#include "sluice/error.h"

struct sluice_verify_options {
    const char *stream; /* this one alone; NULL = all */
    /* A row that differs, and has not changed at the source for so long, is different. -1 = 10 s, and for
     * sinks that commit by `batch.interval` that much more. */
    int64_t window_us;
    uint64_t max_rows; /* differing rows that are visited per stream */
};

/* DAMAGED: what the sink keeps cannot be read as it was written. */
enum {
    SLUICE_VERIFY_EQUAL = 1,
    SLUICE_VERIFY_DIFFERENT = 2,
    SLUICE_VERIFY_NOT_COMPARED = 3,
    SLUICE_VERIFY_DAMAGED = 4
};

struct sluice_verify_stream {
    const char *source;
    const char *sink;
    const char *stream;
    int32_t verdict;    /* SLUICE_VERIFY_* */
    const char *reason; /* NOT_COMPARED, DAMAGED */
    uint64_t source_rows;
    uint64_t sink_rows;
    uint64_t missing;   /* at the sink */
    uint64_t extra;     /* at the sink */
    uint64_t different; /* same key, other content */
    uint64_t unsettled; /* changed at the source until the end: not judged */
};

struct sluice_verify_row {
    const char *stream;
    const char *sink;
    const char *key;         /* NULL = the stream has none */
    const char *source_text; /* NULL = not there */
    const char *sink_text;   /* NULL = not there */
};

struct sluice_verify_visits {
    void *ctx;
    /* What is being done, for a progress bar: `done` of `total` streams, and words about the one at hand. */
    void (*progress)(void *ctx, const char *stream, const char *phase, size_t done, size_t total);
    void (*row)(void *ctx, const struct sluice_verify_row *row);
    void (*stream)(void *ctx, const struct sluice_verify_stream *stream);
};

/* Compares all streams that the pipeline chooses in all sinks. A stream that cannot be compared is no error of the
 * call; a server that cannot be reached is. */
sluice_status sluice_flow_verify(const struct sluice_pipeline *pipeline,
                                 const struct sluice_verify_options *options,
                                 struct sluice_cancel *cancel,
                                 const struct sluice_verify_visits *visits,
                                 struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_FLOW_VERIFY_H */
