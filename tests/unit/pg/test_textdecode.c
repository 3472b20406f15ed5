/* Values in text form: the same cells as binary ones, and what is no value. */
#include <stdio.h>
#include <stdlib.h>

#include "pg/decode.h"
#include "sluice/array.h"
#include "tests.h"

static const struct sluice_type t_bool = {SLUICE_TYPE_BOOL, 0, 0, 0};
static const struct sluice_type t_i16 = {SLUICE_TYPE_INT16, 0, 0, 2};
static const struct sluice_type t_i32 = {SLUICE_TYPE_INT32, 0, 0, 4};
static const struct sluice_type t_i64 = {SLUICE_TYPE_INT64, 0, 0, 8};
static const struct sluice_type t_f32 = {SLUICE_TYPE_FLOAT32, 0, 0, 4};
static const struct sluice_type t_f64 = {SLUICE_TYPE_FLOAT64, 0, 0, 8};
static const struct sluice_type t_utf8 = {SLUICE_TYPE_UTF8, 0, 0, 0};
static const struct sluice_type t_bin = {SLUICE_TYPE_BINARY, 0, 0, 0};
static const struct sluice_type t_uuid = {SLUICE_TYPE_FIXED_BINARY, 0, 0, 16};
static const struct sluice_type t_date = {SLUICE_TYPE_DATE32, 0, 0, 4};
static const struct sluice_type t_time = {SLUICE_TYPE_TIME64_US, 0, 0, 8};
static const struct sluice_type t_ts = {SLUICE_TYPE_TIMESTAMP_US, 0, 0, 8};
static const struct sluice_type t_tz = {SLUICE_TYPE_TIMESTAMP_US_UTC, 0, 0, 8};
static const struct sluice_type t_d12 = {SLUICE_TYPE_DECIMAL128, 12, 2, 16};
static const struct sluice_type t_d18 = {SLUICE_TYPE_DECIMAL128, 18, 18, 16};
static const struct sluice_type t_d38 = {SLUICE_TYPE_DECIMAL128, 38, 10, 16};
static const struct sluice_type t_d76 = {SLUICE_TYPE_DECIMAL256, 76, 38, 32};

/* One column and its two decoders over one builder. */
struct pair {
    struct ArrowSchema schema;
    struct sluice_rows rows;
    struct sluice_pg_decoder text;
    struct sluice_pg_decoder binary;
};

static void pair_make(struct pair *p, int32_t kind, const struct sluice_type *type, int32_t policy)
{
    static const struct sluice_pair special[] = {{"sluice:special", "1"}};
    memset(p, 0, sizeof *p);
    assert_int_equal(sluice_schema_init(&p->schema, 1, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&p->schema, 0, "c", type, 1, special, 1, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_init(&p->rows, &p->schema, 64, NULL), SLUICE_OK);
    struct sluice_column *column = &p->rows.columns[0];
    assert_int_equal(sluice_pg_text_decoder_init(&p->text, kind, column, "c", policy, NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_pg_decoder_init(&p->binary, kind, column, "c", policy, NULL),
                     SLUICE_OK);
}

/* Decodes bytes that end where their allocation does. */
static sluice_status put(struct sluice_pg_decoder *d, struct sluice_rows *rows, const void *data,
                         size_t size, struct sluice_error *err)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    sluice_status st = d->decode(d, copy, (uint32_t)size, err);
    free(copy);
    if (st >= 0) {
        sluice_rows_end_row(rows);
    }
    else {
        sluice_rows_rollback(rows);
    }
    return st;
}

static void pair_finish(struct pair *p, struct ArrowArray *out)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_rows_finish(&p->rows, out, &err), SLUICE_OK);
    if (sluice_array_check(&p->schema, out, SLUICE_CHECK_FULL, &err) < 0) {
        fail_msg("%s", err.message);
    }
}

static void pair_free(struct pair *p)
{
    sluice_rows_free(&p->rows);
    sluice_schema_release(&p->schema);
}

