/* Messages of pgoutput, captured from PostgreSQL 15, and what is no message. */
#include "pg/pgoutput.h"

#include <stdlib.h>

#include "sluice/error.h"
#include "tests.h"

static struct sluice_pgout_parser *parser;
static uint8_t bytes[4096]; /* what the last message borrows from */
static struct sluice_pgout_message m;

static sluice_status parse(const char *hex, struct sluice_error *err)
{
    size_t size = pg_test_unhex(hex, bytes, sizeof bytes);
    return sluice_pgout_parse(parser, bytes, size, &m, err);
}

static void parse_ok(const char *hex)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(parse(hex, &err), SLUICE_OK);
    assert_int_equal(m.type, bytes[0]);
}

static void parse_bad(const char *hex, const char *problem)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(parse(hex, &err), SLUICE_E_DATA);
    if (strstr(err.message, problem) == NULL) {
        fail_msg("%s: %s", hex, err.message);
    }
}

static void want_value(const struct sluice_pgout_tuple *row, uint32_t i, char kind,
                       const char *data, size_t size)
{
    assert_true(i < row->count);
    assert_int_equal(row->values[i].kind, kind);
    assert_int_equal(row->values[i].size, size);
    if (size > 0) {
        assert_memory_equal(row->values[i].data, data, size);
    }
}

static void want_text(const struct sluice_pgout_tuple *row, uint32_t i, const char *text)
{
    want_value(row, i, 't', text, strlen(text));
}

static void transactions(void **state)
{
    (void)state;
    parse_ok("42000000000195b57000030422997824fb000002e5");
    assert_int_equal(m.lsn, 0x195b570);
    assert_int_equal(m.xid, 741);
    assert_int_equal(m.time_us, 0x30422997824fb + 946684800000000);
    parse_ok("4300000000000195b570000000000195b5a000030422997824fb");
    assert_int_equal(m.lsn, 0x195b570);
    assert_int_equal(m.end_lsn, 0x195b5a0);
    assert_int_equal(m.time_us, 0x30422997824fb + 946684800000000);
    parse_ok("4f0000000000aabbcc656c7365776865726500");
    assert_int_equal(m.lsn, 0xaabbcc);
    assert_string_equal(m.name, "elsewhere");
}

static void relations(void **state)
{
    (void)state;
    parse_ok("52000040097075626c696300706c61696e006400050169640000000017ffffffff006e616d6500000000"
             "19ffffffff00707269636500000006a4000c0006006d0000004002ffffffff006400000040"
             "08ffffffff");
    assert_int_equal(m.relation, 0x4009);
    assert_string_equal(m.schema, "public");
    assert_string_equal(m.name, "plain");
    assert_int_equal(m.identity, 'd');
    assert_int_equal(m.column_count, 5);
    assert_string_equal(m.columns[0].name, "id");
    assert_int_equal(m.columns[0].is_key, 1);
    assert_int_equal(m.columns[0].type, 23);
    assert_int_equal(m.columns[0].typmod, -1);
    assert_string_equal(m.columns[2].name, "price");
    assert_int_equal(m.columns[2].is_key, 0);
    assert_int_equal(m.columns[2].type, 1700);
    assert_int_equal(m.columns[2].typmod, 0xc0006);
    assert_int_equal(m.columns[4].type, 0x4008);
    parse_ok("52000040107075626c69630077652269726420c3a40064000101610000000014ffffffff");
    assert_string_equal(m.name, "we\"ird \xc3\xa4");
    parse_ok("520000401c7075626c69630066756c6c6564006600030169640000000017ffffffff0162696700000000"
             "19ffffffff016e0000000017ffffffff");
    assert_int_equal(m.identity, 'f');
    assert_int_equal(m.columns[2].is_key, 1);
    parse_ok("52000040277075626c6963006e6f6e65006e000100760000000017ffffffff");
    assert_int_equal(m.identity, 'n');
    parse_ok("590000400800696e743400");
    assert_int_equal(m.relation, 0x4008);
    assert_string_equal(m.schema, "pg_catalog");
    assert_string_equal(m.name, "int4");
    /* A table without columns. */
    parse_ok("5200004009007800640000");
    assert_int_equal(m.column_count, 0);
}

