/* Objects on their way: a large buffer in front of a temporary file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

enum {
    WRITE_BYTES = 1 << 20,  /* the buffer is written when it holds so much */
    ROOM_BYTES = 256 * 1024 /* and there is always so much room behind it */
};

struct sluice_lake_upload {
    struct sluice_lake_store *store;
    char *key;
    uint8_t *buffer; /* WRITE_BYTES + ROOM_BYTES */
    uint64_t used;
    int fd;
    char name[64];
};

sluice_status sluice_file_upload_open(struct sluice_lake_store *store, const char *key,
                                      const char *content_type, const char *content_encoding,
                                      struct sluice_lake_upload **out, struct sluice_error *err)
{
    (void)content_type; /* a file has only its name */
    (void)content_encoding;
    struct sluice_lake_upload *up = calloc(1, sizeof *up);
    if (up == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a file buffer");
    }
    up->store = store;
    up->fd = -1;
    up->key = strdup(key);
    up->buffer = malloc((size_t)WRITE_BYTES + ROOM_BYTES);
    (void)store->host->memory(store->host->ctx, WRITE_BYTES + ROOM_BYTES, 1);
    sluice_status st = SLUICE_OK;
    if (up->key == NULL || up->buffer == NULL) {
        st = sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a file buffer");
    }
    else {
        up->fd = sluice_file_tmp_open(store, up->name);
        if (up->fd < 0) {
            up->name[0] = 0;
            st = sluice_file_errno(store, err, errno, "creating a temporary file in",
                                   SLUICE_FILE_TMP);
        }
    }
    if (st < 0) {
        sluice_file_upload_abort(up);
        return st;
    }
    *out = up;
    return SLUICE_OK;
}

sluice_status sluice_file_upload_room(struct sluice_lake_upload *up, uint8_t **room, uint64_t *size,
                                      struct sluice_error *err)
{
    (void)err;
    *room = up->buffer + up->used;
    *size = WRITE_BYTES + ROOM_BYTES - up->used;
    return SLUICE_OK;
}

static sluice_status write_out(struct sluice_lake_upload *up, struct sluice_error *err)
{
    int failed = sluice_file_write_all(up->store, up->fd, up->buffer, up->used);
    up->used = 0;
    return failed != 0 ? sluice_file_errno(up->store, err, failed, "writing", up->key) : SLUICE_OK;
}

sluice_status sluice_file_upload_advance(struct sluice_lake_upload *up, uint64_t used,
                                         struct sluice_error *err)
{
    up->used += used;
    return up->used >= WRITE_BYTES ? write_out(up, err) : SLUICE_OK;
}

static void upload_free(struct sluice_lake_upload *up)
{
    if (up->fd >= 0) {
        (void)close(up->fd);
    }
    (void)up->store->host->memory(up->store->host->ctx, -(WRITE_BYTES + ROOM_BYTES), 1);
    free(up->buffer);
    free(up->key);
    free(up);
}

sluice_status sluice_file_upload_finish(struct sluice_lake_upload *up, struct sluice_error *err)
{
    if (up->used > 0) {
        SLUICE_TRY(write_out(up, err));
    }
    SLUICE_TRY(sluice_file_publish(up->store, up->fd, up->name, up->key, 0, err));
    upload_free(up);
    return SLUICE_OK;
}

void sluice_file_upload_abort(struct sluice_lake_upload *up)
{
    if (up == NULL) {
        return;
    }
    if (up->name[0] != 0) {
        (void)unlinkat(up->store->tmp, up->name, 0);
    }
    upload_free(up);
}
