/* Digests of a stream, read from its files as a reader of the lake would: for `sluice verify`. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lake/fold.h"
#include "lake/index.h"
#include "lake/records.h"
#include "lake/rowsum.h"
#include "lake/sink.h"
#include "sluice/position.h"

static sluice_status no_memory(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                            "out of memory to compare a lake");
}

/* ---- files ---- */

struct reading {
    struct sluice_sink *sink;
    const struct sluice_lake_index_stream *stream;
    struct sluice_lake_row_reader *rows;
    struct sluice_lake_fold *fold;
    struct sluice_lake_rowsum *sum;
};

/* Positions are hex of fixed width. */
static int is_after(struct sluice_bytes position, const char *load)
{
    const size_t n = load != NULL ? strlen(load) : 0;
    const size_t common = position.size < n ? position.size : n;
    const int order = common > 0 ? memcmp(position.data, load, common) : 0;
    return order != 0 ? order > 0 : position.size > n;
}

static sluice_status take_record(struct reading *rd, const struct sluice_lake_indexed *file,
                                 const struct sluice_lake_row *row, struct sluice_error *err)
{
    if (file->run != NULL) {
        return sluice_lake_fold_base(rd->fold, row, sluice_lake_rowsum_take, rd->sum, err);
    }
    return is_after(row->position, rd->stream->position)
               ? sluice_lake_fold_change(rd->fold, row, err)
               : SLUICE_OK;
}

static sluice_status read_file(struct reading *rd, const struct sluice_lake_indexed *file,
                               struct sluice_error *err)
{
    struct sluice_sink *sink = rd->sink;
    struct sluice_lake_records *records = NULL;
    struct sluice_lake_row row;
    const char *prefix =
        file->run == NULL || sink->options.full != 0 ? sink->options.metadata_prefix : NULL;
    uint64_t count = 0;
    SLUICE_TRY(sluice_lake_records_open(sink->host, sink->api, sink->store, file, &records, err));
    const int32_t format = sluice_lake_records_format(records);
    sluice_status status = SLUICE_OK;
    if (format != sink->options.format) {
        status = sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                  "%s is of another format than the sink writes now", file->key);
    }
    sluice_lake_row_reader_begin(rd->rows, format, prefix);
    while (status == SLUICE_OK) {
        uint8_t *data = NULL;
        size_t size = 0;
        status = sluice_lake_records_next(records, &data, &size, err);
        if (status != SLUICE_OK) {
            break;
        }
        status = sluice_lake_row_read(rd->rows, data, size, &row, err);
        if (status == SLUICE_AGAIN) {
            status = SLUICE_OK;
            continue;
        }
        count++;
        if (status == SLUICE_OK) {
            status = take_record(rd, file, &row, err);
        }
        if (status < 0) {
            (void)sluice_error_wrap(err, "row %" PRIu64 " of %s", count, file->key);
        }
    }
    sluice_lake_records_close(records);
    if (status >= 0 && count != file->rows) {
        return sluice_error_set(err, SLUICE_E_DATA, 0,
                                "%s has %" PRIu64 " rows, its manifest says %" PRIu64, file->key,
                                count, file->rows);
    }
    return status < 0 ? status : SLUICE_OK;
}

static sluice_status read_files(struct reading *rd, struct sluice_error *err)
{
    const struct sluice_lake_index *index = &rd->sink->index;
    for (int loads = 0; loads < 2; loads++) { /* changes first: see fold.h */
        for (size_t i = 0; i < index->file_count; i++) {
            const struct sluice_lake_indexed *file = &index->files[i];
            if (strcmp(file->stream, rd->stream->name) != 0) {
                continue;
            }
            const struct sluice_bytes last = {file->last_pos,
                                              file->last_pos != NULL ? strlen(file->last_pos) : 0};
            const int wanted = file->run != NULL ? loads && rd->stream->run != NULL &&
                                                       strcmp(file->run, rd->stream->run) == 0
                                                 : !loads && is_after(last, rd->stream->position);
            if (wanted) {
                SLUICE_TRY(read_file(rd, file, err));
            }
        }
    }
    return sluice_lake_fold_rest(rd->fold, sluice_lake_rowsum_take, rd->sum, err);
}

