/*
 * Fuzz target: the JSON of a letter's row, which whoever replays it may have written. What is taken for a number stands
 * in a statement as it is: nothing but a number, true, false or null may be.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sqlserver/letterrow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct mssink_letter_row row;
    char *text = malloc(size + 1);
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    if (mssink_letter_row_parse(text, &row, &err) >= 0) {
        for (uint32_t i = 0; i < row.count; i++) {
            const struct mssink_letter_value *v = &row.values[i];
            const int plain = strspn(v->text, "-+.0123456789eE") == strlen(v->text) ||
                              strcmp(v->text, "true") == 0 || strcmp(v->text, "false") == 0 ||
                              strcmp(v->text, "null") == 0;
            if (v->name == NULL || (!v->is_string && (!plain || v->text[0] == '\0')) ||
                mssink_letter_row_find(&row, v->name) == NULL) {
                abort();
            }
        }
        mssink_letter_row_free(&row);
    }
    free(text);
    return 0;
}
