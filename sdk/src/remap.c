/* New columns out of old ones, for transforms. */
#include "sluice/remap.h"

#include <stdlib.h>

#include "internal.h"

/* How one struct array (a ROWS batch, `after`, or `before`) is turned into its new shape. */
struct remap_part {
    int64_t count;
    int64_t *indexes; /* for sluice_array_select: child of the source, or -1 = made */
    int64_t made_count;
    int64_t *made;      /* columns (of the new schema) that are made, in order */
    int64_t *made_from; /* child of the source struct that a made column reads, or -1 */
    struct ArrowSchema made_schema;
    struct sluice_rows rows; /* builder of the made columns */
    int32_t identity;
};

struct sluice_remap {
    struct sluice_stream_desc *in;
    struct sluice_stream_desc *desc;
    struct sluice_remap_column *columns;
    int64_t count;
    struct remap_part row;    /* ROWS and `after` */
    struct remap_part before; /* CHANGES with a `before` */
    struct ArrowSchema bits_schema;
    struct sluice_rows bits; /* builder of `unchanged` */
    int32_t same_bits;       /* columns keep their numbers */
};

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for mapping columns");
}

static void part_free(struct remap_part *part)
{
    sluice_rows_free(&part->rows);
    sluice_schema_release(&part->made_schema);
    free(part->indexes);
    free(part->made);
    free(part->made_from);
}

void sluice_remap_free(struct sluice_remap *remap)
{
    if (remap == NULL) {
        return;
    }
    part_free(&remap->row);
    part_free(&remap->before);
    sluice_rows_free(&remap->bits);
    sluice_schema_release(&remap->bits_schema);
    sluice_stream_desc_free(remap->in);
    sluice_stream_desc_free(remap->desc);
    free(remap->columns);
    free(remap);
}

/* Sets up a part of `n` new columns `which` (indexes into the new schema). child_of maps a column of
 * the source to its child in the source struct; NULL = the same number. */
static sluice_status part_init(struct remap_part *part, const struct sluice_remap *remap,
                               const uint32_t *which, int64_t n, const int64_t *child_of,
                               int64_t child_count, struct sluice_error *err)
{
    size_t room = (size_t)n + 1;
    part->count = n;
    part->indexes = calloc(room, sizeof *part->indexes);
    part->made = calloc(room, sizeof *part->made);
    part->made_from = calloc(room, sizeof *part->made_from);
    if (part->indexes == NULL || part->made == NULL || part->made_from == NULL) {
        return nomem(err);
    }
    part->identity = n == child_count;
    for (int64_t i = 0; i < n; i++) {
        int64_t column = which != NULL ? (int64_t)which[i] : i;
        const struct sluice_remap_column *c = &remap->columns[column];
        int64_t child = c->source < 0 || child_of == NULL ? c->source : child_of[c->source];
        part->indexes[i] = c->made ? -1 : child;
        part->identity = part->identity && !c->made && child == i;
        if (c->made) {
            part->made_from[part->made_count] = child;
            part->made[part->made_count++] = column;
        }
    }
    SLUICE_TRY(sluice_schema_init(&part->made_schema, part->made_count, err));
    for (int64_t i = 0; i < part->made_count; i++) {
        SLUICE_TRY(sluice_schema_put(&part->made_schema, i,
                                     remap->desc->schema->children[part->made[i]], NULL, -1, err));
    }
    return SLUICE_OK;
}

static sluice_status check_columns(const struct sluice_stream_desc *in,
                                   const struct sluice_remap_column *columns, int64_t n,
                                   const struct ArrowSchema *schema, struct sluice_error *err)
{
    int64_t width = in->schema->n_children;
    uint8_t *seen = calloc((size_t)width + 1, 1);
    if (seen == NULL) {
        return nomem(err);
    }
    sluice_status st = SLUICE_OK;
    if (n != schema->n_children) {
        st = sluice_error_set(err, SLUICE_E_INVALID, 0, "%lld columns, but %lld in the schema",
                              (long long)n, (long long)schema->n_children);
    }
    for (int64_t i = 0; i < n && st >= 0; i++) {
        int64_t source = columns[i].source;
        if (source < -1 || source >= width || (source == -1 && !columns[i].made) ||
            (source >= 0 && seen[source])) {
            st =
                sluice_error_set(err, SLUICE_E_INVALID, 0,
                                 "new column %lld comes from column %lld of %lld, or from one that "
                                 "is taken",
                                 (long long)i, (long long)source, (long long)width);
        }
        else if (source >= 0) {
            seen[source] = 1;
        }
    }
    free(seen);
    return st;
}

