/*
 * The graph as one source sees it: unfolded into a tree whose root is the source, whose inner nodes
 * are transforms and whose leaves are sinks. Made once, then read only. [any]
 */
#ifndef SLUICE_FLOW_TREE_H
#define SLUICE_FLOW_TREE_H

#include "config/pipeline.h"

struct sluice_tree_node {
    size_t node;      /* index into pipeline->nodes */
    size_t parent;    /* index into tree->nodes; the root is its own */
    size_t leaf;      /* sinks: index of the leaf; else SIZE_MAX */
    size_t *children; /* indexes into tree->nodes */
    size_t child_count;
};

struct sluice_tree {
    struct sluice_tree_node *nodes; /* [0] is the source; parents stand before children */
    size_t count;
    size_t *leaves; /* indexes into nodes */
    size_t leaf_count;
};

/* LIMIT when the unfolded graph passes SLUICE_LIMIT_NODES. */
sluice_status sluice_tree_build(const struct sluice_pipeline *pipeline, size_t source,
                                struct sluice_tree *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_tree_free(struct sluice_tree *tree);

#endif /* SLUICE_FLOW_TREE_H */
