/* state list, show, reset. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli.h"
#include "table.h"
#include "text.h"

#define RUNS_SHOWN 10

/* A load of a large database has thousands; --json has them all. */
#define LANES_SHOWN 20

/* Whose state: out of a pipeline file, or of --state DIR NAME. */
struct place {
    struct sluice_pipeline *pipeline;
    char *uri;
    const char *name;
};

static void place_free(struct place *place)
{
    if (place->pipeline != NULL) {
        sluice_pipeline_free(place->pipeline);
    }
    sluice_free(place->uri);
    memset(place, 0, sizeof *place);
}

static int find_place(struct sluice_cli *cli, struct place *place)
{
    struct sluice_str uri = SLUICE_STR_INIT;
    const char *folder = cli->args.value[SLUICE_OPT_STATE];
    const char *word = cli->args.words.count > 0 ? cli->args.words.items[0] : NULL;
    memset(place, 0, sizeof *place);
    if (folder != NULL) {
        sluice_str_printf(&uri, "%s%s", strncmp(folder, "file:", 5) == 0 ? "" : "file:", folder);
        place->uri = sluice_str_steal(&uri);
        place->name = word;
        return place->uri != NULL ? SLUICE_EXIT_OK : sluice_cli_error_nomem(cli);
    }
    if (word == NULL) {
        return SLUICE_EXIT_OK;
    }
    int code = sluice_cli_pipeline_open(cli, word, &place->pipeline);
    if (code == SLUICE_EXIT_OK) {
        place->name = place->pipeline->name;
        place->uri = sluice_alloc_string(place->pipeline->state_uri);
    }
    return code;
}

static const char *stream_status(int32_t status)
{
    switch (status) {
    case SLUICE_STATE_STREAM_PENDING:
        return "pending";
    case SLUICE_STATE_STREAM_LOADING:
        return "loading";
    case SLUICE_STATE_STREAM_COMPLETE:
        return "complete";
    case SLUICE_STATE_STREAM_FAILED:
        return "failed";
    default:
        return "?";
    }
}

/* "2026-11-23 00:52:34" in UTC; "-" for 0. */
static void time_text(int64_t wall_us, char out[32])
{
    if (wall_us == 0) {
        memcpy(out, "-", 2);
        return;
    }
    sluice_time_iso(wall_us, out);
    out[10] = ' ';
    out[19] = '\0';
}

/* ---------------------------------------------------------------- list ----------------------- */

struct list_ctx {
    struct sluice_cli *cli;
    struct sluice_cli_table table;
    json_t *list;
};

static sluice_status visit_name(void *ctx, const char *pipeline, const char *path)
{
    struct list_ctx *list = ctx;
    if (list->list != NULL) {
        json_t *object = json_object();
        (void)json_object_set_new(object, "pipeline", sluice_cli_json_text(pipeline));
        (void)json_object_set_new(object, "path", sluice_cli_json_text(path));
        (void)json_array_append_new(list->list, object);
        return SLUICE_OK;
    }
    sluice_cli_table_add(&list->table, SLUICE_STYLE_NAME, pipeline);
    sluice_cli_table_add(&list->table, SLUICE_STYLE_NONE, path);
    return SLUICE_OK;
}

int sluice_cli_state_list(struct sluice_cli *cli)
{
    static const char *const headers[] = {"pipeline", "file"};
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_str text = SLUICE_STR_INIT;
    struct place place;
    int code = find_place(cli, &place);
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    struct list_ctx list = {.cli = cli, .list = cli->json ? json_array() : NULL};
    sluice_cli_table_init(&list.table, 2, headers, 0, 0x02);
    char *folder = sluice_cli_state_folder();
    sluice_status status = SLUICE_OK;
    if (folder == NULL && place.uri == NULL) {
        status =
            sluice_error_set(&err, SLUICE_E_INVALID, 0,
                             "no folder for the state: neither HOME nor XDG_STATE_HOME is set");
    }
    else {
        status = sluice_state_list(place.uri, folder, visit_name, &list, &err);
    }
    if (status < 0 && status != SLUICE_E_NOT_FOUND) {
        code = sluice_cli_error_report(cli, NULL, &err);
    }
    if (cli->json) {
        (void)json_object_set_new(cli->result, "pipelines", list.list);
    }
    else if (code == SLUICE_EXIT_OK) {
        if (sluice_cli_table_rows(&list.table) > 0) {
            sluice_cli_table_render(&list.table, &cli->out, &text);
        }
        else {
            sluice_str_append(&text, "no pipeline has state here\n");
        }
        sluice_cli_out_always(cli, &text);
    }
    sluice_free(folder);
    sluice_cli_table_free(&list.table);
    sluice_str_free(&text);
    place_free(&place);
    return code;
}

