/*
 * Where a SQL Server is and how to log in: the options that its source and sink have in common.
 */
#ifndef SLUICE_COMMON_TDS_SETTINGS_H
#define SLUICE_COMMON_TDS_SETTINGS_H

#include "sluice/abi.h"
#include "sluice/error.h"
#include "sluice/option.h"

enum { SLUICE_TDS_ENCRYPT_REQUIRE = 0, SLUICE_TDS_ENCRYPT_OFF = 1, SLUICE_TDS_ENCRYPT_REQUEST = 2 };
enum { SLUICE_TDS_INTENT_READ_WRITE = 0, SLUICE_TDS_INTENT_READ_ONLY = 1 };

/* Bound from the options; strings are borrowed until destroy(). */
struct sluice_tds_settings {
    const char *host;
    int64_t port;
    const char *instance; /* NULL = by port */
    const char *database;
    const char *user;
    const char *password; /* NULL = "" */
    int64_t encrypt;      /* SLUICE_TDS_ENCRYPT_* */
    const char *ca_file;  /* NULL = the system's */
    int32_t verify_host;
    int64_t login_timeout_us;
    int64_t query_timeout_us; /* without a sign of life from the server; 0 = none */
    int64_t packet_size;
    const char *failover_partner; /* host, or host,port; NULL = none */
    int64_t application_intent;   /* SLUICE_TDS_INTENT_* */
};

extern const struct sluice_option sluice_tds_option_host;
extern const struct sluice_option sluice_tds_option_port;
extern const struct sluice_option sluice_tds_option_instance;
extern const struct sluice_option sluice_tds_option_database;
extern const struct sluice_option sluice_tds_option_user;
extern const struct sluice_option sluice_tds_option_password;
extern const struct sluice_option sluice_tds_option_encrypt;
extern const struct sluice_option sluice_tds_option_ca_file;
extern const struct sluice_option sluice_tds_option_verify_host;
extern const struct sluice_option sluice_tds_option_login_timeout;
extern const struct sluice_option sluice_tds_option_query_timeout;
extern const struct sluice_option sluice_tds_option_packet_size;
extern const struct sluice_option sluice_tds_option_failover_partner;
extern const struct sluice_option sluice_tds_option_application_intent;
#define SLUICE_TDS_OPTIONS                                                                      \
    &sluice_tds_option_host, &sluice_tds_option_port, &sluice_tds_option_instance,              \
        &sluice_tds_option_database, &sluice_tds_option_user, &sluice_tds_option_password,      \
        &sluice_tds_option_encrypt, &sluice_tds_option_ca_file, &sluice_tds_option_verify_host, \
        &sluice_tds_option_login_timeout, &sluice_tds_option_query_timeout,                     \
        &sluice_tds_option_packet_size, &sluice_tds_option_failover_partner,                    \
        &sluice_tds_option_application_intent

/* Binds and checks: INVALID for what would break out of the line of a configuration file. */
sluice_status sluice_tds_settings_bind(const struct sluice_host *host,
                                       struct sluice_tds_settings *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* The settings of the failover partner: as `settings`, with its place. INVALID when the port is none. `host` keeps
 * the name and must outlive `out`. */
sluice_status sluice_tds_settings_partner(const struct sluice_tds_settings *settings,
                                          char host[256], struct sluice_tds_settings *out,
                                          struct sluice_error *err) SLUICE_MUST_CHECK;

/* The text of a freetds.conf with one server, "sluice" (FreeTDS User Guide, "The freetds.conf file"): TLS can be
 * set nowhere else. Holds no secret. LIMIT when it does not fit. */
sluice_status sluice_tds_settings_conf(const struct sluice_tds_settings *settings, char *out,
                                       size_t size, struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_TDS_SETTINGS_H */
