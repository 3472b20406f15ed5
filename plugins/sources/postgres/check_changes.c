/* check(): is change capture possible here, and if not, why? In pipelines that follow changes what is
 * missing is an error; in others it is told for later. */
#include <stdio.h>
#include <stdlib.h>

#include "setup.h"
#include "sluice/position.h"

enum { TABLES_SHOWN = 20, SENDER_TIMEOUT_MIN_MS = 2000 };

struct changes {
    struct pg_check *check;
    struct pg_facts facts;
    struct pg_slot slot;
    struct pg_feed_setup names; /* of slot and publications */
    struct pg_list reasons;     /* why it is not possible: subjects */
    int32_t wanted;             /* the pipeline's mode has changes */
    struct pg_chosen *chosen;   /* those that have changes */
    uint32_t chosen_count;
};

/* Something without which it cannot be. */
static void block(struct changes *c, const char *subject, const char *key, const char *remedy,
                  const char *what)
{
    pg_list_add(&c->reasons, ", ", subject);
    pg_check_report(c->check, c->wanted ? SLUICE_FINDING_ERROR : SLUICE_FINDING_INFO, subject, key,
                    remedy, "%s", what);
}

/* The same from an error, whose hint is the remedy. */
static void block_error(struct changes *c, const char *subject, const char *key,
                        struct sluice_error *err)
{
    char *hint = strstr(err->message, " (hint: ");
    char *remedy = NULL;
    if (hint != NULL) {
        size_t end = strlen(err->message);
        if (err->message[end - 1] == ')') {
            err->message[end - 1] = '\0';
        }
        *hint = '\0';
        remedy = hint + strlen(" (hint: ");
    }
    block(c, subject, key, remedy, err->message);
}

/* ---------------------------------------------------------------- server --------------------- */

static void check_settings(struct changes *c)
{
    const struct pg_facts *f = &c->facts;
    char what[200];
    char remedy[256];
    if (strcmp(f->wal_level, "logical") != 0) {
        (void)snprintf(what, sizeof what, "is %s; change capture needs logical", f->wal_level);
        block(c, "wal_level", NULL, "ALTER SYSTEM SET wal_level = logical; then restart the server",
              what);
    }
    if (f->recovery && f->version < PG_SINCE_STANDBY) {
        block(c, "standby", NULL, "connect to the primary",
              "change capture from a standby needs PostgreSQL 16");
    }
    else if (f->recovery) {
        pg_check_report(c->check, SLUICE_FINDING_INFO, "standby", NULL,
                        "SELECT pg_log_standby_snapshot() at the primary",
                        "a slot on a standby begins once the primary writes; the publication must "
                        "be made at the primary");
    }
    if (!f->can_replicate) {
        (void)snprintf(remedy, sizeof remedy, "ALTER ROLE %.200s REPLICATION", c->check->role.data);
        block(c, "role", "user", remedy, "has no replication right; change capture needs it");
    }
    int slots_left = f->slots_max - f->slots_used;
    if (slots_left <= 0 && !c->slot.exists) {
        (void)snprintf(what, sizeof what, "%d of %d slots are taken; change capture needs one",
                       f->slots_used, f->slots_max);
        block(c, "max_replication_slots", NULL,
              "ALTER SYSTEM SET max_replication_slots = …; then restart the server", what);
    }
    else if (slots_left <= 0 && c->wanted) {
        pg_check_report(c->check, SLUICE_FINDING_WARN, "max_replication_slots", NULL,
                        "ALTER SYSTEM SET max_replication_slots = …; then restart the server",
                        "all %d slots are taken: tables that are added later need a temporary one",
                        f->slots_max);
    }
    if (f->senders_max == 0 || f->senders_used >= f->senders_max) {
        (void)snprintf(what, sizeof what, "%d of %d are in use; change capture needs one",
                       f->senders_used, f->senders_max);
        block(c, "max_wal_senders", NULL,
              "ALTER SYSTEM SET max_wal_senders = …; then restart the server", what);
    }
    else {
        pg_check_report(c->check, SLUICE_FINDING_OK, "slots and senders", NULL, NULL,
                        "%d of %d slots and %d of %d WAL senders are free",
                        slots_left > 0 ? slots_left : 0, f->slots_max,
                        f->senders_max - f->senders_used, f->senders_max);
    }
}

