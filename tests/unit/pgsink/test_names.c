/* Names of targets: what fits stays, what does not is refused or hashed, never cut. */
#include <stdlib.h>

#include "table.h"
#include "tests.h"

static void fits(void **state)
{
    char *out = NULL;
    const char name[] = "x23456789 123456789 123456789 123456789 123456789 123456789 123";
    (void)state;
    assert_int_equal(strlen(name), 63);
    assert_int_equal(sluice_pgsink_name_fit("t", name, 0, &out, NULL), SLUICE_OK);
    assert_string_equal(out, name);
    free(out);
}

static void too_long(void **state)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    char *out = NULL;
    char *other = NULL;
    char name[80];
    (void)state;
    memset(name, 'n', sizeof name);
    name[70] = '\0';
    assert_int_equal(sluice_pgsink_name_fit("the table", name, 0, &out, &err), SLUICE_E_INVALID);
    assert_null(out);
    assert_non_null(strstr(err.message, "70 bytes"));
    assert_non_null(strstr(err.message, "long_names: hash"));
    assert_int_equal(sluice_pgsink_name_fit("the table", name, 1, &out, NULL), SLUICE_OK);
    assert_int_equal(strlen(out), 63);
    /* Names that are the same for 63 bytes are not the same table. */
    name[69] = 'm';
    assert_int_equal(sluice_pgsink_name_fit("the table", name, 1, &other, NULL), SLUICE_OK);
    assert_string_not_equal(out, other);
    assert_memory_equal(out, other, 46);
    free(out);
    free(other);
}

/* A hash stands behind whole characters. */
static void cut_at_a_character(void **state)
{
    char *out = NULL;
    char name[100] = "";
    (void)state;
    for (int i = 0; i < 45; i++) {
        name[i] = 'a';
    }
    for (int i = 45; i < 90; i += 3) {
        memcpy(name + i, "\xe2\x82\xac", 3);
    }
    assert_int_equal(sluice_pgsink_name_fit("t", name, 1, &out, NULL), SLUICE_OK);
    assert_int_equal(strlen(out), 45 + 17);
    assert_int_equal(out[45], '_');
    free(out);
}

static void empty(void **state)
{
    char *out = NULL;
    (void)state;
    assert_int_equal(sluice_pgsink_name_fit("t", "", 1, &out, NULL), SLUICE_E_INVALID);
}

int pgsink_test_names(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits),
        cmocka_unit_test(too_long),
        cmocka_unit_test(cut_at_a_character),
        cmocka_unit_test(empty),
    };
    return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
