#include "apply/collapse.h"

#include <stdlib.h>
#include <string.h>

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                            "out of memory for collapsing changes");
}

void sluice_apply_collapsed_free(struct sluice_apply_collapsed *collapsed, uint32_t tables)
{
    for (uint32_t i = 0; collapsed != NULL && i < tables; i++) {
        for (uint32_t k = 0; k < collapsed[i].class_count; k++) {
            free(collapsed[i].classes[k]);
        }
        free((void *)collapsed[i].classes);
        free(collapsed[i].finals);
        free(collapsed[i].buckets);
    }
    free(collapsed);
}

/* ---- which tables may be collapsed ---- */

static int may_collapse(const struct sluice_apply_table *t)
{
    if (!sluice_apply_is_keyed(t)) {
        return 1; /* rows are added; anything else wants order, and is seen then */
    }
    for (uint32_t k = 0; k < t->key_count; k++) {
        if (!t->columns[t->keys[k]].one_form) {
            return 0;
        }
    }
    return t->key_unique;
}

/* ---- keys ---- */

/* Where each key column of a tuple is. */
static void key_fields(const struct sluice_apply_log *log, const struct sluice_apply_table *t,
                       uint64_t tuple, struct sluice_apply_field *out)
{
    const uint8_t *p = log->arena + tuple;
    uint32_t found = 0;
    for (uint32_t i = 0; i < t->column_count && found < t->key_count; i++) {
        struct sluice_apply_field f;
        memcpy(&f.size, p, 4);
        f.data = p + 4;
        for (uint32_t k = 0; k < t->key_count && t->columns[i].key; k++) {
            if (t->keys[k] == i) {
                out[k] = f;
                found++;
            }
        }
        p += 4 + (f.size > 0 ? f.size : 0);
    }
}

enum { KEYS_MAX = 64 };

/* Every bit of what comes in reaches every bit: keys are big-endian, so that they differ in high bits
 * of a word alone (the finalizer of MurmurHash3). */
static uint64_t mix(uint64_t h)
{
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 33);
}

static uint64_t hash_key(const struct sluice_apply_field *f, uint32_t count)
{
    uint64_t h = 0x9e3779b97f4a7c15u;
    for (uint32_t k = 0; k < count; k++) {
        const uint8_t *p = f[k].data;
        int32_t n = f[k].size;
        h ^= (uint32_t)n;
        for (; n > 0; n -= 8, p += 8) {
            uint64_t w = 0;
            memcpy(&w, p, n < 8 ? (size_t)n : 8);
            h = mix(h ^ w) + 0x9e3779b97f4a7c15u;
        }
    }
    return mix(h);
}

static int same_key(const struct sluice_apply_field *a, const struct sluice_apply_field *b,
                    uint32_t count)
{
    for (uint32_t k = 0; k < count; k++) {
        if (a[k].size != b[k].size ||
            (a[k].size > 0 && memcmp(a[k].data, b[k].data, (size_t)a[k].size) != 0)) {
            return 0;
        }
    }
    return 1;
}

static uint64_t prefix_of(const struct sluice_apply_field *f)
{
    uint64_t prefix = 0;
    for (int i = 0; i < 8; i++) {
        prefix = prefix << 8 | (i < f->size ? f->data[i] : 0u);
    }
    return prefix;
}

static int grow_finals(struct sluice_apply_collapsed *c)
{
    if (c->count < c->cap) {
        return 1;
    }
    const size_t cap = c->cap < 256 ? 256 : c->cap * 2;
    struct sluice_apply_final *grown = realloc(c->finals, cap * sizeof *grown);
    if (grown == NULL) {
        return 0;
    }
    c->finals = grown;
    c->cap = cap;
    return 1;
}

static int rehash(const struct sluice_apply_log *log, struct sluice_apply_collapsed *c)
{
    const size_t n = c->bucket_count < 512 ? 1024 : c->bucket_count * 2;
    uint32_t *buckets = calloc(n, sizeof *buckets);
    if (buckets == NULL) {
        return 0;
    }
    for (size_t i = 0; i < c->count; i++) {
        struct sluice_apply_field f[KEYS_MAX];
        key_fields(log, c->table, c->finals[i].tuple, f);
        size_t at = hash_key(f, c->table->key_count) & (n - 1);
        while (buckets[at] != 0) {
            at = (at + 1) & (n - 1);
        }
        buckets[at] = (uint32_t)i + 1;
    }
    free(c->buckets);
    c->buckets = buckets;
    c->bucket_count = n;
    return 1;
}

