/*
 * What repl.c needs of conn.c. Of this folder alone.
 */
#ifndef SLUICE_COMMON_PG_CONN_INTERNAL_H
#define SLUICE_COMMON_PG_CONN_INTERNAL_H

#include "pg/conn.h"

/* sluice_pg_connect, or with `replication` != 0 a session of a walsender for the database. */
sluice_status sluice_pg_conn_open(const struct sluice_pg_settings *settings,
                                  const struct sluice_host *host,
                                  struct sluice_pg_registry *registry, uint32_t receive_bytes,
                                  int replication, struct sluice_pg_conn **out,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;

/* Polls the socket and the cancel descriptor. OK = ready; AGAIN = time is up. */
sluice_status sluice_pg_conn_wait(struct sluice_pg_conn *conn, const char *what, short events,
                                  int64_t timeout_us, struct sluice_error *err) SLUICE_MUST_CHECK;

/* The host's monotonic clock. */
int64_t sluice_pg_conn_now(const struct sluice_pg_conn *conn);

#endif /* SLUICE_COMMON_PG_CONN_INTERNAL_H */
