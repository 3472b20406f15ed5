/* From a column's Arrow type, native type and text class to what its values are. */
#include <openssl/evp.h>
#include <stdlib.h>

#include "lake/debezium.h"
#include "lake/digits.h"
#include "lake/escape.h"
#include "sluice/position.h"

enum { TYPE_NAME_MAX = 64, MICRO_DIGITS = 6, MD5_BYTES = 16 };

/* A native type's name taken apart: `timestamp(3) without time zone[]`. */
struct native {
    char name[TYPE_NAME_MAX]; /* without modifier and brackets; "" = too long, so none we know */
    int32_t qualified;        /* it had a schema in front: a type of the user's or an extension's */
    int32_t array;
    int32_t has_first;
    int32_t first; /* numbers of the modifier */
    int32_t second;
};

static int32_t read_int(const char **s, const char *end)
{
    int32_t negative = *s < end && **s == '-';
    int32_t v = 0;
    *s += negative;
    while (*s < end && **s >= '0' && **s <= '9' && v < 100000000) {
        v = v * 10 + (**s - '0');
        (*s)++;
    }
    return negative ? -v : v;
}

/* Behind the last point that is not within quotes. */
static const char *last_part(const char *s, const char *end)
{
    const char *part = s;
    int32_t quoted = 0;
    for (; s < end && (quoted || *s != '('); s++) {
        if (*s == '"') {
            quoted = !quoted;
        }
        else if (*s == '.' && !quoted) {
            part = s + 1;
        }
    }
    return part;
}

static void read_native(struct sluice_bytes text, struct native *out)
{
    const char *s = text.data;
    const char *end = s + text.size;
    memset(out, 0, sizeof *out);
    if (text.size == 0) {
        return;
    }
    while (end - s > 2 && end[-1] == ']' && end[-2] == '[') {
        out->array = 1;
        end -= 2;
    }
    const char *part = last_part(s, end);
    out->qualified = part != s;
    const char *open = memchr(part, '(', (size_t)(end - part));
    const char *stop = open != NULL ? open : end;
    size_t n = (size_t)(stop - part);
    if (n >= sizeof out->name) {
        return;
    }
    memcpy(out->name, part, n);
    if (open == NULL) {
        return;
    }
    s = open + 1;
    out->has_first = s < end && ((*s >= '0' && *s <= '9') || *s == '-');
    out->first = read_int(&s, end);
    if (s < end && *s == ',') {
        s++;
        out->second = read_int(&s, end);
    }
    const char *close = memchr(open, ')', (size_t)(end - open));
    size_t rest = close != NULL ? (size_t)(end - close - 1) : 0;
    if (n + rest >= sizeof out->name) {
        out->name[0] = 0;
        return;
    }
    if (rest > 0) {
        memcpy(out->name + n, close + 1, rest);
    }
}

struct known {
    const char *name;
    int32_t kind;
    int32_t extension; /* may stand behind a schema */
};

