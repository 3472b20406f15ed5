/*
 * The sequence of manifests of one sink: {prefix}/_sluice/{pipeline}/{sink}/commits/{seq}.json. All
 * lanes of the sink append to it, one at a time; whoever creates the next number first owns it, so
 * that a second process with the same pipeline finds out at its next commit.
 *
 * Lock: `mutex` guards all members from `next` on, also during the write to the store.
 */
#ifndef SLUICE_COMMON_LAKE_COMMITS_H
#define SLUICE_COMMON_LAKE_COMMITS_H

#include <pthread.h>

#include "lake/keys.h"
#include "lake/manifest.h"
#include "lake/store.h"
#include "sluice/failpoint.h"

/* The newest manifest of changes of one shard. */
struct sluice_lake_shard_end {
    struct sluice_lake_shard_end *next;
    uint64_t seq;
    uint64_t epoch;
    int32_t own; /* written by this process */
    int32_t reserved;
    char *to; /* hex */
    char shard[];
};

struct sluice_lake_commits {
    const struct sluice_host *host; /* borrowed, like the next two */
    const struct sluice_lake_store_api *api;
    struct sluice_lake_store *store;
    char *folder;      /* "_sluice/…/commits/" */
    char instance[33]; /* of this process's sink; starts every attempt id */
    pthread_mutex_t mutex;
    uint64_t next;     /* the number our next manifest gets */
    uint64_t attempts; /* manifests tried so far */
    int32_t fenced;    /* another process wrote: nothing may be committed any more */
    int32_t unsure;    /* a write failed, and may have got number `next` all the same */
    uint64_t scanned;  /* manifests from this number on were looked at; 0 = none yet */
    struct sluice_lake_shard_end *ends;
    const struct sluice_failpoint_extension *failpoints; /* borrowed */
};

sluice_status sluice_lake_commits_init(struct sluice_lake_commits *log,
                                       const struct sluice_host *host,
                                       const struct sluice_lake_store_api *api,
                                       struct sluice_lake_store *store, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_lake_commits_free(struct sluice_lake_commits *log);

/* Where the manifests of a pipeline's sink are, '/' at the end. [any] */
sluice_status sluice_lake_commits_folder(const char *pipeline, const char *sink,
                                         char out[SLUICE_LAKE_KEY_MAX], struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Finds the last manifest of the pipeline's sink. [ctl] */
sluice_status sluice_lake_commits_open(struct sluice_lake_commits *log, const char *pipeline,
                                       const char *sink, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Creates the next manifest; fills in seq, attempt and committed_us of *m. OK: it is durable, and
 * `*again` is 1 if an earlier try of the same shard, run and epoch turned out to have won: the
 * files of *m then count nowhere. CONFLICT (FATAL): fenced. [any] */
sluice_status sluice_lake_commits_append(struct sluice_lake_commits *log,
                                         struct sluice_lake_manifest *m, int32_t *again,
                                         struct sluice_error *err) SLUICE_MUST_CHECK;

/* What the newest manifest of a shard's changes says: `to` (malloc'd, moves to the caller; NULL = there
 * is none), its epoch, and whether it was this process that wrote it. Looks through manifests that
 * recover() has not seen, and settles an own try whose outcome was unknown. [any] */
struct sluice_lake_end {
    char *to;
    uint64_t epoch;
    int32_t own;
    int32_t reserved;
};
sluice_status sluice_lake_commits_end(struct sluice_lake_commits *log, const char *shard,
                                      struct sluice_lake_end *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Visits what the manifests say, newest first. [ctl] */
sluice_status sluice_lake_commits_recover(struct sluice_lake_commits *log,
                                          sluice_recovered_visit visit, void *vctx,
                                          struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_LAKE_COMMITS_H */
