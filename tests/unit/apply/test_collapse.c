/*
 * Collapsing against a model: random histories of a small table, applied change by change in the model, and
 * collapsed, must leave the same rows.
 */
#include "apply/collapse.h"

#include <stdlib.h>

#include "tests.h"

enum { KEYS = 6, COLUMNS = 4, HISTORIES = 3000, CHANGES = 25 };
enum { UNSENT = -1 }; /* of a cell */

/* Cells are numbers; column 0 is the key. */
struct model {
    int rows[KEYS][COLUMNS];
    int there[KEYS];
};

struct history {
    struct sluice_apply_log log;
    struct sluice_write write;
    struct sluice_stream_desc desc;
    struct sluice_apply_table table;
    struct sluice_apply_table *tables[1];
    struct sluice_apply_column columns[COLUMNS];
    uint32_t keys[1];
    uint64_t random;
};

static uint32_t roll(struct history *h, uint32_t sides)
{
    h->random = h->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(h->random >> 33) % sides;
}

static void start(struct history *h, uint64_t seed)
{
    memset(h, 0, sizeof *h);
    h->random = seed * 2654435761u;
    for (int i = 0; i < COLUMNS; i++) {
        h->columns[i].one_form = 1;
        h->columns[i].key = i == 0;
    }
    h->table.columns = h->columns;
    h->table.column_count = COLUMNS;
    h->table.keys = h->keys;
    h->table.key_count = 1;
    h->table.key_unique = 1;
    h->table.write = &h->write;
    h->table.desc = &h->desc;
    h->write.mode = SLUICE_WRITE_UPSERT;
    h->tables[0] = &h->table;
    h->log.tables = h->tables;
    h->log.table_count = 1;
    h->log.sorted = 1;
}

static void stop(struct history *h)
{
    free(h->log.arena);
    free(h->log.changes);
}

static void add_bytes(struct history *h, const void *data, size_t size)
{
    if (h->log.arena_size + size > h->log.arena_cap) {
        h->log.arena_cap = (h->log.arena_size + size) * 2;
        h->log.arena = realloc(h->log.arena, h->log.arena_cap);
        assert_non_null(h->log.arena);
    }
    memcpy(h->log.arena + h->log.arena_size, data, size);
    h->log.arena_size += size;
}

/* A tuple of four-byte cells; `key_only`: the others are not sent. */
static uint64_t add_tuple(struct history *h, const int *cells, int key_only)
{
    const uint64_t at = h->log.arena_size;
    for (int i = 0; i < COLUMNS; i++) {
        const int unsent = cells[i] == UNSENT || (key_only && i > 0);
        const int32_t size = unsent ? SLUICE_APPLY_UNSENT : 4;
        const uint32_t value = __builtin_bswap32((uint32_t)cells[i]);
        add_bytes(h, &size, 4);
        if (!unsent) {
            add_bytes(h, &value, 4);
        }
    }
    return at;
}

static void add_change(struct history *h, char op, const int *before, const int *after,
                       int key_change)
{
    struct sluice_apply_change change = {.op = (uint8_t)op,
                                         .source_op = (uint8_t)op,
                                         .after = SLUICE_APPLY_NONE,
                                         .before = SLUICE_APPLY_NONE,
                                         .key_change = (uint8_t)key_change};
    if (before != NULL) {
        change.before = add_tuple(h, before, 1);
    }
    if (after != NULL) {
        change.after = add_tuple(h, after, 0);
        for (int i = 1; i < COLUMNS; i++) {
            change.partial |= after[i] == UNSENT;
        }
    }
    if (h->log.count == h->log.cap) {
        h->log.cap = h->log.cap * 2 + 16;
        h->log.changes = realloc(h->log.changes, h->log.cap * sizeof *h->log.changes);
        assert_non_null(h->log.changes);
    }
    h->log.changes[h->log.count++] = change;
}

