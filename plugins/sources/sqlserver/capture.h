/*
 * Capture instances: which change table holds what of which table, by the catalog of change data capture
 * (Microsoft's documentation, "Change Data Capture Tables"). A table has at most two.
 */
#ifndef SQLSERVER_CAPTURE_H
#define SQLSERVER_CAPTURE_H

#include "lsn.h"
#include "source.h"

/* Numbers whose change says that what is captured has changed. */
enum { MS_FINGERPRINT = 4 };

/* What of a table is captured: by a change table, or by change tracking, which has the table itself. */
struct ms_instance {
    int64_t object_id; /* of the change table; the table's own where it has none */
    char name[132 * 4];
    struct ms_lsn start;   /* its rows are complete from here on; the cleanup job moves it */
    int64_t created_us;    /* in the server's own zone */
    int32_t is_table;      /* changes come with the table's own columns, computed ones too */
    int64_t begin_version; /* of change tracking, as the next one */
    int64_t min_version;   /* -1 = may not be asked */
    int32_t has_command;   /* __$command_id: change tables that are older than it lack it */
    struct ms_table table; /* the captured columns in their order, named as the table */
    uint8_t *lob;          /* one a column: (max), text, ntext, image, xml */
};

struct ms_capture {
    struct ms_instance **instances; /* by table, then by start */
    uint32_t count;
    uint32_t cap;
    struct ms_lsn max; /* how far changes were before it was read */
    /* Differs when instances came, went, or had their columns changed. */
    int64_t fingerprint[MS_FINGERPRINT];
};

/* 1 if the database captures changes. */
sluice_status ms_capture_enabled(struct sluice_tds_conn *conn, int *enabled,
                                 struct sluice_error *err);
/* Reads all instances; POSITION_LOST when the database captures nothing any more. */
sluice_status ms_capture_read(struct sluice_tds_conn *conn, struct ms_capture *out,
                              struct sluice_error *err);
void ms_capture_free(struct ms_capture *capture);
/* Adds an instance; it is the capture's. NULL = no memory, *err says so. */
struct ms_instance *ms_capture_add(struct ms_capture *capture, struct sluice_error *err);

/* The newest instance of a table; NULL = none. */
const struct ms_instance *ms_capture_newest(const struct ms_capture *capture, int64_t table_id);
/*
 * The instance that has all changes behind `position`: the newest of those that start at or before what follows
 * it. NULL = none has them all. *hand_over is set to where a newer instance begins, zero if there is none.
 */
const struct ms_instance *ms_capture_covering(const struct ms_capture *capture, int64_t table_id,
                                              const struct ms_lsn *position,
                                              struct ms_lsn *hand_over);
/* The ordinal of a captured column, from 0; -1 = it is not captured, or never has a value (computed). */
int32_t ms_instance_column(const struct ms_instance *instance, const char *name);

/* How far the capture job is; zero = it has not begun. `fingerprint` as in ms_capture. */
sluice_status ms_capture_max(struct sluice_tds_conn *conn, struct ms_lsn *max,
                             int64_t fingerprint[MS_FINGERPRINT], struct sluice_error *err);

#endif /* SQLSERVER_CAPTURE_H */
