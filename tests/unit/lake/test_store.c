/* The folder as a store. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file_store.h"
#include "support.h"

struct fixture {
    struct test_host host;
    struct sluice_lake_store *store;
    char root[PATH_MAX];
    char path[PATH_MAX + 16];
};

static const struct sluice_lake_store_api *const api = &sluice_file_store_api;

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    const char *base = getenv("TMPDIR");
    (void)snprintf(f->root, sizeof f->root, "%s/sluice-lake-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(f->root));
    (void)snprintf(f->path, sizeof f->path, "%s/a/b", f->root);
    test_host_init(&f->host, NULL);
    assert_int_equal(sluice_file_store_create(&f->host.host, f->path, &f->store, NULL), SLUICE_OK);
    assert_int_equal(api->open(f->store, NULL), SLUICE_OK);
    *state = f;
    return 0;
}

static void remove_tree(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    for (const struct dirent *e = dir != NULL ? readdir(dir) : NULL; e != NULL; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            unlinkat(fd, e->d_name, 0) != 0) {
            remove_tree(fd, e->d_name);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    (void)unlinkat(at, name, AT_REMOVEDIR);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    api->destroy(f->store);
    remove_tree(AT_FDCWD, f->root);
    assert_int_equal(f->host.memory, 0);
    free(f);
    return 0;
}

static void check_content(struct fixture *f, const char *key, const char *want)
{
    uint8_t *data = NULL;
    uint64_t size = 0;
    assert_int_equal(api->get(f->store, key, 1 << 20, &data, &size, NULL), SLUICE_OK);
    assert_int_equal(size, strlen(want));
    assert_memory_equal(data, want, size);
    free(data);
}

static int count_tmp(const struct fixture *f)
{
    char path[PATH_MAX + 64];
    int n = 0;
    (void)snprintf(path, sizeof path, "%s/.sluice-tmp", f->path);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        n += e->d_name[0] != '.';
    }
    (void)closedir(dir);
    return n;
}

static void put_and_get(void **state)
{
    struct fixture *f = *state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    uint8_t *data = NULL;
    uint64_t size = 0;
    assert_int_equal(api->put(f->store, "x/y/z.json", "one", 3, SLUICE_LAKE_PUT_NEW, "t", &err),
                     SLUICE_OK);
    check_content(f, "x/y/z.json", "one");
    assert_int_equal(api->put(f->store, "x/y/z.json", "two", 3, SLUICE_LAKE_PUT_NEW, "t", &err),
                     SLUICE_E_CONFLICT);
    check_content(f, "x/y/z.json", "one");
    assert_int_equal(api->put(f->store, "x/y/z.json", "three", 5, 0, "t", &err), SLUICE_OK);
    check_content(f, "x/y/z.json", "three");
    assert_int_equal(api->get(f->store, "x/none", 10, &data, &size, &err), SLUICE_E_NOT_FOUND);
    assert_int_equal(api->get(f->store, "x/y/z.json", 4, &data, &size, &err), SLUICE_E_LIMIT);
    assert_int_equal(count_tmp(f), 0);
}

static void write_upload(struct sluice_lake_upload *up, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        uint8_t *room = NULL;
        uint64_t room_size = 0;
        assert_int_equal(api->upload_room(up, &room, &room_size, NULL), SLUICE_OK);
        assert_true(room_size >= 128 * 1024);
        uint64_t take = size - done < room_size ? size - done : room_size;
        take = take > 100000 ? 100000 : take;
        for (uint64_t i = 0; i < take; i++) {
            room[i] = (uint8_t)((done + i) % 251);
        }
        assert_int_equal(api->upload_advance(up, take, NULL), SLUICE_OK);
        done += take;
    }
}

static void uploads(void **state)
{
    struct fixture *f = *state;
    static const uint64_t sizes[] = {0, 1, 1 << 20, 5000000};
    struct sluice_error err = SLUICE_ERROR_INIT;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char key[64];
        struct stat st;
        char path[PATH_MAX + 128];
        struct sluice_lake_upload *up = NULL;
        (void)snprintf(key, sizeof key, "t/full/r/s-%zu.jsonl", i);
        (void)snprintf(path, sizeof path, "%s/%s", f->path, key);
        assert_int_equal(api->upload_open(f->store, key, NULL, NULL, &up, &err), SLUICE_OK);
        write_upload(up, sizes[i]);
        assert_int_not_equal(stat(path, &st), 0); /* not seen before it is whole */
        assert_int_equal(api->upload_finish(up, &err), SLUICE_OK);
        uint8_t *data = NULL;
        uint64_t size = 0;
        assert_int_equal(api->get(f->store, key, 1 << 24, &data, &size, NULL), SLUICE_OK);
        assert_int_equal(size, sizes[i]);
        for (uint64_t b = 0; b < size; b++) {
            if (data[b] != b % 251) {
                fail_msg("byte %llu differs", (unsigned long long)b);
            }
        }
        free(data);
        /* the same key again */
        assert_int_equal(api->upload_open(f->store, key, NULL, NULL, &up, &err), SLUICE_OK);
        assert_int_equal(api->upload_finish(up, &err), SLUICE_E_CONFLICT);
        api->upload_abort(up);
    }
    struct sluice_lake_upload *up = NULL;
    assert_int_equal(api->upload_open(f->store, "gone", NULL, NULL, &up, &err), SLUICE_OK);
    write_upload(up, 3000000);
    assert_int_equal(count_tmp(f), 1);
    api->upload_abort(up);
    api->upload_abort(NULL);
    assert_int_equal(count_tmp(f), 0);
}

