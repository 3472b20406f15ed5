/* Arrow values to PostgreSQL's binary values. */
#include "pg/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg/encode_internal.h"
#include "pg/text.h"

__extension__ typedef unsigned __int128 u128;

#define EPOCH_DAYS 10957           /* 2000-01-01 since 1970-01-01 */
#define EPOCH_US 946684800000000ll /* the same in microseconds */

/* ---- buffers ---- */

void sluice_pg_buffer_free(struct sluice_pg_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct sluice_pg_buffer){0};
}

uint8_t *sluice_pg_buffer_room(struct sluice_pg_buffer *buffer, size_t size)
{
    if (buffer->cap - buffer->size < size) {
        size_t cap = buffer->cap < 4096 ? 4096 : buffer->cap * 2;
        while (cap - buffer->size < size) {
            cap *= 2;
        }
        uint8_t *grown = realloc(buffer->data, cap);
        if (grown == NULL) {
            buffer->failed = 1;
            return NULL;
        }
        buffer->data = grown;
        buffer->cap = cap;
    }
    return buffer->data + buffer->size;
}

sluice_status sluice_pg_encode_nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for rows");
}

sluice_status sluice_pg_encode_refuse(const struct sluice_pg_encoder *e, const char *sqlstate,
                                      const char *why, struct sluice_error *err)
{
    sluice_status status = sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_ROW_LEVEL,
                                            "column %.80s: %s", e->name, why);
    if (err != NULL) {
        (void)snprintf(err->sqlstate, sizeof err->sqlstate, "%s", sqlstate);
    }
    return status;
}

/* ---- fixed widths ---- */

static inline void put16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, 2);
}

static inline void put32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}

static inline void put64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

static inline int32_t date_of(const struct sluice_pg_encoder *e, int64_t row)
{
    int32_t v = sluice_view_i32(&e->view, row);
    int endless = e->special && (v == INT32_MAX || v == INT32_MIN);
    return endless ? v : v - EPOCH_DAYS;
}

static inline int64_t timestamp_of(const struct sluice_pg_encoder *e, int64_t row)
{
    int64_t v = sluice_view_i64(&e->view, row);
    int endless = e->special && (v == INT64_MAX || v == INT64_MIN);
    return endless ? v : v - EPOCH_US;
}

/* Fixed-width values that need no check: written at p. */
static inline void put_fixed(const struct sluice_pg_encoder *e, int64_t row, uint8_t *p)
{
    switch (e->kind) {
    case KIND_BOOL:
        *p = (uint8_t)sluice_view_bool(&e->view, row);
        break;
    case KIND_INT16:
        put16(p, sluice_view_u16(&e->view, row));
        break;
    case KIND_INT32:
        put32(p, sluice_view_u32(&e->view, row));
        break;
    case KIND_INT64:
    case KIND_TIME:
        put64(p, sluice_view_u64(&e->view, row));
        break;
    case KIND_DATE:
        put32(p, (uint32_t)date_of(e, row));
        break;
    case KIND_TIMESTAMP:
        put64(p, (uint64_t)timestamp_of(e, row));
        break;
    default: /* KIND_UUID */
        memcpy(p, sluice_view_fixed(&e->view, row), 16);
        break;
    }
}

static sluice_status encode_fixed(const struct sluice_pg_encoder *e, int64_t row,
                                  struct sluice_pg_buffer *out, struct sluice_error *err)
{
    uint8_t *p = sluice_pg_buffer_room(out, 16);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    put_fixed(e, row, p);
    out->size += (size_t)e->width;
    return SLUICE_OK;
}

/* ---- integers of other widths ---- */

