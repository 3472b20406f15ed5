/*
 * From a SQLSTATE to a status. [any]
 */
#ifndef SLUICE_COMMON_PG_ERROR_H
#define SLUICE_COMMON_PG_ERROR_H

#include <libpq-fe.h>

#include "sluice/error.h"

struct sluice_pg_class {
    sluice_status status;
    uint32_t flags;
    const char *hint; /* what to do; NULL = nothing general to say */
};

/* What a SQLSTATE means for us. Unknown and NULL: IO, not retryable. */
struct sluice_pg_class sluice_pg_classify(const char *sqlstate);

/* Sets *err from a failed result: `what` (object and operation), the server's primary message,
 * the SQLSTATE, its hint or ours. Never the DETAIL or CONTEXT, which may hold row data. */
sluice_status sluice_pg_error_result(struct sluice_error *err, const PGresult *result,
                                     const char *what);

/* Sets *err from PQerrorMessage text of a connection that could not be made. `text` was formatted
 * with PQERRORS_VERBOSE, so that a server's refusal carries its SQLSTATE. */
sluice_status sluice_pg_error_connect(struct sluice_error *err, const char *what, const char *text);

/* Sets *err for a connection that broke: IO, retryable. */
sluice_status sluice_pg_error_broken(struct sluice_error *err, const char *what, const char *text);

/* Replaces the hint of an error by what its SQLSTATE means on a replication connection, where the
 * general hints speak of tables. Gives `status`. */
sluice_status sluice_pg_error_replication(struct sluice_error *err, sluice_status status);

#endif /* SLUICE_COMMON_PG_ERROR_H */
