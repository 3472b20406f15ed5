#include <stdlib.h>

#include "lake/keys.h"
#include "support.h"

static void check(const char *name, const char *want)
{
    char got[SLUICE_LAKE_SEGMENT_MAX + 1];
    assert_int_equal(sluice_lake_segment(name, got, NULL), SLUICE_OK);
    assert_string_equal(got, want);
}

static void segments(void **state)
{
    (void)state;
    check("public.department", "public.department");
    check("public.\"Order Details\"", "public.%22Order%20Details%22");
    check("\"a/../b\".t", "%22a%2F..%2Fb%22.t");
    check(".", "%2E");
    check("..", "%2E%2E");
    check("...", "...");
    check("\"\x01\n\"", "%22%01%0A%22");
    check("\xc3\xa9", "%C3%A9");
    check("a%b+c", "a%25b%2Bc");
    char empty[SLUICE_LAKE_SEGMENT_MAX + 1];
    assert_int_equal(sluice_lake_segment("", empty, NULL), SLUICE_E_INVALID);
}

static void long_segments(void **state)
{
    char name[512];
    char got[SLUICE_LAKE_SEGMENT_MAX + 1];
    char other[SLUICE_LAKE_SEGMENT_MAX + 1];
    char digest[65];
    (void)state;
    memset(name, 'x', sizeof name);
    name[200] = 0;
    assert_int_equal(sluice_lake_segment(name, got, NULL), SLUICE_OK);
    assert_string_equal(got, name);
    name[200] = 'x';
    name[201] = 0;
    assert_int_equal(sluice_lake_segment(name, got, NULL), SLUICE_OK);
    assert_int_equal(strlen(got), 200);
    assert_int_equal(got[183], '~');
    assert_int_equal(sluice_lake_sha256(name, 201, digest, NULL), SLUICE_OK);
    assert_memory_equal(got + 184, digest, 16);
    name[200] = 'y';
    assert_int_equal(sluice_lake_segment(name, other, NULL), SLUICE_OK);
    assert_string_not_equal(got, other);
    /* whole characters: 63 times a 3-byte one is 567 bytes of escapes, 20 fit into 183 */
    for (int i = 0; i < 63; i++) {
        memcpy(name + i * 3, "\xe2\x82\xac", 3);
    }
    name[189] = 0;
    assert_int_equal(sluice_lake_segment(name, got, NULL), SLUICE_OK);
    assert_int_equal(strlen(got), 20 * 9 + 17);
    assert_int_equal(got[180], '~');
}

static void shard_texts(void **state)
{
    char got[128];
    (void)state;
    sluice_lake_shard_text("hr/public.t:0-100", got, sizeof got);
    assert_string_equal(got, "hr-public.t-0-100");
    sluice_lake_shard_text("../../x", got, sizeof got);
    assert_null(strchr(got, '/'));
    assert_true(sluice_lake_is_plain("20261123T005234Z-2"));
    assert_false(sluice_lake_is_plain(""));
    assert_false(sluice_lake_is_plain(".."));
    assert_false(sluice_lake_is_plain("a/b"));
}

static void random_ids(void **state)
{
    char a[33];
    char b[33];
    (void)state;
    assert_int_equal(sluice_lake_random_id(a, NULL), SLUICE_OK);
    assert_int_equal(sluice_lake_random_id(b, NULL), SLUICE_OK);
    assert_int_equal(strlen(a), 32);
    assert_string_not_equal(a, b);
}

int run_key_tests(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(segments), cmocka_unit_test(long_segments),
                                       cmocka_unit_test(shard_texts), cmocka_unit_test(random_ids)};
    return cmocka_run_group_tests_name("lake keys", tests, NULL, NULL);
}
