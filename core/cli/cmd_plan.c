/* plan: what a run would do. */
#include <string.h>

#include "base/clock.h"
#include "cli.h"
#include "flow/inspect.h"
#include "options.h"
#include "state_part.h"
#include "stream.h"
#include "text.h"

struct plan {
    struct sluice_cli *cli;
    struct sluice_cli_table table;
    struct sluice_str columns; /* --columns */
    struct sluice_str ddl;     /* statements at targets */
    json_t *list;
    int32_t mode;
    size_t refused;
    size_t shown;
};

/* The run leaves out what it cannot follow: views, foreign tables. */
static int left_out(const struct plan *plan, const struct sluice_plan_stream *s)
{
    return plan->mode != SLUICE_MODE_FULL_LOAD_ONLY && s->desc != NULL &&
           (s->desc->flags & SLUICE_STREAM_CAN_CHANGES) == 0;
}

/* Where changes follow, what is complete is not done with. */
static const char *action_name(const struct plan *plan, const struct sluice_plan_stream *s)
{
    int changes = plan->mode != SLUICE_MODE_FULL_LOAD_ONLY;
    int only = plan->mode == SLUICE_MODE_CDC_ONLY;
    if (left_out(plan, s)) {
        return "left out";
    }
    switch (s->action) {
    case SLUICE_PLAN_LOAD:
        return only ? "changes only" : changes ? "load, changes" : "load";
    case SLUICE_PLAN_RELOAD:
        return only ? "changes only" : changes ? "load anew, changes" : "load anew";
    case SLUICE_PLAN_SKIP:
        return changes && s->desc != NULL ? "changes only" : "skip";
    case SLUICE_PLAN_REFUSED:
        return "refused";
    default:
        return "?";
    }
}

static const char *reason_text(const struct plan *plan, const struct sluice_plan_stream *s)
{
    if (plan->mode == SLUICE_MODE_FULL_LOAD_ONLY || s->desc == NULL) {
        return s->reason;
    }
    if (left_out(plan, s)) {
        return "the source has no changes of it; mode: full_load_only would load it";
    }
    if (plan->mode == SLUICE_MODE_CDC_ONLY) {
        return "mode cdc_only loads nothing";
    }
    switch (s->action) {
    case SLUICE_PLAN_LOAD:
        return "full load, then its changes";
    case SLUICE_PLAN_RELOAD:
        return "not complete yet: read as a whole, then its changes";
    case SLUICE_PLAN_SKIP:
        return "loaded by an earlier run";
    default:
        return s->reason;
    }
}

static void add_json(struct plan *plan, const struct sluice_plan_stream *s)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "source", sluice_cli_json_text(s->source));
    (void)json_object_set_new(object, "sink", sluice_cli_json_text(s->sink));
    (void)json_object_set_new(object, "stream", sluice_cli_json_text(s->stream));
    (void)json_object_set_new(object, "stream_out", sluice_cli_json_text(s->stream_out));
    (void)json_object_set_new(object, "action", json_string(action_name(plan, s)));
    (void)json_object_set_new(object, "reason", sluice_cli_json_message(reason_text(plan, s)));
    if (s->desc != NULL) {
        sluice_cli_stream_json(s->desc, 1, object);
    }
    if (s->target != NULL) {
        json_t *statements = json_array();
        for (size_t i = 0; i < s->statement_count; i++) {
            (void)json_array_append_new(statements, sluice_cli_json_message(s->statements[i]));
        }
        (void)json_object_set_new(object, "target", sluice_cli_json_text(s->target));
        (void)json_object_set_new(object, "statements", statements);
    }
    (void)json_array_append_new(plan->list, object);
}

/* Where the rows go, if the name differs, and what is run there first. */
static void add_statements(struct plan *plan, const struct sluice_plan_stream *s)
{
    if (s->statement_count == 0 || left_out(plan, s)) {
        return;
    }
    sluice_cli_text_escape(&plan->ddl, s->stream);
    sluice_str_append(&plan->ddl, " in ");
    sluice_cli_text_escape(&plan->ddl, s->sink);
    sluice_str_append_char(&plan->ddl, '\n');
    for (size_t i = 0; i < s->statement_count; i++) {
        sluice_str_append(&plan->ddl, "  ");
        sluice_cli_text_escape(&plan->ddl, s->statements[i]);
        sluice_str_append(&plan->ddl, ";\n");
    }
}

