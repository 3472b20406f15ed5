/* Connecting, waiting, running statements, cancelling. */
#include "pg/conn.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "pg/conn_internal.h"
#include "pg/error.h"
#include "pg/resolve.h"
#include "pg/text.h"
#include "sluice/log.h"

/* Encrypted data may wait inside the TLS library while the socket is silent: look again soon. */
#define TLS_LOOK_US 50000
/* While coalescing: bytes that wake us, and how long less than that may wait. A server sends 8 KiB at
 * a time; waking for each of them costs more CPU than decoding it. */
#define COALESCE_BYTES (128 * 1024)
#define COALESCE_LOOK_US 5000
/* How long destroy waits for cancel requests under way. */
#define CANCEL_WAIT_SECONDS 1
/* The oldest server whose catalogs and settings we know. */
#define OLDEST_SERVER 120000

struct sluice_pg_registry {
    pthread_mutex_t lock; /* guards all below; held for moments only, never across I/O */
    pthread_cond_t idle;
    struct sluice_pg_conn *first;
    uint32_t cancellers; /* threads that send cancel requests */
    int abandoned;       /* destroyed while cancellers run: the last one frees */
};

struct cancel_job {
    struct sluice_pg_registry *registry;
    PGcancel **requests;
    size_t count;
};

struct sluice_pg_registry *sluice_pg_registry_create(void)
{
    struct sluice_pg_registry *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    if (pthread_mutex_init(&r->lock, NULL) != 0) {
        free(r);
        return NULL;
    }
    if (pthread_cond_init(&r->idle, NULL) != 0) {
        (void)pthread_mutex_destroy(&r->lock);
        free(r);
        return NULL;
    }
    return r;
}

static void registry_free(struct sluice_pg_registry *r)
{
    (void)pthread_cond_destroy(&r->idle);
    (void)pthread_mutex_destroy(&r->lock);
    free(r);
}

void sluice_pg_registry_destroy(struct sluice_pg_registry *registry)
{
    if (registry == NULL) {
        return;
    }
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CANCEL_WAIT_SECONDS;
    (void)pthread_mutex_lock(&registry->lock);
    int rc = 0;
    while (registry->cancellers > 0 && rc == 0) {
        rc = pthread_cond_timedwait(&registry->idle, &registry->lock, &until);
    }
    int alone = registry->cancellers == 0;
    registry->abandoned = !alone;
    (void)pthread_mutex_unlock(&registry->lock);
    if (alone) {
        registry_free(registry);
    }
}

static void *cancel_main(void *arg)
{
    struct cancel_job *job = arg;
    struct sluice_pg_registry *r = job->registry;
    char message[256];
    for (size_t i = 0; i < job->count; i++) {
        /* A failure means that the statement ends when our socket closes. */
        (void)PQcancel(job->requests[i], message, sizeof message);
        PQfreeCancel(job->requests[i]);
    }
    free(job->requests);
    free(job);
    (void)pthread_mutex_lock(&r->lock);
    r->cancellers--;
    int last = r->abandoned && r->cancellers == 0;
    (void)pthread_cond_broadcast(&r->idle);
    (void)pthread_mutex_unlock(&r->lock);
    if (last) {
        registry_free(r);
    }
    return NULL;
}

/* Takes the cancel handles of the busy connections. The lock is held. */
static struct cancel_job *cancel_collect(struct sluice_pg_registry *r, struct sluice_pg_conn *only)
{
    size_t n = 0;
    for (struct sluice_pg_conn *c = r->first; c != NULL; c = c->next) {
        n++;
    }
    struct cancel_job *job = calloc(1, sizeof *job);
    PGcancel **requests = n > 0 ? calloc(n, sizeof *requests) : NULL;
    if (job == NULL || requests == NULL) {
        free(job);
        free(requests);
        return NULL;
    }
    job->registry = r;
    job->requests = requests;
    for (struct sluice_pg_conn *c = r->first; c != NULL; c = c->next) {
        if ((only == NULL || c == only) && atomic_load(&c->busy) && c->cancel != NULL) {
            job->requests[job->count++] = c->cancel;
            c->cancel = NULL;
        }
    }
    if (job->count == 0) {
        free(job->requests);
        free(job);
        return NULL;
    }
    return job;
}

