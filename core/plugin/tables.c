/* Copies of the api tables: full size, required slots checked, optional ones filled. */
#include <string.h>

#include "plugin/plugin_internal.h"

/* ---- what stands in for an optional slot ---- */

/* Notices that a source may ignore: nothing to do is a good answer. */
static sluice_status no_reader_idle(struct sluice_reader *rd, struct sluice_error *err)
{
    (void)rd;
    (void)err;
    return SLUICE_OK;
}

static sluice_status no_reader_ack(struct sluice_reader *rd, struct sluice_bytes position,
                                   struct sluice_error *err)
{
    (void)rd;
    (void)position;
    (void)err;
    return SLUICE_OK;
}

static sluice_status no_shard_done(struct sluice_source *src, const char *shard_id,
                                   struct sluice_error *err)
{
    (void)src;
    (void)shard_id;
    (void)err;
    return SLUICE_OK;
}

static sluice_status no_measure(struct sluice_source *src, const struct sluice_source_plan *plan,
                                struct sluice_bytes position, struct sluice_source_lag *out,
                                struct sluice_error *err)
{
    (void)src;
    (void)plan;
    (void)position;
    (void)out;
    return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                            "measure: this source does not tell how far it is ahead");
}

static sluice_status no_retire(struct sluice_source *src, const struct sluice_source_plan *plan,
                               sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    (void)src;
    (void)plan;
    (void)visit;
    (void)vctx;
    return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                            "retire: this source leaves nothing behind that it could drop");
}

static sluice_status no_source_digest(struct sluice_source *src,
                                      const struct sluice_digest_ask *ask,
                                      sluice_digest_visit visit, void *vctx,
                                      struct sluice_digest_info *info, struct sluice_error *err)
{
    (void)src;
    (void)ask;
    (void)visit;
    (void)vctx;
    (void)info;
    return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0, "digest: this source cannot be compared");
}

static sluice_status no_describe(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                 const struct sluice_stream_begin *begin,
                                 sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    (void)sink;
    (void)plan;
    (void)begin;
    (void)visit;
    (void)vctx;
    (void)err;
    return SLUICE_OK; /* nothing to tell */
}

static sluice_status no_report(struct sluice_sink *sink, sluice_report_visit visit, void *vctx,
                               struct sluice_error *err)
{
    (void)sink;
    (void)visit;
    (void)vctx;
    (void)err;
    return SLUICE_OK;
}

static sluice_status no_letters(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                const char *stream, uint64_t from, sluice_letter_visit visit,
                                void *vctx, struct sluice_error *err)
{
    (void)sink;
    (void)plan;
    (void)stream;
    (void)from;
    (void)visit;
    (void)vctx;
    return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0, "this sink keeps no dead letters");
}

static sluice_status no_replay(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                               uint64_t id, const char *row, struct sluice_error *err)
{
    (void)sink;
    (void)plan;
    (void)id;
    (void)row;
    return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0, "this sink keeps no dead letters");
}

static sluice_status no_sink_digest(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                    const struct sluice_digest_ask *ask, sluice_digest_visit visit,
                                    void *vctx, struct sluice_digest_info *info,
                                    struct sluice_error *err)
{
    (void)sink;
    (void)plan;
    (void)ask;
    (void)visit;
    (void)vctx;
    (void)info;
    return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0, "digest: this sink cannot be compared");
}

static uint64_t no_bytes_written(struct sluice_sink *sink)
{
    (void)sink;
    return 0;
}

static sluice_status no_flush(struct sluice_transform *xf, struct sluice_error *err)
{
    (void)xf;
    (void)err;
    return SLUICE_OK;
}

static void no_transform_cancel(struct sluice_transform *xf)
{
    (void)xf;
}

/* ---- required slots ---- */

struct slot {
    size_t offset;
    const char *name;
};

#define SLOT(type, member)              \
    {                                   \
        offsetof(type, member), #member \
    }

static const struct slot source_slots[] = {
    SLOT(struct sluice_source_api, create),      SLOT(struct sluice_source_api, destroy),
    SLOT(struct sluice_source_api, check),       SLOT(struct sluice_source_api, cancel),
    SLOT(struct sluice_source_api, discover),    SLOT(struct sluice_source_api, open),
    SLOT(struct sluice_source_api, shards),      SLOT(struct sluice_source_api, reader_open),
    SLOT(struct sluice_source_api, reader_next), SLOT(struct sluice_source_api, reader_close),
};

static const struct slot sink_slots[] = {
    SLOT(struct sluice_sink_api, create),       SLOT(struct sluice_sink_api, destroy),
    SLOT(struct sluice_sink_api, check),        SLOT(struct sluice_sink_api, cancel),
    SLOT(struct sluice_sink_api, open),         SLOT(struct sluice_sink_api, recover),
    SLOT(struct sluice_sink_api, stream_begin), SLOT(struct sluice_sink_api, lane_open),
    SLOT(struct sluice_sink_api, lane_write),   SLOT(struct sluice_sink_api, lane_commit),
    SLOT(struct sluice_sink_api, lane_abort),   SLOT(struct sluice_sink_api, lane_close),
    SLOT(struct sluice_sink_api, stream_end),
};

