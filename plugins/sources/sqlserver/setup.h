/*
 * Opening with changes: whether the database and its tables are captured, and where loads and feed begin.
 */
#ifndef SQLSERVER_SETUP_H
#define SQLSERVER_SETUP_H

#include "tracking.h"
#include "way.h"

/*
 * Reads the plan's wishes, the capture instances and how far the capture job is, before anything is loaded: what was
 * committed up to *max is in every load. Nothing is read when the plan wants no changes.
 */
sluice_status ms_setup_begin(struct sluice_source *src, const struct sluice_source_plan *plan,
                             struct sluice_tds_conn *conn, struct ms_capture *capture,
                             struct ms_lsn *max, struct sluice_error *err);
enum { MS_ENABLE_MAX = 1024 };
/* The statement that has a table's changes captured. */
void ms_setup_enable(const char *schema_name, const char *table_name, char out[MS_ENABLE_MAX]);
/* What keeps the table's changes from being followed: its instance, its key. */
sluice_status ms_setup_check(const struct sluice_source *src,
                             const struct sluice_stream_select *select,
                             const struct ms_table *table, const struct ms_instance *captured,
                             const char *name, struct sluice_error *err);
/* Net changes are told by their key alone: all of it must be delivered. */
sluice_status ms_setup_check_key(const struct sluice_source *src, const struct ms_stream *stream,
                                 struct sluice_error *err);
/* Of change data capture: the table's instance, and its key where there is a load. */
sluice_status ms_setup_admit(const struct sluice_stream_select *select,
                             const struct ms_table *table, const struct ms_instance *captured,
                             const char *name, struct sluice_error *err);
/* Of change data capture. */
sluice_status ms_setup_position_time(struct sluice_tds_conn *conn, const struct ms_lsn *position,
                                     int64_t *out_us, struct sluice_error *err);
/* Sets the load's position: `max`, or where its instance begins if that is later. */
void ms_setup_place(struct ms_stream *stream, const struct ms_instance *captured,
                    const struct ms_lsn *max);
/* Once all streams are known: where the feed begins and ends. */
sluice_status ms_setup_end(struct sluice_source *src, const struct sluice_source_plan *plan,
                           struct sluice_tds_conn *conn, const struct ms_lsn *max,
                           struct sluice_error *err);
/* Visits the shard of changes. */
sluice_status ms_setup_shard(struct sluice_source *src, sluice_shard_visit visit, void *vctx);

#endif /* SQLSERVER_SETUP_H */
