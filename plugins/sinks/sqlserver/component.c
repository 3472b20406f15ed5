/* Sink sqlserver: descriptor and options. */
#include <string.h>

#include "lane.h"
#include "options.h"
#include "reject.h"
#include "sluice/option.h"
#include "state.h"

#define MIB (1024ll * 1024)

static const char *const existing_choices[] = {"auto",   "refuse", "truncate", "replace",
                                               "append", "upsert", NULL};

static const struct sluice_option o_schema =
    SLUICE_OPT(SLUICE_OPTION_STRING, "schema", "dbo", 0,
               "Schema for streams whose name has none, and for route.to without a dot.");
static const struct sluice_option o_state_schema =
    SLUICE_OPT(SLUICE_OPTION_STRING, "state_schema", "sluice", 0,
               "Schema of the sink's own tables: lanes (what is committed), streams and letters. "
               "Made when it is "
               "not there.");
static const struct sluice_option o_load_into = SLUICE_OPT_ENUM(
    "load_into", "auto", 0, existing_choices,
    "What a full load does with a table that has rows which this pipeline did not bring. refuse: "
    "stop and say so. truncate: empty it first. replace: keep them until the load is whole, then "
    "take their place at once. append, upsert: keep them; the load is added, or put by key, at "
    "once when it is whole. auto: replace or append where write.mode says so, else refuse.");
static const struct sluice_option o_auto_create = SLUICE_OPT(
    SLUICE_OPTION_BOOL, "auto_create", "true", 0,
    "Whether tables and schemas that are missing are created. false: they must be there.");
static const char *const apply_choices[] = {"epoch", "transactional", NULL};
static const struct sluice_option o_apply = SLUICE_OPT_ENUM(
    "apply", "epoch", 0, apply_choices,
    "epoch: the transactions of the source that have come since the last commit are one "
    "transaction "
    "of the target. transactional: each one has a transaction of its own, in the same order.");
static const struct sluice_option o_small_rows =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "small_rows", "64", SLUICE_OPTION_ADVANCED, 0, 1000000,
                     "Up to so many changes are written one by one, in one batch of statements; "
                     "more are staged in a "
                     "temporary table and written as sets.");
static const struct sluice_option o_flush_bytes =
    SLUICE_OPT_RANGE(SLUICE_OPTION_SIZE, "flush_bytes", "16MiB", SLUICE_OPTION_ADVANCED, 65536,
                     1024 * MIB, "Changes that are held before they go into the open transaction.");
static const struct sluice_option o_load_bytes = SLUICE_OPT_RANGE(
    SLUICE_OPTION_SIZE, "load_bytes", "64MiB", SLUICE_OPTION_ADVANCED, 65536, 1024 * MIB,
    "Bytes of a load's rows that are sent as one bulk batch, within the transaction of the piece.");

static const struct sluice_option *const options[] = {
    SLUICE_TDS_OPTIONS, &o_schema,     &o_state_schema, &o_load_into,  &o_auto_create,
    &o_apply,           &o_small_rows, &o_flush_bytes,  &o_load_bytes, NULL};

static sluice_status check_schema(const char *key, const char *name, struct sluice_error *err)
{
    return name != NULL && name[0] != '\0' && strlen(name) <= 128
               ? SLUICE_OK
               : sluice_error_set(err, SLUICE_E_INVALID, 0,
                                  "option %s: a schema's name has 1 to 128 bytes", key);
}

sluice_status mssink_options_bind(const struct sluice_host *host, struct mssink_options *out,
                                  struct sluice_error *err)
{
    static const struct sluice_option_binding bindings[] = {
        SLUICE_BIND(struct mssink_options, schema, "schema"),
        SLUICE_BIND(struct mssink_options, state_schema, "state_schema"),
        SLUICE_BIND(struct mssink_options, existing, "load_into"),
        SLUICE_BIND(struct mssink_options, auto_create, "auto_create"),
        SLUICE_BIND(struct mssink_options, apply, "apply"),
        SLUICE_BIND(struct mssink_options, small_rows, "small_rows"),
        SLUICE_BIND(struct mssink_options, flush_bytes, "flush_bytes"),
        SLUICE_BIND(struct mssink_options, load_bytes, "load_bytes"),
        {NULL, 0}};
    SLUICE_TRY(sluice_tds_settings_bind(host, &out->server, err));
    SLUICE_TRY(sluice_options_bind(host, bindings, out, err));
    SLUICE_TRY(check_schema("schema", out->schema, err));
    return check_schema("state_schema", out->state_schema, err);
}

static const struct sluice_sink_api api = {
    .struct_size = (uint32_t)sizeof api,
    .create = mssink_create,
    .destroy = mssink_destroy,
    .check = mssink_check,
    .cancel = mssink_cancel,
    .open = mssink_open,
    .recover = mssink_recover,
    .stream_begin = mssink_stream_begin,
    .lane_open = mssink_lane_open,
    .lane_write = mssink_lane_write,
    .lane_commit = mssink_lane_commit,
    .lane_abort = mssink_lane_abort,
    .lane_close = mssink_lane_close,
    .stream_end = mssink_stream_end,
    .bytes_written = mssink_bytes_written,
    .describe = mssink_describe,
    .letters = mssink_letters,
    .replay = mssink_replay,
    .report = mssink_report,
    .digest = mssink_digest,
};

const struct sluice_component mssink_component = {
    .struct_size = (uint32_t)sizeof(struct sluice_component),
    .kind = SLUICE_SINK,
    .caps = SLUICE_SINK_LOAD | SLUICE_SINK_CHANGES | SLUICE_SINK_TRANSACTIONAL | SLUICE_SINK_TABLES,
    .name = "sqlserver",
    .summary = "Tables of Microsoft SQL Server, loaded in bulk and kept in step",
    .help =
        "Writes tables over TDS 7.4 (FreeTDS db-lib): full loads by bulk insert, changes as whole "
        "transactions of the source, each with its position in the same transaction of the target, "
        "so "
        "that nothing is written twice or left out.\n\n"
        "Changes are collapsed to one per key, staged in temporary tables and written by UPDATE, "
        "DELETE "
        "and INSERT; few of them, or what sets cannot do, one by one. MERGE is not used.\n\n"
        "The login's user needs SELECT, INSERT, UPDATE, DELETE on the tables, ALTER on those that "
        "it "
        "creates or changes, CREATE TABLE and CREATE SCHEMA where they are missing.",
    .options = options,
    .sink = &api,
};
