/*
 * Bulk load over db-lib's bcp: rows of values in db-lib's own forms (encode.h). The library converts nothing, and cuts
 * what is too long: the caller has checked both.
 *
 * A load belongs to its connection, on which nothing else may run until it has ended. Within the caller's transaction.
 */
#ifndef SLUICE_COMMON_TDS_BULK_H
#define SLUICE_COMMON_TDS_BULK_H

#include "tds/conn.h"

/* A column that is written: its place in the table from 1, and the SYB… type that its values are of. A column that is
 * not named, and a NULL, get the column's default if it has one: the library knows no hint KEEP_NULLS. Constraints are not
 * checked and triggers not run (but NOT NULL and unique keys). */
struct sluice_tds_bulk_column {
    int32_t ordinal;
    int32_t type;
};

struct sluice_tds_bulk;

enum {
    SLUICE_TDS_BULK_TABLOCK = 1, /* a lock of the whole table, which loads into a heap share */
    SLUICE_TDS_BULK_IDENTITY = 2 /* values of the identity column are ours */
};

/* Begins: asks the table's columns. `table`: quoted, "[s].[t]" or "#t". */
sluice_status sluice_tds_bulk_open(struct sluice_tds_conn *conn, const char *what,
                                   const char *table, const struct sluice_tds_bulk_column *columns,
                                   uint32_t count, uint32_t flags, struct sluice_tds_bulk **out,
                                   struct sluice_error *err) SLUICE_MUST_CHECK;
/* A value of the row at hand, borrowed until it is sent; data NULL = NULL. `i` counts the columns of open. */
void sluice_tds_bulk_put(struct sluice_tds_bulk *bulk, uint32_t i, struct sluice_bytes value);
/* Sends the row. */
sluice_status sluice_tds_bulk_send(struct sluice_tds_bulk *bulk, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* What was sent is in the table, all of it or nothing; another batch may follow. *rows are those of this batch. */
sluice_status sluice_tds_bulk_batch(struct sluice_tds_bulk *bulk, int64_t *rows,
                                    struct sluice_error *err) SLUICE_MUST_CHECK;
/* Ends the load with its last batch, and frees. */
sluice_status sluice_tds_bulk_end(struct sluice_tds_bulk *bulk, int64_t *rows,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;
/* Gives up: the connection is not to be used again but to be closed. NULL is allowed. */
void sluice_tds_bulk_free(struct sluice_tds_bulk *bulk);

#endif /* SLUICE_COMMON_TDS_BULK_H */
