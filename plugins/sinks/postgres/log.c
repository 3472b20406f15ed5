/* The log: changes as tuples of encoded values, normalised by write mode. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changes.h"
#include "lake/times.h"
#include "sluice/array.h"
#include "sluice/change.h"
#include "sluice/position.h"

enum { ARENA_KEEP = 32 * 1024 * 1024 };

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for changes");
}

/* ---- memory ---- */

static int grow(void **data, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap) {
        return 1;
    }
    size_t n = *cap < 64 ? 64 : *cap * 2;
    n = n < need ? need : n;
    void *grown = realloc(*data, n * size);
    if (grown == NULL) {
        return 0;
    }
    *data = grown;
    *cap = n;
    return 1;
}

void sluice_pgsink_log_clear(struct sluice_pgsink_log *log)
{
    if (log->arena_cap > ARENA_KEEP) {
        free(log->arena);
        log->arena = NULL;
        log->arena_cap = 0;
    }
    log->arena_size = 0;
    log->count = 0;
    log->tx_count = 0;
    log->table_count = 0;
    log->sorted = 1;
}

void sluice_pgsink_log_free(struct sluice_pgsink_log *log)
{
    free(log->arena);
    free(log->changes);
    free(log->txs);
    free((void *)log->tables);
    *log = (struct sluice_pgsink_log){0};
}

/* ---- reading ---- */

void sluice_pgsink_tuple(const struct sluice_pgsink_log *log, uint64_t tuple, uint32_t columns,
                         struct sluice_pgsink_field *out)
{
    const uint8_t *p = log->arena + tuple;
    for (uint32_t i = 0; i < columns; i++) {
        memcpy(&out[i].size, p, 4);
        p += 4;
        out[i].data = p;
        p += out[i].size > 0 ? out[i].size : 0;
    }
}

struct sluice_bytes sluice_pgsink_change_pos(const struct sluice_pgsink_log *log,
                                             const struct sluice_pgsink_change *change)
{
    const struct sluice_pgsink_tx *tx = &log->txs[change->tx];
    struct sluice_bytes b = {log->arena + tx->pos, tx->pos_size};
    return b;
}

/* Of one column of a tuple. */
static struct sluice_pgsink_field field_of(const struct sluice_pgsink_log *log, uint64_t tuple,
                                           uint32_t column)
{
    struct sluice_pgsink_field out = {0};
    const uint8_t *p = log->arena + tuple;
    for (uint32_t i = 0; i <= column; i++) {
        memcpy(&out.size, p, 4);
        p += 4;
        out.data = p;
        p += out.size > 0 ? out.size : 0;
    }
    return out;
}

void sluice_pgsink_tuple_json(const struct sluice_pgsink_log *log,
                              const struct sluice_pgsink_table *table, uint64_t tuple,
                              int keys_only, struct sluice_pg_text *out)
{
    int first = 1;
    sluice_pg_text_add(out, "{");
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct sluice_pgsink_column *c = &table->columns[i];
        struct sluice_pgsink_field f = field_of(log, tuple, i);
        if (f.size == SLUICE_PGSINK_FIELD_UNSENT || (keys_only && !c->key)) {
            continue;
        }
        sluice_pg_text_add(out, first ? "" : ",");
        first = 0;
        sluice_pg_text_json_string(out, c->name);
        sluice_pg_text_add(out, ":");
        sluice_pg_field_json(c->oid, c->source >= 0 && c->encoder.binary, f.data, f.size, out);
    }
    sluice_pg_text_add(out, "}");
}

