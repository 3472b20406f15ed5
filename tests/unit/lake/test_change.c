/* Rows of change files in the shape `columns`. */
#include <stdlib.h>

#include "changes.h"
#include "lake/change.h"
#include "sluice/position.h"

#define TS INT64_C(1795395154123456) /* 2026-11-23T00:52:34.123456Z */

struct text {
    char *data;
    size_t size;
};

static sluice_status collect(void *ctx, const uint8_t *data, size_t size, struct sluice_error *err)
{
    struct text *text = ctx;
    (void)err;
    text->data = realloc(text->data, text->size + size + 1);
    assert_non_null(text->data);
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = 0;
    return SLUICE_OK;
}

/* Encodes the batches (which are released); the caller frees the text. */
static char *render(const struct test_stream *stream,
                    const struct sluice_lake_change_options *options, struct sluice_batch *batches,
                    uint32_t count, int64_t *made)
{
    struct text text = {calloc(1, 1), 0};
    struct sluice_lake_change_encoder *enc = NULL;
    struct sluice_lake_out out;
    struct sluice_error err = SLUICE_ERROR_INIT;
    uint8_t load[8];
    const struct sluice_bytes position = {load, sizeof load};
    sluice_put_be64(load, 0x100);
    assert_int_equal(sluice_lake_out_init(&out, collect, &text, &err), SLUICE_OK);
    out.err = &err;
    assert_int_equal(sluice_lake_change_encoder_create(&stream->desc, options, &enc, &err),
                     SLUICE_OK);
    sluice_lake_change_encoder_load(enc, position, TS);
    sluice_lake_change_encoder_begin(enc, &out);
    *made = 0;
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(sluice_lake_change_encoder_bind(enc, &batches[i], &err), SLUICE_OK);
        int64_t half = batches[i].array.length / 2;
        *made += sluice_lake_change_encoder_rows(enc, 0, half, &out);
        *made += sluice_lake_change_encoder_rows(enc, half, batches[i].array.length, &out);
        sluice_array_release(&batches[i].array);
    }
    sluice_lake_out_flush(&out, out.p);
    assert_int_equal(out.status, SLUICE_OK);
    sluice_lake_change_encoder_free(enc);
    sluice_lake_out_free(&out);
    return text.data;
}

static void expect(const struct test_stream *stream, int32_t format,
                   const struct test_change *changes, int64_t rows, const char *want)
{
    const struct sluice_lake_change_options options = {.format = format,
                                                       .binary = format == SLUICE_LAKE_CSV};
    struct sluice_batch batch;
    int64_t made = 0;
    test_changes_batch(stream, changes, &batch);
    char *text = render(stream, &options, &batch, 1, &made);
    assert_string_equal(text, want);
    assert_int_equal(made, rows);
    free(text);
}

#define META(op, pos, seq)                                   \
    "{\"_op\":\"" op "\",\"_pos\":\"" pos "\",\"_seq\":" seq \
    ",\"_commit_ts\":\"2026-11-23T00:52:34.123456Z\",\"_tx\":\"748\",\"_unchanged\":"

