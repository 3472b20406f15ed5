/* Building trees: every refusal with its exact place and words, and what is accepted. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"

#define TAB_MESSAGE "error a tab is used where YAML allows only spaces | indent with spaces\n"
#define QUOTE_HINT " | write the value out; quote a pattern that begins with *\n"
#define ANCHOR                                                                                  \
    "anchors (&name) are not supported | write the value out where it is needed; quote a value" \
    " that begins with &\n"
#define TAG "tags (!name) are not supported | leave the tag out; quote a value that begins with !\n"
#define INDENT                                                                                     \
    "error the indentation does not fit what stands above | keys of one mapping begin in the same" \
    " column\n"

struct refusal {
    const char *yaml;
    size_t size; /* 0 = up to the NUL */
    const char *expected;
};

static const struct refusal refusals[] = {
    /* tabs */
    {"sources:\n\ta: 1\n", 0, "2:1 " TAB_MESSAGE},
    {"sources:\n  a:\n\t  b: 1\n", 0, "3:1 " TAB_MESSAGE},
    {"sources:\n  a:\n  \tb: 1\n", 0, "3:3 " TAB_MESSAGE},
    {"a: b\n\tc\n", 0, "2:1 " TAB_MESSAGE},
    {"a:\n\t- b\n", 0, "2:1 " TAB_MESSAGE},
    /* quotes and escapes */
    {"name: \"abc\nmode: x\n", 0, "1:7 error the quote that begins here is never closed\n"},
    {"name: 'abc\nmode: x\n", 0, "1:7 error the quote that begins here is never closed\n"},
    {"name: \"a\\qb\"\n", 0,
     "1:9 error unknown escape after \\ | within \"…\" a backslash is written \\\\; '…' takes it as"
     " it is\n"},
    {"name: \"a\\xZZ\"\n", 0, "1:11 error \\x, \\u and \\U want hexadecimal digits\n"},
    {"name: \"a\\ud800\"\n", 0, "1:11 error no such character\n"},
    {"name: \"a\\0b\"\n", 0, "1:7 error name: a value must not contain the character \\0\n"},
    {"name: 'it's'\n", 0,
     "1:11 error this text follows a value that has ended | quote the whole value; a quote within"
     " '…' is written ''\n"},
    /* values that want quotes */
    {"include: *.tmp\n", 0,
     "1:10 error a value that begins with * must be quoted | write \"*…\"\n"},
    {"include: [a, *]\n", 0,
     "1:14 error a value that begins with * must be quoted | write \"*…\"\n"},
    {"name: &\n", 0, "1:7 error a value that begins with & must be quoted | write \"&…\"\n"},
    {"name: @x\n", 0, "1:7 error a value that begins with @ must be quoted | put it into quotes\n"},
    {"name: `x`\n", 0,
     "1:7 error a value that begins with ` must be quoted | put it into quotes\n"},
    {"name: %x\n", 0, "1:7 error a value that begins with % must be quoted | put it into quotes\n"},
    {"name: |x\n", 0,
     "1:7 error a value that begins with | or > must be quoted | or its text begins on the next"
     " line, indented\n"},
    {"name: }\n", 0, "1:7 error a value must not begin with this character | put it into quotes\n"},
    {"config: {a: ${env:X}, b: 1}\n", 0,
     "1:9 error the { that begins here is not closed properly | inside { } or [ ] a value with ${…}"
     " must be quoted\n"},
    {"a: [${env:X}]\n", 0,
     "1:4 error the [ that begins here is not closed properly | inside { } or [ ] a value with ${…}"
     " must be quoted\n"},
    {"config: {a: 1, b: 2\nmode: x\n", 0,
     "1:9 error the { that begins here is not closed properly | check for a missing } or , and "
     "quote"
     " values with { } [ ] or ,\n"},
    {"config: [a, b\nmode: x\n", 0,
     "1:9 error the [ that begins here is not closed properly | check for a missing ] or , and "
     "quote"
     " values with { } [ ] or ,\n"},
    {"name: a: b\n", 0,
     "1:8 error a \":\" is not expected here | quote a value that contains \": \", and check the"
     " indentation\n"},
    /* structure */
    {"version: 1\nname\nmode: x\n", 0, "2:1 error a \":\" is missing after this key\n"},
    {"a:\n  b: 1\n c: 2\n", 0, "3:2 " INDENT},
    {"a:\n  - b\n - c\n", 0, "3:2 " INDENT},
    {"a:\n  - b\n  c: 1\n", 0,
     "3:3 error the indentation does not fit the list above | items of one list begin in the same"
     " column\n"},
    {"a: - b\n", 0,
     "1:4 error a list item is not expected here | put the list on the line after its key\n"},
    {"  a: 1\nb: 2\n", 0,
     "2:1 error the text goes on where the document has ended | check the indentation and the"
     " quotes\n"},
    {"%YAML 2.0\n---\na: 1\n", 0, "1:1 error YAML version not known | leave %YAML out\n"},
    {"a: 1\n---\nb: 2\n", 0,
     "2:1 error a second document begins here; a file holds one | put each pipeline into a file of"
     " its own\n"},
    {"[a]: 1\n", 0,
     "1:1 error a key must be text, not a list or mapping | quote a value that begins with [ or"
     " {\n"},
    {"? {a: 1}\n: 1\n", 0,
     "1:3 error a key must be text, not a list or mapping | quote a value that begins with [ or"
     " {\n"},
    {"{a: 1, \"\": 2}\n", 0, "1:8 error a key is missing before \":\"\n"},
    {"", 0, "0:0 error the file is empty\n"},
    {"# only a comment\n", 0, "0:0 error the file is empty\n"},
    /* anchors, aliases, tags, merge keys */
    {"a: &x 1\nb: [0, &y {c: 1}]\n", 0, "1:4 error a: " ANCHOR "2:8 error b[1]: " ANCHOR},
    {"a: *tmp\n", 0, "1:4 error a: aliases (*name) are not supported" QUOTE_HINT},
    {"a: {b: [*x]}\n", 0, "1:9 error a.b[0]: aliases (*name) are not supported" QUOTE_HINT},
    {"*x : 1\n", 0, "1:1 error aliases (*name) are not supported" QUOTE_HINT},
    {"a: !!str x\n", 0, "1:4 error a: " TAG},
    {"a: !x [1]\nb: !y {c: d}\n", 0, "1:4 error a: " TAG "2:4 error b: " TAG},
    {"a:\n  <<: {b: 1}\n", 0,
     "2:3 error a: merge keys (<<) are not supported | write the keys out where they are needed\n"},
    /* duplicate keys */
    {"name: a\nmode: x\nname: b\n", 0,
     "3:1 error name: key \"name\" is given twice | it was first given at 1:1\n"},
    {"a:\n  - {b: 1}\n  - {c: 1, c: 2, c: 3}\n", 0,
     "3:12 error a[1].c: key \"c\" is given twice | it was first given at 3:6\n"
     "3:18 error a[1].c: key \"c\" is given twice | it was first given at 3:6\n"},
    {"a: {\"x y.\\\"z\": 1, \"x y.\\\"z\": 2}\n", 0,
     "1:19 error a[\"x y.\\\"z\"]: key \"x y.\"z\" is given twice | it was first given at 1:5\n"},
    /* bytes */
    {"name: caf\xe9\n", 0, "1:10 error byte 0xE9 is not valid UTF-8 | save the file as UTF-8\n"},
    {"a: \xc3\xa4\xc0\xaf\n", 0,
     "1:5 error byte 0xC0 is not valid UTF-8 | save the file as UTF-8\n"},
    {"a: \xed\xa0\x80\n", 0, "1:4 error byte 0xED is not valid UTF-8 | save the file as UTF-8\n"},
    {"a: \xf4\x90\x80\x80\n", 0,
     "1:4 error byte 0xF4 is not valid UTF-8 | save the file as UTF-8\n"},
    {"a: \xe2\x82", 0, "1:4 error byte 0xE2 is not valid UTF-8 | save the file as UTF-8\n"},
    {"a: 1\nb: a\x01z\n", 0, "2:5 error a control character is not allowed in a pipeline file\n"},
    {"a: \xef\xbb\xbf\n", 0, "1:4 error a control character is not allowed in a pipeline file\n"},
    {"a: \xc2\x80\n", 0, "1:4 error a control character is not allowed in a pipeline file\n"},
    {"a: x\0y\n", 7,
     "1:5 error a NUL byte is not allowed in a pipeline file | the file is not text, or UTF-16: "
     "save"
     " it as UTF-8\n"},
    {"\xff\xfe"
     "a\0",
     4, "1:1 error the file is UTF-16 | save the file as UTF-8\n"},
    {"\xfe\xff\0a", 4, "1:1 error the file is UTF-16 | save the file as UTF-8\n"},
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *r = &refusals[i];
        struct sluice_diags diags;
        sluice_diags_init(&diags, "p.yaml");
        sluice_yaml_free(
            sluice_yaml_parse(r->yaml, r->size > 0 ? r->size : strlen(r->yaml), &diags));
        char *text = findings_text(&diags);
        if (strcmp(text, r->expected) != 0) {
            print_error("--- yaml %zu\n%s\n--- expected\n%s--- found\n%s", i, r->yaml, r->expected,
                        text);
        }
        assert_string_equal(text, r->expected);
        sluice_free(text);
        sluice_diags_free(&diags);
    }
}

