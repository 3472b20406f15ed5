/* The tables that parsing, help, completion and the man page are made from. */
#include "cli.h"

static const char *const progress_choices[] = {"auto", "bar", "log", "json", NULL};
static const char *const level_choices[] = {"error", "warn", "info", "debug", "trace", NULL};
static const char *const log_format_choices[] = {"text", "json", NULL};
static const char *const format_choices[] = {"text", "json", "markdown", "jsonschema", NULL};

#define GLOBAL SLUICE_CLI_GLOBAL
#define MANY SLUICE_CLI_MANY

const struct sluice_cli_option sluice_cli_options[SLUICE_OPT_COUNT] = {
    {SLUICE_OPT_HELP, 'h', GLOBAL, "help", NULL, NULL, 0, 0, "Shows help for the command."},
    {SLUICE_OPT_VERSION, 'V', GLOBAL, "version", NULL, NULL, 0, 0, "The same as sluice version."},
    {SLUICE_OPT_JSON, 0, GLOBAL, "json", NULL, NULL, 0, 0,
     "Prints one JSON document on standard output instead of text."},
    {SLUICE_OPT_QUIET, 'q', GLOBAL, "quiet", NULL, NULL, 0, 0,
     "Prints errors alone (and what was asked for with --json)."},
    {SLUICE_OPT_NO_COLOR, 0, GLOBAL, "no-color", NULL, NULL, 0, 0,
     "No colours; the variable NO_COLOR does the same."},
    {SLUICE_OPT_LOG_LEVEL, 0, GLOBAL, "log-level", "LEVEL", level_choices, 0, 0,
     "The least important log lines to write. Default: info for run, warn beneath a progress "
     "display and elsewhere."},
    {SLUICE_OPT_LOG_FORMAT, 0, GLOBAL, "log-format", "FORMAT", log_format_choices, 0, 0,
     "How log lines are written on standard error. Default: text."},
    {SLUICE_OPT_PLUGIN_DIR, 0, GLOBAL | MANY, "plugin-dir", "DIR", NULL, 0, 0,
     "Looks for plugins here. Default: the folders in SLUICE_PLUGIN_DIR (divided by colons), else "
     "lib/sluice/plugins beside the program."},
    {SLUICE_OPT_ALLOW_CORE, 0, GLOBAL, "allow-core", NULL, NULL, 0, 0,
     "Allows core dumps and debuggers; a dump holds passwords and data."},
    {SLUICE_OPT_ONCE, 0, 0, "once", NULL, NULL, 0, 0,
     "Ends when all that was committed at the source before the start has been moved. Pipelines "
     "that "
     "only load always do."},
    {SLUICE_OPT_FOLLOW, 0, 0, "follow", NULL, NULL, 0, 0,
     "Goes on with changes until stopped. Default where the mode has changes."},
    {SLUICE_OPT_UNTIL, 0, 0, "until", "POSITION|TIME", NULL, 0, 0,
     "Ends after the last transaction that was committed at or before a position of the source's "
     "log "
     "(0/16B3748) or a time (2026-11-23T00:52:34Z)."},
    {SLUICE_OPT_LIMIT, 0, 0, "limit", "N", NULL, 1, INT64_MAX,
     "At most N rows of each table. Only where the mode has no changes."},
    {SLUICE_OPT_TABLES, 0, MANY, "tables", "PATTERN", NULL, 0, 0,
     "Only tables that match, among those the file chooses: a glob, or re: and a regular "
     "expression. Several are divided by commas. Where the mode has changes, only to look."},
    {SLUICE_OPT_SET, 0, MANY, "set", "PATH=VALUE", NULL, 0, 0,
     "Sets a value of the file, as in --set sinks.lake.config.prefix=test."},
    {SLUICE_OPT_PROGRESS, 0, 0, "progress", "HOW", progress_choices, 0, 0,
     "bar: a live display; log: a line every 10 s; json: an object every second on standard "
     "output; auto (default): bar on a terminal, else log."},
    {SLUICE_OPT_PARALLELISM, 'j', 0, "parallelism", "N", NULL, 1, 64,
     "Readers that work at once, instead of what the file says."},
    {SLUICE_OPT_CHECK_BATCHES, 0, 0, "check-batches", NULL, NULL, 0, 0,
     "Checks every batch a plugin gives in full. For authors of plugins; slow."},
    {SLUICE_OPT_STRICT, 0, 0, "strict", NULL, NULL, 0, 0, "Warnings count as errors."},
    {SLUICE_OPT_COLUMNS, 0, 0, "columns", NULL, NULL, 0, 0, "Shows the columns of each table."},
    {SLUICE_OPT_FORMAT, 0, 0, "format", "FORMAT", format_choices, 0, 0,
     "How to print. Default: text."},
    {SLUICE_OPT_ALL, 0, 0, "all", NULL, NULL, 0, 0, "All of them."},
    {SLUICE_OPT_STATE, 0, 0, "state", "DIR", NULL, 0, 0,
     "The folder that holds the state, instead of the one of a pipeline file."},
    {SLUICE_OPT_STREAM, 0, 0, "stream", "NAME", NULL, 0, 0, "This table alone."},
    {SLUICE_OPT_YES, 'y', 0, "yes", NULL, NULL, 0, 0, "Does not ask."},
    {SLUICE_OPT_WINDOW, 0, 0, "window", "TIME", NULL, 0, 0,
     "A row that differs counts as different once the source has left it alone for so long; 10s. "
     "0s: at once."},
    {SLUICE_OPT_ROWS, 0, 0, "rows", "N", NULL, 0, 1000000,
     "Differing rows that are shown of each table; 20."},
    {SLUICE_OPT_ROW, 0, 0, "row", "FILE", NULL, 0, 0,
     "A JSON object that is written in place of what the letter holds."},
    {SLUICE_OPT_MAN, 0, 0, "man", NULL, NULL, 0, 0, "Prints the man page."},
    {SLUICE_OPT_CONNECT, 0, 0, "connect", "URL", NULL, 0, 0,
     "Kafka Connect's REST interface, as http://host:8083. Default: SLUICE_CONNECT_URL. User and "
     "password come from SLUICE_CONNECT_USER and SLUICE_CONNECT_PASSWORD."},
    {SLUICE_OPT_CA, 0, 0, "ca", "FILE", NULL, 0, 0,
     "The certificates that Kafka Connect's is verified by. Default: the system's."},
    {SLUICE_OPT_FAILED, 0, 0, "failed", NULL, NULL, 0, 0, "What has failed alone."},
};