static const struct known known_types[] = {
    {"boolean", SLUICE_LAKE_DBZ_BOOL, 0},
    {"smallint", SLUICE_LAKE_DBZ_NUMBER, 0},
    {"integer", SLUICE_LAKE_DBZ_NUMBER, 0},
    {"bigint", SLUICE_LAKE_DBZ_NUMBER, 0},
    {"oid", SLUICE_LAKE_DBZ_NUMBER, 0},
    {"int2vector", SLUICE_LAKE_DBZ_NUMBER, 0},
    {"oidvector", SLUICE_LAKE_DBZ_NUMBER, 0},
    {"real", SLUICE_LAKE_DBZ_FLOAT, 0},
    {"double precision", SLUICE_LAKE_DBZ_FLOAT, 0},
    {"numeric", SLUICE_LAKE_DBZ_VARIABLE, 0},
    {"money", SLUICE_LAKE_DBZ_MONEY, 0},
    {"bytea", SLUICE_LAKE_DBZ_BYTES, 0},
    {"bit", SLUICE_LAKE_DBZ_BITS, 0},
    {"bit varying", SLUICE_LAKE_DBZ_BITS, 0},
    {"date", SLUICE_LAKE_DBZ_DATE, 0},
    {"time without time zone", SLUICE_LAKE_DBZ_TIME, 0},
    {"time with time zone", SLUICE_LAKE_DBZ_TIMETZ, 0},
    {"timestamp without time zone", SLUICE_LAKE_DBZ_TIMESTAMP, 0},
    {"timestamp with time zone", SLUICE_LAKE_DBZ_TIMESTAMPTZ, 0},
    {"point", SLUICE_LAKE_DBZ_POINT, 0},
    {"box", SLUICE_LAKE_DBZ_BOX, 0},
    {"lseg", SLUICE_LAKE_DBZ_LSEG, 0},
    {"path", SLUICE_LAKE_DBZ_PATH, 0},
    {"polygon", SLUICE_LAKE_DBZ_POLYGON, 0},
    {"circle", SLUICE_LAKE_DBZ_CIRCLE, 0},
    {"line", SLUICE_LAKE_DBZ_LINE, 0},
    {"hstore", SLUICE_LAKE_DBZ_HSTORE, 1},
    {"geometry", SLUICE_LAKE_DBZ_GEOMETRY, 1},
    {"geography", SLUICE_LAKE_DBZ_GEOGRAPHY, 1},
    {"vector", SLUICE_LAKE_DBZ_VECTOR, 1},
    {"halfvec", SLUICE_LAKE_DBZ_VECTOR, 1},
    {"sparsevec", SLUICE_LAKE_DBZ_SPARSE_VECTOR, 1},
};

/* 1 if the name is known. */
static int32_t find_known(const struct native *native, int32_t *kind)
{
    for (size_t i = 0; i < sizeof known_types / sizeof known_types[0]; i++) {
        if (strcmp(native->name, known_types[i].name) == 0 &&
            (known_types[i].extension || !native->qualified)) {
            *kind = known_types[i].kind;
            return 1;
        }
    }
    /* interval, interval(3), interval day to second(3) */
    if (!native->qualified && strncmp(native->name, "interval", 8) == 0 &&
        (native->name[8] == 0 || native->name[8] == ' ')) {
        *kind = SLUICE_LAKE_DBZ_INTERVAL;
        return 1;
    }
    return 0;
}

/* A domain, say: the text class tells what its base is. A number outside of arrays is a numeric,
 * since all others have an Arrow type of their own. */
static int32_t class_kind(char letter, int32_t array)
{
    switch (letter) {
    case 'n':
        return array ? SLUICE_LAKE_DBZ_NUMBER : SLUICE_LAKE_DBZ_VARIABLE;
    case 'b':
        return SLUICE_LAKE_DBZ_BOOL;
    case 'x':
        return SLUICE_LAKE_DBZ_BYTES;
    case 'd':
        return SLUICE_LAKE_DBZ_DATE;
    case 't':
        return SLUICE_LAKE_DBZ_TIMESTAMP;
    case 'z':
        return SLUICE_LAKE_DBZ_TIMESTAMPTZ;
    default:
        return SLUICE_LAKE_DBZ_STRING;
    }
}

static void choose_kind(const struct ArrowSchema *field, const struct native *native,
                        struct sluice_lake_dbz_cell *cell)
{
    struct sluice_bytes cls = sluice_schema_metadata(field, "sluice:text");
    const char *text = cls.data;
    if (cls.size >= 4 && text[0] == '[' && text[cls.size - 1] == ']') {
        cell->array = 1;
        cell->delimiter = (uint8_t)text[cls.size - 2];
    }
    char letter = cls.size == 0 ? 's' : cell->array ? text[1] : text[0];
    /* An array by name but not by class is one whose output is its own. */
    if ((native->array && !cell->array) || !find_known(native, &cell->kind)) {
        cell->kind = class_kind(letter, cell->array);
    }
    if (cell->kind == SLUICE_LAKE_DBZ_VARIABLE && native->has_first) {
        cell->kind = SLUICE_LAKE_DBZ_DECIMAL;
        cell->scale = native->second;
    }
    if (cell->kind == SLUICE_LAKE_DBZ_MONEY) {
        cell->scale = 2; /* Debezium's default of money.fraction.digits */
    }
    if (cell->kind == SLUICE_LAKE_DBZ_BITS && native->has_first && native->first == 1) {
        cell->kind = SLUICE_LAKE_DBZ_BIT;
    }
}

