/* Values under Debezium's encodings: each kind, each mode, what does not fit. */
#include "test_debezium.h"

#include <jansson.h>
#include <stdlib.h>

#include "sluice/position.h"

#define TS INT64_C(1795395154123456)

/* ---------------------------------------------------------------- support -------------------- */

void dbz_stream_init(struct dbz_stream *stream, const struct test_field *fields, int32_t before,
                     const char *keys)
{
    memset(stream, 0, sizeof *stream);
    test_schema(&stream->schema, fields);
    struct sluice_stream_desc *desc = &stream->desc;
    desc->struct_size = (uint32_t)sizeof *desc;
    desc->kind = SLUICE_STREAM_TABLE;
    desc->before = before;
    desc->stream_id = 7;
    desc->schema_id = 1;
    desc->name = "sch.tab";
    stream->parts[0] = "sch";
    stream->parts[1] = "tab \"x\"";
    desc->parts = stream->parts;
    desc->part_count = 2;
    for (; *keys != 0; keys++) {
        stream->keys[desc->key_count++] = (uint32_t)(*keys - '0');
    }
    desc->keys = stream->keys;
    stream->properties[0] = (struct sluice_pair){"source", "postgres"};
    stream->properties[1] = (struct sluice_pair){"database", "db"};
    desc->properties = stream->properties;
    desc->property_count = 2;
    desc->schema = &stream->schema;
}

void dbz_stream_free(struct dbz_stream *stream)
{
    sluice_schema_release(&stream->schema);
}

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

char *dbz_render(const struct dbz_stream *stream, const struct sluice_lake_change_options *options,
                 struct sluice_batch *batches, uint32_t count, int64_t *events,
                 sluice_status *status, struct sluice_error *err)
{
    const struct sluice_lake_change_shape *shape = &sluice_lake_change_debezium;
    struct text text = {calloc(1, 1), 0};
    struct sluice_lake_out out;
    void *enc = NULL;
    uint8_t load[8];
    const struct sluice_bytes position = {load, sizeof load};
    sluice_put_be64(load, 0x100);
    assert_int_equal(sluice_lake_out_init(&out, collect, &text, err), SLUICE_OK);
    out.err = err;
    *events = 0;
    *status = shape->create(&stream->desc, options, &enc, err);
    if (*status >= 0) {
        shape->load(enc, position, TS);
        shape->begin(enc, &out);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (*status >= 0) {
            *status = shape->bind(enc, &batches[i], err);
        }
        if (*status >= 0) {
            int64_t half = batches[i].array.length / 2;
            *events += shape->rows(enc, 0, half, &out);
            *events += shape->rows(enc, half, batches[i].array.length, &out);
            *status = out.status;
        }
        sluice_array_release(&batches[i].array);
    }
    sluice_lake_out_flush(&out, out.p);
    shape->free(enc);
    sluice_lake_out_free(&out);
    return text.data;
}

/* The value of a column, from its text: integers, floats, `\x…` for fixed binary, else as it is. */
static void put_value(struct sluice_column *col, const char *text, size_t size)
{
    uint8_t bytes[32] = {0};
    switch (col->type.id) {
    case SLUICE_TYPE_BOOL:
        sluice_column_put_bool(col, *text == 't');
        return;
    case SLUICE_TYPE_INT16:
        sluice_column_put_i16(col, (int16_t)strtol(text, NULL, 10));
        return;
    case SLUICE_TYPE_INT32:
    case SLUICE_TYPE_DATE32:
        sluice_column_put_i32(col, (int32_t)strtol(text, NULL, 10));
        return;
    case SLUICE_TYPE_FLOAT32:
        sluice_column_put_f32(col, strtof(text, NULL));
        return;
    case SLUICE_TYPE_FLOAT64:
        sluice_column_put_f64(col, strtod(text, NULL));
        return;
    case SLUICE_TYPE_DECIMAL128:
    case SLUICE_TYPE_DECIMAL256:
    case SLUICE_TYPE_FIXED_BINARY:
        if (text[0] != 'x') {
            int64_t v = strtoll(text, NULL, 10);
            memset(bytes, v < 0 ? 0xff : 0, sizeof bytes);
            memcpy(bytes, &v, sizeof v);
        }
        else {
            assert_int_equal(
                sluice_hex_decode(text + 1, size - 1, bytes, (uint64_t)col->type.width, NULL),
                SLUICE_OK);
        }
        sluice_column_put_fixed(col, bytes);
        return;
    case SLUICE_TYPE_UTF8:
    case SLUICE_TYPE_BINARY:
        assert_int_equal(sluice_column_put_bytes(col, text, size, NULL), SLUICE_OK);
        return;
    default:
        sluice_column_put_i64(col, strtoll(text, NULL, 10));
        return;
    }
}

static const char head[] = "{\"before\":null,\"after\":{\"v\":";