int sluice_pg_encode_int(const struct sluice_view *v, int64_t row, int64_t *out)
{
    switch (v->type.id) {
    case SLUICE_TYPE_BOOL:
        *out = sluice_view_bool(v, row);
        return 1;
    case SLUICE_TYPE_INT8:
        *out = sluice_view_i8(v, row);
        return 1;
    case SLUICE_TYPE_INT16:
        *out = sluice_view_i16(v, row);
        return 1;
    case SLUICE_TYPE_INT32:
        *out = sluice_view_i32(v, row);
        return 1;
    case SLUICE_TYPE_UINT8:
        *out = sluice_view_u8(v, row);
        return 1;
    case SLUICE_TYPE_UINT16:
        *out = sluice_view_u16(v, row);
        return 1;
    case SLUICE_TYPE_UINT32:
        *out = sluice_view_u32(v, row);
        return 1;
    case SLUICE_TYPE_UINT64:
        *out = (int64_t)sluice_view_u64(v, row);
        return *out >= 0;
    default:
        *out = sluice_view_i64(v, row);
        return 1;
    }
}

static sluice_status encode_checked_int(const struct sluice_pg_encoder *e, int64_t row,
                                        struct sluice_pg_buffer *out, struct sluice_error *err)
{
    int64_t v = 0;
    int fits = sluice_pg_encode_int(&e->view, row, &v);
    uint8_t *p = sluice_pg_buffer_room(out, 8);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    if (e->width == 2) {
        fits = fits && v >= INT16_MIN && v <= INT16_MAX;
        put16(p, (uint16_t)v);
    }
    else if (e->width == 4) {
        fits = fits && v >= INT32_MIN && v <= INT32_MAX;
        put32(p, (uint32_t)v);
    }
    else {
        put64(p, (uint64_t)v);
    }
    if (!fits) {
        return sluice_pg_encode_refuse(e, "22003", "the number is out of the target type's range",
                                       err);
    }
    out->size += (size_t)e->width;
    return SLUICE_OK;
}

static sluice_status encode_float(const struct sluice_pg_encoder *e, int64_t row,
                                  struct sluice_pg_buffer *out, struct sluice_error *err)
{
    double v = e->view.type.id == SLUICE_TYPE_FLOAT32 ? (double)sluice_view_f32(&e->view, row)
                                                      : sluice_view_f64(&e->view, row);
    uint8_t *p = sluice_pg_buffer_room(out, 8);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    if (e->width == 8) {
        uint64_t bits;
        memcpy(&bits, &v, 8);
        put64(p, bits);
    }
    else {
        float f = (float)v;
        uint32_t bits;
        memcpy(&bits, &f, 4);
        if (v - v == 0.0 && !(f - f == 0.0f)) {
            return sluice_pg_encode_refuse(e, "22003", "the number is out of range for real", err);
        }
        put32(p, bits);
    }
    out->size += (size_t)e->width;
    return SLUICE_OK;
}

/* ---- numeric ---- */

enum { NUMERIC_DIGITS = 24, NUMERIC_NEGATIVE = 0x4000, NUMERIC_NAN = 0xC000 };

/* Divides the 256-bit value by a small number in place; answers the remainder. */
static uint32_t divide(uint64_t v[4], uint32_t by)
{
    u128 rest = 0;
    for (int i = 3; i >= 0; i--) {
        u128 part = (rest << 64) | v[i];
        v[i] = (uint64_t)(part / by);
        rest = part % by;
    }
    return (uint32_t)rest;
}

static const uint32_t pow10[4] = {1, 10, 100, 1000};

/* Base-10000 digits of value / 10^scale, least significant first; *fraction of them are behind the
 * point. */
static int numeric_digits(uint64_t v[4], int32_t scale, uint16_t digits[NUMERIC_DIGITS],
                          int *fraction)
{
    int n = 0;
    int rest = scale % 4;
    *fraction = (scale + 3) / 4;
    if (rest > 0) {
        uint32_t low = divide(v, pow10[rest]);
        digits[n++] = (uint16_t)(low * pow10[4 - rest]);
    }
    while ((v[1] | v[2] | v[3]) != 0 && n < NUMERIC_DIGITS) {
        digits[n++] = (uint16_t)divide(v, 10000);
    }
    for (uint64_t u = v[0]; u > 0 && n < NUMERIC_DIGITS; u /= 10000) {
        digits[n++] = (uint16_t)(u % 10000);
    }
    return n;
}

