/* The connection options, and libpq's parameters made of them. */
#include "pg/settings.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pg/text.h"

#define US_PER_DAY (86400 * 1000000ll)

const char *const sluice_pg_sslmodes[] = {"auto",    "disable",   "allow",       "prefer",
                                          "require", "verify-ca", "verify-full", NULL};

const struct sluice_option sluice_pg_option_host =
    SLUICE_OPT(SLUICE_OPTION_STRING, "host", NULL, 0,
               "Host name, address, or folder of the Unix socket. Unset: libpq's default (PGHOST, "
               "or the local "
               "socket).");
const struct sluice_option sluice_pg_option_port =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "port", NULL, 0, 1, 65535, "Port; 5432 unless set.");
const struct sluice_option sluice_pg_option_database =
    SLUICE_OPT(SLUICE_OPTION_STRING, "database", NULL, 0, "Database to connect to.");
const struct sluice_option sluice_pg_option_user =
    SLUICE_OPT(SLUICE_OPTION_STRING, "user", NULL, 0, "Role to connect as.");
const struct sluice_option sluice_pg_option_password =
    SLUICE_OPT(SLUICE_OPTION_STRING, "password", NULL, SLUICE_OPTION_SECRET,
               "Password of the role. Unset: libpq's password file.");
const struct sluice_option sluice_pg_option_uri = SLUICE_OPT(
    SLUICE_OPTION_STRING, "uri", NULL, SLUICE_OPTION_SECRET,
    "A libpq connection string (postgresql://… or key=value); options set beside it win.");
const struct sluice_option sluice_pg_option_service =
    SLUICE_OPT(SLUICE_OPTION_STRING, "service", NULL, SLUICE_OPTION_ADVANCED,
               "Section of libpq's service file to take parameters from.");
const struct sluice_option sluice_pg_option_sslmode = SLUICE_OPT_ENUM(
    "sslmode", "auto", 0, sluice_pg_sslmodes,
    "TLS. auto: verify-full, except for Unix sockets and loopback addresses, where it is prefer. "
    "Any weaker mode must be asked for.");
const struct sluice_option sluice_pg_option_sslrootcert =
    SLUICE_OPT(SLUICE_OPTION_STRING, "sslrootcert", "system", 0,
               "File of the certificate authorities to trust; system: the operating system's own.");
const struct sluice_option sluice_pg_option_sslcert =
    SLUICE_OPT(SLUICE_OPTION_STRING, "sslcert", NULL, SLUICE_OPTION_ADVANCED,
               "File of the client certificate.");
const struct sluice_option sluice_pg_option_sslkey =
    SLUICE_OPT(SLUICE_OPTION_STRING, "sslkey", NULL, SLUICE_OPTION_ADVANCED,
               "File of the client certificate's key. Engines (engine:key) are refused.");
const struct sluice_option sluice_pg_option_sslpassword =
    SLUICE_OPT(SLUICE_OPTION_STRING, "sslpassword", NULL,
               SLUICE_OPTION_ADVANCED | SLUICE_OPTION_SECRET, "Password of the key file.");
const struct sluice_option sluice_pg_option_application_name =
    SLUICE_OPT(SLUICE_OPTION_STRING, "application_name", "sluice", SLUICE_OPTION_ADVANCED,
               "Name shown in pg_stat_activity.");
const struct sluice_option sluice_pg_option_connect_timeout =
    SLUICE_OPT_RANGE(SLUICE_OPTION_DURATION, "connect_timeout", "15s", 0, 100000, US_PER_DAY,
                     "How long one connection attempt may take, name look-up aside.");
const struct sluice_option sluice_pg_option_keepalives_idle =
    SLUICE_OPT_RANGE(SLUICE_OPTION_DURATION, "keepalives_idle", "30s", SLUICE_OPTION_ADVANCED,
                     1000000, US_PER_DAY, "Idle time before TCP asks whether the server lives.");
const struct sluice_option sluice_pg_option_keepalives_interval =
    SLUICE_OPT_RANGE(SLUICE_OPTION_DURATION, "keepalives_interval", "10s", SLUICE_OPTION_ADVANCED,
                     1000000, US_PER_DAY, "Time between two such questions.");
