/* Encoded changes to objects: buffers, the few files that stream, and making room for others. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lake/change_lane.h"
#include "lake/times.h"
#include "sluice/position.h"

enum { BUFFER_FIRST = 4096, DATE_SIZE = 10 };

void sluice_lake_changes_count(const struct sluice_lane *lane, int64_t delta)
{
    const struct sluice_host *host = lane->sink->host;
    if (delta != 0) {
        (void)host->memory(host->ctx, delta, 1);
    }
}

/* ---------------------------------------------------------------- writers -------------------- */

static sluice_status writer_make(struct sluice_lane *lane, struct sluice_lake_change_writer *writer,
                                 struct sluice_error *err)
{
    struct sluice_sink *sink = lane->sink;
    if (writer->codec != NULL) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_lake_codec_create((int32_t)sink->options.compression,
                                        (int32_t)sink->options.compression_level, &writer->codec,
                                        err));
    sluice_status st =
        sluice_lake_object_init(&writer->object, sink->api, sink->store, writer->codec, err);
    if (st < 0) {
        sluice_lake_codec_free(writer->codec);
        writer->codec = NULL;
        return st;
    }
    writer->memory = sluice_lake_codec_memory(writer->codec);
    sluice_lake_changes_count(lane, (int64_t)writer->memory);
    return SLUICE_OK;
}

void sluice_lake_change_writer_free(struct sluice_lane *lane,
                                    struct sluice_lake_change_writer *writer)
{
    if (writer->codec != NULL) {
        sluice_lake_object_free(&writer->object);
        sluice_lake_codec_free(writer->codec);
        sluice_lake_changes_count(lane, -(int64_t)writer->memory);
        memset(writer, 0, sizeof *writer);
    }
}

/* ---------------------------------------------------------------- buffers -------------------- */

static void buffer_free(struct sluice_lane *lane, struct sluice_lake_change_table *table)
{
    free(table->data);
    sluice_lake_changes_count(lane, -(int64_t)table->cap);
    lane->changes->buffered -= table->cap;
    table->data = NULL;
    table->size = 0;
    table->cap = 0;
}

static sluice_status buffer_add(struct sluice_lane *lane, struct sluice_lake_change_table *table,
                                const uint8_t *data, size_t size, struct sluice_error *err)
{
    if (size > table->cap - table->size) {
        uint64_t cap = table->cap > 0 ? table->cap * 2 : BUFFER_FIRST;
        cap = cap >= table->size + size ? cap : table->size + size;
        uint8_t *grown = realloc(table->data, cap);
        if (grown == NULL) {
            return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for changes of %s",
                                    table->stream->desc->name);
        }
        sluice_lake_changes_count(lane, (int64_t)(cap - table->cap));
        lane->changes->buffered += cap - table->cap;
        table->data = grown;
        table->cap = cap;
    }
    memcpy(table->data + table->size, data, size);
    table->size += size;
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- files ---------------------- */

static sluice_status activate(struct sluice_lake_changes *changes,
                              struct sluice_lake_change_table *table, struct sluice_error *err)
{
    if (changes->active_count == changes->active_cap) {
        uint32_t cap = changes->active_cap == 0 ? 16 : changes->active_cap * 2;
        struct sluice_lake_change_table **active =
            realloc(changes->active, cap * sizeof(*changes->active));
        if (active == NULL) {
            return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a list of tables");
        }
        changes->active = active;
        changes->active_cap = cap;
    }
    table->active_at = changes->active_count;
    changes->active[changes->active_count++] = table;
    return SLUICE_OK;
}

/* The file is gone from the table: kept by the lane, or freed. */
static void deactivate(struct sluice_lane *lane, struct sluice_lake_change_table *table)
{
    struct sluice_lake_changes *changes = lane->changes;
    struct sluice_lake_change_table *last = changes->active[--changes->active_count];
    changes->active[table->active_at] = last;
    last->active_at = table->active_at;
    if (table->writer != NULL) {
        table->writer->table = NULL;
        table->writer = NULL;
    }
    buffer_free(lane, table);
    table->file = NULL;
}

static char *hex_of(struct sluice_bytes position)
{
    char *text = malloc(2 * position.size + 1);
    if (text != NULL) {
        sluice_hex_encode(position.data, position.size, text);
    }
    return text;
}

/* {stream}/cdc/dt={date}/{first position}-{epoch}-{attempt}.{ext}: the attempt is made of the random
 * id of this process's sink and a count, so that nothing written again meets an older key. */
static char *make_key(struct sluice_lane *lane, const struct sluice_lake_stream *stream,
                      const char *first_pos, int64_t commit_us)
{
    struct sluice_sink *sink = lane->sink;
    char date[SLUICE_LAKE_TIMESTAMP_MAX];
    char key[SLUICE_LAKE_KEY_MAX];
    (void)sluice_lake_put_utc((uint8_t *)date, commit_us);
    const uint64_t n = atomic_fetch_add(&sink->change_files, 1) + 1;
    (void)snprintf(key, sizeof key, "%s/cdc/dt=%.*s/%s-%" PRIu64 "-%.8s-%06" PRIu64 ".%s",
                   stream->segment, DATE_SIZE, date, first_pos, lane->changes->epoch,
                   sink->commits.instance, n, sink->extension);
    return strdup(key);
}

sluice_status sluice_lake_change_file_begin(struct sluice_lane *lane,
                                            struct sluice_lake_change_table *table,
                                            struct sluice_bytes position, int64_t commit_us,
                                            struct sluice_error *err)
{
    struct sluice_lake_file *file = calloc(1, sizeof *file);
    sluice_status st = SLUICE_OK;
    if (file != NULL) {
        file->desc = table->stream->desc;
        file->first_pos = hex_of(position);
        file->key = file->first_pos != NULL
                        ? make_key(lane, table->stream, file->first_pos, commit_us)
                        : NULL;
    }
    if (file == NULL || file->key == NULL) {
        st = sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a file");
    }
    else {
        st = activate(lane->changes, table, err);
    }
    if (st < 0) {
        sluice_lake_file_free(file);
        return st;
    }
    table->file = file;
    return SLUICE_OK;
}

