/* Classification of SQLSTATEs and of messages of refused connections. */
#include "pg/error.h"

#include "tests.h"

static void classes(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        sluice_status status;
        uint32_t flags;
    } cases[] = {
        {"28P01", SLUICE_E_AUTH, 0},
        {"42501", SLUICE_E_PERMISSION, 0},
        {"3D000", SLUICE_E_NOT_FOUND, 0},
        {"42P01", SLUICE_E_SCHEMA, 0},
        {"42703", SLUICE_E_SCHEMA, 0},
        {"42601", SLUICE_E_INVALID, 0},
        {"57014", SLUICE_E_TIMEOUT, SLUICE_ERROR_RETRYABLE},
        {"57P01", SLUICE_E_IO, SLUICE_ERROR_RETRYABLE},
        {"57P03", SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE},
        {"08006", SLUICE_E_IO, SLUICE_ERROR_RETRYABLE},
        {"40001", SLUICE_E_IO, SLUICE_ERROR_RETRYABLE},
        {"53300", SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE},
        {"54000", SLUICE_E_LIMIT, 0},
        {"22021", SLUICE_E_DATA, 0},
        {"55006", SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE},
        {"55P03", SLUICE_E_TIMEOUT, SLUICE_ERROR_RETRYABLE},
        {"XX000", SLUICE_E_IO, 0},
        {NULL, SLUICE_E_IO, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sluice_pg_class c = sluice_pg_classify(cases[i].sqlstate);
        assert_int_equal(c.status, cases[i].status);
        assert_int_equal(c.flags, cases[i].flags);
    }
}

static void refused_connections(void **state)
{
    (void)state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    static const char fatal[] =
        "connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  28P01: password "
        "authentication failed for user \"u\"\nLOCATION:  auth_failed, auth.c:331\n";
    assert_int_equal(sluice_pg_error_connect(&err, "connect", fatal), SLUICE_E_AUTH);
    assert_string_equal(err.sqlstate, "28P01");
    assert_non_null(strstr(err.message, "password authentication failed"));
    assert_null(strstr(err.message, "LOCATION"));
    assert_null(strchr(err.message, '\n'));
    /* The severity's word is the server's language. */
    assert_int_equal(sluice_pg_error_connect(&err, "connect", "connection failed: FATAL : x"),
                     SLUICE_E_UNAVAILABLE);
    assert_int_equal(
        sluice_pg_error_connect(&err, "connect", "FATALE:  3D000: la base n'existe pas\n"),
        SLUICE_E_NOT_FOUND);
    assert_int_equal(
        sluice_pg_error_connect(
            &err, "connect",
            "connection to server at \"h\", port 1 failed: Connection refused\n"
            "\tIs the server running on that host and accepting TCP/IP connections?\n"),
        SLUICE_E_UNAVAILABLE);
    assert_int_equal(err.flags, SLUICE_ERROR_RETRYABLE);
    assert_int_equal(
        sluice_pg_error_connect(&err, "connect", "SSL error: certificate verify failed\n"),
        SLUICE_E_AUTH);
    assert_int_equal(err.flags, 0);
    assert_int_equal(
        sluice_pg_error_connect(&err, "connect",
                                "FATAL:  08P01: unsupported startup parameter: options\n"),
        SLUICE_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "pooler"));
}

/* The server removed log that the slot needs: no try again brings it back. */
static void log_that_is_gone(void **state)
{
    (void)state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status st =
        sluice_error_set(&err, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE,
                         "read changes: requested WAL segment 000000010000000000000015 "
                         "has already been removed (SQLSTATE XX000)");
    assert_int_equal(sluice_pg_error_replication(&err, st), SLUICE_E_POSITION_LOST);
    assert_int_equal(err.status, SLUICE_E_POSITION_LOST);
    assert_int_equal(err.flags, SLUICE_ERROR_FATAL);
    assert_non_null(strstr(err.message, "000000010000000000000015"));
    assert_non_null(strstr(err.message, "(hint: begin anew: sluice state reset FILE"));
}

/* The decoder's view of an old catalog; a new session has another one. */
static void a_race_of_the_catalog(void **state)
{
    (void)state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status st = sluice_error_set(&err, SLUICE_E_INTERNAL, 0,
                                        "read changes: could not map filenode "
                                        "\"base/26692/27182\" to relation OID (SQLSTATE XX000)");
    memcpy(err.sqlstate, "XX000", 6);
    assert_int_equal(sluice_pg_error_replication(&err, st), SLUICE_E_INTERNAL);
    assert_int_equal(err.flags, SLUICE_ERROR_RETRYABLE);
}

static void replication_hints(void **state)
{
    (void)state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status st = sluice_pg_error_connect(
        &err, "connect", "FATAL:  42501: must be superuser or replication role\n");
    assert_non_null(strstr(err.message, "grant SELECT"));
    assert_int_equal(sluice_pg_error_replication(&err, st), SLUICE_E_PERMISSION);
    assert_null(strstr(err.message, "grant SELECT"));
    assert_non_null(strstr(err.message, "replication role (SQLSTATE 42501) (hint: ALTER ROLE"));
    /* Others stay as they are; a message without room for a hint stays whole. */
    st = sluice_pg_error_connect(&err, "connect", "FATAL:  28P01: no\n");
    assert_int_equal(sluice_pg_error_replication(&err, st), SLUICE_E_AUTH);
    assert_non_null(strstr(err.message, "options user and password"));
    memset(err.message, 'x', sizeof err.message - 1);
    err.message[sizeof err.message - 1] = '\0';
    memcpy(err.sqlstate, "42704", 6);
    assert_int_equal(sluice_pg_error_replication(&err, SLUICE_E_SCHEMA), SLUICE_E_SCHEMA);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_int_equal(sluice_pg_error_replication(NULL, SLUICE_E_IO), SLUICE_E_IO);
}

int pg_test_error(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes), cmocka_unit_test(refused_connections),
        cmocka_unit_test(a_race_of_the_catalog), cmocka_unit_test(replication_hints),
        cmocka_unit_test(log_that_is_gone)};
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
