#include "finding.h"

#include <string.h>

#include "log/log.h"
#include "text.h"

static const char *severity_name(int32_t severity)
{
    switch (severity) {
    case SLUICE_FINDING_OK:
        return "ok";
    case SLUICE_FINDING_INFO:
        return "info";
    case SLUICE_FINDING_WARN:
        return "warning";
    default:
        return "error";
    }
}

static int severity_style(int32_t severity)
{
    switch (severity) {
    case SLUICE_FINDING_OK:
        return SLUICE_STYLE_GOOD;
    case SLUICE_FINDING_INFO:
        return SLUICE_STYLE_NAME;
    case SLUICE_FINDING_WARN:
        return SLUICE_STYLE_WARN;
    default:
        return SLUICE_STYLE_BAD;
    }
}

const struct sluice_pipeline_node *sluice_cli_node_find(const struct sluice_pipeline *pipeline,
                                                        const char *id)
{
    for (size_t i = 0; i < pipeline->node_count; i++) {
        if (strcmp(pipeline->nodes[i].id, id) == 0) {
            return &pipeline->nodes[i];
        }
    }
    return NULL;
}

static void finding_text(struct sluice_cli *cli, const struct sluice_pipeline *pipeline,
                         const char *node, int is_new, const struct sluice_finding *finding)
{
    const size_t indent = 11;
    const struct sluice_cli_term *term = &cli->out;
    struct sluice_str text = SLUICE_STR_INIT;
    if (is_new) {
        const struct sluice_pipeline_node *found = sluice_cli_node_find(pipeline, node);
        sluice_cli_term_append(term, &text, SLUICE_STYLE_BOLD, node);
        if (found != NULL) {
            sluice_str_printf(&text, " (%s %s)", sluice_cli_kind_name(found->kind), found->plugin);
        }
        sluice_str_append_char(&text, '\n');
    }
    const char *name = severity_name(finding->severity);
    sluice_str_append(&text, "  ");
    sluice_cli_term_append(term, &text, severity_style(finding->severity), name);
    sluice_cli_text_pad(&text, indent - 2 - strlen(name));
    if (finding->subject != NULL && strcmp(finding->subject, node) != 0) {
        sluice_cli_text_escape(&text, finding->subject);
        sluice_str_append(&text, ": ");
    }
    sluice_cli_text_escape_lines(&text, finding->what != NULL ? finding->what : "", indent);
    if (finding->key != NULL) {
        sluice_str_append(&text, " [");
        sluice_cli_text_escape(&text, finding->key);
        sluice_str_append_char(&text, ']');
    }
    sluice_str_append_char(&text, '\n');
    if (finding->remedy != NULL) {
        sluice_cli_text_pad(&text, indent);
        sluice_cli_term_append(term, &text, SLUICE_STYLE_DIM, "mend:");
        sluice_str_append_char(&text, ' ');
        sluice_cli_text_escape_lines(&text, finding->remedy, indent + 6);
        sluice_str_append_char(&text, '\n');
    }
    if (!text.failed) {
        sluice_log_redact(text.data);
        text.size = strlen(text.data);
    }
    /* In quiet mode only what is wrong is said. */
    if (finding->severity >= SLUICE_FINDING_ERROR && cli->quiet) {
        sluice_cli_out_always(cli, &text);
    }
    else {
        sluice_cli_out(cli, &text);
    }
    sluice_str_free(&text);
}

static void finding_json(struct sluice_cli *cli, const char *node,
                         const struct sluice_finding *finding)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "node", sluice_cli_json_text(node));
    (void)json_object_set_new(object, "severity", json_string(severity_name(finding->severity)));
    (void)json_object_set_new(object, "subject", sluice_cli_json_text(finding->subject));
    (void)json_object_set_new(object, "key", sluice_cli_json_text(finding->key));
    (void)json_object_set_new(object, "what", sluice_cli_json_message(finding->what));
    (void)json_object_set_new(object, "remedy", sluice_cli_json_message(finding->remedy));
    (void)json_array_append_new(json_object_get(cli->result, "findings"), object);
}

void sluice_cli_finding(struct sluice_cli *cli, const struct sluice_pipeline *pipeline,
                        const char *node, int is_new, const struct sluice_finding *finding)
{
    struct sluice_finding shown = *finding;
    struct sluice_str what = SLUICE_STR_INIT;
    struct sluice_str hint = SLUICE_STR_INIT;
    if (finding->what != NULL) {
        const char *text = sluice_cli_error_about(finding->what, finding->subject);
        sluice_str_append_n(&what, text, sluice_cli_error_hint(text, &hint));
        shown.what = sluice_str_text(&what);
        if (finding->remedy == NULL && hint.size > 0) {
            shown.remedy = sluice_str_text(&hint);
        }
    }
    if (cli->json) {
        finding_json(cli, node, &shown);
    }
    else {
        finding_text(cli, pipeline, node, is_new, &shown);
    }
    sluice_str_free(&what);
    sluice_str_free(&hint);
}
