/* The validator: does an array fit its schema? Used by tests, the conformance kit and by
 * --validate-batches, so it says exactly where it does not. */
#include <string.h>

#include "internal.h"
#include "sluice/array.h"

#define TIME_US_MAX 86400000000 /* 24:00:00 is a value of PostgreSQL's time */

/* 10^precision as 256 bits, least significant word first. */
static void power_of_ten(int32_t precision, uint64_t out[4])
{
    memset(out, 0, 4 * sizeof out[0]);
    out[0] = 1;
    for (int32_t i = 0; i < precision; i++) {
        uint64_t carry = 0;
        for (int k = 0; k < 4; k++) {
            uint64_t lo = (out[k] & 0xffffffffu) * 10u + carry;
            uint64_t hi = (out[k] >> 32) * 10u + (lo >> 32);
            out[k] = hi << 32 | (lo & 0xffffffffu);
            carry = hi >> 32;
        }
    }
}

/* |v| of a little-endian two's complement of `words` words; 1 if it is the smallest integer. */
static int magnitude(const uint8_t *p, int words, uint64_t out[4])
{
    memset(out, 0, 4 * sizeof out[0]);
    memcpy(out, p, (size_t)words * 8u);
    if ((out[words - 1] >> 63) == 0) {
        return 0;
    }
    int smallest = out[words - 1] == (uint64_t)1 << 63;
    for (int i = 0; i < words - 1; i++) {
        smallest = smallest && out[i] == 0;
    }
    uint64_t carry = 1;
    for (int i = 0; i < words; i++) {
        out[i] = ~out[i] + carry;
        carry = carry != 0 && out[i] == 0;
    }
    return smallest;
}

static int less(const uint64_t a[4], const uint64_t b[4])
{
    for (int i = 3; i >= 0; i--) {
        if (a[i] != b[i]) {
            return a[i] < b[i];
        }
    }
    return 0;
}

static sluice_status bad_row(const struct ArrowSchema *schema, int64_t row,
                             struct sluice_error *err, const char *what)
{
    sluice_status st =
        sluice_error_set(err, SLUICE_E_DATA, 0, "column %s, row %lld: %s",
                         schema->name != NULL ? schema->name : "", (long long)row, what);
    if (err != NULL) {
        err->row = row;
    }
    return st;
}

static sluice_status check_offsets(const struct sluice_view *v, int64_t limit,
                                   struct sluice_error *err)
{
    int64_t last = v->offsets[0];
    if (last < 0) {
        return bad_row(v->schema, 0, err, "offset is negative");
    }
    for (int64_t i = 0; i < v->length; i++) {
        if (v->offsets[i + 1] < last) {
            return bad_row(v->schema, i, err, "offsets go backwards");
        }
        last = v->offsets[i + 1];
    }
    if (limit >= 0 && last > limit) {
        return bad_row(v->schema, v->length, err, "offset behind the end of the elements");
    }
    return SLUICE_OK;
}

static sluice_status check_large_offsets(const struct sluice_view *v, struct sluice_error *err)
{
    int64_t last = v->large_offsets[0];
    if (last < 0) {
        return bad_row(v->schema, 0, err, "offset is negative");
    }
    for (int64_t i = 0; i < v->length; i++) {
        if (v->large_offsets[i + 1] < last) {
            return bad_row(v->schema, i, err, "offsets go backwards");
        }
        last = v->large_offsets[i + 1];
    }
    return SLUICE_OK;
}

static sluice_status check_utf8(const struct sluice_view *v, struct sluice_error *err)
{
    for (int64_t i = 0; i < v->length; i++) {
        if (sluice_view_is_null(v, i)) {
            continue;
        }
        int32_t large = sluice_type_is_large(&v->type);
        int64_t from = large ? v->large_offsets[i] : v->offsets[i];
        int64_t to = large ? v->large_offsets[i + 1] : v->offsets[i + 1];
        uint64_t size = (uint64_t)(to - from);
        if (sluice_utf8_check(v->values + from, size) != size) {
            return bad_row(v->schema, i, err, "text is not valid UTF-8");
        }
    }
    return SLUICE_OK;
}

static sluice_status check_decimals(const struct sluice_view *v, struct sluice_error *err)
{
    uint64_t limit[4];
    uint64_t value[4];
    power_of_ten(v->type.precision, limit);
    int32_t special = sluice_schema_metadata_is(v->schema, "sluice:special", "1");
    int words = v->type.width / 8;
    for (int64_t i = 0; i < v->length; i++) {
        if (sluice_view_is_null(v, i)) {
            continue;
        }
        int nan = magnitude(sluice_view_fixed(v, i), words, value);
        if (!(nan && special) && !less(value, limit)) {
            return bad_row(v->schema, i, err, "decimal has more digits than its precision");
        }
    }
    return SLUICE_OK;
}

static sluice_status check_times(const struct sluice_view *v, struct sluice_error *err)
{
    for (int64_t i = 0; i < v->length; i++) {
        int64_t t = sluice_view_i64(v, i);
        if (!sluice_view_is_null(v, i) && (t < 0 || t > TIME_US_MAX)) {
            return bad_row(v->schema, i, err, "time of day is outside 0 to 24:00:00");
        }
    }
    return SLUICE_OK;
}

