/* Source generate and sink null. */

/* cmocka wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "testkit.h"

#include <stdio.h>
#include <stdlib.h>

const struct sluice_plugin *sluice_plugin_generate_entry_v0(void);
const struct sluice_plugin *sluice_plugin_null_entry_v0(void);

#define MAX_STREAMS 8
#define MAX_SHARDS 64

struct source {
    struct sluice_testkit_host *host;
    const struct sluice_source_api *api;
    struct sluice_source *src;
    struct sluice_stream_desc *streams[MAX_STREAMS];
    sluice_status problems[MAX_STREAMS];
    uint32_t stream_count;
    char names[MAX_SHARDS][64];
    uint8_t handles[MAX_SHARDS][32];
    uint64_t stream_ids[MAX_SHARDS];
    struct sluice_shard_desc shards[MAX_SHARDS];
    uint32_t shard_count;
    struct sluice_error err;
};

static sluice_status see_stream(void *vctx, const struct sluice_stream_desc *desc,
                                const struct sluice_error *problem)
{
    struct source *s = vctx;
    assert_true(s->stream_count < MAX_STREAMS);
    s->problems[s->stream_count] = problem != NULL ? problem->status : SLUICE_OK;
    s->streams[s->stream_count++] = sluice_stream_desc_copy(desc);
    return SLUICE_OK;
}

static sluice_status see_shard(void *vctx, const struct sluice_shard_desc *shard)
{
    struct source *s = vctx;
    uint32_t i = s->shard_count++;
    assert_true(i < MAX_SHARDS && shard->handle.size <= 32 && shard->stream_count == 1);
    (void)snprintf(s->names[i], sizeof s->names[i], "%s", shard->id);
    memcpy(s->handles[i], shard->handle.data, shard->handle.size);
    s->stream_ids[i] = shard->stream_ids[0];
    s->shards[i] = *shard;
    s->shards[i].id = s->names[i];
    s->shards[i].handle.data = s->handles[i];
    s->shards[i].stream_ids = &s->stream_ids[i];
    return SLUICE_OK;
}

static void forget(struct source *s)
{
    for (uint32_t i = 0; i < s->stream_count; i++) {
        sluice_stream_desc_free(s->streams[i]);
    }
    s->stream_count = 0;
    s->shard_count = 0;
}

static void source_create(struct source *s, const struct sluice_pair *set, uint32_t n)
{
    memset(s, 0, sizeof *s);
    sluice_error_clear(&s->err);
    const struct sluice_component *c = sluice_plugin_generate_entry_v0()->components[0];
    s->host = sluice_testkit_host_new(c, set, n, &s->err);
    assert_string_equal(s->err.message, "");
    s->api = c->source;
    assert_int_equal(s->api->create(sluice_testkit_host_table(s->host), &s->src, &s->err),
                     SLUICE_OK);
}

static void source_open(struct source *s, const char *const *names, uint32_t n, uint64_t limit)
{
    struct sluice_stream_select select[MAX_STREAMS];
    const struct sluice_stream_select *pointers[MAX_STREAMS];
    memset(select, 0, sizeof select);
    for (uint32_t i = 0; i < n; i++) {
        select[i].struct_size = (uint32_t)sizeof select[i];
        select[i].flags = SLUICE_SELECT_LOAD;
        select[i].name = names[i];
        pointers[i] = &select[i];
    }
    struct sluice_source_plan plan = {.struct_size = (uint32_t)sizeof plan,
                                      .mode = SLUICE_MODE_FULL_LOAD_ONLY,
                                      .parallelism = 1,
                                      .pipeline = "p",
                                      .node = "n",
                                      .row_limit = limit,
                                      .stream_count = n,
                                      .streams = pointers};
    struct sluice_source_info info = {.struct_size = (uint32_t)sizeof info};
    forget(s);
    assert_int_equal(s->api->open(s->src, &plan, &info, see_stream, s, &s->err), SLUICE_OK);
    assert_int_equal(s->api->shards(s->src, see_shard, s, &s->err), SLUICE_OK);
}

static void source_close(struct source *s)
{
    forget(s);
    s->api->destroy(s->src);
    sluice_testkit_host_free(s->host);
}

/* Reads a shard from `resume` on; returns its rows, adds up their ids. */
static uint64_t read_shard(struct source *s, uint32_t i, struct sluice_bytes resume,
                           int64_t *id_sum)
{
    struct sluice_reader *rd = NULL;
    uint64_t rows = 0;
    assert_int_equal(s->api->reader_open(s->src, &s->shards[i], resume, &rd, &s->err), SLUICE_OK);
    for (;;) {
        struct sluice_batch b = {.struct_size = (uint32_t)sizeof b};
        sluice_status st = s->api->reader_next(rd, 1000, &b, &s->err);
        if (st == SLUICE_END) {
            break;
        }
        assert_int_equal(st, SLUICE_OK);
        const struct sluice_stream_desc *desc = s->streams[b.stream_id - 1];
        if (sluice_array_check(desc->schema, &b.array, SLUICE_CHECK_FULL, &s->err) < 0) {
            fail_msg("%s", s->err.message);
        }
        struct sluice_view id;
        assert_int_equal(
            sluice_view_init(desc->schema->children[0], b.array.children[0], &id, NULL), SLUICE_OK);
        for (int64_t r = 0; r < id.length; r++) {
            *id_sum += sluice_view_i64(&id, r);
        }
        rows += b.rows;
        sluice_array_release(&b.array);
    }
    s->api->reader_close(rd);
    return rows;
}

