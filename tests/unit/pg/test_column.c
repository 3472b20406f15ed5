/* Column plans: binary where the type is known, text and its class where not. */
#include "pg/decode.h"
#include "pg/types.h"
#include "tests.h"

static const struct sluice_pg_type_row rows[] = {
    {.oid = 20,
     .kind = 'b',
     .delimiter = ',',
     .output = "pg_catalog.int8out",
     .cast_name = "bigint",
     .send = "int8send",
     .output_usable = 1},
    {.oid = 23,
     .kind = 'b',
     .delimiter = ',',
     .output = "pg_catalog.int4out",
     .cast_name = "integer",
     .send = "int4send",
     .output_usable = 1},
    {.oid = 25,
     .kind = 'b',
     .delimiter = ',',
     .output = "pg_catalog.textout",
     .cast_name = "text",
     .send = "textsend",
     .output_usable = 1},
    {.oid = 26,
     .kind = 'b',
     .delimiter = ',',
     .output = "pg_catalog.oidout",
     .cast_name = "oid",
     .send = "oidsend",
     .output_usable = 1},
    {.oid = 603,
     .kind = 'b',
     .delimiter = ';',
     .output = "pg_catalog.box_out",
     .cast_name = "box",
     .send = "box_send",
     .output_usable = 1},
    {.oid = 1020,
     .kind = 'b',
     .delimiter = ';',
     .element = 603,
     .output = "pg_catalog.array_out",
     .cast_name = "box[]",
     .send = "array_send",
     .output_usable = 1},
    {.oid = 1007,
     .kind = 'b',
     .delimiter = ',',
     .element = 23,
     .output = "pg_catalog.array_out",
     .cast_name = "integer[]",
     .send = "array_send",
     .output_usable = 1},
    {.oid = 1114,
     .kind = 'b',
     .delimiter = ',',
     .output = "pg_catalog.timestamp_out",
     .cast_name = "timestamp without time zone",
     .send = "timestamp_send",
     .output_usable = 1},
    {.oid = 1700,
     .kind = 'b',
     .delimiter = ',',
     .output = "pg_catalog.numeric_out",
     .cast_name = "numeric",
     .send = "numeric_send",
     .output_usable = 1},
    {.oid = 3802,
     .kind = 'b',
     .delimiter = ',',
     .output = "pg_catalog.jsonb_out",
     .cast_name = "jsonb",
     .send = "jsonb_send",
     .output_usable = 1},
    {.oid = 869,
     .kind = 'b',
     .delimiter = ',',
     .output = "pg_catalog.inet_out",
     .cast_name = "inet",
     .send = "inet_send",
     .output_usable = 1},
    /* a composite (a int4, "q""x" integer[], c of itself by way of an array) */
    {.oid = 20000,
     .kind = 'c',
     .delimiter = ',',
     .relation = 19999,
     .output = "pg_catalog.record_out",
     .cast_name = "public.comp",
     .send = "record_send",
     .output_usable = 1},
    {.oid = 20001,
     .kind = 'd',
     .delimiter = ',',
     .base = 1007,
     .base_typmod = -1,
     .output = "pg_catalog.array_out",
     .cast_name = "public.darr",
     .send = "array_send",
     .output_usable = 1},
    {.oid = 20002,
     .kind = 'd',
     .delimiter = ',',
     .base = 1700,
     .base_typmod = (10 << 16 | 2) + 4,
     .output = "pg_catalog.numeric_out",
     .cast_name = "public.dnum",
     .send = "numeric_send",
     .output_usable = 1},
    {.oid = 20003,
     .kind = 'd',
     .delimiter = ',',
     .base = 20002,
     .base_typmod = -1,
     .output = "pg_catalog.numeric_out",
     .cast_name = "public.ddnum",
     .send = "numeric_send",
     .output_usable = 1},
    {.oid = 20004,
     .kind = 'e',
     .delimiter = ',',
     .output = "pg_catalog.enum_out",
     .cast_name = "public.mood",
     .send = "enum_send",
     .output_usable = 1},
    {.oid = 20005,
     .kind = 'b',
     .delimiter = ',',
     .output = "closed.hstore_out",
     .cast_name = "closed.hstore",
     .send = "hstore_send",
     .output_usable = 0},
    {.oid = 20006,
     .kind = 'c',
     .delimiter = ',',
     .relation = 20007,
     .output = "pg_catalog.record_out",
     .cast_name = "public.loop",
     .send = "record_send",
     .output_usable = 1},
    {.oid = 20008,
     .kind = 'd',
     .delimiter = ',',
     .base = 20008,
     .base_typmod = -1,
     .output = "x.y",
     .cast_name = "public.selfish",
     .send = "x",
     .output_usable = 1},
    {.oid = 20009,
     .kind = 'b',
     .delimiter = ',',
     .output = "public.citextout",
     .cast_name = "public.citext",
     .send = "citextsend",
     .output_usable = 1},
};

static const struct sluice_pg_attribute_row attributes[] = {
    {19999, 23, -1, "a"},
    {19999, 1007, -1, "q\"x"},
    {19999, 3802, -1, "tab\t"},
    {20007, 20006, -1, "self"},
};

static struct sluice_pg_types *types;

static int setup(void **state)
{
    (void)state;
    return sluice_pg_types_make(rows, sizeof rows / sizeof rows[0], attributes,
                                sizeof attributes / sizeof attributes[0], &types, NULL);
}

static int teardown(void **state)
{
    (void)state;
    sluice_pg_types_free(types);
    return 0;
}

struct expected {
    uint32_t type;
    int32_t typmod;
    int32_t policy;
    int32_t decode;
    const char *format;
    const char *text_class;
    const char *select;
};

