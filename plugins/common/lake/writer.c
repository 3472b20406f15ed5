/* Encoder, codec and files of one stream in one lane. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lake/sink.h"

enum { SLICE_ROWS = 4096 /* rows between two looks at the size of the file */ };

static int64_t monotonic(const struct sluice_sink *sink)
{
    return sink->host->now_us(sink->host->ctx, SLUICE_CLOCK_MONOTONIC);
}

sluice_status sluice_lake_file_write(struct sluice_lane *lane, struct sluice_lake_object *object,
                                     const uint8_t *data, size_t size, struct sluice_error *err)
{
    uint64_t before = object->bytes;
    sluice_status st = sluice_lake_object_write(object, data, size, err);
    atomic_fetch_add_explicit(&lane->sink->bytes_written, object->bytes - before,
                              memory_order_relaxed); /* a mere statistic */
    return st;
}

static sluice_status compress(void *ctx, const uint8_t *data, size_t size, struct sluice_error *err)
{
    struct sluice_lake_writer *writer = ctx;
    return sluice_lake_file_write(writer->lane, &writer->object, data, size, err);
}

static sluice_status make_encoder(struct sluice_lake_writer *writer, struct sluice_error *err)
{
    const struct sluice_sink *sink = writer->lane->sink;
    const struct sluice_lake_stream *stream = writer->stream;
    if (!sink->options.full) {
        return sluice_lake_encoder_create(stream->desc->schema, (int32_t)sink->options.format,
                                          (int32_t)sink->options.binary, &writer->encoder, err);
    }
    SLUICE_TRY(sluice_lake_change_encoder_create(stream->desc, &sink->change_options,
                                                 &writer->change, err));
    sluice_lake_change_encoder_load(writer->change, stream->desc->load_position, stream->begun_us);
    return SLUICE_OK;
}

sluice_status sluice_lake_writer_create(struct sluice_lane *lane,
                                        const struct sluice_lake_stream *stream,
                                        struct sluice_lake_writer **out, struct sluice_error *err)
{
    struct sluice_sink *sink = lane->sink;
    struct sluice_lake_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a writer");
    }
    writer->lane = lane;
    writer->stream = stream;
    sluice_status st = make_encoder(writer, err);
    if (st >= 0) {
        st =
            sluice_lake_codec_create((int32_t)sink->options.compression,
                                     (int32_t)sink->options.compression_level, &writer->codec, err);
    }
    if (st >= 0) {
        st = sluice_lake_object_init(&writer->object, sink->api, sink->store, writer->codec, err);
    }
    if (st >= 0) {
        st = sluice_lake_out_init(&writer->out, compress, writer, err);
    }
    if (st < 0) {
        sluice_lake_writer_free(writer);
        return st;
    }
    writer->memory = sluice_lake_codec_memory(writer->codec) + SLUICE_LAKE_CHUNK;
    (void)sink->host->memory(sink->host->ctx, (int64_t)writer->memory, 1);
    *out = writer;
    return SLUICE_OK;
}

void sluice_lake_writer_free(struct sluice_lake_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    struct sluice_sink *sink = writer->lane->sink;
    if (writer->object.hash != NULL) {
        sluice_lake_object_free(&writer->object);
    }
    sluice_lake_file_free(writer->file);
    sluice_lake_out_free(&writer->out);
    sluice_lake_codec_free(writer->codec);
    sluice_lake_encoder_free(writer->encoder);
    sluice_lake_change_encoder_free(writer->change);
    if (writer->memory > 0) {
        (void)sink->host->memory(sink->host->ctx, -(int64_t)writer->memory, 1);
    }
    free(writer);
}

static sluice_status open_file(struct sluice_lake_writer *writer, struct sluice_error *err)
{
    struct sluice_lane *lane = writer->lane;
    const struct sluice_lake_stream *stream = writer->stream;
    char key[SLUICE_LAKE_KEY_MAX];
    struct sluice_lake_file *file = calloc(1, sizeof *file);
    if (file == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a file");
    }
    lane->file_count++;
    (void)snprintf(key, sizeof key, "%s/full/%s/%s-%" PRIu64 ".%s", stream->segment, stream->run,
                   lane->text, lane->file_count, lane->sink->extension);
    file->key = strdup(key);
    file->desc = stream->desc;
    sluice_status st =
        file->key == NULL
            ? sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a key")
            : sluice_lake_object_open(&writer->object, key, lane->sink->content_type, err);
    if (st < 0) {
        sluice_lake_file_free(file);
        return st;
    }
    writer->file = file;
    writer->file_opened_us = monotonic(lane->sink);
    writer->out.p = writer->out.base;
    writer->out.status = SLUICE_OK;
    if (writer->change != NULL) {
        sluice_lake_change_encoder_begin(writer->change, &writer->out);
    }
    else {
        sluice_lake_encoder_begin(writer->encoder, &writer->out);
    }
    return SLUICE_OK;
}

