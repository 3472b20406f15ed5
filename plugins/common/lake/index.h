/*
 * What the manifests of one pipeline's sink name, collected for questions about its tables (digest.c). Read
 * on from where it stopped. One thread at a time.
 */
#ifndef SLUICE_COMMON_LAKE_INDEX_H
#define SLUICE_COMMON_LAKE_INDEX_H

#include <stddef.h>

#include "lake/store.h"
#include "sluice/error.h"

/* A data file; files stand in the order of their manifests. */
struct sluice_lake_indexed {
    char *key;
    char *stream;
    char *run;      /* of a load; NULL = changes */
    char *last_pos; /* changes: hex */
    char sha256[65];
    uint64_t rows;
    uint64_t bytes;
};

struct sluice_lake_index_stream {
    char *name;
    char *run;      /* the newest complete one; NULL = none */
    char *position; /* its load position, hex; NULL = none */
    char **keys;    /* columns that changes find rows by, as the newest changes say */
    uint32_t key_count;
    int32_t has_changes;
};

struct sluice_lake_index {
    struct sluice_lake_indexed *files;
    size_t file_count;
    size_t file_cap;
    struct sluice_lake_index_stream *streams;
    size_t stream_count;
    size_t stream_cap;
    char *to;   /* of the newest manifest of changes, hex; NULL = none */
    char *last; /* key of the newest manifest that was read; NULL = none */
};

/* Reads the manifests under `folder` that came since the last call. */
sluice_status sluice_lake_index_update(struct sluice_lake_index *index,
                                       const struct sluice_host *host,
                                       const struct sluice_lake_store_api *api,
                                       struct sluice_lake_store *store, const char *folder,
                                       struct sluice_error *err) SLUICE_MUST_CHECK;
/* NULL = no manifest names it. */
const struct sluice_lake_index_stream *sluice_lake_index_find(const struct sluice_lake_index *index,
                                                              const char *name);
void sluice_lake_index_free(struct sluice_lake_index *index);

#endif /* SLUICE_COMMON_LAKE_INDEX_H */
