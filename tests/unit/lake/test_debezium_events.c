/* Envelopes: each kind of change, key changes, what was not sent, rows of a load. */
#include <stdlib.h>

#include "sluice/position.h"
#include "test_debezium.h"

#define TS INT64_C(1795395154123456)

static const struct test_field fields[] = {{"id", "i", {"sluice:native_type", "integer"}},
                                           {"na\"me", "u", {"sluice:native_type", "text"}},
                                           {"bin", "z", {"sluice:native_type", "bytea"}},
                                           {NULL, NULL, {NULL}}};

struct change {
    char op;
    uint64_t pos;
    int64_t seq;
    int64_t ts;      /* -1 = NULL */
    const char *tx;  /* NULL = NULL */
    int32_t old_id;  /* 0 = no old row */
    int32_t id;      /* 0 = no new row */
    uint8_t missing; /* bits of `unchanged` */
};

static void put_text(struct sluice_column *col, const char *text)
{
    if (text == NULL) {
        assert_int_equal(sluice_column_put_null(col, NULL), SLUICE_OK);
        return;
    }
    assert_int_equal(sluice_column_put_bytes(col, text, strlen(text), NULL), SLUICE_OK);
}

static void put_head(struct sluice_column *c, const struct change *change)
{
    uint8_t pos[8];
    sluice_put_be64(pos, change->pos);
    sluice_column_put_i8(&c[0], (int8_t)change->op);
    assert_int_equal(sluice_column_put_bytes(&c[1], pos, sizeof pos, NULL), SLUICE_OK);
    sluice_column_put_i64(&c[2], change->seq);
    if (change->ts < 0) {
        assert_int_equal(sluice_column_put_null(&c[3], NULL), SLUICE_OK);
    }
    else {
        sluice_column_put_i64(&c[3], change->ts);
    }
    put_text(&c[4], change->tx);
}

/* A row of id, name (none when there is room for the id alone) and bin. */
static void put_image(struct sluice_column *col, int32_t id, uint8_t missing)
{
    if (id == 0) {
        assert_int_equal(sluice_column_put_null(col, NULL), SLUICE_OK);
        return;
    }
    sluice_column_put_i32(&col->children[0], id);
    if (col->child_count > 1) {
        put_text(&col->children[1], missing & 2 ? NULL : "n");
        put_text(&col->children[2], missing & 4 ? NULL : "b");
    }
    sluice_column_end_struct(col);
}

static void make_batch(const struct dbz_stream *stream, const struct change *changes, int64_t n,
                       struct sluice_batch *out)
{
    struct ArrowSchema envelope;
    struct sluice_rows rows;
    int32_t truncate = changes[0].op == 'T';
    assert_int_equal(sluice_schema_envelope(&stream->desc, &envelope, NULL), SLUICE_OK);
    struct ArrowSchema schema = envelope;
    schema.n_children = truncate ? 5 : 8;
    assert_int_equal(sluice_rows_init(&rows, &schema, n, NULL), SLUICE_OK);
    for (int64_t i = 0; i < n; i++) {
        struct sluice_column *c = rows.columns;
        put_head(c, &changes[i]);
        if (!truncate) {
            char bits = (char)changes[i].missing;
            put_image(&c[5], changes[i].old_id, 0);
            put_image(&c[6], changes[i].id, changes[i].missing);
            if (bits != 0) {
                assert_int_equal(sluice_column_put_bytes(&c[7], &bits, 1, NULL), SLUICE_OK);
            }
            else {
                put_text(&c[7], NULL);
            }
        }
        sluice_rows_end_row(&rows);
    }
    memset(out, 0, sizeof *out);
    out->struct_size = (uint32_t)sizeof *out;
    out->kind = truncate ? SLUICE_BATCH_TRUNCATE : SLUICE_BATCH_CHANGES;
    out->source_time_us = TS;
    assert_int_equal(sluice_rows_finish(&rows, &out->array, NULL), SLUICE_OK);
    sluice_rows_free(&rows);
    sluice_schema_release(&envelope);
}

static const struct sluice_lake_change_options plain = {.shape = SLUICE_LAKE_CHANGES_DEBEZIUM,
                                                        .topic_prefix = "top"};

static void expect(const struct dbz_stream *stream, const struct change *changes, int64_t n,
                   int64_t events, const char *want)
{
    struct sluice_batch batch;
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status st = SLUICE_OK;
    int64_t made = 0;
    make_batch(stream, changes, n, &batch);
    char *text = dbz_render(stream, &plain, &batch, 1, &made, &st, &err);
    assert_int_equal(st, SLUICE_OK);
    assert_string_equal(text, want);
    assert_int_equal(made, events);
    free(text);
}

