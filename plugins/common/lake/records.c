#include "lake/records.h"

#include <isa-l/igzip_lib.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "lake/codec.h"
#include "lake/encoder.h"
#include "lake/object.h"
#include "sluice/position.h"

enum { PLAIN_START = 256 * 1024 };

struct sluice_lake_records {
    const struct sluice_host *host; /* borrowed, like the next three */
    const struct sluice_lake_store_api *api;
    struct sluice_lake_store *store;
    const struct sluice_lake_indexed *file;
    int32_t format;
    int32_t codec;
    EVP_MD_CTX *hash;
    ZSTD_DStream *zstd;
    struct inflate_state *gzip;
    uint8_t *piece; /* as it is stored */
    uint64_t piece_size;
    uint64_t piece_used;
    uint64_t offset; /* in the file, behind the piece */
    uint8_t *plain;
    size_t plain_cap;
    size_t start;    /* of what was not given out yet */
    size_t end;      /* of what is there */
    size_t scanned;  /* from start on: no record ends there */
    int32_t quoted;  /* CSV: the scan is in a quoted field */
    int32_t ended;   /* the codec's stream is whole */
    int32_t holding; /* the codec has more than there was room for */
};

static sluice_status no_memory(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                            "out of memory to read a data file");
}

static sluice_status damaged(const struct sluice_lake_records *r, struct sluice_error *err,
                             const char *why)
{
    return sluice_error_set(err, SLUICE_E_DATA, 0, "%s is damaged: %s", r->file->key, why);
}

/* ---- opening ---- */

static int ends_in(const char *text, size_t size, const char *end)
{
    const size_t n = strlen(end);
    return size >= n && memcmp(text + size - n, end, n) == 0;
}

static sluice_status find_format(struct sluice_lake_records *r, struct sluice_error *err)
{
    const char *key = r->file->key;
    size_t n = strlen(key);
    r->codec = ends_in(key, n, ".zst")  ? SLUICE_LAKE_ZSTD
               : ends_in(key, n, ".gz") ? SLUICE_LAKE_GZIP
                                        : SLUICE_LAKE_NONE;
    n -= r->codec == SLUICE_LAKE_ZSTD ? 4u : r->codec == SLUICE_LAKE_GZIP ? 3u : 0u;
    if (ends_in(key, n, ".jsonl")) {
        r->format = SLUICE_LAKE_JSONL;
        return SLUICE_OK;
    }
    if (ends_in(key, n, ".csv")) {
        r->format = SLUICE_LAKE_CSV;
        return SLUICE_OK;
    }
    return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0, "%s is of no format that is known here",
                            key);
}

static sluice_status make_buffers(struct sluice_lake_records *r, struct sluice_error *err)
{
    r->plain_cap = PLAIN_START;
    r->plain = malloc(r->plain_cap);
    r->piece = malloc(SLUICE_LAKE_READ_PIECE);
    r->hash = EVP_MD_CTX_new();
    if (r->codec == SLUICE_LAKE_ZSTD) {
        r->zstd = ZSTD_createDStream();
    }
    if (r->codec == SLUICE_LAKE_GZIP) {
        r->gzip = malloc(sizeof *r->gzip);
        if (r->gzip != NULL) {
            isal_inflate_init(r->gzip);
            r->gzip->crc_flag = ISAL_GZIP;
        }
    }
    if (r->plain == NULL || r->piece == NULL || r->hash == NULL ||
        (r->codec == SLUICE_LAKE_ZSTD && r->zstd == NULL) ||
        (r->codec == SLUICE_LAKE_GZIP && r->gzip == NULL) ||
        EVP_DigestInit_ex(r->hash, EVP_sha256(), NULL) != 1) {
        return no_memory(err);
    }
    return SLUICE_OK;
}