/* value / 10^scale as numeric; the sign apart. */
static sluice_status put_numeric(uint64_t v[4], int negative, int32_t scale,
                                 struct sluice_pg_buffer *out, struct sluice_error *err)
{
    uint16_t digits[NUMERIC_DIGITS];
    int fraction = 0;
    uint8_t *p = sluice_pg_buffer_room(out, 8 + 2 * NUMERIC_DIGITS);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    int n = numeric_digits(v, scale, digits, &fraction);
    int low = 0;
    while (n > 0 && digits[n - 1] == 0) {
        n--;
    }
    while (low < n && digits[low] == 0) {
        low++;
    }
    int count = n - low;
    put16(p, (uint16_t)count);
    put16(p + 2, count > 0 ? (uint16_t)(n - fraction - 1) : 0);
    put16(p + 4, negative && count > 0 ? NUMERIC_NEGATIVE : 0);
    put16(p + 6, (uint16_t)scale);
    for (int i = 0; i < count; i++) {
        put16(p + 8 + 2 * i, digits[n - 1 - i]);
    }
    out->size += 8 + 2 * (size_t)count;
    return SLUICE_OK;
}

/* The same of what fits 64 bits, which nearly all do; answers the bytes written at p. */
static size_t put_numeric64(uint64_t u, int negative, int32_t scale, uint8_t *p)
{
    uint16_t digits[8];
    int n = 0;
    const int rest = scale % 4;
    if (rest > 0 && u <= UINT64_MAX / 1000) {
        u *= pow10[4 - rest]; /* whole digits, so that only constants divide */
    }
    else if (rest > 0) {
        digits[n++] = (uint16_t)(u % pow10[rest] * pow10[4 - rest]);
        u /= pow10[rest];
    }
    for (; u > 0; u /= 10000) {
        digits[n++] = (uint16_t)(u % 10000);
    }
    int low = 0;
    while (low < n && digits[low] == 0) {
        low++;
    }
    const int count = n - low;
    put16(p, (uint16_t)count);
    const int weight = count > 0 ? n - (scale + 3) / 4 - 1 : 0;
    put16(p + 2, (uint16_t)weight);
    put16(p + 4, negative && count > 0 ? NUMERIC_NEGATIVE : 0);
    put16(p + 6, (uint16_t)scale);
    for (int i = 0; i < count; i++) {
        put16(p + 8 + 2 * i, digits[n - 1 - i]);
    }
    return 8 + 2 * (size_t)count;
}

static sluice_status put_nan(struct sluice_pg_buffer *out, struct sluice_error *err)
{
    uint8_t *p = sluice_pg_buffer_room(out, 8);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    memset(p, 0, 8);
    put16(p + 4, NUMERIC_NAN);
    out->size += 8;
    return SLUICE_OK;
}

static sluice_status encode_decimal(const struct sluice_pg_encoder *e, int64_t row,
                                    struct sluice_pg_buffer *out, struct sluice_error *err)
{
    uint64_t v[4] = {0};
    const int words = e->view.type.width / 8;
    memcpy(v, sluice_view_fixed(&e->view, row), (size_t)e->view.type.width);
    int negative = (v[words - 1] >> 63) != 0;
    if (negative) {
        uint64_t others = 0;
        for (int i = 0; i < words - 1; i++) {
            others |= v[i];
        }
        if (e->special && v[words - 1] == 1ull << 63 && others == 0) {
            return put_nan(out, err);
        }
        u128 carry = 1;
        for (int i = 0; i < words; i++) {
            carry += ~v[i];
            v[i] = (uint64_t)carry;
            carry >>= 64;
        }
    }
    return put_numeric(v, negative, e->scale, out, err);
}

