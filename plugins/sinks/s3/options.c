#include "options.h"

#include "lake/lake.h"
#include "sluice/option.h"

#define SECOND_US ((int64_t)1000000)
#define ADVANCED SLUICE_OPTION_ADVANCED

/* A table entry with everything; the SDK's shorthands have no example. */
#define TEXT_OPTION(key_, flags_, help_, example_)                                                 \
    {                                                                                              \
        (uint32_t)sizeof(struct sluice_option), SLUICE_OPTION_STRING, flags_, 0, key_, NULL, 0, 0, \
            NULL, help_, example_                                                                  \
    }

static const char *const path_styles[] = {"auto", "true", "false", NULL};
static const char *const encryptions[] = {"none", "AES256", "aws:kms", NULL};
static const char *const checksums[] = {"auto", "none", "crc32c", "sha256", "md5", NULL};
static const char *const signings[] = {"auto", "always", "never", NULL};

static const struct sluice_option o_bucket = TEXT_OPTION(
    "bucket", SLUICE_OPTION_REQUIRED, "Name of the bucket. It must exist.", "company-lake");
static const struct sluice_option o_prefix = TEXT_OPTION(
    "prefix", 0, "Folder in the bucket that everything is written under.", "hr/production");
static const struct sluice_option o_region = TEXT_OPTION(
    "region", 0,
    "Region of the bucket. Unset: AWS_REGION, AWS_DEFAULT_REGION, the profile's region, else"
    " us-east-1; a wrong one is corrected from the server's answer, at the cost of round trips.",
    "eu-west-1");
static const struct sluice_option o_endpoint = TEXT_OPTION(
    "endpoint", 0,
    "Address of an S3-compatible service. Unset: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else AWS.",
    "https://minio.example.com:9000");
static const struct sluice_option o_path_style = SLUICE_OPT_ENUM(
    "path_style", "auto", 0, path_styles,
    "Whether the bucket goes into the path (true) or the host name (false). auto: the host name at"
    " AWS, unless it holds a dot, and the path at an own endpoint.");
static const struct sluice_option o_access_key_id = TEXT_OPTION(
    "access_key_id", 0,
    "Access key. Unset: from the environment, a web identity, the shared files, a container's or"
    " an instance's role, in this order.",
    "AKIAIOSFODNN7EXAMPLE");
static const struct sluice_option o_secret_access_key =
    TEXT_OPTION("secret_access_key", SLUICE_OPTION_SECRET, "Secret that belongs to access_key_id.",
                "${file:/run/secrets/s3}");
static const struct sluice_option o_session_token =
    TEXT_OPTION("session_token", SLUICE_OPTION_SECRET,
                "Session token that belongs to a temporary access_key_id.", NULL);
static const struct sluice_option o_profile =
    TEXT_OPTION("profile", 0,
                "Profile of ~/.aws/credentials and ~/.aws/config to take keys and region from,"
                " before anything in the environment. Unset: AWS_PROFILE, else default.",
                "etl");
static const struct sluice_option o_ca_file =
    TEXT_OPTION("ca_file", 0,
                "PEM file of the authorities that may have signed the server's certificate, in"
                " place of the system's.",
                "/etc/ssl/company-ca.pem");
static const struct sluice_option o_proxy =
    TEXT_OPTION("proxy", ADVANCED, "HTTP proxy. Variables such as https_proxy are not followed.",
                "http://proxy.example.com:3128");
static const struct sluice_option o_part_size = SLUICE_OPT_RANGE(
    SLUICE_OPTION_SIZE, "part_size", "8MiB", ADVANCED, SLUICE_S3_PART_MIN, SLUICE_S3_PART_MAX,
    "Size of a part of a large object; one that fits a part is written by a single request. Parts"
    " double after every 900, so that an object of any size fits 10,000.");
static const struct sluice_option o_upload_concurrency = SLUICE_OPT_RANGE(
    SLUICE_OPTION_INT, "upload_concurrency", "4", ADVANCED, 1, 32,
    "Parts on the wire at once, over all tables. Each needs part_size of memory, and one more is"
    " filled by each table; `memory` bounds them all.");
static const struct sluice_option o_server_side_encryption = SLUICE_OPT_ENUM(
    "server_side_encryption", "none", 0, encryptions,
    "Encryption asked of the server: AES256 (keys of S3), aws:kms (a key of KMS), or none: as the"
    " bucket is set up.");
