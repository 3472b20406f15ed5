/*
 * Findings of plugins about the world, for people and for JSON: shared by check and retire.
 */
#ifndef SLUICE_CLI_FINDING_H
#define SLUICE_CLI_FINDING_H

#include "cli.h"

/* NULL = there is none of that id. */
const struct sluice_pipeline_node *sluice_cli_node_find(const struct sluice_pipeline *pipeline,
                                                        const char *id);
/* Prints it, below the name of its node if `is_new`; with --json it is appended to "findings" of the
 * result, which the caller has made. */
void sluice_cli_finding(struct sluice_cli *cli, const struct sluice_pipeline *pipeline,
                        const char *node, int is_new, const struct sluice_finding *finding);

#endif /* SLUICE_CLI_FINDING_H */