static sluice_status visit(void *ctx, const struct sluice_plan_stream *s)
{
    struct plan *plan = ctx;
    plan->shown++;
    plan->refused += s->action == SLUICE_PLAN_REFUSED;
    if (plan->cli->json) {
        add_json(plan, s);
        return SLUICE_OK;
    }
    const char *reason = reason_text(plan, s);
    int same = s->stream_out == NULL || strcmp(s->stream, s->stream_out) == 0;
    int style = s->action == SLUICE_PLAN_REFUSED ? SLUICE_STYLE_BAD
                : left_out(plan, s)              ? SLUICE_STYLE_WARN
                : s->desc == NULL                ? SLUICE_STYLE_DIM
                : s->action == SLUICE_PLAN_SKIP && plan->mode == SLUICE_MODE_FULL_LOAD_ONLY
                    ? SLUICE_STYLE_DIM
                    : SLUICE_STYLE_GOOD;
    if (s->target != NULL && strcmp(s->target, s->stream) != 0) {
        sluice_cli_table_addf(&plan->table, SLUICE_STYLE_NAME, "%s -> %s", s->stream, s->target);
    }
    else {
        sluice_cli_table_addf(&plan->table, SLUICE_STYLE_NAME, "%s%s%s", s->stream,
                              same ? "" : " -> ", same ? "" : s->stream_out);
    }
    add_statements(plan, s);
    sluice_cli_table_add(&plan->table, SLUICE_STYLE_NONE, s->source);
    sluice_cli_table_add(&plan->table, SLUICE_STYLE_NONE, s->sink);
    sluice_cli_table_add(&plan->table, style, action_name(plan, s));
    sluice_cli_table_add_count(&plan->table, s->desc != NULL ? s->desc->rows_estimate : -1);
    sluice_cli_table_add_count(&plan->table,
                               s->desc != NULL ? sluice_cli_stream_width(s->desc) : -1);
    sluice_cli_table_add(&plan->table, SLUICE_STYLE_NONE,
                         reason != NULL ? sluice_cli_error_about(reason, s->stream) : "");
    if (s->desc != NULL && sluice_cli_args_has(&plan->cli->args, SLUICE_OPT_COLUMNS)) {
        sluice_cli_text_escape(&plan->columns, s->desc->name);
        sluice_str_append(&plan->columns, " in ");
        sluice_cli_text_escape(&plan->columns, s->sink);
        sluice_str_append_char(&plan->columns, '\n');
        sluice_cli_stream_columns(s->desc, &plan->cli->out, &plan->columns);
    }
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- the graph ------------------ */

struct options_ctx {
    struct sluice_str *text;
    json_t *object;
};

static void visit_option(void *ctx, const char *key, const char *value, int is_default)
{
    struct options_ctx *options = ctx;
    if (options->object != NULL) {
        (void)json_object_set_new(options->object, key, sluice_cli_json_message(value));
        return;
    }
    if (!is_default) {
        sluice_str_printf(options->text, " %s=", key);
        sluice_cli_text_escape(options->text, value);
    }
}

static void node_text(const struct sluice_pipeline *pipeline,
                      const struct sluice_pipeline_node *node, const struct sluice_cli_term *term,
                      struct sluice_str *out)
{
    struct sluice_str options = SLUICE_STR_INIT;
    struct options_ctx ctx = {&options, NULL};
    sluice_str_printf(out, "  %-10s", sluice_cli_kind_name(node->kind));
    sluice_cli_term_append(term, out, SLUICE_STYLE_BOLD, node->id);
    sluice_str_printf(out, " (%s)", node->plugin);
    for (size_t i = 0; i < node->input_count; i++) {
        sluice_str_printf(out, "%s%s", i == 0 ? " from " : ", ",
                          pipeline->nodes[node->inputs[i]].id);
    }
    sluice_config_each(node->config, visit_option, &ctx);
    if (options.size > 0) {
        sluice_str_append(out, ":");
        sluice_str_append(out, sluice_str_text(&options));
    }
    sluice_str_append_char(out, '\n');
    if (node->kind == SLUICE_SINK && node->component != NULL) {
        sluice_str_printf(out, "            guarantee: %s\n",
                          sluice_guarantee_text(node->component->caps, pipeline->mode));
    }
    sluice_str_free(&options);
}

static json_t *node_json(const struct sluice_pipeline *pipeline,
                         const struct sluice_pipeline_node *node)
{
    json_t *object = json_object();
    json_t *inputs = json_array();
    struct options_ctx ctx = {NULL, json_object()};
    for (size_t i = 0; i < node->input_count; i++) {
        (void)json_array_append_new(inputs,
                                    sluice_cli_json_text(pipeline->nodes[node->inputs[i]].id));
    }
    sluice_config_each(node->config, visit_option, &ctx);
    (void)json_object_set_new(object, "id", sluice_cli_json_text(node->id));
    (void)json_object_set_new(object, "kind", json_string(sluice_cli_kind_name(node->kind)));
    (void)json_object_set_new(object, "plugin", sluice_cli_json_text(node->plugin));
    (void)json_object_set_new(object, "inputs", inputs);
    (void)json_object_set_new(object, "config", ctx.object);
    if (node->kind == SLUICE_SINK && node->component != NULL) {
        (void)json_object_set_new(
            object, "guarantee",
            json_string(sluice_guarantee_text(node->component->caps, pipeline->mode)));
    }
    return object;
}

static void graph(struct sluice_cli *cli, const struct sluice_pipeline *pipeline)
{
    struct sluice_str text = SLUICE_STR_INIT;
    const char *note = sluice_cli_changes_text(pipeline);
    char memory[24];
    sluice_size_format(pipeline->memory_bytes, memory);
    if (cli->json) {
        json_t *nodes = json_array();
        for (size_t i = 0; i < pipeline->node_count; i++) {
            (void)json_array_append_new(nodes, node_json(pipeline, &pipeline->nodes[i]));
        }
        (void)json_object_set_new(cli->result, "pipeline", sluice_cli_json_text(pipeline->name));
        (void)json_object_set_new(cli->result, "mode",
                                  json_string(sluice_cli_mode_name(pipeline->mode)));
        (void)json_object_set_new(cli->result, "memory",
                                  json_integer((json_int_t)pipeline->memory_bytes));
        (void)json_object_set_new(cli->result, "parallelism",
                                  pipeline->parallelism > 0 ? json_integer(pipeline->parallelism)
                                                            : json_null());
        (void)json_object_set_new(cli->result, "nodes", nodes);
        (void)json_object_set_new(cli->result, "note", sluice_cli_json_text(note));
        return;
    }
    sluice_cli_term_append(&cli->out, &text, SLUICE_STYLE_BOLD, pipeline->name);
    sluice_str_printf(&text, "  mode %s, memory %s", sluice_cli_mode_name(pipeline->mode), memory);
    if (pipeline->parallelism > 0) {
        sluice_str_printf(&text, ", parallelism %u", pipeline->parallelism);
    }
    if (pipeline->state_uri != NULL) {
        sluice_str_append(&text, ", state ");
        sluice_cli_text_escape(&text, pipeline->state_uri);
    }
    sluice_str_append_char(&text, '\n');
    for (size_t i = 0; i < pipeline->node_count; i++) {
        node_text(pipeline, &pipeline->nodes[i], &cli->out, &text);
    }
    if (note != NULL) {
        sluice_str_printf(&text, "%s\n", note);
    }
    sluice_str_append_char(&text, '\n');
    sluice_cli_out_always(cli, &text);
    sluice_str_free(&text);
}

/* Slot, publication: what stands at the sources by earlier runs, in their own words. */
static int plan_created(struct sluice_cli *cli, const struct sluice_pipeline *pipeline,
                        struct sluice_state *state)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_str text = SLUICE_STR_INIT;
    json_t *object = cli->json ? json_object() : NULL;
    int code = SLUICE_EXIT_OK;
    if (sluice_cli_state_created(state, pipeline, &text, object, &err) < 0) {
        code = sluice_cli_error_report(cli, pipeline->name, &err);
    }
    if (cli->json) {
        (void)json_object_set_new(cli->result, "created", object);
    }
    else if (text.size > 0) {
        sluice_str_append_char(&text, '\n');
        sluice_cli_out_always(cli, &text);
    }
    sluice_str_free(&text);
    return code;
}

