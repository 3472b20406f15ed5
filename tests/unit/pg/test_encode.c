/* Arrow values as PostgreSQL's COPY takes them: golden bytes, refusals, and back through the decoders. */
#include "pg/encode.h"

#include "pg/decode.h"
#include "sluice/array.h"
#include "sluice/build.h"
#include "tests.h"

enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_DATE = 1082,
    OID_TIME = 1083,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_INTERVAL = 1186,
    OID_NUMERIC = 1700,
    OID_UUID = 2950,
    OID_JSONB = 3802,
    OID_INET = 869
};

/* A column, and the batch it becomes. */
struct made {
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct ArrowArray array;
    struct sluice_view view;
    struct sluice_pg_encoder encoder;
    struct sluice_pg_buffer out;
};

static struct sluice_column *begin(struct made *m, struct sluice_type type, const char *special)
{
    const struct sluice_pair pair = {"sluice:special", special};
    memset(m, 0, sizeof *m);
    assert_int_equal(sluice_schema_init(&m->schema, 1, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&m->schema, 0, "c", &type, 1, &pair, special != NULL, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_rows_init(&m->rows, &m->schema, 64, NULL), SLUICE_OK);
    return &m->rows.columns[0];
}

/* The same column for a target of another type. */
static void encode_as(struct made *m, uint32_t oid)
{
    assert_int_equal(
        sluice_pg_encoder_make(m->schema.children[0], oid, -1, 'b', "c", &m->encoder, NULL),
        SLUICE_OK);
    sluice_pg_encoder_set_view(&m->encoder, &m->view);
}

static void finish(struct made *m, uint32_t oid)
{
    assert_int_equal(sluice_rows_finish(&m->rows, &m->array, NULL), SLUICE_OK);
    assert_int_equal(sluice_views_init(&m->schema, &m->array, &m->view, NULL), SLUICE_OK);
    encode_as(m, oid);
}

static void end(struct made *m)
{
    sluice_pg_buffer_free(&m->out);
    if (m->array.release != NULL) {
        m->array.release(&m->array);
    }
    sluice_rows_free(&m->rows);
    sluice_schema_release(&m->schema);
}

/* The field's bytes, with its length, as hex. */
static void gives(struct made *m, int64_t row, const char *hex)
{
    uint8_t want[128];
    const size_t size = pg_test_unhex(hex, want, sizeof want);
    m->out.size = 0;
    assert_int_equal(sluice_pg_encode_field(&m->encoder, row, &m->out, NULL), SLUICE_OK);
    assert_int_equal(m->out.size, size);
    assert_memory_equal(m->out.data, want, size);
}

static void refuses(struct made *m, int64_t row, const char *sqlstate)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    m->out.size = 0;
    assert_int_equal(sluice_pg_encode_field(&m->encoder, row, &m->out, &err), SLUICE_E_DATA);
    assert_true((err.flags & SLUICE_ERROR_ROW_LEVEL) != 0);
    assert_string_equal(err.sqlstate, sqlstate);
    assert_non_null(strstr(err.message, "column c"));
    assert_int_equal(m->out.size, 0); /* nothing half-written */
}

static void put_i32(struct made *m, struct sluice_column *col, int32_t v)
{
    sluice_column_put_fixed(col, &v);
    sluice_rows_end_row(&m->rows);
}

static void put_i64(struct made *m, struct sluice_column *col, int64_t v)
{
    sluice_column_put_fixed(col, &v);
    sluice_rows_end_row(&m->rows);
}

static void put_text(struct made *m, struct sluice_column *col, const void *text, size_t size)
{
    assert_int_equal(sluice_column_put_bytes(col, text, size, NULL), SLUICE_OK);
    sluice_rows_end_row(&m->rows);
}

static void put_null(struct made *m, struct sluice_column *col)
{
    assert_int_equal(sluice_column_put_null(col, NULL), SLUICE_OK);
    sluice_rows_end_row(&m->rows);
}

