/* `sluice check` for a bucket: what is right, what is missing, and what mends it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/store_internal.h"

#define SKEW_WARN_US ((int64_t)60 * 1000000)
#define SKEW_ERROR_US ((int64_t)900 * 1000000) /* S3 refuses from here on */

struct findings {
    sluice_finding_visit visit;
    void *vctx;
    const struct sluice_lake_store *store;
    sluice_status status; /* of the visitor */
};

static void tell(struct findings *to, int32_t severity, const char *key, const char *what,
                 const char *remedy)
{
    const struct sluice_finding finding = {.struct_size = (uint32_t)sizeof finding,
                                           .severity = severity,
                                           .subject = to->store->location,
                                           .key = key,
                                           .what = what,
                                           .remedy = remedy};
    if (to->status == SLUICE_OK) {
        to->status = to->visit(to->vctx, &finding);
    }
}

/* The option an error is about, for people to find the line. */
static const char *option_of(sluice_status status)
{
    switch (status) {
    case SLUICE_E_NOT_FOUND:
        return "bucket";
    case SLUICE_E_AUTH:
        return "access_key_id";
    case SLUICE_E_UNAVAILABLE:
    case SLUICE_E_TIMEOUT:
    case SLUICE_E_IO:
        return "endpoint";
    default:
        return NULL;
    }
}

/* `permission` is what IAM calls it; NULL for the bucket's own, s3:ListBucket. */
static void tell_error(struct findings *to, const char *what, const struct sluice_error *error,
                       const char *permission)
{
    char text[1300];
    char remedy[1500];
    const struct sluice_lake_store *store = to->store;
    (void)snprintf(text, sizeof text, "%s: %s", what, error->message);
    if (permission == NULL) {
        (void)snprintf(remedy, sizeof remedy, "allow s3:ListBucket on arn:aws:s3:::%s",
                       store->options.bucket);
    }
    else {
        (void)snprintf(remedy, sizeof remedy, "allow %s on arn:aws:s3:::%s/%s*", permission,
                       store->options.bucket, store->prefix);
    }
    tell(to, SLUICE_FINDING_ERROR, option_of(error->status), text,
         error->status == SLUICE_E_PERMISSION ? remedy : NULL);
}

static void check_clock(struct findings *to)
{
    char text[128];
    const int64_t skew_us = sluice_s3_client_skew_us(to->store->client);
    const int64_t size_us = skew_us < 0 ? -skew_us : skew_us;
    (void)snprintf(text, sizeof text, "this machine's clock is %lld s %s the server's",
                   (long long)(size_us / 1000000), skew_us < 0 ? "ahead of" : "behind");
    if (size_us >= SKEW_ERROR_US) {
        tell(to, SLUICE_FINDING_ERROR, NULL, text, "timedatectl set-ntp true");
    }
    else if (size_us >= SKEW_WARN_US) {
        tell(to, SLUICE_FINDING_WARN, NULL, text, "timedatectl set-ntp true");
    }
    else {
        tell(to, SLUICE_FINDING_OK, NULL, "clock agrees with the server's", NULL);
    }
}

static void check_address(struct findings *to)
{
    char text[300];
    char remedy[100];
    char region[SLUICE_S3_REGION_SIZE];
    const struct sluice_lake_store *store = to->store;
    const struct sluice_s3_target *target = sluice_s3_client_target(store->client);
    sluice_s3_client_region(store->client, region);
    (void)snprintf(text, sizeof text, "bucket reachable, region %s, credentials from %s", region,
                   sluice_s3_client_creds_source(store->client));
    tell(to, SLUICE_FINDING_OK, NULL, text, NULL);
    if (store->options.region != NULL && strcmp(store->options.region, region) != 0) {
        (void)snprintf(text, sizeof text, "the bucket is in region %s, not %s", region,
                       store->options.region);
        (void)snprintf(remedy, sizeof remedy, "region: %s", region);
        tell(to, SLUICE_FINDING_WARN, "region", text, remedy);
    }
    if (!target->https && strncmp(target->endpoint, "127.", 4) != 0 &&
        strncmp(target->endpoint, "localhost", 9) != 0 &&
        strncmp(target->endpoint, "[::1]", 5) != 0) {
        tell(to, SLUICE_FINDING_WARN, "endpoint",
             "http: what is uploaded can be read on the way (it cannot be changed unseen)",
             "use an https endpoint");
    }
}

