/*
 * The cells of batches as texts that can be compared: what row_to_json prints for each, or, of the output texts that CSV
 * has, each as a JSON string. One thread at a time.
 */
#ifndef SLUICE_COMMON_LAKE_CELLTEXT_H
#define SLUICE_COMMON_LAKE_CELLTEXT_H

#include "sluice/abi.h"
#include "sluice/error.h"

struct sluice_lake_celltext;

/* `schema` (a struct) is borrowed until free. `texts`: output texts (SLUICE_DIGEST_TEXTS). */
sluice_status sluice_lake_celltext_create(const struct ArrowSchema *schema, int32_t texts,
                                          struct sluice_lake_celltext **out,
                                          struct sluice_error *err) SLUICE_MUST_CHECK;
void sluice_lake_celltext_free(struct sluice_lake_celltext *text);

/* Takes a batch: borrows `array` until the next bind. */
sluice_status sluice_lake_celltext_bind(struct sluice_lake_celltext *text,
                                        const struct ArrowArray *array, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* The cells of a row, one for each column, until the next call. */
sluice_status sluice_lake_celltext_row(struct sluice_lake_celltext *text, int64_t row,
                                       const struct sluice_bytes **cells, struct sluice_error *err)
    SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_LAKE_CELLTEXT_H */
