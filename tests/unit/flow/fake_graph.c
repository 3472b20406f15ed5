/* The scripted transform, and pipelines of the fakes. */
#include <stdlib.h>

#include "fake.h"
#include "sluice/error.h"

uint32_t fake_retry_max = 5;

static const struct sluice_option *const no_options[] = {NULL};

/* ---------------------------------------------------------------- transform ---------- */

struct sluice_transform {
    struct sluice_batch ready;
    int full;
};

static sluice_status xf_create(const struct sluice_host *host, struct sluice_transform **out,
                               struct sluice_error *err)
{
    (void)host;
    (void)err;
    *out = calloc(1, sizeof **out);
    atomic_fetch_add(&fake.live, 1);
    return SLUICE_OK;
}

static void xf_destroy(struct sluice_transform *xf)
{
    if (xf != NULL) {
        if (xf->full) {
            xf->ready.array.release(&xf->ready.array);
        }
        free(xf);
        atomic_fetch_sub(&fake.live, 1);
    }
}

static sluice_status xf_bind(struct sluice_transform *xf, const struct sluice_stream_desc *in,
                             sluice_stream_visit visit, void *vctx, struct sluice_error *err)
{
    (void)xf;
    (void)err;
    return visit(vctx, in, NULL);
}

static sluice_status xf_push(struct sluice_transform *xf, struct sluice_batch *batch,
                             struct sluice_error *err)
{
    (void)err;
    xf->ready = *batch;
    xf->ready.bytes = 0;
    xf->full = 1;
    batch->array.release = NULL;
    return SLUICE_OK;
}

static sluice_status xf_pull(struct sluice_transform *xf, struct sluice_batch *out,
                             struct sluice_error *err)
{
    (void)err;
    if (!xf->full) {
        return SLUICE_AGAIN;
    }
    *out = xf->ready;
    xf->full = 0;
    return SLUICE_OK;
}

static sluice_status xf_flush(struct sluice_transform *xf, struct sluice_error *err)
{
    (void)xf;
    (void)err;
    return SLUICE_OK;
}

static const struct sluice_transform_api transform_api = {.struct_size = sizeof transform_api,
                                                          .create = xf_create,
                                                          .destroy = xf_destroy,
                                                          .bind = xf_bind,
                                                          .push = xf_push,
                                                          .pull = xf_pull,
                                                          .flush = xf_flush};

const struct sluice_component fake_transform_component = {.struct_size =
                                                              sizeof fake_transform_component,
                                                          .kind = SLUICE_TRANSFORM,
                                                          .name = "fake_transform",
                                                          .summary = "passes on",
                                                          .options = no_options,
                                                          .transform = &transform_api};

/* ---------------------------------------------------------------- pipeline ---------- */

static void node_set(struct sluice_pipeline *p, size_t at, int32_t kind, const char *id,
                     const struct sluice_component *component)
{
    struct sluice_pipeline_node *node = &p->nodes[at];
    node->kind = kind;
    node->id = (char *)(uintptr_t)id;
    node->component = component;
    node->retry = (struct sluice_retry){.max = fake_retry_max, .backoff_us = 1000, .cap_us = 5000};
}

static void node_wire(struct sluice_pipeline *p, size_t at, size_t first, size_t count)
{
    p->nodes[at].inputs = calloc(count, sizeof *p->nodes[at].inputs);
    p->nodes[at].input_count = count;
    for (size_t i = 0; i < count; i++) {
        p->nodes[at].inputs[i] = first + i;
    }
}

static struct sluice_pipeline *pipeline_make(size_t nodes)
{
    struct sluice_pipeline *p = calloc(1, sizeof *p);
    p->name = (char *)(uintptr_t) "fake";
    p->file = (char *)(uintptr_t) "fake.yaml";
    p->mode = SLUICE_MODE_FULL_LOAD_ONLY;
    p->parallelism = 3;
    p->node_count = nodes;
    p->nodes = calloc(nodes, sizeof *p->nodes);
    return p;
}

struct sluice_pipeline *fake_pipeline(uint32_t sinks)
{
    static const char names[8][2] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct sluice_pipeline *p = pipeline_make(sinks + 1);
    node_set(p, 0, SLUICE_SOURCE, "src", &fake_source_component);
    for (size_t i = 1; i <= sinks; i++) {
        node_set(p, i, SLUICE_SINK, names[i - 1], &fake_sink_component);
        node_wire(p, i, 0, 1);
    }
    return p;
}

struct sluice_pipeline *fake_pipeline_two_sources(void)
{
    struct sluice_pipeline *p = pipeline_make(3);
    node_set(p, 0, SLUICE_SOURCE, "src", &fake_source_component);
    node_set(p, 1, SLUICE_SOURCE, "other", &fake_other_source_component);
    node_set(p, 2, SLUICE_SINK, "a", &fake_sink_component);
    node_wire(p, 2, 0, 2);
    return p;
}

struct sluice_pipeline *fake_pipeline_transform(void)
{
    struct sluice_pipeline *p = pipeline_make(4);
    node_set(p, 0, SLUICE_SOURCE, "src", &fake_source_component);
    node_set(p, 1, SLUICE_TRANSFORM, "xf", &fake_transform_component);
    node_set(p, 2, SLUICE_SINK, "a", &fake_sink_component);
    node_set(p, 3, SLUICE_SINK, "b", &fake_sink_component);
    node_wire(p, 1, 0, 1);
    node_wire(p, 2, 1, 1);
    node_wire(p, 3, 1, 1);
    return p;
}

void fake_pipeline_free(struct sluice_pipeline *p)
{
    for (size_t i = 0; i < p->node_count; i++) {
        free(p->nodes[i].inputs);
    }
    free(p->nodes);
    free(p);
}
