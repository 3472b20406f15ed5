#include "lake/cells.h"

#include "lake/decimals.h"
#include "lake/digits.h"
#include "lake/floats.h"
#include "lake/times.h"

#define CELL_FN(name)                                                                          \
    static uint8_t *name(struct sluice_lake_encoder *enc, const struct sluice_lake_cell *cell, \
                         int64_t row, uint8_t *p)

/* Writes one byte if the flag is set; the compiler makes it a store and an add. */
static inline uint8_t *quote_if(uint8_t *p, uint32_t flags, uint32_t flag)
{
    *p = '"';
    return p + ((flags & flag) != 0 ? 1 : 0);
}

/* One function for each width: a macro, since only the type differs. */
#define INTEGER_CELL(name, get, put)         \
    CELL_FN(name)                            \
    {                                        \
        (void)enc;                           \
        return put(p, get(cell->view, row)); \
    }
INTEGER_CELL(cell_i8, sluice_view_i8, sluice_lake_put_i64)
INTEGER_CELL(cell_i16, sluice_view_i16, sluice_lake_put_i64)
INTEGER_CELL(cell_i32, sluice_view_i32, sluice_lake_put_i64)
INTEGER_CELL(cell_i64, sluice_view_i64, sluice_lake_put_i64)
INTEGER_CELL(cell_u8, sluice_view_u8, sluice_lake_put_u64)
INTEGER_CELL(cell_u16, sluice_view_u16, sluice_lake_put_u64)

CELL_FN(cell_u32)
{
    (void)enc;
    p = quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE);
    p = sluice_lake_put_u64(p, sluice_view_u32(cell->view, row));
    return quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE);
}

CELL_FN(cell_u64)
{
    (void)enc;
    p = quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE);
    p = sluice_lake_put_u64(p, sluice_view_u64(cell->view, row));
    return quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE);
}

CELL_FN(cell_f32)
{
    (void)enc;
    float v = sluice_view_f32(cell->view, row);
    uint32_t quote = sluice_lake_f32_special(v) ? cell->flags : 0;
    p = quote_if(p, quote, SLUICE_LAKE_CELL_QUOTE_WORDS);
    p = sluice_lake_put_f32(p, v);
    return quote_if(p, quote, SLUICE_LAKE_CELL_QUOTE_WORDS);
}

CELL_FN(cell_f64)
{
    (void)enc;
    double v = sluice_view_f64(cell->view, row);
    uint32_t quote = sluice_lake_f64_special(v) ? cell->flags : 0;
    p = quote_if(p, quote, SLUICE_LAKE_CELL_QUOTE_WORDS);
    p = sluice_lake_put_f64(p, v);
    return quote_if(p, quote, SLUICE_LAKE_CELL_QUOTE_WORDS);
}

CELL_FN(cell_decimal)
{
    (void)enc;
    const uint8_t *value = sluice_view_fixed(cell->view, row);
    int32_t width = cell->view->type.width;
    if ((cell->flags & SLUICE_LAKE_SPECIAL) && sluice_lake_decimal_is_nan(value, width)) {
        p = quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE_WORDS);
        memcpy(p, "NaN", 3);
        return quote_if(p + 3, cell->flags, SLUICE_LAKE_CELL_QUOTE_WORDS);
    }
    return sluice_lake_put_decimal(p, value, width, cell->scale);
}

/* decimal128 with a scale of 0 … 18: nearly always 64 bits. */
CELL_FN(cell_decimal128)
{
    int64_t w[2];
    memcpy(w, cell->view->values + (uint64_t)row * 16u, 16);
    if (w[1] == w[0] >> 63) {
        return sluice_lake_put_decimal64(p, w[0], (uint32_t)cell->scale);
    }
    return cell_decimal(enc, cell, row, p);
}

CELL_FN(cell_date)
{
    (void)enc;
    p = quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE);
    p = sluice_lake_put_date(p, sluice_view_i32(cell->view, row), cell->flags);
    return quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE);
}

CELL_FN(cell_time)
{
    (void)enc;
    p = quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE);
    p = sluice_lake_put_time(p, sluice_view_i64(cell->view, row));
    return quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE);
}

CELL_FN(cell_timestamp)
{
    (void)enc;
    p = quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE);
    p = sluice_lake_put_timestamp(p, sluice_view_i64(cell->view, row), cell->flags);
    return quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE);
}

CELL_FN(cell_interval)
{
    (void)enc;
    const uint8_t *value = cell->view->values + (uint64_t)row * 16u;
    int32_t part[2];
    int64_t ns;
    memcpy(part, value, 8);
    memcpy(&ns, value + 8, 8);
    p = quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE);
    p = sluice_lake_put_interval(p, part[0], part[1], ns);
    return quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE);
}

/* 16 bytes as 8-4-4-4-12 hex digits. */
CELL_FN(cell_uuid)
{
    (void)enc;
    static const char hex[] = "0123456789abcdef";
    const uint8_t *value = sluice_view_fixed(cell->view, row);
    p = quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE);
    for (uint32_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }
        *p++ = (uint8_t)hex[value[i] >> 4];
        *p++ = (uint8_t)hex[value[i] & 15];
    }
    return quote_if(p, cell->flags, SLUICE_LAKE_CELL_QUOTE);
}

CELL_FN(json_bool)
{
    (void)enc;
    int32_t v = sluice_view_bool(cell->view, row);
    memcpy(p, v ? "true\0\0\0" : "false\0\0", 8);
    return p + (v ? 4 : 5);
}

