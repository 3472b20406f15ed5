/*
 * Array and composite literals to JSON. Text of class `s` is unescaped on the way, without a copy,
 * however long it is; other nested values are unescaped into scratch memory, one copy per level.
 */
#include "lake/textclass.h"

#include <stdlib.h>

#include "lake/escape.h"

struct render {
    struct sluice_lake_out *out;
    uint8_t *p;
    uint8_t *scratch; /* free part; each level takes what it needs from the front */
    int32_t hex;
};

static void value_json(struct render *r, const struct sluice_lake_class *cls, const uint8_t *s,
                       size_t n);

static void fail(struct render *r, const char *what)
{
    if (r->out->status >= 0) {
        r->out->status = sluice_error_set(r->out->err, SLUICE_E_DATA, 0,
                                          "the text of a value does not fit its type: %s", what);
    }
}

static void put(struct render *r, const char *text, size_t n)
{
    r->p = sluice_lake_out_room(r->out, r->p, n);
    memcpy(r->p, text, n);
    r->p += n;
}

static void put_byte(struct render *r, char c)
{
    r->p = sluice_lake_out_room(r->out, r->p, 1);
    *r->p++ = (uint8_t)c;
}

static void put_string(struct render *r, const uint8_t *s, size_t n)
{
    put_byte(r, '"');
    r->p = sluice_lake_json_text(r->out, r->p, s, n);
    put_byte(r, '"');
}

/* A number as JSON has it: -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static int32_t is_number(const uint8_t *s, size_t n)
{
    const uint8_t *end = s + n;
    if (s < end && *s == '-') {
        s++;
    }
    if (s == end || *s < '0' || *s > '9') {
        return 0;
    }
    if (*s++ != '0') {
        while (s < end && *s >= '0' && *s <= '9') {
            s++;
        }
    }
    if (s < end && *s == '.') {
        const uint8_t *first = ++s;
        while (s < end && *s >= '0' && *s <= '9') {
            s++;
        }
        if (s == first) {
            return 0;
        }
    }
    if (s < end && (*s == 'e' || *s == 'E')) {
        s++;
        if (s < end && (*s == '+' || *s == '-')) {
            s++;
        }
        const uint8_t *first = s;
        while (s < end && *s >= '0' && *s <= '9') {
            s++;
        }
        if (s == first) {
            return 0;
        }
    }
    return s == end;
}

/* `2024-01-02 03:04:05+00 BC`: T between date and time, minutes behind the zone. */
static void timestamp_json(struct render *r, const uint8_t *s, size_t n, int32_t zone)
{
    const uint8_t *blank = memchr(s, ' ', n);
    put_byte(r, '"');
    if (blank == NULL) { /* infinity, -infinity */
        r->p = sluice_lake_json_text(r->out, r->p, s, n);
        put_byte(r, '"');
        return;
    }
    r->p = sluice_lake_json_text(r->out, r->p, s, (size_t)(blank - s));
    put_byte(r, 'T');
    size_t rest = n - (size_t)(blank - s) - 1;
    const uint8_t *time = blank + 1;
    const uint8_t *era = memchr(time, ' ', rest);
    size_t clock = era == NULL ? rest : (size_t)(era - time);
    r->p = sluice_lake_json_text(r->out, r->p, time, clock);
    if (zone && clock >= 3 && (time[clock - 3] == '+' || time[clock - 3] == '-')) {
        put(r, ":00", 3);
    }
    r->p = sluice_lake_json_text(r->out, r->p, time + clock, rest - clock);
    put_byte(r, '"');
}

