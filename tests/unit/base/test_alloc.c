/* The allocator: edges, and failing the n-th call. */
#include "test_base.h"

#include <string.h>

#include "base/alloc.h"

static void zero_sizes_give_blocks(void **state)
{
    (void)state;
    void *a = sluice_alloc(0);
    void *b = sluice_alloc_zero(0, 8);
    void *c = sluice_alloc_resize(NULL, 0, 1);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    sluice_free(a);
    sluice_free(b);
    sluice_free(c);
    sluice_free(NULL);
}

static void overflow_answers_null(void **state)
{
    (void)state;
    assert_null(sluice_alloc_zero(SIZE_MAX / 2, 3));
    char *p = sluice_alloc_string("kept");
    assert_null(sluice_alloc_resize(p, SIZE_MAX / 2, 3));
    assert_string_equal(p, "kept");
    assert_null(sluice_alloc_string_n("", SIZE_MAX));
    sluice_free(p);
}

static void strings_are_copied(void **state)
{
    (void)state;
    assert_null(sluice_alloc_string(NULL));
    char *p = sluice_alloc_string_n("abcdef", 3);
    assert_string_equal(p, "abc");
    sluice_free_secret(p, 3);
    sluice_free_secret(NULL, 5);
}

static void nth_call_fails(void **state)
{
    (void)state;
    sluice_alloc_fail_at(3, 0);
    void *a = sluice_alloc(1);
    void *b = sluice_alloc(1);
    void *c = sluice_alloc(1);
    void *d = sluice_alloc(1);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(c);
    assert_non_null(d);
    sluice_free(a);
    sluice_free(b);
    sluice_free(d);
    sluice_alloc_fail_at(2, 1);
    a = sluice_alloc(1);
    assert_non_null(a);
    assert_null(sluice_alloc(1));
    assert_null(sluice_alloc_zero(1, 1));
    assert_null(sluice_alloc_resize(a, 2, 1));
    assert_null(sluice_alloc_string("x"));
    sluice_alloc_fail_at(0, 0);
    sluice_free(a);
}

static void arrays_grow(void **state)
{
    (void)state;
    int *items = NULL;
    size_t cap = 0;
    assert_int_equal(sluice_alloc_grow((void **)&items, &cap, 1, sizeof *items), 1);
    assert_true(cap >= 1);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(sluice_alloc_grow((void **)&items, &cap, i + 1, sizeof *items), 1);
        items[i] = (int)i;
    }
    assert_int_equal(items[999], 999);
    size_t before = cap;
    sluice_alloc_fail_at(1, 0);
    assert_int_equal(sluice_alloc_grow((void **)&items, &cap, cap + 1, sizeof *items), 0);
    sluice_alloc_fail_at(0, 0);
    assert_int_equal(cap, before);
    assert_int_equal(items[999], 999);
    assert_int_equal(sluice_alloc_grow((void **)&items, &cap, SIZE_MAX / 2, sizeof *items), 0);
    sluice_free(items);
}

int run_alloc_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_sizes_give_blocks),
        cmocka_unit_test(overflow_answers_null),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(nth_call_fails),
        cmocka_unit_test(arrays_grow),
    };
    return cmocka_run_group_tests_name("alloc", tests, NULL, NULL);
}
