/* Sink `file`: a lake in a folder. */
#include "sluice/plugin.h"
#include "file_store.h"
#include "lake/lake.h"
#include "sluice/option.h"

struct options {
    const char *path;
};

static const struct sluice_option_binding bindings[] = {SLUICE_BIND(struct options, path, "path"),
                                                        {NULL, 0}};

static sluice_status file_create(const struct sluice_host *host, struct sluice_sink **out,
                                 struct sluice_error *err)
{
    struct options options = {NULL};
    struct sluice_lake_store *store = NULL;
    SLUICE_TRY(sluice_options_bind(host, bindings, &options, err));
    if (options.path == NULL) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "path is not set");
    }
    SLUICE_TRY(sluice_file_store_create(host, options.path, &store, err));
    return sluice_lake_sink_create(host, &sluice_file_store_api, store, out, err);
}

static const struct sluice_option option_path = {
    (uint32_t)sizeof(struct sluice_option),
    SLUICE_OPTION_STRING,
    SLUICE_OPTION_REQUIRED,
    0,
    "path",
    NULL,
    0,
    0,
    NULL,
    "Folder to write to; it is made when missing. Relative paths start where sluice was started.",
    "/var/lib/lake"};

static const struct sluice_option *const options[] = {&option_path, SLUICE_LAKE_OPTIONS, NULL};

static const struct sluice_sink_api api = SLUICE_LAKE_SINK_API(file_create);

static const struct sluice_component component = {
    .struct_size = (uint32_t)sizeof(struct sluice_component),
    .kind = SLUICE_SINK,
    .caps = SLUICE_LAKE_SINK_CAPS,
    .name = "file",
    .summary = "Writes tables as JSON lines or CSV files into a folder.",
    .help =
        "Each full load of a table is a new folder of files, named in a manifest once they are "
        "whole and on disk; readers follow the manifests. A file appears under its name only when "
        "it is complete, and no file is ever replaced.\n\nThe layout is that of the s3 sink: see "
        "docs/object-layout.md.",
    .options = options,
    .sink = &api};

static const struct sluice_component *const components[] = {&component};

static const struct sluice_plugin plugin = {.magic = SLUICE_PLUGIN_MAGIC,
                                            .struct_size = (uint32_t)sizeof(struct sluice_plugin),
                                            .abi_major = SLUICE_ABI_MAJOR,
                                            .abi_minor = SLUICE_ABI_MINOR,
                                            .abi_minor_min = SLUICE_ABI_MINOR,
                                            .envelope_version = SLUICE_ENVELOPE_VERSION,
                                            .name = "file",
                                            .version = "0.1.0",
                                            .license = "Apache-2.0",
                                            .build = "",
                                            .component_count = 1,
                                            .components = components};

SLUICE_PLUGIN_DEFINE(plugin)
