/* Transform mask. */
#include "fixture.h"

#include <openssl/evp.h>

#include "sluice/text.h"

#define ROWS 90

static void expect_text(const struct sluice_view *v, int64_t row, const char *text)
{
    struct sluice_bytes b = sluice_view_bytes(v, row);
    assert_int_equal(b.size, strlen(text));
    assert_memory_equal(b.data, text, b.size);
}

/* Hex SHA-256 of salt and value by the one-shot interface. */
static void reference_hash(const char *salt, struct sluice_bytes value, char out[65])
{
    uint8_t joined[4096];
    uint8_t digest[32];
    unsigned size = 0;
    uint64_t n = strlen(salt);
    memcpy(joined, salt, n);
    memcpy(joined + n, value.data, value.size);
    assert_int_equal(EVP_Digest(joined, n + value.size, digest, &size, EVP_sha256(), NULL), 1);
    for (unsigned i = 0; i < size; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
}

static void sha256_hashes_every_type(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {
        {"columns", "*"}, {"with", "sha256"}, {"salt", "pepper"}, {NULL, NULL}};
    struct fixture f;
    struct sluice_testkit_table t;
    struct sluice_batch in;
    struct sluice_batch again;
    struct sluice_batch out;
    assert_int_equal(sluice_testkit_table_init(&t, SLUICE_BEFORE_NONE, NULL), SLUICE_OK);
    fixture_open(&f, sluice_plugin_mask_entry_v0(), set);
    assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
    assert_int_equal(f.desc->key_count, 1);
    assert_int_equal(sluice_testkit_rows(&t, 0, ROWS, &in, NULL), SLUICE_OK);
    assert_int_equal(sluice_testkit_rows(&t, 0, ROWS, &again, NULL), SLUICE_OK);
    fixture_pass(&f, &in, &out);
    struct sluice_view before[32];
    struct sluice_view after[32];
    assert_int_equal(sluice_views_init(&t.schema, &again.array, before, NULL), SLUICE_OK);
    assert_int_equal(sluice_views_init(f.desc->schema, &out.array, after, NULL), SLUICE_OK);
    for (int64_t c = 0; c < t.schema.n_children; c++) {
        assert_string_equal(f.desc->schema->children[c]->format, "u");
        assert_true(
            sluice_schema_metadata_is(f.desc->schema->children[c], "sluice:masked", "sha256"));
        for (int64_t i = 0; i < ROWS; i++) {
            assert_int_equal(sluice_view_is_null(&before[c], i), sluice_view_is_null(&after[c], i));
            if (!sluice_view_is_null(&before[c], i)) {
                char buffer[SLUICE_TEXT_MAX];
                char expected[65];
                struct sluice_bytes text;
                assert_int_equal(sluice_view_text(&before[c], i, buffer, &text, NULL), SLUICE_OK);
                reference_hash("pepper", text, expected);
                expect_text(&after[c], i, expected);
            }
        }
    }
    sluice_array_release(&out.array);
    sluice_array_release(&again.array);
    fixture_close(&f);
    sluice_testkit_table_free(&t);
}

static void sha256_as_bytes_in_changes(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {{"columns", "public.testkit.note"},
                                      {"columns", "id"},
                                      {"with", "sha256"},
                                      {"encoding", "binary"},
                                      {NULL, NULL}};
    for (int32_t kind = SLUICE_BEFORE_NONE; kind <= SLUICE_BEFORE_FULL; kind++) {
        struct fixture f;
        struct sluice_testkit_table t;
        struct sluice_batch in;
        struct sluice_batch out;
        assert_int_equal(sluice_testkit_table_init(&t, kind, NULL), SLUICE_OK);
        fixture_open(&f, sluice_plugin_mask_entry_v0(), set);
        assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
        assert_int_equal(sluice_testkit_changes(&t, 0, ROWS, &in, NULL), SLUICE_OK);
        fixture_pass(&f, &in, &out);
        struct sluice_change_view cv;
        assert_int_equal(sluice_change_view_init(&cv, f.desc, &out, NULL), SLUICE_OK);
        for (int64_t i = 0; i < ROWS; i++) {
            const struct sluice_view *key = sluice_change_key(&cv, i, 0, 1);
            if (key == NULL) {
                assert_int_equal(sluice_change_op(&cv, i), 'D');
                continue;
            }
            char text[24];
            char hex[65];
            char expected[65];
            int n = snprintf(text, sizeof text, "%d", (int)i);
            struct sluice_bytes value = {text, (uint64_t)n};
            reference_hash("", value, expected);
            struct sluice_bytes b = sluice_view_bytes(key, i);
            assert_int_equal(b.size, 32);
            for (unsigned k = 0; k < 32; k++) {
                (void)snprintf(hex + 2 * k, 3, "%02x", ((const uint8_t *)b.data)[k]);
            }
            assert_string_equal(hex, expected);
            int64_t note = fixture_column(&f, "note");
            assert_int_equal(sluice_change_is_unchanged(&cv, i, note), i % 3 == 1 && i % 2 == 0);
        }
        sluice_change_view_free(&cv);
        sluice_array_release(&out.array);
        fixture_close(&f);
        sluice_testkit_table_free(&t);
    }
}

/* A table of one text column, for values of one's own. */
static void text_batch(struct ArrowSchema *schema, struct sluice_stream_desc *desc,
                       const char *const *words, int64_t n, struct sluice_batch *out)
{
    static const struct sluice_type text = {SLUICE_TYPE_UTF8, 0, 0, 0};
    struct sluice_rows rows;
    assert_int_equal(sluice_schema_init(schema, 1, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema, 0, "word", &text, 0, NULL, 0, NULL), SLUICE_OK);
    memset(desc, 0, sizeof *desc);
    desc->struct_size = (uint32_t)sizeof *desc;
    desc->stream_id = 5;
    desc->schema_id = 1;
    desc->name = "public.words";
    desc->schema = schema;
    assert_int_equal(sluice_rows_init(&rows, schema, 100, NULL), SLUICE_OK);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(
            sluice_column_put_bytes(&rows.columns[0], words[i], strlen(words[i]), NULL), SLUICE_OK);
        sluice_rows_end_row(&rows);
    }
    memset(out, 0, sizeof *out);
    out->struct_size = (uint32_t)sizeof *out;
    out->kind = SLUICE_BATCH_ROWS;
    out->stream_id = 5;
    out->schema_id = 1;
    out->rows = (uint64_t)n;
    assert_int_equal(sluice_rows_finish(&rows, &out->array, NULL), SLUICE_OK);
    sluice_rows_free(&rows);
}

