/* The sink and its lanes: what sink.c, lane.c and writer.c share. */
#ifndef SLUICE_COMMON_LAKE_SINK_H
#define SLUICE_COMMON_LAKE_SINK_H

#include <pthread.h>
#include <stdatomic.h>

#include "lake/change.h"
#include "lake/commits.h"
#include "lake/encoder.h"
#include "lake/index.h"
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
    int64_t changes; /* SLUICE_LAKE_CHANGES_* */
    int64_t full;    /* 1 = in the shape of changes */
    const char *metadata_prefix;
    const char *topic_prefix;
    int64_t decimals;
    int64_t times;
    int64_t binaries;
    int64_t intervals;
    int64_t hstores;
    const char *unavailable;
};

/* A stream with one schema: in one run of its load (flag SLUICE_BEGIN_LOAD), or its changes
 * (SLUICE_BEGIN_CHANGES). Lives until the sink is destroyed. */
struct sluice_lake_stream {
    struct sluice_lake_stream *next;
    struct sluice_stream_desc *desc;
    uint32_t flags; /* SLUICE_BEGIN_*: exactly one */
    uint32_t reserved;
    char *run;        /* NULL for changes */
    int64_t begun_us; /* wall clock */
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
    const struct sluice_failpoint_extension *failpoints;
    struct sluice_lake_options options;
    struct sluice_lake_change_options change_options; /* from them, and the plan */
    const char *extension;                            /* "jsonl.zst" */
    const char *content_type;
    char *pipeline;
    char *node;
    int32_t mode;
    int32_t opened;
    uint64_t batch_rows;
    uint64_t batch_bytes;
    uint64_t change_bytes; /* the same for change files */
    int64_t batch_interval_us;
    struct sluice_lake_commits commits;
    struct sluice_lake_index index; /* digest.c alone */
    uint8_t digest_position[64];
    atomic_uint_fast64_t bytes_written;
    atomic_uint_fast64_t change_files;                       /* names given to change files */
    pthread_mutex_t mutex;                                   /* guards streams and shards */
    struct sluice_lake_stream *streams[SLUICE_LAKE_BUCKETS]; /* by id, newest first */
    struct sluice_lake_shard *shards[SLUICE_LAKE_BUCKETS];
};

/* Encoder, codec and file of one stream in one lane. */
struct sluice_lake_writer {
    struct sluice_lane *lane;
    const struct sluice_lake_stream *stream;
    struct sluice_lake_encoder *encoder;       /* NULL with `full: changes` */
    struct sluice_lake_change_encoder *change; /* NULL without */
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
    struct sluice_lake_writer *writer;   /* loads; NULL = no rows yet */
    struct sluice_lake_changes *changes; /* of lanes of changes, else NULL */
    struct sluice_lake_file **files;     /* finished in this epoch */
    uint32_t finished;
    uint32_t files_cap;
};

/* The newest load of the stream, or NULL. [any] */
const struct sluice_lake_stream *sluice_lake_sink_stream(struct sluice_sink *sink,
                                                         uint64_t stream_id);
/* Changes of the stream in that version of its columns, as it was begun last, or NULL. [any] */
const struct sluice_lake_stream *sluice_lake_sink_changes(struct sluice_sink *sink,
                                                          uint64_t stream_id, uint64_t schema_id);

/* Ends `object`, whose file this is: durable and visible when OK. [any], if the object is the caller's. */
sluice_status sluice_lake_file_end(struct sluice_lane *lane, struct sluice_lake_object *object,
                                   struct sluice_lake_file *file, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* The lane keeps a file that was ended in this epoch; it moves when OK. */
sluice_status sluice_lake_file_keep(struct sluice_lane *lane, struct sluice_lake_file *file,
                                    struct sluice_error *err) SLUICE_MUST_CHECK;
/* Gives the object so many more bytes of a file's content. [any], likewise. */
sluice_status sluice_lake_file_write(struct sluice_lane *lane, struct sluice_lake_object *object,
                                     const uint8_t *data, size_t size, struct sluice_error *err)
    SLUICE_MUST_CHECK;

sluice_status sluice_lake_writer_create(struct sluice_lane *lane,
                                        const struct sluice_lake_stream *stream,
                                        struct sluice_lake_writer **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Throws away an open file. */
void sluice_lake_writer_free(struct sluice_lake_writer *writer);
/* Encodes all rows of a batch, starting and ending files as the limits ask. */
sluice_status sluice_lake_writer_rows(struct sluice_lake_writer *writer,
                                      const struct sluice_batch *batch, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Ends the open file, if there is one, and hands it to the lane. */
sluice_status sluice_lake_writer_finish(struct sluice_lake_writer *writer, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* The lane's part of changes (change_lane.c): what the sink's calls do in a lane of kind CHANGES. */
sluice_status sluice_lake_changes_open(struct sluice_lane *lane,
                                       const struct sluice_shard_desc *shard,
                                       struct sluice_error *err) SLUICE_MUST_CHECK;
/* CHANGES, TRUNCATE or SCHEMA. */
sluice_status sluice_lake_changes_write(struct sluice_lane *lane, const struct sluice_batch *batch,
                                        struct sluice_error *err) SLUICE_MUST_CHECK;
/* Ends all files of the epoch, which then are in lane->files. */
sluice_status sluice_lake_changes_finish(struct sluice_lane *lane, uint64_t epoch,
                                         struct sluice_error *err) SLUICE_MUST_CHECK;
/* Appends the manifest. */
sluice_status sluice_lake_changes_commit(struct sluice_lane *lane,
                                         const struct sluice_commit *commit,
                                         struct sluice_error *err) SLUICE_MUST_CHECK;
void sluice_lake_changes_abort(struct sluice_lane *lane);
void sluice_lake_changes_close(struct sluice_lane *lane);

#endif /* SLUICE_COMMON_LAKE_SINK_H */
