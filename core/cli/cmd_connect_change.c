/* connect create, update, pause, resume, stop, restart, delete, offsets: changing what Kafka Connect does. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "confirm.h"
#include "connect_part.h"
#include "text.h"

/* Sends what was asked for; exit code. *answer may be NULL. */
static int tell(struct sluice_cli *cli, struct sluice_connect_client *client, const char *method,
                const char *path, const json_t *body, json_t **answer)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (path == NULL) {
        return sluice_cli_error_nomem(cli);
    }
    return sluice_connect_call(client, method, path, body, answer, &err) < 0
               ? sluice_cli_error_report(cli, NULL, &err)
               : SLUICE_EXIT_OK;
}

/* About a connector: "/connectors/NAME/REST". */
static int tell_of(struct sluice_cli *cli, struct sluice_connect_client *client, const char *method,
                   const char *name, const char *rest, const json_t *body, json_t **answer)
{
    char *path = sluice_connect_path(name, rest);
    const int code = tell(cli, client, method, path, body, answer);
    sluice_free(path);
    return code;
}

static void say(struct sluice_cli *cli, const char *name, const char *what)
{
    struct sluice_str text = SLUICE_STR_INIT;
    sluice_cli_text_escape(&text, name);
    sluice_str_printf(&text, ": %s\n", what);
    sluice_cli_out(cli, &text);
    sluice_str_free(&text);
}

/* ---- states ---- */

static int move_to(struct sluice_cli *cli, const char *rest, const char *state)
{
    const char *name = cli->args.words.items[0];
    struct sluice_connect_client *client = NULL;
    int code = sluice_cli_connect_open(cli, &client);
    if (code == SLUICE_EXIT_OK) {
        code = tell_of(cli, client, "PUT", name, rest, NULL, NULL);
    }
    if (code == SLUICE_EXIT_OK) {
        code = sluice_cli_connect_wait(cli, client, name, state);
    }
    sluice_connect_close(client);
    return code;
}

int sluice_cli_connect_pause(struct sluice_cli *cli)
{
    return move_to(cli, "/pause", "PAUSED");
}

int sluice_cli_connect_resume(struct sluice_cli *cli)
{
    return move_to(cli, "/resume", "RUNNING");
}

int sluice_cli_connect_stop(struct sluice_cli *cli)
{
    return move_to(cli, "/stop", "STOPPED");
}

int sluice_cli_connect_restart(struct sluice_cli *cli)
{
    const char *name = cli->args.words.items[0];
    struct sluice_connect_client *client = NULL;
    int code = sluice_cli_connect_open(cli, &client);
    if (code == SLUICE_EXIT_OK) {
        code = tell_of(cli, client, "POST", name,
                       sluice_cli_args_has(&cli->args, SLUICE_OPT_FAILED)
                           ? "/restart?includeTasks=true&onlyFailed=true"
                           : "/restart?includeTasks=true&onlyFailed=false",
                       NULL, NULL);
    }
    if (code == SLUICE_EXIT_OK) {
        code = sluice_cli_connect_wait(cli, client, name, "RUNNING");
    }
    sluice_connect_close(client);
    return code;
}

int sluice_cli_connect_delete(struct sluice_cli *cli)
{
    const char *name = cli->args.words.items[0];
    struct sluice_connect_client *client = NULL;
    int go = 0;
    int code = sluice_cli_connect_open(cli, &client);
    if (code == SLUICE_EXIT_OK) {
        code = tell_of(cli, client, "GET", name, "/status", NULL, NULL);
    }
    if (code == SLUICE_EXIT_OK) {
        say(cli, name,
            "will be deleted. Its offsets stay in Kafka, and a source's replication slot stays "
            "where it is");
        code =
            sluice_cli_confirm(cli, "Delete it? [y/N] ", "say --yes if it is to be deleted", &go);
    }
    if (code == SLUICE_EXIT_OK && go) {
        code = tell_of(cli, client, "DELETE", name, "", NULL, NULL);
        if (code == SLUICE_EXIT_OK) {
            say(cli, name, "deleted");
        }
    }
    sluice_connect_close(client);
    return code;
}

/* ---- configurations ---- */