const struct sluice_option sluice_pg_option_keepalives_count =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "keepalives_count", "3", SLUICE_OPTION_ADVANCED, 1, 100,
                     "Unanswered questions after which the connection counts as lost.");
const struct sluice_option sluice_pg_option_tcp_user_timeout = SLUICE_OPT_RANGE(
    SLUICE_OPTION_DURATION, "tcp_user_timeout", "60s", SLUICE_OPTION_ADVANCED, 0, US_PER_DAY,
    "How long sent data may stay unacknowledged before the connection counts as lost.");
const struct sluice_option sluice_pg_option_lock_timeout =
    SLUICE_OPT_RANGE(SLUICE_OPTION_DURATION, "lock_timeout", "60s", SLUICE_OPTION_ADVANCED, 0,
                     US_PER_DAY, "How long a statement may wait for a lock; 0 = without end.");
const struct sluice_option sluice_pg_option_statement_timeout =
    SLUICE_OPT_RANGE(SLUICE_OPTION_DURATION, "statement_timeout", "0s", SLUICE_OPTION_ADVANCED, 0,
                     30 * US_PER_DAY, "How long one statement may run; 0 = without end.");

/* Forced on every session, so that neither the database's nor the role's settings change what we
 * read: they print values in one form, keep the snapshot's holder alive, and keep ctid ranges
 * cheap. Checked after connecting (conn.c). */
static const char forced_options[] =
    "-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=1 -c timezone=UTC"
    " -c bytea_output=hex -c lc_monetary=C -c search_path=pg_catalog"
    " -c standard_conforming_strings=on -c quote_all_identifiers=off -c transform_null_equals=off"
    " -c array_nulls=on -c row_security=on"
    " -c default_transaction_deferrable=off -c idle_in_transaction_session_timeout=0"
    " -c tcp_user_timeout=0 -c client_min_messages=error -c jit=off -c enable_tidscan=on -c "
    "synchronize_seqscans=off";

sluice_status sluice_pg_params_put(struct sluice_pg_params *p, const char *key, const char *value,
                                   struct sluice_error *err)
{
    char *k = strdup(key);
    char *v = strdup(value);
    if (k == NULL || v == NULL) {
        free(k);
        free(v);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for connection parameters");
    }
    uint32_t i = 0;
    while (i < p->count && strcmp(p->keys[i], key) != 0) {
        i++;
    }
    if (i == SLUICE_PG_PARAMS_MAX) {
        free(k);
        free(v);
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "more than %d connection parameters",
                                SLUICE_PG_PARAMS_MAX);
    }
    if (i < p->count) {
        explicit_bzero((char *)(uintptr_t)p->values[i], strlen(p->values[i]));
        free((char *)(uintptr_t)p->keys[i]);
        free((char *)(uintptr_t)p->values[i]);
    }
    else {
        p->count++;
    }
    p->keys[i] = k;
    p->values[i] = v;
    return SLUICE_OK;
}

static sluice_status params_put_number(struct sluice_pg_params *p, const char *key, int64_t value,
                                       struct sluice_error *err)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    return sluice_pg_params_put(p, key, text, err);
}

const char *sluice_pg_params_get(const struct sluice_pg_params *p, const char *key)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (strcmp(p->keys[i], key) == 0 && p->values[i][0] != '\0') {
            return p->values[i];
        }
    }
    return NULL;
}

void sluice_pg_params_free(struct sluice_pg_params *params)
{
    for (uint32_t i = 0; i < params->count; i++) {
        char *value = (char *)(uintptr_t)params->values[i];
        explicit_bzero(value, strlen(value));
        free(value);
        free((char *)(uintptr_t)params->keys[i]);
    }
    memset(params, 0, sizeof *params);
}

static int host_local(const char *host, size_t size)
{
    if (size == 0 || host[0] == '/' || host[0] == '@') {
        return 1;
    }
    if (size == 9 && strncmp(host, "localhost", 9) == 0) {
        return 1;
    }
    if (size == 3 && strncmp(host, "::1", 3) == 0) {
        return 1;
    }
    /* 127.0.0.0/8 as digits and dots: not a name that happens to begin so. */
    return size > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= size;
}

