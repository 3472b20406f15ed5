/* Each codec's output read back with another library than wrote it, through rooms of any size. */
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "lake/codec.h"
#include "support.h"

struct target {
    uint8_t *data;
    size_t size;
    uint8_t *room;
    size_t room_size;
};

static sluice_status target_room(void *ctx, uint8_t **room, uint64_t *size,
                                 struct sluice_error *err)
{
    struct target *target = ctx;
    (void)err;
    *room = target->room;
    *size = target->room_size;
    return SLUICE_OK;
}

static sluice_status target_used(void *ctx, const uint8_t *data, uint64_t size,
                                 struct sluice_error *err)
{
    struct target *target = ctx;
    (void)err;
    target->data = realloc(target->data, target->size + size);
    assert_non_null(target->data);
    memcpy(target->data + target->size, data, size);
    target->size += size;
    return SLUICE_OK;
}

static size_t read_gzip(const struct target *target, uint8_t *to, size_t cap)
{
    z_stream z = {0};
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = target->data;
    z.avail_in = (uInt)target->size;
    z.next_out = to;
    z.avail_out = (uInt)cap;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    size_t n = z.total_out;
    (void)inflateEnd(&z);
    return n;
}

static void round_trip(int32_t kind, int32_t level, size_t room, size_t chunk, size_t size)
{
    struct target target = {NULL, 0, malloc(room), room};
    const struct sluice_lake_codec_sink to = {&target, target_room, target_used};
    struct sluice_lake_codec *codec = NULL;
    uint8_t *data = malloc(size + 1);
    uint8_t *back = malloc(size + 1);
    uint64_t random = 7;
    assert_non_null(data);
    assert_non_null(back);
    for (size_t i = 0; i < size; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        data[i] = (uint8_t)("{\"key\":12345,\"other\":\"text\"}\n"[i % 29] + (random >> 62 == 0));
    }
    assert_int_equal(sluice_lake_codec_create(kind, level, &codec, NULL), SLUICE_OK);
    for (int file = 0; file < 2; file++) { /* a codec serves one file after another */
        target.size = 0;
        for (size_t i = 0; i < size; i += chunk) {
            size_t take = size - i < chunk ? size - i : chunk;
            assert_int_equal(sluice_lake_codec_write(codec, data + i, take, 0, &to, NULL),
                             SLUICE_OK);
        }
        assert_int_equal(sluice_lake_codec_write(codec, NULL, 0, 1, &to, NULL), SLUICE_OK);
        size_t n = kind == SLUICE_LAKE_ZSTD
                       ? ZSTD_decompress(back, size + 1, target.data, target.size)
                   : kind == SLUICE_LAKE_GZIP ? read_gzip(&target, back, size + 1)
                                              : target.size;
        assert_int_equal(n, size);
        assert_memory_equal(kind == SLUICE_LAKE_NONE ? target.data : back, data, size);
        sluice_lake_codec_reset(codec);
    }
    sluice_lake_codec_free(codec);
    free(target.data);
    free(target.room);
    free(data);
    free(back);
}

static void codecs(void **state)
{
    static const size_t rooms[] = {1, 100, 4096, 1 << 20};
    (void)state;
    for (size_t r = 0; r < sizeof rooms / sizeof *rooms; r++) {
        size_t size = rooms[r] < 100 ? 3000 : 1000000;
        round_trip(SLUICE_LAKE_NONE, 1, rooms[r], 131072, size);
        for (int32_t level = 1; level <= 3; level++) {
            round_trip(SLUICE_LAKE_GZIP, level, rooms[r], 131072, size);
        }
        round_trip(SLUICE_LAKE_ZSTD, 1, rooms[r], 131072, size);
        round_trip(SLUICE_LAKE_ZSTD, -5, rooms[r], 100000, size);
        round_trip(SLUICE_LAKE_ZSTD, 1, rooms[r], 10, size / 100);
        round_trip(SLUICE_LAKE_GZIP, 1, rooms[r], 10, size / 100);
    }
}

static void abandoned_file(void **state)
{
    struct target target = {NULL, 0, malloc(4096), 4096};
    const struct sluice_lake_codec_sink to = {&target, target_room, target_used};
    struct sluice_lake_codec *codec = NULL;
    uint8_t back[16];
    (void)state;
    for (int32_t kind = SLUICE_LAKE_GZIP; kind <= SLUICE_LAKE_ZSTD; kind++) {
        assert_int_equal(sluice_lake_codec_create(kind, 1, &codec, NULL), SLUICE_OK);
        assert_int_equal(sluice_lake_codec_write(codec, (const uint8_t *)"lost", 4, 0, &to, NULL),
                         SLUICE_OK);
        sluice_lake_codec_reset(codec);
        target.size = 0;
        assert_int_equal(sluice_lake_codec_write(codec, (const uint8_t *)"kept", 4, 0, &to, NULL),
                         SLUICE_OK);
        assert_int_equal(sluice_lake_codec_write(codec, NULL, 0, 1, &to, NULL), SLUICE_OK);
        size_t n = kind == SLUICE_LAKE_ZSTD
                       ? ZSTD_decompress(back, sizeof back, target.data, target.size)
                       : read_gzip(&target, back, sizeof back);
        assert_int_equal(n, 4);
        assert_memory_equal(back, "kept", 4);
        sluice_lake_codec_free(codec);
    }
    free(target.data);
    free(target.room);
}

static void bad_levels(void **state)
{
    struct sluice_lake_codec *codec = NULL;
    (void)state;
    assert_int_equal(sluice_lake_codec_create(SLUICE_LAKE_GZIP, 0, &codec, NULL), SLUICE_E_INVALID);
    assert_int_equal(sluice_lake_codec_create(SLUICE_LAKE_GZIP, 4, &codec, NULL), SLUICE_E_INVALID);
    assert_int_equal(sluice_lake_codec_create(SLUICE_LAKE_ZSTD, 20, &codec, NULL),
                     SLUICE_E_INVALID);
}

int run_codec_tests(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(codecs), cmocka_unit_test(abandoned_file),
                                       cmocka_unit_test(bad_levels)};
    return cmocka_run_group_tests_name("lake codecs", tests, NULL, NULL);
}
