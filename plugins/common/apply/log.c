/* The log: its memory, how it is read, its order. */
#include "apply/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/position.h"

enum { ARENA_KEEP = 32 * 1024 * 1024 };

/* ---- memory ---- */

int sluice_apply_grow(void **data, size_t *cap, size_t need, size_t size)
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

void sluice_apply_log_clear(struct sluice_apply_log *log)
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

void sluice_apply_log_free(struct sluice_apply_log *log)
{
    free(log->arena);
    free(log->changes);
    free(log->txs);
    free((void *)log->tables);
    *log = (struct sluice_apply_log){0};
}

/* ---- reading ---- */

int sluice_apply_is_keyed(const struct sluice_apply_table *table)
{
    const int32_t mode = table->write->mode;
    return table->key_count > 0 && mode != SLUICE_WRITE_APPEND && mode != SLUICE_WRITE_HISTORY;
}

void sluice_apply_tuple(const struct sluice_apply_log *log, uint64_t tuple, uint32_t columns,
                        struct sluice_apply_field *out)
{
    const uint8_t *p = log->arena + tuple;
    for (uint32_t i = 0; i < columns; i++) {
        memcpy(&out[i].size, p, 4);
        p += 4;
        out[i].data = p;
        p += out[i].size > 0 ? out[i].size : 0;
    }
}

struct sluice_apply_field sluice_apply_field_of(const struct sluice_apply_log *log, uint64_t tuple,
                                                uint32_t column)
{
    struct sluice_apply_field out = {0};
    const uint8_t *p = log->arena + tuple;
    for (uint32_t i = 0; i <= column; i++) {
        memcpy(&out.size, p, 4);
        p += 4;
        out.data = p;
        p += out.size > 0 ? out.size : 0;
    }
    return out;
}

struct sluice_bytes sluice_apply_change_pos(const struct sluice_apply_log *log,
                                            const struct sluice_apply_change *change)
{
    const struct sluice_apply_tx *tx = &log->txs[change->tx];
    struct sluice_bytes b = {log->arena + tx->pos, tx->pos_size};
    return b;
}

int sluice_apply_is_last_of_tx(const struct sluice_apply_log *log, size_t index)
{
    return index + 1 == log->count ||
           sluice_position_compare(sluice_apply_change_pos(log, &log->changes[index]),
                                   sluice_apply_change_pos(log, &log->changes[index + 1])) != 0;
}

int sluice_apply_kind_of(const struct sluice_apply_table *table,
                         const struct sluice_apply_change *change)
{
    if (change->op == 'D') {
        return SLUICE_APPLY_REMOVE;
    }
    if (change->op == 'I') {
        return sluice_apply_is_keyed(table) ? SLUICE_APPLY_PUT : SLUICE_APPLY_ADD;
    }
    if (table->write->mode == SLUICE_WRITE_UPDATE ||
        (change->partial && (table->desc->flags & SLUICE_STREAM_LOAD_INEXACT) != 0)) {
        return SLUICE_APPLY_TRY;
    }
    /* A soft delete of a row that is not there deletes nothing. */
    return change->source_op == 'D' ? SLUICE_APPLY_TRY : SLUICE_APPLY_CHANGE;
}

void sluice_apply_tuple_json(const struct sluice_apply_log *log,
                             const struct sluice_apply_table *table, uint64_t tuple, int keys_only,
                             struct sluice_apply_buffer *out)
{
    int first = 1;
    sluice_apply_buffer_text(out, "{");
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct sluice_apply_column *c = &table->columns[i];
        const struct sluice_apply_field f = sluice_apply_field_of(log, tuple, i);
        if (f.size == SLUICE_APPLY_UNSENT || (keys_only && !c->key)) {
            continue;
        }
        sluice_apply_buffer_text(out, first ? "" : ",");
        first = 0;
        sluice_apply_buffer_json(out, c->name, strlen(c->name));
        sluice_apply_buffer_text(out, ":");
        table->dialect->json(table, i, &f, out);
    }
    sluice_apply_buffer_text(out, "}");
}

void sluice_apply_change_name(const struct sluice_apply_log *log,
                              const struct sluice_apply_change *change, char *out, size_t size)
{
    const struct sluice_apply_table *table = log->tables[change->table];
    const struct sluice_bytes pos = sluice_apply_change_pos(log, change);
    struct sluice_apply_buffer key = {0};
    char hex[80] = "";
    const uint64_t tuple = change->before != SLUICE_APPLY_NONE ? change->before : change->after;
    if (pos.size * 2 < sizeof hex) {
        sluice_hex_encode(pos.data, pos.size, hex);
        hex[pos.size * 2] = '\0';
    }
    if (change->op != 'X' && tuple != SLUICE_APPLY_NONE && table->key_count > 0) {
        sluice_apply_tuple_json(log, table, tuple, 1, &key);
    }
    sluice_apply_buffer_add(&key, "", 1);
    (void)snprintf(out, size, "%c of %.120s %.200s at position %s/%lld", change->source_op,
                   table->desc->name, key.failed ? "" : (const char *)key.data, hex,
                   (long long)change->seq);
    sluice_apply_buffer_free(&key);
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

int sluice_apply_in_order(const struct sluice_apply_log *log, const uint8_t *arena,
                          const struct sluice_apply_change *a, const struct sluice_apply_change *b)
{
    const struct sluice_apply_tx *x = &log->txs[a->tx];
    const struct sluice_apply_tx *y = &log->txs[b->tx];
    const struct place p = {arena + x->pos, x->pos_size, 0, a->seq};
    const struct place q = {arena + y->pos, y->pos_size, 1, b->seq};
    return by_place(&p, &q) < 0;
}

sluice_status sluice_apply_log_sort(struct sluice_apply_log *log, struct sluice_error *err)
{
    if (log->sorted || log->count < 2) {
        return SLUICE_OK;
    }
    struct place *places = malloc(log->count * sizeof *places);
    struct sluice_apply_change *sorted = malloc(log->count * sizeof *sorted);
    if (places == NULL || sorted == NULL) {
        free(places);
        free(sorted);
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                "out of memory for changes");
    }
    for (size_t i = 0; i < log->count; i++) {
        const struct sluice_apply_change *c = &log->changes[i];
        const struct sluice_apply_tx *tx = &log->txs[c->tx];
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
