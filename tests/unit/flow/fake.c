#include "fake.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "flow/engine.h"
#include "sluice/build.h"
#include "sluice/error.h"
#include "sluice/view.h"

struct fake_script fake;
struct sluice_engine *fake_engine;
static _Atomic int32_t lost_at; /* streams that were complete when the snapshot was lost last */

/* ---------------------------------------------------------------- source ---------- */

struct sluice_source {
    const struct sluice_host *host;
    struct ArrowSchema schema;
    char letter; /* of its tables' names */
    uint32_t chosen[FAKE_STREAMS_MAX];
    uint32_t chosen_count;
};

struct sluice_reader {
    struct sluice_source *src;
    uint32_t stream;
    uint32_t shard;
    uint32_t next;
    struct sluice_rows rows;
};

static sluice_status fail_as(struct sluice_error *err, int32_t kind, const char *what)
{
    switch (kind) {
    case FAKE_RETRYABLE:
        return sluice_error_set(err, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, "%s: connection lost",
                                what);
    case FAKE_STREAM:
        return sluice_error_set(err, SLUICE_E_DATA, 0, "%s: bad value", what);
    case FAKE_SNAPSHOT_LOST:
        return sluice_error_set(err, SLUICE_E_SNAPSHOT_LOST, 0, "%s: snapshot gone", what);
    case FAKE_CANCELLED:
        return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "%s: cancelled by someone", what);
    case FAKE_ABORTED:
        return sluice_error_set(err, SLUICE_E_IO,
                                SLUICE_ERROR_RETRYABLE | SLUICE_ERROR_EPOCH_ABORTED,
                                "%s: upload refused", what);
    default:
        return sluice_error_set(err, SLUICE_E_IO, SLUICE_ERROR_FATAL, "%s: fatal", what);
    }
}

static sluice_status src_create(const struct sluice_host *host, struct sluice_source **out,
                                struct sluice_error *err)
{
    struct sluice_source *src = calloc(1, sizeof *src);
    src->host = host;
    src->letter = 't';
    struct sluice_type id = {.id = SLUICE_TYPE_INT64, .width = 8};
    struct sluice_type text = {.id = SLUICE_TYPE_UTF8};
    SLUICE_TRY(sluice_schema_init(&src->schema, 2, err));
    SLUICE_TRY(sluice_schema_set(&src->schema, 0, "id", &id, 0, NULL, 0, err));
    SLUICE_TRY(sluice_schema_set(&src->schema, 1, "name", &text, 1, NULL, 0, err));
    atomic_fetch_add(&fake.live, 1);
    *out = src;
    return SLUICE_OK;
}

static sluice_status other_create(const struct sluice_host *host, struct sluice_source **out,
                                  struct sluice_error *err)
{
    SLUICE_TRY(src_create(host, out, err));
    (*out)->letter = 'u';
    return SLUICE_OK;
}

static void src_destroy(struct sluice_source *src)
{
    if (src != NULL) {
        src->schema.release(&src->schema);
        free(src);
        atomic_fetch_sub(&fake.live, 1);
    }
}

static void src_cancel(struct sluice_source *src)
{
    (void)src;
}

static sluice_status visit_one(struct sluice_source *src, uint32_t i,
                               const struct sluice_error *problem, sluice_stream_visit visit,
                               void *vctx)
{
    char name[32];
    char table[16];
    (void)snprintf(table, sizeof table, "%c%u", src->letter, i);
    (void)snprintf(name, sizeof name, "public.%s", table);
    const char *parts[2] = {"public", table};
    uint32_t key = 0;
    struct sluice_stream_desc desc = {.struct_size = sizeof desc,
                                      .kind = SLUICE_STREAM_TABLE,
                                      .stream_id = i + 1000,
                                      .schema_id = 1,
                                      .name = name,
                                      .part_count = 2,
                                      .parts = parts,
                                      .key_count = 1,
                                      .keys = &key,
                                      .schema = &src->schema,
                                      .rows_estimate =
                                          (int64_t)fake.shards_per_stream * fake.rows_per_shard,
                                      .bytes_estimate = -1};
    return visit(vctx, &desc, problem);
}

