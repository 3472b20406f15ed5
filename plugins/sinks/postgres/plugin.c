/* Sink `postgres`: tables of a PostgreSQL database. */
#include "sluice/plugin.h"

#include <stdlib.h>

#include "changes.h"
#include "load.h"
#include "options.h"
#include "reject.h"

/* A lane is of a load or of changes, by the kind of its shard. */
struct sluice_lane {
    struct sluice_sink *sink;
    struct sluice_pgsink_load_lane *load;
    struct sluice_pgsink_lane *changes;
};

static sluice_status lane_open(struct sluice_sink *sink, const struct sluice_shard_desc *shard,
                               struct sluice_lane **out, struct sluice_error *err)
{
    struct sluice_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                "out of memory for a lane");
    }
    lane->sink = sink;
    sluice_status status = shard->kind == SLUICE_SHARD_SNAPSHOT
                               ? sluice_pgsink_load_open(sink, shard, &lane->load, err)
                               : sluice_pgsink_changes_open(sink, shard, &lane->changes, err);
    if (status < 0) {
        free(lane);
        return status;
    }
    *out = lane;
    return SLUICE_OK;
}

static sluice_status lane_write(struct sluice_lane *lane, struct sluice_batch *batch,
                                struct sluice_error *err)
{
    return lane->load != NULL ? sluice_pgsink_load_write(lane->load, batch, err)
                              : sluice_pgsink_changes_write(lane->changes, batch, err);
}

static sluice_status lane_commit(struct sluice_lane *lane, const struct sluice_commit *commit,
                                 struct sluice_error *err)
{
    return lane->load != NULL ? sluice_pgsink_load_commit(lane->load, commit, err)
                              : sluice_pgsink_changes_commit(lane->changes, commit, err);
}

static void lane_abort(struct sluice_lane *lane)
{
    if (lane->load != NULL) {
        sluice_pgsink_load_abort(lane->load);
    }
    else {
        sluice_pgsink_changes_abort(lane->changes);
    }
}

static void lane_close(struct sluice_lane *lane)
{
    if (lane == NULL) {
        return;
    }
    if (lane->load != NULL) {
        sluice_pgsink_load_close(lane->load);
    }
    else {
        sluice_pgsink_changes_close(lane->changes);
    }
    free(lane);
}

static const struct sluice_sink_api api = {
    .struct_size = (uint32_t)sizeof(struct sluice_sink_api),
    .create = sluice_pgsink_create,
    .destroy = sluice_pgsink_destroy,
    .check = sluice_pgsink_check,
    .cancel = sluice_pgsink_cancel,
    .open = sluice_pgsink_open,
    .recover = sluice_pgsink_recover,
    .stream_begin = sluice_pgsink_stream_begin,
    .lane_open = lane_open,
    .lane_write = lane_write,
    .lane_commit = lane_commit,
    .lane_abort = lane_abort,
    .lane_close = lane_close,
    .stream_end = sluice_pgsink_stream_end,
    .bytes_written = sluice_pgsink_bytes_written,
    .describe = sluice_pgsink_describe,
    .report = sluice_pgsink_report,
    .letters = sluice_pgsink_letters,
    .replay = sluice_pgsink_replay,
    .digest = sluice_pgsink_digest,
};

static const struct sluice_component component = {
    .struct_size = (uint32_t)sizeof(struct sluice_component),
    .kind = SLUICE_SINK,
    .caps = SLUICE_SINK_LOAD | SLUICE_SINK_CHANGES | SLUICE_SINK_TRANSACTIONAL | SLUICE_SINK_TABLES,
    .name = "postgres",
    .summary = "Writes tables into a PostgreSQL database, loads and changes, exactly once.",
    .options = sluice_pgsink_option_table,
    .sink = &api,
};

static const struct sluice_component *const components[] = {&component};

static const struct sluice_plugin plugin = {
    .magic = SLUICE_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof(struct sluice_plugin),
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .abi_minor_min = SLUICE_ABI_MINOR,
    .envelope_version = SLUICE_ENVELOPE_VERSION,
    .name = "postgres_sink",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .build = "",
    .component_count = 1,
    .components = components,
};

SLUICE_PLUGIN_DEFINE(plugin)
