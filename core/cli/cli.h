/*
 * The command line program: what all commands share. One struct sluice_cli lives as long as the
 * process's one command. [ctl] unless said otherwise.
 */
#ifndef SLUICE_CLI_CLI_H
#define SLUICE_CLI_CLI_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "args.h"
#include "base/cancel.h"
#include "base/str.h"
#include "config/pipeline.h"
#include "plugin/registry.h"
#include "signals.h"
#include "sluice/error.h"
#include "state/state.h"
#include "term.h"

enum {
    SLUICE_EXIT_OK = 0,
    SLUICE_EXIT_RUNTIME = 1,
    SLUICE_EXIT_CONFIG = 2,
    SLUICE_EXIT_ENVIRONMENT = 3,
    SLUICE_EXIT_REJECTED = 4
};

struct sluice_cli {
    struct sluice_cli_args args;
    struct sluice_cli_term out;
    struct sluice_cli_term err;
    int json;
    int quiet;
    int out_failed; /* errno of the first failed write to stdout */
    json_t *result; /* --json: what is printed at the end; keys are added by the command */
    struct sluice_registry *registry;
    struct sluice_cancel cancel;
    struct sluice_signals signals;
};

/* The whole program: parses, sets the process up, runs the command, prints what is left, cleans up.
 * Returns the exit code. */
int sluice_cli_main(int argc, char *const *argv);

/* ---- output ---- */

/* Writes the text to stdout and empties it. Does nothing in quiet or JSON mode. */
void sluice_cli_out(struct sluice_cli *cli, struct sluice_str *text);
/* The same whatever the mode: for what a command was asked to print. */
void sluice_cli_out_always(struct sluice_cli *cli, struct sluice_str *text);
/* One line of JSON on stdout, at once. Steals `json`. [any] */
void sluice_cli_out_json(struct sluice_cli *cli, json_t *json);

/* "sluice: error: message" and "  hint: …" on stderr, and the "error" of --json. Secrets are
 * replaced. hint may be NULL. */
void sluice_cli_error(struct sluice_cli *cli, sluice_status status, const char *message,
                      const char *hint);
/* The same of an error struct, with `context: ` in front when not NULL. Returns its exit code. */
int sluice_cli_error_report(struct sluice_cli *cli, const char *context,
                            const struct sluice_error *err);
/* The message without a "table NAME: " that whoever shows it has said already. Borrowed. */
const char *sluice_cli_error_about(const char *message, const char *name);
/* Messages may end in "(hint: what to do)": appends that to hint; answers the size of what stands
 * before it, the whole size if there is none. */
size_t sluice_cli_error_hint(const char *message, struct sluice_str *hint);
/* Out of memory: reports it and answers SLUICE_EXIT_RUNTIME. */
int sluice_cli_error_nomem(struct sluice_cli *cli);
/* The exit code that a status means. */
int sluice_cli_exit_code(sluice_status status);
/* "sluice: warning: …" on stderr, not when quiet. */
void sluice_cli_warn(struct sluice_cli *cli, const char *format, ...) SLUICE_PRINTF(2, 3);

/* Level and format as the options say; `otherwise` where they name no level. */
void sluice_cli_log_setup(const struct sluice_cli *cli, int32_t otherwise);

/* ---- JSON values; NULL text is null. The caller owns them ---- */

json_t *sluice_cli_json_text(const char *text);
/* A message: secrets are replaced. */
json_t *sluice_cli_json_message(const char *text);
json_t *sluice_cli_json_count(int64_t n);      /* < 0 is null */
json_t *sluice_cli_json_time(int64_t wall_us); /* 0 is null; ISO 8601 */
/* Appends the document to out; flags are jansson's. */
void sluice_cli_json_dump(const json_t *json, size_t flags, struct sluice_str *out);

/* ---- loading ---- */

/* Opens the plugin folders once. Exit code, 0 = fine. */
int sluice_cli_plugins_open(struct sluice_cli *cli);
/* Reads and checks a file; findings are printed. Exit code, 0 = *out may be used (free it). */
int sluice_cli_pipeline_open(struct sluice_cli *cli, const char *file,
                             struct sluice_pipeline **out);
/* Prints findings as file:line:col: severity: message (path) and a hint line, to stderr. */
void sluice_cli_diags_print(struct sluice_cli *cli, const struct sluice_diags *diags);
json_t *sluice_cli_diags_json(const struct sluice_diags *diags);
/* Tells of plugin files that were refused: they may be why a plugin is unknown. */
void sluice_cli_refusals_print(struct sluice_cli *cli);
/* The folder of state when the file names none: $XDG_STATE_HOME/sluice or ~/.local/state/sluice.
 * Free with sluice_free; NULL = out of memory or no home. */
char *sluice_cli_state_folder(void);
/* Opens the state of a pipeline. NOT_FOUND in READ mode gives OK and *out = NULL. */
sluice_status sluice_cli_state_open(const char *uri, const char *name, int32_t how,
                                    struct sluice_state **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

const char *sluice_cli_mode_name(int32_t mode);
const char *sluice_cli_kind_name(int32_t component_kind);

/* ---- the commands; each answers the exit code ---- */

int sluice_cli_run(struct sluice_cli *cli);
int sluice_cli_validate(struct sluice_cli *cli);
int sluice_cli_check(struct sluice_cli *cli);
int sluice_cli_plan(struct sluice_cli *cli);
int sluice_cli_discover(struct sluice_cli *cli);
int sluice_cli_preview(struct sluice_cli *cli);
int sluice_cli_state_list(struct sluice_cli *cli);
int sluice_cli_state_show(struct sluice_cli *cli);
int sluice_cli_state_reset(struct sluice_cli *cli);
int sluice_cli_state_resync(struct sluice_cli *cli);
int sluice_cli_verify(struct sluice_cli *cli);
int sluice_cli_dlq_list(struct sluice_cli *cli);
int sluice_cli_dlq_show(struct sluice_cli *cli);
int sluice_cli_dlq_replay(struct sluice_cli *cli);
int sluice_cli_retire(struct sluice_cli *cli);
int sluice_cli_failpoints(struct sluice_cli *cli);
int sluice_cli_connect_list(struct sluice_cli *cli);
int sluice_cli_connect_status(struct sluice_cli *cli);
int sluice_cli_connect_plugins(struct sluice_cli *cli);
int sluice_cli_connect_create(struct sluice_cli *cli);
int sluice_cli_connect_update(struct sluice_cli *cli);
int sluice_cli_connect_pause(struct sluice_cli *cli);
int sluice_cli_connect_resume(struct sluice_cli *cli);
int sluice_cli_connect_stop(struct sluice_cli *cli);
int sluice_cli_connect_restart(struct sluice_cli *cli);
int sluice_cli_connect_delete(struct sluice_cli *cli);
int sluice_cli_connect_offsets(struct sluice_cli *cli);
int sluice_cli_connect_logs(struct sluice_cli *cli);
int sluice_cli_plugin_list(struct sluice_cli *cli);
int sluice_cli_plugin_describe(struct sluice_cli *cli);
int sluice_cli_schema(struct sluice_cli *cli);
int sluice_cli_version(struct sluice_cli *cli);
int sluice_cli_completion(struct sluice_cli *cli);
int sluice_cli_help(struct sluice_cli *cli);

#endif /* SLUICE_CLI_CLI_H */
