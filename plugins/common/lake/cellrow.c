#include "lake/cellrow.h"

#include <stdlib.h>
#include <string.h>

#include "lake/escape.h"
#include "sluice/position.h"
#include "sluice/schema.h"

enum { META_OP, META_POS, META_SEQ, META_UNCHANGED, META_COUNT };
enum { NOT_COMPARED = -1, META_BASE = 1 << 30, COLUMNS_START = 64, NEST_MAX = 64 };

static const char *const meta_words[META_COUNT] = {"op", "pos", "seq", "unchanged"};

/* What stands in the way of comparing a cell byte for byte. */
enum { AS_IT_IS, BINARY, NESTED };

struct column {
    char *name;    /* as JSON, with quotes */
    size_t size;   /* of the name */
    int32_t shape; /* AS_IT_IS … */
    struct sluice_lake_class *cls;
};

struct sluice_lake_row_reader {
    struct column *columns;
    uint32_t count;
    int32_t format;
    int32_t binary;
    int32_t has_meta;
    struct column meta[META_COUNT]; /* names alone */
    const char *prefix;             /* that they were made of; borrowed */
    struct sluice_bytes *cells;
    struct sluice_bytes found[META_COUNT];
    int32_t *header; /* CSV: which column a field is, META_BASE + n, or NOT_COMPARED */
    uint32_t header_count;
    uint32_t header_cap;
    uint8_t *text; /* of cells that are not in the record as they stand */
    size_t text_size;
    size_t text_cap;
};

static sluice_status no_memory(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a row");
}

static sluice_status malformed(struct sluice_error *err, const char *why)
{
    return sluice_error_set(err, SLUICE_E_DATA, 0, "no row as sluice writes it: %s", why);
}

/* ---- making ---- */

static int make_name(struct column *column, const char *prefix, const char *name)
{
    const size_t a = strlen(prefix);
    const size_t b = strlen(name);
    uint8_t *text = malloc((a + b) * 6 + SLUICE_LAKE_SLACK);
    if (text == NULL) {
        return 0;
    }
    uint8_t *p = text;
    *p++ = '"';
    p = sluice_lake_json_escape(p, (const uint8_t *)prefix, a);
    p = sluice_lake_json_escape(p, (const uint8_t *)name, b);
    *p++ = '"';
    *p = 0;
    free(column->name);
    column->name = (char *)text;
    column->size = (size_t)(p - text);
    return 1;
}

static int has_binary(const struct sluice_lake_class *cls)
{
    int found = cls->kind == 'x';
    for (uint32_t i = 0; i < cls->count && !found; i++) {
        found = has_binary(&cls->items[i]); /* depth is bounded by the parser */
    }
    return found;
}

static sluice_status choose_shape(struct column *column, const struct ArrowSchema *field,
                                  struct sluice_error *err)
{
    struct sluice_type type;
    struct sluice_bytes text = sluice_schema_metadata(field, "sluice:text");
    SLUICE_TRY(sluice_type_parse(field->format, &type, err));
    if (type.id == SLUICE_TYPE_BINARY || type.id == SLUICE_TYPE_LARGE_BINARY) {
        column->shape = BINARY;
        return SLUICE_OK;
    }
    if ((type.id == SLUICE_TYPE_UTF8 || type.id == SLUICE_TYPE_LARGE_UTF8) && text.size > 0) {
        SLUICE_TRY(sluice_lake_class_parse(text.data, text.size, &column->cls, err));
        column->shape = has_binary(column->cls) ? NESTED : AS_IT_IS;
    }
    return SLUICE_OK;
}

sluice_status sluice_lake_row_reader_create(const struct sluice_stream_desc *desc, int32_t binary,
                                            struct sluice_lake_row_reader **out,
                                            struct sluice_error *err)
{
    struct sluice_lake_row_reader *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return no_memory(err);
    }
    const uint64_t n = (uint64_t)desc->schema->n_children;
    r->binary = binary;
    r->columns = calloc(n + 1, sizeof *r->columns);
    r->cells = calloc(n + 1, sizeof *r->cells);
    sluice_status status = r->columns != NULL && r->cells != NULL ? SLUICE_OK : no_memory(err);
    for (uint32_t i = 0; i < n && status >= 0; i++) {
        const struct ArrowSchema *field = desc->schema->children[i];
        r->count++;
        status = make_name(&r->columns[i], "", field->name)
                     ? choose_shape(&r->columns[i], field, err)
                     : no_memory(err);
    }
    if (status < 0) {
        sluice_lake_row_reader_free(r);
        return status;
    }
    *out = r;
    return SLUICE_OK;
}