static void integers(void **state)
{
    const struct sluice_type i32 = {SLUICE_TYPE_INT32, 0, 0, 4};
    const struct sluice_type i64 = {SLUICE_TYPE_INT64, 0, 0, 8};
    struct made m;
    (void)state;
    struct sluice_column *col = begin(&m, i32, NULL);
    put_i32(&m, col, 1);
    put_i32(&m, col, INT32_MIN);
    put_null(&m, col);
    put_i32(&m, col, 40000);
    finish(&m, OID_INT4);
    gives(&m, 0, "0000000400000001");
    gives(&m, 1, "0000000480000000");
    gives(&m, 2, "ffffffff");
    encode_as(&m, OID_INT2);
    gives(&m, 0, "000000020001");
    refuses(&m, 1, "22003");
    refuses(&m, 3, "22003");
    encode_as(&m, OID_INT8);
    gives(&m, 1, "00000008ffffffff80000000");
    end(&m);

    col = begin(&m, i64, NULL);
    put_i64(&m, col, INT64_MAX);
    put_i64(&m, col, -1);
    put_i64(&m, col, 2147483648ll);
    finish(&m, OID_INT8);
    gives(&m, 0, "000000087fffffffffffffff");
    gives(&m, 1, "00000008ffffffffffffffff");
    encode_as(&m, OID_INT4);
    refuses(&m, 0, "22003");
    gives(&m, 1, "00000004ffffffff");
    refuses(&m, 2, "22003");
    /* As numeric: 9223372036854775807 is 922 3372 0368 5477 5807. */
    encode_as(&m, OID_NUMERIC);
    gives(&m, 0,
          "00000012"
          "0005"
          "0004"
          "0000"
          "0000"
          "039a"
          "0d2c"
          "0170"
          "1565"
          "16af");
    gives(&m, 1,
          "0000000a"
          "0001"
          "0000"
          "4000"
          "0000"
          "0001");
    end(&m);
}

static void floats(void **state)
{
    const struct sluice_type f64 = {SLUICE_TYPE_FLOAT64, 0, 0, 8};
    const double values[] = {1.5, -0.0, 1e300, __builtin_inf(), __builtin_nan("")};
    struct made m;
    (void)state;
    struct sluice_column *col = begin(&m, f64, NULL);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        sluice_column_put_fixed(col, &values[i]);
        sluice_rows_end_row(&m.rows);
    }
    finish(&m, OID_FLOAT8);
    gives(&m, 0, "000000083ff8000000000000");
    gives(&m, 1, "000000088000000000000000");
    gives(&m, 3, "000000087ff0000000000000");
    gives(&m, 4, "000000087ff8000000000000");
    encode_as(&m, OID_FLOAT4);
    gives(&m, 0, "000000043fc00000");
    refuses(&m, 2, "22003");
    gives(&m, 3, "000000047f800000");
    end(&m);
}

/* value / 10^scale of 128 bits. */
static void put_decimal(struct made *m, struct sluice_column *col, int64_t high, uint64_t low)
{
    const uint64_t words[2] = {low, (uint64_t)high};
    sluice_column_put_fixed(col, words);
    sluice_rows_end_row(&m->rows);
}

