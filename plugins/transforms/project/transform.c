/* Binding and batches of transform project. */
#include <stdlib.h>

#include "project.h"
#include "sluice/log.h"

static void stream_free(struct project_stream *s)
{
    if (s != NULL) {
        sluice_remap_free(s->remap);
        sluice_stream_desc_free(s->in);
        free(s->columns);
        free(s);
    }
}

static void patterns_free(struct project_patterns *p)
{
    free(p->items);
    free(p->hit);
}

static void warn_unused(const struct sluice_transform *xf, const struct project_patterns *p)
{
    for (uint32_t i = 0; p->hit != NULL && i < p->count; i++) {
        if (!p->hit[i]) {
            sluice_log(xf->host, SLUICE_LOG_WARN,
                       "project pattern matches no column option=%s pattern=\"%s\"", p->option,
                       p->items[i].text);
        }
    }
}

static void project_destroy(struct sluice_transform *xf)
{
    if (xf == NULL) {
        return;
    }
    /* An instance that only bound streams saw all of those that the pipeline reads. */
    if (!xf->worked && xf->streams != NULL) {
        warn_unused(xf, &xf->include);
        warn_unused(xf, &xf->exclude);
        warn_unused(xf, &xf->rename);
        for (uint32_t i = 0; i < xf->options.order.count; i++) {
            if (!xf->order_hit[i]) {
                sluice_log(xf->host, SLUICE_LOG_WARN, "project order names no column name=\"%s\"",
                           xf->options.order.items[i]);
            }
        }
    }
    while (xf->streams != NULL) {
        struct project_stream *s = xf->streams;
        xf->streams = s->next;
        stream_free(s);
    }
    if (xf->has_ready) {
        sluice_array_release(&xf->ready.array);
    }
    patterns_free(&xf->include);
    patterns_free(&xf->exclude);
    patterns_free(&xf->rename);
    free(xf->order_hit);
    free(xf);
}

/* Parses the patterns of a list, or the keys of a map. */
static sluice_status parse_patterns(struct project_patterns *p, const char *option,
                                    const struct sluice_option_list *list,
                                    const struct sluice_option_map *map, struct sluice_error *err)
{
    p->option = option;
    p->count = list != NULL ? list->count : map->count;
    p->items = calloc((size_t)p->count + 1, sizeof *p->items);
    p->hit = calloc((size_t)p->count + 1, 1);
    if (p->items == NULL || p->hit == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform project: out of memory");
    }
    for (uint32_t i = 0; i < p->count; i++) {
        const char *text = list != NULL ? list->items[i] : map->pairs[i].key;
        if (sluice_column_pattern_parse(text, &p->items[i], err) < 0) {
            return sluice_error_wrap(err, "option %s", option);
        }
    }
    return SLUICE_OK;
}

static sluice_status read_options(struct sluice_transform *xf, struct sluice_error *err)
{
    static const struct sluice_option_binding bindings[] = {
        SLUICE_BIND(struct project_options, tables, "tables"),
        SLUICE_BIND(struct project_options, include, "include"),
        SLUICE_BIND(struct project_options, exclude, "exclude"),
        SLUICE_BIND(struct project_options, rename, "rename"),
        SLUICE_BIND(struct project_options, order, "order"),
        SLUICE_BIND(struct project_options, constants, "constants"),
        SLUICE_BIND(struct project_options, metadata, "metadata"),
        SLUICE_BIND(struct project_options, drop_keys, "drop_keys"),
        {NULL, 0}};
    struct project_options *o = &xf->options;
    SLUICE_TRY(sluice_options_bind(xf->host, bindings, o, err));
    SLUICE_TRY(parse_patterns(&xf->include, "include", &o->include, NULL, err));
    SLUICE_TRY(parse_patterns(&xf->exclude, "exclude", &o->exclude, NULL, err));
    SLUICE_TRY(parse_patterns(&xf->rename, "rename", NULL, &o->rename, err));
    xf->order_hit = calloc((size_t)o->order.count + 1, 1);
    if (xf->order_hit == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform project: out of memory");
    }
    return project_check_metadata(&o->metadata, err);
}

static sluice_status project_create(const struct sluice_host *host, struct sluice_transform **out,
                                    struct sluice_error *err)
{
    struct sluice_transform *xf = calloc(1, sizeof *xf);
    if (xf == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform project: out of memory");
    }
    xf->host = host;
    sluice_status st = read_options(xf, err);
    if (st < 0) {
        project_destroy(xf);
        return st;
    }
    *out = xf;
    return SLUICE_OK;
}

static sluice_status make_schema(const struct project_stream *s, struct ArrowSchema *schema,
                                 struct sluice_remap_column *columns, struct sluice_error *err)
{
    static const struct sluice_type text = {SLUICE_TYPE_UTF8, 0, 0, 0};
    static const struct sluice_type time = {SLUICE_TYPE_TIMESTAMP_US_UTC, 0, 0, 8};
    for (int64_t i = 0; i < s->count; i++) {
        const struct project_column *c = &s->columns[i];
        columns[i].source = c->source;
        columns[i].made = c->kind != PROJECT_COLUMN;
        if (c->kind == PROJECT_COLUMN) {
            SLUICE_TRY(
                sluice_schema_put(schema, i, s->in->schema->children[c->source], c->name, -1, err));
        }
        else {
            int32_t nullable = c->kind == PROJECT_LOAD_TIME || c->text == NULL;
            SLUICE_TRY(sluice_schema_set(schema, i, c->name,
                                         c->kind == PROJECT_LOAD_TIME ? &time : &text, nullable,
                                         NULL, 0, err));
        }
    }
    return SLUICE_OK;
}

