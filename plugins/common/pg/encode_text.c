/* Arrow values to the text that PostgreSQL's input functions take, and to lines of a text COPY. */
#include <string.h>

#include "lake/decimals.h"
#include "lake/digits.h"
#include "lake/floats.h"
#include "lake/times.h"
#include "pg/encode_internal.h"
#include "pg/text.h"

/* More than any number, date or interval takes; decimals ask for their own. */
enum { SHORT_MAX = 128 };

static void put_uuid(uint8_t *p, const uint8_t *id)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }
        *p++ = (uint8_t)digits[id[i] >> 4];
        *p++ = (uint8_t)digits[id[i] & 15];
    }
}

static uint8_t *put_scalar(const struct sluice_pg_encoder *e, int64_t row, uint8_t *p)
{
    const struct sluice_view *v = &e->view;
    const uint32_t special = e->special ? SLUICE_LAKE_SPECIAL : 0u;
    int32_t parts[2];
    int64_t number = 0;
    switch (v->type.id) {
    case SLUICE_TYPE_BOOL:
        *p = sluice_view_bool(v, row) ? 't' : 'f';
        return p + 1;
    case SLUICE_TYPE_FLOAT32:
        return sluice_lake_put_f32(p, sluice_view_f32(v, row));
    case SLUICE_TYPE_FLOAT64:
        return sluice_lake_put_f64(p, sluice_view_f64(v, row));
    case SLUICE_TYPE_DATE32:
        return sluice_lake_put_date(p, sluice_view_i32(v, row), special);
    case SLUICE_TYPE_TIME64_US:
        return sluice_lake_put_time(p, sluice_view_i64(v, row));
    case SLUICE_TYPE_TIMESTAMP_US:
        return sluice_lake_put_timestamp(p, sluice_view_i64(v, row), special);
    case SLUICE_TYPE_TIMESTAMP_US_UTC:
        return sluice_lake_put_timestamp(p, sluice_view_i64(v, row), special | SLUICE_LAKE_UTC);
    case SLUICE_TYPE_INTERVAL:
        memcpy(parts, sluice_view_fixed(v, row), sizeof parts);
        memcpy(&number, (const uint8_t *)sluice_view_fixed(v, row) + 8, sizeof number);
        return sluice_lake_put_interval(p, parts[0], parts[1], number);
    default:
        return sluice_pg_encode_int(v, row, &number) ? sluice_lake_put_i64(p, number)
                                                     : sluice_lake_put_u64(p, (uint64_t)number);
    }
}

static sluice_status text_scalar(const struct sluice_pg_encoder *e, int64_t row,
                                 struct sluice_pg_buffer *out, struct sluice_error *err)
{
    uint8_t *p = sluice_pg_buffer_room(out, SHORT_MAX);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    out->size += (size_t)(put_scalar(e, row, p) - p);
    return SLUICE_OK;
}

static sluice_status text_decimal(const struct sluice_pg_encoder *e, int64_t row,
                                  struct sluice_pg_buffer *out, struct sluice_error *err)
{
    const uint8_t *value = sluice_view_fixed(&e->view, row);
    const int32_t width = e->view.type.width;
    uint8_t *p = sluice_pg_buffer_room(out, sluice_lake_decimal_max(e->scale) + 8u);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    if (e->special && sluice_lake_decimal_is_nan(value, width)) {
        memcpy(p, "NaN", 3);
        out->size += 3;
        return SLUICE_OK;
    }
    out->size += (size_t)(sluice_lake_put_decimal(p, value, width, e->scale) - p);
    return SLUICE_OK;
}

static sluice_status text_uuid(const struct sluice_pg_encoder *e, int64_t row,
                               struct sluice_pg_buffer *out, struct sluice_error *err)
{
    uint8_t *p = sluice_pg_buffer_room(out, 36);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    put_uuid(p, sluice_view_fixed(&e->view, row));
    out->size += 36;
    return SLUICE_OK;
}

static sluice_status text_bytea(const struct sluice_pg_encoder *e, int64_t row,
                                struct sluice_pg_buffer *out, struct sluice_error *err)
{
    static const char digits[] = "0123456789abcdef";
    struct sluice_bytes b = sluice_pg_encode_bytes(&e->view, row);
    const uint8_t *from = b.data;
    uint8_t *p = sluice_pg_buffer_room(out, 2 + 2 * b.size);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    *p++ = '\\';
    *p++ = 'x';
    for (uint64_t i = 0; i < b.size; i++) {
        *p++ = (uint8_t)digits[from[i] >> 4];
        *p++ = (uint8_t)digits[from[i] & 15];
    }
    out->size += 2 + 2 * b.size;
    return SLUICE_OK;
}

