/* Codecs for positions and their text. */
#include "sluice/position.h"

#include <stdio.h>
#include <string.h>

void sluice_put_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

void sluice_put_be32(uint8_t *p, uint32_t v)
{
    sluice_put_be16(p, (uint16_t)(v >> 16));
    sluice_put_be16(p + 2, (uint16_t)v);
}

void sluice_put_be64(uint8_t *p, uint64_t v)
{
    sluice_put_be32(p, (uint32_t)(v >> 32));
    sluice_put_be32(p + 4, (uint32_t)v);
}

uint16_t sluice_get_be16(const uint8_t *p)
{
    return (uint16_t)((uint32_t)p[0] << 8 | p[1]);
}

uint32_t sluice_get_be32(const uint8_t *p)
{
    return (uint32_t)sluice_get_be16(p) << 16 | sluice_get_be16(p + 2);
}

uint64_t sluice_get_be64(const uint8_t *p)
{
    return (uint64_t)sluice_get_be32(p) << 32 | sluice_get_be32(p + 4);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

void sluice_hex_encode(const void *data, uint64_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    for (uint64_t i = 0; i < size; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15u];
    }
    out[2 * size] = '\0';
}

sluice_status sluice_hex_decode(const char *text, uint64_t text_size, void *out, uint64_t size,
                                struct sluice_error *err)
{
    if (text_size % 2 != 0 || text_size / 2 != size) {
        return sluice_error_set(err, SLUICE_E_DATA, 0,
                                "hex text has %llu characters, %llu bytes were expected",
                                (unsigned long long)text_size, (unsigned long long)size);
    }
    uint8_t *p = out;
    for (uint64_t i = 0; i < size; i++) {
        int hi = hex_value(text[2 * i]);
        int lo = hex_value(text[2 * i + 1]);
        if (hi < 0 || lo < 0) {
            return sluice_error_set(err, SLUICE_E_DATA, 0, "not a hex digit at character %llu",
                                    (unsigned long long)(2 * i));
        }
        p[i] = (uint8_t)(hi * 16 + lo);
    }
    return SLUICE_OK;
}

void sluice_lsn_format(uint64_t lsn, char out[24])
{
    (void)snprintf(out, 24, "%X/%X", (unsigned)(lsn >> 32), (unsigned)(lsn & 0xffffffffu));
}

/* Up to eight hex digits from *at on; moves *at behind them. */
static int parse_half(const char **at, uint64_t *out)
{
    uint64_t v = 0;
    int n = 0;
    while (n <= 8 && hex_value(**at) >= 0) {
        v = v * 16u + (uint64_t)hex_value(**at);
        (*at)++;
        n++;
    }
    *out = v;
    return n >= 1 && n <= 8;
}

sluice_status sluice_lsn_parse(const char *text, uint64_t *out, struct sluice_error *err)
{
    const char *at = text;
    uint64_t hi = 0;
    uint64_t lo = 0;
    if (!parse_half(&at, &hi) || *at++ != '/' || !parse_half(&at, &lo) || *at != '\0') {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "not an LSN like 16/B374D848: \"%.40s\"",
                                text);
    }
    *out = hi << 32 | lo;
    return SLUICE_OK;
}

int32_t sluice_position_compare(struct sluice_bytes a, struct sluice_bytes b)
{
    uint64_t n = a.size < b.size ? a.size : b.size;
    int c = n == 0 ? 0 : memcmp(a.data, b.data, n);
    if (c != 0) {
        return c < 0 ? -1 : 1;
    }
    return a.size == b.size ? 0 : a.size < b.size ? -1 : 1;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

uint64_t sluice_base64_encode(const void *data, uint64_t size, char *out)
{
    const uint8_t *p = data;
    char *to = out;
    uint64_t i = 0;
    for (; i + 3 <= size; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | p[i + 2];
        *to++ = base64_digits[v >> 18];
        *to++ = base64_digits[v >> 12 & 63u];
        *to++ = base64_digits[v >> 6 & 63u];
        *to++ = base64_digits[v & 63u];
    }
    if (i < size) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < size ? (uint32_t)p[i + 1] << 8 : 0u);
        *to++ = base64_digits[v >> 18];
        *to++ = base64_digits[v >> 12 & 63u];
        *to++ = '=';
        if (i + 1 < size) {
            to[-1] = base64_digits[v >> 6 & 63u];
        }
        *to++ = '=';
    }
    *to = '\0';
    return (uint64_t)(to - out);
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

sluice_status sluice_base64_decode(const char *text, uint64_t text_size, void *out,
                                   uint64_t *out_size, struct sluice_error *err)
{
    if (text_size % 4 != 0) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "base64 text has %llu characters",
                                (unsigned long long)text_size);
    }
    uint8_t *to = out;
    uint64_t n = 0;
    for (uint64_t i = 0; i < text_size; i += 4) {
        int32_t last = i + 4 == text_size;
        int pad = last ? (text[i + 3] == '=') + (text[i + 3] == '=' && text[i + 2] == '=') : 0;
        uint32_t v = 0;
        for (int k = 0; k < 4; k++) {
            int d = k >= 4 - pad ? 0 : base64_value(text[i + (uint64_t)k]);
            if (d < 0) {
                return sluice_error_set(err, SLUICE_E_DATA, 0, "not base64 at character %llu",
                                        (unsigned long long)(i + (uint64_t)k));
            }
            v = v << 6 | (uint32_t)d;
        }
        /* Bits behind the last byte must be zero, so that each value has one text. */
        if ((pad == 1 && (v & 0xffu) != 0) || (pad == 2 && (v & 0xffffu) != 0)) {
            return sluice_error_set(err, SLUICE_E_DATA, 0, "base64 text has stray bits at its end");
        }
        to[n++] = (uint8_t)(v >> 16);
        if (pad < 2) {
            to[n++] = (uint8_t)(v >> 8);
        }
        if (pad < 1) {
            to[n++] = (uint8_t)v;
        }
    }
    *out_size = n;
    return SLUICE_OK;
}
