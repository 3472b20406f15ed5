/* What the files of the store share. */
#ifndef SLUICE_FILE_INTERNAL_H
#define SLUICE_FILE_INTERNAL_H

#include <stdatomic.h>

#include "file_store.h"
#include "sluice/failpoint.h"

#define SLUICE_FILE_TMP ".sluice-tmp"

struct sluice_lake_store {
    const struct sluice_host *host; /* borrowed, like the next */
    const struct sluice_failpoint_extension *failpoints;
    char *path;
    int root; /* descriptor of the folder, -1 before open */
    int tmp;  /* of its folder for unfinished files */
    char instance[33];
    atomic_uint_fast64_t names; /* temporary files made so far */
};

/* Sets *err from errno, with what to do where we know it. */
sluice_status sluice_file_errno(const struct sluice_lake_store *store, struct sluice_error *err,
                                int errnum, const char *what, const char *key);

/* Makes `path` and what is above it (relative to `at`), durably; trailing part included. */
sluice_status sluice_file_make_folders(int at, const char *path, int *failed_errno);

/* An unfinished file: locked as long as we live, so that others see it is in use. `name` takes 64
 * bytes. -1 with errno on failure. */
int sluice_file_tmp_open(struct sluice_lake_store *store, char name[64]);

/* Removes unfinished files of processes that are gone. */
void sluice_file_tmp_clean(const struct sluice_lake_store *store);

/* Gives the finished temporary file its key: on disk, visible, and never in place of another
 * unless `replace`. CONFLICT if the key is taken. Closes and removes nothing. */
sluice_status sluice_file_publish(struct sluice_lake_store *store, int fd, const char *name,
                                  const char *key, int replace, struct sluice_error *err);

/* Writes all of it; 0 or an errno value. A test may have it write a part and die. */
int sluice_file_write_all(const struct sluice_lake_store *store, int fd, const uint8_t *data,
                          uint64_t size);

/* store.h: list */
sluice_status sluice_file_list(struct sluice_lake_store *store, const char *prefix,
                               const char *start_after, sluice_lake_list_visit visit, void *vctx,
                               struct sluice_error *err);

/* store.h: upload_* */
sluice_status sluice_file_upload_open(struct sluice_lake_store *store, const char *key,
                                      const char *content_type, const char *content_encoding,
                                      struct sluice_lake_upload **out, struct sluice_error *err);
sluice_status sluice_file_upload_room(struct sluice_lake_upload *up, uint8_t **room, uint64_t *size,
                                      struct sluice_error *err);
sluice_status sluice_file_upload_advance(struct sluice_lake_upload *up, uint64_t used,
                                         struct sluice_error *err);
sluice_status sluice_file_upload_finish(struct sluice_lake_upload *up, struct sluice_error *err);
void sluice_file_upload_abort(struct sluice_lake_upload *up);

#endif /* SLUICE_FILE_INTERNAL_H */
