/* Plugins, pipeline files and state, as every command opens them. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli.h"
#include "log/log.h"
#include "text.h"

/* ---------------------------------------------------------------- plugins -------------------- */

#define FOLDERS_MAX 64

int sluice_cli_plugins_open(struct sluice_cli *cli)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    const char *folders[FOLDERS_MAX];
    char *found = NULL;
    size_t count = 0;
    int code = SLUICE_EXIT_OK;
    if (cli->registry != NULL) {
        return SLUICE_EXIT_OK;
    }
    const char *variable = getenv("SLUICE_PLUGIN_DIR");
    if (cli->args.plugin_dirs.count > 0) {
        for (size_t i = 0; i < cli->args.plugin_dirs.count && count < FOLDERS_MAX; i++) {
            folders[count++] = cli->args.plugin_dirs.items[i];
        }
    }
    else {
        found = variable != NULL && variable[0] != '\0' ? sluice_alloc_string(variable)
                                                        : sluice_registry_default_folder();
        if (found == NULL) {
            return sluice_cli_error_nomem(cli);
        }
        int divided = variable != NULL && variable[0] != '\0';
        for (char *p = found; p != NULL && count < FOLDERS_MAX;) {
            char *colon = divided ? strchr(p, ':') : NULL;
            if (colon != NULL) {
                *colon = '\0';
            }
            if (*p != '\0') {
                folders[count++] = p;
            }
            p = colon != NULL ? colon + 1 : NULL;
        }
    }
    if (sluice_registry_create(folders, count, &cli->registry, &err) < 0) {
        cli->registry = NULL;
        code = sluice_cli_error_report(cli, NULL, &err);
    }
    sluice_free(found);
    return code;
}

void sluice_cli_refusals_print(struct sluice_cli *cli)
{
    size_t count = sluice_registry_plugin_count(cli->registry);
    for (size_t i = 0; i < count; i++) {
        struct sluice_registry_plugin plugin;
        sluice_registry_plugin(cli->registry, i, &plugin);
        if (plugin.refusal != NULL) {
            sluice_cli_warn(cli, "plugin file %s was refused: %s", plugin.path, plugin.refusal);
        }
    }
}

/* ---------------------------------------------------------------- pipelines ------------------ */

void sluice_cli_diags_print(struct sluice_cli *cli, const struct sluice_diags *diags)
{
    const struct sluice_cli_term *term = &cli->err;
    struct sluice_str text = SLUICE_STR_INIT;
    for (size_t i = 0; i < diags->count; i++) {
        const struct sluice_diag *d = &diags->items[i];
        int is_error = d->severity == SLUICE_DIAG_ERROR;
        if (!is_error && cli->quiet) {
            continue;
        }
        sluice_cli_text_escape(&text, diags->file != NULL ? diags->file : "");
        if (d->line > 0) {
            sluice_str_printf(&text, ":%u:%u", d->line, d->column);
        }
        sluice_str_append(&text, ": ");
        sluice_cli_term_append(term, &text, is_error ? SLUICE_STYLE_BAD : SLUICE_STYLE_WARN,
                               is_error ? "error:" : "warning:");
        sluice_str_append_char(&text, ' ');
        sluice_cli_text_escape_lines(&text, d->message != NULL ? d->message : "", 2);
        if (d->path != NULL && d->path[0] != '\0') {
            sluice_str_append(&text, " (");
            sluice_cli_text_escape(&text, d->path);
            sluice_str_append_char(&text, ')');
        }
        sluice_str_append_char(&text, '\n');
        if (d->hint != NULL) {
            sluice_cli_term_append(term, &text, SLUICE_STYLE_DIM, "  hint:");
            sluice_str_append_char(&text, ' ');
            sluice_cli_text_escape_lines(&text, d->hint, 8);
            sluice_str_append_char(&text, '\n');
        }
    }
    if (!text.failed && text.size > 0) {
        sluice_log_redact(text.data);
        (void)sluice_cli_term_write(term->fd, text.data, strlen(text.data));
    }
    sluice_str_free(&text);
}

