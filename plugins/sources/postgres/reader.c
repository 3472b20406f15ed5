/* Reading one shard: COPY in binary, decoded straight into columns. */
#include <stdio.h>
#include <stdlib.h>

#include "pg/error.h"
#include "source.h"

/* A batch that has rows waits no longer than this for more. */
#define BATCH_WAIT_US 200000
/* The batch is closed at once after a row this large, and the connection's grown buffer given up. */
#define LARGE_ROW_BYTES (8u * 1024 * 1024)
/* A shard that has sent this much is streaming: wake for large pieces only. */
#define STREAMING_BYTES (1024u * 1024)
/* Bytes assumed for a text value when sizing the columns' first buffers. */
enum { TEXT_GUESS = 24, ROWS_MIN = 16 };

enum reader_state {
    READER_STARTED, /* the statements are sent */
    READER_ROWS,
    READER_TAIL, /* COPY has ended, the guard's answer is due */
    READER_DONE,
    READER_FAILED
};

struct sluice_reader {
    struct pg_feed *feed; /* of a shard of changes: then nothing else is used */
    struct sluice_source *src;
    const struct pg_shard *shard;
    struct sluice_pg_conn *conn; /* NULL once given back */
    enum reader_state state;
    int guard_seen;
    int large_seen;
    struct sluice_pg_copy copy;
    struct sluice_pg_decoder *decoders;
    struct sluice_rows rows;
    int64_t bytes; /* received for the batch under construction */
    int64_t bytes_max;
    int64_t started_us;  /* when its first row came */
    uint64_t first_mark; /* what the connection had received when the shard began */
    uint64_t row_mark;   /* what the connection had received when the last row was taken */
    char what[320];      /* object and operation, for errors */
};

/* ---------------------------------------------------------------- statements ----------------- */

static void append_copy(struct sluice_pg_text *sql, const struct sluice_source *src,
                        const struct pg_shard *shard)
{
    const struct pg_relation *r = shard->relation;
    const char *glue = " WHERE ";
    sluice_pg_text_add(sql, "COPY (SELECT ");
    sluice_pg_text_add(sql, shard->stream->select);
    sluice_pg_text_add(sql, r->kind == 'p' || r->kind == 'v' ? " FROM " : " FROM ONLY ");
    sluice_pg_text_ident(sql, r->schema);
    sluice_pg_text_add(sql, ".");
    sluice_pg_text_ident(sql, r->name);
    if (shard->first_page > 0) {
        sluice_pg_text_format(sql, "%sctid >= '(%lld,0)'::pg_catalog.tid", glue,
                              (long long)shard->first_page);
        glue = " AND ";
    }
    if (shard->end_page >= 0) {
        sluice_pg_text_format(sql, "%sctid < '(%lld,0)'::pg_catalog.tid", glue,
                              (long long)shard->end_page);
        glue = " AND ";
    }
    if (shard->stream->where != NULL) {
        /* The line end closes a comment that the condition may end with. */
        sluice_pg_text_format(sql, "%s(%s\n)", glue, shard->stream->where);
    }
    if (src->row_limit > 0) {
        sluice_pg_text_format(sql, " LIMIT %llu", (unsigned long long)src->row_limit);
    }
    sluice_pg_text_add(sql, ") TO STDOUT (FORMAT binary)");
}

/* The table's name, its columns' names and its storage must be today what the snapshot says they
 * were: catalog functions see today's state while catalog tables show the snapshot's. COPY holds a
 * lock on the table by then, so what is true now was true during the COPY. A table that was
 * emptied, rewritten or replaced meanwhile looks empty, or partly so, to an older snapshot. */
