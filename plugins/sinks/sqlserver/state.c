#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FENCED = 51003, LOCK_TIMEOUT = 1222, PIPELINE_MAX = 128, NODE_MAX = 64, SHARD_MAX = 128 };

static void add_state(const struct sluice_sink *sink, const char *table, struct mssink_text *t)
{
    mssink_text_add(t, sink->state);
    mssink_text_format(t, ".[%s]", table);
}

/* " WHERE pipeline = … AND sink = …" */
static void add_ours(const struct sluice_sink *sink, struct mssink_text *t)
{
    mssink_text_add(t, " WHERE pipeline = ");
    mssink_text_literal(t, sink->pipeline);
    mssink_text_add(t, " AND sink = ");
    mssink_text_literal(t, sink->node);
}

static void add_and(struct mssink_text *t, const char *column, const char *value)
{
    mssink_text_format(t, " AND %s = ", column);
    mssink_text_literal(t, value);
}

/* ---- the tables ---- */

static sluice_status is_there(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                              const char *table, int *there, struct sluice_error *err)
{
    char *found = NULL;
    struct mssink_text t = {0};
    mssink_text_add(&t,
                    "SELECT COUNT(*) AS n FROM sys.tables t JOIN sys.schemas s ON s.schema_id = "
                    "t.schema_id WHERE s.name = ");
    mssink_text_literal(&t, sink->options.state_schema);
    mssink_text_add(&t, " AND t.name = ");
    mssink_text_literal(&t, table);
    SLUICE_TRY(mssink_value(conn, "look for the sink's own tables", &t, &found, err));
    *there = found != NULL && strcmp(found, "0") != 0;
    free(found);
    return SLUICE_OK;
}

static sluice_status make_schema(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                 struct sluice_error *err)
{
    char *found = NULL;
    struct mssink_text t = {0};
    mssink_text_add(&t, "SELECT COUNT(*) AS n FROM sys.schemas WHERE name = ");
    mssink_text_literal(&t, sink->options.state_schema);
    SLUICE_TRY(mssink_value(conn, "look for the sink's own schema", &t, &found, err));
    const int there = found != NULL && strcmp(found, "0") != 0;
    free(found);
    if (there) {
        return SLUICE_OK;
    }
    mssink_text_format(&t, "CREATE SCHEMA %s", sink->state);
    return mssink_run(conn, "make the sink's own schema", &t, err);
}

static sluice_status make_table(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                const char *table, const char *columns, struct sluice_error *err)
{
    int there = 0;
    struct mssink_text t = {0};
    SLUICE_TRY(is_there(sink, conn, table, &there, err));
    if (there) {
        return SLUICE_OK;
    }
    mssink_text_add(&t, "CREATE TABLE ");
    add_state(sink, table, &t);
    mssink_text_format(&t, " (%s)", columns);
    return mssink_run(conn, "make the sink's own tables", &t, err);
}

/* Keys are compared by their bytes, whatever the database's collation. */
#define KEY_TEXT(n) "nvarchar(" #n ") COLLATE Latin1_General_100_BIN2 NOT NULL"

