#include "s3/services.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "s3/profile.h"
#include "s3/sign.h"
#include "s3/target.h"
#include "s3/xml.h"

/* The metadata service is a hop away; where there is none, packets vanish. */
#define IMDS_TIMEOUT_US 1000000
#define SERVICE_TIMEOUT_US 10000000
#define REPLY_BYTES_MAX ((uint64_t)128 << 10)

int64_t sluice_s3_iso_time_us(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == NULL || (*rest != 'Z' && *rest != '.' && *rest != '\0' && *rest != '+')) {
        return 0;
    }
    const time_t seconds = timegm(&tm);
    return seconds > 0 ? (int64_t)seconds * 1000000 : 0;
}

static bool copy_value(char *to, size_t to_size, const char *value)
{
    const size_t size = value != NULL ? strlen(value) : 0;
    if (size >= to_size) {
        return false;
    }
    if (size > 0) {
        memcpy(to, value, size);
    }
    to[size] = '\0';
    return true;
}

static sluice_status check_creds(const struct sluice_s3_creds *creds, struct sluice_error *err)
{
    if (creds->access_key[0] == '\0' || creds->secret_key[0] == '\0') {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "the answer holds no credentials");
    }
    return SLUICE_OK;
}

/* jansson does not wipe what it frees. */
static void wipe_json(json_t *value)
{
    const char *key = NULL;
    json_t *item = NULL;
    json_object_foreach(value, key, item)
    {
        if (json_is_string(item)) {
            explicit_bzero((void *)(uintptr_t)json_string_value(item), json_string_length(item));
        }
    }
}

sluice_status sluice_s3_creds_from_json(const char *text, size_t size,
                                        struct sluice_s3_creds *creds, struct sluice_error *err)
{
    json_error_t why;
    sluice_status status = SLUICE_OK;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(root)) {
        json_decref(root);
        return sluice_error_set(err, SLUICE_E_DATA, 0, "the answer is no JSON object");
    }
    const char *code = json_string_value(json_object_get(root, "Code"));
    const char *expires = json_string_value(json_object_get(root, "Expiration"));
    if (code != NULL && strcasecmp(code, "Success") != 0) {
        char shown[64];
        sluice_s3_text_copy(shown, sizeof shown, code, strlen(code));
        status = sluice_error_set(err, SLUICE_E_AUTH, 0, "the service answers %s", shown);
    }
    else if (!copy_value(creds->access_key, sizeof creds->access_key,
                         json_string_value(json_object_get(root, "AccessKeyId"))) ||
             !copy_value(creds->secret_key, sizeof creds->secret_key,
                         json_string_value(json_object_get(root, "SecretAccessKey"))) ||
             !copy_value(creds->session_token, sizeof creds->session_token,
                         json_string_value(json_object_get(root, "Token")))) {
        status = sluice_error_set(err, SLUICE_E_DATA, 0, "a value of the answer is too long");
    }
    else {
        creds->expires_us = expires != NULL ? sluice_s3_iso_time_us(expires) : 0;
        status = check_creds(creds, err);
    }
    wipe_json(root);
    json_decref(root);
    return status;
}

static sluice_status take_xml(void *vctx, int event, uint32_t depth, const char *name,
                              const char *text, size_t text_size)
{
    struct sluice_s3_creds *creds = vctx;
    bool fits = true;
    (void)depth;
    (void)text_size;
    if (event != SLUICE_S3_XML_LEAVE) {
        return SLUICE_OK;
    }
    if (strcmp(name, "AccessKeyId") == 0) {
        fits = copy_value(creds->access_key, sizeof creds->access_key, text);
    }
    else if (strcmp(name, "SecretAccessKey") == 0) {
        fits = copy_value(creds->secret_key, sizeof creds->secret_key, text);
    }
    else if (strcmp(name, "SessionToken") == 0) {
        fits = copy_value(creds->session_token, sizeof creds->session_token, text);
    }
    else if (strcmp(name, "Expiration") == 0) {
        creds->expires_us = sluice_s3_iso_time_us(text);
    }
    return fits ? SLUICE_OK : SLUICE_E_DATA;
}

sluice_status sluice_s3_creds_from_xml(const char *text, size_t size, struct sluice_s3_creds *creds,
                                       struct sluice_error *err)
{
    if (sluice_s3_xml_walk(text, size, take_xml, creds, err) < 0) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "the answer cannot be read");
    }
    return check_creds(creds, err);
}

