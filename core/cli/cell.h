/*
 * One value of a column, for people and as JSON. For looking at a few rows: not for moving data.
 */
#ifndef SLUICE_CLI_CELL_H
#define SLUICE_CLI_CELL_H

#include "base/str.h"
#include "sluice/view.h"

/* Appends the value of row i; NULL as "NULL". Text is appended as it stands, at most `limit` bytes of
 * it (0 = all), binary as \x and hex. */
void sluice_cli_cell_text(const struct sluice_view *view, int64_t i, size_t limit,
                          struct sluice_str *out);
/* Appends the value as a JSON token: numbers with all their digits, NaN and infinities as strings,
 * binary as base64. */
void sluice_cli_cell_json(const struct sluice_view *view, int64_t i, struct sluice_str *out);
/* Appends a JSON string; what is no UTF-8 becomes U+FFFD. */
void sluice_cli_cell_json_string(struct sluice_str *out, const char *text, size_t size);

#endif /* SLUICE_CLI_CELL_H */
