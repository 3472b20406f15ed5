/* run: all files are checked first, then run one after the other. */
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli.h"
#include "log/log.h"
#include "options.h"
#include "progress.h"
#include "text.h"

/* What the signal thread may reach. */
struct run {
    struct sluice_cli *cli;
    pthread_mutex_t mutex;
    struct sluice_engine *engine; /* under the mutex; NULL between engines */
    int how;
    struct sluice_str until; /* as the engine wants it; empty = none */
};

/* The first signal, on the signal thread. */
static void ask_to_drain(void *ctx, int signal)
{
    struct run *run = ctx;
    sluice_log_line(SLUICE_LOG_WARN, "run",
                    "stopping: leaving a clean state; a second signal ends at once signal=%s",
                    sluice_signals_name(signal));
    (void)pthread_mutex_lock(&run->mutex);
    if (run->engine != NULL) {
        sluice_engine_drain(run->engine);
    }
    (void)pthread_mutex_unlock(&run->mutex);
}

static int asked_to_stop(const struct run *run)
{
    return sluice_signals_first(&run->cli->signals) != 0;
}

/* Makes the engine known to the signal thread; a signal that came before is made up for. */
static void show_engine(struct run *run, struct sluice_engine *engine)
{
    (void)pthread_mutex_lock(&run->mutex);
    run->engine = engine;
    if (engine != NULL && asked_to_stop(run)) {
        sluice_engine_drain(engine);
    }
    (void)pthread_mutex_unlock(&run->mutex);
}

static void add_summary_json(const struct sluice_run_view *view,
                             const struct sluice_pipeline *pipeline, const char *outcome,
                             const struct sluice_error *err, json_t *object)
{
    json_t *streams = json_array();
    (void)json_object_set_new(object, "pipeline", sluice_cli_json_text(pipeline->name));
    (void)json_object_set_new(object, "file", sluice_cli_json_text(pipeline->file));
    (void)json_object_set_new(object, "mode", json_string(sluice_cli_mode_name(pipeline->mode)));
    (void)json_object_set_new(object, "outcome", json_string(outcome));
    sluice_run_view_json(view, object);
    (void)json_object_del(object, "phase");
    (void)json_object_del(object, "memory_used");
    for (size_t i = 0; i < view->count; i++) {
        (void)json_array_append_new(streams, sluice_run_view_row_json(&view->rows[i]));
    }
    (void)json_object_set_new(object, "streams", streams);
    json_t *error = json_null();
    if (err->status < 0) {
        error = json_object();
        (void)json_object_set_new(error, "status", json_string(sluice_status_name(err->status)));
        (void)json_object_set_new(error, "message", sluice_cli_json_message(err->message));
    }
    (void)json_object_set_new(object, "error", error);
}

/* Rows and tables that sinks refused. */
struct refusals {
    struct sluice_str text;
    json_t *list; /* NULL = text is wanted */
    uint64_t rows;
    uint32_t tables;
};

static void add_refusal(void *ctx, const char *sink, const struct sluice_sink_report *report)
{
    struct refusals *out = ctx;
    int quarantined = (report->flags & SLUICE_REPORT_QUARANTINED) != 0;
    out->rows += report->rejected;
    out->tables += quarantined ? 1u : 0u;
    if (out->list != NULL) {
        json_t *object = json_object();
        (void)json_object_set_new(object, "sink", sluice_cli_json_text(sink));
        (void)json_object_set_new(object, "stream", sluice_cli_json_text(report->stream));
        (void)json_object_set_new(object, "rejected", json_integer((json_int_t)report->rejected));
        (void)json_object_set_new(object, "quarantined", json_boolean(quarantined));
        (void)json_object_set_new(
            object, "reason", quarantined ? sluice_cli_json_message(report->reason) : json_null());
        (void)json_array_append_new(out->list, object);
        return;
    }
    sluice_cli_text_escape(&out->text, report->stream);
    sluice_str_printf(&out->text, " in %s: ", sink);
    if (report->rejected > 0) {
        sluice_str_printf(&out->text, "%llu row%s refused", (unsigned long long)report->rejected,
                          report->rejected == 1 ? "" : "s");
    }
    if (quarantined) {
        sluice_str_printf(&out->text, "%sset aside: ", report->rejected > 0 ? "; " : "");
        sluice_cli_text_escape(&out->text, report->reason != NULL ? report->reason : "no reason");
    }
    sluice_str_append_char(&out->text, '\n');
}

/* Says what was refused; answers the exit code. */
static int report_refusals(struct sluice_cli *cli, const struct sluice_pipeline *pipeline,
                           struct refusals *refusals)
{
    if (refusals->rows == 0 && refusals->tables == 0) {
        return SLUICE_EXIT_OK;
    }
    sluice_cli_out(cli, &refusals->text);
    if (refusals->rows > 0) {
        sluice_cli_warn(cli, "%s: %llu rows were refused by their target: sluice dlq list %s",
                        pipeline->name, (unsigned long long)refusals->rows, pipeline->file);
    }
    if (refusals->tables > 0) {
        sluice_cli_warn(cli,
                        "%s: %u tables are set aside: mend the cause, then sluice state resync %s "
                        "--stream TABLE, and run again",
                        pipeline->name, refusals->tables, pipeline->file);
    }
    return SLUICE_EXIT_REJECTED;
}

