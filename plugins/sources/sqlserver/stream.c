/* A table as it is delivered: chosen columns, their types, the statement that reads them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/array.h"
#include "source.h"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a table");
}

void ms_stream_free(struct ms_stream *s)
{
    if (s != NULL) {
        sluice_schema_release(&s->schema);
        free(s->schema_name);
        free(s->table_name);
        free(s->name);
        free(s->decoders);
        free(s->keys);
        free(s->select);
        free(s);
    }
}

static int listed(const char *const *names, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

static int is_chosen(const struct sluice_stream_select *select, const char *name)
{
    return select == NULL || ((select->include_count == 0 ||
                               listed(select->include_columns, select->include_count, name)) &&
                              !listed(select->exclude_columns, select->exclude_count, name));
}

static sluice_status set_names(struct ms_stream *s, const struct ms_table *table,
                               struct sluice_error *err)
{
    char name[sizeof table->schema_name * 4];
    s->schema_name = strdup(table->schema_name);
    s->table_name = strdup(table->table_name);
    s->parts[0] = s->schema_name;
    s->parts[1] = s->table_name;
    if (s->schema_name == NULL || s->table_name == NULL) {
        return nomem(err);
    }
    (void)sluice_stream_name(s->parts, 2, name, sizeof name);
    s->name = strdup(name);
    return s->name != NULL ? SLUICE_OK : nomem(err);
}

/* Keys in their order; none unless all are delivered. */
static void set_keys(struct ms_stream *s, const struct ms_table *table, const uint32_t *at)
{
    uint32_t count = 0;
    for (uint32_t ordinal = 1; ordinal <= table->count; ordinal++) {
        for (uint32_t i = 0; i < table->count; i++) {
            if (table->key_ordinals[i] != ordinal) {
                continue;
            }
            if (at[i] == UINT32_MAX) {
                s->desc.key_count = 0;
                return;
            }
            s->keys[count++] = at[i];
        }
    }
    s->desc.key_count = count;
}

static sluice_status set_columns(const struct sluice_source *src, struct ms_stream *s,
                                 const struct ms_table *table,
                                 const struct sluice_stream_select *select, uint32_t *at,
                                 struct sluice_error *err)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        struct sluice_tds_decoder d;
        struct sluice_error ignored = SLUICE_ERROR_INIT;
        /* Discovery shows what can be read; who opens the table must leave out the rest by name. */
        const int shown =
            select != NULL || sluice_tds_decoder_make(&table->columns[i], 0, &d, &ignored) >= 0;
        at[i] = shown && is_chosen(select, table->columns[i].name) ? count++ : UINT32_MAX;
    }
    SLUICE_TRY(sluice_schema_init(&s->schema, count, err));
    for (uint32_t i = 0; i < table->count; i++) {
        const struct sluice_tds_column *c = &table->columns[i];
        if (at[i] == UINT32_MAX) {
            continue;
        }
        struct sluice_tds_decoder *d = &s->decoders[at[i]];
        SLUICE_TRY(sluice_tds_decoder_make(c, (int32_t)src->options.fine_times, d, err));
        struct sluice_pair pairs[4] = {{"sluice:native_type", d->native}};
        uint32_t pair_count = 1;
        if (d->extension != NULL) {
            pairs[pair_count++] = (struct sluice_pair){"ARROW:extension:name", d->extension};
        }
        if (c->identity) {
            pairs[pair_count++] = (struct sluice_pair){"sluice:identity", "by default"};
        }
        if (c->computed) {
            pairs[pair_count++] = (struct sluice_pair){"sluice:generated", "stored"};
        }
        SLUICE_TRY(sluice_schema_set(&s->schema, at[i], c->name, &d->type, c->nullable, pairs,
                                     pair_count, err));
    }
    set_keys(s, table, at);
    return SLUICE_OK;
}