sluice_status mssink_state_make(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                struct sluice_error *err)
{
    SLUICE_TRY(make_schema(sink, conn, err));
    SLUICE_TRY(
        make_table(sink, conn, "lanes",
                   "pipeline " KEY_TEXT(128) ", sink " KEY_TEXT(64) ", shard " KEY_TEXT(
                       128) ", stream nvarchar(600) NULL, run nvarchar(48) NULL, owner "
                            "nvarchar(40) NULL, epoch bigint NOT "
                            "NULL, token varbinary(max) NULL, position varbinary(64) NULL, applied "
                            "varbinary(64) NULL, "
                            "updated_at datetime2(3) NOT NULL, PRIMARY KEY (pipeline, sink, shard)",
                   err));
    SLUICE_TRY(make_table(
        sink, conn, "letters",
        "id bigint IDENTITY(1,1) NOT NULL PRIMARY KEY, pipeline " KEY_TEXT(128) ", sink " KEY_TEXT(
            64) ", stream " KEY_TEXT(256) ", target nvarchar(600) NOT NULL, shard nvarchar(128) "
                                          "NULL, run "
                                          "nvarchar(48) NULL, epoch bigint NULL, op nvarchar(1) "
                                          "NOT NULL, "
                                          "position nvarchar(132) NULL, seq bigint NULL, number "
                                          "int NULL, error "
                                          "nvarchar(max) NOT NULL, [key] nvarchar(max) NULL, [row] "
                                          "nvarchar(max) "
                                          "NOT NULL, how nvarchar(300) NOT NULL, rejected_at "
                                          "datetime2(3) NOT "
                                          "NULL, replayed_at datetime2(3) NULL",
        err));
    return make_table(
        sink, conn, "streams",
        "pipeline " KEY_TEXT(128) ", sink " KEY_TEXT(64) ", stream " KEY_TEXT(
            256) ", target nvarchar(600) NULL, status nvarchar(16) NOT NULL, run "
                 "nvarchar(48) NULL, made bit NOT "
                 "NULL, row_count bigint NULL, token varbinary(max) NULL, position "
                 "varbinary(64) NULL, columns "
                 "nvarchar(max) NULL, reason nvarchar(max) NULL, updated_at datetime2(3) "
                 "NOT NULL, PRIMARY KEY (pipeline, sink, stream)",
        err);
}

/* ---- lanes ---- */

/* Which lane a bulk of changes belongs to is settled by two things: the row's owner, and a lock of the session, so
 * that a former owner's open transaction is waited for. */
static sluice_status lock_lane(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                               const char *shard, struct sluice_error *err)
{
    char *answer = NULL;
    struct mssink_text name = {0};
    struct mssink_text t = {0};
    mssink_text_format(&name, "sluice:%.80s/%.60s/%.100s", sink->pipeline, sink->node, shard);
    mssink_text_add(&t, "DECLARE @r int; EXEC @r = sp_getapplock @Resource = ");
    mssink_text_literal(&t, name.data);
    mssink_text_add(&t, ", @LockMode = N'Exclusive', @LockOwner = N'Session', @LockTimeout = 5000; "
                        "SELECT @r AS r");
    mssink_text_free(&name);
    SLUICE_TRY(mssink_value(conn, "lock the lane", &t, &answer, err));
    const int held = answer != NULL && answer[0] != '-';
    free(answer);
    return held ? SLUICE_OK
                : sluice_error_set(err, SLUICE_E_CONFLICT, SLUICE_ERROR_RETRYABLE,
                                   "lane %s: another connection of this pipeline still writes it",
                                   shard);
}

static sluice_status read_claim(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                const char *shard, struct mssink_claim *out, int *found,
                                struct sluice_error *err)
{
    struct mssink_text t = {0};
    mssink_text_add(&t, "SELECT epoch, applied FROM ");
    add_state(sink, "lanes", &t);
    add_ours(sink, &t);
    add_and(&t, "shard", shard);
    *found = 0;
    sluice_status status = mssink_text_check(&t, err);
    if (status >= 0) {
        status = sluice_tds_query(conn, "read the lane", t.data, err);
    }
    mssink_text_free(&t);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        if (status != SLUICE_OK) {
            break;
        }
        *found = 1;
        out->epoch = (uint64_t)sluice_tds_number(conn, 0);
        const struct sluice_bytes applied = sluice_tds_value(conn, 1);
        if (applied.data != NULL && applied.size > 0) {
            free(out->applied);
            out->applied = malloc(applied.size);
            if (out->applied != NULL) {
                memcpy(out->applied, applied.data, applied.size);
                out->applied_size = applied.size;
            }
        }
    }
    return status < 0 ? status : SLUICE_OK;
}

