/*
 * How to reach a PostgreSQL server: the options that every PostgreSQL plugin shares. [any]
 */
#ifndef SLUICE_COMMON_PG_SETTINGS_H
#define SLUICE_COMMON_PG_SETTINGS_H

#include "sluice/option.h"

/* Bound from the options below; all strings are borrowed from the host until destroy(). */
struct sluice_pg_settings {
    const char *host;
    const char *database;
    const char *user;
    const char *password; /* SECRET */
    const char *uri;      /* SECRET: may hold a password */
    const char *service;
    const char *sslrootcert;
    const char *sslcert;
    const char *sslkey;
    const char *sslpassword; /* SECRET */
    const char *application_name;
    int64_t port;    /* 0 = libpq's default */
    int64_t sslmode; /* index into sluice_pg_sslmodes; 0 = auto */
    int64_t connect_timeout_us;
    int64_t keepalives_idle_us;
    int64_t keepalives_interval_us;
    int64_t keepalives_count;
    int64_t tcp_user_timeout_us;
    int64_t lock_timeout_us;
    int64_t statement_timeout_us;
    int64_t writes; /* no option: set by sinks, whose sessions are as the server has them */
};

/* "auto", then libpq's own words. NULL-terminated. */
extern const char *const sluice_pg_sslmodes[];
enum { SLUICE_PG_SSLMODE_AUTO = 0 };

extern const struct sluice_option sluice_pg_option_host;
extern const struct sluice_option sluice_pg_option_port;
extern const struct sluice_option sluice_pg_option_database;
extern const struct sluice_option sluice_pg_option_user;
extern const struct sluice_option sluice_pg_option_password;
extern const struct sluice_option sluice_pg_option_uri;
extern const struct sluice_option sluice_pg_option_service;
extern const struct sluice_option sluice_pg_option_sslmode;
extern const struct sluice_option sluice_pg_option_sslrootcert;
extern const struct sluice_option sluice_pg_option_sslcert;
extern const struct sluice_option sluice_pg_option_sslkey;
extern const struct sluice_option sluice_pg_option_sslpassword;
extern const struct sluice_option sluice_pg_option_application_name;
extern const struct sluice_option sluice_pg_option_connect_timeout;
extern const struct sluice_option sluice_pg_option_keepalives_idle;
extern const struct sluice_option sluice_pg_option_keepalives_interval;
extern const struct sluice_option sluice_pg_option_keepalives_count;
extern const struct sluice_option sluice_pg_option_tcp_user_timeout;
extern const struct sluice_option sluice_pg_option_lock_timeout;
extern const struct sluice_option sluice_pg_option_statement_timeout;

/* For a plugin's option table. */
#define SLUICE_PG_OPTIONS                                                                    \
    &sluice_pg_option_host, &sluice_pg_option_port, &sluice_pg_option_database,              \
        &sluice_pg_option_user, &sluice_pg_option_password, &sluice_pg_option_uri,           \
        &sluice_pg_option_service, &sluice_pg_option_sslmode, &sluice_pg_option_sslrootcert, \
        &sluice_pg_option_sslcert, &sluice_pg_option_sslkey, &sluice_pg_option_sslpassword,  \
        &sluice_pg_option_application_name, &sluice_pg_option_connect_timeout,               \
        &sluice_pg_option_keepalives_idle, &sluice_pg_option_keepalives_interval,            \
        &sluice_pg_option_keepalives_count, &sluice_pg_option_tcp_user_timeout,              \
        &sluice_pg_option_lock_timeout, &sluice_pg_option_statement_timeout

/* For a plugin's bindings; `member` is a struct sluice_pg_settings inside `type`. */
#define SLUICE_PG_BINDINGS(type, member)                                                          \
    SLUICE_BIND(type, member.host, "host"), SLUICE_BIND(type, member.port, "port"),               \
        SLUICE_BIND(type, member.database, "database"), SLUICE_BIND(type, member.user, "user"),   \
        SLUICE_BIND(type, member.password, "password"), SLUICE_BIND(type, member.uri, "uri"),     \
        SLUICE_BIND(type, member.service, "service"),                                             \
        SLUICE_BIND(type, member.sslmode, "sslmode"),                                             \
        SLUICE_BIND(type, member.sslrootcert, "sslrootcert"),                                     \
        SLUICE_BIND(type, member.sslcert, "sslcert"), SLUICE_BIND(type, member.sslkey, "sslkey"), \
        SLUICE_BIND(type, member.sslpassword, "sslpassword"),                                     \
        SLUICE_BIND(type, member.application_name, "application_name"),                           \
        SLUICE_BIND(type, member.connect_timeout_us, "connect_timeout"),                          \
        SLUICE_BIND(type, member.keepalives_idle_us, "keepalives_idle"),                          \
        SLUICE_BIND(type, member.keepalives_interval_us, "keepalives_interval"),                  \
        SLUICE_BIND(type, member.keepalives_count, "keepalives_count"),                           \
        SLUICE_BIND(type, member.tcp_user_timeout_us, "tcp_user_timeout"),                        \
        SLUICE_BIND(type, member.lock_timeout_us, "lock_timeout"),                                \
        SLUICE_BIND(type, member.statement_timeout_us, "statement_timeout")

/* libpq's connection parameters made of settings; owned, wiped by sluice_pg_params_free. */
enum { SLUICE_PG_PARAMS_MAX = 64 };
struct sluice_pg_params {
    const char *keys[SLUICE_PG_PARAMS_MAX + 1]; /* ended by NULL */
    const char *values[SLUICE_PG_PARAMS_MAX + 1];
    uint32_t count;
    char where[256]; /* "database hr at db.example:5432": for messages, without secrets */
};

/* Merges uri, options and what we force, and decides on TLS. INVALID for what cannot be. Reads the
 * service file when a service is named. */
sluice_status sluice_pg_params_make(const struct sluice_pg_settings *settings,
                                    struct sluice_pg_params *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Sets or replaces a parameter; copies. */
sluice_status sluice_pg_params_put(struct sluice_pg_params *params, const char *key,
                                   const char *value, struct sluice_error *err) SLUICE_MUST_CHECK;
/* Borrowed; NULL = not given. */
const char *sluice_pg_params_get(const struct sluice_pg_params *params, const char *key);
void sluice_pg_params_free(struct sluice_pg_params *params);

/* 1 if every host of a comma-separated list is a Unix socket or a loopback address. */
int sluice_pg_hosts_local(const char *hosts);

#endif /* SLUICE_COMMON_PG_SETTINGS_H */
