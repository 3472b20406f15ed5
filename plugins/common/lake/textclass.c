/* Reading the grammar of text classes. Rendering is in textjson.c. */
#include "lake/textclass.h"

#include <stdlib.h>

#include "lake/escape.h"

struct cursor {
    const uint8_t *p;
    const uint8_t *end;
    uint32_t nodes;
    int32_t depth;
    struct sluice_error *err;
};

static void class_clear(struct sluice_lake_class *cls)
{
    for (uint32_t i = 0; i < cls->count; i++) {
        class_clear(&cls->items[i]); /* depth is bounded by the parser */
        free(cls->items[i].key);
    }
    free(cls->items);
    cls->items = NULL;
    cls->count = 0;
}

void sluice_lake_class_free(struct sluice_lake_class *cls)
{
    if (cls != NULL) {
        class_clear(cls);
        free(cls);
    }
}

void sluice_lake_scratch_free(struct sluice_lake_scratch *scratch)
{
    free(scratch->data);
    scratch->data = NULL;
    scratch->cap = 0;
}

static sluice_status malformed(struct cursor *cur, const char *what)
{
    return sluice_error_set(cur->err, SLUICE_E_SCHEMA, 0, "malformed text class: %s", what);
}

static sluice_status parse_class(struct cursor *cur, struct sluice_lake_class *cls);

static int32_t hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static uint8_t *put_utf8(uint8_t *to, uint32_t c)
{
    if (c < 0x80u) {
        *to++ = (uint8_t)c;
    }
    else if (c < 0x800u) {
        *to++ = (uint8_t)(0xc0u | c >> 6);
        *to++ = (uint8_t)(0x80u | (c & 0x3fu));
    }
    else if (c < 0x10000u) {
        *to++ = (uint8_t)(0xe0u | c >> 12);
        *to++ = (uint8_t)(0x80u | (c >> 6 & 0x3fu));
        *to++ = (uint8_t)(0x80u | (c & 0x3fu));
    }
    else {
        *to++ = (uint8_t)(0xf0u | c >> 18);
        *to++ = (uint8_t)(0x80u | (c >> 12 & 0x3fu));
        *to++ = (uint8_t)(0x80u | (c >> 6 & 0x3fu));
        *to++ = (uint8_t)(0x80u | (c & 0x3fu));
    }
    return to;
}

/* Four hex digits at the cursor, or -1. */
static int32_t parse_hex4(struct cursor *cur)
{
    if (cur->end - cur->p < 4) {
        return -1;
    }
    int32_t v = 0;
    for (int32_t i = 0; i < 4; i++) {
        int32_t digit = hex_value(cur->p[i]);
        if (digit < 0) {
            return -1;
        }
        v = v << 4 | digit;
    }
    cur->p += 4;
    return v;
}

/* \uXXXX, with a second one when it is a surrogate; behind the 'u'. */
static uint8_t *parse_unicode(struct cursor *cur, uint8_t *to)
{
    int32_t c = parse_hex4(cur);
    if (c >= 0xd800 && c < 0xdc00) {
        if (cur->end - cur->p < 6 || cur->p[0] != '\\' || cur->p[1] != 'u') {
            return NULL;
        }
        cur->p += 2;
        int32_t low = parse_hex4(cur);
        if (low < 0xdc00 || low > 0xdfff) {
            return NULL;
        }
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    else if (c < 0 || (c >= 0xdc00 && c <= 0xdfff)) {
        return NULL;
    }
    return put_utf8(to, (uint32_t)c);
}

/* A JSON string at the cursor, unescaped into `to` (room for what is left); its end or NULL. */
static uint8_t *parse_string(struct cursor *cur, uint8_t *to)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    cur->p++;
    while (cur->p < cur->end && *cur->p != '"') {
        uint8_t c = *cur->p++;
        if (c != '\\') {
            *to++ = c;
            continue;
        }
        if (cur->p == cur->end) {
            return NULL;
        }
        c = *cur->p++;
        const char *at = c != 0 ? strchr(letters, c) : NULL;
        if (at != NULL) {
            *to++ = (uint8_t)values[at - letters];
        }
        else {
            to = c == 'u' ? parse_unicode(cur, to) : NULL;
            if (to == NULL) {
                return NULL;
            }
        }
    }
    if (cur->p == cur->end) {
        return NULL;
    }
    cur->p++;
    return to;
}

