/* Escapes and text classes. */
#include <stdio.h>
#include <stdlib.h>

#include "lake/escape.h"
#include "lake/textclass.h"
#include "support.h"

static void check(const char *cls, const char *text, const char *want)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    char line[65536];
    char *got = test_render_text("u", "sluice:text", cls, text, text != NULL ? strlen(text) : 0,
                                 SLUICE_LAKE_JSONL, &err);
    (void)snprintf(line, sizeof line, "{\"v\":%s}\n", want);
    assert_non_null(got);
    assert_string_equal(got, line);
    free(got);
}

static void check_refused(const char *cls, const char *text)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    char *got =
        test_render_text("u", "sluice:text", cls, text, strlen(text), SLUICE_LAKE_JSONL, &err);
    assert_null(got);
    assert_true(err.status == SLUICE_E_DATA || err.status == SLUICE_E_SCHEMA ||
                err.status == SLUICE_E_LIMIT);
    assert_true(strlen(err.message) > 0);
}

/* Byte by byte, as escape_json does it. */
static size_t slow_escape(char *to, const uint8_t *s, size_t n)
{
    char *start = to;
    for (size_t i = 0; i < n; i++) {
        static const char letters[] = "\b\f\n\r\t\"\\";
        static const char values[] = "bfnrt\"\\";
        const char *at = s[i] != 0 ? strchr(letters, s[i]) : NULL;
        if (at != NULL) {
            *to++ = '\\';
            *to++ = values[at - letters];
        }
        else if (s[i] < 0x20) {
            to += snprintf(to, 7, "\\u%04x", s[i]);
        }
        else {
            *to++ = (char)s[i];
        }
    }
    return (size_t)(to - start);
}

static void escapes_every_length(void **state)
{
    (void)state;
    for (size_t n = 0; n < 70; n++) {
        for (size_t at = 0; at <= n; at++) {
            static const uint8_t hits[] = {0, 1, '\n', '\t', 0x1f, '"', '\\', 0x20, 0x7f, 0xff};
            for (size_t h = 0; h < sizeof hits; h++) {
                uint8_t *s = malloc(n + 1); /* exact, so that ASan sees a read beyond */
                uint8_t *got = malloc(n * 6 + SLUICE_LAKE_SLACK);
                char want[512];
                assert_non_null(s);
                assert_non_null(got);
                memset(s, 'a', n + 1);
                if (at < n) {
                    s[at] = hits[h];
                }
                uint8_t *exact = realloc(s, n > 0 ? n : 1);
                assert_non_null(exact);
                size_t size = slow_escape(want, exact, n);
                size_t got_size = (size_t)(sluice_lake_json_escape(got, exact, n) - got);
                assert_int_equal(got_size, size);
                assert_memory_equal(got, want, size);
                int32_t clean = sluice_lake_json_copy_clean(got, exact, n);
                assert_int_equal(clean, size == n);
                if (clean) {
                    assert_memory_equal(got, exact, n);
                }
                free(got);
                free(exact);
            }
        }
    }
}

static void leaves(void **state)
{
    (void)state;
    check("s", "a\"b\\c\n\x01\x7f\xc3\xa9", "\"a\\\"b\\\\c\\n\\u0001\x7f\xc3\xa9\"");
    check("s", "", "\"\"");
    check("s", NULL, "null");
    check("n", "12.50", "12.50");
    check("n", "-0.00001", "-0.00001");
    check("n", "1e+15", "1e+15");
    check("n", "NaN", "\"NaN\"");
    check("n", "-Infinity", "\"-Infinity\"");
    check("n", "1 2", "\"1 2\"");
    check("n", "01", "\"01\"");
    check("b", "t", "true");
    check("b", "f", "false");
    check("j", "{\"a\":\n 1.10,\r\n \"b\": null}", "{\"a\":  1.10,   \"b\": null}");
    check("x", "\\x", "\"\"");
    check("x", "\\xdeadbeef", "\"3q2+7w==\"");
    check("d", "2024-01-02", "\"2024-01-02\"");
    check("d", "0044-03-15 BC", "\"0044-03-15 BC\"");
    check("t", "2024-01-02 03:04:05.6", "\"2024-01-02T03:04:05.6\"");
    check("t", "infinity", "\"infinity\"");
    check("t", "0044-03-15 00:00:00 BC", "\"0044-03-15T00:00:00 BC\"");
    check("z", "2024-01-02 03:04:05+00", "\"2024-01-02T03:04:05+00:00\"");
    check("z", "0044-03-15 00:00:00+00 BC", "\"0044-03-15T00:00:00+00:00 BC\"");
    check("z", "-infinity", "\"-infinity\"");
    check_refused("b", "x");
    check_refused("x", "deadbeef");
    check_refused("x", "\\xabc");
    check_refused("x", "\\xzz");
}