/* ---------------------------------------------------------------- what was not sent ---------- */

struct text {
    uint8_t *data;
    uint32_t size;
};

static void add(struct text *t, const void *data, size_t n)
{
    memcpy(t->data + t->size, data, n);
    t->size += (uint32_t)n;
}

static void add_string(struct text *t, const char *value)
{
    add(t, "\"", 1);
    t->size = (uint32_t)(sluice_lake_json_escape(t->data + t->size, (const uint8_t *)value,
                                                 strlen(value)) -
                         t->data);
    add(t, "\"", 1);
}

/* bytea: base64 of the text's bytes; as hexadecimal digits the text itself, as Debezium has it. */
static void add_bytes(struct text *t, const char *value, int32_t mode)
{
    if (mode == SLUICE_LAKE_BYTES_HEX) {
        add_string(t, value);
        return;
    }
    add(t, "\"", 1);
    uint8_t *start = t->data + t->size;
    t->size += (uint32_t)sluice_base64_encode(value, strlen(value), (char *)start);
    for (uint8_t *p = start; p < t->data + t->size && mode == SLUICE_LAKE_BYTES_BASE64_URL; p++) {
        *p = *p == '+' ? (uint8_t)'-' : *p == '/' ? (uint8_t)'_' : *p;
    }
    add(t, "\"", 1);
}

/* A number for each byte. */
static void add_codes(struct text *t, const char *value)
{
    for (size_t i = 0; value[i] != 0; i++) {
        if (i > 0) {
            add(t, ",", 1);
        }
        /* Java's bytes are signed */
        const uint8_t *end = sluice_lake_put_i64(t->data + t->size, (int8_t)value[i]);
        t->size = (uint32_t)(end - t->data);
    }
}

/* A version 3 UUID of the text. */
static sluice_status add_uuid(struct text *t, const char *value, struct sluice_error *err)
{
    uint8_t md[EVP_MAX_MD_SIZE];
    char hex[2 * MD5_BYTES + 1];
    unsigned int size = 0;
    if (EVP_Digest(value, strlen(value), md, &size, EVP_md5(), NULL) != 1 || size != MD5_BYTES) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0,
                                "the placeholder of uuid[] needs MD5, which OpenSSL refuses");
    }
    md[6] = (uint8_t)((md[6] & 0x0f) | 0x30);
    md[8] = (uint8_t)((md[8] & 0x3f) | 0x80);
    sluice_hex_encode(md, MD5_BYTES, hex);
    add(t, "\"", 1);
    for (uint32_t i = 0; i < 2 * MD5_BYTES; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20) {
            add(t, "-", 1);
        }
        add(t, hex + i, 1);
    }
    add(t, "\"", 1);
    return SLUICE_OK;
}

static int32_t is_one_of(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcmp(name, *names) == 0) {
            return 1;
        }
    }
    return 0;
}

static sluice_status add_array(struct text *t, const struct native *native, const char *value,
                               int32_t binary, struct sluice_error *err)
{
    static const char *const texts[] = {"text", "character varying", "character", "json", "jsonb",
                                        NULL};
    static const char *const codes[] = {"integer", "date", "bigint", NULL};
    int32_t is_text = is_one_of(native->name, texts);
    int32_t is_codes = is_one_of(native->name, codes);
    int32_t is_bytes = strcmp(native->name, "bytea") == 0;
    int32_t is_uuid = strcmp(native->name, "uuid") == 0;
    sluice_status st = SLUICE_OK;
    if (native->qualified || !(is_text || is_codes || is_bytes || is_uuid)) {
        add_string(t, value);
        return SLUICE_OK;
    }
    add(t, "[", 1);
    if (is_text) {
        add_string(t, value);
    }
    else if (is_codes) {
        add_codes(t, value);
    }
    else if (is_bytes) {
        add_bytes(t, value, binary);
    }
    else {
        st = add_uuid(t, value, err);
    }
    add(t, "]", 1);
    return st;
}

