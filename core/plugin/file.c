/* Whether a plugin file may be trusted: a plugin runs with all rights of the engine, so nobody else
 * may be able to change the file or swap a folder above it. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "plugin/plugin_internal.h"

/* 1 if the group is the user's own and holds nobody else (umask 002 systems make such folders). */
static int group_is_private(uid_t uid, gid_t gid)
{
    char user_buffer[4096];
    char group_buffer[4096];
    struct passwd user;
    struct passwd *found_user = NULL;
    struct group group;
    struct group *found_group = NULL;
    if (getpwuid_r(uid, &user, user_buffer, sizeof user_buffer, &found_user) != 0 ||
        found_user == NULL || user.pw_gid != gid) {
        return 0;
    }
    if (getgrgid_r(gid, &group, group_buffer, sizeof group_buffer, &found_group) != 0 ||
        found_group == NULL || strcmp(group.gr_name, user.pw_name) != 0) {
        return 0;
    }
    for (char **member = group.gr_mem; *member != NULL; member++) {
        if (strcmp(*member, user.pw_name) != 0) {
            return 0;
        }
    }
    return 1;
}

/* `sticky` folders (/tmp) may be writable by all: nobody can swap what others own there, and the
 * next step down is checked for its owner. */
static sluice_status owner_check(const char *path, const struct stat *st, struct sluice_error *err)
{
    if (st->st_uid != 0 && st->st_uid != geteuid()) {
        return sluice_error_set(err, SLUICE_E_PERMISSION, 0,
                                "%s belongs to user %lu; plugins and their folders must belong to "
                                "root or to the engine's user (%lu): chown it",
                                path, (unsigned long)st->st_uid, (unsigned long)geteuid());
    }
    if (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0) {
        return SLUICE_OK;
    }
    if ((st->st_mode & S_IWOTH) != 0) {
        return sluice_error_set(
            err, SLUICE_E_PERMISSION, 0,
            "%s (mode %04o) can be changed by every user, so whatever lies there "
            "is not loaded: chmod o-w \"%s\"",
            path, (unsigned)(st->st_mode & 07777), path);
    }
    if ((st->st_mode & S_IWGRP) != 0 && !group_is_private(st->st_uid, st->st_gid)) {
        return sluice_error_set(
            err, SLUICE_E_PERMISSION, 0,
            "%s (mode %04o) can be changed by group %lu, so whatever lies there "
            "is not loaded: chmod g-w \"%s\"",
            path, (unsigned)(st->st_mode & 07777), (unsigned long)st->st_gid, path);
    }
    return SLUICE_OK;
}

/* Checks the resolved path's folders from the root down, `path` itself included if it is one. */
static sluice_status parents_check(const char *path, struct sluice_error *err)
{
    char part[PATH_MAX];
    struct stat st;
    size_t size = strlen(path);
    for (size_t i = 0; i <= size; i++) {
        if (i > 0 && path[i] != '/' && path[i] != '\0') {
            continue;
        }
        size_t end = i == 0 ? 1 : i;
        memcpy(part, path, end);
        part[end] = '\0';
        if (lstat(part, &st) != 0) {
            return sluice_error_errno(err, errno, "cannot look at %s", part);
        }
        if (S_ISDIR(st.st_mode)) {
            SLUICE_TRY(owner_check(part, &st, err));
        }
    }
    return SLUICE_OK;
}

sluice_status sluice_plugin_folder_check(const char *folder, char *out, struct sluice_error *err)
{
    struct stat st;
    if (realpath(folder, out) == NULL) {
        int errnum = errno;
        if (errnum == ENOENT || errnum == ENOTDIR) {
            return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0,
                                    "plugin folder %s does not exist; give another with "
                                    "--plugin-dir or SLUICE_PLUGIN_DIR",
                                    folder);
        }
        return sluice_error_errno(err, errnum, "cannot resolve plugin folder %s", folder);
    }
    if (stat(out, &st) != 0) {
        return sluice_error_errno(err, errno, "cannot look at plugin folder %s", out);
    }
    if (!S_ISDIR(st.st_mode)) {
        return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0,
                                "plugin folder %s is a file; give the folder that holds it",
                                folder);
    }
    return parents_check(out, err);
}

/* The file behind the opened descriptor. */
static sluice_status opened_check(int fd, const char *path, struct sluice_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return sluice_error_errno(err, errno, "cannot look at %s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "%s is not a regular file: remove it from the plugin folder", path);
    }
    SLUICE_TRY(owner_check(path, &st, err));
    if (st.st_size > (off_t)SLUICE_LIMIT_PLUGIN_BYTES) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "%s has %lld bytes, plugins at most %u",
                                path, (long long)st.st_size, SLUICE_LIMIT_PLUGIN_BYTES);
    }
    return sluice_plugin_elf_check(fd, (uint64_t)st.st_size, err);
}

sluice_status sluice_plugin_file_check(const char *folder, const char *name, char *real,
                                       struct sluice_error *err)
{
    char path[PATH_MAX];
    size_t folder_size = strlen(folder);
    size_t name_size = strlen(name);
    if (folder_size + name_size + 2 > sizeof path) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "path of plugin %s is too long", name);
    }
    memcpy(path, folder, folder_size);
    path[folder_size] = '/';
    memcpy(path + folder_size + 1, name, name_size + 1);
    if (realpath(path, real) == NULL) {
        return sluice_error_errno(err, errno, "cannot resolve %s", path);
    }
    int inside =
        folder_size == 1 || (strncmp(real, folder, folder_size) == 0 && real[folder_size] == '/');
    if (!inside) {
        return sluice_error_set(
            err, SLUICE_E_PERMISSION, 0,
            "%s leads out of its plugin folder, to %s: put the file itself there", path, real);
    }
    SLUICE_TRY(parents_check(real, err));
    /* O_NONBLOCK: opening a FIFO must not hang. */
    int fd = open(real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return sluice_error_errno(err, errno, "cannot open %s", real);
    }
    sluice_status status = opened_check(fd, real, err);
    (void)close(fd);
    return status;
}
