/* Catalog sessions, discover, and open: what there is, and what will be read. */
#include <stdio.h>
#include <stdlib.h>

#include "setup.h"
#include "sluice/position.h"

sluice_status pg_control_begin(struct sluice_source *src, struct sluice_error *err)
{
    static const char begin[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    if (src->control != NULL) {
        sluice_status st = sluice_pg_command(src->control, "begin", begin, err);
        if (st >= 0) {
            return st;
        }
        /* It may have died since it was last used: once more with a new one. */
        sluice_pg_close(src->control);
        src->control = NULL;
        if (st == SLUICE_E_CANCELLED) {
            return st;
        }
    }
    SLUICE_TRY(
        sluice_pg_connect(&src->options.conn, src->host, src->registry, 0, &src->control, err));
    sluice_status st = sluice_pg_command(src->control, "begin", begin, err);
    if (st < 0) {
        sluice_pg_close(src->control);
        src->control = NULL;
    }
    return st;
}

void pg_control_end(struct sluice_source *src)
{
    if (src->control == NULL) {
        return;
    }
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    if (PQstatus(src->control->pg) != CONNECTION_OK ||
        sluice_pg_command(src->control, "end", "ROLLBACK", &ignored) < 0) {
        sluice_pg_close(src->control);
        src->control = NULL;
    }
}

static struct pg_stream_context make_context(const struct sluice_source *src,
                                             const struct pg_catalog *catalog,
                                             const struct sluice_pg_conn *conn)
{
    struct pg_stream_context context = {&src->options,        catalog,
                                        PQdb(conn->pg),       conn->sql_ascii,
                                        conn->server_version, src->feed.wanted};
    return context;
}

/* Partitioned tables are one stream or their leaves are, as the option says. */
static int is_stream(const struct sluice_source *src, const struct pg_relation *r)
{
    if (src->options.partitions == PG_PARTITIONS_LEAVES) {
        return r->kind != 'p';
    }
    return !r->is_partition;
}

static sluice_status visit_stream(const struct pg_stream *stream, sluice_stream_visit visit,
                                  void *vctx)
{
    return visit(vctx, &stream->desc, stream->problem.status < 0 ? &stream->problem : NULL);
}

sluice_status pg_source_discover(struct sluice_source *src, sluice_stream_visit visit, void *vctx,
                                 struct sluice_error *err)
{
    struct pg_catalog catalog = {0};
    uint32_t *chosen = NULL;
    uint32_t count = 0;
    sluice_status st = pg_control_begin(src, err);
    if (st >= 0) {
        st = pg_catalog_load(src->control, &catalog, err);
    }
    if (st < 0) {
        goto out;
    }
    chosen = calloc(catalog.relation_count + 1u, sizeof *chosen);
    if (chosen == NULL) {
        st = sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for %u tables",
                              catalog.relation_count);
        goto out;
    }
    for (uint32_t i = 0; i < catalog.relation_count; i++) {
        if (is_stream(src, &catalog.relations[i])) {
            chosen[count++] = i;
        }
    }
    st = pg_catalog_load_columns(src->control, &catalog, chosen, count, err);
    if (st >= 0) {
        st = pg_catalog_load_leaves(src->control, &catalog, chosen, count, err);
    }
    struct pg_stream_context context = make_context(src, &catalog, src->control);
    context.changes = 0;
    for (uint32_t i = 0; i < count && st == SLUICE_OK; i++) {
        struct pg_stream stream;
        st = pg_stream_make(&context, &catalog.relations[chosen[i]], NULL, &stream, err);
        if (st >= 0) {
            st = visit_stream(&stream, visit, vctx);
        }
        pg_stream_free(&stream);
    }
    if (st == SLUICE_OK && src->options.messages) {
        struct pg_stream stream;
        st = pg_stream_make_messages(&context, &stream, err);
        if (st >= 0) {
            st = visit_stream(&stream, visit, vctx);
        }
        pg_stream_free(&stream);
    }
    st = st == SLUICE_END ? SLUICE_OK : st;
out:
    free(chosen);
    pg_catalog_free(&catalog);
    pg_control_end(src);
    return st;
}

/* ---------------------------------------------------------------- open ----------------------- */

void pg_source_close(struct sluice_source *src)
{
    pg_workers_close(src);
    pg_shards_free(src);
    for (uint32_t i = 0; i < src->stream_count; i++) {
        pg_stream_free(&src->streams[i]);
    }
    free(src->streams);
    src->streams = NULL;
    src->stream_count = 0;
    pg_catalog_free(&src->catalog);
    sluice_pg_close(src->holder);
    src->holder = NULL;
    src->snapshot[0] = '\0';
    src->opened = 0;
    memset(&src->feed, 0, sizeof src->feed);
}

