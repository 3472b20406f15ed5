/*
 * COPY … FROM STDIN without blocking: every wait ends by the server, a deadline or the host's cancel
 * descriptor. One thread at a time.
 */
#ifndef SLUICE_COMMON_PG_COPYIN_H
#define SLUICE_COMMON_PG_COPYIN_H

#include "pg/conn.h"

/* Sends the COPY statement and waits until the server takes data. `what` names object and operation. */
sluice_status sluice_pg_copyin_begin(struct sluice_pg_conn *conn, const char *what, const char *sql,
                                     struct sluice_error *err) SLUICE_MUST_CHECK;
/* Hands bytes over; waits while the socket is full. A server that ended the COPY meanwhile says so here or
 * at the end. Large pieces (64 KiB and more) cost least. */
sluice_status sluice_pg_copyin_put(struct sluice_pg_conn *conn, const char *what, const void *data,
                                   size_t size, struct sluice_error *err) SLUICE_MUST_CHECK;
/* Ends it and waits for the answer; *rows is what the server stored. */
sluice_status sluice_pg_copyin_end(struct sluice_pg_conn *conn, const char *what, uint64_t *rows,
                                   struct sluice_error *err) SLUICE_MUST_CHECK;
/* Ends it without data: the transaction is aborted. Errors are swallowed. */
void sluice_pg_copyin_fail(struct sluice_pg_conn *conn);

#endif /* SLUICE_COMMON_PG_COPYIN_H */
