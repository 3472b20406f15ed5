/* Masked values, a column at a time. */
#include <stdlib.h>

/* The one-shot functions of OpenSSL 3 allocate per value; the old ones keep their state in a struct
 * that can be copied, so that the salt is hashed once. */
#define OPENSSL_API_COMPAT 0x10100000L
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "mask.h"
#include "sluice/text.h"

struct mask_hash {
    SHA256_CTX salted;
};

struct mask_hash *mask_hash_new(const char *salt)
{
    struct mask_hash *hash = calloc(1, sizeof *hash);
    if (hash != NULL) {
        SHA256_Init(&hash->salted);
        if (salt != NULL) {
            SHA256_Update(&hash->salted, salt, strlen(salt));
        }
    }
    return hash;
}

void mask_hash_free(struct mask_hash *hash)
{
    if (hash != NULL) {
        OPENSSL_cleanse(hash, sizeof *hash);
        free(hash);
    }
}

static void put_hex(const uint8_t digest[MASK_HASH_SIZE], uint8_t *to)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < MASK_HASH_SIZE; i++) {
        to[2 * i] = (uint8_t)digits[digest[i] >> 4];
        to[2 * i + 1] = (uint8_t)digits[digest[i] & 15];
    }
}

static sluice_status fill_sha256(const struct mask_hash *hash, int64_t encoding,
                                 const struct sluice_view *source, int64_t rows,
                                 struct sluice_column *to, struct sluice_error *err)
{
    char buffer[SLUICE_TEXT_MAX];
    uint64_t size = encoding == MASK_HEX ? 2 * MASK_HASH_SIZE : MASK_HASH_SIZE;
    for (int64_t i = 0; i < rows; i++) {
        if (sluice_view_is_null(source, i)) {
            SLUICE_TRY(sluice_column_put_null(to, err));
            continue;
        }
        struct sluice_bytes text;
        uint8_t digest[MASK_HASH_SIZE];
        SHA256_CTX ctx = hash->salted;
        SLUICE_TRY(sluice_view_text(source, i, buffer, &text, err));
        SHA256_Update(&ctx, text.data, text.size);
        SHA256_Final(digest, &ctx);
        uint8_t *room = sluice_column_room(to, size, err);
        if (room == NULL) {
            return SLUICE_E_NOMEM;
        }
        if (encoding == MASK_HEX) {
            put_hex(digest, room);
        }
        else {
            memcpy(room, digest, MASK_HASH_SIZE);
        }
        sluice_column_put_room(to, size);
    }
    return SLUICE_OK;
}

static sluice_status fill_text(const char *text, const struct sluice_view *source, int64_t rows,
                               struct sluice_column *to, struct sluice_error *err)
{
    uint64_t size = strlen(text);
    for (int64_t i = 0; i < rows; i++) {
        SLUICE_TRY(sluice_view_is_null(source, i) ? sluice_column_put_null(to, err)
                                                  : sluice_column_put_bytes(to, text, size, err));
    }
    return SLUICE_OK;
}

static sluice_status fill_null(int64_t rows, struct sluice_column *to, struct sluice_error *err)
{
    for (int64_t i = 0; i < rows; i++) {
        SLUICE_TRY(sluice_column_put_null(to, err));
    }
    return SLUICE_OK;
}

/* Bytes of the first n characters. */
static uint64_t first_characters(struct sluice_bytes text, int64_t n)
{
    const uint8_t *p = text.data;
    uint64_t i = 0;
    while (i < text.size) {
        if ((p[i] & 0xc0u) != 0x80u && n-- == 0) {
            break;
        }
        i++;
    }
    return i;
}

/* Where the last n characters begin. */
static uint64_t last_characters(struct sluice_bytes text, int64_t n)
{
    const uint8_t *p = text.data;
    uint64_t i = text.size;
    while (i > 0 && n > 0) {
        i--;
        if ((p[i] & 0xc0u) != 0x80u) {
            n--;
        }
    }
    return i;
}

static sluice_status fill_truncate(int64_t length, const struct sluice_view *source, int64_t rows,
                                   struct sluice_column *to, struct sluice_error *err)
{
    for (int64_t i = 0; i < rows; i++) {
        if (sluice_view_is_null(source, i)) {
            SLUICE_TRY(sluice_column_put_null(to, err));
            continue;
        }
        struct sluice_bytes text = sluice_view_bytes(source, i);
        SLUICE_TRY(sluice_column_put_bytes(to, text.data, first_characters(text, length), err));
    }
    return SLUICE_OK;
}

/* A value of no more than `length` characters is replaced whole: else nothing of it were hidden. */
static sluice_status fill_keep_last(int64_t length, const char *replacement,
                                    const struct sluice_view *source, int64_t rows,
                                    struct sluice_column *to, struct sluice_error *err)
{
    uint64_t front = strlen(replacement);
    for (int64_t i = 0; i < rows; i++) {
        if (sluice_view_is_null(source, i)) {
            SLUICE_TRY(sluice_column_put_null(to, err));
            continue;
        }
        struct sluice_bytes text = sluice_view_bytes(source, i);
        uint64_t from = last_characters(text, length);
        uint64_t kept = from == 0 ? 0 : text.size - from;
        uint8_t *room = sluice_column_room(to, front + kept, err);
        if (room == NULL) {
            return SLUICE_E_NOMEM;
        }
        memcpy(room, replacement, front);
        if (kept > 0) {
            memcpy(room + front, (const uint8_t *)text.data + from, kept);
        }
        sluice_column_put_room(to, front + kept);
    }
    return SLUICE_OK;
}

sluice_status mask_fill(const struct mask_options *options, const struct mask_hash *hash,
                        const struct sluice_view *source, int64_t rows, struct sluice_column *to,
                        struct sluice_error *err)
{
    switch (options->with) {
    case MASK_SHA256:
        return fill_sha256(hash, options->encoding, source, rows, to, err);
    case MASK_REDACT:
        return fill_text(options->replacement, source, rows, to, err);
    case MASK_NULL:
        return fill_null(rows, to, err);
    case MASK_TRUNCATE:
        return fill_truncate(options->length, source, rows, to, err);
    default:
        return fill_keep_last(options->length, options->replacement, source, rows, to, err);
    }
}