static const struct sluice_bytes from_start = {NULL, 0};

static void every_row_comes_once(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {{"tables", "2"},
                                      {"rows", "1003"},
                                      {"shards", "7"},
                                      {"batch_rows", "50"},
                                      {"null_percent", "20"},
                                      {"columns", "bool"},
                                      {"columns", "int8"},
                                      {"columns", "int16"},
                                      {"columns", "int32"},
                                      {"columns", "int64"},
                                      {"columns", "uint8"},
                                      {"columns", "uint16"},
                                      {"columns", "uint32"},
                                      {"columns", "uint64"},
                                      {"columns", "float32"},
                                      {"columns", "float64"},
                                      {"columns", "numeric(12,2)"},
                                      {"columns", "numeric(50,10)"},
                                      {"columns", "date"},
                                      {"columns", "time"},
                                      {"columns", "timestamp"},
                                      {"columns", "timestamptz"},
                                      {"columns", "interval"},
                                      {"columns", "uuid"},
                                      {"columns", "json"},
                                      {"columns", "odd_text"},
                                      {"columns", "utf8:40"},
                                      {"columns", "binary:9"},
                                      {"columns", "utf8:0"}};
    static const char *const names[] = {"public.gen_0001", "public.gen_0002"};
    struct source s;
    source_create(&s, set, (uint32_t)(sizeof set / sizeof set[0]));
    source_open(&s, names, 2, 0);
    assert_int_equal(s.shard_count, 14);
    int64_t sum = 0;
    uint64_t rows = 0;
    for (uint32_t i = 0; i < s.shard_count; i++) {
        rows += read_shard(&s, i, from_start, &sum);
    }
    assert_int_equal(rows, 2006);
    assert_int_equal(sum, 2 * (1003 * 1004 / 2));
    /* A limit counts for the stream, not the shard. */
    source_open(&s, names, 1, 10);
    rows = 0;
    for (uint32_t i = 0; i < s.shard_count; i++) {
        rows += read_shard(&s, i, from_start, &sum);
    }
    assert_int_equal(rows, 10);
    source_close(&s);
}

static void content_is_a_function_of_the_seed(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {
        {"rows", "5"}, {"columns", "int64"}, {"columns", "utf8:32"}, {"seed", "42"}};
    static const char *const names[] = {"public.gen_0001"};
    struct source s;
    struct sluice_reader *rd = NULL;
    struct sluice_batch b = {.struct_size = (uint32_t)sizeof b};
    struct sluice_view v[3];
    source_create(&s, set, 4);
    source_open(&s, names, 1, 0);
    assert_int_equal(s.api->reader_open(s.src, &s.shards[0], from_start, &rd, &s.err), SLUICE_OK);
    assert_int_equal(s.api->reader_next(rd, 0, &b, &s.err), SLUICE_OK);
    assert_int_equal(sluice_views_init(s.streams[0]->schema, &b.array, v, NULL), SLUICE_OK);
    /* As the README's Python says. */
    assert_true(sluice_view_i64(&v[1], 0) == -7651528623211233583);
    assert_true(sluice_view_i64(&v[1], 4) == 1461901402451963153);
    struct sluice_bytes text = sluice_view_bytes(&v[2], 3);
    assert_int_equal(text.size, 19);
    assert_memory_equal(text.data, "delmbgeocmgollglmlj", 19);
    sluice_array_release(&b.array);
    s.api->reader_close(rd);
    source_close(&s);
}

