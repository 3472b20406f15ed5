/*
 * Change tracking: net changes by key since a version, out of CHANGETABLE (Microsoft's documentation, "About change
 * tracking", "Work with change tracking").
 *
 *     tracking.c         the way of capture: what is tracked, gaps, the order of tables, clocks
 *     tracking_version.c versions as positions
 *     tracking_window.c  one window: a SNAPSHOT transaction, from the feed's position to the version it sees
 *     tracking_rows.c    rows of one table's changes into the envelope's columns
 *     tracking_check.c   check()
 *
 * A position is ten bytes, as of change data capture: 'C' 'T', the version (big-endian), and a mark. The mark says that
 * tracking of some table began at that very version, and that this was known: TRUNCATE begins it anew, at a version that may
 * be the one where the feed already is.
 */
#ifndef SQLSERVER_TRACKING_H
#define SQLSERVER_TRACKING_H

#include "capture.h"

struct ms_check;
struct ms_feed;
struct feed_stream;

/* ---- versions as positions [any] */
struct ms_lsn ms_version_make(int64_t version);
/* 0 if the position is none of change tracking. */
int ms_version_take(const struct ms_lsn *position, int64_t *version);
/* Marks the position if the table's tracking began there; positions of change data capture stay. */
void ms_version_mark(struct ms_lsn *position, const struct ms_instance *instance);
/* Marks it if `other` is of the same version and marked. */
void ms_version_join(struct ms_lsn *position, const struct ms_lsn *other);
int ms_version_is_marked(const struct ms_lsn *position);
void ms_version_format(const struct ms_lsn *position, char out[MS_LSN_TEXT]);
/* "1234", or a position as `_pos` of change files. 0 if it is neither. */
int ms_version_parse(const char *text, struct ms_lsn *out);

/* ---- the catalog */
sluice_status ms_tracking_enabled(struct sluice_tds_conn *conn, int *enabled,
                                  struct sluice_error *err);
sluice_status ms_tracking_read(struct sluice_tds_conn *conn, struct ms_capture *out,
                               struct sluice_error *err);
sluice_status ms_tracking_progress(struct sluice_tds_conn *conn, struct ms_lsn *max,
                                   int64_t fingerprint[MS_FINGERPRINT], struct sluice_error *err);
sluice_status ms_tracking_admit(const struct sluice_stream_select *select,
                                const struct ms_table *table, const struct ms_instance *tracked,
                                const char *name, struct sluice_error *err);
enum { MS_TRACKING_ENABLE_MAX = 700 };
/* The statement that has a table's changes tracked. */
void ms_tracking_enable(const char *schema_name, const char *table_name, char *out, size_t size);
/* Minutes; 0 = what was tracked is kept for ever, -1 = it cannot be seen. */
int64_t ms_tracking_retention(struct sluice_tds_conn *conn);
sluice_status ms_tracking_check(const struct ms_check *check, const struct sluice_source_plan *plan,
                                struct sluice_tds_conn *conn, struct sluice_error *err);

/* ---- the feed; one thread at a time */
/* Rows of a stream that are deleted, or those that are put. */
struct ms_tracking_pass {
    uint32_t stream;
    int32_t gone;
};
struct ms_tracking {
    uint32_t *places;                /* indexes of streams, parents before their children */
    uint8_t *is_parent;              /* one a stream: another one refers to it */
    int64_t *gone;                   /* one a stream: rows in the window that are deleted */
    struct ms_tracking_pass *passes; /* what is read of the window, one after the other */
    uint32_t pass_count;
    uint32_t next;   /* the pass at hand */
    int32_t reading; /* its rows are coming */
    int32_t inside;  /* a transaction is open */
    int64_t taken;   /* rows of the window so far: their order */
    int32_t timed;   /* commit times may be seen */
    int64_t met_us;  /* monotonic: when nothing was left to read */
};

sluice_status ms_tracking_window_next(struct ms_feed *feed, struct sluice_error *err);
sluice_status ms_tracking_window_read(struct ms_feed *feed, struct sluice_error *err);
sluice_status ms_tracking_window_drop(struct ms_feed *feed, struct sluice_error *err);

/* The version behind which a stream's changes are read: the feed's, or that of its load if it is later. */
int64_t ms_tracking_from(const struct ms_feed *feed, const struct feed_stream *fs);
/* Makes the statement of a stream's changes, without the version. */
sluice_status ms_tracking_rows_prepare(struct feed_stream *fs, struct sluice_error *err);
/* Asks for the rows of a pass. AGAIN = the columns are not those that were planned. */
sluice_status ms_tracking_rows_ask(struct ms_feed *feed, const struct ms_tracking_pass *pass,
                                   struct sluice_error *err);
/* Takes the next one; END = there is none. AGAIN = a NULL where none may be. */
sluice_status ms_tracking_rows_take(struct ms_feed *feed, struct feed_stream *fs,
                                    struct sluice_error *err);

#endif /* SQLSERVER_TRACKING_H */
