/*
 * AWS's shared files, ~/.aws/credentials and ~/.aws/config. [any]
 */
#ifndef SLUICE_COMMON_S3_PROFILE_H
#define SLUICE_COMMON_S3_PROFILE_H

#include "s3/creds.h"

struct sluice_s3_profile {
    bool found; /* a section of that name exists */
    char access_key[SLUICE_S3_KEY_SIZE];
    char secret_key[SLUICE_S3_KEY_SIZE];
    char session_token[SLUICE_S3_TOKEN_SIZE];
    char region[SLUICE_S3_KEY_SIZE];
    char role_arn[SLUICE_S3_KEY_SIZE];
    char token_file[1024]; /* web_identity_token_file */
    char other[64];        /* a key that asks for something we cannot do, "" = none */
};

/* Adds what `text` says about the profile `name` to *profile; what is set already stays.
 * `config_file`: sections are called "profile NAME". DATA when a value is too long. */
sluice_status sluice_s3_profile_parse(struct sluice_s3_profile *profile, const char *text,
                                      size_t size, const char *name, bool config_file,
                                      struct sluice_error *err) SLUICE_MUST_CHECK;

/* Reads both files as the environment names them (AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE, HOME).
 * A missing file is like an empty one. */
sluice_status sluice_s3_profile_load(struct sluice_s3_profile *profile, sluice_s3_env env,
                                     const char *name, struct sluice_error *err) SLUICE_MUST_CHECK;

/* Reads a small file whole; `buf` is to be wiped by the caller. NOT_FOUND, PERMISSION, IO, LIMIT. */
sluice_status sluice_s3_file_read(const char *path, struct sluice_s3_buf *buf,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_S3_PROFILE_H */
