/* Random schemas and rows: build, check, view and compare with a model; some rows are tried and
 * rolled back first; batches go round through the recycled buffers. */
#include "test_sdk.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_COLUMNS 12
#define MAX_ROWS 150

static const char *const leaf_formats[] = {"b", "c",   "s",   "i",   "l",      "C",          "S",
                                           "I", "L",   "f",   "g",   "d:30,4", "d:60,7,256", "u",
                                           "z", "w:5", "tdD", "ttu", "tsu:",   "tsu:UTC",    "tin"};
#define LEAVES (sizeof leaf_formats / sizeof leaf_formats[0])

/* What a cell should be: a hash that its content is made of, or NULL. */
struct cell {
    uint64_t hash;
    int null;
};

static void content(const struct sluice_type *type, uint64_t hash, uint8_t *out, uint64_t *size)
{
    uint64_t seed = hash;
    *size = type->width > 0 ? (uint64_t)type->width : hash % 40;
    for (uint64_t i = 0; i < *size; i += 8) {
        uint64_t w = next_random(&seed);
        memcpy(out + i, &w, 8);
    }
    switch (type->id) {
    case SLUICE_TYPE_UTF8:
        for (uint64_t i = 0; i < *size; i++) {
            out[i] = (uint8_t)(' ' + out[i] % 90);
        }
        break;
    case SLUICE_TYPE_DECIMAL128:
    case SLUICE_TYPE_DECIMAL256: {
        int64_t v = (int64_t)hash;
        memset(out, v < 0 ? 0xff : 0, *size);
        memcpy(out, &v, 8);
        break;
    }
    case SLUICE_TYPE_TIME64_US: {
        int64_t v = (int64_t)(hash % 86400000001u);
        memcpy(out, &v, 8);
        break;
    }
    default:
        break;
    }
}

static void put_cell(struct sluice_column *col, const struct cell *cell)
{
    uint8_t bytes[64];
    uint64_t size = 0;
    if (cell->null) {
        assert_int_equal(sluice_column_put_null(col, NULL), SLUICE_OK);
        return;
    }
    if (col->type.id == SLUICE_TYPE_LIST) {
        uint64_t n = cell->hash % 5;
        struct sluice_column *item = &col->children[0];
        assert_int_equal(sluice_column_reserve(item, (int64_t)n, NULL), SLUICE_OK);
        for (uint64_t i = 0; i < n; i++) {
            struct cell sub = {cell->hash + i, (cell->hash >> i & 3) == 0};
            put_cell(item, &sub);
        }
        assert_int_equal(sluice_column_end_list(col, NULL), SLUICE_OK);
        return;
    }
    if (col->type.id == SLUICE_TYPE_STRUCT) {
        for (int32_t i = 0; i < col->child_count; i++) {
            struct cell sub = {cell->hash + (uint64_t)i, (cell->hash >> i & 3) == 0};
            put_cell(&col->children[i], &sub);
        }
        sluice_column_end_struct(col);
        return;
    }
    content(&col->type, cell->hash, bytes, &size);
    if (col->type.id == SLUICE_TYPE_BOOL) {
        sluice_column_put_bool(col, (int32_t)(cell->hash & 1));
    }
    else if (col->type.width > 0) {
        sluice_column_put_fixed(col, bytes);
    }
    else {
        assert_int_equal(sluice_column_put_bytes(col, bytes, size, NULL), SLUICE_OK);
    }
}

static void expect_cell(const struct sluice_view *v, int64_t row, const struct cell *cell)
{
    uint8_t bytes[64];
    uint64_t size = 0;
    assert_int_equal(sluice_view_is_null(v, row), cell->null);
    if (cell->null) {
        return;
    }
    if (v->type.id == SLUICE_TYPE_LIST) {
        struct sluice_view item;
        assert_int_equal(
            sluice_view_init(v->schema->children[0], v->array->children[0], &item, NULL),
            SLUICE_OK);
        uint64_t n = cell->hash % 5;
        assert_int_equal(v->offsets[row + 1] - v->offsets[row], n);
        for (uint64_t i = 0; i < n; i++) {
            struct cell sub = {cell->hash + i, (cell->hash >> i & 3) == 0};
            expect_cell(&item, v->offsets[row] + (int64_t)i, &sub);
        }
        return;
    }
    if (v->type.id == SLUICE_TYPE_STRUCT) {
        struct sluice_view children[4];
        assert_int_equal(sluice_view_children(v, children, NULL), SLUICE_OK);
        for (int64_t i = 0; i < v->schema->n_children; i++) {
            struct cell sub = {cell->hash + (uint64_t)i, (cell->hash >> i & 3) == 0};
            expect_cell(&children[i], row, &sub);
        }
        return;
    }
    content(&v->type, cell->hash, bytes, &size);
    if (v->type.id == SLUICE_TYPE_BOOL) {
        assert_int_equal(sluice_view_bool(v, row), cell->hash & 1);
    }
    else if (v->type.width > 0) {
        assert_memory_equal(sluice_view_fixed(v, row), bytes, size);
    }
    else {
        struct sluice_bytes b = sluice_view_bytes(v, row);
        assert_int_equal(b.size, size);
        assert_memory_equal(b.data, bytes, size);
    }
}