/* One change that the source may make of a table in this state. */
static void change(struct history *h, struct model *m)
{
    const int key = (int)roll(h, KEYS);
    int row[COLUMNS] = {key};
    for (int i = 1; i < COLUMNS; i++) {
        row[i] = 1 + (int)roll(h, 1000);
    }
    if (!m->there[key]) {
        add_change(h, 'I', NULL, row, 0);
        m->there[key] = 1;
        memcpy(m->rows[key], row, sizeof row);
        return;
    }
    const uint32_t what = roll(h, 5);
    if (what == 0) {
        add_change(h, 'D', row, NULL, 0);
        m->there[key] = 0;
        return;
    }
    for (int i = 1; i < COLUMNS && what < 4; i++) {
        row[i] = roll(h, 2) == 0 ? UNSENT : row[i];
    }
    int full[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
        full[i] = row[i] == UNSENT ? m->rows[key][i] : row[i];
    }
    const int to = what == 1 ? (int)roll(h, KEYS) : key;
    if (to != key && !m->there[to]) {
        row[0] = to;
        full[0] = to;
        add_change(h, 'U', (int[]){key, 0, 0, 0}, row, 1);
        m->there[key] = 0;
        m->there[to] = 1;
        memcpy(m->rows[to], full, sizeof full);
        return;
    }
    add_change(h, 'U', NULL, row, 0);
    memcpy(m->rows[key], full, sizeof full);
}

/* ---- what sets.c does with the outcome ---- */

static void open_tuple(const struct history *h, uint64_t tuple, int *out)
{
    const uint8_t *p = h->log.arena + tuple;
    for (int i = 0; i < COLUMNS; i++) {
        int32_t size = 0;
        uint32_t value = 0;
        memcpy(&size, p, 4);
        p += 4;
        out[i] = UNSENT;
        if (size == 4) {
            memcpy(&value, p, 4);
            out[i] = (int)__builtin_bswap32(value);
            p += 4;
        }
    }
}

static void apply(const struct history *h, const struct sluice_apply_collapsed *c, struct model *m)
{
    unsigned seen = 0;
    for (size_t i = 0; i < c->count; i++) {
        const struct sluice_apply_final *f = &c->finals[i];
        int row[COLUMNS];
        open_tuple(h, f->tuple, row);
        assert_int_equal(seen & (1u << row[0]), 0); /* once per key */
        seen |= 1u << row[0];
        switch (f->todo) {
        case SLUICE_APPLY_DO_NOTHING:
            break;
        case SLUICE_APPLY_DO_DELETE:
            m->there[row[0]] = 0;
            break;
        case SLUICE_APPLY_DO_PUT:
        case SLUICE_APPLY_DO_WHOLE:
            for (int k = 0; k < COLUMNS; k++) {
                assert_int_not_equal(row[k], UNSENT);
            }
            m->there[row[0]] = 1;
            memcpy(m->rows[row[0]], row, sizeof row);
            break;
        default:
            assert_int_equal(f->todo, SLUICE_APPLY_DO_PART);
            assert_int_equal(m->there[row[0]], 1);
            for (int k = 0; k < COLUMNS; k++) {
                assert_int_equal(c->classes[f->class_id][k], row[k] != UNSENT);
                m->rows[row[0]][k] = row[k] != UNSENT ? row[k] : m->rows[row[0]][k];
            }
        }
    }
}

