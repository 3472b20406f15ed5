/* Whole sinks over the store in memory: files, rotation, attempts, failures. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "lake/keys.h"
#include "support.h"

static const struct test_option plain_jsonl[] = {{"compression", SLUICE_OPTION_ENUM, 0, "none"},
                                                 {NULL, 0, 0, NULL}};
static const struct test_option plain_csv[] = {{"compression", SLUICE_OPTION_ENUM, 0, "none"},
                                               {"format", SLUICE_OPTION_ENUM, 1, "csv"},
                                               {NULL, 0, 0, NULL}};

struct fixture {
    struct test_host host;
    struct mem_store store;
    struct sluice_sink *sink;
    struct ArrowSchema schema;
    struct sluice_stream_desc desc;
    const char *parts[2];
    uint32_t keys[1];
    uint64_t stream_ids[1];
    struct sluice_shard_desc shard;
};

static void begin_run(struct fixture *f, const char *run)
{
    struct sluice_stream_begin begin = {.struct_size = (uint32_t)sizeof begin,
                                        .flags = SLUICE_BEGIN_LOAD,
                                        .desc = &f->desc,
                                        .run = run};
    assert_int_equal(sluice_lake_sink_stream_begin(f->sink, &begin, NULL), SLUICE_OK);
}

static void start(struct fixture *f, const struct test_option *options, const char *name,
                  uint64_t batch_rows)
{
    static const struct test_field fields[] = {{"id", "i", {"sluice:native_type", "integer"}},
                                               {"name", "u", {"sluice:native_type", "text"}},
                                               {NULL, NULL, {NULL}}};
    memset(f, 0, sizeof *f);
    test_host_init(&f->host, options);
    mem_store_init(&f->store, &f->host.host);
    assert_int_equal(sluice_lake_sink_create(&f->host.host, &mem_store_api,
                                             mem_store_cast(&f->store), &f->sink, NULL),
                     SLUICE_OK);
    struct sluice_sink_plan plan = {.struct_size = (uint32_t)sizeof plan};
    plan.mode = SLUICE_MODE_FULL_LOAD_ONLY;
    plan.pipeline = "p/../x";
    plan.node = "lake";
    plan.batch_rows = batch_rows;
    assert_int_equal(sluice_lake_sink_open(f->sink, &plan, NULL), SLUICE_OK);
    test_schema(&f->schema, fields);
    f->desc.struct_size = (uint32_t)sizeof f->desc;
    f->desc.kind = SLUICE_STREAM_TABLE;
    f->desc.stream_id = 7;
    f->desc.schema_id = 1;
    f->desc.name = name;
    f->desc.part_count = 2;
    f->parts[0] = "public";
    f->parts[1] = "t";
    f->desc.parts = f->parts;
    f->desc.key_count = 1;
    f->desc.keys = f->keys;
    f->desc.schema = &f->schema;
    f->stream_ids[0] = 7;
    f->shard.struct_size = (uint32_t)sizeof f->shard;
    f->shard.kind = SLUICE_SHARD_SNAPSHOT;
    f->shard.stream_count = 1;
    f->shard.stream_ids = f->stream_ids;
    f->shard.id = "hr/public.t:0";
    begin_run(f, "20261123T005234Z");
}

static void stop(struct fixture *f)
{
    sluice_lake_sink_destroy(f->sink);
    sluice_schema_release(&f->schema);
    mem_store_free(&f->store);
    assert_int_equal(f->host.memory, 0);
}

static void make_batch(const struct fixture *f, struct sluice_batch *batch, int32_t first,
                       int32_t rows)
{
    struct sluice_rows r;
    assert_int_equal(sluice_rows_init(&r, &f->schema, rows > 0 ? rows : 1, NULL), SLUICE_OK);
    for (int32_t i = 0; i < rows; i++) {
        char text[32];
        int n = snprintf(text, sizeof text, "row %d", first + i);
        sluice_column_put_i32(&r.columns[0], first + i);
        assert_int_equal(sluice_column_put_bytes(&r.columns[1], text, (uint64_t)n, NULL),
                         SLUICE_OK);
        sluice_rows_end_row(&r);
    }
    memset(batch, 0, sizeof *batch);
    batch->struct_size = (uint32_t)sizeof *batch;
    batch->kind = SLUICE_BATCH_ROWS;
    batch->stream_id = 7;
    batch->schema_id = 1;
    batch->rows = (uint64_t)rows;
    assert_int_equal(sluice_rows_finish(&r, &batch->array, NULL), SLUICE_OK);
    sluice_rows_free(&r);
}

static void write_rows(const struct fixture *f, struct sluice_lane *lane, int32_t first,
                       int32_t rows)
{
    struct sluice_batch batch;
    make_batch(f, &batch, first, rows);
    assert_int_equal(sluice_lake_sink_lane_write(lane, &batch, NULL), SLUICE_OK);
    assert_null(batch.array.release);
}

static struct sluice_commit commit_of(uint64_t epoch)
{
    struct sluice_commit commit = {.struct_size = (uint32_t)sizeof commit, .epoch = epoch};
    commit.token.data = "T";
    commit.token.size = 1;
    return commit;
}

static json_t *manifest(const struct fixture *f, uint64_t seq)
{
    char key[128];
    (void)snprintf(key, sizeof key, "_sluice/p%%2F..%%2Fx/lake/commits/%020llu.json",
                   (unsigned long long)seq);
    const struct mem_object *o = mem_store_find(&f->store, key);
    assert_non_null(o);
    json_t *root = json_loadb((const char *)o->data, o->size, 0, NULL);
    assert_non_null(root);
    return root;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void one_load(void **state)
{
    struct fixture f;
    struct sluice_lane *lane = NULL;
    struct sluice_commit commit = commit_of(1);
    (void)state;
    start(&f, plain_jsonl, "public.t", 0);
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &f.shard, &lane, NULL), SLUICE_OK);
    write_rows(&f, lane, 0, 3);
    write_rows(&f, lane, 3, 0);
    write_rows(&f, lane, 3, 2);
    assert_int_equal(f.store.count, 0); /* nothing is seen before the commit */
    assert_int_equal(sluice_lake_sink_lane_commit(lane, &commit, NULL), SLUICE_OK);
    sluice_lake_sink_lane_close(lane);
    const char *key = "public.t/full/20261123T005234Z/hr-public.t-0-1.jsonl";
    const char *want = "{\"id\":0,\"name\":\"row 0\"}\n{\"id\":1,\"name\":\"row 1\"}\n"
                       "{\"id\":2,\"name\":\"row 2\"}\n{\"id\":3,\"name\":\"row 3\"}\n"
                       "{\"id\":4,\"name\":\"row 4\"}\n";
    const struct mem_object *o = mem_store_find(&f.store, key);
    assert_non_null(o);
    assert_int_equal(o->size, strlen(want));
    assert_memory_equal(o->data, want, o->size);
    json_t *root = manifest(&f, 1);
    assert_string_equal(text_of(root, "kind"), "full");
    assert_string_equal(text_of(root, "pipeline"), "p/../x");
    assert_string_equal(text_of(root, "shard"), "hr/public.t:0");
    assert_string_equal(text_of(root, "run"), "20261123T005234Z");
    assert_string_equal(text_of(root, "token"), "VA==");
    assert_int_equal(json_integer_value(json_object_get(root, "epoch")), 1);
    const json_t *column = json_array_get(
        json_object_get(json_array_get(json_object_get(root, "streams"), 0), "columns"), 0);
    assert_string_equal(text_of(column, "name"), "id");
    assert_string_equal(text_of(column, "type"), "int32");
    assert_string_equal(text_of(column, "native"), "integer");
    assert_true(json_is_true(json_object_get(column, "key")));
    const json_t *file = json_array_get(json_object_get(root, "files"), 0);
    char digest[65];
    assert_int_equal(sluice_lake_sha256(want, strlen(want), digest, NULL), SLUICE_OK);
    assert_string_equal(text_of(file, "key"), key);
    assert_string_equal(text_of(file, "stream"), "public.t");
    assert_string_equal(text_of(file, "sha256"), digest);
    assert_int_equal(json_integer_value(json_object_get(file, "rows")), 5);
    assert_int_equal(json_integer_value(json_object_get(file, "bytes")), strlen(want));
    assert_int_equal(sluice_lake_sink_bytes_written(f.sink), strlen(want));
    json_decref(root);
    struct sluice_stream_end end = {.struct_size = (uint32_t)sizeof end, .stream_id = 7};
    end.run = "20261123T005234Z";
    end.rows = 5;
    end.token = commit.token;
    end.load_position_text = "00000000016b3748";
    assert_int_equal(sluice_lake_sink_stream_end(f.sink, &end, NULL), SLUICE_OK);
    root = manifest(&f, 2);
    const json_t *whole = json_array_get(json_object_get(root, "streams"), 0);
    assert_string_equal(text_of(root, "kind"), "complete");
    assert_string_equal(text_of(whole, "name"), "public.t");
    assert_string_equal(text_of(whole, "position"), "00000000016b3748");
    assert_int_equal(json_integer_value(json_object_get(whole, "rows")), 5);
    assert_null(json_object_get(root, "files"));
    json_decref(root);
    stop(&f);
}

