/* A table may keep a value in another type than the stream has: the server casts it, and NULL stands for what would
 * lose something on the way, so that it shows as a difference. */
#include <stdio.h>
#include <string.h>

#include "sluice/schema.h"
#include "tds/digest.h"

/* The type of SQL Server that holds what the stream's type does. "" = texts are compared. */
static struct sluice_tds_column wanted(const struct sluice_type *want)
{
    static const struct {
        int32_t id;
        const char *type;
        int32_t scale;
    } plain[] = {{SLUICE_TYPE_BOOL, "bit", 0},
                 {SLUICE_TYPE_INT8, "smallint", 0},
                 {SLUICE_TYPE_UINT8, "smallint", 0},
                 {SLUICE_TYPE_INT16, "smallint", 0},
                 {SLUICE_TYPE_UINT16, "int", 0},
                 {SLUICE_TYPE_INT32, "int", 0},
                 {SLUICE_TYPE_UINT32, "bigint", 0},
                 {SLUICE_TYPE_INT64, "bigint", 0},
                 {SLUICE_TYPE_FLOAT32, "real", 0},
                 {SLUICE_TYPE_FLOAT64, "float", 0},
                 {SLUICE_TYPE_DATE32, "date", 0},
                 {SLUICE_TYPE_TIME64_US, "time", 6},
                 {SLUICE_TYPE_TIMESTAMP_US, "datetime2", 6},
                 {SLUICE_TYPE_TIMESTAMP_US_UTC, "datetime2", 6}};
    struct sluice_tds_column c = {.type = "", .max_length = -1};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (plain[i].id == want->id) {
            (void)snprintf(c.type, sizeof c.type, "%s", plain[i].type);
            c.scale = plain[i].scale;
        }
    }
    if (want->id == SLUICE_TYPE_UINT64 || want->id == SLUICE_TYPE_DECIMAL128) {
        const int whole = want->id == SLUICE_TYPE_UINT64 || want->scale < 0;
        (void)snprintf(c.type, sizeof c.type, "decimal");
        c.precision = want->id == SLUICE_TYPE_UINT64 ? 20
                      : want->scale < 0 && want->precision - want->scale > 38
                          ? 38
                          : want->precision - (want->scale < 0 ? want->scale : 0);
        c.scale = whole ? 0 : want->scale;
    }
    if (want->id == SLUICE_TYPE_BINARY || want->id == SLUICE_TYPE_LARGE_BINARY ||
        (want->id == SLUICE_TYPE_FIXED_BINARY && want->width != 16)) {
        (void)snprintf(c.type, sizeof c.type, "varbinary");
    }
    else if (want->id == SLUICE_TYPE_FIXED_BINARY) {
        (void)snprintf(c.type, sizeof c.type, "uniqueidentifier");
    }
    return c;
}

static int is_text(int32_t id)
{
    return id == SLUICE_TYPE_UTF8 || id == SLUICE_TYPE_LARGE_UTF8;
}

static int is_binary(int32_t id)
{
    return id == SLUICE_TYPE_BINARY || id == SLUICE_TYPE_LARGE_BINARY;
}

/* What the column gives by itself prints as the stream's values do. */
static int is_same(const struct sluice_tds_column *column, const struct sluice_tds_decoder *d,
                   const struct sluice_type *want, const struct sluice_tds_rules *rules)
{
    const int cut = column->scale > 6 && rules->fine == SLUICE_TDS_FINE_FAIL;
    switch (want->id) {
    case SLUICE_TYPE_UTF8:
    case SLUICE_TYPE_LARGE_UTF8:
        return is_text(d->type.id);
    case SLUICE_TYPE_BINARY:
    case SLUICE_TYPE_LARGE_BINARY:
        return is_binary(d->type.id);
    case SLUICE_TYPE_DECIMAL128:
        return d->type.id == want->id && d->type.scale == want->scale;
    case SLUICE_TYPE_FIXED_BINARY:
        return d->type.id == want->id && d->type.width == want->width;
    case SLUICE_TYPE_TIME64_US:
        return d->type.id == want->id && !cut;
    case SLUICE_TYPE_TIMESTAMP_US:
        return d->type.id == want->id && !cut && strcmp(column->type, "datetimeoffset") != 0;
    default:
        return d->type.id == want->id;
    }
}

