/*
 * One data object on its way: chunks go through the codec straight into the store's upload room,
 * and are hashed and counted there. One thread at a time per object; reused for file after file.
 */
#ifndef SLUICE_COMMON_LAKE_OBJECT_H
#define SLUICE_COMMON_LAKE_OBJECT_H

#include <openssl/evp.h>

#include "lake/codec.h"
#include "lake/store.h"

struct sluice_lake_object {
    const struct sluice_lake_store_api *api; /* borrowed, like the two below */
    struct sluice_lake_store *store;
    struct sluice_lake_codec *codec;
    struct sluice_lake_upload *upload; /* NULL = no object is open */
    EVP_MD_CTX *hash;
    uint64_t bytes; /* given to the store for this object */
};

sluice_status sluice_lake_object_init(struct sluice_lake_object *obj,
                                      const struct sluice_lake_store_api *api,
                                      struct sluice_lake_store *store,
                                      struct sluice_lake_codec *codec, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Also throws away an open object. */
void sluice_lake_object_free(struct sluice_lake_object *obj);

sluice_status sluice_lake_object_open(struct sluice_lake_object *obj, const char *key,
                                      const char *content_type, struct sluice_error *err)
    SLUICE_MUST_CHECK;
sluice_status sluice_lake_object_write(struct sluice_lake_object *obj, const uint8_t *data,
                                       size_t size, struct sluice_error *err) SLUICE_MUST_CHECK;
/* Ends the file: durable and visible when OK. On an error the object is thrown away. */
sluice_status sluice_lake_object_finish(struct sluice_lake_object *obj, char sha256[65],
                                        uint64_t *bytes, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_lake_object_abort(struct sluice_lake_object *obj);

/* Says what was done to which object, unless the store's message names it already. */
sluice_status sluice_lake_error_at(struct sluice_error *err, const char *doing, const char *key);

#endif /* SLUICE_COMMON_LAKE_OBJECT_H */
