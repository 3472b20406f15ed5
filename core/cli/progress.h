/*
 * Watching a run from a thread of its own: the live block on a terminal, log lines, or JSON lines.
 */
#ifndef SLUICE_CLI_PROGRESS_H
#define SLUICE_CLI_PROGRESS_H

#include <pthread.h>

#include "cli.h"
#include "view.h"

enum {
    SLUICE_PROGRESS_HOW_NONE = 0,
    SLUICE_PROGRESS_HOW_BAR = 1,
    SLUICE_PROGRESS_HOW_LOG = 2,
    SLUICE_PROGRESS_HOW_JSON = 3
};

struct sluice_cli_progress {
    struct sluice_cli *cli;
    struct sluice_engine *engine;
    int how;
    int started;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards all below; taken after the log's own lock, never before it */
    pthread_cond_t wake;
    int stop;
    struct sluice_run_view view;
    struct sluice_str block; /* what is on the screen */
    size_t lines;            /* its height when it was drawn */
    int64_t told_us;         /* last log line or JSON object */
};

/* What `--progress` and the terminal ask for. */
int sluice_cli_progress_how(const struct sluice_cli *cli);

/* Begins to watch. Borrows all until the end. A thread that cannot be made is a warning alone: the
 * run goes on unwatched. [ctl] */
void sluice_cli_progress_start(struct sluice_cli_progress *progress, struct sluice_cli *cli,
                               struct sluice_engine *engine, const char *pipeline, int how);
/* Ends the watching, takes the block off the screen, and leaves the final figures in `view`, valid
 * until the engine is destroyed. [ctl] */
void sluice_cli_progress_stop(struct sluice_cli_progress *progress);
void sluice_cli_progress_free(struct sluice_cli_progress *progress);

#endif /* SLUICE_CLI_PROGRESS_H */
