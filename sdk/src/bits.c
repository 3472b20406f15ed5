/* Bitmaps and UTF-8 checks: the leaves of views, builders and the validator. */
#include <string.h>

#include "internal.h"

int64_t sluice_bits_count(const uint8_t *bits, int64_t from, int64_t count)
{
    int64_t n = 0;
    int64_t i = from;
    int64_t end = from + count;
    while (i < end && (i & 7) != 0) {
        n += (bits[i >> 3] >> (i & 7)) & 1;
        i++;
    }
    while (i + 64 <= end) {
        uint64_t w;
        memcpy(&w, bits + (i >> 3), sizeof w);
        n += __builtin_popcountll(w);
        i += 64;
    }
    while (i + 8 <= end) {
        n += __builtin_popcount(bits[i >> 3]);
        i += 8;
    }
    while (i < end) {
        n += (bits[i >> 3] >> (i & 7)) & 1;
        i++;
    }
    return n;
}

void sluice_bits_copy(const uint8_t *src, int64_t from, int64_t count, uint8_t *dst)
{
    if (count <= 0) {
        return;
    }
    const uint8_t *p = src + (from >> 3);
    uint32_t shift = (uint32_t)(from & 7);
    int64_t bytes = (count + 7) / 8;
    /* Bits of the source reach one byte further than those of the target when shifted. */
    int64_t src_bytes = ((from & 7) + count + 7) / 8;
    for (int64_t i = 0; i < bytes; i++) {
        uint32_t v = (uint32_t)p[i] >> shift;
        if (shift != 0 && i + 1 < src_bytes) {
            v |= (uint32_t)p[i + 1] << (8u - shift);
        }
        dst[i] = (uint8_t)v;
    }
    if ((count & 7) != 0) {
        dst[bytes - 1] = (uint8_t)(dst[bytes - 1] & ((1u << (count & 7)) - 1u));
    }
}

/* Length of the valid multi-byte character at p, or 0. */
static uint64_t utf8_char(const uint8_t *p, uint64_t left)
{
    uint8_t c = p[0];
    if (c >= 0xc2 && c <= 0xdf) {
        return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    }
    if (c >= 0xe0 && c <= 0xef) {
        if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80) {
            return 0;
        }
        if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] >= 0xa0)) {
            return 0; /* overlong, surrogate */
        }
        return 3;
    }
    if (c >= 0xf0 && c <= 0xf4) {
        if (left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80) {
            return 0;
        }
        if ((c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] >= 0x90)) {
            return 0; /* overlong, over U+10FFFF */
        }
        return 4;
    }
    return 0;
}

uint64_t sluice_utf8_check(const uint8_t *p, uint64_t size)
{
    uint64_t i = 0;
    while (i < size) {
        while (i + 8 <= size) {
            uint64_t w;
            memcpy(&w, p + i, sizeof w);
            if ((w & 0x8080808080808080u) != 0) {
                break;
            }
            i += 8;
        }
        if (i >= size) {
            break;
        }
        if (p[i] < 0x80) {
            i++;
            continue;
        }
        uint64_t n = utf8_char(p + i, size - i);
        if (n == 0) {
            return i;
        }
        i += n;
    }
    return size;
}
