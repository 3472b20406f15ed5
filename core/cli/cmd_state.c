/* state list and show. */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli.h"
#include "flow/lag.h"
#include "place.h"
#include "state_part.h"
#include "table.h"
#include "text.h"

#define RUNS_SHOWN 10

/* A load of a large database has thousands; --json has them all. */
#define LANES_SHOWN 20

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
    struct sluice_cli_place place;
    int code = sluice_cli_place_find(cli, &place);
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
    sluice_cli_place_free(&place);
    return code;
}

/* ---------------------------------------------------------------- show ----------------------- */

struct show_ctx {
    struct sluice_cli_table table;
    json_t *list;
    size_t found;
};

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
    sluice_cli_state_time(lane->updated_us, text);
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
    sluice_cli_state_time(run->started_us, text);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE, text);
    sluice_cli_state_time(run->finished_us, text);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE, text);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE,
                         run->outcome != NULL ? run->outcome : "running or killed");
    sluice_cli_table_add_count(&show->table, run->rows);
    sluice_cli_table_add(&show->table, SLUICE_STYLE_NONE, run->message != NULL ? run->message : "");
    return SLUICE_OK;
}

/* Prints a table that has rows, or adds the list to the document; frees the table. */
static void show_table(struct sluice_cli *cli, const char *title, struct sluice_cli_table *table,
                       json_t *list, const char *after)
{
    struct sluice_str text = SLUICE_STR_INIT;
    if (list != NULL) {
        (void)json_object_set_new(cli->result, title, list);
    }
    else if (sluice_cli_table_rows(table) > 0) {
        sluice_str_append_char(&text, '\n');
        sluice_cli_table_render(table, &cli->out, &text);
        sluice_str_append(&text, after);
        sluice_cli_out_always(cli, &text);
    }
    sluice_cli_table_free(table);
    sluice_str_free(&text);
}

static json_t *list_or_null(const struct sluice_cli *cli)
{
    return cli->json ? json_array() : NULL;
}

static sluice_status show_streams(struct sluice_cli *cli, struct sluice_state *state,
                                  const struct sluice_state_load *load, struct sluice_error *err)
{
    struct sluice_cli_streams streams;
    sluice_cli_streams_init(&streams, load->mode > SLUICE_MODE_FULL_LOAD_ONLY, list_or_null(cli));
    sluice_status status =
        sluice_state_streams(state, load->load_id, sluice_cli_streams_visit, &streams, err);
    show_table(cli, "streams", &streams.table, streams.list, "");
    return status;
}

static sluice_status show_feeds(struct sluice_cli *cli, struct sluice_state *state, size_t *found,
                                struct sluice_error *err)
{
    struct sluice_cli_feeds feeds;
    sluice_cli_feeds_init(&feeds, list_or_null(cli));
    sluice_status status = sluice_state_feeds(state, sluice_cli_feeds_visit, &feeds, err);
    show_table(cli, "feeds", &feeds.table, feeds.list, "");
    *found = feeds.found;
    return status;
}

static sluice_status show_lanes(struct sluice_cli *cli, struct sluice_state *state,
                                const struct sluice_state_load *load, struct sluice_error *err)
{
    static const char *const heads[] = {"shard", "sink", "epoch", "rows", "bytes", "updated"};
    struct show_ctx show = {.list = list_or_null(cli)};
    struct sluice_str more = SLUICE_STR_INIT;
    sluice_cli_table_init(&show.table, 6, heads, 0x1c, 0x01);
    sluice_status status = sluice_state_lanes(state, load->load_id, visit_lane, &show, err);
    if (show.found > LANES_SHOWN) {
        sluice_str_printf(&more, "and %zu more lanes (--json lists all)\n",
                          show.found - LANES_SHOWN);
    }
    show_table(cli, "lanes", &show.table, show.list, sluice_str_text(&more));
    sluice_str_free(&more);
    return status;
}

