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
static const char *const clrs[] = {"bytes", "text", "fail", NULL};
static const struct sluice_option o_clr_types = SLUICE_OPT_ENUM(
    "clr_types", "bytes", 0, clrs,
    "hierarchyid, geography and geometry: as the bytes that SQL Server keeps, as the text that "
    "ToString() prints, or not at all.");
static const struct sluice_option o_batch_rows =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "batch_rows", "8192", SLUICE_OPTION_ADVANCED, 1, 65536,
                     "Rows per batch at most.");

static const char *const captures[] = {"cdc", "change_tracking", NULL};
static const struct sluice_option o_capture = SLUICE_OPT_ENUM(
    "capture", "cdc", 0, captures,
    "How changes are found: cdc reads the change tables of change data capture, each change in its "
    "order; change_tracking asks what has become of which rows since a version, which needs "
    "neither SQL Server Agent nor change tables, and knows no states in between.");
static const char *const befores[] = {"key", "full", NULL};
static const struct sluice_option o_before_image =
    SLUICE_OPT_ENUM("before_image", "key", 0, befores,
                    "What changes bring of the old row: its key, where the key changed and in "
                    "deletes; or the whole "
                    "row, where large values that an update left alone are NULL.");
static const struct sluice_option o_poll_interval = SLUICE_OPT_RANGE(
    SLUICE_OPTION_DURATION, "poll_interval", "1s", SLUICE_OPTION_ADVANCED, 10000, 60000000,
    "How often the change tables are looked at when nothing comes. Right after a change, every 10 "
    "ms; then less and less often, down to this.");

static const char *const pieces[] = {"auto", "one", "many", NULL};
static const struct sluice_option o_pieces =
    SLUICE_OPT_ENUM("pieces", "auto", 0, pieces,
                    "How large tables are read: as one piece, which is of one moment; or as many "
                    "at once, whose moments are close to "
                    "each other but not the same. auto: many where changes follow, which mend what "
                    "lies between the moments, or where "
                    "the database is read-only; else one.");
static const struct sluice_option o_split = SLUICE_OPT_RANGE(
    SLUICE_OPTION_SIZE, "split_bytes", NULL, SLUICE_OPTION_ADVANCED, 65536, 1ll << 40,
    "Aimed size of a piece of a table that one connection reads; 128MiB unless the "
    "pipeline's snapshot settings say otherwise.");

static const struct sluice_option *const options[] = {
    SLUICE_TDS_OPTIONS, &o_isolation, &o_fine_times,   &o_clr_types,     &o_pieces, &o_split,
    &o_batch_rows,      &o_capture,   &o_before_image, &o_poll_interval, NULL};

static const struct sluice_component component = {
    .struct_size = (uint32_t)sizeof component,
    .kind = SLUICE_SOURCE,
    .caps = SLUICE_SOURCE_LOAD | SLUICE_SOURCE_CHANGES | SLUICE_SOURCE_DEFERRED_LOAD,
    .name = "sqlserver",
    .summary = "Tables of Microsoft SQL Server, and their changes",
    .help =
        "Reads whole tables over TDS 7.4 (FreeTDS db-lib).\n\n"
        "Changes come out of the change tables of change data capture, which the database's owner "
        "enables (sys.sp_cdc_enable_db, sys.sp_cdc_enable_table) and whose capture job is run by "
        "SQL "
        "Server Agent; or, with capture: change_tracking, out of change tracking (ALTER DATABASE … "
        "SET CHANGE_TRACKING = ON, ALTER TABLE … ENABLE CHANGE_TRACKING). A load begins where the "
        "job was before it, so that some changes are both in "
        "the load and behind it: tables need a key by which sinks put them on top.",
    .options = options,
    .source = &ms_source_api,
};

extern const struct sluice_component mssink_component; /* plugins/sinks/sqlserver */

static const struct sluice_component *const components[] = {&component, &mssink_component};

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
    .component_count = 2,
    .components = components,
};

SLUICE_PLUGIN_DEFINE(plugin)
