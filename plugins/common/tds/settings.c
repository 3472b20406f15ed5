#include "tds/settings.h"

#include <stdio.h>
#include <string.h>

static const char *const encryptions[] = {"require", "off", "request", NULL};
static const char *const intents[] = {"read_write", "read_only", NULL};

const struct sluice_option sluice_tds_option_host =
    SLUICE_OPT(SLUICE_OPTION_STRING, "host", "localhost", 0, "Name or address of the server.");
const struct sluice_option sluice_tds_option_port =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "port", "1433", 0, 1, 65535, "Port of the server.");
const struct sluice_option sluice_tds_option_instance =
    SLUICE_OPT(SLUICE_OPTION_STRING, "instance", NULL, SLUICE_OPTION_ADVANCED,
               "Named instance, found through SQL Server Browser; then `port` is not looked at.");
const struct sluice_option sluice_tds_option_database =
    SLUICE_OPT(SLUICE_OPTION_STRING, "database", NULL, SLUICE_OPTION_REQUIRED, "Database.");
const struct sluice_option sluice_tds_option_user =
    SLUICE_OPT(SLUICE_OPTION_STRING, "user", NULL, SLUICE_OPTION_REQUIRED,
               "SQL login, or DOMAIN\\user for NTLM.");
const struct sluice_option sluice_tds_option_password =
    SLUICE_OPT(SLUICE_OPTION_STRING, "password", NULL, SLUICE_OPTION_SECRET, "Password.");
const struct sluice_option sluice_tds_option_encrypt = SLUICE_OPT_ENUM(
    "encrypt", "require", 0, encryptions,
    "TLS: required, with the server's certificate verified; off, also for the login; or request: "
    "used if the server has it, so that whoever sits between can talk both out of it.");
const struct sluice_option sluice_tds_option_ca_file =
    SLUICE_OPT(SLUICE_OPTION_STRING, "ca_file", NULL, 0,
               "PEM file of authorities that the server's certificate is verified by. Default: the "
               "system's.");
const struct sluice_option sluice_tds_option_verify_host =
    SLUICE_OPT(SLUICE_OPTION_BOOL, "verify_host", "true", SLUICE_OPTION_ADVANCED,
               "Whether the certificate must be of the server's name.");
const struct sluice_option sluice_tds_option_login_timeout =
    SLUICE_OPT_RANGE(SLUICE_OPTION_DURATION, "login_timeout", "15s", SLUICE_OPTION_ADVANCED,
                     1000000, 600000000, "How long a login may take.");
const struct sluice_option sluice_tds_option_query_timeout =
    SLUICE_OPT_RANGE(SLUICE_OPTION_DURATION, "query_timeout", "10m", SLUICE_OPTION_ADVANCED, 0,
                     86400000000, "How long the server may be silent in a query; 0s = for ever.");
const struct sluice_option sluice_tds_option_packet_size =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "packet_size", "16384", SLUICE_OPTION_ADVANCED, 512, 32767,
                     "Bytes of a packet that the server is asked for.");
const struct sluice_option sluice_tds_option_failover_partner =
    SLUICE_OPT(SLUICE_OPTION_STRING, "failover_partner", NULL, SLUICE_OPTION_ADVANCED,
               "Server that is tried when `host` is away or does not hold the database now: a "
               "name, or name,port.");
const struct sluice_option sluice_tds_option_application_intent = SLUICE_OPT_ENUM(
    "application_intent", "read_write", SLUICE_OPTION_ADVANCED, intents,
    "read_only lets an availability group's listener pass the connection to a readable replica.");

static const struct sluice_option_binding bindings[] = {
    SLUICE_BIND(struct sluice_tds_settings, host, "host"),
    SLUICE_BIND(struct sluice_tds_settings, port, "port"),
    SLUICE_BIND(struct sluice_tds_settings, instance, "instance"),
    SLUICE_BIND(struct sluice_tds_settings, database, "database"),
    SLUICE_BIND(struct sluice_tds_settings, user, "user"),
    SLUICE_BIND(struct sluice_tds_settings, password, "password"),
    SLUICE_BIND(struct sluice_tds_settings, encrypt, "encrypt"),
    SLUICE_BIND(struct sluice_tds_settings, ca_file, "ca_file"),
    SLUICE_BIND(struct sluice_tds_settings, verify_host, "verify_host"),
    SLUICE_BIND(struct sluice_tds_settings, login_timeout_us, "login_timeout"),
    SLUICE_BIND(struct sluice_tds_settings, query_timeout_us, "query_timeout"),
    SLUICE_BIND(struct sluice_tds_settings, packet_size, "packet_size"),
    SLUICE_BIND(struct sluice_tds_settings, failover_partner, "failover_partner"),
    SLUICE_BIND(struct sluice_tds_settings, application_intent, "application_intent"),
    {NULL, 0}};