static sluice_status show_runs(struct sluice_cli *cli, struct sluice_state *state,
                               struct sluice_error *err)
{
    static const char *const heads[] = {"id",      "load", "started", "finished",
                                        "outcome", "rows", "message"};
    struct show_ctx show = {.list = list_or_null(cli)};
    sluice_cli_table_init(&show.table, 7, heads, 0x21, 0x40);
    sluice_status status = sluice_state_runs(state, RUNS_SHOWN, visit_run, &show, err);
    show_table(cli, "runs", &show.table, show.list, "");
    return status;
}

static void show_head(struct sluice_cli *cli, const struct sluice_cli_place *place,
                      const struct sluice_state_load *load)
{
    struct sluice_str text = SLUICE_STR_INIT;
    char started[32];
    char finished[32];
    int has_load = load->load_id[0] != '\0';
    const char *mode = sluice_cli_mode_name(load->mode);
    if (cli->json) {
        json_t *object = json_null();
        if (has_load) {
            object = json_object();
            (void)json_object_set_new(object, "id", sluice_cli_json_text(load->load_id));
            (void)json_object_set_new(object, "mode", json_string(mode));
            (void)json_object_set_new(object, "started", sluice_cli_json_time(load->started_us));
            (void)json_object_set_new(object, "finished", sluice_cli_json_time(load->finished_us));
        }
        (void)json_object_set_new(cli->result, "pipeline", sluice_cli_json_text(place->name));
        (void)json_object_set_new(cli->result, "load", object);
        return;
    }
    sluice_cli_state_time(load->started_us, started);
    sluice_cli_state_time(load->finished_us, finished);
    sluice_cli_term_append(&cli->out, &text, SLUICE_STYLE_BOLD, place->name);
    if (!has_load) {
        sluice_str_append(&text, ": no load yet\n");
    }
    else if (load->finished_us != 0) {
        sluice_str_printf(&text, ": load %s, begun %s, finished %s\n", load->load_id, started,
                          finished);
    }
    else if (load->mode == SLUICE_MODE_FULL_LOAD_ONLY) {
        sluice_str_printf(&text, ": load %s, begun %s, unfinished: the next run goes on with it\n",
                          load->load_id, started);
    }
    else {
        sluice_str_printf(&text, ": %s, load %s, begun %s: every run goes on with it\n", mode,
                          load->load_id, started);
    }
    sluice_cli_out_always(cli, &text);
    sluice_str_free(&text);
}

/* ---------------------------------------------------------------- lag ------------------------ */

struct lag_ctx {
    struct sluice_cli *cli;
    struct sluice_str text;
    json_t *list;
};

static void lag_text(const struct sluice_source_lag *lag, struct sluice_str *out)
{
    char size[24];
    if (lag->behind_bytes < 0) {
        sluice_str_append(out, "how far it is behind is not known");
    }
    else if (lag->behind_bytes == 0) {
        sluice_str_append(out, "nothing is left to read");
    }
    else {
        sluice_size_format((uint64_t)lag->behind_bytes, size);
        sluice_str_printf(out, "%s behind", size);
    }
    if (lag->position[0] != '\0' && lag->end[0] != '\0') {
        sluice_str_printf(out, " (at %s of %s)", lag->position, lag->end);
    }
    else if (lag->end[0] != '\0') {
        sluice_str_printf(out, " (the log ends at %s)", lag->end);
    }
    if (lag->retained_bytes >= 0) {
        sluice_size_format((uint64_t)lag->retained_bytes, size);
        sluice_str_printf(out, "; the source retains %s of its log for us", size);
    }
    if (lag->remaining_bytes >= 0) {
        sluice_size_format((uint64_t)lag->remaining_bytes, size);
        sluice_str_printf(out, " and lets go after %s more", size);
    }
    if (lag->note[0] != '\0') {
        sluice_str_printf(out, "; %s", lag->note);
    }
}

