/* Views: Arrow buffers with offsets applied. */
#include "sluice/view.h"

#include "internal.h"

/* Stands for buffers that an empty array may leave out. */
static const int64_t empty_words[4] = {0, 0, 0, 0};

static sluice_status check_shape(const struct ArrowSchema *schema, const struct ArrowArray *array,
                                 const struct sluice_type *type, struct sluice_error *err)
{
    const char *name = schema->name != NULL ? schema->name : "";
    int64_t buffers = sluice_type_buffer_count(type);
    if (array->release == NULL) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "column %s: the array was released", name);
    }
    if (array->n_buffers != buffers || array->buffers == NULL) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "column %s: %lld buffers, %lld expected",
                                name, (long long)array->n_buffers, (long long)buffers);
    }
    if (array->n_children != schema->n_children) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "column %s: %lld children, %lld expected",
                                name, (long long)array->n_children, (long long)schema->n_children);
    }
    if (array->dictionary != NULL || schema->dictionary != NULL) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "column %s is dictionary-encoded, which sluice does not use", name);
    }
    return SLUICE_OK;
}

static sluice_status set_values(const char *name, const struct ArrowArray *array, int64_t first,
                                struct sluice_view *v, struct sluice_error *err)
{
    const uint8_t *buf = array->buffers[1];
    switch (v->type.id) {
    case SLUICE_TYPE_BOOL:
        v->values = buf;
        v->bool_bit = first;
        break;
    case SLUICE_TYPE_UTF8:
    case SLUICE_TYPE_BINARY:
        v->offsets = buf != NULL ? (const int32_t *)(const void *)buf + first : NULL;
        v->values = array->buffers[2];
        break;
    case SLUICE_TYPE_LARGE_UTF8:
    case SLUICE_TYPE_LARGE_BINARY:
        v->large_offsets = buf != NULL ? (const int64_t *)(const void *)buf + first : NULL;
        v->values = array->buffers[2];
        break;
    case SLUICE_TYPE_LIST:
        v->offsets = buf != NULL ? (const int32_t *)(const void *)buf + first : NULL;
        break;
    default:
        v->values = buf != NULL ? buf + first * v->type.width : NULL;
        break;
    }
    int32_t variable = sluice_type_is_variable(&v->type) || sluice_type_is_large(&v->type) ||
                       v->type.id == SLUICE_TYPE_LIST;
    if (v->length > 0 && buf == NULL) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "column %s: buffer 1 is missing", name);
    }
    if (variable && buf == NULL) {
        v->offsets = (const int32_t *)(const void *)empty_words;
        v->large_offsets = empty_words;
    }
    if (v->values == NULL) {
        v->values = (const uint8_t *)(const void *)empty_words;
    }
    return SLUICE_OK;
}

sluice_status sluice_view_init_range(const struct ArrowSchema *schema,
                                     const struct ArrowArray *array, int64_t offset, int64_t length,
                                     struct sluice_view *view, struct sluice_error *err)
{
    struct sluice_view v;
    memset(&v, 0, sizeof v);
    const char *name = schema->name != NULL ? schema->name : "";
    sluice_status st = sluice_type_parse(schema->format, &v.type, err);
    if (st < 0) {
        return sluice_error_wrap(err, "column %s", name);
    }
    SLUICE_TRY(check_shape(schema, array, &v.type, err));
    if (array->length < 0 || array->offset < 0 || offset < 0 || length < 0 ||
        offset > array->length || length > array->length - offset) {
        return sluice_error_set(err, SLUICE_E_DATA, 0,
                                "column %s: length %lld, offset %lld do not hold rows %lld to %lld",
                                name, (long long)array->length, (long long)array->offset,
                                (long long)offset, (long long)(offset + length));
    }
    int64_t first = array->offset + offset;
    v.length = length;
    v.schema = schema;
    v.array = array;
    v.validity = array->null_count == 0 ? NULL : array->buffers[0];
    v.validity_bit = first;
    v.null_count = v.validity == NULL ? 0 : length == array->length ? array->null_count : -1;
    if (v.type.id != SLUICE_TYPE_STRUCT) {
        SLUICE_TRY(set_values(name, array, first, &v, err));
    }
    *view = v;
    return SLUICE_OK;
}

sluice_status sluice_view_init(const struct ArrowSchema *schema, const struct ArrowArray *array,
                               struct sluice_view *view, struct sluice_error *err)
{
    return sluice_view_init_range(schema, array, 0, array->length, view, err);
}

sluice_status sluice_views_init_range(const struct ArrowSchema *schema,
                                      const struct ArrowArray *array, int64_t offset,
                                      int64_t length, struct sluice_view *views,
                                      struct sluice_error *err)
{
    struct sluice_view root;
    SLUICE_TRY(sluice_view_init_range(schema, array, offset, length, &root, err));
    if (root.type.id != SLUICE_TYPE_STRUCT) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "a batch is a struct array, not \"%.40s\"",
                                schema->format);
    }
    for (int64_t i = 0; i < schema->n_children; i++) {
        SLUICE_TRY(sluice_view_init_range(schema->children[i], array->children[i],
                                          array->offset + offset, length, &views[i], err));
    }
    return SLUICE_OK;
}

sluice_status sluice_views_init(const struct ArrowSchema *schema, const struct ArrowArray *array,
                                struct sluice_view *views, struct sluice_error *err)
{
    return sluice_views_init_range(schema, array, 0, array->length, views, err);
}

sluice_status sluice_view_children(const struct sluice_view *view, struct sluice_view *children,
                                   struct sluice_error *err)
{
    return sluice_views_init_range(view->schema, view->array,
                                   view->validity_bit - view->array->offset, view->length, children,
                                   err);
}
