/* core/connect without a server: URLs, paths, and what stack traces come down to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "connect/cause.h"
#include "connect/client.h"

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        int good;
    } cases[] = {{"http://127.0.0.1:8083", 1},
                 {"https://connect.example.org/team/", 1},
                 {"HTTP://h", 1},
                 {"http://[::1]:8083", 1},
                 {"ftp://h", 0},
                 {"h:8083", 0},
                 {"http://", 0},
                 {"http:///x", 0},
                 {"http://:8083", 0},
                 {"http://h/a b", 0},
                 {"http://h/?q", 0},
                 {"http://user:secret@h:8083", 0},
                 {"http://h/a@b", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sluice_error err = SLUICE_ERROR_INIT;
        struct sluice_connect_client *client = NULL;
        const struct sluice_connect_settings settings = {.url = cases[i].url,
                                                         .timeout_us = 1000000};
        const sluice_status status = sluice_connect_open(&settings, NULL, &client, &err);
        assert_int_equal(status, cases[i].good ? SLUICE_OK : SLUICE_E_INVALID);
        assert_null(strstr(err.message, "secret"));
        sluice_connect_close(client);
    }
}

static void paths(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *path;
    } cases[] = {{"plain-1.x_~", "/connectors/plain-1.x_~/status"},
                 {"a b/\xc3\xbc?", "/connectors/a%20b%2F%C3%BC%3F/status"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = sluice_connect_path(cases[i].name, "/status");
        assert_string_equal(path, cases[i].path);
        sluice_free(path);
    }
}

static void causes(void **state)
{
    (void)state;
    static const struct {
        const char *trace;
        const char *cause;
        const char *remedy; /* part of it; NULL = none */
    } cases[] = {
        {"", "", NULL},
        {"java.lang.IllegalStateException", "IllegalStateException", NULL},
        {"no trace at all", "no trace at all", NULL},
        {"org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n"
         "\tat org.apache.kafka.connect.runtime.WorkerTask.run(WorkerTask.java:298)\n"
         "Caused by: org.apache.kafka.connect.errors.DataException: JsonConverter with "
         "schemas.enable requires \"schema\" and \"payload\" fields\n"
         "\tat org.apache.kafka.connect.json.JsonConverter.toConnectData(JsonConverter.java:1)",
         "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields",
         "schemas.enable: false"},
        {"io.debezium.DebeziumException: Couldn't obtain encoding for database hr\n\tat io.x.y\n"
         "Caused by: org.postgresql.util.PSQLException: FATAL: password authentication failed for "
         "user \"dbz\"\n\tat org.x",
         "FATAL: password authentication failed for user \"dbz\"", "database.password"},
        {"org.apache.kafka.connect.errors.ConnectException: It failed\nCaused by: "
         "org.postgresql.util.PSQLException: ERROR: replication slot \"s\" is active for PID 71\n"
         "Caused by: java.io.EOFException\n\tat a.b",
         "ERROR: replication slot \"s\" is active for PID 71", "slot.name of its own"},
        {"java.util.ServiceConfigurationError: com.x.Module: com.y.Blackbird not a subtype\n\tat a",
         "com.x.Module: com.y.Blackbird not a subtype", "jackson"},
        {"java.lang.NoClassDefFoundError: Could not initialize class org.hibernate.X\n\tat o.h",
         "Could not initialize class org.hibernate.X", "twice in two versions"},
        {"org.apache.kafka.connect.runtime.rest.errors.BadRequestException: Failed to find any "
         "class that implements Connector and which name matches no.X, available connectors are: "
         "PluginDesc{klass=a}",
         "Failed to find any class that implements Connector and which name matches no.X",
         "plugin.path"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[SLUICE_CONNECT_CAUSE_MAX];
        const char *remedy = NULL;
        sluice_connect_cause(cases[i].trace, out, &remedy);
        assert_string_equal(out, cases[i].cause);
        assert_int_equal(remedy != NULL, cases[i].remedy != NULL);
        if (remedy != NULL) {
            assert_non_null(strstr(remedy, cases[i].remedy));
        }
    }
    /* Cut, not overrun. */
    char trace[4096];
    char out[SLUICE_CONNECT_CAUSE_MAX];
    const char *remedy = NULL;
    memset(trace, 'x', sizeof trace - 1);
    trace[sizeof trace - 1] = '\0';
    sluice_connect_cause(trace, out, &remedy);
    assert_int_equal(strlen(out), SLUICE_CONNECT_CAUSE_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(urls), cmocka_unit_test(paths),
                                       cmocka_unit_test(causes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