static sluice_status src_discover(struct sluice_source *src, sluice_stream_visit visit, void *vctx,
                                  struct sluice_error *err)
{
    (void)err;
    for (uint32_t i = 0; i < fake.streams; i++) {
        SLUICE_TRY(visit_one(src, i, NULL, visit, vctx));
    }
    return SLUICE_OK;
}

static sluice_status src_open(struct sluice_source *src, const struct sluice_source_plan *plan,
                              struct sluice_source_info *info, sluice_stream_visit visit,
                              void *vctx, struct sluice_error *err)
{
    int again = atomic_fetch_add(&fake.opens, 1) > 0;
    if (atomic_fetch_sub(&fake.open_fail_times, 1) > 0 ||
        (again && atomic_fetch_sub(&fake.reopen_fail_times, 1) > 0)) {
        return fail_as(err, fake.open_fail_kind, "open");
    }
    info->identity = "fake:1";
    for (uint32_t i = 0; i < plan->stream_count; i++) {
        uint32_t n = (uint32_t)strtoul(plan->streams[i]->name + 8, NULL, 10);
        src->chosen[src->chosen_count++] = n;
        struct sluice_error problem = SLUICE_ERROR_INIT;
        if ((int32_t)n == fake.problem_stream) {
            (void)sluice_error_set(&problem, SLUICE_E_PERMISSION, 0, "no right to read t%u", n);
            SLUICE_TRY(visit_one(src, n, &problem, visit, vctx));
        }
        else {
            SLUICE_TRY(visit_one(src, n, NULL, visit, vctx));
        }
    }
    return SLUICE_OK;
}

static sluice_status src_shards(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                                struct sluice_error *err)
{
    (void)err;
    for (uint32_t i = 0; i < src->chosen_count; i++) {
        for (uint32_t k = 0; k < fake.shards_per_stream; k++) {
            char id[64];
            uint32_t handle[2] = {src->chosen[i], k};
            uint64_t stream_id = src->chosen[i] + 1000u;
            (void)snprintf(id, sizeof id, "load:public.%c%u:%u", src->letter, src->chosen[i], k);
            struct sluice_shard_desc shard = {.struct_size = sizeof shard,
                                              .kind = SLUICE_SHARD_SNAPSHOT,
                                              .stream_count = 1,
                                              .id = id,
                                              .stream_ids = &stream_id,
                                              .rows_estimate = fake.rows_per_shard,
                                              .bytes_estimate = (int64_t)fake.rows_per_shard * 20,
                                              .handle = {handle, sizeof handle}};
            SLUICE_TRY(visit(vctx, &shard));
        }
    }
    return SLUICE_OK;
}

static sluice_status rd_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                             struct sluice_bytes resume, struct sluice_reader **out,
                             struct sluice_error *err)
{
    (void)resume;
    atomic_fetch_add(&fake.reader_opens, 1);
    struct sluice_reader *rd = calloc(1, sizeof *rd);
    uint32_t handle[2];
    memcpy(handle, shard->handle.data, sizeof handle);
    rd->src = src;
    rd->stream = handle[0];
    rd->shard = handle[1];
    if (sluice_rows_init(&rd->rows, &src->schema, fake.rows_per_batch, err) < 0) {
        abort();
    }
    atomic_fetch_add(&fake.live, 1);
    *out = rd;
    return SLUICE_OK;
}

