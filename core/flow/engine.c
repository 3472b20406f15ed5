/*
 * Life of an engine: made, run once, watched, destroyed. The controller's loop is in control.c.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "flow/control.h"
#include "flow/feed.h"
#include "log/log.h"

#define FINISH_US 8000000                      /* for feeds to commit when the run is to end */
#define MEMORY_PER_WORKER (8u * 1024u * 1024u) /* a batch, and what the source holds */
#define MEMORY_PER_LANE (8u * 1024u * 1024u)   /* an encoder, a part being filled */

static uint32_t choose_workers(const struct sluice_engine *engine)
{
    uint32_t n = engine->options.parallelism != 0 ? engine->options.parallelism
                                                  : engine->pipeline->parallelism;
    if (n == 0) {
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        n = cpus > 0 ? (uint32_t)cpus : 1;
    }
    if (n > SLUICE_LIMIT_PARALLELISM) {
        n = SLUICE_LIMIT_PARALLELISM;
    }
    uint64_t lanes = 1;
    for (size_t i = 0; i < engine->source_count; i++) {
        uint64_t own = engine->sources[i].tree.leaf_count;
        lanes = own > lanes ? own : lanes;
    }
    uint64_t fit = engine->budget.limit / (MEMORY_PER_WORKER + lanes * MEMORY_PER_LANE);
    if (fit < 1) {
        fit = 1;
    }
    if (n > fit) {
        sluice_log_line(SLUICE_LOG_INFO, "flow",
                        "parallelism is bounded by memory wanted=%u workers=%llu memory=%llu", n,
                        (unsigned long long)fit, (unsigned long long)engine->budget.limit);
        n = (uint32_t)fit;
    }
    return n;
}

static sluice_status make_nodes(struct sluice_engine *engine, struct sluice_error *err)
{
    const struct sluice_pipeline *pipeline = engine->pipeline;
    engine->sinks = sluice_alloc_zero(pipeline->node_count, sizeof *engine->sinks);
    engine->sources = sluice_alloc_zero(pipeline->node_count, sizeof *engine->sources);
    if (engine->sinks == NULL || engine->sources == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for the graph");
    }
    for (size_t i = 0; i < pipeline->node_count; i++) {
        if (pipeline->nodes[i].kind == SLUICE_SINK) {
            struct sluice_flow_sink *sink = &engine->sinks[engine->sink_count++];
            sink->node = &pipeline->nodes[i];
            sink->api = sink->node->component->sink;
        }
    }
    for (size_t i = 0; i < pipeline->node_count; i++) {
        if (pipeline->nodes[i].kind == SLUICE_SOURCE) {
            struct sluice_flow_source *source = &engine->sources[engine->source_count++];
            SLUICE_TRY(sluice_flow_source_init(engine, source, i, err));
        }
    }
    return SLUICE_OK;
}

static void init_sync(struct sluice_engine *engine)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&engine->mutex, NULL);
    pthread_mutex_init(&engine->fatal_mutex, NULL);
    pthread_cond_init(&engine->work, &attr);
    pthread_cond_init(&engine->events, &attr);
    pthread_condattr_destroy(&attr);
}

sluice_status sluice_engine_create(const struct sluice_pipeline *pipeline,
                                   struct sluice_registry *registry, struct sluice_state *state,
                                   const struct sluice_run_options *options,
                                   struct sluice_engine **out, struct sluice_error *err)
{
    struct sluice_engine *engine = sluice_alloc_zero(1, sizeof *engine);
    if (engine == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for the engine");
    }
    sluice_status status = sluice_cancel_init(&engine->cancel, err);
    if (status < 0) {
        sluice_free(engine);
        return status;
    }
    engine->pipeline = pipeline;
    engine->registry = registry;
    engine->options = *options;
    engine->finish_us = FINISH_US;
    /* A part of the tables, or of their rows, is a load of its own that no later run goes on with. */
    engine->state = options->row_limit > 0 || options->table_count > 0 ? NULL : state;
    engine->stamps = state;
    sluice_budget_init(&engine->budget, pipeline->memory_bytes != 0 ? pipeline->memory_bytes
                                                                    : SLUICE_DEFAULT_MEMORY);
    init_sync(engine);
    atomic_store(&engine->phase, "connecting");
    atomic_store(&engine->load_id, "");
    engine->started_us = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    engine->metrics = sluice_metrics_create();
    engine->env = (struct sluice_flow_env){.pipeline = pipeline,
                                           .cancel = &engine->cancel,
                                           .budget = &engine->budget,
                                           .metrics = engine->metrics};
    status = engine->metrics == NULL
                 ? sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for the metrics")
                 : make_nodes(engine, err);
    if (status < 0) {
        sluice_engine_destroy(engine);
        return status;
    }
    engine->worker_count = choose_workers(engine);
    *out = engine;
    return SLUICE_OK;
}

