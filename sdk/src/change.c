/* Row access that is the same for ROWS and CHANGES batches. */
#include "sluice/change.h"

#include <stdlib.h>

#include "internal.h"

static const char *const envelope_names[8] = {"op",    "commit_pos", "tx_seq", "commit_ts",
                                              "tx_id", "before",     "after",  "unchanged"};

void sluice_change_view_free(struct sluice_change_view *cv)
{
    if (cv != NULL) {
        free(cv->columns);
        memset(cv, 0, sizeof *cv);
    }
}

/* Views of the envelope's own columns. The row schema has the types of `after`; the envelope's
 * fixed types are stated here, so no envelope schema has to be made per batch. */
static sluice_status init_fixed(struct sluice_change_view *cv, const struct ArrowArray *root,
                                struct sluice_error *err)
{
    static const struct {
        const char *format;
        int32_t at;
    } fixed[] = {{"c", 0}, {"z", 1}, {"l", 2}, {"tsu:UTC", 3}, {"u", 4}, {"z", 7}};
    struct sluice_view *views[] = {&cv->op,        &cv->commit_pos, &cv->tx_seq,
                                   &cv->commit_ts, &cv->tx_id,      &cv->unchanged};
    for (uint32_t i = 0; i < 6; i++) {
        struct ArrowSchema field;
        memset(&field, 0, sizeof field);
        field.format = fixed[i].format;
        field.name = envelope_names[fixed[i].at];
        SLUICE_TRY(sluice_view_init_range(&field, root->children[fixed[i].at], root->offset,
                                          root->length, views[i], err));
        views[i]->schema = NULL;
    }
    return SLUICE_OK;
}

static sluice_status init_struct(const struct ArrowSchema *row, const uint32_t *indexes, int64_t n,
                                 const struct ArrowArray *root, int32_t at,
                                 struct sluice_view *self, struct sluice_view *columns,
                                 struct sluice_error *err)
{
    const struct ArrowArray *array = root->children[at];
    if (array->release == NULL || array->n_buffers != 1 || array->n_children != n ||
        array->length < root->offset + root->length) {
        return sluice_error_set(err, SLUICE_E_DATA, 0,
                                "envelope column %s: %lld children, %lld expected",
                                envelope_names[at], (long long)array->n_children, (long long)n);
    }
    int64_t first = array->offset + root->offset;
    memset(self, 0, sizeof *self);
    self->type.id = SLUICE_TYPE_STRUCT;
    self->length = root->length;
    self->array = array;
    self->validity = array->null_count == 0 ? NULL : array->buffers[0];
    self->validity_bit = first;
    self->null_count = self->validity == NULL ? 0 : -1;
    for (int64_t i = 0; i < n; i++) {
        int64_t from = indexes != NULL ? (int64_t)indexes[i] : i;
        if (from >= row->n_children) {
            return sluice_error_set(err, SLUICE_E_DATA, 0, "key column %lld of %lld columns",
                                    (long long)from, (long long)row->n_children);
        }
        SLUICE_TRY(sluice_view_init_range(row->children[from], array->children[i], first,
                                          root->length, &columns[i], err));
    }
    return SLUICE_OK;
}

static sluice_status init_changes(struct sluice_change_view *cv, const struct ArrowArray *root,
                                  struct sluice_error *err)
{
    const struct sluice_stream_desc *desc = cv->desc;
    if (root->n_children != 8 || root->length < 0 || root->offset < 0) {
        return sluice_error_set(err, SLUICE_E_DATA, 0,
                                "a CHANGES batch has %lld columns, the envelope has 8",
                                (long long)root->n_children);
    }
    SLUICE_TRY(init_fixed(cv, root, err));
    const uint32_t *indexes = desc->before == SLUICE_BEFORE_KEY ? desc->keys : NULL;
    SLUICE_TRY(
        init_struct(desc->schema, indexes, cv->old_count, root, 5, &cv->before, cv->old, err));
    return init_struct(desc->schema, NULL, cv->column_count, root, 6, &cv->after, cv->columns, err);
}

sluice_status sluice_change_view_init(struct sluice_change_view *cv,
                                      const struct sluice_stream_desc *desc,
                                      const struct sluice_batch *batch, struct sluice_error *err)
{
    memset(cv, 0, sizeof *cv);
    if ((batch->kind != SLUICE_BATCH_ROWS && batch->kind != SLUICE_BATCH_CHANGES) ||
        batch->array.release == NULL) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "stream %s: batch kind %d holds no rows",
                                desc->name, batch->kind);
    }
    cv->desc = desc;
    cv->kind = batch->kind;
    cv->rows = batch->array.length;
    cv->column_count = desc->schema->n_children;
    if (batch->kind == SLUICE_BATCH_CHANGES) {
        cv->old_count = desc->before == SLUICE_BEFORE_FULL  ? cv->column_count
                        : desc->before == SLUICE_BEFORE_KEY ? (int64_t)desc->key_count
                                                            : 0;
    }
    cv->columns = calloc((size_t)(cv->column_count + cv->old_count) + 1, sizeof *cv->columns);
    if (cv->columns == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for %lld column views",
                                (long long)(cv->column_count + cv->old_count));
    }
    cv->old = cv->columns + cv->column_count;
    sluice_status st = batch->kind == SLUICE_BATCH_ROWS
                           ? sluice_views_init(desc->schema, &batch->array, cv->columns, err)
                           : init_changes(cv, &batch->array, err);
    if (st < 0) {
        sluice_change_view_free(cv);
        return sluice_error_wrap(err, "stream %s", desc->name);
    }
    return SLUICE_OK;
}

int32_t sluice_change_op(const struct sluice_change_view *cv, int64_t row)
{
    return cv->kind == SLUICE_BATCH_CHANGES ? (int32_t)sluice_view_i8(&cv->op, row) : 'R';
}

int32_t sluice_change_is_unchanged(const struct sluice_change_view *cv, int64_t row, int64_t col)
{
    if (cv->kind != SLUICE_BATCH_CHANGES || sluice_view_is_null(&cv->unchanged, row)) {
        return 0;
    }
    struct sluice_bytes bits = sluice_view_bytes(&cv->unchanged, row);
    uint64_t byte = (uint64_t)col / 8;
    return byte < bits.size && (((const uint8_t *)bits.data)[byte] >> (col % 8) & 1) != 0;
}

const struct sluice_view *sluice_change_key(const struct sluice_change_view *cv, int64_t row,
                                            uint32_t k, int32_t old)
{
    const struct sluice_stream_desc *desc = cv->desc;
    if (k >= desc->key_count) {
        return NULL;
    }
    if (old && cv->old_count > 0 && !sluice_view_is_null(&cv->before, row)) {
        return &cv->old[desc->before == SLUICE_BEFORE_KEY ? k : desc->keys[k]];
    }
    if (cv->kind == SLUICE_BATCH_CHANGES && sluice_view_is_null(&cv->after, row)) {
        return NULL;
    }
    return &cv->columns[desc->keys[k]];
}
