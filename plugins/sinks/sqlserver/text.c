#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int grow(struct mssink_text *t, size_t more)
{
    if (t->failed) {
        return 0;
    }
    if (t->size + more + 1 > t->cap) {
        const size_t cap = (t->size + more + 1) * 2;
        char *grown = realloc(t->data, cap);
        if (grown == NULL) {
            t->failed = 1;
            return 0;
        }
        t->data = grown;
        t->cap = cap;
    }
    return 1;
}

void mssink_text_add_n(struct mssink_text *t, const char *piece, size_t size)
{
    if (grow(t, size)) {
        memcpy(t->data + t->size, piece, size);
        t->size += size;
        t->data[t->size] = '\0';
    }
}

void mssink_text_add(struct mssink_text *t, const char *piece)
{
    mssink_text_add_n(t, piece, strlen(piece));
}

void mssink_text_format(struct mssink_text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0 && grow(t, (size_t)n)) {
        va_start(args, format);
        (void)vsnprintf(t->data + t->size, (size_t)n + 1, format, args);
        va_end(args);
        t->size += (size_t)n;
    }
}

static void add_doubled(struct mssink_text *t, const char *value, char twice)
{
    for (const char *p = value; *p != '\0';) {
        const char *end = strchr(p, twice);
        const size_t n = end != NULL ? (size_t)(end - p) + 1 : strlen(p);
        mssink_text_add_n(t, p, n);
        if (end != NULL) {
            mssink_text_add_n(t, &twice, 1);
        }
        p += n;
    }
}

void mssink_text_ident(struct mssink_text *t, const char *name)
{
    mssink_text_add(t, "[");
    add_doubled(t, name, ']');
    mssink_text_add(t, "]");
}

void mssink_text_table(struct mssink_text *t, const char *schema, const char *name)
{
    mssink_text_ident(t, schema);
    mssink_text_add(t, ".");
    mssink_text_ident(t, name);
}

void mssink_text_literal(struct mssink_text *t, const char *value)
{
    if (value == NULL) {
        mssink_text_add(t, "NULL");
        return;
    }
    mssink_text_add(t, "N'");
    add_doubled(t, value, '\'');
    mssink_text_add(t, "'");
}

void mssink_text_bytes(struct mssink_text *t, struct sluice_bytes value)
{
    static const char digits[] = "0123456789abcdef";
    if (value.data == NULL) {
        mssink_text_add(t, "NULL");
        return;
    }
    mssink_text_add(t, "0x");
    if (!grow(t, (size_t)value.size * 2)) {
        return;
    }
    const uint8_t *p = value.data;
    for (uint64_t i = 0; i < value.size; i++) {
        t->data[t->size++] = digits[p[i] >> 4];
        t->data[t->size++] = digits[p[i] & 15];
    }
    t->data[t->size] = '\0';
}

sluice_status mssink_text_check(const struct mssink_text *t, struct sluice_error *err)
{
    return t->failed || t->data == NULL
               ? sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a statement")
               : SLUICE_OK;
}

void mssink_text_free(struct mssink_text *t)
{
    free(t->data);
    *t = (struct mssink_text){0};
}
