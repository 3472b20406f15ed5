/*
 * How fast rows become bytes, on one core: `bench [jsonl|csv] [none|gzip|zstd] [level] [million
 * rows]`. Rows are like TPC-H's lineitem: 4 integers, 4 numeric(15,2), 3 dates, 5 short texts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lake/codec.h"
#include "lake/encoder.h"
#include "sluice/array.h"
#include "sluice/build.h"

enum { BATCH = 8192, COLUMNS = 16 };

static const struct {
    const char *name;
    const char *format;
} fields[COLUMNS] = {
    {"l_orderkey", "i"},      {"l_partkey", "i"},       {"l_suppkey", "i"},
    {"l_linenumber", "i"},    {"l_quantity", "d:15,2"}, {"l_extendedprice", "d:15,2"},
    {"l_discount", "d:15,2"}, {"l_tax", "d:15,2"},      {"l_returnflag", "u"},
    {"l_linestatus", "u"},    {"l_shipdate", "tdD"},    {"l_commitdate", "tdD"},
    {"l_receiptdate", "tdD"}, {"l_shipinstruct", "u"},  {"l_shipmode", "u"},
    {"l_comment", "u"}};

static uint64_t random_state = 42;

static uint32_t pick(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

static void put(struct sluice_column *col, const char *text, size_t n)
{
    if (sluice_column_put_bytes(col, text, n, NULL) < 0) {
        exit(1);
    }
}

static void fill_row(struct sluice_column *c, int32_t row)
{
    static const char *const instructs[] = {
        "DELIVER IN PERSON        ", "COLLECT COD              ", "NONE                     ",
        "TAKE BACK RETURN         "};
    static const char *const modes[] = {"REG AIR   ", "AIR       ", "RAIL      ", "SHIP      ",
                                        "TRUCK     ", "MAIL      ", "FOB       "};
    static const char words[] = "carefully final deposits sleep quickly about the furiously even "
                                "requests; blithely regular accounts haggle along the ironic ideas";
    int32_t date = 8035 + (int32_t)pick(2500);
    sluice_column_put_i32(&c[0], row / 4 + 1);
    sluice_column_put_i32(&c[1], (int32_t)pick(200000) + 1);
    sluice_column_put_i32(&c[2], (int32_t)pick(10000) + 1);
    sluice_column_put_i32(&c[3], row % 4 + 1);
    sluice_column_put_decimal64(&c[4], (int64_t)(pick(50) + 1) * 100);
    sluice_column_put_decimal64(&c[5], (int64_t)pick(9000000) + 90000);
    sluice_column_put_decimal64(&c[6], pick(11));
    sluice_column_put_decimal64(&c[7], pick(9));
    put(&c[8], &"RAN"[pick(3)], 1);
    put(&c[9], &"OF"[pick(2)], 1);
    sluice_column_put_i32(&c[10], date);
    sluice_column_put_i32(&c[11], date + 30);
    sluice_column_put_i32(&c[12], date + 7);
    put(&c[13], instructs[pick(4)], 25);
    put(&c[14], modes[pick(7)], 10);
    put(&c[15], words + pick(70), 10 + pick(34));
}

struct target {
    struct sluice_lake_codec *codec;
    uint64_t rendered;
    uint64_t written;
    uint8_t room[1 << 18];
};

static sluice_status room(void *ctx, uint8_t **data, uint64_t *size, struct sluice_error *err)
{
    struct target *target = ctx;
    (void)err;
    *data = target->room;
    *size = sizeof target->room;
    return SLUICE_OK;
}

static sluice_status used(void *ctx, const uint8_t *data, uint64_t size, struct sluice_error *err)
{
    (void)data;
    (void)err;
    ((struct target *)ctx)->written += size;
    return SLUICE_OK;
}

static sluice_status take(void *ctx, const uint8_t *data, size_t size, struct sluice_error *err)
{
    struct target *target = ctx;
    const struct sluice_lake_codec_sink to = {target, room, used};
    target->rendered += size;
    if (target->codec == NULL) {
        return SLUICE_OK;
    }
    return sluice_lake_codec_write(target->codec, data, size, 0, &to, err);
}

static double cpu_s(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int run(int32_t format, int32_t codec, int32_t level, double millions)
{
    enum { BATCHES = 8 };
    static struct target target;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct ArrowSchema schema;
    struct ArrowArray arrays[BATCHES];
    struct sluice_rows rows;
    struct sluice_lake_out out;
    struct sluice_lake_encoder *enc = NULL;
    sluice_status st = sluice_schema_init(&schema, COLUMNS, &err);
    for (int i = 0; i < COLUMNS && st >= 0; i++) {
        struct sluice_type type;
        st = sluice_type_parse(fields[i].format, &type, &err);
        if (st >= 0) {
            st = sluice_schema_set(&schema, i, fields[i].name, &type, 1, NULL, 0, &err);
        }
    }
    if (st < 0 || sluice_rows_init(&rows, &schema, BATCH, &err) < 0 ||
        sluice_lake_out_init(&out, take, &target, &err) < 0 ||
        sluice_lake_encoder_create(&schema, format, 0, &enc, &err) < 0 ||
        (codec >= 0 && sluice_lake_codec_create(codec, level, &target.codec, &err) < 0)) {
        (void)fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (int b = 0; b < BATCHES; b++) {
        for (int32_t i = 0; i < BATCH; i++) {
            fill_row(rows.columns, b * BATCH + i);
            sluice_rows_end_row(&rows);
        }
        if (sluice_rows_finish(&rows, &arrays[b], &err) < 0) {
            return 1;
        }
    }
    uint64_t done = 0;
    double start = cpu_s();
    for (int b = 0; (double)done < millions * 1e6; b = (b + 1) % BATCHES) {
        if (sluice_lake_encoder_bind(enc, &arrays[b], &err) < 0) {
            return 1;
        }
        sluice_lake_encoder_rows(enc, 0, BATCH, &out);
        done += BATCH;
    }
    sluice_lake_out_flush(&out, out.p);
    double spent = cpu_s() - start;
    double mb = (double)target.rendered / 1e6;
    (void)printf("%.3f CPU-s per million rows, %.0f MB per million rows, %.0f MB/s, %.0f MB out\n",
                 spent / (double)done * 1e6, mb / (double)done * 1e6, mb / spent,
                 (double)target.written / (double)done);
    for (int b = 0; b < BATCHES; b++) {
        sluice_array_release(&arrays[b]);
    }
    sluice_lake_codec_free(target.codec);
    sluice_lake_encoder_free(enc);
    sluice_lake_out_free(&out);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
    return 0;
}

int main(int argc, char **argv)
{
    int32_t format = argc > 1 && strcmp(argv[1], "csv") == 0 ? SLUICE_LAKE_CSV : SLUICE_LAKE_JSONL;
    int32_t codec = -1; /* rendering alone */
    if (argc > 2) {
        codec = strcmp(argv[2], "zstd") == 0   ? SLUICE_LAKE_ZSTD
                : strcmp(argv[2], "gzip") == 0 ? SLUICE_LAKE_GZIP
                                               : -1;
    }
    int32_t level = argc > 3 ? (int32_t)strtol(argv[3], NULL, 10) : 1;
    return run(format, codec, level, argc > 4 ? strtod(argv[4], NULL) : 2.0);
}
