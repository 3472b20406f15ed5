/* validate and check: what is wrong with files, and with the world they speak of. */
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "cli.h"
#include "finding.h"
#include "flow/inspect.h"
#include "log/log.h"
#include "text.h"

static void add_file_json(struct sluice_cli *cli, const char *file, int fine,
                          const struct sluice_diags *diags)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "file", sluice_cli_json_text(file));
    (void)json_object_set_new(object, "ok", json_boolean(fine));
    (void)json_object_set_new(object, "errors", json_integer((json_int_t)diags->errors));
    (void)json_object_set_new(object, "warnings", json_integer((json_int_t)diags->warnings));
    (void)json_object_set_new(object, "findings", sluice_cli_diags_json(diags));
    (void)json_array_append_new(json_object_get(cli->result, "files"), object);
}

/* 1 = the file may be run. */
static int validate_file(struct sluice_cli *cli, const char *file)
{
    struct sluice_component_lookup lookup = sluice_registry_lookup(cli->registry);
    struct sluice_str text = SLUICE_STR_INIT;
    struct sluice_diags diags;
    sluice_diags_init(&diags, file);
    struct sluice_pipeline *pipeline =
        sluice_pipeline_load(file, cli->args.sets.items, cli->args.sets.count, &lookup, &diags);
    sluice_diags_sort(&diags);
    int strict = sluice_cli_args_has(&cli->args, SLUICE_OPT_STRICT);
    int fine = pipeline != NULL && diags.errors == 0 && (!strict || diags.warnings == 0);
    sluice_cli_text_escape(&text, file);
    if (fine) {
        sluice_str_append(&text, ": ok");
        if (diags.warnings > 0) {
            sluice_str_printf(&text, ", %zu warning%s", diags.warnings,
                              diags.warnings == 1 ? "" : "s");
        }
    }
    else {
        sluice_str_printf(&text, ": %zu error%s, %zu warning%s", diags.errors,
                          diags.errors == 1 ? "" : "s", diags.warnings,
                          diags.warnings == 1 ? "" : "s");
    }
    sluice_str_append_char(&text, '\n');
    if (cli->json) {
        add_file_json(cli, file, fine, &diags);
    }
    else {
        sluice_cli_diags_print(cli, &diags);
        sluice_cli_out(cli, &text);
    }
    sluice_str_free(&text);
    sluice_diags_free(&diags);
    if (pipeline != NULL) {
        sluice_pipeline_free(pipeline);
    }
    return fine;
}

int sluice_cli_validate(struct sluice_cli *cli)
{
    int code = sluice_cli_plugins_open(cli);
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    if (cli->json) {
        (void)json_object_set_new(cli->result, "files", json_array());
    }
    for (size_t i = 0; i < cli->args.words.count; i++) {
        if (!validate_file(cli, cli->args.words.items[i])) {
            code = SLUICE_EXIT_CONFIG;
        }
    }
    if (code != SLUICE_EXIT_OK) {
        sluice_cli_refusals_print(cli);
    }
    return code;
}

/* ---------------------------------------------------------------- check ---------------------- */

struct seen;
struct check {
    struct sluice_cli *cli;
    const struct sluice_pipeline *pipeline;
    const char *node;       /* of the finding before */
    char *error;            /* what the last error of that node said */
    int unreachable;        /* a source gave an error of its own: its tables cannot be asked for */
    struct sluice_map told; /* "node\x1fsubject" of errors */
    size_t counts[4];       /* by severity */
    struct seen *seen;      /* per node, while tables are listed */
};

/* A plugin that cannot connect says so as a finding and as an error of the call: once is enough. */
static int is_told(struct check *check, const char *node, const struct sluice_finding *finding)
{
    const char *what = finding->what != NULL ? finding->what : "";
    if (finding->severity < SLUICE_FINDING_ERROR) {
        return 0;
    }
    int of_the_node = finding->subject == NULL || strcmp(finding->subject, node) == 0;
    if (of_the_node && check->error != NULL &&
        (strstr(check->error, what) != NULL || strstr(what, check->error) != NULL)) {
        return 1;
    }
    sluice_free(check->error);
    check->error = sluice_alloc_string(what);
    return 0;
}

