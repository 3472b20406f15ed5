/* Making ready for a feed: everything is checked before anything is made; then the publication, then
 * the slot, whose snapshot the load will see. */
#include <stdio.h>
#include <stdlib.h>

#include "setup.h"
#include "sluice/position.h"

/* How long we wait for a slot that our own dead connection may still hold. */
#define BUSY_WAIT_US 10000000
#define BUSY_LOOK_US 250000

/* What setup works with, from its checks to its end. */
struct setup {
    struct sluice_source *src;
    const struct sluice_source_plan *plan;
    struct pg_facts facts;
    struct pg_catalog catalog;
    struct pg_chosen *chosen;
    uint32_t chosen_count;
    uint32_t load_count; /* streams that need the snapshot */
    struct pg_publication_plan publications;
    struct pg_slot slot;
    struct pg_system system;
    struct sluice_pg_conn *conn; /* the replication connection */
    struct pg_created created;
    uint64_t start_lsn; /* of the option; 0 = now */
};

/* The relation of the stream of logical messages. */
static const struct pg_relation messages_relation = {.oid = PG_MESSAGES_STREAM_ID,
                                                     .kind = PG_KIND_MESSAGES,
                                                     .persistence = 'p',
                                                     .schema = "",
                                                     .name = PG_MESSAGES_STREAM};

/* ---------------------------------------------------------------- the plan ------------------- */

static sluice_status read_plan(struct setup *s, struct sluice_error *err)
{
    struct sluice_source *src = s->src;
    struct pg_feed_setup *feed = &src->feed;
    const struct sluice_source_plan *plan = s->plan;
    memset(feed, 0, sizeof *feed);
    feed->wanted = 1;
    pg_feed_names(src, plan->pipeline, feed);
    int n = snprintf(feed->shard_id, sizeof feed->shard_id, "%s/changes", plan->node);
    if (n < 0 || (size_t)n >= sizeof feed->shard_id) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "source %s: its name is too long",
                                plan->node);
    }
    for (uint32_t i = 0; i < plan->resume_count; i++) {
        const struct sluice_resume *resume = plan->resumes[i];
        if (strcmp(resume->shard_id, feed->shard_id) != 0 || resume->position.size == 0) {
            continue;
        }
        if (resume->position.size != 8) {
            return sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                                    "source %s: a position of %llu bytes is none of PostgreSQL",
                                    plan->node, (unsigned long long)resume->position.size);
        }
        feed->resume = sluice_get_be64(resume->position.data);
    }
    if (plan->until != NULL && !pg_lsn_text_parse(plan->until, &feed->until_lsn) &&
        !pg_time_parse(plan->until, &feed->until_us)) {
        return sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                                "until %s: neither an LSN like 16/B374D848 nor a time like "
                                "2026-11-23T00:52:34Z",
                                plan->until);
    }
    if (src->options.start_lsn != NULL) {
        (void)pg_lsn_text_parse(src->options.start_lsn, &s->start_lsn);
        if (plan->mode != SLUICE_MODE_CDC_ONLY) {
            return sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                                    "option start_lsn is for mode: cdc_only; a load sets its own "
                                    "start");
        }
    }
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- checks --------------------- */

