/* Checks of the descriptor, outermost first: nothing is read before what says that it is there. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "plugin/plugin_internal.h"

const char *sluice_plugin_kind_name(int32_t kind)
{
    switch (kind) {
    case SLUICE_SOURCE:
        return "source";
    case SLUICE_SINK:
        return "sink";
    case SLUICE_TRANSFORM:
        return "transform";
    default:
        return "component of unknown kind";
    }
}

int sluice_plugin_name_valid(const char *name)
{
    if (name == NULL || name[0] < 'a' || name[0] > 'z') {
        return 0;
    }
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return name[size] == '\0' && size <= SLUICE_PLUGIN_NAME_MAX;
}

/* ABI and envelope: what the plugin was built for against what we are. */
static sluice_status versions_check(const struct sluice_plugin *plugin, struct sluice_error *err)
{
    if (plugin->magic != SLUICE_PLUGIN_MAGIC) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "its descriptor begins with 0x%08x, not 0x%08x: it is not a sluice "
                                "plugin, or its magic is not set",
                                plugin->magic, SLUICE_PLUGIN_MAGIC);
    }
    if (plugin->struct_size < SLUICE_V0_PLUGIN_SIZE) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "its descriptor has struct_size %u, ABI %u needs at least %u: set "
                                "struct_size = sizeof and rebuild with this SDK",
                                plugin->struct_size, SLUICE_ABI_MAJOR, SLUICE_V0_PLUGIN_SIZE);
    }
    if (plugin->abi_major != SLUICE_ABI_MAJOR) {
        return sluice_error_set(
            err, SLUICE_E_UNSUPPORTED, 0,
            "it wants ABI major %u, this engine offers %u: rebuild it with this "
            "engine's SDK, or use the engine it was built for",
            plugin->abi_major, SLUICE_ABI_MAJOR);
    }
    if (plugin->abi_minor_min > SLUICE_ABI_MINOR) {
        return sluice_error_set(
            err, SLUICE_E_UNSUPPORTED, 0,
            "it wants at least ABI %u.%u, this engine offers %u.%u: use a newer "
            "engine or an older build of the plugin",
            plugin->abi_major, plugin->abi_minor_min, SLUICE_ABI_MAJOR, SLUICE_ABI_MINOR);
    }
    if (plugin->envelope_version != SLUICE_ENVELOPE_VERSION) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "it speaks change envelope version %u, this engine %u: rebuild it "
                                "with this engine's SDK",
                                plugin->envelope_version, SLUICE_ENVELOPE_VERSION);
    }
    if (plugin->flags != 0) {
        return sluice_error_set(
            err, SLUICE_E_UNSUPPORTED, 0,
            "its descriptor has flags 0x%x that this engine does not know: use a "
            "newer engine",
            plugin->flags);
    }
    return SLUICE_OK;
}

static sluice_status plugin_check(const struct sluice_plugin *plugin, struct sluice_error *err)
{
    SLUICE_TRY(versions_check(plugin, err));
    if (plugin->name == NULL || plugin->name[0] == '\0' || plugin->version == NULL) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "its descriptor has no name or no version: set both");
    }
    if (plugin->component_count == 0 || plugin->components == NULL ||
        plugin->component_count > SLUICE_PLUGIN_COMPONENTS_MAX) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0, "it offers %u components; a plugin has 1 to %d",
            plugin->components == NULL ? 0 : plugin->component_count, SLUICE_PLUGIN_COMPONENTS_MAX);
    }
    return SLUICE_OK;
}

static uint64_t caps_known(int32_t kind)
{
    if (kind == SLUICE_SOURCE) {
        return SLUICE_SOURCE_LOAD | SLUICE_SOURCE_CHANGES | SLUICE_SOURCE_SNAPSHOT_EXACT |
               SLUICE_SOURCE_DEFERRED_LOAD;
    }
    if (kind == SLUICE_SINK) {
        return SLUICE_SINK_LOAD | SLUICE_SINK_CHANGES | SLUICE_SINK_TRANSACTIONAL |
               SLUICE_SINK_IDEMPOTENT | SLUICE_SINK_NEEDS_FULL_ROW | SLUICE_SINK_ORDER_STRICT |
               SLUICE_SINK_DISCARDS | SLUICE_SINK_ROTATES | SLUICE_SINK_LOADS_ASIDE |
               SLUICE_SINK_TABLES;
    }
    return SLUICE_TRANSFORM_STATELESS | SLUICE_TRANSFORM_ROW_PRESERVING | SLUICE_TRANSFORM_CHANGES;
}

/* Capabilities of a newer minor are dropped: the engine would not use them. Unknown ones of our own
 * minor are a mistake. */