/* Connect takes texts alone: numbers and truth values of a file become such. NULL = some value is neither. */
static json_t *flat_config(struct sluice_cli *cli, const json_t *from, const char *name)
{
    json_t *out = json_object();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)from, key, value)
    {
        char number[48];
        if (json_is_string(value)) {
            (void)json_object_set(out, key, value);
        }
        else if (json_is_boolean(value)) {
            (void)json_object_set_new(out, key,
                                      json_string(json_is_true(value) ? "true" : "false"));
        }
        else if (json_is_integer(value)) {
            (void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
            (void)json_object_set_new(out, key, json_string(number));
        }
        else {
            struct sluice_str message = SLUICE_STR_INIT;
            sluice_str_append(&message, "option ");
            sluice_cli_text_escape(&message, key);
            sluice_str_append(&message, " is no text");
            sluice_cli_error(cli, SLUICE_E_INVALID, sluice_str_text(&message),
                             "values of a connector are texts, numbers or true and false");
            sluice_str_free(&message);
            json_decref(out);
            return NULL;
        }
    }
    (void)json_object_set_new(out, "name", json_string(name));
    return out;
}

/* {"name": …, "config": {…}} as POST takes it, or the options alone. */
static int read_config(struct sluice_cli *cli, const char *name, const char *file, json_t **out)
{
    json_t *read = NULL;
    *out = NULL;
    /* Connect takes such a name, and its web server then refuses every path with it. */
    if (name[0] == '\0' || strpbrk(name, "/\\%;?#") != NULL) {
        sluice_cli_error(cli, SLUICE_E_INVALID, "not a name that Kafka Connect could be asked for",
                         "a name without / \\ % ; ? and #");
        return SLUICE_EXIT_CONFIG;
    }
    int code = sluice_cli_connect_read(cli, file, &read);
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    const json_t *config = json_object_get(read, "config");
    *out = flat_config(cli, json_is_object(config) ? config : read, name);
    json_decref(read);
    if (*out == NULL) {
        return SLUICE_EXIT_CONFIG;
    }
    if (json_object_get(*out, "connector.class") == NULL) {
        sluice_cli_error(cli, SLUICE_E_INVALID, "option connector.class is missing",
                         "sluice connect plugins lists the classes that there are");
        return SLUICE_EXIT_CONFIG;
    }
    return SLUICE_EXIT_OK;
}

