/* Reading a lake back: records of files, cells of records, and what a table is after its changes. */
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "lake/cellrow.h"
#include "lake/fold.h"
#include "lake/keys.h"
#include "lake/records.h"
#include "sluice/schema.h"
#include "support.h"

/* ---- records ---- */

struct lake_fixture {
    struct test_host host;
    struct mem_store store;
    struct sluice_lake_indexed file;
    char key[32];
};

static void lake_start(struct lake_fixture *f, const char *key, const void *data, uint64_t size)
{
    memset(f, 0, sizeof *f);
    test_host_init(&f->host, NULL);
    mem_store_init(&f->store, &f->host.host);
    mem_store_add(&f->store, key, data, size);
    (void)snprintf(f->key, sizeof f->key, "%s", key);
    f->file.key = f->key;
    f->file.bytes = size;
    assert_int_equal(sluice_lake_sha256(data, size, f->file.sha256, NULL), SLUICE_OK);
}

static sluice_status read_all(struct lake_fixture *f, uint64_t *count, uint64_t *bytes,
                              struct sluice_error *err)
{
    struct sluice_lake_records *records = NULL;
    uint8_t *data = NULL;
    size_t size = 0;
    *count = 0;
    *bytes = 0;
    sluice_status status = sluice_lake_records_open(
        &f->host.host, &mem_store_api, mem_store_cast(&f->store), &f->file, &records, err);
    if (status < 0) {
        return status;
    }
    while ((status = sluice_lake_records_next(records, &data, &size, err)) == SLUICE_OK) {
        assert_int_equal(data[0], 'a' + (int)(*count % 26));
        assert_int_equal(data[size - 1], 'a' + (int)(*count % 26));
        (*count)++;
        *bytes += size + 1;
    }
    sluice_lake_records_close(records);
    return status;
}

/* Lines of all lengths; a few are longer than any buffer is in the beginning. */
static uint8_t *make_lines(uint64_t *size, uint64_t *count)
{
    uint8_t *data = malloc(12u << 20);
    uint64_t random = 11;
    uint64_t at = 0;
    uint64_t n = 0;
    assert_non_null(data);
    while (at < (9u << 20)) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        const uint64_t length = n % 4000 == 3999 ? 700000 : 1 + (random >> 33) % 300;
        memset(data + at, 'a' + (int)(n % 26), length);
        at += length;
        data[at++] = '\n';
        n++;
    }
    *size = at;
    *count = n;
    return data;
}

static uint8_t *compress_gzip(const uint8_t *data, uint64_t size, uint64_t *out_size)
{
    z_stream z = {0};
    uint8_t *out = malloc(size + 1024);
    assert_non_null(out);
    assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (uint8_t *)(uintptr_t)data;
    z.avail_in = (uInt)size;
    z.next_out = out;
    z.avail_out = (uInt)(size + 1024);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    *out_size = z.total_out;
    (void)deflateEnd(&z);
    return out;
}

static void test_records_of_each_codec(void **state)
{
    static const char *const keys[] = {"t.jsonl", "t.jsonl.gz", "t.jsonl.zst", "t.csv"};
    uint64_t size = 0;
    uint64_t count = 0;
    uint8_t *data = make_lines(&size, &count);
    (void)state;
    for (int i = 0; i < 4; i++) {
        uint8_t *stored = data;
        uint64_t stored_size = size;
        if (i == 1) {
            stored = compress_gzip(data, size, &stored_size);
        }
        if (i == 2) {
            stored = malloc(ZSTD_compressBound(size));
            stored_size = ZSTD_compress(stored, ZSTD_compressBound(size), data, size, 1);
            assert_false(ZSTD_isError(stored_size));
        }
        struct lake_fixture f;
        uint64_t rows = 0;
        uint64_t bytes = 0;
        lake_start(&f, keys[i], stored, stored_size);
        assert_int_equal(read_all(&f, &rows, &bytes, NULL), SLUICE_END);
        assert_int_equal(rows, count);
        assert_int_equal(bytes, size);
        mem_store_free(&f.store);
        if (stored != data) {
            free(stored);
        }
    }
    free(data);
}

