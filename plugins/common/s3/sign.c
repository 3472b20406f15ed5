#include "s3/sign.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HASH_SIZE 32

static void hex_encode(const uint8_t *data, size_t size, char *out)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = hex[data[i] >> 4];
        out[2 * i + 1] = hex[data[i] & 15];
    }
    out[2 * size] = '\0';
}

sluice_status sluice_s3_sha256_hex(const void *data, size_t size, char out[SLUICE_S3_HEX_SIZE],
                                   struct sluice_error *err)
{
    uint8_t hash[HASH_SIZE];
    unsigned int hash_size = 0;
    if (EVP_Digest(data, size, hash, &hash_size, EVP_sha256(), NULL) != 1 ||
        hash_size != HASH_SIZE) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0,
                                "s3: sha256 is not available in OpenSSL");
    }
    hex_encode(hash, HASH_SIZE, out);
    return SLUICE_OK;
}

void sluice_s3_timestamp(int64_t wall_us, char out[SLUICE_S3_TIMESTAMP_SIZE])
{
    const time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm = {0};
    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(out, SLUICE_S3_TIMESTAMP_SIZE, "%Y%m%dT%H%M%SZ", &tm) == 0) {
        memcpy(out, "19700101T000000Z", SLUICE_S3_TIMESTAMP_SIZE);
    }
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int name_compare(const char *a, const char *b)
{
    while (*a != '\0' && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return (int)(unsigned char)lower(*a) - (int)(unsigned char)lower(*b);
}

/* A header and its place in the request: headers of one name keep their order. */
struct entry {
    const struct sluice_s3_pair *pair;
    size_t index;
};

static int entry_compare(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;
    const int names = name_compare(left->pair->name, right->pair->name);
    if (names != 0) {
        return names;
    }
    return left->index < right->index ? -1 : 1;
}

/* Trimmed, runs of blanks as one space. */
static void add_value(struct sluice_s3_buf *buf, const char *value)
{
    bool pending = false;
    bool any = false;
    for (const char *at = value; *at != '\0'; at++) {
        if (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r') {
            pending = any;
            continue;
        }
        if (pending) {
            sluice_s3_buf_addc(buf, ' ');
            pending = false;
        }
        sluice_s3_buf_addc(buf, *at);
        any = true;
    }
}

static sluice_status add_headers(const struct sluice_s3_sign *sign, struct sluice_s3_buf *canonical,
                                 struct sluice_s3_buf *names, struct sluice_error *err)
{
    if (sign->header_count == 0) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "s3: a signature needs the host header");
    }
    struct entry *entries = calloc(sign->header_count, sizeof *entries);
    if (entries == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory signing a request");
    }
    for (size_t i = 0; i < sign->header_count; i++) {
        entries[i] = (struct entry){&sign->headers[i], i};
    }
    qsort(entries, sign->header_count, sizeof *entries, entry_compare);
    for (size_t i = 0; i < sign->header_count; i++) {
        const struct sluice_s3_pair *pair = entries[i].pair;
        const bool again = i > 0 && name_compare(entries[i - 1].pair->name, pair->name) == 0;
        if (again) {
            sluice_s3_buf_addc(canonical, ',');
        }
        else {
            if (i > 0) {
                sluice_s3_buf_addc(canonical, '\n');
                sluice_s3_buf_addc(names, ';');
            }
            for (const char *at = pair->name; *at != '\0'; at++) {
                sluice_s3_buf_addc(canonical, lower(*at));
                sluice_s3_buf_addc(names, lower(*at));
            }
            sluice_s3_buf_addc(canonical, ':');
        }
        add_value(canonical, pair->value != NULL ? pair->value : "");
    }
    sluice_s3_buf_addc(canonical, '\n');
    free(entries);
    return SLUICE_OK;
}