/* ---------------------------------------------------------------- show ----------------------- */

struct show_ctx {
    struct sluice_cli *cli;
    struct sluice_cli_table table;
    json_t *list;
    const char *stream; /* only this one; NULL = all */
    size_t complete;
    size_t begun;
    size_t found;
};

static sluice_status visit_stream(void *ctx, const struct sluice_state_stream *s)
{
    struct show_ctx *show = ctx;
    char text[32];
    if (show->stream != NULL && strcmp(show->stream, s->stream) != 0) {
        return SLUICE_OK;
    }
    show->found++;
    show->complete += s->status == SLUICE_STATE_STREAM_COMPLETE;
    show->begun += s->status == SLUICE_STATE_STREAM_LOADING;
    if (show->list != NULL) {
        json_t *object = json_object();
        (void)json_object_set_new(object, "source", sluice_cli_json_text(s->source));
        (void)json_object_set_new(object, "stream", sluice_cli_json_text(s->stream));
        (void)json_object_set_new(object, "sink", sluice_cli_json_text(s->sink));
        (void)json_object_set_new(object, "status", json_string(stream_status(s->status)));
        (void)json_object_set_new(object, "run", sluice_cli_json_text(s->run));
        (void)json_object_set_new(object, "rows", json_integer(s->rows));
        (void)json_object_set_new(object, "bytes", json_integer(s->bytes));
        (void)json_object_set_new(object, "started", sluice_cli_json_time(s->started_us));
        (void)json_object_set_new(object, "finished", sluice_cli_json_time(s->finished_us));
        (void)json_object_set_new(object, "load_position", sluice_cli_json_text(s->load_position));
        (void)json_object_set_new(object, "message", sluice_cli_json_message(s->message));
        (void)json_array_append_new(show->list, object);
        return SLUICE_OK;
    }
    int style = s->status == SLUICE_STATE_STREAM_COMPLETE ? SLUICE_STYLE_GOOD
                : s->status == SLUICE_STATE_STREAM_FAILED ? SLUICE_STYLE_BAD
                                                          : SLUICE_STYLE_WARN;
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NAME, s->stream);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE, s->source);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE, s->sink);
    sluice_cli_table_add(&show->table, style, stream_status(s->status));
    sluice_cli_table_add_count(&show->table, s->rows);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE, s->run);
    time_text(s->finished_us, text);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE, text);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE,
                         s->message != NULL ? sluice_cli_error_about(s->message, s->stream) : "");
    return SLUICE_OK;
}

static sluice_status visit_lane(void *ctx, const struct sluice_state_lane *lane)
{
    struct show_ctx *show = ctx;
    char text[32];
    show->found++;
    if (show->list != NULL) {
        json_t *object = json_object();
        (void)json_object_set_new(object, "sink", sluice_cli_json_text(lane->sink));
        (void)json_object_set_new(object, "shard", sluice_cli_json_text(lane->shard));
        (void)json_object_set_new(object, "epoch", json_integer((json_int_t)lane->epoch));
        (void)json_object_set_new(object, "rows", json_integer(lane->rows));
        (void)json_object_set_new(object, "bytes", json_integer(lane->bytes));
        (void)json_object_set_new(object, "updated", sluice_cli_json_time(lane->updated_us));
        (void)json_array_append_new(show->list, object);
        return SLUICE_OK;
    }
    if (show->found > LANES_SHOWN) {
        return SLUICE_OK;
    }
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NAME, lane->shard);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE, lane->sink);
    sluice_cli_table_add_count(&show->table, (int64_t)lane->epoch);
    sluice_cli_table_add_count(&show->table, lane->rows);
    sluice_cli_table_add_count(&show->table, lane->bytes);
    time_text(lane->updated_us, text);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE, text);
    return SLUICE_OK;
}