static void key_stream(void **state)
{
    static const struct test_change changes[] = {
        {'I', 0x1a2b3c4d, 1, TS, "748", NULL, "1|a|x"},
        {'U', 0x1a2b3c4d, 2, TS, "748", NULL, "1|b|?"},
        {'U', 0x1a2b3c4d, 3, TS, "748", "1", "2|b|?"},
        {'U', 0x1a2b3c4d, 4, TS, "748", "2", "2|~|y"}, /* an old key that is the new one */
        {'U', 0x1a2b3c4d, 5, TS, "748", NULL, "2|?|?"},
        {'D', 0x1a2b3c4e, 1, -1, NULL, "2", NULL},
        {'D', 0x1a2b3c4e, 2, TS, "7\n", NULL, NULL},
        {0, 0, 0, 0, NULL, NULL, NULL}};
    struct test_stream stream;
    (void)state;
    test_stream_init(&stream, SLUICE_BEFORE_KEY, "0");
    expect(
        &stream, SLUICE_LAKE_JSONL, changes, 8,
        META("I", "000000001a2b3c4d", "1") "[],\"id\":1,\"name\":\"a\",\"note\":\"x\"}\n" META("U", "000000001a2b3c4d", "2") "[\"note\"],\"id\":1,\"name\":\"b\"}\n" META(
            "D", "000000001a2b3c4d",
            "3") "[],\"id\":1}\n" META("I", "000000001a2b3c4d",
                                       "3") "[\"note\"],\"id\":2,\"name\":"
                                            "\"b\"}\n" META(
                                                "U", "000000001a2b3c4d",
                                                "4") "[],\"id\":2,"
                                                     "\"name\":"
                                                     "null,"
                                                     "\"note\":"
                                                     "\"y\"}"
                                                     "\n" META(
                                                         "U",
                                                         "000"
                                                         "000"
                                                         "001"
                                                         "a2b"
                                                         "3c4"
                                                         "d",
                                                         "5") "[\"name\",\"note\"],\"id\":2}\n"
                                                              "{\"_op\":\"D\",\"_pos\":"
                                                              "\"000000001a2b3c4e\",\"_seq\":1,\"_"
                                                              "commit_ts\":null,"
                                                              "\"_tx\":null,\"_unchanged\":[],"
                                                              "\"id\":2}\n"
                                                              "{\"_op\":\"D\",\"_pos\":"
                                                              "\"000000001a2b3c4e\",\"_seq\":2,"
                                                              "\"_commit_ts\":\"2026-11-23T00:52:"
                                                              "34.123456Z\",\"_tx\":\"7\\n\",\"_"
                                                              "unchanged\":[]}\n");
    expect(&stream, SLUICE_LAKE_CSV, changes, 8,
           "_op,_pos,_seq,_commit_ts,_tx,_unchanged,id,name,note\n"
           "I,000000001a2b3c4d,1,2026-11-23T00:52:34.123456Z,748,,1,a,x\n"
           "U,000000001a2b3c4d,2,2026-11-23T00:52:34.123456Z,748,\"[\"\"note\"\"]\",1,b,\n"
           "D,000000001a2b3c4d,3,2026-11-23T00:52:34.123456Z,748,,1,,\n"
           "I,000000001a2b3c4d,3,2026-11-23T00:52:34.123456Z,748,\"[\"\"note\"\"]\",2,b,\n"
           "U,000000001a2b3c4d,4,2026-11-23T00:52:34.123456Z,748,,2,,y\n"
           "U,000000001a2b3c4d,5,2026-11-23T00:52:34.123456Z,748,"
           "\"[\"\"name\"\",\"\"note\"\"]\",2,,\n"
           "D,000000001a2b3c4e,1,,,,2,,\n"
           "D,000000001a2b3c4e,2,2026-11-23T00:52:34.123456Z,\"7\n\",,,,\n");
    test_stream_free(&stream);
}

static void keys_in_other_order(void **state)
{
    static const struct test_change changes[] = {{'U', 1, 1, TS, "748", "n|1", "1|m|x"},
                                                 {'D', 1, 2, TS, "748", "m|1", NULL},
                                                 {0, 0, 0, 0, NULL, NULL, NULL}};
    struct test_stream stream;
    (void)state;
    test_stream_init(&stream, SLUICE_BEFORE_KEY, "10");
    expect(&stream, SLUICE_LAKE_JSONL, changes, 3,
           META("D", "0000000000000001", "1") "[],\"name\":\"n\",\"id\":1}\n" META(
               "I", "0000000000000001",
               "1") "[],\"id\":1,\"name\":\"m\",\"note\":\"x\"}\n" META("D", "0000000000000001",
                                                                        "2") "[],\"name\":\"m\","
                                                                             "\"id\":1}\n");
    expect(&stream, SLUICE_LAKE_CSV, changes, 3,
           "_op,_pos,_seq,_commit_ts,_tx,_unchanged,id,name,note\n"
           "D,0000000000000001,1,2026-11-23T00:52:34.123456Z,748,,1,n,\n"
           "I,0000000000000001,1,2026-11-23T00:52:34.123456Z,748,,1,m,x\n"
           "D,0000000000000001,2,2026-11-23T00:52:34.123456Z,748,,1,m,\n");
    test_stream_free(&stream);
}