static void visit_lag(void *ctx, const char *source, const struct sluice_source_lag *lag,
                      const struct sluice_error *problem)
{
    struct lag_ctx *show = ctx;
    struct sluice_str line = SLUICE_STR_INIT;
    if (show->list != NULL) {
        json_t *object = json_object();
        (void)json_object_set_new(object, "source", sluice_cli_json_text(source));
        if (lag != NULL) {
            (void)json_object_set_new(object, "behind_bytes",
                                      sluice_cli_json_count(lag->behind_bytes));
            (void)json_object_set_new(object, "retained_bytes",
                                      sluice_cli_json_count(lag->retained_bytes));
            (void)json_object_set_new(object, "remaining_bytes",
                                      sluice_cli_json_count(lag->remaining_bytes));
            (void)json_object_set_new(object, "position", sluice_cli_json_text(lag->position));
            (void)json_object_set_new(object, "end", sluice_cli_json_text(lag->end));
            (void)json_object_set_new(object, "note", sluice_cli_json_text(lag->note));
        }
        (void)json_object_set_new(object, "error",
                                  problem != NULL ? sluice_cli_json_message(problem->message)
                                                  : json_null());
        (void)json_array_append_new(show->list, object);
        return;
    }
    if (lag != NULL) {
        lag_text(lag, &line);
        sluice_cli_text_escape(&show->text, source);
        sluice_str_append(&show->text, ": ");
        sluice_cli_text_escape(&show->text, sluice_str_text(&line));
        sluice_str_append_char(&show->text, '\n');
    }
    else {
        sluice_cli_warn(show->cli, "source %s cannot be asked how far it is: %s", source,
                        problem->message);
    }
    sluice_str_free(&line);
}

/* A source that cannot be reached is told; what is remembered is shown all the same. */
static sluice_status show_lag(struct sluice_cli *cli, const struct sluice_cli_place *place,
                              struct sluice_state *state, size_t feeds, struct sluice_error *err)
{
    struct lag_ctx show = {.cli = cli, .list = list_or_null(cli)};
    struct sluice_str made = SLUICE_STR_INIT;
    json_t *created = cli->json ? json_object() : NULL;
    const struct sluice_pipeline *pipeline = place->pipeline;
    sluice_status status = SLUICE_OK;
    if (pipeline != NULL) {
        status = sluice_cli_state_created(state, pipeline, &made, created, err);
    }
    if (status >= 0 && pipeline != NULL &&
        (feeds > 0 || pipeline->mode != SLUICE_MODE_FULL_LOAD_ONLY)) {
        status = sluice_flow_lag(pipeline, state, &cli->cancel, visit_lag, &show, err);
    }
    if (cli->json) {
        (void)json_object_set_new(cli->result, "created", created);
        (void)json_object_set_new(cli->result, "lag", show.list);
    }
    else if (show.text.size > 0 || made.size > 0) {
        struct sluice_str text = SLUICE_STR_INIT;
        sluice_str_append_char(&text, '\n');
        sluice_str_append(&text, sluice_str_text(&show.text));
        sluice_str_append(&text, sluice_str_text(&made));
        sluice_cli_out_always(cli, &text);
        sluice_str_free(&text);
    }
    sluice_str_free(&made);
    sluice_str_free(&show.text);
    return status;
}

int sluice_cli_state_show(struct sluice_cli *cli)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_state *state = NULL;
    struct sluice_state_load load;
    struct sluice_cli_place place;
    size_t feeds = 0;
    memset(&load, 0, sizeof load);
    int code = sluice_cli_place_find(cli, &place);
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    sluice_status status =
        sluice_cli_state_open(place.uri, place.name, SLUICE_STATE_READ, &state, &err);
    if (status >= 0 && state == NULL) {
        code = sluice_cli_place_empty(cli, &place);
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
        status = show_streams(cli, state, &load, &err);
    }
    if (status >= 0) {
        status = show_feeds(cli, state, &feeds, &err);
    }
    if (status >= 0) {
        status = show_lag(cli, &place, state, feeds, &err);
    }
    if (status >= 0) {
        status = show_lanes(cli, state, &load, &err);
    }
    if (status >= 0) {
        status = show_runs(cli, state, &err);
    }
    if (status < 0) {
        code = sluice_cli_error_report(cli, place.name, &err);
    }
out:
    if (state != NULL) {
        sluice_state_close(state);
    }
    sluice_cli_place_free(&place);
    return code;
}