static sluice_status rd_next(struct sluice_reader *rd, int64_t timeout_us, struct sluice_batch *out,
                             struct sluice_error *err)
{
    const struct sluice_host *host = rd->src->host;
    if (fake.block_forever) {
        struct pollfd pfd = {.fd = host->cancel_fd(host->ctx), .events = POLLIN};
        (void)poll(&pfd, 1, (int)(timeout_us / 1000));
        return host->cancelled(host->ctx) ? sluice_error_set(err, SLUICE_E_CANCELLED, 0, "stopped")
                                          : SLUICE_AGAIN;
    }
    if ((int32_t)rd->stream == fake.fail_stream && rd->shard == fake.fail_shard && rd->next > 0 &&
        atomic_fetch_sub(&fake.fail_times, 1) > 0) {
        return fail_as(err, fake.fail_kind, "read");
    }
    int32_t ends = atomic_load(&fake.ends);
    int32_t at = atomic_load(&lost_at);
    if (fake.lose_after_streams > 0 && ends >= at + fake.lose_after_streams &&
        atomic_compare_exchange_strong(&lost_at, &at, ends)) {
        return fail_as(err, FAKE_SNAPSHOT_LOST, "read");
    }
    if (rd->next >= fake.rows_per_shard) {
        return SLUICE_END;
    }
    if (fake.batch_delay_us > 0) {
        (void)usleep((useconds_t)fake.batch_delay_us);
    }
    for (uint32_t i = 0; i < fake.rows_per_batch && rd->next < fake.rows_per_shard; i++) {
        sluice_column_put_i64(&rd->rows.columns[0],
                              (int64_t)rd->shard * fake.rows_per_shard + rd->next);
        SLUICE_TRY(sluice_column_put_bytes(&rd->rows.columns[1], "x", 1, err));
        sluice_rows_end_row(&rd->rows);
        rd->next++;
    }
    out->kind = SLUICE_BATCH_ROWS;
    out->stream_id = rd->stream + 1000u;
    out->schema_id = 1;
    SLUICE_TRY(sluice_rows_finish(&rd->rows, &out->array, err));
    out->rows = (uint64_t)out->array.length;
    int32_t ahead = atomic_fetch_add(&fake.ahead, 1) + 1;
    int32_t max = atomic_load(&fake.ahead_max);
    while (ahead > max && !atomic_compare_exchange_weak(&fake.ahead_max, &max, ahead)) {
    }
    return SLUICE_OK;
}

static sluice_status rd_idle(struct sluice_reader *rd, struct sluice_error *err)
{
    (void)rd;
    (void)err;
    atomic_fetch_add(&fake.idles, 1);
    return SLUICE_OK;
}

static void rd_close(struct sluice_reader *rd)
{
    sluice_rows_free(&rd->rows);
    free(rd);
    atomic_fetch_sub(&fake.live, 1);
}

static sluice_status src_shard_done(struct sluice_source *src, const char *id,
                                    struct sluice_error *err)
{
    (void)src;
    (void)id;
    (void)err;
    return SLUICE_OK;
}

static const struct sluice_source_api source_api = {.struct_size = sizeof source_api,
                                                    .create = src_create,
                                                    .destroy = src_destroy,
                                                    .cancel = src_cancel,
                                                    .discover = src_discover,
                                                    .open = src_open,
                                                    .shards = src_shards,
                                                    .reader_open = rd_open,
                                                    .reader_next = rd_next,
                                                    .reader_idle = rd_idle,
                                                    .reader_close = rd_close,
                                                    .shard_done = src_shard_done};

static const struct sluice_source_api other_source_api = {.struct_size = sizeof other_source_api,
                                                          .create = other_create,
                                                          .destroy = src_destroy,
                                                          .cancel = src_cancel,
                                                          .discover = src_discover,
                                                          .open = src_open,
                                                          .shards = src_shards,
                                                          .reader_open = rd_open,
                                                          .reader_next = rd_next,
                                                          .reader_idle = rd_idle,
                                                          .reader_close = rd_close,
                                                          .shard_done = src_shard_done};

static const struct sluice_option *const no_options[] = {NULL};

const struct sluice_component fake_source_component = {.struct_size = sizeof fake_source_component,
                                                       .kind = SLUICE_SOURCE,
                                                       .caps = SLUICE_SOURCE_LOAD,
                                                       .name = "fake_source",
                                                       .summary = "scripted",
                                                       .options = no_options,
                                                       .source = &source_api};

const struct sluice_component fake_other_source_component = {.struct_size =
                                                                 sizeof fake_other_source_component,
                                                             .kind = SLUICE_SOURCE,
                                                             .caps = SLUICE_SOURCE_LOAD,
                                                             .name = "fake_other_source",
                                                             .summary = "scripted",
                                                             .options = no_options,
                                                             .source = &other_source_api};

