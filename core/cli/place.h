/*
 * Whose state a command is about: the pipeline of a file, or --state DIR NAME.
 */
#ifndef SLUICE_CLI_PLACE_H
#define SLUICE_CLI_PLACE_H

#include "cli.h"

struct sluice_cli_place {
    struct sluice_pipeline *pipeline; /* NULL = --state DIR NAME */
    char *uri;
    const char *name; /* NULL = none was given */
};

/* Exit code; free in any case. */
int sluice_cli_place_find(struct sluice_cli *cli, struct sluice_cli_place *place);
void sluice_cli_place_free(struct sluice_cli_place *place);
/* Says that there is no state; answers the exit code. */
int sluice_cli_place_empty(struct sluice_cli *cli, const struct sluice_cli_place *place);

#endif /* SLUICE_CLI_PLACE_H */
