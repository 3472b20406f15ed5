/* A load's beginning and its end. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/log.h"
#include "state.h"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a load");
}

/* ---- what is there ---- */

static sluice_status has_rows(struct sluice_tds_conn *conn, const struct mssink_stream *s, int *any,
                              struct sluice_error *err)
{
    char *found = NULL;
    struct mssink_text t = {0};
    mssink_text_add(&t, "SELECT COUNT(*) AS n FROM (SELECT TOP (1) 1 AS one FROM ");
    mssink_text_table(&t, s->schema, s->name);
    mssink_text_add(&t, ") AS x");
    SLUICE_TRY(mssink_value(conn, "look whether the target has rows", &t, &found, err));
    *any = found != NULL && strcmp(found, "0") != 0;
    free(found);
    return SLUICE_OK;
}

/* FNV-1a of pipeline, sink and stream: the next attempt finds the shadow that this one left. */
static sluice_status name_shadow(const struct sluice_sink *sink, struct mssink_stream *s,
                                 struct sluice_error *err)
{
    char name[48];
    uint64_t h = 0xcbf29ce484222325u;
    const char *const parts[] = {sink->pipeline, sink->node, s->desc->name};
    for (size_t i = 0; i < 3; i++) {
        for (const unsigned char *p = (const unsigned char *)parts[i]; *p != '\0'; p++) {
            h = (h ^ *p) * 0x100000001b3u;
        }
        h = (h ^ 0x1f) * 0x100000001b3u;
    }
    (void)snprintf(name, sizeof name, "_sluice_%016llx", (unsigned long long)h);
    s->shadow = strdup(name);
    return s->shadow != NULL ? SLUICE_OK : nomem(err);
}

/* What becomes of rows that are there and that an earlier load of ours did not bring. */
static sluice_status decide(const struct sluice_sink *sink, struct mssink_stream *s, int ours,
                            int *empty_it, struct sluice_error *err)
{
    const int32_t mode = s->write.write.mode;
    int64_t what = sink->options.existing;
    if (what == MSSINK_EXISTING_AUTO) {
        what = mode == SLUICE_WRITE_REPLACE ? MSSINK_EXISTING_REPLACE
               : mode == SLUICE_WRITE_APPEND || mode == SLUICE_WRITE_HISTORY
                   ? MSSINK_EXISTING_APPEND
               : ours ? MSSINK_EXISTING_REPLACE
                      : MSSINK_EXISTING_REFUSE;
    }
    *empty_it = what == MSSINK_EXISTING_TRUNCATE;
    switch (what) {
    case MSSINK_EXISTING_TRUNCATE:
        return SLUICE_OK;
    case MSSINK_EXISTING_REPLACE:
        s->publish = MSSINK_PUBLISH_REPLACE;
        break;
    case MSSINK_EXISTING_APPEND:
        s->publish = MSSINK_PUBLISH_APPEND;
        break;
    case MSSINK_EXISTING_UPSERT:
        s->publish = MSSINK_PUBLISH_UPSERT;
        break;
    default:
        return sluice_error_set(err, SLUICE_E_CONFLICT, 0,
                                "table %s.%s has rows that this pipeline did not bring (hint: "
                                "load_into: truncate, replace, "
                                "append or upsert says what is to become of them)",
                                s->schema, s->name);
    }
    return name_shadow(sink, s, err);
}

/* ---- the beginning ---- */

static sluice_status drop(struct sluice_tds_conn *conn, const struct mssink_stream *s,
                          const char *name, struct sluice_error *err)
{
    struct mssink_text t = {0};
    mssink_text_add(&t, "DROP TABLE IF EXISTS ");
    mssink_text_table(&t, s->schema, name);
    return mssink_run(conn, "drop a shadow table", &t, err);
}

