/* The plugin's descriptor and options, and the source's creation and end. */
#include "sluice/plugin.h"

#include <stdlib.h>

#include "setup.h"

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

static const char *const publication_modes[] = {"auto", "existing", "all_tables", NULL};
static const char *const identity_choices[] = {"refuse", "insert_only", NULL};
static const char *const auto_choices[] = {"auto", "off", "on", NULL};
static const char *const origin_choices[] = {"any", "none", NULL};

static const struct sluice_option o_slot = SLUICE_OPT(
    SLUICE_OPTION_STRING, "slot", NULL, 0,
    "Replication slot to read changes from: a-z, 0-9 and _, at most 63. Made when it is not there. "
    "Unset: sluice_ and the pipeline's name. One slot serves one reader.");
static const struct sluice_option o_publication = SLUICE_OPT(
    SLUICE_OPTION_STRING, "publication", NULL, 0,
    "Publication to read changes through. Made when it is not there, for exactly the "
    "chosen tables; one that others made is only checked, and its row filters and column "
    "lists hold for the full load too. Unset: sluice_ and the pipeline's name.");
static const struct sluice_option o_publication_mode =
    SLUICE_OPT_ENUM("publication_mode", "auto", 0, publication_modes,
                    "auto: make the publication when it is not there, and keep ours in step with "
                    "the chosen tables. "
                    "existing: make and alter nothing. all_tables: make it FOR ALL TABLES, which "
                    "needs a superuser; "
                    "refused while any table of the database lacks a replica identity.");
static const struct sluice_option o_without_identity = SLUICE_OPT_ENUM(
    "without_identity", "refuse", 0, identity_choices,
    "What happens to chosen tables without a usable replica identity, whose updates and deletes "
    "PostgreSQL would refuse once they are published. refuse: nothing is made, and the error says "
    "what to run. insert_only: their inserts and truncates alone are captured, through a second "
    "publication.");
static const struct sluice_option o_failover = SLUICE_OPT_ENUM(
    "failover", "auto", SLUICE_OPTION_ADVANCED, auto_choices,
    "Whether a slot that we make is kept in step on standbys, so that it survives a promotion. "
    "auto: on a primary of PostgreSQL 17 and newer.");
static const struct sluice_option o_binary = SLUICE_OPT_ENUM(
    "binary", "auto", SLUICE_OPTION_ADVANCED, auto_choices,
    "Whether changes come in binary form, which costs less and gives the same values. auto: from "
    "PostgreSQL 14 when all columns of all chosen tables have a binary form that is known here.");
static const struct sluice_option o_messages = SLUICE_OPT(
    SLUICE_OPTION_BOOL, "messages", "false", 0,
    "Deliver what pg_logical_emit_message() writes as the stream pg_logical_message with the "
    "columns prefix, content and transactional. PostgreSQL 14 and newer.");
static const struct sluice_option o_origin = SLUICE_OPT_ENUM(
    "origin", "any", SLUICE_OPTION_ADVANCED, origin_choices,
    "any: all changes. none: only those that did not come to the server by replication themselves. "
    "PostgreSQL 16 and newer.");
static const struct sluice_option o_start_lsn = SLUICE_OPT(
    SLUICE_OPTION_STRING, "start_lsn", NULL, SLUICE_OPTION_ADVANCED,
    "mode: cdc_only without progress yet: begin after this place of the log (16/B374D848), which "
    "the slot must have kept. Unset: begin now, or where the given slot stands.");
static const struct sluice_option o_feedback = SLUICE_OPT_RANGE(
    SLUICE_OPTION_DURATION, "feedback_interval", "1s", SLUICE_OPTION_ADVANCED, 50000,
    10 * 60 * 1000000ll,
    "Longest time between two messages that tell the server how far we are; shortened to a third "
    "of the server's wal_sender_timeout.");

static const struct sluice_option *const options[] = {SLUICE_PG_OPTIONS,
                                                      &o_partitions,
                                                      &o_generated,
                                                      &o_unrepresentable,
                                                      &o_slot,
                                                      &o_publication,
                                                      &o_publication_mode,
                                                      &o_without_identity,
                                                      &o_messages,
                                                      &o_failover,
                                                      &o_binary,
                                                      &o_origin,
                                                      &o_start_lsn,
                                                      &o_feedback,
                                                      &o_split,
                                                      &o_batch_rows,
                                                      &o_batch_bytes,
                                                      &o_max_row,
                                                      NULL};

