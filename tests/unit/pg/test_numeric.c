/* numeric: bytes captured from PostgreSQL 15 (numeric_send), and a property over random values. */
#include "pg/numeric.h"

#include "tests.h"

size_t pg_test_unhex(const char *hex, uint8_t *out, size_t cap)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;
    for (; hex[0] != '\0' && hex[1] != '\0' && n < cap; hex += 2) {
        const char *high = strchr(digits, hex[0]);
        const char *low = strchr(digits, hex[1]);
        assert_non_null(high);
        assert_non_null(low);
        out[n++] = (uint8_t)((high - digits) << 4 | (low - digits));
    }
    return n;
}

/* value * 10^scale as decimal digits, out of words by repeated division. */
static void words_text(const uint64_t *words, int count, char out[100])
{
    uint64_t w[4] = {0, 0, 0, 0};
    char reversed[100];
    size_t n = 0;
    memcpy(w, words, (size_t)count * 8);
    int negative = (w[count - 1] >> 63) != 0;
    if (negative) {
        uint64_t carry = 1;
        for (int i = 0; i < count; i++) {
            w[i] = ~w[i] + carry;
            carry = carry != 0 && w[i] == 0;
        }
    }
    int zero = 0;
    while (!zero) {
        uint64_t rest = 0;
        zero = 1;
        for (int i = count - 1; i >= 0; i--) {
            for (int half = 1; half >= 0; half--) {
                uint64_t part = (rest << 32) | ((w[i] >> (32 * half)) & 0xffffffffu);
                uint64_t q = part / 10;
                rest = part % 10;
                w[i] =
                    half == 1 ? (w[i] & 0xffffffffu) | (q << 32) : (w[i] & 0xffffffff00000000u) | q;
            }
            zero = zero && w[i] == 0;
        }
        reversed[n++] = (char)('0' + rest);
    }
    size_t at = 0;
    if (negative) {
        out[at++] = '-';
    }
    while (n > 0) {
        out[at++] = reversed[--n];
    }
    out[at] = '\0';
}

struct golden {
    const char *hex;
    int32_t precision;
    int32_t scale;
    const char *expected; /* the scaled integer */
};

static const struct golden goldens[] = {
    {"0000000000000002", 12, 2, "0"},
    {"0001ffff000000020064", 12, 2, "1"},
    {"0002000040000002270f26ac", 12, 2, "-999999"},
    {"00010001000000020001", 12, 2, "1000000"},
    {"00040002000000020063270f270f26ac", 12, 2, "999999999999"},
    {"00040002400000020063270f270f26ac", 12, 2, "-999999999999"},
    {"0001ffff000000040001", 5, 4, "1"},
    {"0002000040000004270f270f", 8, 4, "-99999999"},
    {"0001000200000000000a", 18, 0, "1000000000"},
    {"00050004000000000063270f270f270f270f", 18, 0, "999999999999999999"},
    {"0005000400000000000c0d801ed204d2162e", 18, 0, "123456789012345678"},
    {"0001fffb000000120064", 18, 18, "1"},
    {"0001000200000000000a", 38, 0, "1000000000"},
    {"00010006000000001b58", 38, 0, "7000000000000000000000000000"},
    {"000a0009000000000063270f270f270f270f270f270f270f270f270f", 38, 0,
     "99999999999999999999999999999999999999"},
    {"000a0009400000000063270f270f270f270f270f270f270f270f270f", 38, 0,
     "-99999999999999999999999999999999999999"},
    {"000800040000000a007b11d722c509291a85007b11d722c4", 38, 10, "12345678901234567890123456789"},
    {"0013001200000000270f270f270f270f270f270f270f270f270f270f270f270f270f270f270f270f270f270f270f",
     76, 0, "9999999999999999999999999999999999999999999999999999999999999999999999999999"},
    {"00140009000000260063270f270f270f270f270f270f270f270f270f270f270f270f270f270f270f270f270f270f2"
     "6"
     "ac",
     76, 38, "9999999999999999999999999999999999999999999999999999999999999999999999999999"},
    {"0001fff6400000260064", 76, 38, "-1"},
    {"00010002000000000001", 10, 0, "100000000"},
    {"00020001000000000001"
     "07d0",
     5, 0, "12000"},
    {"0002ffff00000005000c0bb8", 5, 5, "123"},
};

static void golden_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        const struct golden *g = &goldens[i];
        uint8_t bytes[128];
        char text[100];
        uint64_t words[4];
        uint32_t size = (uint32_t)pg_test_unhex(g->hex, bytes, sizeof bytes);
        for (int count = g->precision <= 38 ? 2 : 4; count <= 4; count += 2) {
            assert_int_equal(
                sluice_pg_numeric_decode(bytes, size, g->precision, g->scale, count, words, NULL),
                SLUICE_OK);
            words_text(words, count, text);
            assert_string_equal(text, g->expected);
        }
        if (g->precision <= 18) {
            int64_t quick = 0;
            assert_int_equal(
                sluice_pg_numeric_decode64(bytes, size, g->precision, g->scale, &quick, NULL),
                SLUICE_OK);
            words[0] = (uint64_t)quick;
            words[1] = quick < 0 ? UINT64_MAX : 0;
            words_text(words, 2, text);
            assert_string_equal(text, g->expected);
        }
    }
}

