/* Transform project: descriptor and options. */
#include "sluice/plugin.h"

#include "project.h"

#define OPT(type_, key_, flags_, help_, example_)                                                \
    {                                                                                            \
        (uint32_t)sizeof(struct sluice_option), type_, flags_, 0, key_, NULL, 0, 0, NULL, help_, \
            example_                                                                             \
    }

static const struct sluice_option o_tables = OPT(
    SLUICE_OPTION_LIST, "tables", 0,
    "Globs of the streams to change; others pass as they are. Default: all.", "[\"public.emp_*\"]");
static const struct sluice_option o_include =
    OPT(SLUICE_OPTION_LIST, "include", 0,
        "Only these columns stay: names or globs, perhaps behind a table glob "
        "(schema.table.column).",
        "[id, name, \"addr_*\"]");
static const struct sluice_option o_exclude =
    OPT(SLUICE_OPTION_LIST, "exclude", 0, "These columns go, written like `include`.",
        "[\"public.emp.notes\"]");
static const struct sluice_option o_rename =
    OPT(SLUICE_OPTION_MAP, "rename", 0, "Old name (written like `include`) to new name.",
        "{dept_no: department}");
static const struct sluice_option o_order = OPT(
    SLUICE_OPTION_LIST, "order", 0,
    "New names of the columns that come first, in this order; the others follow.", "[id, name]");
static const struct sluice_option o_constants =
    OPT(SLUICE_OPTION_MAP, "constants", 0,
        "Columns to add, with a text that is the same in every "
        "row.",
        "{region: eu}");
static const struct sluice_option o_metadata =
    OPT(SLUICE_OPTION_MAP, "metadata", 0,
        "Columns to add: name to one of stream, schema, table, load_time (when the row was read), "
        "load_position, property:NAME (a fact that the source states).",
        "{source_table: stream}");
static const struct sluice_option o_drop_keys =
    SLUICE_OPT(SLUICE_OPTION_BOOL, "drop_keys", "false", SLUICE_OPTION_ADVANCED,
               "Allows key columns to be left out where changes flow. The stream then has no "
               "key: an update or a delete no longer tells which row it was.");

static const struct sluice_option *const options[] = {&o_tables,   &o_include,   &o_exclude,
                                                      &o_rename,   &o_order,     &o_constants,
                                                      &o_metadata, &o_drop_keys, NULL};

static const struct sluice_component component = {
    .struct_size = (uint32_t)sizeof component,
    .kind = SLUICE_TRANSFORM,
    .caps = SLUICE_TRANSFORM_STATELESS | SLUICE_TRANSFORM_ROW_PRESERVING | SLUICE_TRANSFORM_CHANGES,
    .name = "project",
    .summary = "Chooses, renames, orders and adds columns",
    .help = "Columns that stay are passed on without a copy. Include and exclude are looked up "
            "first, then names are changed, then constants and metadata are added, then the order "
            "is made.",
    .options = options,
    .transform = &project_api,
};

static const struct sluice_component *const components[] = {&component};

static const struct sluice_plugin plugin = {
    .magic = SLUICE_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof plugin,
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .abi_minor_min = SLUICE_ABI_MINOR,
    .envelope_version = SLUICE_ENVELOPE_VERSION,
    .name = "project",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .build = "",
    .component_count = 1,
    .components = components,
};

SLUICE_PLUGIN_DEFINE(plugin)
