/*
 * Failpoints inside plugins: named places where tests make a plugin fail, die or wait. The engine
 * offers them as a host extension; where it does not, nothing ever acts. SDK; [any].
 *
 *     src->failpoints = sluice_failpoints_of(host);
 *     SLUICE_TRY(sluice_failpoint_hit(src->failpoints, "postgres.after_slot_create", err));
 *
 * Names are "plugin.place". `sluice failpoints` lists those of the built-in plugins: add new ones to
 * core/base/failpoint_names.h.
 */
#ifndef SLUICE_SDK_FAILPOINT_H
#define SLUICE_SDK_FAILPOINT_H

#include <stddef.h>

#include "sluice/abi.h"
#include "sluice/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_EXTENSION_FAILPOINT "sluice.failpoint/1"

struct sluice_failpoint_extension {
    uint32_t struct_size;
    uint32_t reserved;
    /* OK, or the error that the test asked for, filled in; may sleep or never return. */
    sluice_status (*hit)(const char *name, struct sluice_error *err);
    /* 1 if the test wants what is written here to be torn: write a part of it, then crash(). */
    int32_t (*torn)(const char *name);
    void (*crash)(void);  /* ends the process at once, as kill -9 does */
    const int32_t *armed; /* 0 = none is armed: do not even ask */
};

/* NULL if the engine has none. Lives as long as the instance. */
static inline const struct sluice_failpoint_extension *sluice_failpoints_of(
    const struct sluice_host *host)
{
    return (const struct sluice_failpoint_extension *)host->extension(host->ctx,
                                                                      SLUICE_EXTENSION_FAILPOINT);
}

static inline sluice_status sluice_failpoint_hit(const struct sluice_failpoint_extension *fp,
                                                 const char *name, struct sluice_error *err)
{
    return fp == NULL || *fp->armed == 0 ? SLUICE_OK : fp->hit(name, err);
}

static inline int32_t sluice_failpoint_torn(const struct sluice_failpoint_extension *fp,
                                            const char *name)
{
    return fp == NULL || *fp->armed == 0 ? 0 : fp->torn(name);
}

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_SDK_FAILPOINT_H */
