/*
 * Names of streams, pipelines and shards as segments of object keys. Whatever a table is called,
 * its objects stay inside the prefix. [any]
 */
#ifndef SLUICE_COMMON_LAKE_KEYS_H
#define SLUICE_COMMON_LAKE_KEYS_H

#include <stdint.h>

#include "sluice/error.h"

enum {
    SLUICE_LAKE_SEGMENT_MAX = 200, /* bytes of one segment */
    SLUICE_LAKE_SEGMENT_CUT = 183, /* what is kept of a longer one, before '~' and 16 hex digits */
    SLUICE_LAKE_KEY_MAX = 1024     /* bytes of a whole key: S3's limit */
};

/* The segment for a name: bytes outside [A-Za-z0-9_.-] percent-encoded, also "." and "..", long
 * ones cut. NUL-terminated. */
sluice_status sluice_lake_segment(const char *name, char out[SLUICE_LAKE_SEGMENT_MAX + 1],
                                  struct sluice_error *err) SLUICE_MUST_CHECK;

/* A shard id as part of a file name: everything else than [A-Za-z0-9_.-] becomes '-'. Not unique:
 * the caller counts attempts per text. */
void sluice_lake_shard_text(const char *id, char *out, uint64_t cap);

/* 1 if the text is not empty and has only bytes of [A-Za-z0-9_.-], no dot in front. */
int32_t sluice_lake_is_plain(const char *text);

/* Lower-case hex sha256; out takes 65 bytes. */
sluice_status sluice_lake_sha256(const void *data, uint64_t size, char out[65],
                                 struct sluice_error *err) SLUICE_MUST_CHECK;

/* 32 hex digits nobody else has. */
sluice_status sluice_lake_random_id(char out[33], struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_LAKE_KEYS_H */
