/* How values are written for PostgreSQL: the dialect of the log. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changes.h"
#include "lake/times.h"

/* Types of which equal values have equal bytes. Not: floats (-0), character(n), whatever travels as text. */
int sluice_pgsink_has_one_form(const struct sluice_pgsink_column *column)
{
    static const uint32_t oids[] = {16, 17,   19,   20,   21,   23,   25,
                                    26, 1043, 1082, 1083, 1114, 1184, 2950};
    if (!column->encoder.binary) {
        return 0;
    }
    for (size_t i = 0; i < sizeof oids / sizeof oids[0]; i++) {
        if (column->oid == oids[i]) {
            return 1;
        }
    }
    /* A decimal of one scale: the same digits always. Enums: their labels. */
    return column->oid == 1700 || column->oid >= 16384;
}

static const struct sluice_pgsink_table *table_of(const struct sluice_apply_table *table)
{
    return ((const struct sluice_pgsink_stream *)table->owner)->table;
}

/* The encoders write into a buffer of their own library, which looks the same. */
static struct sluice_pg_buffer lend(const struct sluice_apply_buffer *out)
{
    return (struct sluice_pg_buffer){out->data, out->size, out->cap, out->failed};
}

static void take_back(struct sluice_apply_buffer *out, const struct sluice_pg_buffer *lent)
{
    *out = (struct sluice_apply_buffer){lent->data, lent->size, lent->cap, lent->failed};
}

static void bind(const struct sluice_apply_table *table, uint32_t column,
                 const struct sluice_view *view, void *encoder)
{
    struct sluice_pg_encoder *e = encoder;
    *e = table_of(table)->columns[column].encoder;
    e->view = *view;
}

static sluice_status encode(const void *encoder, int64_t row, struct sluice_apply_buffer *out,
                            struct sluice_error *err)
{
    const struct sluice_pg_encoder *e = encoder;
    struct sluice_pg_buffer lent = lend(out);
    const sluice_status status = e->encode(e, row, &lent, err);
    take_back(out, &lent);
    return status;
}

static sluice_status put(const void *data, size_t size, struct sluice_apply_buffer *out,
                         struct sluice_error *err)
{
    sluice_apply_buffer_add(out, data, size);
    return out->failed ? sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                          "out of memory for changes")
                       : SLUICE_OK;
}

/* As text[]. */
static sluice_status put_names(const struct sluice_apply_meta *value,
                               struct sluice_apply_buffer *out, struct sluice_error *err)
{
    struct sluice_pg_text names = {0};
    for (uint32_t i = 0; i < value->name_count; i++) {
        sluice_pg_text_add(&names, i > 0 ? "," : "{");
        sluice_pg_text_array_item(&names, value->names[i]);
    }
    sluice_pg_text_add(&names, "}");
    sluice_status status = sluice_pg_text_check(&names, err);
    if (status >= 0) {
        status = put(names.data, names.size, out, err);
    }
    sluice_pg_text_free(&names);
    return status;
}

/* Columns of ours are text. */
static sluice_status meta(const struct sluice_apply_table *table, uint32_t column,
                          const struct sluice_apply_meta *value, struct sluice_apply_buffer *out,
                          struct sluice_error *err)
{
    char text[96];
    size_t size = 0;
    (void)table;
    (void)column;
    switch (value->kind) {
    case SLUICE_APPLY_META_BOOL:
        return put(value->number != 0 ? "t" : "f", 1, out, err);
    case SLUICE_APPLY_META_NUMBER:
        size = (size_t)snprintf(text, sizeof text, "%lld", (long long)value->number);
        return put(text, size, out, err);
    case SLUICE_APPLY_META_TIME:
        size = (size_t)(sluice_lake_put_timestamp((uint8_t *)text, value->number, SLUICE_LAKE_UTC) -
                        (uint8_t *)text);
        return put(text, size, out, err);
    case SLUICE_APPLY_META_NAMES:
        return put_names(value, out, err);
    default:
        return put(value->text.data, value->text.size, out, err);
    }
}

static void json(const struct sluice_apply_table *table, uint32_t column,
                 const struct sluice_apply_field *field, struct sluice_apply_buffer *out)
{
    const struct sluice_pgsink_column *c = &table_of(table)->columns[column];
    struct sluice_pg_text text = {0};
    sluice_pg_field_json(c->oid, c->source >= 0 && c->encoder.binary, field->data, field->size,
                         &text);
    sluice_apply_buffer_add(out, text.data, text.size);
    out->failed |= text.failed;
    sluice_pg_text_free(&text);
}

const struct sluice_apply_dialect sluice_pgsink_dialect = {
    .encoder_size = sizeof(struct sluice_pg_encoder),
    .bind = bind,
    .encode = encode,
    .meta = meta,
    .json = json,
};

sluice_status sluice_pgsink_apply_table(struct sluice_pgsink_stream *stream,
                                        struct sluice_error *err)
{
    struct sluice_pgsink_table *t = stream->table;
    t->fields = calloc(t->column_count + 1u, sizeof *t->fields);
    if (t->fields == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                "out of memory for tables");
    }
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct sluice_pgsink_column *c = &t->columns[i];
        t->fields[i] = (struct sluice_apply_column){.name = c->name,
                                                    .source = c->source,
                                                    .meta = c->meta,
                                                    .soft = c->soft,
                                                    .key = c->key,
                                                    .one_form = sluice_pgsink_has_one_form(c)};
    }
    stream->apply = (struct sluice_apply_table){.dialect = &sluice_pgsink_dialect,
                                                .desc = stream->desc,
                                                .write = &stream->write.write,
                                                .columns = t->fields,
                                                .column_count = t->column_count,
                                                .keys = t->keys,
                                                .key_count = t->key_count,
                                                .key_unique = t->key_unique,
                                                .owner = stream};
    return SLUICE_OK;
}