static const struct sluice_option_binding bindings[] = {
    SLUICE_PG_BINDINGS(struct pg_options, conn),
    SLUICE_BIND(struct pg_options, partitions, "partitions"),
    SLUICE_BIND(struct pg_options, generated, "generated"),
    SLUICE_BIND(struct pg_options, on_unrepresentable, "on_unrepresentable"),
    SLUICE_BIND(struct pg_options, split_bytes, "split_bytes"),
    SLUICE_BIND(struct pg_options, batch_rows, "batch_rows"),
    SLUICE_BIND(struct pg_options, batch_bytes, "batch_bytes"),
    SLUICE_BIND(struct pg_options, max_row_bytes, "max_row_bytes"),
    SLUICE_BIND(struct pg_options, slot, "slot"),
    SLUICE_BIND(struct pg_options, publication, "publication"),
    SLUICE_BIND(struct pg_options, publication_mode, "publication_mode"),
    SLUICE_BIND(struct pg_options, without_identity, "without_identity"),
    SLUICE_BIND(struct pg_options, failover, "failover"),
    SLUICE_BIND(struct pg_options, binary, "binary"),
    SLUICE_BIND(struct pg_options, messages, "messages"),
    SLUICE_BIND(struct pg_options, origin, "origin"),
    SLUICE_BIND(struct pg_options, start_lsn, "start_lsn"),
    SLUICE_BIND(struct pg_options, feedback_interval_us, "feedback_interval"),
    {NULL, 0}};

/* What can be known to be wrong without asking the server. */
static sluice_status check_options(const struct pg_options *o, struct sluice_error *err)
{
    uint64_t lsn = 0;
    if (o->slot != NULL && !pg_slot_name_valid(o->slot)) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "option slot: \"%.80s\" is no name of a slot (hint: a-z, 0-9 and _, "
            "at most 63)",
            o->slot);
    }
    if (o->publication != NULL &&
        (o->publication[0] == '\0' || strlen(o->publication) >= PG_NAME_SIZE)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "option publication: a name has 1 to 63 bytes, \"%.80s\" has %zu",
                                o->publication, strlen(o->publication));
    }
    if (o->start_lsn != NULL && (!pg_lsn_text_parse(o->start_lsn, &lsn) || lsn == 0)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "option start_lsn: \"%.40s\" is no place in the log (hint: as "
                                "pg_current_wal_lsn() prints it, 16/B374D848)",
                                o->start_lsn);
    }
    return SLUICE_OK;
}

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
    if (st >= 0) {
        st = check_options(&src->options, err);
    }
    if (st < 0) {
        pg_source_destroy(src);
        return st;
    }
    src->failpoints = sluice_failpoints_of(host);
    src->changes_read = host->metric(host->ctx, SLUICE_METRIC_COUNTER, "postgres_changes_read",
                                     "rows", "Changes received and decoded.");
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
    .reader_idle = pg_reader_idle,
    .reader_ack = pg_reader_ack,
    .reader_close = pg_reader_close,
    .shard_done = pg_source_shard_done,
    .retire = pg_source_retire,
    .measure = pg_source_measure,
    .digest = pg_source_digest,
};

static const struct sluice_component source_component = {
    .struct_size = (uint32_t)sizeof(struct sluice_component),
    .kind = SLUICE_SOURCE,
    .caps = SLUICE_SOURCE_LOAD | SLUICE_SOURCE_CHANGES | SLUICE_SOURCE_SNAPSHOT_EXACT |
            SLUICE_SOURCE_DEFERRED_LOAD,
    .name = "postgres",
    .summary = "Reads tables of a PostgreSQL database (12 to 18), and follows their changes.",
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
        "Changes come by logical replication (pgoutput) from a slot, which is made first and whose "
        "snapshot the load sees: nothing is missing between the two, and nothing comes twice. The "
        "slot keeps the server's log until every sink has what is in it. What is made at the "
        "server "
        "(a slot, a publication of the chosen tables) is dropped by sluice retire and nothing "
        "else.\n\n"
        "The role needs CONNECT, USAGE on the schemas and SELECT on the tables; for changes also "
        "REPLICATION, wal_level = logical at the server, and, to make the publication, CREATE on "
        "the database and ownership of the tables (or a publication that their owner made). "
        "sluice check says what is missing. Connect to PostgreSQL itself, not through a pooler "
        "that "
        "mixes sessions.",
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
