#include "flow/chain.h"

#include "base/alloc.h"
#include "plugin/host.h"
#include "sluice/array.h"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                            "out of memory for a transform chain");
}

static sluice_status open_node(struct sluice_chain_node *cn, const struct sluice_flow_env *env,
                               const struct sluice_pipeline_node *node, struct sluice_error *err)
{
    cn->api = node->component->transform;
    struct sluice_host_params params = {.node = node->id,
                                        .config = node->config,
                                        .cancel = env->cancel,
                                        .budget = env->budget,
                                        .metrics = env->metrics};
    SLUICE_TRY(sluice_host_create(&params, &cn->host, err));
    sluice_status status = cn->api->create(sluice_host_table(cn->host), &cn->xf, err);
    return status < 0 ? sluice_error_wrap(err, "transform %s", node->id) : SLUICE_OK;
}

sluice_status sluice_chain_open(struct sluice_chain *chain, const struct sluice_flow_env *env,
                                const struct sluice_tree *tree, sluice_chain_emit emit,
                                void *emit_ctx, struct sluice_error *err)
{
    *chain = (struct sluice_chain){.tree = tree, .emit = emit, .emit_ctx = emit_ctx};
    chain->nodes = sluice_alloc_zero(tree->count, sizeof *chain->nodes);
    if (chain->nodes == NULL) {
        return nomem(err);
    }
    for (size_t i = 0; i < tree->count; i++) {
        const struct sluice_pipeline_node *node = &env->pipeline->nodes[tree->nodes[i].node];
        chain->nodes[i].wanted = 1;
        if (node->kind == SLUICE_TRANSFORM) {
            sluice_status status = open_node(&chain->nodes[i], env, node, err);
            if (status < 0) {
                sluice_chain_close(chain);
                return status;
            }
        }
    }
    return SLUICE_OK;
}

void sluice_chain_close(struct sluice_chain *chain)
{
    if (chain->nodes != NULL) {
        for (size_t i = 0; i < chain->tree->count; i++) {
            struct sluice_chain_node *cn = &chain->nodes[i];
            if (cn->xf != NULL) {
                cn->api->destroy(cn->xf);
            }
            sluice_host_destroy(cn->host);
            sluice_stream_desc_free(cn->desc);
        }
        sluice_free(chain->nodes);
    }
    *chain = (struct sluice_chain){0};
}

static sluice_status keep_desc(void *vctx, const struct sluice_stream_desc *desc,
                               const struct sluice_error *problem)
{
    struct sluice_stream_desc **out = vctx;
    if (problem != NULL || *out != NULL) {
        return SLUICE_E_INTERNAL; /* a transform makes at most one stream out of one */
    }
    *out = sluice_stream_desc_copy(desc);
    return *out == NULL ? SLUICE_E_NOMEM : SLUICE_OK;
}

sluice_status sluice_chain_bind(struct sluice_chain *chain, const struct sluice_stream_desc *desc,
                                struct sluice_error *err)
{
    for (size_t i = 0; i < chain->tree->count; i++) {
        struct sluice_chain_node *cn = &chain->nodes[i];
        sluice_stream_desc_free(cn->desc);
        cn->desc = NULL;
        const struct sluice_stream_desc *in =
            i == 0 ? desc : chain->nodes[chain->tree->nodes[i].parent].desc;
        if (in == NULL) {
            continue; /* dropped above */
        }
        if (cn->xf == NULL) {
            cn->desc = sluice_stream_desc_copy(in);
            if (cn->desc == NULL) {
                return nomem(err);
            }
            continue;
        }
        sluice_status status = cn->api->bind(cn->xf, in, keep_desc, &cn->desc, err);
        if (status < 0) {
            return sluice_error_wrap(err, "transform of stream %s", in->name);
        }
        if (cn->desc != NULL && cn->desc->stream_id != in->stream_id) {
            return sluice_error_set(err, SLUICE_E_INTERNAL, SLUICE_ERROR_FATAL,
                                    "a transform changed the stream id of %s: a bug of its plugin",
                                    in->name);
        }
    }
    return SLUICE_OK;
}

const struct sluice_stream_desc *sluice_chain_leaf(const struct sluice_chain *chain, size_t leaf)
{
    return chain->nodes[chain->tree->leaves[leaf]].desc;
}

