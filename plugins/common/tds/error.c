#include "tds/error.h"

#include <sybfront.h>

#include <stdio.h>
#include <sybdb.h>

struct rule {
    int32_t number;
    sluice_status status;
    uint32_t flags;
    const char *hint;
};

/* Numbers: "Database Engine events and errors" of Microsoft's documentation. */
static const struct rule rules[] = {
    {18456, SLUICE_E_AUTH, SLUICE_ERROR_FATAL, "check user and password"},
    {18452, SLUICE_E_AUTH, SLUICE_ERROR_FATAL, "check user and password; is the domain trusted?"},
    {4060, SLUICE_E_NOT_FOUND, SLUICE_ERROR_FATAL,
     "check option database; the login needs a user in it"},
    {4064, SLUICE_E_NOT_FOUND, SLUICE_ERROR_FATAL,
     "ALTER LOGIN … WITH DEFAULT_DATABASE = one that is there"},
    {911, SLUICE_E_NOT_FOUND, SLUICE_ERROR_FATAL, "check option database"},
    {208, SLUICE_E_NOT_FOUND, 0, NULL},
    {207, SLUICE_E_SCHEMA, 0, NULL},
    {229, SLUICE_E_PERMISSION, 0, "GRANT what is missing to the login's user"},
    {230, SLUICE_E_PERMISSION, 0, "GRANT what is missing to the login's user"},
    {262, SLUICE_E_PERMISSION, 0, "GRANT what is missing to the login's user"},
    {1205, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, NULL}, /* deadlock victim */
    {1222, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, NULL}, /* lock timeout */
    {3960, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, NULL}, /* snapshot update conflict */
    {3952, SLUICE_E_UNSUPPORTED, 0,
     "ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON, or isolation: read_committed"},
    {601, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, NULL}, /* data moved under a scan */
    {701, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, NULL}, /* memory */
    {9002, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE,
     "back the log up or give it room; sys.databases.log_reuse_wait_desc says what holds it"},
    {40613, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL},
    {40197, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL},
    {40501, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL},
    {40143, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL},
    {40540, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL},
    {49918, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL},
    {49919, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL},
    {49920, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL},
    {10928, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL}, /* workers of Azure SQL */
    {10929, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL},
    {954, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, "the database is a mirror here"},
    {976, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
     "a secondary that is not readable, or only with application_intent: read_only"},
    {978, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, "application_intent: read_only is needed"},
    {983, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, "its replica is changing its role"},
    {924, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
     "it is in SINGLE_USER mode: ALTER DATABASE … SET MULTI_USER"},
    {927, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, "wait for the restore to end"},
    {942, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, "the database is offline"},
    {945, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, "see the server's error log"},
    {952, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, "its state is being changed"},
    {17142, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, "the service is paused"},
    {17809, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, "raise the server's 'user connections'"},
    {18470, SLUICE_E_AUTH, SLUICE_ERROR_FATAL, "ALTER LOGIN … ENABLE"},
    {18486, SLUICE_E_AUTH, SLUICE_ERROR_FATAL, "ALTER LOGIN … WITH PASSWORD = '…' UNLOCK"},
    {220, SLUICE_E_DATA, 0, NULL}, /* this and the next: a value that an expression cannot take */
    {241, SLUICE_E_DATA, 0, NULL},
    {242, SLUICE_E_DATA, 0, NULL},
    {245, SLUICE_E_DATA, 0, NULL},
    {248, SLUICE_E_DATA, 0, NULL},
    {8114, SLUICE_E_DATA, 0, NULL},
    {8115, SLUICE_E_DATA, 0, NULL},
    {8134, SLUICE_E_DATA, 0, NULL},
    {2627, SLUICE_E_DATA, 0, NULL},
    {2601, SLUICE_E_DATA, 0, NULL},
    {547, SLUICE_E_DATA, 0, NULL},
    {515, SLUICE_E_DATA, 0, NULL},
    {8152, SLUICE_E_DATA, 0, NULL},
    {2628, SLUICE_E_DATA, 0, NULL},
    {17300, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, "the server has too many sessions"},
    {18461, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, "start the server without -m"},
    {18401, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL}, /* upgrade is running */
    {1101, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, "add a file to the filegroup, or room to one"},
    {1105, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, "add a file to the filegroup, or room to one"},
    {18487, SLUICE_E_AUTH, SLUICE_ERROR_FATAL, "the password has expired"},
    {18488, SLUICE_E_AUTH, SLUICE_ERROR_FATAL, "the password must be changed"},
    {6005, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL}, /* shutdown in progress */
    {6006, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL},
};

/* All that db-lib tells of a login that fails without a word of the server. */
static const char *login_hint(int32_t client)
{
    switch (client) {
    case SYBEUHST:
        return "check option host";
    case SYBECONN:
    case SYBESOCK:
        return "check options host, port and instance; is the server up?";
    case SYBEFCON: /* TLS, or a reply that is none */
        return "check options host, port and encrypt; with encrypt: require the server needs a "
               "certificate that ca_file verifies, of this host and not expired";
    case SYBESEOF:
        return "check options host, port and encrypt: the server hung up, as one that wants "
               "encrypt: require, or is no SQL Server";
    default:
        return "check options host, port and encrypt";
    }
}

static struct rule rule_of(const struct sluice_tds_message *m)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (m->number == rules[i].number) {
            return rules[i];
        }
    }
    if (m->number == 0) { /* the connection, or what we did with it */
        return (struct rule){0, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
                             m->in_login ? login_hint(m->client) : NULL};
    }
    if (m->severity >= 20) { /* the server ends the connection with it */
        return (struct rule){m->number, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL};
    }
    return (struct rule){m->number, SLUICE_E_IO, 0, NULL};
}

sluice_status sluice_tds_error(struct sluice_error *err, const struct sluice_tds_message *m,
                               const char *what)
{
    const struct rule rule = rule_of(m);
    char number[48] = "";
    if (m->number != 0) {
        (void)snprintf(number, sizeof number, " (error %d, severity %d, state %d)", m->number,
                       m->severity, m->state);
    }
    sluice_status status =
        sluice_error_set(err, rule.status, rule.flags, "%s: %s%s%s%s%s", what,
                         m->text[0] != '\0' ? m->text : "the connection to the server is lost",
                         number, rule.hint != NULL ? " (hint: " : "",
                         rule.hint != NULL ? rule.hint : "", rule.hint != NULL ? ")" : "");
    if (err != NULL) {
        err->native_code = m->number;
    }
    return status;
}
