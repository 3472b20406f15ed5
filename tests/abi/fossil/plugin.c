/*
 * A plugin from the time of the frozen header: a source of three numbers, a transform that passes
 * them, a sink that counts them. It knows the interface alone, no SDK library, and its tables end
 * before every optional member. Never brought up to date.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/abi.h"

#define ENDS_BEFORE(type, member) ((uint32_t)offsetof(struct type, member))

/* ------------------------------------------------------------ an array by hand --------------- */

static const int64_t numbers[3] = {1, 2, 3};
static const void *root_buffers[1] = {NULL};
static const void *column_buffers[2] = {NULL, numbers};

struct made {
    struct ArrowArray column;
    struct ArrowArray *children[1];
};

static void release_column(struct ArrowArray *array)
{
    array->release = NULL;
}

static void release_root(struct ArrowArray *array)
{
    struct made *made = array->private_data;
    if (made->column.release != NULL) {
        made->column.release(&made->column);
    }
    free(made);
    array->release = NULL;
}

static void release_schema(struct ArrowSchema *schema)
{
    (void)schema; /* lives in the file */
}

static struct ArrowSchema id_schema = {"l", "id", NULL, 0, 0, NULL, NULL, release_schema, NULL};
static struct ArrowSchema *schema_children[1] = {&id_schema};
static struct ArrowSchema schema = {"+s",           "",  NULL, 0, 1, schema_children, NULL,
                                    release_schema, NULL};

/* ------------------------------------------------------------ source ------------------------- */

struct sluice_source {
    const struct sluice_host *host;
};

struct sluice_reader {
    int done;
};

static sluice_status src_create(const struct sluice_host *host, struct sluice_source **out,
                                struct sluice_error *err)
{
    (void)err;
    struct sluice_source *src = calloc(1, sizeof *src);
    if (src == NULL) {
        return SLUICE_E_NOMEM;
    }
    src->host = host;
    *out = src;
    return SLUICE_OK;
}

static void src_destroy(struct sluice_source *src)
{
    free(src);
}

static sluice_status src_check(struct sluice_source *src, const struct sluice_source_plan *plan,
                               sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    (void)src, (void)plan, (void)visit, (void)vctx, (void)err;
    return SLUICE_OK;
}

static void src_cancel(struct sluice_source *src)
{
    (void)src;
}

static sluice_status src_discover(struct sluice_source *src, sluice_stream_visit visit, void *vctx,
                                  struct sluice_error *err)
{
    static const char *const parts[] = {"fossil"};
    static const uint32_t keys[] = {0};
    struct sluice_stream_desc desc;
    (void)src, (void)err;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = ENDS_BEFORE(sluice_stream_desc, encoding_count);
    desc.kind = SLUICE_STREAM_TABLE;
    desc.stream_id = 1;
    desc.schema_id = 1;
    desc.name = "fossil";
    desc.part_count = 1;
    desc.parts = parts;
    desc.key_count = 1;
    desc.keys = keys;
    desc.schema = &schema;
    desc.rows_estimate = 3;
    desc.bytes_estimate = -1;
    return visit(vctx, &desc, NULL);
}

static sluice_status src_open(struct sluice_source *src, const struct sluice_source_plan *plan,
                              struct sluice_source_info *info, sluice_stream_visit visit,
                              void *vctx, struct sluice_error *err)
{
    (void)plan, (void)info;
    return src_discover(src, visit, vctx, err);
}

static sluice_status src_shards(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                                struct sluice_error *err)
{
    static const uint64_t ids[] = {1};
    struct sluice_shard_desc shard;
    (void)src, (void)err;
    memset(&shard, 0, sizeof shard);
    shard.struct_size = (uint32_t)sizeof shard;
    shard.kind = SLUICE_SHARD_SNAPSHOT;
    shard.stream_count = 1;
    shard.id = "fossil";
    shard.stream_ids = ids;
    shard.rows_estimate = 3;
    shard.bytes_estimate = -1;
    return visit(vctx, &shard);
}

static sluice_status src_reader_open(struct sluice_source *src,
                                     const struct sluice_shard_desc *shard,
                                     struct sluice_bytes resume, struct sluice_reader **out,
                                     struct sluice_error *err)
{
    (void)src, (void)shard, (void)resume, (void)err;
    *out = calloc(1, sizeof **out);
    return *out == NULL ? SLUICE_E_NOMEM : SLUICE_OK;
}

