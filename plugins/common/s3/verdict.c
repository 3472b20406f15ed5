#include "s3/verdict.h"

#include <string.h>

#define HINT_REGION "set `region` to the bucket's region"
#define HINT_KEYS \
    "check access_key_id and secret_access_key (or the profile or variables they come from)"
#define HINT_SECRET                                                                             \
    "check secret_access_key; if it is right, a proxy between may change requests, or `region`" \
    " or `endpoint` name another service"
#define HINT_TOKEN "the session credentials are no longer valid: get new ones"
#define HINT_BUCKET "create the bucket, or correct `bucket` or `endpoint`"
#define HINT_CLOCK "set this machine's clock (NTP)"
#define HINT_KMS "check kms_key_id and the right to use that key (kms:GenerateDataKey)"

struct rule {
    const char *code;
    struct sluice_s3_verdict verdict;
};

#define FAIL(status, hint)                  \
    {                                       \
        status, SLUICE_S3_ACT_FAIL, 0, hint \
    }
#define RETRY(status, hint)                  \
    {                                        \
        status, SLUICE_S3_ACT_RETRY, 0, hint \
    }

static const struct rule rules[] = {
    {"PermanentRedirect", {SLUICE_E_INVALID, SLUICE_S3_ACT_REGION, 0, HINT_REGION}},
    {"TemporaryRedirect", {SLUICE_E_INVALID, SLUICE_S3_ACT_REGION, 0, HINT_REGION}},
    {"Redirect", {SLUICE_E_INVALID, SLUICE_S3_ACT_REGION, 0, HINT_REGION}},
    {"AuthorizationHeaderMalformed", {SLUICE_E_AUTH, SLUICE_S3_ACT_REGION, 0, HINT_REGION}},
    {"IllegalLocationConstraintException",
     {SLUICE_E_INVALID, SLUICE_S3_ACT_REGION, 0, HINT_REGION}},
    {"RequestTimeTooSkewed", {SLUICE_E_AUTH, SLUICE_S3_ACT_CLOCK, 0, HINT_CLOCK}},
    {"ExpiredToken", {SLUICE_E_AUTH, SLUICE_S3_ACT_CREDS, 0, HINT_TOKEN}},
    {"ExpiredTokenException", {SLUICE_E_AUTH, SLUICE_S3_ACT_CREDS, 0, HINT_TOKEN}},
    {"TokenRefreshRequired", {SLUICE_E_AUTH, SLUICE_S3_ACT_CREDS, 0, HINT_TOKEN}},
    {"InvalidToken", {SLUICE_E_AUTH, SLUICE_S3_ACT_CREDS, 0, HINT_TOKEN}},
    {"InvalidAccessKeyId", FAIL(SLUICE_E_AUTH, HINT_KEYS)},
    {"XAdminUserNotFound", FAIL(SLUICE_E_AUTH, HINT_KEYS)},
    {"SignatureDoesNotMatch", FAIL(SLUICE_E_AUTH, HINT_SECRET)},
    {"AccessDenied", FAIL(SLUICE_E_PERMISSION, NULL)},
    {"AllAccessDisabled", FAIL(SLUICE_E_PERMISSION, NULL)},
    {"AccountProblem", FAIL(SLUICE_E_PERMISSION, NULL)},
    {"NotSignedUp", FAIL(SLUICE_E_PERMISSION, NULL)},
    {"InvalidObjectState", FAIL(SLUICE_E_PERMISSION, NULL)},
    {"NoSuchBucket", FAIL(SLUICE_E_NOT_FOUND, HINT_BUCKET)},
    {"NoSuchKey", FAIL(SLUICE_E_NOT_FOUND, NULL)},
    {"NoSuchUpload", FAIL(SLUICE_E_NOT_FOUND, NULL)},
    {"InvalidBucketName", FAIL(SLUICE_E_INVALID, "correct `bucket`")},
    {"InvalidStorageClass",
     FAIL(SLUICE_E_INVALID, "this server does not have that `storage_class`")},
    {"KeyTooLongError", FAIL(SLUICE_E_LIMIT, "shorten `prefix`")},
    {"EntityTooLarge", FAIL(SLUICE_E_LIMIT, "lower `part_size`")},
    {"QuotaExceeded", FAIL(SLUICE_E_LIMIT, "the bucket's quota is used up")},
    {"XMinioStorageFull", RETRY(SLUICE_E_LIMIT, "the server's disks are full")},
    {"TooManyParts", FAIL(SLUICE_E_LIMIT, "raise `part_size`")},
    {"KMS.DisabledException", FAIL(SLUICE_E_PERMISSION, HINT_KMS)},
    {"KMS.NotFoundException", FAIL(SLUICE_E_INVALID, HINT_KMS)},
    {"KMS.InvalidStateException", FAIL(SLUICE_E_INVALID, HINT_KMS)},
    {"NotImplemented",
     FAIL(SLUICE_E_UNSUPPORTED, "this server lacks something that sluice needs, see the reference"
                                " page of the s3 sink")},
    {"MethodNotAllowed", FAIL(SLUICE_E_UNSUPPORTED, "is `endpoint` really an S3 service?")},
    {"PreconditionFailed", FAIL(SLUICE_E_CONFLICT, NULL)},
    {"ConditionalRequestConflict", RETRY(SLUICE_E_UNAVAILABLE, NULL)},
    {"OperationAborted", RETRY(SLUICE_E_UNAVAILABLE, NULL)},
    {"BadDigest", RETRY(SLUICE_E_IO, "the bytes were changed on the way")},
    {"XAmzContentSHA256Mismatch", RETRY(SLUICE_E_IO, "the bytes were changed on the way")},
    {"XAmzContentChecksumMismatch", RETRY(SLUICE_E_IO, "the bytes were changed on the way")},
    {"IncompleteBody", RETRY(SLUICE_E_IO, NULL)},
    {"RequestTimeout", RETRY(SLUICE_E_TIMEOUT, NULL)},
    {"InternalError", RETRY(SLUICE_E_UNAVAILABLE, NULL)},
    {"ServiceUnavailable", {SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY, 1, NULL}},
    {"SlowDown", {SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY, 1, NULL}},
    {"SlowDownRead", {SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY, 1, NULL}},
    {"SlowDownWrite", {SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY, 1, NULL}},
    {"Throttling", {SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY, 1, NULL}},
    {"ThrottlingException", {SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY, 1, NULL}},
    {"RequestLimitExceeded", {SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY, 1, NULL}},
    {"TooManyRequests", {SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY, 1, NULL}},
};

