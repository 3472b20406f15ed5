/*
 * Ways of capture: what the source does otherwise for change data capture than for change tracking. Chosen once, by the
 * option `capture`. All else of opening, of the feed and of what goes out is the same.
 */
#ifndef SQLSERVER_WAY_H
#define SQLSERVER_WAY_H

#include "capture.h"
#include "check.h"

struct ms_feed;
struct feed_stream;

struct ms_way {
    const char *name;  /* "change data capture" */
    int32_t net;       /* windows bring what rows are now, and end where the database is */
    int32_t snapshots; /* needs SNAPSHOT isolation */

    /* ---- the database and its tables */
    /* Why a table's changes are not there, and what mends it. */
    void (*unfollowed)(const char *schema_name, const char *table_name, char *out, size_t size);
    sluice_status (*enabled)(struct sluice_tds_conn *conn, int *enabled, struct sluice_error *err);
    /* The error when it is not. */
    sluice_status (*disabled)(const struct sluice_source *src, struct sluice_error *err);
    /* What of which table is captured; POSITION_LOST when nothing is any more. */
    sluice_status (*read)(struct sluice_tds_conn *conn, struct ms_capture *out,
                          struct sluice_error *err);
    /* How far changes are; zero = none yet. `fingerprint` as in ms_capture. */
    sluice_status (*progress)(struct sluice_tds_conn *conn, struct ms_lsn *max,
                              int64_t fingerprint[MS_FINGERPRINT], struct sluice_error *err);
    /* What keeps a table from being followed; `captured` NULL = it is not captured. */
    sluice_status (*admit)(const struct sluice_stream_select *select, const struct ms_table *table,
                           const struct ms_instance *captured, const char *name,
                           struct sluice_error *err);
    sluice_status (*check)(const struct ms_check *check, const struct sluice_source_plan *plan,
                           struct sluice_tds_conn *conn, struct sluice_error *err);

    /* ---- positions */
    int (*owns)(const struct ms_lsn *position);
    void (*format)(const struct ms_lsn *position, char out[MS_LSN_TEXT]);
    int (*parse)(const char *text, struct ms_lsn *out); /* 0 if it is none */
    const char *position_form;                          /* for messages */
    /* When what a position ends with was committed, in the server's zone. NULL = it cannot be told. */
    sluice_status (*position_time)(struct sluice_tds_conn *conn, const struct ms_lsn *position,
                                   int64_t *out_us, struct sluice_error *err);

    /* 1 if the database does not know of changes that were read. */
    int (*is_ahead)(const struct ms_capture *capture, const struct ms_lsn *position);

    /* ---- the feed */
    sluice_status (*make)(struct ms_feed *feed, struct sluice_error *err); /* what it keeps */
    void (*close)(struct ms_feed *feed);
    /* The instance that brings what follows `needed`; POSITION_LOST = none has all of it. */
    sluice_status (*choose)(struct ms_feed *feed, struct feed_stream *fs,
                            const struct ms_lsn *needed, struct sluice_error *err);
    /* Once every stream has its instance. */
    sluice_status (*arrange)(struct ms_feed *feed, struct sluice_error *err);
    /* A version of the stream's columns was made: the statement that reads its changes. */
    sluice_status (*prepare)(struct feed_stream *fs, struct sluice_error *err);
    /* Chooses the next window: OK = there is one, END = nothing follows. */
    sluice_status (*window_next)(struct ms_feed *feed, struct sluice_error *err);
    /* Reads it. AGAIN = the catalog must be read anew first, and the window with it. */
    sluice_status (*window_read)(struct ms_feed *feed, struct sluice_error *err);
    /* What was collected of it is thrown away. */
    sluice_status (*window_drop)(struct ms_feed *feed, struct sluice_error *err);
    /* The time (UTC) up to which all that was committed is seen; 0 = not known. */
    sluice_status (*seen_until)(struct sluice_tds_conn *conn, int64_t zone_us, int64_t *out_us,
                                struct sluice_error *err);
    void (*look_at_lag)(struct ms_feed *feed);
    sluice_status (*measure)(struct sluice_tds_conn *conn, const struct ms_lsn *position,
                             struct sluice_source_lag *out, struct sluice_error *err);
};

extern const struct ms_way ms_way_cdc;      /* feed_cdc.c */
extern const struct ms_way ms_way_tracking; /* tracking.c */

#endif /* SQLSERVER_WAY_H */