static void empty_epochs(void **state)
{
    struct fixture f;
    struct sluice_lane *lane = NULL;
    struct sluice_commit commit = commit_of(1);
    (void)state;
    start(&f, plain_jsonl, "public.t", 0);
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &f.shard, &lane, NULL), SLUICE_OK);
    assert_int_equal(sluice_lake_sink_lane_commit(lane, &commit, NULL), SLUICE_OK);
    write_rows(&f, lane, 0, 0);
    assert_int_equal(sluice_lake_sink_lane_commit(lane, &commit, NULL), SLUICE_OK);
    sluice_lake_sink_lane_close(lane);
    assert_int_equal(f.store.count, 0);
    stop(&f);
}

static void rotation(void **state)
{
    struct fixture f;
    struct sluice_lane *lane = NULL;
    struct sluice_commit commit = commit_of(1);
    (void)state;
    start(&f, plain_csv, "public.t", 4);
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &f.shard, &lane, NULL), SLUICE_OK);
    write_rows(&f, lane, 0, 10);
    write_rows(&f, lane, 10, 3);
    assert_int_equal(sluice_lake_sink_lane_commit(lane, &commit, NULL), SLUICE_OK);
    json_t *root = manifest(&f, 1);
    const json_t *files = json_object_get(root, "files");
    assert_int_equal(json_array_size(files), 4); /* 4 4 4 1 */
    json_decref(root);
    commit.epoch = 2; /* n goes on in the next epoch */
    write_rows(&f, lane, 13, 1);
    assert_int_equal(sluice_lake_sink_lane_commit(lane, &commit, NULL), SLUICE_OK);
    assert_non_null(mem_store_key(&f.store, "-0-5.csv", "public.t/full/"));
    const struct mem_object *o =
        mem_store_find(&f.store, "public.t/full/20261123T005234Z/hr-public.t-0-3.csv");
    static const char want[] = "id,name\n8,row 8\n9,row 9\n10,row 10\n11,row 11\n";
    assert_non_null(o);
    assert_int_equal(o->size, sizeof want - 1);
    assert_memory_equal(o->data, want, o->size);
    sluice_lake_sink_lane_close(lane);
    stop(&f);
}

