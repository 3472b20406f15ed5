/*
 * What the SDK's own files share; not installed.
 */
#ifndef SLUICE_SDK_INTERNAL_H
#define SLUICE_SDK_INTERNAL_H

#include <stddef.h>

#include "sluice/abi.h"
#include "sluice/error.h"
#include "sluice/schema.h"
#include "sluice/text.h"
#include "sluice/view.h"

/* Deepest nesting of columns; recursion on schemas stops there. */
#define SLUICE_MAX_DEPTH 64
/* More columns than any source has (PostgreSQL 1,600, SQL Server 30,000 sparse). */
#define SLUICE_MAX_COLUMNS 65536

/* The largest length <= max at which `text` can be cut without breaking a UTF-8 character. */
uint64_t sluice_utf8_cut(const char *text, uint64_t size, uint64_t max);

/* Bits set in [from, from + count) of a bitmap. */
int64_t sluice_bits_count(const uint8_t *bits, int64_t from, int64_t count);
/* Copies bits [from, from + count) of src to bits [0, count) of dst; the rest of dst's last byte
 * becomes 0. */
void sluice_bits_copy(const uint8_t *src, int64_t from, int64_t count, uint8_t *dst);

/* As sluice_views_init, for the rows [offset, offset + length) of the struct array. */
sluice_status sluice_views_init_range(const struct ArrowSchema *schema,
                                      const struct ArrowArray *array, int64_t offset,
                                      int64_t length, struct sluice_view *views,
                                      struct sluice_error *err);

/* A view of rows [offset, offset + length) of one array, counted from the array's own offset. */
sluice_status sluice_view_init_range(const struct ArrowSchema *schema,
                                     const struct ArrowArray *array, int64_t offset, int64_t length,
                                     struct sluice_view *view, struct sluice_error *err);

/* Buffers that an array of this type has: validity, offsets, data. */
int64_t sluice_type_buffer_count(const struct sluice_type *type);

static inline int32_t sluice_type_is_variable(const struct sluice_type *type)
{
    return type->id == SLUICE_TYPE_UTF8 || type->id == SLUICE_TYPE_BINARY;
}

static inline int32_t sluice_type_is_large(const struct sluice_type *type)
{
    return type->id == SLUICE_TYPE_LARGE_UTF8 || type->id == SLUICE_TYPE_LARGE_BINARY;
}

#endif /* SLUICE_SDK_INTERNAL_H */