/* JSON of one value; NULL after an error. `field` has the format and metadata. */
static char *encode_sized(const struct sluice_lake_change_options *options,
                          const struct test_field *field, const char *text, size_t size,
                          struct sluice_error *err)
{
    const struct test_field fields[] = {*field, {NULL, NULL, {NULL}}};
    struct dbz_stream stream;
    struct sluice_batch batch = {.struct_size = (uint32_t)sizeof batch, .kind = SLUICE_BATCH_ROWS};
    struct sluice_rows rows;
    int64_t events = 0;
    sluice_status st = SLUICE_OK;
    dbz_stream_init(&stream, fields, SLUICE_BEFORE_NONE, "");
    assert_int_equal(sluice_rows_init(&rows, &stream.schema, 1, NULL), SLUICE_OK);
    put_value(&rows.columns[0], text, size);
    sluice_rows_end_row(&rows);
    assert_int_equal(sluice_rows_finish(&rows, &batch.array, NULL), SLUICE_OK);
    sluice_rows_free(&rows);
    char *json = dbz_render(&stream, options, &batch, 1, &events, &st, err);
    dbz_stream_free(&stream);
    if (st < 0) {
        free(json);
        return NULL;
    }
    char *end = strstr(json, "},\"source\":");
    assert_non_null(end);
    assert_memory_equal(json, head, sizeof head - 1);
    size_t n = (size_t)(end - json) - (sizeof head - 1);
    memmove(json, json + sizeof head - 1, n);
    json[n] = 0;
    return json;
}

static void expect(const struct sluice_lake_change_options *options, const char *format,
                   const char *native, const char *cls, const char *text, const char *want)
{
    struct test_field field = {"v", format, {"sluice:native_type", native, NULL}};
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (cls != NULL) {
        field.metadata[2] = cls[0] == '!'   ? "ARROW:extension:name"
                            : cls[0] == '*' ? "sluice:special"
                                            : "sluice:text";
        field.metadata[3] = cls[0] == '!' || cls[0] == '*' ? cls + 1 : cls;
    }
    char *json = encode_sized(options, &field, text, strlen(text), &err);
    if (json == NULL) {
        if (want != NULL) {
            fail_msg("%s %s: %s", native, text, err.message);
        }
        assert_non_null(strstr(err.message, "column \"v\""));
        return;
    }
    if (want == NULL) {
        fail_msg("%s %s became %s", native, text, json);
    }
    if (strcmp(json, want) != 0) {
        fail_msg("%s %s became %s, not %s", native, text, json, want);
    }
    free(json);
}

static const struct sluice_lake_change_options plain = {.shape = SLUICE_LAKE_CHANGES_DEBEZIUM};

/* ---------------------------------------------------------------- numbers -------------------- */

static void integers(void **state)
{
    (void)state;
    expect(&plain, "b", "boolean", NULL, "t", "true");
    expect(&plain, "b", "boolean", NULL, "f", "false");
    expect(&plain, "s", "smallint", NULL, "-32768", "-32768");
    expect(&plain, "i", "integer", NULL, "2147483647", "2147483647");
    expect(&plain, "l", "bigint", NULL, "9007199254740993", "9007199254740993");
    expect(&plain, "u", "oid", NULL, "4000000000", "4000000000");
}

static void floats(void **state)
{
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {{"1.5", "1.5"},
                 {"0", "0.0"},
                 {"-0.0", "-0.0"},
                 {"1", "1.0"},
                 {"1e300", "1.0E300"},
                 {"-2.5e-10", "-2.5E-10"},
                 {"0.001", "0.001"},
                 {"0.00099", "9.9E-4"},
                 {"9999999", "9999999.0"},
                 {"10000000", "1.0E7"},
                 {"12345678.5", "1.23456785E7"},
                 {"123456.789", "123456.789"},
                 {"0.1", "0.1"},
                 {"1.7976931348623157e308", "1.7976931348623157E308"},
                 {"nan", "\"NaN\""},
                 {"inf", "\"Infinity\""},
                 {"-inf", "\"-Infinity\""}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect(&plain, "g", "double precision", NULL, cases[i].text, cases[i].want);
    }
    expect(&plain, "f", "real", NULL, "-1.5", "-1.5");
    expect(&plain, "f", "real", NULL, "0.1", "0.1");
    expect(&plain, "f", "real", NULL, "3.4028235e38", "3.4028235E38");
    expect(&plain, "f", "real", NULL, "16777216", "1.6777216E7");
}

static void decimals_precise(void **state)
{
    (void)state;
    expect(&plain, "d:10,2", "numeric(10,2)", NULL, "1234", "\"BNI=\"");
    expect(&plain, "d:10,2", "numeric(10,2)", NULL, "5", "\"BQ==\"");
    expect(&plain, "d:10,2", "numeric(10,2)", NULL, "0", "\"AA==\"");
    expect(&plain, "d:10,2", "numeric(10,2)", NULL, "-9999999999", "\"/av0HAE=\"");
    expect(&plain, "d:10,2", "numeric(10,2)", NULL, "127", "\"fw==\"");
    expect(&plain, "d:10,2", "numeric(10,2)", NULL, "128", "\"AIA=\"");
    expect(&plain, "d:10,2", "numeric(10,2)", NULL, "-128", "\"gA==\"");
    expect(&plain, "d:10,2", "numeric(10,2)", NULL, "-129", "\"/38=\"");
    expect(&plain, "d:38,0", "numeric(38,0)", NULL, "xffffffff3f228a097ac4865aa84c3b4b",
           "\"SztMqFqGxHoJiiI//////w==\"");
    expect(&plain, "d:38,0", "numeric(38,0)", NULL, "x01000000c0dd75f6853b79a557b3c4b4",
           "\"tMSzV6V5O4X2dd3AAAAAAQ==\"");
    expect(&plain, "d:76,10,256", "numeric(76,10)", NULL, "-1", "\"/w==\"");
    expect(&plain, "d:10,2", "numeric(10,2)", "*1", "x00000000000000000000000000000080", NULL);
    /* as text: wider than Arrow's decimals, or as on_unrepresentable wants it */
    expect(&plain, "u", "numeric(100,2)", "n", "12.34", "\"BNI=\"");
    expect(&plain, "u", "numeric(100,2)", "n", "12", "\"BLA=\"");
    expect(&plain, "u", "numeric(100,2)", "n", "NaN", NULL);
    expect(&plain, "u", "numeric(100,2)", "n", "1.234", NULL);
}

