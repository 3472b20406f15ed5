/* The feed without a server: what its messages become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sluice/array.h"
#include "sluice/change.h"
#include "sluice/position.h"
#include "wire.h"

static struct wire w;

static void give_begin(struct bench *b, uint64_t lsn)
{
    wire_begin(&w, lsn, 77);
    bench_give(b, &w);
}

static void give_relation(struct bench *b, uint32_t table, char identity)
{
    wire_relation(&w, BENCH_OID + table, identity, BENCH_COLUMNS, identity == 'f' ? 3 : 1);
    bench_give(b, &w);
}

static void give_insert(struct bench *b, uint32_t table, const char *a, const char *v)
{
    const char *values[] = {a, v, NULL};
    wire_insert(&w, BENCH_OID + table, values, BENCH_COLUMNS);
    bench_give(b, &w);
}

static void give_commit(struct bench *b, uint64_t lsn, uint64_t end)
{
    wire_commit(&w, lsn, end);
    bench_give(b, &w);
}

static void cut(struct bench *b)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(pg_feed_output_cut(&b->feed, &err), SLUICE_OK);
}

/* Checks the batch against its envelope and gives a view of it. */
static void view(const struct bench *b, const struct sluice_batch *batch,
                 struct sluice_change_view *cv)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct ArrowSchema envelope;
    const struct sluice_stream_desc *desc =
        &b->feed.streams[batch->stream_id - BENCH_OID].now->desc;
    assert_int_equal(batch->kind, SLUICE_BATCH_CHANGES);
    assert_int_equal(batch->schema_id, desc->schema_id);
    assert_int_equal(sluice_schema_envelope(desc, &envelope, &err), SLUICE_OK);
    if (sluice_array_check(&envelope, &batch->array, SLUICE_CHECK_FULL, &err) < 0) {
        fail_msg("%s", err.message);
    }
    sluice_schema_release(&envelope);
    assert_int_equal(sluice_change_view_init(cv, desc, batch, &err), SLUICE_OK);
}

static uint64_t position_of(const struct sluice_change_view *cv, int64_t row)
{
    struct sluice_bytes p = sluice_view_bytes(&cv->commit_pos, row);
    assert_int_equal(p.size, 8);
    return sluice_get_be64(p.data);
}

static void check_text(const struct sluice_view *v, int64_t row, const char *expected)
{
    if (expected == NULL) {
        assert_true(sluice_view_is_null(v, row));
        return;
    }
    assert_false(sluice_view_is_null(v, row));
    struct sluice_bytes got = sluice_view_bytes(v, row);
    assert_int_equal(got.size, strlen(expected));
    assert_memory_equal(got.data, expected, got.size);
}

static void check_boundary(const struct sluice_batch *batch, uint64_t expected)
{
    assert_int_equal(batch->flags, SLUICE_BATCH_COMMIT_BOUNDARY);
    assert_int_equal(batch->position.size, 8);
    assert_int_equal(sluice_get_be64(batch->position.data), expected);
}

/* ---------------------------------------------------------------- transactions --------------- */

