/* The engine's own keys, as option tables like those of plugins: what checks them also writes the
 * JSON Schema. */
#include "config/internal.h"
#include "sluice/option.h"

#define RANGE SLUICE_OPT_RANGE
#define KIB (1024LL)
#define MIB (1024LL * 1024)
#define TIB (1024LL * 1024 * 1024 * 1024)
#define MS (1000LL)
#define HOUR (3600LL * 1000000)

/* ---- top ---- */

static const char *const modes[] = {"full_load_only", "cdc_only", "full_load_and_cdc", NULL};

static const struct sluice_option version =
    RANGE(SLUICE_OPTION_INT, "version", NULL, SLUICE_OPTION_REQUIRED, 1, 1,
          "Version of the file format: 1.");
static const struct sluice_option name = {(uint32_t)sizeof(struct sluice_option),
                                          SLUICE_OPTION_STRING,
                                          SLUICE_OPTION_REQUIRED,
                                          0,
                                          "name",
                                          NULL,
                                          0,
                                          0,
                                          NULL,
                                          "Name of the pipeline: state, locks and manifests are "
                                          "kept under it. Lower-case letters, digits,"
                                          " _ . and -, at most 63.",
                                          "departments_to_s3"};
static const struct sluice_option mode = {
    (uint32_t)sizeof(struct sluice_option),
    SLUICE_OPTION_ENUM,
    SLUICE_OPTION_REQUIRED,
    0,
    "mode",
    NULL,
    0,
    0,
    modes,
    "full_load_only copies the tables once a run, cdc_only follows their changes, full_load_and_cdc"
    " does one and then the other.",
    "full_load_only"};
static const struct sluice_option memory =
    RANGE(SLUICE_OPTION_SIZE, "memory", "96MiB", 0, 16 * MIB, TIB,
          "Budget for rows and buffers of the whole process.");
static const struct sluice_option parallelism =
    RANGE(SLUICE_OPTION_INT, "parallelism", NULL, 0, 1, 64,
          "Shards that are read at once. Default: the number of processors.");

/* In the order of SLUICE_SCHEMA_*, which begins at 1. */
static const char *const schemas[] = {"evolve", "freeze", "stop", NULL};

static const struct sluice_option schema = {
    (uint32_t)sizeof(struct sluice_option),
    SLUICE_OPTION_ENUM,
    0,
    0,
    "schema",
    "evolve",
    0,
    0,
    schemas,
    "What happens when the columns of a table change while its changes are followed: evolve goes on"
    " with the new columns; freeze leaves new columns out and stops at any other change; stop stops"
    " before the first row of the new shape.",
    NULL};

const struct sluice_option *const sluice_engine_none[] = {NULL};
const struct sluice_option *const sluice_engine_top[] = {&version,     &name,   &mode, &memory,
                                                         &parallelism, &schema, NULL};

/* ---- nodes ---- */

static const struct sluice_option plugin = {(uint32_t)sizeof(struct sluice_option),
                                            SLUICE_OPTION_STRING,
                                            SLUICE_OPTION_REQUIRED,
                                            0,
                                            "plugin",
                                            NULL,
                                            0,
                                            0,
                                            NULL,
                                            "Name of the plugin; `sluice plugin list` shows all.",
                                            NULL};
static const struct sluice_option inputs = {
    (uint32_t)sizeof(struct sluice_option),
    SLUICE_OPTION_LIST,
    SLUICE_OPTION_REQUIRED,
    0,
    "inputs",
    NULL,
    0,
    0,
    NULL,
    "Ids of the sources and transforms that the rows come from.",
    NULL};

const struct sluice_option *const sluice_engine_source[] = {&plugin, NULL};
const struct sluice_option *const sluice_engine_node[] = {&plugin, &inputs, NULL};

/* In the order of SLUICE_TABLES_*, which begins at 1. */
static const char *const table_errors[] = {"stop", "quarantine", NULL};
static const struct sluice_option on_table_error = SLUICE_OPT_ENUM(
    "on_table_error", "stop", 0, table_errors,
    "What happens when a table fails for good while its changes are written: stop ends the run;"
    " quarantine sets that table aside with its reason while the others go on, until `sluice state"
    " resync` has it loaded anew. For sinks over tables.");
const struct sluice_option *const sluice_engine_sink[] = {&plugin, &inputs, &on_table_error, NULL};

/* ---- state ---- */

static const struct sluice_option uri = {
    (uint32_t)sizeof(struct sluice_option),
    SLUICE_OPTION_STRING,
    SLUICE_OPTION_REQUIRED,
    0,
    "uri",
    NULL,
    0,
    0,
    NULL,
    "Where progress is kept: file: and a folder. Default: file: and $XDG_STATE_HOME/sluice.",
    "file:/var/lib/sluice"};

const struct sluice_option *const sluice_engine_state[] = {&uri, NULL};

/* ---- on_error.retry ---- */

static const char help_max[] = "Tries of one shard or commit after the first; 0 = none.";
static const char help_backoff[] = "First wait; each further one is twice as long.";
static const char help_cap[] = "Longest wait.";

static const struct sluice_option retry_max =
    RANGE(SLUICE_OPTION_INT, "max", "5", 0, 0, 1000000, help_max);
static const struct sluice_option retry_backoff =
    RANGE(SLUICE_OPTION_DURATION, "backoff", "1s", 0, MS, HOUR, help_backoff);
static const struct sluice_option retry_cap =
    RANGE(SLUICE_OPTION_DURATION, "cap", "30s", 0, MS, 24 * HOUR, help_cap);