static sluice_status visit_run(void *ctx, const struct sluice_state_run *run)
{
    struct show_ctx *show = ctx;
    char text[32];
    show->found++;
    if (show->list != NULL) {
        json_t *object = json_object();
        (void)json_object_set_new(object, "id", json_integer(run->id));
        (void)json_object_set_new(object, "load", sluice_cli_json_text(run->load_id));
        (void)json_object_set_new(object, "started", sluice_cli_json_time(run->started_us));
        (void)json_object_set_new(object, "finished", sluice_cli_json_time(run->finished_us));
        (void)json_object_set_new(object, "outcome", sluice_cli_json_text(run->outcome));
        (void)json_object_set_new(object, "rows", json_integer(run->rows));
        (void)json_object_set_new(object, "message", sluice_cli_json_message(run->message));
        (void)json_array_append_new(show->list, object);
        return SLUICE_OK;
    }
    sluice_cli_table_add_count(&show->table, run->id);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE, run->load_id);
    time_text(run->started_us, text);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE, text);
    time_text(run->finished_us, text);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE, text);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE,
                         run->outcome != NULL ? run->outcome : "running or killed");
    sluice_cli_table_add_count(&show->table, run->rows);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE, run->message != NULL ? run->message : "");
    return SLUICE_OK;
}

/* One part of `state show`: collects, then prints or adds it to the document. */
enum part { PART_STREAMS, PART_LANES, PART_RUNS };

static sluice_status show_part(struct sluice_cli *cli, struct sluice_state *state,
                               const char *load_id, enum part part, struct sluice_error *err)
{
    static const char *const stream_heads[] = {"table", "source", "sink",     "status",
                                               "rows",  "run",    "finished", "message"};
    static const char *const lane_heads[] = {"shard", "sink", "epoch", "rows", "bytes", "updated"};
    static const char *const run_heads[] = {"id",      "load", "started", "finished",
                                            "outcome", "rows", "message"};
    static const char *const titles[] = {"streams", "lanes", "runs"};
    struct show_ctx show = {.cli = cli, .list = cli->json ? json_array() : NULL};
    struct sluice_str text = SLUICE_STR_INIT;
    sluice_status status = SLUICE_OK;
    switch (part) {
    case PART_STREAMS:
        sluice_cli_table_init(&show.table, 8, stream_heads, 0x10, 0x81);
        status = sluice_state_streams(state, load_id, visit_stream, &show, err);
        break;
    case PART_LANES:
        sluice_cli_table_init(&show.table, 6, lane_heads, 0x1c, 0x01);
        status = sluice_state_lanes(state, load_id, visit_lane, &show, err);
        break;
    default:
        sluice_cli_table_init(&show.table, 7, run_heads, 0x21, 0x40);
        status = sluice_state_runs(state, RUNS_SHOWN, visit_run, &show, err);
        break;
    }
    if (cli->json) {
        (void)json_object_set_new(cli->result, titles[part], show.list);
    }
    else if (status >= 0 && show.found > 0) {
        sluice_str_append_char(&text, '\n');
        sluice_cli_table_render(&show.table, &cli->out, &text);
        if (part == PART_LANES && show.found > LANES_SHOWN) {
            sluice_str_printf(&text, "and %zu more lanes (--json lists all)\n",
                              show.found - LANES_SHOWN);
        }
        sluice_cli_out_always(cli, &text);
    }
    sluice_cli_table_free(&show.table);
    sluice_str_free(&text);
    return status;
}

