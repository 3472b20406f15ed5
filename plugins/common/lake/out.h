/*
 * The chunk that encoders fill: small enough to stay in the cache until it is compressed.
 *
 * Encoders keep the write pointer in a register and ask for room before each cell. When the chunk
 * is full it goes to `write` and starts anew. The first error stays in `status`; what follows it is
 * thrown away, so that a row loop need not look at it for every cell. One thread at a time.
 */
#ifndef SLUICE_COMMON_LAKE_OUT_H
#define SLUICE_COMMON_LAKE_OUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sluice/error.h"

enum {
    SLUICE_LAKE_CHUNK = 128 * 1024, /* usable bytes of a chunk: a zstd block, half of an L2 */
    SLUICE_LAKE_SLACK = 64          /* bytes behind it that wide stores may touch */
};

typedef sluice_status (*sluice_lake_out_write)(void *ctx, const uint8_t *data, size_t size,
                                               struct sluice_error *err);

struct sluice_lake_out {
    uint8_t *base; /* SLUICE_LAKE_CHUNK + SLUICE_LAKE_SLACK bytes */
    uint8_t *end;  /* base + SLUICE_LAKE_CHUNK */
    uint8_t *p;    /* filled up to here; the row loop keeps its own copy meanwhile */
    sluice_status status;
    struct sluice_error *err; /* of the call that is running; borrowed */
    sluice_lake_out_write write;
    void *ctx;
};

/* NOMEM when there is no memory. */
sluice_status sluice_lake_out_init(struct sluice_lake_out *out, sluice_lake_out_write write,
                                   void *ctx, struct sluice_error *err) SLUICE_MUST_CHECK;
void sluice_lake_out_free(struct sluice_lake_out *out);

/* Hands [base, p) to `write`; returns the start of the empty chunk. */
uint8_t *sluice_lake_out_flush(struct sluice_lake_out *out, uint8_t *p);

/* Remembers the first error. `status` is what a sluice_error_set on out->err returned. */
static inline void sluice_lake_out_fail(struct sluice_lake_out *out, sluice_status status)
{
    if (out->status >= 0) {
        out->status = status;
    }
}

/* At least n bytes from the pointer returned on; n <= SLUICE_LAKE_CHUNK. */
static inline uint8_t *sluice_lake_out_room(struct sluice_lake_out *out, uint8_t *p, size_t n)
{
    if ((size_t)(out->end - p) < n) {
        return sluice_lake_out_flush(out, p);
    }
    return p;
}

/* Bytes of any length, as they are. */
uint8_t *sluice_lake_out_bytes(struct sluice_lake_out *out, uint8_t *p, const void *data, size_t n);

#endif /* SLUICE_COMMON_LAKE_OUT_H */