static sluice_status check_server(const struct setup *s, struct sluice_error *err)
{
    const struct pg_facts *f = &s->facts;
    const struct pg_options *o = &s->src->options;
    if (strcmp(f->wal_level, "logical") != 0) {
        return sluice_error_set(err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_FATAL,
                                "the server's wal_level is %s: changes cannot be captured (hint: "
                                "ALTER SYSTEM SET wal_level = logical, then restart the server)",
                                f->wal_level);
    }
    if (f->recovery && f->version < PG_SINCE_STANDBY) {
        return sluice_error_set(err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_FATAL,
                                "the server is a standby: capturing changes from one needs "
                                "PostgreSQL 16 (hint: connect to the primary)");
    }
    if (!f->can_replicate) {
        struct sluice_pg_text role = {0};
        pg_name_ident(&role, f->role);
        sluice_status st =
            sluice_error_set(err, SLUICE_E_PERMISSION, SLUICE_ERROR_FATAL,
                             "role %s may not replicate (hint: ALTER ROLE %s REPLICATION)", f->role,
                             role.data != NULL ? role.data : "");
        sluice_pg_text_free(&role);
        return st;
    }
    const char *newer = NULL;
    if (o->messages && f->version < PG_SINCE_MESSAGES) {
        newer = "option messages needs PostgreSQL 14";
    }
    else if (o->binary == PG_ON && f->version < PG_SINCE_MESSAGES) {
        newer = "option binary: on needs PostgreSQL 14";
    }
    else if (o->origin == PG_ORIGIN_NONE && f->version < PG_SINCE_STANDBY) {
        newer = "option origin: none needs PostgreSQL 16";
    }
    else if (o->failover == PG_ON && (f->version < PG_SINCE_FAILOVER || f->recovery)) {
        newer = "option failover: on needs a primary of PostgreSQL 17";
    }
    if (newer != NULL) {
        return sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                                "%s; the server is %d.%d", newer, f->version / 10000,
                                f->version % 10000);
    }
    return SLUICE_OK;
}

/* The chosen streams whose changes are wanted, with all that the catalog says of them. */
static sluice_status choose(struct setup *s, struct sluice_error *err)
{
    const struct sluice_source_plan *plan = s->plan;
    struct sluice_pg_conn *conn = s->src->control;
    uint32_t *matched = calloc(plan->stream_count + 1u, sizeof *matched);
    uint32_t *wanted = NULL;
    uint32_t n = 0;
    sluice_status st = SLUICE_OK;
    s->chosen = calloc(plan->stream_count + 1u, sizeof *s->chosen);
    if (matched == NULL || s->chosen == NULL) {
        st = sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for streams");
        goto out;
    }
    st = pg_catalog_load(conn, &s->catalog, err);
    if (st >= 0) {
        st = pg_catalog_match(&s->catalog, plan, matched, err);
    }
    wanted = calloc(s->catalog.relation_count + 1u, sizeof *wanted);
    if (st >= 0 && wanted == NULL) {
        st = sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for streams");
    }
    for (uint32_t i = 0; i < plan->stream_count && st >= 0; i++) {
        const struct sluice_stream_select *select = plan->streams[i];
        int messages = strcmp(select->name, PG_MESSAGES_STREAM) == 0;
        if (!messages && matched[i] == UINT32_MAX) {
            continue; /* told when the streams are visited */
        }
        s->load_count += !messages && (select->flags & SLUICE_SELECT_LOAD) != 0;
        if ((select->flags & SLUICE_SELECT_CHANGES) != 0) {
            struct pg_chosen *c = &s->chosen[s->chosen_count++];
            c->select = select;
            c->relation = messages ? &messages_relation : &s->catalog.relations[matched[i]];
            if (!messages) {
                wanted[n++] = matched[i];
            }
        }
    }
    if (st >= 0) {
        st = pg_catalog_load_columns(conn, &s->catalog, wanted, n, err);
    }
    if (st >= 0) {
        st = pg_catalog_load_leaves(conn, &s->catalog, wanted, n, err);
    }
    if (s->src->options.publication_mode == PG_PUBLICATION_ALL_TABLES && wanted != NULL) {
        for (n = 0; n < s->catalog.relation_count; n++) {
            wanted[n] = n;
        }
    }
    if (st >= 0) {
        st = pg_catalog_load_identity(conn, &s->catalog, wanted, n, err);
    }
out:
    free(matched);
    free(wanted);
    return st;
}

/* Another session reads the slot: if it is our own dead connection, the server will notice soon. */
static sluice_status wait_busy(struct setup *s, struct sluice_error *err)
{
    const struct sluice_host *host = s->src->host;
    const char *name = s->src->feed.slot;
    int64_t deadline = host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC) + BUSY_WAIT_US;
    if (s->slot.active_pid != 0) {
        sluice_log(host, SLUICE_LOG_WARN, "the replication slot is in use slot=%s pid=%d", name,
                   s->slot.active_pid);
    }
    while (s->slot.active_pid != 0) {
        if (host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC) >= deadline) {
            return pg_slot_busy(s->src->control, &s->slot, name, err);
        }
        SLUICE_TRY(pg_pause(s->src, BUSY_LOOK_US, err));
        SLUICE_TRY(pg_slot_read(s->src->control, name, &s->slot, err));
    }
    return SLUICE_OK;
}