static void decimals_variable(void **state)
{
    (void)state;
    expect(&plain, "u", "numeric", "n", "123.456789", "{\"scale\":6,\"value\":\"B1vNFQ==\"}");
    expect(&plain, "u", "numeric", "n", "10000000000", "{\"scale\":0,\"value\":\"AlQL5AA=\"}");
    expect(&plain, "u", "numeric", "n", "1.500", "{\"scale\":1,\"value\":\"Dw==\"}");
    expect(&plain, "u", "numeric", "n", "0.000", "{\"scale\":0,\"value\":\"AA==\"}");
    expect(&plain, "u", "numeric", "n", "-0.01", "{\"scale\":2,\"value\":\"/w==\"}");
    expect(&plain, "u", "numeric", "n", "99999999999999999999999999999999999999",
           "{\"scale\":0,\"value\":\"SztMqFqGxHoJiiI//////w==\"}");
    expect(&plain, "u", "numeric", "n", "-99999999999999999999999999999999999999",
           "{\"scale\":0,\"value\":\"tMSzV6V5O4X2dd3AAAAAAQ==\"}");
    expect(&plain, "u", "numeric", "n",
           "1000000000000000000000000000000000000000000000000000000000000",
           "{\"scale\":0,\"value\":\"AJ9PJyYXmiJFAddiQiyUZZDZEAAAAAAAAAA=\"}");
    expect(&plain, "u", "numeric", "n",
           "-100000000000000000000000000000000000000000000000000000000000.0",
           "{\"scale\":0,\"value\":\"8BGvSP2jyV9/0NyS+4rCpLcYAAAAAAAAAA==\"}");
    expect(&plain, "u", "numeric", "n",
           "-1000000000000000000000000000000000000000000000000000000000000",
           "{\"scale\":0,\"value\":\"/2Cw2NnoZd26/iidvdNrmm8m8AAAAAAAAAA=\"}");
    expect(&plain, "u", "numeric", "n", "999999999999999999999999999999999999999999999999.991",
           "{\"scale\":3,\"value\":\"Aqw6Ttu/uAFOO6g0EekV5///////9w==\"}");
    expect(&plain, "u", "numeric", "n", "Infinity", NULL);
    expect(&plain, "u", "numeric", "n", "12x", NULL);
    expect(&plain, "u", "numeric", "n", "", NULL);
    /* a domain over numeric */
    expect(&plain, "u", "public.amount", "n", "1.5", "{\"scale\":1,\"value\":\"Dw==\"}");
}

static void decimals_other(void **state)
{
    static const struct sluice_lake_change_options string = {
        .shape = 1, .decimal_handling_mode = SLUICE_LAKE_DECIMAL_STRING};
    static const struct sluice_lake_change_options dbl = {
        .shape = 1, .decimal_handling_mode = SLUICE_LAKE_DECIMAL_DOUBLE};
    const char *nan = "x00000000000000000000000000000080";
    (void)state;
    expect(&string, "d:10,2", "numeric(10,2)", NULL, "5", "\"0.05\"");
    expect(&string, "d:10,2", "numeric(10,2)", NULL, "-9999999999", "\"-99999999.99\"");
    expect(&string, "d:10,2", "numeric(10,2)", "*1", nan, "\"NAN\"");
    expect(&string, "u", "numeric", "n", "123.450", "\"123.450\"");
    expect(&string, "u", "numeric", "n", "NaN", "\"NAN\"");
    expect(&string, "u", "numeric", "n", "-Infinity", "\"NEGATIVE_INFINITY\"");
    expect(&string, "u", "numeric", "n", "Infinity", "\"POSITIVE_INFINITY\"");
    expect(&dbl, "d:10,2", "numeric(10,2)", NULL, "1234", "12.34");
    expect(&dbl, "d:10,2", "numeric(10,2)", NULL, "-9999999999", "-9.999999999E7");
    expect(&dbl, "d:10,2", "numeric(10,2)", "*1", nan, "\"NaN\"");
    expect(&dbl, "d:18,18", "numeric(18,18)", NULL, "9007199254740993", "0.009007199254740993");
    expect(&dbl, "d:30,22", "numeric(30,22)", NULL, "-1", "-1.0E-22");
    expect(&dbl, "d:30,23", "numeric(30,23)", NULL, "9", "9.0E-23");
    expect(&dbl, "d:38,0", "numeric(38,0)", NULL, "xffffffff3f228a097ac4865aa84c3b4b", "1.0E38");
    expect(&dbl, "u", "numeric", "n", "123456789012345678901234567890.5", "1.2345678901234568E29");
    expect(&dbl, "u", "numeric", "n", "0.1", "0.1");
    expect(&dbl, "u", "numeric", "n", "-Infinity", "\"-Infinity\"");
    expect(&plain, "u", "money", NULL, "$12.50", "\"BOI=\"");
    expect(&plain, "u", "money", NULL, "-$1,234.50", "\"/h3G\"");
    expect(&plain, "u", "money", NULL, "$0.00", "\"AA==\"");
    expect(&string, "u", "money", NULL, "$12.50", "\"12.50\"");
    expect(&string, "u", "money", NULL, "-$92,233,720,368,547,758.08", "\"-92233720368547758.08\"");
    expect(&string, "u", "money", NULL, "($1.00)", "\"-1.00\"");
    expect(&dbl, "u", "money", NULL, "$12.50", "12.5");
    expect(&plain, "u", "money", NULL, "none", NULL);
}

