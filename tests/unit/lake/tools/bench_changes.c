/*
 * How fast changes become bytes, on one core: `lake_bench_changes [columns|debezium] [none|gzip|zstd]
 * [million rows]`. A lane over a store that throws all away; rows like pgbench's accounts and history,
 * updates and inserts in transactions of four, batches of 1,024 rows, a commit after each 200,000.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../support.h"
#include "sluice/position.h"

enum { BATCH = 1024, COLUMNS = 6, BATCHES = 16, COMMIT_ROWS = 200000 };

struct sluice_lake_store {
    uint8_t room[1 << 18];
    uint64_t bytes;
};

static sluice_status null_open(struct sluice_lake_store *store, struct sluice_error *err)
{
    (void)store;
    (void)err;
    return SLUICE_OK;
}

static sluice_status null_put(struct sluice_lake_store *store, const char *key, const void *data,
                              uint64_t size, uint32_t flags, const char *type,
                              struct sluice_error *err)
{
    (void)key;
    (void)data;
    (void)flags;
    (void)type;
    (void)err;
    store->bytes += size;
    return SLUICE_OK;
}

static sluice_status null_list(struct sluice_lake_store *store, const char *prefix,
                               const char *after, sluice_lake_list_visit visit, void *vctx,
                               struct sluice_error *err)
{
    (void)store;
    (void)prefix;
    (void)after;
    (void)visit;
    (void)vctx;
    (void)err;
    return SLUICE_OK;
}

static sluice_status null_upload(struct sluice_lake_store *store, const char *key, const char *type,
                                 const char *encoding, struct sluice_lake_upload **out,
                                 struct sluice_error *err)
{
    (void)key;
    (void)type;
    (void)encoding;
    (void)err;
    *out = (struct sluice_lake_upload *)(void *)store;
    return SLUICE_OK;
}

static sluice_status null_room(struct sluice_lake_upload *up, uint8_t **room, uint64_t *size,
                               struct sluice_error *err)
{
    struct sluice_lake_store *store = (struct sluice_lake_store *)(void *)up;
    (void)err;
    *room = store->room;
    *size = sizeof store->room;
    return SLUICE_OK;
}

static sluice_status null_advance(struct sluice_lake_upload *up, uint64_t used,
                                  struct sluice_error *err)
{
    (void)err;
    ((struct sluice_lake_store *)(void *)up)->bytes += used;
    return SLUICE_OK;
}

static sluice_status null_finish(struct sluice_lake_upload *up, struct sluice_error *err)
{
    (void)up;
    (void)err;
    return SLUICE_OK;
}

static void null_abort(struct sluice_lake_upload *up)
{
    (void)up;
}

static void null_nothing(struct sluice_lake_store *store)
{
    (void)store;
}

static const char *null_location(struct sluice_lake_store *store)
{
    (void)store;
    return "null";
}

static sluice_status null_get(struct sluice_lake_store *store, const char *key, uint64_t max,
                              uint8_t **out, uint64_t *size, struct sluice_error *err)
{
    (void)store;
    (void)key;
    (void)max;
    (void)out;
    (void)size;
    return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "nothing here");
}

static const struct sluice_lake_store_api api = {
    .open = null_open,
    .put = null_put,
    .get = null_get,
    .list = null_list,
    .upload_open = null_upload,
    .upload_room = null_room,
    .upload_advance = null_advance,
    .upload_finish = null_finish,
    .upload_abort = null_abort,
    .cancel = null_nothing,
    .destroy = null_nothing,
    .location = null_location,
};

/* The buffers stay: the batch is written again. */
static void keep(struct ArrowArray *array)
{
    array->release = NULL;
}

