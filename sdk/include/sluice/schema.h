/*
 * Arrow schemas for the types sluice knows: building, reading, copying. SDK.
 */
#ifndef SLUICE_SCHEMA_H
#define SLUICE_SCHEMA_H

#include "sluice/abi.h"
#include "sluice/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The column types of the data plane. */
enum {
    SLUICE_TYPE_NONE = 0,
    SLUICE_TYPE_BOOL = 1,              /* "b" */
    SLUICE_TYPE_INT8 = 2,              /* "c" */
    SLUICE_TYPE_INT16 = 3,             /* "s" */
    SLUICE_TYPE_INT32 = 4,             /* "i" */
    SLUICE_TYPE_INT64 = 5,             /* "l" */
    SLUICE_TYPE_UINT8 = 6,             /* "C" */
    SLUICE_TYPE_UINT16 = 7,            /* "S" */
    SLUICE_TYPE_UINT32 = 8,            /* "I" */
    SLUICE_TYPE_UINT64 = 9,            /* "L" */
    SLUICE_TYPE_FLOAT32 = 10,          /* "f" */
    SLUICE_TYPE_FLOAT64 = 11,          /* "g" */
    SLUICE_TYPE_DECIMAL128 = 12,       /* "d:p,s" */
    SLUICE_TYPE_DECIMAL256 = 13,       /* "d:p,s,256" */
    SLUICE_TYPE_UTF8 = 14,             /* "u" */
    SLUICE_TYPE_BINARY = 15,           /* "z" */
    SLUICE_TYPE_FIXED_BINARY = 16,     /* "w:n" */
    SLUICE_TYPE_DATE32 = 17,           /* "tdD": days since 1970-01-01 */
    SLUICE_TYPE_TIME64_US = 18,        /* "ttu": 0 … 86,400,000,000 (24:00:00 is allowed) */
    SLUICE_TYPE_TIMESTAMP_US = 19,     /* "tsu:": no zone */
    SLUICE_TYPE_TIMESTAMP_US_UTC = 20, /* "tsu:UTC" (any zone text reads as this) */
    SLUICE_TYPE_INTERVAL = 21,         /* "tin": months, days, nanoseconds */
    SLUICE_TYPE_LIST = 22,             /* "+l" */
    SLUICE_TYPE_STRUCT = 23,           /* "+s" */
    SLUICE_TYPE_LARGE_UTF8 = 24,       /* "U": only when one cell may pass 2 GiB */
    SLUICE_TYPE_LARGE_BINARY = 25      /* "Z" */
};

struct sluice_type {
    int32_t id;        /* SLUICE_TYPE_* */
    int32_t precision; /* decimals */
    int32_t scale;     /* decimals, may be negative */
    int32_t width;     /* bytes of a fixed-width value; 0 for bool and variable ones */
};

/* Reads an Arrow format string. UNSUPPORTED for a type not in the list above. */
sluice_status sluice_type_parse(const char *format, struct sluice_type *out,
                                struct sluice_error *err) SLUICE_MUST_CHECK;

/* Writes the Arrow format of a type (at most 32 bytes with NUL) to `out`. */
void sluice_type_format(const struct sluice_type *type, char out[32]);

/* "int32", "decimal128(12,2)", "timestamp[us, UTC]": for people and manifests; at most 48 bytes. */
void sluice_type_name(const struct sluice_type *type, char out[48]);

/* Makes a struct schema with n columns, each still "n" (null) until set. The caller releases it. */
sluice_status sluice_schema_init(struct ArrowSchema *schema, int64_t n, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Sets column i. `metadata` are `pair_count` pairs, may be NULL. Copies all strings. */
sluice_status sluice_schema_set(struct ArrowSchema *schema, int64_t i, const char *name,
                                const struct sluice_type *type, int32_t nullable,
                                const struct sluice_pair *metadata, uint32_t pair_count,
                                struct sluice_error *err) SLUICE_MUST_CHECK;

/* Makes column i a struct or list with n children of its own; set them through
 * schema->children[i]. */
sluice_status sluice_schema_set_nested(struct ArrowSchema *schema, int64_t i, const char *name,
                                       int32_t type_id, int64_t n, int32_t nullable,
                                       struct sluice_error *err) SLUICE_MUST_CHECK;

/* Makes column i a deep copy of `field`, under another name unless `name` is NULL, nullable as told
 * unless `nullable` is -1. */
sluice_status sluice_schema_put(struct ArrowSchema *schema, int64_t i,
                                const struct ArrowSchema *field, const char *name, int32_t nullable,
                                struct sluice_error *err) SLUICE_MUST_CHECK;

/* Deep copy of any schema this SDK or another producer made. The caller releases it. */
sluice_status sluice_schema_copy(const struct ArrowSchema *src, struct ArrowSchema *out,
                                 struct sluice_error *err) SLUICE_MUST_CHECK;

/* Value of a metadata key of a field, or {NULL, 0}; borrowed from the schema. */
struct sluice_bytes sluice_schema_metadata(const struct ArrowSchema *field, const char *key);

/* 1 if the metadata value of `key` equals `text`. */
int32_t sluice_schema_metadata_is(const struct ArrowSchema *field, const char *key,
                                  const char *text);

/* Same columns: names, formats, nullability and metadata, in order. */
int32_t sluice_schema_equal(const struct ArrowSchema *a, const struct ArrowSchema *b);

/* The envelope schema of CHANGES batches over the given row schema; `before` is SLUICE_BEFORE_*. */
sluice_status sluice_schema_envelope(const struct sluice_stream_desc *desc, struct ArrowSchema *out,
                                     struct sluice_error *err) SLUICE_MUST_CHECK;

/* Deep copy of a stream description into one allocation-owning object; free with
 * sluice_stream_desc_free. NULL on out of memory. */
struct sluice_stream_desc *sluice_stream_desc_copy(const struct sluice_stream_desc *src);
void sluice_stream_desc_free(struct sluice_stream_desc *desc);

/* Writes the stream name of `parts` (quoted where needed, joined by '.') into out; returns its
 * length without NUL; when that is >= cap nothing useful was written. */
uint64_t sluice_stream_name(const char *const *parts, uint32_t part_count, char *out, uint64_t cap);

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_SCHEMA_H */