static void cancel_start(struct sluice_pg_registry *r, struct sluice_pg_conn *only)
{
    pthread_attr_t attr;
    pthread_t thread;
    (void)pthread_mutex_lock(&r->lock);
    struct cancel_job *job = cancel_collect(r, only);
    if (job != NULL) {
        int rc = pthread_attr_init(&attr);
        if (rc == 0) {
            (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
            r->cancellers++;
            rc = pthread_create(&thread, &attr, cancel_main, job);
            (void)pthread_attr_destroy(&attr);
            if (rc != 0) {
                r->cancellers--;
            }
        }
        if (rc != 0) {
            for (size_t i = 0; i < job->count; i++) {
                PQfreeCancel(job->requests[i]);
            }
            free(job->requests);
            free(job);
        }
    }
    (void)pthread_mutex_unlock(&r->lock);
}

void sluice_pg_registry_cancel(struct sluice_pg_registry *registry)
{
    cancel_start(registry, NULL);
}

/* ---------------------------------------------------------------- waiting -------------------- */

int64_t sluice_pg_conn_now(const struct sluice_pg_conn *conn)
{
    return conn->host->now_us(conn->host->ctx, SLUICE_CLOCK_MONOTONIC);
}

sluice_status sluice_pg_conn_wait(struct sluice_pg_conn *conn, const char *what, short events,
                                  int64_t timeout_us, struct sluice_error *err)
{
    const struct sluice_host *host = conn->host;
    struct pollfd fds[2] = {{PQsocket(conn->pg), events, 0},
                            {host->cancel_fd(host->ctx), POLLIN, 0}};
    if (fds[0].fd < 0) {
        return sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
    }
    if (timeout_us < 0) {
        timeout_us = 0;
    }
    struct timespec ts = {(time_t)(timeout_us / 1000000), (long)(timeout_us % 1000000) * 1000};
    int rc = ppoll(fds, fds[1].fd >= 0 ? 2 : 1, &ts, NULL);
    if (rc < 0 && errno != EINTR) {
        return sluice_error_errno(err, errno, "%s: poll", what);
    }
    if (fds[1].revents != 0 || host->cancelled(host->ctx)) {
        return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "%s: cancelled", what);
    }
    return rc > 0 && fds[0].revents != 0 ? SLUICE_OK : SLUICE_AGAIN;
}

void sluice_pg_coalesce(struct sluice_pg_conn *conn, int on)
{
    int fd = PQsocket(conn->pg);
    int bytes = on ? COALESCE_BYTES : 1;
    if (conn->coalescing == on || fd < 0 || sluice_pg_is_local(conn)) {
        return;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes) == 0) {
        conn->coalescing = on;
    }
}

sluice_status sluice_pg_read(struct sluice_pg_conn *conn, const char *what, int64_t timeout_us,
                             struct sluice_error *err)
{
    int64_t slice = timeout_us;
    if (conn->tls && slice > TLS_LOOK_US) {
        slice = TLS_LOOK_US;
    }
    if (conn->coalescing && slice > COALESCE_LOOK_US) {
        slice = COALESCE_LOOK_US;
    }
    sluice_status st = sluice_pg_conn_wait(conn, what, POLLIN, slice, err);
    if (st < 0) {
        return st;
    }
    int waiting = 0;
    if (ioctl(PQsocket(conn->pg), FIONREAD, &waiting) == 0 && waiting > 0) {
        conn->received += (uint64_t)waiting;
    }
    if (PQconsumeInput(conn->pg) == 0) {
        return sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
    }
    return st == SLUICE_AGAIN && slice < timeout_us ? SLUICE_OK : st;
}

sluice_status sluice_pg_read_later(struct sluice_pg_conn *conn, const char *what, int64_t rest_us,
                                   struct sluice_error *err)
{
    /* A connection that breaks, and a stop, end the rest. */
    sluice_status st = sluice_pg_conn_wait(conn, what, 0, rest_us, err);
    return st < 0 ? st : sluice_pg_read(conn, what, 0, err);
}

