#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/failpoint.h"
#include "help.h"
#include "log/log.h"
#include "process.h"
#include "text.h"

/* ---------------------------------------------------------------- output --------------------- */

static void write_out(struct sluice_cli *cli, const struct sluice_str *text)
{
    if (text->failed) {
        cli->out_failed = cli->out_failed != 0 ? cli->out_failed : ENOMEM;
        return;
    }
    if (text->size > 0 && !sluice_cli_term_write(STDOUT_FILENO, text->data, text->size)) {
        cli->out_failed = cli->out_failed != 0 ? cli->out_failed : errno;
    }
}

void sluice_cli_out_always(struct sluice_cli *cli, struct sluice_str *text)
{
    write_out(cli, text);
    sluice_str_clear(text);
}

void sluice_cli_out(struct sluice_cli *cli, struct sluice_str *text)
{
    if (!cli->quiet && !cli->json) {
        write_out(cli, text);
    }
    sluice_str_clear(text);
}

void sluice_cli_out_json(struct sluice_cli *cli, json_t *json)
{
    struct sluice_str line = SLUICE_STR_INIT;
    sluice_cli_json_dump(json, JSON_COMPACT, &line);
    sluice_str_append_char(&line, '\n');
    write_out(cli, &line);
    sluice_str_free(&line);
    json_decref(json);
}

/* ---------------------------------------------------------------- errors --------------------- */

int sluice_cli_exit_code(sluice_status status)
{
    switch (status) {
    case SLUICE_E_INVALID:
    case SLUICE_E_UNSUPPORTED:
        return SLUICE_EXIT_CONFIG;
    case SLUICE_E_UNAVAILABLE:
    case SLUICE_E_AUTH:
    case SLUICE_E_PERMISSION:
    case SLUICE_E_NOT_FOUND:
    case SLUICE_E_CONFLICT:
    case SLUICE_E_POSITION_LOST:
        return SLUICE_EXIT_ENVIRONMENT;
    default:
        return status < 0 ? SLUICE_EXIT_RUNTIME : SLUICE_EXIT_OK;
    }
}

void sluice_cli_error(struct sluice_cli *cli, sluice_status status, const char *message,
                      const char *hint)
{
    struct sluice_str text = SLUICE_STR_INIT;
    struct sluice_str safe = SLUICE_STR_INIT;
    const struct sluice_cli_term *term = &cli->err;
    sluice_cli_text_escape_lines(&safe, message, 2);
    sluice_cli_term_append(term, &text, SLUICE_STYLE_BAD, "sluice: error:");
    sluice_str_append_char(&text, ' ');
    sluice_str_append(&text, sluice_str_text(&safe));
    sluice_str_append_char(&text, '\n');
    if (hint != NULL && hint[0] != '\0') {
        sluice_str_clear(&safe);
        sluice_cli_text_escape_lines(&safe, hint, 8);
        sluice_cli_term_append(term, &text, SLUICE_STYLE_DIM, "  hint:");
        sluice_str_append_char(&text, ' ');
        sluice_str_append(&text, sluice_str_text(&safe));
        sluice_str_append_char(&text, '\n');
    }
    if (!text.failed) {
        sluice_log_redact(text.data);
        (void)sluice_cli_term_write(STDERR_FILENO, text.data, text.size);
    }
    hint = hint != NULL && hint[0] != '\0' ? hint : NULL;
    if (cli->result != NULL && json_object_get(cli->result, "error") == NULL) {
        json_t *error = json_object();
        (void)json_object_set_new(error, "status", json_string(sluice_status_name(status)));
        (void)json_object_set_new(error, "message", sluice_cli_json_message(message));
        (void)json_object_set_new(error, "hint", sluice_cli_json_message(hint));
        (void)json_object_set_new(cli->result, "error", error);
    }
    sluice_str_free(&safe);
    sluice_str_free(&text);
}

