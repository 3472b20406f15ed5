/* The sink's options. */
#include "options.h"

#include <string.h>

#include "sluice/option.h"

#define MIB (1024ll * 1024)

static const char *const apply_choices[] = {"epoch", "transactional", NULL};
static const char *const existing_choices[] = {"auto",   "refuse", "truncate", "replace",
                                               "append", "upsert", NULL};
static const char *const index_choices[] = {"after", "before", NULL};

static const struct sluice_option o_schema =
    SLUICE_OPT(SLUICE_OPTION_STRING, "schema", "public", 0,
               "Schema for streams whose name has none, and for route.to without a dot.");
static const struct sluice_option o_state_schema = SLUICE_OPT(
    SLUICE_OPTION_STRING, "state_schema", "sluice", 0,
    "Schema of the sink's own tables: lanes (what is committed), streams, letters (rows that were "
    "refused). Made when it is not there.");
static const struct sluice_option o_apply = SLUICE_OPT_ENUM(
    "apply", "epoch", 0, apply_choices,
    "epoch: one transaction of the target holds as many whole transactions of the source as have "
    "come together. transactional: each one has a transaction of its own, in the same order.");
static const struct sluice_option o_load_into = SLUICE_OPT_ENUM(
    "load_into", "auto", 0, existing_choices,
    "What a full load does with a table that has rows which this pipeline did not bring. refuse: "
    "stop and say so. truncate: empty it first. replace: keep them until the load is whole, then "
    "take their place at once. append, upsert: keep them; the load is added, or put by key, at "
    "once when it is whole. auto: replace or append where write.mode says so, else refuse.");
static const struct sluice_option o_indexes = SLUICE_OPT_ENUM(
    "indexes", "after", 0, index_choices,
    "When a full load makes the primary key of a table that it created: after its rows, which is "
    "quicker, or before.");
static const struct sluice_option o_unlogged = SLUICE_OPT(
    SLUICE_OPTION_BOOL, "unlogged", "false", SLUICE_OPTION_ADVANCED,
    "Tables that are created are UNLOGGED until their load is whole: less log while it runs, and "
    "the whole table written to the log at its end.");
static const struct sluice_option o_analyze =
    SLUICE_OPT(SLUICE_OPTION_BOOL, "analyze", "false", 0,
               "ANALYZE each table once its load is whole, rather than leave it to autovacuum.");
static const struct sluice_option o_auto_create =
    SLUICE_OPT(SLUICE_OPTION_BOOL, "auto_create", "true", 0,
               "Whether tables, schemas and enum types that are missing are created. false: they "
               "must be there.");
static const struct sluice_option o_replica_role = SLUICE_OPT(
    SLUICE_OPTION_BOOL, "replica_role", "false", 0,
    "Write with session_replication_role = replica: triggers and foreign keys of the target stand "
    "still. Needs a superuser, or GRANT SET ON PARAMETER session_replication_role.");
static const struct sluice_option o_small_rows = SLUICE_OPT_RANGE(
    SLUICE_OPTION_INT, "small_rows", "64", SLUICE_OPTION_ADVANCED, 0, 1000000,
    "Up to so many changes are written one by one, in a pipeline; more are staged and written as "
    "sets.");
static const struct sluice_option o_flush_bytes =
    SLUICE_OPT_RANGE(SLUICE_OPTION_SIZE, "flush_bytes", "16MiB", SLUICE_OPTION_ADVANCED, 65536,
                     1024 * MIB, "Changes that are held before they go into the open transaction.");

const struct sluice_option *const sluice_pgsink_option_table[] = {
    SLUICE_PG_OPTIONS, &o_schema,  &o_state_schema, &o_apply,        &o_load_into,
    &o_indexes,

    &o_unlogged,       &o_analyze, &o_auto_create,  &o_replica_role, &o_small_rows,
    &o_flush_bytes,    NULL};

static const struct sluice_option_binding bindings[] = {
    SLUICE_PG_BINDINGS(struct sluice_pgsink_options, settings),
    SLUICE_BIND(struct sluice_pgsink_options, schema, "schema"),
    SLUICE_BIND(struct sluice_pgsink_options, state_schema, "state_schema"),
    SLUICE_BIND(struct sluice_pgsink_options, apply, "apply"),
    SLUICE_BIND(struct sluice_pgsink_options, existing, "load_into"),
    SLUICE_BIND(struct sluice_pgsink_options, indexes, "indexes"),
    SLUICE_BIND(struct sluice_pgsink_options, unlogged, "unlogged"),
    SLUICE_BIND(struct sluice_pgsink_options, analyze, "analyze"),
    SLUICE_BIND(struct sluice_pgsink_options, auto_create, "auto_create"),
    SLUICE_BIND(struct sluice_pgsink_options, replica_role, "replica_role"),
    SLUICE_BIND(struct sluice_pgsink_options, small_rows, "small_rows"),
    SLUICE_BIND(struct sluice_pgsink_options, flush_bytes, "flush_bytes"),
    {NULL, 0}};

static sluice_status check_schema(const char *key, const char *name, struct sluice_error *err)
{
    if (name == NULL || name[0] == '\0' || strlen(name) > 63) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "option %s: a schema's name has 1 to 63 bytes", key);
    }
    return SLUICE_OK;
}

sluice_status sluice_pgsink_options_bind(const struct sluice_host *host,
                                         struct sluice_pgsink_options *out,
                                         struct sluice_error *err)
{
    struct sluice_pg_params params;
    SLUICE_TRY(sluice_options_bind(host, bindings, out, err));
    out->settings.writes = 1;
    SLUICE_TRY(check_schema("schema", out->schema, err));
    SLUICE_TRY(check_schema("state_schema", out->state_schema, err));
    /* Says what is wrong with the connection options before anything runs. */
    SLUICE_TRY(sluice_pg_params_make(&out->settings, &params, err));
    sluice_pg_params_free(&params);
    return SLUICE_OK;
}