int sluice_pg_is_local(const struct sluice_pg_conn *conn)
{
    int domain = AF_INET;
    socklen_t size = sizeof domain;
    return getsockopt(PQsocket(conn->pg), SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
           domain == AF_UNIX;
}

sluice_status sluice_pg_flush(struct sluice_pg_conn *conn, const char *what,
                              struct sluice_error *err)
{
    int64_t deadline = sluice_pg_conn_now(conn) + SLUICE_PG_QUERY_LIMIT_US;
    for (;;) {
        int rc = PQflush(conn->pg);
        if (rc == 0) {
            return SLUICE_OK;
        }
        if (rc < 0) {
            return sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
        }
        int64_t left = deadline - sluice_pg_conn_now(conn);
        if (left <= 0) {
            return sluice_error_set(err, SLUICE_E_TIMEOUT, SLUICE_ERROR_RETRYABLE,
                                    "%s: the server does not take the statement", what);
        }
        SLUICE_TRY(sluice_pg_conn_wait(conn, what, POLLIN | POLLOUT, left, err));
        if (PQconsumeInput(conn->pg) == 0) {
            return sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
        }
    }
}

/* ---------------------------------------------------------------- statements ----------------- */

sluice_status sluice_pg_send(struct sluice_pg_conn *conn, const char *what, const char *sql,
                             int param_count, const char *const *params, struct sluice_error *err)
{
    int rc = params == NULL
                 ? PQsendQuery(conn->pg, sql)
                 : PQsendQueryParams(conn->pg, sql, param_count, NULL, params, NULL, NULL, 0);
    if (rc == 0) {
        return sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
    }
    atomic_store(&conn->busy, 1);
    return sluice_pg_flush(conn, what, err);
}

sluice_status sluice_pg_query(struct sluice_pg_conn *conn, const char *what, const char *sql,
                              int param_count, const char *const *params, PGresult **out,
                              struct sluice_error *err)
{
    SLUICE_TRY(sluice_pg_send(conn, what, sql, param_count, params, err));
    int64_t deadline = sluice_pg_conn_now(conn) + SLUICE_PG_QUERY_LIMIT_US;
    PGresult *last = NULL;
    sluice_status st = SLUICE_OK;
    while (st >= 0) {
        if (PQisBusy(conn->pg)) {
            int64_t left = deadline - sluice_pg_conn_now(conn);
            if (left <= 0) {
                st = sluice_error_set(err, SLUICE_E_TIMEOUT, SLUICE_ERROR_RETRYABLE,
                                      "%s: no answer within %lld s", what,
                                      SLUICE_PG_QUERY_LIMIT_US / 1000000);
                break;
            }
            st = sluice_pg_read(conn, what, left, err);
            continue;
        }
        PGresult *result = PQgetResult(conn->pg);
        if (result == NULL) {
            break;
        }
        ExecStatusType status = PQresultStatus(result);
        if (last != NULL && PQresultStatus(last) == PGRES_FATAL_ERROR) {
            PQclear(result); /* the first error counts */
            continue;
        }
        PQclear(last);
        last = result;
        if (status == PGRES_COPY_OUT || status == PGRES_COPY_IN || status == PGRES_COPY_BOTH) {
            st = sluice_error_set(err, SLUICE_E_INTERNAL, 0, "%s: unexpected COPY", what);
        }
    }
    if (st < 0) {
        PQclear(last);
        return st;
    }
    atomic_store(&conn->busy, 0);
    if (last == NULL) {
        return sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
    }
    ExecStatusType status = PQresultStatus(last);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        st = sluice_pg_error_result(err, last, what);
        PQclear(last);
        return st;
    }
    *out = last;
    return SLUICE_OK;
}