/* Sends and expects 200. `what` names the service in messages. */
static sluice_status ask(const struct sluice_s3_creds_config *config, const char *what,
                         const struct sluice_s3_http_request *request, bool direct,
                         struct sluice_s3_reply *reply, struct sluice_error *err)
{
    struct sluice_s3_http_options options = config->http;
    char code[64] = "";
    if (direct) {
        options.proxy = NULL;
    }
    options.connect_timeout_us = request->timeout_us;
    const int cancel_fd = config->host->cancel_fd(config->host->ctx);
    const sluice_status status = sluice_s3_http_once(&options, request, cancel_fd, reply, err);
    if (status < 0) {
        return status;
    }
    if (reply->curl != CURLE_OK) {
        return sluice_error_set(err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE, "%s: %s", what,
                                reply->detail);
    }
    if (reply->http_status != 200) {
        const bool later = reply->http_status == 429 || reply->http_status >= 500;
        (void)sluice_s3_xml_find(sluice_s3_buf_text(&reply->body), reply->body.size, "Code", code,
                                 sizeof code);
        return sluice_error_set(err, later ? SLUICE_E_UNAVAILABLE : SLUICE_E_AUTH,
                                later ? SLUICE_ERROR_RETRYABLE : 0, "%s: HTTP %ld%s%s", what,
                                reply->http_status, code[0] != '\0' ? " " : "", code);
    }
    return SLUICE_OK;
}

static void add_field(struct sluice_s3_buf *buf, const char *name, const char *value, size_t size)
{
    sluice_s3_buf_addf(buf, "%s%s=", buf->size > 0 ? "&" : "", name);
    sluice_s3_uri_escape(buf, value, size, false);
}

sluice_status sluice_s3_web_identity(const struct sluice_s3_creds_config *config,
                                     const char *region, const char *role_arn,
                                     const char *token_file, struct sluice_s3_creds *creds,
                                     struct sluice_error *err)
{
    static const struct sluice_s3_pair type = {"content-type", "application/x-www-form-urlencoded"};
    struct sluice_s3_buf token = {0};
    struct sluice_s3_buf form = {0};
    struct sluice_s3_reply reply = {0};
    char url[512];
    const char *session = config->env("AWS_ROLE_SESSION_NAME");
    const char *endpoint = config->env("AWS_ENDPOINT_URL_STS");
    sluice_status status = sluice_s3_file_read(token_file, &token, err);
    if (status < 0) {
        status = sluice_error_wrap(err, "web identity token");
        goto out;
    }
    while (token.size > 0 && token.data[token.size - 1] <= ' ') {
        token.size--;
    }
    session = session != NULL && session[0] != '\0' ? session : "sluice";
    add_field(&form, "Action", "AssumeRoleWithWebIdentity", 25);
    add_field(&form, "Version", "2011-06-15", 10);
    add_field(&form, "RoleArn", role_arn, strlen(role_arn));
    add_field(&form, "RoleSessionName", session, strlen(session));
    add_field(&form, "WebIdentityToken", sluice_s3_buf_text(&token), token.size);
    const int size = endpoint != NULL
                         ? snprintf(url, sizeof url, "%s/", endpoint)
                         : snprintf(url, sizeof url, "https://sts.%s.amazonaws.com%s/", region,
                                    strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
    if (form.failed || size < 0 || (size_t)size >= sizeof url) {
        status =
            sluice_error_set(err, SLUICE_E_LIMIT, 0, "web identity: token or endpoint too long");
        goto out;
    }
    const struct sluice_s3_http_request request = {.method = "POST",
                                                   .url = url,
                                                   .headers = &type,
                                                   .header_count = 1,
                                                   .body = form.data,
                                                   .body_size = form.size,
                                                   .body_max = REPLY_BYTES_MAX,
                                                   .timeout_us = SERVICE_TIMEOUT_US};
    status = ask(config, "STS AssumeRoleWithWebIdentity", &request, false, &reply, err);
    if (status == SLUICE_OK) {
        status =
            sluice_s3_creds_from_xml(sluice_s3_buf_text(&reply.body), reply.body.size, creds, err);
    }
    creds->source = "web identity";

out:
    sluice_s3_buf_wipe(&token);
    sluice_s3_buf_wipe(&form);
    sluice_s3_buf_wipe(&reply.body);
    return status;
}

/* Plain http only to this machine and to the addresses where AWS runs these services: credentials
 * come back in the clear. */
static bool container_uri_allowed(const char *uri)
{
    static const char *const hosts[] = {"http://localhost",      "http://127.",
                                        "http://[::1]",          "http://169.254.170.2",
                                        "http://169.254.170.23", "http://[fd00:ec2::23]"};
    if (strncmp(uri, "https://", 8) == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        const size_t size = strlen(hosts[i]);
        const char next = strncmp(uri, hosts[i], size) == 0 ? uri[size] : 'x';
        if (next == ':' || next == '/' || next == '\0') {
            return true;
        }
        if (strcmp(hosts[i], "http://127.") == 0 && strncmp(uri, hosts[i], size) == 0 &&
            strspn(uri + size, "0123456789.:") == strcspn(uri + size, "/")) {
            return true;
        }
    }
    return false;
}

sluice_status sluice_s3_container(const struct sluice_s3_creds_config *config,
                                  struct sluice_s3_creds *creds, struct sluice_error *err)
{
    struct sluice_s3_buf token = {0};
    struct sluice_s3_reply reply = {0};
    char url[1024];
    const char *full = config->env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *relative = config->env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *token_file = config->env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token_text = config->env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    sluice_status status = SLUICE_OK;
    const int size = relative != NULL
                         ? snprintf(url, sizeof url, "http://169.254.170.2%s", relative)
                         : snprintf(url, sizeof url, "%s", full != NULL ? full : "");
    if (size <= 0 || (size_t)size >= sizeof url || !container_uri_allowed(url)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "container credentials: the URI in the environment is not https and"
                                " not a local address");
    }
    if (token_file != NULL) {
        status = sluice_s3_file_read(token_file, &token, err);
        if (status < 0) {
            status = sluice_error_wrap(err, "container credentials");
            goto out;
        }
    }
    else if (token_text != NULL) {
        sluice_s3_buf_adds(&token, token_text);
    }
    while (token.size > 0 && token.data[token.size - 1] <= ' ') {
        token.data[--token.size] = '\0';
    }
    if (token.failed || strpbrk(sluice_s3_buf_text(&token), "\r\n") != NULL) {
        status = sluice_error_set(err, SLUICE_E_INVALID, 0,
                                  "container credentials: the authorization token is malformed");
        goto out;
    }
    const struct sluice_s3_pair header = {"authorization", sluice_s3_buf_text(&token)};
    const struct sluice_s3_http_request request = {.method = "GET",
                                                   .url = url,
                                                   .headers = &header,
                                                   .header_count = token.size > 0 ? 1 : 0,
                                                   .body_max = REPLY_BYTES_MAX,
                                                   .timeout_us = SERVICE_TIMEOUT_US};
    status = ask(config, "container credentials", &request, true, &reply, err);
    if (status == SLUICE_OK) {
        status =
            sluice_s3_creds_from_json(sluice_s3_buf_text(&reply.body), reply.body.size, creds, err);
    }
    creds->source = "container";

out:
    sluice_s3_buf_wipe(&token);
    sluice_s3_buf_wipe(&reply.body);
    return status;
}