size_t sluice_cli_error_hint(const char *message, struct sluice_str *hint)
{
    static const char mark[] = "(hint: ";
    size_t size = strlen(message);
    const char *found = NULL;
    for (const char *p = strstr(message, mark); p != NULL; p = strstr(p + 1, mark)) {
        found = p;
    }
    if (found == NULL || message[size - 1] != ')') {
        return size;
    }
    const char *text = found + sizeof mark - 1;
    sluice_str_append_n(hint, text, (size_t)(message + size - 1 - text));
    while (found > message && found[-1] == ' ') {
        found--;
    }
    return (size_t)(found - message);
}

const char *sluice_cli_error_about(const char *message, const char *name)
{
    static const char *const heads[] = {"read table ", "table ", "stream "};
    size_t size = name != NULL ? strlen(name) : 0;
    for (size_t i = 0; size > 0 && i < sizeof heads / sizeof heads[0]; i++) {
        size_t head = strlen(heads[i]);
        if (strncmp(message, heads[i], head) == 0 && strncmp(message + head, name, size) == 0 &&
            strncmp(message + head + size, ": ", 2) == 0) {
            return message + head + size + 2;
        }
    }
    return message;
}

int sluice_cli_error_report(struct sluice_cli *cli, const char *context,
                            const struct sluice_error *err)
{
    struct sluice_str message = SLUICE_STR_INIT;
    struct sluice_str hint = SLUICE_STR_INIT;
    const char *text = err->message[0] != '\0' ? err->message : sluice_status_name(err->status);
    if (context != NULL) {
        sluice_str_printf(&message, "%s: ", context);
    }
    sluice_str_append_n(&message, text, sluice_cli_error_hint(text, &hint));
    sluice_cli_error(cli, err->status, message.failed ? text : sluice_str_text(&message),
                     hint.failed ? NULL : sluice_str_text(&hint));
    sluice_str_free(&hint);
    sluice_str_free(&message);
    int code = sluice_cli_exit_code(err->status);
    return code != SLUICE_EXIT_OK ? code : SLUICE_EXIT_RUNTIME;
}

int sluice_cli_error_nomem(struct sluice_cli *cli)
{
    sluice_cli_error(cli, SLUICE_E_NOMEM, "out of memory", NULL);
    return SLUICE_EXIT_RUNTIME;
}

void sluice_cli_warn(struct sluice_cli *cli, const char *format, ...)
{
    char message[1024];
    struct sluice_str text = SLUICE_STR_INIT;
    va_list args;
    if (cli->quiet) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    sluice_log_redact(message);
    sluice_cli_term_append(&cli->err, &text, SLUICE_STYLE_WARN, "sluice: warning:");
    sluice_str_append_char(&text, ' ');
    sluice_cli_text_escape_lines(&text, message, 2);
    sluice_str_append_char(&text, '\n');
    if (!text.failed) {
        (void)sluice_cli_term_write(STDERR_FILENO, text.data, text.size);
    }
    sluice_str_free(&text);
}

/* ---------------------------------------------------------------- names ---------------------- */

const char *sluice_cli_mode_name(int32_t mode)
{
    switch (mode) {
    case SLUICE_MODE_FULL_LOAD_ONLY:
        return "full_load_only";
    case SLUICE_MODE_CDC_ONLY:
        return "cdc_only";
    case SLUICE_MODE_FULL_LOAD_AND_CDC:
        return "full_load_and_cdc";
    default:
        return "?";
    }
}

const char *sluice_cli_kind_name(int32_t component_kind)
{
    switch (component_kind) {
    case SLUICE_SOURCE:
        return "source";
    case SLUICE_SINK:
        return "sink";
    case SLUICE_TRANSFORM:
        return "transform";
    default:
        return "?";
    }
}

/* ---------------------------------------------------------------- the program ---------------- */