/* The description that comes out: new columns, keys at their new places. */
static sluice_status make_desc(struct sluice_remap *remap, const struct ArrowSchema *schema,
                               struct sluice_error *err)
{
    const struct sluice_stream_desc *in = remap->in;
    uint32_t *keys = calloc((size_t)in->key_count + 1, sizeof *keys);
    if (keys == NULL) {
        return nomem(err);
    }
    struct sluice_stream_desc out = *in;
    out.schema = schema;
    out.keys = keys;
    out.key_count = 0;
    out.encoding_count = 0; /* columns are touched: wire bytes cannot pass */
    for (uint32_t k = 0; k < in->key_count; k++) {
        for (int64_t i = 0; i < remap->count; i++) {
            if (remap->columns[i].source == (int64_t)in->keys[k]) {
                keys[out.key_count++] = (uint32_t)i;
            }
        }
    }
    if (out.key_count < in->key_count) {
        out.key_count = 0; /* a part of a key tells no rows apart */
    }
    if (out.before == SLUICE_BEFORE_KEY && out.key_count == 0) {
        out.before = SLUICE_BEFORE_NONE;
    }
    remap->desc = sluice_stream_desc_copy(&out);
    free(keys);
    return remap->desc != NULL ? SLUICE_OK : nomem(err);
}

static sluice_status init_before(struct sluice_remap *remap, struct sluice_error *err)
{
    const struct sluice_stream_desc *in = remap->in;
    if (in->before == SLUICE_BEFORE_FULL) {
        return part_init(&remap->before, remap, NULL, remap->count, NULL, in->schema->n_children,
                         err);
    }
    int64_t key_count = in->before == SLUICE_BEFORE_KEY ? (int64_t)in->key_count : 0;
    int64_t *child_of = calloc((size_t)in->schema->n_children + 1, sizeof *child_of);
    if (child_of == NULL) {
        return nomem(err);
    }
    for (int64_t k = 0; k < key_count; k++) {
        child_of[in->keys[k]] = k;
    }
    int64_t kept = remap->desc->before == SLUICE_BEFORE_KEY ? (int64_t)remap->desc->key_count : 0;
    sluice_status st =
        part_init(&remap->before, remap, remap->desc->keys, kept, child_of, key_count, err);
    free(child_of);
    return st;
}

sluice_status sluice_remap_create(const struct sluice_stream_desc *in,
                                  const struct sluice_remap_column *columns, int64_t n,
                                  const struct ArrowSchema *schema, struct sluice_remap **out,
                                  struct sluice_error *err)
{
    static const struct sluice_type binary = {SLUICE_TYPE_BINARY, 0, 0, 0};
    SLUICE_TRY(check_columns(in, columns, n, schema, err));
    struct sluice_remap *remap = calloc(1, sizeof *remap);
    if (remap == NULL) {
        return nomem(err);
    }
    sluice_status st = SLUICE_OK;
    remap->in = sluice_stream_desc_copy(in);
    remap->columns = calloc((size_t)n + 1, sizeof *remap->columns);
    remap->count = n;
    if (remap->in == NULL || remap->columns == NULL) {
        st = nomem(err);
        goto out;
    }
    remap->same_bits = 1;
    for (int64_t i = 0; i < n; i++) {
        remap->columns[i] = columns[i];
        remap->same_bits = remap->same_bits && columns[i].source == i;
    }
    remap->same_bits = remap->same_bits && n == in->schema->n_children;
    st = make_desc(remap, schema, err);
    if (st >= 0) {
        st = part_init(&remap->row, remap, NULL, n, NULL, in->schema->n_children, err);
    }
    if (st >= 0) {
        st = init_before(remap, err);
    }
    if (st >= 0) {
        st = sluice_schema_init(&remap->bits_schema, 1, err);
    }
    if (st >= 0) {
        st = sluice_schema_set(&remap->bits_schema, 0, "unchanged", &binary, 1, NULL, 0, err);
    }
    if (st >= 0) {
        *out = remap;
        remap = NULL;
    }
out:
    sluice_remap_free(remap);
    return st;
}