static void rows(void **state)
{
    (void)state;
    parse_ok("49000040094e000574000000013174000000036f6e657400000004312e353074000000026f6b740000"
             "000137");
    assert_int_equal(m.relation, 0x4009);
    assert_int_equal(m.old_kind, 0);
    assert_int_equal(m.old_row.count, 0);
    assert_int_equal(m.new_row.count, 5);
    want_text(&m.new_row, 0, "1");
    want_text(&m.new_row, 2, "1.50");
    want_text(&m.new_row, 3, "ok");
    parse_ok("49000040094e00056200000004000000026e620000000a0001ffff4000000200646e6e");
    want_value(&m.new_row, 0, 'b', "\0\0\0\2", 4);
    want_value(&m.new_row, 1, 'n', NULL, 0);
    want_value(&m.new_row, 2, 'b', "\0\1\xff\xff\x40\0\0\2\0\x64", 10);
    /* The key changed: the old one comes first, all else is not sent. */
    parse_ok("55000040094b00057400000001326e6e6e6e4e00057400000001336e74000000052d302e30316e6e");
    assert_int_equal(m.old_kind, 'K');
    assert_int_equal(m.old_row.count, 5);
    want_text(&m.old_row, 0, "2");
    want_value(&m.old_row, 4, 'n', NULL, 0);
    want_text(&m.new_row, 0, "3");
    want_text(&m.new_row, 2, "-0.01");
    /* Unchanged and toasted. */
    parse_ok("55000040154e000374000000013175740000000132");
    assert_int_equal(m.old_kind, 0);
    want_value(&m.new_row, 1, 'u', NULL, 0);
    want_text(&m.new_row, 2, "2");
    parse_ok("440000401c4f000374000000013174000000006e");
    assert_int_equal(m.type, 'D');
    assert_int_equal(m.old_kind, 'O');
    assert_int_equal(m.new_row.count, 0);
    want_text(&m.old_row, 1, "");
    parse_ok("44000040214b00037400000001317400000001426e");
    assert_int_equal(m.old_kind, 'K');
    parse_ok("49000040094e0000");
    assert_int_equal(m.new_row.count, 0);
}

static void truncates_and_messages(void **state)
{
    (void)state;
    parse_ok("54000000010000004009");
    assert_int_equal(m.relation_count, 1);
    assert_int_equal(m.relations[0], 0x4009);
    assert_false(m.cascade || m.restart_identity);
    parse_ok("540000000203000040210000401c");
    assert_int_equal(m.relation_count, 2);
    assert_int_equal(m.relations[1], 0x401c);
    assert_true(m.cascade && m.restart_identity);
    parse_ok("540000000002");
    assert_int_equal(m.relation_count, 0);
    assert_false(m.cascade);
    parse_ok(
        "4d00000000000195b3c06f75747369646500000000146e6f7420696e2061207472616e73616374696f6e");
    assert_int_equal(m.transactional, 0);
    assert_int_equal(m.lsn, 0x195b3c0);
    assert_string_equal(m.name, "outside");
    assert_int_equal(m.content_size, 20);
    assert_memory_equal(m.content, "not in a transaction", 20);
    parse_ok("4d01000000000195b570696e73696465000000000200ff");
    assert_int_equal(m.transactional, 1);
    assert_memory_equal(m.content, "\x00\xff", 2);
}

static void what_was_not_asked_for(void **state)
{
    (void)state;
    static const char *const streamed[] = {"53000002e501", "45", "63", "41000002e5000002e5"};
    static const char *const two_phase[] = {"62", "50", "4b", "72", "70"};
    for (size_t i = 0; i < sizeof streamed / sizeof streamed[0]; i++) {
        parse_bad(streamed[i], "streamed transactions, which were not asked for");
    }
    for (size_t i = 0; i < sizeof two_phase / sizeof two_phase[0]; i++) {
        parse_bad(two_phase[i], "two-phase commits, which were not asked for");
    }
    parse_bad("00", "0x00, 1 bytes) at offset 0: unknown message");
    parse_bad("58", "'X' (0x58, 1 bytes) at offset 0: unknown message");
    parse_bad("ff00", "unknown message");
    parse_bad("", "an empty message");
}

