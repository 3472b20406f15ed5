/* Digests of a stream, read from its files as a reader of the lake would: for `sluice verify`. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "lake/fold.h"
#include "lake/index.h"
#include "lake/records.h"
#include "lake/sink.h"
#include "sluice/position.h"

struct sum {
    uint64_t rows;
    uint64_t high;
    uint64_t low;
};

struct text {
    char *data;
    size_t size;
    size_t cap;
};

struct digest {
    const struct sluice_digest_ask *ask;
    sluice_digest_visit visit;
    void *vctx;
    struct sluice_digest_info *info;
    struct sum *sums;  /* SUMS: one for each bucket */
    uint8_t *wanted;   /* ROWS: 1 for each bucket asked for; NULL = all */
    uint32_t *slots;   /* ROWS: keys asked for, index + 1, by hash; NULL = all */
    size_t slot_count; /* a power of two */
    EVP_MD_CTX *md5;
    struct sluice_lake_cell *names; /* `{"a":`, `,"b":` */
    uint32_t columns;
    struct text key;
    struct text row;
};

static sluice_status no_memory(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                            "out of memory to compare a lake");
}

/* ---- one row ---- */

static int text_add(struct text *text, const void *data, size_t size)
{
    if (text->cap - text->size <= size) {
        const size_t cap = (text->size + size + 1) * 2;
        char *grown = realloc(text->data, cap);
        if (grown == NULL) {
            return 0;
        }
        text->data = grown;
        text->cap = cap;
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
    return 1;
}

/* As row_to_json prints it. */
static int make_row(struct digest *d, const struct sluice_bytes *cells)
{
    int ok = d->columns > 0 || text_add(&d->row, "{", 1);
    for (uint32_t i = 0; i < d->columns && ok; i++) {
        ok = text_add(&d->row, d->names[i].key, d->names[i].key_size) &&
             text_add(&d->row, cells[i].data, cells[i].size);
    }
    return ok && text_add(&d->row, "}", 1);
}

/* As json_build_array prints it. */
static int make_key(struct digest *d, const struct sluice_bytes *cells)
{
    const struct sluice_stream_desc *desc = d->ask->desc;
    int ok = text_add(&d->key, "[", 1);
    for (uint32_t i = 0; i < desc->key_count && ok; i++) {
        const struct sluice_bytes *cell = &cells[desc->keys[i]];
        ok = (i == 0 || text_add(&d->key, ", ", 2)) && text_add(&d->key, cell->data, cell->size);
    }
    return ok && text_add(&d->key, "]", 1);
}

static uint32_t word_of(const unsigned char *digest, int at)
{
    return ((uint32_t)digest[4 * at] << 24) | ((uint32_t)digest[4 * at + 1] << 16) |
           ((uint32_t)digest[4 * at + 2] << 8) | digest[4 * at + 3];
}

static sluice_status md5_of(struct digest *d, const struct text *text,
                            unsigned char out[EVP_MAX_MD_SIZE], struct sluice_error *err)
{
    if (EVP_DigestInit_ex(d->md5, EVP_md5(), NULL) != 1 ||
        EVP_DigestUpdate(d->md5, text->data, text->size) != 1 ||
        EVP_DigestFinal_ex(d->md5, out, NULL) != 1) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "this machine's crypto library gives no md5");
    }
    return SLUICE_OK;
}

static int is_asked(const struct digest *d, uint32_t bucket, const struct text *key)
{
    if (d->wanted != NULL) {
        return d->wanted[bucket];
    }
    if (d->slots == NULL) {
        return 1;
    }
    size_t at = sluice_lake_hash(key->data, key->size) & (d->slot_count - 1);
    while (d->slots[at] != 0 && strcmp(d->ask->keys[d->slots[at] - 1], key->data) != 0) {
        at = (at + 1) & (d->slot_count - 1);
    }
    return d->slots[at] != 0;
}

static sluice_status take_row(void *vctx, const struct sluice_bytes *cells,
                              struct sluice_error *err)
{
    struct digest *d = vctx;
    unsigned char hash[EVP_MAX_MD_SIZE];
    const int keyed = d->ask->desc->key_count > 0;
    d->key.size = 0;
    d->row.size = 0;
    if (!make_row(d, cells) || (keyed && !make_key(d, cells))) {
        return no_memory(err);
    }
    const struct text *key = keyed ? &d->key : &d->row;
    SLUICE_TRY(md5_of(d, key, hash, err));
    const uint32_t bucket = word_of(hash, 0) & (d->ask->buckets - 1u);
    if (d->sums != NULL) {
        SLUICE_TRY(md5_of(d, &d->row, hash, err));
        d->sums[bucket].rows++;
        d->sums[bucket].high += ((uint64_t)word_of(hash, 0) << 32) + word_of(hash, 1);
        d->sums[bucket].low += ((uint64_t)word_of(hash, 2) << 32) + word_of(hash, 3);
        return SLUICE_OK;
    }
    if (!is_asked(d, bucket, key)) {
        return SLUICE_OK;
    }
    const struct sluice_digest_item item = {.struct_size = sizeof item,
                                            .bucket = bucket,
                                            .rows = 1,
                                            .key = keyed ? key->data : NULL,
                                            .text = d->row.data};
    d->info->rows++;
    const sluice_status status = d->visit(d->vctx, &item);
    return status < 0 ? sluice_error_set(err, status, 0, "the digest was not taken") : SLUICE_OK;
}