static void stale_files(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX + 64];
    struct sluice_lake_upload *up = NULL;
    struct sluice_lake_store *other = NULL;
    /* one file of a living process, one of a dead one */
    assert_int_equal(api->upload_open(f->store, "k", NULL, NULL, &up, NULL), SLUICE_OK);
    (void)snprintf(path, sizeof path, "%s/.sluice-tmp/0123-9", f->path);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(count_tmp(f), 2);
    assert_int_equal(sluice_file_store_create(&f->host.host, f->path, &other, NULL), SLUICE_OK);
    assert_int_equal(api->open(other, NULL), SLUICE_OK);
    assert_int_equal(count_tmp(f), 1);
    api->destroy(other);
    assert_int_equal(api->upload_finish(up, NULL), SLUICE_OK);
}

struct listed {
    int count;
    int stop_after;
    char keys[16][64];
};

static sluice_status listing(void *vctx, const char *key, uint64_t size, int64_t modified_us)
{
    struct listed *listed = vctx;
    assert_int_equal(size, 1);
    assert_true(modified_us > 0);
    (void)snprintf(listed->keys[listed->count++], 64, "%s", key);
    return listed->count == listed->stop_after ? SLUICE_END : SLUICE_OK;
}

static void lists(void **state)
{
    struct fixture *f = *state;
    /* byte order of whole keys: '-' < '/' < '0' */
    static const char *const keys[] = {"p/a-b", "p/a/x", "p/a/y", "p/a0", "p/b"};
    struct listed all = {.stop_after = 99};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(api->put(f->store, keys[4 - i], "x", 1, 0, NULL, NULL), SLUICE_OK);
    }
    assert_int_equal(api->put(f->store, "q/z", "x", 1, 0, NULL, NULL), SLUICE_OK);
    assert_int_equal(api->list(f->store, "p/", NULL, listing, &all, NULL), SLUICE_OK);
    assert_int_equal(all.count, 5);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(all.keys[i], keys[i]);
    }
    struct listed some = {.stop_after = 2};
    assert_int_equal(api->list(f->store, "p/", "p/a/x", listing, &some, NULL), SLUICE_OK);
    assert_int_equal(some.count, 2);
    assert_string_equal(some.keys[0], "p/a/y");
    struct listed none = {.stop_after = 99};
    assert_int_equal(api->list(f->store, "none/", NULL, listing, &none, NULL), SLUICE_OK);
    assert_int_equal(none.count, 0);
    struct listed everything = {.stop_after = 99};
    assert_int_equal(api->list(f->store, "", NULL, listing, &everything, NULL), SLUICE_OK);
    assert_int_equal(everything.count, 6); /* nothing of .sluice-tmp */
}

struct findings {
    int count;
    int32_t worst;
    char first[256];
};

static sluice_status keep_finding(void *vctx, const struct sluice_finding *finding)
{
    struct findings *findings = vctx;
    if (findings->count++ == 0) {
        (void)snprintf(findings->first, sizeof findings->first, "%s", finding->what);
    }
    findings->worst = finding->severity > findings->worst ? finding->severity : findings->worst;
    return SLUICE_OK;
}

static void checks(void **state)
{
    struct fixture *f = *state;
    struct findings findings = {0};
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_lake_store *other = NULL;
    char path[PATH_MAX + 64];
    assert_int_equal(api->check(f->store, keep_finding, &findings, &err), SLUICE_OK);
    assert_true(findings.count >= 1);
    assert_true(findings.worst < SLUICE_FINDING_ERROR);
    /* a file where a folder should be */
    (void)snprintf(path, sizeof path, "%s/file", f->root);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    struct findings bad = {0};
    assert_int_equal(sluice_file_store_create(&f->host.host, path, &other, &err), SLUICE_OK);
    assert_true(api->check(other, keep_finding, &bad, &err) < 0);
    assert_int_equal(bad.worst, SLUICE_FINDING_ERROR);
    assert_non_null(strstr(err.message, path));
    api->destroy(other);
    assert_int_equal(sluice_file_store_create(&f->host.host, "", &other, &err), SLUICE_E_INVALID);
}

/* ---- lanes in parallel, through a whole sink ---- */

enum { THREADS = 6, SHARDS = 12, ROWS = 500 };