static void decimals(void **state)
{
    const struct sluice_type type = {SLUICE_TYPE_DECIMAL128, 38, 2, 16};
    struct made m;
    (void)state;
    struct sluice_column *col = begin(&m, type, "1");
    put_decimal(&m, col, 0, 150);           /* 1.50 */
    put_decimal(&m, col, -1, (uint64_t)-1); /* -0.01 */
    put_decimal(&m, col, 0, 0);             /* 0.00 */
    put_decimal(&m, col, 0, 100000000);     /* 1000000.00 */
    put_decimal(&m, col, INT64_MIN, 0);     /* NaN */
    put_decimal(&m, col, 0, 12345678);      /* 123456.78 */
    put_decimal(&m, col, 1, 0);             /* 184467440737095516.16 */
    finish(&m, OID_NUMERIC);
    gives(&m, 0,
          "0000000c"
          "0002"
          "0000"
          "0000"
          "0002"
          "0001"
          "1388");
    gives(&m, 1,
          "0000000a"
          "0001"
          "ffff"
          "4000"
          "0002"
          "0064");
    gives(&m, 2,
          "00000008"
          "0000"
          "0000"
          "0000"
          "0002");
    gives(&m, 3,
          "0000000a"
          "0001"
          "0001"
          "0000"
          "0002"
          "0064");
    gives(&m, 4,
          "00000008"
          "0000"
          "0000"
          "c000"
          "0000");
    gives(&m, 5,
          "0000000e"
          "0003"
          "0001"
          "0000"
          "0002"
          "000c"
          "0d80"
          "1e78");
    gives(&m, 6,
          "00000014"
          "0006"
          "0004"
          "0000"
          "0002"
          "0012"
          "1173"
          "1137"
          "0e7d"
          "158c"
          "0640");
    end(&m);
}

static void times(void **state)
{
    const struct sluice_type date = {SLUICE_TYPE_DATE32, 0, 0, 4};
    const struct sluice_type stamp = {SLUICE_TYPE_TIMESTAMP_US, 0, 0, 8};
    struct made m;
    (void)state;
    struct sluice_column *col = begin(&m, date, "1");
    put_i32(&m, col, 10957); /* 2000-01-01 */
    put_i32(&m, col, 0);     /* 1970-01-01 */
    put_i32(&m, col, INT32_MAX);
    put_i32(&m, col, INT32_MIN);
    finish(&m, OID_DATE);
    gives(&m, 0, "0000000400000000");
    gives(&m, 1, "00000004ffffd533");
    gives(&m, 2, "000000047fffffff");
    gives(&m, 3, "0000000480000000");
    end(&m);

    col = begin(&m, stamp, "1");
    put_i64(&m, col, 946684800000001ll);
    put_i64(&m, col, INT64_MAX);
    put_i64(&m, col, INT64_MIN);
    put_i64(&m, col, 0);
    finish(&m, OID_TIMESTAMP);
    gives(&m, 0, "000000080000000000000001");
    gives(&m, 1, "000000087fffffffffffffff");
    gives(&m, 2, "000000088000000000000000");
    gives(&m, 3, "00000008fffca2fec4c82000");
    end(&m);

    const struct sluice_type utc = {SLUICE_TYPE_TIMESTAMP_US_UTC, 0, 0, 8};
    col = begin(&m, utc, NULL);
    put_i64(&m, col, INT64_MAX); /* no special: a very late moment, not infinity */
    finish(&m, OID_TIMESTAMPTZ);
    gives(&m, 0, "000000087ffca2fec4c81fff");
    end(&m);

    const struct sluice_type interval = {SLUICE_TYPE_INTERVAL, 0, 0, 16};
    col = begin(&m, interval, NULL);
    sluice_column_put_interval(col, 14, -3, 1000);
    sluice_rows_end_row(&m.rows);
    sluice_column_put_interval(col, 0, 0, 1001);
    sluice_rows_end_row(&m.rows);
    finish(&m, OID_INTERVAL);
    gives(&m, 0,
          "00000010"
          "0000000000000001"
          "fffffffd"
          "0000000e");
    refuses(&m, 1, "22008");
    end(&m);
}