/* What the plugin itself says of the options; exit code 2 when it refuses some. */
static int validate(struct sluice_cli *cli, struct sluice_connect_client *client,
                    const json_t *config)
{
    struct sluice_str path = SLUICE_STR_INIT;
    struct sluice_str text = SLUICE_STR_INIT;
    json_t *answer = NULL;
    json_t *one = NULL;
    size_t i = 0;
    size_t wrong = 0;
    /* The class has no characters of a URL, or is none. */
    const char *class_name = json_string_value(json_object_get(config, "connector.class"));
    sluice_str_printf(&path, "/connector-plugins/%.*s/config/validate",
                      (int)strspn(class_name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789._$-"),
                      class_name);
    int code = tell(cli, client, "PUT", sluice_str_text(&path), config, &answer);
    json_array_foreach(json_object_get(answer, "configs"), i, one)
    {
        const json_t *value = json_object_get(one, "value");
        const char *name = json_string_value(json_object_get(value, "name"));
        json_t *error = NULL;
        size_t k = 0;
        json_array_foreach(json_object_get(value, "errors"), k, error)
        {
            wrong++;
            sluice_str_append(&text, "option ");
            sluice_cli_text_escape(&text, name != NULL ? name : "?");
            sluice_str_append(&text, ": ");
            sluice_cli_text_escape(
                &text, json_string_value(error) != NULL ? json_string_value(error) : "refused");
            sluice_cli_error(cli, SLUICE_E_INVALID, sluice_str_text(&text), NULL);
            sluice_str_clear(&text);
        }
    }
    json_decref(answer);
    sluice_str_free(&path);
    sluice_str_free(&text);
    return code == SLUICE_EXIT_OK && wrong > 0 ? SLUICE_EXIT_CONFIG : code;
}

static void show_value(struct sluice_str *out, char sign, const char *key, const char *value)
{
    sluice_str_printf(out, "%c ", sign);
    sluice_cli_text_escape(out, key);
    sluice_str_append(out, " = ");
    if (sluice_cli_connect_is_secret(key, value)) {
        sluice_str_append(out, "***");
    }
    else {
        sluice_cli_text_escape(out, value);
    }
    sluice_str_append_char(out, '\n');
}

/* Appends what differs; answers how many do. */
static size_t show_difference(const json_t *old, const json_t *fresh, struct sluice_str *out)
{
    const char *key = NULL;
    json_t *value = NULL;
    size_t count = 0;
    json_object_foreach((json_t *)(uintptr_t)old, key, value)
    {
        const char *is = json_string_value(json_object_get(fresh, key));
        const char *was = json_string_value(value);
        if (is == NULL || was == NULL || strcmp(is, was) != 0) {
            show_value(out, '-', key, was != NULL ? was : "");
            count++;
        }
    }
    json_object_foreach((json_t *)(uintptr_t)fresh, key, value)
    {
        const char *was = json_string_value(json_object_get(old, key));
        const char *is = json_string_value(value);
        if (was == NULL || strcmp(was, is) != 0) {
            show_value(out, '+', key, is);
            count += was == NULL;
        }
    }
    return count;
}

int sluice_cli_connect_create(struct sluice_cli *cli)
{
    const char *name = cli->args.words.items[0];
    struct sluice_connect_client *client = NULL;
    json_t *config = NULL;
    int code = read_config(cli, name, cli->args.words.items[1], &config);
    if (code == SLUICE_EXIT_OK) {
        code = sluice_cli_connect_open(cli, &client);
    }
    if (code == SLUICE_EXIT_OK) {
        code = validate(cli, client, config);
    }
    if (code == SLUICE_EXIT_OK) {
        json_t *body = json_pack("{s:s,s:O}", "name", name, "config", config);
        code = tell(cli, client, "POST", "/connectors", body, NULL);
        json_decref(body);
    }
    if (code == SLUICE_EXIT_OK) {
        code = sluice_cli_connect_wait(cli, client, name, "RUNNING");
    }
    json_decref(config);
    sluice_connect_close(client);
    return code;
}

/* The state that it is in is where it stays. */
static int wait_as_it_is(struct sluice_cli *cli, struct sluice_connect_client *client,
                         const char *name)
{
    json_t *status = NULL;
    int code = tell_of(cli, client, "GET", name, "/status", NULL, &status);
    const char *state =
        json_string_value(json_object_get(json_object_get(status, "connector"), "state"));
    if (code == SLUICE_EXIT_OK) {
        const int rests =
            state != NULL && (strcmp(state, "PAUSED") == 0 || strcmp(state, "STOPPED") == 0);
        code = sluice_cli_connect_wait(cli, client, name, rests ? state : "RUNNING");
    }
    json_decref(status);
    return code;
}

int sluice_cli_connect_update(struct sluice_cli *cli)
{
    const char *name = cli->args.words.items[0];
    struct sluice_connect_client *client = NULL;
    struct sluice_str text = SLUICE_STR_INIT;
    json_t *config = NULL;
    json_t *old = NULL;
    int code = read_config(cli, name, cli->args.words.items[1], &config);
    if (code == SLUICE_EXIT_OK) {
        code = sluice_cli_connect_open(cli, &client);
    }
    if (code == SLUICE_EXIT_OK) {
        code = tell_of(cli, client, "GET", name, "/config", NULL, &old);
    }
    const size_t differ = code == SLUICE_EXIT_OK ? show_difference(old, config, &text) : 0;
    if (code == SLUICE_EXIT_OK && differ == 0) {
        say(cli, name, "nothing differs");
    }
    else if (code == SLUICE_EXIT_OK) {
        sluice_cli_out(cli, &text);
        code = validate(cli, client, config);
        if (code == SLUICE_EXIT_OK) {
            code = tell_of(cli, client, "PUT", name, "/config", config, NULL);
        }
        if (code == SLUICE_EXIT_OK) {
            code = wait_as_it_is(cli, client, name);
        }
    }
    if (cli->json) {
        (void)json_object_set_new(cli->result, "changed",
                                  json_boolean(code == SLUICE_EXIT_OK && differ > 0));
    }
    json_decref(config);
    json_decref(old);
    sluice_str_free(&text);
    sluice_connect_close(client);
    return code;
}

/* ---- offsets ---- */

static int show_offsets(struct sluice_cli *cli, struct sluice_connect_client *client,
                        const char *name)
{
    struct sluice_str text = SLUICE_STR_INIT;
    json_t *answer = NULL;
    json_t *one = NULL;
    size_t i = 0;
    const int code = tell_of(cli, client, "GET", name, "/offsets", NULL, &answer);
    const json_t *offsets = json_object_get(answer, "offsets");
    json_array_foreach(offsets, i, one)
    {
        struct sluice_str line = SLUICE_STR_INIT;
        sluice_cli_json_dump(json_object_get(one, "partition"), JSON_COMPACT, &line);
        sluice_str_append(&line, "  ");
        sluice_cli_json_dump(json_object_get(one, "offset"), JSON_COMPACT, &line);
        sluice_cli_text_escape(&text, sluice_str_text(&line));
        sluice_str_append_char(&text, '\n');
        sluice_str_free(&line);
    }
    if (code == SLUICE_EXIT_OK && cli->json) {
        (void)json_object_set(cli->result, "offsets", json_object_get(answer, "offsets"));
    }
    else if (code == SLUICE_EXIT_OK) {
        if (json_array_size(offsets) == 0) {
            sluice_str_append(&text, "no offsets\n");
        }
        sluice_cli_out(cli, &text);
    }
    json_decref(answer);
    sluice_str_free(&text);
    return code;
}

/* Connect changes offsets of stopped connectors alone, and says so at length. */
static int need_stopped(struct sluice_cli *cli, struct sluice_connect_client *client,
                        const char *name)
{
    json_t *status = NULL;
    int code = tell_of(cli, client, "GET", name, "/status", NULL, &status);
    const char *state =
        json_string_value(json_object_get(json_object_get(status, "connector"), "state"));
    if (code == SLUICE_EXIT_OK && (state == NULL || strcmp(state, "STOPPED") != 0)) {
        struct sluice_str message = SLUICE_STR_INIT;
        struct sluice_str hint = SLUICE_STR_INIT;
        sluice_str_append(&message, "connector ");
        sluice_cli_text_escape(&message, name);
        sluice_str_printf(&message, " is %s: its offsets can be changed while it is stopped alone",
                          state != NULL ? state : "unknown");
        sluice_str_append(&hint, "sluice connect stop ");
        sluice_cli_text_escape(&hint, name);
        sluice_cli_error(cli, SLUICE_E_CONFLICT, sluice_str_text(&message), sluice_str_text(&hint));
        sluice_str_free(&message);
        sluice_str_free(&hint);
        code = SLUICE_EXIT_ENVIRONMENT;
    }
    json_decref(status);
    return code;
}

static int set_offsets(struct sluice_cli *cli, struct sluice_connect_client *client,
                       const char *name)
{
    json_t *offsets = NULL;
    if (cli->args.words.count < 3) {
        sluice_cli_error(cli, SLUICE_E_INVALID, "connect offsets set needs a file",
                         "a JSON object as connect offsets show --json prints it: "
                         "{\"offsets\": [{\"partition\": {…}, \"offset\": {…}}]}");
        return SLUICE_EXIT_CONFIG;
    }
    int code = sluice_cli_connect_read(cli, cli->args.words.items[2], &offsets);
    if (code == SLUICE_EXIT_OK && !json_is_array(json_object_get(offsets, "offsets"))) {
        sluice_cli_error(cli, SLUICE_E_INVALID, "the file has no list \"offsets\"", NULL);
        code = SLUICE_EXIT_CONFIG;
    }
    if (code == SLUICE_EXIT_OK) {
        json_t *body = json_pack("{s:O}", "offsets", json_object_get(offsets, "offsets"));
        code = tell_of(cli, client, "PATCH", name, "/offsets", body, NULL);
        json_decref(body);
    }
    json_decref(offsets);
    return code;
}

static int reset_offsets(struct sluice_cli *cli, struct sluice_connect_client *client,
                         const char *name, int *go)
{
    say(cli, name,
        "forgets where it was: a source begins with its snapshot again, a sink with the "
        "beginning of its topics");
    int code = sluice_cli_confirm(cli, "Forget it? [y/N] ",
                                  "say --yes if the offsets are to be forgotten", go);
    if (code == SLUICE_EXIT_OK && *go) {
        code = tell_of(cli, client, "DELETE", name, "/offsets", NULL, NULL);
    }
    return code;
}

int sluice_cli_connect_offsets(struct sluice_cli *cli)
{
    const char *verb = cli->args.words.items[0];
    const char *name = cli->args.words.items[1];
    struct sluice_connect_client *client = NULL;
    int go = 1;
    const int set = strcmp(verb, "set") == 0;
    const int reset = strcmp(verb, "reset") == 0;
    if (!set && !reset && strcmp(verb, "show") != 0) {
        sluice_cli_error(cli, SLUICE_E_INVALID, "connect offsets takes show, set or reset",
                         "sluice connect offsets show NAME");
        return SLUICE_EXIT_CONFIG;
    }
    int code = sluice_cli_connect_open(cli, &client);
    if (code == SLUICE_EXIT_OK && (set || reset)) {
        code = need_stopped(cli, client, name);
    }
    if (code == SLUICE_EXIT_OK && set) {
        code = set_offsets(cli, client, name);
    }
    if (code == SLUICE_EXIT_OK && reset) {
        code = reset_offsets(cli, client, name, &go);
    }
    if (code == SLUICE_EXIT_OK && go) {
        code = show_offsets(cli, client, name);
    }
    sluice_connect_close(client);
    return code;
}