static sluice_status encode_int_numeric(const struct sluice_pg_encoder *e, int64_t row,
                                        struct sluice_pg_buffer *out, struct sluice_error *err)
{
    int64_t i = 0;
    uint64_t v[4] = {0};
    int negative = 0;
    if (sluice_pg_encode_int(&e->view, row, &i)) {
        negative = i < 0;
        v[0] = negative ? 0u - (uint64_t)i : (uint64_t)i;
    }
    else {
        v[0] = (uint64_t)i; /* unsigned, beyond int64 */
    }
    return put_numeric(v, negative, 0, out, err);
}

/* ---- variable widths ---- */

static inline struct sluice_bytes bytes_of(const struct sluice_view *v, int64_t row)
{
    if (v->large_offsets != NULL) {
        struct sluice_bytes b = {v->values + v->large_offsets[row],
                                 (uint64_t)(v->large_offsets[row + 1] - v->large_offsets[row])};
        return b;
    }
    if (v->type.id == SLUICE_TYPE_FIXED_BINARY) {
        struct sluice_bytes b = {sluice_view_fixed(v, row), (uint64_t)v->type.width};
        return b;
    }
    return sluice_view_bytes(v, row);
}

struct sluice_bytes sluice_pg_encode_bytes(const struct sluice_view *v, int64_t row)
{
    return bytes_of(v, row);
}

static sluice_status add_bytes(struct sluice_bytes b, struct sluice_pg_buffer *out,
                               struct sluice_error *err)
{
    uint8_t *p = sluice_pg_buffer_room(out, b.size + 1);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    if (b.size > 0) {
        memcpy(p, b.data, b.size);
    }
    out->size += b.size;
    return SLUICE_OK;
}

static sluice_status refuse_nul(const struct sluice_pg_encoder *e, struct sluice_error *err)
{
    return sluice_pg_encode_refuse(e, "22021", "a text has a NUL, which PostgreSQL cannot store",
                                   err);
}

static sluice_status encode_text(const struct sluice_pg_encoder *e, int64_t row,
                                 struct sluice_pg_buffer *out, struct sluice_error *err)
{
    struct sluice_bytes b = bytes_of(&e->view, row);
    if (!e->clean && b.size > 0 && memchr(b.data, 0, b.size) != NULL) {
        return refuse_nul(e, err);
    }
    return add_bytes(b, out, err);
}

static int is_text(int32_t id)
{
    return id == SLUICE_TYPE_UTF8 || id == SLUICE_TYPE_LARGE_UTF8;
}

void sluice_pg_encoder_set_view(struct sluice_pg_encoder *e, const struct sluice_view *view)
{
    e->view = *view;
    e->clean = 0;
    if (view->length > 0 && is_text(view->type.id) && view->offsets != NULL) {
        const int32_t from = view->offsets[0];
        const int32_t size = view->offsets[view->length] - from;
        e->clean = size <= 0 || memchr(view->values + from, 0, (size_t)size) == NULL;
    }
}

static sluice_status encode_jsonb(const struct sluice_pg_encoder *e, int64_t row,
                                  struct sluice_pg_buffer *out, struct sluice_error *err)
{
    uint8_t *p = sluice_pg_buffer_room(out, 1);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    *p = 1; /* the version of jsonb's binary form */
    out->size++;
    return encode_text(e, row, out, err);
}

static sluice_status encode_binary(const struct sluice_pg_encoder *e, int64_t row,
                                   struct sluice_pg_buffer *out, struct sluice_error *err)
{
    return add_bytes(bytes_of(&e->view, row), out, err);
}

static sluice_status encode_oid(const struct sluice_pg_encoder *e, int64_t row,
                                struct sluice_pg_buffer *out, struct sluice_error *err)
{
    struct sluice_bytes b = bytes_of(&e->view, row);
    const uint8_t *text = b.data;
    uint64_t v = 0;
    int right = b.size > 0 && b.size <= 10;
    for (uint64_t i = 0; right && i < b.size; i++) {
        right = text[i] >= '0' && text[i] <= '9';
        v = v * 10 + (uint64_t)(text[i] - '0');
    }
    if (!right || v > UINT32_MAX) {
        return sluice_pg_encode_refuse(e, "22003", "the text is no oid", err);
    }
    uint8_t *p = sluice_pg_buffer_room(out, 4);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    put32(p, (uint32_t)v);
    out->size += 4;
    return SLUICE_OK;
}

