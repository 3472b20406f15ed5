/*
 * Reading one snapshot shard from its first row to its commits, on one worker.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "flow/lane.h"
#include "log/log.h"
#include "sluice/array.h"

#define READ_TIMEOUT_US 500000 /* how long a stop may go unnoticed in reader_next */
#define PUT_TIMEOUT_US 2000000 /* how often reader_idle is called under back-pressure */
#define BUDGET_WAIT_US 200000  /* then go on: what holds the budget may be ours */
#define BUDGET_RETRY_US 10000  /* once that was in vain: sinks may need more than there is */

struct shard_run {
    struct sluice_engine *engine;
    struct sluice_flow_shard *shard;
    struct sluice_flow_stream *stream;
    const struct sluice_source_api *api;
    struct sluice_reader *reader;
    struct sluice_chain chain;
    struct sluice_flow_lane *lanes; /* per leaf */
    unsigned char *wanted;          /* per leaf: still to be written by this try */
    size_t leaf_count;
    size_t failing_leaf;
    int starved; /* the last wait for room in the budget was in vain */
};

static const struct sluice_error no_memory = {.struct_size = sizeof no_memory,
                                              .status = SLUICE_E_NOMEM,
                                              .flags = SLUICE_ERROR_FATAL,
                                              .row = -1,
                                              .message = "out of memory for a shard"};

static sluice_status stopped(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "stopped");
}

static int must_stop(const struct shard_run *run)
{
    return sluice_flow_stopped(run->engine) || atomic_load(&run->stream->abandoned) ||
           atomic_load(&run->shard->source->lost);
}

static size_t wanted_count(const struct shard_run *run)
{
    size_t n = 0;
    for (size_t i = 0; i < run->leaf_count; i++) {
        n += run->wanted[i];
    }
    return n;
}

/* A lane failed. Alone among others, and for good: its leaf is given up and the rest goes on (OK). */
static sluice_status lane_failed(struct shard_run *run, size_t leaf, struct sluice_error *err)
{
    int for_good =
        (err->flags & SLUICE_ERROR_RETRYABLE) == 0 && sluice_flow_is_stream_error(err, 1);
    struct sluice_flow_shard *shard = run->shard;
    if (for_good && shard->leaf_err == NULL) {
        shard->leaf_err = sluice_alloc_zero(run->leaf_count, sizeof *shard->leaf_err);
    }
    if (for_good && shard->leaf_err != NULL && wanted_count(run) > 1) {
        shard->leaf_failed[leaf] = 1;
        shard->leaf_err[leaf] = *err;
        run->wanted[leaf] = 0;
        sluice_chain_want(&run->chain, run->wanted);
        return SLUICE_OK;
    }
    run->failing_leaf = leaf;
    return err->status;
}

/* sluice_chain_emit */
static sluice_status emit(void *ctx, size_t leaf, struct sluice_batch *batch,
                          struct sluice_error *err)
{
    struct shard_run *run = ctx;
    if (!run->wanted[leaf]) {
        sluice_array_release(&batch->array); /* given up while this batch was on its way */
        return SLUICE_OK;
    }
    for (;;) {
        sluice_status status = sluice_flow_lane_put(&run->lanes[leaf], batch, PUT_TIMEOUT_US, err);
        if (status == SLUICE_OK) {
            return SLUICE_OK;
        }
        if (status < 0) {
            status = lane_failed(run, leaf, err);
            if (status == SLUICE_OK) {
                sluice_array_release(&batch->array);
            }
            return status;
        }
        if (must_stop(run)) {
            return stopped(err);
        }
        status = run->api->reader_idle(run->reader, err);
        if (status < 0 && status != SLUICE_E_UNSUPPORTED) {
            return status;
        }
    }
}

