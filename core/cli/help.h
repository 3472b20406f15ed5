/*
 * Help, man page and completion scripts, made from the tables of commands and options.
 */
#ifndef SLUICE_CLI_HELP_H
#define SLUICE_CLI_HELP_H

#include "args.h"
#include "term.h"

/* Help of a command; of all commands of a group when command is NULL and `group` its first word; of
 * the program when both are NULL. */
void sluice_cli_help_text(const struct sluice_cli_command *command, const char *group,
                          const struct sluice_cli_term *term, struct sluice_str *out);
/* The man page sluice(1) as troff. */
void sluice_cli_help_man(struct sluice_str *out);
/* A completion script for "bash", "zsh" or "fish"; 0 = another shell. */
int sluice_cli_help_completion(const char *shell, struct sluice_str *out);

/* Appends text broken at blanks into lines of at most `width` columns, each after `indent` blanks
 * but the first. */
void sluice_cli_help_wrap(struct sluice_str *out, const char *text, size_t indent, size_t width);

#endif /* SLUICE_CLI_HELP_H */