static sluice_status encode_interval(const struct sluice_pg_encoder *e, int64_t row,
                                     struct sluice_pg_buffer *out, struct sluice_error *err)
{
    int32_t part[2]; /* months, days */
    int64_t ns = 0;
    const uint8_t *from = sluice_view_fixed(&e->view, row);
    memcpy(part, from, 8);
    memcpy(&ns, from + 8, 8);
    if (ns % 1000 != 0) {
        return sluice_pg_encode_refuse(e, "22008", "an interval is finer than a microsecond", err);
    }
    uint8_t *p = sluice_pg_buffer_room(out, 16);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    put64(p, (uint64_t)(ns / 1000));
    put32(p + 8, (uint32_t)part[1]);
    put32(p + 12, (uint32_t)part[0]);
    out->size += 16;
    return SLUICE_OK;
}

/* ---- choosing ---- */

enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_JSON = 114,
    OID_XML = 142,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_DATE = 1082,
    OID_TIME = 1083,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_INTERVAL = 1186,
    OID_NUMERIC = 1700,
    OID_UUID = 2950,
    OID_JSONB = 3802
};

static void choose(struct sluice_pg_encoder *e, sluice_pg_encode_fn encode, int32_t width,
                   int32_t kind)
{
    e->encode = encode;
    e->width = width;
    e->kind = kind;
    e->binary = 1;
}

static int is_integer(int32_t id)
{
    return id >= SLUICE_TYPE_INT8 && id <= SLUICE_TYPE_UINT64;
}

static int choose_number(struct sluice_pg_encoder *e, const struct sluice_type *t, uint32_t oid)
{
    int32_t width = oid == OID_INT2 ? 2 : oid == OID_INT4 ? 4 : oid == OID_INT8 ? 8 : 0;
    int decimal = t->id == SLUICE_TYPE_DECIMAL128 || t->id == SLUICE_TYPE_DECIMAL256;
    if (width > 0 && is_integer(t->id)) {
        int same = (t->id == SLUICE_TYPE_INT16 && width == 2) ||
                   (t->id == SLUICE_TYPE_INT32 && width == 4) ||
                   (t->id == SLUICE_TYPE_INT64 && width == 8);
        choose(e, same ? encode_fixed : encode_checked_int, width,
               !same        ? KIND_OTHER
               : width == 2 ? KIND_INT16
               : width == 4 ? KIND_INT32
                            : KIND_INT64);
        return 1;
    }
    if ((oid == OID_FLOAT4 || oid == OID_FLOAT8) &&
        (t->id == SLUICE_TYPE_FLOAT32 || t->id == SLUICE_TYPE_FLOAT64)) {
        int wide = oid == OID_FLOAT8;
        int same = wide == (t->id == SLUICE_TYPE_FLOAT64);
        choose(e, same ? encode_fixed : encode_float, wide ? 8 : 4,
               !same  ? KIND_OTHER
               : wide ? KIND_INT64
                      : KIND_INT32);
        return 1;
    }
    if (oid == OID_NUMERIC && decimal && t->scale >= 0) {
        choose(e, encode_decimal, 0, t->width == 16 ? KIND_DECIMAL : KIND_OTHER);
        return 1;
    }
    if (oid == OID_NUMERIC && is_integer(t->id)) {
        choose(e, encode_int_numeric, 0, KIND_OTHER);
        return 1;
    }
    return 0;
}

