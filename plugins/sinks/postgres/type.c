/* Which type a column of a stream has in a table that is made for it. */
#include "type.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sluice_pgsink_is_postgres(const struct sluice_stream_desc *desc)
{
    for (uint32_t i = 0; i < desc->property_count; i++) {
        if (strcmp(desc->properties[i].key, "source") == 0) {
            return strcmp(desc->properties[i].value, "postgres") == 0;
        }
    }
    return 0;
}

/* From the Arrow type: the published table of docs/type-mapping.md. */
static void arrow_name(const struct ArrowSchema *field, char *out, size_t size)
{
    static const struct {
        int32_t id;
        const char *name;
    } names[] = {
        {SLUICE_TYPE_BOOL, "boolean"},
        {SLUICE_TYPE_INT8, "smallint"},
        {SLUICE_TYPE_INT16, "smallint"},
        {SLUICE_TYPE_INT32, "integer"},
        {SLUICE_TYPE_INT64, "bigint"},
        {SLUICE_TYPE_UINT8, "smallint"},
        {SLUICE_TYPE_UINT16, "integer"},
        {SLUICE_TYPE_UINT32, "bigint"},
        {SLUICE_TYPE_UINT64, "numeric(20,0)"},
        {SLUICE_TYPE_FLOAT32, "real"},
        {SLUICE_TYPE_FLOAT64, "double precision"},
        {SLUICE_TYPE_BINARY, "bytea"},
        {SLUICE_TYPE_LARGE_BINARY, "bytea"},
        {SLUICE_TYPE_DATE32, "date"},
        {SLUICE_TYPE_TIME64_US, "time without time zone"},
        {SLUICE_TYPE_TIMESTAMP_US, "timestamp without time zone"},
        {SLUICE_TYPE_TIMESTAMP_US_UTC, "timestamp with time zone"},
        {SLUICE_TYPE_INTERVAL, "interval"},
    };
    struct sluice_type type = {0};
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    const char *name = "text";
    if (sluice_type_parse(field->format, &type, &ignored) < 0) {
        type.id = SLUICE_TYPE_UTF8;
    }
    if (type.id == SLUICE_TYPE_DECIMAL128 || type.id == SLUICE_TYPE_DECIMAL256) {
        (void)snprintf(out, size, "numeric(%d,%d)", type.precision, type.scale);
        return;
    }
    if (type.id == SLUICE_TYPE_FIXED_BINARY) {
        name = sluice_schema_metadata_is(field, "ARROW:extension:name", "arrow.uuid") ? "uuid"
                                                                                      : "bytea";
    }
    else if (sluice_schema_metadata_is(field, "ARROW:extension:name", "arrow.json")) {
        name = "jsonb";
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        name = names[i].id == type.id ? names[i].name : name;
    }
    (void)snprintf(out, size, "%s", name);
}

static void copy_bytes(struct sluice_bytes value, char *out, size_t size)
{
    (void)snprintf(out, size, "%.*s", (int)value.size,
                   value.data != NULL ? (const char *)value.data : "");
}

void sluice_pgsink_type_of(const struct sluice_stream_desc *desc, const struct ArrowSchema *field,
                           char out[SLUICE_PGSINK_TYPE_MAX])
{
    struct sluice_bytes native = sluice_schema_metadata(field, "sluice:native_type");
    struct sluice_bytes base = sluice_schema_metadata(field, "sluice:base_type");
    struct sluice_type type = {0};
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    out[0] = '\0';
    if (sluice_pgsink_is_postgres(desc) && native.size > 0 &&
        native.size < SLUICE_PGSINK_TYPE_MAX) {
        copy_bytes(base.size > 0 ? base : native, out, SLUICE_PGSINK_TYPE_MAX);
    }
    /* A transform may have made another type of it: then the native name is no longer true. */
    int text = sluice_type_parse(field->format, &type, &ignored) >= 0 &&
               (type.id == SLUICE_TYPE_UTF8 || type.id == SLUICE_TYPE_LARGE_UTF8);
    if (out[0] == '\0' || (!text && strcmp(out, "text") == 0) || strcmp(out, "unknown") == 0) {
        arrow_name(field, out, SLUICE_PGSINK_TYPE_MAX);
    }
}

void sluice_pgsink_type_arrow(const struct ArrowSchema *field, char out[SLUICE_PGSINK_TYPE_MAX])
{
    arrow_name(field, out, SLUICE_PGSINK_TYPE_MAX);
}

/* ---- defaults ---- */

