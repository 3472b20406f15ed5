/* state reset and resync: having tables read again. */
#include <string.h>

#include "cli.h"
#include "confirm.h"
#include "place.h"
#include "state_part.h"
#include "table.h"

/* What there is to forget. */
struct target {
    struct sluice_state_load load; /* load_id is "" when none is unfinished */
    const char *stream;            /* NULL = all */
    size_t feeds;                  /* that have a position */
    int32_t mode;                  /* of the pipeline, or of the load when no file was given */
    int created;                   /* something stands at the sources */
};

static int has_load(const struct target *target)
{
    return target->load.load_id[0] != '\0';
}

static int follows(const struct target *target)
{
    return target->feeds > 0 || target->mode > SLUICE_MODE_FULL_LOAD_ONLY;
}

static sluice_status look(const struct sluice_cli_place *place, struct sluice_state *state,
                          struct target *target, struct sluice_error *err)
{
    struct sluice_cli_feeds feeds;
    struct sluice_str made = SLUICE_STR_INIT;
    sluice_status status = sluice_state_load_last(state, &target->load, err);
    if (status == SLUICE_E_NOT_FOUND || (status >= 0 && target->load.finished_us != 0)) {
        memset(&target->load, 0, sizeof target->load);
        sluice_error_clear(err);
        status = SLUICE_OK;
    }
    SLUICE_TRY(status);
    target->mode = target->load.mode;
    sluice_cli_feeds_init(&feeds, NULL);
    status = sluice_state_feeds(state, sluice_cli_feeds_visit, &feeds, err);
    target->feeds = feeds.positions;
    sluice_cli_table_free(&feeds.table);
    if (status >= 0 && place->pipeline != NULL) {
        target->mode = place->pipeline->mode;
        status = sluice_cli_state_created(state, place->pipeline, &made, NULL, err);
        target->created = made.size > 0;
    }
    sluice_str_free(&made);
    return status;
}

/* What the next run will do. */
static void consequences(const struct target *target, struct sluice_str *out)
{
    if (target->stream != NULL) {
        if (follows(target)) {
            sluice_str_append(out, "the table is loaded anew as a whole, at a position of its own; "
                                   "the feed of changes goes on for all tables\n");
        }
        return;
    }
    if (!follows(target)) {
        return;
    }
    if (target->mode == SLUICE_MODE_FULL_LOAD_ONLY) {
        sluice_str_append(out,
                          "how far changes had been followed in an earlier mode is forgotten\n");
    }
    else if (target->mode == SLUICE_MODE_CDC_ONLY) {
        sluice_str_append(out, "the feed begins anew: changes are followed from where the source "
                               "stands then. What was committed before and is not in the sinks yet "
                               "will be missing there\n");
    }
    else {
        sluice_str_append(out, "every table is loaded anew, and the feed of changes begins anew "
                               "with that load; sinks keep what they have, readers begin at the "
                               "new load\n");
    }
    if (target->created) {
        sluice_str_append(out, "what was made at the sources stays and is used again; 'sluice "
                               "retire' drops it\n");
    }
}

/* Says what will be read again. Exit code. */
static int describe(struct sluice_cli *cli, struct sluice_state *state, const struct target *target)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_cli_streams streams;
    struct sluice_str text = SLUICE_STR_INIT;
    int code = SLUICE_EXIT_OK;
    sluice_cli_streams_init(&streams, follows(target), NULL);
    streams.stream = target->stream;
    if (sluice_state_streams(state, target->load.load_id, sluice_cli_streams_visit, &streams,
                             &err) < 0) {
        code = sluice_cli_error_report(cli, NULL, &err);
        goto out;
    }
    if (target->stream != NULL && streams.found == 0) {
        sluice_str_printf(&text, "the unfinished load %s knows no table %s", target->load.load_id,
                          target->stream);
        sluice_cli_error(cli, SLUICE_E_INVALID, sluice_str_text(&text),
                         "'sluice state show' lists its tables");
        code = SLUICE_EXIT_CONFIG;
        goto out;
    }
    if (has_load(target)) {
        sluice_str_printf(&text,
                          "load %s%s: %zu complete and %zu begun of %zu; the next run will read "
                          "again:\n",
                          target->load.load_id,
                          target->load.mode == SLUICE_MODE_FULL_LOAD_ONLY ? " is unfinished" : "",
                          streams.complete, streams.begun, streams.found);
        sluice_cli_table_render(&streams.table, &cli->out, &text);
    }
    consequences(target, &text);
    sluice_cli_out(cli, &text);
out:
    sluice_cli_table_free(&streams.table);
    sluice_str_free(&text);
    return code;
}

static int reset(struct sluice_cli *cli, const struct sluice_cli_place *place, const char *stream)
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

static void nothing(struct sluice_cli *cli)
{
    struct sluice_str text = SLUICE_STR_INIT;
    sluice_str_append(&text, "no load is unfinished: the next run begins a new one anyway\n");
    sluice_cli_out(cli, &text);
    sluice_str_free(&text);
    if (cli->json) {
        (void)json_object_set_new(cli->result, "reset", json_false());
    }
}

int sluice_cli_state_reset(struct sluice_cli *cli)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_state *state = NULL;
    struct sluice_cli_place place;
    struct target target;
    int go = 0;
    memset(&target, 0, sizeof target);
    target.stream = cli->args.value[SLUICE_OPT_STREAM];
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
        status = look(&place, state, &target, &err);
    }
    if (status < 0) {
        code = sluice_cli_error_report(cli, place.name, &err);
        goto out;
    }
    if (!has_load(&target) && (target.stream != NULL || target.feeds == 0)) {
        nothing(cli);
        goto out;
    }
    code = describe(cli, state, &target);
    if (code == SLUICE_EXIT_OK) {
        code =
            sluice_cli_confirm(cli, "Forget it? [y/N] ", "say --yes if it is to be forgotten", &go);
    }
    sluice_state_close(state);
    state = NULL;
    if (go) {
        code = reset(cli, &place, target.stream);
    }
out:
    if (state != NULL) {
        sluice_state_close(state);
    }
    sluice_cli_place_free(&place);
    return code;
}

/* The name under which one looks for it. */
int sluice_cli_state_resync(struct sluice_cli *cli)
{
    if (!sluice_cli_args_has(&cli->args, SLUICE_OPT_STREAM)) {
        sluice_cli_error(
            cli, SLUICE_E_INVALID, "state resync needs the table: --stream NAME",
            "it is loaded anew by the next run, while the feed goes on; 'sluice state "
            "reset' without --stream does so for all tables, and begins the feed anew");
        return SLUICE_EXIT_CONFIG;
    }
    return sluice_cli_state_reset(cli);
}
