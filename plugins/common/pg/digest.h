/*
 * Digests of a table, computed by the server (abi.h, "digests"): for sources and sinks alike.
 */
#ifndef SLUICE_COMMON_PG_DIGEST_H
#define SLUICE_COMMON_PG_DIGEST_H

#include "pg/conn.h"

/* `from` is what follows FROM: a qualified table, maybe with a condition. `position_sql` gives the position
 * as bytea in hex, in the same snapshot; NULL = none. The connection is not in a transaction. */
sluice_status sluice_pg_digest(struct sluice_pg_conn *conn, const char *from,
                               const char *position_sql, const struct sluice_digest_ask *ask,
                               sluice_digest_visit visit, void *vctx,
                               struct sluice_digest_info *info, uint8_t position[64],
                               struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_PG_DIGEST_H */
