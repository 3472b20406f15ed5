#include "lake/fold.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS_START = 1024, MEMORY_MAX = 1 << 30 };

/* A row that is kept, its cells behind it. */
struct kept {
    size_t size;
    struct sluice_bytes cells[];
};

/* What the changes say of one key; of a stream without key: of one content. */
struct state {
    struct state *next; /* in its slot */
    uint64_t hash;
    struct kept *row;   /* NULL = no such row */
    struct state *root; /* cells that are not known are those of this key's row in the load */
    struct state *heir; /* who has taken over what this key's row in the load was */
    int64_t count;      /* without key: how many more there are than the load has */
    size_t size;
    char key[];
};

struct sluice_lake_fold {
    uint32_t columns;
    uint32_t key_count;
    uint32_t *keys;
    struct state **slots;
    size_t slot_count;
    size_t count;
    size_t bytes;
    char *text; /* the key at hand */
    size_t text_size;
    size_t text_cap;
    struct kept *gone; /* the row that the last D took away */
    struct state *gone_root;
    char *gone_position;
    size_t gone_position_size;
    uint64_t gone_seq;
    struct sluice_bytes *cells; /* of the row at hand */
    int keyed;                  /* else rows are found by all they hold, and counted */
    int truncated;              /* nothing of the load is left */
};

static sluice_status no_memory(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                            "out of memory for changes of a lake");
}

/* FNV-1a, and a mix so that low bits are as good as any. */
uint64_t sluice_lake_hash(const void *data, size_t size)
{
    const uint8_t *p = data;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++) {
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    }
    h ^= h >> 32;
    return h * UINT64_C(0x9e3779b97f4a7c15);
}

sluice_status sluice_lake_fold_create(uint32_t columns, const uint32_t *keys, uint32_t key_count,
                                      struct sluice_lake_fold **out, struct sluice_error *err)
{
    struct sluice_lake_fold *fold = calloc(1, sizeof *fold);
    if (fold == NULL) {
        return no_memory(err);
    }
    fold->columns = columns;
    fold->key_count = key_count > 0 ? key_count : columns;
    fold->slot_count = SLOTS_START;
    fold->slots = calloc(SLOTS_START, sizeof(struct state *));
    fold->cells = calloc(columns + 1u, sizeof *fold->cells);
    fold->keys = calloc(fold->key_count + 1u, sizeof *fold->keys);
    if (fold->slots == NULL || fold->cells == NULL || fold->keys == NULL) {
        sluice_lake_fold_free(fold);
        return no_memory(err);
    }
    for (uint32_t i = 0; i < fold->key_count; i++) {
        fold->keys[i] = key_count > 0 ? keys[i] : i;
    }
    fold->keyed = key_count > 0;
    *out = fold;
    return SLUICE_OK;
}

static void forget_states(struct sluice_lake_fold *fold)
{
    for (size_t i = 0; fold->slots != NULL && i < fold->slot_count; i++) {
        while (fold->slots[i] != NULL) {
            struct state *state = fold->slots[i];
            fold->slots[i] = state->next;
            free(state->row);
            free(state);
        }
    }
    free(fold->gone);
    fold->gone = NULL;
    fold->gone_root = NULL;
    fold->count = 0;
    fold->bytes = 0;
}

void sluice_lake_fold_free(struct sluice_lake_fold *fold)
{
    if (fold != NULL) {
        forget_states(fold);
        free(fold->slots);
        free(fold->cells);
        free(fold->keys);
        free(fold->text);
        free(fold->gone_position);
        free(fold);
    }
}

/* ---- states ---- */

/* The texts of the key's cells, each with its length, so that no two keys are one text. */
static int make_key(struct sluice_lake_fold *fold, const struct sluice_bytes *cells)
{
    size_t size = 0;
    for (uint32_t i = 0; i < fold->key_count; i++) {
        size += cells[fold->keys[i]].size + sizeof(uint64_t);
    }
    if (size > fold->text_cap) {
        char *grown = realloc(fold->text, size * 2);
        if (grown == NULL) {
            return 0;
        }
        fold->text = grown;
        fold->text_cap = size * 2;
    }
    char *p = fold->text;
    for (uint32_t i = 0; i < fold->key_count; i++) {
        const struct sluice_bytes *cell = &cells[fold->keys[i]];
        memcpy(p, &cell->size, sizeof cell->size);
        p += sizeof cell->size;
        if (cell->size > 0) {
            memcpy(p, cell->data, cell->size);
        }
        p += cell->size;
    }
    fold->text_size = size;
    return 1;
}

static struct state *find_state(const struct sluice_lake_fold *fold, uint64_t hash)
{
    struct state *state = fold->slots[hash & (fold->slot_count - 1)];
    while (state != NULL && (state->hash != hash || state->size != fold->text_size ||
                             memcmp(state->key, fold->text, fold->text_size) != 0)) {
        state = state->next;
    }
    return state;
}