static void test_damaged_records(void **state)
{
    static const char text[] = "a1a\nb2b\nc3c\n";
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct lake_fixture f;
    uint64_t rows = 0;
    uint64_t bytes = 0;
    uint64_t size = 0;
    (void)state;
    lake_start(&f, "t.jsonl", text, sizeof text - 1);
    f.file.sha256[5] ^= 1;
    assert_int_equal(read_all(&f, &rows, &bytes, &err), SLUICE_E_DATA);
    assert_non_null(strstr(err.message, "sha256"));
    mem_store_free(&f.store);

    lake_start(&f, "t.jsonl", text, sizeof text - 1);
    f.file.bytes++;
    assert_int_equal(read_all(&f, &rows, &bytes, &err), SLUICE_E_DATA);
    assert_non_null(strstr(err.message, "shorter"));
    mem_store_free(&f.store);

    lake_start(&f, "t.jsonl", text, sizeof text - 2);
    assert_int_equal(read_all(&f, &rows, &bytes, &err), SLUICE_E_DATA);
    assert_int_equal(rows, 2);
    assert_non_null(strstr(err.message, "no end"));
    mem_store_free(&f.store);

    lake_start(&f, "t.parquet", text, sizeof text - 1);
    assert_int_equal(read_all(&f, &rows, &bytes, &err), SLUICE_E_UNSUPPORTED);
    mem_store_free(&f.store);

    uint8_t *gzip = compress_gzip((const uint8_t *)text, sizeof text - 1, &size);
    lake_start(&f, "t.jsonl.gz", gzip, size - 9);
    assert_int_equal(read_all(&f, &rows, &bytes, &err), SLUICE_E_DATA);
    mem_store_free(&f.store);
    gzip[size / 2] ^= 0x55;
    lake_start(&f, "t.jsonl.gz", gzip, size);
    assert_int_equal(read_all(&f, &rows, &bytes, &err), SLUICE_E_DATA);
    mem_store_free(&f.store);
    free(gzip);
}

/* ---- cells ---- */

struct columns {
    struct ArrowSchema schema;
    struct sluice_stream_desc desc;
};

/* id int, v text, b bytea, x bytea[] */
static void columns_init(struct columns *c)
{
    const struct sluice_type number = {.id = SLUICE_TYPE_INT32};
    const struct sluice_type text = {.id = SLUICE_TYPE_UTF8};
    const struct sluice_type binary = {.id = SLUICE_TYPE_BINARY};
    const struct sluice_pair nested = {"sluice:text", "[x,]"};
    memset(c, 0, sizeof *c);
    assert_int_equal(sluice_schema_init(&c->schema, 4, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&c->schema, 0, "id", &number, 0, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&c->schema, 1, "v\"", &text, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&c->schema, 2, "b", &binary, 1, NULL, 0, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&c->schema, 3, "x", &text, 1, &nested, 1, NULL), SLUICE_OK);
    c->desc.struct_size = (uint32_t)sizeof c->desc;
    c->desc.name = "public.t";
    c->desc.schema = &c->schema;
}

static sluice_status read_text(struct sluice_lake_row_reader *reader, const char *text,
                               struct sluice_lake_row *row, uint8_t **copy)
{
    const size_t n = strlen(text);
    free(*copy);
    *copy = malloc(n + 1); /* exact, so that ASan sees what goes beyond */
    assert_non_null(*copy);
    memcpy(*copy, text, n);
    return sluice_lake_row_read(reader, *copy, n, row, NULL);
}

#define assert_cell(row, i, text)                                              \
    do {                                                                       \
        assert_int_equal((row).cells[i].size, strlen(text));                   \
        assert_memory_equal((row).cells[i].data, (text), (row).cells[i].size); \
    } while (0)