/* DELETE, not TRUNCATE, which a foreign key or a publication may forbid. */
static sluice_status empty(struct sluice_tds_conn *conn, const struct mssink_stream *s,
                           struct sluice_error *err)
{
    struct mssink_text t = {0};
    mssink_text_add(&t, "DELETE FROM ");
    mssink_text_table(&t, s->schema, s->name);
    return mssink_run(conn, "empty the target", &t, err);
}

static sluice_status prepare_target(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                    struct mssink_stream *s, const struct mssink_known *known,
                                    int creates, struct sluice_error *err)
{
    int any = 0;
    int empty_it = 0;
    struct mssink_text own = {0};
    s->ours = 0;
    if (creates) {
        s->made = 1;
        return SLUICE_OK;
    }
    mssink_text_table(&own, s->schema, s->name);
    /* Rows of a load that was abandoned, in the table itself: it was empty when that load began. */
    const int left = known->found && strcmp(known->status, "loading") == 0 &&
                     known->target != NULL && own.data != NULL &&
                     strcmp(known->target, own.data) == 0;
    mssink_text_free(&own);
    s->made = known->found && known->made && left;
    if (left) {
        return empty(conn, s, err);
    }
    SLUICE_TRY(has_rows(conn, s, &any, err));
    if (!any) {
        return SLUICE_OK;
    }
    s->ours = known->found && (strcmp(known->status, "loading") != 0 || known->made);
    SLUICE_TRY(decide(sink, s, s->ours, &empty_it, err));
    return empty_it ? empty(conn, s, err) : SLUICE_OK;
}

static sluice_status make_shadow(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                 const struct mssink_stream *s, struct sluice_error *err)
{
    struct mssink_ddl ddl = {0};
    SLUICE_TRY(drop(conn, s, s->shadow, err));
    sluice_status status = mssink_ddl_plan(sink, conn, s, s->shadow, &ddl, err);
    if (status >= 0) {
        status = mssink_ddl_run(sink, conn, &ddl, s->desc->name, err);
    }
    mssink_ddl_free(&ddl);
    return status;
}

static sluice_status begin_all(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                               struct mssink_stream *s, const struct mssink_ddl *ddl,
                               const struct mssink_known *known, struct sluice_error *err)
{
    SLUICE_TRY(sluice_tds_run(conn, "begin a load", "BEGIN TRANSACTION", err));
    SLUICE_TRY(sluice_failpoint_hit(sink->failpoints, "mssink.before_ddl", err));
    SLUICE_TRY(mssink_ddl_run(sink, conn, ddl, s->desc->name, err));
    SLUICE_TRY(prepare_target(sink, conn, s, known, ddl->creates, err));
    if (s->shadow != NULL) {
        SLUICE_TRY(make_shadow(sink, conn, s, err));
    }
    SLUICE_TRY(mssink_loading_put(sink, conn, s, err));
    return sluice_tds_run(conn, "begin a load", "COMMIT TRANSACTION", err);
}

sluice_status mssink_load_begin(struct sluice_sink *sink, struct mssink_stream *stream,
                                struct sluice_error *err)
{
    struct sluice_tds_conn *conn = NULL;
    struct mssink_ddl ddl = {0};
    struct mssink_known known = {0};
    SLUICE_TRY(mssink_ctl(sink, &conn, err));
    sluice_status status = mssink_known_get(sink, conn, stream->desc->name, &known, err);
    if (status >= 0) {
        status = mssink_ddl_plan(sink, conn, stream, stream->name, &ddl, err);
    }
    if (status >= 0 && ddl.refused != NULL) {
        status = sluice_error_set(err, SLUICE_E_SCHEMA, 0, "%s", ddl.refused);
    }
    if (status >= 0) {
        status = begin_all(sink, conn, stream, &ddl, &known, err);
        if (status < 0) {
            mssink_rollback(conn);
        }
    }
    if (status >= 0) {
        status = mssink_table_open(sink, conn, stream, stream->schema,
                                   stream->shadow != NULL ? stream->shadow : stream->name,
                                   &stream->table, err);
    }
    if (status >= 0) {
        stream->run_table = 1;
        stream->loading = 1;
        sluice_apply_aside(&sink->tallies, stream->desc->name, NULL);
    }
    if (status < 0 && (err->flags & SLUICE_ERROR_RETRYABLE) != 0) {
        mssink_ctl_drop(sink);
    }
    mssink_ddl_free(&ddl);
    mssink_known_free(&known);
    return status;
}

