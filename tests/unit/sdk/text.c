/* Errors, logs, options, positions, backoff. */
#include "test_sdk.h"

#include <errno.h>

#include "sluice/backoff.h"
#include "sluice/error.h"
#include "sluice/log.h"
#include "sluice/option.h"
#include "sluice/position.h"

static void error_is_set_and_wrapped(void **state)
{
    (void)state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sizeof err, 1024);
    assert_int_equal(sluice_error_set(&err, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, "read %d", 7),
                     SLUICE_E_IO);
    assert_int_equal(err.flags, SLUICE_ERROR_RETRYABLE);
    assert_int_equal(err.row, -1);
    assert_string_equal(err.message, "read 7");
    assert_int_equal(sluice_error_wrap(&err, "table %s", "t"), SLUICE_E_IO);
    assert_string_equal(err.message, "table t: read 7");
    /* The message itself as an argument. */
    (void)sluice_error_set(&err, SLUICE_E_DATA, 0, "<%s>", err.message);
    assert_string_equal(err.message, "<table t: read 7>");
    assert_int_equal(sluice_error_set(NULL, SLUICE_E_DATA, 0, "x"), SLUICE_E_DATA);
    sluice_error_clear(&err);
    assert_int_equal(err.status, 0);
}

static void error_is_cut_at_a_character(void **state)
{
    (void)state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    char text[1200];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 3 <= sizeof text - 1; i += 3) {
            memcpy(text + i, "\xe2\x82\xac", 3);
        }
        text[sizeof text - 1] = '\0';
        (void)sluice_error_set(&err, SLUICE_E_DATA, 0, "%s", text);
        size_t n = strlen(err.message);
        assert_in_range(n, sizeof err.message - 4, sizeof err.message - 1);
        assert_int_equal((n - shift) % 3, 0);
        (void)sluice_error_wrap(&err, "%s", "a");
        n = strlen(err.message);
        assert_int_equal((n - shift - 3) % 3, 0);
    }
}

static void error_from_errno(void **state)
{
    (void)state;
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_error_errno(&err, ECONNRESET, "host %s", "h"), SLUICE_E_IO);
    assert_int_equal(err.native_code, ECONNRESET);
    assert_int_equal(err.flags, SLUICE_ERROR_RETRYABLE);
    assert_non_null(strstr(err.message, "host h: Connection reset"));
    assert_int_equal(sluice_error_errno(&err, ENOENT, "file"), SLUICE_E_NOT_FOUND);
    assert_int_equal(err.flags, 0);
    assert_string_equal(sluice_status_name(SLUICE_E_UNAVAILABLE), "UNAVAILABLE");
    assert_string_equal(sluice_status_name(SLUICE_END), "END");
    assert_string_equal(sluice_status_name(-1000), "INTERNAL");
}

struct log_seen {
    uint64_t size;
    int32_t level;
    char text[4096];
};

static void see_log(void *ctx, int32_t level, const char *message, uint64_t size)
{
    struct log_seen *seen = ctx;
    seen->level = level;
    seen->size = size;
    memcpy(seen->text, message, size);
    seen->text[size] = '\0';
}

static int32_t info_only(void *ctx, int32_t level)
{
    (void)ctx;
    return level <= SLUICE_LOG_INFO;
}

static void log_formats_and_cuts(void **state)
{
    (void)state;
    struct log_seen seen = {0, 0, ""};
    struct sluice_host host;
    memset(&host, 0, sizeof host);
    host.ctx = &seen;
    host.log = see_log;
    host.log_enabled = info_only;
    sluice_log(&host, SLUICE_LOG_INFO, "opened rows=%d", 3);
    assert_string_equal(seen.text, "opened rows=3");
    sluice_log(&host, SLUICE_LOG_DEBUG, "hidden");
    assert_string_equal(seen.text, "opened rows=3");
    char text[3001];
    memset(text, 'y', 3000);
    text[3000] = '\0';
    sluice_log(&host, SLUICE_LOG_INFO, "%s", text);
    assert_int_equal(seen.size, 2000);
    for (size_t i = 0; i + 4 <= 3000; i += 4) {
        memcpy(text + i, "\xf0\x9f\x98\x80", 4);
    }
    sluice_log(&host, SLUICE_LOG_INFO, "x%s", text);
    assert_int_equal((seen.size - 1) % 4, 0);
    assert_in_range(seen.size, 1996, 2000);
}

