/* The credential chain, with an environment and files of our own. */
#include "s3/creds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_host.h"
#include "s3/profile.h"
#include "s3/services.h"
#include "test_s3.h"

static struct {
    const char *name;
    const char *value;
} environment[16];

static const char *fake_env(const char *name)
{
    for (size_t i = 0; i < 16 && environment[i].name != NULL; i++) {
        if (strcmp(environment[i].name, name) == 0) {
            return environment[i].value;
        }
    }
    return NULL;
}

static void env_set(const char *name, const char *value)
{
    size_t i = 0;
    while (environment[i].name != NULL && strcmp(environment[i].name, name) != 0) {
        i++;
    }
    environment[i].name = name;
    environment[i].value = value;
}

static int env_reset(void **state)
{
    (void)state;
    memset(environment, 0, sizeof environment);
    env_set("AWS_EC2_METADATA_DISABLED", "true");
    env_set("HOME", "/nonexistent");
    return 0;
}

/* A file with that text; the path is static. */
static const char *make_file(const char *text)
{
    static char path[64];
    memcpy(path, "/tmp/test_s3_XXXXXX", 20);
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static sluice_status get(const struct sluice_s3_creds_config *base, struct sluice_s3_creds *out,
                         struct sluice_error *err)
{
    struct fake_host host;
    struct sluice_s3_creds_config config = *base;
    struct sluice_s3_provider *provider = NULL;
    const struct sluice_s3_creds *creds = NULL;
    fake_host_init(&host);
    config.host = &host.table;
    config.env = fake_env;
    config.http.connect_timeout_us = 1000000;
    sluice_status status = sluice_s3_provider_create(&config, &provider, err);
    if (status == SLUICE_OK) {
        status = sluice_s3_creds_get(provider, "us-east-1", false, &creds, err);
    }
    if (status == SLUICE_OK && out != NULL) {
        *out = *creds;
    }
    sluice_s3_provider_destroy(provider);
    fake_host_free(&host);
    return status;
}

static void test_options_first(void **state)
{
    const struct sluice_s3_creds_config config = {
        .access_key = "AK", .secret_key = "SK", .session_token = "T"};
    struct sluice_s3_creds creds;
    (void)state;
    env_set("AWS_ACCESS_KEY_ID", "ENVAK");
    env_set("AWS_SECRET_ACCESS_KEY", "ENVSK");
    assert_int_equal(get(&config, &creds, NULL), SLUICE_OK);
    assert_string_equal(creds.access_key, "AK");
    assert_string_equal(creds.secret_key, "SK");
    assert_string_equal(creds.session_token, "T");
    assert_string_equal(creds.source, "options");
}

static void test_options_refused(void **state)
{
    struct sluice_s3_creds_config config = {.access_key = "AK"};
    (void)state;
    assert_int_equal(get(&config, NULL, NULL), SLUICE_E_INVALID);
    config = (struct sluice_s3_creds_config){.session_token = "T"};
    assert_int_equal(get(&config, NULL, NULL), SLUICE_E_INVALID);
    config =
        (struct sluice_s3_creds_config){.access_key = "AK", .secret_key = "SK", .profile = "p"};
    assert_int_equal(get(&config, NULL, NULL), SLUICE_E_INVALID);
    config = (struct sluice_s3_creds_config){.access_key = "A\r\nX: y", .secret_key = "SK"};
    assert_int_equal(get(&config, NULL, NULL), SLUICE_E_AUTH);
}

static void test_environment(void **state)
{
    const struct sluice_s3_creds_config config = {0};
    struct sluice_s3_creds creds;
    (void)state;
    env_set("AWS_ACCESS_KEY_ID", "ENVAK");
    env_set("AWS_SECRET_ACCESS_KEY", "ENVSK");
    env_set("AWS_SESSION_TOKEN", "");
    assert_int_equal(get(&config, &creds, NULL), SLUICE_OK);
    assert_string_equal(creds.access_key, "ENVAK");
    assert_string_equal(creds.session_token, "");
    assert_string_equal(creds.source, "environment");
}

static void test_shared_files(void **state)
{
    static const char text[] = "; comment\r\n# comment\n[default]\naws_access_key_id = DAK\r\n"
                               "aws_secret_access_key=DSK/+=\n\n[other]\naws_access_key_id=OAK\n"
                               "aws_secret_access_key = OSK\naws_session_token = OT\n"
                               "s3 =\n  aws_access_key_id = NOT\n[ spaced ]\nregion=eu-west-1\n";
    struct sluice_s3_creds_config config = {0};
    struct sluice_s3_creds creds;
    (void)state;
    const char *path = make_file(text);
    env_set("AWS_SHARED_CREDENTIALS_FILE", path);
    assert_int_equal(get(&config, &creds, NULL), SLUICE_OK);
    assert_string_equal(creds.access_key, "DAK");
    assert_string_equal(creds.secret_key, "DSK/+=");
    assert_string_equal(creds.source, "profile");
    env_set("AWS_PROFILE", "other");
    assert_int_equal(get(&config, &creds, NULL), SLUICE_OK);
    assert_string_equal(creds.access_key, "OAK");
    assert_string_equal(creds.session_token, "OT");
    /* An explicit profile comes before the environment's keys. */
    env_set("AWS_ACCESS_KEY_ID", "ENVAK");
    env_set("AWS_SECRET_ACCESS_KEY", "ENVSK");
    config.profile = "default";
    assert_int_equal(get(&config, &creds, NULL), SLUICE_OK);
    assert_string_equal(creds.access_key, "DAK");
    config.profile = "missing";
    assert_int_equal(get(&config, &creds, NULL), SLUICE_E_AUTH);
    unlink(path);
}

static void test_config_file(void **state)
{
    static const char text[] =
        "[default]\nregion = us-west-2\n[profile work]\naws_access_key_id = WAK\n"
        "aws_secret_access_key = WSK\nregion = eu-central-1\n[work]\naws_access_key_id = WRONG\n"
        "[profile sso]\nsso_session = x\n";
    struct sluice_s3_profile profile;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_s3_creds_config config = {.profile = "sso"};
    (void)state;
    memset(&profile, 0, sizeof profile);
    assert_int_equal(sluice_s3_profile_parse(&profile, text, strlen(text), "work", true, NULL),
                     SLUICE_OK);
    assert_true(profile.found);
    assert_string_equal(profile.access_key, "WAK");
    assert_string_equal(profile.region, "eu-central-1");
    memset(&profile, 0, sizeof profile);
    assert_int_equal(sluice_s3_profile_parse(&profile, text, strlen(text), "default", true, NULL),
                     SLUICE_OK);
    assert_string_equal(profile.region, "us-west-2");
    const char *path = make_file(text);
    env_set("AWS_CONFIG_FILE", path);
    assert_int_equal(get(&config, NULL, &err), SLUICE_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "sso_session"));
    unlink(path);
}

