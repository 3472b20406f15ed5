/* Connection parameters: what wins, TLS by default, what is refused. */
#include "pg/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests.h"

static const char *value_of(const struct sluice_pg_params *p, const char *key)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (strcmp(p->keys[i], key) == 0) {
            return p->values[i];
        }
    }
    return "";
}

static struct sluice_pg_settings base(void)
{
    struct sluice_pg_settings s = {.sslrootcert = "system",
                                   .application_name = "sluice",
                                   .connect_timeout_us = 1000000,
                                   .keepalives_idle_us = 30000000,
                                   .keepalives_interval_us = 10000000,
                                   .keepalives_count = 3,
                                   .tcp_user_timeout_us = 60000000,
                                   .lock_timeout_us = 60000000};
    return s;
}

static void expect_mode(const char *host, int64_t sslmode, const char *uri, const char *expected)
{
    struct sluice_pg_settings s = base();
    struct sluice_pg_params p;
    s.host = host;
    s.sslmode = sslmode;
    s.uri = uri;
    assert_int_equal(sluice_pg_params_make(&s, &p, NULL), SLUICE_OK);
    assert_string_equal(value_of(&p, "sslmode"), expected);
    assert_null(p.keys[p.count]);
    sluice_pg_params_free(&p);
}

static void tls_modes(void **state)
{
    (void)state;
    expect_mode("db.example.com", 0, NULL, "verify-full");
    expect_mode("10.0.0.1", 0, NULL, "verify-full");
    expect_mode("127.0.0.1.evil.example", 0, NULL, "verify-full");
    expect_mode("localhost.example", 0, NULL, "verify-full");
    expect_mode("localhost,db.example.com", 0, NULL, "verify-full");
    expect_mode("localhost", 0, NULL, "prefer");
    expect_mode("127.0.0.1", 0, NULL, "prefer");
    expect_mode("::1", 0, NULL, "prefer");
    expect_mode("/run/postgresql", 0, NULL, "prefer");
    expect_mode(NULL, 0, NULL, "prefer");
    expect_mode("localhost,/tmp", 0, NULL, "prefer");
    expect_mode("db.example.com", 4, NULL, "require");
    expect_mode(NULL, 0, "postgresql://u:p@db.example.com/x", "verify-full");
    expect_mode(NULL, 0, "postgresql://u:p@db.example.com/x?sslmode=require", "require");
    expect_mode(NULL, 0, "postgresql://u:p@localhost/x?hostaddr=10.0.0.1", "verify-full");
    expect_mode(NULL, 6, "host=localhost", "verify-full");
    assert_int_equal(setenv("PGHOST", "db.example.com", 1), 0);
    expect_mode(NULL, 0, NULL, "verify-full");
    assert_int_equal(unsetenv("PGHOST"), 0);
}

static void services(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        const char *expected;
    } cases[] = {{"host=10.255.255.1\n", "verify-full"},
                 {"host=10.255.255.1\nsslmode=require\n", "require"},
                 {"host=/nowhere\n", "prefer"}};
    char path[] = "/tmp/sluice-service-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(setenv("PGSERVICEFILE", path, 1), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sluice_pg_settings s = base();
        struct sluice_pg_params p;
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fprintf(file, "[it]\n%s", cases[i].lines) > 0);
        assert_int_equal(fclose(file), 0);
        s.service = "it";
        assert_int_equal(sluice_pg_params_make(&s, &p, NULL), SLUICE_OK);
        assert_string_equal(value_of(&p, "sslmode"), cases[i].expected);
        sluice_pg_params_free(&p);
    }
    assert_int_equal(unsetenv("PGSERVICEFILE"), 0);
    assert_int_equal(unlink(path), 0);
}

static void options_win(void **state)
{
    (void)state;
    struct sluice_pg_settings s = base();
    struct sluice_pg_params p;
    s.uri = "postgresql://u:secret@localhost:5433/"
            "x?options=-c%20datestyle%3DSQL&application_name=other";
    s.user = "me";
    s.port = 6000;
    assert_int_equal(sluice_pg_params_make(&s, &p, NULL), SLUICE_OK);
    assert_string_equal(value_of(&p, "user"), "me");
    assert_string_equal(value_of(&p, "port"), "6000");
    assert_string_equal(value_of(&p, "password"), "secret");
    assert_string_equal(value_of(&p, "dbname"), "x");
    assert_string_equal(value_of(&p, "client_encoding"), "UTF8");
    const char *options = value_of(&p, "options");
    const char *theirs = strstr(options, "datestyle=SQL");
    const char *ours = strstr(options, "datestyle=ISO");
    assert_non_null(theirs);
    assert_non_null(ours);
    assert_true(theirs < ours);
    assert_null(strstr(p.where, "secret"));
    sluice_pg_params_free(&p);
}

static void refused(void **state)
{
    (void)state;
    struct sluice_pg_settings s = base();
    struct sluice_pg_params p;
    struct sluice_error err = SLUICE_ERROR_INIT;
    s.sslkey = "engine:key";
    assert_int_equal(sluice_pg_params_make(&s, &p, &err), SLUICE_E_INVALID);
    s = base();
    s.uri = "postgresql://u:p@h/x?sslkey=pkcs11:key";
    assert_int_equal(sluice_pg_params_make(&s, &p, &err), SLUICE_E_INVALID);
    s.uri = "postgresql://u:hunter%2@h/x";
    assert_int_equal(sluice_pg_params_make(&s, &p, &err), SLUICE_E_INVALID);
    assert_null(strstr(err.message, "hunter"));
    s.uri = "host=h passwort=hunter2";
    assert_int_equal(sluice_pg_params_make(&s, &p, &err), SLUICE_E_INVALID);
    assert_null(strstr(err.message, "hunter"));
}

int pg_test_settings(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tls_modes), cmocka_unit_test(services),
                                       cmocka_unit_test(options_win), cmocka_unit_test(refused)};
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
