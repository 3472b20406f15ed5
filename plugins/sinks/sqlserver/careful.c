/* The careful way: each row that the target refuses is found, kept as a letter and left out.
 *
 * Statements run under XACT_ABORT OFF behind a savepoint: most errors of rows end the statement alone. Some end the
 * transaction whatever the setting (conversions, a trigger that rolls back): then it is known by its position which
 * change that was, and all of the epoch comes again without it. */
#include <stdlib.h>
#include <string.h>

#include "reject.h"

enum { PART = 64 };

/* A change that took the transaction with it. */
struct mssink_bad {
    struct mssink_bad *next;
    struct sluice_error why;
    uint8_t *pos;
    uint64_t pos_size;
    int64_t seq;
};

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for changes");
}

int mssink_has_refused(const struct sluice_apply_log *log, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (log->changes[i].op == 'X') {
            return 1;
        }
    }
    return 0;
}

/* ---- what is known to be bad ---- */

static const struct mssink_bad *known_bad(const struct mssink_changes *lane, size_t index)
{
    const struct sluice_apply_change *c = &lane->log.changes[index];
    const struct sluice_bytes pos = sluice_apply_change_pos(&lane->log, c);
    const struct mssink_bad *bad = lane->bad;
    while (bad != NULL && (bad->seq != c->seq || bad->pos_size != pos.size ||
                           memcmp(bad->pos, pos.data, pos.size) != 0)) {
        bad = bad->next;
    }
    return bad;
}

static sluice_status remember(struct mssink_changes *lane, size_t index, struct sluice_error *err)
{
    const struct sluice_apply_change *c = &lane->log.changes[index];
    const struct sluice_bytes pos = sluice_apply_change_pos(&lane->log, c);
    struct mssink_bad *bad = calloc(1, sizeof *bad);
    if (bad != NULL) {
        bad->pos = malloc(pos.size + 1);
    }
    if (bad == NULL || bad->pos == NULL) {
        free(bad);
        return nomem(err);
    }
    memcpy(bad->pos, pos.data, pos.size);
    bad->pos_size = pos.size;
    bad->seq = c->seq;
    bad->why = *err;
    bad->next = lane->bad;
    lane->bad = bad;
    return SLUICE_OK;
}

static void forget(struct mssink_changes *lane)
{
    while (lane->bad != NULL) {
        struct mssink_bad *next = lane->bad->next;
        free(lane->bad->pos);
        free(lane->bad);
        lane->bad = next;
    }
}

/* ---- counts ---- */

static void settle(void *sink, const char *stream, uint64_t rows)
{
    mssink_refused_settle(sink, stream, rows);
}

void mssink_careful_count(struct mssink_changes *lane)
{
    sluice_apply_open_settle(&lane->refused, settle, lane->sink);
}

void mssink_careful_settle(struct mssink_changes *lane)
{
    mssink_careful_count(lane);
    forget(lane);
}

void mssink_careful_free(struct mssink_changes *lane)
{
    forget(lane);
    sluice_apply_open_clear(&lane->refused);
}

/* ---- rows ---- */

static const struct mssink_stream *stream_of(const struct mssink_changes *lane, size_t index)
{
    return lane->log.tables[lane->log.changes[index].table]->owner;
}

static sluice_status refuse(struct mssink_changes *lane, size_t index, struct sluice_error *err)
{
    const struct sluice_apply_change *c = &lane->log.changes[index];
    struct mssink_text target = {0};
    struct sluice_apply_letter letter;
    SLUICE_TRY(sluice_apply_letter_make(&lane->log, c, &letter, err));
    const struct sluice_apply_table *table = lane->log.tables[c->table];
    if (c->op == 'U' && letter.key.data == NULL && table->key_count > 0) {
        /* Of several unique indexes the letter says which. */
        sluice_apply_tuple_json(&lane->log, table, c->after, 1, &letter.key);
        sluice_apply_buffer_add(&letter.key, "", 1);
    }
    mssink_text_table(&target, stream_of(lane, index)->table->schema,
                      stream_of(lane, index)->table->name);
    const struct mssink_refused refused = {.stream = stream_of(lane, index),
                                           .target = target.data,
                                           .shard = lane->shard,
                                           .epoch = lane->claim.epoch + 1,
                                           .op = letter.op,
                                           .position = letter.position,
                                           .seq = letter.seq,
                                           .key = (const char *)letter.key.data,
                                           .row = (const char *)letter.row.data,
                                           .open = sluice_apply_open_rows(&lane->refused)};
    const sluice_status status = target.failed || letter.key.failed
                                     ? nomem(err)
                                     : mssink_refuse(lane->sink, lane->conn, &refused, err);
    if (status >= 0) {
        sluice_apply_open_add(&lane->refused, stream_of(lane, index)->desc->name);
    }
    mssink_text_free(&target);
    sluice_apply_letter_free(&letter);
    return status;
}

