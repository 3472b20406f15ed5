#include "lake/object.h"

#include <string.h>

#include "sluice/position.h"

sluice_status sluice_lake_object_init(struct sluice_lake_object *obj,
                                      const struct sluice_lake_store_api *api,
                                      struct sluice_lake_store *store,
                                      struct sluice_lake_codec *codec, struct sluice_error *err)
{
    memset(obj, 0, sizeof *obj);
    obj->api = api;
    obj->store = store;
    obj->codec = codec;
    obj->hash = EVP_MD_CTX_new();
    if (obj->hash == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a hash");
    }
    return SLUICE_OK;
}

void sluice_lake_object_free(struct sluice_lake_object *obj)
{
    sluice_lake_object_abort(obj);
    EVP_MD_CTX_free(obj->hash);
    obj->hash = NULL;
}

sluice_status sluice_lake_object_open(struct sluice_lake_object *obj, const char *key,
                                      const char *content_type, struct sluice_error *err)
{
    if (EVP_DigestInit_ex(obj->hash, EVP_sha256(), NULL) != 1) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "sha256 is not available");
    }
    sluice_lake_codec_reset(obj->codec);
    obj->bytes = 0;
    return obj->api->upload_open(obj->store, key, content_type, NULL, &obj->upload, err);
}

static sluice_status room(void *ctx, uint8_t **data, uint64_t *size, struct sluice_error *err)
{
    struct sluice_lake_object *obj = ctx;
    return obj->api->upload_room(obj->upload, data, size, err);
}

static sluice_status used(void *ctx, const uint8_t *data, uint64_t size, struct sluice_error *err)
{
    struct sluice_lake_object *obj = ctx;
    if (EVP_DigestUpdate(obj->hash, data, size) != 1) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "sha256 failed");
    }
    obj->bytes += size;
    return obj->api->upload_advance(obj->upload, size, err);
}

sluice_status sluice_lake_object_write(struct sluice_lake_object *obj, const uint8_t *data,
                                       size_t size, struct sluice_error *err)
{
    const struct sluice_lake_codec_sink to = {obj, room, used};
    return sluice_lake_codec_write(obj->codec, data, size, 0, &to, err);
}

sluice_status sluice_lake_object_finish(struct sluice_lake_object *obj, char sha256[65],
                                        uint64_t *bytes, struct sluice_error *err)
{
    const struct sluice_lake_codec_sink to = {obj, room, used};
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int digest_size = 0;
    sluice_status st = sluice_lake_codec_write(obj->codec, NULL, 0, 1, &to, err);
    if (st >= 0 && EVP_DigestFinal_ex(obj->hash, digest, &digest_size) != 1) {
        st = sluice_error_set(err, SLUICE_E_INTERNAL, 0, "sha256 failed");
    }
    if (st >= 0) {
        st = obj->api->upload_finish(obj->upload, err);
    }
    if (st < 0) {
        sluice_lake_object_abort(obj);
        return st;
    }
    obj->upload = NULL; /* freed by finish */
    sluice_hex_encode(digest, digest_size, sha256);
    *bytes = obj->bytes;
    return SLUICE_OK;
}

void sluice_lake_object_abort(struct sluice_lake_object *obj)
{
    if (obj->upload != NULL) {
        obj->api->upload_abort(obj->upload);
        obj->upload = NULL;
    }
}

sluice_status sluice_lake_error_at(struct sluice_error *err, const char *doing, const char *key)
{
    if (err != NULL && err->status < 0 && strstr(err->message, key) != NULL) {
        return err->status;
    }
    return sluice_error_wrap(err, "%s %s", doing, key);
}
