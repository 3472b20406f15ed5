/* version, help, completion, schema, failpoints: what needs no pipeline. */
#include <string.h>

#include "base/alloc.h"
#include "base/failpoint.h"
#include "cli.h"
#include "help.h"

#ifndef SLUICE_VERSION
#error "SLUICE_VERSION comes from the build"
#endif

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown compiler"
#endif

#if defined(__SANITIZE_ADDRESS__)
#define BUILD "address sanitizer, " COMPILER
#elif defined(__SANITIZE_THREAD__)
#define BUILD "thread sanitizer, " COMPILER
#elif defined(NDEBUG)
#define BUILD "release, " COMPILER
#else
#define BUILD "debug, " COMPILER
#endif

int sluice_cli_version(struct sluice_cli *cli)
{
    struct sluice_str text = SLUICE_STR_INIT;
    sluice_str_printf(&text, "sluice %s (plugin interface %u.%u; %s)\n", SLUICE_VERSION,
                      SLUICE_ABI_MAJOR, SLUICE_ABI_MINOR, BUILD);
    if (cli->json) {
        json_t *abi = json_object();
        (void)json_object_set_new(abi, "major", json_integer(SLUICE_ABI_MAJOR));
        (void)json_object_set_new(abi, "minor", json_integer(SLUICE_ABI_MINOR));
        (void)json_object_set_new(cli->result, "version", json_string(SLUICE_VERSION));
        (void)json_object_set_new(cli->result, "abi", abi);
        (void)json_object_set_new(cli->result, "build", json_string(BUILD));
    }
    else {
        sluice_cli_out_always(cli, &text);
    }
    sluice_str_free(&text);
    return SLUICE_EXIT_OK;
}

/* For the tests that arm each in turn: a name a line; --json tells what each can do. */
int sluice_cli_failpoints(struct sluice_cli *cli)
{
    struct sluice_str text = SLUICE_STR_INIT;
    json_t *list = json_array();
    size_t count = 0;
    const struct sluice_failpoint_name *names = sluice_failpoint_names(&count);
    for (size_t i = 0; i < count; i++) {
        json_t *object = json_object();
        sluice_str_printf(&text, "%s\n", names[i].name);
        (void)json_object_set_new(object, "name", json_string(names[i].name));
        (void)json_object_set_new(object, "kind",
                                  json_string(sluice_failpoint_kind_text(names[i].kind)));
        (void)json_object_set_new(object, "what", json_string(names[i].what));
        (void)json_array_append_new(list, object);
    }
    if (cli->json) {
        (void)json_object_set(cli->result, "failpoints", list);
    }
    else {
        sluice_cli_out_always(cli, &text);
    }
    json_decref(list);
    sluice_str_free(&text);
    return SLUICE_EXIT_OK;
}

int sluice_cli_help(struct sluice_cli *cli)
{
    struct sluice_str text = SLUICE_STR_INIT;
    const struct sluice_cli_list *words = &cli->args.words;
    const struct sluice_cli_command *command = NULL;
    size_t used = 0;
    int code = SLUICE_EXIT_OK;
    if (sluice_cli_args_has(&cli->args, SLUICE_OPT_MAN)) {
        sluice_cli_help_man(&text);
    }
    else {
        command = sluice_cli_command_find(sluice_cli_commands, words->items, words->count, &used);
        sluice_cli_help_text(command, command == NULL && words->count == 1 ? words->items[0] : NULL,
                             &cli->out, &text);
        if ((command == NULL && words->count > 1) || text.size == 0) {
            struct sluice_str message = SLUICE_STR_INIT;
            sluice_str_printf(&message, "unknown command '%s%s%s'", words->items[0],
                              words->count > 1 ? " " : "", words->count > 1 ? words->items[1] : "");
            sluice_cli_error(cli, SLUICE_E_INVALID, sluice_str_text(&message),
                             "'sluice help' lists the commands");
            sluice_str_free(&message);
            sluice_str_clear(&text);
            code = SLUICE_EXIT_CONFIG;
        }
    }
    cli->json = cli->json && code != SLUICE_EXIT_OK;
    sluice_cli_out_always(cli, &text);
    sluice_str_free(&text);
    return code;
}

int sluice_cli_completion(struct sluice_cli *cli)
{
    struct sluice_str text = SLUICE_STR_INIT;
    int code = SLUICE_EXIT_OK;
    if (sluice_cli_help_completion(cli->args.words.items[0], &text)) {
        cli->json = 0;
        sluice_cli_out_always(cli, &text);
    }
    else {
        sluice_cli_error(cli, SLUICE_E_INVALID, "no completion for that shell",
                         "usage: sluice completion bash | zsh | fish");
        code = SLUICE_EXIT_CONFIG;
    }
    sluice_str_free(&text);
    return code;
}

int sluice_cli_schema(struct sluice_cli *cli)
{
    const struct sluice_component **components = NULL;
    struct sluice_str text = SLUICE_STR_INIT;
    char *schema = NULL;
    int code = sluice_cli_plugins_open(cli);
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    /* The document is the answer, also with --json: no envelope around it. */
    cli->json = 0;
    size_t count = sluice_registry_component_count(cli->registry);
    components = sluice_alloc_zero(count + 1, sizeof *components);
    if (components != NULL) {
        for (size_t i = 0; i < count; i++) {
            components[i] = sluice_registry_component(cli->registry, i);
        }
        schema = sluice_pipeline_schema(components, count);
    }
    if (schema == NULL) {
        code = sluice_cli_error_nomem(cli);
    }
    else {
        sluice_str_append(&text, schema);
        if (text.size > 0 && text.data[text.size - 1] != '\n') {
            sluice_str_append_char(&text, '\n');
        }
        sluice_cli_out_always(cli, &text);
    }
    sluice_str_free(&text);
    sluice_free(schema);
    sluice_free(components);
    return code;
}
