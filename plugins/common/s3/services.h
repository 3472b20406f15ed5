/*
 * Services that hand out temporary credentials: STS for web identity tokens, the container endpoint
 * (ECS, EKS pod identity), the instance metadata service in its second version. Each call is one or
 * two blocking HTTP exchanges with short timeouts.
 */
#ifndef SLUICE_COMMON_S3_SERVICES_H
#define SLUICE_COMMON_S3_SERVICES_H

#include "s3/creds.h"

/* Exchanges the token in `token_file` for credentials of the role. The file is read each time: it is
 * replaced while we run. */
sluice_status sluice_s3_web_identity(const struct sluice_s3_creds_config *config,
                                     const char *region, const char *role_arn,
                                     const char *token_file, struct sluice_s3_creds *creds,
                                     struct sluice_error *err) SLUICE_MUST_CHECK;
/* The endpoint that AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI names. */
sluice_status sluice_s3_container(const struct sluice_s3_creds_config *config,
                                  struct sluice_s3_creds *creds, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* IMDSv2; never falls back to the first version. */
sluice_status sluice_s3_instance(const struct sluice_s3_creds_config *config,
                                 struct sluice_s3_creds *creds, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* The two answer formats, exposed for tests. DATA when something is missing. */
sluice_status sluice_s3_creds_from_json(const char *text, size_t size,
                                        struct sluice_s3_creds *creds, struct sluice_error *err)
    SLUICE_MUST_CHECK;
sluice_status sluice_s3_creds_from_xml(const char *text, size_t size, struct sluice_s3_creds *creds,
                                       struct sluice_error *err) SLUICE_MUST_CHECK;
/* 2026-11-23T00:52:34Z, also with a fraction; 0 when it is none. */
int64_t sluice_s3_iso_time_us(const char *text);

#endif /* SLUICE_COMMON_S3_SERVICES_H */
