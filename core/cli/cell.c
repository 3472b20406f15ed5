#include "cell.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "text.h"

#define DEPTH_MOST 16
#define US_PER_DAY INT64_C(86400000000)

enum { FORM_TEXT = 0, FORM_JSON = 1 };

/* ---------------------------------------------------------------- strings -------------------- */

void sluice_cli_cell_json_string(struct sluice_str *out, const char *text, size_t size)
{
    const char *end = text + size;
    const char *plain = text;
    sluice_str_append_char(out, '"');
    while (text < end) {
        size_t n = 1;
        int32_t c = sluice_cli_text_decode(text, end, &n);
        if (c >= 0 && !sluice_cli_text_hostile(c) && c != '"' && c != '\\') {
            text += n;
            continue;
        }
        sluice_str_append_n(out, plain, (size_t)(text - plain));
        if (c < 0) {
            sluice_str_append(out, "\xef\xbf\xbd");
        }
        else if (c == '"' || c == '\\') {
            sluice_str_append_char(out, '\\');
            sluice_str_append_char(out, (char)c);
        }
        else {
            sluice_str_printf(out, "\\u%04x", (unsigned)c);
        }
        text += n;
        plain = text;
    }
    sluice_str_append_n(out, plain, (size_t)(text - plain));
    sluice_str_append_char(out, '"');
}

static void put_hex(struct sluice_str *out, const uint8_t *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    sluice_str_append(out, "\\x");
    for (size_t i = 0; i < size; i++) {
        sluice_str_append_char(out, digits[data[i] >> 4]);
        sluice_str_append_char(out, digits[data[i] & 15]);
    }
}

static void put_uuid(struct sluice_str *out, const uint8_t *data, int form)
{
    sluice_str_append(out, form == FORM_JSON ? "\"" : "");
    for (size_t i = 0; i < 16; i++) {
        sluice_str_append(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "");
        sluice_str_printf(out, "%02x", data[i]);
    }
    sluice_str_append(out, form == FORM_JSON ? "\"" : "");
}

