/*
 * Lanes of changes: one open file for each table that changed in this epoch. What change_lane.c
 * (batches, commits) and change_file.c (bytes to objects) share. One thread at a time per lane.
 *
 * Most tables change little between two commits: their encoded rows wait in a buffer and become an
 * object at the commit. A table whose buffer would pass TABLE_BUFFER_MAX streams through a codec into
 * an upload; only few may do so at once, since each needs megabytes. When either is used up, the file
 * of another table ends early: files of a table then follow each other in the order of lane->files.
 */
#ifndef SLUICE_COMMON_LAKE_CHANGE_LANE_H
#define SLUICE_COMMON_LAKE_CHANGE_LANE_H

#include "lake/sink.h"

enum {
    SLUICE_LAKE_TABLE_BUFFER_MAX = 1 << 20, /* encoded bytes of a table before it streams */
    SLUICE_LAKE_LANE_BUFFER_MAX = 10 << 20, /* of all tables of the lane */
    SLUICE_LAKE_STREAMING_MAX = 2,          /* tables that stream at once */
    SLUICE_LAKE_FLUSHERS_MAX = 4,           /* files that are ended at once */
    SLUICE_LAKE_ENCODERS_KEPT = 512,        /* over the end of an epoch */
    SLUICE_LAKE_CHANGE_BUCKETS = 1024
};

/* Codec and object; serves one file after the other. */
struct sluice_lake_change_writer {
    struct sluice_lake_codec *codec; /* NULL = not made yet */
    struct sluice_lake_object object;
    struct sluice_lake_change_table *table; /* whose file is open; NULL = none */
    uint64_t memory;
};

struct sluice_lake_change_table {
    struct sluice_lake_change_table *next;
    const struct sluice_lake_stream *stream;    /* with the version being written */
    struct sluice_lake_change_encoder *encoder; /* NULL = to be made */
    uint64_t encoder_memory;
    struct sluice_lake_file *file; /* open; NULL = nothing was written since the last one */
    uint32_t active_at;            /* place in `active` while a file is open */
    uint32_t last_size;            /* position of the last row */
    uint64_t written_at;           /* lane's clock: when it was last written */
    uint8_t *data;                 /* encoded, not yet compressed */
    uint64_t size;
    uint64_t cap;
    struct sluice_lake_change_writer *writer; /* NULL = `data` alone */
    uint8_t last[SLUICE_LAKE_POSITION_MAX];
};

struct sluice_lake_changes {
    struct sluice_lake_out out;
    struct sluice_lake_change_table *current; /* whose rows are being encoded */
    struct sluice_lake_change_table *tables[SLUICE_LAKE_CHANGE_BUCKETS];
    struct sluice_lake_change_table **active; /* tables with an open file */
    uint32_t active_count;
    uint32_t active_cap;
    uint32_t encoders;
    int32_t unsure; /* a commit failed: look what counts before anything is written again */
    uint32_t start_size;
    uint32_t skip_size; /* of `skip`; 0 = nothing to skip */
    uint64_t clock;
    uint64_t buffered;                      /* caps of all buffers */
    uint64_t epoch;                         /* being written */
    uint64_t epoch_least;                   /* the next manifest's, at least */
    char *from;                             /* hex; NULL = unknown */
    struct sluice_lake_change_writer whole; /* for files that wait in memory */
    struct sluice_lake_change_writer streaming[SLUICE_LAKE_STREAMING_MAX];
    uint8_t
        start[SLUICE_LAKE_POSITION_MAX]; /* as the engine believes, all up to here is committed */
    uint8_t skip[SLUICE_LAKE_POSITION_MAX]; /* rows up to here are committed already */
};

/* Counts at the host; never refused. */
void sluice_lake_changes_count(const struct sluice_lane *lane, int64_t delta);

/* Opens a file whose first row has that position and commit time. */
sluice_status sluice_lake_change_file_begin(struct sluice_lane *lane,
                                            struct sluice_lake_change_table *table,
                                            struct sluice_bytes position, int64_t commit_us,
                                            struct sluice_error *err) SLUICE_MUST_CHECK;
/* More encoded bytes of the open file; may end files of other tables. */
sluice_status sluice_lake_change_file_append(struct sluice_lane *lane,
                                             struct sluice_lake_change_table *table,
                                             const uint8_t *data, size_t size,
                                             struct sluice_error *err) SLUICE_MUST_CHECK;
/* Makes an object of the table's open file, by way of `writer` unless it streams. Several threads may
 * do so for different tables at once; nothing else of the lane is touched. */
sluice_status sluice_lake_change_file_flush(struct sluice_lane *lane,
                                            struct sluice_lake_change_table *table,
                                            struct sluice_lake_change_writer *writer,
                                            struct sluice_error *err) SLUICE_MUST_CHECK;
/* Hands the flushed file to the lane. */
sluice_status sluice_lake_change_file_keep(struct sluice_lane *lane,
                                           struct sluice_lake_change_table *table,
                                           struct sluice_error *err) SLUICE_MUST_CHECK;
/* Both of that, if a file is open. */
sluice_status sluice_lake_change_file_finish(struct sluice_lane *lane,
                                             struct sluice_lake_change_table *table,
                                             struct sluice_error *err) SLUICE_MUST_CHECK;
/* Ends all open files, several at once (change_flush.c): what counts is how long the target takes to
 * answer. */
sluice_status sluice_lake_change_files_finish(struct sluice_lane *lane, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Ends files until the buffers are small enough. To call where no row is half-written. */
sluice_status sluice_lake_change_files_shrink(struct sluice_lane *lane, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Throws the open file away. */
void sluice_lake_change_file_drop(struct sluice_lane *lane, struct sluice_lake_change_table *table);
/* 1 if the open file has reached a limit. */
int32_t sluice_lake_change_file_is_full(const struct sluice_lane *lane,
                                        const struct sluice_lake_change_table *table);
void sluice_lake_change_writer_free(struct sluice_lane *lane,
                                    struct sluice_lake_change_writer *writer);

#endif /* SLUICE_COMMON_LAKE_CHANGE_LANE_H */