static void add_hstore(struct text *t, const char *value, int32_t mode)
{
    struct text inner = {t->data + t->size, 0};
    add(&inner, "{", 1);
    add_string(&inner, value);
    add(&inner, ":", 1);
    add_string(&inner, value);
    add(&inner, "}", 1);
    if (mode == SLUICE_LAKE_HSTORE_MAP) {
        t->size += inner.size;
        return;
    }
    /* As a JSON string: every quote and backslash is escaped once more, from the end on. */
    uint32_t grown = inner.size;
    for (uint32_t i = 0; i < inner.size; i++) {
        grown += inner.data[i] == '"' || inner.data[i] == '\\' ? 1u : 0u;
    }
    uint8_t *to = inner.data + grown + 1;
    *to = '"';
    for (uint32_t i = inner.size; i > 0; i--) {
        uint8_t c = inner.data[i - 1];
        *--to = c;
        if (c == '"' || c == '\\') {
            *--to = '\\';
        }
    }
    *--to = '"';
    t->size += grown + 2;
}

static sluice_status make_unavailable(const struct sluice_lake_change_options *options,
                                      const struct native *native, const struct sluice_type *type,
                                      struct sluice_lake_dbz_cell *cell, struct sluice_error *err)
{
    const char *value = options->unavailable_value != NULL ? options->unavailable_value
                                                           : "__debezium_unavailable_value";
    /* the longest: an hstore in a string, each byte \u00xx, twice */
    struct text t = {malloc(strlen(value) * 16 + SLUICE_LAKE_SLACK * 2), 0};
    sluice_status st = SLUICE_OK;
    if (t.data == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a placeholder");
    }
    if (cell->array) {
        st = add_array(&t, native, value, options->binary_handling_mode, err);
    }
    else if (cell->kind == SLUICE_LAKE_DBZ_HSTORE) {
        add_hstore(&t, value, options->hstore_handling_mode);
    }
    else if (cell->kind == SLUICE_LAKE_DBZ_BYTES || type->id == SLUICE_TYPE_BINARY ||
             type->id == SLUICE_TYPE_LARGE_BINARY) {
        add_bytes(&t, value, options->binary_handling_mode);
    }
    else {
        add_string(&t, value);
    }
    cell->unavailable = t.data;
    cell->unavailable_size = t.size;
    return st;
}

/* ---------------------------------------------------------------- cells ---------------------- */

sluice_status sluice_lake_dbz_cell_make(struct sluice_lake_dbz *enc,
                                        const struct ArrowSchema *field,
                                        struct sluice_lake_dbz_cell *cell, struct sluice_error *err)
{
    const struct sluice_lake_change_options *options = enc->options;
    struct sluice_type type;
    struct native native;
    SLUICE_TRY(sluice_type_parse(field->format, &type, err));
    read_native(sluice_schema_metadata(field, "sluice:native_type"), &native);
    cell->name = field->name;
    cell->special = sluice_schema_metadata_is(field, "sluice:special", "1");
    cell->digits = native.has_first && native.first >= 0 && native.first <= MICRO_DIGITS
                       ? native.first
                       : MICRO_DIGITS;
    if (type.id == SLUICE_TYPE_UTF8 || type.id == SLUICE_TYPE_LARGE_UTF8) {
        choose_kind(field, &native, cell);
        sluice_lake_dbz_text_cell(options, &type, cell);
    }
    else {
        if (type.id == SLUICE_TYPE_FIXED_BINARY && type.width == 16 &&
            sluice_schema_metadata_is(field, "ARROW:extension:name", "arrow.uuid")) {
            cell->kind = SLUICE_LAKE_DBZ_UUID;
        }
        SLUICE_TRY(sluice_lake_dbz_arrow_cell(options, &type, cell, err));
    }
    return make_unavailable(options, &native, &type, cell, err);
}