static int choose_time(struct sluice_pg_encoder *e, const struct sluice_type *t, uint32_t oid)
{
    if (oid == OID_DATE && t->id == SLUICE_TYPE_DATE32) {
        choose(e, encode_fixed, 4, KIND_DATE);
    }
    else if ((oid == OID_TIMESTAMP && t->id == SLUICE_TYPE_TIMESTAMP_US) ||
             (oid == OID_TIMESTAMPTZ && t->id == SLUICE_TYPE_TIMESTAMP_US_UTC)) {
        choose(e, encode_fixed, 8, KIND_TIMESTAMP);
    }
    else if (oid == OID_TIME && t->id == SLUICE_TYPE_TIME64_US) {
        choose(e, encode_fixed, 8, KIND_TIME);
    }
    else if (oid == OID_INTERVAL && t->id == SLUICE_TYPE_INTERVAL) {
        choose(e, encode_interval, 0, KIND_OTHER);
    }
    else {
        return 0;
    }
    return 1;
}

static int choose_bytes(struct sluice_pg_encoder *e, const struct sluice_type *t, uint32_t oid,
                        char kind)
{
    int binary = t->id == SLUICE_TYPE_BINARY || t->id == SLUICE_TYPE_LARGE_BINARY ||
                 t->id == SLUICE_TYPE_FIXED_BINARY;
    if (oid == OID_BOOL && t->id == SLUICE_TYPE_BOOL) {
        choose(e, encode_fixed, 1, KIND_BOOL);
    }
    else if (oid == OID_UUID && t->id == SLUICE_TYPE_FIXED_BINARY && t->width == 16) {
        choose(e, encode_fixed, 16, KIND_UUID);
    }
    else if (oid == OID_BYTEA && binary) {
        choose(e, encode_binary, 0, KIND_OTHER);
    }
    else if (is_text(t->id) && (oid == OID_TEXT || oid == OID_VARCHAR || oid == OID_BPCHAR ||
                                oid == OID_JSON || oid == OID_XML || kind == 'e')) {
        choose(e, encode_text, 0, KIND_TEXT);
    }
    else if (is_text(t->id) && oid == OID_JSONB) {
        choose(e, encode_jsonb, 0, KIND_OTHER);
    }
    else if (is_text(t->id) && oid == OID_OID) {
        choose(e, encode_oid, 4, KIND_OTHER);
    }
    else {
        return 0;
    }
    return 1;
}

sluice_status sluice_pg_encoder_make(const struct ArrowSchema *field, uint32_t oid, int32_t typmod,
                                     char kind, const char *name, struct sluice_pg_encoder *out,
                                     struct sluice_error *err)
{
    struct sluice_type type = {0};
    *out = (struct sluice_pg_encoder){.name = name, .oid = oid, .typmod = typmod};
    SLUICE_TRY(sluice_type_parse(field->format, &type, err));
    out->special = sluice_schema_metadata_is(field, "sluice:special", "1");
    out->scale = type.scale;
    /* Text that stands for a value that its type could not hold has no binary form here. */
    if (choose_number(out, &type, oid) || choose_time(out, &type, oid) ||
        choose_bytes(out, &type, oid, kind)) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_pg_encoder_make_text(field, name, out, err));
    out->oid = oid;
    out->typmod = typmod;
    return SLUICE_OK;
}

/* ---- rows ---- */

sluice_status sluice_pg_encode_field(const struct sluice_pg_encoder *e, int64_t row,
                                     struct sluice_pg_buffer *out, struct sluice_error *err)
{
    uint8_t *p = sluice_pg_buffer_room(out, 4);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    if (sluice_view_is_null(&e->view, row)) {
        put32(p, UINT32_MAX);
        out->size += 4;
        return SLUICE_OK;
    }
    size_t at = out->size;
    out->size += 4;
    sluice_status status = e->encode(e, row, out, err);
    size_t size = out->size - at - 4;
    if (status >= 0 && size > INT32_MAX) {
        status = sluice_pg_encode_refuse(e, "54000", "a value is larger than 2 GiB", err);
    }
    if (status < 0) {
        out->size = at;
        return status;
    }
    put32(out->data + at, (uint32_t)size);
    return SLUICE_OK;
}

