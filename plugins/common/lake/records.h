/*
 * Records of a data file: lines of JSON, or CSV records, one after the other, uncompressed on the way, in
 * bounded memory. At the end the file must be what its manifest says: bytes, sha256. One thread at a time.
 */
#ifndef SLUICE_COMMON_LAKE_RECORDS_H
#define SLUICE_COMMON_LAKE_RECORDS_H

#include "lake/index.h"

enum {
    SLUICE_LAKE_RECORD_MAX = 1 << 30, /* bytes of one record that we are ready to hold */
    SLUICE_LAKE_READ_PIECE = 4 << 20  /* bytes asked of the store at once */
};

struct sluice_lake_records;

/* `file` is borrowed until close. UNSUPPORTED when its name does not end as ours do. */
sluice_status sluice_lake_records_open(const struct sluice_host *host,
                                       const struct sluice_lake_store_api *api,
                                       struct sluice_lake_store *store,
                                       const struct sluice_lake_indexed *file,
                                       struct sluice_lake_records **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* SLUICE_LAKE_JSONL or SLUICE_LAKE_CSV */
int32_t sluice_lake_records_format(const struct sluice_lake_records *records);
/* The next record without its line end, valid until the next call; writable up to `size`. END behind the
 * last one. DATA: the file is damaged. */
sluice_status sluice_lake_records_next(struct sluice_lake_records *records, uint8_t **out,
                                       size_t *size, struct sluice_error *err) SLUICE_MUST_CHECK;
void sluice_lake_records_close(struct sluice_lake_records *records);

#endif /* SLUICE_COMMON_LAKE_RECORDS_H */
