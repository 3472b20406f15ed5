/*
 * The layout of the binary interface, as assertions: written by golden.py, not by hand.
 * 64-bit little-endian targets alone until another one is listed here.
 */
/* clang-format off */
#include <stddef.h>

#include "sluice/abi.h"

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the layout of the interface is not stated for this target"
#endif

#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)
#define AT(type, member, at, size)                                                        \
    _Static_assert(offsetof(struct type, member) == (at) &&                               \
                       sizeof(((struct type *)0)->member) == (size),                      \
                   #type "." #member)
#define VALUE(name, value) _Static_assert((long long)(name) == (value), #name)

_Static_assert(sizeof(void *) == 8, "64-bit pointers");
VALUE(SLUICE_ABI_MAJOR, 0);
VALUE(SLUICE_ABI_MINOR, 2);
VALUE(SLUICE_PLUGIN_MAGIC, 1162040652);
VALUE(SLUICE_ENVELOPE_VERSION, 1);
VALUE(SLUICE_OK, 0);
VALUE(SLUICE_END, 1);
VALUE(SLUICE_AGAIN, 2);
VALUE(SLUICE_E_CANCELLED, -1);
VALUE(SLUICE_E_NOMEM, -2);
VALUE(SLUICE_E_INVALID, -3);
VALUE(SLUICE_E_STATE, -4);
VALUE(SLUICE_E_UNSUPPORTED, -5);
VALUE(SLUICE_E_NOT_FOUND, -6);
VALUE(SLUICE_E_IO, -7);
VALUE(SLUICE_E_TIMEOUT, -8);
VALUE(SLUICE_E_AUTH, -9);
VALUE(SLUICE_E_PERMISSION, -10);
VALUE(SLUICE_E_DATA, -11);
VALUE(SLUICE_E_SCHEMA, -12);
VALUE(SLUICE_E_CONFLICT, -13);
VALUE(SLUICE_E_POSITION_LOST, -14);
VALUE(SLUICE_E_LIMIT, -15);
VALUE(SLUICE_E_INTERNAL, -16);
VALUE(SLUICE_E_SNAPSHOT_LOST, -17);
VALUE(SLUICE_E_UNAVAILABLE, -18);
VALUE(SLUICE_ERROR_RETRYABLE, 1);
VALUE(SLUICE_ERROR_FATAL, 2);
VALUE(SLUICE_ERROR_EPOCH_ABORTED, 4);
VALUE(SLUICE_ERROR_ROW_LEVEL, 8);
VALUE(SLUICE_OPTION_STRING, 1);
VALUE(SLUICE_OPTION_INT, 2);
VALUE(SLUICE_OPTION_BOOL, 3);
VALUE(SLUICE_OPTION_DURATION, 4);
VALUE(SLUICE_OPTION_SIZE, 5);
VALUE(SLUICE_OPTION_ENUM, 6);
VALUE(SLUICE_OPTION_LIST, 7);
VALUE(SLUICE_OPTION_MAP, 8);
VALUE(SLUICE_OPTION_REQUIRED, 1);
VALUE(SLUICE_OPTION_SECRET, 2);
VALUE(SLUICE_OPTION_DEPRECATED, 4);
VALUE(SLUICE_OPTION_ADVANCED, 8);
VALUE(SLUICE_LOG_ERROR, 1);
VALUE(SLUICE_LOG_WARN, 2);
VALUE(SLUICE_LOG_INFO, 3);
VALUE(SLUICE_LOG_DEBUG, 4);
VALUE(SLUICE_LOG_TRACE, 5);
VALUE(SLUICE_CLOCK_MONOTONIC, 0);
VALUE(SLUICE_CLOCK_WALL, 1);
VALUE(SLUICE_METRIC_COUNTER, 1);
VALUE(SLUICE_METRIC_GAUGE, 2);
VALUE(SLUICE_STREAM_TABLE, 1);
VALUE(SLUICE_STREAM_PARTITIONED, 2);
VALUE(SLUICE_STREAM_PARTITION, 3);
VALUE(SLUICE_STREAM_VIEW, 4);
VALUE(SLUICE_STREAM_MATVIEW, 5);
VALUE(SLUICE_STREAM_FOREIGN, 6);
VALUE(SLUICE_STREAM_TOPIC, 7);
VALUE(SLUICE_BEFORE_NONE, 0);
VALUE(SLUICE_BEFORE_KEY, 1);
VALUE(SLUICE_BEFORE_FULL, 2);
VALUE(SLUICE_STREAM_CAN_CHANGES, 1);
VALUE(SLUICE_STREAM_INSERT_ONLY, 2);
VALUE(SLUICE_STREAM_POSITION_OPAQUE, 4);
VALUE(SLUICE_STREAM_INTERNAL, 8);
VALUE(SLUICE_STREAM_NO_LOAD, 16);
VALUE(SLUICE_BATCH_ROWS, 1);
VALUE(SLUICE_BATCH_CHANGES, 2);
VALUE(SLUICE_BATCH_SCHEMA, 3);
VALUE(SLUICE_BATCH_TRUNCATE, 4);
VALUE(SLUICE_BATCH_MESSAGE, 5);
VALUE(SLUICE_BATCH_HEARTBEAT, 6);
VALUE(SLUICE_BATCH_SNAPSHOT_END, 7);
VALUE(SLUICE_BATCH_ENCODED, 8);
VALUE(SLUICE_BATCH_COMMIT_BOUNDARY, 1);
VALUE(SLUICE_SHARD_SNAPSHOT, 1);
VALUE(SLUICE_SHARD_CHANGES, 2);
VALUE(SLUICE_SHARD_PARTITION, 3);
VALUE(SLUICE_PLAN_ONCE, 1);
VALUE(SLUICE_MODE_FULL_LOAD_ONLY, 1);
VALUE(SLUICE_MODE_CDC_ONLY, 2);
VALUE(SLUICE_MODE_FULL_LOAD_AND_CDC, 3);
VALUE(SLUICE_SELECT_LOAD, 1);
VALUE(SLUICE_SELECT_CHANGES, 2);
VALUE(SLUICE_FINDING_OK, 0);
VALUE(SLUICE_FINDING_INFO, 1);
VALUE(SLUICE_FINDING_WARN, 2);
VALUE(SLUICE_FINDING_ERROR, 3);
VALUE(SLUICE_SOURCE_LOAD, 1);
VALUE(SLUICE_SOURCE_CHANGES, 2);
VALUE(SLUICE_SOURCE_SNAPSHOT_EXACT, 4);
VALUE(SLUICE_SOURCE_DEFERRED_LOAD, 8);
VALUE(SLUICE_SINK_LOAD, 1);
VALUE(SLUICE_SINK_CHANGES, 2);
VALUE(SLUICE_SINK_TRANSACTIONAL, 4);
VALUE(SLUICE_SINK_IDEMPOTENT, 8);
VALUE(SLUICE_SINK_NEEDS_FULL_ROW, 16);
VALUE(SLUICE_SINK_ORDER_STRICT, 32);
VALUE(SLUICE_SINK_DISCARDS, 64);
VALUE(SLUICE_SINK_ROTATES, 128);
VALUE(SLUICE_SINK_LOADS_ASIDE, 256);
VALUE(SLUICE_RECOVERED_LANE, 1);
VALUE(SLUICE_RECOVERED_STREAM_COMPLETE, 2);
VALUE(SLUICE_BEGIN_LOAD, 1);
VALUE(SLUICE_BEGIN_CHANGES, 2);
VALUE(SLUICE_STREAM_END_PARTIAL, 1);
VALUE(SLUICE_TRANSFORM_STATELESS, 1);
VALUE(SLUICE_TRANSFORM_ROW_PRESERVING, 2);
VALUE(SLUICE_TRANSFORM_CHANGES, 4);
VALUE(SLUICE_SOURCE, 1);
VALUE(SLUICE_SINK, 2);
VALUE(SLUICE_TRANSFORM, 3);

SIZE(sluice_error, 1024);
AT(sluice_error, struct_size, 0, 4);
AT(sluice_error, status, 4, 4);
AT(sluice_error, flags, 8, 4);
AT(sluice_error, native_code, 12, 4);
AT(sluice_error, row, 16, 8);
AT(sluice_error, sqlstate, 24, 8);
AT(sluice_error, message, 32, 992);

SIZE(sluice_bytes, 16);
AT(sluice_bytes, data, 0, 8);
AT(sluice_bytes, size, 8, 8);

SIZE(sluice_pair, 16);
AT(sluice_pair, key, 0, 8);
AT(sluice_pair, value, 8, 8);

SIZE(sluice_option, 72);
AT(sluice_option, struct_size, 0, 4);
AT(sluice_option, type, 4, 4);
AT(sluice_option, flags, 8, 4);
AT(sluice_option, reserved, 12, 4);
AT(sluice_option, key, 16, 8);
AT(sluice_option, default_value, 24, 8);
AT(sluice_option, min, 32, 8);
AT(sluice_option, max, 40, 8);
AT(sluice_option, choices, 48, 8);
AT(sluice_option, help, 56, 8);
AT(sluice_option, example, 64, 8);

SIZE(sluice_value, 56);
AT(sluice_value, struct_size, 0, 4);
AT(sluice_value, type, 4, 4);
AT(sluice_value, is_set, 8, 4);
AT(sluice_value, count, 12, 4);
AT(sluice_value, number, 16, 8);
AT(sluice_value, string, 24, 8);
AT(sluice_value, string_size, 32, 8);
AT(sluice_value, items, 40, 8);
AT(sluice_value, pairs, 48, 8);

SIZE(sluice_host, 112);
AT(sluice_host, struct_size, 0, 4);
AT(sluice_host, abi_minor, 4, 4);
AT(sluice_host, ctx, 8, 8);
AT(sluice_host, log, 16, 8);
AT(sluice_host, log_enabled, 24, 8);
AT(sluice_host, config_get, 32, 8);
AT(sluice_host, cancelled, 40, 8);
AT(sluice_host, cancel_fd, 48, 8);
AT(sluice_host, now_us, 56, 8);
AT(sluice_host, realloc, 64, 8);
AT(sluice_host, memory, 72, 8);
AT(sluice_host, metric, 80, 8);
AT(sluice_host, metric_add, 88, 8);
AT(sluice_host, metric_set, 96, 8);
AT(sluice_host, extension, 104, 8);

SIZE(sluice_stream_desc, 136);
AT(sluice_stream_desc, struct_size, 0, 4);
AT(sluice_stream_desc, kind, 4, 4);
AT(sluice_stream_desc, flags, 8, 4);
AT(sluice_stream_desc, before, 12, 4);
AT(sluice_stream_desc, stream_id, 16, 8);
AT(sluice_stream_desc, schema_id, 24, 8);
AT(sluice_stream_desc, name, 32, 8);
AT(sluice_stream_desc, part_count, 40, 4);
AT(sluice_stream_desc, key_count, 44, 4);
AT(sluice_stream_desc, parts, 48, 8);
AT(sluice_stream_desc, keys, 56, 8);
AT(sluice_stream_desc, schema, 64, 8);
AT(sluice_stream_desc, rows_estimate, 72, 8);
AT(sluice_stream_desc, bytes_estimate, 80, 8);
AT(sluice_stream_desc, load_position, 88, 16);
AT(sluice_stream_desc, load_position_text, 104, 8);
AT(sluice_stream_desc, encoding_count, 112, 4);
AT(sluice_stream_desc, property_count, 116, 4);
AT(sluice_stream_desc, encodings, 120, 8);
AT(sluice_stream_desc, properties, 128, 8);

SIZE(sluice_batch, 160);
AT(sluice_batch, struct_size, 0, 4);
AT(sluice_batch, kind, 4, 4);
AT(sluice_batch, flags, 8, 4);
AT(sluice_batch, reserved, 12, 4);
AT(sluice_batch, stream_id, 16, 8);
AT(sluice_batch, schema_id, 24, 8);
AT(sluice_batch, rows, 32, 8);
AT(sluice_batch, bytes, 40, 8);
AT(sluice_batch, source_time_us, 48, 8);
AT(sluice_batch, position, 56, 16);
AT(sluice_batch, desc, 72, 8);
AT(sluice_batch, array, 80, 80);

SIZE(sluice_shard_desc, 80);
AT(sluice_shard_desc, struct_size, 0, 4);
AT(sluice_shard_desc, kind, 4, 4);
AT(sluice_shard_desc, flags, 8, 4);
AT(sluice_shard_desc, stream_count, 12, 4);
AT(sluice_shard_desc, id, 16, 8);
AT(sluice_shard_desc, stream_ids, 24, 8);
AT(sluice_shard_desc, rows_estimate, 32, 8);
AT(sluice_shard_desc, bytes_estimate, 40, 8);
AT(sluice_shard_desc, handle, 48, 16);
AT(sluice_shard_desc, start, 64, 16);

SIZE(sluice_stream_select, 48);
AT(sluice_stream_select, struct_size, 0, 4);
AT(sluice_stream_select, flags, 4, 4);
AT(sluice_stream_select, name, 8, 8);
AT(sluice_stream_select, include_count, 16, 4);
AT(sluice_stream_select, exclude_count, 20, 4);
AT(sluice_stream_select, include_columns, 24, 8);
AT(sluice_stream_select, exclude_columns, 32, 8);
AT(sluice_stream_select, where, 40, 8);

SIZE(sluice_resume, 32);
AT(sluice_resume, struct_size, 0, 4);
AT(sluice_resume, reserved, 4, 4);
AT(sluice_resume, shard_id, 8, 8);
AT(sluice_resume, position, 16, 16);

SIZE(sluice_source_plan, 104);
AT(sluice_source_plan, struct_size, 0, 4);
AT(sluice_source_plan, mode, 4, 4);
AT(sluice_source_plan, flags, 8, 4);
AT(sluice_source_plan, parallelism, 12, 4);
AT(sluice_source_plan, pipeline, 16, 8);
AT(sluice_source_plan, node, 24, 8);
AT(sluice_source_plan, split_bytes, 32, 8);
AT(sluice_source_plan, batch_rows, 40, 8);
AT(sluice_source_plan, batch_bytes, 48, 8);
AT(sluice_source_plan, row_limit, 56, 8);
AT(sluice_source_plan, stream_count, 64, 4);
AT(sluice_source_plan, resume_count, 68, 4);
AT(sluice_source_plan, streams, 72, 8);
AT(sluice_source_plan, resumes, 80, 8);
AT(sluice_source_plan, until, 88, 8);
AT(sluice_source_plan, created, 96, 8);

SIZE(sluice_source_info, 32);
AT(sluice_source_info, struct_size, 0, 4);
AT(sluice_source_info, reserved, 4, 4);
AT(sluice_source_info, identity, 8, 8);
AT(sluice_source_info, server, 16, 8);
AT(sluice_source_info, created, 24, 8);

SIZE(sluice_source_lag, 192);
AT(sluice_source_lag, struct_size, 0, 4);
AT(sluice_source_lag, flags, 4, 4);
AT(sluice_source_lag, behind_bytes, 8, 8);
AT(sluice_source_lag, retained_bytes, 16, 8);
AT(sluice_source_lag, remaining_bytes, 24, 8);
AT(sluice_source_lag, position, 32, 32);
AT(sluice_source_lag, end, 64, 32);
AT(sluice_source_lag, note, 96, 96);

SIZE(sluice_finding, 40);
AT(sluice_finding, struct_size, 0, 4);
AT(sluice_finding, severity, 4, 4);
AT(sluice_finding, subject, 8, 8);
AT(sluice_finding, key, 16, 8);
AT(sluice_finding, what, 24, 8);
AT(sluice_finding, remedy, 32, 8);

SIZE(sluice_source_api, 128);
AT(sluice_source_api, struct_size, 0, 4);
AT(sluice_source_api, reserved, 4, 4);
AT(sluice_source_api, create, 8, 8);
AT(sluice_source_api, destroy, 16, 8);
AT(sluice_source_api, check, 24, 8);
AT(sluice_source_api, cancel, 32, 8);
AT(sluice_source_api, discover, 40, 8);
AT(sluice_source_api, open, 48, 8);
AT(sluice_source_api, shards, 56, 8);
AT(sluice_source_api, reader_open, 64, 8);
AT(sluice_source_api, reader_next, 72, 8);
AT(sluice_source_api, reader_idle, 80, 8);
AT(sluice_source_api, reader_ack, 88, 8);
AT(sluice_source_api, reader_close, 96, 8);
AT(sluice_source_api, shard_done, 104, 8);
AT(sluice_source_api, retire, 112, 8);
AT(sluice_source_api, measure, 120, 8);

SIZE(sluice_sink_plan, 72);
AT(sluice_sink_plan, struct_size, 0, 4);
AT(sluice_sink_plan, mode, 4, 4);
AT(sluice_sink_plan, flags, 8, 4);
AT(sluice_sink_plan, parallelism, 12, 4);
AT(sluice_sink_plan, pipeline, 16, 8);
AT(sluice_sink_plan, node, 24, 8);
AT(sluice_sink_plan, load_id, 32, 8);
AT(sluice_sink_plan, started_us, 40, 8);
AT(sluice_sink_plan, batch_rows, 48, 8);
AT(sluice_sink_plan, batch_bytes, 56, 8);
AT(sluice_sink_plan, batch_interval_us, 64, 8);

SIZE(sluice_recovered, 64);
AT(sluice_recovered, struct_size, 0, 4);
AT(sluice_recovered, kind, 4, 4);
AT(sluice_recovered, shard_id, 8, 8);
AT(sluice_recovered, stream, 16, 8);
AT(sluice_recovered, run, 24, 8);
AT(sluice_recovered, epoch, 32, 8);
AT(sluice_recovered, rows, 40, 8);
AT(sluice_recovered, token, 48, 16);

SIZE(sluice_stream_begin, 24);
AT(sluice_stream_begin, struct_size, 0, 4);
AT(sluice_stream_begin, flags, 4, 4);
AT(sluice_stream_begin, desc, 8, 8);
AT(sluice_stream_begin, run, 16, 8);

SIZE(sluice_commit, 48);
AT(sluice_commit, struct_size, 0, 4);
AT(sluice_commit, flags, 4, 4);
AT(sluice_commit, epoch, 8, 8);
AT(sluice_commit, token, 16, 16);
AT(sluice_commit, position, 32, 16);

SIZE(sluice_stream_end, 72);
AT(sluice_stream_end, struct_size, 0, 4);
AT(sluice_stream_end, flags, 4, 4);
AT(sluice_stream_end, stream_id, 8, 8);
AT(sluice_stream_end, run, 16, 8);
AT(sluice_stream_end, rows, 24, 8);
AT(sluice_stream_end, token, 32, 16);
AT(sluice_stream_end, load_position, 48, 16);
AT(sluice_stream_end, load_position_text, 64, 8);

SIZE(sluice_sink_api, 120);
AT(sluice_sink_api, struct_size, 0, 4);
AT(sluice_sink_api, reserved, 4, 4);
AT(sluice_sink_api, create, 8, 8);
AT(sluice_sink_api, destroy, 16, 8);
AT(sluice_sink_api, check, 24, 8);
AT(sluice_sink_api, cancel, 32, 8);
AT(sluice_sink_api, open, 40, 8);
AT(sluice_sink_api, recover, 48, 8);
AT(sluice_sink_api, stream_begin, 56, 8);
AT(sluice_sink_api, lane_open, 64, 8);
AT(sluice_sink_api, lane_write, 72, 8);
AT(sluice_sink_api, lane_commit, 80, 8);
AT(sluice_sink_api, lane_abort, 88, 8);
AT(sluice_sink_api, lane_close, 96, 8);
AT(sluice_sink_api, stream_end, 104, 8);
AT(sluice_sink_api, bytes_written, 112, 8);

SIZE(sluice_transform_api, 64);
AT(sluice_transform_api, struct_size, 0, 4);
AT(sluice_transform_api, reserved, 4, 4);
AT(sluice_transform_api, create, 8, 8);
AT(sluice_transform_api, destroy, 16, 8);
AT(sluice_transform_api, bind, 24, 8);
AT(sluice_transform_api, push, 32, 8);
AT(sluice_transform_api, pull, 40, 8);
AT(sluice_transform_api, flush, 48, 8);
AT(sluice_transform_api, cancel, 56, 8);

SIZE(sluice_component, 72);
AT(sluice_component, struct_size, 0, 4);
AT(sluice_component, kind, 4, 4);
AT(sluice_component, caps, 8, 8);
AT(sluice_component, name, 16, 8);
AT(sluice_component, summary, 24, 8);
AT(sluice_component, help, 32, 8);
AT(sluice_component, options, 40, 8);
AT(sluice_component, source, 48, 8);
AT(sluice_component, sink, 56, 8);
AT(sluice_component, transform, 64, 8);

SIZE(sluice_plugin, 72);
AT(sluice_plugin, magic, 0, 4);
AT(sluice_plugin, struct_size, 4, 4);
AT(sluice_plugin, abi_major, 8, 4);
AT(sluice_plugin, abi_minor, 12, 4);
AT(sluice_plugin, abi_minor_min, 16, 4);
AT(sluice_plugin, envelope_version, 20, 4);
AT(sluice_plugin, name, 24, 8);
AT(sluice_plugin, version, 32, 8);
AT(sluice_plugin, license, 40, 8);
AT(sluice_plugin, build, 48, 8);
AT(sluice_plugin, component_count, 56, 4);
AT(sluice_plugin, flags, 60, 4);
AT(sluice_plugin, components, 64, 8);
