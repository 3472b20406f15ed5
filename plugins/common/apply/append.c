/* Batches into the log: values encoded by the dialect, changes normalised by the write mode. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/log.h"
#include "sluice/array.h"
#include "sluice/change.h"
#include "sluice/position.h"

struct appender {
    struct sluice_apply_log *log;
    const struct sluice_apply_table *table;
    const struct sluice_apply_taking *taking;
    struct sluice_change_view view;
    const struct sluice_view **after;  /* per column of the table; NULL for those of ours */
    const struct sluice_view **before; /* NULL: the old row does not have the column */
    uint8_t *encoders;                 /* of after, then of before */
    struct sluice_apply_buffer buffer; /* the arena, while rows are appended */
    uint32_t table_index;
    int64_t row;
};

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for changes");
}

static sluice_status find_table(struct appender *a, struct sluice_apply_table *table,
                                struct sluice_error *err)
{
    struct sluice_apply_log *log = a->log;
    for (uint32_t i = 0; i < log->table_count; i++) {
        if (log->tables[i] == table) {
            a->table_index = i;
            return SLUICE_OK;
        }
    }
    size_t cap = log->table_cap;
    if (!sluice_apply_grow((void **)&log->tables, &cap, log->table_count + 1u,
                           sizeof *log->tables)) {
        return nomem(err);
    }
    log->table_cap = (uint32_t)cap;
    a->table_index = log->table_count;
    log->tables[log->table_count++] = table;
    return SLUICE_OK;
}

/* The log's arena is the buffer while rows are appended. */
static void arena_take(struct appender *a)
{
    a->buffer =
        (struct sluice_apply_buffer){a->log->arena, a->log->arena_size, a->log->arena_cap, 0};
}

static void arena_give(struct appender *a)
{
    a->log->arena = a->buffer.data;
    a->log->arena_size = a->buffer.size;
    a->log->arena_cap = a->buffer.cap;
}

/* ---- fields ---- */

static sluice_status put_size(struct sluice_apply_buffer *out, int32_t size,
                              struct sluice_error *err)
{
    uint8_t *p = sluice_apply_buffer_room(out, 4);
    if (p == NULL) {
        return nomem(err);
    }
    memcpy(p, &size, 4);
    out->size += 4;
    return SLUICE_OK;
}

static sluice_status put_bytes(struct sluice_apply_buffer *out, const void *data, size_t size,
                               struct sluice_error *err)
{
    SLUICE_TRY(put_size(out, (int32_t)size, err));
    uint8_t *p = sluice_apply_buffer_room(out, size + 1);
    if (p == NULL) {
        return nomem(err);
    }
    memcpy(p, data, size);
    out->size += size;
    return SLUICE_OK;
}

/* The length of a field whose bytes stand behind `at`. */
static sluice_status end_field(const struct appender *a, uint32_t column, size_t at,
                               struct sluice_error *err)
{
    const size_t size = a->buffer.size - at - 4;
    if (size > INT32_MAX) {
        return sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_ROW_LEVEL,
                                "column %s: a value is larger than 2 GiB",
                                a->table->columns[column].name);
    }
    const int32_t n = (int32_t)size;
    memcpy(a->buffer.data + at, &n, 4);
    return SLUICE_OK;
}

static const void *encoder_of(const struct appender *a, uint32_t column, int old)
{
    const size_t index = column + (old ? a->table->column_count : 0u);
    return a->encoders + index * a->table->dialect->encoder_size;
}

static sluice_status put_value(struct appender *a, uint32_t column, int old,
                               struct sluice_error *err)
{
    const struct sluice_view *view = old ? a->before[column] : a->after[column];
    if (sluice_view_is_null(view, a->row)) {
        return put_size(&a->buffer, SLUICE_APPLY_NULL, err);
    }
    const size_t at = a->buffer.size;
    SLUICE_TRY(put_size(&a->buffer, 0, err));
    SLUICE_TRY(a->table->dialect->encode(encoder_of(a, column, old), a->row, &a->buffer, err));
    return end_field(a, column, at, err);
}

