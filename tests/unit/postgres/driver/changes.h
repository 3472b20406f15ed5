/*
 * Batches of a feed as JSON lines, raw: nothing is converted, so that a test compares what the
 * plugin delivered.
 */
#ifndef SLUICE_TEST_POSTGRES_CHANGES_H
#define SLUICE_TEST_POSTGRES_CHANGES_H

#include <stdio.h>

#include "sluice/abi.h"

/* A row: {"s": stream, "v": schema_id, "op": "U", "pos": hex, "seq": "1", "ts": "…", "tx": "…",
 * "before": {column: cell} or null, "after": likewise, "unchanged": [column]}. Cells as in print.h.
 * Ends the program when the batch does not fit the envelope. */
void pg_test_print_changes(FILE *to, const struct sluice_stream_desc *desc,
                           const struct sluice_batch *batch);
/* {"truncate": stream, "pos": …, "seq": …} */
void pg_test_print_truncate(FILE *to, const struct sluice_stream_desc *desc,
                            const struct sluice_batch *batch);
/* {"schema": stream, "v": …, "before": 1, "keys": [column], "columns": [{"name", "format",
 * "nullable", "native"}]} */
void pg_test_print_version(FILE *to, const struct sluice_stream_desc *desc);

#endif /* SLUICE_TEST_POSTGRES_CHANGES_H */