static int32_t nibble(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* `\x` and hex digits. */
static void binary_json(struct render *r, const uint8_t *s, size_t n)
{
    uint8_t bytes[3072]; /* divides by 3: no padding between pieces */
    if (r->hex) {
        put_string(r, s, n);
        return;
    }
    if (n < 2 || n % 2 != 0 || s[0] != '\\' || s[1] != 'x') {
        fail(r, "bytea expected");
        return;
    }
    put_byte(r, '"');
    s += 2;
    n -= 2;
    while (n > 0) {
        size_t take = n / 2 < sizeof bytes ? n / 2 : sizeof bytes;
        for (size_t i = 0; i < take; i++) {
            int32_t high = nibble(s[i * 2]);
            int32_t low = nibble(s[i * 2 + 1]);
            if (high < 0 || low < 0) {
                fail(r, "hex digit expected");
                return;
            }
            bytes[i] = (uint8_t)(high << 4 | low);
        }
        r->p = sluice_lake_put_base64(r->out, r->p, bytes, take);
        s += take * 2;
        n -= take * 2;
    }
    put_byte(r, '"');
}

static void leaf_json(struct render *r, int32_t kind, const uint8_t *s, size_t n)
{
    switch (kind) {
    case 'n':
        if (is_number(s, n)) {
            r->p = sluice_lake_out_bytes(r->out, r->p, s, n);
            return;
        }
        put_string(r, s, n);
        return;
    case 'b':
        if (n != 1 || (s[0] != 't' && s[0] != 'f')) {
            fail(r, "t or f expected");
            return;
        }
        put(r, s[0] == 't' ? "true" : "false", s[0] == 't' ? 4 : 5);
        return;
    case 'j':
        r->p = sluice_lake_json_verbatim(r->out, r->p, s, n);
        return;
    case 'x':
        binary_json(r, s, n);
        return;
    case 't':
    case 'z':
        timestamp_json(r, s, n, kind == 'z');
        return;
    default: /* s, d */
        put_string(r, s, n);
        return;
    }
}

/* End of what follows the opening quote at *s: just behind the closing one, or NULL. `doubled`: ""
 * stands for a quote (composites). *escapes: 1 if there is anything to unescape. */
static const uint8_t *quoted_end(const uint8_t *s, const uint8_t *end, int32_t doubled,
                                 int32_t *escapes)
{
    s++;
    while (s < end) {
        if (*s == '\\') {
            *escapes = 1;
            s += 2;
        }
        else if (*s != '"') {
            s++;
        }
        else if (doubled && s + 1 < end && s[1] == '"') {
            *escapes = 1;
            s += 2;
        }
        else {
            return s + 1;
        }
    }
    return NULL;
}

/* The next byte that quoting changes, or the end. */
static const uint8_t *next_escape(const uint8_t *s, const uint8_t *end)
{
    while (s < end && *s != '\\' && *s != '"') {
        s++;
    }
    return s;
}

/* What is between the quotes, or a bare item with backslashes, as one JSON string. */
static void escaped_string_json(struct render *r, const uint8_t *s, const uint8_t *end)
{
    put_byte(r, '"');
    while (s < end) {
        const uint8_t *stop = next_escape(s, end);
        r->p = sluice_lake_json_text(r->out, r->p, s, (size_t)(stop - s));
        s = stop;
        if (s < end) {
            s++; /* the backslash, or the first of two quotes */
            if (s < end) {
                r->p = sluice_lake_json_text(r->out, r->p, s, 1);
                s++;
            }
        }
    }
    put_byte(r, '"');
}

static size_t unescape(uint8_t *to, const uint8_t *s, const uint8_t *end)
{
    uint8_t *start = to;
    while (s < end) {
        const uint8_t *stop = next_escape(s, end);
        memcpy(to, s, (size_t)(stop - s));
        to += stop - s;
        s = stop;
        if (s < end) {
            s++;
            if (s < end) {
                *to++ = *s++;
            }
        }
    }
    return (size_t)(to - start);
}

/* One item of an array or composite: text [s, end) without its quotes. */
static void item_json(struct render *r, const struct sluice_lake_class *cls, const uint8_t *s,
                      const uint8_t *end, int32_t escapes)
{
    if (!escapes) {
        value_json(r, cls, s, (size_t)(end - s));
        return;
    }
    if (cls->kind == 's') {
        escaped_string_json(r, s, end);
        return;
    }
    uint8_t *mine = r->scratch;
    size_t n = unescape(mine, s, end);
    r->scratch = mine + n;
    value_json(r, cls, mine, n);
    r->scratch = mine;
}

static int32_t is_null_word(const uint8_t *s, size_t n)
{
    return n == 4 && (s[0] | 0x20) == 'n' && (s[1] | 0x20) == 'u' && (s[2] | 0x20) == 'l' &&
           (s[3] | 0x20) == 'l';
}

/* One element at s; returns its end, or NULL after a failure. */
static const uint8_t *element_json(struct render *r, const struct sluice_lake_class *cls,
                                   const uint8_t *s, const uint8_t *end)
{
    int32_t escapes = 0;
    if (*s == '"') {
        const uint8_t *stop = quoted_end(s, end, 0, &escapes);
        if (stop == NULL) {
            fail(r, "quote not closed in an array");
            return NULL;
        }
        item_json(r, &cls->items[0], s + 1, stop - 1, escapes);
        return stop;
    }
    const uint8_t *stop = s;
    while (stop < end && *stop != cls->delimiter && *stop != '}' && *stop != '{' && *stop != '"') {
        if (*stop == '\\') {
            escapes = 1;
            stop++;
            if (stop == end) {
                break;
            }
        }
        stop++;
    }
    if (stop == s) {
        fail(r, "element of an array expected");
        return NULL;
    }
    if (!escapes && is_null_word(s, (size_t)(stop - s))) {
        put(r, "null", 4);
    }
    else {
        item_json(r, &cls->items[0], s, stop, escapes);
    }
    return stop;
}

/* int2vector and the like: items between blanks, no braces. */
static void vector_json(struct render *r, const struct sluice_lake_class *cls, const uint8_t *s,
                        size_t n)
{
    const uint8_t *end = s + n;
    put_byte(r, '[');
    while (s < end && r->out->status >= 0) {
        const uint8_t *stop = memchr(s, ' ', (size_t)(end - s));
        if (stop == NULL) {
            stop = end;
        }
        value_json(r, &cls->items[0], s, (size_t)(stop - s));
        s = stop;
        if (s < end) {
            put_byte(r, ',');
            s++;
        }
    }
    put_byte(r, ']');
}

enum { WANT_ITEM = 1, WANT_ITEM_OR_CLOSE = 2, WANT_NEXT = 3 };

static void array_json(struct render *r, const struct sluice_lake_class *cls, const uint8_t *s,
                       size_t n)
{
    const uint8_t *end = s + n;
    int32_t depth = 0;
    int32_t want = WANT_ITEM;
    if (n > 0 && *s == '[') { /* bounds: [0:1]={…} */
        s = memchr(s, '=', n);
        s = s == NULL ? end : s + 1;
    }
    if (s == end || *s != '{') {
        fail(r, "'{' expected");
        return;
    }
    while (s < end && r->out->status >= 0) {
        if (*s == '{' && want != WANT_NEXT && depth < SLUICE_LAKE_ARRAY_DIMS) {
            depth++;
            put_byte(r, '[');
            want = WANT_ITEM_OR_CLOSE;
            s++;
        }
        else if (*s == '}' && want != WANT_ITEM) {
            put_byte(r, ']');
            want = WANT_NEXT;
            s++;
            if (--depth == 0) {
                break;
            }
        }
        else if (*s == cls->delimiter && want == WANT_NEXT) {
            put_byte(r, ',');
            want = WANT_ITEM;
            s++;
        }
        else if (want != WANT_NEXT && *s != '{') {
            s = element_json(r, cls, s, end);
            want = WANT_NEXT;
            if (s == NULL) {
                return;
            }
        }
        else {
            fail(r, "array out of shape");
            return;
        }
    }
    if (depth != 0 || s != end) {
        fail(r, "braces of an array do not match");
    }
}

/* End of the field that starts at s: just at its ',' or ')'; NULL when there is none. */
static const uint8_t *field_end(const uint8_t *s, const uint8_t *end, int32_t *escapes,
                                int32_t *parts)
{
    while (s < end && *s != ',' && *s != ')') {
        ++*parts;
        if (*s == '"') {
            s = quoted_end(s, end, 1, escapes);
            if (s == NULL) {
                return NULL;
            }
            continue;
        }
        if (*s == '\\') {
            *escapes = 1;
            s++;
        }
        s++;
    }
    return s < end ? s : NULL;
}

static void field_json(struct render *r, const struct sluice_lake_class *cls, const uint8_t *s,
                       const uint8_t *stop, int32_t escapes, int32_t parts)
{
    if (s == stop) {
        put(r, "null", 4);
        return;
    }
    if (*s == '"') {
        if (parts != 1) {
            fail(r, "field of a composite has text behind its quotes");
            return;
        }
        item_json(r, cls, s + 1, stop - 1, escapes);
        return;
    }
    if (!escapes && memchr(s, '"', (size_t)(stop - s)) != NULL) {
        fail(r, "field of a composite is quoted in part");
        return;
    }
    item_json(r, cls, s, stop, escapes);
}

static void composite_json(struct render *r, const struct sluice_lake_class *cls, const uint8_t *s,
                           size_t n)
{
    const uint8_t *end = s + n;
    if (n < 2 || *s != '(' || end[-1] != ')') {
        fail(r, "'(' and ')' expected");
        return;
    }
    put_byte(r, '{');
    s++;
    for (uint32_t i = 0; i < cls->count && r->out->status >= 0; i++) {
        const struct sluice_lake_class *field = &cls->items[i];
        int32_t escapes = 0;
        int32_t parts = 0;
        const uint8_t *stop = field_end(s, end, &escapes, &parts);
        if (stop == NULL || *stop != (i + 1 < cls->count ? ',' : ')')) {
            fail(r, "composite has another number of fields");
            return;
        }
        if (i > 0) {
            put_byte(r, ',');
        }
        r->p = sluice_lake_out_bytes(r->out, r->p, field->key, field->key_size);
        field_json(r, field, s, stop, escapes, parts);
        s = stop + 1;
    }
    if (cls->count == 0) {
        s++;
    }
    if (s != end) {
        fail(r, "something follows a composite");
    }
    put_byte(r, '}');
}

static void value_json(struct render *r, const struct sluice_lake_class *cls, const uint8_t *s,
                       size_t n)
{
    if (cls->kind == '[' && cls->delimiter == ' ') {
        vector_json(r, cls, s, n);
    }
    else if (cls->kind == '[') {
        array_json(r, cls, s, n);
    }
    else if (cls->kind == '{') {
        composite_json(r, cls, s, n);
    }
    else {
        leaf_json(r, cls->kind, s, n);
    }
}

uint8_t *sluice_lake_class_json(const struct sluice_lake_class *cls, int32_t hex,
                                struct sluice_lake_scratch *scratch, struct sluice_lake_out *out,
                                uint8_t *p, const uint8_t *text, size_t size)
{
    struct render r = {out, p, NULL, hex};
    /* Each level copies at most one item of the level above it at a time. */
    uint64_t need = (uint64_t)size * (uint64_t)cls->levels;
    if (need > scratch->cap) {
        sluice_lake_scratch_free(scratch);
        scratch->data = malloc(need);
        if (scratch->data == NULL) {
            if (out->status >= 0) {
                out->status = sluice_error_set(out->err, SLUICE_E_NOMEM, 0,
                                               "no memory to unescape a value of %llu bytes",
                                               (unsigned long long)size);
            }
            return p;
        }
        scratch->cap = need;
    }
    r.scratch = scratch->data;
    value_json(&r, cls, text, size);
    return r.p;
}