static void test_profile_hostile(void **state)
{
    static const char text[] = "[default\n]\n=\n[default]\n=x\naws_access_key_id\n[";
    struct sluice_s3_profile *profile = calloc(1, sizeof *profile);
    char *longer = malloc(4096);
    (void)state;
    assert_non_null(profile);
    assert_non_null(longer);
    for (size_t size = 0; size < sizeof text; size++) {
        char *copy = malloc(size > 0 ? size : 1);
        assert_non_null(copy);
        memcpy(copy, text, size);
        assert_int_equal(sluice_s3_profile_parse(profile, copy, size, "default", false, NULL),
                         SLUICE_OK);
        free(copy);
    }
    memset(longer, 'x', 4096);
    memcpy(longer, "[default]\naws_access_key_id=", 28);
    assert_int_equal(sluice_s3_profile_parse(profile, longer, 4096, "default", false, NULL),
                     SLUICE_E_DATA);
    free(longer);
    free(profile);
}

static void test_nothing_found(void **state)
{
    const struct sluice_s3_creds_config config = {0};
    struct sluice_error err = SLUICE_ERROR_INIT;
    (void)state;
    assert_int_equal(get(&config, NULL, &err), SLUICE_E_AUTH);
    assert_non_null(strstr(err.message, "AWS_ACCESS_KEY_ID"));
    assert_int_equal(err.flags, 0);
}