static sluice_status src_reader_next(struct sluice_reader *rd, int64_t timeout_us,
                                     struct sluice_batch *out, struct sluice_error *err)
{
    (void)timeout_us, (void)err;
    if (rd->done) {
        return SLUICE_END;
    }
    struct made *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return SLUICE_E_NOMEM;
    }
    made->children[0] = &made->column;
    made->column.length = 3;
    made->column.n_buffers = 2;
    made->column.buffers = column_buffers;
    made->column.release = release_column;
    uint32_t size = out->struct_size;
    memset(out, 0, sizeof *out);
    out->struct_size = size;
    out->kind = SLUICE_BATCH_ROWS;
    out->flags = SLUICE_BATCH_COMMIT_BOUNDARY;
    out->stream_id = 1;
    out->schema_id = 1;
    out->rows = 3;
    out->array.length = 3;
    out->array.n_buffers = 1;
    out->array.buffers = root_buffers;
    out->array.n_children = 1;
    out->array.children = made->children;
    out->array.private_data = made;
    out->array.release = release_root;
    rd->done = 1;
    return SLUICE_OK;
}

static void src_reader_close(struct sluice_reader *rd)
{
    free(rd);
}

static const struct sluice_source_api source_api = {
    .struct_size = ENDS_BEFORE(sluice_source_api, shard_done),
    .create = src_create,
    .destroy = src_destroy,
    .check = src_check,
    .cancel = src_cancel,
    .discover = src_discover,
    .open = src_open,
    .shards = src_shards,
    .reader_open = src_reader_open,
    .reader_next = src_reader_next,
    .reader_close = src_reader_close,
};

/* ------------------------------------------------------------ sink --------------------------- */

struct sluice_sink {
    const struct sluice_host *host;
    struct sluice_metric *rows;
};

struct sluice_lane {
    struct sluice_sink *sink;
};

static sluice_status sink_create(const struct sluice_host *host, struct sluice_sink **out,
                                 struct sluice_error *err)
{
    (void)err;
    struct sluice_sink *sink = calloc(1, sizeof *sink);
    if (sink == NULL) {
        return SLUICE_E_NOMEM;
    }
    sink->host = host;
    sink->rows = host->metric(host->ctx, SLUICE_METRIC_COUNTER, "fossil_rows_total", "rows", "");
    *out = sink;
    return SLUICE_OK;
}

static void sink_destroy(struct sluice_sink *sink)
{
    free(sink);
}

static sluice_status sink_check(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    (void)sink, (void)plan, (void)visit, (void)vctx, (void)err;
    return SLUICE_OK;
}

static void sink_cancel(struct sluice_sink *sink)
{
    (void)sink;
}

static sluice_status sink_open(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                               struct sluice_error *err)
{
    (void)sink, (void)plan, (void)err;
    return SLUICE_OK;
}

static sluice_status sink_recover(struct sluice_sink *sink, sluice_recovered_visit visit,
                                  void *vctx, struct sluice_error *err)
{
    (void)sink, (void)visit, (void)vctx, (void)err;
    return SLUICE_OK;
}

static sluice_status sink_stream_begin(struct sluice_sink *sink,
                                       const struct sluice_stream_begin *begin,
                                       struct sluice_error *err)
{
    (void)sink, (void)begin, (void)err;
    return SLUICE_OK;
}

static sluice_status sink_lane_open(struct sluice_sink *sink, const struct sluice_shard_desc *shard,
                                    struct sluice_lane **out, struct sluice_error *err)
{
    (void)shard, (void)err;
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return SLUICE_E_NOMEM;
    }
    (*out)->sink = sink;
    return SLUICE_OK;
}

static sluice_status sink_lane_write(struct sluice_lane *lane, struct sluice_batch *batch,
                                     struct sluice_error *err)
{
    (void)err;
    lane->sink->host->metric_add(lane->sink->rows, (int64_t)batch->rows);
    batch->array.release(&batch->array);
    return SLUICE_OK;
}

static sluice_status sink_lane_commit(struct sluice_lane *lane, const struct sluice_commit *commit,
                                      struct sluice_error *err)
{
    (void)lane, (void)commit, (void)err;
    return SLUICE_OK;
}

static void sink_lane_abort(struct sluice_lane *lane)
{
    (void)lane;
}

static void sink_lane_close(struct sluice_lane *lane)
{
    free(lane);
}

