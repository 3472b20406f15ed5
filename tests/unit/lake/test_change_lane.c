/* Lanes of changes over the store in memory: files, manifests, memory, failures. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "changes.h"
#include "sluice/position.h"

#define TS INT64_C(1795395154123456)

static const struct test_option plain[] = {{"compression", SLUICE_OPTION_ENUM, 0, "none"},
                                           {NULL, 0, 0, NULL}};

struct fixture {
    struct test_host host;
    struct mem_store store;
    struct sluice_sink *sink;
    struct test_stream stream;
    struct sluice_shard_desc shard;
    uint8_t start[8];
};

static void open_sink(struct fixture *f, uint64_t batch_bytes, uint64_t batch_rows)
{
    struct sluice_sink_plan plan = {.struct_size = (uint32_t)sizeof plan};
    assert_int_equal(sluice_lake_sink_create(&f->host.host, &mem_store_api,
                                             mem_store_cast(&f->store), &f->sink, NULL),
                     SLUICE_OK);
    plan.mode = SLUICE_MODE_FULL_LOAD_AND_CDC;
    plan.pipeline = "p";
    plan.node = "lake";
    plan.batch_bytes = batch_bytes;
    plan.batch_rows = batch_rows;
    assert_int_equal(sluice_lake_sink_open(f->sink, &plan, NULL), SLUICE_OK);
}

static void begin_changes(struct fixture *f)
{
    struct sluice_stream_begin begin = {.struct_size = (uint32_t)sizeof begin,
                                        .flags = SLUICE_BEGIN_CHANGES,
                                        .desc = &f->stream.desc};
    assert_int_equal(sluice_lake_sink_stream_begin(f->sink, &begin, NULL), SLUICE_OK);
}

static void start(struct fixture *f, const struct test_option *options, uint64_t batch_bytes)
{
    memset(f, 0, sizeof *f);
    test_host_init(&f->host, options);
    mem_store_init(&f->store, &f->host.host);
    open_sink(f, batch_bytes, 0);
    test_stream_init(&f->stream, SLUICE_BEFORE_KEY, "0");
    f->shard.struct_size = (uint32_t)sizeof f->shard;
    f->shard.kind = SLUICE_SHARD_CHANGES;
    f->shard.id = "hr/changes";
    f->shard.start.data = f->start;
    f->shard.start.size = sizeof f->start;
    sluice_put_be64(f->start, 0x10);
    begin_changes(f);
}

static void stop(struct fixture *f)
{
    sluice_lake_sink_destroy(f->sink);
    test_stream_free(&f->stream);
    mem_store_free(&f->store);
    assert_int_equal(f->host.memory, 0);
}

static struct sluice_lane *lane_at(struct fixture *f, uint64_t position)
{
    struct sluice_lane *lane = NULL;
    sluice_put_be64(f->start, position);
    assert_int_equal(sluice_lake_sink_lane_open(f->sink, &f->shard, &lane, NULL), SLUICE_OK);
    return lane;
}

static sluice_status commit_at(struct sluice_lane *lane, uint64_t epoch, uint64_t position,
                               struct sluice_error *err)
{
    uint8_t bytes[8];
    char token[32];
    struct sluice_commit commit = {.struct_size = (uint32_t)sizeof commit, .epoch = epoch};
    sluice_put_be64(bytes, position);
    commit.position.data = bytes;
    commit.position.size = sizeof bytes;
    (void)snprintf(token, sizeof token, "%llu@%llx", (unsigned long long)epoch,
                   (unsigned long long)position);
    commit.token.data = token;
    commit.token.size = strlen(token);
    return sluice_lake_sink_lane_commit(lane, &commit, err);
}

/* `rows` inserts at positions from, from + 1 … with a note of `pad` bytes. */
static sluice_status write_inserts(const struct fixture *f, struct sluice_lane *lane, uint64_t from,
                                   uint32_t rows, size_t pad, struct sluice_error *err)
{
    struct test_change *changes = calloc(rows + 1, sizeof *changes);
    char *texts = calloc(rows + 1, pad + 32);
    assert_non_null(changes);
    assert_non_null(texts);
    for (uint32_t i = 0; i < rows; i++) {
        char *text = texts + i * (pad + 32);
        int n = snprintf(text, 32, "%u|n|", (unsigned)(from + i));
        memset(text + n, 'x', pad);
        changes[i] = (struct test_change){'I', from + i, 1, TS, "748", NULL, text};
    }
    struct sluice_batch batch;
    test_changes_batch(&f->stream, changes, &batch);
    sluice_status st = sluice_lake_sink_lane_write(lane, &batch, err);
    if (st < 0) {
        sluice_array_release(&batch.array);
    }
    free(changes);
    free(texts);
    return st;
}

