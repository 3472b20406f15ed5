/*
 * Transform upper: chosen text columns in upper case (ASCII letters). Works on whole columns; what
 * it does not touch is passed on without a copy, in loads and in changes alike.
 */
#include <stdlib.h>
#include <string.h>

#include <sluice/option.h>
#include <sluice/pattern.h>
#include <sluice/plugin.h>
#include <sluice/remap.h>

/* A bound stream; kept until destroy, since bind lent its description. */
struct bound {
    struct bound *next;
    struct sluice_remap *remap;
    uint64_t stream_id;
    uint64_t schema_id;
};

struct sluice_transform {
    struct sluice_option_list columns;
    struct sluice_column_pattern *patterns;
    struct bound *streams;
    struct sluice_batch ready; /* pushed, not yet pulled */
    int has_ready;
};

static void upper_destroy(struct sluice_transform *xf)
{
    if (xf == NULL) {
        return;
    }
    while (xf->streams != NULL) {
        struct bound *s = xf->streams;
        xf->streams = s->next;
        sluice_remap_free(s->remap);
        free(s);
    }
    if (xf->has_ready) {
        sluice_array_release(&xf->ready.array);
    }
    free(xf->patterns);
    free(xf);
}

static sluice_status upper_create(const struct sluice_host *host, struct sluice_transform **out,
                                  struct sluice_error *err)
{
    static const struct sluice_option_binding bindings[] = {
        SLUICE_BIND(struct sluice_transform, columns, "columns"), {NULL, 0}};
    struct sluice_transform *xf = calloc(1, sizeof *xf);
    if (xf == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform upper: out of memory");
    }
    sluice_status st = sluice_options_bind(host, bindings, xf, err);
    if (st >= 0) {
        xf->patterns = calloc((size_t)xf->columns.count + 1, sizeof *xf->patterns);
        st = xf->patterns != NULL ? SLUICE_OK
                                  : sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory");
    }
    for (uint32_t i = 0; i < xf->columns.count && st >= 0; i++) {
        st = sluice_column_pattern_parse(xf->columns.items[i], &xf->patterns[i], err);
    }
    if (st < 0) {
        upper_destroy(xf);
        return st;
    }
    *out = xf;
    return SLUICE_OK;
}

static int is_chosen(const struct sluice_transform *xf, const char *stream, const char *column)
{
    for (uint32_t i = 0; i < xf->columns.count; i++) {
        if (sluice_column_pattern_table(&xf->patterns[i], stream) &&
            sluice_column_pattern_column(&xf->patterns[i], column)) {
            return 1;
        }
    }
    return 0;
}

/* Says, per column, whether it is passed on or made anew. The schema stays as it is. */
static sluice_status make_remap(const struct sluice_transform *xf,
                                const struct sluice_stream_desc *in, struct sluice_remap **out,
                                struct sluice_error *err)
{
    int64_t n = in->schema->n_children;
    struct sluice_remap_column *columns = calloc((size_t)n + 1, sizeof *columns);
    sluice_status st = SLUICE_OK;
    if (columns == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform upper: out of memory");
    }
    for (int64_t i = 0; i < n && st >= 0; i++) {
        const struct ArrowSchema *field = in->schema->children[i];
        columns[i].source = i;
        columns[i].made = is_chosen(xf, in->name, field->name);
        if (columns[i].made && strcmp(field->format, "u") != 0) {
            st = sluice_error_set(err, SLUICE_E_INVALID, 0, "stream %s: column %s is not text",
                                  in->name, field->name);
        }
    }
    if (st >= 0) {
        st = sluice_remap_create(in, columns, n, in->schema, out, err);
    }
    free(columns);
    return st;
}

static sluice_status upper_bind(struct sluice_transform *xf, const struct sluice_stream_desc *in,
                                sluice_stream_visit visit, void *vctx, struct sluice_error *err)
{
    struct bound *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform upper: out of memory");
    }
    sluice_status st = make_remap(xf, in, &s->remap, err);
    if (st < 0) {
        free(s);
        return st;
    }
    s->stream_id = in->stream_id;
    s->schema_id = in->schema_id;
    s->next = xf->streams;
    xf->streams = s;
    st = visit(vctx, sluice_remap_desc(s->remap), NULL);
    return st < 0 ? st : SLUICE_OK;
}

