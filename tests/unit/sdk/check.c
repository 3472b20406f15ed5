/* The validator: every kind of damage is found and named. */
#include "test_sdk.h"

#include <stdlib.h>

/* An array on plain buffers, as a foreign producer may hand it over. */
struct raw {
    struct ArrowArray array;
    const void *buffers[3];
};

static void raw_release(struct ArrowArray *array)
{
    array->release = NULL;
}

static void raw_make(struct raw *r, int64_t length, int64_t n_buffers, const void *b0,
                     const void *b1, const void *b2)
{
    memset(r, 0, sizeof *r);
    r->buffers[0] = b0;
    r->buffers[1] = b1;
    r->buffers[2] = b2;
    r->array.length = length;
    r->array.null_count = b0 == NULL ? 0 : -1;
    r->array.n_buffers = n_buffers;
    r->array.buffers = r->buffers;
    r->array.release = raw_release;
}

static sluice_status check_one(const char *format, struct raw *r, int32_t nullable, int32_t level,
                               struct sluice_error *err)
{
    struct ArrowSchema schema;
    one_column(&schema, format, nullable);
    sluice_error_clear(err);
    sluice_status st = sluice_array_check(schema.children[0], &r->array, level, err);
    sluice_schema_release(&schema);
    return st;
}

static void shapes_are_checked(void **state)
{
    (void)state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    const int32_t values[] = {1, 2, 3};
    struct raw r;
    raw_make(&r, 3, 2, NULL, values, NULL);
    assert_int_equal(check_one("i", &r, 0, SLUICE_CHECK_COUNTS, &err), SLUICE_OK);
    r.array.n_buffers = 3;
    assert_int_equal(check_one("i", &r, 0, SLUICE_CHECK_COUNTS, &err), SLUICE_E_DATA);
    raw_make(&r, -1, 2, NULL, values, NULL);
    assert_int_equal(check_one("i", &r, 0, SLUICE_CHECK_COUNTS, &err), SLUICE_E_DATA);
    raw_make(&r, 3, 2, NULL, NULL, NULL);
    assert_int_equal(check_one("i", &r, 0, SLUICE_CHECK_COUNTS, &err), SLUICE_E_DATA);
    raw_make(&r, 0, 2, NULL, NULL, NULL);
    assert_int_equal(check_one("i", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_OK);
    raw_make(&r, 0, 3, NULL, NULL, NULL);
    assert_int_equal(check_one("u", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_OK);
    raw_make(&r, 3, 2, NULL, values, NULL);
    r.array.null_count = 2;
    assert_int_equal(check_one("i", &r, 1, SLUICE_CHECK_COUNTS, &err), SLUICE_E_DATA);
    r.array.null_count = 4;
    assert_int_equal(check_one("i", &r, 1, SLUICE_CHECK_COUNTS, &err), SLUICE_E_DATA);
    r.array.release = NULL;
    assert_int_equal(check_one("i", &r, 1, SLUICE_CHECK_COUNTS, &err), SLUICE_E_DATA);
    raw_make(&r, 3, 2, NULL, values, NULL);
    r.array.dictionary = &r.array;
    assert_int_equal(check_one("i", &r, 1, SLUICE_CHECK_COUNTS, &err), SLUICE_E_UNSUPPORTED);
}

static void offsets_and_text_are_checked(void **state)
{
    (void)state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct raw r;
    const int32_t good[] = {0, 2, 2, 5};
    raw_make(&r, 3, 3, NULL, good, "ab\xe2\x82\xac");
    assert_int_equal(check_one("u", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_OK);
    /* A cut in the middle of a character. */
    const int32_t split[] = {0, 3, 3, 5};
    raw_make(&r, 3, 3, NULL, split, "ab\xe2\x82\xac");
    assert_int_equal(check_one("u", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_E_DATA);
    assert_int_equal(err.row, 0);
    assert_non_null(strstr(err.message, "column c, row 0"));
    assert_int_equal(check_one("z", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_OK);
    const int32_t back[] = {0, 3, 2, 5};
    raw_make(&r, 3, 3, NULL, back, "abcde");
    assert_int_equal(check_one("u", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_E_DATA);
    assert_int_equal(err.row, 1);
    assert_int_equal(check_one("u", &r, 0, SLUICE_CHECK_COUNTS, &err), SLUICE_OK);
    const int32_t negative[] = {-1, 2, 2, 5};
    raw_make(&r, 3, 3, NULL, negative, "abcde");
    assert_int_equal(check_one("u", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_E_DATA);
    raw_make(&r, 3, 3, NULL, good, NULL);
    assert_int_equal(check_one("u", &r, 0, SLUICE_CHECK_COUNTS, &err), SLUICE_E_DATA);
    const int64_t large[] = {0, 2, 2, 5};
    raw_make(&r, 3, 3, NULL, large, "ab\xe2\x82\xac");
    assert_int_equal(check_one("U", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_OK);
    const int64_t large_back[] = {0, 3, 2, 5};
    raw_make(&r, 3, 3, NULL, large_back, "abcde");
    assert_int_equal(check_one("Z", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_E_DATA);
}

static void utf8_rules(void **state)
{
    (void)state;
    static const char *const good[] = {"\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "12345678\303\24412345678"};
    static const char *const bad[] = {
        "\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xc3",         "12345678\xe2\x82", "1234567\3779",     "\xf0\x9f\x98"};
    struct sluice_error err = SLUICE_ERROR_INIT;
    for (size_t i = 0; i < sizeof good / sizeof good[0] + sizeof bad / sizeof bad[0]; i++) {
        size_t goods = sizeof good / sizeof good[0];
        const char *text = i < goods ? good[i] : bad[i - goods];
        const int32_t offsets[] = {0, (int32_t)strlen(text)};
        struct raw r;
        raw_make(&r, 1, 3, NULL, offsets, text);
        assert_int_equal(check_one("u", &r, 0, SLUICE_CHECK_FULL, &err),
                         i < goods ? SLUICE_OK : SLUICE_E_DATA);
    }
}

static void nulls_are_checked(void **state)
{
    (void)state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    const int64_t values[20] = {0};
    const uint8_t bits[] = {0xfd, 0xff, 0x0f};
    struct raw r;
    raw_make(&r, 20, 2, bits, values, NULL);
    assert_int_equal(check_one("l", &r, 1, SLUICE_CHECK_FULL, &err), SLUICE_OK);
    assert_int_equal(check_one("l", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_E_DATA);
    assert_int_equal(err.row, 1);
    r.array.null_count = 1;
    assert_int_equal(check_one("l", &r, 1, SLUICE_CHECK_FULL, &err), SLUICE_OK);
    r.array.null_count = 2;
    assert_int_equal(check_one("l", &r, 1, SLUICE_CHECK_FULL, &err), SLUICE_E_DATA);
    /* An offset moves the bits. */
    raw_make(&r, 10, 2, bits, values, NULL);
    r.array.offset = 2;
    assert_int_equal(check_one("l", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_OK);
}

static void put_decimal(uint8_t *to, int words, uint64_t low, uint64_t high)
{
    uint64_t w[4] = {low, high, high >> 63 ? UINT64_MAX : 0, high >> 63 ? UINT64_MAX : 0};
    memcpy(to, w, (size_t)words * 8);
}

static void decimals_are_checked(void **state)
{
    (void)state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    uint8_t v[32] = {0};
    struct raw r;
    raw_make(&r, 1, 2, NULL, v, NULL);
    for (int words = 2; words <= 4; words += 2) {
        const char *five = words == 2 ? "d:5,2" : "d:5,2,256";
        put_decimal(v, words, 99999, 0);
        assert_int_equal(check_one(five, &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_OK);
        put_decimal(v, words, 100000, 0);
        assert_int_equal(check_one(five, &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_E_DATA);
        put_decimal(v, words, (uint64_t)-99999, UINT64_MAX);
        assert_int_equal(check_one(five, &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_OK);
        put_decimal(v, words, (uint64_t)-100000, UINT64_MAX);
        assert_int_equal(check_one(five, &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_E_DATA);
    }
    /* 10^38 - 1 = 0x4b3b4ca85a86c47a 098a223fffffffff fits, 10^38 does not. */
    put_decimal(v, 2, 0x098a223fffffffffu, 0x4b3b4ca85a86c47au);
    assert_int_equal(check_one("d:38,0", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_OK);
    put_decimal(v, 2, 0x098a224000000000u, 0x4b3b4ca85a86c47au);
    assert_int_equal(check_one("d:38,0", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_E_DATA);
    /* The smallest integer stands for NaN only where the column says so. */
    put_decimal(v, 2, 0, (uint64_t)1 << 63);
    assert_int_equal(check_one("d:38,0", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_E_DATA);
    struct ArrowSchema schema;
    static const struct sluice_type dec = {SLUICE_TYPE_DECIMAL128, 38, 0, 16};
    static const struct sluice_pair special = {"sluice:special", "1"};
    assert_int_equal(sluice_schema_init(&schema, 1, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&schema, 0, "c", &dec, 0, &special, 1, NULL), SLUICE_OK);
    assert_int_equal(sluice_array_check(schema.children[0], &r.array, SLUICE_CHECK_FULL, &err),
                     SLUICE_OK);
    sluice_schema_release(&schema);
}

static void times_are_checked(void **state)
{
    (void)state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    int64_t v[2] = {0, 86400000000};
    struct raw r;
    raw_make(&r, 2, 2, NULL, v, NULL);
    assert_int_equal(check_one("ttu", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_OK);
    v[1]++;
    assert_int_equal(check_one("ttu", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_E_DATA);
    v[1] = -1;
    assert_int_equal(check_one("ttu", &r, 0, SLUICE_CHECK_FULL, &err), SLUICE_E_DATA);
    assert_int_equal(err.row, 1);
}

static void children_are_checked(void **state)
{
    (void)state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct ArrowSchema schema;
    static const struct sluice_type i32 = {SLUICE_TYPE_INT32, 0, 0, 4};
    assert_int_equal(sluice_schema_init(&schema, 2, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&schema, 0, "a", &i32, 0, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set_nested(&schema, 1, "l", SLUICE_TYPE_LIST, 1, 0, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema.children[1], 0, "item", &i32, 0, NULL, 0, NULL),
                     SLUICE_OK);
    const int32_t values[] = {1, 2, 3, 4};
    int32_t offsets[] = {0, 1, 4};
    struct raw root;
    struct raw a;
    struct raw l;
    struct raw item;
    raw_make(&a, 2, 2, NULL, values, NULL);
    raw_make(&item, 4, 2, NULL, values, NULL);
    raw_make(&l, 2, 2, NULL, offsets, NULL);
    struct ArrowArray *item_pointer = &item.array;
    l.array.children = &item_pointer;
    l.array.n_children = 1;
    raw_make(&root, 2, 1, NULL, NULL, NULL);
    struct ArrowArray *children[] = {&a.array, &l.array};
    root.array.children = children;
    root.array.n_children = 2;
    assert_int_equal(sluice_array_check(&schema, &root.array, SLUICE_CHECK_FULL, &err), SLUICE_OK);
    offsets[2] = 5;
    assert_int_equal(sluice_array_check(&schema, &root.array, SLUICE_CHECK_FULL, &err),
                     SLUICE_E_DATA);
    offsets[2] = 4;
    a.array.length = 1;
    assert_int_equal(sluice_array_check(&schema, &root.array, SLUICE_CHECK_COUNTS, &err),
                     SLUICE_E_DATA);
    a.array.length = 2;
    /* A NULL below a null struct counts for nothing, beside one it does. */
    const uint8_t bits = 2;
    a.buffers[0] = &bits;
    a.array.null_count = 1;
    assert_int_equal(sluice_array_check(&schema, &root.array, SLUICE_CHECK_FULL, &err),
                     SLUICE_E_DATA);
    root.buffers[0] = &bits;
    root.array.null_count = 1;
    schema.flags |= ARROW_FLAG_NULLABLE;
    assert_int_equal(sluice_array_check(&schema, &root.array, SLUICE_CHECK_FULL, &err), SLUICE_OK);
    root.array.n_children = 1;
    assert_int_equal(sluice_array_check(&schema, &root.array, SLUICE_CHECK_COUNTS, &err),
                     SLUICE_E_DATA);
    sluice_schema_release(&schema);
    assert_int_equal(sluice_array_check(&schema, &root.array, SLUICE_CHECK_COUNTS, &err),
                     SLUICE_E_DATA);
}

int run_check_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_checked),   cmocka_unit_test(offsets_and_text_are_checked),
        cmocka_unit_test(utf8_rules),           cmocka_unit_test(nulls_are_checked),
        cmocka_unit_test(decimals_are_checked), cmocka_unit_test(times_are_checked),
        cmocka_unit_test(children_are_checked),
    };
    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