const struct sluice_stream_desc *sluice_remap_desc(const struct sluice_remap *remap)
{
    return remap->desc;
}

/* A builder with room for `rows` rows; kept over batches of like size. */
static sluice_status builder_ready(struct sluice_rows *rows, const struct ArrowSchema *schema,
                                   int64_t count, struct sluice_error *err)
{
    if (rows->columns != NULL && count <= rows->max_rows) {
        rows->rows = 0;
        sluice_rows_rollback(rows); /* what an earlier failure left */
        return SLUICE_OK;
    }
    int64_t room = count > 1024 ? count : 1024;
    sluice_rows_free(rows);
    return sluice_rows_init(rows, schema, room, err);
}

/* Builds the made columns of a part out of struct *s. */
static sluice_status part_build(struct sluice_remap *remap, struct remap_part *part,
                                const struct ArrowArray *s, sluice_remap_fill fill, void *ctx,
                                struct ArrowArray *made, struct sluice_error *err)
{
    SLUICE_TRY(builder_ready(&part->rows, &part->made_schema, s->length, err));
    for (int64_t i = 0; i < part->made_count; i++) {
        struct sluice_view view;
        const struct sluice_view *source = NULL;
        int64_t column = part->made[i];
        if (part->made_from[i] >= 0) {
            const struct ArrowSchema *field =
                remap->in->schema->children[remap->columns[column].source];
            SLUICE_TRY(sluice_view_init_range(field, s->children[part->made_from[i]], s->offset,
                                              s->length, &view, err));
            source = &view;
        }
        SLUICE_TRY(fill(ctx, column, source, s->length, &part->rows.columns[i], err));
    }
    part->rows.rows = s->length;
    return sluice_rows_finish(&part->rows, made, err);
}

/* Turns the struct array *s into its new shape; *s is consumed on success. */
static sluice_status part_apply(struct sluice_remap *remap, struct remap_part *part,
                                int64_t child_count, struct ArrowArray *s, sluice_remap_fill fill,
                                void *ctx, struct sluice_error *err)
{
    if (s->n_children != child_count || s->n_buffers != 1) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "%lld columns, but %lld were announced",
                                (long long)s->n_children, (long long)child_count);
    }
    if (part->identity) {
        return SLUICE_OK;
    }
    struct ArrowArray made;
    struct ArrowArray out;
    struct ArrowArray *extra = NULL;
    sluice_status st = SLUICE_OK;
    memset(&made, 0, sizeof made);
    if (part->made_count > 0) {
        SLUICE_TRY(part_build(remap, part, s, fill, ctx, &made, err));
        extra = calloc((size_t)part->made_count, sizeof *extra);
        if (extra == NULL) {
            st = nomem(err);
            goto out;
        }
        for (int64_t i = 0; i < part->made_count; i++) {
            sluice_array_move(made.children[i], &extra[i]);
        }
    }
    st = sluice_array_select(s, part->indexes, part->count, extra, &out, err);
    if (st >= 0) {
        sluice_array_move(&out, s);
    }
    for (int64_t i = 0; extra != NULL && i < part->made_count; i++) {
        sluice_array_release(&extra[i]);
    }
out:
    free(extra);
    sluice_array_release(&made);
    return st;
}

/* ------------------------------------------------------------ changes ------------------------ */

/* Moves the bits of one row to the columns' new numbers; 1 if any is set. */
static int move_bits(const struct sluice_remap *remap, struct sluice_bytes from, uint8_t *to)
{
    const uint8_t *bits = from.data;
    int any = 0;
    memset(to, 0, (size_t)(remap->count + 7) / 8);
    for (int64_t i = 0; i < remap->count; i++) {
        int64_t source = remap->columns[i].source;
        if (source >= 0 && (uint64_t)source / 8 < from.size &&
            (bits[source / 8] >> (source % 8) & 1) != 0) {
            to[i / 8] = (uint8_t)(to[i / 8] | 1u << (i % 8));
            any = 1;
        }
    }
    return any;
}

