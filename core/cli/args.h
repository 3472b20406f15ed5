/*
 * Commands, options and the words of a command line. One table of options and one of commands
 * (command.c) drive parsing, help, completion and the man page.
 */
#ifndef SLUICE_CLI_ARGS_H
#define SLUICE_CLI_ARGS_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    SLUICE_OPT_HELP,
    SLUICE_OPT_VERSION,
    SLUICE_OPT_JSON,
    SLUICE_OPT_QUIET,
    SLUICE_OPT_NO_COLOR,
    SLUICE_OPT_LOG_LEVEL,
    SLUICE_OPT_LOG_FORMAT,
    SLUICE_OPT_PLUGIN_DIR,
    SLUICE_OPT_ALLOW_CORE,
    SLUICE_OPT_ONCE,
    SLUICE_OPT_FOLLOW,
    SLUICE_OPT_UNTIL,
    SLUICE_OPT_LIMIT,
    SLUICE_OPT_TABLES,
    SLUICE_OPT_SET,
    SLUICE_OPT_PROGRESS,
    SLUICE_OPT_PARALLELISM,
    SLUICE_OPT_CHECK_BATCHES,
    SLUICE_OPT_STRICT,
    SLUICE_OPT_COLUMNS,
    SLUICE_OPT_FORMAT,
    SLUICE_OPT_ALL,
    SLUICE_OPT_STATE,
    SLUICE_OPT_STREAM,
    SLUICE_OPT_YES,
    SLUICE_OPT_WINDOW,
    SLUICE_OPT_ROWS,
    SLUICE_OPT_ROW,
    SLUICE_OPT_MAN,
    SLUICE_OPT_CONNECT,
    SLUICE_OPT_CA,
    SLUICE_OPT_FAILED,
    SLUICE_OPT_COUNT
};

#define SLUICE_OPT_BIT(id) ((uint64_t)1 << (id))

/* sluice_cli_option.flags */
enum {
    SLUICE_CLI_GLOBAL = 1, /* every command takes it */
    SLUICE_CLI_MANY = 2    /* may be given more than once */
};

struct sluice_cli_option {
    int id;
    char letter; /* 0 = none */
    uint32_t flags;
    const char *name;
    const char *value;          /* name of its value in help; NULL = takes none */
    const char *const *choices; /* NULL-terminated; NULL = any value */
    int64_t min;                /* a number within bounds, when max > 0 */
    int64_t max;
    const char *help;
};

struct sluice_cli;

/* What the first signal does while a command runs. */
enum {
    SLUICE_CLI_SIGNAL_DEFAULT = 0, /* the process ends: nothing is at stake */
    SLUICE_CLI_SIGNAL_CANCEL = 1,  /* calls are woken; exit 130 or 143 */
    SLUICE_CLI_SIGNAL_DRAIN = 2    /* the engine leaves a clean state; exit 0 */
};

/* What the words after a command are, for completion. */
enum { SLUICE_CLI_WORDS_NONE = 0, SLUICE_CLI_WORDS_FILES = 1, SLUICE_CLI_WORDS_OTHER = 2 };

struct sluice_cli_command {
    const char *name;  /* one or two words */
    const char *words; /* synopsis of what follows, "FILE…" */
    int word_kind;
    size_t min_words;
    size_t max_words; /* SIZE_MAX = any number */
    int signal;
    uint64_t options;                   /* SLUICE_OPT_BIT of what it takes beside the global ones */
    int (*run)(struct sluice_cli *cli); /* answers the exit code */
    const char *summary;                /* NULL = hidden: for tests */
    const char *details; /* further paragraphs for `help COMMAND` and the man page; NULL = none */
};

/* One exit code and what it says, in order; ended by text == NULL. */
struct sluice_cli_exit {
    const char *code;
    const char *text;
};

/* The tables. Commands end with name == NULL, options are in order of their ids. */
extern const struct sluice_cli_command sluice_cli_commands[];
extern const struct sluice_cli_option sluice_cli_options[SLUICE_OPT_COUNT];
extern const struct sluice_cli_exit sluice_cli_exits[];

struct sluice_cli_list {
    const char **items;
    size_t count;
    size_t cap;
};

/* A parsed command line; strings are borrowed from argv. */
struct sluice_cli_args {
    const struct sluice_cli_command *command;
    uint64_t given;
    const char *value[SLUICE_OPT_COUNT]; /* the last one */
    struct sluice_cli_list words;        /* after the command */
    struct sluice_cli_list plugin_dirs;
    struct sluice_cli_list
        tables; /* divided at commas; owned in `owned` where they had to be cut */
    struct sluice_cli_list sets;
    struct sluice_cli_list owned;
};

/* A mistake on the command line. */
struct sluice_cli_usage {
    struct sluice_str message;
    struct sluice_str hint;
};

/* Parses argv[1..]. 1 = fine (or help was asked for: see `given`; command may then be NULL); 0 = a
 * mistake, described in *usage, which the caller frees in any case. */
int sluice_cli_args_parse(struct sluice_cli_args *args, int argc, char *const *argv,
                          const struct sluice_cli_command *commands,
                          struct sluice_cli_usage *usage);
void sluice_cli_args_free(struct sluice_cli_args *args);
void sluice_cli_usage_free(struct sluice_cli_usage *usage);

int sluice_cli_args_has(const struct sluice_cli_args *args, int option);
/* Number of an option with bounds; `otherwise` when not given. */
int64_t sluice_cli_args_number(const struct sluice_cli_args *args, int option, int64_t otherwise);

/* The command of one or two words, or NULL. *used = number of words it took. */
const struct sluice_cli_command *sluice_cli_command_find(const struct sluice_cli_command *commands,
                                                         const char *const *words, size_t count,
                                                         size_t *used);
/* 0 at the end of those that help, completion and guesses know: hidden ones stand last. */
int sluice_cli_command_shown(const struct sluice_cli_command *command);
/* 1 if the command takes the option. */
int sluice_cli_command_takes(const struct sluice_cli_command *command,
                             const struct sluice_cli_option *option);

#endif /* SLUICE_CLI_ARGS_H */