struct bound {
    const char *text;
    const char *unset;
    int64_t number;
    int64_t unset_number;
    int32_t flag;
    struct sluice_option_list list;
    struct sluice_option_map map;
};

static const char *const list_items[] = {"a", "b"};
static const struct sluice_pair map_pairs[] = {{"k", "v"}};

static sluice_status get_option(void *ctx, const char *key, struct sluice_value *out)
{
    (void)ctx;
    assert_int_equal(out->struct_size, sizeof *out);
    struct sluice_value v;
    memset(&v, 0, sizeof v);
    v.is_set = 1;
    if (strcmp(key, "text") == 0) {
        v.type = SLUICE_OPTION_STRING;
        v.string = "hello";
    }
    else if (strcmp(key, "unset") == 0) {
        v.type = SLUICE_OPTION_STRING;
        v.is_set = 0;
    }
    else if (strcmp(key, "number") == 0) {
        v.type = SLUICE_OPTION_SIZE;
        v.number = 1 << 20;
    }
    else if (strcmp(key, "unset_number") == 0) {
        v.type = SLUICE_OPTION_ENUM;
        v.is_set = 0;
    }
    else if (strcmp(key, "flag") == 0) {
        v.type = SLUICE_OPTION_BOOL;
        v.number = 1;
    }
    else if (strcmp(key, "list") == 0) {
        v.type = SLUICE_OPTION_LIST;
        v.count = 2;
        v.items = list_items;
    }
    else if (strcmp(key, "map") == 0) {
        v.type = SLUICE_OPTION_MAP;
        v.count = 1;
        v.pairs = map_pairs;
    }
    else {
        return SLUICE_E_NOT_FOUND;
    }
    *out = v;
    return SLUICE_OK;
}

static void options_are_bound(void **state)
{
    (void)state;
    static const struct sluice_option_binding bindings[] = {
        SLUICE_BIND(struct bound, text, "text"),
        SLUICE_BIND(struct bound, unset, "unset"),
        SLUICE_BIND(struct bound, number, "number"),
        SLUICE_BIND(struct bound, unset_number, "unset_number"),
        SLUICE_BIND(struct bound, flag, "flag"),
        SLUICE_BIND(struct bound, list, "list"),
        SLUICE_BIND(struct bound, map, "map"),
        {NULL, 0}};
    static const struct sluice_option_binding wrong[] = {SLUICE_BIND(struct bound, text, "txet"),
                                                         {NULL, 0}};
    struct sluice_host host;
    memset(&host, 0, sizeof host);
    host.config_get = get_option;
    struct bound b;
    memset(&b, 0x55, sizeof b);
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_options_bind(&host, bindings, &b, &err), SLUICE_OK);
    assert_string_equal(b.text, "hello");
    assert_null(b.unset);
    assert_int_equal(b.number, 1 << 20);
    assert_int_equal(b.unset_number, -1);
    assert_int_equal(b.flag, 1);
    assert_int_equal(b.list.count, 2);
    assert_string_equal(b.list.items[1], "b");
    assert_string_equal(b.map.pairs[0].value, "v");
    assert_int_equal(sluice_options_bind(&host, wrong, &b, &err), SLUICE_E_INVALID);
    assert_non_null(strstr(err.message, "txet"));
}

static void integers_are_big_endian(void **state)
{
    (void)state;
    uint8_t p[8];
    sluice_put_be64(p, 0x0102030405060708u);
    assert_memory_equal(p, "\1\2\3\4\5\6\7\10", 8);
    assert_true(sluice_get_be64(p) == 0x0102030405060708u);
    sluice_put_be32(p, 0xfffefdfcu);
    assert_int_equal(sluice_get_be32(p), 0xfffefdfcu);
    sluice_put_be16(p, 0x8001u);
    assert_int_equal(sluice_get_be16(p), 0x8001u);
}

