/* Classification of server and connection errors. */
#include "pg/error.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct class_row {
    const char *prefix; /* of the SQLSTATE; the longest match wins, so longer ones come first */
    struct sluice_pg_class class_of;
};

static const struct class_row class_rows[] = {
    {"57P03",
     {SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
      "the server is starting, stopping or recovering"}},
    {"57P01", {SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, NULL}},
    {"57P02", {SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, NULL}},
    {"57P04", {SLUICE_E_NOT_FOUND, 0, "the database was dropped"}},
    {"57P05", {SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, NULL}},
    {"57014",
     {SLUICE_E_TIMEOUT, SLUICE_ERROR_RETRYABLE,
      "someone cancelled the statement, or option statement_timeout is too small"}},
    {"25P03", {SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, NULL}},
    {"25P04", {SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, NULL}},
    {"25006", {SLUICE_E_UNSUPPORTED, 0, "sessions of this source are read-only"}},
    {"28P01", {SLUICE_E_AUTH, 0, "check options user and password"}},
    {"28000",
     {SLUICE_E_AUTH, 0,
      "check option user and the server's pg_hba.conf, or the role's LOGIN right"}},
    {"3D000", {SLUICE_E_NOT_FOUND, 0, "check option database"}},
    {"40001",
     {SLUICE_E_IO, SLUICE_ERROR_RETRYABLE,
      "on a standby: raise max_standby_streaming_delay or set hot_standby_feedback = on"}},
    {"40P01", {SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, NULL}},
    {"42501", {SLUICE_E_PERMISSION, 0, "grant SELECT on the table and USAGE on its schema"}},
    {"42601", {SLUICE_E_INVALID, 0, "check the where condition of the table"}},
    {"42", {SLUICE_E_SCHEMA, 0, "the table was changed, or its where condition does not fit it"}},
    {"3F000", {SLUICE_E_SCHEMA, 0, "the schema does not exist"}},
    {"53300",
     {SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, "lower parallelism or raise max_connections"}},
    {"53200",
     {SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
      "the server is out of memory, or of lock slots: raise max_locks_per_transaction"}},
    {"53", {SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, NULL}},
    {"54", {SLUICE_E_LIMIT, 0, "the row or value is larger than the server can send"}},
    {"55P03",
     {SLUICE_E_TIMEOUT, SLUICE_ERROR_RETRYABLE,
      "another session holds a lock on the table; see option lock_timeout"}},
    {"55000", {SLUICE_E_STATE, 0, NULL}},
    {"55006",
     {SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
      "another session uses the object; a session of ours that broke ends by itself within "
      "wal_sender_timeout"}},
    {"22021", {SLUICE_E_DATA, 0, "a text value is not valid in the database's encoding"}},
    {"22P05",
     {SLUICE_E_DATA, 0, "a text value has no counterpart in UTF-8; exclude or repair the column"}},
    {"22", {SLUICE_E_DATA, 0, NULL}},
    {"P0", {SLUICE_E_DATA, 0, NULL}},
    {"08P01",
     {SLUICE_E_UNSUPPORTED, 0,
      "something between us and the server (a connection pooler?) does not pass the protocol: "
      "connect to "
      "PostgreSQL directly"}},
    {"08", {SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, NULL}},
    {"HV00N", {SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, "the foreign server is unreachable"}},
    {"0A", {SLUICE_E_UNSUPPORTED, 0, NULL}},
    {"XX001", {SLUICE_E_DATA, 0, "the table's storage is damaged"}},
    {"XX002", {SLUICE_E_DATA, 0, "an index is damaged"}},
};

struct sluice_pg_class sluice_pg_classify(const char *sqlstate)
{
    struct sluice_pg_class unknown = {SLUICE_E_IO, 0, NULL};
    if (sqlstate == NULL) {
        return unknown;
    }
    for (size_t i = 0; i < sizeof class_rows / sizeof class_rows[0]; i++) {
        if (strncmp(sqlstate, class_rows[i].prefix, strlen(class_rows[i].prefix)) == 0) {
            return class_rows[i].class_of;
        }
    }
    return unknown;
}

static void set_sqlstate(struct sluice_error *err, const char *sqlstate)
{
    if (err != NULL && sqlstate != NULL) {
        (void)snprintf(err->sqlstate, sizeof err->sqlstate, "%.5s", sqlstate);
    }
}

/* One line of at most cap - 1 bytes: line ends become "; ", blanks at both ends go. */
static void one_line(const char *text, char *out, size_t cap)
{
    size_t n = 0;
    while (*text != '\0' && isspace((unsigned char)*text)) {
        text++;
    }
    for (; *text != '\0' && n + 3 < cap; text++) {
        if (*text == '\n') {
            while (isspace((unsigned char)text[1])) {
                text++;
            }
            if (text[1] != '\0') {
                out[n++] = ';';
                out[n++] = ' ';
            }
            continue;
        }
        out[n++] = (unsigned char)*text < 0x20 ? ' ' : *text;
    }
    out[n] = '\0';
}

sluice_status sluice_pg_error_result(struct sluice_error *err, const PGresult *result,
                                     const char *what)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    char text[512];
    one_line(primary != NULL ? primary : PQresultErrorMessage(result), text, sizeof text);
    if (sqlstate == NULL) {
        /* libpq made this result itself: the connection broke. */
        return sluice_pg_error_broken(err, what, text);
    }
    struct sluice_pg_class c = sluice_pg_classify(sqlstate);
    char hint_text[256] = "";
    if (c.hint != NULL || hint != NULL) {
        one_line(c.hint != NULL ? c.hint : hint, hint_text, sizeof hint_text);
    }
    (void)sluice_error_set(err, c.status, c.flags, "%s: %s (SQLSTATE %.5s)%s%s%s", what, text,
                           sqlstate, hint_text[0] != '\0' ? " (hint: " : "", hint_text,
                           hint_text[0] != '\0' ? ")" : "");
    set_sqlstate(err, sqlstate);
    return c.status;
}

