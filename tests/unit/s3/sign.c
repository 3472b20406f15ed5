/* Published vectors: AWS's Signature Version 4 test suite and the S3 documentation's examples. */
#include <stdio.h>
#include <string.h>

#include "s3/sign.h"
#include "test_s3.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

struct vector {
    const char *name;
    const char *method;
    const char *path;
    struct sluice_s3_pair query[8];
    struct sluice_s3_pair headers[8];
    const char *body;
    const char *signed_headers;
    const char *signature;
};

static size_t count_pairs(const struct sluice_s3_pair *pairs)
{
    size_t count = 0;
    while (count < 8 && pairs[count].name != NULL) {
        count++;
    }
    return count;
}

static void check_vector(const struct vector *vector, const struct sluice_s3_sign *scope,
                         const char *payload_hash)
{
    char hash[SLUICE_S3_HEX_SIZE];
    char want[512];
    struct sluice_s3_buf got = {0};
    struct sluice_s3_sign sign = *scope;
    sign.method = vector->method;
    sign.path = vector->path;
    sign.query = vector->query;
    sign.query_count = count_pairs(vector->query);
    sign.headers = vector->headers;
    sign.header_count = count_pairs(vector->headers);
    assert_int_equal(sluice_s3_sha256_hex(vector->body != NULL ? vector->body : "",
                                          vector->body != NULL ? strlen(vector->body) : 0, hash,
                                          NULL),
                     SLUICE_OK);
    sign.payload_hash = payload_hash != NULL ? payload_hash : hash;
    assert_int_equal(sluice_s3_sign_authorize(&sign, &got, NULL), SLUICE_OK);
    (void)snprintf(want, sizeof want,
                   "AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/aws4_request,"
                   " SignedHeaders=%s, Signature=%s",
                   sign.access_key, sign.timestamp, sign.service, vector->signed_headers,
                   vector->signature);
    if (strcmp(want, got.data) != 0) {
        print_error("vector %s\n", vector->name);
    }
    assert_string_equal(got.data, want);
    sluice_s3_buf_free(&got);
}

#define HOST                            \
    {                                   \
        "Host", "example.amazonaws.com" \
    }
#define DATE                             \
    {                                    \
        "X-Amz-Date", "20150830T123600Z" \
    }
#define BASE "host;x-amz-date"

