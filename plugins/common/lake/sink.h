/* The sink and its lanes: what sink.c, lane.c and writer.c share. */
#ifndef SLUICE_COMMON_LAKE_SINK_H
#define SLUICE_COMMON_LAKE_SINK_H

#include <pthread.h>
#include <stdatomic.h>

#include "lake/commits.h"
#include "lake/encoder.h"
#include "lake/keys.h"
#include "lake/lake.h"
#include "lake/object.h"

enum { SLUICE_LAKE_BUCKETS = 4096 /* of the tables of streams and of shards */ };

/* Bound from the options. */
struct sluice_lake_options {
    int64_t format;
    int64_t compression;
    int64_t compression_level;
    int64_t binary;
};

/* A stream with one schema in one run; lives until the sink is destroyed. */
struct sluice_lake_stream {
    struct sluice_lake_stream *next;
    struct sluice_stream_desc *desc;
    char *run;
    char segment[SLUICE_LAKE_SEGMENT_MAX + 1];
};

/* How often a lane was opened for a shard of a run; lives until the sink is destroyed. */
struct sluice_lake_shard {
    struct sluice_lake_shard *next;
    uint64_t attempts;
    char name[]; /* stream segment, run and shard text */
};

struct sluice_sink {
    const struct sluice_host *host;
    const struct sluice_lake_store_api *api;
    struct sluice_lake_store *store;
    struct sluice_lake_options options;
    const char *extension; /* "jsonl.zst" */
    const char *content_type;
    char *pipeline;
    char *node;
    int32_t mode;
    int32_t opened;
    uint64_t batch_rows;
    uint64_t batch_bytes;
    int64_t batch_interval_us;
    struct sluice_lake_commits commits;
    atomic_uint_fast64_t bytes_written;
    pthread_mutex_t mutex;                                   /* guards streams and shards */
    struct sluice_lake_stream *streams[SLUICE_LAKE_BUCKETS]; /* by id, newest first */
    struct sluice_lake_shard *shards[SLUICE_LAKE_BUCKETS];
};

/* Encoder, codec and file of one stream in one lane. */
struct sluice_lake_writer {
    struct sluice_lane *lane;
    const struct sluice_lake_stream *stream;
    struct sluice_lake_encoder *encoder;
    struct sluice_lake_codec *codec;
    struct sluice_lake_object object;
    struct sluice_lake_out out;
    struct sluice_lake_file *file; /* being written; NULL = none */
    int64_t file_opened_us;        /* monotonic */
    uint64_t memory;               /* counted at the host */
};

struct sluice_lane {
    struct sluice_sink *sink;
    const struct sluice_lake_stream *stream; /* as it was when the lane opened */
    char *shard;
    char text[160];      /* of the shard in keys, with the attempt */
    uint64_t file_count; /* files opened so far: their {n} */
    int32_t failed;      /* until abort: what was written is not whole */
    int32_t reserved;
    struct sluice_lake_writer *writer; /* NULL = no rows yet */
    struct sluice_lake_file **files;   /* finished in this epoch */
    uint32_t finished;
    uint32_t files_cap;
};

/* The newest entry for the stream, or NULL. [any] */
const struct sluice_lake_stream *sluice_lake_sink_stream(struct sluice_sink *sink,
                                                         uint64_t stream_id);

void sluice_lake_file_free(struct sluice_lake_file *file);

sluice_status sluice_lake_writer_create(struct sluice_lane *lane,
                                        const struct sluice_lake_stream *stream,
                                        struct sluice_lake_writer **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Throws away an open file. */
void sluice_lake_writer_free(struct sluice_lake_writer *writer);
/* Encodes all rows of a batch, starting and ending files as the limits ask. */
sluice_status sluice_lake_writer_rows(struct sluice_lake_writer *writer,
                                      const struct ArrowArray *array, int64_t rows,
                                      struct sluice_error *err) SLUICE_MUST_CHECK;
/* Ends the open file, if there is one, and hands it to the lane. */
sluice_status sluice_lake_writer_finish(struct sluice_lake_writer *writer, struct sluice_error *err)
    SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_LAKE_SINK_H */
