/* URI escaping, XML answers, addresses, checksums, part sizes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/checksum.h"
#include "s3/s3.h"
#include "s3/store_internal.h"
#include "s3/target.h"
#include "s3/uri.h"
#include "s3/xml.h"
#include "test_s3.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void test_unescape(void **state)
{
    static const char *const pairs[][2] = {
        {"a%20b", "a b"}, {"a+b", "a b"}, {"%2B%2b", "++"}, {"%", "%"},
        {"%2", "%2"},     {"%zz", "%zz"}, {"", ""},         {"%C3%A4", "\xc3\xa4"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct sluice_s3_buf buf = {0};
        sluice_s3_uri_unescape(&buf, pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(sluice_s3_buf_text(&buf), pairs[i][1]);
        sluice_s3_buf_free(&buf);
    }
}

static void test_escape_round_trip(void **state)
{
    char all[255];
    struct sluice_s3_buf escaped = {0};
    struct sluice_s3_buf back = {0};
    (void)state;
    for (int i = 0; i < 255; i++) {
        all[i] = (char)(i + 1);
    }
    sluice_s3_uri_escape(&escaped, all, sizeof all, false);
    sluice_s3_uri_unescape(&back, escaped.data, escaped.size);
    assert_int_equal(back.size, sizeof all);
    assert_memory_equal(back.data, all, sizeof all);
    sluice_s3_buf_free(&escaped);
    sluice_s3_buf_free(&back);
}

static void test_query_order(void **state)
{
    static const struct sluice_s3_pair pairs[] = {
        {"uploadId", "a+/="}, {"partNumber", "12"}, {"a", NULL}, {"A", "\xc3\xa4 "}};
    struct sluice_s3_buf buf = {0};
    (void)state;
    sluice_s3_uri_query(&buf, pairs, COUNT(pairs));
    assert_string_equal(buf.data, "A=%C3%A4%20&a=&partNumber=12&uploadId=a%2B%2F%3D");
    sluice_s3_buf_free(&buf);
}

static void test_buf_cap(void **state)
{
    struct sluice_s3_buf buf = {.max = 10};
    (void)state;
    sluice_s3_buf_adds(&buf, "123456789");
    assert_false(buf.failed);
    sluice_s3_buf_adds(&buf, "12");
    assert_true(buf.failed && buf.too_long);
    sluice_s3_buf_adds(&buf, "x");
    assert_string_equal(buf.data, "123456789");
    sluice_s3_buf_free(&buf);
}

static void test_text_copy(void **state)
{
    char to[8];
    (void)state;
    sluice_s3_text_copy(to, sizeof to, "a\r\nb\x7f", 5);
    assert_string_equal(to, "a  b ");
    sluice_s3_text_copy(to, sizeof to, "12345\xc3\xa4\xc3\xa4", 9);
    assert_string_equal(to, "12345\xc3\xa4");
    sluice_s3_text_copy(to, sizeof to, "123456\xc3\xa4", 8);
    assert_string_equal(to, "123456");
}

static void test_xml_find(void **state)
{
    static const char error[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>a "
        "&lt;b&gt;"
        " &amp; &#228;&#x1F600; <![CDATA[<c>]]></Message><Empty/><Region a=\">\" "
        ">eu-west-1</Region>"
        "</Error>  \n";
    static const char spaced[] =
        "\xef\xbb\xbf   \n  <s3:CompleteMultipartUploadResult xmlns:s3='x'>"
        "<s3:ETag>&quot;e&quot;</s3:ETag>"
        "</s3:CompleteMultipartUploadResult>";
    char to[64];
    (void)state;
    assert_true(sluice_s3_xml_root(error, sizeof error - 1, to, sizeof to));
    assert_string_equal(to, "Error");
    assert_true(sluice_s3_xml_find(error, sizeof error - 1, "Code", to, sizeof to));
    assert_string_equal(to, "NoSuchKey");
    assert_true(sluice_s3_xml_find(error, sizeof error - 1, "Message", to, sizeof to));
    assert_string_equal(to, "a <b> & \xc3\xa4\xf0\x9f\x98\x80 <c>");
    assert_true(sluice_s3_xml_find(error, sizeof error - 1, "Region", to, sizeof to));
    assert_string_equal(to, "eu-west-1");
    assert_true(sluice_s3_xml_find(error, sizeof error - 1, "Empty", to, sizeof to));
    assert_string_equal(to, "");
    assert_false(sluice_s3_xml_find(error, sizeof error - 1, "Missing", to, sizeof to));
    assert_true(sluice_s3_xml_root(spaced, sizeof spaced - 1, to, sizeof to));
    assert_string_equal(to, "CompleteMultipartUploadResult");
    assert_true(sluice_s3_xml_find(spaced, sizeof spaced - 1, "ETag", to, sizeof to));
    assert_string_equal(to, "\"e\"");
    assert_true(sluice_s3_xml_valid(spaced, sizeof spaced - 1));
}

static void test_xml_hostile(void **state)
{
    static const char *const broken[] = {
        "",
        " ",
        "plain text",
        "<a>",
        "<a><b></a></b>",
        "</a>",
        "<a></b>",
        "<a",
        "<a b='>",
        "<a>&unknown;</a>",
        "<a>&amp</a>",
        "<a>&#0;</a>",
        "<a>&#x110000;</a>",
        "<a>&#xD800;</a>",
        "<a>&#x;</a>",
        "<a>&#99999999999;</a>",
        "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
        "<a/><b/>",
        "<a/>text",
        "<!-- <a/>",
        "<a><![CDATA[</a>",
        "<?xml <a/>",
        "< a></ a>",
        "<>",
    };
    char deep[20 * 3 + 1] = "";
    (void)state;
    for (size_t i = 0; i < COUNT(broken); i++) {
        /* An exact copy on the heap: a read past its end is seen. */
        const size_t size = strlen(broken[i]);
        char *copy = malloc(size > 0 ? size : 1);
        assert_non_null(copy);
        memcpy(copy, broken[i], size);
        assert_false(sluice_s3_xml_valid(copy, size));
        free(copy);
    }
    for (int i = 0; i < 20; i++) {
        memcpy(deep + 3 * i, "<a>", 4);
    }
    assert_false(sluice_s3_xml_valid(deep, strlen(deep)));
}

