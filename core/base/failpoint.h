/*
 * Failpoints: named places where tests make the engine fail, die or wait. Always compiled in, armed
 * only by sluice_failpoints_arm (the cli gives it the variable SLUICE_FAILPOINTS); one relaxed load
 * when off. Names are "module.place": "flow.after_sink_commit".
 *
 *     if (sluice_failpoint("flow.before_ack")) { … act as if it had failed … }
 *     SLUICE_FAILPOINT("flow.after_sink_commit");            crash and sleep alone
 *     SLUICE_TRY(sluice_failpoint_error("state.write", err)); an error, already filled in
 *
 * The variable: "name=action[@n][,name=action[@n]…]". Actions: `error` (a RETRYABLE IO error),
 * `fatal` (an IO error that is not retried), `crash` (the process dies at once, as by kill -9),
 * `sleep:MS`, `torn` (the place writes a part and crashes). `@n`: the n-th passage alone, from 1;
 * `@n+`: from the n-th on; without: each one. An action that a place cannot do does nothing there.
 *
 * One name is one place with one call. All names are in failpoint_names.h; plugins pass theirs
 * through the extension "sluice.failpoint/1" of sluice/failpoint.h.
 */
#ifndef SLUICE_BASE_FAILPOINT_H
#define SLUICE_BASE_FAILPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "sluice/error.h"

/* Arms the failpoints of `spec` in place of all armed before; NULL or "" disarms. INVALID says which
 * part is wrong, and nothing is armed. [ctl], before other threads start. */
sluice_status sluice_failpoints_arm(const char *spec, struct sluice_error *err) SLUICE_MUST_CHECK;

/* Implementation of the inline functions; use those. [any] */
extern int32_t sluice_failpoints_armed;
int sluice_failpoint_pass(const char *name);
sluice_status sluice_failpoint_pass_error(const char *name, struct sluice_error *err);

/* For the extension: 1 = write a part, then call sluice_failpoint_crash. [any] */
int32_t sluice_failpoint_pass_torn(const char *name);
/* Ends the process at once, as kill -9 does. [any] */
_Noreturn void sluice_failpoint_crash(void);

/* What a place can do beside crash and sleep. */
enum { SLUICE_FAILPOINT_STOPS = 0, SLUICE_FAILPOINT_FAILS = 1, SLUICE_FAILPOINT_TEARS = 2 };

struct sluice_failpoint_name {
    const char *name;
    int kind; /* SLUICE_FAILPOINT_* */
    const char *what;
};

/* The list of failpoint_names.h. [any] */
const struct sluice_failpoint_name *sluice_failpoint_names(size_t *count);
/* "stops", "fails" or "tears". [any] */
const char *sluice_failpoint_kind_text(int kind);

/* 1 = act as if what follows had failed; may sleep or not return at all. [any] */
static inline int sluice_failpoint(const char *name)
{
    return sluice_atomic_load_relaxed_i32(&sluice_failpoints_armed) != 0 &&
           sluice_failpoint_pass(name) != 0;
}

/* The same with *err filled in: IO, with RETRYABLE unless `fatal`. [any] */
static inline sluice_status sluice_failpoint_error(const char *name, struct sluice_error *err)
{
    if (sluice_atomic_load_relaxed_i32(&sluice_failpoints_armed) == 0) {
        return SLUICE_OK;
    }
    return sluice_failpoint_pass_error(name, err);
}

/* Where nothing can fail, only stop: crash and sleep. */
#define SLUICE_FAILPOINT(name) ((void)sluice_failpoint(name))

#endif /* SLUICE_BASE_FAILPOINT_H */
