/* Changes one by one, in the source's own order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changes.h"
#include "pg/error.h"
#include "reject.h"
#include "sluice/position.h"
#include "statement.h"

enum {
    PART = 512,  /* changes on their way without an answer, inside a transaction */
    CAREFUL = 64 /* behind one savepoint, where rows may be refused */
};

struct ordered {
    struct sluice_pgsink_statements *statements;
    struct sluice_pg_conn *conn; /* whose statements those are */
    struct sluice_apply_field *after;
    struct sluice_apply_field *before;
    uint32_t columns;
};

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for changes");
}

void sluice_pgsink_ordered_forget(struct sluice_pgsink_lane *lane)
{
    struct ordered *o = lane->ordered;
    if (o != NULL) {
        sluice_pgsink_statements_free(o->statements);
        o->statements = NULL;
        o->conn = NULL;
    }
}

void sluice_pgsink_ordered_free(struct sluice_pgsink_lane *lane)
{
    struct ordered *o = lane->ordered;
    if (o == NULL) {
        return;
    }
    sluice_pgsink_ordered_forget(lane);
    free(o->after);
    free(o->before);
    free(o);
    lane->ordered = NULL;
}

/* The cache belongs to one connection, and is dropped when it has become too large. */
static sluice_status ready(struct sluice_pgsink_lane *lane, struct ordered **out,
                           struct sluice_error *err)
{
    struct ordered *o = lane->ordered;
    if (o == NULL) {
        o = calloc(1, sizeof *o);
        if (o == NULL) {
            return nomem(err);
        }
        lane->ordered = o;
    }
    if (o->statements != NULL &&
        (o->conn != lane->conn || (!lane->in_tx && sluice_pgsink_statements_full(o->statements)))) {
        const int drop = o->conn == lane->conn;
        sluice_pgsink_ordered_forget(lane);
        if (drop) {
            SLUICE_TRY(sluice_pg_command(lane->conn, "drop statements", "DEALLOCATE ALL", err));
        }
    }
    if (o->statements == NULL) {
        o->statements = sluice_pgsink_statements_create();
        o->conn = lane->conn;
        if (o->statements == NULL) {
            return nomem(err);
        }
    }
    uint32_t most = 1;
    for (uint32_t i = 0; i < lane->log.table_count; i++) {
        const uint32_t n = sluice_pgsink_stream_of(&lane->log, i)->table->column_count;
        most = n > most ? n : most;
    }
    if (most > o->columns) {
        struct sluice_apply_field *after = realloc(o->after, most * sizeof *after);
        struct sluice_apply_field *before = realloc(o->before, most * sizeof *before);
        o->after = after != NULL ? after : o->after;
        o->before = before != NULL ? before : o->before;
        if (after == NULL || before == NULL) {
            return nomem(err);
        }
        o->columns = most;
    }
    *out = o;
    return SLUICE_OK;
}

/* ---- sending ---- */

static sluice_status send_bound(struct sluice_pgsink_lane *lane, struct ordered *o, int kind,
                                const struct sluice_pgsink_stream *stream, int after, int before,
                                size_t index, struct sluice_error *err)
{
    struct sluice_pgsink_bound bound;
    SLUICE_TRY(sluice_pgsink_statement_bind(o->statements, &lane->pipe, kind, stream,
                                            after ? o->after : NULL, before ? o->before : NULL,
                                            &bound, err));
    return sluice_pgsink_pipe_run(&lane->pipe, bound.name, bound.count, bound.values, bound.sizes,
                                  bound.formats, (int64_t)index, err);
}

/* What a TRUNCATE does to a table whose deletes are not hard; *hard: it is truncated. Where other streams
 * write it too, their rows would go with it. */
static sluice_status send_emptied(struct sluice_pgsink_lane *lane,
                                  const struct sluice_pgsink_stream *stream, size_t index,
                                  int *hard, struct sluice_error *err)
{
    const struct sluice_write *w = &stream->write.write;
    struct sluice_pg_text sql = {0};
    *hard = 0;
    if (w->deletes == SLUICE_DELETES_IGNORE) {
        return SLUICE_OK;
    }
    if ((w->flags & SLUICE_WRITE_MERGE) != 0) {
        return sluice_error_set(
            err, SLUICE_E_UNSUPPORTED, SLUICE_ERROR_FATAL,
            "the source truncated %s; %s has rows of other streams, too (hint: remove its rows by "
            "hand, and leave truncates out with write.truncate: ignore)",
            stream->desc->name, stream->table->quoted);
    }
    if (w->deletes != SLUICE_DELETES_SOFT) {
        *hard = 1;
        return SLUICE_OK;
    }
    for (uint32_t i = 0; i < stream->table->column_count; i++) {
        const struct sluice_pgsink_column *c = &stream->table->columns[i];
        if (c->soft) {
            sluice_pg_text_format(&sql, "UPDATE %s SET %s = true WHERE NOT %s",
                                  stream->table->quoted, c->quoted, c->quoted);
        }
    }
    sluice_status status = sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status = sluice_pgsink_pipe_text(&lane->pipe, sql.data, 0, NULL, (int64_t)index, err);
    }
    sluice_pg_text_free(&sql);
    return status;
}