/* The bitmap column `unchanged` in the new order. *made is not set when nothing changes. */
static sluice_status remap_unchanged(struct sluice_remap *remap, const struct ArrowArray *root,
                                     struct ArrowArray *made, struct sluice_error *err)
{
    struct sluice_view v;
    SLUICE_TRY(sluice_view_init_range(remap->bits_schema.children[0], root->children[7],
                                      root->offset, root->length, &v, err));
    if (remap->same_bits || (v.null_count >= 0 && v.null_count == v.length)) {
        return SLUICE_OK;
    }
    SLUICE_TRY(builder_ready(&remap->bits, &remap->bits_schema, root->length, err));
    struct sluice_column *to = &remap->bits.columns[0];
    uint64_t size = (uint64_t)(remap->count + 7) / 8;
    for (int64_t i = 0; i < v.length; i++) {
        uint8_t *room = NULL;
        if (!sluice_view_is_null(&v, i)) {
            room = sluice_column_room(to, size, err);
            if (room == NULL) {
                return SLUICE_E_NOMEM;
            }
        }
        if (room != NULL && move_bits(remap, sluice_view_bytes(&v, i), room)) {
            sluice_column_put_room(to, size);
        }
        else {
            SLUICE_TRY(sluice_column_put_null(to, err));
        }
    }
    remap->bits.rows = v.length;
    struct ArrowArray array;
    SLUICE_TRY(sluice_rows_finish(&remap->bits, &array, err));
    sluice_array_move(array.children[0], made);
    sluice_array_release(&array);
    return SLUICE_OK;
}

static sluice_status apply_changes(struct sluice_remap *remap, struct ArrowArray *root,
                                   sluice_remap_fill fill, void *ctx, struct sluice_error *err)
{
    static const int64_t all[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    if (root->n_children != 8 || root->n_buffers != 1) {
        return sluice_error_set(err, SLUICE_E_DATA, 0,
                                "a CHANGES batch has %lld columns, the envelope has 8",
                                (long long)root->n_children);
    }
    struct ArrowArray out;
    struct ArrowArray extra[3];
    memset(extra, 0, sizeof extra);
    if (root->offset != 0 || root->children[5]->length != root->length ||
        root->children[6]->length != root->length) {
        /* The children then have the same rows as the envelope. */
        SLUICE_TRY(sluice_array_select(root, all, 8, NULL, &out, err));
        sluice_array_move(&out, root);
    }
    SLUICE_TRY(remap_unchanged(remap, root, &extra[2], err));
    int64_t width = remap->in->schema->n_children;
    int64_t old = remap->in->before == SLUICE_BEFORE_FULL  ? width
                  : remap->in->before == SLUICE_BEFORE_KEY ? (int64_t)remap->in->key_count
                                                           : 0;
    sluice_array_move(root->children[5], &extra[0]);
    sluice_array_move(root->children[6], &extra[1]);
    int64_t indexes[8] = {0, 1, 2, 3, 4, -1, -1, extra[2].release != NULL ? -1 : 7};
    sluice_status st = part_apply(remap, &remap->before, old, &extra[0], fill, ctx, err);
    if (st >= 0) {
        st = part_apply(remap, &remap->row, width, &extra[1], fill, ctx, err);
    }
    if (st >= 0) {
        st = sluice_array_select(root, indexes, 8, extra, &out, err);
    }
    if (st >= 0) {
        sluice_array_move(&out, root);
    }
    for (int i = 0; i < 3; i++) {
        sluice_array_release(&extra[i]);
    }
    return st;
}

sluice_status sluice_remap_apply(struct sluice_remap *remap, struct sluice_batch *batch,
                                 sluice_remap_fill fill, void *ctx, struct sluice_error *err)
{
    sluice_status st = SLUICE_OK;
    switch (batch->kind) {
    case SLUICE_BATCH_ROWS:
        st = part_apply(remap, &remap->row, remap->in->schema->n_children, &batch->array, fill, ctx,
                        err);
        break;
    case SLUICE_BATCH_CHANGES:
        st = apply_changes(remap, &batch->array, fill, ctx, err);
        break;
    case SLUICE_BATCH_SCHEMA:
        batch->desc = remap->desc;
        return SLUICE_OK;
    case SLUICE_BATCH_ENCODED:
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "stream %s: an encoded batch has no columns to map",
                                remap->in->name);
    default:
        return SLUICE_OK;
    }
    if (st < 0) {
        return sluice_error_wrap(err, "stream %s", remap->in->name);
    }
    if (batch->kind == SLUICE_BATCH_ROWS) {
        batch->bytes = sluice_array_bytes(remap->desc->schema, &batch->array);
    }
    return SLUICE_OK;
}