/* Bytes of the only value of an array. */
static size_t cell(const struct sluice_type *type, const struct ArrowArray *a, const void **out)
{
    const struct ArrowArray *c = a->children[0];
    int variable = type->id == SLUICE_TYPE_UTF8 || type->id == SLUICE_TYPE_BINARY;
    const int32_t *offsets = c->buffers[1];
    *out = c->buffers[variable ? 2 : 1];
    return variable ? (size_t)offsets[1] : type->width > 0 ? (size_t)type->width : 1;
}

static void same(int32_t kind, const struct sluice_type *type, const char *text, const char *hex)
{
    struct pair p;
    struct ArrowArray a;
    struct ArrowArray b;
    struct sluice_error err = SLUICE_ERROR_INIT;
    uint8_t bytes[128];
    size_t size = pg_test_unhex(hex, bytes, sizeof bytes);
    pair_make(&p, kind, type, 0);
    if (put(&p.text, &p.rows, text, strlen(text), &err) < 0) {
        fail_msg("%s: %s", text, err.message);
    }
    pair_finish(&p, &a);
    assert_int_equal(put(&p.binary, &p.rows, bytes, size, NULL), SLUICE_OK);
    pair_finish(&p, &b);
    const void *x = NULL;
    const void *y = NULL;
    size = cell(type, &a, &x);
    assert_int_equal(size, cell(type, &b, &y));
    if (size > 0 && memcmp(x, y, size) != 0) {
        fail_msg("kind %d: '%s' is not %s", kind, text, hex);
    }
    sluice_array_release(&a);
    sluice_array_release(&b);
    pair_free(&p);
}

static void refused(int32_t kind, const struct sluice_type *type, const char *const *texts)
{
    struct pair p;
    struct ArrowArray a;
    struct sluice_error err = SLUICE_ERROR_INIT;
    pair_make(&p, kind, type, 0);
    for (; *texts != NULL; texts++) {
        if (put(&p.text, &p.rows, *texts, strlen(*texts), &err) != SLUICE_E_DATA) {
            fail_msg("kind %d takes '%s'", kind, *texts);
        }
        /* Row data stays out of messages. */
        assert_true(strlen(*texts) < 6 || strstr(err.message, *texts) == NULL);
    }
    pair_finish(&p, &a);
    assert_int_equal(a.length, 0);
    sluice_array_release(&a);
    pair_free(&p);
}
#define REFUSED(kind, type, ...) refused(kind, type, (const char *const[]){__VA_ARGS__, NULL})

static void booleans_and_integers(void **state)
{
    (void)state;
    same(SLUICE_PG_DECODE_BOOL, &t_bool, "t", "01");
    same(SLUICE_PG_DECODE_BOOL, &t_bool, "f", "00");
    REFUSED(SLUICE_PG_DECODE_BOOL, &t_bool, "", "true", "1", "T", "tt");
    same(SLUICE_PG_DECODE_INT16, &t_i16, "-32768", "8000");
    same(SLUICE_PG_DECODE_INT16, &t_i16, "32767", "7fff");
    REFUSED(SLUICE_PG_DECODE_INT16, &t_i16, "32768", "-32769", "", "-", "1 ", " 1", "+1", "0x1");
    same(SLUICE_PG_DECODE_INT32, &t_i32, "-2147483648", "80000000");
    same(SLUICE_PG_DECODE_INT32, &t_i32, "2147483647", "7fffffff");
    same(SLUICE_PG_DECODE_INT32, &t_i32, "0", "00000000");
    REFUSED(SLUICE_PG_DECODE_INT32, &t_i32, "2147483648", "-2147483649", "1.0", "--1");
    same(SLUICE_PG_DECODE_INT64, &t_i64, "-9223372036854775808", "8000000000000000");
    same(SLUICE_PG_DECODE_INT64, &t_i64, "9223372036854775807", "7fffffffffffffff");
    REFUSED(SLUICE_PG_DECODE_INT64, &t_i64, "9223372036854775808", "-9223372036854775809",
            "99999999999999999999", "18446744073709551616", "12e3");
    same(SLUICE_PG_DECODE_OID, &t_utf8, "0", "00000000");
    same(SLUICE_PG_DECODE_OID, &t_utf8, "4294967295", "ffffffff");
    REFUSED(SLUICE_PG_DECODE_OID, &t_utf8, "4294967296", "-1", "00", "01", "", "-");
}

