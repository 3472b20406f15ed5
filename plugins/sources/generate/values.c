/* Column types of the option `columns`, and their values. */
#include <stdio.h>
#include <stdlib.h>

#include "generate.h"

#define LENGTH_MAX (64 << 20)

struct type_word {
    const char *word;
    int32_t id;
    int32_t width;
    int32_t content;
    const char *native;
    const char *extension;
};

static const struct type_word type_words[] = {
    {"bool", SLUICE_TYPE_BOOL, 0, GEN_PLAIN, "boolean", NULL},
    {"int8", SLUICE_TYPE_INT8, 1, GEN_PLAIN, "tinyint", NULL},
    {"int16", SLUICE_TYPE_INT16, 2, GEN_PLAIN, "smallint", NULL},
    {"int32", SLUICE_TYPE_INT32, 4, GEN_PLAIN, "integer", NULL},
    {"int64", SLUICE_TYPE_INT64, 8, GEN_PLAIN, "bigint", NULL},
    {"uint8", SLUICE_TYPE_UINT8, 1, GEN_PLAIN, "uint8", NULL},
    {"uint16", SLUICE_TYPE_UINT16, 2, GEN_PLAIN, "uint16", NULL},
    {"uint32", SLUICE_TYPE_UINT32, 4, GEN_PLAIN, "oid", NULL},
    {"uint64", SLUICE_TYPE_UINT64, 8, GEN_PLAIN, "uint64", NULL},
    {"float32", SLUICE_TYPE_FLOAT32, 4, GEN_PLAIN, "real", NULL},
    {"float64", SLUICE_TYPE_FLOAT64, 8, GEN_PLAIN, "double precision", NULL},
    {"date", SLUICE_TYPE_DATE32, 4, GEN_PLAIN, "date", NULL},
    {"time", SLUICE_TYPE_TIME64_US, 8, GEN_PLAIN, "time without time zone", NULL},
    {"timestamp", SLUICE_TYPE_TIMESTAMP_US, 8, GEN_PLAIN, "timestamp without time zone", NULL},
    {"timestamptz", SLUICE_TYPE_TIMESTAMP_US_UTC, 8, GEN_PLAIN, "timestamp with time zone", NULL},
    {"interval", SLUICE_TYPE_INTERVAL, 16, GEN_PLAIN, "interval", NULL},
    {"uuid", SLUICE_TYPE_FIXED_BINARY, 16, GEN_PLAIN, "uuid", "arrow.uuid"},
    {"json", SLUICE_TYPE_UTF8, 0, GEN_JSON, "jsonb", "arrow.json"},
    {"odd_text", SLUICE_TYPE_UTF8, 0, GEN_ODD_TEXT, "text", NULL},
    {"utf8", SLUICE_TYPE_UTF8, 0, GEN_TEXT, "text", NULL},
    {"binary", SLUICE_TYPE_BINARY, 0, GEN_BYTES, "bytea", NULL},
};

/* Strings that encoders get wrong. */
static const char *const odd_texts[] = {
    "",
    " ",
    "plain",
    "comma, semicolon; tab\t.",
    "\"quoted\" 'single' `back`",
    "line\nbreak\r\nand \x01\x1f controls \x7f",
    "back\\slash \\n \\u0041",
    "gr\303\274\303\237e, \xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2, \xe6\x97\xa5\xe6\x9c\xac",
    "\xf0\x9f\x98\x80 \xf0\x9d\x84\x9e",
    "e\xcc\x81 \xe2\x80\xa8 \xe2\x80\xa9 \xef\xbb\xbf",
    "</script><!-- & -->",
    "NULL",
    "\\N",
    "{\"a\": [1, 2]}",
    "=1+1",
    "0123456789012345678901234567890123456789012345678901234567890123456789",
};
#define ODD_TEXT_COUNT (sizeof odd_texts / sizeof odd_texts[0])

