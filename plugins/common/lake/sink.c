/* The sink: options, streams, plan. Lanes are in lane.c. */
#include "lake/sink.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/option.h"

enum { FILE_BYTES_DEFAULT = 256 * 1024 * 1024, CHANGE_BYTES_DEFAULT = 64 * 1024 * 1024 };

static sluice_status no_memory(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a sink");
}

static const struct sluice_option_binding bindings[] = {
    SLUICE_BIND(struct sluice_lake_options, format, "format"),
    SLUICE_BIND(struct sluice_lake_options, compression, "compression"),
    SLUICE_BIND(struct sluice_lake_options, binary, "binary"),
    SLUICE_BIND(struct sluice_lake_options, changes, "changes"),
    SLUICE_BIND(struct sluice_lake_options, full, "full"),
    SLUICE_BIND(struct sluice_lake_options, metadata_prefix, "metadata_prefix"),
    SLUICE_BIND(struct sluice_lake_options, topic_prefix, "topic_prefix"),
    SLUICE_BIND(struct sluice_lake_options, decimals, "decimal_handling_mode"),
    SLUICE_BIND(struct sluice_lake_options, times, "time_precision_mode"),
    SLUICE_BIND(struct sluice_lake_options, binaries, "binary_handling_mode"),
    SLUICE_BIND(struct sluice_lake_options, intervals, "interval_handling_mode"),
    SLUICE_BIND(struct sluice_lake_options, hstores, "hstore_handling_mode"),
    SLUICE_BIND(struct sluice_lake_options, unavailable, "unavailable_value_placeholder"),
    {NULL, 0}};

/* The level is an INT whose unset value may also be a level, so it is asked for by hand. */
static sluice_status bind_level(struct sluice_sink *sink, struct sluice_error *err)
{
    struct sluice_value value = {.struct_size = (uint32_t)sizeof value};
    SLUICE_TRY(sink->host->config_get(sink->host->ctx, "compression_level", &value));
    int64_t level = value.is_set ? value.number : 1;
    if (value.is_set && sink->options.compression == SLUICE_LAKE_NONE) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "compression_level is set, but compression is none");
    }
    if (sink->options.compression == SLUICE_LAKE_GZIP &&
        (level < 1 || level > SLUICE_LAKE_GZIP_LEVEL_MAX)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "compression_level %lld: gzip has 1 to %d; for smaller files use "
                                "compression: zstd",
                                (long long)level, SLUICE_LAKE_GZIP_LEVEL_MAX);
    }
    sink->options.compression_level = level;
    return SLUICE_OK;
}

static sluice_status bind_changes(struct sluice_sink *sink, struct sluice_error *err)
{
    const struct sluice_lake_options *options = &sink->options;
    struct sluice_lake_change_options *out = &sink->change_options;
    if (options->changes == SLUICE_LAKE_CHANGES_DEBEZIUM && options->format == SLUICE_LAKE_CSV) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "changes: debezium is for format jsonl; with csv use changes: "
                                "columns");
    }
    out->shape = (int32_t)options->changes;
    out->format = (int32_t)options->format;
    out->binary = (int32_t)options->binary;
    out->metadata_prefix = options->metadata_prefix;
    out->decimal_handling_mode = (int32_t)options->decimals;
    out->time_precision_mode = (int32_t)options->times;
    /* "bytes" and "base64" are one and the same in JSON */
    out->binary_handling_mode = (int32_t)(options->binaries > 0 ? options->binaries - 1 : 0);
    out->interval_handling_mode = (int32_t)options->intervals;
    out->hstore_handling_mode = (int32_t)options->hstores;
    out->topic_prefix = options->topic_prefix;
    out->unavailable_value = options->unavailable;
    out->host = sink->host;
    return SLUICE_OK;
}

