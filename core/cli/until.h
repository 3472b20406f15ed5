/*
 * The value of --until: a position of a source's log, or a time.
 */
#ifndef SLUICE_CLI_UNTIL_H
#define SLUICE_CLI_UNTIL_H

#include "base/str.h"

/* Appends it as the engine wants it: positions as they are, times in UTC as
 * 2026-11-23T00:52:34.123456Z. 0 = neither; `why` says what is wrong. [any] */
int sluice_cli_until_read(const char *text, struct sluice_str *out, struct sluice_str *why);

#endif /* SLUICE_CLI_UNTIL_H */