static const char *choose_outcome(const struct run *run, const struct sluice_run_view *view,
                                  const struct sluice_error *err)
{
    if (err->status < 0 || view->total.streams_failed > 0) {
        return "failed";
    }
    int whole =
        view->total.streams_total > 0 && view->total.streams_complete == view->total.streams_total;
    /* A feed that follows has no end of its own. */
    whole = whole && view->feed_count == 0;
    return asked_to_stop(run) && !whole ? "stopped" : "ok";
}

/* Prints what came of a run; answers its exit code. */
static int report(struct run *run, const struct sluice_run_view *view,
                  const struct sluice_pipeline *pipeline, struct refusals *refusals,
                  const struct sluice_error *err)
{
    struct sluice_cli *cli = run->cli;
    struct sluice_str text = SLUICE_STR_INIT;
    const char *outcome = choose_outcome(run, view, err);
    int code = SLUICE_EXIT_OK;
    if (cli->json || run->how == SLUICE_PROGRESS_HOW_JSON) {
        json_t *object = json_object();
        if (run->how == SLUICE_PROGRESS_HOW_JSON) {
            (void)json_object_set_new(object, "event", json_string("summary"));
            (void)json_object_set_new(object, "time",
                                      sluice_cli_json_time(sluice_now_us(SLUICE_CLOCK_WALL)));
        }
        add_summary_json(view, pipeline, outcome, err, object);
        (void)json_object_set(object, "refused", refusals->list);
        if (cli->json) {
            json_t *copy = json_deep_copy(object);
            (void)json_object_del(copy, "event");
            (void)json_object_del(copy, "time");
            (void)json_array_append_new(json_object_get(cli->result, "pipelines"), copy);
        }
        if (run->how == SLUICE_PROGRESS_HOW_JSON) {
            sluice_cli_out_json(cli, object);
        }
        else {
            json_decref(object);
        }
    }
    else if (view->total.streams_total > 0) {
        sluice_run_view_summary(view, &cli->out, &text);
        sluice_cli_out(cli, &text);
    }
    sluice_str_free(&text);
    code = report_refusals(cli, pipeline, refusals);
    if (err->status < 0) {
        code = sluice_cli_error_report(cli, pipeline->name, err);
    }
    else if (view->total.streams_failed > 0) {
        struct sluice_str message = SLUICE_STR_INIT;
        sluice_str_printf(&message, "%s: %u of %u tables failed", pipeline->name,
                          view->total.streams_failed, view->total.streams_total);
        sluice_cli_error(cli, SLUICE_E_DATA, sluice_str_text(&message), NULL);
        sluice_str_free(&message);
        code = SLUICE_EXIT_RUNTIME;
    }
    else if (strcmp(outcome, "stopped") == 0) {
        int part = sluice_cli_args_has(&cli->args, SLUICE_OPT_LIMIT) ||
                   sluice_cli_args_has(&cli->args, SLUICE_OPT_TABLES);
        sluice_cli_warn(cli, "%s: stopped by %s; %s", pipeline->name,
                        sluice_signals_name(sluice_signals_first(&cli->signals)),
                        part ? "a run of a part remembers nothing"
                             : "the next run goes on from here");
    }
    return code;
}

static void set_options(const struct run *run, struct sluice_run_options *options)
{
    const struct sluice_cli_args *args = &run->cli->args;
    memset(options, 0, sizeof *options);
    options->row_limit = (uint64_t)sluice_cli_args_number(args, SLUICE_OPT_LIMIT, 0);
    options->parallelism = (uint32_t)sluice_cli_args_number(args, SLUICE_OPT_PARALLELISM, 0);
    options->tables = args->tables.items;
    options->table_count = args->tables.count;
    options->validate_batches = sluice_cli_args_has(args, SLUICE_OPT_CHECK_BATCHES);
    options->once = sluice_cli_args_has(args, SLUICE_OPT_ONCE);
    options->until = run->until.size > 0 ? sluice_str_text(&run->until) : NULL;
}

static int run_pipeline(struct run *run, const struct sluice_pipeline *pipeline)
{
    struct sluice_cli *cli = run->cli;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_state *state = NULL;
    struct sluice_engine *engine = NULL;
    struct sluice_cli_progress progress;
    struct sluice_run_options options;
    int code = SLUICE_EXIT_OK;
    memset(&progress, 0, sizeof progress);
    set_options(run, &options);
    sluice_status status =
        sluice_cli_state_open(pipeline->state_uri, pipeline->name, SLUICE_STATE_RUN, &state, &err);
    if (status >= 0) {
        status = sluice_engine_create(pipeline, cli->registry, state, &options, &engine, &err);
    }
    if (status < 0) {
        code = sluice_cli_error_report(cli, pipeline->name, &err);
        goto out;
    }
    sluice_cli_progress_start(&progress, cli, engine, pipeline->name, run->how);
    show_engine(run, engine);
    status = sluice_engine_run(engine, &err);
    show_engine(run, NULL);
    sluice_cli_progress_stop(&progress);
    if (status >= 0 || (status == SLUICE_E_CANCELLED && asked_to_stop(run))) {
        sluice_error_clear(&err);
    }
    struct refusals refusals = {
        .list = cli->json || run->how == SLUICE_PROGRESS_HOW_JSON ? json_array() : NULL};
    sluice_engine_reports(engine, add_refusal, &refusals);
    code = report(run, &progress.view, pipeline, &refusals, &err);
    json_decref(refusals.list);
    sluice_str_free(&refusals.text);
out:
    sluice_cli_progress_free(&progress);
    sluice_engine_destroy(engine);
    if (state != NULL) {
        sluice_state_close(state);
    }
    return code;
}

