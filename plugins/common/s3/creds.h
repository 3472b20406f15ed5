/*
 * AWS credentials: from the configuration, else found the way AWS's own tools find them:
 * environment, web identity (EKS), shared files, container (ECS, EKS pod identity), instance (EC2).
 *
 * A provider is used by one thread at a time (the client's I/O thread); sluice_s3_creds_get may
 * block for a few seconds while it asks a service. Secrets are wiped before memory is given back.
 */
#ifndef SLUICE_COMMON_S3_CREDS_H
#define SLUICE_COMMON_S3_CREDS_H

#include "s3/http.h"
#include "sluice/abi.h"

/* Looks up an environment variable, NULL = unset; a parameter so that tests bring their own. */
typedef const char *(*sluice_s3_env)(const char *name);
/* The process's environment, nothing in a set-uid program. */
const char *sluice_s3_env_process(const char *name);

/* Values are NUL-terminated; "" = none. Sized for the longest that AWS documents, with room. */
#define SLUICE_S3_KEY_SIZE 256
#define SLUICE_S3_TOKEN_SIZE ((size_t)24 << 10)

struct sluice_s3_creds {
    char access_key[SLUICE_S3_KEY_SIZE];
    char secret_key[SLUICE_S3_KEY_SIZE];
    char session_token[SLUICE_S3_TOKEN_SIZE];
    int64_t expires_us;  /* wall clock, 0 = never */
    const char *source;  /* where they come from, for people; static text */
    uint64_t generation; /* another number when they changed */
};

struct sluice_s3_creds_config {
    /* From the options; NULL = not given; borrowed as long as the provider. */
    const char *access_key;
    const char *secret_key;
    const char *session_token;
    const char *profile;
    sluice_s3_env env;
    const struct sluice_host *host;
    struct sluice_s3_http_options http;
};

struct sluice_s3_provider;

/* No I/O. INVALID when the options contradict each other. */
sluice_status sluice_s3_provider_create(const struct sluice_s3_creds_config *config,
                                        struct sluice_s3_provider **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_s3_provider_destroy(struct sluice_s3_provider *provider);

/* Current credentials, borrowed until the next call. They are fetched anew five minutes before they
 * expire, or at once with `refresh` (the server called them expired). `region` is for STS. AUTH when
 * there are none: the message lists where was looked. */
sluice_status sluice_s3_creds_get(struct sluice_s3_provider *provider, const char *region,
                                  bool refresh, const struct sluice_s3_creds **out,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;

/* The region that environment or profile name: copied to `region` ("" when none). */
sluice_status sluice_s3_provider_region(struct sluice_s3_provider *provider,
                                        char region[SLUICE_S3_KEY_SIZE], struct sluice_error *err)
    SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_S3_CREDS_H */