void sluice_pgsink_change_name(const struct sluice_pgsink_log *log,
                               const struct sluice_pgsink_change *change, char *out, size_t size)
{
    const struct sluice_pgsink_stream *stream = log->tables[change->table];
    struct sluice_bytes pos = sluice_pgsink_change_pos(log, change);
    struct sluice_pg_text key = {0};
    char hex[80] = "";
    uint64_t tuple = change->before != SLUICE_PGSINK_NONE ? change->before : change->after;
    if (pos.size * 2 < sizeof hex) {
        sluice_hex_encode(pos.data, pos.size, hex);
        hex[pos.size * 2] = '\0';
    }
    if (change->op != 'X' && tuple != SLUICE_PGSINK_NONE && stream->table->key_count > 0) {
        sluice_pgsink_tuple_json(log, stream->table, tuple, 1, &key);
    }
    (void)snprintf(out, size, "%c of %.120s %.200s at position %s/%lld", change->source_op,
                   stream->desc->name, key.data != NULL ? key.data : "", hex,
                   (long long)change->seq);
    sluice_pg_text_free(&key);
}

/* ---- order ---- */

struct place {
    const uint8_t *pos;
    uint32_t size;
    uint32_t index;
    int64_t seq;
};

static int by_place(const void *a, const void *b)
{
    const struct place *x = a;
    const struct place *y = b;
    uint32_t n = x->size < y->size ? x->size : y->size;
    int c = memcmp(x->pos, y->pos, n);
    if (c != 0) {
        return c;
    }
    if (x->size != y->size) {
        return x->size < y->size ? -1 : 1;
    }
    if (x->seq != y->seq) {
        return x->seq < y->seq ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index; /* as they came */
}

sluice_status sluice_pgsink_log_sort(struct sluice_pgsink_log *log, struct sluice_error *err)
{
    if (log->sorted || log->count < 2) {
        return SLUICE_OK;
    }
    struct place *places = malloc(log->count * sizeof *places);
    struct sluice_pgsink_change *sorted = malloc(log->count * sizeof *sorted);
    if (places == NULL || sorted == NULL) {
        free(places);
        free(sorted);
        return nomem(err);
    }
    for (size_t i = 0; i < log->count; i++) {
        const struct sluice_pgsink_change *c = &log->changes[i];
        const struct sluice_pgsink_tx *tx = &log->txs[c->tx];
        places[i] = (struct place){log->arena + tx->pos, tx->pos_size, (uint32_t)i, c->seq};
    }
    qsort(places, log->count, sizeof *places, by_place);
    for (size_t i = 0; i < log->count; i++) {
        sorted[i] = log->changes[places[i].index];
    }
    free(log->changes);
    free(places);
    log->changes = sorted;
    log->cap = log->count;
    log->sorted = 1;
    return SLUICE_OK;
}

/* ---- appending ---- */

struct appender {
    struct sluice_pgsink_lane *lane;
    struct sluice_pgsink_log *log;
    const struct sluice_pgsink_stream *stream;
    const struct sluice_pgsink_table *table;
    struct sluice_change_view view;
    struct sluice_pg_encoder *after; /* per column of the table; with the batch's views */
    struct sluice_pg_encoder *before;
    unsigned char *has_before;      /* the old row has the column */
    struct sluice_pg_buffer buffer; /* the arena, while a row is appended */
    uint32_t table_index;
    int64_t row;
    int64_t now_us;
};

static sluice_status table_index(struct appender *a, struct sluice_pgsink_stream *stream,
                                 struct sluice_error *err)
{
    struct sluice_pgsink_log *log = a->log;
    for (uint32_t i = 0; i < log->table_count; i++) {
        if (log->tables[i] == stream) {
            a->table_index = i;
            return SLUICE_OK;
        }
    }
    size_t cap = log->table_cap;
    if (!grow((void **)&log->tables, &cap, log->table_count + 1u, sizeof *log->tables)) {
        return nomem(err);
    }
    log->table_cap = (uint32_t)cap;
    a->table_index = log->table_count;
    log->tables[log->table_count++] = stream;
    return SLUICE_OK;
}

static sluice_status put_size(struct sluice_pg_buffer *out, int32_t size, struct sluice_error *err)
{
    uint8_t *p = sluice_pg_buffer_room(out, 4);
    if (p == NULL) {
        return nomem(err);
    }
    memcpy(p, &size, 4);
    out->size += 4;
    return SLUICE_OK;
}

static sluice_status put_bytes(struct sluice_pg_buffer *out, const void *data, size_t size,
                               struct sluice_error *err)
{
    SLUICE_TRY(put_size(out, (int32_t)size, err));
    uint8_t *p = sluice_pg_buffer_room(out, size + 1);
    if (p == NULL) {
        return nomem(err);
    }
    memcpy(p, data, size);
    out->size += size;
    return SLUICE_OK;
}

static sluice_status put_value(struct sluice_pg_buffer *out, const struct sluice_pg_encoder *e,
                               int64_t row, struct sluice_error *err)
{
    if (sluice_view_is_null(&e->view, row)) {
        return put_size(out, SLUICE_PGSINK_FIELD_NULL, err);
    }
    const size_t at = out->size;
    SLUICE_TRY(put_size(out, 0, err));
    SLUICE_TRY(e->encode(e, row, out, err));
    const size_t size = out->size - at - 4;
    if (size > INT32_MAX) {
        return sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_ROW_LEVEL,
                                "column %s: a value is larger than 2 GiB", e->name);
    }
    const int32_t n = (int32_t)size;
    memcpy(out->data + at, &n, 4);
    return SLUICE_OK;
}