static void test_json_rows(void **state)
{
    struct columns c;
    struct sluice_lake_row_reader *reader = NULL;
    struct sluice_lake_row row;
    uint8_t *copy = NULL;
    (void)state;
    columns_init(&c);
    assert_int_equal(sluice_lake_row_reader_create(&c.desc, SLUICE_LAKE_BASE64, &reader, NULL), 0);
    sluice_lake_row_reader_begin(reader, SLUICE_LAKE_JSONL, NULL);
    assert_int_equal(
        read_text(reader, "{\"id\":1,\"v\\\"\":\"a,}\\\"\",\"b\":\"AP8=\",\"x\":[\"/w==\",null]}",
                  &row, &copy),
        SLUICE_OK);
    assert_int_equal(row.op, 'R');
    assert_cell(row, 0, "1");
    assert_cell(row, 1, "\"a,}\\\"\"");
    assert_cell(row, 2, "\"\\\\x00ff\"");
    assert_cell(row, 3, "[\"\\\\xff\",null]");
    /* Another order, a column that nobody compares, one that is missing, nested values. */
    assert_int_equal(
        read_text(reader, "{\"x\":[[\"\"],[\"AA==\"]],\"o\":{\"a\":[1,{}]},\"id\":2}", &row, &copy),
        SLUICE_OK);
    assert_cell(row, 0, "2");
    assert_cell(row, 1, "null");
    assert_cell(row, 3, "[[\"\\\\x\"],[\"\\\\x00\"]]");
    sluice_lake_row_reader_begin(reader, SLUICE_LAKE_JSONL, "_");
    assert_int_equal(read_text(reader,
                               "{\"_op\":\"U\",\"_pos\":\"00ab\",\"_seq\":17,\"_tx\":null,"
                               "\"_unchanged\":[\"v\\\"\",\"b\"],\"id\":3,\"x\":null}",
                               &row, &copy),
                     SLUICE_OK);
    assert_int_equal(row.op, 'U');
    assert_int_equal(row.seq, 17);
    assert_int_equal(row.position.size, 4);
    assert_null(row.cells[1].data);
    assert_null(row.cells[2].data);
    assert_cell(row, 3, "null");
    free(copy);
    sluice_lake_row_reader_free(reader);
    sluice_schema_release(&c.schema);
}

static void test_csv_rows(void **state)
{
    struct columns c;
    struct sluice_lake_row_reader *reader = NULL;
    struct sluice_lake_row row;
    uint8_t *copy = NULL;
    (void)state;
    columns_init(&c);
    assert_int_equal(sluice_lake_row_reader_create(&c.desc, SLUICE_LAKE_HEX, &reader, NULL), 0);
    sluice_lake_row_reader_begin(reader, SLUICE_LAKE_CSV, "_");
    assert_int_equal(
        read_text(reader, "_op,_pos,_seq,_unchanged,id,\"v\"\"\",other,b,x", &row, &copy),
        SLUICE_AGAIN);
    assert_int_equal(read_text(reader, "D,00ff,2,,7,\"a \"\"q\"\",\n\",z,,\"\"", &row, &copy),
                     SLUICE_OK);
    assert_int_equal(row.op, 'D');
    assert_cell(row, 0, "\"7\"");
    assert_cell(row, 1, "\"a \\\"q\\\",\\n\"");
    assert_cell(row, 2, "null");
    assert_cell(row, 3, "\"\"");
    assert_int_equal(read_text(reader, "U,00ff,2,\"[\"\"b\"\"]\",7,,,,", &row, &copy), SLUICE_OK);
    assert_null(row.cells[2].data);
    assert_int_equal(read_text(reader, "U,00ff,2,,7,,,", &row, &copy), SLUICE_E_DATA);
    assert_int_equal(read_text(reader, "U,00ff,2,,7,,,,,", &row, &copy), SLUICE_E_DATA);
    assert_int_equal(read_text(reader, "U,00ff,2,,7,\"a\"b,,,", &row, &copy), SLUICE_E_DATA);
    assert_int_equal(read_text(reader, "X,00ff,2,,7,,,,", &row, &copy), SLUICE_E_DATA);
    free(copy);
    sluice_lake_row_reader_free(reader);
    sluice_schema_release(&c.schema);
}