void sluice_engine_destroy(struct sluice_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    for (size_t i = 0; i < engine->source_count; i++) {
        sluice_flow_source_free(&engine->sources[i]);
    }
    for (size_t i = 0; i < engine->sink_count; i++) {
        sluice_flow_sink_close(engine, &engine->sinks[i]);
    }
    sluice_free(engine->sources);
    sluice_free(engine->sinks);
    sluice_flow_known_free(engine);
    sluice_metrics_destroy(engine->metrics);
    sluice_budget_free(&engine->budget);
    sluice_cancel_free(&engine->cancel);
    pthread_cond_destroy(&engine->work);
    pthread_cond_destroy(&engine->events);
    pthread_mutex_destroy(&engine->mutex);
    pthread_mutex_destroy(&engine->fatal_mutex);
    sluice_free(engine);
}

/* ---- stopping ---- */

int sluice_flow_stopped(struct sluice_engine *engine)
{
    return atomic_load(&engine->drained) || atomic_load(&engine->failed) ||
           sluice_cancel_raised(&engine->cancel);
}

int64_t sluice_flow_row_limit(const struct sluice_engine *engine)
{
    uint64_t limit = engine->options.row_limit;
    return limit == 0 || limit > INT64_MAX ? INT64_MAX : (int64_t)limit;
}

void sluice_flow_cancel_all(struct sluice_engine *engine)
{
    sluice_cancel_raise(&engine->cancel);
    pthread_mutex_lock(&engine->mutex); /* keeps the instances alive; cancel never blocks */
    for (size_t i = 0; i < engine->source_count; i++) {
        if (engine->sources[i].src != NULL) {
            engine->sources[i].api->cancel(engine->sources[i].src);
        }
    }
    for (size_t i = 0; i < engine->sink_count; i++) {
        if (engine->sinks[i].sink != NULL) {
            engine->sinks[i].api->cancel(engine->sinks[i].sink);
        }
    }
    pthread_cond_broadcast(&engine->work);
    pthread_cond_broadcast(&engine->events);
    pthread_mutex_unlock(&engine->mutex);
}

void sluice_flow_fail(struct sluice_engine *engine, const struct sluice_error *err)
{
    int first = 0;
    pthread_mutex_lock(&engine->fatal_mutex);
    if (!atomic_load(&engine->failed)) {
        engine->fatal = *err;
        atomic_store(&engine->failed, 1);
        first = 1;
    }
    pthread_mutex_unlock(&engine->fatal_mutex);
    if (first) {
        sluice_flow_cancel_all(engine);
    }
}

/* Feeds are given time to commit what they have, by the controller; loads are cut off at once. */
void sluice_engine_drain(struct sluice_engine *engine)
{
    atomic_store(&engine->drained, 1);
    pthread_mutex_lock(&engine->mutex);
    int feeds = 0;
    for (size_t i = 0; i < engine->source_count; i++) {
        for (struct sluice_feed *feed = engine->sources[i].feeds; feed != NULL; feed = feed->next) {
            feeds |= atomic_load(&feed->started) && !atomic_load(&feed->over);
            atomic_store(&feed->stop, FEED_FINISH);
        }
    }
    pthread_cond_broadcast(&engine->work);
    pthread_cond_broadcast(&engine->events);
    pthread_mutex_unlock(&engine->mutex);
    if (!feeds) {
        sluice_flow_cancel_all(engine);
    }
}