/* GET base/path with the session token of IMDSv2. */
static sluice_status imds_get(const struct sluice_s3_creds_config *config, const char *base,
                              const char *path, const char *session, struct sluice_s3_reply *reply,
                              struct sluice_error *err)
{
    char url[1024];
    const struct sluice_s3_pair header = {"x-aws-ec2-metadata-token", session};
    const int size =
        snprintf(url, sizeof url, "%s/latest/meta-data/iam/security-credentials/%s", base, path);
    if (size < 0 || (size_t)size >= sizeof url) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "instance metadata: name too long");
    }
    const struct sluice_s3_http_request request = {.method = "GET",
                                                   .url = url,
                                                   .headers = &header,
                                                   .header_count = 1,
                                                   .body_max = REPLY_BYTES_MAX,
                                                   .timeout_us = IMDS_TIMEOUT_US};
    return ask(config, "instance metadata", &request, true, reply, err);
}

sluice_status sluice_s3_instance(const struct sluice_s3_creds_config *config,
                                 struct sluice_s3_creds *creds, struct sluice_error *err)
{
    static const struct sluice_s3_pair ttl = {"x-aws-ec2-metadata-token-ttl-seconds", "21600"};
    struct sluice_s3_reply reply = {0};
    char url[512];
    char session[512] = "";
    char role[128] = "";
    const char *base = config->env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    base = base != NULL && base[0] != '\0' ? base : "http://169.254.169.254";
    const size_t base_size = strlen(base);
    const int size = snprintf(
        url, sizeof url, "%.*s/latest/api/token",
        (int)(base_size > 0 && base[base_size - 1] == '/' ? base_size - 1 : base_size), base);
    if (size < 0 || (size_t)size >= sizeof url) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "instance metadata: endpoint too long");
    }
    const struct sluice_s3_http_request request = {.method = "PUT",
                                                   .url = url,
                                                   .headers = &ttl,
                                                   .header_count = 1,
                                                   .body_max = REPLY_BYTES_MAX,
                                                   .timeout_us = IMDS_TIMEOUT_US};
    sluice_status status = ask(config, "instance metadata", &request, true, &reply, err);
    if (status < 0) {
        goto out;
    }
    url[(size_t)size - strlen("/latest/api/token")] = '\0';
    sluice_s3_text_copy(session, sizeof session, sluice_s3_buf_text(&reply.body), reply.body.size);
    status = imds_get(config, url, "", session, &reply, err);
    if (status < 0) {
        goto out;
    }
    const size_t line = strcspn(sluice_s3_buf_text(&reply.body), "\r\n");
    sluice_s3_text_copy(role, sizeof role, sluice_s3_buf_text(&reply.body), line);
    status = imds_get(config, url, role, session, &reply, err);
    if (status == SLUICE_OK) {
        status =
            sluice_s3_creds_from_json(sluice_s3_buf_text(&reply.body), reply.body.size, creds, err);
    }
    creds->source = "instance metadata";

out:
    explicit_bzero(session, sizeof session);
    sluice_s3_buf_wipe(&reply.body);
    return status;
}