/* ---------------------------------------------------------------- sink ---------- */

/* Committed rows, like manifests: what counts are those of a run that is complete. */
struct kept {
    struct kept *next;
    char node[16];
    char stream[32];
    char run[40];
    int complete;
    struct sluice_str token;
    int64_t *ids;
    uint64_t count;
};
static struct kept *all_kept;
static pthread_mutex_t kept_mutex = PTHREAD_MUTEX_INITIALIZER;

struct fake_stream {
    uint64_t id;
    char name[32];
    char run[40];
    struct sluice_stream_desc *desc;
};

struct sluice_sink {
    const struct sluice_host *host;
    char node[16];
    struct fake_stream streams[FAKE_STREAMS_MAX]; /* by the engine's stream id */
};

struct sluice_lane {
    struct sluice_sink *sink;
    struct fake_stream *stream;
    int64_t *ids;
    uint64_t count;
    uint64_t cap;
    int64_t held;
};

static struct fake_stream *begun_stream(struct sluice_sink *sink, uint64_t id)
{
    struct fake_stream *st = &sink->streams[id % FAKE_STREAMS_MAX];
    return st->desc != NULL && st->id == id ? st : NULL;
}

void fake_reset(void)
{
    memset(&fake, 0, sizeof fake);
    atomic_store(&lost_at, 0);
    fake.streams = 3;
    fake.shards_per_stream = 4;
    fake.rows_per_shard = 1000;
    fake.rows_per_batch = 100;
    fake.fail_stream = -1;
    fake.problem_stream = -1;
    fake.begin_fail_stream = -1;
    while (all_kept != NULL) {
        struct kept *next = all_kept->next;
        sluice_str_free(&all_kept->token);
        free(all_kept->ids);
        free(all_kept);
        all_kept = next;
    }
}

static sluice_status sink_create(const struct sluice_host *host, struct sluice_sink **out,
                                 struct sluice_error *err)
{
    (void)err;
    *out = calloc(1, sizeof **out);
    (*out)->host = host;
    atomic_fetch_add(&fake.live, 1);
    return SLUICE_OK;
}

static void sink_destroy(struct sluice_sink *sink)
{
    if (sink != NULL) {
        for (uint32_t i = 0; i < FAKE_STREAMS_MAX; i++) {
            sluice_stream_desc_free(sink->streams[i].desc);
        }
        free(sink);
        atomic_fetch_sub(&fake.live, 1);
    }
}

static void sink_cancel(struct sluice_sink *sink)
{
    (void)sink;
}

static sluice_status sink_open(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                               struct sluice_error *err)
{
    (void)err;
    (void)snprintf(sink->node, sizeof sink->node, "%s", plan->node);
    return SLUICE_OK;
}

static sluice_status sink_recover(struct sluice_sink *sink, sluice_recovered_visit visit,
                                  void *vctx, struct sluice_error *err)
{
    (void)err;
    for (struct kept *k = all_kept; k != NULL; k = k->next) { /* newest first */
        if (strcmp(k->node, sink->node) != 0) {
            continue;
        }
        struct sluice_recovered found = {.struct_size = sizeof found,
                                         .kind = k->complete ? SLUICE_RECOVERED_STREAM_COMPLETE
                                                             : SLUICE_RECOVERED_LANE,
                                         .shard_id = "",
                                         .stream = k->stream,
                                         .run = k->run,
                                         .rows = k->count,
                                         .token = {k->token.data, k->token.size}};
        sluice_status status = visit(vctx, &found);
        if (status != SLUICE_OK) {
            return status == SLUICE_END ? SLUICE_OK : status;
        }
    }
    return SLUICE_OK;
}

static sluice_status sink_begin(struct sluice_sink *sink, const struct sluice_stream_begin *begin,
                                struct sluice_error *err)
{
    struct fake_stream *st = &sink->streams[begin->desc->stream_id % FAKE_STREAMS_MAX];
    if (strcmp(sink->node, "a") == 0 && fake.begin_fail_stream >= 0 &&
        fake.begin_fail_stream == (int32_t)strtol(begin->desc->name + 8, NULL, 10)) {
        return fail_as(err, FAKE_STREAM, "begin");
    }
    sluice_stream_desc_free(st->desc);
    st->id = begin->desc->stream_id;
    st->desc = sluice_stream_desc_copy(begin->desc);
    (void)snprintf(st->name, sizeof st->name, "%s", begin->desc->name);
    (void)snprintf(st->run, sizeof st->run, "%s", begin->run);
    return SLUICE_OK;
}