static struct sluice_s3_verdict by_http_status(long http_status)
{
    switch (http_status) {
    case 301:
    case 302:
    case 307:
    case 308:
        return (struct sluice_s3_verdict){SLUICE_E_INVALID, SLUICE_S3_ACT_REGION, 0, HINT_REGION};
    case 401:
        return (struct sluice_s3_verdict)FAIL(SLUICE_E_AUTH, HINT_KEYS);
    case 403:
        return (struct sluice_s3_verdict)FAIL(SLUICE_E_PERMISSION, NULL);
    case 404:
        return (struct sluice_s3_verdict)FAIL(SLUICE_E_NOT_FOUND, NULL);
    case 405:
    case 501:
        return (struct sluice_s3_verdict)FAIL(SLUICE_E_UNSUPPORTED,
                                              "is `endpoint` really an S3 service?");
    case 408:
        return (struct sluice_s3_verdict)RETRY(SLUICE_E_TIMEOUT, NULL);
    case 412:
        return (struct sluice_s3_verdict)FAIL(SLUICE_E_CONFLICT, NULL);
    case 413:
        return (struct sluice_s3_verdict)FAIL(SLUICE_E_LIMIT, "lower `part_size`");
    case 429:
    case 503:
        return (struct sluice_s3_verdict){SLUICE_E_UNAVAILABLE, SLUICE_S3_ACT_RETRY, 1, NULL};
    default:
        break;
    }
    if (http_status >= 500 || http_status < 200) {
        return (struct sluice_s3_verdict)RETRY(SLUICE_E_UNAVAILABLE, NULL);
    }
    return (struct sluice_s3_verdict)FAIL(SLUICE_E_INVALID, NULL);
}

struct sluice_s3_verdict sluice_s3_verdict_http(long http_status, const char *code)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strcmp(rules[i].code, code) == 0) {
            return rules[i].verdict;
        }
    }
    return by_http_status(http_status);
}

struct sluice_s3_verdict sluice_s3_verdict_curl(CURLcode code)
{
    static const struct {
        CURLcode code;
        struct sluice_s3_verdict verdict;
    } known[] = {
        {CURLE_PEER_FAILED_VERIFICATION,
         FAIL(SLUICE_E_AUTH, "give the authority that signed the server's certificate as `ca_file`,"
                             " and the name the certificate is for as `endpoint`")},
        {CURLE_SSL_CACERT_BADFILE,
         FAIL(SLUICE_E_INVALID, "`ca_file` must be a readable file of PEM certificates")},
        {CURLE_SSL_CIPHER, FAIL(SLUICE_E_AUTH, NULL)},
        {CURLE_SSL_ISSUER_ERROR, FAIL(SLUICE_E_AUTH, NULL)},
        {CURLE_URL_MALFORMAT, FAIL(SLUICE_E_INVALID, "correct `endpoint`")},
        {CURLE_UNSUPPORTED_PROTOCOL, FAIL(SLUICE_E_INVALID, "`endpoint` must be http or https")},
        {CURLE_OUT_OF_MEMORY, FAIL(SLUICE_E_NOMEM, NULL)},
        {CURLE_COULDNT_RESOLVE_HOST,
         RETRY(SLUICE_E_UNAVAILABLE, "check `endpoint`, `region` and the name service")},
        {CURLE_COULDNT_RESOLVE_PROXY, RETRY(SLUICE_E_UNAVAILABLE, "check `proxy`")},
        {CURLE_COULDNT_CONNECT,
         RETRY(SLUICE_E_UNAVAILABLE, "is the server up, and `endpoint` right?")},
        {CURLE_SSL_CONNECT_ERROR,
         RETRY(SLUICE_E_UNAVAILABLE,
               "does the server speak TLS there, or should `endpoint` be http?")},
        {CURLE_OPERATION_TIMEDOUT, RETRY(SLUICE_E_TIMEOUT, NULL)},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].code == code) {
            return known[i].verdict;
        }
    }
    return (struct sluice_s3_verdict)RETRY(SLUICE_E_IO, NULL);
}
