/*
 * Tables with aligned columns, and bars. Cells are made harmless for a terminal on the way in. Widths
 * are columns on a terminal, not bytes.
 */
#ifndef SLUICE_CLI_TABLE_H
#define SLUICE_CLI_TABLE_H

#include <stdint.h>

#include "base/str.h"
#include "term.h"

#define SLUICE_CLI_TABLE_COLUMNS 16

struct sluice_cli_cell {
    char *text;
    int style;
};

struct sluice_cli_table {
    size_t columns;
    uint32_t right;  /* bit i: column i is aligned to the right */
    uint32_t shrink; /* bit i: column i may be cut when the terminal is narrow */
    size_t indent;
    int no_header; /* the first row is a row like any other */
    struct sluice_cli_cell *cells;
    size_t count;
    size_t cap;
    int failed; /* an allocation failed: nothing is rendered */
};

/* `headers` are columns texts, at most SLUICE_CLI_TABLE_COLUMNS; NULL = no header row. */
void sluice_cli_table_init(struct sluice_cli_table *table, size_t columns,
                           const char *const *headers, uint32_t right, uint32_t shrink);
void sluice_cli_table_free(struct sluice_cli_table *table);
/* Appends the next cell, row by row; NULL is shown as "-". */
void sluice_cli_table_add(struct sluice_cli_table *table, int style, const char *text);
void sluice_cli_table_addf(struct sluice_cli_table *table, int style, const char *format, ...)
    SLUICE_PRINTF(3, 4);
void sluice_cli_table_add_count(struct sluice_cli_table *table,
                                int64_t n);                         /* < 0 is shown as "-" */
size_t sluice_cli_table_rows(const struct sluice_cli_table *table); /* without the header */
/* Appends the table to out; on a terminal it fits the width, as far as columns may be cut. */
void sluice_cli_table_render(const struct sluice_cli_table *table,
                             const struct sluice_cli_term *term, struct sluice_str *out);

/* Appends a bar of `width` columns that is full to `share` (0 … 1; below 0 = unknown, all empty). */
void sluice_cli_bar(struct sluice_str *out, double share, size_t width, int unicode);

#endif /* SLUICE_CLI_TABLE_H */