static json_t *manifest(const struct fixture *f, uint64_t seq)
{
    char key[128];
    (void)snprintf(key, sizeof key, "_sluice/p/lake/commits/%020llu.json", (unsigned long long)seq);
    const struct mem_object *o = mem_store_find(&f->store, key);
    if (o == NULL) {
        return NULL;
    }
    json_t *root = json_loadb((const char *)o->data, o->size, 0, NULL);
    assert_non_null(root);
    return root;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static int64_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const json_t *file_of(const json_t *root, size_t i)
{
    return json_array_get(json_object_get(root, "files"), i);
}

static size_t file_count(const json_t *root)
{
    return json_array_size(json_object_get(root, "files"));
}

static void one_epoch(void **state)
{
    struct fixture f;
    struct sluice_batch batch;
    (void)state;
    start(&f, plain, 0);
    struct sluice_lane *lane = lane_at(&f, 0x10);
    assert_int_equal(write_inserts(&f, lane, 0x20, 2, 3, NULL), SLUICE_OK);
    test_truncate_batch(&f.stream, 0x30, 1, TS, "749", &batch);
    assert_int_equal(sluice_lake_sink_lane_write(lane, &batch, NULL), SLUICE_OK);
    assert_int_equal(f.store.count, 0); /* nothing is seen before the commit */
    assert_int_equal(commit_at(lane, 1, 0x31, NULL), SLUICE_OK);
    json_t *root = manifest(&f, 1);
    assert_string_equal(text_of(root, "kind"), "cdc");
    assert_string_equal(text_of(root, "mode"), "full_load_and_cdc");
    assert_string_equal(text_of(root, "shard"), "hr/changes");
    assert_string_equal(text_of(root, "from"), "0000000000000010");
    assert_string_equal(text_of(root, "to"), "0000000000000031");
    assert_int_equal(number_of(root, "epoch"), 1);
    assert_null(json_object_get(root, "run"));
    assert_int_equal(file_count(root), 1);
    const json_t *file = file_of(root, 0);
    assert_string_equal(text_of(file, "first_pos"), "0000000000000020");
    assert_string_equal(text_of(file, "last_pos"), "0000000000000030");
    assert_int_equal(number_of(file, "rows"), 3);
    assert_int_equal(number_of(file, "schema_id"), 1);
    const char *key = text_of(file, "key");
    assert_memory_equal(key, "public.t/cdc/dt=2026-11-23/0000000000000020-1-", 45);
    const struct mem_object *o = mem_store_find(&f.store, key);
    static const char want[] =
        "{\"_op\":\"I\",\"_pos\":\"0000000000000020\",\"_seq\":1,"
        "\"_commit_ts\":\"2026-11-23T00:52:34.123456Z\",\"_tx\":\"748\",\"_unchanged\":[],"
        "\"id\":32,\"name\":\"n\",\"note\":\"xxx\"}\n";
    assert_non_null(o);
    assert_memory_equal(o->data, want, sizeof want - 1);
    const json_t *stream = json_array_get(json_object_get(root, "streams"), 0);
    assert_string_equal(text_of(stream, "name"), "public.t");
    assert_int_equal(json_array_size(json_object_get(stream, "columns")), 3);
    json_decref(root);
    /* nothing new: no manifest; then the next one goes on from the last */
    assert_int_equal(commit_at(lane, 2, 0x40, NULL), SLUICE_OK);
    assert_null(manifest(&f, 2));
    assert_int_equal(write_inserts(&f, lane, 0x50, 1, 3, NULL), SLUICE_OK);
    assert_int_equal(commit_at(lane, 2, 0x50, NULL), SLUICE_OK);
    root = manifest(&f, 2);
    assert_string_equal(text_of(root, "from"), "0000000000000031");
    assert_string_equal(text_of(root, "to"), "0000000000000050");
    json_decref(root);
    sluice_lake_sink_lane_close(lane);
    stop(&f);
}

struct seen {
    char shard[32];
    uint64_t epoch;
    char token[32];
    uint32_t count;
};

static sluice_status see(void *vctx, const struct sluice_recovered *found)
{
    struct seen *seen = vctx;
    assert_int_equal(found->kind, SLUICE_RECOVERED_LANE);
    if (seen->count++ == 0) {
        (void)snprintf(seen->shard, sizeof seen->shard, "%s", found->shard_id);
        seen->epoch = found->epoch;
        memcpy(seen->token, found->token.data, found->token.size);
    }
    return SLUICE_OK;
}

static void restart(void **state)
{
    struct fixture f;
    struct seen seen = {{0}, 0, {0}, 0};
    (void)state;
    for (int32_t recover = 0; recover < 2; recover++) {
        memset(&seen, 0, sizeof seen);
        start(&f, plain, 0);
        struct sluice_lane *lane = lane_at(&f, 0x10);
        for (uint64_t i = 1; i <= 3; i++) {
            assert_int_equal(write_inserts(&f, lane, 0x20 * i, 1, 3, NULL), SLUICE_OK);
            assert_int_equal(commit_at(lane, i, 0x20 * i, NULL), SLUICE_OK);
        }
        assert_int_equal(write_inserts(&f, lane, 0x80, 1, 3, NULL), SLUICE_OK);
        sluice_lake_sink_lane_close(lane);
        sluice_lake_sink_destroy(f.sink);
        open_sink(&f, 0, 0);
        begin_changes(&f);
        if (recover) {
            assert_int_equal(sluice_lake_sink_recover(f.sink, see, &seen, NULL), SLUICE_OK);
            assert_int_equal(seen.count, 3);
            assert_int_equal(seen.epoch, 3);
            assert_string_equal(seen.shard, "hr/changes");
            assert_string_equal(seen.token, "3@60");
        }
        lane = lane_at(&f, 0x70); /* idle progress is in the engine's state alone */
        assert_int_equal(write_inserts(&f, lane, 0x80, 1, 3, NULL), SLUICE_OK);
        assert_int_equal(commit_at(lane, 4, 0x80, NULL), SLUICE_OK);
        json_t *root = manifest(&f, 4);
        assert_string_equal(text_of(root, "from"), "0000000000000060");
        assert_string_equal(text_of(root, "to"), "0000000000000080");
        json_decref(root);
        sluice_lake_sink_lane_close(lane);
        stop(&f);
    }
}

static void versions(void **state)
{
    struct fixture f;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_batch schema = {.struct_size = (uint32_t)sizeof schema};
    (void)state;
    start(&f, plain, 0);
    struct sluice_lane *lane = lane_at(&f, 0x10);
    assert_int_equal(write_inserts(&f, lane, 0x20, 1, 3, NULL), SLUICE_OK);
    f.stream.desc.schema_id = 2;
    assert_int_equal(write_inserts(&f, lane, 0x21, 1, 3, &err), SLUICE_E_SCHEMA);
    assert_true((err.flags & SLUICE_ERROR_EPOCH_ABORTED) != 0);
    sluice_lake_sink_lane_abort(lane);
    f.stream.desc.schema_id = 1;
    assert_int_equal(write_inserts(&f, lane, 0x20, 1, 3, NULL), SLUICE_OK);
    f.stream.desc.schema_id = 2;
    begin_changes(&f);
    begin_changes(&f); /* again, as a feed that is opened anew does it */
    schema.kind = SLUICE_BATCH_SCHEMA;
    schema.stream_id = 7;
    schema.schema_id = 2;
    schema.desc = &f.stream.desc;
    assert_int_equal(sluice_lake_sink_lane_write(lane, &schema, NULL), SLUICE_OK);
    assert_int_equal(f.store.count, 1);
    assert_int_equal(write_inserts(&f, lane, 0x21, 2, 3, NULL), SLUICE_OK);
    f.stream.desc.schema_id = 1; /* and back, without a word */
    assert_int_equal(write_inserts(&f, lane, 0x23, 1, 3, NULL), SLUICE_OK);
    assert_int_equal(commit_at(lane, 1, 0x23, NULL), SLUICE_OK);
    json_t *root = manifest(&f, 1);
    assert_int_equal(file_count(root), 3);
    assert_int_equal(number_of(file_of(root, 0), "schema_id"), 1);
    assert_int_equal(number_of(file_of(root, 1), "schema_id"), 2);
    assert_int_equal(number_of(file_of(root, 1), "rows"), 2);
    assert_int_equal(number_of(file_of(root, 2), "schema_id"), 1);
    assert_int_equal(json_array_size(json_object_get(root, "streams")), 2);
    json_decref(root);
    sluice_lake_sink_lane_close(lane);
    stop(&f);
}

static void many_tables(void **state)
{
    enum { TABLES = 1000, ROUNDS = 40 };
    struct fixture f;
    uint64_t position = 0x100;
    int64_t rows = 0;
    (void)state;
    start(&f, NULL, 0);
    struct sluice_lane *lane = lane_at(&f, 0x10);
    for (uint64_t i = 0; i < TABLES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "public.t%llu", (unsigned long long)i);
        f.stream.desc.stream_id = 100 + i;
        f.stream.desc.name = name;
        begin_changes(&f);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint64_t i = 0; i < TABLES; i++) {
            f.stream.desc.stream_id = 100 + i;
            assert_int_equal(write_inserts(&f, lane, position++, 1, 400, NULL), SLUICE_OK);
        }
    }
    assert_true(f.host.memory_peak < 24 << 20);
    assert_int_equal(commit_at(lane, 1, position, NULL), SLUICE_OK);
    json_t *root = manifest(&f, 1);
    assert_true(file_count(root) >= TABLES);
    assert_int_equal(json_array_size(json_object_get(root, "streams")), TABLES);
    for (size_t i = 0; i < file_count(root); i++) {
        rows += number_of(file_of(root, i), "rows");
    }
    assert_int_equal(rows, TABLES * ROUNDS);
    json_decref(root);
    assert_true(f.host.memory < 8 << 20); /* what waits for the next epoch */
    sluice_lake_sink_lane_close(lane);
    stop(&f);
}

