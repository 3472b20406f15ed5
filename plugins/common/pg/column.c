/* Planning a column: binary where we know the type, the output function's text where we do not. */
#include "pg/decode.h"
#include "pg/types_internal.h"

/* The built-in types' oids, fixed for ever (pg_type.dat). */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_DATE = 1082,
    OID_TIME = 1083,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_INT2VECTOR = 22, /* arrays without braces in text, divided by blanks */
    OID_OIDVECTOR = 30,
    OID_NUMERIC = 1700,
    OID_UUID = 2950,
    OID_JSONB = 3802
};

/* Types can be nested as deep as a user likes; past this a class is plain text. */
enum { CLASS_DEPTH_MAX = 32, DOMAIN_DEPTH_MAX = 64 };
enum { TYPMOD_OFFSET = 4 };
enum { DECIMAL128_DIGITS = 38, DECIMAL256_DIGITS = 76, INT64_DIGITS = 18 };

struct binary_type {
    uint32_t oid;
    int32_t decode;
    int32_t type;
    int32_t width;
    const char *text_class; /* when fetched as text, or inside arrays and composites */
    const char *extension;
    int32_t special;
};

static const struct binary_type binary_types[] = {
    {OID_BOOL, SLUICE_PG_DECODE_BOOL, SLUICE_TYPE_BOOL, 0, "b", NULL, 0},
    {OID_BYTEA, SLUICE_PG_DECODE_BYTES, SLUICE_TYPE_BINARY, 0, "x", NULL, 0},
    {OID_NAME, SLUICE_PG_DECODE_TEXT, SLUICE_TYPE_UTF8, 0, "s", NULL, 0},
    {OID_INT8, SLUICE_PG_DECODE_INT64, SLUICE_TYPE_INT64, 8, "n", NULL, 0},
    {OID_INT2, SLUICE_PG_DECODE_INT16, SLUICE_TYPE_INT16, 2, "n", NULL, 0},
    {OID_INT4, SLUICE_PG_DECODE_INT32, SLUICE_TYPE_INT32, 4, "n", NULL, 0},
    {OID_TEXT, SLUICE_PG_DECODE_TEXT, SLUICE_TYPE_UTF8, 0, "s", NULL, 0},
    {OID_OID, SLUICE_PG_DECODE_OID, SLUICE_TYPE_UTF8, 0, "s", NULL, 0},
    {OID_JSON, SLUICE_PG_DECODE_TEXT, SLUICE_TYPE_UTF8, 0, "j", "arrow.json", 0},
    {OID_FLOAT4, SLUICE_PG_DECODE_FLOAT32, SLUICE_TYPE_FLOAT32, 4, "n", NULL, 0},
    {OID_FLOAT8, SLUICE_PG_DECODE_FLOAT64, SLUICE_TYPE_FLOAT64, 8, "n", NULL, 0},
    {OID_BPCHAR, SLUICE_PG_DECODE_TEXT, SLUICE_TYPE_UTF8, 0, "s", NULL, 0},
    {OID_VARCHAR, SLUICE_PG_DECODE_TEXT, SLUICE_TYPE_UTF8, 0, "s", NULL, 0},
    {OID_DATE, SLUICE_PG_DECODE_DATE, SLUICE_TYPE_DATE32, 4, "d", NULL, 1},
    {OID_TIME, SLUICE_PG_DECODE_TIME, SLUICE_TYPE_TIME64_US, 8, "s", NULL, 0},
    {OID_TIMESTAMP, SLUICE_PG_DECODE_TIMESTAMP, SLUICE_TYPE_TIMESTAMP_US, 8, "t", NULL, 1},
    {OID_TIMESTAMPTZ, SLUICE_PG_DECODE_TIMESTAMP, SLUICE_TYPE_TIMESTAMP_US_UTC, 8, "z", NULL, 1},
    {OID_UUID, SLUICE_PG_DECODE_UUID, SLUICE_TYPE_FIXED_BINARY, 16, "s", "arrow.uuid", 0},
    {OID_JSONB, SLUICE_PG_DECODE_JSONB, SLUICE_TYPE_UTF8, 0, "j", "arrow.json", 0},
};

static const struct binary_type *find_binary(uint32_t oid)
{
    for (size_t i = 0; i < sizeof binary_types / sizeof binary_types[0]; i++) {
        if (binary_types[i].oid == oid) {
            return &binary_types[i];
        }
    }
    return NULL;
}