static void floats(void **state)
{
    (void)state;
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "0", "0000000000000000");
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "-0", "8000000000000000");
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "NaN", "7ff8000000000000");
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "NaN", "fff8000000000000"); /* infinity - infinity */
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "NaN", "7ff0000000000001");
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "Infinity", "7ff0000000000000");
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "-Infinity", "fff0000000000000");
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "5e-324", "0000000000000001");
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "2.225073858507201e-308", "000fffffffffffff");
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "1.7976931348623157e+308", "7fefffffffffffff");
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "1e+22", "4480f0cf064dd592");
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "9007199254740993", "4340000000000000"); /* tie */
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "9007199254740995", "4340000000000002");
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "0.1", "3fb999999999999a");
    /* More digits than a mantissa holds, on either side of a tie. */
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "9007199254740993.0000000000000000001",
         "4340000000000001");
    same(SLUICE_PG_DECODE_FLOAT64, &t_f64, "0.00000000000000000000000000000000",
         "0000000000000000");
    REFUSED(SLUICE_PG_DECODE_FLOAT64, &t_f64, "", "-", ".5", "5.", "1e", "1e+", "inf", "nan",
            "0x1p3", "1e309", "-1e309", "1e-400", " 1", "1 ", "1,5", "infinity", "1e99999", "+1",
            "-NaN", "1.2.3", "1e5e5",
            "11111111111111111111111111111111111111111111111111111111111111111111111111");
    same(SLUICE_PG_DECODE_FLOAT32, &t_f32, "-0", "80000000");
    same(SLUICE_PG_DECODE_FLOAT32, &t_f32, "NaN", "7fc00000");
    same(SLUICE_PG_DECODE_FLOAT32, &t_f32, "NaN", "ffc00000");
    same(SLUICE_PG_DECODE_FLOAT32, &t_f32, "-Infinity", "ff800000");
    same(SLUICE_PG_DECODE_FLOAT32, &t_f32, "1e-45", "00000001");
    same(SLUICE_PG_DECODE_FLOAT32, &t_f32, "1.1754942e-38", "007fffff");
    same(SLUICE_PG_DECODE_FLOAT32, &t_f32, "3.4028235e+38", "7f7fffff");
    same(SLUICE_PG_DECODE_FLOAT32, &t_f32, "16777217", "4b800000"); /* tie */
    same(SLUICE_PG_DECODE_FLOAT32, &t_f32, "16777219", "4b800002");
    REFUSED(SLUICE_PG_DECODE_FLOAT32, &t_f32, "3.5e38", "1e-50", "1e+39");
}

/* Shortest texts of random bits come back as those bits, and agree with the C library. */
static void random_floats(void **state)
{
    (void)state;
    struct pair p;
    struct ArrowArray a;
    uint64_t seed = 0x9e3779b97f4a7c15u;
    char text[40];
    pair_make(&p, SLUICE_PG_DECODE_FLOAT64, &t_f64, 0);
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t bits = seed ^ seed >> 29;
        double v = 0;
        if (i % 2 == 0) { /* of everyday size */
            bits = (bits & 0x800fffffffffffffu) | (uint64_t)(1023 - 60 + i % 120) << 52;
        }
        memcpy(&v, &bits, 8);
        if ((bits >> 52 & 0x7ff) == 0x7ff) {
            continue;
        }
        (void)snprintf(text, sizeof text, "%.*g", i % 3 == 0 ? 17 : i % 18 + 1, v);
        double expected = strtod(text, NULL);
        if (expected > 1.7e308 || expected < -1.7e308) {
            continue;
        }
        assert_int_equal(put(&p.text, &p.rows, text, strlen(text), NULL), SLUICE_OK);
        uint64_t got = 0;
        memcpy(&got, p.rows.columns[0].values + (p.rows.rows - 1) * 8, sizeof got);
        memcpy(&bits, &expected, sizeof bits);
        if (got != bits) {
            fail_msg("%s", text);
        }
        if (p.rows.rows == 64) {
            pair_finish(&p, &a);
            sluice_array_release(&a);
        }
    }
    pair_free(&p);
}

