/* Which answers are tried again, and as what they are reported. */
#include "s3/verdict.h"

#include "test_s3.h"

struct expectation {
    long http_status;
    const char *code;
    sluice_status status;
    int action;
};

static void test_http(void **state)
{
    static const struct expectation known[] = {
        {503, "SlowDown", SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY},
        {503, "", SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY},
        {500, "InternalError", SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY},
        {500, "Whatever", SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY},
        {502, "", SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY},
        {429, "", SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY},
        {400, "RequestTimeout", SLUICE_E_TIMEOUT, SLUICE_S3_ACT_RETRY},
        {408, "", SLUICE_E_TIMEOUT, SLUICE_S3_ACT_RETRY},
        {409, "ConditionalRequestConflict", SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY},
        {409, "OperationAborted", SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY},
        {409, "ObjectParentIsFile", SLUICE_E_INVALID, SLUICE_S3_ACT_FAIL},
        {400, "BadDigest", SLUICE_E_IO, SLUICE_S3_ACT_RETRY},
        {403, "AccessDenied", SLUICE_E_PERMISSION, SLUICE_S3_ACT_FAIL},
        {403, "", SLUICE_E_PERMISSION, SLUICE_S3_ACT_FAIL},
        {403, "InvalidAccessKeyId", SLUICE_E_AUTH, SLUICE_S3_ACT_FAIL},
        {403, "SignatureDoesNotMatch", SLUICE_E_AUTH, SLUICE_S3_ACT_FAIL},
        {401, "", SLUICE_E_AUTH, SLUICE_S3_ACT_FAIL},
        {403, "RequestTimeTooSkewed", SLUICE_E_AUTH, SLUICE_S3_ACT_CLOCK},
        {400, "ExpiredToken", SLUICE_E_AUTH, SLUICE_S3_ACT_CREDS},
        {404, "NoSuchBucket", SLUICE_E_NOT_FOUND, SLUICE_S3_ACT_FAIL},
        {404, "NoSuchKey", SLUICE_E_NOT_FOUND, SLUICE_S3_ACT_FAIL},
        {404, "", SLUICE_E_NOT_FOUND, SLUICE_S3_ACT_FAIL},
        {412, "PreconditionFailed", SLUICE_E_CONFLICT, SLUICE_S3_ACT_FAIL},
        {412, "", SLUICE_E_CONFLICT, SLUICE_S3_ACT_FAIL},
        {301, "PermanentRedirect", SLUICE_E_INVALID, SLUICE_S3_ACT_REGION},
        {307, "", SLUICE_E_INVALID, SLUICE_S3_ACT_REGION},
        {400, "AuthorizationHeaderMalformed", SLUICE_E_AUTH, SLUICE_S3_ACT_REGION},
        {501, "NotImplemented", SLUICE_E_UNSUPPORTED, SLUICE_S3_ACT_FAIL},
        {413, "", SLUICE_E_LIMIT, SLUICE_S3_ACT_FAIL},
        {400, "InvalidArgument", SLUICE_E_INVALID, SLUICE_S3_ACT_FAIL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const struct sluice_s3_verdict got =
            sluice_s3_verdict_http(known[i].http_status, known[i].code);
        if (got.status != known[i].status || got.action != known[i].action) {
            print_error("%ld %s\n", known[i].http_status, known[i].code);
        }
        assert_int_equal(got.status, known[i].status);
        assert_int_equal(got.action, known[i].action);
    }
    assert_true(sluice_s3_verdict_http(503, "SlowDown").slow_down != 0);
    assert_true(sluice_s3_verdict_http(500, "InternalError").slow_down == 0);
}

static void test_curl(void **state)
{
    (void)state;
    assert_int_equal(sluice_s3_verdict_curl(CURLE_COULDNT_CONNECT).status, SLUICE_E_UNAVAILABLE);
    assert_int_equal(sluice_s3_verdict_curl(CURLE_COULDNT_CONNECT).action, SLUICE_S3_ACT_RETRY);
    assert_int_equal(sluice_s3_verdict_curl(CURLE_OPERATION_TIMEDOUT).status, SLUICE_E_TIMEOUT);
    assert_int_equal(sluice_s3_verdict_curl(CURLE_RECV_ERROR).action, SLUICE_S3_ACT_RETRY);
    assert_int_equal(sluice_s3_verdict_curl(CURLE_PARTIAL_FILE).action, SLUICE_S3_ACT_RETRY);
    assert_int_equal(sluice_s3_verdict_curl(CURLE_PEER_FAILED_VERIFICATION).action,
                     SLUICE_S3_ACT_FAIL);
    assert_int_equal(sluice_s3_verdict_curl(CURLE_PEER_FAILED_VERIFICATION).status, SLUICE_E_AUTH);
}

int run_verdict_tests(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_http), cmocka_unit_test(test_curl)};
    return cmocka_run_group_tests_name("s3 verdict", tests, NULL, NULL);
}
