/*
 * Batches and descriptions as JSON lines, raw: nothing is converted, so that a test compares what
 * the plugin delivered.
 */
#ifndef SLUICE_TEST_PG_PRINT_H
#define SLUICE_TEST_PG_PRINT_H

#include <stdio.h>

#include "sluice/view.h"

/* "text", escaped. */
void pg_test_print_string(FILE *to, const char *text, uint64_t size);
/* One cell, see below. */
void pg_test_print_cell(FILE *to, const struct sluice_view *v, int64_t i);
/* {"stream": name, "rows": [[cell, …]]}, one line a row: [stream, cell, …]; a cell is null or a
 * string: integers in decimal, text as it is, all else in hex of its bytes. */
void pg_test_print_batch(FILE *to, const struct sluice_stream_desc *desc,
                         const struct sluice_batch *batch);
/* One line: name, kind, keys, estimates, columns with format, nullability and metadata. */
void pg_test_print_desc(FILE *to, const struct sluice_stream_desc *desc,
                        const struct sluice_error *problem);

#endif /* SLUICE_TEST_PG_PRINT_H */