static void texts_and_bytes(void **state)
{
    const struct sluice_type utf8 = {SLUICE_TYPE_UTF8, 0, 0, 0};
    const struct sluice_type binary = {SLUICE_TYPE_BINARY, 0, 0, 0};
    struct made m;
    (void)state;
    struct sluice_column *col = begin(&m, utf8, NULL);
    put_text(&m, col, "h\xc3\xa9", 3);
    put_text(&m, col, "", 0);
    put_text(&m, col, "a\0b", 3);
    put_null(&m, col);
    put_text(&m, col, "{}", 2);
    put_text(&m, col, "4294967295", 10);
    put_text(&m, col, "4294967296", 10);
    finish(&m, OID_TEXT);
    gives(&m, 0, "0000000368c3a9");
    gives(&m, 1, "00000000");
    refuses(&m, 2, "22021");
    gives(&m, 3, "ffffffff");
    const uint32_t others[] = {OID_JSONB, OID_OID};
    for (int i = 0; i < 2; i++) {
        encode_as(&m, others[i]);
        if (i == 0) {
            gives(&m, 4, "00000003017b7d");
            refuses(&m, 2, "22021");
        }
        else {
            gives(&m, 5, "00000004ffffffff");
            refuses(&m, 6, "22003");
            refuses(&m, 0, "22003");
            refuses(&m, 1, "22003");
        }
    }
    /* A type without a binary form of ours is written as text. */
    assert_int_equal(
        sluice_pg_encoder_make(m.schema.children[0], OID_INET, -1, 'b', "c", &m.encoder, NULL),
        SLUICE_OK);
    assert_int_equal(m.encoder.binary, 0);
    end(&m);

    col = begin(&m, binary, NULL);
    put_text(&m, col, "\0\xff", 2);
    finish(&m, OID_BYTEA);
    gives(&m, 0, "0000000200ff");
    end(&m);
}

static void one_at_fault_among_rows(void **state)
{
    const struct sluice_type utf8 = {SLUICE_TYPE_UTF8, 0, 0, 0};
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct made m;
    uint8_t want[64];
    (void)state;
    struct sluice_column *col = begin(&m, utf8, NULL);
    put_text(&m, col, "a", 1);
    put_text(&m, col, "b", 1);
    put_text(&m, col, "\0", 1);
    put_text(&m, col, "d", 1);
    finish(&m, OID_TEXT);
    int64_t from = 0;
    assert_int_equal(sluice_pg_encode_rows(&m.encoder, 1, &from, 4, 1 << 20, &m.out, &err),
                     SLUICE_E_DATA);
    assert_int_equal(from, 2);
    size_t size = pg_test_unhex("00010000000161"
                                "00010000000162",
                                want, sizeof want);
    assert_int_equal(m.out.size, size);
    assert_memory_equal(m.out.data, want, size);
    from = 3;
    assert_int_equal(sluice_pg_encode_rows(&m.encoder, 1, &from, 4, 1 << 20, &m.out, &err),
                     SLUICE_OK);
    assert_int_equal(from, 4);
    assert_int_equal(m.out.size, size + 7);
    /* The limit stops behind a row, never in it. */
    m.out.size = 0;
    from = 0;
    assert_int_equal(sluice_pg_encode_rows(&m.encoder, 1, &from, 2, 1, &m.out, NULL), SLUICE_OK);
    assert_int_equal(from, 1);
    assert_int_equal(m.out.size, 7);
    end(&m);
}

/* ---- and back ---- */

enum { COLUMNS = 6, ROWS = 500 };

static const struct {
    struct sluice_type type;
    uint32_t oid;
    int32_t decode;
} trip[COLUMNS] = {
    {{SLUICE_TYPE_INT32, 0, 0, 4}, OID_INT4, SLUICE_PG_DECODE_INT32},
    {{SLUICE_TYPE_INT64, 0, 0, 8}, OID_INT8, SLUICE_PG_DECODE_INT64},
    {{SLUICE_TYPE_DECIMAL128, 38, 6, 16}, OID_NUMERIC, SLUICE_PG_DECODE_NUMERIC128},
    {{SLUICE_TYPE_TIMESTAMP_US, 0, 0, 8}, OID_TIMESTAMP, SLUICE_PG_DECODE_TIMESTAMP},
    {{SLUICE_TYPE_UTF8, 0, 0, 0}, OID_TEXT, SLUICE_PG_DECODE_TEXT},
    {{SLUICE_TYPE_BOOL, 0, 0, 0}, OID_BOOL, SLUICE_PG_DECODE_BOOL},
};