sluice_status mssink_claim_take(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                const char *shard, struct mssink_claim *out,
                                struct sluice_error *err)
{
    int found = 0;
    struct mssink_text t = {0};
    *out = (struct mssink_claim){0};
    if (strlen(shard) > SHARD_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "shard %.128s: its id is too long", shard);
    }
    SLUICE_TRY(lock_lane(sink, conn, shard, err));
    SLUICE_TRY(read_claim(sink, conn, shard, out, &found, err));
    if (found) {
        mssink_text_add(&t, "UPDATE ");
        add_state(sink, "lanes", &t);
        mssink_text_add(&t, " SET owner = ");
        mssink_text_literal(&t, sink->owner);
        add_ours(sink, &t);
        add_and(&t, "shard", shard);
    }
    else {
        mssink_text_add(&t, "INSERT INTO ");
        add_state(sink, "lanes", &t);
        mssink_text_add(&t, " (pipeline, sink, shard, owner, epoch, updated_at) VALUES (");
        mssink_text_literal(&t, sink->pipeline);
        mssink_text_add(&t, ", ");
        mssink_text_literal(&t, sink->node);
        mssink_text_add(&t, ", ");
        mssink_text_literal(&t, shard);
        mssink_text_add(&t, ", ");
        mssink_text_literal(&t, sink->owner);
        mssink_text_add(&t, ", 0, SYSUTCDATETIME())");
    }
    const sluice_status status = mssink_run(conn, "claim the lane", &t, err);
    if (status < 0) {
        mssink_claim_free(out);
    }
    return status;
}

sluice_status mssink_position_get(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                  uint8_t store[64], struct sluice_bytes *out,
                                  struct sluice_error *err)
{
    int there = 0;
    struct mssink_text t = {0};
    *out = (struct sluice_bytes){NULL, 0};
    SLUICE_TRY(is_there(sink, conn, "lanes", &there, err));
    if (!there) {
        return SLUICE_OK;
    }
    mssink_text_add(&t, "SELECT TOP (1) position FROM ");
    add_state(sink, "lanes", &t);
    add_ours(sink, &t);
    mssink_text_add(&t, " AND run IS NULL AND position IS NOT NULL ORDER BY position DESC");
    sluice_status status = mssink_text_check(&t, err);
    if (status >= 0) {
        status = sluice_tds_query(conn, "read the position", t.data, err);
    }
    mssink_text_free(&t);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        const struct sluice_bytes value =
            status == SLUICE_OK ? sluice_tds_value(conn, 0) : (struct sluice_bytes){NULL, 0};
        if (value.size > 0 && value.size <= 64) {
            memcpy(store, value.data, value.size);
            *out = (struct sluice_bytes){store, value.size};
        }
    }
    return status < 0 ? status : SLUICE_OK;
}

void mssink_claim_free(struct mssink_claim *claim)
{
    free(claim->applied);
    *claim = (struct mssink_claim){0};
}

void mssink_advance_text(const struct sluice_sink *sink, const char *shard,
                         const struct mssink_claim *claim, const struct sluice_commit *commit,
                         struct sluice_bytes applied, struct mssink_text *out)
{
    mssink_text_add(out, "UPDATE ");
    add_state(sink, "lanes", out);
    mssink_text_add(out, " SET updated_at = SYSUTCDATETIME(), applied = ");
    mssink_text_bytes(out, applied);
    if (commit != NULL) {
        mssink_text_format(out, ", epoch = %llu, token = ", (unsigned long long)commit->epoch);
        mssink_text_bytes(out, commit->token);
        mssink_text_add(out, ", position = ");
        mssink_text_bytes(out, commit->position);
    }
    add_ours(sink, out);
    add_and(out, "shard", shard);
    add_and(out, "owner", sink->owner);
    mssink_text_format(out,
                       " AND epoch = %llu; IF @@ROWCOUNT <> 1 THROW %d, N'the lane is another "
                       "process''s', 1;",
                       (unsigned long long)claim->epoch, FENCED);
}

int mssink_is_fenced(const struct sluice_sink *sink, const char *shard, struct sluice_error *err)
{
    if (err == NULL || err->native_code != FENCED) {
        return 0;
    }
    (void)sluice_error_set(
        err, SLUICE_E_CONFLICT, SLUICE_ERROR_FATAL | SLUICE_ERROR_EPOCH_ABORTED,
        "lane %s of pipeline %s, sink %s: another process has taken it over; this "
        "one wrote nothing more (hint: one process a pipeline)",
        shard, sink->pipeline, sink->node);
    return 1;
}

