/*
 * Binding checked options into a plugin's own struct by offset. SDK.
 */
#ifndef SLUICE_OPTION_H
#define SLUICE_OPTION_H

#include <stddef.h>

#include "sluice/abi.h"
#include "sluice/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a member of the destination struct must be, by option type:
 *   STRING          const char *        NULL when unset; borrowed until destroy
 *   INT, DURATION, SIZE, ENUM  int64_t  ENUM: the index of the choice; -1 when unset
 *   BOOL            int32_t             0 or 1; 0 when unset
 *   LIST            struct sluice_option_list
 *   MAP             struct sluice_option_map */
struct sluice_option_list {
    uint32_t count;
    const char *const *items;
};

struct sluice_option_map {
    uint32_t count;
    const struct sluice_pair *pairs;
};

struct sluice_option_binding {
    const char *key;
    size_t offset;
};

#define SLUICE_BIND(type, member, name) \
    {                                   \
        name, offsetof(type, member)    \
    }

/* Writes the values of all `bindings` (ended by key == NULL) into `dst`. INVALID if a key is not in
 * the host's table: a bug of the plugin. Strings are borrowed until destroy(). [ctl] */
sluice_status sluice_options_bind(const struct sluice_host *host,
                                  const struct sluice_option_binding *bindings, void *dst,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;

/* Shorthands for option tables: static const struct sluice_option o_host = SLUICE_OPT(…). */
#define SLUICE_OPT(type_, key_, default_, flags_, help_)                                      \
    {                                                                                         \
        (uint32_t)sizeof(struct sluice_option), type_, flags_, 0, key_, default_, 0, 0, NULL, \
            help_, NULL                                                                       \
    }
#define SLUICE_OPT_RANGE(type_, key_, default_, flags_, min_, max_, help_)                    \
    {                                                                                         \
        (uint32_t)sizeof(struct sluice_option), type_, flags_, 0, key_, default_, min_, max_, \
            NULL, help_, NULL                                                                 \
    }
#define SLUICE_OPT_ENUM(key_, default_, flags_, choices_, help_)                                  \
    {                                                                                             \
        (uint32_t)sizeof(struct sluice_option), SLUICE_OPTION_ENUM, flags_, 0, key_, default_, 0, \
            0, choices_, help_, NULL                                                              \
    }

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_OPTION_H */