static sluice_status append_guard(struct sluice_pg_text *sql, const struct pg_shard *shard,
                                  struct sluice_error *err)
{
    const struct pg_relation *r = shard->relation;
    struct sluice_pg_text name = {0};
    sluice_pg_text_ident(&name, r->schema);
    sluice_pg_text_add(&name, ".");
    sluice_pg_text_ident(&name, r->name);
    sluice_status st = sluice_pg_text_check(&name, err);
    if (st >= 0) {
        sluice_pg_text_add(sql, ";SELECT pg_catalog.to_regclass(");
        sluice_pg_text_literal(sql, name.data);
        sluice_pg_text_format(
            sql, ")::pg_catalog.oid = c.oid, pg_catalog.pg_relation_filenode(c.oid)"
                 " IS NOT DISTINCT FROM NULLIF(c.relfilenode, 0::pg_catalog.oid), NOT EXISTS ("
                 "SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0"
                 " AND NOT a.attisdropped AND a.attname = ANY(");
        sluice_pg_text_literal(sql, shard->stream->column_names);
        sluice_pg_text_format(
            sql,
            "::pg_catalog.name[]) AND (pg_catalog.pg_identify_object(1259, a.attrelid, a.attnum)"
            ").identity IS DISTINCT FROM pg_catalog.concat_ws('.',"
            " pg_catalog.quote_ident(n.nspname), pg_catalog.quote_ident(c.relname),"
            " pg_catalog.quote_ident(a.attname)))"
            " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.oid = %u",
            r->oid);
    }
    sluice_pg_text_free(&name);
    return st < 0 ? st : sluice_pg_text_check(sql, err);
}

static sluice_status send_statements(struct sluice_reader *rd, struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    append_copy(&sql, rd->src, rd->shard);
    sluice_status st = append_guard(&sql, rd->shard, err);
    if (st >= 0) {
        st = sluice_pg_send(rd->conn, rd->what, sql.data, 0, NULL, err);
    }
    sluice_pg_text_free(&sql);
    return st;
}

/* ---------------------------------------------------------------- open, close ---------------- */

static void give_back(struct sluice_reader *rd, int reusable)
{
    struct sluice_pg_conn *conn = rd->conn;
    rd->conn = NULL;
    if (conn != NULL && reusable) {
        atomic_store(&conn->busy, 0);
    }
    pg_worker_release(rd->src, conn, reusable && !rd->large_seen);
}

void pg_reader_close(struct sluice_reader *rd)
{
    if (rd == NULL) {
        return;
    }
    if (rd->feed != NULL) {
        pg_feed_close(rd->feed);
        free(rd);
        return;
    }
    give_back(rd, 0);
    sluice_rows_free(&rd->rows);
    free(rd->decoders);
    free(rd);
}

/* Rows that fit the byte aim, judged by the columns' fixed widths. */
static int64_t choose_rows(const struct sluice_reader *rd)
{
    const struct pg_stream *stream = rd->shard->stream;
    int64_t width = 0;
    for (int64_t i = 0; i < stream->schema.n_children; i++) {
        struct sluice_type type = {0};
        if (sluice_type_parse(stream->schema.children[i]->format, &type, NULL) >= 0) {
            width += type.width > 0 ? type.width : TEXT_GUESS;
        }
    }
    int64_t rows = rd->src->options.batch_rows;
    if (rd->src->batch_rows > 0 && (uint64_t)rows > rd->src->batch_rows) {
        rows = (int64_t)rd->src->batch_rows;
    }
    int64_t fit = width > 0 ? rd->bytes_max / width : rows;
    fit = fit > ROWS_MIN ? fit : ROWS_MIN;
    return rows < fit ? rows : fit;
}

static sluice_status reader_prepare(struct sluice_reader *rd, struct sluice_error *err)
{
    const struct pg_stream *stream = rd->shard->stream;
    rd->bytes_max = rd->src->options.batch_bytes;
    if (rd->src->batch_bytes > 0 && (uint64_t)rd->bytes_max > rd->src->batch_bytes) {
        rd->bytes_max = (int64_t)rd->src->batch_bytes;
    }
    SLUICE_TRY(sluice_rows_init(&rd->rows, &stream->schema, choose_rows(rd), err));
    rd->decoders = calloc(stream->column_count + 1u, sizeof *rd->decoders);
    if (rd->decoders == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for %u columns",
                                stream->column_count);
    }
    for (uint32_t i = 0; i < stream->column_count; i++) {
        SLUICE_TRY(sluice_pg_decoder_init(&rd->decoders[i], stream->decode[i], &rd->rows.columns[i],
                                          stream->schema.children[i]->name,
                                          (int32_t)rd->src->options.on_unrepresentable, err));
    }
    rd->copy.decoders = rd->decoders;
    rd->copy.count = stream->column_count;
    return SLUICE_OK;
}

static sluice_status open_feed(struct sluice_source *src, const struct sluice_shard_desc *shard,
                               struct sluice_bytes resume, struct sluice_reader **out,
                               struct sluice_error *err)
{
    struct sluice_reader *rd = calloc(1, sizeof *rd);
    if (rd == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a reader");
    }
    sluice_status st = pg_feed_open(src, shard, resume, &rd->feed, err);
    if (st < 0) {
        free(rd);
        return st;
    }
    *out = rd;
    return SLUICE_OK;
}