sluice_status mssink_shard_put(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                               const char *shard, const struct mssink_stream *stream,
                               const struct sluice_commit *commit, struct sluice_error *err)
{
    struct mssink_text t = {0};
    mssink_text_add(&t, "DELETE FROM ");
    add_state(sink, "lanes", &t);
    add_ours(sink, &t);
    add_and(&t, "shard", shard);
    SLUICE_TRY(mssink_run(conn, "note a piece of a load", &t, err));
    mssink_text_add(&t, "INSERT INTO ");
    add_state(sink, "lanes", &t);
    mssink_text_add(
        &t, " (pipeline, sink, shard, stream, run, owner, epoch, token, position, updated_at) "
            "VALUES (");
    const char *const texts[] = {sink->pipeline,     sink->node,  shard,
                                 stream->desc->name, stream->run, sink->owner};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        mssink_text_literal(&t, texts[i]);
        mssink_text_add(&t, ", ");
    }
    mssink_text_format(&t, "%llu, ", (unsigned long long)commit->epoch);
    mssink_text_bytes(&t, commit->token);
    mssink_text_add(&t, ", ");
    mssink_text_bytes(&t, commit->position.size > 0 ? commit->position
                                                    : (struct sluice_bytes){NULL, 0});
    mssink_text_add(&t, ", SYSUTCDATETIME())");
    return mssink_run(conn, "note a piece of a load", &t, err);
}

/* ---- streams ---- */

static char *text_of(const struct sluice_tds_conn *conn, int32_t i)
{
    const struct sluice_bytes value = sluice_tds_value(conn, i);
    return value.data != NULL ? strndup(value.data, (size_t)value.size) : NULL;
}

sluice_status mssink_known_get(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                               const char *stream, struct mssink_known *out,
                               struct sluice_error *err)
{
    struct mssink_text t = {0};
    *out = (struct mssink_known){0};
    mssink_text_add(&t, "SELECT status, run, made, target, columns FROM ");
    add_state(sink, "streams", &t);
    add_ours(sink, &t);
    add_and(&t, "stream", stream);
    sluice_status status = mssink_text_check(&t, err);
    if (status >= 0) {
        status = sluice_tds_query(conn, "read what is known of the stream", t.data, err);
    }
    mssink_text_free(&t);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        if (status == SLUICE_OK) {
            out->found = 1;
            sluice_tds_text(conn, 0, out->status, sizeof out->status);
            sluice_tds_text(conn, 1, out->run, sizeof out->run);
            out->made = sluice_tds_number(conn, 2) != 0;
            free(out->target);
            free(out->columns);
            out->target = text_of(conn, 3);
            out->columns = text_of(conn, 4);
        }
    }
    return status < 0 ? status : SLUICE_OK;
}

void mssink_known_free(struct mssink_known *known)
{
    free(known->target);
    free(known->columns);
    *known = (struct mssink_known){0};
}

static sluice_status forget_shards(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                   const struct mssink_stream *stream, struct sluice_error *err)
{
    struct mssink_text t = {0};
    mssink_text_add(&t, "DELETE FROM ");
    add_state(sink, "lanes", &t);
    add_ours(sink, &t);
    add_and(&t, "stream", stream->desc->name);
    return mssink_run(conn, "forget the pieces of a load", &t, err);
}

/* The row anew. */
static sluice_status put_stream(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                const struct mssink_stream *stream, const char *status, int made,
                                const struct sluice_stream_end *end, struct sluice_error *err)
{
    struct mssink_text t = {0};
    struct mssink_text target = {0};
    mssink_text_add(&t, "DELETE FROM ");
    add_state(sink, "streams", &t);
    add_ours(sink, &t);
    add_and(&t, "stream", stream->desc->name);
    SLUICE_TRY(mssink_run(conn, "note the stream", &t, err));
    mssink_text_table(&target, stream->schema,
                      stream->shadow != NULL ? stream->shadow : stream->name);
    mssink_text_add(&t, "INSERT INTO ");
    add_state(sink, "streams", &t);
    mssink_text_add(
        &t, " (pipeline, sink, stream, target, status, run, made, row_count, token, position, "
            "updated_at) VALUES (");
    const char *const texts[] = {sink->pipeline, sink->node, stream->desc->name,
                                 target.data,    status,     stream->run};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        mssink_text_literal(&t, texts[i]);
        mssink_text_add(&t, ", ");
    }
    mssink_text_free(&target);
    mssink_text_format(&t, "%d, ", made != 0);
    if (end != NULL) {
        mssink_text_format(&t, "%llu, ", (unsigned long long)end->rows);
        mssink_text_bytes(&t, end->token);
        mssink_text_add(&t, ", ");
        mssink_text_bytes(&t, end->load_position.size > 0 ? end->load_position
                                                          : (struct sluice_bytes){NULL, 0});
    }
    else {
        mssink_text_add(&t, "NULL, NULL, NULL");
    }
    mssink_text_add(&t, ", SYSUTCDATETIME())");
    return mssink_run(conn, "note the stream", &t, err);
}

