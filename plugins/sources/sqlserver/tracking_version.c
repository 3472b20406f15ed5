/* Versions of change tracking as positions. */
#include <stdio.h>
#include <string.h>

#include "sluice/position.h"
#include "tracking.h"

/* As the first half of a log file's number in an LSN it is none that a server will ever reach. */
static const uint8_t tag[2] = {'C', 'T'};
enum { AT_VERSION = sizeof tag, AT_MARK = MS_LSN_BYTES - 1, VERSION_BYTES = AT_MARK - AT_VERSION };

struct ms_lsn ms_version_make(int64_t version)
{
    struct ms_lsn out = {{0}};
    uint8_t bytes[8];
    sluice_put_be64(bytes, (uint64_t)version);
    memcpy(out.bytes, tag, sizeof tag);
    memcpy(out.bytes + AT_VERSION, bytes + sizeof bytes - VERSION_BYTES, VERSION_BYTES);
    return out;
}

int ms_version_take(const struct ms_lsn *position, int64_t *version)
{
    uint8_t bytes[8] = {0};
    if (memcmp(position->bytes, tag, sizeof tag) != 0) {
        return 0;
    }
    memcpy(bytes + sizeof bytes - VERSION_BYTES, position->bytes + AT_VERSION, VERSION_BYTES);
    *version = (int64_t)sluice_get_be64(bytes);
    return 1;
}

void ms_version_mark(struct ms_lsn *position, const struct ms_instance *instance)
{
    int64_t version = 0;
    if (instance->is_table && ms_version_take(position, &version) &&
        version == instance->begin_version) {
        position->bytes[AT_MARK] = 1;
    }
}

void ms_version_join(struct ms_lsn *position, const struct ms_lsn *other)
{
    int64_t version = 0;
    if (ms_version_take(position, &version) &&
        memcmp(position->bytes, other->bytes, AT_MARK) == 0 && ms_version_is_marked(other)) {
        position->bytes[AT_MARK] = 1;
    }
}

int ms_version_is_marked(const struct ms_lsn *position)
{
    return position->bytes[AT_MARK] != 0;
}

void ms_version_format(const struct ms_lsn *position, char out[MS_LSN_TEXT])
{
    int64_t version = 0;
    (void)ms_version_take(position, &version);
    (void)snprintf(out, MS_LSN_TEXT, "%lld", (long long)version);
}

int ms_version_parse(const char *text, struct ms_lsn *out)
{
    int64_t version = 0;
    const size_t size = strlen(text);
    if (size == 2 * MS_LSN_BYTES && ms_lsn_parse(text, out)) {
        return ms_version_take(out, &version);
    }
    if (size == 0 || size > 17 || strspn(text, "0123456789") != size) {
        return 0;
    }
    for (const char *p = text; *p != '\0'; p++) {
        version = version * 10 + (*p - '0');
    }
    *out = ms_version_make(version);
    return version < INT64_C(1) << (8 * VERSION_BYTES);
}