static void put_base64(struct sluice_str *out, const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    sluice_str_append_char(out, '"');
    for (size_t i = 0; i < size; i += 3) {
        size_t n = size - i < 3 ? size - i : 3;
        uint32_t bits = (uint32_t)data[i] << 16 | (n > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                        (n > 2 ? data[i + 2] : 0);
        sluice_str_append_char(out, digits[bits >> 18]);
        sluice_str_append_char(out, digits[bits >> 12 & 63]);
        sluice_str_append_char(out, n > 1 ? digits[bits >> 6 & 63] : '=');
        sluice_str_append_char(out, n > 2 ? digits[bits & 63] : '=');
    }
    sluice_str_append_char(out, '"');
}

static void put_variable(struct sluice_str *out, const uint8_t *data, size_t size, int is_text,
                         size_t limit, int form)
{
    size_t shown = limit > 0 && size > limit ? limit : size;
    if (form == FORM_JSON) {
        if (is_text) {
            sluice_cli_cell_json_string(out, (const char *)data, size);
        }
        else {
            put_base64(out, data, size);
        }
        return;
    }
    if (is_text) {
        while (shown < size && shown > 0 && (data[shown] & 0xc0) == 0x80) {
            shown--; /* whole characters */
        }
        sluice_str_append_n(out, (const char *)data, shown);
    }
    else {
        put_hex(out, data, shown);
    }
    if (shown < size) {
        sluice_str_append(out, "\xe2\x80\xa6");
    }
}

/* ---------------------------------------------------------------- numbers -------------------- */

static void put_double(struct sluice_str *out, double value, int single, int form)
{
    char text[40];
    if (isnan(value) || isinf(value)) {
        const char *word = isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
        sluice_str_printf(out, form == FORM_JSON ? "\"%s\"" : "%s", word);
        return;
    }
    /* The shortest form that reads back as the same value. */
    for (int digits = single ? 6 : 15; digits <= (single ? 9 : 17); digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (single ? (float)back == (float)value : back == value) {
            break;
        }
    }
    sluice_str_append(out, text);
}

/* Divides a little-endian number by 10^9 in place; answers the rest. */
static uint32_t divide(uint32_t *words, size_t count)
{
    uint64_t rest = 0;
    for (size_t i = count; i-- > 0;) {
        uint64_t value = rest << 32 | words[i];
        words[i] = (uint32_t)(value / 1000000000u);
        rest = value % 1000000000u;
    }
    return (uint32_t)rest;
}

/* A two's complement integer of 4 or 8 words of 32 bits, with a decimal point. */
static void put_decimal(struct sluice_str *out, const void *value, size_t size, int32_t scale,
                        int special, int form)
{
    uint32_t words[8];
    char digits[96];
    size_t count = size / 4;
    size_t length = 0;
    memcpy(words, value, size);
    int negative = (words[count - 1] & 0x80000000u) != 0;
    if (negative) {
        uint64_t carry = 1;
        int others = 0;
        for (size_t i = 0; i < count; i++) {
            others |= i + 1 < count ? words[i] != 0 : words[i] != 0x80000000u;
            carry += (uint32_t)~words[i];
            words[i] = (uint32_t)carry;
            carry >>= 32;
        }
        if (special && !others) {
            sluice_str_append(out, form == FORM_JSON ? "\"NaN\"" : "NaN");
            return;
        }
    }
    /* Least significant digit first; 2^256 has 78. */
    for (size_t round = 0; round < 9; round++) {
        uint32_t nine = divide(words, count);
        for (int k = 0; k < 9; k++) {
            digits[length++] = (char)('0' + nine % 10);
            nine /= 10;
        }
    }
    size_t least = scale > 0 ? (size_t)scale + 1 : 1;
    while (length > least && digits[length - 1] == '0') {
        length--;
    }
    sluice_str_append(out, negative ? "-" : "");
    for (size_t i = length; i-- > 0;) {
        sluice_str_append_char(out, digits[i]);
        if (scale > 0 && i == (size_t)scale) {
            sluice_str_append_char(out, '.');
        }
    }
    for (int32_t i = scale; i < 0 && !(length == 1 && digits[0] == '0'); i++) {
        sluice_str_append_char(out, '0');
    }
}

/* ---------------------------------------------------------------- time ----------------------- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days since 1970-01-01 as a date of the proleptic Gregorian calendar (era arithmetic: 400 years
 * have 146,097 days). Answers 1 for a year before 1. */
static int put_date(struct sluice_str *out, int64_t days)
{
    int64_t z = days + 719468;
    int64_t era = floor_div(z, 146097);
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int64_t day = doy - (153 * mp + 2) / 5 + 1;
    int64_t month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = yoe + era * 400 + (month <= 2);
    sluice_str_printf(out, "%04" PRId64 "-%02" PRId64 "-%02" PRId64, year > 0 ? year : 1 - year,
                      month, day);
    return year <= 0;
}

static void put_time(struct sluice_str *out, int64_t us)
{
    sluice_str_printf(out, "%02" PRId64 ":%02" PRId64 ":%02" PRId64, us / INT64_C(3600000000),
                      us / 60000000 % 60, us / 1000000 % 60);
    if (us % 1000000 != 0) {
        char text[16];
        (void)snprintf(text, sizeof text, ".%06d", (int)(us % 1000000));
        size_t size = strlen(text);
        while (text[size - 1] == '0') {
            size--;
        }
        sluice_str_append_n(out, text, size);
    }
}

static void put_timestamp(struct sluice_str *out, int64_t us, int zoned)
{
    int64_t days = floor_div(us, US_PER_DAY);
    int before = put_date(out, days);
    sluice_str_append_char(out, ' ');
    put_time(out, us - days * US_PER_DAY);
    sluice_str_append(out, zoned ? "+00" : "");
    sluice_str_append(out, before ? " BC" : "");
}

static void put_interval(struct sluice_str *out, const void *value)
{
    int32_t months = 0;
    int32_t days = 0;
    int64_t ns = 0;
    memcpy(&months, value, 4);
    memcpy(&days, (const uint8_t *)value + 4, 4);
    memcpy(&ns, (const uint8_t *)value + 8, 8);
    sluice_str_printf(out, "%d mons %d days %s", months, days, ns < 0 ? "-" : "");
    put_time(out, ns < 0 ? -(ns / 1000) : ns / 1000);
}

static int is_infinite(const struct sluice_view *view, int64_t value, int64_t least, int64_t most,
                       struct sluice_str *out)
{
    if (!sluice_schema_metadata_is(view->schema, "sluice:special", "1") ||
        (value != least && value != most)) {
        return 0;
    }
    sluice_str_append(out, value == least ? "-infinity" : "infinity");
    return 1;
}

static void put_temporal(const struct sluice_view *view, int64_t i, struct sluice_str *out)
{
    switch (view->type.id) {
    case SLUICE_TYPE_DATE32: {
        int32_t days = sluice_view_i32(view, i);
        if (!is_infinite(view, days, INT32_MIN, INT32_MAX, out) && put_date(out, days)) {
            sluice_str_append(out, " BC");
        }
        break;
    }
    case SLUICE_TYPE_TIME64_US:
        put_time(out, sluice_view_i64(view, i));
        break;
    case SLUICE_TYPE_INTERVAL:
        put_interval(out, sluice_view_fixed(view, i));
        break;
    default: {
        int64_t us = sluice_view_i64(view, i);
        if (!is_infinite(view, us, INT64_MIN, INT64_MAX, out)) {
            put_timestamp(out, us, view->type.id == SLUICE_TYPE_TIMESTAMP_US_UTC);
        }
    }
    }
}

/* ---------------------------------------------------------------- any value ------------------ */

static void put(const struct sluice_view *view, int64_t i, size_t limit, int form, int depth,
                struct sluice_str *out);

static void put_child(const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t i,
                      int form, int depth, struct sluice_str *out)
{
    struct sluice_view child;
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (depth >= DEPTH_MOST || sluice_view_init(schema, array, &child, &err) < 0 || i < 0 ||
        i >= child.length) {
        sluice_str_append(out, form == FORM_JSON ? "null" : "?");
        return;
    }
    put(&child, i, 0, form, depth + 1, out);
}

static void put_list(const struct sluice_view *view, int64_t i, int form, int depth,
                     struct sluice_str *out)
{
    sluice_str_append_char(out, '[');
    for (int64_t k = view->offsets[i]; k < view->offsets[i + 1]; k++) {
        sluice_str_append(out, k > view->offsets[i] ? (form == FORM_JSON ? "," : ", ") : "");
        put_child(view->schema->children[0], view->array->children[0], k, form, depth, out);
    }
    sluice_str_append_char(out, ']');
}

static void put_struct(const struct sluice_view *view, int64_t i, int form, int depth,
                       struct sluice_str *out)
{
    sluice_str_append_char(out, '{');
    for (int64_t k = 0; k < view->schema->n_children; k++) {
        const struct ArrowSchema *child = view->schema->children[k];
        const char *name = child->name != NULL ? child->name : "";
        if (form == FORM_JSON) {
            sluice_str_append(out, k > 0 ? "," : "");
            sluice_cli_cell_json_string(out, name, strlen(name));
            sluice_str_append_char(out, ':');
        }
        else {
            sluice_str_printf(out, "%s%s: ", k > 0 ? ", " : "", name);
        }
        put_child(child, view->array->children[k], view->validity_bit + i, form, depth, out);
    }
    sluice_str_append_char(out, '}');
}

static void put_fixed(const struct sluice_view *view, int64_t i, int form, struct sluice_str *out)
{
    switch (view->type.id) {
    case SLUICE_TYPE_INT8:
        sluice_str_printf(out, "%d", sluice_view_i8(view, i));
        break;
    case SLUICE_TYPE_INT16:
        sluice_str_printf(out, "%d", sluice_view_i16(view, i));
        break;
    case SLUICE_TYPE_INT32:
        sluice_str_printf(out, "%" PRId32, sluice_view_i32(view, i));
        break;
    case SLUICE_TYPE_INT64:
        sluice_str_printf(out, "%" PRId64, sluice_view_i64(view, i));
        break;
    case SLUICE_TYPE_UINT8:
        sluice_str_printf(out, "%u", sluice_view_u8(view, i));
        break;
    case SLUICE_TYPE_UINT16:
        sluice_str_printf(out, "%u", sluice_view_u16(view, i));
        break;
    case SLUICE_TYPE_UINT32:
        sluice_str_printf(out, "%" PRIu32, sluice_view_u32(view, i));
        break;
    case SLUICE_TYPE_UINT64:
        sluice_str_printf(out, "%" PRIu64, sluice_view_u64(view, i));
        break;
    case SLUICE_TYPE_FLOAT32:
        put_double(out, (double)sluice_view_f32(view, i), 1, form);
        break;
    case SLUICE_TYPE_FLOAT64:
        put_double(out, sluice_view_f64(view, i), 0, form);
        break;
    default:
        put_decimal(out, sluice_view_fixed(view, i), (size_t)view->type.width, view->type.scale,
                    sluice_schema_metadata_is(view->schema, "sluice:special", "1"), form);
        break;
    }
}

static void put(const struct sluice_view *view, int64_t i, size_t limit, int form, int depth,
                struct sluice_str *out)
{
    if (sluice_view_is_null(view, i)) {
        sluice_str_append(out, form == FORM_JSON ? "null" : "NULL");
        return;
    }
    switch (view->type.id) {
    case SLUICE_TYPE_NONE:
        sluice_str_append(out, form == FORM_JSON ? "null" : "NULL");
        break;
    case SLUICE_TYPE_BOOL:
        sluice_str_append(out, sluice_view_bool(view, i) ? "true" : "false");
        break;
    case SLUICE_TYPE_UTF8:
    case SLUICE_TYPE_BINARY: {
        struct sluice_bytes bytes = sluice_view_bytes(view, i);
        put_variable(out, bytes.data, (size_t)bytes.size, view->type.id == SLUICE_TYPE_UTF8, limit,
                     form);
        break;
    }
    case SLUICE_TYPE_LARGE_UTF8:
    case SLUICE_TYPE_LARGE_BINARY:
        put_variable(out, view->values + view->large_offsets[i],
                     (size_t)(view->large_offsets[i + 1] - view->large_offsets[i]),
                     view->type.id == SLUICE_TYPE_LARGE_UTF8, limit, form);
        break;
    case SLUICE_TYPE_FIXED_BINARY:
        if (view->type.width == 16 &&
            sluice_schema_metadata_is(view->schema, "ARROW:extension:name", "arrow.uuid")) {
            put_uuid(out, sluice_view_fixed(view, i), form);
            break;
        }
        put_variable(out, sluice_view_fixed(view, i), (size_t)view->type.width, 0, limit, form);
        break;
    case SLUICE_TYPE_DATE32:
    case SLUICE_TYPE_TIME64_US:
    case SLUICE_TYPE_TIMESTAMP_US:
    case SLUICE_TYPE_TIMESTAMP_US_UTC:
    case SLUICE_TYPE_INTERVAL:
        sluice_str_append(out, form == FORM_JSON ? "\"" : "");
        put_temporal(view, i, out);
        sluice_str_append(out, form == FORM_JSON ? "\"" : "");
        break;
    case SLUICE_TYPE_LIST:
        put_list(view, i, form, depth, out);
        break;
    case SLUICE_TYPE_STRUCT:
        put_struct(view, i, form, depth, out);
        break;
    default:
        put_fixed(view, i, form, out);
        break;
    }
}

void sluice_cli_cell_text(const struct sluice_view *view, int64_t i, size_t limit,
                          struct sluice_str *out)
{
    put(view, i, limit, FORM_TEXT, 0, out);
}

void sluice_cli_cell_json(const struct sluice_view *view, int64_t i, struct sluice_str *out)
{
    put(view, i, 0, FORM_JSON, 0, out);
}