sluice_status sluice_lake_records_open(const struct sluice_host *host,
                                       const struct sluice_lake_store_api *api,
                                       struct sluice_lake_store *store,
                                       const struct sluice_lake_indexed *file,
                                       struct sluice_lake_records **out, struct sluice_error *err)
{
    struct sluice_lake_records *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return no_memory(err);
    }
    r->host = host;
    r->api = api;
    r->store = store;
    r->file = file;
    sluice_status status = find_format(r, err);
    if (status >= 0) {
        status = make_buffers(r, err);
    }
    if (status < 0) {
        sluice_lake_records_close(r);
        return status;
    }
    *out = r;
    return SLUICE_OK;
}

int32_t sluice_lake_records_format(const struct sluice_lake_records *records)
{
    return records->format;
}

void sluice_lake_records_close(struct sluice_lake_records *records)
{
    if (records == NULL) {
        return;
    }
    EVP_MD_CTX_free(records->hash);
    (void)ZSTD_freeDStream(records->zstd);
    free(records->gzip);
    free(records->piece);
    free(records->plain);
    free(records);
}

/* ---- bytes ---- */

static sluice_status check_whole(struct sluice_lake_records *r, struct sluice_error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    char text[2 * EVP_MAX_MD_SIZE + 1];
    if (EVP_DigestFinal_ex(r->hash, digest, &n) != 1) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "sha256 failed");
    }
    sluice_hex_encode(digest, n, text);
    if (r->file->sha256[0] != '\0' && strcmp(text, r->file->sha256) != 0) {
        return damaged(r, err, "its sha256 is not that of the manifest");
    }
    if (r->codec != SLUICE_LAKE_NONE && !r->ended) {
        return damaged(r, err, "its compressed data is cut off");
    }
    return SLUICE_OK;
}

/* END when the file was read whole, and is what the manifest says. */
static sluice_status next_piece(struct sluice_lake_records *r, struct sluice_error *err)
{
    const uint64_t left = r->file->bytes - r->offset;
    const uint64_t want = left < SLUICE_LAKE_READ_PIECE ? left : SLUICE_LAKE_READ_PIECE;
    if (left == 0) {
        SLUICE_TRY(check_whole(r, err));
        return SLUICE_END;
    }
    if (r->host->cancelled(r->host->ctx)) {
        return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "cancelled");
    }
    sluice_status status =
        r->api->get_range(r->store, r->file->key, r->offset, want, r->piece, &r->piece_size, err);
    if (status == SLUICE_E_NOT_FOUND) {
        return damaged(r, err, "a manifest names it, and it is not there");
    }
    if (status < 0) {
        return sluice_lake_error_at(err, "reading", r->file->key);
    }
    if (r->piece_size != want) {
        return damaged(r, err, "it is shorter than the manifest says");
    }
    if (EVP_DigestUpdate(r->hash, r->piece, r->piece_size) != 1) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "sha256 failed");
    }
    r->offset += r->piece_size;
    r->piece_used = 0;
    return SLUICE_OK;
}

/* Room behind what is there: what was given out makes way, then the buffer doubles. */
static sluice_status make_room(struct sluice_lake_records *r, struct sluice_error *err)
{
    if (r->start > 0) {
        memmove(r->plain, r->plain + r->start, r->end - r->start);
        r->end -= r->start;
        r->start = 0;
    }
    if (r->plain_cap - r->end >= PLAIN_START / 2) {
        return SLUICE_OK;
    }
    if (r->plain_cap >= SLUICE_LAKE_RECORD_MAX) {
        return damaged(r, err, "it has a record of more than a GiB");
    }
    uint8_t *grown = realloc(r->plain, r->plain_cap * 2);
    if (grown == NULL) {
        return no_memory(err);
    }
    r->plain = grown;
    r->plain_cap *= 2;
    return SLUICE_OK;
}