sluice_status sluice_s3_sign_canonical(const struct sluice_s3_sign *sign,
                                       struct sluice_s3_buf *canonical, struct sluice_s3_buf *names,
                                       struct sluice_error *err)
{
    sluice_s3_buf_adds(canonical, sign->method);
    sluice_s3_buf_addc(canonical, '\n');
    sluice_s3_uri_escape(canonical, sign->path, strlen(sign->path), true);
    sluice_s3_buf_addc(canonical, '\n');
    sluice_s3_uri_query(canonical, sign->query, sign->query_count);
    sluice_s3_buf_addc(canonical, '\n');
    SLUICE_TRY(add_headers(sign, canonical, names, err));
    sluice_s3_buf_addc(canonical, '\n');
    sluice_s3_buf_add(canonical, sluice_s3_buf_text(names), names->size);
    sluice_s3_buf_addc(canonical, '\n');
    sluice_s3_buf_adds(canonical, sign->payload_hash);
    if (canonical->failed || names->failed) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory signing a request");
    }
    return SLUICE_OK;
}

static bool hmac(const void *key, size_t key_size, const char *text, size_t size,
                 uint8_t out[HASH_SIZE])
{
    unsigned int out_size = 0;
    return HMAC(EVP_sha256(), key, (int)key_size, (const unsigned char *)text, size, out,
                &out_size) != NULL &&
           out_size == HASH_SIZE;
}

/* HMAC chain over date, region, service and "aws4_request", then over the string to sign. */
static bool signature(const struct sluice_s3_sign *sign, const struct sluice_s3_buf *text,
                      char out[SLUICE_S3_HEX_SIZE])
{
    struct sluice_s3_buf secret = {0};
    uint8_t key[HASH_SIZE];
    uint8_t next[HASH_SIZE];
    sluice_s3_buf_adds(&secret, "AWS4");
    sluice_s3_buf_adds(&secret, sign->secret_key);
    const bool done = !secret.failed && secret.size <= INT32_MAX &&
                      hmac(secret.data, secret.size, sign->timestamp, 8, key) &&
                      hmac(key, HASH_SIZE, sign->region, strlen(sign->region), next) &&
                      hmac(next, HASH_SIZE, sign->service, strlen(sign->service), key) &&
                      hmac(key, HASH_SIZE, "aws4_request", strlen("aws4_request"), next) &&
                      hmac(next, HASH_SIZE, sluice_s3_buf_text(text), text->size, key);
    if (done) {
        hex_encode(key, HASH_SIZE, out);
    }
    sluice_s3_buf_wipe(&secret);
    explicit_bzero(key, sizeof key);
    explicit_bzero(next, sizeof next);
    return done;
}

sluice_status sluice_s3_sign_authorize(const struct sluice_s3_sign *sign,
                                       struct sluice_s3_buf *authorization,
                                       struct sluice_error *err)
{
    struct sluice_s3_buf canonical = {0};
    struct sluice_s3_buf names = {0};
    struct sluice_s3_buf text = {0};
    char hash[SLUICE_S3_HEX_SIZE];
    char hex[SLUICE_S3_HEX_SIZE];

    sluice_status status = sluice_s3_sign_canonical(sign, &canonical, &names, err);
    if (status < 0) {
        goto out;
    }
    status = sluice_s3_sha256_hex(canonical.data, canonical.size, hash, err);
    if (status < 0) {
        goto out;
    }
    sluice_s3_buf_addf(&text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", sign->timestamp,
                       sign->timestamp, sign->region, sign->service, hash);
    if (text.failed || !signature(sign, &text, hex)) {
        status = sluice_error_set(err, SLUICE_E_INTERNAL, 0, "s3: a request could not be signed");
        goto out;
    }
    sluice_s3_buf_adds(authorization, "AWS4-HMAC-SHA256 Credential=");
    sluice_s3_buf_adds(authorization, sign->access_key);
    sluice_s3_buf_addf(authorization, "/%.8s/%s/%s/aws4_request, SignedHeaders=", sign->timestamp,
                       sign->region, sign->service);
    sluice_s3_buf_add(authorization, sluice_s3_buf_text(&names), names.size);
    sluice_s3_buf_addf(authorization, ", Signature=%s", hex);
    status = authorization->failed
                 ? sluice_error_set(err, SLUICE_E_NOMEM, 0, "s3: out of memory signing a request")
                 : SLUICE_OK;

out:
    sluice_s3_buf_free(&text);
    sluice_s3_buf_free(&names);
    sluice_s3_buf_free(&canonical);
    return status;
}
