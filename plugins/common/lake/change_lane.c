/* Lanes of changes: batches to the files of their tables, files to a manifest. */
#include "lake/change_lane.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/position.h"
#include "sluice/view.h"

enum {
    SLICE_ROWS = 4096, /* rows between two looks at the size of a file */
    /* Guesses at what an encoder takes. */
    ENCODER_BYTES = 8192,
    COLUMN_BYTES = 1024
};

static sluice_status no_memory(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a lane of changes");
}

/* ---------------------------------------------------------------- opening -------------------- */

static sluice_status encoded(void *ctx, const uint8_t *data, size_t size, struct sluice_error *err)
{
    struct sluice_lane *lane = ctx;
    return sluice_lake_change_file_append(lane, lane->changes->current, data, size, err);
}

/* Where the chain of manifests stands, and whether an own try was committed that the engine thinks is
 * not: its rows come again, and must not be written twice. */
static sluice_status find_start(struct sluice_lane *lane, struct sluice_error *err)
{
    struct sluice_lake_changes *changes = lane->changes;
    struct sluice_lake_end end;
    char start[2 * SLUICE_LAKE_POSITION_MAX + 1] = "";
    sluice_hex_encode(changes->start, changes->start_size, start);
    SLUICE_TRY(sluice_lake_commits_end(&lane->sink->commits, lane->shard, &end, err));
    const uint64_t size = end.to != NULL ? strlen(end.to) / 2 : 0;
    const int32_t ahead = end.to != NULL && strcmp(end.to, start) > 0;
    sluice_status st = SLUICE_OK;
    changes->epoch_least = end.epoch + 1;
    changes->epoch = end.epoch + 1;
    changes->skip_size = 0;
    if (ahead && end.own && changes->start_size > 0 && size <= SLUICE_LAKE_POSITION_MAX) {
        st = sluice_hex_decode(end.to, strlen(end.to), changes->skip, size, err);
        changes->skip_size = st >= 0 ? (uint32_t)size : 0;
    }
    else if (end.to == NULL || ahead) { /* the first one, or the feed was reset */
        free(end.to);
        end.to = changes->start_size > 0 ? strdup(start) : NULL;
        st = changes->start_size > 0 && end.to == NULL ? no_memory(err) : SLUICE_OK;
    }
    free(changes->from);
    changes->from = end.to;
    changes->unsure = st < 0;
    return st;
}

sluice_status sluice_lake_changes_open(struct sluice_lane *lane,
                                       const struct sluice_shard_desc *shard,
                                       struct sluice_error *err)
{
    struct sluice_lake_changes *changes = calloc(1, sizeof *changes);
    if (changes == NULL) {
        return no_memory(err);
    }
    lane->changes = changes;
    SLUICE_TRY(sluice_lake_out_init(&changes->out, encoded, lane, err));
    sluice_lake_changes_count(lane, (int64_t)(SLUICE_LAKE_CHUNK + sizeof *changes));
    if (shard->start.size > SLUICE_LAKE_POSITION_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0,
                                "shard %s: a position of %llu bytes is over %d", shard->id,
                                (unsigned long long)shard->start.size, SLUICE_LAKE_POSITION_MAX);
    }
    if (shard->start.size > 0) {
        memcpy(changes->start, shard->start.data, shard->start.size);
        changes->start_size = (uint32_t)shard->start.size;
    }
    return find_start(lane, err);
}

/* ---------------------------------------------------------------- tables --------------------- */

static void drop_encoder(struct sluice_lane *lane, struct sluice_lake_change_table *table)
{
    if (table->encoder != NULL) {
        sluice_lake_change_encoder_free(table->encoder);
        sluice_lake_changes_count(lane, -(int64_t)table->encoder_memory);
        table->encoder = NULL;
        lane->changes->encoders--;
    }
}

static sluice_status need_encoder(struct sluice_lane *lane, struct sluice_lake_change_table *table,
                                  struct sluice_error *err)
{
    const struct sluice_stream_desc *desc = table->stream->desc;
    if (table->encoder != NULL) {
        return SLUICE_OK;
    }
    SLUICE_TRY(
        sluice_lake_change_encoder_create(desc, &lane->sink->change_options, &table->encoder, err));
    table->encoder_memory = ENCODER_BYTES + COLUMN_BYTES * (uint64_t)desc->schema->n_children;
    sluice_lake_changes_count(lane, (int64_t)table->encoder_memory);
    lane->changes->encoders++;
    return SLUICE_OK;
}