static char *told_key(const char *node, const char *subject)
{
    struct sluice_str key = SLUICE_STR_INIT;
    sluice_str_printf(&key, "%s\x1f%s", node, subject);
    return sluice_str_steal(&key);
}

static void remember(struct check *check, const char *node, const struct sluice_finding *finding)
{
    const struct sluice_pipeline_node *found = sluice_cli_node_find(check->pipeline, node);
    if (finding->severity != SLUICE_FINDING_ERROR || finding->subject == NULL) {
        return;
    }
    if (found != NULL && found->kind == SLUICE_SOURCE && strcmp(finding->subject, node) == 0) {
        check->unreachable = 1;
    }
    char *key = told_key(node, finding->subject);
    if (key != NULL) {
        (void)sluice_map_put(&check->told, key, check);
    }
    sluice_free(key);
}

static int is_remembered(const struct check *check, const char *node, const char *subject)
{
    char *key = told_key(node, subject);
    int found = key != NULL && sluice_map_has(&check->told, key);
    sluice_free(key);
    return found;
}

static void visit_finding(void *ctx, const char *node, const struct sluice_finding *finding)
{
    struct check *check = ctx;
    int32_t severity = finding->severity;
    int is_new = check->node == NULL || strcmp(check->node, node) != 0;
    if (is_new) {
        const struct sluice_pipeline_node *found = sluice_cli_node_find(check->pipeline, node);
        check->node = found != NULL ? found->id : NULL;
        sluice_free(check->error);
        check->error = NULL;
    }
    remember(check, node, finding);
    if (is_told(check, node, finding)) {
        return;
    }
    check->counts[severity < 0 || severity > 3 ? 3 : severity]++;
    sluice_cli_finding(check->cli, check->pipeline, node, is_new, finding);
}

/* What was seen of the tables of one node. */
struct seen {
    unsigned char *met; /* patterns that met a table */
    size_t tables;
    size_t chosen;
};

struct unmatched {
    struct check *check;
    const struct sluice_pipeline_node *node;
};

static void visit_unmatched(void *ctx, const char *at, const char *pattern)
{
    const struct unmatched *u = ctx;
    struct sluice_str what = SLUICE_STR_INIT;
    struct sluice_str subject = SLUICE_STR_INIT;
    sluice_str_printf(&what, "no table matches the pattern %s", pattern);
    sluice_str_printf(&subject, "tables.%s", at);
    struct sluice_finding finding = {.struct_size = sizeof finding,
                                     .severity = SLUICE_FINDING_WARN,
                                     .subject = sluice_str_text(&subject),
                                     .what = sluice_str_text(&what),
                                     .remedy = "sluice discover FILE lists the tables there are"};
    visit_finding(u->check, u->node->id, &finding);
    sluice_str_free(&subject);
    sluice_str_free(&what);
}

/* A mistyped pattern is the quietest way to lose a table. */
static void report_seen(struct check *check, const struct sluice_pipeline_node *node,
                        const struct seen *seen)
{
    struct unmatched unmatched = {check, node};
    if (seen->chosen == 0) {
        struct sluice_str what = SLUICE_STR_INIT;
        if (seen->tables == 0) {
            sluice_str_append(&what, "there is no table that the user may see");
        }
        else {
            sluice_str_printf(&what, "no table matches, of %zu that there are", seen->tables);
        }
        struct sluice_finding finding = {
            .struct_size = sizeof finding,
            .severity = SLUICE_FINDING_ERROR,
            .subject = "tables",
            .what = sluice_str_text(&what),
            .remedy = seen->tables > 0 ? "sluice discover FILE lists them" : NULL};
        visit_finding(check, node->id, &finding);
        sluice_str_free(&what);
    }
    if (seen->tables > 0) {
        sluice_tables_unmatched(&node->tables, seen->met, visit_unmatched, &unmatched);
    }
}

