/*
 * Shared inside core/log. All functions here are called with the log's mutex held.
 */
#ifndef SLUICE_LOG_LOG_INTERNAL_H
#define SLUICE_LOG_LOG_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#define LOG_MESSAGE_MAX 8192 /* longer messages are cut: a line is for people */
#define LOG_SCOPE_MAX 96

void sluice_log_lock(void);
void sluice_log_unlock(void);

/* ---- secrets (redact.c) ---- */

/* Copies text with every secret replaced into out (cap bytes with the NUL); returns the size. *cut
 * tells whether something did not fit. A secret is never cut in two. */
size_t sluice_redact_copy(const char *text, size_t size, char *out, size_t cap, int *cut);

/* ---- repeated lines (repeat.c) ---- */

struct log_repeat {
    int32_t level;
    uint64_t count; /* lines held back */
    char scope[LOG_SCOPE_MAX];
    char message[512]; /* beginning of the redacted message */
};

/* Asks whether a line is to be written now. 0 = held back and counted. *held is how many were held
 * back since it was written last. */
int sluice_repeat_pass(int32_t level, const char *scope, const char *message, size_t size,
                       int64_t now_us, uint64_t *held);
/* Gives a line whose quiet time is over (or any, with force) and that was held back; 0 = none. */
int sluice_repeat_due(int64_t now_us, int force, struct log_repeat *out);
void sluice_repeat_clear(void);

/* ---- one line (line.c) ---- */

struct log_line {
    char *data;
    size_t size;
    size_t cap; /* one byte is always kept for '\n' */
};

/* Builds the line without '\n'. `held` > 0 adds how often it was held back. */
void sluice_line_build(struct log_line *line, int32_t format, int color, int64_t wall_us,
                       int32_t level, const char *scope, const char *message, size_t size,
                       uint64_t held);

#endif /* SLUICE_LOG_LOG_INTERNAL_H */
