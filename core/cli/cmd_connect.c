/* connect list, status, plugins, logs: looking at Kafka Connect. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "connect/cause.h"
#include "connect_part.h"
#include "table.h"
#include "text.h"

/* What was asked for; reports what went wrong. NULL = code says why. */
static json_t *ask(struct sluice_cli *cli, struct sluice_connect_client *client, const char *path,
                   int *code)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    json_t *answer = NULL;
    *code = SLUICE_EXIT_OK;
    if (path == NULL) {
        *code = sluice_cli_error_nomem(cli);
    }
    else if (sluice_connect_call(client, "GET", path, NULL, &answer, &err) < 0) {
        *code = sluice_cli_error_report(cli, NULL, &err);
    }
    else if (answer == NULL) {
        *code = SLUICE_EXIT_RUNTIME;
    }
    return answer;
}

/* "1/1 RUNNING", "1/2 RUNNING, 1 FAILED" */
static void count_tasks(const json_t *tasks, struct sluice_str *out, size_t *failed)
{
    json_t *task = NULL;
    size_t i = 0;
    size_t running = 0;
    *failed = 0;
    json_array_foreach(tasks, i, task)
    {
        const char *state = sluice_cli_connect_text(task, "state");
        running += strcmp(state, "RUNNING") == 0;
        *failed += strcmp(state, "FAILED") == 0;
    }
    sluice_str_printf(out, "%zu/%zu", running, json_array_size(tasks));
    if (*failed > 0) {
        sluice_str_printf(out, ", %zu failed", *failed);
    }
}

/* Why the first part that failed did; "" = none has. */
static void first_cause(const json_t *status, char out[SLUICE_CONNECT_CAUSE_MAX])
{
    json_t *task = NULL;
    size_t i = 0;
    const char *remedy = NULL;
    const char *trace =
        json_string_value(json_object_get(json_object_get(status, "connector"), "trace"));
    json_array_foreach(json_object_get(status, "tasks"), i, task)
    {
        trace = trace != NULL ? trace : json_string_value(json_object_get(task, "trace"));
    }
    out[0] = '\0';
    if (trace != NULL) {
        sluice_connect_cause(trace, out, &remedy);
    }
}

struct listing {
    struct sluice_cli *cli;
    struct sluice_cli_table table;
    json_t *list;
    size_t failed;
};

static void add_connector(struct listing *l, const char *name, const json_t *both)
{
    char cause[SLUICE_CONNECT_CAUSE_MAX];
    size_t failed = 0;
    struct sluice_str tasks = SLUICE_STR_INIT;
    const json_t *status = json_object_get(both, "status");
    const json_t *config = json_object_get(json_object_get(both, "info"), "config");
    const char *state = sluice_cli_connect_text(json_object_get(status, "connector"), "state");
    count_tasks(json_object_get(status, "tasks"), &tasks, &failed);
    first_cause(status, cause);
    const int bad = failed > 0 || strcmp(state, "FAILED") == 0;
    l->failed += bad ? 1u : 0u;
    sluice_cli_table_add(&l->table, SLUICE_STYLE_NAME, name);
    sluice_cli_table_add(&l->table, SLUICE_STYLE_NONE, sluice_cli_connect_text(status, "type"));
    sluice_cli_table_add(&l->table, bad ? SLUICE_STYLE_BAD : SLUICE_STYLE_NONE, state);
    sluice_cli_table_add(&l->table, failed > 0 ? SLUICE_STYLE_BAD : SLUICE_STYLE_NONE,
                         sluice_str_text(&tasks));
    sluice_cli_table_add(&l->table, SLUICE_STYLE_NONE,
                         sluice_cli_connect_text(config, "connector.class"));
    sluice_cli_table_add(&l->table, SLUICE_STYLE_NONE, cause);
    json_t *made = json_object();
    (void)json_object_set_new(made, "name", sluice_cli_json_text(name));
    (void)json_object_set_new(made, "type",
                              sluice_cli_json_text(sluice_cli_connect_text(status, "type")));
    (void)json_object_set_new(made, "state", sluice_cli_json_text(state));
    (void)json_object_set_new(
        made, "tasks",
        sluice_cli_json_count((int64_t)json_array_size(json_object_get(status, "tasks"))));
    (void)json_object_set_new(made, "tasks_failed", sluice_cli_json_count((int64_t)failed));
    (void)json_object_set_new(
        made, "class", sluice_cli_json_text(sluice_cli_connect_text(config, "connector.class")));
    (void)json_object_set_new(made, "cause",
                              cause[0] != '\0' ? sluice_cli_json_message(cause) : json_null());
    (void)json_array_append_new(l->list, made);
    sluice_str_free(&tasks);
}