void sluice_lake_row_reader_free(struct sluice_lake_row_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    for (uint32_t i = 0; i < reader->count; i++) {
        free(reader->columns[i].name);
        sluice_lake_class_free(reader->columns[i].cls);
    }
    for (int i = 0; i < META_COUNT; i++) {
        free(reader->meta[i].name);
    }
    free(reader->columns);
    free(reader->cells);
    free(reader->header);
    free(reader->text);
    free(reader);
}

void sluice_lake_row_reader_begin(struct sluice_lake_row_reader *reader, int32_t format,
                                  const char *prefix)
{
    reader->format = format;
    reader->prefix = prefix;
    reader->has_meta = prefix != NULL;
    reader->header_count = 0;
    for (int i = 0; i < META_COUNT; i++) {
        free(reader->meta[i].name);
        reader->meta[i].name = NULL;
    }
}

static int names_are(const struct column *column, const uint8_t *name, size_t size)
{
    return column->size == size && memcmp(column->name, name, size) == 0;
}

/* Which column a JSON name (with quotes) is; `guess` is tried first. */
static int32_t column_of(const struct sluice_lake_row_reader *r, const uint8_t *name, size_t size,
                         uint32_t guess)
{
    for (int i = 0; r->has_meta && i < META_COUNT; i++) {
        if (names_are(&r->meta[i], name, size)) {
            return META_BASE + i;
        }
    }
    if (guess < r->count && names_are(&r->columns[guess], name, size)) {
        return (int32_t)guess;
    }
    for (uint32_t i = 0; i < r->count; i++) {
        if (names_are(&r->columns[i], name, size)) {
            return (int32_t)i;
        }
    }
    return NOT_COMPARED;
}

/* ---- texts of our own ---- */

/* Room for so much more; earlier texts move, so cells hold offsets until the record is whole. */
static int text_room(struct sluice_lake_row_reader *r, size_t more)
{
    if (r->text_cap - r->text_size >= more) {
        return 1;
    }
    size_t cap = r->text_cap > 0 ? r->text_cap : 4096;
    while (cap - r->text_size < more) {
        cap *= 2;
    }
    uint8_t *grown = realloc(r->text, cap);
    if (grown == NULL) {
        return 0;
    }
    r->text = grown;
    r->text_cap = cap;
    return 1;
}

static int text_add(struct sluice_lake_row_reader *r, const uint8_t *data, size_t size)
{
    if (!text_room(r, size)) {
        return 0;
    }
    memcpy(r->text + r->text_size, data, size);
    r->text_size += size;
    return 1;
}

/* ---- JSON ---- */

/* Behind the string that begins at p; NULL = it has no end. */
static uint8_t *skip_string(uint8_t *p, const uint8_t *end)
{
    for (p++; p < end; p++) {
        if (*p == '\\') {
            p++;
        }
        else if (*p == '"') {
            return p + 1;
        }
    }
    return NULL;
}

/* Behind the value at p; NULL = malformed. */
static uint8_t *skip_value(uint8_t *p, const uint8_t *end)
{
    size_t depth = 0;
    while (p != NULL && p < end) {
        switch (*p) {
        case '"':
            p = skip_string(p, end);
            if (depth == 0) {
                return p;
            }
            break;
        case '{':
        case '[':
            depth++;
            p++;
            break;
        case '}':
        case ']':
            if (depth == 0) {
                return p;
            }
            p++;
            if (--depth == 0) {
                return p;
            }
            break;
        case ',':
            if (depth == 0) {
                return p;
            }
            p++;
            break;
        default:
            p++;
        }
    }
    return depth == 0 ? p : NULL;
}

