#include "s3/creds.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "s3/profile.h"
#include "s3/services.h"
#include "sluice/log.h"

/* Fetched anew this long before they expire. */
#define REFRESH_US ((int64_t)300 * 1000000)
/* A service that just failed is left alone so long, while the credentials at hand still hold. */
#define PAUSE_US ((int64_t)20 * 1000000)

struct sluice_s3_provider {
    struct sluice_s3_creds_config config;
    struct sluice_s3_creds creds;
    struct sluice_s3_creds next;
    bool have;
    int64_t pause_until_us; /* wall clock */
    uint64_t generation;
};

const char *sluice_s3_env_process(const char *name)
{
    return secure_getenv(name);
}

/* An unset variable and an empty one are the same, as for AWS's tools. */
static const char *lookup(const struct sluice_s3_provider *provider, const char *name)
{
    const char *value = provider->config.env(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

sluice_status sluice_s3_provider_create(const struct sluice_s3_creds_config *config,
                                        struct sluice_s3_provider **out, struct sluice_error *err)
{
    if ((config->access_key != NULL) != (config->secret_key != NULL)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "access_key_id and secret_access_key: give both or neither");
    }
    if (config->session_token != NULL && config->access_key == NULL) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "session_token: needs access_key_id and secret_access_key");
    }
    if (config->profile != NULL && config->access_key != NULL) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "profile: give either profile or access_key_id, not both");
    }
    struct sluice_s3_provider *provider = calloc(1, sizeof *provider);
    if (provider == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory");
    }
    provider->config = *config;
    *out = provider;
    return SLUICE_OK;
}

void sluice_s3_provider_destroy(struct sluice_s3_provider *provider)
{
    if (provider != NULL) {
        explicit_bzero(provider, sizeof *provider);
        free(provider);
    }
}

/* Copies given keys; they must fit and have no line breaks, since they go into headers. */
static sluice_status take_keys(struct sluice_s3_creds *creds, const char *access_key,
                               const char *secret_key, const char *token, const char *source,
                               struct sluice_error *err)
{
    const size_t token_size = token != NULL ? strlen(token) : 0;
    if (strlen(access_key) >= sizeof creds->access_key ||
        strlen(secret_key) >= sizeof creds->secret_key ||
        token_size >= sizeof creds->session_token || strpbrk(access_key, "\r\n /") != NULL ||
        (token != NULL && strpbrk(token, "\r\n") != NULL)) {
        return sluice_error_set(err, SLUICE_E_AUTH, 0,
                                "credentials from %s: a key is too long or holds characters that no"
                                " key has",
                                source);
    }
    memcpy(creds->access_key, access_key, strlen(access_key) + 1);
    memcpy(creds->secret_key, secret_key, strlen(secret_key) + 1);
    if (token_size > 0) {
        memcpy(creds->session_token, token, token_size + 1);
    }
    creds->source = source;
    return SLUICE_OK;
}

/* END: the profile has no credentials. */
static sluice_status from_profile(struct sluice_s3_provider *provider, const char *region,
                                  const char *name, struct sluice_error *err)
{
    struct sluice_s3_profile *profile = calloc(1, sizeof *profile);
    if (profile == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory");
    }
    sluice_status status = sluice_s3_profile_load(profile, provider->config.env, name, err);
    if (status < 0) {
        goto out;
    }
    if (profile->access_key[0] != '\0' && profile->secret_key[0] != '\0') {
        status = take_keys(&provider->next, profile->access_key, profile->secret_key,
                           profile->session_token, "profile", err);
    }
    else if (profile->role_arn[0] != '\0' && profile->token_file[0] != '\0') {
        status = sluice_s3_web_identity(&provider->config, region, profile->role_arn,
                                        profile->token_file, &provider->next, err);
    }
    else if (profile->other[0] != '\0') {
        status =
            sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                             "profile %s: uses %s, which sluice does not run; put keys into the"
                             " environment (aws configure export-credentials) instead",
                             name, profile->other);
    }
    else {
        status = SLUICE_END;
    }

out:
    explicit_bzero(profile, sizeof *profile);
    free(profile);
    return status;
}

static bool metadata_disabled(const struct sluice_s3_provider *provider)
{
    const char *value = lookup(provider, "AWS_EC2_METADATA_DISABLED");
    return value != NULL && strcasecmp(value, "true") == 0;
}

static sluice_status none_found(const struct sluice_s3_provider *provider, const char *profile,
                                const struct sluice_error *last, struct sluice_error *err)
{
    (void)provider;
    return sluice_error_set(
        err, SLUICE_E_AUTH, 0,
        "no AWS credentials: not in the options (access_key_id, secret_access_key), the environment"
        " (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), the profile %s of ~/.aws/credentials and"
        " ~/.aws/config, nor from web identity, container or instance services (%s)",
        profile, last->message[0] != '\0' ? last->message : "none offered");
}

