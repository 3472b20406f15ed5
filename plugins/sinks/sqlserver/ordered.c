/* Changes one by one, in the source's own order: statements with literals. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changes.h"
#include "sluice/position.h"
#include "statement.h"

enum {
    BATCH_BYTES = 256 * 1024
}; /* of a text that is sent at once; the server takes 65,536 packets */

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for changes");
}

static const struct mssink_stream *stream_of(const struct sluice_apply_log *log, uint32_t table)
{
    return log->tables[table]->owner;
}

/* ---- TRUNCATE ---- */

/* Of history it is a row. */
static sluice_status add_truncate_row(const struct sluice_apply_log *log,
                                      const struct sluice_apply_change *c, size_t index,
                                      struct mssink_text *out, struct sluice_error *err)
{
    const struct mssink_table *t = stream_of(log, c->table)->table;
    const struct sluice_bytes pos = sluice_apply_change_pos(log, c);
    struct sluice_apply_buffer room = {0};
    struct sluice_apply_field *fields = calloc(t->column_count + 1u, sizeof *fields);
    size_t *at = calloc(t->column_count + 1u, sizeof *at);
    char hex[129] = "";
    sluice_status status = fields != NULL && at != NULL ? SLUICE_OK : nomem(err);
    if (pos.size * 2 < sizeof hex) {
        sluice_hex_encode(pos.data, pos.size, hex);
    }
    for (uint32_t i = 0; status >= 0 && i < t->column_count; i++) {
        struct sluice_apply_meta value = {.kind = SLUICE_APPLY_META_TEXT};
        fields[i].size = SLUICE_APPLY_NULL;
        if (t->columns[i].meta == SLUICE_META_OP) {
            value.text = (struct sluice_bytes){"T", 1};
        }
        else if (t->columns[i].meta == SLUICE_META_POSITION) {
            value.text = (struct sluice_bytes){hex, pos.size * 2};
        }
        else if (t->columns[i].meta == SLUICE_META_SEQ) {
            value.kind = SLUICE_APPLY_META_NUMBER;
            value.number = c->seq;
        }
        else {
            continue;
        }
        at[i] = room.size;
        status = mssink_meta_encode(&t->columns[i], &value, &room, err);
        fields[i].size = (int32_t)(room.size - at[i]);
    }
    for (uint32_t i = 0; status >= 0 && i < t->column_count; i++) {
        fields[i].data = room.data + at[i];
    }
    if (status >= 0) {
        mssink_statement_change(t, SLUICE_APPLY_ADD, 0, fields, NULL, index, out);
    }
    sluice_apply_buffer_free(&room);
    free(fields);
    free(at);
    return status;
}

static sluice_status add_truncate(const struct sluice_apply_log *log,
                                  const struct sluice_apply_change *c, size_t index,
                                  struct mssink_text *out, struct sluice_error *err)
{
    const struct mssink_stream *stream = stream_of(log, c->table);
    const struct sluice_write *w = &stream->write.write;
    if (w->mode == SLUICE_WRITE_HISTORY) {
        return add_truncate_row(log, c, index, out, err);
    }
    if (w->deletes == SLUICE_DELETES_IGNORE) {
        return SLUICE_OK;
    }
    if ((w->flags & SLUICE_WRITE_MERGE) != 0) {
        return sluice_error_set(
            err, SLUICE_E_UNSUPPORTED, SLUICE_ERROR_FATAL,
            "the source truncated %s; [%s].[%s] has rows of other streams, too (hint: remove its "
            "rows by hand, and leave truncates out with write.truncate: ignore)",
            stream->desc->name, stream->schema, stream->name);
    }
    mssink_statement_truncate(stream->table, w->deletes == SLUICE_DELETES_SOFT, out);
    return SLUICE_OK;
}

/* Tables that one command emptied: children first. Answers how many changes that were. */
static sluice_status add_truncates(struct mssink_changes *lane, size_t from, size_t to,
                                   size_t *taken, struct mssink_text *out, struct sluice_error *err)
{
    const struct sluice_apply_log *log = &lane->log;
    const struct sluice_apply_change *first = &log->changes[from];
    const struct sluice_bytes pos = sluice_apply_change_pos(log, first);
    uint32_t *order = NULL;
    size_t end = from;
    while (end < to && log->changes[end].op == 'T' && log->changes[end].seq == first->seq &&
           sluice_position_compare(sluice_apply_change_pos(log, &log->changes[end]), pos) == 0) {
        end++;
    }
    *taken = end - from;
    if (*taken == 1) {
        return add_truncate(log, first, from, out, err);
    }
    sluice_status status = mssink_tables_order(lane, &order, err);
    for (uint32_t i = log->table_count; i > 0 && status >= 0; i--) {
        for (size_t k = from; k < end && status >= 0; k++) {
            if (log->changes[k].table == order[i - 1]) {
                status = add_truncate(log, &log->changes[k], k, out, err);
            }
        }
    }
    free(order);
    return status;
}