/* Five tables with much to write, in turns: only two stream, and none loses a byte. */
static void large_tables(void **state)
{
    enum { TABLES = 5, ROUNDS = 20, ROWS = 300, PAD = 2000 };
    struct fixture f;
    uint64_t position = 0x100;
    uint64_t next[TABLES] = {0};
    int64_t rows = 0;
    (void)state;
    start(&f, plain, 2 << 20);
    struct sluice_lane *lane = lane_at(&f, 0x10);
    for (uint64_t i = 0; i < TABLES; i++) {
        static const char *const names[TABLES] = {"a", "b", "c", "d", "e"};
        f.stream.desc.stream_id = 100 + i;
        f.stream.desc.name = names[i];
        begin_changes(&f);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint64_t i = 0; i < TABLES; i++) {
            f.stream.desc.stream_id = 100 + i;
            assert_int_equal(write_inserts(&f, lane, position, ROWS, PAD, NULL), SLUICE_OK);
            position += ROWS;
            assert_true(f.store.uploads_open <= 2);
        }
    }
    assert_true(f.host.memory_peak < 24 << 20);
    assert_int_equal(commit_at(lane, 1, position, NULL), SLUICE_OK);
    json_t *root = manifest(&f, 1);
    for (size_t i = 0; i < file_count(root); i++) {
        const json_t *file = file_of(root, i);
        const uint64_t first = strtoull(text_of(file, "first_pos"), NULL, 16);
        const uint64_t last = strtoull(text_of(file, "last_pos"), NULL, 16);
        const uint32_t table = (uint32_t)(text_of(file, "stream")[0] - 'a');
        assert_true(first > next[table] && last >= first); /* in order, disjoint */
        next[table] = last;
        rows += number_of(file, "rows");
        assert_true(number_of(file, "bytes") < (4 << 20));
        const struct mem_object *o = mem_store_find(&f.store, text_of(file, "key"));
        assert_non_null(o);
        assert_int_equal(o->size, number_of(file, "bytes"));
        assert_int_equal(o->data[o->size - 1], '\n');
        assert_int_equal(o->data[0], '{');
    }
    assert_int_equal(rows, TABLES * ROUNDS * ROWS);
    json_decref(root);
    sluice_lake_sink_lane_close(lane);
    stop(&f);
}

