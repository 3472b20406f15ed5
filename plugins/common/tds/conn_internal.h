/*
 * What conn.c and bulk.c share. Of plugins/common/tds alone.
 */
#ifndef SLUICE_COMMON_TDS_CONN_INTERNAL_H
#define SLUICE_COMMON_TDS_CONN_INTERNAL_H

#include <sybfront.h>

#include <sybdb.h>

#include "tds/conn.h"

struct sluice_tds_conn {
    const struct sluice_tds_settings *settings;
    const struct sluice_host *host;
    DBPROCESS *db;
    struct sluice_tds_message first; /* severity > 10, or of the library: the first one counts */
    int32_t has_first;
    int32_t gave_up;     /* by timeout or cancellation */
    int64_t deadline_us; /* monotonic; 0 = none */
    char what[160];
};

/* What went wrong on the connection: the server's own message, the deadline, or cancellation. Never OK. */
sluice_status sluice_tds_fail(struct sluice_tds_conn *conn, const char *what,
                              struct sluice_error *err);
/* Its db is set, or NULL: then sluice_tds_fail() tells why. Negative: it was not even tried. */
sluice_status sluice_tds_login(struct sluice_tds_conn *conn,
                               const struct sluice_tds_settings *settings,
                               struct sluice_error *err);
/* Where this thread's handlers put what is told while a connection opens; NULL: none does. Borrowed. */
void sluice_tds_opening(struct sluice_tds_conn *conn);
/* The host has cancelled, or the deadline has passed. */
int32_t sluice_tds_is_over(const struct sluice_tds_conn *conn);
/* Sets the deadline of what waits next. */
void sluice_tds_begin_wait(struct sluice_tds_conn *conn);

#endif /* SLUICE_COMMON_TDS_CONN_INTERNAL_H */