static void special_values(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        sluice_status expected;
    } cases[] = {{"00000000c0000000", SLUICE_PG_NUMERIC_NAN},
                 {"00000000d0000020", SLUICE_PG_NUMERIC_INFINITE},
                 {"00000000f0000020", SLUICE_PG_NUMERIC_INFINITE},
                 {"0000000080000000", SLUICE_E_DATA},          /* no such sign */
                 {"00", SLUICE_E_DATA},                        /* torn header */
                 {"000100000000", SLUICE_E_DATA},              /* torn header */
                 {"0001000000000000", SLUICE_E_DATA},          /* torn digits */
                 {"00010000000000000001ff", SLUICE_E_DATA},    /* too long */
                 {"00010000000000002710", SLUICE_E_DATA},      /* digit 10000 */
                 {"ffff000000000000", SLUICE_E_DATA},          /* 65535 digits */
                 {"00010003000000000001", SLUICE_E_DATA},      /* 10^12 in numeric(12,2) */
                 {"0001ffff000000030001", SLUICE_E_DATA},      /* 0.0001 in numeric(12,2) */
                 {"00017fff000000000001", SLUICE_E_DATA},      /* weight 32767 */
                 {"00018000000000000001", SLUICE_E_DATA},      /* weight -32768 */
                 {"0003000000000000000100000000", SLUICE_OK}}; /* zero digits at the end */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[64];
        uint64_t words[4];
        int64_t quick = 0;
        struct sluice_error err = SLUICE_ERROR_INIT;
        uint32_t size = (uint32_t)pg_test_unhex(cases[i].hex, bytes, sizeof bytes);
        assert_int_equal(sluice_pg_numeric_decode(bytes, size, 12, 2, 2, words, &err),
                         cases[i].expected);
        assert_int_equal(sluice_pg_numeric_decode64(bytes, size, 12, 2, &quick, &err),
                         cases[i].expected);
    }
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Encodes a scaled integer given by its decimal digits as the server would. */
static uint32_t encode(const char *digits, size_t count, int32_t scale, int negative, uint8_t *out)
{
    char padded[320];
    size_t lead = (4 - (count - (size_t)scale) % 4) % 4;
    size_t tail = (4 - (size_t)scale % 4) % 4;
    memset(padded, '0', sizeof padded);
    memcpy(padded + lead, digits, count);
    size_t groups = (lead + count + tail) / 4;
    int weight = (int)((lead + count - (size_t)scale) / 4) - 1;
    size_t first = 0;
    while (first < groups && memcmp(padded + first * 4, "0000", 4) == 0) {
        first++;
        weight--;
    }
    while (groups > first && memcmp(padded + (groups - 1) * 4, "0000", 4) == 0) {
        groups--;
    }
    size_t n = groups - first;
    uint16_t header[4] = {(uint16_t)n, (uint16_t)(n > 0 ? weight : 0),
                          (uint16_t)(negative && n > 0 ? 0x4000 : 0), (uint16_t)scale};
    for (int i = 0; i < 4; i++) {
        out[2 * i] = (uint8_t)(header[i] >> 8);
        out[2 * i + 1] = (uint8_t)header[i];
    }
    for (size_t i = 0; i < n; i++) {
        const char *g = padded + (first + i) * 4;
        int v = (g[0] - '0') * 1000 + (g[1] - '0') * 100 + (g[2] - '0') * 10 + (g[3] - '0');
        out[8 + 2 * i] = (uint8_t)(v >> 8);
        out[9 + 2 * i] = (uint8_t)v;
    }
    return (uint32_t)(8 + 2 * n);
}

static void random_values(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    for (int round = 0; round < 60000; round++) {
        int32_t precision = 1 + (int32_t)(next_random(&seed) % (round % 2 ? 18 : 76));
        int32_t scale = (int32_t)(next_random(&seed) % (uint64_t)(precision + 1));
        size_t count = (size_t)precision;
        char digits[80];
        int zeros = next_random(&seed) % 4 == 0;
        for (size_t i = 0; i < count; i++) {
            uint64_t r = next_random(&seed);
            digits[i] = (char)(zeros && r % 3 ? '0' : '0' + r % 10);
        }
        int negative = next_random(&seed) % 2 == 0;
        uint8_t bytes[200];
        uint32_t size = encode(digits, count, scale, negative, bytes);
        char expected[100];
        size_t at = 0;
        size_t skip = 0;
        while (skip + 1 < count && digits[skip] == '0') {
            skip++;
        }
        if (negative && digits[skip] != '0') {
            expected[at++] = '-';
        }
        memcpy(expected + at, digits + skip, count - skip);
        expected[at + count - skip] = '\0';

        uint64_t words[4] = {0, 0, 0, 0};
        char text[100];
        int n = precision <= 38 ? 2 : 4;
        assert_int_equal(sluice_pg_numeric_decode(bytes, size, precision, scale, n, words, NULL),
                         SLUICE_OK);
        words_text(words, n, text);
        assert_string_equal(text, expected);
        if (precision <= 18) {
            int64_t quick = 0;
            assert_int_equal(
                sluice_pg_numeric_decode64(bytes, size, precision, scale, &quick, NULL), SLUICE_OK);
            assert_int_equal((uint64_t)quick, words[0]);
        }
        /* One digit less of precision must refuse the value if it has all its digits. */
        if (precision > 1 && digits[0] != '0' && scale < precision) {
            assert_int_equal(
                sluice_pg_numeric_decode(bytes, size, precision - 1, scale, n, words, NULL),
                SLUICE_E_DATA);
        }
    }
}

int pg_test_numeric(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden_values),
                                       cmocka_unit_test(special_values),
                                       cmocka_unit_test(random_values)};
    return cmocka_run_group_tests_name("numeric", tests, NULL, NULL);
}
