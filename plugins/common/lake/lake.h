/*
 * A whole sink over a place that keeps objects. The plugin brings a store (store.h) and its own
 * connection options; all else (rendering, compression, rotation, manifests, recovery) is here.
 *
 * struct sluice_sink and struct sluice_lane are defined by this library, so the functions below go
 * into the plugin's struct sluice_sink_api as they stand:
 *
 *     static sluice_status s3_create(const struct sluice_host *host, struct sluice_sink **out,
 *                                    struct sluice_error *err)
 *     {
 *         struct sluice_lake_store *store = NULL;
 *         SLUICE_TRY(s3_store_create(host, &store, err));
 *         return sluice_lake_sink_create(host, &s3_store_api, store, out, err);
 *     }
 *     static const struct sluice_sink_api s3_api = SLUICE_LAKE_SINK_API(s3_create);
 *     static const struct sluice_option *const s3_options[] = {&o_bucket, …, SLUICE_LAKE_OPTIONS, NULL};
 *     … .caps = SLUICE_LAKE_SINK_CAPS, .options = s3_options, .sink = &s3_api
 *
 * Threads and ownership are those of struct sluice_sink_api. Object layout: docs/object-layout.md.
 */
#ifndef SLUICE_COMMON_LAKE_LAKE_H
#define SLUICE_COMMON_LAKE_LAKE_H

#include "lake/store.h"
#include "sluice/abi.h"
#include "sluice/error.h"

/* The options every lake sink has; list SLUICE_LAKE_OPTIONS after the plugin's own. */
extern const struct sluice_option sluice_lake_option_format;
extern const struct sluice_option sluice_lake_option_compression;
extern const struct sluice_option sluice_lake_option_compression_level;
extern const struct sluice_option sluice_lake_option_binary;
extern const struct sluice_option sluice_lake_option_changes;
extern const struct sluice_option sluice_lake_option_full;
extern const struct sluice_option sluice_lake_option_metadata_prefix;
extern const struct sluice_option sluice_lake_option_topic_prefix;
extern const struct sluice_option sluice_lake_option_decimals;
extern const struct sluice_option sluice_lake_option_times;
extern const struct sluice_option sluice_lake_option_binaries;
extern const struct sluice_option sluice_lake_option_intervals;
extern const struct sluice_option sluice_lake_option_hstores;
extern const struct sluice_option sluice_lake_option_unavailable;
#define SLUICE_LAKE_OPTIONS                                                                    \
    &sluice_lake_option_format, &sluice_lake_option_compression,                               \
        &sluice_lake_option_compression_level, &sluice_lake_option_binary,                     \
        &sluice_lake_option_changes, &sluice_lake_option_full,                                 \
        &sluice_lake_option_metadata_prefix, &sluice_lake_option_topic_prefix,                 \
        &sluice_lake_option_decimals, &sluice_lake_option_times, &sluice_lake_option_binaries, \
        &sluice_lake_option_intervals, &sluice_lake_option_hstores,                            \
        &sluice_lake_option_unavailable

/* What sluice_component.caps of such a sink says: a manifest names data and token at once; files and
 * manifests cost something, so changes are committed by `batch:` alone; and readers put load and
 * changes in order. */
#define SLUICE_LAKE_SINK_CAPS                                              \
    ((uint64_t)SLUICE_SINK_LOAD | (uint64_t)SLUICE_SINK_CHANGES |          \
     (uint64_t)SLUICE_SINK_TRANSACTIONAL | (uint64_t)SLUICE_SINK_ROTATES | \
     (uint64_t)SLUICE_SINK_LOADS_ASIDE)

/* Makes the sink from host->config_get. Moves `store`, also on an error (then it is destroyed).
 * `api` is borrowed until destroy. No I/O. [ctl] */
sluice_status sluice_lake_sink_create(const struct sluice_host *host,
                                      const struct sluice_lake_store_api *api,
                                      struct sluice_lake_store *store, struct sluice_sink **out,
                                      struct sluice_error *err) SLUICE_MUST_CHECK;

void sluice_lake_sink_destroy(struct sluice_sink *sink);
sluice_status sluice_lake_sink_check(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                     sluice_finding_visit visit, void *vctx,
                                     struct sluice_error *err);
void sluice_lake_sink_cancel(struct sluice_sink *sink);
sluice_status sluice_lake_sink_open(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                    struct sluice_error *err);
sluice_status sluice_lake_sink_recover(struct sluice_sink *sink, sluice_recovered_visit visit,
                                       void *vctx, struct sluice_error *err);
sluice_status sluice_lake_sink_stream_begin(struct sluice_sink *sink,
                                            const struct sluice_stream_begin *begin,
                                            struct sluice_error *err);
sluice_status sluice_lake_sink_lane_open(struct sluice_sink *sink,
                                         const struct sluice_shard_desc *shard,
                                         struct sluice_lane **out, struct sluice_error *err);
sluice_status sluice_lake_sink_lane_write(struct sluice_lane *lane, struct sluice_batch *batch,
                                          struct sluice_error *err);
sluice_status sluice_lake_sink_lane_commit(struct sluice_lane *lane,
                                           const struct sluice_commit *commit,
                                           struct sluice_error *err);
void sluice_lake_sink_lane_abort(struct sluice_lane *lane);
void sluice_lake_sink_lane_close(struct sluice_lane *lane);
sluice_status sluice_lake_sink_stream_end(struct sluice_sink *sink,
                                          const struct sluice_stream_end *end,
                                          struct sluice_error *err);
uint64_t sluice_lake_sink_bytes_written(struct sluice_sink *sink);
sluice_status sluice_lake_sink_digest(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                      const struct sluice_digest_ask *ask,
                                      sluice_digest_visit visit, void *vctx,
                                      struct sluice_digest_info *info, struct sluice_error *err);

#define SLUICE_LAKE_SINK_API(create_)                                                           \
    {                                                                                           \
        .struct_size = (uint32_t)sizeof(struct sluice_sink_api), .create = create_,             \
        .destroy = sluice_lake_sink_destroy, .check = sluice_lake_sink_check,                   \
        .cancel = sluice_lake_sink_cancel, .open = sluice_lake_sink_open,                       \
        .recover = sluice_lake_sink_recover, .stream_begin = sluice_lake_sink_stream_begin,     \
        .lane_open = sluice_lake_sink_lane_open, .lane_write = sluice_lake_sink_lane_write,     \
        .lane_commit = sluice_lake_sink_lane_commit, .lane_abort = sluice_lake_sink_lane_abort, \
        .lane_close = sluice_lake_sink_lane_close, .stream_end = sluice_lake_sink_stream_end,   \
        .bytes_written = sluice_lake_sink_bytes_written, .digest = sluice_lake_sink_digest      \
    }

#endif /* SLUICE_COMMON_LAKE_LAKE_H */
