#include "tds/places.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sybfront.h>

#include <sybdb.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int file = -1;   /* as long as the process: db-lib opens it at each login */
static uint64_t *known; /* hashes of the sections that are in it */
static size_t known_count;

/* FNV-1a. */
static uint64_t hash(const char *text)
{
    uint64_t h = 14695981039346656037u;
    for (; *text != '\0'; text++) {
        h = (h ^ (uint8_t)*text) * 1099511628211u;
    }
    return h;
}

static sluice_status make_file(struct sluice_error *err)
{
    char path[48];
    if (file >= 0) {
        return SLUICE_OK;
    }
    const int fd = memfd_create("sluice-tds", MFD_CLOEXEC);
    if (fd < 0) {
        return sluice_error_errno(err, errno, "making db-lib's configuration in memory");
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (access(path, R_OK) != 0) {
        (void)close(fd);
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "%s cannot be read: db-lib needs it (hint: mount /proc)", path);
    }
    dbsetifile(path); /* never NULL: it formats an error with arguments that are not there */
    file = fd;
    return SLUICE_OK;
}

/* The section with its name; `text` begins with another one's header. */
static sluice_status add(uint64_t id, const char *name, const char *text, struct sluice_error *err)
{
    char section[4608];
    uint64_t *grown = realloc(known, (known_count + 1) * sizeof *grown);
    if (grown == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a server's name");
    }
    known = grown;
    const int n = snprintf(section, sizeof section, "[%s]%s", name, strchr(text, '\n'));
    /* In one piece: whoever reads meanwhile sees a section that is not its own, whole or in part. */
    if (write(file, section, (size_t)n) != n) {
        return sluice_error_errno(err, errno, "writing db-lib's configuration");
    }
    known[known_count++] = id;
    return SLUICE_OK;
}

sluice_status sluice_tds_place(const struct sluice_tds_settings *settings,
                               char name[SLUICE_TDS_PLACE_NAME], struct sluice_error *err)
{
    char text[4096];
    SLUICE_TRY(sluice_tds_settings_conf(settings, text, sizeof text, err));
    const uint64_t id = hash(text);
    (void)snprintf(name, SLUICE_TDS_PLACE_NAME, "sluice_%016llx", (unsigned long long)id);
    (void)pthread_mutex_lock(&mutex);
    sluice_status status = make_file(err);
    size_t i = 0;
    while (i < known_count && known[i] != id) {
        i++;
    }
    if (status >= 0 && i == known_count) {
        status = add(id, name, text, err);
    }
    (void)pthread_mutex_unlock(&mutex);
    return status;
}