#define B(id) SLUICE_OPT_BIT(SLUICE_OPT_##id)
#define ANY SIZE_MAX

const struct sluice_cli_command sluice_cli_commands[] = {
    {"run", "FILE…", SLUICE_CLI_WORDS_FILES, 1, ANY, SLUICE_CLI_SIGNAL_DRAIN,
     B(ONCE) | B(FOLLOW) | B(UNTIL) | B(LIMIT) | B(TABLES) | B(SET) | B(PROGRESS) | B(PARALLELISM) |
         B(CHECK_BATCHES) | B(STRICT),
     sluice_cli_run, "Runs pipelines",
     "Pipelines whose mode has changes go on with them until they are stopped, or until --once or "
     "--until says.\n"
     "Several files are all checked first and then run one after the other; one that fails does "
     "not stop the next.\n"
     "The first SIGINT, SIGTERM or SIGHUP leaves a clean state and ends with exit code 0: the next "
     "run goes on from there. A second one ends the process at once.\n"
     "A run that was killed is completed by the next: complete tables are not read again, and "
     "changes "
     "go on where they were committed last. With --limit or --tables nothing is remembered."},
    {"validate", "FILE…", SLUICE_CLI_WORDS_FILES, 1, ANY, SLUICE_CLI_SIGNAL_DEFAULT,
     B(STRICT) | B(SET), sluice_cli_validate, "Checks pipeline files without connecting anywhere",
     "Prints every problem of every file as file:line:column: severity: message (path), with a "
     "hint beneath."},
    {"check", "FILE", SLUICE_CLI_WORDS_FILES, 1, 1, SLUICE_CLI_SIGNAL_CANCEL, B(SET),
     sluice_cli_check, "Connects everywhere and says what is missing and how to mend it",
     "Where the mode has changes, also whether they can be captured here, and if not, why."},
    {"plan", "FILE", SLUICE_CLI_WORDS_FILES, 1, 1, SLUICE_CLI_SIGNAL_CANCEL,
     B(SET) | B(TABLES) | B(LIMIT) | B(COLUMNS) | B(PARALLELISM), sluice_cli_plan,
     "Shows what a run would do, without doing it",
     "The graph, the tables that match, what happens to each in each sink, and the guarantee that "
     "follows. Nothing is written anywhere; secrets are not shown."},
    {"discover", "FILE", SLUICE_CLI_WORDS_FILES, 1, 1, SLUICE_CLI_SIGNAL_CANCEL,
     B(SET) | B(TABLES) | B(COLUMNS), sluice_cli_discover, "Lists the tables of the sources",
     "A star marks the tables that the file chooses."},
    {"preview", "FILE", SLUICE_CLI_WORDS_FILES, 1, 1, SLUICE_CLI_SIGNAL_CANCEL,
     B(SET) | B(TABLES) | B(LIMIT), sluice_cli_preview,
     "Shows the first rows as they would reach the sinks",
     "Reads through sources and transforms; no sink is opened and nothing is remembered. 10 rows "
     "of each table unless --limit says otherwise. With --json one object a row."},
    {"state list", "[FILE]", SLUICE_CLI_WORDS_FILES, 0, 1, SLUICE_CLI_SIGNAL_DEFAULT,
     B(STATE) | B(SET), sluice_cli_state_list, "Lists the pipelines that have state", NULL},
    {"state show", "FILE | --state DIR NAME", SLUICE_CLI_WORDS_FILES, 1, 1,
     SLUICE_CLI_SIGNAL_CANCEL, B(STATE) | B(SET), sluice_cli_state_show,
     "Shows what a pipeline remembers: loads, tables, feeds, runs",
     "Where changes are followed, it also asks the sources how far each sink is behind and how "
     "much of "
     "their log they keep for it; with --state nobody is asked."},
    {"state reset", "FILE | --state DIR NAME", SLUICE_CLI_WORDS_FILES, 1, 1,
     SLUICE_CLI_SIGNAL_DEFAULT, B(STATE) | B(SET) | B(STREAM) | B(YES), sluice_cli_state_reset,
     "Forgets an unfinished load, or all of a pipeline with changes, so that it is read again",
     "Says what will be read again and asks, unless --yes. What sinks hold already stays there; "
     "runs without a complete marker count nowhere.\n"
     "Where changes are followed, every table is loaded anew and the feed begins anew with it. "
     "With "
     "--stream one table is loaded anew while the feed goes on."},
    {"state resync", "FILE | --state DIR NAME", SLUICE_CLI_WORDS_FILES, 1, 1,
     SLUICE_CLI_SIGNAL_DEFAULT, B(STATE) | B(SET) | B(STREAM) | B(YES), sluice_cli_state_resync,
     "Has one table loaded anew by the next run, while the feed goes on",
     "The same as state reset --stream NAME, which it needs. For all tables: state reset."},
    {"verify", "FILE", SLUICE_CLI_WORDS_FILES, 1, 1, SLUICE_CLI_SIGNAL_CANCEL,
     B(SET) | B(STREAM) | B(WINDOW) | B(ROWS), sluice_cli_verify,
     "Compares the sources with what the targets have",
     "Counts and checksums by key first, then the rows where they differ, which are shown. While "
     "changes flow, rows that differ are looked at again until both ends agree, or the source has "
     "left them alone for --window.\n"
     "Exit code 4 where something differs."},
    {"dlq list", "FILE", SLUICE_CLI_WORDS_FILES, 1, 1, SLUICE_CLI_SIGNAL_CANCEL, B(SET) | B(STREAM),
     sluice_cli_dlq_list, "Lists rows that targets refused and that were kept",
     "With on_error: {rows: dlq} a sink over tables keeps them as dead letters, in the target."},
    {"dlq show", "FILE ID", SLUICE_CLI_WORDS_FILES, 2, 2, SLUICE_CLI_SIGNAL_CANCEL,
     B(SET) | B(STREAM), sluice_cli_dlq_show, "Shows one dead letter with its row", NULL},
    {"dlq replay", "FILE ID… | FILE --all", SLUICE_CLI_WORDS_FILES, 1, ANY,
     SLUICE_CLI_SIGNAL_CANCEL, B(SET) | B(STREAM) | B(ALL) | B(ROW), sluice_cli_dlq_replay,
     "Writes dead letters into their tables again",
     "Each in a transaction of its own, which also marks the letter. What the target says, and the "
     "letter stays. Inserts are inserted, updates update the row of that key, deletes delete it: a "
     "row that changed since is not looked at.\n"
     "Exit code 4 where some letter stays."},
    {"retire", "FILE", SLUICE_CLI_WORDS_FILES, 1, 1, SLUICE_CLI_SIGNAL_CANCEL, B(SET) | B(YES),
     sluice_cli_retire, "Drops what a pipeline made at its sources, for good",
     "A source keeps its log for a pipeline with changes even while it does not run (PostgreSQL: a "
     "replication slot), until this command is given; nothing else drops it. Says what was made "
     "and "
     "asks, unless --yes. What was there before the pipeline, or was made by others, stays.\n"
     "A pipeline that is to go on afterwards begins anew: state reset."},
    {"connect list", "", SLUICE_CLI_WORDS_NONE, 0, 0, SLUICE_CLI_SIGNAL_CANCEL, B(CONNECT) | B(CA),
     sluice_cli_connect_list, "Lists the connectors of a Kafka Connect, and why some have failed",
     "Exit code 1 where a connector or a task has failed."},
    {"connect status", "NAME", SLUICE_CLI_WORDS_OTHER, 1, 1, SLUICE_CLI_SIGNAL_CANCEL,
     B(CONNECT) | B(CA), sluice_cli_connect_status,
     "Shows one connector and its tasks, with the cause and the remedy of failures",
     "Exit code 1 where it or a task has failed."},
    {"connect plugins", "", SLUICE_CLI_WORDS_NONE, 0, 0, SLUICE_CLI_SIGNAL_CANCEL,
     B(CONNECT) | B(CA) | B(ALL), sluice_cli_connect_plugins,
     "Lists the connectors that can be made, since the workers have their plugins",
     "With --all also transformations, predicates and converters."},
    {"connect create", "NAME FILE", SLUICE_CLI_WORDS_FILES, 2, 2, SLUICE_CLI_SIGNAL_CANCEL,
     B(CONNECT) | B(CA), sluice_cli_connect_create, "Makes a connector and waits until it runs",
     "FILE is JSON: the options, or {\"config\": {…}} as Connect's own interface takes them. The "
     "plugin is asked first what it thinks of them: exit code 2, and what is wrong."},
    {"connect update", "NAME FILE", SLUICE_CLI_WORDS_FILES, 2, 2, SLUICE_CLI_SIGNAL_CANCEL,
     B(CONNECT) | B(CA), sluice_cli_connect_update,
     "Gives a connector other options and shows what differs", NULL},
    {"connect pause", "NAME", SLUICE_CLI_WORDS_OTHER, 1, 1, SLUICE_CLI_SIGNAL_CANCEL,
     B(CONNECT) | B(CA), sluice_cli_connect_pause,
     "Pauses a connector: its tasks stay, and hold what they hold", NULL},
    {"connect resume", "NAME", SLUICE_CLI_WORDS_OTHER, 1, 1, SLUICE_CLI_SIGNAL_CANCEL,
     B(CONNECT) | B(CA), sluice_cli_connect_resume,
     "Lets a paused or stopped connector go on, and waits until it runs", NULL},
    {"connect stop", "NAME", SLUICE_CLI_WORDS_OTHER, 1, 1, SLUICE_CLI_SIGNAL_CANCEL,
     B(CONNECT) | B(CA), sluice_cli_connect_stop,
     "Stops a connector: its tasks end, options and offsets stay", NULL},
    {"connect restart", "NAME", SLUICE_CLI_WORDS_OTHER, 1, 1, SLUICE_CLI_SIGNAL_CANCEL,
     B(CONNECT) | B(CA) | B(FAILED), sluice_cli_connect_restart,
     "Restarts a connector and its tasks, waits until they run", NULL},
    {"connect delete", "NAME", SLUICE_CLI_WORDS_OTHER, 1, 1, SLUICE_CLI_SIGNAL_CANCEL,
     B(CONNECT) | B(CA) | B(YES), sluice_cli_connect_delete, "Deletes a connector",
     "Its offsets stay in Kafka, and a source's replication slot stays at its server."},
    {"connect offsets", "VERB NAME [FILE]", SLUICE_CLI_WORDS_OTHER, 2, 3, SLUICE_CLI_SIGNAL_CANCEL,
     B(CONNECT) | B(CA) | B(YES), sluice_cli_connect_offsets,
     "Shows, sets or forgets where a connector is",
     "VERB is show, set or reset. Offsets can be changed while the connector is stopped. FILE, for "
     "set, is what show --json prints."},
    {"connect logs", "level [LOGGER [LEVEL]]", SLUICE_CLI_WORDS_OTHER, 1, 3,
     SLUICE_CLI_SIGNAL_CANCEL, B(CONNECT) | B(CA), sluice_cli_connect_logs,
     "Shows or sets how much the workers log", NULL},
    {"plugin list", "", SLUICE_CLI_WORDS_NONE, 0, 0, SLUICE_CLI_SIGNAL_DEFAULT, 0,
     sluice_cli_plugin_list, "Lists plugins, and files that were refused and why", NULL},
    {"plugin describe", "NAME… | --all", SLUICE_CLI_WORDS_OTHER, 0, ANY, SLUICE_CLI_SIGNAL_DEFAULT,
     B(ALL) | B(FORMAT), sluice_cli_plugin_describe, "Shows what a plugin does and its options",
     "NAME may be source/NAME, transform/NAME or sink/NAME where one name stands for several."},
    {"schema", "", SLUICE_CLI_WORDS_NONE, 0, 0, SLUICE_CLI_SIGNAL_DEFAULT, 0, sluice_cli_schema,
     "Prints a JSON Schema of pipeline files, for editors", NULL},
    {"completion", "bash | zsh | fish", SLUICE_CLI_WORDS_OTHER, 1, 1, SLUICE_CLI_SIGNAL_DEFAULT, 0,
     sluice_cli_completion, "Prints a completion script for a shell", NULL},
    {"version", "", SLUICE_CLI_WORDS_NONE, 0, 0, SLUICE_CLI_SIGNAL_DEFAULT, 0, sluice_cli_version,
     "Prints the version of the program and of its plugin interface", NULL},
    {"help", "[COMMAND]", SLUICE_CLI_WORDS_OTHER, 0, 2, SLUICE_CLI_SIGNAL_DEFAULT, B(MAN),
     sluice_cli_help, "Shows help", NULL},
    {"failpoints", "", SLUICE_CLI_WORDS_NONE, 0, 0, SLUICE_CLI_SIGNAL_DEFAULT, 0,
     sluice_cli_failpoints, NULL, NULL},
    {NULL, NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL},
};

const struct sluice_cli_exit sluice_cli_exits[] = {
    {"0", "done; or stopped by a first signal with a clean state"},
    {"1", "runtime: a table or the whole run failed"},
    {"2", "the configuration or the command line is wrong"},
    {"3", "the environment: a server cannot be reached, access is denied, something is missing, "
          "another process holds the pipeline, the source no longer has what follows our position"},
    {"4", "finished, but rows were rejected"},
    {"130, 143", "ended at once by SIGINT, SIGTERM"},
    {NULL, NULL},
};
