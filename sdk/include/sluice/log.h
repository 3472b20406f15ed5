/*
 * Formatted logging through the host table. SDK; [any].
 * Style: event, then key=value; never a secret, never per row.
 */
#ifndef SLUICE_LOG_H
#define SLUICE_LOG_H

#include "sluice/abi.h"
#include "sluice/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Formats (cut at 2,000 bytes) and logs, unless the level is off. */
void sluice_log(const struct sluice_host *host, int32_t level, const char *format, ...)
    SLUICE_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_LOG_H */