static sluice_status lane_open(struct sluice_sink *sink, const struct sluice_shard_desc *shard,
                               struct sluice_lane **out, struct sluice_error *err)
{
    struct fake_stream *st = begun_stream(sink, shard->stream_ids[0]);
    if (st == NULL) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "stream was not begun");
    }
    struct sluice_lane *lane = calloc(1, sizeof *lane);
    lane->sink = sink;
    lane->stream = st;
    lane->held = fake.hold_bytes;
    (void)sink->host->memory(sink->host->ctx, lane->held, 1);
    atomic_fetch_add(&fake.live, 1);
    *out = lane;
    return SLUICE_OK;
}

static sluice_status lane_write(struct sluice_lane *lane, struct sluice_batch *batch,
                                struct sluice_error *err)
{
    int is_a = strcmp(lane->sink->node, "a") == 0;
    if (is_a && fake.write_delay_us > 0) {
        (void)usleep((useconds_t)fake.write_delay_us);
    }
    if (is_a && atomic_fetch_sub(&fake.write_again_times, 1) > 0) {
        return SLUICE_AGAIN;
    }
    if (is_a && atomic_fetch_sub(&fake.write_fail_times, 1) > 0) {
        return fail_as(err, fake.write_fail_kind, "write");
    }
    struct sluice_view views[2];
    SLUICE_TRY(sluice_views_init(lane->stream->desc->schema, &batch->array, views, err));
    uint64_t need = lane->count + (uint64_t)batch->array.length;
    if (need > lane->cap) {
        lane->cap = need * 2;
        lane->ids = realloc(lane->ids, lane->cap * sizeof *lane->ids);
    }
    for (int64_t i = 0; i < batch->array.length; i++) {
        lane->ids[lane->count++] = sluice_view_i64(&views[0], i);
    }
    batch->array.release(&batch->array);
    if (is_a) {
        atomic_fetch_sub(&fake.ahead, 1);
    }
    return SLUICE_OK;
}

static void keep(struct sluice_sink *sink, struct fake_stream *st, int complete, const int64_t *ids,
                 uint64_t count, struct sluice_bytes token)
{
    struct kept *k = calloc(1, sizeof *k);
    (void)snprintf(k->node, sizeof k->node, "%s", sink->node);
    (void)snprintf(k->stream, sizeof k->stream, "%s", st->name);
    (void)snprintf(k->run, sizeof k->run, "%s", st->run);
    k->complete = complete;
    k->count = count;
    sluice_str_append_n(&k->token, token.data, token.size);
    if (ids != NULL) {
        k->ids = calloc(count + 1, sizeof *ids);
        memcpy(k->ids, ids, count * sizeof *ids);
    }
    pthread_mutex_lock(&kept_mutex);
    k->next = all_kept;
    all_kept = k;
    pthread_mutex_unlock(&kept_mutex);
}

static sluice_status lane_commit(struct sluice_lane *lane, const struct sluice_commit *commit,
                                 struct sluice_error *err)
{
    if (strcmp(lane->sink->node, "a") == 0 && atomic_fetch_sub(&fake.commit_fail_times, 1) > 0) {
        if (fake.commit_fail_keeps) {
            keep(lane->sink, lane->stream, 0, lane->ids, lane->count, commit->token);
        }
        return fail_as(err, fake.commit_fail_kind, "commit");
    }
    keep(lane->sink, lane->stream, 0, lane->ids, lane->count, commit->token);
    return SLUICE_OK;
}

static void lane_abort(struct sluice_lane *lane)
{
    lane->count = 0;
}