/* ---- run ---- */

int sluice_flow_has_changes(const struct sluice_engine *engine)
{
    return engine->pipeline->mode != SLUICE_MODE_FULL_LOAD_ONLY;
}

int sluice_flow_has_load(const struct sluice_engine *engine)
{
    return engine->pipeline->mode != SLUICE_MODE_CDC_ONLY;
}

/* The last load goes on if it is not finished. One with changes never is; it ends when the pipeline
 * becomes a full_load_only one, whose loads are apart. */
static sluice_status resume_load(struct sluice_engine *engine, struct sluice_error *err)
{
    struct sluice_state_load *load = &engine->load;
    int32_t mode = engine->pipeline->mode;
    int was_changes = load->mode != SLUICE_MODE_FULL_LOAD_ONLY;
    if (was_changes == sluice_flow_has_changes(engine)) {
        engine->resumed = load->finished_us == 0 || was_changes;
    }
    else if (load->finished_us == 0) {
        SLUICE_TRY(sluice_state_load_finish(engine->state, load->load_id,
                                            sluice_now_us(SLUICE_CLOCK_WALL), err));
    }
    if (engine->resumed && load->mode != mode) {
        load->mode = mode;
        return sluice_state_load_set_mode(engine->state, load->load_id, mode, err);
    }
    return SLUICE_OK;
}

static sluice_status choose_load(struct sluice_engine *engine, struct sluice_error *err)
{
    int64_t now = sluice_now_us(SLUICE_CLOCK_WALL);
    if (engine->state == NULL) {
        char stamp[24];
        sluice_time_stamp(now, stamp);
        (void)snprintf(engine->load.load_id, sizeof engine->load.load_id, "%s-%08x", stamp,
                       (unsigned)(now & 0xffffffff));
        engine->load.started_us = now;
        return SLUICE_OK;
    }
    sluice_status status = sluice_state_load_last(engine->state, &engine->load, err);
    if (status < 0 && status != SLUICE_E_NOT_FOUND) {
        return status;
    }
    if (status >= 0) {
        SLUICE_TRY(resume_load(engine, err));
        if (engine->resumed) {
            return SLUICE_OK;
        }
    }
    return sluice_state_load_begin(engine->state, now, engine->pipeline->mode, &engine->load, err);
}

/* A pipeline that only loads must say so: many wait in vain for changes. */
static void say_mode(const struct sluice_engine *engine)
{
    if (engine->pipeline->mode == SLUICE_MODE_FULL_LOAD_ONLY) {
        sluice_log_line(SLUICE_LOG_INFO, "flow",
                        "mode full_load_only: changes made after this load are not captured (hint: "
                        "set mode: full_load_and_cdc to follow them)");
    }
}

static sluice_status prepare(struct sluice_engine *engine, struct sluice_error *err)
{
    SLUICE_TRY(choose_load(engine, err));
    atomic_store(&engine->load_id, engine->load.load_id);
    SLUICE_FAILPOINT("flow.after_load_begin");
    sluice_log_line(SLUICE_LOG_INFO, "flow", "%s pipeline=%s load=%s workers=%u",
                    engine->resumed ? "going on with an unfinished load" : "load begins",
                    engine->pipeline->name, engine->load.load_id, engine->worker_count);
    say_mode(engine);
    if (engine->state != NULL) {
        SLUICE_TRY(sluice_state_run_begin(engine->state, engine->load.load_id,
                                          sluice_now_us(SLUICE_CLOCK_WALL), &engine->run_id, err));
        if (engine->resumed) {
            SLUICE_TRY(sluice_flow_known_read(engine, err));
        }
        SLUICE_TRY(sluice_flow_kept_feeds_read(engine, err));
    }
    SLUICE_TRY(sluice_control_open(engine, err));
    engine->opened = 1;
    return SLUICE_OK;
}

