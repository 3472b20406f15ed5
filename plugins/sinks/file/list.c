/* Listing a folder tree in the byte order of its keys. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

enum { DEPTH_MAX = 32, KEY_MAX = 4096 };

struct names {
    char **items; /* folders end with '/' */
    size_t count;
    size_t cap;
};

struct walk {
    struct sluice_lake_store *store;
    const char *start_after;
    sluice_lake_list_visit visit;
    void *vctx;
    struct sluice_error *err;
};

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->items[i]);
    }
    free(names->items);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_add(struct names *names, const char *name, int folder)
{
    size_t n = strlen(name);
    if (names->count == names->cap) {
        size_t cap = names->cap == 0 ? 64 : names->cap * 2;
        char **items = realloc(names->items, cap * sizeof *items);
        if (items == NULL) {
            return -1;
        }
        names->items = items;
        names->cap = cap;
    }
    char *copy = malloc(n + 2);
    if (copy == NULL) {
        return -1;
    }
    memcpy(copy, name, n);
    copy[n] = folder ? '/' : 0;
    copy[n + 1] = 0;
    names->items[names->count++] = copy;
    return 0;
}

static int is_folder(int dir, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN) {
        return entry->d_type == DT_DIR;
    }
    return fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* The sorted names in a folder; none when it does not exist. Takes `fd`. 0, or an errno value. */
static int read_names(int fd, struct names *names)
{
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int failed = errno;
        (void)close(fd);
        return failed;
    }
    int failed = 0;
    errno = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            strcmp(name, SLUICE_FILE_TMP) == 0) {
            continue;
        }
        if (names_add(names, name, is_folder(dirfd(dir), entry)) != 0) {
            failed = ENOMEM;
            break;
        }
        errno = 0;
    }
    if (failed == 0) {
        failed = errno;
    }
    (void)closedir(dir);
    qsort(names->items, names->count, sizeof *names->items, compare);
    return failed;
}

static sluice_status visit_file(const struct walk *walk, const char *key)
{
    struct stat st;
    if (walk->start_after != NULL && strcmp(key, walk->start_after) <= 0) {
        return SLUICE_OK;
    }
    if (fstatat(walk->store->root, key, &st, 0) != 0) {
        return SLUICE_OK; /* gone meanwhile, or a dangling link */
    }
    int64_t modified_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    return walk->visit(walk->vctx, key, (uint64_t)st.st_size, modified_us);
}

/* `prefix` ends with '/' or is empty. Recursion is bounded by DEPTH_MAX. */
static sluice_status walk_folder(const struct walk *walk, const char *prefix, int depth)
{
    char key[KEY_MAX];
    struct names names = {NULL, 0, 0};
    size_t n = strlen(prefix);
    sluice_status st = SLUICE_OK;
    int fd = openat(walk->store->root, n == 0 ? "." : prefix, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT
                   ? SLUICE_OK
                   : sluice_file_errno(walk->store, walk->err, errno, "listing", prefix);
    }
    int failed = read_names(fd, &names);
    if (failed != 0) {
        st = sluice_file_errno(walk->store, walk->err, failed, "listing", prefix);
    }
    for (size_t i = 0; st == SLUICE_OK && i < names.count; i++) {
        size_t size = strlen(names.items[i]);
        if (n + size >= sizeof key || depth >= DEPTH_MAX) {
            continue; /* no key of ours */
        }
        memcpy(key, prefix, n);
        memcpy(key + n, names.items[i], size + 1);
        st = key[n + size - 1] == '/' ? walk_folder(walk, key, depth + 1) : visit_file(walk, key);
    }
    names_free(&names);
    return st;
}

sluice_status sluice_file_list(struct sluice_lake_store *store, const char *prefix,
                               const char *start_after, sluice_lake_list_visit visit, void *vctx,
                               struct sluice_error *err)
{
    struct walk walk = {store, start_after, visit, vctx, err};
    sluice_status st = walk_folder(&walk, prefix, 0);
    return st == SLUICE_END ? SLUICE_OK : st;
}
