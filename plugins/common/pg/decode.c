/* The decoders, one per column type. */
#include "pg/decode_internal.h"
#include "pg/numeric.h"
#include "pg/text.h"
#include "pg/wire.h"

static sluice_status wrong_width(struct sluice_error *err, uint32_t size, uint32_t expected)
{
    return sluice_error_set(err, SLUICE_E_DATA, 0,
                            "binary value of %u bytes where %u were expected", size, expected);
}

sluice_status sluice_pg_cannot_hold(struct sluice_pg_decoder *d, const char *what,
                                    struct sluice_error *err)
{
    if (d->unrepresentable == SLUICE_PG_UNREPRESENTABLE_NULL) {
        return sluice_column_put_null(d->column, err);
    }
    return sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_ROW_LEVEL,
                            "%s (hint: option on_unrepresentable: null or text)", what);
}

static sluice_status decode_bool(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                 struct sluice_error *err)
{
    if (size != 1) {
        return wrong_width(err, size, 1);
    }
    sluice_column_put_bool(d->column, p[0] != 0);
    return SLUICE_OK;
}

static sluice_status decode_int16(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                  struct sluice_error *err)
{
    if (size != 2) {
        return wrong_width(err, size, 2);
    }
    sluice_column_put_i16(d->column, (int16_t)sluice_pg_get16(p));
    return SLUICE_OK;
}

static sluice_status decode_int32(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                  struct sluice_error *err)
{
    if (size != 4) {
        return wrong_width(err, size, 4);
    }
    sluice_column_put_i32(d->column, (int32_t)sluice_pg_get32(p));
    return SLUICE_OK;
}

static sluice_status decode_int64(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                  struct sluice_error *err)
{
    if (size != 8) {
        return wrong_width(err, size, 8);
    }
    sluice_column_put_i64(d->column, (int64_t)sluice_pg_get64(p));
    return SLUICE_OK;
}

/* Floats are copied as bits. All NaNs are one value to the server, and print alike, so that a change
 * in text form could not say which it was: one NaN stands for all. */
static sluice_status decode_float32(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                    struct sluice_error *err)
{
    if (size != 4) {
        return wrong_width(err, size, 4);
    }
    uint32_t v = sluice_pg_get32(p);
    sluice_column_put_i32(d->column, (int32_t)((v & 0x7fffffffu) > 0x7f800000u ? 0x7fc00000u : v));
    return SLUICE_OK;
}

static sluice_status decode_float64(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                    struct sluice_error *err)
{
    if (size != 8) {
        return wrong_width(err, size, 8);
    }
    uint64_t v = sluice_pg_get64(p);
    sluice_column_put_i64(
        d->column,
        (int64_t)((v & (uint64_t)INT64_MAX) > 0x7ff0000000000000u ? 0x7ff8000000000000u : v));
    return SLUICE_OK;
}

static sluice_status decode_oid(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                struct sluice_error *err)
{
    if (size != 4) {
        return wrong_width(err, size, 4);
    }
    char digits[10];
    uint32_t v = sluice_pg_get32(p);
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    return sluice_column_put_bytes(d->column, digits + at, sizeof digits - at, err);
}

sluice_status sluice_pg_put_date(struct sluice_pg_decoder *d, int32_t v, struct sluice_error *err)
{
    if (v != INT32_MAX && v != INT32_MIN) { /* those are the infinities, there and here */
        if (v >= INT32_MAX - SLUICE_PG_EPOCH_DAYS) {
            return sluice_pg_cannot_hold(d, "date after the year 5881580", err);
        }
        v += SLUICE_PG_EPOCH_DAYS;
    }
    sluice_column_put_i32(d->column, v);
    return SLUICE_OK;
}

static sluice_status decode_date(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                 struct sluice_error *err)
{
    if (size != 4) {
        return wrong_width(err, size, 4);
    }
    return sluice_pg_put_date(d, (int32_t)sluice_pg_get32(p), err);
}

static sluice_status decode_time(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                 struct sluice_error *err)
{
    if (size != 8) {
        return wrong_width(err, size, 8);
    }
    int64_t v = (int64_t)sluice_pg_get64(p);
    if (v < 0 || v > SLUICE_PG_DAY_US) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "malformed binary time");
    }
    sluice_column_put_i64(d->column, v);
    return SLUICE_OK;
}

sluice_status sluice_pg_put_timestamp(struct sluice_pg_decoder *d, int64_t v,
                                      struct sluice_error *err)
{
    if (v != INT64_MAX && v != INT64_MIN) { /* those are the infinities, there and here */
        if (v >= INT64_MAX - SLUICE_PG_EPOCH_US) {
            return sluice_pg_cannot_hold(
                d,
                "timestamp after 294247-01-10 04:00:54 does not fit 64 bits of "
                "microseconds since 1970",
                err);
        }
        v += SLUICE_PG_EPOCH_US;
    }
    sluice_column_put_i64(d->column, v);
    return SLUICE_OK;
}

static sluice_status decode_timestamp(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                      struct sluice_error *err)
{
    if (size != 8) {
        return wrong_width(err, size, 8);
    }
    return sluice_pg_put_timestamp(d, (int64_t)sluice_pg_get64(p), err);
}

static sluice_status decode_uuid(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                 struct sluice_error *err)
{
    if (size != 16) {
        return wrong_width(err, size, 16);
    }
    sluice_column_put_fixed(d->column, p);
    return SLUICE_OK;
}