static void end_listing(struct listing *l, const char *key, const char *none, int code)
{
    struct sluice_str text = SLUICE_STR_INIT;
    if (l->cli->json) {
        (void)json_object_set(l->cli->result, key, l->list);
    }
    else if (code == SLUICE_EXIT_OK && json_array_size(l->list) == 0) {
        sluice_str_printf(&text, "%s\n", none);
        sluice_cli_out(l->cli, &text);
    }
    else if (code == SLUICE_EXIT_OK) {
        sluice_cli_table_render(&l->table, &l->cli->out, &text);
        sluice_cli_out(l->cli, &text);
    }
    json_decref(l->list);
    sluice_cli_table_free(&l->table);
    sluice_str_free(&text);
}

int sluice_cli_connect_list(struct sluice_cli *cli)
{
    static const char *const headers[] = {"connector", "type", "state", "tasks", "class", "cause"};
    struct listing l = {.cli = cli, .list = json_array()};
    struct sluice_connect_client *client = NULL;
    int code = sluice_cli_connect_open(cli, &client);
    json_t *answer = NULL;
    sluice_cli_table_init(&l.table, 6, headers, 0x8, 0x30);
    if (code == SLUICE_EXIT_OK) {
        answer = ask(cli, client, "/connectors?expand=status&expand=info", &code);
    }
    const char *name = NULL;
    json_t *both = NULL;
    json_object_foreach(answer, name, both)
    {
        add_connector(&l, name, both);
    }
    end_listing(&l, "connectors", "no connectors", code);
    json_decref(answer);
    sluice_connect_close(client);
    return code == SLUICE_EXIT_OK && l.failed > 0 ? SLUICE_EXIT_RUNTIME : code;
}

int sluice_cli_connect_plugins(struct sluice_cli *cli)
{
    static const char *const headers[] = {"class", "type", "version"};
    struct listing l = {.cli = cli, .list = json_array()};
    struct sluice_connect_client *client = NULL;
    int code = sluice_cli_connect_open(cli, &client);
    json_t *answer = NULL;
    json_t *plugin = NULL;
    size_t i = 0;
    sluice_cli_table_init(&l.table, 3, headers, 0, 0x1);
    if (code == SLUICE_EXIT_OK) {
        answer = ask(cli, client,
                     sluice_cli_args_has(&cli->args, SLUICE_OPT_ALL)
                         ? "/connector-plugins?connectorsOnly=false"
                         : "/connector-plugins",
                     &code);
    }
    json_array_foreach(answer, i, plugin)
    {
        static const char *const keys[] = {"class", "type", "version"};
        json_t *made = json_object();
        for (size_t k = 0; k < 3; k++) {
            sluice_cli_table_add(&l.table, k == 0 ? SLUICE_STYLE_NAME : SLUICE_STYLE_NONE,
                                 sluice_cli_connect_text(plugin, keys[k]));
            (void)json_object_set_new(
                made, keys[k], sluice_cli_json_text(sluice_cli_connect_text(plugin, keys[k])));
        }
        (void)json_array_append_new(l.list, made);
    }
    end_listing(&l, "plugins", "no plugins: nothing is in plugin.path", code);
    json_decref(answer);
    sluice_connect_close(client);
    return code;
}