static void failures(void **state)
{
    struct fixture f;
    struct sluice_error err = SLUICE_ERROR_INIT;
    (void)state;
    start(&f, plain, 0);
    struct sluice_lane *lane = lane_at(&f, 0x10);
    assert_int_equal(write_inserts(&f, lane, 0x20, 2, 3, NULL), SLUICE_OK);
    f.store.fail_upload = 1;
    assert_int_equal(commit_at(lane, 1, 0x21, &err), SLUICE_E_IO);
    assert_true((err.flags & SLUICE_ERROR_EPOCH_ABORTED) != 0);
    assert_non_null(strstr(err.message, "public.t/cdc/dt="));
    assert_int_equal(write_inserts(&f, lane, 0x20, 2, 3, &err), SLUICE_E_STATE);
    assert_int_equal(commit_at(lane, 1, 0x21, &err), SLUICE_E_STATE);
    sluice_lake_sink_lane_abort(lane);
    assert_int_equal(f.store.count, 0);
    /* a large file that fails on its way */
    f.store.fail_upload = 1;
    assert_int_equal(write_inserts(&f, lane, 0x20, 300, 10000, &err), SLUICE_E_IO);
    sluice_lake_sink_lane_abort(lane);
    assert_int_equal(f.store.count, 0);
    assert_int_equal(write_inserts(&f, lane, 0x20, 300, 10000, NULL), SLUICE_OK);
    assert_int_equal(f.store.uploads_open, 1);
    sluice_lake_sink_lane_abort(lane);
    assert_int_equal(f.store.uploads_open, 0);
    assert_int_equal(write_inserts(&f, lane, 0x20, 2, 3, NULL), SLUICE_OK);
    assert_int_equal(commit_at(lane, 1, 0x21, NULL), SLUICE_OK);
    json_t *root = manifest(&f, 1);
    assert_int_equal(number_of(file_of(root, 0), "rows"), 2);
    json_decref(root);
    sluice_lake_sink_lane_close(lane);
    stop(&f);
}