/* splitmix64's finalizer. */
static inline uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t gen_base(int64_t seed, int64_t table, int64_t column)
{
    return mix(mix(mix((uint64_t)seed) + (uint64_t)table) + (uint64_t)column);
}

/* Reads "(a,b)" or ":a" style numbers behind a word. Returns how many were read, -1 if malformed. */
static int parse_arguments(const char *at, int64_t out[2])
{
    char end = '\0';
    if (*at == '\0') {
        return 0;
    }
    if (*at == '(') {
        end = ')';
    }
    else if (*at != ':') {
        return -1;
    }
    at++;
    for (int n = 0; n < 2; n++) {
        char *stop = NULL;
        if (*at < '0' || *at > '9') {
            return -1;
        }
        out[n] = strtoll(at, &stop, 10);
        at = stop;
        if (*at == end && (end == '\0' || at[1] == '\0')) {
            return n + 1;
        }
        if (*at != ',') {
            return -1;
        }
        at++;
    }
    return -1;
}

static sluice_status bad_type(const char *text, struct sluice_error *err)
{
    return sluice_error_set(
        err, SLUICE_E_INVALID, 0,
        "option columns: \"%.60s\" is no column type; known are bool, int8 to int64, uint8 to "
        "uint64, float32, float64, numeric(p,s), date, time, timestamp, timestamptz, interval, "
        "uuid, json, odd_text, utf8:n, binary:n",
        text);
}

sluice_status gen_column_parse(const char *text, struct gen_column *out, struct sluice_error *err)
{
    size_t n = strcspn(text, ":(");
    int64_t args[2] = {0, 0};
    int count = parse_arguments(text + n, args);
    memset(out, 0, sizeof *out);
    if (n == 7 && memcmp(text, "numeric", 7) == 0) {
        if (count < 1 || args[0] < 1 || args[0] > 76 || args[1] > args[0]) {
            return bad_type(text, err);
        }
        out->type.id = args[0] <= 38 ? SLUICE_TYPE_DECIMAL128 : SLUICE_TYPE_DECIMAL256;
        out->type.precision = (int32_t)args[0];
        out->type.scale = (int32_t)args[1];
        out->type.width = args[0] <= 38 ? 16 : 32;
        (void)snprintf(out->native, sizeof out->native, "numeric(%d,%d)", out->type.precision,
                       out->type.scale);
        return SLUICE_OK;
    }
    for (size_t i = 0; i < sizeof type_words / sizeof type_words[0]; i++) {
        const struct type_word *w = &type_words[i];
        if (strlen(w->word) != n || memcmp(w->word, text, n) != 0) {
            continue;
        }
        int sized = w->content == GEN_TEXT || w->content == GEN_BYTES;
        if (count < 0 || count > sized || (count == 1 && args[0] > LENGTH_MAX)) {
            return bad_type(text, err);
        }
        out->type.id = w->id;
        out->type.width = w->width;
        out->content = w->content;
        out->length = count == 1 ? (int32_t)args[0] : 16;
        out->extension = w->extension;
        (void)snprintf(out->native, sizeof out->native, "%s", w->native);
        return SLUICE_OK;
    }
    return bad_type(text, err);
}

int64_t gen_column_width(const struct gen_column *col)
{
    switch (col->content) {
    case GEN_TEXT:
    case GEN_BYTES:
        return 4 + col->length / 2;
    case GEN_ODD_TEXT:
    case GEN_JSON:
        return 32;
    default:
        return col->type.width > 0 ? col->type.width : 1;
    }
}

/* ------------------------------------------------------------ fixed width -------------------- */

/* Stores the low bytes of each hash. */
#define FILL_INT(name, ctype)                                                     \
    static void fill_##name(uint64_t base, int64_t first, int64_t n, uint8_t *to) \
    {                                                                             \
        for (int64_t i = 0; i < n; i++) {                                         \
            ctype v = (ctype)mix(base + (uint64_t)(first + i));                   \
            memcpy(to + (uint64_t)i * sizeof v, &v, sizeof v);                    \
        }                                                                         \
    }