static void attempts_have_own_keys(void **state)
{
    struct fixture f;
    struct sluice_lane *lane = NULL;
    struct sluice_commit commit = commit_of(1);
    (void)state;
    start(&f, plain_jsonl, "public.t", 2);
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &f.shard, &lane, NULL), SLUICE_OK);
    write_rows(&f, lane, 0, 5);
    sluice_lake_sink_lane_close(lane); /* the first two files are there, but count nowhere */
    assert_int_equal(f.store.count, 2);
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &f.shard, &lane, NULL), SLUICE_OK);
    write_rows(&f, lane, 0, 5);
    sluice_lake_sink_lane_abort(lane);
    write_rows(&f, lane, 0, 5);
    assert_int_equal(sluice_lake_sink_lane_commit(lane, &commit, NULL), SLUICE_OK);
    sluice_lake_sink_lane_close(lane);
    json_t *root = manifest(&f, 1);
    const json_t *files = json_object_get(root, "files");
    assert_int_equal(json_array_size(files), 3);
    assert_string_equal(text_of(json_array_get(files, 0), "key"),
                        "public.t/full/20261123T005234Z/hr-public.t-0~2-4.jsonl");
    json_decref(root);
    /* another run starts afresh, also for a lane whose text is the same */
    begin_run(&f, "20261123T005234Z-2");
    f.shard.id = "hr-public.t-0";
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &f.shard, &lane, NULL), SLUICE_OK);
    write_rows(&f, lane, 0, 1);
    assert_int_equal(sluice_lake_sink_lane_commit(lane, &commit, NULL), SLUICE_OK);
    sluice_lake_sink_lane_close(lane);
    assert_non_null(
        mem_store_find(&f.store, "public.t/full/20261123T005234Z-2/hr-public.t-0-1.jsonl"));
    stop(&f);
}