static void random_leaf(struct ArrowSchema *schema, int64_t i, const char *name, uint64_t *seed)
{
    struct sluice_type type;
    assert_int_equal(sluice_type_parse(leaf_formats[next_random(seed) % LEAVES], &type, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema, i, name, &type, 1, NULL, 0, NULL), SLUICE_OK);
}

static void random_schema(struct ArrowSchema *schema, uint64_t *seed)
{
    int64_t n = (int64_t)(next_random(seed) % MAX_COLUMNS) + 1;
    assert_int_equal(sluice_schema_init(schema, n, NULL), SLUICE_OK);
    for (int64_t i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "c%d", (int)i);
        uint64_t kind = next_random(seed) % 10;
        if (kind == 0) {
            assert_int_equal(
                sluice_schema_set_nested(schema, i, name, SLUICE_TYPE_LIST, 1, 1, NULL), SLUICE_OK);
            random_leaf(schema->children[i], 0, "item", seed);
        }
        else if (kind == 1) {
            int64_t m = (int64_t)(next_random(seed) % 3) + 1;
            assert_int_equal(
                sluice_schema_set_nested(schema, i, name, SLUICE_TYPE_STRUCT, m, 1, NULL),
                SLUICE_OK);
            for (int64_t k = 0; k < m; k++) {
                random_leaf(schema->children[i], k, "f", seed);
            }
        }
        else {
            random_leaf(schema, i, name, seed);
        }
    }
}

static void one_round(uint64_t seed)
{
    struct ArrowSchema schema;
    struct sluice_rows rows;
    static struct cell cells[MAX_ROWS][MAX_COLUMNS];
    random_schema(&schema, &seed);
    assert_int_equal(sluice_rows_init(&rows, &schema, MAX_ROWS, NULL), SLUICE_OK);
    uint64_t null_every = next_random(&seed) % 4; /* 0: none */
    for (int batch = 0; batch < 4; batch++) {
        int64_t n = (int64_t)(next_random(&seed) % (MAX_ROWS + 1));
        for (int64_t r = 0; r < n; r++) {
            if (next_random(&seed) % 8 == 0) {
                int64_t some = (int64_t)(next_random(&seed) % (uint64_t)schema.n_children) + 1;
                for (int64_t c = 0; c < some; c++) {
                    struct cell junk = {next_random(&seed), next_random(&seed) % 2 == 0};
                    put_cell(&rows.columns[c], &junk);
                }
                sluice_rows_rollback(&rows);
            }
            for (int64_t c = 0; c < schema.n_children; c++) {
                struct cell *cell = &cells[r][c];
                cell->hash = next_random(&seed);
                cell->null = null_every != 0 && next_random(&seed) % (null_every + 1) == 0;
                put_cell(&rows.columns[c], cell);
            }
            sluice_rows_end_row(&rows);
        }
        struct ArrowArray array;
        struct sluice_error err = SLUICE_ERROR_INIT;
        assert_int_equal(sluice_rows_finish(&rows, &array, NULL), SLUICE_OK);
        if (sluice_array_check(&schema, &array, SLUICE_CHECK_FULL, &err) < 0) {
            fail_msg("%s", err.message);
        }
        /* Cut at a random row: views start anywhere. */
        int64_t cut = n > 0 ? (int64_t)(next_random(&seed) % (uint64_t)n) : 0;
        array.offset = cut;
        array.length = n - cut;
        struct sluice_view views[MAX_COLUMNS];
        assert_int_equal(sluice_array_check(&schema, &array, SLUICE_CHECK_FULL, NULL), SLUICE_OK);
        assert_int_equal(sluice_views_init(&schema, &array, views, NULL), SLUICE_OK);
        for (int64_t r = cut; r < n; r++) {
            for (int64_t c = 0; c < schema.n_children; c++) {
                expect_cell(&views[c], r - cut, &cells[r][c]);
            }
        }
        sluice_array_release(&array);
    }
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
}

static void random_rows_come_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        one_round(seed * 7919);
    }
}

int run_property_tests(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_rows_come_back)};
    return cmocka_run_group_tests_name("property", tests, NULL, NULL);
}
