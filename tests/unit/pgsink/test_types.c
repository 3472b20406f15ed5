/* Types of columns that are made or altered: the source's own, the published mapping, what widens to what. */
#include "changes.h"
#include "type.h"

#include "sluice/array.h"
#include "tests.h"

struct made {
    struct ArrowSchema schema;
    struct sluice_stream_desc desc;
};

static const char *type_of(struct made *m, struct sluice_type type, const struct sluice_pair *pairs,
                           uint32_t count)
{
    static char out[SLUICE_PGSINK_TYPE_MAX];
    memset(m, 0, sizeof *m);
    assert_int_equal(sluice_schema_init(&m->schema, 1, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&m->schema, 0, "c", &type, 1, pairs, count, NULL),
                     SLUICE_OK);
    m->desc = (struct sluice_stream_desc){
        .struct_size = sizeof m->desc, .name = "t", .schema = &m->schema};
    sluice_pgsink_type_of(&m->desc, m->schema.children[0], out);
    sluice_schema_release(&m->schema);
    return out;
}

static void from_arrow(void **state)
{
    static const struct {
        struct sluice_type type;
        const char *want;
    } cases[] = {
        {{SLUICE_TYPE_BOOL, 0, 0, 0}, "boolean"},
        {{SLUICE_TYPE_INT8, 0, 0, 1}, "smallint"},
        {{SLUICE_TYPE_INT16, 0, 0, 2}, "smallint"},
        {{SLUICE_TYPE_UINT16, 0, 0, 2}, "integer"},
        {{SLUICE_TYPE_INT32, 0, 0, 4}, "integer"},
        {{SLUICE_TYPE_UINT32, 0, 0, 4}, "bigint"},
        {{SLUICE_TYPE_INT64, 0, 0, 8}, "bigint"},
        {{SLUICE_TYPE_UINT64, 0, 0, 8}, "numeric(20,0)"},
        {{SLUICE_TYPE_FLOAT32, 0, 0, 4}, "real"},
        {{SLUICE_TYPE_FLOAT64, 0, 0, 8}, "double precision"},
        {{SLUICE_TYPE_DECIMAL128, 12, 2, 16}, "numeric(12,2)"},
        {{SLUICE_TYPE_UTF8, 0, 0, 0}, "text"},
        {{SLUICE_TYPE_BINARY, 0, 0, 0}, "bytea"},
        {{SLUICE_TYPE_DATE32, 0, 0, 4}, "date"},
        {{SLUICE_TYPE_TIME64_US, 0, 0, 8}, "time without time zone"},
        {{SLUICE_TYPE_TIMESTAMP_US, 0, 0, 8}, "timestamp without time zone"},
        {{SLUICE_TYPE_TIMESTAMP_US_UTC, 0, 0, 8}, "timestamp with time zone"},
        {{SLUICE_TYPE_INTERVAL, 0, 0, 16}, "interval"},
    };
    struct made m;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(type_of(&m, cases[i].type, NULL, 0), cases[i].want);
    }
}

static void widening(void **state)
{
    static const struct {
        const char *from;
        const char *to;
        int widens;
    } cases[] = {
        {"smallint", "integer", 1},
        {"integer", "bigint", 1},
        {"bigint", "integer", 0},
        {"integer", "numeric", 1},
        {"numeric", "bigint", 0},
        {"numeric(10,2)", "numeric(12,2)", 1},
        {"numeric(10,2)", "numeric(12,3)", 1},
        {"numeric(10,2)", "numeric(10,3)", 0},
        {"numeric(12,2)", "numeric(10,2)", 0},
        {"numeric(10,2)", "numeric", 1},
        {"numeric", "numeric(10,2)", 0},
        {"character varying(10)", "character varying(20)", 1},
        {"character varying(20)", "character varying(10)", 0},
        {"character varying(10)", "text", 1},
        {"character varying", "text", 1},
        {"text", "character varying(10)", 0},
        {"real", "double precision", 1},
        {"double precision", "real", 0},
        {"date", "integer", 0},
        {"text", "bytea", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (sluice_pgsink_type_widens(cases[i].from, cases[i].to) != cases[i].widens) {
            fail_msg("%s to %s", cases[i].from, cases[i].to);
        }
    }
}

static void defaults(void **state)
{
    static const struct {
        const char *text;
        int portable;
    } cases[] = {
        {"0", 1},
        {"'x'::text", 1},
        {"'it''s'::character varying", 1},
        {"now()", 1},
        {"CURRENT_TIMESTAMP", 1},
        {"nextval('s'::regclass)", 0},
        {"my_function()", 0},
        {"(1 + 2)", 0},
        {"'a'::text || my_function()", 0},
        {"'x'; DROP TABLE t; --'", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sluice_bytes text = {cases[i].text, strlen(cases[i].text)};
        if (sluice_pgsink_default_portable(text) != cases[i].portable) {
            fail_msg("%s", cases[i].text);
        }
    }
}

/* Types of which equal values may differ in their bytes are not collapsed by. */
static void one_form(void **state)
{
    static const struct {
        uint32_t oid;
        int32_t binary;
        int expected;
    } cases[] = {{23, 1, 1},   {25, 1, 1},  {2950, 1, 1}, {1700, 1, 1}, {16500, 1, 1},
                 {1042, 1, 0}, {701, 1, 0}, {3802, 1, 0}, {23, 0, 0},   {25, 0, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sluice_pgsink_column column = {.oid = cases[i].oid};
        column.encoder.binary = cases[i].binary;
        assert_int_equal(sluice_pgsink_has_one_form(&column), cases[i].expected);
    }
}

int pgsink_test_types(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_arrow),
        cmocka_unit_test(widening),
        cmocka_unit_test(defaults),
        cmocka_unit_test(one_form),
    };
    return cmocka_run_group_tests_name("types", tests, NULL, NULL);
}