/* The two kinds of varying width that most rows have; 0 = not such a value. Room for it is there, as for
 * the rest of the row (`most`) after it. */
static int put_varying(const struct sluice_pg_encoder *e, int64_t row, size_t most,
                       struct sluice_pg_buffer *out)
{
    uint8_t *p = out->data + out->size;
    if (e->kind == KIND_TEXT && e->clean) {
        const uint64_t size = (uint64_t)(e->view.offsets[row + 1] - e->view.offsets[row]);
        p = sluice_pg_buffer_room(out, 4 + size + most);
        if (p == NULL) {
            return 0;
        }
        put32(p, (uint32_t)size);
        memcpy(p + 4, e->view.values + e->view.offsets[row], size);
        out->size += 4 + size;
        return 1;
    }
    if (e->kind == KIND_DECIMAL) {
        int64_t v[2];
        memcpy(v, sluice_view_fixed(&e->view, row), sizeof v);
        if (v[1] != v[0] >> 63) {
            return 0;
        }
        const int negative = v[0] < 0;
        const size_t size = put_numeric64(negative ? 0u - (uint64_t)v[0] : (uint64_t)v[0], negative,
                                          e->scale, p + 4);
        put32(p, (uint32_t)size);
        out->size += 4 + size;
        return 1;
    }
    return 0;
}

/* One tuple; the room for all fixed parts is asked for once. */
static sluice_status encode_row(const struct sluice_pg_encoder *encoders, uint32_t count,
                                int64_t row, struct sluice_pg_buffer *out, struct sluice_error *err)
{
    const size_t most =
        2 + 32 * (size_t)count; /* of fixed-width fields, and of decimals in 64 bits */
    if (sluice_pg_buffer_room(out, most) == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    put16(out->data + out->size, (uint16_t)count);
    out->size += 2;
    for (uint32_t i = 0; i < count; i++) {
        const struct sluice_pg_encoder *e = &encoders[i];
        uint8_t *p = out->data + out->size;
        if (sluice_view_is_null(&e->view, row)) {
            put32(p, UINT32_MAX);
            out->size += 4;
        }
        else if (e->kind > KIND_TEXT) {
            put32(p, (uint32_t)e->width);
            put_fixed(e, row, p + 4);
            out->size += 4 + (size_t)e->width;
        }
        else if (!put_varying(e, row, most, out)) {
            SLUICE_TRY(sluice_pg_encode_field(e, row, out, err));
            /* What follows may be of fixed width again. */
            if (sluice_pg_buffer_room(out, most) == NULL) {
                return sluice_pg_encode_nomem(err);
            }
        }
    }
    return SLUICE_OK;
}

sluice_status sluice_pg_encode_rows(const struct sluice_pg_encoder *encoders, uint32_t count,
                                    int64_t *from, int64_t to, size_t limit,
                                    struct sluice_pg_buffer *out, struct sluice_error *err)
{
    while (*from < to && out->size < limit) {
        size_t at = out->size;
        sluice_status status = encode_row(encoders, count, *from, out, err);
        if (status < 0) {
            out->size = at;
            if (err != NULL) {
                err->row = *from;
            }
            return status;
        }
        (*from)++;
    }
    return SLUICE_OK;
}

void sluice_pg_copy_header(struct sluice_pg_buffer *out)
{
    static const uint8_t head[19] = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', 0xff, '\r', '\n', 0};
    uint8_t *p = sluice_pg_buffer_room(out, sizeof head);
    if (p != NULL) {
        memcpy(p, head, sizeof head);
        out->size += sizeof head;
    }
}

void sluice_pg_copy_trailer(struct sluice_pg_buffer *out)
{
    uint8_t *p = sluice_pg_buffer_room(out, 2);
    if (p != NULL) {
        put16(p, UINT16_MAX);
        out->size += 2;
    }
}