static void test_commit_gives_the_position(void **state)
{
    (void)state;
    struct bench b;
    struct sluice_batch batch;
    struct sluice_change_view cv;
    bench_open(&b, 2, SLUICE_BEFORE_KEY, 0);
    give_begin(&b, 100);
    give_relation(&b, 0, 'd');
    give_relation(&b, 1, 'd');
    give_insert(&b, 0, "1", "x");
    give_insert(&b, 1, "2", "y");
    give_commit(&b, 100, 150);
    give_begin(&b, 200);
    give_insert(&b, 0, "3", "z");
    give_commit(&b, 200, 250);
    assert_false(pg_feed_output_waits(&b.feed));
    cut(&b);
    assert_true(bench_next(&b, &batch));
    view(&b, &batch, &cv);
    assert_int_equal(cv.rows, 2);
    assert_int_equal(position_of(&cv, 0), 150);
    assert_int_equal(position_of(&cv, 1), 250);
    assert_int_equal(sluice_view_i64(&cv.tx_seq, 0), 1);
    assert_int_equal(sluice_view_i64(&cv.tx_seq, 1), 1);
    assert_int_equal(sluice_view_i64(&cv.commit_ts, 0), 946684800000000 + 1000000);
    check_text(&cv.tx_id, 0, "77");
    check_text(&cv.columns[1], 1, "z");
    assert_int_equal(sluice_view_i32(&cv.columns[0], 1), 3);
    assert_int_equal(batch.flags, 0);
    sluice_change_view_free(&cv);
    sluice_array_release(&batch.array);
    assert_true(bench_next(&b, &batch));
    view(&b, &batch, &cv);
    assert_int_equal(position_of(&cv, 0), 150);
    assert_int_equal(sluice_view_i64(&cv.tx_seq, 0), 2);
    check_boundary(&batch, 250);
    sluice_change_view_free(&cv);
    sluice_array_release(&batch.array);
    assert_false(bench_next(&b, &batch));
    bench_close(&b);
}

static void test_large_transaction_is_divided(void **state)
{
    (void)state;
    struct bench b;
    struct sluice_batch batch;
    struct sluice_change_view cv;
    bench_open(&b, 1, SLUICE_BEFORE_KEY, 0);
    b.feed.rows_max = 8;
    give_begin(&b, 50);
    give_relation(&b, 0, 'd');
    give_insert(&b, 0, "0", "before");
    give_commit(&b, 50, 60);
    give_begin(&b, 100);
    int64_t next = 0;
    for (int64_t i = 0; i < 30; i++) {
        give_insert(&b, 0, "1", "x");
        if (!bench_next(&b, &batch)) {
            continue;
        }
        view(&b, &batch, &cv);
        assert_int_equal(batch.flags, 0);
        for (int64_t row = 0; row < cv.rows; row++) {
            if (next == 0 && row == 0) {
                assert_int_equal(position_of(&cv, row), 60);
                continue;
            }
            assert_int_equal(position_of(&cv, row), 101);
            assert_int_equal(sluice_view_i64(&cv.tx_seq, row), ++next);
        }
        sluice_change_view_free(&cv);
        sluice_array_release(&batch.array);
    }
    give_commit(&b, 100, 180);
    cut(&b);
    assert_true(bench_next(&b, &batch));
    view(&b, &batch, &cv);
    assert_int_equal(position_of(&cv, 0), 101);
    assert_int_equal(sluice_view_i64(&cv.tx_seq, 0), next + 1);
    check_boundary(&batch, 180);
    sluice_change_view_free(&cv);
    sluice_array_release(&batch.array);
    bench_close(&b);
}

static void test_end_after_the_rows_went(void **state)
{
    (void)state;
    struct bench b;
    struct sluice_batch batch;
    bench_open(&b, 1, SLUICE_BEFORE_KEY, 0);
    b.feed.rows_max = 4;
    give_begin(&b, 100);
    give_relation(&b, 0, 'd');
    for (int i = 0; i < 4; i++) {
        give_insert(&b, 0, "1", "x");
    }
    assert_true(bench_next(&b, &batch));
    sluice_array_release(&batch.array);
    give_commit(&b, 100, 120);
    assert_true(bench_next(&b, &batch));
    assert_int_equal(batch.kind, SLUICE_BATCH_HEARTBEAT);
    check_boundary(&batch, 120);
    bench_close(&b);
}

static void test_delivered_transactions_are_skipped(void **state)
{
    (void)state;
    struct bench b;
    struct sluice_batch batch;
    struct sluice_change_view cv;
    const uint32_t oid = BENCH_OID;
    bench_open(&b, 1, SLUICE_BEFORE_KEY, 0);
    b.feed.resume = 150;
    b.feed.position = 150;
    give_begin(&b, 100);
    give_relation(&b, 0, 'd');
    give_insert(&b, 0, "1", "x");
    wire_truncate(&w, &oid, 1);
    bench_give(&b, &w);
    give_commit(&b, 100, 150);
    assert_null(b.feed.pending_first);
    assert_false(pg_feed_output_waits(&b.feed));
    give_begin(&b, 150);
    give_insert(&b, 0, "2", "y");
    give_commit(&b, 150, 200);
    cut(&b);
    assert_true(bench_next(&b, &batch));
    view(&b, &batch, &cv);
    assert_int_equal(cv.rows, 1);
    assert_int_equal(sluice_view_i32(&cv.columns[0], 0), 2);
    sluice_change_view_free(&cv);
    sluice_array_release(&batch.array);
    bench_close(&b);
}