sluice_status sluice_lake_file_keep(struct sluice_lane *lane, struct sluice_lake_file *file,
                                    struct sluice_error *err)
{
    if (lane->finished == lane->files_cap) {
        uint32_t cap = lane->files_cap == 0 ? 8 : lane->files_cap * 2;
        struct sluice_lake_file **files = realloc(lane->files, cap * sizeof(*files));
        if (files == NULL) {
            return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a list of files");
        }
        lane->files = files;
        lane->files_cap = cap;
    }
    lane->files[lane->finished++] = file;
    return SLUICE_OK;
}

sluice_status sluice_lake_file_end(struct sluice_lane *lane, struct sluice_lake_object *object,
                                   struct sluice_lake_file *file, struct sluice_error *err)
{
    struct sluice_sink *sink = lane->sink;
    uint64_t before = object->bytes;
    sluice_status st = sluice_failpoint_hit(sink->failpoints, "lake.before_file", err);
    if (st >= 0) {
        st = sluice_lake_object_finish(object, file->sha256, &file->bytes, err);
    }
    if (st >= 0) {
        atomic_fetch_add_explicit(&sink->bytes_written, file->bytes - before,
                                  memory_order_relaxed); /* a mere statistic */
        st = sluice_failpoint_hit(sink->failpoints, "lake.after_file", err);
    }
    if (st == SLUICE_E_CONFLICT) {
        return sluice_error_set(
            err, st, 0,
            "%s exists already in %s: another pipeline or sink loads the same "
            "table there at the same time; give each a prefix or path of its own",
            file->key, sink->api->location(sink->store));
    }
    return st < 0 ? sluice_lake_error_at(err, "writing", file->key) : SLUICE_OK;
}

sluice_status sluice_lake_writer_finish(struct sluice_lake_writer *writer, struct sluice_error *err)
{
    struct sluice_lake_file *file = writer->file;
    if (file == NULL) {
        return SLUICE_OK;
    }
    writer->out.err = err;
    writer->out.p = sluice_lake_out_flush(&writer->out, writer->out.p);
    if (writer->out.status < 0) {
        return sluice_lake_error_at(err, "writing", file->key);
    }
    SLUICE_TRY(sluice_lake_file_end(writer->lane, &writer->object, file, err));
    SLUICE_TRY(sluice_lake_file_keep(writer->lane, file, err));
    writer->file = NULL;
    return SLUICE_OK;
}

static int32_t is_full(const struct sluice_lake_writer *writer)
{
    const struct sluice_sink *sink = writer->lane->sink;
    return writer->file->rows >= sink->batch_rows || writer->object.bytes >= sink->batch_bytes ||
           (sink->batch_interval_us > 0 &&
            monotonic(sink) - writer->file_opened_us >= sink->batch_interval_us);
}

static sluice_status write_slices(struct sluice_lake_writer *writer, int64_t rows,
                                  struct sluice_error *err)
{
    const struct sluice_sink *sink = writer->lane->sink;
    for (int64_t row = 0; row < rows;) {
        if (writer->file == NULL) {
            SLUICE_TRY(open_file(writer, err));
        }
        uint64_t left = sink->batch_rows - writer->file->rows;
        int64_t take = rows - row < SLICE_ROWS ? rows - row : SLICE_ROWS;
        take = (uint64_t)take < left ? take : (int64_t)left;
        if (writer->change != NULL) {
            (void)sluice_lake_change_encoder_rows(writer->change, row, row + take, &writer->out);
        }
        else {
            sluice_lake_encoder_rows(writer->encoder, row, row + take, &writer->out);
        }
        if (writer->out.status < 0) {
            return sluice_lake_error_at(err, "writing", writer->file->key);
        }
        row += take;
        writer->file->rows += (uint64_t)take;
        if (is_full(writer)) {
            SLUICE_TRY(sluice_lake_writer_finish(writer, err));
        }
    }
    return SLUICE_OK;
}

sluice_status sluice_lake_writer_rows(struct sluice_lake_writer *writer,
                                      const struct sluice_batch *batch, struct sluice_error *err)
{
    sluice_status st = writer->change != NULL
                           ? sluice_lake_change_encoder_bind(writer->change, batch, err)
                           : sluice_lake_encoder_bind(writer->encoder, &batch->array, err);
    writer->out.err = err;
    if (st >= 0) {
        st = write_slices(writer, batch->array.length, err);
    }
    writer->out.err = NULL;
    return st < 0 ? sluice_error_wrap(err, "stream %s", writer->stream->desc->name) : SLUICE_OK;
}
