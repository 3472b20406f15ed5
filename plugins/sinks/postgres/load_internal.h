/* What the files of loads share. */
#ifndef SLUICE_PGSINK_LOAD_INTERNAL_H
#define SLUICE_PGSINK_LOAD_INTERNAL_H

#include "checkpoint.h"
#include "table.h"

/* 1 if another table may take this one's place: nothing hangs on it that would not come along. */
sluice_status sluice_pgsink_swap_possible(struct sluice_pg_conn *conn, const char *quoted,
                                          int *possible, struct sluice_error *err);
/* Drops the table and gives its name, owner, rights and names of indexes to `shadow`. Within a transaction. */
sluice_status sluice_pgsink_swap(struct sluice_pg_conn *conn, const char *schema, const char *name,
                                 const char *shadow, struct sluice_error *err);

#endif /* SLUICE_PGSINK_LOAD_INTERNAL_H */
