/*
 * What the lake library asks of a place that keeps objects: S3, or a folder. One store serves one
 * sink instance. Keys are UTF-8, relative to the store's prefix, segments divided by '/'; they are
 * already escaped by the lake and never hold '.', '..' or empty segments.
 *
 * Threads: put, get, list, upload_open [any]; the calls on one upload: one thread at a time.
 * Retrying what a network did is the store's business; what it returns with RETRYABLE has been
 * tried long enough and is for the engine to retry as a whole.
 */
#ifndef SLUICE_COMMON_LAKE_STORE_H
#define SLUICE_COMMON_LAKE_STORE_H

#include "sluice/abi.h"
#include "sluice/error.h"

struct sluice_lake_store;  /* instance, defined by the store */
struct sluice_lake_upload; /* one object being written, defined by the store */

/* `size` and `modified_us` (wall clock of the store, 0 = unknown) of a listed object. */
typedef sluice_status (*sluice_lake_list_visit)(void *vctx, const char *key, uint64_t size,
                                                int64_t modified_us);

/* sluice_lake_store_api.put flags */
enum { SLUICE_LAKE_PUT_NEW = 1 /* fail with CONFLICT when the key exists, atomically */ };

struct sluice_lake_store_api {
    /* Connects far enough to know that writing will work (bucket exists, region, folder made). */
    sluice_status (*open)(struct sluice_lake_store *store, struct sluice_error *err);
    /* The same for reading alone: makes nothing. NOT_FOUND when the place does not exist. */
    sluice_status (*open_read)(struct sluice_lake_store *store, struct sluice_error *err);
    /* Findings for `sluice check`: reachable, may put, abort, list; clock skew; free space. */
    sluice_status (*check)(struct sluice_lake_store *store, sluice_finding_visit visit, void *vctx,
                           struct sluice_error *err);
    /* Writes a small object whole and durably. CONFLICT (with PUT_NEW): it exists already, or our
     * own earlier try won after a lost reply; the caller compares contents with get. */
    sluice_status (*put)(struct sluice_lake_store *store, const char *key, const void *data,
                         uint64_t size, uint32_t flags, const char *content_type,
                         struct sluice_error *err);
    /* Reads a small object whole into *out (malloc, freed by the caller). NOT_FOUND. LIMIT when it
     * is over `max`. */
    sluice_status (*get)(struct sluice_lake_store *store, const char *key, uint64_t max,
                         uint8_t **out, uint64_t *out_size, struct sluice_error *err);
    /* Reads up to `size` bytes of an object from `offset` on; *got is less only where the object ends.
     * NOT_FOUND. */
    sluice_status (*get_range)(struct sluice_lake_store *store, const char *key, uint64_t offset,
                               uint64_t size, uint8_t *out, uint64_t *got,
                               struct sluice_error *err);
    /* Visits keys under `prefix` (a whole folder, ends with '/') greater than start_after (NULL =
     * all) in byte order. END from the visitor stops. */
    sluice_status (*list)(struct sluice_lake_store *store, const char *prefix,
                          const char *start_after, sluice_lake_list_visit visit, void *vctx,
                          struct sluice_error *err);
    /* Begins an object that becomes visible as a whole at upload_finish, never before, and never
     * replaces another (CONFLICT). Bounded memory: counted through host->memory. */
    sluice_status (*upload_open)(struct sluice_lake_store *store, const char *key,
                                 const char *content_type, const char *content_encoding,
                                 struct sluice_lake_upload **out, struct sluice_error *err);
    /* Room to write into: at least 1 byte, usually much more. Blocks while too many parts are in
     * flight; CANCELLED when woken. */
    sluice_status (*upload_room)(struct sluice_lake_upload *up, uint8_t **room, uint64_t *size,
                                 struct sluice_error *err);
    /* `used` bytes of the last room are filled. */
    sluice_status (*upload_advance)(struct sluice_lake_upload *up, uint64_t used,
                                    struct sluice_error *err);
    /* Makes the object durable and visible, and frees the upload on OK. On an error the caller
     * still calls upload_abort. */
    sluice_status (*upload_finish)(struct sluice_lake_upload *up, struct sluice_error *err);
    /* Throws it away and frees it. NULL is allowed. */
    void (*upload_abort)(struct sluice_lake_upload *up);
    /* Wakes every blocked call. [any] */
    void (*cancel)(struct sluice_lake_store *store);
    void (*destroy)(struct sluice_lake_store *store);
    /* "s3://bucket/prefix" or a path, for messages. */
    const char *(*location)(struct sluice_lake_store *store);
};

#endif /* SLUICE_COMMON_LAKE_STORE_H */