/* Follows domains down to their base; the modifier is that of the innermost one. */
static sluice_status find_base(const struct sluice_pg_types *types, uint32_t oid, int32_t *typmod,
                               const struct sluice_pg_type_row **out, struct sluice_error *err)
{
    for (int depth = 0; depth < DOMAIN_DEPTH_MAX; depth++) {
        const struct sluice_pg_type_row *t = sluice_pg_types_find(types, oid);
        if (t == NULL) {
            return sluice_error_set(err, SLUICE_E_SCHEMA, 0,
                                    "type %u is not in the catalog (hint: it was dropped just now)",
                                    oid);
        }
        if (t->kind != 'd') {
            *out = t;
            return SLUICE_OK;
        }
        *typmod = t->base_typmod;
        oid = t->base;
    }
    return sluice_error_set(err, SLUICE_E_LIMIT, 0, "domains nested deeper than %d",
                            DOMAIN_DEPTH_MAX);
}

/* ---------------------------------------------------------------- text classes --------------- */

static sluice_status add_class(const struct sluice_pg_types *types, uint32_t oid, int depth,
                               struct sluice_pg_text *out, struct sluice_error *err);

static sluice_status add_composite(const struct sluice_pg_types *types,
                                   const struct sluice_pg_type_row *t, int depth,
                                   struct sluice_pg_text *out, struct sluice_error *err)
{
    uint32_t count = 0;
    const struct sluice_pg_attribute_row *a =
        sluice_pg_types_attributes(types, t->relation, &count);
    sluice_pg_text_add(out, "{");
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            sluice_pg_text_add(out, ",");
        }
        sluice_pg_text_json_string(out, a[i].name);
        sluice_pg_text_add(out, ":");
        SLUICE_TRY(add_class(types, a[i].type, depth + 1, out, err));
    }
    sluice_pg_text_add(out, "}");
    return SLUICE_OK;
}