static sluice_status caps_check(struct sluice_component *component, uint32_t abi_minor,
                                struct sluice_error *err)
{
    uint64_t known = caps_known(component->kind);
    uint64_t unknown = component->caps & ~known;
    if (unknown != 0 && abi_minor <= SLUICE_ABI_MINOR) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "component %s has caps 0x%" PRIx64 ", which ABI %u.%u does not "
                                "define for a %s",
                                component->name, unknown, SLUICE_ABI_MAJOR, abi_minor,
                                sluice_plugin_kind_name(component->kind));
    }
    component->caps &= known;
    /* LOAD and CHANGES have the same values for sources and sinks. */
    if (component->kind != SLUICE_TRANSFORM &&
        (component->caps & (uint64_t)(SLUICE_SOURCE_LOAD | SLUICE_SOURCE_CHANGES)) == 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "component %s has neither of the caps LOAD and CHANGES, so nothing "
                                "could use it: set one",
                                component->name);
    }
    return SLUICE_OK;
}

static sluice_status component_copy(struct sluice_loaded_component *to,
                                    const struct sluice_component *from, uint32_t abi_minor,
                                    struct sluice_error *err)
{
    if (from == NULL || from->struct_size < SLUICE_V0_COMPONENT_SIZE) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "a component has struct_size %u, ABI %u needs at least %u: set "
                                "struct_size = sizeof and rebuild with this SDK",
                                from != NULL ? from->struct_size : 0, SLUICE_ABI_MAJOR,
                                SLUICE_V0_COMPONENT_SIZE);
    }
    struct sluice_component *component = &to->component;
    size_t size = from->struct_size;
    memcpy(component, from, size < sizeof *component ? size : sizeof *component);
    component->struct_size = (uint32_t)sizeof *component;
    if (!sluice_plugin_name_valid(component->name)) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "a component is named \"%s\"; names are [a-z][a-z0-9_]*, at most %d "
            "bytes",
            component->name != NULL ? component->name : "", SLUICE_PLUGIN_NAME_MAX);
    }
    if (component->kind < SLUICE_SOURCE || component->kind > SLUICE_TRANSFORM) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "component %s is of kind %" PRId32
                                "; this engine knows 1 source, 2 sink, 3 transform",
                                component->name, component->kind);
    }
    component->summary = component->summary != NULL ? component->summary : "";
    SLUICE_TRY(caps_check(component, abi_minor, err));
    SLUICE_TRY(sluice_loaded_options_copy(to, from, err));
    return sluice_loaded_tables_copy(to, from, err);
}

static sluice_status components_copy(struct sluice_loaded_plugin *loaded,
                                     const struct sluice_plugin *plugin, struct sluice_error *err)
{
    for (uint32_t i = 0; i < plugin->component_count; i++) {
        struct sluice_loaded_component *to = &loaded->components[i];
        SLUICE_TRY(component_copy(to, plugin->components[i], plugin->abi_minor, err));
        for (uint32_t j = 0; j < i; j++) {
            const struct sluice_component *other = &loaded->components[j].component;
            if (other->kind == to->component.kind && strcmp(other->name, to->component.name) == 0) {
                return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                        "it offers the %s %s twice: rename one",
                                        sluice_plugin_kind_name(other->kind), other->name);
            }
        }
        loaded->component_list[i] = &to->component;
    }
    return SLUICE_OK;
}

sluice_status sluice_loaded_plugin_create(const struct sluice_plugin *plugin,
                                          struct sluice_loaded_plugin **out,
                                          struct sluice_error *err)
{
    sluice_status status = SLUICE_OK;
    struct sluice_loaded_plugin *loaded = NULL;
    if (plugin == NULL) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "its entry gives no descriptor");
    }
    SLUICE_TRY(plugin_check(plugin, err));
    uint32_t count = plugin->component_count;
    loaded = sluice_alloc_zero(1, sizeof *loaded);
    if (loaded != NULL) {
        loaded->components = sluice_alloc_zero(count, sizeof *loaded->components);
        loaded->component_list =
            sluice_alloc_zero((size_t)count + 1, sizeof(const struct sluice_component *));
    }
    if (loaded == NULL || loaded->components == NULL || loaded->component_list == NULL) {
        status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory");
        goto out;
    }
    size_t size = plugin->struct_size;
    memcpy(&loaded->plugin, plugin, size < sizeof loaded->plugin ? size : sizeof loaded->plugin);
    loaded->plugin.struct_size = (uint32_t)sizeof loaded->plugin;
    loaded->plugin.license = plugin->license != NULL ? plugin->license : "";
    loaded->plugin.build = plugin->build != NULL ? plugin->build : "";
    loaded->plugin.components = loaded->component_list;
    status = components_copy(loaded, plugin, err);

out:
    if (status < 0) {
        sluice_loaded_plugin_free(loaded);
        return status;
    }
    *out = loaded;
    return SLUICE_OK;
}

void sluice_loaded_plugin_free(struct sluice_loaded_plugin *loaded)
{
    if (loaded == NULL) {
        return;
    }
    for (uint32_t i = 0; loaded->components != NULL && i < loaded->plugin.component_count; i++) {
        sluice_free(loaded->components[i].options);
        sluice_free(loaded->components[i].option_list);
    }
    sluice_free(loaded->components);
    sluice_free(loaded->component_list);
    sluice_free(loaded);
}