/* ---- columns of ours ---- */

static int has_old(const struct appender *a, char op)
{
    return op == 'U' && a->view.before.array != NULL &&
           !sluice_view_is_null(&a->view.before, a->row);
}

/* Whether the old row has a value of what was not sent. NULL is none: some sources leave out of the old row what they
 * leave out of the new one (SQL Server's change tables), and if it really was NULL, the target's is. */
static int old_stands_in(const struct appender *a, uint32_t column, char op)
{
    return has_old(a, op) && a->before[column] != NULL &&
           !sluice_view_is_null(a->before[column], a->row);
}

static sluice_status put_meta(struct appender *a, uint32_t column,
                              const struct sluice_apply_meta *value, struct sluice_error *err)
{
    const size_t at = a->buffer.size;
    SLUICE_TRY(put_size(&a->buffer, 0, err));
    SLUICE_TRY(a->table->dialect->meta(a->table, column, value, &a->buffer, err));
    return end_field(a, column, at, err);
}

/* The columns of a history's row that are NULL since the source did not send them. */
static sluice_status put_unchanged(struct appender *a, uint32_t column, char op,
                                   struct sluice_error *err)
{
    const struct sluice_apply_table *t = a->table;
    struct sluice_apply_meta value = {.kind = SLUICE_APPLY_META_NAMES};
    const char **names = malloc((t->column_count + 1u) * sizeof *names);
    if (names == NULL) {
        return nomem(err);
    }
    for (uint32_t i = 0; op == 'U' && i < t->column_count; i++) {
        const struct sluice_apply_column *c = &t->columns[i];
        if (c->source >= 0 && sluice_change_is_unchanged(&a->view, a->row, c->source) &&
            !old_stands_in(a, i, op)) {
            names[value.name_count++] = c->name;
        }
    }
    value.names = names;
    sluice_status status = value.name_count > 0 ? put_meta(a, column, &value, err)
                                                : put_size(&a->buffer, SLUICE_APPLY_NULL, err);
    free((void *)names);
    return status;
}

static sluice_status put_ours(struct appender *a, uint32_t column, char op, int deleted,
                              struct sluice_error *err)
{
    const struct sluice_apply_column *c = &a->table->columns[column];
    const struct sluice_change_view *v = &a->view;
    struct sluice_apply_meta value = {.kind = SLUICE_APPLY_META_TEXT};
    char text[96];
    if (c->meta == SLUICE_META_UNCHANGED) {
        return put_unchanged(a, column, op, err);
    }
    if (c->soft) {
        value.kind = SLUICE_APPLY_META_BOOL;
        value.number = deleted;
    }
    else if (c->meta == SLUICE_META_OP) {
        text[0] = op;
        value.text = (struct sluice_bytes){text, 1};
    }
    else if (c->meta == SLUICE_META_SEQ) {
        value.kind = SLUICE_APPLY_META_NUMBER;
        value.number = sluice_view_i64(&v->tx_seq, a->row);
    }
    else if (c->meta == SLUICE_META_POSITION) {
        const struct sluice_bytes pos = sluice_view_bytes(&v->commit_pos, a->row);
        value.text = (struct sluice_bytes){text, 0};
        if (pos.size * 2 <= sizeof text) {
            sluice_hex_encode(pos.data, pos.size, text);
            value.text.size = pos.size * 2;
        }
    }
    else if (c->meta == SLUICE_META_COMMIT_TS && !sluice_view_is_null(&v->commit_ts, a->row)) {
        value.kind = SLUICE_APPLY_META_TIME;
        value.number = sluice_view_i64(&v->commit_ts, a->row);
    }
    else if (c->meta == SLUICE_META_SYNCED_AT) {
        value.kind = SLUICE_APPLY_META_TIME;
        value.number = a->taking->now_us;
    }
    else if (c->meta == SLUICE_META_TX && !sluice_view_is_null(&v->tx_id, a->row)) {
        value.text = sluice_view_bytes(&v->tx_id, a->row);
    }
    else {
        return put_size(&a->buffer, SLUICE_APPLY_NULL, err);
    }
    return put_meta(a, column, &value, err);
}