static void hostile_stream(void **state)
{
    struct fixture f;
    struct sluice_lane *lane = NULL;
    struct sluice_commit commit = commit_of(1);
    (void)state;
    start(&f, NULL, "public.\"a/../b\x01\"", 0);
    f.shard.id = "../../../etc/passwd";
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &f.shard, &lane, NULL), SLUICE_OK);
    write_rows(&f, lane, 0, 1);
    assert_int_equal(sluice_lake_sink_lane_commit(lane, &commit, NULL), SLUICE_OK);
    sluice_lake_sink_lane_close(lane);
    const char *key = mem_store_key(&f.store, "public.", ".jsonl.zst");
    assert_string_equal(
        key, "public.%22a%2F..%2Fb%01%22/full/20261123T005234Z/..-..-..-etc-passwd-1.jsonl.zst");
    const struct mem_object *o = mem_store_find(&f.store, key);
    char text[64];
    size_t n = ZSTD_decompress(text, sizeof text, o->data, o->size);
    assert_int_equal(n, 24);
    assert_memory_equal(text, "{\"id\":0,\"name\":\"row 0\"}\n", 24);
    stop(&f);
}

static void failing_store(void **state)
{
    struct fixture f;
    struct sluice_lane *lane = NULL;
    struct sluice_batch batch;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_commit commit = commit_of(1);
    (void)state;
    start(&f, plain_jsonl, "public.t", 2);
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &f.shard, &lane, NULL), SLUICE_OK);
    f.store.fail_upload = 1;
    make_batch(&f, &batch, 0, 5);
    assert_int_equal(sluice_lake_sink_lane_write(lane, &batch, &err), SLUICE_E_IO);
    assert_non_null(batch.array.release); /* it did not move */
    assert_non_null(strstr(err.message, "disk full"));
    assert_non_null(strstr(err.message, "public.t/full/"));
    assert_true(err.flags & SLUICE_ERROR_EPOCH_ABORTED);
    assert_int_equal(sluice_lake_sink_lane_write(lane, &batch, &err), SLUICE_E_STATE);
    assert_int_equal(sluice_lake_sink_lane_commit(lane, &commit, &err), SLUICE_E_STATE);
    sluice_lake_sink_lane_abort(lane);
    assert_int_equal(sluice_lake_sink_lane_write(lane, &batch, &err), SLUICE_OK);
    f.store.fail_upload = 1; /* of the last file, at the commit */
    assert_int_equal(sluice_lake_sink_lane_commit(lane, &commit, &err), SLUICE_E_IO);
    assert_true((err.flags & SLUICE_ERROR_EPOCH_ABORTED) != 0); /* surely nothing was kept */
    sluice_lake_sink_lane_close(lane);
    assert_null(mem_store_key(&f.store, "_sluice/", "commits"));
    stop(&f);
}

/* Somebody else has written the same key: refused, and what is there stays. */
static void taken_key(void **state)
{
    struct fixture f;
    struct sluice_lane *lane = NULL;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_commit commit = commit_of(1);
    const char *key = "public.t/full/20261123T005234Z/hr-public.t-0-1.jsonl";
    (void)state;
    start(&f, plain_jsonl, "public.t", 0);
    mem_store_add(&f.store, key, "theirs", 6);
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &f.shard, &lane, NULL), SLUICE_OK);
    write_rows(&f, lane, 0, 3);
    assert_int_equal(sluice_lake_sink_lane_commit(lane, &commit, &err), SLUICE_E_CONFLICT);
    assert_non_null(strstr(err.message, key));
    assert_non_null(strstr(err.message, "mem://test"));
    sluice_lake_sink_lane_close(lane);
    assert_int_equal(mem_store_find(&f.store, key)->size, 6);
    assert_int_equal(f.store.count, 1);
    stop(&f);
}

