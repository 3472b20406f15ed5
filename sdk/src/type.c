/* Column types and their Arrow format strings. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* Scales beyond PostgreSQL's own bounds are not numbers that any source has. */
#define SCALE_MAX 1000
#define FIXED_BINARY_MAX (1 << 20)

struct simple_type {
    const char *format;
    const char *name;
    int32_t id;
    int32_t width;
};

static const struct simple_type simple_types[] = {
    {"b", "bool", SLUICE_TYPE_BOOL, 0},
    {"c", "int8", SLUICE_TYPE_INT8, 1},
    {"s", "int16", SLUICE_TYPE_INT16, 2},
    {"i", "int32", SLUICE_TYPE_INT32, 4},
    {"l", "int64", SLUICE_TYPE_INT64, 8},
    {"C", "uint8", SLUICE_TYPE_UINT8, 1},
    {"S", "uint16", SLUICE_TYPE_UINT16, 2},
    {"I", "uint32", SLUICE_TYPE_UINT32, 4},
    {"L", "uint64", SLUICE_TYPE_UINT64, 8},
    {"f", "float32", SLUICE_TYPE_FLOAT32, 4},
    {"g", "float64", SLUICE_TYPE_FLOAT64, 8},
    {"u", "utf8", SLUICE_TYPE_UTF8, 0},
    {"z", "binary", SLUICE_TYPE_BINARY, 0},
    {"tdD", "date32", SLUICE_TYPE_DATE32, 4},
    {"ttu", "time64[us]", SLUICE_TYPE_TIME64_US, 8},
    {"tsu:", "timestamp[us]", SLUICE_TYPE_TIMESTAMP_US, 8},
    {"tsu:UTC", "timestamp[us, UTC]", SLUICE_TYPE_TIMESTAMP_US_UTC, 8},
    {"tin", "interval", SLUICE_TYPE_INTERVAL, 16},
    {"+l", "list", SLUICE_TYPE_LIST, 0},
    {"+s", "struct", SLUICE_TYPE_STRUCT, 0},
    {"U", "large_utf8", SLUICE_TYPE_LARGE_UTF8, 0},
    {"Z", "large_binary", SLUICE_TYPE_LARGE_BINARY, 0},
};

#define SIMPLE_TYPE_COUNT (sizeof simple_types / sizeof simple_types[0])

static const struct simple_type *simple_by_id(int32_t id)
{
    for (uint64_t i = 0; i < SIMPLE_TYPE_COUNT; i++) {
        if (simple_types[i].id == id) {
            return &simple_types[i];
        }
    }
    return NULL;
}

/* A decimal number of at most six digits, perhaps signed; moves *at behind it. */
static int parse_number(const char **at, int32_t *out)
{
    const char *p = *at;
    int negative = *p == '-';
    p += negative;
    int32_t v = 0;
    int digits = 0;
    while (*p >= '0' && *p <= '9' && digits < 7) {
        v = v * 10 + (*p - '0');
        p++;
        digits++;
    }
    *at = p;
    *out = negative ? -v : v;
    return digits > 0 && digits <= 7;
}

static int parse_decimal(const char *format, struct sluice_type *out)
{
    const char *at = format + 2;
    int32_t precision = 0;
    int32_t scale = 0;
    int32_t bits = 128;
    if (!parse_number(&at, &precision) || *at != ',') {
        return 0;
    }
    at++;
    if (!parse_number(&at, &scale)) {
        return 0;
    }
    if (*at == ',') {
        at++;
        if (!parse_number(&at, &bits)) {
            return 0;
        }
    }
    if (*at != '\0' || (bits != 128 && bits != 256) || precision < 1 ||
        precision > (bits == 128 ? 38 : 76) || scale > SCALE_MAX || scale < -SCALE_MAX) {
        return 0;
    }
    out->id = bits == 128 ? SLUICE_TYPE_DECIMAL128 : SLUICE_TYPE_DECIMAL256;
    out->precision = precision;
    out->scale = scale;
    out->width = bits / 8;
    return 1;
}

static int parse_fixed(const char *format, struct sluice_type *out)
{
    const char *at = format + 2;
    int32_t width = 0;
    if (!parse_number(&at, &width) || *at != '\0' || width < 1 || width > FIXED_BINARY_MAX) {
        return 0;
    }
    out->id = SLUICE_TYPE_FIXED_BINARY;
    out->width = width;
    return 1;
}

sluice_status sluice_type_parse(const char *format, struct sluice_type *out,
                                struct sluice_error *err)
{
    struct sluice_type type = {0, 0, 0, 0};
    if (format == NULL) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "Arrow format is missing");
    }
    int ok = 0;
    if (strncmp(format, "d:", 2) == 0) {
        ok = parse_decimal(format, &type);
    }
    else if (strncmp(format, "w:", 2) == 0) {
        ok = parse_fixed(format, &type);
    }
    else if (strncmp(format, "tsu:", 4) == 0) {
        type.id = format[4] == '\0' ? SLUICE_TYPE_TIMESTAMP_US : SLUICE_TYPE_TIMESTAMP_US_UTC;
        type.width = 8;
        ok = 1;
    }
    else {
        for (uint64_t i = 0; i < SIMPLE_TYPE_COUNT && !ok; i++) {
            if (strcmp(simple_types[i].format, format) == 0) {
                type.id = simple_types[i].id;
                type.width = simple_types[i].width;
                ok = 1;
            }
        }
    }
    if (!ok) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "Arrow format \"%.60s\" is not a type that sluice knows", format);
    }
    *out = type;
    return SLUICE_OK;
}

void sluice_type_format(const struct sluice_type *type, char out[32])
{
    switch (type->id) {
    case SLUICE_TYPE_DECIMAL128:
        (void)snprintf(out, 32, "d:%d,%d", type->precision, type->scale);
        return;
    case SLUICE_TYPE_DECIMAL256:
        (void)snprintf(out, 32, "d:%d,%d,256", type->precision, type->scale);
        return;
    case SLUICE_TYPE_FIXED_BINARY:
        (void)snprintf(out, 32, "w:%d", type->width);
        return;
    default:
        break;
    }
    const struct simple_type *simple = simple_by_id(type->id);
    (void)snprintf(out, 32, "%s", simple != NULL ? simple->format : "n");
}

void sluice_type_name(const struct sluice_type *type, char out[48])
{
    switch (type->id) {
    case SLUICE_TYPE_DECIMAL128:
        (void)snprintf(out, 48, "decimal128(%d,%d)", type->precision, type->scale);
        return;
    case SLUICE_TYPE_DECIMAL256:
        (void)snprintf(out, 48, "decimal256(%d,%d)", type->precision, type->scale);
        return;
    case SLUICE_TYPE_FIXED_BINARY:
        (void)snprintf(out, 48, "fixed_binary(%d)", type->width);
        return;
    default:
        break;
    }
    const struct simple_type *simple = simple_by_id(type->id);
    (void)snprintf(out, 48, "%s", simple != NULL ? simple->name : "null");
}

int64_t sluice_type_buffer_count(const struct sluice_type *type)
{
    if (type->id == SLUICE_TYPE_STRUCT) {
        return 1;
    }
    return sluice_type_is_variable(type) || sluice_type_is_large(type) ? 3 : 2;
}
