/* Reading a pipeline file from disk. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "config/internal.h"
#include "config/read.h"

/* Opens a regular file (or, with any, what else can be read); -1 = *err is set. */
static int open_file(const char *path, int any, struct stat *st, struct sluice_error *err)
{
    /* O_NONBLOCK: a FIFO must not hang us here. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        (void)sluice_error_errno(err, errno, "cannot open \"%s\"", path);
        return -1;
    }
    if (fstat(fd, st) != 0) {
        (void)sluice_error_errno(err, errno, "cannot look at \"%s\"", path);
        close(fd);
        return -1;
    }
    if (S_ISDIR(st->st_mode)) {
        (void)sluice_error_set(err, SLUICE_E_INVALID, 0, "\"%s\" is a folder, not a file", path);
        close(fd);
        return -1;
    }
    if (!any && !S_ISREG(st->st_mode)) {
        (void)sluice_error_set(err, SLUICE_E_INVALID, 0, "\"%s\" is not a regular file", path);
        close(fd);
        return -1;
    }
    /* Reading a pipe (process substitution) waits for its writer. */
    (void)fcntl(fd, F_SETFL, 0);
    return fd;
}

sluice_status sluice_config_file_read(const char *path, size_t cap, int private_only, char **out,
                                      size_t *out_size, struct sluice_error *err)
{
    sluice_status status = SLUICE_OK;
    struct stat st;
    char *data = NULL;
    size_t room = 0;
    size_t size = 0;
    int fd = open_file(path, !private_only, &st, err);
    if (fd < 0) {
        return err != NULL ? err->status : SLUICE_E_IO;
    }
    if (private_only && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        status = sluice_error_set(err, SLUICE_E_PERMISSION, 0,
                                  "\"%s\" is open to other users (mode %04o)", path,
                                  (unsigned)(st.st_mode & 07777u));
        goto out;
    }
    for (;;) {
        /* One byte more than allowed is read, to see that there is more. */
        if (size == room && size <= cap) {
            room = room == 0 ? 4096 : room * 2;
            room = room > cap + 1 ? cap + 1 : room;
            char *bigger = (char *)sluice_alloc_resize(data, room + 1, 1);
            if (bigger == NULL) {
                status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory");
                goto out;
            }
            data = bigger;
        }
        ssize_t n = size <= cap ? read(fd, data + size, room - size) : 0;
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            status = sluice_error_errno(err, errno, "cannot read \"%s\"", path);
            goto out;
        }
        if (n == 0) {
            break;
        }
        size += (size_t)n;
    }
    data[size] = '\0';
    *out = data;
    *out_size = size;
    data = NULL;

out:
    sluice_free_secret(data, size);
    close(fd);
    return status;
}

struct sluice_yaml *sluice_yaml_read(const char *path, struct sluice_diags *diags)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_yaml *root = NULL;
    char *data = NULL;
    size_t size = 0;
    sluice_status status =
        sluice_config_file_read(path, SLUICE_LIMIT_YAML_BYTES, 0, &data, &size, &err);
    if (status < 0) {
        sluice_diags_add(diags, SLUICE_DIAG_ERROR, 0, 0, NULL, NULL, "%s", err.message);
        return NULL;
    }
    root = sluice_yaml_parse(data, size, diags);
    sluice_free_secret(data, size);
    return root;
}