static sluice_status check_start(const struct setup *s, struct sluice_error *err)
{
    const char *text = s->src->options.start_lsn;
    char from[24];
    uint64_t end = s->system.end;
    if (s->start_lsn == 0 || s->src->feed.resume != 0) {
        return SLUICE_OK;
    }
    if (s->start_lsn > end) {
        /* pg_current_wal_lsn() may be ahead of what is flushed, which is what IDENTIFY_SYSTEM gave. */
        SLUICE_TRY(pg_log_end(s->src, s->src->control, &end, err));
    }
    if (s->start_lsn > end) {
        sluice_lsn_format(end, from);
        return sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                                "option start_lsn: %s lies in the future, the server's log ends at "
                                "%s",
                                text, from);
    }
    if (!s->slot.exists) {
        return sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "option start_lsn: %s cannot be reached, since there is no slot %s that kept the log "
            "from there (hint: name a slot that did, or leave start_lsn out to begin now)",
            text, s->src->feed.slot);
    }
    if (s->start_lsn < s->slot.confirmed) {
        sluice_lsn_format(s->slot.confirmed, from);
        return sluice_error_set(err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
                                "option start_lsn: %s lies before %s, from where on slot %s has "
                                "changes (hint: start there, or leave start_lsn out)",
                                text, from, s->src->feed.slot);
    }
    return SLUICE_OK;
}

/* The server that the position is of, as far as can be told. */
static sluice_status check_identity(const struct setup *s, struct sluice_error *err)
{
    const struct pg_feed_setup *feed = &s->src->feed;
    char ours[24];
    char theirs[24];
    if (feed->resume == 0) {
        return SLUICE_OK;
    }
    if (s->created.system[0] != '\0' && strcmp(s->created.system, s->system.id) != 0) {
        return sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "this is another server (system identifier %s) than the one that the changes came from "
            "(%s) (hint: point the pipeline back at that one, or begin anew: sluice state reset "
            "FILE, then sluice run FILE)",
            s->system.id, s->created.system);
    }
    if (feed->resume > s->system.end) {
        sluice_lsn_format(feed->resume, ours);
        sluice_lsn_format(s->system.end, theirs);
        return sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "the server's log ends at %s, before our position %s: it was restored from a backup, "
            "or "
            "is another server (hint: begin anew: sluice state reset FILE, then sluice run FILE)",
            theirs, ours);
    }
    return SLUICE_OK;
}

/* What the slot keeps from before the publication was made can never be read: with a load that does
 * not matter, without one it would be lost in silence. */
static sluice_status check_older_slot(const struct setup *s, struct sluice_error *err)
{
    const struct pg_feed_setup *feed = &s->src->feed;
    int creates = s->publications.creates[0] || s->publications.creates[1];
    if (s->plan->mode != SLUICE_MODE_CDC_ONLY || !s->slot.exists || !creates) {
        return SLUICE_OK;
    }
    return sluice_error_set(
        err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
        "slot %s is there, but publication %s is not: changes that the slot has kept were not "
        "published and cannot be read any more (hint: drop the slot to begin now: SELECT "
        "pg_drop_replication_slot('%s'); or set mode: full_load_and_cdc, which loads the tables)",
        feed->slot, feed->publications[0], feed->slot);
}