static sluice_status open_run(struct shard_run *run, struct sluice_error *err)
{
    run->lanes = sluice_alloc_zero(run->leaf_count, sizeof *run->lanes);
    run->wanted = sluice_alloc_zero(run->leaf_count, 1);
    if (run->lanes == NULL || run->wanted == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a shard");
    }
    for (size_t i = 0; i < run->leaf_count; i++) {
        const struct sluice_flow_leaf *leaf = &run->stream->leaves[i];
        run->wanted[i] = leaf->needed && !atomic_load(&leaf->failed) && !run->shard->committed[i] &&
                         !run->shard->leaf_failed[i];
    }
    SLUICE_TRY(sluice_failpoint_error("flow.before_shard", err));
    SLUICE_TRY(sluice_chain_open(&run->chain, &run->engine->env, &run->shard->source->tree, emit,
                                 run, err));
    SLUICE_TRY(sluice_chain_bind(&run->chain, run->stream->desc, err));
    sluice_chain_want(&run->chain, run->wanted);
    struct sluice_bytes start = {NULL, 0};
    struct sluice_shard_desc desc = run->shard->desc;
    desc.stream_ids = &run->stream->source_stream_id;
    run->shard->source_desc = desc;
    SLUICE_TRY(run->api->reader_open(run->shard->source->src, &run->shard->source_desc, start,
                                     &run->reader, err));
    int threaded = wanted_count(run) > 1;
    for (size_t i = 0; i < run->leaf_count; i++) {
        if (!run->wanted[i]) {
            continue;
        }
        sluice_status status =
            sluice_flow_lane_open(&run->lanes[i], run->engine, run->shard, i, threaded, err);
        if (status < 0) {
            SLUICE_TRY(lane_failed(run, i, err));
        }
    }
    return SLUICE_OK;
}

/* Takes rows off the stream's limit; returns how many of `rows` may go on. */
static int64_t take_limit(struct sluice_flow_stream *stream, int64_t rows)
{
    int64_t left = atomic_load(&stream->limit_left);
    if (left == INT64_MAX) {
        return rows;
    }
    int64_t taken = 0;
    do {
        taken = rows < left ? rows : left;
    } while (!atomic_compare_exchange_weak(&stream->limit_left, &left, left - taken));
    return taken;
}

/* Checks, counts and pushes one batch; END when the stream's limit is reached. */
static sluice_status push_batch(struct shard_run *run, struct sluice_batch *batch,
                                struct sluice_error *err)
{
    struct sluice_engine *engine = run->engine;
    struct sluice_flow_stream *stream = run->stream;
    if (batch->kind != SLUICE_BATCH_ROWS) {
        sluice_array_release(&batch->array);
        return SLUICE_OK; /* SNAPSHOT_END and heartbeats carry nothing for a load */
    }
    int32_t level = engine->options.validate_batches ? SLUICE_CHECK_FULL : SLUICE_CHECK_COUNTS;
    sluice_status status = sluice_array_check(stream->desc->schema, &batch->array, level, err);
    if (status < 0) {
        sluice_array_release(&batch->array);
        return status;
    }
    batch->stream_id = stream->desc->stream_id;
    batch->schema_id = stream->desc->schema_id;
    int64_t rows = take_limit(stream, batch->array.length);
    int reached = rows < batch->array.length;
    batch->array.length = rows;
    batch->rows = (uint64_t)rows;
    if (batch->bytes == 0) {
        batch->bytes = sluice_array_bytes(stream->desc->schema, &batch->array);
    }
    uint64_t bytes = batch->bytes;
    run->shard->rows_read += (uint64_t)rows;
    atomic_fetch_add(&stream->rows, (uint64_t)rows);
    atomic_fetch_add(&stream->bytes, bytes);
    sluice_budget_take(&engine->budget, bytes, 1);
    status = sluice_chain_push(&run->chain, batch, err);
    sluice_budget_give(&engine->budget, bytes);
    return status < 0 || !reached ? status : SLUICE_END;
}

static sluice_status read_all(struct shard_run *run, struct sluice_error *err)
{
    if (atomic_load(&run->stream->limit_left) == 0) {
        return SLUICE_OK;
    }
    for (;;) {
        if (must_stop(run)) {
            return stopped(err);
        }
        run->starved = !sluice_budget_wait(&run->engine->budget,
                                           run->starved ? BUDGET_RETRY_US : BUDGET_WAIT_US);
        struct sluice_batch batch = {.struct_size = sizeof batch};
        sluice_status status = run->api->reader_next(run->reader, READ_TIMEOUT_US, &batch, err);
        if (status == SLUICE_AGAIN) {
            continue;
        }
        if (status == SLUICE_END) {
            return SLUICE_OK;
        }
        SLUICE_TRY(status);
        status = push_batch(run, &batch, err);
        if (status == SLUICE_END) {
            return SLUICE_OK;
        }
        SLUICE_TRY(status);
        SLUICE_TRY(sluice_failpoint_error("flow.after_batch", err));
    }
}