/* Tables that one command emptied are emptied by one. Answers how many changes that were. */
static sluice_status send_truncate(struct sluice_pgsink_lane *lane, size_t index, size_t to,
                                   size_t *taken, struct sluice_error *err)
{
    const struct sluice_apply_log *log = &lane->log;
    const struct sluice_apply_change *first = &log->changes[index];
    const struct sluice_bytes pos = sluice_apply_change_pos(log, first);
    struct sluice_pg_text sql = {0};
    sluice_status status = SLUICE_OK;
    *taken = 0;
    for (size_t i = index; i < to && status >= 0; i++) {
        const struct sluice_apply_change *c = &log->changes[i];
        if (c->op != 'T' || c->seq != first->seq ||
            sluice_position_compare(sluice_apply_change_pos(log, c), pos) != 0) {
            break;
        }
        int hard = 0;
        status = send_emptied(lane, sluice_pgsink_stream_of(log, c->table), i, &hard, err);
        if (hard) {
            sluice_pg_text_format(&sql, "%s%s", sql.size > 0 ? ", " : "TRUNCATE ",
                                  sluice_pgsink_stream_of(log, c->table)->table->quoted);
        }
        (*taken)++;
    }
    if (status >= 0) {
        status = sluice_pg_text_check(&sql, err);
    }
    if (status >= 0 && sql.size > 0) {
        status = sluice_pgsink_pipe_text(&lane->pipe, sql.data, 0, NULL, (int64_t)index, err);
    }
    sluice_pg_text_free(&sql);
    return status;
}

/* A TRUNCATE of history is a row of it. */
static sluice_status send_truncate_row(struct sluice_pgsink_lane *lane, struct ordered *o,
                                       size_t index, struct sluice_error *err)
{
    const struct sluice_apply_log *log = &lane->log;
    const struct sluice_apply_change *c = &log->changes[index];
    const struct sluice_pgsink_table *t = sluice_pgsink_stream_of(log, c->table)->table;
    const struct sluice_bytes pos = sluice_apply_change_pos(log, c);
    char hex[96] = "";
    char seq[24];
    if (pos.size * 2 < sizeof hex) {
        sluice_hex_encode(pos.data, pos.size, hex);
    }
    (void)snprintf(seq, sizeof seq, "%lld", (long long)c->seq);
    for (uint32_t i = 0; i < t->column_count; i++) {
        const char *text = t->columns[i].meta == SLUICE_META_OP         ? "T"
                           : t->columns[i].meta == SLUICE_META_POSITION ? hex
                           : t->columns[i].meta == SLUICE_META_SEQ      ? seq
                                                                        : NULL;
        o->after[i] = (struct sluice_apply_field){
            (const uint8_t *)text, text != NULL ? (int32_t)strlen(text) : SLUICE_APPLY_NULL};
    }
    return send_bound(lane, o, SLUICE_APPLY_ADD, sluice_pgsink_stream_of(log, c->table), 1, 0,
                      index, err);
}

static sluice_status send_change(struct sluice_pgsink_lane *lane, struct ordered *o, size_t index,
                                 size_t to, size_t *taken, struct sluice_error *err)
{
    const struct sluice_apply_log *log = &lane->log;
    const struct sluice_apply_change *c = &log->changes[index];
    const struct sluice_pgsink_stream *stream = sluice_pgsink_stream_of(log, c->table);
    const struct sluice_pgsink_table *t = stream->table;
    *taken = 1;
    if (c->op == 0 || c->op == 'X') {
        return SLUICE_OK;
    }
    if (c->op == 'T') {
        return stream->write.write.mode == SLUICE_WRITE_HISTORY
                   ? send_truncate_row(lane, o, index, err)
                   : send_truncate(lane, index, to, taken, err);
    }
    const int has_after = c->after != SLUICE_APPLY_NONE;
    const int has_before = c->before != SLUICE_APPLY_NONE;
    if (has_after) {
        sluice_apply_tuple(log, c->after, t->column_count, o->after);
    }
    if (has_before) {
        sluice_apply_tuple(log, c->before, t->column_count, o->before);
    }
    const int kind = sluice_apply_kind_of(&stream->apply, c);
    if (kind == SLUICE_APPLY_CHANGE && !c->partial && t->key_count > 0) {
        /* A whole row: it is put, also where the target lacks it; its old key is removed first. */
        if (c->key_change) {
            SLUICE_TRY(send_bound(lane, o, SLUICE_APPLY_REMOVE, stream, 0, 1, index, err));
        }
        return send_bound(lane, o, SLUICE_APPLY_PUT, stream, 1, 0, index, err);
    }
    return send_bound(lane, o, kind, stream, has_after, has_before, index, err);
}