sluice_status mssink_loading_put(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                 const struct mssink_stream *stream, struct sluice_error *err)
{
    struct mssink_text t = {0};
    SLUICE_TRY(forget_shards(sink, conn, stream, err));
    mssink_text_add(&t, "DELETE FROM ");
    add_state(sink, "letters", &t); /* the load brings their rows again */
    add_ours(sink, &t);
    add_and(&t, "stream", stream->desc->name);
    SLUICE_TRY(mssink_run(conn, "forget the letters of a table", &t, err));
    return put_stream(sink, conn, stream, "loading", stream->made || stream->ours, NULL, err);
}

sluice_status mssink_complete_put(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                  const struct mssink_stream *stream,
                                  const struct sluice_stream_end *end, struct sluice_error *err)
{
    SLUICE_TRY(forget_shards(sink, conn, stream, err));
    return put_stream(sink, conn, stream, "complete", stream->made, end, err);
}

sluice_status mssink_fitted_put(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                const struct mssink_stream *stream, struct sluice_error *err)
{
    struct mssink_known known;
    SLUICE_TRY(mssink_known_get(sink, conn, stream->desc->name, &known, err));
    const int found = known.found;
    mssink_known_free(&known);
    return found ? SLUICE_OK : put_stream(sink, conn, stream, "following", 1, NULL, err);
}

/* ---- tables that are set aside ---- */

sluice_status mssink_aside_read(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                struct sluice_error *err)
{
    struct mssink_text t = {0};
    mssink_text_add(&t, "SELECT stream, ISNULL(reason, N'') AS reason FROM ");
    add_state(sink, "streams", &t);
    add_ours(sink, &t);
    add_and(&t, "status", "quarantined");
    sluice_status status = mssink_text_check(&t, err);
    if (status >= 0) {
        status = sluice_tds_query(conn, "read which tables are set aside", t.data, err);
    }
    mssink_text_free(&t);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        if (status == SLUICE_OK) {
            char *stream = text_of(conn, 0);
            char *reason = text_of(conn, 1);
            sluice_apply_aside(&sink->tallies, stream != NULL ? stream : "",
                               reason != NULL ? reason : "");
            free(stream);
            free(reason);
        }
    }
    return status < 0 ? status : SLUICE_OK;
}

struct place {
    struct sluice_sink *sink;
    struct sluice_tds_conn *conn;
};

static sluice_status put_aside(void *ctx, const char *stream, const char *reason,
                               struct sluice_error *err)
{
    const struct place *at = ctx;
    struct mssink_text t = {0};
    mssink_text_add(&t, "UPDATE ");
    add_state(at->sink, "streams", &t);
    mssink_text_add(&t, " SET status = N'quarantined', updated_at = SYSUTCDATETIME(), reason = ");
    mssink_text_literal(&t, reason);
    add_ours(at->sink, &t);
    add_and(&t, "stream", stream);
    mssink_text_add(&t, ";\nIF @@ROWCOUNT = 0 INSERT INTO ");
    add_state(at->sink, "streams", &t);
    mssink_text_add(&t, " (pipeline, sink, stream, status, made, updated_at, reason) VALUES (");
    const char *const texts[] = {at->sink->pipeline, at->sink->node, stream};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        mssink_text_literal(&t, texts[i]);
        mssink_text_add(&t, ", ");
    }
    mssink_text_add(&t, "N'quarantined', 0, SYSUTCDATETIME(), ");
    mssink_text_literal(&t, reason);
    mssink_text_add(&t, ")");
    return mssink_run(at->conn, "set a table aside", &t, err);
}

