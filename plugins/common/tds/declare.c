#include "tds/declare.h"

#include <stdio.h>
#include <string.h>

/* Bytes of a clustered key ("Maximum capacity specifications for SQL Server"). */
enum { KEY_BYTES = 900, ROW_BYTES = 8000, DECIMAL_DIGITS = 38 };

/* ---- what the source declared ---- */

enum modifiers {
    M_NONE,
    M_CHARS,  /* (n) or (max), two bytes each */
    M_BYTES,  /* (n) or (max) */
    M_DIGITS, /* (p,s) */
    M_FRACTION
};

static const struct {
    const char *name;
    enum modifiers modifiers;
    int32_t most;
    int32_t has_max;
    const char *as; /* NULL = itself */
} known[] = {
    {"bit", M_NONE, 0, 0, NULL},
    {"tinyint", M_NONE, 0, 0, NULL},
    {"smallint", M_NONE, 0, 0, NULL},
    {"int", M_NONE, 0, 0, NULL},
    {"bigint", M_NONE, 0, 0, NULL},
    {"real", M_NONE, 0, 0, NULL},
    {"float", M_NONE, 0, 0, NULL},
    {"money", M_NONE, 0, 0, NULL},
    {"smallmoney", M_NONE, 0, 0, NULL},
    {"date", M_NONE, 0, 0, NULL},
    {"datetime", M_NONE, 0, 0, NULL},
    {"smalldatetime", M_NONE, 0, 0, NULL},
    {"uniqueidentifier", M_NONE, 0, 0, NULL},
    {"xml", M_NONE, 0, 1, NULL},
    {"text", M_NONE, 0, 1, "varchar(max)"},
    {"ntext", M_NONE, 0, 1, "nvarchar(max)"},
    {"image", M_NONE, 0, 1, "varbinary(max)"},
    {"timestamp", M_NONE, 0, 0, "binary(8)"},
    {"rowversion", M_NONE, 0, 0, "binary(8)"},
    {"sysname", M_NONE, 0, 0, "nvarchar(128)"},
    {"decimal", M_DIGITS, DECIMAL_DIGITS, 0, NULL},
    {"numeric", M_DIGITS, DECIMAL_DIGITS, 0, NULL},
    {"time", M_FRACTION, 7, 0, NULL},
    {"datetime2", M_FRACTION, 7, 0, NULL},
    {"datetimeoffset", M_FRACTION, 7, 0, NULL},
    {"nchar", M_CHARS, 4000, 0, NULL},
    {"nvarchar", M_CHARS, 4000, 1, NULL},
    {"char", M_BYTES, ROW_BYTES, 0, NULL},
    {"varchar", M_BYTES, ROW_BYTES, 1, NULL},
    {"binary", M_BYTES, ROW_BYTES, 0, NULL},
    {"varbinary", M_BYTES, ROW_BYTES, 1, NULL},
};

/* One to four digits; moves *p behind them. -1 when there are none. */
static int32_t take_number(const char **p)
{
    int32_t value = 0;
    int digits = 0;
    for (; **p >= '0' && **p <= '9' && digits < 5; (*p)++, digits++) {
        value = value * 10 + (**p - '0');
    }
    return digits > 0 && digits < 5 ? value : -1;
}

/* Its text goes into a statement: nothing but what the table above has gets through. `bytes`: 0 = (max). */
static int parse_modifiers(size_t k, const char *p, int32_t *bytes)
{
    const int32_t width = known[k].modifiers == M_CHARS ? 2 : 1;
    *bytes = known[k].has_max ? 0 : 16;
    if (known[k].modifiers == M_NONE) {
        return *p == '\0';
    }
    if (*p++ != '(') {
        return 0;
    }
    if (known[k].has_max && strcmp(p, "max)") == 0) {
        return 1;
    }
    const int32_t first = take_number(&p);
    if (first < (known[k].modifiers == M_FRACTION ? 0 : 1) || first > known[k].most) {
        return 0;
    }
    if (known[k].modifiers == M_DIGITS) {
        if (*p++ != ',') {
            return 0;
        }
        const int32_t scale = take_number(&p);
        return scale >= 0 && scale <= first && strcmp(p, ")") == 0;
    }
    if (known[k].modifiers != M_FRACTION) {
        *bytes = first * width;
    }
    return strcmp(p, ")") == 0;
}

/* 1 when the source's own declaration is taken. */
static int declare_same(const struct ArrowSchema *field, uint32_t key_columns,
                        char out[SLUICE_TDS_DECLARATION_MAX])
{
    const struct sluice_bytes native = sluice_schema_metadata(field, "sluice:native_type");
    char text[SLUICE_TDS_DECLARATION_MAX];
    if (native.data == NULL || native.size >= sizeof text) {
        return 0;
    }
    memcpy(text, native.data, native.size);
    text[native.size] = '\0';
    const size_t length = strcspn(text, "(");
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        int32_t bytes = 0;
        if (strlen(known[k].name) != length || memcmp(known[k].name, text, length) != 0) {
            continue;
        }
        if (strlen(text) != native.size || !parse_modifiers(k, text + length, &bytes)) {
            return 0;
        }
        /* What was a key there has a key's length; a sum over 900 is the server's to refuse. */
        if (key_columns > 0 && (bytes == 0 || bytes > KEY_BYTES)) {
            return 0;
        }
        (void)snprintf(out, SLUICE_TDS_DECLARATION_MAX, "%s",
                       known[k].as != NULL ? known[k].as : text);
        return 1;
    }
    return 0;
}

