/* Lanes: batches to files, files to manifests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lake/sink.h"
#include "sluice/array.h"

enum { SHARD_ID_MAX = 120 };

/* FNV-1a */
static uint32_t bucket_of(const char *text)
{
    uint32_t hash = 2166136261u;
    for (; *text != 0; text++) {
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    }
    return hash % SLUICE_LAKE_BUCKETS;
}

/* How often a lane was opened under that name, this time included. */
static sluice_status count_attempt(struct sluice_sink *sink, const char *name, uint64_t *attempt,
                                   struct sluice_error *err)
{
    struct sluice_lake_shard **bucket = &sink->shards[bucket_of(name)];
    sluice_status st = SLUICE_OK;
    pthread_mutex_lock(&sink->mutex);
    struct sluice_lake_shard *shard = *bucket;
    while (shard != NULL && strcmp(shard->name, name) != 0) {
        shard = shard->next;
    }
    if (shard == NULL) {
        size_t size = strlen(name) + 1;
        shard = calloc(1, sizeof *shard + size);
        if (shard == NULL) {
            st = sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a shard");
            goto out;
        }
        memcpy(shard->name, name, size);
        shard->next = *bucket;
        *bucket = shard;
    }
    *attempt = ++shard->attempts;
out:
    pthread_mutex_unlock(&sink->mutex);
    return st;
}

/* Names the lane's files: {shard}, {shard}~2 … so that a shard which is read again never meets the
 * keys of an earlier attempt. */
static sluice_status name_lane(struct sluice_lane *lane, struct sluice_error *err)
{
    char text[SHARD_ID_MAX + 1];
    char name[SLUICE_LAKE_KEY_MAX];
    uint64_t attempt = 0;
    sluice_lake_shard_text(lane->shard, text, sizeof text);
    (void)snprintf(name, sizeof name, "%s/%s/%s", lane->stream->segment, lane->stream->run, text);
    SLUICE_TRY(count_attempt(lane->sink, name, &attempt, err));
    if (attempt == 1) {
        (void)snprintf(lane->text, sizeof lane->text, "%s", text);
    }
    else {
        (void)snprintf(lane->text, sizeof lane->text, "%s~%llu", text, (unsigned long long)attempt);
    }
    return SLUICE_OK;
}

/* Finds the load that the lane belongs to. */
static sluice_status open_load(struct sluice_lane *lane, const struct sluice_shard_desc *shard,
                               struct sluice_error *err)
{
    if (shard->stream_count != 1) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "shard %s: a part of a load has one stream, not %u", shard->id,
                                shard->stream_count);
    }
    /* Pinned now: a load begun anew under another run must not pull an old lane along. */
    lane->stream = sluice_lake_sink_stream(lane->sink, shard->stream_ids[0]);
    if (lane->stream == NULL) {
        return sluice_error_set(err, SLUICE_E_STATE, 0,
                                "shard %s: lane of a stream whose load never began", shard->id);
    }
    return name_lane(lane, err);
}

sluice_status sluice_lake_sink_lane_open(struct sluice_sink *sink,
                                         const struct sluice_shard_desc *shard,
                                         struct sluice_lane **out, struct sluice_error *err)
{
    if (shard->kind != SLUICE_SHARD_SNAPSHOT && shard->kind != SLUICE_SHARD_CHANGES) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "shard %s: this sink takes full loads and feeds of changes alone",
                                shard->id);
    }
    if (strlen(shard->id) > SHARD_ID_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "shard id of %zu bytes is over %d",
                                strlen(shard->id), SHARD_ID_MAX);
    }
    struct sluice_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a lane");
    }
    lane->sink = sink;
    lane->shard = strdup(shard->id);
    sluice_status st = SLUICE_OK;
    if (lane->shard == NULL) {
        st = sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a lane");
    }
    else {
        st = shard->kind == SLUICE_SHARD_CHANGES ? sluice_lake_changes_open(lane, shard, err)
                                                 : open_load(lane, shard, err);
    }
    if (st < 0) {
        sluice_lake_sink_lane_close(lane);
        return st;
    }
    *out = lane;
    return SLUICE_OK;
}

static sluice_status writer_for(struct sluice_lane *lane, const struct sluice_batch *batch,
                                struct sluice_error *err)
{
    const struct sluice_stream_desc *desc = lane->stream->desc;
    if (batch->stream_id != desc->stream_id || batch->schema_id != desc->schema_id) {
        return sluice_error_set(err, SLUICE_E_SCHEMA, 0,
                                "shard %s: rows of another stream or schema than %s (schema %llu)",
                                lane->shard, desc->name, (unsigned long long)desc->schema_id);
    }
    return lane->writer != NULL ? SLUICE_OK
                                : sluice_lake_writer_create(lane, lane->stream, &lane->writer, err);
}