static void test_the_end_that_was_asked_for(void **state)
{
    (void)state;
    struct bench b;
    struct sluice_batch batch;
    bench_open(&b, 1, SLUICE_BEFORE_KEY, 0);
    b.feed.end = 190;
    give_begin(&b, 100);
    give_relation(&b, 0, 'd');
    give_insert(&b, 0, "1", "x");
    give_commit(&b, 100, 150);
    assert_false(b.feed.ended);
    give_begin(&b, 190); /* behind the end */
    assert_true(b.feed.ended);
    assert_true(bench_next(&b, &batch));
    check_boundary(&batch, 150);
    assert_int_equal(batch.rows, 1);
    sluice_array_release(&batch.array);
    assert_false(bench_next(&b, &batch));
    bench_close(&b);
}

/* ---------------------------------------------------------------- what is out of place ------- */

static void check_refused(struct bench *b, const char *part)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(bench_take(b, &w, &err), SLUICE_E_DATA);
    if (strstr(err.message, part) == NULL) {
        fail_msg("%s", err.message);
    }
}

static void test_messages_out_of_place(void **state)
{
    (void)state;
    struct bench b;
    const char *values[] = {"1", "x", "y", "z"};
    const uint32_t oid = BENCH_OID;
    bench_open(&b, 1, SLUICE_BEFORE_KEY, 0);
    wire_insert(&w, oid, values, BENCH_COLUMNS);
    check_refused(&b, "not where a transaction has it");
    wire_truncate(&w, &oid, 1);
    check_refused(&b, "not where a transaction has it");
    wire_commit(&w, 100, 150);
    check_refused(&b, "not where a transaction has it");
    give_begin(&b, 100);
    wire_begin(&w, 100, 1);
    check_refused(&b, "not where a transaction has it");
    wire_insert(&w, oid, values, BENCH_COLUMNS);
    check_refused(&b, "before its description");
    wire_insert(&w, oid + 999, values, BENCH_COLUMNS);
    check_refused(&b, "before its description");
    give_relation(&b, 0, 'd');
    wire_insert(&w, oid, values, 2);
    check_refused(&b, "other than the 3 columns");
    wire_insert(&w, oid, values, 4);
    check_refused(&b, "other than the 3 columns");
    wire_delete(&w, oid, 'O', values, BENCH_COLUMNS);
    check_refused(&b, "not its identity");
    wire_commit(&w, 101, 150);
    check_refused(&b, "not where a transaction has it");
    wire_commit(&w, 100, 100);
    check_refused(&b, "not where a transaction has it");
    wire_message(&w, 0, 120, "p", "x"); /* none was asked for: nobody looks */
    bench_give(&b, &w);
    give_commit(&b, 100, 150);
    bench_close(&b);
}

static void test_a_bad_value_leaves_whole_rows(void **state)
{
    (void)state;
    struct bench b;
    struct sluice_batch batch;
    struct sluice_change_view cv;
    struct sluice_error err = SLUICE_ERROR_INIT;
    const char *old[] = {"1", NULL, NULL};
    const char *bad[] = {"12x", "v", "w"};
    bench_open(&b, 1, SLUICE_BEFORE_KEY, 0);
    give_begin(&b, 100);
    give_relation(&b, 0, 'd');
    give_insert(&b, 0, "1", "x");
    b.feed.wire.start = 0x1234;
    wire_update(&w, BENCH_OID, 'K', old, bad, BENCH_COLUMNS);
    assert_int_equal(bench_take(&b, &w, &err), SLUICE_E_DATA);
    assert_non_null(strstr(err.message, "table public.t0, column a, change at 0/1234"));
    give_insert(&b, 0, "2", "y");
    give_commit(&b, 100, 150);
    cut(&b);
    assert_true(bench_next(&b, &batch));
    view(&b, &batch, &cv);
    assert_int_equal(cv.rows, 2);
    assert_int_equal(sluice_view_i32(&cv.columns[0], 1), 2);
    sluice_change_view_free(&cv);
    sluice_array_release(&batch.array);
    bench_close(&b);
}

