/* The options that every lake sink has. */
#include "lake/lake.h"
#include "sluice/option.h"

static const char *const formats[] = {"jsonl", "csv", NULL};
static const char *const compressions[] = {"none", "gzip", "zstd", NULL};
static const char *const binaries[] = {"base64", "hex", NULL};

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