static sluice_status bind_options(struct sluice_sink *sink, struct sluice_error *err)
{
    static const char *const extensions[2][3] = {{"jsonl", "jsonl.gz", "jsonl.zst"},
                                                 {"csv", "csv.gz", "csv.zst"}};
    static const char *const types[3] = {NULL, "application/gzip", "application/zstd"};
    struct sluice_lake_options *options = &sink->options;
    SLUICE_TRY(sluice_options_bind(sink->host, bindings, options, err));
    SLUICE_TRY(bind_level(sink, err));
    if (options->format == SLUICE_LAKE_CSV && options->binary == SLUICE_LAKE_BASE64) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "binary: base64 is for format jsonl; CSV has hex, as COPY prints it");
    }
    if (options->binary < 0) {
        options->binary = SLUICE_LAKE_BASE64;
    }
    sink->extension = extensions[options->format][options->compression];
    sink->content_type = types[options->compression];
    if (sink->content_type == NULL) {
        sink->content_type =
            options->format == SLUICE_LAKE_CSV ? "text/csv" : "application/x-ndjson";
    }
    return bind_changes(sink, err);
}

sluice_status sluice_lake_sink_create(const struct sluice_host *host,
                                      const struct sluice_lake_store_api *api,
                                      struct sluice_lake_store *store, struct sluice_sink **out,
                                      struct sluice_error *err)
{
    struct sluice_sink *sink = calloc(1, sizeof *sink);
    if (sink == NULL) {
        api->destroy(store);
        return no_memory(err);
    }
    sink->host = host;
    sink->api = api;
    sink->store = store;
    sink->failpoints = sluice_failpoints_of(host);
    sluice_status st = SLUICE_OK;
    if (pthread_mutex_init(&sink->mutex, NULL) != 0) {
        api->destroy(store);
        free(sink);
        return no_memory(err);
    }
    st = sluice_lake_commits_init(&sink->commits, host, api, store, err);
    if (st >= 0) {
        st = bind_options(sink, err);
    }
    if (st < 0) {
        sluice_lake_sink_destroy(sink);
        return st;
    }
    *out = sink;
    return SLUICE_OK;
}

void sluice_lake_sink_destroy(struct sluice_sink *sink)
{
    if (sink == NULL) {
        return;
    }
    for (uint32_t i = 0; i < SLUICE_LAKE_BUCKETS; i++) {
        while (sink->streams[i] != NULL) {
            struct sluice_lake_stream *stream = sink->streams[i];
            sink->streams[i] = stream->next;
            sluice_stream_desc_free(stream->desc);
            free(stream->run);
            free(stream);
        }
        while (sink->shards[i] != NULL) {
            struct sluice_lake_shard *shard = sink->shards[i];
            sink->shards[i] = shard->next;
            free(shard);
        }
    }
    sluice_lake_commits_free(&sink->commits);
    sluice_lake_index_free(&sink->index);
    sink->api->destroy(sink->store);
    pthread_mutex_destroy(&sink->mutex);
    free(sink->pipeline);
    free(sink->node);
    free(sink);
}

sluice_status sluice_lake_sink_check(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                     sluice_finding_visit visit, void *vctx,
                                     struct sluice_error *err)
{
    (void)plan;
    return sink->api->check(sink->store, visit, vctx, err);
}

void sluice_lake_sink_cancel(struct sluice_sink *sink)
{
    sink->api->cancel(sink->store);
}

sluice_status sluice_lake_sink_open(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                    struct sluice_error *err)
{
    free(sink->pipeline);
    free(sink->node);
    sink->pipeline = strdup(plan->pipeline);
    sink->node = strdup(plan->node);
    if (sink->pipeline == NULL || sink->node == NULL) {
        return no_memory(err);
    }
    sink->mode = plan->mode;
    sink->batch_rows = plan->batch_rows > 0 ? plan->batch_rows : UINT64_MAX;
    sink->batch_bytes = plan->batch_bytes > 0 ? plan->batch_bytes : FILE_BYTES_DEFAULT;
    sink->change_bytes = plan->batch_bytes > 0 ? plan->batch_bytes : CHANGE_BYTES_DEFAULT;
    sink->change_options.topic_prefix =
        sink->options.topic_prefix != NULL ? sink->options.topic_prefix : sink->pipeline;
    sink->batch_interval_us = plan->batch_interval_us;
    SLUICE_TRY(sink->api->open(sink->store, err));
    SLUICE_TRY(sluice_lake_commits_open(&sink->commits, plan->pipeline, plan->node, err));
    sink->opened = 1;
    return SLUICE_OK;
}