static void test_service_answers(void **state)
{
    static const char json[] = "{\"Code\":\"Success\",\"AccessKeyId\":\"JAK\",\"SecretAccessKey\":"
                               "\"JSK\",\"Token\":\"JT\",\"Expiration\":\"2026-11-23T00:52:34Z\"}";
    static const char xml[] =
        "<AssumeRoleWithWebIdentityResponse xmlns=\"x\"><AssumeRoleWithWebIdentityResult>"
        "<Credentials><AccessKeyId>XAK</AccessKeyId><SecretAccessKey>XSK</SecretAccessKey>"
        "<SessionToken>XT</SessionToken><Expiration>2026-11-23T00:52:34.5Z</Expiration>"
        "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
    struct sluice_s3_creds creds;
    (void)state;
    memset(&creds, 0, sizeof creds);
    assert_int_equal(sluice_s3_creds_from_json(json, strlen(json), &creds, NULL), SLUICE_OK);
    assert_string_equal(creds.session_token, "JT");
    assert_int_equal(creds.expires_us, INT64_C(1795395154000000));
    memset(&creds, 0, sizeof creds);
    assert_int_equal(sluice_s3_creds_from_xml(xml, strlen(xml), &creds, NULL), SLUICE_OK);
    assert_string_equal(creds.access_key, "XAK");
    assert_int_equal(creds.expires_us, INT64_C(1795395154000000));
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"Code\":\"Failed\"}",
                                      "{\"AccessKeyId\":1}",
                                      "{\"AccessKeyId\":\"a\"}",
                                      "null"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        memset(&creds, 0, sizeof creds);
        assert_true(sluice_s3_creds_from_json(bad[i], strlen(bad[i]), &creds, NULL) < 0);
        assert_true(sluice_s3_creds_from_xml(bad[i], strlen(bad[i]), &creds, NULL) < 0);
    }
    assert_int_equal(sluice_s3_iso_time_us("soon"), 0);
    assert_int_equal(sluice_s3_iso_time_us("2026-11-23 00:52:34"), 0);
}

static void test_container_uri(void **state)
{
    static const char *const refused[] = {"http://evil.example/", "http://127.evil.example/",
                                          "http://169.254.170.20/x", "http://localhostx/",
                                          "ftp://x"};
    const struct sluice_s3_creds_config config = {0};
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        env_set("AWS_CONTAINER_CREDENTIALS_FULL_URI", refused[i]);
        assert_int_equal(get(&config, NULL, NULL), SLUICE_E_INVALID);
    }
    /* Allowed, but nobody listens: an error that may be retried. */
    struct sluice_error err = SLUICE_ERROR_INIT;
    env_set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/creds");
    assert_int_equal(get(&config, NULL, &err), SLUICE_E_UNAVAILABLE);
    assert_true((err.flags & SLUICE_ERROR_RETRYABLE) != 0);
}

int run_creds_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_options_first, env_reset),
        cmocka_unit_test_setup(test_options_refused, env_reset),
        cmocka_unit_test_setup(test_environment, env_reset),
        cmocka_unit_test_setup(test_shared_files, env_reset),
        cmocka_unit_test_setup(test_config_file, env_reset),
        cmocka_unit_test_setup(test_profile_hostile, env_reset),
        cmocka_unit_test_setup(test_nothing_found, env_reset),
        cmocka_unit_test_setup(test_service_answers, env_reset),
        cmocka_unit_test_setup(test_container_uri, env_reset),
    };
    return cmocka_run_group_tests_name("s3 creds", tests, NULL, NULL);
}