static void full_old_rows(void **state)
{
    static const struct test_change changes[] = {
        {'U', 1, 1, TS, "748", "1|a|x", "1|b|x"}, /* same key */
        {'U', 1, 2, TS, "748", "1|b|x", "2|b|?"},
        {'D', 1, 3, TS, "748", "2|b|~", NULL},
        {0, 0, 0, 0, NULL, NULL, NULL}};
    struct test_stream stream;
    (void)state;
    test_stream_init(&stream, SLUICE_BEFORE_FULL, "0");
    expect(&stream, SLUICE_LAKE_JSONL, changes, 4,
           META("U", "0000000000000001", "1") "[],\"id\":1,\"name\":\"b\",\"note\":\"x\"}\n" META(
               "D", "0000000000000001",
               "2") "[],\"id\":1,\"name\":\"b\",\"note\":\"x\"}\n" META("I", "0000000000000001",
                                                                        "2") "[\"note\"],\"id\":2,"
                                                                             "\"name\":\"b\"}"
                                                                             "\n" META("D",
                                                                                       "00000000000"
                                                                                       "00001",
                                                                                       "3") "[],"
                                                                                            "\"id\""
                                                                                            ":2,"
                                                                                            "\"name"
                                                                                            "\":"
                                                                                            "\"b\","
                                                                                            "\"note"
                                                                                            "\":"
                                                                                            "null}"
                                                                                            "\n");
    test_stream_free(&stream);
    /* without a key each update moves its row */
    test_stream_init(&stream, SLUICE_BEFORE_FULL, "");
    expect(&stream, SLUICE_LAKE_CSV, changes, 5,
           "_op,_pos,_seq,_commit_ts,_tx,_unchanged,id,name,note\n"
           "D,0000000000000001,1,2026-11-23T00:52:34.123456Z,748,,1,a,x\n"
           "I,0000000000000001,1,2026-11-23T00:52:34.123456Z,748,,1,b,x\n"
           "D,0000000000000001,2,2026-11-23T00:52:34.123456Z,748,,1,b,x\n"
           "I,0000000000000001,2,2026-11-23T00:52:34.123456Z,748,\"[\"\"note\"\"]\",2,b,\n"
           "D,0000000000000001,3,2026-11-23T00:52:34.123456Z,748,,2,b,\n");
    test_stream_free(&stream);
}

static void truncates_and_loads(void **state)
{
    const struct sluice_lake_change_options options = {.format = SLUICE_LAKE_JSONL};
    const struct sluice_lake_change_options csv = {.format = SLUICE_LAKE_CSV, .binary = 1};
    struct test_stream stream;
    struct sluice_batch batches[2];
    struct sluice_rows rows;
    int64_t made = 0;
    (void)state;
    test_stream_init(&stream, SLUICE_BEFORE_NONE, "");
    for (int32_t i = 0; i < 2; i++) {
        test_truncate_batch(&stream, 9, 4, TS, "748", &batches[0]);
        assert_int_equal(sluice_rows_init(&rows, &stream.schema, 1, NULL), SLUICE_OK);
        sluice_column_put_i32(&rows.columns[0], 5);
        assert_int_equal(sluice_column_put_bytes(&rows.columns[1], "five", 4, NULL), SLUICE_OK);
        assert_int_equal(sluice_column_put_null(&rows.columns[2], NULL), SLUICE_OK);
        sluice_rows_end_row(&rows);
        memset(&batches[1], 0, sizeof batches[1]);
        batches[1].kind = SLUICE_BATCH_ROWS;
        assert_int_equal(sluice_rows_finish(&rows, &batches[1].array, NULL), SLUICE_OK);
        sluice_rows_free(&rows);
        char *text = render(&stream, i == 0 ? &options : &csv, batches, 2, &made);
        assert_string_equal(
            text, i == 0 ? META("T", "0000000000000009",
                                "4") "[]}\n"
                                     "{\"_op\":\"R\",\"_pos\":\"0000000000000100\",\"_seq\":0,"
                                     "\"_commit_ts\":\"2026-11-23T00:52:34.123456Z\",\"_tx\":null,"
                                     "\"_unchanged\":[],\"id\":5,\"name\":\"five\",\"note\":null}\n"
                         : "_op,_pos,_seq,_commit_ts,_tx,_unchanged,id,name,note\n"
                           "T,0000000000000009,4,2026-11-23T00:52:34.123456Z,748,,,,\n"
                           "R,0000000000000100,0,2026-11-23T00:52:34.123456Z,,,5,five,\n");
        assert_int_equal(made, 2);
        free(text);
    }
    test_stream_free(&stream);
}

static sluice_status try_create(const struct test_stream *stream,
                                const struct sluice_lake_change_options *options,
                                struct sluice_error *err)
{
    struct sluice_lake_change_encoder *enc = NULL;
    sluice_status st = sluice_lake_change_encoder_create(&stream->desc, options, &enc, err);
    sluice_lake_change_encoder_free(enc);
    return st;
}

