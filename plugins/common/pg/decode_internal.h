/*
 * What decoders of binary values and of text share. Of this folder alone.
 */
#ifndef SLUICE_COMMON_PG_DECODE_INTERNAL_H
#define SLUICE_COMMON_PG_DECODE_INTERNAL_H

#include "pg/decode.h"

/* From 2000-01-01, PostgreSQL's zero, back to 1970-01-01. */
#define SLUICE_PG_EPOCH_US 946684800000000ll
#define SLUICE_PG_EPOCH_DAYS 10957
#define SLUICE_PG_DAY_US 86400000000ll

/* NULL or an error, as the column's policy says. */
sluice_status sluice_pg_cannot_hold(struct sluice_pg_decoder *d, const char *what,
                                    struct sluice_error *err) SLUICE_MUST_CHECK;
/* DATA if the text is not UTF-8. */
sluice_status sluice_pg_check_text(const uint8_t *p, uint32_t size, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Appends microseconds since 2000, or an infinity, to a timestamp column. */
sluice_status sluice_pg_put_timestamp(struct sluice_pg_decoder *d, int64_t v,
                                      struct sluice_error *err) SLUICE_MUST_CHECK;
/* Appends days since 2000, or an infinity, to a date column. */
sluice_status sluice_pg_put_date(struct sluice_pg_decoder *d, int32_t v, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Ends a numeric: `st` is what a parser of numerics answered, `v` its words. */
sluice_status sluice_pg_put_numeric(struct sluice_pg_decoder *d, sluice_status st, uint64_t v[4],
                                    int words, struct sluice_error *err) SLUICE_MUST_CHECK;

/* "text that is no date": never the text, which is row data. */
sluice_status sluice_pg_no_value(struct sluice_error *err, const char *type);

/* textdecode_number.c */
sluice_status sluice_pg_text_int16(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                   struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status sluice_pg_text_int32(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                   struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status sluice_pg_text_int64(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                   struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status sluice_pg_text_oid(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                 struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status sluice_pg_text_float32(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                     struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status sluice_pg_text_float64(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                     struct sluice_error *err) SLUICE_MUST_CHECK;

/* textdecode_time.c */
sluice_status sluice_pg_text_date(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status sluice_pg_text_time(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status sluice_pg_text_timestamp(struct sluice_pg_decoder *d, const uint8_t *p, uint32_t size,
                                       struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status sluice_pg_text_timestamptz(struct sluice_pg_decoder *d, const uint8_t *p,
                                         uint32_t size, struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_PG_DECODE_INTERNAL_H */
