#include "stream.h"

#include <string.h>

#include "cli.h"
#include "sluice/schema.h"

/* Types within types within types: enough for anything a table holds. */
#define DEPTH_MOST 8

const char *sluice_cli_stream_kind(int32_t kind)
{
    switch (kind) {
    case SLUICE_STREAM_TABLE:
        return "table";
    case SLUICE_STREAM_PARTITIONED:
        return "partitioned";
    case SLUICE_STREAM_PARTITION:
        return "partition";
    case SLUICE_STREAM_VIEW:
        return "view";
    case SLUICE_STREAM_MATVIEW:
        return "matview";
    case SLUICE_STREAM_FOREIGN:
        return "foreign";
    case SLUICE_STREAM_TOPIC:
        return "topic";
    default:
        return "?";
    }
}

int64_t sluice_cli_stream_width(const struct sluice_stream_desc *desc)
{
    return desc->schema != NULL ? desc->schema->n_children : -1;
}

static const char *column_name(const struct sluice_stream_desc *desc, int64_t i)
{
    if (i < 0 || i >= sluice_cli_stream_width(desc)) {
        return "?";
    }
    const char *name = desc->schema->children[i]->name;
    return name != NULL ? name : "";
}

void sluice_cli_stream_key(const struct sluice_stream_desc *desc, struct sluice_str *out)
{
    for (uint32_t i = 0; i < desc->key_count; i++) {
        sluice_str_printf(out, "%s%s", i > 0 ? ", " : "", column_name(desc, desc->keys[i]));
    }
}

int sluice_cli_stream_is_key(const struct sluice_stream_desc *desc, uint64_t i)
{
    for (uint32_t k = 0; k < desc->key_count; k++) {
        if (desc->keys[k] == i) {
            return 1;
        }
    }
    return 0;
}

static void type_text(const struct ArrowSchema *column, int depth, struct sluice_str *out)
{
    struct sluice_type type;
    struct sluice_error err = SLUICE_ERROR_INIT;
    char name[48];
    if (depth > DEPTH_MOST || sluice_type_parse(column->format, &type, &err) < 0) {
        sluice_str_append(out, column->format != NULL ? column->format : "?");
        return;
    }
    if (type.id == SLUICE_TYPE_LIST && column->n_children == 1) {
        sluice_str_append(out, "list<");
        type_text(column->children[0], depth + 1, out);
        sluice_str_append_char(out, '>');
        return;
    }
    if (type.id == SLUICE_TYPE_STRUCT) {
        sluice_str_append(out, "struct<");
        for (int64_t i = 0; i < column->n_children; i++) {
            const struct ArrowSchema *child = column->children[i];
            sluice_str_printf(out, "%s%s: ", i > 0 ? ", " : "",
                              child->name != NULL ? child->name : "");
            type_text(child, depth + 1, out);
        }
        sluice_str_append_char(out, '>');
        return;
    }
    sluice_type_name(&type, name);
    sluice_str_append(out, name);
}

void sluice_cli_stream_type(const struct ArrowSchema *column, struct sluice_str *out)
{
    type_text(column, 0, out);
}

static void native_type(const struct ArrowSchema *column, struct sluice_str *out)
{
    struct sluice_bytes native = sluice_schema_metadata(column, "sluice:native_type");
    if (native.data != NULL) {
        sluice_str_append_n(out, native.data, (size_t)native.size);
    }
}

void sluice_cli_stream_columns(const struct sluice_stream_desc *desc,
                               const struct sluice_cli_term *term, struct sluice_str *out)
{
    static const char *const headers[] = {"column", "type", "native type", "null", "key"};
    struct sluice_cli_table table;
    sluice_cli_table_init(&table, 5, headers, 0, 0x07);
    table.indent = 4;
    for (int64_t i = 0; i < sluice_cli_stream_width(desc); i++) {
        const struct ArrowSchema *column = desc->schema->children[i];
        struct sluice_str type = SLUICE_STR_INIT;
        struct sluice_str native = SLUICE_STR_INIT;
        sluice_cli_stream_type(column, &type);
        native_type(column, &native);
        sluice_cli_table_add(&table, SLUICE_STYLE_NAME, column_name(desc, i));
        sluice_cli_table_add(&table, SLUICE_STYLE_NONE, sluice_str_text(&type));
        sluice_cli_table_add(&table, SLUICE_STYLE_NONE, sluice_str_text(&native));
        sluice_cli_table_add(&table, SLUICE_STYLE_NONE,
                             (column->flags & ARROW_FLAG_NULLABLE) != 0 ? "null" : "not null");
        sluice_cli_table_add(&table, SLUICE_STYLE_GOOD,
                             sluice_cli_stream_is_key(desc, (uint64_t)i) ? "key" : "");
        sluice_str_free(&type);
        sluice_str_free(&native);
    }
    sluice_cli_table_render(&table, term, out);
    sluice_cli_table_free(&table);
}

static json_t *columns_json(const struct sluice_stream_desc *desc)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < sluice_cli_stream_width(desc); i++) {
        const struct ArrowSchema *column = desc->schema->children[i];
        json_t *object = json_object();
        struct sluice_str type = SLUICE_STR_INIT;
        struct sluice_str native = SLUICE_STR_INIT;
        sluice_cli_stream_type(column, &type);
        native_type(column, &native);
        (void)json_object_set_new(object, "name", sluice_cli_json_text(column_name(desc, i)));
        (void)json_object_set_new(object, "type", sluice_cli_json_text(sluice_str_text(&type)));
        (void)json_object_set_new(object, "native",
                                  native.size > 0 ? sluice_cli_json_text(sluice_str_text(&native))
                                                  : json_null());
        (void)json_object_set_new(object, "nullable",
                                  json_boolean((column->flags & ARROW_FLAG_NULLABLE) != 0));
        (void)json_object_set_new(object, "key",
                                  json_boolean(sluice_cli_stream_is_key(desc, (uint64_t)i)));
        (void)json_array_append_new(list, object);
        sluice_str_free(&type);
        sluice_str_free(&native);
    }
    return list;
}

void sluice_cli_stream_json(const struct sluice_stream_desc *desc, int columns, json_t *object)
{
    json_t *key = json_array();
    for (uint32_t i = 0; i < desc->key_count; i++) {
        (void)json_array_append_new(key, sluice_cli_json_text(column_name(desc, desc->keys[i])));
    }
    (void)json_object_set_new(object, "kind", json_string(sluice_cli_stream_kind(desc->kind)));
    (void)json_object_set_new(object, "rows_estimate", sluice_cli_json_count(desc->rows_estimate));
    (void)json_object_set_new(object, "bytes_estimate",
                              sluice_cli_json_count(desc->bytes_estimate));
    (void)json_object_set_new(object, "column_count",
                              sluice_cli_json_count(sluice_cli_stream_width(desc)));
    (void)json_object_set_new(object, "key", key);
    if (columns) {
        (void)json_object_set_new(object, "columns", columns_json(desc));
    }
}
