/* Source generate: descriptor and options. */
#include "sluice/plugin.h"

#include "generate.h"

#define ADV SLUICE_OPTION_ADVANCED

static const struct sluice_option o_tables =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "tables", "1", 0, 1, 100000,
                     "Number of tables: public.gen_0001, public.gen_0002 and so on.");
static const struct sluice_option o_rows =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "rows", "1000", 0, 0, 1000000000000, "Rows per table.");
static const struct sluice_option o_columns = {
    (uint32_t)sizeof(struct sluice_option),
    SLUICE_OPTION_LIST,
    0,
    0,
    "columns",
    NULL,
    0,
    0,
    NULL,
    "Types of the columns c1, c2 and so on that follow the key `id`: bool, int8 to int64, uint8 to "
    "uint64, float32, float64, numeric(p,s), date, time, timestamp, timestamptz, interval, uuid, "
    "json, odd_text, utf8:n, binary:n. Default: int32, utf8:16, timestamp.",
    "[int32, \"numeric(12,2)\", \"utf8:32\", timestamp]"};
static const struct sluice_option o_seed = SLUICE_OPT_RANGE(
    SLUICE_OPTION_INT, "seed", "1", 0, 0, INT64_MAX, "The same seed gives the same rows.");
static const struct sluice_option o_null_percent =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "null_percent", "0", 0, 0, 100,
                     "Share of NULLs in every column but the key.");
static const struct sluice_option o_shards = SLUICE_OPT_RANGE(
    SLUICE_OPTION_INT, "shards", "1", 0, 1, 10000, "Ranges that a table is split into.");
static const struct sluice_option o_batch_rows = SLUICE_OPT_RANGE(
    SLUICE_OPTION_INT, "batch_rows", "8192", 0, 1, 65536, "Rows per batch at most.");
static const char *const name_kinds[] = {"plain", "odd", NULL};
static const struct sluice_option o_names =
    SLUICE_OPT_ENUM("names", "plain", ADV, name_kinds,
                    "Plain names, or ones with quotes, spaces, dots and other scripts.");
static const struct sluice_option o_denied_table =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "denied_table", "0", ADV, 0, 100000,
                     "This table cannot be read, as if a right were missing; 0 = none.");
static const struct sluice_option o_delay =
    SLUICE_OPT_RANGE(SLUICE_OPTION_DURATION, "delay", "0s", ADV, 0, 3600000000,
                     "Waits so long before each batch, like a slow server.");
static const struct sluice_option o_fail_after_rows =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "fail_after_rows", "0", ADV, 0, INT64_MAX,
                     "A shard fails once it gave so many rows; 0 = never.");
static const char *const fail_kinds[] = {"retryable", "fatal", "stream", "snapshot_lost", NULL};
static const struct sluice_option o_fail_kind = SLUICE_OPT_ENUM(
    "fail_kind", "retryable", ADV, fail_kinds,
    "What the failure is: one to try again, one that stops all, one of the stream alone, or the "
    "loss of the snapshot.");
static const struct sluice_option o_fail_times =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "fail_times", "1", ADV, 0, INT64_MAX,
                     "How often it fails before it works, counted over all shards.");
static const struct sluice_option o_fail_table = SLUICE_OPT_RANGE(
    SLUICE_OPTION_INT, "fail_table", "0", ADV, 0, 100000, "Only this table fails; 0 = any.");

static const struct sluice_option *const options[] = {
    &o_tables,          &o_rows,       &o_columns,    &o_seed,       &o_null_percent,
    &o_shards,          &o_batch_rows, &o_names,      &o_delay,      &o_denied_table,
    &o_fail_after_rows, &o_fail_kind,  &o_fail_times, &o_fail_table, NULL};

static const struct sluice_component component = {
    .struct_size = (uint32_t)sizeof component,
    .kind = SLUICE_SOURCE,
    .caps = SLUICE_SOURCE_LOAD | SLUICE_SOURCE_SNAPSHOT_EXACT,
    .name = "generate",
    .summary = "Makes tables of any type out of a seed",
    .help = "For benchmarks, tests and first steps: no server is needed. Every value follows from "
            "the seed, the table, the column and the row.",
    .options = options,
    .source = &gen_source_api,
};

static const struct sluice_component *const components[] = {&component};

static const struct sluice_plugin plugin = {
    .magic = SLUICE_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof plugin,
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .abi_minor_min = SLUICE_ABI_MINOR,
    .envelope_version = SLUICE_ENVELOPE_VERSION,
    .name = "generate",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .build = "",
    .component_count = 1,
    .components = components,
};

SLUICE_PLUGIN_DEFINE(plugin)