/* The parts of an event that stay the same. */
#define SOURCE(snapshot, tx, lsn, pos, seq)                                                   \
    "\"source\":{\"version\":\"sluice 0.1.0\",\"connector\":\"postgresql\",\"name\":\"top\"," \
    "\"ts_ms\":1795395154123,\"snapshot\":\"" snapshot "\",\"db\":\"db\",\"sequence\":"       \
    "\"[null,\\\"" lsn "\\\"]\",\"ts_us\":1795395154123456,\"ts_ns\":1795395154123456000,"    \
    "\"schema\":\"sch\",\"table\":\"tab \\\"x\\\"\",\"txId\":" tx ",\"lsn\":" lsn             \
    ",\"xmin\":null,\"origin\":null,\"origin_lsn\":null,\"_pos\":\"" pos "\",\"_seq\":" seq "}"
#define TAIL(op)                                                                 \
    ",\"transaction\":null,\"op\":\"" op "\",\"ts_ms\":1795395154123,\"ts_us\":" \
    "1795395154123456,\"ts_ns\":1795395154123456000}\n"
#define ROW(id) "{\"id\":" id ",\"na\\\"me\":\"n\",\"bin\":\"Yg==\"}"
#define KEY(id) "{\"id\":" id ",\"na\\\"me\":null,\"bin\":null}"
#define EVENT(before, after, seq, op)         \
    "{\"before\":" before ",\"after\":" after \
    "," SOURCE("false", "748", "16", "0000000000000010", seq) TAIL(op)

static void changes_with_key(void **state)
{
    static const struct change changes[] = {{'I', 16, 1, TS, "748", 0, 1, 0},
                                            {'U', 16, 2, TS, "748", 0, 1, 0},
                                            {'U', 16, 3, TS, "748", 1, 1, 0},
                                            {'U', 16, 4, TS, "748", 1, 2, 0},
                                            {'D', 16, 5, TS, "748", 2, 0, 0}};
    struct dbz_stream stream;
    (void)state;
    dbz_stream_init(&stream, fields, SLUICE_BEFORE_KEY, "0");
    expect(&stream, changes, 5, 6,
           EVENT("null", ROW("1"), "1", "c") EVENT("null", ROW("1"), "2", "u")
               EVENT(KEY("1"), ROW("1"), "3", "u") EVENT(KEY("1"), "null", "4", "d")
                   EVENT("null", ROW("2"), "4", "c") EVENT(KEY("2"), "null", "5", "d"));
    dbz_stream_free(&stream);
}

static void changes_with_full_rows(void **state)
{
    static const struct change changes[] = {{'U', 16, 1, TS, "748", 1, 1, 0},
                                            {'U', 16, 2, TS, "748", 1, 2, 0},
                                            {'D', 16, 3, TS, "748", 2, 0, 0}};
    struct dbz_stream stream;
    (void)state;
    dbz_stream_init(&stream, fields, SLUICE_BEFORE_FULL, "0");
    expect(&stream, changes, 3, 4,
           EVENT(ROW("1"), ROW("1"), "1", "u") EVENT(ROW("1"), "null", "2", "d")
               EVENT("null", ROW("2"), "2", "c") EVENT(ROW("2"), "null", "3", "d"));
    dbz_stream_free(&stream);
    /* without a key nothing tells a key change */
    dbz_stream_init(&stream, fields, SLUICE_BEFORE_FULL, "");
    expect(&stream, changes, 3, 3,
           EVENT(ROW("1"), ROW("1"), "1", "u") EVENT(ROW("1"), ROW("2"), "2", "u")
               EVENT(ROW("2"), "null", "3", "d"));
    dbz_stream_free(&stream);
}

static void not_sent(void **state)
{
    static const struct change changes[] = {{'U', 16, 1, TS, "748", 0, 1, 2 | 4}};
    struct dbz_stream stream;
    (void)state;
    dbz_stream_init(&stream, fields, SLUICE_BEFORE_KEY, "0");
    expect(&stream, changes, 1, 1,
           EVENT("null",
                 "{\"id\":1,\"na\\\"me\":\"__debezium_unavailable_value\",\"bin\":"
                 "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"}",
                 "1", "u"));
    dbz_stream_free(&stream);
}

static void insert_only(void **state)
{
    static const struct change changes[] = {{'I', 16, 1, TS, "748", 0, 1, 0},
                                            {'R', 16, 2, TS, "748", 0, 1, 0}};
    struct dbz_stream stream;
    (void)state;
    dbz_stream_init(&stream, fields, SLUICE_BEFORE_NONE, "");
    expect(&stream, changes, 2, 2,
           EVENT("null", ROW("1"), "1", "c") "{\"before\":null,\"after\":" ROW("1") "," SOURCE(
               "true", "748", "16", "0000000000000010", "2") TAIL("r"));
    dbz_stream_free(&stream);
}

