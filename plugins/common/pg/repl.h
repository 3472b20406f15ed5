/*
 * A replication connection: a session of a walsender for one database, and the stream of its
 * messages. Built on conn.h: every wait ends by data, a deadline or the cancel descriptor.
 *
 * Outside a stream, sluice_pg_query and sluice_pg_command work (simple protocol: no parameters),
 * both for replication commands and for SQL. One thread at a time per connection.
 */
#ifndef SLUICE_COMMON_PG_REPL_H
#define SLUICE_COMMON_PG_REPL_H

#include "pg/conn.h"

/* As sluice_pg_connect, with replication=database and a walsender's forced session settings checked.
 * lock_timeout and statement_timeout are 0: CREATE_REPLICATION_SLOT may have to wait. */
sluice_status sluice_pg_repl_connect(const struct sluice_pg_settings *settings,
                                     const struct sluice_host *host,
                                     struct sluice_pg_registry *registry, uint32_t receive_bytes,
                                     struct sluice_pg_conn **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Sends START_REPLICATION … and waits until the server streams. */
sluice_status sluice_pg_repl_start(struct sluice_pg_conn *conn, const char *what, const char *sql,
                                   struct sluice_error *err) SLUICE_MUST_CHECK;

enum { SLUICE_PG_REPL_DATA = 'w', SLUICE_PG_REPL_KEEPALIVE = 'k' };

struct sluice_pg_repl_message {
    int32_t kind;        /* SLUICE_PG_REPL_* */
    int32_t reply;       /* KEEPALIVE: the server wants an answer at once */
    uint64_t start;      /* DATA: where the message lies in the log */
    uint64_t end;        /* KEEPALIVE: how far the server has sent */
    int64_t clock_us;    /* the server's, since 1970 UTC */
    const uint8_t *data; /* DATA: borrowed until the next call */
    size_t size;
};

/* The next message that has come whole. OK; AGAIN = none is there: sluice_pg_read waits for more;
 * END = the server ended the stream (shutdown); errors carry its reason (slot lost, killed …). Never
 * waits. */
sluice_status sluice_pg_repl_next(struct sluice_pg_conn *conn, const char *what,
                                  struct sluice_pg_repl_message *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Sends a standby status update: `flush` is what may be forgotten (0 = no change). Waits at most a
 * short while for a socket that is full, and leaves the rest to the next call. AGAIN = earlier ones
 * are still waiting, and this one was not taken: call again later. */
sluice_status sluice_pg_repl_feedback(struct sluice_pg_conn *conn, const char *what,
                                      uint64_t received, uint64_t flush, int32_t want_reply,
                                      struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_PG_REPL_H */