void sluice_chain_want(struct sluice_chain *chain, const unsigned char *wanted)
{
    for (size_t i = chain->tree->count; i-- > 0;) { /* children stand behind their parents */
        const struct sluice_tree_node *tn = &chain->tree->nodes[i];
        struct sluice_chain_node *cn = &chain->nodes[i];
        cn->wanted = tn->leaf != SIZE_MAX ? wanted[tn->leaf] : 0;
        for (size_t c = 0; c < tn->child_count; c++) {
            cn->wanted |= chain->nodes[tn->children[c]].wanted;
        }
    }
}

static int child_takes(const struct sluice_chain *chain, size_t child)
{
    return chain->nodes[child].wanted && chain->nodes[child].desc != NULL;
}

static sluice_status deliver(struct sluice_chain *chain, size_t at, struct sluice_batch *batch,
                             struct sluice_error *err);

/* Gives what transform `at` has ready to its children. */
static sluice_status pull_all(struct sluice_chain *chain, size_t at, struct sluice_error *err);

/* Hands the batch, which left node `at`, to every child that takes it. */
static sluice_status fan_out(struct sluice_chain *chain, size_t at, struct sluice_batch *batch,
                             struct sluice_error *err)
{
    const struct sluice_tree_node *tn = &chain->tree->nodes[at];
    uint32_t takers = 0;
    size_t last = 0;
    for (size_t c = 0; c < tn->child_count; c++) {
        if (child_takes(chain, tn->children[c])) {
            takers++;
            last = tn->children[c];
        }
    }
    if (takers == 0) {
        sluice_array_release(&batch->array);
        return SLUICE_OK;
    }
    if (takers == 1) {
        return deliver(chain, last, batch, err);
    }
    struct ArrowArray shared[SLUICE_FAN_OUT_MAX];
    if (takers > SLUICE_FAN_OUT_MAX) {
        sluice_array_release(&batch->array);
        return sluice_error_set(err, SLUICE_E_LIMIT, SLUICE_ERROR_FATAL,
                                "more than %d outputs of one node", SLUICE_FAN_OUT_MAX);
    }
    sluice_status status = sluice_array_share(&batch->array, takers, shared, err);
    if (status < 0) {
        sluice_array_release(&batch->array);
        return status;
    }
    uint32_t next = 0;
    for (size_t c = 0; c < tn->child_count; c++) {
        if (!child_takes(chain, tn->children[c])) {
            continue;
        }
        if (status < 0) {
            sluice_array_release(&shared[next++]);
            continue;
        }
        struct sluice_batch copy = *batch;
        sluice_array_move(&shared[next++], &copy.array);
        status = deliver(chain, tn->children[c], &copy, err);
    }
    return status;
}

static sluice_status deliver(struct sluice_chain *chain, size_t at, struct sluice_batch *batch,
                             struct sluice_error *err)
{
    size_t leaf = chain->tree->nodes[at].leaf;
    struct sluice_chain_node *cn = &chain->nodes[at];
    sluice_status status = leaf != SIZE_MAX ? chain->emit(chain->emit_ctx, leaf, batch, err)
                                            : cn->api->push(cn->xf, batch, err);
    if (status < 0) {
        sluice_array_release(&batch->array);
        return status;
    }
    return leaf != SIZE_MAX ? SLUICE_OK : pull_all(chain, at, err);
}

static sluice_status pull_all(struct sluice_chain *chain, size_t at, struct sluice_error *err)
{
    struct sluice_chain_node *cn = &chain->nodes[at];
    for (;;) {
        struct sluice_batch out = {.struct_size = sizeof out};
        sluice_status status = cn->api->pull(cn->xf, &out, err);
        if (status == SLUICE_AGAIN || status == SLUICE_END) {
            return SLUICE_OK;
        }
        SLUICE_TRY(status);
        SLUICE_TRY(fan_out(chain, at, &out, err));
    }
}

sluice_status sluice_chain_push(struct sluice_chain *chain, struct sluice_batch *batch,
                                struct sluice_error *err)
{
    return fan_out(chain, 0, batch, err);
}

sluice_status sluice_chain_flush(struct sluice_chain *chain, struct sluice_error *err)
{
    for (size_t i = 1; i < chain->tree->count; i++) { /* parents first */
        struct sluice_chain_node *cn = &chain->nodes[i];
        if (cn->xf == NULL || cn->desc == NULL || !cn->wanted) {
            continue;
        }
        sluice_status status = cn->api->flush(cn->xf, err);
        if (status < 0 && status != SLUICE_E_UNSUPPORTED) {
            return status;
        }
        SLUICE_TRY(pull_all(chain, i, err));
    }
    return SLUICE_OK;
}
