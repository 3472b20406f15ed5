#include "reject.h"

#include <stdio.h>
#include <string.h>

#include "sluice/log.h"
#include "statement.h"

int mssink_is_row_error(const struct sluice_error *err)
{
    static const int64_t numbers[] = {
        2627, 2601,            /* PRIMARY KEY or UNIQUE, a unique index */
        547,  515,  513,       /* FOREIGN KEY or CHECK, NOT NULL, a rule */
        8152, 2628,            /* too long */
        220,  232,  8115, 517, /* out of range */
        241,  242,  245,  248, 244, 295, 296, 8114, 8169, 6522, 6569, /* no such value */
        3609, /* a trigger ended the transaction */
    };
    const int64_t n = err->native_code;
    if ((err->flags & SLUICE_ERROR_ROW_LEVEL) != 0 || n == MSSINK_THROW_MISSING ||
        n == MSSINK_THROW_MANY || (n >= 9400 && n < 9500)) {
        return 1;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (n == numbers[i]) {
            return 1;
        }
    }
    return n >= 50000 && n != MSSINK_THROW_FENCED;
}

static void add_text(struct mssink_text *t, const char *value)
{
    mssink_text_add(t, ", ");
    mssink_text_literal(t, value);
}

static sluice_status put_letter(const struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                const struct mssink_refused *r, const struct sluice_error *why,
                                struct sluice_error *err)
{
    const int load = r->epoch == 0;
    char op[2] = {r->op, '\0'};
    struct sluice_apply_buffer how = {0};
    struct mssink_text t = {0};
    mssink_text_format(
        &t,
        "INSERT INTO %s.[letters] (pipeline, sink, stream, target, shard, run, op, "
        "position, error, [key], [row], how, epoch, seq, number, rejected_at) VALUES (",
        sink->state);
    mssink_text_literal(&t, sink->pipeline);
    sluice_apply_letter_how(&r->stream->write.write, &how);
    if (how.failed) {
        sluice_apply_buffer_free(&how);
        mssink_text_free(&t);
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                "out of memory for a letter");
    }
    const char *const texts[] = {
        sink->node,  r->stream->desc->name, r->target, r->shard, load ? r->stream->run : NULL, op,
        r->position, why->message,          r->key,    r->row,   (const char *)how.data};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        add_text(&t, texts[i]);
    }
    sluice_apply_buffer_free(&how);
    if (load) {
        mssink_text_add(&t, ", NULL, NULL, ");
    }
    else {
        mssink_text_format(&t, ", %llu, %lld, ", (unsigned long long)r->epoch, (long long)r->seq);
    }
    if (why->native_code != 0) {
        mssink_text_format(&t, "%lld", (long long)why->native_code);
    }
    else {
        mssink_text_add(&t, "NULL");
    }
    mssink_text_add(&t, ", SYSUTCDATETIME())");
    return mssink_run(conn, "keep a dead letter", &t, err);
}

sluice_status mssink_refuse(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                            const struct mssink_refused *refused, struct sluice_error *err)
{
    struct sluice_error why;
    const sluice_status status = sluice_apply_refuse(&sink->tallies, refused->open, &why, err);
    return status == SLUICE_AGAIN ? put_letter(sink, conn, refused, &why, err) : status;
}

void mssink_refused_settle(struct sluice_sink *sink, const char *stream, uint64_t rows)
{
    if (sluice_apply_refused(&sink->tallies, stream, rows)) {
        /* once: who follows for weeks is to hear of it before the summary */
        sluice_log(sink->host, SLUICE_LOG_WARN,
                   "the target refuses rows stream=%s rows=%llu kept=%d", stream,
                   (unsigned long long)rows, sink->tallies.on_row_error == SLUICE_ROWS_DLQ);
    }
}

int mssink_tx_lives(struct sluice_tds_conn *conn)
{
    int64_t state = 0;
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    sluice_status status = sluice_tds_query(conn, "ask for the transaction",
                                            "SELECT CAST(XACT_STATE() AS int) AS s", &ignored);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, &ignored);
        state = status == SLUICE_OK ? sluice_tds_number(conn, 0) : state;
    }
    return status >= 0 && state == 1;
}