/* ---------------------------------------------------------------- rows ----------------------- */

static void test_old_rows_and_unsent_columns(void **state)
{
    (void)state;
    struct bench b;
    struct sluice_batch batch;
    struct sluice_change_view cv;
    const char *old[] = {"1", NULL, NULL};
    const char *fresh[] = {"2", "\1", "z"};
    bench_open(&b, 1, SLUICE_BEFORE_KEY, 0);
    give_begin(&b, 100);
    give_relation(&b, 0, 'd');
    wire_update(&w, BENCH_OID, 0, NULL, fresh, BENCH_COLUMNS);
    bench_give(&b, &w);
    wire_update(&w, BENCH_OID, 'K', old, fresh, BENCH_COLUMNS);
    bench_give(&b, &w);
    wire_delete(&w, BENCH_OID, 'K', old, BENCH_COLUMNS);
    bench_give(&b, &w);
    give_commit(&b, 100, 150);
    cut(&b);
    assert_true(bench_next(&b, &batch));
    view(&b, &batch, &cv);
    assert_int_equal(cv.rows, 3);
    assert_int_equal(sluice_change_op(&cv, 0), 'U');
    assert_true(sluice_view_is_null(&cv.before, 0));
    assert_true(sluice_change_is_unchanged(&cv, 0, 1));
    assert_false(sluice_change_is_unchanged(&cv, 0, 2));
    assert_true(sluice_view_is_null(&cv.columns[1], 0));
    assert_int_equal(sluice_view_i32(&cv.old[0], 1), 1);
    assert_int_equal(sluice_view_i32(&cv.columns[0], 1), 2);
    assert_int_equal(sluice_change_op(&cv, 2), 'D');
    assert_true(sluice_view_is_null(&cv.after, 2));
    assert_true(sluice_view_is_null(&cv.unchanged, 2));
    assert_int_equal(sluice_view_i32(&cv.old[0], 2), 1);
    sluice_change_view_free(&cv);
    sluice_array_release(&batch.array);
    bench_close(&b);
}

static void test_full_rows_fill_in(void **state)
{
    (void)state;
    struct bench b;
    struct sluice_batch batch;
    struct sluice_change_view cv;
    const char *old[] = {"1", "long", NULL};
    const char *fresh[] = {"1", "\1", "z"};
    bench_open(&b, 1, SLUICE_BEFORE_FULL, 0);
    give_begin(&b, 100);
    give_relation(&b, 0, 'f');
    wire_update(&w, BENCH_OID, 'O', old, fresh, BENCH_COLUMNS);
    bench_give(&b, &w);
    give_commit(&b, 100, 150);
    cut(&b);
    assert_true(bench_next(&b, &batch));
    view(&b, &batch, &cv);
    check_text(&cv.columns[1], 0, "long");
    check_text(&cv.old[1], 0, "long");
    check_text(&cv.old[2], 0, NULL);
    assert_true(sluice_view_is_null(&cv.unchanged, 0));
    sluice_change_view_free(&cv);
    sluice_array_release(&batch.array);
    bench_close(&b);
}