/* Writes how the run ended. A load is over when every stream is complete or given up: the next run
 * then begins a new one, so that one table that cannot be read keeps no other from being loaded. It
 * is over as well when the run was asked to stop with nothing left to do. */
static sluice_status finish_state(struct sluice_engine *engine, const struct sluice_error *died,
                                  struct sluice_error *err)
{
    if (engine->state == NULL || engine->run_id == 0) {
        return SLUICE_OK;
    }
    int64_t now = sluice_now_us(SLUICE_CLOCK_WALL);
    struct sluice_progress progress = {0};
    sluice_engine_progress(engine, &progress, NULL, NULL);
    const char *outcome = died != NULL || progress.streams_failed > 0 ? "failed" : "ok";
    char message[96] = "";
    if (progress.streams_failed > 0) {
        (void)snprintf(message, sizeof message, "%u of %u tables failed", progress.streams_failed,
                       progress.streams_total);
    }
    if (died == NULL && engine->opened && engine->streams_left == 0 &&
        sluice_flow_has_changes(engine)) {
        outcome = atomic_load(&engine->drained) ? "stopped" : outcome; /* its load never ends */
    }
    else if (died == NULL && engine->opened && engine->streams_left == 0) {
        SLUICE_FAILPOINT("flow.before_load_finish");
        SLUICE_TRY(sluice_state_load_finish(engine->state, engine->load.load_id, now, err));
        SLUICE_FAILPOINT("flow.after_load_finish");
    }
    else if (died == NULL) {
        outcome = "stopped";
    }
    const char *why = died != NULL ? died->message : message;
    return sluice_state_run_finish(engine->state, engine->run_id, now, outcome,
                                   why[0] != 0 ? why : NULL, (int64_t)progress.rows, err);
}

sluice_status sluice_engine_run(struct sluice_engine *engine, struct sluice_error *err)
{
    sluice_status status = prepare(engine, err);
    if (status >= 0) {
        atomic_store(&engine->phase, "loading");
        status = sluice_pool_start(engine, engine->worker_count, err);
    }
    if (status >= 0) {
        sluice_control_loop(engine);
    }
    sluice_feeds_stop(engine);
    if (atomic_load(&engine->drained)) {
        sluice_flow_cancel_all(engine); /* what a load still does */
    }
    sluice_pool_stop(engine);
    sluice_control_end(engine);
    atomic_store(&engine->phase, "finishing");
    if (atomic_load(&engine->failed)) { /* the first cause, not what followed from it */
        *err = engine->fatal;
        status = err->status;
    }
    else if (status < 0 && atomic_load(&engine->drained)) {
        status = SLUICE_OK; /* what was cut short by the stop is no error */
    }
    else if (status >= 0 && engine->streams_left > 0 && !atomic_load(&engine->drained)) {
        status = sluice_error_set(err, SLUICE_E_INTERNAL, SLUICE_ERROR_FATAL,
                                  "%u tables were left neither complete nor failed: a bug; run "
                                  "again to load them",
                                  engine->streams_left);
    }
    struct sluice_error state_err = SLUICE_ERROR_INIT;
    sluice_status kept = finish_state(engine, status < 0 ? err : NULL, &state_err);
    if (kept < 0 && status >= 0) { /* the next run would go on with a load that is done */
        *err = state_err;
        status = sluice_error_wrap(err, "the data is whole, but the state was not written");
    }
    atomic_store(&engine->phase, "done");
    return status < 0 ? status : SLUICE_OK;
}

/* ---- watching ---- */

static double stream_share(struct sluice_flow_stream *stream, int32_t status)
{
    if (status == SLUICE_PROGRESS_COMPLETE || status == SLUICE_PROGRESS_SKIPPED ||
        status == SLUICE_PROGRESS_FOLLOWING) {
        return 1.0;
    }
    int64_t estimate = atomic_load(&stream->rows_estimate);
    uint64_t rows = atomic_load(&stream->rows);
    if (estimate > 0) {
        double share = (double)rows / (double)estimate;
        return share > 0.99 ? 0.99 : share;
    }
    return -1.0;
}