static void grow_slots(struct sluice_lake_fold *fold)
{
    const size_t count = fold->slot_count * 2;
    struct state **slots = calloc(count, sizeof(struct state *));
    if (slots == NULL) {
        return; /* slower, not wrong */
    }
    for (size_t i = 0; i < fold->slot_count; i++) {
        while (fold->slots[i] != NULL) {
            struct state *state = fold->slots[i];
            fold->slots[i] = state->next;
            state->next = slots[state->hash & (count - 1)];
            slots[state->hash & (count - 1)] = state;
        }
    }
    free(fold->slots);
    fold->slots = slots;
    fold->slot_count = count;
}

static struct state *add_state(struct sluice_lake_fold *fold, uint64_t hash)
{
    struct state *state = calloc(1, sizeof *state + fold->text_size);
    if (state == NULL) {
        return NULL;
    }
    if (fold->count >= fold->slot_count) {
        grow_slots(fold);
    }
    memcpy(state->key, fold->text, fold->text_size);
    state->size = fold->text_size;
    state->hash = hash;
    state->next = fold->slots[hash & (fold->slot_count - 1)];
    fold->slots[hash & (fold->slot_count - 1)] = state;
    fold->count++;
    fold->bytes += sizeof *state + fold->text_size;
    return state;
}

static struct kept *keep_row(struct sluice_lake_fold *fold, const struct sluice_bytes *cells)
{
    size_t size = sizeof(struct kept) + fold->columns * sizeof *cells;
    for (uint32_t i = 0; i < fold->columns; i++) {
        size += cells[i].size;
    }
    struct kept *kept = malloc(size);
    if (kept == NULL) {
        return NULL;
    }
    char *p = (char *)&kept->cells[fold->columns];
    for (uint32_t i = 0; i < fold->columns; i++) {
        kept->cells[i] = (struct sluice_bytes){NULL, 0};
        if (cells[i].data != NULL) {
            memcpy(p, cells[i].data, cells[i].size);
            kept->cells[i] = (struct sluice_bytes){p, cells[i].size};
            p += cells[i].size;
        }
    }
    kept->size = size;
    fold->bytes += size;
    return kept;
}

static void drop_row(struct sluice_lake_fold *fold, struct kept *row)
{
    fold->bytes -= row != NULL ? row->size : 0;
    free(row);
}

/* ---- changes ---- */

static int is_gone_of(const struct sluice_lake_fold *fold, const struct sluice_lake_row *row)
{
    return fold->gone != NULL && fold->gone_seq == row->seq &&
           fold->gone_position_size == row->position.size &&
           (row->position.size == 0 ||
            memcmp(fold->gone_position, row->position.data, row->position.size) == 0);
}

/* The row at hand, what was not sent taken from `old`; 1 if all is known. */
static int complete(struct sluice_lake_fold *fold, const struct sluice_bytes *cells,
                    const struct kept *old)
{
    int known = 1;
    for (uint32_t i = 0; i < fold->columns; i++) {
        fold->cells[i] = cells[i].data == NULL && old != NULL ? old->cells[i] : cells[i];
        known = known && fold->cells[i].data != NULL;
    }
    return known;
}

/* D: moves the row where the I of the same place finds it. */
static sluice_status take_gone(struct sluice_lake_fold *fold, const struct sluice_lake_row *row,
                               struct kept *gone, struct state *root, struct sluice_error *err)
{
    drop_row(fold, fold->gone);
    fold->gone = gone;
    fold->gone_root = root;
    fold->gone_seq = row->seq;
    char *position = realloc(fold->gone_position, row->position.size + 1);
    if (position == NULL) {
        return no_memory(err);
    }
    memcpy(position, row->position.data != NULL ? row->position.data : "", row->position.size);
    fold->gone_position = position;
    fold->gone_position_size = row->position.size;
    return SLUICE_OK;
}

static sluice_status change_keyed(struct sluice_lake_fold *fold, const struct sluice_lake_row *row,
                                  struct sluice_error *err)
{
    if (!make_key(fold, row->cells)) {
        return no_memory(err);
    }
    const uint64_t hash = sluice_lake_hash(fold->text, fold->text_size);
    struct state *state = find_state(fold, hash);
    if (state == NULL) {
        state = add_state(fold, hash);
        if (state == NULL) {
            return no_memory(err);
        }
        if (!fold->truncated) { /* it may be in the load */
            memset(fold->cells, 0, fold->columns * sizeof *fold->cells);
            state->row = keep_row(fold, fold->cells);
            state->root = state;
            state->heir = state;
            if (state->row == NULL) {
                return no_memory(err);
            }
        }
    }
    if (row->op == 'D') {
        struct kept *gone = state->row;
        struct state *root = state->root;
        state->row = NULL;
        state->root = NULL;
        return take_gone(fold, row, gone, root, err);
    }
    const int moved = is_gone_of(fold, row);
    struct state *root = moved ? fold->gone_root : state->root;
    const int known = complete(fold, row->cells, moved ? fold->gone : state->row);
    struct kept *next = keep_row(fold, fold->cells);
    if (next == NULL) {
        return no_memory(err);
    }
    drop_row(fold, state->row);
    state->row = next;
    state->root = known ? NULL : root;
    if (state->root != NULL) {
        state->root->heir = state;
    }
    return SLUICE_OK;
}