/* ---- what Arrow's type asks for ---- */

static void sized(char out[SLUICE_TDS_DECLARATION_MAX], const char *name, int32_t width,
                  uint32_t key_columns)
{
    if (key_columns == 0) {
        (void)snprintf(out, SLUICE_TDS_DECLARATION_MAX, "%s(max)", name);
        return;
    }
    const uint32_t share = KEY_BYTES / (uint32_t)width / key_columns;
    (void)snprintf(out, SLUICE_TDS_DECLARATION_MAX, "%s(%u)", name, share > 0 ? share : 1);
}

/* Beyond 38 digits a decimal is a text: sign, point, a zero before it. */
static void declare_decimal(const struct sluice_type *type, char out[SLUICE_TDS_DECLARATION_MAX])
{
    const int32_t scale = type->scale > 0 ? type->scale : 0;
    int32_t precision = type->scale < 0 ? type->precision - type->scale : type->precision;
    precision = precision < scale ? scale : precision;
    if (precision <= DECIMAL_DIGITS) {
        (void)snprintf(out, SLUICE_TDS_DECLARATION_MAX, "decimal(%d,%d)", precision, scale);
    }
    else {
        (void)snprintf(out, SLUICE_TDS_DECLARATION_MAX, "varchar(%d)", precision + 3);
    }
}

static sluice_status declare_fixed(const struct ArrowSchema *field, const struct sluice_type *type,
                                   uint32_t key_columns, char out[SLUICE_TDS_DECLARATION_MAX],
                                   struct sluice_error *err)
{
    if (type->width == 16 &&
        sluice_schema_metadata_is(field, "ARROW:extension:name", "arrow.uuid")) {
        (void)snprintf(out, SLUICE_TDS_DECLARATION_MAX, "uniqueidentifier");
        return SLUICE_OK;
    }
    if (key_columns > 0 && type->width > KEY_BYTES) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "column %.128s: %d bytes are longer than the %d of a key",
                                field->name, type->width, KEY_BYTES);
    }
    if (type->width < 1 || type->width > ROW_BYTES) {
        sized(out, "varbinary", 1, key_columns);
    }
    else {
        (void)snprintf(out, SLUICE_TDS_DECLARATION_MAX, "binary(%d)", type->width);
    }
    return SLUICE_OK;
}

static const struct {
    int32_t id;
    const char *name;
} plain[] = {
    {SLUICE_TYPE_BOOL, "bit"},
    {SLUICE_TYPE_INT8, "smallint"},
    {SLUICE_TYPE_UINT8, "tinyint"},
    {SLUICE_TYPE_INT16, "smallint"},
    {SLUICE_TYPE_UINT16, "int"},
    {SLUICE_TYPE_INT32, "int"},
    {SLUICE_TYPE_UINT32, "bigint"},
    {SLUICE_TYPE_INT64, "bigint"},
    {SLUICE_TYPE_UINT64, "decimal(20,0)"},
    {SLUICE_TYPE_FLOAT32, "real"},
    {SLUICE_TYPE_FLOAT64, "float"},
    {SLUICE_TYPE_DATE32, "date"},
    {SLUICE_TYPE_TIME64_US, "time(6)"},
    {SLUICE_TYPE_TIMESTAMP_US, "datetime2(6)"},
    {SLUICE_TYPE_TIMESTAMP_US_UTC, "datetimeoffset(6)"},
    {SLUICE_TYPE_INTERVAL, "varchar(80)"},
};

sluice_status sluice_tds_declare(const struct ArrowSchema *field, uint32_t key_columns,
                                 int32_t same, char out[SLUICE_TDS_DECLARATION_MAX],
                                 struct sluice_error *err)
{
    struct sluice_type type;
    if (same && declare_same(field, key_columns, out)) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_type_parse(field->format, &type, err));
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (type.id == plain[i].id) {
            (void)snprintf(out, SLUICE_TDS_DECLARATION_MAX, "%s", plain[i].name);
            return SLUICE_OK;
        }
    }
    if (type.id == SLUICE_TYPE_DECIMAL128 || type.id == SLUICE_TYPE_DECIMAL256) {
        declare_decimal(&type, out);
        return SLUICE_OK;
    }
    if (type.id == SLUICE_TYPE_FIXED_BINARY) {
        return declare_fixed(field, &type, key_columns, out, err);
    }
    if (type.id == SLUICE_TYPE_BINARY || type.id == SLUICE_TYPE_LARGE_BINARY) {
        sized(out, "varbinary", 1, key_columns);
        return SLUICE_OK;
    }
    if (key_columns > 0 && (type.id == SLUICE_TYPE_LIST || type.id == SLUICE_TYPE_STRUCT)) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "column %.128s: a list or struct cannot be part of a key",
                                field->name);
    }
    sized(out, "nvarchar", 2, key_columns); /* texts; lists and structs as JSON */
    return SLUICE_OK;
}