sluice_status sluice_lake_sink_recover(struct sluice_sink *sink, sluice_recovered_visit visit,
                                       void *vctx, struct sluice_error *err)
{
    if (!sink->opened) {
        return sluice_error_set(err, SLUICE_E_STATE, 0, "recover before open");
    }
    return sluice_lake_commits_recover(&sink->commits, visit, vctx, err);
}

/* An encoder is made and thrown away, so that what cannot be written is refused before the first
 * row, with the column's name. */
static sluice_status try_encoder(const struct sluice_sink *sink,
                                 const struct sluice_stream_desc *desc, uint32_t flags,
                                 struct sluice_error *err)
{
    sluice_status st = SLUICE_OK;
    if ((flags & SLUICE_BEGIN_CHANGES) != 0 || sink->options.full) {
        struct sluice_lake_change_encoder *change = NULL;
        st = sluice_lake_change_encoder_create(desc, &sink->change_options, &change, err);
        sluice_lake_change_encoder_free(change);
    }
    else {
        struct sluice_lake_encoder *encoder = NULL;
        st = sluice_lake_encoder_create(desc->schema, (int32_t)sink->options.format,
                                        (int32_t)sink->options.binary, &encoder, err);
        sluice_lake_encoder_free(encoder);
    }
    return st < 0 ? sluice_error_wrap(err, "stream %s", desc->name) : SLUICE_OK;
}

/* Adds an entry of one kind: SLUICE_BEGIN_LOAD or SLUICE_BEGIN_CHANGES. */
static sluice_status add_stream(struct sluice_sink *sink, const struct sluice_stream_begin *begin,
                                uint32_t flag, struct sluice_error *err)
{
    SLUICE_TRY(try_encoder(sink, begin->desc, flag, err));
    sluice_status st = SLUICE_OK;
    struct sluice_lake_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        return no_memory(err);
    }
    stream->flags = flag;
    stream->begun_us = sink->host->now_us(sink->host->ctx, SLUICE_CLOCK_WALL);
    stream->desc = sluice_stream_desc_copy(begin->desc);
    stream->run = flag == SLUICE_BEGIN_LOAD ? strdup(begin->run) : NULL;
    if (stream->desc == NULL || (flag == SLUICE_BEGIN_LOAD && stream->run == NULL)) {
        st = no_memory(err);
        goto out;
    }
    st = sluice_lake_segment(begin->desc->name, stream->segment, err);
    if (st < 0) {
        goto out;
    }
    struct sluice_lake_stream **bucket =
        &sink->streams[stream->desc->stream_id % SLUICE_LAKE_BUCKETS];
    pthread_mutex_lock(&sink->mutex);
    stream->next = *bucket;
    *bucket = stream;
    pthread_mutex_unlock(&sink->mutex);
    return SLUICE_OK;
out:
    sluice_stream_desc_free(stream->desc);
    free(stream->run);
    free(stream);
    return st;
}

/* Same columns, same key: a feed that is opened again announces what is known. */
static int32_t same_desc(const struct sluice_stream_desc *a, const struct sluice_stream_desc *b)
{
    return a->before == b->before && a->key_count == b->key_count &&
           strcmp(a->name, b->name) == 0 &&
           (a->key_count == 0 || memcmp(a->keys, b->keys, a->key_count * sizeof *a->keys) == 0) &&
           sluice_schema_equal(a->schema, b->schema);
}

