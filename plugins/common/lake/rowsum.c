/* Each row as row_to_json prints it, its md5, sums of the md5s by bucket of the key: as pg/digest.c has the server do it. */
#include "lake/rowsum.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "lake/encoder.h"
#include "lake/fold.h"

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

struct sluice_lake_rowsum {
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
                            "out of memory to compare rows");
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
static int make_row(struct sluice_lake_rowsum *d, const struct sluice_bytes *cells)
{
    int ok = d->columns > 0 || text_add(&d->row, "{", 1);
    for (uint32_t i = 0; i < d->columns && ok; i++) {
        ok = text_add(&d->row, d->names[i].key, d->names[i].key_size) &&
             text_add(&d->row, cells[i].data, cells[i].size);
    }
    return ok && text_add(&d->row, "}", 1);
}

/* As json_build_array prints it. */
static int make_key(struct sluice_lake_rowsum *d, const struct sluice_bytes *cells)
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

static sluice_status md5_of(struct sluice_lake_rowsum *d, const struct text *text,
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

static int is_asked(const struct sluice_lake_rowsum *d, uint32_t bucket, const struct text *key)
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

sluice_status sluice_lake_rowsum_take(void *vctx, const struct sluice_bytes *cells,
                                      struct sluice_error *err)
{
    struct sluice_lake_rowsum *d = vctx;
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

sluice_status sluice_lake_rowsum_end(struct sluice_lake_rowsum *d, struct sluice_error *err)
{
    if (d->sums == NULL) {
        return SLUICE_OK;
    }
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

static sluice_status index_keys(struct sluice_lake_rowsum *d, struct sluice_error *err)
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

static sluice_status init(struct sluice_lake_rowsum *d, struct sluice_error *err)
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

void sluice_lake_rowsum_free(struct sluice_lake_rowsum *d)
{
    if (d == NULL) {
        return;
    }
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
    free(d);
}

sluice_status sluice_lake_rowsum_create(const struct sluice_digest_ask *ask,
                                        sluice_digest_visit visit, void *vctx,
                                        struct sluice_digest_info *info,
                                        struct sluice_lake_rowsum **out, struct sluice_error *err)
{
    struct sluice_lake_rowsum *d = calloc(1, sizeof *d);
    if (d == NULL) {
        return no_memory(err);
    }
    d->ask = ask;
    d->visit = visit;
    d->vctx = vctx;
    d->info = info;
    const sluice_status status = init(d, err);
    if (status < 0) {
        sluice_lake_rowsum_free(d);
        return status;
    }
    *out = d;
    return SLUICE_OK;
}
