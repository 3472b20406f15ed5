/*
 * Copying text while looking for the bytes that JSON or CSV must escape. Never reads beyond the
 * text. [any]
 */
#ifndef SLUICE_COMMON_LAKE_ESCAPE_H
#define SLUICE_COMMON_LAKE_ESCAPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lake/out.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* JSON string contents as PostgreSQL's escape_json writes them: \b \f \n \r \t \" \\, \u00xx for
 * other control characters, nothing else. Writes at most 6 * n bytes and touches 16 more. */
uint8_t *sluice_lake_json_escape(uint8_t *p, const uint8_t *s, size_t n);

/* The same for any length, through the chunk. */
uint8_t *sluice_lake_json_text(struct sluice_lake_out *out, uint8_t *p, const uint8_t *s, size_t n);

/* 1 if the text holds one of , " LF CR. */
int32_t sluice_lake_csv_special(const uint8_t *s, size_t n);

/* CSV quoted field, quotes included, of any length. */
uint8_t *sluice_lake_csv_quoted(struct sluice_lake_out *out, uint8_t *p, const uint8_t *s,
                                size_t n);

/* Copies any length, with LF and CR turned into spaces (JSON values). */
uint8_t *sluice_lake_json_verbatim(struct sluice_lake_out *out, uint8_t *p, const uint8_t *s,
                                   size_t n);

/* Hex or base64 of any length. */
uint8_t *sluice_lake_put_hex(struct sluice_lake_out *out, uint8_t *p, const uint8_t *s, size_t n);
uint8_t *sluice_lake_put_base64(struct sluice_lake_out *out, uint8_t *p, const uint8_t *s,
                                size_t n);

#define SLUICE_LAKE_ONES UINT64_C(0x0101010101010101)
#define SLUICE_LAKE_HIGHS UINT64_C(0x8080808080808080)

/* Non-zero if a byte of x is below 0x20, '"' or '\\' (exact as a yes or no; the position is not). */
static inline uint64_t sluice_lake_json_hit8(uint64_t x)
{
    uint64_t low = (x - SLUICE_LAKE_ONES * 0x20u) & ~x;
    uint64_t quote = x ^ (SLUICE_LAKE_ONES * 0x22u);
    uint64_t slash = x ^ (SLUICE_LAKE_ONES * 0x5cu);
    quote = (quote - SLUICE_LAKE_ONES) & ~quote;
    slash = (slash - SLUICE_LAKE_ONES) & ~slash;
    return (low | quote | slash) & SLUICE_LAKE_HIGHS;
}

#if defined(__SSE2__)
static inline uint32_t sluice_lake_json_hit16(__m128i x)
{
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
    __m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, slash)));
}
#endif

/* Non-zero if a byte of x is one of , " LF CR (exact as a yes or no). */
static inline uint64_t sluice_lake_csv_hit8(uint64_t x)
{
    uint64_t comma = x ^ (SLUICE_LAKE_ONES * 0x2cu);
    uint64_t quote = x ^ (SLUICE_LAKE_ONES * 0x22u);
    uint64_t lf = x ^ (SLUICE_LAKE_ONES * 0x0au);
    uint64_t cr = x ^ (SLUICE_LAKE_ONES * 0x0du);
    comma = (comma - SLUICE_LAKE_ONES) & ~comma;
    quote = (quote - SLUICE_LAKE_ONES) & ~quote;
    lf = (lf - SLUICE_LAKE_ONES) & ~lf;
    cr = (cr - SLUICE_LAKE_ONES) & ~cr;
    return (comma | quote | lf | cr) & SLUICE_LAKE_HIGHS;
}

#if defined(__SSE2__)
static inline uint32_t sluice_lake_csv_hit16(__m128i x)
{
    __m128i comma = _mm_cmpeq_epi8(x, _mm_set1_epi8(','));
    __m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
    __m128i lf = _mm_cmpeq_epi8(x, _mm_set1_epi8('\n'));
    __m128i cr = _mm_cmpeq_epi8(x, _mm_set1_epi8('\r'));
    return (uint32_t)_mm_movemask_epi8(
        _mm_or_si128(_mm_or_si128(comma, quote), _mm_or_si128(lf, cr)));
}
#define SLUICE_LAKE_COPY16_(hit16)                                             \
    for (; i + 16 <= n; i += 16) {                                             \
        __m128i x16 = _mm_loadu_si128((const __m128i *)(const void *)(s + i)); \
        _mm_storeu_si128((__m128i *)(void *)(p + i), x16);                     \
        hit |= hit16(x16);                                                     \
    }
#else
#define SLUICE_LAKE_COPY16_(hit16)
#endif

/* Short clean text without calls: copies n bytes and returns 1 when none of them needs an escape.
 * The two formats differ in the bytes they look for, so a macro makes both functions. */
#define SLUICE_LAKE_COPY_CLEAN_(name, hit8, hit16)                     \
    static inline int32_t name(uint8_t *p, const uint8_t *s, size_t n) \
    {                                                                  \
        uint64_t x = UINT64_C(0x6161616161616161);                     \
        if (n >= 8) {                                                  \
            uint64_t hit = 0;                                          \
            size_t i = 0;                                              \
            SLUICE_LAKE_COPY16_(hit16)                                 \
            for (; i + 8 <= n; i += 8) {                               \
                memcpy(&x, s + i, 8);                                  \
                memcpy(p + i, &x, 8);                                  \
                hit |= hit8(x);                                        \
            }                                                          \
            memcpy(&x, s + n - 8, 8);                                  \
            memcpy(p + n - 8, &x, 8);                                  \
            return (hit | hit8(x)) == 0;                               \
        }                                                              \
        if (n >= 4) {                                                  \
            uint32_t a;                                                \
            uint32_t b;                                                \
            memcpy(&a, s, 4);                                          \
            memcpy(&b, s + n - 4, 4);                                  \
            memcpy(p, &a, 4);                                          \
            memcpy(p + n - 4, &b, 4);                                  \
            x = (uint64_t)a << 32 | b;                                 \
        }                                                              \
        else {                                                         \
            for (size_t i = 0; i < n; i++) {                           \
                p[i] = s[i];                                           \
                x = x << 8 | s[i];                                     \
            }                                                          \
        }                                                              \
        return hit8(x) == 0;                                           \
    }
SLUICE_LAKE_COPY_CLEAN_(sluice_lake_json_copy_clean, sluice_lake_json_hit8, sluice_lake_json_hit16)
SLUICE_LAKE_COPY_CLEAN_(sluice_lake_csv_copy_clean, sluice_lake_csv_hit8, sluice_lake_csv_hit16)

#endif /* SLUICE_COMMON_LAKE_ESCAPE_H */