/* The entry of the key in `tuple`; made where there is none. NULL = out of memory. */
static struct sluice_apply_final *entry_of(const struct sluice_apply_log *log,
                                           struct sluice_apply_collapsed *c, uint64_t tuple)
{
    const struct sluice_apply_table *t = c->table;
    struct sluice_apply_field f[KEYS_MAX];
    struct sluice_apply_field g[KEYS_MAX];
    if (c->count * 2 >= c->bucket_count && !rehash(log, c)) {
        return NULL;
    }
    key_fields(log, t, tuple, f);
    const uint64_t prefix = prefix_of(&f[0]);
    size_t at = hash_key(f, t->key_count) & (c->bucket_count - 1);
    while (c->buckets[at] != 0) {
        struct sluice_apply_final *e = &c->finals[c->buckets[at] - 1];
        if (e->prefix == prefix) {
            key_fields(log, t, e->tuple, g);
            if (same_key(f, g, t->key_count)) {
                return e;
            }
        }
        at = (at + 1) & (c->bucket_count - 1);
    }
    if (!grow_finals(c)) {
        return NULL;
    }
    c->buckets[at] = (uint32_t)c->count + 1;
    c->finals[c->count] = (struct sluice_apply_final){.tuple = tuple, .prefix = prefix};
    return &c->finals[c->count++];
}

/* ---- merging ---- */

/* A tuple of `later`, with what it lacks from `earlier`; *whole: nothing is missing. */
static sluice_status merge(struct sluice_apply_log *log, const struct sluice_apply_table *t,
                           uint64_t earlier, uint64_t later, uint64_t *out, int *whole,
                           struct sluice_error *err)
{
    const uint8_t *p = log->arena + earlier;
    const uint8_t *q = log->arena + later;
    size_t size = 0;
    *whole = 1;
    for (uint32_t pass = 0; pass < 2; pass++) {
        const uint8_t *a = p;
        const uint8_t *b = q;
        uint8_t *to = pass == 1 ? log->arena + log->arena_size : NULL;
        for (uint32_t i = 0; i < t->column_count; i++) {
            int32_t m = 0;
            int32_t n = 0;
            memcpy(&m, a, 4);
            memcpy(&n, b, 4);
            const size_t sa = 4 + (size_t)(m > 0 ? m : 0);
            const size_t sb = 4 + (size_t)(n > 0 ? n : 0);
            const int old = n == SLUICE_APPLY_UNSENT;
            *whole &= !(old && m == SLUICE_APPLY_UNSENT);
            if (to != NULL) {
                memcpy(to, old ? a : b, old ? sa : sb);
                to += old ? sa : sb;
            }
            size += pass == 0 ? (old ? sa : sb) : 0;
            a += sa;
            b += sb;
        }
        if (pass == 0 && log->arena_cap - log->arena_size < size) {
            size_t cap = log->arena_cap * 2 > log->arena_size + size ? log->arena_cap * 2
                                                                     : log->arena_size + size;
            uint8_t *grown = realloc(log->arena, cap);
            if (grown == NULL) {
                return nomem(err);
            }
            log->arena = grown;
            log->arena_cap = cap;
            p = log->arena + earlier;
            q = log->arena + later;
        }
    }
    *out = log->arena_size;
    log->arena_size += size;
    return SLUICE_OK;
}

/* The old row of an update that made it another key. */
static sluice_status add_delete(const struct sluice_apply_log *log,
                                struct sluice_apply_collapsed *c, uint64_t key,
                                struct sluice_error *err)
{
    struct sluice_apply_final *e = entry_of(log, c, key);
    if (e == NULL) {
        return nomem(err);
    }
    e->todo = SLUICE_APPLY_DO_DELETE;
    e->tuple = key;
    return SLUICE_OK;
}