/* ---- errors ---- */

static int is_missing(const struct sluice_pgsink_lane *lane, const struct sluice_error *err)
{
    const int64_t at = lane->pipe.failed;
    return at >= 0 && strcmp(err->sqlstate, "22012") == 0 && lane->log.changes[at].op == 'U';
}

/* What the server said, with the row that it was about. */
static sluice_status explain(struct sluice_pgsink_lane *lane, struct sluice_error *err,
                             sluice_status status)
{
    char name[480];
    const int64_t at = lane->pipe.failed;
    if (at == SLUICE_PGSINK_TAG_ADVANCE && strcmp(err->sqlstate, "22012") == 0) {
        return sluice_pgsink_fenced(lane->sink, lane->shard, err);
    }
    if (at < 0 || PQstatus(lane->conn->pg) != CONNECTION_OK) {
        return status;
    }
    const struct sluice_apply_change *c = &lane->log.changes[at];
    const struct sluice_pgsink_stream *stream = sluice_pgsink_stream_of(&lane->log, c->table);
    sluice_apply_change_name(&lane->log, c, name, sizeof name);
    sluice_pgsink_blame(lane, stream->desc->name);
    if (is_missing(lane, err)) {
        status = sluice_error_set(
            err, SLUICE_E_DATA, 0,
            "%s: the target lacks the row, and not all of its columns were sent (unchanged large "
            "values): it cannot be made (hint: load the table anew: sluice state resync)",
            name);
        (void)snprintf(err->sqlstate, sizeof err->sqlstate, "02000");
        return status;
    }
    status = sluice_pgsink_hint(lane->sink, err, status);
    (void)sluice_error_wrap(err, "%s", name);
    return status;
}

/* ---- transactions ---- */

sluice_status sluice_pgsink_tx_begin(struct sluice_pgsink_lane *lane, struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    char epoch[24];
    if (lane->in_tx) {
        return SLUICE_OK;
    }
    (void)snprintf(epoch, sizeof epoch, "%llu", (unsigned long long)lane->claim.epoch);
    const char *const params[] = {lane->sink->pipeline, lane->sink->node, lane->shard,
                                  lane->sink->owner, epoch};
    SLUICE_TRY(sluice_pg_command(lane->conn, "begin", "BEGIN", err));
    lane->in_tx = 1;
    sluice_pg_text_format(&sql,
                          "SELECT 1 FROM %s.lanes WHERE pipeline = $1 AND sink = $2 AND shard = $3 "
                          "AND owner = $4 AND epoch = $5::bigint FOR UPDATE",
                          lane->sink->state);
    sluice_status status = sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status = sluice_pg_query(lane->conn, "lock the lane", sql.data, 5, params, &result, err);
    }
    if (status >= 0 && PQntuples(result) != 1) {
        status = sluice_pgsink_fenced(lane->sink, lane->shard, err);
    }
    PQclear(result);
    sluice_pg_text_free(&sql);
    return status;
}

/* The statements that end a transaction: the claim's row, COMMIT. */
static sluice_status send_end(struct sluice_pgsink_lane *lane,
                              const struct sluice_pgsink_advance *advance, struct sluice_error *err)
{
    SLUICE_TRY(sluice_pgsink_pipe_text(&lane->pipe, sluice_pgsink_advance_sql(lane->sink),
                                       SLUICE_PGSINK_ADVANCE_PARAMS, advance->values,
                                       SLUICE_PGSINK_TAG_ADVANCE, err));
    return sluice_pgsink_pipe_text(&lane->pipe, "COMMIT", 0, NULL, SLUICE_PGSINK_TAG_COMMIT, err);
}