/* ---- tuples ---- */

/* The row as it is now. What was not sent is taken from the old row where that has it. */
static sluice_status put_after(struct appender *a, char op, int *partial, struct sluice_error *err)
{
    const struct sluice_apply_table *t = a->table;
    const int history = t->write->mode == SLUICE_WRITE_HISTORY;
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct sluice_apply_column *c = &t->columns[i];
        if (c->source < 0) {
            SLUICE_TRY(put_ours(a, i, op, 0, err));
        }
        else if (!sluice_change_is_unchanged(&a->view, a->row, c->source)) {
            SLUICE_TRY(put_value(a, i, 0, err));
        }
        else if (old_stands_in(a, i, op)) {
            SLUICE_TRY(put_value(a, i, 1, err));
        }
        else {
            *partial |= !history;
            SLUICE_TRY(
                put_size(&a->buffer, history ? SLUICE_APPLY_NULL : SLUICE_APPLY_UNSENT, err));
        }
    }
    return SLUICE_OK;
}

/* The old row, or its key. `ours`: columns of ours are filled (soft deletes, history), else not sent. */
static sluice_status put_before(struct appender *a, int ours, int all, struct sluice_error *err)
{
    const struct sluice_apply_table *t = a->table;
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct sluice_apply_column *c = &t->columns[i];
        if (c->source < 0 && ours) {
            SLUICE_TRY(put_ours(a, i, 'D', 1, err));
        }
        else if (c->source >= 0 && a->before[i] != NULL && (all || c->key)) {
            SLUICE_TRY(put_value(a, i, 1, err));
        }
        else {
            SLUICE_TRY(put_size(&a->buffer, SLUICE_APPLY_UNSENT, err));
        }
    }
    return SLUICE_OK;
}

/* History has no values for what an old key does not have. */
static void unsent_to_null(struct sluice_apply_buffer *arena, uint64_t tuple, uint32_t columns)
{
    uint8_t *p = arena->data + tuple;
    for (uint32_t i = 0; i < columns; i++) {
        int32_t size = 0;
        memcpy(&size, p, 4);
        if (size == SLUICE_APPLY_UNSENT) {
            const int32_t null = SLUICE_APPLY_NULL;
            memcpy(p, &null, 4);
        }
        p += 4 + (size > 0 ? size : 0);
    }
}

static int same_key(const struct appender *a, uint64_t x, uint64_t y)
{
    for (uint32_t k = 0; k < a->table->key_count; k++) {
        const struct sluice_apply_field f = sluice_apply_field_of(a->log, x, a->table->keys[k]);
        const struct sluice_apply_field g = sluice_apply_field_of(a->log, y, a->table->keys[k]);
        if (g.size == SLUICE_APPLY_UNSENT) {
            continue; /* not sent: the same */
        }
        if (f.size != g.size || (f.size > 0 && memcmp(f.data, g.data, (size_t)f.size) != 0)) {
            return 0;
        }
    }
    return 1;
}

/* ---- changes ---- */

static sluice_status refuse_op(const struct appender *a, const char *what, struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_DATA, 0,
                            "stream %s: %s came, and write.mode: append only adds rows (hint: "
                            "write.mode: upsert with a key, or history)",
                            a->table->desc->name, what);
}

static sluice_status add_insert(struct appender *a, char op, struct sluice_apply_change *c,
                                struct sluice_error *err)
{
    int partial = 0;
    c->op = a->table->write->mode == SLUICE_WRITE_UPDATE ? 'U' : 'I';
    c->after = a->buffer.size;
    SLUICE_TRY(put_after(a, op, &partial, err));
    c->partial = (uint8_t)partial;
    return SLUICE_OK;
}