/* The streaming writer that was not used for the longest time, or a free one. */
static struct sluice_lake_change_writer *idlest(struct sluice_lake_changes *changes)
{
    struct sluice_lake_change_writer *best = &changes->streaming[0];
    for (uint32_t i = 0; i < SLUICE_LAKE_STREAMING_MAX; i++) {
        struct sluice_lake_change_writer *writer = &changes->streaming[i];
        if (writer->table == NULL) {
            return writer;
        }
        if (writer->table->written_at < best->table->written_at) {
            best = writer;
        }
    }
    return best;
}

/* From now on the table's file goes out as it grows. */
static sluice_status start_streaming(struct sluice_lane *lane,
                                     struct sluice_lake_change_table *table,
                                     struct sluice_error *err)
{
    struct sluice_lake_change_writer *writer = idlest(lane->changes);
    if (writer->table != NULL) {
        SLUICE_TRY(sluice_lake_change_file_finish(lane, writer->table, err));
    }
    SLUICE_TRY(writer_make(lane, writer, err));
    SLUICE_TRY(
        sluice_lake_object_open(&writer->object, table->file->key, lane->sink->content_type, err));
    writer->table = table;
    table->writer = writer;
    sluice_status st = sluice_lake_file_write(lane, &writer->object, table->data, table->size, err);
    buffer_free(lane, table);
    return st;
}

sluice_status sluice_lake_change_file_append(struct sluice_lane *lane,
                                             struct sluice_lake_change_table *table,
                                             const uint8_t *data, size_t size,
                                             struct sluice_error *err)
{
    const uint64_t max = lane->sink->change_bytes < SLUICE_LAKE_TABLE_BUFFER_MAX
                             ? lane->sink->change_bytes
                             : SLUICE_LAKE_TABLE_BUFFER_MAX;
    sluice_status st = SLUICE_OK;
    if (table->writer == NULL && table->size + size > max) {
        st = start_streaming(lane, table, err);
    }
    if (st >= 0) {
        st = table->writer != NULL
                 ? sluice_lake_file_write(lane, &table->writer->object, data, size, err)
                 : buffer_add(lane, table, data, size, err);
    }
    return st < 0 ? sluice_lake_error_at(err, "writing", table->file->key) : SLUICE_OK;
}

sluice_status sluice_lake_change_file_flush(struct sluice_lane *lane,
                                            struct sluice_lake_change_table *table,
                                            struct sluice_lake_change_writer *writer,
                                            struct sluice_error *err)
{
    struct sluice_lake_file *file = table->file;
    const struct sluice_bytes last = {table->last, table->last_size};
    sluice_status st = SLUICE_OK;
    free(file->last_pos);
    file->last_pos = hex_of(last);
    if (file->last_pos == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a file");
    }
    if (table->writer != NULL) {
        writer = table->writer;
    }
    else {
        SLUICE_TRY(writer_make(lane, writer, err));
        st = sluice_lake_object_open(&writer->object, file->key, lane->sink->content_type, err);
        if (st >= 0) {
            st = sluice_lake_file_write(lane, &writer->object, table->data, table->size, err);
        }
    }
    if (st >= 0) {
        st = sluice_lake_file_end(lane, &writer->object, file, err);
    }
    if (st < 0) {
        sluice_lake_object_abort(&writer->object);
        return sluice_lake_error_at(err, "writing", file->key);
    }
    return SLUICE_OK;
}

sluice_status sluice_lake_change_file_keep(struct sluice_lane *lane,
                                           struct sluice_lake_change_table *table,
                                           struct sluice_error *err)
{
    SLUICE_TRY(sluice_lake_file_keep(lane, table->file, err));
    deactivate(lane, table);
    return SLUICE_OK;
}

sluice_status sluice_lake_change_file_finish(struct sluice_lane *lane,
                                             struct sluice_lake_change_table *table,
                                             struct sluice_error *err)
{
    if (table->file == NULL) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_lake_change_file_flush(lane, table, &lane->changes->whole, err));
    return sluice_lake_change_file_keep(lane, table, err);
}

sluice_status sluice_lake_change_files_shrink(struct sluice_lane *lane, struct sluice_error *err)
{
    struct sluice_lake_changes *changes = lane->changes;
    while (changes->buffered > SLUICE_LAKE_LANE_BUFFER_MAX) {
        struct sluice_lake_change_table *largest = changes->active[0];
        for (uint32_t i = 1; i < changes->active_count; i++) {
            largest = changes->active[i]->cap > largest->cap ? changes->active[i] : largest;
        }
        SLUICE_TRY(sluice_lake_change_file_finish(lane, largest, err));
    }
    return SLUICE_OK;
}

void sluice_lake_change_file_drop(struct sluice_lane *lane, struct sluice_lake_change_table *table)
{
    struct sluice_lake_file *file = table->file;
    if (file == NULL) {
        return;
    }
    if (table->writer != NULL) {
        sluice_lake_object_abort(&table->writer->object);
    }
    deactivate(lane, table);
    sluice_lake_file_free(file);
}

int32_t sluice_lake_change_file_is_full(const struct sluice_lane *lane,
                                        const struct sluice_lake_change_table *table)
{
    const struct sluice_sink *sink = lane->sink;
    return table->file->rows >= sink->batch_rows ||
           (table->writer != NULL && table->writer->object.bytes >= sink->change_bytes);
}