/* `"name":` of a field; kept escaped as PostgreSQL escapes it. */
static sluice_status parse_key(struct cursor *cur, struct sluice_lake_class *field)
{
    if (cur->p == cur->end || *cur->p != '"') {
        return malformed(cur, "field name expected");
    }
    const uint8_t *close = cur->p + 1;
    while (close < cur->end && *close != '"') {
        close += *close == '\\' && close + 1 < cur->end ? 2 : 1;
    }
    size_t length = (size_t)(close < cur->end ? close - cur->p : cur->end - cur->p);
    uint8_t *name = malloc(length + 1);
    uint8_t *key = malloc(length * 6 + SLUICE_LAKE_SLACK);
    sluice_status st = SLUICE_OK;
    if (name == NULL || key == NULL) {
        st = sluice_error_set(cur->err, SLUICE_E_NOMEM, 0, "no memory for a field name");
        goto out;
    }
    uint8_t *end = parse_string(cur, name);
    if (end == NULL || cur->p == cur->end || *cur->p != ':') {
        st = malformed(cur, "field name is not a string followed by ':'");
        goto out;
    }
    cur->p++;
    uint8_t *p = key;
    *p++ = '"';
    p = sluice_lake_json_escape(p, name, (size_t)(end - name));
    *p++ = '"';
    *p++ = ':';
    field->key = (char *)key;
    field->key_size = (uint32_t)(p - key);
    key = NULL;
out:
    free(key);
    free(name);
    return st;
}

/* Scratch copies for an item in its container: strings are unescaped on the way. */
static int32_t levels_above(const struct sluice_lake_class *item)
{
    return item->kind == 's' ? 0 : item->levels + 1;
}

static sluice_status parse_fields(struct cursor *cur, struct sluice_lake_class *cls)
{
    uint32_t cap = 0;
    if (cur->p < cur->end && *cur->p == '}') {
        cur->p++;
        return SLUICE_OK;
    }
    for (;;) {
        if (cls->count == cap) {
            cap = cap == 0 ? 8 : cap * 2;
            struct sluice_lake_class *items = realloc(cls->items, cap * sizeof *items);
            if (items == NULL) {
                return sluice_error_set(cur->err, SLUICE_E_NOMEM, 0, "no memory for a class");
            }
            cls->items = items;
        }
        struct sluice_lake_class *field = &cls->items[cls->count];
        memset(field, 0, sizeof *field);
        cls->count++;
        SLUICE_TRY(parse_key(cur, field));
        SLUICE_TRY(parse_class(cur, field));
        int32_t levels = levels_above(field);
        if (levels > cls->levels) {
            cls->levels = levels;
        }
        if (cur->p == cur->end || (*cur->p != ',' && *cur->p != '}')) {
            return malformed(cur, "',' or '}' expected");
        }
        if (*cur->p++ == '}') {
            return SLUICE_OK;
        }
    }
}

static sluice_status parse_array(struct cursor *cur, struct sluice_lake_class *cls)
{
    cls->items = calloc(1, sizeof *cls->items);
    if (cls->items == NULL) {
        return sluice_error_set(cur->err, SLUICE_E_NOMEM, 0, "no memory for a class");
    }
    cls->count = 1;
    SLUICE_TRY(parse_class(cur, &cls->items[0]));
    if (cur->end - cur->p < 2 || cur->p[1] != ']') {
        return malformed(cur, "delimiter and ']' expected");
    }
    cls->delimiter = *cur->p;
    cur->p += 2;
    if (strchr("{}\"\\", cls->delimiter) != NULL) {
        return malformed(cur, "delimiter not allowed");
    }
    cls->levels = levels_above(&cls->items[0]);
    return SLUICE_OK;
}

static sluice_status parse_class(struct cursor *cur, struct sluice_lake_class *cls)
{
    if (cur->p == cur->end) {
        return malformed(cur, "it ends too early");
    }
    if (cur->depth >= SLUICE_LAKE_CLASS_DEPTH || ++cur->nodes > SLUICE_LAKE_CLASS_NODES) {
        return sluice_error_set(cur->err, SLUICE_E_LIMIT, 0,
                                "text class nests deeper than %d or has more than %d parts",
                                SLUICE_LAKE_CLASS_DEPTH, SLUICE_LAKE_CLASS_NODES);
    }
    cls->kind = *cur->p++;
    sluice_status st = SLUICE_OK;
    cur->depth++;
    if (cls->kind == '[') {
        st = parse_array(cur, cls);
    }
    else if (cls->kind == '{') {
        st = parse_fields(cur, cls);
    }
    else if (strchr("snbjxdtz", cls->kind) == NULL || cls->kind == 0) {
        st = malformed(cur, "unknown letter");
    }
    cur->depth--;
    return st;
}

sluice_status sluice_lake_class_parse(const char *text, uint64_t size,
                                      struct sluice_lake_class **out, struct sluice_error *err)
{
    struct cursor cur = {(const uint8_t *)text, (const uint8_t *)text + size, 0, 0, err};
    if (size > SLUICE_LAKE_CLASS_TEXT) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "text class of %llu bytes is over %d",
                                (unsigned long long)size, SLUICE_LAKE_CLASS_TEXT);
    }
    struct sluice_lake_class *cls = calloc(1, sizeof *cls);
    if (cls == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a class");
    }
    sluice_status st = parse_class(&cur, cls);
    if (st >= 0 && cur.p != cur.end) {
        st = malformed(&cur, "something follows it");
    }
    if (st < 0) {
        sluice_lake_class_free(cls);
        return st;
    }
    *out = cls;
    return SLUICE_OK;
}
