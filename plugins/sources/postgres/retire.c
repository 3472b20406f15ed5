/* Dropping what the pipeline left at the server: only what it made itself. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "setup.h"

struct retire {
    struct sluice_source *src;
    sluice_finding_visit visit;
    void *vctx;
    sluice_status status; /* of the visitor */
    struct pg_created created;
    struct pg_facts facts;
    uint32_t found;
};

SLUICE_PRINTF(5, 6)
static void tell(struct retire *t, int32_t severity, const char *subject, const char *remedy,
                 const char *format, ...)
{
    char what[640];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    struct sluice_finding finding = {
        (uint32_t)sizeof finding, severity, subject, NULL, what, remedy};
    if (t->status == SLUICE_OK) {
        t->status = t->visit(t->vctx, &finding);
    }
}

/* The created line may be of another server that the file pointed to before. */
static sluice_status check_server(struct retire *t, struct sluice_error *err)
{
    static const char sql[] = "SELECT system_identifier FROM pg_catalog.pg_control_system()";
    PGresult *r = NULL;
    struct sluice_error local = SLUICE_ERROR_INIT;
    if (t->created.system[0] == '\0') {
        return SLUICE_OK;
    }
    sluice_status st =
        sluice_pg_query(t->src->control, "read the server's identity", sql, 0, NULL, &r, &local);
    if (st < 0) {
        /* Some services close that function to their users: names must do. */
        if (PQstatus(t->src->control->pg) == CONNECTION_OK && st != SLUICE_E_CANCELLED) {
            return SLUICE_OK;
        }
        if (err != NULL) {
            *err = local;
        }
        return st;
    }
    int same = PQntuples(r) == 1 && strcmp(PQgetvalue(r, 0, 0), t->created.system) == 0;
    if (!same) {
        tell(t, SLUICE_FINDING_WARN, "server", NULL,
             "what the pipeline made is at another server (system identifier %s, this one is %s)",
             t->created.system, PQgetvalue(r, 0, 0));
        memset(&t->created, 0, sizeof t->created);
    }
    PQclear(r);
    return SLUICE_OK;
}

static sluice_status drop_slot(struct retire *t, const char *name, int ours,
                               struct sluice_error *err)
{
    struct sluice_source *src = t->src;
    struct pg_slot slot;
    char subject[96];
    char sql[160];
    (void)snprintf(subject, sizeof subject, "slot %s", name);
    SLUICE_TRY(pg_slot_read(src->control, name, &slot, err));
    if (!slot.exists) {
        return SLUICE_OK;
    }
    t->found++;
    (void)snprintf(sql, sizeof sql, "SELECT pg_drop_replication_slot('%s')", name);
    if (!ours || !slot.logical || strcmp(slot.plugin, "pgoutput") != 0 ||
        strcmp(slot.database, t->facts.database) != 0) {
        tell(t, SLUICE_FINDING_INFO, subject, sql,
             "was not made by this pipeline, and stays; it keeps the server's log until it is "
             "dropped");
        return SLUICE_OK;
    }
    if (slot.active_pid != 0) {
        return sluice_error_set(
            err, SLUICE_E_CONFLICT, SLUICE_ERROR_FATAL,
            "replication slot %s is in use by server process %d: nothing was dropped (hint: stop "
            "the pipeline first; or end that connection: SELECT pg_terminate_backend(%d))",
            name, slot.active_pid, slot.active_pid);
    }
    (void)snprintf(sql, sizeof sql, "SELECT pg_catalog.pg_drop_replication_slot('%s')", name);
    SLUICE_TRY(sluice_pg_command(src->control, "drop the replication slot", sql, err));
    tell(t, SLUICE_FINDING_OK, subject, NULL, "dropped");
    return sluice_failpoint_hit(src->failpoints, "postgres.after_slot_drop", err);
}