/* A commit failed. If its outcome is unknown, the stream's load is begun anew as a whole
 * (SNAPSHOT_LOST): its run never becomes complete, so nothing counts twice. */
static sluice_status commit_failed(struct shard_run *run, size_t leaf, struct sluice_error *err)
{
    if ((err->flags & SLUICE_ERROR_EPOCH_ABORTED) != 0) {
        return lane_failed(run, leaf, err); /* surely nothing was kept */
    }
    if ((err->flags & SLUICE_ERROR_RETRYABLE) != 0) {
        err->status = SLUICE_E_SNAPSHOT_LOST;
    }
    run->failing_leaf = leaf;
    return err->status;
}

/* Commits every lane that is left. */
static sluice_status commit_all(struct shard_run *run, struct sluice_error *err)
{
    SLUICE_TRY(sluice_chain_flush(&run->chain, err));
    for (size_t i = 0; i < run->leaf_count; i++) {
        if (run->wanted[i] && sluice_flow_lane_drain(&run->lanes[i], err) < 0) {
            SLUICE_TRY(lane_failed(run, i, err));
        }
    }
    for (size_t i = 0; i < run->leaf_count; i++) {
        if (!run->wanted[i]) {
            continue;
        }
        if (must_stop(run)) {
            return stopped(err);
        }
        if (sluice_flow_lane_commit(&run->lanes[i], run->shard, err) < 0) {
            SLUICE_TRY(commit_failed(run, i, err));
            continue;
        }
        run->shard->committed[i] = 1;
        run->shard->leaf_rows[i] = run->lanes[i].rows;
    }
    return SLUICE_OK;
}

struct sluice_error sluice_flow_shard_error(const struct sluice_flow_shard *shard)
{
    return shard->err != NULL ? *shard->err : no_memory;
}

static void close_run(struct shard_run *run)
{
    for (size_t i = 0; run->lanes != NULL && i < run->leaf_count; i++) {
        if (run->lanes[i].engine != NULL) {
            sluice_flow_lane_close(&run->lanes[i]);
        }
    }
    if (run->reader != NULL) {
        run->api->reader_close(run->reader);
    }
    sluice_chain_close(&run->chain);
    sluice_free(run->lanes);
    sluice_free(run->wanted);
}

/* What a failed try has read counts no more. */
static void take_back(struct sluice_flow_shard *shard)
{
    atomic_fetch_sub(&shard->stream->rows, shard->rows_read);
    if (atomic_load(&shard->stream->limit_left) != INT64_MAX) {
        atomic_fetch_add(&shard->stream->limit_left, (int64_t)shard->rows_read);
    }
}

void sluice_flow_shard_run(struct sluice_engine *engine, struct sluice_flow_shard *shard)
{
    struct shard_run run = {.engine = engine,
                            .shard = shard,
                            .stream = shard->stream,
                            .api = shard->source->api,
                            .leaf_count = shard->source->tree.leaf_count,
                            .failing_leaf = SIZE_MAX};
    struct sluice_error err = SLUICE_ERROR_INIT;
    int64_t zero = 0;
    atomic_compare_exchange_strong(&shard->stream->started_us, &zero,
                                   sluice_now_us(SLUICE_CLOCK_MONOTONIC));
    int32_t waiting = SLUICE_PROGRESS_WAITING;
    atomic_compare_exchange_strong(&shard->stream->status, &waiting, SLUICE_PROGRESS_RUNNING);
    shard->rows_read = 0;
    sluice_status status = open_run(&run, &err);
    if (status >= 0) {
        status = read_all(&run, &err);
    }
    if (status >= 0) {
        status = commit_all(&run, &err);
    }
    close_run(&run);
    shard->status = SLUICE_OK;
    shard->err_leaf = run.failing_leaf;
    if (status < 0) {
        take_back(shard);
        err.status = status;
        shard->err = shard->err != NULL ? shard->err : sluice_alloc_zero(1, sizeof *shard->err);
        if (shard->err != NULL) {
            *shard->err = err;
        }
        shard->status = shard->err != NULL ? status : SLUICE_E_NOMEM;
    }
}