/* ---------------------------------------------------------------- times ---------------------- */

#define MODES 6
/* In the order of the modes: adaptive, adaptive µs, connect, ISO, µs, ns. */
static void expect_modes(const char *format, const char *native, const char *cls, const char *text,
                         const char *const want[MODES])
{
    for (int32_t mode = 0; mode < MODES; mode++) {
        const struct sluice_lake_change_options options = {.shape = 1, .time_precision_mode = mode};
        expect(&options, format, native, cls, text, want[mode]);
    }
}

static void dates(void **state)
{
    (void)state;
#define SAME(v, iso) ((const char *const[MODES]){v, v, v, iso, v, v})
    expect_modes("tdD", "date", NULL, "19782", SAME("19782", "\"2024-02-29Z\""));
    expect_modes("tdD", "date", NULL, "-1", SAME("-1", "\"1969-12-31Z\""));
    expect_modes("tdD", "date", NULL, "2147483647", SAME("-2147472692", "\"-5877611-06-21Z\""));
    expect_modes("u", "date", "d", "-infinity", SAME("-2147472691", "\"-5877611-06-22Z\""));
    expect_modes("u", "date", "d", "0044-03-15 BC", SAME("-735160", "\"-0043-03-15Z\""));
    expect_modes("u", "date", "d", "10000-01-01", SAME("2932897", "\"+10000-01-01Z\""));
    expect_modes("u", "date", "d", "2024-02-29", SAME("19782", "\"2024-02-29Z\""));
    expect(&plain, "u", "date", "d", "2024-13-01", NULL);
    expect(&plain, "u", "date", "d", "soon", NULL);
}

static void times(void **state)
{
    static const char *const six[MODES] = {"47655123456",          "47655123456", "47655123",
                                           "\"13:14:15.123456Z\"", "47655123456", "47655123456000"};
    static const char *const three[MODES] = {"47655120",         "47655120000", "47655120",
                                             "\"13:14:15.12Z\"", "47655120000", "47655120000000"};
    static const char *const day[MODES] = {"86400000",      "86400000000", "86400000",
                                           "\"00:00:00Z\"", "86400000000", "86400000000000"};
    (void)state;
    expect_modes("ttu", "time without time zone", NULL, "47655123456", six);
    expect_modes("ttu", "time(4) without time zone", NULL, "47655123456", six);
    expect_modes("ttu", "time(3) without time zone", NULL, "47655120000", three);
    expect_modes("ttu", "time(0) without time zone", NULL, "86400000000", day);
    expect(&plain, "ttu", "time without time zone", NULL, "-1", NULL);
    expect(&plain, "ttu", "time without time zone", NULL, "86400000001", NULL);
    expect(&plain, "u", "time with time zone", NULL, "13:14:15.123456+02", "\"11:14:15.123456Z\"");
    expect(&plain, "u", "time with time zone", NULL, "00:00:00+00", "\"00:00:00Z\"");
    expect(&plain, "u", "time(1) with time zone", NULL, "01:00:00.5+05:30:15", "\"19:29:45.5Z\"");
    expect(&plain, "u", "time with time zone", NULL, "23:00:00-02", "\"01:00:00Z\"");
    expect(&plain, "u", "time with time zone", NULL, "24:00:00+00", "\"24:00:00Z\"");
    expect(&plain, "u", "time with time zone", NULL, "24:00:00+02", "\"22:00:00Z\"");
    expect(&plain, "u", "time with time zone", NULL, "25:00:00+02", NULL);
}

static void timestamps(void **state)
{
    static const char *const six[MODES] = {"1709212455123456", "1709212455123456",
                                           "1709212455123",    "\"2024-02-29T13:14:15.123456Z\"",
                                           "1709212455123456", "1709212455123456000"};
    static const char *const three[MODES] = {"1709212455123",    "1709212455123",
                                             "1709212455123",    "\"2024-02-29T13:14:15.123Z\"",
                                             "1709212455123000", "1709212455123000000"};
    static const char *const before[MODES] = {"-1", "-1",   "-1", "\"1969-12-31T23:59:59.999999Z\"",
                                              "-1", "-1000"};
    static const char *const plus[MODES] = {"9223372036825200000", "9223372036825200000",
                                            "9223372036825200000", "\"+294247-01-10T04:00:25.2Z\"",
                                            "9223372036825200000", "9223372036854775807"};
    static const char *const minus[MODES] = {
        "-9223372036832400000",          "-9223372036832400000", "-9223372036832400000",
        "\"-290308-12-21T19:59:27.6Z\"", "-9223372036832400000", "-9223372036854775808"};
    static const char *const far[MODES] = {"-210895056000000000", "-210895056000000000",
                                           "-210895056000000",    "\"-4713-01-01T00:00:00Z\"",
                                           "-210895056000000000", NULL};
    const char *name = "timestamp without time zone";
    const char *milli = "timestamp(3) without time zone";
    (void)state;
    expect_modes("tsu:", name, "*1", "1709212455123456", six);
    expect_modes("tsu:", milli, "*1", "1709212455123000", three);
    expect_modes("tsu:", name, "*1", "-1", before);
    expect_modes("tsu:", name, "*1", "9223372036854775807", plus);
    expect_modes("tsu:", milli, "*1", "-9223372036854775808", minus);
    expect_modes("u", name, "t", "4714-01-01 00:00:00 BC", far);
    expect_modes("u", name, "t", "2024-02-29 13:14:15.123456", six);
    expect_modes("u", milli, "t", "infinity", plus);
    expect(&plain, "u", name, "t", "294276-12-31 00:00:00", NULL);
}