/* Files are ended by several threads: one of them fails. */
static void failure_among_many(void **state)
{
    enum { TABLES = 40 };
    struct fixture f;
    struct sluice_error err = SLUICE_ERROR_INIT;
    (void)state;
    start(&f, NULL, 0);
    struct sluice_lane *lane = lane_at(&f, 0x10);
    for (uint64_t i = 0; i < TABLES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "public.t%llu", (unsigned long long)i);
        f.stream.desc.stream_id = 100 + i;
        f.stream.desc.name = name;
        begin_changes(&f);
    }
    for (uint32_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < TABLES; i++) {
            f.stream.desc.stream_id = 100 + i;
            assert_int_equal(write_inserts(&f, lane, 0x20 + i, 1, 10, NULL), SLUICE_OK);
        }
        if (round < 2) {
            f.store.fail_upload = (int32_t)round + 1;
            assert_int_equal(commit_at(lane, 1, 0x100, &err), SLUICE_E_IO);
            assert_non_null(strstr(err.message, "disk full"));
            assert_true((err.flags & SLUICE_ERROR_EPOCH_ABORTED) != 0);
            sluice_lake_sink_lane_abort(lane);
            f.store.fail_upload = 0;
        }
    }
    assert_int_equal(commit_at(lane, 1, 0x100, NULL), SLUICE_OK);
    json_t *root = manifest(&f, 1);
    assert_int_equal(file_count(root), TABLES);
    json_decref(root);
    sluice_lake_sink_lane_close(lane);
    stop(&f);
}

