/*
 * Sink null: takes every batch and keeps nothing. For measuring sources, for checking what they
 * make (validate), and for tests of the engine (delay, fail_*).
 */
#include "sluice/plugin.h"

#include "null_sink.h"
#include "sluice/option.h"

#define OPT_MAX INT64_MAX

static const struct sluice_option o_validate =
    SLUICE_OPT(SLUICE_OPTION_BOOL, "validate", "false", 0,
               "Checks every value of every batch: offsets, UTF-8, null counts, decimal ranges.");
static const struct sluice_option o_delay =
    SLUICE_OPT_RANGE(SLUICE_OPTION_DURATION, "delay", "0s", SLUICE_OPTION_ADVANCED, 0, 3600000000,
                     "Waits so long for each batch, like a slow target.");
static const struct sluice_option o_fail_after_rows =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "fail_after_rows", "0", SLUICE_OPTION_ADVANCED, 0, OPT_MAX,
                     "A lane fails once it took so many rows; 0 = never.");
static const char *const fail_kinds[] = {"retryable", "fatal", "stream", NULL};
static const struct sluice_option o_fail_kind =
    SLUICE_OPT_ENUM("fail_kind", "retryable", SLUICE_OPTION_ADVANCED, fail_kinds,
                    "What the failure is: one to try again, one that stops all, or one of the "
                    "stream alone.");
static const struct sluice_option o_fail_times =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "fail_times", "1", SLUICE_OPTION_ADVANCED, 0, OPT_MAX,
                     "How often it fails before it works.");

static const struct sluice_option o_latency =
    SLUICE_OPT(SLUICE_OPTION_STRING, "latency", NULL, SLUICE_OPTION_ADVANCED,
               "File that gets a line for each commit in each batch of changes: when it was "
               "committed and when it came here, in microseconds since 1970. For benchmarks.");

static const struct sluice_option *const options[] = {
    &o_validate, &o_delay, &o_fail_after_rows, &o_fail_kind, &o_fail_times, &o_latency, NULL};

static const struct sluice_component component = {
    .struct_size = (uint32_t)sizeof component,
    .kind = SLUICE_SINK,
    .caps = SLUICE_SINK_LOAD | SLUICE_SINK_CHANGES | SLUICE_SINK_LOADS_ASIDE | SLUICE_SINK_DISCARDS,
    .name = "null",
    .summary = "Counts rows and throws them away",
    .help = "For benchmarks and tests: nothing is written anywhere.",
    .options = options,
    .sink = &null_sink_api,
};

static const struct sluice_component *const components[] = {&component};

static const struct sluice_plugin plugin = {
    .magic = SLUICE_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof plugin,
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .abi_minor_min = SLUICE_ABI_MINOR,
    .envelope_version = SLUICE_ENVELOPE_VERSION,
    .name = "null",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .build = "",
    .component_count = 1,
    .components = components,
};

SLUICE_PLUGIN_DEFINE(plugin)
