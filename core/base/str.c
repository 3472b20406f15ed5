/* A growing string that latches failure. */
#include "base/str.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

/* Room for `more` bytes and the NUL. */
static int reserve(struct sluice_str *s, size_t more)
{
    size_t need = 0;
    if (s->failed) {
        return 0;
    }
    if (__builtin_add_overflow(s->size, more, &need) || need == SIZE_MAX ||
        !sluice_alloc_grow((void **)&s->data, &s->cap, need + 1, 1)) {
        s->failed = 1;
        return 0;
    }
    return 1;
}

void sluice_str_append_n(struct sluice_str *s, const char *text, size_t size)
{
    if (!reserve(s, size)) {
        return;
    }
    if (size > 0) {
        memcpy(s->data + s->size, text, size);
    }
    s->size += size;
    s->data[s->size] = '\0';
}

void sluice_str_append(struct sluice_str *s, const char *text)
{
    sluice_str_append_n(s, text, strlen(text));
}

void sluice_str_append_char(struct sluice_str *s, char c)
{
    sluice_str_append_n(s, &c, 1);
}

void sluice_str_printf(struct sluice_str *s, const char *format, ...)
{
    if (!reserve(s, 64)) {
        return;
    }
    va_list args;
    va_start(args, format);
    int size = vsnprintf(s->data + s->size, s->cap - s->size, format, args);
    va_end(args);
    if (size < 0) {
        s->data[s->size] = '\0';
        s->failed = 1;
        return;
    }
    if ((size_t)size >= s->cap - s->size) {
        if (!reserve(s, (size_t)size)) {
            s->data[s->size] = '\0';
            return;
        }
        va_start(args, format);
        (void)vsnprintf(s->data + s->size, s->cap - s->size, format, args);
        va_end(args);
    }
    s->size += (size_t)size;
}

void sluice_str_clear(struct sluice_str *s)
{
    s->size = 0;
    s->failed = 0;
    if (s->data != NULL) {
        s->data[0] = '\0';
    }
}

void sluice_str_free(struct sluice_str *s)
{
    sluice_free(s->data);
    *s = (struct sluice_str)SLUICE_STR_INIT;
}

char *sluice_str_steal(struct sluice_str *s)
{
    char *text = NULL;
    if (!s->failed) {
        text = s->data != NULL ? s->data : sluice_alloc_string("");
        s->data = NULL;
    }
    sluice_str_free(s);
    return text;
}

const char *sluice_str_text(const struct sluice_str *s)
{
    return s->data != NULL && !s->failed ? s->data : "";
}
