/*
 * Compression of a stream of chunks: none, gzip (ISA-L, one member) or zstd (one frame). One thread
 * at a time per codec; a codec serves one file after another.
 */
#ifndef SLUICE_COMMON_LAKE_CODEC_H
#define SLUICE_COMMON_LAKE_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "sluice/error.h"

/* Order of the option's choices. */
enum { SLUICE_LAKE_NONE = 0, SLUICE_LAKE_GZIP = 1, SLUICE_LAKE_ZSTD = 2 };

enum {
    SLUICE_LAKE_GZIP_LEVEL_MAX = 3, /* ISA-L's */
    SLUICE_LAKE_ZSTD_LEVEL_MIN = -7,
    SLUICE_LAKE_ZSTD_LEVEL_MAX = 19 /* above, a window takes more memory than a lane may have */
};

struct sluice_lake_codec;

/* Where compressed bytes go: room to write into, then how much of it was used. */
struct sluice_lake_codec_sink {
    void *ctx;
    sluice_status (*room)(void *ctx, uint8_t **room, uint64_t *size, struct sluice_error *err);
    sluice_status (*used)(void *ctx, const uint8_t *data, uint64_t size, struct sluice_error *err);
};

sluice_status sluice_lake_codec_create(int32_t kind, int32_t level, struct sluice_lake_codec **out,
                                       struct sluice_error *err) SLUICE_MUST_CHECK;
void sluice_lake_codec_free(struct sluice_lake_codec *codec);

/* Forgets what it holds: the next write starts a new file. */
void sluice_lake_codec_reset(struct sluice_lake_codec *codec);

/* Compresses `data`; with last = 1 also ends the file. */
sluice_status sluice_lake_codec_write(struct sluice_lake_codec *codec, const uint8_t *data,
                                      size_t size, int32_t last,
                                      const struct sluice_lake_codec_sink *to,
                                      struct sluice_error *err) SLUICE_MUST_CHECK;

/* Bytes of memory it takes, about. */
uint64_t sluice_lake_codec_memory(const struct sluice_lake_codec *codec);

#endif /* SLUICE_COMMON_LAKE_CODEC_H */
