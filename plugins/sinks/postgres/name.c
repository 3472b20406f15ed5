/* Names of targets: within what the server takes, never cut in silence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

enum { NAME_MAX_BYTES = 63, HASH_DIGITS = 16 };

/* FNV-1a, 64 bits: names, not secrets. */
static uint64_t hash_of(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const unsigned char *p = (const unsigned char *)name; *p != '\0'; p++) {
        h = (h ^ *p) * 0x100000001b3u;
    }
    return h;
}

/* A copy that fits; NULL = out of memory. */
static char *fit(const char *name)
{
    char out[NAME_MAX_BYTES + 1];
    size_t keep = strlen(name);
    if (keep <= NAME_MAX_BYTES) {
        return strdup(name);
    }
    keep = NAME_MAX_BYTES - HASH_DIGITS - 1;
    while (keep > 0 && ((unsigned char)name[keep] & 0xc0u) == 0x80u) {
        keep--; /* at a whole character */
    }
    (void)snprintf(out, sizeof out, "%.*s_%016llx", (int)keep, name,
                   (unsigned long long)hash_of(name));
    return strdup(out);
}

sluice_status sluice_pgsink_name_fit(const char *what, const char *name, int hash, char **out,
                                     struct sluice_error *err)
{
    size_t size = strlen(name);
    if (size == 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "%s has an empty name", what);
    }
    if (size > NAME_MAX_BYTES && !hash) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "%s \"%.200s\" has %zu bytes, PostgreSQL takes 63 (hint: "
                                "route.long_names: hash cuts it and puts a hash behind, or name it "
                                "otherwise with route.to)",
                                what, name, size);
    }
    *out = fit(name);
    return *out != NULL ? SLUICE_OK
                        : sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                           "out of memory for a name");
}

sluice_status sluice_pgsink_target_name(const struct sluice_sink *sink,
                                        const struct sluice_pgsink_write *write, char **schema,
                                        char **name, struct sluice_error *err)
{
    const struct sluice_write *w = &write->write;
    const int hash = (w->flags & SLUICE_WRITE_HASH_NAMES) != 0;
    const char *first = w->target_count > 1 ? w->target[0] : sink->options.schema;
    *schema = NULL;
    *name = NULL;
    sluice_status status = sluice_pgsink_name_fit("the target's schema", first, hash, schema, err);
    if (status >= 0) {
        status = sluice_pgsink_name_fit("the target's table", w->target[w->target_count - 1], hash,
                                        name, err);
    }
    if (status < 0) {
        free(*schema);
        *schema = NULL;
    }
    return status;
}
