/* How values are written for SQL Server: the dialect of the log. A field has db-lib's own form of its column's type. */
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "tds/encode.h"

static const struct mssink_table *table_of(const struct sluice_apply_table *table)
{
    return ((const struct mssink_stream *)table->owner)->table;
}

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for changes");
}

static void bind(const struct sluice_apply_table *table, uint32_t column,
                 const struct sluice_view *view, void *encoder)
{
    struct mssink_encoder *e = encoder;
    *e = table_of(table)->columns[column].encoder;
    e->view = *view;
}

static sluice_status encode(const void *encoder, int64_t row, struct sluice_apply_buffer *out,
                            struct sluice_error *err)
{
    const struct mssink_encoder *e = encoder;
    size_t size = 0;
    uint8_t *room = sluice_apply_buffer_room(out, mssink_encoder_room(e, row));
    if (room == NULL) {
        return nomem(err);
    }
    SLUICE_TRY(mssink_encode(e, row, room, &size, err));
    out->size += size;
    return SLUICE_OK;
}

/* ---- columns of ours ---- */

static sluice_status put_text(const struct mssink_column *c, const char *text, size_t n,
                              struct sluice_apply_buffer *out, struct sluice_error *err)
{
    uint64_t bytes = 0;
    uint8_t *room = sluice_apply_buffer_room(out, n * 2 + 8);
    if (room == NULL) {
        return nomem(err);
    }
    if (c->type.form == MSSINK_FORM_CHARS) {
        memcpy(room, text, n);
        bytes = n;
    }
    else if (sluice_tds_encode_utf16((const uint8_t *)text, n, n + 1, room, &bytes) !=
             SLUICE_TDS_FITS) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "column %.128s: a text that is no UTF-8",
                                c->name);
    }
    out->size += (size_t)bytes;
    return SLUICE_OK;
}

static sluice_status put_names(const struct mssink_column *c, const struct sluice_apply_meta *m,
                               struct sluice_apply_buffer *out, struct sluice_error *err)
{
    struct sluice_apply_buffer text = {0};
    sluice_apply_buffer_text(&text, "[");
    for (uint32_t i = 0; i < m->name_count; i++) {
        sluice_apply_buffer_text(&text, i > 0 ? "," : "");
        sluice_apply_buffer_json(&text, m->names[i], strlen(m->names[i]));
    }
    sluice_apply_buffer_text(&text, "]");
    const sluice_status status =
        text.failed ? nomem(err) : put_text(c, (const char *)text.data, text.size, out, err);
    sluice_apply_buffer_free(&text);
    return status;
}

sluice_status mssink_meta_encode(const struct mssink_column *c, const struct sluice_apply_meta *m,
                                 struct sluice_apply_buffer *out, struct sluice_error *err)
{
    if (m->kind == SLUICE_APPLY_META_TEXT) {
        return put_text(c, m->text.data, (size_t)m->text.size, out, err);
    }
    if (m->kind == SLUICE_APPLY_META_NAMES) {
        return put_names(c, m, out, err);
    }
    uint8_t *room = sluice_apply_buffer_room(out, sizeof(DBDATETIMEALL));
    if (room == NULL) {
        return nomem(err);
    }
    if (m->kind == SLUICE_APPLY_META_TIME) {
        DBDATETIMEALL d;
        const int32_t fits = c->type.form == MSSINK_FORM_OFFSET
                                 ? sluice_tds_encode_datetimeoffset(m->number, 0, 6, &d)
                                 : sluice_tds_encode_datetime2(m->number, 6, &d);
        if (fits != SLUICE_TDS_FITS) {
            return sluice_error_set(err, SLUICE_E_DATA, 0, "column %.128s: a time out of range",
                                    c->name);
        }
        memcpy(room, &d, sizeof d);
        out->size += sizeof d;
        return SLUICE_OK;
    }
    const int64_t value = m->kind == SLUICE_APPLY_META_BOOL ? m->number != 0 : m->number;
    const size_t size = c->type.form == MSSINK_FORM_INT8   ? 8
                        : c->type.form == MSSINK_FORM_INT4 ? 4
                        : c->type.form == MSSINK_FORM_INT2 ? 2
                                                           : 1;
    memcpy(room, &value, size);
    out->size += size;
    return SLUICE_OK;
}

static sluice_status meta(const struct sluice_apply_table *table, uint32_t column,
                          const struct sluice_apply_meta *value, struct sluice_apply_buffer *out,
                          struct sluice_error *err)
{
    return mssink_meta_encode(&table_of(table)->columns[column], value, out, err);
}

static void json(const struct sluice_apply_table *table, uint32_t column,
                 const struct sluice_apply_field *field, struct sluice_apply_buffer *out)
{
    struct mssink_text text = {0};
    const struct sluice_bytes value = {field->size >= 0 ? field->data : NULL,
                                       field->size >= 0 ? (uint64_t)field->size : 0};
    mssink_json(&table_of(table)->columns[column].type, value, &text);
    if (text.failed || text.data == NULL) {
        out->failed = 1;
    }
    else {
        sluice_apply_buffer_add(out, text.data, text.size);
    }
    mssink_text_free(&text);
}

const struct sluice_apply_dialect mssink_dialect = {
    .encoder_size = sizeof(struct mssink_encoder),
    .bind = bind,
    .encode = encode,
    .meta = meta,
    .json = json,
};

sluice_status mssink_apply_table(struct mssink_stream *stream, struct sluice_error *err)
{
    struct mssink_table *t = stream->table;
    free(t->fields);
    t->fields = calloc(t->column_count + 1u, sizeof *t->fields);
    if (t->fields == NULL) {
        return nomem(err);
    }
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct mssink_column *c = &t->columns[i];
        t->fields[i] = (struct sluice_apply_column){.name = c->name,
                                                    .source = c->source,
                                                    .meta = c->meta,
                                                    .soft = c->soft,
                                                    .key = c->key,
                                                    .one_form = c->one_form};
    }
    stream->apply = (struct sluice_apply_table){.dialect = &mssink_dialect,
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