sluice_status sluice_pg_command(struct sluice_pg_conn *conn, const char *what, const char *sql,
                                struct sluice_error *err)
{
    PGresult *result = NULL;
    SLUICE_TRY(sluice_pg_query(conn, what, sql, 0, NULL, &result, err));
    PQclear(result);
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- connecting ----------------- */

static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static sluice_status connect_loop(struct sluice_pg_conn *conn, const char *what, int64_t timeout_us,
                                  struct sluice_error *err)
{
    int64_t deadline = sluice_pg_conn_now(conn) + timeout_us;
    PostgresPollingStatusType poll_status = PGRES_POLLING_WRITING;
    while (poll_status != PGRES_POLLING_OK) {
        if (poll_status == PGRES_POLLING_FAILED || PQstatus(conn->pg) == CONNECTION_BAD) {
            if (PQconnectionNeedsPassword(conn->pg)) {
                return sluice_error_set(err, SLUICE_E_AUTH, 0,
                                        "%s: the server asks for a password (hint: set option "
                                        "password)",
                                        what);
            }
            return sluice_pg_error_connect(err, what, PQerrorMessage(conn->pg));
        }
        int64_t left = deadline - sluice_pg_conn_now(conn);
        sluice_status st = sluice_pg_conn_wait(
            conn, what, poll_status == PGRES_POLLING_READING ? POLLIN : POLLOUT, left, err);
        if (st < 0) {
            return st;
        }
        if (st == SLUICE_AGAIN && sluice_pg_conn_now(conn) >= deadline) {
            return sluice_error_set(err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
                                    "%s: no answer within %lld ms (hint: check options host, port "
                                    "and connect_timeout, and firewalls)",
                                    what, (long long)(timeout_us / 1000));
        }
        if (st == SLUICE_OK) {
            poll_status = PQconnectPoll(conn->pg);
        }
    }
    return SLUICE_OK;
}

struct session_check {
    const char *name;
    const char *expected;
    int prefix; /* only the beginning must match */
};

static const struct session_check session_checks[] = {
    {"datestyle", "ISO", 1},
    {"intervalstyle", "postgres", 0},
    {"extra_float_digits", "1", 0},
    {"timezone", "UTC", 0},
    {"bytea_output", "hex", 0},
    {"lc_monetary", "C", 0},
    {"search_path", "pg_catalog", 0},
    {"standard_conforming_strings", "on", 0},
    {"quote_all_identifiers", "off", 0},
    {"idle_in_transaction_session_timeout", "0", 0},
    {"client_encoding", "UTF8", 0},
};
enum { SESSION_CHECKS = sizeof session_checks / sizeof session_checks[0] };

/* One round trip: reads the settings back, turns off timeouts that only newer servers know (and so
 * cannot stand in the startup options), and fetches one large value, after which libpq keeps a
 * receive buffer of that size. */
static sluice_status session_check(struct sluice_pg_conn *conn, const char *what,
                                   uint32_t receive_bytes, struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    sluice_pg_text_add(&sql, "SELECT ");
    for (int i = 0; i < SESSION_CHECKS; i++) {
        sluice_pg_text_format(&sql, "%spg_catalog.current_setting('%s')", i > 0 ? ", " : "",
                              session_checks[i].name);
    }
    if (conn->server_version >= 140000) {
        sluice_pg_text_add(&sql, ", pg_catalog.set_config('idle_session_timeout', '0', false)");
    }
    if (conn->server_version >= 170000) {
        sluice_pg_text_add(&sql, ", pg_catalog.set_config('transaction_timeout', '0', false)");
    }
    if (receive_bytes > 0) {
        sluice_pg_text_format(&sql, ", pg_catalog.repeat('x', %u)", receive_bytes);
    }
    sluice_status st = sluice_pg_text_check(&sql, err);
    if (st >= 0) {
        st = sluice_pg_query(conn, what, sql.data, 0, NULL, &result, err);
    }
    sluice_pg_text_free(&sql);
    for (int i = 0; i < SESSION_CHECKS && st >= 0; i++) {
        const struct session_check *c = &session_checks[i];
        const char *value = PQgetvalue(result, 0, i);
        int same = c->prefix ? strncmp(value, c->expected, strlen(c->expected)) == 0
                             : strcmp(value, c->expected) == 0;
        if (!same) {
            st =
                sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                 "%s: the session has %s = %.60s although we asked for %s (hint: a "
                                 "connection pooler or login trigger changes it: connect to "
                                 "PostgreSQL directly)",
                                 what, c->name, value, c->expected);
        }
    }
    PQclear(result);
    return st;
}

static sluice_status session_start(struct sluice_pg_conn *conn, const char *what,
                                   uint32_t receive_bytes, struct sluice_error *err)
{
    conn->server_version = PQserverVersion(conn->pg);
    conn->tls = PQsslInUse(conn->pg) || PQgssEncInUse(conn->pg);
    if (conn->server_version < OLDEST_SERVER) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "%s: PostgreSQL %d.%d is too old; 12 or newer is needed", what,
                                conn->server_version / 10000, conn->server_version % 10000);
    }
    if (PQsetnonblocking(conn->pg, 1) != 0) {
        return sluice_pg_error_broken(err, what, PQerrorMessage(conn->pg));
    }
    SLUICE_TRY(session_check(conn, what, receive_bytes, err));
    const char *encoding = PQparameterStatus(conn->pg, "server_encoding");
    if (encoding != NULL && strcmp(encoding, "SQL_ASCII") == 0) {
        /* The server could only refuse whole statements; we can name the column. */
        conn->sql_ascii = 1;
        SLUICE_TRY(sluice_pg_command(conn, what, "SET client_encoding TO 'SQL_ASCII'", err));
    }
    return SLUICE_OK;
}

/* A walsender waits for other transactions and sends nothing meanwhile: the limits of ordinary
 * statements are not meant for it. */
