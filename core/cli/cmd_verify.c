/* verify: source and target compared. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli.h"
#include "config/options.h"
#include "flow/verify.h"
#include "table.h"
#include "text.h"

#define ROWS 20

struct verify {
    struct sluice_cli *cli;
    struct sluice_cli_table table;
    struct sluice_str rows;
    json_t *streams;
    json_t *differences;
    size_t different; /* or damaged */
    size_t not_compared;
    size_t count;
    int bar; /* a line that is drawn over */
};

/* One line on a terminal, drawn over and over. */
static void draw(struct verify *verify, const char *stream, const char *phase, size_t done,
                 size_t total)
{
    struct sluice_str line = SLUICE_STR_INIT;
    if (!verify->bar) {
        return;
    }
    sluice_str_append(&line, "\r\033[K");
    if (stream != NULL) {
        sluice_cli_bar(&line, total > 0 ? (double)done / (double)total : -1.0, 24,
                       verify->cli->err.unicode);
        sluice_str_printf(&line, " %zu/%zu %s ", done, total, phase);
        sluice_cli_text_escape(&line, stream);
    }
    (void)fwrite(sluice_str_text(&line), 1, line.size, stderr);
    (void)fflush(stderr);
    sluice_str_free(&line);
}

static void progress(void *ctx, const char *stream, const char *phase, size_t done, size_t total)
{
    draw(ctx, stream, phase, done, total);
}

static void add_cut(struct sluice_str *out, const char *text)
{
    struct sluice_str safe = SLUICE_STR_INIT;
    sluice_cli_text_escape(&safe, text);
    (void)sluice_cli_text_cut(out, sluice_str_text(&safe), 300, 0);
    sluice_str_free(&safe);
}

static void row(void *ctx, const struct sluice_verify_row *r)
{
    struct verify *verify = ctx;
    if (verify->cli->json) {
        json_t *object = json_object();
        (void)json_object_set_new(object, "stream", sluice_cli_json_text(r->stream));
        (void)json_object_set_new(object, "sink", sluice_cli_json_text(r->sink));
        (void)json_object_set_new(object, "key", sluice_cli_json_text(r->key));
        (void)json_object_set_new(object, "source", sluice_cli_json_text(r->source_text));
        (void)json_object_set_new(object, "target", sluice_cli_json_text(r->sink_text));
        (void)json_array_append_new(verify->differences, object);
        return;
    }
    sluice_cli_text_escape(&verify->rows, r->stream);
    sluice_str_printf(&verify->rows, " in %s%s", r->sink, r->key != NULL ? " " : "");
    if (r->key != NULL) {
        add_cut(&verify->rows, r->key);
    }
    sluice_str_append(&verify->rows, "\n  source ");
    add_cut(&verify->rows, r->source_text != NULL ? r->source_text : "has no such row");
    sluice_str_append(&verify->rows, "\n  target ");
    add_cut(&verify->rows, r->sink_text != NULL ? r->sink_text : "has no such row");
    sluice_str_append_char(&verify->rows, '\n');
}

static const char *verdict_name(int32_t verdict)
{
    return verdict == SLUICE_VERIFY_EQUAL       ? "equal"
           : verdict == SLUICE_VERIFY_DIFFERENT ? "different"
           : verdict == SLUICE_VERIFY_DAMAGED   ? "damaged"
                                                : "not compared";
}

static void add_json(struct verify *verify, const struct sluice_verify_stream *s)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "stream", sluice_cli_json_text(s->stream));
    (void)json_object_set_new(object, "source", sluice_cli_json_text(s->source));
    (void)json_object_set_new(object, "sink", sluice_cli_json_text(s->sink));
    (void)json_object_set_new(object, "verdict", json_string(verdict_name(s->verdict)));
    (void)json_object_set_new(object, "reason", sluice_cli_json_message(s->reason));
    (void)json_object_set_new(object, "source_rows", json_integer((json_int_t)s->source_rows));
    (void)json_object_set_new(object, "target_rows", json_integer((json_int_t)s->sink_rows));
    (void)json_object_set_new(object, "missing", json_integer((json_int_t)s->missing));
    (void)json_object_set_new(object, "extra", json_integer((json_int_t)s->extra));
    (void)json_object_set_new(object, "different", json_integer((json_int_t)s->different));
    (void)json_object_set_new(object, "unsettled", json_integer((json_int_t)s->unsettled));
    (void)json_array_append_new(verify->streams, object);
}