static sluice_status make_remap(struct project_stream *s, struct sluice_error *err)
{
    struct ArrowSchema schema;
    struct sluice_remap_column *columns = calloc((size_t)s->count + 1, sizeof *columns);
    if (columns == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform project: out of memory");
    }
    sluice_status st = sluice_schema_init(&schema, s->count, err);
    if (st >= 0) {
        st = make_schema(s, &schema, columns, err);
        if (st >= 0) {
            st = sluice_remap_create(s->in, columns, s->count, &schema, &s->remap, err);
        }
        sluice_schema_release(&schema);
    }
    free(columns);
    return st;
}

static sluice_status bind_stream(struct sluice_transform *xf, struct project_stream *s,
                                 const struct sluice_stream_desc *in, struct sluice_error *err)
{
    s->in = sluice_stream_desc_copy(in);
    if (s->in == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform project: out of memory");
    }
    if (!project_covers(xf, in->name)) {
        return SLUICE_OK;
    }
    SLUICE_TRY(project_choose(xf, s, err));
    if (s->lost_key) {
        /* Loads go on without the key; changes cannot, and the description says so. */
        s->in->flags &= ~(uint32_t)SLUICE_STREAM_CAN_CHANGES;
    }
    return make_remap(s, err);
}

static sluice_status project_bind(struct sluice_transform *xf, const struct sluice_stream_desc *in,
                                  sluice_stream_visit visit, void *vctx, struct sluice_error *err)
{
    struct project_stream *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform project: out of memory");
    }
    sluice_status st = bind_stream(xf, s, in, err);
    if (st < 0) {
        stream_free(s);
        return st;
    }
    s->next = xf->streams;
    xf->streams = s;
    st = visit(vctx, s->remap != NULL ? sluice_remap_desc(s->remap) : s->in, NULL);
    return st < 0 ? st : SLUICE_OK;
}

static sluice_status fill(void *ctx, int64_t column, const struct sluice_view *source, int64_t rows,
                          struct sluice_column *to, struct sluice_error *err)
{
    const struct sluice_transform *xf = ctx;
    const struct project_column *c = &xf->streams->columns[column];
    (void)source;
    uint64_t size = c->text != NULL ? strlen(c->text) : 0;
    for (int64_t i = 0; i < rows; i++) {
        if (c->kind == PROJECT_LOAD_TIME && xf->source_time_us != 0) {
            sluice_column_put_i64(to, xf->source_time_us);
        }
        else if (c->text != NULL) {
            SLUICE_TRY(sluice_column_put_bytes(to, c->text, size, err));
        }
        else {
            SLUICE_TRY(sluice_column_put_null(to, err));
        }
    }
    return SLUICE_OK;
}

/* The stream of a batch, moved to the front of the list; NULL if it was not bound. */
static struct project_stream *find_stream(struct sluice_transform *xf,
                                          const struct sluice_batch *batch)
{
    struct project_stream **at = &xf->streams;
    while (*at != NULL &&
           ((*at)->in->stream_id != batch->stream_id || (*at)->in->schema_id != batch->schema_id)) {
        at = &(*at)->next;
    }
    struct project_stream *s = *at;
    if (s != NULL) {
        *at = s->next;
        s->next = xf->streams;
        xf->streams = s;
    }
    return s;
}

static sluice_status project_push(struct sluice_transform *xf, struct sluice_batch *batch,
                                  struct sluice_error *err)
{
    xf->worked = 1;
    if (xf->has_ready) {
        return sluice_error_set(err, SLUICE_E_STATE, 0,
                                "transform project: pull the last batch before the next push");
    }
    struct project_stream *s = find_stream(xf, batch);
    if (s == NULL && batch->kind != SLUICE_BATCH_HEARTBEAT && batch->kind != SLUICE_BATCH_MESSAGE) {
        return sluice_error_set(
            err, SLUICE_E_STATE, 0, "transform project: stream %llu, schema %llu was not bound",
            (unsigned long long)batch->stream_id, (unsigned long long)batch->schema_id);
    }
    if (s != NULL && s->lost_key && batch->kind == SLUICE_BATCH_CHANGES) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "stream %s: a key column is left out, but changes need it; keep it, "
            "or set drop_keys: true",
            s->in->name);
    }
    if (s != NULL && s->remap != NULL) {
        xf->source_time_us = batch->source_time_us;
        SLUICE_TRY(sluice_remap_apply(s->remap, batch, fill, xf, err));
    }
    xf->ready = *batch;
    xf->has_ready = 1;
    batch->array.release = NULL;
    return SLUICE_OK;
}

static sluice_status project_pull(struct sluice_transform *xf, struct sluice_batch *out,
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

static sluice_status project_flush(struct sluice_transform *xf, struct sluice_error *err)
{
    (void)err;
    xf->worked = 1;
    return SLUICE_OK;
}

const struct sluice_transform_api project_api = {
    .struct_size = (uint32_t)sizeof project_api,
    .create = project_create,
    .destroy = project_destroy,
    .bind = project_bind,
    .push = project_push,
    .pull = project_pull,
    .flush = project_flush,
};