static sluice_status change_counted(struct sluice_lake_fold *fold,
                                    const struct sluice_lake_row *row, struct sluice_error *err)
{
    (void)complete(fold, row->cells, is_gone_of(fold, row) ? fold->gone : NULL);
    if (!make_key(fold, fold->cells)) {
        return no_memory(err);
    }
    const uint64_t hash = sluice_lake_hash(fold->text, fold->text_size);
    struct state *state = find_state(fold, hash);
    if (state == NULL) {
        state = add_state(fold, hash);
        struct kept *kept = state != NULL ? keep_row(fold, fold->cells) : NULL;
        if (kept == NULL) {
            return no_memory(err);
        }
        state->row = kept;
    }
    if (row->op != 'D') {
        state->count++;
        return SLUICE_OK;
    }
    state->count--;
    struct kept *gone = keep_row(fold, row->cells);
    return gone != NULL ? take_gone(fold, row, gone, NULL, err) : no_memory(err);
}

sluice_status sluice_lake_fold_change(struct sluice_lake_fold *fold,
                                      const struct sluice_lake_row *row, struct sluice_error *err)
{
    if (row->op == 'T') {
        forget_states(fold);
        fold->truncated = 1;
        return SLUICE_OK;
    }
    if (fold->bytes > MEMORY_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0,
                                "more than a GiB of its rows has changed since its load: load it "
                                "anew to compare it");
    }
    return fold->keyed ? change_keyed(fold, row, err) : change_counted(fold, row, err);
}

/* ---- rows ---- */

sluice_status sluice_lake_fold_base(struct sluice_lake_fold *fold,
                                    const struct sluice_lake_row *row, sluice_lake_fold_visit visit,
                                    void *vctx, struct sluice_error *err)
{
    if (fold->truncated) {
        return SLUICE_OK;
    }
    if (fold->count == 0) {
        return visit(vctx, row->cells, err);
    }
    if (!make_key(fold, row->cells)) {
        return no_memory(err);
    }
    struct state *state = find_state(fold, sluice_lake_hash(fold->text, fold->text_size));
    if (state == NULL) {
        return visit(vctx, row->cells, err);
    }
    if (!fold->keyed) {
        if (state->count >= 0) {
            return visit(vctx, row->cells, err);
        }
        state->count++;
        return SLUICE_OK;
    }
    struct state *heir = state->heir;
    if (heir != NULL && heir->row != NULL && heir->root == state) {
        for (uint32_t i = 0; i < fold->columns; i++) {
            fold->cells[i] = heir->row->cells[i].data != NULL ? heir->row->cells[i] : row->cells[i];
        }
        struct kept *whole = keep_row(fold, fold->cells);
        if (whole == NULL) {
            return no_memory(err);
        }
        drop_row(fold, heir->row);
        heir->row = whole;
        heir->root = NULL;
    }
    return SLUICE_OK;
}

static sluice_status visit_state(struct sluice_lake_fold *fold, const struct state *state,
                                 sluice_lake_fold_visit visit, void *vctx, struct sluice_error *err)
{
    static const char null_text[] = "null";
    const int64_t times = fold->keyed ? (state->row != NULL) : state->count;
    if (times <= 0) {
        return SLUICE_OK;
    }
    for (uint32_t i = 0; i < fold->columns; i++) {
        /* Not sent, and the load has no such row: shown as what a reader would see. */
        fold->cells[i] = state->row->cells[i].data != NULL ? state->row->cells[i]
                                                           : (struct sluice_bytes){null_text, 4};
    }
    for (int64_t n = 0; n < times; n++) {
        SLUICE_TRY(visit(vctx, fold->cells, err));
    }
    return SLUICE_OK;
}

sluice_status sluice_lake_fold_rest(struct sluice_lake_fold *fold, sluice_lake_fold_visit visit,
                                    void *vctx, struct sluice_error *err)
{
    for (size_t i = 0; i < fold->slot_count; i++) {
        for (const struct state *state = fold->slots[i]; state != NULL; state = state->next) {
            SLUICE_TRY(visit_state(fold, state, visit, vctx, err));
        }
    }
    return SLUICE_OK;
}