static sluice_status decode_bytes(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                  struct sluice_error *err)
{
    return sluice_column_put_bytes(d->column, p, size, err);
}

sluice_status sluice_pg_check_text(const uint8_t *p, uint32_t size, struct sluice_error *err)
{
    if (!sluice_pg_utf8_valid(p, size)) {
        return sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_ROW_LEVEL,
                                "text that is not valid UTF-8, in a database of encoding SQL_ASCII "
                                "(hint: exclude the column, or repair the value: "
                                "convert_from(convert_to(col, 'SQL_ASCII'), 'LATIN1'))");
    }
    return SLUICE_OK;
}

static sluice_status decode_text_checked(struct sluice_pg_decoder *d, const uint8_t *p,
                                         uint32_t size, struct sluice_error *err)
{
    SLUICE_TRY(sluice_pg_check_text(p, size, err));
    return sluice_column_put_bytes(d->column, p, size, err);
}

static sluice_status decode_jsonb(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                  struct sluice_error *err)
{
    if (size < 1 || p[0] != 1) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "binary jsonb of an unknown version");
    }
    return sluice_column_put_bytes(d->column, p + 1, size - 1, err);
}

static sluice_status decode_jsonb_checked(struct sluice_pg_decoder *d, const uint8_t *p,
                                          uint32_t size, struct sluice_error *err)
{
    SLUICE_TRY(sluice_pg_check_text(p, size, err));
    return decode_jsonb(d, p, size, err);
}

sluice_status sluice_pg_put_numeric(struct sluice_pg_decoder *d, sluice_status st, uint64_t v[4],
                                    int words, struct sluice_error *err)
{
    if (st == SLUICE_PG_NUMERIC_NAN) { /* the least integer stands for it */
        memset(v, 0, (size_t)words * 8u);
        v[words - 1] = 1ull << 63;
        st = SLUICE_OK;
    }
    if (st == SLUICE_OK) {
        sluice_column_put_fixed(d->column, v);
        return SLUICE_OK;
    }
    return st < 0
               ? st
               : sluice_pg_cannot_hold(d, "infinite numeric in a column of fixed precision", err);
}

static sluice_status decode_numeric64(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                      struct sluice_error *err)
{
    int64_t v = 0;
    uint64_t words[4] = {0, 0, 0, 0};
    sluice_status st = sluice_pg_numeric_decode64(p, size, d->precision, d->scale, &v, err);
    if (st == SLUICE_OK) {
        sluice_column_put_decimal64(d->column, v);
        return SLUICE_OK;
    }
    return sluice_pg_put_numeric(d, st, words, 2, err);
}

static sluice_status decode_numeric_wide(struct sluice_pg_decoder *d, const uint8_t *p,
                                         uint32_t size, int words, struct sluice_error *err)
{
    uint64_t v[4] = {0, 0, 0, 0};
    sluice_status st = sluice_pg_numeric_decode(p, size, d->precision, d->scale, words, v, err);
    return sluice_pg_put_numeric(d, st, v, words, err);
}

static sluice_status decode_numeric128(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                       struct sluice_error *err)
{
    return decode_numeric_wide(d, p, size, 2, err);
}

static sluice_status decode_numeric256(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                       struct sluice_error *err)
{
    return decode_numeric_wide(d, p, size, 4, err);
}

sluice_status sluice_pg_decoder_init(struct sluice_pg_decoder *d, int32_t kind,
                                     struct sluice_column *column, const char *name,
                                     int32_t unrepresentable, struct sluice_error *err)
{
    static const sluice_pg_decode_fn functions[] = {
        [SLUICE_PG_DECODE_BOOL] = decode_bool,
        [SLUICE_PG_DECODE_INT16] = decode_int16,
        [SLUICE_PG_DECODE_INT32] = decode_int32,
        [SLUICE_PG_DECODE_INT64] = decode_int64,
        [SLUICE_PG_DECODE_FLOAT32] = decode_float32,
        [SLUICE_PG_DECODE_FLOAT64] = decode_float64,
        [SLUICE_PG_DECODE_OID] = decode_oid,
        [SLUICE_PG_DECODE_NUMERIC64] = decode_numeric64,
        [SLUICE_PG_DECODE_NUMERIC128] = decode_numeric128,
        [SLUICE_PG_DECODE_NUMERIC256] = decode_numeric256,
        [SLUICE_PG_DECODE_TEXT] = decode_bytes,
        [SLUICE_PG_DECODE_TEXT_CHECKED] = decode_text_checked,
        [SLUICE_PG_DECODE_BYTES] = decode_bytes,
        [SLUICE_PG_DECODE_JSONB] = decode_jsonb,
        [SLUICE_PG_DECODE_JSONB_CHECKED] = decode_jsonb_checked,
        [SLUICE_PG_DECODE_DATE] = decode_date,
        [SLUICE_PG_DECODE_TIME] = decode_time,
        [SLUICE_PG_DECODE_TIMESTAMP] = decode_timestamp,
        [SLUICE_PG_DECODE_UUID] = decode_uuid,
    };
    if (kind <= 0 || (size_t)kind >= sizeof functions / sizeof functions[0] ||
        functions[kind] == NULL) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "column %s: no decoder %d", name, kind);
    }
    d->decode = functions[kind];
    d->column = column;
    d->name = name;
    d->precision = column->type.precision;
    d->scale = column->type.scale;
    d->unrepresentable = unrepresentable;
    d->nullable = column->nullable;
    return SLUICE_OK;
}
