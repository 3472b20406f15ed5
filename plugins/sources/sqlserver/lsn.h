/*
 * Log sequence numbers of SQL Server: ten bytes, file, block and slot of a log record, which sort as memcmp does.
 * [any]
 */
#ifndef SQLSERVER_LSN_H
#define SQLSERVER_LSN_H

#include "sluice/abi.h"
#include "sluice/error.h"

enum { MS_LSN_BYTES = 10, MS_LSN_TEXT = 24, MS_LSN_LITERAL = 23 };

struct ms_lsn {
    uint8_t bytes[MS_LSN_BYTES];
};

/* 0 if it is none: another size, or NULL. */
int ms_lsn_take(struct sluice_bytes value, struct ms_lsn *out);
struct sluice_bytes ms_lsn_bytes(const struct ms_lsn *lsn);
int ms_lsn_compare(const struct ms_lsn *a, const struct ms_lsn *b);
int ms_lsn_is_zero(const struct ms_lsn *lsn);
/* The one right before; zero stays. */
void ms_lsn_decrement(struct ms_lsn *lsn);
/* The one right behind it. */
void ms_lsn_increment(struct ms_lsn *lsn);

/* "00000027:00000ac0:0002", as the server's tools write it. */
void ms_lsn_format(const struct ms_lsn *lsn, char out[MS_LSN_TEXT]);
/* 0x… of T-SQL. */
void ms_lsn_literal(const struct ms_lsn *lsn, char out[MS_LSN_LITERAL]);
/* Reads either, or the twenty hex digits alone. 0 if it is none. */
int ms_lsn_parse(const char *text, struct ms_lsn *out);

/* A datetime of db-lib (days since 1900, 1/300 s) as microseconds since 1970, of whatever zone it is. 0 if NULL. */
int64_t ms_datetime_us(struct sluice_bytes value);
/* "2026-11-23 00:52:34[.1234567][ +02:00]", also with T and Z, as microseconds; without a zone *has_zone is 0. 0 if it
 * is none. */
int ms_time_parse(const char *text, int64_t *out_us, int *has_zone, int64_t *zone_us);

#endif /* SQLSERVER_LSN_H */