static void numerics(void **state)
{
    (void)state;
    same(SLUICE_PG_DECODE_NUMERIC64, &t_d12, "-9999.99", "0002000040000002270f26ac");
    same(SLUICE_PG_DECODE_NUMERIC64, &t_d12, "0.00", "0000000000000002");
    same(SLUICE_PG_DECODE_NUMERIC64, &t_d12, "7", "00010000000000000007");
    same(SLUICE_PG_DECODE_NUMERIC64, &t_d12, "7.1000", "0002000000000004000703e8");
    same(SLUICE_PG_DECODE_NUMERIC64, &t_d12, "NaN", "00000000c0000000");
    same(SLUICE_PG_DECODE_NUMERIC64, &t_d12, "0000000000000000000007.1",
         "0002000000000001000703e8");
    same(SLUICE_PG_DECODE_NUMERIC64, &t_d18, "-0.000000000000000001", "0001fffb400000120064");
    same(SLUICE_PG_DECODE_NUMERIC128, &t_d38, "10000.5", "0003000100000001000100001388");
    same(SLUICE_PG_DECODE_NUMERIC128, &t_d38, "NaN", "00000000c0000000");
    same(SLUICE_PG_DECODE_NUMERIC256, &t_d76, "-0.00000000000000000000000000000000000001",
         "0001fff6400000260064");
    same(SLUICE_PG_DECODE_NUMERIC256, &t_d76, "NaN", "00000000c0000000");
    const char *const wrong[] = {"",
                                 "-",
                                 ".",
                                 "1.",
                                 ".5",
                                 "1e5",
                                 "nan",
                                 "+1",
                                 "1 ",
                                 "1.2.3",
                                 "infinity",
                                 "-NaN",
                                 "0x1",
                                 "1,5",
                                 "1.234",
                                 "12345678901",
                                 "99999999999999999999999",
                                 NULL};
    refused(SLUICE_PG_DECODE_NUMERIC64, &t_d12, wrong);
    refused(SLUICE_PG_DECODE_NUMERIC64, &t_d12, (const char *const[]){"Infinity", NULL});
    REFUSED(SLUICE_PG_DECODE_NUMERIC64, &t_d18, "1", "0.0000000000000000001");
    REFUSED(SLUICE_PG_DECODE_NUMERIC128, &t_d38, "10000000000000000000000000000", "-Infinity",
            "0.00000000001");
    REFUSED(SLUICE_PG_DECODE_NUMERIC256, &t_d76, "100000000000000000000000000000000000000");
}

static void infinities_as_null(void **state)
{
    (void)state;
    struct pair p;
    struct ArrowArray a;
    pair_make(&p, SLUICE_PG_DECODE_NUMERIC64, &t_d12, SLUICE_PG_UNREPRESENTABLE_NULL);
    assert_int_equal(put(&p.text, &p.rows, "-Infinity", 9, NULL), SLUICE_OK);
    pair_finish(&p, &a);
    assert_int_equal(a.children[0]->null_count, 1);
    sluice_array_release(&a);
    pair_free(&p);
    pair_make(&p, SLUICE_PG_DECODE_TIMESTAMP, &t_ts, SLUICE_PG_UNREPRESENTABLE_NULL);
    assert_int_equal(put(&p.text, &p.rows, "294247-01-10 04:00:54.775807", 28, NULL), SLUICE_OK);
    pair_finish(&p, &a);
    assert_int_equal(a.children[0]->null_count, 1);
    sluice_array_release(&a);
    pair_free(&p);
}

