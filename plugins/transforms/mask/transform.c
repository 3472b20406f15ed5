/* Binding and batches of transform mask. */
#include <stdlib.h>

#include "mask.h"
#include "sluice/log.h"

/* One bound stream; kept until destroy, since its description was visited. */
struct mask_stream {
    struct mask_stream *next;
    struct sluice_remap *remap;
    uint64_t stream_id;
    uint64_t schema_id;
};

struct sluice_transform {
    const struct sluice_host *host;
    struct mask_options options;
    struct sluice_column_pattern *patterns;
    uint8_t *pattern_hit; /* matched a column of any stream, or was warned of */
    struct mask_hash *hash;
    struct mask_stream *streams; /* newest first */
    struct sluice_batch ready;   /* for pull, if its struct_size is set */
    int32_t has_ready;
    int32_t worked; /* had batches or a flush: not only asked for descriptions */
};

static void warn_unused_patterns(const struct sluice_transform *xf)
{
    /* An instance that only bound streams saw all of those that the pipeline reads. */
    if (xf->worked || xf->streams == NULL) {
        return;
    }
    for (uint32_t i = 0; i < xf->options.columns.count; i++) {
        if (!xf->pattern_hit[i]) {
            sluice_log(xf->host, SLUICE_LOG_WARN, "mask pattern matches no column pattern=\"%s\"",
                       xf->patterns[i].text);
        }
    }
}

static void mask_destroy(struct sluice_transform *xf)
{
    if (xf == NULL) {
        return;
    }
    warn_unused_patterns(xf);
    while (xf->streams != NULL) {
        struct mask_stream *s = xf->streams;
        xf->streams = s->next;
        sluice_remap_free(s->remap);
        free(s);
    }
    if (xf->has_ready) {
        sluice_array_release(&xf->ready.array);
    }
    mask_hash_free(xf->hash);
    free(xf->patterns);
    free(xf->pattern_hit);
    free(xf);
}

static sluice_status parse_patterns(struct sluice_transform *xf, struct sluice_error *err)
{
    uint32_t n = xf->options.columns.count;
    xf->patterns = calloc((size_t)n + 1, sizeof *xf->patterns);
    xf->pattern_hit = calloc((size_t)n + 1, 1);
    if (xf->patterns == NULL || xf->pattern_hit == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform mask: out of memory");
    }
    if (n == 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "option columns: empty, so nothing would be masked");
    }
    for (uint32_t i = 0; i < n; i++) {
        if (sluice_column_pattern_parse(xf->options.columns.items[i], &xf->patterns[i], err) < 0) {
            return sluice_error_wrap(err, "option columns");
        }
    }
    return SLUICE_OK;
}

static sluice_status mask_create(const struct sluice_host *host, struct sluice_transform **out,
                                 struct sluice_error *err)
{
    static const struct sluice_option_binding bindings[] = {
        SLUICE_BIND(struct mask_options, columns, "columns"),
        SLUICE_BIND(struct mask_options, with, "with"),
        SLUICE_BIND(struct mask_options, encoding, "encoding"),
        SLUICE_BIND(struct mask_options, length, "length"),
        SLUICE_BIND(struct mask_options, salt, "salt"),
        SLUICE_BIND(struct mask_options, replacement, "replacement"),
        {NULL, 0}};
    struct sluice_transform *xf = calloc(1, sizeof *xf);
    if (xf == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform mask: out of memory");
    }
    xf->host = host;
    sluice_status st = sluice_options_bind(host, bindings, &xf->options, err);
    if (xf->options.with == MASK_NULL_QUOTED) {
        xf->options.with = MASK_NULL;
    }
    if (st >= 0) {
        st = parse_patterns(xf, err);
    }
    if (st >= 0 && xf->options.with == MASK_SHA256) {
        xf->hash = mask_hash_new(xf->options.salt);
        st = xf->hash != NULL
                 ? SLUICE_OK
                 : sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform mask: out of memory");
    }
    if (st < 0) {
        mask_destroy(xf);
        return st;
    }
    *out = xf;
    return SLUICE_OK;
}

/* The pattern that matches a column, or -1. Marks all that do. */
static int64_t find_pattern(struct sluice_transform *xf, const char *stream, const char *column)
{
    int64_t found = -1;
    for (uint32_t i = 0; i < xf->options.columns.count; i++) {
        if (sluice_column_pattern_table(&xf->patterns[i], stream) &&
            sluice_column_pattern_column(&xf->patterns[i], column)) {
            xf->pattern_hit[i] = 1;
            found = i;
        }
    }
    return found;
}