sluice_status pg_reader_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                             struct sluice_bytes resume, struct sluice_reader **out,
                             struct sluice_error *err)
{
    if (shard->kind == SLUICE_SHARD_CHANGES) {
        return open_feed(src, shard, resume, out, err);
    }
    uint64_t handle[2] = {0, 0};
    if (shard->handle.size == sizeof handle) {
        memcpy(handle, shard->handle.data, sizeof handle);
    }
    if (src->holder == NULL || handle[0] != src->generation || handle[1] >= src->shard_count) {
        return sluice_error_set(err, SLUICE_E_SNAPSHOT_LOST, 0,
                                "shard %s belongs to a snapshot that is gone", shard->id);
    }
    if (resume.size != 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "shard %s: a part of a full load starts at its start", shard->id);
    }
    struct sluice_reader *rd = calloc(1, sizeof *rd);
    if (rd == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a reader");
    }
    rd->src = src;
    rd->shard = &src->shards[handle[1]];
    (void)snprintf(rd->what, sizeof rd->what, "read table %.280s", rd->shard->stream->name);
    sluice_status st = reader_prepare(rd, err);
    if (st >= 0) {
        st = pg_worker_acquire(src, &rd->conn, err);
    }
    if (st >= 0) {
        st = send_statements(rd, err);
    }
    if (st < 0) {
        pg_reader_close(rd);
        return st;
    }
    *out = rd;
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- rows ----------------------- */

static sluice_status finish_batch(struct sluice_reader *rd, struct sluice_batch *out,
                                  struct sluice_error *err)
{
    const struct sluice_stream_desc *desc = &rd->shard->stream->desc;
    uint64_t rows = (uint64_t)rd->rows.rows;
    uint64_t bytes = (uint64_t)sluice_rows_bytes(&rd->rows);
    struct ArrowArray array;
    SLUICE_TRY(sluice_rows_finish(&rd->rows, &array, err));
    rd->src->host->metric_add(rd->src->rows_read, (int64_t)rows);
    rd->src->host->metric_add(rd->src->bytes_read, rd->bytes);
    rd->bytes = 0;
    uint32_t struct_size = out->struct_size;
    memset(out, 0, sizeof *out);
    out->struct_size = struct_size;
    out->kind = SLUICE_BATCH_ROWS;
    out->stream_id = desc->stream_id;
    out->schema_id = desc->schema_id;
    out->rows = rows;
    out->bytes = bytes;
    out->source_time_us = rd->src->snapshot_us;
    out->array = array;
    return SLUICE_OK;
}

static sluice_status row_too_large(const struct sluice_reader *rd, uint64_t size,
                                   struct sluice_error *err)
{
    return sluice_error_set(
        err, SLUICE_E_LIMIT, 0,
        "%s: row %llu of this part has %.1f MiB or more, and option max_row_bytes allows %.1f "
        "(hint: raise max_row_bytes, which needs memory for three times as much, or leave the "
        "large column out)",
        rd->what, (unsigned long long)rd->copy.row, (double)size / (1u << 20),
        (double)rd->src->options.max_row_bytes / (1u << 20));
}

/* libpq gives up on a message for which it has no memory, and says so in words alone. */
static sluice_status copy_error(const struct sluice_reader *rd, struct sluice_error *err)
{
    const char *text = PQerrorMessage(rd->conn->pg);
    if (strstr(text, "out of memory") != NULL || strstr(text, "lost synchronization") != NULL) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0,
                                "row %llu of the shard is too large for this machine's memory",
                                (unsigned long long)rd->copy.row);
    }
    return sluice_pg_error_broken(err, rd->what, text);
}

/* A row must not fill the memory before it is complete and can be measured. */
static sluice_status check_unfinished(const struct sluice_reader *rd, struct sluice_error *err)
{
    uint64_t limit = (uint64_t)rd->src->options.max_row_bytes;
    uint64_t came = rd->conn->received - rd->row_mark;
    if (came > limit + limit / 16 + (1u << 20)) { /* TLS adds a little */
        return row_too_large(rd, came, err);
    }
    return SLUICE_OK;
}

