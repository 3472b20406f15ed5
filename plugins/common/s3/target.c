#include "s3/target.h"

#include <string.h>

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool sluice_s3_region_valid(const char *region)
{
    const size_t size = strlen(region);
    if (size == 0 || size >= SLUICE_S3_REGION_SIZE || region[0] == '-') {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (!is_lower_or_digit(region[i]) && region[i] != '-') {
            return false;
        }
    }
    return true;
}

static bool bucket_valid(const char *bucket)
{
    const size_t size = strlen(bucket);
    if (size < 1 || size > 255 || strcmp(bucket, ".") == 0 || strcmp(bucket, "..") == 0) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        const char c = bucket[i];
        if (!is_lower_or_digit(c) && !(c >= 'A' && c <= 'Z') && c != '.' && c != '-' && c != '_') {
            return false;
        }
    }
    return true;
}

/* Fit to be a label of a host name. */
static bool bucket_is_label(const char *bucket)
{
    for (const char *at = bucket; *at != '\0'; at++) {
        if (!is_lower_or_digit(*at) && *at != '-' && *at != '.') {
            return false;
        }
    }
    return strlen(bucket) <= 63;
}

static sluice_status bad_endpoint(struct sluice_error *err, const char *why)
{
    return sluice_error_set(err, SLUICE_E_INVALID, 0,
                            "endpoint: %s; write https://host[:port][/path] or http://…", why);
}

static sluice_status parse_endpoint(struct sluice_s3_target *target, const char *endpoint,
                                    struct sluice_error *err)
{
    const char *at = endpoint;
    if (strncmp(at, "https://", 8) == 0) {
        target->https = true;
        at += 8;
    }
    else if (strncmp(at, "http://", 7) == 0) {
        target->https = false;
        at += 7;
    }
    else {
        return bad_endpoint(err, "it does not begin with https:// or http://");
    }
    size_t host = strcspn(at, "/");
    if (host == 0 || host >= sizeof target->endpoint) {
        return bad_endpoint(err, "the host is missing or too long");
    }
    for (size_t i = 0; i < strlen(at); i++) {
        const char c = at[i];
        const bool fine = is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' ||
                          c == '_' || c == ':' || c == '[' || c == ']' || c == '~' ||
                          (c == '/' && i >= host);
        if (!fine) {
            return bad_endpoint(err, c == '@' ? "keys and passwords do not belong into it"
                                              : "a character in it is not allowed");
        }
    }
    memcpy(target->endpoint, at, host);
    target->endpoint[host] = '\0';
    /* HTTP clients leave the default port out of Host, and the signature covers Host. */
    const char *port = target->https ? ":443" : ":80";
    if (host > strlen(port) && strcmp(target->endpoint + host - strlen(port), port) == 0) {
        target->endpoint[host - strlen(port)] = '\0';
    }
    at += host;
    size_t base = strlen(at);
    while (base > 0 && at[base - 1] == '/') {
        base--;
    }
    if (base >= sizeof target->base) {
        return bad_endpoint(err, "the path is too long");
    }
    memcpy(target->base, at, base);
    target->base[base] = '\0';
    return SLUICE_OK;
}

sluice_status sluice_s3_target_init(struct sluice_s3_target *target, const char *bucket,
                                    const char *endpoint, int path_style, struct sluice_error *err)
{
    *target = (struct sluice_s3_target){.https = true, .aws = endpoint == NULL, .bucket = bucket};
    if (!bucket_valid(bucket)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "bucket: must be the bare name of a bucket (letters, digits, '.',"
                                " '-'), not a URL or path; folders go into `prefix`");
    }
    if (endpoint != NULL) {
        SLUICE_TRY(parse_endpoint(target, endpoint, err));
    }
    target->virtual_host = path_style == SLUICE_S3_PATH_NEVER;
    if (path_style == SLUICE_S3_PATH_AUTO) {
        /* A dot in the name breaks the server's wildcard certificate. */
        target->virtual_host =
            target->aws && bucket_is_label(bucket) && strchr(bucket, '.') == NULL;
    }
    if (target->virtual_host && !bucket_is_label(bucket)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "path_style: bucket %s cannot stand in a host name; set path_style:"
                                " true",
                                bucket);
    }
    return SLUICE_OK;
}

void sluice_s3_target_host(const struct sluice_s3_target *target, const char *region,
                           struct sluice_s3_buf *buf)
{
    if (target->virtual_host) {
        sluice_s3_buf_adds(buf, target->bucket);
        sluice_s3_buf_addc(buf, '.');
    }
    if (!target->aws) {
        sluice_s3_buf_adds(buf, target->endpoint);
        return;
    }
    sluice_s3_buf_addf(buf, "s3.%s.amazonaws.com%s", region,
                       strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

void sluice_s3_target_path(const struct sluice_s3_target *target, const char *key,
                           struct sluice_s3_buf *buf)
{
    sluice_s3_buf_adds(buf, target->base);
    if (!target->virtual_host) {
        sluice_s3_buf_addc(buf, '/');
        sluice_s3_buf_adds(buf, target->bucket);
    }
    if (key != NULL) {
        sluice_s3_buf_addc(buf, '/');
        sluice_s3_buf_adds(buf, key);
    }
    else if (target->virtual_host) {
        sluice_s3_buf_addc(buf, '/');
    }
}
