/*
 * Plugin files: looked for, checked, loaded, never unloaded. See sdk/ABI.md for the checks.
 */
#ifndef SLUICE_PLUGIN_REGISTRY_H
#define SLUICE_PLUGIN_REGISTRY_H

#include <stddef.h>

#include "config/pipeline.h"
#include "sluice/abi.h"

struct sluice_registry;

/* One plugin file that was found. */
struct sluice_registry_plugin {
    const char *path;
    const struct sluice_plugin *plugin; /* NULL when refused */
    const char *refusal;                /* NULL, or why: what it wants, what we offer, what to do */
};

/* Lists every *.so of the folders, in the order given. A folder that is missing is an error
 * (NOT_FOUND), one that others may write is refused (PERMISSION). Files are opened when needed: `find`
 * opens NAME.so first, and all the others only if that did not offer the name; the functions that
 * count or list open all. Of two files that offer the same (kind, name) the first that is opened
 * wins, the other is refused. A bad file is remembered as refused, not an error. [ctl] */
sluice_status sluice_registry_create(const char *const *folders, size_t count,
                                     struct sluice_registry **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Plugins stay in the process. */
void sluice_registry_destroy(struct sluice_registry *registry);

/* The component, as a full-size copy of the plugin's tables with holes filled by functions that
 * answer UNSUPPORTED (or do nothing): no call site tests for NULL. Lives as long as the registry. */
const struct sluice_component *sluice_registry_find(struct sluice_registry *registry, int32_t kind,
                                                    const char *name);
size_t sluice_registry_component_count(struct sluice_registry *registry);
const struct sluice_component *sluice_registry_component(struct sluice_registry *registry,
                                                         size_t i);
size_t sluice_registry_plugin_count(struct sluice_registry *registry);
void sluice_registry_plugin(struct sluice_registry *registry, size_t i,
                            struct sluice_registry_plugin *out);
/* Plugin that a component of this registry came from. */
const struct sluice_plugin *sluice_registry_owner(const struct sluice_registry *registry,
                                                  const struct sluice_component *component);
/* For sluice_pipeline_load. */
struct sluice_component_lookup sluice_registry_lookup(struct sluice_registry *registry);

/* Loads one descriptor that is linked in (tests), through all the same checks. */
sluice_status sluice_registry_add_static(struct sluice_registry *registry,
                                         const struct sluice_plugin *plugin,
                                         struct sluice_error *err) SLUICE_MUST_CHECK;

/* Where the engine looks without --plugin-dir: SLUICE_PLUGIN_DIR (given by the caller, ':'-divided),
 * else ../lib/sluice/plugins beside the running binary. Free with sluice_free. */
char *sluice_registry_default_folder(void);

#endif /* SLUICE_PLUGIN_REGISTRY_H */