int sluice_pg_hosts_local(const char *hosts)
{
    for (const char *p = hosts;; p++) {
        size_t size = strcspn(p, ",");
        if (!host_local(p, size)) {
            return 0;
        }
        p += size;
        if (*p == '\0') {
            return 1;
        }
    }
}

static sluice_status add_uri(struct sluice_pg_params *p, const char *uri, struct sluice_error *err)
{
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(uri, &message);
    if (options == NULL) {
        /* libpq's message may quote a piece of the password. */
        PQfreemem(message);
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "option uri: not a valid libpq connection string (its text is "
                                "secret and not shown)");
    }
    sluice_status st = SLUICE_OK;
    for (PQconninfoOption *o = options; o->keyword != NULL && st >= 0; o++) {
        if (o->val != NULL) {
            st = sluice_pg_params_put(p, o->keyword, o->val, err);
            explicit_bzero(o->val, strlen(o->val));
        }
    }
    PQconninfoFree(options);
    return st;
}

static sluice_status add_options(struct sluice_pg_params *p, const struct sluice_pg_settings *s,
                                 struct sluice_error *err)
{
    const struct sluice_pair given[] = {
        {"host", s->host},
        {"dbname", s->database},
        {"user", s->user},
        {"password", s->password},
        {"service", s->service},
        {"sslcert", s->sslcert},
        {"sslkey", s->sslkey},
        {"sslpassword", s->sslpassword},
        {"application_name", s->application_name},
    };
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
        if (given[i].value != NULL && given[i].value[0] != '\0') {
            SLUICE_TRY(sluice_pg_params_put(p, given[i].key, given[i].value, err));
        }
    }
    if (s->port > 0) {
        SLUICE_TRY(params_put_number(p, "port", s->port, err));
    }
    SLUICE_TRY(sluice_pg_params_put(p, "client_encoding", "UTF8", err));
    SLUICE_TRY(sluice_pg_params_put(p, "keepalives", "1", err));
    SLUICE_TRY(params_put_number(p, "keepalives_idle", s->keepalives_idle_us / 1000000, err));
    SLUICE_TRY(
        params_put_number(p, "keepalives_interval", s->keepalives_interval_us / 1000000, err));
    SLUICE_TRY(params_put_number(p, "keepalives_count", s->keepalives_count, err));
    return params_put_number(p, "tcp_user_timeout", s->tcp_user_timeout_us / 1000, err);
}

/* The user's own `options` of the uri stay in front: ours come later and win. */
static sluice_status add_forced(struct sluice_pg_params *p, const struct sluice_pg_settings *s,
                                struct sluice_error *err)
{
    struct sluice_pg_text text = {0};
    const char *own = sluice_pg_params_get(p, "options");
    if (own != NULL) {
        sluice_pg_text_format(&text, "%s ", own);
    }
    sluice_pg_text_add(&text, forced_options);
    if (!s->writes) {
        sluice_pg_text_add(&text, " -c default_transaction_read_only=on");
    }
    sluice_pg_text_format(&text, " -c lock_timeout=%lld -c statement_timeout=%lld",
                          (long long)(s->lock_timeout_us / 1000),
                          (long long)(s->statement_timeout_us / 1000));
    sluice_status st = sluice_pg_text_check(&text, err);
    if (st >= 0) {
        st = sluice_pg_params_put(p, "options", text.data, err);
    }
    sluice_pg_text_free(&text);
    return st;
}

/* What libpq would take for `key` from its environment or the named service; the caller frees it.
 * NULL = nothing. */
static char *libpq_default(const struct sluice_pg_params *p, const char *key)
{
    PQconninfoOption *options = NULL;
    PGconn *probe = NULL;
    if (sluice_pg_params_get(p, "service") != NULL) {
        /* Only a connection object reads a named service. It is thrown away before any TLS. */
        probe = PQconnectStartParams(p->keys, p->values, 0);
        options = probe != NULL ? PQconninfo(probe) : NULL;
    }
    else {
        options = PQconndefaults();
    }
    char *found = NULL;
    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if (strcmp(o->keyword, key) == 0 && o->val != NULL && o->val[0] != '\0') {
            found = strdup(o->val);
        }
    }
    PQconninfoFree(options);
    PQfinish(probe);
    return found;
}

