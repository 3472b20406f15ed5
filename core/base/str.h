/*
 * A growing string that latches failure: append without checking, look at `failed` once at the end.
 */
#ifndef SLUICE_BASE_STR_H
#define SLUICE_BASE_STR_H

#include <stdarg.h>
#include <stddef.h>

#include "sluice/error.h"

struct sluice_str {
    char *data; /* NUL-terminated once anything was appended; else NULL */
    size_t size;
    size_t cap;
    int failed; /* an allocation failed: contents are not to be used */
};

#define SLUICE_STR_INIT \
    {                   \
        NULL, 0, 0, 0   \
    }

void sluice_str_append(struct sluice_str *s, const char *text);
void sluice_str_append_n(struct sluice_str *s, const char *text, size_t size);
void sluice_str_append_char(struct sluice_str *s, char c);
void sluice_str_printf(struct sluice_str *s, const char *format, ...) SLUICE_PRINTF(2, 3);
/* Empties, keeps the memory. */
void sluice_str_clear(struct sluice_str *s);
void sluice_str_free(struct sluice_str *s);
/* Moves the text out ("" if empty); NULL when failed. Free with sluice_free. */
char *sluice_str_steal(struct sluice_str *s);
/* Borrowed text, never NULL ("" when empty or failed). */
const char *sluice_str_text(const struct sluice_str *s);

/* 1 if `text` matches the glob (`*` any, `?` one character, `[a-z]` set; no escapes), byte-wise. */
int sluice_glob_match(const char *glob, const char *text);
/* 1 if valid UTF-8 without NUL. */
int sluice_utf8_valid(const char *text, size_t size);
/* The choice nearest to `word` by edit distance (at most 1/3 of its length, at least 1), or NULL. */
const char *sluice_did_you_mean(const char *word, const char *const *choices, size_t count);

#endif /* SLUICE_BASE_STR_H */
