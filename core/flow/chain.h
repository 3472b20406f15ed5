/*
 * The transforms between one shard and its sinks: instances of the tree's inner nodes, through which
 * batches are pushed to the leaves. One thread at a time per chain.
 */
#ifndef SLUICE_FLOW_CHAIN_H
#define SLUICE_FLOW_CHAIN_H

#include "base/budget.h"
#include "base/cancel.h"
#include "flow/tree.h"
#include "metrics/metrics.h"

#define SLUICE_FAN_OUT_MAX 64 /* outputs of one node: bounds a stack array */

/* What instances need of the engine. */
struct sluice_flow_env {
    const struct sluice_pipeline *pipeline;
    struct sluice_cancel *cancel;
    struct sluice_budget *budget;   /* may be NULL */
    struct sluice_metrics *metrics; /* may be NULL */
};

/* Takes a batch that reached a leaf: moves it on OK. */
typedef sluice_status (*sluice_chain_emit)(void *ctx, size_t leaf, struct sluice_batch *batch,
                                           struct sluice_error *err);

struct sluice_chain_node {
    struct sluice_host_instance *host;
    struct sluice_transform *xf;
    const struct sluice_transform_api *api;
    struct sluice_stream_desc
        *desc;  /* of the stream last bound, as it leaves the node; NULL = dropped */
    int wanted; /* a wanted leaf is below */
};

struct sluice_chain {
    const struct sluice_tree *tree;
    struct sluice_chain_node *nodes; /* as tree->nodes */
    sluice_chain_emit emit;
    void *emit_ctx;
};

sluice_status sluice_chain_open(struct sluice_chain *chain, const struct sluice_flow_env *env,
                                const struct sluice_tree *tree, sluice_chain_emit emit,
                                void *emit_ctx, struct sluice_error *err) SLUICE_MUST_CHECK;
void sluice_chain_close(struct sluice_chain *chain);
/* Binds a stream through the whole tree. */
sluice_status sluice_chain_bind(struct sluice_chain *chain, const struct sluice_stream_desc *desc,
                                struct sluice_error *err) SLUICE_MUST_CHECK;
/* The stream last bound as it reaches a leaf; NULL = dropped on the way. Borrowed until the next
 * bind or close. */
const struct sluice_stream_desc *sluice_chain_leaf(const struct sluice_chain *chain, size_t leaf);
/* Only these leaves get batches from now on; `wanted` has leaf_count members. */
void sluice_chain_want(struct sluice_chain *chain, const unsigned char *wanted);
/* Pushes a batch from the source towards the leaves. Moves it, whatever is answered. */
sluice_status sluice_chain_push(struct sluice_chain *chain, struct sluice_batch *batch,
                                struct sluice_error *err) SLUICE_MUST_CHECK;
/* Drains what transforms hold back. */
sluice_status sluice_chain_flush(struct sluice_chain *chain, struct sluice_error *err)
    SLUICE_MUST_CHECK;

#endif /* SLUICE_FLOW_CHAIN_H */