/* The manifest was written, but we were told it was not. */
static void lost_replies(void **state)
{
    struct fixture f;
    struct sluice_error err = SLUICE_ERROR_INIT;
    (void)state;
    for (int32_t how = 0; how < 3; how++) {
        start(&f, plain, 0);
        struct sluice_lane *lane = lane_at(&f, 0x10);
        assert_int_equal(write_inserts(&f, lane, 0x20, 2, 3, NULL), SLUICE_OK);
        if (how == 2) {
            f.host.fail_at = "lake.after_manifest";
            f.host.fail_armed = 1;
        }
        else {
            f.store.lose_reply = 1;
            f.store.lost_status = SLUICE_E_IO;
        }
        assert_int_equal(commit_at(lane, 1, 0x21, &err), SLUICE_E_IO);
        sluice_lake_sink_lane_abort(lane);
        if (how != 1) { /* a lane opened anew, or the same one */
            sluice_lake_sink_lane_close(lane);
            lane = lane_at(&f, 0x10);
        }
        /* the engine begins where it knows: rows up to 21 come again */
        assert_int_equal(write_inserts(&f, lane, 0x20, 4, 3, NULL), SLUICE_OK);
        assert_int_equal(commit_at(lane, 1, 0x23, &err), SLUICE_OK);
        json_t *root = manifest(&f, 2);
        assert_non_null(root);
        assert_string_equal(text_of(root, "from"), "0000000000000021");
        assert_string_equal(text_of(root, "to"), "0000000000000023");
        assert_int_equal(number_of(root, "epoch"), 2);
        assert_int_equal(number_of(file_of(root, 0), "rows"), 2);
        assert_string_equal(text_of(file_of(root, 0), "first_pos"), "0000000000000022");
        json_decref(root);
        sluice_lake_sink_lane_close(lane);
        stop(&f);
    }
}

/* An earlier try comes through only after the lane was opened anew. */
static void late_arrival(void **state)
{
    struct fixture f;
    struct sluice_error err = SLUICE_ERROR_INIT;
    (void)state;
    start(&f, plain, 0);
    struct sluice_lane *lane = lane_at(&f, 0x10);
    assert_int_equal(write_inserts(&f, lane, 0x20, 2, 3, NULL), SLUICE_OK);
    f.store.lose_reply = 1;
    f.store.lost_status = SLUICE_E_IO;
    assert_int_equal(commit_at(lane, 1, 0x21, &err), SLUICE_E_IO);
    sluice_lake_sink_lane_close(lane);
    /* hide it while the lane opens */
    const struct mem_object *o =
        mem_store_find(&f.store, "_sluice/p/lake/commits/00000000000000000001.json");
    assert_non_null(o);
    char *key = o->key;
    char first = key[0];
    key[0] = '~';
    lane = lane_at(&f, 0x10);
    assert_int_equal(write_inserts(&f, lane, 0x20, 4, 3, NULL), SLUICE_OK);
    key[0] = first;
    assert_int_equal(commit_at(lane, 1, 0x23, &err), SLUICE_E_IO);
    assert_true((err.flags & SLUICE_ERROR_RETRYABLE) != 0);
    assert_true((err.flags & SLUICE_ERROR_EPOCH_ABORTED) == 0); /* recover tells */
    sluice_lake_sink_lane_abort(lane);
    assert_int_equal(write_inserts(&f, lane, 0x20, 4, 3, NULL), SLUICE_OK);
    assert_int_equal(commit_at(lane, 1, 0x23, &err), SLUICE_OK);
    json_t *root = manifest(&f, 2);
    assert_string_equal(text_of(root, "from"), "0000000000000021");
    assert_int_equal(number_of(file_of(root, 0), "rows"), 2);
    json_decref(root);
    sluice_lake_sink_lane_close(lane);
    stop(&f);
}