FILL_INT(8, uint8_t)
FILL_INT(16, uint16_t)
FILL_INT(32, uint32_t)
FILL_INT(64, uint64_t)

static void fill_float32(uint64_t base, int64_t first, int64_t n, uint8_t *to)
{
    for (int64_t i = 0; i < n; i++) {
        int16_t h = (int16_t)mix(base + (uint64_t)(first + i));
        float v = (float)h / 16.0f;
        memcpy(to + i * 4, &v, 4);
    }
}

static void fill_float64(uint64_t base, int64_t first, int64_t n, uint8_t *to)
{
    for (int64_t i = 0; i < n; i++) {
        int32_t h = (int32_t)mix(base + (uint64_t)(first + i));
        double v = (double)h / 1024.0;
        memcpy(to + i * 8, &v, 8);
    }
}

/* h % limit as 32 or 64 bits. */
static void fill_modulo(uint64_t base, int64_t first, int64_t n, uint64_t limit, int32_t width,
                        uint8_t *to)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t v = mix(base + (uint64_t)(first + i)) % limit;
        memcpy(to + i * width, &v, (size_t)width);
    }
}

static void fill_decimal(const struct gen_column *col, uint64_t base, int64_t first, int64_t n,
                         uint8_t *to)
{
    int64_t limit = 1;
    for (int32_t i = 0; i < col->type.precision && i < 18; i++) {
        limit *= 10;
    }
    int32_t width = col->type.width;
    for (int64_t i = 0; i < n; i++) {
        int64_t v = (int64_t)mix(base + (uint64_t)(first + i)) % limit;
        memset(to + i * width, v < 0 ? 0xff : 0, (size_t)width);
        memcpy(to + i * width, &v, 8);
    }
}

static void fill_interval(uint64_t base, int64_t first, int64_t n, uint8_t *to)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t h = mix(base + (uint64_t)(first + i));
        int32_t months = (int32_t)(h % 120u);
        int32_t days = (int32_t)((h >> 8) % 31u);
        int64_t ns = (int64_t)((h >> 16) % 86400000000u) * 1000;
        memcpy(to + i * 16, &months, 4);
        memcpy(to + i * 16 + 4, &days, 4);
        memcpy(to + i * 16 + 8, &ns, 8);
    }
}

static void fill_uuid(uint64_t base, int64_t first, int64_t n, uint8_t *to)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t h = mix(base + (uint64_t)(first + i));
        uint64_t l = mix(h);
        memcpy(to + i * 16, &h, 8);
        memcpy(to + i * 16 + 8, &l, 8);
    }
}

static void fill_row(int64_t first, int64_t n, uint8_t *to)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t v = first + i + 1;
        memcpy(to + i * 8, &v, 8);
    }
}

static void fill_fixed(const struct gen_column *col, uint64_t base, int64_t first, int64_t n,
                       uint8_t *to)
{
    switch (col->type.id) {
    case SLUICE_TYPE_FLOAT32:
        fill_float32(base, first, n, to);
        break;
    case SLUICE_TYPE_FLOAT64:
        fill_float64(base, first, n, to);
        break;
    case SLUICE_TYPE_DECIMAL128:
    case SLUICE_TYPE_DECIMAL256:
        fill_decimal(col, base, first, n, to);
        break;
    case SLUICE_TYPE_DATE32:
        fill_modulo(base, first, n, 36525, 4, to); /* 1970 to 2069 */
        break;
    case SLUICE_TYPE_TIME64_US:
        fill_modulo(base, first, n, 86400000000u, 8, to);
        break;
    case SLUICE_TYPE_TIMESTAMP_US:
    case SLUICE_TYPE_TIMESTAMP_US_UTC:
        fill_modulo(base, first, n, 3155760000000000u, 8, to); /* 1970 to 2069 */
        break;
    case SLUICE_TYPE_INTERVAL:
        fill_interval(base, first, n, to);
        break;
    case SLUICE_TYPE_FIXED_BINARY:
        fill_uuid(base, first, n, to);
        break;
    default:
        switch (col->type.width) {
        case 1:
            fill_8(base, first, n, to);
            break;
        case 2:
            fill_16(base, first, n, to);
            break;
        case 4:
            fill_32(base, first, n, to);
            break;
        default:
            fill_64(base, first, n, to);
            break;
        }
        break;
    }
}

