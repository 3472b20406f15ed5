/*
 * One shard's way into one sink: written directly by the shard's worker, or through a bounded queue
 * by a thread of its own when the shard has several sinks, so that a slow sink holds back no other
 * before its queue is full.
 */
#ifndef SLUICE_FLOW_LANE_H
#define SLUICE_FLOW_LANE_H

#include <pthread.h>

#include "flow/internal.h"

struct sluice_lane_item {
    struct sluice_lane_item *next;
    struct sluice_batch batch;
    uint64_t bytes;
};

struct sluice_flow_lane {
    struct sluice_engine *engine;
    struct sluice_flow_sink *sink;
    struct sluice_flow_stream *stream;
    size_t leaf;
    struct sluice_lane *lane; /* NULL = not opened: this leaf gets nothing */
    uint64_t rows;            /* written */
    uint64_t bytes;           /* memory size of their batches */
    sluice_status status;     /* first failure of the lane's thread */
    struct sluice_error err;

    int threaded;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct sluice_lane_item *head;
    struct sluice_lane_item **tail;
    uint64_t queued_bytes;
    uint64_t queue_limit;
    int finishing; /* no more batches: the thread ends when the queue is empty */
    int aborting;  /* throw the queue away */
};

/* Opens the lane of `shard` in the leaf's sink; `threaded` starts its thread. [shard] */
sluice_status sluice_flow_lane_open(struct sluice_flow_lane *lane, struct sluice_engine *engine,
                                    struct sluice_flow_shard *shard, size_t leaf, int threaded,
                                    struct sluice_error *err);
/* Writes or enqueues; moves the batch on OK. Answers AGAIN when the queue stayed full for
 * timeout_us. A failure of the lane's own thread is answered here. [shard] */
sluice_status sluice_flow_lane_put(struct sluice_flow_lane *lane, struct sluice_batch *batch,
                                   int64_t timeout_us, struct sluice_error *err);
/* Waits until all is written. [shard] */
sluice_status sluice_flow_lane_drain(struct sluice_flow_lane *lane, struct sluice_error *err);
/* Commits all as epoch 1 with its token. After drain. [shard] */
sluice_status sluice_flow_lane_commit(struct sluice_flow_lane *lane,
                                      const struct sluice_flow_shard *shard,
                                      struct sluice_error *err);
/* Throws away what is not committed and frees. [shard] */
void sluice_flow_lane_close(struct sluice_flow_lane *lane);

#endif /* SLUICE_FLOW_LANE_H */