static void mask_words(const struct sluice_pair *set, const char *const *words,
                       const char *const *expected, int64_t n)
{
    struct fixture f;
    struct ArrowSchema schema;
    struct sluice_stream_desc desc;
    struct sluice_batch in;
    struct sluice_batch out;
    struct sluice_view v;
    fixture_open(&f, sluice_plugin_mask_entry_v0(), set);
    text_batch(&schema, &desc, words, n, &in);
    assert_int_equal(fixture_bind(&f, &desc), SLUICE_OK);
    fixture_pass(&f, &in, &out);
    assert_int_equal(sluice_views_init(f.desc->schema, &out.array, &v, NULL), SLUICE_OK);
    for (int64_t i = 0; i < n; i++) {
        if (expected == NULL) {
            assert_true(sluice_view_is_null(&v, i));
        }
        else {
            expect_text(&v, i, expected[i]);
        }
    }
    sluice_array_release(&out.array);
    fixture_close(&f);
    sluice_schema_release(&schema);
}

static const char *const words[] = {"",
                                    "abc",
                                    "abcd",
                                    "abcde",
                                    "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
                                    "\xf0\x9f\x98\x80\xf0\x9f\x98\x81xyz"};
#define WORDS 6

static void text_is_cut_by_characters(void **state)
{
    (void)state;
    const struct sluice_pair truncate[] = {
        {"columns", "word"}, {"with", "truncate"}, {"length", "2"}, {NULL, NULL}};
    static const char *const truncated[] = {
        "", "ab", "ab", "ab", "\xe6\x97\xa5\xe6\x9c\xac", "\xf0\x9f\x98\x80\xf0\x9f\x98\x81"};
    mask_words(truncate, words, truncated, WORDS);
    const struct sluice_pair nothing[] = {
        {"columns", "word"}, {"with", "truncate"}, {"length", "0"}, {NULL, NULL}};
    static const char *const empty[] = {"", "", "", "", "", ""};
    mask_words(nothing, words, empty, WORDS);
    const struct sluice_pair keep[] = {{"columns", "word"},
                                       {"with", "keep_last"},
                                       {"length", "4"},
                                       {"replacement", "#"},
                                       {NULL, NULL}};
    static const char *const kept[] = {"#", "#", "#", "#bcde", "#", "#\xf0\x9f\x98\x81xyz"};
    mask_words(keep, words, kept, WORDS);
    const struct sluice_pair redact[] = {
        {"columns", "public.*.word"}, {"with", "redact"}, {NULL, NULL}};
    static const char *const redacted[] = {"***", "***", "***", "***", "***", "***"};
    mask_words(redact, words, redacted, WORDS);
    const struct sluice_pair null[] = {{"columns", "word"}, {"with", "null"}, {NULL, NULL}};
    mask_words(null, words, NULL, WORDS);
    const struct sluice_pair nullify[] = {{"columns", "word"}, {"with", "nullify"}, {NULL, NULL}};
    mask_words(nullify, words, NULL, WORDS);
}

