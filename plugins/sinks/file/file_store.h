/*
 * A folder as a store of objects. Files are written under {path}/.sluice-tmp and get their name
 * when they are whole and on disk; a name is never given twice.
 */
#ifndef SLUICE_FILE_STORE_H
#define SLUICE_FILE_STORE_H

#include "lake/store.h"

extern const struct sluice_lake_store_api sluice_file_store_api;

/* `path` is copied; `host` is borrowed until destroy. No I/O. [ctl] */
sluice_status sluice_file_store_create(const struct sluice_host *host, const char *path,
                                       struct sluice_lake_store **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

#endif /* SLUICE_FILE_STORE_H */
