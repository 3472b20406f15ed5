#include "connect_part.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "connect/cause.h"
#include "log/log.h"
#include "table.h"
#include "text.h"

#define TIMEOUT_US 30000000ll
#define WAIT_US 60000000ll
#define LOOK_US 300000ll

int sluice_cli_connect_open(struct sluice_cli *cli, struct sluice_connect_client **out)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    const char *url = cli->args.value[SLUICE_OPT_CONNECT];
    const struct sluice_connect_settings settings = {
        .url = url != NULL ? url : getenv("SLUICE_CONNECT_URL"),
        .user = getenv("SLUICE_CONNECT_USER"),
        .password = getenv("SLUICE_CONNECT_PASSWORD"),
        .ca_file = cli->args.value[SLUICE_OPT_CA],
        .timeout_us = TIMEOUT_US};
    if (settings.url == NULL || settings.url[0] == '\0') {
        sluice_cli_error(cli, SLUICE_E_INVALID, "where is Kafka Connect?",
                         "--connect http://host:8083, or the variable SLUICE_CONNECT_URL");
        return SLUICE_EXIT_CONFIG;
    }
    if (settings.password != NULL) {
        sluice_log_secret_add(settings.password);
    }
    return sluice_connect_open(&settings, &cli->cancel, out, &err) < 0
               ? sluice_cli_error_report(cli, NULL, &err)
               : SLUICE_EXIT_OK;
}

int sluice_cli_connect_read(struct sluice_cli *cli, const char *file, json_t **out)
{
    json_error_t at;
    struct sluice_str message = SLUICE_STR_INIT;
    FILE *stream = fopen(file, "rbe");
    *out = NULL;
    if (stream == NULL) {
        struct sluice_error err = SLUICE_ERROR_INIT;
        (void)sluice_error_errno(&err, errno, "cannot read %s", file);
        sluice_str_append(&message, err.message);
    }
    else {
        *out = json_loadf(stream, JSON_REJECT_DUPLICATES, &at);
        (void)fclose(stream);
        if (*out == NULL) {
            sluice_str_printf(&message, "%s:%d:%d: no JSON: %s", file, at.line, at.column, at.text);
        }
        else if (!json_is_object(*out)) {
            json_decref(*out);
            *out = NULL;
            sluice_str_printf(&message, "%s: no JSON object", file);
        }
    }
    if (*out == NULL) {
        sluice_cli_error(cli, SLUICE_E_INVALID, sluice_str_text(&message), NULL);
    }
    sluice_str_free(&message);
    return *out != NULL ? SLUICE_EXIT_OK : SLUICE_EXIT_CONFIG;
}

int sluice_cli_connect_is_secret(const char *key, const char *value)
{
    static const char *const words[] = {"password",  "secret",     "token",  "credential",
                                        "jaas",      "access.key", "passwd", "private.key",
                                        "user.info", "api.key"};
    if (value != NULL && strncmp(value, "${", 2) == 0) {
        return 0;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasestr(key, words[i]) != NULL) {
            return 1;
        }
    }
    return 0;
}

/* ---- states ---- */

const char *sluice_cli_connect_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "-";
}

static int style_of(const char *state)
{
    return strcmp(state, "RUNNING") == 0                                   ? SLUICE_STYLE_GOOD
           : strcmp(state, "FAILED") == 0                                  ? SLUICE_STYLE_BAD
           : strcmp(state, "PAUSED") == 0 || strcmp(state, "STOPPED") == 0 ? SLUICE_STYLE_WARN
                                                                           : SLUICE_STYLE_NONE;
}

static void add_cause(json_t *made, const json_t *part, const char *name, struct sluice_str *text)
{
    char cause[SLUICE_CONNECT_CAUSE_MAX];
    const char *remedy = NULL;
    const char *trace = json_string_value(json_object_get(part, "trace"));
    if (trace == NULL) {
        return;
    }
    sluice_connect_cause(trace, cause, &remedy);
    (void)json_object_set_new(made, "cause", sluice_cli_json_message(cause));
    (void)json_object_set_new(made, "remedy", sluice_cli_json_text(remedy));
    sluice_str_printf(text, "%s: ", name);
    sluice_cli_text_escape(text, cause);
    sluice_str_append_char(text, '\n');
    if (remedy != NULL) {
        sluice_str_printf(text, "  hint: %s\n", remedy);
    }
}

/* One of the connector or its tasks: a row, and why it failed. 1 = it has. */
static int add_part(const json_t *part, const char *name, struct sluice_cli_table *table,
                    json_t *list, struct sluice_str *causes)
{
    json_t *made = json_object();
    const char *state = sluice_cli_connect_text(part, "state");
    (void)json_object_set_new(made, "part", sluice_cli_json_text(name));
    (void)json_object_set_new(made, "state", sluice_cli_json_text(state));
    (void)json_object_set_new(made, "worker",
                              sluice_cli_json_text(sluice_cli_connect_text(part, "worker_id")));
    sluice_cli_table_add(table, SLUICE_STYLE_NONE, name);
    sluice_cli_table_add(table, style_of(state), state);
    sluice_cli_table_add(table, SLUICE_STYLE_NONE, sluice_cli_connect_text(part, "worker_id"));
    const int failed = strcmp(state, "FAILED") == 0;
    if (failed) {
        add_cause(made, part, name, causes);
    }
    (void)json_array_append_new(list, made);
    return failed;
}