/* Depth is bounded, so the recursion is. */
static sluice_status add_class(const struct sluice_pg_types *types, uint32_t oid, int depth,
                               struct sluice_pg_text *out, struct sluice_error *err)
{
    const struct sluice_pg_type_row *t = NULL;
    int32_t typmod = -1;
    SLUICE_TRY(find_base(types, oid, &typmod, &t, err));
    const struct binary_type *b = find_binary(t->oid);
    if (b != NULL || t->oid == OID_NUMERIC) {
        sluice_pg_text_add(out, b != NULL ? b->text_class : "n");
    }
    else if (t->oid == OID_INT2VECTOR || t->oid == OID_OIDVECTOR) {
        sluice_pg_text_add(out, t->oid == OID_INT2VECTOR ? "[n ]" : "[s ]");
    }
    else if (depth < CLASS_DEPTH_MAX && t->element != 0) {
        sluice_pg_text_add(out, "[");
        SLUICE_TRY(add_class(types, t->element, depth + 1, out, err));
        /* The delimiter is the element's: the array type repeats it. */
        sluice_pg_text_format(out, "%c]", t->delimiter);
    }
    else if (depth < CLASS_DEPTH_MAX && t->kind == 'c') {
        SLUICE_TRY(add_composite(types, t, depth, out, err));
    }
    else {
        sluice_pg_text_add(out, "s");
    }
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- select expressions --------- */

static void select_plain(struct sluice_pg_text *select, const char *name)
{
    sluice_pg_text_ident(select, name);
}

/* The type's own output as text. Not a cast to text, which differs for inet and character(n).
 * Domains are cast to their base, since polymorphic output functions do not see through all of
 * them. Where the output function's schema is closed to us the cast has to do: for types outside
 * pg_catalog it calls the same function. */
static void select_text(struct sluice_pg_text *select, const char *name,
                        const struct sluice_pg_type_row *base, int domain)
{
    if (!base->output_usable) {
        sluice_pg_text_add(select, "CAST(");
        sluice_pg_text_ident(select, name);
        sluice_pg_text_add(select, " AS pg_catalog.text)");
        return;
    }
    sluice_pg_text_format(select, "pg_catalog.textin(%s(", base->output);
    if (domain) {
        sluice_pg_text_add(select, "CAST(");
    }
    sluice_pg_text_ident(select, name);
    if (domain) {
        sluice_pg_text_format(select, " AS %s)", base->cast_name);
    }
    sluice_pg_text_add(select, "))");
}

/* ---------------------------------------------------------------- plans ---------------------- */

/* numeric(p,s): 1 if a decimal holds it. Arrow wants 0 <= scale <= precision; PostgreSQL 15 also
 * has numeric(2,-3) and numeric(3,5). */
static int decimal_of(int32_t typmod, struct sluice_type *out)
{
    if (typmod < TYPMOD_OFFSET) {
        return 0;
    }
    int32_t precision = ((typmod - TYPMOD_OFFSET) >> 16) & 0xffff;
    int32_t scale = (((typmod - TYPMOD_OFFSET) & 0x7ff) ^ 1024) - 1024;
    if (scale < 0) {
        precision -= scale;
        scale = 0;
    }
    if (scale > precision) {
        precision = scale;
    }
    if (precision > DECIMAL256_DIGITS) {
        return 0;
    }
    int wide = precision > DECIMAL128_DIGITS;
    out->id = wide ? SLUICE_TYPE_DECIMAL256 : SLUICE_TYPE_DECIMAL128;
    out->width = wide ? 32 : 16;
    out->precision = precision;
    out->scale = scale;
    return 1;
}

static int text_like(const struct sluice_pg_type_row *t)
{
    return t->kind == 'e' || strcmp(t->send, "citextsend") == 0;
}

static int32_t checked(int32_t decode, int32_t sql_ascii)
{
    if (sql_ascii && decode == SLUICE_PG_DECODE_TEXT) {
        return SLUICE_PG_DECODE_TEXT_CHECKED;
    }
    if (sql_ascii && decode == SLUICE_PG_DECODE_JSONB) {
        return SLUICE_PG_DECODE_JSONB_CHECKED;
    }
    return decode;
}

static void plan_utf8(struct sluice_pg_column_plan *out, int32_t sql_ascii)
{
    out->type.id = SLUICE_TYPE_UTF8;
    out->decode = checked(SLUICE_PG_DECODE_TEXT, sql_ascii);
}

sluice_status sluice_pg_column_make(const struct sluice_pg_types *types,
                                    const struct sluice_pg_column *column, int32_t unrepresentable,
                                    int32_t sql_ascii, struct sluice_pg_text *select,
                                    struct sluice_pg_column_plan *out, struct sluice_error *err)
{
    memset(out, 0, sizeof *out);
    const struct sluice_pg_type_row *base = NULL;
    int32_t typmod = column->typmod;
    SLUICE_TRY(find_base(types, column->type, &typmod, &base, err));
    int domain = base->oid != column->type;
    const struct binary_type *b = find_binary(base->oid);
    struct sluice_type decimal = {0};
    int numeric = base->oid == OID_NUMERIC && decimal_of(typmod, &decimal);
    int as_text =
        unrepresentable == SLUICE_PG_UNREPRESENTABLE_TEXT && (numeric || (b != NULL && b->special));

    if (b != NULL && !as_text) {
        out->decode = checked(b->decode, sql_ascii);
        out->type.id = b->type;
        out->type.width = b->width;
        out->extension = b->extension;
        out->special = b->special;
        out->binary = 1;
        select_plain(select, column->name);
    }
    else if (numeric && !as_text) {
        out->decode = decimal.id == SLUICE_TYPE_DECIMAL256 ? SLUICE_PG_DECODE_NUMERIC256
                      : decimal.precision <= INT64_DIGITS  ? SLUICE_PG_DECODE_NUMERIC64
                                                           : SLUICE_PG_DECODE_NUMERIC128;
        out->type = decimal;
        out->special = 1;
        out->binary = 1;
        select_plain(select, column->name);
    }
    else if (text_like(base)) {
        plan_utf8(out, sql_ascii);
        out->binary = 1; /* its send function gives its text */
        select_plain(select, column->name);
    }
    else {
        plan_utf8(out, sql_ascii);
        select_text(select, column->name, base, domain);
        SLUICE_TRY(add_class(types, base->oid, 0, &out->text, err));
        if (out->text.data != NULL && strcmp(out->text.data, "s") == 0) {
            sluice_pg_text_clear(&out->text); /* plain text needs no class */
        }
    }
    SLUICE_TRY(sluice_pg_text_check(select, err));
    return sluice_pg_text_check(&out->text, err);
}
