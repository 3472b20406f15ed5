/*
 * The process's log: one line an event on stderr, as text ("2026-11-23T00:52:34.123Z INFO  flow
 * message key=value") or JSON lines. Registered secrets are replaced by "***" wherever they stand.
 * All [any].
 */
#ifndef SLUICE_LOG_LOG_H
#define SLUICE_LOG_LOG_H

#include <stdint.h>

#include "sluice/abi.h"
#include "sluice/error.h"

enum { SLUICE_LOG_FORMAT_TEXT = 0, SLUICE_LOG_FORMAT_JSON = 1 };

void sluice_log_setup(int32_t level, int32_t format, int use_color);
int32_t sluice_log_level(void);
int sluice_log_enabled(int32_t level);
/* `scope` names the part ("flow", "plugin", a node id). */
void sluice_log_write(int32_t level, const char *scope, const char *message, uint64_t size);
void sluice_log_line(int32_t level, const char *scope, const char *format, ...) SLUICE_PRINTF(3, 4);
/* Identical warnings and errors within 10 s are written once; the next one carries repeated=N. Writes
 * what is still held back; runs at exit by itself. */
void sluice_log_flush(void);
/* Called instead of writing to stderr, e.g. so that a progress display can move out of the way;
 * NULL restores. The line ends without '\n'. Runs under the log's lock: it must not log. */
void sluice_log_redirect(void (*write)(void *ctx, const char *line, uint64_t size), void *ctx);

/* Registers a secret (copied; at least 4 bytes, shorter ones are ignored) for redaction everywhere,
 * also percent-encoded and JSON-escaped. */
void sluice_log_secret_add(const char *secret);
/* Replaces secrets inside a NUL-terminated text in place (the text never grows). Use on everything
 * that is printed but not logged: errors, --json. */
void sluice_log_redact(char *text);
/* Registers what variables of the environment hold whose names end in PASSWORD, SECRET, TOKEN and the
 * like: libraries find them without asking us. */
void sluice_log_secrets_of_environment(void);
void sluice_log_secrets_clear(void);

#endif /* SLUICE_LOG_LOG_H */
