/* Width, escaping, cutting, repair. */
#include "test_cli.h"

#include "cli/text.h"

static void width_counts_columns(void **state)
{
    (void)state;
    assert_int_equal(sluice_cli_text_width(""), 0);
    assert_int_equal(sluice_cli_text_width("abc"), 3);
    assert_int_equal(sluice_cli_text_width("ä€"), 2);
    assert_int_equal(sluice_cli_text_width("日本"), 4);
    assert_int_equal(sluice_cli_text_width("😀"), 2);
    assert_int_equal(sluice_cli_text_width("e\xcc\x81"), 1); /* e and a combining acute */
    assert_int_equal(sluice_cli_text_width("\xff\xfe"), 2);
    assert_int_equal(sluice_cli_text_width("\033[1;31mred\033[0m"), 3);
    assert_int_equal(sluice_cli_text_width("█▍░"), 3);
}

static void decode_refuses_what_is_no_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t code;
        size_t size;
    } cases[] = {
        {"a", 'a', 1},
        {"\xc3\xa4", 0xe4, 2},
        {"\xe2\x82\xac", 0x20ac, 3},
        {"\xf0\x9f\x98\x80", 0x1f600, 4},
        {"\xc0\x80", -1, 1},         /* overlong NUL */
        {"\xe0\x80\xaf", -1, 1},     /* overlong slash */
        {"\xed\xa0\x80", -1, 1},     /* surrogate */
        {"\xf4\x90\x80\x80", -1, 1}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", -1, 1},
        {"\x80", -1, 1},
        {"\xc3", -1, 1},     /* cut off */
        {"\xe2\x82", -1, 1}, /* cut off */
        {"\xc3(", -1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size = 0;
        const char *text = cases[i].text;
        assert_int_equal(sluice_cli_text_decode(text, text + strlen(text), &size), cases[i].code);
        assert_int_equal(size, cases[i].size);
    }
}

static void escape_disarms(void **state)
{
    (void)state;
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_cli_text_escape(&out, "a\033[2Jb\nc\td\r\x7f");
    expect_text(&out, "a\\x1b[2Jb\\nc\\td\\r\\x7f");
    sluice_cli_text_escape(&out, "\xc2\x9b"
                                 "31m"); /* C1: CSI in one character */
    expect_text(&out, "\\x9b31m");
    sluice_cli_text_escape(&out, "x\xe2\x80\xaetxt.exe"); /* right-to-left override */
    expect_text(&out, "x\\u202etxt.exe");
    sluice_cli_text_escape(&out, "ok\xff"
                                 "ä");
    expect_text(&out, "ok\\xffä");
    sluice_cli_text_escape_n(&out, "a\0b", 3);
    expect_text(&out, "a\\x00b");
}

static void escape_keeps_lines_when_asked(void **state)
{
    (void)state;
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_cli_text_escape_lines(&out, "one\ntwo\x07\n\n", 4);
    expect_text(&out, "one\n    two\\x07");
}

static void cut_fits_and_says_so(void **state)
{
    (void)state;
    struct sluice_str out = SLUICE_STR_INIT;
    assert_int_equal(sluice_cli_text_cut(&out, "short", 5, 1), 5);
    expect_text(&out, "short");
    assert_int_equal(sluice_cli_text_cut(&out, "longer text", 6, 1), 6);
    expect_text(&out, "longe…");
    assert_int_equal(sluice_cli_text_cut(&out, "longer text", 6, 0), 6);
    expect_text(&out, "longe~");
    /* A wide character that would pass the end is left out whole. */
    assert_int_equal(sluice_cli_text_cut(&out, "日本語", 4, 1), 3);
    expect_text(&out, "日…");
    assert_int_equal(sluice_cli_text_cut(&out, "abc", 0, 1), 0);
    expect_text(&out, "");
    assert_int_equal(sluice_cli_text_cut(&out, "abc", 1, 1), 1);
    expect_text(&out, "…");
}

static void cut_closes_colours(void **state)
{
    (void)state;
    struct sluice_str out = SLUICE_STR_INIT;
    assert_int_equal(sluice_cli_text_cut(&out, "\033[1mbold text\033[0m", 5, 1), 5);
    expect_text(&out, "\033[1mbold\033[0m…");
}

static void repair_makes_valid_utf8(void **state)
{
    (void)state;
    struct sluice_str out = SLUICE_STR_INIT;
    const char *bad = "a\xff\xc3(\xed\xa0\x80z";
    sluice_cli_text_repair(&out, bad, strlen(bad));
    assert_true(sluice_utf8_valid(out.data, out.size));
    expect_text(&out, "a\ufffd\ufffd(\ufffd\ufffd\ufffdz");
}

static void pad_appends_blanks(void **state)
{
    (void)state;
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_cli_text_pad(&out, 70);
    assert_int_equal(out.size, 70);
    assert_int_equal(strspn(out.data, " "), 70);
    sluice_str_free(&out);
}

int run_text_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(width_counts_columns),    cmocka_unit_test(decode_refuses_what_is_no_utf8),
        cmocka_unit_test(escape_disarms),          cmocka_unit_test(escape_keeps_lines_when_asked),
        cmocka_unit_test(cut_fits_and_says_so),    cmocka_unit_test(cut_closes_colours),
        cmocka_unit_test(repair_makes_valid_utf8), cmocka_unit_test(pad_appends_blanks),
    };
    return cmocka_run_group_tests_name("cli text", tests, NULL, NULL);
}