static void timestamps_with_zone(void **state)
{
    const char *name = "timestamp with time zone";
    (void)state;
    expect_modes("tsu:UTC", name, "*1", "1709205255123456",
                 SAME("\"2024-02-29T11:14:15.123456Z\"", "\"2024-02-29T11:14:15.123456Z\""));
    expect(&plain, "tsu:UTC", name, "*1", "1717200000000000", "\"2024-06-01T00:00:00.000000Z\"");
    expect(&plain, "tsu:UTC", "timestamp(3) with time zone", "*1", "1717200000000000",
           "\"2024-06-01T00:00:00.000Z\"");
    expect(&plain, "tsu:UTC", "timestamp(0) with time zone", "*1", "1717200000000000",
           "\"2024-06-01T00:00:00Z\"");
    expect(&plain, "tsu:UTC", name, "*1", "9223372036854775807", "\"infinity\"");
    expect(&plain, "tsu:UTC", name, "*1", "-9223372036854775808", "\"-infinity\"");
    expect(&plain, "u", name, "z", "21016-11-04 06:51:30+00", "\"+21016-11-04T06:51:30.000000Z\"");
    expect(&plain, "u", name, "z", "0001-12-31 23:00:00.5+00 BC",
           "\"0000-12-31T23:00:00.500000Z\"");
}