static struct sluice_lake_change_table *find_table(const struct sluice_lane *lane,
                                                   uint64_t stream_id)
{
    struct sluice_lake_change_table *table =
        lane->changes->tables[stream_id % SLUICE_LAKE_CHANGE_BUCKETS];
    while (table != NULL && table->stream->desc->stream_id != stream_id) {
        table = table->next;
    }
    return table;
}

/* The table of a batch, set to the batch's version of the columns. */
static sluice_status table_for(struct sluice_lane *lane, const struct sluice_batch *batch,
                               struct sluice_lake_change_table **out, struct sluice_error *err)
{
    const struct sluice_lake_stream *stream =
        sluice_lake_sink_changes(lane->sink, batch->stream_id, batch->schema_id);
    struct sluice_lake_change_table *table = find_table(lane, batch->stream_id);
    if (stream == NULL) {
        return sluice_error_set(
            err, SLUICE_E_SCHEMA, 0, "changes of stream %llu in schema %llu, which never began",
            (unsigned long long)batch->stream_id, (unsigned long long)batch->schema_id);
    }
    if (table == NULL) {
        table = calloc(1, sizeof *table);
        if (table == NULL) {
            return no_memory(err);
        }
        struct sluice_lake_change_table **bucket =
            &lane->changes->tables[batch->stream_id % SLUICE_LAKE_CHANGE_BUCKETS];
        table->stream = stream;
        table->next = *bucket;
        *bucket = table;
        sluice_lake_changes_count(lane, (int64_t)sizeof *table);
    }
    if (table->stream != stream) {
        SLUICE_TRY(sluice_lake_change_file_finish(lane, table, err));
        drop_encoder(lane, table);
        table->stream = stream;
    }
    *out = table;
    return need_encoder(lane, table, err);
}

/* ---------------------------------------------------------------- writing -------------------- */

/* Positions and times of a batch's rows. */
struct marks {
    struct sluice_view positions;
    struct sluice_view times;
    int64_t offset;
};

static sluice_status make_marks(const struct sluice_batch *batch, struct marks *marks,
                                struct sluice_error *err)
{
    static const struct ArrowSchema position = {.format = "z", .name = "commit_pos"};
    static const struct ArrowSchema time = {
        .format = "tsu:UTC", .name = "commit_ts", .flags = ARROW_FLAG_NULLABLE};
    const struct ArrowArray *array = &batch->array;
    marks->offset = array->offset; /* the encoder has checked the batch */
    SLUICE_TRY(sluice_view_init(&position, array->children[1], &marks->positions, err));
    return sluice_view_init(&time, array->children[3], &marks->times, err);
}

static struct sluice_bytes position_of(const struct marks *marks, int64_t row)
{
    return sluice_view_bytes(&marks->positions, marks->offset + row);
}

static int64_t time_of(const struct sluice_lane *lane, const struct marks *marks, int64_t row)
{
    const struct sluice_host *host = lane->sink->host;
    return sluice_view_is_null(&marks->times, marks->offset + row)
               ? host->now_us(host->ctx, SLUICE_CLOCK_WALL)
               : sluice_view_i64(&marks->times, marks->offset + row);
}

static int64_t first_to_write(const struct sluice_lane *lane, const struct marks *marks,
                              int64_t rows)
{
    const struct sluice_bytes skip = {lane->changes->skip, lane->changes->skip_size};
    int64_t row = 0;
    while (skip.size > 0 && row < rows &&
           sluice_position_compare(position_of(marks, row), skip) <= 0) {
        row++;
    }
    return row;
}

static sluice_status begin_file(struct sluice_lane *lane, struct sluice_lake_change_table *table,
                                const struct marks *marks, int64_t row, struct sluice_error *err)
{
    struct sluice_bytes position = position_of(marks, row);
    if (position.size > SLUICE_LAKE_POSITION_MAX) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "a position of %llu bytes is over %d",
                                (unsigned long long)position.size, SLUICE_LAKE_POSITION_MAX);
    }
    SLUICE_TRY(
        sluice_lake_change_file_begin(lane, table, position, time_of(lane, marks, row), err));
    sluice_lake_change_encoder_begin(table->encoder, &lane->changes->out);
    return SLUICE_OK;
}