static void truncated(void **state)
{
    static const struct change changes[] = {{'T', 16, 9, TS, "748", 0, 0, 0}};
    struct dbz_stream stream;
    (void)state;
    dbz_stream_init(&stream, fields, SLUICE_BEFORE_KEY, "0");
    expect(&stream, changes, 1, 1, EVENT("null", "null", "9", "t"));
    dbz_stream_free(&stream);
}

/* Another transaction, one without a time, without an id, with a strange one. */
static void transactions(void **state)
{
    static const struct change changes[] = {
        {'I', 16, 1, TS, "748", 0, 1, 0},  {'I', 0xfedcba9876543210, 1, TS, NULL, 0, 2, 0},
        {'I', 16, 1, TS, "x\"1", 0, 3, 0}, {'I', 16, 1, -1, "748", 0, 4, 0},
        {'I', 16, 1, TS, "007", 0, 5, 0},  {'I', 16, 2, TS, "748", 0, 6, 0}};
    struct dbz_stream stream;
    struct sluice_batch batch;
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status st = SLUICE_OK;
    int64_t made = 0;
    (void)state;
    dbz_stream_init(&stream, fields, SLUICE_BEFORE_KEY, "0");
    make_batch(&stream, changes, 6, &batch);
    char *text = dbz_render(&stream, &plain, &batch, 1, &made, &st, &err);
    assert_int_equal(st, SLUICE_OK);
    assert_non_null(strstr(text, "\"txId\":null,\"lsn\":18364758544493064720,"));
    assert_non_null(strstr(text, "\"_pos\":\"fedcba9876543210\",\"_seq\":1}"));
    assert_non_null(strstr(text, "\"txId\":\"x\\\"1\","));
    assert_non_null(strstr(text, "\"txId\":\"007\","));
    assert_non_null(strstr(text, "\"name\":\"top\",\"ts_ms\":null,"));
    assert_non_null(strstr(text, "\"ts_us\":null,\"ts_ns\":null,\"schema\""));
    assert_non_null(strstr(text, EVENT("null", ROW("6"), "2", "c")));
    free(text);
    dbz_stream_free(&stream);
}

static void rows_of_a_load(void **state)
{
    struct dbz_stream stream;
    struct sluice_rows rows;
    struct sluice_batch batch = {
        .struct_size = (uint32_t)sizeof batch, .kind = SLUICE_BATCH_ROWS, .source_time_us = TS};
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status st = SLUICE_OK;
    int64_t made = 0;
    (void)state;
    dbz_stream_init(&stream, fields, SLUICE_BEFORE_KEY, "0");
    assert_int_equal(sluice_rows_init(&rows, &stream.schema, 2, NULL), SLUICE_OK);
    for (int32_t i = 1; i < 3; i++) {
        sluice_column_put_i32(&rows.columns[0], i);
        put_text(&rows.columns[1], "n");
        put_text(&rows.columns[2], "b");
        sluice_rows_end_row(&rows);
    }
    assert_int_equal(sluice_rows_finish(&rows, &batch.array, NULL), SLUICE_OK);
    sluice_rows_free(&rows);
    char *text = dbz_render(&stream, &plain, &batch, 1, &made, &st, &err);
    assert_int_equal(made, 2);
    assert_string_equal(text, "{\"before\":null,\"after\":" ROW("1") "," SOURCE(
                                  "true", "null", "256", "0000000000000100", "0")
                                  TAIL("r") "{\"before\":null,\"after\":" ROW("2") "," SOURCE(
                                      "true", "null", "256", "0000000000000100", "0") TAIL("r"));
    free(text);
    dbz_stream_free(&stream);
}

static int64_t fixed_clock(void *ctx, int32_t clock)
{
    (void)ctx;
    return clock == SLUICE_CLOCK_WALL ? INT64_C(1795395999000001) : 0;
}

static void clock_of_the_host(void **state)
{
    static const struct change changes[] = {{'I', 16, 1, TS, "748", 0, 1, 0}};
    const struct sluice_host host = {.struct_size = (uint32_t)sizeof host, .now_us = fixed_clock};
    struct sluice_lake_change_options options = plain;
    struct dbz_stream stream;
    struct sluice_batch batch;
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status st = SLUICE_OK;
    int64_t made = 0;
    (void)state;
    options.host = &host;
    dbz_stream_init(&stream, fields, SLUICE_BEFORE_KEY, "0");
    make_batch(&stream, changes, 1, &batch);
    char *text = dbz_render(&stream, &options, &batch, 1, &made, &st, &err);
    assert_non_null(strstr(text, "\"op\":\"c\",\"ts_ms\":1795395999000,\"ts_us\":1795395999000001,"
                                 "\"ts_ns\":1795395999000001000}\n"));
    assert_non_null(strstr(text, "\"source\":{\"version\":\"sluice 0.1.0\",\"connector\":"
                                 "\"postgresql\",\"name\":\"top\",\"ts_ms\":1795395154123,"));
    free(text);
    dbz_stream_free(&stream);
}

