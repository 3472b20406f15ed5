/*
 * check(): findings, told one by one.
 */
#ifndef SQLSERVER_CHECK_H
#define SQLSERVER_CHECK_H

#include "source.h"

struct ms_check {
    const struct sluice_source *src;
    sluice_finding_visit visit;
    void *vctx;
};

sluice_status ms_check_tell(const struct ms_check *check, int32_t severity, const char *subject,
                            const char *key, const char *what, const char *remedy);
/* An error by its own words; its hint is the remedy. Cuts the message. */
sluice_status ms_check_tell_error(const struct ms_check *check, const char *name,
                                  struct sluice_error *err);
/* How the plan chose a table; NULL = not at all. */
const struct sluice_stream_select *ms_check_select(const struct sluice_source_plan *plan,
                                                   const struct ms_table *table);
/* One number of a query; -1 = no row, NULL, or no right to ask. */
int64_t ms_check_number(struct sluice_tds_conn *conn, const char *sql);
/* Of change data capture. */
sluice_status ms_check_changes(const struct ms_check *check, const struct sluice_source_plan *plan,
                               struct sluice_tds_conn *conn, struct sluice_error *err);
/* The source's own. */
sluice_status ms_check(struct sluice_source *src, const struct sluice_source_plan *plan,
                       sluice_finding_visit visit, void *vctx, struct sluice_error *err);

#endif /* SQLSERVER_CHECK_H */
