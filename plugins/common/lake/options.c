/* The options that every lake sink has. */
#include "lake/lake.h"
#include "sluice/option.h"

static const char *const formats[] = {"jsonl", "csv", NULL};
static const char *const compressions[] = {"none", "gzip", "zstd", NULL};
static const char *const binaries[] = {"base64", "hex", NULL};
/* The order of the next ones is that of change.h. */
static const char *const shapes[] = {"columns", "debezium", NULL};
static const char *const fulls[] = {"rows", "changes", NULL};
static const char *const decimal_modes[] = {"precise", "double", "string", NULL};
static const char *const time_modes[] = {
    "adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds",
    NULL};
static const char *const interval_modes[] = {"numeric", "string", NULL};
static const char *const hstore_modes[] = {"json", "map", NULL};
/* "bytes" and "base64" are the same in JSON: see bind_options. */
static const char *const binary_modes[] = {"bytes", "base64", "base64-url-safe", "hex", NULL};

const struct sluice_option sluice_lake_option_format = SLUICE_OPT_ENUM(
    "format", "jsonl", 0, formats,
    "How rows are written: JSON lines as PostgreSQL's row_to_json prints them, or CSV with a "
    "header as COPY prints it.");

const struct sluice_option sluice_lake_option_compression =
    SLUICE_OPT_ENUM("compression", "zstd", 0, compressions, "Compression of data files.");

const struct sluice_option sluice_lake_option_compression_level =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "compression_level", NULL, SLUICE_OPTION_ADVANCED, -7, 19,
                     "zstd: -7 (fastest) to 19, default 1. gzip: 1 to 3, default 1.");

const struct sluice_option sluice_lake_option_binary = SLUICE_OPT_ENUM(
    "binary", NULL, SLUICE_OPTION_ADVANCED, binaries,
    "How JSON lines show binary values: base64 (the default), or hex as PostgreSQL prints bytea. "
    "CSV always has hex.");

const struct sluice_option sluice_lake_option_changes =
    SLUICE_OPT_ENUM("changes", "columns", 0, shapes,
                    "How change files look: rows with the columns _op, _pos, _seq, _commit_ts, _tx "
                    "and _unchanged in "
                    "front of their own (columns), or Debezium's envelope before, after, source, "
                    "op, ts_ms (debezium, "
                    "JSON lines alone).");

const struct sluice_option sluice_lake_option_full =
    SLUICE_OPT_ENUM("full", "rows", 0, fulls,
                    "How full-load files look: plain rows, or rows like those of change files (op "
                    "R or r) as of the "
                    "load's position.");

const struct sluice_option sluice_lake_option_metadata_prefix =
    SLUICE_OPT(SLUICE_OPTION_STRING, "metadata_prefix", "_", SLUICE_OPTION_ADVANCED,
               "changes: columns: what stands before op, pos, seq, commit_ts, tx and unchanged in "
               "the names of these columns. To change where a table has such a column itself.");

const struct sluice_option sluice_lake_option_topic_prefix =
    SLUICE_OPT(SLUICE_OPTION_STRING, "topic_prefix", NULL, SLUICE_OPTION_ADVANCED,
               "changes: debezium: source.name, as Debezium's topic.prefix. Unset: the name of the "
               "pipeline.");

const struct sluice_option sluice_lake_option_decimals =
    SLUICE_OPT_ENUM("decimal_handling_mode", "precise", SLUICE_OPTION_ADVANCED, decimal_modes,
                    "changes: debezium: numeric values as base64 of the unscaled integer "
                    "(precise), as JSON numbers "
                    "(double), or as strings. As Debezium's decimal.handling.mode.");

const struct sluice_option sluice_lake_option_times =
    SLUICE_OPT_ENUM("time_precision_mode", "adaptive", SLUICE_OPTION_ADVANCED, time_modes,
                    "changes: debezium: how dates, times and timestamps are written. As Debezium's "
                    "time.precision.mode.");

const struct sluice_option sluice_lake_option_binaries = SLUICE_OPT_ENUM(
    "binary_handling_mode", "bytes", SLUICE_OPTION_ADVANCED, binary_modes,
    "changes: debezium: how binary values are written; bytes and base64 are the same in JSON. As "
    "Debezium's binary.handling.mode.");

const struct sluice_option sluice_lake_option_intervals = SLUICE_OPT_ENUM(
    "interval_handling_mode", "numeric", SLUICE_OPTION_ADVANCED, interval_modes,
    "changes: debezium: intervals as microseconds (a month has 365.25/12 days), or as ISO 8601 "
    "strings. As Debezium's interval.handling.mode.");

const struct sluice_option sluice_lake_option_hstores = SLUICE_OPT_ENUM(
    "hstore_handling_mode", "json", SLUICE_OPTION_ADVANCED, hstore_modes,
    "changes: debezium: hstore values as a JSON string or as an object. As Debezium's "
    "hstore.handling.mode.");

const struct sluice_option sluice_lake_option_unavailable =
    SLUICE_OPT(SLUICE_OPTION_STRING, "unavailable_value_placeholder",
               "__debezium_unavailable_value", SLUICE_OPTION_ADVANCED,
               "changes: debezium: stands for a value that the source did not send because it is "
               "unchanged. As Debezium's unavailable.value.placeholder.");
