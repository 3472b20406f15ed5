#include "file_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "internal.h"
#include "lake/keys.h"

#define SPACE_LOW (UINT64_C(1) << 30) /* check warns below 1 GiB */

static sluice_status store_open(struct sluice_lake_store *store, struct sluice_error *err)
{
    int failed = 0;
    if (store->root >= 0) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_lake_random_id(store->instance, err));
    if (sluice_file_make_folders(AT_FDCWD, store->path, &failed) < 0) {
        return sluice_error_errno(err, failed, "making the folder %s", store->path);
    }
    int root = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        return sluice_error_errno(err, errno, "opening the folder %s", store->path);
    }
    int tmp = -1;
    if (mkdirat(root, SLUICE_FILE_TMP, 0777) == 0 || errno == EEXIST) {
        tmp = openat(root, SLUICE_FILE_TMP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (tmp < 0) {
        sluice_status st =
            sluice_file_errno(store, err, errno, "making the folder", SLUICE_FILE_TMP);
        (void)close(root);
        return st;
    }
    store->root = root;
    store->tmp = tmp;
    sluice_file_tmp_clean(store);
    return SLUICE_OK;
}

static sluice_status store_open_read(struct sluice_lake_store *store, struct sluice_error *err)
{
    if (store->root >= 0) {
        return SLUICE_OK;
    }
    store->root = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->root < 0 && errno == ENOENT) {
        return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "there is no folder %s", store->path);
    }
    return store->root >= 0 ? SLUICE_OK
                            : sluice_error_errno(err, errno, "opening the folder %s", store->path);
}

static sluice_status store_put(struct sluice_lake_store *store, const char *key, const void *data,
                               uint64_t size, uint32_t flags, const char *content_type,
                               struct sluice_error *err)
{
    char name[64];
    (void)content_type;
    int fd = sluice_file_tmp_open(store, name);
    if (fd < 0) {
        return sluice_file_errno(store, err, errno, "creating a temporary file for", key);
    }
    int failed = sluice_file_write_all(store, fd, data, size);
    sluice_status st = failed != 0 ? sluice_file_errno(store, err, failed, "writing", key)
                                   : sluice_file_publish(store, fd, name, key,
                                                         (flags & SLUICE_LAKE_PUT_NEW) == 0, err);
    if (st < 0) {
        (void)unlinkat(store->tmp, name, 0);
    }
    (void)close(fd);
    return st;
}

static sluice_status read_all(int fd, uint64_t max, uint8_t **out, uint64_t *out_size, int *failed)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        *failed = errno;
        return SLUICE_E_IO;
    }
    uint64_t size = (uint64_t)st.st_size;
    if (size > max) {
        return SLUICE_E_LIMIT;
    }
    uint8_t *data = malloc(size + 1);
    if (data == NULL) {
        *failed = ENOMEM;
        return SLUICE_E_NOMEM;
    }
    uint64_t done = 0;
    while (done < size) {
        ssize_t n = read(fd, data + done, size - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            *failed = n < 0 ? errno : EIO;
            free(data);
            return SLUICE_E_IO;
        }
        done += (uint64_t)n;
    }
    *out = data;
    *out_size = size;
    return SLUICE_OK;
}

static sluice_status store_get(struct sluice_lake_store *store, const char *key, uint64_t max,
                               uint8_t **out, uint64_t *out_size, struct sluice_error *err)
{
    int failed = 0;
    int fd = openat(store->root, key, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "%s/%s does not exist", store->path,
                                    key);
        }
        return sluice_file_errno(store, err, errno, "opening", key);
    }
    sluice_status st = read_all(fd, max, out, out_size, &failed);
    (void)close(fd);
    if (st == SLUICE_E_LIMIT) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "%s/%s is larger than %" PRIu64 " bytes",
                                store->path, key, max);
    }
    return st < 0 ? sluice_file_errno(store, err, failed, "reading", key) : SLUICE_OK;
}

static sluice_status store_get_range(struct sluice_lake_store *store, const char *key,
                                     uint64_t offset, uint64_t size, uint8_t *out, uint64_t *got,
                                     struct sluice_error *err)
{
    const int fd = openat(store->root, key, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "%s/%s does not exist",
                                      store->path, key)
                   : sluice_file_errno(store, err, errno, "opening", key);
    }
    int failed = 0;
    *got = 0;
    while (*got < size && failed == 0) {
        const ssize_t n = pread(fd, out + *got, size - *got, (off_t)(offset + *got));
        if (n == 0) {
            break;
        }
        if (n > 0) {
            *got += (uint64_t)n;
        }
        else if (errno != EINTR) {
            failed = errno;
        }
    }
    (void)close(fd);
    return failed != 0 ? sluice_file_errno(store, err, failed, "reading", key) : SLUICE_OK;
}