static void fenced(void **state)
{
    struct fixture f;
    struct sluice_error err = SLUICE_ERROR_INIT;
    (void)state;
    start(&f, plain, 0);
    struct sluice_lane *lane = lane_at(&f, 0x10);
    static const char other[] = "{\"format\":1,\"kind\":\"cdc\",\"attempt\":\"other-1\",\"shard\":"
                                "\"hr/changes\",\"epoch\":1,\"to\":\"21\",\"token\":\"\"}";
    mem_store_add(&f.store, "_sluice/p/lake/commits/00000000000000000001.json", other,
                  sizeof other - 1);
    assert_int_equal(write_inserts(&f, lane, 0x20, 2, 3, NULL), SLUICE_OK);
    assert_int_equal(commit_at(lane, 1, 0x21, &err), SLUICE_E_CONFLICT);
    assert_true((err.flags & SLUICE_ERROR_FATAL) != 0);
    assert_non_null(strstr(err.message, "fenced"));
    sluice_lake_sink_lane_close(lane);
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &f.shard, &lane, &err), SLUICE_E_CONFLICT);
    stop(&f);
}

/* After a reset the feed may begin before the end of what was committed: all of it is written. */
static void reset(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, plain, 0);
    struct sluice_lane *lane = lane_at(&f, 0x10);
    assert_int_equal(write_inserts(&f, lane, 0x20, 2, 3, NULL), SLUICE_OK);
    assert_int_equal(commit_at(lane, 1, 0x21, NULL), SLUICE_OK);
    sluice_lake_sink_lane_close(lane);
    sluice_lake_sink_destroy(f.sink);
    open_sink(&f, 0, 0);
    begin_changes(&f);
    lane = lane_at(&f, 0x18);
    assert_int_equal(write_inserts(&f, lane, 0x20, 2, 3, NULL), SLUICE_OK);
    assert_int_equal(commit_at(lane, 2, 0x21, NULL), SLUICE_OK);
    json_t *root = manifest(&f, 2);
    assert_string_equal(text_of(root, "from"), "0000000000000018");
    assert_int_equal(number_of(file_of(root, 0), "rows"), 2);
    json_decref(root);
    sluice_lake_sink_lane_close(lane);
    stop(&f);
}