/* SELECT TOP (n) [a], [b] FROM [s].[t] WHERE (…) */
static sluice_status set_select(struct ms_stream *s, const char *where, uint64_t limit,
                                struct sluice_error *err)
{
    size_t room = 256 + 2 * (strlen(s->schema_name) + strlen(s->table_name)) +
                  (where != NULL ? strlen(where) : 0);
    for (int64_t i = 0; i < s->schema.n_children; i++) {
        room += 2 * strlen(s->schema.children[i]->name) + 8;
    }
    char *out = malloc(room);
    if (out == NULL) {
        return nomem(err);
    }
    size_t n = limit > 0
                   ? (size_t)snprintf(out, room, "SELECT TOP (%llu) ", (unsigned long long)limit)
                   : (size_t)snprintf(out, room, "SELECT ");
    for (int64_t i = 0; i < s->schema.n_children; i++) {
        n += (size_t)snprintf(out + n, room - n, "%s", i > 0 ? ", " : "");
        n += sluice_tds_quote(s->schema.children[i]->name, out + n, room - n);
    }
    n += (size_t)snprintf(out + n, room - n, " FROM ");
    n += sluice_tds_quote(s->schema_name, out + n, room - n);
    n += (size_t)snprintf(out + n, room - n, ".");
    n += sluice_tds_quote(s->table_name, out + n, room - n);
    if (where != NULL) {
        (void)snprintf(out + n, room - n, " WHERE (%s\n)", where);
    }
    s->select = out;
    return SLUICE_OK;
}

static int64_t width_of(const struct ms_table *table)
{
    int64_t width = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        const int32_t n = table->columns[i].max_length;
        width += n > 0 && n < 64 ? n : 32;
    }
    return width;
}

sluice_status ms_stream_make(const struct sluice_source *src, const struct ms_table *table,
                             const struct sluice_stream_select *select, uint64_t row_limit,
                             struct ms_stream **out, struct sluice_error *err)
{
    struct ms_stream *s = calloc(1, sizeof *s);
    uint32_t *at = calloc(table->count + 1u, sizeof *at);
    if (s != NULL) {
        s->decoders = calloc(table->count + 1u, sizeof *s->decoders);
        s->keys = calloc(table->count + 1u, sizeof *s->keys);
    }
    sluice_status status =
        s != NULL && at != NULL && s->decoders != NULL && s->keys != NULL ? SLUICE_OK : nomem(err);
    if (status >= 0) {
        status = set_names(s, table, err);
    }
    if (status >= 0) {
        status = set_columns(src, s, table, select, at, err);
    }
    if (status >= 0 && s->schema.n_children == 0) {
        status = sluice_error_set(err, SLUICE_E_INVALID, 0, "no column of it is chosen");
    }
    if (status >= 0) {
        status = set_select(s, select != NULL ? select->where : NULL, row_limit, err);
    }
    free(at);
    if (status < 0) {
        ms_stream_free(s);
        return status;
    }
    static const struct sluice_pair properties[] = {{"source", "sqlserver"}};
    const uint32_t key_count = s->desc.key_count;
    const int64_t rows =
        row_limit > 0 && (int64_t)row_limit < table->rows ? (int64_t)row_limit : table->rows;
    s->flags = select != NULL ? select->flags : SLUICE_SELECT_LOAD;
    s->desc =
        (struct sluice_stream_desc){.struct_size = (uint32_t)sizeof s->desc,
                                    .kind = SLUICE_STREAM_TABLE,
                                    .before = SLUICE_BEFORE_NONE,
                                    .stream_id = (uint64_t)table->object_id,
                                    .schema_id = 1,
                                    .name = s->name,
                                    .part_count = 2,
                                    .key_count = key_count,
                                    .parts = s->parts,
                                    .keys = s->keys,
                                    .schema = &s->schema,
                                    .rows_estimate = rows,
                                    .bytes_estimate = rows > 0 ? rows * width_of(table) : rows,
                                    .property_count = 1,
                                    .properties = properties};
    *out = s;
    return SLUICE_OK;
}
