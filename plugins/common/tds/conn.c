#include "tds/conn.h"

#include "tds/conn_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sybfront.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sybdb.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local struct sluice_tds_conn *opening; /* its DBPROCESS has no user data yet */

void sluice_tds_opening(struct sluice_tds_conn *conn)
{
    opening = conn;
}

/* ---- handlers ---- */

static struct sluice_tds_conn *conn_of(DBPROCESS *db)
{
    struct sluice_tds_conn *conn =
        db != NULL ? (struct sluice_tds_conn *)(void *)dbgetuserdata(db) : NULL;
    return conn != NULL ? conn : opening;
}

static void keep(struct sluice_tds_conn *conn, int32_t number, int32_t severity, int32_t state,
                 int32_t client, const char *text)
{
    if (conn == NULL || conn->has_first) {
        return;
    }
    conn->has_first = 1;
    conn->first = (struct sluice_tds_message){
        .number = number, .severity = severity, .state = state, .client = client};
    (void)snprintf(conn->first.text, sizeof conn->first.text, "%s", text != NULL ? text : "");
}

int32_t sluice_tds_is_over(const struct sluice_tds_conn *conn)
{
    const struct sluice_host *host = conn->host;
    return host->cancelled(host->ctx) ||
           (conn->deadline_us > 0 &&
            host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC) > conn->deadline_us);
}

/* Never lets the library end the process, which INT_EXIT would. */
static int on_error(DBPROCESS *db, int severity, int dberr, int oserr, char *dberrstr,
                    char *oserrstr)
{
    struct sluice_tds_conn *conn = conn_of(db);
    (void)oserr;
    (void)oserrstr;
    if (dberr == SYBETIME && conn != NULL && !conn->gave_up) {
        conn->gave_up = 1;
        return INT_TIMEOUT; /* sends an attention; the call fails, the connection stays */
    }
    if (dberr != SYBESMSG) { /* "check messages from the server": that one is kept already */
        keep(conn, 0, severity, 0, dberr, dberrstr);
    }
    return INT_CANCEL;
}

static int on_message(DBPROCESS *db, DBINT number, int state, int severity, char *text,
                      char *server, char *procedure, int line)
{
    (void)server;
    (void)procedure;
    (void)line;
    if (severity > 10) {
        struct sluice_tds_conn *conn = conn_of(db);
        if (conn != NULL && conn->has_first && conn->first.number == 0) {
            conn->has_first = 0; /* what the server says tells more than what the library does */
        }
        keep(conn, number, severity, state, 0, text);
    }
    return 0;
}

/* A wait asks this once a second. dbsettime's timeouts are no clock for it: of two in a row, db-lib takes the second
 * for the end of the connection, whatever the error handler says. */
static int on_wait(void *db)
{
    struct sluice_tds_conn *conn = conn_of(db);
    return conn != NULL && sluice_tds_is_over(conn);
}

static int on_over(void *db)
{
    (void)db;
    return INT_CANCEL; /* the wait ends as one that has timed out: on_error is asked next */
}

static void init_once(void)
{
    if (dbinit() == SUCCEED) {
        (void)dberrhandle(on_error);
        (void)dbmsghandle(on_message);
    }
}

/* ---- logging in ---- */

sluice_status sluice_tds_fail(struct sluice_tds_conn *conn, const char *what,
                              struct sluice_error *err)
{
    const struct sluice_host *host = conn->host;
    if (host->cancelled(host->ctx)) {
        return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "%s: cancelled", what);
    }
    if (conn->gave_up && conn->first.in_login) {
        return sluice_error_set(
            err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
            "%s: the server was silent for too long (hint: option login_timeout; "
            "does a SQL Server listen there?)",
            what);
    }
    if (conn->gave_up) {
        return sluice_error_set(err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
                                "%s: the server was silent for too long", what);
    }
    return sluice_tds_error(err, &conn->first, what);
}

/* Before TDS 7.3 dates and times come as texts, in the language's form: nothing of ours would read them right. */
static sluice_status check_version(struct sluice_tds_conn *conn, const char *what,
                                   struct sluice_error *err)
{
    if (dbtds(conn->db) >= DBTDS_7_3) {
        return SLUICE_OK;
    }
    dbclose(conn->db);
    conn->db = NULL;
    return sluice_error_set(err, SLUICE_E_UNSUPPORTED, SLUICE_ERROR_FATAL,
                            "%s: the server answers in a TDS version older than 7.3, which has no "
                            "exact times (hint: SQL Server 2008 and later speak it; does a proxy "
                            "stand between?)",
                            what);
}