sluice_status mssink_make_now(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                              const struct mssink_stream *stream, const struct mssink_ddl *ddl,
                              struct sluice_error *err)
{
    sluice_status status = sluice_tds_run(conn, "make the table", "BEGIN TRANSACTION", err);
    if (status >= 0) {
        status = mssink_ddl_run(sink, conn, ddl, stream->desc->name, err);
    }
    if (status >= 0 && ddl->primary_key != NULL) {
        status = sluice_tds_run(conn, "add the primary key", ddl->primary_key, err);
    }
    if (status >= 0) {
        status = mssink_fitted_put(sink, conn, stream, err);
    }
    if (status >= 0) {
        status = sluice_tds_run(conn, "make the table", "COMMIT TRANSACTION", err);
    }
    if (status < 0) {
        mssink_rollback(conn);
    }
    return status;
}

/* ---- the end ---- */

static void add_set(const struct mssink_table *t, struct mssink_text *sql)
{
    int any = 0;
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct mssink_column *c = &t->columns[i];
        if (c->key || c->identity) {
            continue;
        }
        mssink_text_add(sql, any++ > 0 ? ", t." : "t.");
        mssink_text_ident(sql, c->name);
        mssink_text_add(sql, " = s.");
        mssink_text_ident(sql, c->name);
    }
}

static int has_others(const struct mssink_table *t)
{
    for (uint32_t i = 0; i < t->column_count; i++) {
        if (!t->columns[i].key && !t->columns[i].identity) {
            return 1;
        }
    }
    return 0;
}

/* Rows of the shadow that the target has by key already. */
static sluice_status update_known(struct sluice_tds_conn *conn, const struct mssink_stream *s,
                                  const struct mssink_table *t, struct sluice_error *err)
{
    struct mssink_text sql = {0};
    if (!has_others(t) || t->key_count == 0) {
        return SLUICE_OK;
    }
    mssink_text_add(&sql, "UPDATE t SET ");
    add_set(t, &sql);
    mssink_text_add(&sql, " FROM ");
    mssink_text_table(&sql, s->schema, s->name);
    mssink_text_add(&sql, " AS t JOIN ");
    mssink_text_table(&sql, s->schema, s->shadow);
    mssink_text_add(&sql, " AS s ON ");
    mssink_table_match(t, &sql);
    return mssink_run(conn, "publish the load", &sql, err);
}

static sluice_status insert_rest(struct sluice_tds_conn *conn, const struct mssink_stream *s,
                                 const struct mssink_table *t, struct sluice_error *err)
{
    struct mssink_text sql = {0};
    struct mssink_text target = {0};
    mssink_text_table(&target, s->schema, s->name);
    if (t->has_identity) {
        mssink_text_format(&sql, "SET IDENTITY_INSERT %s ON; ", target.data);
    }
    mssink_text_format(&sql, "INSERT INTO %s (", target.data);
    mssink_table_columns(t, "", &sql);
    mssink_text_add(&sql, ") SELECT ");
    mssink_table_columns(t, "s.", &sql);
    mssink_text_add(&sql, " FROM ");
    mssink_text_table(&sql, s->schema, s->shadow);
    mssink_text_add(&sql, " AS s");
    if (s->publish == MSSINK_PUBLISH_UPSERT && t->key_count > 0) {
        mssink_text_format(&sql, " WHERE NOT EXISTS (SELECT 1 AS one FROM %s AS t WHERE ",
                           target.data);
        mssink_table_match(t, &sql);
        mssink_text_add(&sql, ")");
    }
    if (t->has_identity) {
        mssink_text_format(&sql, "; SET IDENTITY_INSERT %s OFF", target.data);
    }
    sql.failed |= target.failed;
    mssink_text_free(&target);
    return mssink_run(conn, "publish the load", &sql, err);
}

