/* The calls of sink null. Lanes run in parallel: counters are atomic, the list of streams has a
 * lock that a lane takes only when the stream of its batches changes. */
#include "null_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sluice/array.h"
#include "sluice/log.h"
#include "sluice/option.h"
#include "sluice/view.h"

enum { LATENCY_BUFFER = 1 << 16 };

struct null_options {
    int64_t delay_us;
    int64_t fail_after_rows;
    int64_t fail_kind;
    int64_t fail_times;
    const char *latency;
    int32_t validate;
};

/* One stream and schema_id; never freed before destroy, so lanes may keep pointers. */
struct null_stream {
    struct null_stream *next;
    struct sluice_stream_desc *desc;
    struct ArrowSchema envelope; /* released when CHANGES were never checked */
};

struct sluice_sink {
    const struct sluice_host *host;
    struct null_options options;
    pthread_mutex_t lock; /* streams */
    struct null_stream *streams;
    struct sluice_metric *rows_total;
    struct sluice_metric *batches_total;
    _Atomic uint64_t bytes;
    _Atomic uint64_t rows;
    _Atomic int64_t fails_left;
    FILE *latency; /* NULL = not asked for; its lines are whole whatever thread writes them */
};

struct sluice_lane {
    struct sluice_sink *sink;
    struct null_stream *stream; /* of the last batch */
    int64_t rows;
};

static void null_destroy(struct sluice_sink *sink)
{
    if (sink == NULL) {
        return;
    }
    while (sink->streams != NULL) {
        struct null_stream *s = sink->streams;
        sink->streams = s->next;
        sluice_schema_release(&s->envelope);
        sluice_stream_desc_free(s->desc);
        free(s);
    }
    if (sink->latency != NULL) {
        (void)fclose(sink->latency);
    }
    pthread_mutex_destroy(&sink->lock);
    free(sink);
}

static sluice_status null_create(const struct sluice_host *host, struct sluice_sink **out,
                                 struct sluice_error *err)
{
    static const struct sluice_option_binding bindings[] = {
        SLUICE_BIND(struct null_options, validate, "validate"),
        SLUICE_BIND(struct null_options, delay_us, "delay"),
        SLUICE_BIND(struct null_options, fail_after_rows, "fail_after_rows"),
        SLUICE_BIND(struct null_options, fail_kind, "fail_kind"),
        SLUICE_BIND(struct null_options, fail_times, "fail_times"),
        SLUICE_BIND(struct null_options, latency, "latency"),
        {NULL, 0}};
    struct sluice_sink *sink = calloc(1, sizeof *sink);
    if (sink == NULL || pthread_mutex_init(&sink->lock, NULL) != 0) {
        free(sink);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "sink null: out of memory");
    }
    sink->host = host;
    sluice_status st = sluice_options_bind(host, bindings, &sink->options, err);
    if (st < 0) {
        null_destroy(sink);
        return st;
    }
    atomic_init(&sink->fails_left, sink->options.fail_times);
    sink->rows_total = host->metric(host->ctx, SLUICE_METRIC_COUNTER, "null_rows_total", "rows",
                                    "Rows that sink null threw away.");
    sink->batches_total = host->metric(host->ctx, SLUICE_METRIC_COUNTER, "null_batches_total",
                                       "batches", "Batches that sink null threw away.");
    *out = sink;
    return SLUICE_OK;
}

static sluice_status null_check(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    (void)sink;
    (void)plan;
    (void)err;
    struct sluice_finding finding = {(uint32_t)sizeof finding,
                                     SLUICE_FINDING_OK,
                                     "null",
                                     NULL,
                                     "takes everything and keeps nothing",
                                     NULL};
    sluice_status st = visit(vctx, &finding);
    return st < 0 ? st : SLUICE_OK;
}

static void null_cancel(struct sluice_sink *sink)
{
    (void)sink; /* waits look at the host's cancel descriptor */
}

static sluice_status null_open(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                               struct sluice_error *err)
{
    const char *path = sink->options.latency;
    (void)plan;
    if (path == NULL || path[0] == 0 || sink->latency != NULL) {
        return SLUICE_OK;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    sink->latency = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (sink->latency == NULL) {
        sluice_status st = sluice_error_errno(err, errno, "sink null: opening %s", path);
        if (fd >= 0) {
            (void)close(fd);
        }
        return st;
    }
    (void)setvbuf(sink->latency, NULL, _IOFBF, LATENCY_BUFFER);
    return SLUICE_OK;
}

/* What nothing is kept of cannot be asked: the engine's own state tells. */
static sluice_status null_recover(struct sluice_sink *sink, sluice_recovered_visit visit,
                                  void *vctx, struct sluice_error *err)
{
    (void)sink;
    (void)visit;
    (void)vctx;
    return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0, "sink null remembers nothing");
}

