#include "lake/escape.h"

#include "sluice/position.h"

enum {
    /* Text is taken in pieces that fit even when every byte becomes \u00xx. */
    PIECE_MIN = 2048,
    BASE64_PIECE = 12 * 1024
};

/* 0: as it is; 'u': \u00xx; else the letter behind the backslash. */
static const uint8_t json_escapes[256] = {
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b', 't', 'n', 'u', 'f', 'r', 'u', 'u', 'u', 'u', 'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 0,   0,   '"', 0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   '\\'};

static const char hex_digits[] = "0123456789abcdef";

static uint8_t *escape_byte(uint8_t *p, uint8_t c)
{
    uint8_t e = json_escapes[c];
    if (e == 0) {
        *p++ = c;
        return p;
    }
    *p++ = '\\';
    *p++ = e;
    if (e == 'u') {
        *p++ = '0';
        *p++ = '0';
        *p++ = (uint8_t)hex_digits[c >> 4];
        *p++ = (uint8_t)hex_digits[c & 15];
    }
    return p;
}

uint8_t *sluice_lake_json_escape(uint8_t *p, const uint8_t *s, size_t n)
{
    size_t i = 0;
#if defined(__SSE2__)
    while (n - i >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(s + i));
        _mm_storeu_si128((__m128i *)(void *)p, x);
        uint32_t hits = sluice_lake_json_hit16(x);
        if (hits == 0) {
            p += 16;
            i += 16;
            continue;
        }
        uint32_t clean = (uint32_t)__builtin_ctz(hits);
        p = escape_byte(p + clean, s[i + clean]);
        i += clean + 1u;
    }
#endif
    while (i < n) {
        if (n - i >= 8 && sluice_lake_json_copy_clean(p, s + i, 8)) {
            p += 8;
            i += 8;
            continue;
        }
        p = escape_byte(p, s[i++]);
    }
    return p;
}

uint8_t *sluice_lake_json_text(struct sluice_lake_out *out, uint8_t *p, const uint8_t *s, size_t n)
{
    while (n > 0) {
        p = sluice_lake_out_room(out, p, n < PIECE_MIN ? n * 6 : (size_t)PIECE_MIN * 6);
        size_t take = (size_t)(out->end - p) / 6;
        if (take > n) {
            take = n;
        }
        p = sluice_lake_json_escape(p, s, take);
        s += take;
        n -= take;
    }
    return p;
}

int32_t sluice_lake_csv_special(const uint8_t *s, size_t n)
{
    size_t i = 0;
#if defined(__SSE2__)
    for (; i + 16 <= n; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(s + i));
        __m128i a = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(',')),
                                 _mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
        __m128i b = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\n')),
                                 _mm_cmpeq_epi8(x, _mm_set1_epi8('\r')));
        if (_mm_movemask_epi8(_mm_or_si128(a, b)) != 0) {
            return 1;
        }
    }
#endif
    for (; i < n; i++) {
        if (s[i] == ',' || s[i] == '"' || s[i] == '\n' || s[i] == '\r') {
            return 1;
        }
    }
    return 0;
}

uint8_t *sluice_lake_csv_quoted(struct sluice_lake_out *out, uint8_t *p, const uint8_t *s, size_t n)
{
    p = sluice_lake_out_room(out, p, 1);
    *p++ = '"';
    while (n > 0) {
        const uint8_t *quote = memchr(s, '"', n);
        size_t take = quote == NULL ? n : (size_t)(quote - s) + 1;
        p = sluice_lake_out_bytes(out, p, s, take);
        if (quote != NULL) {
            p = sluice_lake_out_room(out, p, 1);
            *p++ = '"';
        }
        s += take;
        n -= take;
    }
    p = sluice_lake_out_room(out, p, 1);
    *p++ = '"';
    return p;
}

static uint8_t *copy_without_breaks(uint8_t *p, const uint8_t *s, size_t n)
{
    size_t i = 0;
#if defined(__SSE2__)
    for (; i + 16 <= n; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(s + i));
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\n')),
                                   _mm_cmpeq_epi8(x, _mm_set1_epi8('\r')));
        x = _mm_or_si128(_mm_andnot_si128(hit, x), _mm_and_si128(hit, _mm_set1_epi8(' ')));
        _mm_storeu_si128((__m128i *)(void *)(p + i), x);
    }
#endif
    for (; i < n; i++) {
        p[i] = s[i] == '\n' || s[i] == '\r' ? (uint8_t)' ' : s[i];
    }
    return p + n;
}

uint8_t *sluice_lake_json_verbatim(struct sluice_lake_out *out, uint8_t *p, const uint8_t *s,
                                   size_t n)
{
    while (n > 0) {
        p = sluice_lake_out_room(out, p, n < PIECE_MIN ? n : PIECE_MIN);
        size_t take = (size_t)(out->end - p);
        if (take > n) {
            take = n;
        }
        p = copy_without_breaks(p, s, take);
        s += take;
        n -= take;
    }
    return p;
}

uint8_t *sluice_lake_put_hex(struct sluice_lake_out *out, uint8_t *p, const uint8_t *s, size_t n)
{
    while (n > 0) {
        p = sluice_lake_out_room(out, p, n < PIECE_MIN ? n * 2 : (size_t)PIECE_MIN * 2);
        size_t take = (size_t)(out->end - p) / 2;
        if (take > n) {
            take = n;
        }
        for (size_t i = 0; i < take; i++) {
            *p++ = (uint8_t)hex_digits[s[i] >> 4];
            *p++ = (uint8_t)hex_digits[s[i] & 15];
        }
        s += take;
        n -= take;
    }
    return p;
}

uint8_t *sluice_lake_put_base64(struct sluice_lake_out *out, uint8_t *p, const uint8_t *s, size_t n)
{
    while (n > 0) {
        size_t take = n < BASE64_PIECE ? n : BASE64_PIECE;
        p = sluice_lake_out_room(out, p, 4 * ((take + 2) / 3) + 1);
        p += sluice_base64_encode(s, take, (char *)p);
        s += take;
        n -= take;
    }
    return p;
}