static sluice_status inflate_zstd(struct sluice_lake_records *r, struct sluice_error *err)
{
    ZSTD_inBuffer in = {r->piece, r->piece_size, r->piece_used};
    ZSTD_outBuffer to = {r->plain, r->plain_cap, r->end};
    const size_t rc = ZSTD_decompressStream(r->zstd, &to, &in);
    if (ZSTD_isError(rc)) {
        return damaged(r, err, ZSTD_getErrorName(rc));
    }
    r->ended = rc == 0;
    r->piece_used = in.pos;
    r->end = to.pos;
    return SLUICE_OK;
}

static sluice_status inflate_gzip(struct sluice_lake_records *r, struct sluice_error *err)
{
    if (r->ended) {
        return damaged(r, err, "there is more behind its gzip member");
    }
    r->gzip->next_in = r->piece + r->piece_used;
    r->gzip->avail_in = (uint32_t)(r->piece_size - r->piece_used);
    r->gzip->next_out = r->plain + r->end;
    r->gzip->avail_out = (uint32_t)(r->plain_cap - r->end);
    if (isal_inflate(r->gzip) != ISAL_DECOMP_OK) {
        return damaged(r, err, "its gzip data cannot be read");
    }
    r->ended = r->gzip->block_state == ISAL_BLOCK_FINISH;
    r->piece_used = r->piece_size - r->gzip->avail_in;
    r->end = r->plain_cap - r->gzip->avail_out;
    return SLUICE_OK;
}

static void copy_plain(struct sluice_lake_records *r)
{
    const uint64_t room = r->plain_cap - r->end;
    const uint64_t have = r->piece_size - r->piece_used;
    const uint64_t n = have < room ? have : room;
    memcpy(r->plain + r->end, r->piece + r->piece_used, n);
    r->piece_used += n;
    r->end += n;
}

/* END when there is nothing more. */
static sluice_status more_plain(struct sluice_lake_records *r, struct sluice_error *err)
{
    SLUICE_TRY(make_room(r, err));
    const size_t before = r->end;
    while (r->end == before) {
        if (r->piece_used == r->piece_size && !r->holding) {
            const sluice_status status = next_piece(r, err);
            if (status != SLUICE_OK) {
                return status;
            }
        }
        if (r->codec == SLUICE_LAKE_ZSTD) {
            SLUICE_TRY(inflate_zstd(r, err));
        }
        else if (r->codec == SLUICE_LAKE_GZIP) {
            SLUICE_TRY(inflate_gzip(r, err));
        }
        else {
            copy_plain(r);
        }
        r->holding = r->end == r->plain_cap && !r->ended && r->codec != SLUICE_LAKE_NONE;
    }
    return SLUICE_OK;
}

/* ---- records ---- */

/* Where the record that begins at start ends; NULL = not in what is there. */
static uint8_t *find_end(struct sluice_lake_records *r)
{
    uint8_t *from = r->plain + r->start + r->scanned;
    uint8_t *to = r->plain + r->end;
    if (r->format == SLUICE_LAKE_JSONL) {
        uint8_t *found = memchr(from, '\n', (size_t)(to - from));
        r->scanned = r->end - r->start;
        return found;
    }
    for (; from < to; from++) {
        if (*from == '"') {
            r->quoted = !r->quoted; /* a doubled quote turns twice */
        }
        else if (*from == '\n' && !r->quoted) {
            return from;
        }
    }
    r->scanned = r->end - r->start;
    return NULL;
}

sluice_status sluice_lake_records_next(struct sluice_lake_records *records, uint8_t **out,
                                       size_t *size, struct sluice_error *err)
{
    for (;;) {
        uint8_t *end = find_end(records);
        if (end != NULL) {
            *out = records->plain + records->start;
            *size = (size_t)(end - *out);
            records->start += *size + 1;
            records->scanned = 0;
            records->quoted = 0;
            return SLUICE_OK;
        }
        const sluice_status status = more_plain(records, err);
        if (status == SLUICE_END && records->start < records->end) {
            return damaged(records, err, "its last line has no end");
        }
        if (status != SLUICE_OK) {
            return status;
        }
    }
}