/* A failure after COMMIT was sent, of a connection that broke: nobody knows. */
static void mark_outcome(struct sluice_pgsink_lane *lane, struct sluice_error *err)
{
    const int broke = PQstatus(lane->conn->pg) != CONNECTION_OK || err->sqlstate[0] == '\0';
    if (!(lane->pipe.sent_commit && broke)) {
        err->flags |= SLUICE_ERROR_EPOCH_ABORTED;
    }
}

sluice_status sluice_pgsink_tx_commit(struct sluice_pgsink_lane *lane,
                                      const struct sluice_commit *commit,
                                      struct sluice_bytes applied, struct sluice_error *err)
{
    struct sluice_pgsink_advance advance = {0};
    sluice_status status =
        sluice_pgsink_advance_make(lane->sink, &lane->claim, commit, applied, &advance, err);
    if (status >= 0) {
        status = sluice_failpoint_hit(lane->sink->failpoints, "pgsink.before_commit", err);
    }
    if (status >= 0) {
        status = sluice_pgsink_pipe_begin(&lane->pipe, lane->conn, err);
    }
    if (status >= 0) {
        status = send_end(lane, &advance, err);
        if (status >= 0) {
            status = sluice_pgsink_pipe_end(&lane->pipe, "commit changes", err);
        }
    }
    if (status < 0) {
        status = explain(lane, err, status);
        mark_outcome(lane, err);
    }
    sluice_pgsink_advance_free(&advance);
    return status;
}

/* ---- the quick way: nothing may be refused ---- */

static sluice_status send_part(struct sluice_pgsink_lane *lane, struct ordered *o, size_t *at,
                               size_t to, size_t most, struct sluice_error *err)
{
    const size_t from = *at;
    while (*at < to && *at - from < most) {
        size_t taken = 1;
        SLUICE_TRY(send_change(lane, o, *at, to, &taken, err));
        *at += taken;
    }
    return SLUICE_OK;
}

/* BEGIN, all changes, the claim's row and COMMIT in one go. */
static sluice_status apply_whole(struct sluice_pgsink_lane *lane, struct ordered *o, size_t from,
                                 size_t to, const struct sluice_pgsink_advance *advance,
                                 struct sluice_error *err)
{
    size_t at = from;
    SLUICE_TRY(sluice_failpoint_hit(lane->sink->failpoints, "pgsink.before_advance", err));
    SLUICE_TRY(sluice_pgsink_pipe_begin(&lane->pipe, lane->conn, err));
    lane->in_tx = 1;
    SLUICE_TRY(
        sluice_pgsink_pipe_text(&lane->pipe, "BEGIN", 0, NULL, SLUICE_PGSINK_TAG_OTHER, err));
    SLUICE_TRY(send_part(lane, o, &at, to, to - from + 1, err));
    SLUICE_TRY(send_end(lane, advance, err));
    return sluice_pgsink_pipe_end(&lane->pipe, "write changes", err);
}

/* Into the open transaction, part by part. */
static sluice_status apply_parts(struct sluice_pgsink_lane *lane, struct ordered *o, size_t from,
                                 size_t to, struct sluice_error *err)
{
    size_t at = from;
    while (at < to) {
        SLUICE_TRY(sluice_pgsink_pipe_begin(&lane->pipe, lane->conn, err));
        SLUICE_TRY(send_part(lane, o, &at, to, PART, err));
        SLUICE_TRY(sluice_pgsink_pipe_end(&lane->pipe, "write changes", err));
    }
    return SLUICE_OK;
}

/* ---- the careful way: each row that is refused is found ---- */

static sluice_status refuse(struct sluice_pgsink_lane *lane, size_t index, struct sluice_error *err)
{
    const struct sluice_apply_change *c = &lane->log.changes[index];
    const struct sluice_pgsink_stream *stream = sluice_pgsink_stream_of(&lane->log, c->table);
    struct sluice_apply_letter letter;
    SLUICE_TRY(sluice_apply_letter_make(&lane->log, c, &letter, err));
    const struct sluice_pgsink_refused refused = {.stream = stream->desc->name,
                                                  .target = stream->table->quoted,
                                                  .shard = lane->shard,
                                                  .epoch = lane->epoch,
                                                  .op = letter.op,
                                                  .position = letter.position,
                                                  .seq = letter.seq,
                                                  .key = (const char *)letter.key.data,
                                                  .row = (const char *)letter.row.data,
                                                  .write = &stream->write.write,
                                                  .open = sluice_apply_open_rows(&lane->refused)};
    const sluice_status status = sluice_pgsink_refuse(lane->sink, lane->conn, &refused, err);
    if (status >= 0) {
        sluice_apply_open_add(&lane->refused, stream->desc->name);
    }
    sluice_apply_letter_free(&letter);
    return status;
}