static int is_key(const struct sluice_stream_desc *desc, int64_t column)
{
    for (uint32_t k = 0; k < desc->key_count; k++) {
        if ((int64_t)desc->keys[k] == column) {
            return 1;
        }
    }
    return 0;
}

static const char *const with_names[] = {"sha256", "redact", "nullify", "truncate", "keep_last"};

static sluice_status check_column(const struct mask_options *options,
                                  const struct sluice_stream_desc *in, int64_t i,
                                  const struct sluice_type *type, struct sluice_error *err)
{
    const char *name = in->schema->children[i]->name;
    const char *with = with_names[options->with];
    char text[48];
    sluice_type_name(type, text);
    if ((options->with == MASK_TRUNCATE || options->with == MASK_KEEP_LAST) &&
        type->id != SLUICE_TYPE_UTF8) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "stream %s: column %s is %s, but `with: %s` works on text only; use "
            "sha256, redact or nullify",
            in->name, name, text, with);
    }
    if (options->with == MASK_SHA256 &&
        (type->id == SLUICE_TYPE_LIST || type->id == SLUICE_TYPE_STRUCT)) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "stream %s: column %s is a %s, which `with: sha256` cannot hash; use "
            "redact or nullify",
            in->name, name, text);
    }
    if (is_key(in, i) && options->with != MASK_SHA256) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "stream %s: column %s is part of the key, and `with: %s` would make "
            "rows indistinguishable; use sha256",
            in->name, name, with);
    }
    return SLUICE_OK;
}

/* Sets column i of the outgoing schema as its masked self. */
static sluice_status put_masked(const struct mask_options *options, struct ArrowSchema *out,
                                const struct sluice_stream_desc *in, int64_t i,
                                struct sluice_error *err)
{
    static const struct sluice_type text = {SLUICE_TYPE_UTF8, 0, 0, 0};
    static const struct sluice_type binary = {SLUICE_TYPE_BINARY, 0, 0, 0};
    const struct ArrowSchema *field = in->schema->children[i];
    struct sluice_type type;
    SLUICE_TRY(sluice_type_parse(field->format, &type, err));
    SLUICE_TRY(check_column(options, in, i, &type, err));
    if (options->with == MASK_NULL) {
        return sluice_schema_put(out, i, field, NULL, 1, err);
    }
    struct sluice_pair masked = {"sluice:masked", with_names[options->with]};
    int32_t hashed_binary = options->with == MASK_SHA256 && options->encoding == MASK_BINARY;
    return sluice_schema_set(out, i, field->name, hashed_binary ? &binary : &text,
                             (field->flags & ARROW_FLAG_NULLABLE) != 0, &masked, 1, err);
}

/* A pattern that names this very table should find its column there. */
static void warn_missing_column(struct sluice_transform *xf, const struct sluice_stream_desc *in)
{
    for (uint32_t k = 0; k < xf->options.columns.count; k++) {
        const struct sluice_column_pattern *p = &xf->patterns[k];
        int32_t hit = p->table_size == 0 || memchr(p->text, '*', p->table_size) != NULL ||
                      !sluice_column_pattern_table(p, in->name);
        for (int64_t i = 0; i < in->schema->n_children && !hit; i++) {
            hit = sluice_column_pattern_column(p, in->schema->children[i]->name);
        }
        if (!hit) {
            xf->pattern_hit[k] = 1; /* told */
            sluice_log(xf->host, SLUICE_LOG_WARN,
                       "mask pattern names a column that the table lacks pattern=\"%s\" stream=%s",
                       p->text, in->name);
        }
    }
}

static int32_t pattern_finds(const struct sluice_column_pattern *p,
                             const struct sluice_stream_desc *desc)
{
    for (int64_t i = 0; i < desc->schema->n_children; i++) {
        if (sluice_column_pattern_table(p, desc->name) &&
            sluice_column_pattern_column(p, desc->schema->children[i]->name)) {
            return 1;
        }
    }
    return 0;
}

/* A column that was masked until now may be gone, or be there under a name that no pattern knows. */
static void warn_lost_column(struct sluice_transform *xf, const struct sluice_stream_desc *in)
{
    const struct mask_stream *before = xf->streams;
    while (before != NULL && before->stream_id != in->stream_id) {
        before = before->next;
    }
    for (uint32_t k = 0; before != NULL && k < xf->options.columns.count; k++) {
        const struct sluice_column_pattern *p = &xf->patterns[k];
        if (pattern_finds(p, sluice_remap_desc(before->remap)) && !pattern_finds(p, in)) {
            sluice_log(xf->host, SLUICE_LOG_WARN,
                       "mask pattern matches no column since the table changed; a renamed column "
                       "passes unmasked pattern=\"%s\" stream=%s",
                       p->text, in->name);
        }
    }
}

