/* Folders, temporary files, and how a file gets its name. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

enum { PATH_MAX_BYTES = 4096, TMP_TRIES = 8 };

sluice_status sluice_file_errno(const struct sluice_lake_store *store, struct sluice_error *err,
                                int errnum, const char *what, const char *key)
{
    sluice_status st = sluice_error_errno(err, errnum, "%s %s/%s", what, store->path, key);
    if (errnum == ENOSPC || errnum == EDQUOT) {
        /* Trying again at once would only fill it again. */
        st = sluice_error_set(err, SLUICE_E_IO, 0,
                              "%s %s/%s: %s; nothing half-written is left behind: free some space "
                              "and run it again",
                              what, store->path, key,
                              errnum == ENOSPC ? "the disk is full" : "the disk quota is used up");
        if (err != NULL) {
            err->native_code = errnum;
        }
    }
    return st;
}

/* fsync of a folder. Some file systems refuse it: they have nothing to sync there. */
static int sync_folder(int at, const char *path)
{
    int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    int rc = fsync(fd);
    if (rc != 0 && (errno == EINVAL || errno == EROFS || errno == ENOTSUP)) {
        rc = 0;
    }
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return rc;
}

sluice_status sluice_file_make_folders(int at, const char *path, int *failed_errno)
{
    char part[PATH_MAX_BYTES];
    char parent[PATH_MAX_BYTES] = ".";
    size_t n = strlen(path);
    if (n >= sizeof part) {
        *failed_errno = ENAMETOOLONG;
        return SLUICE_E_LIMIT;
    }
    if (path[0] == '/') {
        memcpy(parent, "/", 2);
    }
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != 0) {
            continue;
        }
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdirat(at, part, 0777) == 0) {
            if (sync_folder(at, parent) != 0) {
                *failed_errno = errno;
                return SLUICE_E_IO;
            }
        }
        else if (errno != EEXIST) {
            *failed_errno = errno;
            return SLUICE_E_IO;
        }
        memcpy(parent, part, i + 1);
    }
    return SLUICE_OK;
}

int sluice_file_tmp_open(struct sluice_lake_store *store, char name[64])
{
    for (int i = 0; i < TMP_TRIES; i++) {
        uint64_t n = atomic_fetch_add(&store->names, 1);
        (void)snprintf(name, 64, "%s-%" PRIu64, store->instance, n);
        int fd = openat(store->tmp, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0) {
            return -1;
        }
        struct stat st;
        if (flock(fd, LOCK_EX) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0) {
            return fd;
        }
        /* Somebody who cleans up was quicker than our lock. */
        (void)close(fd);
    }
    errno = EBUSY;
    return -1;
}

void sluice_file_tmp_clean(const struct sluice_lake_store *store)
{
    int fd = openat(store->tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        int file = openat(store->tmp, entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (file < 0) {
            continue;
        }
        if (flock(file, LOCK_EX | LOCK_NB) == 0) {
            (void)unlinkat(store->tmp, entry->d_name, 0);
        }
        (void)close(file);
    }
    (void)closedir(dir);
}

int sluice_file_write_all(const struct sluice_lake_store *store, int fd, const uint8_t *data,
                          uint64_t size)
{
    if (sluice_failpoint_torn(store->failpoints, "file.torn")) {
        (void)!write(fd, data, size / 2);
        store->failpoints->crash();
    }
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? errno : EIO;
        }
        data += n;
        size -= (uint64_t)n;
    }
    return 0;
}

/* 0, or -1 with errno; EEXIST when the key is taken. */
static int give_name(struct sluice_lake_store *store, const char *name, const char *key,
                     int replace)
{
    if (replace) {
        return renameat(store->tmp, name, store->root, key);
    }
    if (renameat2(store->tmp, name, store->root, key, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -1;
    }
    /* This file system has no rename without replacing: a second link does the same. */
    if (linkat(store->tmp, name, store->root, key, 0) != 0) {
        return -1;
    }
    return unlinkat(store->tmp, name, 0);
}

sluice_status sluice_file_publish(struct sluice_lake_store *store, int fd, const char *name,
                                  const char *key, int replace, struct sluice_error *err)
{
    char folder[PATH_MAX_BYTES];
    size_t n = strlen(key);
    if (n == 0 || n >= sizeof folder) {
        return sluice_file_errno(store, err, ENAMETOOLONG, "naming", key);
    }
    memcpy(folder, key, n + 1);
    char *slash = strrchr(folder, '/');
    if (slash != NULL) {
        *slash = 0;
    }
    else {
        memcpy(folder, ".", 2);
    }
    int failed = 0;
    if (fsync(fd) != 0) {
        return sluice_file_errno(store, err, errno, "syncing", key);
    }
    if (slash != NULL && sluice_file_make_folders(store->root, folder, &failed) < 0) {
        return sluice_file_errno(store, err, failed, "making the folder of", key);
    }
    SLUICE_TRY(sluice_failpoint_hit(store->failpoints, "file.before_rename", err));
    if (give_name(store, name, key, replace) != 0) {
        if (errno == EEXIST) {
            return sluice_error_set(err, SLUICE_E_CONFLICT, 0, "%s/%s exists already", store->path,
                                    key);
        }
        return sluice_file_errno(store, err, errno, "naming", key);
    }
    if (sync_folder(store->root, folder) != 0) {
        return sluice_file_errno(store, err, errno, "syncing the folder of", key);
    }
    return SLUICE_OK;
}