static struct sluice_yaml *parse_good(const char *yaml, size_t size)
{
    struct sluice_diags diags;
    sluice_diags_init(&diags, "p.yaml");
    struct sluice_yaml *root = sluice_yaml_parse(yaml, size, &diags);
    assert_int_equal(diags.count, 0);
    assert_non_null(root);
    sluice_diags_free(&diags);
    return root;
}

static void accepted(void **state)
{
    static const char yaml[] =
        "\xef\xbb\xbf%YAML 1.2\n---\nplain: a b # comment\r\n"
        "quoted: \"x\\u00e4\\n\"\nempty:\ntilde: ~\nlist:\n- 1\n- [2, {k: v}]\n"
        "block: |\n  one\n  two\nnull_text: 'null'\n\"odd key\": 5\n...\n";
    (void)state;
    struct sluice_yaml *root = parse_good(yaml, sizeof yaml - 1);
    assert_int_equal(root->kind, SLUICE_YAML_MAPPING);
    assert_int_equal(root->count, 8);
    const struct sluice_yaml *plain = sluice_yaml_get(root, "plain");
    assert_string_equal(plain->text, "a b");
    assert_int_equal(plain->quoted, 0);
    assert_int_equal(plain->line, 3);
    assert_int_equal(plain->column, 8);
    const struct sluice_yaml *quoted = sluice_yaml_get(root, "quoted");
    assert_string_equal(quoted->text, "xä\n");
    assert_int_equal(quoted->quoted, 1);
    assert_true(sluice_yaml_is_null(sluice_yaml_get(root, "empty")));
    assert_true(sluice_yaml_is_null(sluice_yaml_get(root, "tilde")));
    assert_true(sluice_yaml_is_null(sluice_yaml_get(root, "absent")));
    assert_false(sluice_yaml_is_null(sluice_yaml_get(root, "null_text")));
    assert_false(sluice_yaml_is_null(sluice_yaml_get(root, "list")));
    const struct sluice_yaml *list = sluice_yaml_get(root, "list");
    assert_int_equal(list->count, 2);
    assert_string_equal(sluice_yaml_get(list->items[1]->items[1], "k")->text, "v");
    assert_string_equal(sluice_yaml_get(root, "block")->text, "one\ntwo\n");
    assert_string_equal(sluice_yaml_get(root, "odd key")->text, "5");
    assert_null(sluice_yaml_get(list, "x"));
    assert_null(sluice_yaml_get(NULL, "x"));
    sluice_yaml_free(root);
}