static sluice_status text_text(const struct sluice_pg_encoder *e, int64_t row,
                               struct sluice_pg_buffer *out, struct sluice_error *err)
{
    struct sluice_bytes b = sluice_pg_encode_bytes(&e->view, row);
    if (b.size > 0 && memchr(b.data, 0, b.size) != NULL) {
        return sluice_pg_encode_refuse(e, "22021",
                                       "a text has a NUL, which PostgreSQL cannot store", err);
    }
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

sluice_status sluice_pg_encoder_make_text(const struct ArrowSchema *field, const char *name,
                                          struct sluice_pg_encoder *out, struct sluice_error *err)
{
    struct sluice_type type = {0};
    *out = (struct sluice_pg_encoder){.name = name, .typmod = -1};
    SLUICE_TRY(sluice_type_parse(field->format, &type, err));
    out->special = sluice_schema_metadata_is(field, "sluice:special", "1");
    out->scale = type.scale;
    switch (type.id) {
    case SLUICE_TYPE_LIST:
    case SLUICE_TYPE_STRUCT:
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "column %.80s: nested columns cannot be written into PostgreSQL "
                                "yet (hint: leave it out, or deliver it as JSON text)",
                                name);
    case SLUICE_TYPE_UTF8:
    case SLUICE_TYPE_LARGE_UTF8:
        out->encode = text_text;
        break;
    case SLUICE_TYPE_BINARY:
    case SLUICE_TYPE_LARGE_BINARY:
        out->encode = text_bytea;
        break;
    case SLUICE_TYPE_FIXED_BINARY:
        out->encode = type.width == 16 &&
                              sluice_schema_metadata_is(field, "ARROW:extension:name", "arrow.uuid")
                          ? text_uuid
                          : text_bytea;
        break;
    case SLUICE_TYPE_DECIMAL128:
    case SLUICE_TYPE_DECIMAL256:
        out->encode = text_decimal;
        break;
    default:
        out->encode = text_scalar;
        break;
    }
    return SLUICE_OK;
}

/* ---- lines ---- */

static int needs_escape(uint8_t c)
{
    return c == '\\' || c == '\n' || c == '\r' || c == '\t';
}

/* Escapes the bytes from `at` to the end of the buffer in place, growing it. */
static sluice_status escape_tail(struct sluice_pg_buffer *out, size_t at, struct sluice_error *err)
{
    size_t extra = 0;
    for (size_t i = at; i < out->size; i++) {
        extra += (size_t)needs_escape(out->data[i]);
    }
    if (extra == 0) {
        return SLUICE_OK;
    }
    if (sluice_pg_buffer_room(out, extra) == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    size_t to = out->size + extra;
    for (size_t i = out->size; i > at; i--) { /* from behind, so that nothing is overwritten */
        uint8_t c = out->data[i - 1];
        if (needs_escape(c)) {
            out->data[--to] = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : '\\';
            c = '\\';
        }
        out->data[--to] = c;
    }
    out->size += extra;
    return SLUICE_OK;
}

static sluice_status add_char(struct sluice_pg_buffer *out, char c, struct sluice_error *err)
{
    uint8_t *p = sluice_pg_buffer_room(out, 1);
    if (p == NULL) {
        return sluice_pg_encode_nomem(err);
    }
    *p = (uint8_t)c;
    out->size++;
    return SLUICE_OK;
}

static sluice_status encode_line(const struct sluice_pg_encoder *encoders, uint32_t count,
                                 int64_t row, struct sluice_pg_buffer *out,
                                 struct sluice_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct sluice_pg_encoder *e = &encoders[i];
        if (i > 0) {
            SLUICE_TRY(add_char(out, '\t', err));
        }
        if (sluice_view_is_null(&e->view, row)) {
            SLUICE_TRY(add_char(out, '\\', err));
            SLUICE_TRY(add_char(out, 'N', err));
            continue;
        }
        size_t at = out->size;
        SLUICE_TRY(e->encode(e, row, out, err));
        if (e->encode == text_text || e->encode == text_bytea) {
            SLUICE_TRY(escape_tail(out, at, err));
        }
    }
    return add_char(out, '\n', err);
}

sluice_status sluice_pg_encode_lines(const struct sluice_pg_encoder *encoders, uint32_t count,
                                     int64_t *from, int64_t to, size_t limit,
                                     struct sluice_pg_buffer *out, struct sluice_error *err)
{
    while (*from < to && out->size < limit) {
        size_t at = out->size;
        sluice_status status = encode_line(encoders, count, *from, out, err);
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
