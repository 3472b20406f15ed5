/* check(): is what we need there, and what would change capture need. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "source.h"

struct check {
    struct sluice_source *src;
    sluice_finding_visit visit;
    void *vctx;
    sluice_status status; /* of the visitor: OK, END, or an error */
};

SLUICE_PRINTF(6, 7)
static void report(struct check *c, int32_t severity, const char *subject, const char *key,
                   const char *remedy, const char *format, ...)
{
    char what[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    struct sluice_finding finding = {
        (uint32_t)sizeof finding, severity, subject, key, what, remedy};
    if (c->status == SLUICE_OK) {
        c->status = c->visit(c->vctx, &finding);
    }
}

sluice_status pg_source_check(struct sluice_source *src, const struct sluice_source_plan *plan,
                              sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    struct check c = {src, visit, vctx, SLUICE_OK};
    (void)plan;
    sluice_status st = pg_control_begin(src, err);
    if (st < 0) {
        report(&c, SLUICE_FINDING_ERROR, "connection", NULL, NULL, "%s", err->message);
        return st;
    }
    pg_control_end(src);
    return c.status;
}