/* Out of the shadow: the target keeps its indexes, rights and whoever looks at it. */
static sluice_status publish(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                             const struct mssink_stream *s, struct sluice_error *err)
{
    struct mssink_table *t = NULL;
    SLUICE_TRY(mssink_table_open(sink, conn, s, s->schema, s->name, &t, err));
    sluice_status status = SLUICE_OK;
    if (s->publish == MSSINK_PUBLISH_REPLACE) {
        status = empty(conn, s, err);
    }
    if (s->publish == MSSINK_PUBLISH_UPSERT) {
        status = update_known(conn, s, t, err);
    }
    if (status >= 0) {
        status = insert_rest(conn, s, t, err);
    }
    if (status >= 0) {
        status = drop(conn, s, s->shadow, err);
    }
    mssink_table_free(t);
    return status;
}

static sluice_status add_key(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                             const struct mssink_stream *s, struct sluice_error *err)
{
    const struct sluice_write *w = &s->write.write;
    struct mssink_text sql = {0};
    if (!s->made || w->key_count == 0 || w->mode == SLUICE_WRITE_APPEND ||
        w->mode == SLUICE_WRITE_HISTORY || s->table->key_unique) {
        return SLUICE_OK;
    }
    (void)sink;
    mssink_text_add(&sql, "ALTER TABLE ");
    mssink_text_table(&sql, s->schema, s->name);
    mssink_text_add(&sql, " ADD PRIMARY KEY (");
    for (uint32_t k = 0; k < w->key_count; k++) {
        mssink_text_add(&sql, k > 0 ? ", " : "");
        mssink_text_ident(&sql, s->desc->schema->children[w->keys[k]]->name);
    }
    mssink_text_add(&sql, ")");
    return mssink_run(conn, "add the primary key", &sql, err);
}

/* The end was committed before, and the reply was lost: all of it is one transaction. */
static sluice_status look_whether_ended(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                        const struct mssink_stream *s, int *ended,
                                        struct sluice_error *err)
{
    struct mssink_known known;
    const sluice_status status = mssink_known_get(sink, conn, s->desc->name, &known, err);
    *ended = status >= 0 && known.found && s->run != NULL &&
             strcmp(known.status, "complete") == 0 && strcmp(known.run, s->run) == 0;
    mssink_known_free(&known);
    return status;
}

static sluice_status end_all(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                             struct mssink_stream *s, const struct sluice_stream_end *end,
                             struct sluice_error *err)
{
    int ended = 0;
    SLUICE_TRY(look_whether_ended(sink, conn, s, &ended, err));
    if (ended) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_tds_run(conn, "end a load", "BEGIN TRANSACTION", err));
    if (s->shadow != NULL && (end->flags & SLUICE_STREAM_END_PARTIAL) == 0) {
        SLUICE_TRY(sluice_failpoint_hit(sink->failpoints, "mssink.before_publish", err));
        SLUICE_TRY(publish(sink, conn, s, err));
    }
    SLUICE_TRY(add_key(sink, conn, s, err));
    SLUICE_TRY(mssink_complete_put(sink, conn, s, end, err));
    return sluice_tds_run(conn, "end a load", "COMMIT TRANSACTION", err);
}

sluice_status mssink_load_end(struct sluice_sink *sink, struct mssink_stream *stream,
                              const struct sluice_stream_end *end, struct sluice_error *err)
{
    struct sluice_tds_conn *conn = NULL;
    SLUICE_TRY(mssink_ctl(sink, &conn, err));
    const sluice_status status = end_all(sink, conn, stream, end, err);
    if (status < 0) {
        mssink_rollback(conn);
        mssink_ctl_drop(sink);
        return sluice_error_wrap(err, "stream %s", stream->desc->name);
    }
    stream->loading = 0;
    return SLUICE_OK;
}
