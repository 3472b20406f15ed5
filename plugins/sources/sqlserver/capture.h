/*
 * Capture instances: which change table holds what of which table, by the catalog of change data capture
 * (Microsoft's documentation, "Change Data Capture Tables"). A table has at most two.
 */
#ifndef SQLSERVER_CAPTURE_H
#define SQLSERVER_CAPTURE_H

#include "lsn.h"
#include "source.h"

struct ms_instance {
    int64_t object_id; /* of the change table */
    char name[132 * 4];
    struct ms_lsn start;   /* its rows are complete from here on; the cleanup job moves it */
    int64_t created_us;    /* in the server's own zone */
    int32_t has_command;   /* __$command_id: change tables that are older than it lack it */
    struct ms_table table; /* the captured columns in their order, named as the table */
    uint8_t *lob;          /* one a column: (max), text, ntext, image, xml */
};

struct ms_capture {
    struct ms_instance **instances; /* by table, then by start */
    uint32_t count;
    uint32_t cap;
    struct ms_lsn max;      /* how far the capture job was */
    int64_t fingerprint[3]; /* differs when instances came, went, or had their columns changed */
};

/* 1 if the database captures changes. */
sluice_status ms_capture_enabled(struct sluice_tds_conn *conn, int *enabled,
                                 struct sluice_error *err);
/* Reads all instances; POSITION_LOST when the database captures nothing any more. */
sluice_status ms_capture_read(struct sluice_tds_conn *conn, struct ms_capture *out,
                              struct sluice_error *err);
/* The same; none when the database captures nothing. */
sluice_status ms_capture_read_if_any(struct sluice_tds_conn *conn, struct ms_capture *out,
                                     struct sluice_error *err);
void ms_capture_free(struct ms_capture *capture);

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
                             int64_t fingerprint[3], struct sluice_error *err);

#endif /* SQLSERVER_CAPTURE_H */