static void arrays(void **state)
{
    (void)state;
    check("[n,]", "{}", "[]");
    check("[n,]", "{1,2,NULL}", "[1,2,null]");
    check("[n,]", "{{1,2},{3,4}}", "[[1,2],[3,4]]");
    check("[n,]", "[0:1]={1,2}", "[1,2]");
    check("[n,]", "[-1:0][2:3]={{1,NULL},{3,4}}", "[[1,null],[3,4]]");
    check("[n,]", "{NaN,1.10}", "[\"NaN\",1.10]");
    check("[s,]", "{\"a,b\",\"q\\\"x\",NULL,\"NULL\",\"\",\"back\\\\slash\",plain}",
          "[\"a,b\",\"q\\\"x\",null,\"NULL\",\"\",\"back\\\\slash\",\"plain\"]");
    check("[s;]", "{(1,1),(0,0);(2,2),(1,1)}", "[\"(1,1),(0,0)\",\"(2,2),(1,1)\"]");
    check("[b,]", "{t,f,NULL}", "[true,false,null]");
    check("[j,]", "{\"{\\\"a\\\": 1}\",null,NULL}", "[{\"a\": 1},null,null]");
    check("[x,]", "{\"\\\\xdead\",\"\\\\x\"}", "[\"3q0=\",\"\"]");
    check("[z,]", "{\"2024-01-02 03:04:05+00\",infinity}",
          "[\"2024-01-02T03:04:05+00:00\",\"infinity\"]");
    check("[n ]", "1 2 3", "[1,2,3]");
    check("[n ]", "", "[]");
    static const char *const refused[] = {"",       "{",     "}",      "{1",     "{1,}",
                                          "{,1}",   "{1}}",  "{{1}",   "1,2",    "{\"a}",
                                          "{1}x",   "[0:1]", "{1,{2}", "{1}{2}", "{a\\",
                                          "{\"a\\", "{{}1}", "[0:1]=", "{a{b}}", "{\"a\"b}"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        check_refused("[s,]", refused[i]);
    }
    char deep[64];
    memset(deep, '{', 40);
    memset(deep + 40, 0, 1);
    check_refused("[s,]", deep);
}

static void composites(void **state)
{
    static const char cls[] = "{\"a\":n,\"b c\":s,\"d\":[n,],\"e\":{\"f\":s,\"g\":z}}";
    (void)state;
    check(cls, "(1,x,\"{1,2}\",\"(\"\"q\"\"\"\"x\"\",\"\"2024-01-02 03:04:05+00\"\")\")",
          "{\"a\":1,\"b c\":\"x\",\"d\":[1,2],\"e\":{\"f\":\"q\\\"x\","
          "\"g\":\"2024-01-02T03:04:05+00:00\"}}");
    check(cls, "(,,,)", "{\"a\":null,\"b c\":null,\"d\":null,\"e\":null}");
    check(cls, "(1,\"\",{},)", "{\"a\":1,\"b c\":\"\",\"d\":[],\"e\":null}");
    check(cls, "(1,\"a\\\\b,\"\"c\"\"\",{},)",
          "{\"a\":1,\"b c\":\"a\\\\b,\\\"c\\\"\",\"d\":[],\"e\":null}");
    check("{}", "()", "{}");
    check("{\"a\":s}", "()", "{\"a\":null}");
    check("[{\"a\":n,\"b\":s},]", "{\"(1,\\\"x y\\\")\",NULL,\"(2,)\"}",
          "[{\"a\":1,\"b\":\"x y\"},null,{\"a\":2,\"b\":null}]");
    check("{\"\\u00e9\\n\\\"\":s}", "(x)", "{\"\xc3\xa9\\n\\\"\":\"x\"}");
    check("{\"\\ud83d\\ude00\":s}", "(x)", "{\"\xf0\x9f\x98\x80\":\"x\"}");
    static const char *const refused[] = {"",
                                          "(",
                                          ")",
                                          "()",
                                          "(1)",
                                          "(1,2,3,4,5)",
                                          "1,2,3,4",
                                          "(1,\"x,{},)",
                                          "(1,x\"y\",{},)",
                                          "(1,\"x\"y,{},)",
                                          "(1,x,{},",
                                          "(1,x,{},)z"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        check_refused(cls, refused[i]);
    }
    check_refused("{}", "(x)");
}

static void bad_classes(void **state)
{
    static const char *const refused[] = {"q",
                                          "[",
                                          "[n",
                                          "[n,",
                                          "[n{]",
                                          "{",
                                          "{\"a\"",
                                          "{\"a\":",
                                          "{\"a\":s",
                                          "{a:s}",
                                          "{\"a\":s,}",
                                          "ss",
                                          "{\"\\q\":s}",
                                          "{\"\\ud800\":s}",
                                          "{\"\\u12\":s}"};
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        check_refused(refused[i], "x");
    }
    char deep[200];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    check_refused(deep, "x");
}

