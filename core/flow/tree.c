#include "flow/tree.h"

#include <stdint.h>

#include "base/alloc.h"
#include "base/limits.h"

static int add_index(size_t **items, size_t *count, size_t value)
{
    size_t *grown = sluice_alloc_resize(*items, *count + 1, sizeof **items);
    if (grown == NULL) {
        return 0;
    }
    grown[(*count)++] = value;
    *items = grown;
    return 1;
}

/* Appends a tree node under `parent`; SIZE_MAX = out of memory. */
static size_t add_node(struct sluice_tree *tree, size_t node, size_t parent, int is_sink)
{
    struct sluice_tree_node *grown =
        sluice_alloc_resize(tree->nodes, tree->count + 1, sizeof *tree->nodes);
    if (grown == NULL) {
        return SIZE_MAX;
    }
    tree->nodes = grown;
    size_t at = tree->count;
    tree->nodes[at] = (struct sluice_tree_node){.node = node, .parent = parent, .leaf = SIZE_MAX};
    if (is_sink) {
        tree->nodes[at].leaf = tree->leaf_count;
        if (!add_index(&tree->leaves, &tree->leaf_count, at)) {
            return SIZE_MAX;
        }
    }
    tree->count++;
    struct sluice_tree_node *up = &tree->nodes[parent];
    if (at != parent && !add_index(&up->children, &up->child_count, at)) {
        return SIZE_MAX;
    }
    return at;
}

static int reads_from(const struct sluice_pipeline_node *node, size_t input)
{
    for (size_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] == input) {
            return 1;
        }
    }
    return 0;
}

sluice_status sluice_tree_build(const struct sluice_pipeline *pipeline, size_t source,
                                struct sluice_tree *out, struct sluice_error *err)
{
    struct sluice_tree tree = {0};
    if (add_node(&tree, source, 0, 0) == SIZE_MAX) {
        goto nomem;
    }
    for (size_t at = 0; at < tree.count; at++) { /* breadth first; the tree grows as we go */
        size_t node = tree.nodes[at].node;
        for (size_t i = 0; i < pipeline->node_count; i++) {
            if (!reads_from(&pipeline->nodes[i], node)) {
                continue;
            }
            if (tree.count >= SLUICE_LIMIT_NODES) {
                sluice_tree_free(&tree);
                return sluice_error_set(err, SLUICE_E_LIMIT, SLUICE_ERROR_FATAL,
                                        "%s: the graph behind source %s has over %d paths",
                                        pipeline->name, pipeline->nodes[source].id,
                                        SLUICE_LIMIT_NODES);
            }
            if (add_node(&tree, i, at, pipeline->nodes[i].kind == SLUICE_SINK) == SIZE_MAX) {
                goto nomem;
            }
        }
    }
    *out = tree;
    return SLUICE_OK;
nomem:
    sluice_tree_free(&tree);
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for the graph");
}

void sluice_tree_free(struct sluice_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        sluice_free(tree->nodes[i].children);
    }
    sluice_free(tree->nodes);
    sluice_free(tree->leaves);
    *tree = (struct sluice_tree){0};
}