/* Takes what libpq has received. OK = the batch is full, AGAIN = more is needed, END = COPY ended. */
static sluice_status take_rows(struct sluice_reader *rd, struct sluice_error *err)
{
    PGconn *pg = rd->conn->pg;
    for (;;) {
        char *data = NULL;
        int size = PQgetCopyData(pg, &data, 1);
        if (size == 0) {
            return SLUICE_AGAIN;
        }
        if (size == -1) {
            return SLUICE_END;
        }
        if (size < 0) {
            return copy_error(rd, err);
        }
        rd->row_mark = rd->conn->received;
        sluice_status st;
        if (size > rd->src->options.max_row_bytes) {
            st = row_too_large(rd, (uint64_t)size, err);
        }
        else {
            st = sluice_pg_copy_message(&rd->copy, &rd->rows, (const uint8_t *)data, (size_t)size,
                                        err);
        }
        PQfreemem(data);
        if (st < 0) {
            return st;
        }
        if (st == SLUICE_OK) {
            int large = (uint32_t)size >= LARGE_ROW_BYTES;
            rd->bytes += size;
            rd->large_seen |= large;
            if (rd->rows.rows == rd->rows.max_rows || rd->bytes >= rd->bytes_max || large) {
                return SLUICE_OK;
            }
        }
    }
}

/* ---------------------------------------------------------------- results -------------------- */

static sluice_status check_guard(const struct sluice_reader *rd, const PGresult *result,
                                 struct sluice_error *err)
{
    static const char *const found[] = {
        "it was renamed, or dropped and made anew",
        "it was truncated or rewritten (TRUNCATE, VACUUM FULL, CLUSTER, ALTER TABLE)",
        "its columns were renamed or dropped"};
    int rows = PQntuples(result);
    for (int i = 0; i < 3; i++) {
        if (rows != 1 || PQgetvalue(result, 0, i)[0] != 't') {
            return sluice_error_set(
                err, SLUICE_E_SCHEMA, 0,
                "%s: %s while it was being read, so this load of it is not whole "
                "(hint: load it again)",
                rd->what, found[rows == 1 ? i : 0]);
        }
    }
    return SLUICE_OK;
}

/* The table is no longer what the snapshot shows. A load alone fails it; where changes are followed
 * it is loaded anew, since the feed has what happened to it. */
static sluice_status changed(const struct sluice_reader *rd, struct sluice_error *err)
{
    if (err != NULL && rd->src->feed.wanted) {
        err->status = SLUICE_E_SNAPSHOT_LOST;
        err->flags = 0;
    }
    return rd->src->feed.wanted ? SLUICE_E_SNAPSHOT_LOST : SLUICE_E_SCHEMA;
}

/* One result of the statements. OK = go on, END = there are no more. */
static sluice_status take_result(struct sluice_reader *rd, struct sluice_error *err)
{
    PGresult *result = PQgetResult(rd->conn->pg);
    sluice_status st = SLUICE_OK;
    if (result == NULL) {
        if (!rd->guard_seen) {
            return sluice_pg_error_broken(err, rd->what, PQerrorMessage(rd->conn->pg));
        }
        return SLUICE_END;
    }
    switch (PQresultStatus(result)) {
    case PGRES_COPY_OUT:
        rd->state = READER_ROWS;
        rd->first_mark = rd->conn->received;
        rd->row_mark = rd->conn->received;
        if (PQnfields(result) != (int)rd->copy.count || PQbinaryTuples(result) != 1) {
            st = sluice_error_set(err, SLUICE_E_SCHEMA, 0,
                                  "%s: the server sends %d columns where %u were planned", rd->what,
                                  PQnfields(result), rd->copy.count);
        }
        break;
    case PGRES_COMMAND_OK:
        if (!rd->copy.trailer_seen) {
            st = sluice_error_set(err, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE,
                                  "%s: the stream of rows ended without its trailer", rd->what);
        }
        break;
    case PGRES_TUPLES_OK:
        rd->guard_seen = 1;
        st = check_guard(rd, result, err);
        break;
    default:
        st = sluice_pg_error_result(err, result, rd->what);
        break;
    }
    PQclear(result);
    return st == SLUICE_E_SCHEMA ? changed(rd, err) : st;
}