/* The columns of a history's row that are NULL since the source did not send them, as text[]. */
static sluice_status put_unchanged(struct appender *a, char op, struct sluice_error *err)
{
    const struct sluice_pgsink_table *t = a->table;
    const int has_old =
        op == 'U' && a->view.before.array != NULL && !sluice_view_is_null(&a->view.before, a->row);
    struct sluice_pg_text names = {0};
    for (uint32_t i = 0; op == 'U' && i < t->column_count; i++) {
        const struct sluice_pgsink_column *c = &t->columns[i];
        if (c->source >= 0 && sluice_change_is_unchanged(&a->view, a->row, c->source) &&
            !(has_old && a->has_before[i])) {
            sluice_pg_text_add(&names, names.size > 0 ? "," : "{");
            sluice_pg_text_array_item(&names, c->name);
        }
    }
    if (names.size == 0) {
        sluice_pg_text_free(&names);
        return put_size(&a->buffer, SLUICE_PGSINK_FIELD_NULL, err);
    }
    sluice_pg_text_add(&names, "}");
    sluice_status status = sluice_pg_text_check(&names, err);
    if (status >= 0) {
        status = put_bytes(&a->buffer, names.data, names.size, err);
    }
    sluice_pg_text_free(&names);
    return status;
}

/* A column of ours, as text. */
static sluice_status put_ours(struct appender *a, const struct sluice_pgsink_column *c, char op,
                              int deleted, struct sluice_error *err)
{
    const struct sluice_change_view *v = &a->view;
    char text[96];
    struct sluice_bytes b = {text, 0};
    if (c->meta == SLUICE_META_UNCHANGED) {
        return put_unchanged(a, op, err);
    }
    if (c->soft) {
        text[0] = deleted ? 't' : 'f';
        b.size = 1;
    }
    else if (c->meta == SLUICE_META_OP) {
        text[0] = op;
        b.size = 1;
    }
    else if (c->meta == SLUICE_META_SEQ) {
        b.size = (uint64_t)snprintf(text, sizeof text, "%lld",
                                    (long long)sluice_view_i64(&v->tx_seq, a->row));
    }
    else if (c->meta == SLUICE_META_POSITION) {
        struct sluice_bytes pos = sluice_view_bytes(&v->commit_pos, a->row);
        if (pos.size * 2 <= sizeof text) {
            sluice_hex_encode(pos.data, pos.size, text);
            b.size = pos.size * 2;
        }
    }
    else if (c->meta == SLUICE_META_COMMIT_TS && !sluice_view_is_null(&v->commit_ts, a->row)) {
        b.size = (uint64_t)(sluice_lake_put_timestamp((uint8_t *)text,
                                                      sluice_view_i64(&v->commit_ts, a->row),
                                                      SLUICE_LAKE_UTC) -
                            (uint8_t *)text);
    }
    else if (c->meta == SLUICE_META_SYNCED_AT) {
        b.size = (uint64_t)(sluice_lake_put_timestamp((uint8_t *)text, a->now_us, SLUICE_LAKE_UTC) -
                            (uint8_t *)text);
    }
    else if (c->meta == SLUICE_META_TX && !sluice_view_is_null(&v->tx_id, a->row)) {
        b = sluice_view_bytes(&v->tx_id, a->row);
    }
    else {
        return put_size(&a->buffer, SLUICE_PGSINK_FIELD_NULL, err);
    }
    return put_bytes(&a->buffer, b.data, b.size, err);
}