static void test_a_null_makes_a_version(void **state)
{
    (void)state;
    struct bench b;
    struct sluice_batch batch;
    struct sluice_change_view cv;
    struct sluice_error err = SLUICE_ERROR_INIT;
    const char *values[] = {"2", NULL, "z"};
    bench_open(&b, 1, SLUICE_BEFORE_KEY, 1);
    give_begin(&b, 100);
    give_relation(&b, 0, 'd');
    give_insert(&b, 0, "1", "x");
    wire_insert(&w, BENCH_OID, values, BENCH_COLUMNS);
    assert_int_equal(bench_take(&b, &w, &err), SLUICE_AGAIN);
    /* First the rows before it, then the version, then the row. */
    assert_true(bench_next(&b, &batch));
    view(&b, &batch, &cv);
    assert_int_equal(cv.rows, 1);
    assert_int_equal(position_of(&cv, 0), 101);
    assert_int_equal(batch.flags, 0);
    sluice_change_view_free(&cv);
    sluice_array_release(&batch.array);
    assert_true(bench_next(&b, &batch));
    assert_int_equal(batch.kind, SLUICE_BATCH_SCHEMA);
    assert_int_equal(batch.schema_id, 2);
    assert_int_equal(batch.desc->schema_id, 2);
    assert_int_equal(batch.desc->stream_id, BENCH_OID);
    assert_string_equal(batch.desc->name, "public.t0");
    assert_true((batch.desc->schema->children[1]->flags & ARROW_FLAG_NULLABLE) != 0);
    assert_true((batch.desc->schema->children[0]->flags & ARROW_FLAG_NULLABLE) == 0);
    assert_false(bench_next(&b, &batch));
    bench_give(&b, &w);
    give_commit(&b, 100, 150);
    cut(&b);
    assert_true(bench_next(&b, &batch));
    view(&b, &batch, &cv);
    assert_int_equal(position_of(&cv, 0), 101);
    assert_int_equal(sluice_view_i64(&cv.tx_seq, 0), 2);
    check_text(&cv.columns[1], 0, NULL);
    check_boundary(&batch, 150);
    sluice_change_view_free(&cv);
    sluice_array_release(&batch.array);
    assert_int_equal(b.streams[0].last_schema_id, 2);
    bench_close(&b);
}

static void test_truncate_between_rows(void **state)
{
    (void)state;
    struct bench b;
    struct sluice_batch batch;
    const uint32_t oids[] = {BENCH_OID + 1, 5, BENCH_OID, BENCH_OID + 1};
    bench_open(&b, 2, SLUICE_BEFORE_KEY, 0);
    give_begin(&b, 100);
    give_relation(&b, 0, 'd');
    give_relation(&b, 1, 'd');
    give_insert(&b, 0, "1", "x");
    wire_truncate(&w, oids, 4);
    bench_give(&b, &w);
    assert_true(bench_next(&b, &batch));
    assert_int_equal(batch.kind, SLUICE_BATCH_CHANGES);
    sluice_array_release(&batch.array);
    for (uint64_t i = 0; i < 2; i++) {
        assert_true(bench_next(&b, &batch));
        assert_int_equal(batch.kind, SLUICE_BATCH_TRUNCATE);
        assert_int_equal(batch.stream_id, BENCH_OID + 1 - i);
        assert_int_equal(batch.rows, 1);
        int64_t seq = 0;
        memcpy(&seq, batch.array.children[2]->buffers[1], sizeof seq);
        assert_int_equal(seq, 2);
        assert_int_equal(sluice_get_be64(batch.array.children[1]->buffers[2]), 101);
        sluice_array_release(&batch.array);
    }
    assert_false(bench_next(&b, &batch));
    give_commit(&b, 100, 150);
    assert_true(bench_next(&b, &batch));
    assert_int_equal(batch.kind, SLUICE_BATCH_HEARTBEAT);
    check_boundary(&batch, 150);
    bench_close(&b);
}

static void test_inserts_alone(void **state)
{
    (void)state;
    struct bench b;
    const char *values[] = {"1", "x", "y"};
    bench_open(&b, 1, SLUICE_BEFORE_NONE, 0);
    give_begin(&b, 100);
    wire_relation(&w, BENCH_OID, 'd', BENCH_COLUMNS, 0);
    bench_give(&b, &w);
    give_insert(&b, 0, "1", "x");
    wire_update(&w, BENCH_OID, 0, NULL, values, BENCH_COLUMNS);
    bench_give(&b, &w);
    assert_int_equal(b.feed.pending_rows, 1);
    bench_close(&b);
}

