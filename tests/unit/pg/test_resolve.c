/* Looking up names before libpq does. */
#include "pg/resolve.h"

#include "host.h"
#include "tests.h"

#define SECOND INT64_C(1000000)

static void what_needs_no_name_service(void **state)
{
    (void)state;
    static const char *const lists[] = {"localhost", "127.0.0.1",
                                        "::1",       "/run/postgresql",
                                        "@abstract", "10.0.0.1,::1,/tmp,LOCALHOST",
                                        ""};
    struct pg_test_host host;
    struct sluice_error err = SLUICE_ERROR_INIT;
    const char *const none[] = {NULL};
    assert_true(pg_test_host_init(&host, NULL, none));
    pg_test_host_cancel(&host); /* a look-up would say so */
    assert_int_equal(sluice_pg_resolve(&host.table, NULL, SECOND, "connect", &err), SLUICE_OK);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        assert_int_equal(sluice_pg_resolve(&host.table, lists[i], SECOND, "connect", &err),
                         SLUICE_OK);
    }
    assert_int_equal(
        sluice_pg_resolve(&host.table, "127.0.0.1,db.invalid", SECOND, "connect", &err),
        SLUICE_E_CANCELLED);
    pg_test_host_free(&host);
}

static void names_that_are_not_there(void **state)
{
    (void)state;
    struct pg_test_host host;
    struct sluice_error err = SLUICE_ERROR_INIT;
    const char *const none[] = {NULL};
    assert_true(pg_test_host_init(&host, NULL, none));
    assert_int_equal(
        sluice_pg_resolve(&host.table, "a.invalid,b.invalid", 60 * SECOND, "connect", &err),
        SLUICE_E_UNAVAILABLE);
    assert_true((err.flags & SLUICE_ERROR_RETRYABLE) != 0);
    assert_non_null(strstr(err.message, "connect: could not translate host name \"b.invalid\""));
    /* One that is there is enough: libpq tries them all. */
    sluice_error_clear(&err);
    assert_int_equal(
        sluice_pg_resolve(&host.table, "a.invalid,127.0.0.1", 60 * SECOND, "connect", &err),
        SLUICE_OK);
    pg_test_host_free(&host);
}

int pg_test_resolve(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_needs_no_name_service),
                                       cmocka_unit_test(names_that_are_not_there)};
    return cmocka_run_group_tests_name("resolve", tests, NULL, NULL);
}