int sluice_cli_connect_status(struct sluice_cli *cli)
{
    struct sluice_connect_client *client = NULL;
    int code = sluice_cli_connect_open(cli, &client);
    if (code == SLUICE_EXIT_OK) {
        char *path = sluice_connect_path(cli->args.words.items[0], "/status");
        json_t *status = ask(cli, client, path, &code);
        if (status != NULL && sluice_cli_connect_show(cli, status)) {
            code = SLUICE_EXIT_RUNTIME;
        }
        json_decref(status);
        sluice_free(path);
    }
    sluice_connect_close(client);
    return code;
}

/* ---- loggers ---- */

static int show_loggers(struct sluice_cli *cli, struct sluice_connect_client *client,
                        const char *wanted)
{
    static const char *const headers[] = {"logger", "level"};
    struct listing l = {.cli = cli, .list = json_array()};
    int code = SLUICE_EXIT_OK;
    json_t *answer = ask(cli, client, "/admin/loggers", &code);
    const char *name = NULL;
    json_t *logger = NULL;
    sluice_cli_table_init(&l.table, 2, headers, 0, 0);
    json_object_foreach(answer, name, logger)
    {
        if (wanted != NULL && strcmp(name, wanted) != 0) {
            continue;
        }
        json_t *made = json_object();
        (void)json_object_set_new(made, "logger", sluice_cli_json_text(name));
        (void)json_object_set_new(made, "level",
                                  sluice_cli_json_text(sluice_cli_connect_text(logger, "level")));
        (void)json_array_append_new(l.list, made);
        sluice_cli_table_add(&l.table, SLUICE_STYLE_NAME, name);
        sluice_cli_table_add(&l.table, SLUICE_STYLE_NONE, sluice_cli_connect_text(logger, "level"));
    }
    end_listing(&l, "loggers", "no such logger has a level of its own", code);
    json_decref(answer);
    return code;
}

/* On all workers (KIP-976), which take it over one by one; those before 3.7 set the one that was asked. */
static int set_logger(struct sluice_cli *cli, struct sluice_connect_client *client,
                      const char *logger, const char *level)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_str path = SLUICE_STR_INIT;
    json_t *body = json_pack("{s:s}", "level", level);
    if (strspn(logger, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._$-") !=
        strlen(logger)) {
        json_decref(body);
        sluice_cli_error(cli, SLUICE_E_INVALID, "not the name of a logger",
                         "as in org.apache.kafka.connect, or root");
        return SLUICE_EXIT_CONFIG;
    }
    sluice_str_printf(&path, "/admin/loggers/%s?scope=cluster", logger);
    const sluice_status status =
        sluice_connect_call(client, "PUT", sluice_str_text(&path), body, NULL, &err);
    json_decref(body);
    sluice_str_free(&path);
    if (status < 0) {
        return sluice_cli_error_report(cli, NULL, &err);
    }
    struct sluice_str text = SLUICE_STR_INIT;
    sluice_str_printf(&text, "%s is set to %s\n", logger, level);
    sluice_cli_out(cli, &text);
    sluice_str_free(&text);
    return SLUICE_EXIT_OK;
}

int sluice_cli_connect_logs(struct sluice_cli *cli)
{
    const struct sluice_cli_list *words = &cli->args.words;
    struct sluice_connect_client *client = NULL;
    if (strcmp(words->items[0], "level") != 0) {
        sluice_cli_error(cli, SLUICE_E_INVALID, "connect logs has one word, level", NULL);
        return SLUICE_EXIT_CONFIG;
    }
    int code = sluice_cli_connect_open(cli, &client);
    if (code == SLUICE_EXIT_OK && words->count == 3) {
        code = set_logger(cli, client, words->items[1], words->items[2]);
    }
    else if (code == SLUICE_EXIT_OK) {
        code = show_loggers(cli, client, words->count > 1 ? words->items[1] : NULL);
    }
    sluice_connect_close(client);
    return code;
}