/* What keeps and ends slots, for pipelines that have one. */
static void check_keeping(struct changes *c)
{
    const struct pg_facts *f = &c->facts;
    if (!c->wanted) {
        return;
    }
    if (f->version >= PG_SINCE_ROOTS && f->keep_bytes < 0) {
        pg_check_report(
            c->check, SLUICE_FINDING_WARN, "max_slot_wal_keep_size", NULL,
            "ALTER SYSTEM SET max_slot_wal_keep_size = '…GB'; SELECT pg_reload_conf()",
            "has no limit: while the pipeline stands still, the server's log grows until "
            "its disk is full");
    }
    else if (f->version >= PG_SINCE_ROOTS) {
        pg_check_report(c->check, SLUICE_FINDING_INFO, "max_slot_wal_keep_size", NULL, NULL,
                        "a pipeline that is behind by more than %lld MiB of log loses its slot and "
                        "must begin anew",
                        (long long)(f->keep_bytes / 1048576));
    }
    if (f->sender_timeout_ms > 0 && f->sender_timeout_ms < SENDER_TIMEOUT_MIN_MS) {
        pg_check_report(
            c->check, SLUICE_FINDING_WARN, "wal_sender_timeout", NULL,
            "ALTER SYSTEM SET wal_sender_timeout = '60s'; SELECT pg_reload_conf()",
            "is %lld ms: a short pause of the network or of either side ends the stream",
            (long long)f->sender_timeout_ms);
    }
    if (f->sender_timeout_ms == 0) {
        pg_check_report(
            c->check, SLUICE_FINDING_INFO, "wal_sender_timeout", NULL,
            "ALTER SYSTEM SET wal_sender_timeout = '60s'; SELECT pg_reload_conf()",
            "is off: a connection that died without a word keeps the slot busy until TCP "
            "gives up");
    }
}

/* pg_hba.conf and the role's rights are best asked by doing it. */
static sluice_status check_connection(struct changes *c, struct sluice_error *err)
{
    struct sluice_source *src = c->check->src;
    struct sluice_pg_conn *conn = NULL;
    struct sluice_error local = SLUICE_ERROR_INIT;
    struct pg_system system;
    char remedy[320];
    if (!c->facts.can_replicate || c->facts.senders_max == 0) {
        return SLUICE_OK; /* told already */
    }
    sluice_status st =
        sluice_pg_repl_connect(&src->options.conn, src->host, src->registry, 0, &conn, &local);
    if (st >= 0) {
        st = pg_system_identify(conn, &system, &local);
    }
    sluice_pg_close(conn);
    if (st == SLUICE_E_CANCELLED || st == SLUICE_E_NOMEM) {
        if (err != NULL) {
            *err = local;
        }
        return st;
    }
    if (st >= 0) {
        pg_check_report(c->check, SLUICE_FINDING_OK, "replication connection", NULL, NULL,
                        "works (system identifier %s, timeline %s)", system.id, system.timeline);
        return SLUICE_OK;
    }
    if (strcmp(local.sqlstate, "28000") == 0) {
        (void)snprintf(remedy, sizeof remedy,
                       "pg_hba.conf: a line \"host %.64s %.64s ADDRESS scram-sha-256\" (logical "
                       "replication goes by the database's name); SELECT pg_reload_conf()",
                       c->facts.database, c->facts.role);
        block(c, "pg_hba.conf", NULL, remedy, local.message);
        return SLUICE_OK;
    }
    block_error(c, "replication connection", NULL, &local);
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- slot, publication ---------- */

static void check_slot(struct changes *c)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    char subject[96];
    char where[24];
    char remedy[200];
    const char *name = c->names.slot;
    (void)snprintf(subject, sizeof subject, "slot %s", name);
    if (!c->slot.exists) {
        if (c->wanted) {
            pg_check_report(c->check, SLUICE_FINDING_INFO, subject, "slot", NULL,
                            "is not there yet; the first run makes it");
        }
        return;
    }
    if (pg_slot_check(&c->slot, name, c->facts.database, &err) < 0) {
        block_error(c, subject, "slot", &err);
        return;
    }
    uint64_t kept = c->facts.end > c->slot.restart ? c->facts.end - c->slot.restart : 0;
    sluice_lsn_format(c->slot.confirmed, where);
    if (!c->wanted) {
        (void)snprintf(remedy, sizeof remedy,
                       "sluice retire FILE, or: SELECT "
                       "pg_drop_replication_slot('%s')",
                       name);
        pg_check_report(c->check, SLUICE_FINDING_WARN, subject, "mode", remedy,
                        "is there although this pipeline does not follow changes; the server keeps "
                        "%.1f MiB of log for it",
                        (double)kept / 1048576.0);
        return;
    }
    pg_check_report(c->check, SLUICE_FINDING_OK, subject, "slot", NULL,
                    "stands at %s; the server keeps %.1f MiB of log for it%s", where,
                    (double)kept / 1048576.0,
                    c->slot.active_pid != 0 ? "; it is being read now" : "");
    if (strcmp(c->slot.wal_status, "unreserved") == 0) {
        pg_check_report(c->check, SLUICE_FINDING_WARN, subject, "slot",
                        "run the pipeline now; ALTER SYSTEM SET max_slot_wal_keep_size = …",
                        "is about to be lost: it keeps more log than max_slot_wal_keep_size");
    }
}

