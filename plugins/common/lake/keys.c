#include "lake/keys.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>

#include "sluice/position.h"

static int32_t is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

int32_t sluice_lake_is_plain(const char *text)
{
    if (*text == 0 || *text == '.') {
        return 0;
    }
    while (is_plain((unsigned char)*text)) {
        text++;
    }
    return *text == 0;
}

/* Bytes of the character that starts at s; a stray byte counts as one. */
static uint32_t character_size(const unsigned char *s)
{
    uint32_t n = s[0] < 0xc0 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    for (uint32_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return i;
        }
    }
    return n;
}

sluice_status sluice_lake_sha256(const void *data, uint64_t size, char out[65],
                                 struct sluice_error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int digest_size = 0;
    if (EVP_Digest(data, size, digest, &digest_size, EVP_sha256(), NULL) != 1) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "sha256 is not available");
    }
    sluice_hex_encode(digest, digest_size, out);
    return SLUICE_OK;
}

sluice_status sluice_lake_segment(const char *name, char out[SLUICE_LAKE_SEGMENT_MAX + 1],
                                  struct sluice_error *err)
{
    static const char hex[] = "0123456789ABCDEF";
    const unsigned char *s = (const unsigned char *)name;
    int32_t dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    uint32_t used = 0;
    uint32_t cut = 0; /* end of the last whole character within SLUICE_LAKE_SEGMENT_CUT */
    while (*s != 0) {
        uint32_t n = character_size(s);
        char text[12];
        uint32_t size = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (is_plain(s[i]) && !dots) {
                text[size++] = (char)s[i];
            }
            else {
                text[size++] = '%';
                text[size++] = hex[s[i] >> 4];
                text[size++] = hex[s[i] & 15];
            }
        }
        if (used + size > SLUICE_LAKE_SEGMENT_MAX) {
            char digest[65];
            SLUICE_TRY(sluice_lake_sha256(name, strlen(name), digest, err));
            out[cut] = '~';
            memcpy(out + cut + 1, digest, 16);
            out[cut + 17] = 0;
            return SLUICE_OK;
        }
        memcpy(out + used, text, size);
        used += size;
        if (used <= SLUICE_LAKE_SEGMENT_CUT) {
            cut = used;
        }
        s += n;
    }
    if (used == 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "an empty name cannot be part of a key");
    }
    out[used] = 0;
    return SLUICE_OK;
}

void sluice_lake_shard_text(const char *id, char *out, uint64_t cap)
{
    uint64_t i = 0;
    for (; id[i] != 0 && i + 1 < cap; i++) {
        out[i] = is_plain((unsigned char)id[i]) ? id[i] : '-';
    }
    out[i] = 0;
}

sluice_status sluice_lake_random_id(char out[33], struct sluice_error *err)
{
    unsigned char bytes[16];
    ssize_t got = getrandom(bytes, sizeof bytes, 0);
    if (got != (ssize_t)sizeof bytes) {
        return sluice_error_errno(err, got < 0 ? errno : EIO, "getrandom");
    }
    sluice_hex_encode(bytes, sizeof bytes, out);
    return SLUICE_OK;
}
