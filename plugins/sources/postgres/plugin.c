/* The plugin's descriptor and options, and the source's creation and end. */
#include "sluice/plugin.h"

#include <stdlib.h>

#include "source.h"

#define MIB (1024ll * 1024)

static const char *const partition_choices[] = {"root", "leaves", NULL};
static const char *const generated_choices[] = {"include", "exclude", NULL};
static const char *const unrepresentable_choices[] = {"fail", "null", "text", NULL};

static const struct sluice_option o_partitions = SLUICE_OPT_ENUM(
    "partitions", "root", 0, partition_choices,
    "root: a partitioned table is one stream. leaves: each of its partitions is a stream.");
static const struct sluice_option o_generated =
    SLUICE_OPT_ENUM("generated", "include", 0, generated_choices,
                    "Whether generated columns are read like others or left out.");
static const struct sluice_option o_unrepresentable = SLUICE_OPT_ENUM(
    "on_unrepresentable", "fail", 0, unrepresentable_choices,
    "What happens to a value that its Arrow type cannot hold (timestamps after the year 294247): "
    "fail "
    "the table, write null, or deliver all date, timestamp and numeric columns as text.");
static const struct sluice_option o_split = SLUICE_OPT_RANGE(
    SLUICE_OPTION_SIZE, "split_bytes", NULL, SLUICE_OPTION_ADVANCED, MIB, MIB * 1024 * 1024,
    "Aimed size of a part of a table that one connection reads; 128MiB unless the "
    "pipeline's snapshot settings say otherwise.");
static const struct sluice_option o_batch_rows =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "batch_rows", "8192", SLUICE_OPTION_ADVANCED, 1, 65536,
                     "Most rows of a batch.");
static const struct sluice_option o_batch_bytes =
    SLUICE_OPT_RANGE(SLUICE_OPTION_SIZE, "batch_bytes", "2MiB", SLUICE_OPTION_ADVANCED, 64 * 1024,
                     256 * MIB, "Bytes after which a batch is closed.");
static const struct sluice_option o_max_row = SLUICE_OPT_RANGE(
    SLUICE_OPTION_SIZE, "max_row_bytes", "256MiB", SLUICE_OPTION_ADVANCED, MIB, 2047 * MIB,
    "Largest row that is accepted. Reading one takes about three times its size.");

static const struct sluice_option *const options[] = {
    SLUICE_PG_OPTIONS, &o_partitions, &o_generated, &o_unrepresentable, &o_split, &o_batch_rows,
    &o_batch_bytes,    &o_max_row,    NULL};

static const struct sluice_option_binding bindings[] = {
    SLUICE_PG_BINDINGS(struct pg_options, conn),
    SLUICE_BIND(struct pg_options, partitions, "partitions"),
    SLUICE_BIND(struct pg_options, generated, "generated"),
    SLUICE_BIND(struct pg_options, on_unrepresentable, "on_unrepresentable"),
    SLUICE_BIND(struct pg_options, split_bytes, "split_bytes"),
    SLUICE_BIND(struct pg_options, batch_rows, "batch_rows"),
    SLUICE_BIND(struct pg_options, batch_bytes, "batch_bytes"),
    SLUICE_BIND(struct pg_options, max_row_bytes, "max_row_bytes"),
    {NULL, 0}};

static void pg_source_destroy(struct sluice_source *src)
{
    if (src == NULL) {
        return;
    }
    pg_source_close(src);
    sluice_pg_close(src->control);
    sluice_pg_registry_destroy(src->registry);
    (void)pthread_mutex_destroy(&src->pool_lock);
    free(src);
}

static sluice_status pg_source_create(const struct sluice_host *host, struct sluice_source **out,
                                      struct sluice_error *err)
{
    struct sluice_source *src = calloc(1, sizeof *src);
    if (src == NULL || pthread_mutex_init(&src->pool_lock, NULL) != 0) {
        free(src);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a source");
    }
    src->host = host;
    src->registry = sluice_pg_registry_create();
    sluice_status st = src->registry != NULL
                           ? sluice_options_bind(host, bindings, &src->options, err)
                           : sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a source");
    if (st >= 0) {
        /* Says what is wrong with the connection options before anything runs. */
        struct sluice_pg_params params;
        st = sluice_pg_params_make(&src->options.conn, &params, err);
        if (st >= 0) {
            sluice_pg_params_free(&params);
        }
    }
    if (st < 0) {
        pg_source_destroy(src);
        return st;
    }
    src->rows_read = host->metric(host->ctx, SLUICE_METRIC_COUNTER, "postgres_rows_read", "rows",
                                  "Rows received and decoded.");
    src->bytes_read = host->metric(host->ctx, SLUICE_METRIC_COUNTER, "postgres_bytes_read", "bytes",
                                   "Bytes of rows received from the server.");
    *out = src;
    return SLUICE_OK;
}

static void pg_source_cancel(struct sluice_source *src)
{
    /* Waiting threads wake by the host's cancel descriptor; this ends what the server still runs. */
    sluice_pg_registry_cancel(src->registry);
}

static const struct sluice_source_api source_api = {
    .struct_size = (uint32_t)sizeof(struct sluice_source_api),
    .create = pg_source_create,
    .destroy = pg_source_destroy,
    .check = pg_source_check,
    .cancel = pg_source_cancel,
    .discover = pg_source_discover,
    .open = pg_source_open,
    .shards = pg_source_shards,
    .reader_open = pg_reader_open,
    .reader_next = pg_reader_next,
    .reader_close = pg_reader_close,
};

static const struct sluice_component source_component = {
    .struct_size = (uint32_t)sizeof(struct sluice_component),
    .kind = SLUICE_SOURCE,
    .caps = SLUICE_SOURCE_LOAD,
    .name = "postgres",
    .summary = "Reads tables of a PostgreSQL database (12 to 18).",
    .help =
        "Reads whole tables under one exported snapshot, so that all tables show the same moment. "
        "Large tables are split by ranges of pages and read by several connections at once; that "
        "needs no key. Views, materialized views, foreign tables and partitioned tables are read "
        "as "
        "well.\n\n"
        "Rows come by COPY in binary form. Types without an Arrow counterpart (arrays, composites, "
        "ranges, interval, numeric without precision, extension types …) come as the exact text "
        "that "
        "the type prints, whatever the database's or role's settings are.\n\n"
        "The role needs CONNECT, USAGE on the schemas and SELECT on the tables, nothing else. "
        "Connect to PostgreSQL itself, not through a pooler that mixes sessions.",
    .options = options,
    .source = &source_api,
};

static const struct sluice_component *const components[] = {&source_component};

static const struct sluice_plugin plugin = {
    .magic = SLUICE_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof(struct sluice_plugin),
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .abi_minor_min = SLUICE_ABI_MINOR,
    .envelope_version = SLUICE_ENVELOPE_VERSION,
    .name = "postgres",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .build = "C11, " __VERSION__,
    .component_count = 1,
    .components = components,
};

SLUICE_PLUGIN_DEFINE(plugin)
