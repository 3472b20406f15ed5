/*
 * Looking host names up without blocking for longer than we want.
 */
#ifndef SLUICE_COMMON_PG_RESOLVE_H
#define SLUICE_COMMON_PG_RESOLVE_H

#include "sluice/error.h"

/* libpq looks names up in a call that nothing can interrupt, for minutes when name servers are dead.
 * So the same lookup is done before, on a thread of its own: OK when libpq's will be quick, else the
 * error, UNAVAILABLE after `timeout_us`, or CANCELLED at once. `hosts` as libpq takes them: names,
 * addresses and folders of sockets, divided by commas; NULL = nothing to look up. [any] */
sluice_status sluice_pg_resolve(const struct sluice_host *host, const char *hosts,
                                int64_t timeout_us, const char *what, struct sluice_error *err)
    SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_PG_RESOLVE_H */