static struct null_stream *stream_find(struct sluice_sink *sink, uint64_t stream_id,
                                       uint64_t schema_id)
{
    pthread_mutex_lock(&sink->lock);
    struct null_stream *s = sink->streams;
    while (s != NULL && (s->desc->stream_id != stream_id || s->desc->schema_id != schema_id)) {
        s = s->next;
    }
    pthread_mutex_unlock(&sink->lock);
    return s;
}

static sluice_status null_stream_begin(struct sluice_sink *sink,
                                       const struct sluice_stream_begin *begin,
                                       struct sluice_error *err)
{
    struct null_stream *s = stream_find(sink, begin->desc->stream_id, begin->desc->schema_id);
    if (s != NULL && s->desc->before == begin->desc->before &&
        s->desc->key_count == begin->desc->key_count) {
        return SLUICE_OK;
    }
    s = calloc(1, sizeof *s);
    if (s != NULL) {
        s->desc = sluice_stream_desc_copy(begin->desc);
    }
    if (s == NULL || s->desc == NULL) {
        free(s);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "sink null: out of memory for stream %s",
                                begin->desc->name);
    }
    sluice_status st = sluice_schema_envelope(s->desc, &s->envelope, err);
    if (st < 0) {
        sluice_stream_desc_free(s->desc);
        free(s);
        return st;
    }
    pthread_mutex_lock(&sink->lock);
    s->next = sink->streams;
    sink->streams = s;
    pthread_mutex_unlock(&sink->lock);
    return SLUICE_OK;
}

static sluice_status null_lane_open(struct sluice_sink *sink, const struct sluice_shard_desc *shard,
                                    struct sluice_lane **out, struct sluice_error *err)
{
    struct sluice_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "sink null: out of memory for shard %s",
                                shard->id);
    }
    lane->sink = sink;
    *out = lane;
    return SLUICE_OK;
}

/* Waits out the delay; CANCELLED when that came first. */
static sluice_status wait_delay(struct sluice_sink *sink, struct sluice_error *err)
{
    const struct sluice_host *host = sink->host;
    int64_t until = host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC) + sink->options.delay_us;
    for (;;) {
        if (host->cancelled(host->ctx)) {
            return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "sink null: cancelled");
        }
        int64_t left = until - host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC);
        if (left <= 0) {
            return SLUICE_OK;
        }
        struct pollfd fd = {host->cancel_fd(host->ctx), POLLIN, 0};
        (void)poll(&fd, 1, (int)(left / 1000 + 1 < 1000 ? left / 1000 + 1 : 1000));
    }
}

static sluice_status fail_now(const struct sluice_sink *sink, int64_t rows,
                              struct sluice_error *err)
{
    static const struct {
        sluice_status status;
        uint32_t flags;
    } kinds[] = {{SLUICE_E_IO, SLUICE_ERROR_RETRYABLE},
                 {SLUICE_E_PERMISSION, SLUICE_ERROR_FATAL},
                 {SLUICE_E_SCHEMA, 0}};
    return sluice_error_set(
        err, kinds[sink->options.fail_kind].status, kinds[sink->options.fail_kind].flags,
        "sink null: fails after %lld rows as fail_after_rows says", (long long)rows);
}

/* The stream of a batch, which must have begun. */
static sluice_status stream_of(struct sluice_lane *lane, const struct sluice_batch *batch,
                               struct sluice_error *err)
{
    struct null_stream *s = lane->stream;
    if (s == NULL || s->desc->stream_id != batch->stream_id ||
        s->desc->schema_id != batch->schema_id) {
        s = stream_find(lane->sink, batch->stream_id, batch->schema_id);
        lane->stream = s;
    }
    return s != NULL ? SLUICE_OK
                     : sluice_error_set(err, SLUICE_E_STATE, 0,
                                        "sink null: a batch of stream %llu, schema %llu, which was "
                                        "never begun",
                                        (unsigned long long)batch->stream_id,
                                        (unsigned long long)batch->schema_id);
}