json_t *sluice_cli_diags_json(const struct sluice_diags *diags)
{
    json_t *list = json_array();
    for (size_t i = 0; i < diags->count; i++) {
        const struct sluice_diag *d = &diags->items[i];
        json_t *item = json_object();
        (void)json_object_set_new(
            item, "severity", json_string(d->severity == SLUICE_DIAG_ERROR ? "error" : "warning"));
        (void)json_object_set_new(item, "line", d->line > 0 ? json_integer(d->line) : json_null());
        (void)json_object_set_new(item, "column",
                                  d->line > 0 ? json_integer(d->column) : json_null());
        (void)json_object_set_new(item, "path", sluice_cli_json_text(d->path));
        (void)json_object_set_new(item, "message", sluice_cli_json_message(d->message));
        (void)json_object_set_new(item, "hint", sluice_cli_json_message(d->hint));
        (void)json_array_append_new(list, item);
    }
    return list;
}

int sluice_cli_pipeline_open(struct sluice_cli *cli, const char *file, struct sluice_pipeline **out)
{
    struct sluice_diags diags;
    *out = NULL;
    int code = sluice_cli_plugins_open(cli);
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    struct sluice_component_lookup lookup = sluice_registry_lookup(cli->registry);
    sluice_diags_init(&diags, file);
    struct sluice_pipeline *pipeline =
        sluice_pipeline_load(file, cli->args.sets.items, cli->args.sets.count, &lookup, &diags);
    sluice_diags_sort(&diags);
    sluice_cli_diags_print(cli, &diags);
    size_t bad =
        diags.errors + (sluice_cli_args_has(&cli->args, SLUICE_OPT_STRICT) ? diags.warnings : 0);
    if (pipeline == NULL || bad > 0) {
        struct sluice_str message = SLUICE_STR_INIT;
        sluice_cli_refusals_print(cli);
        sluice_str_printf(&message, "%s: %zu problem%s", file, bad, bad == 1 ? "" : "s");
        if (cli->result != NULL) {
            (void)json_object_set_new(cli->result, "findings", sluice_cli_diags_json(&diags));
        }
        if (diags.count == 0) {
            code = sluice_cli_error_nomem(cli);
        }
        else {
            sluice_cli_error(cli, SLUICE_E_INVALID, sluice_str_text(&message), NULL);
            code = SLUICE_EXIT_CONFIG;
        }
        sluice_str_free(&message);
        if (pipeline != NULL) {
            sluice_pipeline_free(pipeline);
        }
    }
    else {
        *out = pipeline;
    }
    sluice_diags_free(&diags);
    return code;
}

/* ---------------------------------------------------------------- state ---------------------- */

char *sluice_cli_state_folder(void)
{
    struct sluice_str path = SLUICE_STR_INIT;
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    /* The XDG rules: a relative path is to be ignored. */
    if (state != NULL && state[0] == '/') {
        sluice_str_printf(&path, "%s/sluice", state);
    }
    else if (home != NULL && home[0] == '/') {
        sluice_str_printf(&path, "%s/.local/state/sluice", home);
    }
    else {
        return NULL;
    }
    return sluice_str_steal(&path);
}

sluice_status sluice_cli_state_open(const char *uri, const char *name, int32_t how,
                                    struct sluice_state **out, struct sluice_error *err)
{
    *out = NULL;
    char *folder = sluice_cli_state_folder();
    if (folder == NULL && uri == NULL) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "no folder for the state: neither HOME nor XDG_STATE_HOME is set; "
                                "set one, or write state: {uri: \"file:DIR\"} into the file");
    }
    sluice_status status = sluice_state_open(uri, folder, name, how, out, err);
    sluice_free(folder);
    if (status < 0) {
        *out = NULL;
    }
    if (status == SLUICE_E_NOT_FOUND && how == SLUICE_STATE_READ) {
        sluice_error_clear(err);
        return SLUICE_OK;
    }
    return status;
}