static sluice_status export_snapshot(struct sluice_source *src, struct sluice_error *err)
{
    PGresult *result = NULL;
    SLUICE_TRY(sluice_pg_query(src->control, "export the snapshot",
                               "SELECT pg_catalog.pg_export_snapshot(), " PG_SNAPSHOT_MARK, 0, NULL,
                               &result, err));
    (void)snprintf(src->snapshot, sizeof src->snapshot, "%s", PQgetvalue(result, 0, 0));
    (void)snprintf(src->snapshot_mark, sizeof src->snapshot_mark, "%s", PQgetvalue(result, 0, 1));
    int version = src->control->server_version;
    (void)snprintf(src->server, sizeof src->server, "PostgreSQL %d.%d", version / 10000,
                   version % 10000);
    PQclear(result);
    return SLUICE_OK;
}

/* Which server and database this is. Some services close pg_control_*() to their users. */
static sluice_status read_identity(struct sluice_source *src, struct sluice_error *err)
{
    static const char what[] = "read the server's identity";
    static const char sql[] =
        "SELECT s.system_identifier, c.timeline_id, d.oid"
        " FROM pg_catalog.pg_control_system() s, pg_catalog.pg_control_checkpoint() c,"
        " pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";
    PGresult *result = NULL;
    SLUICE_TRY(sluice_pg_command(src->control, what, "SAVEPOINT identity", err));
    sluice_status st = sluice_pg_query(src->control, what, sql, 0, NULL, &result, err);
    if (st >= 0 && PQntuples(result) == 1) {
        (void)snprintf(src->identity, sizeof src->identity, "system=%s timeline=%s database=%s",
                       PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1),
                       PQgetvalue(result, 0, 2));
    }
    else if (PQstatus(src->control->pg) != CONNECTION_OK || st == SLUICE_E_CANCELLED) {
        PQclear(result);
        return st;
    }
    PQclear(result);
    return sluice_pg_command(src->control, what, "ROLLBACK TO SAVEPOINT identity", err);
}

static sluice_status visit_missing(const char *name, sluice_stream_visit visit, void *vctx)
{
    struct sluice_error problem = SLUICE_ERROR_INIT;
    struct sluice_stream_desc desc = {0};
    desc.struct_size = (uint32_t)sizeof desc;
    desc.name = name;
    desc.rows_estimate = -1;
    desc.bytes_estimate = -1;
    (void)sluice_error_set(&problem, SLUICE_E_NOT_FOUND, 0,
                           "table %s: not in the database (hint: it was dropped, or renamed)",
                           name);
    return visit(vctx, &desc, &problem);
}

/* Loads what the catalog says of the chosen relations. */
static sluice_status load_chosen(struct sluice_source *src, const uint32_t *chosen, uint32_t count,
                                 struct sluice_error *err)
{
    struct sluice_pg_conn *conn = src->control;
    SLUICE_TRY(pg_catalog_load_columns(conn, &src->catalog, chosen, count, err));
    SLUICE_TRY(pg_catalog_load_leaves(conn, &src->catalog, chosen, count, err));
    if (src->feed.wanted) {
        SLUICE_TRY(pg_catalog_load_identity(conn, &src->catalog, chosen, count, err));
        SLUICE_TRY(pg_catalog_load_published(conn, &src->catalog, src->feed.publications,
                                             src->feed.publication_count, err));
    }
    return pg_catalog_load_sizes(conn, &src->catalog, chosen, count, err);
}

static sluice_status make_stream(struct sluice_source *src,
                                 const struct sluice_stream_select *select,
                                 const struct pg_relation *relation, struct pg_stream *stream,
                                 struct sluice_error *err)
{
    struct pg_stream_context context = make_context(src, &src->catalog, src->control);
    if (relation == NULL) {
        return pg_stream_make_messages(&context, stream, err);
    }
    SLUICE_TRY(pg_stream_make(&context, relation, select, stream, err));
    if (relation->row_security) {
        sluice_log(src->host, SLUICE_LOG_WARN,
                   "row security applies: only rows that policies show are loaded table=%s",
                   stream->name);
    }
    if (src->feed.load_point != 0 && (select->flags & SLUICE_SELECT_LOAD) != 0) {
        stream->desc.load_position.data = src->feed.load_position;
        stream->desc.load_position.size = sizeof src->feed.load_position;
        stream->desc.load_position_text = src->feed.load_position_text;
    }
    return SLUICE_OK;
}