static void test_xml_caps(void **state)
{
    const size_t size = SLUICE_S3_XML_TEXT_MAX + 64;
    char *text = malloc(size);
    (void)state;
    assert_non_null(text);
    memset(text, 'x', size);
    memcpy(text, "<a>", 3);
    memcpy(text + size - 4, "</a>", 4);
    assert_false(sluice_s3_xml_valid(text, size));
    memset(text, 'n', size);
    text[0] = '<';
    text[size - 2] = '/';
    text[size - 1] = '>';
    assert_false(sluice_s3_xml_valid(text, size)); /* a name without end */
    free(text);
}

/* Every prefix of a document and every single byte changed: no crash, whatever the answer. */
static void test_xml_mutations(void **state)
{
    static const char whole[] = "<?xml version=\"1.0\"?><r a='1'><!--c--><k>&amp;&#x41;</k>"
                                "<![CDATA[d]]><e/></r>";
    (void)state;
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        char *copy = malloc(size > 0 ? size : 1);
        assert_non_null(copy);
        memcpy(copy, whole, size);
        assert_false(sluice_s3_xml_valid(copy, size));
        for (size_t at = 0; at < size; at++) {
            static const char bytes[] = "<>&;/!'\"\0x";
            for (size_t b = 0; b < sizeof bytes - 1; b++) {
                const char old = copy[at];
                copy[at] = bytes[b];
                (void)sluice_s3_xml_valid(copy, size);
                copy[at] = old;
            }
        }
        free(copy);
    }
}

static void check_target(const char *bucket, const char *endpoint, int style, const char *region,
                         const char *host, const char *path)
{
    struct sluice_s3_target target;
    struct sluice_s3_buf buf = {0};
    assert_int_equal(sluice_s3_target_init(&target, bucket, endpoint, style, NULL), SLUICE_OK);
    sluice_s3_target_host(&target, region, &buf);
    assert_string_equal(buf.data, host);
    sluice_s3_buf_clear(&buf);
    sluice_s3_target_path(&target, "k/ey", &buf);
    assert_string_equal(buf.data, path);
    sluice_s3_buf_free(&buf);
}

static void test_target(void **state)
{
    (void)state;
    check_target("lake", NULL, SLUICE_S3_PATH_AUTO, "eu-west-1", "lake.s3.eu-west-1.amazonaws.com",
                 "/k/ey");
    check_target("lake", NULL, SLUICE_S3_PATH_AUTO, "cn-north-1",
                 "lake.s3.cn-north-1.amazonaws.com.cn", "/k/ey");
    check_target("la.ke", NULL, SLUICE_S3_PATH_AUTO, "eu-west-1", "s3.eu-west-1.amazonaws.com",
                 "/la.ke/k/ey");
    check_target("lake", NULL, SLUICE_S3_PATH_ALWAYS, "eu-west-1", "s3.eu-west-1.amazonaws.com",
                 "/lake/k/ey");
    check_target("lake", "http://127.0.0.1:9000/", SLUICE_S3_PATH_AUTO, "x", "127.0.0.1:9000",
                 "/lake/k/ey");
    check_target("lake", "https://h.example:443/a/b/", SLUICE_S3_PATH_AUTO, "x", "h.example",
                 "/a/b/lake/k/ey");
    check_target("lake", "http://localhost:80", SLUICE_S3_PATH_NEVER, "x", "lake.localhost",
                 "/k/ey");
    check_target("lake", "https://[::1]:9000", SLUICE_S3_PATH_AUTO, "x", "[::1]:9000",
                 "/lake/k/ey");
}