static void names_that_clash(void **state)
{
    static const struct test_field fields[] = {
        {"_pos", "i", {NULL}}, {"a\"b", "u", {NULL}}, {NULL, NULL, {NULL}}};
    struct sluice_lake_change_options options = {.format = SLUICE_LAKE_JSONL};
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct test_stream stream;
    char prefix[80];
    (void)state;
    test_stream_init(&stream, SLUICE_BEFORE_NONE, "");
    sluice_schema_release(&stream.schema);
    test_schema(&stream.schema, fields);
    assert_int_equal(try_create(&stream, &options, &err), SLUICE_E_INVALID);
    assert_non_null(strstr(err.message, "metadata_prefix"));
    assert_non_null(strstr(err.message, "_pos"));
    options.metadata_prefix = "x,\"";
    assert_int_equal(try_create(&stream, &options, &err), SLUICE_E_INVALID);
    memset(prefix, 'p', sizeof prefix);
    prefix[79] = 0;
    options.metadata_prefix = prefix;
    assert_int_equal(try_create(&stream, &options, &err), SLUICE_E_INVALID);
    options.metadata_prefix = "";
    assert_int_equal(try_create(&stream, &options, &err), SLUICE_OK);
    prefix[SLUICE_LAKE_PREFIX_MAX] = 0;
    prefix[0] = ',';
    options.metadata_prefix = prefix;
    assert_int_equal(try_create(&stream, &options, &err), SLUICE_OK);
    options.format = SLUICE_LAKE_CSV;
    assert_int_equal(try_create(&stream, &options, &err), SLUICE_OK);
    options.shape = SLUICE_LAKE_CHANGES_DEBEZIUM;
    assert_int_equal(try_create(&stream, &options, &err), SLUICE_E_INVALID);
    test_stream_free(&stream);
}

static void odd_names(void **state)
{
    static const struct test_field fields[] = {
        {"a\"b", "u", {NULL}}, {"c,d", "u", {NULL}}, {NULL, NULL, {NULL}}};
    static const struct test_change changes[] = {{'U', 1, 1, TS, "748", NULL, "?|?"},
                                                 {0, 0, 0, 0, NULL, NULL, NULL}};
    struct test_stream stream;
    (void)state;
    test_stream_init(&stream, SLUICE_BEFORE_NONE, "");
    sluice_schema_release(&stream.schema);
    test_schema(&stream.schema, fields);
    expect(&stream, SLUICE_LAKE_JSONL, changes, 1,
           META("U", "0000000000000001", "1") "[\"a\\\"b\",\"c,d\"]}\n");
    expect(&stream, SLUICE_LAKE_CSV, changes, 1,
           "_op,_pos,_seq,_commit_ts,_tx,_unchanged,\"a\"\"b\",\"c,d\"\n"
           "U,0000000000000001,1,2026-11-23T00:52:34.123456Z,748,"
           "\"[\"\"a\\\"\"b\"\",\"\"c,d\"\"]\",,\n");
    test_stream_free(&stream);
}

static void bad_op(void **state)
{
    static const struct test_change changes[] = {{'X', 1, 1, TS, "748", NULL, "1|a|b"},
                                                 {0, 0, 0, 0, NULL, NULL, NULL}};
    const struct sluice_lake_change_options options = {.format = SLUICE_LAKE_JSONL};
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_lake_change_encoder *enc = NULL;
    struct text text = {NULL, 0};
    struct sluice_lake_out out;
    struct test_stream stream;
    struct sluice_batch batch;
    (void)state;
    test_stream_init(&stream, SLUICE_BEFORE_KEY, "0");
    test_changes_batch(&stream, changes, &batch);
    assert_int_equal(sluice_lake_out_init(&out, collect, &text, &err), SLUICE_OK);
    out.err = &err;
    assert_int_equal(sluice_lake_change_encoder_create(&stream.desc, &options, &enc, &err),
                     SLUICE_OK);
    assert_int_equal(sluice_lake_change_encoder_bind(enc, &batch, &err), SLUICE_OK);
    (void)sluice_lake_change_encoder_rows(enc, 0, 1, &out);
    assert_int_equal(out.status, SLUICE_E_DATA);
    sluice_lake_change_encoder_free(enc);
    sluice_array_release(&batch.array);
    sluice_lake_out_free(&out);
    free(text.data);
    test_stream_free(&stream);
}

int run_change_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_stream),       cmocka_unit_test(keys_in_other_order),
        cmocka_unit_test(full_old_rows),    cmocka_unit_test(truncates_and_loads),
        cmocka_unit_test(names_that_clash), cmocka_unit_test(odd_names),
        cmocka_unit_test(bad_op),
    };
    return cmocka_run_group_tests_name("changes", tests, NULL, NULL);
}