static sluice_status params_replication(struct sluice_pg_params *params, int replication,
                                        struct sluice_error *err)
{
    struct sluice_pg_text text = {0};
    if (!replication) {
        return sluice_pg_params_get(params, "replication") == NULL
                   ? SLUICE_OK
                   : sluice_pg_params_put(params, "replication", "", err);
    }
    sluice_pg_text_format(&text, "%s -c lock_timeout=0 -c statement_timeout=0",
                          sluice_pg_params_get(params, "options"));
    sluice_status st = sluice_pg_text_check(&text, err);
    if (st >= 0) {
        st = sluice_pg_params_put(params, "options", text.data, err);
    }
    if (st >= 0) {
        st = sluice_pg_params_put(params, "replication", "database", err);
    }
    sluice_pg_text_free(&text);
    return st;
}

sluice_status sluice_pg_connect(const struct sluice_pg_settings *settings,
                                const struct sluice_host *host, struct sluice_pg_registry *registry,
                                uint32_t receive_bytes, struct sluice_pg_conn **out,
                                struct sluice_error *err)
{
    return sluice_pg_conn_open(settings, host, registry, receive_bytes, 0, out, err);
}

sluice_status sluice_pg_conn_open(const struct sluice_pg_settings *settings,
                                  const struct sluice_host *host,
                                  struct sluice_pg_registry *registry, uint32_t receive_bytes,
                                  int replication, struct sluice_pg_conn **out,
                                  struct sluice_error *err)
{
    struct sluice_pg_params params;
    char what[320];
    SLUICE_TRY(sluice_pg_params_make(settings, &params, err));
    (void)snprintf(what, sizeof what, "connect to %s%s", params.where,
                   replication ? " for replication" : "");
    struct sluice_pg_conn *conn = NULL;
    sluice_status st = params_replication(&params, replication, err);
    if (st < 0) {
        goto out;
    }
    conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        st = sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a connection");
        goto out;
    }
    conn->host = host;
    conn->replication = replication;
    if (sluice_pg_params_get(&params, "hostaddr") == NULL) {
        st = sluice_pg_resolve(host, sluice_pg_params_get(&params, "host"),
                               settings->connect_timeout_us, what, err);
        if (st < 0) {
            goto out;
        }
    }
    conn->pg = PQconnectStartParams(params.keys, params.values, 0);
    if (conn->pg == NULL) {
        st = sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a connection");
        goto out;
    }
    /* Verbose errors carry the SQLSTATE of a refused login; libpq 15 has no other way to it. */
    (void)PQsetErrorVerbosity(conn->pg, PQERRORS_VERBOSE);
    (void)PQsetNoticeReceiver(conn->pg, ignore_notice, NULL);
    st = connect_loop(conn, what, settings->connect_timeout_us, err);
    if (st < 0) {
        st = replication ? sluice_pg_error_replication(err, st) : st;
        goto out;
    }
    (void)PQsetErrorVerbosity(conn->pg, PQERRORS_DEFAULT);
    conn->cancel = PQgetCancel(conn->pg);
    conn->registry = registry;
    (void)pthread_mutex_lock(&registry->lock);
    conn->next = registry->first;
    if (conn->next != NULL) {
        conn->next->prev = conn;
    }
    registry->first = conn;
    (void)pthread_mutex_unlock(&registry->lock);
    st = session_start(conn, what, receive_bytes, err);
out:
    sluice_pg_params_free(&params);
    if (st < 0) {
        sluice_pg_close(conn);
        return st;
    }
    *out = conn;
    return SLUICE_OK;
}

void sluice_pg_close(struct sluice_pg_conn *conn)
{
    if (conn == NULL) {
        return;
    }
    if (conn->registry != NULL) {
        struct sluice_pg_registry *r = conn->registry;
        if (atomic_load(&conn->busy) && PQstatus(conn->pg) == CONNECTION_OK) {
            cancel_start(r, conn);
        }
        (void)pthread_mutex_lock(&r->lock);
        if (conn->prev != NULL) {
            conn->prev->next = conn->next;
        }
        else {
            r->first = conn->next;
        }
        if (conn->next != NULL) {
            conn->next->prev = conn->prev;
        }
        PQfreeCancel(conn->cancel);
        conn->cancel = NULL;
        (void)pthread_mutex_unlock(&r->lock);
    }
    PQfreemem(conn->message);
    PQfinish(conn->pg);
    free(conn);
}
