#include "lake/out.h"

#include <stdlib.h>

sluice_status sluice_lake_out_init(struct sluice_lake_out *out, sluice_lake_out_write write,
                                   void *ctx, struct sluice_error *err)
{
    memset(out, 0, sizeof *out);
    out->base = malloc((size_t)SLUICE_LAKE_CHUNK + SLUICE_LAKE_SLACK);
    if (out->base == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for an output chunk");
    }
    out->end = out->base + SLUICE_LAKE_CHUNK;
    out->p = out->base;
    out->write = write;
    out->ctx = ctx;
    return SLUICE_OK;
}

void sluice_lake_out_free(struct sluice_lake_out *out)
{
    free(out->base);
    memset(out, 0, sizeof *out);
}

uint8_t *sluice_lake_out_flush(struct sluice_lake_out *out, uint8_t *p)
{
    if (out->status >= 0 && p > out->base) {
        sluice_status st = out->write(out->ctx, out->base, (size_t)(p - out->base), out->err);
        if (st < 0) {
            out->status = st;
        }
    }
    return out->base;
}

uint8_t *sluice_lake_out_bytes(struct sluice_lake_out *out, uint8_t *p, const void *data, size_t n)
{
    const uint8_t *s = data;
    while (n > 0) {
        size_t room = (size_t)(out->end - p);
        if (room == 0) {
            p = sluice_lake_out_flush(out, p);
            continue;
        }
        size_t take = n < room ? n : room;
        memcpy(p, s, take);
        p += take;
        s += take;
        n -= take;
    }
    return p;
}
