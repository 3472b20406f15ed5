/*
 * Asking before something is done that cannot be undone.
 */
#ifndef SLUICE_CLI_CONFIRM_H
#define SLUICE_CLI_CONFIRM_H

#include "cli.h"

/* --yes, or asks on the terminal. *go = 1: it is to be done. Answers the exit code for when it is not:
 * 0 when the answer was no, 2 when nobody was there to ask (`hint` says what --yes would mean). */
int sluice_cli_confirm(struct sluice_cli *cli, const char *question, const char *hint, int *go);

#endif /* SLUICE_CLI_CONFIRM_H */