/* The most telling code: environment and configuration before a table that failed, and refused rows, a
 * run that ended well otherwise, last. */
static int worse(int a, int b)
{
    int rank_a = a == SLUICE_EXIT_REJECTED ? 0 : a;
    int rank_b = b == SLUICE_EXIT_REJECTED ? 0 : b;
    return rank_b > rank_a || (rank_a == rank_b && b > a) ? b : a;
}

static int run_all(struct run *run, struct sluice_pipeline **pipelines, size_t count)
{
    struct sluice_cli *cli = run->cli;
    int code = SLUICE_EXIT_OK;
    for (size_t i = 0; i < count; i++) {
        if (asked_to_stop(run)) {
            sluice_cli_warn(cli, "stopped by %s before %s began",
                            sluice_signals_name(sluice_signals_first(&cli->signals)),
                            pipelines[i]->name);
            break;
        }
        int one = run_pipeline(run, pipelines[i]);
        code = worse(code, one);
    }
    if (count > 0 && cli->json) {
        json_t *list = json_object_get(cli->result, "pipelines");
        (void)json_object_set_new(cli->result, "count",
                                  json_integer((json_int_t)json_array_size(list)));
    }
    return code;
}

/* Files run one after the other: one that follows changes must be the last. */
static int check_order(struct sluice_cli *cli, struct sluice_pipeline **pipelines, size_t count)
{
    for (size_t i = 0; i + 1 < count; i++) {
        if (!sluice_cli_options_end(cli, pipelines[i])) {
            struct sluice_str message = SLUICE_STR_INIT;
            sluice_str_printf(&message,
                              "%s follows changes until it is stopped: %s would never begin",
                              pipelines[i]->name, pipelines[i + 1]->name);
            sluice_cli_error(cli, SLUICE_E_INVALID, sluice_str_text(&message),
                             "run each in a process of its own, or give --once");
            sluice_str_free(&message);
            return SLUICE_EXIT_CONFIG;
        }
    }
    return SLUICE_EXIT_OK;
}

int sluice_cli_run(struct sluice_cli *cli)
{
    const struct sluice_cli_list *files = &cli->args.words;
    struct sluice_pipeline **pipelines = NULL;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct run run = {.cli = cli, .how = sluice_cli_progress_how(cli)};
    int code = SLUICE_EXIT_OK;
    code = sluice_cli_options_read(cli, &run.until);
    if (code != SLUICE_EXIT_OK) {
        sluice_str_free(&run.until);
        return code;
    }
    if (cli->json) {
        (void)json_object_set_new(cli->result, "pipelines", json_array());
    }
    if (run.how == SLUICE_PROGRESS_HOW_BAR &&
        !sluice_cli_args_has(&cli->args, SLUICE_OPT_LOG_LEVEL)) {
        /* The display says what the lines would. */
        sluice_cli_log_setup(cli, SLUICE_LOG_WARN);
    }
    (void)pthread_mutex_init(&run.mutex, NULL);
    if (sluice_signals_start(&cli->signals, ask_to_drain, &run, &err) < 0) {
        code = sluice_cli_error_report(cli, NULL, &err);
        goto out;
    }
    pipelines = sluice_alloc_zero(files->count, sizeof *pipelines);
    if (pipelines == NULL) {
        code = sluice_cli_error_nomem(cli);
        goto out;
    }
    for (size_t i = 0; i < files->count; i++) {
        int one = sluice_cli_pipeline_open(cli, files->items[i], &pipelines[i]);
        one = one == SLUICE_EXIT_OK ? sluice_cli_options_fit(cli, pipelines[i]) : one;
        code = one > code ? one : code;
    }
    if (code == SLUICE_EXIT_OK) {
        code = check_order(cli, pipelines, files->count);
    }
    if (code == SLUICE_EXIT_OK) {
        code = run_all(&run, pipelines, files->count);
    }
out:
    sluice_signals_stop(&cli->signals);
    for (size_t i = 0; pipelines != NULL && i < files->count; i++) {
        if (pipelines[i] != NULL) {
            sluice_pipeline_free(pipelines[i]);
        }
    }
    sluice_free(pipelines);
    (void)pthread_mutex_destroy(&run.mutex);
    sluice_str_free(&run.until);
    return code;
}