static sluice_status add_hex(struct sluice_lake_row_reader *r, const uint8_t *p, size_t size,
                             struct sluice_error *err)
{
    /* Between the quotes: base64, as "\\x…" of three characters for four. */
    uint64_t n = 0;
    uint8_t *bytes = malloc(size + 4);
    if (bytes == NULL) {
        return no_memory(err);
    }
    sluice_status status =
        size > 2 ? sluice_base64_decode((const char *)p + 1, size - 2, bytes, &n, err) : SLUICE_OK;
    if (status >= 0 && !text_room(r, 2 * n + 8)) {
        status = no_memory(err);
    }
    if (status >= 0) {
        uint8_t *to = r->text + r->text_size;
        memcpy(to, "\"\\\\x", 4);
        sluice_hex_encode(bytes, n, (char *)to + 4);
        to[4 + 2 * n] = '"';
        r->text_size += 5 + 2 * n;
    }
    free(bytes);
    return status;
}

/* Copies a value, its binary parts as hex. */
static sluice_status add_nested(struct sluice_lake_row_reader *r,
                                const struct sluice_lake_class *cls, uint8_t *p, uint8_t *end,
                                int depth, struct sluice_error *err)
{
    if (*p == '"' && cls->kind == 'x') {
        return add_hex(r, p, (size_t)(end - p), err);
    }
    if ((*p != '[' && *p != '{') || cls->count == 0 || depth == NEST_MAX) {
        return text_add(r, p, (size_t)(end - p)) ? SLUICE_OK : no_memory(err);
    }
    const int object = *p == '{';
    uint32_t field = 0;
    uint8_t *at = p + 1;
    sluice_status status = text_add(r, p, 1) ? SLUICE_OK : no_memory(err);
    while (status >= 0 && at < end - 1) {
        uint8_t *from = at;
        if (object) {
            at = skip_string(at, end);
            if (at == NULL || at >= end || *at != ':' || field >= cls->count) {
                return malformed(err, "a nested value is not closed");
            }
            at++;
        }
        uint8_t *value_end = skip_value(at, end - 1);
        if (value_end == NULL || value_end == at) {
            return malformed(err, "a nested value is not closed");
        }
        status = text_add(r, from, (size_t)(at - from)) ? SLUICE_OK : no_memory(err);
        if (status >= 0) {
            /* An array in an array is one more dimension of the same. */
            const struct sluice_lake_class *item = object       ? &cls->items[field]
                                                   : *at == '[' ? cls
                                                                : &cls->items[0];
            status = add_nested(r, item, at, value_end, depth + 1, err);
        }
        at = value_end;
        field++;
        if (status >= 0 && at < end - 1) {
            status = text_add(r, at, 1) ? SLUICE_OK : no_memory(err);
            at++;
        }
    }
    if (status >= 0) {
        status = text_add(r, end - 1, 1) ? SLUICE_OK : no_memory(err);
    }
    return status;
}

/* A cell of our own text: its offset now, its address when the record is whole. */
#define OWN_TEXT UINT64_C(0x8000000000000000)

static sluice_status take_cell(struct sluice_lake_row_reader *r, uint32_t i, uint8_t *p,
                               uint8_t *end, struct sluice_error *err)
{
    const struct column *column = &r->columns[i];
    const size_t size = (size_t)(end - p);
    r->cells[i] = (struct sluice_bytes){p, size};
    if (column->shape == AS_IT_IS || r->binary == SLUICE_LAKE_HEX || *p == 'n') {
        return SLUICE_OK;
    }
    const size_t from = r->text_size;
    SLUICE_TRY(column->shape == BINARY ? add_hex(r, p, size, err)
                                       : add_nested(r, column->cls, p, end, 0, err));
    r->cells[i] = (struct sluice_bytes){(const void *)(uintptr_t)(from + 1),
                                        (r->text_size - from) | OWN_TEXT};
    return SLUICE_OK;
}

