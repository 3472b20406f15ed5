/* Change data capture as a way of capture: what the feed's files and the others have for it. */
#include <stdio.h>

#include "feed.h"
#include "setup.h"

static sluice_status disabled(const struct sluice_source *src, struct sluice_error *err)
{
    return sluice_error_set(
        err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_FATAL,
        "database %s: change data capture is not enabled (hint: a member of sysadmin runs EXEC "
        "sys.sp_cdc_enable_db there; then EXEC sys.sp_cdc_enable_table for each table)",
        src->options.server.database);
}

static int owns(const struct ms_lsn *position)
{
    int64_t version = 0;
    return !ms_version_take(position, &version);
}

/* Ahead of the capture job is a feed only until the job has passed the start of an instance that was enabled since it
 * last ran: loads begin there. */
static int is_ahead(const struct ms_capture *capture, const struct ms_lsn *position)
{
    int ahead = ms_lsn_compare(position, &capture->max) > 0;
    for (uint32_t i = 0; ahead && i < capture->count; i++) {
        ahead = ms_lsn_compare(&capture->instances[i]->start, position) <= 0;
    }
    return ahead;
}

static void unfollowed(const char *schema_name, const char *table_name, char *out, size_t size)
{
    char statement[MS_ENABLE_MAX];
    ms_setup_enable(schema_name, table_name, statement);
    (void)snprintf(out, size,
                   "it is not captured, which %s mends, after EXEC sys.sp_cdc_enable_db if the "
                   "database has none yet",
                   statement);
}

static sluice_status drop(struct ms_feed *feed, struct sluice_error *err)
{
    (void)err;
    ms_feed_window_drop(feed);
    return SLUICE_OK;
}

const struct ms_way ms_way_cdc = {
    .name = "change data capture",
    .unfollowed = unfollowed,
    .enabled = ms_capture_enabled,
    .disabled = disabled,
    .read = ms_capture_read,
    .progress = ms_capture_max,
    .admit = ms_setup_admit,
    .check = ms_check_changes,
    .owns = owns,
    .is_ahead = is_ahead,
    .format = ms_lsn_format,
    .parse = ms_lsn_parse,
    .position_form = "an LSN like 00000027:00000ac0:0002 (or 0x…)",
    .position_time = ms_setup_position_time,
    .choose = ms_feed_instance_choose,
    .prepare = ms_feed_rows_prepare,
    .window_next = ms_feed_window_next,
    .window_read = ms_feed_window_read,
    .window_drop = drop,
    .seen_until = ms_captured_until,
    .look_at_lag = ms_feed_lag_look,
    .measure = ms_feed_lag_measure,
};