static sluice_status add_row(const struct sluice_apply_log *log, struct sluice_apply_collapsed *c,
                             uint64_t tuple, int todo, struct sluice_error *err)
{
    struct sluice_apply_final *e = entry_of(log, c, tuple);
    if (e == NULL) {
        return nomem(err);
    }
    e->todo = (uint8_t)todo;
    e->tuple = tuple;
    return SLUICE_OK;
}

/* An update of some columns. */
static sluice_status add_part(struct sluice_apply_log *log, struct sluice_apply_collapsed *c,
                              const struct sluice_apply_change *change, struct sluice_error *err)
{
    const struct sluice_apply_table *t = c->table;
    const int tries = change->source_op == 'D' || t->write->mode == SLUICE_WRITE_UPDATE ||
                      (t->desc->flags & SLUICE_STREAM_LOAD_INEXACT) != 0;
    struct sluice_apply_final *e = entry_of(log, c, change->after);
    uint64_t merged = 0;
    int whole = 0;
    if (e == NULL) {
        return nomem(err);
    }
    switch (e->todo) {
    case SLUICE_APPLY_DO_NOTHING:
        e->tuple = change->after;
        e->todo = tries ? SLUICE_APPLY_DO_TRY : SLUICE_APPLY_DO_PART;
        return SLUICE_OK;
    case SLUICE_APPLY_DO_DELETE: /* the source says that there is no such row */
        return change->source_op == 'D' ? SLUICE_OK : SLUICE_AGAIN;
    default:
        SLUICE_TRY(merge(log, t, e->tuple, change->after, &merged, &whole, err));
        e->tuple = merged;
        if (e->todo == SLUICE_APPLY_DO_TRY && !tries) {
            e->todo = SLUICE_APPLY_DO_PART;
        }
        return SLUICE_OK;
    }
}

/* An update that gave the row another key. */
static sluice_status add_key_change(struct sluice_apply_log *log, struct sluice_apply_collapsed *c,
                                    const struct sluice_apply_change *change,
                                    struct sluice_error *err)
{
    const struct sluice_apply_table *t = c->table;
    uint64_t row = change->after;
    int whole = !change->partial;
    if (c->table->write->mode == SLUICE_WRITE_UPDATE) {
        return SLUICE_AGAIN; /* only rows that are there */
    }
    if (change->partial) {
        const struct sluice_apply_final *e = entry_of(log, c, change->before);
        if (e == NULL) {
            return nomem(err);
        }
        if (e->todo != SLUICE_APPLY_DO_PUT && e->todo != SLUICE_APPLY_DO_WHOLE) {
            return SLUICE_AGAIN;
        }
        SLUICE_TRY(merge(log, t, e->tuple, change->after, &row, &whole, err));
    }
    if (!whole) {
        return SLUICE_AGAIN;
    }
    SLUICE_TRY(add_delete(log, c, change->before, err));
    return add_row(log, c, row, SLUICE_APPLY_DO_PUT, err);
}

static sluice_status add_change(struct sluice_apply_log *log, struct sluice_apply_collapsed *c,
                                const struct sluice_apply_change *change, struct sluice_error *err)
{
    if (!sluice_apply_is_keyed(c->table)) {
        if (change->op != 'I') {
            return SLUICE_AGAIN;
        }
        if (!grow_finals(c)) {
            return nomem(err);
        }
        c->finals[c->count++] = (struct sluice_apply_final){
            .tuple = change->after, .prefix = c->count, .todo = SLUICE_APPLY_DO_ADD};
        return SLUICE_OK;
    }
    switch (change->op) {
    case 'D':
        return add_delete(log, c, change->before, err);
    case 'I':
        return add_row(log, c, change->after, SLUICE_APPLY_DO_PUT, err);
    default:
        break;
    }
    if (change->key_change) {
        return add_key_change(log, c, change, err);
    }
    if (change->partial || c->table->write->mode == SLUICE_WRITE_UPDATE) {
        return add_part(log, c, change, err);
    }
    struct sluice_apply_final *e = entry_of(log, c, change->after);
    if (e == NULL) {
        return nomem(err);
    }
    /* Where this part made the row, or removed it, it is put. */
    if (e->todo != SLUICE_APPLY_DO_PUT && e->todo != SLUICE_APPLY_DO_DELETE) {
        e->todo = SLUICE_APPLY_DO_WHOLE;
    }
    else {
        e->todo = SLUICE_APPLY_DO_PUT;
    }
    e->tuple = change->after;
    return SLUICE_OK;
}

