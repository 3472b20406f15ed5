/* The registry: files of the plugin folders, loaded or refused. */
#include "plugin/registry.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "log/log.h"
#include "plugin/plugin_internal.h"

#define LOG_SCOPE "plugin"

struct entry {
    char *path;
    char *refusal;
    struct sluice_loaded_plugin *loaded;
};

/* A file that was seen and is not yet opened: files are opened when a component is asked for, since
 * opening all of them, with the libraries they bring, takes longer than all else at start. */
struct pending {
    char *folder; /* real path */
    char *name;   /* NULL = opened */
};

struct sluice_registry {
    struct pending *pending;
    size_t pending_count;
    size_t pending_cap;
    size_t pending_left; /* not yet opened */
    struct entry *entries;
    size_t entry_count;
    size_t entry_cap;
    const struct sluice_component **components;
    size_t *owners; /* entry of each component */
    size_t component_count;
    size_t component_cap;
    size_t owner_cap;
};

static const struct sluice_component *component_find(const struct sluice_registry *registry,
                                                     int32_t kind, const char *name, size_t *owner)
{
    for (size_t i = 0; i < registry->component_count; i++) {
        if (registry->components[i]->kind == kind &&
            strcmp(registry->components[i]->name, name) == 0) {
            if (owner != NULL) {
                *owner = registry->owners[i];
            }
            return registry->components[i];
        }
    }
    return NULL;
}

/* Adds the components of a plugin that is about to become entry number entry_count. */
static sluice_status components_add(struct sluice_registry *registry,
                                    const struct sluice_loaded_plugin *loaded,
                                    struct sluice_error *err)
{
    size_t count = loaded->plugin.component_count;
    for (size_t i = 0; i < count; i++) {
        const struct sluice_component *component = loaded->component_list[i];
        size_t owner = 0;
        if (component_find(registry, component->kind, component->name, &owner) != NULL) {
            return sluice_error_set(
                err, SLUICE_E_CONFLICT, 0,
                "it offers the %s %s, which %s already offers: remove one of the "
                "two files",
                sluice_plugin_kind_name(component->kind), component->name,
                registry->entries[owner].path);
        }
    }
    size_t need = registry->component_count + count;
    if (!sluice_alloc_grow((void **)&registry->components, &registry->component_cap, need,
                           sizeof(const struct sluice_component *)) ||
        !sluice_alloc_grow((void **)&registry->owners, &registry->owner_cap, need,
                           sizeof(size_t))) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        registry->components[registry->component_count] = loaded->component_list[i];
        registry->owners[registry->component_count] = registry->entry_count;
        registry->component_count++;
    }
    return SLUICE_OK;
}

/* Remembers a file: loaded (moves in), or refused with err's words. */
static sluice_status entry_add(struct sluice_registry *registry, const char *path,
                               struct sluice_loaded_plugin *loaded, struct sluice_error *err)
{
    struct entry entry = {sluice_alloc_string(path), NULL, NULL};
    if (loaded == NULL) {
        entry.refusal = sluice_alloc_string(err->message);
    }
    if (entry.path == NULL || (loaded == NULL && entry.refusal == NULL) ||
        !sluice_alloc_grow((void **)&registry->entries, &registry->entry_cap,
                           registry->entry_count + 1, sizeof *registry->entries)) {
        sluice_free(entry.path);
        sluice_free(entry.refusal);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "plugin %s: out of memory", path);
    }
    if (loaded != NULL) {
        sluice_status status = components_add(registry, loaded, err);
        if (status < 0) {
            sluice_free(entry.path);
            return status;
        }
    }
    entry.loaded = loaded;
    registry->entries[registry->entry_count++] = entry;
    if (loaded == NULL) {
        /* Whoever asked for it says so; in nobody else's way. */
        sluice_log_line(SLUICE_LOG_DEBUG, LOG_SCOPE, "refused path=%s reason=\"%s\"", entry.path,
                        entry.refusal);
    }
    else {
        sluice_log_line(SLUICE_LOG_DEBUG, LOG_SCOPE, "loaded name=%s version=%s abi=%u.%u path=%s",
                        loaded->plugin.name, loaded->plugin.version, loaded->plugin.abi_major,
                        loaded->plugin.abi_minor, entry.path);
    }
    return SLUICE_OK;
}

/* Loads a file that passed the checks. By its real path, not /proc/self/fd: the dynamic linker knows
 * objects by name (a reused descriptor number would give the earlier plugin), and debuggers and
 * sanitizers find their symbols by it. Nobody but us and root can swap the path. */
static sluice_status file_open(const char *real, const struct sluice_plugin **out,
                               struct sluice_error *err)
{
    void *handle = dlopen(real, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == NULL) {
        const char *text = dlerror();
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "cannot be loaded: %s: install the library it lacks or rebuild it",
                                text != NULL ? text : "unknown reason");
    }
    sluice_plugin_entry_fn entry = NULL;
    void *symbol = dlsym(handle, SLUICE_PLUGIN_ENTRY);
    if (symbol == NULL) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "does not export %s: it is no sluice plugin, or one of another ABI "
                                "major (this engine offers %u): rebuild it with this engine's SDK",
                                SLUICE_PLUGIN_ENTRY, SLUICE_ABI_MAJOR);
    }
    memcpy(&entry, &symbol, sizeof entry);
    *out = entry();
    return SLUICE_OK;
}

