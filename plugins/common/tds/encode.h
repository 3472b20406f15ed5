/*
 * Values of Arrow in db-lib's own forms, for bulk load: the library converts none of them, cuts what is too long, and
 * takes UTF-8 for UTF-16. So all of it is done and checked here. No allocation. [any]
 *
 * A function answers what became of the value; the caller knows the column and says so.
 */
#ifndef SLUICE_COMMON_TDS_ENCODE_H
#define SLUICE_COMMON_TDS_ENCODE_H

#include <stdint.h>

#include <sybfront.h>

#include <sybdb.h>

enum {
    SLUICE_TDS_FITS = 0,
    SLUICE_TDS_TOO_LARGE = 1, /* too many digits, out of the type's range, longer than the column */
    SLUICE_TDS_TOO_FINE = 2,  /* digits behind the last one that the column has are not zero */
    SLUICE_TDS_MALFORMED = 3  /* no UTF-8; no time of a day */
};

/*
 * UTF-8 as UTF-16LE into `out` with room for `max_units` units of two bytes; *bytes is what it took. Whole or not at
 * all. A column's n counts units: nvarchar(2) holds one emoji.
 */
int32_t sluice_tds_encode_utf16(const uint8_t *text, uint64_t size, uint64_t max_units,
                                uint8_t *out, uint64_t *bytes);

/* A decimal128 (16 bytes, little-endian) of `from_scale` as decimal(precision, scale), 1 … 38. */
int32_t sluice_tds_encode_decimal(const uint8_t value[16], int32_t from_scale, int32_t precision,
                                  int32_t scale, DBDECIMAL *out);

/* Days since 1970 as date: 0001-01-01 … 9999-12-31. */
int32_t sluice_tds_encode_date(int32_t days, DBDATETIMEALL *out);
/* Microseconds of a day as time(scale). 24:00:00 is TOO_LARGE. */
int32_t sluice_tds_encode_time(int64_t us, int32_t scale, DBDATETIMEALL *out);
/* Microseconds since 1970 as datetime2(scale). */
int32_t sluice_tds_encode_datetime2(int64_t us, int32_t scale, DBDATETIMEALL *out);
/* The same in UTC as datetimeoffset(scale), written down `offset` minutes east of it (±840): local year 1 … 9999. */
int32_t sluice_tds_encode_datetimeoffset(int64_t us, int32_t offset, int32_t scale,
                                         DBDATETIMEALL *out);
/* As datetime: 1753 … 9999. Milliseconds that it has (…0, …3, …7) fit; others, and finer ones, are TOO_FINE. */
int32_t sluice_tds_encode_datetime(int64_t us, DBDATETIME *out);

/* A UUID as SQL Server keeps it: the first three parts little-endian (MS-DTYP 2.3.4). */
void sluice_tds_encode_guid(const uint8_t uuid[16], uint8_t out[16]);

#endif /* SLUICE_COMMON_TDS_ENCODE_H */