static sluice_status drop_publication(struct retire *t, const char *name, const char *pipeline,
                                      struct sluice_error *err)
{
    struct sluice_source *src = t->src;
    struct pg_publication publication;
    struct sluice_pg_text sql = {0};
    struct sluice_pg_text own = {0};
    char subject[96];
    (void)snprintf(subject, sizeof subject, "publication %s", name);
    SLUICE_TRY(pg_publication_read(src->control, name, pipeline, &publication, err));
    if (!publication.exists) {
        return SLUICE_OK;
    }
    t->found++;
    sluice_pg_text_add(&own, "DROP PUBLICATION ");
    pg_name_ident(&own, name);
    sluice_status st = sluice_pg_text_check(&own, err);
    if (st < 0) {
        goto out;
    }
    if (!publication.ours && !pg_created_has_publication(&t->created, name)) {
        tell(t, SLUICE_FINDING_INFO, subject, own.data, "was not made by this pipeline, and stays");
        goto out;
    }
    if (!publication.owned) {
        tell(t, SLUICE_FINDING_ERROR, subject, own.data, "belongs to another role, and stays");
        goto out;
    }
    sluice_pg_text_format(&sql, "BEGIN READ WRITE; %s; COMMIT", own.data);
    st = sluice_pg_text_check(&sql, err);
    if (st >= 0) {
        st = sluice_pg_command(src->control, "drop the publication", sql.data, err);
    }
    if (st >= 0) {
        tell(t, SLUICE_FINDING_OK, subject, NULL, "dropped");
    }
out:
    sluice_pg_text_free(&sql);
    sluice_pg_text_free(&own);
    return st;
}

static sluice_status retire_all(struct retire *t, const struct sluice_source_plan *plan,
                                struct sluice_error *err)
{
    struct sluice_source *src = t->src;
    struct pg_feed_setup names = {0};
    pg_feed_names(src, plan->pipeline, &names);
    SLUICE_TRY(pg_facts_read(src->control, &t->facts, err));
    SLUICE_TRY(check_server(t, err));
    /* Slots first: one whose publication is gone cannot be read any more. A slot of the default name
     * is ours also when the state that knew of it is lost. */
    int ours = src->options.slot == NULL || pg_created_has_slot(&t->created, names.slot);
    SLUICE_TRY(drop_slot(t, names.slot, ours, err));
    for (uint32_t i = 0; i < t->created.slot_count; i++) {
        if (strcmp(t->created.slots[i], names.slot) != 0) {
            SLUICE_TRY(drop_slot(t, t->created.slots[i], 1, err));
        }
    }
    for (int i = 0; i < 2; i++) {
        SLUICE_TRY(drop_publication(t, names.publications[i], plan->pipeline, err));
    }
    for (uint32_t i = 0; i < t->created.publication_count; i++) {
        const char *name = t->created.publications[i];
        if (strcmp(name, names.publications[0]) != 0 && strcmp(name, names.publications[1]) != 0) {
            SLUICE_TRY(drop_publication(t, name, plan->pipeline, err));
        }
    }
    if (t->found == 0) {
        tell(t, SLUICE_FINDING_OK, "server", NULL,
             "there is nothing of this pipeline: no slot %s, no publication %s", names.slot,
             names.publications[0]);
    }
    return SLUICE_OK;
}

sluice_status pg_source_retire(struct sluice_source *src, const struct sluice_source_plan *plan,
                               sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    struct retire t = {.src = src, .visit = visit, .vctx = vctx};
    pg_created_parse(plan->created, &t.created);
    SLUICE_TRY(sluice_failpoint_hit(src->failpoints, "postgres.before_retire", err));
    /* No transaction: dropping a slot cannot be undone. */
    SLUICE_TRY(pg_control_begin(src, err));
    pg_control_end(src);
    if (src->control == NULL) {
        return sluice_error_set(err, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE,
                                "connect to retire: connection lost");
    }
    sluice_status st = retire_all(&t, plan, err);
    pg_control_end(src);
    return st < 0 ? st : t.status < 0 ? t.status : SLUICE_OK;
}