static sluice_status attempt(struct sluice_tds_conn *conn,
                             const struct sluice_tds_settings *settings, struct sluice_error *err)
{
    char what[352];
    char port[24];
    conn->has_first = 0;
    conn->first = (struct sluice_tds_message){0};
    conn->gave_up = 0;
    (void)snprintf(port, sizeof port, "%lld", (long long)settings->port);
    (void)snprintf(what, sizeof what, "connect to %.200s%s%.60s", settings->host,
                   settings->instance != NULL ? "\\" : ":",
                   settings->instance != NULL ? settings->instance : port);
    SLUICE_TRY(sluice_tds_login(conn, settings, err));
    conn->first.in_login = 1;
    char *const section =
        strstr(conn->first.text, " (sluice_"); /* of places.c: tells nobody anything */
    if (section != NULL && conn->first.number == 0) {
        *section = '\0';
    }
    return conn->db != NULL ? check_version(conn, what, err) : sluice_tds_fail(conn, what, err);
}

/* The server is away, or has the database as a mirror or secondary that nobody may read. */
static int may_be_at_partner(sluice_status status, const struct sluice_tds_message *m)
{
    return status == SLUICE_E_UNAVAILABLE || m->number == 4060 || m->number == 954 ||
           m->number == 976 || m->number == 983;
}

/* The first server's error is told, unless the partner says what is wrong with the login. */
static sluice_status attempt_all(struct sluice_tds_conn *conn, struct sluice_error *err)
{
    struct sluice_tds_settings partner;
    struct sluice_error first = SLUICE_ERROR_INIT;
    char name[256];
    sluice_status status = attempt(conn, conn->settings, &first);
    if (status < 0 && conn->settings->failover_partner != NULL &&
        may_be_at_partner(status, &conn->first)) {
        SLUICE_TRY(sluice_tds_settings_partner(conn->settings, name, &partner, err));
        status = attempt(conn, &partner, err);
        if (status != SLUICE_E_UNAVAILABLE) {
            return status;
        }
        status = sluice_error_wrap(&first, "failover_partner %.128s neither", name);
    }
    if (status < 0 && err != NULL) {
        *err = first;
    }
    return status;
}

/* What we sent and nobody acknowledges ends the connection, also where queries may be silent for ever. Best
 * effort: a kernel that refuses it has its own, longer patience. */
static void limit_silence(DBPROCESS *db)
{
    const unsigned int unacknowledged_ms = 60000;
    const int fd = dbiowdesc(db);
    if (fd >= 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms,
                         sizeof unacknowledged_ms);
    }
}

sluice_status sluice_tds_connect(const struct sluice_tds_settings *settings,
                                 const struct sluice_host *host, struct sluice_tds_conn **out,
                                 struct sluice_error *err)
{
    struct sluice_tds_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a connection");
    }
    (void)pthread_once(&once, init_once);
    conn->settings = settings;
    conn->host = host;
    const sluice_status status = attempt_all(conn, err);
    if (status < 0) {
        sluice_tds_close(conn);
        return status;
    }
    dbsetuserdata(conn->db, (BYTE *)conn);
    dbsetinterrupt(conn->db, on_wait, on_over);
    limit_silence(conn->db);
    conn->has_first = 0;
    conn->first = (struct sluice_tds_message){0};
    *out = conn;
    return SLUICE_OK;
}

void sluice_tds_close(struct sluice_tds_conn *conn)
{
    if (conn != NULL) {
        if (conn->db != NULL) {
            dbclose(conn->db);
        }
        free(conn);
    }
}

int32_t sluice_tds_is_dead(const struct sluice_tds_conn *conn)
{
    return conn->db == NULL || DBDEAD(conn->db);
}

/* ---- statements ---- */

void sluice_tds_begin_wait(struct sluice_tds_conn *conn)
{
    const struct sluice_host *host = conn->host;
    const int64_t timeout = conn->settings->query_timeout_us;
    conn->deadline_us = timeout > 0 ? host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC) + timeout : 0;
}

static sluice_status start(struct sluice_tds_conn *conn, const char *what, const char *sql,
                           struct sluice_error *err)
{
    conn->has_first = 0;
    conn->gave_up = 0;
    (void)snprintf(conn->what, sizeof conn->what, "%s", what);
    sluice_tds_begin_wait(conn);
    if (conn->host->cancelled(conn->host->ctx)) {
        return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "%s: cancelled", what);
    }
    if (dbcmd(conn->db, sql) != SUCCEED || dbsqlexec(conn->db) != SUCCEED || conn->has_first) {
        (void)dbcancel(conn->db);
        return sluice_tds_fail(conn, what, err);
    }
    return SLUICE_OK;
}

/* All results that are left, thrown away. */
static sluice_status drain(struct sluice_tds_conn *conn, struct sluice_error *err)
{
    RETCODE rc = SUCCEED;
    while ((rc = dbresults(conn->db)) == SUCCEED) {
        while (dbnextrow(conn->db) == REG_ROW && !conn->has_first) {
        }
    }
    if (rc == FAIL || conn->has_first) {
        (void)dbcancel(conn->db);
        return sluice_tds_fail(conn, conn->what, err);
    }
    return SLUICE_OK;
}