static void visit_stream(struct sluice_flow_stream *stream, struct sluice_progress *out,
                         sluice_progress_visit visit, void *ctx)
{
    int32_t status = atomic_load(&stream->status);
    struct sluice_progress_stream view = {.source = stream->source->node->id,
                                          .name = stream->name,
                                          .status = status,
                                          .rows = atomic_load(&stream->rows),
                                          .rows_estimate = atomic_load(&stream->rows_estimate),
                                          .share = stream_share(stream, status),
                                          .bytes = atomic_load(&stream->bytes),
                                          .started_us = atomic_load(&stream->started_us),
                                          .finished_us = atomic_load(&stream->finished_us),
                                          .retries = atomic_load(&stream->retries),
                                          .message = atomic_load(&stream->message),
                                          .changes = atomic_load(&stream->changes)};
    out->streams_total++;
    out->rows += view.rows;
    out->bytes_read += view.bytes;
    out->streams_complete += status == SLUICE_PROGRESS_COMPLETE ||
                             status == SLUICE_PROGRESS_SKIPPED ||
                             status == SLUICE_PROGRESS_FOLLOWING;
    out->streams_failed += status == SLUICE_PROGRESS_FAILED;
    if (visit != NULL) {
        visit(ctx, &view);
    }
}

void sluice_engine_progress(struct sluice_engine *engine, struct sluice_progress *out,
                            sluice_progress_visit visit, void *ctx)
{
    *out = (struct sluice_progress){.phase = atomic_load(&engine->phase),
                                    .load_id = atomic_load(&engine->load_id),
                                    .started_us = engine->started_us,
                                    .now_us = sluice_now_us(SLUICE_CLOCK_MONOTONIC),
                                    .memory_used = sluice_budget_used(&engine->budget),
                                    .retries = atomic_load(&engine->retries)};
    pthread_mutex_lock(&engine->mutex);
    for (size_t i = 0; i < engine->sink_count; i++) {
        if (engine->sinks[i].sink != NULL) {
            out->bytes_written += engine->sinks[i].api->bytes_written(engine->sinks[i].sink);
        }
    }
    for (size_t i = 0; i < engine->source_count; i++) {
        for (size_t k = 0; k < engine->sources[i].stream_count; k++) {
            visit_stream(engine->sources[i].streams[k], out, visit, ctx);
        }
    }
    pthread_mutex_unlock(&engine->mutex);
}

const char *sluice_guarantee_text(uint64_t sink_caps, int32_t mode)
{
    if ((sink_caps & SLUICE_SINK_DISCARDS) != 0) {
        return "keeps nothing";
    }
    if ((sink_caps & SLUICE_SINK_TRANSACTIONAL) != 0) {
        return "exactly once: rows and position become durable together";
    }
    if ((sink_caps & SLUICE_SINK_IDEMPOTENT) != 0) {
        return "effectively once: repeated rows change nothing";
    }
    return mode == SLUICE_MODE_FULL_LOAD_ONLY
               ? "each load whole or not at all; a load that was cut off may leave rows behind"
               : "at least once: after a failure rows may be repeated";
}

struct reports_ctx {
    const char *sink;
    sluice_reports_visit visit;
    void *ctx;
};

static sluice_status pass_report(void *vctx, const struct sluice_sink_report *report)
{
    const struct reports_ctx *ctx = vctx;
    ctx->visit(ctx->ctx, ctx->sink, report);
    return SLUICE_OK;
}

void sluice_engine_reports(struct sluice_engine *engine, sluice_reports_visit visit, void *ctx)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    pthread_mutex_lock(&engine->mutex);
    for (size_t i = 0; i < engine->sink_count; i++) {
        const struct sluice_flow_sink *sink = &engine->sinks[i];
        struct reports_ctx each = {sink->node->id, visit, ctx};
        if (sink->sink != NULL) {
            (void)sink->api->report(sink->sink, pass_report, &each, &err); /* it never blocks */
        }
    }
    pthread_mutex_unlock(&engine->mutex);
}