sluice_status sluice_lake_sink_stream_begin(struct sluice_sink *sink,
                                            const struct sluice_stream_begin *begin,
                                            struct sluice_error *err)
{
    const uint32_t known = SLUICE_BEGIN_LOAD | SLUICE_BEGIN_CHANGES;
    if ((begin->flags & known) == 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "stream %s: neither a load nor changes begin", begin->desc->name);
    }
    if ((begin->flags & SLUICE_BEGIN_LOAD) != 0) {
        if (begin->run == NULL || !sluice_lake_is_plain(begin->run)) {
            return sluice_error_set(err, SLUICE_E_INVALID, 0, "stream %s: no usable name of a run",
                                    begin->desc->name);
        }
        if (sink->mode != SLUICE_MODE_FULL_LOAD_ONLY) { /* not only once the load has ended */
            SLUICE_TRY(try_encoder(sink, begin->desc, SLUICE_BEGIN_CHANGES, err));
        }
        SLUICE_TRY(add_stream(sink, begin, SLUICE_BEGIN_LOAD, err));
    }
    if ((begin->flags & SLUICE_BEGIN_CHANGES) != 0) {
        const struct sluice_lake_stream *last =
            sluice_lake_sink_changes(sink, begin->desc->stream_id, begin->desc->schema_id);
        if (last == NULL || !same_desc(last->desc, begin->desc)) {
            SLUICE_TRY(add_stream(sink, begin, SLUICE_BEGIN_CHANGES, err));
        }
    }
    return SLUICE_OK;
}

/* schema_id 0 = any */
static const struct sluice_lake_stream *find_stream(struct sluice_sink *sink, uint32_t flag,
                                                    uint64_t stream_id, uint64_t schema_id)
{
    pthread_mutex_lock(&sink->mutex);
    const struct sluice_lake_stream *stream = sink->streams[stream_id % SLUICE_LAKE_BUCKETS];
    while (stream != NULL && (stream->flags != flag || stream->desc->stream_id != stream_id ||
                              (schema_id != 0 && stream->desc->schema_id != schema_id))) {
        stream = stream->next;
    }
    pthread_mutex_unlock(&sink->mutex);
    return stream;
}

const struct sluice_lake_stream *sluice_lake_sink_stream(struct sluice_sink *sink,
                                                         uint64_t stream_id)
{
    return find_stream(sink, SLUICE_BEGIN_LOAD, stream_id, 0);
}

const struct sluice_lake_stream *sluice_lake_sink_changes(struct sluice_sink *sink,
                                                          uint64_t stream_id, uint64_t schema_id)
{
    return find_stream(sink, SLUICE_BEGIN_CHANGES, stream_id, schema_id);
}

sluice_status sluice_lake_sink_stream_end(struct sluice_sink *sink,
                                          const struct sluice_stream_end *end,
                                          struct sluice_error *err)
{
    const struct sluice_lake_stream *stream = sluice_lake_sink_stream(sink, end->stream_id);
    if (stream == NULL || end->run == NULL) {
        return sluice_error_set(err, SLUICE_E_STATE, 0, "stream_end of a load that never began");
    }
    if ((end->flags & SLUICE_STREAM_END_PARTIAL) != 0) {
        return SLUICE_OK; /* a complete run would hide the whole one before it from readers */
    }
    struct sluice_lake_manifest m = {.kind = SLUICE_LAKE_KIND_COMPLETE};
    int32_t again = 0;
    m.mode = sink->mode;
    m.pipeline = sink->pipeline;
    m.sink = sink->node;
    m.run = end->run;
    m.token = end->token;
    m.stream_name = stream->desc->name;
    m.rows = end->rows;
    m.position = end->load_position_text;
    return sluice_lake_commits_append(&sink->commits, &m, &again, err);
}

uint64_t sluice_lake_sink_bytes_written(struct sluice_sink *sink)
{
    return atomic_load_explicit(&sink->bytes_written, memory_order_relaxed); /* a mere statistic */
}
