/* Which pipelines have state in a folder. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "state/state_internal.h"

struct names {
    char **items;
    size_t count;
    size_t cap;
};

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Size of the pipeline's name in a file name, 0 = no state file. */
static size_t name_size(const char *file)
{
    size_t size = strlen(file);
    size_t suffix = strlen(STATE_SUFFIX);
    return file[0] != '.' && size > suffix && strcmp(file + size - suffix, STATE_SUFFIX) == 0
               ? size - suffix
               : 0;
}

static sluice_status names_read(const char *folder, struct names *names, struct sluice_error *err)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return SLUICE_OK; /* no state yet */
        }
        return sluice_error_errno(err, errno, "cannot read state folder %s", folder);
    }
    sluice_status status = SLUICE_OK;
    const struct dirent *found = NULL;
    while (status == SLUICE_OK && (found = readdir(dir)) != NULL) {
        size_t size = name_size(found->d_name);
        if (size == 0) {
            continue;
        }
        char *name = sluice_alloc_string_n(found->d_name, size);
        if (name == NULL || !sluice_alloc_grow((void **)&names->items, &names->cap,
                                               names->count + 1, sizeof(char *))) {
            sluice_free(name);
            status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "state: out of memory");
            break;
        }
        names->items[names->count++] = name;
    }
    (void)closedir(dir);
    if (names->count > 1) {
        qsort(names->items, names->count, sizeof(char *), name_compare);
    }
    return status;
}

static sluice_status name_visit(const char *folder, const char *name, sluice_state_name_visit visit,
                                void *ctx, int *go_on, struct sluice_error *err)
{
    struct sluice_str path = SLUICE_STR_INIT;
    sluice_status status = SLUICE_OK;
    sluice_str_printf(&path, "%s/%s%s", folder, name, STATE_SUFFIX);
    if (path.failed) {
        *go_on = 0;
        status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "state: out of memory");
    }
    else {
        *go_on = sluice_visit_goes_on(visit(ctx, name, path.data), &status, "list states", err);
    }
    sluice_str_free(&path);
    return status;
}

sluice_status sluice_state_list(const char *uri, const char *default_dir,
                                sluice_state_name_visit visit, void *ctx, struct sluice_error *err)
{
    char *folder = NULL;
    struct names names = {NULL, 0, 0};
    int go_on = 1;
    SLUICE_TRY(sluice_state_folder(uri, default_dir, &folder, err));
    sluice_status status = names_read(folder, &names, err);
    for (size_t i = 0; status == SLUICE_OK && go_on && i < names.count; i++) {
        status = name_visit(folder, names.items[i], visit, ctx, &go_on, err);
    }
    for (size_t i = 0; i < names.count; i++) {
        sluice_free(names.items[i]);
    }
    sluice_free(names.items);
    sluice_free(folder);
    return status;
}