int sluice_cli_connect_show(struct sluice_cli *cli, const json_t *status)
{
    static const char *const headers[] = {"part", "state", "worker"};
    struct sluice_cli_table table;
    struct sluice_str text = SLUICE_STR_INIT;
    struct sluice_str causes = SLUICE_STR_INIT;
    const json_t *connector = json_object_get(status, "connector");
    json_t *parts = json_array();
    json_t *task = NULL;
    size_t i = 0;
    sluice_cli_table_init(&table, 3, headers, 0, 0);
    int failed = add_part(connector, "connector", &table, parts, &causes);
    json_array_foreach(json_object_get(status, "tasks"), i, task)
    {
        char name[32];
        (void)snprintf(name, sizeof name, "task %lld",
                       (long long)json_integer_value(json_object_get(task, "id")));
        failed |= add_part(task, name, &table, parts, &causes);
    }
    sluice_cli_text_escape(&text, sluice_cli_connect_text(status, "name"));
    sluice_str_printf(&text, "  %s  ", sluice_cli_connect_text(status, "type"));
    sluice_cli_text_escape(&text, sluice_cli_connect_text(connector, "version"));
    sluice_str_append_char(&text, '\n');
    sluice_cli_table_render(&table, &cli->out, &text);
    sluice_str_append(&text, sluice_str_text(&causes));
    if (cli->json) {
        json_t *made = json_object();
        (void)json_object_set_new(made, "name",
                                  sluice_cli_json_text(sluice_cli_connect_text(status, "name")));
        (void)json_object_set_new(made, "type",
                                  sluice_cli_json_text(sluice_cli_connect_text(status, "type")));
        (void)json_object_set_new(
            made, "version", sluice_cli_json_text(sluice_cli_connect_text(connector, "version")));
        (void)json_object_set_new(made, "parts", json_incref(parts));
        (void)json_object_set_new(cli->result, "connector", made);
    }
    else {
        sluice_cli_out(cli, &text);
    }
    json_decref(parts);
    sluice_cli_table_free(&table);
    sluice_str_free(&text);
    sluice_str_free(&causes);
    return failed;
}

/* 1 = all are in the state; -1 = one has failed; 0 = not yet. */
static int look_at(const json_t *status, const char *wanted)
{
    json_t *task = NULL;
    size_t i = 0;
    const json_t *tasks = json_object_get(status, "tasks");
    const char *state = sluice_cli_connect_text(json_object_get(status, "connector"), "state");
    int all = strcmp(state, wanted) == 0;
    int failed = strcmp(state, "FAILED") == 0;
    json_array_foreach(tasks, i, task)
    {
        const char *of_task = sluice_cli_connect_text(task, "state");
        all &= strcmp(of_task, wanted) == 0;
        failed |= strcmp(of_task, "FAILED") == 0;
    }
    /* A connector that runs gets its tasks a moment later; one that is stopped has none. */
    const int stopped = strcmp(wanted, "STOPPED") == 0;
    all &= stopped ? json_array_size(tasks) == 0 : json_array_size(tasks) > 0;
    return all ? 1 : failed && !stopped ? -1 : 0;
}

int sluice_cli_connect_wait(struct sluice_cli *cli, struct sluice_connect_client *client,
                            const char *name, const char *state)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_str message = SLUICE_STR_INIT;
    const int64_t until = sluice_now_us(SLUICE_CLOCK_MONOTONIC) + WAIT_US;
    char *path = sluice_connect_path(name, "/status");
    json_t *status = NULL;
    int code = path != NULL ? SLUICE_EXIT_OK : sluice_cli_error_nomem(cli);
    int seen = 0;
    int failed_looks = 0;
    while (code == SLUICE_EXIT_OK && seen != 1) {
        json_decref(status);
        status = NULL;
        err = (struct sluice_error)SLUICE_ERROR_INIT;
        const sluice_status called = sluice_connect_call(client, "GET", path, NULL, &status, &err);
        /* A connector that was just made may not be known to all workers yet. */
        if (called < 0 && called != SLUICE_E_NOT_FOUND) {
            code = sluice_cli_error_report(cli, NULL, &err);
            break;
        }
        seen = called < 0 ? 0 : look_at(status, state);
        /* The state before a restart is shown for a moment. */
        failed_looks = seen < 0 ? failed_looks + 1 : 0;
        if (seen == 1 || failed_looks > 3 || sluice_now_us(SLUICE_CLOCK_MONOTONIC) > until ||
            sluice_cancel_sleep(&cli->cancel, LOOK_US)) {
            break;
        }
    }
    if (code == SLUICE_EXIT_OK && status != NULL) {
        const int failed = sluice_cli_connect_show(cli, status);
        if (seen != 1) {
            sluice_str_append(&message, "connector ");
            sluice_cli_text_escape(&message, name);
            sluice_str_printf(&message,
                              failed ? ": it or a task of it has failed"
                                     : " is not %s yet: it was waited for a minute",
                              state);
            sluice_cli_error(cli, SLUICE_E_UNAVAILABLE, sluice_str_text(&message), NULL);
            code = SLUICE_EXIT_RUNTIME;
        }
    }
    json_decref(status);
    sluice_str_free(&message);
    sluice_free(path);
    return code;
}
