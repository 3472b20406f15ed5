/*
 * Filling struct sluice_error. SDK, linked into the plugin; nothing here crosses the border.
 * All functions accept err == NULL. All are [any].
 */
#ifndef SLUICE_ERROR_H
#define SLUICE_ERROR_H

#include "sluice/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SLUICE_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define SLUICE_MUST_CHECK __attribute__((warn_unused_result))
#else
#define SLUICE_PRINTF(f, a)
#define SLUICE_MUST_CHECK
#endif

/* An error struct ready to be passed down. */
#define SLUICE_ERROR_INIT                                          \
    {                                                              \
        (uint32_t)sizeof(struct sluice_error), 0, 0, 0, -1, "", "" \
    }

/* Empties *err. */
void sluice_error_clear(struct sluice_error *err);

/* Sets *err and returns `status`, so that `return sluice_error_set(err, SLUICE_E_IO, 0, "…")` reads
 * well. The message is cut at a whole UTF-8 character. */
sluice_status sluice_error_set(struct sluice_error *err, sluice_status status, uint32_t flags,
                               const char *format, ...) SLUICE_PRINTF(4, 5);

/* Puts context in front of the message: "context: message". Returns err->status. */
sluice_status sluice_error_wrap(struct sluice_error *err, const char *format, ...)
    SLUICE_PRINTF(2, 3);

/* Sets *err from an errno value, with its text appended and errno kept as native_code. Picks
 * RETRYABLE for EINTR, EAGAIN, ECONNRESET and the like. */
sluice_status sluice_error_errno(struct sluice_error *err, int errnum, const char *format, ...)
    SLUICE_PRINTF(3, 4);

/* "OK", "IO", "POSITION_LOST" …; "INTERNAL" for what is not known. Static text. */
const char *sluice_status_name(sluice_status status);

/* Returns from the calling function when `expr` is a negative status. */
#define SLUICE_TRY(expr)                    \
    do {                                    \
        sluice_status sluice_try_ = (expr); \
        if (sluice_try_ < 0) {              \
            return sluice_try_;             \
        }                                   \
    } while (0)

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_ERROR_H */