static void test_suite(void **state)
{
    static const struct vector vectors[] = {
        {"get-vanilla",
         "GET",
         "/",
         {{0}},
         {HOST, DATE},
         NULL,
         BASE,
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"get-vanilla-empty-query-key",
         "GET",
         "/",
         {{"Param1", "value1"}},
         {HOST, DATE},
         NULL,
         BASE,
         "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
        {"get-vanilla-query-order-key-case",
         "GET",
         "/",
         {{"Param2", "value2"}, {"Param1", "value1"}},
         {HOST, DATE},
         NULL,
         BASE,
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        {"get-vanilla-query-order-value",
         "GET",
         "/",
         {{"Param1", "value2"}, {"Param1", "value1"}},
         {HOST, DATE},
         NULL,
         BASE,
         "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"},
        {"get-vanilla-query-unreserved",
         "GET",
         "/",
         {{"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
           "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"}},
         {HOST, DATE},
         NULL,
         BASE,
         "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
        {"get-vanilla-utf8-query",
         "GET",
         "/",
         {{"\xe1\x88\xb4", "bar"}},
         {HOST, DATE},
         NULL,
         BASE,
         "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
        {"get-utf8",
         "GET",
         "/\xe1\x88\xb4",
         {{0}},
         {HOST, DATE},
         NULL,
         BASE,
         "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
        {"get-unreserved",
         "GET",
         "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
         {{0}},
         {HOST, DATE},
         NULL,
         BASE,
         "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
        {"get-header-key-duplicate",
         "GET",
         "/",
         {{0}},
         {HOST, {"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}, DATE},
         NULL,
         "host;my-header1;x-amz-date",
         "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
        {"get-header-value-order",
         "GET",
         "/",
         {{0}},
         {HOST,
          {"My-Header1", "value4"},
          {"My-Header1", "value1"},
          {"My-Header1", "value3"},
          {"My-Header1", "value2"},
          DATE},
         NULL,
         "host;my-header1;x-amz-date",
         "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
        {"get-header-value-trim",
         "GET",
         "/",
         {{0}},
         {HOST, {"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}, DATE},
         NULL,
         "host;my-header1;my-header2;x-amz-date",
         "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
        {"post-vanilla",
         "POST",
         "/",
         {{0}},
         {HOST, DATE},
         NULL,
         BASE,
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"post-vanilla-query",
         "POST",
         "/",
         {{"Param1", "value1"}},
         {HOST, DATE},
         NULL,
         BASE,
         "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
        {"post-header-key-sort",
         "POST",
         "/",
         {{0}},
         {HOST, {"My-Header1", "value1"}, DATE},
         NULL,
         "host;my-header1;x-amz-date",
         "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
        {"post-header-value-case",
         "POST",
         "/",
         {{0}},
         {HOST, {"My-Header1", "VALUE1"}, DATE},
         NULL,
         "host;my-header1;x-amz-date",
         "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
        {"post-x-www-form-urlencoded",
         "POST",
         "/",
         {{0}},
         {{"Content-Type", "application/x-www-form-urlencoded"}, HOST, DATE},
         "Param1=value1",
         "content-type;host;x-amz-date",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
        {"post-sts-header-before",
         "POST",
         "/",
         {{0}},
         {HOST,
          DATE,
          {"X-Amz-Security-Token",
           "AQoDYXdzEPT//////////"
           "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmx"
           "fpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/"
           "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0K"
           "PkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+"
           "xo0rKwT38xVqr7ZD0u0iPPkUL64lIZb"
           "qBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="}},
         NULL,
         "host;x-amz-date;x-amz-security-token",
         "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
    };
    static const struct sluice_s3_sign scope = {.timestamp = "20150830T123600Z",
                                                .region = "us-east-1",
                                                .service = "service",
                                                .access_key = "AKIDEXAMPLE",
                                                .secret_key =
                                                    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        check_vector(&vectors[i], &scope, NULL);
    }
}

#define S3_HOST                                  \
    {                                            \
        "Host", "examplebucket.s3.amazonaws.com" \
    }
#define S3_DATE                          \
    {                                    \
        "x-amz-date", "20130524T000000Z" \
    }
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define WELCOME "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

static void test_s3_examples(void **state)
{
    static const struct vector vectors[] = {
        {"GET object",
         "GET",
         "/test.txt",
         {{0}},
         {S3_HOST, {"Range", "bytes=0-9"}, {"x-amz-content-sha256", EMPTY}, S3_DATE},
         NULL,
         "host;range;x-amz-content-sha256;x-amz-date",
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        {"PUT object",
         "PUT",
         "/test$file.text",
         {{0}},
         {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
          S3_HOST,
          S3_DATE,
          {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
          {"x-amz-content-sha256", WELCOME}},
         "Welcome to Amazon S3.",
         "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
        {"GET lifecycle",
         "GET",
         "/",
         {{"lifecycle", NULL}},
         {S3_HOST, S3_DATE, {"x-amz-content-sha256", EMPTY}},
         NULL,
         "host;x-amz-content-sha256;x-amz-date",
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"list objects",
         "GET",
         "/",
         {{"max-keys", "2"}, {"prefix", "J"}},
         {S3_HOST, S3_DATE, {"x-amz-content-sha256", EMPTY}},
         NULL,
         "host;x-amz-content-sha256;x-amz-date",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };
    static const struct sluice_s3_sign scope = {.timestamp = "20130524T000000Z",
                                                .region = "us-east-1",
                                                .service = "s3",
                                                .access_key = "AKIAIOSFODNN7EXAMPLE",
                                                .secret_key =
                                                    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        check_vector(&vectors[i], &scope, NULL);
    }
}

/* Keys are encoded once and never normalised; "/./" and "//" are part of a key. */
static void test_canonical_path(void **state)
{
    static const struct {
        const char *path;
        const char *canonical;
    } paths[] = {
        {"/b/a b+c%20/\xc3\xa4", "/b/a%20b%2Bc%2520/%C3%A4"},
        {"/b//x/./../y", "/b//x/./../y"},
        {"/b/dt=2026-01-01/'\"*()!;:@&,$?#[]", "/b/dt%3D2026-01-01/%27%22%2A%28%29%21%3B%3A%40%26"
                                               "%2C%24%3F%23%5B%5D"},
    };
    static const struct sluice_s3_pair headers[] = {{"host", "h"}};
    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct sluice_s3_buf canonical = {0};
        struct sluice_s3_buf names = {0};
        char want[256];
        const struct sluice_s3_sign sign = {.method = "PUT",
                                            .path = paths[i].path,
                                            .headers = headers,
                                            .header_count = 1,
                                            .payload_hash = SLUICE_S3_UNSIGNED_PAYLOAD};
        assert_int_equal(sluice_s3_sign_canonical(&sign, &canonical, &names, NULL), SLUICE_OK);
        (void)snprintf(want, sizeof want, "PUT\n%s\n\nhost:h\n\nhost\nUNSIGNED-PAYLOAD",
                       paths[i].canonical);
        assert_string_equal(canonical.data, want);
        sluice_s3_buf_free(&canonical);
        sluice_s3_buf_free(&names);
    }
}

static void test_timestamp(void **state)
{
    char text[SLUICE_S3_TIMESTAMP_SIZE];
    (void)state;
    sluice_s3_timestamp(INT64_C(1369353600999999), text);
    assert_string_equal(text, "20130524T000000Z");
}

int run_sign_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suite),
        cmocka_unit_test(test_s3_examples),
        cmocka_unit_test(test_canonical_path),
        cmocka_unit_test(test_timestamp),
    };
    return cmocka_run_group_tests_name("s3 sign", tests, NULL, NULL);
}