static double cpu_s(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void must(sluice_status st, const struct sluice_error *err)
{
    if (st < 0) {
        (void)fprintf(stderr, "%s\n", err->message);
        exit(1);
    }
}

static void fill(struct sluice_rows *rows, int64_t row)
{
    struct sluice_column *c = rows->columns;
    struct sluice_column *after = c[6].children;
    uint8_t pos[8];
    char text[96];
    struct sluice_error err = SLUICE_ERROR_INIT;
    int n = snprintf(text, sizeof text, "%lld", (long long)(700000 + row / 4));
    sluice_put_be64(pos, (uint64_t)(0x16b374000 + row / 4 * 312));
    sluice_column_put_i8(&c[0], row % 4 == 3 ? 'I' : 'U');
    must(sluice_column_put_bytes(&c[1], pos, 8, &err), &err);
    sluice_column_put_i64(&c[2], row % 4 + 1);
    sluice_column_put_i64(&c[3], INT64_C(1795395154123456) + row / 4 * 731);
    must(sluice_column_put_bytes(&c[4], text, (uint64_t)n, &err), &err);
    must(sluice_column_put_null(&c[5], &err), &err);
    sluice_column_put_i32(&after[0], (int32_t)(row * 7919 % 1000000));
    sluice_column_put_i32(&after[1], (int32_t)(row % 1000));
    sluice_column_put_decimal64(&after[2], row * 131 % 9000000);
    sluice_column_put_i64(&after[3], INT64_C(1795395154000000) + row * 1009);
    n = snprintf(text, sizeof text, "account %lld of branch %lld", (long long)(row * 31 % 100000),
                 (long long)(row % 100));
    must(sluice_column_put_bytes(&after[4], text, (uint64_t)n, &err), &err);
    must(sluice_column_put_bytes(&after[5], "                                ", 22, &err), &err);
    sluice_column_end_struct(&c[6]);
    must(sluice_column_put_null(&c[7], &err), &err);
    sluice_rows_end_row(rows);
}

int main(int argc, char **argv)
{
    static const struct test_field fields[] = {
        {"aid", "i", {"sluice:native_type", "integer"}},
        {"bid", "i", {"sluice:native_type", "integer"}},
        {"abalance", "d:15,2", {"sluice:native_type", "numeric(15,2)"}},
        {"mtime", "tsu:UTC", {"sluice:native_type", "timestamp with time zone"}},
        {"name", "u", {"sluice:native_type", "text"}},
        {"filler", "u", {"sluice:native_type", "character(22)"}},
        {NULL, NULL, {NULL}}};
    static struct sluice_lake_store store;
    static const char *const parts[] = {"public", "accounts"};
    const uint32_t key = 0;
    const char *codec = argc > 2 ? argv[2] : "zstd";
    const int64_t shape = argc > 1 && strcmp(argv[1], "debezium") == 0;
    const double millions = argc > 3 ? strtod(argv[3], NULL) : 2.0;
    const struct test_option options[] = {{"changes", SLUICE_OPTION_ENUM, shape, "x"},
                                          {"compression", SLUICE_OPTION_ENUM,
                                           strcmp(codec, "zstd") == 0   ? 2
                                           : strcmp(codec, "gzip") == 0 ? 1
                                                                        : 0,
                                           codec},
                                          {NULL, 0, 0, NULL}};
    struct test_host host;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_sink *sink = NULL;
    struct sluice_lane *lane = NULL;
    struct ArrowSchema schema;
    struct ArrowSchema envelope;
    struct ArrowArray arrays[BATCHES];
    struct sluice_rows rows;
    struct sluice_sink_plan plan = {.struct_size = (uint32_t)sizeof plan, .mode = 3};
    struct sluice_stream_desc desc = {.struct_size = (uint32_t)sizeof desc, .before = 1};
    struct sluice_shard_desc shard = {.struct_size = (uint32_t)sizeof shard, .kind = 2};
    struct sluice_stream_begin begin = {
        .struct_size = (uint32_t)sizeof begin, .flags = SLUICE_BEGIN_CHANGES, .desc = &desc};
    test_host_init(&host, options);
    test_schema(&schema, fields);
    desc.stream_id = 1;
    desc.schema_id = 1;
    desc.name = "public.accounts";
    desc.parts = parts;
    desc.part_count = 2;
    desc.keys = &key;
    desc.key_count = 1;
    desc.schema = &schema;
    plan.pipeline = "p";
    plan.node = "n";
    shard.id = "s/changes";
    must(sluice_lake_sink_create(&host.host, &api, &store, &sink, &err), &err);
    must(sluice_lake_sink_open(sink, &plan, &err), &err);
    must(sluice_lake_sink_stream_begin(sink, &begin, &err), &err);
    must(sluice_lake_sink_lane_open(sink, &shard, &lane, &err), &err);
    must(sluice_schema_envelope(&desc, &envelope, &err), &err);
    must(sluice_rows_init(&rows, &envelope, BATCH, &err), &err);
    for (int64_t b = 0; b < BATCHES; b++) {
        for (int64_t i = 0; i < BATCH; i++) {
            fill(&rows, b * BATCH + i);
        }
        must(sluice_rows_finish(&rows, &arrays[b], &err), &err);
    }
    uint64_t done = 0;
    uint64_t epoch = 0;
    const double start = cpu_s();
    for (uint32_t b = 0; (double)done < millions * 1e6; b = (b + 1) % BATCHES) {
        struct sluice_batch batch = {.struct_size = (uint32_t)sizeof batch};
        batch.kind = SLUICE_BATCH_CHANGES;
        batch.stream_id = 1;
        batch.schema_id = 1;
        batch.array = arrays[b];
        batch.array.release = keep;
        must(sluice_lake_sink_lane_write(lane, &batch, &err), &err);
        done += BATCH;
        if (done / COMMIT_ROWS > epoch) {
            uint8_t pos[8];
            sluice_put_be64(pos, ++epoch);
            struct sluice_commit commit = {.struct_size = (uint32_t)sizeof commit, .epoch = epoch};
            commit.position.data = pos;
            commit.position.size = 8;
            must(sluice_lake_sink_lane_commit(lane, &commit, &err), &err);
        }
    }
    const double spent = cpu_s() - start;
    (void)printf("%.3f CPU-s per million changes, %.1f MB out per million\n",
                 spent / (double)done * 1e6, (double)store.bytes / (double)done);
    sluice_lake_sink_lane_close(lane);
    sluice_lake_sink_destroy(sink);
    for (int b = 0; b < BATCHES; b++) {
        sluice_array_release(&arrays[b]);
    }
    sluice_rows_free(&rows);
    sluice_schema_release(&envelope);
    sluice_schema_release(&schema);
    return 0;
}