/* Encodes rows [from, to) into the open file. */
static sluice_status write_slice(struct sluice_lane *lane, struct sluice_lake_change_table *table,
                                 const struct marks *marks, int64_t from, int64_t to,
                                 struct sluice_error *err)
{
    struct sluice_lake_out *out = &lane->changes->out;
    const int64_t made = sluice_lake_change_encoder_rows(table->encoder, from, to, out);
    out->p = sluice_lake_out_flush(out, out->p);
    if (out->status < 0) {
        return sluice_lake_error_at(err, "writing", table->file->key);
    }
    const struct sluice_bytes last = position_of(marks, to - 1); /* the encoder knows its size */
    memcpy(table->last, last.data, last.size);
    table->last_size = (uint32_t)last.size;
    table->file->rows += (uint64_t)made;
    table->written_at = ++lane->changes->clock;
    if (sluice_lake_change_file_is_full(lane, table)) {
        SLUICE_TRY(sluice_lake_change_file_finish(lane, table, err));
    }
    return sluice_lake_change_files_shrink(lane, err);
}

static sluice_status write_slices(struct sluice_lane *lane, struct sluice_lake_change_table *table,
                                  const struct sluice_batch *batch, struct sluice_error *err)
{
    struct sluice_lake_changes *changes = lane->changes;
    struct marks marks;
    SLUICE_TRY(sluice_lake_change_encoder_bind(table->encoder, batch, err));
    SLUICE_TRY(make_marks(batch, &marks, err));
    const int64_t rows = batch->array.length;
    changes->current = table;
    changes->out.p = changes->out.base;
    changes->out.status = SLUICE_OK;
    for (int64_t row = first_to_write(lane, &marks, rows); row < rows;) {
        if (table->file == NULL) {
            SLUICE_TRY(begin_file(lane, table, &marks, row, err));
        }
        const uint64_t left = lane->sink->batch_rows - table->file->rows;
        int64_t take = rows - row < SLICE_ROWS ? rows - row : SLICE_ROWS;
        take = (uint64_t)take < left ? take : (int64_t)left;
        SLUICE_TRY(write_slice(lane, table, &marks, row, row + take, err));
        row += take;
    }
    return SLUICE_OK;
}

/* A new version of the columns: what was written in the old one ends here. */
static sluice_status end_version(struct sluice_lane *lane, const struct sluice_batch *batch,
                                 struct sluice_error *err)
{
    const uint64_t id = batch->desc != NULL ? batch->desc->schema_id : batch->schema_id;
    struct sluice_lake_change_table *table = find_table(lane, batch->stream_id);
    return table != NULL && table->stream->desc->schema_id != id
               ? sluice_lake_change_file_finish(lane, table, err)
               : SLUICE_OK;
}

sluice_status sluice_lake_changes_write(struct sluice_lane *lane, const struct sluice_batch *batch,
                                        struct sluice_error *err)
{
    struct sluice_lake_change_table *table = NULL;
    if (batch->kind == SLUICE_BATCH_SCHEMA) {
        return end_version(lane, batch, err);
    }
    if (batch->array.length == 0) {
        return SLUICE_OK;
    }
    sluice_status st = lane->changes->unsure ? find_start(lane, err) : SLUICE_OK;
    if (st >= 0) {
        st = table_for(lane, batch, &table, err);
    }
    lane->changes->out.err = err;
    if (st >= 0) {
        st = write_slices(lane, table, batch, err);
        st = st < 0 ? sluice_error_wrap(err, "stream %s", table->stream->desc->name) : st;
    }
    lane->changes->out.err = NULL;
    return st < 0 ? sluice_error_wrap(err, "shard %s", lane->shard) : SLUICE_OK;
}

/* ---------------------------------------------------------------- committing ----------------- */

sluice_status sluice_lake_changes_finish(struct sluice_lane *lane, uint64_t epoch,
                                         struct sluice_error *err)
{
    struct sluice_lake_changes *changes = lane->changes;
    changes->epoch = epoch > changes->epoch_least ? epoch : changes->epoch_least;
    return sluice_lake_change_files_finish(lane, err);
}

static int by_stream(const void *a, const void *b)
{
    const struct sluice_stream_desc *x = *(const struct sluice_stream_desc *const *)a;
    const struct sluice_stream_desc *y = *(const struct sluice_stream_desc *const *)b;
    const int order = strcmp(x->name, y->name);
    return order != 0 ? order : x->schema_id < y->schema_id ? -1 : x->schema_id > y->schema_id;
}