static sluice_status write_rows(struct sluice_lane *lane, const struct sluice_batch *batch,
                                struct sluice_error *err)
{
    if (batch->array.length == 0) {
        return SLUICE_OK;
    }
    SLUICE_TRY(writer_for(lane, batch, err));
    return sluice_lake_writer_rows(lane->writer, batch, err);
}

static sluice_status refuse(const struct sluice_lane *lane, const struct sluice_batch *batch,
                            struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                            "shard %s: batches of kind %d cannot be written here", lane->shard,
                            batch->kind);
}

sluice_status sluice_lake_sink_lane_write(struct sluice_lane *lane, struct sluice_batch *batch,
                                          struct sluice_error *err)
{
    sluice_status st = SLUICE_OK;
    if (lane->failed) {
        return sluice_error_set(err, SLUICE_E_STATE, 0,
                                "shard %s: write after a failure without abort", lane->shard);
    }
    const int32_t changes = lane->changes != NULL;
    switch (batch->kind) {
    case SLUICE_BATCH_HEARTBEAT:
    case SLUICE_BATCH_SNAPSHOT_END:
        break;
    case SLUICE_BATCH_ROWS:
        st = changes ? refuse(lane, batch, err) : write_rows(lane, batch, err);
        break;
    case SLUICE_BATCH_CHANGES:
    case SLUICE_BATCH_TRUNCATE:
    case SLUICE_BATCH_SCHEMA:
        st = changes ? sluice_lake_changes_write(lane, batch, err) : refuse(lane, batch, err);
        break;
    default:
        st = refuse(lane, batch, err);
        break;
    }
    if (st < 0) {
        lane->failed = 1;
        if (err != NULL) {
            err->flags |= SLUICE_ERROR_EPOCH_ABORTED;
        }
        return st;
    }
    sluice_array_release(&batch->array);
    return SLUICE_OK;
}

static void forget_files(struct sluice_lane *lane)
{
    for (uint32_t i = 0; i < lane->finished; i++) {
        sluice_lake_file_free(lane->files[i]);
    }
    lane->finished = 0;
}

static sluice_status commit_load(struct sluice_lane *lane, const struct sluice_commit *commit,
                                 struct sluice_error *err)
{
    struct sluice_sink *sink = lane->sink;
    const struct sluice_stream_desc *const streams[] = {lane->stream->desc};
    struct sluice_lake_manifest m = {.kind = SLUICE_LAKE_KIND_FULL};
    int32_t again = 0;
    m.mode = sink->mode;
    m.pipeline = sink->pipeline;
    m.sink = sink->node;
    m.shard = lane->shard;
    m.epoch = commit->epoch;
    m.run = lane->stream->run;
    m.token = commit->token;
    m.streams = streams;
    m.stream_count = 1;
    m.files = (const struct sluice_lake_file *const *)lane->files;
    m.file_count = lane->finished;
    return sluice_lake_commits_append(&sink->commits, &m, &again, err);
}

sluice_status sluice_lake_sink_lane_commit(struct sluice_lane *lane,
                                           const struct sluice_commit *commit,
                                           struct sluice_error *err)
{
    if (lane->failed) {
        return sluice_error_set(err, SLUICE_E_STATE, 0,
                                "shard %s: commit after a failure without abort", lane->shard);
    }
    if (commit->token.size > SLUICE_LAKE_TOKEN_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "token of %llu bytes is over %d",
                                (unsigned long long)commit->token.size, SLUICE_LAKE_TOKEN_MAX);
    }
    sluice_status st = SLUICE_OK;
    if (lane->changes != NULL) {
        st = sluice_lake_changes_finish(lane, commit->epoch, err);
    }
    else if (lane->writer != NULL) {
        st = sluice_lake_writer_finish(lane->writer, err);
    }
    if (st < 0) {
        lane->failed = 1;
        if (err != NULL) { /* no manifest was tried yet: surely nothing counts */
            err->flags |= SLUICE_ERROR_EPOCH_ABORTED;
        }
        return st;
    }
    if (lane->finished == 0) {
        return SLUICE_OK; /* nothing was written: nothing to name */
    }
    st = lane->changes != NULL ? sluice_lake_changes_commit(lane, commit, err)
                               : commit_load(lane, commit, err);
    if (st < 0) {
        return sluice_error_wrap(err, "shard %s", lane->shard);
    }
    forget_files(lane);
    return SLUICE_OK;
}

void sluice_lake_sink_lane_abort(struct sluice_lane *lane)
{
    sluice_lake_writer_free(lane->writer);
    lane->writer = NULL;
    if (lane->changes != NULL) {
        sluice_lake_changes_abort(lane);
    }
    forget_files(lane); /* their objects stay, but no manifest names them */
    lane->failed = 0;
}

void sluice_lake_sink_lane_close(struct sluice_lane *lane)
{
    if (lane == NULL) {
        return;
    }
    sluice_lake_sink_lane_abort(lane);
    sluice_lake_changes_close(lane);
    free(lane->files);
    free(lane->shard);
    free(lane);
}