static const struct sluice_option node_retry_max =
    RANGE(SLUICE_OPTION_INT, "max", NULL, 0, 0, 1000000, help_max);
static const struct sluice_option node_retry_backoff =
    RANGE(SLUICE_OPTION_DURATION, "backoff", NULL, 0, MS, HOUR, help_backoff);
static const struct sluice_option node_retry_cap =
    RANGE(SLUICE_OPTION_DURATION, "cap", NULL, 0, MS, 24 * HOUR, help_cap);

const struct sluice_option *const sluice_engine_retry[] = {&retry_max, &retry_backoff, &retry_cap,
                                                           NULL};
const struct sluice_option *const sluice_engine_node_retry[] = {
    &node_retry_max, &node_retry_backoff, &node_retry_cap, NULL};

/* ---- batch, snapshot ---- */

static const struct sluice_option source_rows =
    RANGE(SLUICE_OPTION_INT, "rows", NULL, 0, 1, 1048576,
          "Most rows of one batch. Default: the source's choice, 65536 as a rule.");
static const struct sluice_option source_bytes =
    RANGE(SLUICE_OPTION_SIZE, "bytes", NULL, 0, 4 * KIB, 64 * MIB,
          "Aimed size of one batch in memory. Default: the source's choice, 8MiB as a rule.");
static const struct sluice_option sink_rows =
    RANGE(SLUICE_OPTION_INT, "rows", NULL, 0, 1, 1000000000000LL,
          "Commit, and begin a new file, after so many rows.");
static const struct sluice_option sink_bytes =
    RANGE(SLUICE_OPTION_SIZE, "bytes", NULL, 0, KIB, 5 * TIB,
          "Commit, and begin a new file, after so many bytes written.");
static const struct sluice_option sink_interval =
    RANGE(SLUICE_OPTION_DURATION, "interval", NULL, 0, 10 * MS, 720 * HOUR,
          "Commit, and begin a new file, at the latest after this time, also without new rows.");
static const struct sluice_option split =
    RANGE(SLUICE_OPTION_SIZE, "split", NULL, 0, 8 * KIB, TIB,
          "Aimed size of one piece of a large table, which is read in parallel pieces. Default:"
          " the source's choice.");

const struct sluice_option *const sluice_engine_batch_source[] = {&source_rows, &source_bytes,
                                                                  NULL};
const struct sluice_option *const sluice_engine_batch_sink[] = {&sink_rows, &sink_bytes,
                                                                &sink_interval, NULL};
const struct sluice_option *const sluice_engine_snapshot[] = {&split, NULL};

/* ---- tables ---- */

static const struct sluice_option tables_include = {
    (uint32_t)sizeof(struct sluice_option),
    SLUICE_OPTION_LIST,
    0,
    0,
    "include",
    NULL,
    0,
    0,
    NULL,
    "Patterns of the tables to take: globs over the whole name, or re: and an extended regular"
    " expression. Default: all.",
    "[public.*]"};
static const struct sluice_option tables_exclude = {(uint32_t)sizeof(struct sluice_option),
                                                    SLUICE_OPTION_LIST,
                                                    0,
                                                    0,
                                                    "exclude",
                                                    NULL,
                                                    0,
                                                    0,
                                                    NULL,
                                                    "Patterns of tables to leave out of those.",
                                                    "[public.*_tmp]"};
static const struct sluice_option match = {(uint32_t)sizeof(struct sluice_option),
                                           SLUICE_OPTION_STRING,
                                           SLUICE_OPTION_REQUIRED,
                                           0,
                                           "match",
                                           NULL,
                                           0,
                                           0,
                                           NULL,
                                           "Pattern of the tables that the rule is for.",
                                           "public.orders*"};
static const struct sluice_option where = {(uint32_t)sizeof(struct sluice_option),
                                           SLUICE_OPTION_STRING,
                                           0,
                                           0,
                                           "where",
                                           NULL,
                                           0,
                                           0,
                                           NULL,
                                           "Condition in the source's own language; only rows that "
                                           "fulfil it are loaded. \"\" lifts one set"
                                           " before.",
                                           "created > '2026-01-01'"};
static const struct sluice_option columns_include = {(uint32_t)sizeof(struct sluice_option),
                                                     SLUICE_OPTION_LIST,
                                                     0,
                                                     0,
                                                     "include",
                                                     NULL,
                                                     0,
                                                     0,
                                                     NULL,
                                                     "Names of the columns to take. Default: all.",
                                                     NULL};
static const struct sluice_option columns_exclude = {(uint32_t)sizeof(struct sluice_option),
                                                     SLUICE_OPTION_LIST,
                                                     0,
                                                     0,
                                                     "exclude",
                                                     NULL,
                                                     0,
                                                     0,
                                                     NULL,
                                                     "Names of columns to leave out of those.",
                                                     NULL};

static const struct sluice_option table_schema = {
    (uint32_t)sizeof(struct sluice_option),
    SLUICE_OPTION_ENUM,
    0,
    0,
    "schema",
    NULL,
    0,
    0,
    schemas,
    "For these tables in place of the pipeline's schema: evolve, freeze or stop.",
    NULL};

const struct sluice_option *const sluice_engine_tables[] = {&tables_include, &tables_exclude, NULL};
const struct sluice_option *const sluice_engine_defaults[] = {&where, &table_schema, NULL};
const struct sluice_option *const sluice_engine_rule[] = {&match, &where, &table_schema, NULL};
const struct sluice_option *const sluice_engine_columns[] = {&columns_include, &columns_exclude,
                                                             NULL};
