/* Formatted logging through the host table. */
#include "sluice/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

#define LOG_LINE_MAX 2000

void sluice_log(const struct sluice_host *host, int32_t level, const char *format, ...)
{
    if (host == NULL || host->log == NULL ||
        (host->log_enabled != NULL && !host->log_enabled(host->ctx, level))) {
        return;
    }
    char line[LOG_LINE_MAX + 4];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0) {
        return;
    }
    uint64_t size = (uint64_t)n < sizeof line ? (uint64_t)n : sizeof line - 1;
    host->log(host->ctx, level, line, sluice_utf8_cut(line, size, LOG_LINE_MAX));
}