/* ---- rows ---- */

/* An identity cannot be updated: a row whose key is one gets another by being made anew, if all of it is known. */
static int has_identity_key(const struct mssink_table *t)
{
    for (uint32_t k = 0; k < t->key_count; k++) {
        if (t->columns[t->keys[k]].identity) {
            return 1;
        }
    }
    return 0;
}

static sluice_status add_row(const struct mssink_changes *lane, size_t index,
                             struct sluice_apply_field *after, struct sluice_apply_field *before,
                             struct mssink_text *out, struct sluice_error *err)
{
    const struct sluice_apply_log *log = &lane->log;
    const struct sluice_apply_change *c = &log->changes[index];
    const struct mssink_stream *stream = stream_of(log, c->table);
    const struct mssink_table *t = stream->table;
    const int32_t duplicates = stream->write.write.duplicates;
    const int kind = sluice_apply_kind_of(&stream->apply, c);
    const struct sluice_apply_field *now = c->after != SLUICE_APPLY_NONE ? after : NULL;
    const struct sluice_apply_field *old = c->before != SLUICE_APPLY_NONE ? before : NULL;
    if (now != NULL) {
        sluice_apply_tuple(log, c->after, t->column_count, after);
    }
    if (old != NULL) {
        sluice_apply_tuple(log, c->before, t->column_count, before);
    }
    if (kind == SLUICE_APPLY_CHANGE && !c->partial && t->key_count > 0) {
        /* A whole row: it is put, also where the target lacks it; its old key is removed first. */
        if (c->key_change) {
            mssink_statement_change(t, SLUICE_APPLY_REMOVE, duplicates, NULL, old, index, out);
        }
        mssink_statement_change(t, SLUICE_APPLY_PUT, duplicates, now, NULL, index, out);
        return SLUICE_OK;
    }
    if (c->key_change && has_identity_key(t)) {
        char name[480];
        sluice_apply_change_name(log, c, name, sizeof name);
        return sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_ROW_LEVEL,
                                "%s: the key is an IDENTITY, which no update can set, and not all "
                                "columns of the row were sent (hint: a key without IDENTITY, or "
                                "REPLICA IDENTITY FULL at the source)",
                                name);
    }
    mssink_statement_change(t, kind, duplicates, now, old, index, out);
    return SLUICE_OK;
}

static uint32_t widest(const struct sluice_apply_log *log)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < log->table_count; i++) {
        most = log->tables[i]->column_count > most ? log->tables[i]->column_count : most;
    }
    return most;
}

sluice_status mssink_ordered_explain(const struct mssink_changes *lane, struct sluice_error *err)
{
    const char *at =
        err->native_code == MSSINK_THROW_MISSING || err->native_code == MSSINK_THROW_MANY
            ? strstr(err->message, "sluice ")
            : NULL;
    const size_t index = at != NULL ? strtoull(at + 7, NULL, 10) : lane->log.count;
    char name[480];
    if (index >= lane->log.count) {
        return err->status;
    }
    const int many = err->native_code == MSSINK_THROW_MANY;
    sluice_apply_change_name(&lane->log, &lane->log.changes[index], name, sizeof name);
    return sluice_error_set(
        err, SLUICE_E_DATA, 0, "%s: %s", name,
        many ? "several equal rows are there, and write.duplicates is fail"
             : "the target lacks the row, and not all of its columns were sent (unchanged large "
               "values): it cannot be made (hint: load the table anew: sluice state resync)");
}

sluice_status mssink_ordered_add(struct mssink_changes *lane, size_t from, size_t to,
                                 struct mssink_text *out, struct sluice_error *err)
{
    const uint32_t columns = widest(&lane->log);
    struct sluice_apply_field *fields = calloc(2u * columns, sizeof *fields);
    sluice_status status = fields != NULL ? SLUICE_OK : nomem(err);
    while (status >= 0 && from < to) {
        size_t taken = 1;
        const uint8_t op = lane->log.changes[from].op;
        if (op == 'T') {
            status = add_truncates(lane, from, to, &taken, out, err);
        }
        else if (op != 0 && op != 'X') {
            status = add_row(lane, from, fields, fields + columns, out, err);
        }
        from += taken;
        if (status >= 0 && out->size > BATCH_BYTES) {
            struct mssink_text batch = *out;
            *out = (struct mssink_text){0};
            status = mssink_run(lane->conn, "write changes", &batch, err);
        }
    }
    free(fields);
    return status;
}