/* Called per batch for each column that is made. */
static sluice_status fill(void *ctx, int64_t column, const struct sluice_view *source, int64_t rows,
                          struct sluice_column *to, struct sluice_error *err)
{
    (void)ctx;
    (void)column;
    for (int64_t i = 0; i < rows; i++) {
        if (sluice_view_is_null(source, i)) {
            SLUICE_TRY(sluice_column_put_null(to, err));
            continue;
        }
        struct sluice_bytes text = sluice_view_bytes(source, i);
        const uint8_t *from = text.data;
        uint8_t *room = sluice_column_room(to, text.size, err);
        if (room == NULL) {
            return SLUICE_E_NOMEM;
        }
        for (uint64_t k = 0; k < text.size; k++) {
            room[k] = (uint8_t)(from[k] >= 'a' && from[k] <= 'z' ? from[k] - 32 : from[k]);
        }
        sluice_column_put_room(to, text.size);
    }
    return SLUICE_OK;
}

static sluice_status upper_push(struct sluice_transform *xf, struct sluice_batch *batch,
                                struct sluice_error *err)
{
    const struct bound *s = xf->streams;
    while (s != NULL && (s->stream_id != batch->stream_id || s->schema_id != batch->schema_id)) {
        s = s->next;
    }
    int rows = batch->kind == SLUICE_BATCH_ROWS || batch->kind == SLUICE_BATCH_CHANGES;
    if (xf->has_ready || (s == NULL && rows)) {
        return sluice_error_set(err, SLUICE_E_STATE, 0,
                                "transform upper: pull first, and bind every stream");
    }
    if (s != NULL) {
        SLUICE_TRY(sluice_remap_apply(s->remap, batch, fill, xf, err));
    }
    xf->ready = *batch; /* moves */
    xf->has_ready = 1;
    batch->array.release = NULL;
    return SLUICE_OK;
}

static sluice_status upper_pull(struct sluice_transform *xf, struct sluice_batch *out,
                                struct sluice_error *err)
{
    uint32_t size = out->struct_size;
    (void)err;
    if (!xf->has_ready) {
        return SLUICE_AGAIN;
    }
    *out = xf->ready;
    out->struct_size = size;
    xf->has_ready = 0;
    return SLUICE_OK;
}

/* ------------------------------------------------------------ descriptor --------------------- */

static const struct sluice_transform_api api = {
    .struct_size = (uint32_t)sizeof api,
    .create = upper_create,
    .destroy = upper_destroy,
    .bind = upper_bind,
    .push = upper_push,
    .pull = upper_pull,
};

static const struct sluice_option o_columns = SLUICE_OPT(
    SLUICE_OPTION_LIST, "columns", NULL, SLUICE_OPTION_REQUIRED,
    "Names or globs of text columns, perhaps behind a table glob (schema.table.column).");
static const struct sluice_option *const options[] = {&o_columns, NULL};

static const struct sluice_component component = {
    .struct_size = (uint32_t)sizeof component,
    .kind = SLUICE_TRANSFORM,
    .caps = SLUICE_TRANSFORM_STATELESS | SLUICE_TRANSFORM_ROW_PRESERVING | SLUICE_TRANSFORM_CHANGES,
    .name = "upper",
    .summary = "Text columns in upper case",
    .options = options,
    .transform = &api,
};

static const struct sluice_component *const components[] = {&component};

static const struct sluice_plugin plugin = {
    .magic = SLUICE_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof plugin,
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .abi_minor_min = SLUICE_ABI_MINOR,
    .envelope_version = SLUICE_ENVELOPE_VERSION,
    .name = "upper",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .build = "",
    .component_count = 1,
    .components = components,
};

SLUICE_PLUGIN_DEFINE(plugin)