/* The row as it is now. What was not sent is taken from the old row where that has it. */
static sluice_status put_after(struct appender *a, char op, int *partial, struct sluice_error *err)
{
    const struct sluice_pgsink_table *t = a->table;
    const int history = a->stream->write.write.mode == SLUICE_WRITE_HISTORY;
    const int has_old =
        op == 'U' && a->view.before.array != NULL && !sluice_view_is_null(&a->view.before, a->row);
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct sluice_pgsink_column *c = &t->columns[i];
        if (c->source < 0) {
            SLUICE_TRY(put_ours(a, c, op, 0, err));
        }
        else if (!sluice_change_is_unchanged(&a->view, a->row, c->source)) {
            SLUICE_TRY(put_value(&a->buffer, &a->after[i], a->row, err));
        }
        else if (has_old && a->has_before[i]) {
            SLUICE_TRY(put_value(&a->buffer, &a->before[i], a->row, err));
        }
        else {
            *partial |= !history;
            SLUICE_TRY(put_size(
                &a->buffer, history ? SLUICE_PGSINK_FIELD_NULL : SLUICE_PGSINK_FIELD_UNSENT, err));
        }
    }
    return SLUICE_OK;
}

/* The old row, or its key. `ours`: columns of ours are filled (soft deletes, history), else not sent. */
static sluice_status put_before(struct appender *a, int ours, int all, struct sluice_error *err)
{
    const struct sluice_pgsink_table *t = a->table;
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct sluice_pgsink_column *c = &t->columns[i];
        if (c->source < 0 && ours) {
            SLUICE_TRY(put_ours(a, c, 'D', 1, err));
        }
        else if (c->source >= 0 && a->has_before[i] && (all || c->key)) {
            SLUICE_TRY(put_value(&a->buffer, &a->before[i], a->row, err));
        }
        else {
            SLUICE_TRY(put_size(&a->buffer, SLUICE_PGSINK_FIELD_UNSENT, err));
        }
    }
    return SLUICE_OK;
}

/* History has no values for what an old key does not have. */
static void unsent_to_null(struct sluice_pg_buffer *arena, uint64_t tuple, uint32_t columns)
{
    uint8_t *p = arena->data + tuple;
    for (uint32_t i = 0; i < columns; i++) {
        int32_t size = 0;
        memcpy(&size, p, 4);
        if (size == SLUICE_PGSINK_FIELD_UNSENT) {
            const int32_t null = SLUICE_PGSINK_FIELD_NULL;
            memcpy(p, &null, 4);
        }
        p += 4 + (size > 0 ? size : 0);
    }
}

static int same_key(const struct appender *a, uint64_t x, uint64_t y)
{
    for (uint32_t k = 0; k < a->table->key_count; k++) {
        struct sluice_pgsink_field f = field_of(a->log, x, a->table->keys[k]);
        struct sluice_pgsink_field g = field_of(a->log, y, a->table->keys[k]);
        if (g.size == SLUICE_PGSINK_FIELD_UNSENT) {
            continue; /* not sent: the same */
        }
        if (f.size != g.size || (f.size > 0 && memcmp(f.data, g.data, (size_t)f.size) != 0)) {
            return 0;
        }
    }
    return 1;
}

