/*
 * Growing strings and SQL quoting for PostgreSQL. [any], one owner per string.
 */
#ifndef SLUICE_COMMON_PG_TEXT_H
#define SLUICE_COMMON_PG_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "sluice/error.h"

/* A growing NUL-terminated string. Zeroed = empty. Failure to allocate sticks in `failed`, so that
 * a chain of appends needs one check (sluice_pg_text_check) at its end. */
struct sluice_pg_text {
    char *data; /* NULL while nothing was appended */
    size_t size;
    size_t cap;
    int failed;
};

void sluice_pg_text_free(struct sluice_pg_text *text);
/* Empties, keeps the memory. */
void sluice_pg_text_clear(struct sluice_pg_text *text);
void sluice_pg_text_bytes(struct sluice_pg_text *text, const char *data, size_t size);
void sluice_pg_text_add(struct sluice_pg_text *text, const char *string);
void sluice_pg_text_format(struct sluice_pg_text *text, const char *format, ...)
    SLUICE_PRINTF(2, 3);
/* "name" with each double quote doubled, always quoted. */
void sluice_pg_text_ident(struct sluice_pg_text *text, const char *name);
/* 'text' with each quote doubled; sessions have standard_conforming_strings = on. */
void sluice_pg_text_literal(struct sluice_pg_text *text, const char *value);
/* An element of an array literal: "…" with quotes and backslashes escaped. */
void sluice_pg_text_array_item(struct sluice_pg_text *text, const char *item);
/* A JSON string, quotes included. */
void sluice_pg_text_json_string(struct sluice_pg_text *text, const char *string);
/* NOMEM if an append failed. */
sluice_status sluice_pg_text_check(const struct sluice_pg_text *text, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Moves the string out (never NULL unless out of memory); the caller frees it. */
char *sluice_pg_text_take(struct sluice_pg_text *text);

/* 1 if the bytes are valid UTF-8 without NUL. */
int sluice_pg_utf8_valid(const uint8_t *data, size_t size);

#endif /* SLUICE_COMMON_PG_TEXT_H */