/* The versions of the streams that the files have, each once. */
static sluice_status streams_of(const struct sluice_lane *lane,
                                const struct sluice_stream_desc ***out, uint32_t *count,
                                struct sluice_error *err)
{
    const struct sluice_stream_desc **streams = calloc(lane->finished, sizeof(*streams));
    uint32_t n = 0;
    if (streams == NULL) {
        return no_memory(err);
    }
    for (uint32_t i = 0; i < lane->finished; i++) {
        streams[i] = lane->files[i]->desc;
    }
    qsort(streams, lane->finished, sizeof(*streams), by_stream);
    for (uint32_t i = 0; i < lane->finished; i++) {
        if (i == 0 || by_stream(&streams[n - 1], &streams[i]) != 0) {
            streams[n++] = streams[i];
        }
    }
    *out = streams;
    *count = n;
    return SLUICE_OK;
}

/* What is kept over the end of an epoch is small. */
static void trim(struct sluice_lane *lane)
{
    struct sluice_lake_changes *changes = lane->changes;
    for (uint32_t i = 0; i < SLUICE_LAKE_STREAMING_MAX; i++) {
        sluice_lake_change_writer_free(lane, &changes->streaming[i]);
    }
    for (uint32_t i = 0;
         i < SLUICE_LAKE_CHANGE_BUCKETS && changes->encoders > SLUICE_LAKE_ENCODERS_KEPT; i++) {
        struct sluice_lake_change_table *table = changes->tables[i];
        for (; table != NULL; table = table->next) {
            drop_encoder(lane, table);
        }
    }
}

sluice_status sluice_lake_changes_commit(struct sluice_lane *lane,
                                         const struct sluice_commit *commit,
                                         struct sluice_error *err)
{
    struct sluice_lake_changes *changes = lane->changes;
    struct sluice_sink *sink = lane->sink;
    const struct sluice_stream_desc **streams = NULL;
    struct sluice_lake_manifest m = {.kind = SLUICE_LAKE_KIND_CDC};
    int32_t again = 0;
    if (commit->position.size == 0 || commit->position.size > SLUICE_LAKE_POSITION_MAX) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "a commit of changes at no position");
    }
    char *to = malloc(2 * commit->position.size + 1);
    sluice_status st =
        to != NULL ? streams_of(lane, &streams, &m.stream_count, err) : no_memory(err);
    if (st >= 0) {
        sluice_hex_encode(commit->position.data, commit->position.size, to);
        m.mode = sink->mode;
        m.pipeline = sink->pipeline;
        m.sink = sink->node;
        m.shard = lane->shard;
        m.epoch = changes->epoch;
        m.from = changes->from;
        m.to = to;
        m.token = commit->token;
        m.streams = streams;
        m.files = (const struct sluice_lake_file *const *)lane->files;
        m.file_count = lane->finished;
        st = sluice_lake_commits_append(&sink->commits, &m, &again, err);
    }
    free(streams);
    if (st < 0) {
        lane->failed = 1; /* until abort: what counts is not known */
        changes->unsure = 1;
        free(to);
        return st;
    }
    free(changes->from);
    changes->from = to;
    memcpy(changes->start, commit->position.data, commit->position.size);
    changes->start_size = (uint32_t)commit->position.size;
    changes->epoch_least = changes->epoch + 1;
    changes->epoch++;
    trim(lane);
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- ending --------------------- */

void sluice_lake_changes_abort(struct sluice_lane *lane)
{
    struct sluice_lake_changes *changes = lane->changes;
    while (changes->active_count > 0) {
        sluice_lake_change_file_drop(lane, changes->active[0]);
    }
    trim(lane);
}

void sluice_lake_changes_close(struct sluice_lane *lane)
{
    struct sluice_lake_changes *changes = lane->changes;
    if (changes == NULL) {
        return;
    }
    for (uint32_t i = 0; i < SLUICE_LAKE_CHANGE_BUCKETS; i++) {
        while (changes->tables[i] != NULL) {
            struct sluice_lake_change_table *table = changes->tables[i];
            changes->tables[i] = table->next;
            drop_encoder(lane, table);
            sluice_lake_changes_count(lane, -(int64_t)sizeof *table);
            free(table);
        }
    }
    sluice_lake_change_writer_free(lane, &changes->whole);
    for (uint32_t i = 0; i < SLUICE_LAKE_STREAMING_MAX; i++) {
        sluice_lake_change_writer_free(lane, &changes->streaming[i]);
    }
    if (changes->out.base != NULL) {
        sluice_lake_changes_count(lane, -(int64_t)(SLUICE_LAKE_CHUNK + sizeof *changes));
    }
    sluice_lake_out_free(&changes->out);
    free(changes->active);
    free(changes->from);
    free(changes);
    lane->changes = NULL;
}
