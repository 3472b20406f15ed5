/* Whole arrays: sizing, sharing, and making arrays out of others. */
#include "sluice/array.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

void sluice_array_release(struct ArrowArray *array)
{
    if (array != NULL && array->release != NULL) {
        array->release(array);
    }
}

void sluice_array_move(struct ArrowArray *src, struct ArrowArray *dst)
{
    memcpy(dst, src, sizeof *dst);
    src->release = NULL;
}

/* ------------------------------------------------------------ size --------------------------- */

static uint64_t bytes_of(const struct ArrowSchema *schema, const struct ArrowArray *array,
                         int depth)
{
    struct sluice_type type;
    if (depth > SLUICE_MAX_DEPTH || array->release == NULL ||
        sluice_type_parse(schema->format, &type, NULL) < 0 ||
        array->n_buffers != sluice_type_buffer_count(&type) || array->length < 0 ||
        array->offset < 0) {
        return 0;
    }
    uint64_t rows = (uint64_t)array->length;
    uint64_t n = array->buffers[0] != NULL ? (rows + 7) / 8 : 0;
    int64_t first = array->offset;
    if (sluice_type_is_variable(&type) || type.id == SLUICE_TYPE_LIST) {
        const int32_t *o = array->buffers[1];
        n += rows * 4;
        if (type.id != SLUICE_TYPE_LIST && o != NULL && o[first + array->length] >= o[first]) {
            n += (uint64_t)(o[first + array->length] - o[first]);
        }
    }
    else if (sluice_type_is_large(&type)) {
        const int64_t *o = array->buffers[1];
        n += rows * 8;
        if (o != NULL && o[first + array->length] >= o[first]) {
            n += (uint64_t)(o[first + array->length] - o[first]);
        }
    }
    else {
        n += type.id == SLUICE_TYPE_BOOL ? (rows + 7) / 8 : rows * (uint64_t)type.width;
    }
    for (int64_t i = 0; i < array->n_children && i < schema->n_children; i++) {
        n += bytes_of(schema->children[i], array->children[i], depth + 1);
    }
    return n;
}

uint64_t sluice_array_bytes(const struct ArrowSchema *schema, const struct ArrowArray *array)
{
    return bytes_of(schema, array, 0);
}

/* ------------------------------------------------------------ sharing ------------------------ */

/* The array that all shares read; freed with the last of them. */
struct share_holder {
    _Atomic uint64_t refs; /* shares */
    struct ArrowArray array;
};

/* The structs of one share, one allocation; each struct of the tree holds a reference, since a
 * consumer may move children out. */
struct share {
    _Atomic uint64_t refs;
    struct share_holder *holder;
    struct ArrowArray *nodes;
    struct ArrowArray **pointers;
};

static void share_node_release(struct ArrowArray *array)
{
    struct share *share = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++) {
        sluice_array_release(array->children[i]);
    }
    sluice_array_release(array->dictionary);
    array->release = NULL;
    if (atomic_fetch_sub(&share->refs, 1) != 1) {
        return;
    }
    struct share_holder *holder = share->holder;
    free(share);
    if (atomic_fetch_sub(&holder->refs, 1) == 1) {
        sluice_array_release(&holder->array);
        free(holder);
    }
}

/* Structs below `array`, without itself; -1 if nested too deep. */
static int64_t count_below(const struct ArrowArray *array, int depth)
{
    if (depth > SLUICE_MAX_DEPTH) {
        return -1;
    }
    int64_t n = 0;
    for (int64_t i = 0; i < array->n_children + (array->dictionary != NULL); i++) {
        const struct ArrowArray *child =
            i < array->n_children ? array->children[i] : array->dictionary;
        int64_t below = count_below(child, depth + 1);
        if (below < 0) {
            return -1;
        }
        n += 1 + below;
    }
    return n;
}

/* Fills *out from *from, taking structs and pointers of the share from *used on. */
static void share_fill(struct share *share, const struct ArrowArray *from, int64_t *used,
                       struct ArrowArray *out)
{
    *out = *from;
    out->private_data = share;
    out->release = share_node_release;
    int64_t first = *used;
    int64_t n = from->n_children;
    *used += n + (from->dictionary != NULL);
    out->children = n > 0 ? &share->pointers[first] : NULL;
    for (int64_t i = 0; i < n; i++) {
        share->pointers[first + i] = &share->nodes[first + i];
        share_fill(share, from->children[i], used, &share->nodes[first + i]);
    }
    if (from->dictionary != NULL) {
        out->dictionary = &share->nodes[first + n];
        share_fill(share, from->dictionary, used, out->dictionary);
    }
}