static void unknown_change(void **state)
{
    static const struct change changes[] = {{'X', 16, 1, TS, "748", 0, 1, 0}};
    struct dbz_stream stream;
    struct sluice_batch batch;
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status st = SLUICE_OK;
    int64_t made = 0;
    (void)state;
    dbz_stream_init(&stream, fields, SLUICE_BEFORE_KEY, "0");
    make_batch(&stream, changes, 1, &batch);
    free(dbz_render(&stream, &plain, &batch, 1, &made, &st, &err));
    assert_int_equal(st, SLUICE_E_DATA);
    dbz_stream_free(&stream);
}

/* What stands for values that were not sent, by type. */
static void placeholders(void **state)
{
#define PH "__debezium_unavailable_value"
#define CODES                                                                                    \
    "95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97," \
    "108,117,101"
    static const struct test_field many[] = {
        {"a", "u", {"sluice:native_type", "text[]", "sluice:text", "[s,]"}},
        {"b", "u", {"sluice:native_type", "character varying(9)[]", "sluice:text", "[s,]"}},
        {"c", "u", {"sluice:native_type", "integer[]", "sluice:text", "[n,]"}},
        {"d", "u", {"sluice:native_type", "bytea[]", "sluice:text", "[x,]"}},
        {"e", "u", {"sluice:native_type", "uuid[]", "sluice:text", "[s,]"}},
        {"f", "u", {"sluice:native_type", "public.hstore"}},
        {"g", "u", {"sluice:native_type", "numeric", "sluice:text", "n"}},
        {"h", "u", {"sluice:native_type", "numeric[]", "sluice:text", "[n,]"}},
        {NULL, NULL, {NULL}}};
    static const char want[] = "{\"a\":[\"" PH "\"],\"b\":[\"" PH "\"],\"c\":[" CODES
                               "],\"d\":[\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"],\"e\":["
                               "\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"],\"f\":\"{\\\"" PH
                               "\\\":\\\"" PH "\\\"}\",\"g\":\"" PH "\",\"h\":\"" PH "\"}";
    struct dbz_stream stream;
    struct ArrowSchema envelope;
    struct sluice_rows rows;
    struct sluice_batch batch = {.struct_size = (uint32_t)sizeof batch,
                                 .kind = SLUICE_BATCH_CHANGES};
    const struct change change = {'U', 16, 1, TS, "748", 0, 0, 0};
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status st = SLUICE_OK;
    int64_t made = 0;
    (void)state;
    dbz_stream_init(&stream, many, SLUICE_BEFORE_NONE, "");
    assert_int_equal(sluice_schema_envelope(&stream.desc, &envelope, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_init(&rows, &envelope, 1, NULL), SLUICE_OK);
    put_head(rows.columns, &change);
    put_text(&rows.columns[5], NULL);
    for (int32_t i = 0; i < 8; i++) {
        put_text(&rows.columns[6].children[i], NULL);
    }
    sluice_column_end_struct(&rows.columns[6]);
    assert_int_equal(sluice_column_put_bytes(&rows.columns[7], "\xff", 1, NULL), SLUICE_OK);
    sluice_rows_end_row(&rows);
    assert_int_equal(sluice_rows_finish(&rows, &batch.array, NULL), SLUICE_OK);
    sluice_rows_free(&rows);
    sluice_schema_release(&envelope);
    char *text = dbz_render(&stream, &plain, &batch, 1, &made, &st, &err);
    char *after = strstr(text, "\"after\":");
    assert_non_null(after);
    assert_memory_equal(after + 8, want, sizeof want - 1);
    free(text);
    dbz_stream_free(&stream);
}

int run_debezium_event_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_with_key), cmocka_unit_test(changes_with_full_rows),
        cmocka_unit_test(not_sent),         cmocka_unit_test(insert_only),
        cmocka_unit_test(truncated),        cmocka_unit_test(transactions),
        cmocka_unit_test(rows_of_a_load),   cmocka_unit_test(clock_of_the_host),
        cmocka_unit_test(unknown_change),   cmocka_unit_test(placeholders),
    };
    return cmocka_run_group_tests_name("debezium events", tests, NULL, NULL);
}