static sluice_status sink_stream_end(struct sluice_sink *sink, const struct sluice_stream_end *end,
                                     struct sluice_error *err)
{
    (void)sink, (void)end, (void)err;
    return SLUICE_OK;
}

static const struct sluice_sink_api sink_api = {
    .struct_size = ENDS_BEFORE(sluice_sink_api, bytes_written),
    .create = sink_create,
    .destroy = sink_destroy,
    .check = sink_check,
    .cancel = sink_cancel,
    .open = sink_open,
    .recover = sink_recover,
    .stream_begin = sink_stream_begin,
    .lane_open = sink_lane_open,
    .lane_write = sink_lane_write,
    .lane_commit = sink_lane_commit,
    .lane_abort = sink_lane_abort,
    .lane_close = sink_lane_close,
    .stream_end = sink_stream_end,
};

/* ------------------------------------------------------------ transform ---------------------- */

struct sluice_transform {
    struct sluice_batch ready;
    int has_ready;
};

static sluice_status xf_create(const struct sluice_host *host, struct sluice_transform **out,
                               struct sluice_error *err)
{
    (void)host, (void)err;
    *out = calloc(1, sizeof **out);
    return *out == NULL ? SLUICE_E_NOMEM : SLUICE_OK;
}

static void xf_destroy(struct sluice_transform *xf)
{
    free(xf);
}

static sluice_status xf_bind(struct sluice_transform *xf, const struct sluice_stream_desc *in,
                             sluice_stream_visit visit, void *vctx, struct sluice_error *err)
{
    (void)xf, (void)err;
    return visit(vctx, in, NULL);
}

static sluice_status xf_push(struct sluice_transform *xf, struct sluice_batch *batch,
                             struct sluice_error *err)
{
    (void)err;
    xf->ready = *batch;
    xf->has_ready = 1;
    batch->array.release = NULL;
    return SLUICE_OK;
}

static sluice_status xf_pull(struct sluice_transform *xf, struct sluice_batch *out,
                             struct sluice_error *err)
{
    (void)err;
    if (!xf->has_ready) {
        return SLUICE_AGAIN;
    }
    *out = xf->ready;
    xf->has_ready = 0;
    return SLUICE_OK;
}

static const struct sluice_transform_api transform_api = {
    .struct_size = ENDS_BEFORE(sluice_transform_api, flush),
    .create = xf_create,
    .destroy = xf_destroy,
    .bind = xf_bind,
    .push = xf_push,
    .pull = xf_pull,
};

/* ------------------------------------------------------------ descriptor --------------------- */

static const struct sluice_option o_word = {
    .struct_size = ENDS_BEFORE(sluice_option, example),
    .type = SLUICE_OPTION_STRING,
    .key = "word",
    .help = "Unused.",
};
static const struct sluice_option *const options[] = {&o_word, NULL};

static const struct sluice_component source = {
    .struct_size = (uint32_t)sizeof source,
    .kind = SLUICE_SOURCE,
    .caps = SLUICE_SOURCE_LOAD,
    .name = "fossil",
    .summary = "Three numbers",
    .options = options,
    .source = &source_api,
};
static const struct sluice_component sink = {
    .struct_size = (uint32_t)sizeof sink,
    .kind = SLUICE_SINK,
    .caps = SLUICE_SINK_LOAD | SLUICE_SINK_DISCARDS,
    .name = "fossil",
    .summary = "Counts rows",
    .options = options,
    .sink = &sink_api,
};
static const struct sluice_component transform = {
    .struct_size = (uint32_t)sizeof transform,
    .kind = SLUICE_TRANSFORM,
    .caps = SLUICE_TRANSFORM_STATELESS | SLUICE_TRANSFORM_ROW_PRESERVING,
    .name = "fossil",
    .summary = "Passes rows",
    .options = options,
    .transform = &transform_api,
};
static const struct sluice_component *const components[] = {&source, &sink, &transform};

static const struct sluice_plugin plugin = {
    .magic = SLUICE_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof plugin,
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .abi_minor_min = 0,
    .envelope_version = SLUICE_ENVELOPE_VERSION,
    .name = "fossil",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .build = "frozen header 0.1",
    .component_count = 3,
    .components = components,
};

__attribute__((visibility("default"))) const struct sluice_plugin *sluice_plugin_entry_v0(void);

const struct sluice_plugin *sluice_plugin_entry_v0(void)
{
    return &plugin;
}