sluice_status sluice_tds_run(struct sluice_tds_conn *conn, const char *what, const char *sql,
                             struct sluice_error *err)
{
    SLUICE_TRY(start(conn, what, sql, err));
    return drain(conn, err);
}

sluice_status sluice_tds_query(struct sluice_tds_conn *conn, const char *what, const char *sql,
                               struct sluice_error *err)
{
    SLUICE_TRY(start(conn, what, sql, err));
    RETCODE rc = dbresults(conn->db);
    while (rc == SUCCEED && dbnumcols(conn->db) == 0 && !conn->has_first) {
        rc = dbresults(conn->db); /* a statement before the query that only counts */
    }
    if (rc == FAIL || conn->has_first) {
        (void)dbcancel(conn->db);
        return sluice_tds_fail(conn, what, err);
    }
    if (rc != SUCCEED || dbnumcols(conn->db) == 0) {
        (void)dbcancel(conn->db);
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "%s: the server gave no rows", what);
    }
    return SLUICE_OK;
}

sluice_status sluice_tds_fetch(struct sluice_tds_conn *conn, struct sluice_error *err)
{
    sluice_tds_begin_wait(conn);
    const STATUS row = dbnextrow(conn->db);
    if (row == REG_ROW) {
        return SLUICE_OK;
    }
    if (row != NO_MORE_ROWS || conn->has_first || conn->gave_up) {
        (void)dbcancel(conn->db);
        return sluice_tds_fail(conn, conn->what, err);
    }
    SLUICE_TRY(drain(conn, err));
    return SLUICE_END;
}

void sluice_tds_cancel(struct sluice_tds_conn *conn)
{
    (void)dbcancel(conn->db);
}

/* ---- values ---- */

struct sluice_bytes sluice_tds_value(const struct sluice_tds_conn *conn, int32_t i)
{
    const BYTE *data = dbdata(conn->db, i + 1);
    const DBINT size = data != NULL ? dbdatlen(conn->db, i + 1) : 0;
    return (struct sluice_bytes){data, size > 0 ? (uint64_t)size : 0};
}

int32_t sluice_tds_is_text(const struct sluice_tds_conn *conn, int32_t i)
{
    switch (dbcoltype(conn->db, i + 1)) {
    case SYBCHAR:
    case SYBVARCHAR:
    case SYBTEXT:
    case SYBNTEXT:
    case SYBNVARCHAR:
        return 1;
    default:
        return 0;
    }
}

int32_t sluice_tds_column_type(const struct sluice_tds_conn *conn, int32_t i)
{
    return dbcoltype(conn->db, i + 1);
}

int32_t sluice_tds_column_scale(const struct sluice_tds_conn *conn, int32_t i)
{
    const DBTYPEINFO *info = dbcoltypeinfo(conn->db, i + 1);
    return info != NULL ? info->scale : 0;
}

int32_t sluice_tds_column_count(const struct sluice_tds_conn *conn)
{
    return dbnumcols(conn->db);
}

void sluice_tds_text(const struct sluice_tds_conn *conn, int32_t i, char *out, size_t size)
{
    const struct sluice_bytes value = sluice_tds_value(conn, i);
    const size_t n = value.size < size - 1 ? value.size : size - 1;
    if (n > 0) {
        memcpy(out, value.data, n);
    }
    out[n] = '\0';
}

int64_t sluice_tds_number(const struct sluice_tds_conn *conn, int32_t i)
{
    const struct sluice_bytes value = sluice_tds_value(conn, i);
    int64_t out = 0;
    if (value.size == 1) {
        return *(const uint8_t *)value.data;
    }
    if (value.size == 2) {
        int16_t v = 0;
        memcpy(&v, value.data, 2);
        return v;
    }
    if (value.size == 4) {
        int32_t v = 0;
        memcpy(&v, value.data, 4);
        return v;
    }
    if (value.size == 8) {
        memcpy(&out, value.data, 8);
    }
    return out;
}

static size_t quote(const char *before, const char *text, char after, char *out, size_t size)
{
    size_t n = 0;
    const char last[] = {after, '\0'};
    const char *const pieces[] = {before, text, last};
    for (int k = 0; k < 3; k++) {
        for (const char *p = pieces[k]; *p != '\0'; p++) {
            for (int twice = k == 1 && *p == after ? 2 : 1; twice > 0; twice--, n++) {
                if (n + 1 < size) {
                    out[n] = *p;
                }
            }
        }
    }
    out[n < size ? n : size - 1] = '\0';
    return n;
}

size_t sluice_tds_quote(const char *name, char *out, size_t size)
{
    return quote("[", name, ']', out, size);
}

size_t sluice_tds_quote_text(const char *text, char *out, size_t size)
{
    return quote("N'", text, '\'', out, size);
}
