/* Where the state of a pipeline lies. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "state/state_internal.h"

#define NAME_MAX_BYTES 63

sluice_status sluice_state_folder(const char *uri, const char *default_dir, char **out,
                                  struct sluice_error *err)
{
    const char *folder = default_dir;
    if (uri != NULL) {
        if (strncmp(uri, "file:", 5) != 0 || uri[5] == '\0') {
            return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                    "state.uri \"%s\" is not of the form file:DIR", uri);
        }
        folder = uri + 5;
        if (strncmp(folder, "///", 3) == 0) {
            folder += 2; /* file:///var/lib/x */
        }
        else if (strncmp(folder, "//", 2) == 0) {
            return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                    "state.uri \"%s\" names a host; write file:DIR for a folder of "
                                    "this machine",
                                    uri);
        }
    }
    if (folder == NULL || folder[0] == '\0') {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "no folder for state: set state.uri to file:DIR, or HOME");
    }
    size_t size = strlen(folder);
    while (size > 1 && folder[size - 1] == '/') {
        size--;
    }
    *out = sluice_alloc_string_n(folder, size);
    return *out != NULL ? SLUICE_OK : sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory");
}

static sluice_status folder_make_one(const char *path, struct sluice_error *err)
{
    struct stat st;
    if (mkdir(path, 0700) == 0) {
        return SLUICE_OK;
    }
    int errnum = errno;
    if (errnum == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return SLUICE_OK;
    }
    if (errnum == EEXIST || errnum == ENOTDIR) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "cannot make state folder: %s is not a folder; set another state.uri", path);
    }
    return sluice_error_errno(
        err, errnum, "cannot make state folder %s (set another state.uri or mend it)", path);
}

sluice_status sluice_state_folder_make(const char *folder, struct sluice_error *err)
{
    struct stat st;
    if (stat(folder, &st) == 0 && S_ISDIR(st.st_mode)) {
        return SLUICE_OK; /* parents may be beyond our rights */
    }
    sluice_status status = SLUICE_OK;
    char *path = sluice_alloc_string(folder);
    if (path == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory");
    }
    for (char *p = path + 1; status == SLUICE_OK && *p != '\0'; p++) {
        if (*p == '/') {
            *p = '\0';
            if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
                status = folder_make_one(path, err);
            }
            *p = '/';
        }
    }
    if (status == SLUICE_OK) {
        status = folder_make_one(path, err);
    }
    sluice_free(path);
    return status;
}

sluice_status sluice_state_file(const char *folder, const char *pipeline, const char *suffix,
                                char **out, struct sluice_error *err)
{
    size_t size = strlen(pipeline);
    if (size == 0 || size > NAME_MAX_BYTES || pipeline[0] == '.' ||
        strspn(pipeline, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") !=
            size) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "pipeline name \"%.80s\" cannot name a state file: 1 to %d bytes of "
            "[A-Za-z0-9_.-], not beginning with a dot",
            pipeline, NAME_MAX_BYTES);
    }
    struct sluice_str path = SLUICE_STR_INIT;
    sluice_str_printf(&path, "%s%s%s%s", folder, strcmp(folder, "/") == 0 ? "" : "/", pipeline,
                      suffix);
    *out = sluice_str_steal(&path);
    return *out != NULL ? SLUICE_OK : sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory");
}