static sluice_status report(sluice_finding_visit visit, void *vctx, int32_t severity,
                            const char *subject, const char *what, const char *remedy)
{
    struct sluice_finding finding = {.struct_size = (uint32_t)sizeof finding};
    finding.severity = severity;
    finding.subject = subject;
    finding.key = severity == SLUICE_FINDING_OK ? NULL : "path";
    finding.what = what;
    finding.remedy = remedy;
    sluice_status st = visit(vctx, &finding);
    return st < 0 ? st : SLUICE_OK;
}

static sluice_status check_space(const struct sluice_lake_store *store, sluice_finding_visit visit,
                                 void *vctx)
{
    struct statvfs fs;
    char what[128];
    if (fstatvfs(store->tmp, &fs) != 0) {
        return SLUICE_OK;
    }
    uint64_t space = (uint64_t)fs.f_bavail * (uint64_t)fs.f_frsize;
    (void)snprintf(what, sizeof what, "%" PRIu64 " MiB free", space >> 20);
    return report(visit, vctx, space < SPACE_LOW ? SLUICE_FINDING_WARN : SLUICE_FINDING_OK,
                  store->path, what, space < SPACE_LOW ? "free some space on this disk" : NULL);
}

static sluice_status store_check(struct sluice_lake_store *store, sluice_finding_visit visit,
                                 void *vctx, struct sluice_error *err)
{
    char name[64];
    sluice_status st = store_open(store, err);
    if (st >= 0) {
        int fd = sluice_file_tmp_open(store, name);
        int failed = fd < 0 ? errno : sluice_file_write_all(store, fd, (const uint8_t *)"x", 1);
        if (failed == 0 && fsync(fd) != 0) {
            failed = errno;
        }
        if (fd >= 0) {
            (void)unlinkat(store->tmp, name, 0);
            (void)close(fd);
        }
        if (failed != 0) {
            st = sluice_file_errno(store, err, failed, "writing to", "");
        }
    }
    if (st < 0) {
        (void)report(visit, vctx, SLUICE_FINDING_ERROR, store->path,
                     err != NULL ? err->message : "cannot be written",
                     "give the user that runs sluice the right to write there");
        return st;
    }
    SLUICE_TRY(report(visit, vctx, SLUICE_FINDING_OK, store->path,
                      "the folder exists and can be written", NULL));
    return check_space(store, visit, vctx);
}

static void store_cancel(struct sluice_lake_store *store)
{
    (void)store; /* no call of a folder waits for long */
}

static void store_destroy(struct sluice_lake_store *store)
{
    if (store == NULL) {
        return;
    }
    if (store->tmp >= 0) {
        (void)close(store->tmp);
    }
    if (store->root >= 0) {
        (void)close(store->root);
    }
    free(store->path);
    free(store);
}

static const char *store_location(struct sluice_lake_store *store)
{
    return store->path;
}

const struct sluice_lake_store_api sluice_file_store_api = {
    .open = store_open,
    .open_read = store_open_read,
    .check = store_check,
    .put = store_put,
    .get = store_get,
    .get_range = store_get_range,
    .list = sluice_file_list,
    .upload_open = sluice_file_upload_open,
    .upload_room = sluice_file_upload_room,
    .upload_advance = sluice_file_upload_advance,
    .upload_finish = sluice_file_upload_finish,
    .upload_abort = sluice_file_upload_abort,
    .cancel = store_cancel,
    .destroy = store_destroy,
    .location = store_location,
};

sluice_status sluice_file_store_create(const struct sluice_host *host, const char *path,
                                       struct sluice_lake_store **out, struct sluice_error *err)
{
    size_t n = strlen(path);
    if (n == 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "path is empty");
    }
    struct sluice_lake_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a store");
    }
    store->host = host;
    store->failpoints = sluice_failpoints_of(host);
    store->root = -1;
    store->tmp = -1;
    atomic_init(&store->names, 1);
    store->path = strdup(path);
    if (store->path == NULL) {
        store_destroy(store);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a store");
    }
    while (n > 1 && store->path[n - 1] == '/') {
        store->path[--n] = 0;
    }
    *out = store;
    return SLUICE_OK;
}