/* Each line cut at each place, and with each byte turned: an answer, never a read beyond it. */
static void test_hostile_rows(void **state)
{
    static const char line[] = "{\"_op\":\"U\",\"_pos\":\"00ab\",\"_seq\":1,\"_unchanged\":[\"b\"],"
                               "\"id\":3,\"x\":[\"AA==\",[\"/w==\"]]}";
    struct columns c;
    struct sluice_lake_row_reader *reader = NULL;
    struct sluice_lake_row row;
    char text[sizeof line];
    uint8_t *copy = NULL;
    (void)state;
    columns_init(&c);
    assert_int_equal(sluice_lake_row_reader_create(&c.desc, SLUICE_LAKE_BASE64, &reader, NULL), 0);
    sluice_lake_row_reader_begin(reader, SLUICE_LAKE_JSONL, "_");
    for (size_t i = 0; i + 1 < sizeof line; i++) {
        memcpy(text, line, sizeof line);
        text[i] = '\0';
        assert_int_equal(read_text(reader, text, &row, &copy), SLUICE_E_DATA);
        static const char others[] = "\"\\[]{},:x0";
        for (size_t k = 0; k + 1 < sizeof others; k++) {
            memcpy(text, line, sizeof line);
            text[i] = others[k];
            (void)read_text(reader, text, &row, &copy);
        }
    }
    free(copy);
    sluice_lake_row_reader_free(reader);
    sluice_schema_release(&c.schema);
}

/* ---- fold ---- */

enum { KEYS = 8, CELLS = 3, HISTORIES = 300, CHANGES = 40 };

/* A table as anybody would keep it: rows by key, each cell a small number, 0 = no row. */
struct model {
    int rows[KEYS][CELLS];
    int there[KEYS];
};

struct fold_case {
    struct sluice_lake_fold *fold;
    char texts[CELLS][16];
    struct sluice_bytes cells[CELLS];
    struct model seen;
    uint64_t random;
    uint64_t seq;
};

static uint32_t roll(struct fold_case *f, uint32_t sides)
{
    f->random = f->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(f->random >> 33) % sides;
}

static void put_cells(struct fold_case *f, int key, const int *row, const int *unchanged)
{
    for (int i = 0; i < CELLS; i++) {
        (void)snprintf(f->texts[i], sizeof f->texts[i], "%d", i == 0 ? key : row[i]);
        f->cells[i] = (struct sluice_bytes){f->texts[i], strlen(f->texts[i])};
        if (i > 0 && unchanged != NULL && unchanged[i]) {
            f->cells[i] = (struct sluice_bytes){NULL, 0};
        }
    }
}

static void send(struct fold_case *f, char op, int key, const int *row, const int *unchanged)
{
    const struct sluice_lake_row change = {
        .op = (uint8_t)op, .seq = f->seq, .position = {"0a", 2}, .cells = f->cells};
    put_cells(f, key, row, unchanged);
    assert_int_equal(sluice_lake_fold_change(f->fold, &change, NULL), SLUICE_OK);
}

static sluice_status see(void *ctx, const struct sluice_bytes *cells, struct sluice_error *err)
{
    struct fold_case *f = ctx;
    char text[16];
    int row[CELLS];
    (void)err;
    for (int i = 0; i < CELLS; i++) {
        assert_true(cells[i].size < sizeof text);
        memcpy(text, cells[i].data, cells[i].size);
        text[cells[i].size] = '\0';
        row[i] = (int)strtol(text, NULL, 10);
    }
    assert_int_equal(f->seen.there[row[0]], 0);
    f->seen.there[row[0]] = 1;
    memcpy(f->seen.rows[row[0]], row, sizeof row);
    return SLUICE_OK;
}

/* One random change of the model, and what the source would send of it. */
static void change(struct fold_case *f, struct model *m)
{
    const int key = (int)roll(f, KEYS);
    int unchanged[CELLS] = {0};
    int row[CELLS];
    f->seq++;
    if (roll(f, 60) == 0) {
        send(f, 'T', 0, row, NULL);
        memset(m, 0, sizeof *m);
        return;
    }
    memcpy(row, m->rows[key], sizeof row);
    if (!m->there[key]) {
        row[1] = 1 + (int)roll(f, 1000);
        row[2] = 1 + (int)roll(f, 1000);
        send(f, 'I', key, row, NULL);
        m->there[key] = 1;
        memcpy(m->rows[key], row, sizeof row);
        return;
    }
    const uint32_t what = roll(f, 4);
    if (what == 0) {
        send(f, 'D', key, row, NULL);
        m->there[key] = 0;
        return;
    }
    for (int i = 1; i < CELLS; i++) {
        unchanged[i] = (int)roll(f, 2);
        row[i] = unchanged[i] ? row[i] : 1 + (int)roll(f, 1000);
    }
    const int to = what == 1 ? (int)roll(f, KEYS) : key;
    if (to != key && !m->there[to]) { /* a key that changes: D, and I of the same number */
        static const int zeros[CELLS] = {0};
        send(f, 'D', key, zeros, NULL);
        send(f, 'I', to, row, unchanged);
        m->there[key] = 0;
    }
    else {
        send(f, 'U', key, row, unchanged);
    }
    const int at = to != key && !m->there[to] ? to : key;
    m->there[at] = 1;
    memcpy(m->rows[at], row, sizeof row);
}