static void lane_close(struct sluice_lane *lane)
{
    const struct sluice_host *host = lane->sink->host;
    (void)host->memory(host->ctx, -lane->held, 1);
    free(lane->ids);
    free(lane);
    atomic_fetch_sub(&fake.live, 1);
}

static sluice_status sink_end(struct sluice_sink *sink, const struct sluice_stream_end *end,
                              struct sluice_error *err)
{
    struct fake_stream *st = begun_stream(sink, end->stream_id);
    if (st == NULL) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "stream was not begun");
    }
    int fails = strcmp(sink->node, "a") == 0 && atomic_fetch_sub(&fake.end_fail_times, 1) > 0;
    if (!fails || fake.end_fail_keeps) {
        keep(sink, st, 1, NULL, end->rows, end->token);
    }
    int is_last = strcmp(sink->node, "a") == 0 &&
                  atomic_fetch_add(&fake.ends, 1) + 1 == (int32_t)fake.streams;
    if (fake.drain_in_last_end && is_last) {
        sluice_engine_drain(fake_engine);
    }
    return fails ? fail_as(err, fake.end_fail_kind, "end") : SLUICE_OK;
}

static uint64_t sink_bytes(struct sluice_sink *sink)
{
    (void)sink;
    return 0;
}

static const struct sluice_sink_api sink_api = {.struct_size = sizeof sink_api,
                                                .create = sink_create,
                                                .destroy = sink_destroy,
                                                .cancel = sink_cancel,
                                                .open = sink_open,
                                                .recover = sink_recover,
                                                .stream_begin = sink_begin,
                                                .lane_open = lane_open,
                                                .lane_write = lane_write,
                                                .lane_commit = lane_commit,
                                                .lane_abort = lane_abort,
                                                .lane_close = lane_close,
                                                .stream_end = sink_end,
                                                .bytes_written = sink_bytes};

const struct sluice_component fake_sink_component = {.struct_size = sizeof fake_sink_component,
                                                     .kind = SLUICE_SINK,
                                                     .caps = SLUICE_SINK_LOAD,
                                                     .name = "fake_sink",
                                                     .summary = "remembers",
                                                     .options = no_options,
                                                     .sink = &sink_api};

void fake_result(const char *node, const char *stream, struct fake_result *out)
{
    *out = (struct fake_result){0};
    const char *run = NULL;
    uint64_t promised = 0;
    for (struct kept *k = all_kept; k != NULL && run == NULL; k = k->next) {
        if (k->complete && strcmp(k->node, node) == 0 && strcmp(k->stream, stream) == 0) {
            run = k->run;
            promised = k->count;
        }
    }
    if (run == NULL) {
        return;
    }
    unsigned char *seen = calloc(FAKE_ROWS_MAX, 1);
    for (struct kept *k = all_kept; k != NULL; k = k->next) {
        if (k->complete || strcmp(k->node, node) != 0 || strcmp(k->stream, stream) != 0 ||
            strcmp(k->run, run) != 0) {
            continue;
        }
        for (uint64_t i = 0; i < k->count; i++) {
            out->rows++;
            out->sum += (uint64_t)k->ids[i];
            out->distinct += !seen[k->ids[i]];
            seen[k->ids[i]] = 1;
        }
    }
    free(seen);
    out->complete = out->rows == promised;
}

uint32_t fake_run_count(const char *node, const char *stream)
{
    uint32_t n = 0;
    for (struct kept *k = all_kept; k != NULL; k = k->next) {
        if (!k->complete || strcmp(k->node, node) != 0 || strcmp(k->stream, stream) != 0) {
            continue;
        }
        int known = 0;
        for (struct kept *o = all_kept; o != k; o = o->next) {
            known |= o->complete && strcmp(o->node, node) == 0 && strcmp(o->stream, stream) == 0 &&
                     strcmp(o->run, k->run) == 0;
        }
        n += !known;
    }
    return n;
}

uint32_t fake_complete_count(const char *node)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < fake.streams; i++) {
        char name[32];
        struct fake_result r;
        (void)snprintf(name, sizeof name, "public.t%u", i);
        fake_result(node, name, &r);
        n += (uint32_t)(r.complete && r.distinct == r.rows);
    }
    return n;
}