/* ------------------------------------------------------------ variable width ----------------- */

/* Word k of the content of a value is mix(h + 1 + k), little-endian; text keeps the low four bits of
 * each byte as letters a to p. */
static sluice_status fill_variable(const struct gen_column *col, uint64_t base, int64_t first,
                                   int64_t n, struct sluice_column *to, struct sluice_error *err)
{
    int text = col->content == GEN_TEXT;
    for (int64_t i = 0; i < n; i++) {
        uint64_t h = mix(base + (uint64_t)(first + i));
        uint64_t size = h % ((uint64_t)col->length + 1u);
        uint8_t *p = sluice_column_room(to, size + 8, err); /* whole words are written */
        if (p == NULL) {
            return SLUICE_E_NOMEM;
        }
        for (uint64_t k = 0; k * 8 < size; k++) {
            uint64_t w = mix(h + 1u + k);
            if (text) {
                w = (w & 0x0f0f0f0f0f0f0f0fu) + 0x6161616161616161u;
            }
            memcpy(p + k * 8, &w, 8);
        }
        sluice_column_put_room(to, size);
    }
    return SLUICE_OK;
}

static sluice_status fill_json(uint64_t base, int64_t first, int64_t n, struct sluice_column *to,
                               struct sluice_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t h = mix(base + (uint64_t)(first + i));
        uint8_t *p = sluice_column_room(to, 64, err);
        if (p == NULL) {
            return SLUICE_E_NOMEM;
        }
        int size = snprintf((char *)p, 64, "{\"k\": %u, \"s\": \"%08x\", \"n\": null}",
                            (unsigned)(h % 1000u), (unsigned)(h >> 32));
        sluice_column_put_room(to, (uint64_t)size);
    }
    return SLUICE_OK;
}

static sluice_status fill_odd(uint64_t base, int64_t first, int64_t n, struct sluice_column *to,
                              struct sluice_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        const char *s = odd_texts[mix(base + (uint64_t)(first + i)) % ODD_TEXT_COUNT];
        SLUICE_TRY(sluice_column_put_bytes(to, s, strlen(s), err));
    }
    return SLUICE_OK;
}

sluice_status gen_column_fill(const struct gen_column *col, uint64_t base, int64_t null_percent,
                              int64_t first, int64_t n, struct sluice_column *to,
                              struct sluice_error *err)
{
    int64_t start = to->length;
    sluice_status st = SLUICE_OK;
    switch (col->content) {
    case GEN_ROW:
        fill_row(first, n, sluice_column_put_many(to, n));
        return SLUICE_OK;
    case GEN_TEXT:
    case GEN_BYTES:
        st = fill_variable(col, base, first, n, to, err);
        break;
    case GEN_JSON:
        st = fill_json(base, first, n, to, err);
        break;
    case GEN_ODD_TEXT:
        st = fill_odd(base, first, n, to, err);
        break;
    default:
        if (col->type.id == SLUICE_TYPE_BOOL) {
            for (int64_t i = 0; i < n; i++) {
                sluice_column_put_bool(to, (int32_t)(mix(base + (uint64_t)(first + i)) & 1u));
            }
        }
        else {
            fill_fixed(col, base, first, n, sluice_column_put_many(to, n));
        }
        break;
    }
    for (int64_t i = 0; st >= 0 && null_percent > 0 && i < n; i++) {
        uint64_t h = mix(mix(base + (uint64_t)(first + i)));
        if (h % 100u < (uint64_t)null_percent) {
            st = sluice_column_make_null(to, start + i, err);
        }
    }
    return st;
}