void sluice_cli_log_setup(const struct sluice_cli *cli, int32_t otherwise)
{
    static const char *const names[] = {"error", "warn", "info", "debug", "trace"};
    const char *wanted = cli->args.value[SLUICE_OPT_LOG_LEVEL];
    const char *format = cli->args.value[SLUICE_OPT_LOG_FORMAT];
    int32_t level = otherwise;
    for (size_t i = 0; wanted != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(wanted, names[i]) == 0) {
            level = SLUICE_LOG_ERROR + (int32_t)i;
        }
    }
    sluice_log_setup(level,
                     format != NULL && strcmp(format, "json") == 0 ? SLUICE_LOG_FORMAT_JSON
                                                                   : SLUICE_LOG_FORMAT_TEXT,
                     cli->err.color);
}

static int usage_error(struct sluice_cli *cli, struct sluice_cli_usage *usage)
{
    sluice_cli_error(cli, SLUICE_E_INVALID, sluice_str_text(&usage->message),
                     sluice_str_text(&usage->hint));
    return SLUICE_EXIT_CONFIG;
}

static void ask_to_cancel(void *ctx, int signal)
{
    struct sluice_cli *cli = ctx;
    (void)signal;
    sluice_cancel_raise(&cli->cancel);
}

static int run_cancellable(struct sluice_cli *cli, const struct sluice_cli_command *command)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (sluice_signals_start(&cli->signals, ask_to_cancel, cli, &err) < 0) {
        return sluice_cli_error_report(cli, NULL, &err);
    }
    int code = command->run(cli);
    sluice_signals_stop(&cli->signals);
    int signal = sluice_signals_first(&cli->signals);
    return signal != 0 ? 128 + signal : code;
}

/* Tests make the engine fail at named places; nobody sets the variable by accident. */
static int arm_failpoints(struct sluice_cli *cli)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    const char *spec = getenv("SLUICE_FAILPOINTS");
    if (spec == NULL || spec[0] == '\0') {
        return SLUICE_EXIT_OK;
    }
    if (sluice_failpoints_arm(spec, &err) < 0) {
        return sluice_cli_error_report(cli, "SLUICE_FAILPOINTS", &err);
    }
    sluice_cli_warn(cli, "failpoints are armed: %s", spec);
    return SLUICE_EXIT_OK;
}

/* A pattern that can match nothing would be taken for one that happens to. */
static int check_patterns(struct sluice_cli *cli)
{
    char why[256];
    for (size_t i = 0; i < cli->args.tables.count; i++) {
        const char *pattern = cli->args.tables.items[i];
        if (!sluice_config_pattern_check(pattern, why, sizeof why)) {
            struct sluice_str message = SLUICE_STR_INIT;
            sluice_str_printf(&message, "--tables: %s: %s", why, pattern);
            sluice_cli_error(cli, SLUICE_E_INVALID, sluice_str_text(&message),
                             "globs: * ? [a-z]; regular expressions: re:…");
            sluice_str_free(&message);
            return SLUICE_EXIT_CONFIG;
        }
    }
    return SLUICE_EXIT_OK;
}

static int run_command(struct sluice_cli *cli)
{
    const struct sluice_cli_command *command = cli->args.command;
    struct sluice_str text = SLUICE_STR_INIT;
    struct sluice_error err = SLUICE_ERROR_INIT;
    int code = SLUICE_EXIT_OK;
    if (sluice_cli_args_has(&cli->args, SLUICE_OPT_HELP)) {
        sluice_cli_help_text(command, cli->args.words.count > 0 ? cli->args.words.items[0] : NULL,
                             &cli->out, &text);
        sluice_cli_out_always(cli, &text);
        sluice_str_free(&text);
        cli->json = 0;
        return SLUICE_EXIT_OK;
    }
    if (command == NULL) {
        if (sluice_cli_args_has(&cli->args, SLUICE_OPT_VERSION)) {
            return sluice_cli_version(cli);
        }
        sluice_cli_error(cli, SLUICE_E_INVALID, "no command given",
                         "'sluice help' lists the commands");
        return SLUICE_EXIT_CONFIG;
    }
    code = arm_failpoints(cli);
    if (code == SLUICE_EXIT_OK) {
        code = check_patterns(cli);
    }
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    if (sluice_cancel_init(&cli->cancel, &err) < 0) {
        return sluice_cli_error_report(cli, NULL, &err);
    }
    code = command->signal == SLUICE_CLI_SIGNAL_CANCEL ? run_cancellable(cli, command)
                                                       : command->run(cli);
    sluice_cancel_free(&cli->cancel);
    return code;
}