CELL_FN(csv_bool)
{
    (void)enc;
    *p = sluice_view_bool(cell->view, row) ? (uint8_t)'t' : (uint8_t)'f';
    return p + 1;
}

/* Unsigned system types, which PostgreSQL's row_to_json does not take for numbers. */
static int32_t is_quoted_number(const struct ArrowSchema *field)
{
    static const char *const names[] = {"oid", "xid", "cid", "xid8", NULL};
    for (int32_t i = 0; names[i] != NULL; i++) {
        if (sluice_schema_metadata_is(field, "sluice:native_type", names[i])) {
            return 1;
        }
    }
    return 0;
}

static sluice_status decimal_cell(const struct sluice_type *type, struct sluice_lake_cell *cell,
                                  struct sluice_error *err)
{
    if (type->scale > SLUICE_LAKE_SCALE_MAX || type->scale < -SLUICE_LAKE_SCALE_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "decimal scale %d is beyond %d",
                                type->scale, SLUICE_LAKE_SCALE_MAX);
    }
    cell->scale = type->scale;
    cell->bound = sluice_lake_decimal_max(type->scale);
    cell->fn = type->id == SLUICE_TYPE_DECIMAL128 && type->scale >= 0 && type->scale <= 18
                   ? cell_decimal128
                   : cell_decimal;
    return SLUICE_OK;
}

static void set(struct sluice_lake_cell *cell, sluice_lake_cell_fn fn, uint32_t bound)
{
    cell->fn = fn;
    cell->bound = bound;
}

sluice_status sluice_lake_fixed_cell(const struct ArrowSchema *field,
                                     const struct sluice_type *type, int32_t format,
                                     struct sluice_lake_cell *cell, int32_t *found,
                                     struct sluice_error *err)
{
    static const sluice_lake_cell_fn integers[] = {
        [SLUICE_TYPE_INT8] = cell_i8,     [SLUICE_TYPE_INT16] = cell_i16,
        [SLUICE_TYPE_INT32] = cell_i32,   [SLUICE_TYPE_INT64] = cell_i64,
        [SLUICE_TYPE_UINT8] = cell_u8,    [SLUICE_TYPE_UINT16] = cell_u16,
        [SLUICE_TYPE_UINT32] = cell_u32,  [SLUICE_TYPE_UINT64] = cell_u64,
        [SLUICE_TYPE_FLOAT32] = cell_f32, [SLUICE_TYPE_FLOAT64] = cell_f64};
    int32_t json = format == SLUICE_LAKE_JSONL;
    uint32_t special =
        sluice_schema_metadata_is(field, "sluice:special", "1") ? SLUICE_LAKE_SPECIAL : 0;
    uint32_t quote = json ? SLUICE_LAKE_CELL_QUOTE : 0;
    uint32_t words = json ? SLUICE_LAKE_CELL_QUOTE_WORDS : 0;
    uint32_t xsd = json ? SLUICE_LAKE_XSD : SLUICE_LAKE_ISO;
    *found = 1;
    cell->flags = special | quote | xsd;
    switch (type->id) {
    case SLUICE_TYPE_BOOL:
        set(cell, json ? json_bool : csv_bool, 8);
        return SLUICE_OK;
    case SLUICE_TYPE_INT8:
    case SLUICE_TYPE_INT16:
    case SLUICE_TYPE_INT32:
    case SLUICE_TYPE_INT64:
    case SLUICE_TYPE_UINT8:
    case SLUICE_TYPE_UINT16:
    case SLUICE_TYPE_UINT32:
    case SLUICE_TYPE_UINT64:
        cell->flags = json && is_quoted_number(field) ? SLUICE_LAKE_CELL_QUOTE : 0;
        set(cell, integers[type->id], 24);
        return SLUICE_OK;
    case SLUICE_TYPE_FLOAT32:
    case SLUICE_TYPE_FLOAT64:
        cell->flags = words;
        set(cell, integers[type->id], SLUICE_LAKE_FLOAT_MAX);
        return SLUICE_OK;
    case SLUICE_TYPE_DECIMAL128:
    case SLUICE_TYPE_DECIMAL256:
        cell->flags = special | words;
        return decimal_cell(type, cell, err);
    case SLUICE_TYPE_DATE32:
        set(cell, cell_date, SLUICE_LAKE_DATE_MAX);
        return SLUICE_OK;
    case SLUICE_TYPE_TIME64_US:
        set(cell, cell_time, SLUICE_LAKE_TIME_MAX);
        return SLUICE_OK;
    case SLUICE_TYPE_TIMESTAMP_US_UTC:
        cell->flags |= SLUICE_LAKE_UTC;
        set(cell, cell_timestamp, SLUICE_LAKE_TIMESTAMP_MAX);
        return SLUICE_OK;
    case SLUICE_TYPE_TIMESTAMP_US:
        set(cell, cell_timestamp, SLUICE_LAKE_TIMESTAMP_MAX);
        return SLUICE_OK;
    case SLUICE_TYPE_INTERVAL:
        set(cell, cell_interval, SLUICE_LAKE_INTERVAL_MAX);
        return SLUICE_OK;
    case SLUICE_TYPE_FIXED_BINARY:
        if (type->width == 16 &&
            sluice_schema_metadata_is(field, "ARROW:extension:name", "arrow.uuid")) {
            set(cell, cell_uuid, 40);
            return SLUICE_OK;
        }
        break;
    default:
        break;
    }
    *found = 0;
    return SLUICE_OK;
}
