/*
 * What a Java stack trace of a failed connector or task comes down to, and what mends it.
 */
#ifndef SLUICE_CONNECT_CAUSE_H
#define SLUICE_CONNECT_CAUSE_H

#include <stddef.h>

enum { SLUICE_CONNECT_CAUSE_MAX = 512 };

/* The innermost cause that says something, without packages and frames; and a remedy, NULL where none is known (static). */
void sluice_connect_cause(const char *trace, char out[SLUICE_CONNECT_CAUSE_MAX],
                          const char **remedy);

#endif /* SLUICE_CONNECT_CAUSE_H */
