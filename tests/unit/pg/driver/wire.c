/*
 * pg_wire: plugins/common/pg against a real server, without the source around it.
 *
 *     pg_wire values key=value …
 *         Reads queries from standard input, one a line. Fetches each in text and in binary form,
 *         decodes both, and compares the columns bit by bit. Columns without a binary form: what the
 *         select expression gives is compared with the text of the type's output function.
 *     pg_wire stream key=value … slot=S publications=P [do=COMMAND …]
 *         Runs the commands on a replication connection, prints their rows, and if a slot is named
 *         streams: one line per message. See stream.c for more keys.
 *
 * Keys of the connection: host port database user password lock_timeout_ms.
 */
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pg_test_host host;

const struct sluice_host *wire_host(void)
{
    return &host.table;
}

const char *wire_get(char *const *args, const char *key)
{
    size_t n = strlen(key);
    for (; *args != NULL; args++) {
        if (strncmp(*args, key, n) == 0 && (*args)[n] == '=') {
            return *args + n + 1;
        }
    }
    return NULL;
}

int wire_complain(const char *what, const struct sluice_error *err)
{
    (void)fprintf(stderr, "%s: %s%s: %s [%s]\n", what, sluice_status_name(err->status),
                  (err->flags & SLUICE_ERROR_RETRYABLE) != 0 ? " (retryable)" : "", err->message,
                  err->sqlstate);
    return 1;
}

int main(int argc, char **argv)
{
    static const struct sluice_option *const options[] = {NULL};
    if (argc < 2 || !pg_test_host_init(&host, options, NULL)) {
        return 2;
    }
    char *const *args = argv + 2;
    const char *port = wire_get(args, "port");
    const char *lock_timeout = wire_get(args, "lock_timeout_ms");
    struct sluice_pg_settings settings = {
        .host = wire_get(args, "host"),
        .port = port != NULL ? strtol(port, NULL, 10) : 0,
        .database = wire_get(args, "database"),
        .user = wire_get(args, "user"),
        .password = wire_get(args, "password"),
        .connect_timeout_us = 10000000,
        .keepalives_idle_us = 30000000,
        .keepalives_interval_us = 10000000,
        .keepalives_count = 3,
        .tcp_user_timeout_us = 60000000,
        .lock_timeout_us = lock_timeout != NULL ? strtol(lock_timeout, NULL, 10) * 1000 : 10000000,
    };
    struct sluice_pg_registry *registry = sluice_pg_registry_create();
    int rc = 2;
    if (registry != NULL && strcmp(argv[1], "values") == 0) {
        rc = wire_values(&settings, registry);
    }
    else if (registry != NULL && strcmp(argv[1], "stream") == 0) {
        rc = wire_stream(&settings, registry, args);
    }
    sluice_pg_registry_destroy(registry);
    pg_test_host_free(&host);
    return rc;
}