static void readers_resume_anywhere(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {{"rows", "100"}, {"batch_rows", "7"}};
    static const char *const names[] = {"public.gen_0001"};
    struct source s;
    struct sluice_reader *rd = NULL;
    source_create(&s, set, 2);
    source_open(&s, names, 1, 0);
    assert_int_equal(s.api->reader_open(s.src, &s.shards[0], from_start, &rd, &s.err), SLUICE_OK);
    uint64_t done = 0;
    for (;;) {
        struct sluice_batch b = {.struct_size = (uint32_t)sizeof b};
        if (s.api->reader_next(rd, 0, &b, &s.err) == SLUICE_END) {
            break;
        }
        done += b.rows;
        int64_t sum = 0;
        assert_int_equal(read_shard(&s, 0, b.position, &sum), 100 - done);
        sluice_array_release(&b.array);
    }
    assert_int_equal(done, 100);
    s.api->reader_close(rd);
    struct sluice_bytes wrong = {"\1\0\0\0\0\0\0\0\xff", 9};
    assert_int_equal(s.api->reader_open(s.src, &s.shards[0], wrong, &rd, &s.err),
                     SLUICE_E_POSITION_LOST);
    source_close(&s);
}

static void faults_come_as_asked(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        sluice_status status;
        uint32_t flags;
    } kinds[] = {{"retryable", SLUICE_E_IO, SLUICE_ERROR_RETRYABLE},
                 {"fatal", SLUICE_E_AUTH, SLUICE_ERROR_FATAL},
                 {"stream", SLUICE_E_SCHEMA, 0},
                 {"snapshot_lost", SLUICE_E_SNAPSHOT_LOST, SLUICE_ERROR_RETRYABLE}};
    static const char *const names[] = {"public.gen_0001"};
    for (size_t i = 0; i < 4; i++) {
        const struct sluice_pair set[] = {{"rows", "100"},
                                          {"batch_rows", "10"},
                                          {"fail_after_rows", "20"},
                                          {"fail_kind", kinds[i].kind},
                                          {"fail_times", "2"}};
        struct source s;
        source_create(&s, set, 5);
        source_open(&s, names, 1, 0);
        for (int try = 0; try < 2; try++) {
            struct sluice_reader *rd = NULL;
            sluice_status st = SLUICE_OK;
            uint64_t rows = 0;
            assert_int_equal(s.api->reader_open(s.src, &s.shards[0], from_start, &rd, &s.err),
                             SLUICE_OK);
            while (st == SLUICE_OK) {
                struct sluice_batch b = {.struct_size = (uint32_t)sizeof b};
                st = s.api->reader_next(rd, 0, &b, &s.err);
                if (st == SLUICE_OK) {
                    rows += b.rows;
                    sluice_array_release(&b.array);
                }
            }
            assert_int_equal(st, kinds[i].status);
            assert_int_equal(s.err.flags, kinds[i].flags);
            assert_int_equal(rows, 20);
            s.api->reader_close(rd);
        }
        int64_t sum = 0;
        assert_int_equal(read_shard(&s, 0, from_start, &sum), 100);
        source_close(&s);
    }
}

static void problems_and_odd_names(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {{"tables", "3"}, {"names", "odd"}, {"denied_table", "2"}};
    struct source s;
    source_create(&s, set, 3);
    assert_int_equal(s.api->discover(s.src, see_stream, &s, &s.err), SLUICE_OK);
    assert_int_equal(s.stream_count, 3);
    assert_int_equal(s.problems[1], SLUICE_E_PERMISSION);
    char name[200];
    (void)snprintf(name, sizeof name, "%s", s.streams[2]->name);
    assert_string_equal(name, "public.\"Gen \"\"0003\"\" \xc3\xbc./x\"");
    const char *const names[] = {name, "public.absent", "public.gen_0001"};
    source_open(&s, names, 3, 0);
    assert_int_equal(s.problems[0], SLUICE_OK);
    assert_int_equal(s.problems[1], SLUICE_E_NOT_FOUND);
    assert_int_equal(s.problems[2], SLUICE_E_NOT_FOUND);
    assert_int_equal(s.shard_count, 1);
    source_close(&s);
    struct sluice_error err = SLUICE_ERROR_INIT;
    static const char *const bad[] = {"int33",   "numeric", "numeric(77,0)", "utf8:-1",
                                      "int32:4", "utf8:1x", "numeric(5,6)",  ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct sluice_pair types[] = {{"columns", bad[i]}};
        const struct sluice_component *c = sluice_plugin_generate_entry_v0()->components[0];
        struct sluice_testkit_host *host = sluice_testkit_host_new(c, types, 1, &err);
        struct sluice_source *src = NULL;
        assert_int_equal(c->source->create(sluice_testkit_host_table(host), &src, &err),
                         SLUICE_E_INVALID);
        sluice_testkit_host_free(host);
    }
}