static sluice_status try_part(struct sluice_pgsink_lane *lane, struct ordered *o, size_t from,
                              size_t to, struct sluice_error *err)
{
    size_t at = from;
    SLUICE_TRY(sluice_pgsink_pipe_begin(&lane->pipe, lane->conn, err));
    SLUICE_TRY(sluice_pgsink_pipe_text(&lane->pipe, "SAVEPOINT sluice_part", 0, NULL,
                                       SLUICE_PGSINK_TAG_OTHER, err));
    SLUICE_TRY(send_part(lane, o, &at, to, to - from + 1, err));
    SLUICE_TRY(sluice_pgsink_pipe_text(&lane->pipe, "RELEASE sluice_part", 0, NULL,
                                       SLUICE_PGSINK_TAG_OTHER, err));
    return sluice_pgsink_pipe_end(&lane->pipe, "write changes", err);
}

/* The pipeline says which change failed: what stands before it is written again without it. */
static sluice_status apply_careful(struct sluice_pgsink_lane *lane, struct ordered *o, size_t from,
                                   size_t to, struct sluice_error *err)
{
    for (size_t i = from; i < to; i++) {
        if (lane->log.changes[i].op == 'X') {
            SLUICE_TRY(refuse(lane, i, err));
        }
    }
    while (from < to) {
        const size_t end = from + CAREFUL < to ? from + CAREFUL : to;
        sluice_status status = try_part(lane, o, from, end, err);
        if (status >= 0) {
            from = end;
            continue;
        }
        const int64_t bad = lane->pipe.failed;
        const int row = bad >= (int64_t)from && lane->log.changes[bad].op != 'T' &&
                        (sluice_pgsink_is_row_error(err) || is_missing(lane, err));
        if (!row || PQstatus(lane->conn->pg) != CONNECTION_OK) {
            return explain(lane, err, status);
        }
        struct sluice_error why = *err;
        sluice_error_clear(err);
        SLUICE_TRY(sluice_pg_command(lane->conn, "undo a part",
                                     "ROLLBACK TO sluice_part; RELEASE sluice_part", err));
        /* Statements that were prepared behind the failure do not exist. */
        SLUICE_TRY(sluice_pg_command(lane->conn, "drop statements", "DEALLOCATE ALL", err));
        sluice_pgsink_ordered_forget(lane);
        SLUICE_TRY(ready(lane, &o, err));
        if ((size_t)bad > from) {
            SLUICE_TRY(try_part(lane, o, from, (size_t)bad, err));
        }
        lane->pipe.failed = bad;
        *err = why;
        (void)explain(lane, err, status);
        SLUICE_TRY(refuse(lane, (size_t)bad, err));
        from = (size_t)bad + 1;
    }
    return SLUICE_OK;
}

/* ---- entry ---- */

sluice_status sluice_pgsink_ordered_apply(struct sluice_pgsink_lane *lane, size_t from, size_t to,
                                          const struct sluice_commit *commit,
                                          struct sluice_bytes applied, struct sluice_error *err)
{
    struct sluice_pgsink_advance advance = {0};
    struct ordered *o = NULL;
    const int stop = lane->sink->tallies.on_row_error == SLUICE_ROWS_STOP;
    SLUICE_TRY(ready(lane, &o, err));
    lane->pipe.failed = SLUICE_PGSINK_TAG_OTHER;
    lane->pipe.sent_commit = 0;
    if (stop && commit != NULL && !lane->in_tx && to - from <= PART) {
        sluice_status status =
            sluice_pgsink_advance_make(lane->sink, &lane->claim, commit, applied, &advance, err);
        if (status >= 0) {
            status = apply_whole(lane, o, from, to, &advance, err);
        }
        if (status < 0) {
            status = explain(lane, err, status);
            mark_outcome(lane, err);
        }
        sluice_pgsink_advance_free(&advance);
        return status;
    }
    SLUICE_TRY(sluice_pgsink_tx_begin(lane, err));
    sluice_status status =
        stop ? apply_parts(lane, o, from, to, err) : apply_careful(lane, o, from, to, err);
    if (status < 0) {
        status = stop ? explain(lane, err, status) : status;
        err->flags |= SLUICE_ERROR_EPOCH_ABORTED;
        return status;
    }
    return commit != NULL ? sluice_pgsink_tx_commit(lane, commit, applied, err) : SLUICE_OK;
}
