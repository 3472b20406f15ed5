/*
 * Connections whose every wait ends: by the answer, a deadline, or the host's cancel descriptor.
 *
 * Threads: a connection is used by one thread at a time. The registry is [any]; it lets cancel()
 * reach statements that run on other threads' connections.
 */
#ifndef SLUICE_COMMON_PG_CONN_H
#define SLUICE_COMMON_PG_CONN_H

#include <libpq-fe.h>
#include <stdatomic.h>

#include "pg/settings.h"
#include "sluice/error.h"

struct sluice_pg_registry; /* the live connections of one instance */

struct sluice_pg_conn {
    PGconn *pg;
    const struct sluice_host *host;
    struct sluice_pg_registry *registry;
    struct sluice_pg_conn *prev; /* of the registry's list; under its lock */
    struct sluice_pg_conn *next;
    PGcancel *cancel;    /* under the registry's lock; NULL once handed to a canceller */
    atomic_int busy;     /* a statement runs: worth a cancel request */
    int server_version;  /* 150020 */
    int sql_ascii;       /* the database has no encoding: text must be checked */
    int tls;             /* the connection is encrypted */
    int coalescing;      /* see sluice_pg_coalesce */
    uint64_t received;   /* bytes seen waiting at the socket before reads: at least so many came */
    uint64_t generation; /* the owner's: which snapshot the transaction sees; 0 = none */
    uint64_t uses;       /* the owner's: shards read in this transaction */
    int in_transaction;  /* the owner's */
    int replication;     /* a walsender's session: see repl.h */
    int stream_over;     /* the server ended the stream; its reason may still be to come */
    char *message;       /* the last message of a stream, of libpq; lent to repl.h's caller */
};

/* One per instance. NULL = out of memory. */
struct sluice_pg_registry *sluice_pg_registry_create(void);
/* Waits at most two seconds for cancel requests under way; all connections are closed before. */
void sluice_pg_registry_destroy(struct sluice_pg_registry *registry);
/* Sends cancel requests for all busy connections from a thread of its own, so that it never
 * blocks: libpq's PQcancel connects and waits. [any] */
void sluice_pg_registry_cancel(struct sluice_pg_registry *registry);

/* Connects, forces and checks the session's settings. `receive_bytes` > 0 makes libpq's receive
 * buffer at least that large, so that later reads from the socket are. */
sluice_status sluice_pg_connect(const struct sluice_pg_settings *settings,
                                const struct sluice_host *host, struct sluice_pg_registry *registry,
                                uint32_t receive_bytes, struct sluice_pg_conn **out,
                                struct sluice_error *err) SLUICE_MUST_CHECK;
/* NULL is allowed. A statement under way is cancelled at the server first if it still runs. */
void sluice_pg_close(struct sluice_pg_conn *conn);

/* Runs one statement (or, without parameters, several joined by ';') to its end and gives the last
 * result, which the caller clears. `what` names object and operation for errors. Parameters are
 * text. CANCELLED, TIMEOUT (after SLUICE_PG_QUERY_LIMIT_US), or the server's error. After an error
 * that broke the connection PQstatus is bad. */
#define SLUICE_PG_QUERY_LIMIT_US (15 * 60 * 1000000ll)
sluice_status sluice_pg_query(struct sluice_pg_conn *conn, const char *what, const char *sql,
                              int param_count, const char *const *params, PGresult **out,
                              struct sluice_error *err) SLUICE_MUST_CHECK;
/* The same for statements without rows. */
sluice_status sluice_pg_command(struct sluice_pg_conn *conn, const char *what, const char *sql,
                                struct sluice_error *err) SLUICE_MUST_CHECK;

/* Sends a statement and returns at once. */
sluice_status sluice_pg_send(struct sluice_pg_conn *conn, const char *what, const char *sql,
                             int param_count, const char *const *params, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Hands all that libpq has buffered to the socket, reading what the server sends meanwhile, so that
 * neither side waits for the other: for pipelines and COPY. */
sluice_status sluice_pg_flush(struct sluice_pg_conn *conn, const char *what,
                              struct sluice_error *err) SLUICE_MUST_CHECK;

/* Asks the kernel to wake us only when much has come, for a connection that streams; 0 = off. What
 * is less arrives within milliseconds all the same. Does nothing on Unix sockets. */
void sluice_pg_coalesce(struct sluice_pg_conn *conn, int on);

/* Waits until the socket has something, then lets libpq read it. OK = read; AGAIN = `timeout_us`
 * passed (then it tried to read as well); CANCELLED; IO when the connection broke. */
sluice_status sluice_pg_read(struct sluice_pg_conn *conn, const char *what, int64_t timeout_us,
                             struct sluice_error *err) SLUICE_MUST_CHECK;

/* Lets data gather for `rest_us`, whatever comes meanwhile, then reads what is there: a server that
 * sends row by row gets it across in far larger pieces, at half its own cost, if nobody takes each
 * at once. OK = read, AGAIN = nothing was there; otherwise as sluice_pg_read. */
sluice_status sluice_pg_read_later(struct sluice_pg_conn *conn, const char *what, int64_t rest_us,
                                   struct sluice_error *err) SLUICE_MUST_CHECK;

/* 1 if the connection goes over a Unix socket, whose buffer is small and where pieces cost nothing. */
int sluice_pg_is_local(const struct sluice_pg_conn *conn);

#endif /* SLUICE_COMMON_PG_CONN_H */
