/*
 * What the commands of `sluice connect` share: the client, states, the files that are read.
 */
#ifndef SLUICE_CLI_CONNECT_PART_H
#define SLUICE_CLI_CONNECT_PART_H

#include "cli.h"
#include "connect/client.h"

/* By --connect or SLUICE_CONNECT_URL. Exit code, 0 = *out may be used (close it). */
int sluice_cli_connect_open(struct sluice_cli *cli, struct sluice_connect_client **out);

/* A text of an answer; "-" where there is none. Borrowed. */
const char *sluice_cli_connect_text(const json_t *object, const char *key);

/* Prints a connector's status (an answer of /connectors/NAME/status); with --json it becomes "connector" of the result.
 * Answers 1 when it or one of its tasks has failed, and prints why. */
int sluice_cli_connect_show(struct sluice_cli *cli, const json_t *status);

/* Waits until the connector and all its tasks are in the state, or one has failed where that is not RUNNING; *out is the last
 * status seen (owned). Exit code: 0 = they are. What failed is printed. */
int sluice_cli_connect_wait(struct sluice_cli *cli, struct sluice_connect_client *client,
                            const char *name, const char *state);

/* A JSON object of a file. Exit code; *out is owned. */
int sluice_cli_connect_read(struct sluice_cli *cli, const char *file, json_t **out);

/* 1 if the value of an option of a connector is nobody's business. A reference (${…}) is not secret. */
int sluice_cli_connect_is_secret(const char *key, const char *value);

#endif /* SLUICE_CLI_CONNECT_PART_H */