/* A line break would begin another setting; '=' and blanks inside are taken as they are. */
static sluice_status check_line(const char *key, const char *value, struct sluice_error *err)
{
    for (const char *p = value; p != NULL && *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == ';' || *p == '#') {
            return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                    "%s has a character that no server's name has", key);
        }
    }
    return SLUICE_OK;
}

sluice_status sluice_tds_settings_bind(const struct sluice_host *host,
                                       struct sluice_tds_settings *out, struct sluice_error *err)
{
    SLUICE_TRY(sluice_options_bind(host, bindings, out, err));
    SLUICE_TRY(check_line("host", out->host, err));
    SLUICE_TRY(check_line("instance", out->instance, err));
    SLUICE_TRY(check_line("ca_file", out->ca_file, err));
    if (out->failover_partner != NULL) {
        struct sluice_tds_settings partner;
        char name[256];
        SLUICE_TRY(check_line("failover_partner", out->failover_partner, err));
        SLUICE_TRY(sluice_tds_settings_partner(out, name, &partner, err));
    }
    if (out->user[0] == '\0' || strlen(out->user) > 128) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "user has no or more than 128 bytes");
    }
    if (out->encrypt == SLUICE_TDS_ENCRYPT_OFF && out->ca_file != NULL) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "ca_file is set, but encrypt is off");
    }
    return SLUICE_OK;
}

sluice_status sluice_tds_settings_partner(const struct sluice_tds_settings *settings,
                                          char host[256], struct sluice_tds_settings *out,
                                          struct sluice_error *err)
{
    const char *const name = settings->failover_partner;
    const char *const comma = strchr(name, ',');
    const size_t n = comma != NULL ? (size_t)(comma - name) : strlen(name);
    int64_t port = comma != NULL ? 0 : settings->port;
    for (const char *p = comma != NULL ? comma + 1 : ""; *p != '\0'; p++) {
        if (*p < '0' || *p > '9' || port > 65535) {
            port = 0;
            break;
        }
        port = port * 10 + (*p - '0');
    }
    if (n == 0 || n > 255 || port < 1 || port > 65535) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "failover_partner %.128s is neither name nor name,port", name);
    }
    memcpy(host, name, n);
    host[n] = '\0';
    *out = *settings;
    out->host = host;
    out->port = port;
    out->instance = comma != NULL ? NULL : settings->instance;
    out->failover_partner = NULL;
    return SLUICE_OK;
}

sluice_status sluice_tds_settings_conf(const struct sluice_tds_settings *s, char *out, size_t size,
                                       struct sluice_error *err)
{
    static const char *const levels[] = {"require", "off", "request"};
    char place[64];
    const int required = s->encrypt == SLUICE_TDS_ENCRYPT_REQUIRE;
    const char *const ca = s->ca_file != NULL ? s->ca_file : required ? "system" : NULL;
    (void)snprintf(place, sizeof place, "port = %lld", (long long)s->port);
    const int n =
        snprintf(out, size,
                 "[sluice]\nhost = %s\n%s%s\ntds version = 7.4\nclient charset = UTF-8\n"
                 "text size = 2147483647\nencryption = %s\n%s%s%scheck certificate hostname = %s\n"
                 "read-only intent = %s\n",
                 s->host, s->instance != NULL ? "instance = " : "",
                 s->instance != NULL ? s->instance : place, levels[s->encrypt],
                 ca != NULL ? "ca file = " : "", ca != NULL ? ca : "", ca != NULL ? "\n" : "",
                 s->verify_host ? "yes" : "no",
                 s->application_intent == SLUICE_TDS_INTENT_READ_ONLY ? "yes" : "no");
    if (n < 0 || (size_t)n >= size) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "the server's names are too long");
    }
    return SLUICE_OK;
}