static int plan_streams(struct sluice_cli *cli, const struct sluice_pipeline *pipeline,
                        struct plan *plan)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_state *state = NULL;
    struct sluice_run_options options;
    int code = SLUICE_EXIT_OK;
    memset(&options, 0, sizeof options);
    options.row_limit = (uint64_t)sluice_cli_args_number(&cli->args, SLUICE_OPT_LIMIT, 0);
    options.parallelism = (uint32_t)sluice_cli_args_number(&cli->args, SLUICE_OPT_PARALLELISM, 0);
    options.tables = cli->args.tables.items;
    options.table_count = cli->args.tables.count;
    sluice_status status =
        sluice_cli_state_open(pipeline->state_uri, pipeline->name, SLUICE_STATE_READ, &state, &err);
    if (status >= 0) {
        status = sluice_flow_plan(pipeline, state, &options, &cli->cancel, visit, plan, &err);
    }
    if (status < 0) {
        code = sluice_cli_error_report(cli, pipeline->name, &err);
    }
    else if (state != NULL) {
        code = plan_created(cli, pipeline, state);
    }
    if (state != NULL) {
        sluice_state_close(state);
    }
    return code;
}

int sluice_cli_plan(struct sluice_cli *cli)
{
    static const char *const headers[] = {"table", "source",  "sink",  "action",
                                          "rows",  "columns", "reason"};
    struct sluice_str text = SLUICE_STR_INIT;
    struct sluice_pipeline *pipeline = NULL;
    int code = sluice_cli_pipeline_open(cli, cli->args.words.items[0], &pipeline);
    if (code == SLUICE_EXIT_OK) {
        code = sluice_cli_options_fit(cli, pipeline);
    }
    if (code != SLUICE_EXIT_OK) {
        sluice_pipeline_free(pipeline);
        return code;
    }
    struct plan plan = {
        .cli = cli, .mode = pipeline->mode, .list = cli->json ? json_array() : NULL};
    sluice_cli_table_init(&plan.table, 7, headers, 0x30, 0x41);
    graph(cli, pipeline);
    code = plan_streams(cli, pipeline, &plan);
    if (cli->json) {
        (void)json_object_set_new(cli->result, "streams", plan.list);
    }
    else if (code == SLUICE_EXIT_OK) {
        if (plan.shown > 0) {
            sluice_cli_table_render(&plan.table, &cli->out, &text);
        }
        else {
            sluice_str_append(&text, "no table is chosen\n");
        }
        if (plan.mode != SLUICE_MODE_FULL_LOAD_ONLY) {
            sluice_str_append(&text, "'sluice check' says whether changes can be captured here\n");
        }
        sluice_cli_out_always(cli, &text);
        if (plan.ddl.size > 0) {
            struct sluice_str head = SLUICE_STR_INIT;
            sluice_str_append(&head, "\nat the target, before the first row\n");
            sluice_cli_out_always(cli, &head);
            sluice_cli_out_always(cli, &plan.ddl);
            sluice_str_free(&head);
        }
        if (plan.columns.size > 0) {
            sluice_str_append_char(&text, '\n');
            sluice_cli_out_always(cli, &text);
            sluice_cli_out_always(cli, &plan.columns);
        }
    }
    if (plan.refused > 0 && code == SLUICE_EXIT_OK) {
        sluice_cli_warn(cli, "%zu table%s cannot be moved: the run would end with exit code 1",
                        plan.refused, plan.refused == 1 ? "" : "s");
    }
    sluice_cli_table_free(&plan.table);
    sluice_str_free(&plan.columns);
    sluice_str_free(&plan.ddl);
    sluice_str_free(&text);
    sluice_pipeline_free(pipeline);
    return code;
}