static sluice_status validate(struct sluice_lane *lane, const struct sluice_batch *batch,
                              struct sluice_error *err)
{
    if (batch->kind != SLUICE_BATCH_ROWS && batch->kind != SLUICE_BATCH_CHANGES &&
        batch->kind != SLUICE_BATCH_TRUNCATE) {
        return SLUICE_OK;
    }
    SLUICE_TRY(stream_of(lane, batch, err));
    struct null_stream *s = lane->stream;
    if (batch->array.length < 0 || (uint64_t)batch->array.length != batch->rows) {
        return sluice_error_set(
            err, SLUICE_E_DATA, 0, "stream %s: the batch says %llu rows, its array has %lld",
            s->desc->name, (unsigned long long)batch->rows, (long long)batch->array.length);
    }
    struct ArrowSchema schema = batch->kind == SLUICE_BATCH_ROWS ? *s->desc->schema : s->envelope;
    if (batch->kind == SLUICE_BATCH_TRUNCATE) {
        schema.n_children = 5; /* the envelope without rows */
    }
    if (sluice_array_check(&schema, &batch->array, SLUICE_CHECK_FULL, err) < 0) {
        return sluice_error_wrap(err, "stream %s", s->desc->name);
    }
    return SLUICE_OK;
}

/* A line for each commit in the batch: when it was made, and when it came here. */
static sluice_status note_latency(const struct sluice_sink *sink, const struct sluice_batch *batch,
                                  struct sluice_error *err)
{
    static const struct ArrowSchema field = {
        .format = "tsu:UTC", .name = "commit_ts", .flags = ARROW_FLAG_NULLABLE};
    const struct ArrowArray *array = &batch->array;
    const int64_t now = sink->host->now_us(sink->host->ctx, SLUICE_CLOCK_WALL);
    struct sluice_view times;
    int64_t last = INT64_MIN;
    if (batch->kind != SLUICE_BATCH_CHANGES || array->n_children < 4) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_view_init(&field, array->children[3], &times, err));
    for (int64_t row = array->offset; row < array->offset + array->length; row++) {
        if (!sluice_view_is_null(&times, row) && sluice_view_i64(&times, row) != last) {
            last = sluice_view_i64(&times, row);
            (void)fprintf(sink->latency, "%" PRId64 " %" PRId64 "\n", last, now);
        }
    }
    return SLUICE_OK;
}

static sluice_status null_lane_write(struct sluice_lane *lane, struct sluice_batch *batch,
                                     struct sluice_error *err)
{
    struct sluice_sink *sink = lane->sink;
    if (sink->options.delay_us > 0) {
        SLUICE_TRY(wait_delay(sink, err));
    }
    if (sink->options.fail_after_rows > 0 && lane->rows >= sink->options.fail_after_rows &&
        atomic_fetch_sub(&sink->fails_left, 1) > 0) {
        return fail_now(sink, lane->rows, err);
    }
    if (sink->options.validate) {
        SLUICE_TRY(validate(lane, batch, err));
    }
    if (sink->latency != NULL) {
        SLUICE_TRY(note_latency(sink, batch, err));
    }
    lane->rows += (int64_t)batch->rows;
    atomic_fetch_add(&sink->rows, batch->rows);
    atomic_fetch_add(&sink->bytes, batch->bytes);
    sink->host->metric_add(sink->rows_total, (int64_t)batch->rows);
    sink->host->metric_add(sink->batches_total, 1);
    sluice_array_release(&batch->array);
    return SLUICE_OK;
}

static sluice_status null_lane_commit(struct sluice_lane *lane, const struct sluice_commit *commit,
                                      struct sluice_error *err)
{
    (void)lane;
    (void)commit;
    (void)err;
    return SLUICE_OK;
}

static void null_lane_abort(struct sluice_lane *lane)
{
    lane->rows = 0;
}

static void null_lane_close(struct sluice_lane *lane)
{
    free(lane);
}

static sluice_status null_stream_end(struct sluice_sink *sink, const struct sluice_stream_end *end,
                                     struct sluice_error *err)
{
    (void)err;
    sluice_log(sink->host, SLUICE_LOG_DEBUG, "stream whole stream_id=%llu rows=%llu",
               (unsigned long long)end->stream_id, (unsigned long long)end->rows);
    return SLUICE_OK;
}

static uint64_t null_bytes_written(struct sluice_sink *sink)
{
    return atomic_load(&sink->bytes);
}

const struct sluice_sink_api null_sink_api = {
    .struct_size = (uint32_t)sizeof null_sink_api,
    .create = null_create,
    .destroy = null_destroy,
    .check = null_check,
    .cancel = null_cancel,
    .open = null_open,
    .recover = null_recover,
    .stream_begin = null_stream_begin,
    .lane_open = null_lane_open,
    .lane_write = null_lane_write,
    .lane_commit = null_lane_commit,
    .lane_abort = null_lane_abort,
    .lane_close = null_lane_close,
    .stream_end = null_stream_end,
    .bytes_written = null_bytes_written,
};
