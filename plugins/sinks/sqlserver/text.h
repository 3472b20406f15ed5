/*
 * T-SQL under construction. All is quoted here: an identifier in brackets, a text as N'…', bytes as 0x…. [any]
 */
#ifndef SLUICE_MSSINK_TEXT_H
#define SLUICE_MSSINK_TEXT_H

#include <stddef.h>

#include "sluice/abi.h"
#include "sluice/build.h"
#include "sluice/error.h"

struct mssink_text {
    char *data; /* NUL-terminated once something was added */
    size_t size;
    size_t cap;
    int failed; /* out of memory; sticks */
};

void mssink_text_add(struct mssink_text *text, const char *piece);
void mssink_text_add_n(struct mssink_text *text, const char *piece, size_t size);
__attribute__((format(printf, 2, 3))) void mssink_text_format(struct mssink_text *text,
                                                              const char *format, ...);
/* [name], with ] doubled. */
void mssink_text_ident(struct mssink_text *text, const char *name);
/* [schema].[name] */
void mssink_text_table(struct mssink_text *text, const char *schema, const char *name);
/* N'…', with ' doubled; NULL for NULL. */
void mssink_text_literal(struct mssink_text *text, const char *value);
/* 0x…; NULL for NULL data. */
void mssink_text_bytes(struct mssink_text *text, struct sluice_bytes value);
sluice_status mssink_text_check(const struct mssink_text *text, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void mssink_text_free(struct mssink_text *text);

#endif /* SLUICE_MSSINK_TEXT_H */