static const struct slot transform_slots[] = {
    SLOT(struct sluice_transform_api, create), SLOT(struct sluice_transform_api, destroy),
    SLOT(struct sluice_transform_api, bind),   SLOT(struct sluice_transform_api, push),
    SLOT(struct sluice_transform_api, pull),
};

/* ---- copying ---- */

struct table {
    const char *name; /* as in the header */
    void *to;
    size_t to_size;
    const void *from;
    uint32_t size_min;
    const struct slot *slots;
    size_t slot_count;
};

static sluice_status table_copy(const struct table *table, const char *component,
                                struct sluice_error *err)
{
    uint32_t size = 0;
    memcpy(&size, table->from, sizeof size);
    if (size < table->size_min) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "component %s: its struct %s has struct_size %u, ABI %u needs at "
                                "least %u: set struct_size = sizeof and rebuild with this SDK",
                                component, table->name, size, SLUICE_ABI_MAJOR, table->size_min);
    }
    memset(table->to, 0, table->to_size);
    memcpy(table->to, table->from, size < table->to_size ? size : table->to_size);
    size = (uint32_t)table->to_size;
    memcpy(table->to, &size, sizeof size);
    for (size_t i = 0; i < table->slot_count; i++) {
        void (*slot)(void) = NULL;
        memcpy(&slot, (const char *)table->to + table->slots[i].offset, sizeof slot);
        if (slot == NULL) {
            return sluice_error_set(
                err, SLUICE_E_UNSUPPORTED, 0,
                "component %s: struct %s lacks the function %s, which every such "
                "component must have: add it and rebuild",
                component, table->name, table->slots[i].name);
        }
    }
    return SLUICE_OK;
}

static sluice_status source_copy(struct sluice_loaded_component *to,
                                 const struct sluice_component *from, struct sluice_error *err)
{
    struct table table = {"sluice_source_api",
                          &to->source,
                          sizeof to->source,
                          from->source,
                          SLUICE_V0_SOURCE_SIZE,
                          source_slots,
                          sizeof source_slots / sizeof source_slots[0]};
    SLUICE_TRY(table_copy(&table, from->name, err));
    struct sluice_source_api *api = &to->source;
    api->reader_idle = api->reader_idle != NULL ? api->reader_idle : no_reader_idle;
    api->reader_ack = api->reader_ack != NULL ? api->reader_ack : no_reader_ack;
    api->shard_done = api->shard_done != NULL ? api->shard_done : no_shard_done;
    api->retire = api->retire != NULL ? api->retire : no_retire;
    api->measure = api->measure != NULL ? api->measure : no_measure;
    api->digest = api->digest != NULL ? api->digest : no_source_digest;
    to->component.source = api;
    return SLUICE_OK;
}

static sluice_status sink_copy(struct sluice_loaded_component *to,
                               const struct sluice_component *from, struct sluice_error *err)
{
    struct table table = {"sluice_sink_api",
                          &to->sink,
                          sizeof to->sink,
                          from->sink,
                          SLUICE_V0_SINK_SIZE,
                          sink_slots,
                          sizeof sink_slots / sizeof sink_slots[0]};
    SLUICE_TRY(table_copy(&table, from->name, err));
    struct sluice_sink_api *api = &to->sink;
    api->bytes_written = api->bytes_written != NULL ? api->bytes_written : no_bytes_written;
    api->describe = api->describe != NULL ? api->describe : no_describe;
    api->report = api->report != NULL ? api->report : no_report;
    api->letters = api->letters != NULL ? api->letters : no_letters;
    api->replay = api->replay != NULL ? api->replay : no_replay;
    api->digest = api->digest != NULL ? api->digest : no_sink_digest;
    to->component.sink = api;
    return SLUICE_OK;
}

static sluice_status transform_copy(struct sluice_loaded_component *to,
                                    const struct sluice_component *from, struct sluice_error *err)
{
    struct table table = {"sluice_transform_api",
                          &to->transform,
                          sizeof to->transform,
                          from->transform,
                          SLUICE_V0_TRANSFORM_SIZE,
                          transform_slots,
                          sizeof transform_slots / sizeof transform_slots[0]};
    SLUICE_TRY(table_copy(&table, from->name, err));
    struct sluice_transform_api *api = &to->transform;
    api->flush = api->flush != NULL ? api->flush : no_flush;
    api->cancel = api->cancel != NULL ? api->cancel : no_transform_cancel;
    to->component.transform = api;
    return SLUICE_OK;
}

sluice_status sluice_loaded_tables_copy(struct sluice_loaded_component *to,
                                        const struct sluice_component *from,
                                        struct sluice_error *err)
{
    int count = (from->source != NULL) + (from->sink != NULL) + (from->transform != NULL);
    const void *fitting = from->kind == SLUICE_SOURCE ? (const void *)from->source
                          : from->kind == SLUICE_SINK ? (const void *)from->sink
                                                      : (const void *)from->transform;
    if (count != 1 || fitting == NULL) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "component %s is a %s and has %d api tables; it must have exactly "
                                "one, that of its kind",
                                from->name, sluice_plugin_kind_name(from->kind), count);
    }
    to->component.source = NULL;
    to->component.sink = NULL;
    to->component.transform = NULL;
    if (from->kind == SLUICE_SOURCE) {
        return source_copy(to, from, err);
    }
    return from->kind == SLUICE_SINK ? sink_copy(to, from, err) : transform_copy(to, from, err);
}
