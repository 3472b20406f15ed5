/* UTF-16LE, as SQL Server keeps nvarchar, to UTF-8. */
#ifndef SLUICE_COMMON_TDS_UTF16_H
#define SLUICE_COMMON_TDS_UTF16_H

#include <stdint.h>

/* `out` has room for 3 bytes a unit. Answers the bytes written, -1 for half a surrogate pair. */
int64_t sluice_tds_utf16_to_utf8(const uint8_t *in, uint64_t units, uint8_t *out);

#endif /* SLUICE_COMMON_TDS_UTF16_H */
