/* Source sqlserver: descriptor and options. */
#include "sluice/plugin.h"

#include "source.h"

static const char *const isolations[] = {"auto", "snapshot", "read_committed", NULL};
static const struct sluice_option o_isolation = SLUICE_OPT_ENUM(
    "isolation", "auto", 0, isolations,
    "How tables are read: each under SNAPSHOT isolation, so that it is as it was at one moment; or "
    "READ COMMITTED, which sees what others commit meanwhile. auto: SNAPSHOT where the database "
    "allows it. Never NOLOCK.");
static const char *const fines[] = {"fail", "text", "truncate", NULL};
static const struct sluice_option o_fine_times = SLUICE_OPT_ENUM(
    "fine_times", "fail", 0, fines,
    "datetime2(7) and time(7), which end at 100 ns: as timestamps in microseconds, where a value "
    "that has a seventh digit fails or loses it; or as texts with all digits.");
static const struct sluice_option o_batch_rows =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "batch_rows", "8192", SLUICE_OPTION_ADVANCED, 1, 65536,
                     "Rows per batch at most.");

static const struct sluice_option *const options[] = {SLUICE_TDS_OPTIONS, &o_isolation,
                                                      &o_fine_times, &o_batch_rows, NULL};

static const struct sluice_component component = {
    .struct_size = (uint32_t)sizeof component,
    .kind = SLUICE_SOURCE,
    .caps = SLUICE_SOURCE_LOAD,
    .name = "sqlserver",
    .summary = "Tables of Microsoft SQL Server, full loads",
    .help = "Reads whole tables over TDS 7.4 (FreeTDS db-lib), each as one piece. Changes are not "
            "followed yet.",
    .options = options,
    .source = &ms_source_api,
};

static const struct sluice_component *const components[] = {&component};

static const struct sluice_plugin plugin = {
    .magic = SLUICE_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof plugin,
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .abi_minor_min = SLUICE_ABI_MINOR,
    .envelope_version = SLUICE_ENVELOPE_VERSION,
    .name = "sqlserver",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .build = "",
    .component_count = 1,
    .components = components,
};

SLUICE_PLUGIN_DEFINE(plugin)