static void test_target_refused(void **state)
{
    static const char *const endpoints[] = {
        "",           "h.example",     "ftp://h",       "https://",
        "https:///x", "https://u:p@h", "https://h?x=1", "https://h#x",
        "http://h\n", "https://h/%2e", "https://h h",   "https:\\\\h",
    };
    static const char *const buckets[] = {"",    ".",   "..", "a/b",     "s3://a",
                                          "a b", "a\n", "a?", "\xc3\xa4"};
    struct sluice_s3_target target;
    (void)state;
    for (size_t i = 0; i < COUNT(endpoints); i++) {
        assert_int_equal(sluice_s3_target_init(&target, "b", endpoints[i], 0, NULL),
                         SLUICE_E_INVALID);
    }
    for (size_t i = 0; i < COUNT(buckets); i++) {
        assert_int_equal(sluice_s3_target_init(&target, buckets[i], NULL, 0, NULL),
                         SLUICE_E_INVALID);
    }
    assert_int_equal(
        sluice_s3_target_init(&target, "Up_Per", "http://h", SLUICE_S3_PATH_NEVER, NULL),
        SLUICE_E_INVALID);
}

static void test_region_valid(void **state)
{
    (void)state;
    assert_true(sluice_s3_region_valid("us-east-1"));
    assert_true(sluice_s3_region_valid("auto"));
    assert_false(sluice_s3_region_valid(""));
    assert_false(sluice_s3_region_valid("evil.example/"));
    assert_false(sluice_s3_region_valid("EU"));
    assert_false(sluice_s3_region_valid("-x"));
    assert_false(sluice_s3_region_valid(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

static void test_checksums(void **state)
{
    static const struct {
        int kind;
        const char *data;
        const char *text;
    } known[] = {
        {SLUICE_S3_CHECKSUM_CRC32C, "123456789", "4waSgw=="}, /* e3069283 */
        {SLUICE_S3_CHECKSUM_CRC32C, "", "AAAAAA=="},
        {SLUICE_S3_CHECKSUM_MD5, "", "1B2M2Y8AsgTpgAmY7PhCfg=="},
        {SLUICE_S3_CHECKSUM_SHA256, "", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
    };
    char text[SLUICE_S3_CHECKSUM_TEXT_SIZE];
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++) {
        assert_int_equal(sluice_s3_checksum_text(known[i].kind, known[i].data,
                                                 strlen(known[i].data), text, NULL),
                         SLUICE_OK);
        assert_string_equal(text, known[i].text);
    }
    assert_null(sluice_s3_checksum_facts(SLUICE_S3_CHECKSUM_NONE));
}

/* 10,000 parts hold any object that S3 allows, from the default size and from the smallest. */
static void test_part_sizes(void **state)
{
    static const uint64_t bases[] = {5u << 20, 8u << 20, UINT64_C(5) << 30};
    (void)state;
    assert_int_equal(sluice_s3_part_size(8u << 20, 1), 8u << 20);
    assert_int_equal(sluice_s3_part_size(8u << 20, 900), 8u << 20);
    assert_int_equal(sluice_s3_part_size(8u << 20, 901), 16u << 20);
    for (size_t i = 0; i < COUNT(bases); i++) {
        uint64_t sum = 0;
        for (uint32_t n = 1; n <= 10000; n++) {
            const uint64_t size = sluice_s3_part_size(bases[i], n);
            assert_true(size >= (uint64_t)SLUICE_S3_PART_MIN &&
                        size <= (uint64_t)SLUICE_S3_PART_MAX);
            sum += size;
        }
        assert_true(sum >= UINT64_C(5) << 40);
    }
}

int run_text_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unescape),       cmocka_unit_test(test_escape_round_trip),
        cmocka_unit_test(test_query_order),    cmocka_unit_test(test_buf_cap),
        cmocka_unit_test(test_text_copy),      cmocka_unit_test(test_xml_find),
        cmocka_unit_test(test_xml_hostile),    cmocka_unit_test(test_xml_caps),
        cmocka_unit_test(test_xml_mutations),  cmocka_unit_test(test_target),
        cmocka_unit_test(test_target_refused), cmocka_unit_test(test_region_valid),
        cmocka_unit_test(test_checksums),      cmocka_unit_test(test_part_sizes),
    };
    return cmocka_run_group_tests_name("s3 text", tests, NULL, NULL);
}
