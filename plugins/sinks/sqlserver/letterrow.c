#include "letterrow.h"

#include <stdlib.h>
#include <string.h>

struct scanner {
    const char *begin;
    const char *p;
};

static sluice_status unfit(const struct scanner *s, const char *what, struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_INVALID, 0,
                            "the row is no JSON object of plain values: %s at byte %td", what,
                            s->p - s->begin);
}

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a letter");
}

static void skip(struct scanner *s)
{
    s->p += strspn(s->p, " \t\r\n");
}

static int hex4(const char *p, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        const char c = p[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) {
            return 0;
        }
        *out = *out << 4 | (uint32_t)digit;
    }
    return 1;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    }
    else if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3F));
    }
    else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    }
    else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    }
    return out;
}

/* Behind \u; a pair of surrogates is one. NUL is none: no text of the server's has it. */
static int take_unicode(struct scanner *s, char **out)
{
    uint32_t c = 0;
    uint32_t low = 0;
    if (!hex4(s->p, &c) || c == 0) {
        return 0;
    }
    s->p += 4;
    if (c >= 0xD800 && c < 0xDC00) {
        if (s->p[0] != '\\' || s->p[1] != 'u' || !hex4(s->p + 2, &low) || low < 0xDC00 ||
            low > 0xDFFF) {
            return 0;
        }
        s->p += 6;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    else if (c >= 0xDC00 && c < 0xE000) {
        return 0;
    }
    *out = put_utf8(*out, c);
    return 1;
}

static int take_escape(struct scanner *s, char **out)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    const char c = *s->p;
    if (c == 'u') {
        s->p++;
        return take_unicode(s, out);
    }
    const char *at = c != '\0' ? strchr(from, c) : NULL;
    if (at == NULL) {
        return 0;
    }
    *(*out)++ = to[at - from];
    s->p++;
    return 1;
}

/* Its text is never longer than it stands there. */
static sluice_status take_string(struct scanner *s, char **out, struct sluice_error *err)
{
    if (*s->p != '"') {
        return unfit(s, "a string is missing", err);
    }
    s->p++;
    char *text = malloc(strlen(s->p) + 1);
    char *at = text;
    if (text == NULL) {
        return nomem(err);
    }
    while (*s->p != '"') {
        if ((unsigned char)*s->p < 0x20) {
            free(text);
            return unfit(s, "a string has no end", err);
        }
        if (*s->p != '\\') {
            *at++ = *s->p++;
            continue;
        }
        s->p++;
        if (!take_escape(s, &at)) {
            free(text);
            return unfit(s, "an escape that is none", err);
        }
    }
    s->p++;
    *at = '\0';
    *out = text;
    return SLUICE_OK;
}

/* A number, true, false, null: what the server is given as it stands must be just that. */
static sluice_status take_plain(struct scanner *s, char **out, struct sluice_error *err)
{
    static const char *const words[] = {"true", "false", "null"};
    size_t n = strspn(s->p, "-+.0123456789eE");
    const int number = n > 0 && (*s->p == '-' || (*s->p >= '0' && *s->p <= '9'));
    for (size_t i = 0; !number && i < 3; i++) {
        n = strncmp(s->p, words[i], strlen(words[i])) == 0 ? strlen(words[i]) : n;
    }
    if (n == 0 || n > 128 || (!number && strchr("tfn", *s->p) == NULL)) {
        return unfit(s, "a value that is neither string, number, true, false nor null", err);
    }
    *out = strndup(s->p, n);
    s->p += n;
    return *out != NULL ? SLUICE_OK : nomem(err);
}

static sluice_status take_pair(struct scanner *s, struct mssink_letter_row *out,
                               struct sluice_error *err)
{
    if (out->count == MSSINK_LETTER_COLUMNS) {
        return unfit(s, "more columns than a table has", err);
    }
    struct mssink_letter_value *v = &out->values[out->count];
    skip(s);
    SLUICE_TRY(take_string(s, &v->name, err));
    out->count++;
    skip(s);
    if (*s->p != ':') {
        return unfit(s, "a colon is missing", err);
    }
    s->p++;
    skip(s);
    v->is_string = *s->p == '"';
    return v->is_string ? take_string(s, &v->text, err) : take_plain(s, &v->text, err);
}

static sluice_status take_object(struct scanner *s, struct mssink_letter_row *out,
                                 struct sluice_error *err)
{
    skip(s);
    if (*s->p != '{') {
        return unfit(s, "a brace is missing", err);
    }
    s->p++;
    skip(s);
    while (*s->p != '}') {
        SLUICE_TRY(take_pair(s, out, err));
        skip(s);
        if (*s->p != ',' && *s->p != '}') {
            return unfit(s, "a comma is missing", err);
        }
        s->p += *s->p == ',' ? 1 : 0;
        skip(s);
    }
    s->p++;
    skip(s);
    return *s->p == '\0' ? SLUICE_OK : unfit(s, "something behind the object", err);
}

sluice_status mssink_letter_row_parse(const char *json, struct mssink_letter_row *out,
                                      struct sluice_error *err)
{
    struct scanner s = {json, json};
    *out = (struct mssink_letter_row){
        .values = calloc(MSSINK_LETTER_COLUMNS, sizeof(struct mssink_letter_value))};
    const sluice_status status = out->values != NULL ? take_object(&s, out, err) : nomem(err);
    if (status < 0) {
        mssink_letter_row_free(out);
    }
    return status;
}

void mssink_letter_row_free(struct mssink_letter_row *row)
{
    for (uint32_t i = 0; i < row->count; i++) {
        free(row->values[i].name);
        free(row->values[i].text);
    }
    free(row->values);
    *row = (struct mssink_letter_row){0};
}

const struct mssink_letter_value *mssink_letter_row_find(const struct mssink_letter_row *row,
                                                         const char *name)
{
    for (uint32_t i = 0; i < row->count; i++) {
        if (strcmp(row->values[i].name, name) == 0) {
            return &row->values[i];
        }
    }
    return NULL;
}
