/*
 * Digests (abi.h, "digests") of rows that are at hand as the texts of their cells. One thread at a time.
 */
#ifndef SLUICE_COMMON_LAKE_ROWSUM_H
#define SLUICE_COMMON_LAKE_ROWSUM_H

#include "sluice/abi.h"
#include "sluice/error.h"

struct sluice_lake_rowsum;

/* Everything is borrowed until free; info->rows counts what is told. */
sluice_status sluice_lake_rowsum_create(const struct sluice_digest_ask *ask,
                                        sluice_digest_visit visit, void *vctx,
                                        struct sluice_digest_info *info,
                                        struct sluice_lake_rowsum **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_lake_rowsum_free(struct sluice_lake_rowsum *sum);

/* `vctx`: a struct sluice_lake_rowsum. One cell for each column of the desc, as row_to_json prints it. Rows that were
 * asked for are told at once. */
sluice_status sluice_lake_rowsum_take(void *vctx, const struct sluice_bytes *cells,
                                      struct sluice_error *err) SLUICE_MUST_CHECK;
/* Behind the last row: tells the sums, if it is they that were asked for. */
sluice_status sluice_lake_rowsum_end(struct sluice_lake_rowsum *sum, struct sluice_error *err)
    SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_LAKE_ROWSUM_H */