static sluice_status add_update(struct appender *a, struct sluice_apply_change *c,
                                struct sluice_error *err)
{
    const struct sluice_write *w = a->table->write;
    int partial = 0;
    if (w->mode == SLUICE_WRITE_APPEND) {
        return refuse_op(a, "an update", err);
    }
    if (w->mode == SLUICE_WRITE_HISTORY) {
        return add_insert(a, 'U', c, err);
    }
    c->op = 'U';
    c->after = a->buffer.size;
    SLUICE_TRY(put_after(a, 'U', &partial, err));
    c->partial = (uint8_t)partial;
    if (!has_old(a, 'U')) {
        return SLUICE_OK;
    }
    const size_t at = a->buffer.size;
    SLUICE_TRY(put_before(a, 0, a->table->key_count == 0, err));
    c->before = at;
    if (a->table->key_count > 0) {
        arena_give(a);
        c->key_change = !same_key(a, c->after, c->before);
        if (!c->key_change) {
            a->buffer.size = at;
            c->before = SLUICE_APPLY_NONE;
        }
    }
    return SLUICE_OK;
}

static sluice_status add_delete(struct appender *a, struct sluice_apply_change *c,
                                struct sluice_error *err)
{
    const struct sluice_write *w = a->table->write;
    if (w->mode == SLUICE_WRITE_APPEND) {
        return refuse_op(a, "a delete", err);
    }
    if (w->mode == SLUICE_WRITE_HISTORY) {
        c->op = 'I';
        c->after = a->buffer.size;
        SLUICE_TRY(put_before(a, 1, 1, err));
        unsent_to_null(&a->buffer, c->after, a->table->column_count);
        return SLUICE_OK;
    }
    if (w->deletes == SLUICE_DELETES_IGNORE) {
        c->op = 0;
        return SLUICE_OK;
    }
    if (w->deletes == SLUICE_DELETES_SOFT) {
        c->op = 'U';
        c->partial = 1;
        c->after = a->buffer.size;
        SLUICE_TRY(put_before(a, 1, 0, err));
        if (a->table->key_count == 0) { /* the whole old row finds it */
            c->before = a->buffer.size;
            return put_before(a, 0, 1, err);
        }
        return SLUICE_OK;
    }
    c->op = 'D';
    c->before = a->buffer.size;
    return put_before(a, 0, a->table->key_count == 0, err);
}

static sluice_status push_tx(struct appender *a, struct sluice_bytes pos, struct sluice_error *err)
{
    struct sluice_apply_log *log = a->log;
    if (!sluice_apply_grow((void **)&log->txs, &log->tx_cap, log->tx_count + 1, sizeof *log->txs)) {
        return nomem(err);
    }
    uint8_t *p = sluice_apply_buffer_room(&a->buffer, pos.size + 1);
    if (p == NULL) {
        return nomem(err);
    }
    memcpy(p, pos.data, pos.size);
    log->txs[log->tx_count++] =
        (struct sluice_apply_tx){.pos = a->buffer.size, .pos_size = (uint32_t)pos.size};
    a->buffer.size += pos.size;
    return SLUICE_OK;
}

static sluice_status note_tx(struct appender *a, struct sluice_apply_change *c,
                             struct sluice_error *err)
{
    const struct sluice_apply_log *log = a->log;
    const struct sluice_bytes pos = sluice_view_bytes(&a->view.commit_pos, a->row);
    const struct sluice_apply_tx *last = log->tx_count > 0 ? &log->txs[log->tx_count - 1] : NULL;
    if (last == NULL || last->pos_size != pos.size ||
        memcmp(a->buffer.data + last->pos, pos.data, pos.size) != 0) {
        SLUICE_TRY(push_tx(a, pos, err));
    }
    c->tx = (uint32_t)log->tx_count - 1;
    return SLUICE_OK;
}

/* A value for a letter; one that cannot be encoded as its text. */
static void refused_value(const struct appender *a, uint32_t column, int old,
                          struct sluice_apply_buffer *value, struct sluice_apply_buffer *json)
{
    const struct sluice_apply_dialect *d = a->table->dialect;
    const struct sluice_view *view = old ? a->before[column] : a->after[column];
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    struct sluice_apply_field field = {NULL, SLUICE_APPLY_NULL};
    value->size = 0;
    if (sluice_view_is_null(view, a->row)) {
        sluice_apply_buffer_text(json, "null");
    }
    else if (d->encode(encoder_of(a, column, old), a->row, value, &ignored) >= 0) {
        field = (struct sluice_apply_field){value->data, (int32_t)value->size};
        d->json(a->table, column, &field, json);
    }
    else {
        sluice_apply_buffer_view_json(json, view, a->row);
    }
}