/* The columns that changes find rows by, among those that are compared. */
static sluice_status find_keys(const struct sluice_lake_index_stream *stream,
                               const struct sluice_stream_desc *desc, uint32_t *keys,
                               uint32_t *count, struct sluice_error *err)
{
    *count = 0;
    if (!stream->has_changes) { /* nothing to fold */
        return SLUICE_OK;
    }
    for (uint32_t k = 0; k < stream->key_count; k++) {
        uint32_t i = 0;
        while (i < (uint64_t)desc->schema->n_children &&
               strcmp(desc->schema->children[i]->name, stream->keys[k]) != 0) {
            i++;
        }
        if (i == (uint64_t)desc->schema->n_children) {
            return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                    "its changes go by column %s, which is not compared",
                                    stream->keys[k]);
        }
        keys[(*count)++] = i;
    }
    return SLUICE_OK;
}

static sluice_status read_stream(struct sluice_sink *sink, const struct sluice_digest_ask *ask,
                                 struct sluice_lake_rowsum *sum,
                                 const struct sluice_lake_index_stream *stream,
                                 struct sluice_error *err)
{
    struct reading rd = {.sink = sink, .stream = stream, .sum = sum};
    uint32_t count = 0;
    uint32_t *keys = calloc(stream->key_count + 1u, sizeof *keys);
    sluice_status status = keys != NULL ? SLUICE_OK : no_memory(err);
    if (status >= 0) {
        status = find_keys(stream, ask->desc, keys, &count, err);
    }
    if (status >= 0) {
        status = sluice_lake_fold_create((uint32_t)ask->desc->schema->n_children, keys, count,
                                         &rd.fold, err);
    }
    if (status >= 0) {
        status =
            sluice_lake_row_reader_create(ask->desc, (int32_t)sink->options.binary, &rd.rows, err);
    }
    if (status >= 0) {
        status = read_files(&rd, err);
    }
    sluice_lake_row_reader_free(rd.rows);
    sluice_lake_fold_free(rd.fold);
    free(keys);
    return status;
}

/* ---- the call ---- */

static sluice_status open_index(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                struct sluice_error *err)
{
    char folder[SLUICE_LAKE_KEY_MAX];
    SLUICE_TRY(sink->api->open_read(sink->store, err));
    SLUICE_TRY(sluice_lake_commits_folder(plan->pipeline, plan->node, folder, err));
    return sluice_lake_index_update(&sink->index, sink->host, sink->api, sink->store, folder, err);
}

/* What the changes have reached. */
static void put_position(struct sluice_sink *sink, struct sluice_digest_info *info)
{
    const char *hex = sink->index.to;
    const uint64_t n = hex != NULL ? strlen(hex) / 2 : 0;
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    if (n > 0 && n <= sizeof sink->digest_position &&
        sluice_hex_decode(hex, strlen(hex), sink->digest_position, n, &ignored) >= 0) {
        info->position = (struct sluice_bytes){sink->digest_position, n};
    }
}

sluice_status sluice_lake_sink_digest(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                      const struct sluice_digest_ask *ask,
                                      sluice_digest_visit visit, void *vctx,
                                      struct sluice_digest_info *info, struct sluice_error *err)
{
    struct sluice_lake_rowsum *sum = NULL;
    info->rows = 0;
    info->position = (struct sluice_bytes){NULL, 0};
    info->flags = sink->options.format == SLUICE_LAKE_CSV ? SLUICE_DIGEST_TEXTS : 0;
    if (sink->options.changes == SLUICE_LAKE_CHANGES_DEBEZIUM &&
        (plan->mode != SLUICE_MODE_FULL_LOAD_ONLY || sink->options.full != 0)) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "rows in Debezium's shape hold other texts than the source prints");
    }
    SLUICE_TRY(open_index(sink, plan, err));
    const struct sluice_lake_index_stream *stream =
        sluice_lake_index_find(&sink->index, ask->desc->name);
    if (stream == NULL || (plan->mode != SLUICE_MODE_CDC_ONLY && stream->run == NULL)) {
        return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "%s has no complete load of %s",
                                sink->api->location(sink->store), ask->desc->name);
    }
    sluice_status status = sluice_lake_rowsum_create(ask, visit, vctx, info, &sum, err);
    if (status >= 0) {
        status = read_stream(sink, ask, sum, stream, err);
    }
    if (status >= 0) {
        status = sluice_lake_rowsum_end(sum, err);
    }
    put_position(sink, info);
    sluice_lake_rowsum_free(sum);
    return status < 0 ? status : SLUICE_OK;
}