static void show_head(struct sluice_cli *cli, const struct place *place,
                      const struct sluice_state_load *load)
{
    struct sluice_str text = SLUICE_STR_INIT;
    char started[32];
    char finished[32];
    int has_load = load->load_id[0] != '\0';
    if (cli->json) {
        json_t *object = json_null();
        if (has_load) {
            object = json_object();
            (void)json_object_set_new(object, "id", sluice_cli_json_text(load->load_id));
            (void)json_object_set_new(object, "started", sluice_cli_json_time(load->started_us));
            (void)json_object_set_new(object, "finished", sluice_cli_json_time(load->finished_us));
        }
        (void)json_object_set_new(cli->result, "pipeline", sluice_cli_json_text(place->name));
        (void)json_object_set_new(cli->result, "load", object);
        return;
    }
    time_text(load->started_us, started);
    time_text(load->finished_us, finished);
    sluice_cli_term_append(&cli->out, &text, SLUICE_STYLE_BOLD, place->name);
    if (!has_load) {
        sluice_str_append(&text, ": no load yet\n");
    }
    else if (load->finished_us == 0) {
        sluice_str_printf(&text, ": load %s, begun %s, unfinished: the next run goes on with it\n",
                          load->load_id, started);
    }
    else {
        sluice_str_printf(&text, ": load %s, begun %s, finished %s\n", load->load_id, started,
                          finished);
    }
    sluice_cli_out_always(cli, &text);
    sluice_str_free(&text);
}

static int no_state(struct sluice_cli *cli, const struct place *place)
{
    struct sluice_str message = SLUICE_STR_INIT;
    sluice_str_printf(&message, "pipeline %s has no state%s%s", place->name,
                      place->uri != NULL ? " in " : "", place->uri != NULL ? place->uri : "");
    sluice_cli_error(
        cli, SLUICE_E_NOT_FOUND, sluice_str_text(&message),
        "it has not run yet, or its state is kept elsewhere; 'sluice state list' lists "
        "what there is");
    sluice_str_free(&message);
    return SLUICE_EXIT_ENVIRONMENT;
}

int sluice_cli_state_show(struct sluice_cli *cli)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_state *state = NULL;
    struct sluice_state_load load;
    struct place place;
    memset(&load, 0, sizeof load);
    int code = find_place(cli, &place);
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    sluice_status status =
        sluice_cli_state_open(place.uri, place.name, SLUICE_STATE_READ, &state, &err);
    if (status >= 0 && state == NULL) {
        code = no_state(cli, &place);
        goto out;
    }
    if (status >= 0) {
        status = sluice_state_load_last(state, &load, &err);
        if (status == SLUICE_E_NOT_FOUND) {
            memset(&load, 0, sizeof load);
            sluice_error_clear(&err);
            status = SLUICE_OK;
        }
    }
    if (status >= 0) {
        show_head(cli, &place, &load);
        status = show_part(cli, state, load.load_id, PART_STREAMS, &err);
    }
    if (status >= 0) {
        status = show_part(cli, state, load.load_id, PART_LANES, &err);
    }
    if (status >= 0) {
        status = show_part(cli, state, load.load_id, PART_RUNS, &err);
    }
    if (status < 0) {
        code = sluice_cli_error_report(cli, place.name, &err);
    }
out:
    if (state != NULL) {
        sluice_state_close(state);
    }
    place_free(&place);
    return code;
}

/* ---------------------------------------------------------------- reset ---------------------- */