/* Text that repeats `unit` until it is at least `size` bytes long, after `head`. */
static char *repeated(const char *head, const char *unit, size_t size, size_t *out_size)
{
    struct sluice_str text = SLUICE_STR_INIT;
    sluice_str_append(&text, head);
    while (text.size < size) {
        sluice_str_append(&text, unit);
    }
    *out_size = text.size;
    return sluice_str_steal(&text);
}

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Refused by the cap named in the first finding, and quickly. */
static void expect_capped(const char *head, const char *unit, size_t size, const char *line)
{
    struct sluice_diags diags;
    size_t text_size = 0;
    char *text = repeated(head, unit, size, &text_size);
    double start = seconds();
    sluice_diags_init(&diags, "p.yaml");
    struct sluice_yaml *root = sluice_yaml_parse(text, text_size, &diags);
    assert_null(root);
    assert_true(seconds() - start < 2.0);
    char *found = findings_text(&diags);
    if (strncmp(found, line, strlen(line)) != 0) {
        print_error("expected %s\nfound %.300s", line, found);
    }
    assert_memory_equal(found, line, strlen(line));
    assert_true(diags.count <= 20);
    sluice_free(found);
    sluice_diags_free(&diags);
    sluice_free(text);
}

static void bombs(void **state)
{
    (void)state;
    expect_capped("", "# 2 MiB\n", 2u << 20,
                  "0:0 error the file is larger than 1 MiB, the most that is read");
    expect_capped("a: ", "[", 900000, "1:67 error ");
    expect_capped("a: ", "{a: ", 900000, "1:256 error a.a.a.a");
    expect_capped("", "- ", 900000, "1:129 error ");
    expect_capped("", "? ", 900000, "1:3 error a key must be text");
    expect_capped("a: [", "1,", 900000, "1:199999 error a[99997]: more than 100,000 values");
    expect_capped("a: [", "&a x,", 900000, "1:5 error a[0]: anchors");
    expect_capped("a: [", "!!str x,", 900000, "1:5 error a[0]: tags");
    expect_capped("a: [", "*a ,", 900000, "1:5 error a[0]: aliases");
    expect_capped("a: &a [x]\nb: [", "*a ,", 900000, "1:4 error a: anchors");
    expect_capped("a: \"", "\n", 900000, "1:4 error the quote");
    expect_capped("a: {", "\"x\":", 900000, "1:4 error the {");
}