static sluice_status read_json(struct sluice_lake_row_reader *r, uint8_t *p, uint8_t *end,
                               struct sluice_error *err)
{
    uint32_t guess = 0;
    if (p == end || *p++ != '{') {
        return malformed(err, "a line does not begin with {");
    }
    while (p < end && *p == '"') {
        uint8_t *name = p;
        p = skip_string(p, end);
        if (p == NULL || p >= end || *p != ':') {
            return malformed(err, "a name has no value");
        }
        const size_t size = (size_t)(p - name);
        uint8_t *value = ++p;
        p = skip_value(p, end);
        if (p == NULL || p == value || p >= end) {
            return malformed(err, "a value is not closed");
        }
        const int32_t at = column_of(r, name, size, guess);
        if (at >= META_BASE) {
            r->found[at - META_BASE] = (struct sluice_bytes){value, (uint64_t)(p - value)};
        }
        else if (at != NOT_COMPARED) {
            SLUICE_TRY(take_cell(r, (uint32_t)at, value, p, err));
            guess = (uint32_t)at + 1;
        }
        p += *p == ',' ? 1 : 0;
    }
    return p + 1 == end && *p == '}' ? SLUICE_OK : malformed(err, "a line does not end with }");
}

/* ---- CSV ---- */

/* The field at p: its text (unquoted in place), whether it was quoted, and what is behind it. */
static uint8_t *take_field(uint8_t *p, const uint8_t *end, struct sluice_bytes *out, int *quoted)
{
    *quoted = p < end && *p == '"';
    uint8_t *from = p;
    if (!*quoted) {
        while (p < end && *p != ',') {
            p++;
        }
        *out = (struct sluice_bytes){from, (uint64_t)(p - from)};
        return p;
    }
    uint8_t *to = ++from;
    for (p = from; p < end; p++) {
        if (*p == '"') {
            if (p + 1 == end || p[1] != '"') {
                p++;
                break;
            }
            p++;
        }
        *to++ = *p;
    }
    *out = (struct sluice_bytes){from, (uint64_t)(to - from)};
    return p;
}

/* A text as JSON string. */
static int add_string(struct sluice_lake_row_reader *r, struct sluice_bytes text)
{
    if (!text_room(r, text.size * 6 + 2 + SLUICE_LAKE_SLACK)) {
        return 0;
    }
    uint8_t *p = r->text + r->text_size;
    *p++ = '"';
    p = sluice_lake_json_escape(p, text.data, text.size);
    *p++ = '"';
    r->text_size = (size_t)(p - r->text);
    return 1;
}

static sluice_status take_header_field(struct sluice_lake_row_reader *r, struct sluice_bytes text,
                                       struct sluice_error *err)
{
    if (r->header_count == r->header_cap) {
        const uint32_t cap = r->header_cap > 0 ? r->header_cap * 2 : COLUMNS_START;
        int32_t *grown = realloc(r->header, cap * sizeof *grown);
        if (grown == NULL) {
            return no_memory(err);
        }
        r->header = grown;
        r->header_cap = cap;
    }
    r->text_size = 0;
    if (!add_string(r, text)) {
        return no_memory(err);
    }
    r->header[r->header_count] = column_of(r, r->text, r->text_size, r->header_count);
    r->header_count++;
    return SLUICE_OK;
}

static sluice_status take_csv_field(struct sluice_lake_row_reader *r, uint32_t at,
                                    struct sluice_bytes text, int quoted, struct sluice_error *err)
{
    if (at >= r->header_count) {
        return malformed(err, "a record has more fields than its header");
    }
    const int32_t column = r->header[at];
    if (column >= META_BASE) {
        r->found[column - META_BASE] = text;
        return SLUICE_OK;
    }
    if (column == NOT_COMPARED || (text.size == 0 && !quoted)) {
        return SLUICE_OK; /* NULL, as all cells are in the beginning */
    }
    const size_t from = r->text_size;
    if (!add_string(r, text)) {
        return no_memory(err);
    }
    r->cells[column] = (struct sluice_bytes){(const void *)(uintptr_t)(from + 1),
                                             (r->text_size - from) | OWN_TEXT};
    return SLUICE_OK;
}

