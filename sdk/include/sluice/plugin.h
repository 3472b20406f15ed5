/*
 * What a plugin's one public file includes: the ABI and the macro that defines its entry.
 */
#ifndef SLUICE_PLUGIN_H
#define SLUICE_PLUGIN_H

#include "sluice/abi.h"

#if defined(__GNUC__)
#define SLUICE_EXPORT __attribute__((visibility("default")))
#else
#define SLUICE_EXPORT
#endif

#define SLUICE_PASTE_(a, b, c) a##b##c
#define SLUICE_PASTE(a, b, c) SLUICE_PASTE_(a, b, c)

/* Defines the entry function that returns `&desc`. When SLUICE_PLUGIN_STATIC is defined as a name
 * (tests that link plugins), the function is sluice_plugin_<name>_entry_v0 instead. */
#ifdef SLUICE_PLUGIN_STATIC
#define SLUICE_PLUGIN_ENTRY_NAME SLUICE_PASTE(sluice_plugin_, SLUICE_PLUGIN_STATIC, _entry_v0)
#else
#define SLUICE_PLUGIN_ENTRY_NAME sluice_plugin_entry_v0
#endif

#ifdef __cplusplus
#define SLUICE_EXTERN_C extern "C"
#else
#define SLUICE_EXTERN_C extern
#endif

#define SLUICE_PLUGIN_DEFINE(desc)                                                            \
    SLUICE_EXTERN_C SLUICE_EXPORT const struct sluice_plugin *SLUICE_PLUGIN_ENTRY_NAME(void); \
    const struct sluice_plugin *SLUICE_PLUGIN_ENTRY_NAME(void)                                \
    {                                                                                         \
        return &(desc);                                                                       \
    }

/* True if the table `t` (a pointer) is large enough to hold `member`. */
#define SLUICE_HAS(t, member) \
    ((t)->struct_size >=      \
     (uint32_t)((uint64_t)((const char *)&(t)->member - (const char *)(t)) + sizeof((t)->member)))

#endif /* SLUICE_PLUGIN_H */