/* 1 = yes. */
static int ask(const char *question)
{
    char answer[8];
    (void)sluice_cli_term_write(STDERR_FILENO, question, strlen(question));
    ssize_t size = read(STDIN_FILENO, answer, sizeof answer - 1);
    return size > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

/* Says what will be read again and asks. Exit code; *go = 1 if it is to be done. */
static int confirm_reset(struct sluice_cli *cli, struct sluice_state *state,
                         const struct sluice_state_load *load, const char *stream, int *go,
                         struct sluice_error *err)
{
    static const char *const headers[] = {"table", "source", "sink",     "status",
                                          "rows",  "run",    "finished", "message"};
    struct show_ctx show = {.cli = cli, .stream = stream};
    struct sluice_str text = SLUICE_STR_INIT;
    int code = SLUICE_EXIT_OK;
    *go = 0;
    sluice_cli_table_init(&show.table, 8, headers, 0x10, 0x81);
    if (sluice_state_streams(state, load->load_id, visit_stream, &show, err) < 0) {
        code = sluice_cli_error_report(cli, NULL, err);
        goto out;
    }
    if (stream != NULL && show.found == 0) {
        sluice_str_printf(&text, "the unfinished load %s knows no table %s", load->load_id, stream);
        sluice_cli_error(cli, SLUICE_E_INVALID, sluice_str_text(&text),
                         "'sluice state show' lists its tables");
        code = SLUICE_EXIT_CONFIG;
        goto out;
    }
    sluice_str_printf(&text,
                      "load %s is unfinished: %zu complete and %zu begun of %zu; the next run will "
                      "read again:\n",
                      load->load_id, show.complete, show.begun, show.found);
    sluice_cli_table_render(&show.table, &cli->out, &text);
    sluice_cli_out(cli, &text);
    if (sluice_cli_args_has(&cli->args, SLUICE_OPT_YES)) {
        *go = 1;
    }
    else if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO) || cli->json) {
        sluice_cli_error(cli, SLUICE_E_INVALID, "nobody is there to ask",
                         "say --yes if it is to be forgotten");
        code = SLUICE_EXIT_CONFIG;
    }
    else {
        *go = ask("Forget it? [y/N] ");
        if (!*go) {
            sluice_str_append(&text, "nothing was changed\n");
            sluice_cli_out(cli, &text);
        }
    }
out:
    sluice_cli_table_free(&show.table);
    sluice_str_free(&text);
    return code;
}

static int reset(struct sluice_cli *cli, const struct place *place, const char *stream)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_state *state = NULL;
    struct sluice_str text = SLUICE_STR_INIT;
    sluice_status status =
        sluice_cli_state_open(place->uri, place->name, SLUICE_STATE_RUN, &state, &err);
    if (status >= 0) {
        status = sluice_state_reset(state, stream, &err);
        sluice_state_close(state);
    }
    if (status < 0) {
        return sluice_cli_error_report(cli, place->name, &err);
    }
    if (cli->json) {
        (void)json_object_set_new(cli->result, "reset", json_true());
    }
    sluice_str_append(&text, "forgotten\n");
    sluice_cli_out(cli, &text);
    sluice_str_free(&text);
    return SLUICE_EXIT_OK;
}

int sluice_cli_state_reset(struct sluice_cli *cli)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_state *state = NULL;
    struct sluice_state_load load;
    struct sluice_str text = SLUICE_STR_INIT;
    struct place place;
    int go = 0;
    int code = find_place(cli, &place);
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    memset(&load, 0, sizeof load);
    sluice_status status =
        sluice_cli_state_open(place.uri, place.name, SLUICE_STATE_READ, &state, &err);
    if (status >= 0 && state == NULL) {
        code = no_state(cli, &place);
        goto out;
    }
    if (status >= 0) {
        status = sluice_state_load_last(state, &load, &err);
    }
    if (status < 0 && status != SLUICE_E_NOT_FOUND) {
        code = sluice_cli_error_report(cli, place.name, &err);
        goto out;
    }
    if (status == SLUICE_E_NOT_FOUND || load.finished_us != 0) {
        sluice_str_append(&text, "no load is unfinished: the next run begins a new one anyway\n");
        sluice_cli_out(cli, &text);
        if (cli->json) {
            (void)json_object_set_new(cli->result, "reset", json_false());
        }
        goto out;
    }
    code = confirm_reset(cli, state, &load, cli->args.value[SLUICE_OPT_STREAM], &go, &err);
    sluice_state_close(state);
    state = NULL;
    if (go) {
        code = reset(cli, &place, cli->args.value[SLUICE_OPT_STREAM]);
    }
out:
    if (state != NULL) {
        sluice_state_close(state);
    }
    sluice_str_free(&text);
    place_free(&place);
    return code;
}