static const struct sluice_option o_kms_key_id = TEXT_OPTION(
    "kms_key_id", 0, "Key for server_side_encryption: aws:kms. Unset: the account's key for S3.",
    "arn:aws:kms:eu-west-1:111122223333:key/1234abcd");
static const struct sluice_option o_storage_class =
    TEXT_OPTION("storage_class", 0,
                "Storage class of data objects; manifests are always in the bucket's default class."
                " Classes that cannot be read at once (GLACIER) suit archives alone.",
                "STANDARD_IA");
static const struct sluice_option o_checksum = SLUICE_OPT_ENUM(
    "checksum", "auto", ADVANCED, checksums,
    "Checksum sent along with each object or part for the server to verify. auto: crc32c at AWS; at"
    " an own endpoint MD5 for small objects alone, as not every server knows the others.");
static const struct sluice_option o_sign_payload =
    SLUICE_OPT_ENUM("sign_payload", "auto", ADVANCED, signings,
                    "Whether signatures cover what is uploaded (a sha256 of every byte). auto: "
                    "only over plain http:"
                    " over https TLS protects it at a fraction of the cost.");
static const struct sluice_option o_connect_timeout =
    SLUICE_OPT_RANGE(SLUICE_OPTION_DURATION, "connect_timeout", "10s", ADVANCED, SECOND_US / 10,
                     600 * SECOND_US, "Longest wait for a connection.");
static const struct sluice_option o_stall_timeout = SLUICE_OPT_RANGE(
    SLUICE_OPTION_DURATION, "stall_timeout", "30s", ADVANCED, SECOND_US, 3600 * SECOND_US,
    "A request on which no byte moved for so long is given up and tried again.");
static const struct sluice_option o_request_timeout = SLUICE_OPT_RANGE(
    SLUICE_OPTION_DURATION, "request_timeout", "5m", ADVANCED, SECOND_US, 86400 * SECOND_US,
    "Longest time for one request, sending and waiting for the answer included.");
static const struct sluice_option o_retry_attempts = SLUICE_OPT_RANGE(
    SLUICE_OPTION_INT, "retry_attempts", "10", ADVANCED, 1, 1000,
    "Tries of one request, the first included, before the error goes to the engine.");
static const struct sluice_option o_retry_timeout =
    SLUICE_OPT_RANGE(SLUICE_OPTION_DURATION, "retry_timeout", "2m", ADVANCED, 0, 86400 * SECOND_US,
                     "A request that failed is tried again for so long at most.");

const struct sluice_option *const sluice_s3_sink_options[] = {&o_bucket,
                                                              &o_prefix,
                                                              &o_region,
                                                              &o_endpoint,
                                                              &o_path_style,
                                                              &o_access_key_id,
                                                              &o_secret_access_key,
                                                              &o_session_token,
                                                              &o_profile,
                                                              &o_ca_file,
                                                              &o_server_side_encryption,
                                                              &o_kms_key_id,
                                                              &o_storage_class,
                                                              SLUICE_LAKE_OPTIONS,
                                                              &o_proxy,
                                                              &o_part_size,
                                                              &o_upload_concurrency,
                                                              &o_checksum,
                                                              &o_sign_payload,
                                                              &o_connect_timeout,
                                                              &o_stall_timeout,
                                                              &o_request_timeout,
                                                              &o_retry_attempts,
                                                              &o_retry_timeout,
                                                              NULL};

#define BIND(member) SLUICE_BIND(struct sluice_s3_options, member, #member)

sluice_status sluice_s3_sink_bind(const struct sluice_host *host, struct sluice_s3_options *out,
                                  struct sluice_error *err)
{
    static const struct sluice_option_binding bindings[] = {
        BIND(bucket),
        BIND(prefix),
        BIND(region),
        BIND(endpoint),
        BIND(path_style),
        BIND(access_key_id),
        BIND(secret_access_key),
        BIND(session_token),
        BIND(profile),
        BIND(ca_file),
        BIND(proxy),
        BIND(part_size),
        BIND(upload_concurrency),
        BIND(server_side_encryption),
        BIND(kms_key_id),
        BIND(storage_class),
        BIND(checksum),
        BIND(sign_payload),
        BIND(connect_timeout),
        BIND(stall_timeout),
        BIND(request_timeout),
        BIND(retry_attempts),
        BIND(retry_timeout),
        {NULL, 0},
    };
    return sluice_options_bind(host, bindings, out, err);
}
