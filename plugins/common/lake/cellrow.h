/*
 * One record of a data file as its cells: what row_to_json prints for each of the columns that are compared
 * (of CSV: the field's text as a JSON string). One thread at a time.
 */
#ifndef SLUICE_COMMON_LAKE_CELLROW_H
#define SLUICE_COMMON_LAKE_CELLROW_H

#include <stddef.h>

#include "lake/encoder.h"
#include "sluice/abi.h"

/* A cell that the source did not send since it did not change: `data` NULL. */
struct sluice_lake_row {
    uint8_t op; /* R (of a load) I U D T */
    uint64_t seq;
    struct sluice_bytes position;     /* hex; size 0 = none */
    const struct sluice_bytes *cells; /* one for each compared column; until the next record */
};

struct sluice_lake_row_reader;

/* `desc`: the columns that are compared. `binary` as the sink writes it; `prefix` is that of the metadata
 * columns, NULL where the file has none. Both borrowed until free. */
sluice_status sluice_lake_row_reader_create(const struct sluice_stream_desc *desc, int32_t binary,
                                            struct sluice_lake_row_reader **out,
                                            struct sluice_error *err) SLUICE_MUST_CHECK;
void sluice_lake_row_reader_free(struct sluice_lake_row_reader *reader);

/* Before the first record of a file. */
void sluice_lake_row_reader_begin(struct sluice_lake_row_reader *reader, int32_t format,
                                  const char *prefix);
/* AGAIN: a header, no row. DATA: no record of such a file. */
sluice_status sluice_lake_row_read(struct sluice_lake_row_reader *reader, uint8_t *data,
                                   size_t size, struct sluice_lake_row *out,
                                   struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_LAKE_CELLROW_H */