static void like_a_model(void **state)
{
    int collapsed_count = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        struct history h;
        struct model target = {0};
        struct sluice_apply_collapsed *c = NULL;
        start(&h, seed);
        for (int k = 0; k < KEYS; k++) {
            target.there[k] = (int)roll(&h, 2);
            for (int i = 0; i < COLUMNS; i++) {
                target.rows[k][i] = i == 0 ? k : 2000 + (int)roll(&h, 1000);
            }
        }
        struct model source = target;
        for (uint32_t n = 1 + roll(&h, CHANGES); n > 0; n--) {
            change(&h, &source);
        }
        const sluice_status status = sluice_apply_collapse(&h.log, 0, h.log.count, &c, NULL);
        if (status == SLUICE_OK) { /* AGAIN: applied in order; that is another test's */
            collapsed_count++;
            apply(&h, c, &target);
            for (int k = 0; k < KEYS; k++) {
                assert_int_equal(target.there[k], source.there[k]);
                if (source.there[k]) {
                    assert_memory_equal(target.rows[k], source.rows[k], sizeof source.rows[k]);
                }
            }
            sluice_apply_collapsed_free(c, 1);
        }
        else {
            assert_int_equal(status, SLUICE_AGAIN);
        }
        stop(&h);
    }
    assert_true(collapsed_count > HISTORIES / 4);
}

/* What must not be collapsed says AGAIN, and leaves the log as it was. */
static void what_wants_order(void **state)
{
    struct history h;
    struct sluice_apply_collapsed *c = NULL;
    (void)state;
    start(&h, 1);
    add_change(&h, 'U', (int[]){1, 0, 0, 0}, (int[]){2, UNSENT, 5, 6}, 1);
    assert_int_equal(sluice_apply_collapse(&h.log, 0, 1, &c, NULL), SLUICE_AGAIN);
    stop(&h);
    /* A key of a type whose equal values may differ in their bytes. */
    start(&h, 1);
    h.columns[0].one_form = 0;
    add_change(&h, 'I', NULL, (int[]){1, 2, 3, 4}, 0);
    assert_int_equal(sluice_apply_collapse(&h.log, 0, 1, &c, NULL), SLUICE_AGAIN);
    stop(&h);
    /* No unique index on the key. */
    start(&h, 1);
    h.table.key_unique = 0;
    add_change(&h, 'I', NULL, (int[]){1, 2, 3, 4}, 0);
    assert_int_equal(sluice_apply_collapse(&h.log, 0, 1, &c, NULL), SLUICE_AGAIN);
    stop(&h);
    /* Rows without key are added; a delete of one wants order. */
    start(&h, 1);
    h.table.key_count = 0;
    add_change(&h, 'I', NULL, (int[]){1, 2, 3, 4}, 0);
    add_change(&h, 'I', NULL, (int[]){1, 2, 3, 4}, 0);
    assert_int_equal(sluice_apply_collapse(&h.log, 0, 2, &c, NULL), SLUICE_OK);
    assert_int_equal(c->by_todo[SLUICE_APPLY_DO_ADD], 2);
    sluice_apply_collapsed_free(c, 1);
    add_change(&h, 'D', (int[]){1, 2, 3, 4}, NULL, 0);
    assert_int_equal(sluice_apply_collapse(&h.log, 0, 3, &c, NULL), SLUICE_AGAIN);
    stop(&h);
}

/* Rows come out sorted by key, so that pages are touched once. */
static void in_key_order(void **state)
{
    struct history h;
    struct sluice_apply_collapsed *c = NULL;
    (void)state;
    start(&h, 1);
    for (int i = 0; i < 5000; i++) {
        const int key = (i * 7919) % 5000;
        add_change(&h, 'I', NULL, (int[]){key, 1, 2, 3}, 0);
    }
    assert_int_equal(sluice_apply_collapse(&h.log, 0, 5000, &c, NULL), SLUICE_OK);
    assert_int_equal(c->count, 5000);
    for (int i = 0; i < 5000; i++) {
        int row[COLUMNS];
        open_tuple(&h, c->finals[i].tuple, row);
        assert_int_equal(row[0], i);
    }
    sluice_apply_collapsed_free(c, 1);
    stop(&h);
}

int apply_test_collapse(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_a_model),
        cmocka_unit_test(what_wants_order),
        cmocka_unit_test(in_key_order),
    };
    return cmocka_run_group_tests_name("collapse", tests, NULL, NULL);
}
