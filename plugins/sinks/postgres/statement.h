/*
 * Prepared statements for single changes, by table, kind and shape. Of ordered.c. [lane]
 */
#ifndef SLUICE_PGSINK_STATEMENT_H
#define SLUICE_PGSINK_STATEMENT_H

#include "changes.h"

struct sluice_pgsink_statements; /* the cache of one connection */

/* One change made concrete: which statement, and its parameters. Arrays belong to the cache. */
struct sluice_pgsink_bound {
    const char *name;
    int count;
    const char **values;
    int *sizes;
    int *formats;
};

struct sluice_pgsink_statements *sluice_pgsink_statements_create(void);
void sluice_pgsink_statements_free(struct sluice_pgsink_statements *cache);

/* Finds or makes the statement of a change (prepared through the pipe) and fills in its parameters. `after` and
 * `before` are the tuples opened, NULL where there is none; `before` finds the row, or else the key in
 * `after` does. */
sluice_status sluice_pgsink_statement_bind(struct sluice_pgsink_statements *cache,
                                           struct sluice_pgsink_pipe *pipe, int kind,
                                           const struct sluice_pgsink_stream *stream,
                                           const struct sluice_apply_field *after,
                                           const struct sluice_apply_field *before,
                                           struct sluice_pgsink_bound *out,
                                           struct sluice_error *err);
/* 1 if the cache is so large that it should be dropped (DEALLOCATE ALL) between transactions. */
int sluice_pgsink_statements_full(const struct sluice_pgsink_statements *cache);

#endif /* SLUICE_PGSINK_STATEMENT_H */