/* A dry run of what open() does with publications. */
static sluice_status check_publication(struct changes *c, struct sluice_error *err)
{
    struct sluice_source *src = c->check->src;
    struct pg_publication_plan plan = {0};
    struct sluice_error local = SLUICE_ERROR_INIT;
    char subject[96];
    const char *name = c->names.publications[0];
    (void)snprintf(subject, sizeof subject, "publication %s", name);
    if (src->opened || c->check->plan == NULL) {
        return SLUICE_OK; /* open() has looked at it */
    }
    src->feed = (struct pg_feed_setup){0};
    memcpy(src->feed.publications, c->names.publications, sizeof src->feed.publications);
    sluice_status st = pg_publication_plan_make(src, &c->facts, c->check->plan, &c->check->catalog,
                                                c->chosen, c->chosen_count, &plan, &local);
    src->feed = (struct pg_feed_setup){0};
    if (st < 0 && (local.flags & SLUICE_ERROR_FATAL) != 0) {
        block_error(c, subject, "publication", &local);
        st = SLUICE_OK;
    }
    else if (st < 0) {
        if (err != NULL) {
            *err = local;
        }
    }
    else if (c->wanted) {
        const struct pg_publication *p = &plan.publications[0];
        pg_check_report(c->check, p->exists ? SLUICE_FINDING_OK : SLUICE_FINDING_INFO, subject,
                        "publication", NULL, "%s",
                        !p->exists          ? "is not there yet; the first run makes it"
                        : plan.sql.size > 0 ? "is ours; the next run brings it in step with the "
                                              "chosen tables"
                        : p->ours           ? "is ours, with exactly the chosen tables"
                                            : "has all chosen tables; it is not ours");
    }
    pg_publication_plan_free(&plan);
    return st;
}

/* ---------------------------------------------------------------- tables --------------------- */

/* Tables without identity: one finding for each, the first ones. */
static void check_identities(struct changes *c)
{
    struct pg_check *check = c->check;
    int insert_only = check->src->options.without_identity == PG_IDENTITY_INSERT_ONLY;
    uint32_t bad = 0;
    for (uint32_t i = 0; i < c->chosen_count; i++) {
        struct pg_list remedies = {.room = 4 * PG_MESSAGE_ROOM};
        struct pg_chosen *chosen = &c->chosen[i];
        int sound = pg_identity_sound(&check->catalog, chosen->relation, &remedies);
        chosen->insert_only = !sound;
        if (!sound && bad++ < TABLES_SHOWN) {
            pg_check_report(
                check, c->wanted && !insert_only ? SLUICE_FINDING_ERROR : SLUICE_FINDING_INFO,
                chosen->select->name, "without_identity", pg_list_end(&remedies),
                insert_only ? "has no replica identity: its inserts alone are captured"
                            : "has no replica identity: once published, its updates and "
                              "deletes would fail at the source");
        }
        pg_list_free(&remedies);
    }
    if (bad > TABLES_SHOWN) {
        pg_check_report(check, SLUICE_FINDING_INFO, "tables", NULL, NULL,
                        "%u more tables have no replica identity", bad - TABLES_SHOWN);
    }
    if (bad > 0 && !insert_only) {
        pg_list_add(&c->reasons, ", ", "replica identities");
    }
}