/* A row that cannot be encoded: kept as a text, for a letter. */
static sluice_status add_refused(struct appender *a, struct sluice_apply_change *c, size_t at,
                                 struct sluice_error *err)
{
    struct sluice_apply_buffer json = {0};
    struct sluice_apply_buffer value = {0};
    char why[1000];
    const int old = c->source_op == 'D';
    int first = 1;
    a->buffer.size = at;
    (void)snprintf(why, sizeof why, "%-5s %s", err->sqlstate, err->message);
    sluice_apply_buffer_text(&json, "{");
    for (uint32_t i = 0; i < a->table->column_count; i++) {
        const struct sluice_apply_column *column = &a->table->columns[i];
        if (column->source < 0 || (old && a->before[i] == NULL) ||
            (!old && sluice_change_is_unchanged(&a->view, a->row, column->source))) {
            continue;
        }
        sluice_apply_buffer_text(&json, first ? "" : ",");
        first = 0;
        sluice_apply_buffer_json(&json, column->name, strlen(column->name));
        sluice_apply_buffer_text(&json, ":");
        refused_value(a, i, old, &value, &json);
    }
    sluice_apply_buffer_add(&json, "}", 2);
    sluice_apply_buffer_free(&value);
    sluice_error_clear(err);
    c->op = 'X';
    c->after = a->buffer.size;
    sluice_status status =
        json.failed ? nomem(err) : put_bytes(&a->buffer, json.data, json.size, err);
    c->before = a->buffer.size;
    if (status >= 0) {
        status = put_bytes(&a->buffer, why, strlen(why) + 1, err);
    }
    sluice_apply_buffer_free(&json);
    return status;
}

static sluice_status append_row(struct appender *a, struct sluice_error *err)
{
    struct sluice_apply_log *log = a->log;
    const char op = (char)sluice_change_op(&a->view, a->row);
    struct sluice_apply_change c = {.table = a->table_index,
                                    .seq = sluice_view_i64(&a->view.tx_seq, a->row),
                                    .after = SLUICE_APPLY_NONE,
                                    .before = SLUICE_APPLY_NONE,
                                    .source_op = (uint8_t)op};
    SLUICE_TRY(note_tx(a, &c, err));
    const size_t at = a->buffer.size;
    sluice_status status = op == 'D'   ? add_delete(a, &c, err)
                           : op == 'U' ? add_update(a, &c, err)
                                       : add_insert(a, op, &c, err);
    if (status < 0 && (err->flags & SLUICE_ERROR_ROW_LEVEL) != 0 && a->taking->keep_refused) {
        status = add_refused(a, &c, at, err);
    }
    if (status < 0 || c.op == 0) {
        return status;
    }
    if (!sluice_apply_grow((void **)&log->changes, &log->cap, log->count + 1,
                           sizeof *log->changes)) {
        return nomem(err);
    }
    if (log->count > 0 && log->sorted) { /* is it still in order? */
        log->sorted = sluice_apply_in_order(log, a->buffer.data, &log->changes[log->count - 1], &c);
    }
    log->changes[log->count++] = c;
    return SLUICE_OK;
}

/* ---- batches ---- */

/* Which view of the batch has the old value of a column of the stream. */
static const struct sluice_view *old_view(const struct appender *a, uint32_t source)
{
    const struct sluice_stream_desc *d = a->table->desc;
    if (d->before == SLUICE_BEFORE_FULL && (int64_t)source < a->view.old_count) {
        return &a->view.old[source];
    }
    for (uint32_t k = 0; d->before == SLUICE_BEFORE_KEY && k < d->key_count; k++) {
        if (d->keys[k] == source && (int64_t)k < a->view.old_count) {
            return &a->view.old[k];
        }
    }
    return NULL;
}