static void hex_and_base64_round_trip(void **state)
{
    (void)state;
    uint8_t in[40];
    uint8_t back[44];
    char text[100];
    struct sluice_error err = SLUICE_ERROR_INIT;
    uint64_t seed = 9;
    for (uint64_t n = 0; n <= sizeof in; n++) {
        for (uint64_t i = 0; i < n; i++) {
            in[i] = (uint8_t)next_random(&seed);
        }
        sluice_hex_encode(in, n, text);
        assert_int_equal(strlen(text), 2 * n);
        assert_int_equal(sluice_hex_decode(text, 2 * n, back, n, &err), SLUICE_OK);
        assert_memory_equal(in, back, n);
        uint64_t size = sluice_base64_encode(in, n, text);
        assert_int_equal(size, 4 * ((n + 2) / 3));
        uint64_t got = 0;
        assert_int_equal(sluice_base64_decode(text, size, back, &got, &err), SLUICE_OK);
        assert_int_equal(got, n);
        assert_memory_equal(in, back, n);
    }
    (void)sluice_base64_encode("fooba", 5, text);
    assert_string_equal(text, "Zm9vYmE=");
    uint64_t got = 0;
    static const char *const bad[] = {
        "Zg=", "Zh==", "Z===", "====", "Zg==Zg==", "Zm9vYmF=", "Zm9 "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(sluice_base64_decode(bad[i], strlen(bad[i]), back, &got, &err),
                         SLUICE_E_DATA);
    }
    assert_int_equal(sluice_hex_decode("0g", 2, back, 1, &err), SLUICE_E_DATA);
    assert_int_equal(sluice_hex_decode("000", 3, back, 1, &err), SLUICE_E_DATA);
}

static void lsn_is_parsed_and_printed(void **state)
{
    (void)state;
    char text[24];
    uint64_t lsn = 0;
    sluice_lsn_format(0x16B374D848u, text);
    assert_string_equal(text, "16/B374D848");
    assert_int_equal(sluice_lsn_parse("16/b374D848", &lsn, NULL), SLUICE_OK);
    assert_true(lsn == 0x16B374D848u);
    assert_int_equal(sluice_lsn_parse("FFFFFFFF/FFFFFFFF", &lsn, NULL), SLUICE_OK);
    assert_true(lsn == UINT64_MAX);
    static const char *const bad[] = {"",  "/",    "1/",  "/1", "1/2x", "123456789/1",
                                      "1", "1//2", "-1/2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(sluice_lsn_parse(bad[i], &lsn, NULL), SLUICE_E_DATA);
    }
}

static void positions_are_ordered_like_bytes(void **state)
{
    (void)state;
    struct sluice_bytes none = {NULL, 0};
    struct sluice_bytes a = {"ab", 2};
    struct sluice_bytes b = {"abc", 3};
    struct sluice_bytes c = {"b", 1};
    assert_int_equal(sluice_position_compare(none, none), 0);
    assert_int_equal(sluice_position_compare(none, a), -1);
    assert_int_equal(sluice_position_compare(a, b), -1);
    assert_int_equal(sluice_position_compare(c, b), 1);
    assert_int_equal(sluice_position_compare(b, b), 0);
}

static void backoff_grows_and_ends(void **state)
{
    (void)state;
    struct sluice_backoff b;
    sluice_backoff_init(&b, 1000, 60000, 20, 42);
    int64_t top = 1000;
    for (int i = 0; i < 20; i++) {
        int64_t wait = sluice_backoff_next(&b);
        assert_in_range(wait, top / 2, top);
        top = top * 2 < 60000 ? top * 2 : 60000;
    }
    assert_int_equal(sluice_backoff_next(&b), -1);
    sluice_backoff_reset(&b);
    assert_in_range(sluice_backoff_next(&b), 500, 1000);
    sluice_backoff_init(&b, INT64_MAX / 2 + 2, INT64_MAX, 0, 1);
    for (int i = 0; i < 100; i++) {
        assert_true(sluice_backoff_next(&b) > 0);
    }
}

int run_text_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_is_set_and_wrapped),
        cmocka_unit_test(error_is_cut_at_a_character),
        cmocka_unit_test(error_from_errno),
        cmocka_unit_test(log_formats_and_cuts),
        cmocka_unit_test(options_are_bound),
        cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(hex_and_base64_round_trip),
        cmocka_unit_test(lsn_is_parsed_and_printed),
        cmocka_unit_test(positions_are_ordered_like_bytes),
        cmocka_unit_test(backoff_grows_and_ends),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