static void billion_laughs(void **state)
{
    struct sluice_str text = SLUICE_STR_INIT;
    struct sluice_diags diags;
    (void)state;
    sluice_str_append(&text, "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for (int c = 'b'; c <= 'i'; c++) {
        sluice_str_printf(&text, "%c: &%c [", c, c);
        for (int i = 0; i < 9; i++) {
            sluice_str_printf(&text, "%s*%c", i > 0 ? ", " : "", c - 1);
        }
        sluice_str_append(&text, "]\n");
    }
    sluice_diags_init(&diags, "p.yaml");
    assert_null(sluice_yaml_parse(text.data, text.size, &diags));
    assert_int_equal(diags.errors, 10);
    sluice_diags_free(&diags);
    sluice_str_free(&text);
}

/* Depth 64 is allowed, 65 is not; so are 100,000 values, and one more is not. */
static void exact_caps(void **state)
{
    struct sluice_str text = SLUICE_STR_INIT;
    (void)state;
    for (int over = 0; over < 2; over++) {
        int depth = SLUICE_LIMIT_YAML_DEPTH + over;
        struct sluice_diags diags;
        sluice_str_clear(&text);
        for (int i = 0; i < depth; i++) {
            sluice_str_append_char(&text, '[');
        }
        for (int i = 0; i < depth; i++) {
            sluice_str_append_char(&text, ']');
        }
        sluice_diags_init(&diags, "p.yaml");
        struct sluice_yaml *root = sluice_yaml_parse(text.data, text.size, &diags);
        assert_int_equal(root != NULL, !over);
        assert_int_equal(diags.errors, over);
        sluice_yaml_free(root);
        sluice_diags_free(&diags);

        sluice_str_clear(&text);
        sluice_str_append(&text, "[");
        for (int i = 0; i < (int)SLUICE_LIMIT_YAML_NODES - 1 + over; i++) {
            sluice_str_append(&text, i > 0 ? ",x" : "x");
        }
        sluice_str_append(&text, "]");
        sluice_diags_init(&diags, "p.yaml");
        root = sluice_yaml_parse(text.data, text.size, &diags);
        assert_int_equal(root != NULL, !over);
        assert_int_equal(diags.errors, over);
        sluice_yaml_free(root);
        sluice_diags_free(&diags);
    }
    sluice_str_free(&text);
}