static sluice_status visit_sums(struct digest *d, struct sluice_error *err)
{
    for (uint32_t b = 0; b < d->ask->buckets; b++) {
        const struct sluice_digest_item item = {.struct_size = sizeof item,
                                                .bucket = b,
                                                .rows = d->sums[b].rows,
                                                .sum_high = d->sums[b].high,
                                                .sum_low = d->sums[b].low};
        d->info->rows += item.rows;
        if (item.rows > 0 && d->visit(d->vctx, &item) < 0) {
            return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "the digest was not taken");
        }
    }
    return SLUICE_OK;
}

/* ---- what is asked ---- */

static sluice_status index_keys(struct digest *d, struct sluice_error *err)
{
    d->slot_count = 16;
    while (d->slot_count < 2 * (size_t)d->ask->key_count) {
        d->slot_count *= 2;
    }
    d->slots = calloc(d->slot_count, sizeof *d->slots);
    if (d->slots == NULL) {
        return no_memory(err);
    }
    for (uint32_t i = 0; i < d->ask->key_count; i++) {
        const char *key = d->ask->keys[i];
        size_t at = sluice_lake_hash(key, strlen(key)) & (d->slot_count - 1);
        while (d->slots[at] != 0) {
            at = (at + 1) & (d->slot_count - 1);
        }
        d->slots[at] = i + 1;
    }
    return SLUICE_OK;
}

static sluice_status digest_init(struct digest *d, struct sluice_error *err)
{
    const struct sluice_digest_ask *ask = d->ask;
    d->columns = (uint32_t)ask->desc->schema->n_children;
    d->md5 = EVP_MD_CTX_new();
    d->names = calloc(d->columns + 1u, sizeof *d->names);
    if (d->md5 == NULL || d->names == NULL) {
        return no_memory(err);
    }
    for (uint32_t i = 0; i < d->columns; i++) {
        SLUICE_TRY(sluice_lake_json_key(&d->names[i], ask->desc->schema->children[i]->name,
                                        i == 0 ? '{' : ',', err));
    }
    if (ask->level == SLUICE_DIGEST_SUMS) {
        d->sums = calloc(ask->buckets, sizeof *d->sums);
        return d->sums != NULL ? SLUICE_OK : no_memory(err);
    }
    if (ask->key_count > 0) {
        return index_keys(d, err);
    }
    if (ask->bucket_count > 0) {
        d->wanted = calloc(ask->buckets, 1);
        if (d->wanted == NULL) {
            return no_memory(err);
        }
        for (uint32_t i = 0; i < ask->bucket_count; i++) {
            d->wanted[ask->bucket_list[i] & (ask->buckets - 1u)] = 1;
        }
    }
    return SLUICE_OK;
}

static void digest_clear(struct digest *d)
{
    for (uint32_t i = 0; d->names != NULL && i < d->columns; i++) {
        free(d->names[i].key);
    }
    EVP_MD_CTX_free(d->md5);
    free(d->names);
    free(d->sums);
    free(d->wanted);
    free(d->slots);
    free(d->key.data);
    free(d->row.data);
}

/* ---- files ---- */

struct reading {
    struct sluice_sink *sink;
    const struct sluice_lake_index_stream *stream;
    struct sluice_lake_row_reader *rows;
    struct sluice_lake_fold *fold;
    struct digest *digest;
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
        return sluice_lake_fold_base(rd->fold, row, take_row, rd->digest, err);
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
    return sluice_lake_fold_rest(rd->fold, take_row, rd->digest, err);
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

static sluice_status read_stream(struct sluice_sink *sink, struct digest *d,
                                 const struct sluice_lake_index_stream *stream,
                                 struct sluice_error *err)
{
    struct reading rd = {.sink = sink, .stream = stream, .digest = d};
    uint32_t count = 0;
    uint32_t *keys = calloc(stream->key_count + 1u, sizeof *keys);
    sluice_status status = keys != NULL ? SLUICE_OK : no_memory(err);
    if (status >= 0) {
        status = find_keys(stream, d->ask->desc, keys, &count, err);
    }
    if (status >= 0) {
        status = sluice_lake_fold_create(d->columns, keys, count, &rd.fold, err);
    }
    if (status >= 0) {
        status = sluice_lake_row_reader_create(d->ask->desc, (int32_t)sink->options.binary,
                                               &rd.rows, err);
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
    struct digest d = {.ask = ask, .visit = visit, .vctx = vctx, .info = info};
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
    sluice_status status = digest_init(&d, err);
    if (status >= 0) {
        status = read_stream(sink, &d, stream, err);
    }
    if (status >= 0 && d.sums != NULL) {
        status = visit_sums(&d, err);
    }
    put_position(sink, info);
    digest_clear(&d);
    return status < 0 ? status : SLUICE_OK;
}