static sluice_status check_slot(struct setup *s, struct sluice_error *err)
{
    struct pg_feed_setup *feed = &s->src->feed;
    SLUICE_TRY(check_older_slot(s, err));
    if (s->slot.exists) {
        SLUICE_TRY(pg_slot_check(&s->slot, feed->slot, s->facts.database, err));
    }
    if (feed->resume != 0) {
        SLUICE_TRY(pg_slot_gap(feed->slot, &s->slot, feed->resume, err));
    }
    SLUICE_TRY(check_start(s, err));
    if (s->facts.slots_used >= s->facts.slots_max && (!s->slot.exists || s->load_count > 0)) {
        return sluice_error_set(
            err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_FATAL,
            "all %d replication slots of the server are taken, and %s is needed (hint: ALTER "
            "SYSTEM "
            "SET max_replication_slots = …, then restart it; or drop unused ones: SELECT * FROM "
            "pg_replication_slots)",
            s->facts.slots_max, s->slot.exists ? "a temporary one for the load" : "one");
    }
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- making --------------------- */

static sluice_status explain_connect(const struct setup *s, struct sluice_error *err)
{
    if (err != NULL && strcmp(err->sqlstate, "53300") == 0) {
        return sluice_error_wrap(err, "replication connection (max_wal_senders is %d)",
                                 s->facts.senders_max);
    }
    return sluice_error_wrap(err, "replication connection");
}

static sluice_status make_slot(struct setup *s, struct sluice_error *err)
{
    struct sluice_source *src = s->src;
    struct pg_feed_setup *feed = &src->feed;
    uint64_t point = 0;
    struct pg_slot_wish wish = {feed->slot, 0, s->load_count > 0, 0};
    wish.failover = src->options.failover == PG_ON ||
                    (src->options.failover == PG_AUTO && s->facts.version >= PG_SINCE_FAILOVER &&
                     !s->facts.recovery);
    SLUICE_TRY(sluice_failpoint_hit(src->failpoints, "postgres.before_slot", err));
    SLUICE_TRY(pg_slot_create(src, s->conn, &wish, &point, err));
    feed->failover_slot = wish.failover;
    feed->start = point;
    feed->load_point = wish.snapshot ? point : 0;
    pg_created_add_slot(&s->created, feed->slot);
    return sluice_failpoint_hit(src->failpoints, "postgres.after_slot", err);
}

/* A temporary slot's snapshot has an exact position, as no ordinary one does. */
static sluice_status make_temporary_slot(struct setup *s, struct sluice_error *err)
{
    struct sluice_source *src = s->src;
    struct pg_feed_setup *feed = &src->feed;
    char name[PG_NAME_SIZE];
    (void)snprintf(name, sizeof name, "sluice_tmp_%d_%llx", PQbackendPID(s->conn->pg),
                   (unsigned long long)src->generation);
    struct pg_slot_wish wish = {name, 1, 1, 0};
    SLUICE_TRY(pg_slot_create(src, s->conn, &wish, &feed->load_point, err));
    return sluice_failpoint_hit(src->failpoints, "postgres.after_temp_slot", err);
}

static sluice_status make(struct setup *s, struct sluice_error *err)
{
    struct sluice_source *src = s->src;
    struct pg_feed_setup *feed = &src->feed;
    feed->publication_count = s->publications.count;
    if (strcmp(s->created.system, s->system.id) != 0) {
        memset(&s->created, 0, sizeof s->created); /* of another server */
        (void)snprintf(s->created.system, sizeof s->created.system, "%s", s->system.id);
    }
    SLUICE_TRY(pg_publication_plan_apply(src, &s->publications, err));
    for (uint32_t k = 0; k < s->publications.count; k++) {
        if (s->publications.creates[k] || s->publications.publications[k].ours) {
            pg_created_add_publication(&s->created, feed->publications[k]);
        }
    }
    if (!s->slot.exists) {
        SLUICE_TRY(make_slot(s, err));
    }
    else {
        feed->failover_slot = s->slot.failover;
        feed->start = s->start_lsn != 0 ? s->start_lsn : s->slot.confirmed;
        feed->start = feed->resume != 0 ? feed->resume : feed->start;
        if (src->options.slot == NULL) {
            pg_created_add_slot(&s->created, feed->slot);
        }
        if (s->load_count > 0) {
            SLUICE_TRY(make_temporary_slot(s, err));
        }
    }
    if ((s->plan->flags & SLUICE_PLAN_ONCE) != 0) {
        SLUICE_TRY(pg_log_end(src, src->control, &feed->once_end, err));
        feed->once_end = feed->once_end > feed->start ? feed->once_end : feed->start;
    }
    return SLUICE_OK;
}

/* What the rest of the source needs of it. */
static void finish(struct setup *s)
{
    struct sluice_source *src = s->src;
    struct pg_feed_setup *feed = &src->feed;
    (void)snprintf(feed->system_id, sizeof feed->system_id, "%s", s->system.id);
    (void)snprintf(feed->timeline, sizeof feed->timeline, "%s", s->system.timeline);
    pg_created_format(&s->created, feed->created, sizeof feed->created);
    if (feed->failover_slot) {
        (void)snprintf(src->identity, sizeof src->identity, "system=%s database=%s", s->system.id,
                       s->facts.database_oid);
    }
    else {
        (void)snprintf(src->identity, sizeof src->identity, "system=%s timeline=%s database=%s",
                       s->system.id, s->system.timeline, s->facts.database_oid);
    }
    (void)snprintf(src->server, sizeof src->server, "PostgreSQL %d.%d", s->facts.version / 10000,
                   s->facts.version % 10000);
    if (feed->load_point != 0) {
        sluice_put_be64(feed->load_position, feed->load_point);
        sluice_hex_encode(feed->load_position, 8, feed->load_position_text);
        src->holder = s->conn; /* says nothing more: its next command would end the snapshot */
        s->conn = NULL;
    }
    sluice_put_be64(feed->start_position, feed->start);
    feed->shard = (struct sluice_shard_desc){.struct_size = (uint32_t)sizeof feed->shard,
                                             .kind = SLUICE_SHARD_CHANGES,
                                             .id = feed->shard_id,
                                             .rows_estimate = -1,
                                             .bytes_estimate = -1,
                                             .start = {feed->start_position, 8}};
}

/* All that can be wrong is found before anything is made. */
static sluice_status check_all(struct setup *s, struct sluice_error *err)
{
    struct sluice_source *src = s->src;
    SLUICE_TRY(pg_control_begin(src, err));
    SLUICE_TRY(pg_facts_read(src->control, &s->facts, err));
    SLUICE_TRY(check_server(s, err));
    sluice_status st =
        sluice_pg_repl_connect(&src->options.conn, src->host, src->registry, 0, &s->conn, err);
    if (st < 0) {
        return explain_connect(s, err);
    }
    SLUICE_TRY(pg_system_identify(s->conn, &s->system, err));
    SLUICE_TRY(check_identity(s, err));
    SLUICE_TRY(choose(s, err));
    SLUICE_TRY(pg_chosen_check(src, &s->facts, &s->catalog, s->chosen, s->chosen_count, err));
    SLUICE_TRY(pg_publication_plan_make(src, &s->facts, s->plan, &s->catalog, s->chosen,
                                        s->chosen_count, &s->publications, err));
    pg_control_end(src);
    if (src->control == NULL) {
        return sluice_error_set(err, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE,
                                "read the catalog: connection lost");
    }
    SLUICE_TRY(pg_slot_read(src->control, src->feed.slot, &s->slot, err));
    SLUICE_TRY(wait_busy(s, err));
    return check_slot(s, err);
}

sluice_status pg_feed_setup(struct sluice_source *src, const struct sluice_source_plan *plan,
                            struct sluice_error *err)
{
    struct setup s = {.src = src, .plan = plan};
    pg_created_parse(plan->created, &s.created);
    sluice_status st = read_plan(&s, err);
    if (st >= 0) {
        st = check_all(&s, err);
    }
    if (st >= 0) {
        st = make(&s, err);
    }
    if (st >= 0) {
        finish(&s);
    }
    else {
        pg_control_end(src);
    }
    sluice_pg_close(s.conn);
    pg_publication_plan_free(&s.publications);
    pg_catalog_free(&s.catalog);
    free(s.chosen);
    return st;
}