static void intervals(void **state)
{
    static const struct sluice_lake_change_options string = {
        .shape = 1, .interval_handling_mode = SLUICE_LAKE_INTERVAL_STRING};
    static const struct {
        const char *text;
        const char *numeric;
        const char *string;
    } cases[] = {
        {"1 year 2 mons 3 days 04:05:06", "37091106000000", "\"P1Y2M3DT4H5M6S\""},
        {"-3 days", "-259200000000", "\"P0Y0M-3DT0H0M0S\""},
        {"00:00:00", "0", "\"P0Y0M0DT0H0M0S\""},
        {"-1 years -2 mons +3 days -04:05:06.789", "-36572706789000",
         "\"P-1Y-2M3DT-4H-5M-6.789S\""},
        {"-00:00:00.5", "-500000", "\"P0Y0M0DT0H0M-0.5S\""},
        {"1 day 00:00:00.000001", "86400000001", "\"P0Y0M1DT0H0M0.000001S\""},
        {"178000000 years", "5617252800000000000000", NULL},
        {"1000:00:01", "3600001000000", "\"P0Y0M0DT1000H0M1S\""},
        {"infinity", "9223372036854775807", "\"infinity\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *numeric = cases[i].numeric;
        if (strlen(numeric) > 20) {
            numeric = "9223372036854775807"; /* as Java casts it */
        }
        expect(&plain, "u", "interval", NULL, cases[i].text, numeric);
        if (cases[i].string != NULL) {
            expect(&string, "u", "interval day to second(3)", NULL, cases[i].text, cases[i].string);
        }
    }
    expect(&plain, "u", "interval(0)", NULL, "1 fortnight", NULL);
    expect(&plain, "u", "interval", NULL, "", NULL);
    expect(&plain, "u", "interval", NULL, "1 day ", NULL);
}

/* ---------------------------------------------------------------- texts ---------------------- */

static void strings(void **state)
{
    (void)state;
    expect(&plain, "u", "text", NULL, "a\"b\\c\n\x01é", "\"a\\\"b\\\\c\\n\\u0001é\"");
    expect(&plain, "u", "character(4)", NULL, "ab  ", "\"ab  \"");
    expect(&plain, "u", "jsonb", "!arrow.json", "{\"k\": 1}", "\"{\\\"k\\\": 1}\"");
    expect(&plain, "u", "inet", NULL, "10.0.0.1/24", "\"10.0.0.1/24\"");
    expect(&plain, "u", "public.mood", NULL, "ok", "\"ok\"");
    expect(&plain, "u", "public.money", NULL, "ok", "\"ok\"");
    expect(&plain, "u", "int4range", NULL, "[1,5)", "\"[1,5)\"");
    expect(&plain, "u", "xml", NULL, "<a>1</a>", "\"<a>1</a>\"");
    expect(&plain, "u", "public.pair", "{\"a\":n,\"b\":s}", "(1,x)", "\"(1,x)\"");
    expect(&plain, "w:16", "uuid", "!arrow.uuid", "x6f1b2c3d0000400080000123456789ab",
           "\"6f1b2c3d-0000-4000-8000-0123456789ab\"");
}

static void long_strings(void **state)
{
    const struct test_field field = {"v", "u", {"sluice:native_type", "text", NULL}};
    struct sluice_error err = SLUICE_ERROR_INIT;
    size_t n = 300000;
    char *text = malloc(n + 1);
    (void)state;
    assert_non_null(text);
    memset(text, 'x', n);
    text[n] = 0;
    char *json = encode_sized(&plain, &field, text, n, &err);
    assert_non_null(json);
    assert_int_equal(strlen(json), n + 2);
    free(json);
    free(text);
}

static void bytes(void **state)
{
    static const struct sluice_lake_change_options url = {
        .shape = 1, .binary_handling_mode = SLUICE_LAKE_BYTES_BASE64_URL};
    static const struct sluice_lake_change_options hex = {
        .shape = 1, .binary_handling_mode = SLUICE_LAKE_BYTES_HEX};
    (void)state;
    expect(&plain, "z", "bytea", NULL, "\xde\xad\xbe\xef", "\"3q2+7w==\"");
    expect(&url, "z", "bytea", NULL, "\xfb\xff\xfe", "\"-__-\"");
    expect(&url, "z", "bytea", NULL, "\xde\xad\xbe\xef", "\"3q2-7w==\"");
    expect(&hex, "z", "bytea", NULL, "\xde\xad\xbe\xef", "\"deadbeef\"");
    expect(&plain, "z", "bytea", NULL, "", "\"\"");
    expect(&plain, "u", "bytea[]", "[x,]", "{\"\\\\xdeadbeef\",NULL,\"\\\\x\"}",
           "[\"3q2+7w==\",null,\"\"]");
    expect(&hex, "u", "bytea[]", "[x,]", "{\"\\\\xDEAD\"}", "[\"dead\"]");
    expect(&plain, "u", "bytea[]", "[x,]", "{\"\\\\xd\"}", NULL);
    expect(&plain, "u", "bit(8)", NULL, "10101010", "\"qg==\"");
    expect(&plain, "u", "bit(8)", NULL, "00000000", "\"\"");
    expect(&plain, "u", "bit varying", NULL, "100000001", "\"AQE=\"");
    expect(&plain, "u", "bit varying(33)", NULL, "101", "\"BQ==\"");
    expect(&plain, "u", "bit(1)", NULL, "1", "true");
    expect(&plain, "u", "bit varying(1)", NULL, "0", "false");
    expect(&plain, "u", "bit(8)", NULL, "1010101x", NULL);
}

static void hstore(void **state)
{
    static const struct sluice_lake_change_options map = {
        .shape = 1, .hstore_handling_mode = SLUICE_LAKE_HSTORE_MAP};
    const char *text = "\"a\"=>\"1\", \"b\"=>NULL, \"c \\\"d\\\\\"=>\"é\"";
    (void)state;
    expect(&plain, "u", "public.hstore", NULL, text,
           "\"{\\\"a\\\":\\\"1\\\",\\\"b\\\":null,\\\"c \\\\\\\"d\\\\\\\\\\\":\\\"é\\\"}\"");
    expect(&map, "u", "hstore", NULL, text, "{\"a\":\"1\",\"b\":null,\"c \\\"d\\\\\":\"é\"}");
    expect(&plain, "u", "hstore", NULL, "", "\"{}\"");
    expect(&map, "u", "hstore", NULL, "", "{}");
    expect(&map, "u", "hstore[]", "[s,]", "{\"\\\"a\\\"=>\\\"1\\\"\"}", "[{\"a\":\"1\"}]");
    expect(&plain, "u", "app.hstore", NULL, "an enum", "\"an enum\"");
    expect(&map, "u", "app.hstore", NULL, "\"a\"=>\"1\", ", "\"\\\"a\\\"=>\\\"1\\\", \"");
}

static void arrays(void **state)
{
    static const struct sluice_lake_change_options string = {
        .shape = 1, .decimal_handling_mode = SLUICE_LAKE_DECIMAL_STRING};
    (void)state;
    expect(&plain, "u", "text[]", "[s,]", "{a,\"b c\",NULL}", "[\"a\",\"b c\",null]");
    expect(&plain, "u", "text[]", "[s,]", "{\"x,y\",\"q\\\"z\",\"NULL\"}",
           "[\"x,y\",\"q\\\"z\",\"NULL\"]");
    expect(&plain, "u", "integer[]", "[n,]", "{1,2,NULL}", "[1,2,null]");
    expect(&plain, "u", "integer[]", "[n,]", "{}", "[]");
    expect(&plain, "u", "integer[]", "[n,]", "[2:3][1:2]={{1,2},{3,4}}", "[[1,2],[3,4]]");
    expect(&plain, "u", "numeric(8,2)[]", "[n,]", "{1.10,2.20}", "[\"bg==\",\"ANw=\"]");
    expect(&string, "u", "numeric(8,2)[]", "[n,]", "{1.10,2.20}", "[\"1.10\",\"2.20\"]");
    expect(&plain, "u", "numeric[]", "[n,]", "{1.5}", "[{\"scale\":1,\"value\":\"Dw==\"}]");
    expect(&plain, "u", "double precision[]", "[n,]", "{1,1e+300,NaN}", "[1.0,1.0E300,\"NaN\"]");
    expect(&plain, "u", "boolean[]", "[b,]", "{t,f,NULL}", "[true,false,null]");
    expect(&plain, "u", "date[]", "[d,]", "{2024-02-29}", "[19782]");
    expect(&plain, "u", "timestamp(3) without time zone[]", "[t,]", "{\"2024-02-29 13:14:15.123\"}",
           "[1709212455123]");
    expect(&plain, "u", "timestamp with time zone[]", "[z,]", "{\"2024-06-01 00:00:00+00\"}",
           "[\"2024-06-01T00:00:00.000000Z\"]");
    expect(&plain, "u", "time with time zone[]", "[s,]", "{13:00:00+02}", "[\"11:00:00Z\"]");
    expect(&plain, "u", "jsonb[]", "[j,]", "{\"{\\\"a\\\": 1}\"}", "[\"{\\\"a\\\": 1}\"]");
    expect(&plain, "u", "oid[]", "[s,]", "{26}", "[26]");
    expect(
        &plain, "u", "box[]", "[s;]", "{(2,2),(1,1);(2,2),(1,1)}",
        "[{\"wkb\":\"AQMAAAABAAAABQAAAAAAAAAAAABAAAAAAAAAAEAAAAAAAAAAQAAAAAAAAPA/"
        "AAAAAAAA8D8AAAAAAADw"
        "PwAAAAAAAPA/AAAAAAAAAEAAAAAAAAAAQAAAAAAAAABA\",\"srid\":null,\"extensions\":{\"type\":"
        "\"box\"}},{\"wkb\":\"AQMAAAABAAAABQAAAAAAAAAAAABAAAAAAAAAAEAAAAAAAAAAQAAAAAAAAPA/AAAAAAAA8"
        "D8AAAAAAADwPwAAAAAAAPA/AAAAAAAAAEAAAAAAAAAAQAAAAAAAAABA\",\"srid\":null,\"extensions\":{"
        "\"type\":\"box\"}}]");
    expect(&plain, "u", "int2vector", "[n ]", "1 2 3", "[1,2,3]");
    expect(&plain, "u", "oidvector", "[s ]", "", "[]");
    expect(&plain, "u", "public.small[]", "[n,]", "{1,2.5,1e+20,NaN}", "[1,2.5,1.0E20,\"NaN\"]");
    static const char *const broken[] = {"{1,}",  "{,1}", "{1",   "1}",    "{1}}", "{{1}",
                                         "{\"1}", "",     "{1}x", "[2:3]", "{a{b}"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        expect(&plain, "u", "text[]", "[s,]", broken[i], NULL);
    }
}

static void shapes(void **state)
{
    (void)state;
    expect(&plain, "u", "point", NULL, "(1,2)",
           "{\"x\":1.0,\"y\":2.0,\"wkb\":\"AQEAAAAAAAAAAADwPwAAAAAAAABA\",\"srid\":null}");
    expect(&plain, "u", "point", NULL, "(-1.5,1e+20)",
           "{\"x\":-1.5,\"y\":1.0E20,\"wkb\":\"AQEAAAAAAAAAAAD4v0CMtXgdrxVE\",\"srid\":null}");
    expect(&plain, "u", "lseg", NULL, "[(0,0),(1,1)]",
           "{\"wkb\":\"AQIAAAACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAPA/AAAAAAAA8D8=\",\"srid\":null,"
           "\"extensions\":{\"type\":\"lseg\"}}");
    expect(
        &plain, "u", "path", NULL, "((0,0),(1,1),(2,0))",
        "{\"wkb\":\"AQIAAAADAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAPA/AAAAAAAA8D8AAAAAAAAAQAAAAAAAAAAA\","
        "\"srid\":null,\"extensions\":{\"type\":\"path\",\"closed\":\"true\"}}");
    expect(
        &plain, "u", "path", NULL, "[(0,0),(1,1),(2,0)]",
        "{\"wkb\":\"AQIAAAADAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAPA/AAAAAAAA8D8AAAAAAAAAQAAAAAAAAAAA\","
        "\"srid\":null,\"extensions\":{\"type\":\"path\",\"closed\":\"false\"}}");
    expect(&plain, "u", "polygon", NULL, "((0,0),(1,0),(0,1))",
           "{\"wkb\":\"AQMAAAABAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADwPwAA"
           "AAAAAAAAAAAAAAAAAAAAAAAAAADwPwAAAAAAAAAAAAAAAAAAAAA=\",\"srid\":null,\"extensions\":{"
           "\"type\":\"polygon\"}}");
    expect(
        &plain, "u", "circle", NULL, "<(1,2),3>",
        "{\"center\":{\"x\":1.0,\"y\":2.0,\"wkb\":\"AQEAAAAAAAAAAADwPwAAAAAAAABA\",\"srid\":null},"
        "\"radius\":3.0}");
    expect(&plain, "u", "line", NULL, "{1,-1,0}", "{\"a\":1.0,\"b\":-1.0,\"c\":0.0}");
    expect(&plain, "u", "public.geometry(Point,4326)", NULL,
           "0101000020E6100000000000000000F03F0000000000000040",
           "{\"wkb\":\"AQEAACDmEAAAAAAAAAAA8D8AAAAAAAAAQA==\",\"srid\":4326,\"extensions\":null}");
    expect(&plain, "u", "public.geography", NULL, "0101000000000000000000F03F0000000000000040",
           "{\"wkb\":\"AQEAAAAAAAAAAADwPwAAAAAAAABA\",\"srid\":null}");
    expect(&plain, "u", "public.vector(3)", NULL, "[1,2.5,-3]", "[1.0,2.5,-3.0]");
    expect(&plain, "u", "halfvec", NULL, "[1]", "[1.0]");
    expect(&plain, "u", "public.sparsevec(5)", NULL, "{1:1.5,3:2}/5",
           "{\"dimensions\":5,\"vector\":[[1,1.5],[3,2.0]]}");
    expect(&plain, "u", "public.sparsevec(5)", NULL, "{}/5", "{\"dimensions\":5,\"vector\":[]}");
    expect(&plain, "u", "app.vector", NULL, "an enum", "\"an enum\"");
    expect(&plain, "u", "point", NULL, "(1,)", "\"(1,)\"");
}

/* ---------------------------------------------------------------- columns -------------------- */

static void refused(void **state)
{
    const struct sluice_lake_change_options csv = {.shape = 1, .format = SLUICE_LAKE_CSV};
    static char name[SLUICE_LAKE_NAME_MAX + 2];
    memset(name, 'v', sizeof name - 1);
    const struct test_field fields[] = {{name, "i", {NULL}}, {NULL, NULL, {NULL}}};
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct dbz_stream stream;
    void *enc = NULL;
    (void)state;
    dbz_stream_init(&stream, fields, SLUICE_BEFORE_NONE, "");
    assert_int_equal(sluice_lake_change_debezium.create(&stream.desc, &csv, &enc, &err),
                     SLUICE_E_INVALID);
    assert_int_equal(sluice_lake_change_debezium.create(&stream.desc, &plain, &enc, &err),
                     SLUICE_E_LIMIT);
    assert_non_null(strstr(err.message, "column \"vvv"));
    dbz_stream_free(&stream);
}

/* Texts near and far from the types' own, in every mode: an error, or one whole JSON line. */
static void hostile_texts(void **state)
{
    static const struct {
        const char *native;
        const char *cls;
        const char *text;
    } seeds[] = {{"numeric", "n", "-123456789012345678901234567890.50"},
                 {"numeric(70,3)", "n", "1.500"},
                 {"money", NULL, "-$1,234.50"},
                 {"date", "d", "0044-03-15 BC"},
                 {"timestamp without time zone", "t", "2024-02-29 13:14:15.123456 BC"},
                 {"timestamp with time zone", "z", "2024-02-29 13:14:15.1+05:30"},
                 {"time without time zone", "s", "24:00:00"},
                 {"time with time zone", NULL, "13:14:15.123456+02:30:15"},
                 {"interval", NULL, "-1 years -2 mons +3 days -04:05:06.789"},
                 {"bit varying", NULL, "100000001"},
                 {"hstore", NULL, "\"a\"=>\"1\", \"b\\\"\"=>NULL"},
                 {"hstore[]", "[s,]", "{\"\\\"a\\\"=>\\\"1\\\"\",NULL}"},
                 {"bytea[]", "[x,]", "{\"\\\\xdeadbeef\",NULL}"},
                 {"numeric[]", "[n,]", "[2:3][1:2]={{1.50,NULL},{3,4}}"},
                 {"public.thing[]", "[n,]", "{1,2.5,1e+20,NaN}"},
                 {"text[]", "[s,]", "{a,\"b c\",NULL,{x}}"},
                 {"box[]", "[s;]", "{(2,2),(1,1);(2,2),(1,1)}"},
                 {"int2vector", "[n ]", "1 2 3"},
                 {"point", NULL, "(1,-2.5e+20)"},
                 {"polygon", NULL, "((0,0),(1,0),(0,1))"},
                 {"path", NULL, "[(0,0),(1,1)]"},
                 {"circle", NULL, "<(1,2),3>"},
                 {"geometry", NULL, "0101000020E6100000000000000000F03F0000000000000040"},
                 {"vector", NULL, "[1,2.5,-3]"},
                 {"sparsevec", NULL, "{1:1.5,3:2}/5"}};
    static const char odd[] = "{}[]()<>,;:\"\\ .-+0123456789eEnNaftBC=$xX/\n\x01";
    uint64_t random = 20261126;
    (void)state;
    for (uint32_t i = 0; i < 40u * sizeof seeds / sizeof seeds[0]; i++) {
        uint32_t k = i / 40u;
        struct test_field field = {"v", "u", {"sluice:native_type", seeds[k].native, NULL}};
        struct sluice_lake_change_options options = {.shape = 1};
        struct sluice_error err = SLUICE_ERROR_INIT;
        char text[128];
        size_t n = strlen(seeds[k].text);
        memcpy(text, seeds[k].text, n);
        field.metadata[2] = seeds[k].cls != NULL ? "sluice:text" : NULL;
        field.metadata[3] = seeds[k].cls;
        for (uint32_t changes = i % 4u; changes > 0; changes--) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            text[(random >> 33) % n] = odd[(random >> 20) % (sizeof odd - 1)];
            n = (random >> 60) == 0 ? (random >> 40) % n : n;
            n = n == 0 ? 1 : n;
        }
        options.decimal_handling_mode = (int32_t)(i % 3u);
        options.time_precision_mode = (int32_t)(i % 6u);
        options.binary_handling_mode = (int32_t)(i / 2u % 3u);
        options.interval_handling_mode = (int32_t)(i / 3u % 2u);
        options.hstore_handling_mode = (int32_t)(i / 5u % 2u);
        char *json = encode_sized(&options, &field, text, n, &err);
        if (json == NULL) {
            assert_non_null(strstr(err.message, "column \"v\""));
            continue;
        }
        json_error_t error;
        json_t *value = json_loads(json, JSON_DECODE_ANY, &error);
        if (value == NULL && json_error_code(&error) != json_error_numeric_overflow) {
            fail_msg("%s: %.*s became %s", seeds[k].native, (int)n, text, json);
        }
        json_decref(value);
        free(json);
    }
}

int run_debezium_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(floats),
        cmocka_unit_test(decimals_precise),
        cmocka_unit_test(decimals_variable),
        cmocka_unit_test(decimals_other),
        cmocka_unit_test(dates),
        cmocka_unit_test(times),
        cmocka_unit_test(timestamps),
        cmocka_unit_test(timestamps_with_zone),
        cmocka_unit_test(intervals),
        cmocka_unit_test(strings),
        cmocka_unit_test(long_strings),
        cmocka_unit_test(bytes),
        cmocka_unit_test(hstore),
        cmocka_unit_test(arrays),
        cmocka_unit_test(shapes),
        cmocka_unit_test(refused),
        cmocka_unit_test(hostile_texts),
    };
    return cmocka_run_group_tests_name("debezium values", tests, NULL, NULL);
}