/* Which of the tables have changes at all. */
static void choose(struct changes *c, const uint32_t *chosen,
                   const struct sluice_stream_select *const *selects, uint32_t count)
{
    struct pg_check *check = c->check;
    uint32_t without = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct pg_relation *r = &check->catalog.relations[chosen[i]];
        if (pg_relation_capturable(r, c->facts.version)) {
            c->chosen[c->chosen_count].relation = r;
            c->chosen[c->chosen_count++].select = selects[i];
        }
        else if (c->wanted && without++ < TABLES_SHOWN) {
            pg_check_report(check, SLUICE_FINDING_WARN, selects[i]->name, "tables", NULL,
                            "has no changes to capture: %s",
                            r->persistence == 'u' ? "it is unlogged"
                            : r->kind == 'p'      ? "partitioned tables need PostgreSQL 13"
                            : r->kind == 'f'      ? "it is a foreign table"
                            : r->kind == 'm'      ? "it is a materialized view"
                                                  : "it is a view");
        }
    }
}

/* ---------------------------------------------------------------- all ------------------------ */

static void conclude(struct changes *c)
{
    struct pg_check *check = c->check;
    if (c->reasons.count > 0) {
        pg_check_report(check, c->wanted ? SLUICE_FINDING_ERROR : SLUICE_FINDING_INFO,
                        "change capture", c->wanted ? "mode" : NULL, NULL,
                        "not possible here yet, because of: %s", pg_list_end(&c->reasons));
    }
    else {
        pg_check_report(check, SLUICE_FINDING_OK, "change capture", NULL, NULL,
                        "change data capture is possible here");
    }
    if (!c->wanted && check->plan != NULL) {
        pg_check_report(check, SLUICE_FINDING_INFO, "mode", "mode", "mode: full_load_and_cdc",
                        "full_load_only: what changes after the load is not captured");
    }
}

static sluice_status check_tables(struct changes *c, const uint32_t *chosen,
                                  const struct sluice_stream_select *const *selects, uint32_t count,
                                  struct sluice_error *err)
{
    struct pg_check *check = c->check;
    if (count == 0) {
        return SLUICE_OK;
    }
    c->chosen = calloc(count, sizeof *c->chosen);
    if (c->chosen == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for tables");
    }
    SLUICE_TRY(pg_catalog_load_leaves(check->conn, &check->catalog, chosen, count, err));
    SLUICE_TRY(pg_catalog_load_identity(check->conn, &check->catalog, chosen, count, err));
    choose(c, chosen, selects, count);
    check_identities(c);
    return check_publication(c, err);
}

sluice_status pg_check_changes(struct pg_check *check, const uint32_t *chosen,
                               const struct sluice_stream_select *const *selects, uint32_t count,
                               struct sluice_error *err)
{
    struct changes c = {.check = check, .reasons = {.room = PG_MESSAGE_ROOM}};
    const char *pipeline = check->plan != NULL ? check->plan->pipeline : NULL;
    c.wanted = check->plan != NULL && check->plan->mode != SLUICE_MODE_FULL_LOAD_ONLY &&
               check->plan->mode != 0;
    pg_feed_names(check->src, pipeline, &c.names);
    sluice_status st = pg_facts_read(check->conn, &c.facts, err);
    if (st >= 0) {
        st = pg_slot_read(check->conn, c.names.slot, &c.slot, err);
    }
    if (st >= 0) {
        check_settings(&c);
        check_keeping(&c);
        st = check_connection(&c, err);
    }
    if (st >= 0) {
        check_slot(&c);
        st = check_tables(&c, chosen, selects, count, err);
    }
    if (st >= 0) {
        conclude(&c);
    }
    pg_list_free(&c.reasons);
    free(c.chosen);
    return st;
}
