/* Values of Arrow types of fixed width, and binary. */
#include "lake/debezium.h"
#include "lake/decimals.h"
#include "lake/digits.h"

#define DAY_US INT64_C(86400000000)

#define CELL_FN(name)                                                                          \
    static uint8_t *name(struct sluice_lake_dbz *enc, const struct sluice_lake_dbz_cell *cell, \
                         const struct sluice_view *view, int64_t row, uint8_t *p)

CELL_FN(cell_bool)
{
    (void)enc;
    (void)cell;
    int32_t v = sluice_view_bool(view, row);
    memcpy(p, v ? "true\0\0\0" : "false\0\0", 8);
    return p + (v ? 4 : 5);
}

/* One function for each width: a macro, since only the type differs. */
#define NUMBER_CELL(name, get, put)    \
    CELL_FN(name)                      \
    {                                  \
        (void)enc;                     \
        (void)cell;                    \
        return put(p, get(view, row)); \
    }
NUMBER_CELL(cell_i8, sluice_view_i8, sluice_lake_put_i64)
NUMBER_CELL(cell_i16, sluice_view_i16, sluice_lake_put_i64)
NUMBER_CELL(cell_i32, sluice_view_i32, sluice_lake_put_i64)
NUMBER_CELL(cell_i64, sluice_view_i64, sluice_lake_put_i64)
NUMBER_CELL(cell_u8, sluice_view_u8, sluice_lake_put_u64)
NUMBER_CELL(cell_u16, sluice_view_u16, sluice_lake_put_u64)
NUMBER_CELL(cell_u32, sluice_view_u32, sluice_lake_put_u64)
NUMBER_CELL(cell_u64, sluice_view_u64, sluice_lake_put_u64)
NUMBER_CELL(cell_f32, sluice_view_f32, sluice_lake_dbz_put_f32)
NUMBER_CELL(cell_f64, sluice_view_f64, sluice_lake_dbz_put_f64)

static int32_t is_nan(const struct sluice_lake_dbz_cell *cell, const struct sluice_view *view,
                      const uint8_t *value)
{
    return cell->special && sluice_lake_decimal_is_nan(value, view->type.width);
}

CELL_FN(decimal_precise)
{
    const uint8_t *value = sluice_view_fixed(view, row);
    if (is_nan(cell, view, value)) {
        return sluice_lake_dbz_fail(enc, cell,
                                    "NaN has no form under decimal_handling_mode precise (hint: "
                                    "string or double)",
                                    p);
    }
    return sluice_lake_dbz_put_unscaled(enc, value, (uint32_t)view->type.width, p);
}

CELL_FN(decimal_double)
{
    (void)enc;
    const uint8_t *value = sluice_view_fixed(view, row);
    if (is_nan(cell, view, value)) {
        return SLUICE_LAKE_DBZ_PUT(p, "\"NaN\"");
    }
    return sluice_lake_dbz_put_decimal_double(value, view->type.width, cell->scale, p);
}

CELL_FN(decimal_string)
{
    (void)enc;
    const uint8_t *value = sluice_view_fixed(view, row);
    if (is_nan(cell, view, value)) {
        return SLUICE_LAKE_DBZ_PUT(p, "\"NAN\"");
    }
    *p++ = '"';
    p = sluice_lake_put_decimal(p, value, view->type.width, cell->scale);
    *p++ = '"';
    return p;
}

CELL_FN(cell_date)
{
    int64_t v = sluice_view_i32(view, row);
    return cell->moment(enc, cell, v, p);
}

CELL_FN(cell_time)
{
    int64_t v = sluice_view_i64(view, row);
    if (v < 0 || v > DAY_US) {
        return sluice_lake_dbz_fail(enc, cell, "time of day beyond 24 hours", p);
    }
    return cell->moment(enc, cell, v, p);
}

CELL_FN(cell_timestamp)
{
    return cell->moment(enc, cell, sluice_view_i64(view, row), p);
}

CELL_FN(cell_interval)
{
    (void)cell;
    const uint8_t *value = view->values + (uint64_t)row * 16u;
    int32_t part[2];
    int64_t ns;
    memcpy(part, value, 8);
    memcpy(&ns, value + 8, 8);
    return sluice_lake_dbz_put_interval(enc, part[0], part[1], ns, p);
}

CELL_FN(cell_binary)
{
    (void)cell;
    struct sluice_bytes b = sluice_lake_cell_bytes(view, row);
    return sluice_lake_dbz_put_bytes(enc, b.data, b.size, p);
}

CELL_FN(cell_fixed_binary)
{
    (void)cell;
    return sluice_lake_dbz_put_bytes(enc, sluice_view_fixed(view, row), (size_t)view->type.width,
                                     p);
}