/* Encoders for the views of this batch. */
static sluice_status set_views(struct appender *a, struct sluice_error *err)
{
    const struct sluice_apply_table *t = a->table;
    const size_t n = 2u * t->column_count + 1u;
    a->after = calloc(n, sizeof *a->after);
    a->encoders = calloc(n, t->dialect->encoder_size);
    if (a->after == NULL || a->encoders == NULL) {
        return nomem(err);
    }
    a->before = a->after + t->column_count;
    for (uint32_t i = 0; i < t->column_count; i++) {
        const int32_t source = t->columns[i].source;
        if (source < 0) {
            continue;
        }
        a->after[i] = &a->view.columns[source];
        a->before[i] = old_view(a, (uint32_t)source);
        t->dialect->bind(t, i, a->after[i], a->encoders + i * t->dialect->encoder_size);
        if (a->before[i] != NULL) {
            t->dialect->bind(t, i, a->before[i],
                             a->encoders + (t->column_count + i) * t->dialect->encoder_size);
        }
    }
    return SLUICE_OK;
}

static int is_applied(const struct sluice_apply_taking *taking, struct sluice_bytes pos)
{
    return taking->applied.data != NULL && sluice_position_compare(pos, taking->applied) <= 0;
}

/* A TRUNCATE batch: one row of the first five fields of the envelope. */
static sluice_status append_truncate(struct appender *a, const struct sluice_batch *batch,
                                     struct sluice_error *err)
{
    struct sluice_apply_log *log = a->log;
    struct ArrowArray *const *fields = batch->array.children;
    const int32_t *offsets = (const int32_t *)fields[1]->buffers[1] + fields[1]->offset;
    const uint8_t *bytes = fields[1]->buffers[2];
    const struct sluice_bytes pos = {bytes + offsets[0], (uint64_t)(offsets[1] - offsets[0])};
    const int64_t *seq = (const int64_t *)fields[2]->buffers[1] + fields[2]->offset;
    if (is_applied(a->taking, pos)) {
        return SLUICE_OK;
    }
    if (!sluice_apply_grow((void **)&log->changes, &log->cap, log->count + 1,
                           sizeof *log->changes)) {
        return nomem(err);
    }
    SLUICE_TRY(push_tx(a, pos, err));
    log->changes[log->count++] = (struct sluice_apply_change){.table = a->table_index,
                                                              .tx = (uint32_t)log->tx_count - 1,
                                                              .seq = seq[0],
                                                              .after = SLUICE_APPLY_NONE,
                                                              .before = SLUICE_APPLY_NONE,
                                                              .op = 'T',
                                                              .source_op = 'T'};
    log->sorted = 0;
    return SLUICE_OK;
}

static sluice_status append_changes(struct appender *a, const struct sluice_batch *batch,
                                    struct sluice_error *err)
{
    SLUICE_TRY(sluice_change_view_init(&a->view, a->table->desc, batch, err));
    sluice_status status = set_views(a, err);
    for (a->row = 0; a->row < a->view.rows && status >= 0; a->row++) {
        if (!is_applied(a->taking, sluice_view_bytes(&a->view.commit_pos, a->row))) {
            status = append_row(a, err);
        }
    }
    free((void *)a->after);
    free(a->encoders);
    sluice_change_view_free(&a->view);
    return status;
}

sluice_status sluice_apply_log_append(struct sluice_apply_log *log,
                                      struct sluice_apply_table *table,
                                      const struct sluice_batch *batch,
                                      const struct sluice_apply_taking *taking,
                                      struct sluice_error *err)
{
    struct appender a = {.log = log, .table = table, .taking = taking};
    SLUICE_TRY(find_table(&a, table, err));
    arena_take(&a);
    const sluice_status status = batch->kind == SLUICE_BATCH_TRUNCATE
                                     ? append_truncate(&a, batch, err)
                                     : append_changes(&a, batch, err);
    arena_give(&a);
    return status;
}