static sluice_status make_remap(struct sluice_transform *xf, const struct sluice_stream_desc *in,
                                struct sluice_remap **out, struct sluice_error *err)
{
    int64_t n = in->schema->n_children;
    struct ArrowSchema schema;
    struct sluice_remap_column *columns = calloc((size_t)n + 1, sizeof *columns);
    if (columns == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform mask: out of memory");
    }
    sluice_status st = sluice_schema_init(&schema, n, err);
    if (st < 0) {
        free(columns);
        return st;
    }
    for (int64_t i = 0; i < n && st >= 0; i++) {
        const struct ArrowSchema *field = in->schema->children[i];
        columns[i].source = i;
        columns[i].made = find_pattern(xf, in->name, field->name) >= 0;
        st = columns[i].made ? put_masked(&xf->options, &schema, in, i, err)
                             : sluice_schema_put(&schema, i, field, NULL, -1, err);
    }
    if (st >= 0) {
        st = sluice_remap_create(in, columns, n, &schema, out, err);
    }
    sluice_schema_release(&schema);
    free(columns);
    return st;
}

static sluice_status mask_bind(struct sluice_transform *xf, const struct sluice_stream_desc *in,
                               sluice_stream_visit visit, void *vctx, struct sluice_error *err)
{
    struct mask_stream *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform mask: out of memory");
    }
    sluice_status st = make_remap(xf, in, &s->remap, err);
    if (st < 0) {
        free(s);
        return st;
    }
    warn_missing_column(xf, in);
    warn_lost_column(xf, in);
    s->stream_id = in->stream_id;
    s->schema_id = in->schema_id;
    s->next = xf->streams;
    xf->streams = s;
    st = visit(vctx, sluice_remap_desc(s->remap), NULL);
    return st < 0 ? st : SLUICE_OK;
}

static sluice_status fill(void *ctx, int64_t column, const struct sluice_view *source, int64_t rows,
                          struct sluice_column *to, struct sluice_error *err)
{
    const struct sluice_transform *xf = ctx;
    (void)column;
    return mask_fill(&xf->options, xf->hash, source, rows, to, err);
}

static sluice_status mask_push(struct sluice_transform *xf, struct sluice_batch *batch,
                               struct sluice_error *err)
{
    xf->worked = 1;
    if (xf->has_ready) {
        return sluice_error_set(err, SLUICE_E_STATE, 0,
                                "transform mask: pull the last batch before the next push");
    }
    struct mask_stream *s = xf->streams;
    while (s != NULL && (s->stream_id != batch->stream_id || s->schema_id != batch->schema_id)) {
        s = s->next;
    }
    if (s == NULL && batch->kind != SLUICE_BATCH_HEARTBEAT && batch->kind != SLUICE_BATCH_MESSAGE) {
        return sluice_error_set(
            err, SLUICE_E_STATE, 0, "transform mask: stream %llu, schema %llu was not bound",
            (unsigned long long)batch->stream_id, (unsigned long long)batch->schema_id);
    }
    if (s != NULL) {
        SLUICE_TRY(sluice_remap_apply(s->remap, batch, fill, xf, err));
    }
    xf->ready = *batch;
    xf->has_ready = 1;
    batch->array.release = NULL;
    return SLUICE_OK;
}

static sluice_status mask_pull(struct sluice_transform *xf, struct sluice_batch *out,
                               struct sluice_error *err)
{
    (void)err;
    if (!xf->has_ready) {
        return SLUICE_AGAIN;
    }
    uint32_t size = out->struct_size;
    *out = xf->ready;
    out->struct_size = size;
    xf->has_ready = 0;
    return SLUICE_OK;
}

static sluice_status mask_flush(struct sluice_transform *xf, struct sluice_error *err)
{
    (void)err;
    xf->worked = 1;
    return SLUICE_OK;
}

const struct sluice_transform_api mask_api = {
    .struct_size = (uint32_t)sizeof mask_api,
    .create = mask_create,
    .destroy = mask_destroy,
    .bind = mask_bind,
    .push = mask_push,
    .pull = mask_pull,
    .flush = mask_flush,
};