/* The log's arena is the buffer while rows are appended. */
static void arena_take(struct appender *a)
{
    a->buffer = (struct sluice_pg_buffer){a->log->arena, a->log->arena_size, a->log->arena_cap, 0};
}

static void arena_give(struct appender *a)
{
    a->log->arena = a->buffer.data;
    a->log->arena_size = a->buffer.size;
    a->log->arena_cap = a->buffer.cap;
}

static sluice_status refuse_op(const struct appender *a, const char *what, struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_DATA, 0,
                            "stream %s: %s came, and write.mode: append only adds rows (hint: "
                            "write.mode: upsert with a key, or history)",
                            a->stream->desc->name, what);
}

static sluice_status add_insert(struct appender *a, char op, struct sluice_pgsink_change *c,
                                struct sluice_error *err)
{
    int partial = 0;
    c->op = a->stream->write.write.mode == SLUICE_WRITE_UPDATE ? 'U' : 'I';
    c->after = a->buffer.size;
    SLUICE_TRY(put_after(a, op, &partial, err));
    c->partial = (uint8_t)partial;
    return SLUICE_OK;
}

static sluice_status add_update(struct appender *a, struct sluice_pgsink_change *c,
                                struct sluice_error *err)
{
    const struct sluice_write *w = &a->stream->write.write;
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
    if (a->view.before.array == NULL || sluice_view_is_null(&a->view.before, a->row)) {
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
            c->before = SLUICE_PGSINK_NONE;
        }
    }
    return SLUICE_OK;
}

