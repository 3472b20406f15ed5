/* The decoders of values in text form, one per column type; each makes the cell that the binary
 * decoder of its kind makes. */
#include <string.h>

#include "pg/decode_internal.h"
#include "pg/numeric.h"

sluice_status sluice_pg_no_value(struct sluice_error *err, const char *type)
{
    return sluice_error_set(err, SLUICE_E_DATA, 0, "text that is no %s", type);
}

static sluice_status text_bool(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                               struct sluice_error *err)
{
    if (size != 1 || (p[0] != 't' && p[0] != 'f')) {
        return sluice_pg_no_value(err, "boolean");
    }
    sluice_column_put_bool(d->column, p[0] == 't');
    return SLUICE_OK;
}

static sluice_status text_bytes(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                struct sluice_error *err)
{
    return sluice_column_put_bytes(d->column, p, size, err);
}

static sluice_status text_checked(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                  struct sluice_error *err)
{
    SLUICE_TRY(sluice_pg_check_text(p, size, err));
    return sluice_column_put_bytes(d->column, p, size, err);
}

/* ---------------------------------------------------------------- hex ------------------------ */

/* One more than the value of a hex digit; 0 = none. */
static const uint8_t hex_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16};

/* 1 if all 2 * count characters are hex digits. */
static int unhex(uint8_t *out, const uint8_t *p, size_t count)
{
    int bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t high = hex_values[p[2 * i]];
        uint32_t low = hex_values[p[2 * i + 1]];
        bad |= (high == 0) | (low == 0);
        out[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return !bad;
}

static sluice_status text_bytea(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                struct sluice_error *err)
{
    if (size < 2 || p[0] != '\\' || p[1] != 'x' || size % 2 != 0) {
        return sluice_error_set(err, SLUICE_E_DATA, 0,
                                "bytea that is not in hex form (hint: something changed "
                                "bytea_output in our session)");
    }
    uint32_t count = size / 2 - 1;
    uint8_t *to = sluice_column_room(d->column, count, err);
    if (to == NULL) {
        return err != NULL && err->status < 0 ? err->status : SLUICE_E_NOMEM;
    }
    if (!unhex(to, p + 2, count)) {
        return sluice_pg_no_value(err, "bytea");
    }
    sluice_column_put_room(d->column, count);
    return SLUICE_OK;
}

/* 8-4-4-4-12 digits. */
static sluice_status text_uuid(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                               struct sluice_error *err)
{
    static const struct {
        uint8_t from;
        uint8_t to;
        uint8_t bytes;
    } groups[] = {{0, 0, 4}, {9, 4, 2}, {14, 6, 2}, {19, 8, 2}, {24, 10, 6}};
    uint8_t uuid[16];
    int right = size == 36 && p[8] == '-' && p[13] == '-' && p[18] == '-' && p[23] == '-';
    for (size_t i = 0; right && i < sizeof groups / sizeof groups[0]; i++) {
        right = unhex(uuid + groups[i].to, p + groups[i].from, groups[i].bytes);
    }
    if (!right) {
        return sluice_pg_no_value(err, "uuid");
    }
    sluice_column_put_fixed(d->column, uuid);
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- numerics ------------------- */

static sluice_status text_numeric64(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                    struct sluice_error *err)
{
    int64_t v = 0;
    uint64_t words[4] = {0, 0, 0, 0};
    sluice_status st = sluice_pg_numeric_parse64(p, size, d->precision, d->scale, &v, err);
    if (st == SLUICE_OK) {
        sluice_column_put_decimal64(d->column, v);
        return SLUICE_OK;
    }
    return sluice_pg_put_numeric(d, st, words, 2, err);
}

static sluice_status text_numeric128(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                     struct sluice_error *err)
{
    uint64_t v[4] = {0, 0, 0, 0};
    sluice_status st = sluice_pg_numeric_parse(p, size, d->precision, d->scale, 2, v, err);
    return sluice_pg_put_numeric(d, st, v, 2, err);
}

static sluice_status text_numeric256(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                     struct sluice_error *err)
{
    uint64_t v[4] = {0, 0, 0, 0};
    sluice_status st = sluice_pg_numeric_parse(p, size, d->precision, d->scale, 4, v, err);
    return sluice_pg_put_numeric(d, st, v, 4, err);
}

sluice_status sluice_pg_text_decoder_init(struct sluice_pg_decoder *d, int32_t kind,
                                          struct sluice_column *column, const char *name,
                                          int32_t unrepresentable, struct sluice_error *err)
{
    static const sluice_pg_decode_fn functions[] = {
        [SLUICE_PG_DECODE_BOOL] = text_bool,
        [SLUICE_PG_DECODE_INT16] = sluice_pg_text_int16,
        [SLUICE_PG_DECODE_INT32] = sluice_pg_text_int32,
        [SLUICE_PG_DECODE_INT64] = sluice_pg_text_int64,
        [SLUICE_PG_DECODE_FLOAT32] = sluice_pg_text_float32,
        [SLUICE_PG_DECODE_FLOAT64] = sluice_pg_text_float64,
        [SLUICE_PG_DECODE_OID] = sluice_pg_text_oid,
        [SLUICE_PG_DECODE_NUMERIC64] = text_numeric64,
        [SLUICE_PG_DECODE_NUMERIC128] = text_numeric128,
        [SLUICE_PG_DECODE_NUMERIC256] = text_numeric256,
        [SLUICE_PG_DECODE_TEXT] = text_bytes,
        [SLUICE_PG_DECODE_TEXT_CHECKED] = text_checked,
        [SLUICE_PG_DECODE_BYTES] = text_bytea,
        [SLUICE_PG_DECODE_JSONB] = text_bytes,
        [SLUICE_PG_DECODE_JSONB_CHECKED] = text_checked,
        [SLUICE_PG_DECODE_DATE] = sluice_pg_text_date,
        [SLUICE_PG_DECODE_TIME] = sluice_pg_text_time,
        [SLUICE_PG_DECODE_TIMESTAMP] = sluice_pg_text_timestamp,
        [SLUICE_PG_DECODE_UUID] = text_uuid,
    };
    /* The binary table checks the kind, and fills in all that is not the function. */
    SLUICE_TRY(sluice_pg_decoder_init(d, kind, column, name, unrepresentable, err));
    if ((size_t)kind >= sizeof functions / sizeof functions[0] || functions[kind] == NULL) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "column %s: no text decoder %d", name,
                                kind);
    }
    d->decode = functions[kind];
    if (kind == SLUICE_PG_DECODE_TIMESTAMP && column->type.id == SLUICE_TYPE_TIMESTAMP_US_UTC) {
        d->decode = sluice_pg_text_timestamptz;
    }
    return SLUICE_OK;
}