static void what_is_malformed(void **state)
{
    (void)state;
    parse_bad("4301000000000195b570000000000195b5a000030422997824fb", "offset 1: unknown flags");
    parse_bad("4d02000000000195b570696e73696465000000000200ff", "offset 1: unknown flags");
    parse_bad("54000000010400004009", "offset 5: unknown options");
    parse_bad("5400000002000000400900", "cut off");
    parse_bad("54ffffffff0000004009", "cut off");
    parse_bad("5400000000000000", "offset 6: bytes left over");
    parse_bad("52000040090078007800", "cut off");
    parse_bad("5200004009007800780000", "unknown replica identity");
    parse_bad("5200004009007800000000", "unknown replica identity");
    parse_bad("520000400900780064000102610000000017ffffffff", "unknown flags of a column");
    parse_bad("52000040090078006400010161000000001700", "cut off");
    parse_bad("5200004009007800640001016161", "a name has no end");
    parse_bad("5200004009007800646801", "more columns");
    parse_bad("49000040094b0000", "no new row");
    parse_bad("49000040094e06810000", "more columns");
    parse_bad("49000040094effff", "more columns");
    parse_bad("49000040094e00017400000002ff", "offset 8: a value is longer");
    parse_bad("49000040094e000174ffffffffff", "a value is longer");
    parse_bad("49000040094e0001740000", "cut off");
    parse_bad("49000040094e00026e", "cut off");
    parse_bad("49000040094e00016d", "offset 8: unknown kind of value");
    parse_bad("49000040094e00016e00", "offset 9: bytes left over");
    parse_bad("44000040094e00016e", "no old row");
    parse_bad("55000040094b00016e4b00016e", "no new row");
    parse_bad("55000040094f00016e", "cut off");
    parse_bad("4d0000000000000000006100000000027a", "the content is longer");
    parse_bad("4f0000000000aabbcc6162", "a name has no end");
}

/* Each message cut at each place is refused; nothing is read past the end. */
static void every_cut(void **state)
{
    (void)state;
    static const char *const whole[] = {
        "42000000000195b57000030422997824fb000002e5",
        "4300000000000195b570000000000195b5a000030422997824fb",
        "4f0000000000aabbcc656c7365776865726500",
        "52000040107075626c69630077652269726420c3a40064000101610000000014ffffffff",
        "590000400800696e743400",
        "49000040094e00056200000004000000026e620000000a0001ffff4000000200646e6e",
        "55000040094b00057400000001326e6e6e6e4e00057400000001336e74000000052d302e30316e6e",
        "44000040214b00037400000001317400000001426e",
        "540000000203000040210000401c",
        "4d01000000000195b570696e73696465000000000200ff",
    };
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        size_t size = pg_test_unhex(whole[i], bytes, sizeof bytes);
        for (size_t n = 0; n <= size; n++) {
            uint8_t *cut = malloc(n > 0 ? n : 1);
            assert_non_null(cut);
            memcpy(cut, bytes, n);
            assert_int_equal(sluice_pgout_parse(parser, cut, n, &m, NULL),
                             n == size ? SLUICE_OK : SLUICE_E_DATA);
            free(cut);
        }
    }
}

static int setup(void **state)
{
    (void)state;
    parser = sluice_pgout_parser_create();
    return parser == NULL;
}

static int teardown(void **state)
{
    (void)state;
    sluice_pgout_parser_free(parser);
    sluice_pgout_parser_free(NULL);
    return 0;
}

int pg_test_pgoutput(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(transactions),
                                       cmocka_unit_test(relations),
                                       cmocka_unit_test(rows),
                                       cmocka_unit_test(truncates_and_messages),
                                       cmocka_unit_test(what_was_not_asked_for),
                                       cmocka_unit_test(what_is_malformed),
                                       cmocka_unit_test(every_cut)};
    return cmocka_run_group_tests_name("pgoutput", tests, setup, teardown);
}