/* CASE WHEN TRY_CAST(TRY_CAST(x AS T) AS its own type) = x THEN TRY_CAST(x AS T) END: NULL where something was lost. What
 * cannot be told in this way is cast alone. */
static void add_cast(const char *own, const char *name, const char *native,
                     const struct sluice_tds_column *to, char *out, size_t size)
{
    const int utc = strncmp(own, "datetimeoffset", 14) == 0 && strcmp(to->type, "datetime2") == 0;
    const int blind = own[0] == '\0' || to->type[0] == '\0' || strcmp(to->type, "varbinary") == 0 ||
                      strcmp(to->type, "uniqueidentifier") == 0;
    if (utc) {
        (void)snprintf(out, size,
                       "CASE WHEN TRY_CAST(TRY_CAST(%s AS datetimeoffset(6)) AS %s) = %s THEN "
                       "TRY_CAST(SWITCHOFFSET(%s, '+00:00') AS datetime2(6)) END",
                       name, own, name, name);
    }
    else if (blind) {
        (void)snprintf(out, size, "TRY_CAST(%s AS %s)", name, native);
    }
    else {
        (void)snprintf(
            out, size,
            "CASE WHEN TRY_CAST(TRY_CAST(%s AS %s) AS %s) = %s THEN TRY_CAST(%s AS %s) END", name,
            native, own, name, name, native);
    }
}

sluice_status sluice_tds_digest_column_make(const struct sluice_tds_column *column,
                                            const struct ArrowSchema *field,
                                            const struct sluice_tds_rules *rules,
                                            struct sluice_tds_digest_column *out,
                                            struct sluice_error *err)
{
    struct sluice_type want;
    char name[2 * sizeof column->name + 4];
    char expression[SLUICE_TDS_DIGEST_EXPRESSION_MAX];
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    SLUICE_TRY(sluice_type_parse(field->format, &want, err));
    (void)sluice_tds_quote(column->name, name, sizeof name);
    /* Where the stream has a text, so has a time that a column of the type keeps. */
    const struct sluice_tds_rules own = {is_text(want.id) ? SLUICE_TDS_FINE_TEXT : rules->fine,
                                         rules->clr};
    const int known = sluice_tds_decoder_make(column, &own, &out->decoder, &ignored) >= 0;
    if (known && is_same(column, &out->decoder, &want, rules)) {
        out->type = out->decoder.type;
        (void)sluice_tds_decoder_around(&out->decoder, name, out->select, sizeof out->select);
        return SLUICE_OK;
    }
    char native[sizeof out->decoder.native] = "";
    if (known) {
        memcpy(native, out->decoder.native, sizeof native);
    }
    struct sluice_tds_column to = wanted(&want);
    struct sluice_tds_column text = to;
    if (to.type[0] == '\0') {
        (void)snprintf(text.type, sizeof text.type, "nvarchar");
    }
    memcpy(text.name, column->name, sizeof text.name);
    SLUICE_TRY(sluice_tds_decoder_make(&text, rules, &out->decoder, err));
    add_cast(native, name, out->decoder.native, &to, expression, sizeof expression);
    (void)sluice_tds_decoder_around(&out->decoder, expression, out->select, sizeof out->select);
    out->type = out->decoder.type;
    if (want.id == SLUICE_TYPE_TIMESTAMP_US_UTC) {
        out->type.id = want.id;
    }
    out->number = want.id == SLUICE_TYPE_DECIMAL256;
    return SLUICE_OK;
}
