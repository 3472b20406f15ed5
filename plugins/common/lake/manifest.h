/*
 * Manifests, version 1: what one commit of a sink added. Written once, never changed; the format is
 * described in docs/object-layout.md. [any]
 */
#ifndef SLUICE_COMMON_LAKE_MANIFEST_H
#define SLUICE_COMMON_LAKE_MANIFEST_H

#include "sluice/abi.h"
#include "sluice/error.h"

enum {
    SLUICE_LAKE_MANIFEST_FORMAT = 1,
    SLUICE_LAKE_MANIFEST_MAX = 64 * 1024 * 1024, /* bytes we are ready to read back */
    SLUICE_LAKE_TOKEN_MAX = 64 * 1024
};

enum { SLUICE_LAKE_KIND_FULL = 1, SLUICE_LAKE_KIND_CDC = 2, SLUICE_LAKE_KIND_COMPLETE = 3 };

/* A data file as a manifest names it. */
struct sluice_lake_file {
    char *key;                             /* relative to the prefix */
    const struct sluice_stream_desc *desc; /* borrowed: whose rows, in which version */
    uint64_t rows;
    uint64_t bytes;
    char sha256[65];
    char *first_pos; /* CDC: hex of the smallest and the largest position in it; NULL = none */
    char *last_pos;
};

void sluice_lake_file_free(struct sluice_lake_file *file);

struct sluice_lake_manifest {
    int32_t kind;
    int32_t mode; /* SLUICE_MODE_* */
    const char *pipeline;
    const char *sink;
    uint64_t seq;
    const char *attempt;
    const char *shard; /* NULL for COMPLETE */
    uint64_t epoch;
    const char *run;
    int64_t committed_us; /* wall clock */
    struct sluice_bytes token;
    const char *from;                                /* CDC: hex, exclusive; NULL = not known */
    const char *to;                                  /* CDC: hex, inclusive */
    const struct sluice_stream_desc *const *streams; /* FULL, CDC: whose columns are described */
    uint32_t stream_count;
    const char *stream_name; /* COMPLETE */
    uint64_t rows;           /* COMPLETE */
    const char *position;    /* COMPLETE; NULL = none */
    const struct sluice_lake_file *const *files;
    uint32_t file_count;
};

/* The text of a manifest; *out is malloc'd and moves to the caller. */
sluice_status sluice_lake_manifest_write(const struct sluice_lake_manifest *m, char **out,
                                         uint64_t *size, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* What recovery needs of a manifest. Strings are "" where there is none. */
struct sluice_lake_found {
    int32_t kind;
    uint64_t seq;
    uint64_t epoch;
    char *attempt;
    char *shard;
    char *run;
    char *stream; /* COMPLETE */
    char *to;     /* CDC */
    uint64_t rows;
    uint8_t *token;
    uint64_t token_size;
};

/* Reads a manifest. DATA if it is none, UNSUPPORTED if a newer version wrote it. */
sluice_status sluice_lake_manifest_read(const uint8_t *data, uint64_t size,
                                        struct sluice_lake_found *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_lake_found_free(struct sluice_lake_found *found);

#endif /* SLUICE_COMMON_LAKE_MANIFEST_H */