/* ---------------------------------------------------------------- builders ------------------- */

static void test_builders_grow_and_recycle(void **state)
{
    (void)state;
    struct bench b;
    struct sluice_batch held = {0};
    struct sluice_batch batch;
    struct sluice_change_view cv;
    char number[16];
    bench_open(&b, 1, SLUICE_BEFORE_KEY, 0);
    uint64_t lsn = 100;
    give_begin(&b, lsn);
    give_relation(&b, 0, 'd');
    give_commit(&b, lsn, lsn + 1);
    for (int round = 0; round < 6; round++) {
        int n = round % 2 == 0 ? 700 : 5;
        give_begin(&b, lsn += 100);
        for (int i = 0; i < n; i++) {
            (void)snprintf(number, sizeof number, "%d", i);
            give_insert(&b, 0, number, i % 3 == 0 ? NULL : number);
        }
        give_commit(&b, lsn, lsn + 50);
        cut(&b);
        assert_true(bench_next(&b, &batch));
        view(&b, &batch, &cv);
        assert_int_equal(cv.rows, n);
        for (int i = 0; i < n; i++) {
            (void)snprintf(number, sizeof number, "%d", i);
            assert_int_equal(sluice_view_i32(&cv.columns[0], i), i);
            check_text(&cv.columns[1], i, i % 3 == 0 ? NULL : number);
            assert_int_equal(position_of(&cv, i), lsn + 50);
        }
        sluice_change_view_free(&cv);
        /* One batch lives longer than the next is built. */
        sluice_array_release(&held.array);
        sluice_array_move(&batch.array, &held.array);
    }
    sluice_array_release(&held.array);
    bench_close(&b);
}

static void test_silent_streams_give_up_memory(void **state)
{
    (void)state;
    struct bench b;
    struct sluice_batch batch;
    static char large[4096];
    memset(large, 'x', sizeof large - 1);
    bench_open(&b, BENCH_STREAMS, SLUICE_BEFORE_KEY, 0);
    uint64_t lsn = 100;
    for (uint32_t t = 0; t < BENCH_STREAMS; t++) {
        give_begin(&b, lsn += 100);
        give_relation(&b, t, 'd');
        for (int i = 0; i < 400; i++) {
            give_insert(&b, t, "1", large);
        }
        give_commit(&b, lsn, lsn + 50);
        cut(&b);
        assert_true(bench_next(&b, &batch));
        sluice_array_release(&batch.array);
        assert_true(b.feed.retained <= 34 << 20);
    }
    assert_false(b.feed.streams[0].built);
    assert_true(b.feed.streams[BENCH_STREAMS - 1].built);
    give_begin(&b, lsn += 100);
    give_insert(&b, 0, "1", "x"); /* and comes back */
    give_commit(&b, lsn, lsn + 50);
    cut(&b);
    assert_true(bench_next(&b, &batch));
    sluice_array_release(&batch.array);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit_gives_the_position),
        cmocka_unit_test(test_large_transaction_is_divided),
        cmocka_unit_test(test_end_after_the_rows_went),
        cmocka_unit_test(test_delivered_transactions_are_skipped),
        cmocka_unit_test(test_the_end_that_was_asked_for),
        cmocka_unit_test(test_messages_out_of_place),
        cmocka_unit_test(test_a_bad_value_leaves_whole_rows),
        cmocka_unit_test(test_old_rows_and_unsent_columns),
        cmocka_unit_test(test_full_rows_fill_in),
        cmocka_unit_test(test_a_null_makes_a_version),
        cmocka_unit_test(test_truncate_between_rows),
        cmocka_unit_test(test_inserts_alone),
        cmocka_unit_test(test_builders_grow_and_recycle),
        cmocka_unit_test(test_silent_streams_give_up_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