static void wrong_uses_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct sluice_testkit_table t;
    assert_int_equal(sluice_testkit_table_init(&t, SLUICE_BEFORE_KEY, NULL), SLUICE_OK);
    static const struct {
        const char *column;
        const char *with;
        const char *says;
    } cases[] = {{"number", "truncate", "works on text only"},
                 {"price", "keep_last", "works on text only"},
                 {"id", "null", "part of the key"},
                 {"id", "redact", "part of the key"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sluice_pair set[] = {
            {"columns", cases[i].column}, {"with", cases[i].with}, {NULL, NULL}};
        fixture_open(&f, sluice_plugin_mask_entry_v0(), set);
        assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_E_INVALID);
        assert_non_null(strstr(f.err.message, cases[i].says));
        assert_non_null(strstr(f.err.message, "public.testkit"));
        assert_non_null(strstr(f.err.message, cases[i].column));
        fixture_close(&f);
    }
    const struct sluice_pair bad[] = {{"columns", "public.t."}, {"with", "null"}, {NULL, NULL}};
    fixture_open_fails(&f, sluice_plugin_mask_entry_v0(), bad);
    assert_int_equal(f.err.status, SLUICE_E_INVALID);
    sluice_testkit_table_free(&t);
}

static void unused_patterns_are_warned_of(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {{"columns", "note"},
                                      {"columns", "public.other.ssn"},
                                      {"columns", "public.testkit.missing"},
                                      {"with", "redact"},
                                      {NULL, NULL}};
    struct fixture f;
    struct sluice_testkit_table t;
    assert_int_equal(sluice_testkit_table_init(&t, SLUICE_BEFORE_KEY, NULL), SLUICE_OK);
    fixture_open(&f, sluice_plugin_mask_entry_v0(), set);
    assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
    assert_non_null(strstr(sluice_testkit_host_log(f.host), "public.testkit.missing"));
    assert_null(strstr(sluice_testkit_host_log(f.host), "ssn"));
    struct sluice_testkit_host *host = f.host;
    f.api->destroy(f.xf);
    /* Only asked for descriptions: it saw every stream, so it can tell. */
    assert_non_null(strstr(sluice_testkit_host_log(host), "public.other.ssn"));
    assert_null(strstr(sluice_testkit_host_log(host), "pattern=\"note\""));
    f.xf = NULL;
    fixture_close(&f);
    /* One that works on a shard sees one stream, and keeps quiet. */
    struct sluice_batch in;
    struct sluice_batch out;
    fixture_open(&f, sluice_plugin_mask_entry_v0(), set);
    assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
    assert_int_equal(sluice_testkit_rows(&t, 0, 3, &in, NULL), SLUICE_OK);
    fixture_pass(&f, &in, &out);
    sluice_array_release(&out.array);
    f.api->destroy(f.xf);
    f.xf = NULL;
    assert_null(strstr(sluice_testkit_host_log(f.host), "ssn"));
    fixture_close(&f);
    sluice_testkit_table_free(&t);
}

static void what_was_not_bound_is_refused(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {{"columns", "note"}, {"with", "redact"}, {NULL, NULL}};
    struct fixture f;
    struct sluice_testkit_table t;
    struct sluice_batch in;
    assert_int_equal(sluice_testkit_table_init(&t, SLUICE_BEFORE_KEY, NULL), SLUICE_OK);
    fixture_open(&f, sluice_plugin_mask_entry_v0(), set);
    assert_int_equal(sluice_testkit_rows(&t, 0, 3, &in, NULL), SLUICE_OK);
    assert_int_equal(f.api->push(f.xf, &in, &f.err), SLUICE_E_STATE);
    assert_non_null(in.array.release);
    sluice_array_release(&in.array);
    fixture_close(&f);
    sluice_testkit_table_free(&t);
}

int run_mask_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_hashes_every_type),
        cmocka_unit_test(sha256_as_bytes_in_changes),
        cmocka_unit_test(text_is_cut_by_characters),
        cmocka_unit_test(wrong_uses_are_refused),
        cmocka_unit_test(unused_patterns_are_warned_of),
        cmocka_unit_test(what_was_not_bound_is_refused),
    };
    return cmocka_run_group_tests_name("mask", tests, NULL, NULL);
}