sluice_status sluice_array_share(struct ArrowArray *array, uint32_t n, struct ArrowArray *out,
                                 struct sluice_error *err)
{
    if (array->release == NULL) {
        return sluice_error_set(err, SLUICE_E_STATE, 0, "the array to share was released");
    }
    if (n == 0) {
        sluice_array_release(array);
        return SLUICE_OK;
    }
    if (n == 1) {
        sluice_array_move(array, &out[0]);
        return SLUICE_OK;
    }
    int64_t below = count_below(array, 0);
    if (below < 0) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "array is nested deeper than %d",
                                SLUICE_MAX_DEPTH);
    }
    struct share_holder *holder = malloc(sizeof *holder);
    uint32_t made = 0;
    for (; holder != NULL && made < n; made++) {
        uint64_t size = sizeof(struct share) +
                        (uint64_t)below * (sizeof(struct ArrowArray) + sizeof(struct ArrowArray *));
        struct share *share = malloc(size);
        if (share == NULL) {
            break;
        }
        share->holder = holder;
        share->nodes = (struct ArrowArray *)(void *)(share + 1);
        share->pointers = (struct ArrowArray **)(void *)(share->nodes + below);
        atomic_init(&share->refs, (uint64_t)below + 1);
        int64_t used = 0;
        share_fill(share, array, &used, &out[made]);
    }
    if (holder == NULL || made < n) {
        for (uint32_t i = 0; i < made; i++) {
            free(out[i].private_data);
            out[i].release = NULL;
        }
        free(holder);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for sharing an array");
    }
    atomic_init(&holder->refs, n);
    sluice_array_move(array, &holder->array);
    return SLUICE_OK;
}

/* ------------------------------------------------------------ selecting ---------------------- */

struct select_private {
    struct ArrowArray src; /* what was not taken, and the buffers of the struct itself */
    struct ArrowArray *nodes;
    struct ArrowArray **pointers;
    uint8_t *validity; /* own copy when the source had an offset */
    const void *buffers[1];
};

static void select_release(struct ArrowArray *array)
{
    struct select_private *p = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++) {
        sluice_array_release(array->children[i]);
    }
    sluice_array_release(&p->src);
    free(p->validity);
    free(p);
    array->release = NULL;
}

static sluice_status select_check(const struct ArrowArray *src, const int64_t *indexes, int64_t n,
                                  const struct ArrowArray *extra, uint8_t *taken,
                                  struct sluice_error *err)
{
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) {
        const struct ArrowArray *child = NULL;
        if (indexes[i] == -1) {
            child = &extra[k++];
            if (child->release == NULL || child->length < src->length) {
                return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                        "extra column %lld is released or too short",
                                        (long long)(k - 1));
            }
            continue;
        }
        if (indexes[i] < 0 || indexes[i] >= src->n_children || taken[indexes[i]]) {
            return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                    "column %lld of %lld cannot be taken, or not twice",
                                    (long long)indexes[i], (long long)src->n_children);
        }
        taken[indexes[i]] = 1;
        child = src->children[indexes[i]];
        if (child->release == NULL || child->length < src->offset + src->length) {
            return sluice_error_set(err, SLUICE_E_DATA, 0,
                                    "column %lld is released or shorter than the batch",
                                    (long long)indexes[i]);
        }
    }
    return SLUICE_OK;
}

/* The children lose the struct's own offset, so that columns with and without it stand together. */
static void cut_child(struct ArrowArray *child, int64_t offset, int64_t length)
{
    if (offset != 0 || child->length != length) {
        child->offset += offset;
        child->null_count = child->null_count == 0 ? 0 : -1;
        child->length = length;
    }
}

sluice_status sluice_array_select(struct ArrowArray *src, const int64_t *indexes, int64_t n,
                                  struct ArrowArray *extra, struct ArrowArray *out,
                                  struct sluice_error *err)
{
    if (src->release == NULL || n < 0 || n > SLUICE_MAX_COLUMNS || src->n_buffers != 1) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "not a struct array to select from");
    }
    struct select_private *p = NULL;
    uint8_t *taken = calloc((size_t)src->n_children + 1, 1);
    sluice_status st = taken == NULL ? SLUICE_E_NOMEM : SLUICE_OK;
    if (st >= 0) {
        st = select_check(src, indexes, n, extra, taken, err);
        if (st < 0) {
            goto out;
        }
        p = calloc(1, sizeof *p + (size_t)n * (sizeof *p->nodes + sizeof(struct ArrowArray *)));
        st = p == NULL ? SLUICE_E_NOMEM : SLUICE_OK;
    }
    const uint8_t *validity = src->null_count == 0 ? NULL : src->buffers[0];
    if (st >= 0 && validity != NULL && src->offset != 0) {
        p->validity = malloc((size_t)(src->length + 7) / 8 + 1);
        st = p->validity == NULL ? SLUICE_E_NOMEM : SLUICE_OK;
    }
    if (st < 0) {
        st = sluice_error_set(err, st, 0, "out of memory for selecting %lld columns", (long long)n);
        goto out;
    }
    if (p->validity != NULL) {
        sluice_bits_copy(validity, src->offset, src->length, p->validity);
        validity = p->validity;
    }
    p->nodes = (struct ArrowArray *)(void *)(p + 1);
    p->pointers = (struct ArrowArray **)(void *)(p->nodes + n);
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) {
        p->pointers[i] = &p->nodes[i];
        if (indexes[i] == -1) {
            sluice_array_move(&extra[k++], &p->nodes[i]);
            cut_child(&p->nodes[i], 0, src->length);
        }
        else {
            sluice_array_move(src->children[indexes[i]], &p->nodes[i]);
            cut_child(&p->nodes[i], src->offset, src->length);
        }
    }
    memset(out, 0, sizeof *out);
    out->length = src->length;
    out->null_count = validity == NULL ? 0 : src->null_count;
    out->n_buffers = 1;
    out->buffers = p->buffers;
    out->n_children = n;
    out->children = p->pointers;
    out->private_data = p;
    out->release = select_release;
    p->buffers[0] = validity;
    sluice_array_move(src, &p->src);
    p = NULL;
out:
    if (p != NULL) {
        free(p->validity);
        free(p);
    }
    free(taken);
    return st;
}