/* Walks the chain into provider->next. */
static sluice_status fetch(struct sluice_s3_provider *provider, const char *region,
                           struct sluice_error *err)
{
    const struct sluice_s3_creds_config *config = &provider->config;
    struct sluice_error last = SLUICE_ERROR_INIT;
    if (config->access_key != NULL) {
        return take_keys(&provider->next, config->access_key, config->secret_key,
                         config->session_token, "options", err);
    }
    if (config->profile != NULL) {
        const sluice_status status = from_profile(provider, region, config->profile, err);
        return status != SLUICE_END
                   ? status
                   : sluice_error_set(
                         err, SLUICE_E_AUTH, 0,
                         "profile %s: not found in ~/.aws/credentials or ~/.aws/config,"
                         " or without keys",
                         config->profile);
    }
    const char *access_key = lookup(provider, "AWS_ACCESS_KEY_ID");
    const char *secret_key = lookup(provider, "AWS_SECRET_ACCESS_KEY");
    if (access_key != NULL && secret_key != NULL) {
        return take_keys(&provider->next, access_key, secret_key,
                         lookup(provider, "AWS_SESSION_TOKEN"), "environment", err);
    }
    const char *role_arn = lookup(provider, "AWS_ROLE_ARN");
    const char *token_file = lookup(provider, "AWS_WEB_IDENTITY_TOKEN_FILE");
    if (role_arn != NULL && token_file != NULL) {
        return sluice_s3_web_identity(config, region, role_arn, token_file, &provider->next, err);
    }
    const char *named = lookup(provider, "AWS_PROFILE");
    const char *profile = named != NULL ? named : "default";
    sluice_status status = from_profile(provider, region, profile, err);
    if (status != SLUICE_END) {
        return status;
    }
    if (lookup(provider, "AWS_CONTAINER_CREDENTIALS_FULL_URI") != NULL ||
        lookup(provider, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != NULL) {
        return sluice_s3_container(config, &provider->next, err);
    }
    if (named == NULL && !metadata_disabled(provider)) {
        status = sluice_s3_instance(config, &provider->next, &last);
        if (status == SLUICE_OK) {
            return SLUICE_OK;
        }
        if (status == SLUICE_E_CANCELLED) {
            return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "s3: cancelled");
        }
    }
    return none_found(provider, profile, &last, err);
}

static bool same(const struct sluice_s3_creds *a, const struct sluice_s3_creds *b)
{
    return strcmp(a->access_key, b->access_key) == 0 && strcmp(a->secret_key, b->secret_key) == 0 &&
           strcmp(a->session_token, b->session_token) == 0;
}

sluice_status sluice_s3_creds_get(struct sluice_s3_provider *provider, const char *region,
                                  bool refresh, const struct sluice_s3_creds **out,
                                  struct sluice_error *err)
{
    const struct sluice_host *host = provider->config.host;
    const int64_t now = host->now_us(host->ctx, SLUICE_CLOCK_WALL);
    const int64_t expires = provider->creds.expires_us;
    const bool fresh = expires == 0 || now < expires - REFRESH_US ||
                       (now < expires && now < provider->pause_until_us);
    if (provider->have && !refresh && fresh) {
        *out = &provider->creds;
        return SLUICE_OK;
    }
    explicit_bzero(&provider->next, sizeof provider->next);
    const sluice_status status = fetch(provider, region, err);
    if (status < 0) {
        if (provider->have && !refresh && now < expires) {
            sluice_log(host, SLUICE_LOG_WARN, "s3 credentials not renewed yet: %s",
                       err != NULL ? err->message : "");
            provider->pause_until_us = now + PAUSE_US;
            *out = &provider->creds;
            return SLUICE_OK;
        }
        return status;
    }
    if (!provider->have || !same(&provider->creds, &provider->next)) {
        provider->generation++;
        sluice_log(host, SLUICE_LOG_DEBUG, "s3 credentials source=%s", provider->next.source);
    }
    provider->next.generation = provider->generation;
    provider->creds = provider->next;
    explicit_bzero(&provider->next, sizeof provider->next);
    provider->have = true;
    *out = &provider->creds;
    return SLUICE_OK;
}

sluice_status sluice_s3_provider_region(struct sluice_s3_provider *provider,
                                        char region[SLUICE_S3_KEY_SIZE], struct sluice_error *err)
{
    const char *value = lookup(provider, "AWS_REGION");
    value = value != NULL ? value : lookup(provider, "AWS_DEFAULT_REGION");
    region[0] = '\0';
    if (value != NULL) {
        sluice_s3_text_copy(region, SLUICE_S3_KEY_SIZE, value, strlen(value));
        return SLUICE_OK;
    }
    const char *name = provider->config.profile;
    name = name != NULL ? name : lookup(provider, "AWS_PROFILE");
    struct sluice_s3_profile *profile = calloc(1, sizeof *profile);
    if (profile == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory");
    }
    const sluice_status status =
        sluice_s3_profile_load(profile, provider->config.env, name != NULL ? name : "default", err);
    if (status == SLUICE_OK) {
        memcpy(region, profile->region, sizeof profile->region);
    }
    explicit_bzero(profile, sizeof *profile);
    free(profile);
    return status;
}