/* AGAIN = it was the header. */
static sluice_status read_csv(struct sluice_lake_row_reader *r, uint8_t *p, const uint8_t *end,
                              struct sluice_error *err)
{
    const int header = r->header_count == 0;
    uint32_t at = 0;
    for (;;) {
        struct sluice_bytes text;
        int quoted = 0;
        p = take_field(p, end, &text, &quoted);
        SLUICE_TRY(header ? take_header_field(r, text, err)
                          : take_csv_field(r, at, text, quoted, err));
        at++;
        if (p >= end) {
            break;
        }
        if (*p++ != ',') {
            return malformed(err, "text behind a quoted field");
        }
    }
    if (!header && at != r->header_count) {
        return malformed(err, "a record has fewer fields than its header");
    }
    return header ? SLUICE_AGAIN : SLUICE_OK;
}

/* ---- both ---- */

/* Columns named in the array were not sent. */
static sluice_status mark_unchanged(struct sluice_lake_row_reader *r, struct sluice_error *err)
{
    uint8_t *p = (uint8_t *)(uintptr_t)r->found[META_UNCHANGED].data;
    uint8_t *end = p + r->found[META_UNCHANGED].size;
    if (p == end || *p != '[') {
        return SLUICE_OK; /* null, or nothing */
    }
    for (p++; p < end && *p == '"'; p += p < end && *p == ',' ? 1 : 0) {
        uint8_t *name = p;
        p = skip_string(p, end);
        if (p == NULL) {
            break;
        }
        const int32_t at = column_of(r, name, (size_t)(p - name), 0);
        if (at >= 0 && at < META_BASE) {
            r->cells[at] = (struct sluice_bytes){NULL, 0};
        }
    }
    return p != NULL && p + 1 == end ? SLUICE_OK : malformed(err, "its unchanged columns");
}

static struct sluice_bytes bare(struct sluice_bytes text)
{
    const uint8_t *p = text.data;
    if (text.size >= 2 && p[0] == '"') {
        return (struct sluice_bytes){p + 1, text.size - 2};
    }
    return text.size == 4 && memcmp(p, "null", 4) == 0 ? (struct sluice_bytes){NULL, 0} : text;
}

static sluice_status take_meta(struct sluice_lake_row_reader *r, struct sluice_lake_row *out,
                               struct sluice_error *err)
{
    const struct sluice_bytes op = bare(r->found[META_OP]);
    const struct sluice_bytes seq = r->found[META_SEQ];
    if (op.size != 1 || strchr("RIUDT", *(const char *)op.data) == NULL) {
        return malformed(err, "it has no operation");
    }
    out->op = *(const uint8_t *)op.data;
    out->position = bare(r->found[META_POS]);
    for (uint64_t i = 0; i < seq.size; i++) {
        const uint8_t digit = ((const uint8_t *)seq.data)[i];
        if (digit < '0' || digit > '9') {
            return malformed(err, "its number is none");
        }
        out->seq = out->seq * 10u + (digit - '0');
    }
    return mark_unchanged(r, err);
}

sluice_status sluice_lake_row_read(struct sluice_lake_row_reader *reader, uint8_t *data,
                                   size_t size, struct sluice_lake_row *out,
                                   struct sluice_error *err)
{
    static const char null_text[] = "null";
    struct sluice_lake_row_reader *r = reader;
    *out = (struct sluice_lake_row){.op = 'R', .cells = r->cells};
    for (int i = 0; r->has_meta && i < META_COUNT; i++) {
        r->found[i] = (struct sluice_bytes){NULL, 0};
        if (r->meta[i].name == NULL && !make_name(&r->meta[i], r->prefix, meta_words[i])) {
            return no_memory(err);
        }
    }
    for (uint32_t i = 0; i < r->count; i++) {
        r->cells[i] = (struct sluice_bytes){null_text, 4}; /* of a version that lacks the column */
    }
    r->text_size = 0;
    const sluice_status status = r->format == SLUICE_LAKE_JSONL
                                     ? read_json(r, data, data + size, err)
                                     : read_csv(r, data, data + size, err);
    if (status != SLUICE_OK) {
        return status;
    }
    for (uint32_t i = 0; i < r->count; i++) {
        if ((r->cells[i].size & OWN_TEXT) != 0) {
            r->cells[i].data = r->text + (uintptr_t)r->cells[i].data - 1;
            r->cells[i].size &= ~OWN_TEXT;
        }
    }
    return r->has_meta ? take_meta(r, out, err) : SLUICE_OK;
}
