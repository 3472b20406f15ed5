/* Quoting and UTF-8 validation. */
#include "pg/text.h"

#include "tests.h"

static void quoting(void **state)
{
    (void)state;
    struct sluice_pg_text t = {0};
    sluice_pg_text_ident(&t, "a\"b; drop");
    assert_string_equal(t.data, "\"a\"\"b; drop\"");
    sluice_pg_text_clear(&t);
    sluice_pg_text_literal(&t, "it's \\");
    assert_string_equal(t.data, "'it''s \\'");
    sluice_pg_text_clear(&t);
    sluice_pg_text_array_item(&t, "a\"\\{,");
    assert_string_equal(t.data, "\"a\\\"\\\\{,\"");
    sluice_pg_text_clear(&t);
    sluice_pg_text_json_string(&t, "\x01\"");
    assert_string_equal(t.data, "\"\\u0001\\\"\"");
    assert_int_equal(sluice_pg_text_check(&t, NULL), SLUICE_OK);
    sluice_pg_text_free(&t);
}

static void utf8(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        int valid;
    } cases[] = {{"", 1},
                 {"61", 1},
                 {"6162636465666768696a", 1},
                 {"00", 0},
                 {"6162636465660068696a", 0},
                 {"7f", 1},
                 {"80", 0},
                 {"c3a4", 1},
                 {"c080", 0},
                 {"c1bf", 0},
                 {"c3", 0},
                 {"e0a080", 1},
                 {"e09fbf", 0},
                 {"eda080", 0},
                 {"ed9fbf", 1},
                 {"efbfbf", 1},
                 {"e282", 0},
                 {"f0908080", 1},
                 {"f08fbfbf", 0},
                 {"f48fbfbf", 1},
                 {"f4908080", 0},
                 {"f5808080", 0},
                 {"6162636465666768e9", 0},
                 {"61626364656667c3a4", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[32];
        size_t size = pg_test_unhex(cases[i].hex, bytes, sizeof bytes);
        if (sluice_pg_utf8_valid(bytes, size) != cases[i].valid) {
            fail_msg("%s", cases[i].hex);
        }
    }
}

int pg_test_text(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(quoting), cmocka_unit_test(utf8)};
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
