/* check(): can tables be written here? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink.h"

static sluice_status tell(sluice_finding_visit visit, void *vctx, int32_t severity,
                          const char *subject, const char *key, const char *what,
                          const char *remedy)
{
    const struct sluice_finding finding = {.struct_size = (uint32_t)sizeof finding,
                                           .severity = severity,
                                           .subject = subject,
                                           .key = key,
                                           .what = what,
                                           .remedy = remedy};
    const sluice_status status = visit(vctx, &finding);
    return status < 0 ? status : SLUICE_OK;
}

static int is_allowed(struct sluice_tds_conn *conn, const char *permission)
{
    char *found = NULL;
    struct mssink_text t = {0};
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    mssink_text_add(&t, "SELECT HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', ");
    mssink_text_literal(&t, permission);
    mssink_text_add(&t, ") AS may");
    const int known = mssink_value(conn, "look at rights", &t, &found, &ignored) >= 0;
    const int allowed = !known || found == NULL || strcmp(found, "0") != 0;
    free(found);
    return allowed;
}

sluice_status mssink_check(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                           sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    struct sluice_tds_conn *conn = NULL;
    char what[512];
    (void)plan;
    sluice_status status = mssink_ctl(sink, &conn, err);
    if (status < 0) {
        (void)tell(visit, vctx, SLUICE_FINDING_ERROR, "connection", "host", err->message, NULL);
        return status;
    }
    (void)snprintf(what, sizeof what, "connected to database %s, %s", sink->options.server.database,
                   sink->options.server.encrypt == SLUICE_TDS_ENCRYPT_OFF ? "not encrypted"
                                                                          : "encrypted");
    status = tell(visit, vctx, SLUICE_FINDING_OK, "connection", NULL, what, NULL);
    static const struct {
        const char *permission;
        const char *remedy;
    } rights[] = {
        {"CREATE TABLE", "GRANT CREATE TABLE TO the user"},
        {"CREATE SCHEMA", "GRANT CREATE SCHEMA TO the user, or make the schemas yourself"}};
    for (size_t i = 0; status >= 0 && i < sizeof rights / sizeof rights[0]; i++) {
        if (!is_allowed(conn, rights[i].permission)) {
            (void)snprintf(what, sizeof what, "%s is not granted", rights[i].permission);
            status = tell(visit, vctx,
                          sink->options.auto_create ? SLUICE_FINDING_WARN : SLUICE_FINDING_INFO,
                          "rights", "auto_create", what, rights[i].remedy);
        }
    }
    return status;
}