/* Counts, and tells of chosen tables that cannot be used at all: a run would fail for them. */
static sluice_status visit_stream(void *ctx, const char *source,
                                  const struct sluice_stream_desc *desc, int chosen,
                                  const struct sluice_error *problem)
{
    struct check *check = ctx;
    const struct sluice_pipeline_node *node = sluice_cli_node_find(check->pipeline, source);
    struct seen *seen = node != NULL ? &check->seen[node - check->pipeline->nodes] : NULL;
    if (seen != NULL) {
        sluice_tables_note(&node->tables, desc->name, seen->met);
        seen->tables++;
        seen->chosen += chosen != 0;
    }
    if (chosen && problem != NULL && !is_remembered(check, source, desc->name)) {
        struct sluice_finding finding = {.struct_size = sizeof finding,
                                         .severity = SLUICE_FINDING_ERROR,
                                         .subject = desc->name,
                                         .key = "tables",
                                         .what = problem->message};
        visit_finding(ctx, source, &finding);
    }
    return SLUICE_OK;
}

static sluice_status check_tables(struct check *check, struct sluice_error *err)
{
    const struct sluice_pipeline *pipeline = check->pipeline;
    sluice_status status = SLUICE_OK;
    check->seen = sluice_alloc_zero(pipeline->node_count, sizeof *check->seen);
    for (size_t i = 0; check->seen != NULL && i < pipeline->node_count; i++) {
        size_t patterns = sluice_tables_patterns(&pipeline->nodes[i].tables);
        check->seen[i].met = sluice_alloc_zero(patterns + 1, 1);
        status = check->seen[i].met != NULL ? status : SLUICE_E_NOMEM;
    }
    if (check->seen == NULL || status < 0) {
        status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory");
    }
    if (status >= 0) {
        status = sluice_flow_discover(pipeline, &check->cli->cancel, visit_stream, check, err);
    }
    for (size_t i = 0; check->seen != NULL && i < pipeline->node_count; i++) {
        if (status >= 0 && pipeline->nodes[i].kind == SLUICE_SOURCE) {
            report_seen(check, &pipeline->nodes[i], &check->seen[i]);
        }
        sluice_free(check->seen[i].met);
    }
    sluice_free(check->seen);
    check->seen = NULL;
    return status;
}

static sluice_status check_all(struct check *check, struct sluice_error *err)
{
    struct sluice_cli *cli = check->cli;
    SLUICE_TRY(sluice_flow_check(check->pipeline, &cli->cancel, visit_finding, check, err));
    if (check->unreachable) {
        return SLUICE_OK;
    }
    return check_tables(check, err);
}

int sluice_cli_check(struct sluice_cli *cli)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_pipeline *pipeline = NULL;
    int code = sluice_cli_pipeline_open(cli, cli->args.words.items[0], &pipeline);
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    if (cli->json) {
        (void)json_object_set_new(cli->result, "findings", json_array());
    }
    struct check check = {.cli = cli, .pipeline = pipeline};
    if (check_all(&check, &err) < 0) {
        code = sluice_cli_error_report(cli, pipeline->name, &err);
    }
    else {
        struct sluice_str text = SLUICE_STR_INIT;
        size_t errors = check.counts[SLUICE_FINDING_ERROR];
        size_t warnings = check.counts[SLUICE_FINDING_WARN];
        code = errors > 0 ? SLUICE_EXIT_ENVIRONMENT : SLUICE_EXIT_OK;
        sluice_str_printf(&text, "%zu error%s, %zu warning%s\n", errors, errors == 1 ? "" : "s",
                          warnings, warnings == 1 ? "" : "s");
        sluice_cli_out(cli, &text);
        sluice_str_free(&text);
        if (cli->json) {
            (void)json_object_set_new(cli->result, "errors", json_integer((json_int_t)errors));
            (void)json_object_set_new(cli->result, "warnings", json_integer((json_int_t)warnings));
        }
    }
    sluice_map_free(&check.told);
    sluice_free(check.error);
    sluice_pipeline_free(pipeline);
    return code;
}