/* Finds "XXXXX: " after the severity in a verbose message, as in "FATAL:  28P01: password …".
 * Severities are translated by the server, so only the shape counts. */
static const char *find_sqlstate(const char *text, const char **rest)
{
    for (const char *p = strstr(text, ":  "); p != NULL; p = strstr(p + 1, ":  ")) {
        const char *s = p + 3;
        size_t n = 0;
        while (n < 5 && (isupper((unsigned char)s[n]) || isdigit((unsigned char)s[n]))) {
            n++;
        }
        if (n == 5 && s[5] == ':' && s[6] == ' ') {
            *rest = s + 7;
            return s;
        }
    }
    return NULL;
}

sluice_status sluice_pg_error_connect(struct sluice_error *err, const char *what, const char *text)
{
    char line[640];
    const char *rest = NULL;
    const char *sqlstate = find_sqlstate(text, &rest);
    if (sqlstate != NULL) {
        char state[6];
        (void)snprintf(state, sizeof state, "%.5s", sqlstate);
        one_line(rest, line, sizeof line);
        char *location = strstr(line, "; LOCATION:");
        if (location != NULL) {
            *location = '\0';
        }
        struct sluice_pg_class c = sluice_pg_classify(state);
        if (strstr(line, "startup parameter") != NULL) {
            c.status = SLUICE_E_UNSUPPORTED;
            c.hint = "a connection pooler refuses our session settings: connect to PostgreSQL "
                     "directly";
        }
        (void)sluice_error_set(err, c.status, c.flags, "%s: %s (SQLSTATE %s)%s%s%s", what, line,
                               state, c.hint != NULL ? " (hint: " : "",
                               c.hint != NULL ? c.hint : "", c.hint != NULL ? ")" : "");
        set_sqlstate(err, state);
        return c.status;
    }
    one_line(text, line, sizeof line);
    if (strstr(line, "certificate") != NULL || strstr(line, "does not match host name") != NULL) {
        return sluice_error_set(err, SLUICE_E_AUTH, 0,
                                "%s: %s (hint: options sslrootcert and sslmode say which servers "
                                "to trust)",
                                what, line);
    }
    if (strstr(line, "server does not support SSL") != NULL) {
        return sluice_error_set(err, SLUICE_E_AUTH, 0,
                                "%s: %s (hint: turn TLS on at the server, or allow an unencrypted "
                                "connection with option sslmode: prefer)",
                                what, line);
    }
    if (strstr(line, "no password supplied") != NULL) {
        return sluice_error_set(err, SLUICE_E_AUTH, 0, "%s: %s (hint: set option password)", what,
                                line);
    }
    return sluice_error_set(err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
                            "%s: %s (hint: check options host and port, and that the server runs)",
                            what, line);
}

sluice_status sluice_pg_error_broken(struct sluice_error *err, const char *what, const char *text)
{
    char line[640];
    one_line(text, line, sizeof line);
    return sluice_error_set(err, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, "%s: connection lost: %s",
                            what, line[0] != '\0' ? line : "closed by the server");
}

/* The server has no code of its own for log that is gone: XX000, or that of a file not found. */
static int is_log_gone(const struct sluice_error *err)
{
    return err != NULL && strstr(err->message, "WAL segment") != NULL &&
           strstr(err->message, "has already been removed") != NULL;
}

/* Seen beside ALTER TABLE and TRUNCATE (15.18): the decoder's old view of the catalog has no name for
   a file of rows. A new session builds that view anew, from the slot's restart_lsn. */
static int is_catalog_race(const struct sluice_error *err)
{
    return err != NULL && strcmp(err->sqlstate, "XX000") == 0 &&
           strstr(err->message, "could not map filenode") != NULL;
}

sluice_status sluice_pg_error_replication(struct sluice_error *err, sluice_status status)
{
    if (is_log_gone(err)) {
        err->status = SLUICE_E_POSITION_LOST;
        err->flags = SLUICE_ERROR_FATAL;
        (void)sluice_error_wrap(err, "the log that the slot needs is gone: changes are lost");
        size_t used = strlen(err->message);
        (void)snprintf(err->message + used, sizeof err->message - used,
                       " (hint: begin anew: sluice state reset FILE, then sluice run FILE)");
        return SLUICE_E_POSITION_LOST;
    }
    if (is_catalog_race(err)) {
        err->flags = SLUICE_ERROR_RETRYABLE;
        return err->status;
    }
    static const struct {
        const char *sqlstate;
        const char *hint;
    } hints[] = {
        {"42501", "ALTER ROLE … REPLICATION, and GRANT CONNECT ON DATABASE"},
        {"42601", "this version of the server does not know the command"},
        {"42704", "it was dropped, or options slot and publication name others"},
        {"53300", "raise max_wal_senders"},
        {"53400", "drop a slot that is not needed any more, or raise max_replication_slots"},
    };
    for (size_t i = 0; err != NULL && i < sizeof hints / sizeof hints[0]; i++) {
        if (strcmp(err->sqlstate, hints[i].sqlstate) == 0) {
            char *old = strstr(err->message, " (hint: ");
            if (old != NULL) {
                *old = '\0';
            }
            size_t used = strlen(err->message);
            size_t room = sizeof err->message - used;
            if (strlen(hints[i].hint) + sizeof " (hint: )" <= room) {
                (void)snprintf(err->message + used, room, " (hint: %s)", hints[i].hint);
            }
        }
    }
    return status;
}