/* ---- classes and order ---- */

/* Which columns a tuple has. */
static sluice_status classify(const struct sluice_apply_log *log, struct sluice_apply_collapsed *c,
                              struct sluice_apply_final *e, unsigned char *mask,
                              struct sluice_error *err)
{
    const struct sluice_apply_table *t = c->table;
    const uint8_t *p = log->arena + e->tuple;
    for (uint32_t i = 0; i < t->column_count; i++) {
        int32_t n = 0;
        memcpy(&n, p, 4);
        mask[i] = n != SLUICE_APPLY_UNSENT;
        p += 4 + (n > 0 ? n : 0);
    }
    for (uint32_t k = 0; k < c->class_count; k++) {
        if (memcmp(c->classes[k], mask, t->column_count) == 0) {
            e->class_id = k;
            return SLUICE_OK;
        }
    }
    if (c->class_count == 64) {
        return SLUICE_AGAIN; /* so many statements cost more than the rows */
    }
    unsigned char **grown = realloc((void *)c->classes, (c->class_count + 1u) * sizeof *grown);
    unsigned char *copy = malloc(t->column_count + 1u);
    c->classes = grown != NULL ? grown : c->classes;
    if (grown == NULL || copy == NULL) {
        free(copy);
        return nomem(err);
    }
    memcpy(copy, mask, t->column_count);
    e->class_id = c->class_count;
    c->classes[c->class_count++] = copy;
    return SLUICE_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct sluice_apply_final *x = a;
    const struct sluice_apply_final *y = b;
    if (x->todo != y->todo) {
        return x->todo < y->todo ? -1 : 1;
    }
    if (x->class_id != y->class_id) {
        return x->class_id < y->class_id ? -1 : 1;
    }
    if (x->prefix != y->prefix) {
        return x->prefix < y->prefix ? -1 : 1;
    }
    return x->tuple < y->tuple ? -1 : x->tuple > y->tuple;
}

static sluice_status finish(const struct sluice_apply_log *log, struct sluice_apply_collapsed *c,
                            struct sluice_error *err)
{
    sluice_status status = SLUICE_OK;
    unsigned char *mask = malloc(c->table->column_count + 1u);
    if (mask == NULL) {
        return nomem(err);
    }
    for (size_t i = 0; i < c->count && status == SLUICE_OK; i++) {
        struct sluice_apply_final *e = &c->finals[i];
        c->by_todo[e->todo]++;
        if (e->todo == SLUICE_APPLY_DO_PART || e->todo == SLUICE_APPLY_DO_TRY) {
            status = classify(log, c, e, mask, err);
        }
    }
    free(mask);
    if (c->count > 1) {
        qsort(c->finals, c->count, sizeof *c->finals, by_key);
    }
    return status;
}

sluice_status sluice_apply_collapse(struct sluice_apply_log *log, size_t from, size_t to,
                                    struct sluice_apply_collapsed **out, struct sluice_error *err)
{
    struct sluice_apply_collapsed *all = calloc(log->table_count + 1u, sizeof *all);
    sluice_status status = SLUICE_OK;
    if (all == NULL) {
        return nomem(err);
    }
    for (uint32_t i = 0; i < log->table_count; i++) {
        all[i].table = log->tables[i];
    }
    for (size_t i = from; i < to && status == SLUICE_OK; i++) {
        const struct sluice_apply_change change = log->changes[i]; /* the arena may move */
        struct sluice_apply_collapsed *c = &all[change.table];
        if (change.op == 'X' || c->table->key_count > KEYS_MAX ||
            (c->count == 0 && !may_collapse(c->table))) {
            status = SLUICE_AGAIN;
        }
        else if (change.op != 0) {
            status = add_change(log, c, &change, err);
        }
    }
    for (uint32_t i = 0; i < log->table_count && status == SLUICE_OK; i++) {
        status = finish(log, &all[i], err);
    }
    if (status != SLUICE_OK) {
        sluice_apply_collapsed_free(all, log->table_count);
        return status;
    }
    *out = all;
    return SLUICE_OK;
}
