#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "flow/internal.h"
#include "log/log.h"

struct sluice_flow_stream *sluice_flow_stream_create(struct sluice_flow_source *source,
                                                     const struct sluice_stream_desc *desc,
                                                     struct sluice_error *err)
{
    struct sluice_flow_stream *stream = sluice_alloc_zero(1, sizeof *stream);
    if (stream == NULL) {
        goto nomem;
    }
    stream->source = source;
    stream->desc = sluice_stream_desc_copy(desc);
    stream->name = sluice_alloc_string(desc->name);
    stream->leaves = sluice_alloc_zero(source->tree.leaf_count, sizeof *stream->leaves);
    if (stream->desc == NULL || stream->name == NULL || stream->leaves == NULL) {
        goto nomem;
    }
    stream->source_stream_id = desc->stream_id;
    stream->desc->stream_id = ++source->engine->next_stream_id;
    for (size_t i = 0; i < source->tree.leaf_count; i++) {
        stream->leaves[i].sink = source->leaf_sinks[i];
    }
    atomic_store(&stream->rows_estimate, desc->rows_estimate);
    return stream;
nomem:
    sluice_flow_stream_free(stream);
    (void)sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a stream");
    return NULL;
}

void sluice_flow_stream_free(struct sluice_flow_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    for (size_t i = 0; stream->leaves != NULL && i < stream->source->tree.leaf_count; i++) {
        sluice_stream_desc_free(stream->leaves[i].desc);
        sluice_free(stream->leaves[i].position);
    }
    sluice_free(stream->leaves);
    sluice_stream_desc_free(stream->desc);
    sluice_stream_desc_free(stream->feed_desc);
    sluice_free(stream->name);
    sluice_free(stream->incarnation);
    sluice_free(atomic_load(&stream->message));
    sluice_free(stream);
}

sluice_status sluice_flow_stream_remember(struct sluice_flow_stream *stream, size_t leaf,
                                          int32_t status, const char *message,
                                          struct sluice_error *err)
{
    struct sluice_engine *engine = stream->source->engine;
    if (engine->state == NULL) {
        return SLUICE_OK;
    }
    const struct sluice_flow_leaf *lf = &stream->leaves[leaf];
    int64_t now = sluice_now_us(SLUICE_CLOCK_WALL);
    struct sluice_state_stream kept = {
        .source = stream->source->node->id,
        .stream = stream->name,
        .sink = lf->sink->node->id,
        .run = stream->run,
        .message = (char *)(uintptr_t)message,
        .status = status,
        .rows = (int64_t)lf->rows,
        .bytes = (int64_t)atomic_load(&stream->bytes),
        .started_us =
            now - (sluice_now_us(SLUICE_CLOCK_MONOTONIC) -
                   (atomic_load(&stream->started_us) != 0 ? atomic_load(&stream->started_us)
                                                          : sluice_now_us(SLUICE_CLOCK_MONOTONIC))),
        .finished_us = status >= SLUICE_STATE_STREAM_COMPLETE ? now : 0,
        .load_position = (char *)(uintptr_t)stream->desc->load_position_text,
        .position = lf->position,
        .position_size = lf->position_size};
    return sluice_state_stream_put(engine->state, engine->load.load_id, &kept, err);
}

int sluice_flow_leaf_place(struct sluice_flow_leaf *leaf, struct sluice_bytes position)
{
    char *copy = sluice_alloc_string_n(position.data != NULL ? position.data : "", position.size);
    if (copy == NULL) {
        return 0;
    }
    sluice_free(leaf->position);
    leaf->position = copy;
    leaf->position_size = position.size;
    return 1;
}

int sluice_flow_stream_open(const struct sluice_flow_stream *stream)
{
    int open = 0;
    for (size_t i = 0; i < stream->source->tree.leaf_count; i++) {
        const struct sluice_flow_leaf *leaf = &stream->leaves[i];
        open |= leaf->needed && !leaf->complete && !atomic_load(&leaf->failed);
    }
    return open;
}

/* The first message stays: what came later mostly follows from it. */
static void keep_message(struct sluice_flow_stream *stream, const struct sluice_error *err)
{
    char *expected = NULL;
    char *message = sluice_alloc_string(err->message);
    if (message == NULL || !atomic_compare_exchange_strong(&stream->message, &expected, message)) {
        sluice_free(message);
    }
}

static void end_stream(struct sluice_flow_stream *stream)
{
    atomic_store(&stream->abandoned, 1);
    atomic_store(&stream->finished_us, sluice_now_us(SLUICE_CLOCK_MONOTONIC));
}

static void fail_leaf(struct sluice_flow_stream *stream, size_t i, const struct sluice_error *err)
{
    atomic_store(&stream->leaves[i].failed, 1);
    struct sluice_error state_err = SLUICE_ERROR_INIT;
    if (sluice_flow_stream_remember(stream, i, SLUICE_STATE_STREAM_FAILED, err->message,
                                    &state_err) < 0) {
        sluice_flow_fail(stream->source->engine, &state_err);
    }
}

void sluice_flow_stream_fail(struct sluice_flow_stream *stream, const struct sluice_error *err)
{
    keep_message(stream, err);
    end_stream(stream);
    atomic_store(&stream->status, SLUICE_PROGRESS_FAILED);
    sluice_log_line(SLUICE_LOG_ERROR, stream->source->node->id,
                    "stream failed stream=%s error=\"%s\"", stream->name, err->message);
    for (size_t i = 0; i < stream->source->tree.leaf_count; i++) {
        /* also when it failed before it was bound to its sinks */
        if (!stream->leaves[i].complete && !atomic_load(&stream->leaves[i].failed)) {
            fail_leaf(stream, i, err);
        }
    }
}

void sluice_flow_leaf_fail(struct sluice_flow_stream *stream, size_t leaf,
                           const struct sluice_error *err)
{
    if (atomic_load(&stream->leaves[leaf].failed)) {
        return;
    }
    keep_message(stream, err);
    fail_leaf(stream, leaf, err);
    int open = sluice_flow_stream_open(stream);
    if (!open) {
        end_stream(stream);
    }
    atomic_store(&stream->status, SLUICE_PROGRESS_FAILED);
    sluice_log_line(SLUICE_LOG_ERROR, stream->leaves[leaf].sink->node->id,
                    "stream failed in this sink%s stream=%s error=\"%s\"",
                    open ? ", others go on" : "", stream->name, err->message);
}
