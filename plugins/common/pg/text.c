/* Growing strings, quoting, UTF-8 validation. */
#include "pg/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sluice_pg_text_free(struct sluice_pg_text *text)
{
    free(text->data);
    memset(text, 0, sizeof *text);
}

void sluice_pg_text_clear(struct sluice_pg_text *text)
{
    text->size = 0;
    if (text->data != NULL) {
        text->data[0] = '\0';
    }
}

static int text_reserve(struct sluice_pg_text *text, size_t more)
{
    if (text->failed || more >= SIZE_MAX / 2 - text->size) {
        text->failed = 1;
        return 0;
    }
    size_t need = text->size + more + 1;
    if (need <= text->cap) {
        return 1;
    }
    size_t cap = text->cap < 64 ? 64 : text->cap;
    while (cap < need) {
        cap *= 2;
    }
    char *grown = realloc(text->data, cap);
    if (grown == NULL) {
        text->failed = 1;
        return 0;
    }
    text->data = grown;
    text->cap = cap;
    return 1;
}

void sluice_pg_text_bytes(struct sluice_pg_text *text, const char *data, size_t size)
{
    if (!text_reserve(text, size)) {
        return;
    }
    if (size > 0) {
        memcpy(text->data + text->size, data, size);
    }
    text->size += size;
    text->data[text->size] = '\0';
}

void sluice_pg_text_add(struct sluice_pg_text *text, const char *string)
{
    sluice_pg_text_bytes(text, string, strlen(string));
}

void sluice_pg_text_format(struct sluice_pg_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0 || !text_reserve(text, (size_t)size)) {
        text->failed = 1;
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text->data + text->size, (size_t)size + 1, format, args);
    va_end(args);
    text->size += (size_t)size;
}

static void text_quoted(struct sluice_pg_text *text, const char *value, char quote)
{
    sluice_pg_text_bytes(text, &quote, 1);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == quote) {
            sluice_pg_text_bytes(text, &quote, 1);
        }
        sluice_pg_text_bytes(text, p, 1);
    }
    sluice_pg_text_bytes(text, &quote, 1);
}

void sluice_pg_text_ident(struct sluice_pg_text *text, const char *name)
{
    text_quoted(text, name, '"');
}

void sluice_pg_text_literal(struct sluice_pg_text *text, const char *value)
{
    text_quoted(text, value, '\'');
}

void sluice_pg_text_array_item(struct sluice_pg_text *text, const char *item)
{
    sluice_pg_text_bytes(text, "\"", 1);
    for (const char *p = item; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            sluice_pg_text_bytes(text, "\\", 1);
        }
        sluice_pg_text_bytes(text, p, 1);
    }
    sluice_pg_text_bytes(text, "\"", 1);
}

void sluice_pg_text_json_string(struct sluice_pg_text *text, const char *string)
{
    sluice_pg_text_bytes(text, "\"", 1);
    for (const char *p = string; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            sluice_pg_text_bytes(text, "\\", 1);
            sluice_pg_text_bytes(text, p, 1);
        }
        else if (c < 0x20) {
            sluice_pg_text_format(text, "\\u%04x", c);
        }
        else {
            sluice_pg_text_bytes(text, p, 1);
        }
    }
    sluice_pg_text_bytes(text, "\"", 1);
}

sluice_status sluice_pg_text_check(const struct sluice_pg_text *text, struct sluice_error *err)
{
    if (text->failed) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a text of %zu bytes",
                                text->size);
    }
    return SLUICE_OK;
}

char *sluice_pg_text_take(struct sluice_pg_text *text)
{
    if (!text_reserve(text, 0)) {
        return NULL;
    }
    text->data[text->size] = '\0';
    char *data = text->data;
    memset(text, 0, sizeof *text);
    return data;
}

/* Bytes of the character at p, 0 if it is not valid (RFC 3629: no surrogates, no overlong forms). */
static size_t utf8_step(const uint8_t *p, size_t left)
{
    uint8_t c = p[0];
    if (c < 0xc2) {
        return 0;
    }
    if (c < 0xe0) {
        return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    }
    if (c < 0xf0) {
        if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80) {
            return 0;
        }
        if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f)) {
            return 0;
        }
        return 3;
    }
    if (c > 0xf4 || left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 ||
        (p[3] & 0xc0) != 0x80) {
        return 0;
    }
    if ((c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f)) {
        return 0;
    }
    return 4;
}

int sluice_pg_utf8_valid(const uint8_t *data, size_t size)
{
    size_t i = 0;
    while (i < size) {
        if (size - i >= 8) {
            uint64_t word;
            memcpy(&word, data + i, 8);
            /* ASCII without NUL: no high bit, and no byte that borrows when 1 is taken away. */
            if (((word | (word - 0x0101010101010101u)) & 0x8080808080808080u) == 0) {
                i += 8;
                continue;
            }
        }
        if (data[i] < 0x80) {
            if (data[i] == 0) {
                return 0;
            }
            i++;
            continue;
        }
        size_t step = utf8_step(data + i, size - i);
        if (step == 0) {
            return 0;
        }
        i += step;
    }
    return 1;
}