static sluice_status add_delete(struct appender *a, struct sluice_pgsink_change *c,
                                struct sluice_error *err)
{
    const struct sluice_write *w = &a->stream->write.write;
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

static sluice_status note_tx(struct appender *a, struct sluice_pgsink_change *c,
                             struct sluice_error *err)
{
    struct sluice_pgsink_log *log = a->log;
    struct sluice_bytes pos = sluice_view_bytes(&a->view.commit_pos, a->row);
    if (log->tx_count > 0) {
        const struct sluice_pgsink_tx *last = &log->txs[log->tx_count - 1];
        if (last->pos_size == pos.size &&
            memcmp(a->buffer.data + last->pos, pos.data, pos.size) == 0) {
            c->tx = (uint32_t)log->tx_count - 1;
            return SLUICE_OK;
        }
    }
    if (!grow((void **)&log->txs, &log->tx_cap, log->tx_count + 1, sizeof *log->txs)) {
        return nomem(err);
    }
    uint8_t *p = sluice_pg_buffer_room(&a->buffer, pos.size + 1);
    if (p == NULL) {
        return nomem(err);
    }
    memcpy(p, pos.data, pos.size);
    log->txs[log->tx_count] =
        (struct sluice_pgsink_tx){.pos = a->buffer.size, .pos_size = (uint32_t)pos.size};
    a->buffer.size += pos.size;
    c->tx = (uint32_t)log->tx_count++;
    return SLUICE_OK;
}

/* A row that cannot be encoded: kept as a text, for a letter. */
static sluice_status add_refused(struct appender *a, struct sluice_pgsink_change *c, size_t at,
                                 struct sluice_error *err)
{
    struct sluice_pg_text json = {0};
    struct sluice_pg_buffer value = {0};
    char why[1000];
    const int old = c->source_op == 'D';
    int first = 1;
    a->buffer.size = at;
    (void)snprintf(why, sizeof why, "%-5s %s", err->sqlstate, err->message);
    sluice_pg_text_add(&json, "{");
    for (uint32_t i = 0; i < a->table->column_count; i++) {
        const struct sluice_pgsink_column *column = &a->table->columns[i];
        const struct sluice_pg_encoder *e = old ? &a->before[i] : &a->after[i];
        struct sluice_error ignored = SLUICE_ERROR_INIT;
        if (column->source < 0 || (old && !a->has_before[i]) ||
            (!old && sluice_change_is_unchanged(&a->view, a->row, column->source))) {
            continue;
        }
        sluice_pg_text_add(&json, first ? "" : ",");
        first = 0;
        sluice_pg_text_json_string(&json, column->name);
        sluice_pg_text_add(&json, ":");
        value.size = 0;
        if (sluice_view_is_null(&e->view, a->row)) {
            sluice_pg_field_json(column->oid, 0, NULL, -1, &json);
        }
        else if (e->encode(e, a->row, &value, &ignored) >= 0) {
            sluice_pg_field_json(column->oid, e->binary, value.data, (int32_t)value.size, &json);
        }
        else {
            struct sluice_bytes raw = {NULL, 0};
            if (e->view.offsets != NULL) {
                raw = sluice_view_bytes(&e->view, a->row);
            }
            sluice_pg_field_json(25, 0, raw.data, (int32_t)raw.size, &json);
        }
    }
    sluice_pg_text_add(&json, "}");
    sluice_pg_buffer_free(&value);
    sluice_error_clear(err);
    c->op = 'X';
    c->after = a->buffer.size;
    sluice_status status =
        json.failed ? nomem(err) : put_bytes(&a->buffer, json.data, json.size + 1, err);
    c->before = a->buffer.size;
    if (status >= 0) {
        status = put_bytes(&a->buffer, why, strlen(why) + 1, err);
    }
    sluice_pg_text_free(&json);
    return status;
}

static sluice_status append_row(struct appender *a, struct sluice_error *err)
{
    struct sluice_pgsink_log *log = a->log;
    const char op = (char)sluice_change_op(&a->view, a->row);
    struct sluice_pgsink_change c = {.table = a->table_index,
                                     .seq = sluice_view_i64(&a->view.tx_seq, a->row),
                                     .after = SLUICE_PGSINK_NONE,
                                     .before = SLUICE_PGSINK_NONE,
                                     .source_op = (uint8_t)op};
    SLUICE_TRY(note_tx(a, &c, err));
    const size_t at = a->buffer.size;
    sluice_status status = op == 'D'   ? add_delete(a, &c, err)
                           : op == 'U' ? add_update(a, &c, err)
                                       : add_insert(a, op, &c, err);
    if (status < 0 && (err->flags & SLUICE_ERROR_ROW_LEVEL) != 0 &&
        a->lane->sink->on_row_error != SLUICE_ROWS_STOP) {
        status = add_refused(a, &c, at, err);
    }
    if (status < 0 || c.op == 0) {
        return status;
    }
    if (!grow((void **)&log->changes, &log->cap, log->count + 1, sizeof *log->changes)) {
        return nomem(err);
    }
    if (log->count > 0 && log->sorted) { /* is it still in order? */
        const struct sluice_pgsink_change *last = &log->changes[log->count - 1];
        const struct sluice_pgsink_tx *x = &log->txs[last->tx];
        const struct sluice_pgsink_tx *y = &log->txs[c.tx];
        struct place p = {a->buffer.data + x->pos, x->pos_size, 0, last->seq};
        struct place q = {a->buffer.data + y->pos, y->pos_size, 1, c.seq};
        log->sorted = by_place(&p, &q) < 0;
    }
    log->changes[log->count++] = c;
    return SLUICE_OK;
}

/* Copies the encoders and gives them the views of this batch. */
static sluice_status set_views(struct appender *a, struct sluice_error *err)
{
    const struct sluice_pgsink_table *t = a->table;
    const struct sluice_stream_desc *d = a->stream->desc;
    a->after = calloc(2u * t->column_count + 1u, sizeof *a->after);
    a->has_before = calloc(t->column_count + 1u, 1);
    if (a->after == NULL || a->has_before == NULL) {
        return nomem(err);
    }
    a->before = a->after + t->column_count;
    for (uint32_t i = 0; i < t->column_count; i++) {
        const int32_t source = t->columns[i].source;
        if (source < 0) {
            continue;
        }
        a->after[i] = t->columns[i].encoder;
        a->after[i].view = a->view.columns[source];
        a->before[i] = t->columns[i].encoder;
        if (d->before == SLUICE_BEFORE_FULL && source < a->view.old_count) {
            a->before[i].view = a->view.old[source];
            a->has_before[i] = 1;
        }
        for (uint32_t k = 0; d->before == SLUICE_BEFORE_KEY && k < d->key_count; k++) {
            if (d->keys[k] == (uint32_t)source && (int64_t)k < a->view.old_count) {
                a->before[i].view = a->view.old[k];
                a->has_before[i] = 1;
            }
        }
    }
    return SLUICE_OK;
}

static int is_applied(const struct sluice_pgsink_claim *claim, struct sluice_bytes pos)
{
    struct sluice_bytes applied = {claim->applied, claim->applied_size};
    return claim->applied != NULL && sluice_position_compare(pos, applied) <= 0;
}

/* A TRUNCATE batch: one row of the first five fields of the envelope. */
static sluice_status append_truncate(struct appender *a, const struct sluice_batch *batch,
                                     struct sluice_error *err)
{
    struct sluice_pgsink_log *log = a->log;
    struct ArrowArray *const *fields = batch->array.children;
    const int32_t *offsets = (const int32_t *)fields[1]->buffers[1] + fields[1]->offset;
    const uint8_t *bytes = fields[1]->buffers[2];
    struct sluice_bytes pos = {bytes + offsets[0], (uint64_t)(offsets[1] - offsets[0])};
    const int64_t *seq = (const int64_t *)fields[2]->buffers[1] + fields[2]->offset;
    if (is_applied(&a->lane->claim, pos)) {
        return SLUICE_OK;
    }
    if (!grow((void **)&log->txs, &log->tx_cap, log->tx_count + 1, sizeof *log->txs) ||
        !grow((void **)&log->changes, &log->cap, log->count + 1, sizeof *log->changes)) {
        return nomem(err);
    }
    uint8_t *p = sluice_pg_buffer_room(&a->buffer, pos.size + 1);
    if (p == NULL) {
        return nomem(err);
    }
    memcpy(p, pos.data, pos.size);
    log->txs[log->tx_count] =
        (struct sluice_pgsink_tx){.pos = a->buffer.size, .pos_size = (uint32_t)pos.size};
    a->buffer.size += pos.size;
    log->changes[log->count++] = (struct sluice_pgsink_change){.table = a->table_index,
                                                               .tx = (uint32_t)log->tx_count++,
                                                               .seq = seq[0],
                                                               .after = SLUICE_PGSINK_NONE,
                                                               .before = SLUICE_PGSINK_NONE,
                                                               .op = 'T',
                                                               .source_op = 'T'};
    log->sorted = 0;
    return SLUICE_OK;
}

sluice_status sluice_pgsink_log_append(struct sluice_pgsink_lane *lane,
                                       struct sluice_pgsink_stream *stream,
                                       const struct sluice_batch *batch, struct sluice_error *err)
{
    struct appender a = {.lane = lane,
                         .log = &lane->log,
                         .stream = stream,
                         .table = stream->table,
                         .now_us =
                             lane->sink->host->now_us(lane->sink->host->ctx, SLUICE_CLOCK_WALL)};
    SLUICE_TRY(table_index(&a, stream, err));
    arena_take(&a);
    sluice_status status = SLUICE_OK;
    if (batch->kind == SLUICE_BATCH_TRUNCATE) {
        status = append_truncate(&a, batch, err);
        arena_give(&a);
        return status;
    }
    SLUICE_TRY(sluice_change_view_init(&a.view, stream->desc, batch, err));
    status = set_views(&a, err);
    for (a.row = 0; a.row < a.view.rows && status >= 0; a.row++) {
        if (!is_applied(&lane->claim, sluice_view_bytes(&a.view.commit_pos, a.row))) {
            status = append_row(&a, err);
        }
    }
    arena_give(&a);
    free(a.after);
    free(a.has_before);
    sluice_change_view_free(&a.view);
    if (status < 0) {
        sluice_pgsink_blame(lane, stream->desc->name);
    }
    return status;
}