/* Out of memory is the only error: everything else becomes a refusal. */
static sluice_status file_add(struct sluice_registry *registry, const char *folder,
                              const char *name, struct sluice_error *err)
{
    char real[PATH_MAX];
    const struct sluice_plugin *plugin = NULL;
    struct sluice_loaded_plugin *loaded = NULL;
    struct sluice_str path = SLUICE_STR_INIT;
    struct sluice_error why = SLUICE_ERROR_INIT;
    sluice_str_printf(&path, "%s/%s", folder, name);
    sluice_status status =
        path.failed ? sluice_error_set(&why, SLUICE_E_NOMEM, 0, "plugin %s: out of memory", name)
                    : sluice_plugin_file_check(folder, name, real, &why);
    if (status == SLUICE_OK) {
        status = file_open(real, &plugin, &why);
    }
    if (status == SLUICE_OK) {
        status = sluice_loaded_plugin_create(plugin, &loaded, &why);
    }
    if (status == SLUICE_OK) {
        status = entry_add(registry, sluice_str_text(&path), loaded, &why);
        loaded = status == SLUICE_OK ? NULL : loaded;
    }
    sluice_loaded_plugin_free(loaded);
    if (status < 0 && status != SLUICE_E_NOMEM) {
        status = entry_add(registry, sluice_str_text(&path), NULL, &why);
    }
    if (status < 0 && err != NULL) {
        *err = why;
    }
    sluice_str_free(&path);
    return status;
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int is_plugin_name(const char *name)
{
    size_t size = strlen(name);
    return name[0] != '.' && size > 3 && strcmp(name + size - 3, ".so") == 0;
}

struct names {
    char **items;
    size_t count;
    size_t cap;
};

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        sluice_free(names->items[i]);
    }
    sluice_free(names->items);
}

/* Sorted, so that what wins does not hang on the file system. */
static sluice_status names_read(const char *folder, struct names *names, struct sluice_error *err)
{
    sluice_status status = SLUICE_OK;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return sluice_error_errno(err, errno, "cannot read plugin folder %s", folder);
    }
    const struct dirent *found = NULL;
    while (status == SLUICE_OK && (found = readdir(dir)) != NULL) {
        if (!is_plugin_name(found->d_name)) {
            continue;
        }
        if (names->count == SLUICE_PLUGIN_FILES_MAX) {
            status = sluice_error_set(err, SLUICE_E_LIMIT, 0,
                                      "plugin folder %s holds more than %d plugins", folder,
                                      SLUICE_PLUGIN_FILES_MAX);
            break;
        }
        char *name = sluice_alloc_string(found->d_name);
        if (name == NULL || !sluice_alloc_grow((void **)&names->items, &names->cap,
                                               names->count + 1, sizeof(char *))) {
            sluice_free(name);
            status =
                sluice_error_set(err, SLUICE_E_NOMEM, 0, "plugin folder %s: out of memory", folder);
            break;
        }
        names->items[names->count++] = name;
    }
    (void)closedir(dir);
    if (names->count > 1) {
        qsort(names->items, names->count, sizeof(char *), name_compare);
    }
    return status;
}

static sluice_status pending_add(struct sluice_registry *registry, const char *folder,
                                 const char *name, struct sluice_error *err)
{
    struct pending pending = {sluice_alloc_string(folder), sluice_alloc_string(name)};
    if (pending.folder == NULL || pending.name == NULL ||
        !sluice_alloc_grow((void **)&registry->pending, &registry->pending_cap,
                           registry->pending_count + 1, sizeof *registry->pending)) {
        sluice_free(pending.folder);
        sluice_free(pending.name);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "plugin folder %s: out of memory", folder);
    }
    registry->pending[registry->pending_count++] = pending;
    registry->pending_left++;
    return SLUICE_OK;
}

static sluice_status folder_add(struct sluice_registry *registry, const char *folder,
                                struct sluice_error *err)
{
    char real[PATH_MAX];
    struct names names = {NULL, 0, 0};
    SLUICE_TRY(sluice_plugin_folder_check(folder, real, err));
    sluice_status status = names_read(real, &names, err);
    for (size_t i = 0; status == SLUICE_OK && i < names.count; i++) {
        status = pending_add(registry, real, names.items[i], err);
    }
    names_free(&names);
    return status;
}

