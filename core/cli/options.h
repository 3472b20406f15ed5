/*
 * What the options of run and plan mean for a pipeline of a given mode.
 */
#ifndef SLUICE_CLI_OPTIONS_H
#define SLUICE_CLI_OPTIONS_H

#include "cli.h"

/* Options that exclude each other, and the value of --until as the engine wants it (appended to
 * `until`). Exit code. */
int sluice_cli_options_read(struct sluice_cli *cli, struct sluice_str *until);
/* Whether the options fit the mode of the pipeline. Exit code. */
int sluice_cli_options_fit(struct sluice_cli *cli, const struct sluice_pipeline *pipeline);
/* Whether a run of it, as the options say, ends by itself. */
int sluice_cli_options_end(const struct sluice_cli *cli, const struct sluice_pipeline *pipeline);
/* For pipelines that load alone though their source has changes: that they are not captured, and what
 * to set. NULL = nothing to say. */
const char *sluice_cli_changes_text(const struct sluice_pipeline *pipeline);

#endif /* SLUICE_CLI_OPTIONS_H */