static sluice_status try_part(struct mssink_changes *lane, size_t from, size_t to,
                              struct sluice_error *err)
{
    struct mssink_text sql = {0};
    mssink_text_add(&sql, "SAVE TRANSACTION sluice_part;\n");
    sluice_status status = mssink_ordered_add(lane, from, to, &sql, err);
    if (status >= 0) {
        status = mssink_run(lane->conn, "write changes", &sql, err);
    }
    mssink_text_free(&sql);
    return status;
}

/* Behind a failure of [from, to): the savepoint as it was, or all again. */
static sluice_status undo_part(struct mssink_changes *lane, size_t from, size_t to,
                               struct sluice_error *err)
{
    struct sluice_error why = *err;
    if (mssink_tx_lives(lane->conn)) {
        sluice_error_clear(err);
        SLUICE_TRY(
            sluice_tds_run(lane->conn, "undo a part", "ROLLBACK TRANSACTION sluice_part", err));
        *err = why;
        return SLUICE_OK;
    }
    if (to - from == 1) {
        (void)mssink_ordered_explain(lane, err);
        SLUICE_TRY(remember(lane, from, err));
    }
    lane->single = 1;
    lane->redo = 1;
    return why.status;
}

static int is_of_row(const struct mssink_changes *lane, const struct sluice_error *err)
{
    return lane->sink->tallies.on_row_error != SLUICE_ROWS_STOP && mssink_is_row_error(err);
}

static sluice_status apply_one(struct mssink_changes *lane, size_t index, struct sluice_error *err)
{
    const struct mssink_bad *bad = known_bad(lane, index);
    if (bad != NULL) {
        *err = bad->why;
        return refuse(lane, index, err);
    }
    sluice_status status = try_part(lane, index, index + 1, err);
    if (status >= 0) {
        return SLUICE_OK;
    }
    if (!is_of_row(lane, err)) {
        status = mssink_ordered_explain(lane, err);
        mssink_blame(lane, stream_of(lane, index)->desc->name);
        return status;
    }
    SLUICE_TRY(undo_part(lane, index, index + 1, err));
    (void)mssink_ordered_explain(lane, err);
    return refuse(lane, index, err);
}

/* 1 if changes [from, to) may be tried at once. */
static int may_try(const struct mssink_changes *lane, size_t from, size_t to)
{
    for (size_t i = from; i < to && lane->bad != NULL; i++) {
        if (known_bad(lane, i) != NULL) {
            return 0;
        }
    }
    return !lane->single && to - from > 1;
}

static sluice_status apply_part(struct mssink_changes *lane, size_t from, size_t to,
                                struct sluice_error *err)
{
    for (size_t i = from; i < to; i++) {
        if (lane->log.changes[i].op == 'X') {
            SLUICE_TRY(refuse(lane, i, err));
        }
    }
    if (may_try(lane, from, to)) {
        const sluice_status status = try_part(lane, from, to, err);
        if (status >= 0) {
            return SLUICE_OK;
        }
        if (!is_of_row(lane, err) && !mssink_may_set_aside(lane, err)) {
            return status;
        }
        SLUICE_TRY(undo_part(lane, from, to, err));
        sluice_error_clear(err);
    }
    for (size_t i = from; i < to; i++) {
        const uint8_t op = lane->log.changes[i].op;
        if (op != 0 && op != 'X') {
            SLUICE_TRY(apply_one(lane, i, err));
        }
    }
    return SLUICE_OK;
}

/* TRUNCATEs of one command go together: up to the next other change. */
static size_t end_of_part(const struct sluice_apply_log *log, size_t from, size_t to)
{
    const int emptied = log->changes[from].op == 'T';
    size_t end = from;
    while (end < to && (log->changes[end].op == 'T') == emptied && (emptied || end - from < PART)) {
        end++;
    }
    return end;
}

sluice_status mssink_careful_apply(struct mssink_changes *lane, size_t from, size_t to,
                                   struct sluice_error *err)
{
    SLUICE_TRY(
        sluice_tds_run(lane->conn, "prepare for rows that are refused", "SET XACT_ABORT OFF", err));
    while (from < to) {
        const size_t end = end_of_part(&lane->log, from, to);
        SLUICE_TRY(lane->log.changes[from].op == 'T' ? try_part(lane, from, end, err)
                                                     : apply_part(lane, from, end, err));
        from = end;
    }
    return SLUICE_OK;
}