static void expect(const struct expected *e)
{
    struct sluice_pg_column column = {"c", e->type, e->typmod};
    struct sluice_pg_column_plan plan;
    struct sluice_pg_text select = {0};
    char format[32];
    assert_int_equal(sluice_pg_column_make(types, &column, e->policy, 0, &select, &plan, NULL),
                     SLUICE_OK);
    assert_int_equal(plan.decode, e->decode);
    sluice_type_format(&plan.type, format);
    assert_string_equal(format, e->format);
    assert_string_equal(plan.text.size > 0 ? plan.text.data : "", e->text_class);
    assert_string_equal(select.data, e->select);
    /* Whatever is selected as it is comes in the type's own binary form. */
    assert_int_equal(plan.binary, strcmp(e->select, "\"c\"") == 0);
    sluice_pg_text_free(&select);
    sluice_pg_text_free(&plan.text);
}

static int32_t numeric_typmod(int32_t precision, int32_t scale)
{
    return (precision << 16 | (scale & 0x7ff)) + 4;
}

static void plans(void **state)
{
    (void)state;
    const struct expected cases[] = {
        {23, -1, 0, SLUICE_PG_DECODE_INT32, "i", "", "\"c\""},
        {26, -1, 0, SLUICE_PG_DECODE_OID, "u", "", "\"c\""},
        {3802, -1, 0, SLUICE_PG_DECODE_JSONB, "u", "", "\"c\""},
        {20004, -1, 0, SLUICE_PG_DECODE_TEXT, "u", "", "\"c\""},
        {20009, -1, 0, SLUICE_PG_DECODE_TEXT, "u", "", "\"c\""},
        {1114, -1, 0, SLUICE_PG_DECODE_TIMESTAMP, "tsu:", "", "\"c\""},
        {1114, -1, 2, SLUICE_PG_DECODE_TEXT, "u", "t",
         "pg_catalog.textin(pg_catalog.timestamp_out(\"c\"))"},
        {1700, -1, 0, SLUICE_PG_DECODE_TEXT, "u", "n",
         "pg_catalog.textin(pg_catalog.numeric_out(\"c\"))"},
        {1700, numeric_typmod(12, 2), 0, SLUICE_PG_DECODE_NUMERIC64, "d:12,2", "", "\"c\""},
        {1700, numeric_typmod(18, 0), 0, SLUICE_PG_DECODE_NUMERIC64, "d:18,0", "", "\"c\""},
        {1700, numeric_typmod(19, 0), 0, SLUICE_PG_DECODE_NUMERIC128, "d:19,0", "", "\"c\""},
        {1700, numeric_typmod(39, 3), 0, SLUICE_PG_DECODE_NUMERIC256, "d:39,3,256", "", "\"c\""},
        {1700, numeric_typmod(77, 3), 0, SLUICE_PG_DECODE_TEXT, "u", "n",
         "pg_catalog.textin(pg_catalog.numeric_out(\"c\"))"},
        {1700, numeric_typmod(2, -3), 0, SLUICE_PG_DECODE_NUMERIC64, "d:5,0", "", "\"c\""},
        {1700, numeric_typmod(3, 5), 0, SLUICE_PG_DECODE_NUMERIC64, "d:5,5", "", "\"c\""},
        {1700, numeric_typmod(12, 2), 2, SLUICE_PG_DECODE_TEXT, "u", "n",
         "pg_catalog.textin(pg_catalog.numeric_out(\"c\"))"},
        {20003, -1, 0, SLUICE_PG_DECODE_NUMERIC64, "d:10,2", "", "\"c\""},
        {869, -1, 0, SLUICE_PG_DECODE_TEXT, "u", "",
         "pg_catalog.textin(pg_catalog.inet_out(\"c\"))"},
        {1007, -1, 0, SLUICE_PG_DECODE_TEXT, "u", "[n,]",
         "pg_catalog.textin(pg_catalog.array_out(\"c\"))"},
        {1020, -1, 0, SLUICE_PG_DECODE_TEXT, "u", "[s;]",
         "pg_catalog.textin(pg_catalog.array_out(\"c\"))"},
        {20001, -1, 0, SLUICE_PG_DECODE_TEXT, "u", "[n,]",
         "pg_catalog.textin(pg_catalog.array_out(CAST(\"c\" AS integer[])))"},
        {20000, -1, 0, SLUICE_PG_DECODE_TEXT, "u", "{\"a\":n,\"q\\\"x\":[n,],\"tab\\u0009\":j}",
         "pg_catalog.textin(pg_catalog.record_out(\"c\"))"},
        {20005, -1, 0, SLUICE_PG_DECODE_TEXT, "u", "", "CAST(\"c\" AS pg_catalog.text)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect(&cases[i]);
    }
}

/* The catalog cannot hold these; a bound keeps us safe all the same. */
static void endless_types(void **state)
{
    (void)state;
    struct sluice_pg_column column = {"c", 20006, -1};
    struct sluice_pg_column_plan plan;
    struct sluice_pg_text select = {0};
    assert_int_equal(sluice_pg_column_make(types, &column, 0, 0, &select, &plan, NULL), SLUICE_OK);
    assert_true(plan.text.size < 2000);
    sluice_pg_text_free(&plan.text);
    column.type = 20008;
    assert_int_equal(sluice_pg_column_make(types, &column, 0, 0, &select, &plan, NULL),
                     SLUICE_E_LIMIT);
    column.type = 4711;
    assert_int_equal(sluice_pg_column_make(types, &column, 0, 0, &select, &plan, NULL),
                     SLUICE_E_SCHEMA);
    sluice_pg_text_free(&select);
}

int pg_test_column(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(plans), cmocka_unit_test(endless_types)};
    return cmocka_run_group_tests_name("column", tests, setup, teardown);
}