/* Expressions that mean the same everywhere: literals with their cast, and a few functions. */
int sluice_pgsink_default_portable(struct sluice_bytes expression)
{
    static const char *const functions[] = {"now()",
                                            "CURRENT_TIMESTAMP",
                                            "CURRENT_DATE",
                                            "CURRENT_TIME",
                                            "LOCALTIMESTAMP",
                                            "LOCALTIME",
                                            "true",
                                            "false",
                                            "CURRENT_USER",
                                            "gen_random_uuid()",
                                            "clock_timestamp()",
                                            "statement_timestamp()"};
    const char *p = expression.data;
    size_t size = (size_t)expression.size;
    if (size == 0 || size > 4000) {
        return 0;
    }
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (strlen(functions[i]) == size && memcmp(p, functions[i], size) == 0) {
            return 1;
        }
    }
    size_t i = 0;
    if (*p == '\'') { /* a literal, quotes doubled */
        for (i = 1; i < size; i++) {
            if (p[i] == '\'' && (i + 1 == size || p[i + 1] != '\'')) {
                break;
            }
            i += p[i] == '\'';
        }
        i++;
    }
    else {
        i += *p == '-' || *p == '(';
        i += size > 1 && *p == '(' && p[1] == '-';
        size_t digits = i;
        while (i < size && (isdigit((unsigned char)p[i]) || p[i] == '.')) {
            i++;
        }
        if (i == digits) {
            return 0;
        }
        i += i < size && *p == '(' && p[i] == ')';
    }
    if (i >= size) {
        return i == size;
    }
    /* "::numeric(10,2)": a cast to a type whose name has no call in it */
    if (size - i < 3 || p[i] != ':' || p[i + 1] != ':') {
        return 0;
    }
    for (i += 2; i < size; i++) {
        if (!isalnum((unsigned char)p[i]) && strchr(" _\".,()[]", p[i]) == NULL) {
            return 0;
        }
    }
    return 1;
}

/* ---- widening ---- */

/* "numeric(12,2)" → name and up to two numbers; -1 = not given. */
static void split(const char *type, char name[SLUICE_PGSINK_TYPE_MAX], int numbers[2])
{
    const char *open = strchr(type, '(');
    numbers[0] = -1;
    numbers[1] = -1;
    (void)snprintf(name, SLUICE_PGSINK_TYPE_MAX, "%s", type);
    if (open == NULL) {
        return;
    }
    const char *from = open + 1;
    for (int i = 0; i < 2; i++) {
        char *end = NULL;
        const long n = strtol(from, &end, 10);
        numbers[i] = end != from ? (int)n : -1;
        if (end == from || *end != ',') {
            break;
        }
        from = end + 1;
    }
    char *cut = name + (open - type);
    const char *close = strchr(open, ')');
    (void)snprintf(cut, (size_t)(SLUICE_PGSINK_TYPE_MAX - (open - type)), "%s",
                   close != NULL ? close + 1 : "");
}

static int rank(const char *name)
{
    static const char *const integers[] = {"smallint", "integer", "bigint", "numeric"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(name, integers[i]) == 0) {
            return i + 1;
        }
    }
    return 0;
}

int sluice_pgsink_type_widens(const char *from, const char *to)
{
    char a[SLUICE_PGSINK_TYPE_MAX];
    char b[SLUICE_PGSINK_TYPE_MAX];
    int m[2];
    int n[2];
    split(from, a, m);
    split(to, b, n);
    if (strcmp(to, "text") == 0) {
        return strchr(from, '[') == NULL;
    }
    if (rank(a) > 0 && rank(b) > rank(a) && n[0] < 0) {
        return 1;
    }
    if (strcmp(a, "real") == 0 && strcmp(b, "double precision") == 0) {
        return 1;
    }
    if (rank(a) > 0 && rank(a) < 4 && strcmp(b, "numeric") == 0) {
        int whole = n[0] - (n[1] > 0 ? n[1] : 0);
        return whole >= (rank(a) == 1 ? 5 : rank(a) == 2 ? 10 : 19);
    }
    if (strcmp(a, b) != 0) {
        return strcmp(a, "date") == 0 && strncmp(b, "timestamp without", 17) == 0;
    }
    if (strcmp(a, "numeric") == 0) {
        int s1 = m[1] > 0 ? m[1] : 0;
        int s2 = n[1] > 0 ? n[1] : 0;
        return n[0] < 0 || (m[0] >= 0 && s2 >= s1 && n[0] - s2 >= m[0] - s1);
    }
    /* varchar(n), bit varying(n), timestamp(p) …: no number is the widest */
    return n[0] < 0 || (m[0] >= 0 && n[0] >= m[0]);
}
