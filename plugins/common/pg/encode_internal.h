/* What encode.c and encode_text.c share. */
#ifndef SLUICE_COMMON_PG_ENCODE_INTERNAL_H
#define SLUICE_COMMON_PG_ENCODE_INTERNAL_H

#include "pg/encode.h"

/* sluice_pg_encoder.kind; from KIND_BOOL on: fixed width, nothing to check. */
enum {
    KIND_OTHER = 0,
    KIND_DECIMAL = 1,
    KIND_TEXT = 2,
    KIND_BOOL = 3,
    KIND_INT16 = 4,
    KIND_INT32 = 5,
    KIND_INT64 = 6,
    KIND_DATE = 7,
    KIND_TIME = 8,
    KIND_TIMESTAMP = 9,
    KIND_UUID = 10
};

sluice_status sluice_pg_encode_nomem(struct sluice_error *err);
/* DATA | ROW_LEVEL about a value of the column. */
sluice_status sluice_pg_encode_refuse(const struct sluice_pg_encoder *e, const char *sqlstate,
                                      const char *why, struct sluice_error *err);
/* An integer of any width; 0 = unsigned and beyond int64 (then *out has its bits). */
int sluice_pg_encode_int(const struct sluice_view *v, int64_t row, int64_t *out);
/* Bytes of a variable or fixed binary value, large or not. */
struct sluice_bytes sluice_pg_encode_bytes(const struct sluice_view *v, int64_t row);

#endif /* SLUICE_COMMON_PG_ENCODE_INTERNAL_H */