sluice_status mssink_aside_write(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                 struct sluice_error *err)
{
    struct place at = {sink, conn};
    return sluice_apply_aside_each(&sink->tallies, put_aside, &at, err);
}

/* ---- recovery ---- */

struct found {
    struct sluice_recovered item;
    struct found *next;
    char *text[3];
    uint8_t *token;
};

static void free_found(struct found *list)
{
    while (list != NULL) {
        struct found *next = list->next;
        for (int i = 0; i < 3; i++) {
            free(list->text[i]);
        }
        free(list->token);
        free(list);
        list = next;
    }
}

/* Rows are kept first: whoever is visited may ask the sink for more. */
static sluice_status keep(struct sluice_tds_conn *conn, int lanes, struct found ***tail,
                          struct sluice_error *err)
{
    struct found *f = calloc(1, sizeof *f);
    const struct sluice_bytes token = sluice_tds_value(conn, 1);
    if (f == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for what is recovered");
    }
    f->text[0] = text_of(conn, 0);
    f->text[1] = text_of(conn, 3);
    f->token = malloc(token.size + 1);
    if (f->token != NULL && token.data != NULL) {
        memcpy(f->token, token.data, token.size);
    }
    f->item = (struct sluice_recovered){.struct_size = (uint32_t)sizeof f->item,
                                        .kind = lanes ? SLUICE_RECOVERED_LANE
                                                      : SLUICE_RECOVERED_STREAM_COMPLETE,
                                        .token = {f->token, token.size}};
    if (lanes) {
        f->item.shard_id = f->text[0];
        f->item.epoch = (uint64_t)sluice_tds_number(conn, 2);
    }
    else {
        f->item.stream = f->text[0];
        f->item.rows = (uint64_t)sluice_tds_number(conn, 2);
    }
    f->item.run = f->text[1];
    **tail = f;
    *tail = &f->next;
    return SLUICE_OK;
}

static sluice_status read_found(struct sluice_sink *sink, struct sluice_tds_conn *conn, int lanes,
                                struct found ***tail, struct sluice_error *err)
{
    struct mssink_text t = {0};
    /* UPDLOCK: a commit that is under way is waited for. */
    mssink_text_add(&t, lanes ? "SELECT shard, token, epoch, run FROM "
                              : "SELECT stream, token, row_count, run FROM ");
    add_state(sink, lanes ? "lanes" : "streams", &t);
    mssink_text_add(&t, lanes ? " WITH (UPDLOCK)" : "");
    add_ours(sink, &t);
    mssink_text_add(&t, lanes
                            ? " AND token IS NOT NULL ORDER BY updated_at DESC"
                            : " AND status IN (N'complete', N'quarantined') AND token IS NOT NULL "
                              "ORDER BY updated_at DESC");
    sluice_status status = mssink_text_check(&t, err);
    if (status >= 0) {
        status = sluice_tds_query(conn, "read what is committed", t.data, err);
    }
    mssink_text_free(&t);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        if (status == SLUICE_OK) {
            status = keep(conn, lanes, tail, err);
            if (status < 0) {
                sluice_tds_cancel(conn);
            }
        }
    }
    return status < 0 ? status : SLUICE_OK;
}

sluice_status mssink_recover(struct sluice_sink *sink, sluice_recovered_visit visit, void *vctx,
                             struct sluice_error *err)
{
    struct sluice_tds_conn *conn = NULL;
    struct found *list = NULL;
    struct found **tail = &list;
    SLUICE_TRY(mssink_ctl(sink, &conn, err));
    sluice_status status = read_found(sink, conn, 1, &tail, err);
    if (status >= 0) {
        status = read_found(sink, conn, 0, &tail, err);
    }
    for (struct found *f = list; f != NULL && status == SLUICE_OK; f = f->next) {
        status = visit(vctx, &f->item);
    }
    free_found(list);
    return status < 0 ? status : SLUICE_OK;
}