/* A load and the changes of the same stream, side by side; with `full: changes`. */
static void beside_a_load(void **state)
{
    static const struct test_option options[] = {{"compression", SLUICE_OPTION_ENUM, 0, "none"},
                                                 {"full", SLUICE_OPTION_ENUM, 1, "changes"},
                                                 {NULL, 0, 0, NULL}};
    const uint64_t ids[] = {7};
    const char *run = "20261123T005234Z";
    struct fixture f;
    struct sluice_rows rows;
    struct sluice_lane *load = NULL;
    uint8_t position[8];
    (void)state;
    start(&f, options, 0);
    sluice_put_be64(position, 0x18);
    f.stream.desc.load_position.data = position;
    f.stream.desc.load_position.size = sizeof position;
    struct sluice_stream_begin begin = {.struct_size = (uint32_t)sizeof begin,
                                        .flags = SLUICE_BEGIN_LOAD,
                                        .desc = &f.stream.desc,
                                        .run = run};
    assert_int_equal(sluice_lake_sink_stream_begin(f.sink, &begin, NULL), SLUICE_OK);
    struct sluice_shard_desc part = {.struct_size = (uint32_t)sizeof part, .stream_count = 1};
    part.kind = SLUICE_SHARD_SNAPSHOT;
    part.id = "hr/public.t/0";
    part.stream_ids = ids;
    struct sluice_lane *lane = lane_at(&f, 0x10);
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &part, &load, NULL), SLUICE_OK);
    assert_int_equal(write_inserts(&f, lane, 0x20, 2, 3, NULL), SLUICE_OK);
    f.stream.desc.schema_id = 2;
    begin_changes(&f); /* a new version meanwhile leaves the load alone */
    assert_int_equal(write_inserts(&f, lane, 0x22, 1, 3, NULL), SLUICE_OK);
    struct sluice_batch batch = {.struct_size = (uint32_t)sizeof batch};
    assert_int_equal(sluice_rows_init(&rows, &f.stream.schema, 1, NULL), SLUICE_OK);
    sluice_column_put_i32(&rows.columns[0], 5);
    assert_int_equal(sluice_column_put_null(&rows.columns[1], NULL), SLUICE_OK);
    assert_int_equal(sluice_column_put_null(&rows.columns[2], NULL), SLUICE_OK);
    sluice_rows_end_row(&rows);
    batch.kind = SLUICE_BATCH_ROWS;
    batch.stream_id = 7;
    batch.schema_id = 1;
    assert_int_equal(sluice_rows_finish(&rows, &batch.array, NULL), SLUICE_OK);
    sluice_rows_free(&rows);
    assert_int_equal(sluice_lake_sink_lane_write(lane, &batch, NULL), SLUICE_E_UNSUPPORTED);
    sluice_lake_sink_lane_abort(lane);
    f.stream.desc.schema_id = 1;
    assert_int_equal(sluice_lake_sink_lane_write(load, &batch, NULL), SLUICE_OK);
    assert_int_equal(write_inserts(&f, load, 0x20, 2, 3, NULL), SLUICE_E_UNSUPPORTED);
    sluice_lake_sink_lane_abort(load);
    sluice_lake_sink_lane_close(load);
    assert_int_equal(sluice_lake_sink_lane_open(f.sink, &part, &load, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_init(&rows, &f.stream.schema, 1, NULL), SLUICE_OK);
    sluice_column_put_i32(&rows.columns[0], 5);
    assert_int_equal(sluice_column_put_null(&rows.columns[1], NULL), SLUICE_OK);
    assert_int_equal(sluice_column_put_null(&rows.columns[2], NULL), SLUICE_OK);
    sluice_rows_end_row(&rows);
    assert_int_equal(sluice_rows_finish(&rows, &batch.array, NULL), SLUICE_OK);
    sluice_rows_free(&rows);
    assert_int_equal(sluice_lake_sink_lane_write(load, &batch, NULL), SLUICE_OK);
    assert_int_equal(commit_at(load, 1, 0, NULL), SLUICE_OK);
    sluice_lake_sink_lane_close(load);
    sluice_lake_sink_lane_close(lane);
    const char *key = mem_store_key(&f.store, "public.t/full/20261123T005234Z/", ".jsonl");
    assert_non_null(key);
    const struct mem_object *o = mem_store_find(&f.store, key);
    static const char want[] =
        "{\"_op\":\"R\",\"_pos\":\"0000000000000018\",\"_seq\":0,"
        "\"_commit_ts\":\"2026-11-23T00:52:34.123456Z\",\"_tx\":null,\"_unchanged\":[],"
        "\"id\":5,\"name\":null,\"note\":null}\n";
    assert_int_equal(o->size, sizeof want - 1);
    assert_memory_equal(o->data, want, sizeof want - 1);
    stop(&f);
}

int run_change_lane_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_epoch),
        cmocka_unit_test(restart),
        cmocka_unit_test(versions),
        cmocka_unit_test(many_tables),
        cmocka_unit_test(large_tables),
        cmocka_unit_test(failures),
        cmocka_unit_test(failure_among_many),
        cmocka_unit_test(lost_replies),
        cmocka_unit_test(late_arrival),
        cmocka_unit_test(fenced),
        cmocka_unit_test(reset),
        cmocka_unit_test(beside_a_load),
    };
    return cmocka_run_group_tests_name("change lanes", tests, NULL, NULL);
}
