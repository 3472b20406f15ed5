/* Where the plugins of an installed or built engine are. */
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "plugin/registry.h"

/* The build says where it installs libraries; the plain place comes first, it is that of a build
 * tree and of /usr/local. */
static const char *const places[] = {
    "lib/sluice/plugins",
    SLUICE_INSTALL_LIBDIR "/sluice/plugins",
    "lib/" SLUICE_MULTIARCH "/sluice/plugins",
    "lib64/sluice/plugins",
};

char *sluice_registry_default_folder(void)
{
    char exe[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (size <= 0) {
        return NULL;
    }
    exe[size] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash != NULL) {
        *slash = '\0';
        slash = strrchr(exe, '/');
    }
    if (slash == NULL) {
        return NULL;
    }
    slash[1] = '\0'; /* the parent of bin/, with its '/' */
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct sluice_str path = SLUICE_STR_INIT;
        struct stat st;
        sluice_str_append(&path, exe);
        sluice_str_append(&path, places[i]);
        if (path.failed || (stat(path.data, &st) == 0 && S_ISDIR(st.st_mode))) {
            return sluice_str_steal(&path);
        }
        sluice_str_free(&path);
    }
    /* Not there: name the first place in the error that follows. */
    struct sluice_str path = SLUICE_STR_INIT;
    sluice_str_append(&path, exe);
    sluice_str_append(&path, places[0]);
    return sluice_str_steal(&path);
}