/* The one object of --json: what the command found, and how it ended. */
static int finish(struct sluice_cli *cli, int code)
{
    if (cli->json && cli->result != NULL) {
        struct sluice_str text = SLUICE_STR_INIT;
        (void)json_object_set_new(cli->result, "ok", json_boolean(code == SLUICE_EXIT_OK));
        (void)json_object_set_new(cli->result, "exit_code", json_integer(code));
        sluice_cli_json_dump(cli->result, cli->out.is_terminal ? JSON_INDENT(2) : JSON_COMPACT,
                             &text);
        sluice_str_append_char(&text, '\n');
        sluice_cli_out_always(cli, &text);
        sluice_str_free(&text);
    }
    /* A reader that has seen enough (head) is no failure of ours; a full disk is. */
    if (cli->out_failed != 0 && cli->out_failed != EPIPE) {
        struct sluice_error err = SLUICE_ERROR_INIT;
        (void)sluice_error_errno(&err, cli->out_failed, "cannot write standard output");
        (void)sluice_cli_error_report(cli, NULL, &err);
        code = code != SLUICE_EXIT_OK ? code : SLUICE_EXIT_RUNTIME;
    }
    return code;
}

int sluice_cli_main(int argc, char *const *argv)
{
    struct sluice_cli cli;
    struct sluice_cli_usage usage;
    memset(&cli, 0, sizeof cli);
    int fine = sluice_cli_args_parse(&cli.args, argc, argv, sluice_cli_commands, &usage);
    const struct sluice_cli_args *args = &cli.args;
    sluice_process_setup(sluice_cli_args_has(args, SLUICE_OPT_ALLOW_CORE));
    sluice_log_secrets_of_environment();
    cli.quiet = sluice_cli_args_has(args, SLUICE_OPT_QUIET);
    sluice_cli_term_init(&cli.out, STDOUT_FILENO, sluice_cli_args_has(args, SLUICE_OPT_NO_COLOR));
    sluice_cli_term_init(&cli.err, STDERR_FILENO, sluice_cli_args_has(args, SLUICE_OPT_NO_COLOR));
    /* Commands that only look say what they found themselves. */
    int works = args->command != NULL && args->command->signal == SLUICE_CLI_SIGNAL_DRAIN;
    sluice_cli_log_setup(&cli, cli.quiet ? SLUICE_LOG_ERROR
                               : works   ? SLUICE_LOG_INFO
                                         : SLUICE_LOG_WARN);
    for (int i = 1; i < argc; i++) {
        /* Also when parsing stopped before it: a mistake is then told as JSON too. */
        cli.json = cli.json || strcmp(argv[i], "--json") == 0;
    }
    if (cli.json) {
        cli.result = json_object();
        (void)json_object_set_new(cli.result, "command",
                                  args->command != NULL ? json_string(args->command->name)
                                                        : json_null());
    }
    int code = finish(&cli, fine ? run_command(&cli) : usage_error(&cli, &usage));
    sluice_cli_usage_free(&usage);
    if (cli.registry != NULL) {
        sluice_registry_destroy(cli.registry);
    }
    json_decref(cli.result);
    sluice_cli_args_free(&cli.args);
    sluice_log_secrets_clear();
    return code;
}
