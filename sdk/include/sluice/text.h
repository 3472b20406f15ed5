/*
 * The canonical text of a value: for hashing, printing and small sinks. SDK; [any].
 *
 *   bool       true, false
 *   integers   digits
 *   floats     shortest decimal that reads back as the same value; NaN, Infinity, -Infinity
 *   decimals   with all digits of the scale: 12.30; NaN where sluice:special says so
 *   date       2024-01-31; 0044-03-15 BC; infinity, -infinity where sluice:special says so
 *   time       03:04:05 or 03:04:05.678 (zeros at the end are left out)
 *   timestamp  2024-01-31T03:04:05.678, with +00:00 behind it if it is UTC
 *   interval   ISO 8601: P1Y2M3DT4H5M6.789S, PT0S
 *   utf8, binary, fixed binary: the bytes themselves
 */
#ifndef SLUICE_TEXT_H
#define SLUICE_TEXT_H

#include "sluice/view.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Room that suffices for the text of every type but the last three: a decimal with the largest
 * scale. */
#define SLUICE_TEXT_MAX 1200

/* The text of row i, which is not NULL. *out borrows from `buffer` (SLUICE_TEXT_MAX bytes) or from
 * the view. UNSUPPORTED for lists and structs. */
sluice_status sluice_view_text(const struct sluice_view *view, int64_t i, char *buffer,
                               struct sluice_bytes *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Index of the first byte that is not part of valid UTF-8, or `size` when all is valid. The text of
 * a utf8 column must be valid: check what comes from outside. */
uint64_t sluice_utf8_check(const uint8_t *p, uint64_t size);

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_TEXT_H */