static void many_keys(void **state)
{
    struct sluice_str text = SLUICE_STR_INIT;
    (void)state;
    for (int i = 0; i < 49000; i++) {
        sluice_str_printf(&text, "k%d: 1\n", i);
    }
    double start = seconds();
    struct sluice_yaml *root = parse_good(text.data, text.size);
    assert_int_equal(root->count, 49000);
    assert_true(seconds() - start < 2.0);
    sluice_yaml_free(root);
    sluice_str_free(&text);
}

static void many_findings(void **state)
{
    struct sluice_diags diags;
    (void)state;
    sluice_diags_init(&diags, "p.yaml");
    for (uint32_t i = 0; i < 1000; i++) {
        sluice_diags_add(&diags, i % 2 ? SLUICE_DIAG_WARN : SLUICE_DIAG_ERROR, 1000 - i, 1, "a",
                         NULL, "problem %u", i);
    }
    assert_int_equal(diags.errors, 500);
    assert_int_equal(diags.warnings, 500);
    assert_int_equal(diags.count, SLUICE_DIAGS_MAX + 1);
    sluice_diags_sort(&diags);
    assert_int_equal(diags.items[0].line, 801);
    assert_int_equal(diags.items[199].line, 1000);
    assert_string_equal(diags.items[200].message, "there are more problems; mend these first");
    sluice_diags_free(&diags);
}

static void sorting_is_stable(void **state)
{
    struct sluice_diags diags;
    (void)state;
    sluice_diags_init(&diags, "p.yaml");
    sluice_diags_add(&diags, SLUICE_DIAG_ERROR, 0, 0, NULL, NULL, "nowhere");
    sluice_diags_add(&diags, SLUICE_DIAG_ERROR, 2, 3, "a", "h", "first %s", "here");
    sluice_diags_add(&diags, SLUICE_DIAG_WARN, 1, 9, "b", NULL, "above");
    sluice_diags_add(&diags, SLUICE_DIAG_ERROR, 2, 3, "c", NULL, "second here");
    sluice_diags_sort(&diags);
    char *text = findings_text(&diags);
    assert_string_equal(text, "1:9 warning b: above\n2:3 error a: first here | h\n"
                              "2:3 error c: second here\n0:0 error nowhere\n");
    sluice_free(text);
    sluice_diags_free(&diags);
}

static void expect_read(const char *path, const char *message)
{
    struct sluice_diags diags;
    sluice_diags_init(&diags, path);
    assert_null(sluice_yaml_read(path, &diags));
    assert_int_equal(diags.count, 1);
    assert_string_equal(diags.items[0].message, message);
    sluice_diags_free(&diags);
}

static void reading_files(void **state)
{
    char path[] = "/tmp/sluice-test-config-XXXXXX";
    struct sluice_diags diags;
    (void)state;
    expect_read("/nonexistent/p.yaml",
                "cannot open \"/nonexistent/p.yaml\": No such file or directory");
    expect_read("/tmp", "\"/tmp\" is a folder, not a file");
    expect_read("/dev/zero", "the file is larger than 1 MiB, the most that is read");
    expect_read("/dev/null", "the file is empty");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a: 1\n", 5), 5);
    close(fd);
    sluice_diags_init(&diags, path);
    struct sluice_yaml *root = sluice_yaml_read(path, &diags);
    assert_non_null(root);
    assert_string_equal(sluice_yaml_get(root, "a")->text, "1");
    sluice_yaml_free(root);
    sluice_diags_free(&diags);
    unlink(path);
}

const struct CMUnitTest yaml_tests[] = {
    cmocka_unit_test(refused),       cmocka_unit_test(accepted),
    cmocka_unit_test(bombs),         cmocka_unit_test(billion_laughs),
    cmocka_unit_test(exact_caps),    cmocka_unit_test(many_keys),
    cmocka_unit_test(many_findings), cmocka_unit_test(sorting_is_stable),
    cmocka_unit_test(reading_files),
};
const size_t yaml_tests_count = sizeof yaml_tests / sizeof yaml_tests[0];