struct worker {
    struct sluice_sink *sink;
    const struct ArrowSchema *schema;
    int32_t number;
};

static void write_shard(const struct worker *worker, int32_t shard_number)
{
    const uint64_t stream_ids[1] = {1};
    char id[32];
    struct sluice_shard_desc shard = {.struct_size = (uint32_t)sizeof shard};
    struct sluice_lane *lane = NULL;
    struct sluice_rows rows;
    struct sluice_batch batch = {.struct_size = (uint32_t)sizeof batch};
    (void)snprintf(id, sizeof id, "t%d/s%d", worker->number, shard_number);
    shard.kind = SLUICE_SHARD_SNAPSHOT;
    shard.stream_count = 1;
    shard.stream_ids = stream_ids;
    shard.id = id;
    assert_int_equal(sluice_lake_sink_lane_open(worker->sink, &shard, &lane, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_init(&rows, worker->schema, ROWS, NULL), SLUICE_OK);
    for (int32_t i = 0; i < ROWS; i++) {
        sluice_column_put_i32(&rows.columns[0], i);
        sluice_rows_end_row(&rows);
    }
    batch.kind = SLUICE_BATCH_ROWS;
    batch.stream_id = 1;
    batch.schema_id = 1;
    batch.rows = ROWS;
    assert_int_equal(sluice_rows_finish(&rows, &batch.array, NULL), SLUICE_OK);
    assert_int_equal(sluice_lake_sink_lane_write(lane, &batch, NULL), SLUICE_OK);
    struct sluice_commit commit = {.struct_size = (uint32_t)sizeof commit, .epoch = 1};
    commit.token.data = id;
    commit.token.size = strlen(id);
    assert_int_equal(sluice_lake_sink_lane_commit(lane, &commit, NULL), SLUICE_OK);
    sluice_lake_sink_lane_close(lane);
    sluice_rows_free(&rows);
}

static void *work(void *ctx)
{
    const struct worker *worker = ctx;
    for (int32_t i = 0; i < SHARDS; i++) {
        write_shard(worker, i);
        assert_true(sluice_lake_sink_bytes_written(worker->sink) > 0);
    }
    return NULL;
}

static sluice_status count_lanes(void *vctx, const struct sluice_recovered *found)
{
    assert_int_equal(found->kind, SLUICE_RECOVERED_LANE);
    assert_int_equal(found->token.size, strlen(found->shard_id));
    assert_memory_equal(found->token.data, found->shard_id, found->token.size);
    ++*(int *)vctx;
    return SLUICE_OK;
}

static void lanes_in_parallel(void **state)
{
    struct fixture *f = *state;
    static const struct test_field fields[] = {{"id", "i", {NULL}}, {NULL, NULL, {NULL}}};
    struct ArrowSchema schema;
    struct sluice_sink *sink = NULL;
    struct sluice_lake_store *store = NULL;
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    int lanes = 0;
    test_schema(&schema, fields);
    assert_int_equal(sluice_file_store_create(&f->host.host, f->path, &store, NULL), SLUICE_OK);
    assert_int_equal(sluice_lake_sink_create(&f->host.host, api, store, &sink, NULL), SLUICE_OK);
    struct sluice_sink_plan plan = {.struct_size = (uint32_t)sizeof plan, .pipeline = "p"};
    plan.mode = SLUICE_MODE_FULL_LOAD_ONLY;
    plan.node = "n";
    assert_int_equal(sluice_lake_sink_open(sink, &plan, NULL), SLUICE_OK);
    const char *const parts[] = {"t"};
    struct sluice_stream_desc desc = {.struct_size = (uint32_t)sizeof desc, .name = "t"};
    desc.stream_id = 1;
    desc.schema_id = 1;
    desc.part_count = 1;
    desc.parts = parts;
    desc.schema = &schema;
    struct sluice_stream_begin begin = {.struct_size = (uint32_t)sizeof begin,
                                        .flags = SLUICE_BEGIN_LOAD,
                                        .desc = &desc,
                                        .run = "r"};
    assert_int_equal(sluice_lake_sink_stream_begin(sink, &begin, NULL), SLUICE_OK);
    for (int32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){sink, &schema, i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(sluice_lake_sink_recover(sink, count_lanes, &lanes, NULL), SLUICE_OK);
    assert_int_equal(lanes, THREADS * SHARDS);
    sluice_lake_sink_destroy(sink);
    sluice_schema_release(&schema);
    assert_int_equal(count_tmp(f), 0);
}

int run_store_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(put_and_get, setup, teardown),
        cmocka_unit_test_setup_teardown(uploads, setup, teardown),
        cmocka_unit_test_setup_teardown(stale_files, setup, teardown),
        cmocka_unit_test_setup_teardown(lists, setup, teardown),
        cmocka_unit_test_setup_teardown(checks, setup, teardown),
        cmocka_unit_test_setup_teardown(lanes_in_parallel, setup, teardown)};
    return cmocka_run_group_tests_name("file store", tests, NULL, NULL);
}
