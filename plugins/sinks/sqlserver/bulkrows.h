/*
 * Rows of encoded fields into a table by bulk load.
 */
#ifndef SLUICE_MSSINK_BULKROWS_H
#define SLUICE_MSSINK_BULKROWS_H

#include "table.h"
#include "tds/bulk.h"

/* The SYB… type that values of a form are bound as. */
int32_t mssink_bulk_type(enum mssink_form form);
/* Begins a bulk load of the table's columns. `staged`: `name` is a staging table that has just these, in order. */
sluice_status mssink_bulk_open(struct sluice_tds_conn *conn, const char *what, const char *name,
                               const struct mssink_table *table, int staged, uint32_t flags,
                               struct sluice_tds_bulk **out, struct sluice_error *err);
/* "CREATE TABLE #x ([a] int NULL, …)": the table's columns without keys or defaults; texts keep their collation. `more`:
 * further columns, with a comma before; NULL = none. */
void mssink_stage_text(const struct mssink_table *table, const char *name, const char *more,
                       struct mssink_text *out);

#endif /* SLUICE_MSSINK_BULKROWS_H */
