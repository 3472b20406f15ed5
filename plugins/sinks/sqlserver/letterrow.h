/*
 * The JSON objects of letters, taken apart: numbers stay the texts that they are, so that none loses a digit. [any]
 */
#ifndef SLUICE_MSSINK_LETTERROW_H
#define SLUICE_MSSINK_LETTERROW_H

#include "text.h"

enum { MSSINK_LETTER_COLUMNS = 1024 };

struct mssink_letter_value {
    char *name;
    char
        *text; /* of a string without its quotes and escapes; else as it stands: 1.50, true, null */
    int is_string; /* else a number, true, false or null */
};
struct mssink_letter_row {
    struct mssink_letter_value *values;
    uint32_t count;
};

/* INVALID for what is no object of plain values, with the place. */
sluice_status mssink_letter_row_parse(const char *json, struct mssink_letter_row *out,
                                      struct sluice_error *err) SLUICE_MUST_CHECK;
void mssink_letter_row_free(struct mssink_letter_row *row);
/* NULL = it has none of that name. */
const struct mssink_letter_value *mssink_letter_row_find(const struct mssink_letter_row *row,
                                                         const char *name);

#endif /* SLUICE_MSSINK_LETTERROW_H */