static uint64_t roll(uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *random >> 11;
}

/* Small numbers as well as such of all widths. */
static int64_t any_number(uint64_t *random, int bits)
{
    const uint64_t v = roll(random) & ((UINT64_C(1) << (1 + roll(random) % (uint64_t)bits)) - 1);
    return roll(random) % 2 == 0 ? (int64_t)v : -(int64_t)v;
}

static void fill_row(struct sluice_rows *rows, uint64_t *random)
{
    char text[40];
    for (int c = 0; c < COLUMNS; c++) {
        struct sluice_column *col = &rows->columns[c];
        const int64_t v = any_number(random, c == 0 ? 30 : 50);
        const int32_t small = (int32_t)v;
        /* Half of them in 64 bits, half not. */
        const uint64_t words[2] = {roll(random) % 2 == 0 ? (uint64_t)v : roll(random) << 11,
                                   v < 0 ? UINT64_MAX : 0};
        const size_t n = roll(random) % sizeof text;
        if (roll(random) % 9 == 0) {
            assert_int_equal(sluice_column_put_null(col, NULL), SLUICE_OK);
            continue;
        }
        switch (c) {
        case 0:
            sluice_column_put_fixed(col, &small);
            break;
        case 2:
            sluice_column_put_fixed(col, words);
            break;
        case 4:
            memset(text, 'a' + (int)(roll(random) % 26), sizeof text);
            assert_int_equal(sluice_column_put_bytes(col, text, n, NULL), SLUICE_OK);
            break;
        case 5:
            sluice_column_put_bool(col, (int32_t)(roll(random) % 2));
            break;
        default:
            sluice_column_put_fixed(col, &v);
        }
    }
    sluice_rows_end_row(rows);
}

static void same_rows(const struct sluice_view *a, const struct sluice_view *b, int64_t from,
                      int64_t n)
{
    for (int c = 0; c < COLUMNS; c++) {
        for (int64_t i = 0; i < n; i++) {
            assert_int_equal(sluice_view_is_null(&a[c], from + i), sluice_view_is_null(&b[c], i));
            if (sluice_view_is_null(&a[c], from + i)) {
                continue;
            }
            if (c == 4) {
                const struct sluice_bytes x = sluice_view_bytes(&a[c], from + i);
                const struct sluice_bytes y = sluice_view_bytes(&b[c], i);
                assert_int_equal(x.size, y.size);
                assert_memory_equal(x.data, y.data, x.size);
            }
            else if (c == 5) {
                assert_int_equal(sluice_view_bool(&a[c], from + i), sluice_view_bool(&b[c], i));
            }
            else {
                assert_memory_equal(sluice_view_fixed(&a[c], from + i), sluice_view_fixed(&b[c], i),
                                    (size_t)trip[c].type.width);
            }
        }
    }
}