static const char *system_roots(void)
{
    static const char *const files[] = {"/etc/ssl/certs/ca-certificates.crt",
                                        "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
                                        NULL};
    for (int i = 0; files[i] != NULL; i++) {
        if (access(files[i], R_OK) == 0) {
            return files[i];
        }
    }
    return PQlibVersion() >= 160000 ? "system" : NULL;
}

static sluice_status decide_tls(struct sluice_pg_params *p, const struct sluice_pg_settings *s,
                                struct sluice_error *err)
{
    sluice_status st = SLUICE_OK;
    char *mode = NULL;
    if (s->sslmode > SLUICE_PG_SSLMODE_AUTO) {
        mode = strdup(sluice_pg_sslmodes[s->sslmode]);
    }
    else if (sluice_pg_params_get(p, "sslmode") != NULL) {
        mode = strdup(sluice_pg_params_get(p, "sslmode"));
    }
    else {
        mode = libpq_default(p, "sslmode"); /* "prefer" is also libpq's own default */
        if (mode == NULL || strcmp(mode, "prefer") == 0) {
            const char *named = sluice_pg_params_get(p, "hostaddr");
            named = named != NULL ? named : sluice_pg_params_get(p, "host");
            char *fallback = named == NULL ? libpq_default(p, "hostaddr") : NULL;
            if (named == NULL && fallback == NULL) {
                fallback = libpq_default(p, "host");
            }
            const char *hosts = named != NULL ? named : fallback;
            int local = hosts == NULL || sluice_pg_hosts_local(hosts);
            free(fallback);
            free(mode);
            mode = strdup(local ? "prefer" : "verify-full");
        }
    }
    if (mode == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for connection parameters");
    }
    st = sluice_pg_params_put(p, "sslmode", mode, err);
    int verify = strncmp(mode, "verify-", 7) == 0;
    free(mode);
    if (st < 0) {
        return st;
    }
    const char *roots = s->sslrootcert;
    if (roots != NULL && strcmp(roots, "system") != 0) {
        return sluice_pg_params_put(p, "sslrootcert", roots, err);
    }
    if (!verify || sluice_pg_params_get(p, "sslrootcert") != NULL) {
        return SLUICE_OK;
    }
    roots = system_roots();
    if (roots == NULL) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "option sslrootcert: no certificate authorities of the operating "
                                "system found (hint: name a file)");
    }
    return sluice_pg_params_put(p, "sslrootcert", roots, err);
}

sluice_status sluice_pg_params_make(const struct sluice_pg_settings *settings,
                                    struct sluice_pg_params *out, struct sluice_error *err)
{
    memset(out, 0, sizeof *out);
    sluice_status st = SLUICE_OK;
    if (settings->uri != NULL) {
        st = add_uri(out, settings->uri, err);
    }
    if (st >= 0) {
        st = add_options(out, settings, err);
    }
    if (st >= 0) {
        st = add_forced(out, settings, err);
    }
    if (st >= 0) {
        st = decide_tls(out, settings, err);
    }
    if (st >= 0 && sluice_pg_params_get(out, "sslkey") != NULL &&
        strchr(sluice_pg_params_get(out, "sslkey"), ':')) {
        /* libpq would load an OpenSSL engine: foreign code by configuration. */
        st = sluice_error_set(err, SLUICE_E_INVALID, 0,
                              "option sslkey: key engines are not supported (hint: name a file)");
    }
    if (st < 0) {
        sluice_pg_params_free(out);
        return st;
    }
    const char *host = sluice_pg_params_get(out, "host");
    const char *port = sluice_pg_params_get(out, "port");
    const char *database = sluice_pg_params_get(out, "dbname");
    (void)snprintf(out->where, sizeof out->where, "database %.80s at %.100s:%.20s",
                   database != NULL ? database : "(default)", host != NULL ? host : "(default)",
                   port != NULL ? port : "5432");
    return SLUICE_OK;
}