/* Begins an upload and throws it away: no object is left. */
static sluice_status check_write(struct findings *to, struct sluice_lake_store *store,
                                 const char *key)
{
    struct sluice_s3_call begin;
    struct sluice_s3_call end;
    struct sluice_s3_buf id = {0};
    struct sluice_error error = SLUICE_ERROR_INIT;
    sluice_s3_call_init(&begin, SLUICE_S3_CREATE, key);
    sluice_s3_call_init(&end, SLUICE_S3_ABORT, key);
    sluice_s3_call_header(&begin, "x-amz-storage-class", store->options.storage_class);
    sluice_status status = sluice_s3_multipart_begin(store, &begin, &id, &error);
    if (status < 0) {
        tell_error(to, "may not write objects", &error, "s3:PutObject");
        goto out;
    }
    tell(to, SLUICE_FINDING_OK, NULL, "may write objects", NULL);
    sluice_s3_call_query(&end, "uploadId", id.data);
    status = sluice_s3_client_run(store->client, &end, &error);
    if (status < 0) {
        tell_error(to, "may not abort uploads", &error, "s3:AbortMultipartUpload");
        goto out;
    }
    tell(to, SLUICE_FINDING_OK, NULL, "may abort uploads", NULL);

out:
    sluice_s3_buf_free(&id);
    sluice_s3_call_free(&begin);
    sluice_s3_call_free(&end);
    return status;
}

/* Reads a key that does not exist: 404 means that reading is allowed, 403 that it is not (S3 hides
 * missing keys from those who may not list). */
static void check_read(struct findings *to, struct sluice_lake_store *store, const char *key)
{
    struct sluice_s3_call call;
    struct sluice_error error = SLUICE_ERROR_INIT;
    sluice_s3_call_init(&call, SLUICE_S3_GET, key);
    const sluice_status status = sluice_s3_client_run(store->client, &call, &error);
    if (status == SLUICE_OK || status == SLUICE_E_NOT_FOUND) {
        tell(to, SLUICE_FINDING_OK, NULL, "may read objects", NULL);
    }
    else {
        tell_error(to, "may not read objects (manifests are read at start)", &error,
                   "s3:GetObject");
    }
    sluice_s3_call_free(&call);
}

sluice_status sluice_s3_store_check(struct sluice_lake_store *store, sluice_finding_visit visit,
                                    void *vctx, struct sluice_error *err)
{
    struct findings to = {visit, vctx, store, SLUICE_OK};
    struct sluice_error error = SLUICE_ERROR_INIT;
    char attempt[SLUICE_S3_ATTEMPT_SIZE];
    char name[64];
    char key[SLUICE_S3_KEY_BYTES_MAX + 1];
    SLUICE_TRY(sluice_s3_attempt_id(attempt, err));
    (void)snprintf(name, sizeof name, "_sluice/check-%s", attempt);
    SLUICE_TRY(sluice_s3_store_key(store, name, key, err));

    const sluice_status reached = sluice_s3_store_probe(store, &error);
    if (reached < 0) {
        tell_error(&to, reached == SLUICE_E_PERMISSION ? "may not list the bucket" : "not usable",
                   &error, NULL);
    }
    if (reached < 0 && reached != SLUICE_E_PERMISSION) {
        if (sluice_s3_client_skew_us(store->client) != 0) {
            check_clock(&to);
        }
        if (err != NULL) {
            *err = error;
        }
        return reached;
    }
    if (reached == SLUICE_OK) {
        check_address(&to);
        tell(&to, SLUICE_FINDING_OK, NULL, "may list objects", NULL);
    }
    check_clock(&to);
    if (check_write(&to, store, key) != SLUICE_E_CANCELLED) {
        check_read(&to, store, key);
    }
    if (sluice_s3_client_cancelled(store->client)) {
        return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "%s: cancelled", store->location);
    }
    return to.status < 0 ? to.status : SLUICE_OK;
}