/* What COPY would take, read as what COPY gives: also from a slice of a batch. */
static void there_and_back(void **state)
{
    struct ArrowSchema schema;
    struct sluice_rows rows = {0};
    struct sluice_rows back = {0};
    struct ArrowArray array;
    struct ArrowArray again;
    struct sluice_view views[COLUMNS];
    struct sluice_view seen[COLUMNS];
    struct sluice_pg_encoder encoders[COLUMNS];
    struct sluice_pg_decoder decoders[COLUMNS];
    struct sluice_pg_copy copy = {.decoders = decoders, .count = COLUMNS};
    struct sluice_pg_buffer out = {0};
    uint64_t random = 4711;
    (void)state;
    assert_int_equal(sluice_schema_init(&schema, COLUMNS, NULL), SLUICE_OK);
    for (int c = 0; c < COLUMNS; c++) {
        assert_int_equal(sluice_schema_set(&schema, c, "c", &trip[c].type, 1, NULL, 0, NULL),
                         SLUICE_OK);
    }
    assert_int_equal(sluice_rows_init(&rows, &schema, ROWS, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_init(&back, &schema, ROWS, NULL), SLUICE_OK);
    for (int i = 0; i < ROWS; i++) {
        fill_row(&rows, &random);
    }
    assert_int_equal(sluice_rows_finish(&rows, &array, NULL), SLUICE_OK);
    assert_int_equal(sluice_views_init(&schema, &array, views, NULL), SLUICE_OK);
    for (int c = 0; c < COLUMNS; c++) {
        assert_int_equal(sluice_pg_encoder_make(schema.children[c], trip[c].oid, -1, 'b', "c",
                                                &encoders[c], NULL),
                         SLUICE_OK);
        sluice_pg_encoder_set_view(&encoders[c], &views[c]);
        assert_int_equal(
            sluice_pg_decoder_init(&decoders[c], trip[c].decode, &back.columns[c], "c", 0, NULL),
            SLUICE_OK);
    }
    int64_t from = 7; /* not from the first row */
    sluice_pg_copy_header(&out);
    assert_int_equal(sluice_pg_copy_message(&copy, &back, out.data, out.size, NULL), SLUICE_AGAIN);
    while (from < ROWS) {
        out.size = 0;
        assert_int_equal(
            sluice_pg_encode_rows(encoders, COLUMNS, &from, from + 1, 1 << 20, &out, NULL),
            SLUICE_OK);
        assert_int_equal(sluice_pg_copy_message(&copy, &back, out.data, out.size, NULL), SLUICE_OK);
    }
    out.size = 0;
    sluice_pg_copy_trailer(&out);
    assert_int_equal(sluice_pg_copy_message(&copy, &back, out.data, out.size, NULL), SLUICE_END);
    assert_int_equal(back.rows, ROWS - 7);
    assert_int_equal(sluice_rows_finish(&back, &again, NULL), SLUICE_OK);
    assert_int_equal(sluice_views_init(&schema, &again, seen, NULL), SLUICE_OK);
    same_rows(views, seen, 7, ROWS - 7);
    sluice_pg_buffer_free(&out);
    array.release(&array);
    again.release(&again);
    sluice_rows_free(&rows);
    sluice_rows_free(&back);
    sluice_schema_release(&schema);
}

/* Lines of a text COPY: what stands for itself is escaped. */
static void lines(void **state)
{
    static const char want[] = "a\\tb\\n\\\\N\n\\N\n\n";
    const struct sluice_type utf8 = {SLUICE_TYPE_UTF8, 0, 0, 0};
    struct made m;
    (void)state;
    struct sluice_column *col = begin(&m, utf8, NULL);
    put_text(&m, col, "a\tb\n\\N", 6);
    put_null(&m, col);
    put_text(&m, col, "", 0);
    finish(&m, OID_TEXT);
    assert_int_equal(sluice_pg_encoder_make_text(m.schema.children[0], "c", &m.encoder, NULL),
                     SLUICE_OK);
    sluice_pg_encoder_set_view(&m.encoder, &m.view);
    int64_t from = 0;
    assert_int_equal(sluice_pg_encode_lines(&m.encoder, 1, &from, 3, 1 << 20, &m.out, NULL),
                     SLUICE_OK);
    assert_int_equal(m.out.size, sizeof want - 1);
    assert_memory_equal(m.out.data, want, sizeof want - 1);
    end(&m);
}

int pg_test_encode(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),        cmocka_unit_test(floats),
        cmocka_unit_test(decimals),        cmocka_unit_test(times),
        cmocka_unit_test(texts_and_bytes), cmocka_unit_test(one_at_fault_among_rows),
        cmocka_unit_test(there_and_back),  cmocka_unit_test(lines),
    };
    return cmocka_run_group_tests_name("encode", tests, NULL, NULL);
}