/* Values far larger than a chunk go through in pieces and come out whole. */
static void huge_values(void **state)
{
    const size_t n = 3 * 1024 * 1024;
    struct sluice_error err = SLUICE_ERROR_INIT;
    char *text = malloc(n + 16);
    char *want = malloc(n * 6 + 64);
    (void)state;
    assert_non_null(text);
    assert_non_null(want);
    for (size_t i = 0; i < n; i++) {
        text[i] = (char)(i % 7 == 0 ? '"' : i % 1000 == 0 ? 1 : 'a' + (int)(i % 26));
    }
    size_t size = (size_t)snprintf(want, 64, "{\"v\":\"");
    size += slow_escape(want + size, (const uint8_t *)text, n);
    memcpy(want + size, "\"}\n", 4);
    char *got = test_render_text("u", "sluice:text", "s", text, n, SLUICE_LAKE_JSONL, &err);
    assert_non_null(got);
    assert_true(strcmp(got, want) == 0);
    free(got);
    /* the same as the one element of an array: {"…"} with escapes doubled */
    char *array = malloc(n * 2 + 16);
    assert_non_null(array);
    size_t m = 0;
    array[m++] = '{';
    array[m++] = '"';
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"') {
            array[m++] = '\\';
        }
        array[m++] = text[i];
    }
    array[m++] = '"';
    array[m++] = '}';
    size = (size_t)snprintf(want, 64, "{\"v\":[\"");
    size += slow_escape(want + size, (const uint8_t *)text, n);
    memcpy(want + size, "\"]}\n", 5);
    got = test_render_text("u", "sluice:text", "[s,]", array, m, SLUICE_LAKE_JSONL, &err);
    assert_non_null(got);
    assert_true(strcmp(got, want) == 0);
    free(got);
    free(array);
    free(want);
    free(text);
}

/* Random text in random classes: any answer but a crash. */
static void random_texts(void **state)
{
    static const char alphabet[] = "{}(),\"\\ NULL[]:=t1.-x\n\xc3\xa9";
    static const char *const classes[] = {"[s,]",
                                          "[n,]",
                                          "[[n,],]",
                                          "{\"a\":s,\"b\":[n,]}",
                                          "[{\"a\":s,\"b\":x},]",
                                          "[x,]",
                                          "z",
                                          "n",
                                          "x",
                                          "{\"a\":{\"b\":{\"c\":[s,]}}}",
                                          "[n ]",
                                          "b"};
    uint64_t random = 20240102;
    (void)state;
    for (int i = 0; i < 60000; i++) {
        char text[48];
        size_t n = 0;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint64_t bits = random;
        size_t length = bits % sizeof text;
        while (n < length) {
            bits = bits * 6364136223846793005u + 1442695040888963407u;
            text[n++] = alphabet[(bits >> 33) % (sizeof alphabet - 1)];
        }
        const char *cls = classes[(random >> 40) % (sizeof classes / sizeof *classes)];
        if (n >= 2 && (random & 1) != 0) {
            text[0] = cls[0] == '{' ? '(' : '{';
            text[n - 1] = cls[0] == '{' ? ')' : '}';
        }
        struct sluice_error err = SLUICE_ERROR_INIT;
        free(test_render_text("u", "sluice:text", cls, text, n, SLUICE_LAKE_JSONL, &err));
    }
}

static void check_csv(const char *text, const char *want)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    char line[256];
    char *got = test_render_text("u", NULL, NULL, text, text != NULL ? strlen(text) : 0,
                                 SLUICE_LAKE_CSV, &err);
    (void)snprintf(line, sizeof line, "%s\n", want);
    assert_non_null(got);
    assert_string_equal(got, line);
    free(got);
}

static void csv_quoting(void **state)
{
    (void)state;
    check_csv("plain", "plain");
    check_csv(NULL, "");
    check_csv("", "\"\"");
    check_csv("a,b", "\"a,b\"");
    check_csv("a\"b", "\"a\"\"b\"");
    check_csv("\"", "\"\"\"\"");
    check_csv("a\nb", "\"a\nb\"");
    check_csv("a\rb", "\"a\rb\"");
    check_csv(" a ", " a ");
    check_csv("\\.", "\"\\.\"");
    check_csv("\\", "\\");
    check_csv("a much longer text with nothing special in it",
              "a much longer text with nothing special in it");
    check_csv("a much longer text with a comma at the end,",
              "\"a much longer text with a comma at the end,\"");
}

int run_text_tests(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(escapes_every_length),
                                       cmocka_unit_test(leaves),
                                       cmocka_unit_test(arrays),
                                       cmocka_unit_test(composites),
                                       cmocka_unit_test(bad_classes),
                                       cmocka_unit_test(huge_values),
                                       cmocka_unit_test(random_texts),
                                       cmocka_unit_test(csv_quoting)};
    return cmocka_run_group_tests_name("lake text", tests, NULL, NULL);
}