static void dates_and_times(void **state)
{
    (void)state;
    same(SLUICE_PG_DECODE_DATE, &t_date, "2000-01-01", "00000000");
    same(SLUICE_PG_DECODE_DATE, &t_date, "1999-12-31", "ffffffff");
    same(SLUICE_PG_DECODE_DATE, &t_date, "4714-11-24 BC", "ffda97a7");
    same(SLUICE_PG_DECODE_DATE, &t_date, "5874897-12-31", "7fda970c");
    same(SLUICE_PG_DECODE_DATE, &t_date, "infinity", "7fffffff");
    same(SLUICE_PG_DECODE_DATE, &t_date, "-infinity", "80000000");
    REFUSED(SLUICE_PG_DECODE_DATE, &t_date, "", "2000-1-1", "2000-00-01", "2000-13-01",
            "2000-01-00", "2001-02-29", "1900-02-29", "2000-04-31", "0000-01-01", "999-01-01",
            "4714-11-23 BC", "5874898-01-01", "9999999-01-01", "12345678-01-01", "2000-01-01 ",
            "2000-01-01 AD", "01/02/2000", "2000-01-01 BC BC", "0000-01-01 BC", " BC", "Infinity",
            "2000-01-0x", "20000101");
    same(SLUICE_PG_DECODE_TIME, &t_time, "00:00:00", "0000000000000000");
    same(SLUICE_PG_DECODE_TIME, &t_time, "23:59:59.999999", "000000141dd75fff");
    same(SLUICE_PG_DECODE_TIME, &t_time, "24:00:00", "000000141dd76000");
    same(SLUICE_PG_DECODE_TIME, &t_time, "00:00:00.5", "000000000007a120");
    REFUSED(SLUICE_PG_DECODE_TIME, &t_time, "24:00:00.000001", "25:00:00", "12:60:00", "12:00:60",
            "12:00", "1:00:00", "12:00:00.", "12:00:00.1234567", "12:00:00 AM", "12:00:00+00", "");
}

static void timestamps(void **state)
{
    (void)state;
    same(SLUICE_PG_DECODE_TIMESTAMP, &t_ts, "2000-01-01 00:00:00", "0000000000000000");
    same(SLUICE_PG_DECODE_TIMESTAMP, &t_ts, "1999-12-31 23:59:59.999999", "ffffffffffffffff");
    same(SLUICE_PG_DECODE_TIMESTAMP, &t_ts, "4714-11-24 00:00:00 BC", "fd0f7cc1411fa000");
    same(SLUICE_PG_DECODE_TIMESTAMP, &t_ts, "infinity", "7fffffffffffffff");
    same(SLUICE_PG_DECODE_TIMESTAMP, &t_tz, "-infinity", "8000000000000000");
    same(SLUICE_PG_DECODE_TIMESTAMP, &t_tz, "2000-01-01 00:00:00+00", "0000000000000000");
    same(SLUICE_PG_DECODE_TIMESTAMP, &t_tz, "2000-01-01 05:30:15+05:30:15", "0000000000000000");
    same(SLUICE_PG_DECODE_TIMESTAMP, &t_tz, "1999-12-31 20:29:59.5-03:30", "fffffffffff85ee0");
    /* Local times beyond either end, of moments within. */
    same(SLUICE_PG_DECODE_TIMESTAMP, &t_tz, "4714-11-23 12:00:00-12 BC", "fd0f7cc1411fa000");
    REFUSED(SLUICE_PG_DECODE_TIMESTAMP, &t_ts, "2000-01-01", "2000-01-01T00:00:00",
            "2000-01-01 00:00:00+00", "2000-01-01 24:00:00", "4714-11-23 23:59:59 BC",
            "294277-01-01 00:00:00", "294247-01-10 04:00:54.775807", "2000-01-01 00:00:00 ",
            "9999999-01-01 00:00:00", "2000-01-01 00:00");
    REFUSED(SLUICE_PG_DECODE_TIMESTAMP, &t_tz, "2000-01-01 00:00:00", "2000-01-01 00:00:00Z",
            "2000-01-01 00:00:00+5", "2000-01-01 00:00:00+16", "2000-01-01 00:00:00+05:60",
            "2000-01-01 00:00:00+05:", "2000-01-01 00:00:00 UTC", "4714-11-24 00:00:00+01 BC",
            "294277-01-01 00:00:00+00", "2000-01-01 00:00:00+05:30:15:1");
}

