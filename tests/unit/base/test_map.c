/* The map. */
#include "test_base.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/map.h"

static void keeps_order_and_replaces(void **state)
{
    (void)state;
    struct sluice_map map = SLUICE_MAP_INIT;
    int one = 1;
    int two = 2;
    assert_null(sluice_map_get(&map, "a"));
    assert_int_equal(sluice_map_has(&map, "a"), 0);
    assert_int_equal(sluice_map_put(&map, "b", &one), 1);
    assert_int_equal(sluice_map_put(&map, "a", &two), 1);
    assert_int_equal(sluice_map_put(&map, "n", NULL), 1);
    assert_int_equal(sluice_map_put(&map, "b", &two), 1);
    assert_int_equal(map.count, 3);
    assert_string_equal(map.entries[0].key, "b");
    assert_string_equal(map.entries[1].key, "a");
    assert_ptr_equal(sluice_map_get(&map, "b"), &two);
    assert_null(sluice_map_get(&map, "n"));
    assert_int_equal(sluice_map_has(&map, "n"), 1);
    sluice_map_free(&map);
    assert_int_equal(map.count, 0);
}

static void grows(void **state)
{
    (void)state;
    static int values[20000];
    struct sluice_map map = SLUICE_MAP_INIT;
    char key[32];
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(key, sizeof key, "key-%d", i);
        assert_int_equal(sluice_map_put(&map, key, &values[i]), 1);
    }
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(key, sizeof key, "key-%d", i);
        assert_ptr_equal(sluice_map_get(&map, key), &values[i]);
    }
    assert_int_equal(sluice_map_has(&map, "key-20000"), 0);
    sluice_map_free(&map);
}

static void survives_failures(void **state)
{
    (void)state;
    int failures = 0;
    for (long n = 1; n < 500; n++) {
        struct sluice_map map = SLUICE_MAP_INIT;
        char key[32];
        size_t put = 0;
        sluice_alloc_fail_at(n, 0);
        for (int i = 0; i < 100; i++) {
            (void)snprintf(key, sizeof key, "key-%d", i);
            put += sluice_map_put(&map, key, &map) ? 1u : 0u;
        }
        sluice_alloc_fail_at(0, 0);
        assert_int_equal(map.count, put);
        failures += put < 100;
        for (size_t i = 0; i < map.count; i++) {
            assert_ptr_equal(sluice_map_get(&map, map.entries[i].key), &map);
        }
        sluice_map_free(&map);
        if (put == 100 && n > 100) {
            break;
        }
    }
    assert_true(failures > 50);
}

int run_map_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order_and_replaces),
        cmocka_unit_test(grows),
        cmocka_unit_test(survives_failures),
    };
    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