static void test_fold_like_a_model(void **state)
{
    static const uint32_t keys[] = {0};
    (void)state;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        struct fold_case f = {.random = seed * 7919};
        struct model base = {0};
        assert_int_equal(sluice_lake_fold_create(CELLS, keys, 1, &f.fold, NULL), SLUICE_OK);
        for (int k = 0; k < KEYS; k++) {
            base.there[k] = (int)roll(&f, 2);
            base.rows[k][1] = 1 + (int)roll(&f, 1000);
            base.rows[k][2] = 1 + (int)roll(&f, 1000);
        }
        struct model now = base;
        for (uint32_t n = roll(&f, CHANGES); n > 0; n--) {
            change(&f, &now);
        }
        const struct sluice_lake_row row = {.op = 'R', .cells = f.cells};
        for (int k = 0; k < KEYS; k++) {
            if (base.there[k]) {
                put_cells(&f, k, base.rows[k], NULL);
                assert_int_equal(sluice_lake_fold_base(f.fold, &row, see, &f, NULL), SLUICE_OK);
            }
        }
        assert_int_equal(sluice_lake_fold_rest(f.fold, see, &f, NULL), SLUICE_OK);
        for (int k = 0; k < KEYS; k++) {
            assert_int_equal(f.seen.there[k], now.there[k]);
            if (now.there[k]) {
                assert_int_equal(f.seen.rows[k][1], now.rows[k][1]);
                assert_int_equal(f.seen.rows[k][2], now.rows[k][2]);
            }
        }
        sluice_lake_fold_free(f.fold);
    }
}

static sluice_status count_row(void *ctx, const struct sluice_bytes *cells,
                               struct sluice_error *err)
{
    int *counts = ctx;
    (void)err;
    counts[*(const char *)cells[0].data - '0']++;
    return SLUICE_OK;
}

/* Without a key equal rows are counted; a delete takes one of them, of the load or of the changes. */
static void test_fold_without_key(void **state)
{
    static const char *const history[] = {"I1", "I1", "D1", "D2", "I3", "D3", "D4", "I4", "I4"};
    struct sluice_lake_fold *fold = NULL;
    struct sluice_bytes cell = {NULL, 1};
    struct sluice_lake_row row = {.position = {"0a", 2}, .cells = &cell};
    int counts[10] = {0};
    (void)state;
    assert_int_equal(sluice_lake_fold_create(1, NULL, 0, &fold, NULL), SLUICE_OK);
    for (size_t i = 0; i < sizeof history / sizeof history[0]; i++) {
        row.op = (uint8_t)history[i][0];
        row.seq = i;
        cell.data = history[i] + 1;
        assert_int_equal(sluice_lake_fold_change(fold, &row, NULL), SLUICE_OK);
    }
    for (const char *base = "22234"; *base != '\0'; base++) {
        row.op = 'R';
        cell.data = base;
        assert_int_equal(sluice_lake_fold_base(fold, &row, count_row, counts, NULL), SLUICE_OK);
    }
    assert_int_equal(sluice_lake_fold_rest(fold, count_row, counts, NULL), SLUICE_OK);
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[2], 2);
    assert_int_equal(counts[3], 1);
    assert_int_equal(counts[4], 2);
    sluice_lake_fold_free(fold);
}

int run_read_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_of_each_codec),
        cmocka_unit_test(test_damaged_records),
        cmocka_unit_test(test_json_rows),
        cmocka_unit_test(test_csv_rows),
        cmocka_unit_test(test_hostile_rows),
        cmocka_unit_test(test_fold_like_a_model),
        cmocka_unit_test(test_fold_without_key),
    };
    return cmocka_run_group_tests_name("read", tests, NULL, NULL);
}