/* Opens a file that was seen. What goes wrong is a refusal, or a log line when memory is out. */
static void pending_open(struct sluice_registry *registry, struct pending *pending)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    char *name = pending->name;
    if (name == NULL) {
        return;
    }
    pending->name = NULL;
    registry->pending_left--;
    if (file_add(registry, pending->folder, name, &err) < 0) {
        sluice_log_line(SLUICE_LOG_ERROR, LOG_SCOPE, "not opened name=%s reason=%s", name,
                        err.message);
    }
    sluice_free(name);
}

static void open_all(struct sluice_registry *registry)
{
    for (size_t i = 0; registry->pending_left > 0 && i < registry->pending_count; i++) {
        pending_open(registry, &registry->pending[i]);
    }
}

/* Opens the files called NAME.so, in the order of the folders. */
static void open_named(struct sluice_registry *registry, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; registry->pending_left > 0 && i < registry->pending_count; i++) {
        struct pending *pending = &registry->pending[i];
        if (pending->name != NULL && strncmp(pending->name, name, size) == 0 &&
            strcmp(pending->name + size, ".so") == 0) {
            pending_open(registry, pending);
        }
    }
}

sluice_status sluice_registry_create(const char *const *folders, size_t count,
                                     struct sluice_registry **out, struct sluice_error *err)
{
    struct sluice_registry *registry = sluice_alloc_zero(1, sizeof *registry);
    if (registry == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "plugin registry: out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        sluice_status status = folder_add(registry, folders[i], err);
        if (status < 0) {
            sluice_registry_destroy(registry);
            return status;
        }
    }
    *out = registry;
    return SLUICE_OK;
}

void sluice_registry_destroy(struct sluice_registry *registry)
{
    if (registry == NULL) {
        return;
    }
    for (size_t i = 0; i < registry->entry_count; i++) {
        sluice_free(registry->entries[i].path);
        sluice_free(registry->entries[i].refusal);
        sluice_loaded_plugin_free(registry->entries[i].loaded);
    }
    for (size_t i = 0; i < registry->pending_count; i++) {
        sluice_free(registry->pending[i].folder);
        sluice_free(registry->pending[i].name);
    }
    sluice_free(registry->pending);
    sluice_free(registry->entries);
    sluice_free(registry->components);
    sluice_free(registry->owners);
    sluice_free(registry);
}

sluice_status sluice_registry_add_static(struct sluice_registry *registry,
                                         const struct sluice_plugin *plugin,
                                         struct sluice_error *err)
{
    struct sluice_loaded_plugin *loaded = NULL;
    SLUICE_TRY(sluice_loaded_plugin_create(plugin, &loaded, err));
    sluice_status status = entry_add(registry, "(built in)", loaded, err);
    if (status < 0) {
        sluice_loaded_plugin_free(loaded);
    }
    return status;
}

const struct sluice_component *sluice_registry_find(struct sluice_registry *registry, int32_t kind,
                                                    const char *name)
{
    const struct sluice_component *found = component_find(registry, kind, name, NULL);
    if (found == NULL) {
        open_named(registry, name);
        found = component_find(registry, kind, name, NULL);
    }
    if (found == NULL) {
        open_all(registry);
        found = component_find(registry, kind, name, NULL);
    }
    return found;
}

size_t sluice_registry_component_count(struct sluice_registry *registry)
{
    open_all(registry);
    return registry->component_count;
}

const struct sluice_component *sluice_registry_component(struct sluice_registry *registry, size_t i)
{
    open_all(registry);
    return i < registry->component_count ? registry->components[i] : NULL;
}

size_t sluice_registry_plugin_count(struct sluice_registry *registry)
{
    open_all(registry);
    return registry->entry_count;
}

void sluice_registry_plugin(struct sluice_registry *registry, size_t i,
                            struct sluice_registry_plugin *out)
{
    open_all(registry);
    memset(out, 0, sizeof *out);
    if (i < registry->entry_count) {
        const struct entry *entry = &registry->entries[i];
        out->path = entry->path;
        out->plugin = entry->loaded != NULL ? &entry->loaded->plugin : NULL;
        out->refusal = entry->refusal;
    }
}

const struct sluice_plugin *sluice_registry_owner(const struct sluice_registry *registry,
                                                  const struct sluice_component *component)
{
    for (size_t i = 0; i < registry->component_count; i++) {
        if (registry->components[i] == component) {
            return &registry->entries[registry->owners[i]].loaded->plugin;
        }
    }
    return NULL;
}

static const struct sluice_component *lookup_find(void *ctx, int32_t kind, const char *name)
{
    return sluice_registry_find(ctx, kind, name);
}

static size_t lookup_names(void *ctx, int32_t kind, const char **out, size_t cap)
{
    struct sluice_registry *registry = ctx;
    size_t count = 0;
    open_all(registry);
    for (size_t i = 0; i < registry->component_count; i++) {
        if (registry->components[i]->kind == kind) {
            if (count < cap) {
                out[count] = registry->components[i]->name;
            }
            count++;
        }
    }
    return count;
}

struct sluice_component_lookup sluice_registry_lookup(struct sluice_registry *registry)
{
    return (struct sluice_component_lookup){registry, lookup_find, lookup_names};
}
