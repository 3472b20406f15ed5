/*
 * Shared inside core/plugin: the steps of loading one plugin. All [ctl].
 */
#ifndef SLUICE_PLUGIN_PLUGIN_INTERNAL_H
#define SLUICE_PLUGIN_PLUGIN_INTERNAL_H

#include <stddef.h>

#include "sluice/abi.h"
#include "sluice/error.h"

/* End of a member: what a struct must reach to hold it. */
#define SLUICE_SIZE_THROUGH(type, member) \
    ((uint32_t)(offsetof(type, member) + sizeof(((type *)0)->member)))

/* Smallest sizes that ABI 0 accepts. Pinned: an old plugin must stay loadable. */
#define SLUICE_V0_PLUGIN_SIZE SLUICE_SIZE_THROUGH(struct sluice_plugin, components)
#define SLUICE_V0_COMPONENT_SIZE SLUICE_SIZE_THROUGH(struct sluice_component, transform)
#define SLUICE_V0_OPTION_SIZE SLUICE_SIZE_THROUGH(struct sluice_option, help)
#define SLUICE_V0_SOURCE_SIZE SLUICE_SIZE_THROUGH(struct sluice_source_api, reader_close)
#define SLUICE_V0_SINK_SIZE SLUICE_SIZE_THROUGH(struct sluice_sink_api, stream_end)
#define SLUICE_V0_TRANSFORM_SIZE SLUICE_SIZE_THROUGH(struct sluice_transform_api, pull)

#define SLUICE_PLUGIN_COMPONENTS_MAX 64
#define SLUICE_PLUGIN_OPTIONS_MAX 256
#define SLUICE_PLUGIN_CHOICES_MAX 64
#define SLUICE_PLUGIN_NAME_MAX 63
#define SLUICE_PLUGIN_FILES_MAX 1024 /* files of one folder */

/* A component as the engine uses it: full-size copies, no holes. */
struct sluice_loaded_component {
    struct sluice_component component; /* its pointers lead to the members below */
    struct sluice_source_api source;
    struct sluice_sink_api sink;
    struct sluice_transform_api transform;
    struct sluice_option *options;
    const struct sluice_option **option_list; /* NULL-terminated */
};

/* A plugin that passed all checks. */
struct sluice_loaded_plugin {
    struct sluice_plugin plugin; /* components: the copies; no NULL strings */
    struct sluice_loaded_component *components;
    const struct sluice_component **component_list;
};

/* ---- file.c ---- */

/* Resolves a folder that plugins may be loaded from; `out` holds PATH_MAX bytes. NOT_FOUND, or
 * PERMISSION when it or one of its parents can be changed by others. */
sluice_status sluice_plugin_folder_check(const char *folder, char *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Checks one file of that (resolved) folder without loading it; `real` holds PATH_MAX bytes. */
sluice_status sluice_plugin_file_check(const char *folder, const char *name, char *real,
                                       struct sluice_error *err) SLUICE_MUST_CHECK;

/* ---- elf.c ---- */

/* Tells what is wrong with a file that the dynamic linker would stumble over. */
sluice_status sluice_plugin_elf_check(int fd, uint64_t size, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* ---- descriptor.c, options.c, tables.c ---- */

/* Checks a descriptor and copies it. Free with sluice_loaded_plugin_free. */
sluice_status sluice_loaded_plugin_create(const struct sluice_plugin *plugin,
                                          struct sluice_loaded_plugin **out,
                                          struct sluice_error *err) SLUICE_MUST_CHECK;
void sluice_loaded_plugin_free(struct sluice_loaded_plugin *loaded);

/* Copies and checks the options of a component; `name` is the component's. */
sluice_status sluice_loaded_options_copy(struct sluice_loaded_component *to,
                                         const struct sluice_component *from,
                                         struct sluice_error *err) SLUICE_MUST_CHECK;
/* Copies the api table that the kind asks for, refuses missing slots, fills optional ones. */
sluice_status sluice_loaded_tables_copy(struct sluice_loaded_component *to,
                                        const struct sluice_component *from,
                                        struct sluice_error *err) SLUICE_MUST_CHECK;

/* "source", "sink", "transform" */
const char *sluice_plugin_kind_name(int32_t kind);
/* 1 if [a-z][a-z0-9_]*, at most SLUICE_PLUGIN_NAME_MAX bytes. */
int sluice_plugin_name_valid(const char *name);

#endif /* SLUICE_PLUGIN_PLUGIN_INTERNAL_H */
