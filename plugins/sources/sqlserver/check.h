/*
 * check(): findings, told one by one.
 */
#ifndef SQLSERVER_CHECK_H
#define SQLSERVER_CHECK_H

#include "source.h"

struct ms_check {
    sluice_finding_visit visit;
    void *vctx;
};

sluice_status ms_check_tell(const struct ms_check *check, int32_t severity, const char *subject,
                            const char *key, const char *what, const char *remedy);
/* Of pipelines that follow changes: nothing is told in others. */
sluice_status ms_check_changes(const struct ms_check *check, const struct sluice_source_plan *plan,
                               struct sluice_tds_conn *conn, struct sluice_error *err);
/* The source's own. */
sluice_status ms_check(struct sluice_source *src, const struct sluice_source_plan *plan,
                       sluice_finding_visit visit, void *vctx, struct sluice_error *err);

#endif /* SQLSERVER_CHECK_H */
