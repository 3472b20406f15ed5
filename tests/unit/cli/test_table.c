/* Tables, bars, colours. */
#include "test_cli.h"

#include "base/alloc.h"
#include "cli/table.h"
#include "cli/text.h"

static void columns_are_aligned(void **state)
{
    (void)state;
    static const char *const headers[] = {"name", "rows", "note"};
    struct sluice_cli_term term = plain_term();
    struct sluice_cli_table table;
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_cli_table_init(&table, 3, headers, 0x2, 0);
    sluice_cli_table_add(&table, SLUICE_STYLE_NONE, "日本");
    sluice_cli_table_add_count(&table, 1234567);
    sluice_cli_table_add(&table, SLUICE_STYLE_NONE, NULL);
    sluice_cli_table_add(&table, SLUICE_STYLE_NONE, "departments");
    sluice_cli_table_add_count(&table, -1);
    sluice_cli_table_addf(&table, SLUICE_STYLE_NONE, "n=%d", 7);
    assert_int_equal(sluice_cli_table_rows(&table), 2);
    sluice_cli_table_render(&table, &term, &out);
    sluice_cli_table_free(&table);
    expect_text(&out, "name              rows  note\n"
                      "日本         1,234,567  -\n"
                      "departments          -  n=7\n");
}

static void no_blanks_at_the_end_of_lines(void **state)
{
    (void)state;
    struct sluice_cli_term term = plain_term();
    struct sluice_cli_table table;
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_cli_table_init(&table, 2, NULL, 0, 0);
    table.indent = 3;
    sluice_cli_table_add(&table, SLUICE_STYLE_NONE, "a");
    sluice_cli_table_add(&table, SLUICE_STYLE_NONE, "");
    assert_int_equal(sluice_cli_table_rows(&table), 1);
    sluice_cli_table_render(&table, &term, &out);
    sluice_cli_table_free(&table);
    expect_text(&out, "   a\n");
}

static void cells_cannot_forge_lines(void **state)
{
    (void)state;
    struct sluice_cli_term term = plain_term();
    struct sluice_cli_table table;
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_cli_table_init(&table, 1, NULL, 0, 0);
    sluice_cli_table_add(&table, SLUICE_STYLE_NONE, "x\n\033[31mfailed");
    sluice_cli_table_render(&table, &term, &out);
    sluice_cli_table_free(&table);
    expect_text(&out, "x\\n\\x1b[31mfailed\n");
}

static void narrow_terminals_cut_what_may_be_cut(void **state)
{
    (void)state;
    struct sluice_cli_term term = wide_term(24, 10);
    struct sluice_cli_table table;
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_cli_table_init(&table, 2, NULL, 0x2, 0x1);
    sluice_cli_table_add(&table, SLUICE_STYLE_NONE, "a_very_long_table_name");
    sluice_cli_table_add(&table, SLUICE_STYLE_NONE, "123,456");
    sluice_cli_table_render(&table, &term, &out);
    expect_text(&out, "a_very_long_ta…  123,456\n");
    /* Never to nothing. */
    term.width = 5;
    sluice_cli_table_render(&table, &term, &out);
    sluice_cli_table_free(&table);
    expect_text(&out, "a_very_…  123,456\n");
}

static void colours_only_where_wanted(void **state)
{
    (void)state;
    struct sluice_cli_term term = wide_term(80, 10);
    struct sluice_cli_table table;
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_cli_table_init(&table, 2, NULL, 0, 0);
    sluice_cli_table_add(&table, SLUICE_STYLE_BAD, "bad");
    sluice_cli_table_add(&table, SLUICE_STYLE_NONE, "x");
    sluice_cli_table_render(&table, &term, &out);
    expect_text(&out, "bad  x\n");
    term.color = 1;
    sluice_cli_table_render(&table, &term, &out);
    sluice_cli_table_free(&table);
    expect_text(&out, "\033[31mbad\033[0m  x\n");
}

static void bars_are_as_wide_as_asked(void **state)
{
    (void)state;
    static const double shares[] = {-1, 0, 0.01, 0.26, 0.5, 0.999, 1, 7};
    for (int unicode = 0; unicode < 2; unicode++) {
        for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
            struct sluice_str out = SLUICE_STR_INIT;
            sluice_cli_bar(&out, shares[i], 13, unicode);
            assert_int_equal(sluice_cli_text_width(sluice_str_text(&out)), 13);
            sluice_str_free(&out);
        }
    }
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_cli_bar(&out, 0.5, 4, 0);
    expect_text(&out, "##--");
    sluice_cli_bar(&out, 0.625, 4, 1);
    expect_text(&out, "██▌░");
}

static void out_of_memory_renders_nothing(void **state)
{
    (void)state;
    for (long n = 1; n < 30; n++) {
        struct sluice_cli_term term = plain_term();
        struct sluice_cli_table table;
        struct sluice_str out = SLUICE_STR_INIT;
        sluice_alloc_fail_at(n, 1);
        sluice_cli_table_init(&table, 2, NULL, 0, 0);
        for (int i = 0; i < 6; i++) {
            sluice_cli_table_add(&table, SLUICE_STYLE_NONE, "cell");
        }
        sluice_cli_table_render(&table, &term, &out);
        sluice_alloc_fail_at(0, 0);
        assert_true(out.failed || table.count == 6);
        sluice_cli_table_free(&table);
        sluice_str_free(&out);
    }
}

int run_table_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_aligned),
        cmocka_unit_test(no_blanks_at_the_end_of_lines),
        cmocka_unit_test(cells_cannot_forge_lines),
        cmocka_unit_test(narrow_terminals_cut_what_may_be_cut),
        cmocka_unit_test(colours_only_where_wanted),
        cmocka_unit_test(bars_are_as_wide_as_asked),
        cmocka_unit_test(out_of_memory_renders_nothing),
    };
    return cmocka_run_group_tests_name("cli table", tests, NULL, NULL);
}