static sluice_status check_nulls(const struct sluice_view *v, const struct ArrowArray *array,
                                 const struct sluice_view *parent, struct sluice_error *err)
{
    int64_t nulls = v->validity == NULL
                        ? 0
                        : v->length - sluice_bits_count(v->validity, v->validity_bit, v->length);
    if (v->length == array->length && array->null_count >= 0 && array->null_count != nulls) {
        return sluice_error_set(err, SLUICE_E_DATA, 0,
                                "column %s: null_count is %lld, but %lld values are null",
                                v->schema->name != NULL ? v->schema->name : "",
                                (long long)array->null_count, (long long)nulls);
    }
    if (nulls > 0 && (v->schema->flags & ARROW_FLAG_NULLABLE) == 0) {
        for (int64_t i = 0; i < v->length; i++) {
            /* Below a null struct nothing counts. */
            if (sluice_view_is_null(v, i) && !(parent != NULL && sluice_view_is_null(parent, i))) {
                return bad_row(v->schema, i, err, "NULL in a column that is not nullable");
            }
        }
    }
    return SLUICE_OK;
}

static sluice_status check_content(const struct sluice_view *v, const struct ArrowArray *array,
                                   const struct sluice_view *parent, struct sluice_error *err)
{
    SLUICE_TRY(check_nulls(v, array, parent, err));
    switch (v->type.id) {
    case SLUICE_TYPE_UTF8:
    case SLUICE_TYPE_BINARY:
        SLUICE_TRY(check_offsets(v, -1, err));
        return v->type.id == SLUICE_TYPE_UTF8 ? check_utf8(v, err) : SLUICE_OK;
    case SLUICE_TYPE_LARGE_UTF8:
    case SLUICE_TYPE_LARGE_BINARY:
        SLUICE_TRY(check_large_offsets(v, err));
        return v->type.id == SLUICE_TYPE_LARGE_UTF8 ? check_utf8(v, err) : SLUICE_OK;
    case SLUICE_TYPE_LIST:
        return check_offsets(v, array->children[0]->length, err);
    case SLUICE_TYPE_DECIMAL128:
    case SLUICE_TYPE_DECIMAL256:
        return check_decimals(v, err);
    case SLUICE_TYPE_TIME64_US:
        return check_times(v, err);
    default:
        return SLUICE_OK;
    }
}

static sluice_status check_missing(const struct sluice_view *v, const struct ArrowArray *array,
                                   struct sluice_error *err)
{
    const char *name = v->schema->name != NULL ? v->schema->name : "";
    if (array->null_count < -1 || array->null_count > array->length ||
        (array->null_count > 0 && array->buffers[0] == NULL)) {
        return sluice_error_set(err, SLUICE_E_DATA, 0,
                                "column %s: null_count %lld of %lld values does not fit", name,
                                (long long)array->null_count, (long long)array->length);
    }
    if (v->length > 0 && array->n_buffers == 3 && array->buffers[2] == NULL) {
        int64_t last =
            sluice_type_is_large(&v->type) ? v->large_offsets[v->length] : v->offsets[v->length];
        if (last != 0) {
            return sluice_error_set(err, SLUICE_E_DATA, 0, "column %s: data buffer is missing",
                                    name);
        }
    }
    if (v->type.id == SLUICE_TYPE_LIST && v->schema->n_children != 1) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "column %s: a list has %lld children", name,
                                (long long)v->schema->n_children);
    }
    return SLUICE_OK;
}

static sluice_status check_node(const struct ArrowSchema *schema, const struct ArrowArray *array,
                                int64_t offset, int64_t length, const struct sluice_view *parent,
                                int32_t level, int depth, struct sluice_error *err)
{
    if (depth > SLUICE_MAX_DEPTH) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "array is nested deeper than %d",
                                SLUICE_MAX_DEPTH);
    }
    struct sluice_view v;
    SLUICE_TRY(sluice_view_init_range(schema, array, offset, length, &v, err));
    SLUICE_TRY(check_missing(&v, array, err));
    if (level >= SLUICE_CHECK_FULL) {
        SLUICE_TRY(check_content(&v, array, parent, err));
    }
    for (int64_t i = 0; i < schema->n_children; i++) {
        const struct ArrowArray *child = array->children[i];
        if (v.type.id == SLUICE_TYPE_STRUCT) {
            SLUICE_TRY(check_node(schema->children[i], child, array->offset + offset, length, &v,
                                  level, depth + 1, err));
        }
        else {
            /* A list child is checked whole: its rows are not those of the list. */
            SLUICE_TRY(check_node(schema->children[i], child, 0, child->length, NULL, level,
                                  depth + 1, err));
        }
    }
    return SLUICE_OK;
}

sluice_status sluice_array_check(const struct ArrowSchema *schema, const struct ArrowArray *array,
                                 int32_t level, struct sluice_error *err)
{
    if (schema == NULL || schema->release == NULL || array == NULL || array->release == NULL) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "the array or its schema was released");
    }
    return check_node(schema, array, 0, array->length, NULL, level, 0, err);
}