static void texts_and_bytes(void **state)
{
    (void)state;
    same(SLUICE_PG_DECODE_TEXT, &t_utf8, "", "");
    same(SLUICE_PG_DECODE_TEXT, &t_utf8, "\xc3\xa4", "c3a4");
    same(SLUICE_PG_DECODE_TEXT_CHECKED, &t_utf8, "\xc3\xa4", "c3a4");
    REFUSED(SLUICE_PG_DECODE_TEXT_CHECKED, &t_utf8, "\xe4");
    same(SLUICE_PG_DECODE_JSONB, &t_utf8, "{}", "017b7d");
    same(SLUICE_PG_DECODE_JSONB_CHECKED, &t_utf8, "{}", "017b7d");
    REFUSED(SLUICE_PG_DECODE_JSONB_CHECKED, &t_utf8, "\"\xff\"");
    same(SLUICE_PG_DECODE_BYTES, &t_bin, "\\x", "");
    same(SLUICE_PG_DECODE_BYTES, &t_bin, "\\x00ff7fAb", "00ff7fab");
    REFUSED(SLUICE_PG_DECODE_BYTES, &t_bin, "", "\\", "\\x0", "\\xzz", "abc", "\\000", "x00",
            "\\xg0", "\\x0`", "\\x0/", "\\x:0",
            "\\x\xff"
            "0");
    same(SLUICE_PG_DECODE_UUID, &t_uuid, "01234567-89ab-cdef-0123-456789ABCDEF",
         "0123456789abcdef0123456789abcdef");
    REFUSED(SLUICE_PG_DECODE_UUID, &t_uuid, "", "0123456789abcdef0123456789abcdef",
            "01234567-89ab-cdef-0123-456789abcde", "01234567-89ab-cdef-0123-456789abcdefa",
            "01234567-89ab-cdef-0123-456789abcdeg", "{1234567-89ab-cdef-0123-456789abcde}");
}

static void unknown_kinds(void **state)
{
    (void)state;
    struct pair p;
    pair_make(&p, SLUICE_PG_DECODE_TEXT, &t_utf8, 0);
    struct sluice_column *column = &p.rows.columns[0];
    for (int32_t kind = -1; kind < 64; kind++) {
        assert_int_equal(sluice_pg_text_decoder_init(&p.text, kind, column, "c", 0, NULL),
                         sluice_pg_decoder_init(&p.binary, kind, column, "c", 0, NULL));
    }
    pair_free(&p);
}

int pg_test_textdecode(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(booleans_and_integers),
                                       cmocka_unit_test(floats),
                                       cmocka_unit_test(random_floats),
                                       cmocka_unit_test(numerics),
                                       cmocka_unit_test(infinities_as_null),
                                       cmocka_unit_test(dates_and_times),
                                       cmocka_unit_test(timestamps),
                                       cmocka_unit_test(texts_and_bytes),
                                       cmocka_unit_test(unknown_kinds)};
    return cmocka_run_group_tests_name("textdecode", tests, NULL, NULL);
}
