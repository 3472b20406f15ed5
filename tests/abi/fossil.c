/* A plugin built against an old header, loaded by today's engine and run end to end. */

/* cmocka wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/registry.h"
#include "sluice/struct.h"
#include "testkit.h"

static sluice_status keep_stream(void *vctx, const struct sluice_stream_desc *desc,
                                 const struct sluice_error *problem)
{
    struct sluice_stream_desc **out = vctx;
    assert_null(problem);
    sluice_stream_desc_free(*out);
    *out = sluice_stream_desc_copy(desc);
    return SLUICE_OK;
}

struct shard_copy {
    struct sluice_shard_desc desc;
    uint64_t stream_id;
};

static sluice_status keep_shard(void *vctx, const struct sluice_shard_desc *shard)
{
    struct shard_copy *out = vctx;
    sluice_struct_read(&out->desc, (uint32_t)sizeof out->desc, shard);
    out->stream_id = shard->stream_ids[0];
    out->desc.stream_ids = &out->stream_id;
    return SLUICE_OK;
}

struct flow {
    const struct sluice_component *source;
    const struct sluice_component *transform;
    const struct sluice_component *sink;
    struct sluice_testkit_host *hosts[3];
    struct sluice_source *src;
    struct sluice_transform *xf;
    struct sluice_sink *snk;
    struct sluice_error err;
};

static void make(struct flow *f)
{
    const struct sluice_component *parts[3] = {f->source, f->transform, f->sink};
    for (int i = 0; i < 3; i++) {
        f->hosts[i] = sluice_testkit_host_new(parts[i], NULL, 0, &f->err);
        assert_non_null(f->hosts[i]);
    }
    assert_int_equal(
        f->source->source->create(sluice_testkit_host_table(f->hosts[0]), &f->src, &f->err),
        SLUICE_OK);
    assert_int_equal(
        f->transform->transform->create(sluice_testkit_host_table(f->hosts[1]), &f->xf, &f->err),
        SLUICE_OK);
    assert_int_equal(
        f->sink->sink->create(sluice_testkit_host_table(f->hosts[2]), &f->snk, &f->err), SLUICE_OK);
}

static void move_rows(struct flow *f, const struct sluice_stream_desc *desc,
                      struct sluice_reader *rd, struct sluice_lane *lane)
{
    struct sluice_batch in = {.struct_size = (uint32_t)sizeof in};
    struct sluice_batch out = {.struct_size = (uint32_t)sizeof out};
    const struct sluice_transform_api *xf = f->transform->transform;
    while (f->source->source->reader_next(rd, 0, &in, &f->err) == SLUICE_OK) {
        assert_int_equal(sluice_array_check(desc->schema, &in.array, SLUICE_CHECK_FULL, &f->err),
                         SLUICE_OK);
        assert_int_equal(xf->push(f->xf, &in, &f->err), SLUICE_OK);
        while (xf->pull(f->xf, &out, &f->err) == SLUICE_OK) {
            assert_int_equal(f->sink->sink->lane_write(lane, &out, &f->err), SLUICE_OK);
            assert_null(out.array.release);
        }
        /* Slots that the fossil never heard of answer something sensible. */
        assert_int_equal(f->source->source->reader_idle(rd, &f->err), SLUICE_OK);
        assert_int_equal(f->source->source->reader_ack(rd, in.position, &f->err), SLUICE_OK);
    }
    assert_int_equal(xf->flush(f->xf, &f->err), SLUICE_OK);
}

static void a_fossil_runs(void **state)
{
    (void)state;
    const char *folders[] = {FOSSIL_DIR};
    struct sluice_registry *registry = NULL;
    struct flow f;
    memset(&f, 0, sizeof f);
    sluice_error_clear(&f.err);
    sluice_status st = sluice_registry_create(folders, 1, &registry, &f.err);
    assert_string_equal(f.err.message, "");
    assert_int_equal(st, SLUICE_OK);
    struct sluice_registry_plugin found;
    sluice_registry_plugin(registry, 0, &found);
    assert_null(found.refusal);
    f.source = sluice_registry_find(registry, SLUICE_SOURCE, "fossil");
    f.transform = sluice_registry_find(registry, SLUICE_TRANSFORM, "fossil");
    f.sink = sluice_registry_find(registry, SLUICE_SINK, "fossil");
    assert_true(f.source != NULL && f.transform != NULL && f.sink != NULL);
    make(&f);
    struct sluice_stream_desc *desc = NULL;
    struct sluice_stream_desc *bound = NULL;
    struct shard_copy shard;
    struct sluice_source_plan plan = {.struct_size = (uint32_t)sizeof plan, .parallelism = 1};
    struct sluice_source_info info = {.struct_size = (uint32_t)sizeof info};
    struct sluice_reader *rd = NULL;
    struct sluice_lane *lane = NULL;
    struct sluice_bytes start = {NULL, 0};
    const struct sluice_source_api *source = f.source->source;
    const struct sluice_sink_api *sink = f.sink->sink;
    assert_int_equal(source->open(f.src, &plan, &info, keep_stream, &desc, &f.err), SLUICE_OK);
    assert_int_equal(f.transform->transform->bind(f.xf, desc, keep_stream, &bound, &f.err),
                     SLUICE_OK);
    assert_int_equal(source->shards(f.src, keep_shard, &shard, &f.err), SLUICE_OK);
    struct sluice_stream_begin begin = {
        .struct_size = (uint32_t)sizeof begin, .flags = SLUICE_BEGIN_LOAD, .desc = bound};
    assert_int_equal(sink->stream_begin(f.snk, &begin, &f.err), SLUICE_OK);
    assert_int_equal(source->reader_open(f.src, &shard.desc, start, &rd, &f.err), SLUICE_OK);
    assert_int_equal(sink->lane_open(f.snk, &shard.desc, &lane, &f.err), SLUICE_OK);
    move_rows(&f, desc, rd, lane);
    assert_int_equal(sluice_testkit_host_metric(f.hosts[2], "fossil_rows_total"), 3);
    assert_int_equal(source->shard_done(f.src, shard.desc.id, &f.err), SLUICE_OK);
    assert_int_equal(source->retire(f.src, &plan, NULL, NULL, &f.err), SLUICE_E_UNSUPPORTED);
    assert_int_equal(sink->bytes_written(f.snk), 0);
    f.transform->transform->cancel(f.xf);
    source->reader_close(rd);
    sink->lane_close(lane);
    source->destroy(f.src);
    f.transform->transform->destroy(f.xf);
    sink->destroy(f.snk);
    sluice_stream_desc_free(desc);
    sluice_stream_desc_free(bound);
    for (int i = 0; i < 3; i++) {
        sluice_testkit_host_free(f.hosts[i]);
    }
    sluice_registry_destroy(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_fossil_runs)};
    return cmocka_run_group_tests_name("abi", tests, NULL, NULL);
}
