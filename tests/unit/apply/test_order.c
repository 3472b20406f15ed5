/* Parents stand before their children, whatever the order in which keys and tables are told. */
#include "apply/order.h"

#include "tests.h"

static uint32_t place_of(const uint32_t *places, uint32_t count, uint32_t table)
{
    uint32_t at = count;
    for (uint32_t i = 0; i < count; i++) {
        if (places[i] == table) {
            assert_int_equal(at, count); /* each once */
            at = i;
        }
    }
    assert_int_not_equal(at, count);
    return at;
}

static void parents_first(void **state)
{
    /* 3 <- 0 <- 4, 3 <- 4, 1 alone, 2 refers to itself and to 4 */
    const struct sluice_apply_edge edges[] = {{4, 0}, {0, 3}, {2, 2}, {2, 4}, {4, 3}};
    uint32_t places[5];
    (void)state;
    assert_int_equal(sluice_apply_order(edges, 5, 5, places, NULL), SLUICE_OK);
    for (size_t i = 0; i < 5; i++) {
        if (edges[i].child != edges[i].parent) {
            assert_true(place_of(places, 5, edges[i].parent) < place_of(places, 5, edges[i].child));
        }
    }
    (void)place_of(places, 5, 1);
}

static void circles_end(void **state)
{
    const struct sluice_apply_edge edges[] = {{0, 1}, {1, 0}, {2, 1}};
    uint32_t places[4];
    (void)state;
    assert_int_equal(sluice_apply_order(edges, 3, 4, places, NULL), SLUICE_OK);
    assert_int_equal(place_of(places, 4, 3), 0);
    for (uint32_t i = 0; i < 4; i++) {
        (void)place_of(places, 4, i);
    }
}

int apply_test_order(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parents_first),
        cmocka_unit_test(circles_end),
    };
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