/* 16 bytes as 8-4-4-4-12 hex digits. */
CELL_FN(cell_uuid)
{
    (void)enc;
    (void)cell;
    static const char hex[] = "0123456789abcdef";
    const uint8_t *value = sluice_view_fixed(view, row);
    *p++ = '"';
    for (uint32_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }
        *p++ = (uint8_t)hex[value[i] >> 4];
        *p++ = (uint8_t)hex[value[i] & 15];
    }
    *p++ = '"';
    return p;
}

static sluice_status decimal_cell(const struct sluice_lake_change_options *options,
                                  const struct sluice_type *type, struct sluice_lake_dbz_cell *cell,
                                  struct sluice_error *err)
{
    if (type->scale > SLUICE_LAKE_SCALE_MAX || type->scale < -SLUICE_LAKE_SCALE_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "decimal scale %d is beyond %d",
                                type->scale, SLUICE_LAKE_SCALE_MAX);
    }
    cell->scale = type->scale;
    switch (options->decimal_handling_mode) {
    case SLUICE_LAKE_DECIMAL_STRING:
        cell->fn = decimal_string;
        cell->bound = sluice_lake_decimal_max(type->scale) + SLUICE_LAKE_DBZ_ROOM;
        break;
    case SLUICE_LAKE_DECIMAL_DOUBLE:
        cell->fn = decimal_double;
        break;
    default:
        cell->fn = decimal_precise;
        break;
    }
    return SLUICE_OK;
}

static sluice_status moment_cell(const struct sluice_lake_change_options *options,
                                 struct sluice_lake_dbz_cell *cell, int32_t kind,
                                 sluice_lake_dbz_fn fn)
{
    cell->kind = kind;
    cell->moment = sluice_lake_dbz_moment(options->time_precision_mode, kind, cell->digits);
    cell->fn = fn;
    return SLUICE_OK;
}

static sluice_lake_dbz_fn number_fn(int32_t type)
{
    switch (type) {
    case SLUICE_TYPE_BOOL:
        return cell_bool;
    case SLUICE_TYPE_INT8:
        return cell_i8;
    case SLUICE_TYPE_INT16:
        return cell_i16;
    case SLUICE_TYPE_INT32:
        return cell_i32;
    case SLUICE_TYPE_INT64:
        return cell_i64;
    case SLUICE_TYPE_UINT8:
        return cell_u8;
    case SLUICE_TYPE_UINT16:
        return cell_u16;
    case SLUICE_TYPE_UINT32:
        return cell_u32;
    case SLUICE_TYPE_UINT64:
        return cell_u64;
    case SLUICE_TYPE_FLOAT32:
        return cell_f32;
    case SLUICE_TYPE_FLOAT64:
        return cell_f64;
    default:
        return NULL;
    }
}

sluice_status sluice_lake_dbz_arrow_cell(const struct sluice_lake_change_options *options,
                                         const struct sluice_type *type,
                                         struct sluice_lake_dbz_cell *cell,
                                         struct sluice_error *err)
{
    cell->bound = SLUICE_LAKE_DBZ_ROOM;
    cell->fn = number_fn(type->id);
    if (cell->fn != NULL) {
        return SLUICE_OK;
    }
    switch (type->id) {
    case SLUICE_TYPE_DECIMAL128:
    case SLUICE_TYPE_DECIMAL256:
        return decimal_cell(options, type, cell, err);
    case SLUICE_TYPE_DATE32:
        return moment_cell(options, cell, SLUICE_LAKE_DBZ_DATE, cell_date);
    case SLUICE_TYPE_TIME64_US:
        return moment_cell(options, cell, SLUICE_LAKE_DBZ_TIME, cell_time);
    case SLUICE_TYPE_TIMESTAMP_US:
        return moment_cell(options, cell, SLUICE_LAKE_DBZ_TIMESTAMP, cell_timestamp);
    case SLUICE_TYPE_TIMESTAMP_US_UTC:
        return moment_cell(options, cell, SLUICE_LAKE_DBZ_TIMESTAMPTZ, cell_timestamp);
    case SLUICE_TYPE_INTERVAL:
        cell->fn = cell_interval;
        return SLUICE_OK;
    case SLUICE_TYPE_BINARY:
    case SLUICE_TYPE_LARGE_BINARY:
        cell->fn = cell_binary;
        return SLUICE_OK;
    case SLUICE_TYPE_FIXED_BINARY:
        cell->fn = cell->kind == SLUICE_LAKE_DBZ_UUID ? cell_uuid : cell_fixed_binary;
        return SLUICE_OK;
    default:
        break;
    }
    return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                            "a type of this kind has no form under changes: debezium");
}
