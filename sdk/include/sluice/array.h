/*
 * Whole arrays: checking, sharing, sizing, and making arrays out of others. SDK.
 */
#ifndef SLUICE_ARRAY_H
#define SLUICE_ARRAY_H

#include "sluice/schema.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Levels of sluice_array_check. */
enum {
    SLUICE_CHECK_COUNTS = 1, /* formats known, buffers and children present, lengths fit */
    SLUICE_CHECK_FULL =
        2 /* and offsets monotone, UTF-8 valid, null counts true, decimals in range */
};

/* Does the array fit the schema? DATA with the column and row at fault otherwise. */
sluice_status sluice_array_check(const struct ArrowSchema *schema, const struct ArrowArray *array,
                                 int32_t level, struct sluice_error *err) SLUICE_MUST_CHECK;

/* Bytes held by the array's buffers, approximately. */
uint64_t sluice_array_bytes(const struct ArrowSchema *schema, const struct ArrowArray *array);

/* Releases if not yet released; NULL-safe. */
void sluice_array_release(struct ArrowArray *array);
void sluice_schema_release(struct ArrowSchema *schema);

/* Moves: bitwise copy, then *src is marked released. */
void sluice_array_move(struct ArrowArray *src, struct ArrowArray *dst);

/* Turns *array into a shared one: makes `n` arrays in out[] that all read the same buffers; the
 * last release frees them (atomic count, any thread). *array is consumed. */
sluice_status sluice_array_share(struct ArrowArray *array, uint32_t n, struct ArrowArray *out,
                                 struct sluice_error *err) SLUICE_MUST_CHECK;

/* Makes a struct array whose children are taken from *src by index (moves them; a child may be
 * taken once) or, for index -1, from extra[k] (moved, in order). *src is consumed. For transforms. */
sluice_status sluice_array_select(struct ArrowArray *src, const int64_t *indexes, int64_t n,
                                  struct ArrowArray *extra, struct ArrowArray *out,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_ARRAY_H */