static int is_messages(const struct sluice_source *src, const struct sluice_stream_select *select)
{
    return src->feed.wanted && src->options.messages &&
           strcmp(select->name, PG_MESSAGES_STREAM) == 0;
}

/* Builds the streams in the plan's order; those that are not there have no place. */
static sluice_status make_streams(struct sluice_source *src, const struct sluice_source_plan *plan,
                                  const uint32_t *matched, struct sluice_error *err)
{
    uint32_t *chosen = calloc(plan->stream_count + 1u, sizeof *chosen);
    src->streams = calloc(plan->stream_count + 1u, sizeof *src->streams);
    sluice_status st = SLUICE_OK;
    uint32_t count = 0;
    if (chosen == NULL || src->streams == NULL) {
        st = sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for streams");
        goto out;
    }
    for (uint32_t i = 0; i < plan->stream_count; i++) {
        if (matched[i] != UINT32_MAX) {
            chosen[count++] = matched[i];
        }
    }
    st = load_chosen(src, chosen, count, err);
    for (uint32_t i = 0; i < plan->stream_count && st >= 0; i++) {
        if (matched[i] == UINT32_MAX && !is_messages(src, plan->streams[i])) {
            continue;
        }
        const struct pg_relation *relation =
            matched[i] != UINT32_MAX ? &src->catalog.relations[matched[i]] : NULL;
        st = make_stream(src, plan->streams[i], relation, &src->streams[src->stream_count++], err);
    }
out:
    free(chosen);
    return st;
}

/* Binary values are asked for when every column of every table has a decoder for them: columns that
 * are read as text would come in a form that we do not know. */
static sluice_status decide_binary(struct sluice_source *src, struct sluice_error *err)
{
    if (!src->feed.wanted || src->options.binary == PG_OFF ||
        src->control->server_version < PG_SINCE_MESSAGES) {
        return SLUICE_OK;
    }
    for (uint32_t i = 0; i < src->stream_count; i++) {
        const struct pg_stream *stream = &src->streams[i];
        if (stream->problem.status < 0 || (stream->select_flags & SLUICE_SELECT_CHANGES) == 0 ||
            stream->binary_whole) {
            continue;
        }
        if (src->options.binary == PG_ON) {
            return sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                                    "option binary: on: table %s has columns whose types are read "
                                    "as text (hint: binary: auto)",
                                    stream->name);
        }
        return SLUICE_OK;
    }
    atomic_store(&src->feed.binary, 1);
    return SLUICE_OK;
}

static sluice_status open_in_transaction(struct sluice_source *src,
                                         const struct sluice_source_plan *plan,
                                         sluice_stream_visit visit, void *vctx,
                                         struct sluice_error *err)
{
    uint32_t *matched = calloc(plan->stream_count + 1u, sizeof *matched);
    if (matched == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for streams");
    }
    sluice_status st = SLUICE_OK;
    if (!src->feed.wanted) {
        st = export_snapshot(src, err);
        if (st >= 0) {
            st = read_identity(src, err);
        }
    }
    if (st >= 0) {
        st = pg_catalog_load(src->control, &src->catalog, err);
    }
    if (st >= 0) {
        st = pg_catalog_match(&src->catalog, plan, matched, err);
    }
    if (st >= 0) {
        st = make_streams(src, plan, matched, err);
    }
    if (st >= 0) {
        st = decide_binary(src, err);
    }
    if (st >= 0) {
        st = pg_shards_make(src, plan, err);
    }
    uint32_t next = 0;
    for (uint32_t i = 0; i < plan->stream_count && st == SLUICE_OK; i++) {
        int there = matched[i] != UINT32_MAX || is_messages(src, plan->streams[i]);
        st = there ? visit_stream(&src->streams[next], visit, vctx)
                   : visit_missing(plan->streams[i]->name, visit, vctx);
        next += there ? 1u : 0u;
    }
    free(matched);
    return st == SLUICE_END ? SLUICE_OK : st;
}

