/* Columns of Arrow as T-SQL: the published mapping, keys, and what a SQL Server itself declared. */
#include "tds/declare.h"

#include <string.h>

#include "sluice/array.h"
#include "tests.h"

static sluice_status declare(struct sluice_type type, const char *key, const char *value,
                             uint32_t key_columns, char out[SLUICE_TDS_DECLARATION_MAX])
{
    const struct sluice_pair pair = {key, value};
    struct ArrowSchema schema;
    assert_int_equal(sluice_schema_init(&schema, 1, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&schema, 0, "c", &type, 1, &pair, key != NULL ? 1 : 0, NULL),
                     SLUICE_OK);
    const sluice_status status = sluice_tds_declare(schema.children[0], key_columns, 1, out, NULL);
    sluice_schema_release(&schema);
    return status;
}

static void from_arrow(void **state)
{
    static const struct {
        struct sluice_type type;
        uint32_t key_columns;
        const char *want;
    } cases[] = {
        {{SLUICE_TYPE_BOOL, 0, 0, 0}, 0, "bit"},
        {{SLUICE_TYPE_INT8, 0, 0, 1}, 0, "smallint"},
        {{SLUICE_TYPE_UINT8, 0, 0, 1}, 0, "tinyint"},
        {{SLUICE_TYPE_UINT16, 0, 0, 2}, 0, "int"},
        {{SLUICE_TYPE_INT64, 0, 0, 8}, 1, "bigint"},
        {{SLUICE_TYPE_UINT64, 0, 0, 8}, 0, "decimal(20,0)"},
        {{SLUICE_TYPE_FLOAT64, 0, 0, 8}, 0, "float"},
        {{SLUICE_TYPE_DECIMAL128, 38, 10, 16}, 0, "decimal(38,10)"},
        {{SLUICE_TYPE_DECIMAL128, 3, 5, 16}, 0, "decimal(5,5)"},
        {{SLUICE_TYPE_DECIMAL128, 5, -3, 16}, 0, "decimal(8,0)"},
        {{SLUICE_TYPE_DECIMAL256, 30, 2, 32}, 0, "decimal(30,2)"},
        {{SLUICE_TYPE_DECIMAL256, 76, 0, 32}, 0, "varchar(79)"},
        {{SLUICE_TYPE_DECIMAL128, 38, -1, 16}, 0, "varchar(42)"},
        {{SLUICE_TYPE_DATE32, 0, 0, 4}, 0, "date"},
        {{SLUICE_TYPE_TIME64_US, 0, 0, 8}, 0, "time(6)"},
        {{SLUICE_TYPE_TIMESTAMP_US, 0, 0, 8}, 0, "datetime2(6)"},
        {{SLUICE_TYPE_TIMESTAMP_US_UTC, 0, 0, 8}, 0, "datetimeoffset(6)"},
        {{SLUICE_TYPE_UTF8, 0, 0, 0}, 0, "nvarchar(max)"},
        {{SLUICE_TYPE_UTF8, 0, 0, 0}, 1, "nvarchar(450)"},
        {{SLUICE_TYPE_UTF8, 0, 0, 0}, 2, "nvarchar(225)"},
        {{SLUICE_TYPE_BINARY, 0, 0, 0}, 0, "varbinary(max)"},
        {{SLUICE_TYPE_BINARY, 0, 0, 0}, 1, "varbinary(900)"},
        {{SLUICE_TYPE_FIXED_BINARY, 0, 0, 16}, 0, "binary(16)"},
        {{SLUICE_TYPE_FIXED_BINARY, 0, 0, 9000}, 0, "varbinary(max)"},
    };
    char out[SLUICE_TDS_DECLARATION_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(declare(cases[i].type, NULL, NULL, cases[i].key_columns, out), SLUICE_OK);
        assert_string_equal(out, cases[i].want);
    }
    const struct sluice_type sixteen = {SLUICE_TYPE_FIXED_BINARY, 0, 0, 16};
    assert_int_equal(declare(sixteen, "ARROW:extension:name", "arrow.uuid", 1, out), SLUICE_OK);
    assert_string_equal(out, "uniqueidentifier");
    const struct sluice_type wide = {SLUICE_TYPE_FIXED_BINARY, 0, 0, 901};
    assert_int_equal(declare(wide, NULL, NULL, 1, out), SLUICE_E_UNSUPPORTED);
}

/* What stands in the metadata goes into a statement: only what is known may. */
static void from_native(void **state)
{
    static const struct {
        const char *native;
        uint32_t key_columns;
        const char *want;
    } cases[] = {
        {"nvarchar(20)", 0, "nvarchar(20)"},
        {"nvarchar(20)", 1, "nvarchar(20)"},
        {"varchar(max)", 0, "varchar(max)"},
        {"varchar(max)", 1, "nvarchar(450)"},
        {"varchar(8000)", 1, "nvarchar(450)"},
        {"nchar(4000)", 0, "nchar(4000)"},
        {"nchar(4001)", 0, "nvarchar(max)"},
        {"nchar(max)", 0, "nvarchar(max)"},
        {"decimal(38,38)", 1, "decimal(38,38)"},
        {"decimal(39,0)", 0, "nvarchar(max)"},
        {"numeric(5,6)", 0, "nvarchar(max)"},
        {"datetimeoffset(7)", 1, "datetimeoffset(7)"},
        {"time(0)", 0, "time(0)"},
        {"time(8)", 0, "nvarchar(max)"},
        {"ntext", 0, "nvarchar(max)"},
        {"timestamp", 0, "binary(8)"},
        {"xml", 1, "nvarchar(450)"},
        {"sysname", 1, "nvarchar(128)"},
        {"int", 0, "int"},
        {"int(4)", 0, "nvarchar(max)"},
        {"int); DROP TABLE t --", 0, "nvarchar(max)"},
        {"varchar(5) NOT NULL", 0, "nvarchar(max)"},
        {"varchar(00000000000000000005)", 0, "nvarchar(max)"},
        {"character varying(5)", 0, "nvarchar(max)"},
        {"varchar(", 0, "nvarchar(max)"},
        {"", 0, "nvarchar(max)"},
    };
    const struct sluice_type text = {SLUICE_TYPE_UTF8, 0, 0, 0};
    char out[SLUICE_TDS_DECLARATION_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(
            declare(text, "sluice:native_type", cases[i].native, cases[i].key_columns, out),
            SLUICE_OK);
        assert_string_equal(out, cases[i].want);
    }
}

int tds_test_declare(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_arrow),
        cmocka_unit_test(from_native),
    };
    return cmocka_run_group_tests_name("tds declare", tests, NULL, NULL);
}
