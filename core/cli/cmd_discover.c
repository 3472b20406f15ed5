/* discover: the tables that the sources have. */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli.h"
#include "flow/inspect.h"
#include "stream.h"
#include "text.h"

struct discover {
    struct sluice_cli *cli;
    struct sluice_cli_table table;
    json_t *list;
    struct sluice_str text; /* --columns: table by table */
    int columns;
    size_t shown;
    size_t chosen;
    size_t problems;
};

static int is_wanted(const struct sluice_cli_list *patterns, const char *stream)
{
    for (size_t i = 0; i < patterns->count; i++) {
        if (sluice_pattern_match(patterns->items[i], stream)) {
            return 1;
        }
    }
    return patterns->count == 0;
}

static void add_row(struct discover *d, const char *source, const struct sluice_stream_desc *desc,
                    int chosen, const struct sluice_error *problem)
{
    struct sluice_str key = SLUICE_STR_INIT;
    char size[24];
    sluice_cli_stream_key(desc, &key);
    sluice_size_format(desc->bytes_estimate > 0 ? (uint64_t)desc->bytes_estimate : 0, size);
    sluice_cli_table_add(&d->table, SLUICE_STYLE_GOOD, chosen ? "*" : "");
    sluice_cli_table_add(&d->table, SLUICE_STYLE_NONE, source);
    sluice_cli_table_add(&d->table, SLUICE_STYLE_NAME, desc->name);
    sluice_cli_table_add(&d->table, SLUICE_STYLE_NONE, sluice_cli_stream_kind(desc->kind));
    sluice_cli_table_add_count(&d->table, desc->rows_estimate);
    sluice_cli_table_add(&d->table, SLUICE_STYLE_NONE, desc->bytes_estimate >= 0 ? size : NULL);
    sluice_cli_table_add_count(&d->table, sluice_cli_stream_width(desc));
    if (problem != NULL) {
        sluice_cli_table_add(&d->table, SLUICE_STYLE_BAD,
                             sluice_cli_error_about(problem->message, desc->name));
    }
    else {
        sluice_cli_table_add(&d->table, SLUICE_STYLE_NONE, key.size > 0 ? key.data : NULL);
    }
    sluice_str_free(&key);
}

static void add_text(struct discover *d, const char *source, const struct sluice_stream_desc *desc,
                     int chosen, const struct sluice_error *problem)
{
    struct sluice_str name = SLUICE_STR_INIT;
    sluice_cli_text_escape(&name, desc->name);
    sluice_str_append(&d->text, chosen ? "* " : "  ");
    sluice_str_printf(&d->text, "%s: ", source);
    sluice_cli_term_append(&d->cli->out, &d->text, SLUICE_STYLE_BOLD, sluice_str_text(&name));
    sluice_str_printf(&d->text, " (%s)\n", sluice_cli_stream_kind(desc->kind));
    if (problem != NULL) {
        sluice_str_append(&d->text, "    ");
        sluice_cli_text_escape_lines(&d->text, sluice_cli_error_about(problem->message, desc->name),
                                     4);
        sluice_str_append_char(&d->text, '\n');
    }
    else {
        sluice_cli_stream_columns(desc, &d->cli->out, &d->text);
    }
    sluice_str_free(&name);
}

static sluice_status visit(void *ctx, const char *source, const struct sluice_stream_desc *desc,
                           int chosen, const struct sluice_error *problem)
{
    struct discover *d = ctx;
    if (!is_wanted(&d->cli->args.tables, desc->name)) {
        return SLUICE_OK;
    }
    d->shown++;
    d->chosen += chosen != 0;
    d->problems += problem != NULL;
    if (d->cli->json) {
        json_t *object = json_object();
        (void)json_object_set_new(object, "source", sluice_cli_json_text(source));
        (void)json_object_set_new(object, "name", sluice_cli_json_text(desc->name));
        (void)json_object_set_new(object, "chosen", json_boolean(chosen));
        sluice_cli_stream_json(desc, d->columns, object);
        (void)json_object_set_new(
            object, "problem", sluice_cli_json_message(problem != NULL ? problem->message : NULL));
        (void)json_array_append_new(d->list, object);
    }
    else if (d->columns) {
        add_text(d, source, desc, chosen, problem);
        sluice_cli_out_always(d->cli, &d->text);
    }
    else {
        add_row(d, source, desc, chosen, problem);
    }
    return sluice_cancel_raised(&d->cli->cancel) ? SLUICE_E_CANCELLED : SLUICE_OK;
}

int sluice_cli_discover(struct sluice_cli *cli)
{
    static const char *const headers[] = {"",     "source", "table",   "kind",
                                          "rows", "size",   "columns", "key"};
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_pipeline *pipeline = NULL;
    int code = sluice_cli_pipeline_open(cli, cli->args.words.items[0], &pipeline);
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    struct discover d = {.cli = cli,
                         .columns = sluice_cli_args_has(&cli->args, SLUICE_OPT_COLUMNS)};
    d.list = cli->json ? json_array() : NULL;
    sluice_cli_table_init(&d.table, 8, headers, 0x70, 0x84);
    if (sluice_flow_discover(pipeline, &cli->cancel, visit, &d, &err) < 0) {
        code = sluice_cli_error_report(cli, pipeline->name, &err);
    }
    if (cli->json) {
        (void)json_object_set_new(cli->result, "streams", d.list);
    }
    else {
        if (sluice_cli_table_rows(&d.table) > 0) {
            sluice_cli_table_render(&d.table, &cli->out, &d.text);
            sluice_cli_out_always(cli, &d.text);
        }
        sluice_str_printf(&d.text, "%zu table%s, %zu chosen (*)", d.shown, d.shown == 1 ? "" : "s",
                          d.chosen);
        if (d.problems > 0) {
            sluice_str_printf(&d.text, ", %zu with a problem", d.problems);
        }
        sluice_str_append_char(&d.text, '\n');
        if (code == SLUICE_EXIT_OK) {
            sluice_cli_out(cli, &d.text);
        }
    }
    sluice_cli_table_free(&d.table);
    sluice_str_free(&d.text);
    sluice_pipeline_free(pipeline);
    return code;
}