/* A catalog session that sees what the slot's snapshot shows. */
static sluice_status begin_under_snapshot(struct sluice_source *src, struct sluice_error *err)
{
    char sql[512];
    PGresult *result = NULL;
    SLUICE_TRY(sluice_failpoint_hit(src->failpoints, "postgres.before_snapshot_import", err));
    SLUICE_TRY(pg_control_begin(src, err));
    (void)snprintf(sql, sizeof sql, "SET TRANSACTION SNAPSHOT '%s'; SELECT " PG_SNAPSHOT_MARK,
                   src->snapshot);
    SLUICE_TRY(
        sluice_pg_query(src->control, "import the slot's snapshot", sql, 0, NULL, &result, err));
    (void)snprintf(src->snapshot_mark, sizeof src->snapshot_mark, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return SLUICE_OK;
}

/* Loads: the control connection's snapshot is exported, and it becomes the holder. Feeds: setup has
 * made the slot, whose snapshot, if any, its own connection holds. */
static sluice_status begin(struct sluice_source *src, const struct sluice_source_plan *plan,
                           struct sluice_error *err)
{
    if (plan->mode == SLUICE_MODE_FULL_LOAD_ONLY) {
        return pg_control_begin(src, err);
    }
    SLUICE_TRY(pg_feed_setup(src, plan, err));
    return src->holder != NULL ? begin_under_snapshot(src, err) : pg_control_begin(src, err);
}

static void report_open(const struct sluice_source *src)
{
    const struct pg_feed_setup *feed = &src->feed;
    char start[24];
    if (src->snapshot[0] != '\0') {
        sluice_log(src->host, SLUICE_LOG_INFO,
                   "snapshot taken snapshot=%s streams=%u shards=%u%s%s", src->snapshot,
                   src->stream_count, src->shard_count, feed->load_point != 0 ? " position=" : "",
                   feed->load_position_text);
    }
    if (feed->wanted) {
        sluice_lsn_format(feed->start, start);
        sluice_log(src->host, SLUICE_LOG_INFO,
                   "changes will be read slot=%s publication=%s from=%s resumed=%d binary=%d",
                   feed->slot, feed->publications[0], start, feed->resume != 0,
                   atomic_load(&feed->binary));
    }
}

/* Once nothing is left to load. The feed goes on for long: without this the server would keep old
 * rows, and the temporary slot its log, as long. */
static void give_up_snapshot(struct sluice_source *src)
{
    if (src->shards_left == 0 && src->feed.wanted && src->holder != NULL) {
        pg_workers_close(src);
        sluice_pg_close(src->holder);
        src->holder = NULL;
        sluice_log(src->host, SLUICE_LOG_INFO, "snapshot given up snapshot=%s", src->snapshot);
    }
}

sluice_status pg_source_open(struct sluice_source *src, const struct sluice_source_plan *plan,
                             struct sluice_source_info *info, sluice_stream_visit visit, void *vctx,
                             struct sluice_error *err)
{
    pg_source_close(src);
    src->generation++;
    src->row_limit = plan->row_limit;
    src->batch_rows = plan->batch_rows;
    src->batch_bytes = plan->batch_bytes;
    src->snapshot_us = src->host->now_us(src->host->ctx, SLUICE_CLOCK_WALL);
    sluice_status st = begin(src, plan, err);
    if (st >= 0) {
        st = open_in_transaction(src, plan, visit, vctx, err);
    }
    if (st < 0) {
        pg_source_close(src);
        pg_control_end(src);
        return st;
    }
    if (src->feed.wanted) {
        pg_control_end(src);
        info->created = src->feed.created[0] != '\0' ? src->feed.created : NULL;
    }
    else {
        src->holder = src->control;
        src->control = NULL;
    }
    src->opened = 1;
    info->identity = src->identity[0] != '\0' ? src->identity : NULL;
    info->server = src->server;
    report_open(src);
    give_up_snapshot(src); /* nothing could be loaded */
    return SLUICE_OK;
}

sluice_status pg_source_shards(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                               struct sluice_error *err)
{
    if (!src->opened) {
        return sluice_error_set(err, SLUICE_E_STATE, 0, "source postgres: not open");
    }
    sluice_status st = SLUICE_OK;
    for (uint32_t i = 0; i < src->shard_count && st == SLUICE_OK; i++) {
        st = visit(vctx, &src->shards[i].desc);
    }
    if (st == SLUICE_OK && src->feed.wanted) {
        st = visit(vctx, &src->feed.shard);
    }
    return st == SLUICE_END ? SLUICE_OK : st;
}

sluice_status pg_source_shard_done(struct sluice_source *src, const char *shard_id,
                                   struct sluice_error *err)
{
    (void)err;
    struct pg_shard *shard = pg_shards_find(src, shard_id);
    if (shard != NULL && !shard->done) {
        shard->done = 1;
        src->shards_left--;
        give_up_snapshot(src);
    }
    return SLUICE_OK;
}