static void refusals(void **state)
{
    struct fixture f;
    struct sluice_lane *lane = NULL;
    struct sluice_batch batch;
    struct sluice_error err = SLUICE_ERROR_INIT;
    (void)state;
    start(&f, plain_csv, "public.t", 0);
    struct sluice_stream_begin begin = {
        .struct_size = (uint32_t)sizeof begin, .desc = &f.desc, .run = "r"};
    assert_int_equal(sluice_lake_sink_stream_begin(f.sink, &begin, &err), SLUICE_E_INVALID);
    begin.flags = SLUICE_BEGIN_LOAD;
    begin.run = "../x";
    assert_int_equal(sluice_lake_sink_stream_begin(f.sink, &begin, &err), SLUICE_E_INVALID);
    f.stream_ids[0] = 8;
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &f.shard, &lane, &err), SLUICE_E_STATE);
    f.stream_ids[0] = 7;
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &f.shard, &lane, &err), SLUICE_OK);
    make_batch(&f, &batch, 0, 1);
    batch.schema_id = 2;
    assert_int_equal(sluice_lake_sink_lane_write(lane, &batch, &err), SLUICE_E_SCHEMA);
    batch.kind = SLUICE_BATCH_CHANGES;
    sluice_lake_sink_lane_abort(lane);
    assert_int_equal(sluice_lake_sink_lane_write(lane, &batch, &err), SLUICE_E_UNSUPPORTED);
    sluice_array_release(&batch.array);
    sluice_lake_sink_lane_close(lane);
    stop(&f);
}

static void bad_options(void **state)
{
    static const struct test_option sets[][4] = {{{"compression", SLUICE_OPTION_ENUM, 1, "gzip"},
                                                  {"compression_level", SLUICE_OPTION_INT, 6, NULL},
                                                  {NULL, 0, 0, NULL}},
                                                 {{"compression", SLUICE_OPTION_ENUM, 0, "none"},
                                                  {"compression_level", SLUICE_OPTION_INT, 1, NULL},
                                                  {NULL, 0, 0, NULL}},
                                                 {{"format", SLUICE_OPTION_ENUM, 1, "csv"},
                                                  {"binary", SLUICE_OPTION_ENUM, 0, "base64"},
                                                  {NULL, 0, 0, NULL}}};
    (void)state;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct test_host host;
        struct mem_store store;
        struct sluice_sink *sink = NULL;
        struct sluice_error err = SLUICE_ERROR_INIT;
        test_host_init(&host, sets[i]);
        mem_store_init(&store, &host.host);
        assert_int_equal(sluice_lake_sink_create(&host.host, &mem_store_api, mem_store_cast(&store),
                                                 &sink, &err),
                         SLUICE_E_INVALID);
        assert_null(sink);
    }
}

static void interval_rotation(void **state)
{
    struct fixture f;
    struct sluice_lane *lane = NULL;
    struct sluice_commit commit = commit_of(1);
    struct sluice_sink_plan plan = {.struct_size = (uint32_t)sizeof plan};
    (void)state;
    start(&f, plain_jsonl, "public.t", 0);
    plan.mode = SLUICE_MODE_FULL_LOAD_ONLY;
    plan.pipeline = "p/../x";
    plan.node = "lake";
    plan.batch_interval_us = 1000000;
    assert_int_equal(sluice_lake_sink_open(f.sink, &plan, NULL), SLUICE_OK);
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &f.shard, &lane, NULL), SLUICE_OK);
    write_rows(&f, lane, 0, 5);
    f.host.clock_us += 999999;
    write_rows(&f, lane, 5, 5);
    assert_int_equal(f.store.count, 0);
    f.host.clock_us += 1;
    write_rows(&f, lane, 10, 5);
    assert_int_equal(f.store.count, 1);
    write_rows(&f, lane, 15, 5);
    assert_int_equal(sluice_lake_sink_lane_commit(lane, &commit, NULL), SLUICE_OK);
    assert_int_equal(f.store.count, 3);
    sluice_lake_sink_lane_close(lane);
    stop(&f);
}

int run_sink_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_load),       cmocka_unit_test(empty_epochs),
        cmocka_unit_test(rotation),       cmocka_unit_test(attempts_have_own_keys),
        cmocka_unit_test(hostile_stream), cmocka_unit_test(failing_store),
        cmocka_unit_test(taken_key),      cmocka_unit_test(refusals),
        cmocka_unit_test(bad_options),    cmocka_unit_test(interval_rotation)};
    return cmocka_run_group_tests_name("lake sink", tests, NULL, NULL);
}