/* After an error of the server alone, the connection is good for the next shard. */
static void fail(struct sluice_reader *rd)
{
    rd->state = READER_FAILED;
    int usable = 0;
    if (rd->conn != NULL && PQstatus(rd->conn->pg) == CONNECTION_OK &&
        PQtransactionStatus(rd->conn->pg) == PQTRANS_INERROR && !PQisBusy(rd->conn->pg)) {
        PGresult *result = PQgetResult(rd->conn->pg);
        usable = result == NULL;
        PQclear(result);
        if (usable) {
            struct sluice_error ignored = SLUICE_ERROR_INIT;
            usable = sluice_pg_command(rd->conn, "roll back", "ROLLBACK", &ignored) >= 0;
            rd->conn->in_transaction = 0;
        }
    }
    give_back(rd, usable);
}

/* ---------------------------------------------------------------- next ----------------------- */

/* Moves on as far as received data allows. OK = a batch is ready in rd->rows, AGAIN = wait for the
 * server, END = the shard is whole. */
static sluice_status advance(struct sluice_reader *rd, struct sluice_error *err)
{
    for (;;) {
        sluice_status st;
        if (rd->state == READER_ROWS) {
            st = take_rows(rd, err);
            if (st == SLUICE_OK || st == SLUICE_AGAIN || st < 0) {
                return st;
            }
            rd->state = READER_TAIL;
            sluice_pg_coalesce(rd->conn, 0);
            if (rd->rows.rows > 0) {
                return SLUICE_OK;
            }
        }
        if (PQisBusy(rd->conn->pg)) {
            return SLUICE_AGAIN;
        }
        st = take_result(rd, err);
        if (st != SLUICE_OK) {
            return st;
        }
    }
}

static sluice_status next_batch(struct sluice_reader *rd, int64_t timeout_us,
                                struct sluice_batch *out, struct sluice_error *err)
{
    const struct sluice_host *host = rd->src->host;
    int64_t deadline = host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC) + timeout_us;
    int looked = 0; /* a timeout of zero still looks once */
    if (rd->rows.rows == 0) {
        rd->started_us = 0;
    }
    for (;;) {
        sluice_status st = advance(rd, err);
        if (st == SLUICE_OK) {
            return finish_batch(rd, out, err);
        }
        if (st == SLUICE_END) {
            rd->state = READER_DONE;
            give_back(rd, 1);
            return SLUICE_END;
        }
        if (st < 0) {
            return st;
        }
        int64_t now = host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC);
        int64_t until = deadline;
        if (rd->rows.rows > 0) {
            rd->started_us = rd->started_us == 0 ? now : rd->started_us;
            until = rd->started_us + BATCH_WAIT_US;
            if (now >= until) {
                return finish_batch(rd, out, err);
            }
            until = until < deadline ? until : deadline;
        }
        if (now >= deadline && looked) {
            return SLUICE_AGAIN;
        }
        SLUICE_TRY(sluice_pg_read(rd->conn, rd->what, until - now, err));
        if (rd->state == READER_ROWS) {
            SLUICE_TRY(check_unfinished(rd, err));
            if (rd->conn->received - rd->first_mark > STREAMING_BYTES) {
                sluice_pg_coalesce(rd->conn, 1);
            }
        }
        looked = 1;
    }
}

sluice_status pg_reader_next(struct sluice_reader *rd, int64_t timeout_us, struct sluice_batch *out,
                             struct sluice_error *err)
{
    if (rd->feed != NULL) {
        return pg_feed_next(rd->feed, timeout_us, out, err);
    }
    if (rd->state == READER_DONE) {
        return SLUICE_END;
    }
    if (rd->state == READER_FAILED) {
        return sluice_error_set(err, SLUICE_E_STATE, 0, "%s: this reader has failed before",
                                rd->what);
    }
    sluice_status st = next_batch(rd, timeout_us, out, err);
    if (st < 0) {
        fail(rd);
        if (err != NULL && strncmp(err->message, "read table", 10) != 0) {
            (void)sluice_error_wrap(err, "%s", rd->what);
        }
    }
    return st;
}

sluice_status pg_reader_idle(struct sluice_reader *rd, struct sluice_error *err)
{
    return rd->feed != NULL ? pg_feed_idle(rd->feed, err) : SLUICE_OK;
}

sluice_status pg_reader_ack(struct sluice_reader *rd, struct sluice_bytes position,
                            struct sluice_error *err)
{
    return rd->feed != NULL ? pg_feed_ack(rd->feed, position, err) : SLUICE_OK;
}