static void stream(void *ctx, const struct sluice_verify_stream *s)
{
    struct verify *verify = ctx;
    const int compared = s->verdict == SLUICE_VERIFY_EQUAL || s->verdict == SLUICE_VERIFY_DIFFERENT;
    const int bad = s->verdict == SLUICE_VERIFY_DIFFERENT || s->verdict == SLUICE_VERIFY_DAMAGED;
    verify->count++;
    verify->different += bad ? 1u : 0u;
    verify->not_compared += !compared && !bad ? 1u : 0u;
    if (verify->cli->json) {
        add_json(verify, s);
        return;
    }
    struct sluice_cli_table *t = &verify->table;
    sluice_cli_table_add(t, SLUICE_STYLE_NAME, s->stream);
    sluice_cli_table_add(t, SLUICE_STYLE_NONE, s->sink);
    sluice_cli_table_add_count(t, compared ? (int64_t)s->source_rows : -1);
    sluice_cli_table_add_count(t, compared ? (int64_t)s->sink_rows : -1);
    sluice_cli_table_add_count(t, compared ? (int64_t)s->missing : -1);
    sluice_cli_table_add_count(t, compared ? (int64_t)s->extra : -1);
    sluice_cli_table_add_count(t, compared ? (int64_t)s->different : -1);
    sluice_cli_table_add_count(t, compared ? (int64_t)s->unsettled : -1);
    sluice_cli_table_add(t,
                         bad        ? SLUICE_STYLE_BAD
                         : compared ? SLUICE_STYLE_GOOD
                                    : SLUICE_STYLE_WARN,
                         verdict_name(s->verdict));
    if (!compared && s->reason != NULL) {
        sluice_cli_text_escape(&verify->rows, s->stream);
        sluice_str_printf(&verify->rows, " in %s: %s: ", s->sink, verdict_name(s->verdict));
        sluice_cli_text_escape(&verify->rows, s->reason);
        sluice_str_append_char(&verify->rows, '\n');
    }
}

static void show(struct verify *verify)
{
    struct sluice_cli *cli = verify->cli;
    struct sluice_str text = SLUICE_STR_INIT;
    if (cli->json) {
        return;
    }
    if (verify->count == 0) {
        sluice_str_append(&text, "no table is chosen\n");
    }
    else {
        sluice_cli_table_render(&verify->table, &cli->out, &text);
    }
    if (verify->rows.size > 0) {
        sluice_str_append_char(&text, '\n');
    }
    sluice_cli_out_always(cli, &text);
    sluice_cli_out_always(cli, &verify->rows);
    sluice_str_free(&text);
}

static int read_options(struct sluice_cli *cli, struct sluice_verify_options *options)
{
    const char *window = cli->args.value[SLUICE_OPT_WINDOW];
    *options = (struct sluice_verify_options){
        .stream = cli->args.value[SLUICE_OPT_STREAM],
        .window_us = -1,
        .max_rows = (uint64_t)sluice_cli_args_number(&cli->args, SLUICE_OPT_ROWS, ROWS)};
    if (window != NULL && !sluice_parse_duration(window, &options->window_us)) {
        sluice_cli_error(cli, SLUICE_E_INVALID, "--window wants a duration", "for example 10s");
        return SLUICE_EXIT_CONFIG;
    }
    return SLUICE_EXIT_OK;
}

int sluice_cli_verify(struct sluice_cli *cli)
{
    static const char *const headers[] = {"table",       "sink",      "source rows",
                                          "target rows", "missing",   "extra",
                                          "different",   "unsettled", "verdict"};
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_pipeline *pipeline = NULL;
    struct sluice_verify_options options;
    struct verify verify = {.cli = cli};
    int code = read_options(cli, &options);
    if (code == SLUICE_EXIT_OK) {
        code = sluice_cli_pipeline_open(cli, cli->args.words.items[0], &pipeline);
    }
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    if (cli->json) {
        verify.streams = json_array();
        verify.differences = json_array();
    }
    verify.bar = cli->err.is_terminal && !cli->json && !cli->quiet;
    sluice_cli_table_init(&verify.table, 9, headers, 0xfc, 0x1);
    const struct sluice_verify_visits visits = {
        .ctx = &verify, .progress = progress, .row = row, .stream = stream};
    sluice_status status = sluice_flow_verify(pipeline, &options, &cli->cancel, &visits, &err);
    draw(&verify, NULL, "", 0, 0);
    show(&verify);
    if (cli->json) {
        (void)json_object_set_new(cli->result, "streams", verify.streams);
        (void)json_object_set_new(cli->result, "differences", verify.differences);
    }
    if (status < 0) {
        code = sluice_cli_error_report(cli, pipeline->name, &err);
    }
    else if (verify.different > 0) {
        sluice_cli_warn(cli, "%zu of %zu tables differ", verify.different, verify.count);
        code = SLUICE_EXIT_REJECTED;
    }
    else if (verify.not_compared > 0) {
        sluice_cli_warn(cli, "%zu of %zu tables were not compared", verify.not_compared,
                        verify.count);
    }
    sluice_cli_table_free(&verify.table);
    sluice_str_free(&verify.rows);
    sluice_pipeline_free(pipeline);
    return code;
}
