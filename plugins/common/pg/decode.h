/*
 * From PostgreSQL's binary values to Arrow columns, and from COPY's binary stream to rows.
 *
 * One decoder per column, chosen once (types.h); each checks the exact width of its type. Nothing
 * is allocated per row except what a column grows. Values in text form, which change streams have,
 * become the same cells. One thread at a time per object.
 */
#ifndef SLUICE_COMMON_PG_DECODE_H
#define SLUICE_COMMON_PG_DECODE_H

#include "sluice/build.h"

/* How a binary value becomes a cell. */
enum {
    SLUICE_PG_DECODE_BOOL = 1,
    SLUICE_PG_DECODE_INT16,
    SLUICE_PG_DECODE_INT32,
    SLUICE_PG_DECODE_INT64,
    SLUICE_PG_DECODE_FLOAT32,
    SLUICE_PG_DECODE_FLOAT64,
    SLUICE_PG_DECODE_OID,        /* unsigned 32 bits as decimal text */
    SLUICE_PG_DECODE_NUMERIC64,  /* precision <= 18, decimal128 */
    SLUICE_PG_DECODE_NUMERIC128, /* precision <= 38, decimal128 */
    SLUICE_PG_DECODE_NUMERIC256, /* precision <= 76, decimal256 */
    SLUICE_PG_DECODE_TEXT,       /* bytes as they are, the server vouches for UTF-8 */
    SLUICE_PG_DECODE_TEXT_CHECKED,
    SLUICE_PG_DECODE_BYTES,
    SLUICE_PG_DECODE_JSONB, /* version byte 1, then text */
    SLUICE_PG_DECODE_JSONB_CHECKED,
    SLUICE_PG_DECODE_DATE,
    SLUICE_PG_DECODE_TIME,
    SLUICE_PG_DECODE_TIMESTAMP, /* with and without zone */
    SLUICE_PG_DECODE_UUID
};

/* What happens to a value that the column's type cannot hold. TEXT is decided before reading: such
 * columns are then fetched as text. */
enum {
    SLUICE_PG_UNREPRESENTABLE_FAIL = 0,
    SLUICE_PG_UNREPRESENTABLE_NULL = 1,
    SLUICE_PG_UNREPRESENTABLE_TEXT = 2
};

struct sluice_pg_decoder;
typedef sluice_status (*sluice_pg_decode_fn)(struct sluice_pg_decoder *d, const uint8_t *p,
                                             uint32_t size, struct sluice_error *err);

struct sluice_pg_decoder {
    sluice_pg_decode_fn decode;
    struct sluice_column *column; /* borrowed from the rows */
    const char *name;             /* of the column, for messages; borrowed */
    int32_t precision;            /* numeric */
    int32_t scale;
    int32_t unrepresentable; /* SLUICE_PG_UNREPRESENTABLE_FAIL or _NULL */
    int32_t nullable;
};

/* Fills in the function for `kind`; INTERNAL if there is none. */
sluice_status sluice_pg_decoder_init(struct sluice_pg_decoder *d, int32_t kind,
                                     struct sluice_column *column, const char *name,
                                     int32_t unrepresentable, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* The same for values in text form, as output functions print them under the settings that every
 * session of ours has (ISO dates, UTC, hex bytea, shortest floats): the cell is the same, bit for
 * bit, as the binary decoder of that kind makes. Columns that are fetched as text in COPY have the
 * kind TEXT, and so take their value as it is. DATA for text that is no value of the type. */
sluice_status sluice_pg_text_decoder_init(struct sluice_pg_decoder *d, int32_t kind,
                                          struct sluice_column *column, const char *name,
                                          int32_t unrepresentable, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* The state of one COPY … (FORMAT binary) stream. */
struct sluice_pg_copy {
    struct sluice_pg_decoder *decoders; /* borrowed */
    uint32_t count;
    int32_t header_seen;
    int32_t trailer_seen;
    uint64_t row; /* rows so far, for messages */
};

/* Takes one CopyData message: the header with or without a row, one row, or the trailer. Appends at
 * most one row to `rows`; on an error the columns are cut back to whole rows. OK = a row was added,
 * AGAIN = none, END = the trailer. DATA for malformed bytes or a value that cannot be held, SCHEMA
 * for another number of columns. */
sluice_status sluice_pg_copy_message(struct sluice_pg_copy *copy, struct sluice_rows *rows,
                                     const uint8_t *data, size_t size, struct sluice_error *err)
    SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_PG_DECODE_H */