static void waiting_ends_when_cancelled(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {{"delay", "1h"}};
    static const char *const names[] = {"public.gen_0001"};
    struct source s;
    struct sluice_reader *rd = NULL;
    struct sluice_batch b = {.struct_size = (uint32_t)sizeof b};
    source_create(&s, set, 1);
    source_open(&s, names, 1, 0);
    assert_int_equal(s.api->reader_open(s.src, &s.shards[0], from_start, &rd, &s.err), SLUICE_OK);
    assert_int_equal(s.api->reader_next(rd, 1000, &b, &s.err), SLUICE_AGAIN);
    sluice_testkit_host_cancel(s.host);
    assert_int_equal(s.api->reader_next(rd, 60000000, &b, &s.err), SLUICE_E_CANCELLED);
    s.api->reader_close(rd);
    source_close(&s);
}

static void null_counts_and_checks(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {{"validate", "true"}};
    const struct sluice_component *c = sluice_plugin_null_entry_v0()->components[0];
    const struct sluice_sink_api *api = c->sink;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_testkit_host *host = sluice_testkit_host_new(c, set, 1, &err);
    struct sluice_sink *sink = NULL;
    struct sluice_lane *lane = NULL;
    struct sluice_testkit_table t;
    struct sluice_batch b;
    uint64_t id = 1;
    struct sluice_shard_desc shard = {.struct_size = (uint32_t)sizeof shard,
                                      .kind = SLUICE_SHARD_SNAPSHOT,
                                      .stream_count = 1,
                                      .id = "s",
                                      .stream_ids = &id};
    assert_int_equal(sluice_testkit_table_init(&t, SLUICE_BEFORE_FULL, NULL), SLUICE_OK);
    assert_int_equal(api->create(sluice_testkit_host_table(host), &sink, &err), SLUICE_OK);
    assert_int_equal(api->lane_open(sink, &shard, &lane, &err), SLUICE_OK);
    assert_int_equal(sluice_testkit_rows(&t, 0, 10, &b, NULL), SLUICE_OK);
    /* Never begun. */
    assert_int_equal(api->lane_write(lane, &b, &err), SLUICE_E_STATE);
    struct sluice_stream_begin begin = {.struct_size = (uint32_t)sizeof begin,
                                        .flags = SLUICE_BEGIN_LOAD,
                                        .desc = &t.desc,
                                        .run = "20260101T000000Z"};
    assert_int_equal(api->stream_begin(sink, &begin, &err), SLUICE_OK);
    assert_int_equal(api->lane_write(lane, &b, &err), SLUICE_OK);
    assert_null(b.array.release);
    assert_int_equal(sluice_testkit_changes(&t, 0, 9, &b, NULL), SLUICE_OK);
    assert_int_equal(api->lane_write(lane, &b, &err), SLUICE_OK);
    assert_int_equal(sluice_testkit_host_metric(host, "null_rows_total"), 19);
    assert_true(api->bytes_written(sink) > 0);
    /* Damage is found, and the batch stays the caller's. */
    assert_int_equal(sluice_testkit_rows(&t, 0, 10, &b, NULL), SLUICE_OK);
    b.rows = 11;
    assert_int_equal(api->lane_write(lane, &b, &err), SLUICE_E_DATA);
    assert_non_null(b.array.release);
    b.rows = 10;
    b.array.children[6]->null_count = 5;
    assert_int_equal(api->lane_write(lane, &b, &err), SLUICE_E_DATA);
    assert_non_null(strstr(err.message, "note"));
    sluice_array_release(&b.array);
    api->lane_close(lane);
    api->destroy(sink);
    sluice_testkit_table_free(&t);
    sluice_testkit_host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_comes_once),
        cmocka_unit_test(content_is_a_function_of_the_seed),
        cmocka_unit_test(readers_resume_anywhere),
        cmocka_unit_test(faults_come_as_asked),
        cmocka_unit_test(problems_and_odd_names),
        cmocka_unit_test(waiting_ends_when_cancelled),
        cmocka_unit_test(null_counts_and_checks),
    };
    return cmocka_run_group_tests_name("generate", tests, NULL, NULL);
}
